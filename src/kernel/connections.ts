import {
  ARRIVES_FROM,
  ATTEMPTS,
  BYTES,
  CLOUD_DENIED,
  COARSE,
  CONNECTION_WORDS,
  COUNT,
  DESTINATION,
  DESTINATION_EPOCH,
  DIALLED,
  DOUBTFUL,
  ENDED_NS,
  ENDED_SECONDS,
  FIRST_NS,
  FROM_NODE,
  HAS_EPOCHS,
  ICMP_CODE_SHIFT,
  ICMP_TYPE_SHIFT,
  IN_CLOUD_DENIED,
  JOINED,
  KEY_WORDS,
  LAST_NS,
  LAST_SECONDS,
  LOGGED,
  NO_SOURCE_PORT,
  ONE_WAY,
  PACKETS,
  PERHAPS_REPLY,
  PORT_PAIR,
  PROTOCOL,
  RECORDS,
  REUSED_ADDRESS,
  SEEN,
  SEVERAL_PORTS,
  SOURCE,
  SOURCE_EPOCH,
  SOURCE_PORT,
  STARTED_NS,
  STARTED_SECONDS,
  STATED,
  SURE,
  TIMED,
  TOTALS,
  TRAITS,
  UNCOUNTED,
  UNTALLIED,
  UNTIMED,
  VIA,
  WITHOUT_COUNTS,
  WITHOUT_TALLY,
} from "./constants";
import { epochAt } from "./host";
import { allocate, bitsOf, release, setWord, state, wordAt } from "./memory";
import { beginEvidence, classify, gather, wasStated } from "./outcome";
import { isIcmp } from "./protocols";
import {
  addressOf,
  bytesOf,
  columnOf,
  endOf,
  firstSecondsOf,
  initiatorOf,
  kindOf,
  packetsOf,
  portOf,
  rowCount,
  stateOf,
  wasSeen,
} from "./rows";
import { cellOf, countTuples, internTuple, key, makeTuples } from "./tuples";
import { isAnyJoined, rootOf } from "./views";

/*
 * Sums rows up into distinct connections: one a source, dialled address, destination, protocol and destination port (ICMP: type and
 * code). A store of them is a table of tuples; a connection's columns (constants.ts) are its tuple and the room beside it.
 */

const NONE = -1;

/** A byte a row: see DIALLED. */
let flags: usize = 0;
/** What a log says was dialled, by address-table id of the destination: an id (-1: nothing) and a port; 0: no log says any. */
let stated: usize = 0;
let into: usize = 0;

/** Returns a store without connections. */
export function makeConnections(): usize {
  return makeTuples(KEY_WORDS, CONNECTION_WORDS);
}

/** Returns the number of a connection, adding it where it is new. */
export function internConnection(
  connections: usize,
  source: i32,
  sourceEpoch: i32,
  destination: i32,
  destinationEpoch: i32,
  via: i32,
  portPair: i32,
  protocol: i32,
): i32 {
  store<i32>(key, source, SOURCE << 2);
  store<i32>(key, sourceEpoch, SOURCE_EPOCH << 2);
  store<i32>(key, destination, DESTINATION << 2);
  store<i32>(key, destinationEpoch, DESTINATION_EPOCH << 2);
  store<i32>(key, via, VIA << 2);
  store<i32>(key, portPair, PORT_PAIR << 2);
  store<i32>(key, protocol, PROTOCOL << 2);
  const before = countTuples(connections);
  const i = internTuple(connections);
  if (i === before) store<i32>(cellOf(connections, i), NONE, ARRIVES_FROM << 2);
  return i;
}

/** Says what rows are added to, and what is known of them. */
export function beginAdding(connections: usize, flagsOfRows: usize, statedVias: usize): void {
  into = connections;
  flags = flagsOfRows;
  stated = statedVias;
}

/**
 * Adds the connection of every row. Rows of several views are added with the first of them. Rows that are COARSE are left. Into `numbers`
 * goes the connection of each row.
 */
export function addRows(numbers: usize): void {
  const count = rowCount();
  const bits = bitsOf(isAnyJoined() ? (<usize>count) << 2 : 0);
  const followers = allocate(bits);
  const group = allocate(bits);
  if (isAnyJoined()) memory.fill(followers, 0, (<usize>count) << 2);
  // By row, the next view of its connection; 0: none, since the first row of all follows nobody.
  for (let row = count - 1; row >= 0; row--) {
    if ((load<u8>(flags + row) & JOINED) === 0) continue;
    const root = rootOf(row);
    if (root === row) continue;
    setWord(followers, row, wordAt(followers, root));
    setWord(followers, root, row);
  }
  for (let row = 0; row < count; row++) {
    const flag = load<u8>(flags + row);
    if ((flag & COARSE) !== 0) continue;
    if ((flag & JOINED) === 0) {
      setWord(numbers, row, addAlone(row));
      continue;
    }
    if (rootOf(row) !== row) continue;
    let views = 0;
    for (let view = row; views === 0 || view !== 0; view = wordAt(followers, view)) setWord(group, views++, view);
    const i = addViews(group, views);
    for (let k = 0; k < views; k++) setWord(numbers, wordAt(group, k), i);
  }
  release(group, bits);
  release(followers, bits);
}

