import { describe, expect, test } from "vitest";
import { CILIUM_WORLD } from "./ciliumWorld.ts";
import { answersOf, ccnp, cnp, probesWithoutRow, problemsOf, type Row } from "./table.ts";

/* Cilium's own kinds: shared/semantics.md and oracle/cilium. */

const ALL = "endpointSelector: {}";
const WEB = "endpointSelector: {matchLabels: {app: web}}";
const FROM_API = "ingress: [{fromEndpoints: [{matchLabels: {app: api}}]}]";
const FROM_ALL = "ingress: [{fromEntities: [all]}]";
const DENY_API = "ingressDeny: [{fromEndpoints: [{matchLabels: {app: api}}]}]";
const p = (...spec: string[]) => [cnp("shop/p", ...spec)];

const defaultDeny: Row[] = [
  [
    "a selected pod denies what no rule allows, in the direction of the rules only",
    p(WEB, FROM_API),
    {
      "shop/api > shop/web TCP/80": "allow no-policy | allow rule p ingress[0]",
      "shop/db > shop/web TCP/80": "allow no-policy | deny isolated p",
      "shop/web > shop/db TCP/80": "allow no-policy | allow no-policy",
    },
  ],
  [
    "policies are a union [union-of-two-policies]",
    [cnp("shop/a", WEB, FROM_API), cnp("shop/b", WEB, 'ingress: [{toPorts: [{ports: [{port: "8080", protocol: TCP}]}]}]')],
    {
      "shop/api > shop/web TCP/443": "allow | allow rule a ingress[0]",
      "shop/db > shop/web TCP/8080": "allow | allow rule b ingress[0]",
      "shop/db > shop/web TCP/443": "allow | deny isolated a b",
    },
  ],
  [
    "enableDefaultDeny false: the rules deny, the rest stays open [deny-with-default-deny-off]",
    p(ALL, "enableDefaultDeny: {ingress: false}", DENY_API),
    {
      "shop/api > shop/web TCP/80": "allow | deny rule-deny p ingressDeny[0]",
      "shop/db > shop/web TCP/80": "allow | allow no-policy",
      "8.8.8.8 > shop/web TCP/80": "allow | allow no-policy",
    },
  ],
  [
    "enableDefaultDeny false: allowing rules take nothing away [enable-default-deny-egress-off]",
    p(ALL, "enableDefaultDeny: {egress: false}", 'egress: [{toPorts: [{ports: [{port: "53", protocol: UDP}]}]}]'),
    { "shop/web > kube-system/coredns UDP/53": "allow rule p egress[0] | allow", "shop/web > 8.8.8.8 TCP/443": "allow | allow" },
  ],
  [
    "one policy with default deny is enough, whatever others say [default-deny-any-true-wins]",
    [
      cnp("shop/a", ALL, "enableDefaultDeny: {ingress: false}", "ingress: [{fromEndpoints: [{matchLabels: {app: web}}]}]"),
      cnp("shop/b", ALL, "ingress: [{fromEntities: [none]}]"),
    ],
    { "shop/web > shop/api TCP/80": "allow | allow rule a", "shop/db > shop/api TCP/80": "allow | deny isolated b" },
  ],
  [
    "enableDefaultDeny true without rules of that direction does nothing [enable-default-deny-true-without-rules]",
    p(ALL, "enableDefaultDeny: {ingress: true}", "egress: [{toEntities: [all]}]"),
    { "shop/db > shop/web TCP/80": "allow rule p | allow no-policy", "8.8.8.8 > shop/web TCP/80": "allow | allow no-policy" },
  ],
  [
    "a policy that only denies turns default deny on [deny-only-implies-default-deny]",
    p(ALL, DENY_API),
    {
      "shop/api > shop/web TCP/80": "allow | deny rule-deny p",
      "shop/db > shop/web TCP/80": "allow | deny isolated p",
      "host > shop/web TCP/80": "allow | allow own-node",
    },
  ],
  [
    "each of `specs` is a policy of its own [specs-two]",
    [
      cnp("shop/p").replace(
        "spec: {}\n",
        "specs:\n- {endpointSelector: {matchLabels: {app: web}}, ingress: [{fromEntities: [world]}]}\n" +
          "- {endpointSelector: {matchLabels: {app: api}}, egress: [{toEntities: [cluster]}]}\n",
      ),
    ],
    {
      "8.8.8.8 > shop/web TCP/80": "allow | allow rule p specs[0].ingress[0]",
      "shop/db > shop/web TCP/80": "allow | deny isolated p",
      "shop/api > shop/db TCP/80": "allow rule p specs[1].egress[0] | allow no-policy",
      "shop/api > 8.8.8.8 TCP/80": "deny isolated p | allow",
      "8.8.8.8 > shop/api TCP/80": "allow | allow no-policy",
    },
  ],
];

