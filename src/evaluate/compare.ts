import type { Node, Pod, Workload } from "../cluster/objects.ts";
import { isVolatileLabel } from "../cluster/workloads.ts";
import type { AddressRange } from "../net/mergePrefixes.ts";
import type { PolicySet } from "../policy/model.ts";
import { Connectivity, type Refinement } from "./connectivity.ts";
import { contentKey } from "./contentKey.ts";
import { Evaluator, type World } from "./evaluator.ts";
import { type OutsideName, outsideNames } from "./otherEnds.ts";
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

/** Compiles one policy set, or two over the common refinement of what they, and `apart`, tell apart. */
export function compileConnectivity(judged: readonly Judged[], apart: Refinement = {}): Connectivity {
  const names = withNames(outsideNames(judged.flatMap(({ set }) => set.policies)), apart.dnsNames ?? []);
  const evaluators = judged.map(
    ({ set, world, profile }) => new Evaluator(set, { ...world, outsideNames: names.map(({ example }) => example) }, profile),
  );
  const references = judged.map(({ set }) => referencesOf(set));
  return new Connectivity({
    evaluators,
    pods: versionsOf(judged.map(({ world }) => world.pods)),
    nodes: nodesOf(judged.map(({ world }) => world.nodes)),
    names,
    isInside: (range) => judged.every(({ isInside }) => isInside(range)),
    references,
    isSameWorld: judged.every(({ world }) => world === judged[0].world),
    // What policies refer to is part of the world.
    isOneWorld: judged.every(
      ({ world, profile }, i) => world === judged[0].world && profile === judged[0].profile && references[i] === references[0],
    ),
    apart,
  });
}

/** Returns names with others that a question is about. */
function withNames(names: readonly OutsideName[], others: readonly string[]): OutsideName[] {
  const known = new Set(names.map(({ text }) => text));
  return [...names, ...others.filter((text) => !known.has(text)).map((text) => ({ text, example: text }))];
}

/** Stands for nodes where there is no Node object. */
export const UNHEARD_OF_NODE: Node = { name: "", labels: {}, addresses: [], podPrefixes: [] };

/** Without any Node object nodes are there all the same: of one of which nothing is known, two sets must still agree. */
function nodesOf(nodes: readonly (readonly Node[])[]): readonly (readonly Node[])[] {
  return nodes.length === 1 || nodes.some((list) => list.length > 0) ? nodes : nodes.map(() => [UNHEARD_OF_NODE]);
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

/** Returns a text that a pod has in every world, whatever it is labelled and whoever is known to own it. */
export function podKey({ namespace, name }: Pod): string {
  return `${namespace}/${name}`;
}

/**
 * Returns the pods of one world, or of two: a pod of the same name is the same one. Of a workload whose pods were replaced, those that
 * look alike are the same, on the same node where they can be; looks that one world alone has stand against each that the other alone has.
 * Pods that are on the host network in every world are their node and left out.
 */
function versionsOf(worlds: readonly (readonly Pod[])[]): PodVersions[] {
  const [first, second] = worlds;
  const isPod = (versions: PodVersions) => versions.some((pod) => pod !== undefined && !pod.hostNetwork);
  if (second === undefined || first === second) return first.map((pod): PodVersions => worlds.map(() => pod)).filter(isPod);
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
  ].filter(isPod);
}

function replaced(gone: readonly Pod[], come: readonly Pod[]): PodVersions[] {
  const keyOf = ({ workload }: Pod) => workloadKey(workload);
  const [goneBy, comeBy] = [Map.groupBy(gone, keyOf), Map.groupBy(come, keyOf)];
  const versions: PodVersions[] = [];
  for (const key of new Set([...goneBy.keys(), ...comeBy.keys()])) {
    const [before, after] = [goneBy.get(key) ?? [], comeBy.get(key) ?? []].map((pods) => Map.groupBy(pods, lookOf));
    const [goneLooks, comeLooks]: [Pod[], Pod[]] = [[], []];
    for (const [look, pods] of before) {
      const others = after.get(look);
      if (others === undefined) goneLooks.push(...pods);
      else versions.push(...paired(pods, others));
    }
    for (const [look, pods] of after) if (!before.has(look)) comeLooks.push(...pods);
    if (goneLooks.length === 0 || comeLooks.length === 0) {
      // A look that is gone for good, where others of its workload live on, is no pod that lost anything.
      if (after.size === 0 || before.size === 0)
        versions.push(...goneLooks.map((pod): PodVersions => [pod, undefined]), ...comeLooks.map((pod): PodVersions => [undefined, pod]));
      else versions.push(...crossed(goneLooks, [...after.values()].flat()), ...crossed([...before.values()].flat(), comeLooks));
    } else versions.push(...crossed(goneLooks, comeLooks));
  }
  return versions;
}

/** Pairs pods that look alike: on the same node first, then in the order of names; whoever is left has one of the others again. */
function paired(before: readonly Pod[], after: readonly Pod[]): PodVersions[] {
  const byName = (a: Pod, b: Pod) => (a.name < b.name ? -1 : 1);
  const free = after.toSorted(byName);
  const take = (fits: (pod: Pod) => boolean) => {
    const at = free.findIndex(fits);
    return at < 0 ? undefined : free.splice(at, 1)[0];
  };
  const sorted = before.toSorted(byName);
  const onNode = new Map(sorted.map((pod) => [pod, take(({ nodeName }) => nodeName !== undefined && nodeName === pod.nodeName)]));
  const versions = sorted.map((pod, i): PodVersions => [pod, onNode.get(pod) ?? take(() => true) ?? after[i % after.length]]);
  return [...versions, ...free.map((pod, i): PodVersions => [sorted[i % sorted.length], pod])];
}

/** Pairs each look with each other one: which took whose place is not known. */
function crossed(before: readonly Pod[], after: readonly Pod[]): PodVersions[] {
  const oneEach = (pods: readonly Pod[]) => [...new Map(pods.map((pod) => [`${lookOf(pod)} ${pod.nodeName}`, pod])).values()];
  return oneEach(before).flatMap((old) => oneEach(after).map((pod): PodVersions => [old, pod]));
}

/** What policies can see of a pod but for its addresses and what tells it from others of its workload. */
function lookOf({ labels, ports, serviceAccountName, hostNetwork, addresses }: Pod): string {
  const lasting = Object.entries(labels).filter(([key]) => !isVolatileLabel(key));
  return JSON.stringify([lasting.sort(), ports, serviceAccountName, hostNetwork, addresses.length]);
}
