import { parseAddress } from "../../src/net/address.ts";
import { hasPorts, isIcmp, protocolNumber } from "../../src/net/protocol.ts";
import type {
  AddressSet,
  Direction,
  Entity,
  Expression,
  L7Match,
  LabelSource,
  NamespaceMatch,
  Peer,
  PeerTerm,
  PodMatch,
  Policy,
  PolicySet,
  PortMatch,
  Rule,
  SetMatch,
} from "../../src/policy/model.ts";
import type { Labels, OraclePod, OracleService, Resources } from "./obviousEvaluator.ts";

/*
 * A second opinion on policies of every dialect, straight over the neutral model: for each question it walks the stages, policies,
 * rules and peers. Written from shared/semantics.md, shared/cni.md and the READMEs of the vectors, not from src/evaluate. It shares
 * no code with src/ but the readers and the parsing of addresses. Two-valued: give it a world in which all is known.
 */

export type ObviousProfile = "generic" | "cilium" | "calico";

/** What is asked: one packet between two addresses. `holds` says whether the request is one of those that a rule wants. */
export interface ModelQuestion {
  readonly source: string;
  readonly destination: string;
  readonly protocol: string;
  readonly port?: number;
  readonly icmpType?: number;
  readonly icmpCode?: number;
  readonly sourcePort: number;
  readonly holds: (alternatives: readonly L7Match[]) => boolean;
}

/** One side's answer; `by` are the rules that may be called the deciding one, none where no rule decides. */
export interface ModelAnswer {
  readonly allowed: boolean;
  readonly by: readonly { readonly policy: Policy; readonly rule: Rule }[];
}

interface End {
  readonly address: bigint;
  readonly family: 4 | 6;
  readonly kind: "pod" | "node" | "outside" | "reserved";
  readonly pod?: OraclePod;
  /** A node's name and labels; a node that only a label tells of has neither, but says whose it is. */
  readonly node?: { readonly name?: string; readonly labels: Labels; readonly isOwn?: boolean };
  readonly reserved?: Entity;
  readonly isApiServer: boolean;
}

/** One question as the rules of one side see it. */
interface Side {
  readonly set: PolicySet;
  readonly resources: Resources;
  readonly profile: ObviousProfile;
  readonly direction: Direction;
  readonly subject: End;
  readonly peer: End;
  readonly destination: End;
  readonly question: ModelQuestion;
}

type Outcome = { readonly allowed: boolean; readonly by: ModelAnswer["by"] } | "next";

const ALLOWED: ModelAnswer = { allowed: true, by: [] };
const DENIED: ModelAnswer = { allowed: false, by: [] };

/** Judges a packet at both sides. */
export function judgeModel(
  set: PolicySet,
  resources: Resources,
  profile: ObviousProfile,
  question: ModelQuestion,
): { egress: ModelAnswer; ingress: ModelAnswer } {
  const source = endOf(resources, question.source);
  const destination = endOf(resources, question.destination);
  const common = { set, resources, profile, destination, question };
  return {
    egress: judgeSide({ ...common, direction: "egress", subject: source, peer: destination }),
    ingress: judgeSide({ ...common, direction: "ingress", subject: destination, peer: source }),
  };
}

function endOf(resources: Resources, text: string): End {
  const address = parseAddress(text)!;
  const common = { address, family: text.includes(":") ? 6 : 4, isApiServer: false } as const;
  const isOwn = (ip: string) => parseAddress(ip) === address;
  const roles = Object.entries(resources.entities ?? {})
    .find(([ip]) => isOwn(ip))?.[1]
    .split(",");
  const pod = resources.pods.find(({ hostNetwork, ip, ips = [ip] }) => !hostNetwork && ips.some(isOwn));
  if (pod !== undefined) return { ...common, kind: "pod", pod };
  const known = resources.nodes?.find(({ ips }) => ips.some(isOwn));
  const node = { ...(known ? { name: known.name } : {}), labels: known?.labels ?? {} };
  if (roles === undefined) return known ? { ...common, kind: "node", node } : { ...common, kind: "outside" };
  const isApiServer = roles.includes("kube-apiserver");
  if (roles.includes("world")) return { ...common, kind: "outside", isApiServer };
  if (roles.includes("host")) return { ...common, kind: "node", node: { ...node, isOwn: true }, isApiServer };
  if (roles.includes("remote-node") || isApiServer) return { ...common, kind: "node", node: { ...node, isOwn: false }, isApiServer };
  return { ...common, kind: "reserved", reserved: roles[0] as Entity };
}

