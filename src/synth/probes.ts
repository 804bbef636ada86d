import type { Namespace, Pod } from "../cluster/objects.ts";
import { type LabelSelector, matchesRequirement, type Requirement, selects, type Truth } from "../cluster/selector.ts";
import { matchPeers, matchPorts, nearTruth } from "../evaluate/cell.ts";
import type { Evaluator, Participant } from "../evaluate/evaluator.ts";
import type { Request } from "../evaluate/l7.ts";
import { describeRequirement } from "../evaluate/ruleFaults.ts";
import { rulesUnder } from "../evaluate/stages.ts";
import { and, someTruth } from "../evaluate/truth.ts";
import { differing } from "../generate/probes.ts";
import { type Address, formatAddress, isIPv4, parseAddress } from "../net/address.ts";
import { type Prefix, wholeAddress } from "../net/prefix.ts";
import { hasPorts, isIcmp, protocolName, TCP, UDP } from "../net/protocol.ts";
import {
  DIRECTIONS,
  type Direction,
  OPPOSITE,
  type PeerTerm,
  type PodMatch,
  type Policy,
  type PortMatch,
  type Rule,
  type RuleRef,
} from "../policy/model.ts";
import { literalOf } from "../policy/regex.ts";
import { oddRequest, requestFor } from "./madeUpRequest.ts";
import { ELSEWHERE, type Probe, type ProbeWorld } from "./probe.ts";

const LAST_ADDRESS = 2n ** 128n - 1n;
const LAST_PORT = 65535;
/** A port that clients use for themselves (RFC 6335, section 6: dynamic ports). */
const CLIENT_PORT = 49152;
/** Outside addresses that nobody has (RFC 5737, RFC 3849). */
const OUTSIDE = { 4: parseAddress("203.0.113.77")!, 6: parseAddress("2001:db8::77")! };

/** A peer that a rule is asked about, and what is special about it. */
interface PeerCase {
  readonly peer: Participant;
  readonly what: string;
  /** The term that it was made for: of a rule with several peers each has cases of its own. */
  readonly ref: RuleRef;
}

/** A port that a rule is asked about. `destination`: on another destination than the usual. */
interface PortCase {
  readonly protocol: number;
  readonly port: number;
  readonly sourcePort: number;
  readonly what: string;
  readonly destination?: Participant;
}

/** A connection without its place among the rules. */
export type Asked = Omit<Probe, "isInside" | "expected"> & {
  /** The request is none that the rule should let pass. */
  readonly isOddRequest?: true;
};

/**
 * Makes the cases just inside and just outside of rules: the ends of port ranges and the ports beside them, the other protocol, a port
 * name on a pod that names it otherwise, pods with one label off, in another namespace or without labels, nodes, the first, last and next
 * address of prefixes and of what they except, the way back.
 */
export class ProbeMaker {
  readonly #evaluator: Evaluator;
  readonly #world: ProbeWorld;
  readonly #asked: Asked[] = [];
  readonly #keys = new Set<string>();
  /** By policy the first pod that it certainly selects. */
  readonly #subjects: ReadonlyMap<Policy, Pod>;
  /** By address the pod or else the node that has it. */
  readonly #holders = new Map<Address, Participant>();

