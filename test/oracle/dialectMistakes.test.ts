import { describe, expect, test } from "vitest";
import { answersTo, type FlowQuestion } from "./cases.ts";
import type { PlainObject } from "./compiled.ts";
import type { Resources } from "./obviousEvaluator.ts";
import type { ObviousProfile } from "./obviousTerms.ts";

/*
 * Mistakes that the random worlds of dialectsDifferential.test.ts found in the program, each as small as it can be.
 */

const NODE = "192.168.0.1";
const POD = { namespace: "a", name: "x", labels: { app: "web" }, ports: [], ip: "10.244.0.3", node: "n1" };
const OTHER = { ...POD, name: "y", labels: { app: "api" }, ip: "10.244.0.4" };
const WORLD: Resources = {
  namespaces: [{ name: "a", labels: { team: "red" } }],
  pods: [POD, OTHER],
  nodes: [{ name: "n1", ips: [NODE], labels: { "kubernetes.io/hostname": "n1" } }],
};
const TO_NODE: FlowQuestion = { src: { ip: POD.ip }, dst: { ip: NODE }, protocol: "TCP", port: 80 };
const FROM_NODE: FlowQuestion = { src: { ip: NODE }, dst: { ip: POD.ip }, protocol: "TCP", port: 80 };
const TO_POD: FlowQuestion = { src: { ip: POD.ip }, dst: { ip: OTHER.ip }, protocol: "TCP", port: 80 };
const OUT: FlowQuestion = { src: { ip: POD.ip }, dst: { ip: "8.8.8.8" }, protocol: "TCP", port: 80 };

const ask = (profile: ObviousProfile, policies: readonly PlainObject[], flow: FlowQuestion, resources: Resources = WORLD) =>
  answersTo({ resources, policies }, [flow], profile).ask(flow);

const object = (apiVersion: string, kind: string, name: string, spec: object, namespace?: string): PlainObject & { spec: object } => ({
  apiVersion,
  kind,
  ...{ metadata: { name, ...(namespace === undefined ? {} : { namespace }) } },
  spec,
});
const cilium = (name: string, spec: object) => object("cilium.io/v2", "CiliumNetworkPolicy", name, { endpointSelector: {}, ...spec }, "a");
const calico = (name: string, spec: object) => object("projectcalico.org/v3", "GlobalNetworkPolicy", name, spec);
const admin = (name: string, priority: number, egress: object[]) =>
  object("policy.networking.k8s.io/v1alpha2", "ClusterNetworkPolicy", name, {
    tier: "Admin",
    priority,
    subject: { namespaces: {} },
    egress,
  });
const isolating = object("networking.k8s.io/v1", "NetworkPolicy", "np", { podSelector: {}, policyTypes: ["Ingress", "Egress"] }, "a");

describe("sets of other plugins", () => {
  const group = object("cilium.io/v2", "CiliumCIDRGroup", "set", { externalCIDRs: ["8.8.8.8/32"] });
  const set = object("projectcalico.org/v3", "GlobalNetworkSet", "set", { nets: ["8.8.8.8/32"] });

  test("a Calico set is no CiliumCIDRGroup of its name", () => {
    const policy = cilium("p", { egress: [{ toCIDRSet: [{ cidrGroupRef: "set" }] }] });
    expect(ask("cilium", [policy, set], OUT).verdict).toBe("deny");
  });

  test("nor one of its labels", () => {
    const policy = cilium("p", { egress: [{ toCIDRSet: [{ cidrGroupSelector: {} }] }] });
    expect(ask("cilium", [policy, set], OUT).verdict).toBe("deny");
  });

  test("a CiliumCIDRGroup is no GlobalNetworkSet", () => {
    const policy = calico("p", { egress: [{ action: "Allow", destination: { selector: "!has(absent)" } }] });
    expect(ask("calico", [policy, group], OUT).verdict).toBe("deny");
  });
});

