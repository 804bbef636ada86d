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

/** Words of a text, by their distance in bytes: where it is, the bits of the size of its region, and its length. */
const PLACE = 0;
const BITS = 4;
const LENGTH = 8;
const HEADER_BITS = 12;

const FIRST_BITS = 18;
/** JSON's numbers from here on are not all told exactly: the program writes them. */
const EXACT: f64 = 9007199254740992.0;
const LONGEST_NUMBER = 32;

/** The day that was written last, and its date: most moments are of few days. */
let latestDay = -1;
const latestDate: usize = memory.data(16, 8);

/** Returns an empty text, known by this address. */
export function beginText(): usize {
  const text = allocate(HEADER_BITS);
  store<usize>(text, allocate(FIRST_BITS), PLACE);
  store<i32>(text, FIRST_BITS, BITS);
  store<usize>(text, 0, LENGTH);
  return text;
}

export function endText(text: usize): void {
  release(load<usize>(text, PLACE), load<i32>(text, BITS));
  release(text, HEADER_BITS);
}

/** Returns where a text is. It is as long as `textLength` says. */
export function textAddress(text: usize): usize {
  return load<usize>(text, PLACE);
}

export function textLength(text: usize): usize {
  return load<usize>(text, LENGTH);
}

/** Begins anew. */
export function dropText(text: usize): void {
  store<usize>(text, 0, LENGTH);
}

/** Returns where so many more bytes may be written: the end of a text. */
function roomFor(text: usize, bytes: usize): usize {
  const length = textLength(text);
  const old = load<i32>(text, BITS);
  let bits = old;
  while (length + bytes > (<usize>1) << bits) bits++;
  if (bits > old) {
    const grown = allocate(bits);
    memory.copy(grown, textAddress(text), length);
    release(textAddress(text), old);
    store<usize>(text, grown, PLACE);
    store<i32>(text, bits, BITS);
  }
  return textAddress(text) + length;
}

function lengthen(text: usize, bytes: usize): void {
  store<usize>(text, textLength(text) + bytes, LENGTH);
}

/** Adds a piece of text; 0: nothing. */
export function putText(text: usize, piece: usize): void {
  if (piece === 0) return;
  const bytes = <usize>load<u32>(piece);
  memory.copy(roomFor(text, bytes), piece + 4, bytes);
  lengthen(text, bytes);
}

/** Adds a whole number from 0 on. */
function putNumber(text: usize, value: f64): void {
  const at = roomFor(text, LONGEST_NUMBER);
  if (value >= EXACT) {
    lengthen(text, numberText(value, at));
    return;
  }
  let rest = <u64>value;
  let digits = 1;
  for (let more = rest; more >= 10; more /= 10) digits++;
  for (let place = at + digits - 1; place >= at; place--) {
    const tens = rest / 10;
    store<u8>(place, <u8>(48 + (rest - tens * 10)));
    rest = tens;
  }
  lengthen(text, digits);
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
function putTime(text: usize, seconds: u32, nanoseconds: i32): void {
  const day = <i32>(seconds / 86400);
  if (day !== latestDay) findDate(day);
  const at = roomFor(text, LONGEST_NUMBER);
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
  lengthen(text, 30);
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

function putKnown(text: usize, isKnown: bool, value: f64, texts: usize): void {
  if (isKnown) putNumber(text, value);
  else putText(text, wordAt(texts, TEXT_NULL));
}

function putMoment(text: usize, isTimed: bool, cell: usize, column: i32, texts: usize): void {
  if (!isTimed) {
    putText(text, wordAt(texts, TEXT_NULL));
    return;
  }
  putText(text, wordAt(texts, TEXT_QUOTE));
  putTime(text, load<u32>(cell + (column << 2)), load<i32>(cell + ((column + 1) << 2)));
  putText(text, wordAt(texts, TEXT_QUOTE));
}

/** Adds what was counted of a connection. `texts`: pieces by the places TEXT_… of constants.ts. */
function putCounts(text: usize, cell: usize, texts: usize): void {
  const traits = load<i32>(cell, TRAITS << 2);
  const isCounted = (traits & WITHOUT_COUNTS) === 0;
  const isTimed = (traits & TIMED) !== 0;
  putText(text, wordAt(texts, TEXT_COUNT));
  putKnown(text, (traits & WITHOUT_TALLY) === 0, floatOf(cell, COUNT), texts);
  putText(text, wordAt(texts, TEXT_PACKETS));
  putKnown(text, isCounted, floatOf(cell, PACKETS), texts);
  putText(text, wordAt(texts, TEXT_BYTES));
  putKnown(text, isCounted, floatOf(cell, BYTES), texts);
  putText(text, wordAt(texts, TEXT_FIRST));
  putMoment(text, isTimed, cell, STARTED_SECONDS, texts);
  putText(text, wordAt(texts, TEXT_LAST));
  putMoment(text, isTimed, cell, ENDED_SECONDS, texts);
  let observed = UNKNOWN;
  for (let k = OUTCOME_COUNT - 1; k >= 0; k--) if (floatOf(cell, ATTEMPTS + 2 * k) > 0) observed = k;
  for (let k = 0; k < OUTCOME_COUNT; k++) {
    putText(text, wordAt(texts, TEXT_ATTEMPTS + k));
    putNumber(text, floatOf(cell, ATTEMPTS + 2 * k));
  }
  putText(text, wordAt(texts, TEXT_OBSERVED + observed));
  putText(text, wordAt(texts, TEXT_DIRECTIONS + ((traits & SEEN) !== 0 ? 1 : 0)));
}

/** Adds a decision: up to three pieces with the label of its subject between the first two, of the other end between the last. */
function putDecision(text: usize, decision: usize, subject: usize, other: usize): void {
  putText(text, wordAt(decision, 0));
  const second = wordAt(decision, 1);
  if (second === 0) return;
  putText(text, wordAt(subject, 1));
  putText(text, second);
  const third = wordAt(decision, 2);
  if (third === 0) return;
  putText(text, wordAt(other, 1));
  putText(text, third);
}

/**
 * Adds a connection. An end is two pieces, its object and its label; `via`, `ports` and `tail` are pieces that follow the source, the
 * destination and the decisions.
 */
export function putConnection(
  text: usize,
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
  putText(text, wordAt(texts, TEXT_SOURCE));
  putText(text, wordAt(source, 0));
  putText(text, via);
  putText(text, wordAt(texts, TEXT_DESTINATION));
  putText(text, wordAt(destination, 0));
  putText(text, ports);
  putCounts(text, cellOf(connections, i), texts);
  putDecision(text, egress, source, destination);
  putText(text, wordAt(texts, TEXT_INGRESS));
  putDecision(text, ingress, destination, source);
  putText(text, tail);
  putText(text, accepted);
}
