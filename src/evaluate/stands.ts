import type { Node, Pod, Service } from "../cluster/objects.ts";
import type { Cluster } from "../cluster/snapshot.ts";
import { type Address, isIPv4 } from "../net/address.ts";
import type { Prefix } from "../net/prefix.ts";
import { prefixContains } from "../net/prefix.ts";
import type { PolicySet } from "../policy/model.ts";
import type { Endpoint, EndpointResolver } from "./endpoints.ts";
import { dialledEnds, type Ends } from "./ends.ts";
import type { Evaluator, Participant } from "./evaluator.ts";
import { peersOf } from "./honoured.ts";

export type Family = 4 | 6;

/** Returns an address's family. */
export function familyOf(address: Address): Family {
  return isIPv4(address) ? 4 : 6;
}

/** Who takes part for an end that was named: of pods that nothing tells apart, one. */
export interface Stand {
  readonly participant: Participant;
  readonly address: Address | undefined;
  readonly endpoint: Endpoint;
  /** The pods that are judged alike, by name; empty for what is no pod. */
  readonly pods: readonly Pod[];
}

/** What stands are made with. */
export interface StandSurroundings {
  readonly evaluator: Evaluator;
  readonly resolver: EndpointResolver;
  /** The family of the addresses that both ends use; undefined where neither has any (templates). */
  readonly family: Family | undefined;
  /** Whether the node of a pod can matter: the other end is one. */
  readonly perNode: boolean;
}

/** Returns one stand for each group of pods that are alike to policies. */
export function standsOfPods(pods: readonly Pod[], around: StandSurroundings): Stand[] {
  const { evaluator, perNode } = around;
  const groups = new Map<string, { stand: Stand; pods: Pod[] }>();
  for (const pod of pods) {
    const stand = standOfPod(pod, around);
    const { identity, addressClass } = evaluator.party(evaluator.classify(stand.participant));
    const key = `${identity} ${addressClass} ${pod.hostNetwork || perNode ? pod.nodeName : ""}`;
    const group = groups.get(key);
    if (group === undefined) groups.set(key, { stand, pods: [pod] });
    else group.pods.push(pod);
  }
  return [...groups.values()].map(({ stand, pods: alike }) => ({ ...stand, pods: alike }));
}

/** Returns a pod as it takes part by itself. */
export function standOfPod(pod: Pod, { resolver, family }: Pick<StandSurroundings, "resolver" | "family">): Stand {
  // A pod without an address of the family has none that could be used; one that is made from a template has none at all.
  const address = pod.addresses.find((each) => family === undefined || familyOf(each) === family);
  const participant: Participant = { type: "pod", pod, address };
  const { namespace, name, workload } = pod;
  const endpoint: Endpoint =
    address === undefined
      ? { type: "pod", namespace, name, workload: `${workload.kind}/${workload.name}` }
      : resolver.endpointOf(participant, address, Number.NaN);
  return { participant, address, endpoint, pods: [pod] };
}

/** Returns a node with its first address of a family, as others reach it. */
export function standOfNode(node: Node, { resolver, family }: Pick<StandSurroundings, "resolver" | "family">): Stand {
  const address = node.addresses.find((each) => family === undefined || familyOf(each) === family);
  const participant: Participant = { type: "node", node, address };
  const endpoint: Endpoint =
    address === undefined ? { type: "node", name: node.name } : resolver.endpointOf(participant, address, Number.NaN);
  return { participant, address, endpoint, pods: [] };
}

/** Returns whoever an address is at last. */
export function standOfAddress(address: Address, { resolver }: Pick<StandSurroundings, "resolver">, from?: Participant): Stand {
  const participant = resolver.participantOf(address, Number.NaN, from);
  const pods = participant.type === "pod" ? [participant.pod] : [];
  return { participant, address, endpoint: resolver.endpointOf(participant, address, Number.NaN), pods };
}

/** Returns the ends of a connection from one stand to another, without any Service between. */
export function directEnds(source: Stand, destination: Stand, port: number): Ends {
  return {
    source: source.participant,
    // Pods of templates have no address, and nothing asks for it.
    sourceAddress: source.address ?? 0n,
    sourceEndpoint: source.endpoint,
    destinationEndpoint: destination.endpoint,
    destinationAddress: destination.address ?? 0n,
    port,
    via: undefined,
    arrivesFrom: undefined,
    targets: [{ participant: destination.participant, address: destination.address ?? 0n, port }],
  };
}

