/** Where the bytes of captures are read into. */
export interface Buffers {
  /** Returns a buffer of 2^bits bytes, at least 2^12. */
  buffer(bits: number): Uint8Array;
  /** Gives one back. */
  release(buffer: Uint8Array): void;
}

/** Buffers for readers that look at no packet's content. */
export const plainBuffers: Buffers = { buffer: (bits) => new Uint8Array(2 ** bits), release() {} };

/** What a capture reader gives its packets to. */
export interface PacketSink extends Buffers {
  /** One whole packet record: `captured` bytes at `offset` of a buffer that the sink gave, `wire` bytes on the wire. */
  packet(
    buffer: Uint8Array,
    offset: number,
    captured: number,
    wire: number,
    link: number,
    interfaceNumber: number,
    seconds: number,
    nanoseconds: number,
  ): void;
  /** A name that the capture gives an address (pcapng name resolution block), as text at the given bytes. */
  name(name: string, bytes: Uint8Array, offset: number, length: number): void;
  /** More than one interface was captured from: one packet may come several times. */
  expectCopies(): void;
}

/** How far a parser came: it needs more bytes, it stands before a packet later than the limit, or nothing more can be read. */
export type ParseState = "more" | "paused" | "stopped";

/**
 * Takes records off a buffer. A parser never throws on content: damage stops it, with `damage` saying what and where.
 * `parse` reads whole records from `offset` up to `end` and returns where it stopped in `offset`.
 */
export interface CaptureParser {
  readonly format: string;
  /** Where the next record begins in the buffer, after `parse`. */
  offset: number;
  /** Bytes to pass over before the next record: a block too large to hold whose content is not needed. */
  skipBytes: number;
  /** Time of the packet that `parse` paused before. */
  nextSeconds: number;
  nextNanoseconds: number;
  readonly packets: number;
  /** Bytes on the wire of the packets that were read. */
  readonly bytes: number;
  damage: string | undefined;
  readonly warnings: string[];
  /** Bytes of the file before the buffer's start, for positions in messages. */
  base: number;
  parse(buffer: Uint8Array, end: number, sink: PacketSink, limitSeconds: number, limitNanoseconds: number): ParseState;
  /** Says what is cut when the file ends with `rest` bytes of an unfinished record. */
  ended(rest: number): void;
}
