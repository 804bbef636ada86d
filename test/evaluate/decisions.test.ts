import { describe, expect, test } from "vitest";
import { combine, type Verdict } from "../../src/evaluate/decision.ts";
import type { Participant } from "../../src/evaluate/evaluator.ts";
import { TCP } from "../../src/net/protocol.ts";
import { compile } from "../oracle/compiled.ts";
import type { Resources } from "../oracle/obviousEvaluator.ts";
import { ask, line, policy, SHOP, shop } from "./shop.ts";

const DENY_IN = policy("shop/deny", "podSelector: {}", "policyTypes: [Ingress]");
const DENY_OUT = policy("shop/deny", "podSelector: {}", "policyTypes: [Egress]");
const ingress = (...rules: string[]) => policy("shop/p", "podSelector: {}", "policyTypes: [Ingress]", "ingress:", ...rules);
const egress = (...rules: string[]) => policy("shop/p", "podSelector: {}", "policyTypes: [Egress]", "egress:", ...rules);

/** One line a case: what is asked, the policies, the expected decision at the side named. */
const cases: readonly (readonly [
  title: string,
  policies: string | readonly string[],
  flow: string,
  side: "egress" | "ingress",
  expected: string,
])[] = [
  // Isolation
  ["no policy at all", [], "shop/web > shop/api TCP/80", "ingress", "allow no-policy"],
  ["a policy of the other direction", DENY_OUT, "shop/web > shop/api TCP/80", "ingress", "allow no-policy"],
  ["a policy of another namespace", DENY_IN, "shop/web > data/db TCP/80", "ingress", "allow no-policy"],
  [
    "a policy of other pods",
    policy("shop/p", "podSelector: {matchLabels: {app: web}}"),
    "data/db > shop/api TCP/80",
    "ingress",
    "allow no-policy",
  ],
  ["isolated by one", DENY_IN, "data/db > shop/api TCP/80", "ingress", "deny isolated [shop/deny]"],
  ["isolated by two", [DENY_IN, ingress()], "data/db > shop/api TCP/80", "ingress", "deny isolated [shop/deny shop/p]"],
  [
    "policyTypes absent, no egress: ingress alone",
    policy("shop/p", "podSelector: {}"),
    "shop/web > data/db TCP/80",
    "egress",
    "allow no-policy",
  ],
  [
    "policyTypes absent, egress []: ingress alone",
    policy("shop/p", "podSelector: {}", "egress: []"),
    "shop/web > data/db TCP/80",
    "egress",
    "allow no-policy",
  ],
  [
    "policyTypes absent, an egress rule: both",
    policy("shop/p", "podSelector: {}", "egress: [{ports: [{port: 1}]}]"),
    "shop/web > data/db TCP/80",
    "egress",
    "deny isolated [shop/p]",
  ],
  [
    "policyTypes Egress: ingress rules do not count",
    policy("shop/p", "podSelector: {}", "policyTypes: [Egress]", "ingress: []"),
    "data/db > shop/api TCP/80",
    "ingress",
    "allow no-policy",
  ],
  // Nobody's subjects
  ["a node is selected by nothing", DENY_OUT, "n1 > shop/api TCP/80", "egress", "allow not-selectable"],
  ["nor is an outside address", DENY_OUT, "8.8.8.8 > shop/api TCP/80", "egress", "allow not-selectable"],
  ["nor a host-network pod", DENY_OUT, "shop/agent > shop/api TCP/80", "egress", "allow not-selectable"],
  [
    "a host-network pod is no peer of a podSelector",
    ingress("- from: [{podSelector: {}}]"),
    "shop/agent > shop/api TCP/80",
    "ingress",
    "deny isolated [shop/p]",
  ],
  [
    "a node's address is a block's peer",
    ingress("- from: [{ipBlock: {cidr: 192.168.0.0/24}}]"),
    "shop/agent > shop/api TCP/80",
    "ingress",
    "allow rule [shop/p] <- shop/p ingress[0].from[0] (ipblock-covers-node)",
  ],
  [
    "an outside address is no peer of a namespaceSelector",
    ingress("- from: [{namespaceSelector: {}}]"),
    "8.8.8.8 > shop/api TCP/80",
    "ingress",
    "deny isolated [shop/p]",
  ],
  // Exceptions
  ["itself, ingress", DENY_IN, "shop/web > shop/web TCP/80", "ingress", "allow self"],
  ["itself, egress", DENY_OUT, "shop/web > shop/web TCP/80", "egress", "allow self"],
  ["itself, over its other address", DENY_OUT, "shop/web > fd00::1 TCP/80", "egress", "allow self"],
  ["from the own node", DENY_IN, "n1 > shop/web TCP/80", "ingress", "allow own-node (own-node-exception)"],
  ["from the own node's other address", DENY_IN, "fd00:1::1 > shop/web TCP/80", "ingress", "allow own-node (own-node-exception)"],
  ["to the own node", DENY_OUT, "shop/web > n1 TCP/80", "egress", "allow own-node (own-node-exception)"],
  ["from a host-network pod of the own node", DENY_IN, "shop/agent > shop/web TCP/80", "ingress", "allow own-node (own-node-exception)"],
  ["from another node", DENY_IN, "n2 > shop/web TCP/80", "ingress", "deny isolated [shop/deny]"],
  ["to another node", DENY_OUT, "shop/web > n2 TCP/80", "egress", "deny isolated [shop/deny]"],
  // Peers
  ["no peers: any address", egress("- {}"), "shop/web > 8.8.8.8 TCP/80", "egress", "allow rule [shop/p] <- shop/p egress[0]"],
  ["an empty list: any address", egress("- to: []"), "shop/web > 8.8.8.8 TCP/80", "egress", "allow rule [shop/p] <- shop/p egress[0]"],
  [
    "podSelector alone: own namespace",
    ingress("- from: [{podSelector: {}}]"),
    "data/db > shop/api TCP/80",
    "ingress",
    "deny isolated [shop/p]",
  ],
  [
    "podSelector alone, same namespace",
    ingress("- from: [{podSelector: {}}]"),
    "shop/web > shop/api TCP/80",
    "ingress",
    "allow rule [shop/p] <- shop/p ingress[0].from[0]",
  ],
  [
    "both selectors in one peer: and",
    ingress("- from: [{namespaceSelector: {matchLabels: {team: blue}}, podSelector: {matchLabels: {app: web}}}]"),
    "data/db > shop/api TCP/80",
    "ingress",
    "deny isolated [shop/p]",
  ],
  [
    "the two in two peers: or",
    ingress("- from: [{namespaceSelector: {matchLabels: {team: blue}}}, {podSelector: {matchLabels: {app: x}}}]"),
    "data/db > shop/api TCP/80",
    "ingress",
    "allow rule [shop/p] <- shop/p ingress[0].from[0]",
  ],
  [
    "NotIn holds for a missing key",
    ingress("- from: [{podSelector: {matchExpressions: [{key: gone, operator: NotIn, values: [a]}]}}]"),
    "shop/web > shop/api TCP/80",
    "ingress",
    "allow rule [shop/p] <- shop/p ingress[0].from[0]",
  ],
  [
    "metadata.name is on every namespace",
    ingress("- from: [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: data}}}]"),
    "data/db > shop/api TCP/80",
    "ingress",
    "allow rule [shop/p] <- shop/p ingress[0].from[0]",
  ],
  // Every rule that matches, not only the first
  [
    "two rules and two peers",
    ingress("- from: [{podSelector: {}}, {namespaceSelector: {}}]", "- {}"),
    "shop/web > shop/api TCP/80",
    "ingress",
    "allow rule [shop/p] <- shop/p ingress[0].from[0], shop/p ingress[0].from[1], shop/p ingress[1]",
  ],
  [
    "two policies",
    [ingress("- {}"), policy("shop/q", "podSelector: {matchLabels: {app: api}}", "ingress: [{ports: [{port: 80}]}]")],
    "shop/web > shop/api TCP/80",
    "ingress",
    "allow rule [shop/p shop/q] <- shop/p ingress[0], shop/q ingress[0]",
  ],
  // Blocks
  [
    "a block over a pod's address",
    ingress("- from: [{ipBlock: {cidr: 10.0.0.0/24}}]"),
    "data/db > shop/api TCP/80",
    "ingress",
    "allow rule [shop/p] <- shop/p ingress[0].from[0] (ipblock-covers-pod)",
  ],
  [
    "with a selector that matches too the block decides nothing",
    ingress("- from: [{ipBlock: {cidr: 10.0.0.0/24}}, {podSelector: {}}]"),
    "shop/web > shop/api TCP/80",
    "ingress",
    "allow rule [shop/p] <- shop/p ingress[0].from[0], shop/p ingress[0].from[1]",
  ],
  [
    "an excepted address",
    egress("- to: [{ipBlock: {cidr: 0.0.0.0/0, except: [8.0.0.0/8]}}]"),
    "shop/web > 8.8.8.8 TCP/80",
    "egress",
    "deny isolated [shop/p]",
  ],
  [
    "an except is local to its block",
    egress("- to: [{ipBlock: {cidr: 0.0.0.0/0, except: [8.0.0.0/8]}}, {ipBlock: {cidr: 8.8.8.8/32}}]"),
    "shop/web > 8.8.8.8 TCP/80",
    "egress",
    "allow rule [shop/p] <- shop/p egress[0].to[1]",
  ],
  [
    "0.0.0.0/0 is no IPv6",
    egress("- to: [{ipBlock: {cidr: 0.0.0.0/0}}]"),
    "shop/web > 2001:db8::1 TCP/80",
    "egress",
    "deny isolated [shop/p]",
  ],
  ["::/0 is no IPv4", egress("- to: [{ipBlock: {cidr: '::/0'}}]"), "shop/web > 8.8.8.8 TCP/80", "egress", "deny isolated [shop/p]"],
  [
    "a dual-stack pod: the address that it uses",
    ingress("- from: [{ipBlock: {cidr: 'fd00::/64'}}]"),
    "10.0.0.1 > shop/api TCP/80",
    "ingress",
    "deny isolated [shop/p]",
  ],
  // Ports
  [
    "protocol without port: all of it",
    ingress("- ports: [{protocol: UDP}]"),
    "data/db > shop/api UDP/9",
    "ingress",
    "allow rule [shop/p] <- shop/p ingress[0]",
  ],
  [
    "protocol without port: only of it",
    ingress("- ports: [{protocol: UDP}]"),
    "data/db > shop/api TCP/9",
    "ingress",
    "deny isolated [shop/p]",
  ],
  [
    "an empty entry is all TCP",
    ingress("- ports: [{}]"),
    "data/db > shop/api TCP/9",
    "ingress",
    "allow rule [shop/p] <- shop/p ingress[0]",
  ],
  ["an empty entry is no UDP", ingress("- ports: [{}]"), "data/db > shop/api UDP/9", "ingress", "deny isolated [shop/p]"],
  [
    "the last port of a range",
    ingress("- ports: [{port: 80, endPort: 90}]"),
    "data/db > shop/api TCP/90",
    "ingress",
    "allow rule [shop/p] <- shop/p ingress[0]",
  ],
  ["the port after it", ingress("- ports: [{port: 80, endPort: 90}]"), "data/db > shop/api TCP/91", "ingress", "deny isolated [shop/p]"],
  // Named ports: the destination's, per pod and protocol
  [
    "ingress: this pod's http",
    ingress("- ports: [{port: http}]"),
    "data/db > shop/api TCP/9090",
    "ingress",
    "allow rule [shop/p] <- shop/p ingress[0]",
  ],
  ["ingress: another pod's http", ingress("- ports: [{port: http}]"), "data/db > shop/web TCP/9090", "ingress", "deny isolated [shop/p]"],
  [
    "egress: the destination's http",
    egress("- ports: [{port: http}]"),
    "shop/web > shop/api TCP/9090",
    "egress",
    "allow rule [shop/p] <- shop/p egress[0]",
  ],
  ["egress: not the source's http", egress("- ports: [{port: http}]"), "shop/web > shop/api TCP/8080", "egress", "deny isolated [shop/p]"],
  [
    "egress: names of another namespace's pods",
    egress("- ports: [{port: sql}]"),
    "shop/web > data/db TCP/5432",
    "egress",
    "allow rule [shop/p] <- shop/p egress[0]",
  ],
  ["a name of another protocol", ingress("- ports: [{port: dns}]"), "data/db > shop/api TCP/53", "ingress", "deny isolated [shop/p]"],
  [
    "a name with its protocol",
    ingress("- ports: [{port: dns, protocol: UDP}]"),
    "data/db > shop/api UDP/53",
    "ingress",
    "allow rule [shop/p] <- shop/p ingress[0]",
  ],
  ["no outside address has names", egress("- ports: [{port: http}]"), "shop/web > 8.8.8.8 TCP/9090", "egress", "deny isolated [shop/p]"],
  ["nor a node's host-network pod", egress("- ports: [{port: http}]"), "shop/api > n1 TCP/9100", "egress", "deny isolated [shop/p]"],
  // Protocols without ports
  [
    "ICMP by a rule without ports",
    ingress("- from: [{namespaceSelector: {}}]"),
    "data/db > shop/api ICMP",
    "ingress",
    "allow rule [shop/p] <- shop/p ingress[0].from[0]",
  ],
  [
    "ICMP, peers right, but ports named",
    ingress("- ports: [{port: 80}]"),
    "data/db > shop/api ICMP",
    "ingress",
    "deny isolated [shop/p] (icmp-implementation-defined)",
  ],
  ["ICMP, no peer", ingress("- from: [{podSelector: {}}]"), "data/db > shop/api ICMP", "ingress", "deny isolated [shop/p]"],
  [
    "another protocol",
    ingress("- ports: [{port: 80}]"),
    "data/db > shop/api 47",
    "ingress",
    "deny isolated [shop/p] (icmp-implementation-defined)",
  ],
  // Unknown ends
  [
    "unknown peer, a rule without peers",
    egress("- ports: [{port: 80}]"),
    "shop/web > ? TCP/80",
    "egress",
    "allow rule [shop/p] <- shop/p egress[0]",
  ],
  [
    "unknown peer, no rule has the port",
    egress("- to: [{podSelector: {}}]", "  ports: [{port: 80}]"),
    "shop/web > ? TCP/81",
    "egress",
    "deny isolated [shop/p]",
  ],
  [
    "unknown peer, a selector",
    egress("- to: [{podSelector: {}}]", "  ports: [{port: 80}]"),
    "shop/web > ? TCP/80",
    "egress",
    "unknown unknown-endpoint [shop/p] <- shop/p egress[0].to[0]",
  ],
  [
    "unknown peer of no known address, a block",
    egress("- to: [{ipBlock: {cidr: 10.0.0.0/8}}]"),
    "shop/web > ? TCP/80",
    "egress",
    "unknown unknown-endpoint [shop/p] <- shop/p egress[0].to[0]",
  ],
  [
    "unknown peer of known address, a block around it",
    egress("- to: [{ipBlock: {cidr: 10.0.0.0/8}}]"),
    "shop/web > 10.0.0.77 TCP/80",
    "egress",
    "allow rule [shop/p] <- shop/p egress[0].to[0] (ipblock-covers-pod)",
  ],
  [
    "unknown peer of known address, a block elsewhere",
    egress("- to: [{ipBlock: {cidr: 11.0.0.0/8}}]"),
    "shop/web > 10.0.0.77 TCP/80",
    "egress",
    "deny isolated [shop/p]",
  ],
  [
    "unknown peer, a port name",
    egress("- ports: [{port: http}]"),
    "shop/web > ? TCP/80",
    "egress",
    "unknown unknown-port-name [shop/p] <- shop/p egress[0]",
  ],
  ["unknown peer, default deny", DENY_OUT, "shop/web > ? TCP/80", "egress", "deny isolated [shop/deny]"],
  ["unknown subject, no policy of the direction", DENY_OUT, "shop/web > ? TCP/80", "ingress", "allow no-policy"],
  ["unknown subject, perhaps isolated", DENY_IN, "shop/web > ? TCP/80", "ingress", "unknown unknown-endpoint [shop/deny]"],
  ["unknown subject, allowed if isolated", ingress("- {}"), "shop/web > ? TCP/80", "ingress", "allow rule <- shop/p ingress[0]"],
  [
    "both ends unknown",
    ingress("- from: [{podSelector: {}}]"),
    "? > ? TCP/80",
    "ingress",
    "unknown unknown-endpoint [shop/p] <- shop/p ingress[0].from[0]",
  ],
  // Namespaces without labels
  [
    "labels not known",
    ingress("- from: [{namespaceSelector: {matchLabels: {team: red}}}]"),
    "bare/x > shop/api TCP/80",
    "ingress",
    "unknown unknown-labels [shop/p] <- shop/p ingress[0].from[0]",
  ],
  [
    "labels not known, but pods are of no use",
    ingress("- from: [{namespaceSelector: {matchLabels: {team: red}}, podSelector: {matchLabels: {app: db}}}]"),
    "bare/x > shop/api TCP/80",
    "ingress",
    "deny isolated [shop/p]",
  ],
  [
    "its name is known",
    ingress("- from: [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: bare}}}]"),
    "bare/x > shop/api TCP/80",
    "ingress",
    "allow rule [shop/p] <- shop/p ingress[0].from[0]",
  ],
  [
    "its name is not that",
    ingress("- from: [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: shop, team: red}}}]"),
    "bare/x > shop/api TCP/80",
    "ingress",
    "deny isolated [shop/p]",
  ],
  [
    "every namespace",
    ingress("- from: [{namespaceSelector: {}}]"),
    "bare/x > shop/api TCP/80",
    "ingress",
    "allow rule [shop/p] <- shop/p ingress[0].from[0]",
  ],
  [
    "not known, but another rule allows",
    ingress("- from: [{namespaceSelector: {matchLabels: {team: red}}}]", "- {}"),
    "bare/x > shop/api TCP/80",
    "ingress",
    "allow rule [shop/p] <- shop/p ingress[1]",
  ],
  [
    "known labels of other namespaces are",
    ingress("- from: [{namespaceSelector: {matchLabels: {team: red}}}]"),
    "data/db > shop/api TCP/80",
    "ingress",
    "deny isolated [shop/p]",
  ],
];

