import type { Identities } from "./identities.ts";
import type { PortClasses } from "./portClasses.ts";

/** A port name as a rule uses it: names are looked up among the containers' ports of the same protocol. */
export interface NamedPort {
  readonly protocol: number;
  readonly name: string;
}

const MAX_DENSE = 1 << 23;

/** The set of names of a destination that may have any: no set of known names is like it. */
const ANY_NAMES = 1;

/**
 * Says which port names mean a port at an identity. Sets of names are numbered; set 0 is empty. A pod declares few ports with
 * names, so they stand in a short list each.
 */
export class NamedPorts {
  /** Where each identity's list begins; the next one's beginning ends it. */
  readonly #starts: Int32Array;
  readonly #portClasses: Int32Array;
  readonly #setNumbers: Int32Array;
  readonly #sets: ReadonlySet<string>[] = [new Set(), new Set()];
  /** The same as a table from identity and port class to set, where that is small: one look-up. */
  readonly #dense: Uint8Array | undefined;
  readonly #portCount: number;
  /** By identity. */
  readonly #hasAnyNames: Uint8Array;

  /** `used` holds the names that policies use; others mean nothing. */
  constructor(identities: Identities, ports: PortClasses, used: ReadonlySet<string>) {
    const numbers = new Map<string, number>([["", 0]]);
    this.#hasAnyNames = Uint8Array.from({ length: identities.size }, (_, identity) => (identities.hasUnknownPorts(identity) ? 1 : 0));
    const entries: { portClass: number; set: number }[][] = [];
    for (let identity = 0; identity < identities.size; identity++) {
      const names = new Map<number, Set<string>>();
      for (const { name, port, protocol } of identities.get(identity)?.ports ?? []) {
        if (name === undefined || !used.has(name)) continue;
        ports.forEachIn({ protocol, first: port, last: port }, (portClass) =>
          names.set(portClass, (names.get(portClass) ?? new Set()).add(`${protocol}/${name}`)),
        );
      }
      entries.push([...names].map(([portClass, set]) => ({ portClass, set: this.#intern(numbers, set) })));
    }
    this.#starts = new Int32Array(identities.size + 1);
    entries.forEach((list, identity) => {
      this.#starts[identity + 1] = this.#starts[identity] + list.length;
    });
    this.#portClasses = Int32Array.from(entries.flat(), ({ portClass }) => portClass);
    this.#setNumbers = Int32Array.from(entries.flat(), ({ set }) => set);
    this.#portCount = ports.samples.length;
    if (this.#sets.length > 255 || identities.size * this.#portCount > MAX_DENSE) return;
    const dense = new Uint8Array(identities.size * this.#portCount);
    entries.forEach((list, identity) => {
      if (this.#hasAnyNames[identity] === 1) dense.fill(ANY_NAMES, identity * this.#portCount, (identity + 1) * this.#portCount);
      for (const { portClass, set } of list) dense[identity * this.#portCount + portClass] = set;
    });
    this.#dense = dense;
  }

  get setCount(): number {
    return this.#sets.length;
  }

  /** Returns the number of the set of names that mean a port at an identity. */
  setOf(identity: number, portClass: number): number {
    if (this.#dense !== undefined) return this.#dense[identity * this.#portCount + portClass];
    if (this.#hasAnyNames[identity] === 1) return ANY_NAMES;
    const end = this.#starts[identity + 1];
    for (let at = this.#starts[identity]; at < end; at++) if (this.#portClasses[at] === portClass) return this.#setNumbers[at];
    return 0;
  }

  /** Reports whether ports of any name may be at an identity. */
  hasAnyNames(identity: number): boolean {
    return this.#hasAnyNames[identity] === 1;
  }

  /** Calls back for each port class of an identity that names mean there, with the number of the set of these names. */
  forEachOf(identity: number, each: (portClass: number, set: number) => void): void {
    for (let at = this.#starts[identity]; at < this.#starts[identity + 1]; at++) each(this.#portClasses[at], this.#setNumbers[at]);
  }

  /** Reports whether a set is of a destination that may have ports of any name. */
  isAny(set: number): boolean {
    return set === ANY_NAMES;
  }

  /** Reports whether a name means a port of any pod. */
  isMeant({ protocol, name }: NamedPort): boolean {
    return this.#sets.some((set) => set.has(`${protocol}/${name}`));
  }

  /** Reports whether a set holds a name. */
  holds(set: number, { protocol, name }: NamedPort): boolean {
    return this.#sets[set].has(`${protocol}/${name}`);
  }

  #intern(numbers: Map<string, number>, set: ReadonlySet<string>): number {
    const key = JSON.stringify([...set].sort());
    let number = numbers.get(key);
    if (number === undefined) numbers.set(key, (number = this.#sets.push(set) - 1));
    return number;
  }
}
