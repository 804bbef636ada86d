import { type Address, isIPv4, isPrivate } from "../net/address.ts";
import { compare } from "../net/order.ts";
import { makePrefix, type Prefix } from "../net/prefix.ts";
import { formatRfc3339 } from "../net/time.ts";
import type { Labels, Node, Owner, Pod, Service } from "./objects.ts";

/** What a ClusterTimeline is made of. */
export interface TimelineObjects {
  readonly pods: readonly Pod[];
  readonly nodes: readonly Node[];
  readonly services: readonly Service[];
  readonly podRanges: readonly Prefix[];
  readonly serviceRanges: readonly Prefix[];
  /** Ranges of pods that give out no address any more: whose an address of them is is not known, but none is sure to be the cluster's. */
  readonly disabledRanges?: readonly Prefix[];
  /** Whether two pods were live in one and the same snapshot; two snapshots may well show two owners of one address. */
  readonly inSameSnapshot?: (a: Pod, b: Pod) => boolean;
}

/** A pod's hold on one address: from `from` (inclusive) to `to` (exclusive), epoch seconds. Leases of an address never overlap. */
interface Lease {
  readonly owner: { readonly type: "pod"; readonly pod: Pod };
  readonly from: number;
  readonly to: number;
}

/** Clocks of nodes differ a little, and status times are whole seconds. */
const SKEW_SECONDS = 2;

const EXTERNAL: Owner = { type: "external" };
const NOT_TOLD: Owner = { type: "unknown", why: "is a private address, and no snapshot says whose" };

/** Says who owned an address at a moment. Immutable once built; lookups are a hash and a binary search over the address's owners. */
export class ClusterTimeline {
  /** Contradictions in the objects, one line each. */
  readonly warnings: readonly string[];
  readonly #leases = new Map<Address, readonly Lease[]>();
  readonly #fixed = new Map<Address, Owner>(); // nodes and Services
  readonly #gaps = new Map<readonly Lease[], Owner[]>();
  readonly #podRanges: Ranges;
  readonly #liveRanges: Ranges;
  readonly #serviceRanges: Ranges;
  readonly #besidePods: ReadonlySet<Address>; // first addresses of /24 and /64 prefixes
  readonly #hostPods: ReadonlyMap<string, readonly Pod[]>;
  /** Whether there are no objects at all: then not even what is outside is known. */
  readonly #isEmpty: boolean;

  constructor(objects: TimelineObjects) {
    this.#isEmpty = objects.pods.length + objects.nodes.length + objects.services.length === 0;
    const warnings: string[] = [];
    const own = objects.pods.filter((pod) => !pod.hostNetwork);
    for (const [address, pods] of podsByAddress(own)) {
      this.#leases.set(address, leasesOf(pods));
      const rival = rivalsOf(pods, objects.inSameSnapshot ?? (() => true));
      if (rival) warnings.push(rival);
    }
    for (const service of objects.services) for (const address of service.addresses) this.#fixed.set(address, { type: "service", service });
    const nodeNames = new Map<Address, string>();
    for (const node of objects.nodes) {
      for (const address of node.addresses) {
        this.#fixed.set(address, { type: "node", node });
        nodeNames.set(address, node.name);
      }
    }
    this.#liveRanges = new Ranges(objects.podRanges);
    this.#podRanges = new Ranges([...objects.podRanges, ...(objects.disabledRanges ?? [])]);
    this.#serviceRanges = new Ranges(objects.serviceRanges);
    // Where the known ranges do not hold a pod, its surroundings stand in for the range that it is from. A snapshot without nodes
    // says nothing of the network at all: what it does not hold is outside, and the report says so.
    const besideRanges = objects.nodes.length === 0 ? [] : [...this.#leases.keys()].filter((address) => !this.#podRanges.contain(address));
    this.#besidePods = new Set(besideRanges.map(neighbourhood));
    this.#hostPods = Map.groupBy(
      objects.pods.filter((pod) => pod.hostNetwork),
      (pod) => pod.nodeName ?? nodeNames.get(pod.addresses[0]) ?? "",
    );
    this.warnings = warnings;
  }

