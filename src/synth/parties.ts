import type { Node, Pod } from "../cluster/objects.ts";
import type { Cluster } from "../cluster/snapshot.ts";
import { type Address, isIPv4 } from "../net/address.ts";
import { FIRST_EPHEMERAL_PORT } from "../net/clientPorts.ts";
import { formatPrefix, type Prefix, parsePrefix } from "../net/prefix.ts";
import { type Changes, READY_SECONDS } from "./changes.ts";
import type { External } from "./profile.ts";
import { hashText } from "./random.ts";
import { SECOND } from "./units.ts";

export type Family = 4 | 6;

/** Who takes part in traffic: a pod, a node, or somebody outside. Times are microseconds since 1970. */
export class Party {
  readonly addresses: Readonly<Partial<Record<Family, Address>>>;
  /** The family that it prefers: that of its first address. */
  readonly family: Family;
  readonly kind: "pod" | "node" | "outside";
  readonly pod: Pod | undefined;
  readonly nodeName: string | undefined;
  /** From when on it calls and is called. */
  readonly from: number;
  /** Until when it calls and answers. */
  readonly until: number;
  /** When its addresses are given back: nothing of it may come later. */
  readonly goneAt: number;
  /** Names that it has looked up, by the family that it asked for. */
  readonly known: Readonly<Record<Family, Set<string>>> = { 4: new Set(), 6: new Set() };
  readonly ports = new ClientPorts();
  /** Round trips to others, microseconds. */
  readonly roundTrips = new Map<Party, number>();

  constructor(who: {
    addresses: readonly Address[];
    kind: Party["kind"];
    pod?: Pod;
    nodeName?: string | undefined;
    from?: number;
    until?: number;
    goneAt?: number;
  }) {
    const { addresses } = who;
    const [v4, v6] = [addresses.find(isIPv4), addresses.find((address) => !isIPv4(address))];
    this.addresses = { ...(v4 === undefined ? {} : { 4: v4 }), ...(v6 === undefined ? {} : { 6: v6 }) };
    this.family = isIPv4(addresses[0]) ? 4 : 6;
    this.kind = who.kind;
    this.pod = who.pod;
    this.nodeName = who.nodeName;
    this.from = who.from ?? Number.NEGATIVE_INFINITY;
    this.until = who.until ?? Number.POSITIVE_INFINITY;
    this.goneAt = who.goneAt ?? Number.POSITIVE_INFINITY;
  }
}

/** The default range of clients' ports (Linux: net.ipv4.ip_local_port_range, 32768 to 60999). */
const CLIENT_PORTS = 60_999 - FIRST_EPHEMERAL_PORT + 1;
const SEGMENTS = 64;
const SEGMENT_PORTS = Math.floor(CLIENT_PORTS / SEGMENTS);
/** A port rests after a connection, so that no reader takes the next one for the same. */
const REST = 2 * SECOND;

/**
 * Gives a client's ports out in turn. A port comes again only when its last connection has ended: ports of a segment together, which
 * costs a number a segment, not one a port.
 */
export class ClientPorts {
  #next = 0;
  readonly #ends: number[] = [];

