import { realpathSync } from "node:fs";
import { resolve } from "node:path";
import { LogSink } from "../capture/logs/logSink.ts";
import { addRecord } from "../capture/logs/records.ts";
import { sanitizeObject } from "../cluster/sanitize.ts";
import type { Cluster } from "../cluster/snapshot.ts";
import { epochsOf } from "../evaluate/surroundings.ts";
import { FlowTable } from "../flow/flowTable.ts";
import { L7Hints } from "../flow/hints.ts";
import { NameTable } from "../flow/names.ts";
import { LoggedParties } from "../flow/parties.ts";
import { parseDuration, parseRfc3339 } from "../net/time.ts";
import type { SimulationResult } from "../report/simulationResult.ts";
import type { SyntheticTraffic } from "../report/syntheticTraffic.ts";
import { changedObjects } from "../synth/changedObjects.ts";
import { TrafficSummary } from "../synth/summary.ts";
import { prepareTraffic, type Traffic as SynthTraffic } from "../synth/traffic.ts";
import { SECOND } from "../synth/units.ts";
import { UsageError } from "./errors.ts";
import type { Traffic } from "./inputs.ts";
import { type Observation, observationOfTraffic } from "./observe.ts";
import { writeFilePieces, writePieces } from "./output.ts";
import { Progress } from "./progress.ts";
import { judgeTraffic, type Preparation, prepare, type SimulateFlags } from "./simulate.ts";
import { snapshotPieces } from "./snapshot.ts";
import { openObjects, type Sources } from "./sources.ts";
import { CaptureOutput, pour, RecordsOutput, type TrafficOutput } from "./synthOutputs.ts";
import { collectAtOnce, expectLongWork } from "./tiers.ts";
import { openProfile } from "./trafficProfile.ts";

export interface SynthFlags extends Omit<SimulateFlags, "pcap" | "flows" | "flowFormat" | "flowFields" | "since" | "until" | "dns"> {
  readonly profile: string;
  readonly seed: string;
  readonly duration?: string | undefined;
  readonly rate?: string | undefined;
  readonly start?: string | undefined;
  /** Whether records go to standard output. */
  readonly printsRecords: boolean;
  readonly pcapOut?: string | undefined;
  readonly recordsOut?: string | undefined;
  readonly snapshotOut?: string | undefined;
  readonly simulate: boolean;
  /** Whether a summary is wanted: it costs a look at each connection. */
  readonly wantsSummary: boolean;
}

/** Synthetic traffic under policies, with what it was judged with. */
export interface JudgedTraffic {
  readonly prepared: Preparation;
  readonly observation: Observation;
  readonly simulation: SimulationResult;
}

/** What a run came to. */
export interface SynthResult {
  readonly made: SyntheticTraffic;
  /** The traffic judged, where that is asked for. */
  readonly judged: JudgedTraffic | undefined;
}

/** `synth`: flags -> cluster -> profile -> conversations -> records, a capture, a summary, a simulation. */
export async function synthTraffic(flags: SynthFlags): Promise<SynthResult> {
  const seed = seedOf(flags.seed);
  const asked = { durationSeconds: durationOf(flags.duration), rate: rateOf(flags.rate) };
  refuseSameFiles(flags);
  collectAtOnce();
  expectLongWork(false);
  const profile = await openProfile(flags.profile);
  const opened = await openObjects(flags);
  const { cluster } = opened.sourcesOf(opened.objects);
  const startSeconds = flags.start === undefined ? usualStart(cluster) : startOf(flags.start);
  const traffic = prepareTraffic(cluster, profile, { seed, startSeconds, ...asked });
  if ("isEmpty" in traffic)
    throw new UsageError(
      `profile ${profile.metadata.name} makes no traffic in this cluster: ${traffic.warnings[0] ?? "no call of it has a weight"}`,
      traffic.warnings.slice(1),
    );
  if (startSeconds + traffic.run.durationSeconds > LATEST)
    throw new UsageError("--duration: the run would end after the year 2104, beyond what captures' readers take");
  const changed = changedObjects(opened.objects, traffic.changes, cluster.nodes);
  const sources = changed === opened.objects ? opened.sourcesOf(opened.objects) : opened.sourcesOf(changed);
  if (flags.snapshotOut !== undefined)
    await writeSnapshot(
      flags.snapshotOut,
      changed.map(({ value }) => value),
    );
  const judge = flags.simulate ? await Judge.open(flags, sources, profile.metadata.name) : undefined;
  const summary = flags.wantsSummary ? new TrafficSummary(sources.cluster) : undefined;
  const totals = await make(traffic, outputsOf(flags, judge, summary));
  const made: SyntheticTraffic = {
    profile: profile.metadata.name,
    seed,
    ...traffic.run,
    rate: traffic.rate,
    ...totals,
    links: summary?.links ?? [],
    madePods: traffic.changes.made.length,
    leftOut: traffic.leftOut,
    warnings: [...traffic.warnings, ...notesOf(traffic, flags)],
  };
  return { made, judged: judge?.result() };
}

