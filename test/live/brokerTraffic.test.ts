import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { readManifest } from "../../src/cluster/manifest.ts";
import { readCluster } from "../../src/cluster/snapshot.ts";
import { type Endpoint, EndpointResolver } from "../../src/evaluate/endpoints.ts";
import { Evaluator } from "../../src/evaluate/evaluator.ts";
import { profileOf } from "../../src/evaluate/profile.ts";
import { Simulation } from "../../src/evaluate/simulation.ts";
import { epochsOf, surroundingsOf } from "../../src/evaluate/surroundings.ts";
import { connect } from "../../src/flow/connections.ts";
import { FlowTable } from "../../src/flow/flowTable.ts";
import { L7Hints } from "../../src/flow/hints.ts";
import { NameTable } from "../../src/flow/names.ts";
import { OUTCOMES } from "../../src/flow/outcome.ts";
import { LoggedParties } from "../../src/flow/parties.ts";
import { brokerOnlyObjects } from "../../src/live/brokerObjects.ts";
import { type PodRow, readPodRow, readServiceRow, readTrafficRow, type ServiceRow, type TrafficRow } from "../../src/live/brokerRows.ts";
import { addBrokerTraffic, type BrokerReading } from "../../src/live/brokerTraffic.ts";
import { hasPorts, protocolName } from "../../src/net/protocol.ts";

/* Rows by hand in small clusters; what comes out is read as lines: `shop/web-1 -> shop/orders-1 TCP/8080 via shop/orders:80 established`. */

type Value = Record<string, unknown>;
const START = Date.UTC(2026, 10, 20, 8);
/** The text of a moment, seconds after the beginning: of the cluster's objects with a zone, of the broker's rows without. */
const zoned = (at: number) => `${new Date(START + at * 1000).toISOString().slice(0, 19)}Z`;
const zoneless = (at: number) => new Date(START + at * 1000).toISOString().slice(0, 23);

interface PodFields {
  readonly labels?: Readonly<Record<string, string>>;
  /** Seconds; null: not told. A pod is older than all rows unless told. */
  readonly start?: number | null;
  /** When it finished, its object being there still. */
  readonly finished?: number;
  readonly uid?: string;
  readonly node?: string;
  readonly ports?: readonly number[];
  readonly hostNetwork?: boolean;
}

const split = (name: string) => {
  const [namespace, own] = name.split("/");
  return { namespace, name: own };
};

function pod(
  name: string,
  ip: string,
  { labels = {}, start = -9999, finished, uid, node = "node-a", ports = [], hostNetwork }: PodFields = {},
): Value {
  return {
    apiVersion: "v1",
    kind: "Pod",
    metadata: { ...split(name), labels, ...(uid === undefined ? {} : { uid }), ownerReferences: [] },
    spec: {
      nodeName: node,
      ...(hostNetwork ? { hostNetwork } : {}),
      containers: [{ name: "c", ports: ports.map((containerPort) => ({ containerPort })) }],
    },
    status: {
      podIP: ip,
      podIPs: [{ ip }],
      ...(start === null ? {} : { startTime: zoned(start) }),
      ...(finished === undefined
        ? { phase: "Running" }
        : { phase: "Succeeded", containerStatuses: [{ state: { terminated: { finishedAt: zoned(finished) } } }] }),
    },
  };
}

/** A Service on port 80 whose backends' port is 8080, or what else is told. */
function service(
  name: string,
  ip: string,
  selector: Readonly<Record<string, string>>,
  { port = 80, target = 8080 as number | string, protocol = "TCP" } = {},
): Value {
  const ports = [{ name: "p", port, targetPort: target, protocol }];
  return { apiVersion: "v1", kind: "Service", metadata: split(name), spec: { clusterIP: ip, clusterIPs: [ip], selector, ports } };
}

const NODES = ["node-a", "node-b"].map((name, i) => ({
  apiVersion: "v1",
  kind: "Node",
  metadata: { name },
  spec: { podCIDRs: [`10.0.${i}.0/24`] },
  status: { addresses: [{ type: "InternalIP", address: `192.168.0.${i + 1}` }] },
}));

let rows = 0;
interface RowFields {
  readonly at?: number | null;
  readonly protocol?: string;
  readonly decision?: string | null;
  readonly uuid?: string;
  /** The initiator's own port, where the row tells it. */
  readonly from?: number;
}

/** `namespace/name` of whose row it is; `?/name`: the row tells no namespace. */
function row(owner: string, ip: string, type: string, peer: string, [own, other]: [number, number], fields: RowFields): TrafficRow {
  const { at = 100, protocol = "TCP", decision = "ALLOW", uuid = `row-${rows++}` } = fields;
  const { namespace, name } = split(owner);
  const read = readTrafficRow({
    uuid,
    pod_name: name,
    pod_namespace: namespace === "?" ? null : namespace,
    pod_ip: ip,
    pod_port: String(own),
    ip_protocol: protocol,
    traffic_type: type,
    traffic_in_out_ip: peer,
    traffic_in_out_port: String(other),
    decision,
    time_stamp: at === null ? null : zoneless(at),
  });
  if (typeof read === "string") throw new Error(read);
  return read;
}

const hostAndPort = (text: string): [string, number] => [
  text.slice(0, text.lastIndexOf(":")),
  Number(text.slice(text.lastIndexOf(":") + 1)),
];
/** `out("shop/web-1@10.0.0.1", "10.96.0.1:80")`: it dialled. */
function out(owner: string, dialled: string, fields: RowFields = {}): TrafficRow {
  const [name, ip] = owner.split("@");
  const [peer, port] = hostAndPort(dialled);
  return row(name, ip, "EGRESS", peer, [fields.from ?? 0, port], fields);
}
/** `into("shop/orders-1@10.0.0.2:8080", "10.0.0.1")`: it was connected to. */
function into(owner: string, peer: string, fields: RowFields = {}): TrafficRow {
  const [name, place] = owner.split("@");
  const [ip, port] = hostAndPort(place);
  return row(name, ip, "INGRESS", peer, [port, fields.from ?? 0], fields);
}

interface BrokerRows {
  readonly pods?: readonly Value[];
  readonly services?: readonly Value[];
  readonly now?: number;
}
const podRows = (values: readonly Value[]) => values.map((value) => readPodRow(value) as PodRow);
const serviceRows = (values: readonly Value[]) => values.map((value) => readServiceRow(value) as ServiceRow);

