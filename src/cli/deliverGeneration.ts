import { readdirSync, readFileSync, statSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import {
  type GenerationResult,
  generationDocuments,
  generationFiles,
  generationJson,
  generationNames,
  generationReport,
  generationTable,
} from "../report/generationReport.ts";
import { safeYaml } from "../report/safeYaml.ts";
import { tellDamage } from "./damage.ts";
import { deliver, isTable, parseReports, type Renderer, writeReports } from "./deliver.ts";
import { terminalStyle } from "./output.ts";
import { writeAllFiles } from "./writeFiles.ts";

export const GENERATION_REPORTS = ["json"] as const;

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
  const { outputDirectory = flags.merge === undefined ? "policies" : directoryOf(flags.merge) } = flags;
  const directory = outputDirectory === "" ? undefined : outputDirectory;
  const reports: Record<(typeof GENERATION_REPORTS)[number], Renderer> = { json: () => [generationJson(result, directory)] };
  const requests = parseReports(flags.report, GENERATION_REPORTS);
  tellDamage(result.inputs, flags.strict);
  // A report that cannot be written must not leave policies behind that nobody was told of.
  await writeReports(requests, reports);
  const stale = directory === undefined ? [] : writeFiles(result, directory, flags.merge);
  const whole = stale.length === 0 ? result : { ...result, warnings: [...result.warnings, staleText(stale, directory as string)] };
  // Printed policies are the result: what else there is to say must not get between them.
  const isAside = directory === undefined && isTable(flags.output);
  const table = (wide: boolean) => [isAside ? generationDocuments(whole) : generationTable(whole, directory, wide, terminalStyle())];
  await deliver(
    {
      outputs: {
        table: () => table(false),
        wide: () => table(true),
        json: () => [generationJson(whole, directory)],
        yaml: () => [safeYaml(generationReport(whole, directory))],
        name: () => [generationNames(whole)],
      },
      warnings: whole.warnings,
      ...(isAside ? { aside: generationTable(whole, directory, flags.output === "wide") } : {}),
    },
    { output: flags.output },
  );
}

function directoryOf(path: string): string {
  return statSync(path).isDirectory() ? path : dirname(path);
}

/** Writes the files; those that are extended are overwritten too. Returns files of ours that an earlier run left and this one did not write. */
function writeFiles(result: GenerationResult, directory: string, merge: string | undefined): string[] {
  const files = generationFiles(result);
  writeAllFiles(directory, files, {
    isOurs: (text, path) => isInside(path, merge) || OURS.test(text),
    mark: "no label app.kubernetes.io/managed-by: kguardian",
  });
  if (merge !== undefined) return [];
  const written = new Set(files.map(({ file }) => file));
  const isStale = (name: string) =>
    name.endsWith("-networkpolicy.yaml") && !written.has(name) && OURS.test(readFileSync(join(directory, name), "utf8"));
  return readdirSync(directory, { withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map(({ name }) => name)
    .filter(isStale)
    .sort();
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
