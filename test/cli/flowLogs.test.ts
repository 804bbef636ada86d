import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type SimulateFlags, simulate } from "../../src/cli/simulate.ts";
import { findCauses } from "../../src/report/causes.ts";
import { simulationJson } from "../../src/report/simulationJson.ts";
import { simulationMarkdown } from "../../src/report/simulationMarkdown.ts";
import type { SimulationResult } from "../../src/report/simulationResult.ts";
import { simulationTable } from "../../src/report/simulationTable.ts";
import { file } from "./program.ts";

const FIXTURES = new URL("../../fixtures/", import.meta.url).pathname;
const NOTHING: SimulateFlags = {
  ...{ pcap: [], flows: [], filename: [], snapshot: [], recursive: false, staged: false, policyMode: "overlay", cni: "auto" },
};
const log = (path: string) => `${FIXTURES}flow-logs/${path}`;
const POLICIES = [`${FIXTURES}shop/network-policies`];

const jsonOf = (result: SimulationResult) => JSON.parse(Array.from(simulationJson(result), String).join(""));
const causes = (result: SimulationResult) =>
  findCauses(result, "would-drop")
    .map(({ from, to, port, deniedBy }) => `${from} > ${to} ${port}: ${deniedBy}`)
    .sort();

describe("a Hubble log and a policy folder, no cluster objects at all", () => {
  let result: SimulationResult;
  beforeAll(async () => {
    result = await simulate({ ...NOTHING, offline: true, flows: [log("hubble/shop.jsonl")], filename: POLICIES });
  });
  test("find what the capture and the snapshot of the same shop find", async () => {
    const shop = await simulate({
      ...NOTHING,
      pcap: [`${FIXTURES}shop/monday.pcapng`],
      snapshot: [`${FIXTURES}shop/cluster.yaml`],
      filename: POLICIES,
    });
    expect(causes(shop).every((cause) => causes(result).includes(cause))).toBe(true);
    // Hubble says "forwarded" of what nobody answered, and calls the pod that the snapshot lacks the world.
    expect(causes(result).filter((cause) => !causes(shop).includes(cause))).toEqual([
      "10.42.2.99 > shop/deploy/web 8080/TCP: shop/scrape ingress (scrape.yaml:2) +2",
      "default/pod/toolbox > shop/deploy/cart 23/TCP: shop/cart ingress (cart.yaml:1) +1",
    ]);
  });
  test("the plugin is Cilium, rules by port name are open, and it is said what is not known", () => {
    expect(jsonOf(result).cni).toMatchObject({ name: "cilium", because: "the flow log is of Hubble" });
    expect(result.warnings.join()).toMatch(/no snapshot and no cluster.*policies in force, Services, named ports .* are not known/);
    const unknown = jsonOf(result).connections.filter(({ verdict }: { verdict: string }) => verdict === "unknown");
    expect(unknown.length).toBeGreaterThan(0);
    for (const { egress, ingress } of unknown) expect([egress.reason, ingress.reason]).toContain("unknown-port-name");
  });
});

