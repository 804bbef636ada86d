import type { Cluster } from "../cluster/snapshot.ts";
import { EndpointResolver } from "../evaluate/endpoints.ts";
import type { World } from "../evaluate/evaluator.ts";
import { surroundingsOf } from "../evaluate/surroundings.ts";
import { type Connections, connect } from "../flow/connections.ts";
import type { L7Hint } from "../flow/hints.ts";
import type { LoggedParties } from "../flow/parties.ts";
import type { Address } from "../net/address.ts";
import { UsageError } from "./errors.ts";
import { loadTraffic, type Traffic, type TrafficFlags } from "./inputs.ts";
import { SNAPSHOT_HINT, type Sources } from "./sources.ts";
import { expectLongWork, MANY_ROWS } from "./tiers.ts";

/** Observed traffic with whose it was: what every command that works on traffic begins with. */
export interface Observation {
  readonly traffic: Traffic;
  readonly connections: Connections;
  readonly resolver: EndpointResolver;
  readonly world: World;
  /** The requests of a connection that were seen, with an empty one where there may be others. */
  readonly requestsOf: (i: number) => readonly L7Hint[];
  /** What a reader must know of the traffic and of what the snapshot lacks, one line each. */
  readonly warnings: readonly string[];
}

/** Reads traffic, joins it into connections and resolves whose they were. `everyRequest`: see loadTraffic. */
export async function observe(flags: TrafficFlags, sources: Sources, everyRequest: boolean): Promise<Observation> {
  const { cluster, broker } = sources;
  expectLongWork(true);
  return observationOfTraffic(flags, sources, await loadTraffic(flags, cluster, everyRequest, broker));
}

/** Joins traffic into connections and resolves whose they were. */
export function observationOfTraffic(flags: TrafficFlags, sources: Sources, traffic: Traffic): Observation {
  const { cluster } = sources;
  expectLongWork(traffic.table.size > MANY_ROWS);
  const connections = connect(traffic.table, surroundingsOf(cluster), traffic.hints, traffic.parties);
  expectLongWork(connections.size > MANY_ROWS);
  return observationOf(flags, sources, traffic, connections);
}

/** Resolves whose the ends of connections were. */
export function observationOf(flags: TrafficFlags, sources: Sources, traffic: Traffic, connections: Connections): Observation {
  const { cluster, hasNoCluster } = sources;
  if (hasNoCluster && !traffic.parties.all.some(({ pod, labels }) => pod !== undefined || labels !== undefined)) refuseNameless(traffic);
  const resolver = new EndpointResolver(cluster, traffic.table.addresses, traffic.names, traffic.parties);
  const world: World = {
    ...cluster,
    namespaces: new Map([...cluster.namespaces, ...resolver.loggedNamespaces]),
    pods: [...cluster.pods, ...resolver.loggedPods],
    names: traffic.names,
    apiServers: apiServersOf(cluster, traffic.parties),
  };
  return {
    traffic,
    connections,
    resolver,
    world,
    requestsOf: (i) => requestsOf(i, traffic, connections),
    warnings: warningsOf(flags, sources, traffic, connections),
  };
}

/** Where nothing says whose any address is, every verdict would be a guess. */
function refuseNameless({ inputs }: Traffic): never {
  const formats = [...new Set(inputs.map(({ format }) => format))].join(", ");
  throw new UsageError(
    `no --snapshot, no cluster to ask, and no record of the flow logs (${formats}) names a pod: who owns which address is not known; make a snapshot with ${SNAPSHOT_HINT}`,
  );
}

/** Of a connection that was (or may have been) established without a request in sight, nobody knows what it said. */
function requestsOf(i: number, { hints }: Traffic, connections: Connections): readonly L7Hint[] {
  const rows = connections.hintRows(i);
  const requests = rows.flatMap((row) => hints.all(row));
  const seen = rows.reduce((sum, row) => sum + hints.countOf(row), 0);
  const isWhole = seen >= connections.mayHaveWorked(i) && !rows.some((row) => hints.isCut(row));
  return isWhole ? requests : [...requests, {}];
}

function warningsOf(
  { since, until }: TrafficFlags,
  { cluster, hasNoCluster }: Sources,
  { names, notes }: Traffic,
  connections: Connections,
): string[] {
  const warnings = [...notes, ...connections.warnings, ...gapsOf(cluster)];
  if (hasNoCluster)
    warnings.push(
      "there is no snapshot and no cluster: pods, their labels and namespaces are what the flow logs say; policies in force, Services, named ports and workloads without traffic are not known",
    );
  if (names.leftOut > 0) warnings.push(`${names.leftOut} names of addresses were left out: more than any honest DNS gives`);
  if (connections.size === 0)
    warnings.push(
      `no connection was observed${since === undefined && until === undefined ? "" : " between --since and --until"}: nothing was tested`,
    );
  return warnings;
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
