import { EVERYTHING } from "../cluster/selector.ts";
import { compare } from "../net/order.ts";
import { TRANSPORTS } from "../net/protocol.ts";
import type { Direction, PodMatch, Policy, PolicySet, Rule, RuleList, Tier } from "../policy/model.ts";
import { honours } from "./honoured.ts";
import type { CniProfile } from "./profile.ts";

/**
 * One step of a decision: policies that are asked together. `first-match`: in order, the first rule that matches decides;
 * `deny-first`: a union in which any denying rule beats every allowing one.
 */
export interface Stage {
  readonly name: string;
  readonly combine: "first-match" | "deny-first";
  /** What becomes of traffic that policies of the stage isolate and no rule of it decides: `later` denies after the last stage. */
  readonly end: "deny" | "pass" | "later";
  /** In the order in which they are asked. */
  readonly policies: readonly Policy[];
}

/** The stages of a policy set under a plugin, and the policies that it does not know. */
export interface Staging {
  readonly stages: readonly Stage[];
  readonly ignored: readonly Policy[];
}

/** The order of tier `default` and of the two tiers that Calico puts ClusterNetworkPolicies in (projectcalico.org/v3 Tier). */
const DEFAULT_TIER_ORDER = 1_000_000;
const KUBE_ADMIN_ORDER = 1000;
const KUBE_BASELINE_ORDER = 10_000_000;
/** The order of Kubernetes NetworkPolicies in tier `default`. */
const KUBERNETES_POLICY_ORDER = 1000;

/** Sorts a set's policies into the stages in which a plugin asks them. Staged policies and those that do nothing to pods are left out. */
export function stagesOf(set: PolicySet, profile: CniProfile): Staging {
  const inForce = set.policies.filter(({ staged, inert, nodes }) => staged === undefined && inert === undefined && nodes === undefined);
  const known = inForce.filter((policy) => honours(profile, policy));
  const ignored = inForce.filter((policy) => !known.includes(policy));
  const ofKind = (...kinds: readonly Policy["tier"]["kind"][]) => known.filter(({ tier }) => kinds.includes(tier.kind));
  const admin: Stage = { name: "admin", combine: "first-match", end: "pass", policies: byOrder(ofKind("admin")) };
  const baseline: Stage = { name: "baseline", combine: "first-match", end: "pass", policies: byOrder(ofKind("baseline")) };
  if (profile.name === "calico") return { stages: calicoStages(set.tiers, ofKind("networkpolicy", "calico"), admin, baseline), ignored };
  const union: Stage = {
    name: profile.name === "cilium" ? "cilium" : "networkpolicy",
    combine: "deny-first",
    // Cilium asks baseline policies of isolated pods too (its own engine; the API says otherwise).
    end: profile.name === "cilium" ? "later" : "deny",
    policies: ofKind("networkpolicy", "cilium"),
  };
  return { stages: [admin, union, baseline].filter(({ policies }) => policies.length > 0), ignored };
}

function orderOf({ tier }: Policy): number {
  if (tier.kind === "networkpolicy") return KUBERNETES_POLICY_ORDER;
  if (tier.kind === "calico") return tier.order ?? Number.POSITIVE_INFINITY;
  return "order" in tier ? tier.order : 0;
}

/** Equal orders are undefined by the API of admin policies: by name, as everything that must be the same on each run. */
function byOrder(policies: readonly Policy[]): Policy[] {
  return policies.toSorted((a, b) => orderOf(a) - orderOf(b) || compare(a.ref.name, b.ref.name));
}

/**
 * Returns what a policy says of a direction under a plugin. Cilium's quirks with policies of others (measured: oracle/cilium-mixed):
 * rule lists count though policyTypes leaves them out, and names open the name servers.
 */
export function rulesUnder(profile: CniProfile, policy: Policy, direction: Direction): RuleList | undefined {
  const list = policy[direction];
  if (profile.name !== "cilium") return list;
  const isAdmin = policy.tier.kind === "admin" || policy.tier.kind === "baseline";
  return isAdmin && list !== undefined && direction === "egress" ? withNameServers(list) : (list ?? policy.unlisted?.[direction]);
}

/** The ports of DNS servers as their pods name them. */
const DNS_PORTS = ["dns", "dns-tcp"].flatMap((name) => TRANSPORTS.map((protocol) => ({ protocol, ports: { name } })));
const NAME_SERVERS: PodMatch = {
  namespaces: { selector: EVERYTHING },
  pods: { requirements: [{ key: "k8s-app", operator: "In", values: ["kube-dns"] }] },
};

/** A rule that allows by DNS name also opens the cluster's name servers, through the DNS proxy. */
function withNameServers(list: RuleList): RuleList {
  const rules = list.rules.flatMap((rule): Rule[] => {
    if (rule.action !== "allow" || rule.peers === "any" || !rule.peers.some(({ kind }) => kind === "names")) return [rule];
    return [rule, { ...rule, peers: [{ kind: "pods", match: NAME_SERVERS, ref: rule.ref }], ports: DNS_PORTS }];
  });
  return { ...list, rules };
}

/** Tiers by order, then name; policies by order, then by "name/namespace/kind" (felix: PolicySorter). */
function calicoStages(tiers: readonly Tier[], policies: readonly Policy[], admin: Stage, baseline: Stage): Stage[] {
  const known = new Map(tiers.map((tier) => [tier.name, tier]));
  const byTier = Map.groupBy(policies, ({ tier }) => (tier.kind === "calico" ? tier.name : "default"));
  const stages: { name: string; order: number; stage: Stage }[] = [];
  for (const [name, own] of byTier) {
    const order = name === "default" ? DEFAULT_TIER_ORDER : (known.get(name)?.order ?? DEFAULT_TIER_ORDER);
    const ordered = own.toSorted((a, b) => compareOrders(orderOf(a), orderOf(b)) || compare(tieText(a), tieText(b)));
    const end = known.get(name)?.end ?? "deny";
    stages.push({ name, order, stage: { name: `tier ${name}`, combine: "first-match", end, policies: ordered } });
  }
  stages.push({ name: "kube-admin", order: KUBE_ADMIN_ORDER, stage: admin });
  stages.push({ name: "kube-baseline", order: KUBE_BASELINE_ORDER, stage: baseline });
  return stages
    .filter(({ stage }) => stage.policies.length > 0)
    .sort((a, b) => compareOrders(a.order, b.order) || compare(a.name, b.name))
    .map(({ stage }) => stage);
}

function tieText({ ref, tier }: Policy): string {
  return `${ref.name}/${ref.namespace ?? ""}/${tier.kind === "networkpolicy" ? "KubernetesNetworkPolicy" : ref.kind}`;
}

/** Compares numbers that may be infinite. */
function compareOrders(a: number, b: number): number {
  return a === b ? 0 : a - b;
}
