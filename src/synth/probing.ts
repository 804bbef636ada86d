import type { Judged } from "../evaluate/compare.ts";
import { Evaluator } from "../evaluate/evaluator.ts";
import type { Judgement } from "../evaluate/judge.ts";
import type { Direction, Policy, PolicySet, RuleRef } from "../policy/model.ts";
import { Batches } from "./batches.ts";
import { Comparison } from "./comparison.ts";
import { type Mutation, mutationsOf } from "./mutations.ts";
import { Notice } from "./notice.ts";
import { type Probe, ProbeWorld, probeTraffic } from "./probe.ts";
import { ProbeMaker } from "./probes.ts";

/**
 * What became of a mutation. `noticed`: the verdict of a connection changes. `equivalent`: proven to change no connectivity at all.
 * `missed`: it changes some, and no connection shows it.
 */
export type Fate = { readonly kind: "noticed"; readonly by: number } | { readonly kind: "equivalent" | "missed" };

/** A policy set with the probes at its edges. */
export interface Probing {
  /** Compiled against the cluster as it is. */
  readonly plain: Evaluator;
  /** Compiled against the cluster and the probes' own pods. */
  readonly evaluator: Evaluator;
  /** Compiles another set against the same. */
  readonly compile: (set: PolicySet) => Evaluator;
  /** The policies that are in force. */
  readonly policies: readonly Policy[];
  readonly probes: readonly Probe[];
  /** By probe. */
  readonly judgements: readonly Judgement[];
  readonly mutations: readonly Mutation[];
  /** By mutation. */
  readonly fates: readonly Fate[];
}

/** Calls back with what is done and of how much. */
export type Progress = (done: number, of: number) => void;

/**
 * Makes probes for every rule of a set: at its edges, and wherever a small change of a policy would change connectivity that no edge
 * shows. `judged` is the set in the cluster as it is.
 */
export function probePolicies(judged: Judged, progress: Progress = () => {}): Probing {
  const { set, profile } = judged;
  const world = new ProbeWorld(judged.world);
  const plain = new Evaluator(set, judged.world, profile);
  const maker = new ProbeMaker(plain, world);
  const policies = policiesInForce(plain);
  for (const policy of policies) maker.addPolicy(policy);
  const mutations = policies.flatMap(mutationsOf);
  const noticed = noticeBy(maker, judged, world).notice.noticedBy(mutations);
  const unnoticed = mutations.flatMap((_, m) => (noticed[m] < 0 ? [m] : []));
  const comparison = new Comparison(judged, world, new Batches(plain, judged.world.pods));
  const differences = comparison.differences(mutations, unnoticed, (done) => progress(done, unnoticed.length));
  for (const m of unnoticed) {
    const difference = differences.get(m);
    const { policy, rule, what } = mutations[m];
    if (difference?.example !== undefined)
      maker.add({
        ...difference.example,
        policy,
        rule: rule ?? WHOLE,
        direction: directionOf(mutations[m]),
        what: `${what} would change it`,
      });
  }
  const { evaluator, compile, probes, notice } = noticeBy(maker, judged, world);
  const last = notice.noticedBy(mutations);
  return {
    plain,
    evaluator,
    compile,
    policies,
    probes,
    judgements: probes.map((_, i) => notice.judgement(i)),
    mutations,
    fates: mutations.map((_, m) =>
      last[m] >= 0 ? { kind: "noticed", by: last[m] } : { kind: differences.has(m) ? "missed" : "equivalent" },
    ),
  };
}

/** Stands for a policy as a whole. */
const WHOLE: RuleRef = { path: "" };

/** Returns the policies that the plugin enforces, stage by stage. */
export function policiesInForce({ rules }: Evaluator): Policy[] {
  return rules.stages.flatMap(({ policies }) => policies);
}

function directionOf({ rule, policy }: Mutation): Direction {
  if (rule !== undefined) return /(?:^|\.)egress/.test(rule.path) ? "egress" : "ingress";
  return policy.ingress === undefined ? "egress" : "ingress";
}

function noticeBy(maker: ProbeMaker, { set, profile }: Judged, world: ProbeWorld) {
  const own = world.world;
  const compile = (each: PolicySet) => new Evaluator(each, own, profile);
  const evaluator = compile(set);
  const probes = maker.probes(evaluator);
  return { evaluator, compile, probes, notice: new Notice(set, evaluator, probeTraffic(probes), compile) };
}
