import { describe, expect, test } from "vitest";
import type { Truth } from "../../src/cluster/selector.ts";
import type { Decision } from "../../src/evaluate/decision.ts";
import { decideByRequests, matchTruth, type Request } from "../../src/evaluate/l7.ts";
import { profileOf } from "../../src/evaluate/profile.ts";
import type { L7Match, Policy } from "../../src/policy/model.ts";
import { compile } from "../oracle/compiled.ts";
import { ciliumPolicy } from "./dialects.ts";
import { SHOP } from "./shop.ts";

type Http = Omit<Extract<L7Match, { kind: "http" }>, "kind">;
const http = (match: Http): L7Match => ({ kind: "http", ...match });
const dns = (text: string, regex: string): L7Match => ({ kind: "dns", names: { text, regex } });
const request = (method: string, path: string, more: object = {}): Request => ({ http: { method, path, ...more } });
const asked = (query: string): Request => ({ dns: { query } });
const GET = http({ method: { regex: "GET" } });

describe("HTTP", () => {
  test.each<[string, L7Match, Request, Truth]>([
    ["a method", GET, request("GET", "/"), true],
    ["another method", GET, request("POST", "/"), false],
    ["methods know case", GET, request("get", "/"), false],
    ["an expression holds the whole method", http({ method: { regex: "GET|PUT" } }), request("PUT", "/"), true],
    ["not its beginning alone", GET, request("GETS", "/"), false],
    ["nor a part", http({ path: { regex: "/v1" } }), request("GET", "/api/v1"), false],
    ["alternatives are anchored each", http({ path: { regex: "/a|/b" } }), request("GET", "/a/b"), false],
    ["anchors that are written do no harm", http({ path: { regex: "^/v1/.*$" } }), request("GET", "/v1/x"), true],
    ["a dot stands for any one character", http({ path: { regex: "/v.1" } }), request("GET", "/v-1"), true],
    ["an escaped one for itself", http({ path: { regex: "/v\\.1" } }), request("GET", "/v-1"), false],
    ["a text as it is", http({ path: { exact: "/v.1" } }), request("GET", "/v-1"), false],
    ["the same text", http({ path: { exact: "/v.1" } }), request("GET", "/v.1"), true],
    ["the beginning of a text", http({ path: { prefix: "/v1/" } }), request("GET", "/v1/x?y"), true],
    ["which is not in its middle", http({ path: { prefix: "/v1/" } }), request("GET", "/x/v1/"), false],
    ["a host", http({ host: { regex: ".*\\.example" } }), request("GET", "/", { host: "api.example" }), true],
    ["another host", http({ host: { regex: ".*\\.example" } }), request("GET", "/", { host: "api.example.com" }), false],
    ["a host that was not seen", http({ host: { regex: ".*" } }), request("GET", "/"), "unknown"],
    ["not seen, and the method is wrong", http({ method: { regex: "PUT" }, host: { regex: ".*" } }), request("GET", "/"), false],
    ["a rule without any condition", http({}), {}, true],
    ["no request was seen", GET, {}, "unknown"],
    ["a DNS question is no request", GET, asked("example.com"), "unknown"],
  ])("%s", (_what, match, seen, truth) => expect(matchTruth(match, seen)).toBe(truth));

  const headers = { "X-Team": "red", Accept: "*/*" };
  test.each<[string, Http["headers"], Record<string, string> | undefined, Truth]>([
    ["a header is there", [{ name: "X-Team" }], headers, true],
    ["names know no case", [{ name: "x-team", value: "red" }], headers, true],
    ["values do", [{ name: "x-team", value: "Red" }], headers, false],
    ["a header is not there", [{ name: "x-user" }], headers, false],
    ["one of two is not there", [{ name: "accept" }, { name: "x-user" }], headers, false],
    ["headers were not seen", [{ name: "x-team" }], undefined, "unknown"],
    ["there were none", [{ name: "x-team" }], {}, false],
  ])("%s", (_what, wanted, seen, truth) =>
    expect(matchTruth(http({ headers: wanted! }), request("GET", "/", seen === undefined ? {} : { headers: seen }))).toBe(truth),
  );

  test("an expression that would take a backtracking engine for ever", () => {
    expect(matchTruth(http({ path: { regex: "(a+)+b" } }), request("GET", "a".repeat(5000)))).toBe(false);
  });
});

