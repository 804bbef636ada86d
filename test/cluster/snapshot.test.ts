import { existsSync, readFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type ManifestObject, readManifest } from "../../src/cluster/manifest.ts";
import { readCluster } from "../../src/cluster/snapshot.ts";
import { formatAddress, parseAddress } from "../../src/net/address.ts";
import { formatPrefix } from "../../src/net/prefix.ts";
import { TCP, UDP } from "../../src/net/protocol.ts";

type Value = Record<string, unknown>;
const object = (value: Value, file = "x.yaml"): ManifestObject => ({ value, file, positionOf: () => ({ line: 7, column: 1 }) });
const pod = (metadata: Value = {}, spec: Value = {}, status: Value = {}, file?: string) =>
  object({ apiVersion: "v1", kind: "Pod", metadata: { name: "web", namespace: "shop", ...metadata }, spec, status }, file);
const make = (apiVersion: string, kind: string, name: string, rest: Value = {}, metadata: Value = {}) =>
  object({ apiVersion, kind, metadata: { name, ...metadata }, ...rest });
const [T1, T2, T3] = ["2026-11-22T18:00:00Z", "2026-11-22T18:05:00Z", "2026-11-22T18:09:00Z"];
const seconds = (text: string) => Date.parse(text) / 1000;
const only = (object: ManifestObject) => {
  const cluster = readCluster([object]);
  expect(cluster.warnings).toEqual([]);
  return cluster.pods[0];
};

describe("the times of a pod", () => {
  const finished = (...times: (string | undefined)[]) => ({
    containerStatuses: times.map((finishedAt) => ({ state: finishedAt ? { terminated: { finishedAt } } : {} })),
  });
  test.each<[string | null, string | null, Value, Value]>([
    [T1, null, { creationTimestamp: T2 }, { startTime: T1 }],
    [T2, null, { creationTimestamp: T2 }, {}],
    [null, null, {}, {}],
    [T1, T3, {}, { startTime: T1, phase: "Succeeded", ...finished(T2, T3, undefined) }],
    [T1, T2, { deletionTimestamp: T2 }, { startTime: T1, phase: "Failed" }],
    [T1, T1, {}, { startTime: T1, phase: "Failed", ...finished(undefined) }],
    [T1, T3, { deletionTimestamp: T3 }, { startTime: T1, phase: "Running", ...finished(T2) }],
    [T1, null, {}, { startTime: T1, phase: "Running", ...finished(T2) }],
  ])("start %s end %s", (start, end, metadata, status) => {
    const read = only(pod(metadata, {}, status));
    expect([read.startSeconds, read.endSeconds]).toEqual([start && seconds(start), end && seconds(end)]);
  });
});

test("a pod's ports, addresses and names", () => {
  const containers = [
    {
      ports: [
        { name: "http", containerPort: 8080 },
        { containerPort: 53, protocol: "UDP" },
      ],
    },
    {},
  ];
  const initContainers = [{ restartPolicy: "Always", ports: [{ containerPort: 15001 }] }, { ports: [{ containerPort: 1 }] }];
  const read = only(
    pod(
      { uid: "u" },
      { nodeName: "n", hostNetwork: true, serviceAccountName: "sa", containers, initContainers },
      { podIP: "10.0.0.1", podIPs: [{ ip: "10.0.0.1" }, { ip: "fd00::1" }] },
    ),
  );
  expect(read.ports).toEqual([
    { name: "http", port: 8080, protocol: TCP },
    { port: 53, protocol: UDP },
    { port: 15001, protocol: TCP },
  ]);
  expect(read.addresses.map(formatAddress)).toEqual(["10.0.0.1", "fd00::1"]);
  expect([read.uid, read.nodeName, read.hostNetwork, read.serviceAccountName]).toEqual(["u", "n", true, "sa"]);
});

