import { plural } from "../../net/number.ts";
import { type ByteSource, openBytes } from "../byteSource.ts";
import { CaptureError } from "../captureError.ts";
import { readLines } from "../lines.ts";
import type { InputSummary } from "../observation.ts";
import { OUTSIDE_WINDOW, SKIP_REASONS } from "../skipReasons.ts";
import { type Fields, objectOf } from "./fields.ts";
import { BadRecord, type FlowLogFormat, type LogContext, type LogHead, type LogReader } from "./flowLog.ts";
import { FORMATS } from "./formats.ts";
import { isWrapper, JsonItems } from "./jsonItems.ts";
import { LogSink, type LogTarget, OutsideWindow } from "./logSink.ts";
import { PARQUET_MAGIC, ParquetFile } from "./parquet.ts";

/** How a log is to be read. */
export interface FlowLogOptions {
  /** `--flow-format`; undefined: found by content. */
  readonly format?: string | undefined;
  /** `--flow-fields`. */
  readonly fields?: readonly string[] | undefined;
  /** Called after every batch of records, of a stream whenever some arrived. */
  readonly afterBatch?: ((sink: LogSink) => void | Promise<void>) | undefined;
  /** Ends the reading as the end of the file does. */
  readonly signal?: AbortSignal | undefined;
}

/** How much of a log is looked at for its format. */
const HEAD_BYTES = 1 << 16;
const HEAD_LINES = 64;
const HEAD_OBJECTS = 16;

/** Different reasons for which a line is named; further ones are counted under one. */
const MOST_REASONS = 64;

/** Reads one flow log of whatever format into the flow table. A record that cannot be used is counted, named, and passed over. */
export async function readFlowLog(path: string, target: LogTarget, options: FlowLogOptions = {}): Promise<InputSummary> {
  const name = path === "-" ? "standard input" : path;
  const source = new HeadedSource(await openBytes(path));
  options.signal?.addEventListener("abort", () => source.close(), { once: true });
  try {
    const { format: forced } = options;
    const isEnough = (bytes: Buffer) => (forced === undefined ? candidates(headOf(bytes, false)).length > 0 : bytes.includes(10));
    const bytes = await source.head(isEnough);
    if (bytes.length === 0 && options.signal?.aborted === true) return nothingOf(name);
    if (bytes.toString("latin1", 0, 4) === PARQUET_MAGIC) return await readParquet(path, name, target, options);
    const beginning = headOf(bytes, source.isWhole);
    const format = forced === undefined ? formatOf(name, beginning) : formatNamed(forced, beginning);
    const sink = new LogSink(format.name, target);
    const reader = openReader(name, format, { sink, head: beginning, fields: options.fields });
    const run = new Run(sink);
    const read = reader.read as (record: unknown) => void;
    if (format.unit === "line" || beginning.isLineByLine) await readByLine(source, readerOfLines(format, reader), run, options);
    else await readByObject(source, read, run, options);
    if (reader.finish !== undefined) run.attempt(() => reader.finish!());
    return run.summary(name, source);
  } finally {
    source.close();
  }
}

/** What there is to say of a stream that was ended before anything came. */
function nothingOf(name: string): InputSummary {
  return { name, format: "none yet", records: 0, packets: 0, bytes: 0, skipped: {}, warnings: [], gaps: [], faults: 0 };
}

/** Opens a log. What it says of itself, or what the flags say of it, may not be enough to read any record. */
function openReader(name: string, format: FlowLogFormat, context: LogContext): LogReader {
  try {
    return format.open(context);
  } catch (error) {
    if (error instanceof BadRecord) throw new CaptureError("unsupported", `${name}: ${error.message}`);
    throw error;
  }
}

/** Reads a Parquet file, which is read from its end: it cannot come through a pipe. */
async function readParquet(path: string, name: string, target: LogTarget, options: FlowLogOptions): Promise<InputSummary> {
  if (path === "-")
    throw new CaptureError("unsupported", `${name}: Parquet is read from its end and cannot come through a pipe: give the file`);
  const file = await ParquetFile.open(path);
  try {
    const head: LogHead = { lines: [], objects: [], isLineByLine: true, columns: file.columns };
    const format = options.format === undefined ? formatOf(name, head) : formatNamed(options.format, head);
    if (format.unit !== "object" || !format.recognizes(head))
      throw new CaptureError("unsupported", `${name}: its columns are not those of ${format.name}: ${shownNames(file.columns)}`);
    const sink = new LogSink(format.name, target);
    const reader = openReader(name, format, { sink, head, fields: options.fields });
    const run = new Run(sink);
    run.unit = "row";
    for await (const { count, columns, constants } of file.groups(path, (column) => format.columns?.includes(column) ?? true)) {
      // One object for all rows, which looks a cell up when it is asked for: readers keep none of it.
      const row = Object.fromEntries(constants);
      let at = 0;
      for (const [name, column] of columns) Object.defineProperty(row, name, { get: () => column.at(at), enumerable: true });
      for (; at < count; at++) {
        run.number++;
        run.record(reader.read as (row: unknown) => void, row);
      }
    }
    return run.summary(name, undefined);
  } finally {
    file.close();
  }
}

