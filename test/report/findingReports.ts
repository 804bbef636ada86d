import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import Ajv from "ajv-draft-04";
import addFormats from "ajv-formats";
import fc from "fast-check";
import { SaxesParser } from "saxes";
import type { Finding, FindingCase, FindingPlace, FindingReport, FindingRule, ReportOrigin } from "../../src/report/findings.ts";

export const ORIGIN: ReportOrigin = { version: "1.2.3", workingDirectory: "/work/shop/deploy", sourceRoot: "/work/shop" };

/** What of a SARIF log the tests look at. */
export interface SarifRun {
  readonly tool: { readonly driver: { readonly rules: readonly { readonly id: string }[] } };
  readonly invocations: readonly { readonly toolExecutionNotifications: readonly { readonly message: { readonly text: string } }[] }[];
  readonly originalUriBaseIds: Readonly<Record<string, { readonly uri: string }>>;
  readonly results: readonly SarifResult[];
}
export interface SarifResult {
  readonly ruleId: string;
  readonly ruleIndex: number;
  readonly level: string;
  readonly message: { readonly text: string };
  readonly locations: readonly SarifLocation[];
  readonly relatedLocations?: readonly (SarifLocation & { readonly id: number })[];
  readonly partialFingerprints: Readonly<Record<string, string>>;
  readonly suppressions?: readonly { readonly justification: string }[];
}
export interface SarifLocation {
  readonly physicalLocation: {
    readonly artifactLocation: { readonly uri: string; readonly uriBaseId?: string };
    readonly region: { readonly startLine: number; readonly startColumn?: number };
  };
}

const schema = createRequire(import.meta.url).resolve("@microsoft/jest-sarif/lib/schemas/sarif-2.1.0-rtm.5.json");
// A pattern of the schema has a bracket too many, which `u` would refuse.
const ajv = new Ajv.default({ strict: false, allErrors: true, unicodeRegExp: false });
addFormats.default(ajv);
const validate = ajv.compile<{ readonly runs: readonly SarifRun[] }>(JSON.parse(readFileSync(schema, "utf8")));

/** Reads a SARIF log, after holding it against the schema of OASIS. Returns its one run. */
export function readSarif(text: string): SarifRun {
  const log: unknown = JSON.parse(text);
  if (!validate(log)) throw new Error(`not SARIF 2.1.0: ${ajv.errorsText(validate.errors)}`);
  if (log.runs.length !== 1) throw new Error(`${log.runs.length} runs`);
  return log.runs[0];
}

export interface Element {
  readonly name: string;
  readonly attributes: Readonly<Record<string, string>>;
  readonly children: Element[];
  text: string;
}

/** The elements of JUnit XML, with the attributes that are required and those that are known, and the elements that may be within. */
const SHAPE: Readonly<Record<string, { required: readonly string[]; known: readonly string[]; within: readonly string[] }>> = {
  testsuites: { required: ["tests", "failures", "errors"], known: ["name", "skipped", "time"], within: ["testsuite"] },
  testsuite: {
    required: ["name", "tests", "failures", "errors", "skipped"],
    known: ["time"],
    within: ["testcase", "system-out"],
  },
  testcase: { required: ["name", "classname", "time"], known: ["file"], within: ["skipped", "failure", "system-out"] },
  failure: { required: ["message", "type"], known: [], within: [] },
  skipped: { required: ["message"], known: [], within: [] },
  "system-out": { required: [], known: [], within: [] },
};

/** Reads JUnit XML with a parser that refuses what is not well-formed, and holds it against the shape. Returns the one suite. */
export function readJunit(text: string): Element {
  const root: Element = { name: "", attributes: {}, children: [], text: "" };
  const open = [root];
  const parser = new SaxesParser();
  parser.on("error", (error) => {
    throw error;
  });
  parser.on("opentag", ({ name, attributes }) => {
    const element: Element = { name, attributes: attributes as Record<string, string>, children: [], text: "" };
    open.at(-1)!.children.push(element);
    open.push(element);
  });
  parser.on("text", (more) => {
    open.at(-1)!.text += more;
  });
  parser.on("closetag", () => {
    open.pop();
  });
  parser.write(text).close();
  const [suites] = root.children;
  if (suites?.name !== "testsuites") throw new Error("no testsuites");
  checkShape(suites);
  const [suite] = suites.children;
  for (const one of [suites, suite]) checkCounts(one, suite.children);
  return suite;
}

