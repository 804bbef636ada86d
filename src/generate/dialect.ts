import { EVERYTHING, type LabelSelector } from "../cluster/selector.ts";
import { NOT_TOLD } from "../flow/flowTable.ts";
import { hasPorts, isIcmp, protocolName, TRANSPORTS } from "../net/protocol.ts";
import type { PodMatch, Policy, PolicyRef, PolicyTier, PortMatch, RuleList } from "../policy/model.ts";

/** Kinds of policies that are generated. */
export const POLICY_TYPES = ["kubernetes", "cilium", "calico"] as const;
export type PolicyType = (typeof POLICY_TYPES)[number];

const API_VERSIONS = { kubernetes: "networking.k8s.io/v1", cilium: "cilium.io/v2", calico: "projectcalico.org/v3" } as const;

const TIERS: Readonly<Record<PolicyType, PolicyTier>> = {
  kubernetes: { kind: "networkpolicy" },
  cilium: { kind: "cilium" },
  calico: { kind: "calico", name: "default" },
};

/** What the policies that are written are called, and where they stand. */
export interface Dialect {
  readonly type: PolicyType;
  /** CiliumClusterwideNetworkPolicy: one policy still selects in one namespace. */
  readonly isClusterWide: boolean;
}

/** Returns the ref of a policy that is written. A clusterwide one has no namespace. */
export function refOf({ type, isClusterWide }: Dialect, namespace: string, name: string): PolicyRef {
  const kind = type === "cilium" ? (isClusterWide ? "CiliumClusterwideNetworkPolicy" : "CiliumNetworkPolicy") : "NetworkPolicy";
  return { apiVersion: API_VERSIONS[type], kind, ...(isClusterWide ? {} : { namespace }), name };
}

/** Returns a policy of the dialect that selects pods by labels in one namespace. */
export function makePolicy(
  dialect: Dialect,
  namespace: string,
  name: string,
  pods: LabelSelector,
  lists: { ingress?: RuleList; egress?: RuleList },
): Policy {
  const subject: PodMatch = { namespaces: { name: namespace }, pods };
  return { ref: refOf(dialect, namespace, name), tier: TIERS[dialect.type], subject, ...lists };
}

/** Returns a policy that isolates every pod of a namespace in both directions and allows nothing. */
export function denyAll(dialect: Dialect, namespace: string, name: string): Policy {
  const nothing = { isolates: true, rules: [] };
  return makePolicy(dialect, namespace, name, EVERYTHING, { ingress: nothing, egress: nothing });
}

/**
 * Returns how the dialect says a protocol with a port (of ICMP: type and code in 16 bits), or why it cannot. A NetworkPolicy has TCP,
 * UDP and SCTP only; anything else would need a rule that opens every port (API: NetworkPolicyPort.protocol).
 */
export function portMatchOf({ type }: Dialect, protocol: number, port: number): PortMatch | string {
  if (TRANSPORTS.includes(protocol) && port === 0) return `${protocolName(protocol)} port 0: no rule can name it`;
  if (TRANSPORTS.includes(protocol)) return { protocol, ports: { first: port, last: port } };
  const name = hasPorts(protocol) || isIcmp(protocol) ? protocolName(protocol) : `IP protocol ${protocol}`;
  if (type === "kubernetes") return `${name}: a NetworkPolicy can only allow it together with every port`;
  if (!isIcmp(protocol)) {
    if (type === "calico" && !hasPorts(protocol)) return { protocol };
    return `${name}: no rule of this kind of policy can name it`;
  }
  const icmpType = port >> 8;
  if (icmpType === NOT_TOLD) return type === "calico" ? { protocol } : `${name} of a type that the log does not tell`;
  if (type === "cilium" && icmpType === 0) return `${name} type 0: Cilium reads it as every type`;
  return { protocol, icmp: { type: icmpType } };
}
