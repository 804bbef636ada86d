import { type CoverageResult, isBelowMinimum, percentageOf } from "../report/coverageResult.ts";
import { type DeliverFlags, deliver, type FINDING_FORMATS, findingReports, type Renderer } from "./deliver.ts";
import { terminalStyle } from "./output.ts";

/** Prints which rules are used and writes the further reports; returns the exit code. */
export function deliverCoverage(result: CoverageResult, flags: DeliverFlags): Promise<number> {
  const table = async (wide: boolean) => [(await import("../report/coverageTable.ts")).coverageTable(result, wide, terminalStyle())];
  const json = async () => (await import("../report/coverageJson.ts")).coverageJson(result);
  const findings = async () => (await import("../report/coverageFindings.ts")).coverageFindings(result);
  const reports: Record<(typeof FINDING_FORMATS)[number], Renderer> = {
    json,
    markdown: async () => [(await import("../report/coverageMarkdown.ts")).coverageMarkdown(result)],
    ...findingReports(findings),
  };
  const isFound = isBelowMinimum(result);
  return deliver(
    {
      outputs: {
        table: () => table(false),
        wide: () => table(true),
        json,
        yaml: async () => (await import("../report/coverageJson.ts")).coverageYaml(result),
        name: async () => [(await import("../report/coverageTable.ts")).coverageNames(result)],
      },
      reports,
      inputs: result.simulation.inputs,
      warnings: result.warnings,
      isFound,
      ...(isFound ? { aside: shortfall(result) } : {}),
    },
    flags,
  );
}

/** Says why the run fails. */
function shortfall(result: CoverageResult): string {
  const { rules, hit, percentage } = percentageOf(result);
  const found = percentage === null ? "no rule is in force" : `${percentage} % of the rules are covered (${hit} of ${rules})`;
  return `${found}, less than --min ${result.minimum}\n`;
}
