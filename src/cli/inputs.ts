import { realpathSync, statSync } from "node:fs";
import { CaptureError } from "../capture/captureError.ts";
import type { Gap } from "../capture/gaps.ts";
import type { FlowLogOptions } from "../capture/logs/readFlowLog.ts";
import { expandInputs, type InputSummary, readCaptures } from "../capture/observation.ts";
import { LINK_TYPE, OUTSIDE_WINDOW, SKIP_REASONS } from "../capture/skipReasons.ts";
import type { Cluster } from "../cluster/snapshot.ts";
import { epochsOf } from "../evaluate/surroundings.ts";
import { FlowTable } from "../flow/flowTable.ts";
import { L7Hints } from "../flow/hints.ts";
import { NameTable } from "../flow/names.ts";
import { LoggedParties } from "../flow/parties.ts";
import { addBroker, addBrokerExport, type BrokerAnswers } from "./broker.ts";
import { UsageError } from "./errors.ts";
import { readMoment } from "./moment.ts";
import { readNames } from "./names.ts";
import { Progress } from "./progress.ts";

/** Traffic as it was read: rows of connections and what was learned on the side. */
export interface Traffic {
  readonly table: FlowTable;
  readonly names: NameTable;
  readonly parties: LoggedParties;
  readonly hints: L7Hints;
  readonly inputs: readonly InputSummary[];
  /** What a reader must know of where it comes from, one line each. */
  readonly notes: readonly string[];
}

export interface TrafficFlags {
  readonly pcap: readonly string[];
  readonly flows: readonly string[];
  readonly flowFormat?: string | undefined;
  readonly flowFields?: string | undefined;
  readonly since?: string | undefined;
  readonly until?: string | undefined;
  readonly dns?: string | undefined;
}

/** How flow logs are to be read. */
export function logOptionsOf({ flowFormat, flowFields }: TrafficFlags): FlowLogOptions {
  const fields = flowFields
    ?.replace(/[${}]/g, "")
    .trim()
    .split(/[\s,]+/);
  // A VPC flow log without a header line looks like nothing: who names its fields says what it is.
  const isVpc = fields?.some((name) => name === "srcaddr" || name === "pkt-srcaddr") === true;
  return { format: flowFormat ?? (isVpc ? "aws-vpc" : undefined), fields };
}

/**
 * Reads captures, flow records and what a broker told into one table; `everyRequest`: policies look at requests, so that one a client
 * and server is not enough.
 */
export async function loadTraffic(
  flags: TrafficFlags,
  cluster: Cluster,
  everyRequest: boolean,
  broker: BrokerAnswers | undefined,
): Promise<Traffic> {
  const table = new FlowTable();
  const names = new NameTable();
  const parties = new LoggedParties();
  const epochs = epochsOf(cluster, table);
  if (epochs !== undefined) table.epochs = epochs;
  if (flags.dns !== undefined) readNames(flags.dns, names);
  const notes: string[] = [];
  const pcaps = eachOnce(expandInputs(flags.pcap, "captures"), notes);
  const flows = eachOnce(expandInputs(flags.flows, "flow logs"), notes);
  const bounds = await timeBounds(flags, pcaps, flows, broker !== undefined);
  const inputs: InputSummary[] = [];
  let hints = new L7Hints();
  if (pcaps.length > 0) {
    const progress = new Progress("reading captures", totalBytes(pcaps));
    const read = await readCaptures(pcaps, table, names, { ...bounds, everyRequest, progress: (bytes) => progress.update(bytes) });
    progress.stop();
    inputs.push(...read.inputs);
    hints = read.decoder.hints;
  }
  const strays: InputSummary[] = [];
  const isGiven = (path: string) => flags.flows.includes(path);
  if (flows.length > 0) {
    const { readFlowLog } = await import("../capture/logs/readFlowLog.ts");
    const options = logOptionsOf(flags);
    for (const path of flows) {
      const handedOn: unknown[] = [];
      const reading = readFlowLog(path, { table, names, parties, hints, everyRequest, handedOn, ...bounds }, options);
      const input = isGiven(path) ? await reading : await reading.catch((error: unknown) => unusable(path, error));
      if (input.format === UNUSABLE) strays.push(input);
      else if (!isGiven(path) && isEmpty(input)) strays.push({ ...input, warnings: ["no flow record in it", ...input.warnings] });
      else inputs.push(handedOn.length === 0 ? input : addBrokerExport(handedOn, input, cluster, { table, parties, ...bounds }, notes));
    }
  }
  // A folder of rotated logs may hold an empty one, and a file that is none; alone they would be an empty answer.
  if (inputs.length === 0 && strays.length > 0) throw new UsageError(`${strays[0].name}: ${strays[0].warnings[0]}`);
  for (const input of inputs) refuseUnusable(input);
  inputs.push(...strays);
  if (broker === undefined) return { table, names, parties, hints, inputs, notes };
  const added = addBroker(broker, cluster, { table, parties, ...bounds });
  return { table, names, parties, hints, inputs: [...inputs, added.input], notes: [...notes, ...added.notes] };
}

