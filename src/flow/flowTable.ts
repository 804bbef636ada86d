import {
  A_BYTES,
  A_PACKETS,
  A_WORD,
  B_WORD,
  BYTES_HIGH,
  FIRST_NS,
  FIRST_SECONDS,
  HAS_EPOCHS,
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
  SIDE,
  SIZE,
  STATE,
  UNTIMED,
  WIDTH,
  WORDS_ARE_IDS,
} from "../kernel/constants.ts";
import { isIcmp } from "../net/protocol.ts";
import { AddressTable } from "./addressTable.ts";
import { Kernel } from "./kernel.ts";
import { Origins } from "./origins.ts";

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

/** Connections by 5-tuple. Rows are numbered from 0 in order of first appearance. The kernel holds them, and finds and adds rows. */
export class FlowTable {
  readonly kernel: Kernel;
  readonly addresses: AddressTable;
  readonly origins: Origins;
  cells: Int32Array = new Int32Array(0);
  /** By address-table id, the one that stands for the same end (see canonicalEnds); undefined: each its own. */
  standing: Int32Array | undefined;

  #epochs: AddressEpochs | undefined;
  #ids = new Int32Array(0);
  readonly #seed: number;

  /** `like`: a table whose addresses and reporters this one shares. */
  constructor(seed: number = (Math.random() * 0x7fffffff) | 0, like?: FlowTable) {
    this.#seed = seed;
    this.addresses = like?.addresses ?? new AddressTable(seed | 1);
    this.origins = like?.origins ?? new Origins();
    this.kernel = new Kernel({
      moved: (cells, rows) => (this.cells = this.kernel.words(cells, rows * WIDTH)),
      intern: (w0, w1, w2, w3) => this.addresses.intern(w0, w1, w2, w3, 0),
      isReused: (a, b, kind) => this.#isReused(a, b, (kind & WORDS_ARE_IDS) !== 0),
      changedHands: (row, seconds) => this.changedHands(row, seconds >>> 0),
    });
    this.kernel.calls.begin(seed);
    this.epochs = like?.epochs;
  }

  get size(): number {
    return this.kernel.state[SIZE];
  }

  /** The side that sent the packet of the latest `locate`: 0 for A, 1 for B. */
  get side(): number {
    return this.kernel.state[SIDE];
  }

  get epochs(): AddressEpochs | undefined {
    return this.#epochs;
  }

  set epochs(epochs: AddressEpochs | undefined) {
    this.#epochs = epochs;
    this.kernel.state[HAS_EPOCHS] = epochs === undefined ? 0 : 1;
  }

  /** Returns a table of the rows that `isWanted`, in their order, sharing addresses and reporters with this one. */
  filter(isWanted: (row: number) => boolean): FlowTable {
    const rows: number[] = [];
    for (let row = 0; row < this.size; row++) if (isWanted(row)) rows.push(row);
    const part = new FlowTable(this.#seed, this);
    part.kernel.calls.reserve(rows.length);
    rows.forEach((row, i) => part.cells.set(this.cells.subarray(row * WIDTH, (row + 1) * WIDTH), i * WIDTH));
    part.kernel.calls.indexRows();
    return part;
  }

  /**
   * Returns the newest row of a packet's tuple, or -1, and sets `side`. Words are 32-bit integers (IPv4 addresses, or ids of
   * the address table with WORDS_ARE_IDS in `kind`), ports 0..65535.
   */
  locate(source: number, destination: number, sourcePort: number, destinationPort: number, kind: number): number {
    return this.kernel.calls.locate(source, destination, sourcePort, destinationPort, kind);
  }

  /**
   * Adds a row for a tuple and makes it the newest of that tuple. INVARIANT: the latest `locate` was for this very tuple, so
   * that `side` and the place in the index are known. Times in seconds and nanoseconds.
   */
  add(
    source: number,
    destination: number,
    sourcePort: number,
    destinationPort: number,
    kind: number,
    seconds: number,
    nanoseconds: number,
  ): number {
    return this.kernel.calls.add(source, destination, sourcePort, destinationPort, kind, seconds, nanoseconds);
  }

  /** Counts one packet of `bytes` on the wire, sent by `side`, and widens the row's time span. */
  count(row: number, side: number, bytes: number, seconds: number, nanoseconds: number): void {
    this.kernel.calls.count(row, side, bytes, seconds, nanoseconds);
  }

  /** Adds bytes that `side` sent. */
  addBytes(row: number, side: number, bytes: number): void {
    this.kernel.calls.addBytes(row, side, bytes);
  }

  /** Widens the row's time span to hold a moment; captures may go back in time. */
  touch(row: number, seconds: number, nanoseconds: number): void {
    this.kernel.calls.touch(row, seconds, nanoseconds);
  }

  /** Adds to the high half of a sum; one that would not fit stays at the most that does. */
  #carry(at: number, side: number, high: number): void {
    const shift = side << 4;
    const sum = Math.min(MOST_HIGH, ((this.cells[at] >>> shift) & MOST_HIGH) + high);
    this.cells[at] = (this.cells[at] & ~(MOST_HIGH << shift)) | (sum << shift);
  }

