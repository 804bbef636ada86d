import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { generatePolicies } from "../../src/cli/generate.ts";
import { simulate } from "../../src/cli/simulate.ts";
import { startRecordedBroker } from "./recordedBroker.ts";
import { CLUSTER, POD_INFO, SERVICE_INFO, TRAFFIC, trafficRow } from "./smallWorld.ts";

/* A row to a high port of who connects to that pod: a reply that an older broker stored, or a service of the other side. */

const folder = mkdtempSync(join(tmpdir(), "kguardian-doubt-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const snapshot = join(folder, "cluster.json");
writeFileSync(snapshot, JSON.stringify(CLUSTER));
const policy = join(folder, "policy.json");
writeFileSync(
  policy,
  JSON.stringify({
    apiVersion: "networking.k8s.io/v1",
    kind: "NetworkPolicy",
    metadata: { name: "closed", namespace: "shop" },
    spec: { podSelector: { matchLabels: { app: "web" } }, policyTypes: ["Egress"], egress: [] },
  }),
);

const PARTNER = "198.51.100.9";
const web = { pod_name: "web-0", pod_ip: "10.244.1.10" };
const partnerConnects = trafficRow({
  ...web,
  traffic_type: "INGRESS",
  pod_port: "8080",
  traffic_in_out_ip: PARTNER,
  traffic_in_out_port: "0",
});
const toPartner = (port: number) => trafficRow({ ...web, traffic_in_out_ip: PARTNER, traffic_in_out_port: String(port) });

async function withBroker<Result>(extra: ReturnType<typeof trafficRow>[], work: (url: string) => Promise<Result>): Promise<Result> {
  const broker = await startRecordedBroker({
    podInfo: POD_INFO,
    serviceInfo: SERVICE_INFO,
    traffic: [...TRAFFIC, partnerConnects, ...extra],
  });
  try {
    return await work(broker.url);
  } finally {
    await broker.stop();
  }
}

const common = { pcap: [], flows: [], snapshot: [snapshot], namespace: "shop", cni: "auto" };

/** Verdicts on what went to the partner, with the reason. */
async function judged(extra: ReturnType<typeof trafficRow>[]) {
  return await withBroker(extra, async (brokerUrl) => {
    const { simulation, warnings } = await simulate({
      ...common,
      brokerUrl,
      filename: [policy],
      recursive: false,
      policyMode: "overlay",
      staged: false,
    });
    const found = [...simulation.ports.keys()].filter((i) => simulation.destination(i).ip === PARTNER);
    return {
      verdicts: found.map((i) => [simulation.ports[i], simulation.judgement(i).verdict, simulation.judgement(i).egress.notes]),
      warnings,
    };
  });
}

test("one such row is open where policies deny it: nothing is dropped for certain, and nothing is left out", async () => {
  expect((await judged([toPartner(49664)])).verdicts).toEqual([[49664, "unknown", ["perhaps-a-reply"]]]);
});

test("several are replies, and a note says how many were taken for such", async () => {
  const { verdicts, warnings } = await judged([40001, 40002, 40003].map(toPartner));
  expect(verdicts).toEqual([]);
  expect(warnings).toContainEqual(expect.stringContaining("3 rows of the broker were taken for replies"));
});

test("without any sign of a reply it is a connection", async () => {
  const other = trafficRow({ ...web, traffic_in_out_ip: "198.51.100.77", traffic_in_out_port: "49664" });
  const denied = await withBroker([other], async (brokerUrl) => {
    const { simulation } = await simulate({
      ...common,
      brokerUrl,
      filename: [policy],
      recursive: false,
      policyMode: "overlay",
      staged: false,
    });
    const found = [...simulation.ports.keys()].filter((i) => simulation.destination(i).ip === "198.51.100.77");
    return found.map((i) => simulation.judgement(i).verdict);
  });
  expect(denied).toEqual(["deny"]);
});

test("gen does not learn from it, and says what it left out", async () => {
  const { generation } = await withBroker([toPartner(49664)], (brokerUrl) =>
    generatePolicies({
      ...common,
      brokerUrl,
      name: "web",
      all: false,
      allNamespaces: false,
      type: "kubernetes",
      clusterWide: false,
      defaultDeny: false,
      l7: false,
      fqdn: false,
      includeFailed: false,
      perPod: false,
      dryRun: "true",
      merge: undefined,
      widen: undefined,
      minWindow: undefined,
      minConnections: undefined,
    }),
  );
  expect(generation.gathered.leftOut.map(({ reason }) => reason)).toContain("perhaps-reply");
  expect(JSON.stringify(generation.policies[0].object)).not.toContain("49664");
});
