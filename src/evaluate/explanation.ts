import type { Truth } from "../cluster/selector.ts";
import { rangeContains } from "../net/portRange.ts";
import { hasPorts, protocolName } from "../net/protocol.ts";
import type { Direction, Policy, PortMatch, Rule, RuleRef } from "../policy/model.ts";
import { matchPeers, matchPorts, nearTruth } from "./cell.ts";
import type { Clause, CompiledPolicy } from "./clauses.ts";
import type { Decision } from "./decision.ts";
import type { Evaluator, Participant } from "./evaluator.ts";
import { type NearlySelecting, nearlySelecting } from "./nearlySelecting.ts";
import { describePorts, nearestPeer, nearFault } from "./ruleFaults.ts";
import type { Party } from "./terms.ts";
import { and } from "./truth.ts";

/** What a rule did in a decision. `not-asked`: it holds, and something before it had decided already. */
export type RuleRole = "decides" | "passes" | "matches" | "may-match" | "not-asked" | "no-match";

/** One rule of a policy that selects the subject, asked of one packet. */
export interface RuleAnswer {
  readonly rule: Rule;
  /** The rule, or the peer of it that matched or came nearest. */
  readonly ref: RuleRef;
  readonly role: RuleRole;
  /** What of it does not hold, or is not known; undefined where all of it holds. */
  readonly why?: RuleFault;
}

/** What of a rule does not hold, a clause each. */
export interface RuleFault {
  readonly peer?: string;
  /** Reads on from the rule's own ports. */
  readonly port?: string;
  /** Of the subject's own end. */
  readonly near?: string;
}

/** One policy that selects the subject for a direction. */
export interface PolicyAnswer {
  readonly policy: Policy;
  /** Where the plugin asks it: `tier default`, `admin`, …; undefined: the plugin does not know such policies. */
  readonly stage: string | undefined;
  /** Whether it selects the subject for certain. */
  readonly selects: Truth;
  readonly isolates: boolean;
  /** Whether the plugin asks it at all: something may have decided before. */
  readonly isAsked: boolean;
  /** Whether its isolation is what denies. */
  readonly decides: boolean;
  readonly rules: readonly RuleAnswer[];
}

/** Everything that one side of a connection hangs on. */
export interface SideExplanation {
  readonly direction: Direction;
  readonly decision: Decision;
  /** In the order in which the plugin asks them; those that it does not know come last. */
  readonly policies: readonly PolicyAnswer[];
  /** Policies that do not select the subject, and look as if they should. */
  readonly nearlySelecting: readonly NearlySelecting[];
}

/** One packet between two participants, as one side sees it. */
export interface SideQuestion {
  readonly direction: Direction;
  readonly source: Participant;
  readonly destination: Participant;
  readonly protocol: number;
  /** ICMP: type * 256 + code. */
  readonly port: number;
  /** Negative: not known. */
  readonly sourcePort: number;
  /** The Service's port that was dialled, where another stands between. */
  readonly dialledPort?: number;
  /** The port stands for all that no rule names. */
  readonly isAnyPort?: boolean;
}

/** Reasons and notes of decisions before which no policy is asked. */
const UNASKED: ReadonlySet<string> = new Set(["self", "own-node", "dropped-by-plugin", "dropped-to-own-node"]);

/** Explains a decision that was made on one side: every policy that selects the subject, and what each of its rules says. */
export function explainSide(evaluator: Evaluator, question: SideQuestion, decision: Decision): SideExplanation {
  const { direction } = question;
  const [subject, peer] = direction === "egress" ? [question.source, question.destination] : [question.destination, question.source];
  const [subjectNumber, peerNumber] = [evaluator.classify(subject), evaluator.classify(peer)];
  const asked: Asked = {
    evaluator,
    question,
    decision,
    subject,
    peer,
    subjectParty: evaluator.party(subjectNumber),
    peerParty: evaluator.partyTo(subjectNumber, peerNumber),
    destinationParty: evaluator.party(evaluator.classify(question.destination)),
  };
  const selecting = evaluator.policiesOf(subjectNumber, direction);
  const deciding = decidingPlace(selecting, decision);
  return {
    direction,
    decision,
    policies: selecting.map((compiled, i) => answerOf(asked, compiled, i, deciding)),
    nearlySelecting: subject.type === "pod" ? nearlySelecting(evaluator, subject.pod, direction) : [],
  };
}

