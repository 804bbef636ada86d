import fc from "fast-check";
import {
  ACCOUNT_LABELS,
  ACCOUNTS,
  given,
  HOMES,
  HTTP_PATHS,
  inRange,
  list,
  maybe,
  type Named,
  often,
  seldom,
  servicePlace,
  unique,
} from "./dialectPools.ts";
import { BLOCKS, NAMES, NAMESPACE_LABELS, NAMESPACES, POD_LABELS, PORTS, PROTOCOLS, some } from "./worlds.ts";

/* Random policies, tiers and sets of Calico. */

function testsOf(pool: Readonly<Record<string, readonly string[]>>): string[] {
  return Object.entries(pool).flatMap(([key, values]) => [
    `${key} == '${values[0]}'`,
    `${key} != '${values[0]}'`,
    `has(${key})`,
    `!has(${key})`,
    `${key} in {${values.map((value) => `'${value}'`).join(", ")}}`,
    `${key} not in {'${values[0]}', 'other'}`,
  ]);
}

function joined(tests: readonly string[]): fc.Arbitrary<string> {
  const test = some(tests);
  return fc.oneof(
    { weight: 3, arbitrary: test },
    fc.tuple(test, some(["&&", "||"]), test).map((parts) => parts.join(" ")),
    fc.tuple(test, some(["&&", "||"]), test).map((parts) => `!(${parts.join(" ")})`),
    fc.tuple(test, test, test).map(([a, b, c]) => `(${a} || ${b}) && ${c}`),
  );
}

const ofPods = joined([
  ...testsOf(POD_LABELS),
  ...["app starts with 'w'", "app ends with 'i'", "tier contains '1'", "all()", "projectcalico.org/namespace == 'a'", "pcns.team == 'red'"],
  ...["pcns.team != 'red'", "projectcalico.org/serviceaccount == 'sa-a'", "pcsa.grade == 'x'", "projectcalico.org/orchestrator == 'k8s'"],
]);
const ofNamespaces = joined([...testsOf(NAMESPACE_LABELS), "projectcalico.org/name == 'b'", "kubernetes.io/metadata.name in {'a', 'c'}"]);
const ofAccounts = joined([...testsOf(ACCOUNT_LABELS), "projectcalico.org/name == 'sa-a'"]);
const BLOCKS_OF = { 4: BLOCKS.filter((block) => !block.includes(":")), 6: BLOCKS.filter((block) => block.includes(":")) };

function calicoEntity(family: 4 | 6): fc.Arbitrary<object> {
  return fc
    .record({
      selector: maybe(ofPods),
      notSelector: seldom(ofPods),
      namespaceSelector: seldom(fc.oneof({ weight: 4, arbitrary: ofNamespaces }, some(["all()", "global()"]))),
      serviceAccounts: seldom(fc.record({ names: maybe(unique([...ACCOUNTS, "default"])), selector: maybe(ofAccounts) }).map(given)),
      nets: seldom(unique(BLOCKS_OF[family])),
      notNets: seldom(unique(BLOCKS_OF[family].filter((block) => !block.endsWith("/0")))),
    })
    .map(given);
}

const calicoPort = fc.oneof(
  some(PORTS),
  inRange.map(([a, b]) => `${Math.min(a, b)}:${Math.max(a, b)}`),
);
const namedOrNumber = fc.oneof({ weight: 2, arbitrary: calicoPort }, some(NAMES));

/** What a rule says of protocols, and of the ports of its source and destination. */
const calicoProtocol = fc.oneof(
  fc.constant({ rule: {}, source: {}, destination: {} }),
  fc
    .record({
      protocol: some(PROTOCOLS),
      ports: maybe(list(namedOrNumber)),
      notPorts: seldom(list(namedOrNumber)),
      from: seldom(list(calicoPort)),
      notFrom: seldom(list(calicoPort)),
    })
    .map(({ protocol, ports, notPorts, from, notFrom }) => ({
      rule: { protocol },
      source: given({ ports: from, notPorts: notFrom }),
      destination: given({ ports, notPorts }),
    })),
  list(some(NAMES)).map((ports) => ({ rule: {}, source: {}, destination: { ports } })),
  fc
    .record({ protocol: some(["ICMP", "ICMPv6"]), type: maybe(some([0, 8, 128])), code: maybe(some([0, 1])), isNot: fc.boolean() })
    .map(({ protocol, type, code, isNot }) => ({
      rule: given({ protocol, [isNot ? "notICMP" : "icmp"]: type === undefined ? undefined : given({ type, code }) }),
      source: {},
      destination: {},
    })),
  some([47, "UDPLite", 6]).map((protocol) => ({ rule: { protocol }, source: {}, destination: {} })),
  some(["TCP", "ICMP", 47]).map((notProtocol) => ({ rule: { notProtocol }, source: {}, destination: {} })),
);

