import { expect, test } from "vitest";
import { cautionsOf } from "../../src/evaluate/cautions.ts";
import { Evaluator, type World } from "../../src/evaluate/evaluator.ts";
import { type CniName, profileOf } from "../../src/evaluate/profile.ts";
import { clusterOf, policySetOf, snapshotText } from "../oracle/compiled.ts";
import { adminPolicy, baselinePolicy, calico, ciliumPolicy, clusterPolicy, networkPolicy } from "./dialects.ts";
import { SHOP } from "./shop.ts";

const cluster = clusterOf(
  snapshotText({
    ...SHOP,
    services: [
      {
        namespace: "shop",
        name: "api",
        labels: {},
        selector: { app: "api" },
        endpoints: ["10.0.0.2"],
        ports: [{ protocol: "TCP", port: 80 }],
      },
    ],
  }),
);

function cautions(cni: CniName, texts: readonly string[], more: Partial<World> = {}): string[] {
  const set = policySetOf(texts.join("---\n"));
  const world = { ...cluster, apiServers: new Set<bigint>(), ...more };
  return cautionsOf(set, new Evaluator(set, world, profileOf(cni)), world);
}

const DENY = "subject: {namespaces: {}}, ingress: [{action: Deny, from: [{namespaces: {}}]}]";
const toService = (service: string) => ciliumPolicy("shop/p", `endpointSelector: {}, egress: [{toServices: [{k8sService: {${service}}}]}]`);
const toGroup = (name: string) => ciliumPolicy("shop/p", `endpointSelector: {}, egress: [{toCIDRSet: [{cidrGroupRef: ${name}}]}]`);
const API_SERVER = ciliumPolicy("shop/p", "endpointSelector: {}, egress: [{toEntities: [kube-apiserver]}]");
const GROUP = "apiVersion: cilium.io/v2\nkind: CiliumCIDRGroup\nmetadata: {name: g}\nspec: {externalCIDRs: [8.0.0.0/8]}\n";
const staged = (name: string) => calico("StagedGlobalNetworkPolicy", name, "selector: all()");
const inTier = (name: string) => calico("GlobalNetworkPolicy", `${name}.p`, `tier: ${name}`);

test.each<[string, CniName, string[], string[]]>([
  ["nothing to say", "generic", [networkPolicy("shop/p", "podSelector: {}")], []],
  [
    "a kind that the plugin does not know",
    "generic",
    [ciliumPolicy("shop/p", "endpointSelector: {}, ingress: [{}]")],
    ["CiliumNetworkPolicy shop/p (policies.yaml:1) is ignored: generic does not honour CiliumNetworkPolicy of cilium.io"],
  ],
  [
    "one without namespace, on a later line",
    "aws",
    [networkPolicy("shop/p", "podSelector: {}"), adminPolicy("a", `priority: 1, ${DENY}`)],
    ["AdminNetworkPolicy a (policies.yaml:6) is ignored: aws does not honour AdminNetworkPolicy of policy.networking.k8s.io"],
  ],
  [
    "what Cilium refuses for its peers",
    "cilium",
    [clusterPolicy("c", "tier: Admin, priority: 1, subject: {namespaces: {}}, egress: [{action: Deny, to: [{nodes: {}}]}]")],
    [
      "ClusterNetworkPolicy c (policies.yaml:1) is ignored: cilium refuses a policy with nodes peers while enable-node-selector-labels is off",
    ],
  ],
  [
    "one staged policy",
    "calico",
    [staged("a")],
    ["one staged policy is not in force and not judged: --staged judges what promoting would do"],
  ],
  [
    "several; one that says it is to be ignored is none",
    "calico",
    [staged("a"), staged("b"), calico("StagedGlobalNetworkPolicy", "c", "stagedAction: Ignore")],
    ["2 staged policies are not in force and not judged: --staged judges what promoting would do"],
  ],
  [
    "admin policies of one priority",
    "generic",
    [
      adminPolicy("b", `priority: 1, ${DENY}`),
      clusterPolicy("a", `tier: Admin, priority: 1, ${DENY}`),
      adminPolicy("c", `priority: 2, ${DENY}`),
    ],
    ["a and b share priority 1 in tier admin: which one comes first is undefined (judged in the order of their names)"],
  ],
  ["one priority in two tiers", "generic", [adminPolicy("a", `priority: 0, ${DENY}`), baselinePolicy(DENY)], []],
  [
    "tiers that no object describes, each once",
    "calico",
    [inTier("security"), calico("GlobalNetworkPolicy", "security.q", "tier: security"), calico("GlobalNetworkPolicy", "p", "")],
    ["there is no Tier security: its policies are judged as if it had order 1000000 and defaultAction Deny"],
  ],
  ["a tier that is there", "calico", [calico("Tier", "security", "order: 1"), inTier("security")], []],
  [
    "a group that is in no input",
    "cilium",
    [toGroup("g")],
    ["CiliumNetworkPolicy shop/p (policies.yaml:1) refers to g, which is in no input: it matches nothing"],
  ],
  ["a group that is there", "cilium", [toGroup("g"), GROUP], []],
  [
    "a Service that is not there",
    "cilium",
    [toService("serviceName: bank, namespace: shop")],
    ["CiliumNetworkPolicy shop/p (policies.yaml:1) refers to Service shop/bank, which the snapshot lacks: it matches nothing"],
  ],
  [
    "one of any namespace",
    "cilium",
    [toService("serviceName: bank")],
    ["CiliumNetworkPolicy shop/p (policies.yaml:1) refers to Service bank, which the snapshot lacks: it matches nothing"],
  ],
  [
    "one in another namespace",
    "cilium",
    [toService("serviceName: api, namespace: data")],
    ["CiliumNetworkPolicy shop/p (policies.yaml:1) refers to Service data/api, which the snapshot lacks: it matches nothing"],
  ],
  ["a Service that is there", "cilium", [toService("serviceName: api, namespace: shop"), ""].slice(0, 1), []],
  ["the API server, whose place is known", "cilium", [API_SERVER], []],
])("%s", (_what, cni, texts, expected) => expect(cautions(cni, texts)).toEqual(expected));

test("the API server, whose place is not known: one line, however many policies name it", () => {
  const other = API_SERVER.replace("name: p", "name: q");
  expect(cautions("cilium", [API_SERVER, other], { apiServers: undefined })).toEqual([
    "where the API server is is not in the snapshot (endpoints of Service default/kubernetes): what kube-apiserver matches is open",
  ]);
});
