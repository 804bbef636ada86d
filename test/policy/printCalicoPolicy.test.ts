import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { readManifest } from "../../src/cluster/manifest.ts";
import { makePrefix, parsePrefix } from "../../src/net/prefix.ts";
import { readCalicoPolicy } from "../../src/policy/calico/calicoPolicy.ts";
import { printCalicoPolicy, printCalicoSet, printCalicoTier } from "../../src/policy/calico/printCalicoPolicy.ts";
import { readCalicoSet } from "../../src/policy/calico/sets.ts";
import { readCalicoTier } from "../../src/policy/calico/tier.ts";
import type { Peer, Policy, Rule } from "../../src/policy/model.ts";
import { calicoPolicy } from "./calicoText.ts";

const written = (object: object) => readManifest(JSON.stringify(object), "p.json")[0];

/** Returns a value without what only says where it was written. */
function withoutPlaces<T>(value: T): T {
  return JSON.parse(
    JSON.stringify(value, (key, each: unknown) => (key === "ref" ? undefined : typeof each === "bigint" ? String(each) : each)),
  );
}

const label = fc.constantFrom(
  "a",
  "app",
  "pcns.env",
  "pcsa.role",
  "projectcalico.org/namespace",
  "projectcalico.org/serviceaccount",
  "projectcalico.org/orchestrator",
);
const value = fc.constantFrom("'x'", "'shop'", "'k8s'", '"it\'s"', "''");
const { selector } = fc.letrec<{ selector: string; term: string }>((tie) => ({
  term: fc.oneof(
    { depthSize: "small" },
    fc.tuple(label, fc.constantFrom("==", "!=", "contains", "starts with", "ends with"), value).map((parts) => parts.join(" ")),
    fc
      .tuple(label, fc.constantFrom("in", "not in"), fc.array(value, { maxLength: 2 }))
      .map(([key, how, values]) => `${key} ${how} {${values}}`),
    label.map((key) => `has(${key})`),
    fc.constant("all()"),
    tie("term").map((inner) => `!${inner}`),
    tie("selector").map((inner) => `(${inner})`),
  ),
  selector: fc.oneof(
    { depthSize: "small" },
    tie("term"),
    fc.tuple(tie("term"), fc.constantFrom("&&", "||"), tie("selector")).map((parts) => parts.join(" ")),
  ),
}));

const maybe = <T>(arbitrary: fc.Arbitrary<T>) => fc.option(arbitrary, { nil: undefined, freq: 2 });
const nets = (family: number) =>
  fc.uniqueArray(family === 4 ? fc.constantFrom("10.0.0.0/8", "10.1.0.0/16", "192.0.2.1/32") : fc.constantFrom("fd00::/8", "fd00::1/128"), {
    maxLength: 2,
  });
const port: fc.Arbitrary<string | number> = fc.oneof(fc.integer({ min: 1, max: 65535 }), fc.constantFrom("80:90", "http", "443"));
const namespaceSelector = fc.oneof(selector, fc.constantFrom("global()", "all()", "env != 'x'", "projectcalico.org/name == 'shop'"));

const portName: fc.Arbitrary<string | number> = fc.constantFrom("http", "dns");

function entity(family: number, isProtocol: boolean) {
  return fc.record(
    {
      nets: nets(family),
      notNets: nets(family),
      selector,
      notSelector: selector,
      namespaceSelector,
      serviceAccounts: fc.record({ names: fc.uniqueArray(fc.constantFrom("sa", "sb")), selector }, { requiredKeys: [] }),
      ports: fc.array(isProtocol ? port : portName, { maxLength: 3 }),
      notPorts: fc.array(isProtocol ? port : portName, { maxLength: 1 }),
    },
    { requiredKeys: [] },
  );
}

const rule = fc.constantFrom(4, 6).chain((family) =>
  fc.boolean().chain((isProtocol) =>
    fc.record(
      {
        action: fc.constantFrom("Allow", "Deny", "Pass", "Log"),
        ipVersion: fc.constant(family),
        protocol: isProtocol ? fc.constantFrom<string | number>("TCP", "UDP", 132) : fc.constant(undefined),
        notProtocol: fc.constantFrom<string | number>("TCP", "UDPLite", 47),
        notICMP: fc.record({ type: fc.integer({ min: 0, max: 254 }) }),
        source: entity(family, isProtocol),
        destination: entity(family, isProtocol),
      },
      { requiredKeys: ["action", "protocol"] },
    ),
  ),
);
const icmpRule = fc
  .constantFrom("ICMP", "ICMPv6")
  .map((protocol) => ({ action: "Allow", protocol, icmp: { type: 3, code: 1 }, notICMP: { type: 3 } }));
const serviceRule = fc
  .constantFrom("shop", "other")
  .map((namespace) => ({ action: "Allow", source: { services: { name: "s", namespace } } }));
