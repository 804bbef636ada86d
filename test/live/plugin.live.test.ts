import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { load } from "js-yaml";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { AUDIT_CRDS } from "./auditKinds.ts";
import { execute, type Finished, type LiveCluster, startLiveCluster } from "./liveCluster.ts";
import { type RecordedBroker, startRecordedBroker } from "./recordedBroker.ts";
import { CLUSTER, POD_INFO, SERVICE_INFO, TRAFFIC, trafficRow } from "./smallWorld.ts";

/*
 * The plugin as its users run it, `kubectl kguardian …`, against a real API server, with a broker behind a forwarded port of a pod.
 * Whatever it prints goes through `kguardian` below, which looks for planted secrets.
 */

const ROOT = fileURLToPath(new URL("../../", import.meta.url));
const MARKER = "pl4nted-s3cret";
const folder = mkdtempSync(join(tmpdir(), "kguardian-live-"));
let broker: RecordedBroker;
let cluster: LiveCluster;
let work: string;

beforeAll(async () => {
  const world = join(folder, "world.json");
  const items = [...CLUSTER.items, ...planted()].map(withSecrets);
  writeFileSync(world, JSON.stringify({ ...CLUSTER, items }));
  broker = await startRecordedBroker({ podInfo: POD_INFO, serviceInfo: SERVICE_INFO, traffic: TRAFFIC });
  cluster = await startLiveCluster({ brokerPort: broker.port, world: [world], extraUsers: ["limited", "tenant", "blind", "adder"] });
});
afterAll(async () => {
  await cluster?.stop();
  await broker?.stop();
  rmSync(folder, { recursive: true, force: true });
});
beforeEach(() => {
  work = mkdtempSync(join(folder, "work-"));
});
afterEach(() => {
  broker.setFaults([]);
  cluster.kubectl(["delete", "networkpolicies", "-A", "--all"]);
});

/** Objects that must never be read, or of which only the head is. */
function planted(): Record<string, unknown>[] {
  return [
    { apiVersion: "v1", kind: "Secret", metadata: { name: "keys", namespace: "shop" }, stringData: { key: MARKER } },
    { apiVersion: "v1", kind: "ConfigMap", metadata: { name: "settings", namespace: "shop" }, data: { key: MARKER } },
  ];
}

function withSecrets(object: Record<string, unknown>): Record<string, unknown> {
  if (object.kind !== "Pod") return object;
  const copy = structuredClone(object) as { metadata: Record<string, unknown>; spec: { containers: Record<string, unknown>[] } };
  copy.metadata.annotations = { note: MARKER };
  for (const container of copy.spec.containers)
    Object.assign(container, { env: [{ name: "TOKEN", value: MARKER }], args: [`--token=${MARKER}`] });
  return copy as unknown as Record<string, unknown>;
}

/** Runs `kubectl kguardian` in a folder of the test's own; nothing that it prints or writes may hold a secret. */
async function kguardian(args: readonly string[], environment: Record<string, string> = {}): Promise<Finished> {
  const result = await execute("sh", ["-c", 'cd "$1" && shift && exec kubectl kguardian "$@"', "sh", work, ...args], {
    environment: { ...cluster.environment, ...environment },
  });
  const written = readdirSync(work, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => readFileSync(join(entry.parentPath, entry.name), "utf8"));
  for (const text of [result.stdout, result.stderr, ...written]) {
    expect(text).not.toContain(MARKER);
    for (const secret of kubeconfigSecrets()) expect(text).not.toContain(secret);
    expect(text).not.toMatch(/^\s+at .*:\d+:\d+/m);
  }
  return result;
}

function kubeconfigSecrets(): string[] {
  const { users } = load(readFileSync(cluster.kubeconfig, "utf8")) as { users: { user: { token?: string } }[] };
  return users.flatMap(({ user }) => user.token ?? []);
}

const apply = (text: string) => {
  const done = cluster.kubectl(["apply", "--server-side", "--force-conflicts", "-f", "-"], { input: text });
  expect(done).toMatchObject({ status: 0 });
};

const policies = () =>
  (
    JSON.parse(cluster.kubectl(["get", "networkpolicies", "-A", "-o", "json", "--show-managed-fields"]).stdout) as {
      items: NetworkPolicy[];
    }
  ).items;