  /** `evaluator` is of the cluster as it is. */
  constructor(evaluator: Evaluator, world: ProbeWorld) {
    this.#evaluator = evaluator;
    this.#world = world;
    const { pods, nodes } = world.cluster;
    const ownPods = pods.filter(({ hostNetwork }) => !hostNetwork);
    this.#subjects = firstSelected(evaluator, ownPods);
    const put = (holder: Participant & { readonly address: Address }) => {
      if (!this.#holders.has(holder.address)) this.#holders.set(holder.address, holder);
    };
    for (const pod of ownPods) for (const address of pod.addresses) put({ type: "pod", pod, address });
    for (const node of nodes) for (const address of node.addresses) put({ type: "node", node, address });
  }

  /** Adds the cases at the edges of every rule of a policy. */
  addPolicy(policy: Policy): void {
    const asked = DIRECTIONS.flatMap((direction) =>
      (rulesUnder(this.#evaluator.profile, policy, direction)?.rules ?? [])
        .filter(({ action }) => action !== "log")
        .map((rule) => ({ direction, rule })),
    );
    if (asked.length === 0) return;
    const subject = podParticipant(this.#subjects.get(policy) ?? this.#podFor(policy.subject));
    const strangers = this.#strangers(subject);
    for (const { direction, rule } of asked) this.#addRule(policy, direction, rule, subject, strangers);
  }

  add(asked: Asked): void {
    const { source, destination, protocol, port, sourcePort, requests, policy, rule } = asked;
    const key = JSON.stringify([
      policy.ref.kind,
      policy.ref.namespace,
      policy.ref.name,
      rule.path,
      endKey(source),
      endKey(destination),
      protocol,
      port,
      sourcePort,
      requests,
    ]);
    if (this.#keys.has(key)) return;
    this.#keys.add(key);
    this.#asked.push(asked);
  }

  /** Returns all that was added, with what is expected of it; `evaluator` is of the world with the probes' own pods. */
  probes(evaluator: Evaluator): Probe[] {
    return this.#asked.map((asked) => {
      const truth = truthOfRule(evaluator, asked);
      const isInside = truth === "unknown" ? undefined : truth;
      return { ...asked, isInside, expected: expectedOf(asked, isInside, evaluator) };
    });
  }

  #addRule(policy: Policy, direction: Direction, rule: Rule, subject: Participant, strangers: readonly Omit<PeerCase, "ref">[]): void {
    const peers = this.#peerCases(rule, subject, strangers);
    const base = { policy, rule: rule.ref, direction };
    const request = rule.l7 === undefined ? undefined : requestFor(rule.l7);
    const requests = request === undefined ? [] : [request];
    const push = ({ peer, what }: Omit<PeerCase, "ref">, port: PortCase, odd?: Request) => {
      const [source, destination] = direction === "egress" ? [subject, port.destination ?? peer] : [peer, port.destination ?? subject];
      const { protocol, port: number, sourcePort } = port;
      const text = [what, port.what].filter((part) => part !== "").join(", ");
      const asked = { ...base, source, destination, protocol, port: number, sourcePort, what: text };
      this.add(odd === undefined ? { ...asked, requests } : { ...asked, requests: [odd], isOddRequest: true });
    };
    const byRef = Map.groupBy(peers, ({ ref }) => ref);
    let isFirst = true;
    for (const cases of byRef.values()) {
      const holding = cases.find(({ peer }) => this.#holdsPeer(policy, direction, rule, subject, peer) === true) ?? cases[0];
      const destination = direction === "egress" ? holding.peer : subject;
      const [usual, ...ports] = this.#portCases(rule, destination);
      for (const each of cases) push(each, usual);
      // The ports of a rule are those of each of its peers: they are asked about once.
      for (const port of isFirst ? ports : []) push({ ...holding, what: "" }, port);
      isFirst = false;
      if (request !== undefined) push({ ...holding, what: "a request that nobody should make" }, usual, oddRequest(request));
      this.#addWayBack(base, subject, holding.peer, usual);
    }
  }

  /** Whoever may be reached begins nothing by that: from the peer's own port to one of a client. */
  #addWayBack(base: Pick<Asked, "policy" | "rule" | "direction">, subject: Participant, peer: Participant, { protocol }: PortCase): void {
    if (!hasPorts(protocol)) return;
    const [source, destination] = base.direction === "egress" ? [peer, subject] : [subject, peer];
    const way = { source, destination, protocol, port: CLIENT_PORT, sourcePort: -1, requests: [] };
    this.add({ ...base, ...way, direction: OPPOSITE[base.direction], what: "the way back, as a connection of its own" });
  }

  #holdsPeer(policy: Policy, direction: Direction, rule: Rule, subject: Participant, peer: Participant): Truth {
    return truthOfClauses(this.#evaluator, policy, direction, rule.ref, subject, (clause, self) => {
      const party = this.#evaluator.partyTo(self, this.#evaluator.classify(peer));
      return matchPeers(this.#evaluator.rules, clause, party).truth;
    });
  }

  #peerCases(rule: Rule, subject: Participant, strangers: readonly Omit<PeerCase, "ref">[]): PeerCase[] {
    if (rule.peers === "any") return strangers.map((each) => ({ ...each, ref: rule.ref }));
    return rule.peers.flatMap((peer, i): PeerCase[] => {
      const own = this.#casesOf(peer, subject);
      return [...own, ...(i === 0 || own.length === 0 ? strangers : [])].map((each) => ({ ...each, ref: peer.ref }));
    });
  }

