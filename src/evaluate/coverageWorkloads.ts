import type { Pod } from "../cluster/objects.ts";
import { compare } from "../net/order.ts";
import { DIRECTIONS, type Direction, type Policy } from "../policy/model.ts";
import { workloadKey } from "./compare.ts";
import type { Evaluator } from "./evaluator.ts";

/** Whether policies isolate the pods of a workload: `part`: some of them; `unknown`: policies may select them. */
export type Isolation = "yes" | "no" | "part" | "unknown";

/** A workload as policies see it. */
export interface CoveredWorkload {
  readonly namespace: string;
  /** `Deployment/web`. */
  readonly workload: string;
  /** On the host network: no policy selects it. */
  readonly hostNetwork: boolean;
  readonly isolated: Readonly<Record<Direction, Isolation>>;
  readonly hadTraffic: boolean;
}

/** Workloads, and which of them each policy selects, or may. */
export interface WorkloadCoverage {
  readonly workloads: readonly CoveredWorkload[];
  readonly selectedBy: ReadonlyMap<Policy, readonly CoveredWorkload[]>;
}

/** Says of every workload whether policies isolate it in a direction. `hadTraffic` by workload key. */
export function coverWorkloads(evaluator: Evaluator, pods: readonly Pod[], hadTraffic: (key: string) => boolean): WorkloadCoverage {
  const groups = Map.groupBy(pods, ({ workload, hostNetwork }) => `${hostNetwork} ${workloadKey(workload)}`);
  const selectedBy = new Map<Policy, CoveredWorkload[]>();
  const workloads = [...groups.values()].map((members): CoveredWorkload => {
    const [{ namespace, workload, hostNetwork }] = members;
    const policies = new Set<Policy>();
    const isolated = { ingress: "no", egress: "no" } as Record<Direction, Isolation>;
    for (const direction of hostNetwork ? [] : DIRECTIONS) {
      const answers = new Set(members.map((pod) => isolationOf(evaluator, pod, direction, policies)));
      isolated[direction] = answers.size === 1 ? [...answers][0] : answers.has("unknown") ? "unknown" : "part";
    }
    const covered = {
      namespace,
      workload: `${workload.kind}/${workload.name}`,
      hostNetwork,
      isolated,
      hadTraffic: hadTraffic(workloadKey(workload)),
    };
    for (const policy of policies) {
      const selected = selectedBy.get(policy);
      if (selected === undefined) selectedBy.set(policy, [covered]);
      else selected.push(covered);
    }
    return covered;
  });
  workloads.sort((a, b) => compare(a.namespace, b.namespace) || compare(a.workload, b.workload));
  return { workloads, selectedBy };
}

/** Adds the policies that select a pod, or may, to `policies`. */
function isolationOf(evaluator: Evaluator, pod: Pod, direction: Direction, policies: Set<Policy>): Isolation {
  const number = evaluator.classify({ type: "pod", pod, address: pod.addresses[0] });
  const { identity } = evaluator.party(number);
  const selecting = evaluator.policiesOf(number, direction).filter(({ stage }) => stage >= 0);
  for (const { policy } of selecting) policies.add(policy);
  // A plugin that enforces always closes what no policy selects.
  if (evaluator.profile.enforcement === "always") return "yes";
  const isolating = selecting.filter(({ isolates }) => isolates);
  if (isolating.some(({ subject }) => evaluator.rules.identities.truthOf(subject, identity) === true)) return "yes";
  return isolating.length > 0 ? "unknown" : "no";
}
