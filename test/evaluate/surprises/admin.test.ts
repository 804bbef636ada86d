import { describe, expect, test } from "vitest";
import { readManifest } from "../../../src/cluster/manifest.ts";
import { cautionsOf } from "../../../src/evaluate/cautions.ts";
import { TCP } from "../../../src/net/protocol.ts";
import type { PlainObject } from "../../oracle/compiled.ts";
import { compile, policySetOf } from "../../oracle/compiled.ts";
import type { Resources } from "../../oracle/obviousEvaluator.ts";
import { anp, answersOf, banp, kcnp, np, problemsOf, type Row } from "./table.ts";

/* AdminNetworkPolicy, BaselineAdminNetworkPolicy and ClusterNetworkPolicy by the API's words: oracle/clusternetworkpolicy. */

const WORLD: Resources = {
  namespaces: [
    { name: "shop", labels: { env: "prod" } },
    { name: "data", labels: { env: "dev" } },
  ],
  nodes: [
    { name: "n1", ips: ["192.168.0.1"], labels: { role: "worker" } },
    { name: "n2", ips: ["192.168.0.2"], labels: { role: "control" } },
  ],
  pods: [
    {
      namespace: "shop",
      name: "web",
      labels: { app: "web" },
      ip: "10.0.0.1",
      node: "n1",
      ports: [{ name: "http", containerPort: 8080, protocol: "TCP" }],
    },
    {
      namespace: "shop",
      name: "api",
      labels: { app: "api" },
      ip: "10.0.0.2",
      node: "n1",
      ports: [{ name: "http", containerPort: 9090, protocol: "UDP" }],
    },
    { namespace: "data", name: "db", labels: { app: "db" }, ip: "10.0.0.3", node: "n2", ports: [] },
    { namespace: "data", name: "agent", labels: { app: "agent" }, ip: "192.168.0.2", node: "n2", hostNetwork: true, ports: [] },
  ],
  fqdns: {
    "example.com": ["192.0.2.1"],
    "www.example.com": ["192.0.2.2"],
    "a.b.example.com": ["192.0.2.3"],
  },
};

const EVERY_POD = "subject: {namespaces: {}}";
const SHOP = "subject: {namespaces: {matchLabels: {env: prod}}}";
const FROM_ALL = "from: [{namespaces: {}}]";
const FROM_SHOP = "from: [{namespaces: {matchLabels: {env: prod}}}]";
const TO_ALL = "to: [{namespaces: {}}]";
const WEB_POD = "podSelector: {matchLabels: {app: web}}";
/** A ClusterNetworkPolicy on the pods of shop: name, tier and priority. */
const cluster = (title: string, ...rules: string[]) => {
  const [name, tier, priority] = title.split(" ");
  return kcnp(name, `tier: ${tier}`, `priority: ${priority}`, SHOP, ...rules);
};
const isolate = np("shop/np", "podSelector: {}", "policyTypes: [Ingress]");

