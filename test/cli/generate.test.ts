import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { file, run, SHOP, sound } from "./program.ts";

const folder = mkdtempSync(join(tmpdir(), "kguardian-gen-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
let count = 0;
const fresh = (): string => join(folder, String(count++));
const gen = (...args: string[]) => run(["gen", "networkpolicy", ...sound, ...args]);

/** A Deployment of no replicas. */
const IDLE = file(
  "idle.json",
  JSON.stringify({
    apiVersion: "apps/v1",
    kind: "Deployment",
    metadata: { name: "idle", namespace: "shop" },
    spec: { replicas: 0, selector: { matchLabels: { app: "idle" } } },
  }),
);

describe("gen networkpolicy", () => {
  test("writes one workload's policy, and says what it proved", () => {
    const directory = fresh();
    const { code, out } = gen("deploy/orders", "-n", "shop", "--output-dir", directory);
    expect(code).toBe(0);
    expect(readdirSync(directory)).toEqual(["shop-orders-networkpolicy.yaml"]);
    expect(out).toContain(`${directory}/shop-orders-networkpolicy.yaml`);
    expect(out).toMatch(/Proof: 17 of 17 learned connections allowed · 6 of 6 rules used · \d+ of \d+ probes beside them denied/);
    expect(out).toContain("1 connection from default/pod/toolbox to shop/deploy/orders: refused");
  });

  test("writes what simulate then finds nothing wrong with, but what was left out", () => {
    const directory = fresh();
    expect(gen("-A", "--output-dir", directory).code).toBe(0);
    const simulated = run(["simulate", ...sound, "-f", directory, "-o", "json"]);
    const { connections } = JSON.parse(simulated.out);
    const dropped = connections.filter(({ outcome }: { outcome: string }) => outcome === "would-drop");
    expect(dropped.map(({ protocol }: { protocol: string }) => protocol)).toEqual(["ICMP"]);
  });

  test("is also called netpol, finds a workload by one of its pods, and takes a bare --dry-run", () => {
    const [byName, byPod] = [fresh(), fresh()];
    expect(run(["gen", "netpol", "orders", "-n", "shop", ...sound, "--dry-run", "--output-dir", byName]).code).toBe(0);
    const [pod] = /name: (orders-\S+)/.exec(readFileSync(`${SHOP}/cluster.yaml`, "utf8"))?.slice(1) ?? [];
    expect(gen(`pod/${pod}`, "-n", "shop", "--output-dir", byPod).code).toBe(0);
    const text = (directory: string) => readFileSync(join(directory, "shop-orders-networkpolicy.yaml"), "utf8");
    expect(text(byPod)).toBe(text(byName));
  });

  test("prints policies alone on standard output with an empty --output-dir, the summary beside", () => {
    const { out, err } = gen("--all", "-n", "shop", "--output-dir=");
    expect(out.split("\n---\n").length).toBe(5);
    expect(out).toMatch(/^# shop\/deploy\/cart: written by/);
    expect(err).toContain("Proof: ");
    expect(run(["simulate", ...sound, "-f", "-", "-o", "name"], out)).toMatchObject({ code: 0 });
  });

  test("gives a report that scripts can read", () => {
    const directory = fresh();
    const { out } = gen("-A", "-o", "json", "--output-dir", directory);
    const report = JSON.parse(out);
    expect(report).toMatchObject({ apiVersion: "kguardian.dev/v1alpha1", kind: "GenerationReport", summary: { policies: 9, learned: 36 } });
    expect(report.proof).toMatchObject({ learned: 36, allowed: 36, used: report.proof.rules });
    const [policy] = report.policies;
    expect(existsSync(policy.file)).toBe(true);
    expect(policy.rules[0]).toMatchObject({ rule: "ingress[0]", evidence: { connections: 1 }, peers: [{ name: expect.any(String) }] });
    expect(report.leftOut.map(({ reason }: { reason: string }) => reason).sort()).toEqual([
      "inexpressible",
      "refused",
      "unanswered",
      "unknown-peer",
    ]);
    expect(gen("orders", "-n", "shop", "-o", "name", "--output-dir", fresh()).out).toBe("networkpolicy.networking.k8s.io/orders\n");
    expect(gen("orders", "-n", "shop", "-o", "yaml", "--output-dir", fresh()).out).toContain("kind: GenerationReport\n");
  });

  test("writes the same bytes each time, over its own files, and names files of earlier runs", () => {
    const directory = fresh();
    gen("-A", "--output-dir", directory);
    const before = readFileSync(join(directory, "shop-web-networkpolicy.yaml"), "utf8");
    const { code, out } = gen("deploy/web", "-n", "shop", "--output-dir", directory);
    expect(code).toBe(0);
    expect(readFileSync(join(directory, "shop-web-networkpolicy.yaml"), "utf8")).toBe(before);
    expect(out).toContain("of an earlier run, not written this time");
  });

  test("overwrites no file that is not its own, and then writes none", () => {
    const directory = fresh();
    mkdirSync(directory);
    writeFileSync(join(directory, "shop-orders-networkpolicy.yaml"), "# mine\n");
    const { code, err } = gen("-A", "--output-dir", directory);
    expect(code).toBe(2);
    expect(err).toContain("shop-orders-networkpolicy.yaml is not of this program");
    expect(readdirSync(directory)).toEqual(["shop-orders-networkpolicy.yaml"]);
  });

  test("adds to given policies what they lack and leaves the rest of the files alone", () => {
    const directory = fresh();
    const { code, out } = gen("-A", "--merge", `${SHOP}/network-policies`, "--output-dir", directory);
    expect(code).toBe(0);
    expect(readdirSync(directory)).toEqual(["orders.yaml"]);
    expect(out).toContain("shop/deploy/orders");
    const [before, after] = [`${SHOP}/network-policies/orders.yaml`, join(directory, "orders.yaml")].map((path) =>
      readFileSync(path, "utf8").split("\n"),
    );
    expect(before.filter((line) => !after.includes(line))).toEqual([]);
    expect(after.length).toBeGreaterThan(before.length);
    const again = gen("-A", "--merge", `${SHOP}/network-policies-fixed`, "--output-dir", fresh());
    expect(again.out).toContain("Nothing to add: the policies allow all 37 connections");
  });

  test.each<[string, string[], string]>([
    ["nothing that is meant", [], "name a workload"],
    ["a name and --all", ["web", "--all"], "exclude each other"],
    ["no such workload", ["orders"], "there is shop/deploy/orders: give -n"],
    ["a workload without pods", ["deploy/idle", "-n", "shop", "--snapshot", IDLE], "`deploy/idle` has no pods in namespace `shop` now"],
    ["a kind with its group, as kubectl prints it", ["deployment.apps/ordres", "-n", "shop"], "did you mean `orders`?"],
    ["a misspelt workload", ["ordres", "-n", "shop"], "did you mean `orders`?"],
    ["an unknown kind", ["deplyo/orders", "-n", "shop"], "no kind of workload"],
    ["an unknown namespace", ["--all", "-n", "shpo"], "no pod is known in namespace `shpo`"],
    ["a workload without traffic", ["report", "-n", "shop"], "no traffic data found for shop/deploy/report"],
    [
      "too little evidence",
      ["orders", "-n", "shop", "--min-connections", "1000"],
      "too little was seen of shop/deploy/orders: seen 71 times",
    ],
    ["a window that is none", ["-A", "--min-window", "soon"], "no duration"],
    ["bits that are none", ["-A", "--cidr-max-widen", "x"], "no number of bits"],
    ["applying without a cluster", ["-A", "--dry-run=false"], "no cluster: there is no kubeconfig"],
    ["a dry run of a server that nobody names", ["-A", "--dry-run=server"], "no cluster: there is no kubeconfig"],
    [
      "applying what --merge writes",
      ["-A", "--dry-run=false", "--merge", `${SHOP}/network-policies-fixed`],
      "apply those as you always do",
    ],
    ["a word for a dry run", ["-A", "--dry-run=maybe"], "none of true, false, client, server"],
    ["names without Cilium", ["-A", "--fqdn"], "--fqdn needs --type cilium"],
    ["requests without Cilium", ["-A", "--l7", "-t", "calico"], "--l7 needs --type cilium"],
    ["an unknown type", ["-A", "-t", "antrea"], "kubernetes, k8s, cilium, calico"],
    [
      "a plugin that knows no such policies",
      ["-A", "-t", "cilium", "--cni", "calico"],
      "calico (as --cni says) does not enforce CiliumNetworkPolicy",
    ],
    ["--merge and --default-deny", ["-A", "--default-deny", "--merge", `${SHOP}/network-policies`], "exclude each other"],
    ["a set that is not there", ["-A", "--merge", "/nowhere"], "/nowhere"],
    ["a report of another kind", ["-A", "--report", "html=x"], "are not written"],
    ["a directory that is a file", ["-A", "--output-dir", `${SHOP}/README.md`], "--output-dir"],
  ])("refuses %s with one line", (_what, args, message) => {
    const { code, out, err } = gen(...(args.includes("--output-dir") ? args : [...args, "--output-dir", fresh()]));
    expect(err).toContain(message);
    expect(err.trimEnd().split("\n")).toHaveLength(1);
    expect(err).not.toContain("internal");
    expect([code, out]).toEqual([2, ""]);
  });

  test("shows its help", () => {
    const { code, out } = run(["gen", "netpol", "--help"]);
    expect(code).toBe(0);
    expect(out).toContain("[NAME]  Workload or pod");
    expect(out).toContain("--cidr-max-widen");
  });

  test.each([["--fqdn"], ["--l7"], ["--cluster-wide"], ["--fqdn", "--l7"]])("writes Cilium policies with %s", (...flags) => {
    const directory = fresh();
    const { code, err } = gen("-A", "-t", "cilium", ...flags, "--output-dir", directory);
    expect([code, err]).toEqual([0, ""]);
    const [name] = readdirSync(directory);
    expect(readFileSync(join(directory, name), "utf8")).toContain("apiVersion: cilium.io/v2");
  });

  test.each(["kubernetes", "cilium", "calico"])("says what no rule of %s can name", (type) => {
    const flows = file("odd.jsonl", '{"srcIp":"10.42.1.66","dstIp":"203.0.113.9","protocol":"TCP","dstPort":0,"verdict":"allow"}\n');
    const { code, out, err } = run([
      "gen",
      "netpol",
      "-A",
      "-t",
      type,
      "--flows",
      flows,
      "--snapshot",
      `${SHOP}/cluster.yaml`,
      "--output-dir",
      fresh(),
    ]);
    expect([code, err]).toEqual([0, ""]);
    expect(out).toContain("TCP port 0: no rule can name it");
  });

  test("writes no policies where the report cannot be written", () => {
    const directory = fresh();
    const { code, err } = gen("-A", "--output-dir", directory, "--report", "json=/nowhere/report.json");
    expect(code).toBe(2);
    expect(err).toContain("/nowhere/report.json");
    expect(existsSync(directory)).toBe(false);
  });

  test("gives up where there can be no directory", () => {
    expect(gen("-A", "--output-dir", "/proc/nowhere").code).toBe(2);
  });

  test("extends files where they are", () => {
    const directory = fresh();
    mkdirSync(directory);
    for (const name of readdirSync(`${SHOP}/network-policies`))
      writeFileSync(join(directory, name), readFileSync(`${SHOP}/network-policies/${name}`));
    expect(gen("-A", "--merge", directory).code).toBe(0);
    expect(readFileSync(join(directory, "orders.yaml"), "utf8")).toContain("# api.stripe.example (203.0.113.20)");
    expect(gen("-A", "--merge", directory).out).toContain("Nothing to add");
  });

  test("knows its commands by their first words", () => {
    expect(run(["gen", "netpolicy"]).err).toContain("did you mean `gen netpol");
    expect(run(["gen"]).code).toBe(0);
    expect(run(["gen", "--help"]).out).toContain("gen networkpolicy");
  });

  test("takes names and labels of a hostile snapshot for what they are", () => {
    const evil = "x\u001b[31m\n- bad: yes";
    const pod = (namespace: string, name: string, labels: object, ip: string) => ({
      apiVersion: "v1",
      kind: "Pod",
      metadata: { namespace, name, labels },
      status: { podIP: ip },
    });
    const items = [pod("../../up", evil, { app: evil }, "10.0.0.1"), pod("shop", "web", { app: "web" }, "10.0.0.2")];
    const snapshot = file("evil.json", JSON.stringify({ apiVersion: "v1", kind: "List", items }));
    const flows = file("evil.jsonl", '{"srcIp":"10.0.0.1","dstIp":"10.0.0.2","protocol":"TCP","dstPort":80,"verdict":"allow"}\n');
    const directory = fresh();
    const { code, out, err } = run(["gen", "netpol", "-A", "--snapshot", snapshot, "--flows", flows, "--output-dir", directory]);
    expect(code).toBe(2);
    expect(err).toContain("nothing is written");
    expect(err).not.toContain("internal");
    expect(`${out}${err}`).not.toContain("\u001b");
    expect(existsSync(directory)).toBe(false);
  });
});