describe("endpoints of Services under Cilium", () => {
  // Cilium makes CIDR rules of a Service without a selector, and those match neither nodes nor pods (pkg/policy/k8s
  // resolveToServices; cilium issue #10465).
  const policy = cilium("p", { egress: [{ toServices: [{ k8sService: { serviceName: "s", namespace: "a" } }] }] });
  const service = { namespace: "a", name: "s", labels: {}, ports: [{ port: 80, protocol: "TCP" }], endpoints: [NODE, OTHER.ip, "8.8.8.8"] };

  test.each([TO_NODE, TO_POD])("without a selector they match no node and no pod", (flow) => {
    expect(ask("cilium", [policy], flow, { ...WORLD, services: [service] }).egress.verdict).toBe("deny");
  });

  test("without a selector they match outside addresses", () => {
    expect(ask("cilium", [policy], OUT, { ...WORLD, services: [service] }).egress.verdict).toBe("allow");
  });
});

test("under Cilium a decision names the policy that it was made by", () => {
  // Policies that are read otherwise than they are written are copies, which the numbers of decisions do not know.
  const allow = (port: number) => [
    { action: "Accept", to: [{ namespaces: {} }], protocols: [{ tcp: { destinationPort: { number: port } } }] },
  ];
  const { ask: answer } = answersTo(
    { resources: WORLD, policies: [admin("first", 1, allow(80)), admin("second", 2, allow(81))] },
    [TO_POD],
    "cilium",
  );
  const namesOf = (port: number) => answer({ ...TO_POD, port }).egress.matched.map(({ policy }) => policy.ref.name);
  expect([namesOf(80), namesOf(81)]).toEqual([["first"], ["second"]]);
});

describe("rules on requests", () => {
  const rule = (port: number, path: string) => ({ ports: [{ port: String(port), protocol: "TCP" }], rules: { http: [{ path }] } });
  const fromPods = (...toPorts: object[]) => ({ fromEndpoints: [{}], toPorts });

  test("decisions that hang on different requests are two", () => {
    // Rules of one peer have the place of the peer, so that nothing in the numbers of decisions tells them apart.
    const policy = cilium("p", { ingress: [fromPods(rule(80, "/a"), rule(81, "/b"))] });
    const { ask: answer } = answersTo({ resources: WORLD, policies: [policy] }, [TO_POD], "cilium");
    const verdictOf = (port: number, path: string) =>
      answer({ ...TO_POD, port, l7: { type: "http", method: "GET", path } }).ingress.verdict;
    expect([verdictOf(80, "/a"), verdictOf(81, "/b"), verdictOf(81, "/a")]).toEqual(["allow", "allow", "deny"]);
  });

  // Where the peer surely matches, what the proxy refuses is open; it must not be less so where the peer only may match.
  test("without default deny a rule that may match leaves open what it leaves open when it does", () => {
    const ingress = [{ ...fromPods(rule(80, "/a")), fromEndpoints: [{ matchLabels: { "io.cilium.k8s.namespace.labels.team": "red" } }] }];
    const policy = cilium("p", { ingress, enableDefaultDeny: { ingress: false } });
    expect(ask("cilium", [policy], TO_POD).ingress.verdict).toBe("unknown");
    expect(ask("cilium", [policy], TO_POD, { ...WORLD, namespaces: [] }).ingress.verdict).toBe("unknown");
  });
});

test("under Cilium no policy denies the ICMP message that a packet is too large", () => {
  // bpf/lib/policy.h asks for it before it looks at the policy map (ALLOW_ICMP_FRAG_NEEDED).
  const policy = cilium("p", { egressDeny: [{ toEntities: ["all"] }] });
  const flow = { ...TO_POD, protocol: "ICMP", icmpType: 3, icmpCode: 4 };
  expect(ask("cilium", [policy], flow).egress.verdict).toBe("allow");
});

