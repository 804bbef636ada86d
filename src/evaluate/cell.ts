import type { Truth } from "../cluster/selector.ts";
import { rangeContains } from "../net/portRange.ts";
import { hasPorts } from "../net/protocol.ts";
import { type Direction, type Policy, type PortMatch, portNameOf } from "../policy/model.ts";
import type { AddressClasses } from "./addressClasses.ts";
import { type Clause, type CompiledPolicy, cutOf } from "./clauses.ts";
import {
  COMMON_DECISIONS,
  type Decision,
  type L7Condition,
  type Match,
  type Note,
  OWN_NODE,
  UNSELECTED_DENIED,
  type UnknownReason,
  type Verdict,
} from "./decision.ts";
import { ANYTHING, type Identities } from "./identities.ts";
import type { PortSample } from "./portClasses.ts";
import type { CniProfile } from "./profile.ts";
import type { Stage } from "./stages.ts";
import { coversInVain, type Party, type Term, termTruth } from "./terms.ts";
import { and, negate, someTruth } from "./truth.ts";

/** Everything that a cell of the decision table is worked out from. */
export interface Rules {
  readonly identities: Identities;
  readonly addresses: AddressClasses;
  readonly profile: CniProfile;
  readonly stages: readonly Stage[];
  /** Whether decisions are asked for their verdict alone: what notes say is then not looked for. */
  readonly isTerse?: boolean;
}

/** One question: what do the policies that select `subject` (certainly or perhaps) say of traffic with `peer`? */
export interface Question {
  readonly direction: Direction;
  readonly subject: Party;
  readonly peer: Party;
  /** The one of the two whose ports are meant. */
  readonly destination: Party;
  readonly sample: PortSample;
}

/** How a clause's peers answer, and what that hangs on. */
export interface PeerAnswer {
  readonly truth: Truth;
  /** The peers that match (or may). */
  readonly matched: readonly { readonly ref: Clause["rule"]["ref"] }[];
  readonly onlyByAddress: boolean;
}

/** Returns whether a clause's peers hold a party. */
export function matchPeers(rules: Rules, clause: Clause, party: Party): PeerAnswer {
  if (clause.peers === "any") return { truth: true, matched: [clause.rule], onlyByAddress: false };
  const matched: { ref: Clause["rule"]["ref"] }[] = [];
  let truth: Truth = false;
  let onlyByAddress = true;
  for (const peer of clause.peers) {
    const answer = truthOf(rules, peer.term, party);
    if (answer === false) continue;
    matched.push(peer);
    if (!peer.isAddress) onlyByAddress = false;
    if (answer === true || truth === false) truth = answer;
  }
  return { truth, matched, onlyByAddress };
}

/** Reports whether a clause's peers hold a party, or may: `matchPeers` where no more is asked. */
export function mayMatchPeers(rules: Rules, { peers }: Clause, party: Party): boolean {
  return peers === "any" || peers.some(({ term }) => truthOf(rules, term, party) !== false);
}

function truthOf({ identities, addresses }: Rules, term: Term, party: Party): Truth {
  return termTruth(term, identities, addresses, party);
}

/** Returns whether a clause asks for more of its subject than to be selected, and whether that holds. */
export function nearTruth(rules: Rules, { near }: Clause, subject: Party): Truth {
  return near === undefined || someTruth(near, (term) => truthOf(rules, term, subject));
}

/**
 * Returns whether a clause's ports hold a protocol and port at a destination. Named ports are those of the destination's
 * containers with the same protocol (API: NetworkPolicyPort.port); an outside address has none.
 */
export function matchPorts(rules: Rules, clause: Clause, sample: PortSample, destination: Party): Truth {
  const { notPorts, sourcePorts, notSourcePorts } = clause.rule;
  let truth: Truth = clause.ports === "any" ? true : somePort(rules, clause.ports, sample, destination);
  if (notPorts !== undefined) truth = and(truth, negate(somePort(rules, notPorts, sample, destination)));
  if (sourcePorts !== undefined) truth = and(truth, someSourcePort(sourcePorts, sample));
  if (notSourcePorts !== undefined) truth = and(truth, negate(someSourcePort(notSourcePorts, sample)));
  return truth;
}

function somePort(rules: Rules, matches: readonly PortMatch[], sample: PortSample, destination: Party): Truth {
  return someTruth(matches, (match) => matchPort(rules, match, sample, destination));
}

/** Reports whether a match without names holds a protocol and number. */
export function holdsNumber(match: PortMatch, { protocol, port }: Pick<PortSample, "protocol" | "port">): boolean {
  const cut = cutOf(match);
  return match.protocol === protocol && (cut === undefined || rangeContains(cut, port));
}

