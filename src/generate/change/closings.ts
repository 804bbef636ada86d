import type { AskedSide } from "./asked.ts";
import { type Candidate, decidingRule, narrowings, newRule } from "./candidates.ts";
import { newDenials } from "./newPolicies.ts";
import { replaceRule } from "./policyEdit.ts";

/**
 * Returns edits that may deny a connection on one side that allows it, the smallest first: what allows it goes, or a policy comes where
 * none says anything. Where several rules allow, each of them has to go in its turn.
 */
export function closings(side: AskedSide): Candidate[] {
  const { decision, direction } = side;
  const found = decision.reason === "rule" || decision.reason === "no-l7-data" ? decidingRule(side) : undefined;
  if (found === undefined) return newDenials(side).sort((a, b) => a.cost - b.cost);
  const { policy, rule } = found;
  const candidates = narrowings(side, policy, rule, false);
  if (policy.tier.kind !== "networkpolicy" && policy.tier.kind !== "cilium") {
    newRule(side, policy, "deny").forEach(({ rule: front, what, notes }, i) =>
      candidates.push({
        cost: 2 + i * 0.01,
        edit: {
          before: policy,
          after: replaceRule(policy, direction, rule, front, rule),
          what: `put a rule that ${what} in front of ${rule.ref.path}`,
          notes,
        },
      }),
    );
  }
  return [...candidates, ...newDenials(side).map(({ cost, edit }) => ({ cost: cost + 2, edit }))].sort((a, b) => a.cost - b.cost);
}
