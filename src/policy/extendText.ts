import type { ManifestObject } from "../cluster/manifest.ts";
import { quote } from "./objectReader.ts";

/** Lines that take the place of `removed` lines of a text, from `line` on (from 1). */
export interface TextEdit {
  readonly line: number;
  readonly removed: number;
  readonly lines: readonly string[];
}

/** Thrown where a text is written in a way that lines cannot be added to. The message is one line, with the place. */
export class NotExtendable extends Error {}

/**
 * Returns the edit that puts items in front of a list in the `spec` of an object, and leaves every other character of the text as it
 * is. `items` are lines of YAML as they stand at no indentation. Throws NotExtendable where the list is not in block style.
 */
export function extendList(text: string, object: ManifestObject, field: string, items: readonly string[]): TextEdit {
  const lines = text.split("\n");
  const spec = object.value.spec as Record<string, unknown>;
  const list = spec[field];
  const refuse = (line: number) =>
    new NotExtendable(
      `${object.file}:${line}: ${quote(field)} is not written a line an item, so that no rule can be added: write it so, or as ${quote(`${field}:`)} and items below`,
    );
  if (Array.isArray(list) && list.length > 0) {
    const { line, column } = object.positionOf(["spec", field, 0]);
    const before = lines[line - 1].slice(0, column - 1);
    if (!/^ *- +$/.test(before)) throw refuse(line);
    return { line, removed: 0, lines: indented(items, before.indexOf("-")) };
  }
  if (Object.hasOwn(spec, field)) {
    const { line, column } = object.positionOf(["spec", field]);
    const empty = new RegExp(`^ *["']?${field}["']?:\\s*(?:\\[\\s*\\]|null|~)?\\s*(#.*)?$`).exec(lines[line - 1]);
    if (empty === null) throw refuse(line);
    const comment = empty[1] === undefined ? "" : ` ${empty[1].trimEnd()}`;
    return { line, removed: 1, lines: [`${" ".repeat(column - 1)}${field}:${comment}`, ...indented(items, column + 1)] };
  }
  const [first] = Object.keys(spec);
  const { line, column } = object.positionOf(["spec", first]);
  if (first === undefined || lines[line - 1].slice(0, column - 1).trim() !== "") throw refuse(line);
  return { line, removed: 0, lines: [`${" ".repeat(column - 1)}${field}:`, ...indented(items, column + 1)] };
}

/** Returns a text with edits made; they must not overlap. */
export function edited(text: string, edits: readonly TextEdit[]): string {
  const lines = text.split("\n");
  const end = lines[0].endsWith("\r") ? "\r" : "";
  for (const { line, removed, lines: added } of edits.toSorted((a, b) => b.line - a.line))
    lines.splice(line - 1, removed, ...added.map((each) => each + end));
  return lines.join("\n");
}

function indented(lines: readonly string[], indent: number): string[] {
  return lines.map((line) => (line === "" ? "" : " ".repeat(indent) + line));
}
