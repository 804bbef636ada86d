import { describe, expect, test } from "vitest";
import { readManifest } from "../../../src/cluster/manifest.ts";
import { cautionsOf } from "../../../src/evaluate/cautions.ts";
import { Evaluator } from "../../../src/evaluate/evaluator.ts";
import { profileOf } from "../../../src/evaluate/profile.ts";
import { readPolicies } from "../../../src/policy/readPolicies.ts";
import { compile } from "../../oracle/compiled.ts";
import { CILIUM_WORLD } from "./ciliumWorld.ts";
import { anp, answersOf, calico, ccnp, cnp, kcnp, np, probesWithoutRow, problemsOf, type Row } from "./table.ts";

/* NetworkPolicy, Cilium's kinds and ClusterNetworkPolicy side by side under Cilium: oracle/cilium-mixed. */

const NP_WEB = "podSelector: {matchLabels: {app: web}}";
const WEB = "endpointSelector: {matchLabels: {app: web}}";
const API_POD = "[{podSelector: {matchLabels: {app: api}}}]";
const FROM_API = "ingress: [{fromEndpoints: [{matchLabels: {app: api}}]}]";
const DENY_API = "ingressDeny: [{fromEndpoints: [{matchLabels: {app: api}}]}]";
const isolate = np("shop/np", NP_WEB, "policyTypes: [Ingress]");
const npIn = (...rules: string[]) => np("shop/np", NP_WEB, "policyTypes: [Ingress]", `ingress: [${rules.join(", ")}]`);
const npOut = (...rules: string[]) => np("shop/np", NP_WEB, "policyTypes: [Egress]", `egress: [${rules.join(", ")}]`);
const httpOnWeb = (peer = "") =>
  cnp(
    "shop/cnp",
    WEB,
    `ingress: [{${peer}toPorts: [{ports: [{port: "8080", protocol: TCP}], rules: {http: [{method: GET, path: /api/.*}]}}]}]`,
  );

/** A ClusterNetworkPolicy about namespace shop. */
const cluster = (title: string, ...rules: string[]) => {
  const [name, tier, priority] = title.split(" ");
  const subject = "subject: {namespaces: {matchLabels: {kubernetes.io/metadata.name: shop}}}";
  return kcnp(name, `tier: ${tier}`, `priority: ${priority}`, subject, ...rules);
};
const fromEvery = (action: string) => `ingress: [{action: ${action}, from: [{namespaces: {}}]}]`;
const fromApi = (action: string) =>
  `ingress: [{action: ${action}, from: [{pods: {namespaceSelector: {}, podSelector: {matchLabels: {app: api}}}}]}]`;

