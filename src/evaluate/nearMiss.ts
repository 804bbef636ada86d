import { matchesRequirement, type Requirement } from "../cluster/selector.ts";
import { formatPortRange } from "../net/portRange.ts";
import { formatPrefix, prefixContains } from "../net/prefix.ts";
import { hasPorts, protocolName } from "../net/protocol.ts";
import type { Direction, Peer, PeerTerm, PodMatch, Policy, PortMatch, RuleRef } from "../policy/model.ts";
import { matchPeers, matchPorts } from "./cell.ts";
import type { Clause } from "./clauses.ts";
import type { Evaluator, Participant } from "./evaluator.ts";
import type { Party } from "./terms.ts";

/** The question that a near miss answers: why did no rule of the subject's policies let this through? */
export interface DeniedFlow {
  readonly direction: Direction;
  readonly source: Participant;
  readonly destination: Participant;
  readonly protocol: number;
  readonly port: number;
  /** The Service's port that was dialled, where another stands between. */
  readonly dialledPort?: number;
}

/** The rule that came nearest to allowing a denied flow, in words; `rule` and its policy where there is one to point at. */
export interface NearMiss {
  readonly text: string;
  readonly rule?: RuleRef;
  readonly policy?: Policy;
}

interface Scored {
  readonly clause: Clause;
  readonly peersMatch: boolean;
  readonly portsMatch: boolean;
  /** The peer that most of was right of. */
  readonly peer?: PeerFault;
  readonly score: number;
}

/** What of a peer did not hold. */
interface PeerFault {
  readonly ref: RuleRef;
  readonly score: number;
  readonly text: string;
}

/** Finds the rule that came nearest to allowing a flow which the subject's isolation denied. */
export function findNearMiss(evaluator: Evaluator, flow: DeniedFlow): NearMiss {
  const [subject, peer] = flow.direction === "egress" ? [flow.source, flow.destination] : [flow.destination, flow.source];
  const peerParty = evaluator.party(evaluator.classify(peer));
  const destination = evaluator.party(evaluator.classify(flow.destination));
  const clauses = evaluator
    .policiesOf(evaluator.classify(subject), flow.direction)
    .flatMap((policy) => policy.clauses.filter(({ rule }) => rule.action === "allow"));
  if (clauses.length === 0) return { text: `no rule allows any ${flow.direction}` };
  let best: Scored | undefined;
  for (const clause of clauses) {
    const scored = score(evaluator, clause, flow, peer, peerParty, destination);
    if (best === undefined || scored.score > best.score || (scored.score === best.score && narrowness(clause) > narrowness(best.clause)))
      best = scored;
  }
  return { ...describe(best!, flow, peer, clauses), policy: best!.clause.policy };
}

function score(evaluator: Evaluator, clause: Clause, flow: DeniedFlow, peer: Participant, peerParty: Party, destination: Party): Scored {
  const peersMatch = matchPeers(evaluator.rules, clause, peerParty).truth === true;
  const portsMatch =
    matchPorts(evaluator.rules, clause, { protocol: flow.protocol, port: flow.port, sourcePort: -1 }, destination) === true;
  if (peersMatch) return { clause, peersMatch, portsMatch, score: portsMatch ? 100 : sharesProtocol(clause, flow.protocol) ? 60 : 50 };
  const fault = bestPeer(evaluator, clause, peer);
  return { clause, peersMatch, portsMatch, ...(fault ? { peer: fault } : {}), score: (portsMatch ? 30 : 0) + (fault?.score ?? 0) };
}

/** How closely a rule's policy names its subject: of two equally near rules, the workload's own is the one to mend. */
function narrowness(clause: Clause): number {
  return clause.policy.subject.pods.requirements.length;
}

function sharesProtocol(clause: Clause, protocol: number): boolean {
  return clause.ports !== "any" && clause.ports.some((match) => match.protocol === protocol);
}

