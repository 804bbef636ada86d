import { readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

/*
 * The commands of the documentation. A fenced block is of one of these kinds, by the words after its fence:
 *
 *   sh (or nothing)    run, in the order of the page; lines below a `$ ` line are what the command prints, `…` alone for lines left out
 *   sh live            needs a cluster, a network or root: parsed only
 *   sh refused         run, and exits with 2: what an error looks like
 *   anything else      no commands
 *
 * A line with `[` after a blank says how a command is used (`[flags]`) and is none.
 */

export const ROOT = fileURLToPath(new URL("../../", import.meta.url));

/** Pages with commands. */
export const PAGES: readonly string[] = [
  "README.md",
  ...readdirSync(`${ROOT}docs`)
    .filter((name) => name.endsWith(".md"))
    .map((name) => `docs/${name}`)
    .sort(),
];

export interface DocumentedCommand {
  readonly page: string;
  /** Line of the page, from 1. */
  readonly line: number;
  /** What a shell is given, with continuation lines. */
  readonly text: string;
  readonly kind: "run" | "live" | "refused";
  /** Lines that are said to be printed; undefined where the page shows none. */
  readonly shown: readonly string[] | undefined;
}

const KINDS: ReadonlyMap<string, DocumentedCommand["kind"]> = new Map([
  ["", "run"],
  ["sh", "run"],
  ["sh live", "live"],
  ["sh refused", "refused"],
]);

/** Returns the commands of a page in their order. */
export function commandsOf(page: string): DocumentedCommand[] {
  const commands: DocumentedCommand[] = [];
  const lines = readFileSync(`${ROOT}${page}`, "utf8").split("\n");
  for (let i = 0; i < lines.length; i++) {
    const [, ticks, info] = /^(```+)(.*)$/.exec(lines[i]) ?? [];
    if (ticks === undefined) continue;
    const first = i + 1;
    const end = lines.indexOf(ticks, first);
    if (end < 0) throw new Error(`${page}:${i + 1}: the block is never ended`);
    const kind = KINDS.get(info.trim());
    if (kind !== undefined) commands.push(...commandsIn(page, lines.slice(first, end), first, kind));
    i = end;
  }
  return commands;
}

function commandsIn(page: string, block: readonly string[], offset: number, kind: DocumentedCommand["kind"]): DocumentedCommand[] {
  const hasPrompts = block.some((line) => line.startsWith("$ "));
  const commands: DocumentedCommand[] = [];
  for (let i = 0; i < block.length; i++) {
    const line = i + offset + 1;
    let text = hasPrompts ? block[i].slice(2) : block[i];
    if (text.trim() === "" || text.startsWith("#") || / \[/.test(text)) continue;
    while (text.endsWith("\\")) text = `${text}\n${block[++i]}`;
    const shown: string[] = [];
    while (hasPrompts && i + 1 < block.length && !block[i + 1].startsWith("$ ")) shown.push(block[++i]);
    commands.push({ page, line, text, kind, shown: trimmed(shown).length === 0 ? undefined : trimmed(shown) });
  }
  return commands;
}

/** Lines without blanks at their ends, and without empty lines at the end. */
export function trimmed(lines: readonly string[]): string[] {
  const kept = lines.map((line) => line.trimEnd());
  while (kept.at(-1) === "") kept.pop();
  return kept;
}

/** Reports whether lines are what is shown of them, where `…` alone stands for any lines. */
export function isShown(lines: readonly string[], shown: readonly string[]): boolean {
  const parts = shown.join("\n").split(/(?:^|\n) *…(?:\n|$)/);
  const text = lines.join("\n");
  if (parts.length === 1) return text === parts[0];
  let rest = `\n${text}\n`;
  for (const [i, part] of parts.entries()) {
    const wanted = part === "" ? "" : `\n${part}\n`;
    const at =
      i === 0
        ? rest.startsWith(wanted)
          ? 0
          : -1
        : i === parts.length - 1 && wanted !== ""
          ? rest.endsWith(wanted)
            ? rest.length - wanted.length
            : -1
          : rest.indexOf(wanted);
    if (at < 0) return false;
    // The line break that ends a part may begin the next one.
    rest = rest.slice(Math.max(0, at + wanted.length - 1));
  }
  return true;
}

/** Returns the calls of this program in a shell's text: the words after `kubectl kguardian` of each, without quotes. */
export function callsIn(text: string): string[][] {
  const words: string[][] = [[]];
  for (const [, blank, operator, word] of text
    .replaceAll("\\\n", " ")
    .matchAll(/(\s+)|(\|\|?|&&|;|[<>]&?\d?|#.*$)|((?:"[^"]*"|'[^']*'|[^\s|&;<>"'])+)/gm)) {
    if (blank !== undefined) continue;
    if (operator === undefined) words.at(-1)!.push(word.replace(/"([^"]*)"|'([^']*)'/g, "$1$2"));
    else words.push([]);
  }
  return words.flatMap((call) => {
    const at = call.findIndex((word, i) => word === "kubectl" && call[i + 1] === "kguardian");
    return at < 0 ? [] : [call.slice(at + 2)];
  });
}
