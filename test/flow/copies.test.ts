import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { connect } from "../../src/flow/connections.ts";
import { isMixed } from "../../src/flow/copies.ts";
import { ACCEPTED, FlowTable, NO_ANSWER, OPENED, RESET, SPOKE, UNJUDGED } from "../../src/flow/flowTable.ts";
import { addHalf, addStated } from "../../src/flow/logged.ts";
import { ICMP, TCP, UDP } from "../../src/net/protocol.ts";
import { describe as linesOf, readLogs } from "../capture/flowLogs.ts";
import { BASE, conversation, pcap, timed } from "../capture/packets.ts";
import { describeConnections, NOTHING_KNOWN, replay, withFiles } from "../capture/replay.ts";
import { valuesOf } from "./madeConnections.ts";

/** What happened, whoever tells of it. */
interface Truth {
  readonly client: number;
  readonly server: number;
  readonly sourcePort: number;
  readonly port: number;
  readonly protocol: number;
  readonly outcome: "established" | "refused" | "unanswered";
  /** Seconds after BASE. */
  readonly start: number;
  readonly sent: number;
  readonly returned: number;
}

/** One reporter's way to tell of connections. */
interface Reporter {
  readonly style: "stated" | "whole" | "halves";
  readonly format: string;
}

const instant = (seconds: number) => {
  const whole = Math.floor(seconds);
  return { seconds: BASE + whole, nanoseconds: Math.round((seconds - whole) * 1e6) * 1000 };
};
const addressOf = (table: FlowTable, number: number) => table.addresses.internIPv4(0x0a000001 + number);

/** The records by which a reporter tells of a connection, each as what adds it to a table. `shift`: how far its clock is off. */
function recordsOf(truth: Truth, { style, format }: Reporter, number: number, shift: number): ((table: FlowTable) => void)[] {
  const { protocol, outcome, sourcePort, port, sent, returned } = truth;
  const start = instant(truth.start + shift);
  const end = instant(truth.start + shift + 0.5);
  const origin = (table: FlowTable) => table.origins.of(format, `reporter ${number}`);
  const isTcp = protocol === TCP;
  if (style !== "halves")
    return [
      (table) =>
        addStated(table, {
          source: addressOf(table, truth.client),
          destination: addressOf(table, truth.server),
          protocol,
          sourcePort,
          destinationPort: port,
          start,
          end,
          origin: origin(table),
          bits: UNJUDGED | (isTcp && outcome === "unanswered" ? NO_ANSWER : 0),
          responder: outcome === "established" ? ACCEPTED : isTcp && outcome === "refused" ? RESET : 0,
          packets: sent,
          bytes: sent * 100,
          returnedPackets: outcome === "unanswered" ? 0 : returned,
          returnedBytes: outcome === "unanswered" ? 0 : returned * 100,
          isWhole: style === "whole",
        }),
    ];
  const there = (table: FlowTable) =>
    addHalf(table, {
      source: addressOf(table, truth.client),
      destination: addressOf(table, truth.server),
      protocol,
      sourcePort,
      destinationPort: port,
      start,
      end,
      origin: origin(table),
      bits: 0,
      sender: isTcp ? OPENED : SPOKE,
      packets: sent,
      bytes: sent * 100,
    });
  const back = (table: FlowTable) =>
    addHalf(table, {
      source: addressOf(table, truth.server),
      destination: addressOf(table, truth.client),
      protocol,
      sourcePort: port,
      destinationPort: sourcePort,
      start: instant(truth.start + shift + 0.01),
      end,
      origin: origin(table),
      bits: 0,
      sender: !isTcp ? SPOKE : outcome === "refused" ? RESET : ACCEPTED,
      packets: returned,
      bytes: returned * 100,
    });
  return outcome === "unanswered" ? [there] : [there, back];
}

/** One line a connection, with its counts and without its times: clocks differ. */
function linesFrom(records: readonly ((table: FlowTable) => void)[]): { lines: string[]; table: FlowTable } {
  const table = new FlowTable();
  for (const add of records) add(table);
  const connections = connect(table, NOTHING_KNOWN);
  const lines = describeConnections(table, connections).map((line) => line.replace(" ~", ""));
  const bytes = valuesOf(connections, "bytes").reduce((sum, each) => sum + each, 0);
  return { lines: [...lines, `${bytes} bytes, ${connections.warnings.join()}`], table };
}

