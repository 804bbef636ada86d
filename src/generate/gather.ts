import type { Pod } from "../cluster/objects.ts";
import { shortWorkload } from "../cluster/workloads.ts";
import type { Decision } from "../evaluate/decision.ts";
import type { Endpoint } from "../evaluate/endpoints.ts";
import type { Ends } from "../evaluate/ends.ts";
import type { Participant } from "../evaluate/evaluator.ts";
import { type Simulation, VERDICTS } from "../evaluate/simulation.ts";
import type { L7Hint } from "../flow/hints.ts";
import { ESTABLISHED, OUTCOMES } from "../flow/outcome.ts";
import { type Address, isIPv4 } from "../net/address.ts";
import { ICMP, isIcmp, protocolName, UDP } from "../net/protocol.ts";
import { type Direction, type Policy, type PortMatch, policyTitle } from "../policy/model.ts";
import { type Dialect, portMatchOf } from "./dialect.ts";
import { Evidence } from "./evidence.ts";
import type { FoundPeer, PeerFinder, PeerSpec } from "./peers.ts";
import type { SelectableWorkload, Workloads } from "./workloads.ts";

/** Why connections are not learned from. */
export type LeftOutReason =
  | "refused"
  | "unanswered"
  | "dropped"
  | "partly-failed"
  | "one-way"
  | "perhaps-reply"
  | "dropped-by-existing"
  | "denied-by-existing"
  | "inexpressible"
  | "unknown-peer";

/** Connections that are not learned from, for one reason. */
export interface LeftOut {
  readonly reason: LeftOutReason;
  /** What was in the way, where it is more than the reason says. */
  readonly detail: string;
  readonly evidence: Evidence;
  readonly sources: Set<string>;
  readonly destinations: Set<string>;
}

/** One port that was seen with one peer. */
export interface SeenPort {
  readonly match: PortMatch;
  readonly protocol: number;
  /** Of ICMP: type and code in 16 bits. */
  readonly port: number;
  readonly evidence: Evidence;
  /** Both ends of a connection that was seen, as the policy's side sees them. */
  readonly example: Example;
  /** The pods that served it. */
  readonly pods: Set<Pod>;
  /** Whether it was dialled as DNS: at port 53, perhaps of a Service. */
  isDns: boolean;
  /** Connections of which every request is known, with those; absent where requests are not looked at. */
  readonly requests?: L7Hint[];
  hasUnseenRequests: boolean;
}

export interface Example {
  readonly subject: Participant;
  readonly peer: Participant;
}

/** What was seen of one peer in one direction. */
export interface SeenPeer {
  readonly spec: PeerSpec;
  readonly ports: Map<number, SeenPort>;
  readonly evidence: Evidence;
  /** The addresses that it had, as far as a dialect may have to list them. */
  readonly addresses: Set<Address>;
  /** The workloads that were seen. */
  readonly workloads: Set<SelectableWorkload>;
  /** What a reader should know of it. */
  readonly remarks: Set<string>;
}

/** What was learned of one workload. */
export interface LearnedWorkload {
  readonly workload: SelectableWorkload;
  readonly evidence: Evidence;
  /** Days (since 1970, UTC) on which it was seen. */
  readonly days: Set<number>;
  readonly ingress: Map<string, SeenPeer>;
  readonly egress: Map<string, SeenPeer>;
}

/** What was learned of all. */
export interface Gathered {
  readonly workloads: ReadonlyMap<string, LearnedWorkload>;
  /** Numbers of the connections that were learned from, in order. */
  readonly learned: readonly number[];
  readonly leftOut: readonly LeftOut[];
  /** Connections that no wanted workload takes part in, and that worked or may have. */
  readonly unrelated: readonly number[];
  /** Keys of wanted workloads that took part in any connection. */
  readonly seen: ReadonlySet<string>;
  /** What worked and no rule allows, by the key of each workload that its policy then cuts off: what it is, with what was seen. */
  readonly cuts: ReadonlyMap<string, ReadonlyMap<string, Evidence>>;
}

