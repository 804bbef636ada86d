import { isIcmp } from "../net/protocol.ts";
import { combine, type Decision, type Note, type UnknownReason, type Verdict } from "./decision.ts";
import type { Ends, Target } from "./ends.ts";
import type { Evaluator, Participant } from "./evaluator.ts";
import { peersOf } from "./honoured.ts";
import { decideByRequests, type Request } from "./l7.ts";

/** Both sides' decisions on one connection. */
export interface Judgement {
  readonly egress: Decision;
  readonly ingress: Decision;
  readonly verdict: Verdict;
}

/** Reports whether an evaluator lacks policies of a namespace, since nobody could read them. */
export type IsUnread = (namespace: string, evaluator: Evaluator) => boolean;

/** What a verdict takes of the ends of a connection. */
export interface JudgedEnds extends Pick<Ends, "source" | "via" | "arrivesFrom"> {
  readonly targets: readonly Pick<Target, "participant" | "port">[];
}

/** What is asked of two ends. */
export interface Packet {
  /** IP protocol number. */
  readonly protocol: number;
  /** The initiator's port; negative: not known. */
  readonly sourcePort: number;
  /** Whether ICMP's type is known: it is the port of the targets then (type * 256 + code). */
  readonly hasIcmpType: boolean;
  /** The requests that were seen; asked for only where rules look at them. */
  readonly requests: () => readonly Request[];
}

/**
 * Judges a connection between two ends: everything that a verdict takes, for whoever asks. Several possible targets are judged each.
 */
export function judgeEnds(evaluator: Evaluator, ends: JudgedEnds, packet: Packet): Judgement {
  const { targets } = ends;
  const { protocol } = packet;
  // A log that does not tell ICMP's type: what all types agree on holds.
  if (isIcmp(protocol) && !packet.hasIcmpType && targets.length === 1) {
    const types = evaluator.ports.samples.filter((sample) => sample.protocol === protocol);
    return nameUnknown(
      agree(types.map(({ port }) => judgeTarget(evaluator, ends, packet, targets[0].participant, port))),
      "unknown-port-name",
    );
  }
  if (targets.length === 1) return judgeTarget(evaluator, ends, packet, targets[0].participant, targets[0].port);
  // A Service without backends leads nowhere that is known, on a port that nobody knows.
  if (targets.length === 0) {
    const ports = evaluator.ports.samples
      .filter((sample) => sample.protocol === protocol)
      .map(({ port }) => judgeTarget(evaluator, ends, packet, { type: "unknown" }, port));
    return nameUnknown(agree(ports));
  }
  return agree(targets.map(({ participant, port }) => judgeTarget(evaluator, ends, packet, participant, port)));
}

/** Judges a connection as going to one participant and port. Both ends may be told as the evaluator numbers them. */
export function judgeTarget(
  evaluator: Evaluator,
  ends: Omit<JudgedEnds, "targets">,
  packet: Packet,
  participant: Participant,
  port: number,
  source: number = evaluator.classify(ends.source),
  destination: number = evaluator.classify(participant),
): Judgement {
  const { protocol, sourcePort } = packet;
  const portClass = evaluator.ports.withSource(evaluator.ports.classOf(protocol, port), protocol, sourcePort);
  const throughService = ends.via !== undefined;
  const onBackend = evaluator.decisions[evaluator.decideEgress(source, destination, portClass, throughService)];
  const egress = throughService && evaluator.profile.blocksMatchDialled ? beforeTranslation(onBackend, participant) : onBackend;
  // Masquerade hides the client: the destination's policies see the node that translated.
  const ingress =
    ends.arrivesFrom === undefined
      ? evaluator.decisions[evaluator.decideIngress(source, destination, portClass, throughService)]
      : judgeArrivals(evaluator, ends.arrivesFrom, destination, portClass);
  if (egress.l7 === undefined && ingress.l7 === undefined) return { egress, ingress, verdict: combine(egress.verdict, ingress.verdict) };
  const requests = packet.requests();
  const [out, into] = [decideByRequests(egress, requests), decideByRequests(ingress, requests)];
  return { egress: out, ingress: into, verdict: combine(out.verdict, into.verdict) };
}

