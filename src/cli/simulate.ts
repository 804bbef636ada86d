import { load as loadYaml } from "js-yaml";
import type { Cluster } from "../cluster/snapshot.ts";
import { cautionsOf } from "../evaluate/cautions.ts";
import { EndpointResolver } from "../evaluate/endpoints.ts";
import { Evaluator, type World } from "../evaluate/evaluator.ts";
import { looksAtRequests } from "../evaluate/honoured.ts";
import { Simulation } from "../evaluate/simulation.ts";
import { surroundingsOf } from "../evaluate/surroundings.ts";
import { connect } from "../flow/connections.ts";
import { OUTCOMES } from "../flow/outcome.ts";
import type { LoggedParties } from "../flow/parties.ts";
import type { Address } from "../net/address.ts";
import { overlay, promoteStaged } from "../policy/readPolicies.ts";
import { type AcceptedFinding, readAcceptedFinding } from "../report/accepted.ts";
import { placeLabel, policyLabel } from "../report/labels.ts";
import type { SimulationResult } from "../report/simulationResult.ts";
import { summarizeSimulation } from "../report/summarizeSimulation.ts";
import { chooseProfile } from "./chooseProfile.ts";
import { UsageError } from "./errors.ts";
import {
  existingPolicies,
  loadCandidates,
  loadCluster,
  loadTraffic,
  type PolicyFlags,
  readText,
  refuseTwoStdins,
  type TrafficFlags,
} from "./inputs.ts";
import { Progress } from "./progress.ts";
import { collectAtOnce, expectLongWork, MANY_ROWS } from "./tiers.ts";

export interface SimulateFlags extends TrafficFlags, PolicyFlags {
  readonly snapshot: readonly string[];
  readonly policyMode: "overlay" | "replace";
  readonly cni: string;
  readonly ignore?: string | undefined;
  readonly staged: boolean;
}

/** The main job: captures or flow records -> connections -> endpoints -> compiled policies -> decisions, ready to be reported. */
export async function simulate(flags: SimulateFlags): Promise<SimulationResult> {
  refuseTwoStdins({ "--pcap": flags.pcap, "--flows": flags.flows, "--snapshot": flags.snapshot, "--filename": flags.filename });
  collectAtOnce();
  expectLongWork(false);
  const accepted = flags.ignore === undefined ? [] : readIgnoreFile(flags.ignore);
  const cluster = await loadCluster(flags.snapshot);
  const candidates = await loadCandidates(flags, cluster);
  const existing = await existingPolicies(cluster, flags.namespace);
  const merged = flags.filename.length === 0 ? existing : overlay(existing, candidates, flags.policyMode);
  const chosen = chooseProfile(flags.cni, cluster.cni, merged, [...existing.unevaluated, ...candidates.unevaluated]);
  const { profile, because, warnings: cniWarnings } = chosen;
  const judged = flags.staged ? promoteStaged(merged) : merged;
  expectLongWork(true);
  const traffic = await loadTraffic(flags, cluster, [...existing.policies, ...judged.policies].some(looksAtRequests));
  expectLongWork(traffic.table.size > MANY_ROWS);
  const connections = connect(traffic.table, surroundingsOf(cluster), traffic.hints);
  expectLongWork(connections.size > MANY_ROWS);
  const resolver = new EndpointResolver(cluster, traffic.table.addresses, traffic.names, traffic.parties);
  const world: World = {
    ...cluster,
    pods: [...cluster.pods, ...resolver.loggedPods],
    names: traffic.names,
    apiServers: apiServersOf(cluster, traffic.parties),
  };
  const baseline = new Evaluator(existing, world, profile);
  const evaluator = judged === existing ? baseline : new Evaluator(judged, world, profile);
  const progress = new Progress("judging connections", connections.size);
  const requestsOf = (i: number) => {
    const rows = connections.hintRows(i);
    const requests = rows.flatMap((row) => traffic.hints.all(row));
    const seen = rows.reduce((sum, row) => sum + traffic.hints.countOf(row), 0);
    // Of a connection that was (or may have been) established without a request in sight, nobody knows what it said.
    const [established, unknown] = [OUTCOMES.indexOf("established"), OUTCOMES.indexOf("unknown")].map((k) => connections.attempts[i][k]);
    const isWhole = seen >= established + unknown && !rows.some((row) => traffic.hints.isCut(row));
    return isWhole ? requests : [...requests, {}];
  };
  const simulation = new Simulation(connections, traffic.table.addresses, resolver, evaluator, baseline, requestsOf, (done) =>
    progress.update(done),
  );
  progress.stop();
  const warnings = [
    ...cluster.warnings,
    ...cniWarnings,
    ...existing.warnings,
    ...candidates.warnings,
    ...cautionsOf(judged, evaluator, world),
    ...connections.warnings,
  ];
  warnings.push(...gapsOf(cluster));
  if (traffic.names.leftOut > 0) warnings.push(`${traffic.names.leftOut} names of addresses were left out: more than any honest DNS gives`);
  if (connections.size === 0)
    warnings.push(
      `no connection was observed${flags.since === undefined && flags.until === undefined ? "" : " between --since and --until"}: nothing was tested`,
    );
  const candidateRefs = new Set(candidates.policies.map(({ ref }) => ref));
  for (const policy of judged.policies) {
    if (
      candidateRefs.has(policy.ref) &&
      policy.staged === undefined &&
      policy.nodes === undefined &&
      !evaluator.ignored.includes(policy) &&
      evaluator.selectsNoPod(policy)
    )
      warnings.push(
        `${policyLabel(policy)} selects no pod of the snapshot${placeLabel(policy.ref) === "" ? "" : ` (${placeLabel(policy.ref)})`}`,
      );
  }
  if (evaluator.policies.length === 0)
    warnings.push("no policy is in force, neither given with -f nor in the snapshot: everything is allowed");
  return summarizeSimulation({
    simulation,
    inputs: traffic.inputs,
    cni: { name: profile.name, because, caveats: profile.caveats },
    warnings,
    hints: traffic.hints,
    candidates: flags.filename.length === 0 ? judged.policies : judged.policies.filter(({ ref }) => candidateRefs.has(ref)),
    pods: cluster.pods,
    accepted,
    now: Date.now(),
  });
}

/** Where the API server is: as the snapshot says, or as records label it. Records that label ends label the API server too. */
function apiServersOf({ apiServers }: Cluster, parties: LoggedParties): ReadonlySet<Address> | undefined {
  const hasLabels = parties.all.some(({ labels }) => labels?.some((label) => label.startsWith("reserved:")));
  return apiServers ?? (hasLabels ? new Set() : undefined);
}

/** What a snapshot that was saved without some kinds makes uncertain. */
function gapsOf({ pods, services, nodes }: Cluster): string[] {
  const gaps: string[] = [];
  if (pods.length === 0) return gaps;
  const grouped = new Set(pods.filter(({ workload }) => workload.kind === "Pods").map(({ workload }) => workload)).size;
  if (grouped > 0)
    gaps.push(
      `${grouped === 1 ? "one workload is" : `${grouped} workloads are`} found by labels alone (pods/…): the snapshot names no owners of these pods`,
    );
  if (services.length === 0)
    gaps.push(
      "the snapshot holds no Service: addresses of Services look like outside addresses, and verdicts on them are wrong; save it with svc,endpointslices too",
    );
  if (nodes.length === 0)
    gaps.push(
      "the snapshot holds no Node: addresses of nodes, and of pods that it lacks, look like outside addresses; save it with nodes too",
    );
  return gaps;
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
