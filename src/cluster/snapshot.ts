import { type Address, parseAddress } from "../net/address.ts";
import { parsePrefix } from "../net/prefix.ts";
import { parseRfc3339 } from "../net/time.ts";
import * as cni from "./cni.ts";
import { isMapping, type ManifestObject } from "./manifest.ts";
import { type Labels, NAMESPACE_NAME, type Namespace, type Node, type Pod, type Service } from "./objects.ts";
import type { LabelSelector } from "./selector.ts";
import * as services from "./services.ts";
import { TEMPLATE_KINDS, templatePods, type WorkloadObject } from "./templatePods.ts";
import { assembleNodes, ClusterTimeline, type NodeRecord } from "./timeline.ts";
import {
  assignWorkloads,
  type ObjectFields,
  type OwnersOfControllers,
  ownedKey,
  readAddress,
  readOwners,
  readPod,
  readWorkloadSelector,
} from "./workloads.ts";

/** Everything that a snapshot says about who owned which address. Immutable. */
export interface Cluster {
  readonly namespaces: ReadonlyMap<string, Namespace>;
  readonly pods: readonly Pod[];
  /** What workloads without any pod would run, one pod each, without addresses: not part of `pods`, nor of what follows. */
  readonly templatePods: readonly Pod[];
  readonly nodes: readonly Node[];
  readonly services: readonly Service[];
  readonly serviceIndex: services.ServiceIndex;
  readonly timeline: ClusterTimeline;
  /** `spec.selector` of the objects that pods are made by, by `ownedKey`. */
  readonly workloadSelectors: ReadonlyMap<string, LabelSelector>;
  /** Labels of service accounts by `namespace/name`. */
  readonly serviceAccounts: ReadonlyMap<string, Labels>;
  /** Addresses of the API server: the endpoints of Service default/kubernetes; undefined where the snapshot does not hold them. */
  readonly apiServers: ReadonlySet<Address> | undefined;
  /** Policies of every dialect and what they refer to (tiers, network sets, groups), unread; the latest of each object. */
  readonly policyObjects: readonly ManifestObject[];
  readonly cni: cni.CniGuess;
  readonly warnings: readonly string[];
}

/** A field that the Kubernetes API would refuse. */
class FieldProblem extends Error {
  readonly path: readonly (string | number)[];

  constructor(path: readonly (string | number)[], why: string) {
    super(`\`${path.join(".")}\` ${why}`);
    this.path = path;
  }
}

class Fields implements ObjectFields {
  readonly #value: unknown;
  readonly #path: readonly (string | number)[];

  constructor(value: unknown, path: readonly (string | number)[] = []) {
    this.#value = value;
    this.#path = path;
  }

  text(key: string): string | undefined {
    return this.#read(key, "text", isText);
  }

  number(key: string): number | undefined {
    return this.#read(key, "a number", (value) => typeof value === "number");
  }

  flag(key: string): boolean | undefined {
    return this.#read(key, "true or false", (value) => typeof value === "boolean");
  }

  textOrNumber(key: string): string | number | undefined {
    return this.#read(key, "text or a number", (value) => typeof value === "string" || typeof value === "number");
  }

  object(key: string): Fields {
    return new Fields(this.#read(key, "an object", isMapping), [...this.#path, key]);
  }

