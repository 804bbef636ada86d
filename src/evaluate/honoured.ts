import { type PeerTerm, type Policy, rulesOf } from "../policy/model.ts";
import type { CniProfile } from "./profile.ts";

/** A family of policies that plugins know or not. */
export type Dialect = "networkpolicy" | "admin" | "clusternetworkpolicy" | "cilium" | "calico";

/** Returns which family a policy is of. Audit policies are of the family that they would become. */
export function dialectOf({ tier, ref }: Policy): Dialect {
  if (tier.kind === "networkpolicy" || tier.kind === "cilium" || tier.kind === "calico") return tier.kind;
  return /AdminNetworkPolicy$/.test(ref.kind) ? "admin" : "clusternetworkpolicy";
}

/**
 * Reports whether a plugin knows a policy at all. Cilium refuses admin policies with peers by node labels as a whole, OVN-Kubernetes
 * those of a priority above 99.
 */
export function honours(profile: CniProfile, policy: Policy): boolean {
  if (!profile.dialects.includes(dialectOf(policy))) return false;
  if (profile.name === "ovn-kubernetes" && policy.tier.kind === "admin") return policy.tier.order <= 99;
  return profile.name !== "cilium" || policy.tier.kind === "cilium" || !peersOf(policy).some(({ kind }) => kind === "nodes");
}

/** Every condition in a policy's rules, those inside others included. */
export function peersOf(policy: Policy): PeerTerm[] {
  return rulesOf(policy)
    .flatMap(({ peers, near = [] }) => [...(peers === "any" ? [] : peers), ...near])
    .flatMap(flatten);
}

/** Reports whether a policy has rules on requests. */
export function looksAtRequests(policy: Policy): boolean {
  return rulesOf(policy).some(({ l7 }) => l7 !== undefined);
}

function flatten(term: PeerTerm): PeerTerm[] {
  if (term.kind === "all" || term.kind === "some") return [term, ...term.terms.flatMap(flatten)];
  return term.kind === "not" ? [term, ...flatten(term.term)] : [term];
}
