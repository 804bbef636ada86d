import type { RE2JS } from "re2js";

/*
 * RE2 expressions: what Cilium's HTTP rules are written in, and DNS names are matched by. Linear in the text: expressions come out of
 * policies and texts out of captures, and neither can be trusted with backtracking. The engine takes 20 ms to load, and sets of
 * NetworkPolicies need none: whoever reads other dialects loads it first.
 */

let engine: typeof RE2JS | undefined;
const known = new Map<string, (text: string) => boolean>();

/** Loads the engine. Reading and judging dialects with expressions need it. */
export async function loadRegexEngine(): Promise<void> {
  engine ??= (await import("re2js")).RE2JS;
}

function loaded(): typeof RE2JS {
  if (engine === undefined) throw new Error("the engine of regular expressions is used before it is loaded");
  return engine;
}

/** Returns what is wrong with an expression; undefined where nothing is. */
export function regexFault(regex: string): string | undefined {
  try {
    loaded().compile(regex);
    return undefined;
  } catch (error) {
    if (engine === undefined) throw error;
    return (error as Error).message.replace(/^error parsing regexp: /, "");
  }
}

/** Returns the one text that an expression without operators matches; undefined for others. */
export function literalOf(regex: string): string | undefined {
  return /^(?:[\w-]|\\\.)+$/.test(regex) ? regex.replaceAll("\\.", ".") : undefined;
}

/** Returns a test of whether a text matches an expression as a whole. */
export function compileRegex(regex: string): (text: string) => boolean {
  let test = known.get(regex);
  if (test === undefined) {
    const literal = literalOf(regex);
    if (literal !== undefined) test = (text) => text === literal;
    else {
      const pattern = loaded().compile(regex);
      test = (text) => pattern.matches(text);
    }
    known.set(regex, test);
  }
  return test;
}
