import type { CaptureParser, PacketSink, ParseState } from "./captureFormat.ts";
import { SUPPORTED_LINKS } from "./packetDecoder.ts";

const HEADER_BYTES = 24;
const RECORD_HEADER_BYTES = 16;
/** libpcap's MAXIMUM_SNAPLEN: no record of a sound file is longer. */
const MAX_CAPTURED = 262_144;

const MICROSECONDS = 0xa1b2c3d4;
const NANOSECONDS = 0xa1b23c4d;

/** Reports whether bytes begin a classic capture file (draft-ietf-opsawg-pcap), of either byte order and resolution. */
export function isPcap(head: Uint8Array): boolean {
  if (head.length < 4) return false;
  const magic = new DataView(head.buffer, head.byteOffset).getUint32(0);
  return [MICROSECONDS, NANOSECONDS, swap(MICROSECONDS), swap(NANOSECONDS)].includes(magic);
}

function swap(value: number): number {
  return ((value & 0xff) * 0x1000000 + ((value & 0xff00) << 8) + ((value >>> 8) & 0xff00) + (value >>> 24)) >>> 0;
}

/** Classic pcap: a file header, then records of a 16-byte header and the frame. */
export class PcapParser implements CaptureParser {
  readonly format = "pcap";
  offset = 0;
  skipBytes = 0;
  nextSeconds = 0;
  nextNanoseconds = 0;
  packets = 0;
  bytes = 0;
  damage: string | undefined;
  readonly warnings: string[] = [];
  base = 0;

  #link = -1;
  #littleEndian = true;
  #nanosecondsPerUnit = 1000;

  parse(buffer: Uint8Array, end: number, sink: PacketSink, limitSeconds: number, limitNanoseconds: number): ParseState {
    let at = this.offset;
    if (this.#link < 0) {
      if (end - at < HEADER_BYTES) return "more";
      this.#readHeader(new DataView(buffer.buffer, buffer.byteOffset + at));
      at += HEADER_BYTES;
      this.offset = at;
      if (this.damage !== undefined) return "stopped";
    }
    const fields = new DataView(buffer.buffer, buffer.byteOffset, end);
    for (;;) {
      const state = this.#record(buffer, fields, end, sink, limitSeconds, limitNanoseconds);
      if (state !== undefined) return state;
    }
  }

  /**
   * Takes one packet off the buffer; undefined: there may be more. A function that is called often is compiled as a whole; of one with a
   * long loop V8 compiles the loop alone, and leaves what it has compiled each time that the loop ends.
   */
  #record(
    buffer: Uint8Array,
    fields: DataView,
    end: number,
    sink: PacketSink,
    limitSeconds: number,
    limitNanoseconds: number,
  ): ParseState | undefined {
    const at = this.offset;
    if (end - at < RECORD_HEADER_BYTES) return "more";
    const little = this.#littleEndian;
    const captured = fields.getUint32(at + 8, little);
    if (captured > MAX_CAPTURED) {
      this.damage = `packet ${this.packets + 1} at byte ${this.base + at}: its stated length ${captured} is more than any capture holds (${MAX_CAPTURED}); nothing after it was read`;
      return "stopped";
    }
    const data = at + RECORD_HEADER_BYTES;
    if (end - data < captured) return "more";
    const seconds = fields.getUint32(at, little);
    const nanoseconds = fields.getUint32(at + 4, little) * this.#nanosecondsPerUnit;
    if (seconds > limitSeconds || (seconds === limitSeconds && nanoseconds > limitNanoseconds)) {
      this.nextSeconds = seconds;
      this.nextNanoseconds = nanoseconds;
      return "paused";
    }
    const wire = Math.max(fields.getUint32(at + 12, little), captured);
    this.packets++;
    this.bytes += wire;
    this.offset = data + captured;
    if (nanoseconds < 1e9) sink.packet(buffer, data, captured, wire, this.#link, 0, seconds, nanoseconds);
    else sink.packet(buffer, data, captured, wire, this.#link, 0, seconds + Math.floor(nanoseconds / 1e9), nanoseconds % 1e9);
    return undefined;
  }

  #readHeader(header: DataView): void {
    const big = header.getUint32(0);
    this.#littleEndian = big !== MICROSECONDS && big !== NANOSECONDS;
    const magic = header.getUint32(0, this.#littleEndian);
    this.#nanosecondsPerUnit = magic === NANOSECONDS ? 1 : 1000;
    // The upper bits hold the frame check sequence's length, not the link type.
    this.#link = header.getUint32(20, this.#littleEndian) & 0x0fffffff & 0xffff;
    if (!SUPPORTED_LINKS.has(this.#link)) {
      this.damage = `link type ${this.#link} is not supported (supported: Ethernet, Linux cooked v1 and v2, raw IP, NULL, LOOP); capture on another interface`;
    }
  }

  ended(rest: number): void {
    if (this.#link < 0) this.damage = `the file ends inside its header (${rest} of ${HEADER_BYTES} bytes)`;
    else if (rest > 0)
      this.damage = `packet ${this.packets + 1} at byte ${this.base + this.offset}: the file ends inside it (${rest} bytes are there); still being written, or cut`;
  }
}