/** Leaves open what is allowed of pods whose policies nobody could read; without `isUnread` all could be. */
export function besideUnread(judgement: Judgement, { source, targets }: Ends, evaluator: Evaluator, isUnread?: IsUnread): Judgement {
  if (isUnread === undefined) return judgement;
  const isOpen = (participant: Participant) => participant.type === "pod" && isUnread(participant.pod.namespace, evaluator);
  const egress = judgement.egress.verdict === "allow" && isOpen(source) ? unread(judgement.egress) : judgement.egress;
  const isIngressOpen = judgement.ingress.verdict === "allow" && targets.some(({ participant }) => isOpen(participant));
  const ingress = isIngressOpen ? unread(judgement.ingress) : judgement.ingress;
  if (egress === judgement.egress && ingress === judgement.ingress) return judgement;
  return { egress, ingress, verdict: combine(judgement.verdict, combine(egress.verdict, ingress.verdict)) };
}

/** Returns the same decision left open for each that it is given; equal decisions stay one object, as comparisons of them expect. */
export function leftOpen(reason: UnknownReason, note: Note): (decision: Decision) => Decision {
  const known = new WeakMap<Decision, Decision>();
  return (decision) => {
    let open = known.get(decision);
    if (open === undefined) {
      open = { ...decision, verdict: "unknown", reason, notes: [...decision.notes, note] };
      known.set(decision, open);
    }
    return open;
  };
}

const unread = leftOpen("policy-error", "policies-unread");
const openBeforeTranslation = leftOpen("unknown-endpoint", "judged-before-translation");

/**
 * What a plugin says of a dialled Service that judges before translation: by labels as of the backend, by addresses of another one.
 * Only what rules on addresses could change is open.
 */
function beforeTranslation(decision: Decision, backend: Participant): Decision {
  const hasBlocks = decision.isolatedBy.some((policy) => peersOf(policy).some(({ kind }) => kind === "prefix"));
  // A backend that is no pod (an API server, a host outside) is let in by its address, or by a rule for whatever comes.
  const isByAddress = decision.notes.includes("ipblock-covers-pod") || (backend.type !== "pod" && decision.reason === "rule" && hasBlocks);
  const hangsOnAddress = decision.verdict === "allow" ? isByAddress : decision.reason === "isolated" && hasBlocks;
  return hangsOnAddress ? openBeforeTranslation(decision) : decision;
}

function judgeArrivals(evaluator: Evaluator, arriving: readonly Participant[], destination: number, portClass: number): Decision {
  const sides = arriving.map((from) => evaluator.decisions[evaluator.decideIngress(evaluator.classify(from), destination, portClass)]);
  return sides.length === 1 ? sides[0] : nameUnknownEnd(agreeSide(sides));
}

/** Neither the backend nor its port is known: what all ports agree on holds, the rest hangs on an end that nobody knows. */
function nameUnknown({ egress, ingress, verdict }: Judgement, reason: UnknownReason = "unknown-endpoint"): Judgement {
  return { egress: nameUnknownEnd(egress, reason), ingress: nameUnknownEnd(ingress, reason), verdict };
}

function nameUnknownEnd(decision: Decision, reason: UnknownReason = "unknown-endpoint"): Decision {
  return decision.reason === "several-backends" ? { ...decision, reason } : decision;
}

/** Joins the judgements of a Service's candidate backends: what all say, else unknown (semantics 3). */
function agree(judgements: readonly Judgement[]): Judgement {
  const verdict = common(judgements.map((judgement) => judgement.verdict));
  return {
    egress: agreeSide(judgements.map(({ egress }) => egress)),
    ingress: agreeSide(judgements.map(({ ingress }) => ingress)),
    verdict,
  };
}

function agreeSide(decisions: readonly Decision[]): Decision {
  const [first] = decisions;
  if (decisions.every((decision) => decision === first)) return first;
  const verdict = common(decisions.map((decision) => decision.verdict));
  const isOneReason = decisions.every((decision) => decision.reason === first.reason);
  const reason = verdict === "unknown" && !isOneReason ? ("several-backends" satisfies UnknownReason) : first.reason;
  return {
    verdict,
    reason,
    notes: [...new Set(decisions.flatMap((decision) => decision.notes))],
    isolatedBy: [...new Set(decisions.flatMap((decision) => decision.isolatedBy))],
    matched: distinct(decisions.flatMap((decision) => decision.matched)),
  };
}

function distinct<T extends { policy: unknown; rule: unknown }>(matches: readonly T[]): T[] {
  return matches.filter((match, i) => matches.findIndex((other) => other.policy === match.policy && other.rule === match.rule) === i);
}

function common(verdicts: readonly Verdict[]): Verdict {
  return verdicts.every((verdict) => verdict === verdicts[0]) ? verdicts[0] : "unknown";
}
