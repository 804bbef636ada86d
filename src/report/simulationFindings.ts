import { shortWorkload } from "../cluster/workloads.ts";
import type { Participant } from "../evaluate/evaluator.ts";
import { plural } from "../net/number.ts";
import { type Direction, type Policy, type PolicyRef, policyTitle } from "../policy/model.ts";
import { type Cause, findCauses } from "./causes.ts";
import { type Finding, type FindingCase, type FindingPlace, type FindingReport, type FindingRule, placeOfPolicy } from "./findings.ts";
import { policyLabel } from "./labels.ts";
import type { SelectedWorkload, SimulationResult } from "./simulationResult.ts";
import { listed } from "./text.ts";

const WOULD_DROP: FindingRule = {
  id: "would-drop",
  summary: "Policies would drop a connection that was observed",
  description:
    "A connection was seen to work, or was not seen to fail, and the policies deny it. Connections with the same ends, port and reason are one finding.",
  help: "Let a rule allow the connection: the message names the policy that denies and the rule that comes nearest to allowing. Where the connection shall be cut, say so in the file of --ignore, with a reason.",
  level: "error",
};

const UNKNOWN_VERDICT: FindingRule = {
  id: "unknown-verdict",
  summary: "Whether policies allow an observed connection cannot be told",
  description:
    "What the verdict hangs on is in no input: a pod that the snapshot lacks, a request that was not seen, or a policy that cannot be evaluated.",
  help: "Give what is missing, as the message says: a snapshot of the time of the traffic, names with --dns, or a log that shows requests. With --fail-on unknown such findings are errors.",
  level: "note",
};

const SELECTS_NO_POD: FindingRule = {
  id: "selects-no-pod",
  summary: "A policy selects no pod",
  description: "No pod of the snapshot has the labels and the namespace that the policy selects, so it does nothing there.",
  help: "Look for a misspelt label or namespace, or for a workload that is gone.",
  level: "note",
};

const NO_TRAFFIC: FindingRule = {
  id: "no-traffic",
  summary: "A workload that policies select had no traffic",
  description: "Nothing of the workload was observed, so what the policies do to it is untested.",
  help: "Observe for longer, or while the workload runs: jobs by the clock and rare callers are easily missed.",
  level: "note",
};

/**
 * Returns what a simulation found, for CI systems. A case is a policy: it fails where it denies what was observed, of several that
 * isolate alike the one with the nearest rule, which is the one to mend, and of two sides that deny each one. It is skipped where
 * nothing that was observed came under it. A connection whose verdict is unknown is a case of its own, skipped, or with
 * `failOn` unknown failed: what is missing is seldom the policy's fault. So is one that is denied where no policy denies it.
 */
export function simulationFindings(result: SimulationResult, failOn: "drop" | "unknown"): FindingReport {
  const cases = new Cases(result);
  const unknown = findCauses(result, "unknown").filter(({ example }) => result.simulation.verdicts[example] === 2);
  const findings = [
    ...findCauses(result, "would-drop").map((cause) => dropped(cause, cases)),
    ...unknown.map((cause) => undecided(cause, cases, failOn)),
    ...result.selectNothing.map((policy) => selectsNothing(policy, cases)),
    ...result.selectedWorkloads.filter(({ hadTraffic }) => !hadTraffic).map((workload) => untested(workload, cases)),
  ];
  const { inputs, summary, warnings } = result;
  const damage = inputs.flatMap((input) => input.warnings.map((warning) => `${input.name}: ${warning}`));
  return {
    command: "simulate",
    rules: [WOULD_DROP, UNKNOWN_VERDICT, SELECTS_NO_POD, NO_TRAFFIC],
    findings,
    cases: cases.all,
    warnings: [...damage, ...summary.confidence.because, ...warnings],
  };
}

function dropped(cause: Cause, cases: Cases): Finding {
  const { deniedBy, why, accepted } = cause;
  return {
    rule: WOULD_DROP,
    // Code review stops at errors: what people have accepted is none.
    level: accepted === undefined ? "error" : "note",
    message: `${seen(cause)}, would be dropped: denied by ${deniedBy}; ${why}`,
    ...about(cause, cause.culprits.length === 0 ? [cases.ofConnection(cause)] : cause.culprits.map(({ policy }) => cases.of(policy))),
    ...(accepted === undefined ? {} : { accepted }),
  };
}

function undecided(cause: Cause, cases: Cases, failOn: "drop" | "unknown"): Finding {
  return {
    rule: UNKNOWN_VERDICT,
    level: failOn === "unknown" ? "error" : "note",
    message: `${seen(cause)}, may be denied or allowed: ${cause.why}`,
    ...about(cause, [cases.ofConnection(cause)]),
    isUndecided: true,
  };
}

function seen({ from, to, port, seen }: Cause): string {
  return `${from} to ${to} ${port}, seen ${plural(seen, "time")}`;
}