/** Returns the formats that a log may be of. */
function candidates(head: LogHead): readonly FlowLogFormat[] {
  return FORMATS.filter((format) => format.recognizes(head));
}

/** Returns a format by name; of several layouts of one format the one that the log has. */
function formatNamed(name: string, head: LogHead): FlowLogFormat {
  const named = FORMATS.filter((each) => each.name === name);
  if (named.length === 0) throw new CaptureError("unsupported", `unknown flow-log format ${name}: ${formatNames().join(", ")}`);
  return named.find((format) => format.recognizes(head)) ?? named[0];
}

function formatNames(formats: readonly FlowLogFormat[] = FORMATS): readonly string[] {
  return [...new Set(formats.map((format) => format.name))];
}

/** Returns the one format that a log is of. */
function formatOf(name: string, head: LogHead): FlowLogFormat {
  const found = candidates(head);
  if (found.length === 1) return found[0];
  if (found.length > 1)
    throw new CaptureError(
      "unsupported",
      `${name}: looks like several flow-log formats (${formatNames(found).join(", ")}): say which with --flow-format`,
    );
  const [first] = head.lines;
  if (head.columns !== undefined)
    throw new CaptureError(
      "unsupported",
      `${name}: Parquet of no flow-log format that is known (looked for aws-vpc, records); its columns are ${shownNames(head.columns)}`,
    );
  if (first === undefined) throw new CaptureError("empty", `${name}: no flow record in it`);
  throw new CaptureError(
    "unsupported",
    `${name}: is no flow log of a format that is known (looked for ${formatNames().join(", ")}); it begins ${JSON.stringify(first.slice(0, 120))}; --flow-format NAME reads it as one`,
  );
}

/** Names of columns are as hostile as all else. */
function shownNames(columns: readonly string[]): string {
  return columns
    .slice(0, 20)
    .map((name) => JSON.stringify(name.slice(0, 60)))
    .join(", ");
}

