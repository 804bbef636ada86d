import { type ExplainResult, verdictOf } from "../report/explanation.ts";
import { type DeliverFlags, deliver, type FINDING_FORMATS, findingReports, type Renderer } from "./deliver.ts";
import { terminalStyle } from "./output.ts";

export interface DeliverExplanationFlags extends DeliverFlags {
  readonly failOn: "deny" | "unknown";
}

/** Prints an explanation and writes the further reports; returns the exit code. */
export async function deliverExplanation(result: ExplainResult, flags: DeliverExplanationFlags): Promise<number> {
  const verdict = verdictOf(result);
  const isFound = verdict === "deny" || (flags.failOn === "unknown" && verdict === "unknown");
  const table = async (wide: boolean) => [(await import("../report/explanationTable.ts")).explanationTable(result, wide, terminalStyle())];
  const json = async () => [(await import("../report/explanationJson.ts")).explanationJson(result)];
  const findings = async () => (await import("../report/explanationFindings.ts")).explanationFindings(result, flags.failOn);
  const reports: Record<(typeof FINDING_FORMATS)[number], Renderer> = {
    json,
    markdown: async () => [(await import("../report/explanationMarkdown.ts")).explanationMarkdown(result)],
    ...findingReports(findings),
  };
  const deliverable = {
    outputs: {
      table: () => table(false),
      wide: () => table(true),
      json,
      yaml: async () => [(await import("../report/explanationJson.ts")).explanationYaml(result)],
      name: async () => [(await import("../report/explanationTable.ts")).explanationNames(result)],
    },
    reports,
    warnings: result.warnings,
    isFound,
  };
  const isOpen = verdict === "unknown" && !isFound;
  return deliver(
    isOpen ? { ...deliverable, aside: "note: the verdict is unknown, which --fail-on unknown would fail on\n" } : deliverable,
    flags,
  );
}
