import { fileURLToPath } from "node:url";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { pathInSources } from "../../src/report/findings.ts";
import { sarif } from "../../src/report/sarif.ts";
import { printable } from "../../src/report/text.ts";
import { hostileReport, ORIGIN, readSarif, reportOf, type SarifLocation, type SarifRun, textOf } from "./findingReports.ts";

const only = (report: ReturnType<typeof reportOf>) => readSarif(textOf(sarif(report, ORIGIN))).results[0];
const uriOf = ({ physicalLocation: { artifactLocation } }: SarifLocation) => artifactLocation;
const at = (file: string, line?: number) => ({ object: "NetworkPolicy shop/a", file, ...(line === undefined ? {} : { line }) });

describe("places", () => {
  test("below the top of the sources: a relative reference with its base, encoded", () => {
    const { locations } = only(reportOf({ places: [at("policies/a b%.yaml", 7)] }));
    expect(uriOf(locations[0])).toEqual({ uri: "deploy/policies/a%20b%25.yaml", uriBaseId: "%SRCROOT%" });
    expect(locations[0].physicalLocation.region).toEqual({ startLine: 7 });
  });

  test("outside: an absolute URI without a base", () => {
    expect(uriOf(only(reportOf({ places: [at("../../x/a.yaml")] })).locations[0])).toEqual({ uri: "file:///work/x/a.yaml" });
  });

  test("a colon in a name is no scheme, and a drive letter no root", () => {
    expect(uriOf(only(reportOf({ places: [at("../C:/a.yaml")] })).locations[0]).uri).toBe("C%3A/a.yaml");
  });

  test("without a file: an artifact named after the object, so that GitHub takes the log", () => {
    const [location] = only(reportOf({ places: [{ object: "NetworkPolicy shop/a" }] })).locations;
    expect(uriOf(location)).toMatchObject({ uri: "NetworkPolicy/shop/a" });
    expect(location.physicalLocation.region.startLine).toBe(1);
  });

  test("no name leads out of the sources", () => {
    expect(uriOf(only(reportOf({ places: [{ object: "Pod ../../x" }] })).locations[0]).uri).toBe("Pod/-/-/x");
  });

  test("the top of the sources may be the root of all files", () => {
    const run = readSarif(textOf(sarif(reportOf({ places: [at("a.yaml")] }), { ...ORIGIN, sourceRoot: "/" })));
    expect(run.originalUriBaseIds["%SRCROOT%"].uri).toBe("file:///");
    expect(uriOf(run.results[0].locations[0]).uri).toBe("work/shop/deploy/a.yaml");
  });

  test("further places are related ones, and the message links to them", () => {
    const result = only(reportOf({ places: [at("a.yaml", 1), { ...at("a.yaml", 14), role: "the [rule]" }, { object: "Pod shop/b" }] }));
    expect(result.relatedLocations?.map(({ id, physicalLocation }) => [id, physicalLocation.region.startLine])).toEqual([[1, 14]]);
    expect(result.message.text).toBe("a to b would be dropped; see [the rule](1)");
  });
});

describe("results", () => {
  test("nothing found: an empty list, not none", () => {
    expect(readSarif(textOf(sarif(reportOf({}, { findings: [] }), ORIGIN))).results).toEqual([]);
  });

  test("of very many nothing is lost between the pieces", () => {
    const [finding] = reportOf({}).findings;
    const findings = Array.from({ length: 1000 }, (_, i) => ({ ...finding, message: `ä ${i}` }));
    const { results } = readSarif(textOf(sarif(reportOf({}, { findings }), ORIGIN)));
    expect(results.map(({ message }) => message.text)).toEqual(findings.map(({ message }) => message));
  });

  test("fingerprints stay when lines and messages change, and differ otherwise, also for twins", () => {
    const before = only(reportOf({ places: [at("a.yaml", 1)], message: "seen 1 time" })).partialFingerprints;
    const after = only(reportOf({ places: [at("a.yaml", 9)], message: "seen 2 times" })).partialFingerprints;
    expect(after).toEqual(before);
    expect(only(reportOf({ identity: ["a", "c"] })).partialFingerprints).not.toEqual(before);
    const [finding] = reportOf({}).findings;
    const twins = readSarif(textOf(sarif(reportOf({}, { findings: [finding, finding] }), ORIGIN))).results;
    expect(new Set(twins.map(({ partialFingerprints }) => partialFingerprints.primaryLocationLineHash)).size).toBe(2);
  });

  test("an accepted finding is suppressed with its reason; then every result says whether it is", () => {
    const [finding] = reportOf({}).findings;
    const { results } = readSarif(textOf(sarif(reportOf({}, { findings: [finding, { ...finding, accepted: "until June" }] }), ORIGIN)));
    expect(results.map(({ suppressions }) => suppressions?.map(({ justification }) => justification))).toEqual([[], ["until June"]]);
    expect(only(reportOf({}))).not.toHaveProperty("suppressions");
  });

  test("names from outside make no links and no placeholders", () => {
    const { text } = only(reportOf({ message: "to [click](https://evil.example) {0}" })).message;
    expect(text).toBe("to [click] (https://evil.example) {{0}}");
  });
});

/** What holds of any log, whatever texts it is made of. */
function checkRun(run: SarifRun, text: string): void {
  expect(text).not.toMatch(/[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u2028-\u202e]/);
  const texts: string[] = [];
  JSON.parse(text, (_, value) => (typeof value === "string" ? texts.push(value) : value));
  expect(texts.filter((one) => !one.isWellFormed())).toEqual([]);
  const base = run.originalUriBaseIds["%SRCROOT%"].uri;
  for (const result of run.results) {
    expect(run.tool.driver.rules[result.ruleIndex].id).toBe(result.ruleId);
    const links = [...result.message.text.matchAll(/\]\(([^)]*)\)?/g)].map(([, to]) => Number(to));
    expect(links).toEqual((result.relatedLocations ?? []).map(({ id }) => id));
    for (const location of [...result.locations, ...(result.relatedLocations ?? [])]) {
      const { uri, uriBaseId } = uriOf(location);
      expect(new URL(uri, base).href.startsWith(base) || (uri.startsWith("file:///") && uriBaseId === undefined)).toBe(true);
      const { startLine, startColumn = 1 } = location.physicalLocation.region;
      expect(Math.min(startLine, startColumn)).toBeGreaterThanOrEqual(1);
    }
  }
  const hashes = run.results.map(({ partialFingerprints }) => partialFingerprints.primaryLocationLineHash);
  expect(new Set(hashes).size).toBe(hashes.length);
}

test("property: hostile texts give a valid log that lacks nothing and points where the findings do", () => {
  fc.assert(
    fc.property(hostileReport, (report) => {
      const text = textOf(sarif(report, ORIGIN));
      const run = readSarif(text);
      checkRun(run, text);
      expect(run.results.length).toBe(report.findings.length);
      expect(run.invocations[0].toolExecutionNotifications.length).toBe(report.warnings.length);
      for (const [i, { places, accepted }] of report.findings.entries()) {
        const { locations, suppressions } = run.results[i];
        const [{ file }] = places;
        const { uri, uriBaseId } = uriOf(locations[0]);
        if (file !== undefined && uriBaseId !== undefined)
          expect(decodeURIComponent(uri)).toBe(pathInSources(file, ORIGIN)!.toWellFormed());
        else if (file !== undefined) expect(fileURLToPath(uri).startsWith("/")).toBe(true);
        expect(suppressions?.[0]?.justification).toBe(accepted === undefined ? undefined : printable(accepted));
      }
    }),
    { numRuns: 300 },
  );
});
