import { latin1Text } from "./latin1.ts";

/*
 * DNS answers (RFC 1035, RFC 3596), read only to name the addresses that pods look up. The payload is hostile: every read is
 * bounded, names are not followed through pointers, and a broken message gives what was read before the break.
 */

const A = 1;
const AAAA = 28;
const MAX_NAME = 255; // RFC 1035 section 3.1
const KNOWN = 1 << 13;

/** An address that an answer gave under a name; the address is the `length` (4 or 16) bytes at `offset`. */
export type DnsAddressSink = (name: string, offset: number, length: number) => void;

/**
 * Reads DNS responses. Each address record counts for the name that was *asked* (as Cilium's DNS proxy does), whatever chain of
 * aliases led to it. The same answers come again and again, so those seen lately are passed over before any string is made.
 */
export class DnsReader {
  readonly #known = new Int32Array(KNOWN * 2);
  #nameHash = 0;

  read(bytes: Uint8Array, start: number, end: number, sink: DnsAddressSink): void {
    if (start + 12 > end) return;
    const succeeded = (bytes[start + 2] & 0x80) !== 0 && (bytes[start + 3] & 0x0f) === 0;
    const questions = (bytes[start + 4] << 8) | bytes[start + 5];
    const answers = (bytes[start + 6] << 8) | bytes[start + 7];
    // RFC 9619: a query has one question. mDNS answers without one name nothing that a pod asked for.
    if (!succeeded || answers === 0 || questions !== 1) return;
    const question = start + 12;
    const questionEnd = this.#hashName(bytes, question, end);
    if (questionEnd < 0) return;
    let name: string | undefined;
    let at = questionEnd + 4;
    // A record takes at least 11 bytes, so the message's end bounds the walk.
    for (let i = 0; i < answers; i++) {
      const fields = skipName(bytes, at, end);
      if (fields < 0 || fields + 10 > end) return;
      const type = (bytes[fields] << 8) | bytes[fields + 1];
      const length = (bytes[fields + 8] << 8) | bytes[fields + 9];
      const data = fields + 10;
      if (data + length > end) return;
      if (((type === A && length === 4) || (type === AAAA && length === 16)) && !this.#isKnown(bytes, data, length)) {
        name ??= readName(bytes, question, questionEnd);
        sink(name, data, length);
      }
      at = data + length;
    }
  }

  /** Returns where the uncompressed name at `at` ends, or -1; leaves its hash (without case) in `#nameHash`. */
  #hashName(bytes: Uint8Array, at: number, end: number): number {
    const from = at;
    let hash = 0x811c9dc5;
    while (at < end) {
      const length = bytes[at];
      if (length === 0) {
        this.#nameHash = hash;
        return at + 1;
      }
      if (length > 63 || at + length >= end || at - from + length > MAX_NAME) return -1;
      for (const stop = at + length; at <= stop; at++) hash = Math.imul(hash ^ (bytes[at] | 0x20), 0x01000193);
    }
    return -1;
  }

  #isKnown(bytes: Uint8Array, at: number, length: number): boolean {
    let hash = this.#nameHash;
    let other = length;
    for (let i = at; i < at + length; i++) {
      hash = Math.imul(hash ^ bytes[i], 0x01000193);
      other = Math.imul(other ^ bytes[i], 0x27d4eb2f);
    }
    other ^= this.#nameHash;
    const slot = ((hash ^ (hash >>> 15)) & (KNOWN - 1)) << 1;
    if (this.#known[slot] === hash && this.#known[slot + 1] === other) return true;
    this.#known[slot] = hash;
    this.#known[slot + 1] = other;
    return false;
  }
}

/** Returns the name that a query asks for (RFC 1035 section 4.1.2), undefined for anything else. */
export function readQueryName(bytes: Uint8Array, start: number, end: number): string | undefined {
  if (start + 12 > end || (bytes[start + 2] & 0x80) !== 0 || ((bytes[start + 4] << 8) | bytes[start + 5]) !== 1) return undefined;
  const question = start + 12;
  const questionEnd = skipName(bytes, question, end);
  // A question's name is never compressed.
  if (questionEnd < 0 || questionEnd - question > MAX_NAME || bytes[questionEnd - 1] !== 0) return undefined;
  return readName(bytes, question, questionEnd);
}

/** Returns where a name ends in the record that holds it (a pointer ends it), or -1. */
function skipName(bytes: Uint8Array, at: number, end: number): number {
  while (at < end) {
    const length = bytes[at];
    if (length >= 0xc0) return at + 2;
    if (length === 0) return at + 1;
    if (length > 63) return -1;
    at += 1 + length;
  }
  return -1;
}

/** Returns the dotted name between two offsets, in lower case; bytes that no host name has become `?`, so that it is safe to print. */
function readName(bytes: Uint8Array, from: number, end: number): string {
  const labels: string[] = [];
  for (let at = from; bytes[at] !== 0 && at < end; at += 1 + bytes[at]) {
    const label = latin1Text(bytes, at + 1, at + 1 + bytes[at]);
    labels.push(label.toLowerCase().replace(/[^a-z0-9_-]/g, "?"));
  }
  return labels.join(".");
}
