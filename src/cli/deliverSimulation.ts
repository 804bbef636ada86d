import { grouped } from "../net/number.ts";
import type { SimulationResult } from "../report/simulationResult.ts";
import { type DeliverFlags, deliver, type FINDING_FORMATS, findingReports, type Renderer } from "./deliver.ts";
import { terminalStyle } from "./output.ts";

export interface DeliverSimulationFlags extends DeliverFlags {
  readonly failOn: "drop" | "unknown";
}

/** Prints a simulation's report and writes the further ones; returns the exit code. */
export async function deliverSimulation(result: SimulationResult, flags: DeliverSimulationFlags): Promise<number> {
  const { summary, inputs, warnings } = result;
  const isFound = summary.wouldDrop > 0 || (flags.failOn === "unknown" && summary.unknown > 0);
  const table = async (wide: boolean) => [(await import("../report/simulationTable.ts")).simulationTable(result, wide, terminalStyle())];
  const json = async () => (await import("../report/simulationJson.ts")).simulationJson(result);
  const findings = async () => (await import("../report/simulationFindings.ts")).simulationFindings(result, flags.failOn);
  const reports: Record<(typeof FINDING_FORMATS)[number], Renderer> = {
    json,
    markdown: async () => [(await import("../report/simulationMarkdown.ts")).simulationMarkdown(result)],
    ...findingReports(findings),
  };
  const deliverable = {
    outputs: {
      table: () => table(false),
      wide: () => table(true),
      json,
      yaml: async () => (await import("../report/simulationJson.ts")).simulationYaml(result),
      name: async () => [(await import("../report/simulationTable.ts")).simulationNames(result)],
    },
    reports,
    inputs,
    warnings,
    isFound,
  };
  return deliver(isFound || summary.unknown === 0 ? deliverable : { ...deliverable, aside: unknownNote(result) }, flags);
}

/** A run that finds nothing must not hide that it could not tell everything. */
function unknownNote({ summary: { unknown, connections } }: SimulationResult): string {
  return `note: ${grouped(unknown)} of ${grouped(connections)} connections ${unknown === 1 ? "has" : "have"} an unknown verdict, which --fail-on unknown would fail on\n`;
}
