import { type Address, formatAddress } from "../net/address.ts";
import { TCP } from "../net/protocol.ts";
import { formatRfc3339 } from "../net/time.ts";
import { type Conversation, type Exchange, isAnswered, type Measure } from "./conversation.ts";
import { SECOND } from "./units.ts";

/** Put together before it is handed on. */
const PIECE_BYTES = 1 << 17;
/** Different pieces of text that are kept as bytes: a run has few. */
const KEPT = 1 << 16;
const DNS_PORT = 53;
/** Digits of a fraction of a second. */
const MICRO_DIGITS = 6;
const ZERO = 0x30;

/**
 * Writes conversations as flow records (docs/flow-logs.md, "records"), one line each: what a reader of a whole capture of them would
 * learn, no less and no more. So a name is told of an address (`dstNames`) once an answer has given it, an HTTP/2 request not at all
 * (the capture reader does not undo its compression), and of a datagram that nothing came back to nothing is said of an answer.
 *
 * Lines are made as bytes of pieces that come again and again: as texts they took twice as long, most of it to collect the garbage.
 */
export class RecordWriter {
  #bytes = Buffer.allocUnsafeSlow(2 * PIECE_BYTES);
  #length = 0;
  readonly #sources = new Pieces<Address>((address) => `Z","srcIp":"${formatAddress(address)}","srcPort":`);
  readonly #destinations = new Pieces<Address>((address) => `,"dstIp":"${formatAddress(address)}","dstPort":`);
  readonly #hosts = new Pieces<string>((host) => `,"host":${JSON.stringify(host)},"headers":null}`);
  readonly #paths = new Pieces<string>((path) => `","path":${JSON.stringify(path)}`);
  readonly #methods = new Pieces<string>((method) => `{"method":"${method}`);
  readonly #serverNames = new Pieces<string>((name) => `,"l7":{"tls":{"serverName":${JSON.stringify(name)}}}`);
  /** What answers told so far, as JSON. */
  readonly #names = new Map<Address, { readonly names: readonly string[]; readonly bytes: Buffer }>();
  /** The second that was written last, and its text up to the fraction. */
  #second = Number.NaN;
  #secondBytes = Buffer.alloc(0);

  get isFull(): boolean {
    return this.#length >= PIECE_BYTES;
  }

  /** Returns the lines that were written, valid until more are, and begins anew. */
  take(): Buffer {
    const taken = this.#bytes.subarray(0, this.#length);
    this.#length = 0;
    return taken;
  }

  /** Writes the line of a conversation. They come in order of start. */
  add(conversation: Conversation, { packets, bytes, end }: Measure): void {
    const { start, client, clientPort, server, serverPort, protocol } = conversation;
    this.#add(TIME);
    this.#addTime(start);
    this.#add(END);
    this.#addTime(end);
    this.#add(this.#sources.of(client));
    this.#addNumber(clientPort);
    this.#add(this.#destinations.of(server));
    this.#addNumber(serverPort);
    this.#add(protocol === TCP ? TCP_PACKETS : UDP_PACKETS);
    this.#addNumber(packets);
    this.#add(BYTES);
    this.#addNumber(bytes);
    const answer = answerOf(conversation);
    if (answer !== undefined) this.#add(answer);
    const told = this.#names.size === 0 ? undefined : this.#names.get(server);
    if (told !== undefined) this.#add(told.bytes);
    if (conversation.exchanges.length > 0) this.#addRequests(conversation);
    this.#add(LINE_END);
  }

  #add(piece: Uint8Array): void {
    if (this.#length + piece.length > this.#bytes.length) this.#grow(piece.length);
    this.#bytes.set(piece, this.#length);
    this.#length += piece.length;
  }

  #grow(count: number): void {
    const grown = Buffer.allocUnsafeSlow(2 * (this.#length + count));
    grown.set(this.#bytes.subarray(0, this.#length));
    this.#bytes = grown;
  }

  #addTime(micros: number): void {
    const second = Math.floor(micros / SECOND);
    if (second !== this.#second) {
      this.#second = second;
      this.#secondBytes = Buffer.from(formatRfc3339(second, 0)!.slice(0, 20));
    }
    this.#add(this.#secondBytes);
    this.#addDigits(micros - second * SECOND, MICRO_DIGITS);
  }

  #addNumber(number: number): void {
    let digits = 1;
    for (let most = 10; most <= number; most *= 10) digits++;
    this.#addDigits(number, digits);
  }

