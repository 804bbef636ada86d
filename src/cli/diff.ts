import type { KnownTexts, ManifestObject } from "../cluster/manifest.ts";
import type { Pod } from "../cluster/objects.ts";
import { type Cluster, readCluster } from "../cluster/snapshot.ts";
import { cautionsOf } from "../evaluate/cautions.ts";
import { compileConnectivity, podKey, workloadKey } from "../evaluate/compare.ts";
import type { PolicyRef, PolicySet } from "../policy/model.ts";
import { identityOf, overlay, promoteStaged } from "../policy/readPolicies.ts";
import type { DiffResult } from "../report/diffResult.ts";
import { LinkTable } from "../report/linkTable.ts";
import { policyChanges } from "../report/policyChanges.ts";
import { type ChosenProfile, chooseProfile } from "./chooseProfile.ts";
import { refuseTwoStdins, UsageError } from "./errors.ts";
import type { TrafficFlags } from "./inputs.ts";
import { clusterOfManifests, gapsOf, judgedIn, sourcesOfManifests, worldOf } from "./openSets.ts";
import { existingPolicies, hasPolicies, type LoadedPolicies, policiesIn, readManifests } from "./policies.ts";
import {
  hasCluster,
  openCluster,
  openSources,
  refusePartialPolicies,
  refuseUnreadPolicies,
  type SourceFlags,
  type Sources,
  snapshotCluster,
  withoutPodWarning,
} from "./sources.ts";
import { collectAtOnce, expectLongWork, MANY_OBJECTS } from "./tiers.ts";

export interface DiffFlags extends TrafficFlags, SourceFlags {
  /** A file, a directory, `-`, or `cluster`. */
  readonly old: string;
  readonly new: string;
  readonly oldSnapshot: readonly string[];
  /** Whether what the live broker observed is held against the change. */
  readonly broker?: boolean | undefined;
  readonly recursive: boolean;
  readonly policyMode: "overlay" | "replace";
  readonly cni: string;
  readonly staged: boolean;
}

/** What a set is called that the snapshot or the live cluster holds. */
const CLUSTER = "cluster";

/** One of the two sets, before it meets what the cluster holds. */
interface Given {
  readonly name: string;
  /** Undefined: it is the cluster's. */
  readonly objects: readonly ManifestObject[] | undefined;
  readonly warnings: readonly string[];
}

/** Where both sets are judged. */
interface Places {
  readonly sources: Sources;
  /** The cluster before; the same one unless there are two snapshots, or two folders of manifests are all there is. */
  readonly earlier: Cluster;
  readonly hasTraffic: boolean;
}

