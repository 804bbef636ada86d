import { CHUNK_CELL_BITS } from "./constants";
import { hashSeed } from "./flowTable";
import { isFull } from "./host";
import { allocate, bitsOf, release, wordAt } from "./memory";

/*
 * Gives each distinct tuple of 32-bit integers a dense id, counted from 0, and room beside it. A table is known by the address of its
 * header. Fill `key`, then ask.
 */

/** Words of a header, by their distance in bytes. */
const WIDTH = 0; // words of a tuple
const STRIDE = 4; // words of a cell: the tuple, and the room beside it
const SIZE = 8;
const INDEX = 12;
const SLOT_BITS = 16;
const CHUNKS = 64; // where cells are, a word a chunk: a table that grows leaves nothing behind
const HEADER_BITS = 12;
const MOST_CHUNKS = ((1 << HEADER_BITS) - CHUNKS) >> 2;

const FIRST_SLOT_BITS = 10;
/** A slot is an id plus one, 0 where it is free, and the hash of its tuple. */
const SLOT_SIZE_BITS = 3;

const CHUNK_MASK = (1 << CHUNK_CELL_BITS) - 1;

const MOST_WIDTH = 8;

/** The tuple that is asked for: words at this address. */
export const key: usize = memory.data(4 * MOST_WIDTH, 8);
let hashed = 0;

/** Returns a new table of tuples of `width` words, each with room for `stride - width` more, which are 0 at first. */
export function makeTuples(width: i32, stride: i32): usize {
  const table = allocate(HEADER_BITS);
  store<i32>(table, width, WIDTH);
  store<i32>(table, stride, STRIDE);
  store<i32>(table, 0, SIZE);
  setIndex(table, FIRST_SLOT_BITS);
  return table;
}

/** Returns a table of the same tuples with the same ids and the same beside them. */
export function copyTuples(from: usize): usize {
  const table = allocate(HEADER_BITS);
  memory.copy(table, from, 1 << HEADER_BITS);
  const chunks = chunksOf(from);
  for (let k = 0; k < chunks; k++) {
    const chunk = allocate(chunkBits(from));
    const cells = min(1 << CHUNK_CELL_BITS, load<i32>(from, SIZE) - (k << CHUNK_CELL_BITS));
    memory.copy(chunk, chunkAt(from, k), <usize>cells * load<i32>(from, STRIDE) * 4);
    setChunk(table, k, chunk);
  }
  const slotBits = load<i32>(from, SLOT_BITS);
  const index = allocate(slotBits + SLOT_SIZE_BITS);
  memory.copy(index, load<usize>(from, INDEX), (<usize>1) << (slotBits + SLOT_SIZE_BITS));
  store<usize>(table, index, INDEX);
  return table;
}

export function releaseTuples(table: usize): void {
  const chunks = chunksOf(table);
  for (let k = 0; k < chunks; k++) release(chunkAt(table, k), chunkBits(table));
  release(load<usize>(table, INDEX), load<i32>(table, SLOT_BITS) + SLOT_SIZE_BITS);
  release(table, HEADER_BITS);
}

/** Returns how many chunks a table has. */
function chunksOf(table: usize): i32 {
  return (load<i32>(table, SIZE) + (1 << CHUNK_CELL_BITS) - 1) >> CHUNK_CELL_BITS;
}

/** Returns the bits of the size of a table's chunks. */
function chunkBits(table: usize): i32 {
  return bitsOf((<usize>load<i32>(table, STRIDE)) << (CHUNK_CELL_BITS + 2));
}

function chunkAt(table: usize, k: i32): usize {
  return load<usize>(table + ((<usize>k) << 2), CHUNKS);
}

function setChunk(table: usize, k: i32, chunk: usize): void {
  store<usize>(table + ((<usize>k) << 2), chunk, CHUNKS);
}

/** Returns how many tuples there are. */
export function countTuples(table: usize): i32 {
  return load<i32>(table, SIZE);
}

