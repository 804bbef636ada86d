import { describe, expect, test } from "vitest";
import { valuesOf } from "../flow/madeConnections.ts";
import {
  ah,
  arp,
  bytes,
  conversation,
  echo,
  esp,
  ethernet,
  fragmentHeader,
  geneve,
  gre,
  icmp,
  ip4,
  ip6,
  ipip,
  nullLink,
  pcap,
  record,
  sctp,
  sll,
  sll2,
  tcp,
  timed,
  u16,
  udp,
  vlan,
  vxlan,
  zeros,
} from "./packets.ts";
import { replay } from "./replay.ts";

const A = "10.0.0.1";
const B = "10.0.0.2";
const N1 = "192.168.50.11";
const N2 = "192.168.50.12";
const syn = (options = {}) => ip4(A, B, tcp(40000, 80, "S"), options);
const syn6 = (extensions: Parameters<typeof ip6>[3] = []) => ip6("fd00::1", "fd00::2", tcp(40000, 80, "S"), extensions);
const SYN = "TCP 10.0.0.1 > 10.0.0.2:80 x1 1p unanswered";
const SYN6 = "TCP fd00::1 > fd00::2:80 x1 1p unanswered";
const tunnel = (inner: Parameters<typeof ip4>[2]) => ethernet(ip4(N1, N2, inner));
const tunnel6 = (inner: Parameters<typeof ip4>[2]) => ethernet(ip6("fd50::11", "fd50::12", inner));

/** What is seen, the link type, the frame. */
const LAYERS: [what: string, seen: string, link: number, frame: Uint8Array][] = [
  ["Ethernet", SYN, 1, ethernet(syn())],
  ["Ethernet with padding", SYN, 1, ethernet(syn(), 6)],
  ["Ethernet, IPv6", SYN6, 1, ethernet(syn6())],
  ["802.1Q", SYN, 1, ethernet(vlan(10, syn()))],
  ["802.1ad and 802.1Q", SYN, 1, ethernet(vlan(5, vlan(10, syn()), 0x88a8))],
  ["the older QinQ type", SYN6, 1, ethernet(vlan(5, vlan(10, syn6()), 0x9100))],
  ["Linux cooked", SYN, 113, sll(syn())],
  ["Linux cooked, IPv6 in a VLAN", SYN6, 113, sll(vlan(7, syn6()))],
  ["Linux cooked v2", SYN, 276, sll2(syn())],
  ["Linux cooked v2, IPv6", SYN6, 276, sll2(syn6())],
  ["NULL, little endian", SYN, 0, nullLink(syn(), 2)],
  ["NULL, big endian", SYN, 0, nullLink(syn(), 2, true)],
  ...[10, 24, 28, 30].map((family): [string, string, number, Uint8Array] => [`NULL, IPv6 as ${family}`, SYN6, 0, nullLink(syn6(), family)]),
  ["LOOP", SYN, 108, nullLink(syn(), 2, true)],
  ["RAW", SYN, 101, syn()],
  ["RAW, IPv6", SYN6, 101, syn6()],
  ["RAW as BSD numbers it", SYN, 12, syn()],
  ["RAW as OpenBSD numbers it", SYN, 14, syn()],
  ["IPV4", SYN, 228, syn()],
  ["IPV6", SYN6, 229, syn6()],
  ["IPv4 options", SYN, 1, ethernet(syn({ options: bytes(1, 1, 1, 0) }))],
  ["the longest IPv4 options", SYN, 1, ethernet(syn({ options: zeros(40) }))],
  ["IPv4 with total length 0 (segmentation offload)", SYN, 1, ethernet(syn({ totalLength: 0 }))],
  ["IPv6 hop-by-hop options", SYN6, 1, ethernet(syn6([{ type: 0 }]))],
  ["IPv6 destination options of 24 bytes", SYN6, 1, ethernet(syn6([{ type: 60, content: zeros(22) }]))],
  ["IPv6 routing header", SYN6, 1, ethernet(syn6([{ type: 43, content: zeros(22) }]))],
  ["every IPv6 extension header", SYN6, 1, ethernet(syn6([0, 60, 43, 135, 139, 140].map((type) => ({ type }))))],
  ["IPv6 atomic fragment (RFC 6946)", SYN6, 1, ethernet(syn6([fragmentHeader(7, 0, false)]))],
  ["authentication header", SYN, 1, ethernet(ip4(A, B, ah(tcp(40000, 80, "S"))))],
  ["authentication header, IPv6", SYN6, 1, ethernet(ip6("fd00::1", "fd00::2", ah(tcp(40000, 80, "S"))))],
  ["VXLAN 4789", SYN, 1, tunnel(vxlan(ethernet(syn())))],
  ["VXLAN 8472 (flannel)", SYN, 1, tunnel(vxlan(ethernet(syn()), 8472))],
  ["VXLAN over IPv6 of IPv6", SYN6, 1, tunnel6(vxlan(ethernet(syn6())))],
  ["VXLAN of a VLAN in a VLAN", SYN, 1, ethernet(vlan(3, ip4(N1, N2, vxlan(ethernet(vlan(4, syn()))))))],
  ["Geneve of a frame", SYN, 1, tunnel(geneve("ethernet", ethernet(syn())))],
  ["Geneve with options (OVN)", SYN, 1, tunnel(geneve("ethernet", ethernet(syn()), bytes(1, 2, 0x80, 1, 0, 0, 0, 5)))],
  ["Geneve of IP", SYN6, 1, tunnel(geneve(syn6()))],
  ["GRE", SYN, 1, tunnel(gre(syn()))],
  ["GRE with checksum, key and sequence number", SYN, 1, tunnel(gre(syn(), { checksum: true, key: true, sequence: true }))],
  ["GRE with key, of IPv6", SYN6, 1, tunnel(gre(syn6(), { key: true }))],
  ["GRE of a frame", SYN, 1, tunnel(gre({ type: 0x6558, bytes: ethernet(syn()) }))],
  ["IP-in-IP", SYN, 1, tunnel(ipip(syn()))],
  ["6in4", SYN6, 1, tunnel(ipip(syn6()))],
  ["IPv4 in IPv6", SYN, 1, tunnel6(ipip(syn()))],
  ["VXLAN in IP-in-IP in Geneve", SYN, 1, tunnel(geneve(ip4(N1, N2, ipip(ip4(N1, N2, vxlan(ethernet(syn())))))))],
  ["a tunnel in Linux cooked v2", SYN, 276, sll2(ip4(N1, N2, vxlan(ethernet(syn()))))],
];