const truth = fc.record({
  client: fc.nat(2),
  server: fc.nat(2).map((number) => 3 + number),
  port: fc.constantFrom(53, 80, 443),
  protocol: fc.constantFrom(TCP, TCP, UDP),
  outcome: fc.constantFrom("established", "refused", "unanswered"),
  start: fc.integer({ min: 0, max: 300 }),
  sent: fc.integer({ min: 1, max: 9 }),
  returned: fc.integer({ min: 1, max: 9 }),
});
/** Connections of distinct tuples; some of them are made again, minutes later. Datagrams are not refused: an ICMP error would say so. */
const truths = fc.array(fc.tuple(truth, fc.boolean()), { minLength: 1, maxLength: 6 }).map((all): Truth[] =>
  all.flatMap(([one, isAgain], i) => {
    const fits = one.protocol === UDP && one.outcome === "refused" ? { ...one, outcome: "unanswered" as const } : one;
    const first: Truth = { ...fits, outcome: fits.outcome as Truth["outcome"], sourcePort: 40000 + i };
    return isAgain ? [first, { ...first, start: first.start + 600, sent: first.sent + 1 }] : [first];
  }),
);
/** Who tells what: which of the connections, how far its clock is off, and in which order all records come. */
const reporting = fc.record({
  styles: fc.array(fc.constantFrom<Reporter["style"]>("stated", "whole", "halves"), { minLength: 1, maxLength: 4 }),
  told: fc.infiniteStream(fc.boolean()),
  shifts: fc.infiniteStream(fc.double({ min: -0.9, max: 0.9, noNaN: true })),
  order: fc.infiniteStream(fc.nat(1_000_000)),
});

function isMadeTwice(all: readonly Truth[], { sourcePort }: Truth): boolean {
  return all.filter((other) => other.sourcePort === sourcePort).length > 1;
}

