import type { Mutating } from "../synth/mutating.ts";
import type { SimulationResult } from "./simulationResult.ts";

/** What `synth --mutate` found: how much of the policies the traffic tests. */
export interface MutationResult {
  readonly mutating: Mutating;
  /** The traffic under the policies as they are. */
  readonly simulation: SimulationResult;
  readonly warnings: readonly string[];
}

/** Counts changes by what became of them; the score is the share of those that alter connectivity and were noticed, in percent. */
export function mutationCounts({ mutating: { fates } }: MutationResult) {
  const count = (kind: (typeof fates)[number]["kind"]) => fates.filter((fate) => fate.kind === kind).length;
  const [noticed, missed] = [count("noticed"), count("missed")];
  const altering = noticed + missed;
  return {
    mutations: fates.length,
    noticed,
    missed,
    equivalent: count("equivalent"),
    // Rounded down: 100 is said of all alone.
    score: altering === 0 ? null : Math.floor((noticed / altering) * 1000) / 10,
  };
}

/** Returns the numbers of the changes that the traffic does not notice. */
export function missedMutations({ mutating: { fates } }: MutationResult): number[] {
  return fates.flatMap(({ kind }, m) => (kind === "missed" ? [m] : []));
}
