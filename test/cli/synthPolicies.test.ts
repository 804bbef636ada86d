import { readFileSync } from "node:fs";
import { load } from "js-yaml";
import { describe, expect, test } from "vitest";
import { adminPolicy, calico, ciliumPolicy, clusterPolicy, networkPolicy } from "../evaluate/dialects.ts";
import { readJunit, readSarif } from "../report/findingReports.ts";
import { file, type Run, run, SHOP, sound } from "./program.ts";

/* `synth --probe` and `synth --mutate`, asked of the whole program, in every dialect. */

const shop = ["--snapshot", `${SHOP}/cluster.yaml`, "-f", `${SHOP}/network-policies`];

function read({ out, err, code }: Run) {
  if (code !== 0) throw new Error(err);
  return JSON.parse(out);
}

/** Runs a command with every report, and checks that they can be read and say the same. */
function withReports(args: readonly string[]) {
  const [sarif, junit, markdown, json] = ["s.sarif", "s.xml", "s.md", "s.json"].map((name) => file(name, ""));
  const reports = [`sarif=${sarif}`, `junit=${junit}`, `markdown=${markdown}`, `json=${json}`].flatMap((each) => ["--report", each]);
  const { out, code, err } = run([...args, "-o", "yaml", ...reports]);
  if (code !== 0) throw new Error(err);
  const report = load(out);
  expect(report).toEqual(JSON.parse(readFileSync(json, "utf8")));
  const suite = readJunit(readFileSync(junit, "utf8"));
  const cases = suite.children.filter(({ name }) => name === "testcase");
  const names = cases.map(({ attributes }) => `${attributes.classname} ${attributes.name}`);
  expect(new Set(names).size).toBe(names.length);
  const failed = cases.filter(({ children }) => children.some(({ name }) => name === "failure")).length;
  return { report, failed, cases: cases.length, sarif: readSarif(readFileSync(sarif, "utf8")), markdown: readFileSync(markdown, "utf8") };
}

describe("synth --probe of the shop", () => {
  test("the planted mistakes are asymmetries, with policy, rule, file and line", () => {
    const { out, code } = run(["synth", "--probe", ...shop]);
    expect(code).toBe(0);
    expect(out).toMatch(
      /^ {2}shop\/web egress\[0\] +web\.yaml:22 +what it allows .* port 8080\/TCP\) is denied at the other end, ingress of .*orders \(orders\.yaml:1\)/m,
    );
    expect(out).toMatch(/^ {2}shop\/postgres ingress\[0\] +postgres\.yaml:13 .*backup/m);
    expect(out).toMatch(/^ {2}shop\/orders ingress\[0\] +orders\.yaml:14 +ingress\[0\] removed$/m);
    expect(out).toMatch(/\nheld \d+ · failed \d+ · unknown \d+\n$/);
  });

  test("reports say the same: an expectation is a case", () => {
    const { report, failed, cases, sarif, markdown } = withReports(["synth", "--probe", ...shop]);
    const { kind, summary, blindSpots } = report as {
      kind: string;
      summary: Record<string, number>;
      blindSpots: { failed: { kind: string }[] };
    };
    expect([kind, summary.expectations, summary.failed]).toEqual(["ProbeReport", cases, failed]);
    expect(summary.held + summary.failed + summary.unknown).toBe(summary.expectations);
    expect(blindSpots.failed.filter(({ kind: each }) => each === "asymmetry")).toHaveLength(3);
    expect(sarif.results.filter(({ ruleId }) => ruleId === "probe-asymmetry")).toHaveLength(3);
    expect(markdown).toContain("### Asymmetric");
  });

  test("no policy at all is a mistake", () => {
    const { code, err } = run([
      "synth",
      "--probe",
      "--policy-mode",
      "replace",
      "--snapshot",
      `${SHOP}/cluster.yaml`,
      "-f",
      file("none.yaml", "{apiVersion: v1, kind: Pod, metadata: {name: x}}"),
    ]);
    expect([code, err.split("\n").length]).toEqual([2, 2]);
  });
});

describe("synth --mutate of the shop", () => {
  test("a capture's score, and what would show what it misses", () => {
    const report = read(run(["synth", "--mutate", ...sound, "-f", `${SHOP}/network-policies-fixed`, "-o", "json"]));
    const { noticed, missed, equivalent, mutations, score } = report.summary;
    expect(noticed + missed + equivalent).toBe(mutations);
    expect(score).toBe(Math.floor((noticed / (noticed + missed)) * 1000) / 10);
    const orders = report.mutations.filter(
      ({ name, change }: { name: string; change: string }) => name === "orders" && change === "drop-rule",
    );
    // The capture has web calling orders, and orders calling everything that its policy lets it.
    expect(orders.map(({ rule, fate }: { rule: string; fate: string }) => [rule, fate])).toContainEqual(["ingress[0]", "noticed"]);
    for (const each of report.mutations) if (each.fate === "missed") expect(each.shownBy.text).toMatch(/ → /);
  });

  test("synthetic traffic is tested the same way, and reports agree", () => {
    const { report, failed, cases, sarif } = withReports(["synth", "--mutate", "--profile", "microservices", "--duration", "30s", ...shop]);
    const { kind, summary } = report as { kind: string; summary: Record<string, number> };
    expect([kind, summary.mutations, summary.missed]).toEqual(["MutationReport", cases, failed]);
    expect(sarif.results).toHaveLength(failed);
  });
});

