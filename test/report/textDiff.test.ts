import { applyPatch } from "diff";
import fc from "fast-check";
import { expect, test } from "vitest";
import { styledDiff, textDiff } from "../../src/report/textDiff.ts";

const numbered = (count: number, word = "line") => Array.from({ length: count }, (_, i) => `${word} ${i}\n`).join("");

test("a change shows with three lines around it", () => {
  const before = numbered(20);
  expect(textDiff(before, before.replace("line 9\n", "line nine\n"))).toEqual([
    "@@ -7,7 +7,7 @@",
    " line 6",
    " line 7",
    " line 8",
    "-line 9",
    "+line nine",
    " line 10",
    " line 11",
    " line 12",
  ]);
});

test("what is not there is nothing, and equal texts do not differ", () => {
  expect(textDiff(undefined, "a\nb\n")).toEqual(["@@ -0,0 +1,2 @@", "+a", "+b"]);
  expect(textDiff("a\n", undefined)).toEqual(["@@ -1,1 +0,0 @@", "-a"]);
  expect(textDiff("a\n", "a\n")).toEqual([]);
});

test("texts with more changes than are weighed differ as a whole, and stay a patch", () => {
  const [before, after] = [numbered(3000, "old"), numbered(2999, "new")];
  const lines = textDiff(before, after);
  expect(lines[0]).toBe("@@ -1,3000 +1,2999 @@");
  expect(lines).toHaveLength(1 + 3000 + 2999);
});

test("a terminal acts on nothing in it", () => {
  expect(textDiff("a\n", "\u001b[2Jb\n")).toEqual(["@@ -1,1 +1,1 @@", "-a", "+\\u001b[2Jb"]);
});

test("applying the difference gives the second text", () => {
  const text = fc
    .array(fc.constantFrom("a", "b", "- c", "  d: e", "+"), { maxLength: 12 })
    .map((lines) => lines.map((line) => `${line}\n`).join(""));
  fc.assert(
    fc.property(text, text, (before, after) => {
      const patch = textDiff(before, after)
        .map((line) => `${line}\n`)
        .join("");
      expect(applyPatch(before, `--- a\n+++ b\n${patch}`)).toBe(after);
    }),
  );
});

test("colours say what comes and goes", () => {
  const mark = (name: string) => (text: string) => `${name}(${text})`;
  const style = { bold: mark("bold"), bad: mark("bad"), good: mark("good"), dim: mark("dim") };
  expect(styledDiff(["@@ -1,1 +1,1 @@", "-a", "+b", " c"], style)).toEqual(["dim(@@ -1,1 +1,1 @@)", "bad(-a)", "good(+b)", " c"]);
});
