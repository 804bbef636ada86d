import { countsOf, type PolicyTestsResult } from "../report/policyTestResult.ts";
import { type DeliverFlags, deliver, findingReports } from "./deliver.ts";
import { terminalStyle } from "./output.ts";

/** Prints what became of expectations and writes the further reports; returns the exit code. */
export function deliverPolicyTest(result: PolicyTestsResult, flags: DeliverFlags): Promise<number> {
  const table = async (wide: boolean) => [(await import("../report/policyTestTable.ts")).policyTestTable(result, wide, terminalStyle())];
  const texts = () => import("../report/policyTestText.ts");
  const json = async () => [(await texts()).policyTestJson(result)];
  const markdown = async () => [(await texts()).policyTestMarkdown(result)];
  const findings = async () => (await import("../report/policyTestFindings.ts")).policyTestFindings(result);
  return deliver(
    {
      outputs: {
        table: () => table(false),
        wide: () => table(true),
        json,
        yaml: async () => [(await texts()).policyTestYaml(result)],
        markdown,
        name: async () => (await texts()).policyTestNames(result),
      },
      reports: { json, markdown, ...findingReports(findings) },
      warnings: [...new Set([...result.tests.flatMap(({ warnings }) => warnings), ...result.warnings])],
      isFound: countsOf(result).failed > 0,
    },
    flags,
  );
}
