import { describe, expect, test } from "vitest";
import { gatewayAddresses, inferCni, isPolicyObject, ovnNodeSubnets, pluginAddresses, rangesOf } from "../../src/cluster/cni.ts";
import type { ManifestObject } from "../../src/cluster/manifest.ts";
import { formatAddress } from "../../src/net/address.ts";
import { formatPrefix, parsePrefix } from "../../src/net/prefix.ts";

type Value = Record<string, unknown>;
const object = (value: Value): ManifestObject => ({ value, file: "x.yaml", positionOf: () => ({ line: 1, column: 1 }) });
const make = (apiVersion: string, kind: string, name: string, rest: Value = {}, metadata: Value = {}) =>
  object({ apiVersion, kind, metadata: { name, namespace: "kube-system", ...metadata }, ...rest });
const daemonSet = (name: string, containers: Value[] = []) =>
  make("apps/v1", "DaemonSet", name, { spec: { template: { spec: { containers } } } });
const podOf = (name: string, set: string) => make("v1", "Pod", name, {}, { ownerReferences: [{ kind: "DaemonSet", name: set }] });
const config = (name: string, data: Value) => make("v1", "ConfigMap", name, { data });
const node = (metadata: Value, rest: Value = {}) => make("v1", "Node", "n1", rest, metadata);
const nodeAgent = { name: "aws-eks-nodeagent", args: ["--enable-network-policy=true"] };

