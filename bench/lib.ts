import { spawnSync } from "node:child_process";
import { accessSync, closeSync, constants, openSync, readFileSync, readSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, dirname, join } from "node:path";

/** What one run of a program cost. */
export interface Cost {
  /** User and system time of the whole process, to 10 ms (all that `/usr/bin/time` gives). */
  readonly cpuSeconds: number;
  readonly wallSeconds: number;
  readonly peakMegabytes: number;
}

/** A program that takes part in a comparison. */
export interface Contestant {
  readonly name: string;
  readonly command: readonly string[];
  /** Exit codes that mean it did its work; absent: 0. */
  readonly exitCodes?: readonly number[];
  /** Takes part in the first round only. */
  readonly slow?: boolean;
  /** Which part of the packets it reads, where it gets a smaller file: its ratio is scaled up by it. Absent: all. */
  readonly part?: number;
  /** Most that its ratio may be. */
  readonly ratioTarget?: number;
  /** Most seconds of wall time that it may take, in the median. */
  readonly wallTarget?: number;
  /** Most that its peak memory may be. */
  readonly peakTarget?: number;
  /** Its output is counts in one line, to be shown under the table. */
  readonly tells?: boolean;
  /** Ours: its failure is an error. A peer's is named only. */
  readonly ours?: boolean;
}

/** A contestant with its runs, in the order of the rounds; `failure` says why there are none. */
export interface Result {
  readonly contestant: Contestant;
  readonly costs: Cost[];
  readonly told?: string;
  readonly failure?: string;
}

const timePath = "/usr/bin/time";

/** Reports whether the program is there that measures child processes. */
export function canMeasure(): boolean {
  return isExecutable(timePath);
}

/** The full path of a program on PATH, or undefined. */
export function findProgram(name: string): string | undefined {
  return (process.env.PATH ?? "")
    .split(delimiter)
    .map((folder) => join(folder, name))
    .find(isExecutable);
}

export function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/** The environment for children: `env node` in a first line finds the Node that runs this. */
export const childEnvironment = { ...process.env, PATH: `${dirname(process.execPath)}${delimiter}${process.env.PATH}` };

/** Reads a file once, so that the first contestant finds it in memory as the later ones do. */
export function warm(path: string): void {
  const file = openSync(path, "r");
  const buffer = Buffer.alloc(4 << 20);
  while (readSync(file, buffer) > 0);
  closeSync(file);
}

/** The middle number, or the mean of the middle two; NaN of none. */
export function median(numbers: readonly number[]): number {
  const sorted = numbers.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

/** Runs the contestants in turn, `rounds` times (A B C, A B C, …), so that a slow minute of the machine hits all of them. */
export function alternate(contestants: readonly Contestant[], rounds: number): Result[] {
  const results: (Result & { told?: string; failure?: string })[] = contestants.map((contestant) => ({ contestant, costs: [] }));
  for (let round = 0; round < rounds; round++) {
    for (const result of results) {
      if (result.failure !== undefined || (result.contestant.slow && round > 0)) continue;
      const outcome = runOnce(result.contestant);
      if ("failure" in outcome) Object.assign(result, { failure: outcome.failure });
      else {
        result.costs.push(outcome.cost);
        if (result.contestant.tells) Object.assign(result, { told: outcome.told });
      }
    }
  }
  return results;
}

function runOnce({ command, exitCodes = [0], tells = false }: Contestant): { cost: Cost; told: string } | { failure: string } {
  const report = join(tmpdir(), `kguardian-bench-${process.pid}.txt`);
  const run = spawnSync(timePath, ["-q", "-f", "%U %S %e %M", "-o", report, ...command], {
    stdio: ["ignore", tells ? "pipe" : "ignore", "pipe"],
    env: childEnvironment,
    encoding: "utf8",
    maxBuffer: 1 << 26,
  });
  if (run.error !== undefined) return { failure: run.error.message };
  if (run.status === null || !exitCodes.includes(run.status)) {
    const reason = run.stderr.split("\n").find((line) => /\S/.test(line) && !line.startsWith("file:") && !line.startsWith("node:"));
    return { failure: `exit code ${run.status}: ${reason?.trim() ?? "no message"}` };
  }
  const [user, system, wallSeconds, kilobytes] = readFileSync(report, "utf8").trim().split(" ").map(Number);
  rmSync(report);
  return { cost: { cpuSeconds: user + system, wallSeconds, peakMegabytes: kilobytes / 1024 }, told: tells ? run.stdout.trim() : "" };
}

/**
 * CPU time against the yardstick's, round by round, then the median; a slow contestant's only run against the yardstick's median.
 * Undefined where either did not run.
 */
export function ratioTo(yardstick: Result | undefined, result: Result): number | undefined {
  if (yardstick === undefined || yardstick.costs.length === 0 || result.costs.length === 0) return undefined;
  const { part = 1, slow = false } = result.contestant;
  const usual = median(yardstick.costs.map(({ cpuSeconds }) => cpuSeconds));
  return median(result.costs.map(({ cpuSeconds }, round) => cpuSeconds / part / (slow ? usual : yardstick.costs[round].cpuSeconds)));
}

/** Lines under one another, columns padded: the first to the left, the others to the right. */
export function renderTable(rows: readonly (readonly string[])[]): string {
  const widths = rows[0].map((_, column) => Math.max(...rows.map((row) => row[column].length)));
  return rows
    .map((row) => row.map((cell, column) => (column === 0 ? cell.padEnd(widths[0]) : cell.padStart(widths[column]))).join("  "))
    .map((line) => `${line.trimEnd()}\n`)
    .join("");
}

/** The costs as a table with the ratio to `yardstick` and whether targets are met, then what was left out and why. */
export function renderResults(results: readonly Result[], yardstick: string): string {
  const base = results.find(({ contestant }) => contestant.name === yardstick);
  const ran = results.filter(({ costs }) => costs.length > 0);
  const rows = ran.map((result) => {
    const { name, part, ratioTarget, wallTarget, peakTarget } = result.contestant;
    const wall = median(result.costs.map((cost) => cost.wallSeconds));
    const peak = Math.max(...result.costs.map((cost) => cost.peakMegabytes));
    const ratio = ratioTo(base, result);
    const judged = [judge("ratio", ratio, ratioTarget), judge("wall s", wall, wallTarget), judge("MB", peak, peakTarget)];
    const targets = judged.filter((text) => text !== "");
    return [
      part === undefined ? name : `${name} (${Math.round(part * 100)} % of it)`,
      median(result.costs.map((cost) => cost.cpuSeconds)).toFixed(2),
      wall.toFixed(2),
      peak.toFixed(0),
      ratio === undefined ? "-" : ratio.toFixed(2),
      targets.join(", "),
    ];
  });
  const told = ran.filter((result) => result.told !== undefined).map(({ contestant, told }) => `  ${contestant.name}: ${told}\n`);
  const failed = results
    .filter(({ failure }) => failure !== undefined)
    .map((each) => `  left out: ${each.contestant.name}: ${each.failure}\n`);
  return renderTable([["", "cpu s", "wall s", "peak MB", "ratio", "target"], ...rows]) + told.join("") + failed.join("");
}

function judge(what: string, value: number | undefined, target: number | undefined): string {
  if (value === undefined || target === undefined) return "";
  return `${what} ≤ ${target}: ${value <= target ? "met" : "MISSED"}`;
}
