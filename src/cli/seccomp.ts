import type { Pod } from "../cluster/objects.ts";
import { readCluster } from "../cluster/snapshot.ts";
import {
  denies,
  isOwnProfile,
  makeProfile,
  type NamedWorkload,
  parseDefaultAction,
  profileFiles,
  type RecordGap,
} from "../generate/seccomp.ts";
import type { BrokerClient } from "../live/brokerClient.ts";
import { brokerOnlyObjects } from "../live/brokerObjects.ts";
import type { SyscallRow } from "../live/brokerRows.ts";
import type { Live } from "../live/live.ts";
import { forEachAtOnce } from "../live/pool.ts";
import { grouped, plural } from "../net/number.ts";
import { compareInstants, formatDuration, type Instant } from "../net/time.ts";
import {
  profileText,
  type SeccompResult,
  seccompJson,
  seccompNames,
  seccompTable,
  seccompWarnings,
  seccompYaml,
  type WorkloadProfile,
  workloadLabel,
} from "../report/seccomp.ts";
import { listed } from "../report/text.ts";
import { checkWorkloadFlags, chooseWorkloads, type NamedPods, type WorkloadFlags } from "./chooseWorkloads.ts";
import { deliver, isTable } from "./deliver.ts";
import { UsageError } from "./errors.ts";
import { terminalStyle } from "./output.ts";
import { Progress } from "./progress.ts";
import { type LiveFlags, openBrokerOnly, openLiveIfAny, readSnapshot } from "./sources.ts";
import { writeAllFiles } from "./writeFiles.ts";

export interface SeccompFlags extends LiveFlags, WorkloadFlags {
  readonly namespace: string | undefined;
  readonly snapshot: readonly string[];
  readonly defaultAction: string;
  readonly baseline: boolean;
  /** A record that could only be used in part is an error. */
  readonly strict: boolean;
}

/** Pods that one object made. Those on the host network too: they are filtered as any. */
type Workload = NamedPods;

/** Requests under way at once. */
const AT_ONCE = 6;
/** A record younger than this has seen little more than a start. */
const YOUNG_SECONDS = 3600;

/** `gen seccomp`: pods -> workloads -> what the broker saw them call -> profiles. Writes nothing. */
export async function generateSeccomp(flags: SeccompFlags): Promise<SeccompResult> {
  const defaultAction = parseDefaultAction(flags.defaultAction);
  if (typeof defaultAction !== "string") throw new UsageError(`--default-action: \`${flags.defaultAction}\` ${defaultAction.why}`);
  checkWorkloadFlags(flags);
  const now = Date.now() / 1000;
  const { client, live } = await openBrokerOnly(flags);
  const version = await client.version();
  const { pods, namespace, warnings } = await readPods(flags, client, live, now);
  if (version.mismatch !== undefined) warnings.push(`the broker (${client.name}): ${version.mismatch}`);
  const workloads = workloadsOf(pods);
  if (workloads.length === 0)
    throw new UsageError(
      "no pod is known, neither of the cluster nor to the broker: give --snapshot FILE, or wait for the controller's first report",
    );
  const chosen = chooseWorkloads(flags, namespace, workloads);
  const { rows, rejected } = await readRecords(client, chosen);
  for (const [reason, count] of rejected) warnings.push(`${plural(count, "record")} of the broker could not be used: ${reason}`);
  if (flags.strict && rejected.size > 0) throw new UsageError(`${warnings.at(-1)} (--strict)`);
  const files = profileFiles(workloads);
  const namespacesOf = new Map(
    [...Map.groupBy(pods, ({ name }) => name)].map(([name, same]) => [name, new Set(same.map((pod) => pod.namespace))]),
  );
  const profiles: WorkloadProfile[] = [];
  const left: { workload: NamedWorkload; why: string }[] = [];
  for (const workload of chosen) {
    const own = recordsOf(workload, rows, namespacesOf);
    const made = makeProfile(own.records, { defaultAction, withBaseline: flags.baseline, label: workloadLabel(workload) });
    if ("why" in made) {
      left.push({ workload, why: own.records.length === 0 ? whyUnseen(workload, own.foreign) : made.why });
      continue;
    }
    const since = earliest(own.records);
    const known = countedPods(workload, own.seen);
    const notes = notesOf(
      workload,
      { ...own, gap: made.gap, unnamed: made.unnamed, since, known, now },
      namespacesOf,
      denies(defaultAction),
    );
    profiles.push({ workload, file: files.get(workload)!, made, pods: { seen: own.seen.size, known }, since, warnings: notes });
  }
  const result = { profiles, left, defaultAction, withBaseline: flags.baseline, broker: client.name, now, warnings };
  if (profiles.length === 0) refuseNothing(flags, namespace, result);
  return result;
}

interface KnownPods {
  readonly pods: readonly Pod[];
  /** Where NAME and --all look. */
  readonly namespace: string;
  readonly warnings: string[];
}