  /** Adds packets that a log says `side` sent, without widening the time span. */
  addPackets(row: number, side: number, packets: number): void {
    const cell = row * WIDTH;
    const sum = (this.cells[cell + A_PACKETS + side] >>> 0) + packets;
    this.cells[cell + A_PACKETS + side] = sum;
    if (sum > 0xffffffff) this.#carry(cell + PACKETS_HIGH, side, Math.floor(sum / 0x1_0000_0000));
  }

  /** The same where the row may have no time yet: a log's earlier records may have had none. */
  touchLogged(row: number, seconds: number, nanoseconds: number): void {
    const cell = row * WIDTH;
    const { cells } = this;
    if ((cells[cell + STATE] & UNTIMED) !== 0) {
      cells[cell + STATE] &= ~UNTIMED;
      cells[cell + FIRST_SECONDS] = cells[cell + LAST_SECONDS] = seconds;
      cells[cell + FIRST_NS] = cells[cell + LAST_NS] = nanoseconds;
    } else this.touch(row, seconds, nanoseconds);
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

  /** Reports whether an end of the row's tuple belongs to another party at `seconds` than when the row began. */
  changedHands(row: number, seconds: number): boolean {
    const epochs = this.epochs;
    if (epochs === undefined) return false;
    const cell = row * WIDTH;
    const ids = (this.cells[cell + KIND] & WORDS_ARE_IDS) !== 0;
    const began = this.firstSeconds(row);
    const changed = (word: number) => epochs.isReused(word, ids) && epochs.epochAt(word, ids, began) !== epochs.epochAt(word, ids, seconds);
    return changed(this.cells[cell + A_WORD]) || changed(this.cells[cell + B_WORD]);
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

  /** Whatever works on rows asks for their addresses many times: IPv4 words are looked up once. */
  #findIds(): void {
    const { cells } = this;
    const ids = new Int32Array(this.size * 2);
    ids.set(this.#ids);
    // Few addresses make many rows: the place of a word holds the end that it was met at last.
    const latest = new Int32Array(1 << 12).fill(-1);
    for (let at = this.#ids.length; at < ids.length; at++) {
      const cell = (at >> 1) * WIDTH;
      const word = cells[cell + A_WORD + (at & 1)];
      if ((cells[cell + KIND] & WORDS_ARE_IDS) !== 0) {
        ids[at] = word;
        continue;
      }
      const place = Math.imul(word, 0x9e3779b1) >>> 20;
      const same = latest[place];
      ids[at] = same >= 0 && cells[(same >> 1) * WIDTH + A_WORD + (same & 1)] === word ? ids[same] : this.addresses.internIPv4(word);
      latest[place] = at;
    }
    this.#ids = ids;
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

  #isReused(a: number, b: number, ids: boolean): boolean {
    const epochs = this.#epochs!;
    return epochs.isReused(a, ids) || epochs.isReused(b, ids);
  }
}
