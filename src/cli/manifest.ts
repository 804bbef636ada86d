import type { KnownCommands } from "./configFile.ts";
import type { FlagShape } from "./settings.ts";

/* What is known of commands without loading them: the build embeds it. */

/** What users type. */
export const BIN = "kubectl kguardian";

/** Loads the module of a command; its default export is the oclif class. */
export type CommandLoader = () => Promise<{ readonly default: unknown }>;

/** What help and completion know of a flag. */
export interface DescribedFlag extends FlagShape {
  readonly name: string;
  readonly char?: string;
  readonly summary?: string;
  readonly helpValue?: string;
  readonly helpGroup?: string;
  readonly env?: string;
  readonly hidden?: boolean;
  /** Also as `--no-NAME`. */
  readonly allowNo?: boolean;
}

export interface DescribedArgument {
  readonly name: string;
  readonly description?: string;
  readonly required?: boolean;
  readonly options?: readonly string[];
}

export interface DescribedCommand {
  /** `gen:networkpolicy`. */
  readonly id: string;
  readonly aliases: readonly string[];
  readonly summary?: string;
  readonly description?: string;
  readonly usage?: string | readonly string[];
  readonly examples?: readonly { readonly description: string; readonly command: string }[];
  readonly args: Readonly<Record<string, DescribedArgument>>;
  readonly flags: Readonly<Record<string, DescribedFlag>>;
  /** False: the last argument may be given several times. */
  readonly strict?: boolean;
}

/** Commands by their ids. */
export type CommandManifest = Readonly<Record<string, DescribedCommand>>;

/** Words that several commands begin with. */
export const TOPICS: readonly { readonly name: string; readonly description: string }[] = [
  { name: "audit", description: "Look at audit policies and promote them." },
  { name: "gen", description: "Write policies and seccomp profiles from what was observed." },
];

/** Flags that may stand without a value though oclif wants one, with what they then mean (kubectl: NoOptDefVal). */
export const BARE_VALUES: ReadonlyMap<string, string> = new Map([["--dry-run", "--dry-run=true"]]);

/** Returns the names that commands are typed by, aliases too, each with the id of its command. */
export function commandNames(manifest: CommandManifest): Map<string, string> {
  const names = Object.entries(manifest).flatMap(([id, { aliases }]) =>
    [id, ...aliases].map((name) => [name.replaceAll(":", " "), id] as const),
  );
  return new Map(names);
}

/** Returns what settings are held against. */
export function knownCommands(manifest: CommandManifest): KnownCommands {
  return { flags: Object.fromEntries(Object.entries(manifest).map(([id, { flags }]) => [id, flags])), ids: commandNames(manifest) };
}

/** Returns a command's text with the names that oclif's templates leave open. */
export function filledIn(template: string, id: string): string {
  return template.replaceAll("<%= config.bin %>", BIN).replaceAll("<%= command.id %>", id.replaceAll(":", " "));
}