/** Returns the pods of the snapshot or the live cluster, and those that the broker alone still knows. */
async function readPods(flags: SeccompFlags, client: BrokerClient, opened: Live | undefined, now: number): Promise<KnownPods> {
  const fromSnapshot = flags.snapshot.length > 0;
  const live = fromSnapshot ? undefined : (opened ?? (await openLiveIfAny(flags)));
  const isLive = live !== undefined;
  const namespace = flags.namespace ?? live?.namespace ?? "default";
  const [read, answer] = await Promise.all([fromSnapshot ? readSnapshot(flags.snapshot) : live?.readCluster(namespace), client.pods()]);
  const objects = read?.objects ?? [];
  // A pod of which the broker has no object is a pod all the same; who made it is not known then.
  const rows = answer.rows.map((row) => ({ ...row, metadata: row.metadata ?? {} }));
  const cluster = readCluster([...objects, ...brokerOnlyObjects(rows, [], [], objects, now)]);
  const warnings: string[] = [];
  // Of what could not be read of the cluster, only pods matter here.
  for (const text of read?.warnings ?? []) if (!isLive || /\bpods\b/.test(text)) warnings.push(text);
  for (const [reason, count] of Object.entries(answer.rejected))
    warnings.push(`${plural(count, "record")} of the broker's of pods could not be used: ${reason}`);
  if (read === undefined) warnings.push("there is no cluster and no --snapshot: which pods there are is what the broker recorded");
  return { pods: cluster.pods, namespace, warnings };
}

function workloadsOf(pods: readonly Pod[]): Workload[] {
  const groups = Map.groupBy(pods, ({ namespace, workload: { kind, name } }) => JSON.stringify([namespace, kind, name]));
  return [...groups]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([, own]) => ({ namespace: own[0].namespace, kind: own[0].workload.kind, name: own[0].workload.name, pods: own }));
}

interface Records {
  /** By the pod's name that was asked for. */
  readonly rows: ReadonlyMap<string, readonly SyscallRow[]>;
  readonly rejected: ReadonlyMap<string, number>;
}

/** Asks for the records of each pod's name, once. */
async function readRecords(client: BrokerClient, workloads: readonly Workload[]): Promise<Records> {
  const names = [...new Set(workloads.flatMap(({ pods }) => pods.map(({ name }) => name)))].sort();
  const rows = new Map<string, readonly SyscallRow[]>();
  const rejected = new Map<string, number>();
  const progress = new Progress("asking the broker pod by pod", names.length);
  let done = 0;
  try {
    await forEachAtOnce(names, AT_ONCE, async (name) => {
      const read = await client.syscalls(name);
      rows.set(name, read.rows);
      for (const [reason, count] of Object.entries(read.rejected)) rejected.set(reason, (rejected.get(reason) ?? 0) + count);
      progress.update(++done);
    });
  } finally {
    progress.stop();
  }
  return { rows, rejected };
}

interface OwnRecords {
  readonly records: readonly SyscallRow[];
  /** Names of the pods that they are of. */
  readonly seen: ReadonlySet<string>;
  /** Names of pods whose record says that it is of another namespace, or does not say of which of several. */
  readonly foreign: ReadonlySet<string>;
}

/**
 * Returns the records of a workload's pods. The broker keeps one a name of a pod, whatever its namespace; the controller leaves the
 * namespace out as a rule, and then a record counts only where one pod has that name.
 */
function recordsOf(
  { namespace, pods }: Workload,
  rows: ReadonlyMap<string, readonly SyscallRow[]>,
  namespacesOf: ReadonlyMap<string, ReadonlySet<string>>,
): OwnRecords {
  const records: SyscallRow[] = [];
  const seen = new Set<string>();
  const foreign = new Set<string>();
  for (const name of new Set(pods.map((pod) => pod.name)))
    for (const row of rows.get(name) ?? []) {
      if (row.podName !== name) continue;
      const isOwn = row.podNamespace === undefined ? namespacesOf.get(name)?.size === 1 : row.podNamespace === namespace;
      if (!isOwn) foreign.add(name);
      else if (row.syscalls.length > 0) {
        records.push(row);
        seen.add(name);
      }
    }
  return { records, seen, foreign };
}

function earliest(records: readonly SyscallRow[]): Instant | undefined {
  const times = records.map(({ time }) => time).filter((time) => time !== undefined);
  return times.toSorted(compareInstants).at(0);
}

/** Returns how many pods a record could be of: those that are there, and of those that are gone the ones that have one. */
function countedPods({ pods }: Workload, seen: ReadonlySet<string>): number {
  return new Set(pods.filter(({ name, endSeconds }) => endSeconds === null || seen.has(name)).map(({ name }) => name)).size;
}

