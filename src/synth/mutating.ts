import type { Pod } from "../cluster/objects.ts";
import type { Judged } from "../evaluate/compare.ts";
import type { Evaluator, Participant } from "../evaluate/evaluator.ts";
import type { Simulation } from "../evaluate/simulation.ts";
import type { PolicySet } from "../policy/model.ts";
import { Batches } from "./batches.ts";
import { Comparison, type ProvenDifference } from "./comparison.ts";
import { type Mutation, mutationsOf } from "./mutations.ts";
import { type AskedTraffic, Notice } from "./notice.ts";
import { ProbeWorld } from "./probe.ts";
import { type Fate, type Progress, policiesInForce } from "./probing.ts";

/** How much of a policy set given traffic would show to be wrong. */
export interface Mutating {
  readonly mutations: readonly Mutation[];
  /** By mutation; `by` is the number of a connection. */
  readonly fates: readonly Fate[];
  /** By number of a mutation that was missed: what would show it. */
  readonly differences: ReadonlyMap<number, ProvenDifference>;
}

/** What mutations are judged with. */
export interface MutatedSet {
  /** The set in the cluster as it is. */
  readonly judged: Judged;
  readonly simulation: Simulation;
  /** Compiles a set against the world that the traffic was judged in, as the simulation's own is. */
  readonly compile: (set: PolicySet) => Evaluator;
}

/**
 * Makes each small change to a policy set and looks whether the traffic notices: whether any connection's verdict changes. What it does
 * not notice is compared exactly: a change that alters no connectivity at all says nothing of the traffic.
 */
export function mutatePolicies({ judged, simulation, compile }: MutatedSet, progress: Progress = () => {}): Mutating {
  const { evaluator } = simulation;
  const mutations = policiesInForce(evaluator).flatMap(mutationsOf);
  const total = mutations.length * 2;
  const noticed = new Notice(judged.set, evaluator, observedTraffic(simulation), compile).noticedBy(mutations, (done) =>
    progress(done, total),
  );
  const unnoticed = mutations.flatMap((_, m) => (noticed[m] < 0 ? [m] : []));
  const comparison = new Comparison(judged, new ProbeWorld(judged.world), new Batches(evaluator, judged.world.pods));
  const differences = comparison.differences(mutations, unnoticed, (done) => progress(total - unnoticed.length + done, total));
  const fates = mutations.map((_, m): Fate => {
    if (noticed[m] >= 0) return { kind: "noticed", by: noticed[m] };
    return { kind: differences.has(m) ? "missed" : "equivalent" };
  });
  return { mutations, fates, differences };
}

/** Returns the connections of a simulation as traffic that other policy sets are asked about. */
export function observedTraffic(simulation: Simulation): AskedTraffic {
  const podOf = (participant: Participant): Pod[] => (participant.type === "pod" && !participant.pod.hostNetwork ? [participant.pod] : []);
  return {
    size: simulation.connections.size,
    sourceOf: (i) => podOf(simulation.ends(i).source)[0],
    destinationsOf: (i) => simulation.ends(i).targets.flatMap(({ participant }) => podOf(participant)),
    // That a verdict is no longer unknown, and an allowance, alarms nobody.
    isNoticed: (before, after) => before !== after && (before === "deny" || after === "deny"),
    judge: (i, evaluator) => simulation.judge(i, evaluator),
  };
}
