import { closeSync, openSync, renameSync, writeSync } from "node:fs";

/** The headers of one direction of a conversation; lengths, identification and checksum are filled in for each packet. */
export interface Lane {
  readonly headers: Uint8Array;
  /** Offset of the (inner) IP header in `headers`; negative where there is none (ARP). */
  readonly ipOffset: number;
  readonly version: 4 | 6;
  readonly protocol: number;
  /** Whether `headers` starts with an outer Ethernet, IPv4, UDP and VXLAN header (50 bytes). */
  readonly tunnelled: boolean;
}

const bufferBytes = 8 << 20;
/** More than any frame that is made here. */
const largestRecord = 4096;
const shortestFrame = 60;

/** Writes a classic pcap file (little-endian, microseconds, Ethernet) through one large buffer; it takes its name when it is whole. */
export class PcapWriter {
  readonly bytes = Buffer.alloc(bufferBytes);
  packets = 0;
  fileBytes = 0;
  #position = 0;
  #seconds: number;
  #micros = 0;
  #identification = 0;
  readonly #file: number;
  readonly #path: string;

  constructor(path: string, startSeconds: number) {
    this.#path = path;
    this.#file = openSync(`${path}.part`, "w");
    this.#seconds = startSeconds;
    this.bytes.writeUInt32LE(0xa1b2c3d4, 0);
    this.bytes.writeUInt16LE(2, 4);
    this.bytes.writeUInt16LE(4, 6);
    this.bytes.writeUInt32LE(262_144, 16);
    this.bytes.writeUInt32LE(1, 20);
    this.#position = 24;
  }

  /** Moves the clock of the packets to come. */
  advance(micros: number): void {
    this.#micros += micros;
    while (this.#micros >= 1_000_000) {
      this.#micros -= 1_000_000;
      this.#seconds++;
    }
  }

  /**
   * Writes record header and `lane`'s headers, and makes room for `tailLength` bytes after them. Returns where in `bytes` that
   * room starts: the caller fills it, and may change the headers before it, until the next call. Short frames are padded to 60.
   */
  packet(lane: Lane, tailLength: number): number {
    if (this.#position + largestRecord > bufferBytes) this.#flush();
    const bytes = this.bytes;
    const length = lane.headers.length + tailLength;
    const frameLength = Math.max(length, shortestFrame);
    const record = this.#position;
    put32little(bytes, record, this.#seconds);
    put32little(bytes, record + 4, this.#micros);
    put32little(bytes, record + 8, frameLength);
    put32little(bytes, record + 12, frameLength);
    const frame = record + 16;
    bytes.set(lane.headers, frame);
    if (frameLength > length) bytes.fill(0, frame + length, frame + frameLength);
    if (lane.tunnelled) {
      this.#finishIpv4(frame + 14, length - 14);
      put16(bytes, frame + 38, length - 34);
    }
    if (lane.ipOffset >= 0) {
      const ip = frame + lane.ipOffset;
      const ipLength = length - lane.ipOffset;
      if (lane.version === 4) this.#finishIpv4(ip, ipLength);
      else put16(bytes, ip + 4, ipLength - 40);
      const ipHeader = lane.version === 4 ? 20 : 40;
      if (lane.protocol === 17) put16(bytes, ip + ipHeader + 4, ipLength - ipHeader);
    }
    this.#position = frame + frameLength;
    this.packets++;
    return frame + lane.headers.length;
  }

  close(): void {
    this.#flush();
    closeSync(this.#file);
    renameSync(`${this.#path}.part`, this.#path);
  }

  #finishIpv4(at: number, totalLength: number): void {
    const bytes = this.bytes;
    put16(bytes, at + 2, totalLength);
    this.#identification = (this.#identification + 1) & 0xffff;
    put16(bytes, at + 4, this.#identification);
    put16(bytes, at + 10, 0);
    let sum = 0;
    for (let i = at; i < at + 20; i += 2) sum += (bytes[i] << 8) | bytes[i + 1];
    sum = (sum & 0xffff) + (sum >>> 16);
    put16(bytes, at + 10, ~((sum & 0xffff) + (sum >>> 16)));
  }

  #flush(): void {
    for (let written = 0; written < this.#position; ) {
      written += writeSync(this.#file, this.bytes, written, this.#position - written);
    }
    this.fileBytes += this.#position;
    this.#position = 0;
  }
}

/** Network byte order. */
export function put16(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value >>> 8;
  bytes[at + 1] = value;
}

/** Network byte order. */
export function put32(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value >>> 24;
  bytes[at + 1] = value >>> 16;
  bytes[at + 2] = value >>> 8;
  bytes[at + 3] = value;
}

function put32little(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value;
  bytes[at + 1] = value >>> 8;
  bytes[at + 2] = value >>> 16;
  bytes[at + 3] = value >>> 24;
}
