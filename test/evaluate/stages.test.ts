import { describe, expect, test } from "vitest";
import { CNI_NAMES, type CniName, profileOf } from "../../src/evaluate/profile.ts";
import { rulesUnder, stagesOf } from "../../src/evaluate/stages.ts";
import type { Policy } from "../../src/policy/model.ts";
import { policySetOf } from "../oracle/compiled.ts";
import { ALL_KINDS, adminPolicy, calico, ciliumPolicy, clusterPolicy, networkPolicy } from "./dialects.ts";

const title = ({ ref }: Policy) => `${ref.namespace === undefined ? "" : `${ref.namespace}/`}${ref.name}`;

/** Returns a line a stage, `name combine end: policies`, and one for those that the plugin ignores. */
function stages(cni: CniName, ...texts: readonly string[]): string[] {
  const { stages, ignored } = stagesOf(policySetOf(texts.join("---\n")), profileOf(cni));
  const lines = stages.map(({ name, combine, end, policies }) => `${name} ${combine} ${end}: ${policies.map(title).join(" ")}`);
  return ignored.length > 0 ? [...lines, `ignored: ${ignored.map(title).join(" ")}`] : lines;
}

const TIER = calico("Tier", "security", "order: 100, defaultAction: Pass");
const IN_TIER = calico("GlobalNetworkPolicy", "security.a", "tier: security");
const CLUSTER_BASELINE = clusterPolicy(
  "base",
  "tier: Baseline, priority: 3, subject: {namespaces: {}}, ingress: [{action: Deny, from: [{namespaces: {}}]}]",
);
const { AuditNetworkPolicy: _, ...KINDS } = ALL_KINDS;
const EVERYTHING = [...Object.values(KINDS), CLUSTER_BASELINE, TIER, IN_TIER];
const CALICO_KINDS = "shop/calico global security.a";
const CILIUM_KINDS = "shop/cnp ccnp";

describe("every kind at once", () => {
  const EXPECTED: Readonly<Record<CniName, readonly string[]>> = {
    generic: [
      "admin first-match pass: cluster admin",
      "networkpolicy deny-first deny: shop/np",
      "baseline first-match pass: default base",
      `ignored: ${CILIUM_KINDS} ${CALICO_KINDS}`,
    ],
    cilium: [
      "admin first-match pass: cluster",
      `cilium deny-first later: shop/np ${CILIUM_KINDS}`,
      "baseline first-match pass: base",
      `ignored: admin default ${CALICO_KINDS}`,
    ],
    calico: [
      "tier security first-match pass: security.a",
      "admin first-match pass: cluster admin",
      "tier default first-match deny: shop/np shop/calico global",
      "baseline first-match pass: default base",
      `ignored: ${CILIUM_KINDS}`,
    ],
    antrea: [
      "admin first-match pass: cluster admin",
      "networkpolicy deny-first deny: shop/np",
      "baseline first-match pass: default base",
      `ignored: ${CILIUM_KINDS} ${CALICO_KINDS}`,
    ],
    "ovn-kubernetes": [
      "admin first-match pass: admin",
      "networkpolicy deny-first deny: shop/np",
      "baseline first-match pass: default",
      `ignored: cluster base ${CILIUM_KINDS} ${CALICO_KINDS}`,
    ],
    aws: ["networkpolicy deny-first deny: shop/np", `ignored: admin default cluster base ${CILIUM_KINDS} ${CALICO_KINDS}`],
    "kube-router": ["networkpolicy deny-first deny: shop/np", `ignored: admin default cluster base ${CILIUM_KINDS} ${CALICO_KINDS}`],
  };
  const sorted = (lines: readonly string[]) => lines.map((line) => (line.startsWith("ignored") ? line.split(" ").sort().join(" ") : line));
  test.each(CNI_NAMES)("%s", (cni) => {
    expect(sorted(stages(cni, ...EVERYTHING))).toEqual(sorted(EXPECTED[cni]));
  });

  test.each(CNI_NAMES)("%s: no policy, no stage", (cni) => expect(stages(cni, TIER)).toEqual([]));
});

