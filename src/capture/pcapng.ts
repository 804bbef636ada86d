import type { CaptureParser, PacketSink, ParseState } from "./captureFormat.ts";
import { SUPPORTED_LINKS } from "./packetDecoder.ts";

/** Block types (draft-ietf-opsawg-pcapng section 4 and 11.1). */
const SECTION_HEADER = 0x0a0d0d0a;
const INTERFACE_DESCRIPTION = 1;
const PACKET = 2; // obsolete, still written by old tools
const SIMPLE_PACKET = 3;
const NAME_RESOLUTION = 4;
const INTERFACE_STATISTICS = 5;
const ENHANCED_PACKET = 6;
const DECRYPTION_SECRETS = 10;

const BYTE_ORDER_MAGIC = 0x1a2b3c4d;
/** A packet block of a sound file is not longer: libpcap's largest snapshot length with room for options. */
const MAX_PACKET_BLOCK = 1 << 20;
const MAX_INTERFACES = 1 << 16;

interface Interface {
  readonly link: number;
  readonly snapLength: number;
  /** Ticks a second: a power of ten or of two (if_tsresol). */
  readonly ticksPerSecond: bigint;
  /** Set where ticks are microseconds or nanoseconds: no big integers a packet. */
  readonly nanosecondsPerTick: number;
  readonly offsetSeconds: number; // if_tsoffset
  readonly number: number; // over all sections
}

/** Reports whether bytes begin a pcapng file. */
export function isPcapng(head: Uint8Array): boolean {
  return head[0] === 0x0a && head[1] === 0x0d && head[2] === 0x0d && head[3] === 0x0a;
}

/** pcapng: sections, each with its own byte order and interfaces, made of blocks. Unknown blocks are passed over, as the format asks. */
export class PcapngParser implements CaptureParser {
  readonly format = "pcapng";
  offset = 0;
  skipBytes = 0;
  nextSeconds = 0;
  nextNanoseconds = 0;
  packets = 0;
  bytes = 0;
  damage: string | undefined;
  readonly warnings: string[] = [];
  base = 0;

  #little = true;
  #inSection = false;
  #interfaces: Interface[] = [];
  #interfaceCount = 0;
  #blocks = 0;
  readonly #droppedBy = new Map<number, number>();
  #seconds = 0;
  #nanoseconds = 0;

