import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { dump } from "js-yaml";
import { systemReason } from "../capture/byteSource.ts";
import {
  type GenerationResult,
  generationDocuments,
  generationJson,
  generationNames,
  generationReport,
  generationTable,
} from "../report/generationReport.ts";
import { printable } from "../report/text.ts";
import { UsageError } from "./errors.ts";
import { terminalStyle, writeFilePieces, writePieces } from "./output.ts";

export interface DeliverGenerationFlags {
  readonly output: string;
  readonly report: readonly string[];
  readonly strict: boolean;
  /** Empty: policies go to standard output. */
  readonly outputDirectory: string;
}

/** What every file of ours has in it (a label of the policy). */
const OURS = /^ {4}app\.kubernetes\.io\/managed-by: kguardian$/m;

/** Writes the policies' files and prints the result. */
export async function deliverGeneration(result: GenerationResult, flags: DeliverGenerationFlags): Promise<void> {
  const reports = flags.report.map(parseReport);
  const damage = result.inputs.flatMap(({ name, warnings }) => warnings.map((warning) => `${name}: ${warning}`));
  if (flags.strict && damage.length > 0)
    throw new UsageError(`--strict: ${damage.length === 1 ? "an input was" : "inputs were"} read only in part: ${damage[0]}`);
  for (const warning of damage) process.stderr.write(`warning: ${printable(warning)}\n`);
  const directory = flags.outputDirectory === "" ? undefined : flags.outputDirectory;
  const stale = directory === undefined ? [] : writeFiles(result, directory);
  const whole = stale.length === 0 ? result : { ...result, warnings: [...result.warnings, staleText(stale, directory as string)] };
  const isTable = flags.output === "table" || flags.output === "wide";
  if (!isTable) for (const warning of whole.warnings) process.stderr.write(`warning: ${printable(warning)}\n`);
  for (const file of reports) await writeFilePieces(file, [generationJson(whole, directory)]);
  if (directory === undefined && isTable) {
    // The policies are the result: what else there is to say must not get between them.
    process.stderr.write(generationTable(whole, directory));
    await writePieces(process.stdout, [generationDocuments(whole)]);
    return;
  }
  await writePieces(process.stdout, [printed(whole, flags.output, directory)]);
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
      return generationTable(result, directory, terminalStyle());
  }
}

/**
 * Writes all files or none: each beside its place first, then moved there. A file of the same name that is not ours is not
 * overwritten. Returns files of ours that an earlier run left and this one did not write.
 */
function writeFiles({ generation: { policies } }: GenerationResult, directory: string): string[] {
  const files = policies.map(({ file, text }) => ({
    path: join(directory, file),
    text,
    part: join(directory, `.${file.slice(0, 240)}.part`),
  }));
  try {
    mkdirSync(directory, { recursive: true });
    for (const { path } of files)
      if (existsSync(path) && !OURS.test(readFileSync(path, "utf8")))
        throw new UsageError(
          `${path} is not of this program (no label app.kubernetes.io/managed-by: kguardian) and is not overwritten: give another --output-dir`,
        );
    for (const { part, text } of files) writeFileSync(part, text);
    for (const { part, path } of files) renameSync(part, path);
    const written = new Set(policies.map(({ file }) => file));
    return readdirSync(directory)
      .filter(
        (name) => name.endsWith("-networkpolicy.yaml") && !written.has(name) && OURS.test(readFileSync(join(directory, name), "utf8")),
      )
      .sort();
  } catch (error) {
    for (const { part } of files) if (existsSync(part)) rmSync(part, { force: true });
    if (error instanceof UsageError) throw error;
    throw new UsageError(`--output-dir: ${directory}: ${systemReason(error)}`);
  }
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