function matchPort(rules: Rules, match: PortMatch, sample: PortSample, destination: Party): Truth {
  const name = portNameOf(match);
  if (name === undefined) return holdsNumber(match, sample);
  const { protocol, port } = sample;
  if (match.protocol !== protocol) return false;
  if (rules.profile.namedPortIsWholeProtocol) return true;
  if (rules.identities.hasUnknownPorts(destination.identity)) return "unknown";
  return (
    rules.identities.get(destination.identity)?.ports.some((own) => own.name === name && own.protocol === protocol && own.port === port) ??
    false
  );
}

function someSourcePort(matches: readonly PortMatch[], { protocol, sourcePort }: PortSample): Truth {
  const own = matches.filter((match) => match.protocol === protocol);
  if (own.length === 0) return false;
  if (own.some(({ ports }) => ports === undefined)) return true;
  if (sourcePort < 0) return "unknown";
  return own.some(({ ports }) => ports !== undefined && !("name" in ports) && rangeContains(ports, sourcePort));
}

/** One clause's answer in a cell. */
interface Answer {
  readonly clause: Clause;
  readonly truth: Truth;
  readonly peers: PeerAnswer;
  readonly portsTruth: Truth;
}

/** What the stages found so far. */
interface Progress {
  /** All policies that are asked, in whichever stage. */
  readonly asked: readonly CompiledPolicy[];
  /** Policies that isolate the subject: certainly, perhaps. */
  readonly certain: Policy[];
  readonly possible: Policy[];
  /** Answers that may decide: in the order in which they are asked. */
  readonly open: Answer[];
  readonly passed: Answer[];
  allowPossible: boolean;
  denyPossible: boolean;
  /** A rule of the stage may pass on, so that what comes after it in the stage is not sure to be asked. */
  passPossible: boolean;
  /** Isolation whose denial waits for the last stage (certainly, perhaps). */
  later: Truth;
  ignored: boolean;
}

/** Reports whether the plugin lets a port through whatever policies say. */
export function alwaysPasses({ profile }: Pick<Rules, "profile">, sample: Pick<PortSample, "protocol" | "port">): boolean {
  return profile.icmpAlwaysPasses.some((match) => holdsNumber(match, sample));
}

/** Works out one cell. Stages are asked in turn until one decides for certain; what may decide on the way leaves the rest open. */
export function decideCell(rules: Rules, selecting: readonly CompiledPolicy[], question: Question): Decision {
  const progress: Progress = {
    asked: selecting,
    certain: [],
    possible: [],
    open: [],
    passed: [],
    allowPossible: false,
    denyPossible: false,
    passPossible: false,
    later: rules.profile.enforcement === "always",
    ignored: selecting.some(({ stage }) => stage < 0),
  };
  if (alwaysPasses(rules, question.sample)) {
    const isolatedBy = selecting.filter(({ isolates }) => isolates).map(({ policy }) => policy);
    return { verdict: "allow", reason: "default", notes: ["icmp-always-passes"], isolatedBy, matched: [] };
  }
  let at = 0;
  while (at < selecting.length && selecting[at].stage >= 0) {
    let end = at + 1;
    while (end < selecting.length && selecting[end].stage === selecting[at].stage) end++;
    const decision = decideStage(rules, rules.stages[selecting[at].stage], selecting.slice(at, end), question, progress);
    if (decision !== undefined) return withNotes(decision, progress);
    at = end;
  }
  return withNotes(decideAtLast(rules, selecting, question, progress), progress);
}

function withNotes(decision: Decision, { ignored }: Progress): Decision {
  return ignored ? { ...decision, notes: [...decision.notes, "dialect-ignored-by-cni"] } : decision;
}