function isOwnNode({ subject, peer }: Side): boolean {
  if (peer.node === undefined) return false;
  return peer.node.isOwn ?? (peer.node.name !== undefined && peer.node.name === subject.pod?.node);
}

function judgeSide(side: Side): ModelAnswer {
  const { subject, peer, profile } = side;
  // Nodes, pods on their network and the outside are no subjects; what a pod sends itself never leaves it.
  if (subject.pod === undefined || subject.pod === peer.pod) return ALLOWED;
  const { protocol, port, icmpType, icmpCode } = side.question;
  // Cilium looks for "fragmentation needed" before it looks at policies (bpf/lib/policy.h, ALLOW_ICMP_FRAG_NEEDED).
  if (profile === "cilium" && protocol === "ICMP" && icmpType === 3 && icmpCode === 4) return ALLOWED;
  // felix drops what pods encapsulate (README of the calico vectors).
  const isTunnel = (protocol === "UDP" && port === 4789) || protocolNumber(protocol) === 4;
  if (profile === "calico" && side.direction === "egress" && isTunnel) return DENIED;
  if (profile === "calico") return judgeCalico(side);
  return profile === "cilium" ? judgeCilium(side) : judgeGeneric(side);
}

/** Policies in force that select the subject and say something of the direction, of some kinds. */
function selecting(side: Side, isMeant: (policy: Policy) => boolean): Policy[] {
  return side.set.policies.filter(
    (policy) =>
      policy.staged === undefined &&
      policy.inert === undefined &&
      policy.nodes === undefined &&
      isMeant(policy) &&
      rulesOf(side, policy) !== undefined &&
      podHolds(side, policy.subject, side.subject),
  );
}

/** Cilium looks at rule lists even where policyTypes leaves their direction out. */
function rulesOf({ direction, profile }: Side, policy: Policy) {
  return policy[direction] ?? (profile === "cilium" ? policy.unlisted?.[direction] : undefined);
}

/** Admin -> NetworkPolicy -> Baseline -> allow (network-policy-api). */
function judgeGeneric(side: Side): ModelAnswer {
  const admin = firstMatch(side, byPriority(selecting(side, ({ tier }) => tier.kind === "admin")));
  if (admin !== "next") return admin;
  const isolating = selecting(side, ({ tier }) => tier.kind === "networkpolicy");
  if (isolating.length > 0) {
    if (isOwnNode(side)) return ALLOWED;
    const by = matching(side, isolating);
    return { allowed: by.length > 0, by };
  }
  const baseline = firstMatch(side, byPriority(selecting(side, ({ tier }) => tier.kind === "baseline")));
  return baseline === "next" ? ALLOWED : baseline;
}

/** ClusterNetworkPolicy Admin -> one union of NetworkPolicy, CNP and CCNP -> Baseline, isolated or not -> default. */
function judgeCilium(side: Side): ModelAnswer {
  const isCluster = ({ ref, ingress, egress }: Policy) =>
    ref.kind === "ClusterNetworkPolicy" &&
    ![...(ingress?.rules ?? []), ...(egress?.rules ?? [])].some(
      ({ peers }) => peers !== "any" && peers.some(({ kind }) => kind === "nodes"),
    );
  const admin = firstMatch(side, byPriority(selecting(side, (policy) => policy.tier.kind === "admin" && isCluster(policy))));
  if (admin !== "next") return admin;
  const union = selecting(side, ({ tier }) => tier.kind === "networkpolicy" || tier.kind === "cilium");
  const isFromHost = side.direction === "ingress" && isOwnNode(side);
  const matched = matching(side, union);
  const denying = matched.filter(({ rule }) => rule.action === "deny");
  if (denying.length > 0) return { allowed: false, by: denying };
  const allowing = matched.filter(({ rule }) => rule.l7 === undefined);
  if (allowing.length > 0) return { allowed: true, by: allowing };
  if (matched.length > 0) {
    // Only rules that want to see the request: the proxy refuses what none of them names, but not what the host asks.
    return { allowed: isFromHost || matched.some(({ rule }) => side.question.holds(rule.l7!)), by: isFromHost ? [] : matched };
  }
  const baseline = firstMatch(side, byPriority(selecting(side, (policy) => policy.tier.kind === "baseline" && isCluster(policy))));
  if (baseline !== "next") return baseline;
  const isIsolated = union.some((policy) => rulesOf(side, policy)!.isolates);
  return isIsolated && !isFromHost ? DENIED : ALLOWED;
}