const httpRule = fc
  .record({
    methods: fc.uniqueArray(fc.constantFrom("GET", "PUT", "*")),
    paths: fc.array(fc.constantFrom({ exact: "/a" }, { prefix: "/b" }), { maxLength: 2 }),
  })
  .map((http) => ({ action: "Allow", http }));

const spec = fc.record(
  {
    tier: fc.constantFrom("default", "sec"),
    order: fc.constantFrom(0, -1, 10.5),
    selector,
    serviceAccountSelector: fc.constantFrom("role == 'x'", "all()"),
    types: fc.constantFrom(["Ingress"], ["Egress"], ["Ingress", "Egress"]),
    ingress: fc.array(fc.oneof(rule, rule, icmpRule, serviceRule, httpRule), { maxLength: 3 }),
    egress: fc.array(rule, { maxLength: 2 }),
  },
  { requiredKeys: [] },
);
const object = fc
  .tuple(
    fc.constantFrom("NetworkPolicy", "GlobalNetworkPolicy", "StagedNetworkPolicy", "StagedGlobalNetworkPolicy"),
    spec,
    maybe(namespaceSelector),
  )
  .map(([kind, each, inNamespaces]) => {
    const isGlobal = kind.includes("Global");
    return {
      apiVersion: "projectcalico.org/v3",
      kind,
      metadata: { name: "p", ...(isGlobal ? {} : { namespace: "shop" }) },
      spec: { ...each, ...(isGlobal && inNamespaces !== "global()" ? { namespaceSelector: inNamespaces } : {}) },
    };
  });

test("read(print(policy)) is the policy, whatever Calico policy was read", () => {
  fc.assert(
    fc.property(object, (each) => {
      const { policies, problems } = readCalicoPolicy(written(each));
      expect(problems.filter(({ severity }) => severity === "error")).toEqual([]);
      const [policy] = policies as [Policy];
      const printed = printCalicoPolicy(policy);
      const again = readCalicoPolicy(written(printed));
      expect(withoutPlaces(again.policies)).toEqual(withoutPlaces(policies));
      expect([printed.kind, printed.metadata]).toEqual([each.kind, each.metadata]);
    }),
    { numRuns: 500 },
  );
});

test.each<[kind: string, ...lines: string[]]>([
  ["GlobalNetworkPolicy", "doNotTrack: true", "applyOnForward: true"],
  ["GlobalNetworkPolicy", "preDNAT: true", "applyOnForward: true"],
  ["StagedNetworkPolicy", "stagedAction: Learn"],
  ["StagedKubernetesNetworkPolicy", "podSelector: {matchLabels: {a: b}}", "ingress: [{from: [{podSelector: {}}]}]"],
  ["StagedKubernetesNetworkPolicy", "stagedAction: Delete"],
])("%s %s is printed as it is", (kind, ...lines) => {
  const policy = calicoPolicy(kind, ...lines);
  const printed = printCalicoPolicy(policy);
  expect(printed.kind).toBe(kind);
  expect(withoutPlaces(readCalicoPolicy(written(printed)).policies)).toEqual([withoutPlaces(policy)]);
});

const ref = { path: "" };
const prefix = (text: string) => parsePrefix(text)!;
const pods = (namespace: string, app: string): Peer => ({
  kind: "pods",
  match: { namespaces: { name: namespace }, pods: { requirements: [{ key: "app", operator: "In", values: [app] }] } },
  ref,
});

function policyWith(...rules: Omit<Rule, "ref" | "action">[]): Policy {
  return {
    ref: { apiVersion: "projectcalico.org/v3", kind: "NetworkPolicy", namespace: "shop", name: "web" },
    tier: { kind: "calico", name: "default" },
    subject: { namespaces: { name: "shop" }, pods: { requirements: [{ key: "app", operator: "In", values: ["web"] }] } },
    ingress: { isolates: true, rules: rules.map((each) => ({ action: "allow", ref, ...each })) },
  };
}

