import { isMapping, type ManifestObject, servedObject } from "../cluster/manifest.ts";
import type { Node, Pod } from "../cluster/objects.ts";
import { type Address, formatAddress, isIPv4, parseAddress } from "../net/address.ts";
import { formatRfc3339 } from "../net/time.ts";
import type { Changes, MadePod, PodEnd } from "./changes.ts";

type Fields = Record<string, unknown>;

/**
 * Returns the objects of a snapshot as they would be after a run: pods that ended with the time of it, new ones beside them, and
 * EndpointSlices (or Endpoints) with whoever took over. What does not change is the very object that was given. `nodes`: of the cluster,
 * for the host addresses of new pods.
 */
export function changedObjects(objects: readonly ManifestObject[], changes: Changes, nodes: readonly Node[]): readonly ManifestObject[] {
  if (changes.made.length === 0 && changes.ends.size === 0) return objects;
  const madeOf = Map.groupBy(changes.made, ({ like }) => keyOfPod(like));
  const endOf = new Map([...changes.ends].map(([pod, end]) => [keyOfPod(pod), end]));
  const successors = successorsOf(changes);
  const nodeOf = new Map(nodes.map((node) => [node.name, node]));
  return objects.flatMap((object) => {
    const { value } = object;
    if (value.kind === "EndpointSlice" || value.kind === "Endpoints") {
      const changed = withSuccessors(value, successors);
      return [changed === value ? object : asChanged(object, changed as Fields)];
    }
    if (value.kind !== "Pod" || value.apiVersion !== "v1") return [object];
    const key = keyOf(value);
    const end = endOf.get(key);
    const kept = end === undefined ? object : asChanged(object, deleted(value, end));
    const made = madeOf.get(key) ?? [];
    // One pod may stand in several snapshots: what is made after it is made once.
    madeOf.delete(key);
    return [kept, ...made.map((each) => asChanged(object, madeAfter(value, each, changes.ends.get(each.pod), nodeOf)))];
  });
}

function asChanged({ file }: ManifestObject, value: Fields): ManifestObject {
  return servedObject(value, file);
}

function keyOfPod({ namespace, name, uid }: Pod): string {
  return `${namespace}/${name} ${uid ?? ""}`;
}

function keyOf({ metadata }: Fields): string {
  const { namespace, name, uid } = mappingOf(metadata);
  return `${namespace || "default"}/${name} ${uid ?? ""}`;
}

function mappingOf(value: unknown): Fields {
  return isMapping(value) ? value : {};
}

function timeText(seconds: number): string {
  return `${formatRfc3339(seconds, 0)!.slice(0, 19)}Z`;
}

function deleted(value: Fields, { goneSeconds }: PodEnd): Fields {
  // The API's deletion time stamp is when the grace period ends (ObjectMeta).
  return { ...value, metadata: { ...mappingOf(value.metadata), deletionTimestamp: timeText(goneSeconds) } };
}

/** Returns a new pod: as the one that it is made after, under its own name, address, node and times. */
function madeAfter(value: Fields, { pod }: MadePod, end: PodEnd | undefined, nodes: ReadonlyMap<string, Node>): Fields {
  const { resourceVersion: _, deletionTimestamp: __, ...metadata } = mappingOf(value.metadata);
  const status = mappingOf(value.status);
  const started = timeText(pod.startSeconds!);
  const addresses = pod.addresses.map(formatAddress);
  const hosts = hostsOf(pod, status, nodes);
  return {
    ...value,
    metadata: { ...metadata, name: pod.name, uid: pod.uid, creationTimestamp: started },
    spec: { ...mappingOf(value.spec), ...(pod.nodeName === undefined ? {} : { nodeName: pod.nodeName }) },
    status: {
      phase: end === undefined ? "Running" : "Succeeded",
      conditions: [{ type: "Ready", status: end === undefined ? "True" : "False", lastTransitionTime: started }],
      containerStatuses: [{ name: "main", ready: end === undefined, state: stateOf(started, end) }],
      ...(hosts.length > 0 ? { hostIP: hosts[0], hostIPs: hosts.map((ip) => ({ ip })) } : {}),
      podIP: addresses[0],
      podIPs: addresses.map((ip) => ({ ip })),
      startTime: started,
    },
  };
}

function stateOf(startedAt: string, end: PodEnd | undefined): Fields {
  if (end === undefined) return { running: { startedAt } };
  return { terminated: { exitCode: 0, reason: "Completed", startedAt, finishedAt: timeText(end.goneSeconds) } };
}

function hostsOf({ nodeName, addresses }: Pod, status: Fields, nodes: ReadonlyMap<string, Node>): readonly string[] {
  const node = nodeName === undefined ? undefined : nodes.get(nodeName);
  const hosts = node?.addresses.slice(0, addresses.length) ?? [];
  return hosts.length > 0 ? hosts.map(formatAddress) : typeof status.hostIP === "string" ? [status.hostIP] : [];
}

/** Who has taken over by the end, by the addresses of the pods that were there at the beginning. */
function successorsOf({ made, ends }: Changes): ReadonlyMap<Address, Pod> {
  const living = made.filter(({ replaces, pod }) => replaces !== undefined && !ends.has(pod));
  return new Map(living.flatMap(({ replaces, pod }) => replaces!.addresses.map((address) => [address, pod] as const)));
}

/** Returns the endpoints with successors in place of whom they followed: each address by the new pod's of the same family. */
function withSuccessors(value: Fields, successors: ReadonlyMap<Address, Pod>): Fields {
  const key = value.kind === "EndpointSlice" ? "endpoints" : "subsets";
  const list = value[key];
  if (!Array.isArray(list)) return value;
  let isChanged = false;
  const replaced = (text: unknown) => {
    const address = typeof text === "string" ? parseAddress(text) : undefined;
    const pod = address === undefined ? undefined : successors.get(address);
    if (address === undefined || pod === undefined) return undefined;
    isChanged = true;
    return { pod, text: formatAddress(pod.addresses.find((each) => isIPv4(each) === isIPv4(address)) ?? pod.addresses[0]) };
  };
  const targetOf = (target: unknown, { name, uid }: Pod) => (isMapping(target) ? { targetRef: { ...target, name, uid } } : {});
  const ofSlice = (endpoint: unknown): unknown => {
    if (!isMapping(endpoint) || !Array.isArray(endpoint.addresses)) return endpoint;
    const found = endpoint.addresses.map(replaced);
    const first = found.find((each) => each !== undefined);
    if (first === undefined) return endpoint;
    const { addresses } = endpoint;
    return {
      ...endpoint,
      addresses: found.map((each, i) => each?.text ?? addresses[i]),
      ...(first.pod.nodeName === undefined ? {} : { nodeName: first.pod.nodeName }),
      ...targetOf(endpoint.targetRef, first.pod),
    };
  };
  const ofSubset = (subset: unknown): unknown => {
    if (!isMapping(subset) || !Array.isArray(subset.addresses)) return subset;
    const addresses = subset.addresses.map((entry: unknown) => {
      const found = isMapping(entry) ? replaced(entry.ip) : undefined;
      return found === undefined ? entry : { ...(entry as Fields), ip: found.text, ...targetOf((entry as Fields).targetRef, found.pod) };
    });
    return { ...subset, addresses };
  };
  const items = list.map(value.kind === "EndpointSlice" ? ofSlice : ofSubset);
  return isChanged ? { ...value, [key]: items } : value;
}