const denyWins: Row[] = [
  [
    "a deny beats an allow [deny-beats-allow]",
    p(ALL, FROM_ALL, DENY_API),
    { "shop/api > shop/web TCP/80": "allow | deny rule-deny p ingressDeny[0]", "shop/db > shop/web TCP/80": "allow | allow rule p" },
  ],
  [
    "a wide deny beats a narrow allow [deny-wide-beats-allow-specific]",
    p(
      ALL,
      'ingress: [{fromEndpoints: [{matchLabels: {app: web}}], toPorts: [{ports: [{port: "8080", protocol: TCP}]}]}]',
      "ingressDeny: [{fromEndpoints: [{matchLabels: {tier: front}}]}]",
    ),
    { "shop/web > shop/api TCP/8080": "allow | deny rule-deny p" },
  ],
  [
    "a denied port beats the range that allows it [deny-port-beats-allow-range]",
    p(
      ALL,
      'ingress: [{toPorts: [{ports: [{port: "8000", endPort: 9000, protocol: TCP}]}]}]',
      'ingressDeny: [{toPorts: [{ports: [{port: "8080", protocol: TCP}]}]}]',
    ),
    {
      "shop/api > shop/web TCP/8080": "allow | deny rule-deny p",
      "shop/api > shop/web TCP/8081": "allow | allow rule p",
      "shop/api > shop/web TCP/9001": "allow | deny isolated p",
    },
  ],
  [
    "a denied entity beats an allowed CIDR inside of it [deny-world-beats-cidr-allow]",
    p(ALL, "egress: [{toCIDR: [203.0.113.0/24]}]", "egressDeny: [{toEntities: [world]}]"),
    { "shop/web > 203.0.113.10 TCP/443": "deny rule-deny p | allow" },
  ],
  [
    "a clusterwide deny beats a namespaced allow [ccnp-deny-over-cnp-allow]",
    [
      cnp("shop/a", ALL, "egress: [{toEntities: [all]}]"),
      ccnp(
        "c",
        "endpointSelector: {matchExpressions: [{key: io.kubernetes.pod.namespace, operator: In, values: [shop]}]}",
        "egressDeny: [{toCIDR: [198.51.100.0/24]}]",
      ),
    ],
    {
      "shop/web > 198.51.100.5 TCP/443": "deny rule-deny c | allow",
      "shop/web > 8.8.8.8 TCP/443": "allow rule a | allow",
      "payments/web > 198.51.100.5 TCP/443": "allow no-policy | allow",
    },
  ],
];

