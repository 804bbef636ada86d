import fc from "fast-check";
import { formatAddress, parseAddress } from "../../src/net/address.ts";
import { makePrefix, parsePrefix } from "../../src/net/prefix.ts";
import type {
  Flow,
  LabelSelector,
  NetworkPolicy,
  OracleNode,
  OraclePod,
  PolicyPeer,
  PolicyPort,
  PolicyRule,
  Resources,
} from "./obviousEvaluator.ts";

/*
 * Random clusters, valid NetworkPolicies of every form, and flows that aim at their edges: the first and last port of ranges and
 * one beside them, the first and last address of blocks and one beside them.
 */

/** A whole case, in the format of the vectors under oracle/networkpolicy: fit to be saved as a fixture. */
export interface World {
  readonly resources: Resources;
  readonly policies: readonly NetworkPolicy[];
}
export interface Asked extends World {
  readonly flows: readonly Flow[];
}

export const NAMESPACES = ["a", "b", "c", "d"];
export const POD_LABELS = { app: ["web", "api"], tier: ["1", "2"], env: [""] };
export const NAMESPACE_LABELS = { team: ["red", "blue"], zone: ["1"] };
export const PORTS = [1, 2, 80, 81, 443, 8080, 65534, 65535];
export const NAMES = ["http", "dns", "metrics"];
export const PROTOCOLS = ["TCP", "UDP", "SCTP"];
// 10.244.0.4/30 and fd00:0:0:1::4/126 cut through the pods; ::/1 and ::/8 span the IPv4-mapped range.
export const BLOCKS = [
  ...["0.0.0.0/0", "10.0.0.0/8", "10.244.0.0/16", "10.244.0.4/30", "10.244.0.5/32", "192.168.0.0/24", "203.0.113.0/24"],
  ...["203.0.113.128/25", "128.0.0.0/1", "255.255.255.255/32", "::/0", "::/1", "::/8", "fd00::/8", "fd00:0:0:1::4/126"],
  ...["fd00:0:0:1::5/128", "2001:db8::/32", "8000::/1", "fd00:0:0:2::/64"],
];
export const OUTSIDE = ["203.0.113.7", "8.8.8.8", "2001:db8::7"];

export function some<T>(values: readonly T[]): fc.Arbitrary<T> {
  return fc.constantFrom(...values);
}

/** Labels of which each key is there or not. */
export function labelsOf(pool: Readonly<Record<string, readonly string[]>>): fc.Arbitrary<Record<string, string>> {
  const keys = Object.keys(pool);
  return fc.record(Object.fromEntries(keys.map((key) => [key, some(pool[key])])), { requiredKeys: [] }) as fc.Arbitrary<
    Record<string, string>
  >;
}

export function selectorOf(pool: Readonly<Record<string, readonly string[]>>): fc.Arbitrary<LabelSelector> {
  const keys = [...Object.keys(pool), "absent"];
  const expression = some(keys).chain((key) =>
    fc.oneof(
      fc.record({
        key: fc.constant(key),
        operator: some(["In", "NotIn"]),
        values: fc.array(some([...(pool[key] ?? []), "other"]), { minLength: 1, maxLength: 2 }),
      }),
      fc.record({ key: fc.constant(key), operator: some(["Exists", "DoesNotExist"]) }),
    ),
  );
  return fc.oneof(
    fc.constant({}),
    fc.record({ matchLabels: labelsOf(pool) }),
    fc.record({ matchExpressions: fc.array(expression, { minLength: 1, maxLength: 2 }) }),
    fc.record({ matchLabels: labelsOf(pool), matchExpressions: fc.array(expression, { maxLength: 1 }) }),
  );
}

export const podSelector = selectorOf(POD_LABELS);
export const namespaceSelector = selectorOf({ ...NAMESPACE_LABELS, "kubernetes.io/metadata.name": NAMESPACES });

const ipBlock = some(BLOCKS).chain((cidr) => {
  const outer = parsePrefix(cidr)!;
  const inside = BLOCKS.filter((text) => {
    const inner = parsePrefix(text)!;
    return inner.family === outer.family && inner.length > outer.length && inner.first >= outer.first && inner.last <= outer.last;
  });
  const except = inside.length === 0 ? fc.constant([]) : fc.array(some(inside), { maxLength: 2 });
  return fc.oneof(fc.constant({ cidr }), fc.record({ cidr: fc.constant(cidr), except }));
});

