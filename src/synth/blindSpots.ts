import type { Pod } from "../cluster/objects.ts";
import { isClusterDns } from "../cluster/services.ts";
import type { Cluster } from "../cluster/snapshot.ts";
import { workloadKey } from "../evaluate/compare.ts";
import { type CoveredWorkload, coverWorkloads } from "../evaluate/coverageWorkloads.ts";
import type { Decision, Match } from "../evaluate/decision.ts";
import type { Evaluator, Participant } from "../evaluate/evaluator.ts";
import { peersOf } from "../evaluate/honoured.ts";
import type { Judgement } from "../evaluate/judge.ts";
import { isIPv4 } from "../net/address.ts";
import { TCP, UDP } from "../net/protocol.ts";
import { type Direction, OPPOSITE, type Policy, type RuleRef, ruleHolding } from "../policy/model.ts";
import type { Mutation } from "./mutations.ts";
import type { Probe } from "./probe.ts";
import type { Probing } from "./probing.ts";

/** Expectations of one rule that fail for the same reason. */
export interface FailedExpectation {
  readonly policy: Policy;
  readonly rule: RuleRef;
  readonly direction: Direction;
  /**
   * `blocked`: the other end denies what the rule allows. `overruled`: so does its own end, by another rule. `hole`: another rule, or
   * the plugin, allows what is outside of the rule.
   */
  readonly kind: "blocked" | "overruled" | "hole";
  /** Whether the rule holds what fails: a rule that denies has holes inside. */
  readonly isInside: boolean;
  /** Numbers of the probes. */
  readonly probes: readonly number[];
  /** The decision that settles it, and of the rules that matched those that do. */
  readonly by: Decision;
  readonly deciding: readonly Match[];
}

/** A workload that lacks something that hardly any can do without. */
export interface Forgotten {
  readonly workload: CoveredWorkload;
  /** The policies that deny it. */
  readonly policies: readonly Policy[];
}

/** What a policy set leaves open, says twice, or forgot. */
export interface BlindSpots {
  readonly failed: readonly FailedExpectation[];
  /** Rules without which all connectivity is the same. */
  readonly redundant: readonly Mutation[];
  /** Changes that would alter connectivity and that no probe shows. */
  readonly missed: readonly Mutation[];
  /** Workloads that nothing isolates in a direction. */
  readonly open: readonly CoveredWorkload[];
  /** Workloads whose egress policies allow something, and no name resolution. */
  readonly withoutDns: readonly Forgotten[];
  /** Workloads whose ingress policies deny what their own node asks of every port that they declare (kubelet probes). */
  readonly withoutHealthChecks: readonly Forgotten[];
}

/** Returns what the probes and the policies themselves show. */
export function findBlindSpots(probing: Probing, cluster: Cluster, pods: readonly Pod[]): BlindSpots {
  const { plain: evaluator, mutations, fates } = probing;
  const { workloads } = coverWorkloads(evaluator, pods, () => false);
  const byWorkload = Map.groupBy(pods, ({ workload, hostNetwork }) => `${hostNetwork} ${workloadKey(workload)}`);
  const members = ({ hostNetwork, namespace, workload }: CoveredWorkload) =>
    byWorkload.get(`${hostNetwork} ${namespace}/${workload}`) ?? [];
  const forgotten = (policiesOf: (pod: Pod) => readonly Policy[] | undefined) =>
    workloads.flatMap((workload): Forgotten[] => {
      const denied = workload.hostNetwork ? [] : members(workload).flatMap((pod) => policiesOf(pod) ?? []);
      return denied.length === 0 ? [] : [{ workload, policies: [...new Set(denied)] }];
    });
  const resolvers = resolversOf(cluster);
  return {
    failed: failedExpectations(probing),
    redundant: mutations.filter(({ kind }, m) => kind === "drop-rule" && fates[m].kind === "equivalent"),
    missed: mutations.filter((_, m) => fates[m].kind === "missed"),
    open: workloads.filter(({ hostNetwork, isolated }) => !hostNetwork && (isolated.ingress !== "yes" || isolated.egress !== "yes")),
    withoutDns: resolvers.length === 0 ? [] : forgotten((pod) => deniesDns(evaluator, pod, resolvers)),
    withoutHealthChecks: forgotten((pod) => deniesHealthChecks(evaluator, pod, cluster)),
  };
}

/** Reports whether a probe's verdict is what its rule's author expects; undefined where that cannot be told. */
export function holds({ expected }: Probe, { verdict }: Judgement): boolean | undefined {
  return expected === undefined || verdict === "unknown" ? undefined : verdict === expected;
}

