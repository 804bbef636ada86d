import type { RuleEffect } from "../evaluate/coverageEffect.ts";
import type { RuleUse, Tally } from "../evaluate/coverageHits.ts";
import type { WrittenRule } from "../evaluate/coverageRules.ts";
import type { CoveredWorkload } from "../evaluate/coverageWorkloads.ts";
import type { Policy, RuleRef } from "../policy/model.ts";
import { placeLabel, policyLabel } from "./labels.ts";
import type { SimulationResult } from "./simulationResult.ts";
import { listed } from "./text.ts";

/**
 * What is to be said of a rule. `dead`: none of the traffic of the workloads that it is about came under it. `not-exercised`: none of
 * those had any traffic. `unknown`: it was not seen to be used, and connections whose verdict is unknown may have been. `redundant`: without it the same would be allowed. `matches-nothing`: nobody and nothing here is what it asks
 * for. `wider`: it was used, and allows more than it was used for.
 */
export type RuleFinding = "dead" | "not-exercised" | "unknown" | "redundant" | "matches-nothing" | "wider";

/** A selector that nobody here is. */
export interface IdleSelector {
  readonly ref: RuleRef;
  /** What it most likely means, or what is missing; undefined where nothing comes near. */
  readonly near: string | undefined;
}

/** What a rule allows beyond what it was used for, and the rule that does not. */
export interface Slack {
  /** Ports that nobody used: `8081/TCP, 9000-9100/TCP`; empty: all were. */
  readonly ports: string;
  /** Peers that were not seen, as people name them. */
  readonly peers: readonly string[];
  /** Pairs of workloads, times ports, that nobody used: what rules are ordered by. */
  readonly width: number;
  /** The tighter rule as YAML, as it stands in its list; undefined where there is none. */
  readonly tighter: string | undefined;
  /** Why there is none. */
  readonly because: string | undefined;
}

/** One rule with all that was found out about it. */
export interface CoveredRule {
  readonly rule: WrittenRule;
  readonly use: RuleUse;
  readonly effect: RuleEffect;
  readonly findings: readonly RuleFinding[];
  /** Workloads that its policy selects, and those of them without any traffic. */
  readonly workloads: readonly CoveredWorkload[];
  readonly silent: readonly CoveredWorkload[];
  /** Peers of it that nobody is. */
  readonly idlePeers: readonly IdleSelector[];
  readonly slack: Slack | undefined;
}

/** A policy whose subject selects no pod. */
export interface IdlePolicy {
  readonly policy: Policy;
  readonly near: string | undefined;
}

/** The tighter rules of one object, as a change of its text. */
export interface TighterPolicy {
  readonly policy: Policy;
  /** The whole object as YAML. */
  readonly text: string;
  /** The unified difference of its normal form, a line each. */
  readonly diff: readonly string[];
}

/** What rules are used, and what they are for. */
export interface CoverageResult {
  readonly simulation: SimulationResult;
  readonly rules: readonly CoveredRule[];
  readonly idlePolicies: readonly IdlePolicy[];
  readonly workloads: readonly CoveredWorkload[];
  readonly tighter: readonly TighterPolicy[];
  /** Policies that the plugin does not know, whose rules do not count. */
  readonly ignored: readonly Policy[];
  /** Percentage below which the run fails; undefined: none. */
  readonly minimum: number | undefined;
  readonly warnings: readonly string[];
}

/** How many rules of how many were hit. */
export interface Percentage {
  readonly rules: number;
  readonly hit: number;
  /** With one digit behind the point, never rounded up; null where no rule is in force. */
  readonly percentage: number | null;
}

/** A rule is covered when it decided at least one connection that counts. */
export function percentageOf({ rules }: Pick<CoverageResult, "rules">): Percentage {
  const hit = rules.filter(({ use }) => isHit(use.decided)).length;
  // Rounded up, 99.96 would pass a minimum of 100.
  return { rules: rules.length, hit, percentage: rules.length === 0 ? null : Math.floor((hit / rules.length) * 1000) / 10 };
}

function isHit({ hits }: Tally): boolean {
  return hits > 0;
}

/** Reports whether fewer rules were hit than was asked for. Without any rule nothing is covered. */
export function isBelowMinimum(result: CoverageResult): boolean {
  const { minimum } = result;
  return minimum !== undefined && (percentageOf(result).percentage ?? 0) < minimum;
}

/** Returns rules with a finding, in the order of the report. */
export function rulesWith({ rules }: CoverageResult, finding: RuleFinding): CoveredRule[] {
  return rules.filter(({ findings }) => findings.includes(finding));
}

/** `shop/orders ingress[0]`. */
export function ruleLabel({ policy, path }: WrittenRule): string {
  return `${policyLabel(policy)} ${path}`;
}

/** `orders.yaml:14`; where the rule stands in no file, nothing. */
export function rulePlace({ ref }: WrittenRule): string {
  return placeLabel(ref);
}

/** Workloads, rules and policies that a sentence names. */
const NAMED = 3;

/** Returns the first few of many, and how many more there are. */
export function someOf(texts: readonly string[], most = NAMED): string {
  return listed(texts, most);
}

/** Says what does the work of a rule that changes nothing. */
export function coverText({ rule, effect }: CoveredRule): string {
  if (effect.kind !== "redundant") return "";
  const { rules, isOpen, closedBy } = effect.cover;
  const parts: string[] = [];
  const verb = rule.action === "deny" ? "denied" : rule.action === "allow" ? "allowed" : "decided";
  if (rules.length > 0) {
    const isSame = rules.every(({ action }) => action === rule.action);
    parts.push(`${isSame ? `already ${verb} by` : "decided by"} ${someOf(rules.map(ruleLabel))}`);
  }
  if (closedBy.length > 0)
    parts.push(
      `${rules.length > 0 ? "the rest " : ""}in vain, denied at the other end by ${someOf([...new Set(closedBy.map(policyLabel))])}`,
    );
  if (isOpen) parts.push(parts.length > 0 ? "the rest comes to the same without any rule" : "it comes to the same without any rule");
  return parts.length === 0 ? "it changes nothing at the other end either" : parts.join("; ");
}

/** Says what a rule that matches nothing asks for in vain. */
export function idleText({ effect, idlePeers }: CoveredRule, { idlePolicies }: CoverageResult, rule: WrittenRule): string {
  if (effect.kind !== "idle") return "";
  if (effect.lacks === "subject") {
    const near = idlePolicies.find(({ policy }) => policy === rule.policy)?.near;
    return `its policy selects no pod${near === undefined ? "" : `: ${near}`}`;
  }
  if (effect.lacks === "ports") return "no pod that it could be about has such a port";
  const near = idlePeers.find((peer) => peer.near !== undefined)?.near;
  return `nobody here is what its peers ask for${near === undefined ? "" : `: ${near}`}`;
}