  #addDigits(number: number, digits: number): void {
    if (this.#length + digits > this.#bytes.length) this.#grow(digits);
    let rest = number;
    for (let at = this.#length + digits - 1; at >= this.#length; at--) {
      const tenth = Math.floor(rest / 10);
      this.#bytes[at] = ZERO + (rest - tenth * 10);
      rest = tenth;
    }
    this.#length += digits;
  }

  #addRequests({ exchanges, serverPort, ending }: Conversation): void {
    const [first] = exchanges;
    // At the port of DNS nothing else is looked for.
    const isDnsPort = serverPort === DNS_PORT;
    if (first.kind === "http" && !isDnsPort) {
      this.#add(HTTP);
      this.#addHttp(exchanges);
      this.#add(L7_END);
    } else if (first.kind === "tls" && !isDnsPort) this.#add(this.#serverNames.of(first.serverName));
    else if (first.kind === "dns" && isDnsPort) {
      const answers = ending === "unanswered" || ending === "refused" ? [] : first.answers;
      const told = answers.length === 0 ? "" : `,"answers":[${answers.map((address) => `"${formatAddress(address)}"`).join()}]`;
      this.#add(Buffer.from(`,"l7":{"dns":{"query":${JSON.stringify(first.name)}${told}}}`));
      for (const address of answers) this.#learn(address, first.name);
    }
  }

  /** Writes the different requests of a connection: one as an object, several as a list. Which other headers there were is not told. */
  #addHttp(exchanges: readonly Exchange[]): void {
    const different = exchanges.length === 1 ? exchanges : exchanges.filter(isFirstOfItsKind);
    if (different.length > 1) this.#add(LIST);
    for (const [i, exchange] of different.entries()) {
      if (exchange.kind !== "http") continue;
      if (i > 0) this.#add(COMMA);
      this.#add(this.#methods.of(exchange.method));
      this.#add(this.#paths.of(exchange.path));
      this.#add(this.#hosts.of(exchange.host));
    }
    if (different.length > 1) this.#add(LIST_END);
  }

  /** Keeps the name of an address for the records that follow. */
  #learn(address: Address, name: string): void {
    const told = this.#names.get(address)?.names ?? [];
    if (told.includes(name)) return;
    const names = [...told, name];
    this.#names.set(address, { names, bytes: Buffer.from(`,"dstNames":${JSON.stringify(names)}`) });
  }
}

const TIME = Buffer.from('{"time":"');
const END = Buffer.from('Z","end":"');
const TCP_PACKETS = Buffer.from(',"protocol":"TCP","packets":');
const UDP_PACKETS = Buffer.from(',"protocol":"UDP","packets":');
const BYTES = Buffer.from(',"bytes":');
const HTTP = Buffer.from(',"l7":{"http":');
const L7_END = Buffer.from("}");
const LIST = Buffer.from("[");
const COMMA = Buffer.from(",");
const LIST_END = Buffer.from("]");
const LINE_END = Buffer.from("}\n");
const ACCEPTED = Buffer.from(',"answer":"accepted"');
const REFUSED = Buffer.from(',"answer":"refused"');
const NONE = Buffer.from(',"answer":"none"');

/** Texts that many records share, each turned into bytes once. */
class Pieces<Key> {
  readonly #pieces = new Map<Key, Buffer>();
  readonly #textOf: (key: Key) => string;

  constructor(textOf: (key: Key) => string) {
    this.#textOf = textOf;
  }

  of(key: Key): Buffer {
    let piece = this.#pieces.get(key);
    if (piece === undefined) {
      if (this.#pieces.size >= KEPT) this.#pieces.clear();
      this.#pieces.set(key, (piece = Buffer.from(this.#textOf(key))));
    }
    return piece;
  }
}

/** How it ended, as a record says it. That a datagram had no answer says nothing: many need none. */
function answerOf({ protocol, ending, exchanges }: Conversation): Buffer | undefined {
  if (ending === "refused") return REFUSED;
  if (protocol === TCP) return ending === "unanswered" ? NONE : ACCEPTED;
  return ending !== "unanswered" && exchanges.some(isAnswered) ? ACCEPTED : undefined;
}

function isFirstOfItsKind(exchange: Exchange, i: number, all: readonly Exchange[]): boolean {
  for (let before = 0; before < i; before++) if (isSameRequest(exchange, all[before])) return false;
  return exchange.kind === "http";
}

function isSameRequest(a: Exchange, b: Exchange): boolean {
  return a.kind === "http" && b.kind === "http" && a.path === b.path && a.method === b.method && a.host === b.host;
}
