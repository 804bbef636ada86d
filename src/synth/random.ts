/**
 * A seeded source of random numbers, so that equal seeds give equal traffic: sfc32 (Chris Doty-Humphrey, PractRand: a small fast
 * counting generator of 128 bits of state, with 12 rounds of warming up). Not for secrets.
 */
export class Random {
  #a: number;
  #b: number;
  #c: number;
  #counter = 1;
  /** A normal number that is left over; NaN: none. */
  #spare = Number.NaN;

  /** `purpose` parts streams of one seed: what one draws does not move another. */
  constructor(seed: number, purpose: string) {
    this.#a = mix(seed | 0);
    this.#b = mix(Math.floor(seed / 2 ** 32) ^ 0x9e3779b9);
    this.#c = hashText(purpose);
    for (let round = 0; round < 12; round++) this.word();
  }

  /** Returns 32 random bits as a number from 0 on. */
  word(): number {
    const word = (((this.#a + this.#b) | 0) + this.#counter) | 0;
    this.#counter = (this.#counter + 1) | 0;
    this.#a = this.#b ^ (this.#b >>> 9);
    this.#b = (this.#c + (this.#c << 3)) | 0;
    this.#c = (((this.#c << 21) | (this.#c >>> 11)) + word) | 0;
    return word >>> 0;
  }

  /** Returns a number from 0 (inclusive) to 1 (exclusive). */
  uniform(): number {
    return this.word() / 2 ** 32;
  }

  /** Returns a whole number from 0 to `count` (exclusive), which is at most 2^32. */
  below(count: number): number {
    return Math.floor(this.uniform() * count);
  }

  /** Returns a number of the exponential distribution of a mean: gaps between events of a Poisson process. */
  exponential(mean: number): number {
    return -Math.log(1 - this.uniform()) * mean;
  }

  /** Returns a number of the log-normal distribution: its logarithm is normal, around that of the median, with deviation `sigma`. */
  logNormal(median: number, sigma: number): number {
    return sigma === 0 ? median : median * Math.exp(sigma * this.#normal());
  }

  /** By Box and Muller's transform of two uniform numbers, which gives two normal ones. */
  #normal(): number {
    const spare = this.#spare;
    this.#spare = Number.NaN;
    if (!Number.isNaN(spare)) return spare;
    const radius = Math.sqrt(-2 * Math.log(1 - this.uniform()));
    const angle = 2 * Math.PI * this.uniform();
    this.#spare = radius * Math.sin(angle);
    return radius * Math.cos(angle);
  }
}

/** Chooses among items by their weights. */
export class WeightedChoice<Item> {
  readonly #items: readonly Item[];
  /** The sum of the weights up to each item, its own included. */
  readonly #sums: Float64Array;

  /** INVARIANT: no weight is negative, and one at least is not zero. */
  constructor(items: readonly (readonly [item: Item, weight: number])[]) {
    const chosen = items.filter(([, weight]) => weight > 0);
    this.#items = chosen.map(([item]) => item);
    let sum = 0;
    this.#sums = Float64Array.from(chosen, ([, weight]) => (sum += weight));
  }

  choose(random: Random): Item {
    if (this.#items.length === 1) return this.#items[0];
    const sums = this.#sums;
    const point = random.uniform() * sums[sums.length - 1];
    let [low, high] = [0, sums.length - 1];
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (point < sums[middle]) high = middle;
      else low = middle + 1;
    }
    return this.#items[low];
  }
}

/** Returns a 32-bit number that every other number has another of (MurmurHash3's finalizer, which is a bijection). */
export function mix(word: number): number {
  let mixed = word | 0;
  mixed = Math.imul(mixed ^ (mixed >>> 16), 0x85ebca6b);
  mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35);
  return (mixed ^ (mixed >>> 16)) >>> 0;
}

/** Returns a 32-bit hash of a text (FNV-1a over UTF-16 units, mixed): the same on every machine and in every run. */
export function hashText(text: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  return mix(hash);
}
