import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { jsonItems, lookOf } from "../../src/live/jsonArray.ts";
import { LiveError, type LiveFailure } from "../../src/live/liveError.ts";

const MOST = 4e6;

async function* chunksOf(text: string | Buffer, cuts: readonly number[]): AsyncGenerator<Buffer> {
  const bytes = Buffer.from(text as string);
  const ends = [...new Set([...cuts.map((cut) => cut % (bytes.length + 1)), bytes.length])].sort((a, b) => a - b);
  let start = 0;
  for (const end of ends) {
    // What is handed out is overwritten afterwards, as a stream does with its pool.
    const chunk = Buffer.from(bytes.subarray(start, end));
    yield chunk;
    chunk.fill(0x78);
    start = end;
  }
}

async function itemsOf(text: string | Buffer, cuts: readonly number[] = [], most = MOST): Promise<unknown[]> {
  const items: unknown[] = [];
  for await (const item of jsonItems(chunksOf(text, cuts), "the broker (x)", most)) items.push(item);
  return items;
}

async function failureOf(text: string | Buffer, cuts: readonly number[] = [], most = MOST): Promise<LiveError> {
  const error = await itemsOf(text, cuts, most).then(
    (items) => new Error(`no failure but ${items.length} items`),
    (thrown) => thrown,
  );
  if (!(error instanceof LiveError)) throw error;
  return error;
}

/** JSON as others write it too: with spaces between the tokens, and characters as escapes. */
const spaced = (value: unknown): string => JSON.stringify(value, undefined, "\t").replaceAll("é", "\\u00e9");

const cuts = fc.array(fc.nat(), { maxLength: 12 });
const texts = fc.oneof(fc.string({ unit: "binary" }), fc.constantFrom("😀é中", '"', "\\", '\\"', "[", "]}", ",", "\u2028\ud800"));
const values = fc.array(fc.jsonValue({ stringUnit: "binary", depthSize: "medium" }), { maxLength: 8 });

describe("the items of a JSON array", () => {
  test("are those of JSON.parse, wherever the bytes are cut", async () => {
    await fc.assert(
      fc.asyncProperty(fc.oneof(values, fc.array(texts, { maxLength: 8 })), cuts, fc.boolean(), async (value, at, wide) => {
        const text = wide ? ` \n${spaced(value)}\r\n\t` : JSON.stringify(value);
        expect(await itemsOf(text, at)).toEqual(JSON.parse(text));
      }),
      { numRuns: 400 },
    );
  });

  test("are the same byte by byte, within characters and escapes", async () => {
    const value = [{ "😀": 'é\\"\n中' }, "]", [[], {}, [{ a: ["}", "\\"] }]], "", null, -1.5e-7];
    for (const text of [JSON.stringify(value), spaced(value)]) {
      const everywhere = Array.from({ length: Buffer.byteLength(text) }, (_, i) => i);
      expect(await itemsOf(text, everywhere)).toEqual(value);
    }
  });

  test("come before the rest of the answer is there", async () => {
    const items = jsonItems(
      (async function* () {
        yield Buffer.from('[{"a":1},');
        throw new LiveError("reset", "broken off");
      })(),
      "x",
      MOST,
    );
    expect((await items.next()).value).toEqual({ a: 1 });
    await expect(items.next()).rejects.toThrow("broken off");
  });

  test("may be nested a million deep", async () => {
    const deep = `${"[".repeat(1e6)}${"]".repeat(1e6)}`;
    expect(await itemsOf(`[${deep},1]`, [5e5])).toHaveLength(2);
    expect((await failureOf(`[${'{"a":'.repeat(1e5)}`)).code).toBe("reset");
    expect((await failureOf("[".repeat(1e6))).code).toBe("reset");
    expect((await failureOf(`[${"[".repeat(1e6)}${"}".repeat(1e6)}]`)).code).toBe("wrong-service");
  });
});

