import type { AddressWords } from "../../net/address.ts";
import { ICMP, ICMPV6 } from "../../net/protocol.ts";
import { ETHERNET, ipHeaderBytes } from "./pacing.ts";

/** A chunk is handed on when it has so many bytes. */
const CHUNK = 1 << 20;
/** More than a block with the longest frame. */
const LONGEST_BLOCK = 1 << 11;

/** Block types and options (draft-ietf-opsawg-pcapng sections 4 and 3.5). */
const SECTION_HEADER = 0x0a0d0d0a;
const BYTE_ORDER_MAGIC = 0x1a2b3c4d;
const INTERFACE_DESCRIPTION = 1;
const ENHANCED_PACKET = 6;
const APPLICATION = 4; // shb_userappl
const INTERFACE_NAME = 2; // if_name
const TIME_RESOLUTION = 9; // if_tsresol
const MICROSECONDS = "\x06";
const LINK_ETHERNET = 1;
const SNAP_LENGTH = 262_144;
/** Of an enhanced packet block: what stands before the frame, and with it what stands behind. */
const BLOCK_HEAD = 28;
const BLOCK_FRAME = 32;

const ETHERTYPE_IPV4 = 0x0800;
const ETHERTYPE_IPV6 = 0x86dd;
const DO_NOT_FRAGMENT = 0x4000;
const HOPS = 64;

/** One direction between two ends: the headers that its packets share, and how many there were. */
export interface Lane {
  /** Ethernet and IP header with lengths, identification and checksum 0. */
  readonly headers: Uint8Array;
  readonly isFour: boolean;
  /** IPv4: identification of the next packet, 16 bits. */
  identification: number;
}

/** Returns the lane from one address to another. `entropy`: 32 random bits for identification and flow label. */
export function laneOf(from: AddressWords, to: AddressWords, isFour: boolean, protocol: number, entropy: number): Lane {
  // Without a DataView: one would move this small array out of the heap, which takes longer than all the rest.
  const headers = new Uint8Array(ETHERNET + ipHeaderBytes(isFour));
  putHardwareAddress(headers, 0, to, isFour);
  putHardwareAddress(headers, 6, from, isFour);
  if (isFour) {
    put16(headers, 12, ETHERTYPE_IPV4);
    headers[14] = 0x45; // version 4, five words of header
    put16(headers, 20, DO_NOT_FRAGMENT);
    headers[22] = HOPS;
    headers[23] = protocol;
    put32(headers, 26, from[3]);
    put32(headers, 30, to[3]);
  } else {
    put16(headers, 12, ETHERTYPE_IPV6);
    put32(headers, 14, 0x60000000 | (entropy >>> 12)); // version and a flow label of 20 bits (RFC 6437)
    headers[20] = protocol;
    headers[21] = HOPS;
    for (let i = 0; i < 4; i++) {
      put32(headers, 22 + 4 * i, from[i]);
      put32(headers, 38 + 4 * i, to[i]);
    }
  }
  return { headers, isFour, identification: entropy & 0xffff };
}

/** Locally administered, as network plugins make them: 0a:58 and the IPv4 address, or a hash of the words of an IPv6 address. */
function putHardwareAddress(bytes: Uint8Array, at: number, words: AddressWords, isFour: boolean): void {
  put16(bytes, at, 0x0a58);
  put32(bytes, at + 2, isFour ? words[3] : words.reduce((hash, word) => Math.imul(hash, 0x01000193) ^ word, 0));
}

/** Network order. */
function put16(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value >>> 8;
  bytes[at + 1] = value;
}

/** Network order. */
function put32(bytes: Uint8Array, at: number, value: number): void {
  put16(bytes, at, value >>> 16);
  put16(bytes, at + 2, value);
}

/** Writes packets as blocks of a little-endian pcapng file into one buffer, which is handed on whenever a chunk is full. */
export class Frames {
  readonly bytes = new Uint8Array(CHUNK + LONGEST_BLOCK);
  /** Numbers in packets are in network order, those of the file's own fields little-endian. */
  readonly fields = new DataView(this.bytes.buffer);
  packets = 0;
  readonly #words = new Uint16Array(this.bytes.buffer);
  readonly #write: (bytes: Uint8Array) => void;
  #position = 0;

  constructor(write: (bytes: Uint8Array) => void) {
    this.#write = write;
    this.#fileHead();
  }

