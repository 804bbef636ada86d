import type { Pod } from "../../cluster/objects.ts";
import { EVERYTHING, type LabelSelector, selectorOfLabels, selects } from "../../cluster/selector.ts";
import type { Decision } from "../../evaluate/decision.ts";
import type { Ends } from "../../evaluate/ends.ts";
import type { Evaluator, Participant, World } from "../../evaluate/evaluator.ts";
import { namespaceTruth } from "../../evaluate/expression.ts";
import type { Packet } from "../../evaluate/judge.ts";
import type { CniProfile } from "../../evaluate/profile.ts";
import { formatAddress, isIPv4 } from "../../net/address.ts";
import { type Prefix, parsePrefix, wholeAddress } from "../../net/prefix.ts";
import type { Direction, PeerTerm, PodMatch, Policy, PolicySet, PortMatch } from "../../policy/model.ts";
import { portMatchOf } from "../dialect.ts";
import { labelOf, type Workloads } from "../workloads.ts";

/** A connection whose verdict is to change. Its ends have one target. */
export interface AskedConnection {
  readonly ends: Ends;
  readonly packet: Packet;
  /** The port stands for all that no rule names. */
  readonly isAnyPort?: boolean;
  /** The end outside the cluster stands for all that no rule names. */
  readonly isWholeOutside?: boolean;
}

/** A protocol with a port at the destination (ICMP: type * 256 + code). */
export interface AskedPort {
  readonly protocol: number;
  readonly port: number;
}

/** What a change is looked for in. */
export interface ChangeSurroundings {
  readonly set: PolicySet;
  /** The set, compiled against the world. */
  readonly evaluator: Evaluator;
  readonly world: World;
  readonly profile: CniProfile;
  readonly workloads: Workloads;
}

/** One side of the connection under a policy set, and what it says: what edits are thought out from. */
export interface AskedSide {
  readonly around: ChangeSurroundings;
  readonly set: PolicySet;
  readonly evaluator: Evaluator;
  readonly direction: Direction;
  readonly decision: Decision;
  readonly subject: Participant;
  readonly peer: Participant;
  readonly destination: Participant;
  readonly protocol: number;
  readonly port: number;
  readonly sourcePort: number;
  /** Every port that is to change; undefined: all that no rule names. */
  readonly ports: readonly AskedPort[] | undefined;
  readonly isWholeOutside: boolean;
}

/** Returns the labels that a change names a pod by: those of its workload where they last, else all of its own. */
export function selectorFor(pod: Pod, workloads: Workloads): LabelSelector {
  const selector = workloads.of(pod)?.selector;
  if (selector !== undefined && selects(selector, pod.labels)) return selector;
  const labels = Object.entries(pod.labels).sort(([a], [b]) => (a < b ? -1 : 1));
  return labels.length === 0 ? EVERYTHING : selectorOfLabels(labels);
}

/** Returns what the other end of a side is called. */
export function peerLabel({ peer, isWholeOutside, around: { workloads } }: AskedSide): string {
  return isWholeOutside && peer.type === "external" ? `every IPv${wholeFamily(peer).family} address outside` : labelFor(peer, workloads);
}

/** Returns what a participant is called. */
export function labelFor(participant: Participant, workloads: Workloads): string {
  switch (participant.type) {
    case "pod": {
      const workload = workloads.of(participant.pod);
      return workload === undefined ? `${participant.pod.namespace}/${participant.pod.name}` : labelOf(workload);
    }
    case "node":
      return `node/${participant.node.name}`;
    case "reserved":
      return `the cluster's ${participant.entity}`;
    default:
      return participant.address === undefined ? "it" : formatAddress(participant.address);
  }
}

/** Returns how a policy can name the other end, the closest first; none where nobody knows who it is. */
export function peersFor({ peer, around, isWholeOutside }: AskedSide, policy: Policy): PeerTerm[] {
  const { workloads } = around;
  const byAddress: PeerTerm[] = peer.address === undefined ? [] : [{ kind: "prefix", prefix: wholeAddress(peer.address), except: [] }];
  const isCilium = policy.tier.kind === "cilium";
  const isAdmin = policy.tier.kind === "admin" || policy.tier.kind === "baseline";
  switch (peer.type) {
    case "pod":
      if (!peer.pod.hostNetwork)
        return [{ kind: "pods", match: { namespaces: { name: peer.pod.namespace }, pods: selectorFor(peer.pod, workloads) } }];
      return isCilium ? NODE_ENTITIES : byAddress;
    case "node":
      if (isCilium) return NODE_ENTITIES;
      return isAdmin ? [...byAddress, { kind: "nodes", selector: selectorOfLabels(Object.entries(peer.node.labels)) }] : byAddress;
    case "external":
      if (isWholeOutside)
        return isCilium ? [{ kind: "entities", entities: ["world"] }] : [{ kind: "prefix", prefix: wholeFamily(peer), except: [] }];
      return isCilium ? [...byAddress, { kind: "entities", entities: ["kube-apiserver"] }] : byAddress;
    case "reserved":
      return isCilium ? [{ kind: "entities", entities: [peer.entity] }] : byAddress;
    case "unknown":
      return [];
  }
}

const EVERY_IPV4 = parsePrefix("0.0.0.0/0")!;
const EVERY_IPV6 = parsePrefix("::/0")!;

/** Returns the prefix of all addresses of a participant's family. */
export function wholeFamily({ address }: Participant): Prefix {
  return address === undefined || isIPv4(address) ? EVERY_IPV4 : EVERY_IPV6;
}

/** Nodes have no labels that Cilium's rules on pods could select: the own one is its host. */
const NODE_ENTITIES: PeerTerm[] = [
  { kind: "entities", entities: ["remote-node"] },
  { kind: "entities", entities: ["host"] },
  { kind: "entities", entities: ["kube-apiserver"] },
];

/** Returns how a policy names the ports; "any" where its dialect has no narrower words. */
export function portsFor({ ports }: AskedSide, { tier }: Policy): "any" | readonly PortMatch[] {
  const type = tier.kind === "cilium" ? "cilium" : tier.kind === "calico" ? "calico" : "kubernetes";
  if (ports === undefined) return "any";
  const matches = ports.map(({ protocol, port }) => portMatchOf({ type, isClusterWide: false }, protocol, port));
  return matches.every((match) => typeof match !== "string") ? matches : "any";
}

/** Reports whether a match selects any pod of the world; one with conditions that are not only labels is taken to. */
export function selectsAny({ namespaces, pods, where }: PodMatch, evaluator: Evaluator, world: World): boolean {
  if (where !== undefined) return true;
  return world.pods.some(
    (pod) => !pod.hostNetwork && selects(pods, pod.labels) && namespaceTruth(namespaces, evaluator.namespace(pod.namespace)) !== false,
  );
}

/** Returns the other workloads that a selection holds besides a pod's own. */
export function alsoSelected(
  match: PodMatch,
  participant: Participant,
  { world, workloads }: ChangeSurroundings,
  evaluator: Evaluator,
): string[] {
  const own = participant.type === "pod" ? workloads.of(participant.pod) : undefined;
  if (match.where !== undefined) return [];
  const others = new Set<string>();
  for (const pod of world.pods) {
    if (pod.hostNetwork || !selects(match.pods, pod.labels)) continue;
    if (namespaceTruth(match.namespaces, evaluator.namespace(pod.namespace)) === false) continue;
    const workload = workloads.of(pod);
    if (workload !== undefined && workload !== own) others.add(labelOf(workload));
  }
  return [...others].sort();
}
