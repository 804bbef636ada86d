import { shortWorkload } from "../cluster/workloads.ts";
import { grouped, plural } from "../net/number.ts";
import { findCauses } from "./causes.ts";
import type { SimulationResult } from "./simulationResult.ts";
import { header } from "./simulationTable.ts";
import { printable } from "./text.ts";

/** Rows of a pull-request comment before it is cut. */
const ROWS = 50;

/** Returns the report for a pull-request comment or a wiki. */
export function simulationMarkdown(result: SimulationResult): string {
  const { summary } = result;
  const verdict =
    summary.wouldDrop > 0
      ? `**${plural(summary.wouldDrop, "connection")} would be dropped**`
      : summary.confidence.level === "low"
        ? "**Nothing that was observed would be dropped**, and not all that happened was observed"
        : "**Nothing that was observed would be dropped**";
  const lines = ["## Network policy simulation", "", verdict, "", markdownText(header(result)), ""];
  const drops = findCauses(result, "would-drop");
  const open = drops.filter((cause) => cause.accepted === undefined);
  const accepted = drops.filter((cause) => cause.accepted !== undefined);
  const unknown = findCauses(result, "unknown").filter((cause) => result.simulation.verdicts[cause.example] === 2);
  if (open.length > 0)
    table(
      lines,
      "Would drop",
      ["Seen", "From", "To", "Port", "Denied by", "Why"],
      open.map((cause) => [grouped(cause.seen), cause.from, cause.to, cause.port, cause.deniedBy, cause.why]),
    );
  if (accepted.length > 0)
    table(
      lines,
      "Accepted",
      ["Seen", "From", "To", "Port", "Denied by", "Accepted because"],
      accepted.map((cause) => [grouped(cause.seen), cause.from, cause.to, cause.port, cause.deniedBy, cause.accepted ?? ""]),
    );
  if (unknown.length > 0)
    table(
      lines,
      "Unknown",
      ["Seen", "From", "To", "Port", "Why"],
      unknown.map((cause) => [grouped(cause.seen), cause.from, cause.to, cause.port, cause.why]),
    );
  if (summary.unobserved.length > 0) {
    const names = summary.unobserved.map(
      (endpoint) => `\`${printable(`${endpoint.namespace}/${shortWorkload(endpoint.workload ?? "")}`)}\``,
    );
    lines.push(
      `**Not seen:** ${plural(names.length, "selected workload")} without traffic, so that their policies are untested: ${names.slice(0, ROWS).join(", ")}`,
      "",
    );
  }
  for (const text of summary.confidence.because) lines.push(`> Incomplete: ${markdownText(text)}`, "");
  for (const warning of result.warnings) lines.push(`> ${markdownText(warning)}`, "");
  return `${lines.join("\n").trimEnd()}\n`;
}

function table(lines: string[], title: string, columns: readonly string[], rows: readonly (readonly string[])[]): void {
  lines.push(`### ${title}`, "", `| ${columns.join(" | ")} |`, `|${columns.map(() => "---").join("|")}|`);
  for (const row of rows.slice(0, ROWS)) lines.push(`| ${row.map(markdownText).join(" | ")} |`);
  if (rows.length > ROWS) lines.push("", `… and ${rows.length - ROWS} more causes`);
  lines.push("");
}

/** Text from outside must not become markup: a policy's name may hold anything that a file can. */
export function markdownText(text: string): string {
  return printable(text).replace(/[\\`*_{}[\]<>#|!@]/g, (character) => `\\${character}`);
}
