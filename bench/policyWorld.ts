import type { Labels, Namespace, Node, Pod } from "../src/cluster/objects.ts";
import type { LabelSelector } from "../src/cluster/selector.ts";
import { addressFromIPv4 } from "../src/net/address.ts";
import { makePrefix, type Prefix, parsePrefix } from "../src/net/prefix.ts";
import { TCP, UDP } from "../src/net/protocol.ts";
import type { Peer, Policy, PortMatch, Rule, RuleList } from "../src/policy/model.ts";
import { Random } from "./random.ts";

/*
 * Clusters of any size with policies as people write them: a default deny and DNS for most namespaces, then for each workload
 * its clients, its servers, scrapes from a monitoring namespace, addresses outside. Seeded: the same on every machine.
 */

/** How large a cluster is. */
export interface Size {
  readonly pods: number;
  readonly policies: number;
  readonly namespaces: number;
  readonly workloads: number;
}

export const SIZES: readonly Size[] = [
  { pods: 50, policies: 50, namespaces: 5, workloads: 20 },
  { pods: 5000, policies: 2000, namespaces: 100, workloads: 1000 },
];

export interface PolicyWorld {
  readonly pods: readonly Pod[];
  readonly namespaces: ReadonlyMap<string, Namespace>;
  readonly nodes: readonly Node[];
  /** Labels of service accounts by `namespace/name`. */
  readonly serviceAccounts: ReadonlyMap<string, Labels>;
  readonly workloads: readonly Workload[];
  readonly policies: readonly Policy[];
}

export interface Workload {
  readonly namespace: string;
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly port: number;
  readonly serviceAccountName: string;
}

export const TEAMS = 12;
const POD_BASE = 0x0a000000; // 10.0.0.0
const NODE_BASE = 0xc0a80000; // 192.168.0.0
const PODS_A_NODE = 50;

export function makePolicyWorld(size: Size, seed = 1): PolicyWorld {
  const random = new Random(seed);
  const names = Array.from({ length: size.namespaces }, (_, i) => (i === 0 ? "kube-system" : i === 1 ? "monitoring" : `team-${i}`));
  const namespaces = new Map(names.map((name, i) => [name, { name, labels: namespaceLabels(name, i), labelsKnown: true }]));
  const workloads = Array.from({ length: size.workloads }, (_, i) => makeWorkload(random, names[i % names.length], i));
  const nodes = Array.from(
    { length: Math.ceil(size.pods / PODS_A_NODE) },
    (_, i): Node => ({
      name: `node-${i}`,
      labels: { zone: `z${i % 3}` },
      addresses: [addressFromIPv4(NODE_BASE + 1 + i)],
      podPrefixes: [],
    }),
  );
  const pods = Array.from({ length: size.pods }, (_, i) => makePod(workloads[i % workloads.length], nodes[i % nodes.length].name, i));
  const serviceAccounts = new Map(
    workloads.map(({ namespace, serviceAccountName: name, labels }) => [
      `${namespace}/${name}`,
      name === "default" ? {} : { tier: labels.tier },
    ]),
  );
  return { pods, namespaces, nodes, serviceAccounts, workloads, policies: makePolicies(random, size.policies, names, workloads) };
}

function namespaceLabels(name: string, i: number): Record<string, string> {
  return { "kubernetes.io/metadata.name": name, team: `t${i % TEAMS}`, stage: i % 3 === 0 ? "test" : "production" };
}

function makeWorkload(random: Random, namespace: string, i: number): Workload {
  const labels = {
    "app.kubernetes.io/name": `app-${i}`,
    tier: random.pick(["web", "api", "worker", "data"]),
    version: `v${random.between(1, 3)}`,
  };
  const serviceAccountName = i % 3 === 0 ? "default" : `app-${i}`;
  return { namespace, name: `app-${i}`, labels, port: random.chance(0.5) ? 8080 : random.between(3000, 3500), serviceAccountName };
}

function makePod({ namespace, name, labels, port, serviceAccountName }: Workload, nodeName: string, i: number): Pod {
  return {
    namespace,
    name: `${name}-${i}`,
    labels: { ...labels, "pod-template-hash": `h${name}` },
    workload: { namespace, kind: "Deployment", name, foundBy: "owner" },
    nodeName,
    hostNetwork: false,
    serviceAccountName,
    addresses: [addressFromIPv4(POD_BASE + 256 + i)],
    ports: [
      { name: "http", port, protocol: TCP },
      { name: "metrics", port: 9090 + (i % 4), protocol: TCP },
    ],
    startSeconds: null,
    endSeconds: null,
  };
}

export const selector = (labels: Readonly<Record<string, string>>): LabelSelector => ({
  requirements: Object.entries(labels).map(([key, value]) => ({ key, operator: "In" as const, values: [value] })),
});
export const named = (namespace: string): LabelSelector => selector({ "kubernetes.io/metadata.name": namespace });
export const appOf = ({ labels }: Workload): LabelSelector => selector({ "app.kubernetes.io/name": labels["app.kubernetes.io/name"] });
export const port = (first: number, last = first, protocol = TCP): PortMatch => ({ protocol, ports: { first, last } });
export const portName = (name: string): PortMatch => ({ protocol: TCP, ports: { name } });