test.each([
  [["--probe", "--mutate"], /answer different questions/],
  [["--probe", "--pcap", "x"], /--pcap is for --mutate/],
  [["--probe", "--seed", "3"], /--seed: --probe makes its own/],
  [["--mutate", "--pcap", "x", "--rate", "3"], /--rate is for traffic that is made/],
  [["--mutate", "--since", "3m"], /--since is for observed traffic/],
  [["--probe", "-o", "records"], /prints its report/],
  [["--probe", "--report", "html=x"], /html reports are not written/],
])("%j is refused in one line", (flags, message) => {
  const { code, err } = run(["synth", ...flags, "--snapshot", `${SHOP}/cluster.yaml`]);
  expect(code).toBe(2);
  expect(err).toMatch(message);
  expect(err.trimEnd().split("\n")).toHaveLength(1);
});

const pod = (namespace: string, name: string, ip: string) =>
  `apiVersion: v1\nkind: Pod\nmetadata: {name: ${name}, namespace: ${namespace}, labels: {app: ${name}}}\nspec: {nodeName: n1, containers: [{name: c}]}\nstatus: {phase: Running, podIP: ${ip}, podIPs: [{ip: ${ip}}]}\n`;
const WORLD = [
  ...["a", "b"].map((name) => `apiVersion: v1\nkind: Namespace\nmetadata: {name: ${name}, labels: {team: ${name}}}\n`),
  "apiVersion: v1\nkind: Node\nmetadata: {name: n1}\nstatus: {addresses: [{type: InternalIP, address: 192.0.2.1}]}\n",
  pod("a", "web", "10.0.1.2"),
  pod("a", "api", "10.0.1.3"),
  pod("b", "db", "10.0.1.4"),
].join("---\n");

const DIALECTS: readonly (readonly [name: string, cni: string, policy: string])[] = [
  [
    "NetworkPolicy",
    "generic",
    networkPolicy(
      "a/p",
      "podSelector: {matchLabels: {app: api}}, ingress: [{from: [{podSelector: {matchLabels: {app: web}}}], ports: [{port: 80}]}]",
    ),
  ],
  [
    "AdminNetworkPolicy",
    "generic",
    adminPolicy(
      "p",
      "priority: 5, subject: {namespaces: {matchLabels: {team: a}}}, ingress: [{action: Deny, from: [{namespaces: {matchLabels: {team: b}}}], ports: [{portNumber: {protocol: TCP, port: 80}}]}]",
    ),
  ],
  [
    "ClusterNetworkPolicy",
    "generic",
    clusterPolicy(
      "p",
      "tier: Admin, priority: 5, subject: {namespaces: {matchLabels: {team: a}}}, ingress: [{action: Deny, from: [{namespaces: {matchLabels: {team: b}}}]}]",
    ),
  ],
  [
    "CiliumNetworkPolicy",
    "cilium",
    ciliumPolicy(
      "a/p",
      "endpointSelector: {matchLabels: {app: api}}, ingress: [{fromEndpoints: [{matchLabels: {app: web}}], toPorts: [{ports: [{port: '80', protocol: TCP}]}]}]",
    ),
  ],
  [
    "Calico NetworkPolicy",
    "calico",
    calico(
      "NetworkPolicy",
      "a/p",
      "selector: app == 'api', types: [Ingress], ingress: [{action: Allow, protocol: TCP, source: {selector: app == 'web'}, destination: {ports: [80]}}]",
    ),
  ],
];

describe.each(DIALECTS)("%s", (_name, cni, policy) => {
  const snapshot = file(`world-${cni}.yaml`, WORLD);
  const given = () => ["--snapshot", snapshot, "--cni", cni, "-f", file("policy.yaml", policy)];

  test("its rules are probed: inside and outside, the port beside, the other protocol, a label off", () => {
    const { summary, probes } = read(run(["synth", "--probe", ...given(), "-o", "json"]));
    expect(summary.rules).toBe(1);
    expect(summary.missed).toBe(0);
    const inside = probes.filter(({ isInside }: { isInside: boolean }) => isInside);
    const outside = probes.filter(({ isInside }: { isInside: boolean }) => isInside === false);
    expect(inside.length).toBeGreaterThan(0);
    expect(outside.length).toBeGreaterThan(3);
    expect(summary.held).toBeGreaterThan(0);
  });

  test("changes of it are noticed by traffic that they concern", () => {
    const flow = { time: "2026-11-16T08:00:00Z", srcIp: "10.0.1.2", dstIp: "10.0.1.3", dstPort: 80, protocol: "TCP", verdict: "allow" };
    const other = { ...flow, srcIp: "10.0.1.4" };
    const flows = file("flows.jsonl", `${JSON.stringify(flow)}\n${JSON.stringify(other)}\n`);
    const { summary } = read(run(["synth", "--mutate", ...given(), "--flows", flows, "-o", "json"]));
    expect(summary.noticed).toBeGreaterThan(0);
    expect(summary.missed).toBeGreaterThan(0);
  });
});