function failedExpectations({ probes, judgements }: Probing): FailedExpectation[] {
  const found = new Map<string, FailedExpectation & { readonly probes: number[] }>();
  probes.forEach((probe, i) => {
    const judgement = judgements[i];
    if (holds(probe, judgement) !== false) return;
    const { policy, rule, direction } = probe;
    const own = judgement[direction];
    const other = judgement[OPPOSITE[direction]];
    const kind = probe.expected === "deny" ? "hole" : own.verdict === "deny" ? "overruled" : "blocked";
    const by = kind === "blocked" ? other : own;
    const isInside = probe.isInside === true;
    const key = [isInside, policy.ref.kind, policy.ref.namespace, policy.ref.name, rule.path, direction, kind, decisionKey(by)].join(
      "\u0000",
    );
    const known = found.get(key);
    if (known === undefined) found.set(key, { policy, rule, direction, kind, isInside, probes: [i], by, deciding: decidingOf(by) });
    else known.probes.push(i);
  });
  return [...found.values()];
}

/** Of the rules that matched those that say what was decided; others were asked after them, or passed on. */
function decidingOf({ matched, verdict }: Decision): Match[] {
  const [first] = matched;
  return matched.filter(({ policy, rule }) => {
    const lists = [policy.ingress, policy.egress, policy.unlisted?.ingress, policy.unlisted?.egress];
    const own = ruleHolding(
      lists.flatMap((list) => list?.rules ?? []),
      rule,
    );
    return own === undefined ? rule === first.rule : own.action === verdict;
  });
}

function decisionKey({ reason, matched, isolatedBy }: Decision): string {
  const name = ({ ref: { kind, namespace, name } }: Policy) => `${kind} ${namespace}/${name}`;
  const rules = matched.map(({ policy, rule }: Match) => `${name(policy)} ${rule.path}`);
  return [reason, ...(rules.length > 0 ? rules : isolatedBy.map(name))].join();
}

/** The pods and ports that answer the cluster's DNS. */
function resolversOf({ services, serviceIndex, pods }: Cluster): { participant: Participant; port: number }[] {
  const byAddress = new Map(pods.flatMap((pod) => pod.addresses.map((address) => [address, pod] as const)));
  return services.filter(isClusterDns).flatMap((service) =>
    serviceIndex.backendsOf(service).flatMap(({ address, port }) => {
      const pod = byAddress.get(address);
      return pod === undefined ? [] : [{ participant: { type: "pod", pod, address } as const, port }];
    }),
  );
}

/** Returns the policies by which a pod may talk to somebody and to no resolver; undefined where it may, or none isolates it. */
function deniesDns(evaluator: Evaluator, pod: Pod, resolvers: readonly { participant: Participant; port: number }[]): Policy[] | undefined {
  const self = evaluator.classify({ type: "pod", pod, address: pod.addresses[0] });
  const selecting = evaluator.policiesOf(self, "egress");
  if (!selecting.some(({ clauses }) => clauses.some(({ rule }) => rule.action === "allow"))) return undefined;
  const isFour = pod.addresses.some(isIPv4);
  // Rules on addresses see the Service's there, which clients dial.
  if (evaluator.profile.blocksMatchDialled && selecting.some(({ policy }) => peersOf(policy).some(({ kind }) => kind === "prefix")))
    return undefined;
  const decisions = resolvers
    .filter(({ participant }) => participant.address === undefined || pod.addresses.length === 0 || isIPv4(participant.address) === isFour)
    .flatMap(({ participant, port }) =>
      [UDP, TCP].map(
        (protocol) =>
          evaluator.decisions[evaluator.decideEgress(self, evaluator.classify(participant), evaluator.ports.classOf(protocol, port))],
      ),
    );
  return decisions.length === 0 ? undefined : denyingAll(decisions);
}

/** Returns the policies that deny what a pod's own node asks of its ports; undefined where any port is open to it. */
function deniesHealthChecks(evaluator: Evaluator, pod: Pod, { nodes }: Cluster): Policy[] | undefined {
  const node = nodes.find(({ name }) => name === pod.nodeName);
  if (node === undefined || pod.ports.length === 0) return undefined;
  const self = evaluator.classify({ type: "pod", pod, address: pod.addresses[0] });
  const from = evaluator.classify({ type: "node", node, address: node.addresses[0] });
  const decisions = pod.ports.map(
    ({ protocol, port }) => evaluator.decisions[evaluator.decideIngress(from, self, evaluator.ports.classOf(protocol, port))],
  );
  return denyingAll(decisions);
}

/** Returns the policies behind the first of several denials; undefined where not all are. */
function denyingAll(decisions: readonly Decision[]): Policy[] | undefined {
  if (decisions.some(({ verdict }) => verdict !== "deny")) return undefined;
  const [{ matched, isolatedBy }] = decisions;
  return matched.length > 0 ? matched.map(({ policy }) => policy) : [...isolatedBy];
}

/** Names a workload as `namespace/Kind/name`. */
export function coveredName({ namespace, workload }: CoveredWorkload): string {
  return `${namespace}/${workload}`;
}
