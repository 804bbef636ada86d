import { type PolicyRef, policyTitle } from "../policy/model.ts";
import { type CoverageResult, type CoveredRule, coverText, idleText, isBelowMinimum, ruleLabel, someOf } from "./coverageResult.ts";
import { deadTitle, openWorkloads, percentageText, silenceText, unknownText } from "./coverageTable.ts";
import { type Finding, type FindingCase, type FindingReport, type FindingRule, placeOfPolicy } from "./findings.ts";
import { policyLabel } from "./labels.ts";

const DEAD: FindingRule = {
  id: "dead-rule",
  summary: "A rule decided none of the observed connections",
  description: "Workloads that the rule is about had traffic, and none of it came under the rule, or another rule decided it.",
  help: "Take the rule out where what it is for is gone. Observe for longer where that may still come: jobs by the clock, failovers and rare callers are easily missed.",
  level: "warning",
};

const NOT_EXERCISED: FindingRule = {
  id: "rule-not-exercised",
  summary: "No workload that a rule is about had any traffic",
  description: "Nothing was observed of the workloads that the rule's policy selects, so whether it is used is not known.",
  help: "Observe while these workloads run.",
  level: "note",
};

const USE_UNKNOWN: FindingRule = {
  id: "rule-use-unknown",
  summary: "Whether a rule was used cannot be told",
  description: "No connection was seen to be decided by the rule, and some whose verdict is unknown may have been.",
  help: "Give what is missing, as `simulate` says: a snapshot of the time of the traffic, names with --dns, or a log that shows requests.",
  level: "note",
};

export const REDUNDANT: FindingRule = {
  id: "redundant-rule",
  summary: "Without a rule the same connections would be allowed",
  description:
    "Other rules, or the other end of each connection, decide all that the rule is for. This is proven from the policies and labels, over all ends and ports; no traffic is asked.",
  help: "Take the rule out, or mend it: where it allows in vain because the other end denies, that end lacks a rule. Of two rules that stand in for each other one must stay.",
  level: "warning",
};

const MATCHES_NOTHING: FindingRule = {
  id: "rule-matches-nothing",
  summary: "Nobody is what a rule or selector asks for",
  description: "No pod, node or outside address here has the labels, namespace, addresses or ports that it names.",
  help: "Look for a misspelt label or namespace, or for a workload that is gone.",
  level: "warning",
};

const WIDER: FindingRule = {
  id: "rule-wider-than-used",
  summary: "A rule allows more than it was used for",
  description: "Some of the ports or peers that the rule allows were not seen in what was observed.",
  help: "Use the tighter rule that the report of `coverage` shows, once the observation is long enough to trust.",
  level: "note",
};

const BELOW: FindingRule = {
  id: "coverage-below-minimum",
  summary: "Fewer rules are covered than --min asks for",
  description: "The percentage of the rules in force that decided at least one observed connection is below the minimum.",
  help: "Take out dead rules, or observe the traffic that they are for.",
  level: "error",
};

export const NOT_ISOLATED: FindingRule = {
  id: "workload-not-isolated",
  summary: "No policy isolates a workload in a direction",
  description: "Whatever comes to the workload, or goes from it, is allowed at its end.",
  help: "Give it a policy, or its namespace one that denies by default.",
  level: "note",
};

/**
 * Returns what there is to say of coverage, for CI systems. A case is a rule; it is skipped where its workloads had no traffic. What
 * fails a run is the percentage alone, which is a case of its own where there is a minimum.
 */
