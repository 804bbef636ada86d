import { setTimeout as pause } from "node:timers/promises";
import { apiGroup } from "../cluster/objects.ts";
import { type ApiServer, pathOf, resourceName, type ServedKind } from "./apiServer.ts";
import { LiveError } from "./liveError.ts";

type Fields = Record<string, unknown>;

/** The name under which the API server keeps what this program set (API concepts: "Server Side Apply", field manager). */
export const FIELD_MANAGER = "kguardian";

export type ChangeKind = "created" | "configured" | "unchanged";

/** What applying one object would do, as the server itself says. */
export interface Change {
  readonly kind: ServedKind;
  readonly namespace: string | undefined;
  readonly name: string;
  /** What is sent. */
  readonly object: Fields;
  /** The object as it is now; undefined where there is none. */
  readonly before: Fields | undefined;
  /** The object as it would be. */
  readonly after: Fields;
  readonly change: ChangeKind;
}

/** Names an object as kubectl does: `networkpolicy.networking.k8s.io/web`. */
export function titleOf({ kind, namespace, name }: Pick<Change, "kind" | "namespace" | "name">): string {
  const group = apiGroup(kind.apiVersion);
  return `${kind.kind.toLowerCase()}${group === "" ? "" : `.${group}`}/${name}${namespace === undefined ? "" : ` (namespace ${namespace})`}`;
}

/**
 * Asks the server what applying the objects would do; nothing is changed. Throws a LiveError that tells of the first object that it
 * refuses; `others` gets the rest. Objects are sent as they are written: a typed model would rename `from`.
 */
export async function planChanges(
  api: ApiServer,
  objects: readonly Fields[],
  options: { readonly force: boolean; readonly others: (message: string) => void },
): Promise<Change[]> {
  const served = await api.kinds();
  const changes: Change[] = [];
  let first: LiveError | undefined;
  for (const object of objects) {
    try {
      changes.push(await planChange(api, served, object, options.force));
    } catch (error) {
      if (!(error instanceof LiveError) || !["conflict", "not-found", "forbidden"].includes(error.code)) throw error;
      if (first === undefined) first = error;
      else options.others(error.message);
    }
  }
  if (first !== undefined) throw first;
  return changes;
}

/**
 * Refuses changes of which those before a failure could not be undone: a user may be allowed to create and not to delete. One change
 * alone is done or not.
 */
export async function checkUndo(api: ApiServer, changes: readonly Change[]): Promise<void> {
  const real = changes.filter(({ change }) => change !== "unchanged");
  if (real.length < 2) return;
  const asked = new Set<string>();
  for (const { kind, namespace, name, before } of real) {
    const verb = before === undefined ? "delete" : "patch";
    const key = `${verb} ${resourceName(kind)} ${namespace}`;
    if (asked.has(key) || (await api.may(verb, kind, namespace, name))) continue;
    asked.add(key);
    throw new LiveError(
      "forbidden",
      `user \`${api.user}\` may not ${verb} ${resourceName(kind)}${namespace === undefined ? "" : ` in namespace ${namespace}`}, so that a failure half-way could not be undone (docs/cluster-role.yaml has what it takes)`,
      403,
    );
  }
}

async function planChange(api: ApiServer, served: readonly ServedKind[], object: Fields, force: boolean): Promise<Change> {
  const { namespace, name } = object.metadata as { namespace?: string; name: string };
  const kind = served.find((each) => each.apiVersion === object.apiVersion && each.kind === object.kind);
  if (kind === undefined)
    throw new LiveError(
      "not-found",
      `${api.name} does not serve ${String(object.kind)} of ${String(object.apiVersion)}: is that plugin installed?`,
    );
  const title = titleOf({ kind, namespace, name });
  const before = await api.get(pathOf(kind, namespace, name));
  try {
    const { object: after } = await api.apply(kind, object, { dryRun: true, fieldManager: FIELD_MANAGER, force });
    const change = before === undefined ? "created" : sameMeaning(before, after) ? "unchanged" : "configured";
    return { kind, namespace, name, object, before, after, change };
  } catch (error) {
    if (!(error instanceof LiveError)) throw error;
    const isOwned = error.status === 409 && /conflict/i.test(error.message);
    const hint = isOwned ? "; somebody else set these fields since: --force-conflicts takes them over" : "";
    throw new LiveError(error.code, `${title}: ${error.message}${hint}`, error.status);
  }
}

/** Reports whether two states of an object mean the same: what the server itself keeps of changes aside. */
function sameMeaning(a: Fields, b: Fields): boolean {
  const strip = ({ metadata, status: _, ...rest }: Fields) => {
    // A dry run of a creation makes up an identity of its own.
    const { managedFields: _m, resourceVersion: _v, generation: _g, uid: _u, creationTimestamp: _c, ...kept } = metadata as Fields;
    return canonical({ ...rest, metadata: kept });
  };
  return strip(a) === strip(b);
}

function canonical(value: unknown): string {
  return JSON.stringify(value, (_key, field) =>
    typeof field === "object" && field !== null && !Array.isArray(field)
      ? Object.fromEntries(Object.entries(field as Fields).sort(([x], [y]) => (x < y ? -1 : 1)))
      : field,
  );
}

/** What was done of a run that failed. */
export interface RolledBack {
  readonly undone: readonly string[];
  /** What could not be undone. */
  readonly left: readonly {
    readonly change: Change;
    readonly why: string;
    /** Somebody else wrote there: to put it back would undo their work. */
    readonly isConflict: boolean;
  }[];
}

/** Applying failed half-way; what this run had changed was undone as far as the server allowed. */
export class ApplyFailed extends Error {
  readonly rolledBack: RolledBack;

