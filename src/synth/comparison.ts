import type { Pod } from "../cluster/objects.ts";
import { BitSet } from "../evaluate/bitSet.ts";
import { compileConnectivity, type Judged } from "../evaluate/compare.ts";
import type { Connectivity } from "../evaluate/connectivity.ts";
import { type Batch, type Batches, mutatedSet } from "./batches.ts";
import { differenceOf } from "./differences.ts";
import type { Mutation } from "./mutations.ts";
import type { AskedConnection, ProbeWorld } from "./probe.ts";

/** What a mutation changes: proven. */
export interface ProvenDifference {
  /** A connection that shows it; undefined: it hangs on requests or labels of which none could be made up. */
  readonly example: AskedConnection | undefined;
}

/** Compares a policy set with its mutations, exactly, over all ends and ports of the cluster. */
export class Comparison {
  readonly #judged: Judged;
  readonly #world: ProbeWorld;
  readonly #batches: Batches;
  /** By pod: its number in the batches. */
  readonly #numbers: ReadonlyMap<Pod, number>;

  /** `batches` are of the pods of the cluster as it is. */
  constructor(judged: Judged, world: ProbeWorld, batches: Batches) {
    this.#judged = judged;
    this.#world = world;
    this.#batches = batches;
    this.#numbers = new Map(batches.pods.map((pod, i) => [pod, i]));
  }

  /** Returns what mutations change, by number; those that are left out change nothing. `wanted`: their numbers. */
  differences(mutations: readonly Mutation[], wanted: readonly number[], progress: (done: number) => void): Map<number, ProvenDifference> {
    const found = new Map<number, ProvenDifference>();
    let done = 0;
    for (const batch of this.#batches.of(mutations, wanted)) {
      this.#compareTogether(batch, mutations, found);
      progress((done += batch.members.length));
    }
    return found;
  }

  /** Compiles all mutations of a batch at once; each is compared with what policies other than its own leave as it was. */
  #compareTogether({ members, reaches }: Batch, mutations: readonly Mutation[], found: Map<number, ProvenDifference>): void {
    const changed = mutatedSet(
      this.#judged.set,
      members.map((m) => mutations[m]),
    );
    const connectivity = compileConnectivity([this.#judged, { ...this.#judged, set: changed }]);
    members.forEach((m, i) => {
      const concerned = classesOf(connectivity, (pod) => reaches[i].has(this.#numbers.get(pod) ?? -1));
      const links = connectivity.differences(concerned);
      if (links.length > 0) found.set(m, { example: differenceOf(connectivity, links, this.#world) });
    });
  }
}

function classesOf({ classes }: Connectivity, isIn: (pod: Pod) => boolean): BitSet {
  const set = new BitSet(classes.length);
  classes.forEach(({ members }, number) => {
    if (members.some(([pod]) => pod !== undefined && isIn(pod))) set.add(number);
  });
  return set;
}
