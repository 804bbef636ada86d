import type { Pod } from "../cluster/objects.ts";
import { BitSet } from "../evaluate/bitSet.ts";
import type { Evaluator } from "../evaluate/evaluator.ts";
import { DIRECTIONS, type Policy, type PolicySet } from "../policy/model.ts";
import type { Mutation } from "./mutations.ts";

/** Mutations that are made to one set together; no two of them concern the same pod. */
export interface Batch {
  /** Numbers of mutations. */
  readonly members: number[];
  /** By member: numbers of the pods that it may concern. */
  readonly reaches: BitSet[];
  readonly reach: BitSet;
}

/**
 * Puts mutations together whose policies govern different pods: what the policies on a pod say is then one mutation's doing, so that one
 * compiled set answers for many.
 */
export class Batches {
  readonly pods: readonly Pod[];
  readonly #selected = new Map<Policy, BitSet>();

  /** `evaluator` is of the set without mutations. */
  constructor(evaluator: Evaluator, pods: readonly Pod[]) {
    this.pods = pods;
    pods.forEach((pod, number) => {
      const participant = evaluator.classify({ type: "pod", pod, address: pod.addresses[0] });
      for (const direction of DIRECTIONS)
        for (const { policy } of evaluator.policiesOf(participant, direction)) {
          let selected = this.#selected.get(policy);
          if (selected === undefined) this.#selected.set(policy, (selected = new BitSet(pods.length)));
          selected.add(number);
        }
    });
  }

  /** `wanted`: numbers of the mutations that are asked about. Those that concern no pod are left out. */
  of(mutations: readonly Mutation[], wanted: Iterable<number> = mutations.keys()): Batch[] {
    const batches: Batch[] = [];
    const next = new Map<Policy, number>();
    for (const m of wanted) {
      const mutation = mutations[m];
      const reach = this.#reachOf(mutation);
      if (reach.isEmpty) continue;
      // Those of one policy never share a batch; one that changes whom it selects reaches further than the others, and says nothing of them.
      const isUsual = reach === this.#selected.get(mutation.policy);
      let at = (isUsual ? next.get(mutation.policy) : undefined) ?? 0;
      while (at < batches.length && meet(batches[at].reach, reach)) at++;
      if (isUsual) next.set(mutation.policy, at + 1);
      if (at === batches.length) batches.push({ reach: reach.copy(), members: [m], reaches: [reach] });
      else {
        batches[at].reach.addAll(reach);
        batches[at].members.push(m);
        batches[at].reaches.push(reach);
      }
    }
    return batches;
  }

  /** The pods that a mutation may concern: those that its policy selects, or may select once it is made. */
  #reachOf({ policy, after }: Mutation): BitSet {
    if (after === undefined || after.subject === policy.subject) return this.#selected.get(policy) ?? new BitSet(this.pods.length);
    const reach = new BitSet(this.pods.length);
    const { namespaces } = after.subject;
    this.pods.forEach((pod, number) => {
      if (!("name" in namespaces) || namespaces.name === pod.namespace) reach.add(number);
    });
    return reach;
  }
}

/** Returns a set with mutations made. */
export function mutatedSet(set: PolicySet, mutations: readonly Pick<Mutation, "policy" | "after">[]): PolicySet {
  const changed = new Map(mutations.map(({ policy, after }) => [policy, after]));
  const policies = set.policies.flatMap((policy) => {
    if (!changed.has(policy)) return [policy];
    const after = changed.get(policy);
    return after === undefined ? [] : [after];
  });
  return { ...set, policies };
}

function meet(a: BitSet, b: BitSet): boolean {
  return a.words.some((word, i) => (word & b.words[i]) !== 0);
}
