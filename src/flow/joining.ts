import { COARSE, DIALLED, FACT_WORDS, FROM_NODE, JOINED } from "../kernel/constants.ts";
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
  /** Whether packets to this address and port are translated to a backend: a Service's address, a node port. */
  isDialled(address: Address, protocol: number, port: number): boolean;
  /** Whether the translation can lead to this backend. */
  leadsTo(address: Address, protocol: number, port: number, backend: Address, backendPort: number): boolean;
  /** The same by the port alone: backends change, their port does not. */
  leadsToPort(address: Address, protocol: number, port: number, backend: Address, backendPort: number): boolean;
}

/** Source ports, and initial sequence numbers by their low 16 bits, that rows in need have: a 1 for each. */
export interface WantedTraits {
  readonly ports: Uint8Array;
  readonly sequences: Uint8Array;
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

  constructor(table: FlowRows, surroundings: Surroundings) {
    this.table = table;
    this.#kernel = table.kernel;
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
    this.#kernel.calls.findDirections(this.#facts);
  }

  /** Gives rows their flags, and returns those whose source or destination may be translated. Directions must be known. */
  findNeedy(): Int32Array {
    const list = this.words(this.table.size);
    return list.subarray(0, this.#kernel.calls.findNeedy(this.#facts, this.#flags.byteOffset, list.byteOffset));
  }

  /** Returns no port and no sequence number, to be filled in. */
  wantNone(): WantedTraits {
    return { ports: this.#bytes(1 << 16).fill(0), sequences: this.#bytes(1 << 16).fill(0) };
  }

  /** Returns the rows that may be what those in need are joined with: with one of the traits, and not dialled. */
  findTranslated({ ports, sequences }: WantedTraits): Int32Array {
    const list = this.words(this.table.size);
    const count = this.#kernel.calls.findTranslated(this.#flags.byteOffset, ports.byteOffset, sequences.byteOffset, list.byteOffset);
    return list.subarray(0, count);
  }

  /**
   * Adds the connections of all rows but coarse ones to a store of the kernel. `groups`: see kernel/connections.ts, addRows. Returns the
   * connection of each row.
   */
  addRows(store: number, groups: readonly number[], parties: LoggedParties): Int32Array {
    const numbers = this.words(this.table.size);
    const given = this.words(groups.length + 1);
    given.set(groups);
    given[groups.length] = 0;
    this.#kernel.calls.beginAdding(store, this.#flags.byteOffset, this.#statedVias(parties));
    this.#kernel.calls.addRows(given.byteOffset, numbers.byteOffset);
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

  isDialled(row: number): boolean {
    return (this.#flags[row] & DIALLED) !== 0;
  }

  isFromNode(row: number): boolean {
    return (this.#flags[row] & FROM_NODE) !== 0;
  }

  isJoined(row: number): boolean {
    return (this.#flags[row] & JOINED) !== 0;
  }

  /** Says that another view of a row's connection was found. */
  markJoined(row: number): void {
    this.#flags[row] |= JOINED;
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
