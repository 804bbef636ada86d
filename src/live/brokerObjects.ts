import { textAt, valueAt } from "../cluster/cni.ts";
import { type ManifestObject, servedObject } from "../cluster/manifest.ts";
import { type Address, formatAddress, parseAddress } from "../net/address.ts";
import { formatRfc3339, type Instant, parseRfc3339 } from "../net/time.ts";
import type { PodRow, ServiceRow, TrafficRow } from "./brokerRows.ts";
import { append } from "./multimaps.ts";

/** How messages name what the broker alone knows. */
const ORIGIN = "the broker's records";

/** A pod that the cluster's own objects hold. */
interface KnownPod {
  readonly uid: string;
  readonly startSeconds: number | undefined;
  /** When it finished and gave its address back, though its object still names it. */
  readonly finishedSeconds: number | undefined;
}

/** What the cluster's objects say that the broker's records must not contradict. */
interface Known {
  readonly pods: ReadonlyMap<string, readonly KnownPod[]>;
  /** Pods by the addresses that are theirs. */
  readonly holders: ReadonlyMap<Address, readonly KnownPod[]>;
  readonly services: ReadonlySet<string>;
  readonly serviceAddresses: ReadonlySet<string>;
}

/**
 * Returns pods and Services that only the broker still knows, as objects beside the cluster's own: pods that are gone, and Services
 * that were deleted. What the cluster knows is left to it, since the broker's copies have no status, no containers and no ports.
 * `now` in epoch seconds.
 *
 * The broker says that a pod is dead and not since when. A dead pod counts as the owner of its address until the next pod there
 * began, or until now: nobody else was seen to have it.
 */
export function brokerOnlyObjects(
  pods: readonly PodRow[],
  services: readonly ServiceRow[],
  rows: readonly TrafficRow[],
  clusterObjects: readonly ManifestObject[],
  now: number,
): ManifestObject[] {
  const known = knownOf(clusterObjects);
  const firstSeen = firstRows(rows);
  return [...pods.flatMap((row) => podObject(row, known, firstSeen, now)), ...services.flatMap((row) => serviceObject(row, known))];
}

function knownOf(objects: readonly ManifestObject[]): Known {
  const pods = new Map<string, KnownPod[]>();
  const holders = new Map<Address, KnownPod[]>();
  const services = new Set<string>();
  const serviceAddresses = new Set<string>();
  for (const { value } of objects) {
    const key = `${textAt(value, "metadata", "namespace") || "default"}/${textAt(value, "metadata", "name")}`;
    if (value.kind === "Service") {
      services.add(key);
      for (const address of [textAt(value, "spec", "clusterIP"), ...listAt(value, "spec", "clusterIPs")])
        if (typeof address === "string") serviceAddresses.add(address);
    }
    if (value.kind !== "Pod") continue;
    const start = textAt(value, "status", "startTime") || textAt(value, "metadata", "creationTimestamp");
    const pod = { uid: textAt(value, "metadata", "uid"), startSeconds: parseRfc3339(start)?.seconds, finishedSeconds: finishOf(value) };
    append(pods, key, pod);
    if (valueAt(value, "spec", "hostNetwork") === true) continue;
    const texts = [textAt(value, "status", "podIP"), ...listAt(value, "status", "podIPs").map((entry) => textAt(entry, "ip"))];
    const addresses = new Set(texts.map(parseAddress).filter((address) => address !== undefined));
    for (const address of addresses) append(holders, address, pod);
  }
  return { pods, holders, services, serviceAddresses };
}

/** When a pod that will not run again ended; undefined for others, and where its containers do not tell. */
function finishOf(value: Readonly<Record<string, unknown>>): number | undefined {
  if (!["Succeeded", "Failed"].includes(textAt(value, "status", "phase"))) return undefined;
  const ends = listAt(value, "status", "containerStatuses").flatMap(
    (container) => parseRfc3339(textAt(container, "state", "terminated", "finishedAt"))?.seconds ?? [],
  );
  return ends.length === 0 ? undefined : Math.max(...ends);
}