const oneTier: Row[] = [
  [
    "NetworkPolicy and Cilium's kinds are one union: what either allows is allowed [np-allow-cnp-allow-union]",
    [npIn("{from: [{podSelector: {matchLabels: {app: db}}}]}"), cnp("shop/cnp", WEB, FROM_API)],
    {
      "shop/db > shop/web TCP/80": "allow | allow rule np",
      "shop/api > shop/web TCP/80": "allow | allow rule cnp",
      "payments/api > shop/web TCP/80": "allow | deny isolated np cnp",
    },
  ],
  [
    "a CiliumNetworkPolicy adds to what a NetworkPolicy isolates [np-isolates-cnp-allow-adds]",
    [isolate, cnp("shop/cnp", WEB, FROM_API)],
    { "shop/api > shop/web TCP/80": "allow | allow rule cnp", "shop/db > shop/web TCP/80": "allow | deny isolated np cnp" },
  ],
  [
    "a NetworkPolicy alone isolates, the own host still gets in [np-only-isolates]",
    [isolate],
    {
      "shop/api > shop/web TCP/80": "allow | deny isolated np",
      "host > shop/web TCP/80": "allow | allow own-node (own-node-exception)",
      "remote-node > shop/web TCP/80": "allow | deny isolated np",
    },
  ],
  [
    "each direction is isolated by its own policies [np-egress-only-cnp-ingress]",
    [np("shop/np", NP_WEB, "policyTypes: [Egress]"), cnp("shop/cnp", WEB, FROM_API)],
    {
      "shop/web > shop/db TCP/80": "deny isolated np | allow no-policy",
      "shop/db > shop/web TCP/80": "allow | deny isolated cnp",
      "shop/api > shop/web TCP/80": "allow | allow rule cnp",
    },
  ],
  [
    "a deny of a CiliumNetworkPolicy beats an allow of NetworkPolicy [np-allow-all-cnp-deny-wins]",
    [npIn("{}"), cnp("shop/cnp", WEB, DENY_API)],
    { "shop/api > shop/web TCP/80": "allow | deny rule-deny cnp", "shop/db > shop/web TCP/80": "allow | allow rule np" },
  ],
  [
    "so does a clusterwide one's, without default deny of its own [np-allow-all-ccnp-deny-wins]",
    [npIn("{}"), ccnp("c", "endpointSelector: {}", "enableDefaultDeny: {ingress: false}", DENY_API)],
    {
      "shop/api > shop/web TCP/80": "allow | deny rule-deny c",
      "shop/db > shop/web TCP/80": "allow | allow rule np",
      "shop/web > shop/db TCP/80": "allow | allow no-policy",
    },
  ],
  [
    "a denied world beats an ipBlock [entity-deny-world-over-np-ipblock]",
    [npOut("{to: [{ipBlock: {cidr: 203.0.113.0/24}}]}"), cnp("shop/cnp", WEB, "egressDeny: [{toEntities: [world]}]")],
    { "shop/web > api.example.com TCP/443": "deny rule-deny cnp | allow", "shop/web > shop/db TCP/80": "deny isolated np cnp | allow" },
  ],
  [
    "an entity of one kind and pods of another add up [entity-world-and-np-pods]",
    [npIn("{from: [{podSelector: {}}]}"), cnp("shop/cnp", WEB, "ingress: [{fromEntities: [world]}]")],
    {
      "8.8.8.8 > shop/web TCP/80": "allow | allow rule cnp",
      "shop/db > shop/web TCP/80": "allow | allow rule np",
      "payments/api > shop/web TCP/80": "allow | deny isolated np cnp",
      "remote-node > shop/web TCP/80": "allow | deny isolated np cnp",
    },
  ],
  [
    "enableDefaultDeny false does not lift the isolation by a NetworkPolicy [cnp-no-default-deny-np-isolates]",
    [isolate, cnp("shop/cnp", WEB, "enableDefaultDeny: {ingress: false}", FROM_API)],
    { "shop/api > shop/web TCP/80": "allow | allow rule cnp", "shop/db > shop/web TCP/80": "allow | deny isolated np" },
  ],
  [
    "a NetworkPolicy on another pod isolates that pod only [cnp-no-default-deny-np-other-pod]",
    [
      np("shop/np", "podSelector: {matchLabels: {app: db}}", "policyTypes: [Ingress]"),
      cnp("shop/cnp", WEB, "enableDefaultDeny: {ingress: false}", FROM_API),
    ],
    { "shop/db > shop/web TCP/80": "allow | allow no-policy", "shop/web > shop/db TCP/80": "allow | deny isolated np" },
  ],
];