  #casesOf(term: PeerTerm, subject: Participant): Omit<PeerCase, "ref">[] {
    switch (term.kind) {
      case "pods":
        return this.#podCases(term.match, subject);
      case "prefix":
        return addressesAround([term.prefix, ...term.except]).map((address) => this.#addressCase(address));
      case "sets":
        return addressesAround(term.except).map((address) => this.#addressCase(address));
      case "all":
      case "some":
        return term.terms.flatMap((inner) => this.#casesOf(inner, subject));
      case "not":
        return this.#casesOf(term.term, subject);
      case "names":
        return term.patterns.flatMap(({ regex, text }, i) => {
          const name = literalOf(regex) ?? text.replace(/\*+/g, "probe");
          const address = OUTSIDE[4] + 1n + BigInt(i);
          this.#world.address(address, name.toLowerCase().replace(/\.$/, ""));
          return [{ peer: { type: "external", address } as const, what: `${name} at ${formatAddress(address)}` }];
        });
      case "entities":
      case "nodes":
      case "services":
      case "family":
        return [];
    }
  }

  #addressCase(address: Address): Omit<PeerCase, "ref"> {
    const what = `address ${formatAddress(address)}`;
    const holder = this.#holders.get(address);
    if (holder !== undefined) return { peer: holder, what };
    this.#world.address(address, undefined);
    return { peer: { type: "external", address }, what };
  }

  /** A pod that a selector holds, and pods that are one label or their namespace off it. */
  #podCases(match: PodMatch, subject: Participant): Omit<PeerCase, "ref">[] {
    const { pods } = this.#world.cluster;
    const own = subject.type === "pod" ? subject.pod : undefined;
    const fits = (pod: Pod) => !pod.hostNetwork && pod !== own && selects(match.pods, pod.labels) && this.#isInNamespaces(match, pod);
    const like = pods.find((pod) => fits(pod) && match.where === undefined) ?? this.#podFor(match, own);
    const found: Omit<PeerCase, "ref">[] = [{ peer: podParticipant(like), what: `pod ${like.namespace}/${like.name}` }];
    const { requirements } = match.pods;
    for (const requirement of requirements) {
      const labels = broken(requirement, like.labels);
      if (labels !== undefined)
        found.push({
          peer: podParticipant(this.#world.pod(like, { labels })),
          what: `${describeRequirement(requirement)} broken on a pod like ${like.namespace}/${like.name}`,
        });
    }
    found.push({
      peer: podParticipant(this.#world.pod(like, { namespace: ELSEWHERE })),
      what: `the labels of ${like.namespace}/${like.name} in another namespace`,
    });
    if ("selector" in match.namespaces) {
      const namespace = this.#namespaceOf(like.namespace);
      for (const requirement of match.namespaces.selector.requirements) {
        const labels = broken(requirement, namespace?.labels ?? {});
        if (labels === undefined) continue;
        const name = `${ELSEWHERE}-${requirement.key.replace(/[^a-z0-9]+/gi, "-").toLowerCase()}`.slice(0, 63).replace(/-+$/, "");
        this.#world.namespace(name, labels);
        found.push({
          peer: podParticipant(this.#world.pod(like, { namespace: name })),
          what: `${describeRequirement(requirement)} broken on the namespace of a pod like ${like.namespace}/${like.name}`,
        });
      }
    }
    return found;
  }

  #isInNamespaces({ namespaces }: PodMatch, { namespace }: Pod): boolean {
    if ("name" in namespaces) return namespaces.name === namespace;
    return selects(namespaces.selector, this.#namespaceOf(namespace)?.labels ?? {});
  }

  #namespaceOf(name: string): Namespace | undefined {
    return this.#world.cluster.namespaces.get(name);
  }

  /** Makes a pod that a selector holds, of whichever pod there is; its namespace too where none has the labels. */
  #podFor({ namespaces, pods: selector }: PodMatch, near?: Pod): Pod {
    const { cluster } = this.#world;
    const labels = satisfying(selector);
    const namespace =
      "name" in namespaces
        ? namespaces.name
        : [...cluster.namespaces.values()].find((each) => selects(namespaces.selector, each.labels))?.name;
    let name = namespace;
    if (name === undefined && "selector" in namespaces) {
      name = `${ELSEWHERE}-selected`;
      this.#world.namespace(name, satisfying(namespaces.selector));
    }
    const like = near ?? cluster.pods.find((pod) => !pod.hostNetwork) ?? NOBODY;
    return this.#world.pod(like, { namespace: name ?? like.namespace, labels });
  }

  /** Peers of every kind, whatever the rule says: a pod without labels, other pods, nodes, the outside. */
  #strangers(subject: Participant): Omit<PeerCase, "ref">[] {
    const { pods, nodes } = this.#world.cluster;
    const own = subject.type === "pod" ? subject.pod : NOBODY;
    const found: Omit<PeerCase, "ref">[] = [
      { peer: podParticipant(this.#world.pod(own, { labels: {} })), what: `a pod without labels in namespace ${own.namespace}` },
    ];
    const other = pods.find((pod) => !pod.hostNetwork && pod.namespace !== own.namespace);
    if (other !== undefined) found.push({ peer: podParticipant(other), what: `pod ${other.namespace}/${other.name}` });
    const families = new Set((own.addresses.length === 0 ? pods.flatMap(({ addresses }) => addresses) : own.addresses).map(isIPv4));
    const isIn = (address: Address) => families.has(isIPv4(address));
    const node = nodes.find(({ name, addresses }) => name !== own.nodeName && addresses.some(isIn));
    if (node !== undefined)
      found.push({ peer: { type: "node", node, address: node.addresses.find(isIn) }, what: `node ${node.name} (host network)` });
    for (const isFour of families) {
      const address = OUTSIDE[isFour ? 4 : 6];
      this.#world.address(address, undefined);
      found.push({ peer: { type: "external", address }, what: `outside address ${formatAddress(address)}` });
    }
    return found;
  }

  /** The usual port of a rule first, then those at its edges. */
  #portCases(rule: Rule, destination: Participant): [PortCase, ...PortCase[]] {
    const sourcePort = sourcePortOf(rule);
    const cases: PortCase[] = [];
    const put = (protocol: number, port: number, more: Partial<PortCase> = {}) => {
      const highest = hasPorts(protocol) ? LAST_PORT : 0xffff;
      if (port < (hasPorts(protocol) ? 1 : 0) || port > highest) return;
      cases.push({ protocol, port, sourcePort, what: `port ${portText(protocol, port)}`, ...more });
    };
    for (const match of rule.ports === "any" ? [] : rule.ports) this.#portEdges(match, destination, put);
    if (cases.length === 0) put(TCP, 80);
    if (rule.ports === "any") {
      put(TCP, LAST_PORT);
      put(UDP, 53);
    }
    const first = cases[0];
    for (const { protocol, ports } of [...(rule.sourcePorts ?? []), ...(rule.notSourcePorts ?? [])]) {
      if (protocol !== first.protocol || ports === undefined || "name" in ports) continue;
      for (const from of [ports.first - 1, ports.first, ports.last, ports.last + 1])
        if (from >= 1 && from <= LAST_PORT) cases.push({ ...first, sourcePort: from, what: `from port ${from}` });
    }
    return [first, ...cases.slice(1)];
  }

  #portEdges(match: PortMatch, destination: Participant, put: (protocol: number, port: number, more?: Partial<PortCase>) => void): void {
    const { protocol, ports, icmp } = match;
    const other = protocol === TCP ? UDP : TCP;
    if (icmp !== undefined) {
      const { type, code } = icmp;
      put(protocol, type * 256 + (code ?? 0));
      if (code !== undefined && code < 255) put(protocol, type * 256 + code + 1);
      if (type < 255) put(protocol, (type + 1) * 256);
      if (type > 0) put(protocol, (type - 1) * 256);
      return;
    }
    if (ports === undefined) {
      put(protocol, hasPorts(protocol) ? 80 : 0);
      if (hasPorts(protocol)) put(protocol, LAST_PORT);
      put(other, 80);
      return;
    }
    if ("first" in ports) {
      const { first, last } = ports;
      for (const port of [first, last, first - 1, last + 1]) put(protocol, port);
      put(other, first);
      return;
    }
    this.#namedPortEdges(ports.name, protocol, destination, put);
    put(other, portNamed(destination, ports.name, protocol) ?? 80);
  }

