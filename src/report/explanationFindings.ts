import { type Direction, policyTitle } from "../policy/model.ts";
import { identityOf } from "../policy/readPolicies.ts";
import { decidingPolicies, type ExplainedCase, type ExplainResult, isChange } from "./explanation.ts";
import { familiesText, portsText } from "./explanationTable.ts";
import { type Finding, type FindingCase, type FindingPlace, type FindingReport, type FindingRule, placeOfPolicy } from "./findings.ts";
import { endpointLabel } from "./labels.ts";
import { decisionMessage } from "./simulationResult.ts";

const DENIED: FindingRule = {
  id: "denied-connection",
  summary: "Policies deny the connection that was asked about",
  description: "The policies on one side of the connection, or on both, deny it.",
  help: "The message names the smallest change that would allow it, where there is one. `kubectl kguardian explain` shows every rule with why it does not match.",
  level: "error",
};

const UNKNOWN_VERDICT: FindingRule = {
  id: "unknown-connection",
  summary: "Whether policies allow the connection cannot be told",
  description: "What the verdict hangs on is not known: whose an address is, what the request says, or a policy that cannot be read.",
  help: "Give what is missing, as the message says: a whole snapshot, or names with --dns. With --fail-on unknown such findings are errors.",
  level: "note",
};

/** Returns what was found on a connection, for CI systems. Each group of connections that are judged alike is a case. */
export function explanationFindings(result: ExplainResult, failOn: "deny" | "unknown"): FindingReport {
  const cases = result.cases.map((one) => ({ one, tested: caseOf(one) }));
  return {
    command: "explain",
    rules: [DENIED, UNKNOWN_VERDICT],
    findings: cases.flatMap(({ one, tested }) => findingOf(one, tested, failOn)),
    cases: cases.map(({ tested }) => tested),
    warnings: result.warnings,
  };
}

function caseOf(one: ExplainedCase): FindingCase {
  const pods = [...(one.sources ?? []), ...(one.destinations ?? [])];
  return { suite: "connections", name: `${titleOf(one)}${pods.length === 0 ? "" : ` (${pods.join(", ")})`}` };
}

function titleOf({ ends, ports, families }: ExplainedCase): string {
  const via = ends.via?.service === undefined ? "" : ` (${ends.via.service})`;
  return `${endpointLabel(ends.sourceEndpoint)} to ${endpointLabel(ends.destinationEndpoint)}${via} ${portsText(ports)}${families === undefined ? "" : ` over ${familiesText(families)}`}`;
}

function findingOf(one: ExplainedCase, tested: FindingCase, failOn: "deny" | "unknown"): Finding[] {
  const { judgement, ends } = one;
  if (judgement.verdict === "allow") return [];
  const isDenied = judgement.verdict === "deny";
  const told = (["egress", "ingress"] as const).filter((direction) => judgement[direction].verdict === judgement.verdict);
  const reasons = told.map((direction: Direction) => decisionMessage(judgement[direction], direction, ends));
  const policies = decidingPolicies(one);
  // Where several isolate alike, the one to mend is the one to look at.
  const mended = changedRefs(one);
  const refs = [...policies.map(({ ref }) => ref)].sort((a, b) => Number(mended.has(identityOf(b))) - Number(mended.has(identityOf(a))));
  const [first = { object: endpointLabel(ends.sourceEndpoint) }, ...others] = refs.map((ref): FindingPlace => placeOfPolicy(ref));
  return [
    {
      rule: isDenied ? DENIED : UNKNOWN_VERDICT,
      level: isDenied || failOn === "unknown" ? "error" : "note",
      message: `${titleOf(one)} is ${isDenied ? "denied" : "perhaps denied"}: ${reasons.join("; ")}${changeText(one)}`,
      places: [first, ...others],
      identity: [tested.name, ...policies.map(({ ref }) => policyTitle(ref))],
      cases: [tested],
      ...(isDenied ? {} : { isUndecided: true }),
    },
  ];
}

function changedRefs({ change }: ExplainedCase): Set<string> {
  return new Set(isChange(change) ? change.objects.map(({ ref }) => identityOf(ref)) : []);
}

function changeText({ change }: ExplainedCase): string {
  if (!isChange(change)) return "";
  return `; smallest change: ${change.objects.map(({ ref, what }) => `${policyTitle(ref)}: ${what.join(", ")}`).join("; ")}`;
}
