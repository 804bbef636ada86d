import { describe, expect, test } from "vitest";
import { denyAndAllow } from "../generate/scenarios.ts";
import { file, run } from "./program.ts";

/*
 * Verdicts that a reviewer's attack once got wrong, asked of the whole program: a small world, records, and what the Kubernetes API
 * says must come out.
 */

const NODES = ["n1", "n2"].map((name, i) => ({
  apiVersion: "v1",
  kind: "Node",
  metadata: { name },
  spec: { podCIDR: `10.0.${i + 1}.0/24` },
  status: { addresses: [{ type: "InternalIP", address: `192.0.2.${i + 1}` }] },
}));
const pod = (name: string, ip: string, node: string, ports: object[] = []) => ({
  apiVersion: "v1",
  kind: "Pod",
  metadata: { name, namespace: "a", labels: { app: name } },
  spec: { nodeName: node, containers: [{ name: "c", ports }] },
  status: { phase: "Running", podIP: ip, podIPs: [{ ip }], conditions: [{ type: "Ready", status: "True" }] },
});
const NAMESPACE = { apiVersion: "v1", kind: "Namespace", metadata: { name: "a", labels: {} } };
const service = (spec: object) => ({ apiVersion: "v1", kind: "Service", metadata: { name: "s", namespace: "a" }, spec });
const API = pod("api", "10.0.1.2", "n1", [{ containerPort: 8080 }]);
const WEB = pod("web", "10.0.2.3", "n2");
const policy = (spec: object) => ({
  apiVersion: "networking.k8s.io/v1",
  kind: "NetworkPolicy",
  metadata: { name: "p", namespace: "a" },
  spec,
});

interface Asked {
  readonly objects: readonly object[];
  readonly spec: object;
  readonly records: readonly object[];
}

let runs = 0;

/** Returns `source > destination port: egress ingress verdict outcome` of each connection. */
function ask({ objects, spec, records }: Asked): string[] {
  runs++;
  const snapshot = file(`w${runs}.json`, JSON.stringify({ apiVersion: "v1", kind: "List", items: [NAMESPACE, ...NODES, ...objects] }));
  const policies = file(`p${runs}.json`, JSON.stringify(policy(spec)));
  const flows = file(`f${runs}.jsonl`, records.map((record) => JSON.stringify(record)).join("\n") + "\n");
  const { out, err } = run(["simulate", "--flows", flows, "--snapshot", snapshot, "-f", policies, "-o", "json"]);
  if (out === "") throw new Error(err);
  const name = (end: { name?: string; ip: string }) => end.name ?? end.ip;
  return JSON.parse(out).connections.map((c: Record<string, never>) => {
    const { source, destination, port, egress, ingress, verdict, outcome } = c as never as Record<string, { verdict: string; ip: string }>;
    return `${name(source)} > ${name(destination)} ${port}: ${egress.verdict} ${ingress.verdict} ${verdict} ${outcome}`;
  });
}

const tcp = (srcIp: string, dstIp: string, dstPort: number, srcPort = 40000) => ({ srcIp, srcPort, dstIp, dstPort, protocol: "TCP" });
const ONLY_CLIENT = { podSelector: { matchLabels: { app: "api" } }, ingress: [{ from: [{ ipBlock: { cidr: "203.0.113.0/24" } }] }] };
const nodePort = {
  type: "NodePort",
  clusterIP: "10.96.0.9",
  selector: { app: "api" },
  ports: [{ port: 80, targetPort: 8080, nodePort: 30080 }],
};

describe("who a backend sees behind a node port", () => {
  const records = [tcp("203.0.113.9", "192.0.2.2", 30080)];

  test("externalTrafficPolicy Cluster: the client or a node, so that a rule for the client alone leaves it open", () => {
    expect(ask({ objects: [API, service(nodePort)], spec: ONLY_CLIENT, records })).toEqual([
      "203.0.113.9 > api 8080: allow unknown unknown unknown",
    ]);
  });

  test("externalTrafficPolicy Local: the client", () => {
    const local = { ...nodePort, externalTrafficPolicy: "Local" };
    expect(ask({ objects: [API, service(local)], spec: ONLY_CLIENT, records })).toEqual([
      "203.0.113.9 > api 8080: allow allow allow unknown",
    ]);
  });

  test("masqueraded as the records themselves show: the node", () => {
    const both = [...records, tcp("192.0.2.2", "10.0.1.2", 8080)];
    expect(ask({ objects: [API, service(nodePort)], spec: ONLY_CLIENT, records: both })).toEqual([
      "203.0.113.9 > api 8080: allow deny deny would-drop",
    ]);
  });
});

