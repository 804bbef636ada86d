// Writes fixtures/flow-logs/hubble/shop.jsonl: what Hubble would have shown of fixtures/shop/monday.pcapng, had Cilium run there. Addresses,
// ports, times and how connections ended are the capture's; events are shaped as Hubble's exporter writes them (flow.proto). Run it
// after a change of the shop: node scripts/make-shop-hubble.mjs
import { execFileSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { loadAll } from "js-yaml";

const SHOP = "fixtures/shop";
const report = JSON.parse(
  execFileSync(
    "bin/kubectl-kguardian",
    ["simulate", "--pcap", `${SHOP}/monday.pcapng`, "--snapshot", `${SHOP}/cluster.yaml`, "-o", "json"],
    {
      encoding: "utf8",
      stdio: ["ignore", "pipe", "ignore"],
    },
  ),
);
const objects = loadAll(readFileSync(`${SHOP}/cluster.yaml`, "utf8")).flatMap((object) => object?.items ?? [object]);
const named = (kind) =>
  new Map(objects.filter((each) => each?.kind === kind).map((each) => [`${each.metadata.namespace ?? ""}/${each.metadata.name}`, each]));
const [pods, namespaces] = [named("Pod"), named("Namespace")];
const NODE = "shop/node-1";
const IDENTITIES = new Map();

/** Cilium gives equal labels one number. */
function identityOf(labels) {
  const key = labels.join();
  if (!IDENTITIES.has(key)) IDENTITIES.set(key, 10_000 + IDENTITIES.size);
  return IDENTITIES.get(key);
}

function endpointOf(end, isNode) {
  if (end.type === "external") return { identity: 2, labels: ["reserved:world"] };
  if (end.type === "node") return isNode ? { identity: 1, labels: ["reserved:host"] } : { identity: 6, labels: ["reserved:remote-node"] };
  if (end.type !== "pod") return { identity: 2, labels: ["reserved:world"] };
  const { namespace, name } = end;
  const own = Object.entries(pods.get(`${namespace}/${name}`)?.metadata.labels ?? {});
  const outer = Object.entries({ "kubernetes.io/metadata.name": namespace, ...namespaces.get(`/${namespace}`)?.metadata.labels });
  const labels = [
    ...own.map(([key, value]) => `k8s:${key}=${value}`),
    ...outer.map(([key, value]) => `k8s:io.cilium.k8s.namespace.labels.${key}=${value}`),
    "k8s:io.cilium.k8s.policy.cluster=shop",
    `k8s:io.cilium.k8s.policy.serviceaccount=${pods.get(`${namespace}/${name}`)?.spec.serviceAccountName ?? "default"}`,
    `k8s:io.kubernetes.pod.namespace=${namespace}`,
  ].sort();
  const [kind, workload] = end.workload.split("/");
  return { identity: identityOf(labels), cluster_name: "shop", namespace, labels, pod_name: name, workloads: [{ name: workload, kind }] };
}

const events = [];
let ephemeral = 33_000;
for (const connection of report.connections) {
  const { source, destination, protocol, port, attempts, firstSeen, lastSeen } = connection;
  const tries = Object.entries(attempts).flatMap(([end, count]) => Array(count).fill(end));
  const [first, last] = [Date.parse(firstSeen), Date.parse(lastSeen)];
  tries.forEach((end, i) => {
    const from = endpointOf(source, true);
    const to = endpointOf(destination, false);
    const client = ephemeral++;
    const at = first + (tries.length === 1 ? 0 : ((last - first) * i) / tries.length);
    const layer = (reply) => {
      if (protocol === "ICMP") return { ICMPv4: { type: reply ? 0 : 8 } };
      const ports = reply ? { source_port: port, destination_port: client } : { source_port: client, destination_port: port };
      if (protocol === "UDP") return { UDP: ports };
      const flags = !reply ? { SYN: true } : end === "refused" ? { RST: true, ACK: true } : { SYN: true, ACK: true };
      return { TCP: { ...ports, flags } };
    };
    const push = (after, reply, more) => {
      const [a, b] = reply ? [destination, source] : [source, destination];
      const [x, y] = reply ? [to, from] : [from, to];
      const time = new Date(at + after).toISOString().replace("Z", "000000Z");
      const flow = {
        time,
        verdict: "FORWARDED",
        IP: { source: a.ip, destination: b.ip, ipVersion: a.ip.includes(":") ? "IPv6" : "IPv4" },
        l4: layer(reply),
        source: x,
        destination: y,
        Type: "L3_L4",
        node_name: NODE,
        ...(destination.names && !reply ? { destination_names: destination.names } : {}),
        ...more,
        is_reply: reply,
        Summary: protocol,
      };
      events.push([at + after, { flow, node_name: NODE, time }]);
    };
    push(0, false, { event_type: { type: 5 }, traffic_direction: "EGRESS" });
    if (destination.type === "pod")
      push(1, false, { event_type: { type: 4 }, traffic_direction: "INGRESS", trace_observation_point: "TO_ENDPOINT" });
    if (end === "established" || end === "refused") push(2, true, { event_type: { type: 4 }, traffic_direction: "INGRESS" });
  });
}
events.sort(([a], [b]) => a - b);
writeFileSync("fixtures/flow-logs/hubble/shop.jsonl", `${events.map(([, event]) => JSON.stringify(event)).join("\n")}\n`);
process.stdout.write(`${events.length} events\n`);
