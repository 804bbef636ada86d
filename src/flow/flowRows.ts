import {
  A_BYTES,
  A_PACKETS,
  BYTES_HIGH,
  FIRST_NS,
  FIRST_SECONDS,
  ICMP_CODE_SHIFT,
  ICMP_TYPE_SHIFT,
  KIND,
  LAST_NS,
  LAST_SECONDS,
  LOGGED,
  MOST_HIGH,
  ORIGIN_SHIFT,
  PACKETS_HIGH,
  PORTS,
  STATE,
  WIDTH,
} from "../kernel/constants.ts";
import { isIcmp } from "../net/protocol.ts";
import type { AddressTable } from "./addressTable.ts";
import { bitsOf, type Kernel } from "./kernel.ts";
import type { Origins } from "./origins.ts";

export * from "../kernel/constants.ts";

/*
 * One row a connection, in typed arrays: no object a packet and none a connection.
 *
 * A row's two sides are A and B, ordered by address word and port, so that both directions of a tuple find the same row.
 * `side` says which of them sent a packet: 0 for A, 1 for B. A 5-tuple that is used again (a new SYN with another initial
 * sequence number, an address that changed hands) gets a new row; the index then leads to the newest.
 */

/** Stands for an ICMP type and code that a log does not tell; 255 is reserved for them (IANA ICMP parameters). */
export const NOT_TOLD = 255;

/** Returns the KIND of ICMP messages of a type and code. Echo replies are filed under their request. */
export function icmpKind(protocol: number, type: number, code: number): number {
  return protocol | (type << ICMP_TYPE_SHIFT) | (code << ICMP_CODE_SHIFT);
}

export function icmpTypeOf(kind: number): number {
  return (kind >>> ICMP_TYPE_SHIFT) & 255;
}

export function icmpCodeOf(kind: number): number {
  return kind >>> ICMP_CODE_SHIFT;
}

/** Says whether an address has several owners over time, and which one at a moment. */
export interface AddressEpochs {
  isReused(word: number, wordIsId: boolean): boolean;
  /** A number that differs whenever the owner differs. */
  epochAt(word: number, wordIsId: boolean, seconds: number): number;
}

/** Rows of connections, and who their addresses and reporters are. Rows are numbered from 0 in order of first appearance. */
export abstract class FlowRows {
  readonly addresses: AddressTable;
  readonly origins: Origins;
  /** Holds the rows in its memory. */
  abstract readonly kernel: Kernel;
  abstract readonly cells: Int32Array;
  abstract readonly size: number;
  abstract readonly epochs: AddressEpochs | undefined;
  /** By address-table id, the one that stands for the same end (see canonicalEnds); undefined: each its own. */
  standing: Int32Array | undefined;

  /** In the kernel's memory, as the rows are; the bits of the size of its region. */
  #ids: Int32Array = new Int32Array(0);
  #idBits = 0;

  constructor(addresses: AddressTable, origins: Origins) {
    this.addresses = addresses;
    this.origins = origins;
  }

  /** Returns a copy of the rows that `isWanted`, in their order. Its memory is to be given back. */
  part(isWanted: (row: number) => boolean): RowsApart {
    const rows: number[] = [];
    for (let row = 0; row < this.size; row++) if (isWanted(row)) rows.push(row);
    const length = rows.length * WIDTH;
    const cells = this.kernel.words(this.kernel.calls.allocate(bitsOf(4 * length)), length);
    rows.forEach((row, i) => cells.set(this.cells.subarray(row * WIDTH, (row + 1) * WIDTH), i * WIDTH));
    return new RowsApart(this, cells);
  }

  packetsOf(row: number, side: number): number {
    const cell = row * WIDTH;
    const low = this.cells[cell + A_PACKETS + side] >>> 0;
    if ((this.cells[cell + KIND] & LOGGED) === 0) return low;
    return low + ((this.cells[cell + PACKETS_HIGH] >>> (side << 4)) & MOST_HIGH) * 0x1_0000_0000;
  }

