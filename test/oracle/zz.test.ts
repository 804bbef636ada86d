import { test } from "vitest";
import { answersTo } from "./cases.ts";
test("x", () => {
  const W = { namespaces: [{ name: "a", labels: {} }], pods: [{ namespace: "a", name: "x", labels: {}, ports: [], ip: "10.244.0.3", node: "n1" }], nodes: [{ name: "n1", ips: ["192.168.0.1"], labels: {} }, { name: "n2", ips: ["192.168.0.2"], labels: {} }] };
  const policies: any = [{ apiVersion: "policy.networking.k8s.io/v1alpha2", kind: "ClusterNetworkPolicy", metadata: { name: "p" }, spec: { tier: "Admin", priority: 1, subject: { namespaces: {} }, egress: [{ action: "Deny", to: [{ nodes: { matchLabels: { role: "control" } } }] }] } }];
  for (const ip of ["192.168.0.1", "192.168.0.2"]) {
  const f = { src: { ip: "10.244.0.3" }, dst: { ip }, protocol: "TCP", port: 80 };
  const a = answersTo({ resources: W, policies }, [f], "generic").ask(f);
  console.log(ip, a.egress.verdict, a.egress.reason);
  }
});
