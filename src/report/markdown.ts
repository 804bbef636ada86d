import { printable } from "./text.ts";

/** Text from outside must not become markup: a policy's name may hold anything that a file can. */
export function markdownText(text: string): string {
  return printable(text).replace(/[\\`*_{}[\]<>#|!@]/g, (character) => `\\${character}`);
}

/** Rows of a pull-request comment before a table is cut. */
export const MARKDOWN_ROWS = 50;

/** Returns the lines of a table; `what` names its rows in the line that counts those that are left out. */
export function markdownTable(columns: readonly string[], rows: readonly (readonly string[])[], what: string): string[] {
  const lines = [`| ${columns.join(" | ")} |`, `|${columns.map(() => "---").join("|")}|`];
  for (const row of rows.slice(0, MARKDOWN_ROWS)) lines.push(`| ${row.map(markdownText).join(" | ")} |`);
  if (rows.length > MARKDOWN_ROWS) lines.push("", `… and ${rows.length - MARKDOWN_ROWS} more ${what}`);
  return [...lines, ""];
}

/** Returns lines as a block of code that nothing in them can end. */
export function markdownCode(lines: readonly string[], language: string): string[] {
  const longest = Math.max(2, ...lines.flatMap((line) => (line.match(/`+/g) ?? []).map((ticks) => ticks.length)));
  const fence = "`".repeat(longest + 1);
  return [`${fence}${language}`, ...lines.map(printable), fence];
}