interface Told extends BrokerReading {
  readonly lines: string[];
  /** Names of the ports that the pods at both ends of the first connection declare; of those without, the label `app`. */
  readonly pods: (readonly unknown[])[];
}

/** What the broker's rows say in a cluster of these objects, as `simulate` would have it. */
function tell(
  objects: readonly Value[],
  traffic: readonly TrafficRow[],
  bounds: { since?: number; until?: number } = {},
  broker: BrokerRows = {},
): Told {
  const list = readManifest(JSON.stringify({ apiVersion: "v1", kind: "List", items: [...NODES, ...objects] }), "cluster.json");
  const now = START / 1000 + (broker.now ?? 5000);
  const further = brokerOnlyObjects(podRows(broker.pods ?? []), serviceRows(broker.services ?? []), traffic, list, now);
  const cluster = readCluster([...list, ...further]);
  const table = new FlowTable();
  const parties = new LoggedParties();
  const epochs = epochsOf(cluster, table);
  if (epochs !== undefined) table.epochs = epochs;
  const seconds = Object.fromEntries(Object.entries(bounds).map(([key, at]) => [key, START / 1000 + at]));
  const reading = addBrokerTraffic(traffic, cluster, { table, parties, ...seconds });
  const connections = connect(table, surroundingsOf(cluster), new L7Hints(), parties);
  const resolver = new EndpointResolver(cluster, table.addresses, new NameTable(), parties);
  const evaluator = new Evaluator([], { ...cluster, pods: [...cluster.pods, ...resolver.loggedPods] }, profileOf("generic"));
  const simulation = new Simulation(connections, table.addresses, resolver, evaluator, evaluator);
  const lines = Array.from({ length: connections.size }, (_, i) => {
    const { sourceEndpoint, destinationEndpoint, port, via, targets } = simulation.ends(i);
    const protocol = connections.protocol(i);
    const several =
      targets.length > 1 ? ` (${targets.map((each) => endText(simulation.endpointOf(each.participant, each.address))).join(", ")})` : "";
    const through = via === undefined ? "" : ` via ${via.service ?? "?"}:${via.port}`;
    const attempts = OUTCOMES.flatMap((outcome, k) => {
      const count = connections.attempts(i)[k];
      return count === 0 ? [] : [count === 1 ? outcome : `${outcome} x${count}`];
    });
    const what = hasPorts(protocol) ? `${protocolName(protocol)}/${port}` : protocolName(protocol);
    return `${endText(sourceEndpoint)} -> ${endText(destinationEndpoint)}${several} ${what}${through} ${attempts.join(" ")}${connections.isDoubtful(i) ? " ?" : ""}`;
  });
  const ends = connections.size === 0 ? [] : [simulation.ends(0).source, simulation.ends(0).targets[0]?.participant];
  const pods = ends.map((end) =>
    end?.type === "pod" ? (end.pod.ports.length > 0 ? end.pod.ports.map(({ name }) => name) : [end.pod.labels.app]) : [],
  );
  return { ...reading, lines: lines.sort(), pods };
}

function endText({ type, namespace, name, ip, why }: Endpoint): string {
  if (type === "pod") return `${namespace}/${name}`;
  if (type === "service") return `svc:${namespace}/${name}`;
  if (type === "node") return `node:${name}`;
  return type === "external" ? (ip ?? "?") : `unknown:${ip} (${why})`;
}

const WEB = pod("shop/web-1", "10.0.0.1", { labels: { app: "web" } });
const ORDERS = [1, 2, 3].map((i) => pod(`shop/orders-${i}`, `10.0.0.1${i}`, { labels: { app: "orders" } }));
const ONE = [WEB, ORDERS[0], service("shop/orders", "10.96.0.1", { app: "orders" })];
const SEVERAL = [WEB, ...ORDERS, service("shop/orders", "10.96.0.1", { app: "orders" })];

const webDials = (dialled: string, fields?: RowFields) => out("shop/web-1@10.0.0.1", dialled, fields);
const ordersTakes = (peer: string, fields?: RowFields, i = 1) => into(`shop/orders-${i}@10.0.0.1${i}:8080`, peer, fields);

describe("both ends' rows", () => {
  test.each<[string, TrafficRow[], string[]]>([
    ["are one connection", [webDials("10.0.0.11:8080"), ordersTakes("10.0.0.1")], ["shop/web-1 -> shop/orders-1 TCP/8080 established"]],
    ["are one where either is missing: the source's", [webDials("10.0.0.11:8080")], ["shop/web-1 -> shop/orders-1 TCP/8080 established"]],
    ["are one where either is missing: the destination's", [ordersTakes("10.0.0.1")], ["shop/web-1 -> shop/orders-1 TCP/8080 established"]],
    [
      "are one whatever the times",
      [webDials("10.0.0.11:8080", { at: 4000 }), ordersTakes("10.0.0.1", { at: null })],
      ["shop/web-1 -> shop/orders-1 TCP/8080 established"],
    ],
    [
      "of several ports are several",
      [webDials("10.0.0.11:8080"), webDials("10.0.0.11:9090"), ordersTakes("10.0.0.1")],
      ["shop/web-1 -> shop/orders-1 TCP/8080 established", "shop/web-1 -> shop/orders-1 TCP/9090 established"],
    ],
    ["from outside are the outside's", [ordersTakes("203.0.113.7")], ["203.0.113.7 -> shop/orders-1 TCP/8080 established"]],
    ["to the outside too", [webDials("203.0.113.7:443")], ["shop/web-1 -> 203.0.113.7 TCP/443 established"]],
    [
      "without ports are one",
      [webDials("10.0.0.11:0", { protocol: "UNKNOWN(47)" }), into("shop/orders-1@10.0.0.11:0", "10.0.0.1", { protocol: "UNKNOWN(47)" })],
      ["shop/web-1 -> shop/orders-1 47 established"],
    ],
    [
      "of ICMP are one",
      [webDials("10.0.0.11:0", { protocol: "ICMP" }), into("shop/orders-1@10.0.0.11:0", "10.0.0.1", { protocol: "ICMP" })],
      ["shop/web-1 -> shop/orders-1 ICMP established"],
    ],
    ["of IPv6 are told by IPv6 addresses", [webDials("2001:db8::1:443")], ["shop/web-1 -> 2001:db8::1 TCP/443 established"]],
    [
      "with a decision that nobody knows say nothing of the end",
      [webDials("203.0.113.7:443", { decision: "AUDIT" })],
      ["shop/web-1 -> 203.0.113.7 TCP/443 unknown"],
    ],
  ])("%s", (_, traffic, wanted) => {
    expect(tell(ONE, traffic).lines).toEqual(wanted);
  });

  test("that come twice count once", () => {
    const twice = webDials("203.0.113.7:443", { uuid: "same", decision: "DROP", from: 40001 });
    expect(tell(ONE, [twice, { ...twice }])).toMatchObject({
      rows: 1,
      connections: 1,
      outside: 0,
      lines: ["shop/web-1 -> 203.0.113.7 TCP/443 dropped"],
    });
  });
});

