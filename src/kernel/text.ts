import {
  ATTEMPTS,
  BYTES,
  COUNT,
  ENDED_SECONDS,
  OUTCOME_COUNT,
  PACKETS,
  SEEN,
  STARTED_SECONDS,
  TEXT_ATTEMPTS,
  TEXT_BYTES,
  TEXT_COUNT,
  TEXT_DESTINATION,
  TEXT_DIRECTIONS,
  TEXT_FIRST,
  TEXT_INGRESS,
  TEXT_LAST,
  TEXT_NULL,
  TEXT_OBSERVED,
  TEXT_PACKETS,
  TEXT_QUOTE,
  TEXT_SOURCE,
  TIMED,
  TRAITS,
  UNKNOWN,
  WITHOUT_COUNTS,
  WITHOUT_TALLY,
} from "./constants";
import { numberText } from "./host";
import { allocate, release, wordAt } from "./memory";
import { cellOf } from "./tuples";

/*
 * Puts text together. Most of it is of a few kinds that come again and again: the program has put each into memory once, as a piece (its
 * length in bytes, a 32-bit word, and the bytes). What is of one connection alone, numbers and times, is written here.
 */

const FIRST_BITS = 18;
/** JSON's numbers from here on are not all told exactly: the program writes them. */
const EXACT: f64 = 9007199254740992.0;
const LONGEST_NUMBER = 32;

let out: usize = 0;
let outBits = 0;
let length: usize = 0;
/** The day that was written last, and its date: most moments are of few days. */
let latestDay = -1;
const latestDate: usize = memory.data(16, 8);

export function beginText(): void {
  outBits = FIRST_BITS;
  out = allocate(outBits);
  length = 0;
}

export function endText(): void {
  release(out, outBits);
}

/** Returns where the text is. It is as long as `textLength` says. */
export function textAddress(): usize {
  return out;
}

export function textLength(): usize {
  return length;
}

/** Begins anew. */
export function dropText(): void {
  length = 0;
}

function makeRoom(bytes: usize): void {
  if (length + bytes <= (<usize>1) << outBits) return;
  let bits = outBits;
  while (length + bytes > (<usize>1) << bits) bits++;
  const grown = allocate(bits);
  memory.copy(grown, out, length);
  release(out, outBits);
  out = grown;
  outBits = bits;
}

/** Adds a piece of text; 0: nothing. */
export function putText(piece: usize): void {
  if (piece === 0) return;
  const bytes = <usize>load<u32>(piece);
  makeRoom(bytes);
  memory.copy(out + length, piece + 4, bytes);
  length += bytes;
}

/** Adds a whole number from 0 on. */
function putNumber(value: f64): void {
  makeRoom(LONGEST_NUMBER);
  if (value >= EXACT) {
    length += numberText(value, out + length);
    return;
  }
  let rest = <u64>value;
  let digits = 1;
  for (let more = rest; more >= 10; more /= 10) digits++;
  for (let at = out + length + digits - 1; at >= out + length; at--) {
    const tens = rest / 10;
    store<u8>(at, <u8>(48 + (rest - tens * 10)));
    rest = tens;
  }
  length += digits;
}

/** Writes a number with leading zeros. */
function storeDigits(at: usize, value: i32, digits: i32): void {
  for (let k = digits - 1; k >= 0; k--) {
    const tens = value / 10;
    store<u8>(at + k, <u8>(48 + (value - tens * 10)));
    value = tens;
  }
}

/** Adds a moment in UTC with nine decimals (RFC 3339). */
function putTime(seconds: u32, nanoseconds: i32): void {
  makeRoom(LONGEST_NUMBER);
  const day = <i32>(seconds / 86400);
  if (day !== latestDay) findDate(day);
  const at = out + length;
  memory.copy(at, latestDate, 11);
  const second = <i32>(seconds - <u32>day * 86400);
  storeDigits(at + 11, second / 3600, 2);
  store<u8>(at, 0x3a, 13);
  storeDigits(at + 14, (second / 60) % 60, 2);
  store<u8>(at, 0x3a, 16);
  storeDigits(at + 17, second % 60, 2);
  store<u8>(at, 0x2e, 19);
  storeDigits(at + 20, nanoseconds, 9);
  store<u8>(at, 0x5a, 29);
  length += 30;
}

