/*
 * The words of Calico's selector language (Calico documentation: NetworkPolicy, Selectors). White space is blank or tab only.
 * What a word means hangs on the one before it: only behind a label are `in`, `not in`, `contains`, `starts with` and `ends with`
 * operators, anywhere else they may be labels.
 */

type Sign = "(" | ")" | "{" | "}" | "," | "==" | "!=" | "!" | "&&" | "||" | "in" | "not in" | "contains" | "starts with" | "ends with";

export type Token = { readonly offset: number } & (
  | { readonly kind: Sign | "all()" | "global()" | "end" }
  | { readonly kind: "label" | "has" | "string"; readonly text: string }
);

/** What is wrong with a selector: one line, lower case, and where, counted in UTF-16 units from 0. */
export interface SelectorError {
  readonly error: string;
  readonly offset: number;
}

const SIGNS: readonly Sign[] = ["==", "!=", "&&", "||", "(", ")", "{", "}", ",", "!"];
const OPERATORS: readonly [RegExp, Sign][] = [
  [/contains/y, "contains"],
  [/starts[ \t]*with/y, "starts with"],
  [/ends[ \t]*with/y, "ends with"],
  [/not[ \t]*in/y, "not in"],
  [/in/y, "in"],
];
const BLANKS = /[ \t]*/y;
const LABEL = /[A-Za-z0-9_./-]+/y;
const MAX_LABEL = 512;

/** Returns the words of a selector, the last of kind `end`. */
export function tokenizeSelector(text: string): readonly Token[] | SelectorError {
  const tokens: Token[] = [];
  let at = 0;
  const take = (pattern: RegExp): string | undefined => {
    pattern.lastIndex = at;
    const found = pattern.exec(text)?.[0];
    at += found?.length ?? 0;
    return found;
  };
  const takeWord = (offset: number): Token | SelectorError => {
    const before = tokens.at(-1);
    if (before?.kind === "label") {
      const operator = OPERATORS.find(([pattern]) => take(pattern) !== undefined)?.[1];
      return operator ? { kind: operator, offset } : { error: "expected an operator behind the label", offset };
    }
    for (const name of ["has", "all", "global"] as const) {
      if (!text.startsWith(`${name}(`, at)) continue;
      at += name.length + 1;
      take(BLANKS);
      const label = name === "has" ? take(LABEL) : "";
      if (label === undefined) return { error: "expected a label in `has(`", offset: at };
      if (label.length > MAX_LABEL) return { error: `a label longer than ${MAX_LABEL} characters`, offset };
      take(BLANKS);
      if (text[at] !== ")") return { error: `expected \`)\` behind \`${name}(\``, offset: at };
      at += 1;
      return name === "has" ? { kind: "has", text: label, offset } : { kind: `${name}()`, offset };
    }
    const label = take(LABEL);
    if (label === undefined) return { error: "expected a label", offset };
    return label.length > MAX_LABEL
      ? { error: `a label longer than ${MAX_LABEL} characters`, offset }
      : { kind: "label", text: label, offset };
  };

  for (;;) {
    take(BLANKS);
    const offset = at;
    const first = text[at];
    if (first === undefined) return [...tokens, { kind: "end", offset }];
    const sign = SIGNS.find((each) => text.startsWith(each, at));
    if (sign) {
      at += sign.length;
      tokens.push({ kind: sign, offset });
    } else if (first === "'" || first === '"') {
      const end = text.indexOf(first, at + 1);
      if (end < 0) return { error: "the text has no closing quote", offset };
      tokens.push({ kind: "string", text: text.slice(at + 1, end), offset });
      at = end + 1;
    } else if (first === "=" || first === "&" || first === "|") {
      return { error: `expected \`${first}${first}\``, offset };
    } else {
      const token = takeWord(offset);
      if ("error" in token) return token;
      tokens.push(token);
    }
  }
}
