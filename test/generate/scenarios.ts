import type { LearnOptions, SeenFlow } from "./world.ts";

/*
 * The three scenarios that people write policies for first, small enough to be read whole. Their goldens are what a reviewer of a
 * pull request would see.
 */

export interface Scenario {
  readonly snapshot: string;
  readonly flows: readonly SeenFlow[];
  readonly options?: LearnOptions;
}

interface Spec {
  readonly namespace: string;
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly ips: readonly string[];
  readonly ports?: readonly (readonly [name: string, port: number, protocol?: string])[];
  /** The port of its Service, which leads to the first of its ports. */
  readonly service?: readonly [address: string, port: number];
}

const START = Date.UTC(2026, 10, 16, 8) / 1000;

export function snapshotOf(namespaces: readonly string[], specs: readonly Spec[], others: readonly object[] = []): string {
  const items: object[] = namespaces.map((name) => ({
    apiVersion: "v1",
    kind: "Namespace",
    metadata: { name, labels: { "kubernetes.io/metadata.name": name } },
  }));
  items.push(
    ...["192.168.10.11", "192.168.10.12"].map((address, i) => ({
      apiVersion: "v1",
      kind: "Node",
      metadata: { name: `node-${i + 1}` },
      spec: { podCIDRs: [`10.0.${i}.0/24`] },
      status: { addresses: [{ type: "InternalIP", address }] },
    })),
  );
  for (const { namespace, name, labels, ips, ports = [], service } of specs) {
    items.push({ apiVersion: "apps/v1", kind: "Deployment", metadata: { namespace, name }, spec: { selector: { matchLabels: labels } } });
    ips.forEach((ip, i) => {
      items.push({
        apiVersion: "v1",
        kind: "Pod",
        metadata: {
          namespace,
          name: `${name}-6f5d8b7c9-${"abcde"[i]}xyz${i}`,
          labels: { ...labels, "pod-template-hash": "6f5d8b7c9" },
          ownerReferences: [{ apiVersion: "apps/v1", kind: "ReplicaSet", name: `${name}-6f5d8b7c9`, controller: true }],
        },
        spec: {
          nodeName: `node-${(i % 2) + 1}`,
          containers: [
            { name, ports: ports.map(([portName, containerPort, protocol = "TCP"]) => ({ name: portName, containerPort, protocol })) },
          ],
        },
        status: { podIP: ip, podIPs: [{ ip }] },
      });
    });
    if (service !== undefined) {
      const [first] = ports;
      items.push({
        apiVersion: "v1",
        kind: "Service",
        metadata: { namespace, name },
        spec: {
          clusterIP: service[0],
          selector: labels,
          ports: [{ name: first[0], port: service[1], targetPort: first[0], protocol: first[2] ?? "TCP" }],
        },
      });
    }
  }
  return JSON.stringify({ apiVersion: "v1", kind: "List", items: [...items, ...others] });
}

let minute = 0;
const seen = (from: string, to: string, port: number, more: Partial<SeenFlow> = {}): SeenFlow => ({
  from,
  to,
  port,
  at: START + 60 * minute++,
  ...more,
});

const DNS: Spec = {
  namespace: "kube-system",
  name: "coredns",
  labels: { "k8s-app": "kube-dns" },
  ips: ["10.0.0.2", "10.0.1.2"],
  ports: [
    ["dns", 53, "UDP"],
    ["dns-tcp", 53, "TCP"],
  ],
  service: ["10.96.0.10", 53],
};

const asksDns = (from: string): SeenFlow => seen(from, "10.0.0.2", 53, { protocol: "UDP", via: ["10.96.0.10", 53], count: 12 });