test("what never leaves its pod is no connection, and is counted", () => {
  const { lines, loopback } = tell([WEB], [out("shop/web-1@10.0.0.1", "127.0.0.53:53", { protocol: "UDP" })]) as Told & {
    loopback: number;
  };
  expect([lines, loopback]).toEqual([[], 1]);
});

describe("what was dropped", () => {
  test("stands beside what was allowed, each try a row", () => {
    const tries = [40001, 40002, 40003].map((from, i) => webDials("10.0.0.11:8080", { decision: "DROP", from, at: 200 + i }));
    expect(tell(ONE, [webDials("10.0.0.11:8080"), ordersTakes("10.0.0.1"), ...tries]).lines).toEqual([
      "shop/web-1 -> shop/orders-1 TCP/8080 established dropped x3",
    ]);
    expect(tell(ONE, tries).lines).toEqual(["shop/web-1 -> shop/orders-1 TCP/8080 dropped x3"]);
  });

  test("from a high port to a high port is no reply", () => {
    const dropped = out("shop/orders-1@10.0.0.11", "10.0.0.1:40001", { decision: "DROP", from: 8080 });
    expect(tell(ONE, [ordersTakes("10.0.0.1"), dropped])).toMatchObject({
      replies: 0,
      lines: ["shop/orders-1 -> shop/web-1 TCP/40001 dropped", "shop/web-1 -> shop/orders-1 TCP/8080 established"],
    });
  });

  test("on the way to a Service stays with the Service, and the allowed row of another time with its backend", () => {
    const traffic = [webDials("10.96.0.1:80"), ordersTakes("10.0.0.1"), webDials("10.96.0.1:80", { decision: "DROP", from: 40001 })];
    expect(tell(ONE, traffic).lines).toEqual([
      "shop/web-1 -> shop/orders-1 TCP/8080 via shop/orders:80 dropped",
      "shop/web-1 -> shop/orders-1 TCP/8080 via shop/orders:80 established",
    ]);
  });

  test("of ICMP is told without a type", () => {
    expect(tell(ONE, [webDials("10.0.0.11:0", { protocol: "ICMP", decision: "DROP" })]).lines).toEqual([
      "shop/web-1 -> shop/orders-1 ICMP dropped",
    ]);
  });
});

