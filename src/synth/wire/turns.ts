import { UDP } from "../../net/protocol.ts";
import type { Conversation, Exchange } from "../conversation.ts";
import { type DnsExchange, dnsAnswer, dnsAnswerLength, dnsQuery, dnsQueryLength } from "./dns.ts";
import { CLIENT_HELLO, EXCHANGE, mix, SERVER_HELLO } from "./entropy.ts";
import { copyFiller, NOISE, TEXT } from "./filler.ts";
import { answerBody, answerHead, answerHeadLength, type HttpExchange, requestHead, requestHeadLength } from "./http.ts";
import {
  answerHeaders,
  answerHeadersLength,
  CLIENT_OPENING,
  END_STREAM,
  FRAME_HEADER,
  requestHeaders,
  requestHeadersLength,
  SERVER_OPENING,
  SETTINGS_ACK,
} from "./http2.ts";
import { chars16, latin1Bytes } from "./text.ts";
import {
  APPLICATION_DATA,
  CLIENT_FINISHED_LENGTH,
  clientFinished,
  clientHello,
  clientHelloLength,
  RECORD_HEADER,
  RECORD_TAIL,
  SERVER_OPENING_LENGTH,
  serverOpening,
} from "./tls.ts";

/*
 * What the sides of a conversation say in turn. `Turn` has the bytes; `lengthsOf` has only how many there are, by arithmetic, since a
 * million conversations are measured that are never written. The head of each protocol has its length function beside it.
 */

/** What a body is cut into: nothing, DATA frames of HTTP/2, records of TLS. Both hold 16,384 bytes at most. */
interface Framing {
  readonly header: number;
  readonly tail: number;
}
const BARE: Framing = { header: 0, tail: 0 };
const DATA_FRAMES: Framing = { header: FRAME_HEADER, tail: 0 };
const RECORDS: Framing = { header: RECORD_HEADER, tail: RECORD_TAIL };
/** RFC 9113 section 4.2, the size that everybody accepts; RFC 8446 section 5.1. */
const MOST_FRAMED = 16_384;

/** What one side says without waiting for the other. */
export interface Turn {
  readonly byClient: boolean;
  readonly head: Uint8Array;
  readonly framing: Framing;
  /** Bytes of the body without its framing. */
  readonly body: number;
  /** Where the body begins in its filler. */
  readonly filler: number;
  /** HTTP/2 only. */
  readonly stream: number;
  /** All bytes: head, body and framing. */
  readonly length: number;
}

/** Bytes of each turn of an exchange, in their order; zero: this side says nothing. */
export interface TurnLengths {
  /** Only where an exchange opens its protocol: TLS's handshake, HTTP/2's preface. */
  readonly clientOpening: number;
  readonly serverOpening: number;
  readonly request: number;
  readonly answer: number;
}

const NO_BYTES = new Uint8Array(0);

/** Over UDP, DNS has messages of its own; of other kinds it carries the sizes alone. */
function carried(exchange: Exchange, protocol: number): Exchange {
  if (protocol !== UDP || exchange.kind === "dns" || exchange.kind === "bytes") return exchange;
  return { kind: "bytes", request: exchange.request, response: exchange.response };
}

/** Returns the lengths of an exchange's turns. `opens`: no exchange of its kind came before on this connection. */
export function lengthsOf(exchange: Exchange, protocol: number, opens: boolean): TurnLengths {
  const said = carried(exchange, protocol);
  switch (said.kind) {
    case "bytes":
      return turnLengths(said.request, said.response);
    case "http":
      return turnLengths(requestHeadLength(said) + said.request, answerHeadLength(said) + answerBody(said));
    case "http2": {
      const request = requestHeadersLength(said) + framedLength(DATA_FRAMES, said.request);
      const answer = answerHeadersLength(said) + framedLength(DATA_FRAMES, answerBody(said));
      return opens
        ? turnLengths(request + SETTINGS_ACK.length, answer, CLIENT_OPENING.length, SERVER_OPENING.length)
        : turnLengths(request, answer);
    }
    case "tls": {
      const request = framedLength(RECORDS, said.request);
      const answer = framedLength(RECORDS, said.response);
      if (!opens) return turnLengths(request, answer);
      return turnLengths(request + CLIENT_FINISHED_LENGTH, answer, clientHelloLength(said.serverName), SERVER_OPENING_LENGTH);
    }
    case "dns": {
      const prefix = protocol === UDP ? 0 : 2;
      return turnLengths(dnsQueryLength(said) + prefix, dnsAnswerLength(said, protocol !== UDP) + prefix);
    }
  }
}

function turnLengths(request: number, answer: number, clientOpening = 0, serverOpening = 0): TurnLengths {
  return { clientOpening, serverOpening, request, answer };
}