describe("link layers and tunnels are looked through", () => {
  test.each(LAYERS)("%s", async (_what, seen, link, frame) => {
    const read = await replay([pcap([record(0, frame, { wire: frame.length + 100 })], { link })]);
    expect(read.lines).toEqual([seen]);
    expect(read.connections.bytes(0)).toBe(frame.length + 100);
    expect(read.warnings).toEqual([]);
  });

  test("WireGuard stays the nodes' own", async () => {
    const { lines } = await replay([pcap([record(0, tunnel(udp(51820, 51820, bytes(4, zeros(40)))))])]);
    expect(lines).toEqual([`UDP ${N1} > ${N2}:51820 x1 1p unknown ~`]);
  });

  test.each([
    ["VXLAN without its flag", vxlan(ethernet(syn())), 8],
    ["VXLAN with its last byte set", vxlan(ethernet(syn())), 15],
    ["Geneve of another version", geneve(syn()), 8],
    ["Geneve of another protocol", geneve({ type: 0x8847, bytes: syn() }), -1],
  ])("not a tunnel after all: %s", async (_what, transport, at) => {
    const spoiled = { ...transport, bytes: transport.bytes.slice() };
    if (at >= 0) spoiled.bytes[at] ^= 0xc9;
    const port = (transport.bytes[2] << 8) | transport.bytes[3];
    const { lines } = await replay([pcap([record(0, tunnel(spoiled))])]);
    expect(lines).toEqual([`UDP ${N1} > ${N2}:${port} x1 1p unknown ~`]);
  });

  test.each([
    ["GRE of something else", tunnel(gre({ type: 0x880b, bytes: bytes(0xc0, 0x21) })), `47 ${N1} > ${N2} x1 1p unknown ~`],
    ["GRE version 1 (PPTP)", tunnel({ protocol: 47, bytes: bytes(0x30, 1, u16(0x880b), zeros(12)) }), `47 ${N1} > ${N2} x1 1p unknown ~`],
    ["ESP", tunnel(esp(1)), `50 ${N1} > ${N2} x1 1p unknown ~`],
    ["a protocol without a name", tunnel({ protocol: 253, bytes: zeros(8) }), `253 ${N1} > ${N2} x1 1p unknown ~`],
  ])("a connection a pair of addresses: %s", async (_what, frame, line) => {
    expect((await replay([pcap([record(0, frame)])])).lines).toEqual([line]);
  });

  test.each([8, 9])("%i tunnels, one in the other", async (depth) => {
    let packet = syn();
    for (let i = 0; i < depth; i++) packet = ip4(N1, N2, ipip(packet));
    const { lines, skipped } = await replay([pcap([record(0, ethernet(packet))])]);
    expect(lines).toEqual(depth === 8 ? [SYN] : []);
    expect(skipped).toEqual(depth === 8 ? {} : { "tunnels nested too deep": 1 });
  });
});

