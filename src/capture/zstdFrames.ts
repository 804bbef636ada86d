import { Readable } from "node:stream";
import { createZstdDecompress } from "node:zlib";

/*
 * Zstandard files of several frames (RFC 8878 section 3: parallel compressors and concatenation make them). Node's stream stops
 * after the first frame without a word, so frames are told apart here, by their headers and block sizes, and unpacked one by one.
 */

const MAGIC = 0xfd2fb528;

/** Follows the layout of frames through bytes that come in any pieces. */
class FrameWalker {
  /** Header bytes gathered of what is being read, and how many it takes. */
  #header: number[] = [];
  #needed = 4;
  #state: "magic" | "skipSize" | "descriptor" | "frameHeader" | "blockHeader" | "body" | "checksum" = "magic";
  #bodyLeft = 0;
  #afterBody: "blockHeader" | "checksum" | "end" = "blockHeader";
  #hasChecksum = false;
  /** Whether the frame at hand holds data, or is one to skip. */
  isSkippable = false;

  /** Returns how many of the bytes from `start` belong to the frame at hand; `ended` says that the frame is over after them. */
  take(bytes: Uint8Array, start: number): { length: number; ended: boolean } {
    let at = start;
    while (at < bytes.length) {
      if (this.#state === "body") {
        const length = Math.min(this.#bodyLeft, bytes.length - at);
        this.#bodyLeft -= length;
        at += length;
        if (this.#bodyLeft > 0) break;
        if (this.#afterBody === "end") return this.#end(at - start);
        this.#expect(this.#afterBody, this.#afterBody === "checksum" ? 4 : 3);
        continue;
      }
      this.#header.push(bytes[at++]);
      if (this.#header.length < this.#needed) continue;
      if (this.#read()) return this.#end(at - start);
    }
    return { length: at - start, ended: false };
  }

  #end(length: number): { length: number; ended: true } {
    this.#expect("magic", 4);
    return { length, ended: true };
  }

  #expect(state: "magic" | "skipSize" | "descriptor" | "frameHeader" | "blockHeader" | "checksum", bytes: number): void {
    this.#state = state;
    this.#needed = bytes;
    this.#header = [];
  }

  #number(): number {
    return this.#header.reduceRight((value, byte) => value * 256 + byte, 0);
  }

  /** Acts on a whole header; reports whether the frame is over. */
  #read(): boolean {
    const value = this.#number();
    switch (this.#state) {
      case "magic":
        this.isSkippable = value >= 0x184d2a50 && value <= 0x184d2a5f;
        // Whatever else stands here is left to the decompressor to refuse.
        if (this.isSkippable) this.#expect("skipSize", 4);
        else if (value === MAGIC) this.#expect("descriptor", 1);
        else this.#body(Number.POSITIVE_INFINITY, "end");
        return false;
      case "skipSize":
        this.#body(value, "end");
        return value === 0;
      case "descriptor": {
        // Section 3.1.1.1.1: content size flag, single segment flag, checksum flag, dictionary id flag.
        const isSingle = (value & 0x20) !== 0;
        this.#hasChecksum = (value & 0x04) !== 0;
        const contentBytes = [isSingle ? 1 : 0, 2, 4, 8][value >> 6];
        const rest = (isSingle ? 0 : 1) + [0, 1, 2, 4][value & 3] + contentBytes;
        if (rest === 0) this.#expect("blockHeader", 3);
        else this.#expect("frameHeader", rest);
        return false;
      }
      case "frameHeader":
        this.#expect("blockHeader", 3);
        return false;
      case "blockHeader": {
        const isLast = (value & 1) !== 0;
        const isRunLength = ((value >> 1) & 3) === 1;
        const size = isRunLength ? 1 : value >> 3;
        this.#body(size, isLast ? (this.#hasChecksum ? "checksum" : "end") : "blockHeader");
        if (size > 0) return false;
        if (this.#afterBody === "end") return true;
        this.#expect(this.#afterBody, this.#afterBody === "checksum" ? 4 : 3);
        return false;
      }
      default:
        return true; // the checksum ends the frame
    }
  }

  #body(size: number, after: "blockHeader" | "checksum" | "end"): void {
    this.#state = "body";
    this.#bodyLeft = size;
    this.#afterBody = after;
    this.#header = [];
  }
}

/** Yields the unpacked bytes of all frames of a stream. Throws what the decompressor throws on damage. */
export async function* unpackZstd(source: AsyncIterable<Buffer>, chunkBytes: number): AsyncGenerator<Buffer> {
  const walker = new FrameWalker();
  const chunks = source[Symbol.asyncIterator]();
  let rest: Buffer = Buffer.alloc(0);
  let isOver = false;
  const more = async (): Promise<boolean> => {
    while (rest.length === 0) {
      const next = await chunks.next();
      if (next.done) {
        isOver = true;
        return false;
      }
      rest = next.value;
    }
    return true;
  };
  async function* frame(): AsyncGenerator<Buffer> {
    while (await more()) {
      const { length, ended } = walker.take(rest, 0);
      const piece = rest.subarray(0, length);
      rest = rest.subarray(length);
      yield piece;
      if (ended) return;
    }
  }
  while (await more()) {
    // A frame to skip holds no data: the decompressor takes it for one, and gives nothing.
    yield* Readable.from(frame()).pipe(createZstdDecompress({ chunkSize: chunkBytes })) as AsyncIterable<Buffer>;
    if (isOver) return;
  }
}