const tiers: Row[] = [
  [
    "Admin policies are asked by priority, the lowest first; the first match is final",
    [
      cluster("late Admin 20", `ingress: [{action: Deny, ${FROM_ALL}}]`),
      cluster("early Admin 10", `ingress: [{action: Accept, ${FROM_SHOP}}]`),
      isolate,
    ],
    {
      "shop/api > shop/web TCP/80": "allow | allow rule early",
      "data/db > shop/web TCP/80": "allow | deny rule-deny late",
      "8.8.8.8 > shop/web TCP/80": "allow | deny isolated np",
    },
  ],
  [
    "an Admin Deny is final over NetworkPolicies that allow",
    [
      cluster("k Admin 0", `ingress: [{action: Deny, ${FROM_SHOP}}]`),
      np("shop/np", "podSelector: {}", "policyTypes: [Ingress]", "ingress: [{}]"),
    ],
    { "shop/api > shop/web TCP/80": "allow | deny rule-deny k", "data/db > shop/web TCP/80": "allow | allow rule np" },
  ],
  [
    "rules of one policy are asked in their order",
    [cluster("k Admin 0", `ingress: [{action: Accept, ${FROM_SHOP}}, {action: Deny, ${FROM_ALL}}]`)],
    { "shop/api > shop/web TCP/80": "allow | allow rule k ingress[0]", "data/db > shop/web TCP/80": "allow | deny rule-deny k ingress[1]" },
  ],
  [
    "Pass leaves the Admin tier for NetworkPolicy: neither its later rules nor later policies are asked",
    [
      cluster("one Admin 1", `ingress: [{action: Pass, ${FROM_ALL}}, {action: Deny, ${FROM_ALL}}]`),
      cluster("two Admin 2", `ingress: [{action: Accept, ${FROM_ALL}}]`),
      np("shop/np", `${WEB_POD}`, "ingress: [{from: [{podSelector: {}}]}]"),
    ],
    {
      "shop/api > shop/web TCP/80": "allow | allow rule np",
      "data/db > shop/web TCP/80": "allow | deny isolated np",
      "data/db > shop/api TCP/80": "allow | allow default one",
    },
  ],
  [
    "a NetworkPolicy that isolates decides finally: Baseline is not asked, neither to open",
    [isolate, cluster("k Baseline 0", `ingress: [{action: Accept, ${FROM_ALL}}]`)],
    { "shop/api > shop/web TCP/80": "allow | deny isolated np" },
  ],
  [
    "nor to close",
    [
      np("shop/np", "podSelector: {}", "ingress: [{from: [{podSelector: {}}]}]"),
      cluster("k Baseline 0", `ingress: [{action: Deny, ${FROM_ALL}}]`),
    ],
    { "shop/api > shop/web TCP/80": "allow | allow rule np", "data/db > shop/web TCP/80": "allow | deny isolated np" },
  ],
  [
    "isolated in the other direction only, Baseline is asked",
    [
      np("shop/np", "podSelector: {}", "policyTypes: [Egress]", "egress: [{}]"),
      cluster("k Baseline 0", `ingress: [{action: Deny, ${FROM_ALL}}]`),
    ],
    { "data/db > shop/web TCP/80": "allow | deny rule-deny k", "shop/web > data/db TCP/80": "allow rule np | allow" },
  ],
  [
    "Pass in Admin of a pod that nothing isolates goes on to Baseline",
    [cluster("k Admin 0", `ingress: [{action: Pass, ${FROM_SHOP}}]`), cluster("b Baseline 0", `ingress: [{action: Deny, ${FROM_ALL}}]`)],
    { "shop/api > shop/web TCP/80": "allow | deny rule-deny b", "data/db > shop/web TCP/80": "allow | deny rule-deny b" },
  ],
  [
    "there may be several Baseline policies, asked by priority",
    [
      cluster("late Baseline 2", `ingress: [{action: Deny, ${FROM_ALL}}]`),
      cluster("early Baseline 1", `ingress: [{action: Accept, ${FROM_SHOP}}]`),
    ],
    { "shop/api > shop/web TCP/80": "allow | allow rule early", "data/db > shop/web TCP/80": "allow | deny rule-deny late" },
  ],
  [
    "Pass in Baseline ends in the default, allow: later Baseline policies are not asked",
    [
      cluster("one Baseline 1", `ingress: [{action: Pass, ${FROM_ALL}}]`),
      cluster("two Baseline 2", `ingress: [{action: Deny, ${FROM_ALL}}]`),
    ],
    { "shop/api > shop/web TCP/80": "allow | allow default one" },
  ],
  [
    "being selected isolates nothing",
    [cluster("k Admin 0", `ingress: [{action: Accept, ${FROM_SHOP}}]`, `egress: [{action: Accept, ${TO_ALL}}]`)],
    { "data/db > shop/web TCP/80": "allow | allow no-policy", "shop/web > 8.8.8.8 TCP/80": "allow no-policy | allow" },
  ],
];

