import { realpathSync, type Stats, statSync } from "node:fs";
import { basename, dirname, relative, resolve, sep } from "node:path";
import { isManifestName } from "../cluster/manifest.ts";
import { readLine } from "./completion/line.ts";
import { UsageError } from "./errors.ts";
import type { CommandManifest, DescribedFlag } from "./manifest.ts";

/** A file or folder of the command line, and where on it it stands. */
interface Named {
  readonly path: string;
  readonly by: string;
}

const ARGUMENT = "an argument";
/** Folders whose files are read whatever their names are. */
const OF_TRAFFIC = ["--pcap", "--flows"];
/** Folders that are written to: a report beside what a command writes is nobody's input. */
const WRITTEN = ["--output-dir"];

/**
 * Refuses reports that would overwrite what else the words of a command line name, or that would lie among the files of a folder which
 * is read, where the next run would read them. Throws a UsageError. Nothing is read for it.
 */
export function refuseOverwrites(words: readonly string[], manifest: CommandManifest): void {
  const asked = readLine([...words, ""], manifest);
  if (asked.kind !== "argument") return;
  const { command, given, before } = asked;
  const flags = [...given].filter(([name]) => name !== "report" && takesPath(command.flags[name]));
  const named: Named[] = [
    ...flags.flatMap(([name, values]) => values.map((path) => ({ path, by: `--${name}` }))),
    ...before.map((path) => ({ path, by: ARGUMENT })),
  ];
  // -R also stands among others (-Rf DIR).
  const isRecursive = given.has("recursive") || words.some((word) => /^-\w*R/.test(word));
  for (const text of given.get("report") ?? []) {
    const file = text.slice(text.indexOf("=") + 1);
    for (const each of named) refuseOverwrite(file, each, isRecursive);
  }
}

function takesPath(flag: DescribedFlag | undefined): boolean {
  return /FILE|DIR/.test(flag?.helpValue ?? "");
}

function refuseOverwrite(file: string, { path, by }: Named, isRecursive: boolean): void {
  if (path === "-") return;
  const [target, place] = [placeOf(file), placeOf(path)];
  if (target === undefined || place === undefined) return;
  const kind = kindOf(place);
  // Arguments may be names of pods. A terminal or pipe is nothing that could be overwritten.
  if (target === place && (kind === undefined ? by !== ARGUMENT : kind.isFile()))
    throw new UsageError(`--report: \`${file}\` is also named by ${by}, and the report would overwrite it: give the report its own file`);
  if (kind?.isDirectory() !== true || WRITTEN.includes(by)) return;
  const below = relative(place, target);
  if (below === "" || below.startsWith("..") || (below.includes(sep) && !isRecursive)) return;
  const name = basename(file);
  const isRead = OF_TRAFFIC.includes(by) ? !below.includes(sep) && !name.startsWith(".") : isManifestName(name);
  if (isRead)
    throw new UsageError(
      `--report: \`${file}\` lies in the folder \`${path}\` of ${by}, where files of this name are read: put the report elsewhere`,
    );
}

function kindOf(path: string): Stats | undefined {
  try {
    return statSync(path);
  } catch {
    return undefined;
  }
}

/** Returns where a path leads, symbolic links followed; undefined where there is no such folder. */
function placeOf(path: string): string | undefined {
  try {
    return realpathSync(path);
  } catch {
    try {
      return resolve(realpathSync(dirname(path)), basename(path));
    } catch {
      return undefined;
    }
  }
}