interface NetworkPolicy {
  readonly metadata: {
    readonly namespace: string;
    readonly name: string;
    readonly uid: string;
    readonly labels: unknown;
    readonly managedFields: { manager: string; operation: string }[];
  };
  readonly spec: { readonly ingress?: { from?: unknown[]; ports?: unknown[] }[]; readonly egress?: unknown[] };
}

/** What an object says, without what the server keeps of its history. */
const contents = (items: readonly NetworkPolicy[]) =>
  items.map(({ metadata: { namespace, name, labels }, spec }) => ({ namespace, name, labels, spec }));

interface Report {
  readonly summary: { readonly connections: number };
  readonly inputs: readonly { readonly name: string; readonly format: string; readonly records: number }[];
  readonly connections: readonly Record<string, unknown>[];
}

/** Connections without what differs between two runs. */
const linesOf = ({ connections }: Report) =>
  connections.map((c) => {
    const { source, destination, via, protocol, port, observed, count, lastSeen } = c as Record<
      string,
      { namespace?: string; name?: string; ip: string }
    >;
    return JSON.stringify([source, destination, via, protocol, port, observed, count, lastSeen]);
  });

describe("reading", () => {
  test("simulate needs nothing but the kubeconfig: the cluster's objects, and the broker by a port-forward", async () => {
    const { status, stdout, stderr } = await kguardian(["simulate", "-o", "json"]);
    expect(status).toBe(0);
    const report = JSON.parse(stdout) as Report;
    expect(report.inputs).toEqual([
      expect.objectContaining({ name: "svc/broker of kguardian, by port-forward to broker-0", format: "broker", records: TRAFFIC.length }),
    ]);
    const seen = report.connections.map(({ source, destination, port, via }) => [
      nameOf(source),
      nameOf(destination),
      port,
      (via as { service?: string } | undefined)?.service,
    ]);
    expect(seen).toEqual([
      ["shop/orders-0", "kube-system/dns-0", 53, "kube-system/dns"],
      ["shop/orders-0", "shop/db-0", 5432, "shop/db"],
      ["shop/web-0", "203.0.113.7", 443, undefined],
      ["shop/web-0", "kube-system/dns-0", 53, "kube-system/dns"],
      ["shop/web-0", "shop/orders-0", 9000, "shop/orders"],
    ]);
    expect(report.connections.every(({ count }) => count === null)).toBe(true);
    expect(stderr).toContain("when each connection was first seen");
  });

  test("gen writes a policy for a workload of the cluster, in the context's namespace where none is named", async () => {
    const { status, stdout } = await kguardian(["gen", "networkpolicy", "orders", "-n", "shop", "--output-dir="]);
    expect(status).toBe(0);
    const [text] = stdout.split("\n---\n");
    expect(load(text)).toMatchObject({
      kind: "NetworkPolicy",
      metadata: { name: "orders", namespace: "shop" },
      spec: {
        podSelector: { matchLabels: { app: "orders" } },
        ingress: [{ from: [{ podSelector: { matchLabels: { app: "web" } } }] }],
        egress: expect.any(Array),
      },
    });
    // Not into the folder that is looked through for secrets.
    const context = join(folder, "config");
    writeFileSync(context, readFileSync(cluster.kubeconfig, "utf8").replaceAll("namespace: default", "namespace: shop"));
    const again = await kguardian(["gen", "networkpolicy", "orders", "--output-dir="], { KUBECONFIG: context });
    expect(again.stdout).toBe(stdout);
  });

  test("snapshot saves what a later run without the cluster needs, and nothing secret", async () => {
    const { status, stderr } = await kguardian(["snapshot", "--file", "cluster.yaml"]);
    expect([status, stderr]).toEqual([0, expect.stringMatching(/\d+ objects in cluster.yaml: \d+ Namespace, 1 Node/)]);
    const live = await kguardian(["simulate", "-o", "json"]);
    const offline = await kguardian(["simulate", "-o", "json", "--snapshot", "cluster.yaml", "--broker-url", broker.url], {
      KUBECONFIG: "/nowhere",
    });
    expect(offline.status).toBe(0);
    expect(linesOf(JSON.parse(offline.stdout))).toEqual(linesOf(JSON.parse(live.stdout)));
    const json = await kguardian(["snapshot", "--redact", "-o", "json"]);
    for (const name of ["orders", "shop", "10.244.1.1", "kguardian"]) expect(json.stdout).not.toContain(name);
    expect(JSON.parse(json.stdout).items.length).toBeGreaterThan(20);
  });

  test("what kubectl prints is a snapshot too", async () => {
    const kinds = "ns,nodes,pods,svc,endpointslices,deploy,rs,sts,ds,jobs,cronjobs,netpol";
    // kubectl prints everything: this file is not looked at for secrets.
    const file = join(folder, "kubectl.yaml");
    writeFileSync(file, cluster.kubectl(["get", kinds, "-A", "-o", "yaml"]).stdout);
    const live = await kguardian(["simulate", "-o", "json"]);
    const offline = await kguardian(["simulate", "-o", "json", "--snapshot", file]);
    expect(linesOf(JSON.parse(offline.stdout))).toEqual(linesOf(JSON.parse(live.stdout)));
  });

  test("a cluster goes with a capture's records, and a snapshot with the broker's traffic", async () => {
    const flows = join(work, "flows.jsonl");
    writeFileSync(
      flows,
      `${JSON.stringify({ srcIp: "10.244.1.10", dstIp: "10.244.1.11", protocol: "TCP", dstPort: 9000, verdict: "allow" })}\n`,
    );
    const { stdout } = await kguardian(["simulate", "-o", "json", "--flows", "flows.jsonl"]);
    const [connection] = (JSON.parse(stdout) as Report).connections;
    expect([nameOf(connection.source), nameOf(connection.destination)]).toEqual(["shop/web-0", "shop/orders-0"]);
    expect(broker.requests.filter(({ path }) => path.startsWith("/pod/traffic")).length).toBeGreaterThan(0);
  });

  test("policies in force are judged, and named without a file", async () => {
    apply(networkPolicy("closed", { app: "orders" }, []));
    const { status, stdout } = await kguardian(["simulate"]);
    expect(status).toBe(1);
    expect(stdout).toMatch(/shop\/sts\/web +shop\/sts\/orders +9000\/TCP +shop\/closed ingress/);
    expect(stdout).not.toContain("undefined");
    const json = await kguardian(["simulate", "-o", "json"]);
    expect(json.stdout).not.toMatch(/"file"|"line"/);
  });
});

