import fc from "fast-check";
import type { OracleNode, OraclePod, Resources } from "../oracle/obviousEvaluator.ts";
import { labelsOf, some } from "../oracle/worlds.ts";
import type { SeenFlow } from "./world.ts";

/*
 * Random clusters of workloads and what was seen in them: labels that collide, contain one another or are missing, pods on the host
 * network, dual stack, Services, outside addresses beside one another, every kind of ending.
 */

export interface Learnable {
  readonly resources: Resources;
  readonly flows: readonly SeenFlow[];
  /** Objects besides: Deployments and Services. */
  readonly objects: readonly object[];
}

const NAMESPACES = ["a", "b"];
const LABELS = { app: ["web", "api", "db"], tier: ["1", "2"], on: ["yes"] };
const PORTS = [80, 81, 82, 443, 5432, 8080, 40000, 40002, 45000, 50000, 53, 65535];
const OUTSIDE = ["203.0.113.6", "203.0.113.7", "203.0.113.8", "198.51.100.1", "0.0.0.0", "255.255.255.255", "2001:db8::7", "2001:db8::6"];
const PROTOCOLS = ["TCP", "TCP", "TCP", "UDP", "SCTP", "ICMP"];
const OBSERVED = ["established", "established", "established", "established", "unknown", "refused", "unanswered", "dropped"] as const;

interface Shape {
  readonly namespace: string;
  readonly labels: Record<string, string>;
  readonly replicas: number;
  readonly ports: readonly { readonly name?: string; readonly containerPort: number; readonly protocol: string }[];
  readonly hostNetwork: boolean;
  readonly isOwned: boolean;
  readonly isDual: boolean;
}

const shape: fc.Arbitrary<Shape> = fc.record({
  namespace: some(NAMESPACES),
  labels: labelsOf(LABELS),
  replicas: fc.integer({ min: 1, max: 3 }),
  ports: fc.subarray([
    { name: "http", containerPort: 80, protocol: "TCP" },
    { name: "http", containerPort: 8080, protocol: "TCP" },
    { name: "dns", containerPort: 53, protocol: "UDP" },
    { containerPort: 5432, protocol: "TCP" },
  ]),
  hostNetwork: fc.integer({ min: 0, max: 9 }).map((n) => n === 0),
  isOwned: fc.boolean(),
  isDual: fc.boolean(),
});

const NODES: readonly OracleNode[] = [
  { name: "n0", ips: ["192.168.0.4", "fd00:1::4"] },
  { name: "n1", ips: ["192.168.0.5"] },
];

function podsOf(shapes: readonly Shape[]): OraclePod[] {
  let next = 0;
  return shapes.flatMap(({ namespace, labels, replicas, ports, hostNetwork, isDual }, w) =>
    Array.from({ length: replicas }, (_, r): OraclePod => {
      const number = next++;
      const node = NODES[number % NODES.length];
      const ip = hostNetwork ? node.ips[0] : `10.244.0.${number + 1}`;
      const ips = hostNetwork || !isDual ? [ip] : [ip, `fd00:2::${(number + 1).toString(16)}`];
      return {
        namespace,
        name: `w${w}-5d78c9869d-${r}`,
        labels: { ...labels, "pod-template-hash": "5d78c9869d" },
        ip,
        ips,
        ports: hostNetwork ? [] : ports,
        node: node.name,
        ...(hostNetwork ? { hostNetwork } : {}),
      };
    }),
  );
}

/** Deployments for the workloads whose owner is known, with a selector that their pods and perhaps others have. */
function objectsOf(shapes: readonly Shape[]): object[] {
  return shapes.flatMap(({ namespace, labels, isOwned }, w) =>
    isOwned && Object.keys(labels).length > 0
      ? [{ apiVersion: "apps/v1", kind: "Deployment", metadata: { namespace, name: `w${w}` }, spec: { selector: { matchLabels: labels } } }]
      : [],
  );
}

/** A Service in front of the pods of the first workload with labels. */
function servicesOf(shapes: readonly Shape[]): { objects: object[]; addresses: { ip: string; port: number }[] } {
  const fronted = shapes
    .map((each, w) => ({ ...each, w }))
    .filter(({ labels, hostNetwork }) => Object.keys(labels).length > 0 && !hostNetwork);
  return {
    objects: fronted.map(({ namespace, labels, w }) => ({
      apiVersion: "v1",
      kind: "Service",
      metadata: { namespace, name: `s${w}` },
      spec: { clusterIP: `10.96.0.${w + 1}`, selector: labels, ports: [{ port: 80, targetPort: 8080, protocol: "TCP" }] },
    })),
    addresses: fronted.map(({ w }) => ({ ip: `10.96.0.${w + 1}`, port: 80 })),
  };
}

export const learnable: fc.Arbitrary<Learnable> = fc.array(shape, { minLength: 1, maxLength: 6 }).chain((shapes) => {
  const pods = podsOf(shapes);
  const services = servicesOf(shapes);
  const ends = [...pods.flatMap(({ ips = [] }) => ips), ...NODES.flatMap(({ ips }) => ips), ...OUTSIDE];
  const dialled: fc.Arbitrary<Partial<SeenFlow>> =
    services.addresses.length === 0
      ? fc.constant({})
      : some(services.addresses).map(({ ip, port }) => ({ to: ip, port, protocol: "TCP", isDialledOnly: true }));
  const flow: fc.Arbitrary<SeenFlow> = fc
    .record({
      from: some([...pods.flatMap(({ ips = [] }) => ips), ...ends]),
      to: some([...pods.flatMap(({ ips = [] }) => ips), ...ends]),
      protocol: some(PROTOCOLS),
      port: some(PORTS),
      observed: some(OBSERVED),
      isStated: fc.boolean(),
      count: fc.integer({ min: 1, max: 3 }),
      dialled: fc.oneof({ weight: 4, arbitrary: fc.constant({}) }, { weight: 1, arbitrary: dialled }),
    })
    .map(({ dialled: through, ...plain }) => ({ ...plain, ...through }))
    // One family an end.
    .filter(({ from, to }) => from.includes(":") === to.includes(":"));
  return fc.array(flow, { minLength: 1, maxLength: 25 }).map((flows) => ({
    resources: {
      namespaces: NAMESPACES.map((name) => ({ name, labels: { "kubernetes.io/metadata.name": name } })),
      pods,
      nodes: [...NODES],
    },
    flows,
    objects: [...objectsOf(shapes), ...services.objects],
  }));
});

/** Gives pods of owned workloads their owner: the snapshot of the oracle's format has none. */
export function snapshotOf({ resources, objects }: Learnable, snapshotText: (resources: Resources) => string): string {
  const list = JSON.parse(snapshotText(resources)) as {
    items: { kind: string; metadata: Record<string, unknown>; spec?: Record<string, unknown> }[];
  };
  const owned = new Set(
    objects.flatMap((each) =>
      (each as { kind: string }).kind === "Deployment" ? [(each as { metadata: { name: string } }).metadata.name] : [],
    ),
  );
  for (const item of list.items) {
    if (item.kind !== "Pod") continue;
    const base = String(item.metadata.name).replace(/-5d78c9869d-\d+$/, "");
    if (owned.has(base)) item.metadata.ownerReferences = [{ kind: "ReplicaSet", name: `${base}-5d78c9869d`, controller: true }];
  }
  return JSON.stringify({ ...list, items: [...list.items, ...objects] });
}
