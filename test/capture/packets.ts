import { UDP as UDP_PROTOCOL } from "../../src/net/protocol.ts";

/*
 * Builds frames and capture files byte by byte, from the specifications and without the program's own code. A layer is a function
 * of what it carries: `ethernet(vlan(10, ip4("10.0.0.1", "10.0.0.2", tcp(40000, 80, "S"))))`.
 */

type Part = number | readonly number[] | Uint8Array | string;

/** Joins bytes: a number is one byte, a text its Latin-1 characters. */
export function bytes(...parts: readonly Part[]): Uint8Array {
  return new Uint8Array(
    Buffer.concat(parts.map((part) => (typeof part === "number" ? Buffer.from([part]) : Buffer.from(part as string, "latin1")))),
  );
}

export const u16 = (value: number): number[] => [(value >>> 8) & 255, value & 255];
export const u32 = (value: number): number[] => [(value >>> 24) & 255, (value >>> 16) & 255, (value >>> 8) & 255, value & 255];
export const zeros = (length: number): Uint8Array => new Uint8Array(length);

/** What a link layer or a tag carries. */
export interface Network {
  readonly type: number;
  readonly bytes: Uint8Array;
}

/** What an IP header carries. */
export interface Transport {
  readonly protocol: number;
  readonly bytes: Uint8Array;
}

/** An IP packet goes anywhere that a network payload goes. */
export type Carried = Uint8Array | Network;

function network(carried: Carried): Network {
  if (!(carried instanceof Uint8Array)) return carried;
  return { type: carried[0] >> 4 === 6 ? 0x86dd : 0x0800, bytes: carried };
}

const MAC_A = [2, 0, 0, 0, 0, 1];
const MAC_B = [2, 0, 0, 0, 0, 2];

// Link layers.
export function ethernet(carried: Carried, padding = 0): Uint8Array {
  const { type, bytes: inner } = network(carried);
  return bytes(MAC_B, MAC_A, u16(type), inner, zeros(padding));
}
export function sll(carried: Carried, packetType = 0): Uint8Array {
  const { type, bytes: inner } = network(carried);
  return bytes(u16(packetType), u16(1), u16(6), MAC_A, 0, 0, u16(type), inner);
}
export function sll2(carried: Carried, interfaceIndex = 1, packetType = 0): Uint8Array {
  const { type, bytes: inner } = network(carried);
  return bytes(u16(type), 0, 0, u32(interfaceIndex), u16(1), packetType, 6, MAC_A, 0, 0, inner);
}
/** BSD loopback: the address family is in the capturing host's byte order (NULL) or the network's (LOOP, big). */
export function nullLink(packet: Uint8Array, family: number, big = false): Uint8Array {
  return bytes(big ? u32(family) : u32(family).reverse(), packet);
}

// Between link and network.
export function vlan(id: number, carried: Carried, tagType = 0x8100): Network {
  const { type, bytes: inner } = network(carried);
  return { type: tagType, bytes: bytes(u16(id), u16(type), inner) };
}
export function arp(): Network {
  return { type: 0x0806, bytes: bytes(u16(1), u16(0x0800), 6, 4, u16(1), MAC_A, [10, 0, 0, 1], zeros(6), [10, 0, 0, 2]) };
}

// Network layers.
export const ip4Bytes = (address: string): number[] => address.split(".").map(Number);
export function ip6Bytes(address: string): number[] {
  const [head, tail] = address.split("::").map((half) => (half === "" ? [] : half.split(":").map((part) => Number.parseInt(part, 16))));
  const groups = tail === undefined ? head : [...head, ...new Array(8 - head.length - tail.length).fill(0), ...tail];
  return groups.flatMap(u16);
}

