import { mix } from "./entropy.ts";

/** Contents repeat after so many bytes. */
const PERIOD = 1 << 16;
/** More than any run that is copied at once: a run never has to wrap. */
const LONGEST_RUN = 1 << 11;

/**
 * Text of numbered lines in small letters: no reader takes it for a request, a tunnel or a handshake. Bodies that are sent in the
 * clear are made of it.
 */
export const TEXT: Uint8Array = makeText();

/** Random-looking bytes: what is encrypted, and random fields. */
export const NOISE: Uint8Array = makeNoise();

/** Copies a run of at most 2048 bytes that stands at `position` of an endless repetition of TEXT or NOISE. */
export function copyFiller(filler: Uint8Array, position: number, target: Uint8Array, at: number, length: number): void {
  const from = position & (PERIOD - 1); // bitwise: the remainder of a division took longer than the copy
  target.set(filler.subarray(from, from + length), at);
}

function makeText(): Uint8Array {
  const lines = Array.from({ length: PERIOD >> 6 }, (_, line) => {
    return `line ${String(line).padStart(4, "0")} of a body that stands for what some program says here\n`;
  });
  return repeated(Buffer.from(lines.join(""), "latin1"));
}

function makeNoise(): Uint8Array {
  return repeated(Uint8Array.from({ length: PERIOD }, (_, i) => mix(i, 0)));
}

function repeated(period: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(PERIOD + LONGEST_RUN);
  bytes.set(period);
  bytes.set(period.subarray(0, LONGEST_RUN), PERIOD);
  return bytes;
}