describe("a Service without ready backends", () => {
  const empty = service({ clusterIP: "10.96.0.30", selector: { app: "none" }, ports: [{ port: 80, targetPort: 8080 }] });
  const egress = (rule: object) => ({ podSelector: {}, policyTypes: ["Egress"], egress: [rule] });
  test.each([
    ["a rule for the Service's port says nothing of the pod's", { ports: [{ port: 80 }] }, "unknown"],
    ["nor does one for another", { ports: [{ port: 8080 }] }, "unknown"],
    ["a rule for everything allows it", {}, "allow"],
  ])("%s", (_what, rule, verdict) => {
    const [line] = ask({ objects: [WEB, empty], spec: egress(rule), records: [tcp("10.0.2.3", "10.96.0.30", 80)] });
    expect(line).toMatch(new RegExp(`^web > s 80: ${verdict} `));
  });
});

test("two clients that dial one Service from one port, and a node's row that could be either's: two connections", () => {
  const dns = pod("dns", "10.0.1.9", "n1", [{ containerPort: 53, protocol: "UDP" }]);
  const kube = service({ clusterIP: "10.96.0.10", selector: { app: "dns" }, ports: [{ port: 53, protocol: "UDP" }] });
  const udp = (srcIp: string, dstIp: string) => ({ ...tcp(srcIp, dstIp, 53), protocol: "UDP" });
  const lines = ask({
    objects: [API, WEB, dns, kube],
    spec: { podSelector: { matchLabels: { app: "dns" } }, ingress: [{ from: [{ podSelector: { matchLabels: { app: "web" } } }] }] },
    records: [udp("10.0.2.3", "10.96.0.10"), udp("10.0.1.2", "10.96.0.10"), udp("192.0.2.2", "10.0.1.9")],
  });
  expect(lines).toContain("api > dns 53: allow deny deny would-drop");
  expect(lines).toContain("web > dns 53: allow allow allow unknown");
});

test("an address beside pods that no known range holds is unknown, not outside", () => {
  const elsewhere = pod("far", "172.30.7.2", "n1");
  const deny = { podSelector: {}, policyTypes: ["Ingress"] };
  const [line] = ask({
    objects: [elsewhere],
    spec: { ...deny, ingress: [{ from: [{ podSelector: {} }] }] },
    records: [tcp("172.30.7.99", "172.30.7.2", 80)],
  });
  expect(line).toBe("172.30.7.99 > far 80: allow unknown unknown unknown");
});

test("a load balancer on the nodes' own addresses leaves the nodes their other ports", () => {
  const balancer = {
    ...service({ type: "LoadBalancer", clusterIP: "10.96.0.7", selector: { app: "api" }, ports: [{ port: 80 }] }),
    status: { loadBalancer: { ingress: [{ ip: "192.0.2.1" }] } },
  };
  const [line] = ask({
    objects: [API, WEB, balancer],
    spec: { podSelector: {}, policyTypes: ["Egress"] },
    records: [tcp("10.0.2.3", "192.0.2.1", 10250)],
  });
  expect(line).toBe("web > n1 10250: deny allow deny would-drop");
});

test("one record that was dropped does not hide another that was not judged", () => {
  const records = [{ ...tcp("10.0.2.3", "10.0.1.2", 8080), verdict: "deny" }, tcp("10.0.2.3", "10.0.1.2", 8080)];
  expect(ask({ objects: [API, WEB], spec: { podSelector: {} }, records })).toEqual(["web > api 8080: allow deny deny would-drop"]);
});

test("under aws a rule on the API server's own addresses leaves its Service open: what was dialled is judged", () => {
  const snapshot = file("operator.json", denyAndAllow.snapshot);
  const flows = file("operator.jsonl", '{"srcIp":"10.0.0.70","dstIp":"10.96.0.1","dstPort":443,"protocol":"TCP","verdict":"allow"}\n');
  const policy = {
    apiVersion: "networking.k8s.io/v1",
    kind: "NetworkPolicy",
    metadata: { namespace: "prod", name: "api-server" },
    spec: { podSelector: {}, policyTypes: ["Egress"], egress: [{ to: [{ ipBlock: { cidr: "172.16.0.2/31" } }], ports: [{ port: 6443 }] }] },
  };
  const verdict = (cni: string) => {
    const { out } = run([
      "simulate",
      "--snapshot",
      snapshot,
      "--flows",
      flows,
      "-f",
      file("api.json", JSON.stringify(policy)),
      "--cni",
      cni,
      "-o",
      "json",
    ]);
    return JSON.parse(out).connections[0].verdict;
  };
  expect([verdict("generic"), verdict("aws")]).toEqual(["allow", "unknown"]);
});
