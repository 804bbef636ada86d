import { type Finding, type FindingCase, type FindingReport, type FindingRule, placeOfPolicy, titleOf } from "./findings.ts";
import type { MutationResult } from "./mutationResult.ts";
import { exampleText } from "./mutationTable.ts";
import { ruleText } from "./probeResult.ts";

const GAP: FindingRule = {
  id: "mutation-not-noticed",
  summary: "The traffic would not show a change of a policy",
  description: "With this one small change the policy would allow or deny something else, and no connection that was given tells.",
  help: "Give traffic that has the connection that the message names (a longer capture, a profile of `synth`), or cover it by an expectation (`kubectl kguardian test`).",
  level: "error",
};

/** Returns the changes that nothing notices, for CI systems. A case is a change; one that alters nothing is skipped. */
export function mutationFindings(result: MutationResult): FindingReport {
  const { mutations, fates, differences } = result.mutating;
  const findings: Finding[] = [];
  const names = new Map<string, number>();
  const cases = mutations.map((mutation, m): FindingCase => {
    const { policy, rule, what } = mutation;
    const { namespace } = policy.ref;
    const base = `${titleOf(policy.ref)}: ${what}`;
    const times = (names.get(base) ?? 0) + 1;
    names.set(base, times);
    const place = placeOfPolicy(policy.ref, rule);
    const one: FindingCase = {
      suite: namespace === undefined ? "mutations" : `mutations.${namespace}`,
      name: times === 1 ? base : `${base} (${times})`,
      place,
      ...(fates[m].kind === "equivalent" ? { skipped: "it alters no connectivity (proven)" } : {}),
    };
    if (fates[m].kind === "missed")
      findings.push({
        rule: GAP,
        level: GAP.level,
        message: `${ruleText(policy, rule)}: no connection would show it ${what}; this one would: ${exampleText(differences.get(m)?.example)}`,
        places: [place],
        identity: [titleOf(policy.ref), what],
        cases: [one],
      });
    return one;
  });
  const damage = result.simulation.inputs.flatMap((input) => input.warnings.map((warning) => `${input.name}: ${warning}`));
  return { command: "synth --mutate", rules: [GAP], findings, cases, warnings: [...damage, ...result.warnings] };
}