describe("inferCni", () => {
  test.each<[string, string, ManifestObject[]]>([
    ["generic", "nothing in the snapshot names one", []],
    ["cilium", "DaemonSet kube-system/cilium", [daemonSet("cilium")]],
    ["cilium", "DaemonSet kube-system/anetd", [daemonSet("anetd")]],
    ["cilium", "Pod kube-system/cilium-x7k2p", [podOf("cilium-x7k2p", "cilium")]],
    ["cilium", "Pod kube-system/cilium-x7k2p", [make("v1", "Pod", "cilium-x7k2p")]],
    ["cilium", "ConfigMap kube-system/cilium-config", [config("cilium-config", {})]],
    ["cilium", "ebpf-dataplane", [node({ labels: { "kubernetes.azure.com/ebpf-dataplane": "cilium" } })]],
    ["calico", "DaemonSet kube-system/calico-node", [daemonSet("aws-node"), daemonSet("calico-node")]],
    ["calico", "DaemonSet kube-system/canal", [daemonSet("kube-flannel-ds"), daemonSet("canal")]],
    ["calico", "projectcalico.org/", [node({ annotations: { "projectcalico.org/IPv4Address": "10.0.0.1/24" } })]],
    ["antrea", "DaemonSet kube-system/antrea-agent", [daemonSet("antrea-agent")]],
    ["antrea", "node.antrea.io/", [node({ annotations: { "node.antrea.io/mac-address": "x" } })]],
    ["ovn-kubernetes", "DaemonSet kube-system/ovnkube-node", [daemonSet("ovnkube-node")]],
    ["ovn-kubernetes", "k8s.ovn.org/", [node({ annotations: { "k8s.ovn.org/node-subnets": "{}" } })]],
    ["ovn-kubernetes", "pod-networks", [make("v1", "Pod", "a", {}, { annotations: { "k8s.ovn.org/pod-networks": "{}" } })]],
    ["aws", "--enable-network-policy=true", [daemonSet("aws-node", [{ name: "aws-node" }, nodeAgent])]],
    ["aws", "amazon-vpc-cni", [config("amazon-vpc-cni", { "enable-network-policy-controller": "true" })]],
    ["aws", "PolicyEndpoint", [make("networking.k8s.aws/v1alpha1", "PolicyEndpoint", "p")]],
    ["kube-router", "DaemonSet kube-system/kube-router", [daemonSet("kube-router")]],
    ["kube-router", "k3s", [node({}, { status: { nodeInfo: { kubeletVersion: "v1.33.4+k3s1" } } })]],
    ["calico", "calico-node", [node({}, { status: { nodeInfo: { kubeletVersion: "v1.33.4+k3s1" } } }), daemonSet("calico-node")]],
    ["calico", "calico-node", [config("cilium-config", {}), daemonSet("calico-node")]],
    ["generic", "nothing", [make("v1", "Pod", "cilium-operator-8f6b4-x7k2p")]],
    ["generic", "nothing", [make("v1", "Pod", "cilium-x7k2p", { status: { phase: "Failed" } })]],
    ["generic", "nothing", [make("apiextensions.k8s.io/v1", "CustomResourceDefinition", "x", { spec: { group: "cilium.io" } })]],
  ])("%s because %s", (name, because, objects) => {
    const guess = inferCni(objects);
    expect(guess.name).toBe(name);
    expect(guess.because).toContain(because);
  });

  test.each<[string, ManifestObject[]]>([
    ["flannel alone enforces no", [daemonSet("kube-flannel-ds")]],
    ["kindnet enforces NetworkPolicy in newer", [daemonSet("kindnet")]],
    ["nothing in this cluster enforces", [daemonSet("aws-node", [{ name: "aws-eks-nodeagent", args: ["--enable-network-policy=false"] }])]],
    ["objects or CRDs of cilium.io", [make("apiextensions.k8s.io/v1", "CustomResourceDefinition", "x", { spec: { group: "cilium.io" } })]],
    [
      "two network plugins are in the snapshot (DaemonSet kube-system/cilium; DaemonSet kube-system/calico-node)",
      [daemonSet("calico-node"), daemonSet("cilium")],
    ],
    ["Accept is assumed", [daemonSet("calico-node")]],
    ["standard is assumed", [daemonSet("aws-node", [nodeAgent])]],
  ])("warns: %s", (warning, objects) => {
    expect(inferCni(objects).warnings.join("\n")).toContain(warning);
  });

  test("one agent is enough: no warning", () => {
    expect(inferCni([daemonSet("cilium"), config("cilium-config", {}), daemonSet("kindnet")]).warnings).toEqual([]);
    expect(inferCni([]).warnings).toEqual([]);
  });

  test.each<[Value, ManifestObject[]]>([
    [
      { "enable-policy": "always", "policy-cidr-match-mode": "nodes" },
      [config("cilium-config", { "enable-policy": "always", "policy-cidr-match-mode": "nodes", debug: "x" })],
    ],
    [{ version: "3.30.1", defaultEndpointToHostAction: "Accept" }, [daemonSet("calico-node", [{ image: "quay.io/calico/node:v3.30.1" }])]],
    [
      { defaultEndpointToHostAction: "Drop" },
      [
        daemonSet("calico-node"),
        make("crd.projectcalico.org/v1", "FelixConfiguration", "default", { spec: { defaultEndpointToHostAction: "Drop" } }),
      ],
    ],
    [
      { defaultEndpointToHostAction: "Return" },
      [daemonSet("canal", [{ env: [{ name: "FELIX_DEFAULTENDPOINTTOHOSTACTION", value: "Return" }] }])],
    ],
    [
      { AdminNetworkPolicy: "true", ClusterNetworkPolicy: "false" },
      [
        config("antrea-config", {
          "antrea-agent.conf": "featureGates:\n  AdminNetworkPolicy: true\n  ClusterNetworkPolicy: false\n# Foo: true",
        }),
      ],
    ],
    [
      { NETWORK_POLICY_ENFORCING_MODE: "strict" },
      [daemonSet("aws-node", [{ env: [{ name: "NETWORK_POLICY_ENFORCING_MODE", value: "strict" }] }, nodeAgent])],
    ],
  ])("settings %j", (settings, objects) => {
    const { configured: _, ...rest } = inferCni(objects).settings;
    expect(rest).toEqual(settings);
  });
});

test.each<[string[], Record<string, string>]>([
  [["10.244.1.1"], { "projectcalico.org/IPv4IPIPTunnelAddr": "10.244.1.1" }],
  [["10.0.0.5", "fd00::1"], { "projectcalico.org/IPv4Address": "10.0.0.5/24", "projectcalico.org/IPv6VXLANTunnelAddr": "fd00::1" }],
  [["10.244.1.9"], { "projectcalico.org/IPv4WireguardInterfaceAddr": "10.244.1.9" }],
  [["10.0.1.7", "fd02::7"], { "network.cilium.io/ipv4-cilium-host": "10.0.1.7", "network.cilium.io/ipv6-cilium-host": "fd02::7" }],
  [["10.244.0.2", "fd01::2"], { "k8s.ovn.org/node-subnets": '{"default":["10.244.0.0/24","fd01::/64"]}' }],
  [["10.244.0.2"], { "k8s.ovn.org/node-subnets": '{"default":"10.244.0.0/24"}' }],
  [["100.64.0.3"], { "k8s.ovn.org/node-gateway-router-lrp-ifaddrs": '{"default":{"ipv4":"100.64.0.3/16"}}' }],
  [[], { "projectcalico.org/IPv4IPIPTunnelAddr": "nonsense", "example.com/address": "10.0.0.1" }],
])("plugin addresses %j", (want, annotations) => {
  expect(pluginAddresses(annotations).map(formatAddress)).toEqual(want);
});

