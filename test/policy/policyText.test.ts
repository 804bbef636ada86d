import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { readManifest } from "../../src/cluster/manifest.ts";
import { edited, extendList, NotExtendable } from "../../src/policy/extendText.ts";
import { itemLines, policyText } from "../../src/policy/policyText.ts";

/** Texts that YAML 1.1 or the API's own reader takes for something else than text. */
const ODD = [
  "9_E2",
  "on",
  "y",
  "yes",
  "1:30",
  "0x1",
  "1e3",
  "null",
  "~",
  "=",
  "<<",
  "2026-11-22",
  "08",
  "010",
  "0o7",
  ".5",
  "-",
  "a: b",
  "#x",
  "'",
  "1_0",
  "true",
  "",
  ".nan",
  "- a",
  "*x",
  "&a",
  "!t",
  "@",
  "%",
  "a\u0085b",
  "\u2028",
  "\ttab",
  "two\nlines",
];

describe("the text of a policy", () => {
  test("reads back as it was written, whatever its labels are", () => {
    const value = fc.oneof(fc.constantFrom(...ODD), fc.string());
    fc.assert(
      fc.property(fc.dictionary(value, value), (labels) => {
        const object = {
          apiVersion: "networking.k8s.io/v1",
          kind: "NetworkPolicy",
          metadata: { name: "a", labels },
          spec: { podSelector: { matchLabels: labels }, ingress: [{ ports: [{ port: 80 }] }] },
        };
        const [{ value: read }] = readManifest(policyText(object, { head: ["x"], items: { ingress: [["y"]] } }), "a.yaml");
        expect(read).toEqual(object);
      }),
    );
  });

  test("has comments above the object, its fields and its items", () => {
    const object = { apiVersion: "v1", kind: "K", metadata: { name: "a" }, spec: { x: 1, ingress: [{ a: 1 }, { b: 2 }], egress: [] } };
    expect(
      policyText(object, { head: ["one", "", "two"], fields: { egress: ["closed"] }, items: { ingress: [["first", "rule"], []] } }),
    ).toBe(
      "# one\n#\n# two\napiVersion: v1\nkind: K\nmetadata:\n  name: a\nspec:\n  x: 1\n  ingress:\n    # first\n    # rule\n    - a: 1\n    - b: 2\n  # closed\n  egress: []\n",
    );
  });
});

describe("rules added to a text", () => {
  const RULE = itemLines([{ ports: [{ port: 1 }] }], [["new"]]);
  const extend = (spec: string, field = "ingress") => {
    const text = `# mine\napiVersion: v1\nkind: K\nmetadata: {name: a}\nspec:\n${spec}`;
    const [object] = readManifest(text, "a.yaml");
    const after = edited(text, [extendList(text, object, field, RULE)]);
    return { lines: after.split("\n").slice(5), read: readManifest(after, "a.yaml")[0].value.spec as Record<string, unknown> };
  };

  test.each([
    ["  ingress:\n  - a: 1 # keep\n  x: 1\n", "ingress"],
    ["    ingress:\n      -   a: 1\n", "ingress"],
    ["  x: 1\n  ingress: []\n", "ingress"],
    ["  x: 1\n  ingress: # none\n  egress: [{}]\n", "ingress"],
    ["  ingress: null\n", "ingress"],
    ["  x: 1\n  egress: [{}]\n", "ingress"],
  ])("%j", (spec, field) => {
    const { read } = extend(spec, field);
    const list = read.ingress as unknown[];
    expect(list[0]).toEqual({ ports: [{ port: 1 }] });
    expect(list.slice(1)).toEqual(spec.includes("a: 1") ? [{ a: 1 }] : []);
  });

  test("leaves every other line as it was", () => {
    expect(extend("  ingress:\n  - a: 1 # keep\n  x: 1\n").lines).toEqual([
      "  ingress:",
      "  # new",
      "  - ports:",
      "      - port: 1",
      "  - a: 1 # keep",
      "  x: 1",
      "",
    ]);
  });

  test.each(["  ingress: [{a: 1}]\n", "  {ingress: [], x: 1}\n"])("refuses %j, with the line", (spec) => {
    expect(() => extend(spec)).toThrow(NotExtendable);
    expect(() => extend(spec)).toThrow(/^a\.yaml:6: /);
  });
});