describe("comparing", () => {
  const closed = networkPolicy("closed", { app: "orders" }, []);
  const open = networkPolicy("closed", { app: "orders" }, [
    { from: [{ podSelector: { matchLabels: { app: "web" } } }], ports: [{ port: 9000 }] },
  ]);

  test("diff tells what a file changes of what is in force, and of what the broker observed", async () => {
    apply(closed);
    writeFileSync(join(work, "policy.json"), open);
    const { status, stdout } = await kguardian(["diff", "policy.json", "--broker"]);
    expect(status).toBe(1);
    expect(stdout).toMatch(/^~ NetworkPolicy shop\/closed {3}\(policy.json:1\)$/m);
    expect(stdout).toMatch(/^ {2}\+ {3}shop\/sts\/web +shop\/sts\/orders +9000\/TCP$/m);
    expect(stdout).toMatch(/^TRAFFIC {3}1 connection seen .* goes? from deny to allow/m);
    const json = JSON.parse((await kguardian(["diff", "policy.json", "-o", "json"])).stdout);
    expect(json.connections).toEqual([]);
    expect(json.connectivity).toMatchObject([{ protocol: "TCP", ports: "9000", before: "deny", after: "allow" }]);
    const back = await kguardian(["diff", "policy.json", "cluster", "-o", "json"]);
    expect(JSON.parse(back.stdout).connectivity).toMatchObject([{ before: "allow", after: "deny" }]);
  });

  test("matrix and explain ask the cluster alone", async () => {
    apply(open);
    const asked = broker.requests.length;
    const matrix = await kguardian(["matrix", "--focus", "shop/sts/orders"]);
    expect(matrix.stdout).toMatch(/^shop\/sts\/web +shop\/sts\/orders +9000\/TCP$/m);
    const allowed = await kguardian(["explain", "shop/web-0", "shop/sts/orders", "9000"]);
    expect(allowed.status).toBe(0);
    const denied = await kguardian(["explain", "shop/web-0", "shop/sts/orders", "9001"]);
    expect([denied.status, denied.stdout]).toEqual([1, expect.stringContaining("add 9001/TCP to ingress[0]")]);
    expect(broker.requests).toHaveLength(asked);
  });
});

