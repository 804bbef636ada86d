import type { Address } from "../net/address.ts";
import { FIRST_CLIENT_PORT, looksLikeReply } from "../net/clientPorts.ts";
import { hasPorts, isIcmp, UDP } from "../net/protocol.ts";
import {
  ACCEPTED,
  B_BEGAN,
  ERROR_SENT_TO_B,
  type FlowRows,
  INITIATOR_IS_B,
  KIND,
  LOGGED,
  ONE_WAY,
  OPENED,
  ORDER_UNSURE,
  PERHAPS_REPLY,
  PROHIBITED_BY_ERROR,
  REFUSED_BY_ERROR,
  SPOKE,
  STATE,
  SYNCED,
  UNJUDGED,
  UNREACHED_BY_ERROR,
  UNTIMED,
} from "./flowRows.ts";
import { TupleTable } from "./tupleTable.ts";

/** What is known of the addresses that packets carry, from the cluster's objects or whatever else stands for them. */
export interface Surroundings {
  /** Who an address belonged to: only what joins views of one connection. `seconds` null: at no known time. */
  ownerKind(address: Address, seconds: number | null): "pod" | "node" | "other";
  /** Whether an object says that this address serves the port: a container port, a Service, an EndpointSlice, a node port. */
  isServing(address: Address, protocol: number, port: number): boolean;
  /** Whether packets to this address and port are translated to a backend: a Service's address, a node port. */
  isDialled(address: Address, protocol: number, port: number): boolean;
  /** Whether the translation can lead to this backend. */
  leadsTo(address: Address, protocol: number, port: number, backend: Address, backendPort: number): boolean;
  /** The same by the port alone: backends change, their port does not. */
  leadsToPort(address: Address, protocol: number, port: number, backend: Address, backendPort: number): boolean;
}

/** A capture's first second tells little of who spoke first: what was under way shows then (semantics, "well after"). */
const WELL_AFTER_SECONDS = 1;

/** Which side of each row began, and whether that was seen or inferred. */
export class Directions {
  /** 0: A began, 1: B began. */
  readonly initiator: Uint8Array;
  readonly isSeen: Uint8Array;

  constructor(rows: number) {
    this.initiator = new Uint8Array(rows);
    this.isSeen = new Uint8Array(rows);
  }
}

/** Finds the initiator of every row (semantics, "From packets to connections" 1). */
export function findDirections(table: FlowRows, surroundings: Surroundings): Directions {
  const directions = new Directions(table.size);
  const open: number[] = [];
  let start = Number.POSITIVE_INFINITY;
  for (let row = 0; row < table.size; row++) {
    const state = table.get(row, STATE);
    // Whole seconds first: a fraction is an object to code that V8 has not compiled yet.
    if (table.firstSeconds(row) <= start && (state & UNTIMED) === 0) start = Math.min(start, startOf(table, row));
    const seen = seenInitiator(table.get(row, KIND), state);
    if (seen < 0) {
      open.push(row);
      continue;
    }
    directions.initiator[row] = seen;
    directions.isSeen[row] = 1;
  }
  if (open.length > 0) new Inference(table, surroundings, directions, open, start).infer();
  return directions;
}

/** Returns when a row began, epoch seconds. */
function startOf(table: FlowRows, row: number): number {
  return table.firstSeconds(row) + table.firstNanoseconds(row) * 1e-9;
}

/** Returns the side that was seen to begin, or -1. */
function seenInitiator(kind: number, state: number): number {
  if ((kind & ONE_WAY) !== 0) {
    // A log's stated initiator carries OPENED; an ICMP message without a reply only has a sender.
    return (state & (OPENED | (OPENED << 1))) !== 0 ? ((kind & INITIATOR_IS_B) !== 0 ? 1 : 0) : -1;
  }
  const opened = state & (OPENED | (OPENED << 1));
  if (opened === OPENED) return 0;
  if (opened === OPENED << 1) return 1;
  if (opened !== 0) return (state & B_BEGAN) !== 0 ? 1 : 0;
  const accepted = state & (ACCEPTED | (ACCEPTED << 1));
  if (accepted === ACCEPTED) return 1;
  if (accepted === ACCEPTED << 1) return 0;
  // Both sides sent SYN and ACK, and the log tells which one sent first.
  const both = SYNCED | (SYNCED << 1);
  return (state & both) === both && (state & ORDER_UNSURE) === 0 ? firstSender(state) : -1;
}

function firstSender(state: number): number {
  return (state & B_BEGAN) !== 0 ? 1 : 0;
}