  /** Returns a port that is free at a moment, or -1. */
  take(now: number): number {
    const segment = Math.floor(this.#next / SEGMENT_PORTS);
    if (this.#next % SEGMENT_PORTS === 0) {
      const busyUntil = this.#ends[segment];
      if (busyUntil !== undefined && busyUntil + REST > now) return -1;
      this.#ends[segment] = now;
    }
    const port = FIRST_EPHEMERAL_PORT + this.#next;
    this.#next = (this.#next + 1) % (SEGMENT_PORTS * SEGMENTS);
    return port;
  }

  /** Says until when a port is in use. */
  occupy(port: number, until: number): void {
    const segment = Math.floor((port - FIRST_EPHEMERAL_PORT) / SEGMENT_PORTS);
    if (!(this.#ends[segment] >= until)) this.#ends[segment] = until;
  }
}

/** Addresses that documents and examples use (RFC 5737, RFC 3849), so that nobody real is called: of clients, and of hosts with names. */
const CLIENTS = ["203.0.113.0/25", "2001:db8:0:1::/64"];
const NAMED = ["203.0.113.128/25", "2001:db8:0:2::/64"];
const HOSTS = 50;
/** Addresses that are tried for one host where those before are the cluster's own: all of a small prefix, and of a larger one some all over it. */
const TRIES = 1024;
/** Steps over a large prefix: a prime. */
const STEP = 2_654_435_761n;

/** Makes the parties of a run, each once. */
export class Parties {
  /** Moments at which who lives changes, in order. */
  readonly changes: readonly number[];
  readonly #byPod = new Map<Pod, Party>();
  readonly #successors = new Map<Pod, Pod[]>();
  readonly #byNode = new Map<Node, Party>();
  /** By name and prefixes; undefined: every address of these is the cluster's own. */
  readonly #outside = new Map<string, Party | undefined>();
  readonly #outsideByAddresses = new Map<string, Party>();
  /** Prefixes without a free address: nobody looks there again. */
  readonly #full = new Set<string>();
  readonly #isOwned: (address: Address) => boolean;
  readonly #byAddress = new Map<Address, Party>();

  constructor(cluster: Cluster, { made, ends }: Changes, startSeconds: number) {
    const add = (pod: Pod, from: number | null) => {
      const end = ends.get(pod);
      const stops = end?.stopsSeconds ?? pod.endSeconds ?? Number.POSITIVE_INFINITY;
      const party = new Party({
        addresses: pod.addresses,
        kind: "pod",
        pod,
        nodeName: pod.nodeName,
        from: (from ?? Number.NEGATIVE_INFINITY) * SECOND,
        until: stops * SECOND,
        goneAt: (end?.goneSeconds ?? pod.endSeconds ?? Number.POSITIVE_INFINITY) * SECOND,
      });
      this.#byPod.set(pod, party);
      return party;
    };
    for (const node of cluster.nodes) {
      if (node.addresses.length === 0) continue;
      const party = new Party({ addresses: node.addresses, kind: "node", nodeName: node.name });
      this.#byNode.set(node, party);
      for (const address of node.addresses) this.#byAddress.set(address, party);
    }
    for (const pod of cluster.pods) {
      if (pod.hostNetwork || pod.addresses.length === 0) continue;
      const party = add(pod, pod.startSeconds);
      if ((pod.startSeconds ?? 0) > startSeconds || (pod.endSeconds ?? Number.POSITIVE_INFINITY) <= startSeconds) continue;
      for (const address of pod.addresses) this.#byAddress.set(address, party);
    }
    for (const { pod, like, replaces } of made) {
      add(pod, pod.startSeconds! + READY_SECONDS);
      const origin = replaces ?? like;
      this.#successors.set(origin, [...(this.#successors.get(origin) ?? []), pod]);
    }
    const madeAddresses = new Set(made.flatMap(({ pod }) => pod.addresses));
    this.#isOwned = (address) => madeAddresses.has(address) || cluster.timeline.ownerAt(address, null).type !== "external";
    const moments = [...this.#byPod.values()].flatMap(({ from, until, goneAt }) => [from, until, until + DRAIN, goneAt]);
    this.changes = [...new Set(moments.filter(Number.isFinite))].sort((a, b) => a - b);
  }

  /** Returns pods and whoever takes their places. */
  ofPods(pods: readonly Pod[]): readonly Party[] {
    return pods.flatMap((pod) => [pod, ...(this.#successors.get(pod) ?? [])]).flatMap((pod) => this.#byPod.get(pod) ?? []);
  }

  ofNodes(nodes: readonly Node[]): readonly Party[] {
    return nodes.flatMap((node) => this.#byNode.get(node) ?? []);
  }

  /** Returns the pod that has an address when the run begins with whoever takes its place, or the node that has it. */
  at(address: Address): readonly Party[] {
    const party = this.#byAddress.get(address);
    if (party === undefined) return [];
    return party.pod === undefined ? [party] : this.ofPods([party.pod]);
  }

  /** Returns hosts outside, as many as there are names, else as are asked for; none where every address is the cluster's own. */
  outside({ cidrs, names, hosts = HOSTS }: External): readonly Party[] {
    if (names !== undefined && names.length > 0) return names.flatMap((name) => this.named(name, cidrs) ?? []);
    return Array.from({ length: hosts }, (_, i) => this.#host(String(i), i, cidrs ?? CLIENTS)).filter((host) => host !== undefined);
  }

  /** Returns the host of a name, whose addresses hang on the name and the cluster alone. undefined: every address is the cluster's own. */
  named(name: string, cidrs: readonly string[] = NAMED): Party | undefined {
    return this.#host(name, hashText(name), cidrs);
  }

  #host(label: string, number: number, cidrs: readonly string[]): Party | undefined {
    const key = `${label} ${cidrs.join()}`;
    if (this.#outside.has(key)) return this.#outside.get(key);
    const prefixes = cidrs.map((cidr) => parsePrefix(cidr)!);
    const addresses = ([4, 6] as const).flatMap((family) => {
      const own = prefixes.filter((prefix) => prefix.family === family);
      // Where one prefix is all the cluster's, the next one has the host.
      for (let i = 0; i < own.length; i++) {
        const found = this.#freeAddress(own[(number + i) % own.length], number);
        if (found !== undefined) return [found];
      }
      return [];
    });
    const party = addresses.length === 0 ? undefined : this.#atAddresses(addresses);
    this.#outside.set(key, party);
    return party;
  }

  /** Two hosts of one address are one: else both would give out its ports. */
  #atAddresses(addresses: readonly Address[]): Party {
    const key = addresses.join();
    const known = this.#outsideByAddresses.get(key);
    if (known !== undefined) return known;
    const party = new Party({ addresses, kind: "outside" });
    this.#outsideByAddresses.set(key, party);
    return party;
  }

  #freeAddress(prefix: Prefix, number: number): Address | undefined {
    const name = formatPrefix(prefix);
    if (this.#full.has(name)) return undefined;
    const { first, last } = prefix;
    const size = last - first;
    // The first address and the last name the network and everybody on it.
    const [least, count] = size < 3n ? [first, size + 1n] : [first + 1n, size - 1n];
    const step = count <= TRIES ? 1n : STEP;
    for (let i = 0; i < TRIES && i < count; i++) {
      const address = least + ((BigInt(number) + BigInt(i) * step) % count);
      if (!this.#isOwned(address)) return address;
    }
    this.#full.add(name);
    return undefined;
  }
}

/** For so long a Service still sends calls to a pod that has stopped: until its end has come round to all nodes. */
export const DRAIN = 2 * SECOND;

/** Some parties, and who of them is there at a moment. Moments must not go back. */
export class Group {
  readonly parties: readonly Party[];
  readonly #changes: readonly number[];
  readonly #drain: number;
  #latest = 0;
  #validUntil = Number.NEGATIVE_INFINITY;
  #all: readonly Party[] = [];
  #byFamily: Readonly<Record<Family, readonly Party[]>> = { 4: [], 6: [] };

  /** `drain`: how long after its end a party is still called, microseconds. */
  constructor(parties: readonly Party[], changes: readonly number[], drain = 0) {
    this.parties = [...new Set(parties)];
    this.#changes = changes;
    this.#drain = drain;
  }

  at(now: number): readonly Party[] {
    this.#advance(now);
    return this.#all;
  }

  ofFamily(now: number, family: Family): readonly Party[] {
    this.#advance(now);
    return this.#byFamily[family];
  }

  #advance(now: number): void {
    if (now < this.#validUntil) return;
    const changes = this.#changes;
    while (this.#latest < changes.length && changes[this.#latest] <= now) this.#latest++;
    this.#validUntil = changes[this.#latest] ?? Number.POSITIVE_INFINITY;
    this.#all = this.parties.filter(({ from, until }) => from <= now && now < until + this.#drain);
    this.#byFamily = {
      4: this.#all.filter((party) => party.addresses[4] !== undefined),
      6: this.#all.filter((party) => party.addresses[6] !== undefined),
    };
  }
}