export interface Ip4Options {
  readonly id?: number;
  /** In bytes, a multiple of 8. */
  readonly fragmentOffset?: number;
  readonly moreFragments?: boolean;
  /** A multiple of 4 bytes. */
  readonly options?: Uint8Array;
  readonly totalLength?: number;
  readonly ttl?: number;
}
let nextId = 1;
export function ip4(source: string, destination: string, transport: Transport, options: Ip4Options = {}): Uint8Array {
  const extra = options.options ?? zeros(0);
  const headerLength = 20 + extra.length;
  const fragment = ((options.fragmentOffset ?? 0) >> 3) | (options.moreFragments ? 0x2000 : 0);
  // Each packet its own identification, as Linux does: what tells a repeat from a copy.
  nextId = (nextId + 1) & 0xffff;
  return bytes(
    0x40 | (headerLength >> 2),
    0,
    u16(options.totalLength ?? headerLength + transport.bytes.length),
    u16(options.id ?? nextId),
    u16(fragment),
    options.ttl ?? 64,
    transport.protocol,
    u16(0),
    ip4Bytes(source),
    ip4Bytes(destination),
    extra,
    transport.bytes,
  );
}

/** An IPv6 extension header of `type`; `content` is padded to a multiple of 8 bytes with its two bytes of head. */
export interface Extension {
  readonly type: number;
  readonly content?: Uint8Array;
}
export function ip6(source: string, destination: string, transport: Transport, extensions: readonly Extension[] = []): Uint8Array {
  const chain = extensions.map(({ content = zeros(6) }, i) => {
    const next = extensions[i + 1]?.type ?? transport.protocol;
    // The fragment header's second byte is reserved, not a length.
    return extensions[i].type === 44 ? bytes(next, 0, content) : bytes(next, ((content.length + 2) >> 3) - 1, content);
  });
  const payload = bytes(...chain, transport.bytes);
  return bytes(
    0x60,
    0,
    0,
    0,
    u16(payload.length),
    extensions[0]?.type ?? transport.protocol,
    64,
    ip6Bytes(source),
    ip6Bytes(destination),
    payload,
  );
}
export const fragmentHeader = (id: number, offset: number, more: boolean): Extension => ({
  type: 44,
  content: bytes(u16(offset | (more ? 1 : 0)), u32(id)),
});

/** Splits what IPv4 carries into fragments of `size` bytes (a multiple of 8). */
export function fragments4(
  source: string,
  destination: string,
  { protocol, bytes: all }: Transport,
  size: number,
  id: number,
): Uint8Array[] {
  const parts: Uint8Array[] = [];
  for (let at = 0; at < all.length; at += size) {
    const options = { id, fragmentOffset: at, moreFragments: at + size < all.length };
    parts.push(ip4(source, destination, { protocol, bytes: all.subarray(at, at + size) }, options));
  }
  return parts;
}
export function fragments6(
  source: string,
  destination: string,
  { protocol, bytes: all }: Transport,
  size: number,
  id: number,
): Uint8Array[] {
  const parts: Uint8Array[] = [];
  for (let at = 0; at < all.length; at += size) {
    const part = { protocol, bytes: all.subarray(at, at + size) };
    parts.push(ip6(source, destination, part, [fragmentHeader(id, at, at + size < all.length)]));
  }
  return parts;
}

