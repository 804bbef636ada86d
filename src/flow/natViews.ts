import { hasPorts, TCP } from "../net/protocol.ts";
import type { Directions, Surroundings } from "./direction.ts";
import { type FlowRows, HAS_ISN, ISN, KIND, LOGGED, NO_SOURCE_PORT, STATE, UNTIMED } from "./flowRows.ts";
import { TupleTable } from "./tupleTable.ts";

/** Views of one connection begin together: translation takes microseconds, clocks of merged captures differ by more. */
const TOGETHER_SECONDS = 1;

const MASQUERADE_SECONDS = 0.1;

/** Stands for the client of a port that several dial from. */
const SEVERAL = -1;

/** What a row's ends are, as far as joining asks. */
const DIALLED = 1; // the responder's address and port are translated to a backend
const JOINED = 4; // another view of the connection was found
const FROM_NODE = 2; // the initiator's address is a node's: perhaps a pod or a client hidden by source NAT

/**
 * Finds rows that are views of one connection before and after address translation (semantics 3 and 4), and returns for each row
 * the row that stands for its group. `flags` tells dialled rows and rows from nodes.
 */
export class NatViews {
  readonly #parent: Int32Array;
  /** The client of a group by its root; -1: only nodes' rows so far. */
  readonly #sources = new Map<number, number>();
  readonly flags: Uint8Array;
  /** Rows that were not compared with others, since too many shared a socket or sequence number. */
  leftOut = 0;

  constructor(table: FlowRows, directions: Directions, surroundings: Surroundings) {
    this.#parent = new Int32Array(table.size);
    for (let row = 0; row < table.size; row++) this.#parent[row] = row;
    this.flags = new Uint8Array(table.size);
    const needy = this.#findNeedy(table, directions, surroundings);
    if (needy.length > 0) this.#join(table, directions, surroundings, needy);
  }

  /** Returns the row that stands for a row's connection; its own number where no other view was found. */
  rootOf(row: number): number {
    const parent = this.#parent;
    while (parent[row] !== row) {
      parent[row] = parent[parent[row]];
      row = parent[row];
    }
    return row;
  }

  /** Reports whether no other view of a row's connection was found. */
  isAlone(row: number): boolean {
    return (this.flags[row] & JOINED) === 0;
  }

  /** Returns the rows of every connection with several views, by the row that stands for it. */
  groups(): ReadonlyMap<number, readonly number[]> {
    const groups = new Map<number, number[]>();
    for (let row = 0; row < this.#parent.length; row++) {
      const root = this.isAlone(row) ? row : this.rootOf(row);
      if (root === row) continue;
      const group = groups.get(root);
      if (group === undefined) groups.set(root, [root, row]);
      else group.push(row);
    }
    return groups;
  }

