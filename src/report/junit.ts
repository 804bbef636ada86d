import { type Finding, type FindingCase, type FindingReport, isFailure, pathInSources, placeText, type ReportOrigin } from "./findings.ts";
import { printable } from "./text.ts";
import { TextBytes } from "./textBytes.ts";

/**
 * Yields JUnit XML as GitLab, Jenkins and others read it: a test case for each thing that was tried out. A case fails where a finding
 * counts for the exit code, is skipped where nothing could be found out by it, and passes otherwise; what else there is to know of it
 * is its output. The failure's text says all of it, since GitLab shows no attribute, and names files, which GitLab links by the
 * case's `file`. Warnings are the suite's output. No durations: nothing is run.
 */
export function* junit(report: FindingReport, origin: ReportOrigin): Generator<string | Uint8Array> {
  const findingsOf = new Map<FindingCase, Finding[]>(report.cases.map((one) => [one, []]));
  for (const finding of report.findings) for (const one of finding.cases) findingsOf.get(one)!.push(finding);
  const states = [...findingsOf].map(([one, findings]) => stateOf(one, findings));
  const counts = attributes({
    tests: String(states.length),
    failures: String(states.filter((state) => state === "failed").length),
    errors: "0",
    skipped: String(states.filter((state) => state === "skipped").length),
    time: "0",
  });
  yield '<?xml version="1.0" encoding="UTF-8"?>\n';
  yield `<testsuites${attributes({ name: "kubectl-kguardian" })}${counts}>\n  <testsuite${attributes({ name: report.command })}${counts}>\n`;
  const text = new TextBytes();
  for (const [one, findings] of findingsOf) {
    for (const line of testCase(one, findings, origin)) text.add(`${line}\n`);
    if (text.isFull) yield text.take();
  }
  for (const line of output(report.warnings, "    ")) text.add(`${line}\n`);
  yield text.take();
  yield "  </testsuite>\n</testsuites>\n";
}

function stateOf(one: FindingCase, findings: readonly Finding[]): "passed" | "failed" | "skipped" {
  if (findings.some(isFailure)) return "failed";
  return whySkipped(one, findings) === undefined ? "passed" : "skipped";
}

/** Says why nothing could be found out by a case that does not fail. */
function whySkipped({ skipped }: FindingCase, findings: readonly Finding[]): string | undefined {
  return skipped ?? summary(findings.filter(({ isUndecided }) => isUndecided));
}

function testCase(one: FindingCase, findings: readonly Finding[], origin: ReportOrigin): string[] {
  const { suite, name, place } = one;
  const file = place?.file === undefined ? undefined : pathInSources(place.file, origin);
  const head = attributes({ classname: suite, name, ...(file === undefined ? {} : { file }), time: "0" });
  const others = findings.filter((finding) => !isFailure(finding)).flatMap((finding) => findingLines(finding, origin));
  const inner = [...verdict(findings.filter(isFailure), whySkipped(one, findings), origin), ...output(others, "      ")];
  return inner.length === 0 ? [`    <testcase${head}/>`] : [`    <testcase${head}>`, ...inner, "    </testcase>"];
}

function verdict(failures: readonly Finding[], skipped: string | undefined, origin: ReportOrigin): string[] {
  const [first] = failures;
  if (first !== undefined) {
    const text = failures.flatMap((finding) => findingLines(finding, origin)).map(escapeXml);
    return [`      <failure${attributes({ message: summary(failures)!, type: first.rule.id })}>${text.join("\n")}</failure>`];
  }
  return skipped === undefined ? [] : [`      <skipped${attributes({ message: skipped })}>${escapeXml(skipped)}</skipped>`];
}

function summary([first, ...others]: readonly Finding[]): string | undefined {
  return first === undefined || others.length === 0 ? first?.message : `${first.message} (and ${others.length} more)`;
}

function findingLines({ message, accepted, places }: Finding, origin: ReportOrigin): string[] {
  const where = places.map((place) => `  ${place.role ?? place.object}: ${placeText(place, origin)}`);
  return [accepted === undefined ? message : `${message}; accepted: ${accepted}`, ...where];
}

function output(lines: readonly string[], indent: string): string[] {
  return lines.length === 0 ? [] : [`${indent}<system-out>${lines.map(escapeXml).join("\n")}</system-out>`];
}

function attributes(values: Readonly<Record<string, string>>): string {
  return Object.entries(values)
    .map(([name, value]) => ` ${name}="${escapeXml(value)}"`)
    .join("");
}

const ENTITIES: Readonly<Record<string, string>> = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&apos;" };

/** Returns text of one line for a place in XML 1.0: `printable` leaves nothing of what section 2.2 forbids but two characters. */
function escapeXml(text: string): string {
  return printable(text)
    .replace(/[\ufffe\uffff]/g, (character) => `\\u${character.charCodeAt(0).toString(16)}`)
    .replace(/[&<>"']/g, (character) => ENTITIES[character]);
}
