import { describe, expect, test } from "vitest";
import { readFlowLog } from "../../src/capture/logs/readFlowLog.ts";
import { readCaptures } from "../../src/capture/observation.ts";
import { connect } from "../../src/flow/connections.ts";
import { FlowTable } from "../../src/flow/flowTable.ts";
import { L7Hints } from "../../src/flow/hints.ts";
import { NameTable } from "../../src/flow/names.ts";
import { LoggedParties } from "../../src/flow/parties.ts";
import {
  BASE,
  bytes,
  conversation,
  echo,
  echo6,
  esp,
  ethernet,
  fragments4,
  fragments6,
  icmp,
  icmp6Error,
  icmpError,
  ip4,
  ip6,
  pcap,
  pcapng,
  record,
  sctp,
  sctpInit,
  sll,
  sll2,
  type TcpOptions,
  tcp,
  timed,
  udp,
  zeros,
} from "../capture/packets.ts";
import { describeConnections, epochsOf, replay, surroundings, withFiles } from "../capture/replay.ts";
import { valuesOf } from "./madeConnections.ts";

const A = "10.0.0.1";
const B = "10.0.0.2";
const C = "10.0.0.3";
const R = "10.0.0.254"; // a router
/** TCP from A's port 40000 to B's port 80, and the other way round. */
const ab = (flags: string, options?: TcpOptions) => ip4(A, B, tcp(40000, 80, flags, options));
const ba = (flags: string, options?: TcpOptions) => ip4(B, A, tcp(80, 40000, flags, options));
const seen = async (packets: readonly Uint8Array[], step = 0.001) => (await replay([pcap(timed(packets, { step }))])).lines;
const SYN = ab("S", { seq: 1000 });
const SYN_ACK = ba("SA", { seq: 9000, ack: 1001 });

