import type { ByteSource } from "./byteSource.ts";

/** A line longer than any record has: it is counted and passed over, never held. */
const MAX_LINE_BYTES = 1 << 22;

/**
 * Gives the lines of a source as they come, many at once (to wait for each took a quarter of the time of reading it), without their
 * ends; `undefined` stands for one that was too long.
 */
export async function* readLines(source: ByteSource): AsyncGenerator<readonly (string | undefined)[]> {
  let buffer = new Uint8Array(1 << 18);
  let start = 0;
  let end = 0;
  let tooLong = false;
  for (;;) {
    const from = end;
    const answer = source.read(buffer, end);
    const got = typeof answer === "number" ? answer : await answer;
    end += got;
    const lines: (string | undefined)[] = [];
    for (let at = buffer.indexOf(10, from); at >= 0 && at < end; at = buffer.indexOf(10, start)) {
      lines.push(tooLong ? undefined : decodeLine(buffer, start, at));
      tooLong = false;
      start = at + 1;
    }
    if (got === 0 && (end > start || tooLong)) lines.push(tooLong ? undefined : decodeLine(buffer, start, end));
    if (lines.length > 0) yield lines;
    if (got === 0) return;
    if (end - start > MAX_LINE_BYTES) {
      tooLong = true;
      start = end = 0;
    } else if (start > 0) {
      buffer.copyWithin(0, start, end);
      end -= start;
      start = 0;
    }
    if (end > buffer.length / 2) {
      const grown = new Uint8Array(buffer.length * 2);
      grown.set(buffer.subarray(0, end));
      buffer = grown;
    }
  }
}

function decodeLine(buffer: Uint8Array, start: number, end: number): string {
  const stop = end > start && buffer[end - 1] === 13 ? end - 1 : end;
  return Buffer.from(buffer.buffer, start, stop - start).toString("utf8");
}
