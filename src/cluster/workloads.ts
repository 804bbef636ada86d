import { type Address, parseAddress } from "../net/address.ts";
import { protocolNumber, SCTP, TCP, UDP } from "../net/protocol.ts";
import type { ContainerPort, Labels, Pod, Workload } from "./objects.ts";
import { type LabelSelector, type Requirement, selectorOfLabels } from "./selector.ts";

/**
 * One object of a manifest whose fields are read with their types checked. A missing or null field is undefined (text, number,
 * flag) or empty (object, list, texts, textMap); a field of another type throws what `fail` throws.
 */
export interface ObjectFields {
  text(key: string): string | undefined;
  number(key: string): number | undefined;
  flag(key: string): boolean | undefined;
  textOrNumber(key: string): string | number | undefined;
  object(key: string): ObjectFields;
  list(key: string): readonly ObjectFields[];
  texts(key: string): readonly string[];
  textMap(key: string): Readonly<Record<string, string>>;
  /** Epoch seconds of an RFC 3339 time, or null. */
  seconds(key: string): number | null;
  fail(key: string, why: string): never;
}

/** An entry of `metadata.ownerReferences`. */
export interface OwnerReference {
  readonly kind: string;
  readonly name: string;
  readonly controller: boolean;
}

/** What a pod says about its origin. */
export interface PodOrigin {
  readonly namespace: string;
  readonly name: string;
  readonly labels: Labels;
  readonly owners: readonly OwnerReference[];
}

/** The owners of ReplicaSets, Jobs and ReplicationControllers that the snapshot holds, by `ownedKey`. */
export type OwnersOfControllers = ReadonlyMap<string, readonly OwnerReference[]>;

/** Returns the key under which a controller's own owners are kept. */
export function ownedKey(kind: string, namespace: string, name: string): string {
  return `${kind}/${namespace}/${name}`;
}

/** Labels that a controller sets anew for every rollout, run or replica: they tell pods of one workload apart. */
const VOLATILE_LABELS = new Set([
  "pod-template-hash",
  "rollouts-pod-template-hash",
  "pod-template-generation",
  "controller-revision-hash",
  "controller-uid",
  "job-name",
  "batch.kubernetes.io/controller-uid",
  "batch.kubernetes.io/job-name",
  "batch.kubernetes.io/job-completion-index",
  "apps.kubernetes.io/pod-index",
  "statefulset.kubernetes.io/pod-name",
  "jobset.sigs.k8s.io/job-index",
  "jobset.sigs.k8s.io/job-key",
  "leaderworkerset.sigs.k8s.io/group-index",
  "leaderworkerset.sigs.k8s.io/group-key",
  "leaderworkerset.sigs.k8s.io/worker-index",
  "workflows.argoproj.io/workflow",
  "workflows.argoproj.io/completed",
  "tekton.dev/pipelineRun",
  "tekton.dev/pipelineRunUID",
  "tekton.dev/taskRun",
  "tekton.dev/taskRunUID",
  "deploymentconfig.openshift.io/deployment",
  // Set anew for each release (Helm: Standard Labels), or for each replica by who holds which role.
  "helm.sh/chart",
  "chart",
  "app.kubernetes.io/version",
  "cnpg.io/instanceName",
  "cnpg.io/instanceRole",
  // Copied from the node onto each pod (admission plugin PodTopologyLabels, Kubernetes 1.33).
  "topology.kubernetes.io/zone",
  "topology.kubernetes.io/region",
]);

/** Reports whether a label differs between the pods of one workload, so that neither groups nor policies should build on it. */
export function isVolatileLabel(key: string): boolean {
  return VOLATILE_LABELS.has(key);
}

const SHORT_KINDS: Readonly<Record<string, string>> = {
  Deployment: "deploy",
  StatefulSet: "sts",
  DaemonSet: "ds",
  ReplicaSet: "rs",
  ReplicationController: "rc",
  CronJob: "cronjob",
  Job: "job",
  Pod: "pod",
  Pods: "pods",
};

/** Returns a workload as kubectl users write it: `Deployment/web` is `deploy/web`. */
export function shortWorkload(workload: string): string {
  const slash = workload.indexOf("/");
  const kind = workload.slice(0, slash);
  return `${SHORT_KINDS[kind] ?? kind.toLowerCase()}${workload.slice(slash)}`;
}

