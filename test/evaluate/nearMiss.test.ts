import { describe, expect, test } from "vitest";
import { findNearMiss } from "../../src/evaluate/nearMiss.ts";
import type { CniName } from "../../src/evaluate/profile.ts";
import { protocolNumber } from "../../src/net/protocol.ts";
import type { Direction } from "../../src/policy/model.ts";
import { ask, flowOf, policy, shop } from "./shop.ts";

const out = (...rules: string[]) => policy("shop/p", "podSelector: {}", "policyTypes: [Egress]", "egress:", ...rules);
const into = (...rules: string[]) => policy("shop/p", "podSelector: {}", "policyTypes: [Ingress]", "ingress:", ...rules);
const PLACE = "(policies.yaml:8)";

function nearMiss(policies: string, text: string, direction: Direction, options: { cni?: CniName; dialledPort?: number } = {}): string {
  const compiled = shop(policies, options.cni);
  expect(ask(compiled, text)[direction].verdict).toBe("deny");
  const flow = flowOf(text);
  const [source, destination] = [compiled.participantOf(flow.source), compiled.participantOf(flow.destination)];
  const { dialledPort } = options;
  return findNearMiss(compiled.evaluator, {
    direction,
    source,
    destination,
    protocol: protocolNumber(flow.protocol)!,
    port: flow.port,
    ...(dialledPort ? { dialledPort } : {}),
  }).text;
}

