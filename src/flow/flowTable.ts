import { isIcmp } from "../net/protocol.ts";
import { AddressTable } from "./addressTable.ts";
import { Origins } from "./origins.ts";

/*
 * One row a connection, in typed arrays: no object a packet and none a connection.
 *
 * A row's two sides are A and B, ordered by address word and port, so that both directions of a tuple find the same row.
 * `side` says which of them sent a packet: 0 for A, 1 for B. A 5-tuple that is used again (a new SYN with another initial
 * sequence number, an address that changed hands) gets a new row; the index then leads to the newest.
 */

/** Columns of a row, 32 bits each: a row is one cache line of 64 bytes, since a packet's cost is that of fetching its row. */
export const A_WORD = 0; // IPv4: the address in network order; else an id of the address table
export const B_WORD = 1;
export const PORTS = 2; // A's port in the high half, B's in the low half; ICMP echo: the identifier in both
export const KIND = 3; // protocol number and the bits below
const A_PACKETS = 4; // sent by A; B's are in the next column
const A_BYTES = 6; // sent by A, low 32 bits; B's are in the next column
export const STATE = 8;
const LAST_SECONDS = 9; // unsigned
const LAST_NS = 10;
export const ISN = 11; // initial sequence number (SCTP: initiate tag) of the initiator, valid with HAS_ISN
export const RECORDS = 11; // with NO_SOURCE_PORT: log records that the row stands for
export const TOTALS = 11; // of other stated connections of a log: 1 where what A or B sent is what both sent
// What every packet touches stands above: buffers begin 16 bytes into a cache line.
const FIRST_SECONDS = 12; // unsigned
const FIRST_NS = 13;
const BYTES_HIGH = 14; // bits 32..47 of A's bytes in the low half, of B's in the high half
/** Fingerprint of the last packet with its hop limit in the low 8 bits. */
const LAST_PRINT = 15;
/** Of rows of logs, which have no fingerprints: bits 32..47 of A's packets in the low half, of B's in the high half. */
const PACKETS_HIGH = 15;
/** 48 bits: more than any honest log counts. */
const MOST_HIGH = 0xffff;
const WIDTH = 16;

/** Rows at the start, and the bits that number the slots. */
const FIRST_ROWS = 1 << 11;
const FIRST_SLOT_BITS = 15;
const MANY_ROWS = 1 << 19;

/** No row has all bits set, since the index is never full. */
const FREE = -1;

/** State bits. Those of a pair are for A; shifted left by the side they are for B. */
export const OPENED = 1; // sent SYN without ACK, SCTP INIT, an ICMP request, or is a log's stated initiator
export const ACCEPTED = 1 << 2; // sent SYN+ACK, SCTP INIT ACK, an ICMP reply
export const SPOKE = 1 << 4; // sent something that is part of an open connection (a segment with ACK and without SYN and RST)
export const RESET = 1 << 6; // sent RST, SCTP ABORT
export const FINISHED = 1 << 8; // sent FIN, SCTP SHUTDOWN
export const LOOKED = 1 << 10; // its first payload was looked at for L7 hints
export const CLOUD_ACCEPTED = LOOKED; // of a log, which has no payload: a cloud's own firewall let it pass
export const B_BEGAN = 1 << 12; // the first packet seen came from B
export const HAS_ISN = 1 << 13;
export const REFUSED_BY_ERROR = 1 << 14; // an ICMP error said that nobody listens there
export const UNREACHED_BY_ERROR = 1 << 15; // an ICMP error said that the way ends somewhere
export const PROHIBITED_BY_ERROR = 1 << 16; // an ICMP error said "administratively prohibited", or a log said deny or drop
export const ERROR_SENT_TO_B = 1 << 17; // with one of the three above: B sent what the error answers, so B began
export const REUSED_ADDRESS = 1 << 18; // an end's address belongs to several parties over time
export const UNCOUNTED = 1 << 19; // packets and bytes are not known (a log without counters)
export const STATED_ALLOWED = 1 << 20; // a log said that it was allowed
export const UNTIMED = 1 << 21; // a log gave no time
export const UNJUDGED = 1 << 22; // a log gave no verdict
export const PERHAPS_REPLY = 1 << 24; // a log may have stored a reply as a connection of its own
export const UNTALLIED = 1 << 23; // a log keeps one record however often the connection was made
export const SYNCED = 1 << 25; // of a pair: sent SYN, and ACK in the same or another packet
export const ORDER_UNSURE = 1 << 27; // which side of a log's halves sent first is not told
export const DENIAL_DECIDES = 1 << 28; // a log that sees several points of the way said deny: allowed at another is not arrived
export const NO_ANSWER = 1 << 29; // a log that sees both directions says that nothing came back
export const CLOUD_DENIED = 1 << 30; // a cloud's own firewall denied it, and no network policy
/** A log has one direction a record: that none in the other is there says nothing. The sign bit, which shifting fills up with. */
export const HALVES_ONLY = 1 << 31;

