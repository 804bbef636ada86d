import type { Pod } from "../cluster/objects.ts";
import { type Requirement, selectorOfLabels } from "../cluster/selector.ts";
import { isClusterDns } from "../cluster/services.ts";
import type { Cluster } from "../cluster/snapshot.ts";
import { NODE_LOCAL_DNS } from "../evaluate/endpoints.ts";
import type { CniProfile } from "../evaluate/profile.ts";
import { type Address, formatAddress, isIPv4 } from "../net/address.ts";
import { mergeAddresses, type Widening } from "../net/mergePrefixes.ts";
import { grouped } from "../net/number.ts";
import { formatPrefix, type Prefix, prefixContains } from "../net/prefix.ts";
import { TCP, UDP } from "../net/protocol.ts";
import { namePattern } from "../policy/cilium/names.ts";
import type { Direction, L7Match, Peer, PeerTerm, Rule } from "../policy/model.ts";
import type { Dialect } from "./dialect.ts";
import { Evidence } from "./evidence.ts";
import type { LearnedWorkload, SeenPeer, SeenPort } from "./gather.ts";
import type { PeerFinder, PeerSpec } from "./peers.ts";
import { dnsPorts, type RulePorts, rulePorts } from "./ports.ts";
import { anyName, dnsMatches, httpMatches } from "./requests.ts";
import { labelOf, type Workloads } from "./workloads.ts";

/** A rule that is to be written, and what it was made of. */
export interface PlannedRule {
  readonly direction: Direction;
  readonly rule: Rule;
  readonly evidence: Evidence;
  /** Who it is for, with what was seen of each. */
  readonly peers: readonly { readonly label: string; readonly evidence: Evidence }[];
  /** What a reader should know, a line each. */
  readonly remarks: readonly string[];
  readonly seen: readonly SeenPort[];
  readonly specs: readonly PeerSpec[];
  /** Workloads that its selectors let in besides those that were seen. */
  readonly unseen: readonly string[];
  /** Where it lists very many prefixes: how many, and how many there would be if they were wider (--cidr-max-widen). */
  readonly many?: { readonly count: number; readonly wider: readonly { readonly bits: number; readonly count: number }[] };
  /** Why it is there though nothing was seen of it; absent: it was. */
  readonly needed?: string;
}

export interface RuleSurroundings {
  readonly cluster: Cluster;
  readonly workloads: Workloads;
  readonly peers: PeerFinder;
  readonly dialect: Dialect;
  readonly profile: CniProfile;
  /** How prefixes may be widened by bits, and by how many they are. */
  readonly widening: (bits: number) => Widening | undefined;
  readonly widenBits: number;
  /** Whether rules on requests are written (Cilium). */
  readonly l7: boolean;
  /** Names of outside addresses. */
  readonly namesOf: (address: Address) => readonly string[];
}

/** More prefixes than this in one rule are hard to read: the report says how to have fewer. */
const MANY_PREFIXES = 20;
const WIDER_BITS = [8, 16, 24, 32];
/** Prefixes whose names are listed above a rule. */
const LISTED_NAMES = 20;

const ORDER: readonly PeerSpec["kind"][] = ["pods", "apiServer", "entity", "nodes", "names", "outside"];

/** What shares one rule: peers of one kind with the same ports. */
interface Group {
  readonly ports: RulePorts;
  readonly l7: readonly L7Match[] | undefined;
  readonly isDns: boolean;
  readonly members: { readonly peer: SeenPeer; readonly seen: readonly SeenPort[]; readonly evidence: Evidence }[];
}