function checkShape({ name, attributes, children }: Element): void {
  const { required, known, within } = SHAPE[name];
  for (const attribute of required) if (attributes[attribute] === undefined) throw new Error(`${name} without ${attribute}`);
  for (const attribute of Object.keys(attributes))
    if (![...required, ...known].includes(attribute)) throw new Error(`${name} with ${attribute}`);
  for (const child of children) {
    if (!within.includes(child.name)) throw new Error(`${child.name} in ${name}`);
    checkShape(child);
  }
}

function checkCounts({ attributes }: Element, children: readonly Element[]): void {
  const cases = children.filter(({ name }) => name === "testcase");
  const counts = [cases.length, ...["failure", "skipped"].map((verdict) => cases.filter((one) => childOf(one, verdict)).length)];
  const told = [attributes.tests, attributes.failures, attributes.skipped].map(Number);
  if (counts.join() !== told.join()) throw new Error(`counts ${told} of ${counts}`);
}

export function childOf({ children }: Element, name: string): Element | undefined {
  return children.find((child) => child.name === name);
}

/** Text that somebody may put into a name to break a report, or out of one. */
const hostile = fc
  .array(
    fc.oneof(
      fc.constantFrom("]]>", "<![CDATA[", "</testcase>", '"', "'", "&", "&#0;", "\u0000", "\u001b[31m", "\r\n", "\u2028", "\u202e"),
      fc.constantFrom("\ud800", "\udfff", "\ufffe", "\uffff", "💥", "{0}", "}}", "[a](b)", "](", "..", "/", "\\", "%2e%2e", ":", "?#"),
      fc.string({ unit: fc.integer({ min: 0, max: 0xffff }).map((code) => String.fromCharCode(code)), maxLength: 6 }),
    ),
    { minLength: 1, maxLength: 5 },
  )
  .map((parts) => parts.join(""));

const place: fc.Arbitrary<FindingPlace> = fc.record(
  {
    object: hostile,
    file: fc.oneof(hostile, fc.constantFrom("policies/a.yaml", "/work/shop/a b.yaml", "/elsewhere/ä.yaml", "../../out.yaml", "..")),
    line: fc.nat({ max: 3 }),
    column: fc.nat({ max: 3 }),
    role: hostile,
  },
  { requiredKeys: ["object"] },
);

const rules: readonly FindingRule[] = (["error", "warning", "note"] as const).map((level) => ({
  id: `rule-${level}`,
  summary: "a summary",
  description: "A description.",
  help: "Some help.",
  level,
}));

const testCase: fc.Arbitrary<FindingCase> = fc.record(
  { suite: hostile, name: hostile, place, skipped: hostile },
  { requiredKeys: ["suite", "name"] },
);

/** Reports whose every text is hostile. */
export const hostileReport: fc.Arbitrary<FindingReport> = fc.array(testCase, { maxLength: 4 }).chain((cases) => {
  const finding: fc.Arbitrary<Finding> = fc.record(
    {
      rule: fc.constantFrom(...rules),
      level: fc.constantFrom("error", "warning", "note"),
      message: hostile,
      places: fc.array(place, { minLength: 1, maxLength: 3 }).map((places) => places as [FindingPlace, ...FindingPlace[]]),
      identity: fc.array(hostile, { maxLength: 2 }),
      cases: fc.subarray(cases),
      isUndecided: fc.boolean(),
      accepted: hostile,
    },
    { requiredKeys: ["rule", "level", "message", "places", "identity", "cases"] },
  );
  return fc.record({
    command: fc.constant("simulate"),
    rules: fc.constant(rules),
    findings: fc.array(finding, { maxLength: 5 }),
    cases: fc.constant(cases),
    warnings: fc.array(hostile, { maxLength: 2 }),
  });
});

/** Puts a report's pieces together; bytes are valid only until the next piece. */
export function textOf(pieces: Iterable<string | Uint8Array>): string {
  let text = "";
  for (const piece of pieces) text += typeof piece === "string" ? piece : Buffer.from(piece).toString();
  return text;
}

/** A report of one finding. */
export function reportOf(finding: Partial<Finding>, more: Partial<FindingReport> = {}): FindingReport {
  const one: Finding = {
    rule: rules[0],
    level: "error",
    message: "a to b would be dropped",
    places: [{ object: "NetworkPolicy shop/a" }],
    identity: ["a", "b"],
    cases: [],
    ...finding,
  };
  return { command: "simulate", rules, findings: [one], cases: one.cases, warnings: [], ...more };
}
