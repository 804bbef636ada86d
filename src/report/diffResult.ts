import type { Connectivity } from "../evaluate/connectivity.ts";
import type { LinkTable } from "./linkTable.ts";
import type { PolicyChange } from "./policyChanges.ts";
import type { SimulationResult } from "./simulationResult.ts";
import type { TrafficChange } from "./trafficChange.ts";

/** What a change of policies changes. */
export interface DiffResult {
  /** Where the two sets come from, in words. */
  readonly before: string;
  readonly after: string;
  readonly policies: readonly PolicyChange[];
  /** Workloads that only one of two snapshots has, as `namespace/kind/name`. */
  readonly workloads: { readonly added: readonly string[]; readonly removed: readonly string[] };
  readonly links: LinkTable;
  readonly traffic: TrafficChange | undefined;
  readonly inputs: SimulationResult["inputs"];
  readonly cni: SimulationResult["cni"];
  readonly warnings: readonly string[];
}

/** Reports whether anything differs. */
export function isFound({ policies, links, traffic, workloads }: DiffResult): boolean {
  return (
    policies.some(({ change }) => change !== "unchanged") ||
    links.groups.length > 0 ||
    (traffic?.changed.length ?? 0) > 0 ||
    workloads.added.length + workloads.removed.length > 0
  );
}

/** How much more is let through: `+` more, `-` less, `~` otherwise. */
export function signOf({ verdicts }: Connectivity, [before, after]: readonly number[]): "+" | "-" | "~" {
  const rank = (outcome: number) => ["deny", "unknown", "allow"].indexOf(verdicts.meaningOf(outcome).verdict);
  const difference = rank(after) - rank(before);
  return difference > 0 ? "+" : difference < 0 ? "-" : "~";
}

/** Counts pairs of ends by sign. */
export function countsOf({ links }: DiffResult): Record<"+" | "-" | "~", number> {
  const counts = { "+": 0, "-": 0, "~": 0 };
  for (const group of links.groups) counts[signOf(links.connectivity, group.ports.outcomes)] += links.sizeOf(group);
  return counts;
}
