import type { Addresses } from "./lanes.ts";

/*
 * The cluster that the benchmark captures are of: 8 nodes, about 200 pods in 11 namespaces, their Services, hosts outside.
 * Fixed, without chance, so that captures, snapshot and policies fit one another.
 */

/** When the captures start. Pods are older. */
export const startSeconds = Date.UTC(2026, 10, 2, 10) / 1000;
export const nodeCount = 8;
export const applications = ["shop", "payments", "catalog", "orders", "search", "mail", "media", "auth"] as const;

export interface PortSpec {
  readonly name: string;
  readonly port: number;
  readonly protocol: "TCP" | "UDP";
}

/** What pods are made of. `service` is the port that clients dial; absent: no Service. */
interface WorkloadSpec {
  readonly name: string;
  readonly kind: "Deployment" | "StatefulSet" | "DaemonSet";
  readonly replicas: number;
  readonly ports: readonly PortSpec[];
  readonly service?: number;
  readonly hostNetwork?: boolean;
}

export interface WorldPod extends Addresses {
  readonly name: string;
  readonly node: number;
}

export interface WorldWorkload extends WorkloadSpec {
  readonly namespace: string;
  readonly pods: readonly WorldPod[];
  /** What clients of its Service dial; valid where `service` is set. */
  readonly clusterAddress: Addresses;
}

/** A host outside, known by name. */
export interface OutsideHost extends Addresses {
  readonly name: string;
  readonly node: -1;
}

const metrics: PortSpec = { name: "metrics", port: 9102, protocol: "TCP" };
const http: PortSpec = { name: "http", port: 8080, protocol: "TCP" };

const tiers: readonly WorkloadSpec[] = [
  { name: "web", kind: "Deployment", replicas: 5, ports: [http, metrics], service: 80 },
  { name: "api", kind: "Deployment", replicas: 6, ports: [http, metrics], service: 80 },
  { name: "worker", kind: "Deployment", replicas: 4, ports: [metrics] },
  { name: "db", kind: "StatefulSet", replicas: 3, ports: [{ name: "postgres", port: 5432, protocol: "TCP" }, metrics], service: 5432 },
  { name: "cache", kind: "StatefulSet", replicas: 3, ports: [{ name: "redis", port: 6379, protocol: "TCP" }, metrics], service: 6379 },
];

const shared: readonly (readonly [namespace: string, spec: WorkloadSpec])[] = [
  ["ingress", { name: "nginx", kind: "Deployment", replicas: 4, ports: [{ name: "https", port: 8443, protocol: "TCP" }], service: 443 }],
  [
    "monitoring",
    { name: "prometheus", kind: "StatefulSet", replicas: 2, ports: [{ name: "web", port: 9090, protocol: "TCP" }], service: 9090 },
  ],
  [
    "monitoring",
    { name: "collector", kind: "DaemonSet", replicas: nodeCount, ports: [{ name: "statsd", port: 8125, protocol: "UDP" }], service: 8125 },
  ],
  [
    "kube-system",
    {
      name: "kube-dns",
      kind: "Deployment",
      replicas: 2,
      ports: [
        { name: "dns", port: 53, protocol: "UDP" },
        { name: "dns-tcp", port: 53, protocol: "TCP" },
      ],
      service: 53,
    },
  ],
  ["kube-system", { name: "kube-proxy", kind: "DaemonSet", replicas: nodeCount, ports: [], hostNetwork: true }],
];

/** The node's own address, in `/24` 192.168.10.0. */
export function nodeAddresses(node: number): Addresses {
  return { v4: Uint8Array.of(192, 168, 10, 10 + node), v6: v6Of([0xfd00, 0x192, 0x168, 10], 10 + node) };
}

/** The first address of the node's pod range, which its bridge has: health probes come from it. */
export function gatewayAddresses(node: number): Addresses {
  return { v4: Uint8Array.of(10, 244, node, 1), v6: v6Of([0xfd00, 0x10, 0x244, node], 1) };
}

/** Every workload with its pods, spread over the nodes in turn. */
export const workloads: readonly WorldWorkload[] = makeWorkloads();

/** Hosts on documentation addresses (RFC 5737, RFC 3849); every fourth is also reached by IPv6. */
export const outsideHosts: readonly OutsideHost[] = Array.from({ length: 120 }, (_, i) => ({
  name: `api-${i}.example.com`,
  node: -1,
  v4: i < 60 ? Uint8Array.of(203, 0, 113, 1 + i) : Uint8Array.of(198, 51, 100, 1 + i - 60),
  ...(i % 4 === 0 ? { v6: v6Of([0x2001, 0xdb8, 0, 0], i + 1) } : {}),
}));

export function workload(namespace: string, name: string): WorldWorkload {
  return workloads.find((each) => each.namespace === namespace && each.name === name)!;
}

export function v4Text(address: Uint8Array): string {
  return address.join(".");
}

/** Text with every group written out or zeros shortened at the one place where ours have them. */
export function v6Text(address: Uint8Array): string {
  const groups: string[] = [];
  for (let i = 0; i < 16; i += 2) groups.push(((address[i] << 8) | address[i + 1]).toString(16));
  return groups.join(":").replace(/(^|:)0(:0)+(:|$)/, "::");
}

function makeWorkloads(): WorldWorkload[] {
  const specs = [...applications.flatMap((namespace) => tiers.map((spec) => [namespace, spec] as const)), ...shared];
  const nextHost = new Array<number>(nodeCount).fill(10);
  let nextNode = 0;
  return specs.map(([namespace, spec], index) => {
    const hash = hashText(`${namespace}/${spec.name}`);
    const pods = Array.from({ length: spec.replicas }, (_, replica): WorldPod => {
      const node = spec.kind === "DaemonSet" ? replica : nextNode++ % nodeCount;
      const name = podName(spec, hash, replica);
      if (spec.hostNetwork) return { name, node, ...nodeAddresses(node) };
      const host = nextHost[node]++;
      return { name, node, v4: Uint8Array.of(10, 244, node, host), v6: v6Of([0xfd00, 0x10, 0x244, node], host) };
    });
    const host = spec.name === "kube-dns" ? 10 : 20 + index;
    const clusterAddress = { v4: Uint8Array.of(10, 96, 0, host), v6: v6Of([0xfd00, 0x10, 0x96, 0], host) };
    return { ...spec, namespace, pods, clusterAddress };
  });
}

/** The ReplicaSet hash of a Deployment's pods: only letters and digits that Kubernetes uses for it. */
export function templateHash(namespace: string, name: string): string {
  return hashText(`${namespace}/${name}`);
}

function podName(spec: WorkloadSpec, hash: string, replica: number): string {
  if (spec.kind === "StatefulSet") return `${spec.name}-${replica}`;
  const suffix = hashText(`${hash}${replica}`).slice(0, 5);
  return spec.kind === "Deployment" ? `${spec.name}-${hash}-${suffix}` : `${spec.name}-${suffix}`;
}

function hashText(text: string): string {
  const letters = "bcdfghjklmnpqrstvwxz2456789";
  let state = 2166136261;
  let result = "";
  for (let round = 0; round < 9; round++) {
    for (let i = 0; i < text.length; i++) state = Math.imul(state ^ text.charCodeAt(i), 16777619) >>> 0;
    result += letters[(state >>> 8) % letters.length];
  }
  return result;
}

function v6Of(groups: readonly number[], host: number): Uint8Array {
  const address = new Uint8Array(16);
  groups.forEach((group, i) => {
    address[i * 2] = group >> 8;
    address[i * 2 + 1] = group;
  });
  address[14] = host >> 8;
  address[15] = host;
  return address;
}