function describe(best: Scored, flow: DeniedFlow, peer: Participant, clauses: readonly Clause[]): NearMiss {
  const ref = best.peer?.ref ?? best.clause.rule.ref;
  const place = placeOf(ref);
  if (best.peersMatch) {
    const ports = describePorts(best.clause.ports);
    const { dialledPort } = flow;
    const isServicePort = dialledPort !== undefined && dialledPort !== flow.port && allows(best.clause, flow.protocol, dialledPort);
    if (!hasPorts(flow.protocol))
      return { text: `nearest rule allows ${ports} only${place}: ${protocolName(flow.protocol)} needs a rule without ports`, rule: ref };
    return {
      text: `nearest rule allows ${ports}${place}${isServicePort ? `: the Service's port, the pod listens on ${flow.port}` : ""}`,
      rule: ref,
    };
  }
  const where = flow.direction === "egress" ? "to" : "from";
  if (peer.type === "external" && !clauses.some(reachesAddresses))
    return { text: `no rule ${flow.direction === "egress" ? "reaches" : "admits anything from"} outside the cluster` };
  if (peer.type === "node" && !clauses.some(reachesAddresses))
    return { text: `no rule ${flow.direction === "egress" ? "reaches" : "admits"} node addresses` };
  if (best.peer === undefined) return { text: `no rule allows ${flow.direction} ${where} it` };
  const lead = best.portsMatch ? `nearest rule${place}` : `nearest rule allows ${describePorts(best.clause.ports)}${place} and`;
  return { text: `${lead} ${best.peer.text}`, rule: ref };
}

function reachesAddresses(clause: Clause): boolean {
  return clause.rule.peers === "any" || clause.rule.peers.some((peer) => peer.kind !== "pods");
}

function allows(clause: Clause, protocol: number, port: number): boolean {
  return (
    clause.ports !== "any" &&
    clause.ports.some(
      (match) =>
        match.protocol === protocol &&
        match.ports !== undefined &&
        !("name" in match.ports) &&
        port >= match.ports.first &&
        port <= match.ports.last,
    )
  );
}

/** Returns where a rule is written, as ` (orders.yaml:14)`; nothing where it was read from no file. */
export function placeOf(ref: RuleRef): string {
  if (ref.file === undefined) return "";
  return ` (${ref.file.replace(/^.*\//, "")}${ref.line === undefined ? "" : `:${ref.line}`})`;
}

/** Returns a rule's ports as people write them: `80/TCP, 8000-8100/TCP, http/TCP, any UDP`. */
export function describePorts(ports: "any" | readonly PortMatch[]): string {
  if (ports === "any") return "every port";
  const shown = ports.slice(0, 4).map(({ protocol, ports: range, icmp }) => {
    if (icmp !== undefined) return `${protocolName(protocol)} type ${icmp.type}${icmp.code === undefined ? "" : ` code ${icmp.code}`}`;
    if (range === undefined) return `any ${protocolName(protocol)}`;
    return `${"name" in range ? range.name : formatPortRange(range)}/${protocolName(protocol)}`;
  });
  return shown.join(", ") + (ports.length > shown.length ? ` and ${ports.length - shown.length} more` : "");
}

function bestPeer(evaluator: Evaluator, clause: Clause, participant: Participant): PeerFault | undefined {
  if (clause.rule.peers === "any") return undefined;
  const faults = clause.rule.peers.map((peer) => peerFault(evaluator, peer, participant));
  return faults.reduce((a, b) => (b.score > a.score ? b : a));
}

function peerFault(evaluator: Evaluator, peer: Peer, participant: Participant): PeerFault {
  return { ref: peer.ref, ...termFault(evaluator, peer, participant) };
}

