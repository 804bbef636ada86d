import fc from "fast-check";
import { ACCOUNTS, given, HOMES, inRange, list, maybe, type Named, often, SERVICE_LABELS, servicePlace, unique } from "./dialectPools.ts";
import { BLOCKS, NAMES, NAMESPACE_LABELS, NAMESPACES, PORTS, PROTOCOLS, podSelector, selectorOf, some } from "./worlds.ts";

/* Random CiliumNetworkPolicies, clusterwide ones, and CIDR groups. */

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
