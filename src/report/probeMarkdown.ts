import { markdownTable, markdownText } from "./markdown.ts";
import { countsOf, type ProbeResult } from "./probeResult.ts";
import { probeHeader, sectionsOf } from "./probeTable.ts";

/** Returns the report for a pull-request comment or a wiki. */
export function probeMarkdown(result: ProbeResult): string {
  const { held, failed, unknown } = countsOf(result);
  const lines = ["## Probes of network policies", "", `**held ${held} · failed ${failed} · unknown ${unknown}**`, ""];
  lines.push(markdownText(probeHeader(result)), "");
  for (const { title, text, columns, rows } of sectionsOf(result, false))
    lines.push(`### ${title}`, "", markdownText(text), "", ...markdownTable(columns, rows, "rows"));
  for (const warning of result.warnings) lines.push(`> ${markdownText(warning)}`, "");
  return `${lines.join("\n").trimEnd()}\n`;
}