  /** A port name is what the destination calls it: a pod that names it otherwise is not meant. */
  #namedPortEdges(
    name: string,
    protocol: number,
    destination: Participant,
    put: (protocol: number, port: number, more?: Partial<PortCase>) => void,
  ): void {
    const number = portNamed(destination, name, protocol);
    put(protocol, number ?? 80, {
      what: `port ${name}${number === undefined ? " (which it does not name)" : ` (${portText(protocol, number)})`}`,
    });
    if (destination.type !== "pod") return;
    const { pod } = destination;
    const own = number ?? 80;
    const beside = own < LAST_PORT ? own + 1 : own - 1;
    put(protocol, beside);
    const renamed = podParticipant(this.#world.pod(pod, { ports: [{ name: `${name.slice(0, 13)}-x`, port: own, protocol }] }));
    put(protocol, own, { destination: renamed, what: `port ${portText(protocol, own)} of a pod that does not call it ${name}` });
  }
}

/** A pod that is nobody's copy, where a cluster has none. */
const NOBODY: Pod = {
  namespace: "default",
  name: "nobody",
  labels: {},
  workload: { namespace: "default", kind: "Pod", name: "nobody", foundBy: "owner" },
  hostNetwork: false,
  serviceAccountName: "default",
  addresses: [],
  ports: [],
  startSeconds: null,
  endSeconds: null,
};

