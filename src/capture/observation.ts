import { readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import type { FlowTable } from "../flow/flowTable.ts";
import type { NameTable } from "../flow/names.ts";
import { systemReason } from "./byteSource.ts";
import { CaptureError } from "./captureError.ts";
import { CaptureFile } from "./captureFile.ts";
import { type PacketSink, plainBuffers } from "./captureFormat.ts";
import type { Gap } from "./gaps.ts";
import { PacketDecoder } from "./packetDecoder.ts";
import { CUT, MALFORMED, ORPHAN_FRAGMENT, SKIP_REASONS, TOO_DEEP } from "./skipReasons.ts";

/** Reasons that hide traffic which is there: each is a warning. */
const LOSSES = [CUT, MALFORMED, TOO_DEEP];

/** What was read from one input, and what was not. */
export interface InputSummary {
  readonly name: string;
  readonly format: string;
  readonly records: number;
  readonly packets: number;
  readonly bytes: number;
  readonly skipped: Readonly<Record<string, number>>;
  readonly warnings: readonly string[];
  /** What it never held, as it says itself. */
  readonly gaps: readonly Gap[];
  /** Records of a log that are faulty. */
  readonly faults?: number;
}

/** Called now and then with the number of bytes read so far. */
export type ProgressSink = (bytes: number) => void;

/** Returns the files of inputs: a directory stands for the files in it (rotated captures), sorted by name. */
export function expandInputs(paths: readonly string[], what: string): string[] {
  return paths.flatMap((path) => {
    if (path === "-") return [path];
    let isDirectory: boolean;
    try {
      isDirectory = statSync(path).isDirectory();
    } catch (error) {
      throw new CaptureError("unreadable", `${path}: ${systemReason(error)}`);
    }
    if (!isDirectory) return [path];
    const files = readdirSync(path, { withFileTypes: true }).filter((entry) => !entry.isDirectory() && !entry.name.startsWith("."));
    if (files.length === 0) throw new CaptureError("empty", `${path}: no ${what} in this directory`);
    return files.map((entry) => join(path, entry.name)).sort();
  });
}

interface OpenCapture {
  readonly path: string;
  readonly file: CaptureFile;
  /** Number of its interface 0 over all files. */
  readonly firstPlace: number;
  /** Time of its first packet, epoch seconds. */
  readonly start: number;
  readonly skipped: Float64Array;
}

/**
 * Reports whether a file goes on where the one before ended (rotation): then its interfaces are the same places. Captures of one
 * moment at two places begin together; a rotated file begins sooner after the last one's end than that one was long.
 */
function goesOn(before: { readonly start: number; readonly end: number }, start: number): boolean {
  return start >= before.end && start - before.end < before.end - before.start;
}

/** Stops a reader before its first packet: how the order of files is found. */
const NOTHING: PacketSink = { ...plainBuffers, packet() {}, name() {}, expectCopies() {} };

/** Interfaces a file can have before its numbers meet the next file's. */
const PLACES_A_FILE = 1 << 8;

/**
 * Reads captures into a flow table as one observation, ordered by time: files that follow each other are read one after the
 * other, files of the same hours (one a node) packet by packet in turn.
 */
export async function readCaptures(
  paths: readonly string[],
  table: FlowTable,
  names: NameTable,
  options: { since?: number; until?: number; everyRequest?: boolean; progress?: ProgressSink } = {},
): Promise<{ decoder: PacketDecoder; inputs: InputSummary[] }> {
  const { since = Number.NEGATIVE_INFINITY, until = Number.POSITIVE_INFINITY } = options;
  const decoder = new PacketDecoder(
    table,
    names,
    options.since === undefined && options.until === undefined ? undefined : { since, until },
    options.everyRequest,
  );
  if (paths.length > 1) decoder.expectCopies();
  const waiting = await orderByStart(paths);
  const summaries = new Map<string, InputSummary>();
  let open: OpenCapture[] = [];
  let finishedBytes = 0;
  let places = 0;
  /** Time span of the file that was read to its end last. */
  let finished: { start: number; end: number } | undefined;
  while (waiting.length > 0 || open.length > 0) {
    // A file is opened only when its time has come: a directory may hold more files than may be open at once.
    while (waiting.length > 0 && (open.length === 0 || isEarlier(waiting[0], earliest(open).file.parser))) {
      const next = waiting.shift()!;
      if (finished !== undefined && (open.length > 0 || !goesOn(finished, next.seconds + next.nanoseconds * 1e-9))) places += PLACES_A_FILE;
      open.push(await openCapture(next.path, decoder, places));
      finished ??= { start: 0, end: 0 };
    }
    const current = earliest(open);
    const bound = nextStart(open, current, waiting);
    const before = decoder.skipped.slice();
    decoder.firstPlace = current.firstPlace;
    const state = await current.file.read(decoder, bound.seconds, bound.nanoseconds, (bytes) => options.progress?.(finishedBytes + bytes));
    for (let i = 0; i < before.length; i++) current.skipped[i] += decoder.skipped[i] - before[i];
    if (state === "stopped") {
      current.file.close();
      summaries.set(current.path, summarize(current));
      finished = { start: current.start, end: decoder.latest };
      finishedBytes += current.file.consumed;
      open = open.filter((other) => other !== current);
    }
  }
  decoder.fragments.finish();
  decoder.skipped[ORPHAN_FRAGMENT] = decoder.fragments.orphans;
  const inputs = paths.map((path) => summaries.get(path)!);
  if (decoder.fragments.orphans > 0)
    inputs[0] = { ...inputs[0], skipped: { ...inputs[0].skipped, [SKIP_REASONS[ORPHAN_FRAGMENT]]: decoder.fragments.orphans } };
  return { decoder, inputs };
}

interface Moment {
  readonly seconds: number;
  readonly nanoseconds: number;
}

const NEVER: Moment = { seconds: Number.POSITIVE_INFINITY, nanoseconds: 0 };

async function openCapture(path: string, sink: PacketSink, firstPlace: number): Promise<OpenCapture> {
  const file = await CaptureFile.open(path, sink);
  // Up to the first packet: names and interfaces that stand before it count.
  await file.read(sink, Number.NEGATIVE_INFINITY, 0);
  return {
    path,
    file,
    firstPlace,
    start: file.parser.nextSeconds + file.parser.nextNanoseconds * 1e-9,
    skipped: new Float64Array(SKIP_REASONS.length),
  };
}

/** Returns the files with the time of their first packet, earliest first. One file (or a pipe) is not looked into. */
async function orderByStart(paths: readonly string[]): Promise<({ path: string } & Moment)[]> {
  if (paths.length === 1) return [{ path: paths[0], seconds: 0, nanoseconds: 0 }];
  const starts: ({ path: string } & Moment)[] = [];
  for (const path of paths) {
    if (path === "-") {
      starts.push({ path, seconds: 0, nanoseconds: 0 });
      continue;
    }
    const file = await CaptureFile.open(path, NOTHING);
    const state = await file.read(NOTHING, Number.NEGATIVE_INFINITY, 0);
    file.close();
    // A file without packets comes first: it is read for its warnings only.
    starts.push({ path, seconds: state === "paused" ? file.parser.nextSeconds : 0, nanoseconds: file.parser.nextNanoseconds });
  }
  return starts.sort((x, y) => x.seconds - y.seconds || x.nanoseconds - y.nanoseconds);
}

function earliest(open: readonly OpenCapture[]): OpenCapture {
  let best = open[0];
  for (const other of open) {
    const a = other.file.parser;
    const b = best.file.parser;
    if (a.nextSeconds < b.nextSeconds || (a.nextSeconds === b.nextSeconds && a.nextNanoseconds < b.nextNanoseconds)) best = other;
  }
  return best;
}

function isEarlier(start: Moment, parser: { nextSeconds: number; nextNanoseconds: number }): boolean {
  return start.seconds < parser.nextSeconds || (start.seconds === parser.nextSeconds && start.nanoseconds <= parser.nextNanoseconds);
}

/** Returns the time up to which `current` may be read: the next packet of any other file. */
function nextStart(open: readonly OpenCapture[], current: OpenCapture, waiting: readonly Moment[]): Moment {
  let bound: Moment = waiting[0] ?? NEVER;
  for (const other of open) {
    if (other === current) continue;
    const next = { seconds: other.file.parser.nextSeconds, nanoseconds: other.file.parser.nextNanoseconds };
    if (next.seconds < bound.seconds || (next.seconds === bound.seconds && next.nanoseconds < bound.nanoseconds)) bound = next;
  }
  return bound;
}

function summarize(capture: OpenCapture): InputSummary {
  const { parser, name } = capture.file;
  const skipped: Record<string, number> = {};
  SKIP_REASONS.forEach((reason, i) => {
    if (capture.skipped[i] > 0) skipped[reason] = capture.skipped[i];
  });
  const warnings = [...parser.warnings];
  if (parser.damage !== undefined) warnings.push(parser.damage);
  for (const reason of LOSSES) {
    const count = capture.skipped[reason];
    if (count > 0)
      warnings.push(
        `${count} of ${parser.packets} packets were left out: ${SKIP_REASONS[reason]}${reason === CUT ? "; capture more of each (tcpdump -s 0)" : ""}`,
      );
  }
  const dropped = "dropped" in parser ? Number(parser.dropped) : 0;
  const gaps: Gap[] = [];
  if (dropped > 0) {
    warnings.push(`the capturing program lost ${dropped} packets: connections may be missing`);
    gaps.push({ kind: "lost", count: dropped, message: `the capturing program lost ${dropped} packets` });
  }
  if (parser.damage !== undefined) gaps.push({ kind: "truncated", count: null, message: parser.damage });
  return { name, format: parser.format, records: parser.packets, packets: parser.packets, bytes: parser.bytes, skipped, warnings, gaps };
}
