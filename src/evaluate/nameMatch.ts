import type { Address } from "../net/address.ts";
import type { NamePattern } from "../policy/model.ts";
import { compileRegex, literalOf } from "../policy/regex.ts";

/** What is known of the DNS names of addresses. */
export interface KnownNames {
  /** Every address of which it is known which names led to it (perhaps none), with those, in lower case without the final dot. */
  entries(): Iterable<readonly [Address, readonly string[]]>;
}

export const NO_NAMES: KnownNames = { entries: () => [] };

/** Finds the addresses that DNS names stood for. */
export class NamesOfAddresses {
  readonly #known: KnownNames;
  #addressesByName: Map<string, Address[]> | undefined;
  readonly #named: Address[] = [];

  constructor(known: KnownNames) {
    this.#known = known;
  }

  /** Returns the addresses that a name holding any of the patterns led to, and all whose names are known. */
  addressesOf(patterns: readonly NamePattern[]): { matching: readonly Address[]; named: readonly Address[] } {
    const byName = (this.#addressesByName ??= this.#index());
    const matching = new Set<Address>();
    for (const { regex } of patterns) {
      const literal = literalOf(regex);
      if (literal !== undefined) {
        for (const address of byName.get(literal) ?? []) matching.add(address);
        continue;
      }
      const matches = compileRegex(regex);
      for (const [name, addresses] of byName) if (matches(name)) for (const address of addresses) matching.add(address);
    }
    return { matching: [...matching], named: this.#named };
  }

  #index(): Map<string, Address[]> {
    const byName = new Map<string, Address[]>();
    for (const [address, names] of this.#known.entries()) {
      this.#named.push(address);
      for (const name of names) {
        const plain = name.toLowerCase().replace(/\.$/, "");
        const addresses = byName.get(plain);
        if (addresses === undefined) byName.set(plain, [address]);
        else addresses.push(address);
      }
    }
    return byName;
  }
}
