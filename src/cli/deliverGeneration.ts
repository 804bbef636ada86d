import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { dump } from "js-yaml";
import { systemReason } from "../capture/byteSource.ts";
import {
  type GenerationResult,
  generationDocuments,
  generationFiles,
  generationJson,
  generationNames,
  generationReport,
  generationTable,
} from "../report/generationReport.ts";
import { printable } from "../report/text.ts";
import { tellDamage } from "./damage.ts";
import { UsageError } from "./errors.ts";
import { terminalStyle, writeFilePieces, writePieces } from "./output.ts";

export interface DeliverGenerationFlags {
  readonly output: string;
  readonly report: readonly string[];
  readonly strict: boolean;
  /** What is extended: its own files may be overwritten. */
  readonly merge: string | undefined;
  /** Empty: policies go to standard output. Absent: where what is extended is, else `policies`. */
  readonly outputDirectory: string | undefined;
}

/** What every file of ours has in it (a label of the policy). */
const OURS = /^ {4}app\.kubernetes\.io\/managed-by: kguardian$/m;

/** Writes the policies' files and prints the result. */
export async function deliverGeneration(result: GenerationResult, flags: DeliverGenerationFlags): Promise<void> {
  const reports = flags.report.map(parseReport);
  tellDamage(result.inputs, flags.strict);
  const { outputDirectory = flags.merge === undefined ? "policies" : directoryOf(flags.merge) } = flags;
  const directory = outputDirectory === "" ? undefined : outputDirectory;
  // A report that cannot be written must not leave policies behind that nobody was told of.
  for (const file of reports) await writeFilePieces(file, [generationJson(result, directory)]);
  const stale = directory === undefined ? [] : writeFiles(result, directory, flags.merge);
  const whole = stale.length === 0 ? result : { ...result, warnings: [...result.warnings, staleText(stale, directory as string)] };
  const isTable = flags.output === "table" || flags.output === "wide";
  if (!isTable) for (const warning of whole.warnings) process.stderr.write(`warning: ${printable(warning)}\n`);
  if (directory === undefined && isTable) {
    // The policies are the result: what else there is to say must not get between them.
    process.stderr.write(generationTable(whole, directory, flags.output === "wide"));
    await writePieces(process.stdout, [generationDocuments(whole)]);
    return;
  }
  await writePieces(process.stdout, [printed(whole, flags.output, directory)]);
}

function directoryOf(path: string): string {
  return statSync(path).isDirectory() ? path : dirname(path);
}

function printed(result: GenerationResult, output: string, directory: string | undefined): string {
  switch (output) {
    case "json":
      return generationJson(result, directory);
    case "yaml":
      return dump(
        JSON.parse(JSON.stringify(generationReport(result, directory)), (_key, field) =>
          typeof field === "string" ? printable(field) : field,
        ),
      );
    case "name":
      return generationNames(result);
    default:
      return generationTable(result, directory, output === "wide", terminalStyle());
  }
}

/**
 * Writes all files or none: each beside its place first, then moved there. A file of the same name that is neither ours nor one of
 * those that are extended is not overwritten. Returns files of ours that an earlier run left and this one did not write.
 */
function writeFiles(result: GenerationResult, directory: string, merge: string | undefined): string[] {
  const files = generationFiles(result).map(({ file, text }) => ({ file, path: join(directory, file), text }));
  const parts: string[] = [];
  try {
    makeDirectory(directory);
    for (const { path } of files) {
      if (!existsSync(path) || isInside(path, merge) || OURS.test(readFileSync(path, "utf8"))) continue;
      throw new UsageError(
        `${path} is not of this program (no label app.kubernetes.io/managed-by: kguardian) and is not overwritten: give another --output-dir`,
      );
    }
    for (const [i, { path, text }] of files.entries()) {
      makeDirectory(dirname(path));
      parts.push(join(dirname(path), `.kguardian-${process.pid}-${i}.part`));
      writeFileSync(parts[i], text);
    }
    for (const [i, { path }] of files.entries()) renameSync(parts[i], path);
    if (merge !== undefined) return [];
    const written = new Set(files.map(({ file }) => file));
    return readdirSync(directory, { withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map(({ name }) => name)
      .filter(
        (name) => name.endsWith("-networkpolicy.yaml") && !written.has(name) && OURS.test(readFileSync(join(directory, name), "utf8")),
      )
      .sort();
  } catch (error) {
    for (const part of parts) if (existsSync(part)) rmSync(part, { force: true });
    if (error instanceof UsageError) throw error;
    throw new UsageError(`--output-dir: ${directory}: ${systemReason(error)}`);
  }
}

/** Makes a directory and those above it. Node's own way never returns where the system says that there can be none, as in /proc. */
function makeDirectory(path: string): void {
  if (statSync(path, { throwIfNoEntry: false })?.isDirectory()) return;
  const above = dirname(path);
  if (above !== path) makeDirectory(above);
  mkdirSync(path);
}

/** Reports whether a file is one that is extended, or lies in the folder of those. */
function isInside(path: string, merge: string | undefined): boolean {
  if (merge === undefined) return false;
  const [file, given] = [resolve(path), resolve(merge)];
  return file === given || file.startsWith(`${given}/`);
}

function staleText(files: readonly string[], directory: string): string {
  const names = files.length <= 5 ? files.join(", ") : `${files.slice(0, 5).join(", ")} and ${files.length - 5} more`;
  return `${directory} also holds ${names} of an earlier run, not written this time`;
}

function parseReport(text: string): string {
  const equals = text.indexOf("=");
  const [format, file] = [text.slice(0, equals), text.slice(equals + 1)];
  if (equals < 0 || file === "") throw new UsageError(`--report: \`${text}\` is not FORMAT=FILE, such as json=report.json`);
  if (format !== "json") throw new UsageError(`--report: ${format} reports of generated policies are not written (json is)`);
  return file;
}
