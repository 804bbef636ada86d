import type { ProbeResult } from "../report/probeResult.ts";
import { type DeliverFlags, deliver, findingReports } from "./deliver.ts";
import { terminalStyle } from "./output.ts";

/** Prints what probes found and writes the further reports; returns the exit code, which is never 1. */
export function deliverProbes(result: ProbeResult, flags: DeliverFlags): Promise<number> {
  const table = async (wide: boolean) => [(await import("../report/probeTable.ts")).probeTable(result, wide, terminalStyle())];
  const json = async () => (await import("../report/probeJson.ts")).probeJson(result);
  return deliver(
    {
      outputs: {
        table: () => table(false),
        wide: () => table(true),
        json,
        yaml: async () => (await import("../report/probeJson.ts")).probeYaml(result),
        name: async () => [(await import("../report/probeTable.ts")).probeNames(result)],
      },
      reports: {
        json,
        markdown: async () => [(await import("../report/probeMarkdown.ts")).probeMarkdown(result)],
        ...findingReports(async () => (await import("../report/probeFindings.ts")).probeFindings(result)),
      },
      warnings: result.warnings,
    },
    flags,
  );
}
