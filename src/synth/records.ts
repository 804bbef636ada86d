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
  /** JSON of paths and hosts, which are few. */
  readonly #json = new Map<string, string>();
  /** The second that was written last, and its text up to the fraction. */
  #second = Number.NaN;
  #secondText = "";
  /** What answers told so far, as JSON lists. */
  readonly #names = new Map<Address, { readonly names: string[]; json: string }>();

  /** Returns the line of a conversation with its end. Conversations come in order of start. */
  line(conversation: Conversation, { packets, bytes, end }: Measure): string {
    const { start, client, clientPort, server, serverPort, protocol } = conversation;
    const told = this.#names.get(server);
    return `{"time":"${this.#timeText(start)}","end":"${this.#timeText(end)}","srcIp":"${this.#textOf(client)}","srcPort":${clientPort},"dstIp":"${this.#textOf(server)}","dstPort":${serverPort},"protocol":"${protocolName(protocol)}","packets":${packets},"bytes":${bytes}${answerOf(conversation)}${told === undefined ? "" : `,"dstNames":${told.json}`}${this.#requestOf(conversation)}}\n`;
  }

  #timeText(micros: number): string {
    const second = Math.floor(micros / SECOND);
    if (second !== this.#second) {
      this.#second = second;
      this.#secondText = formatRfc3339(second, 0)!.slice(0, 20);
    }
    return `${this.#secondText}${String(SECOND + micros - second * SECOND).slice(1)}Z`;
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
        return `,"l7":{"http":${this.#requestsText(exchanges)}}`;
      case "tls":
        return `,"l7":{"tls":{"serverName":${this.#jsonOf(first.serverName)}}}`;
      case "dns": {
        if (serverPort !== DNS_PORT) return "";
        const isAnswered = ending !== "unanswered" && ending !== "refused";
        const answers = isAnswered ? first.answers.map((address) => this.#learn(address, first.name)) : [];
        return `,"l7":{"dns":{"query":${this.#jsonOf(first.name)}${answers.length === 0 ? "" : `,"answers":[${answers.map((text) => `"${text}"`).join()}]`}}}`;
      }
      default:
        return "";
    }
  }

  /** Returns the different requests of a connection: one as an object, several as a list. */
  #requestsText(exchanges: readonly Exchange[]): string {
    if (exchanges.length === 1) return this.#requestText(exchanges[0]);
    const different = exchanges.filter((exchange, i) => {
      for (let before = 0; before < i; before++) if (isSameRequest(exchange, exchanges[before])) return false;
      return exchange.kind === "http";
    });
    return different.length === 1 ? this.#requestText(different[0]) : `[${different.map((each) => this.#requestText(each)).join()}]`;
  }

  /** Which other headers there were is not told. */
  #requestText(exchange: Exchange): string {
    if (exchange.kind !== "http") return "{}";
    return `{"method":"${exchange.method}","path":${this.#jsonOf(exchange.path)},"host":${this.#jsonOf(exchange.host)},"headers":null}`;
  }

  #jsonOf(text: string): string {
    let json = this.#json.get(text);
    if (json === undefined) {
      if (this.#json.size >= KEPT_TEXTS) this.#json.clear();
      this.#json.set(text, (json = JSON.stringify(text)));
    }
    return json;
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

/** How it ended, as a record says it. That a datagram had no answer says nothing: many need none. */
function answerOf({ protocol, ending, exchanges }: Conversation): string {
  if (ending === "refused") return ',"answer":"refused"';
  if (protocol === TCP) return ending === "unanswered" ? ',"answer":"none"' : ',"answer":"accepted"';
  return ending !== "unanswered" && exchanges.some(isAnswered) ? ',"answer":"accepted"' : "";
}

function isAnswered(exchange: Exchange): boolean {
  return exchange.kind !== "bytes" || exchange.response > 0;
}

function isSameRequest(a: Exchange, b: Exchange): boolean {
  return a.kind === "http" && b.kind === "http" && a.path === b.path && a.method === b.method && a.host === b.host;
}
