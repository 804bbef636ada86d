import {
  A_WORD,
  B_WORD,
  FIRST_NS,
  FIRST_SECONDS,
  HAS_EPOCHS,
  KIND,
  LAST_NS,
  LAST_SECONDS,
  SIDE,
  SIZE,
  STATE,
  UNTIMED,
  WIDTH,
  WORDS_ARE_IDS,
} from "../kernel/constants.ts";
import { AddressTable } from "./addressTable.ts";
import { type AddressEpochs, FlowRows } from "./flowRows.ts";
import { Kernel } from "./kernel.ts";
import { Origins } from "./origins.ts";

export * from "./flowRows.ts";

/** Connections by 5-tuple. Rows are numbered from 0 in order of first appearance. The kernel holds them, and finds and adds rows. */
export class FlowTable extends FlowRows {
  readonly kernel: Kernel;
  cells: Int32Array = new Int32Array(0);
  #epochs: AddressEpochs | undefined;

  constructor(seed: number = (Math.random() * 0x7fffffff) | 0) {
    super(new AddressTable(seed), new Origins());
    this.kernel = new Kernel({
      moved: (cells, rows) => (this.cells = this.kernel.words(cells, rows * WIDTH)),
      intern: (w0, w1, w2, w3) => this.addresses.intern(w0, w1, w2, w3, 0),
      isReused: (a, b, kind) => this.#isReused(a, b, (kind & WORDS_ARE_IDS) !== 0),
      changedHands: (row, seconds) => this.changedHands(row, seconds >>> 0),
    });
    this.kernel.calls.begin(seed);
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

  /** Drops the rows that are not wanted; the others keep their order. */
  keep(isWanted: (row: number) => boolean): void {
    const { cells, size } = this;
    let kept = 0;
    for (let row = 0; row < size; row++) if (isWanted(row)) cells.copyWithin(kept++ * WIDTH, row * WIDTH, (row + 1) * WIDTH);
    // New rows begin with zeros.
    cells.fill(0, kept * WIDTH, size * WIDTH);
    this.kernel.state[SIZE] = kept;
    this.kernel.calls.indexRows();
    this.releaseIds();
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

  /** Adds packets that `side` sent, without widening the time span. */
  addPackets(row: number, side: number, packets: number): void {
    this.kernel.calls.addPackets(row, side, packets);
  }

  /** Widens the row's time span to hold a moment; captures may go back in time. */
  touch(row: number, seconds: number, nanoseconds: number): void {
    this.kernel.calls.touch(row, seconds, nanoseconds);
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

  #isReused(a: number, b: number, ids: boolean): boolean {
    const epochs = this.#epochs!;
    return epochs.isReused(a, ids) || epochs.isReused(b, ids);
  }
}