/** What the questions on all rules of a side share. */
interface Asked {
  readonly evaluator: Evaluator;
  readonly question: SideQuestion;
  readonly decision: Decision;
  readonly subject: Participant;
  readonly peer: Participant;
  readonly subjectParty: Party;
  readonly peerParty: Party;
  readonly destinationParty: Party;
}

/** Where the deciding rule stands: the stage, and the numbers of its policy and rule in the order in which they are asked. */
interface Place {
  readonly stage: number;
  readonly policy: number;
  readonly rule: Rule;
  readonly ruleNumber: number;
}

function decidingPlace(selecting: readonly CompiledPolicy[], { matched, reason }: Decision): Place | undefined {
  const [first] = matched;
  const isByRule = reason === "rule" || reason === "rule-deny" || reason === "l7-deny" || reason === "no-l7-data";
  if (first === undefined || !isByRule) return undefined;
  const policy = selecting.findIndex((compiled) => compiled.policy === first.policy);
  if (policy < 0) return undefined;
  const rules = rulesOf(selecting[policy]);
  const ruleNumber = rules.findIndex(({ rule }) => isOf(rule, first.rule));
  return ruleNumber < 0 ? undefined : { stage: selecting[policy].stage, policy, rule: rules[ruleNumber].rule, ruleNumber };
}

function isOf({ ref, peers }: Rule, wanted: RuleRef): boolean {
  return ref === wanted || (peers !== "any" && peers.some((peer) => peer.ref === wanted));
}

/** Rules with their clauses: a rule for Services is compiled into one for each of their ports. */
function rulesOf({ clauses }: CompiledPolicy): { rule: Rule; clauses: Clause[] }[] {
  return [...Map.groupBy(clauses, ({ rule }) => rule)].map(([rule, own]) => ({ rule, clauses: own }));
}

function answerOf(asked: Asked, compiled: CompiledPolicy, number: number, deciding: Place | undefined): PolicyAnswer {
  const { evaluator, decision, subjectParty } = asked;
  const { rules } = evaluator;
  const { policy, stage, isolates } = compiled;
  const isUnasked = UNASKED.has(decision.reason) || decision.notes.some((note) => UNASKED.has(note));
  const comesAfter = (ruleNumber: number): boolean => {
    if (isUnasked) return true;
    if (deciding === undefined || stage < deciding.stage) return false;
    if (stage > deciding.stage) return true;
    if (rules.stages[stage].combine === "deny-first") return false;
    return number > deciding.policy || (number === deciding.policy && ruleNumber > deciding.ruleNumber);
  };
  const isDenied = decision.reason === "isolated" || decision.reason === "tier-default";
  return {
    policy,
    stage: stage < 0 ? undefined : rules.stages[stage].name,
    selects: rules.identities.truthOf(compiled.subject, subjectParty.identity),
    isolates: isolates && stage >= 0,
    isAsked: !isUnasked && stage >= 0 && (deciding === undefined || stage <= deciding.stage),
    decides: isDenied && isolates && decision.isolatedBy.includes(policy) && isOfLastStage(decision, policy, evaluator),
    rules: rulesOf(compiled).map(({ rule, clauses }, i) => {
      const answers = clauses.map((clause) => askClause(asked, clause));
      const best = answers.find(({ truth }) => truth === true) ?? answers.find(({ truth }) => truth === "unknown") ?? answers[0];
      const { truth, ref, why } = best;
      const role = roleOf(truth, rule, deciding?.rule === rule && number === deciding.policy, comesAfter(i));
      return { rule, ref, role, ...(why === undefined ? {} : { why }) };
    }),
  };
}

