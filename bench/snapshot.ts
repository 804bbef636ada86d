import type { Addresses } from "./lanes.ts";
import {
  applications,
  nodeAddresses,
  nodeCount,
  startSeconds,
  templateHash,
  v4Text,
  v6Text,
  type WorldPod,
  type WorldWorkload,
  workloads,
} from "./world.ts";

type KubernetesObject = Record<string, unknown>;

const created = new Date((startSeconds - 86_400) * 1000).toISOString().replace(".000", "");
let nextUid = 0;

/** The world as `kubectl get namespaces,nodes,pods,services,endpointslices -A -o json` prints it: one `List`. */
export function makeSnapshot(): KubernetesObject {
  nextUid = 0;
  const namespaces = [...applications, "ingress", "monitoring", "kube-system"];
  const items = [
    ...namespaces.map((name) => ({
      apiVersion: "v1",
      kind: "Namespace",
      metadata: metadata(name, undefined, { "kubernetes.io/metadata.name": name, tier: tierOf(name) }),
      status: { phase: "Active" },
    })),
    ...Array.from({ length: nodeCount }, (_, node) => makeNode(node)),
    ...workloads.flatMap((each) => each.pods.map((pod) => makePod(each, pod))),
    ...workloads.filter((each) => each.service !== undefined).flatMap((each) => [makeService(each), ...makeSlices(each)]),
  ];
  return { apiVersion: "v1", kind: "List", metadata: { resourceVersion: "" }, items };
}

function tierOf(namespace: string): string {
  return (applications as readonly string[]).includes(namespace) ? "application" : "platform";
}

function metadata(name: string, namespace: string | undefined, labels: Record<string, string>): KubernetesObject {
  const uid = `00000000-0000-4000-8000-${(nextUid++).toString(16).padStart(12, "0")}`;
  return { name, ...(namespace === undefined ? {} : { namespace }), uid, creationTimestamp: created, labels };
}

function makeNode(node: number): KubernetesObject {
  const addresses = nodeAddresses(node);
  const podCIDRs = [`10.244.${node}.0/24`, `fd00:10:244:${node.toString(16)}::/64`];
  return {
    apiVersion: "v1",
    kind: "Node",
    metadata: metadata(`node-${node}`, undefined, { "kubernetes.io/hostname": `node-${node}`, "kubernetes.io/os": "linux" }),
    spec: { podCIDR: podCIDRs[0], podCIDRs },
    status: {
      addresses: [
        { type: "InternalIP", address: v4Text(addresses.v4) },
        { type: "InternalIP", address: v6Text(addresses.v6!) },
        { type: "Hostname", address: `node-${node}` },
      ],
    },
  };
}

function labelsOf(each: WorldWorkload): Record<string, string> {
  return { app: each.name, "app.kubernetes.io/name": each.name, "app.kubernetes.io/part-of": each.namespace };
}

function makePod(each: WorldWorkload, pod: WorldPod): KubernetesObject {
  const hash = templateHash(each.namespace, each.name);
  const deployed = each.kind === "Deployment";
  const labels = { ...labelsOf(each), ...(deployed ? { "pod-template-hash": hash } : { "controller-revision-hash": hash }) };
  const owner = deployed ? { kind: "ReplicaSet", name: `${each.name}-${hash}` } : { kind: each.kind, name: each.name };
  const addresses = podTexts(pod);
  return {
    apiVersion: "v1",
    kind: "Pod",
    metadata: {
      ...metadata(pod.name, each.namespace, labels),
      generateName: deployed ? `${each.name}-${hash}-` : `${each.name}-`,
      ownerReferences: [{ apiVersion: "apps/v1", ...owner, uid: `owner-${each.namespace}-${each.name}`, controller: true }],
    },
    spec: {
      nodeName: `node-${pod.node}`,
      serviceAccountName: each.name,
      ...(each.hostNetwork ? { hostNetwork: true } : {}),
      containers: [
        {
          name: each.name,
          image: `registry.example.com/${each.namespace}/${each.name}:1.0.0`,
          ports: each.ports.map(({ name, port, protocol }) => ({ name, containerPort: port, protocol })),
        },
      ],
    },
    status: {
      phase: "Running",
      hostIP: v4Text(nodeAddresses(pod.node).v4),
      podIP: addresses[0],
      podIPs: addresses.map((ip) => ({ ip })),
      startTime: created,
      conditions: [{ type: "Ready", status: "True", lastTransitionTime: created }],
    },
  };
}

function podTexts(addresses: Addresses): string[] {
  return [v4Text(addresses.v4), v6Text(addresses.v6!)];
}

/** Which of a workload's ports its Service offers: all but the metrics. */
function servedPorts(each: WorldWorkload): WorldWorkload["ports"] {
  return each.ports.filter((port) => port.name !== "metrics");
}

function makeService(each: WorldWorkload): KubernetesObject {
  const clusterIPs = podTexts(each.clusterAddress);
  return {
    apiVersion: "v1",
    kind: "Service",
    metadata: metadata(each.name, each.namespace, labelsOf(each)),
    spec: {
      type: each.name === "nginx" ? "LoadBalancer" : "ClusterIP",
      clusterIP: clusterIPs[0],
      clusterIPs,
      ipFamilies: ["IPv4", "IPv6"],
      selector: { app: each.name },
      ports: servedPorts(each).map(({ name, protocol }) => ({ name, port: each.service, targetPort: name, protocol })),
    },
    status: each.name === "nginx" ? { loadBalancer: { ingress: [{ ip: "192.0.2.10" }] } } : { loadBalancer: {} },
  };
}

function makeSlices(each: WorldWorkload): KubernetesObject[] {
  return ["IPv4", "IPv6"].map((addressType, family) => ({
    apiVersion: "discovery.k8s.io/v1",
    kind: "EndpointSlice",
    metadata: metadata(`${each.name}-${addressType.toLowerCase()}`, each.namespace, {
      "kubernetes.io/service-name": each.name,
      "endpointslice.kubernetes.io/managed-by": "endpointslice-controller.k8s.io",
    }),
    addressType,
    ports: servedPorts(each).map(({ name, port, protocol }) => ({ name, port, protocol })),
    endpoints: each.pods.map((pod) => ({
      addresses: [podTexts(pod)[family]],
      conditions: { ready: true, serving: true, terminating: false },
      nodeName: `node-${pod.node}`,
      targetRef: { kind: "Pod", namespace: each.namespace, name: pod.name },
    })),
  }));
}