function notesOf({ changes }: SynthTraffic, { snapshotOut, simulate }: SynthFlags): readonly string[] {
  if (changes.made.length === 0 || snapshotOut !== undefined || simulate) return [];
  return ["pods changed during the run: --snapshot-out FILE writes the snapshot that goes with this traffic"];
}

const MOST_SEED = 2 ** 53 - 1;
/** 2105-01-01: readers keep times in 32 bits of seconds, which end a year later; that is left for what goes on after a run. */
const LATEST = 4_260_211_200;
/** 2026-01-01T00:00:00Z, where no pod says when it began. */
const USUAL_START = 1_767_225_600;

function seedOf(text: string): number {
  const seed = /^\d{1,16}$/.test(text) ? Number(text) : Number.NaN;
  if (!(seed <= MOST_SEED)) throw new UsageError(`--seed: \`${text}\` is no whole number from 0 to ${MOST_SEED}`);
  return seed;
}

function durationOf(text: string | undefined): number | undefined {
  const seconds = text === undefined ? undefined : parseDuration(text);
  if (text !== undefined && !(seconds !== undefined && seconds > 0))
    throw new UsageError(`--duration: \`${text}\` is no duration (30s, 5m, 1h30m)`);
  return seconds;
}

function rateOf(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const rate = /^\d{1,7}(\.\d{1,6})?$/.test(text) ? Number(text) : Number.NaN;
  if (!(rate >= 0.001 && rate <= 1e6)) throw new UsageError(`--rate: \`${text}\` is no number of calls a second, from 0.001 to 1000000`);
  return rate;
}

function startOf(text: string): number {
  const start = parseRfc3339(text);
  if (start === undefined) throw new UsageError(`--start: \`${text}\` is no RFC 3339 time (2026-11-16T08:00:00Z)`);
  if (start.seconds < 0 || start.seconds > LATEST) throw new UsageError(`--start: \`${text}\` is outside the years 1970 to 2104`);
  return start.seconds;
}

/** The first whole minute in which all pods that live had begun. Never the clock: equal inputs give equal traffic. */
function usualStart({ pods }: Cluster): number {
  const starts = pods.flatMap(({ startSeconds, endSeconds, hostNetwork }) =>
    startSeconds !== null && endSeconds === null && !hostNetwork ? [startSeconds] : [],
  );
  return starts.length === 0 ? USUAL_START : Math.ceil((starts.reduce((a, b) => Math.max(a, b)) + 1) / 60) * 60;
}

/** One file cannot be two outputs, nor an input that is an output. */
function refuseSameFiles({ pcapOut, recordsOut, snapshotOut, printsRecords, snapshot, profile, filename }: SynthFlags): void {
  const outputs = Object.entries({ "--pcap-out": pcapOut, "--records-out": recordsOut, "--snapshot-out": snapshotOut });
  const users = new Map<string, string>(printsRecords ? [["-", "-o records"]] : []);
  for (const path of [...snapshot, ...filename, profile]) if (path !== "-") users.set(identityOf(path), "an input");
  for (const [flag, path] of outputs) {
    if (path === undefined) continue;
    if (path === "") throw new UsageError(`${flag}: a file's name is missing`);
    const identity = identityOf(path);
    const other = users.get(identity);
    if (other !== undefined)
      throw new UsageError(`${flag}: ${path === "-" ? "standard output" : path} is ${other} already: give each its own`);
    users.set(identity, flag);
  }
}