const admin: Row[] = [
  [
    "an Admin Accept goes past the isolation by NetworkPolicy [kcnp-admin-accept-over-np-isolation]",
    [cluster("k Admin 1", fromEvery("Accept")), isolate],
    { "payments/api > shop/web TCP/80": "allow | allow rule k", "8.8.8.8 > shop/web TCP/80": "allow | deny isolated np" },
  ],
  [
    "an Admin Accept goes past a deny of Cilium [kcnp-admin-accept-over-cnp-deny]",
    [cluster("k Admin 1", fromEvery("Accept")), cnp("shop/cnp", WEB, DENY_API)],
    { "shop/api > shop/web TCP/80": "allow | allow rule k", "8.8.8.8 > shop/web TCP/80": "allow | deny isolated cnp" },
  ],
  [
    "an Admin Accept goes past the proxy: no request is looked at [kcnp-admin-accept-bypasses-l7]",
    [cluster("k Admin 1", fromApi("Accept")), httpOnWeb()],
    {
      "shop/api > shop/web TCP/8080 POST /": "allow | allow rule k",
      "shop/api > shop/web TCP/8080": "allow | allow rule k",
      "shop/db > shop/web TCP/8080 POST /": "allow | deny l7-deny cnp",
      "shop/db > shop/web TCP/8080 GET /api/x": "allow | allow rule cnp",
    },
  ],
  [
    "an Admin Deny beats an allow of NetworkPolicy [kcnp-admin-deny-over-np-allow]",
    [cluster("k Admin 1", fromApi("Deny")), npIn("{}")],
    { "payments/api > shop/web TCP/80": "allow | deny rule-deny k", "shop/db > shop/web TCP/80": "allow | allow rule np" },
  ],
  [
    "Pass alone isolates nothing [kcnp-pass-alone]",
    [cluster("k1 Admin 1", fromEvery("Pass"))],
    { "shop/api > shop/web TCP/80": "allow | allow default k1", "8.8.8.8 > shop/web TCP/80": "allow | allow" },
  ],
  [
    "Pass leaves the tier: a later Deny of it is not asked, the NetworkPolicy is [kcnp-pass-then-np]",
    [cluster("k1 Admin 1", fromEvery("Pass")), cluster("k2 Admin 2", fromEvery("Deny")), npIn(`{from: ${API_POD}}`)],
    {
      "shop/api > shop/web TCP/80": "allow | allow rule np",
      "shop/db > shop/web TCP/80": "allow | deny isolated np",
      "shop/web > shop/db TCP/80": "allow | allow default k1",
    },
  ],
  [
    "Pass leaves the tier: a later Accept of it does not save from a deny of Cilium [kcnp-pass-then-cnp-deny]",
    [
      cluster("k1 Admin 1", fromEvery("Pass")),
      cluster("k2 Admin 2", fromEvery("Accept")),
      cnp("shop/cnp", WEB, "ingress: [{fromEntities: [all]}]", DENY_API),
    ],
    { "shop/api > shop/web TCP/80": "allow | deny rule-deny cnp", "shop/db > shop/web TCP/80": "allow | allow rule cnp" },
  ],
  [
    "a ClusterNetworkPolicy isolates nothing by selecting",
    [cluster("k Admin 1", fromApi("Accept"))],
    { "shop/db > shop/web TCP/80": "allow | allow no-policy" },
  ],
];

const baseline: Row[] = [
  [
    "a Baseline Accept opens what a NetworkPolicy leaves to its default deny [kcnp-baseline-accept-opens-isolated-pod]",
    [cluster("k Baseline 1", fromEvery("Accept")), npIn(`{from: ${API_POD}, ports: [{port: 443, protocol: TCP}]}`)],
    {
      "shop/db > shop/web TCP/80": "allow | allow rule k",
      "shop/api > shop/web TCP/443": "allow | allow rule np",
      "8.8.8.8 > shop/web TCP/80": "allow | deny isolated np",
    },
  ],
  [
    "or a CiliumNetworkPolicy to its own [kcnp-baseline-accept-opens-cnp-isolated-pod]",
    [
      cluster("k Baseline 1", "egress: [{action: Accept, to: [{networks: [203.0.113.0/24]}]}]"),
      cnp("shop/cnp", WEB, "egress: [{toEndpoints: [{matchLabels: {app: api}}]}]"),
    ],
    {
      "shop/web > api.example.com TCP/443": "allow rule k | allow",
      "shop/web > shop/api TCP/80": "allow rule cnp | allow",
      "shop/web > 8.8.8.8 TCP/443": "deny isolated cnp | allow",
    },
  ],
  [
    "not what a rule of Cilium denies [kcnp-baseline-accept-under-cnp-deny]",
    [cluster("k Baseline 1", fromEvery("Accept")), cnp("shop/cnp", WEB, DENY_API)],
    { "shop/api > shop/web TCP/80": "allow | deny rule-deny cnp", "shop/db > shop/web TCP/80": "allow | allow rule k" },
  ],
  [
    "a Baseline Deny does not reach what a NetworkPolicy allows [kcnp-baseline-deny-under-np-allow]",
    [cluster("k Baseline 1", fromEvery("Deny")), npIn(`{from: ${API_POD}}`)],
    {
      "shop/api > shop/web TCP/80": "allow | allow rule np",
      "shop/db > shop/web TCP/80": "allow | deny rule-deny k",
      "shop/web > shop/db TCP/80": "allow | deny rule-deny k",
    },
  ],
  [
    "a Baseline Deny of all namespaces does not mean the host [kcnp-baseline-deny-host]",
    [cluster("k Baseline 1", fromEvery("Deny")), isolate],
    {
      "host > shop/web TCP/80": "allow | allow own-node (own-node-exception)",
      "shop/api > shop/web TCP/80": "allow | deny rule-deny k",
      "8.8.8.8 > shop/web TCP/80": "allow | deny isolated np",
    },
  ],
];