describe("what several reporters tell of connections", () => {
  test("equals all of it told once by one of them: each a part, in its own way, with its own clock, in any order", () => {
    fc.assert(
      fc.property(truths, reporting, (all, { styles, told, shifts, order }) => {
        const seen = new Set<Truth>();
        const records = styles.flatMap((style, number) =>
          all.flatMap((each) => {
            if (told.next().value !== true) return [];
            // Who does not tell two connections of one tuple apart has one record of both.
            if (style !== "whole" && isMadeTwice(all, each)) return [];
            seen.add(each);
            return recordsOf(each, { style, format: `format ${number % 2}` }, number, shifts.next().value as number);
          }),
        );
        const shuffled = records
          .map((add) => ({ add, at: order.next().value as number }))
          .sort((x, y) => x.at - y.at)
          .map(({ add }) => add);
        const once = all.filter((each) => seen.has(each)).flatMap((each) => recordsOf(each, { style: "whole", format: "one" }, 0, 0));
        expect(linesFrom(shuffled).lines).toEqual(linesFrom(once).lines);
      }),
      { numRuns: 150 },
    );
  });

  test("is the same whichever reporter comes first", () => {
    fc.assert(
      fc.property(truths, (all) => {
        const [one, two, three] = (["whole", "halves", "stated"] as const).map((style, number) =>
          all.filter((each) => !isMadeTwice(all, each)).flatMap((each) => recordsOf(each, { style, format: style }, number, number * 0.3)),
        );
        const lines = linesFrom([...one, ...two, ...three]).lines;
        expect(linesFrom([...three, ...one, ...two]).lines).toEqual(lines);
        expect(linesFrom([...two, ...three, ...one].reverse()).lines).toEqual(lines);
      }),
      { numRuns: 50 },
    );
  });

  const one: Truth = {
    client: 0,
    server: 3,
    sourcePort: 40000,
    port: 80,
    protocol: TCP,
    outcome: "established",
    start: 10,
    sent: 3,
    returned: 2,
  };
  const by = (style: Reporter["style"], number: number, shift = 0, of: Truth = one) => recordsOf(of, { style, format: "f" }, number, shift);

  test.each([
    ["two seconds apart", 2, ["x1 5p"]],
    ["three seconds apart", 3.6, ["x2 10p"]],
  ])("whole records of two reporters %s", (_what, shift, [counts]) => {
    expect(linesFrom([...by("whole", 0), ...by("whole", 1, shift)]).lines[0]).toContain(counts);
  });
  test("one reporter's two connections of one moment are two, however close", () => {
    const other = { ...one, start: one.start + 2.2 };
    expect(linesFrom([...by("whole", 0), ...by("whole", 0, 0, other), ...by("whole", 1)]).lines[0]).toContain("x2 10p");
  });
  test("of several connections that a record may be a view of, it is one of that which began next", () => {
    const later = { ...one, start: one.start + 2.2, sent: 9 };
    const { lines } = linesFrom([...by("whole", 0), ...by("whole", 0, 0, later), ...by("whole", 1, 0.1, later), ...by("whole", 1, 0.1)]);
    expect(lines[0]).toContain("x2 16p");
  });
  test("what sees less takes nothing away: a direction counts as often as the reporter that saw most of it", () => {
    const less = { ...one, sent: 1, returned: 4 };
    expect(linesFrom([...by("whole", 0), ...by("halves", 1, 0, less)]).lines[0]).toContain("x1 7p established");
  });
  test("who began is what a reporter saw, where another can only guess", () => {
    // A datagram from port 53: halves alone take 53 for the server's.
    const odd: Truth = { ...one, protocol: UDP, sourcePort: 53, port: 5000 };
    expect(linesFrom(by("halves", 0, 0, odd)).lines[0]).toContain("10.0.0.4 > 10.0.0.1:53 ");
    expect(linesFrom([...by("halves", 0, 0, odd), ...by("stated", 1, 0, odd)]).lines).toEqual(linesFrom(by("stated", 1, 0, odd)).lines);
  });
  test("over 64 connections of one tuple are not all compared, which is said", () => {
    const many = Array.from({ length: 70 }, (_, i) => ({ ...one, start: i * 10 }));
    const { lines } = linesFrom([...many.flatMap((each) => by("whole", 0, 0, each)), ...many.flatMap((each) => by("whole", 1, 0.5, each))]);
    expect(lines[1]).toMatch(/share addresses and ports with over 64 others/);
  });
  test("whether there are several reporters: none, one, more", () => {
    expect(
      [[], by("whole", 0), [...by("whole", 0), ...by("halves", 0)], [...by("whole", 0), ...by("whole", 1)]].map((all) =>
        isMixed(linesFrom(all).table),
      ),
    ).toEqual([false, false, false, true]);
  });
  test("messages that one reporter tells in two records and another in one are as many as who tells more", () => {
    const echo = (origin: string, start: number, packets: number) => (table: FlowTable) =>
      addStated(table, {
        source: addressOf(table, 0),
        destination: addressOf(table, 1),
        protocol: ICMP,
        icmpType: 8,
        icmpCode: 0,
        start: instant(start),
        origin: table.origins.of("f", origin),
        bits: UNJUDGED,
        responder: ACCEPTED,
        packets,
        bytes: packets * 84,
        isWhole: true,
      });
    expect(linesFrom([echo("a", 0, 1), echo("a", 5, 1), echo("b", 0, 1)]).lines[0]).toContain("x2 2p established");
    expect(linesFrom([echo("b", 0, 1), echo("a", 5, 1), echo("a", 0, 1)]).lines[0]).toContain("x2 2p established");
  });
});

describe("a capture and a log", () => {
  const conversations = timed(conversation("10.0.0.1", 40000, "10.0.0.2", 80), { step: 0.01 });
  const rowOfLog =
    (start: number, isWhole = true) =>
    (table: FlowTable) =>
      addStated(table, {
        source: addressOf(table, 0),
        destination: addressOf(table, 1),
        protocol: TCP,
        sourcePort: 40000,
        destinationPort: 80,
        start: instant(start),
        origin: table.origins.of("zeek", ""),
        bits: UNJUDGED,
        responder: ACCEPTED,
        packets: 3,
        bytes: 300,
        isWhole,
      });
  test.each([
    ["of the same time are one connection, with what the capture counts", [0], "x1 8p"],
    ["within the clocks' difference too", [1.9], "x1 8p"],
    ["of another time are two", [60], "x2 11p"],
    ["of both times are two", [0.5, 60], "x2 11p"],
    ["before it", [-60], "x2 11p"],
  ])("%s", async (_what, starts, counts) => {
    const { table } = await replay([pcap(conversations)]);
    for (const start of starts) rowOfLog(start)(table);
    expect(describeConnections(table, connect(table, NOTHING_KNOWN))).toEqual([`TCP 10.0.0.1 > 10.0.0.2:80 ${counts} established`]);
  });
});