/** Returns the rules of a workload for one direction, in an order that hangs on their contents alone. */
export function planRules(learned: LearnedWorkload, direction: Direction, around: RuleSurroundings): PlannedRule[] {
  const groups = new Map<string, Group>();
  const own = around.workloads.podsSelectedBy(learned.workload.namespace, learned.workload.selector ?? { requirements: [] });
  for (const peer of withoutContained([...learned[direction].values()])) {
    const all = [...peer.ports.values()];
    const isDns = ({ isDns, protocol }: SeenPort) => isDns && (protocol === UDP || protocol === TCP);
    const dns = all.filter(isDns);
    const others = all.filter((seen) => !isDns(seen));
    if (dns.length > 0) addTo(groups, peer, dns, dnsPorts(dns), dnsRequests(dns, direction, around), true);
    const [plain, asked] = partition(others, (seen) => !isAsked(seen, direction, peer.spec, around));
    if (plain.length > 0) addTo(groups, peer, plain, rulePorts(plain, namingPods(peer.spec, direction, own, around)), undefined, false);
    // What is asked on one port is not asked on another; names of ports and rules on requests do not go together in Cilium.
    for (const seen of asked) {
      const { matches, remarks } = httpMatches(seen.requests ?? []);
      const ports = rulePorts([seen], []);
      addTo(groups, peer, [seen], { ...ports, remarks: [...ports.remarks, ...remarks] }, matches, false);
    }
  }
  const planned = [...groups.values()].map((group) => ruleOf(group, direction, around));
  if (direction === "egress" && planned.some(({ specs }) => specs.some(({ kind }) => kind === "names"))) ensureDns(planned, around);
  const keyOf = ({ specs, rule }: PlannedRule) =>
    `${ORDER.indexOf(specs[0].kind)} ${JSON.stringify(rule.ports)} ${specs.map(({ label }) => label).join()}`;
  const isDns = ({ seen, needed }: PlannedRule) => needed !== undefined || seen.some((each) => each.isDns);
  return planned
    .map((rule) => ({ rule, key: `${isDns(rule) ? 1 : 0} ${keyOf(rule)}` }))
    .sort((a, b) => (a.key < b.key ? -1 : 1))
    .map(({ rule }, i) => at(rule, `${direction}[${i}]`));
}

function at(planned: PlannedRule, path: string): PlannedRule {
  return { ...planned, rule: { ...planned.rule, ref: { path } } };
}

/** Leaves out peers whose pods and ports another one holds too: what was seen of them counts there. */
function withoutContained(peers: readonly SeenPeer[]): SeenPeer[] {
  const byBreadth = [...peers].sort((a, b) => breadth(a) - breadth(b) || (a.spec.key < b.spec.key ? -1 : 1));
  const kept: SeenPeer[] = [];
  const ofNamespace = new Map<string, SeenPeer[]>();
  for (const peer of byBreadth) {
    if (peer.spec.kind !== "pods") {
      kept.push(peer);
      continue;
    }
    const wider = ofNamespace.get(peer.spec.namespace) ?? [];
    ofNamespace.set(peer.spec.namespace, wider);
    const holder = wider.find((other) => contains(other, peer));
    if (holder === undefined) {
      kept.push(peer);
      wider.push(peer);
      continue;
    }
    holder.evidence.join(peer.evidence);
    for (const workload of peer.workloads) holder.workloads.add(workload);
    for (const [key, seen] of peer.ports) holder.ports.get(key)?.evidence.join(seen.evidence);
  }
  return kept;
}

function breadth({ spec }: SeenPeer): number {
  return spec.kind === "pods" ? spec.selector.requirements.length : 0;
}

function contains(wide: SeenPeer, narrow: SeenPeer): boolean {
  return holdsPods(wide.spec, narrow.spec) && [...narrow.ports].every(([key, seen]) => wide.ports.has(key) && seen.requests === undefined);
}

/** Reports whether one selector holds the pods of another, as far as the requirements say it. */
function holdsPods(wide: PeerSpec, narrow: PeerSpec): boolean {
  if (wide.kind !== "pods" || narrow.kind !== "pods" || wide.namespace !== narrow.namespace) return false;
  const text = ({ key, operator, values }: Requirement) => JSON.stringify([key, operator, values]);
  const requirements = new Set(narrow.selector.requirements.map(text));
  return wide.selector.requirements.every((each) => requirements.has(text(each)));
}

/** Leaves out members of one rule whose pods another one holds: DNS of both protocols, or ports of one name, may have brought them together. */
function widest(members: Group["members"]): Group["members"] {
  if (members[0].peer.spec.kind !== "pods") return members;
  const kept: Group["members"] = [];
  for (const member of members.toSorted((a, b) => breadth(a.peer) - breadth(b.peer))) {
    const holder = kept.find(({ peer }) => holdsPods(peer.spec, member.peer.spec));
    if (holder === undefined) kept.push({ ...member, seen: [...member.seen] });
    else {
      holder.evidence.join(member.evidence);
      (holder.seen as SeenPort[]).push(...member.seen);
      for (const workload of member.peer.workloads) holder.peer.workloads.add(workload);
    }
  }
  return kept;
}