const DEFAULT_TIER_ORDER = 1_000_000;

/** Tiers in their order; what no rule decides falls to the end of a tier that governs the pod, or goes on. */
function judgeCalico(side: Side): ModelAnswer {
  // felix does not police what a node sends its own pods.
  if (side.direction === "ingress" && isOwnNode(side)) return ALLOWED;
  const tiers = [
    ...side.set.tiers.map(({ name, order, end }) => ({ name, order, end })),
    { name: "kube-admin", order: 1000, end: "pass" },
    { name: "kube-baseline", order: 10_000_000, end: "pass" },
  ];
  if (!tiers.some(({ name }) => name === "default")) tiers.push({ name: "default", order: DEFAULT_TIER_ORDER, end: "deny" });
  tiers.sort((a, b) => a.order - b.order || (a.name < b.name ? -1 : 1));
  for (const { name, end } of tiers) {
    const policies = selecting(side, (policy) => policy.tier.kind !== "cilium" && tierOf(policy) === name);
    if (policies.length === 0) continue;
    const ordered = name === "kube-admin" || name === "kube-baseline" ? byPriority(policies) : byCalicoOrder(policies);
    const outcome = firstMatch(side, ordered, end === "deny" ? DENIED : "next");
    if (outcome !== "next") return outcome;
  }
  return ALLOWED;
}

function tierOf({ tier }: Policy): string {
  if (tier.kind === "calico") return tier.name;
  return tier.kind === "admin" ? "kube-admin" : tier.kind === "baseline" ? "kube-baseline" : "default";
}

function byPriority(policies: readonly Policy[]): Policy[] {
  const order = ({ tier }: Policy) => (tier.kind === "admin" || tier.kind === "baseline" ? tier.order : 0);
  return policies.toSorted((a, b) => order(a) - order(b) || (a.ref.name < b.ref.name ? -1 : 1));
}

/** Kubernetes policies have order 1000; no order is last; ties by `name/namespace/kind`. */
function byCalicoOrder(policies: readonly Policy[]): Policy[] {
  const order = ({ tier }: Policy) => (tier.kind === "calico" ? (tier.order ?? Number.MAX_VALUE) : 1000);
  const text = ({ ref, tier }: Policy) =>
    `${ref.name}/${ref.namespace ?? ""}/${tier.kind === "networkpolicy" ? "KubernetesNetworkPolicy" : ref.kind}`;
  return policies.toSorted((a, b) => order(a) - order(b) || (text(a) < text(b) ? -1 : 1));
}

/** Rules in order: the first that allows or denies decides; `pass` leaves, `log` does nothing. `end`: when none did. */
function firstMatch(side: Side, policies: readonly Policy[], end: Outcome = "next"): Outcome {
  for (const policy of policies) {
    for (const rule of rulesOf(side, policy)!.rules) {
      if (rule.action === "log" || !ruleHolds(side, policy, rule)) continue;
      if (rule.l7 !== undefined && !side.question.holds(rule.l7)) continue;
      if (rule.action === "pass") return "next";
      return { allowed: rule.action === "allow", by: [{ policy, rule }] };
    }
  }
  return end;
}

function matching(side: Side, policies: readonly Policy[]): { policy: Policy; rule: Rule }[] {
  return policies.flatMap((policy) =>
    rulesOf(side, policy)!
      .rules.filter((rule) => ruleHolds(side, policy, rule))
      .map((rule) => ({ policy, rule })),
  );
}

function ruleHolds(side: Side, policy: Policy, rule: Rule): boolean {
  const { peer, subject, question } = side;
  const { peers, near, ports, notPorts, sourcePorts, notSourcePorts } = rule;
  const somePort = (matches: readonly PortMatch[]) => matches.some((match) => portHolds(side, match));
  const isPeer = (each: Peer) => termHolds(side, policy, each, peer);
  if (near !== undefined && !near.some((each) => termHolds(side, policy, each, subject))) return false;
  if (notPorts !== undefined && somePort(notPorts)) return false;
  const someSource = (matches: readonly PortMatch[]) =>
    matches.some(({ protocol, ports: range }) => {
      if (protocol !== protocolNumber(question.protocol)) return false;
      return range === undefined || (!("name" in range) && question.sourcePort >= range.first && question.sourcePort <= range.last);
    });
  if (sourcePorts !== undefined && !someSource(sourcePorts)) return false;
  if (notSourcePorts !== undefined && someSource(notSourcePorts)) return false;
  if ((peers === "any" || peers.some(isPeer)) && (ports === "any" || somePort(ports))) return true;
  // Cilium lets a rule that allows by DNS name also open the name servers' ports, by their names.
  const opensDns = side.profile === "cilium" && policy.tier.kind !== "cilium" && rule.action === "allow" && peers !== "any";
  return opensDns && peers.some(({ kind }) => kind === "names") && isNameServerPort(side);
}

