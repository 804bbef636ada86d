import { closeSync, openSync, writeSync } from "node:fs";
import { systemReason } from "../capture/byteSource.ts";
import { CaptureWriter } from "../synth/captureWriter.ts";
import { RecordWriter } from "../synth/records.ts";
import type { Measured } from "../synth/traffic.ts";
import { UsageError } from "./errors.ts";
import { writePieces } from "./output.ts";

/** Takes what is made: conversations one by one, or their records in pieces. */
export interface TrafficOutput {
  add?(made: Measured): void;
  /** Takes lines of records, which are valid until it is done. */
  addRecords?(lines: Buffer): void | Promise<void>;
  /** Whether something of what was added waits to be written: then `flush` must be called before more is added. */
  readonly isFull?: boolean;
  flush?(): Promise<void>;
  finish?(): Promise<void>;
}

/** Where bytes of a file, or of standard output (`-`), go. */
class Drain {
  readonly #flag: string;
  readonly #path: string;
  readonly #file: number | undefined;

  constructor(flag: string, path: string) {
    this.#flag = flag;
    this.#path = path;
    this.#file = path === "-" ? undefined : this.#attempt(() => openSync(path, "w"));
  }

  /** A file is written at once; whoever reads the standard output may be slow. */
  get isAtOnce(): boolean {
    return this.#file !== undefined;
  }

  writeNow(bytes: Uint8Array): void {
    this.#attempt(() => {
      for (let at = 0; at < bytes.length; ) at += writeSync(this.#file!, bytes, at);
    });
  }

  async write(bytes: Uint8Array): Promise<void> {
    if (this.#file !== undefined) this.writeNow(bytes);
    else await writePieces(process.stdout, [bytes]);
  }

  close(): void {
    if (this.#file !== undefined) this.#attempt(() => closeSync(this.#file!));
  }

  #attempt<Result>(work: () => Result): Result {
    try {
      return work();
    } catch (error) {
      throw new UsageError(`${this.#flag}: ${this.#path}: ${systemReason(error)}`);
    }
  }
}

/** Flow records, a line each. */
export class RecordsOutput implements TrafficOutput {
  readonly #drain: Drain;

  constructor(flag: string, path: string) {
    this.#drain = new Drain(flag, path);
  }

  async addRecords(lines: Buffer): Promise<void> {
    await this.#drain.write(lines);
  }

  async finish(): Promise<void> {
    this.#drain.close();
  }
}

/** A capture. */
export class CaptureOutput implements TrafficOutput {
  readonly #drain: Drain;
  readonly #writer: CaptureWriter;
  /** Chunks for the standard output, copied: the writer uses its buffer again. */
  readonly #waiting: Uint8Array[] = [];

  constructor(flag: string, path: string) {
    this.#drain = new Drain(flag, path);
    this.#writer = new CaptureWriter((bytes) => {
      if (this.#drain.isAtOnce) this.#drain.writeNow(bytes);
      else this.#waiting.push(bytes.slice());
    });
  }

  add({ conversation }: Measured): void {
    this.#writer.add(conversation);
  }

  get isFull(): boolean {
    return this.#waiting.length > 0;
  }

  async flush(): Promise<void> {
    for (const bytes of this.#waiting.splice(0)) await this.#drain.write(bytes);
  }

  async finish(): Promise<void> {
    this.#writer.finish();
    await this.flush();
    this.#drain.close();
  }
}

/** Hands all conversations to outputs, and their records to those that take them. `progress` hears of each. */
export async function pour(
  traffic: Iterable<Measured>,
  outputs: readonly TrafficOutput[],
  progress: (made: Measured) => void,
): Promise<void> {
  const ofConversations = outputs.filter((output) => output.add !== undefined);
  const ofRecords = outputs.filter((output) => output.addRecords !== undefined);
  const records = new RecordWriter();
  const handOn = async () => {
    const lines = records.take();
    for (const output of ofRecords) await output.addRecords!(lines);
  };
  for (const made of traffic) {
    for (const output of ofConversations) {
      output.add!(made);
      if (output.isFull === true) await output.flush?.();
    }
    if (ofRecords.length > 0) records.add(made.conversation, made.measure);
    if (records.isFull) await handOn();
    progress(made);
  }
  await handOn();
  for (const output of outputs) await output.finish?.();
}