/** Tiers end one by one: of the policies that isolate, those of the tier that was asked last deny. Cilium's later end is everybody's. */
function isOfLastStage({ isolatedBy }: Decision, policy: Policy, { rules: { stages } }: Evaluator): boolean {
  const stageOf = (one: Policy) => stages.findIndex(({ policies }) => policies.includes(one));
  const last = Math.max(...isolatedBy.map(stageOf));
  return stages[last]?.end === "later" || stageOf(policy) === last;
}

function roleOf(truth: Truth, { action }: Rule, isDeciding: boolean, isAfter: boolean): RuleRole {
  if (isDeciding) return "decides";
  if (truth === false) return "no-match";
  if (isAfter) return "not-asked";
  if (truth === "unknown") return "may-match";
  return action === "pass" ? "passes" : "matches";
}

function askClause(asked: Asked, clause: Clause): { truth: Truth; ref: RuleRef; why?: RuleFault } {
  const { evaluator, question, subject, peer, subjectParty, peerParty, destinationParty } = asked;
  const { rules } = evaluator;
  const peers = matchPeers(rules, clause, peerParty);
  const ports = matchPorts(rules, clause, question, destinationParty);
  const near = nearTruth(rules, clause, subjectParty);
  const truth = and(and(peers.truth, ports), near);
  if (truth === true) return { truth, ref: peers.matched[0]?.ref ?? clause.rule.ref };
  const fault = peers.truth === true ? undefined : nearestPeer(evaluator, clause, peer);
  const who =
    peers.truth === true
      ? undefined
      : peers.truth === "unknown"
        ? "whether the other end is one of its peers is not known"
        : (fault?.text ?? "it has no peers, so that nobody is one of them");
  const port = ports === true ? undefined : portFault(clause, question, ports);
  const own = near === false ? (nearFault(evaluator, clause, subject) ?? "wants something else") : "wants what is not known";
  const why: RuleFault = {
    ...(who === undefined ? {} : { peer: who }),
    ...(port === undefined ? {} : { port }),
    ...(near === true ? {} : { near: `of the pod's own end it ${own}` }),
  };
  return { truth, ref: fault?.ref ?? peers.matched[0]?.ref ?? clause.rule.ref, why };
}

function portFault({ policy, ports, rule }: Clause, { protocol, port, dialledPort, isAnyPort }: SideQuestion, truth: Truth): string {
  if (truth === "unknown") return "a port that it looks at is not known";
  const { notPorts, sourcePorts, notSourcePorts } = rule;
  if (ports === "any") {
    if (notPorts !== undefined) return `it excepts ${describePorts(notPorts)}`;
    return sourcePorts === undefined ? "it excepts the client's port" : `it wants the client's port to be ${describePorts(sourcePorts)}`;
  }
  if (!hasPorts(protocol))
    return policy.tier.kind === "networkpolicy" ? `${protocolName(protocol)} needs a rule without ports` : `not ${protocolName(protocol)}`;
  const isServicePort =
    dialledPort !== undefined &&
    dialledPort !== port &&
    ports.some((match) => match.protocol === protocol && holdsPort(match, dialledPort));
  if (isServicePort) return `${dialledPort} is the Service's port, the pod listens on ${port}`;
  const hasConditions = notPorts !== undefined || sourcePorts !== undefined || notSourcePorts !== undefined;
  if (isAnyPort === true) return "not every port";
  return `not ${port}/${protocolName(protocol)}${hasConditions ? ", or not from the client's port" : ""}`;
}

function holdsPort({ ports }: PortMatch, port: number): boolean {
  return ports !== undefined && "first" in ports && rangeContains(ports, port);
}

/** Returns a fault as one text. */
export function faultText({ peer, port, near }: RuleFault): string {
  return [peer, port, near].filter((text) => text !== undefined).join("; ");
}
