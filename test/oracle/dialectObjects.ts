import fc from "fast-check";
import {
  BLOCKS,
  NAMES,
  NAMESPACE_LABELS,
  NAMESPACES,
  namespaceSelector,
  POD_LABELS,
  PORTS,
  PROTOCOLS,
  podSelector,
  selectorOf,
  some,
} from "./worlds.ts";

/*
 * Random objects of every dialect but NetworkPolicy, as they are written. Each arbitrary gives a function from a name to the object.
 */

export type Named = (name: string) => { readonly apiVersion: string; readonly kind: string };

const list = <T>(of: fc.Arbitrary<T>, maxLength = 2, minLength = 1) => fc.array(of, { minLength, maxLength });
const unique = <T>(values: readonly T[], maxLength = 2) => fc.uniqueArray(some(values), { minLength: 1, maxLength });
/** Fields that are there every second time, and every fourth. */
const maybe = <T>(of: fc.Arbitrary<T>) => fc.option(of, { nil: undefined, freq: 2 });
const seldom = <T>(of: fc.Arbitrary<T>) => fc.oneof({ weight: 3, arbitrary: fc.constant(undefined) }, of);
/** Leaves out fields without a value, as objects are written. */
const given = (fields: Readonly<Record<string, unknown>>) =>
  Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined));

export const NODE_LABELS = { role: ["control", "worker"] };
export const ACCOUNTS = ["sa-a", "sa-b"];
export const ACCOUNT_LABELS = { grade: ["x", "y"] };
/** As DNS answers write them, in whatever case and with a final dot or without. */
export const NAMES_OF_HOSTS = ["example.com", "A.Example.com.", "x.a.example.com", "api.other.org"];
/** Services by name and namespace; rules refer to one that is not there, too. */
export const SERVICES = [
  { name: "s0", namespace: "a" },
  { name: "s1", namespace: "b" },
] as const;
const servicePlace = some([...SERVICES, ...SERVICES, { name: "s0", namespace: "b" }]);
export const SERVICE_LABELS = { exposed: ["yes"] };
const NAME_PATTERNS = ["example.com", "*.example.com", "a.example.com", "*.other.org", "api.other.org"];
const nodeSelector = selectorOf(NODE_LABELS);
const inRange = fc.tuple(some(PORTS), some(PORTS)).filter(([a, b]) => a !== b);

// Admin policies ------------------------------------------------------------------------------------------------------------------

interface AdminWords {
  readonly allow: string;
  readonly isNew: boolean;
}

function adminPort({ isNew }: AdminWords): fc.Arbitrary<object> {
  const range = inRange.map(([a, b]) => ({ start: Math.min(a, b), end: Math.max(a, b) }));
  if (!isNew)
    return fc.oneof(
      fc.record({ portNumber: fc.record({ protocol: some(PROTOCOLS), port: some(PORTS) }) }),
      fc.record({ portRange: fc.tuple(some(PROTOCOLS), range).map(([protocol, ends]) => ({ protocol, ...ends })) }),
      fc.record({ namedPort: some(NAMES) }),
    );
  const port = fc.oneof(fc.record({ number: some(PORTS) }), fc.record({ range }));
  return fc.oneof(
    fc.tuple(some(["tcp", "udp", "sctp"]), port).map(([protocol, destinationPort]) => ({ [protocol]: { destinationPort } })),
    fc.record({ destinationNamedPort: some(NAMES) }),
  );
}

const podsPeer = fc.oneof(fc.record({ namespaces: namespaceSelector }), fc.record({ pods: fc.record({ namespaceSelector, podSelector }) }));
const otherPeer = fc.oneof(
  fc.record({ networks: unique(BLOCKS) }),
  fc.record({ nodes: nodeSelector }),
  fc.record({ domainNames: unique(NAME_PATTERNS) }),
);

function adminRules(words: AdminWords, field: "from" | "to", actions: readonly string[]): fc.Arbitrary<object[]> {
  const [portsField, named] = words.isNew ? ["protocols", "destinationNamedPort"] : ["ports", "namedPort"];
  const peers = list(field === "to" ? fc.oneof(podsPeer, otherPeer) : podsPeer);
  const rule = fc.tuple(some(actions), peers, maybe(list(adminPort(words)))).map(([action, to, ports]) => {
    const [isNamed, isOther] = [to.some((peer) => "domainNames" in peer), to.some((peer) => !("namespaces" in peer || "pods" in peer))];
    // What the CRDs refuse: names are for Accept alone, named ports for pods alone.
    const kept = isOther ? ports?.filter((port) => !(named in port)) : ports;
    return given({ action: isNamed ? words.allow : action, [field]: to, [portsField]: kept?.length ? kept : undefined });
  });
  return list(rule, 3);
}