/** Asks one stage. Returns a decision where it is certain. */
function decideStage(
  rules: Rules,
  stage: Stage,
  selecting: readonly CompiledPolicy[],
  question: Question,
  progress: Progress,
): Decision | undefined {
  // Policies with one and the same selector select a subject together or not at all: by selection, whether one of them isolates
  // and whether one of them surely decides.
  const bySubject = new Map<number, { selected: Truth; isolates: boolean; decides: boolean }>();
  const answers: Answer[] = [];
  for (const compiled of selecting) {
    const selected = rules.identities.truthOf(compiled.subject, question.subject.identity);
    if (selected === false) continue;
    if (compiled.isolates) (selected === true ? progress.certain : progress.possible).push(compiled.policy);
    let together = bySubject.get(compiled.subject);
    if (together === undefined) bySubject.set(compiled.subject, (together = { selected, isolates: false, decides: false }));
    if (compiled.isolates) together.isolates = true;
    for (const clause of compiled.clauses) {
      const peers = matchPeers(rules, clause, question.peer);
      if (peers.truth === false) continue;
      const portsTruth = matchPorts(rules, clause, question.sample, question.destination);
      const truth = and(and(peers.truth, portsTruth), nearTruth(rules, clause, question.subject));
      if (truth === true && clause.l7 === undefined) together.decides = true;
      if (truth !== false) answers.push({ clause, truth: and(truth, selected), peers, portsTruth });
    }
  }
  progress.passPossible = false;
  const isolating = [...bySubject.values()].filter(({ isolates }) => isolates);
  const exempt = isolating.length === 0 ? false : exempts(rules, stage, question);
  if (exempt !== false) progress.allowPossible = true;
  if (exempt === true) {
    // Exempt is what the stage would judge: where it may not select the subject at all, later stages are asked.
    if (!isolating.some(({ selected }) => selected === true)) return undefined;
    return progress.denyPossible ? undecided(rules, question, progress, "allow") : EXEMPT;
  }
  const ordered = stage.combine === "first-match" ? answers : denyFirst(answers);
  const decided = walk(rules, ordered, question, progress, stage.combine === "deny-first");
  if (decided === "passed") return undefined;
  if (decided !== undefined) return decided;
  // Where a rule on requests may apply, the proxy may refuse what is let through otherwise.
  if (stage.combine === "deny-first" && ordered.some(({ clause }) => clause.l7 !== undefined)) progress.denyPossible = true;
  return endOfStage(rules, stage, selecting, isolating, question, progress);
}

const EXEMPT = COMMON_DECISIONS[OWN_NODE];

/** Traffic between a pod and its node that this stage's policies do not judge (Kubernetes: NetworkPolicy; plugins differ). */
function exempts({ profile, identities }: Rules, stage: Stage, { direction, peer }: Question): Truth {
  const isExempt =
    direction === "ingress" ? profile.ownNodeToPod === "allow" : profile.podToOwnNode === "allow" && stage.name === "networkpolicy";
  if (!isExempt) return false;
  return identities.isOwnNode(peer.identity) || (identities.isUnsureNode(peer.identity) ? "unknown" : false);
}

function denyFirst(answers: readonly Answer[]): Answer[] {
  return [
    ...answers.filter(({ clause }) => clause.rule.action === "deny"),
    ...answers.filter(({ clause }) => clause.rule.action !== "deny"),
  ];
}

/** Asks rules in order. "passed": a rule surely passes on to the next stage; undefined: none decides for certain. */
function walk(
  rules: Rules,
  answers: readonly Answer[],
  question: Question,
  progress: Progress,
  isUnion: boolean,
): Decision | "passed" | undefined {
  for (const [i, answer] of answers.entries()) {
    const { clause, truth } = answer;
    const { action } = clause.rule;
    if (truth !== true || (clause.l7 !== undefined && !isUnion)) {
      progress.open.push(answer);
      if (action === "allow") progress.allowPossible = true;
      else if (action === "deny") progress.denyPossible = true;
      else progress.passPossible = true;
      continue;
    }
    if (action === "pass") {
      progress.passed.push(answer);
      return "passed";
    }
    const rest = answers.slice(i);
    if (clause.l7 !== undefined) {
      if (rest.some(settlesWithoutL7)) continue;
      return decideByRequest(rules, rest, question, progress);
    }
    if (progress.passPossible || (action === "deny" ? progress.allowPossible : progress.denyPossible))
      return undecided(rules, question, progress, action === "deny" ? "deny" : "allow");
    const others = rest.slice(1).filter((other) => other.truth === true && (!isUnion || other.clause.rule.action === action));
    return byRule(rules, action === "deny" ? "deny" : "allow", [answer, ...others], question, progress);
  }
  return undefined;
}

function settlesWithoutL7({ clause, truth }: Answer): boolean {
  return truth === true && clause.l7 === undefined && clause.rule.action === "allow";
}