const ROOT = new URL("../../fixtures/flow-logs/", import.meta.url).pathname;
/** Logs of a record a line. Lines that name columns stand in each part, as in files that a program rotates. */
const HEADER = /^#|srcaddr|flowStartSeconds"|SrcAddr|srcAddr|srcIp,|^ts,te/;
const rotated = readdirSync(ROOT, { recursive: true, withFileTypes: true })
  .filter((entry) => entry.isFile() && /\.(jsonl|ndjson|log|txt|csv)$|eve\.json$|conn\.json$/.test(entry.name))
  .map((entry) => join(entry.parentPath, entry.name))
  .filter((path) => !/joined\.log$/.test(path))
  .map((path) => ({ name: path.slice(ROOT.length), lines: readFileSync(path, "utf8").split("\n").slice(0, 60) }))
  .filter(({ lines }) => lines.filter((line) => line !== "" && !HEADER.test(line)).length > 1)
  .sort((a, b) => (a.name < b.name ? -1 : 1));
/** Logs that are read by what stood before: a file that begins in their middle tells less. */
const CARRIED_ON: Readonly<Record<string, string>> = {
  "conntrack/events.txt": "a connection's events stand in both files",
  "conntrack/events-extended.txt": "a connection's events stand in both files",
  "conntrack/events-old-kernel.txt": "a connection's events stand in both files",
  "envoy/istio-text.log": "a proxy's address is known by a record before",
};

describe("one reporter's records in two files mean what they mean in one", () => {
  test.each(rotated.filter(({ name }) => CARRIED_ON[name] === undefined).map(({ name, lines }) => [name, lines] as const))(
    "%s",
    async (name, lines) => {
      const headers = /\.(csv|log)$/.test(name) ? lines.filter((line, i) => i < 12 && HEADER.test(line)) : [];
      const records = lines.filter((line) => !headers.includes(line) && line !== "");
      const format = name.split("/")[0];
      const read = (...parts: string[][]) =>
        withFiles(
          parts.map((part) => Buffer.from(`${[...headers, ...part].join("\n")}\n`)),
          async (paths) => linesOf(await readLogs(paths, { format })),
        );
      const half = Math.ceil(records.length / 2);
      expect(await read(records.slice(0, half), records.slice(half))).toEqual(await read(records));
    },
  );

  // Totals are remembered within a file: of the next file the first record of every connection counts from the connection's beginning
  // again. Rotated logs, and a table that was saved every minute, count packets and bytes several times (no connection twice).
  const entry = (packets: number) =>
    `tcp      6 100 ESTABLISHED src=10.0.0.1 dst=10.0.0.2 sport=40000 dport=80 packets=${packets} bytes=${packets * 60} src=10.0.0.2 dst=10.0.0.1 sport=80 dport=40000 packets=${packets} bytes=${packets * 60} [ASSURED] mark=0 use=1`;
  const total = (packets: number) =>
    JSON.stringify({
      ipfix: {
        flowStartSeconds: BASE,
        flowEndSeconds: BASE + packets,
        sourceIPv4Address: "10.0.0.1",
        destinationIPv4Address: "10.0.0.2",
        sourceTransportPort: 40000,
        destinationTransportPort: 80,
        protocolIdentifier: 6,
        packetTotalCount: packets,
        octetTotalCount: packets * 60,
        reversePacketTotalCount: packets,
        reverseOctetTotalCount: packets * 60,
        sourcePodName: "a",
        sourcePodNamespace: "n",
        destinationPodName: "b",
        destinationPodNamespace: "n",
      },
    });
  test.fails.each([
    ["a conntrack table that was saved twice", entry],
    ["Antrea's totals of one connection", total],
  ])("%s", async (_what, record) => {
    const read = (...parts: string[][]) =>
      withFiles(
        parts.map((part) => Buffer.from(`${part.join("\n")}\n`)),
        async (paths) => linesOf(await readLogs(paths)),
      );
    expect(await read([record(100)], [record(150)])).toEqual(await read([record(100), record(150)]));
  });
});
