import type { Address } from "../net/address.ts";
import type { Prefix } from "../net/prefix.ts";

export type Labels = Readonly<Record<string, string>>;

/** The label that the API server sets on every namespace, with its name (Kubernetes documentation: Well-Known Labels). */
export const NAMESPACE_NAME = "kubernetes.io/metadata.name";

/** Returns the API group of an apiVersion, "" for the core group. */
export function apiGroup(apiVersion: string): string {
  return apiVersion.includes("/") ? apiVersion.slice(0, apiVersion.indexOf("/")) : "";
}

/** Returns a namespace; one that the snapshot does not hold has its name and labels that nobody knows. */
export function namespaceIn(namespaces: ReadonlyMap<string, Namespace>, name: string): Namespace {
  return namespaces.get(name) ?? { name, labels: { [NAMESPACE_NAME]: name }, labelsKnown: false };
}

/** A namespace. `labelsKnown` is false where pods or policies name it but the snapshot holds no Namespace object for it. */
export interface Namespace {
  readonly name: string;
  /** Always holds `kubernetes.io/metadata.name`, which the API server sets on every namespace. */
  readonly labels: Labels;
  readonly labelsKnown: boolean;
}

/** A port that a container declares. A pod may declare one name several times. */
export interface ContainerPort {
  readonly name?: string;
  readonly port: number; // 1..65535
  readonly protocol: number; // IP protocol number
}

/** What a pod was made by: its controller's top owner, or a group of pods with the same lasting labels. */
export interface Workload {
  readonly namespace: string;
  /** Deployment, StatefulSet, DaemonSet, Job, CronJob, …; Pod for a bare pod; `Pods` for a group found by labels. */
  readonly kind: string;
  readonly name: string;
  readonly foundBy: "owner" | "labels";
}

/** A pod and the addresses that were its own from `startSeconds` until `endSeconds` (epoch seconds; null: not known, not yet ended). */
export interface Pod {
  readonly namespace: string;
  readonly name: string;
  readonly uid?: string;
  readonly labels: Labels;
  readonly workload: Workload;
  readonly nodeName?: string;
  /** Shares its node's addresses: NetworkPolicy does not select it, its traffic is the node's. */
  readonly hostNetwork: boolean;
  readonly serviceAccountName: string;
  /** Every `status.podIPs` entry (and `podIP`), without duplicates. */
  readonly addresses: readonly Address[];
  readonly ports: readonly ContainerPort[];
  /** False where only a log tells of the pod: then it may declare any port. */
  readonly arePortsKnown?: false;
  readonly startSeconds: number | null;
  readonly endSeconds: number | null;
}

/** A node with every address that is its own, tunnel and gateway addresses inside the pod range included. */
export interface Node {
  readonly name: string;
  readonly labels: Labels;
  readonly addresses: readonly Address[];
  readonly podPrefixes: readonly Prefix[];
}

export interface ServicePort {
  readonly name?: string;
  readonly port: number;
  readonly protocol: number;
  readonly nodePort?: number;
}

/** A party behind a Service port: an address and the port that the packet has after translation. */
export interface Backend {
  readonly address: Address;
  readonly port: number;
  readonly ready: boolean;
}

export interface Service {
  readonly namespace: string;
  readonly name: string;
  readonly labels: Labels;
  readonly type: string; // ClusterIP, NodePort, LoadBalancer, ExternalName
  /** ClusterIPs, external IPs and load-balancer addresses: whatever a client dials. Empty for a headless Service. */
  readonly addresses: readonly Address[];
  readonly selector?: Labels;
  /** externalTrafficPolicy Local: backends see the outside client, not a node that masquerades it. */
  readonly keepsClient?: boolean;
  readonly ports: readonly ServicePort[];
}

/** A party that an address stood for at one moment. */
export type Owner =
  | { readonly type: "pod"; readonly pod: Pod }
  | { readonly type: "node"; readonly node: Node }
  | { readonly type: "service"; readonly service: Service }
  | { readonly type: "external" }
  /** In a pod or Service range, or once a pod's, but no object says whose it was at that moment. `why` completes "10.0.0.1 …". */
  | { readonly type: "unknown"; readonly why: string };
