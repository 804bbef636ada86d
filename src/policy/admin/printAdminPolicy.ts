import { formatPrefix } from "../../net/prefix.ts";
import { type Direction, type Peer, type PodMatch, type Policy, type PortMatch, portNameOf, type Rule } from "../model.ts";
import { quote } from "../objectReader.ts";
import {
  type PrintedObject,
  portProtocol,
  printLabelSelector,
  printNamespaceSelector,
  refuseForeignParts,
  type UnsayableError,
  unsayable,
} from "../printedObject.ts";
import { ADMIN_NETWORK_POLICY, BASELINE_ADMIN_NETWORK_POLICY, BASELINE_NAME } from "./adminNetworkPolicy.ts";
import { CLUSTER_NETWORK_POLICY, TIERS } from "./clusterNetworkPolicy.ts";
import { type AdminDialect, INGRESS_PEERS, MOST_IN_PEER } from "./dialect.ts";
import { domainNamePattern } from "./peers.ts";
import { PEERS_FIELD } from "./rules.ts";

/** What the kinds write differently. */
interface Kind {
  readonly apiVersion: string;
  readonly dialect: AdminDialect;
  /** Returns what `spec` begins with. */
  readonly printTier: (policy: Policy, kind: string) => Record<string, unknown>;
  readonly printPort: (protocol: "TCP" | "UDP" | "SCTP", ports: { first: number; last: number }) => Record<string, unknown>;
  readonly namedPort: string;
}

const V1ALPHA1 = { apiVersion: "policy.networking.k8s.io/v1alpha1", printPort: printV1Alpha1Port, namedPort: "namedPort" };

const KINDS: Readonly<Record<string, Kind>> = {
  AdminNetworkPolicy: {
    ...V1ALPHA1,
    dialect: ADMIN_NETWORK_POLICY,
    printTier: (policy, kind) => ({ priority: priorityOf(policy, kind, "admin") }),
  },
  BaselineAdminNetworkPolicy: { ...V1ALPHA1, dialect: BASELINE_ADMIN_NETWORK_POLICY, printTier: printBaseline },
  ClusterNetworkPolicy: {
    apiVersion: "policy.networking.k8s.io/v1alpha2",
    dialect: CLUSTER_NETWORK_POLICY,
    printTier: printClusterTier,
    printPort: (protocol, ports) => ({ [protocol.toLowerCase()]: { destinationPort: printRange(ports) } }),
    namedPort: "destinationNamedPort",
  },
};

/** What the writers of one rule share. */
interface Context {
  readonly kind: Kind;
  readonly direction: Direction;
  readonly refuse: (what: string) => UnsayableError;
}

/**
 * Returns the AdminNetworkPolicy, BaselineAdminNetworkPolicy (v1alpha1) or ClusterNetworkPolicy (v1alpha2) that says what a policy
 * says; `kind` is the policy's own where it is absent. Reading it back gives the same policy, save that a namespace meant by its
 * name comes back as a selector of that name. Throws an UnsayableError (a RangeError) where that kind cannot say it, or takes
 * fewer rules, peers or ports.
 */
export function printAdminPolicy(policy: Policy, kind: string = policy.ref.kind): PrintedObject {
  const written = Object.hasOwn(KINDS, kind) ? KINDS[kind] : undefined;
  if (!written) throw unsayable(kind, policy, `it is written as one of ${Object.keys(KINDS).join(", ")}`);
  refuseForeignParts(kind, policy);
  const printRules = (direction: Direction): Record<string, unknown> => {
    const list = policy[direction];
    if (list?.isolates) throw unsayable(kind, policy, "it isolates nothing by selecting it");
    if (!list || list.rules.length === 0) return {};
    const { most } = written.dialect;
    if (list.rules.length > most) throw unsayable(kind, policy, `it can have ${most} rules a direction, not ${list.rules.length}`);
    return { [direction]: list.rules.map((rule) => printRule(kind, written, policy, rule, direction)) };
  };
  return {
    apiVersion: written.apiVersion,
    kind,
    metadata: { name: policy.ref.name },
    spec: { ...written.printTier(policy, kind), subject: printPods(policy.subject), ...printRules("ingress"), ...printRules("egress") },
  };
}

function priorityOf(policy: Policy, kind: string, tier: "admin" | "baseline"): number {
  if (policy.tier.kind !== tier) throw unsayable(kind, policy, `it has no tier ${quote(policy.tier.kind)}`);
  const { order } = policy.tier;
  if (!Number.isInteger(order) || order < 0 || order > 1000)
    throw unsayable(kind, policy, `the priority ${quote(order)} is not in 0..1000`);
  return order;
}

function printBaseline(policy: Policy, kind: string): Record<string, unknown> {
  const { name } = policy.ref;
  if (priorityOf(policy, kind, "baseline") !== 0) throw unsayable(kind, policy, "it has no priority");
  if (name !== BASELINE_NAME) throw unsayable(kind, policy, `it must be named ${quote(BASELINE_NAME)}`);
  return {};
}

function printClusterTier(policy: Policy, kind: string): Record<string, unknown> {
  const isBaseline = policy.tier.kind === "baseline";
  const tier = (["Admin", "Baseline"] as const).find((name) => TIERS[name] === (isBaseline ? "baseline" : "admin"));
  return { tier, priority: priorityOf(policy, kind, isBaseline ? "baseline" : "admin") };
}

