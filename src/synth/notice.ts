import type { Pod } from "../cluster/objects.ts";
import { BitSet } from "../evaluate/bitSet.ts";
import { combine } from "../evaluate/decision.ts";
import type { Evaluator } from "../evaluate/evaluator.ts";
import type { Judgement } from "../evaluate/judge.ts";
import type { Policy, PolicySet } from "../policy/model.ts";
import type { Mutation } from "./mutations.ts";

/** Connections that a policy set is asked about: observed ones, or probes. */
export interface AskedTraffic {
  readonly size: number;
  /** The pods at one end each; policies can select no others. */
  sourceOf(i: number): Pod | undefined;
  destinationsOf(i: number): readonly Pod[];
  judge(i: number, evaluator: Evaluator): Judgement;
}

const DIRECTIONS = ["ingress", "egress"] as const;

/**
 * Says for each mutation which connection is the first whose verdict it changes; -1: none is. Mutations whose policies govern different
 * pods are compiled into one set: what the policies on a pod say is one mutation's doing there.
 */
export class Notice {
  readonly #set: PolicySet;
  readonly #traffic: AskedTraffic;
  readonly #compile: (set: PolicySet) => Evaluator;
  readonly #base: readonly Judgement[];
  readonly #pods: readonly Pod[];
  readonly #asked: readonly (readonly number[])[];
  readonly #numbers: ReadonlyMap<Pod, number>;
  readonly #selected: ReadonlyMap<Policy, BitSet>;

  constructor(set: PolicySet, traffic: AskedTraffic, compile: (set: PolicySet) => Evaluator) {
    this.#set = set;
    this.#traffic = traffic;
    this.#compile = compile;
    const evaluator = compile(set);
    this.#base = Array.from({ length: traffic.size }, (_, i) => traffic.judge(i, evaluator));
    const numbers = new Map<Pod, number>();
    const asked: number[][] = [];
    for (let i = 0; i < traffic.size; i++)
      for (const pod of podsOf(traffic, i)) {
        const number = numbers.get(pod) ?? numbers.size;
        numbers.set(pod, number);
        const own = (asked[number] ??= []);
        if (own[own.length - 1] !== i) own.push(i);
      }
    this.#numbers = numbers;
    this.#asked = asked;
    this.#pods = [...numbers.keys()];
    const selected = new Map<Policy, BitSet>();
    this.#pods.forEach((pod, number) => {
      const participant = evaluator.classify({ type: "pod", pod, address: pod.addresses[0] });
      for (const direction of DIRECTIONS)
        for (const { policy } of evaluator.policiesOf(participant, direction)) {
          let of = selected.get(policy);
          if (of === undefined) selected.set(policy, (of = new BitSet(numbers.size)));
          of.add(number);
        }
    });
    this.#selected = selected;
  }

  /** Returns what the policies say of connection `i`. */
  judgement(i: number): Judgement {
    return this.#base[i];
  }

  /** `progress`: how many mutations are done with. */
  firstBy(mutations: readonly Mutation[], progress: (done: number) => void = () => {}): Int32Array {
    const found = new Int32Array(mutations.length).fill(-1);
    let done = 0;
    for (const batch of this.#batches(mutations)) {
      this.#ask(batch, mutations, found);
      progress((done += batch.members.length));
    }
    return found;
  }

  /** The pods that a mutation may concern: those that its policy selects, or may select once it is made. */
  #reach({ policy, after }: Mutation): BitSet {
    if (after === undefined || after.subject === policy.subject) return this.#selected.get(policy) ?? new BitSet(this.#pods.length);
    const reach = new BitSet(this.#pods.length);
    const { namespaces } = after.subject;
    this.#pods.forEach((pod, number) => {
      if (!("name" in namespaces) || namespaces.name === pod.namespace) reach.add(number);
    });
    return reach;
  }

  #batches(mutations: readonly Mutation[]): Batch[] {
    const batches: Batch[] = [];
    const next = new Map<Policy, number>();
    mutations.forEach((mutation, m) => {
      const reach = this.#reach(mutation);
      if (reach.isEmpty) return;
      // Those of one policy never share a batch.
      let at = next.get(mutation.policy) ?? 0;
      while (at < batches.length && meet(batches[at].reach, reach)) at++;
      next.set(mutation.policy, at + 1);
      if (at === batches.length) batches.push({ reach: reach.copy(), members: [m], reaches: [reach] });
      else {
        batches[at].reach.addAll(reach);
        batches[at].members.push(m);
        batches[at].reaches.push(reach);
      }
    });
    return batches;
  }

  #ask({ reach, members, reaches }: Batch, mutations: readonly Mutation[], found: Int32Array): void {
    const changed = new Map(members.map((m) => [mutations[m].policy, mutations[m].after]));
    const policies = this.#set.policies.flatMap((policy) => {
      if (!changed.has(policy)) return [policy];
      const after = changed.get(policy);
      return after === undefined ? [] : [after];
    });
    const evaluator = this.#compile({ ...this.#set, policies });
    /** By pod: the mutation that concerns it. */
    const owners = new Map<number, number>();
    members.forEach((m, i) => reaches[i].forEach((number) => owners.set(number, m)));
    const seen = new Set<number>();
    reach.forEach((number) => {
      for (const i of this.#asked[number]) {
        if (seen.has(i)) continue;
        seen.add(i);
        this.#askOne(i, evaluator, owners, found);
      }
    });
  }

  #askOne(i: number, evaluator: Evaluator, owners: ReadonlyMap<number, number>, found: Int32Array): void {
    const ownerOf = (pod: Pod | undefined) => (pod === undefined ? undefined : owners.get(this.#numbers.get(pod)!));
    const source = ownerOf(this.#traffic.sourceOf(i));
    const destinations = new Set(this.#traffic.destinationsOf(i).map(ownerOf));
    const concerned = [...new Set([source, ...destinations])].filter((m) => m !== undefined);
    if (concerned.every((m) => found[m] >= 0)) return;
    const before = this.#base[i];
    const after = this.#traffic.judge(i, evaluator);
    for (const m of concerned) {
      if (found[m] >= 0) continue;
      const egress = (source === m ? after : before).egress.verdict;
      const ingress = (destinations.has(m) ? after : before).ingress.verdict;
      const verdict = concerned.length === 1 ? after.verdict : combine(egress, ingress);
      if (verdict !== before.verdict) found[m] = i;
    }
  }
}

/** Mutations that are compiled together; by member the pods that it concerns. */
interface Batch {
  readonly reach: BitSet;
  readonly members: number[];
  readonly reaches: BitSet[];
}

function podsOf(traffic: AskedTraffic, i: number): readonly Pod[] {
  const source = traffic.sourceOf(i);
  return source === undefined ? traffic.destinationsOf(i) : [source, ...traffic.destinationsOf(i)];
}

function meet(a: BitSet, b: BitSet): boolean {
  return a.words.some((word, i) => (word & b.words[i]) !== 0);
}
