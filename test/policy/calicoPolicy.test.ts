import { describe, expect, test } from "vitest";
import { readManifest } from "../../src/cluster/manifest.ts";
import { readCalicoPolicy } from "../../src/policy/calico/calicoPolicy.ts";
import { calicoPolicy, matchText } from "./calicoText.ts";

describe("which directions a policy governs (rules in ingress, egress; - for not governed)", () => {
  test.each<[expected: string, ...lines: string[]]>([
    ["0 -", "selector: all()"],
    ["0 -", "ingress: []"],
    ["- 1", "ingress: []", "egress: [{action: Allow}]"],
    ["1 -", "ingress: [{action: Allow}]"],
    ["1 1", "ingress: [{action: Allow}]", "egress: [{action: Allow}]"],
    ["1 -", "types: [Ingress]", "ingress: [{action: Allow}]", "egress: [{action: Allow}]"],
    ["0 0", "types: [Egress, Ingress]"],
  ])("%s: %s %s %s", (expected, ...lines) => {
    const { ingress, egress } = calicoPolicy("NetworkPolicy", ...lines);
    expect(`${ingress?.rules.length ?? "-"} ${egress?.rules.length ?? "-"}`).toBe(expected);
    expect([ingress?.isolates ?? true, egress?.isolates ?? true]).toEqual([true, true]);
  });
});

describe("what a policy selects (namespaces / pods / where)", () => {
  test.each<[kind: string, expected: string, ...lines: string[]]>([
    ["NetworkPolicy", "shop / *", "order: 1"],
    ["NetworkPolicy", "shop / app == 'a' && !has(b)", "selector: app == 'a' && !has(b)"],
    ["NetworkPolicy", "shop / * / projectcalico.org/namespace == 'x'", "selector: projectcalico.org/namespace == 'x'"],
    ["NetworkPolicy", "shop / has(a) / has(pcsa.r)", "selector: has(a)", "serviceAccountSelector: has(r)"],
    ["NetworkPolicy", "shop / *", "selector: projectcalico.org/orchestrator == 'k8s'", "serviceAccountSelector: all()"],
    ["NetworkPolicy", "shop / * / !all()", "selector: projectcalico.org/orchestrator != 'k8s'"],
    ["GlobalNetworkPolicy", "* / *", "order: 1"],
    ["GlobalNetworkPolicy", "env != 'x' / has(a)", "namespaceSelector: env != 'x'", "selector: has(a)"],
    ["GlobalNetworkPolicy", "x / *", "namespaceSelector: kubernetes.io/metadata.name == 'x'"],
    ["GlobalNetworkPolicy", "* / *", "namespaceSelector: all()"],
    ["GlobalNetworkPolicy", "* / * / has(pcns.a) || has(pcns.b)", "namespaceSelector: has(a) || has(b)"],
  ])("%s %s: %s %s", (kind, expected, ...lines) => expect(matchText(calicoPolicy(kind, ...lines).subject)).toBe(expected));
});

test("tier and order", () => {
  expect(calicoPolicy("NetworkPolicy", "order: 10.5").tier).toEqual({ kind: "calico", name: "default", order: 10.5 });
  expect(calicoPolicy("NetworkPolicy", "tier: sec", "order: null").tier).toEqual({ kind: "calico", name: "sec" });
});

test.each(["doNotTrack", "preDNAT"])("a policy with %s does nothing to pods", (field) => {
  expect(calicoPolicy("GlobalNetworkPolicy", `${field}: true`, "applyOnForward: true").inert).toContain(field);
  expect(calicoPolicy("GlobalNetworkPolicy", `${field}: false`, "applyOnForward: true").inert).toBeUndefined();
});

describe("staged policies", () => {
  test.each<[kind: string, action: string, expected: string]>([
    ["StagedNetworkPolicy", "null", "Set"],
    ["StagedGlobalNetworkPolicy", "Learn", "Learn"],
    ["StagedNetworkPolicy", "Ignore", "Ignore"],
    ["StagedKubernetesNetworkPolicy", "Set", "Set"],
    ["StagedKubernetesNetworkPolicy", "Delete", "Delete"],
  ])("%s, %s", (kind, action, expected) => {
    const { staged, ref } = calicoPolicy(kind, `stagedAction: ${action}`);
    expect([staged, ref.kind]).toEqual([expected, kind]);
  });

  test("a StagedKubernetesNetworkPolicy has the spec of a NetworkPolicy", () => {
    const { tier, subject, egress } = calicoPolicy(
      "StagedKubernetesNetworkPolicy",
      "podSelector: {matchLabels: {app: a}}",
      "policyTypes: [Egress]",
      "egress: [{ports: [{port: 53}]}]",
    );
    expect([tier, matchText(subject), egress?.rules[0].ports]).toEqual([
      { kind: "networkpolicy" },
      "shop / app == 'a'",
      [{ protocol: 6, ports: { first: 53, last: 53 } }],
    ]);
  });
});

describe("stored objects, crd.projectcalico.org/v1", () => {
  const nameOf = (name: string, spec: string, kept?: string) => {
    const annotations = kept === undefined ? "" : `, annotations: {projectcalico.org/metadata: '${kept}'}`;
    const text = `apiVersion: crd.projectcalico.org/v1\nkind: GlobalNetworkPolicy\nmetadata: {name: ${name}${annotations}}\nspec: ${spec}\n`;
    const { policies } = readCalicoPolicy(readManifest(text, "p.yaml")[0]);
    return `${policies?.[0].ref.apiVersion} ${policies?.[0].ref.name}`;
  };

  test("their names are those of the v3 objects", () => {
    expect(nameOf("default.p", "{}")).toBe("crd.projectcalico.org/v1 p");
    expect(nameOf("default.p", "{tier: default}", "{}")).toBe("crd.projectcalico.org/v1 p");
    expect(nameOf("default.a", "{}", '{"name":"b"}')).toBe("crd.projectcalico.org/v1 b");
    expect(nameOf("sec.p", "{tier: sec}")).toBe("crd.projectcalico.org/v1 sec.p");
    expect(nameOf("default.p", "{tier: sec}")).toBe("crd.projectcalico.org/v1 default.p");
  });

  test("in projectcalico.org/v3 a name is as it is written", () => {
    const text = "apiVersion: projectcalico.org/v3\nkind: NetworkPolicy\nmetadata: {name: default.p}\nspec: {}\n";
    const { policies } = readCalicoPolicy(readManifest(text, "p.yaml")[0], "web");
    expect(policies?.[0].ref).toEqual({
      apiVersion: "projectcalico.org/v3",
      kind: "NetworkPolicy",
      namespace: "web",
      name: "default.p",
      file: "p.yaml",
      line: 1,
    });
  });
});