const typesLeftOut: Row[] = [
  [
    "an egress list counts though policyTypes says Ingress only [np-ingress-type-with-egress-list]",
    [np("shop/np", NP_WEB, "policyTypes: [Ingress]", "ingress: [{}]", `egress: [{to: ${API_POD}}]`)],
    {
      "shop/web > shop/api TCP/80": "allow rule np egress[0] | allow",
      "shop/web > shop/db TCP/80": "deny isolated np | allow",
      "shop/db > shop/web TCP/80": "allow | allow rule np ingress[0]",
    },
  ],
  [
    "an ingress list counts though policyTypes says Egress only [np-egress-type-with-ingress-list]",
    [np("shop/np", NP_WEB, "policyTypes: [Egress]", "egress: [{}]", `ingress: [{from: ${API_POD}}]`)],
    {
      "shop/api > shop/web TCP/80": "allow | allow rule np ingress[0]",
      "shop/db > shop/web TCP/80": "allow | deny isolated np",
      "shop/web > 8.8.8.8 TCP/80": "allow rule np egress[0] | allow",
    },
  ],
];

const block = (cidr: string) => [
  np(
    "shop/np",
    NP_WEB,
    "policyTypes: [Ingress, Egress]",
    `ingress: [{from: [{ipBlock: {cidr: ${cidr}}}]}]`,
    `egress: [{to: [{ipBlock: {cidr: ${cidr}}}]}]`,
  ),
];
const blocks: Row[] = [
  [
    "ipBlock 0.0.0.0/0 is the outside IPv4 world only [np-ipblock-all-not-pods-not-nodes]",
    block("0.0.0.0/0"),
    {
      "shop/web > 8.8.8.8 TCP/80": "allow rule np | allow",
      "8.8.8.8 > shop/web TCP/80": "allow | allow rule np",
      "shop/web > 2001:db8::10 TCP/80": "deny isolated np | allow",
      "shop/web > shop/db TCP/80": "deny isolated np (ipblock-covers-pod) | allow",
      "shop/db > shop/web TCP/80": "allow | deny isolated np (ipblock-covers-pod)",
      "shop/web > host TCP/80": "deny isolated np (ipblock-covers-node) | allow",
      "shop/web > remote-node TCP/80": "deny isolated np (ipblock-covers-node) | allow",
      "shop/web > kube-apiserver TCP/443": "deny isolated np (ipblock-covers-node) | allow",
      "shop/web > health TCP/80": "deny isolated np | allow",
      "shop/web > ingress TCP/80": "deny isolated np | allow",
      "shop/web > unmanaged TCP/80": "deny isolated np | allow",
      "shop/web > world,kube-apiserver TCP/443": "allow rule np | allow",
    },
  ],
  [
    "an ipBlock over the nodes' range matches no node [np-ipblock-node-range]",
    block("10.0.0.0/24"),
    {
      "shop/web > remote-node TCP/80": "deny isolated np (ipblock-covers-node) | allow",
      "remote-node > shop/web TCP/80": "allow | deny isolated np (ipblock-covers-node)",
      "host > shop/web TCP/80": "allow | allow own-node (own-node-exception)",
    },
  ],
  [
    "an ipBlock over the pods' range matches no pod [np-ipblock-pod-range]",
    block("10.244.0.0/16"),
    {
      "shop/web > shop/db TCP/80": "deny isolated np (ipblock-covers-pod) | allow",
      "shop/db > shop/web TCP/80": "allow | deny isolated np (ipblock-covers-pod)",
    },
  ],
  [
    "so the pods need a rule of their own, by entity or label [np-ipblock-pods-cnp-adds-pods]",
    [npIn("{from: [{ipBlock: {cidr: 0.0.0.0/0}}]}"), cnp("shop/cnp", WEB, "ingress: [{fromEntities: [cluster]}]")],
    {
      "payments/api > shop/web TCP/80": "allow | allow rule cnp",
      "remote-node > shop/web TCP/80": "allow | allow rule cnp",
      "8.8.8.8 > shop/web TCP/80": "allow | allow rule np",
    },
  ],
  [
    "an except is left out [np-ipblock-except]",
    [npOut("{to: [{ipBlock: {cidr: 203.0.113.0/24, except: [203.0.113.64/26]}}]}")],
    { "shop/web > api.example.com TCP/80": "allow rule np | allow", "shop/web > www.example.com TCP/80": "deny isolated np | allow" },
  ],
  [
    "an except belongs to its own ipBlock [np-ipblock-except-of-one-in-other]",
    [npOut("{to: [{ipBlock: {cidr: 203.0.113.0/24, except: [203.0.113.64/26]}}, {ipBlock: {cidr: 203.0.113.77/32}}]}")],
    {
      "shop/web > www.example.com TCP/80": "allow rule np egress[0].to[1] | allow",
      "shop/web > 203.0.113.78 TCP/80": "deny isolated np | allow",
    },
  ],
  [
    "networks of a ClusterNetworkPolicy are no pods and no nodes either [kcnp-networks-all-not-pods-not-nodes]",
    [cluster("k Admin 1", "egress: [{action: Deny, to: [{networks: [0.0.0.0/0]}]}]")],
    {
      "shop/web > 8.8.8.8 TCP/80": "deny rule-deny k | allow",
      "shop/web > world,kube-apiserver TCP/443": "deny rule-deny k | allow",
      "shop/web > shop/db TCP/80": "allow no-policy | allow",
      "shop/web > remote-node TCP/80": "allow no-policy | allow",
      "shop/web > health TCP/80": "allow no-policy | allow",
    },
  ],
  [
    "denied networks beat an ipBlock that allows them [kcnp-networks-deny-over-np-ipblock]",
    [
      cluster("k Admin 1", "egress: [{action: Deny, to: [{networks: [203.0.113.64/26]}]}]"),
      npOut("{to: [{ipBlock: {cidr: 203.0.113.0/24}}]}"),
    ],
    { "shop/web > www.example.com TCP/80": "deny rule-deny k | allow", "shop/web > api.example.com TCP/80": "allow rule np | allow" },
  ],
];

