import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { childOf, readJunit, readSarif } from "../report/findingReports.ts";
import { file, run, SHOP, sound } from "./program.ts";

/* What `coverage` says, against what `simulate` and `diff` say of the same policies. */

const FIXED = [...sound, "-f", `${SHOP}/network-policies-fixed`];

interface Ref {
  readonly kind: string;
  readonly namespace?: string;
  readonly name: string;
  readonly rule: string;
}

interface Report {
  readonly summary: { readonly rules: number; readonly hit: number; readonly percentage: number | null };
  readonly rules: readonly (Ref & {
    readonly file?: string;
    readonly line?: number;
    readonly hits: number;
    readonly connections: number;
    readonly matched: number;
    readonly findings: readonly string[];
    readonly firstSeen: string | null;
    readonly lastSeen: string | null;
  })[];
  readonly tighter: readonly { readonly name: string; readonly text: string }[];
  readonly selectsNoPod: readonly { readonly name: string; readonly near?: string }[];
}

function report(args: readonly string[], input = ""): Report {
  const { out, err, code } = run(["coverage", ...args, "-o", "json"], input);
  if (code !== 0) throw new Error(err);
  return JSON.parse(out) as Report;
}

/** Policies of the shop's workloads that allow far more than its traffic needs, in one dialect each. */
const WIDE: Readonly<Record<string, string>> = {
  generic: `apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: web, namespace: shop}
spec:
  podSelector: {matchLabels: {app: web}}
  policyTypes: [Ingress, Egress]
  ingress:
  - from: [{namespaceSelector: {}}]
  egress:
  - {}
  - to: [{podSelector: {matchLabels: {app: order}}}]
    ports: [{port: 8080}]
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: orders, namespace: shop}
spec:
  podSelector: {matchLabels: {app: orders}}
  policyTypes: [Ingress, Egress]
  ingress:
  - from: [{podSelector: {}}]
    ports: [{port: 8000, endPort: 9000}, {port: 22}]
  egress:
  - to: [{ipBlock: {cidr: 0.0.0.0/0}}, {podSelector: {}}, {namespaceSelector: {}}]
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: ghost, namespace: shop}
spec:
  podSelector: {matchLabels: {app: webb}}
  ingress: [{}]
`,
  cilium: `apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {name: web, namespace: shop}
spec:
  endpointSelector: {matchLabels: {app: web}}
  ingress:
  - fromEndpoints: [{matchExpressions: [{key: "k8s:io.kubernetes.pod.namespace", operator: Exists}]}]
    toPorts: [{ports: [{port: "8080", protocol: TCP}, {port: "22", protocol: TCP}, {port: "9100", protocol: TCP}]}]
  - fromEntities: [host]
  egress:
  - toEndpoints: [{}]
  - toEntities: [all]
`,
  calico: `apiVersion: projectcalico.org/v3
kind: NetworkPolicy
metadata: {name: web, namespace: shop}
spec:
  order: 10
  selector: app == 'web'
  types: [Ingress, Egress]
  ingress:
  - action: Allow
    protocol: TCP
    destination: {ports: [22, 8080, "9000:9200"]}
  - action: Deny
    protocol: TCP
    destination: {ports: [8080]}
  egress:
  - action: Allow
  - action: Allow
    protocol: UDP
`,
};

const wide = (cni: string) => [...sound, "--cni", cni, "--policy-mode", "replace", "-f", file(`wide-${cni}.yaml`, WIDE[cni])];

const keyOf = ({ kind, namespace, name, rule }: Ref) => `${kind} ${namespace}/${name} ${rule.match(/^(specs\[\d+\]\.)?\w+\[\d+\]/)?.[0]}`;

interface SimulatedConnection {
  readonly verdict: string;
  readonly count: number;
  readonly attempts: { readonly established: number; readonly unknown: number };
  readonly egress: { readonly verdict: string; readonly matched: readonly Ref[] };
  readonly ingress: { readonly verdict: string; readonly matched: readonly Ref[] };
}