const emptyIsNotAbsent: Row[] = [
  [
    "`ingress: [{}]` is default deny and matches nothing [ingress-empty-rule]",
    p(ALL, "ingress: [{}]"),
    {
      "shop/api > shop/web TCP/80": "allow | deny isolated p",
      "8.8.8.8 > shop/web TCP/80": "allow | deny isolated p",
      "shop/api > shop/web ICMP/8": "allow | deny isolated p",
    },
  ],
  [
    "`egress: [{}]` likewise [egress-empty-rule]",
    p(ALL, "egress: [{}]"),
    { "shop/web > shop/api TCP/80": "deny isolated p | allow no-policy", "shop/web > 8.8.8.8 TCP/80": "deny isolated p | allow" },
  ],
  [
    "`ingressDeny: [{}]` denies nothing [deny-empty-rule]",
    p(ALL, FROM_ALL, "ingressDeny: [{}]"),
    { "shop/api > shop/web TCP/80": "allow | allow rule p ingress[0]" },
  ],
  [
    "`fromEndpoints: []` matches nothing [from-endpoints-empty-list]",
    p(ALL, "ingress: [{fromEndpoints: []}]"),
    { "shop/api > shop/web TCP/80": "allow | deny isolated p", "payments/web > shop/web TCP/80": "allow | deny isolated p" },
  ],
  [
    "`fromEndpoints: [{}]` is every pod of the policy's namespace, never host or world [from-endpoints-empty-selector]",
    p(ALL, "ingress: [{fromEndpoints: [{}]}]"),
    {
      "shop/api > shop/web TCP/80": "allow | allow rule p",
      "payments/web > shop/web TCP/80": "allow | deny isolated p",
      "remote-node > shop/web TCP/80": "allow | deny isolated p",
      "8.8.8.8 > shop/web TCP/80": "allow | deny isolated p",
      "host > shop/web TCP/80": "allow | allow own-node",
    },
  ],
  [
    "`toEndpoints: [{}]` does not reach the own host either",
    p(ALL, "egress: [{toEndpoints: [{}]}]"),
    { "shop/web > shop/db TCP/80": "allow rule p | allow", "shop/web > host TCP/80": "deny isolated p | allow" },
  ],
  [
    "`fromEndpoints: [{}]` of a clusterwide policy is every pod of every namespace, still never host or world [ccnp-empty-peer-selector]",
    [ccnp("c", ALL, "ingress: [{fromEndpoints: [{}]}]")],
    {
      "payments/web > shop/web TCP/80": "allow | allow rule c",
      "remote-node > shop/web TCP/80": "allow | deny isolated c",
      "health > shop/web TCP/80": "allow | deny isolated c",
      "8.8.8.8 > shop/web TCP/80": "allow | deny isolated c",
    },
  ],
  [
    "a rule with ports alone takes any peer [ports-only-any-peer]",
    p(ALL, 'ingress: [{toPorts: [{ports: [{port: "8080", protocol: TCP}]}]}]'),
    {
      "payments/web > shop/web TCP/8080": "allow | allow rule p",
      "8.8.8.8 > shop/web TCP/8080": "allow | allow rule p",
      "unmanaged > shop/web TCP/8080": "allow | allow rule p",
      "8.8.8.8 > shop/web TCP/80": "allow | deny isolated p",
    },
  ],
];

