import { closeSync, openSync, writeSync } from "node:fs";
import { systemReason } from "../capture/byteSource.ts";
import { TextBytes } from "../report/textBytes.ts";
import { CaptureWriter } from "../synth/captureWriter.ts";
import type { RecordWriter } from "../synth/records.ts";
import type { Measured } from "../synth/traffic.ts";
import { UsageError } from "./errors.ts";
import { writePieces } from "./output.ts";

/** Takes conversations one by one as they are made. */
export interface TrafficOutput {
  /** Whether it takes the record of a conversation: else `line` is empty. */
  readonly takesLines: boolean;
  add(made: Measured, line: string): void;
  /** Whether something waits to be written: then `flush` must be called before more is added. */
  readonly isFull: boolean;
  flush(): Promise<void>;
  finish(): Promise<void>;
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
  readonly takesLines = true;
  readonly #out = new TextBytes();
  readonly #drain: Drain;

  constructor(flag: string, path: string) {
    this.#drain = new Drain(flag, path);
  }

  add(_made: Measured, line: string): void {
    this.#out.add(line);
  }

  get isFull(): boolean {
    return this.#out.isFull;
  }

  async flush(): Promise<void> {
    await this.#drain.write(this.#out.take());
  }

  async finish(): Promise<void> {
    await this.flush();
    this.#drain.close();
  }
}

/** A capture. */
export class CaptureOutput implements TrafficOutput {
  readonly takesLines = false;
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

/** Hands all conversations to outputs, with its record where one of them takes it. */
export async function pour(
  traffic: Iterable<Measured>,
  outputs: readonly TrafficOutput[],
  records: RecordWriter,
  progress: (made: Measured) => void,
): Promise<void> {
  const takesLines = outputs.some((output) => output.takesLines);
  for (const made of traffic) {
    const line = takesLines ? records.line(made.conversation, made.measure) : "";
    for (const output of outputs) {
      output.add(made, line);
      if (output.isFull) await output.flush();
    }
    progress(made);
  }
  for (const output of outputs) await output.finish();
}
