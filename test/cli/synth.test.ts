import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { checkSynthFlags } from "../../src/cli/synthFlags.ts";
import { file, run, SHOP } from "./program.ts";

const folder = mkdtempSync(join(tmpdir(), "kguardian-synth-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const snapshot = ["--snapshot", `${SHOP}/cluster.yaml`];
const policies = ["-f", `${SHOP}/network-policies`];

/** Policies that look at requests, queries and names. */
const l7 = file(
  "l7.yaml",
  `apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {name: orders, namespace: shop}
spec:
  endpointSelector: {matchLabels: {app: orders}}
  ingress:
  - toPorts: [{ports: [{port: "8080", protocol: TCP}], rules: {http: [{method: GET, path: "/api/.*"}, {path: /, headers: ["X-A: b"]}]}}]
  egress:
  - toFQDNs: [{matchName: api.example.com}]
  - toEndpoints: [{matchLabels: {"k8s:io.kubernetes.pod.namespace": kube-system}}]
    toPorts: [{ports: [{port: "53", protocol: ANY}], rules: {dns: [{matchPattern: "*.cluster.local"}]}}]
  - toEndpoints: [{}]
`,
);

interface Report {
  readonly summary: { readonly connections: number; readonly packets: number; readonly bytes: number };
  readonly connections: readonly { readonly protocol: string; readonly direction: string }[];
}

function report(args: readonly string[]): Report {
  const { code, out, err } = run([...args, "-o", "json", "--exit-zero"]);
  expect(code, err).toBe(0);
  return JSON.parse(out);
}

/** Of datagrams a capture can only infer who began; a record says it. Nothing else differs. */
const withoutDirectionOfUdp = ({ connections }: Report) =>
  connections.map((connection) => (connection.protocol === "UDP" ? { ...connection, direction: "" } : connection));

describe("the records and the capture of one run", () => {
  it.each([
    ["microservices", "20s", l7],
    ["dns", "8s", l7],
    ["scan", "10s", `${SHOP}/network-policies`],
    ["failover", "120s", `${SHOP}/network-policies`],
    ["partition", "30s", l7],
    ["dual-stack", "15s", `${SHOP}/network-policies`],
  ])("of profile %s over %s are the same connections to simulate, and so is --simulate", (profile, duration, set) => {
    const [pcap, records, after] = ["pcapng", "jsonl", "yaml"].map((ending) => join(folder, `${profile}.${ending}`));
    const made = ["synth", ...snapshot, "--profile", profile, "--duration", duration];
    const outputs = ["--pcap-out", pcap, "--records-out", records, "--snapshot-out", after];
    // The candidates alone: those of the snapshot stand elsewhere in the one that is written.
    const judged = ["-f", set, "--policy-mode", "replace"];
    const simulated = report([...made, ...outputs, "--simulate", ...judged]);
    const ofCapture = report(["simulate", "--pcap", pcap, "--snapshot", after, ...judged]);
    const ofRecords = report(["simulate", "--flows", records, "--snapshot", after, ...judged]);
    expect(ofRecords.connections.length).toBeGreaterThan(15);
    expect(withoutDirectionOfUdp(ofCapture)).toEqual(withoutDirectionOfUdp(ofRecords));
    expect({ ...simulated, inputs: 0 }).toEqual({ ...ofRecords, inputs: 0 });
    rmSync(pcap);
  });
});

describe("synth", () => {
  it("prints a summary, as a table and for programs", () => {
    const { code, out, err } = run(["synth", ...snapshot, "--duration", "30s"]);
    expect([code, err]).toEqual([0, ""]);
    expect(out).toMatch(
      /^\d+ connections in [\d,]+ packets, [\d.]+ MB, from 2026-11-16T07:53:00Z for 30s · profile microservices, seed 1\n/,
    );
    expect(out).toMatch(/ external +ingress\/deploy\/ingress-nginx-controller +80\/TCP /);
    const json = JSON.parse(run(["synth", ...snapshot, "--duration", "30s", "-o", "json"]).out);
    expect(json).toMatchObject({ kind: "SyntheticTraffic", profile: "microservices", window: { to: "2026-11-16T07:53:30Z" } });
    expect(json.connections.reduce((sum: number, { count }: { count: number }) => sum + count, 0)).toBe(json.summary.connections);
    expect(out.startsWith(`${json.summary.connections} connections`)).toBe(true);
  });

  it("gives equal bytes for equal seeds, on standard output and in files", () => {
    const records = (...more: string[]) => run(["synth", ...snapshot, "--profile", "web", "--duration", "5s", ...more]).out;
    const first = records("-o", "records");
    expect(records("-o", "records")).toBe(first);
    expect(records("--records-out", "-")).toBe(first);
    expect(records("-o", "records", "--seed", "2")).not.toBe(first);
    const [a, b] = [join(folder, "a.pcapng"), join(folder, "b.pcapng")];
    for (const path of [a, b]) expect(run(["synth", ...snapshot, "--duration", "3s", "--pcap-out", path]).code).toBe(0);
    expect(readFileSync(a).equals(readFileSync(b))).toBe(true);
    expect(
      first
        .split("\n")
        .slice(0, -1)
        .map((line) => JSON.parse(line).time.slice(0, 16)),
    ).toContain("2026-11-16T07:53");
    expect(JSON.parse(records("-o", "records", "--start", "2027-01-02T03:04:05Z").split("\n")[0]).time).toMatch(/^2027-01-02T03:04:0/);
  });

  it("takes a profile from a file, and shows the built-in ones as such", () => {
    const shown = run(["synth", "--show-profile", "database"]);
    expect(shown.code).toBe(0);
    const path = file("database.yaml", shown.out);
    const made = (profile: string) => run(["synth", ...snapshot, "--profile", profile, "--duration", "4s", "-o", "records"]).out;
    expect(made(path)).toBe(made("database"));
    expect(made(path)).toContain('"dstPort":5432');
  });

  it("judges without ever exiting with 1", () => {
    const { code, out } = run(["synth", ...snapshot, "--profile", "web", "--duration", "5s", "--simulate", ...policies]);
    expect(code).toBe(0);
    expect(out).toContain("WOULD DROP");
  });

  it.each([
    [[], "no --snapshot, and no cluster to ask"],
    [[...snapshot, "--profile", "wbe"], "--profile: there is no profile `wbe`, did you mean `web`?"],
    [[...snapshot, "--profile", `${SHOP}/accepted.yaml`], `${SHOP}/accepted.yaml:`],
    [[...snapshot, "--profile", `${SHOP}/cluster.yaml`], `--profile: ${SHOP}/cluster.yaml: no TrafficProfile in it`],
    [[...snapshot, "--profile", "/nowhere.yaml"], "/nowhere.yaml: no such file or directory"],
    [[...snapshot, "--seed", "x"], "--seed: `x` is no whole number"],
    [[...snapshot, "--duration", "1"], "--duration: `1` is no duration"],
    [[...snapshot, "--duration", "40000d"], "--duration: the run would end after the year 2104"],
    [[...snapshot, "--pcap-out", "x", "--records-out", "./x"], "--records-out: ./x is --pcap-out already"],
    [[...snapshot, "--snapshot-out", `${SHOP}/cluster.yaml`], "is an input already"],
    [[...snapshot, "--pcap-out", "/nowhere/x"], "--pcap-out: /nowhere/x: no such file"],
    [["--show-profile", "web", "--simulate"], "--show-profile prints a profile and makes no traffic"],
    [["--show-profile", "web", "--probe"], "--show-profile prints a profile and makes no traffic: leave --probe out"],
    [["--show-profile", "web", "--mutate"], "--show-profile prints a profile and makes no traffic: leave --mutate out"],
    [["--show-profile", "web", "--seed", "3"], "--show-profile prints a profile and makes no traffic: leave --seed out"],
    [["--show-profile", "web", "--profile", "web"], "--show-profile prints a profile and makes no traffic: leave --profile out"],
    [["--show-profile", "web", "--duration", "5s"], "--show-profile prints a profile and makes no traffic: leave --duration out"],
    [["--show-profile", "web", "--rate", "5"], "--show-profile prints a profile and makes no traffic: leave --rate out"],
    [
      ["--show-profile", "web", "--start", "2026-01-01T00:00:00Z"],
      "--show-profile prints a profile and makes no traffic: leave --start out",
    ],
    [["--show-profile", "\u001b[31mweb"], "--show-profile: there is no profile `\\u001b[31mweb`"],
  ])("%j is refused in one line: %s", (args, message) => {
    const { code, out, err } = run(["synth", ...args]);
    expect([code, out]).toEqual([2, ""]);
    expect(err).toContain(message);
    expect(err.trimEnd().split("\n")).toHaveLength(1);
    expect(existsSync("x")).toBe(false);
  });

  it.each([
    [{ filename: ["x"] }, "--filename is for --simulate, --probe and --mutate, which judge policies"],
    [{ "fail-on": "drop" }, "--fail-on is for --simulate"],
    [{ output: "wide" }, "-o wide is for --simulate; what was made is told as table, json or yaml"],
    [{ output: "records", simulate: true }, "-o records: --simulate prints its report; --records-out FILE writes the records besides"],
    [{ "pcap-out": "-", simulate: true }, "--pcap-out: --simulate prints its report to standard output; give a file"],
    [{ output: "json", "pcap-out": "-" }, "-o json and --pcap-out cannot both go to standard output"],
    [{ "pcap-out": "-", "records-out": "-" }, "--pcap-out and --records-out cannot both go to standard output"],
  ])("%j makes no sense together", (flags, message) => {
    expect(() => checkSynthFlags(flags)).toThrow(message);
  });

  it.each([
    [{ "pcap-out": "-" }, undefined],
    [{ "pcap-out": "x" }, "table"],
    [{ simulate: true, recursive: false }, "table"],
    [{ output: "records", "pcap-out": "x" }, "records"],
  ])("%j prints %s", (flags, output) => {
    expect(checkSynthFlags(flags)).toBe(output);
  });

  it("tells every fault of a profile with its place", () => {
    const path = file(
      "faulty.yaml",
      "apiVersion: kguardian.dev/v1alpha1\nkind: TrafficProfile\nmetadata: {name: a}\nspec:\n  rate: -1\n  calls:\n  - {from: {pod: {}}, to: {}}\n",
    );
    const { code, err } = run(["synth", ...snapshot, "--profile", path]);
    expect(code).toBe(2);
    expect(err.split("\n")[0]).toBe(`error: ${path}:5:3: spec.rate: \`-1\` is no number from 0.001 to 1000000`);
    expect(err).toContain(`${path}:7:13: spec.calls[0].from.pod: unknown field "spec.calls[0].from.pod", did you mean \`pods\``);
  });
});
