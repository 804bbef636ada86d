import { markdownTable, markdownText } from "./markdown.ts";
import type { MutationResult } from "./mutationResult.ts";
import { GAPS_TITLE, gapRows, scoreText } from "./mutationTable.ts";
import { header } from "./simulationTable.ts";

/** Returns the report for a pull-request comment or a wiki. */
export function mutationMarkdown(result: MutationResult): string {
  const lines = [
    "## Mutation test of network policies",
    "",
    `**${markdownText(scoreText(result))}**`,
    "",
    markdownText(header(result.simulation)),
    "",
  ];
  const rows = gapRows(result);
  if (rows.length > 0)
    lines.push(
      "### Gaps",
      "",
      markdownText(GAPS_TITLE),
      "",
      ...markdownTable(["Rule", "Place", "Change", "What would show it"], rows, "rows"),
    );
  for (const warning of result.warnings) lines.push(`> ${markdownText(warning)}`, "");
  return `${lines.join("\n").trimEnd()}\n`;
}
