import type { LabelSelector, Requirement } from "../src/cluster/selector.ts";
import type { CniName } from "../src/evaluate/profile.ts";
import type { Address } from "../src/net/address.ts";
import { makePrefix, parsePrefix } from "../src/net/prefix.ts";
import { ICMP, UDP } from "../src/net/protocol.ts";
import type {
  Action,
  AddressSet,
  Direction,
  Expression,
  L7Match,
  NamePattern,
  Peer,
  PeerTerm,
  PodMatch,
  Policy,
  PolicySet,
  PolicyTier,
  PortMatch,
  Rule,
  RuleList,
  Tier,
} from "../src/policy/model.ts";
import {
  appOf,
  DNS,
  EVERYTHING,
  named,
  outside,
  outsideAddresses,
  outsideBlock,
  type PolicyWorld,
  port,
  portName,
  type Size,
  selector,
  TEAMS,
  type Workload,
} from "./policyWorld.ts";
import { Random } from "./random.ts";

/*
 * Policy sets of several dialects for the clusters of policyWorld.ts, as many policies as the plain set has: 40 % of them its own
 * first NetworkPolicies, the rest the plugin's. They are what the readers make of the objects that people write. Seeded.
 */

/** The plugins whose mixed sets are measured. `generic` knows NetworkPolicies and the admin kinds alone. */
export const MIXED = ["cilium", "calico", "generic"] as const satisfies readonly CniName[];
export type MixedName = (typeof MIXED)[number];

/** Returns the mixed policy set of a plugin. */
export function makeMixedSet(plugin: MixedName, size: Size, world: PolicyWorld): PolicySet {
  const random = new Random(11);
  const count = size.policies;
  const clusterwide = Math.max(4, Math.round(count / 100));
  const own = world.policies.slice(0, plugin === "generic" ? count - clusterwide : Math.round(count * 0.4));
  const { workloads } = world;
  const fill = (make: (workload: Workload, i: number) => Policy, upTo: number) =>
    Array.from({ length: upTo - own.length }, (_, i) => make(workloads[i % workloads.length], i));
  const admin = Array.from({ length: clusterwide }, (_, i) => adminPolicy(random, i, plugin));
  if (plugin === "generic") return { policies: [...own, ...admin], tiers: [], sets: [] };
  if (plugin === "cilium") {
    const cilium = fill((workload, i) => ciliumPolicy(random, workload, i, workloads), count - clusterwide);
    return { policies: [...own, ...cilium, ...admin], tiers: [], sets: makeSets(random, world, "CiliumCIDRGroup") };
  }
  const global = Array.from({ length: clusterwide }, (_, i) => globalPolicy(random, i));
  const calico = fill((workload, i) => calicoPolicy(random, workload, i, workloads), count - clusterwide);
  const sets = [...makeSets(random, world, "GlobalNetworkSet"), ...makeSets(random, world, "NetworkSet")];
  return { policies: [...own, ...calico, ...global], tiers: TIERS, sets };
}

/** DNS names of outside addresses: of every other one is known what it was called. */
export function namesOf(count: number): ReadonlyMap<Address, readonly string[]> {
  const random = new Random(12);
  const known = outsideAddresses(count).filter((_, i) => i % 2 === 0);
  return new Map(known.map((address, i) => [address, [`api-${i}.${vendor(random)}`]]));
}

const VENDORS = 200;
const vendor = (random: Random): string => `vendor-${random.below(VENDORS)}.example`;
const LABEL = "[-a-z0-9_]";

/** A name, or a wildcard over a vendor's names, as CiliumNetworkPolicies are read. */
function namePattern(random: Random): NamePattern {
  const domain = vendor(random);
  const text = random.chance(0.5) ? `api-${random.below(250)}.${domain}` : `*.${domain}`;
  return { text, regex: text.replaceAll(".", "\\.").replace("*", `${LABEL}*`) };
}

type Ports = "any" | readonly PortMatch[];
type Extra = Partial<Pick<Rule, "near" | "notPorts" | "l7">>;

/** Rules of one direction, with the refs that a reader would have made. */
class Rules {
  readonly list: Rule[] = [];
  readonly #direction: Direction;

  constructor(direction: Direction) {
    this.#direction = direction;
  }

  add(action: Action, peers: "any" | readonly PeerTerm[], ports: Ports = "any", extra: Extra = {}): this {
    const path = `${this.#direction}[${this.list.length}]`;
    const made = peers === "any" ? peers : peers.map((term, i): Peer => ({ ...term, ref: { path: `${path}.peers[${i}]` } }));
    this.list.push({ action, peers: made, ports, ref: { path }, ...extra });
    return this;
  }
}