function nameOf(end: unknown): string {
  const { namespace, name, ip } = end as { namespace?: string; name?: string; ip: string };
  return name === undefined ? ip : `${namespace}/${name}`;
}

function networkPolicy(name: string, labels: Record<string, string>, ingress: unknown[], extra: Record<string, unknown> = {}): string {
  return JSON.stringify({
    apiVersion: "networking.k8s.io/v1",
    kind: "NetworkPolicy",
    metadata: { name, namespace: "shop", ...extra },
    spec: { podSelector: { matchLabels: labels }, policyTypes: ["Ingress"], ingress },
  });
}

describe("applying", () => {
  const shop = ["gen", "networkpolicy", "--all", "-n", "shop", "--output-dir=policies"];

  test("a dry run of the server tells what would be done, and changes nothing", async () => {
    const { status, stdout } = await kguardian([...shop, "--dry-run=server"]);
    expect(status).toBe(0);
    for (const name of ["db", "orders", "web"])
      expect(stdout).toContain(`networkpolicy.networking.k8s.io/${name} (namespace shop) created (server dry run)`);
    expect(policies()).toEqual([]);
    expect(readdirSync(join(work, "policies")).length).toBe(3);
  });

  test("policies arrive whole, are kguardian's, and are unchanged the second time", async () => {
    const first = await kguardian([...shop, "--dry-run=false"]);
    expect(first.status).toBe(0);
    expect(first.stdout).toContain("networkpolicy.networking.k8s.io/orders (namespace shop) serverside-applied");
    expect(first.stderr).toMatch(/3 created, 0 configured, 0 unchanged/);
    expect(first.stderr).toContain("to go back: kubectl --context live delete -n shop networkpolicies.networking.k8s.io/db");
    const [, orders] = policies();
    // A typed model would have dropped `from`, and so opened the policy to everyone.
    expect(orders.spec.ingress?.[0].from).toEqual([{ podSelector: { matchLabels: { app: "web" } } }]);
    expect(orders.metadata.managedFields).toEqual([expect.objectContaining({ manager: "kguardian", operation: "Apply" })]);
    const second = await kguardian([...shop, "--dry-run=false", "-o", "json"]);
    expect(JSON.parse(second.stdout).applied.map(({ change }: { change: string }) => change)).toEqual([
      "unchanged",
      "unchanged",
      "unchanged",
    ]);
    expect(readdirSync(work).filter((name) => name.startsWith("kguardian-backup"))).toEqual([]);
  });

  test("what is replaced is kept, and the printed commands bring it back", async () => {
    apply(networkPolicy("orders", { app: "orders" }, [], { labels: { "app.kubernetes.io/managed-by": "kguardian", team: "a" } }));
    const before = contents(policies());
    const { status, stderr } = await kguardian([...shop, "--dry-run=false", "--force-conflicts"]);
    expect([status, contents(policies()).length]).toEqual([0, 3]);
    const commands = [...stderr.matchAll(/^to go back: kubectl (.+)$/gm)].map(([, command]) => command);
    expect(commands.length).toBe(2);
    for (const command of commands) {
      const done = await execute("sh", ["-c", `cd ${work} && kubectl ${command}`], { environment: cluster.environment });
      expect(done).toMatchObject({ status: 0 });
    }
    expect(contents(policies())).toEqual(before);
  });

  test("fields that somebody else set are not taken over without --force", async () => {
    apply(networkPolicy("orders", { app: "orders" }, [], { labels: { "app.kubernetes.io/managed-by": "kguardian" } }));
    const before = policies();
    const { status, stderr } = await kguardian([...shop, "--dry-run=false"]);
    expect([status, stderr]).toEqual([2, expect.stringMatching(/nothing is changed: .*orders.*--force-conflicts takes them over/)]);
    expect(policies()).toEqual(before);
  });

  test("a failure half-way undoes what this run changed: created ones are gone, changed ones as they were", async () => {
    const managed = { labels: { "app.kubernetes.io/managed-by": "kguardian" } };
    await kguardian([...shop, "--dry-run=false"]);
    // As an earlier run would have left it, with a rule less.
    const old = `${JSON.stringify({ ...JSON.parse(networkPolicy("orders", { app: "orders" }, [], managed)) })}`;
    const done = cluster.kubectl(["apply", "--server-side", "--force-conflicts", "--field-manager=kguardian", "-f", "-"], { input: old });
    expect(done).toMatchObject({ status: 0 });
    cluster.kubectl(["delete", "networkpolicy", "db", "web", "-n", "shop"]);
    const before = contents(policies());
    const restore = await cluster.refuse({ names: ["web"], operations: ["CREATE"] });
    const { status, stderr } = await kguardian([...shop, "--dry-run=false"]);
    await restore();
    expect(status).toBe(2);
    expect(stderr).toMatch(/applying failed: .*web.*refused by the test.*; everything that this run had changed was undone/);
    expect(stderr).toContain("networkpolicy.networking.k8s.io/orders (namespace shop) put back");
    expect(stderr).toContain("networkpolicy.networking.k8s.io/db (namespace shop) deleted again");
    expect(contents(policies())).toEqual(before);
  });

  test("after a run that was undone the next one is as the first would have been", async () => {
    await kguardian([...shop, "--dry-run=false"]);
    const before = contents(policies());
    // Other traffic: two policies change, and the second is refused.
    const more = [
      trafficRow({ pod_name: "web-0", pod_ip: "10.244.1.10", traffic_in_out_ip: "203.0.113.9", traffic_in_out_port: "443" }),
      trafficRow({ traffic_in_out_ip: "203.0.113.9", traffic_in_out_port: "443" }),
    ];
    const other = await startRecordedBroker({ podInfo: POD_INFO, serviceInfo: SERVICE_INFO, traffic: [...TRAFFIC, ...more] });
    try {
      const run = [...shop, "--broker-url", other.url, "--dry-run=false"];
      const restore = await cluster.refuse({ names: ["web"], operations: ["UPDATE"] });
      const failed = await kguardian(run);
      await restore();
      expect([failed.status, failed.stderr]).toEqual([2, expect.stringContaining("everything that this run had changed was undone")]);
      expect(contents(policies())).toEqual(before);
      const again = await kguardian(run);
      expect([again.status, again.stderr]).toEqual([0, expect.stringContaining("0 created, 2 configured, 1 unchanged")]);
      const [command] = [...again.stderr.matchAll(/^to go back: (.+)$/gm)].map(([, text]) => text);
      const back = await execute("sh", ["-c", `cd ${work} && ${command}`], { environment: cluster.environment });
      expect([back.status, contents(policies())]).toEqual([0, before]);
      expect((await kguardian(run)).status).toBe(0);
    } finally {
      await other.stop();
    }
  });

  test("what could not be undone is said, with the commands to do it by hand", async () => {
    const refuseWeb = await cluster.refuse({ names: ["web"], operations: ["CREATE"] });
    const refuseUndo = await cluster.refuse({ names: ["db"], operations: ["DELETE"] });
    const { status, stderr } = await kguardian([...shop, "--dry-run=false"]);
    await refuseWeb();
    await refuseUndo();
    expect(status).toBe(2);
    expect(stderr).toContain("NOT everything could be undone");
    expect(stderr).toMatch(/NOT undone: networkpolicy.networking.k8s.io\/db .*refused by the test/);
    expect(stderr).toContain("by hand: kubectl --context live delete -n shop networkpolicies.networking.k8s.io/db");
    expect(contents(policies()).map(({ name }) => name)).toEqual(["db"]);
  });

  test("observed connections that would be dropped are a refusal, which --force overrides", async () => {
    // Worked, and leads to an address that nothing knows: no rule is learned from it.
    const strange = trafficRow({ traffic_in_out_ip: "10.244.1.77", traffic_in_out_port: "9999" });
    const other = await startRecordedBroker({ podInfo: POD_INFO, serviceInfo: SERVICE_INFO, traffic: [...TRAFFIC, strange] });
    try {
      const url = ["--broker-url", other.url];
      const { status, stderr } = await kguardian([...shop, ...url, "--dry-run=false"]);
      expect([status, stderr]).toEqual([
        2,
        expect.stringMatching(/nothing is changed: .*1 observed connection would be dropped: shop\/sts\/orders to 10.244.1.77 9999\/TCP/),
      ]);
      expect(policies()).toEqual([]);
      const forced = await kguardian([...shop, ...url, "--dry-run=false", "--force"]);
      expect([forced.status, forced.stderr]).toEqual([
        0,
        expect.stringContaining("warning: would be dropped, and --force accepts it: shop/sts/orders to 10.244.1.77"),
      ]);
      expect(policies().length).toBe(3);
    } finally {
      await other.stop();
    }
  });

  test("on a terminal it asks before anything is changed", async () => {
    // `script` gives the program a terminal.
    const answer = (text: string) =>
      execute("script", ["-qec", `cd ${work} && kubectl kguardian ${shop.join(" ")} --dry-run=false`, "/dev/null"], {
        environment: cluster.environment,
        input: text,
      });
    const no = await answer("n\n");
    expect([no.status, no.stdout]).toEqual([
      2,
      expect.stringMatching(/create networkpolicy[\s\S]*apply to live\? \[y\/N\][\s\S]*nothing is changed: it was not confirmed/),
    ]);
    expect(policies()).toEqual([]);
    const yes = await answer("y\n");
    expect([yes.status, policies().length]).toEqual([0, 3]);
  });

  test("kinds that the cluster does not serve are named before anything is done", async () => {
    const { status, stderr } = await kguardian([...shop, "-t", "cilium", "--cni", "cilium", "--dry-run=false"]);
    expect([status, stderr]).toEqual([
      2,
      expect.stringContaining("does not serve CiliumNetworkPolicy of cilium.io/v2: is that plugin installed?"),
    ]);
  });
});

