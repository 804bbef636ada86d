import { closeSync, createReadStream, openSync, readSync } from "node:fs";
import { pipeline, Readable } from "node:stream";
import { createGunzip } from "node:zlib";
import { CaptureError } from "./captureError.ts";
import { unpackZstd } from "./zstdFrames.ts";

/** Bytes asked for at once: large enough to make system calls rare, small enough to stay in the processor's cache. */
const CHUNK_BYTES = 1 << 18;

/** A source of bytes that fills a caller's buffer. `read` gives the number of bytes, 0 at the end. */
export interface ByteSource {
  read(into: Uint8Array, offset: number): number | Promise<number>;
  /** What went wrong in decompression; the bytes before it were given out. */
  readonly damage: string | undefined;
  close(): void;
}

class FileSource implements ByteSource {
  readonly damage = undefined;
  readonly #descriptor: number;

  constructor(descriptor: number) {
    this.#descriptor = descriptor;
  }

  read(into: Uint8Array, offset: number): number {
    return readSync(this.#descriptor, into, offset, Math.min(into.length - offset, CHUNK_BYTES), null);
  }

  close(): void {
    closeSync(this.#descriptor);
  }
}

class StreamSource implements ByteSource {
  damage: string | undefined;
  readonly #stream: Readable;
  readonly #chunks: AsyncIterator<Buffer>;
  #rest: Buffer = Buffer.alloc(0);
  #isCompressed: boolean;
  #isClosed = false;

  constructor(stream: Readable, isCompressed: boolean) {
    this.#stream = stream;
    this.#chunks = stream[Symbol.asyncIterator]();
    this.#isCompressed = isCompressed;
  }

  async read(into: Uint8Array, offset: number): Promise<number> {
    while (this.#rest.length === 0) {
      try {
        const next = await this.#chunks.next();
        if (next.done) return 0;
        this.#rest = next.value;
      } catch (error) {
        // Whoever closes a stream wants no more of it.
        if (this.#isClosed) return 0;
        if (!this.#isCompressed) throw error;
        this.damage = error instanceof Error ? error.message : String(error);
        return 0;
      }
    }
    const length = Math.min(this.#rest.length, into.length - offset);
    into.set(this.#rest.subarray(0, length), offset);
    this.#rest = this.#rest.subarray(length);
    return length;
  }

  /** Gives bytes back, to be read again first. */
  unread(bytes: Buffer): void {
    this.#rest = Buffer.concat([bytes, this.#rest]);
  }

  close(): void {
    this.#isClosed = true;
    this.#stream.destroy();
  }
}

type Compression = "gzip" | "zstd" | undefined;

function compressionOf(head: Uint8Array): Compression {
  if (head[0] === 0x1f && head[1] === 0x8b) return "gzip"; // RFC 1952 section 2.3.1
  // RFC 8878 section 3.1.1 (frame) and 3.1.2 (skippable frame).
  const zstd =
    (head[0] === 0x28 || (head[0] & 0xf0) === 0x50) &&
    (head[0] === 0x28
      ? head[1] === 0xb5 && head[2] === 0x2f && head[3] === 0xfd
      : head[1] === 0x2a && head[2] === 0x4d && head[3] === 0x18);
  return zstd ? "zstd" : undefined;
}

function decompress(stream: Readable, compression: "gzip" | "zstd"): StreamSource {
  if (compression === "zstd") return new StreamSource(Readable.from(unpackZstd(stream, CHUNK_BYTES)), true);
  // The error reaches the reader through the iterator.
  return new StreamSource(pipeline(stream, createGunzip({ chunkSize: CHUNK_BYTES }), () => {}) as unknown as Readable, true);
}

/** Opens a file, or standard input for `-`; gzip and zstd are undone, known by content and not by name. */
export async function openBytes(path: string): Promise<ByteSource> {
  if (path === "-") return openStream(process.stdin);
  let descriptor: number;
  const head = new Uint8Array(4);
  try {
    descriptor = openSync(path, "r");
    try {
      readSync(descriptor, head, 0, 4, 0);
    } catch (error) {
      // Pipes and devices have no positions: they are read as streams. Whoever writes into one has met this reader, and waits for no other.
      if ((error as NodeJS.ErrnoException).code !== "ESPIPE") throw error;
      return openStream(createReadStream(path, { fd: descriptor }));
    }
  } catch (error) {
    throw new CaptureError("unreadable", `${path}: ${systemReason(error)}`);
  }
  const compression = compressionOf(head);
  if (compression === undefined) return new FileSource(descriptor);
  closeSync(descriptor);
  return decompress(createReadStream(path, { highWaterMark: CHUNK_BYTES }), compression);
}

async function openStream(stream: Readable): Promise<ByteSource> {
  const plain = new StreamSource(stream, false);
  const head = Buffer.alloc(4);
  let length = 0;
  while (length < 4) {
    const got = await plain.read(head, length);
    if (got === 0) break;
    length += got;
  }
  plain.unread(head.subarray(0, length));
  const compression = compressionOf(head);
  return compression === undefined ? plain : decompress(await restOf(plain), compression);
}

async function restOf(source: StreamSource): Promise<Readable> {
  return Readable.from(
    (async function* () {
      for (;;) {
        const chunk = Buffer.alloc(CHUNK_BYTES);
        const length = await source.read(chunk, 0);
        if (length === 0) return;
        yield chunk.subarray(0, length);
      }
    })(),
  );
}

const SYSTEM_REASONS: Record<string, string> = {
  ENOENT: "no such file",
  EACCES: "permission denied",
  EISDIR: "is a directory",
  EMFILE: "too many open files",
};

/** Returns what an operating system error means, in words. */
export function systemReason(error: unknown): string {
  const code = (error as NodeJS.ErrnoException).code ?? "";
  return SYSTEM_REASONS[code] ?? (error instanceof Error ? error.message : String(error));
}
