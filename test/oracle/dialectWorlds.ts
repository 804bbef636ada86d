import fc from "fast-check";
import { type Address, formatAddress } from "../../src/net/address.ts";
import type { PolicySet } from "../../src/policy/model.ts";
import { adminPolicy, baselinePolicy, clusterPolicy } from "./adminObjects.ts";
import { calicoPolicy, calicoSet, calicoTiers } from "./calicoObjects.ts";
import type { FlowQuestion } from "./cases.ts";
import { cidrGroup, ciliumPolicy } from "./ciliumObjects.ts";
import type { PlainObject } from "./compiled.ts";
import * as pools from "./dialectPools.ts";
import type { OraclePod, OracleService, Resources } from "./obviousEvaluator.ts";
import type { ObviousProfile } from "./obviousTerms.ts";
import * as worlds from "./worlds.ts";

/*
 * Random clusters with policies of every dialect, and flows that aim at their edges. What a plugin ignores is among them too.
 */

export interface DialectWorld {
  readonly resources: Resources;
  readonly policies: readonly PlainObject[];
  /** Which flows are asked, as numbers: see flowsIn. */
  readonly picks: readonly (readonly [number, number, number, number])[];
}

/** How many objects of each kind a profile's worlds have at most: what it ignores is rare. */
const MOST = {
  generic: { networkpolicy: 3, admin: 4, cluster: 4, cilium: 1, calico: 1 },
  cilium: { networkpolicy: 2, admin: 1, cluster: 3, cilium: 5, calico: 1 },
  calico: { networkpolicy: 2, admin: 1, cluster: 1, cilium: 1, calico: 6 },
} as const;

const podWithAccount = fc.record({
  pod: worlds.pod,
  account: fc.option(worlds.some(pools.ACCOUNTS), { nil: undefined }),
  isNameServer: fc.nat(5).map((n) => n === 0),
  /** Like the pod before it, but for its account or its ports. */
  twin: worlds.some([undefined, undefined, undefined, "account", "ports"]),
});

const NAME_SERVER_PORTS = [
  { name: "dns", containerPort: 53, protocol: "UDP" },
  { name: "dns-tcp", containerPort: 53, protocol: "TCP" },
];

const pods = fc.array(podWithAccount, { minLength: 3, maxLength: 7 }).map((list) => {
  const made: OraclePod[] = [];
  for (const [index, { pod, account, isNameServer, twin }] of list.entries()) {
    // Two namespaces hold most pods, so that policies meet. Where a pod's node is not known, nobody can say whether a node is its own.
    const namespace = index % 3 === 2 ? pod.namespace : worlds.NAMESPACES[index % 2];
    const plain = worlds.podOf({ ...pod, namespace, node: pod.node ?? worlds.nodes[index % 2] }, index);
    const before = made.at(-1);
    const own = { ...plain, ...(account === undefined ? {} : { serviceAccount: account }) };
    if (before !== undefined && twin !== undefined) {
      const { labels, ports, serviceAccount } = before;
      const same = { ...own, namespace: before.namespace, labels };
      made.push(twin === "account" ? { ...same, ports } : { ...same, ...(serviceAccount === undefined ? {} : { serviceAccount }) });
    } else if (isNameServer)
      made.push({ ...own, labels: { ...plain.labels, "k8s-app": "kube-dns" }, ports: [...plain.ports, ...NAME_SERVER_PORTS] });
    else made.push(own);
  }
  return made;
});

const service = fc.record({
  labels: worlds.labelsOf(pools.SERVICE_LABELS),
  selector: fc.option(worlds.labelsOf({ app: worlds.POD_LABELS.app }), { nil: undefined }),
  ports: fc.array(fc.record({ port: worlds.some(worlds.PORTS), protocol: worlds.some(worlds.PROTOCOLS) }), { minLength: 1, maxLength: 2 }),
  others: fc.uniqueArray(worlds.some([...worlds.OUTSIDE, "192.168.0.1"]), { maxLength: 2 }),
  numbers: fc.array(fc.nat(6), { maxLength: 2 }),
});

type RandomService = typeof service extends fc.Arbitrary<infer T> ? T : never;

/** Endpoints are the selected pods', those on the host network too; without a selector whatever was written down. */
function serviceOf(
  { selector, numbers, others, ...rest }: RandomService,
  place: { name: string; namespace: string },
  all: Resources["pods"],
): OracleService {
  const own = { ...rest, ...place };
  const addresses = (list: Resources["pods"]) => list.flatMap(({ ip, ips = [ip] }) => ips);
  const isSelected = ({ namespace, labels }: Resources["pods"][number]) =>
    namespace === own.namespace && Object.entries(selector ?? {}).every(([key, value]) => labels[key] === value);
  if (selector === undefined || Object.keys(selector).length === 0)
    return {
      ...own,
      endpoints: [...new Set([...others, ...addresses(all.filter((_, index) => numbers.includes(index)))])],
    };
  return { ...own, selector, endpoints: [...new Set(addresses(all.filter(isSelected)))] };
}