const kubernetesRules: Row[] = [
  [
    "a rule without ports covers ICMP [np-no-ports-allows-icmp]",
    [npIn(`{from: ${API_POD}}`)],
    { "shop/api > shop/web ICMP/8": "allow | allow rule np", "shop/db > shop/web ICMP/8": "allow | deny isolated np" },
  ],
  [
    "a rule with TCP, UDP and SCTP all listed does not [np-ports-exclude-icmp]",
    [npIn(`{from: ${API_POD}, ports: [{protocol: TCP}, {protocol: UDP}, {protocol: SCTP}]}`)],
    {
      "shop/api > shop/web TCP/80": "allow | allow rule np",
      "shop/api > shop/web SCTP/80": "allow | allow rule np",
      "shop/api > shop/web ICMP/8": "allow | deny isolated np (icmp-implementation-defined)",
    },
  ],
  [
    "only a CiliumNetworkPolicy can add ICMP to it [np-ports-cnp-adds-icmp]",
    [
      npIn(`{from: ${API_POD}, ports: [{port: 8080, protocol: TCP}]}`),
      cnp("shop/cnp", WEB, "ingress: [{fromEndpoints: [{matchLabels: {app: api}}], icmps: [{fields: [{type: 8}]}]}]"),
    ],
    {
      "shop/api > shop/web ICMP/8": "allow | allow rule cnp",
      "shop/api > shop/web ICMP/0": "allow | deny isolated np cnp",
      "shop/api > shop/web TCP/8080": "allow | allow rule np",
      "shop/api > shop/web TCP/443": "allow | deny isolated np cnp",
    },
  ],
  [
    "endPort as in Kubernetes [np-endport]",
    [npIn("{ports: [{port: 8000, endPort: 8080, protocol: TCP}]}")],
    {
      "shop/api > shop/web TCP/8080": "allow | allow rule np",
      "8.8.8.8 > shop/web TCP/8000": "allow | allow rule np",
      "shop/api > shop/web TCP/8081": "allow | deny isolated np",
    },
  ],
  [
    "named ports as in Kubernetes [np-named-port]",
    [npIn("{ports: [{port: http}]}")],
    { "8.8.8.8 > shop/web TCP/8080": "allow | allow rule np", "8.8.8.8 > shop/web UDP/8080": "allow | deny isolated np" },
  ],
  [
    "an empty namespaceSelector is every pod and no entity [np-namespace-selector-empty-not-entities]",
    [npIn("{from: [{namespaceSelector: {}}]}")],
    {
      "payments/api > shop/web TCP/80": "allow | allow rule np",
      "remote-node > shop/web TCP/80": "allow | deny isolated np",
      "unmanaged > shop/web TCP/80": "allow | deny isolated np",
      "8.8.8.8 > shop/web TCP/80": "allow | deny isolated np",
    },
  ],
  [
    "NotIn of a namespaceSelector holds for a missing label, and for no entity [np-namespace-selector-notin]",
    [npIn("{from: [{namespaceSelector: {matchExpressions: [{key: team, operator: NotIn, values: [fin]}]}}]}")],
    {
      "kube-system/coredns > shop/web TCP/80": "allow | allow rule np",
      "payments/api > shop/web TCP/80": "allow | deny isolated np",
      "8.8.8.8 > shop/web TCP/80": "allow | deny isolated np",
      "remote-node > shop/web TCP/80": "allow | deny isolated np",
    },
  ],
  [
    "a pod to itself never leaves the pod: allowed",
    [isolate, np("shop/out", NP_WEB, "policyTypes: [Egress]")],
    { "shop/web > shop/web TCP/80": "allow self | allow self" },
  ],
];

