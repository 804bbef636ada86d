import { load as loadYaml } from "js-yaml";
import type { Cluster } from "../cluster/snapshot.ts";
import { EndpointResolver } from "../evaluate/endpoints.ts";
import { Evaluator, type World } from "../evaluate/evaluator.ts";
import { CNI_NAMES, type CniName, profileOf } from "../evaluate/profile.ts";
import { Simulation } from "../evaluate/simulation.ts";
import { surroundingsOf } from "../evaluate/surroundings.ts";
import { connect } from "../flow/connections.ts";
import { overlay } from "../policy/readPolicies.ts";
import { type AcceptedFinding, readAcceptedFinding } from "../report/accepted.ts";
import { placeLabel, policyLabel } from "../report/labels.ts";
import type { SimulationResult } from "../report/simulationResult.ts";
import { summarizeSimulation } from "../report/summarizeSimulation.ts";
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
import { expectLongWork, MANY_ROWS } from "./tiers.ts";

export interface SimulateFlags extends TrafficFlags, PolicyFlags {
  readonly snapshot: readonly string[];
  readonly policyMode: "overlay" | "replace";
  readonly cni: string;
  readonly ignore?: string | undefined;
}

/** The main job: captures or flow records -> connections -> endpoints -> compiled policies -> decisions, ready to be reported. */
export async function simulate(flags: SimulateFlags): Promise<SimulationResult> {
  refuseTwoStdins({ "--pcap": flags.pcap, "--flows": flags.flows, "--snapshot": flags.snapshot, "--filename": flags.filename });
  expectLongWork(false);
  const accepted = flags.ignore === undefined ? [] : readIgnoreFile(flags.ignore);
  const candidates = await loadCandidates(flags);
  const cluster = await loadCluster(flags.snapshot);
  const existing = existingPolicies(cluster, flags.namespace);
  expectLongWork(true);
  const traffic = await loadTraffic(flags, cluster);
  expectLongWork(traffic.table.size > MANY_ROWS);
  const connections = connect(traffic.table, surroundingsOf(cluster), traffic.hints);
  expectLongWork(connections.size > MANY_ROWS);
  const resolver = new EndpointResolver(cluster, traffic.table.addresses, traffic.names, traffic.parties);
  const world: World = { pods: [...cluster.pods, ...resolver.loggedPods], namespaces: cluster.namespaces, nodes: cluster.nodes };
  const name = flags.cni === "auto" ? cluster.cni.name : (flags.cni as CniName);
  const profile = profileOf(CNI_NAMES.includes(name) ? name : "generic", cluster.cni.settings);
  const baseline = new Evaluator(existing.policies, world, profile);
  const evaluator =
    candidates.policies.length === 0
      ? baseline
      : new Evaluator(overlay(existing.policies, candidates.policies, flags.policyMode), world, profile);
  const progress = new Progress("judging connections", connections.size);
  const simulation = new Simulation(connections, traffic.table.addresses, resolver, evaluator, baseline, (done) => progress.update(done));
  progress.stop();
  const warnings = [
    ...cluster.warnings,
    ...(flags.cni === "auto" ? cluster.cni.warnings : []),
    ...existing.warnings,
    ...candidates.warnings,
    ...connections.warnings,
  ];
  warnings.push(...gapsOf(cluster));
  if (traffic.names.leftOut > 0) warnings.push(`${traffic.names.leftOut} names of addresses were left out: more than any honest DNS gives`);
  if (connections.size === 0)
    warnings.push(
      `no connection was observed${flags.since === undefined && flags.until === undefined ? "" : " between --since and --until"}: nothing was tested`,
    );
  for (const policy of candidates.policies) {
    if (evaluator.selectsNoPod(policy))
      warnings.push(
        `${policyLabel(policy)} selects no pod of the snapshot${placeLabel(policy.ref) === "" ? "" : ` (${placeLabel(policy.ref)})`}`,
      );
  }
  if (evaluator.policies.length === 0)
    warnings.push("no policy is in force, neither given with -f nor in the snapshot: everything is allowed");
  return summarizeSimulation({
    simulation,
    inputs: traffic.inputs,
    cni: { name: profile.name, because: flags.cni === "auto" ? cluster.cni.because : "as --cni says", caveats: profile.caveats },
    warnings,
    hints: traffic.hints,
    candidates: candidates.policies.length === 0 ? existing.policies : candidates.policies,
    pods: cluster.pods,
    accepted,
    now: Date.now(),
  });
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
  if (nodes.length === 0) gaps.push("the snapshot holds no Node: addresses of nodes look like outside addresses; save it with nodes too");
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
