/*
 * A small cluster in code, and what its broker recorded: `web` calls the Service `orders`, `orders` its database, both ask DNS, and
 * an address outside was denied. Rows have the shapes of the kguardian broker 1.12.4.
 */

type PlainObject = Record<string, unknown>;

/** A row of `/pod/traffic`. Every field but `uuid` and `time_stamp` may be null. */
export interface TrafficRow {
  readonly uuid: string;
  readonly pod_name: string | null;
  readonly pod_namespace: string | null;
  readonly pod_ip: string | null;
  readonly pod_port: string | null;
  readonly ip_protocol: string | null;
  readonly traffic_type: string | null;
  readonly traffic_in_out_ip: string | null;
  readonly traffic_in_out_port: string | null;
  readonly decision: string | null;
  /** UTC without a zone. */
  readonly time_stamp: string;
}

/** A row of `/pod/info`. */
export interface PodRow {
  readonly pod_name: string;
  readonly pod_ip: string;
  readonly pod_namespace: string | null;
  readonly pod_obj: PlainObject | null;
  readonly time_stamp: string;
  readonly node_name: string;
  readonly is_dead: boolean;
  readonly pod_identity: string | null;
  readonly workload_selector_labels: Readonly<Record<string, string>> | null;
}

/** A row of `/svc/info`. */
export interface ServiceRow {
  readonly svc_ip: string;
  readonly svc_name: string | null;
  readonly svc_namespace: string | null;
  readonly service_spec: PlainObject | null;
  readonly time_stamp: string;
}

/** The answer of `/version`. */
export interface VersionBody {
  readonly broker: string;
  readonly chart: string;
  readonly telemetry_enabled: boolean;
  readonly latest: string | null;
  readonly checked_at: string | null;
  readonly update_available: boolean;
}

export const VERSION: VersionBody = {
  broker: "1.12.4",
  chart: "unknown",
  telemetry_enabled: false,
  latest: null,
  checked_at: null,
  update_available: false,
};

const CREATED = "2026-11-20T07:59:00Z";
const SEEN = "2026-11-20T07:59:20";
const NODE = { name: "node-a", ip: "192.168.10.11" };

let rows = 0;
const uuidOf = (number: number) => `00000000-0000-4000-8000-${number.toString(16).padStart(12, "0")}`;

/** A row: TCP to port 5432 that the pod `shop/orders-0` dialled and was allowed, but for the given fields. Each is a second younger. */
export function trafficRow(fields: Partial<TrafficRow> = {}): TrafficRow {
  const number = ++rows;
  return {
    uuid: uuidOf(number),
    pod_name: "orders-0",
    pod_namespace: "shop",
    pod_ip: "10.244.1.11",
    pod_port: "0",
    ip_protocol: "TCP",
    traffic_type: "EGRESS",
    traffic_in_out_ip: "10.244.1.12",
    traffic_in_out_port: "5432",
    decision: "ALLOW",
    time_stamp: new Date(Date.UTC(2026, 10, 20, 8, 0, number)).toISOString().slice(0, 19),
    ...fields,
  };
}

/** The broker's row of a Pod: its object without status and containers. */
export function podRow(pod: PlainObject, fields: Partial<PodRow> = {}): PodRow {
  const { apiVersion, kind, metadata, spec, status } = pod as { [key: string]: PlainObject };
  return {
    pod_name: String(metadata.name),
    pod_ip: String(status.podIP),
    pod_namespace: String(metadata.namespace),
    pod_obj: { apiVersion, kind, metadata, ...(spec.hostNetwork === undefined ? {} : { spec: { hostNetwork: spec.hostNetwork } }) },
    time_stamp: SEEN,
    node_name: String(spec.nodeName),
    is_dead: false,
    pod_identity: null,
    workload_selector_labels: null,
    ...fields,
  };
}

/** The broker's row of a Service: the whole object without status. */
export function serviceRow(service: PlainObject, fields: Partial<ServiceRow> = {}): ServiceRow {
  const { apiVersion, kind, metadata, spec } = service as { [key: string]: PlainObject };
  return {
    svc_ip: String(spec.clusterIP),
    svc_name: String(metadata.name),
    svc_namespace: String(metadata.namespace),
    service_spec: { apiVersion, kind, metadata, spec },
    time_stamp: SEEN,
    ...fields,
  };
}

interface Port {
  readonly name: string;
  readonly port: number;
  readonly protocol?: "TCP" | "UDP";
}
/** A workload of one pod with a Service in front of it. */
interface Part {
  readonly namespace: string;
  readonly name: string;
  readonly ip: string;
  readonly serviceIP: string;
  readonly labels?: Readonly<Record<string, string>>;
  /** What the Service is dialled by, and what the pod listens on. */
  readonly ports: readonly (Port & { readonly target: number })[];
}

const BROKER_LABELS = { "app.kubernetes.io/name": "kguardian", "app.kubernetes.io/component": "broker" };
const DNS = [
  { name: "dns", port: 53, target: 53, protocol: "UDP" },
  { name: "dns-tcp", port: 53, target: 53, protocol: "TCP" },
] as const;
const http = (port: number, target: number) => [{ name: "http", port, target }];
const PARTS: readonly Part[] = [
  { namespace: "shop", name: "web", ip: "10.244.1.10", serviceIP: "10.96.0.10", ports: http(80, 8080) },
  { namespace: "shop", name: "orders", ip: "10.244.1.11", serviceIP: "10.96.0.11", ports: http(80, 9000) },
  { namespace: "shop", name: "db", ip: "10.244.1.12", serviceIP: "10.96.0.12", ports: [{ name: "sql", port: 5432, target: 5432 }] },
  { namespace: "kube-system", name: "dns", ip: "10.244.1.2", serviceIP: "10.96.0.53", ports: DNS },
  { namespace: "kguardian", name: "broker", ip: "10.244.1.15", serviceIP: "10.96.0.90", labels: BROKER_LABELS, ports: http(9090, 9090) },
];

