import type { Pod } from "../cluster/objects.ts";
import type { Evidence, RuleUse } from "../evaluate/coverageHits.ts";
import type { Evaluator, Participant } from "../evaluate/evaluator.ts";
import { describePorts } from "../evaluate/ruleFaults.ts";
import type { Address } from "../net/address.ts";
import { FIRST_EPHEMERAL_PORT } from "../net/clientPorts.ts";
import { rangeContains } from "../net/portRange.ts";
import { formatPrefix, prefixContains, wholeAddress } from "../net/prefix.ts";
import { TRANSPORTS } from "../net/protocol.ts";
import type { Peer, PodMatch, PortMatch, Rule } from "../policy/model.ts";
import { labelOf, type SelectableWorkload, type Workloads } from "./workloads.ts";

/** What a rule allows beyond its evidence, and the rule that allows less of it. */
export interface TighterRule {
  readonly use: RuleUse;
  readonly rule: Rule;
  /** Undefined: nothing of it can be made tighter. */
  readonly tighter: Rule | undefined;
  /** Ports that nobody used, as people write them; empty: none. */
  readonly ports: string;
  /** Peers that were not seen. */
  readonly peers: readonly string[];
  /** Pairs of workloads times ports that nobody used; the outside counts as one workload. */
  readonly width: number;
}

/** More ports than this with one rule are no list that anybody would keep: the next one will be another. */
const MOST_PORTS = 8;
/** More workloads, or outside addresses, than this are left to the selector or prefix that holds them. */
const MOST_WORKLOADS = 8;
const MOST_ADDRESSES = 3;
const DNS = 53;
const ALL_PORTS = 65536;

/** Prefixes of fewer addresses than these are taken for meant: an outside service answers from any of its own. */
const SHORTEST = { 4: 16, 6: 48 };

interface Surroundings {
  readonly evaluator: Evaluator;
  readonly workloads: Workloads;
  readonly isSilent: (workload: SelectableWorkload) => boolean;
}

interface Narrowed<T> {
  readonly value: T;
  readonly isTighter: boolean;
}

/**
 * Makes an allowing rule as narrow as what it was used for: without the ports and peers that nobody used, and with the workloads that
 * were seen in place of a selector of more. DNS keeps both its protocols, ports that clients chose keep their range. Undefined where the
 * rule allows nothing beyond its evidence that could be said. Workloads that had no traffic at all (`isSilent`) count as seen: nobody
 * knows what they would use. Whether the result holds what it promises is for the proof.
 */
export function tightenRule(
  use: RuleUse,
  evaluator: Evaluator,
  workloads: Workloads,
  isSilent: (workload: SelectableWorkload) => boolean,
): TighterRule | undefined {
  const [rule, ...others] = use.rule.rules;
  if (others.length > 0 || rule.action !== "allow" || use.evidence.length === 0) return undefined;
  const ports = narrowPorts(rule, use.evidence, use.rule.direction);
  const peers = narrowPeers(rule, use, { evaluator, workloads, isSilent });
  if (ports.unused === "" && peers.unused.length === 0) return undefined;
  const tighter = ports.isTighter || peers.isTighter ? { ...rule, ports: ports.value, peers: peers.value } : undefined;
  const seen = new Set(use.evidence.map(({ protocol, port }) => `${protocol} ${port}`)).size;
  const pairs = new Set(use.evidence.map(({ subject, peer }) => `${nameOf(subject, workloads)} ${nameOf(peer, workloads)}`)).size;
  return { use, rule, tighter, ports: ports.unused, peers: peers.unused, width: ports.width * pairs + peers.unused.length * seen };
}

function nameOf(participant: Participant, workloads: Workloads): string {
  return participant.type === "pod" ? (workloads.of(participant.pod)?.key ?? participant.pod.name) : participant.type;
}

interface NarrowedPorts extends Narrowed<Rule["ports"]> {
  readonly unused: string;
  /** How many ports nobody used. */
  readonly width: number;
}

