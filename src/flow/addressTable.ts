import { type Address, addressFromWords } from "../net/address.ts";
import { TupleTable } from "./tupleTable.ts";

/**
 * Gives each distinct (address, tag) a small dense id. The tag tells apart what one address stood for in different records of
 * a log; packets use tag 0.
 */
export class AddressTable {
  readonly #tuples: TupleTable;
  readonly #addresses: Address[] = [];

  constructor(seed?: number) {
    this.#tuples = new TupleTable(5, seed);
  }

  get size(): number {
    return this.#tuples.size;
  }

  /** Returns the id of four address words (most significant first) and a tag, giving it one where it is new. */
  intern(w0: number, w1: number, w2: number, w3: number, tag: number): number {
    const { key } = this.#tuples;
    key[0] = w0;
    key[1] = w1;
    key[2] = w2;
    key[3] = w3;
    key[4] = tag;
    return this.#tuples.intern();
  }

  /** Returns the id of an IPv4 address given as a signed or unsigned 32-bit word. */
  internIPv4(word: number): number {
    return this.intern(0, 0, 0xffff, word, 0);
  }

  addressOf(id: number): Address {
    let address = this.#addresses[id];
    if (address === undefined) {
      const tuples = this.#tuples;
      this.#addresses[id] = address = addressFromWords(tuples.get(id, 0), tuples.get(id, 1), tuples.get(id, 2), tuples.get(id, 3));
    }
    return address;
  }

  /** Returns the id of the same address without a tag, giving it one where it has none. */
  plainOf(id: number): number {
    const tuples = this.#tuples;
    return this.intern(tuples.get(id, 0), tuples.get(id, 1), tuples.get(id, 2), tuples.get(id, 3), 0);
  }

  tagOf(id: number): number {
    return this.#tuples.get(id, 4);
  }
}