function partition<Item>(items: readonly Item[], isFirst: (item: Item) => boolean): [Item[], Item[]] {
  return [items.filter(isFirst), items.filter((item) => !isFirst(item))];
}

/**
 * Reports whether a port's requests become rules: where each was seen, at the pod that serves them, or where they leave the cluster.
 */
function isAsked(seen: SeenPort, direction: Direction, spec: PeerSpec, { l7 }: RuleSurroundings): boolean {
  const isPlace = direction === "ingress" || spec.kind === "outside" || spec.kind === "names";
  return (
    l7 &&
    isPlace &&
    seen.protocol === TCP &&
    !seen.hasUnseenRequests &&
    (seen.requests?.length ?? 0) > 0 &&
    seen.requests!.every(({ http }) => http !== undefined)
  );
}

function dnsRequests(seen: readonly SeenPort[], direction: Direction, { l7 }: RuleSurroundings): readonly L7Match[] | undefined {
  if (!l7 || direction !== "egress") return undefined;
  return seen.some(({ hasUnseenRequests }) => hasUnseenRequests) ? anyName() : dnsMatches(seen.flatMap(({ requests = [] }) => requests));
}

/** The pods whose port names a rule may use: the destination's. OVN-Kubernetes takes a name for every port of the protocol. */
function namingPods(
  spec: PeerSpec,
  direction: Direction,
  own: readonly Pod[],
  { workloads, profile, l7 }: RuleSurroundings,
): readonly Pod[] {
  // Cilium's engine leaves open what a name means beside rules on requests.
  if (profile.namedPortIsWholeProtocol || l7) return [];
  if (direction === "ingress") return own;
  return spec.kind === "pods" ? workloads.podsSelectedBy(spec.namespace, spec.selector) : [];
}

function addTo(
  groups: Map<string, Group>,
  peer: SeenPeer,
  seen: readonly SeenPort[],
  ports: RulePorts,
  l7: readonly L7Match[] | undefined,
  isDns: boolean,
): void {
  const key = [ORDER.indexOf(peer.spec.kind), isDns, ports.key, JSON.stringify(l7), peer.spec.key === "node-local-dns"].join();
  let group = groups.get(key);
  if (group === undefined) groups.set(key, (group = { ports, l7, isDns, members: [] }));
  const evidence = new Evidence();
  for (const each of seen) evidence.join(each.evidence);
  group.members.push({ peer, seen, evidence });
}

function ruleOf({ ports, l7, isDns, members: all }: Group, direction: Direction, around: RuleSurroundings): PlannedRule {
  const members = widest(all);
  members.sort((a, b) => (a.peer.spec.label < b.peer.spec.label ? -1 : a.peer.spec.label > b.peer.spec.label ? 1 : 0));
  const [{ peer }] = members;
  const { terms, remarks, many } = termsOf(
    peer.spec.kind,
    members.map(({ peer: each }) => each),
    around,
  );
  const ref = { path: direction };
  const evidence = new Evidence();
  for (const member of members) evidence.join(member.evidence);
  const said = members.flatMap(({ peer: each }) => remarksOf(each, direction, isDns));
  const names = isDns && peer.spec.kind === "pods" ? ["DNS over UDP, and over TCP for long answers"] : [];
  return {
    direction,
    rule: {
      action: "allow",
      peers: terms.map((term): Peer => ({ ...term, ref })),
      ports: ports.matches,
      ref,
      ...(l7 === undefined ? {} : { l7 }),
    },
    evidence,
    peers:
      peer.spec.kind === "outside"
        ? [{ label: outsideLabel(members.map(({ peer: each }) => each.spec)), evidence }]
        : members.map(({ peer: { spec }, evidence: own }) => ({ label: spec.label, evidence: own })),
    remarks: [...names, ...ports.remarks, ...new Set(said), ...remarks],
    seen: members.flatMap(({ seen }) => seen),
    specs: members.map(({ peer: each }) => each.spec),
    ...(many === undefined ? {} : { many }),
    unseen: [...new Set(members.flatMap(({ peer: each }) => unseenOf(each, around)))].sort(),
  };
}

