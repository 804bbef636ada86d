import type { InputSummary } from "../capture/observation.ts";
import { printable } from "../report/text.ts";
import { UsageError } from "./errors.ts";

/** Tells of inputs that could be read only in part, a line each; with `--strict` that is an error. */
export function tellDamage(inputs: readonly InputSummary[], strict: boolean): void {
  const damage = inputs.flatMap(({ name, warnings }) => warnings.map((warning) => `${name}: ${warning}`));
  if (strict && damage.length > 0)
    throw new UsageError(`--strict: ${damage.length === 1 ? "an input was" : "inputs were"} read only in part: ${damage[0]}`);
  tellWarnings(damage);
}

/** Says on standard error what does not end a run, a line each. */
export function tellWarnings(warnings: readonly string[]): void {
  for (const warning of warnings) process.stderr.write(`warning: ${printable(warning)}\n`);
}