describe("TCP: how an attempt ended", () => {
  test.each<[line: string, what: string, packets: Uint8Array[]]>([
    ["x1 8p established", "a whole conversation", conversation(A, 40000, B, 80)],
    ["x1 2p established", "SYN and SYN+ACK", [SYN, SYN_ACK]],
    ["x1 1p established", "SYN+ACK only: it tells both ends", [SYN_ACK]],
    ["x1 2p established", "SYN+ACK before its SYN", [SYN_ACK, SYN]],
    ["x1 3p established", "closed by RST after the answer", [SYN, SYN_ACK, ab("R")]],
    ["x1 2p refused", "RST", [SYN, ba("RA", { ack: 1001 })]],
    ["x1 4p refused", "RST at each of two SYNs", [SYN, ba("RA"), SYN, ba("RA")]],
    ["x1 1p unanswered", "nothing", [SYN]],
    ["x1 3p unanswered", "SYN retransmitted", [SYN, SYN, SYN]],
    ["x1 2p unanswered", "given up with RST by the initiator", [SYN, ab("R")]],
    ["x1 2p established", "only the initiator's half, which went on", [SYN, ab("A", { seq: 1001, ack: 9001 })]],
    ["x1 1p refused", "ICMP port unreachable", [SYN, ip4(B, A, icmpError(3, 3, SYN))]],
    ["x1 1p refused", "ICMP protocol unreachable", [SYN, ip4(B, A, icmpError(3, 2, SYN))]],
    ["x1 1p unanswered", "ICMP host unreachable", [SYN, ip4(R, A, icmpError(3, 1, SYN))]],
    ["x1 1p unanswered", "ICMP time exceeded", [SYN, ip4(R, A, icmpError(11, 0, SYN))]],
    ["x1 1p dropped", "ICMP administratively prohibited", [SYN, ip4(R, A, icmpError(3, 13, SYN))]],
    ["x1 1p dropped", "ICMP host prohibited", [SYN, ip4(R, A, icmpError(3, 10, SYN))]],
    ["x1 1p dropped", "ICMP network prohibited, quoting all of it", [SYN, ip4(R, A, icmpError(3, 9, SYN, 200))]],
    ["x1 1p unanswered", "ICMP fragmentation needed says nothing of it", [SYN, ip4(R, A, icmpError(3, 4, SYN))]],
    ["x1 2p established", "a prohibited answer does not undo an established one", [SYN, SYN_ACK, ip4(R, A, icmpError(3, 13, SYN))]],
  ])("%s: %s", async (line, _what, packets) => {
    expect(await seen(packets)).toEqual([`TCP ${A} > ${B}:80 ${line}`]);
  });

  test.each<[lines: string[], what: string, packets: Uint8Array[]]>([
    [["x1 2p established ~"], "segments both ways in mid-stream", [ab("PA"), ba("A")]],
    [["x1 1p unknown ~"], "segments one way in mid-stream", [ab("PA")]],
    [["x1 1p unknown ~"], "a RST only", [ba("R")]],
  ])("%s: %s", async (lines, _what, packets) => {
    expect(await seen(packets)).toEqual(lines.map((line) => `TCP ${A} > ${B}:80 ${line}`));
  });

  // The SYN+ACK was lost to the capture, but A's own acknowledgement proves that it came; the RST closes an open connection.
  test("established: SYN, the initiator goes on, RST by the responder", async () => {
    expect(await seen([SYN, ab("A", { seq: 1001, ack: 9001 }), ab("PA", { seq: 1001, ack: 9001, data: "x" }), ba("R")])).toEqual([
      `TCP ${A} > ${B}:80 x1 4p established`,
    ]);
  });

  test("a refused connection over IPv6, and ICMPv6 that answers for another", async () => {
    const one = ip6("fd00::1", "fd00::2", tcp(40000, 80, "S"));
    const two = ip6("fd00::1", "fd00::2", tcp(40001, 81, "S"));
    const three = ip6("fd00::1", "fd00::2", tcp(40002, 82, "S"));
    const rst = ip6("fd00::2", "fd00::1", tcp(80, 40000, "RA"));
    const error = (code: number, packet: Uint8Array) => ip6("fd00::fe", "fd00::1", icmp6Error(1, code, packet));
    expect(await seen([one, rst, two, error(4, two), three, error(1, three)])).toEqual([
      "TCP fd00::1 > fd00::2:80 x1 2p refused",
      "TCP fd00::1 > fd00::2:81 x1 1p refused",
      "TCP fd00::1 > fd00::2:82 x1 1p dropped",
    ]);
  });
});

describe("TCP: where one connection ends and the next begins", () => {
  const again = { seq: 5_000_000 };
  test.each<[line: string, what: string, packets: Uint8Array[]]>([
    ["x2 2p unanswered", "the port is used again with another sequence number", [SYN, ab("S", again)]],
    ["x2 16p established", "a whole conversation twice", [...conversation(A, 40000, B, 80), ...conversation(A, 40000, B, 80, again)]],
    ["x2 4p 1 established+1 unanswered", "answered, then not", [SYN, SYN_ACK, ab("S", again), ab("S", again)]],
    ["x2 3p 1 refused+1 unknown", "under way before the capture, then refused", [ba("A"), ab("S"), ba("RA")]],
    ["x1 2p unanswered", "both open at once (RFC 9293 section 3.5)", [SYN, ba("S", { seq: 7000 })]],
    [
      "x1 4p established",
      "both open at once and answer",
      [SYN, ba("S", { seq: 7000 }), ba("SA", { seq: 7000, ack: 1001 }), ab("SA", { seq: 1000, ack: 7001 })],
    ],
  ])("%s: %s", async (line, _what, packets) => {
    expect(await seen(packets)).toEqual([`TCP ${A} > ${B}:80 ${line}`]);
  });

  // Both SYNs are repeated with the sequence numbers that they had: still one connection.
  test.fails("both open at once, and the later SYN is retransmitted", async () => {
    const other = ba("S", { seq: 7000 });
    expect(await seen([SYN, other, SYN, other])).toEqual([`TCP ${A} > ${B}:80 x1 4p unanswered`]);
  });

  test("time that goes backwards widens the span, and splits nothing", async () => {
    const [syn, synAck, ack] = conversation(A, 40000, B, 80);
    const { lines, connections } = await replay([pcap([record(5, ethernet(synAck)), record(3, ethernet(syn)), record(4, ethernet(ack))])]);
    expect(lines).toEqual([`TCP ${A} > ${B}:80 x1 3p established`]);
    expect([connections.firstSeconds(0) - BASE, connections.lastSeconds(0) - BASE]).toEqual([3, 5]);
  });

  test("a SYN that the file holds after later segments of its own connection", async () => {
    const [syn, , ack] = conversation(A, 40000, B, 80);
    const { lines } = await replay([pcap([record(5, ethernet(ack)), record(4, ethernet(syn))])]);
    expect(lines).toEqual([`TCP ${A} > ${B}:80 x1 2p established`]);
  });

  test("segments give mid-stream connections the direction of seen ones", async () => {
    // B's port 40000 is lower than A's 50000 and more, but the SYN showed that A:50000 serves.
    const lines = await seen([ip4(B, A, tcp(41000, 50000, "S")), ip4(A, C, tcp(50000, 40000, "PA"))]);
    expect(lines).toEqual([`TCP ${B} > ${A}:50000 x1 1p unanswered`, `TCP ${C} > ${A}:50000 x1 1p unknown ~`]);
  });
});

