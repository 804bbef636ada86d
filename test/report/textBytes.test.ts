import { describe, expect, test } from "vitest";
import { TextBytes } from "../../src/report/textBytes.ts";

describe("text as bytes", () => {
  test("texts in the order in which they were added", () => {
    const text = new TextBytes();
    text.add("aé");
    text.add("€");
    text.add("\u{1f600}");
    expect(text.take().toString()).toBe("aé€\u{1f600}");
    text.add("b");
    expect(text.take().toString()).toBe("b");
    expect(text.take()).toHaveLength(0);
  });

  test("texts that are longer than any piece", () => {
    const text = new TextBytes();
    const long = "x€".repeat(300_000);
    text.add("<");
    expect(text.isFull).toBe(false);
    text.add(long);
    text.add(long);
    expect(text.isFull).toBe(true);
    text.add(">");
    expect(text.take().toString()).toBe(`<${long}${long}>`);
  });
});