/** Builds one policy; refs are what the reader would have made. */
class Draft {
  readonly #namespace: string;
  readonly #name: string;
  readonly #lists: Partial<Record<"ingress" | "egress", Rule[]>> = {};
  readonly #pods: LabelSelector;

  constructor(namespace: string, name: string, pods: LabelSelector) {
    this.#namespace = namespace;
    this.#name = name;
    this.#pods = pods;
  }

  isolate(direction: "ingress" | "egress"): this {
    this.#lists[direction] ??= [];
    return this;
  }

  allow(
    direction: "ingress" | "egress",
    peers: readonly (LabelSelector | { namespaces: LabelSelector; pods: LabelSelector } | { prefix: Prefix; except: readonly Prefix[] })[],
    ports: readonly PortMatch[],
  ): this {
    const list = (this.#lists[direction] ??= []);
    const path = `${direction}[${list.length}]`;
    const made = peers.map((peer, i): Peer => {
      const ref = { path: `${path}.${direction === "ingress" ? "from" : "to"}[${i}]` };
      if ("prefix" in peer) return { kind: "prefix", ...peer, ref };
      if ("namespaces" in peer) return { kind: "pods", match: { namespaces: { selector: peer.namespaces }, pods: peer.pods }, ref };
      return { kind: "pods", match: { namespaces: { name: this.#namespace }, pods: peer }, ref };
    });
    list.push({ action: "allow", peers: made.length > 0 ? made : "any", ports: ports.length > 0 ? ports : "any", ref: { path } });
    return this;
  }

  get policy(): Policy {
    const { ingress, egress } = this.#lists;
    const list = (rules: readonly Rule[]): RuleList => ({ isolates: true, rules });
    return {
      ref: { apiVersion: "networking.k8s.io/v1", kind: "NetworkPolicy", namespace: this.#namespace, name: this.#name },
      tier: { kind: "networkpolicy" },
      subject: { namespaces: { name: this.#namespace }, pods: this.#pods },
      ...(ingress ? { ingress: list(ingress) } : {}),
      ...(egress ? { egress: list(egress) } : {}),
    };
  }
}

export const EVERYTHING = selector({});
export const DNS = [port(53, 53, UDP), port(53)];

function makePolicies(random: Random, count: number, names: readonly string[], workloads: readonly Workload[]): Policy[] {
  const policies: Policy[] = [];
  // The platform's: four in five namespaces deny by default, and let DNS and scrapes through.
  for (const namespace of names) {
    if (policies.length + 2 > count || !random.chance(0.8)) continue;
    policies.push(new Draft(namespace, "default-deny", EVERYTHING).isolate("ingress").isolate("egress").policy);
    policies.push(
      new Draft(namespace, "platform", EVERYTHING)
        .allow("egress", [{ namespaces: named("kube-system"), pods: EVERYTHING }], DNS)
        .allow("ingress", [{ namespaces: named("monitoring"), pods: EVERYTHING }], [portName("metrics")]).policy,
    );
  }
  for (let i = 0; policies.length < count; i++) policies.push(makeWorkloadPolicy(random, workloads[i % workloads.length], i, workloads));
  return policies;
}

function makeWorkloadPolicy(random: Random, workload: Workload, i: number, workloads: readonly Workload[]): Policy {
  const draft = new Draft(
    workload.namespace,
    `${workload.name}-${i}`,
    random.chance(0.85) ? appOf(workload) : selector({ tier: workload.labels.tier }),
  );
  const other = () => random.pick(workloads);
  const sameNamespace = () => random.pick(workloads.filter(({ namespace }) => namespace === workload.namespace));
  const own = random.chance(0.3) ? portName("http") : port(workload.port);
  draft.allow("ingress", [appOf(sameNamespace()), { namespaces: named(other().namespace), pods: EVERYTHING }], [own]);
  if (random.chance(0.4))
    draft.allow(
      "ingress",
      [{ namespaces: selector({ team: `t${random.below(TEAMS)}` }), pods: selector({ tier: "web" }) }],
      [own, port(random.between(20000, 20400))],
    );
  const server = other();
  draft.allow(
    "egress",
    [{ namespaces: named(server.namespace), pods: appOf(server) }],
    [random.chance(0.3) ? portName("http") : port(server.port)],
  );
  if (random.chance(0.4)) draft.allow("egress", [outside(random)], [port(443)]);
  if (random.chance(0.2)) {
    const first = random.between(30000, 32000);
    draft.allow("egress", [appOf(sameNamespace())], [port(first, first + random.between(1, 500))]);
  }
  return draft.policy;
}

export function outside(random: Random): { prefix: Prefix; except: readonly Prefix[] } {
  if (random.chance(0.3))
    return { prefix: parsePrefix("0.0.0.0/0")!, except: [parsePrefix("10.0.0.0/8")!, parsePrefix("192.168.0.0/16")!] };
  return { prefix: outsideBlock(random), except: [] };
}

export function outsideBlock(random: Random): Prefix {
  return makePrefix(addressFromIPv4(0x64000000 + random.below(2000) * 0x10000), random.between(16, 28), 4);
}

/** Addresses outside the cluster, of which about half lie in the blocks of policies. */
export function outsideAddresses(count: number, seed = 2): bigint[] {
  const random = new Random(seed);
  return Array.from({ length: count }, () => addressFromIPv4(0x64000000 + random.below(0x10000000)));
}