  #findNeedy(table: FlowRows, directions: Directions, surroundings: Surroundings): number[] {
    const needy: number[] = [];
    const nodes = new OwnerKinds(table, surroundings);
    const targets = new Targets(table, surroundings);
    for (let row = 0; row < table.size; row++) {
      const kind = table.get(row, KIND);
      const protocol = kind & 255;
      if (!hasPorts(protocol)) continue;
      const initiator = directions.initiator[row];
      const target = table.addressId(row, 1 - initiator);
      const isDialled = targets.isDialled(target, protocol, table.portOf(row, 1 - initiator));
      const flags = (isDialled ? DIALLED : 0) | (nodes.isNode(table.addressId(row, initiator)) ? FROM_NODE : 0);
      if (flags === 0) continue;
      this.flags[row] = flags;
      if ((kind & NO_SOURCE_PORT) === 0) needy.push(row);
    }
    return needy;
  }

  isDialled(row: number): boolean {
    return (this.flags[row] & DIALLED) !== 0;
  }

  isFromNode(row: number): boolean {
    return (this.flags[row] & FROM_NODE) !== 0;
  }

  #join(table: FlowRows, directions: Directions, surroundings: Surroundings, needy: readonly number[]): void {
    const buckets = KEY_KINDS.map((kind) => new Buckets(table, directions, this.flags, kind));
    const wanted = new WantedTraits(table, directions);
    for (const row of needy) {
      wanted.want(row);
      for (const bucket of buckets) bucket.want(row);
    }
    for (let row = 0; row < table.size; row++) {
      const kind = table.get(row, KIND);
      // What others are joined with is the view after translation: never a dialled one.
      if (!hasPorts(kind & 255) || (kind & NO_SOURCE_PORT) !== 0 || this.isDialled(row) || !wanted.mayBe(row)) continue;
      for (let k = 0; k < buckets.length; k++) buckets[k].add(row);
    }
    const clients = clientsByPort(
      table,
      directions,
      needy.filter((row) => this.isDialled(row)),
    );
    for (const row of needy) {
      const views: number[] = [];
      for (let k = 0; k < buckets.length; k++) {
        const bucket = buckets[k];
        for (let at = bucket.first(row); at >= 0; at = bucket.next(at)) {
          const other = bucket.row(at);
          if (other !== row && this.#areViews(table, directions, surroundings, row, other) && !views.includes(other)) views.push(other);
        }
      }
      if (views.length === 0) continue;
      // Several pods behind one node can use one port (NTP's 123): without a sequence number none of them is known to be this one.
      if (this.isFromNode(row) && !hasIsn(table, row) && severalSources(table, directions, views)) continue;
      // Logs have no sequence numbers, and nodes do not masquerade what goes straight to a pod: these are two connections.
      if (
        this.isFromNode(row) &&
        isLogged(table, row) &&
        endsAtPod(table, directions, surroundings, row) &&
        !views.some((other) => this.isDialled(other))
      )
        continue;
      // Translation leads to one backend and comes from one client: of several rows that could be it, the one that began next.
      const same = views.filter((other) => sharesSocket(table, directions, row, other));
      const others = views.filter((other) => !sharesSocket(table, directions, row, other));
      if (same.length > 0) this.#unite(table, directions, row, closest(table, row, same));
      // Two clients that dial from one port: which of them a node's row hides is not known without a sequence number.
      const isSure = hasIsn(table, row) || !this.isDialled(row) || clients.get(portKey(table, directions, row)) !== SEVERAL;
      if (others.length > 0 && isSure) this.#unite(table, directions, row, closest(table, row, others));
    }
    this.leftOut = buckets.reduce((sum, bucket) => sum + bucket.leftOut, 0);
  }

  /** Reports whether `other` shows the same connection as `row` beyond a translation. */
  #areViews(table: FlowRows, directions: Directions, surroundings: Surroundings, row: number, other: number): boolean {
    if ((table.get(row, KIND) & 255) !== (table.get(other, KIND) & 255) || !overlap(table, row, other)) return false;
    const bothIsn = hasIsn(table, row) && hasIsn(table, other);
    if (bothIsn && table.get(row, ISN) !== table.get(other, ISN)) return false;
    const [x, y] = [directions.initiator[row], directions.initiator[other]];
    const sameSource = table.endId(row, x) === table.endId(other, y);
    const samePort = table.portOf(row, x) === table.portOf(other, y);
    const sameTarget = table.endId(row, 1 - x) === table.endId(other, 1 - y) && table.portOf(row, 1 - x) === table.portOf(other, 1 - y);
    // One client socket: translated destination.
    if (sameSource && samePort)
      return this.isDialled(row) && !sameTarget && this.#leadsTo(table, directions, surroundings, row, other, bothIsn);
    // One target: translated source. The sequence number proves it, else the kept port.
    if (sameTarget) return this.isFromNode(row) && !this.isFromNode(other) && (bothIsn || (samePort && beginTogether(table, row, other)));
    // Both ends translated: a node port or load balancer with masquerade.
    return (
      (bothIsn || samePort) &&
      this.isDialled(row) &&
      this.isFromNode(other) &&
      this.#leadsTo(table, directions, surroundings, row, other, bothIsn)
    );
  }

  #leadsTo(table: FlowRows, directions: Directions, surroundings: Surroundings, dialled: number, other: number, bothIsn: boolean): boolean {
    if (this.isDialled(other)) return false;
    const [x, y] = [directions.initiator[dialled], directions.initiator[other]];
    const addresses = table.addresses;
    // With equal sequence numbers the backend may have changed since the snapshot, its port has not.
    return (bothIsn ? surroundings.leadsToPort : surroundings.leadsTo)(
      addresses.addressOf(table.addressId(dialled, 1 - x)),
      table.get(dialled, KIND) & 255,
      table.portOf(dialled, 1 - x),
      addresses.addressOf(table.addressId(other, 1 - y)),
      table.portOf(other, 1 - y),
    );
  }

  /** Makes a row that another reporter made of a connection one of its views. */
  join(row: number, copy: number): void {
    const [a, b] = [this.rootOf(row), this.rootOf(copy)];
    this.#parent[Math.max(a, b)] = Math.min(a, b);
    this.flags[row] |= JOINED;
    this.flags[copy] |= JOINED;
  }

  #unite(table: FlowRows, directions: Directions, row: number, other: number): void {
    const [a, b] = [this.rootOf(row), this.rootOf(other)];
    if (a === b) return;
    // Two clients are two connections, whatever node's row could be the other view of both.
    const source = (root: number, member: number) =>
      this.#sources.get(root) ?? (this.isFromNode(member) ? -1 : table.endId(member, directions.initiator[member]));
    const [x, y] = [source(a, row), source(b, other)];
    if (x >= 0 && y >= 0 && x !== y) return;
    this.#sources.set(Math.min(a, b), Math.max(x, y));
    // The earlier row stands for the group.
    this.#parent[Math.max(a, b)] = Math.min(a, b);
    this.flags[row] |= JOINED;
    this.flags[other] |= JOINED;
  }
}