/** Policies meet where their subjects do: everything, often. */
const often = <T, U>(everything: T, of: fc.Arbitrary<U>): fc.Arbitrary<T | U> => fc.oneof(fc.constant(everything), of);
const HOMES = ["a", "a", "b", "b", "c"];
const subject = often(
  { namespaces: {} },
  fc.oneof(fc.record({ namespaces: namespaceSelector }), fc.record({ pods: fc.record({ namespaceSelector, podSelector }) })),
);

function adminSpec(words: AdminWords, actions: readonly string[]) {
  const rules = { ingress: maybe(adminRules(words, "from", actions)), egress: maybe(adminRules(words, "to", actions)) };
  return fc.record({ subject, ...rules }).map(given);
}

const OLD: AdminWords = { allow: "Allow", isNew: false };
const NEW: AdminWords = { allow: "Accept", isNew: true };

/** Priorities are drawn small and made different by whoever puts the objects together: equal ones are undefined. */
export const adminPolicy = adminSpec(OLD, ["Allow", "Deny", "Pass"]).map((spec) => (name: string, priority: number) => ({
  apiVersion: "policy.networking.k8s.io/v1alpha1",
  kind: "AdminNetworkPolicy",
  metadata: { name },
  spec: { priority, ...spec },
}));
export const baselinePolicy = adminSpec(OLD, ["Allow", "Deny"]).map((spec) => ({
  apiVersion: "policy.networking.k8s.io/v1alpha1",
  kind: "BaselineAdminNetworkPolicy",
  metadata: { name: "default" },
  spec: withoutNames(spec),
}));
export const clusterPolicy = fc
  .tuple(some(["Admin", "Baseline"]), adminSpec(NEW, ["Accept", "Deny", "Pass"]))
  .map(([tier, spec]) => (name: string, priority: number) => ({
    apiVersion: "policy.networking.k8s.io/v1alpha2",
    kind: "ClusterNetworkPolicy",
    metadata: { name },
    spec: { tier, priority, ...spec },
  }));

/** A BaselineAdminNetworkPolicy knows no domain names. */
function withoutNames(spec: Readonly<Record<string, unknown>>): object {
  const egress = (spec.egress as { to: object[] }[] | undefined)?.filter(({ to }) => !to.some((peer) => "domainNames" in peer));
  return given({ ...spec, egress: egress?.length ? egress : undefined });
}

// Cilium --------------------------------------------------------------------------------------------------------------------------

const ENTITIES = [
  ...["all", "world", "world-ipv4", "world-ipv6", "cluster", "host", "remote-node", "kube-apiserver", "ingress", "health"],
  ...["unmanaged", "none"],
];
const extraLabels = fc.oneof(
  { weight: 3, arbitrary: fc.constant({}) },
  some(NAMESPACES).map((name) => ({ "k8s:io.kubernetes.pod.namespace": name })),
  some(NAMESPACE_LABELS.team).map((team) => ({ "io.cilium.k8s.namespace.labels.team": team })),
  some(ACCOUNTS).map((account) => ({ "io.cilium.k8s.policy.serviceaccount": account })),
);
const endpointSelector = fc.tuple(podSelector, extraLabels).map(([{ matchLabels, matchExpressions }, extra]) =>
  given({
    matchLabels: matchLabels || Object.keys(extra).length > 0 ? { ...matchLabels, ...extra } : undefined,
    matchExpressions,
  }),
);
const reservedSelector = fc.record({
  key: some(["reserved:host", "reserved:world", "reserved:kube-apiserver"]),
  operator: some(["Exists", "DoesNotExist"]),
});
const cidrSet = fc.oneof(
  some(BLOCKS).map((cidr) => ({ cidr })),
  some(["10.0.0.0/8", "0.0.0.0/0"]).map((cidr) => ({ cidr, except: ["10.244.0.0/16"] })),
  some(["set0", "set1"]).map((cidrGroupRef) => ({ cidrGroupRef })),
  selectorOf({ zone: ["1"] }).map((cidrGroupSelector) => ({ cidrGroupSelector })),
);
const service = fc.oneof(
  servicePlace.map(({ name, namespace }) => ({ k8sService: { serviceName: name, namespace } })),
  fc.record({ k8sServiceSelector: fc.record({ selector: selectorOf(SERVICE_LABELS) }) }),
);
const fqdn = fc.oneof(
  fc.record({ matchName: some(["example.com", "a.example.com"]) }),
  fc.record({ matchPattern: some(["*.example.com", "**.example.com", "*", "a*.example.com"]) }),
);

