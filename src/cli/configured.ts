import { existsSync } from "node:fs";
import { delimiter } from "node:path";
import { printable } from "../report/text.ts";
import type { ConfigFile, KnownCommands } from "./configFile.ts";
import { accepts, type FlagShape, type Setting, settingOf } from "./settings.ts";

/** A value that took the place of a flag's own default, and where it came from. */
export interface Filled {
  readonly setting: Setting;
  readonly values: readonly string[];
  /** A variable's name, or the path of the file. */
  readonly from: string;
  readonly isFile: boolean;
}

type Flags = Readonly<Record<string, FlagShape>>;

/** What an oclif default is told: the flags of the command line. */
interface DefaultContext {
  readonly flags: Readonly<Record<string, unknown>>;
}

/**
 * Finds the defaults that a user has set, in variables and in the configuration file. The file is read when the first flag that it could
 * say something of is not given, and once.
 */
export class Defaults {
  readonly #id: string;
  readonly #known: () => KnownCommands;
  readonly #filled: Filled[] = [];
  #told = 0;
  #file: Promise<ConfigFile | undefined> | undefined;

  constructor(id: string, known: () => KnownCommands) {
    this.#id = id;
    this.#known = known;
  }

  /** Returns a command's flags, those with a setting with that as their default. oclif asks a default only where a flag is not given. */
  flagsWith(flags: Flags): Flags {
    const withDefaults = Object.entries(flags).map(([name, flag]) => {
      const setting = settingOf(this.#id, name, flag);
      if (setting === undefined) return [name, flag];
      const fallback = flag.default;
      const ask = async (context: DefaultContext) => {
        const values = await this.valueOf(setting, flag, context.flags);
        if (values === undefined) return typeof fallback === "function" ? await fallback(context) : fallback;
        // As the parser does with what is given.
        const read = await Promise.all(values.map((value) => flag.parse?.(value) ?? value));
        return setting.isList ? read : read[0];
      };
      return [name, { ...flag, default: ask }];
    });
    return Object.fromEntries(withDefaults);
  }

  /** Returns what a setting says where its flag is not among those given; undefined: nothing. */
  async valueOf(setting: Setting, flag: FlagShape, given: Readonly<Record<string, unknown>>): Promise<readonly string[] | undefined> {
    if (setting.unlessFlags?.some((name) => given[name] !== undefined && given[name] !== false)) return undefined;
    const stated = process.env[setting.variable];
    if (stated) {
      const values = setting.isList ? stated.split(delimiter).filter((text) => text !== "") : [stated];
      const { isKnown, isTaken } = await this.#judge(setting, flag, values);
      if (!isKnown) await this.#refuse(setting, stated);
      // Where the program reads the variable itself, nothing is filled in.
      if (isTaken && !setting.fillsVariable) return this.#fill({ setting, values, from: setting.variable, isFile: false });
    }
    if (stated || (setting.unlessVariable !== undefined && process.env[setting.unlessVariable])) return undefined;
    this.#file ??= this.#open();
    const file = await this.#file;
    const values = file?.commands.get(this.#id)?.get(setting.field) ?? file?.defaults.get(setting.field);
    if (file === undefined || values === undefined || !values.every((value) => accepts(flag, value))) return undefined;
    this.#fill({ setting, values, from: file.path, isFile: true });
    if (!setting.fillsVariable) return values;
    process.env[setting.variable] = values[0];
    return undefined;
  }

  /**
   * Says on standard error what was filled in since it was last asked, a line a source: of the file what changes findings, with
   * KGUARDIAN_DEBUG everything.
   */
  tell(): void {
    const told = this.#filled.slice(this.#told).filter(({ setting, isFile }) => process.env.KGUARDIAN_DEBUG || (isFile && setting.isTold));
    this.#told = this.#filled.length;
    for (const [from, filled] of Map.groupBy(told, (each) => each.from)) {
      const flags = filled.flatMap(({ setting, values }) => values.map((value) => `--${setting.flag} ${value}`));
      process.stderr.write(`${printable(`note: from ${from}: ${flags.sort().join(", ")}`)}\n`);
    }
  }

  #fill(filled: Filled): readonly string[] {
    this.#filled.push(filled);
    // All flags that the file fills are filled in within one turn: told together, before any work begins.
    if (this.#filled.length === this.#told + 1) setImmediate(() => this.tell());
    return filled.values;
  }

  /** Reports whether a variable's values suit this command, and whether they suit any. */
  async #judge(setting: Setting, flag: FlagShape, values: readonly string[]): Promise<{ isKnown: boolean; isTaken: boolean }> {
    const isTaken = values.every((value) => accepts(flag, value));
    if (isTaken) return { isKnown: true, isTaken };
    const others = Object.values(this.#known().flags).flatMap((flags) => (setting.flag in flags ? [flags[setting.flag]] : []));
    return { isKnown: others.some((other) => values.every((value) => accepts(other, value))), isTaken };
  }

  async #refuse(setting: Setting, text: string): Promise<never> {
    const { UsageError } = await import("./errors.ts");
    const { instead, quote } = await import("../policy/objectReader.ts");
    const options = [...new Set(Object.values(this.#known().flags).flatMap((flags) => flags[setting.flag]?.options ?? []))];
    throw new UsageError(
      `${setting.variable}: ${quote(text)} is no value of --${setting.flag}${instead(text, options, options.join(", "))}`,
    );
  }

  async #open(): Promise<ConfigFile | undefined> {
    // Without a file, what reads YAML is not loaded: start-up is felt at every call.
    const { configPlace } = await import("./configPlace.ts");
    const place = configPlace();
    if (place === undefined || (!place.isNamed && !existsSync(place.path))) return undefined;
    const { readConfigFile } = await import("./configFile.ts");
    return readConfigFile(place, this.#known());
  }
}
