/** What a log says of one end of a record besides its address. */
export interface LoggedParty {
  /** `namespace/name`. */
  readonly pod?: string;
  /** Labels as Cilium writes them: `k8s:app=web`, `reserved:host`. */
  readonly labels?: readonly string[];
  /** Whether the log is sure of the pod: where no object has that name, the address says nothing of who it was. */
  readonly isSure?: boolean;
  /** Of a destination: what was dialled, where the log says that a Service or NAT stands between. */
  readonly via?: { readonly addressId: number; readonly port: number };
}

/** Gives what logs say of ends a number: the tag of their addresses in the address table. Tag 0 says nothing. */
export class LoggedParties {
  readonly #parties: LoggedParty[] = [{}];
  readonly #numbers = new Map<string, number>();

  intern(party: LoggedParty): number {
    const { pod, labels, isSure, via } = party;
    if (pod === undefined && labels === undefined && via === undefined) return 0;
    const key = JSON.stringify([pod, labels, isSure, via?.addressId, via?.port]);
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