function policyOf(
  ref: Policy["ref"],
  tier: PolicyTier,
  subject: PodMatch,
  isolates: boolean,
  rules: { readonly ingress?: Rules; readonly egress?: Rules },
): Policy {
  const list = ({ list }: Rules): RuleList => ({ isolates, rules: list });
  const { ingress, egress } = rules;
  return { ref, tier, subject, ...(ingress ? { ingress: list(ingress) } : {}), ...(egress ? { egress: list(egress) } : {}) };
}

const anywhere = (pods: LabelSelector): PodMatch => ({ namespaces: { selector: EVERYTHING }, pods });
const podsIn = (namespace: string, pods: LabelSelector): PeerTerm => ({ kind: "pods", match: { namespaces: { name: namespace }, pods } });
const icmp = (type: number): PortMatch => ({ protocol: ICMP, icmp: { type } });
const portOf = (random: Random, workload: Workload): PortMatch => (random.chance(0.3) ? portName("http") : port(workload.port));
const subjectOf = (random: Random, { labels, ...workload }: Workload): LabelSelector =>
  random.chance(0.85) ? appOf({ labels, ...workload }) : selector({ tier: labels.tier });

/** A block without a part of it, as CIDR sets are written. */
function cidrSet(random: Random): PeerTerm {
  const prefix = outsideBlock(random);
  return { kind: "prefix", prefix, except: [makePrefix(prefix.first, prefix.length + 4, 4)] };
}

const HTTP: readonly L7Match[] = [
  { kind: "http", method: { regex: "GET" }, path: { regex: "/v1/.*" } },
  { kind: "http", method: { regex: "POST" }, path: { regex: "/v1/orders" }, headers: [{ name: "x-team" }] },
];

function ciliumPolicy(random: Random, workload: Workload, i: number, workloads: readonly Workload[]): Policy {
  const { namespace } = workload;
  const other = () => random.pick(workloads);
  const neighbour = () => random.pick(workloads.filter((each) => each.namespace === namespace));
  const own = portOf(random, workload);
  // Deny rules come first, as the reader puts them.
  const ingress = new Rules("ingress");
  if (random.chance(0.2)) ingress.add("deny", [podsIn(namespace, selector({ tier: "data" }))], [own]);
  if (random.chance(0.1)) ingress.add("deny", [{ kind: "entities", entities: ["world"] }]);
  ingress.add(
    "allow",
    [podsIn(namespace, appOf(neighbour())), podsIn(other().namespace, EVERYTHING)],
    [own],
    "name" in (own.ports ?? {}) || !random.chance(0.3) ? {} : { l7: HTTP },
  );
  if (random.chance(0.3))
    ingress.add("allow", [
      { kind: "entities", entities: ["host"] },
      { kind: "entities", entities: ["remote-node"] },
    ]);
  if (random.chance(0.2)) ingress.add("allow", [{ kind: "entities", entities: ["cluster"] }], [icmp(8)]);
  const egress = new Rules("egress");
  if (random.chance(0.2)) egress.add("deny", [cidrSet(random)]);
  const server = other();
  egress.add("allow", [podsIn(server.namespace, appOf(server))], [portOf(random, server)]);
  if (random.chance(0.4)) egress.add("allow", [{ kind: "names", patterns: [namePattern(random)] }], [port(443)]);
  if (random.chance(0.3))
    egress.add("allow", [podsIn("kube-system", EVERYTHING)], DNS, {
      l7: [{ kind: "dns", names: { text: "*", regex: `(?:${LABEL}+(?:\\.${LABEL}+)*)?` } }],
    });
  if (random.chance(0.3)) egress.add("allow", [{ kind: "prefix", ...outside(random) }], [port(443)]);
  if (random.chance(0.1)) egress.add("allow", [{ kind: "sets", match: { names: [`set-${random.below(20)}`] }, except: [] }], [port(443)]);
  if (random.chance(0.15)) egress.add("allow", [{ kind: "entities", entities: ["kube-apiserver"] }], [port(6443)]);
  return policyOf(
    { apiVersion: "cilium.io/v2", kind: "CiliumNetworkPolicy", namespace, name: `${workload.name}-cilium-${i}` },
    { kind: "cilium" },
    { namespaces: { name: namespace }, pods: subjectOf(random, workload) },
    true,
    { ingress, egress },
  );
}