/** Every rule that lets this through wants to see the request: the verdict hangs on it. */
function decideByRequest(rules: Rules, answers: readonly Answer[], question: Question, progress: Progress): Decision {
  if (progress.denyPossible) return undecided(rules, question, progress);
  // What the node itself asks of its pods passes the proxy too (Cilium: allow-localhost).
  const isFromHost = question.direction === "ingress" && rules.profile.ownNodeToPod === "unless-denied";
  if (isFromHost && rules.identities.isOwnNode(question.peer.identity)) return EXEMPT;
  const sure = answers.filter(({ truth, clause }) => truth === true && clause.l7 !== undefined);
  const isOpen =
    answers.some(({ truth }) => truth !== true) ||
    progress.open.length > 0 ||
    (isFromHost && rules.identities.isUnsureNode(question.peer.identity)) ||
    !isOneFilter(rules, sure, question, progress);
  const matched = matchesOf(sure);
  const isolatedBy = progress.certain;
  const l7: L7Condition = {
    alternatives: sure.flatMap(({ clause }) => (clause.l7 ?? []).map((match) => ({ match, policy: clause.policy, rule: clause.rule.ref }))),
    allow: byRule(rules, "allow", sure, question, progress),
    deny: isOpen
      ? { verdict: "unknown", reason: "no-l7-data", notes: ["several-l7-filters"], isolatedBy, matched }
      : { verdict: "deny", reason: "l7-deny", notes: [], isolatedBy, matched },
  };
  return { verdict: "unknown", reason: "no-l7-data", notes: [], isolatedBy, matched, l7 };
}

/**
 * Reports whether one port filter alone covers the port. Where several do for one peer, the proxy picks among their rules by
 * precedence, and what a name in a filter means is learned as pods come: what it refuses is not certain (Cilium's engine does not
 * say). Nor is it where nothing isolates and all else is let through.
 */
function isOneFilter(
  rules: Rules,
  sure: readonly Answer[],
  { sample, destination, subject }: Question,
  { asked, certain }: Progress,
): boolean {
  const hasNames = asked.some(
    (compiled) =>
      rules.identities.truthOf(compiled.subject, subject.identity) !== false &&
      compiled.clauses.some(
        ({ ports }) => ports !== "any" && ports.some((match) => match.protocol === sample.protocol && portNameOf(match) !== undefined),
      ),
  );
  const filters = sure.flatMap(({ clause }) =>
    clause.ports === "any"
      ? ["any"]
      : clause.ports.flatMap((match) => (matchPort(rules, match, sample, destination) ? JSON.stringify(match.ports) : [])),
  );
  return !hasNames && certain.length > 0 && new Set(filters).size <= 1;
}

function byRule(rules: Rules, verdict: Verdict, sure: readonly Answer[], question: Question, progress: Progress): Decision {
  const matched = [...matchesOf(sure), ...matchesOf(progress.passed)];
  const isolatedBy = progress.certain;
  return { verdict, reason: verdict === "deny" ? "rule-deny" : "rule", notes: notesOf(rules, sure, question), isolatedBy, matched };
}

/** What becomes of traffic that no rule of a stage decided for certain. */
function endOfStage(
  rules: Rules,
  stage: Stage,
  selecting: readonly CompiledPolicy[],
  isolating: readonly { selected: Truth; decides: boolean }[],
  question: Question,
  progress: Progress,
): Decision | undefined {
  // Whoever a selection's own rules surely decide for does not come to the end through it.
  const reaching = isolating.filter(({ decides }) => !decides);
  if (stage.end === "pass" || reaching.length === 0) return undefined;
  const isCertain = reaching.some(({ selected }) => selected === true);
  if (stage.end === "later") {
    if (progress.later !== true) progress.later = isCertain ? true : "unknown";
    return undefined;
  }
  if (!isCertain) {
    progress.denyPossible = true;
    return undefined;
  }
  if (progress.allowPossible || progress.passPossible) return undecided(rules, question, progress, "deny");
  return isolated(rules, stage, selecting, question);
}

/** No stage decided for certain: what isolation left to the end denies, the rest is allowed. */
function decideAtLast(rules: Rules, selecting: readonly CompiledPolicy[], question: Question, progress: Progress): Decision {
  const { certain, possible, open, passed } = progress;
  const { identities, profile } = rules;
  if (progress.later !== false) {
    const isHost = question.direction === "ingress" && profile.ownNodeToPod === "unless-denied";
    if (isHost && identities.isOwnNode(question.peer.identity)) {
      return progress.denyPossible ? undecided(rules, question, progress, "allow") : EXEMPT;
    }
    const mayBeHost = isHost && (question.peer.identity === ANYTHING || identities.isUnsureNode(question.peer.identity));
    if (progress.later === true && !progress.allowPossible && !mayBeHost) {
      if (certain.length === 0) return COMMON_DECISIONS[UNSELECTED_DENIED];
      return isolated(rules, undefined, selecting, question);
    }
    return undecided(rules, question, progress, progress.later === true ? "deny" : "allow");
  }
  if (progress.denyPossible) return undecided(rules, question, progress, "allow");
  const isByRule = open.some(({ clause }) => clause.rule.action === "allow");
  const isGoverned = certain.length + possible.length + passed.length + open.length > 0;
  return {
    verdict: "allow",
    reason: isByRule ? "rule" : isGoverned ? "default" : "no-policy",
    notes: [],
    isolatedBy: certain,
    matched: matchesOf([...open, ...passed]),
  };
}