function fillEndpoint(tuples: TupleTable, table: FlowRows, row: number, side: number): void {
  tuples.key[0] = table.endId(row, side);
  tuples.key[1] = table.portOf(row, side);
  tuples.key[2] = table.get(row, KIND) & 255;
}

/** Ports of some rows, with their protocols: most other rows are seen to share none without a look into any table. */
class PortMarks {
  /** By the low bits of port and protocol together. */
  readonly #marks = new Uint8Array(1 << 16);

  mark(port: number, protocol: number): void {
    this.#marks[port ^ (protocol << 8)] = 1;
  }

  mayHave(port: number, protocol: number): boolean {
    return this.#marks[port ^ (protocol << 8)] === 1;
  }
}

/** How many client-like ports of the other address each (address, port) of the rows that ask was seen with. */
class PeerPorts {
  readonly #table: FlowRows;
  readonly #tuples = new TupleTable(4);
  readonly #counts: number[] = [];
  readonly #asked = new PortMarks();

  constructor(table: FlowRows, asking: readonly number[]) {
    this.#table = table;
    for (let k = 0; k < asking.length; k++) {
      const protocol = table.get(asking[k], KIND) & 255;
      for (let side = 0; side < 2; side++) {
        this.#asked.mark(table.portOf(asking[k], side), protocol);
        this.#fill(asking[k], side);
        if (this.#tuples.intern() === this.#counts.length) this.#counts.push(0);
      }
    }
  }

  count(row: number): void {
    const table = this.#table;
    const protocol = table.get(row, KIND) & 255;
    if (!hasPorts(protocol)) return;
    for (let side = 0; side < 2; side++) {
      if (table.portOf(row, 1 - side) < FIRST_CLIENT_PORT || !this.#asked.mayHave(table.portOf(row, side), protocol)) continue;
      this.#fill(row, side);
      const id = this.#tuples.find();
      if (id >= 0) this.#counts[id]++;
    }
  }

  of(row: number, side: number): number {
    this.#fill(row, side);
    return this.#counts[this.#tuples.find()];
  }

  #fill(row: number, side: number): void {
    const table = this.#table;
    const { key } = this.#tuples;
    key[0] = table.endId(row, side);
    key[1] = table.portOf(row, side);
    key[2] = table.endId(row, 1 - side);
    key[3] = table.get(row, KIND) & 255;
  }
}

/** Infers who began where nobody was seen to. What the rules need is gathered when one asks: most rows are decided before. */
class Inference {
  readonly #table: FlowRows;
  readonly #surroundings: Surroundings;
  readonly #directions: Directions;
  readonly #open: readonly number[];
  /** Time of the first packet of all, epoch seconds. */
  readonly #start: number;
  /** Protocol and port that an address was last found to serve, by its address-table id: most servers have one. */
  readonly #latestServing: Int32Array;
  #served: TupleTable | undefined;

  constructor(table: FlowRows, surroundings: Surroundings, directions: Directions, open: readonly number[], start: number) {
    this.#table = table;
    this.#surroundings = surroundings;
    this.#directions = directions;
    this.#open = open;
    this.#start = start;
    table.addressId(open[0], 0); // gives every row's addresses their ids
    this.#latestServing = new Int32Array(table.addresses.size).fill(-1);
  }