function isDialledRow(row: i32): bool {
  return (load<u8>(flags + row) & DIALLED) !== 0;
}

function isFromNode(row: i32): bool {
  return (load<u8>(flags + row) & FROM_NODE) !== 0;
}

/** Adds a connection that has one view, as nearly all have. */
function addAlone(row: i32): i32 {
  const i = internRow(row);
  beginEvidence();
  gather(row, initiatorOf(row));
  fileRow(i, row);
  addGaps(i, stateOf(row));
  const a = packetsOf(row, 0);
  const b = packetsOf(row, 1);
  addCounts(i, row, a + b, (a > 0 ? bytesOf(row, 0) : 0) + (b > 0 ? bytesOf(row, 1) : 0));
  return i;
}

/** Adds a connection by its views. */
function addViews(rows: usize, count: i32): i32 {
  // The source before translation, the destination after it, and between them what was dialled.
  let sourceRow = NONE;
  let endRow = NONE;
  let viaRow = NONE;
  let arrived = NONE;
  for (let k = 0; k < count; k++) {
    const row = wordAt(rows, k);
    if (sourceRow < 0 && !isFromNode(row)) sourceRow = row;
    if (endRow < 0 && !isDialledRow(row)) endRow = row;
    if (viaRow < 0 && isDialledRow(row)) viaRow = row;
    if (arrived < 0 && isFromNode(row) && !isDialledRow(row)) arrived = row;
  }
  if (sourceRow < 0) sourceRow = wordAt(rows, 0);
  if (endRow < 0) endRow = wordAt(rows, 0);
  const i = internViews(sourceRow, endRow, viaRow, rows, count);
  if (viaRow >= 0 && arrived >= 0 && arrived !== sourceRow)
    store<i32>(cellOf(into, i), addressOf(arrived, initiatorOf(arrived)), ARRIVES_FROM << 2);
  beginEvidence();
  let sent: f64 = 0;
  let sentBytes: f64 = 0;
  let returned: f64 = 0;
  let returnedBytes: f64 = 0;
  // Of logs that have one count for both directions.
  let total: f64 = 0;
  let totalBytes: f64 = 0;
  let gaps = UNCOUNTED | UNTALLIED;
  for (let k = 0; k < count; k++) {
    const row = wordAt(rows, k);
    const side = initiatorOf(row);
    gaps &= stateOf(row);
    gather(row, side);
    // Each packet once: a direction counts as often as the view that saw most of it.
    const there = packetsOf(row, side);
    const back = packetsOf(row, 1 - side);
    if (isTotal(row, back)) {
      if (there > total) {
        total = there;
        totalBytes = bytesOf(row, side);
      }
    } else if (there > sent) {
      sent = there;
      sentBytes = bytesOf(row, side);
    }
    if (back > returned) {
      returned = back;
      returnedBytes = bytesOf(row, 1 - side);
    }
    fileRow(i, row);
  }
  addGaps(i, gaps);
  addCounts(i, sourceRow, max(total, sent + returned), max(totalBytes, sentBytes + returnedBytes));
  return i;
}

/** Reports whether a row's packets are those of both directions: a log stated them, and not what came back apart. */
function isTotal(row: i32, returned: f64): bool {
  return returned === 0 && (kindOf(row) & (LOGGED | ONE_WAY | NO_SOURCE_PORT)) === (LOGGED | ONE_WAY) && columnOf(row, TOTALS) === 1;
}

/** Returns how often a row's connection was made. */
export function timesOf(row: i32): i32 {
  // What began before the log's first interval was never counted, and was there.
  return (kindOf(row) & NO_SOURCE_PORT) !== 0 ? max(1, columnOf(row, RECORDS)) : 1;
}

/** Returns how a row's connection ended, by what it shows alone. */
export function outcomeOf(row: i32): i32 {
  beginEvidence();
  gather(row, initiatorOf(row));
  return classify(kindOf(row) & 255);
}

function addCounts(i: i32, sourceRow: i32, packets: f64, bytes: f64): void {
  const cell = cellOf(into, i);
  const kind = kindOf(sourceRow);
  const times = <f64>timesOf(sourceRow);
  addTo(cell + (COUNT << 2), times);
  addTo(cell + (PACKETS << 2), packets);
  addTo(cell + (BYTES << 2), bytes);
  addTo(cell + ((ATTEMPTS + 2 * classify(kind & 255)) << 2), times);
  if (wasStated()) mark(cell, STATED);
  const port = (kind & NO_SOURCE_PORT) !== 0 ? SEVERAL_PORTS : portOf(sourceRow, initiatorOf(sourceRow));
  addSourcePort(cell, port);
}