describe("a dialled Service", () => {
  const direct = "shop/web-1 -> shop/orders-1 TCP/8080 established";
  const joined = (i: number) => `shop/web-1 -> shop/orders-${i} TCP/8080 via shop/orders:80 established`;
  const unjoined = "shop/web-1 -> svc:shop/orders (shop/orders-1, shop/orders-2, shop/orders-3) TCP/80 via shop/orders:80 established";

  test.each<[string, Value[], TrafficRow[], string[]]>([
    ["and its one backend's row are one connection", ONE, [webDials("10.96.0.1:80"), ordersTakes("10.0.0.1")], [joined(1)]],
    ["leads to its one backend though that has no row", ONE, [webDials("10.96.0.1:80")], [joined(1)]],
    ["and the row of one backend of three", SEVERAL, [webDials("10.96.0.1:80"), ordersTakes("10.0.0.1", {}, 2)], [joined(2)]],
    [
      "and the rows of all backends",
      SEVERAL,
      [webDials("10.96.0.1:80"), ...[1, 2, 3].map((i) => ordersTakes("10.0.0.1", { at: 90 + i * 20 }, i))],
      [joined(1), joined(2), joined(3)],
    ],
    ["stays the Service where no backend has a row", SEVERAL, [webDials("10.96.0.1:80")], [unjoined]],
    [
      "is not joined with another client's row",
      SEVERAL,
      [webDials("10.96.0.1:80"), ordersTakes("10.0.0.13")],
      ["shop/orders-3 -> shop/orders-1 TCP/8080 established", unjoined],
    ],
    [
      "is not joined with another port of the backend",
      ONE,
      [webDials("10.96.0.1:80"), into("shop/orders-1@10.0.0.11:9090", "10.0.0.1")],
      ["shop/web-1 -> shop/orders-1 TCP/8080 via shop/orders:80 established", "shop/web-1 -> shop/orders-1 TCP/9090 established"],
    ],
    [
      "beside the backend itself: the row of the backend goes to who dialled it by its address",
      ONE,
      [webDials("10.96.0.1:80"), webDials("10.0.0.11:8080"), ordersTakes("10.0.0.1")],
      [direct, joined(1)],
    ],
    [
      "beside one backend of three",
      SEVERAL,
      [webDials("10.96.0.1:80"), webDials("10.0.0.11:8080"), ordersTakes("10.0.0.1"), ordersTakes("10.0.0.1", {}, 2)],
      [direct, joined(2)],
    ],
    [
      "with a port that it does not have",
      ONE,
      [webDials("10.96.0.1:81"), ordersTakes("10.0.0.1")],
      [direct, "shop/web-1 -> svc:shop/orders TCP/81 via shop/orders:81 established"],
    ],
    [
      "whose own pod calls it",
      ONE,
      [out("shop/orders-1@10.0.0.11", "10.96.0.1:80")],
      ["shop/orders-1 -> shop/orders-1 TCP/8080 via shop/orders:80 established"],
    ],
  ])("%s", (_, objects, traffic, wanted) => {
    expect(tell(objects, traffic).lines).toEqual(wanted);
  });

  test("of two over the same pods is the one that was dialled at the time", () => {
    const two = [...SEVERAL, service("shop/again", "10.96.0.2", { app: "orders" }, { port: 81 })];
    const traffic = [webDials("10.96.0.1:80", { at: 100 }), webDials("10.96.0.2:81", { at: 900 }), ordersTakes("10.0.0.1", { at: 901 }, 2)];
    expect(tell(two, traffic).lines).toEqual([unjoined, "shop/web-1 -> shop/orders-2 TCP/8080 via shop/again:81 established"].sort());
  });

  test("of UDP, of which backends have no rows, stays the Service with all its backends", () => {
    const dns = service("kube-system/dns", "10.96.0.10", { app: "dns" }, { port: 53, target: 53, protocol: "UDP" });
    const pods = [1, 2].map((i) => pod(`kube-system/dns-${i}`, `10.0.0.2${i}`, { labels: { app: "dns" } }));
    const asks = webDials("10.96.0.10:53", { protocol: "UDP" });
    expect(tell([WEB, dns, ...pods], [asks]).lines).toEqual([
      "shop/web-1 -> svc:kube-system/dns (kube-system/dns-1, kube-system/dns-2) UDP/53 via kube-system/dns:53 established",
    ]);
    expect(tell([WEB, dns, pods[0]], [asks]).lines).toEqual(["shop/web-1 -> kube-system/dns-1 UDP/53 via kube-system/dns:53 established"]);
  });

  test("that is headless has no address: pods are dialled themselves", () => {
    const headless = { ...service("shop/orders", "None", { app: "orders" }) };
    expect(tell([WEB, ORDERS[0], headless], [webDials("10.0.0.11:8080"), ordersTakes("10.0.0.1")]).lines).toEqual([direct]);
  });

  test("with a named port leads where the pods have it", () => {
    const named = (i: number, port: number) => {
      const made = pod(`shop/orders-${i}`, `10.0.0.1${i}`, { labels: { app: "orders" } });
      (made.spec as Value).containers = [{ name: "c", ports: [{ name: "web", containerPort: port }] }];
      return made;
    };
    const objects = [WEB, named(1, 8080), named(2, 8081), service("shop/orders", "10.96.0.1", { app: "orders" }, { target: "web" })];
    expect(
      tell(objects, [webDials("10.96.0.1:80"), ordersTakes("10.0.0.1"), into("shop/orders-2@10.0.0.12:8081", "10.0.0.1")]).lines,
    ).toEqual([joined(1), "shop/web-1 -> shop/orders-2 TCP/8081 via shop/orders:80 established"]);
  });

  test("and a backend that is gone since: what its labels say", () => {
    const gone = podRow("shop/orders-9", "10.0.0.19", { labels: { app: "orders" }, isDead: true });
    const traffic = [webDials("10.96.0.1:80"), into("shop/orders-9@10.0.0.19:8080", "10.0.0.1", { at: 101 })];
    expect(tell(SEVERAL, traffic, {}, { pods: [gone] }).lines).toEqual([
      "shop/web-1 -> shop/orders-9 TCP/8080 via shop/orders:80 established",
    ]);
    // Without its labels nobody knows whether it was one.
    expect(tell(SEVERAL, traffic).lines).toEqual([
      "shop/web-1 -> svc:shop/orders (shop/orders-1, shop/orders-2, shop/orders-3) TCP/80 via shop/orders:80 established",
      "shop/web-1 -> unknown:10.0.0.19 (was pod shop/orders-9's, of which nothing but the name is known) TCP/8080 established",
    ]);
  });

  test("and a backend that is younger than the first call: the backend's row is told by its own time", () => {
    const young = pod("shop/orders-4", "10.0.0.14", { labels: { app: "orders" }, start: 3000 });
    const traffic = [webDials("10.96.0.1:80", { at: 10 }), ordersTakes("10.0.0.1", { at: 3100 }, 4)];
    expect(tell([...SEVERAL, young], traffic).lines).toEqual([joined(4)]);
  });

  test("and a young backend with the address of a pod that was there at the first call", () => {
    const before = pod("shop/job-1", "10.0.0.14", { labels: { app: "job" }, start: -50, finished: 2000 });
    const young = pod("shop/orders-4", "10.0.0.14", { labels: { app: "orders" }, start: 3000 });
    const traffic = [webDials("10.96.0.1:80", { at: 10 }), ordersTakes("10.0.0.1", { at: 3100 }, 4)];
    expect(tell([...SEVERAL, before, young], traffic).lines).toEqual([joined(4)]);
  });

  test("deleted since is known from the broker's records", () => {
    const record = { svc_ip: "10.96.0.1", svc_name: "orders", svc_namespace: "shop", service_spec: ONE[2], time_stamp: zoneless(0) };
    expect(tell([WEB, ORDERS[0]], [webDials("10.96.0.1:80"), ordersTakes("10.0.0.1")], {}, { services: [record] }).lines).toEqual([
      joined(1),
    ]);
  });
});

test("a scan of a Service's ports costs as much as its rows, not as much as all pairs of them", () => {
  const scan = Array.from({ length: 15_000 }, (_, i) => webDials(`10.96.0.1:${1000 + i}`));
  const arrivals = Array.from({ length: 15_000 }, (_, i) => into(`shop/orders-1@10.0.0.11:${1000 + i}`, "10.0.0.1"));
  const start = performance.now();
  expect(tell(SEVERAL, [...scan, ...arrivals]).connections).toBe(30_000);
  expect(performance.now() - start).toBeLessThan(10_000);
});

/** The broker's row of a pod. */
function podRow(
  name: string,
  ip: string,
  { labels = {}, isDead = false, created = -9999, seen = undefined as number | undefined, uid = `uid-${name}`, hostNetwork = false } = {},
): Value {
  const { namespace, name: own } = split(name);
  return {
    pod_name: own,
    pod_ip: ip,
    pod_namespace: namespace,
    pod_obj: {
      apiVersion: "v1",
      kind: "Pod",
      metadata: { name: own, namespace, uid, labels, creationTimestamp: zoned(created) },
      ...(hostNetwork ? { spec: { hostNetwork } } : {}),
    },
    time_stamp: zoneless(seen ?? created),
    node_name: "node-a",
    is_dead: isDead,
  };
}