  list(key: string): readonly Fields[] {
    const values =
      this.#read<readonly unknown[]>(key, "a list of objects", (value) => Array.isArray(value) && value.every(isMapping)) ?? [];
    return values.map((value, index) => new Fields(value, [...this.#path, key, index]));
  }

  texts(key: string): readonly string[] {
    return this.#read<readonly string[]>(key, "a list of texts", (value) => Array.isArray(value) && value.every(isText)) ?? [];
  }

  textMap(key: string): Readonly<Record<string, string>> {
    return (
      this.#read<Record<string, string>>(key, "a map of texts", (value) => isMapping(value) && Object.values(value).every(isText)) ?? {}
    );
  }

  /** Returns the moment in a field as epoch seconds, or null. */
  seconds(key: string): number | null {
    const text = this.text(key);
    return text ? (parseRfc3339(text)?.seconds ?? this.fail(key, "is not an RFC 3339 time")) : null;
  }

  fail(key: string, why: string): never {
    throw new FieldProblem([...this.#path, key], why);
  }

  #read<Type>(key: string, type: string, isType: (value: unknown) => boolean): Type | undefined {
    const value = cni.valueAt(this.#value, key);
    if (value === undefined || value === null) return undefined;
    return isType(value) ? (value as Type) : this.fail(key, `is not ${type}`);
  }
}

function isText(value: unknown): value is string {
  return typeof value === "string";
}

function nameOf({ value }: ManifestObject): { readonly namespace: string; readonly name: string } {
  return { namespace: cni.textAt(value, "metadata", "namespace"), name: cni.textAt(value, "metadata", "name") };
}

/** Keeps one of each object: several snapshots may hold it at several times. Pods of one name are told apart by uid, else by start. */
function latestOf(objects: readonly ManifestObject[]): readonly ManifestObject[] {
  const latest = new Map<string, ManifestObject>();
  const versionOf = ({ value }: ManifestObject) => {
    const text = cni.valueAt(value, "metadata", "resourceVersion");
    return typeof text === "string" && /^\d{1,30}$/.test(text) ? BigInt(text) : undefined;
  };
  for (const object of objects) {
    const { namespace, name } = nameOf(object);
    const key: unknown[] = [cni.groupOf(object), object.value.kind, namespace, name];
    if (object.value.kind === "Pod") {
      const [metadata, status] = [cni.valueAt(object.value, "metadata"), cni.valueAt(object.value, "status")];
      key.push(cni.textAt(metadata, "uid") || cni.textAt(status, "startTime") || cni.textAt(metadata, "creationTimestamp"));
    }
    const text = JSON.stringify(key);
    const known = latest.get(text);
    const [before, now] = [known && versionOf(known), versionOf(object)];
    if (known === undefined || before === undefined || now === undefined || now >= before) latest.set(text, object);
  }
  return [...latest.values()];
}

/** Reads objects one by one; those that cannot be read are left out and told of together, by kind. */
class Reader {
  readonly #objects: readonly ManifestObject[];
  readonly #problems = new Map<string, Map<ManifestObject, string>>();

  constructor(objects: readonly ManifestObject[]) {
    this.#objects = objects;
  }

  all<Result>(
    group: string,
    kind: string,
    read: (fields: Fields, namespace: string, name: string, object: ManifestObject) => Result,
  ): Result[] {
    const results: Result[] = [];
    for (const object of this.#objects) {
      if (object.value.kind !== kind || cni.groupOf(object) !== group) continue;
      const found = this.attempt(object, () => {
        const fields = new Fields(object.value);
        const metadata = fields.object("metadata");
        const name = metadata.text("name") || metadata.fail("name", "is missing");
        return { result: read(fields, metadata.text("namespace") || "default", name, object) };
      });
      if (found !== undefined) results.push(found.result);
    }
    return results;
  }

  /** Returns what `read` returns; undefined where it meets a field that the API would refuse. The first such field of an object is told. */
  attempt<Result>(object: ManifestObject, read: () => Result): Result | undefined {
    try {
      return read();
    } catch (error) {
      if (!(error instanceof FieldProblem)) throw error;
      const { namespace, name } = nameOf(object);
      const line = object.isServed ? "" : `:${object.positionOf(error.path).line}`;
      const place = `${namespace ? `${namespace}/` : ""}${name || "(no name)"} at ${object.file}${line}`;
      const kind = String(object.value.kind);
      const problems = this.#problems.get(kind) ?? new Map<ManifestObject, string>();
      if (!problems.has(object)) problems.set(object, `${place}: ${error.message}`);
      this.#problems.set(kind, problems);
      return undefined;
    }
  }

  get warnings(): string[] {
    return [...this.#problems].map(([kind, ofObjects]) => {
      const problems = [...ofObjects.values()];
      const more = problems.length > 3 ? `; and ${problems.length - 3} more` : "";
      return `${problems.length} ${kind} object${problems.length === 1 ? "" : "s"} left out: ${problems.slice(0, 3).join("; ")}${more}`;
    });
  }
}

function readNode(fields: Fields, _namespace: string, name: string): NodeRecord {
  const [metadata, spec] = [fields.object("metadata"), fields.object("spec")];
  const annotations = metadata.textMap("annotations");
  const podCidrs = [...spec.texts("podCIDRs"), spec.text("podCIDR") ?? ""].filter((text) => text !== "");
  const podPrefixes = podCidrs.map((text) => parsePrefix(text) ?? spec.fail("podCIDRs", `holds \`${text}\`, which is not a prefix`));
  const own = fields.object("status").list("addresses");
  const addresses = own.map((entry) => parseAddress(entry.text("address") ?? "")).filter((address) => address !== undefined);
  return {
    name,
    labels: metadata.textMap("labels"),
    addresses: [...addresses, ...cni.pluginAddresses(annotations)],
    podPrefixes: [...podPrefixes, ...cni.ovnNodeSubnets(annotations)],
    gateways: cni.gatewayAddresses(podPrefixes),
  };
}

function readCiliumNode(fields: Fields, _namespace: string, name: string): NodeRecord {
  const spec = fields.object("spec");
  const addresses = spec.list("addresses").map((entry) => readAddress(entry, "ip"));
  const podPrefixes = spec.object("ipam").texts("podCIDRs").map(parsePrefix);
  return {
    name,
    addresses: addresses.filter((address) => address !== undefined),
    podPrefixes: podPrefixes.filter((prefix) => prefix !== undefined),
  };
}

function readNamespaces(reader: Reader, named: readonly string[]): ReadonlyMap<string, Namespace> {
  const labelsOf = new Map(
    reader.all("", "Namespace", (fields, _namespace, name) => [name, fields.object("metadata").textMap("labels")] as const),
  );
  const names = [...new Set([...labelsOf.keys(), ...named])].filter((name) => name !== "");
  return new Map(
    names.map((name) => {
      const labels = { ...labelsOf.get(name), [NAMESPACE_NAME]: name };
      return [name, { name, labels, labelsKnown: labelsOf.has(name) }];
    }),
  );
}

/** Kinds whose own owners name a pod's workload. */
const CONTROLLERS = [
  ["apps", "ReplicaSet"],
  ["batch", "Job"],
  ["", "ReplicationController"],
];

/** Kinds that know their pods by a label selector that people wrote. A Job's is made up by its controller. */
const SELECTING = [
  ["apps", "Deployment"],
  ["apps", "StatefulSet"],
  ["apps", "DaemonSet"],
  ["apps", "ReplicaSet"],
  ["argoproj.io", "Rollout"],
];

function readWorkloadSelectors(reader: Reader): ReadonlyMap<string, LabelSelector> {
  const read = SELECTING.flatMap(([group, kind]) =>
    reader.all(group, kind, (fields, namespace, name) => [ownedKey(kind, namespace, name), readWorkloadSelector(fields)] as const),
  );
  return new Map(read.flatMap(([key, selector]) => (selector === undefined ? [] : [[key, selector] as const])));
}

function readControllers(reader: Reader): OwnersOfControllers {
  const read = CONTROLLERS.flatMap(([group, kind]) =>
    reader.all(group, kind, (fields, namespace, name) => [ownedKey(kind, namespace, name), readOwners(fields)] as const),
  );
  return new Map(read);
}

function readWorkloadObjects(reader: Reader): readonly WorkloadObject[] {
  return TEMPLATE_KINDS.flatMap(([group, kind]) =>
    reader.all(group, kind, (fields, namespace, name, object) => ({ kind, namespace, name, fields, object })),
  );
}

function readPods(reader: Reader) {
  const records = reader.all("", "Pod", (fields, namespace, name, object) => ({ ...readPod(fields, namespace, name), file: object.file }));
  const controllers = readControllers(reader);
  const origins = records.map(({ pod, owners }) => ({ ...pod, owners }));
  const workloads = assignWorkloads(origins, controllers);
  return { records: records.map((record, index) => ({ ...record, pod: { ...record.pod, workload: workloads[index] } })), controllers };
}

/**
 * Reads Kubernetes objects as `kubectl get -o yaml` prints them into a Cluster. Objects may come from several snapshots: of each the
 * one with the highest resourceVersion, else the last, counts. Never throws: what cannot be read is left out with a warning.
 */
export function readCluster(objects: readonly ManifestObject[]): Cluster {
  const latest = latestOf(objects);
  const reader = new Reader(latest);
  const { records, controllers } = readPods(reader);
  const pods = records.map(({ pod }) => pod);
  const nodes = assembleNodes([...reader.all("", "Node", readNode), ...reader.all("cilium.io", "CiliumNode", readCiliumNode)], records);
  const entries = reader.all("", "Service", services.readService);
  const endpoints = [
    ...reader.all("discovery.k8s.io", "EndpointSlice", services.readEndpointSlice).filter((slice) => slice !== undefined),
    ...reader.all("", "Endpoints", services.readEndpoints).flat(),
  ];
  const policyObjects = latest.filter(cni.isPolicyObject);
  const workloads = readWorkloadObjects(reader);
  const namespaces = readNamespaces(reader, [
    ...pods.map((pod) => pod.namespace),
    ...workloads.map(({ namespace }) => namespace),
    ...policyObjects.map((object) => nameOf(object).namespace),
  ]);
  const recordOf = new Map(records.map((record) => [record.pod, record]));
  const clusterServices = entries.map(({ service }) => service);
  const ranges = cni.rangesOf(latest);
  const timeline = new ClusterTimeline({
    pods,
    nodes,
    services: clusterServices,
    podRanges: [...ranges.pods, ...nodes.flatMap((node) => node.podPrefixes)],
    serviceRanges: ranges.services,
    disabledRanges: ranges.disabled,
    inSameSnapshot: (a, b) => recordOf.get(a)?.file === recordOf.get(b)?.file,
  });
  const warnings = [...timeline.warnings, ...(pods.length === 0 ? [NO_PODS] : [])];
  const isReady = (pod: Pod) => recordOf.get(pod)?.ready ?? true;
  const serviceIndex = new services.ServiceIndex({ services: entries, endpoints, pods, nodes, isReady });
  const serviceAccounts = new Map(
    reader.all(
      "",
      "ServiceAccount",
      (fields, namespace, name) => [`${namespace}/${name}`, fields.object("metadata").textMap("labels")] as const,
    ),
  );
  const workloadSelectors = readWorkloadSelectors(reader);
  const ofTemplates = templatePods(workloads, { pods, controllers, attempt: (object, read) => reader.attempt(object, read) });
  warnings.unshift(...reader.warnings);
  return {
    namespaces,
    pods,
    templatePods: ofTemplates,
    nodes,
    services: clusterServices,
    serviceIndex,
    timeline,
    workloadSelectors,
    serviceAccounts,
    apiServers: findApiServers(clusterServices, serviceIndex),
    policyObjects,
    cni: cni.inferCni(latest),
    warnings,
  };
}

function findApiServers(all: readonly Service[], index: services.ServiceIndex): ReadonlySet<Address> | undefined {
  const service = all.find(({ namespace, name }) => namespace === "default" && name === "kubernetes");
  const endpoints = service === undefined ? [] : index.backendsOf(service);
  return endpoints.length === 0 ? undefined : new Set(endpoints.map(({ address }) => address));
}

/** The warning of a cluster without pods. Where no addresses are looked up it says nothing of interest. */
export const NO_PODS =
  "the snapshot holds no Pod, so no address can be given a name: save one with `kubectl get ns,nodes,pods,svc,endpointslices,deploy,rs,sts,ds,jobs,cronjobs,netpol -A -o yaml`";
