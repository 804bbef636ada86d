import { hasPorts, protocolName } from "../net/protocol.ts";
import type { Direction, Policy, RuleRef } from "../policy/model.ts";
import { matchPeers, matchPorts } from "./cell.ts";
import type { Clause } from "./clauses.ts";
import type { Evaluator, Participant } from "./evaluator.ts";
import { describePorts, nearestPeer, type PeerFault, placeOf } from "./ruleFaults.ts";
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
  const fault = nearestPeer(evaluator, clause, peer);
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
