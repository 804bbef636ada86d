import { load as loadYaml } from "js-yaml";
import { cautionsOf } from "../evaluate/cautions.ts";
import { Evaluator } from "../evaluate/evaluator.ts";
import { looksAtRequests } from "../evaluate/honoured.ts";
import { Simulation } from "../evaluate/simulation.ts";
import type { Policy } from "../policy/model.ts";
import { type AcceptedFinding, readAcceptedFinding } from "../report/accepted.ts";
import { placeLabel, policyLabel } from "../report/labels.ts";
import type { SimulationResult } from "../report/simulationResult.ts";
import { summarizeSimulation } from "../report/summarizeSimulation.ts";
import { chooseProfile } from "./chooseProfile.ts";
import { refuseTwoStdins, UsageError } from "./errors.ts";
import type { TrafficFlags } from "./inputs.ts";
import { readText } from "./names.ts";
import { type Observation, observe } from "./observe.ts";
import { type PoliciesInForce, type PolicyFlags, policiesInForce } from "./policies.ts";
import { Progress } from "./progress.ts";
import { isUnread, openSources, refuseUnreadPolicies, type SourceFlags, type Sources } from "./sources.ts";
import { collectAtOnce, expectLongWork } from "./tiers.ts";

export interface SimulateFlags extends TrafficFlags, SourceFlags, Omit<PolicyFlags, "namespace"> {
  readonly policyMode: "overlay" | "replace";
  readonly cni: string;
  readonly ignore?: string | undefined;
  readonly staged: boolean;
}

/** What a simulation is made with, before any traffic is read. */
export interface Preparation extends PoliciesInForce {
  readonly flags: SimulateFlags;
  readonly sources: Sources;
  readonly accepted: readonly AcceptedFinding[];
  readonly everyRequest: boolean;
}

/** The main job: captures or flow logs -> connections -> endpoints -> compiled policies -> decisions, ready to be reported. */
export async function simulate(flags: SimulateFlags): Promise<SimulationResult> {
  const prepared = await prepare(flags);
  return judgeTraffic(prepared, await observe(flags, prepared.sources, prepared.everyRequest));
}

/** Reads all but the traffic. `given`: what to work on, where it was opened already. */
export async function prepare(flags: SimulateFlags, given?: Sources): Promise<Preparation> {
  refuseTwoStdins({ "--pcap": flags.pcap, "--flows": flags.flows, "--snapshot": flags.snapshot, "--filename": flags.filename });
  collectAtOnce();
  expectLongWork(false);
  const accepted = flags.ignore === undefined ? [] : readIgnoreFile(flags.ignore);
  const sources = given ?? (await openSources(flags));
  if (flags.policyMode === "overlay" || flags.filename.length === 0)
    refuseUnreadPolicies(sources, ", --snapshot FILE may hold them, and with -f --policy-mode=replace judges the given policies alone");
  const policies = await policiesInForce(flags, sources);
  const everyRequest = [...policies.existing.policies, ...policies.judged.policies].some(looksAtRequests);
  return { flags, sources, accepted, ...policies, everyRequest };
}

/** Judges what was observed. */
export function judgeTraffic(prepared: Preparation, observation: Observation): SimulationResult {
  const { flags, sources, accepted, candidates, existing, merged, judged, unevaluated } = prepared;
  const { cluster } = sources;
  const { traffic, connections, resolver, world } = observation;
  const evidence = { guess: cluster.cni, formats: traffic.inputs.map(({ format }) => format) };
  const { profile, because, warnings: cniWarnings } = chooseProfile(flags.cni, evidence, merged, unevaluated);
  const baseline = new Evaluator(existing, world, profile);
  const evaluator = judged === existing ? baseline : new Evaluator(judged, world, profile);
  const progress = new Progress("judging connections", connections.size);
  const { policiesOnlyOf, unreadPolicies } = sources;
  const simulation = new Simulation(
    connections,
    traffic.table.addresses,
    resolver,
    evaluator,
    baseline,
    observation.requestsOf,
    (done) => progress.update(done),
    isUnread(sources, (each) => flags.policyMode === "overlay" || each === baseline),
  );
  progress.stop();
  const warnings = [
    ...cluster.warnings,
    ...cniWarnings,
    ...existing.warnings,
    ...candidates.warnings,
    ...cautionsOf(judged, evaluator, world),
    ...observation.warnings,
  ];
  const candidateRefs = new Set(candidates.policies.map(({ ref }) => ref));
  const selectNothing = judged.policies.filter(
    (policy) =>
      candidateRefs.has(policy.ref) &&
      policy.staged === undefined &&
      policy.nodes === undefined &&
      !evaluator.ignored.includes(policy) &&
      evaluator.selectsNoPod(policy),
  );
  warnings.push(...selectNothing.map((policy) => selectsNoPodText(policy, sources)));
  if (unreadPolicies.length > 0)
    warnings.push(`the verdicts under the existing policies (baseline) lack what could not be read: ${unreadPolicies.join(", ")}`);
  if (evaluator.policies.length === 0 && policiesOnlyOf === undefined)
    warnings.push("no policy is in force, neither given with -f nor in the snapshot: everything is allowed");
  return summarizeSimulation({
    simulation,
    inputs: traffic.inputs,
    cni: { name: profile.name, because, caveats: profile.caveats },
    warnings,
    hints: traffic.hints,
    candidates: flags.filename.length === 0 ? judged.policies : judged.policies.filter(({ ref }) => candidateRefs.has(ref)),
    selectNothing,
    pods: cluster.pods,
    accepted,
    now: Date.now(),
  });
}

/** Says that a policy selects nobody. */
export function selectsNoPodText(policy: Policy, { hasNoCluster }: Sources): string {
  const place = placeLabel(policy.ref);
  return `${policyLabel(policy)} selects no pod of ${hasNoCluster ? "those whose labels the flow logs tell" : "the snapshot"}${place === "" ? "" : ` (${place})`}`;
}

function readIgnoreFile(path: string): AcceptedFinding[] {
  let list: unknown;
  try {
    list = loadYaml(readText(path, "--ignore"));
  } catch (error) {
    if (error instanceof UsageError) throw error;
    throw new UsageError(`--ignore: ${path}: not YAML: ${String((error as Error).message).split("\n")[0]}`);
  }
  if (list === null || list === undefined) return [];
  if (!Array.isArray(list)) throw new UsageError(`--ignore: ${path}: not a list of {source, destination, port, reason, until}`);
  return list.map((item, i) => {
    const finding = readAcceptedFinding(item);
    if (typeof finding === "string") throw new UsageError(`--ignore: ${path}: item ${i + 1} ${finding}`);
    return finding;
  });
}
