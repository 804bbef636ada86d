import { describe, expect, test } from "vitest";
import { readManifest } from "../../src/cluster/manifest.ts";
import { formatPrefix } from "../../src/net/prefix.ts";
import { readCalicoSet } from "../../src/policy/calico/sets.ts";
import { readCalicoTier } from "../../src/policy/calico/tier.ts";
import { calicoObject } from "./calicoText.ts";
import { problemLines } from "./manifestText.ts";

test("a set has addresses with or without a length, in whatever family, and its own labels", () => {
  const text =
    "apiVersion: projectcalico.org/v3\nkind: NetworkSet\nmetadata: {name: s, namespace: shop, labels: {a: b}}\n" +
    "spec: {nets: [10.0.0.1/8, 192.0.2.1, 'fd00::/8', 'fd00::1', '::ffff:10.0.0.1']}\n";
  const { sets, problems } = readCalicoSet(readManifest(text, "s.yaml")[0]);
  expect(problems).toEqual([]);
  expect(sets?.[0].prefixes.map(formatPrefix)).toEqual(["10.0.0.0/8", "192.0.2.1/32", "fd00::/8", "fd00::1/128", "10.0.0.1/32"]);
  expect([sets?.[0].labels, sets?.[0].ref.namespace]).toEqual([{ a: "b" }, "shop"]);
});

test("a stored set keeps the labels of the v3 object in an annotation", () => {
  const kept = `{"labels":{"kind":"ext"}}`;
  const text =
    "apiVersion: crd.projectcalico.org/v1\nkind: GlobalNetworkSet\n" +
    `metadata: {name: s, labels: {a: b}, annotations: {projectcalico.org/metadata: '${kept}'}}\nspec: {nets: []}\n`;
  const { sets } = readCalicoSet(readManifest(text, "s.yaml")[0]);
  expect(sets?.[0].labels).toEqual({ kind: "ext" });
  expect(sets?.[0].ref).not.toHaveProperty("namespace");
  const { problems } = readCalicoSet(readManifest(text.replace(kept, "{"), "s.yaml")[0]);
  expect(problems[0].message).toBe("`{` is no JSON object: Calico would leave the object out");
});

describe("sets that are refused or warned of", () => {
  test.each<[expected: string, ...lines: string[]]>([
    ["error 5:10 spec.nets[0]: `foo` is no address block, such as `10.0.0.0/8` or `fd00::/8`", "nets: [foo]"],
    ["error 5:10 spec.nets[0]: `10.0.0.0/33` is no address block, such as `10.0.0.0/8` or `fd00::/8`", "nets: [10.0.0.0/33]"],
    ["warning 5:20 spec.nets[1]: `10.0.0.1` is written twice", "nets: [10.0.0.1, 10.0.0.1]"],
    [
      "warning 5:3 spec.allowedEgressDomains: unknown field `spec.allowedEgressDomains` is dropped by Calico and does nothing",
      "allowedEgressDomains: [example.com]",
    ],
  ])("%s", (expected, ...lines) => {
    expect(problemLines(readCalicoSet(calicoObject("GlobalNetworkSet", ...lines)).problems)).toEqual([expected]);
  });
});

describe("tiers", () => {
  const tier = (name: string, spec: string) =>
    readCalicoTier(readManifest(`apiVersion: projectcalico.org/v3\nkind: Tier\nmetadata: {name: ${name}}\nspec: ${spec}\n`, "t.yaml")[0]);

  test.each<[name: string, spec: string, order: number, end: string]>([
    ["sec", "{}", 1_000_000, "deny"],
    ["sec", "{order: 0.5, defaultAction: Pass}", 0.5, "pass"],
    ["default", "{order: 1000000}", 1_000_000, "deny"],
    ["kube-admin", "{order: 1000, defaultAction: Pass}", 1000, "pass"],
  ])("%s %s", (name, spec, order, end) => expect(tier(name, spec).tiers).toMatchObject([{ name, order, end }]));

  test.each<[name: string, spec: string, expected: string]>([
    ["sec", "", "spec: a `spec` is required, an empty one at least"],
    ["a.b", "{}", "metadata.name: the name `a.b` is not an RFC 1123 label (a-z, 0-9 and -, ending in neither -)"],
    ["sec", "{defaultAction: Allow}", "spec.defaultAction: `Allow` is not known here: it is one of Deny, Pass"],
    ["sec", "{order: '1'}", "spec.order: expected a number, found `1`: write it without quotes"],
    ["default", "{}", "spec.order: the order of the tier `default` must be 1000000"],
    ["kube-baseline", "{order: 10000000}", "spec.defaultAction: the defaultAction of the tier `kube-baseline` must be Pass"],
  ])("%s %s: %s", (name, spec, expected) => {
    const { tiers, problems } = tier(name, spec);
    expect([tiers, problems.map(({ path, message }) => `${path}: ${message}`)]).toEqual([undefined, [expected]]);
  });
});
