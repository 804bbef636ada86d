import type { Pod, Workload } from "../cluster/objects.ts";
import type { AddressRange } from "../net/mergePrefixes.ts";
import type { PolicySet } from "../policy/model.ts";
import { Connectivity } from "./connectivity.ts";
import { contentKey } from "./contentKey.ts";
import { Evaluator, type World } from "./evaluator.ts";
import { outsideNames } from "./otherEnds.ts";
import type { PodVersions } from "./podClasses.ts";
import type { CniProfile } from "./profile.ts";

/** A policy set in the world that it is judged in. */
export interface Judged {
  readonly set: PolicySet;
  readonly world: World;
  readonly profile: CniProfile;
  /** Whether all addresses of a range are the cluster's own: pods', nodes' or Services'. */
  readonly isInside: (range: AddressRange) => boolean;
}

/** Compiles one policy set, or two over the common refinement of what they tell apart. `isApart`: see Question. */
export function compileConnectivity(judged: readonly Judged[], isApart?: (versions: PodVersions) => boolean): Connectivity {
  const names = outsideNames(judged.flatMap(({ set }) => set.policies));
  const evaluators = judged.map(
    ({ set, world, profile }) => new Evaluator(set, { ...world, outsideNames: names.map(({ example }) => example) }, profile),
  );
  const references = judged.map(({ set }) => referencesOf(set));
  return new Connectivity({
    evaluators,
    pods: versionsOf(judged.map(({ world }) => world.pods)),
    nodes: judged.map(({ world }) => world.nodes),
    names,
    isInside: (range) => judged.every(({ isInside }) => isInside(range)),
    references,
    // What policies refer to is part of the world.
    isOneWorld: judged.every(
      ({ world, profile }, i) => world === judged[0].world && profile === judged[0].profile && references[i] === references[0],
    ),
    ...(isApart === undefined ? {} : { isApart }),
  });
}

/** Returns what rules of a set refer to, as text, in whatever order it was written. They name sets: their names count. */
function referencesOf({ tiers, sets }: PolicySet): string {
  const texts = [...tiers, ...sets].map((each) => `${each.ref.kind} ${each.ref.namespace} ${each.ref.name} ${contentKey(each)}`);
  return texts.sort().join("\n");
}

/** Returns a workload as text that is the same in every world. */
export function workloadKey({ namespace, kind, name }: Workload): string {
  return `${namespace}/${kind}/${name}`;
}

/** Returns a text that a pod has in every world. A workload that is known by labels alone changes with them. */
export function podKey({ namespace, name, workload }: Pod): string {
  return `${namespace}/${name} ${workload.foundBy === "owner" ? workloadKey(workload) : ""}`;
}

/**
 * Returns the pods of one world, or of two: a pod of the same name is the same one; of the rest, each of a workload's pods in one world
 * stands against each in the other, since rollouts replace them all. Pods on the host network are their node and left out.
 */
function versionsOf(worlds: readonly (readonly Pod[])[]): PodVersions[] {
  const [first, second] = worlds.map((pods) => pods.filter((pod) => !pod.hostNetwork));
  if (second === undefined || worlds[0] === worlds[1]) return first.map((pod) => worlds.map(() => pod));
  const later = new Map(second.map((pod) => [podKey(pod), pod]));
  const versions: PodVersions[] = [];
  const gone: Pod[] = [];
  const kept = new Set<Pod>();
  for (const pod of first) {
    const same = later.get(podKey(pod));
    if (same === undefined || kept.has(same)) {
      gone.push(pod);
      continue;
    }
    versions.push([pod, same]);
    kept.add(same);
  }
  return [
    ...versions,
    ...replaced(
      gone,
      second.filter((pod) => !kept.has(pod)),
    ),
  ];
}

function replaced(gone: readonly Pod[], come: readonly Pod[]): PodVersions[] {
  const comeBy = Map.groupBy(come, ({ workload }) => workloadKey(workload));
  const goneBy = Map.groupBy(gone, ({ workload }) => workloadKey(workload));
  const versions: PodVersions[] = [];
  for (const [key, before] of goneBy) {
    const after = comeBy.get(key);
    if (after === undefined) versions.push(...before.map((pod): PodVersions => [pod, undefined]));
    // One for each look is enough: hundreds of replicas would be ten thousands of pairs.
    else for (const old of distinct(before)) versions.push(...distinct(after).map((pod): PodVersions => [old, pod]));
  }
  for (const [key, after] of comeBy) if (!goneBy.has(key)) versions.push(...after.map((pod): PodVersions => [undefined, pod]));
  return versions;
}

/** Returns one pod of each set of labels, ports, account and node. */
function distinct(pods: readonly Pod[]): Pod[] {
  const text = ({ labels, ports, serviceAccountName, addresses }: Pod) =>
    JSON.stringify([Object.entries(labels).sort(), ports, serviceAccountName, addresses.length]);
  return [...new Map(pods.map((pod) => [text(pod), pod])).values()];
}