/** KIND bits beside the protocol number (0..255). */
export const WORDS_ARE_IDS = 1 << 8;
/** The direction is part of the key: A is the initiator (or the sender), unless INITIATOR_IS_B. */
export const ONE_WAY = 1 << 9;
export const INITIATOR_IS_B = 1 << 10;
/** As ONE_WAY, for what has replies: A sent the request, unless INITIATOR_IS_B. */
export const DIRECTED = 1 << 12;
/** A record without source port: PORTS holds the responder's port in both halves and RECORDS counts. */
export const NO_SOURCE_PORT = 1 << 11;
/** A record without source port that a log says was denied: what was allowed there is a row of its own, so that each is counted. */
export const STATED_DENIED = 1 << 13;
/** A row of a log. Its bits from ORIGIN_SHIFT on are who reported it (see Origins); ICMP, which needs them, has that in PORTS. */
export const LOGGED = 1 << 14;
export const ORIGIN_SHIFT = 16;
const ICMP_TYPE_SHIFT = 16;
const ICMP_CODE_SHIFT = 24;

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

/** Connections by 5-tuple. Rows are numbered from 0 in order of first appearance. */
export class FlowTable {
  readonly addresses: AddressTable;
  readonly origins: Origins;
  cells = new Int32Array(0);
  size = 0;
  /** The side that sent the packet of the latest `locate`: 0 for A, 1 for B. */
  side = 0;
  epochs: AddressEpochs | undefined;
  /** By address-table id, the one that stands for the same end (see canonicalEnds); undefined: each its own. */
  standing: Int32Array | undefined;

  /**
   * Open addressing. A slot holds a row in its low bits (as many as slots take to number) and the top bits of the tuple's hash
   * above them, so that a probe reads hardly a row but its own; FREE: empty. Small, since it should stay in the cache.
   */
  #index = new Int32Array(0);
  #last = -1;
  #ids = new Int32Array(0);
  /** Tag (the hash without its low bits) and slot of the tuple that was looked for last, so that `add` need not look again. */
  #tag = 0;
  #slot = 0;
  /** 32 less the bits that number the slots. */
  #shift = 0;
  readonly #seed: number;

