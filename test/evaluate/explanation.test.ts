import { describe, expect, test } from "vitest";
import { explainSide, faultText } from "../../src/evaluate/explanation.ts";
import type { CniName } from "../../src/evaluate/profile.ts";
import { protocolNumber } from "../../src/net/protocol.ts";
import type { Direction } from "../../src/policy/model.ts";
import { calico, ciliumPolicy, clusterPolicy, networkPolicy } from "./dialects.ts";
import { ask, flowOf, shop } from "./shop.ts";

/** Explains one side in lines: a policy, then its rules. */
function explained(policies: readonly string[], text: string, direction: Direction, cni: CniName = "generic"): string[] {
  const compiled = shop(policies, cni);
  const flow = flowOf(text);
  const source = compiled.participantOf(flow.source);
  const question = {
    direction,
    source,
    destination: compiled.participantOf(flow.destination, source),
    protocol: protocolNumber(flow.protocol)!,
    port: flow.port,
    sourcePort: -1,
  };
  const side = explainSide(compiled.evaluator, question, ask(compiled, text)[direction]);
  return [
    ...side.policies.flatMap(({ policy, stage, isolates, decides, rules }) => [
      `${policy.ref.name} [${stage}]${isolates ? " isolates" : ""}${decides ? " and denies" : ""}`,
      ...rules.map(({ ref, role, why }) => `  ${role} ${ref.path}${why === undefined ? "" : `: ${faultText(why)}`}`),
    ]),
    ...side.nearlySelecting.map(({ policy, text: why }) => `near ${policy.ref.name}: ${why}`),
  ];
}

