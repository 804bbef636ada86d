import { protocolNumber } from "../../src/net/protocol.ts";
import type { Peer, Policy, PolicySet, PortMatch, Rule } from "../../src/policy/model.ts";
import type { Resources } from "./obviousEvaluator.ts";
import { endOf, isOwnNode, type ModelQuestion, type ObviousProfile, podHolds, portHolds, type Side, termHolds } from "./obviousTerms.ts";

/*
 * A second opinion on policies of every dialect, straight over the neutral model: for each question it walks the stages, policies,
 * rules and peers. Written from shared/semantics.md, shared/cni.md and the READMEs of the vectors, not from src/evaluate. It shares
 * no code with src/ but the readers and the parsing of addresses. Two-valued: give it a world in which all is known.
 */

/** One side's answer; `by` are the rules that may be called the deciding one, none where no rule decides. */
export interface ModelAnswer {
  readonly allowed: boolean;
  readonly by: readonly { readonly policy: Policy; readonly rule: Rule }[];
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
