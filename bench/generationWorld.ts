import { closeSync, existsSync, openSync, writeFileSync, writeSync } from "node:fs";
import { join } from "node:path";
import { Random } from "./random.ts";

/*
 * A cluster of 5,000 pods in 500 workloads and a flow log of 1,000,000 distinct connections between them and to the outside:
 * what `gen networkpolicy` is measured on. Seeded: the same on every machine.
 */

const NAMESPACES = 40;
const WORKLOADS = 500;
const REPLICAS = 10;
const NODES = 100;
/** Workloads that each one calls; every pod calls every replica. */
const SERVERS = 19;
/** Outside addresses that each pod calls. */
const OUTSIDE = 10;
const START = Date.UTC(2026, 10, 2, 10);

/** Returns the paths of the snapshot and the flow log, which are made where they are missing. */
export function makeGenerationWorld(folder: string): { readonly snapshot: string; readonly flows: string } {
  const [snapshot, flows] = [join(folder, "generation.json"), join(folder, "generation.jsonl")];
  if (!existsSync(snapshot)) writeFileSync(snapshot, JSON.stringify({ apiVersion: "v1", kind: "List", items: makeObjects() }));
  if (!existsSync(flows)) writeFlows(flows);
  return { snapshot, flows };
}

const namespaceOf = (workload: number): string => `team-${workload % NAMESPACES}`;
const portOf = (workload: number): number => 8000 + (workload % 20);
const labelsOf = (workload: number) => ({ app: `app-${workload}`, tier: ["web", "backend", "data"][workload % 3] });

function addressOf(workload: number, replica: number): string {
  const index = workload * REPLICAS + replica;
  return `10.${index >> 14}.${(index >> 7) & 127}.${(index & 127) + 1}`;
}

function makeObjects(): object[] {
  const objects: object[] = [];
  for (let i = 0; i < NAMESPACES; i++) objects.push({ apiVersion: "v1", kind: "Namespace", metadata: { name: `team-${i}` } });
  for (let i = 0; i < NODES; i++)
    objects.push({
      apiVersion: "v1",
      kind: "Node",
      metadata: { name: `node-${i}` },
      status: { addresses: [{ type: "InternalIP", address: `192.168.0.${i + 1}` }] },
    });
  for (let i = 0; i < WORKLOADS; i++) {
    const [namespace, name, labels] = [namespaceOf(i), `app-${i}`, labelsOf(i)];
    objects.push({
      apiVersion: "apps/v1",
      kind: "Deployment",
      metadata: { name, namespace },
      spec: { selector: { matchLabels: labels } },
    });
    for (let replica = 0; replica < REPLICAS; replica++)
      objects.push({
        apiVersion: "v1",
        kind: "Pod",
        metadata: {
          name: `${name}-5d78c9869d-${replica}`,
          namespace,
          labels: { ...labels, "pod-template-hash": "5d78c9869d" },
          ownerReferences: [{ apiVersion: "apps/v1", kind: "ReplicaSet", name: `${name}-5d78c9869d`, uid: `${i}`, controller: true }],
        },
        spec: {
          nodeName: `node-${(i * REPLICAS + replica) % NODES}`,
          containers: [{ name: "main", ports: [{ name: "http", containerPort: portOf(i), protocol: "TCP" }] }],
        },
        status: { podIP: addressOf(i, replica), podIPs: [{ ip: addressOf(i, replica) }] },
      });
  }
  return objects;
}

function writeFlows(path: string): void {
  const random = new Random(5);
  const file = openSync(path, "w");
  let lines: string[] = [];
  const add = (srcIp: string, dstIp: string, dstPort: number) => {
    const time = new Date(START + random.below(86_400_000)).toISOString();
    const counts = { packets: random.between(4, 60), bytes: random.heavyTail(400, 1_000_000) };
    lines.push(JSON.stringify({ time, srcIp, dstIp, dstPort, protocol: "TCP", verdict: "allow", ...counts }));
    if (lines.length < 20_000) return;
    writeSync(file, `${lines.join("\n")}\n`);
    lines = [];
  };
  for (let client = 0; client < WORKLOADS; client++) {
    const servers = new Set<number>();
    while (servers.size < SERVERS) {
      const server = random.below(WORKLOADS);
      if (server !== client) servers.add(server);
    }
    const outside = Array.from({ length: OUTSIDE }, () => `203.${random.below(64)}.${random.below(256)}.${random.between(1, 254)}`);
    for (let pod = 0; pod < REPLICAS; pod++) {
      for (const server of servers)
        for (let replica = 0; replica < REPLICAS; replica++) add(addressOf(client, pod), addressOf(server, replica), portOf(server));
      for (const address of outside) add(addressOf(client, pod), address, 443);
    }
  }
  if (lines.length > 0) writeSync(file, `${lines.join("\n")}\n`);
  closeSync(file);
}