/** Looks at the first bytes of a log as lines and as JSON. A last line without its end counts only where the log ends there. */
export function headOf(bytes: Buffer, isWhole: boolean): LogHead {
  // A document on one line may be longer than what is looked at: its beginning has to do.
  const isOneLine = !isWhole && bytes.length >= HEAD_BYTES && !bytes.includes(10);
  const end = isWhole || isOneLine ? bytes.length : bytes.lastIndexOf(10) + 1;
  const text = bytes.toString("utf8", 0, end);
  const lines = text
    .replace(/^\ufeff/, "")
    .split(/\r?\n/)
    .filter((line) => line.trim() !== "")
    .slice(0, HEAD_LINES);
  const objects: Fields[] = [];
  for (const line of lines) {
    const object = line.includes("{") ? parseObject(line) : undefined;
    if (object !== undefined && objects.length < HEAD_OBJECTS) objects.push(object);
  }
  // A list with an item a line has a last line that is an object by itself; a first line that only opens is no record.
  const isDocument = isOneLine || /^[\s\ufeff]*(\[\s*\{|\{[ \t]*\r?\n)/.test(text);
  const isLineByLine = !isDocument && (objects.length > 1 || (objects.length === 1 && !isWrapper(objects[0])));
  if (isLineByLine || !/^[\s\ufeff]*[[{]/.test(text)) return { lines, objects, isLineByLine: true, columns: undefined };
  const items: Fields[] = [];
  const splitter = new JsonItems((item) => {
    const object = item === undefined || items.length >= HEAD_OBJECTS ? undefined : parseObject(item);
    if (object !== undefined) items.push(object);
  });
  splitter.feed(bytes);
  // Broken lines may look like the beginning of a document; then there are whole ones beside them.
  const areLines = items.length === 0 && (objects.length > 0 || !isDocument);
  return { lines, objects: areLines ? objects : items, isLineByLine: areLines, columns: undefined };
}

function parseObject(text: string): Fields | undefined {
  try {
    return objectOf(text);
  } catch {
    return undefined;
  }
}

/** Returns what reads one line: as the format has it, or as the object that it is. */
function readerOfLines(format: FlowLogFormat, reader: LogReader): (line: string) => void {
  const read = reader.read as (record: unknown) => void;
  if (format.unit === "line") return read;
  const parse = reader.parse ?? (() => undefined);
  return (line) => read(parse(line) ?? objectOf(line));
}

async function readByLine(
  source: ByteSource,
  readOne: (line: string) => void,
  run: Run,
  { afterBatch, signal }: FlowLogOptions,
): Promise<void> {
  for await (const lines of readLines(source)) {
    for (const line of lines) {
      run.number++;
      if (line === undefined) run.skip("line too long", "longer than 4 MiB");
      else if (line.trim() !== "") run.record(readOne, run.number === 1 && line.charCodeAt(0) === 0xfeff ? line.slice(1) : line);
    }
    if (afterBatch !== undefined) await afterBatch(run.sink);
    if (signal?.aborted === true) return;
  }
}

async function readByObject(
  source: ByteSource,
  read: (record: unknown) => void,
  run: Run,
  { afterBatch, signal }: FlowLogOptions,
): Promise<void> {
  run.unit = "record";
  const readOne = (text: string) => read(objectOf(text));
  const items = new JsonItems((text) => {
    run.number++;
    if (text === undefined) run.skip("record too long", "longer than 64 MiB");
    else run.record(readOne, text);
  });
  const buffer = Buffer.alloc(1 << 18);
  for (;;) {
    const length = await source.read(buffer, 0);
    if (length === 0) break;
    items.feed(buffer.subarray(0, length));
    if (afterBatch !== undefined) await afterBatch(run.sink);
    if (signal?.aborted === true) return;
  }
  if (items.isUnfinished)
    run.sink.gap("truncated", null, () => "the log ends within its list of records: it is cut, or still being written");
  if (items.isOpen) run.skip("cut record", "the log ends within a record");
  if (items.strays > 0) run.warnings.push(`${items.strays} characters between the records are no JSON objects and were passed over`);
}

/** What became of the records of one log. */
class Run {
  readonly sink: LogSink;
  readonly warnings: string[] = [];
  readonly #bad: Record<string, number> = {};
  #outside = 0;
  number = 0;
  unit: "line" | "record" | "row" = "line";

  constructor(sink: LogSink) {
    this.sink = sink;
    sink.leaveOut = (error) => this.#leaveOut(error);
  }

  record<Item>(read: (item: Item) => void, item: Item): void {
    try {
      read(item);
    } catch (error) {
      this.#leaveOut(error);
    }
  }

  #leaveOut(error: unknown): void {
    if (error instanceof OutsideWindow) this.#outside++;
    else if (error instanceof BadRecord) this.skip(error.message.split(" `")[0], error.message);
    else throw error;
  }

  attempt(finish: () => void): void {
    this.record(finish, undefined);
  }

  /** Counts a record that cannot be used; the first of each reason is named. */
  skip(reason: string, what: string): void {
    const known = this.#bad[reason] !== undefined || Object.keys(this.#bad).length < MOST_REASONS ? reason : "other faults";
    if (this.#bad[known] === undefined) this.warnings.push(`${this.unit} ${this.number}: ${what}`);
    this.#bad[known] = (this.#bad[known] ?? 0) + 1;
  }

  summary(name: string, source: ByteSource | undefined): InputSummary {
    const { sink, warnings } = this;
    if (source?.damage !== undefined)
      warnings.push(`the compressed data is damaged (${source.damage}): nothing after ${this.unit} ${this.number} was read`);
    for (const [reason, count] of Object.entries(this.#bad))
      if (count > 1) warnings.push(`${count} ${this.unit}s were left out: ${reason}`);
    const outside = this.#outside > 0 ? { [SKIP_REASONS[OUTSIDE_WINDOW]]: this.#outside } : {};
    const faults = Object.values(this.#bad).reduce((sum, count) => sum + count, 0);
    if (faults > 0) sink.gap("unread", faults, (count) => `${plural(count, this.unit)} could not be used`);
    if (source?.damage !== undefined) sink.gap("truncated", null, () => "the compressed data is damaged, and the rest was not read");
    const read = sink.summary(name);
    return {
      ...read,
      skipped: { ...this.#bad, ...read.skipped, ...outside },
      warnings,
      faults,
    };
  }
}

/** A source whose first bytes were looked at. */
class HeadedSource implements ByteSource {
  readonly #source: ByteSource;
  #head = Buffer.alloc(0);
  #given = 0;
  isWhole = false;

  constructor(source: ByteSource) {
    this.#source = source;
  }

  get damage(): string | undefined {
    return this.#source.damage;
  }

  /** Returns the first bytes: as many as `isEnough` asks for, or all that may be looked at. A stream is not waited for longer. */
  async head(isEnough: (bytes: Buffer) => boolean): Promise<Buffer> {
    const buffer = Buffer.alloc(HEAD_BYTES);
    let length = 0;
    while (length < HEAD_BYTES) {
      const got = await this.#source.read(buffer, length);
      length += got;
      this.isWhole = got === 0;
      this.#head = buffer.subarray(0, length);
      if (this.isWhole || isEnough(this.#head)) break;
    }
    return this.#head;
  }

  read(into: Uint8Array, offset: number): number | Promise<number> {
    const rest = this.#head.length - this.#given;
    if (rest === 0) return this.isWhole ? 0 : this.#source.read(into, offset);
    const length = Math.min(rest, into.length - offset);
    into.set(this.#head.subarray(this.#given, this.#given + length), offset);
    this.#given += length;
    return length;
  }

  close(): void {
    this.#source.close();
  }
}