describe("halves of connections' traffic back, as older brokers stored them", () => {
  const api = pod("shop/api-1", "10.0.0.31", { labels: { app: "api" }, ports: [9000] });
  const replies = (ports: number[], fields: RowFields = {}) => ports.map((port) => out("shop/api-1@10.0.0.31", `10.0.0.1:${port}`, fields));
  const connection = "shop/web-1 -> shop/api-1 TCP/9000 established";

  test.each<[string, TrafficRow[], Partial<Told>]>([
    ["are their connection, where the server's own port is told", replies([40001], { from: 9000 }), { lines: [connection], replies: 1 }],
    [
      "are no connection beside the one that they belong to",
      [into("shop/api-1@10.0.0.31:9000", "10.0.0.1"), ...replies([40001, 40002, 40003])],
      { lines: [connection], replies: 3 },
    ],
    [
      "are known by the client's row alone",
      [webDials("10.0.0.31:9000"), ...replies([40001, 40002, 40003])],
      { lines: [connection], replies: 3 },
    ],
    [
      "are in doubt where there are few: a service of the other side is on one port",
      [webDials("10.0.0.31:9000"), ...replies([50051])],
      { lines: ["shop/api-1 -> shop/web-1 TCP/50051 established ?", connection], replies: 0 },
    ],
    [
      "are connections where nothing shows that they are replies",
      replies([40001, 40002]),
      { lines: ["shop/api-1 -> shop/web-1 TCP/40001 established", "shop/api-1 -> shop/web-1 TCP/40002 established"], replies: 0 },
    ],
    [
      "do not hide a server on a high port that says that it listens there",
      [webDials("10.0.0.31:9000"), ...replies([40001, 40002, 40003, 40004]), into("shop/web-1@10.0.0.1:40001", "10.0.0.31")],
      { lines: ["shop/api-1 -> shop/web-1 TCP/40001 established", connection], replies: 3 },
    ],
    [
      "do not hide a server on a high port with several clients",
      [webDials("10.0.0.31:9000"), ...replies([50000]), out("shop/orders-1@10.0.0.11", "10.0.0.1:50000")],
      {
        lines: ["shop/api-1 -> shop/web-1 TCP/50000 established", "shop/orders-1 -> shop/web-1 TCP/50000 established", connection].sort(),
        replies: 0,
      },
    ],
    ["are not UDP", [webDials("10.0.0.31:9000"), ...replies([40001], { protocol: "UDP" })], { replies: 0 }],
  ])("%s", (_, traffic, wanted) => {
    expect(tell([WEB, api, ORDERS[0]], traffic)).toMatchObject(wanted);
  });

  test("do not hide a high port that the cluster's objects serve", () => {
    const server = pod("shop/web-1", "10.0.0.1", { ports: [50051] });
    expect(tell([server, api], [webDials("10.0.0.31:9000"), ...replies([50051, 50052, 50053, 50054])])).toMatchObject({
      lines: ["shop/api-1 -> shop/web-1 TCP/50051 established", connection],
      replies: 3,
    });
  });

  test("are told through a Service too", () => {
    const objects = [WEB, api, service("shop/api", "10.96.0.3", { app: "api" }, { target: 9000 })];
    expect(tell(objects, [webDials("10.96.0.3:80"), ...replies([40001, 40002, 40003])])).toMatchObject({
      lines: ["shop/web-1 -> shop/api-1 TCP/9000 via shop/api:80 established"],
      replies: 3,
    });
  });

  test("are told by rows of outside --since too", () => {
    const traffic = [webDials("10.0.0.31:9000", { at: 10 }), ...replies([40001, 40002, 40003], { at: 1000 })];
    expect(tell([WEB, api], traffic, { since: 500 })).toMatchObject({ lines: [], replies: 3, outside: 1 });
  });
});

