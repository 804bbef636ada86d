import {
  A_BYTES,
  A_PACKETS,
  A_WORD,
  B_BEGAN,
  B_WORD,
  BYTES_HIGH,
  DIRECTED,
  FIRST_NS,
  FIRST_SECONDS,
  HAS_EPOCHS,
  INITIATOR_IS_B,
  KIND,
  LAST_NS,
  LAST_PRINT,
  LAST_SECONDS,
  MOST_HIGH,
  ONE_WAY,
  PACKETS_HIGH,
  PORTS,
  REUSED_ADDRESS,
  ROW_BITS,
  SIDE,
  SIZE,
  STATE,
} from "./constants";
import { isReused, moved } from "./host";
import { allocate, allocateEmpty, release, setWord, state, wordAt } from "./memory";

/** Bits that number the rows and the slots at the start. */
const FIRST_ROW_BITS = 11;
const FIRST_SLOT_BITS = 15;
const MANY_ROWS = 1 << 19;
/** No row has all bits set, since the index is never full. */
const FREE = -1;

let cells: usize = 0;
let rowBits = FIRST_ROW_BITS;
/**
 * Open addressing. A slot holds a row in its low bits (as many as slots take to number) and the top bits of the tuple's hash above them,
 * so that a probe reads hardly a row but its own; FREE: empty. Small, since it should stay in the cache.
 */
let index: usize = 0;
let slotBits = FIRST_SLOT_BITS;
let seed = 1;
/** The row that was looked for last, or -1. */
let last = -1;
/** Tag (the hash without its low bits) and slot of the tuple that was looked for last, so that `add` need not look again. */
let tag = 0;
let slot = 0;

/** Begins an empty table. `hashSeed` keys the hash: input made to collide under one does not collide under another. */
export function begin(hashSeed: i32): void {
  seed = hashSeed | 1;
  cells = allocateEmpty(rowBits + ROW_BITS);
  index = allocate(slotBits + 2);
  memory.fill(index, 0xff, 4 << slotBits);
  moved(cells, 1 << rowBits);
}

/** Returns the key of all hashes. */
export function hashSeed(): i32 {
  return seed;
}

function cellsOf(row: i32): usize {
  return cells + ((<usize>row) << ROW_BITS);
}

export function get(row: i32, column: i32): i32 {
  return load<i32>(cellsOf(row) + (column << 2));
}

export function set(row: i32, column: i32, value: i32): void {
  store<i32>(cellsOf(row) + (column << 2), value);
}

export function setState(row: i32, bits: i32): void {
  const at = cellsOf(row) + (STATE << 2);
  store<i32>(at, load<i32>(at) | bits);
}

export function side(): i32 {
  return load<i32>(state, SIDE << 2);
}

function hashOf(a: i32, b: i32, ports: i32, kind: i32): i32 {
  const hash = (a * seed) ^ (b * 0x85ebca6b) ^ (ports * 0xc2b2ae35) ^ kind;
  return (hash ^ (hash >>> 15)) * seed;
}

function isTuple(at: usize, a: i32, b: i32, ports: i32, kind: i32): bool {
  return (
    load<i32>(at, A_WORD << 2) === a &&
    load<i32>(at, B_WORD << 2) === b &&
    load<i32>(at, PORTS << 2) === ports &&
    load<i32>(at, KIND << 2) === kind
  );
}

/** Returns the slot of a tuple: that of its newest row, or a free one where it has none. */
function find(hash: i32, a: i32, b: i32, ports: i32, kind: i32): i32 {
  const mask = (1 << slotBits) - 1;
  // A slot is taken from other bits than the tag, or the tags of neighbours would be alike.
  let place = <i32>(<u32>(hash * 0x9e3779b1) >>> (32 - slotBits));
  let entry = entryAt(place);
  while (entry !== FREE && (((entry ^ hash) & ~mask) !== 0 || !isTuple(cellsOf(entry & mask), a, b, ports, kind))) {
    place = (place + 1) & mask;
    entry = entryAt(place);
  }
  return place;
}

function entryAt(place: i32): i32 {
  return wordAt(index, place);
}

