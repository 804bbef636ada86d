import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline/promises";
import { dump } from "js-yaml";
import { systemReason } from "../capture/byteSource.ts";
import { servedObject } from "../cluster/manifest.ts";
import { Evaluator } from "../evaluate/evaluator.ts";
import { Simulation, VERDICTS } from "../evaluate/simulation.ts";
import { ESTABLISHED, UNKNOWN } from "../flow/outcome.ts";
import { DEFAULT_DENY } from "../generate/names.ts";
import type { Change } from "../live/apply.ts";
import type { Live } from "../live/live.ts";
import type { PolicySet } from "../policy/model.ts";
import { overlay, readPolicies } from "../policy/readPolicies.ts";
import { endpointLabel } from "../report/labels.ts";
import { portLabel } from "../report/simulationResult.ts";
import { plural, printable } from "../report/text.ts";
import { UsageError } from "./errors.ts";
import type { GenerationContext } from "./generate.ts";
import { type LiveFlags, timeoutOf } from "./sources.ts";

export interface ApplyFlags extends LiveFlags {
  /** `server`: nothing is changed. */
  readonly dryRun: "server" | "false";
  readonly force: boolean;
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
  /** Observed connections that it would drop, which --force accepts. */
  readonly dropped: readonly string[];
}

/** Traffic older than this says little of what runs now. */
const OLD_SECONDS = 24 * 3600;

/**
 * Asks the server what the generated policies would change, and simulates what it would store against the observed connections.
 * Throws where the server refuses one, or observed connections would be dropped and --force is not given.
 */
export async function planApply(policies: readonly object[], context: GenerationContext, flags: ApplyFlags): Promise<ApplyPlan> {
  const { Live } = await import("../live/live.ts");
  const { planChanges } = await import("../live/apply.ts");
  const live = context.sources.live ?? (await Live.open({ ...flags, requestTimeout: timeoutOf(flags.requestTimeout) }));
  const others: string[] = [];
  const changes = await planChanges(live.api, inOrder(policies as Record<string, unknown>[]), {
    force: flags.force,
    others: (message) => others.push(message),
  }).catch((error: Error) => {
    throw new UsageError(`nothing is changed: the server's dry run fails: ${error.message}`, others);
  });
  const dropped = wouldDrop(changes, context);
  if (dropped.length > 0 && !flags.force)
    throw new UsageError(
      `nothing is changed: with these policies ${plural(dropped.length, "observed connection")} would be dropped: ${dropped[0]}; --force applies them all the same`,
      dropped.slice(1),
    );
  return { live, changes, flags, dropped };
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
 * or of which it is not known that they would.
 */
function wouldDrop(changes: readonly Change[], { existing, observation, profile, sources }: GenerationContext): string[] {
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
  const simulation = new Simulation(connections, traffic.table.addresses, resolver, evaluator, baseline, requestsOf);
  const found: string[] = [];
  for (let i = 0; i < connections.size; i++) {
    const verdict = VERDICTS[simulation.verdicts[i]];
    const mayWork = connections.attempts[i][ESTABLISHED] + connections.attempts[i][UNKNOWN] > 0;
    // What was open before is no worse than it was.
    if (!mayWork || verdict === "allow" || VERDICTS[simulation.baselines[i]] === "deny") continue;
    if (verdict === "unknown" && VERDICTS[simulation.baselines[i]] === "unknown") continue;
    const port = portLabel(connections.protocol(i), simulation.ports[i]);
    const doubt = verdict === "unknown" ? " (not for certain)" : "";
    found.push(`${endpointLabel(simulation.sources[i])} to ${endpointLabel(simulation.destinations[i])} ${port}${doubt}`);
  }
  return [...new Set(found)].sort();
}

/**
 * Applies a plan; of a dry run it only returns what the server said. `newest`: when the newest of the traffic was seen, epoch
 * seconds. What happens is told on standard error.
 */
export async function applyPlan({ live, changes, flags, dropped }: ApplyPlan, newest: number | undefined): Promise<AppliedObject[]> {
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
  for (const connection of dropped) say(`warning: would be dropped, and --force accepts it: ${connection}`);
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
  const backup = replaced.length === 0 ? undefined : writeBackup(replaced, flags.backup, live.name, restorable);
  const restore = restoreCommands(real, backup);
  let isInterrupted = false;
  const interrupt = () => {
    isInterrupted = true;
    say("interrupted: undoing what was changed");
  };
  process.on("SIGINT", interrupt);
  process.on("SIGTERM", interrupt);
  try {
    await applyChanges(live.api, changes, flags.force, { applied: () => {}, isInterrupted: () => isInterrupted });
  } catch (error) {
    if (!(error instanceof ApplyFailed)) throw error;
    const { undone, left } = error.rolledBack;
    const whole = left.length === 0 ? `everything that this run had changed was undone` : `NOT everything could be undone`;
    throw new UsageError(`applying failed: ${error.message}; ${whole}`, [
      ...undone,
      ...left.map((what) => `NOT undone: ${what}`),
      ...(left.length === 0 ? [] : restore.map((command) => `by hand: ${command}`)),
    ]);
  } finally {
    process.off("SIGINT", interrupt);
    process.off("SIGTERM", interrupt);
  }
  if (backup !== undefined) say(`what was replaced is kept in ${backup}`);
  for (const command of restore) say(`to go back: ${command}`);
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
  wanted: string | undefined,
  context: string,
  restorable: (object: Record<string, unknown>) => Record<string, unknown>,
): string {
  const time = new Date().toISOString().replace(/[-:]/g, "").replace(/\..*/, "Z");
  const path = wanted ?? join(".", `kguardian-backup-${time}.yaml`);
  if (existsSync(path)) throw new UsageError(`nothing is changed: --backup: ${path} exists, and a backup is not overwritten`);
  const header = `# What \`kubectl kguardian gen networkpolicy --dry-run=false\` replaced in context ${printable(context)} at ${new Date().toISOString()}.\n# To go back: kubectl replace -f ${path}\n`;
  const documents = changes.map(({ before }) => dump(restorable(before as Record<string, unknown>), { noRefs: true, lineWidth: -1 }));
  try {
    writeFileSync(path, header + documents.join("---\n"), { flag: "wx", mode: 0o600 });
  } catch (error) {
    throw new UsageError(`nothing is changed: the backup ${path} cannot be written: ${systemReason(error)}`);
  }
  return path;
}

function restoreCommands(changes: readonly Change[], backup: string | undefined): string[] {
  const created = changes.filter(({ before }) => before === undefined);
  const byNamespace = Map.groupBy(created, ({ namespace }) => namespace);
  const deletes = [...byNamespace].map(([namespace, own]) => {
    const names = own.map(({ kind, name }) => `${kind.resource}.${kind.apiVersion.replace(/\/.*/, "")}/${name}`);
    return `kubectl delete ${namespace === undefined ? "" : `-n ${namespace} `}${names.join(" ")}`;
  });
  return [...(backup === undefined ? [] : [`kubectl replace -f ${backup}`]), ...deletes];
}