describe("UDP: who began, in the order of semantics.md", () => {
  const from = (source: string, sourcePort: number, destination: string, port: number) => ip4(source, destination, udp(sourcePort, port));
  const serving = (...what: string[]) => ({ surroundings: surroundings({ serving: what }) });
  test("1. a port that the cluster knows, against the order of the packets and the numbers", async () => {
    const packets = timed([from(B, 9000, A, 500)]);
    expect((await replay([pcap(packets)], serving(`UDP ${B} 9000`))).lines).toEqual([`UDP ${A} > ${B}:9000 x1 1p unknown ~`]);
  });
  test("1. known on both sides tells nothing", async () => {
    const packets = timed([from(B, 9000, A, 500)]);
    expect((await replay([pcap(packets)], serving(`UDP ${B} 9000`, `UDP ${A} 500`))).lines).toEqual([
      `UDP ${B} > ${A}:500 x1 1p unknown ~`,
    ]);
  });
  test("1. known for TCP tells nothing of UDP", async () => {
    expect((await replay([pcap(timed([from(B, 9000, A, 500)]))], serving(`TCP ${B} 9000`))).lines).toEqual([
      `UDP ${B} > ${A}:500 x1 1p unknown ~`,
    ]);
  });
  test("1. knowledge goes before many ports", async () => {
    const packets = timed([1, 2, 3].map((n) => from(A, 30000 + n, B, 20000)));
    const { lines } = await replay([pcap(packets)], serving(`UDP ${A} 30001`));
    expect(lines).toEqual([`UDP ${A} > ${B}:20000 x2 2p unknown ~`, `UDP ${B} > ${A}:30001 x1 1p unknown ~`]);
  });
  test("2. one port against many of the other's", async () => {
    const packets = timed([1, 2, 3].map((n) => from(B, 20000, A, 10000 + n)));
    expect((await replay([pcap(packets)])).lines).toEqual([`UDP ${A} > ${B}:20000 x3 3p unknown ~`]);
  });
  test("2. many goes before the first packet, well after the beginning", async () => {
    const packets = timed([from(C, 1, C, 2), ...[1, 2, 3].map((n) => from(B, 20000, A, 10000 + n))], { step: 2 });
    expect((await replay([pcap(packets)])).lines[0]).toEqual(`UDP ${A} > ${B}:20000 x3 3p unknown ~`);
  });
  test("3. the first packet's sender, well after the capture began", async () => {
    const packets = [
      record(0, ethernet(from(C, 7, C, 8))),
      record(5, ethernet(from(A, 5000, B, 6000))),
      record(6, ethernet(from(B, 6000, A, 5000))),
    ];
    expect((await replay([pcap(packets)])).lines).toContain(`UDP ${A} > ${B}:6000 x1 2p established ~`);
  });
  test("4. the lower port, at the beginning", async () => {
    expect(await seen([from(A, 5000, B, 6000)])).toEqual([`UDP ${B} > ${A}:5000 x1 1p unknown ~`]);
  });
  test("4. equal ports: the first packet's sender", async () => {
    expect(await seen([from(B, 123, A, 123), from(A, 123, B, 123)])).toEqual([`UDP ${B} > ${A}:123 x1 2p established ~`]);
  });
  test("mid-stream TCP is not told by the first packet", async () => {
    const packets = [record(0, ethernet(from(C, 7, C, 8))), record(5, ethernet(ip4(A, B, tcp(5000, 6000, "PA"))))];
    expect((await replay([pcap(packets)])).lines[0]).toEqual(`TCP ${B} > ${A}:5000 x1 1p unknown ~`);
  });
  test.each<[line: string, what: string, packets: Uint8Array[]]>([
    ["x1 1p refused ~", "nobody listens", [from(A, 5000, B, 6000), ip4(B, A, icmpError(3, 3, from(A, 5000, B, 6000)))]],
    ["x1 1p dropped ~", "prohibited", [from(A, 5000, B, 6000), ip4(R, A, icmpError(3, 13, from(A, 5000, B, 6000)))]],
    ["x1 1p unanswered ~", "no way", [from(A, 5000, B, 6000), ip4(R, A, icmpError(3, 0, from(A, 5000, B, 6000)))]],
    [
      "x1 2p established ~",
      "answered, then the answer to a closed port",
      [from(A, 50000, B, 6000), from(B, 6000, A, 50000), ip4(A, B, icmpError(3, 3, from(B, 6000, A, 50000)))],
    ],
  ])("%s: %s (whoever is told so had begun)", async (line, _what, packets) => {
    expect(await seen(packets)).toEqual([`UDP ${A} > ${B}:6000 ${line}`]);
  });
});