function narrowPorts({ ports }: Rule, evidence: readonly Evidence[], direction: "ingress" | "egress"): NarrowedPorts {
  if (ports === "any") return narrowAnyPort(evidence);
  const kept: PortMatch[] = [];
  const unused: PortMatch[] = [];
  for (const match of ports) {
    const own = evidence.filter((each) => holds(match, each, direction));
    if (
      own.length === 0 &&
      !(isDns(match) && ports.some((other) => isDns(other) && evidence.some((each) => holds(other, each, direction))))
    )
      unused.push(match);
    else {
      const pieces = own.length === 0 ? undefined : usedPieces(match, own);
      kept.push(...(pieces?.used ?? [match]));
      unused.push(...(pieces?.unused ?? []));
    }
  }
  if (unused.length === 0 || kept.length === 0) return { value: ports, isTighter: false, unused: "", width: 0 };
  return { value: kept, isTighter: true, unused: describePorts(unused), width: unused.reduce((sum, match) => sum + sizeOf(match), 0) };
}

function isDns({ ports }: PortMatch): boolean {
  return ports !== undefined && !("name" in ports) && ports.first === DNS && ports.last === DNS;
}

function sizeOf({ ports, icmp }: PortMatch): number {
  if (ports === undefined) return icmp === undefined ? ALL_PORTS : 1;
  return "name" in ports ? 1 : ports.last - ports.first + 1;
}

/** Reports whether a match holds a port that was used, names at the destination that it was used at. */
function holds(
  { protocol, ports, icmp }: PortMatch,
  { protocol: used, port, subject, peer }: Evidence,
  direction: "ingress" | "egress",
): boolean {
  if (protocol !== used) return false;
  if (icmp !== undefined) return icmp.type === port >> 8 && (icmp.code === undefined || icmp.code === (port & 255));
  if (ports === undefined) return true;
  if (!("name" in ports)) return rangeContains(ports, port);
  const destination = direction === "ingress" ? subject : peer;
  return (
    destination.type !== "pod" ||
    destination.pod.ports.some((own) => own.name === ports.name && own.port === port && own.protocol === protocol)
  );
}

/** A range as the few ports of it that were used, and the rest of it; undefined where it stays. */
function usedPieces(match: PortMatch, evidence: readonly Evidence[]): { used: PortMatch[]; unused: PortMatch[] } | undefined {
  const { protocol, ports, icmp } = match;
  if (icmp !== undefined || (ports !== undefined && "name" in ports) || !TRANSPORTS.includes(protocol)) return undefined;
  const range = ports ?? { first: 1, last: ALL_PORTS - 1 };
  if (range.first === range.last) return undefined;
  const numbers = listed(evidence.map(({ port }) => port));
  if (numbers === undefined) return undefined;
  const single = (first: number, last = first): PortMatch => ({ protocol, ports: { first, last } });
  const unused: PortMatch[] = [];
  let next = range.first;
  for (const number of numbers) {
    if (number > next) unused.push(single(next, number - 1));
    next = number + 1;
  }
  if (next <= range.last) unused.push(single(next, range.last));
  return { used: numbers.map((number) => single(number)), unused };
}

/** Ports in order, where they are few and none is one that a client or server chose for itself. */
function listed(ports: readonly number[]): number[] | undefined {
  const numbers = [...new Set(ports)].sort((a, b) => a - b);
  return numbers.length > MOST_PORTS || numbers.some((number) => number >= FIRST_EPHEMERAL_PORT || number === 0) ? undefined : numbers;
}

function narrowAnyPort(evidence: readonly Evidence[]): NarrowedPorts {
  const nothing: NarrowedPorts = { value: "any", isTighter: false, unused: "", width: 0 };
  // What has no ports only a rule without ports lets through, in most dialects.
  if (evidence.some(({ protocol }) => !TRANSPORTS.includes(protocol))) return nothing;
  const protocols = [...Map.groupBy(evidence, ({ protocol }) => protocol)].sort(([a], [b]) => a - b);
  const used: PortMatch[] = [];
  for (const [protocol, own] of protocols) {
    const numbers = listed(own.map(({ port }) => port));
    if (numbers === undefined) return nothing;
    used.push(...numbers.map((number): PortMatch => ({ protocol, ports: { first: number, last: number } })));
  }
  if (used.length > MOST_PORTS) return nothing;
  const dns = used.filter(isDns);
  const both = dns.length === 0 ? [] : TRANSPORTS.slice(0, 2).filter((protocol) => !dns.some((match) => match.protocol === protocol));
  const value = [...used, ...both.map((protocol): PortMatch => ({ protocol, ports: { first: DNS, last: DNS } }))];
  return { value, isTighter: true, unused: `all but ${describePorts(value)}`, width: ALL_PORTS - used.length };
}