function setEntry(place: i32, entry: i32): void {
  setWord(index, place, entry);
}

/** Returns the newest row of a packet's tuple, or -1, and sets the side. */
export function locate(source: i32, destination: i32, sourcePort: i32, destinationPort: i32, kind: i32): i32 {
  let a = source;
  let b = destination;
  let ports = (sourcePort << 16) | destinationPort;
  let sender = 0;
  if (source > destination || (source === destination && sourcePort > destinationPort)) {
    a = destination;
    b = source;
    ports = (destinationPort << 16) | sourcePort;
    sender = 1;
    if ((kind & (ONE_WAY | DIRECTED)) !== 0) kind |= INITIATOR_IS_B;
  }
  store<i32>(state, sender, SIDE << 2);
  // INVARIANT: `tag` and `slot` are those of the tuple that was looked for last, found or not; `last` is its row or -1.
  if (last >= 0 && isTuple(cellsOf(last), a, b, ports, kind)) return last;
  const mask = (1 << slotBits) - 1;
  const hash = hashOf(a, b, ports, kind);
  tag = hash & ~mask;
  slot = find(hash, a, b, ports, kind);
  const entry = entryAt(slot);
  last = entry === FREE ? -1 : entry & mask;
  return last;
}

/**
 * Adds a row for a tuple and makes it the newest of that tuple. INVARIANT: the latest `locate` was for this very tuple, so that the side
 * and the place in the index are known.
 */
export function add(source: i32, destination: i32, sourcePort: i32, destinationPort: i32, kind: i32, seconds: u32, nanoseconds: i32): i32 {
  const row = load<i32>(state, SIZE << 2);
  if (row === 1 << rowBits) growRows();
  store<i32>(state, row + 1, SIZE << 2);
  const at = cellsOf(row);
  const swapped = side() === 1;
  const a = swapped ? destination : source;
  const b = swapped ? source : destination;
  store<i32>(at, a, A_WORD << 2);
  store<i32>(at, b, B_WORD << 2);
  store<i32>(at, swapped ? (destinationPort << 16) | sourcePort : (sourcePort << 16) | destinationPort, PORTS << 2);
  store<i32>(at, swapped && (kind & (ONE_WAY | DIRECTED)) !== 0 ? kind | INITIATOR_IS_B : kind, KIND << 2);
  store<i32>(at, swapped ? B_BEGAN : 0, STATE << 2);
  store<u32>(at, seconds, FIRST_SECONDS << 2);
  store<i32>(at, nanoseconds, FIRST_NS << 2);
  store<u32>(at, seconds, LAST_SECONDS << 2);
  store<i32>(at, nanoseconds, LAST_NS << 2);
  if (load<i32>(state, HAS_EPOCHS << 2) !== 0 && isReused(a, b, kind)) setState(row, REUSED_ADDRESS);
  setEntry(slot, tag | row);
  last = row;
  if ((row + 1) * 3 > 2 << slotBits) growIndex();
  return row;
}

/** Counts one packet of `bytes` on the wire, sent by `sender`, and widens the row's time span. */
export function count(row: i32, sender: i32, bytes: u32, seconds: u32, nanoseconds: i32): void {
  const at = cellsOf(row);
  const packets = at + ((A_PACKETS + sender) << 2);
  store<i32>(packets, load<i32>(packets) + 1);
  addBytes(row, sender, <f64>bytes);
  // Nearly every packet is its row's latest: whether it is the first is not asked (5 % of reading small packets).
  const latest = load<u32>(at, LAST_SECONDS << 2);
  if (seconds > latest || (seconds === latest && nanoseconds >= load<i32>(at, LAST_NS << 2))) {
    store<u32>(at, seconds, LAST_SECONDS << 2);
    store<i32>(at, nanoseconds, LAST_NS << 2);
  } else touch(row, seconds, nanoseconds);
}

/** Adds bytes (a whole number) that `sender` sent. */
export function addBytes(row: i32, sender: i32, bytes: f64): void {
  addTo(cellsOf(row), A_BYTES, BYTES_HIGH, sender, bytes);
}