describe("ICMP", () => {
  const one = (packet: Uint8Array) => ethernet(packet);
  test("echo: one connection an identifier, replies belong to it", async () => {
    const packets = [
      ip4(A, B, echo(false, 7, 1)),
      ip4(B, A, echo(true, 7, 1)),
      ip4(A, B, echo(false, 7, 2)),
      ip4(B, A, echo(true, 7, 2)),
      ip4(A, B, echo(false, 8, 1)),
    ];
    expect(await seen(packets)).toEqual([`ICMP ${A} > ${B}:8/0 x2 5p 1 established+1 unanswered`]);
  });
  test("echo, IPv6, and a reply only", async () => {
    const packets = [
      ip6("fd00::1", "fd00::2", echo6(false, 7, 1)),
      ip6("fd00::2", "fd00::1", echo6(true, 7, 1)),
      ip6("fd00::4", "fd00::3", echo6(true, 1, 1)),
    ];
    expect(await seen(packets)).toEqual([
      "ICMPv6 fd00::1 > fd00::2:128/0 x1 2p established",
      "ICMPv6 fd00::3 > fd00::4:128/0 x1 1p established",
    ]);
  });
  test("both ends ping each other with one identifier", async () => {
    const packets = [ip4(A, B, echo(false, 7, 1)), ip4(B, A, echo(true, 7, 1)), ip4(B, A, echo(false, 7, 1)), ip4(A, B, echo(true, 7, 1))];
    const lines = await seen(packets);
    expect(lines.join()).toContain(`ICMP ${A} > ${B}:8/0`);
  });
  test.each<[line: string, what: string, packets: Uint8Array[]]>([
    [`ICMP ${A} > ${B}:13/0 x1 2p established`, "time stamp", [ip4(A, B, icmp(13, 0, zeros(16))), ip4(B, A, icmp(14, 0, zeros(16)))]],
    [`ICMP ${A} > ${B}:40/2 x1 1p unknown ~`, "another type stands alone", [ip4(A, B, icmp(40, 2))]],
    [`ICMP ${R} > ${A}:3/1 x1 1p unknown ~`, "an error without the packet that it quotes", [ip4(R, A, icmpError(3, 1, SYN))]],
    [`ICMP ${R} > ${A}:3/1 x1 1p unknown ~`, "an error that quotes nothing", [ip4(R, A, icmp(3, 1))]],
    [
      `ICMP ${A} > ${B}:8/0 x1 1p refused`,
      "an error about an echo",
      [ip4(A, B, echo(false, 7, 1)), ip4(R, A, icmpError(3, 3, ip4(A, B, echo(false, 7, 1))))],
    ],
  ])("%s: %s", async (line, _what, packets) => {
    expect(await seen(packets)).toEqual([line]);
  });
  test("an error is no packet of the connection that it quotes, and is counted", async () => {
    const { connections, skipped } = await replay([pcap([record(0, one(SYN)), record(1, one(ip4(R, A, icmpError(3, 1, SYN))))])]);
    expect(valuesOf(connections, "packets")).toEqual([1]);
    expect(Object.values(skipped)).toEqual([1]);
  });
  test("an error that quotes an ESP packet", async () => {
    const packet = ip4(A, B, esp(1));
    expect(await seen([packet, ip4(R, A, icmpError(3, 13, packet))])).toEqual([`50 ${A} > ${B} x1 1p dropped ~`]);
  });
});

