import { existsSync, readdirSync, readFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { readManifest } from "../../src/cluster/manifest.ts";
import type { LabelSelector, Requirement } from "../../src/cluster/selector.ts";
import { parseAddress } from "../../src/net/address.ts";
import { makePrefix, type Prefix } from "../../src/net/prefix.ts";
import { readCiliumNetworkPolicy } from "../../src/policy/cilium/ciliumNetworkPolicy.ts";
import { namePattern } from "../../src/policy/cilium/names.ts";
import { printCiliumPolicy } from "../../src/policy/cilium/printCiliumPolicy.ts";
import { RESERVED } from "../../src/policy/cilium/selector.ts";
import type {
  Direction,
  Expression,
  L7Match,
  NamespaceMatch,
  PeerTerm,
  PodMatch,
  Policy,
  PortMatch,
  Rule,
  RuleList,
} from "../../src/policy/model.ts";
import { onlyPolicy, readSpec } from "./ciliumText.ts";

const REF = { path: "" };
const head = (namespace: string | undefined): Policy["ref"] => ({
  apiVersion: "cilium.io/v2",
  kind: namespace === undefined ? "CiliumClusterwideNetworkPolicy" : "CiliumNetworkPolicy",
  ...(namespace === undefined ? {} : { namespace }),
  name: "p",
});

/** Prints policies, reads them again and leaves out where they are written. */
function printedAndRead(policies: readonly Policy[]): readonly Policy[] {
  const { policies: read, problems } = readCiliumNetworkPolicy(readManifest(JSON.stringify(printCiliumPolicy(policies)), "p.json")[0]);
  expect(problems.filter(({ severity }) => severity === "error")).toEqual([]);
  return (read ?? []).map(withoutPlaces);
}

function withoutPlaces(policy: Policy): Policy {
  const list = (rules: RuleList): RuleList => ({
    ...rules,
    rules: rules.rules.map((rule) => ({
      ...rule,
      ref: REF,
      peers: rule.peers === "any" ? "any" : rule.peers.map((peer) => ({ ...peer, ref: REF })),
    })),
  });
  const { file: _file, line: _line, ...ref } = policy.ref;
  return {
    ...policy,
    ref,
    ...(policy.ingress ? { ingress: list(policy.ingress) } : {}),
    ...(policy.egress ? { egress: list(policy.egress) } : {}),
  };
}

const key = fc.constantFrom("app", "tier", "a.io/b", "1", "x_y");
const value = fc.constantFrom("", "web", "db", "1");
const requirementOf = (keys: fc.Arbitrary<string>): fc.Arbitrary<Requirement> =>
  fc.oneof(
    fc.record({
      key: keys,
      operator: fc.constantFrom("In" as const, "NotIn" as const),
      values: fc.array(value, { minLength: 1, maxLength: 2 }),
    }),
    fc.record({ key: keys, operator: fc.constantFrom("Exists" as const, "DoesNotExist" as const), values: fc.constant<string[]>([]) }),
  );
const selector: fc.Arbitrary<LabelSelector> = fc.record({ requirements: fc.array(requirementOf(key), { maxLength: 3 }) });

const NAME = "kubernetes.io/metadata.name";
const nameTest: fc.Arbitrary<Requirement> = fc.constantFrom<Requirement>(
  { key: NAME, operator: "NotIn", values: ["shop"] },
  { key: NAME, operator: "In", values: ["shop", "pay"] },
  { key: NAME, operator: "DoesNotExist", values: [] },
);
const namespaces: fc.Arbitrary<NamespaceMatch> = fc.oneof(
  fc.record({ name: fc.constantFrom("shop", "pay") }),
  fc.record({
    selector: fc.record({
      requirements: fc.array(fc.oneof(requirementOf(fc.constantFrom("env", "x.io/env")), nameTest), { maxLength: 3 }),
    }),
  }),
);
const account: fc.Arbitrary<Expression> = requirementOf(fc.constant("")).map((requirement) => ({
  op: "test",
  of: "serviceAccountName",
  requirement,
}));
const where: fc.Arbitrary<Expression | undefined> = fc.oneof(
  { weight: 3, arbitrary: fc.constant(undefined) },
  account,
  fc.array(account, { minLength: 2, maxLength: 3 }).map((terms) => ({ op: "all" as const, terms })),
);
const podMatch: fc.Arbitrary<PodMatch> = fc
  .record({ namespaces, pods: selector, where })
  .map(({ where: condition, ...match }) => (condition ? { ...match, where: condition } : match));

const prefix: fc.Arbitrary<Prefix> = fc.oneof(
  fc.integer({ min: 0, max: 32 }).map((length) => clean(makePrefix(parseAddress("203.0.113.77")!, length))),
  fc.integer({ min: 0, max: 128 }).map((length) => clean(makePrefix(parseAddress("2001:db8::ffff:1")!, length))),
);
const clean = ({ first, length, family }: Prefix): Prefix => makePrefix(first, length, family);
const blocks = (outer: Prefix): fc.Arbitrary<Prefix[]> =>
  fc.array(fc.constantFrom(outer, clean(makePrefix(outer.last, outer.family === 4 ? 32 : 128, outer.family))), { maxLength: 2 });

const role = fc.constantFrom(...RESERVED.filter((name) => name !== "none"));
const roleTerm: fc.Arbitrary<PeerTerm> = fc.tuple(role, fc.boolean()).map(([entity, isNot]): PeerTerm => {
  const term: PeerTerm = { kind: "entities", entities: [entity] };
  return isNot ? { kind: "not", term } : term;
});
const notPods: fc.Arbitrary<PeerTerm> = fc
  .record({ key, operator: fc.constantFrom("In" as const, "Exists" as const) })
  .map(({ key: label, operator }): PeerTerm => {
    const pods = { requirements: [{ key: label, operator, values: operator === "In" ? ["x"] : [] }] };
    return { kind: "not", term: { kind: "pods", match: { namespaces: { selector: { requirements: [] } }, pods } } };
  });
const positive: fc.Arbitrary<PeerTerm> = fc.uniqueArray(fc.constantFrom("app", "tier"), { minLength: 1 }).map((keys) => ({
  kind: "pods",
  match: {
    namespaces: { selector: { requirements: [] } },
    pods: { requirements: keys.map((each) => ({ key: each, operator: "Exists", values: [] })) },
  },
}));
/** A selector with reserved labels: roles in the order of labels before expressions, pods, then what must not be. */
const reservedTerm: fc.Arbitrary<PeerTerm> = fc
  .tuple(
    fc.uniqueArray(roleTerm, { minLength: 1, maxLength: 3, selector: (term) => JSON.stringify(term) }),
    fc.option(positive, { nil: undefined }),
    fc.uniqueArray(notPods, { maxLength: 2, selector: (term) => JSON.stringify(term) }),
  )
  .map(([roles, pods, nots]) => {
    const terms = [...roles, ...(pods ? [pods] : []), ...nots];
    return terms.length === 1 ? terms[0] : { kind: "all", terms };
  });
const endpoint: fc.Arbitrary<PeerTerm> = fc.oneof(
  { weight: 3, arbitrary: podMatch.map((match): PeerTerm => ({ kind: "pods", match })) },
  reservedTerm,
  fc.constantFrom<PeerTerm>({ kind: "entities", entities: ["all"] }, { kind: "entities", entities: ["none"] }),
);
const anyRole = fc
  .constantFrom(...RESERVED, "all" as const, "cluster" as const)
  .map((entity): PeerTerm => ({ kind: "entities", entities: [entity] }));
const block: fc.Arbitrary<PeerTerm> = prefix.chain((outer) =>
  blocks(outer).map((except): PeerTerm => ({ kind: "prefix", prefix: outer, except })),
);
const set: fc.Arbitrary<PeerTerm> = fc.oneof(
  fc.constantFrom("g", "h").map((name): PeerTerm => ({ kind: "sets", match: { names: [name] }, except: [] })),
  selector.map(
    (pods): PeerTerm => ({
      kind: "sets",
      match: { scope: "global", match: { namespaces: { selector: { requirements: [] } }, pods } },
      except: [],
    }),
  ),
);
const namedBy = fc.constantFrom("", "a.com", "*.A.com", "**.a.com.", "*").map(namePattern);
const pattern = namedBy.map((each) => (each.text === "" ? { text: "", regex: "" } : each));
const name: fc.Arbitrary<PeerTerm> = pattern.map((each) => ({ kind: "names", patterns: [each] }));
const service: fc.Arbitrary<PeerTerm> = fc
  .tuple(fc.oneof(fc.record({ name: fc.constant("s") }), fc.record({ selector })), fc.option(fc.constant("ns"), { nil: undefined }))
  .map(([match, namespace]): PeerTerm => ({ kind: "services", ports: false, match: { ...match, ...(namespace ? { namespace } : {}) } }));

const peersOf = (action: Rule["action"], direction: Direction): fc.Arbitrary<readonly PeerTerm[]> => {
  const some = (item: fc.Arbitrary<PeerTerm>) => fc.array(item, { minLength: 1, maxLength: 3 });
  const common = [fc.constant([]), some(endpoint), some(anyRole), some(block), some(fc.oneof(block, set))];
  return fc.oneof(...common, ...(direction === "egress" ? [some(service), ...(action === "allow" ? [some(name)] : [])] : []));
};

const range = fc
  .tuple(fc.integer({ min: 0, max: 65535 }), fc.integer({ min: 1, max: 65535 }))
  .filter(([first, last]) => first < last && !(first === 0 && last === 65535))
  .map(([first, last]) => ({ first, last }));
const onePort = fc.integer({ min: 1, max: 65535 }).map((port) => ({ first: port, last: port }));
const ports = fc.oneof(onePort, range, fc.constantFrom({ name: "http" }, { name: "a-1" }));
const transport: fc.Arbitrary<readonly PortMatch[]> = fc.oneof(
  fc
    .tuple(fc.constantFrom(6, 17, 132), fc.option(ports, { nil: undefined }))
    .map(([protocol, each]) => [{ protocol, ...(each ? { ports: each } : {}) }]),
  fc.option(ports, { nil: undefined }).map((each) => [6, 17, 132].map((protocol) => ({ protocol, ...(each ? { ports: each } : {}) }))),
  fc.constantFrom(112, 2, 47, 4, 41, 50, 51).map((protocol) => [{ protocol }]),
);
const icmp: fc.Arbitrary<PortMatch> = fc
  .tuple(fc.constantFrom(1, 58), fc.integer({ min: 0, max: 255 }))
  .map(([protocol, type]) => (type === 0 ? { protocol } : { protocol, icmp: { type } }));

const header = fc.oneof(
  fc.record({ name: fc.constantFrom("X-A", "b", "C:") }),
  fc.record({ name: fc.constantFrom("X-A", "b"), value: fc.constantFrom("", "v", "v w:") }),
);
const regex = fc.constantFrom("/api/.*", "GET|POST", "[a-z]+");
const http: fc.Arbitrary<L7Match> = fc
  .record({ method: regex, path: regex, host: regex, headers: fc.array(header, { minLength: 1, maxLength: 3 }) }, { requiredKeys: [] })
  .map(({ method, path, host, headers }) => ({
    kind: "http",
    ...(method ? { method: { regex: method } } : {}),
    ...(path ? { path: { regex: path } } : {}),
    ...(host ? { host: { regex: host } } : {}),
    ...(headers ? { headers } : {}),
  }));
const secret: L7Match = { kind: "opaque", text: '{"rules":{"http":[{"headerMatches":[{"name":"a","secret":{"name":"s"}}]}]}}' };
const tcpPort: fc.Arbitrary<readonly PortMatch[]> = fc.array(
  fc
    .oneof(
      onePort,
      range.filter(({ first }) => first > 0),
    )
    .map((each) => ({ protocol: 6, ports: each })),
  { minLength: 1, maxLength: 2 },
);
const dns: fc.Arbitrary<L7Match> = namedBy.filter(({ text }) => text !== "").map((names) => ({ kind: "dns", names }));
const whole = fc.constantFrom(
  '{"serverNames":["a"]}',
  '{"rules":{"kafka":[{"topic":"t"}]}}',
  '{"serverNames":["a"],"terminatingTLS":{"secret":{"name":"s"}},"rules":{"http":[{}]}}',
);

type Traffic = Pick<Rule, "ports" | "l7">;
const trafficOf = (action: "allow" | "deny", direction: Direction): fc.Arbitrary<Traffic> => {
  const plain: fc.Arbitrary<Traffic>[] = [
    fc.constant<Traffic>({ ports: [] }),
    fc.array(transport, { minLength: 1, maxLength: 3 }).map((each) => ({ ports: each.flat() })),
    fc.array(icmp, { minLength: 1, maxLength: 3 }).map((each) => ({ ports: each })),
  ];
  const asking: fc.Arbitrary<Traffic>[] = [
    fc.record({
      ports: tcpPort,
      l7: fc.array(fc.oneof({ weight: 4, arbitrary: http }, fc.constant(secret)), { minLength: 1, maxLength: 3 }),
    }),
    fc.record({ ports: tcpPort, l7: whole.map((text): L7Match[] => [{ kind: "opaque", text }]) }),
    ...(direction === "egress"
      ? [fc.record({ ports: onePort.map((each) => [{ protocol: 17, ports: each }]), l7: fc.array(dns, { maxLength: 3 }) })]
      : []),
  ];
  return fc.oneof(...plain, ...(action === "allow" ? asking : []));
};

const ruleOf = (action: "allow" | "deny", direction: Direction): fc.Arbitrary<Rule> => {
  const peers = peersOf(action, direction).map((terms) => terms.map((term) => ({ ...term, ref: REF })));
  const traffic = trafficOf(action, direction);
  const whoever = traffic.map((each): Rule => ({ action, peers: "any", ...each, ref: REF }));
  const all = peers.map((each): Rule => ({ action, peers: each, ports: "any", ref: REF }));
  return fc.oneof(
    whoever,
    all,
    fc.tuple(peers, traffic).map(([each, what]): Rule => ({ action, peers: each, ...what, ref: REF })),
  );
};
const listOf = (direction: Direction): fc.Arbitrary<RuleList> =>
  fc
    .tuple(fc.boolean(), fc.array(ruleOf("deny", direction), { maxLength: 2 }), fc.array(ruleOf("allow", direction), { maxLength: 3 }))
    .map(([isolates, deny, allow]) => ({ isolates, rules: [...deny, ...allow] }));

const NO_POD = { op: "some", terms: [] } as const;
const INERT = "its `endpointSelector` selects no pods";
const EVERY = { selector: { requirements: [] } };
const subjectOf = (namespace: string | undefined): fc.Arbitrary<Pick<Policy, "subject" | "inert" | "nodes">> => {
  const labels = fc.array(requirementOf(fc.constant("env")), { minLength: 1, maxLength: 2 });
  const own = fc.oneof(
    fc.constant<NamespaceMatch>({ name: namespace ?? "" }),
    labels.map(
      (each): NamespaceMatch => ({ selector: { requirements: [{ key: NAME, operator: "In", values: [namespace ?? ""] }, ...each] } }),
    ),
  );
  const scope = namespace === undefined ? namespaces : own;
  const none: PodMatch = { namespaces: namespace === undefined ? EVERY : { name: namespace }, pods: { requirements: [] }, where: NO_POD };
  return fc.oneof(
    { weight: 5, arbitrary: fc.tuple(podMatch, scope).map(([match, each]) => ({ subject: { ...match, namespaces: each } })) },
    fc.constant({ subject: none, inert: INERT }),
    ...(namespace === undefined ? [selector.map((nodes) => ({ subject: none, nodes }))] : []),
  );
};
const policyOf = (namespace: string | undefined): fc.Arbitrary<Policy> =>
  fc
    .tuple(subjectOf(namespace), fc.record({ ingress: listOf("ingress"), egress: listOf("egress") }, { requiredKeys: [] }))
    .filter(
      ([{ nodes }, lists]) =>
        (lists.ingress ?? lists.egress) !== undefined &&
        !(nodes && JSON.stringify(lists, (_, each) => (typeof each === "bigint" ? "" : each)).includes('"l7"')),
    )
    .map(([subject, lists]) => ({ ref: head(namespace), tier: { kind: "cilium" }, ...subject, ...lists }));

describe("parse(print(p)) is p", () => {
  test.each([undefined, "shop"])("in the namespace %s", (namespace) => {
    fc.assert(
      fc.property(fc.array(policyOf(namespace), { minLength: 1, maxLength: 2 }), (policies) => {
        expect(printedAndRead(policies)).toEqual(policies);
      }),
      { numRuns: 500 },
    );
  });

  const oracle = new URL("../../../shared/oracle/cilium/", import.meta.url);
  test.skipIf(!existsSync(oracle))("for every policy of the vectors", () => {
    let count = 0;
    for (const name of readdirSync(oracle).filter((each) => each.endsWith(".json"))) {
      const { policies } = JSON.parse(readFileSync(new URL(name, oracle), "utf8")) as { policies: unknown[] };
      for (const policy of policies) {
        const read = readCiliumNetworkPolicy(readManifest(JSON.stringify(policy), "p.json")[0]).policies ?? [];
        expect(printedAndRead(read)).toEqual(read.map(withoutPlaces));
        count += read.length;
      }
    }
    expect(count).toBeGreaterThan(150);
  });
});

const RULE: Rule = { action: "allow", peers: "any", ports: "any", ref: REF };
const policyWith = (rule: Partial<Rule>, direction: Direction = "ingress"): Policy => ({
  ref: head("shop"),
  tier: { kind: "cilium" },
  subject: { namespaces: { name: "shop" }, pods: { requirements: [] } },
  [direction]: { isolates: true, rules: [{ ...RULE, ...rule }] },
});
const specOf = (policy: Policy) => printCiliumPolicy([policy]).spec;

describe("how policies are written", () => {
  test("isolation without rules is an empty rule", () => {
    const policy = { ...policyWith({}), ingress: { isolates: true, rules: [] }, egress: { isolates: false, rules: [] } };
    expect(printCiliumPolicy([policy])).toEqual({
      apiVersion: "cilium.io/v2",
      kind: "CiliumNetworkPolicy",
      metadata: { name: "p", namespace: "shop" },
      spec: { endpointSelector: {}, enableDefaultDeny: { egress: false }, ingress: [{}], egress: [{}] },
    });
  });

  test("all traffic has a name, as an empty entry is none", () => {
    expect(specOf(policyWith({}))).toEqual({ endpointSelector: {}, ingress: [{ fromEntities: ["all"] }] });
  });

  test("peers and ports that cannot stand together become entries of their own", () => {
    const written = readSpec("endpointSelector: {}", "egress: [{toCIDR: [1.0.0.0/8]}, {toEndpoints: [{}]}]");
    const peers = onlyPolicy(written).egress?.rules.flatMap((rule) => (rule.peers === "any" ? [] : rule.peers)) ?? [];
    const both: PortMatch[] = [
      { protocol: 1, icmp: { type: 8 } },
      ...[6, 17, 132].map((protocol) => ({ protocol, ports: { first: 80, last: 81 } })),
    ];
    const toPorts = [{ ports: [{ port: "80", endPort: 81, protocol: "ANY" }] }];
    const icmps = [{ fields: [{ family: "IPv4", type: 8 }] }];
    expect(specOf(policyWith({ peers, ports: both }, "egress"))).toEqual({
      endpointSelector: {},
      egress: [
        { toCIDR: ["1.0.0.0/8"], toPorts },
        { toCIDR: ["1.0.0.0/8"], icmps },
        { toEndpoints: [{}], toPorts },
        { toEndpoints: [{}], icmps },
      ],
    });
  });

  test("more ports than an entry holds become several entries of toPorts", () => {
    const many = Array.from({ length: 41 }, (_, index) => ({ protocol: 6, ports: { first: index + 1, last: index + 1 } }));
    const { ingress } = specOf(policyWith({ ports: many })) as { ingress: { toPorts: { ports: unknown[] }[] }[] };
    expect(ingress.map(({ toPorts }) => toPorts.map(({ ports: each }) => each.length))).toEqual([[40, 1]]);
  });

  test("literal texts are quoted in expressions", () => {
    const l7: L7Match[] = [{ kind: "http", path: { exact: "/a.b" }, method: { prefix: "G+" } }];
    expect(specOf(policyWith({ ports: [{ protocol: 6, ports: { first: 80, last: 80 } }], l7 }))).toEqual({
      endpointSelector: {},
      ingress: [{ toPorts: [{ ports: [{ port: "80", protocol: "TCP" }], rules: { http: [{ method: "G\\+.*", path: "/a\\.b" }] } }] }],
    });
  });

  test.each<[what: string, policy: Policy]>([
    ["a policy that governs no direction", { ...policyWith({}), ingress: undefined } as unknown as Policy],
    ["the actions pass and log", policyWith({ action: "pass" })],
    ["ports of the initiator, excluded ports and conditions on the near end", policyWith({ sourcePorts: [] })],
    ["ICMP codes", policyWith({ ports: [{ protocol: 1, icmp: { type: 3, code: 4 } }] })],
    ["ICMP type 0 alone: it means every type", policyWith({ ports: [{ protocol: 1, icmp: { type: 0 } }] })],
    ["the IP protocol 99", policyWith({ ports: [{ protocol: 99 }] })],
    ["peers of the kind names for ingress", policyWith({ peers: [{ kind: "names", patterns: [], ref: REF }] })],
    ["peers of the kind family for egress", policyWith({ peers: [{ kind: "family", family: 4, ref: REF }] }, "egress")],
    ["what requests may ask without naming ports", policyWith({ peers: [], l7: [{ kind: "http" }] })],
    ["that requests or DNS names are denied", policyWith({ action: "deny", ports: [], l7: [{ kind: "http" }] })],
    ["that requests or DNS names are denied", policyWith({ action: "deny", peers: [{ kind: "names", patterns: [], ref: REF }] }, "egress")],
    ["rules on DNS for ingress", policyWith({ ports: [], l7: [{ kind: "dns", names: namePattern("a") }] })],
    [
      "that a namespaced policy selects in another namespace",
      { ...policyWith({}), subject: { namespaces: { name: "x" }, pods: { requirements: [] } } },
    ],
    [
      "that a namespaced policy selects in other namespaces",
      { ...policyWith({}), subject: { namespaces: EVERY, pods: { requirements: [] } } },
    ],
  ])("cannot say %s", (what, policy) => expect(() => printCiliumPolicy([policy])).toThrow(`Cilium policies cannot say ${what}`));
});