describe("a side is explained by every policy that selects it", () => {
  test("the deciding rule, the others that match, and why the rest does not", () => {
    const rules = [
      "{from: [{podSelector: {matchLabels: {app: db}}}]}",
      "{from: [{podSelector: {matchLabels: {app: web}}}], ports: [{port: 80}]}",
      "{from: [{podSelector: {}}]}",
      "{from: [{ipBlock: {cidr: 10.0.0.0/8}}]}",
    ];
    const policies = [
      networkPolicy("shop/api", `podSelector: {matchLabels: {app: api}}, ingress: [${rules.join()}]`),
      networkPolicy("shop/all", "podSelector: {}"),
    ];
    expect(explained(policies, "shop/web > shop/api TCP/9090", "ingress")).toEqual([
      "api [networkpolicy] isolates",
      "  no-match ingress[0].from[0]: wants app=db, web has app=web",
      "  no-match ingress[1].from[0]: not 9090/TCP",
      "  decides ingress[2].from[0]",
      "  matches ingress[3].from[0]",
      "all [networkpolicy] isolates",
    ]);
  });

  test("isolation denies where no rule matches", () => {
    const policies = [networkPolicy("shop/api", "podSelector: {matchLabels: {app: api}}"), networkPolicy("shop/all", "podSelector: {}")];
    expect(explained(policies, "shop/web > shop/api TCP/9090", "ingress")).toEqual([
      "api [networkpolicy] isolates and denies",
      "all [networkpolicy] isolates and denies",
    ]);
  });

  test("what comes after the deciding rule of an order is too late; passing leaves the tier", () => {
    const tiers = [
      clusterPolicy(
        "first",
        "tier: Admin, priority: 1, subject: {namespaces: {}}, ingress: [{action: Pass, from: [{namespaces: {matchLabels: {team: red}}}]}, {action: Deny, from: [{namespaces: {}}]}]",
      ),
      networkPolicy("shop/api", "podSelector: {matchLabels: {app: api}}, ingress: [{}]"),
      clusterPolicy("last", "tier: Baseline, priority: 1, subject: {namespaces: {}}, ingress: [{action: Deny, from: [{namespaces: {}}]}]"),
    ];
    expect(explained(tiers, "shop/web > shop/api TCP/9090", "ingress")).toEqual([
      "first [admin]",
      "  passes ingress[0].from[0]",
      "  matches ingress[1].from[0]",
      "api [networkpolicy] isolates",
      "  decides ingress[0]",
      "last [baseline]",
      "  not-asked ingress[0].from[0]",
    ]);
    expect(explained(tiers, "data/db > shop/api TCP/9090", "ingress").slice(0, 5)).toEqual([
      "first [admin]",
      "  no-match ingress[0].from[0]: wants a namespace with team=red, data has team=blue",
      "  decides ingress[1].from[0]",
      "api [networkpolicy] isolates",
      "  not-asked ingress[0]",
    ]);
  });

  test("in a union a deny wins, and the allow that also holds is said to", () => {
    const policies = [
      ciliumPolicy(
        "shop/api",
        "endpointSelector: {matchLabels: {app: api}}, ingress: [{fromEndpoints: [{}]}], ingressDeny: [{fromEndpoints: [{matchLabels: {app: web}}]}]",
      ),
    ];
    expect(explained(policies, "shop/web > shop/api TCP/9090", "ingress", "cilium")).toEqual([
      "api [cilium] isolates",
      "  decides ingressDeny[0].fromEndpoints[0]",
      "  matches ingress[0].fromEndpoints[0]",
    ]);
  });

  test("expressions of Calico are told by the part that does not hold", () => {
    const source = (selector: string) => `{action: Allow, source: {selector: "${selector}"}}`;
    const policies = [
      calico(
        "NetworkPolicy",
        "shop/api",
        `selector: app == 'api', ingress: [${source("has(app) && app == 'db'")}, ${source("app contains 'x' || app == 'y'")}, {action: Allow, protocol: TCP, destination: {ports: [80]}}]`,
      ),
    ];
    expect(explained(policies, "shop/web > shop/api TCP/9090", "ingress", "calico")).toEqual([
      "api [tier default] isolates and denies",
      "  no-match ingress[0].source: wants app=db, web has app=web",
      "  no-match ingress[1].source: wants app to contain x, web has app=web",
      "  no-match ingress[2]: not 9090/TCP",
    ]);
  });

  test("a pod and itself ask no policy, and a rule for ports has no word for ICMP", () => {
    const policies = [networkPolicy("shop/api", "podSelector: {}, ingress: [{ports: [{port: 80}]}]")];
    expect(explained(policies, "shop/web > shop/web TCP/80", "ingress")).toEqual([
      "api [networkpolicy] isolates",
      "  not-asked ingress[0]",
    ]);
    expect(explained(policies, "shop/web > shop/api ICMP/8", "ingress")[1]).toBe("  no-match ingress[0]: ICMP needs a rule without ports");
  });
});

describe("policies that nearly select a pod are named", () => {
  const near = (labels: string, namespace = "shop") =>
    explained([networkPolicy(`${namespace}/p`, `podSelector: {matchLabels: {${labels}}}`)], "data/db > shop/web TCP/80", "ingress");
  test.each<[string, string, readonly string[]]>([
    ["what is too short to be like anything", "app: we", []],
    ["another number", "app: web2", ["near p: podSelector wants app=web2, the pod has app=web"]],
    ["a value that begins with the pod's", "app: webhook", ["near p: podSelector wants app=webhook, the pod has app=web"]],
    ["a slip", "app: wep", ["near p: podSelector wants app=wep, the pod has app=web"]],
    ["the value under another key", "name: web", ["near p: podSelector wants name=web, the pod has no name (but app=web)"]],
    ["another workload's", "app: cache", []],
    ["one of several, where it selects nobody", "app: web, tier: front", ["near p: podSelector wants tier=front, the pod has no tier"]],
    ["two labels off", "app: wep, tier: front", []],
  ])("%s", (_what, labels, expected) => {
    expect(near(labels)).toEqual(expected);
  });

  test("not those of other namespaces, nor on the host network", () => {
    expect(near("app: wep", "data")).toEqual([]);
    expect(
      explained([networkPolicy("shop/p", "podSelector: {matchLabels: {app: agen}}")], "data/db > shop/agent TCP/80", "ingress"),
    ).toEqual([]);
  });
});
