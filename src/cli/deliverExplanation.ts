import { type ExplainResult, verdictOf } from "../report/explanation.ts";
import { type DeliverFlags, deliver, type Renderer } from "./deliver.ts";
import { terminalStyle } from "./output.ts";
import { reportOrigin } from "./reportOrigin.ts";

export const EXPLANATION_REPORTS = ["json", "markdown", "sarif", "junit"] as const;

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
  const reports: Record<(typeof EXPLANATION_REPORTS)[number], Renderer> = {
    json,
    markdown: async () => [(await import("../report/explanationMarkdown.ts")).explanationMarkdown(result)],
    sarif: async () => (await import("../report/sarif.ts")).sarif(await findings(), reportOrigin()),
    junit: async () => (await import("../report/junit.ts")).junit(await findings(), reportOrigin()),
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
