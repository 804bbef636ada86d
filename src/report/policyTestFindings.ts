import { policyTitle } from "../policy/model.ts";
import { type Finding, type FindingCase, type FindingPlace, type FindingReport, type FindingRule, placeOfPolicy } from "./findings.ts";
import type { CounterExamples, ExpectationResult, PolicyTestResult, PolicyTestsResult } from "./policyTestResult.ts";
import { exampleLines } from "./policyTestTable.ts";

const FAILED: FindingRule = {
  id: "failed-expectation",
  summary: "A policy set contradicts an expectation",
  description: "A PolicyTest says what policies are to allow or deny; they do otherwise for the connections that the message names.",
  help: "Mend the policy that the finding points at, or the expectation. `kubectl kguardian explain` shows every rule with why it does not match.",
  level: "error",
};

const UNDECIDED: FindingRule = {
  id: "undecided-expectation",
  summary: "Whether a policy set meets an expectation cannot be told",
  description: "What the verdict of a connection hangs on is not known, so that an expectation of a PolicyTest does not hold for certain.",
  help: "Give what is missing, as the message says: a whole snapshot, with Namespaces. Rules on requests decide by request, which no expectation tells.",
  level: "error",
};

/** Ends that a message names. */
const NAMED = 4;
/** Lines that a message has. */
const LINES = 5;

/** Returns what contradicts expectations, for CI systems. A case is an expectation. */
export function policyTestFindings({ tests, warnings }: PolicyTestsResult): FindingReport {
  const cases: FindingCase[] = [];
  const names = new Map<string, number>();
  const findings = tests.flatMap((test) =>
    test.expectations.flatMap((expectation) => {
      const one = caseOf(test, expectation, names);
      cases.push(one);
      return expectation.examples.map((examples) => findingOf(expectation, examples, one));
    }),
  );
  return {
    command: "test",
    rules: [FAILED, UNDECIDED],
    findings,
    cases,
    warnings: [...new Set([...tests.flatMap((test) => test.warnings), ...warnings])],
  };
}

/** Two expectations of one name are two cases: CI systems take the first of equal names alone. */
function caseOf({ name }: PolicyTestResult, expectation: ExpectationResult, names: Map<string, number>): FindingCase {
  const title = expectation.name ?? expectation.title;
  const key = JSON.stringify([name, title]);
  const count = (names.get(key) ?? 0) + 1;
  names.set(key, count);
  return { suite: `policytests.${name}`, name: count === 1 ? title : `${title} (${count})`, place: placeOf(expectation) };
}

function placeOf({ file, line }: ExpectationResult): FindingPlace {
  return { object: "the expectation", ...(file === "<stdin>" ? {} : { file, line }) };
}

function findingOf(expectation: ExpectationResult, examples: CounterExamples, one: FindingCase): Finding {
  const rows = exampleLines({ ...expectation, examples: [examples] }, NAMED).map(
    ({ from, to, portsText }) => `${from} to ${to} ${portsText}`,
  );
  const more = rows.length > LINES ? ` and ${rows.length - LINES} more` : "";
  const culprits = examples.culprits.map(({ policy, rule }) => placeOfPolicy(policy.ref, rule ?? policy.ref));
  const [first, ...others] = [...culprits, { ...placeOf(expectation), role: "the expectation" }];
  const rule = examples.verdict === "unknown" ? UNDECIDED : FAILED;
  return {
    rule,
    level: rule.level,
    message: `${one.name}: expected ${expectation.expected}, and it is ${examples.verdict}: ${rows.slice(0, LINES).join("; ")}${more}: ${examples.why}`,
    places: [first, ...others],
    identity: [one.suite, one.name, examples.verdict, ...examples.culprits.map(({ policy }) => policyTitle(policy.ref))],
    cases: [one],
  };
}
