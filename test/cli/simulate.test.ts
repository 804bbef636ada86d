import { execFileSync, spawn, spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { describe, expect, test } from "vitest";
import { VERSION } from "../../src/cli/version.ts";
import { file, PROGRAM, ROOT, run, SHOP, sound } from "./program.ts";

const planted = ["simulate", ...sound, "-f", `${SHOP}/network-policies`];
const mended = ["simulate", ...sound, "-f", `${SHOP}/network-policies-fixed`];

describe("simulate on the shop", () => {
  test("the planted mistakes are two causes, each with policy, place and reason; exit 1", () => {
    const { code, out } = run(planted);
    expect(code).toBe(1);
    expect(out).toContain("WOULD DROP   6 connections, 2 causes");
    expect(out).toMatch(/shop\/deploy\/web +shop\/deploy\/orders +8080\/TCP +shop\/orders ingress \(orders\.yaml:1\)/);
    expect(out).toContain("nearest rule allows 80/TCP (orders.yaml:14): the Service's port, the pod listens on 8080");
    expect(out).toMatch(/shop\/deploy\/orders +api\.stripe\.example +443\/TCP +shop\/orders egress/);
    expect(out).toContain("NOT SEEN   3 of 8 selected workloads");
  });

  test("the mended set drops nothing; exit 0, and one line says that something is unknown", () => {
    const { code, out, err } = run(mended);
    expect([code, out.includes("WOULD DROP"), err.trim().split("\n").length]).toEqual([0, false, 1]);
    expect(run([...mended, "--fail-on", "unknown"]).code).toBe(1);
  });

  test("accepted findings are shown and do not count; one that covers nothing is named", () => {
    const { code, out } = run([...planted, "--ignore", `${SHOP}/accepted.yaml`]);
    expect(code).toBe(1);
    expect(out).toMatch(/ACCEPTED {3}\d+ connections?, 1 cause/);
    const ended = file("ended.yaml", "- {source: shop/deploy/orders, port: 443/TCP, reason: old, until: 2020-01-01}\n");
    expect(run([...planted, "--ignore", ended]).out).toContain("ended on 2020-01-01");
  });

  test("JSON: a summary that adds up, every connection with both decisions, sorted alike in every run", () => {
    const { code, out } = run([...planted, "-o", "json"]);
    const report = JSON.parse(out);
    expect([code, report.kind, report.apiVersion]).toEqual([1, "SimulationReport", "kguardian.dev/v1alpha1"]);
    expect(report.summary.connections).toBe(report.connections.length);
    expect(report.summary.allow + report.summary.deny + report.summary.unknown).toBe(report.connections.length);
    expect(report.connections.filter((c: { outcome: string }) => c.outcome === "would-drop").length).toBe(report.summary.wouldDrop);
    for (const c of report.connections) {
      expect(Object.values(c.attempts as Record<string, number>).reduce((a, b) => a + b)).toBe(c.count);
      const sides = [c.egress.verdict, c.ingress.verdict];
      if (!c.backends) expect(c.verdict).toBe(sides.includes("deny") ? "deny" : sides.includes("unknown") ? "unknown" : "allow");
    }
    expect(run([...planted, "-o", "json"]).out).toBe(out);
  });

  test("YAML says what JSON says", async () => {
    const { load } = await import("js-yaml");
    expect(load(run([...planted, "-o", "yaml"]).out)).toEqual(JSON.parse(run([...planted, "-o", "json"]).out));
  });

  test("names of the policies that deny something observed", () => {
    expect(run([...planted, "-o", "name"]).out.split("\n")).toContain("networkpolicy.networking.k8s.io/orders");
  });

  test("further reports in the same run", () => {
    const [markdown, json] = [file("r.md", ""), file("r.json", "")];
    const { code, out } = run([...planted, "--report", `markdown=${markdown}`, "--report", `json=${json}`]);
    expect([code, out.startsWith("40 connections")]).toEqual([1, true]);
    expect(readFileSync(markdown, "utf8")).toContain("**6 connections would be dropped**");
    expect(JSON.parse(readFileSync(json, "utf8")).summary.wouldDrop).toBe(6);
  });

  test("standard input: a capture, also packed; a snapshot; policies", () => {
    const capture = readFileSync(`${SHOP}/monday.pcapng`);
    const stdin = ["simulate", "--pcap", "-", "--snapshot", `${SHOP}/cluster.yaml`, "-f", `${SHOP}/network-policies`, "-o", "name"];
    const expected = run([...planted, "-o", "name"]).out;
    expect(run(stdin, capture).out).toBe(expected);
    expect(run(stdin, gzipSync(capture)).out).toBe(expected);
    const snapshot = ["simulate", ...sound.slice(0, 2), "--snapshot", "-", "-f", `${SHOP}/network-policies`, "-o", "name"];
    expect(run(snapshot, readFileSync(`${SHOP}/cluster.yaml`)).out).toBe(expected);
  });

  test.skipIf(process.platform === "win32")("a named pipe that another program writes into, packed or not", () => {
    const pipe = `${file("beside", "")}.pipe`;
    execFileSync("mkfifo", [pipe]);
    const expected = run([...planted, "-o", "name"]).out;
    const arguments_ = ["simulate", "--pcap", pipe, "--snapshot", `${SHOP}/cluster.yaml`, "-f", `${SHOP}/network-policies`, "-o", "name"];
    for (const command of ['cat "$0" > "$1"', 'gzip -c "$0" > "$1"']) {
      const writer = spawn("sh", ["-c", command, `${SHOP}/monday.pcapng`, pipe], { cwd: ROOT, stdio: "ignore" });
      expect(run(arguments_).out).toBe(expected);
      writer.kill();
    }
  });

  test("--exit-zero, replace mode, and no candidates at all", () => {
    expect(run([...planted, "--exit-zero"]).code).toBe(0);
    expect(run([...planted, "--policy-mode", "replace"]).out).toContain("against 8 policies");
    expect(run(["simulate", ...sound]).code).toBe(0);
  });

  test("a time window that holds nothing says so", () => {
    const { code, out } = run([...planted, "--since", "2030-01-01T00:00:00Z"]);
    expect([code, out.includes("no connection was observed between --since and --until: nothing was tested")]).toEqual([0, true]);
    expect(JSON.parse(run([...planted, "--since", "30s", "-o", "json"]).out).summary.connections).toBeGreaterThan(0);
  });

  test("a policy that selects no pod is named", () => {
    const typo = file(
      "typo.yaml",
      "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: z, namespace: shopp}\nspec: {podSelector: {}}\n",
    );
    expect(run(["simulate", ...sound, "-f", typo]).out).toContain("shopp/z selects no pod of the snapshot (typo.yaml:1)");
  });

  test("records: the README's line, denied, would be dropped", () => {
    const line =
      '{"time":"2026-11-16T08:00:01Z","srcIp":"10.42.1.11","srcPort":40112,"dstIp":"10.42.2.11","dstPort":8080,"protocol":"TCP"}\n';
    const deny = file(
      "deny.yaml",
      "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: deny, namespace: shop}\nspec: {podSelector: {}}\n",
    );
    const report = JSON.parse(run(["simulate", "--flows", "-", "--snapshot", `${SHOP}/cluster.yaml`, "-f", deny, "-o", "json"], line).out);
    expect(report.connections.map((c: { verdict: string; outcome: string }) => [c.verdict, c.outcome])).toEqual([["deny", "would-drop"]]);
  });
});

const notYaml = file("broken.yaml", "a: [1, 2\nb: }\n");
const deployment = file("deployment.yaml", "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: a}\n");
const policy = (spec: string) =>
  `apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: a, namespace: shop}\nspec: ${spec}\n`;
const withPolicy = (name: string, spec: string) => ["simulate", ...sound, "-f", file(name, policy(spec))];
const ignoring = (name: string, text: string) => [...planted, "--ignore", file(name, text)];

describe("a mistake is one line on standard error with what to do, nothing on standard output, exit 2", () => {
  test.each<[string, string[], RegExp]>([
    ["no traffic", ["simulate", "--snapshot", `${SHOP}/cluster.yaml`], /give --pcap FILE or --flows FILE/],
    ["no snapshot", ["simulate", ...sound.slice(0, 2)], /no --snapshot, and no cluster to ask .*kubectl get ns,nodes,pods/],
    ["a capture that is not there", ["simulate", "--pcap", "/nowhere.pcap", ...sound.slice(2)], /\/nowhere\.pcap: no such file/],
    ["a capture that is YAML", ["simulate", "--pcap", `${SHOP}/cluster.yaml`, ...sound.slice(2)], /not a packet capture: it begins with/],
    ["an empty capture", ["simulate", "--pcap", file("empty.pcap", ""), ...sound.slice(2)], /the file is empty/],
    [
      "ten bytes of a capture",
      ["simulate", "--pcap", file("short.pcapng", readFileSync(`${SHOP}/monday.pcapng`).subarray(0, 10)), ...sound.slice(2)],
      /nothing of it could be read/,
    ],
    [
      "records that are YAML",
      ["simulate", "--flows", `${SHOP}/cluster.yaml`, ...sound.slice(2)],
      /no flow log of a format that is known .*it begins "apiVersion: v1"/,
    ],
    ["empty records", ["simulate", "--flows", file("empty.jsonl", ""), ...sound.slice(2)], /no flow record in it/],
    [
      "a snapshot that is a capture",
      ["simulate", ...sound.slice(0, 2), "--snapshot", `${SHOP}/monday.pcapng`],
      /neither YAML nor JSON|not YAML/,
    ],
    ["a snapshot without pods", ["simulate", ...sound.slice(0, 2), "--snapshot", deployment], /no Pod in it/],
    ["policies that are not there", ["simulate", ...sound, "-f", "/nowhere"], /\/nowhere: no such file/],
    ["policies that are Deployments", ["simulate", ...sound, "-f", deployment], /no network policy in .*\(only 1 Deployment\)/],
    ["policies that are no YAML", ["simulate", ...sound, "-f", notYaml], /broken\.yaml:\d+:\d+: /],
    [
      "a policy that Cilium refuses",
      [
        "simulate",
        ...sound,
        "-f",
        file("cnp.yaml", "apiVersion: cilium.io/v2\nkind: CiliumNetworkPolicy\nmetadata: {name: a}\nspec: {endpointSelector: {}}\n"),
      ],
      /cnp\.yaml:4:1: spec: .*a rule is required in one of/,
    ],
    [
      "a dialect that is not evaluated, with nothing that says it would be ignored",
      [
        "simulate",
        ...sound,
        "-f",
        file("acnp.yaml", "apiVersion: crd.antrea.io/v1beta1\nkind: ClusterNetworkPolicy\nmetadata: {name: a}\nspec: {}\n"),
      ],
      /acnp\.yaml:1: ClusterNetworkPolicy\.crd\.antrea\.io a is not evaluated by this version: .* would be wrong/,
    ],
    [
      "an invalid operator",
      withPolicy("operator.yaml", "{podSelector: {matchExpressions: [{key: a, operator: Has, values: [b]}]}}"),
      /operator\.yaml:4:\d+: spec\.podSelector\.matchExpressions\[0\]\.operator: .*`Has`/,
    ],
    [
      "a CIDR with too many bits",
      withPolicy("cidr.yaml", "{podSelector: {}, ingress: [{from: [{ipBlock: {cidr: 10.0.0.0/33}}]}]}"),
      /cidr\.yaml:4:\d+: spec\.ingress\[0\]\.from\[0\]\.ipBlock\.cidr: /,
    ],
    ["a misspelt field", withPolicy("field.yaml", "{podSelector: {}, ingres: []}"), /field\.yaml:4:\d+: .*ingres/],
    ["standard input twice", ["simulate", "--pcap", "-", "--snapshot", "-"], /standard input.*2 times/],
    ["a bad time", [...planted, "--since", "yesterday"], /--since: `yesterday` is no RFC 3339 time/],
    [
      "a window the wrong way round",
      [...planted, "--since", "2026-11-16T09:00:00Z", "--until", "2026-11-16T08:00:00Z"],
      /--since is after --until/,
    ],
    ["an unknown CNI", [...planted, "--cni", "weave"], /--cni=weave.*generic/],
    ["an unknown output", [...planted, "-o", "xml"], /xml/],
    ["an unknown flag", [...planted, "--pcpa", "x"], /nonexistent flag: --pcpa.*see `kubectl kguardian simulate --help`/],
    ["a flag without its value", ["simulate", "--pcap"], /--pcap expects a value/],
    ["an extra argument", [...planted, "extra"], /unexpected argument: extra/],
    ["a report without a file", [...planted, "--report", "markdown"], /`markdown` is not FORMAT=FILE/],
    [
      "a report of a later version",
      [...planted, "--report", "html=x"],
      /html reports are not written by this version \(json, markdown, sarif and junit are\)/,
    ],
    [
      "a report that nobody knows, before anything is read",
      ["simulate", "--flows", "/nowhere", "--report", "pdf=x"],
      /unknown format `pdf` \(known: json, markdown, sarif and junit\)/,
    ],
    [
      "a file for two reports",
      [...planted, "--report", "json=/tmp/x", "--report", "markdown=/tmp/../tmp/x"],
      /\/tmp\/x is asked for twice/,
    ],
    ["a report that cannot be written", [...planted, "--report", "json=/nowhere/x.json"], /\/nowhere\/x\.json: no such file/],
    ["an ignore file that is no list", ignoring("map.yaml", "a: b\n"), /map\.yaml: not a list/],
    ["an ignore file that is no YAML", ignoring("syntax.yaml", "- [\n"), /syntax\.yaml: not YAML/],
    ["an accepted finding without a reason", ignoring("reason.yaml", "- {source: a}\n"), /item 1 has no `reason`/],
    ["an accepted finding of everything", ignoring("all.yaml", "- {reason: a}\n"), /item 1 would accept every finding/],
    ["an accepted finding with an empty port", ignoring("port.yaml", '- {port: "", reason: a}\n'), /item 1 has a `port` that is none/],
    [
      "an accepted finding with a bad date",
      ignoring("until.yaml", "- {port: 1, reason: a, until: soon}\n"),
      /item 1 has an `until` that is no date/,
    ],
    [
      "names that are no hosts file",
      [...planted, "--dns", file("dns.txt", "example.com 1.2.3.4\n")],
      /dns\.txt:1: not an address and its names/,
    ],
    ["an argument of version", ["version", "extra"], /unexpected argument: extra; see `kubectl kguardian version --help`/],
    ["an unknown command", ["simulat"], /unknown command "simulat" for "kubectl kguardian"; did you mean `simulate`/],
    ["a command called like what every object has", ["toString"], /unknown command "toString" for "kubectl kguardian"/],
    ["an end called like what every object has", ["explain", "__proto__", "shop/web", "80", ...sound.slice(2)], /^error: no `__proto__`/],
  ])("%s", (_what, args, message) => {
    const { code, out, err } = run(args);
    expect(err).toMatch(message);
    expect([code, out, err.trimEnd().split("\n").length]).toEqual([2, "", 1]);
  });
});

describe("hostile text", () => {
  const sequence = "\u001b[31mred\u202e";
  const snapshot = file(
    "hostile.json",
    JSON.stringify({
      apiVersion: "v1",
      kind: "List",
      items: [
        {
          apiVersion: "v1",
          kind: "Pod",
          metadata: { namespace: "a", name: sequence, labels: { app: sequence } },
          spec: {},
          status: { podIP: "10.0.0.1" },
        },
        {
          apiVersion: "networking.k8s.io/v1",
          kind: "NetworkPolicy",
          metadata: { namespace: "a", name: "deny" },
          spec: { podSelector: {} },
        },
      ],
    }),
  );
  const record = '{"srcIp":"1.2.3.4","dstIp":"10.0.0.1","dstPort":80,"protocol":"TCP","dstNames":["\\u001b[31m"]}\n';

  test.each(["table", "wide", "json", "yaml", "name"])("-o %s prints no control characters", (output) => {
    const { out, err } = run(["simulate", "--flows", "-", "--snapshot", snapshot, "-o", output], record);
    expect(out + err).not.toMatch(/[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069]/);
    expect(out).not.toBe("");
  });
});

describe("pipes", () => {
  const shell = (command: string) =>
    spawnSync("bash", ["-c", `set -o pipefail; ${command}`], { encoding: "utf8", cwd: join(SHOP, "../..") });
  const line = `${PROGRAM} ${planted.join(" ")} -o json`;

  test("a reader that closes early keeps the exit code", () => {
    expect(shell(`${line} 2>&1 | head -c 10 >/dev/null; echo $?`).stdout.trim()).toBe("1");
  });

  test("a full disk is an error of one line", () => {
    const { status, stderr } = shell(`${line} >/dev/full`);
    expect([
      status !== 0 && status !== 1,
      stderr
        .trim()
        .split("\n")
        .filter((text) => text.startsWith("error:")).length,
    ]).toEqual([true, 1]);
  });
});

test("version: the package's, as text and JSON", () => {
  const { version } = JSON.parse(readFileSync(new URL("../../package.json", import.meta.url), "utf8"));
  expect(VERSION).toBe(version);
  expect(run(["version"]).out).toContain(`kubectl-kguardian ${version} `);
  expect(JSON.parse(run(["version", "-o", "json"]).out).version).toBe(version);
});

test("help shows the commands and flags, with examples", () => {
  expect(run(["--help"]).out.replace(/ +/g, " ")).toContain("simulate Tell which observed connections policies would drop, and why.");
  expect(run(["simulate", "--help"]).out).toMatch(/--pcap=FILE\|DIR\|-[\s\S]*EXAMPLES/);
});
