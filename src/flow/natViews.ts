import { TCP } from "../net/protocol.ts";
import { type FlowRows, HAS_ISN, ISN, KIND, LOGGED, STATE, UNTIMED } from "./flowRows.ts";
import type { Joining, Surroundings, WantedTraits } from "./joining.ts";
import { TupleTable } from "./tupleTable.ts";

/** Views of one connection begin together: translation takes microseconds, clocks of merged captures differ by more. */
const TOGETHER_SECONDS = 1;

const MASQUERADE_SECONDS = 0.1;

/** Stands for the client of a port that several dial from. */
const SEVERAL = -1;

/** Finds rows that are views of one connection before and after address translation (semantics 3 and 4). */
export class NatViews {
  /** By row, the row that it was joined to plus one; 0: none. */
  readonly #parents: Int32Array;
  /** The client of a group by its root; -1: only nodes' rows so far. */
  readonly #sources = new Map<number, number>();
  readonly #joining: Joining;
  #isAnyJoined = false;
  /** Rows that were not compared with others, since too many shared a socket or sequence number. */
  leftOut = 0;

  constructor(joining: Joining, surroundings: Surroundings) {
    this.#joining = joining;
    this.#parents = new Int32Array(joining.table.size);
    const needy = joining.findNeedy();
    if (needy.length > 0) this.#join(joining.table, joining, surroundings, needy);
  }

  /** Returns the row that stands for a row's connection, its first; its own number where no other view was found. */
  rootOf(row: number): number {
    const parents = this.#parents;
    while (parents[row] !== 0) {
      const parent = parents[row] - 1;
      if (parents[parent] !== 0) parents[row] = parents[parent];
      row = parent;
    }
    return row;
  }

  /** Returns the rows of every connection with several views, in the order of their first ones: how many they are, and the rows. */
  groups(): number[] {
    if (!this.#isAnyJoined) return [];
    const groups = new Map<number, number[]>();
    for (let row = 0; row < this.#parents.length; row++) {
      if (!this.#joining.isJoined(row)) continue;
      const root = this.rootOf(row);
      // The first one comes first.
      if (root === row) groups.set(root, [row]);
      else groups.get(root)!.push(row);
    }
    return [...groups.values()].flatMap((rows) => [rows.length, ...rows]);
  }

  #join(table: FlowRows, joining: Joining, surroundings: Surroundings, needy: Int32Array): void {
    const buckets = KEY_KINDS.map((kind) => new Buckets(table, joining, kind));
    const wanted = joining.wantNone();
    for (const row of needy) {
      want(wanted, table, joining, row);
      for (const bucket of buckets) bucket.want(row);
    }
    for (const row of joining.findTranslated(wanted)) for (const bucket of buckets) bucket.add(row);
    const clients = clientsByPort(
      table,
      joining,
      needy.filter((row) => joining.isDialled(row)),
    );
    for (const row of needy) {
      const views: number[] = [];
      for (let k = 0; k < buckets.length; k++) {
        const bucket = buckets[k];
        for (let at = bucket.first(row); at >= 0; at = bucket.next(at)) {
          const other = bucket.row(at);
          if (other !== row && this.#areViews(table, joining, surroundings, row, other) && !views.includes(other)) views.push(other);
        }
      }
      if (views.length === 0) continue;
      // Several pods behind one node can use one port (NTP's 123): without a sequence number none of them is known to be this one.
      if (joining.isFromNode(row) && !hasIsn(table, row) && severalSources(table, joining, views)) continue;
      // Logs have no sequence numbers, and nodes do not masquerade what goes straight to a pod: these are two connections.
      if (
        joining.isFromNode(row) &&
        isLogged(table, row) &&
        endsAtPod(table, joining, surroundings, row) &&
        !views.some((other) => joining.isDialled(other))
      )
        continue;
      // Translation leads to one backend and comes from one client: of several rows that could be it, the one that began next.
      const same = views.filter((other) => sharesSocket(table, joining, row, other));
      const others = views.filter((other) => !sharesSocket(table, joining, row, other));
      if (same.length > 0) this.#unite(table, joining, row, closest(table, row, same));
      // Two clients that dial from one port: which of them a node's row hides is not known without a sequence number.
      const isSure = hasIsn(table, row) || !joining.isDialled(row) || clients.get(portKey(table, joining, row)) !== SEVERAL;
      if (others.length > 0 && isSure) this.#unite(table, joining, row, closest(table, row, others));
    }
    this.leftOut = buckets.reduce((sum, bucket) => sum + bucket.leftOut, 0);
  }

  /** Reports whether `other` shows the same connection as `row` beyond a translation. */
  #areViews(table: FlowRows, joining: Joining, surroundings: Surroundings, row: number, other: number): boolean {
    if ((table.get(row, KIND) & 255) !== (table.get(other, KIND) & 255) || !overlap(table, row, other)) return false;
    const bothIsn = hasIsn(table, row) && hasIsn(table, other);
    if (bothIsn && table.get(row, ISN) !== table.get(other, ISN)) return false;
    const [x, y] = [joining.initiator[row], joining.initiator[other]];
    const sameSource = table.endId(row, x) === table.endId(other, y);
    const samePort = table.portOf(row, x) === table.portOf(other, y);
    const sameTarget = table.endId(row, 1 - x) === table.endId(other, 1 - y) && table.portOf(row, 1 - x) === table.portOf(other, 1 - y);
    // One client socket: translated destination.
    if (sameSource && samePort)
      return joining.isDialled(row) && !sameTarget && this.#leadsTo(table, joining, surroundings, row, other, bothIsn);
    // One target: translated source. The sequence number proves it, else the kept port.
    if (sameTarget)
      return joining.isFromNode(row) && !joining.isFromNode(other) && (bothIsn || (samePort && beginTogether(table, row, other)));
    // Both ends translated: a node port or load balancer with masquerade.
    return (
      (bothIsn || samePort) &&
      joining.isDialled(row) &&
      joining.isFromNode(other) &&
      this.#leadsTo(table, joining, surroundings, row, other, bothIsn)
    );
  }

  #leadsTo(table: FlowRows, joining: Joining, surroundings: Surroundings, dialled: number, other: number, bothIsn: boolean): boolean {
    if (joining.isDialled(other)) return false;
    const [x, y] = [joining.initiator[dialled], joining.initiator[other]];
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
    this.#link(this.rootOf(row), this.rootOf(copy));
    this.#joining.markJoined(row);
    this.#joining.markJoined(copy);
  }

