import { applications, gatewayAddresses, nodeCount, v4Text } from "./world.ts";

/** A NetworkPolicy object, ready to be written as YAML. */
export interface PolicyObject {
  readonly apiVersion: "networking.k8s.io/v1";
  readonly kind: "NetworkPolicy";
  readonly metadata: { readonly name: string; readonly namespace: string };
  readonly spec: Record<string, unknown>;
}

/**
 * 52 policies that allow most of the traffic in traffic.ts. What they deny: workers at other applications' databases and at
 * mail servers outside, `web` at its database directly, and hosts outside in 203.0.113.48/28.
 */
export function makePolicies(): PolicyObject[] {
  return [...applications.flatMap(applicationPolicies), ...platformPolicies()];
}

function policy(namespace: string, name: string, podSelector: unknown, spec: Record<string, unknown>): PolicyObject {
  const policyTypes = ["Ingress", "Egress"].filter((type) => type.toLowerCase() in spec);
  return {
    apiVersion: "networking.k8s.io/v1",
    kind: "NetworkPolicy",
    metadata: { name, namespace },
    spec: { podSelector, policyTypes, ...spec },
  };
}

const pods = (...names: string[]): unknown =>
  names.length === 1 ? { matchLabels: { app: names[0] } } : { matchExpressions: [{ key: "app", operator: "In", values: names }] };
const inNamespace = (name: string): unknown => ({ matchLabels: { "kubernetes.io/metadata.name": name } });
const port = (number: number | string, protocol = "TCP"): unknown => ({ port: number, protocol });

function applicationPolicies(namespace: string): PolicyObject[] {
  const scrape = { from: [{ namespaceSelector: inNamespace("monitoring"), podSelector: pods("prometheus") }], ports: [port("metrics")] };
  const gateways = Array.from({ length: nodeCount }, (_, node) => v4Text(gatewayAddresses(node).v4));
  const probes = { from: gateways.map((address) => ({ ipBlock: { cidr: `${address}/32` } })), ports: [port("http")] };
  const outside = {
    to: [
      { ipBlock: { cidr: "0.0.0.0/0", except: ["10.0.0.0/8", "203.0.113.48/28"] } },
      { ipBlock: { cidr: "::/0", except: ["fd00::/8"] } },
    ],
    ports: [port(443), port(443, "UDP"), port(123, "UDP")],
  };
  const data = [
    { to: [{ podSelector: pods("db") }], ports: [port(5432)] },
    { to: [{ podSelector: pods("cache") }], ports: [port("redis")] },
  ];
  return [
    policy(namespace, "default-deny", {}, { ingress: [], egress: [] }),
    policy(
      namespace,
      "platform",
      {},
      {
        ingress: [scrape],
        egress: [
          { to: [{ namespaceSelector: inNamespace("kube-system"), podSelector: pods("kube-dns") }], ports: [port(53, "UDP"), port(53)] },
          { to: [{ namespaceSelector: inNamespace("monitoring"), podSelector: pods("collector") }], ports: [port(8125, "UDP")] },
        ],
      },
    ),
    policy(namespace, "web", pods("web"), {
      ingress: [{ from: [{ namespaceSelector: inNamespace("ingress") }], ports: [port("http")] }, probes],
      egress: [{ to: [{ podSelector: pods("api") }], ports: [port(8080)] }],
    }),
    policy(namespace, "api", pods("api"), {
      ingress: [
        { from: [{ podSelector: pods("web") }, { namespaceSelector: { matchLabels: { tier: "application" } } }], ports: [port("http")] },
        probes,
      ],
      egress: [...data, { to: [{ namespaceSelector: inNamespace("auth"), podSelector: pods("api") }], ports: [port(8080)] }, outside],
    }),
    policy(namespace, "worker", pods("worker"), { egress: [...data, outside] }),
    policy(namespace, "data", pods("db", "cache"), {
      ingress: [{ from: [{ podSelector: pods("api", "worker") }], ports: [port(5432), port("redis")] }],
    }),
  ];
}

function platformPolicies(): PolicyObject[] {
  const applicationsOnly = { matchLabels: { tier: "application" } };
  return [
    policy("ingress", "nginx", pods("nginx"), {
      ingress: [{ ports: [port("https")] }],
      egress: [
        { to: [{ namespaceSelector: applicationsOnly, podSelector: pods("web") }], ports: [port(8080)] },
        { to: [{ namespaceSelector: inNamespace("kube-system") }], ports: [port(53, "UDP")] },
      ],
    }),
    policy("monitoring", "prometheus", pods("prometheus"), {
      ingress: [],
      egress: [
        { to: [{ namespaceSelector: applicationsOnly }], ports: [port(9102)] },
        { to: [{ namespaceSelector: inNamespace("kube-system") }], ports: [port(53, "UDP")] },
      ],
    }),
    policy("monitoring", "collector", pods("collector"), {
      ingress: [{ from: [{ namespaceSelector: {} }], ports: [port("statsd", "UDP")] }],
    }),
    policy("kube-system", "kube-dns", pods("kube-dns"), {
      ingress: [{ from: [{ namespaceSelector: {} }], ports: [port("dns", "UDP"), port("dns-tcp")] }],
    }),
  ];
}