function calicoRule(direction: "ingress" | "egress"): fc.Arbitrary<object> {
  const ends = some([4, 6] as const).chain((family) =>
    fc.tuple(calicoEntity(family), calicoEntity(family), fc.constant(family), fc.boolean()),
  );
  const plain = fc
    .tuple(some(["Allow", "Allow", "Deny", "Deny", "Pass", "Log"]), calicoProtocol, ends, fc.nat(7))
    .map(([action, protocol, [source, destination, family, hasVersion], near]) => {
      // Most rules say something of the far end alone.
      const [from, to] = near === 0 ? [source, destination] : direction === "ingress" ? [source, {}] : [{}, destination];
      const isIcmp = /^ICMP/.test(String((protocol.rule as { protocol?: unknown }).protocol)) || "notProtocol" in protocol.rule;
      return given({
        action,
        ...protocol.rule,
        ipVersion: hasVersion && !isIcmp ? family : undefined,
        source: { ...from, ...protocol.source },
        destination: { ...to, ...protocol.destination },
      });
    });
  const ofService = fc.tuple(some(["Allow", "Deny"]), servicePlace).map(([action, services]) => ({
    action,
    [direction === "ingress" ? "source" : "destination"]: { services },
  }));
  const ofRequest = fc.tuple(list(some(["GET", "POST"]), 1), some(HTTP_PATHS)).map(([methods, exact]) => ({
    action: "Allow",
    http: { methods, paths: [{ exact }] },
  }));
  return fc.oneof({ weight: 7, arbitrary: plain }, ofService, ...(direction === "ingress" ? [ofRequest] : []));
}

export const TIER_NAMES = ["t0", "t1"];
const calicoSpec = {
  tier: maybe(some(["default", ...TIER_NAMES])),
  order: maybe(some([0, 10, 10.5, 1000, 2000])),
  selector: often(undefined, ofPods),
  serviceAccountSelector: fc.oneof({ weight: 5, arbitrary: fc.constant(undefined) }, ofAccounts),
  types: maybe(some([["Ingress"], ["Egress"], ["Ingress", "Egress"]])),
  ingress: maybe(list(calicoRule("ingress"), 3)),
  egress: maybe(list(calicoRule("egress"), 3)),
};

export const calicoPolicy: fc.Arbitrary<Named> = fc
  .tuple(maybe(some(HOMES)), fc.record(calicoSpec), often(undefined, ofNamespaces), fc.nat(9))
  .map(([namespace, spec, namespaces, staged]) => (name) => ({
    apiVersion: "projectcalico.org/v3",
    kind: `${staged === 0 ? "Staged" : ""}${namespace === undefined ? "Global" : ""}NetworkPolicy`,
    metadata: given({ name, namespace }),
    spec: given({ ...spec, namespaceSelector: namespace === undefined ? namespaces : undefined }),
  }));

export const calicoSet: fc.Arbitrary<Named> = fc
  .tuple(maybe(some(NAMESPACES)), unique(BLOCKS), some([{}, { app: "web" }, { tier: "1" }, { zone: "1" }]))
  .map(([namespace, nets, labels]) => (name) => ({
    apiVersion: "projectcalico.org/v3",
    kind: namespace === undefined ? "GlobalNetworkSet" : "NetworkSet",
    metadata: given({ name, namespace, labels }),
    spec: { nets },
  }));

export const calicoTiers = fc
  .tuple(
    ...TIER_NAMES.map(() =>
      fc.record({ order: maybe(some([5, 500, 2_000_000])), defaultAction: maybe(some(["Deny", "Pass"])) }).map(given),
    ),
  )
  .map((specs) =>
    specs.map((spec, index) => ({ apiVersion: "projectcalico.org/v3", kind: "Tier", metadata: { name: TIER_NAMES[index] }, spec })),
  );