describe.each(Object.keys(WIDE))("under %s", (cni) => {
  test("what each rule matched is what a plain count over simulate's connections gives", () => {
    const { connections } = JSON.parse(run(["simulate", ...wide(cni), "--exit-zero", "-o", "json"]).out) as {
      connections: SimulatedConnection[];
    };
    const { rules } = report(wide(cni));
    const actions = new Map(rules.map((rule) => [keyOf(rule), (rule as unknown as { action: string }).action]));
    const counts = new Map<string, number>();
    for (const { verdict, count, attempts, egress, ingress } of connections)
      for (const decision of [egress, ingress])
        for (const key of new Set(decision.verdict === "unknown" ? [] : decision.matched.map(keyOf))) {
          const isDenial = actions.get(key) === "deny";
          if (!isDenial && verdict !== "allow") continue;
          counts.set(key, (counts.get(key) ?? 0) + (isDenial ? count : attempts.established + attempts.unknown));
        }
    expect(rules.map((rule) => [keyOf(rule), rule.matched])).toEqual(rules.map((rule) => [keyOf(rule), counts.get(keyOf(rule)) ?? 0]));
    expect(rules.some(({ matched }) => matched > 0)).toBe(true);
  });

  test("the tighter policies drop nothing that was seen to be allowed, and allow nothing more", () => {
    const { tighter } = report(wide(cni));
    expect(tighter.length).toBeGreaterThan(0);
    const names = new Set(tighter.map(({ name }) => name));
    const others = WIDE[cni].split(/^---\n/m).filter((text) => !names.has(/name: (\w+)/.exec(text)![1]));
    const after = file(`tight-${cni}.yaml`, [...tighter.map(({ text }) => text), ...others].join("---\n"));
    const before = file(`wide-${cni}.yaml`, WIDE[cni]);
    const compared = run(["diff", before, after, ...sound, "--cni", cni, "--policy-mode", "replace", "--exit-zero", "-o", "json"]);
    const { connectivity, connections } = JSON.parse(compared.out) as {
      connectivity: { before: string; after: string }[];
      connections: { before: string; after: string }[];
    };
    expect(connectivity.length).toBeGreaterThan(0);
    expect(connectivity.filter((link) => !(link.before === "allow" || link.after === "deny"))).toEqual([]);
    expect(connections.filter((connection) => connection.before === "allow")).toEqual([]);
  });
});