describe("decisions", () => {
  test.each(cases)("%s", (_, policies, flow, side, expected) => {
    expect(line(ask(shop(policies), flow)[side])).toBe(expected);
  });

  test("policies and rules are named with their file and line", () => {
    const { egress: decision } = ask(
      shop(["# a comment\n" + DENY_OUT, egress("- ports: [{port: 1}]", "- to:", "  - podSelector: {}", "  - ipBlock: {cidr: 10.0.0.0/8}")]),
      "shop/web > shop/api TCP/80",
    );
    expect(decision.isolatedBy.map(({ ref }) => `${ref.name} ${ref.file}:${ref.line}`)).toEqual([
      "deny policies.yaml:2",
      "p policies.yaml:9",
    ]);
    expect(decision.matched.map(({ rule }) => `${rule.path} ${rule.file}:${rule.line}`)).toEqual([
      "egress[1].to[0] policies.yaml:18",
      "egress[1].to[1] policies.yaml:19",
    ]);
  });

  test("equal decisions are one object, whoever asked", () => {
    const compiled = shop(DENY_IN);
    expect(ask(compiled, "data/db > shop/api TCP/1").ingress).toBe(ask(compiled, "8.8.8.8 > shop/web UDP/2").ingress);
  });

  test("a pod is classed once, and hundreds of participants keep apart", () => {
    const pods = Array.from({ length: 700 }, (_, i) => ({
      namespace: "shop",
      name: `x${i}`,
      labels: { number: String(i % 300) },
      ip: `10.1.${i >> 8}.${i & 255}`,
      ports: [],
    }));
    const compiled = compile({ namespaces: [], pods }, egress("- to: [{podSelector: {matchLabels: {number: '299'}}}]"));
    const numbers = pods.map(({ ip }) => compiled.evaluator.classify(compiled.participantOf(ip)));
    expect(new Set(numbers).size).toBe(700);
    expect(compiled.evaluator.classify(compiled.participantOf("10.1.0.5"))).toBe(numbers[5]);
    expect(compiled.evaluator.participants).toBe(700);
    const port = compiled.evaluator.ports.classOf(TCP, 80);
    const allowed = numbers.map(
      (number) => compiled.evaluator.decisions[compiled.evaluator.decideEgress(numbers[0], number, port)].verdict === "allow",
    );
    // Itself, and the two with label 299.
    expect(allowed.flatMap((each, i) => (each ? [i] : []))).toEqual([0, 299, 599]);
  });

  test("a pod of a record that the snapshot does not hold is unknown to selectors unless the world has it", () => {
    const compiled = shop(DENY_IN);
    const pod = { ...compiled.cluster.pods[0], name: "new" };
    const stranger: Participant = { type: "pod", pod, address: 1n };
    expect(line(compiled.ask({ source: "8.8.8.8", destination: "", protocol: "TCP", port: 80 }, { destination: stranger }).ingress)).toBe(
      "unknown unknown-endpoint [shop/deny]",
    );
  });
});