function isNameServerPort({ destination, question }: Side): boolean {
  const { pod } = destination;
  if (pod?.labels["k8s-app"] !== "kube-dns") return false;
  return pod.ports.some(
    ({ name, containerPort, protocol }) =>
      (name === "dns" || name === "dns-tcp") && containerPort === question.port && protocol === question.protocol,
  );
}

function portHolds({ destination, question }: Side, { protocol, ports, icmp }: PortMatch): boolean {
  const own = protocolNumber(question.protocol)!;
  if (protocol !== own) return false;
  if (icmp !== undefined) return icmp.type === question.icmpType && (icmp.code === undefined || icmp.code === question.icmpCode);
  if (ports === undefined) return true;
  if (isIcmp(own) || !hasPorts(own)) return false;
  if (!("name" in ports)) return question.port! >= ports.first && question.port! <= ports.last;
  const declared = destination.pod?.ports ?? [];
  return declared.some((each) => each.name === ports.name && protocolNumber(each.protocol) === own && each.containerPort === question.port);
}

/** Cilium's blocks are for the outside alone. */
function isAddressed({ profile }: Side, { kind }: End): boolean {
  return profile !== "cilium" || kind === "outside";
}

type Block = Extract<PeerTerm, { readonly kind: "prefix" }>["prefix"];

function blockHolds({ first, last, family }: Block, end: End): boolean {
  return end.family === family && end.address >= first && end.address <= last;
}

function termHolds(side: Side, policy: Policy, term: PeerTerm, end: End): boolean {
  const { resources } = side;
  switch (term.kind) {
    case "pods":
      return podHolds(side, term.match, end);
    case "prefix":
      return isAddressed(side, end) && blockHolds(term.prefix, end) && !term.except.some((prefix) => blockHolds(prefix, end));
    case "sets": {
      const sets = side.set.sets.filter((set) => setHolds(side, policy, term.match, set));
      const isIn = sets.some(({ prefixes }) => prefixes.some((prefix) => blockHolds(prefix, end)));
      return isAddressed(side, end) && isIn && !term.except.some((prefix) => blockHolds(prefix, end));
    }
    case "family":
      return end.family === term.family;
    case "nodes":
      return end.node !== undefined && labelsHold(term.selector.requirements, end.node.labels);
    case "entities":
      return term.entities.some((entity) => entityHolds(side, entity, end));
    case "names": {
      const names = Object.entries(resources.fqdns ?? {}).flatMap(([name, ips]) =>
        ips.some((ip) => parseAddress(ip) === end.address) ? [name.toLowerCase().replace(/\.$/, "")] : [],
      );
      return isAddressed(side, end) && term.patterns.some(({ regex }) => names.some((name) => new RegExp(`^(?:${regex})$`).test(name)));
    }
    case "services":
      return (resources.services ?? [])
        .filter((service) => isMeant(term.match, service))
        .some((service) => serviceHolds(side, term.ports, service, end));
    case "all":
      return term.terms.every((inner) => termHolds(side, policy, inner, end));
    case "some":
      return term.terms.some((inner) => termHolds(side, policy, inner, end));
    case "not":
      return !termHolds(side, policy, term.term, end);
  }
}

function isMeant(match: Extract<PeerTerm, { readonly kind: "services" }>["match"], { namespace, name, labels }: OracleService): boolean {
  if (match.namespace !== undefined && match.namespace !== namespace) return false;
  return "name" in match ? match.name === name : labelsHold(match.selector.requirements, labels);
}

/** Calico matches the addresses of a Service's endpoints; Cilium its pods, or those addresses as blocks where it selects none. */
function serviceHolds(side: Side, withPorts: boolean, { namespace, selector, endpoints, ports }: OracleService, end: End): boolean {
  const { protocol, port } = side.question;
  if (withPorts && !ports.some((each) => each.protocol === protocol && each.port === port)) return false;
  if (side.profile !== "cilium" || selector === undefined)
    return isAddressed(side, end) && endpoints.some((ip) => parseAddress(ip) === end.address);
  if (end.pod?.namespace !== namespace) return false;
  return Object.entries(selector).every(([key, value]) => end.pod!.labels[key] === value);
}