const peer: fc.Arbitrary<PolicyPeer> = fc.oneof(
  fc.record({ podSelector }),
  fc.record({ namespaceSelector }),
  fc.record({ namespaceSelector, podSelector }),
  fc.record({ ipBlock }),
);

const port: fc.Arbitrary<PolicyPort> = fc.oneof(
  fc.constant({}),
  fc.record({ protocol: some(PROTOCOLS) }),
  fc.record({ port: some(PORTS), protocol: some(PROTOCOLS) }, { requiredKeys: ["port"] }),
  fc.record({ port: some(NAMES), protocol: some(PROTOCOLS) }, { requiredKeys: ["port"] }),
  fc
    .tuple(some(PORTS), some(PORTS), some(PROTOCOLS))
    .map(([a, b, protocol]) => ({ port: Math.min(a, b), endPort: Math.max(a, b), protocol })),
);

function ruleOf(field: "from" | "to"): fc.Arbitrary<PolicyRule> {
  return fc.record({ [field]: fc.array(peer, { maxLength: 3 }), ports: fc.array(port, { maxLength: 3 }) }, { requiredKeys: [] });
}

/** Any rule that a direction may have. */
export const rules = { ingress: ruleOf("from"), egress: ruleOf("to") };

const spec = fc.record(
  {
    podSelector,
    policyTypes: some([["Ingress"], ["Egress"], ["Ingress", "Egress"], ["Egress", "Ingress"], []]),
    ingress: fc.array(rules.ingress, { maxLength: 3 }),
    egress: fc.array(rules.egress, { maxLength: 3 }),
  },
  { requiredKeys: ["podSelector"] },
);

/** Any NetworkPolicy, but for its name. */
export const networkPolicy = fc.record({ namespace: some(NAMESPACES.slice(0, 3)), spec });

export function namedNetworkPolicy({ namespace, spec: own }: { namespace: string; spec: unknown }, name: string): NetworkPolicy {
  return { apiVersion: "networking.k8s.io/v1", kind: "NetworkPolicy", metadata: { namespace, name }, spec: own as NetworkPolicy["spec"] };
}

const policies = fc.array(networkPolicy, { maxLength: 5 }).map((list) => list.map((each, index) => namedNetworkPolicy(each, `p${index}`)));

export const nodes: readonly OracleNode[] = [1, 2].map((i) => ({ name: `n${i}`, ips: [`192.168.0.${i}`, `fd00:0:0:2::${i}`] }));

export const pod = fc.record({
  namespace: some(NAMESPACES),
  labels: labelsOf(POD_LABELS),
  ports: fc.array(
    fc.record(
      { name: some(NAMES), containerPort: some(PORTS), protocol: some(PROTOCOLS) },
      { requiredKeys: ["containerPort", "protocol"] },
    ),
    { maxLength: 3 },
  ),
  family: some([4, 6, "both"] as const),
  node: some(nodes),
  hostNetwork: fc.nat(7).map((n) => n === 0),
});

export type RandomPod = typeof pod extends fc.Arbitrary<infer T> ? T : never;

export function podOf({ namespace, labels, ports, family, node, hostNetwork }: RandomPod, index: number): OraclePod {
  const own = { 4: [`10.244.0.${index + 3}`], 6: [`fd00:0:0:1::${index + 3}`] };
  const ips = hostNetwork ? (node ?? nodes[0]).ips : family === "both" ? [...own[4], ...own[6]] : own[family];
  return {
    namespace,
    name: `x${index}`,
    labels,
    ports,
    ip: ips[0],
    ips,
    ...(node ? { node: node.name } : {}),
    ...(hostNetwork ? { hostNetwork } : {}),
  };
}

/** Namespaces that pods are in: of each the labels, or no Namespace object at all. */
function namespacesOf(allKnown: boolean): fc.Arbitrary<Resources["namespaces"]> {
  const labels = fc.option(labelsOf(NAMESPACE_LABELS), { nil: undefined, freq: allKnown ? Number.MAX_SAFE_INTEGER : 3 });
  return fc
    .tuple(...NAMESPACES.map(() => labels))
    .map((all) =>
      all.flatMap((each, i) =>
        each === undefined ? (allKnown ? [{ name: NAMESPACES[i], labels: {} }] : []) : [{ name: NAMESPACES[i], labels: each }],
      ),
    );
}

