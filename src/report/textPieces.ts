import { bitsOf, type Kernel } from "../flow/kernel.ts";

const REGION_BITS = 16;

/** Pieces of text in the kernel's memory (kernel/text.ts), to be put together there. */
export class TextPieces {
  readonly #kernel: Kernel;
  readonly #regions: { readonly address: number; readonly bits: number }[] = [];
  #bytes: Buffer = Buffer.alloc(0);
  #used = 0;

  constructor(kernel: Kernel) {
    this.#kernel = kernel;
  }

  /** Returns the address of a piece. */
  add(text: string): number {
    const at = this.#take(4 + Buffer.byteLength(text));
    this.#bytes.writeInt32LE(this.#bytes.write(text, at + 4), at);
    return this.#bytes.byteOffset + at;
  }

  /** Returns the address of words: mostly addresses of pieces. */
  addWords(words: readonly number[]): number {
    const at = this.#take(4 * words.length);
    words.forEach((word, i) => this.#bytes.writeInt32LE(word | 0, at + 4 * i));
    return this.#bytes.byteOffset + at;
  }

  /** Forgets what was added, and keeps the memory. */
  clear(): void {
    this.#used = 0;
  }

  /** Gives the memory back. */
  release(): void {
    for (const { address, bits } of this.#regions) this.#kernel.calls.release(address, bits);
    this.#regions.length = 0;
    this.#bytes = Buffer.alloc(0);
  }

  /** Returns where in `#bytes` there is room for so many more. */
  #take(count: number): number {
    // Words lie where the processor likes them.
    const at = (this.#used + 3) & ~3;
    this.#used = at + count;
    if (this.#used <= this.#bytes.length) return at;
    const bits = Math.max(REGION_BITS, bitsOf(count));
    const address = this.#kernel.calls.allocate(bits) >>> 0;
    this.#regions.push({ address, bits });
    const { buffer } = this.#kernel.octets(address, count);
    this.#bytes = Buffer.from(buffer, address, 2 ** bits);
    this.#used = count;
    return 0;
  }
}
