import { resolve } from "node:path";
import type { InputSummary } from "../capture/observation.ts";
import type { FindingReport } from "../report/findings.ts";
import { tellDamage, tellWarnings } from "./damage.ts";
import { FOUND, UsageError } from "./errors.ts";
import { forTerminal, type Pieces, writeFilePieces, writePieces } from "./output.ts";
import { reportOrigin } from "./reportOrigin.ts";

/** Makes one form of a result when it is asked for: what is not asked for is neither made nor, where this imports it, loaded. */
export type Renderer = () => Pieces | Promise<Pieces>;

/** What a command has found out, in every form in which it can be had. */
export interface Deliverable {
  /** What is printed, by the value of `-o`. */
  readonly outputs: Readonly<Record<string, Renderer>>;
  /** What `--report` writes, by format, in the order in which messages name them. */
  readonly reports?: Readonly<Record<string, Renderer>>;
  /** What was read: damage of it is told, and with `--strict` refused. */
  readonly inputs?: readonly InputSummary[];
  /** One line each. Tables show them among their own lines; with any other output they are told on standard error. */
  readonly warnings: readonly string[];
  /** Whole lines, safe to print, that go to standard error before the output, whatever that is. */
  readonly aside?: string;
  /** Something was found that a script may want to fail for: exit code 1. */
  readonly isFound?: boolean;
}

/** The flags of a delivery. Commands that lack one leave it out. */
export interface DeliverFlags {
  readonly output: string;
  readonly report?: readonly string[];
  readonly strict?: boolean;
  readonly exitZero?: boolean;
}

/** A further report that `--report` asks for. */
export interface ReportRequest {
  readonly format: string;
  readonly file: string;
}

/** Formats that commands with findings write: for scripts, people, code review and CI. */
export const FINDING_FORMATS = ["json", "markdown", "sarif", "junit"] as const;

/** Formats that the command contract names. */
const FORMATS: readonly string[] = [...FINDING_FORMATS, "html"];

/**
 * Delivers a result: tells of damaged inputs and of what else there is to know, writes the reports, prints the output. Returns the
 * exit code. Throws a UsageError for reports that cannot be had, and with `strict` for inputs that were read in part.
 */
export async function deliver(deliverable: Deliverable, flags: DeliverFlags): Promise<number> {
  const { outputs, reports = {}, inputs = [], warnings, aside = "", isFound = false } = deliverable;
  const requests = parseReports(flags.report ?? [], Object.keys(reports));
  tellDamage(inputs, flags.strict ?? false);
  if (!isTable(flags.output)) tellWarnings(warnings);
  // Files first: one that cannot be written must not follow a report that looks whole.
  await writeReports(requests, reports);
  process.stderr.write(aside);
  const exitCode = isFound && !flags.exitZero ? FOUND : 0;
  // A reader that closes the pipe ends the program: with this.
  process.exitCode = exitCode;
  const pieces = await outputs[flags.output]();
  await writePieces(process.stdout, isTable(flags.output) ? forTerminal(pieces) : pieces);
  return exitCode;
}

/** Returns the reports for CI systems of what was found, which is made when either is asked for. */
export function findingReports(findings: () => Promise<FindingReport>): Readonly<Record<"sarif" | "junit", Renderer>> {
  return {
    sarif: async () => (await import("../report/sarif.ts")).sarif(await findings(), reportOrigin()),
    junit: async () => (await import("../report/junit.ts")).junit(await findings(), reportOrigin()),
  };
}

/** Reports whether an output is read by people, line by line: it then shows warnings itself. */
export function isTable(output: string): boolean {
  return output === "table" || output === "wide";
}

/**
 * Reads the values of `--report`. `known` are the formats that the command has. Commands that work for long, or change anything, call
 * this first: a misspelt report must not cost the result.
 */
export function parseReports(texts: readonly string[], known: readonly string[]): ReportRequest[] {
  const files = new Set<string>();
  return texts.map((text) => {
    const request = parseReport(text, known);
    const path = resolve(request.file);
    if (files.has(path)) throw new UsageError(`--report: ${request.file} is asked for twice: give each report its own file`);
    files.add(path);
    return request;
  });
}

function parseReport(text: string, known: readonly string[]): ReportRequest {
  const equals = text.indexOf("=");
  const format = text.slice(0, equals);
  const file = text.slice(equals + 1);
  if (equals < 0 || file === "") throw new UsageError(`--report: \`${text}\` is not FORMAT=FILE, such as ${known[0]}=FILE`);
  if (known.includes(format)) return { format, file };
  const names = known.length < 2 ? known.join("") : `${known.slice(0, -1).join(", ")} and ${known[known.length - 1]}`;
  const whoDoesNot = format === "html" ? "version" : "command";
  if (FORMATS.includes(format))
    throw new UsageError(
      `--report: ${format} reports are not written by this ${whoDoesNot} (${names} ${known.length === 1 ? "is" : "are"})`,
    );
  throw new UsageError(`--report: unknown format \`${format}\` (known: ${names})`);
}

/** Writes reports to their files, one after the other. */
export async function writeReports(requests: readonly ReportRequest[], reports: Readonly<Record<string, Renderer>>): Promise<void> {
  for (const { format, file } of requests) await writeFilePieces(file, await reports[format]());
}
