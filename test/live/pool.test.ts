import { setImmediate as turn } from "node:timers/promises";
import { expect, test } from "vitest";
import { forEachAtOnce } from "../../src/live/pool.ts";

test("every item is worked on once, in order, and never more at once than allowed", async () => {
  const begun: number[] = [];
  let [running, most] = [0, 0];
  await forEachAtOnce([1, 2, 3, 4, 5, 6, 7], 3, async (item) => {
    begun.push(item);
    most = Math.max(most, ++running);
    await turn();
    running--;
  });
  expect(begun).toEqual([1, 2, 3, 4, 5, 6, 7]);
  expect(most).toBe(3);
  expect(running).toBe(0);
});

test("the first failure is thrown, and nothing is begun after it", async () => {
  const begun: number[] = [];
  const working = forEachAtOnce([1, 2, 3, 4, 5, 6], 2, async (item) => {
    begun.push(item);
    await turn();
    if (item === 2) throw new Error("two");
    await turn();
  });
  await expect(working).rejects.toThrow("two");
  for (let i = 0; i < 20; i++) await turn();
  expect(begun).toEqual([1, 2]);
});

test("no items are no work", async () => {
  await forEachAtOnce([], 4, () => Promise.reject(new Error("nothing to do")));
});
