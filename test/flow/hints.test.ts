import { expect, test } from "vitest";
import { L7Hints } from "../../src/flow/hints.ts";

const get = (path: string) => ({ http: { method: "GET", path } });

test("a row nobody saw anything of", () => {
  const hints = new L7Hints();
  expect([hints.has(3), hints.first(3), hints.all(3), hints.countOf(3), hints.isCut(3)]).toEqual([false, undefined, [], 0, false]);
});

test("each different request is kept once, in order; every one is counted", () => {
  const hints = new L7Hints();
  for (const path of ["/a", "/b", "/a", "/b", "/c"]) hints.add(1, get(path));
  hints.add(2, { dns: { query: "example.com" } });
  expect(hints.all(1)).toEqual([get("/a"), get("/b"), get("/c")]);
  expect([hints.first(1), hints.countOf(1), hints.countOf(2)]).toEqual([get("/a"), 5, 1]);
  expect([...hints.values()]).toEqual([get("/a"), { dns: { query: "example.com" } }]);
});

test("what differs in a header alone is another request", () => {
  const hints = new L7Hints();
  for (const team of ["red", "blue", "red"]) hints.add(1, { http: { ...get("/").http, headers: { "x-team": team } } });
  expect(hints.all(1)).toHaveLength(2);
});

test("257 different requests are kept; one more cuts its row and no other, and is counted all the same", () => {
  const hints = new L7Hints();
  for (let i = 0; i < 257; i++) hints.add(1, get(`/${i}`));
  expect([hints.all(1).length, hints.isCut(1)]).toEqual([257, false]);
  hints.add(1, get("/0"));
  hints.add(1, get("/256"));
  expect([hints.all(1).length, hints.isCut(1)]).toEqual([257, false]);
  hints.add(1, get("/257"));
  hints.add(2, get("/0"));
  expect([hints.all(1).length, hints.isCut(1), hints.isCut(2), hints.countOf(1)]).toEqual([257, true, false, 260]);
});
