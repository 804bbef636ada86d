import { randomBytes } from "node:crypto";
import { textAt } from "../cluster/cni.ts";
import type { ManifestObject } from "../cluster/manifest.ts";
import { sanitizeObject } from "../cluster/sanitize.ts";
import { readCluster } from "../cluster/snapshot.ts";
import type { ClusterReading } from "../live/clusterReader.ts";
import { grouped } from "../net/number.ts";
import { printable } from "../report/text.ts";
import { tellWarnings } from "./damage.ts";
import { UsageError } from "./errors.ts";
import { writeFilePieces, writePieces } from "./output.ts";
import { type LiveFlags, openLive, readSnapshot } from "./sources.ts";

export interface SnapshotFlags extends LiveFlags {
  /** Objects to take instead of the live cluster's. */
  readonly snapshot: readonly string[];
  /** Asked where the user may not list all namespaces. */
  readonly namespace: string | undefined;
  readonly redact: boolean;
  /** Save though policies in force cannot be read. */
  readonly partial: boolean;
  readonly output: "yaml" | "json" | "name";
  /** Standard output without. */
  readonly file: string | undefined;
}

type Fields = Record<string, unknown>;

/** `snapshot`: the live cluster's objects (or given ones) -> what the other commands need of them -> text. */
export async function saveSnapshot(flags: SnapshotFlags): Promise<void> {
  const read = flags.snapshot.length > 0 ? await readSnapshot(flags.snapshot) : await readLive(flags);
  const { objects } = read;
  const missing = "unreadPolicies" in read ? read.unreadPolicies : [];
  if (missing.length > 0 && !flags.partial)
    throw new UsageError(
      `policies that are in force cannot be read, and verdicts on a snapshot without them would be wrong: ${missing.join(", ")}; --partial saves it all the same`,
    );
  const warnings = [
    ...read.warnings,
    ...missing.map((kind) => `the snapshot lacks policies that are in force, so that verdicts on it may be wrong: ${kind}`),
  ];
  const kept: Fields[] = [];
  const dropped = new Map<string, number>();
  for (const { value } of objects) {
    const object = sanitizeObject(value);
    if (object !== undefined) kept.push(object);
    else dropped.set(String(value.kind), (dropped.get(String(value.kind)) ?? 0) + 1);
  }
  kept.sort(byIdentity);
  if (!kept.some(({ kind }) => kind === "Pod"))
    throw new UsageError(
      `there is no Pod in ${flags.snapshot.length > 0 ? flags.snapshot.join(", ") : "the cluster"}, so a snapshot of it would name no address`,
    );
  const written = flags.redact ? await redacted(kept) : kept;
  tellWarnings(warnings);
  const pieces = await snapshotPieces(written, flags.output);
  if (flags.file === undefined) await writePieces(process.stdout, pieces);
  else await writeFilePieces(flags.file, pieces, "--file");
  process.stderr.write(`${summaryOf(kept, dropped, objects, flags)}\n`);
}

async function readLive(flags: SnapshotFlags): Promise<ClusterReading> {
  const live = await openLive(flags);
  return await live.readCluster(flags.namespace ?? live.namespace ?? "default");
}

/** Equal clusters give equal files: objects by kind, namespace and name. */
function byIdentity(a: Fields, b: Fields): number {
  const keyOf = (object: Fields) =>
    `${RANKS.get(String(object.kind)) ?? 99} ${object.apiVersion} ${object.kind} ${textAt(object, "metadata", "namespace")} ${textAt(object, "metadata", "name")}`;
  const [x, y] = [keyOf(a), keyOf(b)];
  return x < y ? -1 : x > y ? 1 : 0;
}

/** What a reader looks for first stands first. */
const RANKS = new Map(
  ["Namespace", "Node", "Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "Job", "Pod", "Service", "EndpointSlice"].map((kind, i) => [
    kind,
    10 + i,
  ]),
);

async function redacted(objects: readonly Fields[]): Promise<Fields[]> {
  const { Redactor } = await import("../cluster/redact.ts");
  // The key is forgotten: nobody can tell the names from the pseudonyms, and two runs give other ones.
  const redactor = new Redactor(randomBytes(32), objects);
  return objects.map((object) => redactor.redact(object));
}

/** Returns the text of a snapshot. */
export async function snapshotPieces(objects: readonly Fields[], output: SnapshotFlags["output"]): Promise<Iterable<string>> {
  if (output === "json") return jsonPieces(objects);
  if (output === "name") return objects.map((object) => `${nameOf(object)}\n`);
  const { dump } = await import("js-yaml");
  return yamlPieces(objects, (object) => dump(object, { noRefs: true, lineWidth: -1 }));
}

function* jsonPieces(objects: readonly Fields[]): Generator<string> {
  yield '{"apiVersion":"v1","kind":"List","items":[';
  for (const [i, object] of objects.entries()) yield `${i === 0 ? "\n" : ",\n"}${JSON.stringify(object)}`;
  yield "\n]}\n";
}

function* yamlPieces(objects: readonly Fields[], dump: (object: Fields) => string): Generator<string> {
  for (const [i, object] of objects.entries()) yield `${i === 0 ? "" : "---\n"}${dump(object)}`;
}

function nameOf({ apiVersion, kind, metadata }: Fields): string {
  const group = String(apiVersion).includes("/") ? `.${String(apiVersion).replace(/\/.*/, "")}` : "";
  return printable(`${String(kind).toLowerCase()}${group}/${textAt(metadata, "name")}`);
}

/** Says what was saved, and what the commands will make of it. */
function summaryOf(
  kept: readonly Fields[],
  dropped: ReadonlyMap<string, number>,
  objects: readonly ManifestObject[],
  flags: SnapshotFlags,
): string {
  const counts = [...Map.groupBy(kept, ({ kind }) => String(kind))].map(([kind, own]) => `${grouped(own.length)} ${kind}`);
  const cluster = readCluster(objects);
  const left = [...dropped].map(([kind, count]) => `${grouped(count)} ${kind}`);
  const lines = [
    `${grouped(kept.length)} objects${flags.file === undefined ? "" : ` in ${flags.file}`}: ${counts.join(", ")} · CNI ${cluster.cni.name} (${cluster.cni.because})`,
    ...(left.length === 0 ? [] : [`left out, since no command needs them: ${left.join(", ")}`]),
    ...(flags.redact
      ? ["names and addresses are pseudonyms; port numbers, times and how near addresses are to each other still show"]
      : []),
  ];
  return lines.map(printable).join("\n");
}