  bytesOf(row: number, side: number): number {
    const cell = row * WIDTH;
    return (this.cells[cell + A_BYTES + side] >>> 0) + ((this.cells[cell + BYTES_HIGH] >>> (side << 4)) & 0xffff) * 0x1_0000_0000;
  }

  firstSeconds(row: number): number {
    return this.cells[row * WIDTH + FIRST_SECONDS] >>> 0;
  }

  firstNanoseconds(row: number): number {
    return this.cells[row * WIDTH + FIRST_NS];
  }

  lastSeconds(row: number): number {
    return this.cells[row * WIDTH + LAST_SECONDS] >>> 0;
  }

  lastNanoseconds(row: number): number {
    return this.cells[row * WIDTH + LAST_NS];
  }

  get(row: number, column: number): number {
    return this.cells[row * WIDTH + column];
  }

  set(row: number, column: number, value: number): void {
    this.cells[row * WIDTH + column] = value;
  }

  setState(row: number, bits: number): void {
    const { cells } = this;
    const at = row * WIDTH + STATE;
    const state = cells[at] | bits;
    if (state !== cells[at]) cells[at] = state;
  }

  clearState(row: number, bits: number): void {
    this.cells[row * WIDTH + STATE] &= ~bits;
  }

  /** Returns the address-table id that stands for a side's end, whatever a log calls it: equal ids are one end. */
  endId(row: number, side: number): number {
    const id = this.addressId(row, side);
    return this.standing?.[id] ?? id;
  }

  /** Returns the address-table id of a side's address (0: A, 1: B). */
  addressId(row: number, side: number): number {
    if (this.#ids.length < this.size * 2) this.#findIds();
    return this.#ids[row * 2 + side];
  }

  /** Returns where in the kernel's memory every row's two ids are. */
  idsAddress(): number {
    this.#findIds();
    return this.#ids.byteOffset;
  }

  /** Whatever works on rows asks for their addresses many times: IPv4 words are looked up once. */
  #findIds(): void {
    const { kernel, size } = this;
    const found = this.#ids.length / 2;
    const bits = bitsOf(8 * size);
    if (bits > this.#idBits) {
      const words = kernel.words(kernel.calls.allocate(bits), size * 2);
      words.set(this.#ids);
      this.releaseIds();
      [this.#ids, this.#idBits] = [words, bits];
    } else this.#ids = kernel.words(this.#ids.byteOffset, size * 2);
    kernel.calls.findIds(this.cells.byteOffset, found, size, this.#ids.byteOffset);
  }

  /** Returns who reported a row: 0 for captures. */
  originOf(row: number): number {
    const kind = this.cells[row * WIDTH + KIND];
    if ((kind & LOGGED) === 0) return 0;
    return isIcmp(kind & 255) ? this.portOf(row, 0) : kind >>> ORIGIN_SHIFT;
  }

  portOf(row: number, side: number): number {
    const ports = this.cells[row * WIDTH + PORTS];
    return side === 0 ? ports >>> 16 : ports & 0xffff;
  }

  /** Rows have changed places: what was found of them is found anew. */
  protected releaseIds(): void {
    if (this.#idBits > 0) this.kernel.calls.release(this.#ids.byteOffset, this.#idBits);
    [this.#ids, this.#idBits] = [new Int32Array(0), 0];
  }
}

/** Rows that are looked at only: no more come. */
export class RowsApart extends FlowRows {
  readonly kernel: Kernel;
  readonly cells: Int32Array;
  readonly size: number;
  readonly epochs: AddressEpochs | undefined;

  constructor(of: FlowRows, cells: Int32Array) {
    super(of.addresses, of.origins);
    this.kernel = of.kernel;
    this.cells = cells;
    this.size = cells.length / WIDTH;
    this.epochs = of.epochs;
  }

  /** Gives the memory of the rows back: they must not be looked at any more. */
  release(): void {
    this.releaseIds();
    this.kernel.calls.release(this.cells.byteOffset, bitsOf(4 * this.cells.length));
  }
}
