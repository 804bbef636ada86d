import { mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { gzipSync, zstdCompressSync } from "node:zlib";
import { describe, expect, test } from "vitest";
import { CaptureError } from "../../src/capture/captureError.ts";
import { newestRecordTime } from "../../src/capture/newest.ts";
import { expandInputs } from "../../src/capture/observation.ts";
import { formatRfc3339 } from "../../src/net/time.ts";
import { valuesOf } from "../flow/madeConnections.ts";
import { BASE, bytes, conversation, ethernet, ip4, PcapngBlocks, pcap, pcapng, record, tcp, timed, udp, zeros } from "./packets.ts";
import { fullLines, replay, replayPaths, withFiles } from "./replay.ts";

const A = "10.0.0.1";
const B = "10.0.0.2";
const talk = timed(conversation(A, 40000, B, 80), { from: 0.123456, step: 0.1 });
const TALK = `TCP ${A} > ${B}:80 x1 8p established`;
const full = async (...files: Uint8Array[]) => fullLines(await replay(files));
const resolutions = { "10^-6": 6, "10^-9": 9, "10^-3": 3, "10^-8": 8, "2^-20": 0x94, "2^-30": 0x9e, "2^-32": 0xa0, "1 s": 0 };

describe("the same packets in every form give the same connections", () => {
  const forms: [string, Uint8Array][] = [
    ["pcap, ns", pcap(talk, { nano: true })],
    ["pcap, big endian", pcap(talk, { big: true })],
    ["pcap, ns, big endian", pcap(talk, { nano: true, big: true })],
    ["pcapng", pcapng(talk)],
    ["pcapng, big endian", pcapng(talk, { big: true })],
    ["pcapng, ns", pcapng(talk, { resolution: 9 })],
    ["pcapng, ns, big endian", pcapng(talk, { resolution: 9, big: true })],
    ["gzip", gzipSync(pcap(talk))],
    ["gzip of pcapng", gzipSync(pcapng(talk))],
    [
      "gzip of two members (pigz, rotation with append)",
      bytes(gzipSync(pcap(talk.slice(0, 3))), gzipSync(pcap(talk.slice(3)).subarray(24))),
    ],
    ["zstd", zstdCompressSync(pcap(talk))],
    ["a link type with frame check bits", pcap(talk, { link: 0x14000001 })],
  ];
  test.each(forms)("%s", async (_what, file) => {
    expect(await full(file)).toEqual(await full(pcap(talk)));
  });

  // RFC 8878 section 3.1: frames may follow each other, and skippable ones (pzstd writes them) stand between. Node's decompressor ends
  // after the first frame; what follows it is lost without a word.
  test.each([
    ["zstd of two frames", bytes(zstdCompressSync(pcap(talk.slice(0, 3))), zstdCompressSync(pcap(talk.slice(3)).subarray(24)))],
    ["zstd after a skippable frame", bytes(0x50, 0x2a, 0x4d, 0x18, 4, 0, 0, 0, 1, 2, 3, 4, zstdCompressSync(pcap(talk)))],
  ])("%s", async (_what, file) => {
    expect(await full(file)).toEqual(await full(pcap(talk)));
  });

  test("pcapng with picoseconds a tick, which 64 bits hold only after an if_tsoffset", async () => {
    const [blocks, offset] = [new PcapngBlocks(), BigInt(BASE)];
    const file = bytes(
      blocks.section(),
      blocks.interface(1, { resolution: 12, offset }),
      ...talk.map((packet) => blocks.enhanced(packet, 12, offset)),
    );
    expect(await full(file)).toEqual(await full(pcap(talk)));
  });

  test.each(Object.entries(resolutions))("pcapng with %s a tick keeps what the tick holds", async (_what, resolution) => {
    const { connections } = await replay([pcapng(talk, { resolution })]);
    const first = connections.firstSeconds(0) - BASE + connections.firstNanoseconds(0) / 1e9;
    const tick = resolution & 0x80 ? 2 ** -(resolution & 0x7f) : 10 ** -resolution;
    expect(first).toBeGreaterThanOrEqual(0.123456 - 1e-9);
    expect(first).toBeLessThanOrEqual(0.123456 + tick + 1e-9);
  });

  test.each([
    ["a year back", -31_536_000n],
    ["some hours on", 7200n],
    ["most of the time", 1_600_000_000n],
  ])("pcapng with if_tsoffset %s", async (_what, offset) => {
    const blocks = new PcapngBlocks();
    const file = bytes(blocks.section(), blocks.interface(1, { offset }), ...talk.map((packet) => blocks.enhanced(packet, 6, offset)));
    expect(await full(file)).toEqual(await full(pcap(talk)));
  });

  test("nanoseconds are kept", async () => {
    const packet = { seconds: BASE, nanoseconds: 123_456_789, frame: talk[0].frame };
    for (const file of [pcap([packet], { nano: true }), pcapng([packet], { resolution: 9 })]) {
      const { connections } = await replay([file]);
      expect(formatRfc3339(connections.firstSeconds(0), connections.firstNanoseconds(0))).toBe("2023-11-14T22:13:20.123456789Z");
    }
  });

  test("microseconds past a second are carried over", async () => {
    const { connections } = await replay([pcap([{ ...talk[0], nanoseconds: 3_500_000_000 }], { nano: true })]);
    expect([connections.firstSeconds(0) - BASE, connections.firstNanoseconds(0)]).toEqual([3, 500_000_000]);
  });

  test("bytes are those on the wire, not those that were kept", async () => {
    const { connections } = await replay([pcap(talk.map((packet) => ({ ...packet, wire: 1500 })))]);
    expect(valuesOf(connections, "bytes")).toEqual([8 * 1500]);
    // A stated length on the wire that is less than what was kept is a broken writer's.
    const { connections: least } = await replay([pcap([{ ...talk[0], wire: 1 }])]);
    expect(valuesOf(least, "bytes")).toEqual([talk[0].frame.length]);
  });
});

describe("pcapng blocks", () => {
  const big = new PcapngBlocks(true);
  const little = new PcapngBlocks();
  const head = (blocks: PcapngBlocks) => bytes(blocks.section(), blocks.interface());

  test("two sections of different byte order, each with its own interfaces", async () => {
    const file = bytes(
      head(little),
      ...talk.slice(0, 4).map((packet) => little.enhanced(packet)),
      big.section(),
      big.interface(1, { resolution: 9 }),
      ...talk.slice(4).map((packet) => big.enhanced(packet, 9)),
    );
    expect(await full(file)).toEqual(await full(pcap(talk)));
  });
  test("the obsolete packet block", async () => {
    for (const blocks of [little, big]) {
      expect(await full(bytes(head(blocks), ...talk.map((packet) => blocks.legacy(packet))))).toEqual(await full(pcap(talk)));
    }
  });
  test("simple packets, cut to the snapshot length, at the time of the packet before", async () => {
    const [first, ...rest] = talk;
    const long = { ...first, frame: bytes(first.frame, zeros(100)) };
    const file = bytes(
      little.section(),
      little.interface(1, { snapLength: 60 }),
      little.enhanced(first),
      ...rest.map((packet) => little.simple(packet)),
    );
    const { lines, connections } = await replay([file]);
    expect(lines).toEqual([TALK]);
    expect(connections.lastSeconds(0)).toBe(first.seconds);
    const cut = bytes(
      little.section(),
      little.interface(1, { snapLength: 60 }),
      little.block(3, little.word(long.frame.length), long.frame.subarray(0, 60)),
    );
    expect(valuesOf((await replay([cut])).connections, "bytes")).toEqual([long.frame.length]);
  });
  // A file of simple packets has no times; 1970-01-01 is none (contract: firstSeen is null without times).
  test.fails("only simple packets: no times", async () => {
    const { connections } = await replay([bytes(head(little), little.simple(talk[0]))]);
    expect(connections.firstSeconds(0)).toBeNaN();
  });
  test("blocks of no interest are passed over: secrets, statistics, custom, unknown, in both byte orders", async () => {
    for (const blocks of [little, big]) {
      const others = [
        blocks.secrets("CLIENT_RANDOM 00 00\n"),
        blocks.statistics(0, 0n),
        blocks.block(0xbad, blocks.word(32473), "data"),
        blocks.block(0x80000042),
      ];
      const file = bytes(head(blocks), ...talk.flatMap((packet, i) => [others[i % 4], blocks.enhanced(packet)]), ...others);
      const read = await replay([file]);
      expect(fullLines(read)).toEqual(await full(pcap(talk)));
      expect(read.warnings).toEqual([]);
    }
  });
  test.each([200_000, 900_000])("an unknown block of %i bytes", async (length) => {
    const file = bytes(
      head(little),
      little.enhanced(talk[0]),
      little.block(0xbad, zeros(length)),
      ...talk.slice(1).map((packet) => little.enhanced(packet)),
    );
    const read = await replay([file]);
    expect(read.lines).toEqual([TALK]);
    expect(read.warnings).toEqual([]);
  });
  test.each([1_500_000, 5_000_000])("an unknown block of %i bytes: larger than the buffer and than any packet", async (length) => {
    const file = bytes(
      head(little),
      little.enhanced(talk[0]),
      little.block(0xbad, zeros(length)),
      ...talk.slice(1).map((packet) => little.enhanced(packet)),
    );
    const read = await replay([file]);
    expect(read.warnings).toEqual([]);
    expect(read.lines).toEqual([TALK]);
  });
  test("packets that the capturing program lost: a warning", async () => {
    const { warnings } = await replay([
      bytes(
        head(little),
        little.interface(),
        ...talk.map((packet) => little.enhanced(packet)),
        little.statistics(0, 3n),
        little.statistics(1, 4n),
      ),
    ]);
    expect(warnings).toEqual([expect.stringContaining("lost 7 packets")]);
  });
  // Interface statistics are totals since the capture began: the last one of an interface counts, not their sum.
  test("statistics that come again", async () => {
    const { warnings } = await replay([
      bytes(head(little), ...talk.map((packet) => little.enhanced(packet)), little.statistics(0, 3n), little.statistics(0, 5n)),
    ]);
    expect(warnings).toEqual([expect.stringContaining("lost 5 packets")]);
  });
  test("an interface whose link type is not supported: its packets alone are left out", async () => {
    const file = bytes(
      little.section(),
      little.interface(105),
      little.interface(1),
      little.enhanced(talk[0]),
      ...talk.map((packet) => little.enhanced({ ...packet, interface: 1 })),
    );
    const { lines, skipped, warnings } = await replay([file]);
    expect(lines).toEqual([TALK]);
    expect(skipped).toEqual({ "unsupported link type": 1 });
    expect(warnings).toEqual([expect.stringContaining("interface 0 has link type 105")]);
  });
  test.each<[string, Uint8Array, RegExp]>([
    [
      "a packet of no interface",
      bytes(little.section(), little.enhanced(talk[0])),
      /names interface 0, which the section does not describe/,
    ],
    ["an interface of the section before", bytes(head(little), little.section(), little.enhanced(talk[0])), /names interface 0/],
    [
      "a captured length beyond the block",
      bytes(head(little), little.block(6, little.word(0), zeros(8), little.word(99), little.word(99), zeros(8))),
      /does not fit/,
    ],
    ["a block length of 7", bytes(head(little), little.word(5), little.word(7), zeros(12)), /length 7 cannot be right/],
    ["lengths that differ", bytes(head(little), little.word(5), little.word(16), zeros(4), little.word(20)), /two lengths differ/],
    ["a packet block of 2 MiB", bytes(head(little), little.word(6), little.word(1 << 21), zeros(40)), /more than any packet has/],
    ["an interface description of 12 bytes", bytes(little.section(), little.block(1)), /interface description is too short/],
    ["a packet block of 16 bytes", bytes(head(little), little.block(6, zeros(4))), /packet block is too short/],
    ["an unknown version", bytes(head(little), little.block(0x0a0d0d0a, little.word(0x1a2b3c4d), little.half(9), zeros(10))), /version 9/],
    ["a wrong byte-order mark", bytes(little.block(0x0a0d0d0a, zeros(16))), /byte-order mark/],
  ])("damage is a warning that says where: %s", async (_what, file, message) => {
    const { warnings, lines } = await replay([file]);
    expect(lines).toEqual([]);
    expect(warnings).toEqual([expect.stringMatching(message)]);
    expect(warnings[0]).toMatch(/^block \d+ at byte \d+ \(after packet 0\)/);
  });
});

describe("damage and cuts: a warning, and what came before", () => {
  test("a pcap cut at every byte", async () => {
    const file = pcap(talk.slice(0, 3));
    for (let length = 24; length < file.length; length++) {
      const { inputs, warnings } = await replay([file.subarray(0, length)]);
      const whole = Math.floor((length - 24) / (16 + 54)); // three frames of 54 bytes
      expect(inputs[0].packets).toBe(whole);
      expect(warnings).toHaveLength((length - 24) % 70 === 0 ? 0 : 1);
    }
  });
  test("a pcapng cut at every byte", async () => {
    const file = pcapng(talk.slice(0, 2));
    for (let length = 4; length < file.length; length++) {
      const { inputs } = await replay([file.subarray(0, length)]);
      expect(inputs[0].packets).toBeLessThanOrEqual(2);
    }
  });
  test("a pcap header that is not whole", async () => {
    const { warnings } = await replay([pcap([]).subarray(0, 20)]);
    expect(warnings).toEqual([expect.stringContaining("ends inside its header (20 of 24 bytes)")]);
  });
  test("a stated length beyond any capture", async () => {
    const { lines, warnings } = await replay([bytes(pcap(talk), zeros(8), 0xff, 0xff, 0xff, 0x7f, zeros(100))]);
    expect(lines).toEqual([TALK]);
    expect(warnings).toEqual([expect.stringContaining("packet 9 at byte")]);
  });
  test("the largest record that libpcap writes", async () => {
    const packets = [record(0, bytes(talk[0].frame, zeros(262144 - talk[0].frame.length))), ...talk.slice(1)];
    expect((await replay([pcap(packets)])).lines).toEqual([TALK]);
    expect((await replay([pcapng(packets)])).lines).toEqual([TALK]);
  });
  const random = Array.from({ length: 4000 }, (_, i) =>
    record(i * 0.001, ethernet(ip4(A, B, udp(1024 + i, 53, Buffer.from(String(Math.sin(i)).repeat(20)))))),
  );
  const plain = pcap(random);
  test.each([
    ["gzip", gzipSync(plain)],
    ["zstd", zstdCompressSync(plain)],
  ])("%s cut anywhere: one warning, and nearly all that was unpacked is read", async (_what, packed) => {
    for (const part of [0.999, 0.9, 0.5, 0.25]) {
      const { inputs, warnings } = await replay([packed.subarray(0, Math.floor(packed.length * part))]);
      expect(warnings).toEqual([expect.stringMatching(/damaged|ends inside/)]);
      // At least what the decompressor gave before the cut, less its last block of 128 KiB.
      expect(inputs[0].packets).toBeGreaterThan(4000 * part - 1200);
      expect(inputs[0].packets).toBeLessThan(4000);
    }
  });
  test("gzip without its trailer: everything is read, with a warning", async () => {
    const { inputs, warnings } = await replay([gzipSync(plain).subarray(0, -8)]);
    expect(inputs[0].packets).toBe(4000);
    expect(warnings).toEqual([expect.stringContaining("compressed data is damaged")]);
  });
  test("gzip with a wrong check sum", async () => {
    const file = gzipSync(plain);
    file[file.length - 5] ^= 1;
    const { warnings } = await replay([file]);
    expect(warnings).toEqual([expect.stringContaining("compressed data is damaged")]);
  });
  // A frame cut between two of its blocks, where the text so far ends at a record's end: nothing but the compressed stream shows the cut.
  test("zstd cut in a frame whose records so far are whole", async () => {
    const file = zstdCompressSync(pcap(talk));
    const { warnings } = await replay([file.subarray(0, file.length - 1)]).catch((error: unknown) => ({ warnings: [String(error)] }));
    expect(warnings).toHaveLength(1);
  });
  test.each<[string, Uint8Array, string, RegExp]>([
    ["nothing", zeros(0), "empty", /empty/],
    ["JSON", bytes('{"kind":"List","apiVersion":"v1"}'), "not-a-capture", /JSON/],
    ["text", bytes("hello, I am no capture at all"), "not-a-capture", /begins with 68 65/],
    ["gzip of text", gzipSync("hello, I am no capture at all"), "not-a-capture", /begins with 68 65/],
    ["gzip that is none", bytes(0x1f, 0x8b, zeros(30)), "unreadable", /compressed data is damaged/],
    ["one byte", bytes(0xd4), "not-a-capture", /begins with d4/],
  ])("refused as a whole: %s", async (_what, file, code, message) => {
    const error = await replay([file]).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(CaptureError);
    expect((error as CaptureError).code).toBe(code);
    expect((error as CaptureError).message).toMatch(message);
  });
  test.each(["/nonexistent/file.pcap", "/"])("refused: %s", async (path) => {
    await expect(replayPaths([path])).rejects.toThrow(CaptureError);
  });
});

describe("several files are one observation", () => {
  test("rotated files, in any order of names, one of them empty", async () => {
    const files = [pcap(talk.slice(5)), pcap([]), pcap(talk.slice(0, 2), { nano: true }), gzipSync(pcapng(talk.slice(2, 5)))];
    expect(await full(...files)).toEqual(await full(pcap(talk)));
  });
  test("files of the same time, one a node, packet by packet in turn", async () => {
    const even = talk.filter((_, i) => i % 2 === 0);
    const odd = talk.filter((_, i) => i % 2 === 1);
    expect(await full(pcap(even), pcapng(odd))).toEqual(await full(pcap(talk)));
  });
  test("a file that is damaged does not stop the others, and inputs keep the order in which they were given", async () => {
    const { inputs, lines } = await replay([pcap(talk.slice(4)), bytes(pcap(talk.slice(0, 4)), 1, 2, 3)]);
    expect(lines).toEqual([TALK]);
    expect(inputs.map(({ packets, warnings }) => [packets, warnings.length])).toEqual([
      [4, 0],
      [4, 1],
    ]);
  });
  test("sixty files", async () => {
    const packets = Array.from({ length: 600 }, (_, i) => record(i * 0.01, ethernet(ip4(A, B, udp(2000 + i, 53)))));
    const files = Array.from({ length: 60 }, (_, i) => pcap(packets.filter((_packet, j) => j % 60 === i || j % 60 === 60)));
    const { connections } = await replay(files);
    expect(valuesOf(connections, "count")).toEqual([600]);
  });
  test("a directory stands for its files, sorted, without hidden ones", async () => {
    await withFiles([pcap(talk.slice(0, 4)), pcap(talk.slice(4))], async ([path]) => {
      const folder = dirname(path);
      writeFileSync(join(folder, ".hidden"), "no capture");
      mkdirSync(join(folder, "empty"));
      const paths = expandInputs([folder], "captures");
      expect(paths.map((file) => file.slice(folder.length))).toEqual(["/capture-0000", "/capture-0001"]);
      expect((await replayPaths(paths)).lines).toEqual([TALK]);
      expect(() => expandInputs([join(folder, "empty")], "captures")).toThrow(/no captures in this directory/);
      expect(() => expandInputs([join(folder, "gone")], "captures")).toThrow(CaptureError);
    });
  });
  test("the newest record's time", async () => {
    await withFiles([pcap(talk), pcap([record(9, talk[0].frame), record(7, talk[0].frame)])], async (paths) => {
      expect(await newestRecordTime(paths, [])).toBe(BASE + 9);
    });
  });
  // The same segment on both sides of the rotation: a retransmission, as it is within one file (seenTwice.ts: at the same place it
  // counts). Files that follow each other are the same place; only files of the same time can hold copies.
  test.fails("a retransmission within a second of the first, across two rotated files", async () => {
    const syn = ip4(A, B, tcp(40000, 80, "S"));
    const packets = timed([syn, syn], { step: 0.9 });
    expect(await full(pcap(packets.slice(0, 1)), pcap(packets.slice(1)))).toEqual(await full(pcap(packets)));
  });
});