function printRule(name: string, kind: Kind, policy: Policy, rule: Rule, direction: Direction): Record<string, unknown> {
  const context: Context = { kind, direction, refuse: (what) => unsayable(name, policy, what, rule) };
  const { refuse } = context;
  const { actions, most, portsField } = kind.dialect;
  const action = Object.keys(actions).find((each) => actions[each] === rule.action);
  if (action === undefined) throw refuse(`no action means ${quote(rule.action)}`);
  if (rule.peers === "any") throw refuse("peers must be named: none stands for every address");
  const peers = printPeers(context, rule, rule.peers);
  const ports = rule.ports === "any" ? undefined : printPorts(context, rule.ports, rule.peers);
  if (peers.length > most) throw refuse(`a rule can have ${most} peers, not ${peers.length}`);
  if (ports && ports.length > most) throw refuse(`a rule can have ${most} ports, not ${ports.length}`);
  return { action, [PEERS_FIELD[direction]]: peers, ...(ports ? { [portsField]: ports } : {}) };
}

/** Returns peers in their order; networks that follow one another share a peer, since the number of peers is limited. */
function printPeers(context: Context, rule: Rule, peers: readonly Peer[]): Record<string, unknown>[] {
  const { refuse, direction, kind } = context;
  const printed: Record<string, unknown>[] = [];
  let networks: string[] | undefined;
  for (const peer of peers) {
    const field = fieldOf(peer);
    const known: readonly string[] = direction === "ingress" ? INGRESS_PEERS : kind.dialect.egressPeers;
    if (field === undefined || !known.includes(field)) throw refuse(`a peer of ${direction} rules cannot be ${quote(peer.kind)}`);
    if (peer.kind !== "prefix") {
      networks = undefined;
      printed.push(printPeer(context, rule, peer));
      continue;
    }
    if (peer.except.length > 0) throw refuse("a network cannot have exceptions");
    const text = formatPrefix(peer.prefix);
    if (!networks || networks.length === MOST_IN_PEER || networks.includes(text)) printed.push({ networks: (networks = []) });
    networks.push(text);
  }
  return printed;
}

function fieldOf(peer: Peer): string | undefined {
  if (peer.kind === "names") return "domainNames";
  if (peer.kind === "prefix") return "networks";
  return peer.kind === "pods" || peer.kind === "nodes" ? peer.kind : undefined;
}

function printPeer({ refuse }: Context, rule: Rule, peer: Peer): Record<string, unknown> {
  if (peer.kind === "nodes") return { nodes: printLabelSelector(peer.selector) };
  if (peer.kind === "names") {
    if (rule.action !== "allow") throw refuse("only a rule that allows can have domain names");
    const { patterns } = peer;
    if (patterns.length === 0 || patterns.length > MOST_IN_PEER) {
      throw refuse(`a peer has 1 to ${MOST_IN_PEER} domain names, not ${patterns.length}`);
    }
    const other = patterns.find(({ text, regex }) => domainNamePattern(text)?.regex !== regex);
    if (other) throw refuse(`${quote(other.text)} means something else here`);
    return { domainNames: patterns.map(({ text }) => text) };
  }
  if (peer.kind !== "pods" || peer.match.where) throw refuse("a peer can have label selectors only");
  return printPods(peer.match);
}

function printPods({ namespaces, pods }: PodMatch): Record<string, unknown> {
  const namespaceSelector = printNamespaceSelector(namespaces);
  if (pods.requirements.length === 0) return { namespaces: namespaceSelector };
  return { pods: { namespaceSelector, podSelector: printLabelSelector(pods) } };
}

/** Returns ports in their order. A name has no protocol here, so it must be there once for each protocol, one after another. */
function printPorts(context: Context, ports: readonly PortMatch[], peers: readonly Peer[]): Record<string, unknown>[] {
  const { refuse, kind } = context;
  const printed: Record<string, unknown>[] = [];
  for (let index = 0; index < ports.length; index++) {
    const match = ports[index];
    const protocol = portProtocol(match);
    if (protocol === undefined) throw refuse("ports are of TCP, UDP or SCTP");
    if (!match.ports) throw refuse(`every port of ${protocol} is the range 1 to 65535`);
    if ("name" in match.ports) {
      const { name } = match.ports;
      const same = ports.slice(index, index + 3).filter((each) => portNameOf(each) === name);
      if (new Set(same.map(portProtocol)).size < 3) throw refuse(`the port name ${quote(name)} would be of every protocol`);
      if (name === "") throw refuse("a port name is required");
      if (kind.dialect.namedPortsNeedPods && peers.some((peer) => peer.kind !== "pods")) throw refuse("only pods have named ports");
      printed.push({ [kind.namedPort]: name });
      index += 2;
    } else {
      if (match.ports.first < 1) throw refuse("port 0 cannot be named");
      printed.push(kind.printPort(protocol, match.ports));
    }
  }
  return printed;
}

function printV1Alpha1Port(protocol: string, { first, last }: { first: number; last: number }): Record<string, unknown> {
  return first === last ? { portNumber: { protocol, port: first } } : { portRange: { protocol, start: first, end: last } };
}

function printRange({ first, last }: { first: number; last: number }): Record<string, unknown> {
  return first === last ? { number: first } : { range: { start: first, end: last } };
}