describe("SCTP and protocols without ports", () => {
  const to = (chunk: number, content?: Uint8Array, tag?: number) => ip4(A, B, sctp(5000, 36412, chunk, content, tag));
  const back = (chunk: number, content?: Uint8Array, tag?: number) => ip4(B, A, sctp(36412, 5000, chunk, content, tag));
  const [INIT, INIT_ACK, DATA, SACK, ABORT] = [1, 2, 0, 3, 6];
  test.each<[line: string, what: string, packets: Uint8Array[]]>([
    [
      "x1 4p established",
      "INIT, INIT ACK, DATA",
      [to(INIT, sctpInit(77)), back(INIT_ACK, sctpInit(88), 77), to(DATA, zeros(16), 88), back(SACK, zeros(12), 77)],
    ],
    ["x1 2p refused", "ABORT", [to(INIT, sctpInit(77)), back(ABORT, zeros(0), 77)]],
    ["x1 2p unanswered", "nothing, INIT again", [to(INIT, sctpInit(77)), to(INIT, sctpInit(77))]],
    ["x2 2p unanswered", "two associations of one tuple", [to(INIT, sctpInit(77)), to(INIT, sctpInit(78))]],
    ["x1 1p established", "INIT ACK only", [back(INIT_ACK, sctpInit(88), 77)]],
    ["x1 2p established", "INIT ACK before its INIT", [back(INIT_ACK, sctpInit(88), 77), to(INIT, sctpInit(77))]],
  ])("SCTP %s: %s", async (line, _what, packets) => {
    expect(await seen(packets)).toEqual([`SCTP ${A} > ${B}:36412 ${line}`]);
  });
  test("SCTP in mid-stream: the lower port serves", async () => {
    expect(await seen([back(DATA, zeros(16)), to(SACK, zeros(12))])).toEqual([`SCTP ${B} > ${A}:5000 x1 2p established ~`]);
  });
  test("ESP: one connection a pair, whatever the index", async () => {
    expect(await seen([ip4(A, B, esp(1)), ip4(B, A, esp(1)), ip4(A, B, esp(2)), ip4(A, C, esp(1))])).toEqual([
      `50 ${A} > ${B} x1 3p established ~`,
      `50 ${A} > ${C} x1 1p unknown ~`,
    ]);
  });
});

