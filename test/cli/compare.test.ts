import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { load } from "js-yaml";
import { afterAll, describe, expect, test } from "vitest";
import { adminPolicy, baselinePolicy, calico, ciliumPolicy, clusterPolicy, networkPolicy } from "../evaluate/dialects.ts";
import { readJunit, readSarif } from "../report/findingReports.ts";
import { file, PROGRAM, type Run, run, SHOP, sound } from "./program.ts";

/* `diff` and `matrix`, asked of the whole program; and all four commands that compare and explain, in every dialect. */

const folder = mkdtempSync(join(tmpdir(), "kguardian-compare-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
let folders = 0;

/** Writes texts as the files of a new folder; returns its path. */
function folderOf(...texts: readonly string[]): string {
  const path = join(folder, `set${folders++}`);
  mkdirSync(path);
  texts.forEach((text, i) => writeFileSync(join(path, `${i}.yaml`), text));
  return path;
}

const node = (name: string, ip: string) =>
  `apiVersion: v1\nkind: Node\nmetadata: {name: ${name}}\nstatus: {addresses: [{type: InternalIP, address: ${ip}}]}\n`;
const pod = (namespace: string, name: string, ip: string, app = name) =>
  `apiVersion: v1\nkind: Pod\nmetadata: {name: ${name}, namespace: ${namespace}, labels: {app: ${app}}}\nspec: {nodeName: n1, containers: [{name: c}]}\nstatus: {phase: Running, podIP: ${ip}, podIPs: [{ip: ${ip}}]}\n`;
const namespaces = ["a", "b"].map((name) => `apiVersion: v1\nkind: Namespace\nmetadata: {name: ${name}, labels: {team: ${name}}}\n`);
const OBJECTS = [
  ...namespaces,
  node("n1", "192.0.2.1"),
  pod("a", "web", "10.0.1.2"),
  pod("a", "api", "10.0.1.3"),
  pod("b", "db", "10.0.1.4"),
];
const world = (...policies: readonly string[]) => file("world.yaml", [...OBJECTS, ...policies].join("---\n"));

interface Entry {
  readonly source: { readonly type: string; readonly workload?: string; readonly prefixes?: readonly string[] };
  readonly destination: { readonly type: string; readonly workload?: string; readonly prefixes?: readonly string[] };
  readonly protocol: string;
  readonly ports: string | null;
  readonly before: string;
  readonly after: string;
  readonly verdict: string;
}
interface Report {
  readonly kind: string;
  readonly equivalent: boolean;
  readonly policies: readonly { readonly name: string; readonly change: string; readonly text: string; readonly line?: number }[];
  readonly connectivity: readonly Entry[];
  readonly connections: readonly { readonly before: string; readonly after: string; readonly verdict: string; readonly count: number }[];
  readonly warnings: readonly string[];
}

function read({ out, err, code }: Run): Report {
  if (out === "" || (code !== 0 && code !== 1)) throw new Error(err);
  return JSON.parse(out);
}

const endName = ({ type, workload, prefixes = [] }: Entry["source"]) => workload?.replace(/^.*\//, "") ?? `${type}${prefixes.join()}`;

/** Returns entries among pods as `web > api TCP 80: allow > deny`. */
function changes({ connectivity }: Report): string[] {
  return connectivity
    .filter(({ source, destination }) => source.type === "pod" && destination.type === "pod")
    .map(
      ({ source, destination, protocol, ports, before, after }) =>
        `${endName(source)} > ${endName(destination)} ${protocol} ${ports}: ${before} > ${after}`,
    );
}

describe("diff of the shop", () => {
  const sets = [`${SHOP}/network-policies`, `${SHOP}/network-policies-fixed`];
  const snapshot = ["--snapshot", `${SHOP}/cluster.yaml`];

  test("the table tells the object, the connectivity and the traffic", () => {
    const { code, out } = run(["diff", ...sets, ...sound]);
    expect(code).toBe(1);
    expect(out).toMatch(/^~ NetworkPolicy shop\/orders {3}\(.*network-policies-fixed\/orders.yaml:1\)$/m);
    expect(out).toContain("    -          port: 80\n    +          port: 8080\n");
    expect(out).toMatch(/^CONNECTIVITY {3}2 gained \(complete: nothing else changes\)$/m);
    expect(out).toMatch(/^ {2}\+ {3}shop\/deploy\/web +shop\/deploy\/orders +8080\/TCP$/m);
    expect(out).toMatch(/^ {2}\+ {3}shop\/deploy\/orders +outside 203\.0\.113\.0\/24 +443\/TCP$/m);
    expect(out).toMatch(/^TRAFFIC {3}6 connections seen 14 times go from deny to allow; none goes to deny, /m);
  });

  test("both verdicts of each connection are those that simulate has of either set", () => {
    const report = read(run(["diff", ...sets, ...sound, "-o", "json"]));
    const simulated = sets.map((set): Report => read(run(["simulate", ...sound, "-f", set, "-o", "json"])));
    const keyed = simulated.map(
      ({ connections }) => new Map(connections.map(({ verdict, ...connection }) => [identity(connection), verdict])),
    );
    const changed = [...keyed[0]].filter(([key, verdict]) => keyed[1].get(key) !== verdict);
    expect(report.connections.map((connection) => [identity(connection), connection.before, connection.after]).sort()).toEqual(
      changed.map(([key, verdict]) => [key, verdict, keyed[1].get(key)]).sort(),
    );
    expect(report.connections.length).toBe(6);
    const counts = report.connections.map(({ count }) => count);
    expect(counts).toEqual(counts.toSorted((a, b) => b - a));
  });

  const identity = (connection: object): string => {
    const { source, destination, protocol, port, via } = connection as Record<string, { ip?: string }>;
    return JSON.stringify([source.ip, destination.ip, protocol, port, via]);
  };

  test("the other way round everything that was gained is lost", () => {
    const [there, back] = [sets, sets.toReversed()].map((each) => read(run(["diff", ...each, ...snapshot, "-o", "json"])));
    const turned = back.connectivity.map(({ before, after, ...rest }) => ({ ...rest, before: after, after: before }));
    expect(turned).toEqual(there.connectivity);
    expect(there.equivalent).toBe(false);
  });

  test("a set and itself are equivalent, and the exit code is 0", () => {
    const result = run(["diff", sets[0], sets[0], ...sound, "-o", "json"]);
    expect(result.code).toBe(0);
    const report = read(result);
    expect([report.kind, report.equivalent, report.connectivity, report.connections]).toEqual(["DiffReport", true, [], []]);
    expect(new Set(report.policies.map(({ change }) => change))).toEqual(new Set(["unchanged"]));
  });

  test("order, defaults and comments are no change; the text is empty", () => {
    const before = networkPolicy("shop/p", "podSelector: {}, ingress: [{ports: [{port: 80}, {port: 81}]}, {from: [{podSelector: {}}]}]");
    const after = `# a comment\n${networkPolicy("shop/p", "podSelector: {}, policyTypes: [Ingress], ingress: [{from: [{podSelector: {}}]}, {ports: [{port: 81, protocol: TCP}, {port: 80}]}]")}`;
    const result = run(["diff", folderOf(before), folderOf(after), ...snapshot, "-o", "json"]);
    expect(result.code).toBe(0);
    expect(read(result).policies.find(({ name }) => name === "p")).toMatchObject({ change: "unchanged", text: "" });
  });

  test("yaml says what json says, and markdown, SARIF and JUnit are written beside it", () => {
    const [sarif, junit, markdown, json] = ["d.sarif", "d.xml", "d.md", "d.json"].map((name) => file(name, ""));
    const reports = [`sarif=${sarif}`, `junit=${junit}`, `markdown=${markdown}`, `json=${json}`].flatMap((each) => ["--report", each]);
    const { out } = run(["diff", ...sets, ...sound, "-o", "yaml", ...reports]);
    expect(load(out)).toEqual(JSON.parse(readFileSync(json, "utf8")));
    const { results } = readSarif(readFileSync(sarif, "utf8"));
    expect(results.map(({ ruleId }) => ruleId)).toEqual(["connectivity-gained", "connectivity-gained"]);
    expect(results[0].locations[0].physicalLocation.artifactLocation.uri).toBe("fixtures/shop/network-policies-fixed/orders.yaml");
    const suite = readJunit(readFileSync(junit, "utf8"));
    expect(suite.attributes).toMatchObject({ failures: "1" });
    expect(readFileSync(markdown, "utf8")).toMatch(/^\| gained \| shop\/deploy\/web \| shop\/deploy\/orders \| 8080\/TCP \|$/m);
  });

  test("names are those of the objects that differ", () => {
    expect(run(["diff", ...sets, ...snapshot, "-o", "name"]).out).toBe("networkpolicy.networking.k8s.io/orders\n");
  });

  test("--exit-zero keeps the exit code at 0", () => {
    expect(run(["diff", ...sets, ...snapshot, "--exit-zero", "-o", "name"]).code).toBe(0);
  });
});

describe("which sets are compared", () => {
  const allow = (port: number, name = "a/p") =>
    networkPolicy(name, `podSelector: {matchLabels: {app: api}}, ingress: [{ports: [{port: ${port}}]}]`);
  const snapshot = (...policies: readonly string[]) => ["--snapshot", world(...policies)];

  test("one argument is laid over the cluster's policies, as apply would", () => {
    const report = read(run(["diff", folderOf(allow(81)), ...snapshot(allow(80), allow(90, "a/q")), "-o", "json"]));
    expect(report.policies.map(({ name, change }) => [name, change])).toEqual([
      ["p", "changed"],
      ["q", "unchanged"],
    ]);
    expect(changes(report)).toContain("db > api TCP 80: allow > deny");
    expect(changes(report)).toContain("db > api TCP 81: deny > allow");
  });

  test("with --policy-mode=replace what the folder lacks is gone", () => {
    const report = read(
      run(["diff", folderOf(allow(80)), "--policy-mode=replace", ...snapshot(allow(80), allow(90, "a/q")), "-o", "json"]),
    );
    expect(report.policies.map(({ name, change }) => [name, change])).toEqual([
      ["p", "unchanged"],
      ["q", "removed"],
    ]);
    expect(new Set(changes(report).map((line) => line.replace(/^\w+/, "any")))).toEqual(new Set(["any > api TCP 90: allow > deny"]));
  });

  test("what only the earlier of two folders has was removed, though the cluster still holds it", () => {
    const report = read(
      run(["diff", folderOf(allow(80), allow(90, "a/q")), folderOf(allow(80)), ...snapshot(allow(80), allow(90, "a/q")), "-o", "json"]),
    );
    expect(report.policies.find(({ name }) => name === "q")?.change).toBe("removed");
    expect(changes(report).length).toBeGreaterThan(0);
  });

  test("`cluster` as the later set: what the cluster lacks of a folder", () => {
    const report = read(run(["diff", folderOf(allow(80)), "cluster", ...snapshot(), "-o", "json"]));
    expect(report.policies).toMatchObject([{ name: "p", change: "removed" }]);
  });

  test("one of them may come from standard input, not both", () => {
    const report = read(run(["diff", "-", folderOf(allow(81)), ...snapshot(), "-o", "json"], allow(80)));
    expect(report.policies).toMatchObject([{ name: "p", change: "changed" }]);
    expect(run(["diff", "-", "-", ...snapshot()], allow(80)).err).toMatch(/^error: `-` \(standard input\) is given 2 times \(OLD, NEW\)/);
  });

  test("labels that change between two snapshots change connectivity, with the policies as they are", () => {
    const later = file(
      "later.yaml",
      [...OBJECTS.map((text) => text.replace("labels: {app: web}", "labels: {app: webhook}"))].join("---\n"),
    );
    const policy = folderOf(
      networkPolicy("a/p", "podSelector: {matchLabels: {app: api}}, ingress: [{from: [{podSelector: {matchLabels: {app: web}}}]}]"),
    );
    const { code, out } = run(["diff", policy, policy, "--old-snapshot", world(), "--snapshot", later]);
    expect(code).toBe(1);
    expect(out).toMatch(/^ {2}- +a\/pods\/webhook +a\/pods\/api +every port$/m);
    expect(out).toContain("1 lost (complete: nothing else changes)");
  });

  test("workloads that are new are told, with what they may reach", () => {
    const [less] = [file("less.yaml", OBJECTS.filter((text) => !text.includes("name: db")).join("---\n"))];
    const policy = folderOf(allow(80));
    const report = JSON.parse(run(["diff", policy, policy, "--old-snapshot", less, "--snapshot", world(), "-o", "json"]).out);
    expect(report.workloads).toEqual({ added: ["b/Pods/db"], removed: [] });
    expect(changes(report)).toContain("db > api TCP 80: deny > allow");
  });

  test("manifests alone will do: Deployments without running pods", () => {
    const deployment = (name: string) =>
      `apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: ${name}, namespace: a}\nspec: {selector: {matchLabels: {app: ${name}}}, template: {metadata: {labels: {app: ${name}}}, spec: {containers: [{name: c, image: i, ports: [{name: http, containerPort: 8080}]}]}}}\n`;
    const policy = (from: string) =>
      networkPolicy(
        "a/p",
        `podSelector: {matchLabels: {app: api}}, ingress: [{from: [{podSelector: {matchLabels: {app: ${from}}}}], ports: [{port: http}]}]`,
      );
    const [before, after] = ["web", "webhook"].map((from) => folderOf(namespaces[0], deployment("web"), deployment("api"), policy(from)));
    const report = read(run(["diff", before, after, "-o", "json"]));
    expect(changes(report)).toEqual(["web > api TCP 8080: allow > deny"]);
    expect(run(["matrix", "-f", before]).out).toMatch(/^a\/deploy\/web +a\/deploy\/api +8080\/TCP$/m);
  });

  test("standard input may hold the workloads beside the policies", () => {
    const objects = [...OBJECTS, allow(80)];
    const [given, piped] = [run(["matrix", "-f", folderOf(...objects)]), run(["matrix", "-f", "-"], Buffer.from(objects.join("---\n")))];
    expect([given.code, piped.code, piped.err]).toEqual([0, 0, given.err]);
    expect(given.out).toMatch(/80\/TCP/);
    expect(piped.out).toBe(given.out);
  });

  test.each<[string, readonly string[], RegExp]>([
    ["no cluster and no workload", ["diff", folderOf(allow(80)), folderOf(allow(81))], /^error: .*: no workload and no Pod in it/],
    ["no cluster for one argument", ["diff", folderOf(allow(80))], /^error: no --snapshot, and no cluster to ask/],
    [
      "a folder that is not there",
      ["diff", "nowhere", folderOf(allow(80)), "--snapshot", `${SHOP}/cluster.yaml`],
      /^error: nowhere: no such file or directory/,
    ],
    [
      "no policy anywhere",
      ["diff", folderOf(namespaces[0]), folderOf(namespaces[1]), "--snapshot", `${SHOP}/cluster.yaml`],
      /^error: no network policy in /,
    ],
    [
      "a policy that the API would refuse",
      ["diff", folderOf(networkPolicy("a/p", "podSelektor: {}")), "cluster", "--snapshot", `${SHOP}/cluster.yaml`],
      /^error: .*0.yaml:4:\d+: spec.podSelektor/,
    ],
    [
      "no workload of that name",
      ["matrix", "--snapshot", `${SHOP}/cluster.yaml`, "--focus", "shop/deploy/webb"],
      /did you mean `shop\/deploy\/web`/,
    ],
  ])("refused: %s", (_name, args, message) => {
    const { code, err } = run(args);
    expect([code, err.split("\n").length]).toEqual([2, 2]);
    expect(err).toMatch(message);
  });
});

/** A policy of each dialect that lets web reach api on one port, and nobody else in. */
const DIALECTS: Readonly<Record<string, readonly [cni: string, of: (port: number) => readonly string[]]>> = {
  NetworkPolicy: [
    "generic",
    (port) => [
      networkPolicy(
        "a/p",
        `podSelector: {matchLabels: {app: api}}, ingress: [{from: [{podSelector: {matchLabels: {app: web}}}], ports: [{port: ${port}}]}]`,
      ),
    ],
  ],
  AdminNetworkPolicy: [
    "generic",
    (port) => [
      adminPolicy(
        "p",
        `priority: 5, subject: {pods: {namespaceSelector: {}, podSelector: {matchLabels: {app: api}}}}, ingress: [{action: Allow, from: [{pods: {namespaceSelector: {}, podSelector: {matchLabels: {app: web}}}}], ports: [{portNumber: {protocol: TCP, port: ${port}}}]}, {action: Deny, from: [{namespaces: {}}]}]`,
      ),
    ],
  ],
  BaselineAdminNetworkPolicy: [
    "generic",
    (port) => [
      baselinePolicy(
        `subject: {pods: {namespaceSelector: {}, podSelector: {matchLabels: {app: api}}}}, ingress: [{action: Allow, from: [{pods: {namespaceSelector: {}, podSelector: {matchLabels: {app: web}}}}], ports: [{portNumber: {protocol: TCP, port: ${port}}}]}, {action: Deny, from: [{namespaces: {}}]}]`,
      ),
    ],
  ],
  ClusterNetworkPolicy: [
    "generic",
    (port) => [
      clusterPolicy(
        "p",
        `tier: Admin, priority: 4, subject: {pods: {namespaceSelector: {}, podSelector: {matchLabels: {app: api}}}}, ingress: [{action: Accept, from: [{pods: {namespaceSelector: {}, podSelector: {matchLabels: {app: web}}}}], protocols: [{tcp: {destinationPort: {number: ${port}}}}]}, {action: Deny, from: [{namespaces: {}}]}]`,
      ),
    ],
  ],
  CiliumNetworkPolicy: [
    "cilium",
    (port) => [
      ciliumPolicy(
        "a/p",
        `endpointSelector: {matchLabels: {app: api}}, ingress: [{fromEndpoints: [{matchLabels: {app: web}}], toPorts: [{ports: [{port: "${port}", protocol: TCP}]}]}]`,
      ),
    ],
  ],
  Calico: [
    "calico",
    (port) => [
      calico(
        "NetworkPolicy",
        "a/p",
        `selector: app == 'api', types: [Ingress], ingress: [{action: Allow, protocol: TCP, source: {selector: app == 'web'}, destination: {ports: [${port}]}}]`,
      ),
    ],
  ],
  mixed: [
    "cilium",
    (port) => [
      networkPolicy("a/np", "podSelector: {matchLabels: {app: api}}"),
      ciliumPolicy(
        "a/p",
        `endpointSelector: {matchLabels: {app: api}}, ingress: [{fromEndpoints: [{matchLabels: {app: web}}], toPorts: [{ports: [{port: "${port}", protocol: TCP}]}]}]`,
      ),
    ],
  ],
};

describe.each(Object.entries(DIALECTS))("%s", (_dialect, [cni, of]) => {
  const flags = () => ["--snapshot", world(), "--cni", cni];

  test("diff tells the port that moved, and nothing else", () => {
    const report = read(run(["diff", folderOf(...of(80)), folderOf(...of(81)), ...flags(), "-o", "json"]));
    expect(changes(report)).toEqual(["web > api TCP 80: allow > deny", "web > api TCP 81: deny > allow"]);
    expect(report.connectivity).toHaveLength(2);
    expect(report.policies.filter(({ change }) => change === "changed")).toHaveLength(1);
    const { text } = report.policies.find(({ change }) => change === "changed")!;
    expect(text).toMatch(/^-.*80\b/m);
    expect(text).toMatch(/^\+.*81\b/m);
  });

  test("matrix tells who reaches api, in every output", () => {
    const args = ["matrix", "-f", folderOf(...of(80)), ...flags()];
    const { connectivity, kind } = read(run([...args, "-o", "json"]));
    const toApi = connectivity.filter(
      ({ source, destination, protocol }) =>
        endName(destination) === "api" && source.type === "pod" && endName(source) !== "api" && protocol === "TCP",
    );
    expect(toApi.map(({ source, protocol, ports, verdict }) => [endName(source), protocol, ports, verdict])).toEqual([
      ["web", "TCP", "80", "allow"],
    ]);
    expect(kind).toBe("MatrixReport");
    expect(load(run([...args, "-o", "yaml"]).out)).toMatchObject({ connectivity: connectivity as never });
    expect(run(args).out).toMatch(/^a\/pods\/web +a\/pods\/api +80\/TCP$/m);
    expect(run([...args, "-o", "csv"]).out).toContain("a/pods/web,a/pods/api,,TCP,80,allow,\r\n");
    const graph = run([...args, "-o", "dot"]).out;
    expect(graph).toMatch(/n\d+ -> n\d+ \[label="80\/TCP"\];/);
    // What always passes has no text.
    expect(graph).not.toMatch(/ -> .*label="(?:, |")/);
    expect(run([...args, "-o", "markdown"]).out).toContain("| a/pods/web | a/pods/api | 80/TCP |");
    const focus = read(run([...args, "--focus", "a/pods/api", "-o", "json"])).connectivity;
    const about = connectivity.filter(({ source, destination }) => [source, destination].some((end) => endName(end) === "api"));
    expect(focus).toEqual(about);
  });

  test("explain tells both verdicts, and a change that turns the denied one, in every output", () => {
    const args = ["-f", folderOf(...of(80)), ...flags()];
    expect(run(["explain", "a/web", "a/api", "80", ...args]).code).toBe(0);
    const denied = ["explain", "b/db", "a/api", "80", ...args];
    const [sarif, junit, markdown] = ["e.sarif", "e.xml", "e.md"].map((name) => file(name, ""));
    const reports = [`sarif=${sarif}`, `junit=${junit}`, `markdown=${markdown}`].flatMap((each) => ["--report", each]);
    const { code, out } = run([...denied, "-o", "json", ...reports]);
    const report = JSON.parse(out);
    expect([code, report.kind, report.verdict]).toEqual([1, "ExplainReport", "deny"]);
    expect(report.cases[0].ingress.verdict).toBe("deny");
    expect(report.cases[0].change).toBeDefined();
    expect(load(run([...denied, "-o", "yaml"]).out)).toEqual(report);
    expect(readSarif(readFileSync(sarif, "utf8")).results.length).toBeGreaterThan(0);
    expect(readJunit(readFileSync(junit, "utf8")).attributes).toMatchObject({ failures: "1" });
    expect(readFileSync(markdown, "utf8")).toContain("a/pod");
    expect(run(denied).out).toMatch(/^DENY /m);
  });

  test("coverage tells the rule that was used, in every output", () => {
    const record = { srcIp: "10.0.1.2", dstIp: "10.0.1.3", dstPort: 80, protocol: "TCP", verdict: "allow" };
    const args = ["coverage", "--flows", file("c.jsonl", `${JSON.stringify(record)}\n`), "-f", folderOf(...of(80)), ...flags()];
    const [sarif, junit, markdown] = ["c.sarif", "c.xml", "c.md"].map((name) => file(name, ""));
    const reports = [`sarif=${sarif}`, `junit=${junit}`, `markdown=${markdown}`].flatMap((each) => ["--report", each]);
    const { code, out } = run([...args, "-o", "json", ...reports]);
    const report = JSON.parse(out);
    expect([code, report.kind]).toEqual([0, "CoverageReport"]);
    expect(report.rules.filter(({ hits }: { hits: number }) => hits === 1)).toHaveLength(1);
    expect(load(run([...args, "-o", "yaml"]).out)).toEqual(report);
    readSarif(readFileSync(sarif, "utf8"));
    readJunit(readFileSync(junit, "utf8"));
    expect(readFileSync(markdown, "utf8")).toContain("ingress");
    expect(run(args).out).toMatch(/^COVERAGE /m);
    expect(run([...args, "--min", "101"]).code).toBe(2);
    expect(run([...args, "--min", "100"]).code).toBe(report.summary.percentage === 100 ? 0 : 1);
  });

  test("reports for CI are written by both", () => {
    const reports = (name: string) => {
      const [sarif, junit] = [file(`${name}.sarif`, ""), file(`${name}.xml`, "")];
      return { sarif, junit, flags: ["--report", `sarif=${sarif}`, "--report", `junit=${junit}`] };
    };
    const [diff, matrix] = [reports("diff"), reports("matrix")];
    run(["diff", folderOf(...of(80)), folderOf(...of(81)), ...flags(), ...diff.flags]);
    const ids = readSarif(readFileSync(diff.sarif, "utf8")).results.map(({ ruleId }) => ruleId);
    expect(ids).toEqual(["connectivity-lost", "connectivity-gained"]);
    expect(readJunit(readFileSync(diff.junit, "utf8")).attributes).toMatchObject({ failures: "1" });
    run(["matrix", "-f", folderOf(...of(80)), ...flags(), ...matrix.flags]);
    expect(readSarif(readFileSync(matrix.sarif, "utf8")).results.map(({ ruleId }) => ruleId)).toContain("exposed-to-outside");
    expect(readJunit(readFileSync(matrix.junit, "utf8")).attributes).toMatchObject({ failures: "0" });
  });
});

test("the README's line for CI compares a folder with what a branch has of it", () => {
  const line = readFileSync("README.md", "utf8")
    .split("\n")
    .find((each) => each.startsWith("old=$(mktemp -d) && git archive"))!;
  const repository = join(folder, "repository");
  const policies = join(repository, "policies");
  mkdirSync(policies, { recursive: true });
  writeFileSync(join(repository, "cluster.yaml"), OBJECTS.join("---\n"));
  writeFileSync(join(folder, "kubectl"), `#!/bin/sh\nshift\nexec ${PROGRAM} "$@"\n`, { mode: 0o755 });
  const env = { ...process.env, PATH: `${folder}:${process.env.PATH}`, HOME: folder, KUBECONFIG: "", GIT_CONFIG_NOSYSTEM: "1" };
  const sh = (script: string) => spawnSync("sh", ["-ec", script], { cwd: repository, encoding: "utf8", env });
  const git = "git -c user.name=t -c user.email=t@example.com";
  writeFileSync(join(policies, "p.yaml"), DIALECTS.NetworkPolicy[1](80)[0]);
  const setUp = sh(`git init -q . && git add . && ${git} commit -qm one && git update-ref refs/remotes/origin/main HEAD`);
  expect([setUp.status, setUp.stderr]).toEqual([0, ""]);
  writeFileSync(join(policies, "p.yaml"), DIALECTS.NetworkPolicy[1](81)[0]);
  const { status, stdout } = sh(line);
  expect(status).toBe(1);
  expect(stdout).toContain("1 lost, 1 gained (complete: nothing else changes)");
  expect(readFileSync(join(repository, "diff.md"), "utf8")).toContain("| **lost** | a/pods/web | a/pods/api | 80/TCP |");
});

test("matrix names every prefix and the family in what programs read", () => {
  const cidrs = ["192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24", "2001:db8::/32"];
  const blocks = cidrs.map((cidr) => `{ipBlock: {cidr: "${cidr}"}}`).join(", ");
  const dual = OBJECTS.map((text) => text.replace(/podIPs: \[\{ip: 10\.0\.1\.(\d)\}/, (all, last) => `${all}, {ip: "fd00::${last}"}`));
  const policies = folderOf(
    networkPolicy("a/web", `podSelector: {matchLabels: {app: web}}, policyTypes: [Egress], egress: [{to: [${blocks}]}]`),
    networkPolicy("a/api", 'podSelector: {matchLabels: {app: api}}, ingress: [{from: [{ipBlock: {cidr: "0.0.0.0/0"}}]}]'),
    networkPolicy("b/db", "podSelector: {}, policyTypes: [Egress], egress: [{ports: [{port: 80}]}]"),
  );
  const args = ["matrix", "-f", policies, "--snapshot", file("dual.yaml", dual.join("---\n")), "-o"];
  const table = run([...args, "csv"]).out;
  expect(table).toContain("source,destination,family,protocol,ports,verdict,condition\r\n");
  expect(table).toContain('a/pods/web,"outside 192.0.2.0/24, 198.51.100.0/24, 203.0.113.0/24');
  expect(table).toMatch(/^b\/pods\/db,a\/pods\/api,IPv4,TCP,80,allow,\r$/m);
  expect(table).not.toMatch(/b\/pods\/db,a\/pods\/api,(?!IPv4,)/);
  const graph = run([...args, "dot"]).out;
  expect(graph).toContain("192.0.2.0/24, 198.51.100.0/24, 203.0.113.0/24");
  expect(graph).toContain('[label="80/TCP (IPv4)"]');
  for (const output of [table, graph]) expect(output).not.toMatch(/ and \d+ more/);
});

test("hostile names are escaped in every output", () => {
  const name = "\u001b[31mred\u202e";
  const objects = OBJECTS.map((text) => text.replace("{app: db}", `{app: "${name.replace("\u001b", "\\e")}"}`));
  const snapshot = file("hostile.yaml", objects.join("---\n"));
  const args = ["--snapshot", snapshot, "-f", folderOf(...DIALECTS.NetworkPolicy[1](80))];
  for (const output of ["table", "wide", "json", "yaml", "csv", "dot", "markdown"]) {
    const { out, err } = run(["matrix", ...args, "-o", output]);
    expect(`${out}${err}`, output).not.toMatch(/[\u001b\u202e]/);
    expect(out, output).toContain("red");
  }
});
