import { existsSync, readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { CaptureError } from "../../src/capture/captureError.ts";
import { readManifestFiles } from "../../src/cluster/manifest.ts";
import { readCluster } from "../../src/cluster/snapshot.ts";
import { surroundingsOf } from "../../src/evaluate/surroundings.ts";
import { HAS_ISN, ISN, KIND, STATE } from "../../src/flow/flowTable.ts";
import { formatAddress } from "../../src/net/address.ts";
import { TCP } from "../../src/net/protocol.ts";
import { type Replay, replayPaths } from "./replay.ts";

/* Captures of real programs with the truth that tshark tells of them: see the README beside them. */

const FOLDER = fileURLToPath(new URL("../../../shared/captures/pcap/", import.meta.url));

interface Flow {
  readonly initiator: string;
  readonly responder: string;
  readonly protocol: string;
  readonly initiatorPort?: number;
  readonly responderPort?: number;
  readonly packets: number;
  readonly bytes: number;
  readonly direction: string;
}
interface Truth {
  readonly capture: string;
  readonly frames: number;
  readonly flows: readonly Flow[];
}

const truths = existsSync(FOLDER)
  ? readdirSync(FOLDER)
      .filter((name) => name.endsWith(".flows.json"))
      .map((name): Truth => JSON.parse(readFileSync(FOLDER + name, "utf8")))
  : [];
const read = (truth: Truth) => replayPaths([FOLDER + truth.capture]);
/** Captures of several places: tshark counts a packet each time, this program once. */
const SEVERAL_PLACES = /^(08|09|10|11|21|22)-/;
const REFUSED = /^(23|24)-/;
const DAMAGED = /^(19|20|21|22)-/;
const readable = truths.filter(({ capture }) => !REFUSED.test(capture));

/** Reads a capture with what `world.yaml` says of its cluster. */
async function inCluster(capture: string): Promise<Replay> {
  const { objects } = await readManifestFiles([`${FOLDER}world.yaml`], { recursive: false, stdin: async () => "" });
  return replayPaths([FOLDER + capture], { surroundings: surroundingsOf(readCluster(objects)) });
}

/** TCP rows as `client > server`, sorted, with how many packets. */
function tcpRows({ table }: Replay): string[] {
  const rows: string[] = [];
  for (let row = 0; row < table.size; row++) {
    if ((table.get(row, KIND) & 255) !== TCP) continue;
    const end = (side: number) => `${formatAddress(table.addresses.addressOf(table.addressId(row, side)))}:${table.portOf(row, side)}`;
    rows.push(`${[end(0), end(1)].sort().join(" - ")} ${table.packetsOf(row, 0) + table.packetsOf(row, 1)}`);
    expect((table.get(row, STATE) & HAS_ISN) !== 0 || table.get(row, ISN) === 0).toBe(true);
  }
  return rows.sort();
}

describe.skipIf(truths.length === 0)("captures of real programs", () => {
  test.each(readable.map((truth) => [truth.capture, truth] as const))("%s: every frame is read", async (_name, truth) => {
    const { inputs, warnings } = await read(truth);
    expect(inputs[0].packets).toBe(truth.frames);
    expect(warnings.length > 0, warnings.join("\n")).toBe(DAMAGED.test(truth.capture));
  });

  test.each(readable.filter(({ capture }) => !SEVERAL_PLACES.test(capture)).map((truth) => [truth.capture, truth] as const))(
    "%s: TCP connections and their packets are tshark's",
    async (_name, truth) => {
      const end = (address: string, port: number) => `${address}:${port}`;
      const wanted = truth.flows
        .filter(({ protocol }) => protocol === "tcp")
        .map(
          (flow) =>
            `${[end(flow.initiator, flow.initiatorPort!), end(flow.responder, flow.responderPort!)].sort().join(" - ")} ${flow.packets}`,
        );
      expect(tcpRows(await read(truth))).toEqual(wanted.sort());
    },
  );

  // NAT and several devices: as many TCP 5-tuples as tshark sees, since a row is one view.
  test.each(truths.filter(({ capture }) => /^(08|09|10|11)-/.test(capture)).map((truth) => [truth.capture, truth] as const))(
    "%s: as many TCP views",
    async (_name, truth) => {
      expect(tcpRows(await read(truth))).toHaveLength(truth.flows.filter(({ protocol }) => protocol === "tcp").length);
    },
  );

  test.each(readable.filter(({ capture }) => !SEVERAL_PLACES.test(capture)).map((truth) => [truth.capture, truth] as const))(
    "%s: initiators that tshark saw are the same",
    async (_name, truth) => {
      const { connections, table } = await read(truth);
      const at = (id: number) => formatAddress(table.addresses.addressOf(id));
      const mine = new Set(
        Array.from(
          { length: connections.size },
          (_, i) => `${at(connections.source(i))} > ${at(connections.destination(i))}:${connections.port(i)}`,
        ),
      );
      for (const flow of truth.flows) {
        if (flow.direction === "syn") expect(mine).toContain(`${flow.initiator} > ${flow.responder}:${flow.responderPort}`);
      }
    },
  );

  test.each(truths.filter(({ capture }) => REFUSED.test(capture)).map((truth) => [truth.capture, truth] as const))(
    "%s is refused",
    async (_name, truth) => {
      await expect(read(truth)).rejects.toThrow(CaptureError);
    },
  );

  test("01 and its rewritings (big endian, VLAN, Geneve) hold the same connections", async () => {
    const lines = async (capture: string) => (await replayPaths([FOLDER + capture])).lines;
    const wanted = await lines("01-pod-http-dns.pcap");
    expect(await lines("15-bigendian.pcap")).toEqual(wanted);
    expect(await lines("26-vlan.pcap")).toEqual(wanted);
    expect(await lines("27-geneve.pcap")).toEqual(wanted);
  });

  // The same file twice is one capture at two places: names, connections and packets are those of one. Only sizes of the file double.
  test("a file and its compressed self are one observation", async () => {
    const lines = async (...captures: string[]) => (await replayPaths(captures.map((name) => FOLDER + name))).lines;
    expect(await lines("02-pod-postgres-redis-ns.pcap", "17-gzip.pcap.gz")).toEqual(await lines("02-pod-postgres-redis-ns.pcap"));
    expect(await lines("06-ipv6.pcap", "18-zstd.pcap.zst")).toEqual(await lines("06-ipv6.pcap"));
  });

  // The nodes' conntrack tables (beside the captures) tell the same backends.
  test.each(["08-node-any-sll2.pcap", "09-node-any-sll.pcap"])(
    "%s with its cluster: each connection once, from the pod to the backend",
    async (capture) => {
      expect((await inCluster(capture)).lines).toEqual([
        "TCP 10.244.1.10 > (10.96.20.1:80) > 10.244.1.11:8080 x2 24p established",
        "TCP 10.244.1.10 > (10.96.20.1:80) > 10.244.2.11:8080 x2 24p established",
        "TCP 10.244.1.10 > (10.96.20.3:6379) > 10.244.1.21:6379 x1 10p established",
        "TCP 10.244.1.10 > 203.0.113.10:80 x1 12p established",
        "TCP 10.244.1.30 > (10.96.20.2:5432) > 10.244.2.20:5432 x1 15p established",
        "TCP 10.244.2.40 > 10.244.1.11:9100 x1 12p established",
        "UDP 10.244.1.10 > (10.96.0.10:53) > 10.244.1.2:53 x5 18p established ~",
        "UDP 10.244.1.30 > (10.96.0.10:53) > 10.244.1.2:53 x1 4p established ~",
        "UDP 10.244.2.40 > 10.244.1.10:9 x1 1p refused ~",
      ]);
    },
  );
  test("10: half views before and after DNAT on a bridge are joined", async () => {
    const { lines } = await inCluster("10-node-bridge-nat-double.pcap");
    expect(lines).toContain("TCP 10.244.1.10 > (10.96.20.1:80) > 10.244.2.11:8080 x2 24p established");
    expect(lines).toContain("TCP 10.244.1.30 > (10.96.20.2:5432) > 10.244.2.20:5432 x1 15p established");
  });
  // A bridge shows a packet to a Service's local backend twice, in and routed out again with one hop less (the second test of this
  // in connections.test.ts): one interface, so that copies are not looked for, and everything counts twice.
  test.fails("10: packets that cross the bridge twice count once", async () => {
    const { lines } = await inCluster("10-node-bridge-nat-double.pcap");
    expect(lines).toContain("TCP 10.244.1.10 > 10.244.1.11:8080 x2 24p established");
  });

  test("11: names of the capture's own name resolution block", async () => {
    const { names } = await replayPaths([`${FOLDER}11-two-ifaces-comments.pcapng`]);
    expect(names.size).toBeGreaterThan(0);
  });
});