describe("fragments belong to their first one's connection, each a packet", () => {
  const big = udp(5000, 53, zeros(3000));
  const four = () => fragments4(A, B, big, 1480, 77);
  const six = () => fragments6("fd00::1", "fd00::2", big, 1448, 77);
  const orders = { "in order": [0, 1, 2], "first last": [2, 1, 0], "first in the middle": [1, 0, 2] };
  test.each(Object.entries(orders))("IPv4, %s", async (_order, order) => {
    expect(await seen(order.map((i) => four()[i]))).toEqual([`UDP ${A} > ${B}:53 x1 3p unknown ~`]);
  });
  test.each(Object.entries(orders))("IPv6, %s", async (_order, order) => {
    expect(await seen(order.map((i) => six()[i]))).toEqual(["UDP fd00::1 > fd00::2:53 x1 3p unknown ~"]);
  });
  test("two datagrams between the same hosts, interleaved, and their answer", async () => {
    const other = fragments4(A, B, udp(5001, 54, zeros(3000)), 1480, 78);
    const back = fragments4(B, A, udp(53, 5000, zeros(2000)), 1480, 77);
    const packets = [0, 1, 2].flatMap((i) => [four()[i], other[i], ...(i < 2 ? [back[i]] : [])]);
    expect(await seen(packets)).toEqual([`UDP ${A} > ${B}:53 x1 5p established ~`, `UDP ${A} > ${B}:54 x1 3p unknown ~`]);
  });
  test("ICMP echo and TCP", async () => {
    const ping = fragments4(A, B, icmp(8, 0, bytes(0, 7, 0, 1, zeros(3000))), 1480, 1);
    const segment = fragments4(A, B, tcp(40000, 80, "S", { data: zeros(2000) }), 1480, 2);
    expect(await seen([...ping, ...segment])).toEqual([`ICMP ${A} > ${B}:8/0 x1 3p unanswered`, `TCP ${A} > ${B}:80 x1 2p unanswered`]);
  });
  test("bytes are those of all of them", async () => {
    const { connections } = await replay([pcap(timed([four()[1], four()[0], four()[2]]))]);
    expect(connections.bytes(0)).toBe(3008 + 3 * 34);
  });
  test("orphans are counted", async () => {
    const { lines, skipped } = await replay([pcap(timed([four()[1], four()[2], six()[1]]))]);
    expect(lines).toEqual([]);
    expect(skipped).toEqual({ "fragment without its first": 3 });
  });
  test("a first fragment that comes a minute later is another datagram's (RFC 791)", async () => {
    const { lines, skipped } = await replay([pcap([record(0, ethernet(four()[1])), record(60, ethernet(four()[0]))])]);
    expect(lines).toEqual([`UDP ${A} > ${B}:53 x1 1p unknown ~`]);
    expect(skipped).toEqual({ "fragment without its first": 1 });
  });
  // The next header of a fragment header is the first header after it in all fragments (RFC 8200 section 4.5): 60 here, not 17.
  // Fragments.first files the datagram under UDP, Fragments.find looks for destination options: the later ones become orphans.
  test("IPv6 with destination options after the fragment header", async () => {
    const options = { protocol: 60, bytes: bytes(17, 0, zeros(6), big.bytes) };
    expect(await seen(fragments6("fd00::1", "fd00::2", options, 1448, 77))).toEqual(["UDP fd00::1 > fd00::2:53 x1 3p unknown ~"]);
  });
  // As above: the later fragments carry the authentication header's number, the first one is filed under TCP's.
  test("an authentication header that is cut into fragments", async () => {
    const inner = udp(5000, 53, zeros(2000)).bytes;
    const signed = { protocol: 51, bytes: bytes(17, 4, 0, 0, zeros(20), inner) };
    expect(await seen(fragments4(A, B, signed, 1480, 77))).toEqual([`UDP ${A} > ${B}:53 x1 2p unknown ~`]);
  });
  // The inner packet is counted for the outer first fragment; the outer later ones find nothing and count as orphans, though their
  // first is there. Their bytes are lost to the inner connection (or belong to the nodes' own, as VXLAN's do).
  test("IP-in-IP whose outer packet is cut into fragments has no orphans", async () => {
    const inner = ip4(A, B, udp(5000, 53, zeros(2000)));
    const { skipped } = await replay([pcap(timed(fragments4("192.168.50.11", "192.168.50.12", { protocol: 4, bytes: inner }, 1480, 77)))]);
    expect(skipped).toEqual({});
  });
  // Packets that waited for their first fragment are counted without their times.
  test.fails("the span begins with the earliest fragment, not with the first one", async () => {
    const { connections } = await replay([pcap(timed([four()[1], four()[0]], { step: 2 }))]);
    expect(connections.firstSeconds(0) - BASE).toBe(0);
  });
});