const ROLES: Readonly<Record<string, string>> = {
  "192.0.2.10": "host",
  "192.0.2.11": "remote-node",
  "192.0.2.12": "kube-apiserver",
  "192.0.2.13": "health",
  "192.0.2.14": "ingress",
  "192.0.2.15": "unmanaged",
  "192.0.2.16": "world,kube-apiserver",
  "fd00:0:0:9::1": "remote-node",
};

const resources = (profile: ObviousProfile): fc.Arbitrary<Resources> =>
  fc
    .record({
      namespaces: fc.tuple(...worlds.NAMESPACES.map(() => worlds.labelsOf(worlds.NAMESPACE_LABELS))),
      pods,
      nodes: fc.tuple(...worlds.nodes.map(() => worlds.labelsOf(pools.NODE_LABELS))),
      accounts: fc.tuple(...worlds.NAMESPACES.map(() => fc.tuple(...pools.ACCOUNTS.map(() => worlds.labelsOf(pools.ACCOUNT_LABELS))))),
      services: fc.tuple(...pools.SERVICES.map(() => service)),
      fqdns: fc.tuple(
        ...pools.NAMES_OF_HOSTS.map(() => fc.uniqueArray(worlds.some([...worlds.OUTSIDE, "10.244.0.3", "192.168.0.1"]), { maxLength: 2 })),
      ),
    })
    .map((random) => ({
      namespaces: worlds.NAMESPACES.map((name, i) => ({ name, labels: random.namespaces[i] })),
      pods: random.pods,
      // A kubelet labels its node: one without any label is taken for one that no object describes.
      nodes: worlds.nodes.map((node, i) => ({ ...node, labels: { "kubernetes.io/hostname": node.name, ...random.nodes[i] } })),
      serviceAccounts: worlds.NAMESPACES.flatMap((namespace, i) =>
        pools.ACCOUNTS.map((name, j) => ({ namespace, name, labels: random.accounts[i][j] })),
      ),
      services: random.services.map((each, i) => serviceOf(each, pools.SERVICES[i], random.pods)),
      fqdns: Object.fromEntries(pools.NAMES_OF_HOSTS.map((name, i) => [name, random.fqdns[i]])),
      ...(profile === "cilium" ? { entities: ROLES } : {}),
    }));

type Numbered = (name: string, priority: number) => PlainObject;

const several = (of: fc.Arbitrary<Numbered>, maxLength: number) => fc.array(of, { maxLength, size: "max" });

/** Policies, made from their names and priorities: those are all different, equal ones being undefined. */
const named = (lists: fc.Arbitrary<readonly (readonly Numbered[])[]>, prefix: string) =>
  fc
    .tuple(lists, fc.uniqueArray(fc.integer({ min: 1, max: 1000 }), { minLength: 20, maxLength: 20, size: "max" }))
    .map(([made, priorities]) => made.flat().map((make, index) => make(`${prefix}${index}`, priorities[index])));

/** What policies refer to. Sets of different plugins have the same names. */
const groups = fc.tuple(cidrGroup, cidrGroup).map((list) => list.map((make, index) => make(`set${index}`)));
const sets = fc.array(calicoSet, { maxLength: 3 }).map((list) => list.map((make, index) => make(`set${index}`)));

function policies(profile: ObviousProfile): fc.Arbitrary<PlainObject[]> {
  const most = MOST[profile];
  const own = fc.tuple(
    several(
      worlds.networkPolicy.map(
        (each): Numbered =>
          (name) =>
            worlds.namedNetworkPolicy(each, name),
      ),
      most.networkpolicy,
    ),
    several(adminPolicy, most.admin),
    several(clusterPolicy, most.cluster),
    several(ciliumPolicy, most.cilium),
    several(calicoPolicy, most.calico),
  );
  const nothing = fc.constant([]);
  const others = fc.tuple(
    fc.option(baselinePolicy, { nil: undefined }).map((policy) => (policy === undefined ? [] : [policy])),
    profile === "cilium" ? groups : nothing,
    profile === "calico" ? sets : nothing,
    profile === "calico" ? calicoTiers : nothing,
  );
  const ranks = fc.array(fc.nat(), { minLength: 30, maxLength: 30, size: "max" });
  // In random order: none that matters is written in it.
  return fc.tuple(named(own, "p"), others, ranks).map(([list, more, numbers]) =>
    [...list, ...more.flat()]
      .map((object, index) => ({ object, rank: numbers[index % numbers.length] }))
      .sort((a, b) => a.rank - b.rank)
      .map(({ object }) => object),
  );
}