const selectors: Row[] = [
  [
    "a namespaced policy's peers are of its own namespace",
    p(WEB, FROM_API),
    { "shop/api > shop/web TCP/80": "allow | allow rule p", "payments/api > shop/web TCP/80": "allow | deny isolated p" },
  ],
  [
    "unless they name the namespace key [ns-label-any-ns]",
    p(ALL, "ingress: [{fromEndpoints: [{matchExpressions: [{key: 'k8s:io.kubernetes.pod.namespace', operator: Exists}]}]}]"),
    { "payments/api > shop/web TCP/80": "allow | allow rule p", "8.8.8.8 > shop/web TCP/80": "allow | deny isolated p" },
  ],
  [
    "or a label of the namespace [ns-labels-selector]",
    p(ALL, "ingress: [{fromEndpoints: [{matchLabels: {'k8s:io.cilium.k8s.namespace.labels.env': prod}}]}]"),
    {
      "payments/api > shop/web TCP/80": "allow | allow rule p",
      "shop/api > shop/web TCP/80": "allow | allow rule p",
      "kube-system/coredns > shop/web TCP/80": "allow | deny isolated p",
    },
  ],
  [
    "a namespace in the endpointSelector gives way to the policy's own [subject-names-other-ns]",
    p("endpointSelector: {matchLabels: {app: web, 'k8s:io.kubernetes.pod.namespace': payments}}", "ingress: [{fromEntities: [none]}]"),
    { "shop/api > shop/web TCP/80": "allow | deny isolated p", "shop/api > payments/web TCP/80": "allow | allow no-policy" },
  ],
  [
    "labels with the prefixes k8s: and any: are the pod's",
    p(WEB, "ingress: [{fromEndpoints: [{matchLabels: {'k8s:app': api}}, {matchLabels: {'any:app': db}}]}]"),
    {
      "shop/api > shop/web TCP/80": "allow | allow rule p ingress[0].fromEndpoints[0]",
      "shop/db > shop/web TCP/80": "allow | allow rule p ingress[0].fromEndpoints[1]",
    },
  ],
  [
    "a peer with a reserved: label is that entity [reserved-label-peer]",
    p(ALL, "ingress: [{fromEndpoints: [{matchLabels: {'reserved:remote-node': ''}}]}]"),
    {
      "remote-node > shop/web TCP/80": "allow | allow rule p",
      "kube-apiserver > shop/web TCP/80": "allow | allow rule p",
      "shop/api > shop/web TCP/80": "allow | deny isolated p",
      "8.8.8.8 > shop/web TCP/80": "allow | deny isolated p",
    },
  ],
  [
    "NotIn holds for a missing label, and not for host or world [not-in-missing-label-matches]",
    p(ALL, "ingress: [{fromEndpoints: [{matchExpressions: [{key: tier, operator: NotIn, values: [back]}]}]}]"),
    {
      "shop/db > shop/web TCP/80": "allow | allow rule p",
      "shop/web > shop/db TCP/80": "allow | allow rule p",
      "shop/api > shop/web TCP/80": "allow | deny isolated p",
      "8.8.8.8 > shop/web TCP/80": "allow | deny isolated p",
    },
  ],
];

const toCidr = (...cidrs: string[]) => p(ALL, `egress: [{toCIDR: [${cidrs.map((cidr) => `"${cidr}"`).join(", ")}]}]`);
const cidrs: Row[] = [
  [
    "0.0.0.0/0 is the outside IPv4 world: no pods, no nodes [cidr-all-not-pods]",
    toCidr("0.0.0.0/0"),
    {
      "shop/web > 8.8.8.8 TCP/80": "allow rule p | allow",
      "shop/web > shop/api TCP/80": "deny isolated p (ipblock-covers-pod) | allow",
      "shop/web > host TCP/80": "deny isolated p (ipblock-covers-node) | allow",
      "shop/web > remote-node TCP/80": "deny isolated p (ipblock-covers-node) | allow",
      "shop/web > kube-apiserver TCP/80": "deny isolated p (ipblock-covers-node) | allow",
      "shop/web > health TCP/80": "deny isolated p | allow",
      "shop/web > 2001:db8::10 TCP/80": "deny isolated p | allow",
    },
  ],
  [
    "a CIDR over the pods' range matches none of them [cidr-pod-range-not-pods]",
    toCidr("10.244.0.0/16"),
    { "shop/web > shop/api TCP/80": "deny isolated p (ipblock-covers-pod) | allow" },
  ],
  [
    "a CIDR over the nodes' range matches none of them [cidr-node-range-not-nodes]",
    toCidr("10.0.0.0/8"),
    {
      "shop/web > host TCP/80": "deny isolated p (ipblock-covers-node) | allow",
      "shop/web > kube-apiserver TCP/80": "deny isolated p (ipblock-covers-node) | allow",
      "shop/web > unmanaged TCP/80": "deny isolated p | allow",
    },
  ],
  [
    "::/0 is the outside IPv6 world [cidr-v6-all]",
    toCidr("::/0"),
    { "shop/web > 2001:db8::10 TCP/80": "allow rule p | allow", "shop/web > 8.8.8.8 TCP/80": "deny isolated p | allow" },
  ],
  [
    "a CIDRSet leaves its excepts out [cidr-except]",
    p(ALL, "egress: [{toCIDRSet: [{cidr: 203.0.113.0/24, except: [203.0.113.64/26]}]}]"),
    {
      "shop/web > 203.0.113.63 TCP/80": "allow rule p | allow",
      "shop/web > 203.0.113.77 TCP/80": "deny isolated p | allow",
      "shop/web > 203.0.113.128 TCP/80": "allow rule p | allow",
    },
  ],
  [
    "an except belongs to its own entry: another may allow it [cidr-except-two-sets-union]",
    p(ALL, "egress: [{toCIDRSet: [{cidr: 203.0.113.0/24, except: [203.0.113.64/26]}, {cidr: 203.0.113.77/32}]}]"),
    {
      "shop/web > 203.0.113.77 TCP/80": "allow rule p egress[0].toCIDRSet[1] | allow",
      "shop/web > 203.0.113.78 TCP/80": "deny isolated p | allow",
    },
  ],
];

