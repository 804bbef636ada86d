import { describe, expect, test } from "vitest";
import { namePattern } from "../../src/policy/cilium/names.ts";
import { compileRegex } from "../../src/policy/regex.ts";
import { onlyPolicy, readSpec, ruleText } from "./ciliumText.ts";

const egressRule = (entry: string): string => {
  const [rule] = onlyPolicy(readSpec("endpointSelector: {}", `egress: [${entry}]`)).egress?.rules ?? [];
  return ruleText(rule).replace("allow any | ", "");
};

describe("which ports an entry means", () => {
  test.each<[expected: string, port: string]>([
    ["6/80; 17/80; 132/80", '{port: "80"}'],
    ["6/80; 17/80; 132/80", '{port: "80", protocol: any}'],
    ["6/80", '{port: "80", protocol: tcp}'],
    ["6/*", '{port: "0", protocol: TCP}'],
    ["6/*; 17/*; 132/*", '{port: "0"}'],
    ["6/*", '{port: "0", endPort: 65535, protocol: TCP}'],
    ["6/0-90", '{port: "0", endPort: 90, protocol: TCP}'],
    ["6/80-90", '{port: "80", endPort: 90, protocol: TCP}'],
    ["6/80", '{port: "80", endPort: 79, protocol: TCP}'],
    ["6/80-4464", '{port: "80", endPort: 70000, protocol: TCP}'],
    ["6/80-65535", '{port: "80", endPort: -1, protocol: TCP}'],
    ["6/8", '{port: "010", protocol: TCP}'],
    ["6/1000", '{port: "1_000", protocol: TCP}'],
    ["6/16", '{port: "0x0000000000000010", protocol: TCP}'],
    ["6/0x10", '{port: "0x10", protocol: TCP}'],
    ["6/http-alt", "{port: HTTP-Alt, protocol: TCP}"],
    ["6/http", "{port: http, endPort: 90, protocol: TCP}"],
    ["112/*", '{port: "0", protocol: VRRP}'],
    ["47/80", '{port: "80", protocol: gre}'],
  ])("%s: %s", (expected, port) => expect(egressRule(`{toPorts: [{ports: [${port}]}]}`)).toBe(expected));
});

const requests = (rules: string, protocol = "TCP") =>
  egressRule(`{toPorts: [{ports: [{port: "80", protocol: ${protocol}}], ${rules}}]}`).replace(/^[^|]*\| /, "");

describe("what requests may ask", () => {
  test.each<[expected: string, rules: string]>([
    ["6/80", "rules: {http: []}"],
    ["6/80", "rules: {}"],
    ["6/80", "terminatingTLS: {secret: {name: s}}"],
    ['{"kind":"http"}', "rules: {http: [{}]}"],
    [
      '{"kind":"http","method":{"regex":"GET"},"path":{"regex":"/a.*"},"host":{"regex":"h"}}; {"kind":"http"}',
      'rules: {http: [{method: GET, path: "/a.*", host: h}, {path: ""}]}',
    ],
    [
      '{"kind":"http","headers":[{"name":"X-A"},{"name":"X-B","value":"c d"},{"name":"X:Y"},{"name":"X-C","value":""},{"name":"D"},{"name":"E","value":"f"}]}',
      'rules: {http: [{headers: [X-A, "X-B: c d", "X:Y", "X-C: "], headerMatches: [{name: D}, {name: E, value: f}, {name: G, value: h, mismatch: LOG}]}]}',
    ],
    [
      '{"kind":"opaque","text":"{\\"rules\\":{\\"http\\":[{\\"headerMatches\\":[{\\"name\\":\\"A\\",\\"secret\\":{\\"name\\":\\"s\\"}}]}]}}"}',
      "rules: {http: [{headerMatches: [{name: A, secret: {name: s}}]}]}",
    ],
    ['{"kind":"opaque","text":"{\\"rules\\":{\\"http\\":[{\\"host\\":\\"(\\"}]}}"}', 'rules: {http: [{host: "("}]}'],
    ['{"kind":"opaque","text":"{\\"rules\\":{\\"kafka\\":[{\\"topic\\":\\"t\\"}]}}"}', "rules: {kafka: [{topic: t}]}"],
    ['{"kind":"opaque","text":"{\\"serverNames\\":[\\"a.com\\"]}"}', "serverNames: [a.com]"],
    ['{"kind":"opaque","text":"{\\"listener\\":{\\"name\\":\\"l\\"}}"}', "listener: {name: l}"],
    [
      '{"kind":"dns","names":{"text":"a.com","regex":"a\\\\.com"}}; {"kind":"dns","names":{"text":"*","regex":"(?:[-a-z0-9_]+(?:\\\\.[-a-z0-9_]+)*)?"}}',
      'rules: {dns: [{matchName: a.com, matchPattern: "*"}]}',
    ],
  ])("%s: %s", (expected, rules) => expect(requests(rules)).toBe(expected));

  test("DNS rules take any protocol, and one without a name matches nothing", () => {
    expect(requests("rules: {dns: [{}]}", "ANY")).toBe("");
  });
});

describe("which names a pattern holds", () => {
  test.each<[pattern: string, yes: string[], no: string[]]>([
    ["a.example.com", ["a.example.com"], ["b.example.com", "axexample.com", "x.a.example.com"]],
    ["*.example.com", ["a.example.com", "a_b-c.example.com"], ["example.com", "a.b.example.com"]],
    ["*example.com", ["example.com", "myexample.com"], ["a.example.com"]],
    ["sub*.example.net", ["sub.example.net", "sub-cdn.example.net"], ["a.example.net"]],
    ["**.example.com", ["a.example.com", "a.b.example.com"], ["example.com"]],
    ["***.Example.com.", ["a.b.example.com"], ["example.com"]],
    ["**example.com", ["example.com", "xexample.com"], ["a.example.com"]],
    ["a.**.com", ["a.b.com"], ["a.b.c.com"]],
    ["*", ["com", "a.b.c", ""], ["a..b"]],
    ["**.", ["com", "a.b"], []],
    [".", [""], ["a"]],
  ])("%s", (pattern, yes, no) => {
    const matches = compileRegex(namePattern(pattern).regex);
    expect(yes.filter((name) => !matches(name))).toEqual([]);
    expect(no.filter(matches)).toEqual([]);
  });
});