function podParticipant(pod: Pod): Participant {
  return { type: "pod", pod, address: pod.addresses[0] };
}

function firstSelected(evaluator: Evaluator, pods: readonly Pod[]): Map<Policy, Pod> {
  const found = new Map<Policy, Pod>();
  for (const pod of pods) {
    const self = evaluator.classify(podParticipant(pod));
    const { identity } = evaluator.party(self);
    for (const direction of DIRECTIONS)
      for (const { policy, subject } of evaluator.policiesOf(self, direction))
        if (!found.has(policy) && evaluator.rules.identities.truthOf(subject, identity) === true) found.set(policy, pod);
  }
  return found;
}

function endKey(participant: Participant): string {
  const address = participant.address === undefined ? "" : formatAddress(participant.address);
  switch (participant.type) {
    case "pod":
      return `${participant.pod.namespace}/${participant.pod.name} ${address}`;
    case "node":
      return `node ${participant.node.name} ${participant.relation} ${address}`;
    case "reserved":
      return `${participant.entity} ${address}`;
    case "external":
    case "unknown":
      return `${participant.type} ${"isApiServer" in participant ? participant.isApiServer : ""} ${address}`;
  }
}

function truthOfClauses(
  evaluator: Evaluator,
  policy: Policy,
  direction: Direction,
  rule: RuleRef,
  subject: Participant,
  truthOf: (clause: ReturnType<Evaluator["policiesOf"]>[number]["clauses"][number], subject: number) => Truth,
): Truth {
  const self = evaluator.classify(subject);
  const { identities } = evaluator.rules;
  const party = evaluator.party(self);
  return someTruth(
    evaluator.policiesOf(self, direction).filter((compiled) => compiled.policy === policy),
    (compiled) => {
      const clauses = compiled.clauses.filter((clause) => clause.rule.ref === rule);
      const selected = identities.truthOf(compiled.subject, party.identity);
      return and(
        selected,
        someTruth(clauses, (clause) => and(nearTruth(evaluator.rules, clause, party), truthOf(clause, self))),
      );
    },
  );
}

/** Reports whether the rule that a connection was made for holds it, requests aside. */
function truthOfRule(evaluator: Evaluator, { policy, rule, direction, source, destination, protocol, port, sourcePort }: Asked): Truth {
  const portClass = evaluator.ports.withSource(evaluator.ports.classOf(protocol, port), protocol, sourcePort);
  const sample = { ...evaluator.ports.samples[portClass], sourcePort };
  const [subject, peer] = direction === "egress" ? [source, destination] : [destination, source];
  const end = evaluator.party(evaluator.classify(destination));
  return truthOfClauses(evaluator, policy, direction, rule, subject, (clause, self) => {
    const party = evaluator.partyTo(self, evaluator.classify(peer));
    return and(matchPeers(evaluator.rules, clause, party).truth, matchPorts(evaluator.rules, clause, sample, end));
  });
}

