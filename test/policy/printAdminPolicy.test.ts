import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { EVERYTHING } from "../../src/cluster/selector.ts";
import { makePrefix, parsePrefix } from "../../src/net/prefix.ts";
import { readAdminNetworkPolicy, readBaselineAdminNetworkPolicy } from "../../src/policy/admin/adminNetworkPolicy.ts";
import { readClusterNetworkPolicy } from "../../src/policy/admin/clusterNetworkPolicy.ts";
import { domainNamePattern } from "../../src/policy/admin/peers.ts";
import { printAdminPolicy } from "../../src/policy/admin/printAdminPolicy.ts";
import type { Action, Peer, PodMatch, Policy, PortMatch, Rule, RuleList } from "../../src/policy/model.ts";
import { UnsayableError } from "../../src/policy/printedObject.ts";
import { expectLaw, labelSelector, portName, portRange, prefix, protocol, REF } from "./policyLaw.ts";

const V1ALPHA1 = "policy.networking.k8s.io/v1alpha1";
const V1ALPHA2 = "policy.networking.k8s.io/v1alpha2";

const podMatch: fc.Arbitrary<PodMatch> = fc
  .tuple(labelSelector, labelSelector)
  .map(([selector, pods]) => ({ namespaces: { selector }, pods }));
const podsPeer: fc.Arbitrary<Peer> = podMatch.map((match) => ({ kind: "pods", match, ref: REF }));
const prefixPeer: fc.Arbitrary<Peer> = prefix.map((each) => ({ kind: "prefix", prefix: each, except: [], ref: REF }));
const nodesPeer: fc.Arbitrary<Peer> = labelSelector.map((selector) => ({ kind: "nodes", selector, ref: REF }));
const namesPeer: fc.Arbitrary<Peer> = fc
  .subarray(["*.example.com", "Example.COM.", "a.b_c.d"], { minLength: 1 })
  .map((texts) => ({ kind: "names", patterns: texts.map((text) => domainNamePattern(text)!), ref: REF }));

const numbered: fc.Arbitrary<PortMatch[]> = fc.record({ protocol, ports: portRange }).map((each) => [each]);
const named: fc.Arbitrary<PortMatch[]> = portName.map((name) => [6, 17, 132].map((each) => ({ protocol: each, ports: { name } })));
const portsOf = (each: fc.Arbitrary<PortMatch[]>) =>
  fc.oneof(
    fc.constant("any" as const),
    fc.array(each, { minLength: 1, maxLength: 4 }).map((lists) => lists.flat()),
  );

function ruleOf(action: readonly Action[], peer: fc.Arbitrary<Peer>, ports: fc.Arbitrary<Rule["ports"]>): fc.Arbitrary<Rule> {
  const peers = fc.array(peer, { minLength: 1, maxLength: 5 });
  return fc.record({ action: fc.constantFrom(...action), peers, ports, ref: fc.constant(REF) });
}

/** Rules of a direction, absent or at least one: none at all read back as absent. */
const listOf = (rule: fc.Arbitrary<Rule>): fc.Arbitrary<RuleList> =>
  fc.record({ isolates: fc.constant(false), rules: fc.array(rule, { minLength: 1, maxLength: 3 }) });

function policies(kind: string, name: string, tier: fc.Arbitrary<Policy["tier"]>, actions: readonly Action[], hasNames: boolean) {
  const inside = ruleOf(actions, podsPeer, portsOf(fc.oneof(numbered, named)));
  const outside = fc.oneof(
    ruleOf(actions, fc.oneof(podsPeer, prefixPeer, prefixPeer, nodesPeer), portsOf(numbered)),
    ...(hasNames ? [ruleOf(["allow"], fc.oneof(podsPeer, prefixPeer, namesPeer), portsOf(numbered))] : []),
  );
  const rules = fc.record({ ingress: listOf(inside), egress: listOf(fc.oneof(inside, outside)) }, { requiredKeys: [] });
  const ref = { apiVersion: kind === "ClusterNetworkPolicy" ? V1ALPHA2 : V1ALPHA1, kind, name };
  return fc.tuple(tier, podMatch, rules).map(([each, subject, lists]): Policy => ({ ref, tier: each, subject, ...lists }));
}

const order = fc.constantFrom(0, 1, 1000);
const admin = fc.record({ kind: fc.constant("admin" as const), order });
const baseline = fc.record({ kind: fc.constant("baseline" as const), order });
const only = fc.constant({ kind: "baseline" as const, order: 0 });

