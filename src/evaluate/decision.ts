import type { L7Match, Policy, RuleRef } from "../policy/model.ts";

export type Verdict = "allow" | "deny" | "unknown";

export type AllowReason = "no-policy" | "rule" | "not-selectable" | "self" | "own-node" | "default";
export type DenyReason = "isolated" | "rule-deny" | "tier-default" | "l7-deny";
export type UnknownReason =
  | "unknown-endpoint"
  | "unknown-labels"
  | "unknown-port-name"
  | "no-l7-data"
  | "several-backends"
  | "policy-error";
export type Reason = AllowReason | DenyReason | UnknownReason;

/** What a verdict hangs on besides the rules' text. */
export type Note =
  | "ipblock-covers-pod"
  | "ipblock-covers-node"
  | "icmp-implementation-defined"
  | "own-node-exception"
  | "named-port-is-whole-protocol"
  | "icmp-always-passes"
  | "dropped-by-plugin"
  | "self-through-service"
  | "judged-before-translation"
  | "perhaps-a-reply"
  | "initiator-unsure"
  | "policies-unread"
  | "enforcement-always"
  | "dropped-to-own-node"
  | "several-l7-filters"
  | "host-network-pod-selected"
  | "dialect-ignored-by-cni";

/** A rule, or one peer of it, that matched. */
export interface Match {
  readonly policy: Policy;
  readonly rule: RuleRef;
}

/** What a verdict hangs on when rules want to see the request: `allow` where it matches one of the alternatives, else `deny`. */
export interface L7Condition {
  readonly alternatives: readonly { readonly match: L7Match; readonly policy: Policy; readonly rule: RuleRef }[];
  readonly allow: Decision;
  readonly deny: Decision;
}

/** What the policies of one side say of a connection. Decisions are shared: equal ones are one object. */
export interface Decision {
  readonly verdict: Verdict;
  readonly reason: Reason;
  readonly notes: readonly Note[];
  /** Policies that select this side and govern the direction (for unknown: that may). */
  readonly isolatedBy: readonly Policy[];
  /** Every rule that matched, the deciding one first (for unknown: that may match). */
  readonly matched: readonly Match[];
  /**
   * What an unknown verdict is where none of the rules that may match does; absent where rules may pass on to others, so that what
   * `matched` says is not all that the verdict hangs on.
   */
  readonly otherwise?: "allow" | "deny";
  /** Present while the request is not looked at (reason no-l7-data). */
  readonly l7?: L7Condition;
}

function constant(verdict: Verdict, reason: Reason, notes: readonly Note[] = []): Decision {
  return { verdict, reason, notes, isolatedBy: [], matched: [] };
}

/** Ids of decisions that no table holds; the same in every evaluator. */
export const NO_POLICY = 0;
export const NOT_SELECTABLE = 1;
export const SELF = 2;
export const OWN_NODE = 3;
export const UNSELECTED_DENIED = 4;
export const DROPPED_TO_OWN_NODE = 5;
export const DROPPED_BY_PLUGIN = 6;
export const SELF_THROUGH_SERVICE = 7;

export const COMMON_DECISIONS: readonly Decision[] = [
  constant("allow", "no-policy"),
  constant("allow", "not-selectable"),
  constant("allow", "self"),
  constant("allow", "own-node", ["own-node-exception"]),
  constant("deny", "tier-default", ["enforcement-always"]),
  constant("deny", "tier-default", ["dropped-to-own-node"]),
  constant("deny", "tier-default", ["dropped-by-plugin"]),
  constant("allow", "self", ["self-through-service"]),
];

/** Returns the verdict of a connection: deny if either side denies, allow if both allow, else unknown. */
export function combine(egress: Verdict, ingress: Verdict): Verdict {
  if (egress === "deny" || ingress === "deny") return "deny";
  return egress === "allow" && ingress === "allow" ? "allow" : "unknown";
}