/** ClusterNetworkPolicies, three quarters of them in tier Admin; under `generic` also with peers that only that knows. */
function adminPolicy(random: Random, i: number, plugin: MixedName): Policy {
  const isBaseline = i % 4 === 3;
  const team = { namespaces: { selector: selector({ team: `t${random.below(TEAMS)}` }) }, pods: EVERYTHING };
  const production: PeerTerm = { kind: "pods", match: { namespaces: { selector: selector({ stage: "production" }) }, pods: EVERYTHING } };
  const test: PeerTerm = { kind: "pods", match: { namespaces: { selector: selector({ stage: "test" }) }, pods: EVERYTHING } };
  const ingress = new Rules("ingress");
  const egress = new Rules("egress");
  if (isBaseline) {
    ingress.add("allow", [production], [port(8080)]).add("deny", [test]);
    egress.add("deny", [{ kind: "prefix", prefix: parsePrefix("100.64.0.0/10")!, except: [] }]);
  } else {
    const monitoring: PeerTerm = { kind: "pods", match: { namespaces: { selector: named("monitoring") }, pods: EVERYTHING } };
    ingress.add("allow", [monitoring], [portName("metrics")]).add("deny", [test], [port(random.between(5000, 6000))]);
    ingress.add("pass", [production], [port(3000, 3500)]);
    egress.add("allow", [{ kind: "pods", match: { namespaces: { selector: named("kube-system") }, pods: EVERYTHING } }], DNS);
    egress.add("deny", [cidrSet(random)], [port(random.between(20, 25))]);
    egress.add("allow", [{ kind: "names", patterns: [namePattern(random)] }], [port(443)]);
    if (plugin === "generic") egress.add("allow", [{ kind: "nodes", selector: selector({ zone: `z${i % 3}` }) }], [port(10250)]);
  }
  return policyOf(
    { apiVersion: "policy.networking.k8s.io/v1alpha2", kind: "ClusterNetworkPolicy", name: `cluster-${i}` },
    { kind: isBaseline ? "baseline" : "admin", order: i },
    i % 5 === 0 ? anywhere(EVERYTHING) : team,
    false,
    { ingress, egress },
  );
}

const tier = (name: string, order: number, end: Tier["end"]): Tier => ({
  ref: { apiVersion: "projectcalico.org/v3", kind: "Tier", name },
  name,
  order,
  end,
});
const TIERS = [tier("security", 100, "deny"), tier("platform", 200, "pass"), tier("default", 1_000_000, "deny")];

/** Sets of outside addresses. Those of namespaces have the labels of their pods, so that rules' selectors find both. */
function makeSets(random: Random, { namespaces, workloads }: PolicyWorld, kind: string): AddressSet[] {
  const isNamespaced = kind === "NetworkSet";
  return Array.from({ length: isNamespaced ? Math.min(namespaces.size, 40) : 20 }, (_, i) => ({
    ref: {
      apiVersion: kind === "CiliumCIDRGroup" ? "cilium.io/v2" : "projectcalico.org/v3",
      kind,
      ...(isNamespaced ? { namespace: workloads[i % workloads.length].namespace } : {}),
      name: `set-${i}`,
    },
    labels: isNamespaced ? { tier: "partner" } : { feed: i % 2 === 0 ? "threat" : "partner" },
    prefixes: Array.from({ length: 5 }, () => outsideBlock(random)),
  }));
}

const test = (of: "own" | "namespace", key: string, operator: Requirement["operator"], ...values: string[]): Expression => ({
  op: "test",
  of,
  requirement: { key, operator, values },
});

/** What a selector of Calico means in a namespace: its pods and its NetworkSets. */
function objectsIn(namespace: string, pods: LabelSelector, where?: Expression): PeerTerm {
  const match: PodMatch = { namespaces: { name: namespace }, pods, ...(where ? { where } : {}) };
  return {
    kind: "some",
    terms: [
      { kind: "pods", match },
      { kind: "sets", match: { scope: "namespaced", match }, except: [] },
    ],
  };
}

const globalSets = (feed: string): PeerTerm => ({
  kind: "sets",
  match: { scope: "global", match: anywhere(selector({ feed })) },
  except: [],
});

/** Addresses in one block and not in another, both of IPv4 (nets and notNets). */
function nets(random: Random): PeerTerm {
  const prefix = outsideBlock(random);
  const block = (each: typeof prefix): PeerTerm => ({ kind: "prefix", prefix: each, except: [] });
  return {
    kind: "all",
    terms: [{ kind: "family", family: 4 }, block(prefix), { kind: "not", term: block(makePrefix(prefix.first, 28, 4)) }],
  };
}

