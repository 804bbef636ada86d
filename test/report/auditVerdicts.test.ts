import { load } from "js-yaml";
import { describe, expect, it } from "vitest";
import type { AuditVerdict } from "../../src/policy/auditVerdict.ts";
import { ageText, type VerdictsResult, verdictsJson, verdictsTable, verdictsYaml } from "../../src/report/auditVerdicts.ts";

const NOW = 1_800_000_000;
const verdict = (fields: Partial<AuditVerdict> = {}): AuditVerdict => ({
  policyNamespace: "shop",
  policyName: "web",
  source: "jobs/batch-1",
  destination: "shop/web-1",
  port: 8080,
  protocol: "tcp",
  direction: "Ingress",
  verdict: "WouldDeny",
  reason: "no rule matches",
  time: { seconds: NOW - 90, nanoseconds: 0 },
  ...fields,
});
const result = (verdicts: readonly AuditVerdict[], fields: Partial<VerdictsResult> = {}): VerdictsResult => ({
  verdicts,
  namespace: "shop",
  limit: 100,
  mayBeCut: false,
  now: NOW,
  warnings: [],
  ...fields,
});

describe("ageText", () => {
  // k8s.io/apimachinery/pkg/util/duration, TestHumanDuration.
  it.each([
    [-2, "<invalid>"],
    [-1, "0s"],
    [0, "0s"],
    [1, "1s"],
    [119, "119s"],
    [120, "2m"],
    [150, "2m30s"],
    [599, "9m59s"],
    [600, "10m"],
    [3 * 3600 - 1, "179m"],
    [3 * 3600, "3h"],
    [3 * 3600 + 1800, "3h30m"],
    [8 * 3600 - 1, "7h59m"],
    [8 * 3600, "8h"],
    [48 * 3600 - 1, "47h"],
    [48 * 3600, "2d"],
    [48 * 3600 + 3600, "2d1h"],
    [8 * 86400 - 1, "7d23h"],
    [8 * 86400, "8d"],
    [2 * 365 * 86400 - 1, "729d"],
    [2 * 365 * 86400, "2y"],
    [(2 * 365 + 1) * 86400, "2y1d"],
    [8 * 365 * 86400, "8y"],
  ])("%d seconds: %s", (seconds, text) => expect(ageText(seconds)).toBe(text));
});

describe("verdictsTable", () => {
  it("has times in the wide form", () => {
    const [title, line] = verdictsTable(result([verdict()]), true).split("\n");
    expect(title).toMatch(/^TIME +AGE +POLICY/);
    expect(line).toMatch(
      /^2027-01-15T07:58:30Z +90s +shop\/web +Ingress +jobs\/batch-1 +shop\/web-1 +8080\/TCP +WouldDeny +no rule matches$/,
    );
  });

  it("says what is not known", () => {
    const text = verdictsTable(
      result([verdict({ policyNamespace: "", source: "?", port: undefined, protocol: "ICMP", reason: "", time: undefined })]),
    );
    expect(text).toMatch(/^<unknown> +web +Ingress +<unknown> +shop\/web-1 +ICMP +WouldDeny +<unknown>$/m);
    expect(text).toContain("`kubectl kguardian audit promote web`");
  });

  it("recommends to enforce where nothing would be denied", () => {
    expect(verdictsTable(result([verdict({ verdict: "Allow" })]))).toContain(
      "Nothing here would be denied: `kubectl kguardian audit promote web -n shop`",
    );
  });

  it("is empty without verdicts, and makes hostile text visible", () => {
    expect(verdictsTable(result([]))).toBe("");
    const text = verdictsTable(result([verdict({ policyName: "\u001b[31m\u202e", reason: "a\nb" })]), true);
    expect(text).toContain("\\u001b[31m\\u202e");
    expect(text).not.toMatch(/[\u001b\u202e]/);
    expect(text.split("\n")).toHaveLength(5);
  });
});

describe("verdictsJson", () => {
  it("has every field, and is the same in YAML", () => {
    const report = JSON.parse(
      verdictsJson(result([verdict(), verdict({ policyNamespace: "", destination: "?", time: undefined, port: undefined })])),
    );
    expect(report).toEqual({
      apiVersion: "kguardian.dev/v1alpha1",
      kind: "AuditVerdictReport",
      summary: { records: 2, wouldDeny: 2, limit: 100, mayBeCut: false },
      verdicts: [
        {
          observedAt: "2027-01-15T07:58:30.000000000Z",
          policy: { kind: "AuditNetworkPolicy", namespace: "shop", name: "web" },
          direction: "Ingress",
          source: "jobs/batch-1",
          destination: "shop/web-1",
          port: 8080,
          protocol: "tcp",
          verdict: "WouldDeny",
          reason: "no rule matches",
        },
        expect.objectContaining({
          observedAt: null,
          policy: { kind: "AuditClusterNetworkPolicy", name: "web" },
          destination: null,
          port: null,
        }),
      ],
      warnings: [],
    });
    expect(load(verdictsYaml(result([verdict()])))).toEqual(JSON.parse(verdictsJson(result([verdict()]))));
  });
});
