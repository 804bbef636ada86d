import { isAbsolute, relative, resolve, sep } from "node:path";
import { type PolicyRef, policyTitle, type RuleRef } from "../policy/model.ts";

/*
 * What a command found, in the neutral form from which reports for CI systems are made. A command says what it found once; SARIF
 * tells code review where it is, JUnit which of the things that were tested failed.
 */

/** error: what the exit code counts. warning: what should be looked at. note: what a reader must know of the rest. */
export type FindingLevel = "error" | "warning" | "note";

/** A kind of finding. */
export interface FindingRule {
  /** Stable for ever, in lower case with hyphens: people filter by it. */
  readonly id: string;
  /** One line, without a final period. */
  readonly summary: string;
  /** What it means, in sentences. */
  readonly description: string;
  /** What to do about it, in sentences. */
  readonly help: string;
  /** The level of its findings, unless flags or an accepted finding say otherwise. */
  readonly level: FindingLevel;
}

/** Where a finding points: a line of a file, or an object that stands in none (a server's, standard input's). */
export interface FindingPlace {
  /** The object, as people name it: `NetworkPolicy shop/orders`, `Deployment shop/web`. */
  readonly object: string;
  /** Path as it was given, with lines and columns from 1. */
  readonly file?: string;
  readonly line?: number;
  readonly column?: number;
  /** What there is to see, where it is not the first place: `the nearest rule`. */
  readonly role?: string;
}

/** One thing that a command tried out: a policy, an expectation. CI systems show cases that pass too. */
export interface FindingCase {
  /** Parts joined by dots, as of a class in its package: `policies.shop`. Suite and name together are a case's own. */
  readonly suite: string;
  readonly name: string;
  readonly place?: FindingPlace;
  /** Why nothing could be found out by it. */
  readonly skipped?: string;
}

/** One finding. Texts hold what came from outside as it is: reports make it safe. */
export interface Finding {
  readonly rule: FindingRule;
  readonly level: FindingLevel;
  /** One sentence, without a final period, that says all without the places. */
  readonly message: string;
  /** The first is the one to look at. */
  readonly places: readonly [FindingPlace, ...FindingPlace[]];
  /** What makes it this finding in whatever run: no counts, no lines. */
  readonly identity: readonly string[];
  /** The cases that it is about, of those of the report. */
  readonly cases: readonly FindingCase[];
  /** It is no finding, but what could not be told: a case with nothing else tested nothing. */
  readonly isUndecided?: boolean;
  /** Why it is accepted, where it is. */
  readonly accepted?: string;
}

/** What reports for CI systems are made of. */
export interface FindingReport {
  readonly command: string;
  readonly rules: readonly FindingRule[];
  readonly findings: readonly Finding[];
  readonly cases: readonly FindingCase[];
  /** What a reader must know of the inputs, one line each. */
  readonly warnings: readonly string[];
}

/** Who writes a report, and where. Both folders are absolute paths. */
export interface ReportOrigin {
  /** Version of this program. */
  readonly version: string;
  /** What paths were given from. */
  readonly workingDirectory: string;
  /** The top of the sources under review: paths below it are told from there. */
  readonly sourceRoot: string;
}

/** Standard input as files of manifests are named. */
const STDIN = "<stdin>";

/** Returns the place of a policy, or of one of its rules. */
export function placeOfPolicy(policy: PolicyRef, rule: RuleRef | PolicyRef = policy, role?: string): FindingPlace {
  const { file, line } = rule;
  return {
    object: policyTitle(policy),
    ...(file === undefined || file === STDIN ? {} : { file, ...(line === undefined ? {} : { line }) }),
    ...(role === undefined ? {} : { role }),
  };
}

/** Returns a path from the top of the sources, with forward slashes; undefined for one that lies outside. */
export function pathInSources(file: string, { workingDirectory, sourceRoot }: ReportOrigin): string | undefined {
  const path = relative(sourceRoot, resolve(workingDirectory, file));
  if (path === "" || path === ".." || path.startsWith(`..${sep}`) || isAbsolute(path)) return undefined;
  return path.replaceAll(sep, "/");
}

/** Returns a place for people: `policies/orders.yaml:7`, or the object that stands in no file. */
export function placeText({ object, file, line }: FindingPlace, origin: ReportOrigin): string {
  if (file === undefined) return object;
  return `${pathInSources(file, origin) ?? file}${line === undefined ? "" : `:${line}`}`;
}

/** Reports whether a finding counts for the exit code. */
export function isFailure({ level, accepted }: Finding): boolean {
  return level === "error" && accepted === undefined;
}