/** Returns the ends of a connection to a dialled address and port, one for each backend; one without any where none is known. */
export function endsByBackend(
  source: Stand,
  address: Address,
  port: number,
  protocol: number,
  resolver: EndpointResolver,
): Ends[] | undefined {
  const dialled = dialledEnds(resolver, source.participant, source.address ?? 0n, source.endpoint, address, port, protocol);
  if (dialled === undefined || dialled.targets.length < 2) return dialled === undefined ? undefined : [dialled];
  return dialled.targets.map((target) => ({
    ...dialled,
    destinationEndpoint: resolver.endpointOf(target.participant, target.address, Number.NaN),
    destinationAddress: target.address,
    port: target.port,
    targets: [target],
  }));
}

/** Returns where a Service without an address of its own (headless) leads: clients dial its backends. */
export function headlessBackends(service: Service, { serviceIndex }: Pick<Cluster, "serviceIndex">, protocol: number) {
  return serviceIndex.backendsOf(service).filter((backend) => backend.protocol === protocol);
}

/** What stands for the outside in one family: an address that no rule names, and one in each prefix that rules do name. */
export interface Outside {
  readonly address: Address;
  readonly prefixes: readonly { readonly prefix: Prefix; readonly address: Address }[];
}

/** Finds what stands for the outside; undefined where rules name prefixes around every address that was tried. */
export function findOutside(set: PolicySet, resolver: EndpointResolver, family: Family): Outside | undefined {
  const named = namedPrefixes(set).filter((prefix) => prefix.family === family && prefix.length > 0);
  const candidates = family === 4 ? outsideIPv4() : outsideIPv6();
  const address = candidates.find((each) => isFree(each, named) && resolver.participantOf(each, Number.NaN).type === "external");
  if (address === undefined) return undefined;
  const prefixes = named.flatMap((prefix) => {
    const inside = addressIn(prefix, named, resolver);
    return inside === undefined ? [] : [{ prefix, address: inside }];
  });
  return { address, prefixes };
}

/** Reports whether rules name a prefix of a family, be it the whole. */
export function namesFamily(set: PolicySet, family: Family): boolean {
  return namedPrefixes(set).some((prefix) => prefix.family === family);
}

/** Every prefix that rules name, those of sets and exceptions included. */
function namedPrefixes({ policies, sets }: PolicySet): Prefix[] {
  const inRules = policies.flatMap(peersOf).flatMap((term) => {
    if (term.kind === "prefix") return [term.prefix, ...term.except];
    return term.kind === "sets" ? term.except : [];
  });
  const byKey = new Map<string, Prefix>();
  for (const prefix of [...inRules, ...sets.flatMap(({ prefixes }) => prefixes)])
    byKey.set(`${prefix.first}/${prefix.length}/${prefix.family}`, prefix);
  return [...byKey.values()].sort((a, b) => (a.first < b.first ? -1 : a.first > b.first ? 1 : a.length - b.length));
}

/** IPv4 addresses that may be outside: from 203.113.0.1 on, through every first number. */
function outsideIPv4(): Address[] {
  const firsts = Array.from({ length: 223 }, (_, i) => 1 + ((202 + i) % 223)).filter((first) => first !== 127);
  return [113, 0, 77, 200].flatMap((second) => firsts.map((first) => (0xffffn << 32n) | BigInt(first * 2 ** 24 + second * 2 ** 16 + 1)));
}

/** IPv6 addresses that may be outside: from 2a00:113::1 on, through global unicast addresses (RFC 4291: 2000::/3). */
function outsideIPv6(): Address[] {
  const firsts = Array.from({ length: 256 }, (_, i) => 0x2000 + ((0xa00 + i * 0x20) % 0x2000));
  return [0x113, 0x0, 0x77, 0x200].flatMap((second) => firsts.map((first) => (BigInt(first) << 112n) | (BigInt(second) << 96n) | 1n));
}

/** Returns an outside address in a prefix that no narrower one of the others holds; undefined where there is none. */
function addressIn(prefix: Prefix, others: readonly Prefix[], resolver: EndpointResolver): Address | undefined {
  const narrower = others.filter(
    (other) => other !== prefix && other.family === prefix.family && other.first >= prefix.first && other.last <= prefix.last,
  );
  const candidates = [prefix.first, prefix.first + 1n, ...narrower.map(({ last }) => last + 1n), prefix.last];
  return candidates.find(
    (address) =>
      prefixContains(prefix, address) && isFree(address, narrower) && resolver.participantOf(address, Number.NaN).type === "external",
  );
}

function isFree(address: Address, prefixes: readonly Prefix[]): boolean {
  return prefixes.every((prefix) => !prefixContains(prefix, address));
}
