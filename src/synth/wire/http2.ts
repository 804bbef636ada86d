import { answerBody, type HttpExchange, statusText } from "./http.ts";
import { chars16, chars32, fieldLength, fieldText, MOST_HOST, MOST_METHOD, MOST_PATH } from "./text.ts";

/*
 * HTTP/2 in the clear, with prior knowledge (RFC 9113 section 3.3). Both sides open their windows as wide as they go, by SETTINGS
 * for streams and by WINDOW_UPDATE for the connection: no more is needed for less than 2 GiB in one direction.
 */

const HEADERS = 1;
const SETTINGS = 4;
const WINDOW_UPDATE = 8;
export const END_STREAM = 1;
const END_HEADERS = 4;
const ACK = 1;
export const FRAME_HEADER = 9;

const WIDEST_WINDOW = 0x7fffffff;
const FIRST_WINDOW = 65_535; // RFC 9113 section 6.9.2
const NO_PUSH = "\x00\x02\x00\x00\x00\x00";
const WIDE_STREAMS = `\x00\x04${chars32(WIDEST_WINDOW)}`;
const WIDE_CONNECTION = frame(WINDOW_UPDATE, 0, 0, chars32(WIDEST_WINDOW - FIRST_WINDOW));

/** What acknowledges the other side's SETTINGS. */
export const SETTINGS_ACK = frame(SETTINGS, ACK, 0, "");
export const CLIENT_OPENING = `PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n${frame(SETTINGS, 0, 0, NO_PUSH + WIDE_STREAMS)}${WIDE_CONNECTION}`;
export const SERVER_OPENING = `${frame(SETTINGS, 0, 0, WIDE_STREAMS)}${WIDE_CONNECTION}${SETTINGS_ACK}`;

/** Indices of the names of fields in HPACK's static table (RFC 7541 appendix A). */
const AUTHORITY = 1;
const METHOD = 2;
const PATH = 4;
const SCHEME = 6;
const STATUS = 8;
const CONTENT_TYPE = 31;

const HTTP_SCHEME = field(SCHEME, "http");
const PLAIN_TEXT = field(CONTENT_TYPE, "text/plain");

/** Returns the HEADERS frame of a request. */
export function requestHeaders({ method, path, host, request }: HttpExchange, stream: number): string {
  const fields = [field(METHOD, fieldText(method, MOST_METHOD)), HTTP_SCHEME, field(PATH, fieldText(path, MOST_PATH))];
  const block = `${fields.join("")}${field(AUTHORITY, fieldText(host, MOST_HOST))}${request > 0 ? PLAIN_TEXT : ""}`;
  return frame(HEADERS, END_HEADERS | (request > 0 ? 0 : END_STREAM), stream, block);
}

/** Returns the length of `requestHeaders`. */
export function requestHeadersLength({ method, path, host, request }: HttpExchange): number {
  const own = fieldOctets(fieldLength(method, MOST_METHOD)) + fieldOctets(fieldLength(path, MOST_PATH));
  const common = fieldOctets(fieldLength(host, MOST_HOST)) + HTTP_SCHEME.length + (request > 0 ? PLAIN_TEXT.length : 0);
  return FRAME_HEADER + own + common;
}

/** Returns the HEADERS frame of an answer. */
export function answerHeaders(exchange: HttpExchange, stream: number): string {
  const hasBody = answerBody(exchange) > 0;
  const block = `${field(STATUS, statusText(exchange.status))}${hasBody ? PLAIN_TEXT : ""}`;
  return frame(HEADERS, END_HEADERS | (hasBody ? 0 : END_STREAM), stream, block);
}

/** Returns the length of `answerHeaders`. */
export function answerHeadersLength(exchange: HttpExchange): number {
  return FRAME_HEADER + fieldOctets(3) + (answerBody(exchange) > 0 ? PLAIN_TEXT.length : 0);
}

function frame(type: number, flags: number, stream: number, payload: string): string {
  return `\x00${chars16(payload.length)}${String.fromCharCode(type, flags)}${chars32(stream)}${payload}`;
}

/** A literal field without indexing whose name stands in the static table, its value not Huffman-coded (RFC 7541 section 6.2.2). */
function field(name: number, value: string): string {
  return `${integer(name, 15)}${integer(value.length, 127)}${value}`;
}

/** The length of a field whose name has an index below 15. */
function fieldOctets(valueLength: number): number {
  let octets = 2 + valueLength;
  if (valueLength >= 127) for (let rest = valueLength - 127; ; rest >>>= 7, octets++) if (rest < 128) return octets + 1;
  return octets;
}

/** An integer in a prefix of which `full` is the largest value (RFC 7541 section 5.1). */
function integer(value: number, full: number): string {
  if (value < full) return String.fromCharCode(value);
  let text = String.fromCharCode(full);
  let rest = value - full;
  for (; rest >= 128; rest >>>= 7) text += String.fromCharCode((rest & 127) | 128);
  return text + String.fromCharCode(rest);
}