interface NarrowedPeers extends Narrowed<Rule["peers"]> {
  readonly unused: readonly string[];
}

function narrowPeers(rule: Rule, { evidence, peers: tallies, rule: written }: RuleUse, around: Surroundings): NarrowedPeers {
  const { peers } = rule;
  const participants = [...new Set(evidence.map(({ peer }) => peer))];
  if (peers === "any") return narrowAnybody(rule, participants, around);
  const byLabels = peers.flatMap((peer) => (peer.kind === "pods" ? [peer.match] : []));
  const unnamed = participants.filter((participant) => !byLabels.some((match) => isHeld(match, participant, around)));
  const kept: Peer[] = [];
  const unused = new Set<string>();
  let isTighter = false;
  for (const peer of peers) {
    // A lone peer that shares the rule's place has no tally of its own.
    const isUsed = peer.ref.path === written.path || (tallies.get(peer.ref.path)?.hits ?? 0) > 0;
    if (!isUsed) {
      if (peer.kind === "pods" && admittedBy(peer.match, around).some(around.isSilent)) {
        kept.push(peer);
        continue;
      }
      isTighter = true;
      for (const label of labelsOf(peer, around)) unused.add(label);
      continue;
    }
    const pieces =
      peer.kind === "prefix" ? narrowPrefix(peer, unnamed) : narrowPeer(peer, participants, written.policy.ref.namespace, around);
    kept.push(...(pieces?.used ?? [peer]));
    if (pieces !== undefined) isTighter = true;
    for (const label of pieces?.unused ?? []) unused.add(label);
  }
  // What another peer of the rule stands for was seen all the same.
  for (const participant of participants) unused.delete(participant.type === "pod" ? labelOfPod(participant.pod, around.workloads) : "");
  return isTighter && kept.length > 0 && unused.size > 0
    ? { value: kept, isTighter: true, unused: [...unused].sort() }
    : { value: peers, isTighter: false, unused: [] };
}

function labelOfPod(pod: Pod, workloads: Workloads): string {
  const workload = workloads.of(pod);
  return workload === undefined ? `${pod.namespace}/${pod.name}` : labelOf(workload);
}

/** Whom a peer is for, as people name them. */
function labelsOf(peer: Peer, around: Surroundings): string[] {
  if (peer.kind === "pods") {
    const admitted = admittedBy(peer.match, around).map(labelOf);
    return admitted.length > 0 ? admitted : [`${peer.ref.path} (nobody)`];
  }
  return [peer.kind === "prefix" ? formatPrefix(peer.prefix) : peer.ref.path];
}

/** Workloads of which a selector selects any pod, or may. */
function admittedBy(match: PodMatch, { evaluator, workloads }: Surroundings): SelectableWorkload[] {
  const { identities } = evaluator.rules;
  const selection = identities.intern(match);
  return workloads.all.filter(({ pods }) =>
    pods.some((pod) => {
      const identity = identities.numberOf(pod);
      return identity !== undefined && identities.truthOf(selection, identity) !== false;
    }),
  );
}

function isHeld(match: PodMatch, participant: Participant, { evaluator }: Surroundings): boolean {
  const { identities } = evaluator.rules;
  const identity = participant.type === "pod" ? identities.numberOf(participant.pod) : undefined;
  return identity !== undefined && identities.truthOf(identities.intern(match), identity) !== false;
}