describe("rights", () => {
  const as = (user: string) => ["--context", cluster.contextOf(user)];

  test("a user without any is told which verb is missing", async () => {
    const { status, stderr } = await kguardian(["simulate", ...as("limited")]);
    expect(status).toBe(2);
    expect(stderr.trim().split("\n").at(-1)).toMatch(/^error: user `limited` may not (list pods|get)/);
  });

  test("docs/cluster-role.yaml is enough for all that reads, and no more", async () => {
    const file = join(ROOT, "docs/cluster-role.yaml");
    apply(readFileSync(file, "utf8"));
    const bind = (...args: string[]) => expect(cluster.kubectl(["create", ...args, "--user=limited"])).toMatchObject({ status: 0 });
    bind("clusterrolebinding", "reader", "--clusterrole=kguardian-reader");
    bind("rolebinding", "settings", "-n", "kube-system", "--role=kguardian-settings");
    bind("rolebinding", "broker", "-n", "kguardian", "--role=kguardian-broker");
    const admin = await kguardian(["simulate", "-o", "json"]);
    const limited = await kguardian(["simulate", "-o", "json", ...as("limited")]);
    expect(limited).toEqual(admin);
    const snapshot = await kguardian(["snapshot", "--file", "limited.yaml", ...as("limited")]);
    expect([snapshot.status, snapshot.stderr]).toEqual([0, expect.not.stringContaining("warning")]);
    const none = await kguardian(["audit", "promote", "x", ...as("limited")]);
    expect(none.stderr).toContain("no AuditNetworkPolicy");
    const write = await kguardian(["gen", "networkpolicy", "orders", "-n", "shop", "--dry-run=server", ...as("limited")]);
    expect([write.status, write.stderr]).toEqual([
      2,
      expect.stringMatching(/nothing is changed: .*user `limited` may not (get|patch networkpolicies.networking.k8s.io)/),
    ]);
    bind("clusterrolebinding", "writer", "--clusterrole=kguardian-writer");
    const allowed = await kguardian(["gen", "networkpolicy", "orders", "-n", "shop", "--dry-run=false", ...as("limited")]);
    expect([allowed.status, policies().length]).toEqual([0, 1]);
  });

  test("policies in force that cannot be read end the run: nothing would be denied by those that nobody knows", async () => {
    cluster.kubectl([
      "create",
      "clusterrole",
      "blind",
      "--verb=list",
      "--resource=pods,services,nodes,namespaces,endpointslices.discovery.k8s.io,statefulsets.apps",
    ]);
    cluster.kubectl(["create", "clusterrolebinding", "blind", "--clusterrole=blind", "--user=blind"]);
    for (const args of [["simulate"], ["gen", "networkpolicy", "orders", "-n", "shop"]]) {
      const { status, stderr } = await kguardian([...args, "--broker-url", broker.url, ...as("blind")]);
      expect([status, stderr]).toEqual([
        2,
        expect.stringMatching(/^error: policies that are in force cannot be read.*networkpolicies.networking.k8s.io/m),
      ]);
    }
    writeFileSync(join(work, "p.json"), networkPolicy("closed", { app: "orders" }, []));
    const alone = await kguardian(["simulate", "--broker-url", broker.url, "-f", "p.json", "--policy-mode=replace", ...as("blind")]);
    expect([alone.status, alone.stdout]).toEqual([1, expect.stringContaining("WOULD DROP")]);
  });

  test("who may not delete is told before anything is created that could not be undone", async () => {
    cluster.kubectl(["create", "clusterrole", "adder", "--verb=get,create,patch", "--resource=networkpolicies.networking.k8s.io"]);
    cluster.kubectl(["create", "clusterrolebinding", "adder", "--clusterrole=adder", "--user=adder"]);
    cluster.kubectl(["create", "clusterrolebinding", "adder-reads", "--clusterrole=kguardian-reader", "--user=adder"]);
    const args = ["gen", "networkpolicy", "--all", "-n", "shop", "--broker-url", broker.url, "--dry-run=false", ...as("adder")];
    const { status, stderr } = await kguardian(args);
    expect([status, stderr, policies()]).toEqual([
      2,
      expect.stringMatching(/nothing is changed: user `adder` may not delete networkpolicies/),
      [],
    ]);
  });

  test("a tenant of one namespace works there, and is told what is not known", async () => {
    cluster.kubectl([
      "create",
      "role",
      "tenant",
      "-n",
      "shop",
      "--verb=list",
      "--resource=pods,services,endpointslices.discovery.k8s.io,statefulsets.apps,networkpolicies.networking.k8s.io",
    ]);
    cluster.kubectl(["create", "rolebinding", "tenant", "-n", "shop", "--role=tenant", "--user=tenant"]);
    const { status, stdout, stderr } = await kguardian([
      "simulate",
      "-o",
      "json",
      "-n",
      "shop",
      "--broker-url",
      broker.url,
      ...as("tenant"),
    ]);
    expect(status).toBe(0);
    expect((JSON.parse(stdout) as Report).summary.connections).toBeGreaterThan(3);
    expect(stderr).toMatch(/only objects of namespace shop are known of pods, services/);
    // Policies of other namespaces nobody knows: what is allowed there may be denied.
    const verdicts = (JSON.parse(stdout) as Report).connections.map(({ destination, verdict }) => [nameOf(destination), verdict]);
    expect(verdicts).toContainEqual(["shop/orders-0", "allow"]);
    expect(stdout).not.toContain("everything is allowed");
    expect(stderr).toMatch(/not read, since the user lacks the verb `list`: .*nodes.*addresses of nodes look like outside addresses/);
  });
});