/** Who is there besides pods, in the order of the letters that say whom an entity holds. */
const PARTIES = [
  "shop/api",
  "host",
  "remote-node",
  "kube-apiserver",
  "world,kube-apiserver",
  "health",
  "ingress",
  "unmanaged",
  "init",
  "8.8.8.8",
  "2001:db8::10",
];
const heldByEntities: readonly (readonly [entity: string, held: readonly string[]])[] = [
  ["all [entity-all]", PARTIES],
  ["world [entity-world-egress]", ["world,kube-apiserver", "8.8.8.8", "2001:db8::10"]],
  ["world-ipv4 [entity-world-ipv4-egress]", ["world,kube-apiserver", "8.8.8.8"]],
  ["world-ipv6", ["2001:db8::10"]],
  [
    "cluster [entity-cluster-both]",
    ["shop/api", "host", "remote-node", "kube-apiserver", "world,kube-apiserver", "health", "ingress", "unmanaged", "init"],
  ],
  ["host [entity-host-egress]", ["host"]],
  ["remote-node [entity-remote-node-egress]", ["remote-node", "kube-apiserver"]],
  ["kube-apiserver [entity-kube-apiserver-egress]", ["kube-apiserver", "world,kube-apiserver"]],
  ["ingress", ["ingress"]],
  ["health", ["health"]],
  ["init", ["init"]],
  ["unmanaged", ["unmanaged"]],
  ["none [entity-none]", []],
];
const entities: Row[] = heldByEntities.flatMap(([title, held]) => {
  const [entity] = title.split(" ");
  const others = PARTIES.filter((party) => !held.includes(party));
  const answers = (flow: (party: string) => string, yes: string, no: string) =>
    Object.fromEntries([...held.map((party) => [flow(party), yes]), ...others.map((party) => [flow(party), no])]);
  return [
    [
      `the entity ${title}, as a destination`,
      p(ALL, `egress: [{toEntities: [${entity}]}]`),
      answers((party) => `shop/web > ${party} TCP/443`, "allow rule p | allow", "deny isolated p | allow"),
    ],
    [
      `the entity ${title}, as a source: the own host comes in at any rate`,
      p(ALL, `ingress: [{fromEntities: [${entity}]}]`),
      {
        ...answers((party) => `${party} > shop/web TCP/443`, "allow | allow rule p", "allow | deny isolated p"),
        ...(held.includes("host") ? {} : { "host > shop/web TCP/443": "allow | allow own-node (own-node-exception)" }),
      },
    ],
  ] satisfies Row[];
});

