import { describe, expect, test } from "vitest";
import type { ManifestObject } from "../../src/cluster/manifest.ts";
import { readCluster } from "../../src/cluster/snapshot.ts";
import { formatAddress, parseAddress } from "../../src/net/address.ts";
import { SCTP, TCP, UDP } from "../../src/net/protocol.ts";

type Value = Record<string, unknown>;
const object = (value: Value): ManifestObject => ({ value, file: "x.yaml", positionOf: () => ({ line: 1, column: 1 }) });
const at = (text: string) => parseAddress(text)!;
const pod = (name: string, ips: string, ports: Value[] = [], more: Value = {}, labels: Value = { app: "api" }) =>
  object({
    apiVersion: "v1",
    kind: "Pod",
    metadata: { name, namespace: "shop", labels },
    spec: { containers: [{ ports }] },
    status: { phase: "Running", podIPs: ips.split(" ").map((ip) => ({ ip })), ...more },
  });
const service = (spec: Value, name = "api", more: Value = {}) =>
  object({ apiVersion: "v1", kind: "Service", metadata: { name, namespace: "shop" }, spec: { clusterIP: "10.96.0.1", ...spec }, ...more });
const slice = (ports: Value[], endpoints: Value[], addressType = "IPv4", name = "api") =>
  object({
    apiVersion: "discovery.k8s.io/v1",
    kind: "EndpointSlice",
    metadata: {
      name: `${name}-${addressType}-${JSON.stringify(endpoints)}`,
      namespace: "shop",
      labels: { "kubernetes.io/service-name": name },
    },
    addressType,
    ports,
    endpoints,
  });
const endpoints = (subsets: Value[]) =>
  object({ apiVersion: "v1", kind: "Endpoints", metadata: { name: "api", namespace: "shop" }, subsets });
const node = object({
  apiVersion: "v1",
  kind: "Node",
  metadata: { name: "n1" },
  status: { addresses: [{ type: "InternalIP", address: "192.168.0.1" }] },
});
const http = { name: "http", port: 80, targetPort: "web" };
const selector = { app: "api" };
const web = (containerPort: number, protocol = "TCP") => ({ name: "web", containerPort, protocol });
const endpoint = (address: string, conditions: Value = {}) => ({ addresses: [address], conditions });
const http8080 = [{ name: "http", port: 8080 }];

/** Finds `address:port[/UDP]` and writes `service port -> backends`. */
const found = (objects: ManifestObject[], dialled: string, protocol = TCP): string => {
  const cluster = readCluster(objects);
  expect(cluster.warnings.filter((warning) => warning.includes("left out"))).toEqual([]);
  const colon = dialled.lastIndexOf(":");
  const target = cluster.serviceIndex.find(at(dialled.slice(0, colon)), protocol, Number(dialled.slice(colon + 1)));
  if (target === undefined) return "nothing";
  const backends = target.backends.map(({ address, port, ready }) => `${formatAddress(address)} ${port}${ready ? "" : " (not ready)"}`);
  return `${target.service.name} ${target.servicePort?.port ?? "no such port"} -> ${backends.sort().join(", ") || "none"}`;
};
const dual = { clusterIPs: ["10.96.0.1", "fd96::1"], selector, ports: [http] };
const nodePort = { type: "NodePort", selector, ports: [{ ...http, nodePort: 30080 }] };

