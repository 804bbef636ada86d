import type { Resources } from "../../oracle/obviousEvaluator.ts";

const pod = (title: string, ip: string, labels: Readonly<Record<string, string>>, ...ports: Resources["pods"][number]["ports"]) => {
  const [namespace, name] = title.split("/");
  return { namespace, name, labels, ip, ports };
};

/** The namespaces and pods of the probes in oracle/cilium and oracle/cilium-mixed; `init` and the port dns-tcp are added. */
export const CILIUM_WORLD: Resources = {
  namespaces: [
    { name: "shop", labels: { env: "prod", team: "retail" } },
    { name: "payments", labels: { env: "prod", team: "fin" } },
    { name: "kube-system", labels: {} },
  ],
  pods: [
    pod("shop/web", "10.244.0.10", { app: "web", tier: "front" }, { name: "http", containerPort: 8080, protocol: "TCP" }),
    pod("shop/api", "10.244.0.11", { app: "api", tier: "back" }, { name: "http", containerPort: 8080, protocol: "TCP" }),
    pod("shop/db", "10.244.0.12", { app: "db" }),
    pod("payments/web", "10.244.1.10", { app: "web", tier: "front" }, { name: "http", containerPort: 3000, protocol: "TCP" }),
    pod("payments/api", "10.244.1.11", { app: "api" }),
    pod(
      "kube-system/coredns",
      "10.244.9.2",
      { "k8s-app": "kube-dns" },
      { name: "dns", containerPort: 53, protocol: "UDP" },
      { name: "dns-tcp", containerPort: 53, protocol: "TCP" },
    ),
  ],
  fqdns: {
    "example.com": ["192.0.2.9"],
    "api.example.com": ["203.0.113.10"],
    "www.example.com": ["203.0.113.77"],
    "a.b.example.com": ["198.51.100.5"],
    "github.com": ["172.20.4.4"],
  },
  entities: {
    "10.0.0.1": "host",
    "10.0.0.2": "remote-node",
    "10.0.0.3": "kube-apiserver",
    "10.0.0.4": "health",
    "10.0.0.5": "ingress",
    "10.0.0.6": "unmanaged",
    "10.0.0.7": "init",
    "198.51.100.250": "world,kube-apiserver",
  },
};
