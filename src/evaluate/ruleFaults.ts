import type { Labels, Pod } from "../cluster/objects.ts";
import { matchesRequirement, type Requirement } from "../cluster/selector.ts";
import { formatPortRange } from "../net/portRange.ts";
import { formatPrefix, prefixContains } from "../net/prefix.ts";
import { protocolName } from "../net/protocol.ts";
import type { Expression, LabelSource, PeerTerm, PodMatch, PortMatch, RuleRef } from "../policy/model.ts";
import type { Clause } from "./clauses.ts";
import type { Evaluator, Participant } from "./evaluator.ts";
import { type Party, type Term, termTruth } from "./terms.ts";

/*
 * Why rules do not match, in words: each condition that does not hold with what it wants and what is there.
 */

/** What of a peer did not hold. */
export interface PeerFault {
  readonly ref: RuleRef;
  readonly score: number;
  readonly text: string;
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

/** Returns the peer of a rule that a participant is most of; undefined where the rule is for whoever comes. */
export function nearestPeer(evaluator: Evaluator, clause: Clause, participant: Participant): PeerFault | undefined {
  const { peers } = clause;
  if (clause.rule.peers === "any" || peers === "any") return undefined;
  const party = evaluator.party(evaluator.classify(participant));
  const faults = clause.rule.peers.map((peer): PeerFault => {
    const compiled = peers.find(({ ref }) => ref === peer.ref)?.term;
    return { ref: peer.ref, ...termFault(evaluator, peer, participant, compiled, party) };
  });
  return faults.length === 0 ? undefined : faults.reduce((a, b) => (b.score > a.score ? b : a));
}

/** Returns what a rule asks of the subject's own end, and that is not so; undefined where it asks for nothing more than selection. */
export function nearFault(evaluator: Evaluator, { rule, near }: Clause, subject: Participant): string | undefined {
  const party = evaluator.party(evaluator.classify(subject));
  const faults = rule.near?.map((term, i) => termFault(evaluator, term, subject, near?.[i], party));
  return faults === undefined || faults.length === 0 ? undefined : faults.reduce((a, b) => (b.score > a.score ? b : a)).text;
}

/**
 * Why one condition does not hold, and how near it came. `compiled` is the same condition in numbers, by which the parts that hold are
 * told from those that do not.
 */
function termFault(
  evaluator: Evaluator,
  term: PeerTerm,
  participant: Participant,
  compiled: Term | undefined,
  party: Party,
): Omit<PeerFault, "ref"> {
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
      const parts = compiled !== undefined && "terms" in compiled ? compiled.terms : [];
      const { identities, addresses } = evaluator.rules;
      const faults = term.terms.flatMap((inner, i) =>
        term.kind === "all" && parts[i] !== undefined && termTruth(parts[i], identities, addresses, party) === true
          ? []
          : [termFault(evaluator, inner, participant, parts[i], party)],
      );
      const first: Omit<PeerFault, "ref"> = { score: 0, text: "selects nothing" };
      return faults.reduce((a, b) => (b.score > a.score ? b : a), faults[0] ?? first);
    }
  }
}

function podsFault(evaluator: Evaluator, match: PodMatch, participant: Participant): Omit<PeerFault, "ref"> {
  if (participant.type === "unknown") return { score: 1, text: "selects pods by labels, and whose address this is is not known" };
  if (participant.type !== "pod") return { score: 0, text: "selects pods, which this is not" };
  const { pod } = participant;
  const { namespaces, pods, where } = match;
  const failed = pods.requirements.filter((requirement) => !matchesRequirement(requirement, pod.labels));
  const held = pods.requirements.length - failed.length;
  const namespaceText = namespaceFault(evaluator, namespaces, pod.namespace);
  const podText =
    failed.length > 0 ? `wants ${describeRequirements(failed)}, ${pod.workload.name} has ${describeLabels(failed, pod.labels)}` : "";
  const whereText = where === undefined || namespaceText + podText !== "" ? "" : expressionFault(evaluator, where, pod);
  const text = [namespaceText, podText, whereText].filter((part) => part !== "").join(" and ");
  return { score: 5 + held * 2 - failed.length + (namespaceText === "" ? 6 : 0), text: text || "selects other pods" };
}

/** What of an expression does not hold of a pod. Of alternatives the first stands for all. */
function expressionFault(evaluator: Evaluator, expression: Expression, pod: Pod): string {
  switch (expression.op) {
    case "test": {
      const { of, requirement } = expression;
      const labels = labelsFor(evaluator, of, pod);
      if (labels === undefined || matchesRequirement(requirement, labels)) return "";
      if (of === "serviceAccountName")
        return `wants service account ${requirement.values.join(" or ")}, ${pod.workload.name} has ${pod.serviceAccountName}`;
      const whose = of === "namespace" ? `namespace ${pod.namespace}` : pod.workload.name;
      return `wants ${describeRequirement(requirement)}, ${whose} has ${describeLabels([requirement], labels)}`;
    }
    case "text": {
      const labels = labelsFor(evaluator, expression.of, pod);
      const value = labels !== undefined && Object.hasOwn(labels, expression.key) ? labels[expression.key] : undefined;
      const verb = { contains: "contain", starts: "start with", ends: "end with" }[expression.how];
      const holds =
        value !== undefined &&
        { contains: value.includes(expression.text), starts: value.startsWith(expression.text), ends: value.endsWith(expression.text) }[
          expression.how
        ];
      if (labels === undefined || holds) return "";
      return `wants ${expression.key} to ${verb} ${expression.text}, ${pod.workload.name} has ${value === undefined ? `no ${expression.key}` : `${expression.key}=${value}`}`;
    }
    case "not":
      return "";
    case "all":
      return expression.terms
        .map((term) => expressionFault(evaluator, term, pod))
        .filter((text) => text !== "")
        .join(" and ");
    case "some":
      return expression.terms.map((term) => expressionFault(evaluator, term, pod)).find((text) => text !== "") ?? "";
  }
}

/** The labels that a test looks at; undefined where they are not at hand (a service account's). */
function labelsFor(evaluator: Evaluator, source: LabelSource, pod: Pod): Labels | undefined {
  if (source === "own") return pod.labels;
  if (source === "namespace") return evaluator.namespaceLabels(pod.namespace);
  return source === "serviceAccountName" ? { "": pod.serviceAccountName } : undefined;
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

/** Returns a requirement as kubectl writes it: `app=web`, `app in (a, b)`, `no app`. */
export function describeRequirement({ key, operator, values }: Requirement): string {
  if (operator === "Exists") return key;
  if (operator === "DoesNotExist") return `no ${key}`;
  const set = values.length === 1 ? values[0] : `(${values.join(", ")})`;
  return operator === "In" ? `${key}${values.length === 1 ? "=" : " in "}${set}` : `${key}${values.length === 1 ? "!=" : " not in "}${set}`;
}

/** Returns what an object has of the labels that requirements name: `app=web`, `no tier`. */
export function describeLabels(failed: readonly Requirement[], labels: Readonly<Record<string, string>>): string {
  return [...new Set(failed.map(({ key }) => (Object.hasOwn(labels, key) ? `${key}=${labels[key]}` : `no ${key}`)))].join(" and ");
}
