import { grouped } from "../net/number.ts";
import { simulationJson, simulationYaml } from "../report/simulationJson.ts";
import { simulationMarkdown } from "../report/simulationMarkdown.ts";
import type { SimulationResult } from "../report/simulationResult.ts";
import { simulationNames, simulationTable } from "../report/simulationTable.ts";
import { printable } from "../report/text.ts";
import { tellDamage } from "./damage.ts";
import { FOUND, UsageError } from "./errors.ts";
import { terminalStyle, writeFilePieces, writePieces } from "./output.ts";

export interface DeliverFlags {
  readonly output: string;
  readonly report: readonly string[];
  readonly exitZero: boolean;
  readonly strict: boolean;
  readonly failOn: "drop" | "unknown";
}

const REPORTS: Readonly<Record<string, (result: SimulationResult) => Iterable<string | Uint8Array>>> = {
  json: simulationJson,
  markdown: (result) => [simulationMarkdown(result)],
};

/** Formats that the command contract names and that this version does not write yet. */
const LATER = ["sarif", "junit", "html"];

/** Prints a simulation's report and writes the further ones; returns the exit code. */
export async function deliverSimulation(result: SimulationResult, flags: DeliverFlags): Promise<number> {
  const reports = flags.report.map(parseReport);
  tellDamage(result.inputs, flags.strict);
  // A table shows these among its lines; scripts find them in the report, people here.
  if (flags.output !== "table" && flags.output !== "wide")
    for (const warning of result.warnings) process.stderr.write(`warning: ${printable(warning)}\n`);
  // Files first: one that cannot be written must not follow a report that looks whole.
  for (const { format, file } of reports) await writeFilePieces(file, REPORTS[format](result));
  const exitCode = exitCodeOf(result, flags);
  // A reader that closes the pipe ends the program: with this.
  process.exitCode = exitCode;
  await writePieces(process.stdout, piecesOf(result, flags.output));
  return exitCode;
}

function piecesOf(result: SimulationResult, output: string): Iterable<string | Uint8Array> {
  switch (output) {
    case "json":
      return simulationJson(result);
    case "yaml":
      return simulationYaml(result);
    case "name":
      return [simulationNames(result)];
    default:
      return [simulationTable(result, output === "wide", terminalStyle())];
  }
}

function parseReport(text: string): { format: string; file: string } {
  const equals = text.indexOf("=");
  const format = text.slice(0, equals);
  const file = text.slice(equals + 1);
  const known = Object.keys(REPORTS).join(" and ");
  if (equals < 0 || file === "") throw new UsageError(`--report: \`${text}\` is not FORMAT=FILE, such as markdown=report.md`);
  if (LATER.includes(format)) throw new UsageError(`--report: ${format} reports are not written by this version (${known} are)`);
  if (!Object.hasOwn(REPORTS, format)) throw new UsageError(`--report: unknown format \`${format}\` (known: ${known})`);
  return { format, file };
}

function exitCodeOf({ summary }: SimulationResult, { failOn, exitZero }: DeliverFlags): number {
  const isFound = summary.wouldDrop > 0 || (failOn === "unknown" && summary.unknown > 0);
  if (!isFound && summary.unknown > 0)
    process.stderr.write(
      `note: ${grouped(summary.unknown)} of ${grouped(summary.connections)} connections ${summary.unknown === 1 ? "has" : "have"} an unknown verdict, which --fail-on unknown would fail on\n`,
    );
  return isFound && !exitZero ? FOUND : 0;
}
