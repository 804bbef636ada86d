import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { EVERYTHING } from "../../src/cluster/selector.ts";
import { makePrefix, parsePrefix } from "../../src/net/prefix.ts";
import { readNetworkPolicy } from "../../src/policy/kubernetes/networkPolicy.ts";
import { printNetworkPolicy } from "../../src/policy/kubernetes/printNetworkPolicy.ts";
import type { Peer, Policy, PortMatch, Rule, RuleList } from "../../src/policy/model.ts";
import { UnsayableError } from "../../src/policy/printedObject.ts";
import { expectLaw, labelSelector, portName, portRange, prefix, protocol, REF } from "./policyLaw.ts";

const read = (...[object]: Parameters<typeof readNetworkPolicy>) => {
  const { policy, problems } = readNetworkPolicy(object);
  return { policies: policy ? [policy] : [], problems };
};

const podsPeer: fc.Arbitrary<Peer> = fc
  .tuple(fc.option(labelSelector, { nil: undefined }), labelSelector)
  .map(([selector, pods]) => ({ kind: "pods", match: { namespaces: selector ? { selector } : { name: "shop" }, pods }, ref: REF }));

/** Address blocks, half of them less their first or last address. */
const blockPeer: fc.Arbitrary<Peer> = fc.tuple(prefix, fc.constantFrom("first", "last", undefined)).map(([block, end]) => {
  const whole = block.family === 4 ? 32 : 128;
  const except = end === undefined || block.length === whole ? [] : [{ ...makePrefix(block[end], whole, block.family), hostBits: false }];
  return { kind: "prefix", prefix: block, except, ref: REF };
});

const port: fc.Arbitrary<PortMatch> = fc.oneof(
  fc.record({ protocol }),
  fc.record({ protocol, ports: portRange }),
  fc.record({ protocol, ports: fc.record({ name: portName }) }),
);

const anyOr = <T>(items: fc.Arbitrary<T>) => fc.oneof(fc.constant("any" as const), fc.array(items, { minLength: 1, maxLength: 4 }));

const list: fc.Arbitrary<RuleList> = fc.record({
  isolates: fc.constant(true),
  rules: fc.array(
    fc.record({
      action: fc.constant("allow" as const),
      peers: anyOr(fc.oneof(podsPeer, blockPeer)),
      ports: anyOr(port),
      ref: fc.constant(REF),
    }),
    { maxLength: 3 },
  ),
});

const networkPolicy: fc.Arbitrary<Policy> = fc
  .tuple(labelSelector, fc.oneof(fc.record({ ingress: list }), fc.record({ egress: list }), fc.record({ ingress: list, egress: list })))
  .map(([pods, rules]) => ({
    ref: { apiVersion: "networking.k8s.io/v1", kind: "NetworkPolicy", namespace: "shop", name: "p" },
    tier: { kind: "networkpolicy" },
    subject: { namespaces: { name: "shop" }, pods },
    ...rules,
  }));

test("what is printed reads back as the same policy", () => {
  fc.assert(fc.property(networkPolicy, (policy) => expectLaw(policy, printNetworkPolicy, read)));
});

const rule: Rule = { action: "allow", peers: "any", ports: "any", ref: { path: "ingress[0]" } };
const policyWith = (change: Partial<Policy> = {}, ...rules: Partial<Rule>[]): Policy => ({
  ref: { apiVersion: "kguardian.dev/v1alpha1", kind: "AuditNetworkPolicy", namespace: "shop", name: "p", file: "p.yaml", line: 1 },
  tier: { kind: "networkpolicy" },
  subject: { namespaces: { name: "shop" }, pods: EVERYTHING },
  ingress: { isolates: true, rules: rules.map((each) => ({ ...rule, ...each })) },
  ...change,
});
const pods = (match: Extract<Peer, { kind: "pods" }>["match"]): Peer => ({ kind: "pods", match, ref: REF });
const block = (text: string, ...except: string[]): Peer => ({
  kind: "prefix",
  prefix: parsePrefix(text)!,
  except: except.map((each) => parsePrefix(each)!),
  ref: REF,
});
const app = { requirements: [{ key: "app", operator: "In", values: ["web"] } as const] };

test("a policy in the words that people use, whatever kind it was read from", () => {
  const peers = [
    pods({ namespaces: { name: "shop" }, pods: EVERYTHING }),
    pods({ namespaces: { name: "other" }, pods: EVERYTHING }),
    pods({ namespaces: { selector: app }, pods: app }),
    block("10.1.2.3/8", "10.0.0.0/16"),
  ];
  const ports = [{ protocol: 17 }, { protocol: 6, ports: { first: 80, last: 80 } }, { protocol: 132, ports: { first: 1, last: 2 } }];
  expect(printNetworkPolicy(policyWith({ egress: { isolates: true, rules: [] } }, { peers, ports }, {}))).toEqual({
    apiVersion: "networking.k8s.io/v1",
    kind: "NetworkPolicy",
    metadata: { name: "p", namespace: "shop" },
    spec: {
      podSelector: {},
      policyTypes: ["Ingress", "Egress"],
      ingress: [
        {
          from: [
            { podSelector: {} },
            { namespaceSelector: { matchLabels: { "kubernetes.io/metadata.name": "other" } } },
            { namespaceSelector: { matchLabels: { app: "web" } }, podSelector: { matchLabels: { app: "web" } } },
            { ipBlock: { cidr: "10.0.0.0/8", except: ["10.0.0.0/16"] } },
          ],
          ports: [{ protocol: "UDP" }, { protocol: "TCP", port: 80 }, { protocol: "SCTP", port: 1, endPort: 2 }],
        },
        {},
      ],
      egress: [],
    },
  });
});