describe("the shop", () => {
  test("every rule of the mended set but one is used", () => {
    const { summary, rules } = report(FIXED);
    expect(summary).toMatchObject({ rules: 16, hit: 15, percentage: 93.7 });
    const dead = rules.filter(({ findings }) => findings.includes("dead"));
    expect(dead).toMatchObject([{ namespace: "monitoring", name: "default", rule: "ingress[0]", hits: 0, firstSeen: null }]);
    const web = rules.find(({ name, rule }) => name === "web" && rule === "ingress[0]")!;
    expect([web.hits, web.connections, web.line]).toEqual([27, 2, 14]);
    expect(web.firstSeen! < web.lastSeen!).toBe(true);
  });

  test("rules that allow in vain are redundant, with the policies that deny at the other end", () => {
    const { code, out } = run(["coverage", ...sound, "-f", `${SHOP}/network-policies`]);
    expect(code).toBe(0);
    expect(out).toMatch(/REDUNDANT {3}2:/);
    expect(out).toMatch(/shop\/web egress\[0\] .*in vain, denied at the other end by .*shop\/orders/);
    expect(out).toContain("80 % (12 of 15 rules in force");
  });

  test("a rule that connections of unknown verdict may have used is not called dead", () => {
    const args = ["--offline", "--flows", `${SHOP}/../flow-logs/hubble/shop.jsonl`, "-f", `${SHOP}/network-policies-fixed`];
    const { rules } = report(args);
    const unused = rules.filter(({ hits }) => hits === 0);
    expect(unused.length).toBeGreaterThan(0);
    for (const { findings, unknown } of unused as unknown as { findings: string[]; unknown: number }[])
      expect([findings.includes("dead"), findings.includes("unknown")]).toEqual([unknown === 0, unknown > 0]);
    expect(rules.find(({ name, rule }) => name === "web" && rule === "ingress[0]")!.findings).toContain("unknown");
  });

  test("selectors that match nothing say what they most likely mean", () => {
    const { selectsNoPod, rules } = report(wide("generic"));
    expect(selectsNoPod).toMatchObject([{ name: "ghost", near: "it wants app=webb, shop/deploy/web has app=web" }]);
    expect(rules.filter(({ findings }) => findings.includes("matches-nothing")).map(keyOf)).toEqual([
      "NetworkPolicy shop/ghost ingress[0]",
      "NetworkPolicy shop/web egress[1]",
    ]);
  });

  test("--min fails below, and only below", () => {
    expect(run(["coverage", ...FIXED, "--min", "93.7"]).code).toBe(0);
    const below = run(["coverage", ...FIXED, "--min", "94"]);
    expect([below.code, below.err]).toEqual([1, expect.stringContaining("93.7 % of the rules are covered (15 of 16), less than --min 94")]);
    expect(run(["coverage", ...FIXED, "--min", "94", "--exit-zero"]).code).toBe(0);
    for (const wrong of ["101", "-1", "many", ""])
      expect(run(["coverage", ...FIXED, `--min=${wrong}`])).toMatchObject({ code: 2, err: expect.stringContaining("is no percentage") });
  });

  test("reports: SARIF points at the rule's line, JUnit has a case each rule and one of the minimum", () => {
    const [sarif, junit, markdown] = [file("c.sarif", ""), file("c.xml", ""), file("c.md", "")];
    const reports = [`sarif=${sarif}`, `junit=${junit}`, `markdown=${markdown}`].flatMap((each) => ["--report", each]);
    run(["coverage", ...sound, "-f", `${SHOP}/network-policies`, "--min", "90", ...reports]);
    const { results } = readSarif(readFileSync(sarif, "utf8"));
    const places = results
      .filter(({ ruleId }) => ruleId === "redundant-rule")
      .map(({ locations: [{ physicalLocation }] }) => [physicalLocation.artifactLocation.uri, physicalLocation.region.startLine]);
    expect(places).toEqual([
      ["fixtures/shop/network-policies/orders.yaml", 14],
      ["fixtures/shop/network-policies/web.yaml", 22],
    ]);
    const cases = readJunit(readFileSync(junit, "utf8")).children.filter(({ name }) => name === "testcase");
    expect(cases.length).toBe(16);
    expect(cases.filter((one) => childOf(one, "failure")).map(({ attributes }) => attributes.name)).toEqual(["at least 90 %"]);
    expect(readFileSync(markdown, "utf8")).toContain("**80 % (12 of 15 rules in force decided a connection), below the minimum of 90 %**");
  });

  test("-o name, yaml and a set without any rule", () => {
    expect(run(["coverage", ...FIXED, "-o", "name"]).out).toBe("networkpolicy.networking.k8s.io/default\n");
    expect(run(["coverage", ...FIXED, "-o", "yaml"]).out).toMatch(/^apiVersion: kguardian.dev\/v1alpha1\nkind: CoverageReport\n/);
    const none = file(
      "none.yaml",
      "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: all, namespace: shop}\nspec: {podSelector: {}}\n",
    );
    const args = [...sound, "--policy-mode", "replace", "-f", none];
    expect(report(args).summary.percentage).toBeNull();
    expect(run(["coverage", ...args, "--min", "1"])).toMatchObject({ code: 1, err: expect.stringContaining("no rule is in force") });
  });
});
