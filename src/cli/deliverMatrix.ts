import { objectName } from "../report/labels.ts";
import type { MatrixResult } from "../report/matrixResult.ts";
import { printable } from "../report/text.ts";
import { type DeliverFlags, deliver, findingReports } from "./deliver.ts";
import { terminalStyle } from "./output.ts";

/** Prints all allowed connectivity and writes the further reports; returns the exit code. */
export function deliverMatrix(result: MatrixResult, flags: DeliverFlags): Promise<number> {
  const table = async (wide: boolean) => [(await import("../report/matrixTable.ts")).matrixTable(result, wide, terminalStyle())];
  const texts = () => import("../report/matrixText.ts");
  const json = async () => (await texts()).matrixJson(result);
  const markdown = async () => [(await texts()).matrixMarkdown(result)];
  const findings = async () => (await import("../report/matrixFindings.ts")).matrixFindings(result);
  return deliver(
    {
      outputs: {
        table: () => table(false),
        wide: () => table(true),
        json,
        yaml: async () => (await texts()).matrixYaml(result),
        csv: async () => (await texts()).matrixCsv(result),
        dot: async () => (await texts()).matrixDot(result),
        markdown,
        name: () => result.policies.map(({ ref }) => `${printable(objectName(ref))}\n`),
      },
      reports: {
        json,
        markdown,
        ...findingReports(findings),
      },
      warnings: result.warnings,
    },
    flags,
  );
}