describe("objects of several snapshots", () => {
  const version = (uid: string | undefined, resourceVersion: string | undefined, label: string, start = T1) =>
    pod({ ...(uid ? { uid } : {}), ...(resourceVersion ? { resourceVersion } : {}), labels: { is: label } }, {}, { startTime: start });
  test.each<[string, string[], ManifestObject[]]>([
    ["the later in input", ["b"], [version("u", undefined, "a"), version("u", undefined, "b")]],
    ["the higher resourceVersion", ["a"], [version("u", "100", "a"), version("u", "99", "b")]],
    ["equal resourceVersion", ["b"], [version("u", "100", "a"), version("u", "100", "b")]],
    ["another uid is another pod", ["a", "b"], [version("u", "1", "a"), version("v", "2", "b")]],
    ["without uid by start", ["a", "b"], [version(undefined, "1", "a"), version(undefined, "2", "b", T2)]],
    ["without uid, same start", ["b"], [version(undefined, "1", "a"), version(undefined, "2", "b")]],
  ])("%s", (_title, want, objects) => {
    expect(readCluster(objects).pods.map(({ labels }) => labels.is)).toEqual(want);
  });

  test("policies and Services once each", () => {
    const policy = (n: number) => make("networking.k8s.io/v1", "NetworkPolicy", "p", { n }, { namespace: "shop" });
    const cluster = readCluster([
      policy(1),
      policy(2),
      make("v1", "Service", "s"),
      make("v1", "Service", "s"),
      make("cilium.io/v2", "CiliumNode", "n"),
    ]);
    expect(cluster.policyObjects.map(({ value }) => value.n)).toEqual([2]);
    expect(cluster.services).toHaveLength(1);
  });

  test("two live pods on one address: a warning only within one file", () => {
    const live = (name: string, file: string) => pod({ name }, {}, { podIP: "10.0.0.1", startTime: T1 }, file);
    expect(readCluster([live("a", "1.yaml"), live("b", "1.yaml")]).warnings).toHaveLength(1);
    expect(readCluster([live("a", "1.yaml"), live("b", "2.yaml")]).warnings).toEqual([]);
  });
});

test("namespaces", () => {
  const policy = make("networking.k8s.io/v1", "NetworkPolicy", "p", {}, { namespace: "bare" });
  const { namespaces } = readCluster([
    make("v1", "Namespace", "shop", {}, { labels: { team: "x" } }),
    pod(),
    pod({ namespace: "other" }),
    policy,
  ]);
  expect([...namespaces.values()].map(({ name, labels, labelsKnown }) => [name, Object.entries(labels).join(), labelsKnown])).toEqual([
    ["shop", "team,x,kubernetes.io/metadata.name,shop", true],
    ["other", "kubernetes.io/metadata.name,other", false],
    ["bare", "kubernetes.io/metadata.name,bare", false],
  ]);
});

test("nodes: every address, prefixes from Node and CiliumNode, gateways unless a pod's, host-network pods", () => {
  const node = make(
    "v1",
    "Node",
    "n1",
    {
      spec: { podCIDR: "10.244.1.0/24", podCIDRs: ["10.244.1.0/24"] },
      status: {
        addresses: [
          { type: "InternalIP", address: "192.168.0.1" },
          { type: "Hostname", address: "n1" },
        ],
      },
    },
    { annotations: { "projectcalico.org/IPv4VXLANTunnelAddr": "10.244.1.9" } },
  );
  const cilium = make("cilium.io/v2", "CiliumNode", "n1", {
    spec: { addresses: [{ type: "CiliumInternalIP", ip: "10.0.1.7" }], ipam: { podCIDRs: ["10.0.1.0/24"] } },
  });
  const cluster = readCluster([
    node,
    cilium,
    pod({}, { hostNetwork: true, nodeName: "n1" }, { podIP: "192.168.0.1" }),
    pod({ name: "b" }, {}, { podIP: "10.244.1.1" }),
    pod({ name: "c" }, { nodeName: "n2" }, { hostIP: "192.168.0.2" }),
  ]);
  expect(
    cluster.nodes.map(({ name, addresses, podPrefixes }) => [
      name,
      addresses.map(formatAddress).join(" "),
      podPrefixes.map(formatPrefix).join(" "),
    ]),
  ).toEqual([
    ["n1", "192.168.0.1 10.244.1.9 10.0.1.7 10.244.1.0", "10.244.1.0/24 10.0.1.0/24"],
    ["n2", "192.168.0.2", ""],
  ]);
  expect(
    ["192.168.0.1", "10.244.1.1", "10.244.1.200", "10.0.1.200", "1.1.1.1"].map(
      (text) => cluster.timeline.ownerAt(parseAddress(text)!, null).type,
    ),
  ).toEqual(["node", "pod", "unknown", "unknown", "external"]);
});

