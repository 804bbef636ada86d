import { RE2JS } from "re2js";

const known = new Map<string, (text: string) => boolean>();

/**
 * Returns a test of whether a text matches an RE2 expression as a whole. Linear in the text: expressions come out of policies and
 * texts out of captures, and neither can be trusted with backtracking.
 */
export function compileRegex(regex: string): (text: string) => boolean {
  let test = known.get(regex);
  if (test === undefined) {
    const literal = /^(?:[\w-]|\\\.)+$/.test(regex) ? regex.replaceAll("\\.", ".") : undefined;
    if (literal !== undefined) test = (text) => text === literal;
    else {
      const pattern = RE2JS.compile(regex);
      test = (text) => pattern.matches(text);
    }
    known.set(regex, test);
  }
  return test;
}