  constructor(message: string, rolledBack: RolledBack) {
    super(message);
    this.name = "ApplyFailed";
    this.rolledBack = rolledBack;
  }
}

export interface ApplyEvents {
  /** Told of each object that was applied. */
  readonly applied: (change: Change) => void;
  /** Whether the user wants no more: what was changed is undone. */
  readonly isInterrupted: () => boolean;
}

/** Applies the changes in the order given. When one fails, those before are undone in reverse order and an ApplyFailed is thrown. */
export async function applyChanges(api: ApiServer, changes: readonly Change[], force: boolean, events: ApplyEvents): Promise<void> {
  const done: Done[] = [];
  for (const change of changes) {
    let isBegun = false;
    try {
      if (events.isInterrupted()) throw new LiveError("status", "interrupted", 0);
      if (change.change === "unchanged") continue;
      await checkUntouched(api, change);
      isBegun = true;
      const { object: result, isNew } = await api.apply(change.kind, asSeen(change), { dryRun: false, fieldManager: FIELD_MANAGER, force });
      const isTheirs = change.before === undefined && !isNew;
      done.push({ change, result, isTheirs });
      if (isTheirs) throw new LiveError("conflict", "somebody else created it at the same moment", 0);
      events.applied(change);
    } catch (error) {
      // The server may have done it though its answer got lost, or said that it took too long.
      const isUnsure = isBegun && error instanceof LiveError && (error.status === undefined || error.status >= 500);
      const rolledBack = await undo(api, isUnsure ? [...done, { change, result: undefined, isTheirs: false }] : done);
      throw new ApplyFailed(`${titleOf(change)}: ${(error as Error).message}`, rolledBack);
    }
  }
}

/** One change that was made, or may have been. */
interface Done {
  readonly change: Change;
  /** The object as the server says that it is since; undefined where no answer came. */
  readonly result: Fields | undefined;
  /** Whether it was there already when it was to be created: somebody else's, with our fields in it. */
  readonly isTheirs: boolean;
}

/** What is sent of a change: to the very state that was looked at, and to no other. */
function asSeen({ object, before }: Change): Fields {
  if (before === undefined) return object;
  return { ...object, metadata: { ...(object.metadata as Fields), resourceVersion: versionOf(before) } };
}

/** What was shown and simulated must be what is changed: an object that somebody changed meanwhile is another. */
async function checkUntouched(api: ApiServer, { kind, namespace, name, before }: Change): Promise<void> {
  const now = await api.get(pathOf(kind, namespace, name));
  if (versionOf(now) !== versionOf(before))
    throw new LiveError("conflict", "it was changed by somebody else since it was looked at: run again", 0);
}

function versionOf(object: Fields | undefined): unknown {
  return (object?.metadata as Fields | undefined)?.resourceVersion;
}

async function undo(api: ApiServer, done: readonly Done[]): Promise<RolledBack> {
  const undone: string[] = [];
  const left: { change: Change; why: string; isConflict: boolean }[] = [];
  for (const one of done.toReversed()) {
    const { change } = one;
    try {
      await patiently(() => undoOne(api, one));
      undone.push(`${titleOf(change)} ${change.before === undefined ? "deleted again" : "put back"}`);
    } catch (error) {
      const isConflict = error instanceof LiveError && error.code === "conflict";
      left.push({ change, why: (error as Error).message, isConflict });
    }
  }
  return { undone, left };
}

/**
 * Takes one change back: only what this run wrote, so that what others wrote since stays and is told. What was there is applied under
 * the same field manager, or its fields would be somebody else's to the next run.
 */
async function undoOne(api: ApiServer, { change, result, isTheirs }: Done): Promise<void> {
  const { kind, namespace, name, object, before, after } = change;
  if (isTheirs) throw new LiveError("conflict", "somebody else created it at the same moment, and what this run set is in it");
  const now = await api.get(pathOf(kind, namespace, name));
  if (now === undefined) {
    if (before === undefined) return;
    throw new LiveError("conflict", "somebody else deleted it since");
  }
  if (before !== undefined && sameMeaning(before, now)) return;
  const isOurs = result === undefined ? sameMeaning(after, now) : versionOf(now) === versionOf(result);
  if (!isOurs) throw new LiveError("conflict", "somebody else changed it since");
  const metadata = now.metadata as { readonly uid?: string; readonly resourceVersion?: string };
  if (before === undefined) await api.delete(kind, namespace, name, metadata);
  else {
    const { metadata: kept, ...rest } = restorable(before);
    const { resourceVersion } = metadata;
    const restored = { ...rest, apiVersion: object.apiVersion, kind: object.kind, metadata: { ...(kept as Fields), resourceVersion } };
    await api.apply(kind, restored, { dryRun: false, fieldManager: FIELD_MANAGER, force: true });
  }
}

/** How long a server that does not answer is waited for before what was changed is left as it is. */
const PATIENCE_MS = 30_000;
const PAUSE_MS = 1000;

async function patiently(work: () => Promise<void>): Promise<void> {
  for (const deadline = Date.now() + PATIENCE_MS; ; ) {
    try {
      return await work();
    } catch (error) {
      const isPassing =
        error instanceof LiveError && (["unreachable", "reset", "timeout"].includes(error.code) || (error.status ?? 0) >= 500);
      if (!isPassing || Date.now() > deadline) throw error;
      await pause(PAUSE_MS);
    }
  }
}

/** Returns an object as it can be written again: without what the server keeps of a single state of it. */
export function restorable(object: Fields): Fields {
  const { metadata, status: _, ...rest } = object;
  const {
    resourceVersion: _v,
    managedFields: _m,
    uid: _u,
    generation: _g,
    creationTimestamp: _c,
    selfLink: _s,
    ...kept
  } = metadata as Fields;
  return { ...rest, metadata: kept };
}