function listAt(value: unknown, ...path: readonly string[]): readonly unknown[] {
  const list = valueAt(value, ...path);
  return Array.isArray(list) ? list : [];
}

/** When a pod's own rows begin, by `namespace/name`. */
function firstRows(rows: readonly TrafficRow[]): ReadonlyMap<string, number> {
  const first = new Map<string, number>();
  for (const { podNamespace, podName, time } of rows) {
    if (time === undefined || podName === undefined) continue;
    const key = `${podNamespace ?? ""}/${podName}`;
    const before = first.get(key);
    if (before === undefined || time.seconds < before) first.set(key, time.seconds);
  }
  return first;
}

function podObject(row: PodRow, known: Known, firstSeen: ReadonlyMap<string, number>, now: number): ManifestObject[] {
  // Without a namespace or what was known of it, a pod has no labels that policies could select.
  if (row.namespace === undefined || row.metadata === undefined) return [];
  const key = `${row.namespace}/${row.name}`;
  const uid = textAt(row.metadata, "uid");
  const same = known.pods.get(key) ?? [];
  if (same.some((pod) => pod.uid === "" || uid === "" || pod.uid === uid)) return [];
  const isGone = row.isDead || same.length > 0;
  const start = startOf(row, firstSeen.get(key));
  // One that the broker takes for alive takes no address from a pod of the cluster either.
  const held = row.address !== undefined && !row.hostNetwork && (isGone || known.holders.has(row.address));
  const life = held ? lifeOf(row.address as Address, start, known, now) : { end: isGone ? now : undefined };
  const hasAddress = row.address !== undefined && life !== undefined;
  const text = (seconds: number) => formatRfc3339(seconds, 0);
  return [
    servedObject(
      {
        apiVersion: "v1",
        kind: "Pod",
        metadata: {
          ...row.metadata,
          name: row.name,
          namespace: row.namespace,
          ...(life?.end === undefined ? {} : { deletionTimestamp: text(life.end) }),
        },
        spec: {
          ...(row.nodeName === undefined ? {} : { nodeName: row.nodeName }),
          ...(row.hostNetwork ? { hostNetwork: true } : {}),
        },
        status: {
          ...(start === undefined ? {} : { startTime: text(start) }),
          ...(hasAddress ? { podIP: formatAddress(row.address as Address) } : {}),
          // It serves nobody any more, whatever Services select it.
          ...(isGone ? { conditions: [{ type: "Ready", status: "False" }] } : {}),
        },
      },
      ORIGIN,
    ),
  ];
}

/** The earliest sign of a pod. Its creation comes from the object, which for one that was replaced may be a later pod's. */
function startOf({ metadata, time }: PodRow, firstRow: number | undefined): number | undefined {
  const created: Instant | undefined = parseRfc3339(textAt(metadata, "creationTimestamp"));
  const signs = [created?.seconds, time?.seconds, firstRow].filter((seconds) => seconds !== undefined);
  return signs.length === 0 ? undefined : Math.min(...signs);
}

/** Returns until when a pod that is gone had its address; undefined where another may have had it all the time. */
function lifeOf(address: Address, start: number | undefined, known: Known, now: number): { readonly end: number } | undefined {
  const holders = (known.holders.get(address) ?? []).filter(
    ({ finishedSeconds }) => finishedSeconds === undefined || start === undefined || finishedSeconds > start,
  );
  if (holders.some(({ startSeconds }) => startSeconds === undefined || (start !== undefined && startSeconds <= start))) return undefined;
  return { end: Math.min(now, ...holders.map(({ startSeconds }) => startSeconds as number)) };
}

function serviceObject({ name, namespace, object }: ServiceRow, known: Known): ManifestObject[] {
  if (known.services.has(`${namespace}/${name}`)) return [];
  const addresses = [textAt(object, "spec", "clusterIP"), ...listAt(object, "spec", "clusterIPs")];
  if (addresses.some((address) => typeof address === "string" && known.serviceAddresses.has(address))) return [];
  return [servedObject({ ...object, apiVersion: "v1", kind: "Service" }, ORIGIN)];
}