export interface GatherInput {
  /** Connections judged by existing policies and one more that closes everything, with what existing ones say alone as baseline. */
  readonly closed: Simulation;
  /** The policies that close. */
  readonly closing: ReadonlySet<Policy>;
  readonly peers: PeerFinder;
  readonly workloads: Workloads;
  /** The workloads that policies are wanted for. */
  readonly wanted: ReadonlySet<SelectableWorkload>;
  readonly dialect: Dialect;
  readonly includeFailed: boolean;
  /** Reports whether the cluster knows a listener at an address and port. */
  readonly isServing: (address: Address, protocol: number, port: number) => boolean;
  /** Requests of a connection, an empty one for each that was not seen; undefined: requests are not looked at. */
  readonly requestsOf: ((i: number) => readonly L7Hint[]) | undefined;
}

const DNS_PORT = 53;
const DAY_SECONDS = 86400;
/** Requests that are kept of one peer and port; further ones make a rule on requests impossible. */
const MOST_REQUESTS = 5000;

/** Learns from connections which peers and ports each wanted workload needs. */
export function gather(input: GatherInput): Gathered {
  const gatherer = new Gatherer(input);
  for (let i = 0; i < input.closed.connections.size; i++) gatherer.add(i);
  const { workloads, learned, leftOut, unrelated, seen, cuts } = gatherer;
  return { workloads, learned, leftOut: [...leftOut.values()].sort(byWeight), unrelated, seen, cuts };
}

/** One side of a connection that needs a rule. */
interface Side {
  readonly direction: Direction;
  readonly workload: SelectableWorkload;
  readonly subject: Participant;
  readonly peers: readonly FoundPeer[];
  /** The ports at the destination, one for each possible one. */
  readonly ports: readonly number[];
}

/** A connection cannot be learned from. */
class Unlearnable {
  readonly reason: LeftOutReason;
  readonly detail: string;

  constructor(reason: LeftOutReason, detail = "") {
    this.reason = reason;
    this.detail = detail;
  }
}

class Gatherer {
  readonly workloads = new Map<string, LearnedWorkload>();
  readonly learned: number[] = [];
  readonly unrelated: number[] = [];
  readonly leftOut = new Map<string, LeftOut>();
  readonly seen = new Set<string>();
  readonly cuts = new Map<string, Map<string, Evidence>>();
  readonly #input: GatherInput;
  readonly #portMatches = new Map<number, PortMatch | string>();

  constructor(input: GatherInput) {
    this.#input = input;
  }

  add(i: number): void {
    const ends = this.#input.closed.ends(i);
    const involved: SelectableWorkload[] = [];
    // Wanted workloads, whether anything can be learned of them or not.
    this.#involve(ends.source, involved);
    for (const { participant } of ends.targets) this.#involve(participant, involved);
    if (involved.length === 0) {
      if (this.#triesOf(i) > 0 && !this.#input.closed.connections.isDoubtful(i)) this.unrelated.push(i);
      return;
    }
    for (const { key } of involved) this.seen.add(key);
    const found = this.#sidesOf(i, ends);
    if (found instanceof Unlearnable) {
      this.#leaveOut(i, found);
      if (isCut(found.reason) && VERDICTS[this.#input.closed.baselines[i]] === "allow") this.#cut(i, found, involved);
      return;
    }
    this.learned.push(i);
    const tries = this.#triesOf(i);
    for (const workload of involved) this.#count(i, workload, tries);
    // Candidate backends of one Service are one connection, on whichever side.
    const counted = ends.targets.length > 1 || ends.arrivesFrom !== undefined ? new Set<SeenPeer | SeenPort>() : undefined;
    for (const side of found) this.#addSide(i, ends, side, tries, counted);
    const failed = this.#input.closed.connections.count(i) - tries;
    if (failed > 0) this.#leaveOut(i, new Unlearnable("partly-failed"), failed);
  }

  #cut(i: number, { detail }: Unlearnable, involved: readonly SelectableWorkload[]): void {
    const { closed } = this.#input;
    const text = `${endName(closed.source(i))} to ${endName(closed.destination(i))}: ${detail}`;
    for (const { key } of involved) {
      const known = this.cuts.get(key) ?? new Map<string, Evidence>();
      this.cuts.set(key, known);
      const evidence = known.get(text) ?? new Evidence();
      known.set(text, evidence);
      evidence.add(closed.connections, i, this.#triesOf(i), closed.connections.tries(i, ESTABLISHED) > 0);
    }
  }

  /** Tries of a connection that are learned from: those that worked, or of which that is not known. */
  #triesOf(i: number): number {
    const { connections } = this.#input.closed;
    return this.#input.includeFailed ? connections.count(i) : connections.mayHaveWorked(i);
  }

  /** Adds the wanted workload that a participant is of, once. */
  #involve(participant: Participant, involved: SelectableWorkload[]): void {
    const workload = this.#wantedOf(participant);
    if (workload !== undefined && !involved.includes(workload)) involved.push(workload);
  }

  #wantedOf(participant: Participant): SelectableWorkload | undefined {
    const workload = this.#workloadOf(participant);
    return workload !== undefined && this.#input.wanted.has(workload) ? workload : undefined;
  }