/** The objects of a part: StatefulSet, Pod, Service, EndpointSlice. */
function objectsOf({ namespace, name, ip, serviceIP, labels = { app: name }, ports }: Part, index: number): PlainObject[] {
  const podName = `${name}-0`;
  const [setUid, podUid, serviceUid] = [1, 2, 3].map((kind) => uuidOf(0xfff000 + index * 16 + kind));
  const protocolOf = (port: Port) => port.protocol ?? "TCP";
  const containerPorts = ports.map((port) => ({ name: port.name, containerPort: port.target, protocol: protocolOf(port) }));
  const containers = [{ name, image: `registry.example/${name}:1`, ports: containerPorts }];
  const owner = { apiVersion: "apps/v1", kind: "StatefulSet", name, uid: setUid, controller: true, blockOwnerDeletion: true };
  const targetRef = { kind: "Pod", namespace, name: podName, uid: podUid };
  return [
    {
      apiVersion: "apps/v1",
      kind: "StatefulSet",
      metadata: { name, namespace, uid: setUid, labels },
      spec: { replicas: 1, serviceName: name, selector: { matchLabels: labels }, template: { metadata: { labels }, spec: { containers } } },
    },
    {
      apiVersion: "v1",
      kind: "Pod",
      metadata: { name: podName, namespace, uid: podUid, creationTimestamp: CREATED, labels, ownerReferences: [owner] },
      spec: { nodeName: NODE.name, containers },
      status: {
        phase: "Running",
        hostIP: NODE.ip,
        podIP: ip,
        podIPs: [{ ip }],
        startTime: CREATED,
        conditions: [{ type: "Ready", status: "True" }],
      },
    },
    {
      apiVersion: "v1",
      kind: "Service",
      metadata: { name, namespace, uid: serviceUid, labels },
      spec: {
        type: "ClusterIP",
        clusterIP: serviceIP,
        clusterIPs: [serviceIP],
        selector: labels,
        ports: ports.map((port) => ({ name: port.name, port: port.port, protocol: protocolOf(port), targetPort: port.target })),
      },
    },
    {
      apiVersion: "discovery.k8s.io/v1",
      kind: "EndpointSlice",
      metadata: { name: `${name}-1`, namespace, labels: { "kubernetes.io/service-name": name } },
      addressType: "IPv4",
      endpoints: [{ addresses: [ip], conditions: { ready: true }, nodeName: NODE.name, targetRef }],
      ports: ports.map((port) => ({ name: port.name, port: port.target, protocol: protocolOf(port) })),
    },
  ];
}

const parts = PARTS.flatMap(objectsOf);
const ofKind = (kind: string) => parts.filter((object) => object.kind === kind);

/** The cluster as a v1 List, to be loaded into a live cluster or given as a snapshot. */
export const CLUSTER: { readonly apiVersion: "v1"; readonly kind: "List"; readonly items: readonly PlainObject[] } = {
  apiVersion: "v1",
  kind: "List",
  items: [
    ...[...new Set(PARTS.map((part) => part.namespace))].map((name) => ({
      apiVersion: "v1",
      kind: "Namespace",
      metadata: { name, labels: { "kubernetes.io/metadata.name": name } },
    })),
    {
      apiVersion: "v1",
      kind: "Node",
      metadata: { name: NODE.name, labels: { "kubernetes.io/hostname": NODE.name, "kubernetes.io/os": "linux" } },
      spec: { podCIDR: "10.244.1.0/24", podCIDRs: ["10.244.1.0/24"] },
      status: {
        addresses: [
          { type: "InternalIP", address: NODE.ip },
          { type: "Hostname", address: NODE.name },
        ],
      },
    },
    ...parts,
  ],
};

export const POD_INFO: readonly PodRow[] = ofKind("Pod").map((pod) => podRow(pod));
export const SERVICE_INFO: readonly ServiceRow[] = ofKind("Service").map((service) => serviceRow(service));

const webDials = { pod_name: "web-0", pod_ip: "10.244.1.10" };
export const TRAFFIC: readonly TrafficRow[] = [
  trafficRow({ ...webDials, ip_protocol: "UDP", traffic_in_out_ip: "10.96.0.53", traffic_in_out_port: "53" }),
  trafficRow({ ...webDials, traffic_in_out_ip: "10.96.0.11", traffic_in_out_port: "80" }),
  trafficRow({ traffic_type: "INGRESS", pod_port: "9000", traffic_in_out_ip: "10.244.1.10", traffic_in_out_port: "0" }),
  trafficRow({ ip_protocol: "UDP", traffic_in_out_ip: "10.96.0.53", traffic_in_out_port: "53" }),
  trafficRow({ traffic_in_out_ip: "10.96.0.12" }),
  trafficRow({
    pod_name: "db-0",
    pod_ip: "10.244.1.12",
    traffic_type: "INGRESS",
    pod_port: "5432",
    traffic_in_out_ip: "10.244.1.11",
    traffic_in_out_port: "0",
  }),
  trafficRow({ ...webDials, traffic_in_out_ip: "203.0.113.7", traffic_in_out_port: "443", decision: "DROP" }),
];