  /** Hands on what is left. */
  flush(): void {
    if (this.#position > 0) this.#write(this.bytes.subarray(0, this.#position));
    this.#position = 0;
  }

  /**
   * Writes a block with Ethernet and IP header for a packet of `length` bytes behind them, and returns where in `bytes` these go. They
   * hold anything until the caller has filled them in, which it does before the next call. `micros`: since 1970.
   */
  packet(lane: Lane, micros: number, length: number): number {
    if (this.#position >= CHUNK) this.flush();
    const { bytes, fields } = this;
    const { headers, isFour } = lane;
    const block = this.#position;
    const frame = headers.length + length;
    const padded = (frame + 3) & ~3;
    fields.setUint32(block, ENHANCED_PACKET, true);
    fields.setUint32(block + 4, BLOCK_FRAME + padded, true);
    fields.setUint32(block + 8, 0, true);
    fields.setUint32(block + 12, Math.floor(micros / 0x100000000), true);
    fields.setUint32(block + 16, micros, true); // modulo 2^32
    fields.setUint32(block + 20, frame, true);
    fields.setUint32(block + 24, frame, true);
    const at = block + BLOCK_HEAD;
    fields.setUint32(at + padded - 4, 0); // the padding: checksums run over it
    fields.setUint32(at + padded, BLOCK_FRAME + padded, true);
    this.#position = block + BLOCK_FRAME + padded;
    this.packets++;
    bytes.set(headers, at);
    const ip = at + ETHERNET;
    if (isFour) {
      fields.setUint16(ip + 2, frame - ETHERNET);
      fields.setUint16(ip + 4, lane.identification);
      lane.identification = (lane.identification + 1) & 0xffff;
      this.#putChecksum(ip + 10, ip, ip + 20);
    } else fields.setUint16(ip + 4, length);
    return at + headers.length;
  }

  /**
   * Fills in the checksum at `field` of what `packet` began, which lies from `at` on with `length` bytes: over a pseudo header (the
   * addresses, the protocol and the length: RFC 9293 section 3.1, RFC 8200 section 8.1) save for ICMP.
   */
  seal(lane: Lane, protocol: number, at: number, length: number, field: number): void {
    const hasPseudoHeader = protocol !== ICMP;
    this.fields.setUint16(field, hasPseudoHeader ? protocol + length : 0);
    // The addresses stand right before; protocol and length are added by standing where the checksum will be.
    this.#putChecksum(field, hasPseudoHeader ? at - (lane.isFour ? 8 : 32) : at, at + length);
  }

  /** RFC 1071: the sum does not hang on the byte order in which words are read, if it is written in the same. */
  #putChecksum(field: number, from: number, end: number): void {
    const words = this.#words;
    const last = (end + 1) >>> 1;
    let sum = 0;
    let i = from >>> 1;
    for (; i + 4 <= last; i += 4) sum += words[i] + words[i + 1] + words[i + 2] + words[i + 3];
    for (; i < last; i++) sum += words[i];
    sum = (sum & 0xffff) + (sum >>> 16);
    sum = (sum & 0xffff) + (sum >>> 16);
    words[field >>> 1] = ~sum;
  }

  #fileHead(): void {
    this.#block(SECTION_HEADER, 16 + this.#options(24, [[APPLICATION, "kubectl kguardian synth"]]), (at) => {
      this.fields.setUint32(at, BYTE_ORDER_MAGIC, true);
      this.fields.setUint16(at + 4, 1, true);
      this.fields.setUint16(at + 6, 0, true);
      this.fields.setBigInt64(at + 8, -1n, true); // the section's length is not told
    });
    const options = this.#options(this.#position + 16, [
      [INTERFACE_NAME, "synth0"],
      [TIME_RESOLUTION, MICROSECONDS],
    ]);
    this.#block(INTERFACE_DESCRIPTION, 8 + options, (at) => {
      this.fields.setUint32(at, LINK_ETHERNET, true);
      this.fields.setUint32(at + 4, SNAP_LENGTH, true);
    });
  }

  #block(type: number, length: number, fill: (at: number) => void): void {
    const at = this.#position;
    this.fields.setUint32(at, type, true);
    this.fields.setUint32(at + 4, length + 12, true);
    fill(at + 8);
    this.fields.setUint32(at + 8 + length, length + 12, true);
    this.#position = at + length + 12;
  }

  /** Writes options and their end; returns how many bytes they take. */
  #options(from: number, options: readonly (readonly [code: number, value: string])[]): number {
    let at = from;
    for (const [code, value] of options) {
      this.fields.setUint16(at, code, true);
      this.fields.setUint16(at + 2, value.length, true);
      for (let i = 0; i < value.length; i++) this.bytes[at + 4 + i] = value.charCodeAt(i);
      at += 4 + ((value.length + 3) & ~3);
    }
    return at + 4 - from;
  }
}

/** Returns the protocol number of ICMP in the family of a lane. */
export function icmpOf({ isFour }: Lane): number {
  return isFour ? ICMP : ICMPV6;
}