describe("order", () => {
  const subject = "subject: {namespaces: {}}, ingress: [{action: Deny, from: [{namespaces: {}}]}]";
  test.each(["generic", "calico", "antrea"] as const)("%s: admin policies by priority, then name, the two kinds together", (cni) => {
    const lines = stages(
      cni,
      adminPolicy("c", `priority: 10, ${subject}`),
      adminPolicy("z", `priority: 2, ${subject}`),
      clusterPolicy("b", `tier: Admin, priority: 10, ${subject}`),
      clusterPolicy("a", `tier: Admin, priority: 100, ${subject}`),
    );
    expect(lines).toEqual(["admin first-match pass: z b c a"]);
  });

  const policyIn = (kind: string, name: string, spec: string) => calico(kind, name, spec);
  test("Calico: policies by order; NetworkPolicies have 1000; none comes last; ties by name, namespace, kind", () => {
    const lines = stages(
      "calico",
      policyIn("NetworkPolicy", "shop/last", ""),
      policyIn("GlobalNetworkPolicy", "b", "order: 1000"),
      policyIn("NetworkPolicy", "shop/b", "order: 1000"),
      policyIn("NetworkPolicy", "data/b", "order: 1000"),
      networkPolicy("shop/c", "podSelector: {}"),
      networkPolicy("shop/a", "podSelector: {}"),
      policyIn("GlobalNetworkPolicy", "after", "order: 1000.5"),
      policyIn("GlobalNetworkPolicy", "first", "order: -5"),
      policyIn("GlobalNetworkPolicy", "also-last", ""),
    );
    expect(lines).toEqual(["tier default first-match deny: first shop/a b data/b shop/b shop/c after also-last shop/last"]);
  });

  test("Calico: tiers by order, then name; `default` keeps order 1000000 and its end; a tier that nobody describes is like it", () => {
    const tier = (name: string, spec: string) => calico("Tier", name, spec);
    const inTier = (name: string) => policyIn("GlobalNetworkPolicy", `${name}.p`, `tier: ${name}`);
    const lines = stages(
      "calico",
      tier("late", "order: 2000000"),
      tier("b", "order: 50"),
      tier("a", "order: 50, defaultAction: Pass"),
      ...["late", "b", "a", "nobody"].map(inTier),
      policyIn("GlobalNetworkPolicy", "p", ""),
    );
    expect(lines).toEqual([
      "tier a first-match pass: a.p",
      "tier b first-match deny: b.p",
      "tier default first-match deny: p",
      "tier nobody first-match deny: nobody.p",
      "tier late first-match deny: late.p",
    ]);
  });

  test("Calico: a tier's order decides whether it comes before the admin policies, which have 1000", () => {
    const lines = stages(
      "calico",
      calico("Tier", "early", "order: 999"),
      calico("Tier", "later", "order: 1001"),
      calico("GlobalNetworkPolicy", "early.p", "tier: early"),
      calico("GlobalNetworkPolicy", "later.p", "tier: later"),
      clusterPolicy("admin", `tier: Admin, priority: 1, ${subject}`),
    );
    expect(lines.map((line) => line.split(" first")[0])).toEqual(["tier early", "admin", "tier later"]);
  });
});

describe("what is not asked", () => {
  test.each([
    ["staged", calico("StagedGlobalNetworkPolicy", "p", "selector: all()"), "calico"],
    ["for host endpoints", calico("GlobalNetworkPolicy", "p", "doNotTrack: true, applyOnForward: true"), "calico"],
    [
      "for nodes",
      "apiVersion: cilium.io/v2\nkind: CiliumClusterwideNetworkPolicy\nmetadata: {name: p}\nspec: {nodeSelector: {}, ingress: [{}]}\n",
      "cilium",
    ],
    ["for nobody", ciliumPolicy("shop/p", "endpointSelector: {matchLabels: {'reserved:host': ''}}, ingress: [{}]"), "cilium"],
  ] as const)("%s: neither a stage nor ignored", (_what, text, cni) => expect(stages(cni, text)).toEqual([]));

  test("under generic a staged policy is not named as ignored either", () => {
    expect(stages("generic", calico("StagedGlobalNetworkPolicy", "p", "selector: all()"))).toEqual([]);
  });
});

describe("how Cilium reads others' policies", () => {
  const rules = (text: string, direction: "ingress" | "egress", cni: CniName = "cilium") =>
    stagesOf(policySetOf(text), profileOf(cni)).stages.flatMap(({ policies }) =>
      policies.flatMap((policy) => rulesUnder(profileOf(cni), policy, direction)?.rules ?? []),
    );

  test("rules for a direction that policyTypes leaves out count; Kubernetes ignores them", () => {
    const text = networkPolicy("shop/p", "podSelector: {}, policyTypes: [Ingress], egress: [{ports: [{port: 80}]}]");
    expect([rules(text, "egress").length, rules(text, "egress", "generic").length]).toEqual([1, 0]);
  });

  test("an admin rule by DNS name opens the name servers as well", () => {
    const text = clusterPolicy(
      "p",
      "tier: Admin, priority: 1, subject: {namespaces: {}}, egress: [{action: Accept, to: [{domainNames: [example.com]}]}]",
    );
    expect(rules(text, "egress").map(({ peers }) => peers !== "any" && peers.map(({ kind }) => kind))).toEqual([["names"], ["pods"]]);
    expect(rules(text, "egress", "generic")).toHaveLength(1);
  });
});
