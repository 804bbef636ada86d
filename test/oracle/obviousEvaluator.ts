import { parseAddress } from "../../src/net/address.ts";
import { parsePrefix } from "../../src/net/prefix.ts";

/*
 * A second opinion on NetworkPolicy, written from the API reference and nothing else: it takes the objects as they are written,
 * looks at every policy, rule and peer for every question, and compares texts. Slow and obvious; it shares no code with src/
 * but the parsing of addresses. Facts that are missing do not occur here: give it a world in which all is known.
 */

export type Labels = Readonly<Record<string, string>>;
export interface LabelSelector {
  readonly matchLabels?: Labels;
  readonly matchExpressions?: readonly { readonly key: string; readonly operator: string; readonly values?: readonly string[] }[];
}
export interface PolicyPeer {
  readonly podSelector?: LabelSelector;
  readonly namespaceSelector?: LabelSelector;
  readonly ipBlock?: { readonly cidr: string; readonly except?: readonly string[] };
}
export interface PolicyPort {
  readonly protocol?: string;
  readonly port?: number | string;
  readonly endPort?: number;
}
export interface PolicyRule {
  readonly from?: readonly PolicyPeer[];
  readonly to?: readonly PolicyPeer[];
  readonly ports?: readonly PolicyPort[];
}
export interface NetworkPolicy {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: { readonly name: string; readonly namespace: string };
  readonly spec: {
    readonly podSelector?: LabelSelector;
    readonly policyTypes?: readonly string[];
    readonly ingress?: readonly PolicyRule[];
    readonly egress?: readonly PolicyRule[];
  };
}

export interface OraclePod {
  readonly namespace: string;
  readonly name: string;
  readonly labels: Labels;
  readonly ip: string;
  /** Of a dual-stack pod: every address. */
  readonly ips?: readonly string[];
  readonly ports: readonly { readonly name?: string; readonly containerPort: number; readonly protocol: string }[];
  readonly node?: string;
  readonly hostNetwork?: boolean;
  readonly serviceAccount?: string;
}
export interface OracleNode {
  readonly name: string;
  readonly ips: readonly string[];
  readonly labels?: Labels;
}
/** Ports are numbers, and the same behind the Service; `endpoints` are addresses. */
export interface OracleService {
  readonly namespace: string;
  readonly name: string;
  readonly labels: Labels;
  readonly selector?: Labels;
  readonly endpoints: readonly string[];
  readonly ports: readonly { readonly port: number; readonly protocol: string }[];
}
/** Who is there. A namespace that is not listed has no Namespace object: its labels are not known. */
export interface Resources {
  readonly namespaces: readonly { readonly name: string; readonly labels: Labels }[];
  readonly pods: readonly OraclePod[];
  readonly nodes?: readonly OracleNode[];
  readonly serviceAccounts?: readonly { readonly namespace: string; readonly name: string; readonly labels: Labels }[];
  readonly services?: readonly OracleService[];
  /** Who addresses are by the role that Cilium's logs label them with; several joined with commas. */
  readonly entities?: Readonly<Record<string, string>>;
  /** What DNS answered. */
  readonly fqdns?: Readonly<Record<string, readonly string[]>>;
}
export interface Flow {
  readonly source: string;
  readonly destination: string;
  readonly protocol: string;
  readonly port: number;
}

/** One side's answer. `because`: the rules that allow, else the policies that isolate, as `ns/name ingress[0].from[1]` and `ns/name`. */
export interface Opinion {
  readonly allowed: boolean;
  readonly exempt?: "not-selectable" | "self" | "own-node";
  readonly isolatedBy: readonly string[];
  readonly matched: readonly string[];
}

type End = { readonly address: string; readonly pod?: OraclePod; readonly node?: OracleNode };

/** Judges one flow at both sides. */
export function judge(resources: Resources, policies: readonly NetworkPolicy[], flow: Flow): { egress: Opinion; ingress: Opinion } {
  const source = endOf(resources, flow.source);
  const destination = endOf(resources, flow.destination);
  return {
    egress: judgeSide(resources, policies, "egress", source, destination, flow),
    ingress: judgeSide(resources, policies, "ingress", destination, source, flow),
  };
}

export function isAllowed({ egress, ingress }: { egress: Opinion; ingress: Opinion }): boolean {
  return egress.allowed && ingress.allowed;
}

/** Host-network pods have the address of their node, and are the node. */
function endOf(resources: Resources, address: string): End {
  const isOwn = (ip: string) => parseAddress(ip) === parseAddress(address);
  for (const pod of resources.pods) if (!pod.hostNetwork && (pod.ips ?? [pod.ip]).some(isOwn)) return { address, pod };
  for (const node of resources.nodes ?? []) if (node.ips.some(isOwn)) return { address, node };
  return { address };
}

