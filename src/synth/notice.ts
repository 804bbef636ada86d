import type { Pod } from "../cluster/objects.ts";
import { combine, type Verdict } from "../evaluate/decision.ts";
import type { Evaluator } from "../evaluate/evaluator.ts";
import type { Judgement } from "../evaluate/judge.ts";
import type { PolicySet } from "../policy/model.ts";
import { type Batch, Batches, mutatedSet } from "./batches.ts";
import type { Mutation } from "./mutations.ts";

/** Connections that a policy set is asked about: observed ones, or probes. */
export interface AskedTraffic {
  readonly size: number;
  /** The pods at one end each; policies can select no others. */
  sourceOf(i: number): Pod | undefined;
  destinationsOf(i: number): readonly Pod[];
  /** Whether an observer would see that a connection fares otherwise: some changes of what is not known show nobody a thing. */
  isNoticed(before: Verdict, after: Verdict): boolean;
  judge(i: number, evaluator: Evaluator): Judgement;
}

/**
 * Says for each mutation of a connection whose verdict it changes. Mutations whose policies govern different pods are compiled together.
 */
export class Notice {
  readonly #set: PolicySet;
  readonly #traffic: AskedTraffic;
  readonly #compile: (set: PolicySet) => Evaluator;
  readonly #base: readonly Judgement[];
  /** By pod: the connections that it is an end of. */
  readonly #asked: readonly (readonly number[])[];
  readonly #numbers: ReadonlyMap<Pod, number>;
  readonly #batches: Batches;

  /** `evaluator` is of the set as it is, as `compile` makes one. */
  constructor(set: PolicySet, evaluator: Evaluator, traffic: AskedTraffic, compile: (set: PolicySet) => Evaluator) {
    this.#set = set;
    this.#traffic = traffic;
    this.#compile = compile;
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
    this.#batches = new Batches(evaluator, [...numbers.keys()]);
  }

  /** Returns what the policies say of connection `i`. */
  judgement(i: number): Judgement {
    return this.#base[i];
  }

  /** Returns by mutation the number of a connection; -1: none notices it. `progress`: how many mutations are done with. */
  noticedBy(mutations: readonly Mutation[], progress: (done: number) => void = () => {}): Int32Array {
    const found = new Int32Array(mutations.length).fill(-1);
    let done = 0;
    for (const batch of this.#batches.of(mutations)) {
      this.#ask(batch, mutations, found);
      progress((done += batch.members.length));
    }
    return found;
  }

  #ask({ reach, members, reaches }: Batch, mutations: readonly Mutation[], found: Int32Array): void {
    const changed = mutatedSet(
      this.#set,
      members.map((m) => mutations[m]),
    );
    const evaluator = this.#compile(changed);
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
      if (this.#traffic.isNoticed(before.verdict, verdict)) found[m] = i;
    }
  }
}

function podsOf(traffic: AskedTraffic, i: number): readonly Pod[] {
  const source = traffic.sourceOf(i);
  return source === undefined ? traffic.destinationsOf(i) : [source, ...traffic.destinationsOf(i)];
}
