import type { Address } from "../net/address.ts";
import type { Prefix } from "../net/prefix.ts";
import { BitSet } from "./bitSet.ts";

/** Prefixes less others. */
export interface Block {
  readonly prefixes: readonly Prefix[];
  readonly except: readonly Prefix[];
}

const IPV4_FIRST = 0xffff00000000n;
const IPV4_AFTER = 0x1000000000000n;
const END = 1n << 128n;

/**
 * Cuts the address space of both families into intervals at the bounds of all blocks; intervals in the same blocks are one
 * class. An address finds its class by binary search.
 */
export class AddressClasses {
  /** Number of classes. */
  readonly size: number;
  readonly #starts: readonly Address[];
  readonly #classOfInterval: Int32Array;
  readonly #members: readonly BitSet[];

  constructor(blocks: readonly Block[]) {
    const cuts = new Set<Address>([0n, IPV4_FIRST, IPV4_AFTER]);
    for (const { prefixes, except } of blocks) for (const { first, last } of [...prefixes, ...except]) cuts.add(first).add(last + 1n);
    this.#starts = [...cuts].filter((cut) => cut < END).sort((a, b) => (a < b ? -1 : a > b ? 1 : 0));
    const intervals = blocks.map((block) => this.#intervalsOf(block));
    this.#classOfInterval = new Int32Array(this.#starts.length);
    this.size = this.#refine(intervals);
    this.#members = intervals.map((set) => {
      const members = new BitSet(this.size);
      set.forEach((interval) => members.add(this.#classOfInterval[interval]));
      return members;
    });
  }

  /** The first address of each interval, ascending; an interval ends before the next one's. */
  get starts(): readonly Address[] {
    return this.#starts;
  }

  classOf(address: Address): number {
    return this.#classOfInterval[this.#intervalOf(address)];
  }

  /** Reports whether the addresses of a class lie in block number `block`. */
  contains(block: number, addressClass: number): boolean {
    return this.#members[block].has(addressClass);
  }

  /** Calls `each` for every class of addresses in a block. */
  forEachIn(block: number, each: (addressClass: number) => void): void {
    this.#members[block].forEach(each);
  }

  #intervalOf(address: Address): number {
    let low = 0;
    let high = this.#starts.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#starts[middle] <= address) low = middle + 1;
      else high = middle;
    }
    return low - 1;
  }

  #intervalsOf({ prefixes, except }: Block): BitSet {
    const set = new BitSet(this.#starts.length);
    for (const prefix of prefixes) this.#each(prefix, (interval) => set.add(interval));
    const cut = new BitSet(this.#starts.length);
    for (const exception of except) this.#each(exception, (interval) => cut.add(interval));
    return set.removeAll(cut);
  }

  /** An IPv6 prefix holds no IPv4 address, though ::/0 spans the mapped range. */
  #each({ first, last, family }: Prefix, each: (interval: number) => void): void {
    for (let i = this.#intervalOf(first); i < this.#starts.length && this.#starts[i] <= last; i++) {
      const start = this.#starts[i];
      if ((start >= IPV4_FIRST && start < IPV4_AFTER) === (family === 4)) each(i);
    }
  }

  /** Splits the intervals by each block's set; returns the number of classes. */
  #refine(sets: readonly BitSet[]): number {
    const classes = this.#classOfInterval;
    let count = 1;
    for (const set of sets) {
      const split = new Map<number, number>();
      set.forEach((interval) => {
        const old = classes[interval];
        let fresh = split.get(old);
        if (fresh === undefined) split.set(old, (fresh = count++));
        classes[interval] = fresh;
      });
    }
    // Numbers of classes that were emptied are given up.
    const dense = new Map<number, number>();
    for (let i = 0; i < classes.length; i++) {
      if (!dense.has(classes[i])) dense.set(classes[i], dense.size);
      classes[i] = dense.get(classes[i])!;
    }
    return dense.size;
  }
}
