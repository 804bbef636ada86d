import { COARSE, FACT_WORDS } from "../kernel/constants.ts";
import type { Address } from "../net/address.ts";
import { looksLikeReply } from "../net/clientPorts.ts";
import type { FlowRows } from "./flowRows.ts";
import { bitsOf, type Kernel } from "./kernel.ts";
import type { LoggedParties } from "./parties.ts";

/** What is known of the addresses that packets carry, from the cluster's objects or whatever else stands for them. */
export interface Surroundings {
  /** Who an address belonged to: only what joins views of one connection. `seconds` null: at no known time. */
  ownerKind(address: Address, seconds: number | null): "pod" | "node" | "other";
  /** Whether an object says that this address serves the port: a container port, a Service, an EndpointSlice, a node port. */
  isServing(address: Address, protocol: number, port: number): boolean;
  /** All ports that some address serves; absent: not known. */
  readonly servedPorts?: Iterable<readonly [protocol: number, port: number]>;
  /** Whether packets to this address and port are translated to a backend: a Service's address, a node port. */
  isDialled(address: Address, protocol: number, port: number): boolean;
  /** Whether the translation can lead to this backend. */
  leadsTo(address: Address, protocol: number, port: number, backend: Address, backendPort: number): boolean;
  /** The same by the port alone: backends change, their port does not. */
  leadsToPort(address: Address, protocol: number, port: number, backend: Address, backendPort: number): boolean;
}

/**
 * Rows while they are joined into connections: what is found of each. All of it is in the kernel's memory, since the kernel works on
 * every row and the program on few; `release` gives it back.
 */
export class Joining {
  readonly table: FlowRows;
  /** By row, the side that began (0: A, 1: B), and 1 where that was seen and not inferred. */
  readonly initiator: Uint8Array;
  readonly isSeen: Uint8Array;
  readonly #flags: Uint8Array;
  readonly #kernel: Kernel;
  readonly #regions: { readonly address: number; readonly bits: number }[] = [];
  readonly #facts: number;
  readonly #servedPorts: Surroundings["servedPorts"];

  constructor(table: FlowRows, surroundings: Surroundings) {
    this.table = table;
    this.#kernel = table.kernel;
    this.#servedPorts = surroundings.servedPorts;
    const { size, addresses, standing } = table;
    const ids = table.idsAddress();
    this.initiator = this.#bytes(size);
    this.isSeen = this.#bytes(size);
    this.#flags = this.#bytes(size);
    const facts = this.words(addresses.size * FACT_WORDS).fill(0);
    this.#facts = facts.byteOffset;
    let standingAddress = 0;
    if (standing !== undefined) {
      const words = this.words(standing.length);
      words.set(standing);
      standingAddress = words.byteOffset;
    }
    this.#kernel.surroundings = {
      isServing: (id, protocol, port) => surroundings.isServing(addresses.addressOf(id), protocol, port),
      isDialled: (id, protocol, port) => surroundings.isDialled(addresses.addressOf(id), protocol, port),
      leadsTo: (id, protocol, port, backend, backendPort) =>
        surroundings.leadsTo(addresses.addressOf(id), protocol, port, addresses.addressOf(backend), backendPort),
      leadsToPort: (id, protocol, port, backend, backendPort) =>
        surroundings.leadsToPort(addresses.addressOf(id), protocol, port, addresses.addressOf(backend), backendPort),
      isPodAt: (id, seconds) => surroundings.ownerKind(addresses.addressOf(id), seconds >>> 0) === "pod",
      isNode: (id) => surroundings.ownerKind(addresses.addressOf(id), null) === "node",
      epochAt: (id, seconds) => table.epochs!.epochAt(id, true, seconds >>> 0),
      looksLikeReply,
    };
    this.#kernel.calls.beginJoin(table.cells.byteOffset, size, ids, standingAddress, this.initiator.byteOffset, this.isSeen.byteOffset);
  }

  /** Gives all memory back. */
  release(): void {
    this.#kernel.surroundings = undefined;
    for (const { address, bits } of this.#regions) this.#kernel.calls.release(address, bits);
    this.#regions.length = 0;
  }

  /** Returns memory for 32-bit words, with what it held before. */
  words(length: number): Int32Array {
    return this.#kernel.words(this.#allocate(4 * length), length);
  }

  /** Finds the initiator of every row (semantics, "From packets to connections" 1). */
  findDirections(): void {
    const marks = this.#bytes(1 << 16).fill(this.#servedPorts === undefined ? 1 : 0);
    for (const [protocol, port] of this.#servedPorts ?? []) marks[port ^ (protocol << 8)] = 1;
    this.#kernel.calls.findDirections(this.#facts, marks.byteOffset);
  }

  /**
   * Finds rows that are views of one connection before and after address translation (semantics 3 and 4). Directions must be known. Returns
   * how many rows were not compared with others, since too many shared a socket or sequence number.
   */
  joinViews(): number {
    const parents = this.words(this.table.size).fill(0);
    const sources = this.words(this.table.size).fill(0);
    return this.#kernel.calls.joinViews(this.#facts, this.#flags.byteOffset, parents.byteOffset, sources.byteOffset);
  }

  /** Makes a row that another reporter made of a connection one of its views. */
  unite(row: number, copy: number): void {
    this.#kernel.calls.unite(row, copy);
  }

  /** Returns the row that stands for a row's connection, its first; its own number where no other view was found. */
  rootOf(row: number): number {
    return this.#kernel.calls.rootOf(row);
  }

  /** Adds the connections of all rows but coarse ones to a store of the kernel. Returns the connection of each row. */
  addRows(store: number, parties: LoggedParties): Int32Array {
    const numbers = this.words(this.table.size);
    this.#kernel.calls.beginAdding(store, this.#flags.byteOffset, this.#statedVias(parties));
    this.#kernel.calls.addRows(numbers.byteOffset);
    return numbers;
  }

  /** What was dialled, where a log tells it of a destination. */
  #statedVias(parties: LoggedParties): number {
    if (parties.size === 1) return 0;
    const { addresses } = this.table;
    const vias = this.words(2 * addresses.size);
    for (let id = 0; id < addresses.size; id++) {
      const { via } = parties.get(addresses.tagOf(id));
      vias[2 * id] = via?.addressId ?? -1;
      vias[2 * id + 1] = via?.port ?? 0;
    }
    return vias.byteOffset;
  }

  isCoarse(row: number): boolean {
    return (this.#flags[row] & COARSE) !== 0;
  }

  /** Says that a row cannot be told from others of its connection. */
  markCoarse(row: number): void {
    this.#flags[row] |= COARSE;
  }

  #bytes(length: number): Uint8Array {
    return this.#kernel.octets(this.#allocate(length), length);
  }

  #allocate(bytes: number): number {
    const bits = bitsOf(bytes);
    const address = this.#kernel.calls.allocate(bits);
    this.#regions.push({ address, bits });
    return address;
  }
}