describe("what is printed reads back as the same policy", () => {
  test.each([
    ["AdminNetworkPolicy", policies("AdminNetworkPolicy", "p", admin, ["allow", "deny", "pass"], true), readAdminNetworkPolicy],
    [
      "BaselineAdminNetworkPolicy",
      policies("BaselineAdminNetworkPolicy", "default", only, ["allow", "deny"], false),
      readBaselineAdminNetworkPolicy,
    ],
    [
      "ClusterNetworkPolicy",
      policies("ClusterNetworkPolicy", "p", fc.oneof(admin, baseline), ["allow", "deny", "pass"], true),
      readClusterNetworkPolicy,
    ],
  ])("%s", (_kind, arbitrary, read) => {
    fc.assert(fc.property(arbitrary, (policy) => expectLaw(policy, printAdminPolicy, read)));
  });

  test("25 networks of 25 peers are not too many, and equal networks go to peers of their own", () => {
    const networks = Array.from({ length: 624 }, (_, index) => makePrefix(0xffff_0a00_0000n + (BigInt(index) << 8n), 24, 4));
    const peers = [networks[0], ...networks].map((each): Peer => ({ kind: "prefix", prefix: each, except: [], ref: REF }));
    const print = (count: number) => {
      const policy = policyWith({ peers: peers.slice(0, count) });
      const { spec } = printAdminPolicy(policy);
      return (spec.egress as { to: { networks: string[] }[] }[])[0].to.map((each) => each.networks.length);
    };
    // The first network alone, since the second is equal to it.
    expect(print(601)).toEqual([1, ...Array(24).fill(25)]);
    expect(() => print(602)).toThrow("a rule can have 25 peers, not 26");
    expectLaw(policyWith({ peers: peers.slice(0, 601) }), printAdminPolicy, readClusterNetworkPolicy);
  });
});

const everyPod: PodMatch = { namespaces: { selector: EVERYTHING }, pods: EVERYTHING };
const pods = (match: PodMatch = everyPod): Peer => ({ kind: "pods", match, ref: REF });
const rule: Rule = { action: "deny", peers: [pods()], ports: "any", ref: { path: "egress[0]" } };

/** A ClusterNetworkPolicy with one egress rule, changed as told. */
function policyWith(ruleChange: Partial<Rule> = {}, change: Partial<Policy> = {}): Policy {
  return {
    ref: { apiVersion: V1ALPHA2, kind: "ClusterNetworkPolicy", name: "p" },
    tier: { kind: "admin", order: 1 },
    subject: everyPod,
    egress: { isolates: false, rules: [{ ...rule, ...ruleChange }] },
    ...change,
  };
}

const ports: PortMatch[] = [
  { protocol: 6, ports: { first: 80, last: 80 } },
  { protocol: 17, ports: { first: 1, last: 2 } },
  ...[6, 17, 132].map((each) => ({ protocol: each, ports: { name: "web" } })),
];

test("one policy in the words of each kind", () => {
  const policy = policyWith({ action: "allow", ports }, { subject: { namespaces: { name: "shop" }, pods: EVERYTHING } });
  const subject = { namespaces: { matchLabels: { "kubernetes.io/metadata.name": "shop" } } };
  const to = [{ namespaces: {} }];
  expect(printAdminPolicy(policy)).toEqual({
    apiVersion: V1ALPHA2,
    kind: "ClusterNetworkPolicy",
    metadata: { name: "p" },
    spec: {
      tier: "Admin",
      priority: 1,
      subject,
      egress: [
        {
          action: "Accept",
          to,
          protocols: [
            { tcp: { destinationPort: { number: 80 } } },
            { udp: { destinationPort: { range: { start: 1, end: 2 } } } },
            { destinationNamedPort: "web" },
          ],
        },
      ],
    },
  });
  const v1alpha1Ports = [
    { portNumber: { protocol: "TCP", port: 80 } },
    { portRange: { protocol: "UDP", start: 1, end: 2 } },
    { namedPort: "web" },
  ];
  expect(printAdminPolicy(policy, "AdminNetworkPolicy")).toEqual({
    apiVersion: V1ALPHA1,
    kind: "AdminNetworkPolicy",
    metadata: { name: "p" },
    spec: { priority: 1, subject, egress: [{ action: "Allow", to, ports: v1alpha1Ports }] },
  });
});

const block: Peer = { kind: "prefix", prefix: parsePrefix("10.0.0.0/8")!, except: [], ref: REF };
const baselinePolicy = (change: Partial<Policy>, ruleChange: Partial<Rule> = {}) =>
  policyWith(ruleChange, {
    ref: { apiVersion: V1ALPHA1, kind: "BaselineAdminNetworkPolicy", name: "default" },
    tier: { kind: "baseline", order: 0 },
    ...change,
  });
const CNP = "ClusterNetworkPolicy `p`";

