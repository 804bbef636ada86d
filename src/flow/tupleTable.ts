/**
 * Gives each distinct tuple of `width` 32-bit integers a dense id, counted from 0. Open addressing over typed arrays: no object
 * a tuple. Fill `key`, then call `intern` or `find`.
 */
export class TupleTable {
  readonly key: Int32Array;
  readonly #width: number;
  readonly #seed: number;
  #cells: Int32Array;
  #index = new Int32Array(1 << 12);
  #size = 0;
  /** Hash of the key that was looked for last. */
  #hashed = 0;

  /** `seed` keys the hash: input made to collide under one seed does not collide under the next run's. */
  constructor(width: number, seed: number = (Math.random() * 0x7fffffff) | 0) {
    this.key = new Int32Array(width);
    this.#width = width;
    this.#seed = seed | 1;
    this.#cells = new Int32Array(width << 10);
  }

  get size(): number {
    return this.#size;
  }

  /** Returns the id of `key`, giving it one where it is new. */
  intern(): number {
    const slot = this.#probe();
    const found = this.#index[slot] - 1;
    if (found >= 0) return found;
    const id = this.#size++;
    const width = this.#width;
    if (this.#size * width > this.#cells.length) {
      const grown = new Int32Array(this.#cells.length * 2);
      grown.set(this.#cells);
      this.#cells = grown;
    }
    for (let i = 0; i < width; i++) this.#cells[id * width + i] = this.key[i];
    this.#index[slot] = id + 1;
    this.#index[slot + 1] = this.#hashed;
    if (this.#size * 4 > this.#index.length) this.#grow();
    return id;
  }

  /** Returns the id of `key`, or -1. */
  find(): number {
    return this.#index[this.#probe()] - 1;
  }

  /** Returns element `column` of a tuple. */
  get(id: number, column: number): number {
    return this.#cells[id * this.#width + column];
  }

  /** Returns a table of the same tuples with the same ids. */
  clone(): TupleTable {
    const copy = new TupleTable(this.#width, this.#seed);
    copy.#cells = this.#cells.slice();
    copy.#index = this.#index.slice();
    copy.#size = this.#size;
    return copy;
  }

  #hash(): number {
    const { key } = this;
    let hash = this.#seed;
    for (let i = 0; i < this.#width; i++) hash = Math.imul(hash ^ key[i] ^ (key[i] >>> 15), 0x2c1b3c6d + (i << 1)) ^ (hash >>> 13);
    hash = Math.imul(hash ^ (hash >>> 15), this.#seed);
    return hash ^ (hash >>> 13);
  }

  #probe(): number {
    const index = this.#index;
    const cells = this.#cells;
    const { key } = this;
    const width = this.#width;
    const mask = index.length - 2;
    const hash = this.#hash();
    this.#hashed = hash;
    for (let slot = (hash << 1) & mask; ; slot = (slot + 2) & mask) {
      if (index[slot] === 0) return slot;
      if (index[slot + 1] !== hash) continue;
      const cell = (index[slot] - 1) * width;
      let i = 0;
      while (i < width && cells[cell + i] === key[i]) i++;
      if (i === width) return slot;
    }
  }

  #grow(): void {
    const old = this.#index;
    const index = new Int32Array(old.length * 2);
    const mask = index.length - 2;
    for (let from = 0; from < old.length; from += 2) {
      if (old[from] === 0) continue;
      let slot = (old[from + 1] << 1) & mask;
      while (index[slot] !== 0) slot = (slot + 2) & mask;
      index[slot] = old[from];
      index[slot + 1] = old[from + 1];
    }
    this.#index = index;
  }
}