/** What all findings about connections have in common. */
function about({ groups, port, culprits }: Cause, cases: readonly FindingCase[]): Pick<Finding, "places" | "identity" | "cases"> {
  const places = culprits.flatMap(({ policy, rule }): FindingPlace[] => {
    const place = placeOfPolicy(policy.ref);
    return rule === undefined ? [place] : [place, placeOfPolicy(policy.ref, rule, "the rule to look at")];
  });
  // A plugin may deny by itself: then the one who began is all there is to point at.
  const [first = { object: groups[0] }, ...others] = places;
  return {
    places: [first, ...others],
    identity: [...groups, port, ...culprits.map(({ policy }) => titleOf(policy.ref))],
    cases: [...new Set(cases)],
  };
}

function selectsNothing(policy: Policy, cases: Cases): Finding {
  return {
    rule: SELECTS_NO_POD,
    level: SELECTS_NO_POD.level,
    message: `${policyLabel(policy)} selects no pod`,
    places: [placeOfPolicy(policy.ref)],
    identity: [titleOf(policy.ref)],
    cases: [cases.of(policy)],
  };
}

function untested({ endpoint, policies }: SelectedWorkload, cases: Cases): Finding {
  const name = `${endpoint.namespace}/${shortWorkload(endpoint.workload ?? "")}`;
  // The policy that says most of its pods is more likely the workload's own than one for all.
  const selecting = [...policies].sort((a, b) => b.subject.pods.requirements.length - a.subject.pods.requirements.length);
  return {
    rule: NO_TRAFFIC,
    level: NO_TRAFFIC.level,
    message: `${name} had no traffic: what ${listed(selecting.map(policyLabel))} would do to it is untested`,
    places: [placeOfPolicy(selecting[0].ref)],
    identity: [name],
    cases: [...new Set(selecting.map((policy) => cases.of(policy)))],
  };
}

/** Two dialects have a kind NetworkPolicy: that of Kubernetes goes by the bare name. */
function kindOf({ apiVersion, kind }: PolicyRef): string {
  const [group] = apiVersion.split("/");
  return kind === "NetworkPolicy" && group !== "networking.k8s.io" ? `${kind}.${group}` : kind;
}

function titleOf(ref: PolicyRef): string {
  return policyTitle({ ...ref, kind: kindOf(ref) });
}

/** The cases of a simulation: every policy that was given, and whatever else something was found of. */
class Cases {
  readonly #known = new Map<string, FindingCase>();

  constructor(result: SimulationResult) {
    const tested = testedPolicies(result);
    // Several policies may come of one object: one that was tested is enough.
    for (const policies of Map.groupBy(result.candidates, ({ ref }) => titleOf(ref)).values()) {
      const isTested = policies.some((policy) => tested.has(policy));
      this.of(policies[0], isTested ? undefined : whyUntested(policies[0], result));
    }
  }

  get all(): readonly FindingCase[] {
    return [...this.#known.values()];
  }

  /** Returns the case of a policy; of several policies that one object gives it is the same. */
  of(policy: Policy, skipped?: string): FindingCase {
    const { namespace, name } = policy.ref;
    return this.#add({
      suite: namespace === undefined ? "policies" : `policies.${namespace}`,
      name: `${kindOf(policy.ref)} ${name}`,
      place: placeOfPolicy(policy.ref),
      ...(skipped === undefined ? {} : { skipped }),
    });
  }

  ofConnection({ groups, port }: Cause): FindingCase {
    return this.#add({ suite: "connections", name: `${groups.join(" to ")} ${port}` });
  }

  #add(one: FindingCase): FindingCase {
    const key = JSON.stringify([one.suite, one.name]);
    const known = this.#known.get(key);
    if (known === undefined) this.#known.set(key, one);
    return known ?? one;
  }
}

/** Returns the policies that had a say in an observed connection: they govern the direction in which one of their pods took part. */
function testedPolicies({ simulation, order }: SimulationResult): ReadonlySet<Policy> {
  const { evaluator } = simulation;
  const tested = new Set<Policy>();
  const seen = { egress: new Set<number>(), ingress: new Set<number>() };
  const add = (participant: Participant, direction: Direction) => {
    // Of an end that is not known any policy may be.
    if (participant.type !== "pod") return;
    const number = evaluator.classify(participant);
    if (seen[direction].has(number)) return;
    seen[direction].add(number);
    for (const { policy } of evaluator.policiesOf(number, direction)) tested.add(policy);
  };
  for (const i of order) {
    const { source, targets } = simulation.ends(i);
    add(source, "egress");
    for (const { participant } of targets) add(participant, "ingress");
  }
  return tested;
}

/** Says why a policy that was given was not put to the test. */
function whyUntested(policy: Policy, { selectNothing }: SimulationResult): string {
  if (policy.staged !== undefined) return "it is staged: not in force";
  if (policy.nodes !== undefined) return "it selects nodes, and only traffic of pods is judged";
  if (policy.inert !== undefined) return `it does nothing to pods: ${policy.inert}`;
  if (selectNothing.includes(policy)) return "it selects no pod, so nothing was tested";
  return "none of the pods that it governs took part in what was observed, so nothing was tested";
}
