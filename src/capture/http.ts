import type { HttpRequest } from "../flow/hints.ts";
import { latin1Text } from "./latin1.ts";

const SPACE = 0x20;
const CARRIAGE_RETURN = 0x0d;
const LINE_FEED = 0x0a;
const MAX_METHOD = 16;
const VERSION = [...Buffer.from("HTTP/1.")];

/**
 * Returns the request whose head begins at `start`, when its request line is whole in this segment, else undefined. Bytes are
 * looked at first: most payloads begin no request, and a string for each would cost more than all the rest of decoding.
 */
export function readHttpRequest(bytes: Uint8Array, start: number, end: number): HttpRequest | undefined {
  let at = start;
  while (at < end && bytes[at] >= 0x41 && bytes[at] <= 0x5a && at - start <= MAX_METHOD) at++;
  if (at - start < 3 || bytes[at] !== SPACE || at >= end) return undefined;
  const method = at;
  at++;
  while (at < end && bytes[at] > SPACE) at++;
  const path = at;
  // " HTTP/1.x" and the line's end.
  if (path + 11 > end || bytes[path] !== SPACE || path === method + 1) return undefined;
  const minor = bytes[path + 8];
  const isVersion = holds(bytes, path + 1, VERSION) && (minor === 0x30 || minor === 0x31);
  if (!isVersion || bytes[path + 9] !== CARRIAGE_RETURN || bytes[path + 10] !== LINE_FEED) return undefined;
  const host = findHost(bytes, path + 11, end)?.match(/^[\x21-\x7e]{1,255}$/)?.[0];
  return { method: latin1Text(bytes, start, method), path: latin1Text(bytes, method + 1, path), ...(host ? { host } : {}) };
}

/** Returns the value of the Host field, if its line is whole here (RFC 9112 section 3.2). */
function findHost(bytes: Uint8Array, from: number, end: number): string | undefined {
  for (let at = from; at < end; ) {
    let stop = at;
    while (stop < end && bytes[stop] !== LINE_FEED) stop++;
    // An empty line ends the head; a line that is not whole has no value.
    if (stop === end || stop - at < 2) return undefined;
    if ((bytes[at] | 0x20) === 0x68 && bytes[at + 4] === 0x3a && latin1Text(bytes, at, at + 4).toLowerCase() === "host")
      return latin1Text(bytes, at + 5, stop).trim();
    at = stop + 1;
  }
  return undefined;
}

function holds(bytes: Uint8Array, at: number, wanted: readonly number[]): boolean {
  for (let i = 0; i < wanted.length; i++) if (bytes[at + i] !== wanted[i]) return false;
  return true;
}