/** A web shop in three tiers behind an ingress controller, which is reached from outside and scanned. */
export const threeTiers: Scenario = {
  snapshot: snapshotOf(
    ["shop", "ingress-nginx", "kube-system"],
    [
      DNS,
      {
        namespace: "ingress-nginx",
        name: "ingress-nginx-controller",
        labels: { "app.kubernetes.io/name": "ingress-nginx", "app.kubernetes.io/component": "controller" },
        ips: ["10.0.0.5"],
        ports: [["https", 8443]],
      },
      {
        namespace: "shop",
        name: "web",
        labels: { app: "web" },
        ips: ["10.0.0.10", "10.0.1.10"],
        ports: [["http", 8080]],
        service: ["10.96.1.1", 80],
      },
      {
        namespace: "shop",
        name: "api",
        labels: { app: "api" },
        ips: ["10.0.0.20", "10.0.1.20"],
        ports: [["http", 9090]],
        service: ["10.96.1.2", 80],
      },
      {
        namespace: "shop",
        name: "db",
        labels: { app: "db" },
        ips: ["10.0.1.30"],
        ports: [["postgres", 5432]],
        service: ["10.96.1.3", 5432],
      },
    ],
  ),
  flows: [
    seen("198.51.100.4", "10.0.0.5", 8443, { count: 40 }),
    seen("198.51.100.5", "10.0.0.5", 8443, { count: 7 }),
    seen("10.0.0.5", "10.0.0.10", 8080, { via: ["10.96.1.1", 80], count: 25 }),
    seen("10.0.0.5", "10.0.1.10", 8080, { via: ["10.96.1.1", 80], count: 22 }),
    seen("10.0.0.10", "10.0.0.20", 9090, { via: ["10.96.1.2", 80], count: 18 }),
    seen("10.0.1.10", "10.0.1.20", 9090, { via: ["10.96.1.2", 80], count: 16 }),
    seen("10.0.0.20", "10.0.1.30", 5432, { via: ["10.96.1.3", 5432], count: 2 }),
    seen("10.0.1.20", "203.0.113.20", 443, { count: 3 }),
    seen("10.0.1.20", "203.0.113.21", 443, { count: 1 }),
    ...["10.0.0.5", "10.0.0.10", "10.0.0.20"].map(asksDns),
    ...Array.from({ length: 30 }, (_, i) => seen("198.51.100.99", "10.0.0.5", 1000 + i, { observed: "refused" })),
    seen("10.0.0.10", "10.0.1.30", 5432, { observed: "unanswered" }),
  ],
  options: { names: { "203.0.113.20": ["api.payments.example"], "203.0.113.21": ["api.payments.example"] } },
};

/** Two teams whose programs use one database in a namespace of its own. */
export const sharedDatabase: Scenario = {
  snapshot: snapshotOf(
    ["blue", "green", "data", "kube-system"],
    [
      DNS,
      { namespace: "blue", name: "orders", labels: { app: "orders" }, ips: ["10.0.0.40", "10.0.1.40"] },
      { namespace: "green", name: "reports", labels: { app: "reports", team: "green" }, ips: ["10.0.0.50"] },
      {
        namespace: "data",
        name: "postgres",
        labels: { app: "postgres" },
        ips: ["10.0.0.60"],
        ports: [["postgres", 5432]],
        service: ["10.96.2.1", 5432],
      },
    ],
  ),
  flows: [
    seen("10.0.0.40", "10.0.0.60", 5432, { via: ["10.96.2.1", 5432], count: 6 }),
    seen("10.0.1.40", "10.0.0.60", 5432, { via: ["10.96.2.1", 5432], count: 5 }),
    seen("10.0.0.50", "10.0.0.60", 5432, { via: ["10.96.2.1", 5432] }),
    ...["10.0.0.40", "10.0.0.50"].map(asksDns),
  ],
};

/** A namespace that is closed already and gets the list of what it needs; its nodes scrape it, and it asks the API server. */
export const denyAndAllow: Scenario = {
  snapshot: snapshotOf(
    ["prod", "kube-system", "default"],
    [DNS, { namespace: "prod", name: "operator", labels: { app: "operator" }, ips: ["10.0.0.70"], ports: [["metrics", 9100]] }],
    [
      {
        apiVersion: "networking.k8s.io/v1",
        kind: "NetworkPolicy",
        metadata: { namespace: "prod", name: "deny" },
        spec: { podSelector: {}, policyTypes: ["Ingress", "Egress"] },
      },
      {
        apiVersion: "v1",
        kind: "Service",
        metadata: { namespace: "default", name: "kubernetes" },
        spec: { clusterIP: "10.96.0.1", ports: [{ name: "https", port: 443, targetPort: 6443 }] },
      },
      {
        apiVersion: "discovery.k8s.io/v1",
        kind: "EndpointSlice",
        metadata: { namespace: "default", name: "kubernetes", labels: { "kubernetes.io/service-name": "kubernetes" } },
        addressType: "IPv4",
        ports: [{ name: "https", port: 6443, protocol: "TCP" }],
        endpoints: [{ addresses: ["172.16.0.2"] }, { addresses: ["172.16.0.3"] }],
      },
    ],
  ),
  flows: [
    seen("10.0.0.70", "172.16.0.2", 6443, { via: ["10.96.0.1", 443], count: 9 }),
    seen("192.168.10.12", "10.0.0.70", 9100, { count: 4 }),
    asksDns("10.0.0.70"),
    ...[30001, 30002, 30003, 30004].map((port) => seen("10.0.0.70", "203.0.113.9", port)),
  ],
  options: { defaultDeny: true, wanted: ["Deployment/prod/operator"] },
};