/** Clusters with policies. `allKnown`: every namespace has its Namespace object. */
export function worlds(options: { allKnown: boolean }): fc.Arbitrary<World> {
  return fc
    .record({ namespaces: namespacesOf(options.allKnown), pods: fc.array(pod, { minLength: 2, maxLength: 7 }), policies })
    .map((world) => ({ resources: { namespaces: world.namespaces, pods: world.pods.map(podOf), nodes }, policies: world.policies }));
}

/** Clusters with policies and `count` flows at their edges. */
export function askedWorlds(options: { allKnown: boolean; flows: number }): fc.Arbitrary<Asked> {
  const picks = fc.array(fc.tuple(fc.nat(), fc.nat(), fc.nat(), fc.nat()), { minLength: 1, maxLength: options.flows, size: "max" });
  return fc.tuple(worlds(options), picks).map(([world, numbers]) => ({ ...world, flows: flowsAt(world, numbers) }));
}

/** Turns numbers into flows between ends that matter in a world. */
export function flowsAt(world: World, numbers: readonly (readonly [number, number, number, number])[]): Flow[] {
  const inside = world.resources.pods.flatMap(({ ip, ips = [ip] }) => ips);
  const other = [...nodes.flatMap(({ ips }) => ips), ...OUTSIDE, ...edgeAddresses(world.policies)];
  const ports = edgePorts(world);
  // Pods are asked about as often as all else together.
  const endAt = (n: number) => (n % 2 === 0 ? inside[(n >>> 1) % inside.length] : other[(n >>> 1) % other.length]);
  return numbers.map(([source, destination, protocol, port]) => ({
    source: inside.length > 0 ? endAt(source) : other[source % other.length],
    destination: endAt(destination),
    protocol: ["TCP", "TCP", "UDP", "UDP", "SCTP", "ICMP", "ICMPv6", "47"][protocol % 8],
    port: ports[port % ports.length],
  }));
}

function rulesOf({ spec: { ingress = [], egress = [] } }: NetworkPolicy): readonly PolicyRule[] {
  return [...ingress, ...egress];
}

function edgeAddresses(list: readonly NetworkPolicy[]): string[] {
  const blocks = list
    .flatMap(rulesOf)
    .flatMap(({ from = [], to = [] }) => [...from, ...to])
    .flatMap((each) => (each.ipBlock ? [each.ipBlock.cidr, ...(each.ipBlock.except ?? [])] : []));
  const family = { 4: makePrefix(parseAddress("0.0.0.0")!, 0, 4), 6: makePrefix(0n, 0, 6) };
  const edges = blocks
    .map((text) => parsePrefix(text)!)
    .flatMap((prefix) =>
      [prefix.first - 1n, prefix.first, prefix.last, prefix.last + 1n].filter((address) => {
        const { first, last } = family[prefix.family];
        return address >= first && address <= last;
      }),
    );
  return [...new Set(edges.map(formatAddress))];
}

function edgePorts({ resources, policies: list }: World): number[] {
  const written = list.flatMap(rulesOf).flatMap((rule) => rule.ports ?? []);
  const numbers = [
    ...written.flatMap(({ port: first, endPort }) => [
      ...(typeof first === "number" ? [first] : []),
      ...(endPort === undefined ? [] : [endPort]),
    ]),
    ...resources.pods.flatMap(({ ports }) => ports.map(({ containerPort }) => containerPort)),
  ];
  return [...new Set([80, ...numbers.flatMap((n) => [n - 1, n, n + 1]).filter((n) => n >= 0 && n <= 65535)])];
}

/** Every way in which the labels of a namespace without an object could be. */
export function completions(resources: Resources, missing: readonly string[]): Resources[] {
  const choices = Object.entries(NAMESPACE_LABELS).reduce<Record<string, string>[]>(
    (partial, [key, values]) =>
      partial.flatMap((labels) => [labels, ...[...values, "other"].map((value) => ({ ...labels, [key]: value }))]),
    [{}],
  );
  return missing.reduce<Resources[]>(
    (all, name) => all.flatMap((each) => choices.map((labels) => ({ ...each, namespaces: [...each.namespaces, { name, labels }] }))),
    [resources],
  );
}

/** Returns any pod that might have been at an address, in place of one that is not known. */
export const strangers: fc.Arbitrary<(address: string) => OraclePod> = fc
  .tuple(pod, some([...NAMESPACES, "unheard-of"]))
  .map(([random, namespace]) => (address) => ({
    namespace,
    name: "stranger",
    labels: random.labels,
    ports: random.ports,
    ip: address,
    ips: [address],
  }));