describe("whose an address was", () => {
  test("a pod that the broker alone takes for alive takes no address from a pod of the cluster", () => {
    const liar = podRow("other/liar-1", "10.0.0.11", { labels: { app: "liar" }, created: 50 });
    expect(tell([WEB, ...ORDERS], [webDials("10.0.0.11:8080", { at: 100 })], {}, { pods: [liar] }).lines).toEqual([
      "shop/web-1 -> shop/orders-1 TCP/8080 established",
    ]);
  });

  const now = pod("shop/new-1", "10.0.0.50", { labels: { app: "new" }, start: 1000 });
  const dead = podRow("shop/old-1", "10.0.0.50", { labels: { app: "old" }, isDead: true, created: 0 });

  test("a row names its pod, also one that nobody knows any more", () => {
    expect(tell([WEB, now], [out("shop/ghost-1@10.0.0.50", "10.0.0.1:80", { at: 500 })]).lines).toEqual([
      "unknown:10.0.0.50 (was pod shop/ghost-1's, of which nothing but the name is known) -> shop/web-1 TCP/80 established",
    ]);
    // Even where the cluster thinks that it knows better.
    expect(tell([WEB, now], [out("shop/ghost-1@10.0.0.50", "10.0.0.1:80", { at: 1500 })]).lines).toEqual([
      "unknown:10.0.0.50 (was pod shop/ghost-1's, of which nothing but the name is known) -> shop/web-1 TCP/80 established",
    ]);
  });

  test("both rows of a pod that nobody knows are one connection", () => {
    const traffic = [out("shop/ghost-1@10.0.0.50", "10.0.0.1:80", { at: 500 }), into("shop/web-1@10.0.0.1:80", "10.0.0.50", { at: 500.5 })];
    expect(tell([WEB, now], traffic).lines).toEqual([
      "unknown:10.0.0.50 (was pod shop/ghost-1's, of which nothing but the name is known) -> shop/web-1 TCP/80 established",
    ]);
  });

  test("an address alone is its owner's at the time", () => {
    const traffic = [webDials("10.0.0.50:80", { at: 500 }), webDials("10.0.0.50:81", { at: 1500 })];
    expect(tell([WEB, now], traffic, {}, { pods: [dead] }).lines).toEqual([
      "shop/web-1 -> shop/new-1 TCP/81 established",
      "shop/web-1 -> shop/old-1 TCP/80 established",
    ]);
    expect(tell([WEB, now], [webDials("10.0.0.50:80", { at: 500 })]).lines).toEqual([
      `shop/web-1 -> unknown:10.0.0.50 (was not yet shop/new-1's at that time (it started ${zoned(1000)})) TCP/80 established`,
    ]);
  });

  test("two pods that had one address and did the same are two", () => {
    const traffic = [
      out("shop/old-1@10.0.0.50", "10.0.0.1:80", { at: 500 }),
      out("shop/new-1@10.0.0.50", "10.0.0.1:80", { at: 1500 }),
      into("shop/web-1@10.0.0.1:80", "10.0.0.50", { at: 1501 }),
    ];
    expect(tell([WEB, now], traffic, {}, { pods: [dead] }).lines).toEqual([
      "shop/new-1 -> shop/web-1 TCP/80 established",
      "shop/old-1 -> shop/web-1 TCP/80 established",
    ]);
    const served = [webDials("10.0.0.50:80", { at: 500 }), webDials("10.0.0.50:80", { at: 1500 })];
    expect(tell([WEB, now], served, {}, { pods: [dead] }).lines).toEqual([
      "shop/web-1 -> shop/new-1 TCP/80 established",
      "shop/web-1 -> shop/old-1 TCP/80 established",
    ]);
  });

  test("a dead pod's call to a Service is not joined with what its successor's reached", () => {
    const traffic = [out("shop/old-1@10.0.0.50", "10.96.0.1:80", { at: 500 }), ordersTakes("10.0.0.50", { at: 1500 }, 2)];
    expect(tell([...SEVERAL, now], traffic, {}, { pods: [dead] }).lines).toEqual([
      "shop/new-1 -> shop/orders-2 TCP/8080 established",
      "shop/old-1 -> svc:shop/orders (shop/orders-1, shop/orders-2, shop/orders-3) TCP/80 via shop/orders:80 established",
    ]);
  });

  test("two pods of one name in turn, as a StatefulSet has them, are told apart by the address at the time", () => {
    // Ports by name tell which of both it is: the broker's copy of the dead one has none.
    const second = pod("shop/db-0", "10.0.0.50", { uid: "second", start: 1000, labels: { app: "db" } });
    (second.spec as Value).containers = [{ name: "c", ports: [{ name: "sql", containerPort: 5432 }] }];
    const first = podRow("shop/db-0", "10.0.0.8", { uid: "first", created: 0, isDead: true });
    const told = tell(
      [WEB, second],
      [webDials("10.0.0.50:5432", { at: 1500 }), into("shop/db-0@10.0.0.50:5432", "10.0.0.1", { at: 1500 })],
      {},
      { pods: [first, dead] },
    );
    expect(told.lines).toEqual(["shop/web-1 -> shop/db-0 TCP/5432 established"]);
    expect(told.pods).toEqual([["web"], ["sql"]]);
  });

  test("two pods of one name in two namespaces are two", () => {
    const objects = [WEB, pod("shop/db-0", "10.0.0.61"), pod("bank/db-0", "10.0.0.62")];
    expect(tell(objects, [out("shop/db-0@10.0.0.61", "10.0.0.1:80"), out("bank/db-0@10.0.0.62", "10.0.0.1:80")]).lines).toEqual([
      "bank/db-0 -> shop/web-1 TCP/80 established",
      "shop/db-0 -> shop/web-1 TCP/80 established",
    ]);
  });

  test("a pod's row is right before its start too: clocks differ", () => {
    const young = pod("shop/young-1", "10.0.0.70", { start: 100 });
    expect(tell([WEB, young], [out("shop/young-1@10.0.0.70", "10.0.0.1:80", { at: 80 })]).lines).toEqual([
      "shop/young-1 -> shop/web-1 TCP/80 established",
    ]);
  });

  test("rows without a time are the latest owner's, unless they name another", () => {
    const traffic = [out("shop/old-1@10.0.0.50", "10.0.0.1:80", { at: null }), webDials("10.0.0.50:80", { at: null })];
    expect(tell([WEB, now], traffic, {}, { pods: [dead] }).lines).toEqual([
      "shop/old-1 -> shop/web-1 TCP/80 established",
      "shop/web-1 -> shop/new-1 TCP/80 established",
    ]);
  });

  describe("where the row tells no namespace", () => {
    const objects = [WEB, pod("shop/db-0", "10.0.0.61"), pod("bank/db-0", "10.0.0.62"), now];
    test.each<[string, TrafficRow, string]>([
      ["name and address together tell the pod", out("?/db-0@10.0.0.62", "10.0.0.1:80"), "bank/db-0 -> shop/web-1 TCP/80 established"],
      ["at a reused address too", out("?/old-1@10.0.0.50", "10.0.0.1:80", { at: 1500 }), "shop/old-1 -> shop/web-1 TCP/80 established"],
      [
        "a name that nobody at the address has is nobody's",
        out("?/ghost-1@10.0.0.61", "10.0.0.1:80"),
        "unknown:10.0.0.61 (was pod ?/ghost-1's, of which nothing but the name is known) -> shop/web-1 TCP/80 established",
      ],
    ])("%s", (_, traffic, wanted) => {
      expect(tell(objects, [traffic], {}, { pods: [dead] }).lines).toEqual([wanted]);
    });
  });

  describe("of a node", () => {
    const agents = ["agent-1", "agent-2"].map((name) => pod(`kube-system/${name}`, "192.168.0.1", { hostNetwork: true }));
    test("a pod on the host network says so itself, the node's address alone is the node's", () => {
      const traffic = [out("kube-system/agent-1@192.168.0.1", "10.0.0.1:80"), into("shop/web-1@10.0.0.1:81", "192.168.0.1")];
      expect(tell([WEB, ...agents], traffic).lines).toEqual([
        "kube-system/agent-1 -> shop/web-1 TCP/80 established",
        "node:node-a -> shop/web-1 TCP/81 established",
      ]);
    });

    test("what a pod on the host network takes is told from both ends", () => {
      const traffic = [webDials("192.168.0.1:9100"), into("kube-system/agent-2@192.168.0.1:9100", "10.0.0.1")];
      expect(tell([WEB, ...agents], traffic).lines).toEqual(["shop/web-1 -> kube-system/agent-2 TCP/9100 established"]);
      expect(tell([WEB, ...agents], [webDials("192.168.0.1:9100")]).lines).toEqual(["shop/web-1 -> node:node-a TCP/9100 established"]);
    });

    test("of two pods that listened on one port of it in turn, the one at the time", () => {
      const traffic = [
        into("kube-system/agent-1@192.168.0.1:9100", "10.0.0.1", { at: 100 }),
        into("kube-system/agent-2@192.168.0.1:9100", "10.0.0.11", { at: 1000 }),
        webDials("192.168.0.1:9100", { at: 100 }),
        out("shop/orders-1@10.0.0.11", "192.168.0.1:9100", { at: 1001 }),
      ];
      const wanted = [
        "shop/orders-1 -> kube-system/agent-2 TCP/9100 established",
        "shop/web-1 -> kube-system/agent-1 TCP/9100 established",
      ];
      expect(tell([WEB, ORDERS[0], ...agents], traffic).lines).toEqual(wanted);
      expect(tell([WEB, ORDERS[0], ...agents], traffic.toReversed()).lines).toEqual(wanted);
    });

    test("a pod on the host network that nobody knows does not hide the node", () => {
      const traffic = [out("kube-system/gone-1@192.168.0.1", "10.0.0.1:80"), webDials("192.168.0.1:10250")];
      expect(tell([WEB], traffic).lines).toEqual([
        "shop/web-1 -> node:node-a TCP/10250 established",
        "unknown:192.168.0.1 (was pod kube-system/gone-1's, of which nothing but the name is known) -> shop/web-1 TCP/80 established",
      ]);
    });
  });
});