describe("a broker that is not there", () => {
  test("another Service, namespace or port", async () => {
    for (const [flags, message] of [
      [["--broker-service", "brokr"], /no Service kguardian\/brokr in the cluster: is kguardian installed there\?/],
      [["--broker-namespace", "shop"], /no Service shop\/broker in the cluster/],
      [["--broker-namespace", "shop", "--broker-service", "web"], /port-forward to (pod )?.*web-0/],
    ] as const) {
      const { status, stderr } = await kguardian(["simulate", ...flags]);
      expect([status, stderr]).toEqual([2, expect.stringMatching(message)]);
    }
  });

  test("one that hangs ends with --request-timeout, one that breaks off is asked again", async () => {
    broker.setFaults([{ path: "/svc/info", kind: "hang" }]);
    const started = Date.now();
    const hanging = await kguardian(["simulate", "--request-timeout", "2s"]);
    expect([hanging.status, hanging.stderr]).toEqual([2, expect.stringMatching(/gave no answer within 2 s/)]);
    expect(Date.now() - started).toBeLessThan(20_000);
    broker.setFaults([{ path: "/svc/info", kind: "reset", afterBytes: 100, times: 2 }]);
    const broken = await kguardian(["simulate"]);
    expect([broken.status, broken.stderr]).toEqual([0, expect.stringMatching(/trying again \(2 of 3\)/)]);
  });

  test("one that wants a token is told apart, and gets it from a file", async () => {
    const guarded = await startRecordedBroker({ podInfo: POD_INFO, serviceInfo: SERVICE_INFO, traffic: TRAFFIC, token: MARKER });
    try {
      const without = await kguardian(["simulate", "--broker-url", guarded.url]);
      expect([without.status, without.stderr]).toEqual([2, expect.stringContaining("wants a token, and none was given")]);
      const wrong = await kguardian(["simulate", "--broker-url", guarded.url], { KGUARDIAN_BROKER_TOKEN: `${MARKER}-not` });
      expect([wrong.status, wrong.stderr]).toEqual([2, expect.stringContaining("refuses the token")]);
      const file = join(folder, "token");
      writeFileSync(file, `${MARKER}\n`);
      expect((await kguardian(["simulate", "--broker-url", guarded.url, "--broker-token-file", file])).status).toBe(0);
    } finally {
      await guarded.stop();
    }
  });
});

