import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline/promises";
import { dump } from "js-yaml";
import { systemReason } from "../capture/byteSource.ts";
import { servedObject } from "../cluster/manifest.ts";
import { Evaluator } from "../evaluate/evaluator.ts";
import { Simulation, VERDICTS } from "../evaluate/simulation.ts";
import { DEFAULT_DENY } from "../generate/names.ts";
import type { Change } from "../live/apply.ts";
import type { Live } from "../live/live.ts";
import { plural } from "../net/number.ts";
import type { PolicySet } from "../policy/model.ts";
import { overlay, readPolicies } from "../policy/readPolicies.ts";
import { endpointLabel } from "../report/labels.ts";
import { portLabel } from "../report/simulationResult.ts";
import { listed, printable } from "../report/text.ts";
import { UsageError } from "./errors.ts";
import type { GenerationContext } from "./generate.ts";
import { isUnread, type LiveFlags, openLive } from "./sources.ts";

export interface ApplyFlags extends LiveFlags {
  /** `server`: nothing is changed. */
  readonly dryRun: "server" | "false";
  /** Observed connections may be dropped. */
  readonly force: boolean;
  /** Fields that somebody else set are taken over. */
  readonly forceConflicts: boolean;
  readonly yes: boolean;
  /** Where what is replaced is kept; undefined: a name with the time, in the working directory. */
  readonly backup: string | undefined;
}

/** What became of one object. */
export interface AppliedObject {
  readonly apiVersion: string;
  readonly kind: string;
  readonly namespace: string | undefined;
  readonly name: string;
  readonly change: Change["change"];
  /** Only the server's word on what would be done. */
  readonly dryRun: boolean;
  readonly title: string;
}

/** What is to be applied, as the server has accepted it in a dry run and the simulation has found harmless. */
export interface ApplyPlan {
  readonly live: Live;
  readonly changes: readonly Change[];
  readonly flags: ApplyFlags;
  /** Observed connections that it would drop, and those of which that is not known. */
  readonly dropped: readonly string[];
  readonly open: readonly string[];
}

/** Traffic older than this says little of what runs now. */
const OLD_SECONDS = 24 * 3600;

/**
 * Asks the server what the generated policies would change, and simulates what it would store against the observed connections.
 * Throws where the server refuses one, or observed connections would be dropped and --force is not given.
 */
export async function planApply(policies: readonly object[], context: GenerationContext, flags: ApplyFlags): Promise<ApplyPlan> {
  const { checkUndo, planChanges } = await import("../live/apply.ts");
  const live = context.sources.live ?? (await openLive(flags));
  const others: string[] = [];
  const changes = await planChanges(live.api, inOrder(policies as Record<string, unknown>[]), {
    force: flags.forceConflicts,
    others: (message) => others.push(message),
  }).catch((error: Error) => {
    throw new UsageError(`nothing is changed: the server's dry run fails: ${error.message}`, others);
  });
  const { dropped, open } = wouldDrop(changes, context);
  if (flags.dryRun === "false") {
    if (dropped.length > 0 && !flags.force)
      throw new UsageError(
        `nothing is changed: with these policies ${plural(dropped.length, "observed connection")} would be dropped: ${dropped[0]}; --force applies them all the same`,
        dropped.slice(1),
      );
    await checkUndo(live.api, changes).catch((error: Error) => {
      throw new UsageError(`nothing is changed: ${error.message}`);
    });
  }
  return { live, changes, flags, dropped, open };
}

/** Namespace by namespace, and in each what closes everything last: until then every workload has what it needs. */
function inOrder(objects: readonly Record<string, unknown>[]): readonly Record<string, unknown>[] {
  const keyOf = ({ metadata }: Record<string, unknown>) => {
    const { namespace = "", name } = metadata as { namespace?: string; name: string };
    return `${namespace}\u0000${name.startsWith(DEFAULT_DENY) ? 1 : 0}\u0000${name}`;
  };
  return objects.toSorted((a, b) => (keyOf(a) < keyOf(b) ? -1 : keyOf(a) > keyOf(b) ? 1 : 0));
}

/**
 * Judges the observed connections by what the server would store, beside what is in force. Returns those that worked and would not,
 * and those of which it is not known any more that they would. A pod of which it is only not known whether a rule fits what it was
 * seen to do counts among the first: its policy was closed for it.
 */
