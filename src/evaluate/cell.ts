import type { Truth } from "../cluster/selector.ts";
import { rangeContains } from "../net/portRange.ts";
import { isIcmp } from "../net/protocol.ts";
import type { Policy, PortMatch } from "../policy/model.ts";
import type { AddressClasses } from "./addressClasses.ts";
import type { Clause, CompiledPolicy } from "./clauses.ts";
import type { Decision, Match, Note, UnknownReason } from "./decision.ts";
import { ANYTHING, type Identities, NODE, OUTSIDE } from "./identities.ts";
import type { PortSample } from "./portClasses.ts";
import type { CniProfile } from "./profile.ts";

/** What stands on the other side of a rule, or is a subject: an identity with an address of some class. */
export interface Party {
  readonly identity: number;
  /** Class of its address; -1 where even the address is not known (an unknown backend of a Service). */
  readonly addressClass: number;
}

/** Everything that a cell of the decision table is worked out from. */
export interface Rules {
  readonly identities: Identities;
  readonly addresses: AddressClasses;
  readonly profile: CniProfile;
}

const and = (a: Truth, b: Truth): Truth => (a === false || b === false ? false : a === true && b === true ? true : "unknown");

/** How a clause's peers answer, and what that hangs on. */
export interface PeerAnswer {
  readonly truth: Truth;
  /** The peers that match (or may). */
  readonly matched: readonly { readonly ref: Clause["rule"]["ref"] }[];
  readonly onlyByBlock: boolean;
}

/** Returns whether a clause's peers hold a party. */
export function matchPeers(rules: Rules, clause: Clause, party: Party): PeerAnswer {
  if (clause.peers === "any") return { truth: true, matched: [clause.rule], onlyByBlock: false };
  const matched: { ref: Clause["rule"]["ref"] }[] = [];
  let truth: Truth = false;
  let onlyByBlock = true;
  for (const peer of clause.peers) {
    const answer = peer.isBlock ? matchBlock(rules, peer.number, party) : matchSelection(rules, peer.number, party);
    if (answer === false) continue;
    matched.push(peer);
    if (!peer.isBlock) onlyByBlock = false;
    if (answer === true || truth === false) truth = answer;
  }
  return { truth, matched, onlyByBlock };
}

function matchSelection(rules: Rules, selection: number, { identity }: Party): Truth {
  const { must, may } = rules.identities.selection(selection);
  return must.has(identity) ? true : may.has(identity) ? "unknown" : false;
}

function matchBlock(rules: Rules, block: number, party: Party): Truth {
  if (party.addressClass < 0) return "unknown";
  if (!rules.addresses.contains(block, party.addressClass)) return false;
  if (party.identity === NODE) return rules.profile.blocksMatchNodes;
  if (party.identity === OUTSIDE) return true;
  if (rules.profile.blocksMatchPods) return true;
  return party.identity === ANYTHING ? "unknown" : false;
}

/**
 * Returns whether a clause's ports hold a protocol and port at a destination. Named ports are those of the destination's
 * containers with the same protocol (API: NetworkPolicyPort.port); an outside address has none.
 */
export function matchPorts(rules: Rules, clause: Clause, sample: PortSample, destination: Party): Truth {
  if (clause.rule.ports === "any") return true;
  let truth: Truth = false;
  for (const match of clause.rule.ports) {
    const answer = matchPort(rules, match, sample, destination);
    if (answer === true) return true;
    if (answer === "unknown") truth = answer;
  }
  return truth;
}

function matchPort(rules: Rules, match: PortMatch, { protocol, port }: PortSample, destination: Party): Truth {
  if (match.protocol !== protocol) return false;
  if (match.ports === undefined) return true;
  if (!("name" in match.ports)) return rangeContains(match.ports, port);
  if (rules.profile.namedPortIsWholeProtocol) return true;
  if (destination.identity === ANYTHING) return "unknown";
  const { name } = match.ports;
  return (
    rules.identities.get(destination.identity)?.ports.some((own) => own.name === name && own.protocol === protocol && own.port === port) ??
    false
  );
}

/** One clause's answer in a cell. */
interface Answer {
  readonly clause: Clause;
  readonly truth: Truth;
  readonly peers: PeerAnswer;
  readonly portsTruth: Truth;
}

/**
 * Works out one cell: what the policies that select `subject` (certainly or perhaps) say of traffic with `peer`.
 * `destination` is the one of the two whose ports are meant.
 */