/** Two policy sets -> text, exact connectivity, observed traffic, ready to be reported. */
export async function diff(flags: DiffFlags): Promise<DiffResult> {
  refuseTwoStdins({ OLD: [flags.old], NEW: [flags.new], "--snapshot": flags.snapshot, "--pcap": flags.pcap, "--flows": flags.flows });
  collectAtOnce();
  expectLongWork(false);
  const known: KnownTexts = new Map();
  const [before, after] = [await readGiven(flags.old, flags, known), await readGiven(flags.new, flags, known)];
  const places = await openPlaces(flags, before, after);
  const { sources, earlier } = places;
  const existing = await existingPolicies(sources.cluster, sources.namespace);
  const earlierExisting = earlier === sources.cluster ? existing : await existingPolicies(earlier, sources.namespace);
  const [old, fresh] = [
    await policiesOf(before, earlierExisting, earlier, flags),
    await policiesOf(after, existing, sources.cluster, flags),
  ];
  refuseEmpty(flags, old, fresh);
  const [oldSet, newSet] = setsOf(flags, { old, fresh, existing, earlierExisting });
  const chosen = chooseFor(flags, sources.cluster, [oldSet, newSet], [old, fresh, existing]);
  // The plugin's configuration may have changed, too.
  const oldProfile = earlier === sources.cluster ? chosen.profile : chooseFor(flags, earlier, [oldSet, newSet], []).profile;
  const [world, earlierWorld] = worldsOf(sources.cluster, earlier);
  expectLongWork(world.pods.length + newSet.policies.length > MANY_OBJECTS);
  const connectivity = compileConnectivity([
    judgedIn(oldSet, earlierWorld, earlier, oldProfile),
    judgedIn(newSet, world, sources.cluster, chosen.profile),
  ]);
  const links = new LinkTable(connectivity, connectivity.differences(), ([a, b]) => a !== b);
  const traffic = places.hasTraffic
    ? await (await import("./observedChange.ts")).observedChange(flags, sources, [oldSet, newSet], chosen)
    : undefined;
  const [, evaluator] = connectivity.evaluators;
  const isAlone = before.objects === undefined && after.objects === undefined && earlier === sources.cluster;
  return {
    before: before.name,
    after: after.name,
    policies: policyChanges(withObjects(oldSet, old, earlierExisting), withObjects(newSet, fresh, existing)),
    workloads: workloadChanges(earlier, sources.cluster),
    links,
    traffic,
    inputs: traffic?.result.inputs ?? [],
    cni: { name: chosen.profile.name, because: chosen.because, caveats: chosen.profile.caveats },
    warnings: [
      ...new Set([
        ...sources.cluster.warnings,
        ...chosen.warnings,
        ...existing.warnings,
        ...old.warnings,
        ...fresh.warnings,
        ...cautionsOf(newSet, evaluator, world),
        ...gapsOf(sources.cluster, true),
        ...(traffic?.result.warnings ?? []),
        ...(isAlone ? ["both sets are the cluster's own: there is nothing to compare"] : []),
      ]),
    ],
  };
}

async function readGiven(name: string, { recursive }: DiffFlags, known: KnownTexts): Promise<Given> {
  if (name === CLUSTER) return { name, objects: undefined, warnings: [] };
  const { objects, warnings } = await readManifests([name], recursive, known);
  return { name, objects, warnings };
}

/** Opens the cluster, or what the manifests themselves say of one. */
async function openPlaces(flags: DiffFlags, before: Given, after: Given): Promise<Places> {
  const hasTraffic = flags.pcap.length + flags.flows.length > 0 || flags.brokerUrl !== undefined || flags.broker === true;
  if (hasTraffic) return await withEarlier(flags, await openSources(flags), hasTraffic);
  if (flags.snapshot.length > 0 || (await hasCluster(flags))) return await withEarlier(flags, await openCluster(flags), hasTraffic);
  if (before.objects === undefined || after.objects === undefined)
    throw new UsageError(
      "no --snapshot, and no cluster to ask: give two sets of manifests with the workloads beside the policies, or --snapshot FILE",
    );
  const ownCluster = readCluster(after.objects);
  const hasWorkloads = ownCluster.pods.length + ownCluster.templatePods.length > 0;
  const cluster = clusterOfManifests(
    hasWorkloads ? after.objects : [...before.objects, ...after.objects],
    hasWorkloads ? after.name : `${before.name}, ${after.name}`,
  );
  const sources = sourcesOfManifests(cluster, flags.namespace);
  return { sources, earlier: earlierOfManifests(before.objects, after.objects, sources.cluster), hasTraffic };
}

/** A folder without workloads is about those of the other; its namespaces are its own. */
function earlierOfManifests(before: readonly ManifestObject[], after: readonly ManifestObject[], later: Cluster): Cluster {
  const own = readCluster(before);
  if (own.pods.length + own.templatePods.length > 0) return { ...withoutPodWarning(own), policyObjects: [] };
  const hasNamespaces = before.some(({ value }) => value.apiVersion === "v1" && value.kind === "Namespace");
  // Of objects in both the last one counts.
  return hasNamespaces ? { ...withoutPodWarning(readCluster([...after, ...before])), policyObjects: [] } : later;
}

async function withEarlier(flags: DiffFlags, sources: Sources, hasTraffic: boolean): Promise<Places> {
  if (flags.policyMode === "overlay" || flags.old === CLUSTER || flags.new === CLUSTER)
    refuseUnreadPolicies(sources, ", --snapshot FILE may hold them, and --policy-mode=replace compares the given policies alone");
  refusePartialPolicies(sources);
  const earlier = flags.oldSnapshot.length === 0 ? sources.cluster : await snapshotCluster(flags.oldSnapshot, true);
  return { sources, earlier, hasTraffic };
}