describe("DNS and what is not understood", () => {
  test.each<[string, L7Match, Request, Truth]>([
    ["a name", dns("example.com", "example\\.com"), asked("example.com"), true],
    ["in other letters and with the final dot", dns("example.com", "example\\.com"), asked("EXAMPLE.com."), true],
    ["a longer one", dns("example.com", "example\\.com"), asked("a.example.com"), false],
    ["a wildcard", dns("*.example.com", "[-a-z0-9_]*\\.example\\.com"), asked("a.example.com"), true],
    ["every name, though no question was seen", dns("*", "(?:[-a-z0-9_]+(?:\\.[-a-z0-9_]+)*)?"), {}, true],
    ["a name, and no question was seen", dns("example.com", "example\\.com"), {}, "unknown"],
    ["another protocol", { kind: "opaque", text: "kafka" }, request("GET", "/"), "unknown"],
  ])("%s", (_what, match, seen, truth) => expect(matchTruth(match, seen)).toBe(truth));
});

describe("several requests of one connection", () => {
  const plain = (verdict: Decision["verdict"], reason: Decision["reason"]): Decision => ({
    verdict,
    reason,
    notes: [],
    isolatedBy: [],
    matched: [],
  });
  const policy = { ref: { name: "p" } } as Policy;
  const when = (...matches: L7Match[]): Decision => ({
    ...plain("unknown", "no-l7-data"),
    l7: {
      alternatives: matches.map((match, i) => ({ match, policy, rule: { path: `ingress[${i}]` } })),
      allow: plain("allow", "rule"),
      deny: plain("deny", "l7-deny"),
    },
  });
  const POST = http({ method: { regex: "POST" }, path: { regex: "/orders" } });
  const HOST = http({ host: { regex: "shop" } });
  test.each<[string, Decision, Request[], string]>([
    ["a good one", when(GET), [request("GET", "/")], "allow rule"],
    ["each is one of the alternatives", when(GET, POST), [request("GET", "/"), request("POST", "/orders")], "allow rule"],
    ["one bad one among good ones", when(GET), [request("GET", "/"), request("PUT", "/"), request("GET", "/")], "deny l7-deny"],
    ["a good one, and one of which nothing was seen", when(GET), [request("GET", "/"), {}], "unknown no-l7-data"],
    ["a bad one, and one of which nothing was seen", when(GET), [{}, request("PUT", "/")], "deny l7-deny"],
    ["none was seen", when(GET), [], "unknown no-l7-data"],
    ["none was seen, and any is allowed", when(http({})), [], "allow rule"],
    ["of one alternative too little was seen", when(HOST, GET), [request("PUT", "/")], "unknown no-l7-data"],
    ["of one too little, and another matches", when(HOST, GET), [request("GET", "/")], "allow rule"],
    ["rules without any alternative", when(), [request("GET", "/")], "deny l7-deny"],
    ["a decision that hangs on no request", plain("allow", "rule"), [request("PUT", "/")], "allow rule"],
  ])("%s", (_what, decision, requests, expected) => {
    const { verdict, reason } = decideByRequests(decision, requests);
    expect(`${verdict} ${reason}`).toBe(expected);
  });
});

describe("rules on requests beside one that is open", () => {
  // Everybody may GET; the API server may do what it likes, and where that is nobody knows.
  const port = "ports: [{port: '80', protocol: TCP}]";
  const policy = ciliumPolicy(
    "shop/p",
    `endpointSelector: {matchLabels: {app: api}}, ingress: [{fromEntities: [all], toPorts: [{${port}, rules: {http: [{method: GET}]}}]}, {fromEntities: [kube-apiserver], toPorts: [{${port}}]}]`,
  );
  const posting = (...sources: string[]) => {
    const { ask } = compile(SHOP, policy, { profile: profileOf("cilium"), outside: true, world: { apiServers: undefined } });
    return sources
      .map((source) => ask({ source, destination: "10.0.0.2", protocol: "TCP", port: 80 }).ingress)
      .map((decision) => decideByRequests(decision, [request("POST", "/")]).verdict)
      .join(" ");
  };
  test("a pod is not the API server: denied", () => expect(posting("10.0.0.1")).toBe("deny"));
  test("an outside address may be it: open", () => expect(posting("8.8.8.8")).toBe("unknown"));

  test("what one of them is told does not hang on who was asked before", () => {
    expect([posting("10.0.0.1", "8.8.8.8"), posting("8.8.8.8", "10.0.0.1")]).toEqual(["deny unknown", "unknown deny"]);
  });
});