const requests: Row[] = [
  [
    "a NetworkPolicy allow on the port of an HTTP rule, for its peer, lets every request pass [l7-and-np-same-port-same-peer]",
    [npIn(`{from: ${API_POD}, ports: [{port: 8080, protocol: TCP}]}`), httpOnWeb("fromEndpoints: [{matchLabels: {app: api}}], ")],
    {
      "shop/api > shop/web TCP/8080 POST /": "allow | allow rule np",
      "shop/api > shop/web TCP/8080 GET /api/x": "allow | allow rule np",
      "shop/db > shop/web TCP/8080 GET /api/x": "allow | deny isolated np cnp",
    },
  ],
  [
    "for other peers it allows without a look at requests [l7-one-peer-and-np-any-peer]",
    [npIn("{ports: [{port: 8080, protocol: TCP}]}"), httpOnWeb("fromEndpoints: [{matchLabels: {app: api}}], ")],
    {
      "shop/db > shop/web TCP/8080": "allow | allow rule np",
      "shop/api > shop/web TCP/8080 POST /": "allow | allow rule np",
      "shop/db > shop/web TCP/443": "allow | deny isolated np cnp",
    },
  ],
  [
    "an HTTP rule for any peer: the peer that NetworkPolicy allows passes with every request, the rest is judged [l7-any-peer-and-np-one-peer]",
    [npIn(`{from: ${API_POD}, ports: [{port: 8080, protocol: TCP}]}`), httpOnWeb()],
    {
      "shop/api > shop/web TCP/8080 POST /": "allow | allow rule np",
      "shop/db > shop/web TCP/8080 GET /api/x": "allow | allow rule cnp",
      "shop/db > shop/web TCP/8080 POST /": "allow | deny l7-deny cnp",
      "8.8.8.8 > shop/web TCP/8080": "allow | unknown no-l7-data cnp",
    },
  ],
  [
    "so with a NetworkPolicy allow on all ports [l7-and-np-all-ports]",
    [npIn(`{from: ${API_POD}}`), httpOnWeb()],
    {
      "shop/api > shop/web TCP/8080 POST /": "allow | allow rule np",
      "shop/api > shop/web TCP/443": "allow | allow rule np",
      "shop/db > shop/web TCP/8080 POST /": "allow | deny l7-deny cnp",
      "shop/db > shop/web TCP/443": "allow | deny isolated np cnp",
    },
  ],
];

