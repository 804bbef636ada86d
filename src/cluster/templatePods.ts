import { textAt, valueAt } from "./cni.ts";
import type { ManifestObject } from "./manifest.ts";
import type { Labels, Pod } from "./objects.ts";
import {
  isVolatileLabel,
  type ObjectFields,
  type OwnersOfControllers,
  ownedKey,
  readPodTemplate,
  workloadOfController,
} from "./workloads.ts";

/** Kinds that make pods from a template: API group and kind. */
export const TEMPLATE_KINDS = [
  ["apps", "Deployment"],
  ["apps", "StatefulSet"],
  ["apps", "DaemonSet"],
  ["apps", "ReplicaSet"],
  ["argoproj.io", "Rollout"],
  ["batch", "CronJob"],
  ["batch", "Job"],
  ["", "ReplicationController"],
] as const;

/** An object of one of those kinds, of which only kind and name were read. */
export interface WorkloadObject {
  readonly kind: string;
  readonly namespace: string;
  readonly name: string;
  readonly fields: ObjectFields;
  readonly object: ManifestObject;
}

/** What else is known where pods are made of templates. */
export interface TemplateSurroundings {
  /** The pods that are there. */
  readonly pods: readonly Pod[];
  readonly controllers: OwnersOfControllers;
  /** Returns what `read` returns; undefined where it meets a malformed field of the object, of which a warning tells. */
  attempt<Result>(object: ManifestObject, read: () => Result): Result | undefined;
}

/**
 * Returns one pod for each workload that none of the given pods belongs to, be it scaled to 0: its pod template under the workload's
 * name, without addresses and times. What a Deployment or CronJob makes is the owner's; where the owner itself is not among the objects, the
 * newest of what it made stands for it. A workload whose template a Rollout takes (Argo Rollouts: `workloadRef`) is the Rollout's.
 *
 * Labels are the template's, and a Job's name. Labels that controllers set are not known and so left out: pod-template-hash
 * (Deployments), statefulset.kubernetes.io/pod-name and apps.kubernetes.io/pod-index (StatefulSets), controller-revision-hash, a
 * CronJob's job-name (Kubernetes documentation: Well-Known Labels). A policy that selects by them does not select the pod returned.
 */
export function templatePods(objects: readonly WorkloadObject[], { pods, controllers, attempt }: TemplateSurroundings): readonly Pod[] {
  const known = new Map(objects.map((each) => [keyOf(each), each]));
  const lenders = new Map(objects.map((each) => [each, lenderOf(each, known)]));
  const isLent = new Set(lenders.values());
  const hasPods = new Set(pods.map(({ workload }) => keyOf(workload)));
  const ownerless = podsWithoutOwners(pods);
  const made = new Map<string, { readonly pod: Pod; readonly createdSeconds: number }>();
  for (const each of objects) {
    const workload = workloadOfController(each.kind, each.namespace, each.name, controllers);
    const key = keyOf(workload);
    if (hasPods.has(key) || isLent.has(each) || (key !== keyOf(each) && known.has(key))) continue;
    const source = lenders.get(each) ?? each;
    const read = attempt(source.object, () => readTemplate(source));
    if (read === undefined || read.createdSeconds < (made.get(key)?.createdSeconds ?? -Infinity)) continue;
    const { template, createdSeconds } = read;
    if (ownerless.get(each.namespace)?.some(({ labels }) => isMadeWith(template.labels, labels))) continue;
    const { namespace, name } = workload;
    made.set(key, { pod: { namespace, name, ...template, workload, addresses: [], startSeconds: null, endSeconds: null }, createdSeconds });
  }
  return [...made.values()].map(({ pod }) => pod);
}

function keyOf({ kind, namespace, name }: Pick<WorkloadObject, "kind" | "namespace" | "name">): string {
  return ownedKey(kind, namespace, name);
}

/** Where the template of each kind lies. */
function templatePath(kind: string): readonly string[] {
  return kind === "CronJob" ? ["spec", "jobTemplate", "spec", "template"] : ["spec", "template"];
}

function hasTemplate({ kind, object }: WorkloadObject): boolean {
  return (valueAt(object.value, ...templatePath(kind)) ?? null) !== null;
}

/** Returns the workload whose template a Rollout uses, where that is there; undefined for what has its own. */
function lenderOf(each: WorkloadObject, known: ReadonlyMap<string, WorkloadObject>): WorkloadObject | undefined {
  if (each.kind !== "Rollout" || hasTemplate(each)) return undefined;
  const [kind, name] = ["kind", "name"].map((key) => textAt(each.object.value, "spec", "workloadRef", key));
  if (kind === "Rollout") return undefined;
  return known.get(ownedKey(kind, each.namespace, name));
}

/** Labels that the pods of a Job carry, unless its template says otherwise (Kubernetes API: JobSpec.manualSelector). */
const JOB_NAME_LABELS = ["job-name", "batch.kubernetes.io/job-name"];

/** Reads the pod template of a workload and when the workload was made. Fails where there is no template. */
function readTemplate(each: WorkloadObject) {
  const createdSeconds = each.fields.object("metadata").seconds("creationTimestamp") ?? -Infinity;
  const path = templatePath(each.kind).slice(0, -1);
  const holder = path.reduce((fields, key) => fields.object(key), each.fields);
  if (!hasTemplate(each)) {
    const reference = holder.object("workloadRef");
    if (each.kind === "Rollout" && reference.text("name"))
      reference.fail("name", `names ${reference.text("kind") ?? ""}/${reference.text("name")}, which is not there: its pods are not known`);
    holder.fail("template", "is missing: its pods are not known");
  }
  const template = readPodTemplate(holder.object("template"));
  if (each.kind !== "Job" || holder.flag("manualSelector") === true) return { template, createdSeconds };
  const names = Object.fromEntries(JOB_NAME_LABELS.map((key) => [key, each.name]));
  return { template: { ...template, labels: { ...names, ...template.labels } }, createdSeconds };
}

/** Returns pods that ran, where nothing says of any pod by what it was made: of each namespace one for each group of labels. */
function podsWithoutOwners(pods: readonly Pod[]): ReadonlyMap<string, readonly Pod[]> {
  if (pods.some(({ workload }) => workload.foundBy === "owner")) return new Map();
  const ofGroups = new Map(pods.filter(({ addresses }) => addresses.length > 0).map((pod) => [pod.workload, pod]));
  return Map.groupBy(ofGroups.values(), ({ namespace }) => namespace);
}

/** Reports whether a pod has the labels of a template, which controllers give to every pod that they make. */
function isMadeWith(template: Labels, labels: Labels): boolean {
  const lasting = Object.entries(template).filter(([key]) => !isVolatileLabel(key));
  return lasting.length > 0 && lasting.every(([key, value]) => Object.hasOwn(labels, key) && labels[key] === value);
}
