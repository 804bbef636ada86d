/** A fixed-size set of small integers, 32 to a word. */
export class BitSet {
  readonly words: Uint32Array;
  readonly size: number;

  constructor(size: number) {
    this.size = size;
    this.words = new Uint32Array((size + 31) >>> 5);
  }

  has(i: number): boolean {
    return (this.words[i >>> 5] & (1 << (i & 31))) !== 0;
  }

  add(i: number): void {
    this.words[i >>> 5] |= 1 << (i & 31);
  }

  get isEmpty(): boolean {
    return this.words.every((word) => word === 0);
  }

  /** Makes this the set of all integers below `size`. */
  fill(): this {
    this.words.fill(0xffffffff);
    if (this.size & 31) this.words[this.words.length - 1] = 2 ** (this.size & 31) - 1;
    return this;
  }

  addAll(other: BitSet): this {
    for (let i = 0; i < this.words.length; i++) this.words[i] |= other.words[i];
    return this;
  }

  retainAll(other: BitSet): this {
    for (let i = 0; i < this.words.length; i++) this.words[i] &= other.words[i];
    return this;
  }

  removeAll(other: BitSet): this {
    for (let i = 0; i < this.words.length; i++) this.words[i] &= ~other.words[i];
    return this;
  }

  copy(): BitSet {
    const copy = new BitSet(this.size);
    copy.words.set(this.words);
    return copy;
  }

  /** Calls `each` for every member, ascending. */
  forEach(each: (i: number) => void): void {
    for (let w = 0; w < this.words.length; w++) {
      for (let word = this.words[w]; word !== 0; word &= word - 1) each((w << 5) | (31 - Math.clz32(word & -word)));
    }
  }
}