// Transport layers.
const TCP_FLAGS: Record<string, number> = { F: 1, S: 2, R: 4, P: 8, A: 16, U: 32 };
export interface TcpOptions {
  readonly seq?: number;
  readonly ack?: number;
  readonly data?: Uint8Array | string;
  readonly options?: Uint8Array;
}
/** Flags by their initials, as tcpdump writes them: `S`, `SA`, `PA`, `F`, `R`. */
export function tcp(
  source: number,
  destination: number,
  flags: string,
  { seq = 1000, ack = 0, data = "", options = zeros(0) }: TcpOptions = {},
): Transport {
  const bits = [...flags].reduce((sum, flag) => sum | TCP_FLAGS[flag], 0);
  const offset = ((20 + options.length) >> 2) << 4;
  return {
    protocol: 6,
    bytes: bytes(u16(source), u16(destination), u32(seq), u32(ack), offset, bits, u16(65000), u16(0), u16(0), options, data),
  };
}
export function udp(source: number, destination: number, data: Uint8Array | string = "hello"): Transport {
  const content = bytes(data);
  return { protocol: UDP_PROTOCOL, bytes: bytes(u16(source), u16(destination), u16(8 + content.length), u16(0), content) };
}
/** SCTP with one chunk; `tag` is the common header's verification tag. */
export function sctp(source: number, destination: number, chunk: number, content: Uint8Array = zeros(0), tag = 0): Transport {
  return { protocol: 132, bytes: bytes(u16(source), u16(destination), u32(tag), u32(0), chunk, 0, u16(4 + content.length), content) };
}
/** INIT and INIT ACK: initiate tag, window, streams, first TSN. */
export const sctpInit = (tag: number): Uint8Array => bytes(u32(tag), u32(65536), u16(10), u16(10), u32(1));
export function icmp(type: number, code: number, rest: Uint8Array = zeros(4), protocol = 1): Transport {
  return { protocol, bytes: bytes(type, code, u16(0), rest) };
}
export const echo = (reply: boolean, id: number, sequence: number): Transport =>
  icmp(reply ? 0 : 8, 0, bytes(u16(id), u16(sequence), "pingdata"));
export const echo6 = (reply: boolean, id: number, sequence: number): Transport =>
  icmp(reply ? 129 : 128, 0, bytes(u16(id), u16(sequence), "pingdata"), 58);
/** An ICMP error quotes the packet's header and the first 8 bytes after it (RFC 792), or all of it. */
export const icmpError = (type: number, code: number, quoted: Uint8Array, most = 28): Transport =>
  icmp(type, code, bytes(zeros(4), quoted.subarray(0, most)));
export const icmp6Error = (type: number, code: number, quoted: Uint8Array): Transport => icmp(type, code, bytes(zeros(4), quoted), 58);

// Tunnels.
export const vxlan = (frame: Uint8Array, port = 4789, vni = 1): Transport => udp(55555, port, bytes(8, 0, 0, 0, u32(vni << 8), frame));
export function geneve(carried: Carried | "ethernet", frame?: Uint8Array, options = zeros(0)): Transport {
  const inner = carried === "ethernet" ? { type: 0x6558, bytes: frame! } : network(carried);
  return udp(55555, 6081, bytes(options.length >> 2, 0, u16(inner.type), u32(42 << 8), options, inner.bytes));
}
/** GRE of an IP packet or (type 0x6558) a frame; flags: checksum, key and sequence number. */
export function gre(carried: Carried, { checksum = false, key = false, sequence = false } = {}): Transport {
  const { type, bytes: inner } = network(carried);
  const flags = (checksum ? 0x80 : 0) | (key ? 0x20 : 0) | (sequence ? 0x10 : 0);
  const words = [checksum, key, sequence].filter(Boolean).length;
  return { protocol: 47, bytes: bytes(flags, 0, u16(type), zeros(words * 4), inner) };
}
export const ipip = (packet: Uint8Array): Transport => ({ protocol: packet[0] >> 4 === 6 ? 41 : 4, bytes: packet });
export const ah = ({ protocol, bytes: inner }: Transport): Transport => ({
  protocol: 51,
  bytes: bytes(protocol, 4, 0, 0, u32(7), u32(1), zeros(12), inner),
});
export const esp = (sequence: number): Transport => ({ protocol: 50, bytes: bytes(u32(0x1234), u32(sequence), zeros(32)) });

