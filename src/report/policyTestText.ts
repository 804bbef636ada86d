import { policyTitle } from "../policy/model.ts";
import { refObject } from "./connectionJson.ts";
import { markdownTable, markdownText } from "./markdown.ts";
import { countsOf, type ExpectationResult, type PolicyTestResult, type PolicyTestsResult } from "./policyTestResult.ts";
import { countsText, exampleLines, testHeader } from "./policyTestTable.ts";
import { safeYaml } from "./safeYaml.ts";
import { printable, safeJson } from "./text.ts";

/** Returns the report as one JSON object. */
export function policyTestJson(result: PolicyTestsResult): string {
  return `${safeJson(reportObject(result), 2)}\n`;
}

/** Returns the report as one YAML document. */
export function policyTestYaml(result: PolicyTestsResult): string {
  return safeYaml(reportObject(result), -1);
}

function reportObject(result: PolicyTestsResult): Record<string, unknown> {
  const { passed, failed } = countsOf(result);
  return {
    apiVersion: "kguardian.dev/v1alpha1",
    kind: "PolicyTestReport",
    summary: { tests: result.tests.length, expectations: passed + failed, passed, failed },
    tests: result.tests.map(testObject),
    warnings: result.warnings,
  };
}

function testObject({ name, namespace, file, line, cni, policies, workloads, expectations, warnings }: PolicyTestResult) {
  return {
    name,
    ...(namespace === undefined ? {} : { namespace }),
    file,
    line,
    cni,
    policies,
    workloads,
    expectations: expectations.map(expectationObject),
    warnings,
  };
}

/** Ends and ports of counter-examples are complete. */
function expectationObject(expectation: ExpectationResult): Record<string, unknown> {
  const { name, title, expected, line, examples } = expectation;
  return {
    ...(name === undefined ? {} : { name }),
    expectation: title,
    line,
    expected,
    result: examples.length === 0 ? "passed" : "failed",
    counterExamples: exampleLines(expectation, 1).map(
      ({ sources, destinations, ports, family, examples: { verdict, why, culprits, links } }) => ({
        sources: sources.flatMap((set) => links.names.show(set)),
        destinations: destinations.flatMap((set) => links.names.show(set)),
        ports: ports.ports,
        ...(family === "" ? {} : { ipFamily: family }),
        verdict,
        why,
        decidedBy: culprits.map(({ policy, rule }) => refObject(policy, rule)),
      }),
    ),
  };
}

/** Yields the tests of which an expectation fails, as kubectl's `-o name` writes objects. */
export function* policyTestNames({ tests }: PolicyTestsResult): Generator<string> {
  const names = new Set(
    tests.filter(({ expectations }) => expectations.some(({ examples }) => examples.length > 0)).map(({ name }) => name),
  );
  for (const name of names) yield `policytest.kguardian.dev/${printable(name)}\n`;
}

/** Ends that a row names. */
const NAMED = 4;

/** Returns the report for a pull-request comment. */
export function policyTestMarkdown(result: PolicyTestsResult): string {
  const lines = ["## Network policy tests", "", `**${countsText(result)}**`, ""];
  for (const test of result.tests) {
    lines.push(`### ${markdownText(test.name)}`, "", markdownText(testHeader(test)).replaceAll("\n", "  \n"), "");
    lines.push(
      ...markdownTable(
        ["", "Expectation", "Place"],
        test.expectations.map(({ name, title, file, line, examples }) => [
          examples.length === 0 ? "ok" : "FAIL",
          name === undefined ? title : `${name} (${title})`,
          `${file}:${line}`,
        ]),
        "expectations",
      ),
    );
    for (const expectation of test.expectations.filter(({ examples }) => examples.length > 0))
      lines.push(
        `FAIL ${markdownText(expectation.name ?? expectation.title)}`,
        "",
        ...markdownTable(
          ["From", "To", "Ports", "Is", "Why", "Policies"],
          exampleLines(expectation, NAMED).map(({ from, to, portsText, examples: { verdict, why, culprits } }) => [
            from,
            to,
            portsText,
            verdict,
            why,
            [...new Set(culprits.map(({ policy }) => policyTitle(policy.ref)))].join(", "),
          ]),
          "lines",
        ),
      );
    for (const warning of test.warnings) lines.push(`> ${markdownText(warning)}`, "");
  }
  for (const warning of result.warnings) lines.push(`> ${markdownText(warning)}`, "");
  return `${lines.join("\n").trimEnd()}\n`;
}