const host: Row[] = [
  [
    "what the own host sends is let in though no rule names it; other nodes are not [host-ingress-always-allowed]",
    p(ALL, "ingress: [{fromEntities: [health]}]"),
    {
      "host > shop/web TCP/80": "allow | allow own-node (own-node-exception)",
      "remote-node > shop/web TCP/80": "allow | deny isolated p",
      "health > shop/web TCP/80": "allow | allow rule p",
    },
  ],
  [
    "unless a deny names it [host-ingress-explicit-deny]",
    p(ALL, "ingress: [{}]", "ingressDeny: [{fromEntities: [host]}]"),
    { "host > shop/web TCP/80": "allow | deny rule-deny p ingressDeny[0]" },
  ],
  [
    "by name, or by an entity that holds it",
    p(ALL, "ingress: [{}]", "ingressDeny: [{fromEntities: [cluster]}]"),
    { "host > shop/web TCP/80": "allow | deny rule-deny p", "8.8.8.8 > shop/web TCP/80": "allow | deny isolated p" },
  ],
  [
    "what goes to the own host is judged",
    p(ALL, "egress: [{toEntities: [remote-node]}]"),
    { "shop/web > host TCP/80": "deny isolated p | allow not-selectable" },
  ],
  [
    "an API server on a node is kube-apiserver and remote-node, and no CIDR's",
    p(ALL, "egress: [{toCIDR: [10.0.0.3/32, 198.51.100.250/32]}]"),
    {
      "shop/web > kube-apiserver TCP/443": "deny isolated p (ipblock-covers-node) | allow",
      "shop/web > world,kube-apiserver TCP/443": "allow rule p | allow",
    },
  ],
];

const onPorts = (ports: string) => p(ALL, `ingress: [{toPorts: [{ports: [${ports}]}]}]`);
const ports: Row[] = [
  [
    "a port without protocol is TCP, UDP and SCTP, not ICMP [proto-omitted-is-any]",
    onPorts('{port: "8080"}'),
    {
      "shop/api > shop/web TCP/8080": "allow | allow rule p",
      "shop/api > shop/web UDP/8080": "allow | allow rule p",
      "shop/api > shop/web SCTP/8080": "allow | allow rule p",
      "shop/api > shop/web TCP/8081": "allow | deny isolated p",
      "shop/api > shop/web ICMP/8": "allow | deny isolated p",
    },
  ],
  [
    "protocol ANY with port 0 is every port and no ICMP [tcp-allow-does-not-allow-icmp]",
    onPorts('{port: "0", protocol: ANY}'),
    {
      "shop/api > shop/web TCP/1": "allow | allow rule p",
      "shop/api > shop/web UDP/65535": "allow | allow rule p",
      "shop/api > shop/web SCTP/7": "allow | allow rule p",
      "shop/api > shop/web ICMP/8": "allow | deny isolated p",
      "shop/api > shop/web ICMPv6/128": "allow | deny isolated p",
    },
  ],
  [
    "port 0 is every port of the protocol [port-zero-tcp]",
    onPorts('{port: "0", protocol: TCP}'),
    { "shop/api > shop/web TCP/443": "allow | allow rule p", "shop/api > shop/web UDP/443": "allow | deny isolated p" },
  ],
  [
    "endPort belongs to the range [endport-range]",
    onPorts('{port: "8000", endPort: 8080, protocol: TCP}'),
    {
      "shop/api > shop/web TCP/7999": "allow | deny isolated p",
      "shop/api > shop/web TCP/8000": "allow | allow rule p",
      "shop/api > shop/web TCP/8080": "allow | allow rule p",
      "shop/api > shop/web TCP/8081": "allow | deny isolated p",
    },
  ],
  [
    "a named port is the destination's own, in an ingress rule [named-port-ingress]",
    onPorts("{port: http, protocol: TCP}"),
    {
      "shop/api > shop/web TCP/8080": "allow | allow rule p",
      "shop/api > shop/web TCP/3000": "allow | deny isolated p",
      "shop/api > shop/db TCP/8080": "allow | deny isolated p",
    },
  ],
  [
    "and in an egress rule: each destination has its own number [named-port-egress]",
    p(
      ALL,
      "egress:",
      "- toEndpoints: [{matchExpressions: [{key: 'k8s:io.kubernetes.pod.namespace', operator: Exists}]}]",
      "  toPorts: [{ports: [{port: http, protocol: TCP}]}]",
    ),
    {
      "shop/api > shop/web TCP/8080": "allow rule p | allow",
      "shop/api > payments/web TCP/3000": "allow rule p | allow",
      "shop/api > payments/web TCP/8080": "deny isolated p | allow",
      "shop/api > payments/api TCP/3000": "deny isolated p | allow",
    },
  ],
  [
    "ICMP comes in by `icmps` only, by its type [icmp-echo]",
    p(ALL, "ingress: [{icmps: [{fields: [{type: 8}]}]}]"),
    {
      "shop/api > shop/web ICMP/8": "allow | allow rule p",
      "shop/api > shop/web ICMP/0": "allow | deny isolated p",
      "shop/api > shop/web ICMPv6/128": "allow | deny isolated p",
      "shop/api > shop/web TCP/80": "allow | deny isolated p",
    },
  ],
  [
    "a rule with peers and no ports admits ICMP",
    p(WEB, FROM_API),
    { "shop/api > shop/web ICMP/8": "allow | allow rule p", "shop/db > shop/web ICMP/8": "allow | deny isolated p" },
  ],
];