/** `(tier starts with "w" || has(version)) && version != "v1"` and its like. */
const whereOf = (random: Random): Expression => ({
  op: "all",
  terms: [
    {
      op: "some",
      terms: [
        { op: "text", of: "own", key: "tier", how: "starts", text: random.pick(["w", "a", "d"]) },
        test("own", "version", "In", "v2", "v3"),
      ],
    },
    { op: "not", term: test("own", "app.kubernetes.io/name", "In", `app-${random.below(20)}`) },
  ],
});

/** A policy of tier `default`: before or after the NetworkPolicies there, which have order 1000. */
function calicoPolicy(random: Random, workload: Workload, i: number, workloads: readonly Workload[]): Policy {
  const { namespace } = workload;
  const other = () => random.pick(workloads);
  const neighbour = () => random.pick(workloads.filter((each) => each.namespace === namespace));
  const own = [portOf(random, workload)];
  const ingress = new Rules("ingress");
  if (random.chance(0.15)) ingress.add("deny", [objectsIn(namespace, selector({ tier: "data" }))], own);
  ingress.add("allow", [objectsIn(namespace, appOf(neighbour()))], own);
  if (random.chance(0.3)) ingress.add("allow", [objectsIn(namespace, EVERYTHING, whereOf(random))], own);
  if (random.chance(0.3)) {
    const account = neighbour().serviceAccountName;
    const where: Expression = { op: "test", of: "serviceAccountName", requirement: { key: "", operator: "In", values: [account] } };
    ingress.add("allow", [{ kind: "pods", match: { namespaces: { name: namespace }, pods: EVERYTHING, where } }], own);
  }
  const where = test("namespace", "team", "In", `t${random.below(TEAMS)}`, `t${random.below(TEAMS)}`);
  if (random.chance(0.4)) ingress.add("allow", [{ kind: "pods", match: { ...anywhere(selector({ tier: "web" })), where } }], own);
  if (random.chance(0.1)) ingress.add("pass", "any", [icmp(8)]);
  const egress = new Rules("egress");
  if (random.chance(0.3)) egress.add("allow", [nets(random)], [port(443)]);
  if (random.chance(0.1)) egress.add("deny", [globalSets("threat")]);
  const server = other();
  egress.add("allow", [{ kind: "pods", match: { namespaces: { name: server.namespace }, pods: appOf(server) } }], [portOf(random, server)]);
  if (random.chance(0.2)) egress.add("allow", [globalSets("partner")], "any", { notPorts: [port(25)] });
  if (random.chance(0.1)) egress.add("pass", "any", [port(53, 53, UDP)], { near: [{ ...nets(random), ref: { path: "source" } }] });
  const order = random.pick([500, 1500, undefined]);
  return policyOf(
    { apiVersion: "projectcalico.org/v3", kind: "NetworkPolicy", namespace, name: `${workload.name}-calico-${i}` },
    { kind: "calico", name: "default", ...(order === undefined ? {} : { order }) },
    { namespaces: { name: namespace }, pods: subjectOf(random, workload) },
    true,
    { ingress, egress },
  );
}

/** GlobalNetworkPolicies of the tiers before `default`: what they do not decide they pass. */
function globalPolicy(random: Random, i: number): Policy {
  const isSecurity = i % 2 === 0;
  const ingress = new Rules("ingress").add("deny", [globalSets("threat")]).add("log", "any", [port(22)]);
  ingress.add("deny", [nets(random)], [port(random.between(20, 25))]);
  const egress = new Rules("egress").add("deny", [globalSets("threat")]);
  egress.add("allow", [{ kind: "pods", match: { namespaces: { selector: named("kube-system") }, pods: EVERYTHING } }], DNS);
  egress.add("deny", [{ kind: "not", term: globalSets("partner") }], [port(25)]);
  if (isSecurity) {
    ingress.add("pass", "any");
    egress.add("pass", "any");
  }
  return policyOf(
    { apiVersion: "projectcalico.org/v3", kind: "GlobalNetworkPolicy", name: `global-${i}` },
    { kind: "calico", name: isSecurity ? "security" : "platform", order: i },
    i % 5 === 0 ? anywhere(EVERYTHING) : { ...anywhere(EVERYTHING), where: test("namespace", "team", "In", `t${random.below(TEAMS)}`) },
    true,
    { ingress, egress },
  );
}
