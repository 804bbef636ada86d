import type { Address } from "../net/address.ts";
import { hasPorts, isIcmp, UDP } from "../net/protocol.ts";
import {
  ACCEPTED,
  B_BEGAN,
  ERROR_SENT_TO_B,
  type FlowTable,
  INITIATOR_IS_B,
  KIND,
  ONE_WAY,
  OPENED,
  PROHIBITED_BY_ERROR,
  REFUSED_BY_ERROR,
  SPOKE,
  STATE,
  UNREACHED_BY_ERROR,
  UNTIMED,
} from "./flowTable.ts";
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
/** Clients take their ports from above the system ports (RFC 6335 section 6): lower ones are never "many ports of the other". */
const FIRST_CLIENT_PORT = 1024;

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
export function findDirections(table: FlowTable, surroundings: Surroundings): Directions {
  const directions = new Directions(table.size);
  const open: number[] = [];
  let start = Number.POSITIVE_INFINITY;
  for (let row = 0; row < table.size; row++) {
    const state = table.get(row, STATE);
    const began = table.firstSeconds(row) + table.firstNanoseconds(row) * 1e-9;
    if (began < start && (state & UNTIMED) === 0) start = began;
    const seen = seenInitiator(table.get(row, KIND), state);
    if (seen < 0) {
      open.push(row);
      continue;
    }
    directions.initiator[row] = seen;
    directions.isSeen[row] = 1;
  }
  const inference = new Inference(table, surroundings, directions, open, start);
  for (let k = 0; k < open.length; k++) directions.initiator[open[k]] = inference.initiatorOf(open[k]);
  return directions;
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
  return accepted === ACCEPTED << 1 ? 0 : -1;
}

function fillEndpoint(tuples: TupleTable, table: FlowTable, row: number, side: number): void {
  tuples.key[0] = table.addressId(row, side);
  tuples.key[1] = table.portOf(row, side);
  tuples.key[2] = table.get(row, KIND) & 255;
}

/** How many client-like ports of the other address each (address, port) was seen with. */
class PeerPorts {
  readonly tuples = new TupleTable(4);
  readonly counts: number[] = [];

  fill(table: FlowTable, row: number, side: number): void {
    const { key } = this.tuples;
    key[0] = table.addressId(row, side);
    key[1] = table.portOf(row, side);
    key[2] = table.addressId(row, 1 - side);
    key[3] = table.get(row, KIND) & 255;
  }

  of(table: FlowTable, row: number, side: number): number {
    this.fill(table, row, side);
    const id = this.tuples.find();
    return id < 0 ? 0 : this.counts[id];
  }
}

function countPeerPorts(table: FlowTable, rows: readonly number[]): PeerPorts {
  const many = new PeerPorts();
  for (let k = 0; k < rows.length; k++) {
    const row = rows[k];
    if (!hasPorts(table.get(row, KIND) & 255)) continue;
    for (let side = 0; side < 2; side++) {
      if (table.portOf(row, 1 - side) < FIRST_CLIENT_PORT) continue;
      many.fill(table, row, side);
      const id = many.tuples.intern();
      if (id === many.counts.length) many.counts.push(1);
      else many.counts[id]++;
    }
  }
  return many;
}

/** Infers who began where nobody was seen to. What the rules need is gathered when one asks: most rows are decided before. */
class Inference {
  readonly #table: FlowTable;
  readonly #surroundings: Surroundings;
  readonly #directions: Directions;
  readonly #open: readonly number[];
  /** Time of the first packet of all, epoch seconds. */
  readonly #start: number;
  #served: TupleTable | undefined;
  #many: PeerPorts | undefined;

  constructor(table: FlowTable, surroundings: Surroundings, directions: Directions, open: readonly number[], start: number) {
    this.#table = table;
    this.#surroundings = surroundings;
    this.#directions = directions;
    this.#open = open;
    this.#start = start;
  }

  initiatorOf(row: number): number {
    const table = this.#table;
    const kind = table.get(row, KIND);
    const state = table.get(row, STATE);
    const protocol = kind & 255;
    const firstSender = (state & B_BEGAN) !== 0 ? 1 : 0;
    if ((kind & ONE_WAY) !== 0) return (kind & INITIATOR_IS_B) !== 0 ? 1 : 0;
    if (isIcmp(protocol) || !hasPorts(protocol)) return firstSender;
    const [servesA, servesB] = [this.#isKnownServer(row, 0), this.#isKnownServer(row, 1)];
    if (servesA !== servesB) return servesA ? 1 : 0;
    const [servedA, servedB] = [this.#wasSeenServing(row, 0), this.#wasSeenServing(row, 1)];
    if (servedA !== servedB) return servedA ? 1 : 0;
    // Whoever is told that nobody listens had begun, unless the one who says so had spoken before (a late answer to a closed port).
    if ((state & (REFUSED_BY_ERROR | UNREACHED_BY_ERROR | PROHIBITED_BY_ERROR)) !== 0) {
      const sender = (state & ERROR_SENT_TO_B) !== 0 ? 1 : 0;
      if ((state & (SPOKE << (1 - sender))) === 0) return sender;
    }
    this.#many ??= countPeerPorts(table, this.#open);
    const [a, b] = [this.#many.of(table, row, 0), this.#many.of(table, row, 1)];
    if (a !== b && Math.max(a, b) > 1) return a > b ? 1 : 0;
    if (protocol === UDP && table.firstSeconds(row) + table.firstNanoseconds(row) * 1e-9 >= this.#start + WELL_AFTER_SECONDS)
      return firstSender;
    const [portA, portB] = [table.portOf(row, 0), table.portOf(row, 1)];
    if (portA === portB) return firstSender;
    return portA < portB ? 1 : 0;
  }

  #isKnownServer(row: number, side: number): boolean {
    const table = this.#table;
    return this.#surroundings.isServing(
      table.addresses.addressOf(table.addressId(row, side)),
      table.get(row, KIND) & 255,
      table.portOf(row, side),
    );
  }

  /** Reports whether another connection was seen to be opened to this address and port. */
  #wasSeenServing(row: number, side: number): boolean {
    const table = this.#table;
    if (this.#served === undefined) {
      this.#served = new TupleTable(3);
      for (let other = 0; other < table.size; other++) {
        if (this.#directions.isSeen[other] === 0 || !hasPorts(table.get(other, KIND) & 255)) continue;
        fillEndpoint(this.#served, table, other, 1 - this.#directions.initiator[other]);
        this.#served.intern();
      }
    }
    fillEndpoint(this.#served, table, row, side);
    return this.#served.find() >= 0;
  }
}
