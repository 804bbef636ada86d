import type { NamedPorts } from "./namedPorts.ts";
import type { Row } from "./row.ts";
import type { Party } from "./terms.ts";

/** Not asked yet, or too large a number for a byte: the row knows. */
const ASK = 255;
const BASE = 0;
const CAPACITY = 1; // groups of peers that the row's cells have room for
const PORTS = 2;
const VARIANTS = 3;
const META = 4;

/** Beyond this many entries (rows × peers) groups are asked of the row each time: slower, and bounded in memory. */
const MAX_PEER_GROUPS = 1 << 26;

/**
 * All rows' cells in flat arrays. A row by itself is small, but thousands of rows with arrays of their own lie all over the
 * memory, and a question costs what it misses in the cache: here it is four look-ups, in four arrays.
 */
export class DecisionTable {
  readonly #rows: Row[] = [];
  readonly #portClasses: number;
  readonly #namedPorts: NamedPorts;
  /** Peers: an identity with an address class, numbered as they come. */
  readonly #peers: Party[] = [];
  readonly #peerNumbers = new Map<string, number>();
  /** From row and peer to the row's group of peers; from row and port class to its group of ports. */
  #peerGroups = new Uint8Array(0);
  #stride = 64;
  #portGroups = new Uint8Array(0);
  /** From row and set of port names to the row's variant of it. */
  #variants = new Uint8Array(0);
  #meta = new Int32Array(0);
  #cells = new Int32Array(1 << 12).fill(-1);
  #used = 0;
  #capacity = 0;

  constructor(portClasses: number, namedPorts: NamedPorts) {
    this.#portClasses = portClasses;
    this.#namedPorts = namedPorts;
  }

  get rows(): number {
    return this.#rows.length;
  }

  row(number: number): Row {
    return this.#rows[number];
  }

  /** Adds a row; returns its number. */
  addRow(row: Row): number {
    const number = this.#rows.push(row) - 1;
    if (number >= this.#capacity) this.#growRows(Math.max(16, this.#capacity * 2));
    const ports = number * this.#portClasses;
    for (let i = 0; i < this.#portClasses; i++) this.#portGroups[ports + i] = Math.min(row.portGroups[i], ASK);
    this.#meta[number * META + PORTS] = row.portCount;
    this.#meta[number * META + VARIANTS] = row.variantCount;
    return number;
  }

  /** Returns the number of the first of peers that are numbered in turn, giving them numbers where they are new. */
  addPeers(...parties: readonly Party[]): number {
    const key = parties.map(({ identity, addressClass }) => `${identity},${addressClass}`).join(" ");
    const known = this.#peerNumbers.get(key);
    if (known !== undefined) return known;
    const number = this.#peers.length;
    this.#peers.push(...parties);
    this.#peerNumbers.set(key, number);
    if (this.#peers.length > this.#stride) {
      // An odd number of cache lines: rows that lie a power of two apart compete for the same places in the cache.
      this.#stride = (Math.ceil((this.#peers.length * 1.25) / 64) | 1) * 64;
      this.#growRows(this.#capacity);
    }
    return number;
  }

  /** Returns a peer by its number. */
  peer(number: number): Party {
    return this.#peers[number];
  }

  /**
   * Returns the place of a cell, for `get` and `set`. `destination` is the identity whose named ports are meant: the peer's for
   * egress, the subject's for ingress.
   */
  cellOf(row: number, peer: number, destination: number, portClass: number): number {
    const at = row * this.#stride + peer;
    let group = at < this.#peerGroups.length ? this.#peerGroups[at] : ASK;
    if (group === ASK) group = this.#groupOf(row, peer);
    let port = this.#portGroups[row * this.#portClasses + portClass];
    if (port === ASK) port = this.#rows[row].portGroups[portClass];
    const meta = row * META;
    const variants = this.#meta[meta + VARIANTS];
    const cell = (group * this.#meta[meta + PORTS] + port) * variants;
    const base = this.#meta[meta + BASE];
    return variants === 1 ? base + cell : base + cell + this.#variantOf(row, this.#namedPorts.setOf(destination, portClass));
  }

  /** Returns the decision id of a cell, -1 before `set`. */
  get(cell: number): number {
    return this.#cells[cell];
  }

  set(cell: number, decision: number): void {
    this.#cells[cell] = decision;
  }

  #variantOf(row: number, set: number): number {
    const at = row * this.#namedPorts.setCount + set;
    const known = this.#variants[at];
    return known === ASK ? (this.#variants[at] = this.#rows[row].variantOf(set)) : known;
  }

  #groupOf(row: number, peer: number): number {
    const { identity, addressClass } = this.#peers[peer];
    const group = this.#rows[row].groupOf(identity, addressClass);
    const meta = row * META;
    if (group >= this.#meta[meta + CAPACITY]) this.#growCells(meta, group + 1);
    const at = row * this.#stride + peer;
    if (at < this.#peerGroups.length) this.#peerGroups[at] = Math.min(group, ASK);
    return group;
  }

  /** Moves a row's cells to where there is room for more groups; the old place is given up, at most as much again. */
  #growCells(meta: number, groups: number): void {
    const size = this.#meta[meta + PORTS] * this.#meta[meta + VARIANTS];
    const capacity = Math.max(groups, this.#meta[meta + CAPACITY] * 2, 2);
    const base = this.#used;
    this.#used += capacity * size;
    if (this.#used > this.#cells.length) {
      const grown = new Int32Array(Math.max(this.#used, this.#cells.length * 2)).fill(-1);
      grown.set(this.#cells);
      this.#cells = grown;
    }
    const old = this.#meta[meta + BASE];
    this.#cells.copyWithin(base, old, old + this.#meta[meta + CAPACITY] * size);
    this.#meta[meta + BASE] = base;
    this.#meta[meta + CAPACITY] = capacity;
  }

  #growRows(capacity: number): void {
    this.#capacity = capacity;
    // What groups peers belong to is only remembered here: it is asked again after growing.
    const peerGroups = capacity * this.#stride <= MAX_PEER_GROUPS ? capacity * this.#stride : 0;
    this.#peerGroups = new Uint8Array(peerGroups).fill(ASK);
    if (capacity * this.#portClasses > this.#portGroups.length) {
      const ports = new Uint8Array(capacity * this.#portClasses);
      ports.set(this.#portGroups);
      this.#portGroups = ports;
      const meta = new Int32Array(capacity * META);
      meta.set(this.#meta);
      this.#meta = meta;
      const variants = new Uint8Array(capacity * this.#namedPorts.setCount).fill(ASK);
      variants.set(this.#variants);
      this.#variants = variants;
    }
  }
}
