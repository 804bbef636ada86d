import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { openCluster, openSources } from "../../src/cli/sources.ts";
import { type RecordedBroker, startRecordedBroker } from "./recordedBroker.ts";
import { CLUSTER, POD_INFO, SERVICE_INFO, TRAFFIC } from "./smallWorld.ts";

const folder = mkdtempSync(join(tmpdir(), "kguardian-sources-"));
let broker: RecordedBroker;
const environment = { ...process.env };
beforeAll(async () => {
  broker = await startRecordedBroker({ podInfo: POD_INFO, serviceInfo: SERVICE_INFO, traffic: TRAFFIC });
  // No cluster of whoever runs the tests.
  Object.assign(process.env, { HOME: folder, KUBECONFIG: "", KGUARDIAN_BROKER_URL: "" });
});
afterAll(async () => {
  Object.assign(process.env, environment);
  await broker.stop();
  rmSync(folder, { recursive: true, force: true });
});

function file(name: string, text: string): string {
  writeFileSync(join(folder, name), text);
  return join(folder, name);
}

const none = { snapshot: [], pcap: [], flows: [] };

test("a snapshot without pods is refused, whatever the broker knows: a failed kubectl leaves an empty file", async () => {
  for (const text of ["", JSON.stringify({ apiVersion: "v1", kind: "List", items: [] })])
    await expect(openSources({ ...none, snapshot: [file("empty.yaml", text)], brokerUrl: broker.url })).rejects.toThrow(/no Pod in it/);
});

test("without any cluster the broker's own records stand in, and what they lack is said", async () => {
  const { cluster, broker: answers } = await openSources({ ...none, brokerUrl: broker.url });
  expect(answers?.traffic).toHaveLength(TRAFFIC.length);
  expect(cluster.pods).toHaveLength(POD_INFO.length);
  expect(cluster.warnings).toContainEqual(expect.stringContaining("there is no cluster and no --snapshot"));
});

test("files at hand, the environment alone does not call for a broker; the flag does", async () => {
  const snapshot = [file("cluster.json", JSON.stringify(CLUSTER))];
  process.env.KGUARDIAN_BROKER_URL = broker.url;
  const flows = [file("flows.jsonl", "")];
  expect((await openSources({ ...none, snapshot, flows })).broker).toBeUndefined();
  expect((await openSources({ ...none, snapshot, flows, brokerUrl: broker.url })).broker).toBeDefined();
  expect((await openSources({ ...none, snapshot })).broker).toBeDefined();
  process.env.KGUARDIAN_BROKER_URL = "";
});

test.each([
  ["traffic", { snapshot: ["x"] }, /no traffic: give --pcap FILE or --flows FILE, or --broker-url URL/],
  ["cluster", { pcap: ["x"] }, /no --snapshot, and no cluster to ask/],
  ["a snapshot, offline", { pcap: ["x"], offline: true }, /--offline, and no --snapshot: captures do not say/],
  ["files, offline", { offline: true }, /--offline: traffic comes from files then/],
  ["anything", {}, /no --snapshot, and no cluster to ask/],
])("without %s it is said what to give", async (_what, flags, message) => {
  await expect(openSources({ ...none, ...flags })).rejects.toThrow(message);
});

test("flow logs may name pods themselves: without a cluster, and offline whatever cluster there is", async () => {
  expect(await openSources({ ...none, flows: ["x"] })).toMatchObject({ hasNoCluster: true, broker: undefined, live: undefined });
  expect(await openSources({ ...none, flows: ["x"], offline: true, kubeconfig: "/nowhere" })).toMatchObject({ hasNoCluster: true });
});

test("without need of traffic a snapshot is all that is opened, whatever broker the environment names", async () => {
  const snapshot = [file("cluster.json", JSON.stringify(CLUSTER))];
  process.env.KGUARDIAN_BROKER_URL = broker.url;
  const opened = await openCluster({ snapshot, namespace: "shop" });
  process.env.KGUARDIAN_BROKER_URL = "";
  expect(opened).toMatchObject({ namespace: "shop", broker: undefined, live: undefined, hasNoCluster: false });
  expect(opened.cluster.pods.length).toBeGreaterThan(0);
  await expect(openCluster({ snapshot: [file("empty.yaml", "")] })).rejects.toThrow(/no Pod in it/);
  await expect(openCluster({ snapshot: [] })).rejects.toThrow(/no --snapshot, and no cluster to ask/);
});
