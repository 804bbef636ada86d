import { CaptureError } from "../capture/captureError.ts";
import { ManifestError } from "../cluster/manifestError.ts";
import { KernelError } from "../flow/kernel.ts";
import { LiveError } from "../live/liveError.ts";
import { printable } from "../report/text.ts";

/** Exit codes of the contract: 0 nothing found, 1 something found, 2 and more an error. */
export const FOUND = 1;
export const USAGE_ERROR = 2;
export const INTERNAL_ERROR = 3;

/** A mistake in flags or inputs, said in one line with what to do; `others` are further ones of the same kind, a line each. */
export class UsageError extends Error {
  readonly others: readonly string[];

  constructor(message: string, others: readonly string[] = []) {
    super(message);
    this.name = "UsageError";
    this.others = others;
  }
}

/** Standard input can be one input only. */
export function refuseTwoStdins(inputs: Readonly<Record<string, readonly string[]>>): void {
  const users = Object.entries(inputs).flatMap(([flag, paths]) => paths.filter((path) => path === "-").map(() => flag));
  if (users.length > 1)
    throw new UsageError(`\`-\` (standard input) is given ${users.length} times (${users.join(", ")}): it can be read once`);
}

/** Further mistakes that are listed: who has a hundred mends the first ones first. */
const LISTED = 20;

/** What a failed run prints and exits with. */
export interface Failure {
  readonly message: string;
  readonly exitCode: number;
}

/** Turns whatever a run threw into one line and an exit code. `command` is what `--help` is suggested of. */
export function failureOf(error: unknown, command: string): Failure {
  if (error instanceof ManifestError) return failure(error.text);
  if (error instanceof UsageError) return failure(error.message, error.others);
  if (error instanceof CaptureError || error instanceof LiveError || error instanceof KernelError) return failure(error.message);
  if (isParseError(error)) return failure(`${parseMessage(error.message)}; see \`${command} --help\``);
  const text = error instanceof Error ? `${error.name}: ${error.message}` : String(error);
  return {
    message: printable(`error: internal: ${text} (a bug: please report it; KGUARDIAN_DEBUG=1 shows where)`),
    exitCode: INTERNAL_ERROR,
  };
}

function failure(message: string, others: readonly string[] = []): Failure {
  const listed = others.slice(0, LISTED).map((other) => `       ${printable(other)}`);
  if (others.length > LISTED) listed.push(`       and ${others.length - LISTED} more`);
  return { message: [`error: ${printable(message)}`, ...listed].join("\n"), exitCode: USAGE_ERROR };
}

/** Errors of oclif's own parser carry their exit code; ours do not. */
function isParseError(error: unknown): error is Error {
  return error instanceof Error && typeof (error as { oclif?: { exit?: unknown } }).oclif?.exit === "number";
}

function parseMessage(message: string): string {
  const lines = message
    .split("\n")
    .map((line) => line.trim())
    .filter((line) => line !== "" && !line.startsWith("See more help with"));
  const text = lines
    .join(" ")
    .replace(/^The following errors? occurred: /, "")
    // oclif takes words after a command for a command below it.
    .replace(/^command [^:]+:(.+) not found$/, "unexpected argument: $1");
  return text.charAt(0).toLowerCase() + text.slice(1);
}
