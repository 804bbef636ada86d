import { readFileSync, realpathSync, statSync } from "node:fs";
import { text as readAll } from "node:stream/consumers";
import { systemReason } from "../capture/byteSource.ts";
import { CaptureError } from "../capture/captureError.ts";
import type { Gap } from "../capture/gaps.ts";
import type { FlowLogOptions } from "../capture/logs/readFlowLog.ts";
import { newestRecordTime } from "../capture/newest.ts";
import { expandInputs, type InputSummary, readCaptures } from "../capture/observation.ts";
import { LINK_TYPE, OUTSIDE_WINDOW, SKIP_REASONS } from "../capture/skipReasons.ts";
import { isPolicyObject } from "../cluster/cni.ts";
import { type ManifestFiles, type ManifestObject, readManifestFiles } from "../cluster/manifest.ts";
import type { Cluster } from "../cluster/snapshot.ts";
import { epochsOf } from "../evaluate/surroundings.ts";
import { FlowTable } from "../flow/flowTable.ts";
import { L7Hints } from "../flow/hints.ts";
import { NameTable } from "../flow/names.ts";
import { LoggedParties } from "../flow/parties.ts";
import { parseAddress } from "../net/address.ts";
import type { Problem } from "../policy/problem.ts";
import { type PolicyReading, readPolicies } from "../policy/readPolicies.ts";
import { loadRegexEngine } from "../policy/regex.ts";
import { addBroker, addBrokerExport, type BrokerAnswers } from "./broker.ts";
import { UsageError } from "./errors.ts";
import { readMoment } from "./moment.ts";
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

/** Standard input can be one input only. */
export function refuseTwoStdins(inputs: Readonly<Record<string, readonly string[]>>): void {
  const users = Object.entries(inputs).flatMap(([flag, paths]) => paths.filter((path) => path === "-").map(() => flag));
  if (users.length > 1)
    throw new UsageError(`\`-\` (standard input) is given ${users.length} times (${users.join(", ")}): it can be read once`);
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
  const origin = {
    name: isLive ? "now" : "the newest record",
    seconds: async () => (newest ??= isLive ? Date.now() / 1000 : await newestRecordTime(pcaps, flows, logOptionsOf(flags), isStray)),
  };
  for (const name of ["since", "until"] as const) {
    const text = flags[name];
    if (text !== undefined) bounds[name] = await readMoment(`--${name}`, text, origin);
  }
  if (bounds.since !== undefined && bounds.until !== undefined && bounds.since > bounds.until)
    throw new UsageError("--since is after --until: nothing can lie between them");
  return bounds;
}

/** Reads names of addresses: JSON `{"name": ["address"]}`, or lines as in /etc/hosts. */
export function readNames(path: string, names: NameTable): void {
  const text = readText(path, "--dns");
  if (!/^\s*\{/.test(text)) return readHosts(path, text, names);
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new UsageError(`--dns: ${path}: not JSON: ${(error as Error).message}`);
  }
  for (const [name, addresses] of Object.entries(value as Record<string, unknown>)) {
    if (!Array.isArray(addresses)) throw new UsageError(`--dns: ${path}: \`${name}\` is no list of addresses`);
    for (const item of addresses) {
      const address = typeof item === "string" ? parseAddress(item) : undefined;
      if (address === undefined) throw new UsageError(`--dns: ${path}: \`${name}\` has ${JSON.stringify(item)}, which is no address`);
      names.add(address, name.toLowerCase());
    }
  }
}

function readHosts(path: string, text: string, names: NameTable): void {
  for (const [i, line] of text.split("\n").entries()) {
    const [first, ...rest] = line.replace(/#.*/, "").trim().split(/\s+/);
    if (first === "") continue;
    const address = parseAddress(first);
    if (address === undefined || rest.length === 0)
      throw new UsageError(`--dns: ${path}:${i + 1}: not an address and its names: \`${line.trim().slice(0, 60)}\``);
    for (const name of rest) names.add(address, name.toLowerCase());
  }
}

/** Reads a small text file that a flag names. */
export function readText(path: string, flag: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    throw new UsageError(`${flag}: ${path}: ${systemReason(error)}`);
  }
}

