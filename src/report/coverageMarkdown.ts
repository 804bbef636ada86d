import { grouped } from "../net/number.ts";
import { type CoverageResult, coverText, isBelowMinimum, ruleLabel, rulePlace, rulesWith } from "./coverageResult.ts";
import {
  deadTitle,
  idleRows,
  openWorkloads,
  percentageText,
  REDUNDANT_TITLE,
  silenceText,
  unknownText,
  widerRows,
} from "./coverageTable.ts";
import { policyLabel } from "./labels.ts";
import { MARKDOWN_ROWS, markdownCode, markdownTable, markdownText } from "./markdown.ts";
import { header } from "./simulationTable.ts";

/** Returns the report for a pull-request comment or a wiki. */
export function coverageMarkdown(result: CoverageResult): string {
  const { minimum, warnings, simulation } = result;
  const below = minimum === undefined ? "" : isBelowMinimum(result) ? `, below the minimum of ${minimum} %` : `, minimum ${minimum} %`;
  const lines = ["## Network policy coverage", "", `**${percentageText(result)}${below}**`, "", markdownText(header(simulation)), ""];
  const table = (title: string, text: string, columns: readonly string[], rows: readonly (readonly string[])[]) => {
    if (rows.length > 0) lines.push(`### ${title}`, "", markdownText(text), "", ...markdownTable(columns, rows, "rows"));
  };
  const rows = (finding: Parameters<typeof rulesWith>[1], textOf: typeof silenceText) =>
    rulesWith(result, finding).map((covered) => [ruleLabel(covered.rule), rulePlace(covered.rule), textOf(covered)]);
  const columns = ["Rule", "Place", "Why"];
  table("Dead", deadTitle(result), columns, rows("dead", silenceText));
  table("Not exercised", "Their workloads had no traffic at all", columns, rows("not-exercised", silenceText));
  table("Not known", "Connections with an unknown verdict may have used them", columns, rows("unknown", unknownText));
  table("Redundant", REDUNDANT_TITLE, columns, rows("redundant", coverText));
  table("Matches nothing", "Nobody here is what they ask for", columns, idleRows(result));
  table("Wider than used", "The widest first", ["Rule", "Place", "Not used"], widerRows(result, false));
  for (const { policy, diff } of result.tighter.slice(0, MARKDOWN_ROWS))
    lines.push(`Tighter \`${policyLabel(policy).replaceAll("`", "'")}\`:`, "", ...markdownCode(diff, "diff"), "");
  table(
    "Every rule",
    "Hits are the connections that a rule decided",
    ["Rule", "Hits", "Last seen", "Finding"],
    result.rules.map(({ rule, use, findings }) => [
      ruleLabel(rule),
      grouped(use.decided.hits),
      use.decided.lastSeen ?? "-",
      findings.map((finding) => finding.replaceAll("-", " ")).join(", "),
    ]),
  );
  table(
    "Not isolated",
    "Workloads that no policy closes",
    ["How", "Workloads"],
    openWorkloads(result).map(({ title, names }) => [title, names.slice(0, MARKDOWN_ROWS).join(", ")]),
  );
  for (const warning of warnings) lines.push(`> ${markdownText(warning)}`, "");
  return `${lines.join("\n").trimEnd()}\n`;
}
