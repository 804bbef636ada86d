import { gzipSync } from "node:zlib";
import fc from "fast-check";
import { type Packet, parse } from "pcap-parser";
import { describe, expect, test } from "vitest";
import { KIND } from "../../src/flow/flowTable.ts";
import { formatAddress, parseAddress } from "../../src/net/address.ts";
import { valuesOf } from "../flow/madeConnections.ts";
import { traffic } from "./generators.ts";
import { ethernet, ip4, pcap, pcapng, type Recorded, record, tcp } from "./packets.ts";
import { fullLines, type Replay, replay, replayPaths, withFiles } from "./replay.ts";

/** Packets and bytes of each direction of each 5-tuple, as `packets/bytes`. */
type Totals = Map<string, string>;

function add(totals: Totals, key: string, packets: number, bytes: number): void {
  const [p, b] = (totals.get(key) ?? "0/0").split("/").map(Number);
  totals.set(key, `${p + packets}/${b + bytes}`);
}

/** A second reader that shares nothing with the program's: pcap-parser for the file, texts for the rest. */
async function naiveTotals(path: string): Promise<{ count: number; totals: Totals }> {
  const packets = await new Promise<Packet[]>((resolve, reject) => {
    const all: Packet[] = [];
    parse(path)
      .on("packet", (packet) => all.push(packet))
      .on("end", () => resolve(all))
      .on("error", reject);
  });
  const totals: Totals = new Map();
  for (const { header, data } of packets) {
    const hex = data.toString("hex");
    let at = 24;
    while (hex.slice(at, at + 4) === "8100") at += 8;
    const six = hex.slice(at, at + 4) === "86dd";
    const packet = hex.slice(at + 4);
    const byte = (i: number) => Number.parseInt(packet.slice(i * 2, i * 2 + 2), 16);
    const four = (i: number) => [0, 1, 2, 3].map((k) => byte(i + k)).join(".");
    const groups = (i: number) =>
      packet
        .slice(i * 2, i * 2 + 32)
        .match(/..../g)!
        .join(":");
    const canonical = (text: string) => formatAddress(parseAddress(text)!);
    const [source, destination, protocol, ports] = six
      ? [canonical(groups(8)), canonical(groups(24)), byte(6), 40]
      : [four(12), four(16), byte(9), (byte(0) % 16) * 4];
    const port = (i: number) => byte(ports + i) * 256 + byte(ports + i + 1);
    add(totals, `${protocol} ${source} ${port(0)} > ${destination} ${port(2)}`, 1, header.originalLength);
  }
  return { count: packets.length, totals };
}

function tableTotals({ table }: Replay): Totals {
  const totals: Totals = new Map();
  for (let row = 0; row < table.size; row++) {
    for (const side of [0, 1]) {
      const end = (which: number) => `${formatAddress(table.addresses.addressOf(table.addressId(row, which)))} ${table.portOf(row, which)}`;
      if (table.packetsOf(row, side) === 0) continue;
      add(totals, `${table.get(row, KIND) & 255} ${end(side)} > ${end(1 - side)}`, table.packetsOf(row, side), table.bytesOf(row, side));
    }
  }
  return totals;
}

describe("against pcap-parser and a naive decoder", () => {
  test("random captures: packets, and packets and bytes of each 5-tuple", async () => {
    await fc.assert(
      fc.asyncProperty(traffic(), fc.boolean(), async (records, big) => {
        await withFiles([pcap(records, { big })], async ([path]) => {
          const [mine, naive] = [await replayPaths([path]), await naiveTotals(path)];
          expect(mine.inputs[0].packets).toBe(naive.count);
          // A tuple whose ends are the same twice has no directions to tell apart.
          expect([...tableTotals(mine)].sort()).toEqual([...naive.totals].sort());
        });
      }),
      { numRuns: 150 },
    );
  });
});

describe("laws", () => {
  const full = async (...files: Uint8Array[]) => fullLines(await replay(files));

  // Law: the form of a file does not change what is in it.
  test("pcap µs, ns, big endian, pcapng and gzip give equal connections", async () => {
    await fc.assert(
      fc.asyncProperty(traffic(), fc.boolean(), async (records, big) => {
        const wanted = await full(pcap(records));
        expect(await full(pcap(records, { nano: true, big }))).toEqual(wanted);
        expect(await full(pcap(records, { big: true }))).toEqual(wanted);
        expect(await full(pcapng(records, { big, resolution: big ? 9 : 6 }))).toEqual(wanted);
        expect(await full(gzipSync(pcap(records, { big })))).toEqual(wanted);
      }),
      { numRuns: 60 },
    );
  });

  // Law: rotation changes nothing, wherever it happens.
  test("splitting a capture at any packet into two files", async () => {
    await fc.assert(
      fc.asyncProperty(traffic(), fc.double({ min: 0, max: 1, noNaN: true }), fc.boolean(), async (records, where, swap) => {
        const at = Math.floor(where * (records.length + 1));
        const files = [pcap(records.slice(0, at)), pcapng(records.slice(at))];
        expect(await full(...(swap ? files.reverse() : files))).toEqual(await full(pcap(records)));
      }),
      { numRuns: 100 },
    );
  });

  // Law: it does not matter which of two nodes' files holds a packet.
  test("dealing packets out to two files", async () => {
    await fc.assert(
      fc.asyncProperty(traffic(40), fc.infiniteStream(fc.boolean()), async (records, coins) => {
        const hands: [Recorded[], Recorded[]] = [[], []];
        for (const packet of records) hands[coins.next().value ? 1 : 0].push(packet);
        expect(await full(pcap(hands[0]), pcap(hands[1], { nano: true }))).toEqual(await full(pcap(records)));
      }),
      { numRuns: 100 },
    );
  });

  // Law: seen at a second place, a capture says the same.
  test("the same capture from two nodes, microseconds apart", async () => {
    await fc.assert(
      fc.asyncProperty(traffic(40), async (records) => {
        const later = records.map((packet) => ({ ...packet, nanoseconds: packet.nanoseconds + 500 }));
        const packets = async (...files: Uint8Array[]) => (await replay(files)).lines;
        expect(await packets(pcap(records, { nano: true }), pcap(later, { nano: true }))).toEqual(await packets(pcap(records)));
      }),
      { numRuns: 60 },
    );
  });

  // Law: the seeds of the hash tables do not show.
  test("reading twice gives the same", async () => {
    await fc.assert(
      fc.asyncProperty(traffic(200), async (records) => {
        expect(await full(pcap(records))).toEqual(await full(pcap(records)));
      }),
      { numRuns: 30 },
    );
  });
});

test("more connections than the tables hold at first", async () => {
  const syn = ethernet(ip4("10.0.0.0", "11.0.0.0", tcp(40000, 80, "S")));
  const many = Array.from({ length: 60_000 }, (_, i): Recorded => {
    const frame = Buffer.from(syn);
    frame.writeUInt16BE(i % 300, 28); // the source's last bytes
    frame.writeUInt16BE(Math.floor(i / 300), 32); // the destination's
    return record(0, frame);
  });
  const { connections, table } = await replay([pcap([...many, ...many.toReversed()])]);
  expect([table.size, connections.size]).toEqual([60_000, 60_000]);
  expect(valuesOf(connections, "packets").every((count) => count === 2)).toBe(true);
});
