import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, dirname, join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { EXAMPLES } from "../cli/commands.ts";
import { AUDIT_CRDS } from "./auditKinds.ts";
import { execute, type LiveCluster, startLiveCluster } from "./liveCluster.ts";
import { type RecordedBroker, startRecordedBroker } from "./recordedBroker.ts";
import { CLUSTER, POD_INFO, SERVICE_INFO, TRAFFIC } from "./smallWorld.ts";

/*
 * kubectl's own completion of `kubectl kguardian`, with a real kubectl and a real API server; and every example of the commands' help that
 * asks a cluster (test/cli/examples.test.ts has the others).
 */

const ROOT = fileURLToPath(new URL("../../", import.meta.url));
const folder = mkdtempSync(join(tmpdir(), "kguardian-completion-"));
let broker: RecordedBroker;
let cluster: LiveCluster;

/** The examples speak of Deployments. */
const world = JSON.stringify(CLUSTER)
  .replaceAll('"StatefulSet"', '"Deployment"')
  .replaceAll(/"serviceName":"[a-z]+",/g, "");

const AUDIT = JSON.stringify({
  apiVersion: "kguardian.dev/v1alpha1",
  kind: "AuditNetworkPolicy",
  metadata: { name: "web", namespace: "shop" },
  spec: { podSelector: { matchLabels: { app: "web" } }, policyTypes: ["Ingress"], ingress: [] },
});

beforeAll(async () => {
  // A package has the program alone: who wants completion installs it.
  const program = process.env.KGUARDIAN_PROGRAM;
  if (program !== undefined) expect(spawnSync(program, ["completion", "install", dirname(program)]).status).toBe(0);
  const file = join(folder, "world.json");
  writeFileSync(file, world);
  const syscalls = ["web-0", "orders-0", "db-0"].map((pod_name) => ({
    pod_name,
    pod_namespace: "shop",
    syscalls: "read,write,openat,close,epoll_wait",
    arch: "x86_64",
    time_stamp: "2026-11-16T08:00:00",
  }));
  const podInfo = POD_INFO.map((row) => JSON.parse(JSON.stringify(row).replaceAll('"StatefulSet"', '"Deployment"')));
  broker = await startRecordedBroker({ podInfo, serviceInfo: SERVICE_INFO, traffic: TRAFFIC, syscalls });
  cluster = await startLiveCluster({ brokerPort: broker.port, world: [file] });
  expect(cluster.kubectl(["apply", "--server-side", "-f", "-"], { input: AUDIT_CRDS }).status).toBe(0);
  // A kind is served a moment after it was made.
  for (let tries = 0; cluster.kubectl(["apply", "--server-side", "-f", "-"], { input: AUDIT }).status !== 0; tries++) {
    if (tries === 40) throw new Error("the server does not take an AuditNetworkPolicy");
    await pause(500);
  }
});
afterAll(async () => {
  await cluster?.stop();
  await broker?.stop();
  rmSync(folder, { recursive: true, force: true });
});

/** Asks kubectl as the script of a shell does; returns what is offered and the directive. */
async function complete(words: readonly string[], environment: Record<string, string> = {}) {
  const started = performance.now();
  const { status, stdout } = await execute("kubectl", ["__complete", "kguardian", ...words], {
    environment: { ...cluster.environment, ...environment },
  });
  const lines = stdout.trimEnd().split("\n");
  const directive = lines.pop();
  expect(performance.now() - started).toBeLessThan(10_000);
  return { status, directive, values: lines.map((line) => line.split("\t")[0]) };
}