  /** Returns the sides of wanted workloads that need rules; an Unlearnable where nothing can be learned. */
  #sidesOf(i: number, ends: Ends): Side[] | Unlearnable {
    const { closed, includeFailed, isServing } = this.#input;
    const { connections } = closed;
    const protocol = connections.protocol(i);
    const isAnswered = connections.tries(i, ESTABLISHED) > 0;
    if (!includeFailed) {
      if (connections.isDoubtful(i)) return new Unlearnable("perhaps-reply");
      if (connections.mayHaveWorked(i) === 0) return new Unlearnable(OUTCOMES[closed.observed(i)] as LeftOutReason);
      const isOneWay = !isAnswered && !connections.isStated(i) && (protocol === UDP || isIcmp(protocol));
      const isListened = () =>
        ends.targets.some(({ participant, address, port }) => participant.type === "external" || isServing(address, protocol, port));
      if (isOneWay && (isIcmp(protocol) || !isListened())) return new Unlearnable("one-way");
      if (!isAnswered && VERDICTS[closed.baselines[i]] === "deny") return new Unlearnable("dropped-by-existing");
    }
    const { egress, ingress } = closed.judgement(i);
    const sides: Side[] = [];
    const blocked = this.#whyBlocked(egress) ?? this.#whyBlocked(ingress);
    if (blocked !== undefined) return blocked;
    const source = egress.verdict === "allow" ? undefined : this.#wantedOf(ends.source);
    // A workload that no policy can select stays open.
    if (source?.selector !== undefined) {
      const needed =
        ends.targets.length === 1 ? ends : { ...ends, targets: ends.targets.filter((target) => this.#isClosed(i, ends, target, "egress")) };
      const peers = this.#input.peers.destinationsOf(needed);
      if (typeof peers === "string") return new Unlearnable("unknown-peer", peers);
      sides.push({ direction: "egress", workload: source, subject: ends.source, peers, ports: needed.targets.map(({ port }) => port) });
    }
    if (ingress.verdict !== "allow") {
      for (const target of ends.targets) {
        const workload = this.#wantedOf(target.participant);
        if (workload?.selector === undefined || !this.#isClosed(i, ends, target, "ingress")) continue;
        const peers = this.#input.peers.sourcesOf(ends);
        if (typeof peers === "string") return new Unlearnable("unknown-peer", peers);
        sides.push({ direction: "ingress", workload, subject: target.participant, peers, ports: peers.map(() => target.port) });
      }
    }
    if (isIcmp(protocol) && (protocol === ICMP) !== isIPv4(ends.sourceAddress))
      return new Unlearnable("inexpressible", `${protocolName(protocol)} between addresses of the other family`);
    for (const side of sides) {
      for (const port of side.ports) {
        const match = this.#portMatch(protocol, port);
        if (typeof match === "string") return new Unlearnable("inexpressible", match);
      }
    }
    return sides;
  }

  /** How the dialect says a protocol and port, or why it cannot; remembered, since few are asked for a million times. */
  #portMatch(protocol: number, port: number): PortMatch | string {
    const key = protocol * 65536 + port;
    let match = this.#portMatches.get(key);
    if (match === undefined) this.#portMatches.set(key, (match = portMatchOf(this.#input.dialect, protocol, port)));
    return match;
  }

  /** Reports whether one side of what goes to one of several targets needs a rule: a pod among its Service's backends reaches itself. */
  #isClosed(i: number, ends: Ends, { participant, port }: Ends["targets"][number], direction: Direction): boolean {
    const { evaluator, connections } = this.#input.closed;
    if (ends.targets.length === 1) return true;
    const portClass = evaluator.ports.classOf(connections.protocol(i), port);
    const destination = evaluator.classify(participant);
    const isAllowed = (id: number) => evaluator.decisions[id].verdict === "allow";
    const isThroughService = ends.via !== undefined;
    if (direction === "egress")
      return !isAllowed(evaluator.decideEgress(evaluator.classify(ends.source), destination, portClass, isThroughService));
    const sources = ends.arrivesFrom ?? [ends.source];
    return sources.some((from) => !isAllowed(evaluator.decideIngress(evaluator.classify(from), destination, portClass, isThroughService)));
  }