const namesAndNodes: Row[] = [
  [
    "domainNames open the addresses of the names, and the cluster's DNS ports [kcnp-domainnames-over-np-isolation]",
    [
      cluster("k Admin 1", 'egress: [{action: Accept, to: [{domainNames: ["*.example.com"]}]}]'),
      np("shop/np", NP_WEB, "policyTypes: [Egress]"),
    ],
    {
      "shop/web > api.example.com TCP/443": "allow rule k | allow",
      "shop/web > a.b.example.com TCP/443": "allow rule k | allow",
      "shop/web > example.com TCP/443": "deny isolated np | allow",
      "shop/web > kube-system/coredns UDP/53": "allow rule k | allow",
      "shop/web > kube-system/coredns TCP/53": "allow rule k | allow",
      "shop/web > kube-system/coredns UDP/54": "deny isolated np | allow",
      "shop/web > shop/api UDP/53": "deny isolated np | allow",
    },
  ],
  [
    "a Deny behind them leaves the names open [kcnp-domainnames-then-deny-world]",
    [
      cluster(
        "k Admin 1",
        "egress:",
        "- {action: Accept, to: [{domainNames: [api.example.com]}]}",
        "- {action: Deny, to: [{networks: [0.0.0.0/0]}]}",
      ),
    ],
    {
      "shop/web > api.example.com TCP/443": "allow rule k egress[0] | allow",
      "shop/web > www.example.com TCP/443": "deny rule-deny k egress[1] | allow",
      "shop/web > shop/db TCP/80": "allow no-policy | allow",
    },
  ],
  [
    "the DNS ports are open at the rule's own priority: a Deny in front of it comes first",
    [cluster("k Admin 1", "egress: [{action: Deny, to: [{namespaces: {}}]}, {action: Accept, to: [{domainNames: [api.example.com]}]}]")],
    { "shop/web > kube-system/coredns UDP/53": "deny rule-deny k egress[0] | allow" },
  ],
  [
    "and a Deny of the same tier behind it does not close them",
    [
      cluster("k Admin 1", "egress: [{action: Accept, to: [{domainNames: [api.example.com]}]}]"),
      cluster("z Admin 2", "egress: [{action: Deny, to: [{namespaces: {}}]}]"),
    ],
    {
      "shop/web > kube-system/coredns UDP/53": "allow rule k egress[0] | allow",
      "shop/web > shop/api UDP/53": "deny rule-deny z | allow",
    },
  ],
  [
    "a `nodes` peer makes Cilium refuse the whole policy, its other rules too",
    [cluster("k Admin 1", fromApi("Deny"), "egress: [{action: Deny, to: [{nodes: {}}]}]")],
    {
      "shop/api > shop/web TCP/80": "allow no-policy | allow no-policy (dialect-ignored-by-cni)",
      "shop/web > remote-node TCP/80": "allow no-policy (dialect-ignored-by-cni) | allow",
    },
  ],
  [
    "a negative `pods` peer means pods only: no world, host or nodes [kcnp-negative-pods-peer]",
    [
      cluster(
        "k Admin 1",
        "ingress: [{action: Accept, from: [{pods: {namespaceSelector: {matchExpressions: [{key: env, operator: NotIn, values: [prod]}]}, podSelector: {}}}]}]",
      ),
      isolate,
    ],
    {
      "kube-system/coredns > shop/web TCP/80": "allow | allow rule k",
      "payments/api > shop/web TCP/80": "allow | deny isolated np",
      "8.8.8.8 > shop/web TCP/80": "allow | deny isolated np",
      "remote-node > shop/web TCP/80": "allow | deny isolated np",
    },
  ],
  [
    "neither does a negative namespace peer of NetworkPolicy or of a clusterwide policy mean the world",
    [
      npIn("{from: [{namespaceSelector: {matchExpressions: [{key: env, operator: DoesNotExist}]}}]}"),
      ccnp(
        "c",
        WEB,
        "ingress: [{fromEndpoints: [{matchExpressions: [{key: 'k8s:io.cilium.k8s.namespace.labels.env', operator: NotIn, values: [prod]}]}]}]",
      ),
    ],
    {
      "kube-system/coredns > shop/web TCP/80": "allow | allow rule",
      "payments/api > shop/web TCP/80": "allow | deny isolated np c",
      "8.8.8.8 > shop/web TCP/80": "allow | deny isolated np c",
      "remote-node > shop/web TCP/80": "allow | deny isolated np c",
    },
  ],
  [
    "a negative `namespaces` peer admits the namespaces that it holds [kcnp-negative-namespaces-peer]",
    [
      cluster(
        "k Admin 1",
        "ingress: [{action: Accept, from: [{namespaces: {matchExpressions: [{key: env, operator: NotIn, values: [prod]}]}}]}]",
      ),
      isolate,
    ],
    { "kube-system/coredns > shop/web TCP/80": "allow | allow rule k", "host > shop/web TCP/80": "allow | allow own-node" },
  ],
];

const sections = { oneTier, admin, baseline, typesLeftOut, blocks, kubernetesRules, requests, namesAndNodes };

describe.each(Object.entries(sections))("cilium, mixed kinds: %s", (_, rows) => {
  test.each(rows)("%s", (...row) => {
    expect(answersOf("cilium", CILIUM_WORLD, row)).toEqual(row[2]);
  });
});

