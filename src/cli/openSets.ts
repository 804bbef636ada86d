import type { ManifestFiles, ManifestObject } from "../cluster/manifest.ts";
import { type Cluster, readCluster } from "../cluster/snapshot.ts";
import { livingPods } from "../cluster/workloads.ts";
import type { Judged } from "../evaluate/compare.ts";
import type { World } from "../evaluate/evaluator.ts";
import type { CniProfile } from "../evaluate/profile.ts";
import { isIPv4 } from "../net/address.ts";
import type { AddressRange } from "../net/mergePrefixes.ts";
import type { PolicySet } from "../policy/model.ts";
import type { ReportedCni } from "../report/labels.ts";
import { chooseProfile } from "./chooseProfile.ts";
import { UsageError } from "./errors.ts";
import { type PolicyFlags, policiesInForce, readManifests } from "./policies.ts";
import {
  type ClusterFlags,
  hasCluster,
  openCluster,
  refusePartialPolicies,
  refuseUnreadPolicies,
  type Sources,
  withoutPodWarning,
} from "./sources.ts";

/** Which policy set is meant, in which cluster. */
export interface SetFlags extends ClusterFlags, Omit<PolicyFlags, "namespace"> {
  readonly policyMode: "overlay" | "replace";
  readonly cni: string;
  readonly staged: boolean;
  readonly offline?: boolean | undefined;
}

/** One policy set and what it is judged in. */
export interface OpenedSet {
  readonly cluster: Cluster;
  /** Where objects belong that name no namespace. */
  readonly namespace: string;
  readonly judged: Judged;
  readonly cni: ReportedCni;
  /** What was said while all of it was read. */
  readonly warnings: readonly string[];
}

/** Reads a policy set over a cluster, or plain manifests: Deployments without running pods will do. */
export async function openSet(flags: SetFlags): Promise<OpenedSet> {
  // Standard input can be read once: its objects are the workloads too where there is no cluster.
  const manifests = await readManifests(flags.filename, flags.recursive);
  const sources = await openSources(flags, manifests);
  const { cluster, namespace } = sources;
  const { candidates, existing, judged: set, unevaluated } = await policiesInForce(flags, sources, manifests);
  const { profile, because, warnings } = chooseProfile(flags.cni, { guess: cluster.cni, formats: [] }, set, unevaluated);
  return {
    cluster,
    namespace,
    judged: judgedIn(set, worldOf(cluster), cluster, profile),
    cni: { name: profile.name, because, caveats: profile.caveats },
    warnings: [...cluster.warnings, ...warnings, ...existing.warnings, ...candidates.warnings],
  };
}

async function openSources(flags: SetFlags, { objects, warnings }: ManifestFiles): Promise<Sources> {
  // A folder that holds the workloads beside the policies is all that it takes.
  if (flags.snapshot.length === 0 && flags.filename.length > 0 && !(await hasCluster(flags)))
    return sourcesOfManifests(clusterOfManifests(objects, flags.filename.join(", ")), flags.namespace, warnings);
  const sources = await openCluster(flags);
  if (flags.policyMode === "overlay" || flags.filename.length === 0) {
    refuseUnreadPolicies(sources, ", and --snapshot FILE may hold them");
    refusePartialPolicies(sources);
  }
  return sources;
}

/** Returns what policies select from, for questions on all that there may be: pods of workloads that have none running are among it. */
export function worldOf(cluster: Cluster): World {
  return { ...cluster, pods: livingPods([...cluster.pods, ...cluster.templatePods]) };
}

/** Returns a policy set with what it is judged in. */
export function judgedIn(set: PolicySet, world: World, cluster: Cluster, profile: CniProfile): Judged {
  // A plugin that judges what was dialled sees the addresses of Services.
  const isInside = ({ first, last }: AddressRange) => !profile.blocksMatchDialled && cluster.timeline.holds(first, last);
  return { set, world, profile, isInside };
}

/** Says what connectivity cannot tell for want of objects, one line each. `isComparison`: of two sets, which ask about a node all the same. */
export function gapsOf({ pods, templatePods, nodes, namespaces }: Cluster, isComparison: boolean): string[] {
  const gaps: string[] = [];
  const unknown = [...namespaces.values()].filter(({ labelsKnown }) => !labelsKnown).map(({ name }) => name);
  if (unknown.length > 0)
    gaps.push(
      `${unknown.length === 1 ? `namespace ${unknown[0]} is` : `${unknown.length} namespaces (${unknown.slice(0, 3).join(", ")}${unknown.length > 3 ? ", …" : ""}) are`} in no Namespace object: what selectors of namespace labels say of ${unknown.length === 1 ? "it" : "them"} is unknown`,
    );
  if (nodes.length === 0)
    gaps.push(
      isComparison
        ? "there is no Node object: nodes are taken for one of which nothing is known"
        : "there is no Node object: what comes from nodes and goes to them is left out",
    );
  if (templatePods.length > 0 && pods.length === 0)
    gaps.push("there is no running pod: pods are those of workloads' templates, and rules on addresses say nothing of them");
  const addresses = [...pods.flatMap((pod) => pod.addresses), ...nodes.flatMap((node) => node.addresses)];
  const [hasFour, hasSix] = [addresses.some(isIPv4), addresses.some((address) => !isIPv4(address))];
  if (hasFour !== hasSix)
    gaps.push(`no pod or node has an IPv${hasFour ? 6 : 4} address: rules on IPv${hasFour ? 6 : 4} make no difference here`);
  return gaps;
}

/** Returns the cluster that manifests alone describe. `where` names them in the error that there is nobody in it. */
export function clusterOfManifests(objects: readonly ManifestObject[], where: string): Cluster {
  const cluster = readCluster(objects);
  if (cluster.pods.length + cluster.templatePods.length === 0)
    throw new UsageError(
      `${where}: no workload and no Pod in it, so there is nobody that policies could select; give --snapshot FILE, or a cluster by --kubeconfig`,
    );
  return withoutPodWarning(cluster);
}

/** Returns sources of a cluster that manifests describe; their policies are the ones given, none is in force before. */
export function sourcesOfManifests(cluster: Cluster, namespace = "default", warnings: readonly string[] = []): Sources {
  return {
    cluster: { ...cluster, policyObjects: [], warnings: [...warnings, ...cluster.warnings] },
    namespace,
    broker: undefined,
    live: undefined,
    unreadPolicies: [],
    policiesOnlyOf: undefined,
    hasNoCluster: false,
  };
}