  /** `like`: a table whose addresses and reporters this one shares. */
  constructor(seed: number = (Math.random() * 0x7fffffff) | 0, like?: FlowTable) {
    this.#seed = seed | 1;
    // V8 takes a field that was written once for a constant, and throws away what it has compiled with it when the table grows.
    this.cells = new Int32Array(FIRST_ROWS * WIDTH);
    this.#index = new Int32Array(1 << FIRST_SLOT_BITS).fill(FREE);
    this.#shift = 32 - FIRST_SLOT_BITS;
    this.addresses = like?.addresses ?? new AddressTable(this.#seed);
    this.origins = like?.origins ?? new Origins();
    this.epochs = like?.epochs;
  }

  /** Returns a table of the rows that `isWanted`, in their order, sharing addresses and reporters with this one. */
  filter(isWanted: (row: number) => boolean): FlowTable {
    const part = new FlowTable(this.#seed, this);
    for (let row = 0; row < this.size; row++) {
      if (!isWanted(row)) continue;
      if (part.size * WIDTH >= part.cells.length) part.#growRows();
      part.cells.set(this.cells.subarray(row * WIDTH, (row + 1) * WIDTH), part.size++ * WIDTH);
      if (part.size * 3 > part.#index.length * 2) part.#growIndex();
    }
    part.#rebuildIndex();
    return part;
  }

  /**
   * Returns the newest row of a packet's tuple, or -1, and sets `side`. Words are 32-bit integers (IPv4 addresses, or ids of
   * the address table with WORDS_ARE_IDS in `kind`), ports 0..65535.
   */
  locate(source: number, destination: number, sourcePort: number, destinationPort: number, kind: number): number {
    let a = source;
    let b = destination;
    let ports = (sourcePort << 16) | destinationPort;
    this.side = 0;
    if (source > destination || (source === destination && sourcePort > destinationPort)) {
      a = destination;
      b = source;
      ports = (destinationPort << 16) | sourcePort;
      this.side = 1;
      if ((kind & (ONE_WAY | DIRECTED)) !== 0) kind |= INITIATOR_IS_B;
    }
    const cells = this.cells;
    const last = this.#last * WIDTH;
    // INVARIANT: `#tag` and `#slot` are those of the tuple that was looked for last, found or not; `#last` is its row or -1.
    if (last >= 0 && cells[last] === a && cells[last + 1] === b && cells[last + 2] === ports && cells[last + 3] === kind) return this.#last;
    const index = this.#index;
    const mask = index.length - 1;
    const hash = this.#hash(a, b, ports, kind);
    const tag = hash & ~mask;
    // A slot is taken from other bits than the tag, or the tags of neighbours would be alike.
    let slot = Math.imul(hash, 0x9e3779b1) >>> this.#shift;
    let row = -1;
    for (let entry = index[slot]; entry !== FREE; entry = index[(slot = (slot + 1) & mask)]) {
      if ((entry & ~mask) !== tag) continue;
      const cell = (entry & mask) * WIDTH;
      if (cells[cell] === a && cells[cell + 1] === b && cells[cell + 2] === ports && cells[cell + 3] === kind) {
        row = entry & mask;
        break;
      }
    }
    this.#tag = tag;
    this.#slot = slot;
    this.#last = row;
    return row;
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
    const row = this.size++;
    if (row * WIDTH >= this.cells.length) this.#growRows();
    const cell = row * WIDTH;
    const cells = this.cells;
    const swapped = this.side === 1;
    cells[cell + A_WORD] = swapped ? destination : source;
    cells[cell + B_WORD] = swapped ? source : destination;
    cells[cell + PORTS] = swapped ? (destinationPort << 16) | sourcePort : (sourcePort << 16) | destinationPort;
    cells[cell + KIND] = swapped && (kind & (ONE_WAY | DIRECTED)) !== 0 ? kind | INITIATOR_IS_B : kind;
    cells[cell + STATE] = swapped ? B_BEGAN : 0;
    cells[cell + FIRST_SECONDS] = seconds;
    cells[cell + FIRST_NS] = nanoseconds;
    cells[cell + LAST_SECONDS] = seconds;
    cells[cell + LAST_NS] = nanoseconds;
    if (this.epochs !== undefined) this.#markReused(cell);
    this.#index[this.#slot] = this.#tag | row;
    this.#last = row;
    if (this.size * 3 > this.#index.length * 2) this.#growIndex();
    return row;
  }

  /** Counts one packet of `bytes` on the wire, sent by `side`, and widens the row's time span. */
  count(row: number, side: number, bytes: number, seconds: number, nanoseconds: number): void {
    const cell = row * WIDTH;
    const cells = this.cells;
    cells[cell + A_PACKETS + side]++;
    this.addBytes(row, side, bytes);
    const last = cells[cell + LAST_SECONDS] >>> 0;
    if (seconds > last || (seconds === last && nanoseconds >= cells[cell + LAST_NS])) {
      cells[cell + LAST_SECONDS] = seconds;
      cells[cell + LAST_NS] = nanoseconds;
    } else this.touch(row, seconds, nanoseconds);
  }

  /**
   * Reports whether a packet is the one before on its row, forwarded: the same fingerprint (whose low 8 bits are the hop limit)
   * with another hop limit. Remembers it if not.
   */
  isForwarded(row: number, print: number): boolean {
    const at = row * WIDTH + LAST_PRINT;
    const changed = this.cells[at] ^ print;
    if (changed > 0 && changed < 256) return true;
    this.cells[at] = print;
    return false;
  }

  /** Adds bytes that `side` sent. */
  addBytes(row: number, side: number, bytes: number): void {
    const cell = row * WIDTH;
    const cells = this.cells;
    const sum = (cells[cell + A_BYTES + side] >>> 0) + bytes;
    cells[cell + A_BYTES + side] = sum;
    if (sum > 0xffffffff) this.#carry(cell + BYTES_HIGH, side, Math.floor(sum / 0x1_0000_0000));
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

  /** Widens the row's time span to hold a moment; captures may go back in time. */
  touch(row: number, seconds: number, nanoseconds: number): void {
    const cell = row * WIDTH;
    const cells = this.cells;
    const last = cells[cell + LAST_SECONDS] >>> 0;
    if (seconds > last || (seconds === last && nanoseconds > cells[cell + LAST_NS])) {
      cells[cell + LAST_SECONDS] = seconds;
      cells[cell + LAST_NS] = nanoseconds;
    }
    const first = cells[cell + FIRST_SECONDS] >>> 0;
    if (seconds < first || (seconds === first && nanoseconds < cells[cell + FIRST_NS])) {
      cells[cell + FIRST_SECONDS] = seconds;
      cells[cell + FIRST_NS] = nanoseconds;
    }
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

  #markReused(cell: number): void {
    const ids = (this.cells[cell + KIND] & WORDS_ARE_IDS) !== 0;
    if (this.epochs!.isReused(this.cells[cell + A_WORD], ids) || this.epochs!.isReused(this.cells[cell + B_WORD], ids))
      this.cells[cell + STATE] |= REUSED_ADDRESS;
  }

  #hash(a: number, b: number, ports: number, kind: number): number {
    const hash = Math.imul(a, this.#seed) ^ Math.imul(b, 0x85ebca6b) ^ Math.imul(ports, 0xc2b2ae35) ^ kind;
    return Math.imul(hash ^ (hash >>> 15), this.#seed);
  }

  /** Four times as large, since copying costs and what is not touched yet takes no memory; of many rows twice. */
  get #growthBits(): number {
    return this.size < MANY_ROWS ? 2 : 1;
  }

  /** INVARIANT: the index holds the newest row of each tuple, and no other. Rows are read in order: memory likes it. */
  #growIndex(): void {
    this.#shift -= this.#growthBits;
    this.#index = new Int32Array(this.#index.length << this.#growthBits);
    this.#rebuildIndex();
  }

  #rebuildIndex(): void {
    const index = this.#index.fill(FREE);
    const mask = index.length - 1;
    const { cells } = this;
    for (let row = 0; row < this.size; row++) {
      const cell = row * WIDTH;
      const hash = this.#hash(cells[cell + A_WORD], cells[cell + B_WORD], cells[cell + PORTS], cells[cell + KIND]);
      const tag = hash & ~mask;
      let slot = Math.imul(hash, 0x9e3779b1) >>> this.#shift;
      while (index[slot] !== FREE && !((index[slot] & ~mask) === tag && this.#sameTuple(index[slot] & mask, row))) slot = (slot + 1) & mask;
      index[slot] = tag | row;
    }
    // The slot that was found last means nothing in the new index.
    this.#last = -1;
  }

  #sameTuple(row: number, other: number): boolean {
    const { cells } = this;
    for (let column = A_WORD; column <= KIND; column++) if (cells[row * WIDTH + column] !== cells[other * WIDTH + column]) return false;
    return true;
  }

  #growRows(): void {
    const cells = new Int32Array(this.cells.length * 2 ** this.#growthBits);
    cells.set(this.cells);
    this.cells = cells;
  }
}
