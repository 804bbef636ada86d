import type { Pod } from "../cluster/objects.ts";
import { labelOf } from "../generate/workloads.ts";
import { nearest } from "../policy/objectReader.ts";
import { listed } from "../report/text.ts";
import { UsageError } from "./errors.ts";

/** Which workloads a command is for. */
export interface WorkloadFlags {
  /** `deploy/web`, `web` or a pod's name; undefined with --all and -A. */
  readonly name: string | undefined;
  readonly all: boolean;
  readonly allNamespaces: boolean;
}

/** A workload with its pods. */
export interface NamedPods {
  readonly namespace: string;
  readonly kind: string;
  readonly name: string;
  readonly pods: readonly Pod[];
}

/** Kinds as kubectl's users write them. */
const KINDS: Readonly<Record<string, string>> = {
  deploy: "Deployment",
  deployment: "Deployment",
  deployments: "Deployment",
  sts: "StatefulSet",
  statefulset: "StatefulSet",
  statefulsets: "StatefulSet",
  ds: "DaemonSet",
  daemonset: "DaemonSet",
  daemonsets: "DaemonSet",
  rs: "ReplicaSet",
  replicaset: "ReplicaSet",
  replicasets: "ReplicaSet",
  rc: "ReplicationController",
  replicationcontroller: "ReplicationController",
  job: "Job",
  jobs: "Job",
  cj: "CronJob",
  cronjob: "CronJob",
  cronjobs: "CronJob",
  rollout: "Rollout",
  rollouts: "Rollout",
};

/** Returns the kind that a word is kubectl's for, in whatever case and with or without its group: `deploy`, `deployments.apps`. */
export function workloadKind(word: string): string | undefined {
  const plain = word.toLowerCase().replace(/\..*/, "");
  return Object.hasOwn(KINDS, plain) ? KINDS[plain] : undefined;
}

/** Refuses a call that names no workload, or one and all. */
export function checkWorkloadFlags({ name, all, allNamespaces }: WorkloadFlags): void {
  if (name === undefined && !all && !allNamespaces)
    throw new UsageError("name a workload (`deploy/web`, or a pod), or give --all for the namespace or -A for every one");
  if (name !== undefined && (all || allNamespaces)) throw new UsageError(`\`${name}\` and ${all ? "--all" : "-A"} exclude each other`);
}

/**
 * Returns the workloads that are asked for: one by its name or by a pod's, all of a namespace, or all. `whyNot` may know why one that
 * was named is not among them.
 */
export function chooseWorkloads<Workload extends NamedPods>(
  { name, all, allNamespaces }: WorkloadFlags,
  namespace: string,
  workloads: readonly Workload[],
  whyNot: (plainName: string) => string | undefined = () => undefined,
): readonly Workload[] {
  if (allNamespaces) return workloads;
  const own = workloads.filter((workload) => workload.namespace === namespace);
  if (all) {
    if (own.length > 0) return own;
    const known = [...new Set(workloads.map((workload) => workload.namespace))].sort();
    throw new UsageError(`no pod is known in namespace \`${namespace}\` (there are ${listed(known)}): give -n NAMESPACE, or -A`);
  }
  const wanted = name as string;
  const slash = wanted.indexOf("/");
  // kubectl prints kinds with their group: deployment.apps/web.
  const kind = slash < 0 ? undefined : wanted.slice(0, slash).toLowerCase().replace(/\..*/, "");
  const plain = wanted.slice(slash + 1);
  const isKind = (each: Workload) => kind === undefined || each.kind === KINDS[kind] || each.kind.toLowerCase() === kind;
  const isPodKind = kind === undefined || ["pod", "pods", "po"].includes(kind);
  if (kind !== undefined && !isPodKind && KINDS[kind] === undefined && !workloads.some(isKind))
    throw new UsageError(`\`${wanted}\`: \`${kind}\` is no kind of workload (deploy, sts, ds, job, cronjob, rs, pod)`);
  const byName = own.filter((each) => each.name === plain && isKind(each));
  const byPod = isPodKind ? own.filter(({ pods }) => pods.some((pod) => pod.name === plain)) : [];
  const found = [...new Set([...byName, ...byPod])];
  if (found.length === 1) return found;
  if (found.length > 1) throw new UsageError(`\`${wanted}\` is ambiguous: ${listed(found.map(labelOf))}`);
  throw new UsageError(whyNot(plain) ?? whyNotFound(wanted, plain, namespace, workloads));
}

function whyNotFound(wanted: string, plain: string, namespace: string, workloads: readonly NamedPods[]): string {
  const alike = workloads.filter((each) => each.name === plain || each.pods.some((pod) => pod.name === plain));
  // Of another kind, or of another namespace.
  const here = alike.filter((each) => each.namespace === namespace);
  if (here.length > 0) return `no \`${wanted}\` in namespace \`${namespace}\`; did you mean ${listed(here.map(labelOf))}?`;
  if (alike.length > 0) return `no \`${wanted}\` in namespace \`${namespace}\`; there is ${listed(alike.map(labelOf))}: give -n`;
  const own = workloads.filter((each) => each.namespace === namespace);
  const near = nearest(
    plain,
    own.map(({ name }) => name),
  );
  const there =
    near !== undefined
      ? `did you mean \`${near}\`?`
      : own.length > 0
        ? `there is ${listed(own.map(labelOf))}`
        : "no pod is known there: give -n";
  return `no workload or pod \`${wanted}\` in namespace \`${namespace}\`; ${there}`;
}