describe("both sides", () => {
  test.each<[Verdict, Verdict, Verdict]>([
    ["allow", "allow", "allow"],
    ["allow", "deny", "deny"],
    ["deny", "allow", "deny"],
    ["deny", "unknown", "deny"],
    ["unknown", "deny", "deny"],
    ["unknown", "allow", "unknown"],
    ["allow", "unknown", "unknown"],
    ["unknown", "unknown", "unknown"],
  ])("egress %s, ingress %s: %s", (one, other, expected) => {
    expect(combine(one, other)).toBe(expected);
  });
});

describe("faults known", () => {
  // groupPorts (evaluator.ts) writes a named port's class number and its bits with nothing between: class 1 with the bit 0 (here
  // http/TCP = 80) and class 10 without any (http/UDP = 53) are both "10", and UDP 53 gets the answer of TCP 80.
  test("a named port in TCP and the same name in UDP are two groups of ports", () => {
    const resources: Resources = {
      namespaces: [],
      pods: [
        {
          namespace: "shop",
          name: "x",
          labels: {},
          ip: "10.0.0.1",
          ports: [
            { name: "http", containerPort: 80, protocol: "TCP" },
            { name: "http", containerPort: 53, protocol: "UDP" },
          ],
        },
      ],
    };
    const elsewhere = policy("other/p", "podSelector: {}", "ingress: [{ports: [{port: 1000}, {port: 1002}]}]");
    const compiled = compile(resources, [ingress("- ports: [{port: http}, {port: 443}]"), elsewhere].join("---\n"));
    const flow = { source: "8.8.8.8", destination: "10.0.0.1" };
    expect(compiled.ask({ ...flow, protocol: "TCP", port: 80 }).ingress.verdict).toBe("allow");
    expect(compiled.ask({ ...flow, protocol: "UDP", port: 53 }).ingress.verdict).toBe("deny");
  });

  // decideCell looks at each policy that perhaps selects the subject by itself. Both here have one selector: where the first
  // isolates, the second allows, so that deny is not possible. As one policy with both parts it is rightly allowed.
  test("an unknown subject, default deny and an allow rule of one and the same selector", () => {
    expect(ask(shop([DENY_IN, ingress("- {}")]), "shop/web > ? TCP/80").ingress.verdict).toBe("allow");
  });

  // A record may name a host-network pod of the snapshot (EndpointResolver.#podOfRecord); it takes part as a pod, and policies
  // select it. The API: host-network pods are not selected, their traffic is the node's.
  test("a host-network pod that a record names is not selected", () => {
    const compiled = shop(DENY_OUT);
    const pod = compiled.cluster.pods.find(({ hostNetwork }) => hostNetwork)!;
    const source: Participant = { type: "pod", pod, address: pod.addresses[0] };
    expect(line(compiled.ask({ source: "", destination: "8.8.8.8", protocol: "TCP", port: 80 }, { source }).egress)).toBe(
      "allow not-selectable",
    );
  });
});

test("the cluster of these tables reads without a fault", () => {
  expect(shop().cluster.pods).toHaveLength(SHOP.pods.length);
});