/** Kinds that other controllers make for each rollout or run: their own owner is what people know. */
const INTERMEDIATE_KINDS = new Set(["ReplicaSet", "Job", "ReplicationController"]);

const NAME_LABELS = ["app.kubernetes.io/name", "app", "k8s-app", "name", "run", "app.kubernetes.io/instance"];

/**
 * Returns the workload of each pod, in the order given. The controller in ownerReferences decides (Kubernetes API: ObjectMeta,
 * "managing controller"), followed to the Deployment, CronJob or other owner of a ReplicaSet or Job; pods without owners are
 * grouped by namespace and lasting labels. Names of groups are unique in their namespace.
 */
export function assignWorkloads(pods: readonly PodOrigin[], controllers: OwnersOfControllers): readonly Workload[] {
  const ownerless = pods.filter((pod) => pod.owners.length === 0);
  // Where other pods have owners, one without is a bare pod; where none has, owners were left out of the snapshot.
  const groups = groupByLabels(ownerless, ownerless.length < pods.length);
  const siblings = ownersByHash(pods, controllers);
  return pods.map((pod) => (pod.owners.length === 0 ? groups.get(pod)! : workloadOfOwner(pod, siblings)));
}

/** Adds the owners of ReplicaSets that only the labels of some of their pods tell: others of the same ReplicaSet may be labelled anew. */
function ownersByHash(pods: readonly PodOrigin[], controllers: OwnersOfControllers): OwnersOfControllers {
  const found = new Map(controllers);
  for (const { namespace, owners, labels } of pods) {
    const owner = managingOwner(owners);
    if (owner === undefined) continue;
    const key = ownedKey(owner.kind, namespace, owner.name);
    if (found.has(key)) continue;
    const above = ownerByHash(owner, labels);
    if (above !== undefined) found.set(key, [above]);
  }
  return found;
}

function managingOwner(owners: readonly OwnerReference[]): OwnerReference | undefined {
  return owners.find((owner) => owner.controller) ?? owners[0];
}

function workloadOfOwner(pod: PodOrigin, controllers: OwnersOfControllers): Workload {
  const owner = managingOwner(pod.owners)!;
  // A mirror pod of a static pod is owned by its node (kubelet, KEP-1900): it stands for itself.
  if (owner.kind === "Node") return { namespace: pod.namespace, kind: "Pod", name: pod.name, foundBy: "owner" };
  return workloadOfController(owner.kind, pod.namespace, owner.name, controllers);
}

/** Returns the workload that the pods of a controller belong to: the controller, or what owns a ReplicaSet, Job or ReplicationController. */
export function workloadOfController(kind: string, namespace: string, name: string, controllers: OwnersOfControllers): Workload {
  let owner = { kind, name };
  // Bounded: hostile objects may own each other in a circle.
  for (let step = 0; step < 4 && INTERMEDIATE_KINDS.has(owner.kind); step++) {
    const above = managingOwner(controllers.get(ownedKey(owner.kind, namespace, owner.name)) ?? []);
    if (above === undefined) break;
    owner = above;
  }
  return { namespace, kind: owner.kind, name: owner.name, foundBy: "owner" };
}

/** Returns the owner of a ReplicaSet that the snapshot lacks: controllers name it `<owner>-<hash>` and label its pods with the hash. */
function ownerByHash(owner: OwnerReference, labels: Labels): OwnerReference | undefined {
  if (owner.kind !== "ReplicaSet") return undefined;
  for (const [label, kind] of [
    ["pod-template-hash", "Deployment"],
    ["rollouts-pod-template-hash", "Rollout"],
  ]) {
    const ending = Object.hasOwn(labels, label) && labels[label] !== "" ? `-${labels[label]}` : undefined;
    if (ending === undefined || !owner.name.endsWith(ending) || owner.name.length === ending.length) continue;
    return { kind, name: owner.name.slice(0, -ending.length), controller: true };
  }
  return undefined;
}

interface LabelGroup {
  readonly namespace: string;
  readonly labels: ReadonlyMap<string, string>; // lasting ones, by key
  readonly base: string;
  readonly pods: PodOrigin[];
}