describe("what a log says of itself", () => {
  test("a cloud's denial is no policy's; intervals that were lost lower the confidence", async () => {
    const result = await simulate({ ...NOTHING, flows: [log("aws-vpc/default.log")], snapshot: [`${FIXTURES}shop/cluster.yaml`] });
    const { connections, summary, inputs } = jsonOf(result);
    const denied = connections.filter(({ droppedBy }: { droppedBy?: string }) => droppedBy === "cloud-firewall");
    expect(denied.map(({ observed, outcome }: { observed: string; outcome: string }) => [observed, outcome])).toEqual([
      ["dropped", "misdropped"],
      ["dropped", "misdropped"],
    ]);
    expect(summary.confidence).toMatchObject({ level: "low", because: [expect.stringMatching(/^default\.log: 1 interval .*SKIPDATA/)] });
    expect(inputs[0].gaps).toMatchObject([{ kind: "lost", count: 1 }]);
    expect(inputs[0].skipped).toMatchObject({ "NODATA (an interval without traffic)": 1 });
    expect(simulationTable(result, false)).toMatch(/a cloud's firewall .* dropped it.*INCOMPLETE {3}default\.log/s);
    expect(simulationMarkdown(result)).toMatch(
      /^\*\*Nothing that was observed would be dropped\*\*, and not all that happened was observed$/m,
    );
  });
  test("without a gap the confidence is full", async () => {
    const flows = [file("one.jsonl", '{"srcIp":"10.42.1.10","dstIp":"10.42.2.11","dstPort":80,"protocol":"TCP"}\n')];
    const result = await simulate({ ...NOTHING, flows, snapshot: [`${FIXTURES}shop/cluster.yaml`] });
    expect(jsonOf(result).summary.confidence).toEqual({ level: "full", because: [] });
  });
  test("names without addresses are pods of the snapshot, with the snapshot's addresses", async () => {
    const key = {
      ...{
        source_name: "web-6f9d8c7b54-*",
        source_namespace: "shop",
        source_type: 1,
        dest_name: "orders-5d97b6c4f8-*",
        dest_namespace: "shop",
        dest_type: 1,
      },
      ...{ dest_port: 8080, proto: "tcp", reporter: 2, action: 1 },
    };
    const flow = { Key: key, start_time: 1772618400, end_time: 1772618415, packets_in: 5, bytes_in: 500, num_connections_started: 4 };
    const flows = [file("goldmane.jsonl", `${JSON.stringify(flow)}\n`)];
    const result = await simulate({ ...NOTHING, flows, snapshot: [`${FIXTURES}shop/cluster.yaml`], filename: POLICIES });
    expect(jsonOf(result).connections).toMatchObject([
      {
        source: { type: "pod", namespace: "shop", name: "web-6f9d8c7b54-*", workload: "Deployment/web" },
        destination: { workload: "Deployment/orders" },
        count: 4,
        verdict: "deny",
        outcome: "would-drop",
      },
    ]);
  });
});

describe("inputs that are refused", () => {
  test.each<[string, Partial<SimulateFlags>, RegExp]>([
    [
      "a log without names, without a snapshot",
      { flows: [log("aws-vpc/default.log")] },
      /no --snapshot, .* no record of the flow logs \(aws-vpc\) names a pod/,
    ],
    ["another format by force", { flows: [log("hubble/exporter.jsonl")], flowFormat: "zeek" }, /not one record of it can be used as zeek/],
    ["Parquet of nothing known", { flows: [log("records/columns.parquet")], flowFormat: "hubble" }, /its columns are not those of hubble/],
  ])("%s", async (_what, flags, message) => {
    await expect(simulate({ ...NOTHING, offline: true, filename: POLICIES, ...flags })).rejects.toThrow(message);
  });
});

test("a broker's export is what the broker's rows are", async () => {
  const rows = JSON.parse(readFileSync(log("broker/pod-traffic.json"), "utf8"));
  const result = await simulate({ ...NOTHING, flows: [log("broker/pod-traffic.json")], snapshot: [`${FIXTURES}shop/cluster.yaml`] });
  const { connections, inputs } = jsonOf(result);
  expect(inputs[0]).toMatchObject({
    format: "broker",
    records: new Set(rows.flatMap(({ uuid }: { uuid?: string }) => uuid ?? [])).size,
    faults: 1,
  });
  expect(connections.length).toBeGreaterThan(0);
  for (const { count } of connections) expect(count).toBeNull();
});

describe("a folder of logs", () => {
  const RECORD = '{"srcIp":"10.42.1.10","dstIp":"10.42.2.11","dstPort":80,"protocol":"TCP","time":"2026-03-04T10:00:00Z"}\n';
  const folder = mkdtempSync(join(tmpdir(), "kguardian-logs-"));
  afterAll(() => rmSync(folder, { recursive: true }));
  beforeAll(() => {
    writeFileSync(join(folder, "README.txt"), "hello\n");
    writeFileSync(join(folder, "one.jsonl"), RECORD);
  });
  test("a file that is none is left out, with and without a time by the newest record, and what it might have said is missing", async () => {
    for (const since of [undefined, "1h"]) {
      const result = await simulate({ ...NOTHING, flows: [folder], snapshot: [`${FIXTURES}shop/cluster.yaml`], since });
      const { summary, connections } = jsonOf(result);
      expect(connections.length).toBe(1);
      expect(summary.confidence).toMatchObject({ level: "low", because: [expect.stringContaining("README.txt")] });
    }
  });
});

/** AWS records of pods of the shop, both ways. */
const aws = (protocol: number, near: number, far: number, later: number) =>
  [
    `2 123456789012 eni-1 10.42.1.13 10.42.2.12 ${near} ${far} ${protocol} 6 400 ${1_795_000_000 + later} 1795000055 ACCEPT OK`,
    `2 123456789012 eni-1 10.42.2.12 10.42.1.13 ${far} ${near} ${protocol} 6 400 1795000000 1795000055 ACCEPT OK`,
    "2 123456789012 eni-1 10.42.1.13 198.51.100.5 40001 443 6 6 400 1794990000 1794990055 ACCEPT OK",
  ].join("\n");
/** Only connections to one app are denied by it. */
const denying = (app: string) =>
  `{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: p, namespace: shop}, spec: {podSelector: {matchLabels: {app: ${app}}}, policyTypes: [Ingress]}}`;

test.each([
  ["the server's half of an interval came first, and its port says that it serves", aws(17, 45000, 9125, 1), "orders"],
  ["ICMP of no told type", aws(1, 0, 0, 0), "cart"],
  ["a protocol without ports", aws(47, 0, 0, 0), "cart"],
])("who began is not sure, and what is said holds both ways round: %s", async (_what, text, app) => {
  const flows = [file("vpc.log", `${text}\n`)];
  const filename = [file("deny.yaml", denying(app))];
  const result = await simulate({ ...NOTHING, flows, filename, snapshot: [`${FIXTURES}shop/cluster.yaml`] });
  const inside = jsonOf(result).connections.filter(({ destination }: { destination: { type: string } }) => destination.type === "pod");
  expect(inside).toHaveLength(1);
  expect(inside[0].verdict).not.toBe("allow");
});
