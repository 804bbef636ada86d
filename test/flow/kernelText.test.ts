import fc from "fast-check";
import { expect, test } from "vitest";
import { Connections } from "../../src/flow/connections.ts";
import { FlowTable } from "../../src/flow/flowTable.ts";
import { OUTCOMES } from "../../src/flow/outcome.ts";
import { CONNECTION_WORDS, ENDED_NS, ENDED_SECONDS, STARTED_NS, STARTED_SECONDS, TIMED, TRAITS } from "../../src/kernel/constants.ts";
import { formatRfc3339 } from "../../src/net/time.ts";
import { TextPieces } from "../../src/report/textPieces.ts";

/** The text that the kernel writes of a connection's counts, between pieces that name their places. */
function written(connections: Connections, i: number): string {
  const { kernel } = connections;
  const pieces = new TextPieces(kernel);
  const texts = pieces.addWords(Array.from({ length: 22 }, (_, place) => pieces.add(`<${place}>`)));
  const nothing = pieces.addWords([pieces.add(""), pieces.add(""), 0]);
  const out = kernel.calls.beginText();
  kernel.calls.putConnection(out, connections.store, i, texts, nothing, 0, nothing, 0, nothing, nothing, 0, 0);
  const text = Buffer.from(kernel.octets(kernel.calls.textAddress(out), kernel.calls.textLength(out))).toString();
  kernel.calls.endText(out);
  pieces.release();
  return text;
}

const count = fc.oneof(fc.nat(20), fc.maxSafeNat(), fc.constantFrom(9, 10, 99, 100, 2 ** 32, 2 ** 53 - 1, 2 ** 53, 2 ** 60, 2 ** 73, 1e21));
const seconds = fc.oneof(
  fc.integer({ min: 0, max: 0xffffffff }),
  // Days around the turns of months and years, leap years among them.
  fc
    .record({
      year: fc.integer({ min: 1970, max: 2105 }),
      month: fc.nat(11),
      day: fc.constantFrom(1, 28, 29, 30, 31),
      second: fc.nat(86399),
    })
    .map(({ year, month, day, second }) => Date.UTC(year, month, day) / 1000 + second),
);
const nanoseconds = fc.oneof(fc.nat(999_999_999), fc.constantFrom(0, 1, 999, 1000, 999_999, 1_000_000, 999_999_999));

test("numbers and times are written as the program writes them", () => {
  const table = new FlowTable(1);
  const connections = new Connections(table.kernel);
  const { calls } = table.kernel;
  const i = calls.internConnection(connections.store, 1, 0, 2, 0, -1, 80, 6);
  connections.look();
  fc.assert(
    fc.property(
      fc.tuple(count, count, count, count, count),
      count,
      count,
      fc.option(fc.tuple(seconds, nanoseconds, seconds, nanoseconds), { nil: undefined }),
      (attempts, packets, bytes, times) => {
        connections.setTally(i, { attempts, packets, bytes });
        const words = table.kernel.words(calls.cellOf(connections.store, i), CONNECTION_WORDS);
        words[TRAITS] = times === undefined ? 0 : TIMED;
        if (times !== undefined) [words[STARTED_SECONDS], words[STARTED_NS], words[ENDED_SECONDS], words[ENDED_NS]] = times;
        const moments =
          times === undefined
            ? ["<6>", "<6>"]
            : [`<5>${formatRfc3339(times[0], times[1])}<5>`, `<5>${formatRfc3339(times[2], times[3])}<5>`];
        const first = attempts.findIndex((each) => each > 0);
        const observed = first < 0 ? OUTCOMES.length - 1 : first;
        const sum = attempts.reduce((total, each) => total + each, 0);
        expect(written(connections, i)).toBe(
          `<20><21><0>${sum}<1>${packets}<2>${bytes}<3>${moments[0]}<4>${moments[1]}${attempts.map((each, k) => `<${10 + k}>${each}`).join("")}<${15 + observed}><8><7>`,
        );
      },
    ),
    { numRuns: 2000 },
  );
});

test("text grows as it must, and pieces of any length are whole", () => {
  const { kernel } = new FlowTable(1);
  const pieces = new TextPieces(kernel);
  const out = kernel.calls.beginText();
  const texts = ["", "é ← 💧", "x".repeat(65_531), "y".repeat(65_532), "z".repeat(65_533), "w".repeat(1 << 20)];
  const places = texts.map((text) => pieces.add(text));
  for (const place of [...places, 0, ...places]) kernel.calls.putText(out, place);
  const text = Buffer.from(kernel.octets(kernel.calls.textAddress(out), kernel.calls.textLength(out))).toString();
  expect(text === texts.join("") + texts.join("")).toBe(true);
  kernel.calls.endText(out);
  pieces.release();
});
