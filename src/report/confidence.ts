import type { GapKind } from "../capture/gaps.ts";
import type { InputSummary } from "../capture/observation.ts";

/**
 * How far "was not seen" is evidence that it does not happen. full: no input tells of a gap; reduced: connections are there, but not one
 * by one; low: some of what happened is in no input.
 */
export interface Confidence {
  readonly level: "full" | "reduced" | "low";
  /** What the inputs tell of themselves, one sentence each. */
  readonly because: readonly string[];
}

/** Gaps through which whole connections are missing. */
const LOSSES: ReadonlySet<GapKind> = new Set(["lost", "unread", "truncated", "rate-limited", "sampled"]);

/** Inputs that are named; of a directory of a thousand files many say the same. */
const NAMED = 5;

/** Says how complete what was observed is. */
export function confidenceOf(inputs: readonly InputSummary[]): Confidence {
  const gaps = inputs.flatMap(({ name, gaps: own }) => own.map((gap) => ({ name: name.replace(/^.*\//, ""), ...gap })));
  if (gaps.length === 0) return { level: "full", because: [] };
  const because = [...Map.groupBy(gaps, ({ message }) => message)].map(([message, same]) => {
    const names = same.slice(0, NAMED).map(({ name }) => name);
    return `${names.join(", ")}${same.length > NAMED ? ` and ${same.length - NAMED} more` : ""}: ${message}`;
  });
  return { level: gaps.some(({ kind }) => LOSSES.has(kind)) ? "low" : "reduced", because };
}