/** Finds the date of a day after 1970-01-01 in the Gregorian calendar, whose years are reckoned from March on: leap days come last. */
function findDate(day: i32): void {
  latestDay = day;
  const fromMarch = day + 719468; // days after 0000-03-01
  const era = fromMarch / 146097;
  const ofEra = fromMarch - era * 146097;
  const year = (ofEra - ofEra / 1460 + ofEra / 36524 - ofEra / 146096) / 365;
  const ofYear = ofEra - (365 * year + year / 4 - year / 100);
  const fromMarchMonth = (5 * ofYear + 2) / 153;
  const month = fromMarchMonth < 10 ? fromMarchMonth + 3 : fromMarchMonth - 9;
  storeDigits(latestDate, era * 400 + year + (month <= 2 ? 1 : 0), 4);
  store<u8>(latestDate, 0x2d, 4);
  storeDigits(latestDate + 5, month, 2);
  store<u8>(latestDate, 0x2d, 7);
  storeDigits(latestDate + 8, ofYear - (153 * fromMarchMonth + 2) / 5 + 1, 2);
  store<u8>(latestDate, 0x54, 10);
}

function floatOf(cell: usize, column: i32): f64 {
  return load<f64>(cell + (column << 2));
}

function putKnown(isKnown: bool, value: f64, texts: usize): void {
  if (isKnown) putNumber(value);
  else putText(wordAt(texts, TEXT_NULL));
}

function putMoment(isTimed: bool, cell: usize, column: i32, texts: usize): void {
  if (!isTimed) {
    putText(wordAt(texts, TEXT_NULL));
    return;
  }
  putText(wordAt(texts, TEXT_QUOTE));
  putTime(load<u32>(cell + (column << 2)), load<i32>(cell + ((column + 1) << 2)));
  putText(wordAt(texts, TEXT_QUOTE));
}

/** Adds what was counted of a connection. `texts`: pieces by the places TEXT_… of constants.ts. */
function putCounts(cell: usize, texts: usize): void {
  const traits = load<i32>(cell, TRAITS << 2);
  const isCounted = (traits & WITHOUT_COUNTS) === 0;
  const isTimed = (traits & TIMED) !== 0;
  putText(wordAt(texts, TEXT_COUNT));
  putKnown((traits & WITHOUT_TALLY) === 0, floatOf(cell, COUNT), texts);
  putText(wordAt(texts, TEXT_PACKETS));
  putKnown(isCounted, floatOf(cell, PACKETS), texts);
  putText(wordAt(texts, TEXT_BYTES));
  putKnown(isCounted, floatOf(cell, BYTES), texts);
  putText(wordAt(texts, TEXT_FIRST));
  putMoment(isTimed, cell, STARTED_SECONDS, texts);
  putText(wordAt(texts, TEXT_LAST));
  putMoment(isTimed, cell, ENDED_SECONDS, texts);
  let observed = UNKNOWN;
  for (let k = OUTCOME_COUNT - 1; k >= 0; k--) if (floatOf(cell, ATTEMPTS + 2 * k) > 0) observed = k;
  for (let k = 0; k < OUTCOME_COUNT; k++) {
    putText(wordAt(texts, TEXT_ATTEMPTS + k));
    putNumber(floatOf(cell, ATTEMPTS + 2 * k));
  }
  putText(wordAt(texts, TEXT_OBSERVED + observed));
  putText(wordAt(texts, TEXT_DIRECTIONS + ((traits & SEEN) !== 0 ? 1 : 0)));
}

/** Adds a decision: up to three pieces with the label of its subject between the first two, of the other end between the last. */
function putDecision(decision: usize, subject: usize, other: usize): void {
  putText(wordAt(decision, 0));
  const second = wordAt(decision, 1);
  if (second === 0) return;
  putText(wordAt(subject, 1));
  putText(second);
  const third = wordAt(decision, 2);
  if (third === 0) return;
  putText(wordAt(other, 1));
  putText(third);
}

/**
 * Adds a connection. An end is two pieces, its object and its label; `via`, `ports` and `tail` are pieces that follow the source, the
 * destination and the decisions.
 */
export function putConnection(
  connections: usize,
  i: i32,
  texts: usize,
  source: usize,
  via: usize,
  destination: usize,
  ports: usize,
  egress: usize,
  ingress: usize,
  tail: usize,
  accepted: usize,
): void {
  putText(wordAt(texts, TEXT_SOURCE));
  putText(wordAt(source, 0));
  putText(via);
  putText(wordAt(texts, TEXT_DESTINATION));
  putText(wordAt(destination, 0));
  putText(ports);
  putCounts(cellOf(connections, i), texts);
  putDecision(egress, source, destination);
  putText(wordAt(texts, TEXT_INGRESS));
  putDecision(ingress, destination, source);
  putText(tail);
  putText(accepted);
}