  /** Fills in the initiators of all open rows. */
  infer(): void {
    const open = this.#open;
    const { initiator } = this.#directions;
    const rest: number[] = [];
    for (let k = 0; k < open.length; k++) {
      const side = this.#knownInitiator(open[k]);
      if (side < 0) rest.push(open[k]);
      else initiator[open[k]] = side;
    }
    if (rest.length === 0) return;
    const peers = new PeerPorts(this.#table, rest);
    for (let k = 0; k < open.length; k++) peers.count(open[k]);
    for (let k = 0; k < rest.length; k++) initiator[rest[k]] = this.#likelyInitiator(rest[k], peers);
  }

  /** Returns the initiator by what is known of this row and of servers, or -1. */
  #knownInitiator(row: number): number {
    const table = this.#table;
    const kind = table.get(row, KIND);
    const state = table.get(row, STATE);
    const protocol = kind & 255;
    if ((kind & ONE_WAY) !== 0) return (kind & INITIATOR_IS_B) !== 0 ? 1 : 0;
    if (isIcmp(protocol) || !hasPorts(protocol)) {
      if ((state & ORDER_UNSURE) !== 0) table.setState(row, PERHAPS_REPLY);
      return firstSender(state);
    }
    const servesA = this.#isKnownServer(row, 0);
    if (servesA !== this.#isKnownServer(row, 1)) return servesA ? 1 : 0;
    const servedA = this.#wasSeenServing(row, 0);
    if (servedA !== this.#wasSeenServing(row, 1)) return servedA ? 1 : 0;
    // Whoever is told that nobody listens had begun, unless the one who says so had spoken before (a late answer to a closed port).
    // A log's denial is of either's packet.
    if ((state & (REFUSED_BY_ERROR | UNREACHED_BY_ERROR | PROHIBITED_BY_ERROR)) !== 0 && (kind & LOGGED) === 0) {
      const sender = (state & ERROR_SENT_TO_B) !== 0 ? 1 : 0;
      if ((state & (SPOKE << (1 - sender))) === 0) return sender;
    }
    return -1;
  }

  /** Returns the initiator by what servers look like. */
  #likelyInitiator(row: number, peers: PeerPorts): number {
    const table = this.#table;
    const a = peers.of(row, 0);
    const b = peers.of(row, 1);
    if (a !== b && Math.max(a, b) > 1) return a > b ? 1 : 0;
    if ((table.get(row, KIND) & LOGGED) !== 0) return this.#likelyOfHalves(row);
    const first = firstSender(table.get(row, STATE));
    if ((table.get(row, KIND) & 255) === UDP && startOf(table, row) >= this.#start + WELL_AFTER_SECONDS) return first;
    const portA = table.portOf(row, 0);
    const portB = table.portOf(row, 1);
    if (portA === portB) return first;
    return portA < portB ? 1 : 0;
  }

  /**
   * The same of halves in a log: one of them may be missing (filtered, sampled, of another interval), and who sent first is known only
   * where both are there with times that tell. Where nothing tells but two ports of a kind, what is returned is marked as doubtful.
   */
  #likelyOfHalves(row: number): number {
    const table = this.#table;
    const state = table.get(row, STATE);
    const first = firstSender(state);
    const [portA, portB] = [table.portOf(row, 0), table.portOf(row, 1)];
    const byPort = portA < portB ? 1 : 0;
    const [low, high] = [Math.min(portA, portB), Math.max(portA, portB)];
    const isSystems = low < FIRST_CLIENT_PORT && high >= FIRST_CLIENT_PORT;
    const isTold = looksLikeReply(low, high);
    // A log of what began connections, or was denied: its packets are mostly the initiator's.
    if ((state & UNJUDGED) !== 0) return isTold ? byPort : first;
    const areBoth = table.packetsOf(row, 0) > 0 && table.packetsOf(row, 1) > 0;
    const isNew = startOf(table, row) >= this.#start + WELL_AFTER_SECONDS;
    const isOrdered = (state & ORDER_UNSURE) === 0 && areBoth && isNew;
    if (isTold) {
      // Of a connection that was open before the record's interval, either side may have sent first in it.
      const isContradicted = isOrdered && first !== byPort && ((table.get(row, KIND) & 255) === UDP || !isSystems);
      if (isContradicted) table.setState(row, PERHAPS_REPLY);
      return byPort;
    }
    if (isOrdered) return first;
    table.setState(row, PERHAPS_REPLY);
    return portA === portB ? first : byPort;
  }

  #isKnownServer(row: number, side: number): boolean {
    const table = this.#table;
    const id = table.addressId(row, side);
    const protocol = table.get(row, KIND) & 255;
    const port = table.portOf(row, side);
    const end = (protocol << 16) | port;
    if (this.#latestServing[id] === end) return true;
    if (!this.#surroundings.isServing(table.addresses.addressOf(id), protocol, port)) return false;
    this.#latestServing[id] = end;
    return true;
  }

  /** Reports whether another connection was seen to be opened to this address and port. */
  #wasSeenServing(row: number, side: number): boolean {
    const table = this.#table;
    this.#served ??= this.#findServed();
    fillEndpoint(this.#served, table, row, side);
    return this.#served.find() >= 0;
  }

  /** Returns who was seen to be connected to, as far as open rows may ask. */
  #findServed(): TupleTable {
    const table = this.#table;
    const { initiator, isSeen } = this.#directions;
    const asked = new PortMarks();
    for (let k = 0; k < this.#open.length; k++) {
      const row = this.#open[k];
      for (let side = 0; side < 2; side++) asked.mark(table.portOf(row, side), table.get(row, KIND) & 255);
    }
    const served = new TupleTable(3);
    for (let row = 0; row < table.size; row++) {
      const protocol = table.get(row, KIND) & 255;
      const side = 1 - initiator[row];
      if (isSeen[row] === 0 || !hasPorts(protocol) || !asked.mayHave(table.portOf(row, side), protocol)) continue;
      fillEndpoint(served, table, row, side);
      served.intern();
    }
    return served;
  }
}