// Cilium's policy map (seen there, and read in its source; not tried on a cluster) lets such an Accept in the world, the nodes and every
// pod, since the reserved identities satisfy negative requirements. We judge by the words of the API, and a caution tells.
describe("a negative `namespaces` peer admits what the API says, and is told to admit more in Cilium's policy map", () => {
  const policies = [
    cluster(
      "k Admin 1",
      "ingress: [{action: Accept, from: [{namespaces: {matchExpressions: [{key: env, operator: NotIn, values: [prod]}]}}]}]",
    ),
    isolate,
  ];
  test.each(["8.8.8.8", "remote-node", "payments/api"])("%s", (source) => {
    const row: Row = ["", policies, { [`${source} > shop/web TCP/80`]: "allow | deny isolated" }];
    expect(answersOf("cilium", CILIUM_WORLD, row)).toEqual(row[2]);
  });
  test("the caution", () => {
    const set = readPolicies(readManifest(policies.join("---\n"), "policies.yaml"), { defaultNamespace: "default" });
    const world = { pods: [], namespaces: new Map(), nodes: [] };
    const settings = { configured: "true", "enable-k8s-cluster-network-policy": "true" };
    expect(cautionsOf(set, new Evaluator(set, world, profileOf("cilium", settings)), world)).toEqual([
      expect.stringContaining("k (policies.yaml:1) names namespaces by what they are not"),
    ]);
    expect(cautionsOf(set, new Evaluator(set, world, profileOf("generic")), world)).toEqual([]);
  });
});

/** Both sides' verdicts on what shop/api sends to shop/web, under a configuration of the agent. */
function underSettings(settings: Readonly<Record<string, string>>, policies: string, protocol: string): string {
  const profile = profileOf("cilium", { configured: "true", ...settings });
  const { ask } = compile(CILIUM_WORLD, policies, { profile });
  const { egress, ingress } = ask({ source: "10.244.0.11", destination: "10.244.0.10", protocol, port: 80 });
  return `${egress.verdict} | ${ingress.verdict}`;
}

test("SCTP is off unless the configuration says otherwise, and then dropped whatever the policies say", () => {
  const policies = npIn("{ports: [{protocol: SCTP}]}");
  expect(underSettings({}, policies, "SCTP")).toBe("deny | deny");
  expect(underSettings({ "enable-sctp": "true" }, policies, "SCTP")).toBe("allow | allow");
});

test("ClusterNetworkPolicy is off unless the configuration says otherwise", () => {
  const policies = cluster("k Admin 1", fromEvery("Deny"));
  expect(underSettings({}, policies, "TCP")).toBe("allow | allow");
  expect(underSettings({ "enable-k8s-cluster-network-policy": "true" }, policies, "TCP")).toBe("allow | deny");
});

test.each<Row>([
  [
    "Calico's policies do nothing",
    [calico("shop/c", "ingress: [{action: Deny}]")],
    { "shop/api > shop/web TCP/80": "allow | allow no-policy (dialect-ignored-by-cni)" },
  ],
  [
    "AdminNetworkPolicy is not known to Cilium",
    [anp("a", "priority: 1", "subject: {namespaces: {}}", "ingress: [{action: Deny, from: [{namespaces: {}}]}]")],
    { "shop/api > shop/web TCP/80": "allow | allow no-policy (dialect-ignored-by-cni)" },
  ],
])("%s, and the answer says so", (...row) => {
  expect(answersOf("cilium", CILIUM_WORLD, row)).toEqual(row[2]);
});

describe("cilium, mixed kinds: what is refused", () => {
  test.each([
    [
      "domainNames in a rule that does not accept",
      [cluster("k Admin 1", "egress: [{action: Deny, to: [{domainNames: [api.example.com]}]}]")],
      "error spec.egress[0].to[0].domainNames",
    ],
  ])("%s", (_, policies, problem) => {
    expect(problemsOf(policies).map((line) => line.slice(0, problem.length))).toContain(problem);
  });
});

// They pass the agent's parser, not the CRD's schema: an API server with it takes no such object. Nothing says so.
test.each(["world-ipv4", "world-ipv6"])("the entity %s is told to be none that the CRD takes", (entity) => {
  expect(problemsOf([cnp("shop/p", WEB, `egress: [{toEntities: [${entity}]}]`)])).not.toEqual([]);
});

test("every probe of oracle/cilium-mixed is named above", () => {
  expect(
    probesWithoutRow(
      "cilium-mixed",
      Object.values(sections).flatMap((rows) => rows.map(([rule]) => rule)),
    ),
  ).toEqual([]);
});
