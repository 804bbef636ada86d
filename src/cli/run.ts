import { Config, run as runOclif } from "@oclif/core";
import { systemReason } from "../capture/byteSource.ts";
import { nearest } from "../policy/objectReader.ts";
import { COLOR_FLAG } from "./colorFlag.ts";
import { Defaults } from "./configured.ts";
import { failureOf, INTERNAL_ERROR, USAGE_ERROR } from "./errors.ts";
import {
  BARE_VALUES,
  BIN,
  type CommandLoader,
  type CommandManifest,
  commandNames,
  type DescribedCommand,
  knownCommands,
  TOPICS,
} from "./manifest.ts";
import { type FlagShape, settingOf } from "./settings.ts";

/** Collects what help needs of every command. The build embeds the result, so that a call loads its own command only. */
export async function describeCommands(loaders: Readonly<Record<string, CommandLoader>>): Promise<CommandManifest> {
  const described: Record<string, DescribedCommand> = {};
  for (const [id, load] of Object.entries(loaders)) {
    const command = (await load()).default as Record<string, unknown>;
    const named = namedFields(withVariables(id, { ...(command.flags as Record<string, object>), ...COLOR_FLAG }));
    const args = namedFields(command.args as Record<string, object> | undefined);
    const { aliases = [], hiddenAliases = [], summary, description, examples, usage, strict } = command;
    described[id] = JSON.parse(
      JSON.stringify({ id, args, aliases, hiddenAliases, summary, description, examples, usage, strict, flags: named, hidden: false }),
    );
  }
  return described;
}

/** Help names the variable that a flag may come from. */
function withVariables(id: string, flags: Readonly<Record<string, object>>): Record<string, object> {
  return Object.fromEntries(
    Object.entries(flags).map(([name, flag]) => {
      const setting = settingOf(id, name, flag as FlagShape);
      return [name, setting === undefined ? flag : { ...flag, env: setting.variable }];
    }),
  );
}

/** oclif gives flags and arguments their names only when it loads a command itself. */
function namedFields(fields: Record<string, object> = {}): Record<string, object> {
  return Object.fromEntries(Object.entries(fields).map(([name, field]) => [name, { ...field, name }]));
}

/** Runs one command line and returns its exit code. Never throws and never prints a stack trace, unless KGUARDIAN_DEBUG asks. */
export async function runCommandLine(
  argv: readonly string[],
  version: string,
  loaders: Readonly<Record<string, CommandLoader>>,
  embedded?: CommandManifest,
): Promise<number> {
  process.stdout.prependListener("error", outputFailed);
  const manifest = embedded ?? (await describeCommands(loaders));
  const args = argv[0] === "--version" || argv[0] === "-v" ? ["version"] : argv.map(withValue);
  const { id, unknown } = findCommand(args, manifest);
  if (unknown !== undefined) {
    process.stderr.write(`error: ${unknownCommand(unknown, [...commandNames(manifest).keys()])}\n`);
    return USAGE_ERROR;
  }
  let defaults: Defaults | undefined;
  try {
    // Start-up is felt at every call: most ask for no report.
    if (args.some((arg) => arg.startsWith("--report"))) (await import("./overwrites.ts")).refuseOverwrites(args, manifest);
    const config = await loadConfig(version, loaders, manifest, (made) => {
      defaults = made;
    });
    const wantsHelp = args.length === 0 || args[0] === "help";
    await runOclif(wantsHelp ? [...args.slice(1), "--help"] : args, config);
    return Number(process.exitCode ?? 0);
  } catch (error) {
    defaults?.tell();
    if (process.env.KGUARDIAN_DEBUG) console.error(error);
    if ((error as { code?: unknown }).code === "EEXIT") return Number((error as { oclif?: { exit?: number } }).oclif?.exit ?? 0);
    const { message, exitCode } = failureOf(error, id === undefined ? BIN : `${BIN} ${id}`);
    process.stderr.write(`${message}\n`);
    return exitCode;
  }
}

function withValue(arg: string): string {
  return BARE_VALUES.get(arg) ?? arg;
}

/** Returns the command that the first words name, or those words where they name none. Help and topics alone are no commands. */
function findCommand(args: readonly string[], manifest: CommandManifest): { readonly id?: string; readonly unknown?: string } {
  const end = args.findIndex((arg) => arg.startsWith("-"));
  const words = end < 0 ? args : args.slice(0, end);
  const [first] = words;
  if (first === undefined || first === "help") return {};
  const names = [...commandNames(manifest).keys()];
  if (names.includes(first)) return { id: first };
  if (!names.some((name) => name.startsWith(`${first} `))) return { unknown: first };
  if (words.length === 1) return { id: first };
  const both = `${first} ${words[1]}`;
  return names.includes(both) ? { id: both } : { unknown: both };
}

function unknownCommand(words: string, known: readonly string[]): string {
  const near = known.find((name) => name.startsWith(words) || words.startsWith(name)) ?? nearest(words, known);
  return `unknown command ${JSON.stringify(words)} for "${BIN}"; ${near === undefined ? `known: ${known.join(", ")}` : `did you mean \`${near}\`?`}`;
}

/** oclif looks for plugins and commands on disk unless it is handed a plugin that has them. */
async function loadConfig(
  version: string,
  loaders: Readonly<Record<string, CommandLoader>>,
  manifest: CommandManifest,
  onDefaults: (defaults: Defaults) => void,
): Promise<Config> {
  const name = "kubectl-kguardian";
  const pjson = {
    name,
    version,
    type: "module",
    oclif: { bin: BIN, dirname: "kguardian", topicSeparator: " ", additionalHelpFlags: ["-h"] },
  };
  const commands = Object.values(manifest).map((command) => ({
    ...command,
    pluginName: name,
    pluginType: "core",
    load: async () => {
      const id = command.id as string;
      const loaded = (await loaders[id]()).default as { args?: Record<string, object>; flags: Readonly<Record<string, FlagShape>> };
      const defaults = new Defaults(id, () => knownCommands(manifest));
      onDefaults(defaults);
      // An argument that is not given is not given: oclif would take what a pipe holds, which is `-` here and nothing else.
      const args = Object.fromEntries(Object.entries(loaded.args ?? {}).map(([name, arg]) => [name, { ...arg, ignoreStdin: true }]));
      return Object.assign(loaded, { id, args, flags: defaults.flagsWith({ ...loaded.flags, ...(COLOR_FLAG as object) }) });
    },
  }));
  const root = import.meta.dirname;
  const plugin = {
    name,
    alias: name,
    version,
    root,
    pjson,
    commands,
    commandIDs: Object.keys(manifest),
    topics: TOPICS,
    hooks: {},
    type: "core",
    moduleType: "module",
    valid: true,
    isRoot: true,
    hasManifest: true,
    options: { root },
  };
  return Config.load({ root, plugins: new Map([[name, plugin]]), pjson } as unknown as Parameters<typeof Config.load>[0]);
}

/** A reader such as `head` that has seen enough closes the pipe: no failure of ours. A full disk is one. */
function outputFailed(error: NodeJS.ErrnoException): void {
  if (error.code !== "EPIPE") process.stderr.write(`error: standard output: ${systemReason(error)}\n`);
  process.exit(error.code === "EPIPE" ? Number(process.exitCode ?? 0) : INTERNAL_ERROR);
}
