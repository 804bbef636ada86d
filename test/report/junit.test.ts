import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { Finding, FindingCase } from "../../src/report/findings.ts";
import { junit } from "../../src/report/junit.ts";
import { printable } from "../../src/report/text.ts";
import { childOf, type Element, hostileReport, ORIGIN, readJunit, reportOf, textOf } from "./findingReports.ts";

const CASE: FindingCase = { suite: "policies.shop", name: "NetworkPolicy a", place: { object: "NetworkPolicy shop/a", file: "a.yaml" } };
const suiteOf = (finding: Partial<Finding>, one: FindingCase = CASE) =>
  readJunit(textOf(junit(reportOf({ cases: [one], ...finding }), ORIGIN)));
const verdictOf = (element: Element) => element.children.map(({ name }) => name);

describe("a case", () => {
  test("fails where a finding counts, with all of it in the text and the file from the top of the sources", () => {
    const [one] = suiteOf({ places: [{ object: "NetworkPolicy shop/a", file: "a.yaml", line: 3 }] }).children;
    expect(one.attributes).toMatchObject({ classname: "policies.shop", name: "NetworkPolicy a", file: "deploy/a.yaml" });
    expect(childOf(one, "failure")?.attributes).toEqual({ message: "a to b would be dropped", type: "rule-error" });
    expect(childOf(one, "failure")?.text).toBe("a to b would be dropped\n  NetworkPolicy shop/a: deploy/a.yaml:3");
  });

  test("passes where what was found is accepted, or is a note, and says so", () => {
    const [accepted] = suiteOf({ accepted: "until June" }).children;
    expect(verdictOf(accepted)).toEqual(["system-out"]);
    expect(childOf(accepted, "system-out")?.text).toContain("a to b would be dropped; accepted: until June\n");
    expect(verdictOf(suiteOf({ level: "note" }).children[0])).toEqual(["system-out"]);
  });

  test("is skipped where nothing could be told, unless something failed", () => {
    expect(verdictOf(suiteOf({ level: "note", isUndecided: true }).children[0])).toEqual(["skipped", "system-out"]);
    expect(verdictOf(suiteOf({ level: "error", isUndecided: true }).children[0])).toEqual(["failure"]);
    const untested = { ...CASE, skipped: "no traffic" };
    expect(verdictOf(suiteOf({}, untested).children[0])).toEqual(["failure"]);
    expect(childOf(suiteOf({ level: "note" }, untested).children[0], "skipped")?.attributes.message).toBe("no traffic");
  });

  test("of several failures tells every one, and counts once", () => {
    const [finding] = reportOf({ cases: [CASE] }).findings;
    const second = { ...finding, message: "c to d would be dropped" };
    const suite = readJunit(textOf(junit(reportOf({ cases: [CASE] }, { findings: [finding, second] }), ORIGIN)));
    expect(suite.attributes).toMatchObject({ tests: "1", failures: "1" });
    const failure = childOf(suite.children[0], "failure");
    expect(failure?.attributes.message).toBe("a to b would be dropped (and 1 more)");
    expect(failure?.text).toContain("c to d would be dropped");
  });
});

test("of very many cases nothing is lost between the pieces", () => {
  const cases = Array.from({ length: 3000 }, (_, i) => ({ suite: "connections", name: `ä ${i}`, skipped: "unknown" }));
  const suite = readJunit(textOf(junit(reportOf({}, { findings: [], cases }), ORIGIN)));
  expect(suite.children.map(({ attributes }) => attributes.name)).toEqual(cases.map(({ name }) => name));
});

test("a suite of nothing is well-formed, and shows its warnings", () => {
  const suite = readJunit(textOf(junit(reportOf({}, { findings: [], cases: [], warnings: ["<a>", "b"] }), ORIGIN)));
  expect([suite.attributes.tests, childOf(suite, "system-out")?.text]).toEqual(["0", "<a>\nb"]);
});

/** Text as XML can hold it: two more characters than terminals refuse. */
const shown = (text: string) => printable(text).replaceAll("\ufffe", "\\ufffe").replaceAll("\uffff", "\\uffff");

test("property: hostile texts give well-formed XML of the known shape, with right counts, that lacks nothing", () => {
  fc.assert(
    fc.property(hostileReport, (report) => {
      const suite = readJunit(textOf(junit(report, ORIGIN)));
      const cases = suite.children.filter(({ name }) => name === "testcase");
      expect(cases.map(({ attributes: { classname, name } }) => [classname, name])).toEqual(
        report.cases.map(({ suite, name }) => [shown(suite), shown(name)]),
      );
      for (const { message, cases: about, level, accepted } of report.findings)
        for (const one of about) {
          const element = cases[report.cases.indexOf(one)];
          const told = childOf(element, level === "error" && accepted === undefined ? "failure" : "system-out");
          expect(told?.text).toContain(shown(message));
        }
    }),
    { numRuns: 300 },
  );
});
