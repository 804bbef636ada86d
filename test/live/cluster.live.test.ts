import { spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { execute, type LiveCluster, startLiveCluster } from "./liveCluster.ts";
import { hasRecordings, RECORDINGS, type RecordedBroker, startRecordedBroker } from "./recordedBroker.ts";
import { CLUSTER } from "./smallWorld.ts";

/* The cluster that other tests run against, with the recorded world where it is at hand. */

interface Item {
  readonly kind: string;
  readonly metadata: { readonly namespace?: string; readonly name: string; readonly uid?: string; readonly creationTimestamp?: string };
}

const folder = mkdtempSync(join(tmpdir(), "kguardian-world-"));
let broker: RecordedBroker;
let cluster: LiveCluster;
let world: { readonly items: readonly Item[] };

beforeAll(async () => {
  const small = join(folder, "world.json");
  writeFileSync(small, JSON.stringify(CLUSTER));
  const file = hasRecordings() ? join(RECORDINGS, "world.json") : small;
  world = JSON.parse(readFileSync(file, "utf8"));
  broker = await startRecordedBroker(hasRecordings() ? { recordings: RECORDINGS } : {});
  cluster = await startLiveCluster({ brokerPort: broker.port, world: [file], extraUsers: ["limited", "system:serviceaccount:shop:ci"] });
});
afterAll(async () => {
  await cluster?.stop();
  await broker?.stop();
  rmSync(folder, { recursive: true, force: true });
});

/** Runs kubectl for the cluster admin; its output. */
function ask(...args: string[]): string {
  const { status, stdout, stderr } = cluster.kubectl(args);
  expect(stderr).toBe("");
  expect(status).toBe(0);
  return stdout;
}
const policy = (name: string, labels: Record<string, string> = {}) =>
  JSON.stringify({
    apiVersion: "networking.k8s.io/v1",
    kind: "NetworkPolicy",
    metadata: { name, namespace: "shop", labels },
    spec: { podSelector: {} },
  });

describe("a live cluster", () => {
  test("has the nodes, and every pod as the file has it, its uid and age too", () => {
    const nodes = world.items.filter(({ kind }) => kind === "Node");
    for (const { metadata } of nodes) expect(ask("get", "nodes")).toMatch(new RegExp(`^${metadata.name} +Ready`, "m"));
    const pods: { items: Item[] } = JSON.parse(ask("get", "pods", "-A", "-o", "json"));
    const inFile = world.items.filter(({ kind }) => kind === "Pod");
    expect(pods.items.length).toBe(inFile.length);
    const live = new Map(pods.items.map(({ metadata }) => [`${metadata.namespace}/${metadata.name}`, metadata]));
    for (const { metadata } of inFile)
      expect(live.get(`${metadata.namespace}/${metadata.name}`)).toMatchObject({
        uid: metadata.uid,
        creationTimestamp: metadata.creationTimestamp,
      });
  });

  test("loads more, and says what it could not load", async () => {
    const more = join(folder, "more.json");
    const configMap = { apiVersion: "v1", kind: "ConfigMap", metadata: { name: "more", namespace: "shop" } };
    writeFileSync(more, JSON.stringify({ items: [configMap] }));
    expect(await cluster.load(more)).toBe(1);
    writeFileSync(more, JSON.stringify({ items: [{ ...configMap, metadata: { name: "more", namespace: "nowhere" } }] }));
    await expect(cluster.load(more)).rejects.toThrow('namespaces "nowhere" not found');
  });

  test("forwards a port of the broker's pod to the recorded broker", async () => {
    const name = ask("get", "pods", "-n", "kguardian", "-l", "app.kubernetes.io/component=broker", "-o", "name").trim();
    const child = spawn("kubectl", ["port-forward", "-n", "kguardian", name, ":9090"], { env: { ...cluster.environment } });
    try {
      let line = "";
      for await (line of createInterface(child.stdout)) break;
      const port = /^Forwarding from 127\.0\.0\.1:(\d+) -> 9090$/.exec(line)?.[1];
      const answer = await fetch(`http://127.0.0.1:${port}/pod/info`);
      const direct = await fetch(`${broker.url}/pod/info`);
      expect(await answer.text()).toBe(await direct.text());
      expect(broker.requests.length).toBe(2);
    } finally {
      child.kill();
    }
  });

  test("refuses a user who has no role, until one is bound", () => {
    expect(cluster.contextOf("limited")).toBe("limited");
    const pods = () => cluster.kubectl(["get", "pods", "-n", "shop"], { user: "limited" });
    expect(pods()).toMatchObject({ status: 1, stderr: expect.stringContaining('User "limited" cannot list resource "pods"') });
    ask("create", "role", "reader", "-n", "shop", "--verb=list", "--resource=pods");
    ask("create", "rolebinding", "reader", "-n", "shop", "--role=reader", "--user=limited");
    expect(pods()).toMatchObject({ status: 0 });
    expect(cluster.kubectl(["auth", "whoami"], { user: "system:serviceaccount:shop:ci" }).stdout).toContain(
      "system:serviceaccount:shop:ci",
    );
  });

  test("refuses the second of two policies, though a dry run of both goes well", async () => {
    const apply = (list: string, ...args: string[]) => cluster.kubectl(["apply", "--server-side", ...args, "-f", "-"], { input: list });
    const both = (labels?: Record<string, string>) => `${policy("first", labels)}\n${policy("second", labels)}`;
    const restore = await cluster.refuse({ names: ["second"] });
    expect(apply(both(), "--dry-run=server")).toMatchObject({ status: 0 });
    expect(apply(both())).toMatchObject({ status: 1, stderr: expect.stringContaining("refused by the test") });
    expect(ask("get", "networkpolicies", "-n", "shop", "-o", "name").trim()).toBe("networkpolicy.networking.k8s.io/first");
    await restore();
    expect(apply(both())).toMatchObject({ status: 0 });
    // Only changes, and dry runs as well.
    const second = await cluster.refuse({ names: ["second"], operations: ["UPDATE"], dryRun: true });
    expect(apply(both({ changed: "yes" }), "--dry-run=server")).toMatchObject({ status: 1 });
    expect(ask("delete", "networkpolicy", "second", "-n", "shop")).toContain("deleted");
    await second();
  });

  test("lets a program be found as kubectl's plugin", async () => {
    const { status, stdout, stderr } = await execute("kubectl", ["kguardian", "version"], { environment: cluster.environment });
    expect(stderr).toBe("");
    expect(status).toBe(0);
    expect(stdout).toContain("kubectl-kguardian");
  });
});

test("two clusters run side by side, and leave nothing behind", async () => {
  const other = await startLiveCluster();
  const processes = ["etcd", "apiserver", "kwok"].map((name) => Number(readFileSync(join(other.kubeconfig, "..", `${name}.pid`), "utf8")));
  expect(other.kubectl(["get", "pods", "-A"]).stderr).toBe("No resources found\n");
  expect(ask("get", "pods", "-A")).not.toBe("");
  await other.stop();
  for (const id of processes) await expect.poll(() => isRunning(id)).toBe(false);
});

function isRunning(id: number): boolean {
  try {
    process.kill(id, 0);
    // Whoever adopted it may not have asked for its end yet.
    return !readFileSync(`/proc/${id}/stat`, "utf8").includes(") Z ");
  } catch {
    return false;
  }
}
