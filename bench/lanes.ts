import { type Lane, put16, put32 } from "./pcapWriter.ts";

/** An address on both sides of a frame: IPv4 always, IPv6 where the party has one. */
export interface Addresses {
  readonly v4: Uint8Array;
  readonly v6?: Uint8Array;
}

/** One end of a conversation as the frames show it. `port` is 0 where the protocol has none. */
export interface End extends Addresses {
  readonly port: number;
}

/** How frames are wrapped. */
export interface Wrapping {
  readonly version: 4 | 6;
  /** 802.1Q VLAN number; absent: no tag. */
  readonly vlan?: number;
  /** Node addresses that a VXLAN tunnel runs between, in the direction of the lane; absent: no tunnel. */
  readonly tunnel?: { readonly from: Uint8Array; readonly to: Uint8Array; readonly sourcePort: number };
}

export const tcp = 6;
export const udp = 17;
export const icmp = 1;
export const icmpv6 = 58;
const vxlanPort = 4789; // RFC 7348 section 5

/** The headers from `from` to `to`: Ethernet, VLAN tag, tunnel, IP, and the fixed part of TCP (20 bytes), UDP (8) or ICMP (8). */
export function makeLane(from: End, to: End, protocol: number, wrapping: Wrapping): Lane {
  const parts: Uint8Array[] = [];
  if (wrapping.tunnel !== undefined) {
    const { tunnel } = wrapping;
    parts.push(ethernet(tunnel.from, tunnel.to, 0x0800), ipv4(tunnel.from, tunnel.to, udp));
    parts.push(udpHeader(tunnel.sourcePort, vxlanPort), Uint8Array.of(8, 0, 0, 0, 0, 0, 1, 0));
  }
  const type = wrapping.version === 4 ? 0x0800 : 0x86dd;
  if (wrapping.vlan === undefined) parts.push(ethernet(from.v4, to.v4, type));
  else parts.push(ethernet(from.v4, to.v4, 0x8100), Uint8Array.of(wrapping.vlan >> 8, wrapping.vlan, type >> 8, type & 255));
  const ipOffset = parts.reduce((sum, part) => sum + part.length, 0);
  parts.push(wrapping.version === 4 ? ipv4(from.v4, to.v4, protocol) : ipv6(from.v6!, to.v6!, protocol));
  if (protocol === tcp) parts.push(tcpHeader(from.port, to.port));
  else if (protocol === udp) parts.push(udpHeader(from.port, to.port));
  else parts.push(new Uint8Array(8));
  return { headers: Buffer.concat(parts), ipOffset, version: wrapping.version, protocol, tunnelled: wrapping.tunnel !== undefined };
}

/** An ARP question (`answer` false, to everybody) or answer as a lane without any tail. */
export function makeArpLane(from: Addresses, to: Addresses, answer: boolean): Lane {
  const body = new Uint8Array(28);
  body.set([0, 1, 8, 0, 6, 4, 0, answer ? 2 : 1]);
  body.set(mac(from.v4), 8);
  body.set(from.v4, 14);
  if (answer) body.set(mac(to.v4), 18);
  body.set(to.v4, 24);
  const header = ethernet(from.v4, to.v4, 0x0806);
  if (!answer) header.fill(255, 0, 6);
  return { headers: Buffer.concat([header, body]), ipOffset: -1, version: 4, protocol: 0, tunnelled: false };
}

/** A locally administered address made from the IPv4 address, as some plugins do. */
function mac(v4: Uint8Array): Uint8Array {
  return Uint8Array.of(0x0a, 0x58, v4[0], v4[1], v4[2], v4[3]);
}

function ethernet(from: Uint8Array, to: Uint8Array, type: number): Uint8Array {
  const header = new Uint8Array(14);
  header.set(mac(to));
  header.set(mac(from), 6);
  put16(header, 12, type);
  return header;
}

function ipv4(from: Uint8Array, to: Uint8Array, protocol: number): Uint8Array {
  const header = new Uint8Array(20);
  header.set([0x45, 0, 0, 0, 0, 0, 0x40, 0, 64, protocol]);
  header.set(from, 12);
  header.set(to, 16);
  return header;
}

function ipv6(from: Uint8Array, to: Uint8Array, protocol: number): Uint8Array {
  const header = new Uint8Array(40);
  header.set([0x60, 0, 0, 0, 0, 0, protocol, 64]);
  header.set(from, 8);
  header.set(to, 24);
  return header;
}

/** The checksum is left as a card that computes it later leaves it in a capture: unfinished. */
function tcpHeader(sourcePort: number, destinationPort: number): Uint8Array {
  const header = new Uint8Array(20);
  put16(header, 0, sourcePort);
  put16(header, 2, destinationPort);
  put32(header, 14, 0x01f6fe30); // window, checksum
  return header;
}

function udpHeader(sourcePort: number, destinationPort: number): Uint8Array {
  const header = new Uint8Array(8);
  put16(header, 0, sourcePort);
  put16(header, 2, destinationPort);
  put16(header, 6, 0xfe30);
  return header;
}