const adminKinds: Row[] = [
  [
    "AdminNetworkPolicy: the lowest priority first, Allow, Deny and Pass",
    [
      anp("late", "priority: 20", SHOP, `ingress: [{action: Deny, ${FROM_ALL}}]`),
      anp(
        "early",
        "priority: 10",
        SHOP,
        `ingress: [{action: Allow, ${FROM_SHOP}}, {action: Pass, from: [{namespaces: {matchLabels: {env: dev}}}]}]`,
      ),
      isolate,
    ],
    { "shop/api > shop/web TCP/80": "allow | allow rule early", "data/db > shop/web TCP/80": "allow | deny isolated np" },
  ],
  [
    "BaselineAdminNetworkPolicy decides for pods that no NetworkPolicy isolates",
    [
      banp("default", SHOP, `ingress: [{action: Deny, ${FROM_ALL}}]`),
      np("shop/np", WEB_POD, "ingress: [{from: [{namespaceSelector: {}}]}]"),
    ],
    { "data/db > shop/web TCP/80": "allow | allow rule np", "data/db > shop/api TCP/80": "allow | deny rule-deny default" },
  ],
  [
    "ports by number, by range with both ends, by name of the destination with its protocol",
    [
      anp(
        "k",
        "priority: 1",
        EVERY_POD,
        `egress: [{action: Deny, ${TO_ALL}, ports: [{portNumber: {protocol: TCP, port: 53}}, {portRange: {protocol: UDP, start: 100, end: 200}}, {namedPort: http}]}]`,
      ),
    ],
    {
      "data/db > shop/web TCP/53": "deny rule-deny k | allow",
      "data/db > shop/web UDP/53": "allow no-policy | allow",
      "data/db > shop/web UDP/100": "deny rule-deny k | allow",
      "data/db > shop/web UDP/200": "deny rule-deny k | allow",
      "data/db > shop/web UDP/201": "allow no-policy | allow",
      "data/db > shop/web TCP/8080": "deny rule-deny k | allow",
      "data/db > shop/web TCP/9090": "allow no-policy | allow",
      "data/db > shop/api UDP/9090": "deny rule-deny k | allow",
      "data/db > shop/api TCP/9090": "allow no-policy | allow",
    },
  ],
];

const subjectsAndPeers: Row[] = [
  [
    "a pod subject without namespaceSelector is of every namespace, and both selectors must hold",
    [
      kcnp(
        "k",
        "tier: Admin",
        "priority: 1",
        "subject: {pods: {podSelector: {}}}",
        `ingress: [{action: Deny, from: [{pods: {namespaceSelector: {matchLabels: {env: prod}}, ${WEB_POD}}}]}]`,
      ),
    ],
    {
      "shop/web > data/db TCP/80": "allow | deny rule-deny k",
      "shop/web > shop/api TCP/80": "allow | deny rule-deny k",
      "shop/api > data/db TCP/80": "allow | allow no-policy",
    },
  ],
  [
    "a host-network pod is never a subject",
    [kcnp("k", "tier: Admin", "priority: 1", EVERY_POD, `ingress: [{action: Deny, ${FROM_ALL}}]`)],
    { "shop/web > data/agent TCP/80": "allow | allow not-selectable", "shop/web > data/db TCP/80": "allow | deny rule-deny k" },
  ],
  [
    "nor a pod that a peer means",
    [cluster("k Admin 1", `ingress: [{action: Deny, ${FROM_ALL}}]`, `egress: [{action: Deny, ${TO_ALL}}]`)],
    { "data/agent > shop/web TCP/80": "allow | allow no-policy", "shop/web > data/agent TCP/80": "allow no-policy | allow" },
  ],
  [
    "a pod that connects to its own address is not subject to it",
    [cluster("k Admin 1", `ingress: [{action: Deny, ${FROM_ALL}}]`, `egress: [{action: Deny, ${TO_ALL}}]`)],
    { "shop/web > shop/web TCP/80": "allow self | allow self", "shop/web > shop/api TCP/80": "deny rule-deny k | deny rule-deny k" },
  ],
  [
    "peers of pods mean no outside address",
    [cluster("k Admin 1", `ingress: [{action: Deny, ${FROM_ALL}}]`, `egress: [{action: Deny, ${TO_ALL}}]`)],
    { "8.8.8.8 > shop/web TCP/80": "allow | allow no-policy", "shop/web > 8.8.8.8 TCP/80": "allow no-policy | allow" },
  ],
  [
    "`networks` mean pods and nodes too",
    [cluster("k Admin 1", "egress: [{action: Deny, to: [{networks: [10.0.0.0/24, 192.168.0.0/24, 8.8.8.0/24]}]}]")],
    {
      "shop/web > data/db TCP/80": "deny rule-deny k egress[0].to[0].networks[0] (ipblock-covers-pod) | allow",
      "shop/web > 192.168.0.2 TCP/80": "deny rule-deny k egress[0].to[0].networks[1] (ipblock-covers-node) | allow",
      "shop/web > 8.8.8.8 TCP/80": "deny rule-deny k egress[0].to[0].networks[2] | allow",
      "shop/web > 9.9.9.9 TCP/80": "allow no-policy | allow",
    },
  ],
  [
    "`nodes` mean the nodes' own addresses by their labels, shared by host-network pods, not the pods there",
    [cluster("k Admin 1", "egress: [{action: Deny, to: [{nodes: {matchLabels: {role: control}}}]}]")],
    {
      "shop/web > 192.168.0.2 TCP/80": "deny rule-deny k | allow",
      "shop/web > data/agent TCP/80": "deny rule-deny k | allow",
      "shop/web > data/db TCP/80": "allow no-policy | allow",
      "shop/web > 192.168.0.1 TCP/80": "allow no-policy | allow",
    },
  ],
  [
    "`*.` of domainNames is one label or more, not the name itself",
    [
      cluster(
        "k Admin 1",
        'egress: [{action: Accept, to: [{domainNames: ["*.example.com"]}]}, {action: Deny, to: [{networks: [192.0.2.0/24]}]}]',
      ),
    ],
    {
      "shop/web > www.example.com TCP/443": "allow rule k | allow",
      "shop/web > a.b.example.com TCP/443": "allow rule k | allow",
      "shop/web > example.com TCP/443": "deny rule-deny k | allow",
    },
  ],
  [
    "case and a dot at the end of a domain name do not matter",
    [
      cluster(
        "k Admin 1",
        "egress: [{action: Accept, to: [{domainNames: [WWW.Example.com.]}]}, {action: Deny, to: [{networks: [192.0.2.0/24]}]}]",
      ),
    ],
    {
      "shop/web > www.example.com TCP/443": "allow rule k | allow",
      "shop/web > example.com TCP/443": "deny rule-deny k | allow",
    },
  ],
];

