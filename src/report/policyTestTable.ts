import { plural } from "../net/number.ts";
import { compare } from "../net/order.ts";
import { cniText } from "./labels.ts";
import type { LinkRow } from "./linkTable.ts";
import {
  type CounterExamples,
  countsOf,
  type ExpectationResult,
  type PolicyTestResult,
  type PolicyTestsResult,
} from "./policyTestResult.ts";
import { PLAIN_STYLE, printable, type Style, tableLines } from "./text.ts";

/** Counter-examples of an expectation that a screen holds; the rest is counted. */
const ROWS = 12;
/** Ends that a line names. */
const NAMED = 3;

/** Connections that contradict an expectation, as one line. */
export interface ExampleLine extends LinkRow {
  readonly portsText: string;
  readonly examples: CounterExamples;
}

/** Returns merged lines in the order of names. `most`: ends that a line names before it counts the rest. */
export function exampleLines({ examples }: ExpectationResult, most: number): ExampleLine[] {
  return examples
    .flatMap((each) =>
      each.links.rows(most).map(
        (row): ExampleLine => ({
          ...row,
          portsText: row.family === "" ? row.ports.text : `${row.ports.text} (${row.family})`,
          examples: each,
        }),
      ),
    )
    .sort(
      (a, b) =>
        compare(a.to, b.to) || compare(a.from, b.from) || compare(a.portsText, b.portsText) || compare(a.examples.why, b.examples.why),
    );
}

/** Returns what a person reads: each expectation with what contradicts it, and how many hold. */
export function policyTestTable(result: PolicyTestsResult, wide: boolean, style: Style = PLAIN_STYLE): string {
  const lines = result.tests.flatMap((test) => [...testLines(test, wide, style), ""]);
  for (const warning of result.warnings) lines.push(`${style.bold("NOTE")}   ${printable(warning)}`);
  lines.push(countsText(result));
  return `${lines.join("\n")}\n`;
}

/** Returns the counts of all expectations: `12 passed, 1 failed`. */
export function countsText(result: PolicyTestsResult): string {
  const { passed, failed } = countsOf(result);
  return `${passed} passed, ${failed} failed`;
}

/** Returns one line on what was tested. */
export function testHeader({ name, namespace, file, policies, workloads, cni }: PolicyTestResult): string {
  const title = namespace === undefined ? name : `${namespace}/${name}`;
  return `${printable(`${title} (${file})`)}: ${plural(workloads, "workload")} under ${plural(policies, "policy", "policies")} · ${cniText(cni)}`;
}

function testLines(test: PolicyTestResult, wide: boolean, style: Style): string[] {
  return [
    testHeader(test),
    ...test.expectations.flatMap((expectation) => expectationLines(expectation, wide, style)),
    ...test.warnings.map((warning) => `${style.bold("NOTE")}   ${printable(warning)}`),
  ];
}

function expectationLines(expectation: ExpectationResult, wide: boolean, style: Style): string[] {
  const { name, title, file, line, examples } = expectation;
  const text = printable(name === undefined ? title : `${name} (${title})`);
  if (examples.length === 0) return [`  ${style.good("ok")}     ${text}`];
  const all = exampleLines(expectation, wide ? Number.POSITIVE_INFINITY : NAMED);
  const shown = wide ? all : all.slice(0, ROWS);
  const rows = shown.map(({ from, to, portsText, examples: { verdict, why } }) => [from, to, portsText, verdict, why]);
  const rest = all.length - shown.length;
  return [
    `  ${style.bad("FAIL")}   ${text}   ${style.dim(printable(`${file}:${line}`))}`,
    ...tableLines(
      ["FROM", "TO", "PORTS", "IS", "WHY"].map((columnTitle) => ({ title: columnTitle })),
      rows,
      "         ",
    ),
    ...(rest > 0 ? [`         … and ${plural(rest, "more line")}: -o wide shows all`] : []),
  ];
}