/** Ports are held plus two: 0 is none yet. */
function addSourcePort(cell: usize, port: i32): void {
  const known = load<i32>(cell, SOURCE_PORT << 2);
  if (known === 0) store<i32>(cell, port + 2, SOURCE_PORT << 2);
  else if (known !== port + 2) store<i32>(cell, SEVERAL_PORTS + 2, SOURCE_PORT << 2);
}

function addTo(at: usize, more: f64): void {
  store<f64>(at, load<f64>(at) + more);
}

function mark(cell: usize, traits: i32): void {
  store<i32>(cell, load<i32>(cell, TRAITS << 2) | traits, TRAITS << 2);
}

/** Returns the number of the connection that a row is a view of, adding it where it is new. */
export function internRow(row: i32): i32 {
  store<i32>(only, row);
  return internViews(row, row, isDialledRow(row) ? row : NONE, only, 1);
}

const only: usize = memory.data(4, 4);

function internViews(sourceRow: i32, endRow: i32, viaRow: i32, rows: usize, count: i32): i32 {
  const kind = kindOf(sourceRow);
  const protocol = kind & 255;
  const start = initiatorOf(sourceRow);
  const end = 1 - initiatorOf(endRow);
  let via = NONE;
  let viaPort = 0;
  if (viaRow >= 0) {
    via = addressOf(viaRow, 1 - initiatorOf(viaRow));
    viaPort = portOf(viaRow, 1 - initiatorOf(viaRow));
  } else if (stated !== 0) {
    for (let k = 0; k < count && via < 0; k++) {
      const row = wordAt(rows, k);
      const said = stated + ((<usize>addressOf(row, 1 - initiatorOf(row))) << 3);
      via = load<i32>(said);
      viaPort = load<i32>(said, 4);
    }
  }
  const port = isIcmp(protocol) ? (((kind >>> ICMP_TYPE_SHIFT) & 255) << 8) | (kind >>> ICMP_CODE_SHIFT) : portOf(endRow, end);
  return internConnection(
    into,
    endOf(sourceRow, start),
    epochOf(sourceRow, start),
    endOf(endRow, end),
    epochOf(endRow, end),
    via,
    (viaPort << 16) | port,
    protocol,
  );
}

function epochOf(row: i32, side: i32): i32 {
  if (load<i32>(state, HAS_EPOCHS << 2) === 0 || (stateOf(row) & REUSED_ADDRESS) === 0) return 0;
  return epochAt(addressOf(row, side), firstSecondsOf(row));
}

/** What no reporter of a connection counts is missing in its sums. */
export function addGaps(i: i32, gaps: i32): void {
  const cell = cellOf(into, i);
  if ((gaps & UNCOUNTED) !== 0) mark(cell, WITHOUT_COUNTS);
  if ((gaps & UNTALLIED) !== 0) mark(cell, WITHOUT_TALLY);
}

/** Adds what a row says of its connection beside sums and outcomes. */
export function fileRow(i: i32, row: i32): void {
  const cell = cellOf(into, i);
  const state = stateOf(row);
  if ((state & UNTIMED) === 0) {
    span(cell, firstSecondsOf(row), columnOf(row, FIRST_NS), <u32>columnOf(row, LAST_SECONDS), columnOf(row, LAST_NS));
  }
  mark(cell, (state & PERHAPS_REPLY) === 0 ? SURE : DOUBTFUL);
  if ((state & CLOUD_DENIED) !== 0) mark(cell, IN_CLOUD_DENIED);
  if (wasSeen(row)) mark(cell, SEEN);
}

/** The same for a row that cannot be told apart from others: how often it was, the program reckons. */
export function fileCoarse(i: i32, row: i32): void {
  fileRow(i, row);
  const cell = cellOf(into, i);
  beginEvidence();
  gather(row, initiatorOf(row));
  if (wasStated()) mark(cell, STATED);
  store<i32>(cell, SEVERAL_PORTS + 2, SOURCE_PORT << 2);
}

/** Widens the time span of a connection. */
function span(cell: usize, firstSeconds: u32, firstNanoseconds: i32, lastSeconds: u32, lastNanoseconds: i32): void {
  const isTimed = (load<i32>(cell, TRAITS << 2) & TIMED) !== 0;
  mark(cell, TIMED);
  const first = load<u32>(cell, STARTED_SECONDS << 2);
  const last = load<u32>(cell, ENDED_SECONDS << 2);
  if (!isTimed || firstSeconds < first || (firstSeconds === first && firstNanoseconds < load<i32>(cell, STARTED_NS << 2))) {
    store<u32>(cell, firstSeconds, STARTED_SECONDS << 2);
    store<i32>(cell, firstNanoseconds, STARTED_NS << 2);
  }
  if (!isTimed || lastSeconds > last || (lastSeconds === last && lastNanoseconds > load<i32>(cell, ENDED_NS << 2))) {
    store<u32>(cell, lastSeconds, ENDED_SECONDS << 2);
    store<i32>(cell, lastNanoseconds, ENDED_NS << 2);
  }
}