export interface PolicyFlags {
  readonly filename: readonly string[];
  readonly recursive: boolean;
  readonly namespace: string;
}

/** Policies of one origin; `warnings` are for the report. */
export interface LoadedPolicies extends Omit<PolicyReading, "problems" | "ignored"> {
  /** What they were read from. */
  readonly objects: readonly ManifestObject[];
  readonly warnings: readonly string[];
}

/** Reads the candidate policies of `--filename`; none without it. `read`: what its files hold, where that is known already. */
export async function loadCandidates(flags: PolicyFlags, cluster: Cluster, read?: ManifestFiles): Promise<LoadedPolicies> {
  const files = read ?? (await readManifests(flags.filename, flags.recursive));
  const { ignored, ...loaded } = await policiesIn(files, flags.namespace, cluster);
  if (flags.filename.length > 0 && !hasPolicies(loaded)) {
    const found = [...ignored].map(([kind, count]) => `${count} ${kind}`).join(", ");
    throw new UsageError(`no network policy in ${flags.filename.join(", ")}${found === "" ? "" : ` (only ${found})`}`);
  }
  return loaded;
}

/** Reads the objects of files, directories and the standard input. */
export function readManifests(paths: readonly string[], recursive: boolean): Promise<ManifestFiles> {
  return readManifestFiles(paths, { recursive, stdin: () => readAll(process.stdin) });
}

/** Returns the policies among objects, with how many objects of each kind are none. Throws a UsageError where any cannot be read. */
export async function policiesIn(
  { objects, warnings }: Pick<ManifestFiles, "objects" | "warnings">,
  namespace: string,
  cluster: Cluster,
): Promise<LoadedPolicies & Pick<PolicyReading, "ignored">> {
  await prepareFor(objects);
  const { problems, ...read } = readPolicies(objects, { defaultNamespace: namespace, namespaces: [...cluster.namespaces.values()] });
  refuseErrors(problems);
  return { ...read, objects, warnings: [...warnings, ...problems.map(problemText)] };
}

/** Reports whether anything that decides traffic was read. */
export function hasPolicies({ policies, unevaluated, tiers, sets }: LoadedPolicies): boolean {
  return policies.length + unevaluated.length + tiers.length + sets.length > 0;
}

/** Reads the policies that the cluster holds already. Audit policies only report: they are not in force. */
export async function existingPolicies(cluster: Cluster, namespace: string): Promise<LoadedPolicies> {
  await prepareFor(cluster.policyObjects);
  const {
    problems,
    ignored: _,
    ...read
  } = readPolicies(cluster.policyObjects, {
    defaultNamespace: namespace,
    namespaces: [...cluster.namespaces.values()],
  });
  refuseErrors(problems);
  const audits = read.policies.filter(({ ref }) => ref.apiVersion.startsWith("kguardian.dev/"));
  const warnings = problems.map(problemText);
  if (audits.length > 0)
    warnings.push(
      audits.length === 1
        ? "one audit policy in the cluster only reports and is left out; give it with -f to judge what it would become"
        : `${audits.length} audit policies in the cluster only report and are left out; give them with -f to judge what they would become`,
    );
  return { ...read, objects: cluster.policyObjects, policies: read.policies.filter((policy) => !audits.includes(policy)), warnings };
}

/** Loads what reading policies takes: dialects other than NetworkPolicy have regular expressions. */
async function prepareFor(objects: readonly ManifestObject[]): Promise<void> {
  const isPlain = (object: ManifestObject) => object.value.apiVersion === "networking.k8s.io/v1" || !isPolicyObject(object);
  if (!objects.every(isPlain)) await loadRegexEngine();
}

/** Refuses objects of which some cannot be read, with all that is wrong. */
export function refuseErrors(problems: readonly Problem[]): void {
  const errors = problems.filter(({ severity }) => severity === "error").map(problemText);
  if (errors.length > 0) throw new UsageError(errors[0], errors.slice(1));
}

/** Returns a problem as one line: where, and what. */
export function problemText({ file, line, column, path, message }: Problem): string {
  return `${file}${line === 0 ? "" : `:${line}:${column}`}: ${path === "" ? "" : `${path}: `}${message}`;
}
