import type { Node, Pod } from "../cluster/objects.ts";
import type { Cluster } from "../cluster/snapshot.ts";
import { ownedKey } from "../cluster/workloads.ts";
import { type Address, isIPv4 } from "../net/address.ts";
import { compare } from "../net/order.ts";
import { makePrefix, type Prefix } from "../net/prefix.ts";
import { parseDuration } from "../net/time.ts";
import type { ProfileSpec, Replacement, Runs } from "./profile.ts";
import type { Random } from "./random.ts";
import type { PodSelector } from "./selections.ts";
import { parseSpan } from "./units.ts";

/** A pod that did not stand in the snapshot. */
export interface MadePod {
  readonly pod: Pod;
  /** The pod of the snapshot that it is made after. */
  readonly like: Pod;
  /** The pod whose place it takes; of a Job's run there is none. */
  readonly replaces: Pod | undefined;
}

/** The end of a pod, epoch seconds, whole ones as the API has them. */
export interface PodEnd {
  /** From when on it answers nobody and calls nobody. */
  readonly stopsSeconds: number;
  /** When it is gone and gives its addresses back. */
  readonly goneSeconds: number;
}

/** How the pods of a snapshot change while traffic goes on. */
export interface Changes {
  readonly made: readonly MadePod[];
  readonly ends: ReadonlyMap<Pod, PodEnd>;
  readonly warnings: readonly string[];
}

/** When a run begins and how long calls begin in it, in seconds. */
export interface Run {
  readonly startSeconds: number;
  readonly durationSeconds: number;
}

/** A new pod begins so long after the order to end the old one, and takes calls so long after it began. */
const START_SECONDS = 1;
export const READY_SECONDS = 2;
/** Between an address's two owners: more than clocks differ (cluster/timeline.ts). */
const HANDOVER_SECONDS = 3;
const GRACE_SECONDS = 30;
/** Addresses that are looked at for a free one: a range in which so many in a row are taken is as good as full. */
const MOST_LOOKS = 1024;
/** Pods that a run may make: a snapshot is held in memory. */
const MOST_MADE = 20_000;

/** Works out which pods end and begin in a run. Pure: nothing of the cluster is changed. */
export function planChanges(cluster: Cluster, spec: ProfileSpec, run: Run, select: PodSelector, random: Random): Changes {
  const planner = new Planner(cluster, run, random);
  for (const { replace, run: runs } of spec.events ?? []) {
    if (replace !== undefined) planner.replace(replace, select.living(replace.pods));
    if (runs !== undefined) planner.run(runs, select.all(runs.pods));
  }
  return planner;
}

class Planner implements Changes {
  readonly made: MadePod[] = [];
  readonly ends = new Map<Pod, PodEnd>();
  readonly warnings: string[] = [];
  readonly #run: Run;
  readonly #random: Random;
  readonly #nodes: ReadonlyMap<string, Node>;
  readonly #taken: Set<Address>;
  /** Addresses that were given back, in the order of when. */
  readonly #freed: { readonly pod: Pod; readonly goneSeconds: number }[] = [];

  constructor(cluster: Cluster, run: Run, random: Random) {
    this.#run = run;
    this.#random = random;
    this.#nodes = new Map(cluster.nodes.map((node) => [node.name, node]));
    this.#taken = new Set([...cluster.pods, ...cluster.nodes].flatMap(({ addresses }) => addresses));
  }