describe("three values", () => {
  // Pods that only records tell of are on a node that nobody knows.
  const nowhere = { ...WORLD, pods: [{ ...POD, node: undefined }] } as unknown as Resources;

  test.each(["generic", "calico"] as const)("whether a node is the pod's own is not known where the pod's node is not: %s", (profile) => {
    expect(ask(profile, [isolating], FROM_NODE, nowhere).ingress.verdict).toBe("unknown");
  });

  test("whether a node is the pod's own is not known where the pod's node is not: egress", () => {
    expect(ask("generic", [isolating], TO_NODE, nowhere).egress.verdict).toBe("unknown");
  });

  test("the exception for the own node leaves open what an admin policy may deny before it", () => {
    const deny = object("policy.networking.k8s.io/v1alpha2", "ClusterNetworkPolicy", "p", {
      ...{ tier: "Admin", priority: 1, subject: { namespaces: { matchLabels: { team: "red" } } } },
      egress: [{ action: "Deny", to: [{ nodes: {} }] }],
    });
    expect(ask("generic", [deny, isolating], TO_NODE).egress.verdict).toBe("deny");
    // Without the labels of the namespace nobody knows whether the policy selects the pod.
    expect(ask("generic", [deny, isolating], TO_NODE, { ...WORLD, namespaces: [] }).egress.verdict).toBe("unknown");
  });

  test("and what a baseline policy may deny after it, where the isolation that it is an exception from is only possible", () => {
    const perhaps = object("kguardian.dev/v1alpha1", "AuditClusterNetworkPolicy", "np", {
      ...{ namespaceSelector: { matchLabels: { team: "red" } }, podSelector: {}, policyTypes: ["Egress"] },
    });
    const deny = object("policy.networking.k8s.io/v1alpha1", "BaselineAdminNetworkPolicy", "default", {
      ...{ subject: { namespaces: {} }, egress: [{ action: "Deny", to: [{ nodes: {} }] }] },
    });
    expect(ask("generic", [perhaps, deny], TO_NODE).egress.verdict).toBe("allow");
    const blue = { ...WORLD, namespaces: [{ name: "a", labels: { team: "blue" } }] };
    expect(ask("generic", [perhaps, deny], TO_NODE, blue).egress.verdict).toBe("deny");
    expect(ask("generic", [perhaps, deny], TO_NODE, { ...WORLD, namespaces: [] }).egress.verdict).toBe("unknown");
  });

  // Names are for the outside alone, known or not.
  test("an address in the cluster does not match by a DNS name", () => {
    const rules = [
      { action: "Accept", to: [{ domainNames: ["db.example.com"] }] },
      { action: "Deny", to: [{ namespaces: {} }] },
    ];
    const named = { ...WORLD, fqdns: { "db.example.com": [OTHER.ip] } };
    expect(ask("generic", [admin("p", 1, rules)], TO_POD, named).egress.verdict).toBe("deny");
    expect(ask("generic", [admin("p", 1, rules)], TO_POD).egress.verdict).toBe("deny");
  });

  test("a node without labels has none", () => {
    const policy = admin("p", 1, [{ action: "Deny", to: [{ nodes: { matchLabels: { role: "control" } } }] }]);
    expect(ask("generic", [policy], TO_NODE, { ...WORLD, nodes: [{ name: "n1", ips: [NODE], labels: {} }] }).egress.verdict).toBe("allow");
  });
});

describe("Services in Calico's rules", () => {
  const host = { ...POD, name: "h", labels: { app: "host" }, ip: "192.168.0.2", node: "n2", hostNetwork: true };
  const resources: Resources = {
    ...WORLD,
    pods: [POD, OTHER, host],
    nodes: [...WORLD.nodes!, { name: "n2", ips: [host.ip], labels: { "kubernetes.io/hostname": "n2" } }],
    services: [
      { namespace: "a", name: "s", labels: {}, selector: { app: "host" }, ports: [{ port: 80, protocol: "TCP" }], endpoints: [host.ip] },
    ],
  };
  const services = { name: "s", namespace: "a" };

  test("match the addresses of endpoints, a node's for a pod on its network: egress", () => {
    const policy = calico("p", { egress: [{ action: "Allow", destination: { services } }] });
    expect(ask("calico", [policy], { ...TO_NODE, dst: { ip: host.ip } }, resources).egress.verdict).toBe("allow");
  });

  test("match the addresses of endpoints, a node's for a pod on its network: ingress", () => {
    const policy = calico("p", { ingress: [{ action: "Allow", source: { services } }] });
    expect(ask("calico", [policy], { ...FROM_NODE, src: { ip: host.ip } }, resources).ingress.verdict).toBe("allow");
  });
});
