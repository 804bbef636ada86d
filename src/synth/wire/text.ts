/*
 * Names, paths and hosts come from policies: they are cut to what a protocol holds, and a byte that would end a field early (a line
 * break in a path) becomes `_`. The length does not change by that, so that `measure` need not look at the characters.
 */

/** RFC 9112 section 3 asks of every recipient to take request lines of 8000 bytes. */
export const MOST_PATH = 8000;
/** RFC 1035 section 3.1, without the root. */
export const MOST_HOST = 253;
export const MOST_METHOD = 32;

const UNSEEN = /[^!-~]/;

/** Returns a text of visible ASCII characters only, at least one and at most `most` long. */
export function fieldText(text: string, most: number): string {
  if (text.length === 0) return "/";
  const cut = text.length > most ? text.slice(0, most) : text;
  return UNSEEN.test(cut) ? Array.from({ length: cut.length }, (_, i) => (UNSEEN.test(cut[i]) ? "_" : cut[i])).join("") : cut;
}

/** Returns the length of `fieldText`. */
export function fieldLength(text: string, most: number): number {
  return Math.min(Math.max(text.length, 1), most);
}

/** Returns the bytes of a text whose characters are bytes. */
export function latin1Bytes(text: string): Uint8Array {
  return Buffer.from(text, "latin1");
}

/** A 16-bit number in network order, as two characters. */
export function chars16(value: number): string {
  return String.fromCharCode((value >>> 8) & 255, value & 255);
}

/** A 32-bit number in network order, as four characters. */
export function chars32(value: number): string {
  return chars16(value >>> 16) + chars16(value & 0xffff);
}