// Capture files.
/** A packet record: when, and what. */
export interface Recorded {
  readonly seconds: number;
  readonly nanoseconds: number;
  readonly frame: Uint8Array;
  /** Length on the wire where it is more than the frame that was kept. */
  readonly wire?: number;
  /** pcapng: which interface. */
  readonly interface?: number;
}
/** The tests' noon: 2023-11-14T22:13:20Z. */
export const BASE = 1_700_000_000;
/** A record `after` seconds (to the microsecond) after the tests' noon. */
export function record(after: number, frame: Uint8Array, more: Partial<Recorded> = {}): Recorded {
  const microseconds = Math.round(after * 1e6);
  const seconds = Math.floor(microseconds / 1e6);
  return { seconds: BASE + seconds, nanoseconds: (microseconds - seconds * 1e6) * 1000, frame, ...more };
}

export interface PcapOptions {
  readonly link?: number;
  readonly nano?: boolean;
  readonly big?: boolean;
}
export function pcap(records: readonly Recorded[], { link = 1, nano = false, big = false }: PcapOptions = {}): Uint8Array {
  const word = (value: number) => (big ? u32(value) : u32(value).reverse());
  const half = (value: number) => (big ? u16(value) : u16(value).reverse());
  const head = bytes(word(nano ? 0xa1b23c4d : 0xa1b2c3d4), half(2), half(4), word(0), word(0), word(262144), word(link));
  const rows = records.map(({ seconds, nanoseconds, frame, wire }) =>
    bytes(word(seconds), word(nano ? nanoseconds : Math.floor(nanoseconds / 1000)), word(frame.length), word(wire ?? frame.length), frame),
  );
  // Concatenated by itself: a call takes no hundred thousand arguments.
  return bytes(head, new Uint8Array(Buffer.concat(rows)));
}

/** pcapng blocks in one byte order (draft-ietf-opsawg-pcapng section 4). */
export class PcapngBlocks {
  readonly #big: boolean;
  constructor(big = false) {
    this.#big = big;
  }
  word(value: number): number[] {
    return this.#big ? u32(value) : u32(value).reverse();
  }
  half(value: number): number[] {
    return this.#big ? u16(value) : u16(value).reverse();
  }
  long(value: bigint): number[] {
    const [high, low] = [Number((value >> 32n) & 0xffffffffn), Number(value & 0xffffffffn)];
    return this.#big ? [...u32(high), ...u32(low)] : [...this.word(low), ...this.word(high)];
  }
  block(type: number, ...content: readonly Part[]): Uint8Array {
    const body = pad(bytes(...content));
    const length = this.word(12 + body.length);
    return bytes(this.word(type), length, body, length);
  }
  option(code: number, value: Uint8Array | readonly number[]): Uint8Array {
    return bytes(this.half(code), this.half(value.length), pad(bytes(value)));
  }
  section(length = -1n): Uint8Array {
    return this.block(0x0a0d0d0a, this.word(0x1a2b3c4d), this.half(1), this.half(0), this.long(length & 0xffffffffffffffffn));
  }
  interface(
    link = 1,
    { resolution, offset, snapLength = 0 }: { resolution?: number; offset?: bigint; snapLength?: number } = {},
  ): Uint8Array {
    const options: Uint8Array[] = [this.option(2, bytes("eth0"))];
    if (resolution !== undefined) options.push(this.option(9, [resolution]));
    if (offset !== undefined) options.push(this.option(14, this.long(offset)));
    return this.block(1, this.half(link), this.half(0), this.word(snapLength), ...options, this.word(0));
  }
  /** Ticks of a time at a resolution: decimal 10^-n, or binary 2^-n where the top bit is set. */
  ticks({ seconds, nanoseconds }: Recorded, resolution = 6, offset = 0n): number[] {
    const perSecond = resolution & 0x80 ? 1n << BigInt(resolution & 0x7f) : 10n ** BigInt(resolution);
    const ticks = (BigInt(seconds) - offset) * perSecond + (BigInt(nanoseconds) * perSecond + 999_999_999n) / 1_000_000_000n;
    return [...this.word(Number(ticks >> 32n)), ...this.word(Number(ticks & 0xffffffffn))];
  }
  enhanced(packet: Recorded, resolution = 6, offset = 0n): Uint8Array {
    const { frame, wire = frame.length } = packet;
    const options = bytes(this.option(1, bytes("a comment")), this.word(0));
    return this.block(
      6,
      this.word(packet.interface ?? 0),
      this.ticks(packet, resolution, offset),
      this.word(frame.length),
      this.word(wire),
      pad(frame),
      options,
    );
  }
  simple({ frame, wire = frame.length }: Recorded): Uint8Array {
    return this.block(3, this.word(wire), frame);
  }
  /** The obsolete packet block. */
  legacy(packet: Recorded): Uint8Array {
    const { frame, wire = frame.length } = packet;
    return this.block(
      2,
      this.half(packet.interface ?? 0),
      this.half(0xffff),
      this.ticks(packet),
      this.word(frame.length),
      this.word(wire),
      frame,
    );
  }
  names(entries: readonly (readonly [address: string, ...names: string[]])[]): Uint8Array {
    const rows = entries.map(([address, ...names]) => {
      const value = bytes(address.includes(":") ? ip6Bytes(address) : ip4Bytes(address), ...names.map((name) => `${name}\0`));
      return bytes(this.half(address.includes(":") ? 2 : 1), this.half(value.length), pad(value));
    });
    return this.block(4, ...rows, this.word(0));
  }
  /** Interface statistics with the packets dropped by the interface. */
  statistics(number: number, dropped: bigint): Uint8Array {
    return this.block(
      5,
      this.word(number),
      this.word(0),
      this.word(0),
      this.option(4, this.long(99n)),
      this.option(5, this.long(dropped)),
      this.word(0),
    );
  }
  secrets(text: string): Uint8Array {
    return this.block(10, this.word(0x544c534b), this.word(text.length), text);
  }
}