function identityOf(path: string): string {
  if (path === "-") return path;
  try {
    return realpathSync(path);
  } catch {
    return resolve(path);
  }
}

async function writeSnapshot(path: string, objects: readonly Record<string, unknown>[]): Promise<void> {
  const kept = objects.map(sanitizeObject).filter((object) => object !== undefined);
  const pieces = await snapshotPieces(kept, path.endsWith(".json") ? "json" : "yaml");
  if (path === "-") await writePieces(process.stdout, pieces);
  else await writeFilePieces(path, pieces, "--snapshot-out");
}

function outputsOf(
  { printsRecords, recordsOut, pcapOut }: SynthFlags,
  judge: Judge | undefined,
  summary: TrafficSummary | undefined,
): readonly TrafficOutput[] {
  return [
    ...(printsRecords ? [new RecordsOutput("-o records", "-")] : []),
    ...(recordsOut === undefined ? [] : [new RecordsOutput("--records-out", recordsOut)]),
    ...(pcapOut === undefined ? [] : [new CaptureOutput("--pcap-out", pcapOut)]),
    ...(judge === undefined ? [] : [judge]),
    ...(summary === undefined ? [] : [summary]),
  ];
}

/** Makes the traffic and hands it to all outputs; returns how much it was. */
async function make(
  traffic: SynthTraffic,
  outputs: readonly TrafficOutput[],
): Promise<{ connections: number; packets: number; bytes: number }> {
  const { startSeconds, durationSeconds } = traffic.run;
  expectLongWork(traffic.rate * durationSeconds > MANY_CONVERSATIONS);
  const progress = new Progress("making traffic", durationSeconds);
  const totals = { connections: 0, packets: 0, bytes: 0 };
  await pour(traffic.conversations(), outputs, ({ conversation, measure }) => {
    totals.packets += measure.packets;
    totals.bytes += measure.bytes;
    if ((++totals.connections & 0xfff) === 0) progress.update(conversation.start / SECOND - startSeconds);
  });
  progress.stop();
  return totals;
}

/** From about so many on, V8's best compiler pays. */
const MANY_CONVERSATIONS = 20_000;

/** Takes records as `simulate --flows` would read them from a file, and judges them. */
class Judge implements TrafficOutput {
  readonly #flags: SimulateFlags;
  readonly #sources: Sources;
  readonly #prepared: Preparation;
  readonly #traffic: Omit<Traffic, "inputs">;
  readonly #sink: LogSink;
  readonly #name: string;

  private constructor(flags: SimulateFlags, sources: Sources, prepared: Preparation, name: string) {
    this.#flags = flags;
    this.#sources = sources;
    this.#prepared = prepared;
    this.#name = name;
    const table = new FlowTable();
    const epochs = epochsOf(sources.cluster, table);
    if (epochs !== undefined) table.epochs = epochs;
    this.#traffic = { table, names: new NameTable(), parties: new LoggedParties(), hints: new L7Hints(), notes: [] };
    this.#sink = new LogSink("records", { ...this.#traffic, everyRequest: prepared.everyRequest });
  }

  static async open(synth: SynthFlags, sources: Sources, name: string): Promise<Judge> {
    const flags: SimulateFlags = { ...synth, pcap: [], flows: [] };
    return new Judge(flags, sources, await prepare(flags, sources), name);
  }

  addRecords(lines: Buffer): void {
    for (const line of lines.toString().split("\n")) if (line !== "") addRecord(JSON.parse(line), this.#sink);
  }

  result(): JudgedTraffic {
    const traffic = { ...this.#traffic, inputs: [this.#sink.summary(`synthetic traffic, profile ${this.#name}`)] };
    const observation = observationOfTraffic(this.#flags, this.#sources, traffic);
    return { prepared: this.#prepared, observation, simulation: judgeTraffic(this.#prepared, observation) };
  }
}
