import { type Address, addressFromIPv4, addressFromWords } from "../net/address.ts";

const MAX_NAMES_AN_ADDRESS = 32;
const MAX_ADDRESSES = 1_000_000;

/** Names of addresses: from DNS answers, records and files. Bounded, since answers are hostile input; what is left out is counted. */
export class NameTable {
  readonly #names = new Map<Address, string[]>();
  /** Names that were not kept because a bound was reached. */
  leftOut = 0;

  add(address: Address, name: string): void {
    let names = this.#names.get(address);
    if (names === undefined) {
      if (this.#names.size >= MAX_ADDRESSES) {
        this.leftOut++;
        return;
      }
      names = [];
      this.#names.set(address, names);
    }
    if (names.includes(name)) return;
    if (names.length >= MAX_NAMES_AN_ADDRESS) this.leftOut++;
    else names.push(name);
  }

  /** Says that all names of an address are told, though there be none. */
  know(address: Address): void {
    if (!this.#names.has(address) && this.#names.size < MAX_ADDRESSES) this.#names.set(address, []);
  }

  /** Every address of which it is told which names it has, with those. */
  entries(): Iterable<readonly [Address, readonly string[]]> {
    return this.#names;
  }

  /** Adds the name of an address given as the 4 or 16 bytes of a DNS record. */
  addFromBytes(name: string, bytes: Uint8Array, offset: number, length: number): void {
    if (name === "") return;
    const word = (at: number) => ((bytes[at] << 24) | (bytes[at + 1] << 16) | (bytes[at + 2] << 8) | bytes[at + 3]) >>> 0;
    if (length === 4) this.add(addressFromIPv4(word(offset)), name);
    else this.add(addressFromWords(word(offset), word(offset + 4), word(offset + 8), word(offset + 12)), name);
  }

  /** Returns the names of an address, sorted. */
  namesOf(address: Address): readonly string[] {
    return [...(this.#names.get(address) ?? [])].sort();
  }

  get size(): number {
    return this.#names.size;
  }
}