async function policiesOf(given: Given, existing: LoadedPolicies, cluster: Cluster, flags: DiffFlags): Promise<LoadedPolicies> {
  if (given.objects === undefined) return existing;
  return await policiesIn({ objects: [...given.objects], warnings: [...given.warnings] }, flags.namespace ?? "default", cluster);
}

function refuseEmpty({ old, new: fresh }: DiffFlags, before: LoadedPolicies, after: LoadedPolicies): void {
  if (hasPolicies(before) || hasPolicies(after)) return;
  throw new UsageError(
    `no network policy in ${old === CLUSTER ? "the cluster" : old}, nor in ${fresh === CLUSTER ? "the cluster" : fresh}`,
  );
}

/**
 * Returns what is in force before and after. `overlay`: both sets lie over what the cluster holds; what only the other set has of the
 * cluster's policies was removed, and is not in force. `replace`: each set alone.
 */
function setsOf(
  { old: oldName, new: newName, policyMode, staged }: DiffFlags,
  { old, fresh, existing, earlierExisting }: Record<"old" | "fresh" | "existing" | "earlierExisting", LoadedPolicies>,
): [PolicySet, PolicySet] {
  const over = (base: LoadedPolicies, own: LoadedPolicies, other: LoadedPolicies, isOtherCluster: boolean) => {
    const gone = new Set(isOtherCluster ? [] : [...other.policies, ...other.tiers, ...other.sets].map(({ ref }) => identityOf(ref)));
    const left = <T extends { readonly ref: PolicyRef }>(all: readonly T[]) => all.filter(({ ref }) => !gone.has(identityOf(ref)));
    return overlay({ policies: left(base.policies), tiers: left(base.tiers), sets: left(base.sets) }, own, policyMode);
  };
  const before = oldName === CLUSTER ? earlierExisting : over(earlierExisting, old, fresh, newName === CLUSTER);
  const after = newName === CLUSTER ? existing : over(existing, fresh, old, oldName === CLUSTER);
  return staged ? [promoteStaged(before), promoteStaged(after)] : [before, after];
}

function chooseFor(
  flags: DiffFlags,
  cluster: Cluster,
  [before, after]: readonly [PolicySet, PolicySet],
  loaded: readonly LoadedPolicies[],
): ChosenProfile {
  const both = { ...after, policies: [...after.policies, ...before.policies] };
  const unevaluated = [...new Set(loaded.flatMap((each) => each.unevaluated))];
  return chooseProfile(flags.cni, { guess: cluster.cni, formats: [] }, both, unevaluated);
}

/** One world where there is one cluster, so that what is common to both sets is looked at once. */
function worldsOf(cluster: Cluster, earlier: Cluster) {
  const world = worldOf(cluster);
  return [world, cluster === earlier ? world : worldOf(earlier)] as const;
}

function withObjects(set: PolicySet, own: LoadedPolicies, existing: LoadedPolicies) {
  return { ...set, objects: [...own.objects, ...existing.objects] };
}

/** Workloads of which one cluster alone has any pod. */
function workloadChanges(before: Cluster, after: Cluster): DiffResult["workloads"] {
  if (before === after) return { added: [], removed: [] };
  const [old, fresh] = [before, after].map(({ pods, templatePods }) => [...pods, ...templatePods]);
  const only = (own: readonly Pod[], other: readonly Pod[]) => {
    const [workloads, pods] = [new Set(other.map(({ workload }) => workloadKey(workload))), new Set(other.map(podKey))];
    const fresh = own.filter((pod) => !workloads.has(workloadKey(pod.workload)) && !pods.has(podKey(pod)));
    return [...new Set(fresh.map(({ workload }) => workloadKey(workload)))].sort();
  };
  return { added: only(fresh, old), removed: only(old, fresh) };
}