/** Leaves out files that are given several times: what they hold would count as often. */
function eachOnce(paths: readonly string[], notes: string[]): string[] {
  const seen = new Set<string>();
  return paths.filter((path) => {
    const real = path === "-" ? path : realpathSync(path);
    if (seen.has(real)) notes.push(`${path} is given more than once, and read once`);
    return !seen.has(real) && seen.add(real) !== undefined;
  });
}

/** The format of a file in a folder of flow logs that is none. */
const UNUSABLE = "none";

/** Says of a file in a folder why it is left out; what is no matter of its content is thrown again. */
function unusable(path: string, error: unknown): InputSummary {
  if (!(error instanceof CaptureError)) throw error;
  const message = error.message.startsWith(`${path}: `) ? error.message.slice(path.length + 2) : error.message;
  const gaps: Gap[] = [{ kind: "unread", count: null, message: "the file could not be read as a flow log" }];
  return { name: path, format: UNUSABLE, records: 0, packets: 0, bytes: 0, skipped: {}, warnings: [`left out: ${message}`], gaps };
}

function isEmpty({ records, faults = 0, skipped }: InputSummary): boolean {
  return records === 0 && faults === 0 && !hasOutside(skipped);
}

/** Reports whether records were left out since they are of another time than the user asked for. */
function hasOutside(skipped: InputSummary["skipped"]): boolean {
  return skipped[SKIP_REASONS[OUTSIDE_WINDOW]] !== undefined;
}

/** An input of which nothing can be used is an error, not an empty answer: "nothing would be dropped" would be false. */
export function refuseUnusable({ name, format, records, packets, skipped, warnings, faults }: InputSummary, isEnded = false): void {
  const isLog = faults !== undefined;
  if (records === 0 && isLog && faults > 0)
    throw new UsageError(`${name}: not one record of it can be used as ${format} (${warnings[0]}); --flow-format names another format`);
  if (records === 0 && warnings.length > 0) throw new UsageError(`${name}: nothing of it could be read: ${warnings[0]}`);
  if (records === 0 && isLog && !isEnded && !hasOutside(skipped))
    throw new UsageError(
      `${name}: no flow record in it (${format}${Object.entries(skipped)
        .map(([reason, count]) => `; ${count} left out: ${reason}`)
        .join("")})`,
    );
  if (packets > 0 && skipped[SKIP_REASONS[LINK_TYPE]] === packets)
    throw new UsageError(`${name}: ${warnings[0] ?? "its link type is not supported"}`);
}

function totalBytes(paths: readonly string[]): number {
  return paths.reduce((sum, path) => sum + (path === "-" ? 0 : statSync(path).size), 0) || 1;
}

async function timeBounds(
  flags: TrafficFlags,
  pcaps: readonly string[],
  flows: readonly string[],
  isLive: boolean,
): Promise<{ since?: number; until?: number }> {
  const bounds: { since?: number; until?: number } = {};
  let newest: number | undefined;
  const isStray = (path: string) => !flags.flows.includes(path);
  // It loads every reader of flow logs, which few runs ask for.
  const newestTime = async () => {
    const { newestRecordTime } = await import("../capture/newest.ts");
    return await newestRecordTime(pcaps, flows, logOptionsOf(flags), isStray);
  };
  const origin = {
    name: isLive ? "now" : "the newest record",
    seconds: async () => (newest ??= isLive ? Date.now() / 1000 : await newestTime()),
  };
  for (const name of ["since", "until"] as const) {
    const text = flags[name];
    if (text !== undefined) bounds[name] = await readMoment(`--${name}`, text, origin);
  }
  if (bounds.since !== undefined && bounds.until !== undefined && bounds.since > bounds.until)
    throw new UsageError("--since is after --until: nothing can lie between them");
  return bounds;
}