  /** Returns why a rule of ours could not open a side; undefined where it could, or need not. */
  #whyBlocked(decision: Decision): Unlearnable | undefined {
    if (decision.verdict === "allow") return undefined;
    // A rule that denies stays, whatever others allow: in one stage with ours it would be asked first, or win.
    const isByRule = decision.reason === "rule-deny" || decision.reason === "l7-deny";
    if (!isByRule && decision.isolatedBy.some((policy) => this.#input.closing.has(policy))) return undefined;
    const by = decision.matched.at(0)?.policy ?? decision.isolatedBy.at(0);
    const name = by === undefined ? "the network plugin" : policyTitle(by.ref);
    return new Unlearnable("denied-by-existing", name);
  }

  #workloadOf(participant: Participant): SelectableWorkload | undefined {
    return participant.type === "pod" ? this.#input.workloads.of(participant.pod) : undefined;
  }

  #count(i: number, workload: SelectableWorkload, tries: number): void {
    const { connections } = this.#input.closed;
    const known = this.#learnedOf(workload);
    known.evidence.add(connections, i, tries, connections.tries(i, ESTABLISHED) > 0);
    const [first, last] = [connections.firstSeconds(i), connections.lastSeconds(i)];
    if (!Number.isNaN(first)) known.days.add(Math.floor(first / DAY_SECONDS)).add(Math.floor(last / DAY_SECONDS));
  }

  #learnedOf(workload: SelectableWorkload): LearnedWorkload {
    let known = this.workloads.get(workload.key);
    if (known === undefined) {
      known = { workload, evidence: new Evidence(), days: new Set(), ingress: new Map(), egress: new Map() };
      this.workloads.set(workload.key, known);
    }
    return known;
  }

  #addSide(i: number, ends: Ends, side: Side, tries: number, counted: Set<SeenPeer | SeenPort> | undefined): void {
    const { closed, requestsOf } = this.#input;
    const { connections } = closed;
    const protocol = connections.protocol(i);
    const isAnswered = connections.tries(i, ESTABLISHED) > 0;
    const known = this.#learnedOf(side.workload)[side.direction];
    side.peers.forEach(({ spec, participant }, k) => {
      let peer = known.get(spec.key);
      if (peer === undefined)
        known.set(
          spec.key,
          (peer = { spec, ports: new Map(), evidence: new Evidence(), addresses: new Set(), workloads: new Set(), remarks: new Set() }),
        );
      if ("remark" in spec && spec.remark !== undefined) peer.remarks.add(spec.remark);
      const port = side.ports[k] ?? side.ports[0];
      const match = this.#portMatch(protocol, port) as PortMatch;
      const key = protocol * 65536 + port;
      let seen = peer.ports.get(key);
      if (seen === undefined) {
        const example = { subject: side.subject, peer: participant };
        seen = {
          match,
          protocol,
          port,
          evidence: new Evidence(),
          example,
          pods: new Set(),
          isDns: false,
          hasUnseenRequests: false,
          ...(requestsOf ? { requests: [] } : {}),
        };
        peer.ports.set(key, seen);
      }
      const workload = this.#workloadOf(participant);
      if (workload !== undefined) peer.workloads.add(workload);
      else if (participant.address !== undefined) peer.addresses.add(participant.address);
      const server = side.direction === "egress" ? participant : side.subject;
      if (server.type === "pod") seen.pods.add(server.pod);
      if (!counted?.has(peer)) peer.evidence.add(connections, i, tries, isAnswered);
      if (!counted?.has(seen)) seen.evidence.add(connections, i, tries, isAnswered);
      if (requestsOf !== undefined && !counted?.has(seen)) addRequests(seen, requestsOf(i));
      counted?.add(peer).add(seen);
      if (port === DNS_PORT || ends.via?.port === DNS_PORT) seen.isDns = true;
    });
  }

  #leaveOut(i: number, { reason, detail }: Unlearnable, tries = this.#input.closed.connections.count(i)): void {
    const { closed } = this.#input;
    const { connections } = closed;
    const [source, destination] = [closed.source(i), closed.destination(i)];
    const isAboutPeer = reason === "inexpressible" || reason === "unknown-peer";
    // One scanner is one entry; outside addresses are one together.
    const key = `${reason} ${detail} ${isAboutPeer ? "" : source.type === "external" ? "external" : endName(source)}`;
    let known = this.leftOut.get(key);
    if (known === undefined) {
      known = { reason, detail, evidence: new Evidence(), sources: new Set(), destinations: new Set() };
      this.leftOut.set(key, known);
    }
    known.evidence.add(connections, i, tries, connections.tries(i, ESTABLISHED) > 0);
    known.sources.add(endName(source));
    known.destinations.add(endName(destination));
  }
}