describe("--since and --until", () => {
  const traffic = [
    webDials("203.0.113.1:443", { at: 0 }),
    webDials("203.0.113.2:443", { at: 10.5 }),
    webDials("203.0.113.3:443", { at: null }),
  ];
  test.each<[string, { since?: number; until?: number }, number[], number]>([
    ["without bounds", {}, [1, 2, 3], 0],
    ["since", { since: 5 }, [2, 3], 1],
    ["until", { until: 5 }, [1, 3], 1],
    ["at the bound", { since: 10.5, until: 10.5 }, [2, 3], 1],
    ["by fractions", { since: 10.501 }, [3], 2],
    ["rows without a time are in", { since: 100, until: 200 }, [3], 2],
  ])("%s", (_, bounds, wanted, outside) => {
    const told = tell(ONE, traffic, bounds);
    expect(told.lines).toEqual(wanted.map((i) => `shop/web-1 -> 203.0.113.${i} TCP/443 established`));
    expect(told).toMatchObject({ outside, rows: wanted.length });
  });

  test("rows that came twice lie nowhere outside", () => {
    expect(tell(ONE, [...traffic, ...traffic], { since: 5 })).toMatchObject({ outside: 1, rows: 2 });
  });
});

test("the order of rows changes nothing", () => {
  const objects = [
    ...SEVERAL,
    service("shop/again", "10.96.0.2", { app: "orders" }),
    pod("shop/api-1", "10.0.0.31", { ports: [9000] }),
    pod("shop/new-1", "10.0.0.50", { start: 1000 }),
    pod("kube-system/agent-1", "192.168.0.1", { hostNetwork: true }),
    pod("kube-system/agent-2", "192.168.0.1", { hostNetwork: true }),
  ];
  const dead = podRow("shop/old-1", "10.0.0.50", { isDead: true, created: 0 });
  const sources = [
    "shop/web-1@10.0.0.1",
    "shop/old-1@10.0.0.50",
    "shop/new-1@10.0.0.50",
    "shop/ghost-1@10.0.0.50",
    "?/web-1@10.0.0.1",
    "shop/api-1@10.0.0.31",
  ];
  const at = fc.constantFrom(null, 90, 100, 500, 1100);
  const decision = fc.constantFrom("ALLOW", "ALLOW", "DROP", "other");
  const dialled = fc.constantFrom(
    "10.96.0.1:80",
    "10.96.0.2:80",
    "10.0.0.12:8080",
    "10.0.0.50:80",
    "10.0.0.1:40001",
    "10.0.0.1:40002",
    "192.168.0.1:9100",
    "203.0.113.1:443",
  );
  const servers = fc.constantFrom(
    "shop/orders-1@10.0.0.11:8080",
    "shop/orders-2@10.0.0.12:8080",
    "shop/new-1@10.0.0.50:80",
    "shop/api-1@10.0.0.31:9000",
    "kube-system/agent-1@192.168.0.1:9100",
    "kube-system/agent-2@192.168.0.1:9100",
    "shop/web-1@10.0.0.1:40001",
  );
  const one = fc.oneof(
    fc
      .tuple(fc.constantFrom(...sources), dialled, at, decision, fc.constantFrom(0, 9000))
      .map(([source, to, when, what, from]) => out(source, to, { at: when, decision: what, from })),
    fc
      .tuple(servers, fc.constantFrom("10.0.0.1", "10.0.0.50", "10.0.0.31", "192.168.0.1", "203.0.113.1"), at)
      .map(([server, peer, when]) => into(server, peer, { at: when })),
  );
  const traffic = fc.array(one, { maxLength: 14 });
  fc.assert(
    fc.property(
      traffic.chain((all) => fc.tuple(fc.constant(all), fc.shuffledSubarray(all, { minLength: all.length, maxLength: all.length }))),
      ([all, shuffled]) => {
        expect(tell(objects, shuffled, {}, { pods: [dead] })).toEqual(tell(objects, all, {}, { pods: [dead] }));
        expect(tell(objects, [...all, ...shuffled], {}, { pods: [dead] })).toEqual(tell(objects, all, {}, { pods: [dead] }));
      },
    ),
    { numRuns: 200 },
  );
});