/**
 * Inside a rule is what it says; outside of one that allows is denied where its policy isolates. A rule that denies or passes on says
 * nothing of what is outside, one that passes on nothing at all.
 */
function expectedOf(asked: Asked, isInside: boolean | undefined, evaluator: Evaluator): Probe["expected"] {
  const { policy, direction, rule, requests, isOddRequest } = asked;
  if (rule.path === "") return undefined;
  const list = rulesUnder(evaluator.profile, policy, direction);
  const own = list?.rules.find(({ ref }) => ref === rule);
  const isolates = list?.isolates === true;
  if (own === undefined) {
    // The way back is in the other direction than the rule: only a policy that isolates there denies it.
    const there = rulesUnder(evaluator.profile, policy, OPPOSITE[direction])?.rules.find(({ ref }) => ref === rule);
    return isolates && there?.action === "allow" ? "deny" : undefined;
  }
  if (isInside === undefined || own.action === "pass" || comesLate(asked, list?.rules ?? [], evaluator)) return undefined;
  if (own.action === "deny") return isInside ? "deny" : undefined;
  if (!isInside) return isolates ? "deny" : undefined;
  if (own.l7 === undefined) return "allow";
  // A request that the rule wants cannot always be made up.
  return requests.length === 0 ? undefined : isOddRequest === true ? "deny" : "allow";
}

/** Reports whether an earlier rule of an ordered list may decide before a rule is asked: its author knows that. */
function comesLate(asked: Asked, rules: readonly Rule[], evaluator: Evaluator): boolean {
  const stage = evaluator.rules.stages.find(({ policies }) => policies.includes(asked.policy));
  if (stage?.combine !== "first-match") return false;
  const earlier = rules.slice(
    0,
    rules.findIndex(({ ref }) => ref === asked.rule),
  );
  return earlier.some(({ action, ref }) => action !== "log" && truthOfRule(evaluator, { ...asked, rule: ref }) !== false);
}

/** Returns labels with one requirement broken, the least changed; undefined where no label can. */
function broken(requirement: Requirement, labels: Readonly<Record<string, string>>): Record<string, string> | undefined {
  const { key, operator, values } = requirement;
  const { [key]: value, ...others } = labels;
  const changed =
    operator === "In"
      ? { ...labels, [key]: differing(value ?? values[0] ?? "probe") }
      : operator === "NotIn"
        ? { ...labels, [key]: values[0] ?? "" }
        : operator === "Exists"
          ? others
          : { ...labels, [key]: "probe" };
  return matchesRequirement(requirement, changed) ? undefined : changed;
}

function satisfying({ requirements }: LabelSelector): Record<string, string> {
  const labels: Record<string, string> = {};
  for (const { key, operator, values } of requirements) {
    if (operator === "In") labels[key] = values[0] ?? "";
    else if (operator === "Exists") labels[key] ??= "probe";
  }
  return labels;
}

/** Returns the first and last address of prefixes, and those beside. */
function addressesAround(prefixes: readonly Prefix[]): Address[] {
  const around = prefixes.flatMap(({ first, last, family }) =>
    [first, last, first - 1n, last + 1n].filter(
      (address) => address >= 0n && address <= LAST_ADDRESS && wholeAddress(address).family === family,
    ),
  );
  return [...new Set(around)];
}

function sourcePortOf({ sourcePorts }: Rule): number {
  const [match] = sourcePorts ?? [];
  return match?.ports !== undefined && "first" in match.ports ? match.ports.first : -1;
}

function portText(protocol: number, port: number): string {
  if (hasPorts(protocol)) return `${port}/${protocolName(protocol)}`;
  return isIcmp(protocol) ? `${protocolName(protocol)} type ${port >> 8} code ${port & 0xff}` : protocolName(protocol);
}

function portNamed(destination: Participant, name: string, protocol: number): number | undefined {
  if (destination.type !== "pod") return undefined;
  return destination.pod.ports.find((port) => port.name === name && port.protocol === protocol)?.port;
}