describe("find", () => {
  test.each<[string, string, ManifestObject[], string]>([
    ["no Service", "nothing", [pod("a", "10.0.0.1")], "10.96.0.1:80"],
    [
      "named port, per pod",
      "api 80 -> 10.0.0.1 8080, 10.0.0.2 9090",
      [service({ selector, ports: [http] }), pod("a", "10.0.0.1", [web(8080)]), pod("b", "10.0.0.2", [web(9090)])],
      "10.96.0.1:80",
    ],
    [
      "named port, other protocol",
      "api 80 -> none",
      [service({ selector, ports: [http] }), pod("a", "10.0.0.1", [web(8080, "UDP")])],
      "10.96.0.1:80",
    ],
    [
      "number, not declared",
      "api 80 -> 10.0.0.1 8081",
      [service({ selector, ports: [{ port: 80, targetPort: 8081 }] }), pod("a", "10.0.0.1")],
      "10.96.0.1:80",
    ],
    ["no targetPort", "api 80 -> 10.0.0.1 80", [service({ selector, ports: [{ port: 80 }] }), pod("a", "10.0.0.1")], "10.96.0.1:80"],
    ["no such port", "api no such port -> none", [service({ selector, ports: [http] }), pod("a", "10.0.0.1")], "10.96.0.1:81"],
    ["no selector", "api 80 -> none", [service({ ports: [http] }), pod("a", "10.0.0.1", [web(1)])], "10.96.0.1:80"],
    [
      "other labels",
      "api 80 -> none",
      [service({ selector, ports: [{ port: 80 }] }), pod("a", "10.0.0.1", [], {}, { app: "x" })],
      "10.96.0.1:80",
    ],
    [
      "finished",
      "api 80 -> none",
      [service({ selector, ports: [{ port: 80 }] }), pod("a", "10.0.0.1", [], { phase: "Succeeded" })],
      "10.96.0.1:80",
    ],
    [
      "not ready",
      "api 80 -> none",
      [service({ selector, ports: [{ port: 80 }] }), pod("a", "10.0.0.1", [], { conditions: [{ type: "Ready", status: "False" }] })],
      "10.96.0.1:80",
    ],
    [
      "published not ready",
      "api 80 -> 10.0.0.1 80 (not ready)",
      [
        service({ selector, publishNotReadyAddresses: true, ports: [{ port: 80 }] }),
        pod("a", "10.0.0.1", [], { conditions: [{ type: "Ready", status: "False" }] }),
      ],
      "10.96.0.1:80",
    ],
    ["dual stack, IPv4", "api 80 -> 10.0.0.1 8080", [service(dual), pod("a", "10.0.0.1 fd00::1", [web(8080)])], "10.96.0.1:80"],
    ["dual stack, IPv6", "api 80 -> fd00::1 8080", [service(dual), pod("a", "10.0.0.1 fd00::1", [web(8080)])], "fd96::1:80"],
    [
      "slice of the other family",
      "api 80 -> fd00::1 7070",
      [service(dual), pod("a", "10.0.0.1 fd00::1", [web(7070)]), slice(http8080, [endpoint("10.0.0.1")])],
      "fd96::1:80",
    ],
    [
      "slice before selector",
      "api 80 -> 10.0.0.9 8080",
      [service(dual), pod("a", "10.0.0.1", [web(7070)]), slice(http8080, [endpoint("10.0.0.9")])],
      "10.96.0.1:80",
    ],
    [
      "several slices, doubles",
      "api 80 -> 10.0.0.1 8080, 10.0.0.2 8080",
      [service(dual), slice(http8080, [endpoint("10.0.0.1")]), slice(http8080, [endpoint("10.0.0.2"), endpoint("10.0.0.1")])],
      "10.96.0.1:80",
    ],
    [
      "slices with other port names",
      "api 80 -> 10.0.0.1 8080",
      [service(dual), slice([...http8080, { name: "x", port: 1 }], [endpoint("10.0.0.1")])],
      "10.96.0.1:80",
    ],
    [
      "unnamed port",
      "api 80 -> 10.0.0.1 8080",
      [service({ ports: [{ port: 80 }] }), slice([{ port: 8080 }], [endpoint("10.0.0.1")])],
      "10.96.0.1:80",
    ],
    ["no endpoints at all", "api 80 -> none", [service(dual), pod("a", "10.0.0.1", [web(8080)]), slice(http8080, [])], "10.96.0.1:80"],
    ["none ready", "api 80 -> none", [service(dual), slice(http8080, [endpoint("10.0.0.1", { ready: false })])], "10.96.0.1:80"],
    ["ready missing", "api 80 -> 10.0.0.1 8080", [service(dual), slice(http8080, [{ addresses: ["10.0.0.1"] }])], "10.96.0.1:80"],
    [
      "terminating but serving",
      "api 80 -> 10.0.0.1 8080 (not ready)",
      [service(dual), slice(http8080, [endpoint("10.0.0.1", { ready: false, serving: true, terminating: true })])],
      "10.96.0.1:80",
    ],
    [
      "ready ones first",
      "api 80 -> 10.0.0.2 8080",
      [service(dual), slice(http8080, [endpoint("10.0.0.1", { ready: false, serving: true, terminating: true }), endpoint("10.0.0.2")])],
      "10.96.0.1:80",
    ],
    [
      "Endpoints",
      "api 80 -> 10.0.0.1 8080",
      [service(dual), endpoints([{ addresses: [{ ip: "10.0.0.1" }], notReadyAddresses: [{ ip: "10.0.0.2" }], ports: http8080 }])],
      "10.96.0.1:80",
    ],
    ["empty Endpoints", "api 80 -> none", [service(dual), pod("a", "10.0.0.1", [web(8080)]), endpoints([])], "10.96.0.1:80"],
    [
      "Endpoints of the other family",
      "api 80 -> fd00::1 8080",
      [service(dual), pod("a", "10.0.0.1 fd00::1", [web(8080)]), endpoints([{ addresses: [{ ip: "10.0.0.1" }], ports: http8080 }])],
      "fd96::1:80",
    ],
    ["node port", "api 80 -> 10.0.0.1 8080", [node, service(nodePort), pod("a", "10.0.0.1", [web(8080)])], "192.168.0.1:30080"],
    ["node port, no node", "nothing", [node, service(nodePort), pod("a", "10.0.0.1", [web(8080)])], "192.168.0.2:30080"],
    ["node port of a ClusterIP", "nothing", [node, service({ ...nodePort, type: "ClusterIP" })], "192.168.0.1:30080"],
    [
      "load balancer",
      "api 80 -> 10.0.0.1 8080",
      [
        service({ ...nodePort, type: "LoadBalancer" }, "api", {
          status: { loadBalancer: { ingress: [{ hostname: "x" }, { ip: "203.0.113.9" }] } },
        }),
        pod("a", "10.0.0.1", [web(8080)]),
      ],
      "203.0.113.9:80",
    ],
    [
      "external IP shared",
      "b 81 -> none",
      [
        service({ externalIPs: ["203.0.113.9"], ports: [{ port: 80 }] }, "a"),
        service({ clusterIP: "10.96.0.2", externalIPs: ["203.0.113.9"], ports: [{ port: 81 }] }, "b"),
      ],
      "203.0.113.9:81",
    ],
    [
      "external IP of a node",
      "api 80 -> none",
      [node, service({ ...nodePort, externalIPs: ["192.168.0.1"], selector: {} })],
      "192.168.0.1:30080",
    ],
    ["headless", "nothing", [service({ clusterIP: "None", selector, ports: [http] }), pod("a", "10.0.0.1", [web(8080)])], "10.0.0.1:80"],
    [
      "host network",
      "api 80 -> 192.168.0.1 9100",
      [node, service({ selector, ports: [{ port: 80, targetPort: 9100 }] }), pod("a", "192.168.0.1")],
      "10.96.0.1:80",
    ],
  ])("%s: %s", (_title, want, objects, dialled) => {
    expect(found(objects, dialled)).toBe(want);
  });

  test("the protocol counts, and the later of two Services of one name", () => {
    const dns = [
      { name: "dns", port: 53, targetPort: 5353, protocol: "UDP" },
      { name: "tcp", port: 53, targetPort: 5354 },
    ];
    expect(found([service({ selector, ports: dns }), pod("a", "10.0.0.1")], "10.96.0.1:53", UDP)).toBe("api 53 -> 10.0.0.1 5353");
    expect(found([service({ selector, ports: dns }), pod("a", "10.0.0.1")], "10.96.0.1:53", TCP)).toBe("api 53 -> 10.0.0.1 5354");
    expect(found([service({ clusterIP: "10.96.0.7", ports: dns }), service({ ports: dns })], "10.96.0.7:53")).toBe("nothing");
  });
});