describe("policies that were made, not read", () => {
  test("a rule of several peers and protocols becomes one of each", () => {
    const policy = policyWith({
      peers: [
        pods("shop", "api"),
        pods("ops", "probe"),
        { kind: "prefix", prefix: prefix("192.0.2.1/32"), except: [], ref },
        { kind: "prefix", prefix: prefix("192.0.2.2/32"), except: [], ref },
        { kind: "prefix", prefix: prefix("10.0.0.0/8"), except: [prefix("10.1.0.0/16")], ref },
      ],
      ports: [
        { protocol: 6, ports: { first: 80, last: 80 } },
        { protocol: 6, ports: { first: 90, last: 99 } },
        { protocol: 17, ports: { first: 53, last: 53 } },
      ],
    });
    const sources = [
      { nets: ["192.0.2.1/32", "192.0.2.2/32"] },
      { selector: "app == 'api'" },
      { namespaceSelector: "kubernetes.io/metadata.name == 'ops'", selector: "app == 'probe'" },
      { nets: ["10.0.0.0/8"], notNets: ["10.1.0.0/16"] },
    ];
    expect(printCalicoPolicy(policy)).toEqual({
      apiVersion: "projectcalico.org/v3",
      kind: "NetworkPolicy",
      metadata: { name: "web", namespace: "shop" },
      spec: {
        selector: "app == 'web'",
        types: ["Ingress"],
        ingress: sources.flatMap((source) => [
          { action: "Allow", protocol: "TCP", source, destination: { ports: [80, "90:99"] } },
          { action: "Allow", protocol: "UDP", source, destination: { ports: [53] } },
        ]),
      },
    });
  });

  test("pods of every namespace, in a namespaced and in a global policy", () => {
    const everywhere: Peer = { kind: "pods", match: { namespaces: { selector: { requirements: [] } }, pods: { requirements: [] } }, ref };
    const policy = policyWith({ peers: [everywhere], ports: "any" });
    expect(printCalicoPolicy(policy).spec.ingress).toEqual([{ action: "Allow", source: { namespaceSelector: "all()" } }]);
    const { namespace: _namespace, ...global } = policy.ref;
    const printed = printCalicoPolicy({ ...policy, ref: global });
    expect([printed.kind, printed.spec]).toEqual([
      "GlobalNetworkPolicy",
      {
        namespaceSelector: "kubernetes.io/metadata.name == 'shop'",
        selector: "app == 'web'",
        types: ["Ingress"],
        ingress: [{ action: "Allow", source: { namespaceSelector: "all()" } }],
      },
    ]);
  });

  test("what matches nothing is left out", () => {
    expect(printCalicoPolicy(policyWith({ peers: [], ports: "any" }, { peers: "any", ports: [] })).spec).toEqual({
      selector: "app == 'web'",
      types: ["Ingress"],
    });
  });
});

describe("what Calico cannot say", () => {
  const plain = policyWith({ peers: "any", ports: "any" });
  const other = (peer: object): Policy => policyWith({ peers: [{ ...peer, ref: { path: "ingress[0]" } } as Peer], ports: "any" });
  test.each<[expected: string, policy: Policy]>([
    ["Calico has no policies of kind cilium", { ...plain, tier: { kind: "cilium" } }],
    ["it cannot select nodes by their labels", { ...plain, nodes: { requirements: [] } }],
    ["it isolates what it governs", { ...plain, ingress: { isolates: false, rules: [] } }],
    ["it must govern a direction", { ref: plain.ref, tier: plain.tier, subject: plain.subject }],
    ["it would be in force, and the policy is not", { ...plain, inert: "for whatever reason" }],
    ["it selects in its own namespace only", { ...plain, subject: { ...plain.subject, namespaces: { name: "ops" } } }],
    ["Calico has no a peer of kind entities", other({ kind: "entities", entities: ["world"] })],
    ["Calico has no services by their labels", other({ kind: "services", match: { selector: { requirements: [] } }, ports: true })],
    ["Calico has no address sets by name", other({ kind: "sets", match: { names: ["a"] }, except: [] })],
    [
      "Calico has no words for what it means",
      other({ kind: "sets", match: { scope: "any", match: { namespaces: { name: "x" }, pods: { requirements: [] } } }, except: [] }),
    ],
    [
      "Calico would refuse it: spec.ingress[0].source.nets: a rule can have addresses of one IP version only: write two rules",
      other({
        kind: "some",
        terms: ["10.0.0.0/8", "fd00::/8"].map((text) => ({ kind: "prefix", prefix: prefix(text), except: [] })),
      }),
    ],
    [
      "Calico would refuse it: metadata.name: the name `web.` is not an RFC 1123 subdomain",
      { ...plain, ref: { ...plain.ref, name: "web." } },
    ],
  ])("%s", (expected, policy) => expect(() => printCalicoPolicy(policy)).toThrow(expected));
});

test("a tier and a set are printed as they are", () => {
  for (const end of ["deny", "pass"] as const) {
    const tier = { ref: { apiVersion: "projectcalico.org/v3", kind: "Tier", name: "sec" }, name: "sec", order: 2.5, end };
    expect(withoutPlaces(readCalicoTier(written(printCalicoTier(tier))).tiers)).toEqual([withoutPlaces(tier)]);
  }
  for (const namespace of [{}, { namespace: "shop" }]) {
    const kind = "namespace" in namespace ? "NetworkSet" : "GlobalNetworkSet";
    const set = {
      ref: { apiVersion: "projectcalico.org/v3", kind, name: "s", ...namespace },
      labels: { a: "b" },
      prefixes: [prefix("10.0.0.0/8"), makePrefix(1n, 128, 6)],
    };
    const [read] = readCalicoSet(written(printCalicoSet(set))).sets ?? [];
    expect(withoutPlaces(read)).toEqual(withoutPlaces(set));
    expect(read.ref).toMatchObject(set.ref);
  }
});
