import { type DiffResult, isFound } from "../report/diffResult.ts";
import { objectName } from "../report/labels.ts";
import { printable } from "../report/text.ts";
import { type DeliverFlags, deliver, findingReports } from "./deliver.ts";
import { terminalStyle } from "./output.ts";

/** Prints what differs and writes the further reports; returns the exit code. */
export function deliverDiff(result: DiffResult, flags: DeliverFlags): Promise<number> {
  const table = async (wide: boolean) => [(await import("../report/diffTable.ts")).diffTable(result, wide, terminalStyle())];
  const connections = async () =>
    result.traffic === undefined ? [] : (await import("../report/trafficChange.ts")).changedConnections(result.traffic);
  const json = async () => (await import("../report/diffJson.ts")).diffJson(result, await connections());
  const findings = async () => (await import("../report/diffFindings.ts")).diffFindings(result);
  return deliver(
    {
      outputs: {
        table: () => table(false),
        wide: () => table(true),
        json,
        yaml: async () => (await import("../report/diffJson.ts")).diffYaml(result, await connections()),
        name: () => [names(result)],
      },
      reports: {
        json,
        markdown: async () => [(await import("../report/diffMarkdown.ts")).diffMarkdown(result)],
        ...findingReports(findings),
      },
      inputs: result.inputs,
      warnings: result.warnings,
      isFound: isFound(result),
    },
    flags,
  );
}

/** Policies that differ, one a line, as kubectl prints names. */
function names({ policies }: DiffResult): string {
  return policies
    .filter(({ change }) => change !== "unchanged")
    .map(({ ref }) => `${printable(objectName(ref))}\n`)
    .join("");
}
