import { spawn } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { load, loadAll } from "js-yaml";
import { afterAll, afterEach, describe, expect, it } from "vitest";
import { readAuditVerdict } from "../../src/live/brokerRows.ts";
import { type RecordedBroker, startRecordedBroker } from "../live/recordedBroker.ts";
import { PROGRAM } from "./program.ts";

const folder = mkdtempSync(join(tmpdir(), "kguardian-audit-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

let broker: RecordedBroker | undefined;
afterEach(async () => {
  await broker?.stop();
  broker = undefined;
});

interface Run {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

/** Runs a command in a process of its own, without any cluster. */
function run(args: readonly string[], input = ""): Promise<Run> {
  return new Promise((resolve, reject) => {
    const child = spawn(PROGRAM, args, {
      cwd: folder,
      env: { PATH: process.env.PATH, HOME: join(folder, "home"), NO_COLOR: "1", ...(broker ? { KGUARDIAN_BROKER_URL: broker.url } : {}) },
    });
    let [out, err] = ["", ""];
    child.stdout.setEncoding("utf8").on("data", (text) => (out += text));
    child.stderr.setEncoding("utf8").on("data", (text) => (err += text));
    child.on("error", reject);
    child.on("close", (code) => resolve({ code, out, err }));
    child.stdin.end(input);
  });
}

function file(name: string, text: string): string {
  const path = join(folder, name);
  writeFileSync(path, text);
  return path;
}

/** An API server that has only these objects, by the paths of their lists. */
async function apiServer(lists: Readonly<Record<string, readonly unknown[]>>) {
  const resources = [
    { resource: "auditnetworkpolicies", responseKind: { kind: "AuditNetworkPolicy" }, scope: "Namespaced" },
    { resource: "auditclusternetworkpolicies", responseKind: { kind: "AuditClusterNetworkPolicy" }, scope: "Cluster" },
  ];
  const discovery = {
    kind: "APIGroupDiscoveryList",
    items: [{ metadata: { name: "kguardian.dev" }, versions: [{ version: "v1alpha1", resources }] }],
  };
  const server = createServer(({ url = "" }, response) => {
    const path = url.replace(/[?].*/, "");
    const send = (status: number, body: unknown) =>
      response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(body));
    if (path === "/apis") return send(200, discovery);
    const [, root, namespace, resource, name] = /^(.*\/v1alpha1)(?:\/namespaces\/([^/]+))?\/([^/]+)\/([^/]+)$/.exec(path) ?? [];
    const object = (lists[`${root}/${resource}`] ?? []).find((each) => {
      const { metadata } = each as { metadata: { name: string; namespace?: string } };
      return metadata.name === name && metadata.namespace === namespace;
    });
    if (object !== undefined) return send(200, object);
    if (path.includes("/configmaps/")) return send(404, { kind: "Status", code: 404 });
    return send(200, { kind: "List", metadata: {}, items: lists[path] ?? [] });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return { port: (server.address() as AddressInfo).port, stop: () => server.close().closeAllConnections() };
}

function kubeconfig(port: number, namespace: string): string {
  return JSON.stringify({
    apiVersion: "v1",
    kind: "Config",
    "current-context": "c",
    clusters: [{ name: "c", cluster: { server: `http://127.0.0.1:${port}` } }],
    users: [{ name: "u", user: {} }],
    contexts: [{ name: "c", context: { cluster: "c", user: "u", namespace } }],
  });
}

const WEB = `
apiVersion: kguardian.dev/v1alpha1
kind: AuditNetworkPolicy
metadata:
  name: web
  namespace: shop
  labels: {team: shop}
  annotations:
    note: "yes"
    kubectl.kubernetes.io/last-applied-configuration: '{}'
spec:
  podSelector: {matchLabels: {app: web}}
  ingress:
  - from: [{podSelector: {matchLabels: {app: front}}}]
    ports: [{port: 8080}]
`;
const BASELINE = `
apiVersion: kguardian.dev/v1alpha1
kind: AuditClusterNetworkPolicy
metadata: {name: baseline}
spec:
  namespaceSelector: {matchLabels: {tier: prod}}
  podSelector: {}
  ingress:
  - from: [{podSelector: {}}]
`;
const NAMESPACES = ["shop", "pay", "dev"]
  .map((name) => `apiVersion: v1\nkind: Namespace\nmetadata: {name: ${name}, labels: {tier: ${name === "dev" ? "test" : "prod"}}}\n`)
  .join("---\n");

describe("audit promote", () => {
  it("prints the NetworkPolicy of an AuditNetworkPolicy with a line that says where it comes from", async () => {
    const { code, out, err } = await run(["audit", "promote", "web", "-f", file("web.yaml", WEB)]);
    expect(code).toBe(0);
    expect(out.split("\n")[0]).toMatch(/^# Promoted from AuditNetworkPolicy shop\/web \(.*web\.yaml:2\) by kubectl kguardian$/);
    expect(load(out)).toEqual({
      apiVersion: "networking.k8s.io/v1",
      kind: "NetworkPolicy",
      metadata: { name: "web", namespace: "shop", labels: { team: "shop" }, annotations: { note: "yes" } },
      spec: {
        podSelector: { matchLabels: { app: "web" } },
        policyTypes: ["Ingress"],
        ingress: [{ from: [{ podSelector: { matchLabels: { app: "front" } } }], ports: [{ protocol: "TCP", port: 8080 }] }],
      },
    });
    expect(err.trimEnd().split("\n").at(-1)).toMatch(/simulate -f.*kubectl apply --server-side -f -`/);
  });

  it("reads standard input and prints JSON and names", async () => {
    expect(JSON.parse((await run(["audit", "promote", "auditnetworkpolicy/web", "-f", "-", "-o", "json"], WEB)).out)).toMatchObject({
      kind: "NetworkPolicy",
      metadata: { name: "web" },
    });
    expect((await run(["audit", "promote", "web", "-f", "-", "-o", "name"], WEB)).out).toBe("networkpolicy.networking.k8s.io/web\n");
  });

  it("makes a policy of each namespace that an AuditClusterNetworkPolicy selects, with peers of that namespace", async () => {
    const snapshot = file("snapshot.yaml", `${NAMESPACES}---${BASELINE}`);
    const { code, out, err } = await run(["audit", "promote", "baseline", "--snapshot", snapshot]);
    expect(code).toBe(0);
    const policies = loadAll(out) as { metadata: object; spec: { ingress: unknown } }[];
    expect(policies.map(({ metadata }) => metadata)).toEqual([
      { name: "baseline", namespace: "shop" },
      { name: "baseline", namespace: "pay" },
    ]);
    expect(policies[1].spec.ingress).toEqual([{ from: [{ podSelector: {} }] }]);
    expect(err).toContain("each of the 2 namespaces that it selects now");
  });

  it("takes namespaces from the files themselves, and refuses to guess them", async () => {
    const both = file("both.yaml", `${NAMESPACES}---${BASELINE}`);
    expect(loadAll((await run(["audit", "promote", "baseline", "-f", both])).out)).toHaveLength(2);
    const { code, out, err } = await run(["audit", "promote", "baseline", "-f", file("alone.yaml", `${BASELINE}---${WEB}`)]);
    expect([code, out]).toEqual([2, ""]);
    expect(err).toMatch(/^error: .*no namespaces are known: give a snapshot/);
    const open = BASELINE.replace("  - from: [{podSelector: {}}]\n", "  - {}\n");
    expect((await run(["audit", "promote", "baseline", "-f", file("open.yaml", open)])).err).toMatch(
      /^error: AuditClusterNetworkPolicy baseline: which namespaces there are is not known: give --snapshot FILE/,
    );
    const named = open.replace("{tier: prod}", "{kubernetes.io/metadata.name: pay}");
    expect(load((await run(["audit", "promote", "baseline", "-f", file("named.yaml", named)])).out)).toMatchObject({
      metadata: { namespace: "pay" },
    });
  });

  it("does not take the namespaces that pods happen to be in for all", async () => {
    const pod = "apiVersion: v1\nkind: Pod\nmetadata: {name: a, namespace: shop}\n";
    const open = BASELINE.replace("  namespaceSelector: {matchLabels: {tier: prod}}\n", "");
    const { code, err } = await run(["audit", "promote", "baseline", "--snapshot", file("pods.yaml", `${pod}---${open}`)]);
    expect(code).toBe(2);
    expect(err).toContain("no namespaces are known");
  });

  it("says what there is where nothing has the name", async () => {
    const path = file("web.yaml", `${WEB}---${BASELINE}`);
    expect((await run(["audit", "promote", "wbe", "-f", path])).err).toMatch(/^error: no audit policy `wbe` in .*did you mean `web`\?/);
    expect((await run(["audit", "promote", "nothing-like-it", "-f", path])).err).toMatch(
      /there is AuditNetworkPolicy shop\/web, AuditClusterNetworkPolicy baseline/,
    );
    expect((await run(["audit", "promote", "web", "--snapshot", path])).err).toMatch(
      /no audit policy `web` in namespace `default` of the snapshot; there is AuditNetworkPolicy shop\/web: give -n/,
    );
    const none = await run(["audit", "promote", "web", "-f", file("ns.yaml", NAMESPACES)]);
    expect([none.code, none.err]).toEqual([
      2,
      expect.stringMatching(/^error: no AuditNetworkPolicy or AuditClusterNetworkPolicy in .*ns\.yaml\n$/),
    ]);
    expect((await run(["audit", "promote"])).err).toMatch(/^error: name an audit policy, or give --all/);
    expect((await run(["audit", "promote", "web"])).err).toMatch(/^error: no audit policies: give -f FILE or --snapshot FILE/);
  });

  it("refuses two that would become one, and warns of one that is there", async () => {
    const twin = `${NAMESPACES}---${WEB}---${BASELINE.replace("name: baseline", "name: web")}`;
    const { code, err } = await run(["audit", "promote", "--all", "-n", "shop", "--snapshot", file("twin.yaml", twin)]);
    expect(code).toBe(2);
    expect(err).toContain("NetworkPolicy shop/web would come of AuditNetworkPolicy shop/web and of AuditClusterNetworkPolicy web");
    expect((await run(["audit", "promote", "web", "-n", "shop", "--snapshot", join(folder, "twin.yaml")])).err).toMatch(
      /`web` is ambiguous: .*give its kind, such as auditnetworkpolicy\/web/,
    );
    const there = `${WEB}---\napiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: web, namespace: shop}\nspec: {podSelector: {}}\n`;
    const warned = await run(["audit", "promote", "web", "-n", "shop", "--snapshot", file("there.yaml", there)]);
    expect(warned.err).toContain("warning: NetworkPolicy shop/web is there already");
  });

  it("refuses a policy that the API server would refuse, and nothing else of its file", async () => {
    const bad = WEB.replace("name: web", "name: bad").replace("port: 8080", "port: 99999");
    const path = file("bad.yaml", `${bad}---${WEB}`);
    expect(await run(["audit", "promote", "bad", "-f", path])).toMatchObject({ code: 2, out: "" });
    expect(await run(["audit", "promote", "web", "-f", path])).toMatchObject({ code: 0 });
  });

  it("writes files, all or none, and overwrites only its own", async () => {
    const path = file("dir.yaml", `${NAMESPACES}---${WEB}---${BASELINE}`);
    const directory = join(folder, "out");
    const { code, out } = await run(["audit", "promote", "-A", "-f", path, "--output-dir", directory]);
    expect(code).toBe(0);
    expect(readdirSync(directory).sort()).toEqual([
      "pay-baseline-networkpolicy.yaml",
      "shop-baseline-networkpolicy.yaml",
      "shop-web-networkpolicy.yaml",
    ]);
    expect(out).toContain("shop-web-networkpolicy.yaml   from AuditNetworkPolicy shop/web");
    writeFileSync(join(directory, "shop-web-networkpolicy.yaml"), "# mine\n");
    rmSync(join(directory, "pay-baseline-networkpolicy.yaml"));
    const again = await run(["audit", "promote", "-A", "-f", path, "--output-dir", directory]);
    expect(again).toMatchObject({ code: 2, err: expect.stringContaining("is not overwritten") });
    expect(existsSync(join(directory, "pay-baseline-networkpolicy.yaml"))).toBe(false);
    expect(readFileSync(join(directory, "shop-web-networkpolicy.yaml"), "utf8")).toBe("# mine\n");
  });

  it("reads the live cluster, in the context's namespace", async () => {
    const audits = loadAll(`${WEB}---${BASELINE}`) as { kind: string }[];
    const server = await apiServer({
      "/api/v1/namespaces": loadAll(NAMESPACES),
      "/apis/kguardian.dev/v1alpha1/auditnetworkpolicies": audits.slice(0, 1),
      "/apis/kguardian.dev/v1alpha1/auditclusternetworkpolicies": audits.slice(1),
    });
    try {
      const config = file("config.yaml", kubeconfig(server.port, "shop"));
      const { code, out } = await run(["audit", "promote", "--all", "--kubeconfig", config, "-o", "json"]);
      expect(code).toBe(0);
      const { items } = JSON.parse(out) as { items: { metadata: { name: string; namespace: string; annotations?: unknown } }[] };
      // What is read of a cluster to judge by has none.
      expect(items.find(({ metadata }) => metadata.name === "web")?.metadata.annotations).toEqual({ note: "yes" });
      expect(items.map(({ metadata }) => `${metadata.namespace}/${metadata.name}`).sort()).toEqual([
        "pay/baseline",
        "shop/baseline",
        "shop/web",
      ]);
      const elsewhere = await run(["audit", "promote", "web", "-n", "pay", "--kubeconfig", config]);
      expect(elsewhere.err).toMatch(
        /^error: no audit policy `web` in namespace `pay` of the cluster; there is AuditNetworkPolicy shop\/web: give -n/,
      );
      // A file of the policy alone: the cluster says which namespaces there are.
      const ofFile = await run(["audit", "promote", "baseline", "-f", file("one.yaml", BASELINE), "--kubeconfig", config]);
      expect(loadAll(ofFile.out)).toHaveLength(2);
    } finally {
      server.stop();
    }
  });

  it("lets no text of an object act on the terminal", async () => {
    const hostile = WEB.replace('note: "yes"', 'note: "a\\u001b[2J\\u202eb"');
    const { out, err } = await run(["audit", "promote", "web", "-f", file("hostile.yaml", hostile)]);
    expect(out + err).not.toMatch(/[\u001b\u202e]/);
    expect(err).toContain("1 annotation with control characters left out (note)");
  });
});

const row = (fields: Readonly<Record<string, unknown>> = {}) => ({
  id: 1,
  policy_uid: "u",
  policy_namespace: "shop",
  policy_name: "web",
  direction: "Ingress",
  src_namespace: "jobs",
  src_pod: "batch-1",
  dst_namespace: "shop",
  dst_pod: "web-1",
  dst_port: 8080,
  protocol: "TCP",
  reason: "no ingress rule matches",
  observed_at: "2026-07-20T10:01:30",
  verdict: "WouldDeny",
  ...fields,
});

describe("audit verdicts", () => {
  it("reads both spellings of a record's port, and ends that are no pods", () => {
    expect(readAuditVerdict(row())).toMatchObject({ port: 8080, source: "jobs/batch-1", destination: "shop/web-1" });
    expect(readAuditVerdict(row({ dst_port: undefined, port: 443 }))).toMatchObject({ port: 443 });
    expect(readAuditVerdict(row({ dst_port: 8080, port: null }))).toMatchObject({ port: 8080 });
    expect(readAuditVerdict(row({ dst_port: 0 }))).toMatchObject({ port: undefined });
    expect(readAuditVerdict(row({ src_pod: null, src_namespace: null }))).toMatchObject({ source: "?" });
    expect(readAuditVerdict(row({ dst_port: 70000 }))).toBe("port is none");
  });

  it("prints a table as kubectl would, and what to do next", async () => {
    broker = await startRecordedBroker({ verdicts: [row({ observed_at: new Date(Date.now() - 300_500).toISOString().slice(0, -1) })] });
    const { code, out, err } = await run(["audit", "verdicts", "-n", "shop"]);
    expect([code, err]).toEqual([0, ""]);
    expect(out.split("\n")[0].split(/ {3,}/)).toEqual(["AGE", "POLICY", "DIRECTION", "FROM", "TO", "PORT", "VERDICT", "REASON"]);
    expect(out).toMatch(/^5m\w*\s+shop\/web\s+Ingress\s+jobs\/batch-1\s+shop\/web-1\s+8080\/TCP\s+WouldDeny\s+no ingress rule matches$/m);
    expect(out).toContain("`kubectl kguardian audit promote web -n shop`");
  });

  it("asks the broker in its own words", async () => {
    broker = await startRecordedBroker({ verdicts: [] });
    await run(["audit", "verdicts", "--verdict", "would-deny", "--direction", "EGRESS", "--policy", "web", "-n", "shop", "--limit", "7"]);
    await run(["audit", "verdicts", "-A", "--verdict", "ALLOW"]);
    await run(["audit", "verdicts"]);
    const asked = broker.requests.filter(({ path }) => path.startsWith("/audit/")).map(({ path }) => path);
    expect(asked).toEqual([
      "/audit/verdicts?policy=web&namespace=shop&verdict=WouldDeny&direction=Egress&limit=7",
      "/audit/verdicts?verdict=Allow&limit=100",
      "/audit/verdicts?namespace=default&limit=100",
    ]);
  });

  it("says where nothing was found, on standard error", async () => {
    broker = await startRecordedBroker({ verdicts: [] });
    expect(await run(["audit", "verdicts", "-n", "pay"])).toMatchObject({
      code: 0,
      out: "",
      err: expect.stringMatching(/^No verdicts found of policies in namespace pay: -A looks/),
    });
    expect(JSON.parse((await run(["audit", "verdicts", "-A", "-o", "json"])).out)).toMatchObject({ verdicts: [] });
  });

  it("leaves out what is older than --since, and asks for all there is before", async () => {
    const at = (secondsAgo: number) => new Date(Date.now() - secondsAgo * 1000).toISOString().slice(0, -1);
    broker = await startRecordedBroker({
      verdicts: [row({ observed_at: at(60), policy_name: "new" }), row({ observed_at: at(7200), policy_name: "old" })],
    });
    const report = JSON.parse((await run(["audit", "verdicts", "-A", "--since", "1h", "--limit", "5", "-o", "json"])).out);
    expect(report.verdicts.map(({ policy }: { policy: { name: string } }) => policy.name)).toEqual(["new"]);
    expect(broker.requests.at(-1)?.path).toBe("/audit/verdicts?limit=500");
    expect((await run(["audit", "verdicts", "--since", "yesterday"])).err).toMatch(/^error: --since: `yesterday` is no RFC 3339 time/);
  });

  it("says when the answer may have been cut", async () => {
    broker = await startRecordedBroker({ verdicts: Array.from({ length: 600 }, (_, i) => row({ id: i })) });
    expect((await run(["audit", "verdicts", "-A", "--limit", "3"])).out).toContain("These are the newest 3: there may be more");
    expect((await run(["audit", "verdicts", "-A", "--limit", "500"])).out).toContain("the broker gives no more at once");
    const json = await run(["audit", "verdicts", "-A", "--limit", "3", "-o", "json"]);
    expect(JSON.parse(json.out).summary).toEqual({ records: 3, wouldDeny: 3, limit: 3, mayBeCut: true });
    expect(json.err).toContain("warning: These are the newest 3");
    // Older ones came along, so the window is whole.
    const since = await run(["audit", "verdicts", "-A", "--since", "2026-07-20T11:00:00Z", "-o", "json"]);
    expect(JSON.parse(since.out).summary).toMatchObject({ records: 0, mayBeCut: false });
  });

  it("names the policies for scripts", async () => {
    broker = await startRecordedBroker({ verdicts: [row(), row(), row({ policy_namespace: "", policy_name: "baseline" })] });
    expect((await run(["audit", "verdicts", "-A", "-o", "name"])).out).toBe(
      "auditclusternetworkpolicy.kguardian.dev/baseline\nauditnetworkpolicy.kguardian.dev/web\n",
    );
  });

  it("survives hostile records, and counts those it cannot use", async () => {
    broker = await startRecordedBroker({
      verdicts: [
        row({ policy_name: "a\u001b[2J\u202e", reason: "x".repeat(100_000), src_pod: "y".repeat(100_000) }),
        row({ observed_at: "never" }),
      ],
    });
    const { code, out, err } = await run(["audit", "verdicts", "-A"]);
    expect(code).toBe(0);
    expect(out + err).not.toMatch(/[\u001b\u202e]/);
    expect(out.length).toBeLessThan(3000);
    expect(err).toContain("1 record of the broker could not be used: observed_at is no time");
  });

  it.each([
    [["--verdict", "denied"], /^error: --verdict: `denied` is neither Allow nor WouldDeny/],
    [["--limit", "0"], /^error: --limit: `0` is no number from 1 to 500/],
    [["--limit", "501"], /^error: --limit/],
    [["--policy", "shop/web"], /^error: --policy: .*-n/],
    [["-A", "-n", "shop"], /^error: -n and -A exclude each other/],
    [[], /^error: no broker: give --broker-url URL/],
  ])("refuses %j", async (args, message) => {
    const { code, err } = await run(["audit", "verdicts", ...args]);
    expect(code).toBe(2);
    expect(err).toMatch(message);
    expect(err.trimEnd().split("\n")).toHaveLength(1);
  });
});

it("an audit policy beside the policy that it was promoted to is no mistake", async () => {
  const policy = (apiVersion: string, kind: string) =>
    `apiVersion: ${apiVersion}\nkind: ${kind}\nmetadata: {name: web, namespace: shop}\nspec: {podSelector: {}, policyTypes: [Ingress], ingress: []}\n`;
  const path = join(folder, "promoted.yaml");
  writeFileSync(
    path,
    [
      "apiVersion: v1\nkind: Pod\nmetadata: {name: web-0, namespace: shop, labels: {app: web}}\nstatus: {podIP: 10.0.0.1, phase: Running}\n",
      policy("kguardian.dev/v1alpha1", "AuditNetworkPolicy"),
      policy("networking.k8s.io/v1", "NetworkPolicy"),
    ].join("---\n"),
  );
  const { code, out } = await run(["matrix", "--snapshot", path]);
  expect({ code, head: out.split(":")[0] }).toEqual({ code: 0, head: "1 workload under 1 policy" });
});
