import { type Address, addressFromWords } from "../net/address.ts";

/** What a log says of one end of a record besides its address. */
export interface LoggedParty {
  /** `namespace/name`; of an end without an address also `namespace/prefix*`, several pods. */
  readonly pod?: string;
  /** Labels as Cilium writes them: `k8s:app=web`, `reserved:host`. */
  readonly labels?: readonly string[];
  /** What made the pod: `Deployment/web`. */
  readonly workload?: string;
  /** Whether the log is sure of the pod: where no object has that name, the address says nothing of who it was. */
  readonly isSure?: boolean;
  /** Of an end without an address (`standInFor`): what it is; `perhaps-pods`: pods where objects hold them; `host`: a node, or a host outside. */
  readonly unaddressed?: "pods" | "perhaps-pods" | "node" | "host" | "outside" | "unknown";
  /** Of such an end that is no pod: what the log calls it. */
  readonly called?: string;
  /** Of a destination: what was dialled, where the log says that a Service or NAT stands between. */
  readonly via?: { readonly addressId: number; readonly port: number };
}

/** Addresses that stand for ends without one: 100::/64, from which no packet may come (RFC 6666). */
const STAND_IN_HIGH = 0x01000000;

/** Returns the address that stands for an end of which a log tells a party and no address. */
export function standInFor(tag: number): Address {
  return addressFromWords(STAND_IN_HIGH, 0, 0, tag);
}

/** Gives what logs say of ends a number: the tag of their addresses in the address table. Tag 0 says nothing. */
export class LoggedParties {
  readonly #parties: LoggedParty[] = [{}];
  readonly #numbers = new Map<string, number>();

  /** Number of parties, the one that says nothing included. */
  get size(): number {
    return this.#parties.length;
  }

  intern(party: LoggedParty): number {
    const { pod, labels, workload, isSure, unaddressed, called, via } = party;
    if (pod === undefined && labels === undefined && via === undefined && unaddressed === undefined) return 0;
    const key = JSON.stringify([pod, labels, workload, isSure, unaddressed, called, via?.addressId, via?.port]);
    let number = this.#numbers.get(key);
    if (number === undefined) this.#numbers.set(key, (number = this.#parties.push(party) - 1));
    return number;
  }

  /** Returns what a tag stands for. Tags of other parties say nothing here. */
  get(tag: number): LoggedParty {
    return this.#parties[tag] ?? this.#parties[0];
  }

  get all(): readonly LoggedParty[] {
    return this.#parties;
  }
}