/** Policies that a profile's plugin does not know, and the sets of other plugins. */
export function foreignObjects(profile: ObviousProfile): fc.Arbitrary<{ policies: PlainObject[]; sets: PlainObject[] }> {
  const isForeign = { admin: profile === "cilium", cilium: profile !== "cilium", calico: profile !== "calico" };
  const unknown = fc.tuple(
    several(adminPolicy, isForeign.admin ? 2 : 0),
    several(ciliumPolicy, isForeign.cilium ? 2 : 0),
    several(calicoPolicy, isForeign.calico ? 2 : 0),
  );
  const nothing = fc.constant([]);
  const foreignSets = fc.tuple(isForeign.cilium ? groups : nothing, isForeign.calico ? sets : nothing).map((lists) => lists.flat());
  return fc.record({ policies: named(unknown, "foreign"), sets: foreignSets });
}

export function dialectWorlds(profile: ObviousProfile, flows: number): fc.Arbitrary<DialectWorld> {
  const picks = fc.array(fc.tuple(fc.nat(), fc.nat(), fc.nat(), fc.nat()), { minLength: flows / 2, maxLength: flows, size: "max" });
  return fc.record({ resources: resources(profile), policies: policies(profile), picks });
}

const QUESTIONS = ["TCP", "TCP", "TCP", "TCP", "TCP", "UDP", "UDP", "UDP", "SCTP", "SCTP", "ICMP", "ICMP", "ICMPv6", "UDPLite", "47", "4"];
const SOURCE_PORTS = [40000, 1, 80, 81, 443, 8080, 65535];

/** Turns numbers into flows between ends, at ports, that matter in a world. */
export function flowsIn(
  { resources: { pods: all, nodes = [], services = [], entities = {}, fqdns = {} }, picks }: DialectWorld,
  set: PolicySet,
): FlowQuestion[] {
  const edges = edgesOf(set);
  const inside = all.flatMap(({ ip, ips = [ip] }) => ips);
  const special = [...nodes.flatMap(({ ips }) => ips), ...Object.keys(entities), ...Object.values(fqdns).flat(), ...worlds.OUTSIDE];
  const known = [...special, ...edges.addresses, ...services.flatMap(({ endpoints }) => endpoints)];
  const pick = <T>(from: readonly T[], n: number): T => from[n % from.length];
  const ofServices = services.flatMap((each) => each.ports.map(({ port }) => port));
  const ports = [
    ...new Set([...edges.ports, 53, 4789, ...ofServices, ...all.flatMap((pod) => pod.ports.map(({ containerPort }) => containerPort))]),
  ];
  return picks.map(([source, destination, protocol, port]) => {
    const name = pick(QUESTIONS, protocol);
    // One end is a pod, unless it is on the host network: what has no pod at either end is judged by nobody.
    const other = source % 3 === 0 ? pick(known, destination) : pick(inside, source + 1 + (destination % inside.length));
    const ends = [pick(inside, source), other].map((ip) => ({ ip }));
    const [src, dst] = destination % 2 === 0 ? ends : ends.reverse();
    const common = { src, dst, protocol: name, srcPort: pick(SOURCE_PORTS, protocol >>> 4) };
    if (name.startsWith("ICMP"))
      return { ...common, icmpType: pick([0, 1, 3, 8, 128, 255], port), icmpCode: pick([0, 1, 4, 255], port >>> 3) };
    // The ports that rules on requests are for are asked often.
    return { ...common, port: port % 3 === 0 ? pick([80, 8080], port >>> 2) : pick(ports, port >>> 2) };
  });
}

/** Every first and last address of prefixes and port of ranges in a policy set, and one beside each. */
function edgesOf(set: PolicySet): { addresses: string[]; ports: number[] } {
  const addresses = new Set<string>();
  const ports = new Set<number>();
  const visit = (value: unknown): void => {
    if (typeof value !== "object" || value === null) return;
    const { first, last, family } = value as { first?: Address | number; last?: Address | number; family?: number };
    if (typeof first === "bigint" && typeof last === "bigint") {
      const [low, high] = family === 4 ? [0xffff_0000_0000n, 0xffff_ffff_ffffn] : [0n, (1n << 128n) - 1n];
      for (const each of [first - 1n, first, last, last + 1n]) if (each >= low && each <= high) addresses.add(formatAddress(each));
    } else if (typeof first === "number" && typeof last === "number") {
      for (const each of [first - 1, first, last, last + 1]) if (each >= 0 && each <= 65535) ports.add(each);
    } else for (const inner of Object.values(value)) visit(inner);
  };
  visit([set.policies, set.sets]);
  return { addresses: [...addresses], ports: [...ports] };
}