function remarksOf({ spec, remarks }: SeenPeer, direction: Direction, isDns: boolean): string[] {
  const remark = [...remarks].sort().map((text) => `${spec.label}: ${text}`);
  const isProxy = spec.kind === "pods" && spec.isProxy && direction === "ingress" && !isDns;
  return isProxy ? [...remark, `${spec.label} is a proxy: the outside clients behind it cannot be told apart here`] : remark;
}

/** Returns the workloads that a peer's selector holds and that were not seen. */
function unseenOf({ spec, workloads: seen }: SeenPeer, { workloads }: RuleSurroundings): string[] {
  if (spec.kind !== "pods") return [];
  return workloads
    .selectedBy(spec.namespace, spec.selector)
    .filter((workload) => !seen.has(workload))
    .map(labelOf);
}

function outsideLabel(specs: readonly PeerSpec[]): string {
  if (specs.length === 1) {
    const [spec] = specs;
    const ip = spec.kind === "outside" ? formatAddress(spec.address) : spec.label;
    return spec.label === ip ? ip : `${spec.label} (${ip})`;
  }
  return `${grouped(specs.length)} addresses outside`;
}

interface Terms extends Pick<PlannedRule, "many"> {
  readonly terms: PeerTerm[];
  readonly remarks: string[];
}

function termsOf(kind: PeerSpec["kind"], peers: readonly SeenPeer[], around: RuleSurroundings): Terms {
  const isCilium = around.dialect.type === "cilium";
  switch (kind) {
    case "pods":
      return {
        terms: peers.flatMap(({ spec }) =>
          spec.kind === "pods" ? [{ kind: "pods", match: { namespaces: { name: spec.namespace }, pods: spec.selector } }] : [],
        ),
        remarks: [],
      };
    case "entity":
      return {
        terms: [{ kind: "entities", entities: peers.flatMap(({ spec }) => (spec.kind === "entity" ? [spec.entity] : [])) }],
        remarks: [],
      };
    case "apiServer":
      if (isCilium) return { terms: [{ kind: "entities", entities: ["kube-apiserver"] }], remarks: [] };
      return {
        terms: prefixTerms(mergeAddresses(around.peers.apiServers.map(({ address }) => address))),
        remarks: ["the endpoints of Service default/kubernetes: generate again when they change"],
      };
    case "nodes": {
      const isDnsCache = peers.some(({ addresses: seen }) => seen.has(NODE_LOCAL_DNS));
      const cache = isDnsCache ? ["the node-local DNS cache (169.254.20.10) is on the host's network"] : [];
      if (isCilium) return { terms: [{ kind: "entities", entities: ["host", "remote-node"] }], remarks: cache };
      const addresses = nodeAddresses(
        peers.flatMap(({ addresses: seen }) => [...seen]),
        around.cluster,
      );
      return {
        terms: prefixTerms(mergeAddresses(addresses)),
        remarks: [
          `addresses of ${around.cluster.nodes.length === 1 ? "the node" : `all ${around.cluster.nodes.length} nodes`}, and of pods on their network: generate again when nodes are added`,
        ],
      };
    }
    case "names":
      return {
        terms: [
          {
            kind: "names",
            patterns: [...new Set(peers.flatMap(({ spec }) => (spec.kind === "names" ? spec.names : [])))].sort().map(namePattern),
          },
        ],
        remarks: [],
      };
    case "outside": {
      const addresses = peers.flatMap(({ spec }) => (spec.kind === "outside" ? [spec.address] : []));
      const prefixes = mergeAddresses(addresses, around.widening(around.widenBits));
      return { terms: prefixTerms(prefixes), remarks: outsideRemarks(prefixes, addresses, around), ...manyOf(prefixes, addresses, around) };
    }
  }
}

function prefixTerms(prefixes: readonly Prefix[]): PeerTerm[] {
  return prefixes.map((prefix) => ({ kind: "prefix", prefix, except: [] }));
}

/** Says how few prefixes there would be if they were wider, where there are many. */
function manyOf(
  prefixes: readonly Prefix[],
  addresses: readonly Address[],
  { widening, widenBits }: RuleSurroundings,
): Pick<PlannedRule, "many"> {
  if (prefixes.length <= MANY_PREFIXES) return {};
  const wider = WIDER_BITS.filter((bits) => bits > widenBits).map((bits) => ({
    bits,
    count: mergeAddresses(addresses, widening(bits)).length,
  }));
  return { many: { count: prefixes.length, wider } };
}

