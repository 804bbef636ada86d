import { hasPorts, TCP } from "../net/protocol.ts";
import type { Directions, Surroundings } from "./direction.ts";
import { type FlowTable, HAS_ISN, ISN, KIND, NO_SOURCE_PORT, STATE } from "./flowTable.ts";
import { TupleTable } from "./tupleTable.ts";

/** Views of one connection begin together: translation takes microseconds, clocks of merged captures differ by more. */
const TOGETHER_SECONDS = 1;

/** What a row's ends are, as far as joining asks. */
const DIALLED = 1; // the responder's address and port are translated to a backend
const FROM_NODE = 2; // the initiator's address is a node's: perhaps a pod or a client hidden by source NAT

/**
 * Finds rows that are views of one connection before and after address translation (semantics 3 and 4), and returns for each row
 * the row that stands for its group. `flags` tells dialled rows and rows from nodes.
 */
export class NatViews {
  readonly #parent: Int32Array;
  readonly flags: Uint8Array;
  /** Rows that were not compared with others, since too many shared a socket or sequence number. */
  leftOut = 0;

  constructor(table: FlowTable, directions: Directions, surroundings: Surroundings) {
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

  #findNeedy(table: FlowTable, directions: Directions, surroundings: Surroundings): number[] {
    const needy: number[] = [];
    const targets = new TupleTable(2);
    const dialled: boolean[] = [];
    const nodes = new Map<number, boolean>();
    for (let row = 0; row < table.size; row++) {
      const kind = table.get(row, KIND);
      const protocol = kind & 255;
      if (!hasPorts(protocol)) continue;
      const initiator = directions.initiator[row];
      const source = table.addressId(row, initiator);
      const port = table.portOf(row, 1 - initiator);
      targets.key[0] = table.addressId(row, 1 - initiator);
      targets.key[1] = (protocol << 16) | port;
      const target = targets.intern();
      if (target === dialled.length) dialled.push(surroundings.isDialled(table.addresses.addressOf(targets.key[0]), protocol, port));
      let isNode = nodes.get(source);
      if (isNode === undefined) nodes.set(source, (isNode = surroundings.ownerKind(table.addresses.addressOf(source), null) === "node"));
      const flags = (dialled[target] ? DIALLED : 0) | (isNode ? FROM_NODE : 0);
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

  #join(table: FlowTable, directions: Directions, surroundings: Surroundings, needy: readonly number[]): void {
    const buckets = [BY_CLIENT, BY_TARGET, BY_SEQUENCE, BY_NODE_PORT].map((key) => new Buckets(table, directions, this.flags, key));
    for (const row of needy) for (const bucket of buckets) bucket.want(row);
    for (let row = 0; row < table.size; row++) {
      const kind = table.get(row, KIND);
      if (!hasPorts(kind & 255) || (kind & NO_SOURCE_PORT) !== 0) continue;
      for (const bucket of buckets) bucket.add(row);
    }
    for (const row of needy) {
      const views = new Set<number>();
      for (const bucket of buckets)
        for (const other of bucket.of(row))
          if (other !== row && this.#areViews(table, directions, surroundings, row, other)) views.add(other);
      // Several pods behind one node can use one port (NTP's 123): without a sequence number none of them is known to be this one.
      if (this.isFromNode(row) && !hasIsn(table, row) && severalSources(table, directions, views)) continue;
      for (const other of views) this.#unite(row, other);
    }
    this.leftOut = buckets.reduce((sum, bucket) => sum + bucket.leftOut, 0);
  }

  /** Reports whether `other` shows the same connection as `row` beyond a translation. */
  #areViews(table: FlowTable, directions: Directions, surroundings: Surroundings, row: number, other: number): boolean {
    if ((table.get(row, KIND) & 255) !== (table.get(other, KIND) & 255) || !overlap(table, row, other)) return false;
    const bothIsn = hasIsn(table, row) && hasIsn(table, other);
    if (bothIsn && table.get(row, ISN) !== table.get(other, ISN)) return false;
    const [x, y] = [directions.initiator[row], directions.initiator[other]];
    const sameSource = table.addressId(row, x) === table.addressId(other, y);
    const samePort = table.portOf(row, x) === table.portOf(other, y);
    const sameTarget =
      table.addressId(row, 1 - x) === table.addressId(other, 1 - y) && table.portOf(row, 1 - x) === table.portOf(other, 1 - y);
    // One client socket: translated destination.
    if (sameSource && samePort)
      return this.isDialled(row) && !sameTarget && this.#leadsTo(table, directions, surroundings, row, other, bothIsn);
    // One target: translated source. The sequence number proves it, else the kept port.
    if (sameTarget) return this.isFromNode(row) && !this.isFromNode(other) && (bothIsn || samePort);
    // Both ends translated: a node port or load balancer with masquerade.
    return (
      (bothIsn || samePort) &&
      this.isDialled(row) &&
      this.isFromNode(other) &&
      this.#leadsTo(table, directions, surroundings, row, other, bothIsn)
    );
  }

  #leadsTo(
    table: FlowTable,
    directions: Directions,
    surroundings: Surroundings,
    dialled: number,
    other: number,
    bothIsn: boolean,
  ): boolean {
    if (this.isDialled(other)) return false;
    // Equal sequence numbers prove it even where the endpoints have changed since.
    if (bothIsn) return true;
    const [x, y] = [directions.initiator[dialled], directions.initiator[other]];
    const addresses = table.addresses;
    return surroundings.leadsTo(
      addresses.addressOf(table.addressId(dialled, 1 - x)),
      table.get(dialled, KIND) & 255,
      table.portOf(dialled, 1 - x),
      addresses.addressOf(table.addressId(other, 1 - y)),
      table.portOf(other, 1 - y),
    );
  }