/** Adds packets (a whole number) that `sender` sent, without widening the time span. */
export function addPackets(row: i32, sender: i32, packets: f64): void {
  addTo(cellsOf(row), A_PACKETS, PACKETS_HIGH, sender, packets);
}

/** Adds to a sum whose low half is in a column of each side, and whose high half shares one with the other side's. */
function addTo(cell: usize, lowColumn: i32, highColumn: i32, sender: i32, more: f64): void {
  const low = cell + ((lowColumn + sender) << 2);
  const sum = <u64>load<u32>(low) + <u64>more;
  store<u32>(low, <u32>sum);
  if (sum > 0xffffffff) carry(cell + (highColumn << 2), sender, sum >> 32);
}

/** Adds to the high half of a sum; one that would not fit stays at the most that does. */
function carry(at: usize, sender: i32, high: u64): void {
  const shift = sender << 4;
  const halves = load<i32>(at);
  const sum = min<u64>(MOST_HIGH, <u64>((halves >>> shift) & MOST_HIGH) + high);
  store<i32>(at, (halves & ~(MOST_HIGH << shift)) | ((<i32>sum) << shift));
}

/** Widens the row's time span to hold a moment; captures may go back in time. */
export function touch(row: i32, seconds: u32, nanoseconds: i32): void {
  const at = cellsOf(row);
  const latest = load<u32>(at, LAST_SECONDS << 2);
  if (seconds > latest || (seconds === latest && nanoseconds > load<i32>(at, LAST_NS << 2))) {
    store<u32>(at, seconds, LAST_SECONDS << 2);
    store<i32>(at, nanoseconds, LAST_NS << 2);
  }
  const first = load<u32>(at, FIRST_SECONDS << 2);
  if (seconds < first || (seconds === first && nanoseconds < load<i32>(at, FIRST_NS << 2))) {
    store<u32>(at, seconds, FIRST_SECONDS << 2);
    store<i32>(at, nanoseconds, FIRST_NS << 2);
  }
}

/**
 * Reports whether a packet is the one before on its row, forwarded: the same fingerprint (whose low 8 bits are the hop limit) with another
 * hop limit. Remembers it if not.
 */
export function isForwarded(row: i32, print: i32): bool {
  const at = cellsOf(row) + (LAST_PRINT << 2);
  const changed = load<i32>(at) ^ print;
  if (changed > 0 && changed < 256) return true;
  store<i32>(at, print);
  return false;
}

/** Four times as large, since copying costs and what is not touched yet takes no memory; of many rows twice. */
function growthBits(): i32 {
  return load<i32>(state, SIZE << 2) < MANY_ROWS ? 2 : 1;
}

function growRows(): void {
  const old = cells;
  const oldBits = rowBits + ROW_BITS;
  rowBits += growthBits();
  cells = allocateEmpty(rowBits + ROW_BITS);
  memory.copy(cells, old, (<usize>1) << oldBits);
  release(old, oldBits);
  moved(cells, 1 << rowBits);
}

function growIndex(): void {
  release(index, slotBits + 2);
  slotBits += growthBits();
  index = allocate(slotBits + 2);
  indexRows();
}

/**
 * Indexes all rows anew: there is more room, or the program has moved them. INVARIANT: the index holds the newest row of each tuple, and
 * no other. Rows are read in order: memory likes it.
 */
export function indexRows(): void {
  const size = load<i32>(state, SIZE << 2);
  memory.fill(index, 0xff, (<usize>4) << slotBits);
  const mask = (1 << slotBits) - 1;
  for (let row = 0; row < size; row++) {
    const at = cellsOf(row);
    const a = load<i32>(at, A_WORD << 2);
    const b = load<i32>(at, B_WORD << 2);
    const ports = load<i32>(at, PORTS << 2);
    const kind = load<i32>(at, KIND << 2);
    const hash = hashOf(a, b, ports, kind);
    setEntry(find(hash, a, b, ports, kind), (hash & ~mask) | row);
  }
  // The slot that was found last means nothing in the new index.
  last = -1;
}
