import { idOfIPv4 } from "./addresses";
import {
  A_BYTES,
  A_PACKETS,
  A_WORD,
  BYTES_HIGH,
  FIRST_NS,
  FIRST_SECONDS,
  HAS_ISN,
  ISN,
  KIND,
  LAST_NS,
  LAST_SECONDS,
  LOGGED,
  MOST_HIGH,
  PACKETS_HIGH,
  PORTS,
  ROW_BITS,
  STATE,
  TCP,
  WORDS_ARE_IDS,
} from "./constants";
import { setWord, wordAt } from "./memory";

/*
 * The rows that are being joined into connections, as everything that joins them asks for them: the flow table's, or some that were
 * taken out of it.
 */

let cells: usize = 0;
let size = 0;
/** Two address-table ids a row. */
let ids: usize = 0;
/** By address-table id the one that stands for the same end; 0: each its own. */
let standing: usize = 0;
/** A byte a row: the side that began, and whether it was seen to. */
let initiators: usize = 0;
let seen: usize = 0;

/** Says which rows are being joined, and where what is found of them goes. */
export function beginJoin(rows: usize, count: i32, idsOfRows: usize, standingIds: usize, initiatorsOfRows: usize, seenOfRows: usize): void {
  cells = rows;
  size = count;
  ids = idsOfRows;
  standing = standingIds;
  initiators = initiatorsOfRows;
  seen = seenOfRows;
}

/** Finds the address-table ids of rows, `from` and later ones. */
export function findIds(rows: usize, from: i32, to: i32, into: usize): void {
  for (let row = from; row < to; row++) {
    const cell = rows + ((<usize>row) << ROW_BITS);
    const isId = (load<i32>(cell, KIND << 2) & WORDS_ARE_IDS) !== 0;
    for (let side = 0; side < 2; side++) {
      const word = load<i32>(cell + ((A_WORD + side) << 2));
      setWord(into, row * 2 + side, isId ? word : idOfIPv4(word));
    }
  }
}

export function rowCount(): i32 {
  return size;
}

function cellOfRow(row: i32): usize {
  return cells + ((<usize>row) << ROW_BITS);
}

export function kindOf(row: i32): i32 {
  return load<i32>(cellOfRow(row), KIND << 2);
}

export function protocolOf(row: i32): i32 {
  return kindOf(row) & 255;
}

export function stateOf(row: i32): i32 {
  return load<i32>(cellOfRow(row), STATE << 2);
}

export function markState(row: i32, bits: i32): void {
  store<i32>(cellOfRow(row), stateOf(row) | bits, STATE << 2);
}

export function columnOf(row: i32, column: i32): i32 {
  return load<i32>(cellOfRow(row) + (column << 2));
}

export function portOf(row: i32, side: i32): i32 {
  const ports = load<i32>(cellOfRow(row), PORTS << 2);
  return side === 0 ? ports >>> 16 : ports & 0xffff;
}

/** Returns the address-table id of a side's address. */
export function addressOf(row: i32, side: i32): i32 {
  return wordAt(ids, row * 2 + side);
}

/** Returns the address-table id that stands for a side's end. */
export function endOf(row: i32, side: i32): i32 {
  const id = addressOf(row, side);
  return standing === 0 ? id : wordAt(standing, id);
}

export function initiatorOf(row: i32): i32 {
  return load<u8>(initiators + row);
}

export function setInitiator(row: i32, side: i32): void {
  store<u8>(initiators + row, <u8>side);
}

export function wasSeen(row: i32): bool {
  return load<u8>(seen + row) === 1;
}

export function setSeen(row: i32, isSeen: bool): void {
  store<u8>(seen + row, isSeen ? 1 : 0);
}

export function packetsOf(row: i32, side: i32): f64 {
  const cell = cellOfRow(row);
  const low = <f64>load<u32>(cell + ((A_PACKETS + side) << 2));
  return (kindOf(row) & LOGGED) === 0 ? low : low + highOf(cell, PACKETS_HIGH, side);
}

export function bytesOf(row: i32, side: i32): f64 {
  const cell = cellOfRow(row);
  return <f64>load<u32>(cell + ((A_BYTES + side) << 2)) + highOf(cell, BYTES_HIGH, side);
}

function highOf(cell: usize, column: i32, side: i32): f64 {
  return <f64>((load<i32>(cell + (column << 2)) >>> (side << 4)) & MOST_HIGH) * 4294967296.0;
}

export function firstSecondsOf(row: i32): u32 {
  return load<u32>(cellOfRow(row), FIRST_SECONDS << 2);
}

/** Returns when a row began, epoch seconds. */
export function startOf(row: i32): f64 {
  return <f64>firstSecondsOf(row) + <f64>load<i32>(cellOfRow(row), FIRST_NS << 2) * 1e-9;
}

/** Returns when it was last heard of. */
export function endTimeOf(row: i32): f64 {
  return <f64>(<u32>columnOf(row, LAST_SECONDS)) + <f64>columnOf(row, LAST_NS) * 1e-9;
}

export function hasIsn(row: i32): bool {
  return (stateOf(row) & HAS_ISN) !== 0 && protocolOf(row) === TCP;
}

export function isnOf(row: i32): i32 {
  return columnOf(row, ISN);
}