describe("what is in no connection is counted with its reason", () => {
  const icmp6 = (type: number) => ethernet(ip6("fe80::1", "ff02::1", icmp(type, 0, zeros(20), 58)));
  test.each<[string, Uint8Array, string, number?]>([
    ["ARP", ethernet(arp()), "arp"],
    ["ARP in Linux cooked", sll(arp()), "arp", 113],
    ["spanning tree (802.3 length)", ethernet({ type: 0x26, bytes: zeros(38) }), "not IP"],
    ["LLDP", ethernet({ type: 0x88cc, bytes: zeros(38) }), "not IP"],
    ["NULL of another family", nullLink(syn(), 7), "not IP", 0],
    ["RAW of no IP version", bytes(0x10, zeros(40)), "not IP", 101],
    ["IGMP", ethernet(ip4(A, "224.0.0.22", { protocol: 2, bytes: zeros(8) })), "link upkeep (IGMP, MLD, neighbour discovery)"],
    ...[130, 131, 132, 133, 134, 135, 136, 137, 143].map((type): [string, Uint8Array, string] => [
      `ICMPv6 ${type}`,
      icmp6(type),
      "link upkeep (IGMP, MLD, neighbour discovery)",
    ]),
    ["router advertisement (RFC 1256)", ethernet(ip4(A, B, icmp(9, 0))), "link upkeep (IGMP, MLD, neighbour discovery)"],
    ["no next header", ethernet(ip6("fd00::1", "fd00::2", { protocol: 59, bytes: zeros(0) })), "not IP"],
    ["IPv4 header shorter than 20 bytes", ethernet(bytes(0x44, syn().subarray(1))), "malformed header"],
    ["IPv4 total length shorter than the header", ethernet(syn({ totalLength: 19 })), "malformed header"],
    ["IPv4's type with version 6", ethernet({ type: 0x0800, bytes: syn6() }), "malformed header"],
    ["IPv6's type with version 4", ethernet({ type: 0x86dd, bytes: bytes(syn(), zeros(20)) }), "malformed header"],
    ["an IPv4 header without anything", ethernet(ip4(A, B, { protocol: 6, bytes: zeros(0) })), "cut before the addresses or ports"],
  ])("%s", async (_what, frame, reason, link = 1) => {
    const { lines, skipped } = await replay([pcap([record(0, frame)], { link })]);
    expect({ lines, skipped }).toEqual({ lines: [], skipped: { [reason]: 1 } });
  });

  test("a link type that is not supported", async () => {
    const { lines, skipped, warnings } = await replay([pcap([record(0, syn()), record(1, syn())], { link: 105 })]);
    expect(lines).toEqual([]);
    expect(skipped).toEqual({ "unsupported link type": 2 });
    expect(warnings).toEqual([expect.stringContaining("link type 105 is not supported")]);
  });

  test("packets outside the time window, whose ends belong to it", async () => {
    const packets = [0, 1, 2, 3].map((at) => record(at, ethernet(ip4(A, B, udp(5000 + at, 53)))));
    const { connections, skipped } = await replay([pcap(packets)], { since: packets[1].seconds, until: packets[2].seconds });
    expect(valuesOf(connections, "count")).toEqual([2]);
    expect(skipped).toEqual({ "outside the time window": 2 });
  });
});

// Law: a frame cut anywhere throws nothing, and is a connection or a skipped packet (replay() sees to that).
describe("cut at every byte", () => {
  test.each(LAYERS)("%s", async (_what, seen, link, frame) => {
    const cuts = Array.from({ length: frame.length }, (_, length) => record(length, frame.subarray(0, length), { wire: frame.length }));
    const read = await replay([pcap(cuts, { link })]);
    expect(read.inputs[0].packets).toBe(frame.length);
    // The longest cuts have ports (and flags, of which a SYN's tell the direction): they are the whole frame's connection.
    const full = seen.split(" x1")[0];
    for (const line of read.lines) {
      if (line.startsWith(full)) continue;
      // Cut before a tunnel's header was whole: the outer packet, whose ends are the nodes.
      expect(line).toMatch(/ (192\.168\.50\.1[12] > 192\.168\.50\.1[12]|fd50::1[12] > fd50::1[12])/);
    }
    expect(read.lines.some((line) => line.startsWith(full))).toBe(true);
  });

  test.each<[string, Uint8Array]>([
    ["a conversation's answer", ethernet(conversation(B, 40000, A, 80)[4])],
    ["UDP", ethernet(ip4(A, B, udp(5000, 5001)))],
    ["SCTP", ethernet(ip4(A, B, sctp(5000, 5001, 1, zeros(16))))],
    ["ICMP echo", ethernet(ip4(A, B, echo(false, 1, 1)))],
    ["an ICMP error", ethernet(ip4(B, A, icmp(3, 3, bytes(zeros(4), syn()))))],
    ["an ICMPv6 error", ethernet(ip6("fd00::2", "fd00::1", icmp(1, 4, bytes(zeros(4), syn6()), 58)))],
  ])("%s", async (_what, frame) => {
    for (let length = 0; length < frame.length; length++) {
      await replay([pcap([record(0, frame.subarray(0, length), { wire: frame.length }), ...timed([syn()], { from: 1 })])]);
    }
  });
});