const toNames = (pattern: string) => p(ALL, `egress: [{toFQDNs: [${pattern}]}]`);
const TO_NAMES = ["example.com", "api.example.com", "www.example.com", "a.b.example.com", "github.com", "8.8.8.8"];
const names: Row[] = (
  [
    ["matchName is that name [fqdn-exact]", "matchName: api.example.com", ["api.example.com"]],
    [
      "`*.example.com` is exactly one label more [fqdn-star-one-label]",
      'matchPattern: "*.example.com"',
      ["api.example.com", "www.example.com"],
    ],
    [
      "`**.example.com` is any depth, not the name itself [fqdn-double-star]",
      'matchPattern: "**.example.com"',
      ["api.example.com", "www.example.com", "a.b.example.com"],
    ],
    ["`*example.com` does not cross a dot [fqdn-star-no-dot]", 'matchPattern: "*example.com"', ["example.com"]],
    ["`*` is every name, not every address [fqdn-star-all]", 'matchPattern: "*"', TO_NAMES.filter((name) => name !== "8.8.8.8")],
  ] as const
).map(([rule, pattern, held]) => [
  rule,
  toNames(`{${pattern}}`),
  Object.fromEntries(
    TO_NAMES.map((name) => [
      `shop/web > ${name} TCP/443`,
      (held as readonly string[]).includes(name) ? "allow rule p egress[0].toFQDNs[0] | allow" : "deny isolated p | allow",
    ]),
  ),
]);

