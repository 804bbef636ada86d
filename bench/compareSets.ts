import { spawnSync } from "node:child_process";
import { closeSync, openSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { COMPARED_SIZES, type ComparedSet, type ComparisonPaths, makeComparisonWorld } from "./comparisonWorld.ts";
import { type Contestant, childEnvironment } from "./lib.ts";
import { MIXED } from "./mixedPolicies.ts";
import type { Size } from "./policyWorld.ts";

/*
 * `matrix` and `diff` on whole policy sets: contestants for `npm run bench compare`, beside a program that only parses the same files
 * with the same libraries, and beside what starting costs. Mixed dialects at the larger size alone.
 */

/** Programs that are to be compared, and whose CPU time the ratios are to. */
export interface Comparison {
  readonly title: string;
  readonly contestants: readonly Contestant[];
  readonly yardstick: string;
}

/** On two cores. Most of the smaller size is starting up. */
const GOALS = { small: 0.3, large: 5, megabytes: 1000 };

/** Makes the inputs and returns what is to be compared on them, one set at a time. `plugin` is the program to measure. */
export function* comparisons(plugin: string, folder: string, say: (text: string) => void): Generator<Comparison> {
  for (const size of COMPARED_SIZES) {
    for (const name of size.pods > 1000 ? (["plain", ...MIXED] as const) : (["plain"] as const)) {
      const paths = makeComparisonWorld(folder, size, name);
      const inPlace = paths.replaced === 0 ? "" : `; NetworkPolicies in place of ${paths.replaced} that no printer has words for`;
      say(`\n${titleOf(size, name)}: one rule differs: ${paths.changed}${inPlace}`);
      yield* comparisonsOf(plugin, paths, size, name);
    }
  }
}

function titleOf({ pods, policies }: Size, name: ComparedSet): string {
  return `${pods} pods, ${policies} policies${name === "plain" ? "" : `, ${name === "generic" ? "with admin policies" : name}`}`;
}

function comparisonsOf(plugin: string, { snapshot, before, after }: ComparisonPaths, size: Size, name: ComparedSet): Comparison[] {
  const seconds = size.pods > 1000 ? GOALS.large : GOALS.small;
  const cluster = ["--snapshot", snapshot, "--cni", name === "plain" ? "generic" : name];
  const ours = (title: string, args: readonly string[], more: Partial<Contestant> = {}): Contestant => ({
    name: title,
    command: [plugin, ...args, ...cluster],
    wallTarget: seconds,
    peakTarget: GOALS.megabytes,
    ours: true,
    ...more,
  });
  const outputs = name === "plain" ? ["json", "csv", "table"] : ["json"];
  const matrices = outputs.map((output) => ours(`matrix -o ${output}`, ["matrix", "-f", before, "-o", output]));
  // A difference is exit code 1.
  const diff = ours("diff -o json", ["diff", before, after, "-o", "json"], { exitCodes: [1] });
  const beside = (folders: readonly string[]): Contestant[] => [
    parser([snapshot, ...folders]),
    { name: "node -e 0", command: [process.execPath, "-e", "0"] },
    { name: "version", command: [plugin, "version"] },
  ];
  return [
    { title: `matrix, ${titleOf(size, name)}`, contestants: [...beside([before]), ...matrices], yardstick: PARSER },
    { title: `diff, ${titleOf(size, name)}`, contestants: [...beside([before, after]), diff], yardstick: PARSER },
  ];
}

const PARSER = "JSON.parse and YAML load";

function parser(paths: readonly string[]): Contestant {
  return { name: PARSER, command: [process.execPath, join(import.meta.dirname, "parseManifests.ts"), ...paths], tells: true };
}

/**
 * Runs one of our contestants once, not timed, with its output in a file, and returns what it wrote in words; fails with an Error where
 * that is not what it was asked for: an exit code that says otherwise, no JSON, a `diff` that does not find the one change.
 */
export function checkAnswer({ name, command, exitCodes = [0] }: Contestant, folder: string): string {
  const path = join(folder, "compare-answer.txt");
  const file = openSync(path, "w");
  const run = spawnSync(command[0], command.slice(1), { stdio: ["ignore", file, "pipe"], env: childEnvironment, encoding: "utf8" });
  closeSync(file);
  if (run.error !== undefined) throw run.error;
  if (run.status === null || !exitCodes.includes(run.status))
    throw new Error(`exit code ${run.status}, not ${exitCodes.join(" or ")}: ${run.stderr.trim().split("\n").at(-1) || "no message"}`);
  const { size } = statSync(path);
  if (size === 0) throw new Error("no output");
  const written = `${name}: ${(size / 1000).toFixed(1)} kB`;
  if (!command.includes("json")) return written;
  const report = JSON.parse(readFileSync(path, "utf8")) as { policies?: { change: string }[]; connectivity?: unknown[] };
  if (!command.includes("diff")) return written;
  const changed = report.policies?.filter(({ change }) => change !== "unchanged").length;
  if (changed !== 1) throw new Error(`${changed} policies differ, not the one that was changed`);
  const rows = report.connectivity?.length ?? 0;
  if (rows === 0) throw new Error("a port was changed, and no connectivity");
  return `${written}, ${rows} rows of connectivity`;
}