  /** Makes the earlier of two rows stand for the other's connection too. */
  #link(a: number, b: number): void {
    if (a !== b) this.#parents[Math.max(a, b)] = Math.min(a, b) + 1;
    this.#isAnyJoined = true;
  }

  #unite(table: FlowRows, joining: Joining, row: number, other: number): void {
    const [a, b] = [this.rootOf(row), this.rootOf(other)];
    if (a === b) return;
    // Two clients are two connections, whatever node's row could be the other view of both.
    const source = (root: number, member: number) =>
      this.#sources.get(root) ?? (joining.isFromNode(member) ? -1 : table.endId(member, joining.initiator[member]));
    const [x, y] = [source(a, row), source(b, other)];
    if (x >= 0 && y >= 0 && x !== y) return;
    this.#sources.set(Math.min(a, b), Math.max(x, y));
    this.#link(a, b);
    joining.markJoined(row);
    joining.markJoined(other);
  }
}

function portKey(table: FlowRows, joining: Joining, row: number): number {
  return table.portOf(row, joining.initiator[row]) * 256 + (table.get(row, KIND) & 255);
}

/** Returns the client (address-table id) that dials from each source port; SEVERAL where there are more. */
function clientsByPort(table: FlowRows, joining: Joining, rows: Int32Array): ReadonlyMap<number, number> {
  const clients = new Map<number, number>();
  for (const row of rows) {
    const key = portKey(table, joining, row);
    const client = table.endId(row, joining.initiator[row]);
    clients.set(key, (clients.get(key) ?? client) === client ? client : SEVERAL);
  }
  return clients;
}

function sharesSocket(table: FlowRows, joining: Joining, row: number, other: number): boolean {
  const [x, y] = [joining.initiator[row], joining.initiator[other]];
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

function severalSources(table: FlowRows, joining: Joining, rows: readonly number[]): boolean {
  const sources = new Set(rows.map((row) => table.endId(row, joining.initiator[row])));
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

/** Every kind of key has one of these, so that most other rows are seen to match none of them without a look into any bucket. */
function want({ ports, sequences }: WantedTraits, table: FlowRows, { initiator }: Joining, row: number): void {
  ports[table.portOf(row, initiator[row])] = 1;
  if (hasIsn(table, row)) sequences[table.get(row, ISN) & 0xffff] = 1;
}

/** More rows under one key than honest traffic has: comparing each with each would let a crafted capture take forever. */
const MAX_BUCKET = 64;

/** Rows by a key, for those keys only that a row in need asks for. */
class Buckets {
  readonly #table: FlowRows;
  readonly #joining: Joining;
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

  constructor(table: FlowRows, joining: Joining, kind: KeyKind) {
    this.#table = table;
    this.#joining = joining;
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
    const initiator = this.#joining.initiator[row];
    key[1] = 0;
    key[2] = table.get(row, KIND) & 255;
    switch (this.#kind) {
      case BY_CLIENT:
        key[0] = table.endId(row, initiator);
        key[1] = table.portOf(row, initiator);
        return !wanted || this.#joining.isDialled(row);
      case BY_TARGET:
        key[0] = table.endId(row, 1 - initiator);
        key[1] = (table.portOf(row, initiator) << 16) | table.portOf(row, 1 - initiator);
        return !wanted || this.#joining.isFromNode(row);
      case BY_SEQUENCE:
        key[0] = table.get(row, ISN);
        return hasIsn(table, row);
      case BY_NODE_PORT:
        key[0] = table.portOf(row, initiator);
        return wanted ? this.#joining.isDialled(row) : this.#joining.isFromNode(row);
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

function endsAtPod(table: FlowRows, { initiator }: Joining, surroundings: Surroundings, row: number): boolean {
  return surroundings.ownerKind(table.addresses.addressOf(table.addressId(row, 1 - initiator[row])), table.firstSeconds(row)) === "pod";
}
