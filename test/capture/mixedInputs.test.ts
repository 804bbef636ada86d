import { existsSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { readFlowLog } from "../../src/capture/logs/readFlowLog.ts";
import { readCaptures } from "../../src/capture/observation.ts";
import { readManifestFiles } from "../../src/cluster/manifest.ts";
import { readCluster } from "../../src/cluster/snapshot.ts";
import { surroundingsOf } from "../../src/evaluate/surroundings.ts";
import { type Connections, connect } from "../../src/flow/connections.ts";
import { FlowTable, KIND } from "../../src/flow/flowTable.ts";
import { L7Hints } from "../../src/flow/hints.ts";
import type { Surroundings } from "../../src/flow/joining.ts";
import { NameTable } from "../../src/flow/names.ts";
import { LoggedParties } from "../../src/flow/parties.ts";
import { formatAddress } from "../../src/net/address.ts";
import { hasPorts, isIcmp, protocolName, TCP } from "../../src/net/protocol.ts";
import { formatRfc3339 } from "../../src/net/time.ts";
import { valuesOf } from "../flow/madeConnections.ts";
import { conversation, echo, ethernet, ip4, pcap, type Recorded, record, tcp, timed, udp } from "./packets.ts";
import { describeConnections, NOTHING_KNOWN, withFiles } from "./replay.ts";

/* What a capture and logs of the same traffic come to together: what the capture says, each connection once. */

interface Read {
  readonly table: FlowTable;
  readonly connections: Connections;
  readonly lines: readonly string[];
}

/** Reads a capture, then logs, into one observation. */
async function read(
  captures: readonly string[],
  logs: readonly string[],
  known: Surroundings = NOTHING_KNOWN,
  logsFirst = false,
): Promise<Read> {
  const target = { table: new FlowTable(), names: new NameTable(), parties: new LoggedParties() };
  const hints = new L7Hints();
  const readLogs = async (into: L7Hints) => {
    for (const log of logs) await readFlowLog(log, { ...target, hints: into });
  };
  if (logsFirst) await readLogs(hints);
  if (captures.length > 0) await readCaptures(captures, target.table, target.names);
  if (!logsFirst) await readLogs(hints);
  const connections = connect(target.table, known, hints, target.parties);
  return { table: target.table, connections, lines: describeConnections(target.table, connections) };
}

/** Lines that one has and the other has not: `- ` and `+ `. */
function difference(one: readonly string[], other: readonly string[]): string[] {
  return [
    ...one.filter((line) => !other.includes(line)).map((line) => `- ${line}`),
    ...other.filter((line) => !one.includes(line)).map((line) => `+ ${line}`),
  ];
}

const FOLDER = fileURLToPath(new URL("../../../shared/captures/pcap/", import.meta.url));
const CAPTURE = `${FOLDER}08-node-any-sll2.pcap`;
const TABLE = `${FOLDER}08-node-any-sll2.conntrack.txt`;

/** Those lines of the node's table whose first tuple the capture has, before translation or after it. */
function capturedLines({ table }: Read): string[] {
  const tuples = new Set<string>();
  for (let row = 0; row < table.size; row++)
    for (const side of [0, 1]) {
      const end = (of: number) => formatAddress(table.addresses.addressOf(table.addressId(row, of)));
      tuples.add(`src=${end(side)} dst=${end(1 - side)} sport=${table.portOf(row, side)} dport=${table.portOf(row, 1 - side)}`);
    }
  return readFileSync(TABLE, "utf8")
    .split("\n")
    .filter((line) => tuples.has(/src=\S+ dst=\S+ sport=\d+ dport=\d+/.exec(line)?.[0] ?? ""));
}

/** Which side sent the first datagram is told by the table, where the capture leaves it to be inferred. */
const isTold = (line: string) => line.replace(/ ~$/, "");

describe.skipIf(!existsSync(CAPTURE))("a node's capture and its connection table", () => {
  const worldKnown = async () => {
    const { objects } = await readManifestFiles([`${FOLDER}world.yaml`], { recursive: false, stdin: async () => "" });
    return surroundingsOf(readCluster(objects));
  };
  test("with the cluster's objects: lines of what was captured change nothing but that who began is told", async () => {
    const known = await worldKnown();
    const alone = await read([CAPTURE], [], known);
    const lines = capturedLines(alone);
    expect(lines.length).toBeGreaterThan(10);
    await withFiles([Buffer.from(`${lines.join("\n")}\n`)], async ([table]) => {
      for (const logsFirst of [false, true])
        expect((await read([CAPTURE], [table], known, logsFirst)).lines).toEqual(alone.lines.map(isTold));
    });
  });
  test("the whole table: what else is in it is added, without packets", async () => {
    const known = await worldKnown();
    const alone = await read([CAPTURE], [], known);
    const both = await read([CAPTURE], [TABLE], known);
    const table = await read([], [TABLE], known);
    const sum = (counts: readonly number[]) => counts.reduce((total, count) => total + count, 0);
    for (const count of ["packets", "bytes"] as const)
      expect(sum(valuesOf(both.connections, count))).toBe(sum(valuesOf(alone.connections, count)));
    // Every line of the table that the capture has is counted once, not twice.
    expect(sum(valuesOf(both.connections, "count"))).toBe(
      sum(valuesOf(alone.connections, "count")) + sum(valuesOf(table.connections, "count")) - capturedLines(alone).length,
    );
    const ends = (lines: readonly string[]) => new Set(lines.map((line) => line.replace(/ x\d+ .*/, "")));
    expect(ends(both.lines)).toEqual(ends([...alone.lines, ...table.lines]));
  });
  test("without the cluster's objects: the table tells what was dialled", async () => {
    const alone = await read([CAPTURE], []);
    await withFiles([Buffer.from(`${capturedLines(alone).join("\n")}\n`)], async ([table]) => {
      const { lines } = await read([CAPTURE], [table]);
      // Views before translation still stand beside them: nothing but the cluster's objects says whose address was dialled.
      const dialled: Readonly<Record<string, string>> = {
        "10.244.1.11:8080": "10.96.20.1:80",
        "10.244.2.11:8080": "10.96.20.1:80",
        "10.244.1.21:6379": "10.96.20.3:6379",
        "10.244.2.20:5432": "10.96.20.2:5432",
        "10.244.1.2:53": "10.96.0.10:53",
      };
      const told = alone.lines.map((line) =>
        isTold(line).replace(/> (\S+) x/, (all, to: string) => (dialled[to] === undefined ? all : `> (${dialled[to]}) > ${to} x`)),
      );
      // Datagrams to the Service's address were taken for nobody's: their initiator stays inferred.
      const isService = (line: string) => line.includes("> 10.96.");
      expect(lines.filter((line) => !isService(line)).toSorted()).toEqual(told.filter((line) => !isService(line)).toSorted());
      expect(lines.filter(isService)).toEqual(alone.lines.filter(isService));
    });
  });
});

const A = "10.0.0.1";
const B = "10.0.0.2";
/** TCP that comes about, is refused and gets no answer; a name that is asked for; pings. */
const traffic = [
  ...timed(conversation(A, 40000, B, 80), { from: 0.5, step: 0.01 }),
  ...timed([ip4(A, B, tcp(40001, 81, "S", { seq: 5 })), ip4(B, A, tcp(81, 40001, "RA"))], { from: 3, step: 0.01 }),
  ...timed([ip4(A, B, tcp(40002, 82, "S", { seq: 6 }))], { from: 4 }),
  ...timed([ip4(A, B, udp(50000, 53)), ip4(B, A, udp(53, 50000))], { from: 5, step: 0.01 }),
  ...timed(conversation(A, 40010, B, 80), { from: 61, step: 0.01 }),
  record(62, ethernet(ip4(A, B, echo(false, 7, 1)))),
  record(62.1, ethernet(ip4(B, A, echo(true, 7, 1)))),
];

const again = timed(conversation(A, 40000, B, 80, { seq: 9_000_000 }), { from: 120, step: 0.01 });

/** Every row of the capture, as a log tells of it. */
function rowsOf(
  { table }: Read,
  tell: (row: number, source: { ip: string; port: number }, destination: { ip: string; port: number }) => string[],
): string {
  const lines: string[] = [];
  for (let row = 0; row < table.size; row++) {
    const end = (side: number) => ({
      ip: formatAddress(table.addresses.addressOf(table.addressId(row, side))),
      port: table.portOf(row, side),
    });
    // A is the lower address: the client, here.
    lines.push(...tell(row, end(0), end(1)));
  }
  return `${lines.join("\n")}\n`;
}

const seconds = (table: FlowTable, row: number) => table.firstSeconds(row) + table.firstNanoseconds(row) / 1e9;
const duration = (table: FlowTable, row: number) => table.lastSeconds(row) + table.lastNanoseconds(row) / 1e9 - seconds(table, row);

function recordsOf(capture: Read, hasCounts: boolean): string {
  const { table } = capture;
  return rowsOf(capture, (row, source, destination) => {
    const protocol = table.get(row, KIND) & 255;
    const counts = { packets: table.packetsOf(row, 0) + table.packetsOf(row, 1), bytes: table.bytesOf(row, 0) + table.bytesOf(row, 1) };
    return [
      JSON.stringify({
        time: formatRfc3339(table.firstSeconds(row), table.firstNanoseconds(row)),
        srcIp: source.ip,
        dstIp: destination.ip,
        protocol: protocolName(protocol),
        ...(hasPorts(protocol) ? { srcPort: source.port, dstPort: destination.port } : { icmpType: 8, icmpCode: 0 }),
        ...(hasCounts ? counts : {}),
      }),
    ];
  });
}

const LOGS: Readonly<Record<string, (capture: Read) => string>> = {
  records: (capture) => recordsOf(capture, false),
  "records with counts": (capture) => recordsOf(capture, true),
  "Zeek's conn.log": (capture) =>
    rowsOf(capture, (row, source, destination) => {
      const { table } = capture;
      const protocol = table.get(row, KIND) & 255;
      const returned = table.packetsOf(row, 1);
      const state = returned === 0 ? "S0" : destination.port === 81 ? "REJ" : "SF";
      const history = protocol !== TCP ? "Dd" : { S0: "S", REJ: "Sr", SF: "ShADadFf" }[state];
      return [
        JSON.stringify({
          ts: seconds(table, row),
          uid: `C${row}`,
          "id.orig_h": source.ip,
          "id.orig_p": isIcmp(protocol) ? 8 : source.port,
          "id.resp_h": destination.ip,
          "id.resp_p": isIcmp(protocol) ? 0 : destination.port,
          proto: protocolName(protocol).toLowerCase(),
          duration: duration(table, row),
          conn_state: protocol === TCP || returned > 0 ? state : "S0",
          history,
          orig_pkts: table.packetsOf(row, 0),
          orig_ip_bytes: table.bytesOf(row, 0) - 14 * table.packetsOf(row, 0),
          resp_pkts: returned,
          resp_ip_bytes: table.bytesOf(row, 1) - 14 * returned,
        }),
      ];
    }),
  "halves of an AWS VPC flow log": (capture) =>
    rowsOf(capture, (row, source, destination) => {
      const { table } = capture;
      const protocol = table.get(row, KIND) & 255;
      const [from, to] = isIcmp(protocol) ? [0, 0] : [source.port, destination.port];
      const fields = (a: string, b: string, portA: number, portB: number, side: number) =>
        `2 123456789010 eni-1 ${a} ${b} ${portA} ${portB} ${protocol} ${table.packetsOf(row, side)} ${table.bytesOf(row, side)} ${Math.floor(seconds(table, row))} ${Math.ceil(seconds(table, row) + duration(table, row))} ACCEPT OK`;
      const halves = [fields(source.ip, destination.ip, from, to, 0), fields(destination.ip, source.ip, to, from, 1)];
      return table.packetsOf(row, 1) === 0 ? halves.slice(0, 1) : halves.toReversed();
    }),
};

const WHO_ASKED = ["- UDP 10.0.0.1 > 10.0.0.2:53 x1 2p established ~", "+ UDP 10.0.0.1 > 10.0.0.2:53 x1 2p established"];
/** What a log tells that the capture of the same does not: who began a datagram's exchange; messages of which it does not tell the type. */
const TOLD: Readonly<Record<string, readonly string[]>> = {
  records: WHO_ASKED,
  "records with counts": WHO_ASKED,
  "Zeek's conn.log": WHO_ASKED,
  "halves of an AWS VPC flow log": ["+ ICMP 10.0.0.2 > 10.0.0.1:255/255 x1 2p unknown ~"],
};

/** The connections of a capture and of a log that is made of it, as they differ from the capture's. */
async function differences(packets: readonly Recorded[], name: string, logsFirst = false): Promise<string[]> {
  return withFiles([pcap(packets)], async ([capture]) => {
    const alone = await read([capture], []);
    return withFiles([Buffer.from(LOGS[name](alone))], async ([log]) => {
      const both = await read([capture], [log], NOTHING_KNOWN, logsFirst);
      return difference(alone.lines, both.lines);
    });
  });
}

describe("a capture and a log that was made of it are the capture", () => {
  test("the capture alone", async () => {
    await withFiles([pcap(traffic)], async ([capture]) => {
      expect((await read([capture], [])).lines).toEqual([
        "ICMP 10.0.0.1 > 10.0.0.2:8/0 x1 2p established",
        "TCP 10.0.0.1 > 10.0.0.2:80 x2 16p established",
        "TCP 10.0.0.1 > 10.0.0.2:81 x1 2p refused",
        "TCP 10.0.0.1 > 10.0.0.2:82 x1 1p unanswered",
        "UDP 10.0.0.1 > 10.0.0.2:53 x1 2p established ~",
      ]);
    });
  });
  test.each(Object.keys(LOGS).filter((name) => name !== "records with counts"))("%s", async (name) => {
    for (const logsFirst of [false, true]) expect(await differences(traffic, name, logsFirst)).toEqual(TOLD[name]);
  });
  test("records with counts", async () => {
    expect(await differences(traffic, "records with counts")).toEqual(TOLD["records with counts"]);
  });

  test("a port that is used again for another connection", async () => {
    for (const name of ["records", "Zeek's conn.log"]) expect(await differences([...traffic, ...again], name)).toEqual(TOLD[name]);
  });
  // Halves of both connections are one row, all of whose packets are held against those of the first connection alone.
  test.fails("a port that is used again for another connection, in halves that do not tell them apart", async () => {
    const name = "halves of an AWS VPC flow log";
    expect(await differences([...traffic, ...again], name)).toEqual(TOLD[name]);
  });

  test("all of them with it", async () => {
    await withFiles([pcap(traffic)], async ([capture]) => {
      const alone = await read([capture], []);
      const logs = Object.keys(LOGS).filter((name) => name !== "records with counts");
      await withFiles(
        logs.map((name) => Buffer.from(LOGS[name](alone))),
        async (paths) => {
          const both = await read([capture], paths);
          expect(difference(alone.lines, both.lines)).toEqual([WHO_ASKED[0], TOLD["halves of an AWS VPC flow log"][0], WHO_ASKED[1]]);
        },
      );
    });
  });
});