describe("one packet seen at several places counts once, a retransmission counts each time", () => {
  const on = (number: number, after: number, packet: Uint8Array) => record(after, ethernet(packet), { interface: number });
  const other = ip4(C, B, udp(1, 2));
  test("two interfaces", async () => {
    const { lines, decoder } = await replay([
      pcapng([on(1, 0, other), on(0, 1, SYN), on(1, 1.00001, SYN), on(1, 2, SYN_ACK), on(0, 2.00001, SYN_ACK)]),
    ]);
    expect(lines).toContain(`TCP ${A} > ${B}:80 x1 2p established`);
    expect(decoder.copies).toBe(2);
  });
  // Copies are looked for from the first packet of interface 1 on; what interface 0 saw before is not remembered, so that packet counts twice.
  test("two interfaces: the very first packet", async () => {
    expect((await replay([pcapng([on(0, 0, SYN), on(1, 0.00001, SYN)])])).lines).toEqual([`TCP ${A} > ${B}:80 x1 1p unanswered`]);
  });
  test("one interface: a retransmission, though the packet is the same", async () => {
    const { lines } = await replay([pcapng([on(1, 0, other), on(0, 1, SYN), on(0, 1.5, SYN)])]);
    expect(lines).toContain(`TCP ${A} > ${B}:80 x1 2p unanswered`);
  });
  test("two interfaces, both of which see the retransmission", async () => {
    const { lines } = await replay([pcapng([on(1, 0, other), on(0, 1, SYN), on(1, 1.00001, SYN), on(0, 2, SYN), on(1, 2.00001, SYN)])]);
    expect(lines).toContain(`TCP ${A} > ${B}:80 x1 2p unanswered`);
  });
  test("two files (veth and uplink), through a tunnel", async () => {
    const inner = conversation(A, 40000, B, 80);
    const outer = inner.map((packet) => ip4("192.168.50.11", "192.168.50.12", { protocol: 4, bytes: packet }));
    const { lines } = await replay([pcap(timed(inner)), pcap(timed(outer, { from: 0.00002 }))]);
    expect(lines).toEqual([`TCP ${A} > ${B}:80 x1 8p established`]);
  });
  test("two files whose packets have other times to live", async () => {
    const packet = (ttl: number) => ip4(A, B, udp(5000, 53), { id: 9, ttl });
    const { lines } = await replay([pcap(timed([packet(64)])), pcap(timed([packet(63)], { from: 0.001 }))]);
    expect(lines).toEqual([`UDP ${A} > ${B}:53 x1 1p unknown ~`]);
  });
  test.each([
    [0.001, 1],
    [0.2, 2],
  ])("LINUX_SLL without interface numbers: %d s apart", async (apart, packets) => {
    const { connections } = await replay([pcap([record(0, sll(SYN)), record(apart, sll(SYN))], { link: 113 })]);
    expect(valuesOf(connections, "packets")).toEqual([packets]);
  });
  test.each<[string, number, [number, number][]]>([
    [
      "two interfaces",
      1,
      [
        [2, 0],
        [3, 4],
      ],
    ],
    [
      "a bridge, in and out",
      1,
      [
        [2, 0],
        [2, 4],
      ],
    ],
    [
      "the same interface the same way",
      2,
      [
        [2, 0],
        [2, 0],
      ],
    ],
  ])("LINUX_SLL2: %s", async (_what, packets, places) => {
    const records = places.map(([index, type], i) => record(i * 0.3, sll2(SYN, index, type)));
    expect(valuesOf((await replay([pcap(records, { link: 276 })])).connections, "packets")).toEqual([packets]);
  });
  // Copies are looked for at several places only. A bridge (cni0) sees a routed packet twice at one: the second has one hop less, which
  // no retransmission of the same identification has within microseconds.
  test("one interface, a bridge that the packet crosses twice", async () => {
    const packet = (ttl: number) => ip4(A, B, tcp(40000, 80, "S"), { id: 9, ttl });
    expect(await seen([packet(64), packet(63)], 2e-5)).toEqual([`TCP ${A} > ${B}:80 x1 1p unanswered`]);
  });
  test("different packets of one length are no copies", async () => {
    const packets = Array.from({ length: 50 }, (_, i) => sll(ip6("fd00::1", "fd00::2", udp(5000, 53, bytes(0, i, 0, i * 3, "same")))));
    expect(
      valuesOf(
        (
          await replay([
            pcap(
              packets.map((frame, i) => record(i * 1e-4, frame)),
              { link: 113 },
            ),
          ])
        ).connections,
        "packets",
      ),
    ).toEqual([50]);
  });
});

