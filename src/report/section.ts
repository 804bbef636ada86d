import { tableLines } from "./text.ts";

/** Rows of a section that a screen holds; `-o wide` shows all. */
const SECTION_ROWS = 15;

/** Adds a titled table of findings to lines; nothing where there are none. */
export function section(
  lines: string[],
  title: string,
  text: string,
  rows: readonly (readonly string[])[],
  wide: boolean,
  columns: readonly string[] = ["RULE", "PLACE", "WHY"],
): void {
  if (rows.length === 0) return;
  const shown = wide ? rows : rows.slice(0, SECTION_ROWS);
  const rest = rows.length - shown.length;
  lines.push(`${title}   ${rows.length}: ${text}`);
  lines.push(
    ...tableLines(
      columns.map((column) => ({ title: column })),
      shown,
      "  ",
    ),
  );
  if (rest > 0) lines.push(`  … and ${rest} more: -o wide shows all`);
  lines.push("");
}
