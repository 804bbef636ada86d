import type { Decision, Match } from "../evaluate/decision.ts";
import type { Participant } from "../evaluate/evaluator.ts";
import { describeLabels } from "../evaluate/ruleFaults.ts";
import { formatAddress } from "../net/address.ts";
import { hasPorts, isIcmp, protocolName } from "../net/protocol.ts";
import { OPPOSITE, type Policy, type RuleRef, rulesOf } from "../policy/model.ts";
import { type BlindSpots, type FailedExpectation, holds } from "../synth/blindSpots.ts";
import { type AskedConnection, MADE_UP, TWIN } from "../synth/probe.ts";
import type { Probing } from "../synth/probing.ts";
import { someOf } from "./coverageResult.ts";
import { placeLabel, policyLabel, type ReportedCni } from "./labels.ts";

/** What `synth --probe` found. */
export interface ProbeResult {
  readonly probing: Probing;
  readonly blindSpots: BlindSpots;
  readonly cni: ReportedCni;
  readonly warnings: readonly string[];
}

/** How many expectations hold, fail, and hang on what is not known. */
export function countsOf({ probing: { probes, judgements, policies, mutations, fates } }: ProbeResult) {
  const answers = probes.map((probe, i) => holds(probe, judgements[i]));
  const expectations = probes.filter(({ expected }) => expected !== undefined).length;
  const held = answers.filter((answer) => answer === true).length;
  const failed = answers.filter((answer) => answer === false).length;
  const rules = policies.reduce((sum, policy) => sum + rulesOf(policy).length, 0);
  const fate = (kind: (typeof fates)[number]["kind"]) => fates.filter((each) => each.kind === kind).length;
  return {
    policies: policies.length,
    rules,
    probes: probes.length,
    expectations,
    held,
    failed,
    unknown: expectations - held - failed,
    mutations: mutations.length,
    noticed: fate("noticed"),
    equivalent: fate("equivalent"),
    missed: fate("missed"),
  };
}

/** Names a rule with its policy: `shop/orders ingress[0]`. */
export function ruleText(policy: Policy, rule: RuleRef | undefined): string {
  return rule === undefined || rule.path === "" ? policyLabel(policy) : `${policyLabel(policy)} ${rule.path}`;
}

/** Returns where a rule, or the policy, is written. */
export function rulePlaceText(policy: Policy, rule: RuleRef | undefined): string {
  return placeLabel(rule === undefined || rule.path === "" ? policy.ref : rule);
}

/** Names one end of a probe; pods that were made up with the labels that tell them apart. */
export function endLabel(participant: Participant): string {
  switch (participant.type) {
    case "pod": {
      const { namespace, name, labels } = participant.pod;
      const keys = Object.keys(labels).map((key) => ({ key, operator: "Exists" as const, values: [] }));
      if (name.endsWith(TWIN)) return `another pod like ${namespace}/${name.slice(0, -TWIN.length)}`;
      if (!name.startsWith(MADE_UP)) return `${namespace}/${name}`;
      return `a pod of ${namespace} with ${keys.length === 0 ? "no labels" : someOf(keys.map((key) => describeLabels([key], labels)))}`;
    }
    case "node":
      return nodeLabel(participant);
    case "reserved":
      return participant.entity;
    case "external":
    case "unknown":
      return participant.address === undefined ? "outside" : formatAddress(participant.address);
  }
}

function nodeLabel({ node, relation }: Extract<Participant, { type: "node" }>): string {
  if (relation !== undefined) return relation === "own" ? "its own node" : "another node than its own";
  return node.name === "" ? "a node" : `node ${node.name}`;
}

/** Returns a probe's port for people: `8080/TCP`, `ICMP type 8 code 0`. */
export function probePort({ protocol, port }: AskedConnection): string {
  if (hasPorts(protocol)) return `${port}/${protocolName(protocol)}`;
  return isIcmp(protocol) ? `${protocolName(protocol)} type ${port >> 8} code ${port & 0xff}` : `protocol ${protocolName(protocol)}`;
}

/** Says what decided: rules, or the policies that isolate. */
export function decidedBy({ reason, isolatedBy }: Decision, matched: readonly Match[]): string {
  const place = (text: string) => (text === "" ? "" : ` (${text})`);
  if (matched.length > 0)
    return someOf([...new Set(matched.map(({ policy, rule }) => `${policyLabel(policy)} ${rule.path}${place(placeLabel(rule))}`))]);
  if (isolatedBy.length > 0)
    return someOf([...new Set(isolatedBy.map((policy) => `${policyLabel(policy)}${place(placeLabel(policy.ref))}`))]);
  return { "own-node": "the plugin: its own node", self: "a pod reaches itself" }[reason as string] ?? reason;
}

/** Says in a sentence what failed. */
export function failureText(
  { probing: { probes } }: ProbeResult,
  { kind, direction, isInside, probes: numbers, by, deciding }: FailedExpectation,
): string {
  const what = someOf(
    numbers.map((i) => probes[i].what),
    2,
  );
  switch (kind) {
    case "blocked":
      return `what it allows (${what}) is denied at the other end, ${OPPOSITE[direction]} of ${decidedBy(by, deciding)}`;
    case "overruled":
      return `what it allows (${what}) is denied by ${decidedBy(by, deciding)}`;
    case "hole":
      return `what ${isInside ? "it denies" : "is outside of it"} (${what}) is allowed by ${decidedBy(by, deciding)}`;
  }
}