/** A selector as the workloads of it that were seen, or had no traffic at all; undefined where it stays. */
function narrowPeer(
  peer: Peer,
  participants: readonly Participant[],
  ownNamespace: string | undefined,
  around: Surroundings,
): { used: readonly Peer[]; unused: readonly string[] } | undefined {
  if (peer.kind !== "pods" || peer.match.where !== undefined) return undefined;
  const admitted = admittedBy(peer.match, around);
  // Another namespace as a whole is meant as one: what scrapes metrics comes from whatever runs there.
  const isWhole = peer.match.pods.requirements.length === 0 && new Set(admitted.map(({ namespace }) => namespace)).size === 1;
  if (isWhole && admitted[0].namespace !== ownNamespace) return undefined;
  const seen = new Set(participants.flatMap((each) => (each.type === "pod" ? (around.workloads.of(each.pod) ?? []) : [])));
  const isUsed = (workload: SelectableWorkload) => seen.has(workload) || around.isSilent(workload);
  const used = admitted.filter(isUsed);
  const unused = admitted.filter((workload) => !isUsed(workload));
  if (unused.length === 0 || used.length === 0) return undefined;
  const pieces = podPeers(used, peer.ref);
  return pieces === undefined ? undefined : { used: pieces, unused: unused.map(labelOf) };
}

function podPeers(used: readonly SelectableWorkload[], ref: Peer["ref"]): Peer[] | undefined {
  if (used.length > MOST_WORKLOADS || used.some(({ selector }) => selector === undefined)) return undefined;
  return used.map(({ namespace, selector }): Peer => ({ kind: "pods", match: { namespaces: { name: namespace }, pods: selector! }, ref }));
}

function narrowPrefix(
  peer: Peer & { kind: "prefix" },
  participants: readonly Participant[],
): { used: readonly Peer[]; unused: readonly string[] } | undefined {
  const { length, family } = peer.prefix;
  const own = participants.filter(({ address }) => address !== undefined && prefixContains(peer.prefix, address));
  const addresses = addressesOf(own);
  // Pods and nodes come and go: a prefix is what holds them.
  if (addresses === undefined || own.some(({ type }) => type !== "external")) return undefined;
  if (length >= SHORTEST[family]) return undefined;
  return { used: addresses.map((address) => prefixPeer(address, peer.ref)), unused: [`the rest of ${formatPrefix(peer.prefix)}`] };
}

function addressesOf(participants: readonly Participant[]): Address[] | undefined {
  const addresses = [...new Set(participants.flatMap(({ address }) => (address === undefined ? [] : [address])))];
  return addresses.length === 0 || addresses.length > MOST_ADDRESSES ? undefined : addresses.sort((a, b) => (a < b ? -1 : 1));
}

function prefixPeer(address: Address, ref: Peer["ref"]): Peer {
  return { kind: "prefix", prefix: wholeAddress(address), except: [], ref };
}

/** A rule for whoever comes, as the workloads and outside addresses that came; nodes and what is not known leave it as it is. */
function narrowAnybody({ ref }: Rule, participants: readonly Participant[], { workloads }: Surroundings): NarrowedPeers {
  const nothing: NarrowedPeers = { value: "any", isTighter: false, unused: [] };
  const pods = participants.flatMap((each) => (each.type === "pod" ? [each.pod] : []));
  const outside = participants.filter(({ type }) => type === "external");
  const used = [...new Set(pods.flatMap((pod) => workloads.of(pod) ?? []))].sort((a, b) => (a.key < b.key ? -1 : 1));
  const peers = podPeers(used, ref);
  const addresses = outside.length === 0 ? [] : addressesOf(outside);
  const isAll = pods.every((pod) => workloads.of(pod) !== undefined) && pods.length + outside.length === participants.length;
  if (peers === undefined || addresses === undefined || !isAll) return nothing;
  const value = [...peers, ...addresses.map((address) => prefixPeer(address, ref))];
  return {
    value,
    isTighter: true,
    unused: [`everybody but ${[...used.map(labelOf), ...addresses.map((each) => formatPrefix(wholeAddress(each)))].join(", ")}`],
  };
}
