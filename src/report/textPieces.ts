import { bitsOf, type Kernel } from "../flow/kernel.ts";

const REGION_BITS = 16;
/** Bytes of UTF-8 that one UTF-16 code unit takes at most. */
const MOST_BYTES = 3;

/** Pieces of text in the kernel's memory (kernel/text.ts), to be put together there. */
export class TextPieces {
  readonly #kernel: Kernel;
  readonly #regions: { readonly address: number; readonly bits: number }[] = [];
  #bytes: Buffer = Buffer.alloc(0);
  /** The same memory. */
  #words: Int32Array = new Int32Array(0);
  #used = 0;

  constructor(kernel: Kernel) {
    this.#kernel = kernel;
  }

  /** Returns the address of a piece. */
  add(text: string): number {
    // No character takes more bytes in UTF-8; counting them beforehand takes as long as writing them.
    const at = this.#take(4 + MOST_BYTES * text.length);
    const length = this.#bytes.write(text, at + 4);
    this.#words[at >> 2] = length;
    this.#used = at + 4 + length;
    return this.#bytes.byteOffset + at;
  }

  /** Returns the address of words: mostly addresses of pieces. */
  addWords(words: readonly number[]): number {
    const at = this.#take(4 * words.length);
    for (let i = 0; i < words.length; i++) this.#words[(at >> 2) + i] = words[i];
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
    this.#words = new Int32Array(0);
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
    this.#words = this.#kernel.words(address, 2 ** (bits - 2));
    this.#used = count;
    return 0;
  }
}
