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
  PeerTerm,
  PodMatch,
  Policy,
  PolicySet,
  PortMatch,
  SetMatch,
} from "../../src/policy/model.ts";
import type { Labels, OraclePod, OracleService, Resources } from "./obviousEvaluator.ts";

/*
 * What the obvious evaluator makes of one condition: who an address is, whether a term of the neutral model holds for it, whether a port
 * match holds. See obviousModel.ts.
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

export interface End {
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
export interface Side {
  readonly set: PolicySet;
  readonly resources: Resources;
  readonly profile: ObviousProfile;
  readonly direction: Direction;
  readonly subject: End;
  readonly peer: End;
  readonly destination: End;
  readonly question: ModelQuestion;
}

/** Returns whose an address is. Host-network pods have their node's, and are the node. */
export function endOf(resources: Resources, text: string): End {
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

/** Reports whether the peer is the node that the subject runs on. */
export function isOwnNode({ subject, peer }: Side): boolean {
  if (peer.node === undefined) return false;
  return peer.node.isOwn ?? (peer.node.name !== undefined && peer.node.name === subject.pod?.node);
}

export function portHolds({ destination, question }: Side, { protocol, ports, icmp }: PortMatch): boolean {
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

export function termHolds(side: Side, policy: Policy, term: PeerTerm, end: End): boolean {
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
      // Domain names are for destinations outside of the cluster.
      return end.kind === "outside" && term.patterns.some(({ regex }) => names.some((name) => new RegExp(`^(?:${regex})$`).test(name)));
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

export function podHolds(side: Side, match: PodMatch, { pod }: End): boolean {
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
