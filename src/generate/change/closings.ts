import type { Policy, Rule } from "../../policy/model.ts";
import type { AskedSide } from "./asked.ts";
import { type Candidate, decidingRule, narrowings, newRule } from "./candidates.ts";
import { newDenials } from "./newPolicies.ts";
import { replaceRule } from "./policyEdit.ts";

/**
 * Returns edits that may deny a connection on one side that allows it, the smallest first: what allows it goes, or a policy comes where
 * none says anything. Where several rules allow, each of them has to go in its turn.
 */
export function closings(side: AskedSide): Candidate[] {
  const { decision } = side;
  const found = decidingRule(side);
  const isByRule = found !== undefined && (decision.reason === "rule" || decision.reason === "no-l7-data");
  const candidates = newDenials(side).map(({ cost, edit }) => ({ cost: cost + (isByRule ? 2 : 0), edit }));
  if (isByRule) candidates.push(...narrowings(side, found.policy, found.rule, false));
  // A rule that allows, or passes over the rest of its tier, is asked first only where rules have an order.
  if (found !== undefined) candidates.push(...inFront(side, found.policy, found.rule));
  return candidates.sort((a, b) => a.cost - b.cost);
}

function inFront(side: AskedSide, policy: Policy, rule: Rule): Candidate[] {
  if (policy.tier.kind === "networkpolicy" || policy.tier.kind === "cilium") return [];
  return newRule(side, policy, "deny").map(({ rule: front, what, notes }, i) => ({
    cost: 2 + i * 0.01,
    edit: {
      before: policy,
      after: replaceRule(policy, side.direction, rule, front, rule),
      what: `put a rule that ${what} in front of ${rule.ref.path}`,
      notes,
    },
  }));
}
