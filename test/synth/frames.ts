import { expect } from "vitest";
import { addressFromIPv4, addressFromWords, formatAddress } from "../../src/net/address.ts";

/* An obvious reader of pcapng with Ethernet and little-endian fields, by the specifications: what the writer's tests look at. */

export interface Seen {
  readonly micros: number;
  readonly source: string;
  readonly destination: string;
  readonly protocol: number;
  /** IPv4 only. */
  readonly identification?: number;
  /** UDP only. */
  readonly checksum?: number;
  /** Above TCP, UDP or ICMP. */
  readonly payload: Buffer;
  readonly tcp?: {
    readonly sequence: number;
    readonly acknowledgement: number;
    readonly flags: string;
    readonly window: number;
    readonly scale: number;
  };
}

/** Returns the packets of a capture after checking all lengths and checksums. */
export function packetsOf(capture: Uint8Array): Seen[] {
  const bytes = Buffer.from(capture.buffer, capture.byteOffset, capture.length);
  const seen: Seen[] = [];
  for (let at = 0; at < bytes.length; at += bytes.readUInt32LE(at + 4)) {
    const length = bytes.readUInt32LE(at + 4);
    if (bytes.readUInt32LE(at + length - 4) !== length) throw new Error("the two lengths of a block differ");
    if (bytes.readUInt32LE(at) !== 6) continue;
    const frameLength = bytes.readUInt32LE(at + 20);
    if (bytes.readUInt32LE(at + 24) !== frameLength) throw new Error("a frame is cut");
    const micros = bytes.readUInt32LE(at + 12) * 2 ** 32 + bytes.readUInt32LE(at + 16);
    seen.push(packetOf(bytes.subarray(at + 28, at + 28 + frameLength), micros));
  }
  return seen;
}

function packetOf(frame: Buffer, micros: number): Seen {
  if (frame.length > 1514) throw new Error("a frame is too long");
  const isFour = frame.readUInt16BE(12) === 0x0800;
  const ip = frame.subarray(14);
  const header = isFour ? 20 : 40;
  const transport = ip.subarray(header);
  const protocol = isFour ? ip[9] : ip[6];
  const pseudo = Buffer.concat([ip.subarray(isFour ? 12 : 8, header), Buffer.from([0, protocol]), sixteen(transport.length)]);
  if (isFour) expectSum(ip.subarray(0, 20));
  if ((isFour ? ip.readUInt16BE(2) - 20 : ip.readUInt16BE(4)) !== transport.length) throw new Error("the IP length is wrong");
  expectSum(protocol === 1 ? transport : Buffer.concat([pseudo, transport]));
  const address = (from: number) =>
    formatAddress(
      isFour
        ? addressFromIPv4(ip.readUInt32BE(from))
        : addressFromWords(ip.readUInt32BE(from), ip.readUInt32BE(from + 4), ip.readUInt32BE(from + 8), ip.readUInt32BE(from + 12)),
    );
  const ends = { source: address(isFour ? 12 : 8), destination: address(isFour ? 16 : 24) };
  const common = { micros, ...ends, protocol, ...(isFour ? { identification: ip.readUInt16BE(4) } : {}) };
  if (protocol !== 6) {
    if (protocol === 17 && transport.readUInt16BE(4) !== transport.length) throw new Error("the UDP length is wrong");
    return { ...common, ...(protocol === 17 ? { checksum: transport.readUInt16BE(6) } : {}), payload: transport.subarray(8) };
  }
  const offset = (transport[12] >> 4) * 4;
  const flags = ["F", "S", "R", "P", "A"].filter((_, bit) => (transport[13] & (1 << bit)) !== 0).join("");
  const tcp = {
    sequence: transport.readUInt32BE(4),
    acknowledgement: transport.readUInt32BE(8),
    flags,
    window: transport.readUInt16BE(14),
    scale: offset > 20 ? transport[31] : 0,
  };
  return { ...common, tcp, payload: transport.subarray(offset) };
}

/** RFC 1071: all words with the checksum among them add up to ones. */
function expectSum(bytes: Buffer): void {
  let sum = 0;
  for (let i = 0; i < bytes.length; i += 2) sum += (bytes[i] << 8) | (bytes[i + 1] ?? 0);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  if (sum !== 0xffff) expect(sum, "a checksum").toBe(0xffff);
}

function sixteen(value: number): Buffer {
  return Buffer.from([value >>> 8, value & 255]);
}

/** Returns all that an address says, one after the other, as Latin-1 text. */
export function streamOf(seen: readonly Seen[], source: string): string {
  return Buffer.concat(seen.filter((each) => each.source === source).map(({ payload }) => payload)).toString("latin1");
}
