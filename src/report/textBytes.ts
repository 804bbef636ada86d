/** Put together at a time: a million connections must not be a million writes. */
const PIECE_BYTES = 1 << 17;

/** Gathers text as bytes, piece by piece. */
export class TextBytes {
  #bytes = Buffer.allocUnsafeSlow(PIECE_BYTES + (PIECE_BYTES >> 3));
  #length = 0;

  get isFull(): boolean {
    return this.#length >= PIECE_BYTES;
  }

  add(text: string): void {
    // UTF-8 takes at most three bytes for a UTF-16 unit.
    this.#makeRoom(text.length * 3);
    this.#length += this.#bytes.write(text, this.#length);
  }

  /** Returns what was gathered, valid until more is added, and begins anew. */
  take(): Buffer {
    const taken = this.#bytes.subarray(0, this.#length);
    this.#length = 0;
    return taken;
  }

  #makeRoom(count: number): void {
    if (this.#length + count <= this.#bytes.length) return;
    const grown = Buffer.allocUnsafeSlow(2 * (this.#length + count));
    grown.set(this.#bytes.subarray(0, this.#length));
    this.#bytes = grown;
  }
}