describe("what is no whole JSON array", () => {
  const sound = '[{"a":"😀\\"]"},[1,2]]';
  test.each<[string, LiveFailure, string]>([
    ["", "reset", "before it begins"],
    ["  \n", "reset", "before it begins"],
    ["[", "reset", "within item 1"],
    ["[ ", "reset", "within item 1"],
    ['[{"a":1}', "reset", "within item 1"],
    ['[{"a":1},', "reset", "within item 2"],
    ['["a', "reset", "within item 1"],
    ['["a\\', "reset", "within item 1"],
    ["[] x", "wrong-service", "more after the end"],
    ["[][]", "wrong-service", "more after the end"],
    ["[1]]", "wrong-service", "more after the end"],
    ["[1,]", "wrong-service", "item 2 of its answer is not JSON"],
    ["[,1]", "wrong-service", "item 1 of its answer is not JSON"],
    ["[,]", "wrong-service", "item 1 of its answer is not JSON"],
    ["[1 2]", "wrong-service", "item 1 of its answer is not JSON"],
    ["[1}2]", "wrong-service", "item 1 of its answer is not JSON"],
    ["[{]]", "wrong-service", "item 1 of its answer is not JSON"],
    ["[{},tru]", "wrong-service", "item 2 of its answer is not JSON"],
    ["[NaN]", "wrong-service", "item 1 of its answer is not JSON"],
    ["['a']", "wrong-service", "item 1 of its answer is not JSON"],
    ['["\n"]', "wrong-service", "item 1 of its answer is not JSON"],
    ["{}", "wrong-service", "a JSON object where a JSON list belongs"],
    ['{"error":"s3cret"}', "wrong-service", "a JSON object where a JSON list belongs"],
    ["<!doctype html>", "wrong-service", "a web page where a JSON list belongs"],
    ["null", "wrong-service", "other text where a JSON list belongs"],
    ["Healthy!", "wrong-service", "other text where a JSON list belongs"],
    ["\ufeff[]", "wrong-service", "other text where a JSON list belongs"],
  ])("%j: %s", async (text, code, message) => {
    for (const at of [[], [1], [2, 3], Array.from({ length: 40 }, (_, i) => i)]) {
      const error = await failureOf(text, at);
      expect(error.code).toBe(code);
      expect(error.message).toContain(message);
      expect(error.message).toMatch(/^the broker \(x\)/);
    }
  });

  test("a text that is cut anywhere is broken off, and never less than it was", async () => {
    const bytes = Buffer.from(sound);
    for (let end = 0; end < bytes.length; end++) expect((await failureOf(bytes.subarray(0, end), [3, 9])).code, String(end)).toBe("reset");
    expect(await itemsOf(sound)).toHaveLength(2);
  });

  test("arbitrary bytes are either what JSON.parse makes of them or a LiveError", async () => {
    const soup = fc.array(fc.constantFrom("[", "]", "{", "}", ",", ":", '"', "\\", "1", "a", " ", "true", '"k":', "é"), { maxLength: 30 });
    await fc.assert(
      fc.asyncProperty(soup, cuts, async (parts, at) => {
        const text = `[${parts.join("")}`;
        let wanted: unknown;
        try {
          wanted = JSON.parse(text);
        } catch {
          wanted = undefined;
        }
        if (wanted === undefined) await failureOf(text, at);
        else expect(await itemsOf(text, at)).toEqual(wanted);
      }),
      { numRuns: 2000 },
    );
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ maxLength: 40 }), cuts, async (bytes, at) => {
        await itemsOf(Buffer.from(bytes), at).catch((error) => expect(error).toBeInstanceOf(LiveError));
      }),
    );
  });
});

test.each([
  ["in one chunk", []],
  ["in several", [10, 50, 90]],
])("an item that is longer than allowed is refused, %s", async (_, at) => {
  const giant = "x".repeat(100);
  expect(await itemsOf(JSON.stringify(["a", giant]), at, 102)).toEqual(["a", giant]);
  for (const text of [
    JSON.stringify(["a", giant, "b"]),
    JSON.stringify(["a", giant]),
    JSON.stringify(["a", `${giant}${giant}`]).slice(0, 150),
  ]) {
    const error = await failureOf(text, at, 101);
    expect(error.code).toBe("wrong-service");
    expect(error.message).toContain("item 2 of its answer is longer than");
  }
});

test("what a text looks like is told without quoting it", () => {
  expect(lookOf("  <html>t0ken")).toBe("a web page");
  expect(lookOf('{"t0ken":1}')).toBe("a JSON object");
  expect(lookOf("t0ken")).toBe("other text");
  expect(lookOf(" \n")).toBe("nothing");
});