export function coverageFindings(result: CoverageResult): FindingReport {
  const cases = new Map(result.rules.map((covered) => [covered, caseOf(covered)]));
  const findings = result.rules.flatMap((covered) => findingsOf(covered, cases.get(covered)!, result));
  const total: FindingCase[] = result.minimum === undefined ? [] : [{ suite: "coverage", name: `at least ${result.minimum} %` }];
  for (const { policy, near } of result.idlePolicies)
    findings.push({
      rule: MATCHES_NOTHING,
      level: MATCHES_NOTHING.level,
      message: `${policyLabel(policy)} selects no pod${near === undefined ? "" : `: ${near}`}`,
      places: [placeOfPolicy(policy.ref)],
      identity: [titleOf(policy.ref)],
      cases: [],
    });
  for (const { title, names } of openWorkloads(result))
    findings.push({
      rule: NOT_ISOLATED,
      level: NOT_ISOLATED.level,
      message: `isolated ${title}: ${someOf(names, 20)}`,
      places: [{ object: names[0] }],
      identity: [title],
      cases: [],
    });
  if (isBelowMinimum(result))
    findings.push({
      rule: BELOW,
      level: "error",
      message: `${percentageText(result)}, below the minimum of ${result.minimum} %`,
      places: [{ object: "network policies" }],
      identity: [],
      cases: total,
    });
  const damage = result.simulation.inputs.flatMap((input) => input.warnings.map((warning) => `${input.name}: ${warning}`));
  return {
    command: "coverage",
    rules: [DEAD, NOT_EXERCISED, USE_UNKNOWN, REDUNDANT, MATCHES_NOTHING, WIDER, BELOW, NOT_ISOLATED],
    findings,
    cases: [...cases.values(), ...total],
    warnings: [...damage, ...result.warnings],
  };
}

/** Two dialects have a kind NetworkPolicy: that of Kubernetes goes by the bare name. */
function titleOf(ref: PolicyRef): string {
  const [group] = ref.apiVersion.split("/");
  return policyTitle(ref.kind === "NetworkPolicy" && group !== "networking.k8s.io" ? { ...ref, kind: `${ref.kind}.${group}` } : ref);
}

function caseOf({ rule, findings }: CoveredRule): FindingCase {
  const { policy, path, ref } = rule;
  const { namespace } = policy.ref;
  return {
    suite: namespace === undefined ? "rules" : `rules.${namespace}`,
    name: `${titleOf({ ...policy.ref, namespace: "" }).replace(" /", " ")} ${path}`,
    place: placeOfPolicy(policy.ref, ref),
    ...(findings.includes("not-exercised") ? { skipped: "none of its workloads had any traffic" } : {}),
  };
}

function findingsOf(covered: CoveredRule, one: FindingCase, result: CoverageResult): Finding[] {
  const { rule, findings, slack, idlePeers, effect } = covered;
  const label = ruleLabel(rule);
  const finding = (kind: FindingRule, message: string, ref = rule.ref): Finding => ({
    rule: kind,
    level: kind.level,
    message,
    places: [placeOfPolicy(rule.policy.ref, ref)],
    identity: [titleOf(rule.policy.ref), ref.path === rule.ref.path ? rule.path : ref.path],
    cases: [one],
  });
  const found = findings.map((each) => {
    switch (each) {
      case "dead":
        return finding(DEAD, `${label}: ${deadTitle(result)}; ${silenceText(covered)}`);
      case "not-exercised":
        return finding(NOT_EXERCISED, `${label}: ${silenceText(covered)}`);
      case "unknown":
        return { ...finding(USE_UNKNOWN, `${label}: ${unknownText(covered)}`), isUndecided: true };
      case "redundant":
        return finding(REDUNDANT, `${label} changes nothing: ${coverText(covered)}`);
      case "matches-nothing":
        return finding(MATCHES_NOTHING, `${label} matches nothing: ${idleText(covered, result, rule)}`);
      case "wider": {
        const parts = [slack!.ports, someOf(slack!.peers)].filter((part) => part !== "");
        return finding(WIDER, `${label} allows what nobody used: ${parts.join("; ")}`);
      }
    }
  });
  if (effect.kind === "idle") return found;
  const idle = idlePeers.map(({ ref, near }) =>
    finding(MATCHES_NOTHING, `${policyLabel(rule.policy)} ${ref.path} matches nobody${near === undefined ? "" : `: ${near}`}`, ref),
  );
  return [...found, ...idle];
}
