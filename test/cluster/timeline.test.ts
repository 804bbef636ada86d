import { describe, expect, test } from "vitest";
import type { Node, Owner, Pod, Service } from "../../src/cluster/objects.ts";
import { assembleNodes, ClusterTimeline, type TimelineObjects } from "../../src/cluster/timeline.ts";
import { addressFromIPv4, formatAddress, parseAddress } from "../../src/net/address.ts";
import { parsePrefix } from "../../src/net/prefix.ts";
import { TCP, UDP } from "../../src/net/protocol.ts";

const at = (text: string) => parseAddress(text)!;
const pod = (name: string, addresses: string, start: number | null = null, end: number | null = null, more: Partial<Pod> = {}): Pod => ({
  namespace: "shop",
  name,
  labels: {},
  workload: { namespace: "shop", kind: "Pod", name, foundBy: "owner" },
  hostNetwork: false,
  serviceAccountName: "default",
  addresses: addresses.split(" ").map(at),
  ports: [],
  startSeconds: start,
  endSeconds: end,
  ...more,
});
const node = (name: string, addresses: string): Node => ({ name, labels: {}, addresses: addresses.split(" ").map(at), podPrefixes: [] });
const service = (name: string, addresses: string): Service => ({
  namespace: "shop",
  name,
  labels: {},
  type: "ClusterIP",
  addresses: addresses.split(" ").map(at),
  ports: [],
});
const timeline = (objects: Partial<TimelineObjects>) =>
  new ClusterTimeline({ pods: [], nodes: [], services: [], podRanges: [], serviceRanges: [], ...objects });
const text = (owner: Owner): string => {
  switch (owner.type) {
    case "pod":
      return `pod ${owner.pod.name}`;
    case "node":
      return `node ${owner.node.name}`;
    case "service":
      return `service ${owner.service.name}`;
    case "external":
      return "external";
    case "unknown":
      return `unknown: ${owner.why}`;
  }
};

describe("ownerAt by address", () => {
  const cluster = timeline({
    pods: [pod("web", "10.244.1.5 fd00::5"), pod("proxy", "192.168.0.1", null, null, { hostNetwork: true, nodeName: "n1" })],
    nodes: [node("n1", "192.168.0.1 10.244.1.1 10.96.0.9")],
    services: [service("api", "10.96.0.1 fd96::1"), service("odd", "10.96.0.9 10.244.1.5")],
    podRanges: [parsePrefix("10.244.0.0/16")!, parsePrefix("10.244.1.0/24")!, parsePrefix("fd00::/64")!, parsePrefix("0.0.0.0/0")!],
    serviceRanges: [parsePrefix("10.96.0.0/12")!],
  });
  test.each([
    ["pod web", "10.244.1.5"],
    ["pod web", "fd00::5"],
    ["pod web", "::ffff:10.244.1.5"],
    ["node n1", "192.168.0.1"],
    ["node n1", "10.244.1.1"],
    ["node n1", "10.96.0.9"],
    ["service api", "10.96.0.1"],
    ["service api", "fd96::1"],
    ["unknown: is in the pod range but in no snapshot object", "10.244.0.0"],
    ["unknown: is in the pod range but in no snapshot object", "10.244.255.255"],
    ["unknown: is in the pod range but in no snapshot object", "fd00::ffff:ffff:ffff:ffff"],
    ["unknown: is in the Service range but in no snapshot object", "10.111.255.255"],
    ["external", "10.245.0.0"],
    ["external", "10.243.255.255"],
    ["external", "10.112.0.0"],
    ["external", "fd00:0:0:1::"],
    ["external", "8.8.8.8"],
  ])("%s for %s", (want, address) => {
    expect(text(cluster.ownerAt(at(address), 1000))).toBe(want);
    expect(text(cluster.ownerAt(at(address), null))).toBe(want);
  });
});

test.each([
  ["unknown: is beside pod addresses but in no snapshot object", "10.1.2.255"],
  ["unknown: is beside pod addresses but in no snapshot object", "fd00::ffff"],
  ["external", "10.1.3.0"],
  ["external", "fd00:0:0:1::"],
])("without any range: %s for %s", (want, address) => {
  const pods = [pod("web", "10.1.2.3 fd00::5")];
  expect(text(timeline({ pods, nodes: [node("n1", "192.168.0.1")] }).ownerAt(at(address), 0))).toBe(want);
  // A snapshot without nodes says nothing of the network.
  expect(text(timeline({ pods }).ownerAt(at(address), 0))).toBe(want.startsWith("unknown") ? "external" : want);
});