  /** Replaces pods one after the other, in an order that the seed gives. */
  replace({ at, length = "0s", share = 1, grace = `${GRACE_SECONDS}s`, reuseAddresses = false }: Replacement, pods: readonly Pod[]): void {
    const { startSeconds, durationSeconds } = this.#run;
    const chosen = shuffled(pods, this.#random).slice(0, Math.ceil(pods.length * share));
    if (chosen.length === 0) this.warnings.push("no pod of the snapshot is replaced: the event selects none that lives");
    const first = startSeconds + parseSpan(at, durationSeconds)!;
    const step = parseSpan(length, durationSeconds)! / chosen.length;
    const graceSeconds = Math.ceil(parseDuration(grace)!);
    for (const [i, pod] of chosen.entries()) {
      const stopsSeconds = Math.round(first + i * step);
      if (this.ends.has(pod)) continue;
      const goneSeconds = stopsSeconds + graceSeconds;
      // A StatefulSet's next pod has the name of the one before, and so waits for its end.
      const keepsName = pod.workload.kind === "StatefulSet";
      const begins = keepsName ? goneSeconds + HANDOVER_SECONDS : stopsSeconds + START_SECONDS;
      const place = (reuseAddresses ? this.#placeOf(pod, begins) : undefined) ?? this.#freshPlace(pod);
      if (place === undefined) {
        this.warnings.push(`pod ${pod.namespace}/${pod.name} is not replaced: there is no free address beside its own`);
        continue;
      }
      this.ends.set(pod, { stopsSeconds, goneSeconds });
      this.#freed.push({ pod, goneSeconds });
      this.#add(pod, pod, keepsName ? pod.name : this.#nameLike(pod), { ...place, startSeconds: begins, endSeconds: null });
    }
  }

  /** Makes a pod for each run of each Job. */
  run({ every, length }: Runs, pods: readonly Pod[]): void {
    const { startSeconds, durationSeconds } = this.#run;
    const everySeconds = Math.max(1, parseSpan(every, durationSeconds)!);
    const lengthSeconds = Math.max(1, Math.round(parseSpan(length, durationSeconds)!));
    const byWorkload = Map.groupBy(pods, ({ workload: { kind, namespace, name } }) => ownedKey(kind, namespace, name));
    if (byWorkload.size === 0) this.warnings.push("no Job is run: the event selects no pod of the snapshot");
    for (let at = 0; at < durationSeconds; at += everySeconds) {
      for (const [, [like]] of [...byWorkload].sort(([a], [b]) => compare(a, b))) {
        const place = this.#freshPlace(like);
        if (place === undefined || this.made.length >= MOST_MADE) {
          this.warnings.push(`not every run of ${like.namespace}/${like.workload.name} is made: addresses or memory would run out`);
          return;
        }
        const begins = Math.floor(startSeconds + at);
        const pod = this.#add(like, undefined, this.#nameLike(like), { ...place, startSeconds: begins, endSeconds: null });
        const stopsSeconds = begins + READY_SECONDS + lengthSeconds;
        this.ends.set(pod, { stopsSeconds, goneSeconds: stopsSeconds + GRACE_SECONDS });
      }
    }
  }

  #add(like: Pod, replaces: Pod | undefined, name: string, own: Pick<Pod, "addresses" | "nodeName" | "startSeconds" | "endSeconds">): Pod {
    const pod: Pod = { ...like, ...own, name, uid: this.#uid() };
    this.made.push({ pod, like, replaces });
    for (const address of pod.addresses) this.#taken.add(address);
    return pod;
  }

  /** The place of a pod that is gone by then: its addresses and its node, since addresses are a node's to give. */
  #placeOf(pod: Pod, seconds: number): Pick<Pod, "addresses" | "nodeName"> | undefined {
    const families = familiesOf(pod.addresses);
    const found = this.#freed.findIndex(
      (each) =>
        each.goneSeconds + HANDOVER_SECONDS <= seconds && each.pod.workload !== pod.workload && familiesOf(each.pod.addresses) === families,
    );
    if (found < 0) return undefined;
    const [{ pod: gone }] = this.#freed.splice(found, 1);
    return { addresses: gone.addresses, ...(gone.nodeName === undefined ? {} : { nodeName: gone.nodeName }) };
  }

  /** A place that nobody had, beside the pod's own: on the same node, of the same families. */
  #freshPlace({ addresses, nodeName }: Pod): Pick<Pod, "addresses" | "nodeName"> | undefined {
    const prefixes = (nodeName === undefined ? undefined : this.#nodes.get(nodeName))?.podPrefixes ?? [];
    const fresh = addresses.map((address) => {
      const family = isIPv4(address) ? 4 : 6;
      const own = prefixes.find((prefix) => prefix.family === family && address >= prefix.first && address <= prefix.last);
      return this.#freeIn(own ?? makePrefix(address, family === 4 ? 24 : 64, family));
    });
    if (fresh.some((address) => address === undefined)) return undefined;
    return { addresses: fresh as Address[], ...(nodeName === undefined ? {} : { nodeName }) };
  }

  /** The first address and the last of a prefix are nobody's, the second the gateway's. */
  #freeIn({ first, last }: Prefix): Address | undefined {
    const size = Number(last - first > 0xfffen ? 0xfffen : last - first) - 3;
    const offset = size > 0 ? this.#random.below(size) : 0;
    for (let i = 0; i < Math.min(size, MOST_LOOKS); i++) {
      const address = first + 3n + BigInt((offset + i) % size);
      if (!this.#taken.has(address)) return address;
    }
    return undefined;
  }

  /** Names as controllers make them: the owner's, and five characters of those that make no words (Kubernetes: util/rand). */
  #nameLike({ name }: Pod): string {
    const base = name.replace(/-[bcdfghjklmnpqrstvwxz2456789]{5}$/, "");
    return `${base}-${this.#letters(NAME_LETTERS, 5)}`;
  }

  #uid(): string {
    const hex = this.#letters("0123456789abcdef", 30);
    // A UUID of random numbers (RFC 9562 section 5.4): version 4, variant 10.
    return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-4${hex.slice(12, 15)}-a${hex.slice(15, 18)}-${hex.slice(18)}`;
  }

  #letters(alphabet: string, count: number): string {
    return Array.from({ length: count }, () => alphabet[this.#random.below(alphabet.length)]).join("");
  }
}

const NAME_LETTERS = "bcdfghjklmnpqrstvwxz2456789";

function familiesOf(addresses: readonly Address[]): string {
  return addresses.map((address) => (isIPv4(address) ? 4 : 6)).join();
}

/** Returns items in an order that the random numbers give (Fisher and Yates). */
export function shuffled<Item>(items: readonly Item[], random: Random): Item[] {
  const order = [...items];
  for (let i = order.length - 1; i > 0; i--) {
    const other = random.below(i + 1);
    [order[i], order[other]] = [order[other], order[i]];
  }
  return order;
}