function portKey(table: FlowRows, directions: Directions, row: number): number {
  return table.portOf(row, directions.initiator[row]) * 256 + (table.get(row, KIND) & 255);
}

/** Returns the client (address-table id) that dials from each source port; SEVERAL where there are more. */
function clientsByPort(table: FlowRows, directions: Directions, rows: readonly number[]): ReadonlyMap<number, number> {
  const clients = new Map<number, number>();
  for (const row of rows) {
    const key = portKey(table, directions, row);
    const client = table.endId(row, directions.initiator[row]);
    clients.set(key, (clients.get(key) ?? client) === client ? client : SEVERAL);
  }
  return clients;
}

function sharesSocket(table: FlowRows, directions: Directions, row: number, other: number): boolean {
  const [x, y] = [directions.initiator[row], directions.initiator[other]];
  return table.endId(row, x) === table.endId(other, y) && table.portOf(row, x) === table.portOf(other, y);
}

function startOf(table: FlowRows, row: number): number {
  return table.firstSeconds(row) + table.firstNanoseconds(row) * 1e-9;
}

function closest(table: FlowRows, row: number, others: readonly number[]): number {
  const distance = (other: number) => Math.abs(startOf(table, other) - startOf(table, row));
  return others.reduce((best, other) => (distance(other) < distance(best) ? other : best));
}

/** Masquerade takes microseconds: a port that two sockets happen to share is used at other times. */
function beginTogether(table: FlowRows, row: number, other: number): boolean {
  return Math.abs(startOf(table, row) - startOf(table, other)) <= MASQUERADE_SECONDS;
}

function severalSources(table: FlowRows, directions: Directions, rows: readonly number[]): boolean {
  const sources = new Set(rows.map((row) => table.endId(row, directions.initiator[row])));
  return sources.size > 1;
}

function hasIsn(table: FlowRows, row: number): boolean {
  return (table.get(row, STATE) & HAS_ISN) !== 0 && (table.get(row, KIND) & 255) === TCP;
}