  #unite(row: number, other: number): void {
    const [a, b] = [this.rootOf(row), this.rootOf(other)];
    // The earlier row stands for the group.
    this.#parent[Math.max(a, b)] = Math.min(a, b);
  }
}

function severalSources(table: FlowTable, directions: Directions, rows: ReadonlySet<number>): boolean {
  const sources = new Set([...rows].map((row) => table.addressId(row, directions.initiator[row])));
  return sources.size > 1;
}

function hasIsn(table: FlowTable, row: number): boolean {
  return (table.get(row, STATE) & HAS_ISN) !== 0 && (table.get(row, KIND) & 255) === TCP;
}

type KeyMaker = (table: FlowTable, directions: Directions, flags: Uint8Array, row: number, key: Int32Array, wanted: boolean) => boolean;

/** One client socket. */
const BY_CLIENT: KeyMaker = (table, directions, flags, row, key, wanted) => {
  const initiator = directions.initiator[row];
  key[0] = table.addressId(row, initiator);
  key[1] = table.portOf(row, initiator);
  return !wanted || (flags[row] & DIALLED) !== 0;
};

/** One target, from one source port. */
const BY_TARGET: KeyMaker = (table, directions, flags, row, key, wanted) => {
  const initiator = directions.initiator[row];
  key[0] = table.addressId(row, 1 - initiator);
  key[1] = (table.portOf(row, initiator) << 16) | table.portOf(row, 1 - initiator);
  return !wanted || (flags[row] & FROM_NODE) !== 0;
};

/** One initial sequence number, which translation keeps. */
const BY_SEQUENCE: KeyMaker = (table, _directions, _flags, row, key) => {
  key[0] = table.get(row, ISN);
  return hasIsn(table, row);
};

/** A dialled port on one side, a masquerading node on the other: what they share is the source port. */
const BY_NODE_PORT: KeyMaker = (table, directions, flags, row, key, wanted) => {
  key[0] = table.portOf(row, directions.initiator[row]);
  return (flags[row] & (wanted ? DIALLED : FROM_NODE)) !== 0;
};

/** More rows under one key than honest traffic has: comparing each with each would let a crafted capture take forever. */
const MAX_BUCKET = 64;

/** Rows by a key, for those keys only that a row in need asks for. */
class Buckets {
  readonly #table: FlowTable;
  readonly #directions: Directions;
  readonly #flags: Uint8Array;
  readonly #makeKey: KeyMaker;
  readonly #tuples = new TupleTable(3);
  readonly #rows: number[][] = [];
  leftOut = 0;

  constructor(table: FlowTable, directions: Directions, flags: Uint8Array, makeKey: KeyMaker) {
    this.#table = table;
    this.#directions = directions;
    this.#flags = flags;
    this.#makeKey = makeKey;
  }

  want(row: number): void {
    if (this.#fill(row, true) && this.#tuples.intern() === this.#rows.length) this.#rows.push([]);
  }

  add(row: number): void {
    if (!this.#fill(row, false)) return;
    const id = this.#tuples.find();
    if (id < 0) return;
    if (this.#rows[id].length < MAX_BUCKET) this.#rows[id].push(row);
    else this.leftOut++;
  }

  of(row: number): readonly number[] {
    if (!this.#fill(row, true)) return [];
    const id = this.#tuples.find();
    return id < 0 ? [] : this.#rows[id];
  }

  #fill(row: number, wanted: boolean): boolean {
    const { key } = this.#tuples;
    key[1] = 0;
    key[2] = this.#table.get(row, KIND) & 255;
    return this.#makeKey(this.#table, this.#directions, this.#flags, row, key, wanted);
  }
}

function overlap(table: FlowTable, row: number, other: number): boolean {
  const start = (r: number) => table.firstSeconds(r) + table.firstNanoseconds(r) * 1e-9;
  const end = (r: number) => table.lastSeconds(r) + table.lastNanoseconds(r) * 1e-9;
  return start(row) <= end(other) + TOGETHER_SECONDS && start(other) <= end(row) + TOGETHER_SECONDS;
}