function outsideRemarks(prefixes: readonly Prefix[], addresses: readonly Address[], { namesOf, widenBits }: RuleSurroundings): string[] {
  const remarks: string[] = [];
  const isWidened = prefixes.some(({ length, family }) => length < (family === 4 ? 32 : 128)) && widenBits > 0;
  if (isWidened) remarks.push(`prefixes are wider than what was seen (--cidr-max-widen ${widenBits})`);
  if (addresses.length === 1) return remarks;
  const named = prefixes.slice(0, 4 * LISTED_NAMES).flatMap((prefix) => {
    const names = [...new Set(addresses.filter((address) => prefixContains(prefix, address)).flatMap(namesOf))].sort();
    return names.length === 0
      ? []
      : [`${formatPrefix(prefix)} is ${names.slice(0, 3).join(", ")}${names.length > 3 ? ` and ${names.length - 3} more` : ""}`];
  });
  remarks.push(...named.slice(0, LISTED_NAMES));
  return remarks;
}

/** Returns the addresses that were seen with those that other nodes have in their place: pods move, and so do those on the host network. */
function nodeAddresses(seen: readonly Address[], { nodes }: Cluster): Address[] {
  const all = new Set(seen);
  for (const address of seen) {
    const home = nodes.find(({ addresses }) => addresses.includes(address));
    if (home === undefined) continue;
    const isOfPods = isInPodRange(home, address);
    for (const node of nodes) {
      const candidates = node.addresses.filter((each) => isIPv4(each) === isIPv4(address) && isInPodRange(node, each) === isOfPods);
      // Nodes list outside addresses too, in no certain order: the one of the same network is nearest in number.
      if (candidates.length > 0) all.add(candidates.reduce((a, b) => ((b ^ address) < (a ^ address) ? b : a)));
    }
  }
  return [...all];
}

function isInPodRange({ podPrefixes }: Cluster["nodes"][number], address: Address): boolean {
  return podPrefixes.some((prefix) => prefixContains(prefix, address));
}

/** What a reader must add where the snapshot does not tell who answers DNS. */
export const NO_RESOLVER =
  "toFQDNs works only with a rule that lets DNS through Cilium's proxy, and no DNS was seen and the snapshot has no Service for it: add one";

/**
 * Makes sure that DNS is seen by Cilium's proxy where rules are by name: it learns addresses from the answers that pass through it
 * (Cilium documentation: DNS based).
 */
function ensureDns(planned: PlannedRule[], around: RuleSurroundings): void {
  let isSeen = false;
  for (const [i, rule] of planned.entries()) {
    if (!rule.seen.some(({ isDns }) => isDns)) continue;
    planned[i] = { ...rule, rule: { ...rule.rule, l7: rule.rule.l7 ?? anyName() } };
    isSeen = true;
  }
  if (isSeen) return;
  const resolver = around.cluster.services.find(isClusterDns);
  if (resolver?.selector === undefined) {
    const first = planned.findIndex(({ specs }) => specs.some(({ kind }) => kind === "names"));
    planned[first] = { ...planned[first], remarks: [...planned[first].remarks, NO_RESOLVER] };
    return;
  }
  const pods = selectorOfLabels(Object.entries(resolver.selector));
  const numbers = [...new Set(around.cluster.serviceIndex.backendsOf(resolver).map(({ port }) => port))];
  const ports = dnsPorts((numbers.length > 0 ? numbers : [53]).map((port) => ({ port })));
  const label = `${resolver.namespace}/svc/${resolver.name}`;
  const ref = { path: "egress" };
  planned.push({
    direction: "egress",
    rule: {
      action: "allow",
      peers: [{ kind: "pods", match: { namespaces: { name: resolver.namespace }, pods }, ref }],
      ports: ports.matches,
      ref,
      l7: anyName(),
    },
    evidence: new Evidence(),
    peers: [],
    remarks: ["toFQDNs needs it: the proxy learns addresses from DNS answers"],
    seen: [],
    unseen: [],
    specs: [{ key: label, label, kind: "pods", namespace: resolver.namespace, selector: pods, isProxy: false }],
    needed: "toFQDNs",
  });
}
