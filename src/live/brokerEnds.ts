import type { Owner, Pod } from "../cluster/objects.ts";
import type { ServiceIndex } from "../cluster/services.ts";
import type { ClusterTimeline } from "../cluster/timeline.ts";
import type { Address } from "../net/address.ts";
import { type Instant, secondsOf } from "../net/time.ts";
import type { TrafficRow } from "./brokerRows.ts";
import { addTo, append } from "./multimaps.ts";

/** What of the cluster the broker's rows are read with. */
export interface BrokerCluster {
  readonly pods: readonly Pod[];
  readonly timeline: ClusterTimeline;
  readonly serviceIndex: ServiceIndex;
}

/** One end of a row: the address, with the pod that the row names where the address alone would say something else. */
export interface End {
  readonly address: Address;
  readonly pod: string | undefined;
  readonly key: string;
}

/** Clocks of nodes differ a little, and one end sees a connection before the other. */
const SKEW_SECONDS = 2;

/** Says who the ends of rows are. */
export class Ends {
  readonly #timeline: ClusterTimeline;
  readonly #podsByName = new Map<string, Pod[]>();
  /** Addresses of which some row says otherwise than the cluster's objects, with the pods that it names: there every end carries its pod. */
  readonly #contested = new Map<Address, Set<string>>();
  /** Host-network pods, with when they were first seen to, by what they listen on: a row of the other end has only the node's address. */
  readonly #listeners = new Map<string, Map<string, number>>();
  readonly #hostPods: ReadonlySet<string>;

  constructor(rows: readonly TrafficRow[], { timeline, pods }: BrokerCluster) {
    this.#timeline = timeline;
    this.#hostPods = new Set(pods.filter(({ hostNetwork }) => hostNetwork).map(nameOf));
    for (const pod of pods) append(this.#podsByName, pod.name, pod);
    for (const row of rows) {
      const stated = this.stated(row);
      if (stated === undefined) continue;
      if (this.#hostPods.has(stated)) {
        if (row.isIngress) this.#addListener(row, stated);
        continue;
      }
      const owner = this.ownerOf(row.podAddress, row.time);
      if (owner.type !== "pod" || nameOf(owner.pod) !== stated) addTo(this.#contested, row.podAddress, stated);
    }
  }

  #addListener({ podAddress, protocol, podPort, time }: TrafficRow, pod: string): void {
    const key = `${podAddress} ${protocol} ${podPort}`;
    const listeners = this.#listeners.get(key) ?? new Map<string, number>();
    this.#listeners.set(key, listeners);
    listeners.set(pod, Math.min(time?.seconds ?? Number.POSITIVE_INFINITY, listeners.get(pod) ?? Number.POSITIVE_INFINITY));
  }

  /** Returns who listened at a moment: of pods that came one after the other, the latest that was there. */
  #listenerAt(key: string, time: Instant | undefined): string | undefined {
    const listeners = this.#listeners.get(key);
    if (listeners === undefined) return undefined;
    const sorted = [...listeners].sort(([a, since], [b, then]) => (since === then ? (a < b ? -1 : 1) : since - then));
    const until = (time?.seconds ?? Number.POSITIVE_INFINITY) + SKEW_SECONDS;
    return (sorted.findLast(([, since]) => since <= until) ?? sorted[0])[0];
  }

  /** Reports whether an address alone does not tell whose it was: then ends carry their pods. */
  #isAmbiguous(address: Address): boolean {
    return this.#contested.has(address) || this.#timeline.isReused(address);
  }

  ownerOf(address: Address, time: Instant | undefined): Owner {
    return this.#timeline.ownerAt(address, time === undefined ? null : secondsOf(time));
  }

  /**
   * Returns the pod that a row is about, as `namespace/name`. A name alone is not unique: it counts with the address. Where nobody has
   * both, the pod is none that is known, and above all not whoever has the address.
   */
  stated({ podName, podNamespace, podAddress, time }: TrafficRow): string | undefined {
    if (podName === undefined) return undefined;
    if (podNamespace !== undefined) return `${podNamespace}/${podName}`;
    const same = this.#podsByName.get(podName)?.filter(({ addresses }) => addresses.includes(podAddress)) ?? [];
    if (same.length === 1) return nameOf(same[0]);
    const owner = this.ownerOf(podAddress, time);
    return owner.type === "pod" && owner.pod.name === podName ? nameOf(owner.pod) : `?/${podName}`;
  }

  ownEnd(row: TrafficRow): End {
    const stated = this.stated(row);
    if (stated === undefined) return this.endOf(row.podAddress, row.time);
    const carries = this.#hostPods.has(stated) || this.#isAmbiguous(row.podAddress);
    return endAt(row.podAddress, carries ? stated : undefined);
  }

  /** Returns the end at an address of which the row says no more. A destination has the protocol and port that it listens on. */
  endOf(address: Address, time: Instant | undefined, listening?: { readonly protocol: number; readonly port: number }): End {
    const host = listening && this.#listenerAt(`${address} ${listening.protocol} ${listening.port}`, time);
    if (host !== undefined) return endAt(address, host);
    if (!this.#isAmbiguous(address)) return endAt(address, undefined);
    const owner = this.ownerOf(address, time);
    if (owner.type === "pod") return endAt(address, nameOf(owner.pod));
    // Nobody that the cluster knows had the address then, and one pod says of itself that it had.
    const [only, ...others] = this.#contested.get(address) ?? [];
    const isFree = owner.type === "unknown" || owner.type === "external";
    return endAt(address, isFree && others.length === 0 ? only : undefined);
  }

  /** Reports whether an address at its moment leads to the end's pod: of several pods of one name, in turn, to the right one. */
  isOwner({ address, pod }: End, time: Instant | undefined): boolean {
    if (time === undefined) return false;
    const owner = this.ownerOf(address, time);
    return owner.type === "pod" && nameOf(owner.pod) === pod;
  }

  /** Returns the pod of an end, where the cluster's objects hold it. */
  podOf({ address, pod }: End, time: Instant | undefined): Pod | undefined {
    if (pod !== undefined) return this.#podsByName.get(pod.slice(pod.indexOf("/") + 1))?.find((each) => nameOf(each) === pod);
    const owner = this.ownerOf(address, time);
    return owner.type === "pod" ? owner.pod : undefined;
  }
}

function nameOf({ namespace, name }: Pod): string {
  return `${namespace}/${name}`;
}

function endAt(address: Address, pod: string | undefined): End {
  return { address, pod, key: `${address} ${pod ?? ""}` };
}