describe("ownerAt by time", () => {
  const date = (seconds: number) => `${new Date(seconds * 1000).toISOString().slice(0, 19)}Z`;
  const notYet = (name: string, start: number) => `not yet shop/${name}'s at that time (it started ${date(start)})`;
  const [a, b] = [pod("a", "10.0.0.1", 100, 200), pod("b", "10.0.0.1", 300)];
  const [live1, live2] = [pod("live1", "10.0.0.1", 100), pod("live2", "10.0.0.1", 150)];
  test.each<[string, Pod[], number | null]>([
    [`unknown: was ${notYet("a", 100)}`, [a], 97.9],
    ["pod a", [a], 98],
    ["pod a", [a], 201.999],
    [`unknown: was shop/a's until ${date(200)}`, [a], 202],
    ["pod a", [a], null],
    [`unknown: was shop/a's until ${date(200)} and ${notYet("b", 300)}`, [b, a], 250],
    ["pod a", [b, a], 150],
    ["pod b", [b, a], 298],
    ["pod b", [a, b], 1e12],
    ["pod b", [a, b], null],
    // The next owner started one second after, or before the end of, the first.
    ["pod a", [a, pod("c", "10.0.0.1", 201)], 200.5],
    ["pod c", [a, pod("c", "10.0.0.1", 201)], 201],
    ["pod a", [a, pod("c", "10.0.0.1", 150)], 149],
    ["pod c", [a, pod("c", "10.0.0.1", 150)], 150],
    ["pod live1", [live2, live1], 149],
    ["pod live2", [live2, live1], 151],
    ["pod old", [pod("old", "10.0.0.1"), b], 299],
    ["pod b", [b, pod("old", "10.0.0.1")], 300],
    ["pod later", [pod("first", "10.0.0.1"), pod("later", "10.0.0.1")], 5],
    ["pod live", [pod("live", "10.0.0.1", 100), pod("done", "10.0.0.1", 100, 100)], 110],
  ])("%s", (want, pods, seconds) => {
    expect(text(timeline({ pods }).ownerAt(at("10.0.0.1"), seconds))).toBe(want);
  });

  test("a node or Service that has the address outside the pod's time comes before unknown", () => {
    expect(text(timeline({ pods: [a], nodes: [node("n", "10.0.0.1")] }).ownerAt(at("10.0.0.1"), 500))).toBe("node n");
    expect(text(timeline({ pods: [a], nodes: [node("n", "10.0.0.1")] }).ownerAt(at("10.0.0.1"), 150))).toBe("pod a");
  });

  test("two live pods of one snapshot are warned of once, of two snapshots not", () => {
    const pods = [live1, live2, pod("live3", "10.0.0.1", 160)];
    expect(timeline({ pods }).warnings).toHaveLength(1);
    expect(timeline({ pods }).warnings[0]).toContain("shop/live1 and shop/live2");
    expect(timeline({ pods, inSameSnapshot: () => false }).warnings).toEqual([]);
    expect(timeline({ pods: [a, b] }).warnings).toEqual([]);
  });

  test("epochs differ exactly where the owner does", () => {
    const cluster = timeline({ pods: [a, b, pod("c", "10.0.0.2", 100), live1].slice(0, 3) });
    expect([0, 98, 201, 202, 250, 298, 9999, null].map((seconds) => cluster.epochAt(at("10.0.0.1"), seconds))).toEqual([
      0, 1, 1, 2, 2, 3, 3, 3,
    ]);
    expect([0, 98, 9999, null].map((seconds) => cluster.epochAt(at("10.0.0.2"), seconds))).toEqual([0, 0, 0, 0]);
    expect(["10.0.0.1", "10.0.0.2", "10.0.0.3"].map((address) => cluster.isReused(at(address)))).toEqual([true, false, false]);
  });
});