  /**
   * Returns whose an address was at a moment (epoch seconds, fractions allowed): a pod with its own network, a node (its
   * host-network pods too), a Service, unknown, or the outside. Without a moment (null) the sole or the latest owner answers.
   */
  ownerAt(address: Address, seconds: number | null): Owner {
    const leases = this.#leases.get(address);
    if (leases !== undefined) {
      const lease = leases[seconds === null ? leases.length - 1 : lastStarted(leases, seconds)];
      if (lease !== undefined && (seconds === null || seconds < lease.to)) return lease.owner;
    }
    const fixed = this.#fixed.get(address);
    if (fixed !== undefined) return fixed;
    if (leases !== undefined) return this.#nobody(leases, lastStarted(leases, seconds!));
    if (this.#podRanges.contain(address)) return { type: "unknown", why: "is in the pod range but in no snapshot object" };
    if (this.#serviceRanges.contain(address)) return { type: "unknown", why: "is in the Service range but in no snapshot object" };
    if (this.#besidePods.size > 0 && this.#besidePods.has(neighbourhood(address))) {
      return { type: "unknown", why: "is beside pod addresses but in no snapshot object" };
    }
    return this.#isEmpty && isPrivate(address) ? NOT_TOLD : EXTERNAL;
  }

  /** Returns from when (inclusive) until when (exclusive) `ownerAt` says the same of an address as at a moment, epoch seconds. */
  periodAt(address: Address, seconds: number): readonly [from: number, to: number] {
    const leases = this.#leases.get(address);
    if (leases === undefined) return [-Infinity, Infinity];
    const index = lastStarted(leases, seconds);
    const next = leases[index + 1]?.from ?? Infinity;
    if (index < 0) return [-Infinity, next];
    const { from, to } = leases[index];
    return seconds < to ? [from, Math.min(to, next)] : [to, next];
  }

  /**
   * Reports whether every address from `first` to `last` (inclusive) is the cluster's own: in one of its ranges, or a single address of
   * a pod, node or Service.
   */
  holds(first: Address, last: Address): boolean {
    if (first === last && ["pod", "node", "service"].includes(this.ownerAt(first, null).type)) return true;
    return this.#liveRanges.containAll(first, last) || this.#serviceRanges.containAll(first, last);
  }

  /** The answer for the gap after a lease (-1: before the first), made once: formatting dates at each lookup took ten times as long. */
  #nobody(leases: readonly Lease[], index: number): Owner {
    const gaps = this.#gaps.get(leases) ?? [];
    this.#gaps.set(leases, gaps);
    gaps[index + 1] ??= { type: "unknown", why: whyNobody(leases, index) };
    return gaps[index + 1];
  }

  /** Reports whether more than one pod had the address, or a pod and a node or Service. */
  isReused(address: Address): boolean {
    const leases = this.#leases.get(address);
    return leases !== undefined && (leases.length > 1 || this.#fixed.has(address));
  }

  /**
   * Returns a small integer that differs between two moments of a reused address whenever its owner differs; 0 for an address
   * that is not reused. Equal numbers mean the same owner. Without a moment: the number of the latest owner.
   */
  epochAt(address: Address, seconds: number | null): number {
    if (!this.isReused(address)) return 0;
    const leases = this.#leases.get(address)!;
    const index = seconds === null ? leases.length - 1 : lastStarted(leases, seconds);
    if (index < 0) return 0;
    return 2 * index + (seconds === null || seconds < leases[index].to ? 1 : 2);
  }

  /** Returns the host-network pods of a node that declare a port, as `namespace/name`, sorted. */
  hostNetworkPodsOf(node: Node, protocol: number, port: number): readonly string[] {
    const declares = (pod: Pod) => pod.ports.some((candidate) => candidate.port === port && candidate.protocol === protocol);
    const pods = this.#hostPods.get(node.name) ?? [];
    return pods
      .filter(declares)
      .map((pod) => `${pod.namespace}/${pod.name}`)
      .sort();
  }
}

function podsByAddress(pods: readonly Pod[]): ReadonlyMap<Address, readonly Pod[]> {
  const byAddress = new Map<Address, Pod[]>();
  for (const pod of pods) {
    for (const address of pod.addresses) {
      const known = byAddress.get(address);
      if (known) known.push(pod);
      else byAddress.set(address, [pod]);
    }
  }
  for (const known of byAddress.values()) if (known.length > 1) known.sort(byStart);
  return byAddress;
}

/** Orders by start; pods without one come first, and of equal starts the one that has ended. */
function byStart(a: Pod, b: Pod): number {
  const start = compare(a.startSeconds ?? -Infinity, b.startSeconds ?? -Infinity);
  return start !== 0 ? start : compare(a.endSeconds ?? Infinity, b.endSeconds ?? Infinity);
}

/**
 * Returns the leases of pods in order of start. A lease reaches over the pod's own times by the skew, but ends where the next
 * pod started: the address is given out after status.startTime, so that it can no longer be the predecessor's then.
 */
function leasesOf(pods: readonly Pod[]): readonly Lease[] {
  const leases: Lease[] = [];
  let previousEnd = -Infinity;
  for (const [index, pod] of pods.entries()) {
    const next = pods[index + 1];
    const from = Math.max((pod.startSeconds ?? -Infinity) - SKEW_SECONDS, previousEnd);
    const end = (pod.endSeconds ?? Infinity) + SKEW_SECONDS;
    const to = Math.max(from, Math.min(end, next === undefined ? Infinity : (next.startSeconds ?? -Infinity)));
    leases.push({ owner: { type: "pod", pod }, from, to });
    previousEnd = to;
  }
  return leases;
}

/** Returns the index of the last lease that began at or before a moment, or -1. */
function lastStarted(leases: readonly Lease[], seconds: number): number {
  let low = 0;
  let high = leases.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (leases[middle].from <= seconds) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}

function rivalsOf(pods: readonly Pod[], inSameSnapshot: (a: Pod, b: Pod) => boolean): string | undefined {
  if (pods.length < 2) return undefined;
  const live = pods.filter((pod) => pod.endSeconds === null);
  for (let index = 1; index < live.length; index++) {
    const [earlier, later] = [live[index - 1], live[index]];
    if (!inSameSnapshot(earlier, later)) continue;
    return `pods ${nameOf(earlier)} and ${nameOf(later)} hold one address at the same time: it counts as ${nameOf(later)}'s from its start on`;
  }
  return undefined;
}

function nameOf(pod: Pod): string {
  return `${pod.namespace}/${pod.name}`;
}

/** Completes "10.0.0.1 …" for a moment after a lease (-1: before the first) and before the next. */
function whyNobody(leases: readonly Lease[], index: number): string {
  const next = leases.slice(index + 1).find((lease) => lease.to > lease.from);
  const notYet = next && `${nameOf(next.owner.pod)}'s at that time (it started ${timeText(next.owner.pod.startSeconds)})`;
  if (index < 0) return `was not yet ${notYet ?? "anyone's"}`;
  const { pod } = leases[index].owner;
  const until = `was ${nameOf(pod)}'s until ${timeText(pod.endSeconds ?? leases[index].to)}`;
  return notYet ? `${until} and not yet ${notYet}` : until;
}

function timeText(seconds: number | null): string {
  const text = seconds === null ? undefined : formatRfc3339(Math.floor(seconds), 0);
  return text === undefined ? "at an unknown time" : `${text.slice(0, 19)}Z`;
}

/** The first address of the /24 (IPv4) or /64 (IPv6) around an address. */
function neighbourhood(address: Address): Address {
  return isIPv4(address) ? makePrefix(address, 24, 4).first : makePrefix(address, 64, 6).first;
}

/** A set of addresses as sorted, disjoint ranges. */
class Ranges {
  readonly #firsts: Address[] = [];
  readonly #lasts: Address[] = [];

  constructor(prefixes: readonly Prefix[]) {
    // A range of everything (length 0) would say nothing.
    const ranges = prefixes.filter((prefix) => prefix.length > 0);
    for (const { first, last } of ranges.sort((a, b) => (a.first < b.first ? -1 : a.first > b.first ? 1 : 0))) {
      const end = this.#lasts.length - 1;
      if (end >= 0 && first <= this.#lasts[end]) {
        if (last > this.#lasts[end]) this.#lasts[end] = last;
      } else {
        this.#firsts.push(first);
        this.#lasts.push(last);
      }
    }
  }

  contain(address: Address): boolean {
    return this.containAll(address, address);
  }

  /** Reports whether one range holds all addresses from `first` to `last`. */
  containAll(first: Address, last: Address): boolean {
    let low = 0;
    let high = this.#firsts.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#firsts[middle] <= first) low = middle + 1;
      else high = middle;
    }
    return low > 0 && last <= this.#lasts[low - 1];
  }
}

/** What one object says about a node: the Node, or the record that a plugin keeps of it. */
export interface NodeRecord {
  readonly name: string;
  readonly labels?: Labels;
  readonly addresses: readonly Address[];
  readonly podPrefixes: readonly Prefix[];
  /** Addresses that are the node's unless some pod has them. */
  readonly gateways?: readonly Address[];
}

/** Returns the nodes of records, one a name. A node without any record is known by what its pods say (status.hostIPs). */
export function assembleNodes(
  records: readonly NodeRecord[],
  pods: readonly { readonly pod: Pod; readonly hostAddresses: readonly Address[] }[],
): readonly Node[] {
  const podAddresses = new Set(pods.filter(({ pod }) => !pod.hostNetwork).flatMap(({ pod }) => pod.addresses));
  const recorded = new Set(records.map((record) => record.name));
  const fromPods = pods.flatMap(({ pod: { nodeName, hostNetwork, addresses }, hostAddresses }) =>
    nodeName === undefined || recorded.has(nodeName)
      ? []
      : [{ name: nodeName, addresses: [...hostAddresses, ...(hostNetwork ? addresses : [])], podPrefixes: [] }],
  );
  return [...Map.groupBy<string, NodeRecord>([...records, ...fromPods], (record) => record.name)].map(([name, same]) => {
    const free = same.flatMap((record) => record.gateways ?? []).filter((address) => !podAddresses.has(address));
    const prefixes = same.flatMap((record) => record.podPrefixes);
    return {
      name,
      labels: same.find((record) => record.labels)?.labels ?? {},
      addresses: [...new Set([...same.flatMap((record) => record.addresses), ...free])],
      podPrefixes: [...new Map(prefixes.map((prefix) => [`${prefix.first}/${prefix.length}`, prefix])).values()],
    };
  });
}