const ports: Row[] = [
  [
    "a destinationNamedPort is the destination's own: number and protocol must both match",
    [kcnp("k", "tier: Admin", "priority: 1", EVERY_POD, `egress: [{action: Deny, ${TO_ALL}, protocols: [{destinationNamedPort: http}]}]`)],
    {
      "data/db > shop/web TCP/8080": "deny rule-deny k | allow",
      "data/db > shop/web UDP/8080": "allow no-policy | allow",
      "data/db > shop/api UDP/9090": "deny rule-deny k | allow",
      "data/db > shop/api TCP/8080": "allow no-policy | allow",
    },
  ],
  [
    "a range holds both ends, of its protocol only",
    [
      cluster(
        "k Admin 1",
        `ingress: [{action: Deny, ${FROM_ALL}, protocols: [{udp: {destinationPort: {range: {start: 5000, end: 5010}}}}, {tcp: {destinationPort: {number: 9090}}}]}]`,
      ),
    ],
    {
      "data/db > shop/web UDP/5000": "allow | deny rule-deny k",
      "data/db > shop/web UDP/5010": "allow | deny rule-deny k",
      "data/db > shop/web UDP/4999": "allow | allow no-policy",
      "data/db > shop/web UDP/5011": "allow | allow no-policy",
      "data/db > shop/web TCP/5005": "allow | allow no-policy",
      "data/db > shop/web TCP/9090": "allow | deny rule-deny k",
      "data/db > shop/web SCTP/9090": "allow | allow no-policy",
    },
  ],
  [
    "without `protocols` every protocol is meant",
    [cluster("k Admin 1", `ingress: [{action: Deny, ${FROM_ALL}}]`)],
    { "data/db > shop/web SCTP/1": "allow | deny rule-deny k", "data/db > shop/web ICMP/8": "allow | deny rule-deny k" },
  ],
];

const sections = { tiers, adminKinds, subjectsAndPeers, ports };

describe.each(Object.entries(sections))("admin policies: %s", (_, rows) => {
  test.each(rows)("%s", (...row) => {
    expect(answersOf("generic", WORLD, row)).toEqual(row[2]);
  });
});

// A pod that reaches itself through a Service is subject to a ClusterNetworkPolicy (network-policy-api: PR 390); NetworkPolicy leaves
// it open. We allow it with a note under the generic profile, whichever kind of policy there is.
test("a pod that reaches itself through a Service is subject to a ClusterNetworkPolicy", () => {
  const { evaluator, participantOf } = compile(WORLD, cluster("k Admin 1", `ingress: [{action: Deny, ${FROM_ALL}}]`));
  const web = evaluator.classify(participantOf("10.0.0.1"));
  expect(evaluator.decisions[evaluator.decideIngress(web, web, evaluator.ports.classOf(TCP, 80), true)].verdict).toBe("deny");
});