function undecided(rules: Rules, question: Question, { certain, possible, open }: Progress, otherwise?: "allow" | "deny"): Decision {
  return {
    verdict: "unknown",
    ...(otherwise === undefined || open.some(({ clause }) => clause.rule.action === "pass") ? {} : { otherwise }),
    reason: whyUnknown(rules, question, open),
    notes: [],
    isolatedBy: [...certain, ...possible],
    matched: matchesOf(open),
  };
}

function matchesOf(answers: readonly Answer[]): Match[] {
  return answers.flatMap(({ clause, peers }) => peers.matched.map(({ ref }) => ({ policy: clause.policy, rule: ref })));
}

function notesOf(rules: Rules, sure: readonly Answer[], { peer, direction }: Question): Note[] {
  const notes: Note[] = [];
  if (rules.isTerse) return notes;
  const isNode = rules.identities.isNode(peer.identity);
  const byLabels = (clause: Clause) =>
    clause.peers !== "any" && clause.rule.peers !== "any" && clause.rule.peers.some(({ kind }) => kind === "pods");
  if (isNode && rules.profile.selectsHostPods[direction] && sure.every(({ clause, peers }) => byLabels(clause) && !peers.onlyByAddress))
    notes.push("host-network-pod-selected");
  const isOnlyByAddress = sure.every(({ peers }) => peers.onlyByAddress && peers.matched.length > 0);
  if (isOnlyByAddress && isNode) notes.push("ipblock-covers-node");
  else if (isOnlyByAddress && !rules.identities.isOutside(peer.identity)) notes.push("ipblock-covers-pod");
  if (
    rules.profile.namedPortIsWholeProtocol &&
    sure.every(({ clause }) => clause.ports !== "any" && clause.ports.every((match) => portNameOf(match) !== undefined))
  )
    notes.push("named-port-is-whole-protocol");
  return notes;
}

function isolated(
  rules: Rules,
  stage: Stage | undefined,
  selecting: readonly CompiledPolicy[],
  { subject, peer, sample }: Question,
): Decision {
  const notes: Note[] = [];
  const own = selecting.filter((compiled) => rules.identities.truthOf(compiled.subject, subject.identity) === true);
  const certain = own.filter(({ isolates }) => isolates).map(({ policy }) => policy);
  if (rules.isTerse) return { verdict: "deny", reason: "isolated", notes, isolatedBy: certain, matched: [] };
  const clauses = own.flatMap((compiled) => compiled.clauses);
  // Portless traffic that a rule's peers admit but its ports cannot name: the API leaves it to the plugin.
  const isKubernetes = certain.every(({ tier }) => tier.kind === "networkpolicy");
  if (
    isKubernetes &&
    !hasPorts(sample.protocol) &&
    clauses.some((clause) => clause.ports !== "any" && matchPeers(rules, clause, peer).truth === true)
  )
    notes.push("icmp-implementation-defined");
  if (
    clauses.some(
      ({ peers }) =>
        peers !== "any" && peers.some((one) => one.isAddress && coversInVain(one.term, rules.identities, rules.addresses, peer)),
    )
  )
    notes.push(rules.identities.isNode(peer.identity) ? "ipblock-covers-node" : "ipblock-covers-pod");
  const isTier = stage?.combine === "first-match" && !isKubernetes;
  return { verdict: "deny", reason: isTier ? "tier-default" : "isolated", notes, isolatedBy: certain, matched: [] };
}

function whyUnknown({ identities }: Rules, { subject, peer }: Question, open: readonly Answer[]): UnknownReason {
  if (open.length > 0 && open.every(({ clause, truth }) => truth === true && clause.l7 !== undefined)) return "no-l7-data";
  if (subject.identity === ANYTHING || peer.identity === ANYTHING) {
    return open.length > 0 && open.every((answer) => answer.portsTruth === "unknown" && answer.peers.truth === true)
      ? "unknown-port-name"
      : "unknown-endpoint";
  }
  if (open.length > 0 && open.every(({ portsTruth }) => portsTruth === "unknown")) return "unknown-port-name";
  const isPod = peer.identity >= identities.firstPod;
  return !isPod && (open.length === 0 || open.some(({ peers }) => peers.truth === "unknown")) ? "unknown-endpoint" : "unknown-labels";
}