const { ingress: _, ...withoutRules } = policyWith();

const UNSAYABLE: [message: string, policy: Policy][] = [
  ["NetworkPolicy `p`: it has no tier `admin`", policyWith({ tier: { kind: "admin", order: 1 } })],
  [
    "NetworkPolicy `p`: it is of one namespace, and cannot select several",
    policyWith({ subject: { namespaces: { selector: EVERYTHING }, pods: app } }),
  ],
  [
    "NetworkPolicy `p`: its subject can have label selectors only",
    policyWith({ subject: { namespaces: { name: "shop" }, pods: app, where: { op: "all", terms: [] } } }),
  ],
  ["NetworkPolicy `p`: it must govern a direction", withoutRules],
  ["NetworkPolicy `p`: it cannot select nodes", policyWith({ nodes: EVERYTHING })],
  ["NetworkPolicy `p`: it cannot be staged, as `Delete` is", policyWith({ staged: "Delete" })],
  ["NetworkPolicy `p`: it would be in force, and the policy is not", policyWith({ inert: "no reason" })],
  ["NetworkPolicy `p`: it isolates what it governs", policyWith({ ingress: { isolates: false, rules: [] } })],
  ["NetworkPolicy `p`, `ingress[0]`: a rule can only allow, not `deny`", policyWith({}, { action: "deny" })],
  ["NetworkPolicy `p`, `ingress[0]`: a rule cannot match no peer at all", policyWith({}, { peers: [] })],
  ["NetworkPolicy `p`, `ingress[0]`: a rule cannot match no port at all", policyWith({}, { ports: [] })],
  ["NetworkPolicy `p`, `ingress[0]`: a rule has no conditions on the subject", policyWith({}, { near: [] })],
  ["NetworkPolicy `p`, `ingress[0]`: a rule cannot except ports", policyWith({}, { notPorts: [] })],
  ["NetworkPolicy `p`, `ingress[0]`: a rule has no source ports", policyWith({}, { sourcePorts: [] })],
  ["NetworkPolicy `p`, `ingress[0]`: a rule has no source ports", policyWith({}, { notSourcePorts: [] })],
  ["NetworkPolicy `p`, `ingress[0]`: a rule has no conditions on requests", policyWith({}, { l7: [] })],
  [
    "NetworkPolicy `p`, `ingress[0]`: a peer is pods or an address block, not `nodes`",
    policyWith({}, { peers: [{ kind: "nodes", selector: EVERYTHING, ref: REF }] }),
  ],
  [
    "NetworkPolicy `p`, `ingress[0]`: a peer can have label selectors only",
    policyWith({}, { peers: [pods({ namespaces: { name: "shop" }, pods: app, where: { op: "all", terms: [] } })] }),
  ],
  [
    "NetworkPolicy `p`, `ingress[0]`: every exception must lie strictly within `10.0.0.0/8`",
    policyWith({}, { peers: [block("10.0.0.0/8", "10.0.0.0/8")] }),
  ],
  [
    "NetworkPolicy `p`, `ingress[0]`: every exception must lie strictly within `10.0.0.0/8`",
    policyWith({}, { peers: [block("10.0.0.0/8", "11.0.0.0/16")] }),
  ],
  ["NetworkPolicy `p`, `ingress[0]`: ports are of TCP, UDP or SCTP", policyWith({}, { ports: [{ protocol: 1 }] })],
  ["NetworkPolicy `p`, `ingress[0]`: ports are of TCP, UDP or SCTP", policyWith({}, { ports: [{ protocol: 136 }] })],
  ["NetworkPolicy `p`, `ingress[0]`: ports are of TCP, UDP or SCTP", policyWith({}, { ports: [{ protocol: 6, icmp: { type: 8 } }] })],
  ["NetworkPolicy `p`, `ingress[0]`: port 0 cannot be named", policyWith({}, { ports: [{ protocol: 6, ports: { first: 0, last: 1 } }] })],
  [
    "NetworkPolicy `p`, `ingress[0]`: `80` is no port name: it needs a letter (a port number is written without quotes)",
    policyWith({}, { ports: [{ protocol: 6, ports: { name: "80" } }] }),
  ],
];

describe("what a NetworkPolicy cannot say", () => {
  test.each(UNSAYABLE)("%s", (message, policy) => {
    expect(() => printNetworkPolicy(policy)).toThrow(new UnsayableError(message));
    expect(() => printNetworkPolicy(policy)).toThrow(RangeError);
  });
});