  /** Packets that the capturing program says it lost (interface statistics, isb_ifdrop). */
  get dropped(): number {
    return [...this.#droppedBy.values()].reduce((sum, count) => sum + count, 0);
  }

  parse(buffer: Uint8Array, end: number, sink: PacketSink, limitSeconds: number, limitNanoseconds: number): ParseState {
    const fields = new DataView(buffer.buffer, buffer.byteOffset, end);
    for (;;) {
      const state = this.#block(buffer, fields, end, sink, limitSeconds, limitNanoseconds);
      if (state !== undefined) return state;
    }
  }

  /** Takes one block off the buffer; undefined: there may be more. A function of its own for V8's sake, as in pcap.ts. */
  #block(
    buffer: Uint8Array,
    fields: DataView,
    end: number,
    sink: PacketSink,
    limitSeconds: number,
    limitNanoseconds: number,
  ): ParseState | undefined {
    const at = this.offset;
    if (end - at < 12) return "more";
    const type = fields.getUint32(at, this.#little);
    if (type === SECTION_HEADER && !this.#beginSection(fields, at)) return this.damage === undefined ? "more" : "stopped";
    if (!this.#inSection) return this.#stop("no section header at the start");
    const length = fields.getUint32(at + 4, this.#little);
    if (length < 12 || length % 4 !== 0) return this.#stop(`its length ${length} cannot be right (at least 12, a multiple of 4)`);
    const isPacket = type === ENHANCED_PACKET || type === SIMPLE_PACKET || type === PACKET;
    if (isPacket && length > MAX_PACKET_BLOCK) return this.#stop(`its length ${length} is more than any packet has`);
    if (!isPacket && length > buffer.length && length > MAX_PACKET_BLOCK) {
      this.skipBytes = length;
      this.#blocks++;
      return "more";
    }
    if (end - at < length) return "more";
    if (fields.getUint32(at + length - 4, this.#little) !== length)
      return this.#stop(`its two lengths differ (${length} and ${fields.getUint32(at + length - 4, this.#little)})`);
    if (isPacket) {
      const state = this.#packet(type, buffer, fields, at, length, sink, limitSeconds, limitNanoseconds);
      if (state !== "more") return state;
    } else if (!this.#otherBlock(type, buffer, fields, at, length, sink)) return "stopped";
    this.#blocks++;
    this.offset = at + length;
    return undefined;
  }

  /** Starts a section; reports false where bytes are missing or damage was found. */
  #beginSection(fields: DataView, at: number): boolean {
    if (fields.byteLength - at < 16) return false;
    const little = fields.getUint32(at + 8, true) === BYTE_ORDER_MAGIC;
    if (!little && fields.getUint32(at + 8) !== BYTE_ORDER_MAGIC) {
      this.#stop("its byte-order mark is wrong");
      return false;
    }
    this.#little = little;
    const major = fields.getUint16(at + 12, little);
    if (major !== 1) {
      this.#stop(`pcapng version ${major} is not known`);
      return false;
    }
    this.#inSection = true;
    this.#interfaces = [];
    return true;
  }

  #otherBlock(type: number, buffer: Uint8Array, fields: DataView, at: number, length: number, sink: PacketSink): boolean {
    if (type === INTERFACE_DESCRIPTION) {
      const isSound = this.#interface(fields, at, length);
      if (this.#interfaces.length > 1) sink.expectCopies();
      return isSound;
    }
    if (type === NAME_RESOLUTION) this.#names(buffer, fields, at + 8, at + length - 4, sink);
    else if (type === INTERFACE_STATISTICS) this.#statistics(fields, at, length);
    // Decryption secrets are passed over unread: keys have no place in this program. So are custom and unknown blocks.
    else if (type === DECRYPTION_SECRETS) return true;
    return true;
  }

  #interface(fields: DataView, at: number, length: number): boolean {
    if (length < 20 || this.#interfaces.length >= MAX_INTERFACES) {
      this.#stop(length < 20 ? "the interface description is too short" : `more than ${MAX_INTERFACES} interfaces`);
      return false;
    }
    const link = fields.getUint16(at + 8, this.#little);
    let resolution = 6;
    let offsetSeconds = 0;
    this.#options(fields, at + 16, at + length - 4, (code, value, size) => {
      if (code === 9 && size >= 1) resolution = fields.getUint8(value);
      if (code === 14 && size >= 8) offsetSeconds = Number(fields.getBigInt64(value, this.#little));
    });
    const exponent = resolution & 0x7f;
    const ticksPerSecond = resolution & 0x80 ? 1n << BigInt(exponent) : 10n ** BigInt(exponent);
    const nanosecondsPerTick = resolution === 9 ? 1 : resolution === 6 ? 1000 : 0;
    this.#interfaces.push({
      link,
      snapLength: fields.getUint32(at + 12, this.#little),
      ticksPerSecond,
      nanosecondsPerTick,
      offsetSeconds,
      number: this.#interfaceCount++,
    });
    if (!SUPPORTED_LINKS.has(link))
      this.warnings.push(
        `interface ${this.#interfaces.length - 1} has link type ${link}, which is not supported: its packets are left out`,
      );
    return true;
  }

  #packet(
    type: number,
    buffer: Uint8Array,
    fields: DataView,
    at: number,
    length: number,
    sink: PacketSink,
    limitSeconds: number,
    limitNanoseconds: number,
  ): ParseState {
    const little = this.#little;
    const simple = type === SIMPLE_PACKET;
    if (length < (simple ? 16 : 32)) return this.#stop("the packet block is too short");
    const index = simple ? 0 : type === ENHANCED_PACKET ? fields.getUint32(at + 8, little) : fields.getUint16(at + 8, little);
    const iface = this.#interfaces[index];
    if (iface === undefined) return this.#stop(`it names interface ${index}, which the section does not describe`);
    const data = at + (simple ? 12 : 28);
    const room = length - (simple ? 16 : 32);
    const wire = fields.getUint32(at + (simple ? 8 : 24), little);
    const captured = simple ? Math.min(wire, room, iface.snapLength || room) : fields.getUint32(at + 20, little);
    if (captured > room) return this.#stop(`its captured length ${captured} does not fit into the block (${room} bytes)`);
    // Simple packets have no time of their own: they take that of the packet before.
    if (!simple) this.#setTime(iface, fields.getUint32(at + 12, little), fields.getUint32(at + 16, little));
    if (this.#seconds > limitSeconds || (this.#seconds === limitSeconds && this.#nanoseconds > limitNanoseconds)) {
      this.nextSeconds = this.#seconds;
      this.nextNanoseconds = this.#nanoseconds;
      return "paused";
    }
    this.packets++;
    this.bytes += Math.max(wire, captured);
    sink.packet(buffer, data, captured, Math.max(wire, captured), iface.link, iface.number, this.#seconds, this.#nanoseconds);
    return "more";
  }

  #setTime(iface: Interface, high: number, low: number): void {
    const perTick = iface.nanosecondsPerTick;
    // A number holds 53 bits: enough for microseconds (until the year 2255), not for nanoseconds.
    if (perTick === 1000 && high < 0x200000) {
      const ticks = high * 0x1_0000_0000 + low;
      const seconds = Math.floor(ticks / 1e6);
      this.#seconds = seconds + iface.offsetSeconds;
      this.#nanoseconds = (ticks - seconds * 1e6) * 1000;
      return;
    }
    const ticks = (BigInt(high) << 32n) | BigInt(low);
    const seconds = ticks / iface.ticksPerSecond;
    this.#seconds = Number(seconds) + iface.offsetSeconds;
    this.#nanoseconds = Number(((ticks - seconds * iface.ticksPerSecond) * 1_000_000_000n) / iface.ticksPerSecond);
  }

  /** Name resolution records: an address, then names that end in zero bytes (section 4.5). */
  #names(buffer: Uint8Array, fields: DataView, from: number, end: number, sink: PacketSink): void {
    let at = from;
    while (at + 4 <= end) {
      const type = fields.getUint16(at, this.#little);
      const size = fields.getUint16(at + 2, this.#little);
      const value = at + 4;
      if (type === 0 || value + size > end) return;
      const addressBytes = type === 1 ? 4 : type === 2 ? 16 : 0;
      if (addressBytes > 0 && size > addressBytes) {
        const text = Buffer.from(buffer.buffer, buffer.byteOffset + value + addressBytes, size - addressBytes).toString("latin1");
        for (const name of text.split("\0"))
          if (/^[A-Za-z0-9_.-]{1,253}$/.test(name)) sink.name(name.toLowerCase(), buffer, value, addressBytes);
      }
      at = value + ((size + 3) & ~3);
    }
  }

  #statistics(fields: DataView, at: number, length: number): void {
    if (length < 24) return;
    const number = this.#interfaces[fields.getUint32(at + 8, this.#little)]?.number ?? -1;
    this.#options(fields, at + 20, at + length - 4, (code, value, size) => {
      // Totals so far of one interface: the last one counts.
      if (code === 5 && size >= 8) this.#droppedBy.set(number, Number(fields.getBigUint64(value, this.#little)));
    });
  }

  #options(fields: DataView, from: number, end: number, each: (code: number, value: number, size: number) => void): void {
    let at = from;
    while (at + 4 <= end) {
      const code = fields.getUint16(at, this.#little);
      const size = fields.getUint16(at + 2, this.#little);
      if (code === 0 || at + 4 + size > end) return;
      each(code, at + 4, size);
      at += 4 + ((size + 3) & ~3);
    }
  }

  #stop(what: string): "stopped" {
    this.damage = `block ${this.#blocks + 1} at byte ${this.base + this.offset} (after packet ${this.packets}): ${what}; nothing after it was read`;
    return "stopped";
  }

  ended(rest: number): void {
    if (rest > 0)
      this.damage = `block ${this.#blocks + 1} at byte ${this.base + this.offset} (after packet ${this.packets}): the file ends inside it (${rest} bytes are there); still being written, or cut`;
  }
}
