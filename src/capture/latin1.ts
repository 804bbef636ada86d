/** The buffer that text was read from last, as a Buffer: a capture is read through one, and making a Buffer a text costs most of it. */
let latest: Buffer = Buffer.alloc(0);

/** Returns bytes as text, a character a byte. */
export function latin1Text(bytes: Uint8Array, start: number, end: number): string {
  if (latest.buffer !== bytes.buffer) latest = Buffer.from(bytes.buffer);
  return latest.toString("latin1", bytes.byteOffset + start, bytes.byteOffset + end);
}