describe("an address that changes hands", () => {
  const options = { epochs: epochsOf(B, BASE + 100) };
  test.each<[string, Uint8Array, Uint8Array]>([
    ["UDP", ip4(A, B, udp(5000, 53)), ip4(A, B, udp(5000, 53))],
    ["TCP with a retransmitted SYN", SYN, SYN],
    ["TCP in mid-stream", ab("PA"), ab("PA")],
    ["ICMP echo", ip4(A, B, echo(false, 1, 1)), ip4(A, B, echo(false, 1, 2))],
    ["ESP", ip4(A, B, esp(1)), ip4(A, B, esp(2))],
    ["SCTP", ip4(A, B, sctp(5000, 80, 1, sctpInit(5))), ip4(A, B, sctp(5000, 80, 1, sctpInit(5)))],
  ])("%s: two identities, two connections", async (_what, before, after) => {
    const packets = [record(99, ethernet(before)), record(101, ethernet(after))];
    expect((await replay([pcap(packets)], options)).lines).toHaveLength(2);
    expect((await replay([pcap(packets)])).lines).toHaveLength(1);
  });
  test("of IPv6", async () => {
    const packet = ip6("fd00::1", "fd00::2", udp(5000, 53));
    const read = await replay([pcap([record(99, ethernet(packet)), record(101, ethernet(packet))])], {
      epochs: epochsOf("fd00::2", BASE + 100),
    });
    expect(read.lines).toHaveLength(2);
  });
  test("another address does not", async () => {
    const packets = [record(99, ethernet(SYN)), record(101, ethernet(SYN))];
    expect((await replay([pcap(packets)], { epochs: epochsOf(C, BASE + 100) })).lines).toHaveLength(1);
  });
});

describe("captures and records in one observation", () => {
  // A record without a time has its row begin at 0, which findDirections takes for the beginning of the capture: every UDP tuple is
  // then "new well after", and the sender of the first packet seen (here an answer) is taken for the initiator.
  test("a record without a time does not move the capture's beginning", async () => {
    const answer = ip4(A, B, udp(53, 50000));
    await withFiles(
      [pcap(timed([answer])), Buffer.from(JSON.stringify({ srcIp: C, dstIp: B, dstPort: 80, protocol: "TCP" }))],
      async ([capture, log]) => {
        const { table, names } = { table: new FlowTable(), names: new NameTable() };
        await readCaptures([capture], table, names);
        await readFlowLog(log, { table, names, parties: new LoggedParties(), hints: new L7Hints() }, { format: "records" });
        expect(describeConnections(table, connect(table, surroundings({})))).toContain(`UDP ${B} > ${A}:53 x1 1p unknown ~`);
      },
    );
  });
});
