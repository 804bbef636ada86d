import type { MutationResult } from "../report/mutationResult.ts";
import { type DeliverFlags, deliver, findingReports } from "./deliver.ts";
import { terminalStyle } from "./output.ts";

/** Prints how much of the policies traffic tests and writes the further reports; returns the exit code, which is never 1. */
export function deliverMutations(result: MutationResult, flags: DeliverFlags): Promise<number> {
  const table = async (wide: boolean) => [(await import("../report/mutationTable.ts")).mutationTable(result, wide, terminalStyle())];
  const json = async () => (await import("../report/mutationJson.ts")).mutationJson(result);
  return deliver(
    {
      outputs: {
        table: () => table(false),
        wide: () => table(true),
        json,
        yaml: async () => (await import("../report/mutationJson.ts")).mutationYaml(result),
        name: async () => [(await import("../report/mutationTable.ts")).mutationNames(result)],
      },
      reports: {
        json,
        markdown: async () => [(await import("../report/mutationMarkdown.ts")).mutationMarkdown(result)],
        ...findingReports(async () => (await import("../report/mutationFindings.ts")).mutationFindings(result)),
      },
      inputs: result.simulation.inputs,
      warnings: result.warnings,
    },
    flags,
  );
}
