import { type StructuredPatchHunk, structuredPatch } from "diff";
import { PLAIN_STYLE, printable, type Style } from "./text.ts";

/** Unchanged lines that stand around a change. */
const CONTEXT = 3;
/** Beyond so many changed lines the shortest difference is not looked for: texts are hostile, and finding it costs their product. */
const MOST_CHANGES = 2000;

/**
 * Returns the unified difference of two texts as lines without line ends, each made printable: hunks alone, without the two lines that
 * name files. Undefined stands for a text that is not there. None where the texts are equal.
 */
export function textDiff(before: string | undefined, after: string | undefined): string[] {
  const [old, fresh] = [before ?? "", after ?? ""];
  if (old === fresh) return [];
  const patch = structuredPatch("", "", old, fresh, undefined, undefined, { context: CONTEXT, maxEditLength: MOST_CHANGES });
  const hunks = patch?.hunks ?? [wholeHunk(old, fresh)];
  return hunks.flatMap((hunk) => [headOf(hunk), ...hunk.lines]).map(printable);
}

/** Returns lines of a difference in the colours of a terminal. */
export function styledDiff(lines: readonly string[], style: Style = PLAIN_STYLE): string[] {
  return lines.map((line) => {
    if (line.startsWith("+")) return style.good(line);
    if (line.startsWith("-")) return style.bad(line);
    return line.startsWith("@@") ? style.dim(line) : line;
  });
}

function headOf({ oldStart, oldLines, newStart, newLines }: StructuredPatchHunk): string {
  // Where there are no lines the one before them is named (POSIX diff, "Unified Format").
  const range = (start: number, count: number) => `${count === 0 ? start - 1 : start},${count}`;
  return `@@ -${range(oldStart, oldLines)} +${range(newStart, newLines)} @@`;
}

/** Everything goes and everything comes: true of any two texts. */
function wholeHunk(before: string, after: string): StructuredPatchHunk {
  const [old, fresh] = [linesOf(before), linesOf(after)];
  return {
    oldStart: 1,
    oldLines: old.length,
    newStart: 1,
    newLines: fresh.length,
    lines: [...old.map((line) => `-${line}`), ...fresh.map((line) => `+${line}`)],
  };
}

function linesOf(text: string): string[] {
  return text === "" ? [] : text.replace(/\n$/, "").split("\n");
}