/** Returns the address of a tuple, with the room behind it. */
export function cellOf(table: usize, id: i32): usize {
  return chunkAt(table, id >> CHUNK_CELL_BITS) + <usize>(id & CHUNK_MASK) * load<i32>(table, STRIDE) * 4;
}

/** Returns the id of `key`, or -1. */
export function findTuple(table: usize): i32 {
  return load<i32>(slotOf(table)) - 1;
}

/** Returns the id of `key`, giving it one where it is new. */
export function internTuple(table: usize): i32 {
  const slot = slotOf(table);
  const found = load<i32>(slot) - 1;
  if (found >= 0) return found;
  const id = load<i32>(table, SIZE);
  const size = (<usize>load<i32>(table, STRIDE)) << 2;
  if ((id & CHUNK_MASK) === 0) {
    if (id >> CHUNK_CELL_BITS === MOST_CHUNKS) isFull();
    setChunk(table, id >> CHUNK_CELL_BITS, allocate(chunkBits(table)));
  }
  const cell = cellOf(table, id);
  memory.fill(cell, 0, size);
  memory.copy(cell, key, (<usize>load<i32>(table, WIDTH)) << 2);
  store<i32>(slot, id + 1);
  store<i32>(slot, hashed, 4);
  store<i32>(table, id + 1, SIZE);
  if ((id + 1) * 2 > 1 << load<i32>(table, SLOT_BITS)) growIndex(table);
  return id;
}

function hash(width: i32): i32 {
  let hash = hashSeed();
  for (let i = 0; i < width; i++) {
    const word = wordAt(key, i);
    hash = ((hash ^ word ^ (word >>> 15)) * (0x2c1b3c6d + (i << 1))) ^ (hash >>> 13);
  }
  hash = (hash ^ (hash >>> 15)) * hashSeed();
  return hash ^ (hash >>> 13);
}

/** Returns the address of the slot of `key`: a free one where it has none. */
function slotOf(table: usize): usize {
  const width = load<i32>(table, WIDTH);
  const index = load<usize>(table, INDEX);
  const mask = (1 << load<i32>(table, SLOT_BITS)) - 1;
  hashed = hash(width);
  let place = hashed & mask;
  let slot = index + ((<usize>place) << SLOT_SIZE_BITS);
  let id = load<i32>(slot);
  while (id !== 0 && (load<i32>(slot, 4) !== hashed || !isKey(cellOf(table, id - 1), width))) {
    place = (place + 1) & mask;
    slot = index + ((<usize>place) << SLOT_SIZE_BITS);
    id = load<i32>(slot);
  }
  return slot;
}

function isKey(cell: usize, width: i32): bool {
  let i = 0;
  while (i < width && wordAt(cell, i) === wordAt(key, i)) i++;
  return i === width;
}

function growIndex(table: usize): void {
  const oldBits = load<i32>(table, SLOT_BITS);
  const old = load<usize>(table, INDEX);
  setIndex(table, oldBits + 1);
  const index = load<usize>(table, INDEX);
  const mask = (2 << oldBits) - 1;
  const end = old + ((<usize>1) << (oldBits + SLOT_SIZE_BITS));
  for (let from = old; from < end; from += 1 << SLOT_SIZE_BITS) {
    const id = load<i32>(from);
    if (id === 0) continue;
    const ofTuple = load<i32>(from, 4);
    let place = ofTuple & mask;
    while (load<i32>(index + ((<usize>place) << SLOT_SIZE_BITS)) !== 0) place = (place + 1) & mask;
    const slot = index + ((<usize>place) << SLOT_SIZE_BITS);
    store<i32>(slot, id);
    store<i32>(slot, ofTuple, 4);
  }
  release(old, oldBits + SLOT_SIZE_BITS);
}

/** Gives a table an empty index. */
function setIndex(table: usize, slotBits: i32): void {
  const index = allocate(slotBits + SLOT_SIZE_BITS);
  memory.fill(index, 0, (<usize>1) << (slotBits + SLOT_SIZE_BITS));
  store<usize>(table, index, INDEX);
  store<i32>(table, slotBits, SLOT_BITS);
}
