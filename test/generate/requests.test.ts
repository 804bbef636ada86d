import { describe, expect, test } from "vitest";
import type { L7Hint } from "../../src/flow/hints.ts";
import { dnsMatches, httpMatches, pathPattern } from "../../src/generate/requests.ts";
import { compileRegex } from "../../src/policy/regex.ts";

describe("paths of requests", () => {
  test.each([
    ["/", "/"],
    ["/orders", "/orders"],
    ["/orders/17", "/orders/[0-9]+"],
    ["/orders/17/items/3", "/orders/[0-9]+/items/[0-9]+"],
    ["/users/3f2504e0-4f89-41d3-9a0c-0305e82c3301", "/users/[0-9a-fA-F-]{36}"],
    ["/objects/507f1f77bcf86cd799439011", "/objects/[0-9a-fA-F]+"],
    ["/search?q=1", "/search(\\?.*)?"],
    ["/a.b/c+d", "/a\\.b/c\\+d"],
    ["/shop.Cart/AddItem", "/shop\\.Cart/AddItem"],
    ["/v1/defaced", "/v1/defaced"],
  ])("%s is %s", (path, pattern) => {
    expect(pathPattern(path)).toBe(pattern);
    // Envoy wants the whole path, anchored at both ends.
    expect(compileRegex(pattern)(path)).toBe(true);
    expect(compileRegex(pattern)(`${path}/x`)).toBe(path.includes("?"));
  });

  const requests = (...paths: string[]): L7Hint[] => paths.map((path) => ({ http: { method: "GET", path } }));

  test("with and without a query are one", () => {
    expect(httpMatches(requests("/a", "/a?x=1")).matches).toEqual([
      { kind: "http", method: { regex: "GET" }, path: { regex: "/a(\\?.*)?" } },
    ]);
  });

  test("are joined by folder where there are too many to read, and still hold every request", () => {
    const paths = Array.from({ length: 60 }, (_, i) => `/files/name-${"x".repeat(i)}`);
    const { matches, remarks } = httpMatches(requests(...paths, "/health"));
    expect(remarks).toEqual(["61 different paths of GET were seen: they are joined into 2, which allow more"]);
    expect(matches.map((match) => "path" in match && match.path)).toEqual([{ regex: "/files(/.*)?" }, { regex: "/health" }]);
    for (const path of paths) expect(compileRegex("/files(/.*)?")(path)).toBe(true);
  });
});

describe("names that were asked for", () => {
  const asked = (...names: string[]): L7Hint[] => names.map((query) => ({ dns: { query } }));

  test("are listed once, without the final dot", () => {
    expect(dnsMatches(asked("B.example.", "a.example", "b.example")).map((match) => "names" in match && match.names.text)).toEqual([
      "a.example",
      "b.example",
    ]);
  });

  test("are any where there are very many, or one is no name that a rule can have", () => {
    expect(
      dnsMatches(asked(...Array.from({ length: 60 }, (_, i) => `h${i}.example`))).map((match) => "names" in match && match.names.text),
    ).toEqual(["*"]);
    expect(dnsMatches(asked("a b\n")).map((match) => "names" in match && match.names.text)).toEqual(["*"]);
  });
});