/** Why one condition does not hold, and how near it came. */
function termFault(evaluator: Evaluator, term: PeerTerm, participant: Participant): Omit<PeerFault, "ref"> {
  switch (term.kind) {
    case "prefix": {
      const { address } = participant;
      const except = address === undefined ? undefined : term.except.find((prefix) => prefixContains(prefix, address));
      if (except !== undefined) return { score: 15, text: `excepts ${formatPrefix(except)}` };
      if (participant.type === "pod" && !evaluator.profile.blocksMatchPods)
        return { score: 4, text: `names addresses (${formatPrefix(term.prefix)}), which match no pods under ${evaluator.profile.name}` };
      return { score: participant.type === "external" ? 6 : 1, text: `wants an address in ${formatPrefix(term.prefix)}` };
    }
    case "pods":
      return podsFault(evaluator, term.match, participant);
    case "entities":
      return { score: participant.type === "pod" ? 1 : 4, text: `is for ${term.entities.join(" and ")}` };
    case "names":
      return participant.type === "external"
        ? { score: 7, text: `is for ${term.patterns.map(({ text }) => text).join(", ")}, and no DNS answer led from there to this address` }
        : { score: 0, text: `is for outside names (${term.patterns.map(({ text }) => text).join(", ")})` };
    case "nodes":
      return { score: participant.type === "node" ? 6 : 0, text: `is for nodes with ${describeRequirements(term.selector.requirements)}` };
    case "services":
      return { score: 3, text: `is for the backends of ${"name" in term.match ? `Service ${term.match.name}` : "selected Services"}` };
    case "sets":
      return { score: participant.type === "external" ? 5 : 1, text: "is for addresses of sets that do not hold this one" };
    case "family":
      return { score: 1, text: `is for IPv${term.family} only` };
    case "not":
      return { score: 2, text: "excludes it" };
    case "all":
    case "some": {
      const faults = term.terms.map((inner) => termFault(evaluator, inner, participant));
      const first: Omit<PeerFault, "ref"> = { score: 0, text: "selects nothing" };
      return faults.reduce((a, b) => (b.score > a.score ? b : a), faults[0] ?? first);
    }
  }
}

function podsFault(evaluator: Evaluator, match: PodMatch, participant: Participant): Omit<PeerFault, "ref"> {
  if (participant.type === "unknown") return { score: 1, text: "selects pods by labels, and whose address this is is not known" };
  if (participant.type !== "pod") return { score: 0, text: "selects pods, which this is not" };
  const { pod } = participant;
  const { namespaces, pods } = match;
  const failed = pods.requirements.filter((requirement) => !matchesRequirement(requirement, pod.labels));
  const held = pods.requirements.length - failed.length;
  const namespaceText = namespaceFault(evaluator, namespaces, pod.namespace);
  const podText =
    failed.length > 0 ? `wants ${describeRequirements(failed)}, ${pod.workload.name} has ${describeLabels(failed, pod.labels)}` : "";
  const text = [namespaceText, podText].filter((part) => part !== "").join(" and ");
  return { score: 5 + held * 2 - failed.length + (namespaceText === "" ? 6 : 0), text: text || "selects other pods" };
}

function describeRequirements(requirements: readonly Requirement[]): string {
  return requirements.length === 0 ? "any labels" : requirements.map(describeRequirement).join(" and ");
}

function namespaceFault(evaluator: Evaluator, match: PodMatch["namespaces"], namespace: string): string {
  if ("name" in match) return match.name === namespace ? "" : `selects pods of namespace ${match.name} only`;
  const labels = evaluator.namespaceLabels(namespace);
  const failed = match.selector.requirements.filter((requirement) => !matchesRequirement(requirement, labels));
  return failed.length === 0
    ? ""
    : `wants a namespace with ${failed.map(describeRequirement).join(" and ")}, ${namespace} has ${describeLabels(failed, labels)}`;
}

function describeRequirement({ key, operator, values }: Requirement): string {
  if (operator === "Exists") return key;
  if (operator === "DoesNotExist") return `no ${key}`;
  const set = values.length === 1 ? values[0] : `(${values.join(", ")})`;
  return operator === "In" ? `${key}${values.length === 1 ? "=" : " in "}${set}` : `${key}${values.length === 1 ? "!=" : " not in "}${set}`;
}

function describeLabels(failed: readonly Requirement[], labels: Readonly<Record<string, string>>): string {
  return [...new Set(failed.map(({ key }) => (Object.hasOwn(labels, key) ? `${key}=${labels[key]}` : `no ${key}`)))].join(" and ");
}