/** What rows that may be views of one connection share. */
const BY_CLIENT = 0; // one client socket
const BY_TARGET = 1; // one target, from one source port
const BY_SEQUENCE = 2; // one initial sequence number, which translation keeps
const BY_NODE_PORT = 3; // a dialled port on one side, a masquerading node on the other: what they share is the source port
type KeyKind = typeof BY_CLIENT | typeof BY_TARGET | typeof BY_SEQUENCE | typeof BY_NODE_PORT;
const KEY_KINDS: readonly KeyKind[] = [BY_CLIENT, BY_TARGET, BY_SEQUENCE, BY_NODE_PORT];

/**
 * Source ports and sequence numbers of rows in need: every kind of key has one of them, so that most other rows are seen to
 * match none of them without a look into any bucket.
 */
class WantedTraits {
  readonly #table: FlowRows;
  readonly #directions: Directions;
  readonly #ports = new Uint8Array(1 << 16);
  /** By the low bits of the sequence number. */
  readonly #sequences = new Uint8Array(1 << 16);

  constructor(table: FlowRows, directions: Directions) {
    this.#table = table;
    this.#directions = directions;
  }

  want(row: number): void {
    this.#ports[this.#table.portOf(row, this.#directions.initiator[row])] = 1;
    if (hasIsn(this.#table, row)) this.#sequences[this.#table.get(row, ISN) & 0xffff] = 1;
  }

  mayBe(row: number): boolean {
    if (this.#ports[this.#table.portOf(row, this.#directions.initiator[row])] === 1) return true;
    return this.#sequences[this.#table.get(row, ISN) & 0xffff] === 1 && hasIsn(this.#table, row);
  }
}

/** Which addresses are nodes' own, each asked for once. */
class OwnerKinds {
  readonly #table: FlowRows;
  readonly #surroundings: Surroundings;
  /** By address-table id: 0 not asked yet, 1 a node, 2 not. */
  readonly #known: Uint8Array;

  constructor(table: FlowRows, surroundings: Surroundings) {
    this.#table = table;
    this.#surroundings = surroundings;
    if (table.size > 0) table.addressId(0, 0); // gives every row's addresses their ids
    this.#known = new Uint8Array(table.addresses.size);
  }

  isNode(id: number): boolean {
    if (this.#known[id] === 0) this.#known[id] = this.#surroundings.ownerKind(this.#table.addresses.addressOf(id), null) === "node" ? 1 : 2;
    return this.#known[id] === 1;
  }
}

/** Which addresses and ports are translated to backends, each asked for once. */
class Targets {
  readonly #table: FlowRows;
  readonly #surroundings: Surroundings;
  readonly #tuples = new TupleTable(2);
  readonly #known: boolean[] = [];
  /** By address-table id, what was asked for last, since most servers have one port; and the answer. */
  readonly #latest: Int32Array;
  readonly #answers: Uint8Array;

  constructor(table: FlowRows, surroundings: Surroundings) {
    this.#table = table;
    this.#surroundings = surroundings;
    this.#latest = new Int32Array(table.addresses.size).fill(-1);
    this.#answers = new Uint8Array(table.addresses.size);
  }

  isDialled(id: number, protocol: number, port: number): boolean {
    const end = (protocol << 16) | port;
    if (this.#latest[id] !== end) {
      this.#latest[id] = end;
      this.#answers[id] = this.#find(id, end) ? 1 : 0;
    }
    return this.#answers[id] === 1;
  }

  #find(id: number, end: number): boolean {
    this.#tuples.key[0] = id;
    this.#tuples.key[1] = end;
    const target = this.#tuples.intern();
    if (target === this.#known.length)
      this.#known.push(this.#surroundings.isDialled(this.#table.addresses.addressOf(id), end >>> 16, end & 0xffff));
    return this.#known[target];
  }
}

/** More rows under one key than honest traffic has: comparing each with each would let a crafted capture take forever. */
const MAX_BUCKET = 64;

/** Rows by a key, for those keys only that a row in need asks for. */
class Buckets {
  readonly #table: FlowRows;
  readonly #directions: Directions;
  readonly #flags: Uint8Array;
  readonly #kind: KeyKind;
  readonly #tuples = new TupleTable(3);
  /** By key: how many rows it has, the first and the last of them as places in `#rows`. */
  readonly #counts: number[] = [];
  readonly #firsts: number[] = [];
  readonly #lasts: number[] = [];
  /** The rows of all keys, and where the next one of the same key stands; -1: nowhere. A list a key took ten times the memory. */
  readonly #rows: number[] = [];
  readonly #next: number[] = [];
  leftOut = 0;

  constructor(table: FlowRows, directions: Directions, flags: Uint8Array, kind: KeyKind) {
    this.#table = table;
    this.#directions = directions;
    this.#flags = flags;
    this.#kind = kind;
  }

  want(row: number): void {
    if (!this.#fill(row, true) || this.#tuples.intern() < this.#counts.length) return;
    this.#counts.push(0);
    this.#firsts.push(-1);
    this.#lasts.push(-1);
  }

  add(row: number): void {
    if (!this.#fill(row, false)) return;
    const id = this.#tuples.find();
    if (id < 0) return;
    if (this.#counts[id] >= MAX_BUCKET) {
      this.leftOut++;
      return;
    }
    const at = this.#rows.push(row) - 1;
    this.#next.push(-1);
    if (this.#counts[id]++ === 0) this.#firsts[id] = at;
    else this.#next[this.#lasts[id]] = at;
    this.#lasts[id] = at;
  }

  /** Returns the place of the first row that a row in need is to be compared with, or -1. */
  first(row: number): number {
    if (!this.#fill(row, true)) return -1;
    const id = this.#tuples.find();
    return id < 0 ? -1 : this.#firsts[id];
  }

  /** Returns the place after a place, or -1. */
  next(at: number): number {
    return this.#next[at];
  }

  row(at: number): number {
    return this.#rows[at];
  }

  /** Makes the key of a row, wanted or offered; reports false where it has none of this kind. */
  #fill(row: number, wanted: boolean): boolean {
    const table = this.#table;
    const { key } = this.#tuples;
    const initiator = this.#directions.initiator[row];
    key[1] = 0;
    key[2] = table.get(row, KIND) & 255;
    switch (this.#kind) {
      case BY_CLIENT:
        key[0] = table.endId(row, initiator);
        key[1] = table.portOf(row, initiator);
        return !wanted || (this.#flags[row] & DIALLED) !== 0;
      case BY_TARGET:
        key[0] = table.endId(row, 1 - initiator);
        key[1] = (table.portOf(row, initiator) << 16) | table.portOf(row, 1 - initiator);
        return !wanted || (this.#flags[row] & FROM_NODE) !== 0;
      case BY_SEQUENCE:
        key[0] = table.get(row, ISN);
        return hasIsn(table, row);
      case BY_NODE_PORT:
        key[0] = table.portOf(row, initiator);
        return (this.#flags[row] & (wanted ? DIALLED : FROM_NODE)) !== 0;
    }
  }
}

function overlap(table: FlowRows, row: number, other: number): boolean {
  // A log without times may tell of any.
  if (((table.get(row, STATE) | table.get(other, STATE)) & UNTIMED) !== 0) return true;
  const start = (r: number) => table.firstSeconds(r) + table.firstNanoseconds(r) * 1e-9;
  const end = (r: number) => table.lastSeconds(r) + table.lastNanoseconds(r) * 1e-9;
  return start(row) <= end(other) + TOGETHER_SECONDS && start(other) <= end(row) + TOGETHER_SECONDS;
}

function isLogged(table: FlowRows, row: number): boolean {
  return (table.get(row, KIND) & LOGGED) !== 0;
}

function endsAtPod(table: FlowRows, { initiator }: Directions, surroundings: Surroundings, row: number): boolean {
  return surroundings.ownerKind(table.addresses.addressOf(table.addressId(row, 1 - initiator[row])), table.firstSeconds(row)) === "pod";
}