describe("audit policies and system calls", () => {
  const audit = (kind: string, name: string, namespace?: string) =>
    JSON.stringify({
      apiVersion: "kguardian.dev/v1alpha1",
      kind,
      metadata: { name, ...(namespace === undefined ? {} : { namespace }) },
      spec: {
        podSelector: { matchLabels: { app: "orders" } },
        policyTypes: ["Ingress"],
        ingress: [],
        ...(namespace === undefined ? { namespaceSelector: { matchLabels: { "kubernetes.io/metadata.name": "shop" } } } : {}),
      },
    });

  test("audit policies only report; promoted ones are NetworkPolicies that can be simulated and applied", async () => {
    apply(AUDIT_CRDS);
    // A kind is served a moment after it was made; until its status is there `kubectl wait` fails at once.
    await expect
      .poll(
        () =>
          cluster.kubectl(["apply", "--server-side", "-f", "-"], {
            input: `${audit("AuditNetworkPolicy", "lockdown", "shop")}\n${audit("AuditClusterNetworkPolicy", "everywhere")}`,
          }).status,
        { timeout: 20_000 },
      )
      .toBe(0);
    const before = await kguardian(["simulate", "-o", "json"]);
    expect([before.status, before.stderr]).toEqual([0, expect.stringContaining("2 audit policies in the cluster only report")]);
    const one = await kguardian(["audit", "promote", "lockdown", "-n", "shop"]);
    expect(one.status).toBe(0);
    expect(load(one.stdout)).toMatchObject({
      apiVersion: "networking.k8s.io/v1",
      kind: "NetworkPolicy",
      metadata: { name: "lockdown", namespace: "shop" },
    });
    const all = await kguardian(["audit", "promote", "-A", "--output-dir", "promoted"]);
    expect([all.status, readdirSync(join(work, "promoted")).length]).toEqual([0, 2]);
    const judged = await kguardian(["simulate", "-f", "promoted"]);
    expect([judged.status, judged.stdout]).toEqual([1, expect.stringMatching(/shop\/sts\/web +shop\/sts\/orders +9000\/TCP/)]);
    apply(one.stdout);
    expect(policies()[0].spec).toEqual({ podSelector: { matchLabels: { app: "orders" } }, policyTypes: ["Ingress"] });
    cluster.kubectl(["delete", "crd", "auditnetworkpolicies.kguardian.dev", "auditclusternetworkpolicies.kguardian.dev"]);
  });

  test("verdicts and system calls come through the forwarded port", async () => {
    const verdicts = await kguardian(["audit", "verdicts", "-A", "-o", "json"]);
    expect([verdicts.status, Array.isArray(JSON.parse(verdicts.stdout).verdicts)]).toEqual([0, true]);
    const unseen = await kguardian(["gen", "seccomp", "web", "-n", "shop"]);
    expect([unseen.status, unseen.stderr]).toEqual([2, expect.stringContaining("the broker has no system calls of its 1 pod")]);
  });
});
