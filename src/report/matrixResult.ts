import type { Connectivity, EndSet, Link } from "../evaluate/connectivity.ts";
import { compare } from "../net/order.ts";
import type { Policy } from "../policy/model.ts";
import { alwaysPassing, type LinkTable } from "./linkTable.ts";
import type { ShownEnd } from "./shownEnds.ts";
import { portGroups, type ShownPorts } from "./shownPorts.ts";
import type { SimulationResult } from "./simulationResult.ts";

/** All allowed connectivity under a policy set. */
export interface MatrixResult {
  readonly links: LinkTable;
  readonly policies: readonly Policy[];
  /** What --focus names, as people write it. */
  readonly focus: string | undefined;
  readonly cni: SimulationResult["cni"];
  readonly warnings: readonly string[];
}

/** Who a workload is open to as a whole. Ports of a workload's pods are those that any of them is open on. */
export interface Exposure {
  readonly end: ShownEnd;
  /** Which of the two. `outside`: any outside address; `cluster`: every pod. */
  readonly to: "outside" | "cluster";
  readonly ports: readonly ShownPorts[];
  readonly text: string;
}

/** Returns the workloads that all outside addresses reach, or some of them, and those that every pod does; those outside first. */
export function exposuresOf({ links }: MatrixResult): Exposure[] {
  const { connectivity, names } = links;
  const found: Exposure[] = [];
  for (const { link } of uniqueLinks(links)) {
    const to = exposureOf(connectivity, link);
    if (to === undefined) continue;
    for (const { outcomes, ports, text } of portGroups(connectivity.verdicts, link.verdicts, link.family, alwaysPassing(connectivity))) {
      if (text === "" || connectivity.verdicts.meaningOf(outcomes[0]).verdict === "deny") continue;
      for (const end of names.show(link.destinations)) found.push({ end, to, ports, text });
    }
  }
  const keyed = new Map(found.map((exposure) => [JSON.stringify([exposure.end, exposure.text, exposure.to]), exposure]));
  // "outside" comes last in the alphabet, and first here.
  return [...keyed].sort(([a, one], [b, other]) => compare(other.to, one.to) || compare(a, b)).map(([, exposure]) => exposure);
}

function exposureOf({ classes }: Connectivity, { sources, destinations }: Link): Exposure["to"] | undefined {
  if (destinations.kind !== "pods") return undefined;
  if (sources.kind === "outside") return sources.role.name === undefined ? "outside" : undefined;
  return sources.kind === "pods" && holdsAll(sources, classes.length) ? "cluster" : undefined;
}

function holdsAll(set: Extract<EndSet, { kind: "pods" }>, size: number): boolean {
  for (let i = 0; i < size; i++) if (!set.classes.has(i)) return false;
  return size > 1;
}

function uniqueLinks({ groups }: LinkTable): LinkTable["groups"] {
  return [...new Map(groups.map((group) => [group.link, group])).values()];
}