function ciliumPeers(direction: "ingress" | "egress", isDeny: boolean): fc.Arbitrary<object> {
  const prefix = direction === "ingress" ? "from" : "to";
  const field = (name: string, of: fc.Arbitrary<unknown>) => list(of).map((items) => ({ [name]: items }));
  return fc.oneof(
    fc.constant({}),
    field(`${prefix}Endpoints`, endpointSelector),
    field(`${prefix}Endpoints`, endpointSelector),
    field(
      `${prefix}Endpoints`,
      reservedSelector.map((each) => ({ matchExpressions: [each] })),
    ),
    field(`${prefix}Entities`, some(ENTITIES)),
    field(`${prefix}CIDR`, some([...BLOCKS, "203.0.113.7"])),
    field(`${prefix}CIDRSet`, cidrSet),
    ...(direction === "egress" ? [field("toServices", service)] : []),
    ...(direction === "egress" && !isDeny ? [field("toFQDNs", fqdn)] : []),
  );
}

const plainPort = fc.oneof(
  fc.record({ port: some(PORTS).map(String), protocol: some([...PROTOCOLS, "ANY"]) }),
  fc.record({ port: some(NAMES), protocol: some(["TCP", "UDP", "ANY"]) }),
  fc.record({ port: fc.constant("0"), protocol: some([...PROTOCOLS, "ANY"]) }),
  inRange.map(([a, b]) => ({ port: String(Math.min(a, b)), endPort: Math.max(a, b), protocol: "TCP" })),
);
export const HTTP_PATHS = ["/a", "/b", "/a/c"];
const http = fc
  .record({
    method: maybe(some(["GET", "POST", "GET|PUT"])),
    path: maybe(some(["/a", "/a.*", "/b"])),
    headers: maybe(fc.constant(["X-Token: 1"])),
  })
  .map(given);
const requestPorts = fc.record({
  ports: list(fc.record({ port: some([80, 8080]).map(String), protocol: fc.constant("TCP") })),
  rules: fc.record({ http: list(http) }),
});

function ciliumPorts(isDeny: boolean): fc.Arbitrary<object> {
  const plain = fc.record({ ports: list(plainPort) });
  const icmp = fc.oneof(
    fc.record({ family: fc.constant("IPv4"), type: some([0, 3, 8]) }),
    fc.record({ family: fc.constant("IPv6"), type: some([1, 128]) }),
  );
  return fc.oneof(
    fc.constant({}),
    fc.record({ toPorts: list(isDeny ? plain : fc.oneof(plain, requestPorts)) }),
    fc.record({ toPorts: list(plain) }),
    fc.record({ icmps: list(fc.record({ fields: list(icmp) })) }),
  );
}

function ciliumRules(direction: "ingress" | "egress", isDeny: boolean): fc.Arbitrary<object[] | undefined> {
  const general = fc.tuple(ciliumPeers(direction, isDeny), ciliumPorts(isDeny)).map(([peers, ports]) => ({ ...peers, ...ports }));
  const ofRequests = fc.record({ toPorts: list(requestPorts) });
  const rule = isDeny ? general : fc.oneof({ weight: 5, arbitrary: general }, ofRequests);
  return fc.option(list(rule), { nil: undefined, freq: 2 });
}

const ciliumSpec = fc
  .record({
    endpointSelector: often({}, endpointSelector),
    ingress: ciliumRules("ingress", false),
    ingressDeny: ciliumRules("ingress", true),
    egress: ciliumRules("egress", false),
    egressDeny: ciliumRules("egress", true),
    enableDefaultDeny: maybe(fc.record({ ingress: maybe(fc.boolean()), egress: maybe(fc.boolean()) }).map(given)),
  })
  .filter(({ ingress, ingressDeny, egress, egressDeny }) => [ingress, ingressDeny, egress, egressDeny].some((rules) => rules !== undefined))
  .map(given);

export const ciliumPolicy: fc.Arbitrary<Named> = fc.tuple(maybe(some(HOMES)), ciliumSpec).map(([namespace, spec]) => (name) => ({
  apiVersion: "cilium.io/v2",
  kind: namespace === undefined ? "CiliumClusterwideNetworkPolicy" : "CiliumNetworkPolicy",
  metadata: given({ name, namespace }),
  spec,
}));

export const cidrGroup: fc.Arbitrary<Named> = fc
  .tuple(unique(BLOCKS), maybe(fc.constant({ zone: "1" })))
  .map(([externalCIDRs, labels]) => (name) => ({
    apiVersion: "cilium.io/v2",
    kind: "CiliumCIDRGroup",
    metadata: given({ name, labels }),
    spec: { externalCIDRs },
  }));

// Calico --------------------------------------------------------------------------------------------------------------------------

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