function judgeSide(
  resources: Resources,
  policies: readonly NetworkPolicy[],
  direction: "ingress" | "egress",
  subject: End,
  peer: End,
  flow: Flow,
): Opinion {
  const free = (exempt: NonNullable<Opinion["exempt"]>): Opinion => ({ allowed: true, exempt, isolatedBy: [], matched: [] });
  if (subject.pod === undefined) return free("not-selectable");
  const isolatedBy: string[] = [];
  const matched: string[] = [];
  for (const policy of policies) {
    const { namespace, name } = policy.metadata;
    if (namespace !== subject.pod.namespace) continue;
    if (!selects(policy.spec.podSelector ?? {}, subject.pod.labels)) continue;
    if (!governs(policy, direction)) continue;
    isolatedBy.push(`${namespace}/${name}`);
    const rules = (direction === "ingress" ? policy.spec.ingress : policy.spec.egress) ?? [];
    rules.forEach((rule, ruleIndex) => {
      if (!portsMatch(rule.ports, flow, direction === "ingress" ? subject : peer)) return;
      const field = direction === "ingress" ? "from" : "to";
      const peers = rule[field] ?? [];
      const path = `${namespace}/${name} ${direction}[${ruleIndex}]`;
      if (peers.length === 0) matched.push(path);
      peers.forEach((each, peerIndex) => {
        if (peerMatches(resources, namespace, each, peer)) matched.push(`${path}.${field}[${peerIndex}]`);
      });
    });
  }
  // A pod cannot block access to itself, and "traffic to and from the node where a Pod is running is always allowed".
  if (peer.pod !== undefined && peer.pod.namespace === subject.pod.namespace && peer.pod.name === subject.pod.name) return free("self");
  if (isolatedBy.length === 0) return { allowed: true, isolatedBy, matched };
  if (peer.node !== undefined && peer.node.name === subject.pod.node) return free("own-node");
  return { allowed: matched.length > 0, isolatedBy, matched };
}

/** policyTypes, or what the API server puts there: always Ingress, and Egress where there are egress rules. */
function governs({ spec }: NetworkPolicy, direction: "ingress" | "egress"): boolean {
  if (spec.policyTypes !== undefined && spec.policyTypes.length > 0)
    return spec.policyTypes.includes(direction === "ingress" ? "Ingress" : "Egress");
  return direction === "ingress" || (spec.egress !== undefined && spec.egress.length > 0);
}

function selects(selector: LabelSelector, labels: Labels): boolean {
  for (const [key, value] of Object.entries(selector.matchLabels ?? {})) if (labels[key] !== value) return false;
  for (const { key, operator, values = [] } of selector.matchExpressions ?? []) {
    const has = key in labels;
    if (operator === "In" && !(has && values.includes(labels[key]))) return false;
    if (operator === "NotIn" && has && values.includes(labels[key])) return false;
    if (operator === "Exists" && !has) return false;
    if (operator === "DoesNotExist" && has) return false;
  }
  return true;
}

function peerMatches(
  resources: Resources,
  policyNamespace: string,
  { podSelector, namespaceSelector, ipBlock }: PolicyPeer,
  peer: End,
): boolean {
  if (ipBlock !== undefined)
    return blockHolds(ipBlock.cidr, peer.address) && !(ipBlock.except ?? []).some((cidr) => blockHolds(cidr, peer.address));
  if (peer.pod === undefined) return false;
  const { namespace, labels } = peer.pod;
  if (namespaceSelector === undefined) {
    if (namespace !== policyNamespace) return false;
  } else {
    const known = resources.namespaces.find(({ name }) => name === namespace)?.labels;
    if (!selects(namespaceSelector, { ...known, "kubernetes.io/metadata.name": namespace })) return false;
  }
  return podSelector === undefined || selects(podSelector, labels);
}

function blockHolds(cidr: string, address: string): boolean {
  if (cidr.includes(":") !== address.includes(":")) return false;
  const [network, length] = cidr.split("/");
  const hostBits = BigInt((cidr.includes(":") ? 128 : 32) - Number(length));
  if (parsePrefix(cidr) === undefined) throw new Error(`no prefix: ${cidr}`);
  return parseAddress(network)! >> hostBits === parseAddress(address)! >> hostBits;
}

function portsMatch(ports: readonly PolicyPort[] | undefined, flow: Flow, destination: End): boolean {
  if (ports === undefined || ports.length === 0) return true;
  return ports.some(({ protocol = "TCP", port, endPort }) => {
    if (protocol !== flow.protocol) return false;
    if (port === undefined) return true;
    if (typeof port === "number") return flow.port >= port && flow.port <= (endPort ?? port);
    for (const own of destination.pod?.ports ?? [])
      if (own.name === port && own.protocol === protocol && own.containerPort === flow.port) return true;
    return false;
  });
}
