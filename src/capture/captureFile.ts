import { type ByteSource, openBytes } from "./byteSource.ts";
import { CaptureError } from "./captureError.ts";
import type { Buffers, CaptureParser, PacketSink, ParseState } from "./captureFormat.ts";
import { isPcap, PcapParser } from "./pcap.ts";
import { isPcapng, PcapngParser } from "./pcapng.ts";

const FIRST_BUFFER_BITS = 18;

/** One capture being read: a buffer that is filled again and again, and the parser that takes packets off it. */
export class CaptureFile {
  readonly name: string;
  readonly parser: CaptureParser;
  readonly #source: ByteSource;
  readonly #buffers: Buffers;
  #buffer: Uint8Array;
  #end: number;
  #atEnd = false;

  private constructor(name: string, source: ByteSource, buffers: Buffers, parser: CaptureParser, buffer: Uint8Array, end: number) {
    this.name = name;
    this.#source = source;
    this.#buffers = buffers;
    this.parser = parser;
    this.#buffer = buffer;
    this.#end = end;
  }

  /** Opens a capture (`-` for standard input), to be read by a sink. Throws CaptureError where the content is no capture. */
  static async open(path: string, buffers: Buffers): Promise<CaptureFile> {
    const name = path === "-" ? "standard input" : path;
    const source = await openBytes(path);
    const buffer = buffers.buffer(FIRST_BUFFER_BITS);
    let end = 0;
    try {
      while (end < 24) {
        const got = await source.read(buffer, end);
        if (got === 0) break;
        end += got;
      }
    } catch (error) {
      source.close();
      buffers.release(buffer);
      throw new CaptureError("unreadable", `${name}: ${error instanceof Error ? error.message : String(error)}`);
    }
    const parser = isPcap(buffer.subarray(0, end)) ? new PcapParser() : isPcapng(buffer.subarray(0, end)) ? new PcapngParser() : undefined;
    if (parser === undefined) {
      source.close();
      const refusal = notACapture(name, buffer.subarray(0, end), source.damage);
      buffers.release(buffer);
      throw refusal;
    }
    return new CaptureFile(name, source, buffers, parser, buffer, end);
  }

  /**
   * Gives packets up to the limit (inclusive, seconds and nanoseconds) to the sink. Returns "paused" before a later packet,
   * "stopped" at the end of the file or at damage.
   */
  async read(
    sink: PacketSink,
    limitSeconds: number,
    limitNanoseconds: number,
    progress?: (bytes: number) => void,
  ): Promise<Exclude<ParseState, "more">> {
    for (;;) {
      // A block that is being passed over has nothing to parse yet.
      const state = this.parser.skipBytes > 0 ? "more" : this.parser.parse(this.#buffer, this.#end, sink, limitSeconds, limitNanoseconds);
      if (state !== "more") return state;
      if (this.#atEnd) return "stopped";
      const wasSkipping = this.parser.skipBytes > 0;
      this.#makeRoom();
      // The block that was passed over ends inside the buffer: what follows it is parsed before more is read.
      if (wasSkipping && this.parser.skipBytes === 0 && this.#end > 0) continue;
      // Only compressed files and pipes make the loop wait; a plain file answers at once.
      const answer = this.#source.read(this.#buffer, this.#end);
      const got = typeof answer === "number" ? answer : await answer;
      this.#end += got;
      progress?.(this.consumed);
      if (got === 0) {
        this.#atEnd = true;
        this.#finish();
        return "stopped";
      }
    }
  }

  /** Bytes of the (unpacked) file that were read so far. */
  get consumed(): number {
    return this.parser.base + this.parser.offset;
  }

  close(): void {
    this.#source.close();
    this.#buffers.release(this.#buffer);
  }

  #finish(): void {
    const parser = this.parser;
    if (parser.skipBytes > 0) parser.damage ??= `the file ends inside a block of which ${parser.skipBytes} bytes are missing`;
    else parser.ended(this.#end - parser.offset);
    if (this.#source.damage !== undefined)
      parser.damage = `the compressed data is damaged (${this.#source.damage}): ${parser.damage ?? `nothing after packet ${parser.packets} was read`}`;
  }

  /** Moves the unfinished record to the buffer's start; a record that fills the buffer makes it grow (parsers bound its length). */
  #makeRoom(): void {
    const parser = this.parser;
    if (parser.skipBytes > 0) {
      const skipped = Math.min(parser.skipBytes, this.#end - parser.offset);
      parser.skipBytes -= skipped;
      parser.offset += skipped;
    }
    const rest = this.#end - parser.offset;
    parser.base += parser.offset;
    if (rest > this.#buffer.length / 2) {
      const grown = this.#buffers.buffer(Math.log2(this.#buffer.length) + 1);
      grown.set(this.#buffer.subarray(parser.offset, this.#end));
      this.#buffers.release(this.#buffer);
      this.#buffer = grown;
    } else this.#buffer.copyWithin(0, parser.offset, this.#end);
    parser.offset = 0;
    this.#end = rest;
  }
}

function notACapture(name: string, head: Uint8Array, damage: string | undefined): CaptureError {
  if (damage !== undefined) return new CaptureError("unreadable", `${name}: the compressed data is damaged: ${damage}`);
  if (head.length === 0) return new CaptureError("empty", `${name}: the file is empty; is the capture still waiting for its first packet?`);
  const text = Buffer.from(head.subarray(0, 16)).toString("latin1");
  if (/^\s*[{[]/.test(text))
    return new CaptureError(
      "not-a-capture",
      `${name}: this is JSON, not a packet capture; flow logs are read with --flows, cluster objects with --snapshot`,
    );
  const shown = [...head.subarray(0, 8)].map((byte) => byte.toString(16).padStart(2, "0")).join(" ");
  return new CaptureError(
    "not-a-capture",
    `${name}: not a packet capture: it begins with ${shown}, not as pcap or pcapng (plain, gzip or zstd) do`,
  );
}