describe("fields of a wrong type leave the object out, with a place and a reason", () => {
  test.each<[string, ManifestObject]>([
    ["1 Pod object left out: shop/web at x.yaml:7: `spec.nodeName` is not text", pod({}, { nodeName: 5 })],
    ["1 Pod object left out: shop/web at x.yaml:7: `spec.containers` is not a list of objects", pod({}, { containers: [1] })],
    [
      "1 Pod object left out: shop/web at x.yaml:7: `spec.containers.0.ports.0.containerPort` is not a port from 1 to 65535",
      pod({}, { containers: [{ ports: [{ containerPort: 70000 }] }] }),
    ],
    ["1 Pod object left out: shop/web at x.yaml:7: `status.podIP` is not an IP address", pod({}, {}, { podIP: "10.0.0.256" })],
    ["1 Pod object left out: shop/web at x.yaml:7: `status.startTime` is not an RFC 3339 time", pod({}, {}, { startTime: "yesterday" })],
    ["1 Pod object left out: shop/web at x.yaml:7: `metadata.labels` is not a map of texts", pod({ labels: { a: 1 } })],
    ["1 Pod object left out: shop/(no name) at x.yaml:7: `metadata.name` is missing", pod({ name: null })],
    [
      "1 Node object left out: n at x.yaml:7: `spec.podCIDRs` holds `x`, which is not a prefix",
      make("v1", "Node", "n", { spec: { podCIDRs: ["x"] } }),
    ],
    [
      "1 Service object left out: s at x.yaml:7: `spec.ports.0.protocol` is not TCP, UDP or SCTP",
      make("v1", "Service", "s", { spec: { ports: [{ port: 1, protocol: "ICMP" }] } }),
    ],
    [
      "1 EndpointSlice object left out: e at x.yaml:7: `metadata.labels` is not a map of texts",
      make("discovery.k8s.io/v1", "EndpointSlice", "e", {}, { labels: [] }),
    ],
  ])("%s", (warning, broken) => {
    expect(readCluster([pod({ name: "good" }), broken]).warnings).toEqual([warning]);
  });

  test("many are counted", () => {
    const broken = Array.from({ length: 9 }, (_, index) => pod({ name: `p${index}` }, { nodeName: 1 }));
    const [warning, noPods] = readCluster(broken).warnings;
    expect(warning).toMatch(/^9 Pod objects left out: .*; and 6 more$/);
    expect(noPods).toContain("kubectl get ns,nodes,pods");
  });

  test("kinds of other groups are not mistaken", () => {
    expect(readCluster([pod(), make("serving.knative.dev/v1", "Service", "s", { spec: 5 })]).warnings).toEqual([]);
  });

  const kinds = [
    "Pod",
    "Node",
    "Namespace",
    "Service",
    "Endpoints",
    "ConfigMap",
    "EndpointSlice",
    "ReplicaSet",
    "Job",
    "DaemonSet",
    "Deployment",
    "CronJob",
    "ServiceCIDR",
    "CiliumNode",
    "IPPool",
    "FelixConfiguration",
  ];
  const versions = ["v1", "apps/v1", "batch/v1", "discovery.k8s.io/v1", "networking.k8s.io/v1", "cilium.io/v2", "projectcalico.org/v3"];
  const keys = [
    "ports",
    "addresses",
    "podIPs",
    "podCIDRs",
    "ip",
    "name",
    "labels",
    "containers",
    "args",
    "image",
    "env",
    "toString",
    "__proto__",
    "subsets",
    "endpoints",
    "selector",
    "clusterIP",
    "ipam",
    "phase",
    "startTime",
    "ownerReferences",
    "template",
    "metadata",
    "spec",
    "jobTemplate",
    "initContainers",
    "kind",
    "annotations",
  ];
  const key = fc.constantFrom(...keys);
  const leaf = fc.oneof(
    fc.constantFrom<unknown>(null, true, -1, 80, 1e300, Number.NaN, "", "x", "10.0.0.1", "fd00::1", "10.0.0.0/8", T1, "TCP", "Failed", 5n),
    fc.jsonValue(),
  );
  const { value: anything } = fc.letrec((tie) => ({
    value: fc.oneof(
      { maxDepth: 4 },
      leaf,
      fc.array(tie("value"), { maxLength: 3 }),
      fc.dictionary(key, tie("value"), { maxKeys: 5, noNullPrototype: false }),
    ),
  }));
  const section = fc.oneof(fc.dictionary(key, anything, { maxKeys: 6 }), anything);
  const hostile = fc.record({
    apiVersion: fc.constantFrom(...versions),
    kind: fc.constantFrom(...kinds),
    metadata: section,
    spec: section,
    status: section,
    ports: anything,
    endpoints: anything,
    subsets: anything,
    data: anything,
  });

  test("arbitrary JSON never throws", () => {
    fc.assert(
      fc.property(fc.array(hostile, { maxLength: 6 }), (values) => {
        const cluster = readCluster(values.map((value) => object(value)));
        cluster.timeline.ownerAt(parseAddress("10.0.0.1")!, 0);
        cluster.serviceIndex.find(parseAddress("10.0.0.1")!, TCP, 80);
      }),
      { numRuns: 3000 },
    );
  });
});

