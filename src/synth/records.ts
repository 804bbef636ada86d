import { type Address, formatAddress } from "../net/address.ts";
import { protocolName, TCP } from "../net/protocol.ts";
import { formatRfc3339 } from "../net/time.ts";
import type { Conversation, Exchange, Measure } from "./conversation.ts";
import { SECOND } from "./units.ts";

/** Texts of addresses that are kept: a run has few. */
const KEPT_TEXTS = 1 << 16;
const DNS_PORT = 53;

/**
 * Writes conversations as flow records (docs/flow-logs.md, "records"), one line each: what a reader of a whole capture of them would
 * learn, no less and no more. So a name is told of an address (`dstNames`) once an answer has given it, an HTTP/2 request not at all
 * (the capture reader does not undo its compression), and of a datagram that nothing came back to nothing is said of an answer.
 */
export class RecordWriter {
  readonly #texts = new Map<Address, string>();
  /** What answers told so far, as JSON lists. */
  readonly #names = new Map<Address, { readonly names: string[]; json: string }>();

  /** Returns the line of a conversation with its end. Conversations come in order of start. */
  line(conversation: Conversation, { packets, bytes, end }: Measure): string {
    const { start, client, clientPort, server, serverPort, protocol } = conversation;
    const told = this.#names.get(server);
    return `{"time":"${timeText(start)}","end":"${timeText(end)}","srcIp":"${this.#textOf(client)}","srcPort":${clientPort},"dstIp":"${this.#textOf(server)}","dstPort":${serverPort},"protocol":"${protocolName(protocol)}","packets":${packets},"bytes":${bytes}${answerOf(conversation)}${told === undefined ? "" : `,"dstNames":${told.json}`}${this.#requestOf(conversation)}}\n`;
  }

  #textOf(address: Address): string {
    let text = this.#texts.get(address);
    if (text === undefined) {
      if (this.#texts.size >= KEPT_TEXTS) this.#texts.clear();
      this.#texts.set(address, (text = formatAddress(address)));
    }
    return text;
  }

  #requestOf({ exchanges, serverPort, ending }: Conversation): string {
    if (exchanges.length === 0) return "";
    const [first] = exchanges;
    switch (first.kind) {
      case "http":
        return `,"l7":{"http":${requestsText(exchanges)}}`;
      case "tls":
        return `,"l7":{"tls":{"serverName":${JSON.stringify(first.serverName)}}}`;
      case "dns": {
        if (serverPort !== DNS_PORT) return "";
        const isAnswered = ending !== "unanswered" && ending !== "refused";
        const answers = isAnswered ? first.answers.map((address) => this.#learn(address, first.name)) : [];
        return `,"l7":{"dns":{"query":${JSON.stringify(first.name)}${answers.length === 0 ? "" : `,"answers":[${answers.map((text) => `"${text}"`).join()}]`}}}`;
      }
      default:
        return "";
    }
  }

  /** Returns the text of an address that an answer gave, and keeps the name for the records that follow. */
  #learn(address: Address, name: string): string {
    const told = this.#names.get(address);
    if (told === undefined) this.#names.set(address, { names: [name], json: JSON.stringify([name]) });
    else if (!told.names.includes(name)) {
      told.names.push(name);
      told.json = JSON.stringify(told.names);
    }
    return this.#textOf(address);
  }
}

function timeText(micros: number): string | undefined {
  const seconds = Math.floor(micros / SECOND);
  return formatRfc3339(seconds, (micros - seconds * SECOND) * 1000);
}

/** How it ended, as a record says it. That a datagram had no answer says nothing: many need none. */
function answerOf({ protocol, ending, exchanges }: Conversation): string {
  if (ending === "refused") return ',"answer":"refused"';
  if (protocol === TCP) return ending === "unanswered" ? ',"answer":"none"' : ',"answer":"accepted"';
  return ending !== "unanswered" && exchanges.some(isAnswered) ? ',"answer":"accepted"' : "";
}

function isAnswered(exchange: Exchange): boolean {
  return exchange.kind !== "bytes" || exchange.response > 0;
}

/** Returns the different requests of a connection: one as an object, several as a list. Which other headers there were is not told. */
function requestsText(exchanges: readonly Exchange[]): string {
  const texts: string[] = [];
  for (const exchange of exchanges) {
    if (exchange.kind !== "http") continue;
    const text = `{"method":"${exchange.method}","path":${JSON.stringify(exchange.path)},"host":${JSON.stringify(exchange.host)},"headers":null}`;
    if (!texts.includes(text)) texts.push(text);
  }
  return texts.length === 1 ? texts[0] : `[${texts.join()}]`;
}