export function decideCell(
  rules: Rules,
  selecting: readonly CompiledPolicy[],
  subject: Party,
  peer: Party,
  destination: Party,
  sample: PortSample,
): Decision {
  const certain: Policy[] = [];
  const possible: Policy[] = [];
  const sure: Answer[] = [];
  const open: Answer[] = [];
  // Policies with one and the same selector select a subject together or not at all: by selection, whether one of them isolates
  // and whether one of them surely allows.
  const bySubject = new Map<number, { isolates: boolean; allows: boolean }>();
  for (const compiled of selecting) {
    const selected = matchSelection(rules, compiled.subject, subject);
    if (selected === false) continue;
    if (compiled.isolates) (selected === true ? certain : possible).push(compiled.policy);
    let together = bySubject.get(compiled.subject);
    if (together === undefined) bySubject.set(compiled.subject, (together = { isolates: false, allows: false }));
    if (compiled.isolates) together.isolates = true;
    for (const clause of compiled.clauses) {
      const peers = matchPeers(rules, clause, peer);
      const portsTruth = matchPorts(rules, clause, sample, destination);
      const truth = and(peers.truth, portsTruth);
      if (truth === true) together.allows = true;
      if (and(truth, selected) === true) sure.push({ clause, truth, peers, portsTruth });
      else if (truth !== false) open.push({ clause, truth, peers, portsTruth });
    }
  }
  const denyPossible = [...bySubject.values()].some(({ isolates, allows }) => isolates && !allows);
  if (sure.length > 0) return allowed(rules, peer, certain, sure);
  if (rules.profile.echoAlwaysPasses && isIcmp(sample.protocol) && certain.length + possible.length > 0) {
    return { verdict: "allow", reason: "default", notes: ["echo-always-passes"], isolatedBy: certain, matched: [] };
  }
  if (!denyPossible)
    return {
      verdict: "allow",
      reason: certain.length + possible.length > 0 ? "rule" : "no-policy",
      notes: [],
      isolatedBy: certain,
      matched: matchesOf(open),
    };
  if (certain.length > 0 && open.length === 0) return denied(rules, selecting, subject, peer, sample, certain);
  return {
    verdict: "unknown",
    reason: whyUnknown(subject, peer, open),
    notes: [],
    isolatedBy: [...certain, ...possible],
    matched: matchesOf(open),
  };
}

function matchesOf(answers: readonly Answer[]): Match[] {
  return answers.flatMap(({ clause, peers }) => peers.matched.map(({ ref }) => ({ policy: clause.policy, rule: ref })));
}

function allowed(rules: Rules, peer: Party, isolatedBy: readonly Policy[], sure: readonly Answer[]): Decision {
  const notes: Note[] = [];
  if (peer.identity !== OUTSIDE && peer.identity !== NODE && sure.every((answer) => answer.peers.onlyByBlock))
    notes.push("ipblock-covers-pod");
  if (peer.identity === NODE && sure.every((answer) => answer.peers.onlyByBlock)) notes.push("ipblock-covers-node");
  if (
    rules.profile.namedPortIsWholeProtocol &&
    sure.every(
      ({ clause }) => clause.rule.ports !== "any" && clause.rule.ports.every(({ ports }) => ports !== undefined && "name" in ports),
    )
  ) {
    notes.push("named-port-is-whole-protocol");
  }
  return { verdict: "allow", reason: "rule", notes, isolatedBy, matched: matchesOf(sure) };
}

function denied(
  rules: Rules,
  selecting: readonly CompiledPolicy[],
  subject: Party,
  peer: Party,
  sample: PortSample,
  isolatedBy: readonly Policy[],
): Decision {
  const notes: Note[] = [];
  const clauses = selecting
    .filter((compiled) => matchSelection(rules, compiled.subject, subject) === true)
    .flatMap((compiled) => compiled.clauses);
  // Portless traffic that a rule's peers admit but its ports cannot name: the API leaves it to the plugin.
  if (sample.port < 0 && clauses.some((clause) => clause.rule.ports !== "any" && matchPeers(rules, clause, peer).truth === true))
    notes.push("icmp-implementation-defined");
  if (blockWouldMatch(rules, clauses, peer)) notes.push(peer.identity === NODE ? "ipblock-covers-node" : "ipblock-covers-pod");
  return { verdict: "deny", reason: "isolated", notes, isolatedBy, matched: [] };
}

/** Reports whether a block holds the address of a pod or node that this plugin's blocks do not match. */
function blockWouldMatch(rules: Rules, clauses: readonly Clause[], peer: Party): boolean {
  if (peer.addressClass < 0 || peer.identity === OUTSIDE) return false;
  if (peer.identity === NODE ? rules.profile.blocksMatchNodes : rules.profile.blocksMatchPods) return false;
  return clauses.some(
    (clause) =>
      clause.peers !== "any" && clause.peers.some(({ isBlock, number }) => isBlock && rules.addresses.contains(number, peer.addressClass)),
  );
}

function whyUnknown(subject: Party, peer: Party, open: readonly Answer[]): UnknownReason {
  if (subject.identity === ANYTHING || peer.identity === ANYTHING) {
    return open.length > 0 && open.every((answer) => answer.portsTruth === "unknown" && answer.peers.truth === true)
      ? "unknown-port-name"
      : "unknown-endpoint";
  }
  return "unknown-labels";
}
