import type { AddressSet, Policy, Tier } from "./model.ts";
import type { Problem } from "./problem.ts";

/** What one object says, and what is wrong with it. With an error among the problems nothing else counts. */
export interface ObjectReading {
  readonly policies?: readonly Policy[];
  readonly tiers?: readonly Tier[];
  readonly sets?: readonly AddressSet[];
  readonly problems: readonly Problem[];
}