/** Returns the turns of a conversation's exchange, those without bytes too. `before`: how many of its kind came before it. */
export function turnsOf({ exchanges, entropy, protocol }: Conversation, index: number, before: number): Turn[] {
  const said = carried(exchanges[index], protocol);
  switch (said.kind) {
    case "bytes":
      return [turn(true, NO_BYTES, said.request), turn(false, NO_BYTES, said.response)];
    case "http":
      return [turn(true, latin1Bytes(requestHead(said)), said.request), turn(false, latin1Bytes(answerHead(said)), answerBody(said))];
    case "http2":
      return http2Turns(said, before);
    case "tls":
      return tlsTurns(said, entropy, index, before === 0);
    case "dns":
      return dnsTurns(said, mix(entropy, EXCHANGE + index) & 0xffff, protocol !== UDP);
  }
}

function http2Turns(exchange: HttpExchange, before: number): Turn[] {
  const stream = 2 * before + 1; // RFC 9113 section 5.1.1: a client's streams have the odd numbers
  const opens = before === 0;
  const request = requestHeaders(exchange, stream);
  const turns = [
    turn(true, latin1Bytes(opens ? SETTINGS_ACK + request : request), exchange.request, DATA_FRAMES, stream),
    turn(false, latin1Bytes(answerHeaders(exchange, stream)), answerBody(exchange), DATA_FRAMES, stream),
  ];
  return opens ? [turn(true, latin1Bytes(CLIENT_OPENING)), turn(false, latin1Bytes(SERVER_OPENING)), ...turns] : turns;
}

function tlsTurns(exchange: Extract<Exchange, { kind: "tls" }>, entropy: number, index: number, opens: boolean): Turn[] {
  const filler = mix(entropy, EXCHANGE + index);
  const answer = { ...turn(false, NO_BYTES, exchange.response, RECORDS), filler: mix(filler, 1) };
  const request = { ...turn(true, opens ? clientFinished(filler) : NO_BYTES, exchange.request, RECORDS), filler };
  if (!opens) return [request, answer];
  const hello = mix(entropy, CLIENT_HELLO);
  return [
    turn(true, clientHello(exchange.serverName, hello)),
    turn(false, serverOpening(hello, mix(entropy, SERVER_HELLO))),
    request,
    answer,
  ];
}

/** Over TCP each message has its length before it (RFC 1035 section 4.2.2). */
function dnsTurns(exchange: DnsExchange, id: number, overTcp: boolean): Turn[] {
  const [query, answer] = [dnsQuery(exchange, id), dnsAnswer(exchange, id, overTcp)].map((message) =>
    latin1Bytes(overTcp ? chars16(message.length) + message : message),
  );
  return [turn(true, query), turn(false, answer)];
}

function turn(byClient: boolean, head: Uint8Array, body = 0, framing = BARE, stream = 0): Turn {
  return { byClient, head, framing, body, filler: 0, stream, length: head.length + framedLength(framing, body) };
}

function framedLength({ header, tail }: Framing, body: number): number {
  return header === 0 ? body : body + Math.ceil(body / MOST_FRAMED) * (header + tail);
}

/** Writes `length` bytes of a turn, from `from` on, to `target`. A packet's worth at most. */
export function copyTurn(turn: Turn, from: number, length: number, target: Uint8Array, at: number): void {
  const { head } = turn;
  const end = at + length;
  if (from < head.length) {
    const part = Math.min(length, head.length - from);
    target.set(part === head.length ? head : head.subarray(from, from + part), at);
    at += part;
    from += part;
  }
  if (at < end) copyBody(turn, from - head.length, target, at, end);
}

function copyBody(turn: Turn, from: number, target: Uint8Array, at: number, end: number): void {
  const { framing, body, filler } = turn;
  if (framing === BARE) return copyFiller(TEXT, from, target, at, end - at);
  const contents = framing === RECORDS ? NOISE : TEXT;
  const stride = framing.header + MOST_FRAMED + framing.tail;
  while (at < end) {
    const index = Math.floor(from / stride);
    const payload = Math.min(MOST_FRAMED, body - index * MOST_FRAMED);
    const whole = framing.header + payload + framing.tail;
    let within = from - index * stride;
    if (within < framing.header) {
      const header = framing === RECORDS ? recordHeader(payload) : dataHeader(payload, turn.stream, body <= (index + 1) * MOST_FRAMED);
      for (; within < framing.header && at < end; within++, at++, from++) target[at] = header[within];
    }
    const run = Math.min(end - at, whole - within);
    if (run > 0) copyFiller(contents, filler + from, target, at, run);
    at += run;
    from += run;
  }
}

function recordHeader(payload: number): readonly number[] {
  const length = payload + RECORD_TAIL;
  return [APPLICATION_DATA, 3, 3, length >>> 8, length & 255];
}

/** RFC 9113 section 6.1; DATA has type 0. */
function dataHeader(payload: number, stream: number, isLast: boolean): readonly number[] {
  return [
    0,
    payload >>> 8,
    payload & 255,
    0,
    isLast ? END_STREAM : 0,
    stream >>> 24,
    (stream >>> 16) & 255,
    (stream >>> 8) & 255,
    stream & 255,
  ];
}