describe("near misses", () => {
  test.each<[string, string, string, Direction, string]>([
    [
      "no rule at all",
      policy("shop/p", "podSelector: {}", "policyTypes: [Egress]"),
      "shop/web > shop/api TCP/80",
      "egress",
      "no rule allows any egress",
    ],
    ["another port", out("- ports: [{port: 80}]"), "shop/web > shop/api TCP/9090", "egress", `nearest rule allows 80/TCP ${PLACE}`],
    [
      "ports in all their forms",
      out("- ports: [{port: 80, endPort: 90}, {port: http}, {protocol: UDP}]"),
      "shop/web > shop/api TCP/1",
      "egress",
      `nearest rule allows 80-90/TCP, http/TCP, any UDP ${PLACE}`,
    ],
    [
      "many ports",
      out("- ports: [{port: 1}, {port: 2}, {port: 3}, {port: 4}, {port: 5}, {port: 6}]"),
      "shop/web > shop/api TCP/9",
      "egress",
      `nearest rule allows 1/TCP, 2/TCP, 3/TCP, 4/TCP and 2 more ${PLACE}`,
    ],
    [
      "ICMP",
      out("- ports: [{port: 80}]"),
      "shop/web > shop/api ICMP",
      "egress",
      `nearest rule allows 80/TCP only ${PLACE}: ICMP needs a rule without ports`,
    ],
    [
      "another label",
      out("- to: [{podSelector: {matchLabels: {app: cache}}}]"),
      "shop/web > shop/api TCP/80",
      "egress",
      `nearest rule ${PLACE} wants app=cache, api has app=api`,
    ],
    [
      "a label that is missing",
      out("- to: [{podSelector: {matchLabels: {tier: back}}}]"),
      "shop/web > shop/api TCP/80",
      "egress",
      `nearest rule ${PLACE} wants tier=back, api has no tier`,
    ],
    [
      "a label that must not be there",
      out("- to: [{podSelector: {matchExpressions: [{key: app, operator: DoesNotExist}]}}]"),
      "shop/web > shop/api TCP/80",
      "egress",
      `nearest rule ${PLACE} wants no app, api has app=api`,
    ],
    [
      "one of several values",
      out("- to: [{podSelector: {matchExpressions: [{key: app, operator: In, values: [a, b]}]}}]"),
      "shop/web > shop/api TCP/80",
      "egress",
      `nearest rule ${PLACE} wants app in (a, b), api has app=api`,
    ],
    [
      "none of several values",
      out("- to: [{podSelector: {matchExpressions: [{key: app, operator: NotIn, values: [api, b]}]}}]"),
      "shop/web > shop/api TCP/80",
      "egress",
      `nearest rule ${PLACE} wants app not in (api, b), api has app=api`,
    ],
    [
      "another namespace",
      out("- to: [{podSelector: {}}]"),
      "shop/web > data/db TCP/80",
      "egress",
      `nearest rule ${PLACE} selects pods of namespace shop only`,
    ],
    [
      "a namespace's label",
      out("- to: [{namespaceSelector: {matchLabels: {team: red}}}]"),
      "shop/web > data/db TCP/80",
      "egress",
      `nearest rule ${PLACE} wants a namespace with team=red, data has team=blue`,
    ],
    [
      "namespace and label",
      into("- from: [{namespaceSelector: {matchLabels: {team: red}}, podSelector: {matchLabels: {app: x}}}]"),
      "data/db > shop/api TCP/80",
      "ingress",
      `nearest rule ${PLACE} wants a namespace with team=red, data has team=blue and wants app=x, db has app=db`,
    ],
    [
      "peer and port",
      out("- to: [{podSelector: {matchLabels: {app: cache}}}]", "  ports: [{port: 80}]"),
      "shop/web > shop/api TCP/9090",
      "egress",
      `nearest rule allows 80/TCP ${PLACE} and wants app=cache, api has app=api`,
    ],
    [
      "an except",
      out("- to: [{ipBlock: {cidr: 0.0.0.0/0, except: [8.0.0.0/8]}}]"),
      "shop/web > 8.8.8.8 TCP/80",
      "egress",
      `nearest rule ${PLACE} excepts 8.0.0.0/8`,
    ],
    [
      "an address elsewhere",
      out("- to: [{ipBlock: {cidr: 9.0.0.0/8}}]"),
      "shop/web > 8.8.8.8 TCP/80",
      "egress",
      `nearest rule ${PLACE} wants an address in 9.0.0.0/8`,
    ],
    [
      "no rule reaches outside",
      out("- to: [{podSelector: {}}]"),
      "shop/web > 8.8.8.8 TCP/80",
      "egress",
      "no rule reaches outside the cluster",
    ],
    [
      "no rule admits the outside",
      into("- from: [{podSelector: {}}]"),
      "8.8.8.8 > shop/web TCP/80",
      "ingress",
      "no rule admits anything from outside the cluster",
    ],
    ["no rule reaches nodes", out("- to: [{podSelector: {}}]"), "shop/web > n2 TCP/80", "egress", "no rule reaches node addresses"],
    ["no rule admits nodes", into("- from: [{podSelector: {}}]"), "n2 > shop/web TCP/80", "ingress", "no rule admits node addresses"],
  ])("%s", (_, policies, flow, direction, expected) => {
    expect(nearMiss(policies, flow, direction)).toBe(expected);
  });

  test("the Service's port instead of the pod's", () => {
    const policies = out("- ports: [{port: 80}]");
    const text = `nearest rule allows 80/TCP ${PLACE}`;
    expect(nearMiss(policies, "shop/web > shop/api TCP/9090", "egress", { dialledPort: 80 })).toBe(
      `${text}: the Service's port, the pod listens on 9090`,
    );
    expect(nearMiss(policies, "shop/web > shop/api TCP/9090", "egress", { dialledPort: 81 })).toBe(text);
    expect(nearMiss(out("- ports: [{port: 70, endPort: 90}]"), "shop/web > shop/api TCP/9090", "egress", { dialledPort: 80 })).toContain(
      "the Service's port",
    );
    expect(nearMiss(policies, "shop/web > shop/api UDP/9090", "egress", { dialledPort: 80 })).toBe(text);
  });

  test("a block that plugins with identities do not hold against pods", () => {
    expect(nearMiss(into("- from: [{ipBlock: {cidr: 10.0.0.0/24}}]"), "data/db > shop/api TCP/80", "ingress", { cni: "cilium" })).toBe(
      `nearest rule ${PLACE} names addresses (10.0.0.0/24), which match no pods under cilium`,
    );
  });

  test("of several rules the one that came nearest, and its best peer", () => {
    const policies = out(
      "- to: [{ipBlock: {cidr: 9.0.0.0/8}}]",
      "- to: [{podSelector: {matchLabels: {app: api, tier: x}}}, {podSelector: {matchLabels: {app: z, tier: x}}}]",
      "- to: [{podSelector: {matchLabels: {app: api}}}]",
      "  ports: [{port: 80}]",
    );
    expect(nearMiss(policies, "shop/web > shop/api TCP/9090", "egress")).toBe("nearest rule allows 80/TCP (policies.yaml:10)");
    expect(nearMiss(policies, "shop/web > data/db TCP/1", "egress")).toContain("(policies.yaml:9)");
  });

  // peerFault compares the bounds of an except without its family: the IPv4-mapped range lies in ::/8, so that an IPv4 address is
  // told to be excepted by a block that is IPv6's alone. prefixContains knows better.
  test("an IPv6 except says nothing of an IPv4 address", () => {
    expect(nearMiss(out("- to: [{ipBlock: {cidr: '::/0', except: ['::/8']}}]"), "shop/web > 8.8.8.8 TCP/80", "egress")).toBe(
      `nearest rule ${PLACE} wants an address in ::/0`,
    );
  });

  // An end that is perhaps a pod is told to be none ("selects pods, which this is not").
  test("an unknown end is not said to be no pod", () => {
    const text = nearMiss(out("- to: [{podSelector: {}}]", "  ports: [{port: 80}]"), "shop/web > 10.0.0.77 TCP/81", "egress");
    expect(text).not.toContain("which this is not");
  });
});