function groupByLabels(pods: readonly PodOrigin[], barePods: boolean): ReadonlyMap<PodOrigin, Workload> {
  const groups = new Map<string, LabelGroup>();
  const workloads = new Map<PodOrigin, Workload>();
  for (const pod of pods) {
    const lasting = Object.entries(pod.labels)
      .filter(([key]) => !isVolatileLabel(key))
      .sort(([a], [b]) => (a < b ? -1 : 1));
    if (lasting.length === 0) {
      workloads.set(pod, { namespace: pod.namespace, kind: "Pod", name: pod.name, foundBy: "labels" });
      continue;
    }
    const key = JSON.stringify([pod.namespace, lasting]);
    const group = groups.get(key) ?? { namespace: pod.namespace, labels: new Map(lasting), base: baseName(lasting), pods: [] };
    group.pods.push(pod);
    groups.set(key, group);
  }
  for (const [group, name] of nameGroups([...groups.values()])) {
    const [only] = group.pods;
    const isBare = barePods && group.pods.length === 1;
    const workload: Workload = {
      namespace: group.namespace,
      kind: isBare ? "Pod" : "Pods",
      name: isBare ? only.name : name,
      foundBy: "labels",
    };
    for (const pod of group.pods) workloads.set(pod, workload);
  }
  return workloads;
}

function baseName(lasting: readonly (readonly [string, string])[]): string {
  const labels = new Map(lasting);
  for (const key of NAME_LABELS) if (labels.get(key)) return labels.get(key)!;
  return lasting.map(([key, value]) => `${key}=${value}`).join(",");
}

/** Gives each group a name of its own: groups of one base name get the labels in which they differ, written as kubectl selectors are. */
function nameGroups(groups: readonly LabelGroup[]): ReadonlyMap<LabelGroup, string> {
  const names = new Map<LabelGroup, string>();
  const used = new Set<string>();
  const alike = Map.groupBy(groups, (group) => `${group.namespace}/${group.base}`);
  for (const same of alike.values()) {
    const keys = [...new Set(same.flatMap((group) => [...group.labels.keys()]))].sort();
    const differing = keys.filter((key) => new Set(same.map((group) => group.labels.get(key))).size > 1);
    for (const group of same) {
      const parts = differing.filter((key) => group.labels.has(key)).map((key) => `,${key}=${group.labels.get(key)}`);
      let name = group.base + parts.join("");
      // Only labels that the API server would refuse can still clash.
      for (let count = 2; used.has(`${group.namespace}/${name}`); count++) name = `${group.base}${parts.join("")}#${count}`;
      used.add(`${group.namespace}/${name}`);
      names.set(group, name);
    }
  }
  return names;
}

/** Returns the address in a field. Fails on text that is none. */
export function readAddress(fields: ObjectFields, key: string): Address | undefined {
  const text = fields.text(key);
  if (text === undefined || text === "") return undefined;
  return parseAddress(text) ?? fields.fail(key, "is not an IP address");
}

/** Returns the port in a field, 1 to 65535. Fails on any other number. */
export function readPort(fields: ObjectFields, key: string): number | undefined {
  const port = fields.number(key);
  return port === undefined || (Number.isInteger(port) && port >= 1 && port <= 65535)
    ? port
    : fields.fail(key, "is not a port from 1 to 65535");
}

/** Returns the protocol in the field `protocol`, TCP where it is missing (Kubernetes API: ContainerPort, ServicePort, EndpointPort). */
export function readProtocol(fields: ObjectFields): number {
  const text = fields.text("protocol");
  const number = text === undefined || text === "" ? TCP : protocolNumber(text);
  return number === TCP || number === UDP || number === SCTP ? number : fields.fail("protocol", "is not TCP, UDP or SCTP");
}

/** Returns the ownerReferences of an object. */
export function readOwners(fields: ObjectFields): readonly OwnerReference[] {
  const references = fields.object("metadata").list("ownerReferences");
  return references.map((owner) => ({
    kind: owner.text("kind") ?? "",
    name: owner.text("name") ?? "",
    controller: owner.flag("controller") ?? false,
  }));
}

const OPERATORS = ["In", "NotIn", "Exists", "DoesNotExist"] as const;

/** Returns the `spec.selector` by which a controller knows its pods (Kubernetes API: LabelSelector); undefined where it has none. */
export function readWorkloadSelector(fields: ObjectFields): LabelSelector | undefined {
  const selector = fields.object("spec").object("selector");
  const labels = selectorOfLabels(Object.entries(selector.textMap("matchLabels"))).requirements;
  const expressions = selector.list("matchExpressions").map((expression): Requirement => {
    const operator = OPERATORS.find((each) => each === expression.text("operator")) ?? expression.fail("operator", "is no operator");
    return { key: expression.text("key") ?? expression.fail("key", "is missing"), operator, values: expression.texts("values") };
  });
  return labels.length + expressions.length === 0 ? undefined : { requirements: [...labels, ...expressions] };
}