describe("kubectl completes `kubectl kguardian`", () => {
  test("the plugin and its shim give no warning", () => {
    const { status, stdout, stderr } = cluster.kubectl(["plugin", "list"]);
    expect(stdout).toContain(process.env.KGUARDIAN_PROGRAM ?? join(ROOT, "bin/kubectl-kguardian"));
    expect({ status, warnings: /warning|error|overshadow/i.exec(stdout + stderr) }).toEqual({ status: 0, warnings: null });
  });

  test.each<[string, string[], string[], string]>([
    ["commands", ["si"], ["simulate"], ":4"],
    ["commands of a topic", ["gen", "n"], ["networkpolicy", "netpol"], ":4"],
    ["flags", ["simulate", "--snap"], ["--snapshot"], ":4"],
    ["values", ["simulate", "-o", ""], ["table", "wide", "json", "yaml", "name"], ":4"],
    ["values behind =", ["simulate", "--cni=ci"], ["cilium"], ":4"],
    ["files", ["simulate", "--pcap", ""], [], ":0"],
    ["folders", ["gen", "netpol", "--output-dir", ""], [], ":16"],
    ["contexts", ["simulate", "--context", ""], ["live"], ":4"],
    ["namespaces of the cluster", ["simulate", "-n", "s"], ["shop"], ":4"],
    ["workloads of a namespace", ["gen", "netpol", "-n", "shop", "deploy/"], ["deploy/db", "deploy/orders", "deploy/web"], ":4"],
    ["pods", ["gen", "seccomp", "-n", "shop", "pod/w"], ["pod/web-0"], ":4"],
    ["ends of a connection", ["explain", "shop/deploy/web", "shop/svc/"], ["shop/svc/db", "shop/svc/orders", "shop/svc/web"], ":4"],
    ["audit policies", ["audit", "promote", "-n", "shop", ""], ["web"], ":4"],
    ["the broker's Service", ["simulate", "--broker-service", ""], ["broker"], ":4"],
    [
      "names of a snapshot, before those of the cluster",
      ["gen", "netpol", "--snapshot", join(ROOT, "fixtures/shop/cluster.yaml"), "-n", "shop", "deploy/o"],
      ["deploy/orders"],
      ":4",
    ],
  ])("%s", async (_, words, values, directive) => {
    expect(await complete(words)).toEqual({ status: 0, directive, values });
  });

  test("with the shim that `completion install` wrote, and the program on PATH", async () => {
    const into = join(folder, "bin");
    mkdirSync(into);
    const path = `${into}${delimiter}${cluster.environment.PATH}`;
    const installed = await execute("kubectl", ["kguardian", "completion", "install", into], {
      environment: { ...cluster.environment, PATH: path },
    });
    expect(installed).toMatchObject({ status: 0, stderr: "" });
    expect((await complete(["vers"], { PATH: path })).values).toEqual(["version"]);
  });

  test("a cluster that is gone offers nothing, and soon", async () => {
    expect(await complete(["simulate", "--kubeconfig", "/nonexistent", "-n", ""])).toEqual({ status: 0, directive: ":4", values: [] });
  });
});

describe("examples that ask a cluster", () => {
  /** Which of them change the cluster is told by their words; kubectl's own diff of policies needs none. */
  const live = EXAMPLES.filter(({ isLive }) => isLive).map(({ command }) => command);

  test.each(live)("%s", async (command) => {
    const work = mkdtempSync(join(folder, "work-"));
    for (const name of ["fixtures/shop/network-policies", "fixtures"])
      symlinkSync(join(ROOT, name), join(work, name === "fixtures" ? name : "policies"));
    mkdirSync(join(work, "audits"));
    writeFileSync(join(work, "audits/web.json"), AUDIT);
    writeFileSync(join(work, "snapshot.yaml"), world);
    // Policies that are written go beside, not into the fixtures.
    const own = /audit promote|gen /.test(command);
    if (own) rmSync(join(work, "policies"));
    const text = command.replace("http://127.0.0.1:9090", `http://127.0.0.1:${broker.port}`);
    const { status, stderr } = await execute("bash", ["-c", `cd ${work} && set -o pipefail && ${text}`], {
      environment: cluster.environment,
    });
    expect(stderr).not.toMatch(/^error:/m);
    expect([0, 1]).toContain(status);
  });

  test("there are some", () => {
    expect(live.length).toBeGreaterThan(10);
  });
});
