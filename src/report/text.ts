/**
 * Text from captures, logs, manifests and clusters is hostile: control characters move the cursor or rewrite what stands on the
 * screen, and direction marks make text read as another. They are shown as escapes.
 */
const UNSAFE =
  /[\u0000-\u001f\u007f-\u009f\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]|[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/g;

function escapeCharacter(character: string): string {
  return `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`;
}

/** Returns text that is safe on a terminal: on one line, with whatever controls it escaped. */
export function printable(text: string): string {
  return text.replace(UNSAFE, escapeCharacter);
}

/** Returns JSON of a value, with characters escaped that JSON allows but terminals act on. */
export function safeJson(value: unknown, indent?: number): string {
  return JSON.stringify(value, undefined, indent).replace(
    /[\u007f-\u009f\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]/g,
    escapeCharacter,
  );
}

/** Text that is shown as it is, in JSON too. */
const PLAIN = /^[ !#-[\]-~]*$/;

/** Returns text as `printable` makes it, as JSON. */
export function printableJson(text: string): string {
  return PLAIN.test(text) ? `"${text}"` : safeJson(printable(text));
}

/** Colours of a terminal, or functions that leave text alone. */
export interface Style {
  readonly bold: (text: string) => string;
  readonly bad: (text: string) => string;
  readonly good: (text: string) => string;
  readonly dim: (text: string) => string;
}

export const PLAIN_STYLE: Style = { bold: (text) => text, bad: (text) => text, good: (text) => text, dim: (text) => text };

export interface Column {
  readonly title: string;
  readonly alignRight?: boolean;
}

/** Returns lines of a table as kubectl prints them: columns parted by three spaces, the last one unpadded. Cells are made printable. */
export function tableLines(columns: readonly Column[], rows: readonly (readonly string[])[], indent = ""): string[] {
  const cells = [columns.map(({ title }) => title), ...rows.map((row) => row.map(printable))];
  const widths = columns.map((_, i) => Math.max(...cells.map((row) => row[i].length)));
  return cells.map((row) => {
    const padded = row.map((cell, i) =>
      columns[i].alignRight ? cell.padStart(widths[i]) : i === columns.length - 1 ? cell : cell.padEnd(widths[i]),
    );
    return indent + padded.join("   ").trimEnd();
  });
}

/** Returns text in lines of at most `width` characters, the second and later ones indented; a longer word keeps its own line. */
export function wrapped(text: string, width: number, indent = ""): string[] {
  const lines: string[] = [];
  const [first, ...words] = text.trimStart().split(" ");
  let line = text.slice(0, text.length - text.trimStart().length) + first;
  for (const word of words) {
    if (line.length + 1 + word.length <= width) line += ` ${word}`;
    else {
      lines.push(line.trimEnd());
      line = indent + word;
    }
  }
  return [...lines, line.trimEnd()];
}

/** Narrower than this, a column is harder to read than a line that the terminal breaks. */
const NARROWEST = 20;

/** A line of a table whose colours, if it has any, hold for the whole of it: its last column begins behind three spaces. */
const TABLE_LINE = /^((?:\u001b\[\d+m)*)([^\u001b]* {3})([^\u001b]+?)((?:\u001b\[\d+m)*)$/;

/** Returns text for a terminal of `width` characters: of lines that are longer, the last column goes on below itself. */
export function narrowed(text: string, width: number): string {
  const fold = (line: string): string => {
    if (line.length <= width) return line;
    const [, start = "", before = "", last = "", end = ""] = TABLE_LINE.exec(line) ?? [];
    if (before.length + last.length <= width || before.length > width - NARROWEST) return line;
    return start + before + wrapped(last, width - before.length).join(`\n${" ".repeat(before.length)}`) + end;
  };
  return text.split("\n").map(fold).join("\n");
}

/** Returns bytes for people: 812 B, 1.4 KB, 10.4 MB (powers of 1000). */
export function formatBytes(bytes: number): string {
  const units = ["B", "KB", "MB", "GB", "TB"];
  let value = bytes;
  let unit = 0;
  while (value >= 1000 && unit < units.length - 1) {
    value /= 1000;
    unit++;
  }
  return unit === 0 ? `${value} B` : `${value.toFixed(value < 10 ? 1 : 0)} ${units[unit]}`;
}

/** Names that a sentence lists; the rest is counted. */
const LISTED = 5;

/** Returns the first few of many names, and how many more there are. */
export function listed(texts: readonly string[], most = LISTED): string {
  return texts.length <= most ? texts.join(", ") : `${texts.slice(0, most).join(", ")} and ${texts.length - most} more`;
}
