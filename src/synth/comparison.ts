import { BitSet } from "../evaluate/bitSet.ts";
import { compileConnectivity, type Judged } from "../evaluate/compare.ts";
import type { Connectivity, EndSet, Link } from "../evaluate/connectivity.ts";
import { outsideNames } from "../evaluate/otherEnds.ts";
import type { PolicySet } from "../policy/model.ts";
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
  readonly #set: PolicySet;
  readonly #judgedOf: (set: PolicySet) => Judged;
  readonly #judged: Judged;
  readonly #world: ProbeWorld;
  readonly #batches: Batches;

  constructor(set: PolicySet, judgedOf: (set: PolicySet) => Judged, world: ProbeWorld, batches: Batches) {
    this.#set = set;
    this.#judgedOf = judgedOf;
    this.#judged = judgedOf(set);
    this.#world = world;
    this.#batches = batches;
  }

  /** Returns what mutations change, by number; those that are left out change nothing. `wanted`: their numbers. */
  differences(mutations: readonly Mutation[], wanted: readonly number[], progress: (done: number) => void): Map<number, ProvenDifference> {
    const found = new Map<number, ProvenDifference>();
    let done = 0;
    for (const batch of this.#batches.of(mutations, wanted)) {
      for (const m of this.#compareTogether(batch, mutations, found)) {
        const { connectivity, links, names } = this.#compare([mutations[m]]);
        if (links.length > 0) found.set(m, { example: differenceOf(connectivity, links, names, this.#world) });
      }
      progress((done += batch.members.length));
    }
    return found;
  }

  #compare(mutations: readonly Mutation[]) {
    const changed = mutatedSet(this.#set, mutations);
    const connectivity = compileConnectivity([this.#judged, this.#judgedOf(changed)]);
    const names = outsideNames([...this.#set.policies, ...changed.policies]);
    return { connectivity, links: connectivity.differences(), names };
  }

  /** Compares with all mutations of a batch at once. Returns those of which that does not tell whether they change anything. */
  #compareTogether({ members, reaches }: Batch, mutations: readonly Mutation[], found: Map<number, ProvenDifference>): number[] {
    const { connectivity, links, names } = this.#compare(members.map((m) => mutations[m]));
    if (links.length === 0) return [];
    const numbers = new Map(this.#batches.pods.map((pod, i) => [pod, i]));
    const owned = reaches.map((reach) => classesOf(connectivity, (pod) => reach.has(numbers.get(pod) ?? -1)));
    const owners = new BitSet(connectivity.classes.length);
    for (const classes of owned) owners.addAll(classes);
    return members.filter((m, i) => {
      const own = owned[i];
      const free = new BitSet(owners.size).fill().removeAll(owners).addAll(own);
      const concerned = links.filter(({ sources, destinations }) => meets(sources, own) || meets(destinations, own));
      if (concerned.length === 0) return false;
      // Where another mutation concerns the other end, either may be the cause.
      const sure = concerned.flatMap((link) => [...narrowed(link, own, free), ...narrowed(link, free, own)]);
      if (sure.length > 0) found.set(m, { example: differenceOf(connectivity, sure, names, this.#world) });
      return sure.length === 0;
    });
  }
}

function classesOf(
  { classes }: Connectivity,
  isIn: (pod: NonNullable<Connectivity["classes"][number]["members"][number][number]>) => boolean,
): BitSet {
  const set = new BitSet(classes.length);
  classes.forEach(({ members }, number) => {
    if (members.some(([pod]) => pod !== undefined && isIn(pod))) set.add(number);
  });
  return set;
}

function meets(set: EndSet, classes: BitSet): boolean {
  return set.kind === "pods" && !set.classes.copy().retainAll(classes).isEmpty;
}

/** Returns a link between those of its ends that are in some classes; what is no pod is in all. */
function narrowed(link: Link, from: BitSet, to: BitSet): Link[] {
  const within = (set: EndSet, classes: BitSet): EndSet | undefined => {
    if (set.kind !== "pods") return set;
    const own = set.classes.copy().retainAll(classes);
    return own.isEmpty ? undefined : { kind: "pods", classes: own };
  };
  const [sources, destinations] = [within(link.sources, from), within(link.destinations, to)];
  return sources === undefined || destinations === undefined ? [] : [{ ...link, sources, destinations }];
}