/** A pod as it was read, before its workload is known. */
export interface PodRecord {
  readonly pod: Omit<Pod, "workload">;
  readonly owners: readonly OwnerReference[];
  /** Whether the condition Ready, where there is one, is True. */
  readonly ready: boolean;
  /** Addresses of its node. */
  readonly hostAddresses: readonly Address[];
}

/** Reads a v1 Pod. Its addresses count from status.startTime (else its creation) until it has finished or was deleted. */
export function readPod(fields: ObjectFields, namespace: string, name: string): PodRecord {
  const [metadata, status] = [fields.object("metadata"), fields.object("status")];
  const startSeconds = status.seconds("startTime") ?? metadata.seconds("creationTimestamp");
  const uid = metadata.text("uid");
  const addressesIn = (list: string, single: string) => {
    const all = [...status.list(list).map((entry) => readAddress(entry, "ip")), readAddress(status, single)];
    return [...new Set(all.filter((address) => address !== undefined))];
  };
  const pod = {
    namespace,
    name,
    ...(uid ? { uid } : {}),
    ...readPodTemplate(fields),
    addresses: addressesIn("podIPs", "podIP"),
    startSeconds,
    endSeconds: readEnd(metadata, status, startSeconds),
  };
  const ready = status.list("conditions").every((condition) => condition.text("type") !== "Ready" || condition.text("status") === "True");
  return { pod, owners: readOwners(fields), ready, hostAddresses: addressesIn("hostIPs", "hostIP") };
}

/** Reads what a Pod and a pod template say alike (Kubernetes API: PodTemplateSpec). */
export function readPodTemplate(fields: ObjectFields): Pick<Pod, "labels" | "nodeName" | "hostNetwork" | "serviceAccountName" | "ports"> {
  const spec = fields.object("spec");
  const nodeName = spec.text("nodeName");
  return {
    labels: fields.object("metadata").textMap("labels"),
    ...(nodeName ? { nodeName } : {}),
    hostNetwork: spec.flag("hostNetwork") ?? false,
    serviceAccountName: spec.text("serviceAccountName") || spec.text("serviceAccount") || "default",
    ports: readContainerPorts(spec),
  };
}

/** Ports of containers and of sidecars: init containers that keep running (KEP-753). */
function readContainerPorts(spec: ObjectFields): readonly ContainerPort[] {
  const sidecars = spec.list("initContainers").filter((container) => container.text("restartPolicy") === "Always");
  return [...spec.list("containers"), ...sidecars].flatMap((container) =>
    container.list("ports").map((entry): ContainerPort => {
      const name = entry.text("name");
      const port = readPort(entry, "containerPort") ?? entry.fail("containerPort", "is missing");
      return { ...(name ? { name } : {}), port, protocol: readProtocol(entry) };
    }),
  );
}

/** A finished pod gives its address back, though its status still names it; a deletion time stamp is when the grace period ends (API: ObjectMeta). */
function readEnd(metadata: ObjectFields, status: ObjectFields, startSeconds: number | null): number | null {
  const deletion = metadata.seconds("deletionTimestamp");
  if (!["Succeeded", "Failed"].includes(status.text("phase") ?? "")) return deletion;
  const ends = ["containerStatuses", "initContainerStatuses"].flatMap((key) =>
    status.list(key).map((container) => container.object("state").object("terminated").seconds("finishedAt") ?? -Infinity),
  );
  const last = Math.max(...ends);
  return Number.isFinite(last) ? last : (deletion ?? startSeconds ?? 0);
}

/** Returns the pods that live, and of workloads of which none lives those that have ended: they stand for the next run of a Job. */
export function livingPods(pods: readonly Pod[]): Pod[] {
  const keyOf = ({ namespace, workload }: Pod) => ownedKey(workload.kind, namespace, workload.name);
  const living = new Set(pods.filter(({ endSeconds }) => endSeconds === null).map(keyOf));
  return pods.filter((pod) => pod.endSeconds === null || !living.has(keyOf(pod)));
}