test("law: ownerAt, epochAt and periodAt agree at every second of random leases", () => {
  let state = 1;
  const random = (below: number) => {
    state = (state * 48271) % 2147483647;
    return state % below;
  };
  for (let round = 0; round < 300; round++) {
    const pods = Array.from({ length: 1 + random(4) }, (_, index) => {
      const start = random(5) === 0 ? null : random(30);
      return pod(`p${index}`, "10.0.0.1", start, random(2) ? (start ?? 0) + random(20) : null);
    });
    const cluster = timeline({ pods });
    for (let second = -5; second < 60; second += 0.5) {
      const [from, to] = cluster.periodAt(at("10.0.0.1"), second);
      expect(from <= second && second < to).toBe(true);
      for (const other of [Math.max(from, -9), (Math.max(from, -9) + Math.min(to, 99)) / 2, Math.min(to, 99) - 0.01])
        expect(text(cluster.ownerAt(at("10.0.0.1"), other))).toBe(text(cluster.ownerAt(at("10.0.0.1"), second)));
    }
    if (!cluster.isReused(at("10.0.0.1"))) continue;
    const ownerOfEpoch = new Map<number, string>();
    for (let second = -5; second < 60; second += 0.5) {
      const owner = text(cluster.ownerAt(at("10.0.0.1"), second));
      const epoch = cluster.epochAt(at("10.0.0.1"), second);
      expect(ownerOfEpoch.get(epoch) ?? owner).toBe(owner);
      ownerOfEpoch.set(epoch, owner);
    }
  }
});

test("host-network pods that declare a port are named", () => {
  const host = (name: string, port: number, nodeName?: string): Pod =>
    pod(name, "192.168.0.1", null, null, { hostNetwork: true, ports: [{ port, protocol: TCP }], ...(nodeName ? { nodeName } : {}) });
  const cluster = timeline({
    nodes: [node("n1", "192.168.0.1")],
    pods: [host("z", 9100, "n1"), host("a", 9100), host("b", 80, "n1"), host("c", 9100, "n2")],
  });
  expect(cluster.hostNetworkPodsOf(node("n1", "192.168.0.1"), TCP, 9100)).toEqual(["shop/a", "shop/z"]);
  expect(cluster.hostNetworkPodsOf(node("n1", "192.168.0.1"), UDP, 9100)).toEqual([]);
});

test("nodes are assembled from every record; gateway addresses that a pod has are the pod's", () => {
  const prefix = parsePrefix("10.244.1.0/24")!;
  const nodes = assembleNodes(
    [
      {
        name: "n1",
        labels: { a: "b" },
        addresses: [at("192.168.0.1")],
        podPrefixes: [prefix],
        gateways: [at("10.244.1.0"), at("10.244.1.1")],
      },
      { name: "n1", addresses: [at("10.244.1.77")], podPrefixes: [prefix] },
    ],
    [
      { pod: pod("web", "10.244.1.1", null, null, { nodeName: "n1" }), hostAddresses: [at("1.2.3.4")] },
      { pod: pod("far", "10.244.2.1", null, null, { nodeName: "n2" }), hostAddresses: [at("192.168.0.2")] },
    ],
  );
  expect(nodes.map((each) => [each.name, each.labels, each.addresses.map(formatAddress), each.podPrefixes.length])).toEqual([
    ["n1", { a: "b" }, ["192.168.0.1", "10.244.1.77", "10.244.1.0"], 1],
    ["n2", {}, ["192.168.0.2"], 0],
  ]);
});

test("a million lookups over 5,000 pods take well under a second", () => {
  const first = 0x0af40000;
  const pods = Array.from({ length: 5000 }, (_, index) => ({
    ...pod(`p${index}`, "10.0.0.1", 1000 + index),
    addresses: [addressFromIPv4(first + (index >> 1))],
  }));
  const cluster = timeline({ pods, podRanges: [parsePrefix("10.244.0.0/16")!] });
  const addresses = Array.from({ length: 4096 }, (_, index) => addressFromIPv4(first + index));
  const start = performance.now();
  let found = 0;
  for (let index = 0; index < 1_000_000; index++) {
    if (cluster.ownerAt(addresses[index & 4095], 2000 + (index & 4095)).type === "pod") found++;
  }
  const milliseconds = performance.now() - start;
  expect(found).toBeGreaterThan(100_000);
  // Measured 100 ms; the bound leaves room for busy machines.
  expect(milliseconds).toBeLessThan(1000);
});