/** Reports whether what is left out for a reason worked, so that policies that isolate its ends cut it. */
export function isCut(reason: LeftOutReason): boolean {
  return reason === "inexpressible" || reason === "unknown-peer";
}

/** The heaviest first; of equal ones in the order of what they say, not of when they were seen. */
function byWeight(a: LeftOut, b: LeftOut): number {
  const text = ({ reason, detail, sources, destinations }: LeftOut) =>
    [reason, detail, ...[...sources].sort(), ...[...destinations].sort()].join(" ");
  return b.evidence.connections - a.evidence.connections || (text(a) < text(b) ? -1 : 1);
}

function endName({ type, namespace, workload = "", names, name, ip }: Endpoint): string {
  if (type === "pod") return `${namespace}/${shortWorkload(workload)}`;
  if (type === "service") return `${namespace}/svc/${name}`;
  return names?.[0] ?? (type === "node" ? `node/${name}` : (ip ?? type));
}

function addRequests(seen: SeenPort, requests: readonly L7Hint[]): void {
  if (seen.requests === undefined) return;
  if (requests.length === 0) seen.hasUnseenRequests = true;
  for (const request of requests) {
    // A request without a method or path says nothing; Cilium reads such a rule as any.
    const isEmpty = request.http !== undefined ? request.http.method === "" || request.http.path === "" : request.dns === undefined;
    if (isEmpty) seen.hasUnseenRequests = true;
    else if (seen.requests.length < MOST_REQUESTS) seen.requests.push(request);
    else seen.hasUnseenRequests = true;
  }
}
