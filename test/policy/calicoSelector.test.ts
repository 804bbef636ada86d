import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { formatSelector, parseSelector, selectsLabels } from "../../src/policy/calico/selector.ts";

const rewrite = (text: string): string => {
  const read = parseSelector(text);
  return "error" in read ? `${read.error} at ${read.offset}` : formatSelector(read.expression);
};

test.each<[text: string, expected: string]>([
  ["", "all()"],
  [" \t ", "all()"],
  ["all( )", "all()"],
  ["global()", "global()"],
  ["a==\"b\"&&c!='d'||has( e )", "a == 'b' && c != 'd' || has(e)"],
  ["a == 'b' && (c == 'd' || e == 'f')", "a == 'b' && (c == 'd' || e == 'f')"],
  ["(a == 'b' && c == 'd') && e == 'f'", "(a == 'b' && c == 'd') && e == 'f'"],
  ["!!!has(a) && !(b == 'c')", "!has(a) && !b == 'c'"],
  ["a in {'x', \"y\",} || a not in {}", "a in {'x', 'y'} || a not in {}"],
  ["a startswith 'x' && a ends  with \"it's\" && a contains ''", "a starts with 'x' && a ends with \"it's\" && a contains ''"],
  ["in in {'in'} && not notin {'x'} && contains contains 'y'", "in == 'in' && not != 'x' && contains contains 'y'"],
])("%s is read as %s", (text, expected) => {
  expect(rewrite(text)).toBe(expected);
  expect(rewrite(expected)).toBe(expected);
});

test.each<[text: string, expected: string]>([
  ["a = 'b'", "expected `==` at 2"],
  ["a == b", "expected a text in quotes at 5"],
  ["a == 'b' & c == 'd'", "expected `&&` at 9"],
  ["a == 'b' &&", "expected a label, `has(`, `all()`, `!` or `(` at 11"],
  ["a", "expected an operator behind the label at 1"],
  ["a like 'b'", "expected an operator behind the label at 2"],
  ["a == 'b", "the text has no closing quote at 5"],
  ["a in 'b'", "expected a set, such as `{'a', 'b'}` at 5"],
  ["a in {'b' 'c'}", "expected `}` at 10"],
  ["a in {,}", "expected `}` at 6"],
  ["has()", "expected a label in `has(` at 4"],
  ["has(a", "expected `)` behind `has(` at 5"],
  ["(a == 'b'", "expected `)` at 9"],
  ["a == 'b')", "expected `&&`, `||` or the end at 8"],
  ["a == 'b'\n", "expected a label at 8"],
  [`${"k".repeat(513)} == 'v'`, "a label longer than 512 characters at 0"],
])("%s is refused: %s", (text, expected) => expect(rewrite(text)).toBe(expected));

test("parentheses are read to a bounded depth, and long texts in linear time", () => {
  const nested = (depth: number) => `${"(".repeat(depth)}has(a)${")".repeat(depth)}`;
  expect(rewrite(nested(512))).toBe("has(a)");
  expect(rewrite(nested(100_000))).toBe("parentheses nested deeper than 512 at 512");
  expect(rewrite(`${"!".repeat(100_001)}has(a)`)).toBe("!has(a)");
  expect(rewrite(`has(a)${" && has(a)".repeat(50_000)}`)).toHaveLength(6 + 10 * 50_000);
});

describe("what selects which labels", () => {
  test.each<[text: string, labels: Record<string, string>, expected: boolean]>([
    ["a != 'b'", {}, true],
    ["a not in {'b'}", {}, true],
    ["!has(a)", {}, true],
    ["a contains ''", {}, false],
    ["a contains ''", { a: "" }, true],
    ["a == 'b' || c == 'd' && e == 'f'", { a: "b" }, true],
    ["!a == 'b' && c == 'd'", { c: "d" }, true],
    ["constructor == 'x' || has(__proto__)", {}, false],
  ])("%s of %o: %s", (text, labels, expected) => {
    const read = parseSelector(text);
    expect("expression" in read && selectsLabels(read.expression, labels)).toBe(expected);
  });
});

test("whatever text: an expression that prints to a text with the same meaning, or an error within the text", () => {
  const words = [
    "a",
    "b/c",
    "in",
    "not",
    "has(",
    "all()",
    "global()",
    "==",
    "!=",
    "!",
    "&&",
    "||",
    "(",
    ")",
    "{",
    "}",
    ",",
    "'x'",
    '"it\'s"',
    " ",
  ];
  const text = fc.oneof(
    fc.string(),
    fc.array(fc.constantFrom(...words, "contains", "starts with"), { maxLength: 14 }).map((each) => each.join(" ")),
  );
  fc.assert(
    fc.property(text, (selector) => {
      const read = parseSelector(selector);
      if ("error" in read) expect(read.offset).toSatisfy((offset: number) => offset >= 0 && offset <= selector.length);
      else expect(parseSelector(formatSelector(read.expression))).toEqual(read);
    }),
    { numRuns: 2000 },
  );
});

test("a text with both kinds of quotes cannot be written", () => {
  expect(() => formatSelector({ op: "text", of: "own", key: "a", how: "contains", text: "'\"" })).toThrow(RangeError);
});