const worldFile = new URL("../../../shared/captures/pcap/world.yaml", import.meta.url);
describe.skipIf(!existsSync(worldFile))("the world of the captures", () => {
  const cluster = existsSync(worldFile) ? readCluster(readManifest(readFileSync(worldFile, "utf8"), "world.yaml")) : readCluster([]);
  test("is read whole", () => {
    expect([cluster.pods.length, cluster.nodes.length, cluster.services.length, cluster.namespaces.size]).toEqual([9, 2, 5, 4]);
    expect(cluster.warnings).toEqual([]);
    expect(cluster.cni.name).toBe("generic");
  });
  test.each([
    ["pod frontend-7c9f6d8b5-k2x4p", "10.244.1.10"],
    ["pod frontend-7c9f6d8b5-k2x4p", "fd00:10:244:1::a"],
    ["node node1", "192.168.50.11"],
    ["node node2", "10.244.2.1"],
    ["service api", "10.96.20.1"],
    ["unknown", "10.244.1.99"],
    ["external", "203.0.113.10"],
    ["external", "192.168.50.254"],
  ])("%s has %s", (want, address) => {
    const owner = cluster.timeline.ownerAt(parseAddress(address)!, seconds("2026-11-22T19:00:00Z"));
    const name =
      owner.type === "pod"
        ? ` ${owner.pod.name}`
        : owner.type === "node"
          ? ` ${owner.node.name}`
          : owner.type === "service"
            ? ` ${owner.service.name}`
            : "";
    expect(owner.type + name).toBe(want);
  });
  test("the api Service leads to both pods", () => {
    const target = cluster.serviceIndex.find(parseAddress("10.96.20.1")!, TCP, 80);
    expect(target?.backends.map(({ address, port }) => `${formatAddress(address)}:${port}`)).toEqual([
      "10.244.1.11:8080",
      "10.244.2.11:8080",
    ]);
  });
});