function wouldDrop(
  changes: readonly Change[],
  { existing, observation, profile, sources }: GenerationContext,
): { readonly dropped: readonly string[]; readonly open: readonly string[] } {
  const read = readPolicies(
    changes.map(({ after }) => servedObject(after, "the server's dry run")),
    { defaultNamespace: sources.namespace, namespaces: [...sources.cluster.namespaces.values()] },
  );
  const refused = read.problems.find(({ severity }) => severity === "error");
  if (refused !== undefined)
    throw new UsageError(`nothing is changed: the server would store what this program cannot judge: ${refused.path}: ${refused.message}`);
  const candidates: PolicySet = { policies: read.policies, tiers: read.tiers, sets: read.sets };
  const { connections, world, resolver, traffic, requestsOf } = observation;
  const baseline = new Evaluator(existing, world, profile);
  const evaluator = new Evaluator(overlay(existing, candidates, "overlay"), world, profile);
  const simulation = new Simulation(
    connections,
    traffic.table.addresses,
    resolver,
    evaluator,
    baseline,
    requestsOf,
    undefined,
    isUnread(sources),
  );
  const [dropped, open] = [new Set<string>(), new Set<string>()];
  for (let i = 0; i < connections.size; i++) {
    const { verdict, egress, ingress } = simulation.judgement(i);
    const before = VERDICTS[simulation.baselines[i]];
    const mayWork = connections.mayHaveWorked(i) > 0;
    // What was denied or open before is no worse than it was.
    if (!mayWork || verdict === "allow" || before === "deny" || (verdict === "unknown" && before === "unknown")) continue;
    const { source, targets } = simulation.ends(i);
    const isClosed =
      (egress.verdict !== "allow" && source.type === "pod") ||
      (ingress.verdict !== "allow" && targets.some(({ participant }) => participant.type === "pod"));
    const text = `${endpointLabel(simulation.source(i))} to ${endpointLabel(simulation.destination(i))} ${portLabel(connections.protocol(i), simulation.ports[i])}`;
    if (verdict === "deny") dropped.add(text);
    else if (isClosed && !connections.isDoubtful(i)) dropped.add(`${text} (not for certain)`);
    else open.add(text);
  }
  return { dropped: [...dropped].sort(), open: [...open].sort() };
}

/**
 * Applies a plan; of a dry run it only returns what the server said. `newest`: when the newest of the traffic was seen, epoch
 * seconds. What happens is told on standard error.
 */
export async function applyPlan({ live, changes, flags, dropped, open }: ApplyPlan, newest: number | undefined): Promise<AppliedObject[]> {
  const { applyChanges, ApplyFailed, titleOf, restorable } = await import("../live/apply.ts");
  const isDryRun = flags.dryRun === "server";
  const applied = changes.map((change): AppliedObject => {
    const { kind, namespace, name } = change;
    return {
      apiVersion: kind.apiVersion,
      kind: kind.kind,
      namespace,
      name,
      change: change.change,
      dryRun: isDryRun,
      title: titleOf(change),
    };
  });
  const say = (line: string) => process.stderr.write(`${printable(line)}\n`);
  const accepted = isDryRun ? "so that applying wants --force" : "and --force accepts it";
  for (const connection of dropped) say(`warning: would be dropped, ${accepted}: ${connection}`);
  if (open.length > 0)
    say(
      `warning: of ${plural(open.length, "observed connection")} it is not known whether these policies cut ${open.length === 1 ? "it" : "them"}: ${listed(open)}`,
    );
  const age = newest === undefined ? undefined : Date.now() / 1000 - newest;
  if (age !== undefined && age > OLD_SECONDS)
    say(`warning: the newest of the observed traffic is ${Math.floor(age / 86400)} days old: what was begun since is not in the proof`);
  if (isDryRun) return applied;
  const real = changes.filter(({ change }) => change !== "unchanged");
  const counts = (["created", "configured", "unchanged"] as const).map(
    (kind) => `${changes.filter(({ change }) => change === kind).length} ${kind}`,
  );
  say(`context ${live.name} (${live.api.name}): ${counts.join(", ")}`);
  for (const change of real) say(`  ${change.change === "created" ? "create" : "change"} ${titleOf(change)}`);
  if (real.length === 0) return applied;
  await confirm(`apply to ${live.name}?`, flags.yes);
  const replaced = real.filter(({ before }) => before !== undefined);
  const backup = replaced.length === 0 ? undefined : writeBackup(replaced, flags, live.name, restorable);
  // What others wrote since is theirs: no command that overwrites it.
  const byHand = (open: readonly Change[], whole: string | undefined) => {
    const replaced = open.filter(({ before }) => before !== undefined);
    const file = whole === undefined || replaced.length === 0 ? undefined : `${whole.replace(/\.ya?ml$/, "")}-left.yaml`;
    if (file !== undefined) writeBackup(replaced, { ...flags, backup: file }, live.name, restorable);
    return restoreCommands(open, file, flags, live.name).map((command) => `by hand: ${command}`);
  };
  let isInterrupted = false;
  const interrupt = () => {
    isInterrupted = true;
    say("interrupted: undoing what was changed");
  };
  process.on("SIGINT", interrupt);
  process.on("SIGTERM", interrupt);
  try {
    await applyChanges(live.api, changes, flags.forceConflicts, { applied: () => {}, isInterrupted: () => isInterrupted });
  } catch (error) {
    if (!(error instanceof ApplyFailed)) throw error;
    const { undone, left } = error.rolledBack;
    const whole = left.length === 0 ? `everything that this run had changed was undone` : `NOT everything could be undone`;
    throw new UsageError(`applying failed: ${error.message}; ${whole}`, [
      ...undone,
      ...left.map(({ change, why }) => `NOT undone: ${titleOf(change)}: ${why}`),
      ...byHand(
        left.filter(({ isConflict }) => !isConflict).map(({ change }) => change),
        backup,
      ),
    ]);
  } finally {
    process.off("SIGINT", interrupt);
    process.off("SIGTERM", interrupt);
  }
  if (backup !== undefined) say(`what was replaced is kept in ${backup}`);
  for (const command of restoreCommands(real, backup, flags, live.name)) say(`to go back: ${command}`);
  return applied;
}