/** Cilium documentation, Entities Based; the README of the cilium vectors for the API server. */
function entityHolds(side: Side, entity: Entity, end: End): boolean {
  switch (entity) {
    case "all":
      return true;
    case "none":
      return false;
    case "world":
      return end.kind === "outside";
    case "world-ipv4":
    case "world-ipv6":
      return end.kind === "outside" && end.family === (entity === "world-ipv4" ? 4 : 6);
    case "cluster":
      return end.kind !== "outside" || end.isApiServer;
    case "kube-apiserver":
      return end.isApiServer;
    case "host":
      return end.kind === "node" && isOwnNode(side);
    case "remote-node":
      return end.kind === "node" && !isOwnNode(side);
    default:
      return end.reserved === entity;
  }
}

/** Plugins read the sets of their own kinds. */
function setHolds(side: Side, policy: Policy, match: SetMatch, { ref, labels }: AddressSet): boolean {
  if ((policy.tier.kind === "cilium") !== (ref.kind === "CiliumCIDRGroup")) return false;
  if ("names" in match) return match.names.includes(ref.name);
  if (match.scope === "namespaced" && ref.namespace === undefined) return false;
  if (match.scope === "global" && ref.namespace !== undefined) return false;
  return objectHolds(side, match.match, { labels, ...(ref.namespace === undefined ? {} : { namespace: ref.namespace }) });
}

function podHolds(side: Side, match: PodMatch, { pod }: End): boolean {
  if (pod === undefined) return false;
  const { namespace, labels, serviceAccount = "default" } = pod;
  return objectHolds(side, match, { namespace, labels, account: serviceAccount });
}

/** A pod or an address set as selectors see it. */
interface Selectable {
  readonly namespace?: string;
  readonly labels: Labels;
  readonly account?: string;
}

function objectHolds(side: Side, { namespaces, pods, where }: PodMatch, object: Selectable): boolean {
  if (!namespaceHolds(side, namespaces, object) || !labelsHold(pods.requirements, object.labels)) return false;
  return where === undefined || expressionHolds(side, where, object);
}

function namespaceHolds(side: Side, match: NamespaceMatch, object: Selectable): boolean {
  if ("name" in match) return object.namespace === match.name;
  return labelsHold(match.selector.requirements, labelsOf(side, "namespace", object));
}

function labelsOf({ resources }: Side, source: LabelSource, { namespace, labels, account }: Selectable): Labels {
  switch (source) {
    case "own":
      return labels;
    case "namespace":
      if (namespace === undefined) return {};
      return { ...resources.namespaces.find(({ name }) => name === namespace)?.labels, "kubernetes.io/metadata.name": namespace };
    case "serviceAccount":
      return resources.serviceAccounts?.find((each) => each.namespace === namespace && each.name === account)?.labels ?? {};
    case "serviceAccountName":
      return account === undefined ? {} : { "": account };
  }
}

type Requirements = readonly { readonly key: string; readonly operator: string; readonly values: readonly string[] }[];

function labelsHold(requirements: Requirements, labels: Labels): boolean {
  for (const { key, operator, values } of requirements) {
    const value: string | undefined = Object.entries(labels).find(([each]) => each === key)?.[1];
    if (operator === "In" && (value === undefined || !values.includes(value))) return false;
    if (operator === "NotIn" && value !== undefined && values.includes(value)) return false;
    if (operator === "Exists" && value === undefined) return false;
    if (operator === "DoesNotExist" && value !== undefined) return false;
  }
  return true;
}

function expressionHolds(side: Side, expression: Expression, object: Selectable): boolean {
  switch (expression.op) {
    case "test":
      return labelsHold([expression.requirement], labelsOf(side, expression.of, object));
    case "text": {
      const value = labelsOf(side, expression.of, object)[expression.key];
      if (value === undefined) return false;
      const { how, text } = expression;
      return how === "contains" ? value.includes(text) : how === "starts" ? value.startsWith(text) : value.endsWith(text);
    }
    case "all":
      return expression.terms.every((term) => expressionHolds(side, term, object));
    case "some":
      return expression.terms.some((term) => expressionHolds(side, term, object));
    case "not":
      return !expressionHolds(side, expression.term, object);
  }
}
