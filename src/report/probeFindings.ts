import type { Policy, RuleRef } from "../policy/model.ts";
import { coveredName, type FailedExpectation, type Forgotten, holds } from "../synth/blindSpots.ts";
import type { Probe } from "../synth/probe.ts";
import { NOT_ISOLATED, REDUNDANT } from "./coverageFindings.ts";
import { someOf } from "./coverageResult.ts";
import { openWorkloads } from "./coverageTable.ts";
import { type Finding, type FindingCase, type FindingReport, type FindingRule, placeOfPolicy, titleOf } from "./findings.ts";
import { policyLabel } from "./labels.ts";
import { endLabel, failureText, type ProbeResult, probePort, ruleText } from "./probeResult.ts";

const ASYMMETRY: FindingRule = {
  id: "probe-asymmetry",
  summary: "What a rule allows is denied at the other end",
  description: "One end's policy allows the connection and the other end's denies it, so that it fails.",
  help: "Give the other end a rule that allows it, or take the rule out.",
  level: "error",
};

const OVERRULED: FindingRule = {
  id: "probe-overruled",
  summary: "What a rule allows is denied at the same end",
  description: "Another policy, asked before it or stronger than it, denies what the rule is for.",
  help: "Narrow the rule that denies, or take the one that allows in vain out.",
  level: "error",
};

const HOLE: FindingRule = {
  id: "probe-hole",
  summary: "What is outside of a rule is allowed all the same",
  description:
    "A connection just outside of the rule (the port beside it, a pod with one label off, the next address) is allowed by another rule, or by the plugin.",
  help: "Look whether the rule that allows it was meant to. `kubectl kguardian explain` shows every rule that is asked.",
  level: "error",
};

const NO_DNS: FindingRule = {
  id: "dns-forgotten",
  summary: "A workload may talk to somebody, and resolve no name",
  description: "Its egress policies allow something, and deny the cluster's DNS on UDP and TCP.",
  help: "Allow port 53 to the pods of the DNS Service, on both protocols.",
  level: "warning",
};

const NO_HEALTH_CHECKS: FindingRule = {
  id: "health-checks-forgotten",
  summary: "Every port of a workload is closed to its own node",
  description:
    "The kubelet's probes come from the pod's own node, and the workload's ingress policies deny them under this network plugin.",
  help: "Allow the node's addresses on the ports that are probed.",
  level: "warning",
};

const MISSED: FindingRule = {
  id: "change-not-noticed",
  summary: "A small change of a policy alters connectivity, and no probe shows it",
  description:
    "The change is proven to alter what is allowed, and no connection could be made up that shows it: it hangs on requests or labels that are not known.",
  help: "Cover it by an expectation of your own (`kubectl kguardian test`).",
  level: "note",
};

/** Returns what the probes found, for CI systems. A case is an expectation. */
export function probeFindings(result: ProbeResult): FindingReport {
  const { probing, blindSpots, warnings } = result;
  const cases = new Map<number, FindingCase>();
  const names = new Set<string>();
  probing.probes.forEach((probe, i) => {
    if (probe.expected === undefined) return;
    const one = caseOf(probe, holds(probe, probing.judgements[i]) === undefined);
    let name = one.name;
    for (let n = 2; names.has(`${one.suite} ${name}`); n++) name = `${one.name} (${n})`;
    names.add(`${one.suite} ${name}`);
    cases.set(i, { ...one, name });
  });
  const findings = blindSpots.failed.map((failed) => failure(result, failed, cases));
  const note = (rule: FindingRule, message: string, policy: Policy | undefined, ref: RuleRef | undefined, ...identity: string[]) =>
    findings.push({
      rule,
      level: rule.level,
      message,
      places: [policy === undefined ? { object: identity[0] } : placeOfPolicy(policy.ref, ref)],
      identity,
      cases: [],
    });
  for (const { policy, rule } of blindSpots.redundant)
    note(
      REDUNDANT,
      `${ruleText(policy, rule)} changes nothing: no connection tells whether it is there`,
      policy,
      rule,
      titleOf(policy.ref),
      rule?.path ?? "",
    );
  for (const { policy, rule, what } of blindSpots.missed)
    note(MISSED, `${policyLabel(policy)}: ${what}, and no probe shows it`, policy, rule, titleOf(policy.ref), what);
  const forgotten = (rule: FindingRule, what: string, all: readonly Forgotten[]) => {
    for (const { workload, policies } of all) {
      const by = someOf(policies.map(policyLabel));
      note(rule, `${coveredName(workload)} ${what}: denied by ${by}`, policies[0], undefined, coveredName(workload));
    }
  };
  forgotten(NO_DNS, "may talk to somebody, and resolve no name", blindSpots.withoutDns);
  forgotten(NO_HEALTH_CHECKS, "is closed to its own node", blindSpots.withoutHealthChecks);
  for (const { title, names: open } of openWorkloads({ workloads: blindSpots.open }))
    note(NOT_ISOLATED, `isolated ${title}: ${someOf(open, 20)}`, undefined, undefined, open[0], title);
  return {
    command: "synth --probe",
    rules: [ASYMMETRY, OVERRULED, HOLE, NO_DNS, NO_HEALTH_CHECKS, REDUNDANT, MISSED, NOT_ISOLATED],
    findings,
    cases: [...cases.values()],
    warnings,
  };
}

function caseOf(probe: Probe, isUnknown: boolean): FindingCase {
  const { policy, rule, source, destination, what, expected } = probe;
  const { namespace } = policy.ref;
  return {
    suite: namespace === undefined ? "probes" : `probes.${namespace}`,
    name: `${titleOf(policy.ref)} ${rule.path}: ${endLabel(source)} to ${endLabel(destination)} ${probePort(probe)} is ${expected === "allow" ? "allowed" : "denied"} (${what})`,
    place: placeOfPolicy(policy.ref, rule),
    ...(isUnknown ? { skipped: "the verdict hangs on what is not known" } : {}),
  };
}

function failure(result: ProbeResult, failed: FailedExpectation, cases: ReadonlyMap<number, FindingCase>): Finding {
  const { kind, policy, rule, probes, by, deciding } = failed;
  const own = { blocked: ASYMMETRY, overruled: OVERRULED, hole: HOLE }[kind];
  const others =
    deciding.length > 0
      ? deciding.map((match) => placeOfPolicy(match.policy.ref, match.rule, "what decides"))
      : by.isolatedBy.map((each) => placeOfPolicy(each.ref, each.ref, "what denies"));
  return {
    rule: own,
    level: own.level,
    message: `${ruleText(policy, rule)}: ${failureText(result, failed)}`,
    places: [placeOfPolicy(policy.ref, rule), ...others],
    identity: [titleOf(policy.ref), rule.path, failed.direction, ...others.map(({ object }) => object)],
    cases: probes.flatMap((i) => cases.get(i) ?? []),
  };
}
