import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { compileConnectivity, type Judged } from "../../src/evaluate/compare.ts";
import type { Connectivity } from "../../src/evaluate/connectivity.ts";
import { RuleEffects } from "../../src/evaluate/coverageEffect.ts";
import { type WrittenRule, WrittenRules } from "../../src/evaluate/coverageRules.ts";
import { Evaluator, type World } from "../../src/evaluate/evaluator.ts";
import { type CniName, profileOf } from "../../src/evaluate/profile.ts";
import { parseAddress } from "../../src/net/address.ts";
import type { Direction, Policy, PolicySet, RuleList } from "../../src/policy/model.ts";
import { loadRegexEngine } from "../../src/policy/regex.ts";
import { portGroups } from "../../src/report/shownPorts.ts";
import { clusterOf, policySetOf, snapshotText } from "./compiled.ts";
import { type DialectWorld, dialectWorlds } from "./dialectWorlds.ts";

/*
 * A rule that `coverage` calls redundant changes no connectivity when it is taken out, as comparing the two whole sets says; one that
 * it calls needed does.
 */

await loadRegexEngine();
const seed = process.env.FC_SEED === undefined ? 20261123 : Number(process.env.FC_SEED);
const factor = Number(process.env.FC_RUNS ?? 1);

/** Returns a policy set without one written rule; its policy stays, and isolates as it did. */
export function withoutRule(set: PolicySet, { policy, rules }: WrittenRule): PolicySet {
  const refs = new Set(rules.map(({ ref }) => ref));
  const cut = (list: RuleList | undefined): RuleList | undefined =>
    list && { ...list, rules: list.rules.filter(({ ref }) => !refs.has(ref)) };
  const lists = (from: { ingress?: RuleList; egress?: RuleList }) =>
    Object.fromEntries(
      (["ingress", "egress"] as const satisfies Direction[]).flatMap((direction) =>
        from[direction] === undefined ? [] : [[direction, cut(from[direction])]],
      ),
    );
  const fewer: Policy = { ...policy, ...lists(policy), ...(policy.unlisted === undefined ? {} : { unlisted: lists(policy.unlisted) }) };
  return { ...set, policies: set.policies.map((each) => (each === policy ? fewer : each)) };
}

function judgedOf({ resources }: DialectWorld, cni: CniName): (set: PolicySet) => Judged {
  const world: World = { ...clusterOf(snapshotText(resources)), apiServers: new Set([parseAddress("192.0.2.12")!]) };
  const profile = profileOf(cni);
  return (set) => ({ set, world, profile, isInside: () => false });
}

/** What no two policy sets are known to say alike is not known to differ either. */
function reallyDiffers(connectivity: Connectivity): boolean {
  const { verdicts } = connectivity;
  return connectivity.differences().some((link) =>
    portGroups(verdicts, link.verdicts, link.family).some(({ outcomes: [before, after] }) => {
      const words = [before, after].map((outcome) => verdicts.meaningOf(outcome).verdict);
      return before !== after && words.some((word) => word !== "unknown");
    }),
  );
}

describe.each(["generic", "cilium", "calico"] as const)("rules under %s", (cni) => {
  test("one is redundant exactly when the set without it allows the same", () => {
    const counts = { needed: 0, redundant: 0, idle: 0 };
    fc.assert(
      fc.property(dialectWorlds(cni, 2), (world) => {
        const judged = judgedOf(world, cni);
        const set = policySetOf(world.policies);
        const { profile, world: inWorld } = judged(set);
        const rules = new WrittenRules(new Evaluator(set, inWorld, profile));
        const effects = new RuleEffects(compileConnectivity([judged(set)]), rules);
        for (const rule of rules.all) {
          const { kind } = effects.effectOf(rule);
          counts[kind]++;
          const compared = compileConnectivity([judged(set), judged(withoutRule(set, rule))]);
          const say = () => `${kind}: ${rule.policy.ref.kind} ${rule.policy.ref.name} ${rule.path} in ${JSON.stringify(world)}`;
          if (kind === "needed" && compared.differences().length === 0) throw new Error(`changes nothing, and ${say()}`);
          if (kind !== "needed" && reallyDiffers(compared)) throw new Error(`changes something, and ${say()}`);
        }
      }),
      { numRuns: Math.ceil(15 * factor), seed, endOnFailure: false },
    );
    // Worlds in which nothing is redundant would prove nothing.
    expect(Math.min(counts.needed, counts.redundant, counts.idle)).toBeGreaterThan(10);
  });
});