const UNSAYABLE: [message: string, policy: Policy][] = [
  [
    "Y `p`: it is written as one of AdminNetworkPolicy, BaselineAdminNetworkPolicy, ClusterNetworkPolicy",
    policyWith({}, { ref: { apiVersion: "x", kind: "Y", name: "p" } }),
  ],
  [`${CNP}: it has no tier \`networkpolicy\``, policyWith({}, { tier: { kind: "networkpolicy" } })],
  [`${CNP}: the priority \`1001\` is not in 0..1000`, policyWith({}, { tier: { kind: "baseline", order: 1001 } })],
  [`${CNP}: the priority \`0.5\` is not in 0..1000`, policyWith({}, { tier: { kind: "admin", order: 0.5 } })],
  [`${CNP}: it isolates nothing by selecting it`, policyWith({}, { ingress: { isolates: true, rules: [] } })],
  [`${CNP}: it can have 25 rules a direction, not 26`, policyWith({}, { egress: { isolates: false, rules: Array(26).fill(rule) } })],
  [`${CNP}: it cannot be staged, as \`Set\` is`, policyWith({}, { staged: "Set" })],
  [`${CNP}, \`egress[0]\`: no action means \`log\``, policyWith({ action: "log" })],
  [`${CNP}, \`egress[0]\`: peers must be named: none stands for every address`, policyWith({ peers: "any" })],
  [`${CNP}, \`egress[0]\`: a rule can have 25 peers, not 26`, policyWith({ peers: Array(26).fill(pods()) })],
  [`${CNP}, \`egress[0]\`: a rule can have 25 ports, not 26`, policyWith({ ports: Array(26).fill(ports[0]) })],
  [
    `${CNP}, \`egress[0]\`: a peer of egress rules cannot be \`entities\``,
    policyWith({ peers: [{ kind: "entities", entities: ["all"], ref: REF }] }),
  ],
  [
    `${CNP}, \`egress[0]\`: a peer of ingress rules cannot be \`prefix\``,
    policyWith({}, { ingress: { isolates: false, rules: [{ ...rule, peers: [block] }] } }),
  ],
  [
    `${CNP}, \`egress[0]\`: a network cannot have exceptions`,
    policyWith({ peers: [{ ...block, except: [parsePrefix("10.0.0.0/9")!] } as Peer] }),
  ],
  [
    `${CNP}, \`egress[0]\`: a peer can have label selectors only`,
    policyWith({ peers: [pods({ ...everyPod, where: { op: "all", terms: [] } })] }),
  ],
  [
    `${CNP}, \`egress[0]\`: only a rule that allows can have domain names`,
    policyWith({ peers: [{ kind: "names", patterns: [domainNamePattern("a.example")!], ref: REF }] }),
  ],
  [
    `${CNP}, \`egress[0]\`: a peer has 1 to 25 domain names, not 0`,
    policyWith({ action: "allow", peers: [{ kind: "names", patterns: [], ref: REF }] }),
  ],
  [
    `${CNP}, \`egress[0]\`: \`*.a.example\` means something else here`,
    policyWith({
      action: "allow",
      peers: [{ kind: "names", patterns: [{ text: "*.a.example", regex: "[^.]+\\.a\\.example" }], ref: REF }],
    }),
  ],
  [`${CNP}, \`egress[0]\`: every port of TCP is the range 1 to 65535`, policyWith({ ports: [{ protocol: 6 }] })],
  [`${CNP}, \`egress[0]\`: ports are of TCP, UDP or SCTP`, policyWith({ ports: [{ protocol: 58 }] })],
  [`${CNP}, \`egress[0]\`: port 0 cannot be named`, policyWith({ ports: [{ protocol: 6, ports: { first: 0, last: 0 } }] })],
  [`${CNP}, \`egress[0]\`: the port name \`web\` would be of every protocol`, policyWith({ ports: ports.slice(0, 4) })],
  [`${CNP}, \`egress[0]\`: only pods have named ports`, policyWith({ ports, peers: [block] })],
  [`${CNP}, \`egress[0]\`: a rule has no conditions on requests`, policyWith({ l7: [] })],
  ["BaselineAdminNetworkPolicy `default`: it has no tier `admin`", baselinePolicy({ tier: { kind: "admin", order: 0 } })],
  ["BaselineAdminNetworkPolicy `default`: it has no priority", baselinePolicy({ tier: { kind: "baseline", order: 1 } })],
  ["BaselineAdminNetworkPolicy `default`, `egress[0]`: no action means `pass`", baselinePolicy({}, { action: "pass" })],
  [
    "BaselineAdminNetworkPolicy `p`: it must be named `default`",
    baselinePolicy({ ref: { apiVersion: V1ALPHA1, kind: "BaselineAdminNetworkPolicy", name: "p" } }),
  ],
];

describe("what these kinds cannot say", () => {
  test.each(UNSAYABLE)("%s", (message, policy) => {
    expect(() => printAdminPolicy(policy)).toThrow(new UnsayableError(message));
  });
});
