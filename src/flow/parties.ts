/** What a log says of one end of a record besides its address. */
export interface LoggedParty {
  /** `namespace/name`; where `aggregate`, `namespace/prefix*` of several pods. */
  readonly pod?: string;
  /** Labels as Cilium writes them: `k8s:app=web`, `reserved:host`. */
  readonly labels?: readonly string[];
  /** What made the pod: `Deployment/web`. */
  readonly workload?: string;
  /** Whether the log is sure of the pod: where no object has that name, the address says nothing of who it was. */
  readonly isSure?: boolean;
  /** Of an end without an address (the id's own is a stand-in): what it is. */
  readonly unaddressed?: "pods" | "node" | "outside" | "unknown";
  /** Of a destination: what was dialled, where the log says that a Service or NAT stands between. */
  readonly via?: { readonly addressId: number; readonly port: number };
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
    const { pod, labels, workload, isSure, unaddressed, via } = party;
    if (pod === undefined && labels === undefined && via === undefined && unaddressed === undefined) return 0;
    const key = JSON.stringify([pod, labels, workload, isSure, unaddressed, via?.addressId, via?.port]);
    let number = this.#numbers.get(key);
    if (number === undefined) this.#numbers.set(key, (number = this.#parties.push(party) - 1));
    return number;
  }

  /** Adds what a later record tells of a party that an earlier one told less of. */
  learn(number: number, { labels, workload }: LoggedParty): void {
    const known = this.#parties[number];
    if ((labels === undefined || known.labels !== undefined) && (workload === undefined || known.workload !== undefined)) return;
    this.#parties[number] = {
      ...known,
      ...(labels && !known.labels ? { labels } : {}),
      ...(workload && !known.workload ? { workload } : {}),
    };
  }

  /** Returns what a tag stands for. Tags of other parties say nothing here. */
  get(tag: number): LoggedParty {
    return this.#parties[tag] ?? this.#parties[0];
  }

  get all(): readonly LoggedParty[] {
    return this.#parties;
  }
}