const onWeb = (l7: string, peer = "") => `{${peer}toPorts: [{ports: [{port: "8080", protocol: TCP}]${l7}}]}`;
const http = (rules: string) => `, rules: {http: [${rules}]}`;
const API = "fromEndpoints: [{matchLabels: {app: api}}], ";
const requests: Row[] = [
  [
    "HTTP rules decide by the request; without one the verdict stays open [l7-http-only]",
    p(WEB, `ingress: [${onWeb(http("{method: GET, path: /api/.*}"), API)}]`),
    {
      "shop/api > shop/web TCP/8080": "allow | unknown no-l7-data p",
      "shop/api > shop/web TCP/8080 GET /api/x": "allow | allow rule p",
      "shop/api > shop/web TCP/8080 POST /api/x": "allow | deny l7-deny p",
      "shop/api > shop/web TCP/8080 GET /api": "allow | deny l7-deny p",
      "shop/db > shop/web TCP/8080 GET /api/x": "allow | deny isolated p",
      "shop/api > shop/web TCP/443": "allow | deny isolated p",
    },
  ],
  [
    "a path is matched in full, not in front [l7-http-anchored-path]",
    p(WEB, `ingress: [${onWeb(http("{path: /api}"))}]`),
    {
      "shop/api > shop/web TCP/8080 GET /api": "allow | allow rule p",
      "shop/api > shop/web TCP/8080 GET /api/x": "allow | deny l7-deny p",
      "shop/api > shop/web TCP/8080 GET /v1/api": "allow | deny l7-deny p",
    },
  ],
  [
    "so are method and host",
    p(WEB, `ingress: [${onWeb(http('{method: "GET|HEAD", host: "shop[.]example"}'))}]`),
    {
      "shop/api > shop/web TCP/8080 HEAD / Host:shop.example": "allow | allow rule p",
      "shop/api > shop/web TCP/8080 GET / Host:shop.example.net": "allow | deny l7-deny p",
      "shop/api > shop/web TCP/8080 GETX / Host:shop.example": "allow | deny l7-deny p",
    },
  ],
  [
    "a rule on the port alone, for the same peer, lets every request pass [l7-and-l4-same-port-union]",
    p(WEB, `ingress: [${onWeb(http("{method: GET}"))}, ${onWeb("", API)}]`),
    {
      "shop/api > shop/web TCP/8080 POST /": "allow | allow rule p ingress[1]",
      "shop/api > shop/web TCP/8080": "allow | allow rule p ingress[1]",
      "shop/db > shop/web TCP/8080 GET /": "allow | allow rule p ingress[0]",
      "shop/db > shop/web TCP/8080 POST /": "allow | deny l7-deny p",
    },
  ],
  [
    "a rule on the peer alone opens the other ports too [l7-wide-l4-allow-other-port]",
    p(WEB, `ingress: [${onWeb(http("{method: GET}"))}, {fromEndpoints: [{matchLabels: {app: api}}]}]`),
    {
      "shop/api > shop/web TCP/443": "allow | allow rule p ingress[1]",
      "shop/api > shop/web TCP/8080 POST /": "allow | allow rule p ingress[1]",
      "shop/db > shop/web TCP/8080 POST /": "allow | deny l7-deny p",
      "shop/db > shop/web TCP/443": "allow | deny isolated p",
    },
  ],
  [
    "DNS rules decide by the name asked for, with the same stars",
    p(ALL, 'egress: [{toPorts: [{ports: [{port: "53", protocol: UDP}], rules: {dns: [{matchPattern: "*.example.com"}]}}]}]'),
    {
      "shop/web > kube-system/coredns UDP/53": "unknown no-l7-data p | allow",
      "shop/web > kube-system/coredns UDP/53 dns www.example.com": "allow rule p | allow",
      "shop/web > kube-system/coredns UDP/53 dns WWW.Example.com.": "allow rule p | allow",
      "shop/web > kube-system/coredns UDP/53 dns a.b.example.com": "deny l7-deny p | allow",
      "shop/web > kube-system/coredns UDP/53 dns example.com": "deny l7-deny p | allow",
    },
  ],
  [
    "Kafka rules are judged where there is L7 data of theirs: there never is",
    p(WEB, `ingress: [${onWeb(", rules: {kafka: [{role: produce, topic: orders}]}")}]`),
    { "shop/api > shop/web TCP/8080": "allow | unknown no-l7-data p", "shop/api > shop/web TCP/443": "allow | deny isolated p" },
  ],
];

const sections = { defaultDeny, denyWins, emptyIsNotAbsent, selectors, cidrs, entities, host, ports, names, requests };

describe.each(Object.entries(sections))("cilium: %s", (_, rows) => {
  test.each(rows)("%s", (...row) => {
    expect(answersOf("cilium", CILIUM_WORLD, row)).toEqual(row[2]);
  });
});

describe("cilium: what is refused", () => {
  test.each([
    ["`ingress: []` alone", p(ALL, "ingress: []"), "error spec: a rule is required"],
    ["FQDN patterns for what comes in", p(ALL, "ingress: [{fromFQDNs: [{matchName: example.com}]}]"), "error spec.ingress[0].fromFQDNs"],
  ])("%s", (_, policies, problem) => {
    expect(problemsOf(policies).map((line) => line.slice(0, problem.length))).toContain(problem);
  });
});

test("every probe of oracle/cilium is named above", () => {
  expect(
    probesWithoutRow(
      "cilium",
      Object.values(sections).flatMap((rows) => rows.map(([rule]) => rule)),
    ),
  ).toEqual([]);
});