function whyUnseen({ pods }: Workload, foreign: ReadonlySet<string>): string {
  if (foreign.size > 0)
    return `what the broker recorded under its pods' names (${listed([...foreign])}) is of another namespace, or does not say of which`;
  return `the broker has no system calls of its ${plural(new Set(pods.map(({ name }) => name)).size, "pod")}`;
}

interface Known {
  readonly seen: ReadonlySet<string>;
  readonly foreign: ReadonlySet<string>;
  readonly gap: RecordGap | undefined;
  readonly unnamed: readonly string[];
  readonly since: Instant | undefined;
  readonly known: number;
  readonly now: number;
}

const GAPS: Readonly<Record<RecordGap, string>> = {
  partial:
    "the record lacks calls that every program makes (memory, close): the controller records only some (SYSCALL_CAPTURE_LEVEL below full, or a version without it), or came after the start",
  late: "its start was not seen (no execve): restart a pod while it is recorded",
};

/** Returns what makes a profile less than it looks. */
function notesOf(
  { namespace, pods }: Workload,
  { seen, foreign, gap, unnamed, since, known, now }: Known,
  namespacesOf: ReadonlyMap<string, ReadonlySet<string>>,
  enforced: boolean,
): string[] {
  const notes: string[] = [];
  const denied = enforced ? "denied" : "logged";
  if (gap !== undefined) notes.push(`${GAPS[gap]}; what is missing will be ${denied}`);
  if (seen.size < known) notes.push(`only ${seen.size} of ${known} pods have a record: what the others alone call will be ${denied}`);
  const seconds = since === undefined ? undefined : now - since.seconds;
  if (seconds === undefined) notes.push("the record does not say since when");
  else if (seconds < YOUNG_SECONDS)
    notes.push(`recorded for ${formatDuration(Math.max(0, seconds))} only: what happens seldom will be ${denied}`);
  if (unnamed.length > 0)
    notes.push(
      `${plural(unnamed.length, "call")} recorded by number only (${listed(unnamed)}) cannot be allowed: the controller knows no names for them`,
    );
  if (foreign.size > 0) notes.push(`records of ${listed([...foreign])} were left out: of another namespace, or not said of which`);
  const shared = [...seen].filter((name) => (namespacesOf.get(name)?.size ?? 0) > 1);
  if (shared.length > 0) {
    const others = [...new Set(shared.flatMap((name) => [...(namespacesOf.get(name) ?? [])]))].filter((each) => each !== namespace).sort();
    notes.push(`pods named ${listed(shared)} are in ${listed(others)} too, and the broker keeps one record a name: it may be of either`);
  }
  if (pods.some(({ hostNetwork }) => hostNetwork))
    notes.push("it runs on the host network, by which the controller tells pods apart: the record may hold calls of others on the node");
  return notes;
}

function refuseNothing({ name }: SeccompFlags, namespace: string, { left, broker }: SeccompResult): never {
  const [first] = left;
  if (name !== undefined && first !== undefined)
    throw new UsageError(
      `${workloadLabel(first.workload)}: ${first.why}${/no system calls/.test(first.why) ? `; see that the controller runs on its nodes and reports to ${broker}` : ""}`,
    );
  const where = left.every(({ workload }) => workload.namespace === namespace) ? ` of namespace \`${namespace}\`` : "";
  throw new UsageError(
    `no profile can be made of ${left.length === 1 ? "the one workload" : `any of ${grouped(left.length)} workloads`}${where}: ${first === undefined ? "none is known" : `${workloadLabel(first.workload)}: ${first.why}`}`,
    left.slice(1).map(({ workload, why }) => `${workloadLabel(workload)}: ${why}`),
  );
}

export interface DeliverSeccompFlags {
  readonly output: string;
  /** Empty: profiles go to standard output. */
  readonly outputDirectory: string;
}

/** Writes the profiles' files and prints the result. */
export async function deliverSeccomp(result: SeccompResult, { output, outputDirectory }: DeliverSeccompFlags): Promise<void> {
  const directory = outputDirectory === "" ? undefined : outputDirectory;
  if (directory !== undefined)
    writeAllFiles(
      directory,
      result.profiles.map((profile) => ({ file: profile.file, text: profileText(profile) })),
      { isOurs: isOwnProfile, mark: "no rule with a comment of kguardian" },
    );
  // Printed profiles are the result: what else there is to say must not get between them.
  const isAside = directory === undefined && isTable(output);
  const table = (wide: boolean) => (isAside ? result.profiles.map(profileText) : [seccompTable(result, directory, wide, terminalStyle())]);
  await deliver(
    {
      outputs: {
        table: () => table(false),
        wide: () => table(true),
        json: () => [seccompJson(result, directory)],
        yaml: () => [seccompYaml(result, directory)],
        name: () => [seccompNames(result, directory)],
      },
      warnings: seccompWarnings(result),
      ...(isAside ? { aside: seccompTable(result, directory, output === "wide") } : {}),
    },
    { output },
  );
}