test("`tcp: {}`, which the CRD refuses, is every port where it is met in a file, and told", () => {
  const problems = problemsOf([cluster("k Admin 1", `ingress: [{action: Deny, ${FROM_ALL}, protocols: [{tcp: {}}]}]`)]);
  expect(problems.map((problem) => problem.replace(/ .*/, ""))).toEqual(["warning"]);
});

describe("equal priorities", () => {
  const rule = `ingress: [{action: Deny, ${FROM_ALL}}]`;
  const cautions = (policies: readonly string[]) => {
    const objects = readManifest(policies.join("---\n"), "policies.yaml").map(({ value }): PlainObject => value as unknown as PlainObject);
    const { evaluator, cluster: world } = compile(WORLD, objects);
    return cautionsOf(policySetOf(objects), evaluator, world);
  };

  test("of one tier are undefined, which is told", () => {
    expect(cautions([cluster("b Admin 7", rule), cluster("a Admin 7", rule)])).toEqual([
      expect.stringContaining("a and b share priority 7 in tier admin: which one comes first is undefined"),
    ]);
  });

  test("of two tiers do not meet", () => {
    expect(cautions([cluster("a Admin 7", rule), cluster("b Baseline 7", rule)])).toEqual([]);
  });
});

const refused: readonly (readonly [title: string, policies: readonly string[], problem: string])[] = [
  [
    "a peer of an unknown kind, so that it cannot fail open",
    [cluster("k Admin 1", "ingress: [{action: Deny, from: [{serviceAccounts: {}}]}]")],
    "error spec.ingress[0].from[0].serviceAccounts",
  ],
  ["a peer with no field set", [cluster("k Admin 1", "ingress: [{action: Accept, from: [{}]}]")], "error spec.ingress[0].from[0]"],
  [
    "a peer with two",
    [cluster("k Admin 1", "egress: [{action: Deny, to: [{namespaces: {}, networks: [10.0.0.0/8]}]}]")],
    "error spec.egress[0].to[0]",
  ],
  ["the action of the older kind", [cluster("k Admin 1", `ingress: [{action: Allow, ${FROM_ALL}}]`)], "error spec.ingress[0].action"],
  ["nodes in ingress", [cluster("k Admin 1", "ingress: [{action: Deny, from: [{nodes: {}}]}]")], "error spec.ingress[0].from[0].nodes"],
  [
    "networks in ingress",
    [cluster("k Admin 1", "ingress: [{action: Deny, from: [{networks: [10.0.0.0/8]}]}]")],
    "error spec.ingress[0].from[0].networks",
  ],
  [
    "domainNames that are denied",
    [cluster("k Admin 1", "egress: [{action: Deny, to: [{domainNames: [example.com]}]}]")],
    "error spec.egress[0].to[0].domainNames",
  ],
  [
    "domainNames that pass",
    [cluster("k Admin 1", "egress: [{action: Pass, to: [{domainNames: [example.com]}]}]")],
    "error spec.egress[0].to[0].domainNames",
  ],
  [
    "a named port beside networks",
    [cluster("k Admin 1", "egress: [{action: Deny, to: [{networks: [10.0.0.0/8]}], protocols: [{destinationNamedPort: http}]}]")],
    "error spec.egress[0].protocols",
  ],
  [
    "a range of one port",
    [cluster("k Admin 1", `ingress: [{action: Deny, ${FROM_ALL}, protocols: [{tcp: {destinationPort: {range: {start: 5, end: 5}}}}]}]`)],
    "error spec.ingress[0].protocols[0].tcp.destinationPort.range",
  ],
  ["no tier", [kcnp("k", "priority: 1", SHOP)], "error spec.tier"],
  ["no priority, in Baseline either", [kcnp("k", "tier: Baseline", SHOP)], "error spec.priority"],
  ["a priority above 1000", [cluster("k Admin 1001")], "error spec.priority"],
];
describe("admin policies: what is refused", () => {
  test.each(refused)("%s", (_, policies, problem) => {
    expect(problemsOf(policies).map((line) => line.slice(0, problem.length))).toContain(problem);
  });
});