describe("isServing and isVirtual", () => {
  const { serviceIndex } = readCluster([
    node,
    service({ ...nodePort, ports: [...nodePort.ports, { name: "raw", port: 81, targetPort: 8888 }] }),
    pod("a", "10.0.0.1", [web(8080)]),
    pod("done", "10.0.0.3", [web(7)], { phase: "Failed" }),
    slice(http8080, [endpoint("10.0.0.2")], "IPv4", "unknown"),
  ]);
  test.each([
    [true, "10.0.0.1", TCP, 8080],
    [true, "10.0.0.1", TCP, 8888],
    [true, "10.0.0.3", TCP, 7],
    [true, "10.0.0.2", TCP, 8080],
    [true, "10.96.0.1", TCP, 80],
    [true, "192.168.0.1", TCP, 30080],
    [false, "10.0.0.1", UDP, 8080],
    [false, "10.0.0.1", SCTP, 8080],
    [false, "10.0.0.1", TCP, 30080],
    [false, "10.0.0.1", TCP, 80],
    [false, "10.96.0.1", TCP, 8080],
    [false, "10.0.0.9", TCP, 8080],
  ])("%s %s %i %i", (want, address, protocol, port) => {
    expect(serviceIndex.isServing(at(address), protocol, port)).toBe(want);
    if (want) expect(serviceIndex.servedPorts()).toContainEqual([protocol, port]);
  });
  test("virtual", () => {
    expect(["10.96.0.1", "10.0.0.1", "192.168.0.1"].map((address) => serviceIndex.isVirtual(at(address)))).toEqual([true, false, false]);
  });
});
