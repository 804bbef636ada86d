import { grouped } from "../net/number.ts";
import { policyTitle } from "../policy/model.ts";
import type { DiffResult } from "./diffResult.ts";
import { connectivityLines, countText, diffHeader, equivalenceText, trafficLines, trafficText } from "./diffTable.ts";
import { markdownCode, markdownTable, markdownText } from "./markdown.ts";
import { printable } from "./text.ts";

/** Lines of one object's difference that a comment holds. */
const DIFF_LINES = 80;
/** Objects whose difference is shown. */
const OBJECTS = 30;
/** Ends that a row names. */
const NAMED = 4;

const WORDS = { "+": "gained", "-": "**lost**", "~": "changed" } as const;

/** Returns the report for a pull-request comment. */
export function diffMarkdown(result: DiffResult): string {
  const { policies, links, traffic, workloads, warnings } = result;
  const isEquivalent = links.groups.length === 0;
  const verdict = isEquivalent
    ? "**Connectivity does not change.**"
    : `**Connectivity changes:** ${countText(result)} (pairs of workloads; complete, not sampled)`;
  const lines = ["## Network policy difference", "", verdict, ""];
  if (traffic !== undefined)
    lines.push(`**Observed traffic:** ${traffic.changed.length === 0 ? "no verdict changes" : trafficText(traffic)}`, "");
  lines.push(markdownText(diffHeader(result)).replaceAll("\n", "  \n"), "");
  if (isEquivalent) lines.push(`Equivalent: ${markdownText(equivalenceText(result))}.`, "");
  else {
    const rows = connectivityLines(result, NAMED);
    const hasNotes = rows.some(({ note }) => note !== "");
    lines.push("### Connectivity", "");
    lines.push(
      ...markdownTable(["", "From", "To", "Ports", ...(hasNotes ? ["Which"] : [])], [], "").slice(0, 2),
      ...rows
        .slice(0, 50)
        .map(
          ({ sign, from, to, ports, note }) =>
            `| ${[WORDS[sign], ...[from, to, ports, ...(hasNotes ? [note] : [])].map(markdownText)].join(" | ")} |`,
        ),
      ...(rows.length > 50 ? ["", `… and ${rows.length - 50} more lines`] : []),
      "",
    );
  }
  if (traffic !== undefined && traffic.changed.length > 0) {
    const rows = trafficLines(traffic).map(({ seen, before, after, from, to, port, why }) => [
      grouped(seen),
      `${before} → ${after}`,
      from,
      to,
      port,
      why,
    ]);
    lines.push("### Observed traffic", "", ...markdownTable(["Seen", "Verdict", "From", "To", "Port", "Why"], rows, "causes"));
  }
  for (const [word, names] of [
    ["New", workloads.added],
    ["Gone", workloads.removed],
  ] as const)
    if (names.length > 0)
      lines.push(`${word} workloads: ${names.slice(0, OBJECTS).map(markdownText).join(", ")}${names.length > OBJECTS ? ", …" : ""}`, "");
  const changed = policies.filter(({ change }) => change !== "unchanged");
  for (const { ref, change, diff } of changed.slice(0, OBJECTS)) {
    const place = ref.file === undefined ? "" : ` (${ref.file}:${ref.line})`;
    lines.push(`<details><summary>${change} ${html(policyTitle(ref))}${html(place)}</summary>`, "");
    const rest = diff.length - DIFF_LINES;
    lines.push(...markdownCode(diff.slice(0, DIFF_LINES), "diff"), ...(rest > 0 ? ["", `… and ${rest} more lines`] : []));
    lines.push("", "</details>", "");
  }
  if (changed.length > OBJECTS) lines.push(`… and ${changed.length - OBJECTS} more objects`, "");
  for (const warning of warnings) lines.push(`> ${markdownText(warning)}`, "");
  return `${lines.join("\n").trimEnd()}\n`;
}

function html(text: string): string {
  return printable(text).replace(/[&<>"]/g, (character) => ({ "&": "&amp;", "<": "&lt;", ">": "&gt;" })[character] ?? "&quot;");
}
