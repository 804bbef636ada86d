import type { Pod } from "../cluster/objects.ts";
import { type LabelSelector, type Requirement, selectorOfLabels, selects } from "../cluster/selector.ts";
import { isVolatileLabel, ownedKey, shortWorkload } from "../cluster/workloads.ts";

/** Pods that one object made, and how policies can select them. */
export interface SelectableWorkload {
  /** `Deployment/shop/web`. */
  readonly key: string;
  readonly namespace: string;
  readonly kind: string;
  readonly name: string;
  readonly pods: readonly Pod[];
  /** Selects its pods; undefined where no labels tell them from others. */
  readonly selector: LabelSelector | undefined;
  /** What a reader should know of the selector. */
  readonly remark?: string;
}

/** Returns what people call a workload: `shop/deploy/web`. */
export function labelOf({ namespace, kind, name }: Pick<SelectableWorkload, "namespace" | "kind" | "name">): string {
  return `${namespace}/${shortWorkload(`${kind}/${name}`)}`;
}

/** The label that a Job's controller gives its pods with the Job's name (Kubernetes: well-known labels). */
const JOB_NAME = "batch.kubernetes.io/job-name";

/** Kinds of workloads whose pods' labels people wrote themselves; other controllers set some of their own. */
const KINDS_WITH_LABELS = new Set([
  "Pod",
  "Pods",
  "Job",
  "CronJob",
  "Deployment",
  "StatefulSet",
  "DaemonSet",
  "ReplicaSet",
  "ReplicationController",
  "Rollout",
]);

/** Groups a world's pods by workload, with the labels that last. Pods on the host network are none of them: no policy selects these. */
export class Workloads {
  readonly all: readonly SelectableWorkload[];
  readonly #byPod = new Map<Pod, SelectableWorkload>();
  readonly #byNamespace: ReadonlyMap<string, readonly SelectableWorkload[]>;

  /** `selectors`: the `spec.selector` of controllers, by `ownedKey`; `perPod`: a pod without a controller stands for itself. */
  constructor(pods: readonly Pod[], selectors: ReadonlyMap<string, LabelSelector>, perPod = false) {
    const own = pods.filter((pod) => !pod.hostNetwork);
    const ofNamespace = Map.groupBy(own, (pod) => pod.namespace);
    const isAlone = ({ workload }: Pod) => perPod && workload.foundBy === "labels";
    const groups = Map.groupBy(own, (pod) =>
      isAlone(pod) ? ownedKey("Pod", pod.namespace, pod.name) : ownedKey(pod.workload.kind, pod.namespace, pod.workload.name),
    );
    this.all = [...groups].map(([key, members]) => {
      const [pod] = members;
      const { namespace, workload } = pod;
      const title = isAlone(pod) ? { kind: "Pod", name: pod.name } : { kind: workload.kind, name: workload.name };
      const found = isAlone(pod)
        ? selectorOfOne(pod, ofNamespace.get(namespace)!)
        : findSelector(members, selectors.get(key), ofNamespace.get(namespace)!);
      return { key, namespace, ...title, pods: members, ...found };
    });
    for (const workload of this.all) for (const pod of workload.pods) this.#byPod.set(pod, workload);
    this.#byNamespace = Map.groupBy(this.all, ({ namespace }) => namespace);
  }

  /** Returns the workload of a pod; undefined on the host network. */
  of(pod: Pod): SelectableWorkload | undefined {
    return this.#byPod.get(pod);
  }

  /** Returns the workloads of a namespace of which a selector selects any pod. */
  selectedBy(namespace: string, selector: LabelSelector): SelectableWorkload[] {
    return (this.#byNamespace.get(namespace) ?? []).filter(({ pods }) => pods.some((pod) => selects(selector, pod.labels)));
  }

  /** Returns the pods of a namespace that a selector selects. */
  podsSelectedBy(namespace: string, selector: LabelSelector): Pod[] {
    return (this.#byNamespace.get(namespace) ?? []).flatMap(({ pods }) => pods.filter((pod) => selects(selector, pod.labels)));
  }
}

type Found = Pick<SelectableWorkload, "selector" | "remark">;

/**
 * Returns the selector of a workload's pods: what its controller selects by, else the labels that its pods share and that last, less
 * the volatile ones in either case. A Job that no CronJob made keeps its name.
 */
function findSelector(pods: readonly Pod[], written: LabelSelector | undefined, neighbours: readonly Pod[]): Found {
  const lasting = written?.requirements.filter(({ key }) => !isVolatileLabel(key)) ?? [];
  const controller = { requirements: lasting };
  if (lasting.length > 0 && pods.every((pod) => selects(controller, pod.labels))) return { selector: controller };
  const shared = Object.entries(pods[0].labels).filter(([key, value]) =>
    pods.every(({ labels }) => Object.hasOwn(labels, key) && labels[key] === value),
  );
  const stable = shared.filter(([key]) => !isVolatileLabel(key)).sort(byKey);
  if (stable.length > 0) {
    const { kind } = pods[0].workload;
    const remark = KINDS_WITH_LABELS.has(kind)
      ? {}
      : { remark: `the snapshot has no selector of its ${kind}, so that its pods' labels are taken: see that they last` };
    return { selector: selectorOfLabels(stable), ...remark };
  }
  const jobName = pods[0].workload.kind === "Job" ? shared.find(([key]) => key === JOB_NAME || key === "job-name") : undefined;
  if (jobName !== undefined) return { selector: selectorOfLabels([jobName]) };
  return withoutLabels(pods, neighbours);
}

/** Returns a selector of one pod by all of its labels: those that tell replicas apart too. */
function selectorOfOne(pod: Pod, neighbours: readonly Pod[]): Found {
  const labels = Object.entries(pod.labels).sort(byKey);
  return labels.length > 0 ? { selector: selectorOfLabels(labels) } : withoutLabels([pod], neighbours);
}

function byKey([a]: readonly [string, string], [b]: readonly [string, string]): number {
  return a < b ? -1 : 1;
}

/** Pods without lasting labels can be selected only by the labels that all others of the namespace have. */
function withoutLabels(pods: readonly Pod[], neighbours: readonly Pod[]): Found {
  const own = new Set(pods);
  let others = neighbours.filter((pod) => !own.has(pod));
  const requirements: Requirement[] = [];
  while (others.length > 0) {
    const counts = new Map<string, number>();
    for (const { labels } of others)
      for (const key of Object.keys(labels)) if (isFree(key, pods)) counts.set(key, (counts.get(key) ?? 0) + 1);
    const best = [...counts].sort(([a, m], [b, n]) => n - m || (a < b ? -1 : 1)).at(0)?.[0];
    if (best === undefined) return { selector: undefined, remark: "no labels tell its pods from others: give them one" };
    requirements.push({ key: best, operator: "DoesNotExist", values: [] });
    others = others.filter(({ labels }) => !Object.hasOwn(labels, best));
  }
  return {
    selector: { requirements },
    remark: "its pods have no lasting labels, so that they are selected by the lack of others': give them one",
  };
}

/** Reports whether a lasting label is one that none of the pods has. */
function isFree(key: string, pods: readonly Pod[]): boolean {
  return !isVolatileLabel(key) && pods.every(({ labels }) => !Object.hasOwn(labels, key));
}
