import { BARE_VALUES, type CommandManifest, commandNames, type DescribedCommand, type DescribedFlag } from "../manifest.ts";

/** Values of the flags before the word that is being completed, by the flags' names; flags without values have "true". */
export type Given = ReadonlyMap<string, readonly string[]>;

/** What of a command line is being completed. `prefix` is what of it is typed already. */
export type Asked = { readonly prefix: string } & (
  | {
      readonly kind: "command" /** Words before it: a topic's name, or none. */;
      readonly topic: string | undefined;
      readonly isHelp: boolean;
    }
  | { readonly kind: "nothing" }
  | ({ readonly command: DescribedCommand; readonly given: Given } & (
      | { readonly kind: "flag" }
      | { readonly kind: "value"; readonly flag: DescribedFlag }
      | { readonly kind: "argument"; readonly position: number; readonly before: readonly string[] }
    ))
);

/** Finds out what the last word of a command line is to become; it may be empty. The words are those after the program's name. */
export function readLine(words: readonly string[], manifest: CommandManifest): Asked {
  const prefix = words.at(-1) ?? "";
  const isHelp = words[0] === "help" && words.length > 1;
  const before = words.slice(isHelp ? 1 : 0, -1);
  const names = commandNames(manifest);
  const [first, second] = before;
  if (first === undefined) return { kind: "command", topic: undefined, isHelp, prefix };
  const isTopic = [...names.keys()].some((name) => name.startsWith(`${first} `));
  if (isTopic && second === undefined) return { kind: "command", topic: first, isHelp, prefix };
  const id = names.get(isTopic ? `${first} ${second}` : first);
  if (id === undefined || isHelp) return { kind: "nothing", prefix };
  return readArguments(manifest[id], before.slice(isTopic ? 2 : 1), prefix);
}

function readArguments(command: DescribedCommand, words: readonly string[], prefix: string): Asked {
  const given = new Map<string, string[]>();
  const add = (flag: DescribedFlag, value: string) => given.set(flag.name, [...(given.get(flag.name) ?? []), value]);
  const before: string[] = [];
  let pending: DescribedFlag | undefined;
  let areFlagsOver = false;
  for (const word of words) {
    if (pending !== undefined) {
      add(pending, word);
      pending = undefined;
    } else if (word === "--" && !areFlagsOver) areFlagsOver = true;
    else if (areFlagsOver || !word.startsWith("-") || word === "-") before.push(word);
    else {
      const { flag, value } = readFlag(command, word);
      if (flag !== undefined && value !== undefined) add(flag, value);
      else pending = flag;
    }
  }
  const common = { command, given };
  if (pending !== undefined) return { ...common, kind: "value", flag: pending, prefix };
  if (!areFlagsOver && prefix.startsWith("-")) {
    const equals = prefix.indexOf("=");
    if (equals < 0) return { ...common, kind: "flag", prefix };
    const { flag } = readFlag(command, prefix);
    return flag === undefined ? { kind: "nothing", prefix } : { ...common, kind: "value", flag, prefix: prefix.slice(equals + 1) };
  }
  return { ...common, kind: "argument", position: before.length, before, prefix };
}

/** Returns the last flag that a word names and its value; without a value, the next word is it. */
function readFlag({ flags }: DescribedCommand, word: string): { readonly flag?: DescribedFlag; readonly value?: string } {
  if (word.startsWith("--")) {
    const equals = word.indexOf("=");
    const name = word.slice(2, equals < 0 ? undefined : equals);
    const flag = Object.hasOwn(flags, name) ? flags[name] : undefined;
    if (flag === undefined) return {};
    if (equals >= 0) return { flag, value: word.slice(equals + 1) };
    return flag.type === "boolean" || BARE_VALUES.has(word) ? { flag, value: "true" } : { flag };
  }
  // Short flags without values may stand together: -Ro json, -ojson.
  for (let i = 1; i < word.length; i++) {
    const flag = Object.values(flags).find(({ char }) => char === word[i]);
    if (flag === undefined) return {};
    if (flag.type === "boolean" && i + 1 < word.length) continue;
    if (flag.type === "boolean") return { flag, value: "true" };
    const rest = word.slice(i + 1).replace(/^=/, "");
    return rest === "" ? { flag } : { flag, value: rest };
  }
  return {};
}