/** Returns a line a object, as kubectl has it. */
export function appliedText(applied: readonly AppliedObject[]): string {
  const what = ({ change, dryRun }: AppliedObject) =>
    dryRun ? `${change} (server dry run)` : change === "unchanged" ? "unchanged" : "serverside-applied";
  return applied.map((object) => `${printable(object.title)} ${what(object)}\n`).join("");
}

/** Asks a person; a script that got this far means it, as with kubectl. */
async function confirm(question: string, yes: boolean): Promise<void> {
  if (yes || !process.stdin.isTTY || !process.stderr.isTTY) return;
  const lines = createInterface({ input: process.stdin, output: process.stderr });
  try {
    const answer = await lines.question(`${printable(question)} [y/N] `);
    if (!/^y(es)?$/i.test(answer.trim())) throw new UsageError("nothing is changed: it was not confirmed");
  } finally {
    lines.close();
  }
}

/** Keeps what is replaced, before anything is. Returns the file. */
function writeBackup(
  changes: readonly Change[],
  flags: ApplyFlags,
  context: string,
  restorable: (object: Record<string, unknown>) => Record<string, unknown>,
): string {
  const time = new Date().toISOString().replace(/[-:.]/g, "");
  const path = flags.backup ?? join(".", `kguardian-backup-${time}.yaml`);
  if (existsSync(path)) throw new UsageError(`nothing is changed: --backup: ${path} exists, and a backup is not overwritten`);
  const header = `# What \`kubectl kguardian gen networkpolicy --dry-run=false\` replaced in context ${printable(context)} at ${new Date().toISOString()}.\n# To go back: ${restoreCommands(changes, path, flags, context)[0]}\n`;
  const documents = changes.map(({ before }) => dump(restorable(before as Record<string, unknown>), { noRefs: true, lineWidth: -1 }));
  try {
    writeFileSync(path, header + documents.join("---\n"), { flag: "wx", mode: 0o600 });
  } catch (error) {
    throw new UsageError(`nothing is changed: the backup ${path} cannot be written: ${systemReason(error)}`);
  }
  return path;
}

/** As this program applies: `kubectl replace` would make the fields another manager's, and the next run would run into it. */
function restoreCommands(changes: readonly Change[], backup: string | undefined, { kubeconfig }: ApplyFlags, context: string): string[] {
  const kubectl = `kubectl ${kubeconfig === undefined ? "" : `--kubeconfig ${quoted(kubeconfig)} `}--context ${quoted(context)}`;
  const byNamespace = Map.groupBy(
    changes.filter(({ before }) => before === undefined),
    ({ namespace }) => namespace,
  );
  const deletes = [...byNamespace].map(([namespace, own]) => {
    const names = own.map(({ kind, name }) => `${kind.resource}.${kind.apiVersion.replace(/\/.*/, "")}/${name}`);
    return `${kubectl} delete ${namespace === undefined ? "" : `-n ${namespace} `}${names.join(" ")}`;
  });
  const hasReplaced = changes.some(({ before }) => before !== undefined);
  if (backup === undefined || !hasReplaced) return deletes;
  return [`${kubectl} apply --server-side --force-conflicts --field-manager=kguardian -f ${quoted(backup)}`, ...deletes];
}

/** Quotes for a shell what needs it. */
function quoted(text: string): string {
  return /^[\w./:@%+=-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}
