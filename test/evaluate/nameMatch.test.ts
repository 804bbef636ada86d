import { describe, expect, test } from "vitest";
import { NamesOfAddresses } from "../../src/evaluate/nameMatch.ts";
import { profileOf } from "../../src/evaluate/profile.ts";
import { formatAddress, parseAddress } from "../../src/net/address.ts";
import { namePattern } from "../../src/policy/cilium/names.ts";
import { compile } from "../oracle/compiled.ts";
import { ciliumPolicy } from "./dialects.ts";
import { SHOP } from "./shop.ts";

const KNOWN: Readonly<Record<string, readonly string[]>> = {
  "8.0.0.1": ["api.example.com"],
  "8.0.0.2": ["API.Example.COM.", "cdn.example.com"],
  "8.0.0.3": ["a.b.example.com"],
  "8.0.0.4": ["example.com"],
  "8.0.0.5": ["apixexample.com"],
  "8.0.0.6": [], // asked for, and nothing had led there
  "fd00::8": ["api.example.com"],
};
const known = { entries: () => Object.entries(KNOWN).map(([ip, names]) => [parseAddress(ip)!, names] as const) };

describe("the addresses that names led to", () => {
  test.each<[string, string[], string[]]>([
    ["a name, in both families, whatever its case and final dot", ["api.example.com"], ["8.0.0.1", "8.0.0.2", "fd00::8"]],
    ["written in capitals with a dot", ["API.example.com."], ["8.0.0.1", "8.0.0.2", "fd00::8"]],
    ["a wildcard is one label", ["*.example.com"], ["8.0.0.1", "8.0.0.2", "fd00::8"]],
    ["two in front are any depth, one label at least", ["**.example.com"], ["8.0.0.1", "8.0.0.2", "8.0.0.3", "fd00::8"]],
    ["a part of a label", ["c*.example.com"], ["8.0.0.2"]],
    ["any of several", ["example.com", "cdn.example.com"], ["8.0.0.2", "8.0.0.4"]],
    ["every name", ["*"], ["8.0.0.1", "8.0.0.2", "8.0.0.3", "8.0.0.4", "8.0.0.5", "fd00::8"]],
    ["a name that nobody asked for", ["other.example"], []],
    ["none", [], []],
  ])("%s", (_what, texts, addresses) => {
    const { matching } = new NamesOfAddresses(known).addressesOf(texts.map(namePattern));
    expect(matching.map(formatAddress).sort()).toEqual(addresses);
  });

  test("every address that was asked about is known, also one without a name", () => {
    expect(new NamesOfAddresses(known).addressesOf([]).named.map(formatAddress).sort()).toEqual(Object.keys(KNOWN).sort());
  });
});

describe("a rule by name under Cilium", () => {
  const policy = ciliumPolicy("shop/p", "endpointSelector: {}, egress: [{toFQDNs: [{matchPattern: '*.example.com'}]}]");
  const { ask } = compile(SHOP, policy, { profile: profileOf("cilium"), outside: true, world: { names: known } });
  test.each([
    ["an address of the name", "8.0.0.1", "allow rule"],
    ["an address of another name", "8.0.0.5", "deny isolated"],
    ["an address that no name led to", "8.0.0.6", "deny isolated"],
    ["an address that nobody knows a name of", "8.0.0.7", "unknown unknown-endpoint"],
    ["a pod", "10.0.0.3", "deny isolated"],
    ["a node", "192.168.0.2", "deny isolated"],
  ])("%s", (_what, destination, expected) => {
    const { verdict, reason } = ask({ source: "10.0.0.1", destination, protocol: "TCP", port: 443 }).egress;
    expect(`${verdict} ${reason}`).toBe(expected);
  });
});