function pad(content: Uint8Array): Uint8Array {
  return bytes(content, zeros(-content.length & 3));
}

/** A pcapng file of one section with as many Ethernet interfaces as the records name. */
export function pcapng(records: readonly Recorded[], { big = false, resolution = 6, link = 1 } = {}): Uint8Array {
  const blocks = new PcapngBlocks(big);
  const interfaces = 1 + Math.max(0, ...records.map((packet) => packet.interface ?? 0));
  return bytes(
    blocks.section(),
    ...Array.from({ length: interfaces }, () => blocks.interface(link, { resolution })),
    ...records.map((packet) => blocks.enhanced(packet, resolution)),
  );
}

// Whole conversations, as lists of IP packets.
/** A TCP connection over IPv4: handshake, one request, one answer, both ends closing: 8 packets. */
export function conversation(
  client: string,
  clientPort: number,
  server: string,
  port: number,
  { seq = 1000, data = "x" as Uint8Array | string } = {},
): Uint8Array[] {
  const to = (flags: string, more: TcpOptions) => ip4(client, server, tcp(clientPort, port, flags, more));
  const from = (flags: string, more: TcpOptions) => ip4(server, client, tcp(port, clientPort, flags, more));
  const length = bytes(data).length;
  return [
    to("S", { seq }),
    from("SA", { seq: 9000, ack: seq + 1 }),
    to("A", { seq: seq + 1, ack: 9001 }),
    to("PA", { seq: seq + 1, ack: 9001, data }),
    from("PA", { seq: 9001, ack: seq + 1 + length, data: "answer" }),
    to("FA", { seq: seq + 1 + length, ack: 9007 }),
    from("FA", { seq: 9007, ack: seq + 2 + length }),
    to("A", { seq: seq + 2 + length, ack: 9008 }),
  ];
}

/** Records of Ethernet frames of IP packets, `step` seconds apart. */
export function timed(
  packets: readonly Uint8Array[],
  { from = 0, step = 0.001, link = ethernet as (packet: Uint8Array) => Uint8Array } = {},
): Recorded[] {
  return packets.map((packet, i) => record(from + i * step, link(packet)));
}