describe("objects that only the broker knows", () => {
  interface Made {
    readonly metadata: Value & { readonly deletionTimestamp?: string };
    readonly status?: { readonly podIP?: string; readonly startTime?: string };
  }
  const objectsOf = (
    objects: readonly Value[],
    pods: readonly Value[],
    services: readonly Value[] = [],
    traffic: readonly TrafficRow[] = [],
  ) => {
    const list = readManifest(JSON.stringify({ apiVersion: "v1", kind: "List", items: objects }), "cluster.json");
    return brokerOnlyObjects(podRows(pods), serviceRows(services), traffic, list, START / 1000 + 5000).map(
      ({ value }) => value as unknown as Made,
    );
  };
  /** `10.0.0.50 from 0 to 1000`, in seconds after the beginning. */
  const lives = (made: readonly Made[]) => {
    const at = (text: string | undefined) => (text === undefined ? "?" : String((Date.parse(text) - START) / 1000));
    return made.map(
      ({ metadata, status }) => `${status?.podIP ?? "nowhere"} from ${at(status?.startTime)} to ${at(metadata.deletionTimestamp)}`,
    );
  };
  const old = { labels: { app: "old" }, isDead: true, created: 0 };
  const dead = podRow("shop/old-1", "10.0.0.50", old);

  test.each<[string, Value[], Value[], string[]]>([
    [
      "a dead pod had its address until its successor began",
      [pod("shop/new-1", "10.0.0.50", { start: 1000 })],
      [dead],
      ["10.0.0.50 from 0 to 1000"],
    ],
    ["or until now", [], [dead], ["10.0.0.50 from 0 to 5000"]],
    [
      "or until the first of several successors",
      [pod("shop/new-2", "10.0.0.50", { start: 2000 }), pod("shop/new-1", "10.0.0.50", { start: 1000 })],
      [dead],
      ["10.0.0.50 from 0 to 1000"],
    ],
    [
      "it has none where the successor's start is unknown",
      [pod("shop/new-1", "10.0.0.50", { start: null })],
      [dead],
      ["nowhere from 0 to ?"],
    ],
    [
      "nor where the other was there before it and still is",
      [pod("shop/new-1", "10.0.0.50", { start: -10 })],
      [dead],
      ["nowhere from 0 to ?"],
    ],
    [
      "it has one where the other had finished by then",
      [pod("shop/job-1", "10.0.0.50", { start: -100, finished: -50 })],
      [dead],
      ["10.0.0.50 from 0 to 5000"],
    ],
    ["a live pod that the cluster lacks is live", [], [podRow("shop/a", "10.0.0.9", { created: 5 })], ["10.0.0.9 from 5 to ?"]],
    ["what the cluster knows is left to it", [pod("shop/a", "10.0.0.9", { uid: "uid-shop/a" })], [podRow("shop/a", "10.0.0.9")], []],
    ["also where either tells no uid", [pod("shop/a", "10.0.0.9")], [podRow("shop/a", "10.0.0.9")], []],
    [
      "another pod of that name is one that was replaced, whatever the broker says",
      [pod("shop/db-0", "10.0.0.9", { uid: "second", start: 700 })],
      [podRow("shop/db-0", "10.0.0.8", { uid: "first", created: 0 })],
      ["10.0.0.8 from 0 to 5000"],
    ],
    [
      "at the same address it ended where the next one began",
      [pod("shop/db-0", "10.0.0.9", { uid: "second", start: 700 })],
      [podRow("shop/db-0", "10.0.0.9", { uid: "first", created: 0 })],
      ["10.0.0.9 from 0 to 700"],
    ],
    [
      "a pod of that name in another namespace is another",
      [pod("bank/db-0", "10.0.0.9", { uid: "x" })],
      [podRow("shop/db-0", "10.0.0.8", { uid: "y", created: 0 })],
      ["10.0.0.8 from 0 to ?"],
    ],
    [
      "a row without a namespace or an object gives none",
      [],
      [
        { ...dead, pod_namespace: null },
        { ...dead, pod_obj: null },
      ],
      [],
    ],
    ["a pod without an address has none", [], [{ ...dead, pod_ip: "pending" }], ["nowhere from 0 to 5000"]],
    [
      "a node's address says nothing of when a host-network pod ended",
      [pod("x/y", "192.168.0.1", { hostNetwork: true })],
      [podRow("a/b", "192.168.0.1", { ...old, hostNetwork: true })],
      ["192.168.0.1 from 0 to 5000"],
    ],
  ])("%s", (_, objects, pods, wanted) => {
    expect(lives(objectsOf(objects, pods))).toEqual(wanted);
  });

  test("a pod began by its creation, the broker's record or its first row, whichever is first", () => {
    const rowsAt = (...times: number[]) => times.map((at) => out("shop/old-1@10.0.0.50", "10.0.0.1:80", { at }));
    expect(lives(objectsOf([], [podRow("shop/old-1", "10.0.0.50", { created: 300, seen: 200 })], [], rowsAt(500, 100.5, 400)))).toEqual([
      "10.0.0.50 from 100 to ?",
    ]);
    expect(lives(objectsOf([], [podRow("shop/old-1", "10.0.0.50", { created: 300, seen: 200 })], [], rowsAt(500)))).toEqual([
      "10.0.0.50 from 200 to ?",
    ]);
    const bare = { ...dead, pod_obj: { metadata: {} }, time_stamp: null };
    expect(lives(objectsOf([], [bare]))).toEqual(["10.0.0.50 from ? to 5000"]);
  });

  const record = (name: string, ip: string) => ({
    svc_ip: ip,
    svc_name: split(name).name,
    svc_namespace: split(name).namespace,
    service_spec: service(name, ip, { app: "orders" }),
    time_stamp: "",
  });
  test("Services: those that were deleted, unless their address is another's now", () => {
    const live = service("shop/orders", "10.96.0.1", { app: "orders" });
    expect(objectsOf([live], [], [record("shop/orders", "10.96.0.1")])).toEqual([]);
    expect(objectsOf([live], [], [record("shop/orders", "10.96.0.9")])).toEqual([]);
    expect(objectsOf([live], [], [record("shop/other", "10.96.0.1")])).toEqual([]);
    expect(objectsOf([live], [], [record("bank/orders", "10.96.0.2")])).toMatchObject([
      { metadata: { namespace: "bank", name: "orders" } },
    ]);
  });

  test("whatever the broker's objects hold, a cluster can be read of it", () => {
    const odd = fc.jsonValue();
    fc.assert(
      fc.property(odd, odd, odd, (a, b, c) => {
        const pods = [
          { ...dead, pod_obj: { metadata: a, spec: b } },
          { ...dead, pod_obj: { metadata: { labels: a, uid: b, ownerReferences: c, creationTimestamp: b } } },
        ];
        const services = [
          { ...record("a/b", "10.96.0.7"), service_spec: { metadata: a, spec: b } },
          { ...record("a/c", "x"), service_spec: { spec: { clusterIP: a, clusterIPs: b, ports: c } } },
        ];
        const read = services.map(readServiceRow).filter((each) => typeof each !== "string");
        readCluster(brokerOnlyObjects(podRows(pods), read, [], [], 1e9));
      }),
    );
  });
});