test("gateway addresses are the network address and the first host", () => {
  expect(gatewayAddresses([parsePrefix("10.244.1.0/24")!]).map(formatAddress)).toEqual(["10.244.1.0", "10.244.1.1"]);
  expect(gatewayAddresses([parsePrefix("10.244.1.4/32")!, parsePrefix("10.244.1.4/31")!])).toEqual([]);
  expect(ovnNodeSubnets({ "k8s.ovn.org/node-subnets": "{" })).toEqual([]);
});

test.each<[string, string, ManifestObject]>([
  [
    "10.244.0.0/16",
    "",
    make("v1", "Pod", "kube-controller-manager-n1", { spec: { containers: [{ command: ["x", "--cluster-cidr=10.244.0.0/16"] }] } }),
  ],
  [
    "10.1.0.0/16,fd00::/48",
    "",
    make("v1", "Pod", "kube-controller-manager-n1", { spec: { containers: [{ args: ["--cluster-cidr", "10.1.0.0/16,fd00::/48"] }] } }),
  ],
  [
    "",
    "10.96.0.0/12",
    make("v1", "Pod", "kube-apiserver-n1", { spec: { containers: [{ command: ["--service-cluster-ip-range=10.96.0.0/12"] }] } }),
  ],
  ["", "", make("v1", "Pod", "mine", { spec: { containers: [{ command: ["--cluster-cidr=0.0.0.0/0"] }] } })],
  [
    "10.2.0.0/16",
    "10.96.0.0/16,fd9::/112",
    config("kubeadm-config", { ClusterConfiguration: "networking:\n  podSubnet: 10.2.0.0/16\n  serviceSubnet: 10.96.0.0/16,fd9::/112\n" }),
  ],
  ["", "10.43.0.0/16", make("networking.k8s.io/v1", "ServiceCIDR", "kubernetes", { spec: { cidrs: ["10.43.0.0/16"] } })],
  ["192.168.0.0/16", "", make("crd.projectcalico.org/v1", "IPPool", "p", { spec: { cidr: "192.168.0.0/16" } })],
  ["10.0.1.0/24", "", make("cilium.io/v2", "CiliumNode", "n1", { spec: { ipam: { podCIDRs: ["10.0.1.0/24"] } } })],
  ["", "", make("crd.antrea.io/v1", "IPPool", "p", { spec: { cidr: "192.168.0.0/16" } })],
])("ranges: pods %s services %s", (pods, services, from) => {
  const ranges = rangesOf([from]);
  expect([ranges.pods.map(formatPrefix).join(), ranges.services.map(formatPrefix).join()]).toEqual([pods, services]);
});

test.each<[boolean, string, string]>([
  [true, "networking.k8s.io/v1", "NetworkPolicy"],
  [false, "networking.k8s.io/v1", "Ingress"],
  [true, "policy.networking.k8s.io/v1alpha1", "BaselineAdminNetworkPolicy"],
  [true, "cilium.io/v2", "CiliumClusterwideNetworkPolicy"],
  [false, "cilium.io/v2", "CiliumNode"],
  [false, "cilium.io/v2", "CiliumEndpoint"],
  [false, "cilium.io/v2", "CiliumEgressGatewayPolicy"],
  [true, "projectcalico.org/v3", "StagedGlobalNetworkPolicy"],
  [true, "crd.projectcalico.org/v1", "GlobalNetworkSet"],
  [false, "crd.projectcalico.org/v1", "IPPool"],
  [true, "crd.antrea.io/v1beta1", "ClusterGroup"],
  [true, "k8s.ovn.org/v1", "EgressFirewall"],
  [false, "networking.k8s.aws/v1alpha1", "PolicyEndpoint"],
  [true, "kguardian.dev/v1alpha1", "AuditClusterNetworkPolicy"],
  // No such API: handed on, so that the policy reader refuses it and it is not left out in silence.
  [true, "v1", "NetworkPolicy"],
  [true, "extensions/v1beta1", "NetworkPolicy"],
  [true, "networking.k8s.io/v1", "networkpolicy"],
])("policy object: %s for %s %s", (want, apiVersion, kind) => {
  expect(isPolicyObject(make(apiVersion, kind, "x"))).toBe(want);
});
