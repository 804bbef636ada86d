import {
  ANSWER,
  DIALLED,
  DIALLED_END,
  FACT_WORDS,
  FROM_NODE,
  IS_NO_NODE,
  IS_NODE,
  JOINED,
  LOGGED,
  NO_SOURCE_PORT,
  OWNER,
  UNTIMED,
} from "./constants";
import { isDialled, isNode, isPodAt, leadsTo, leadsToPort } from "./host";
import { allocate, bitsOf, release, setWord, wordAt } from "./memory";
import { hasPorts } from "./protocols";
import {
  addressOf,
  endOf,
  endTimeOf,
  firstSecondsOf,
  hasIsn,
  initiatorOf,
  isnOf,
  kindOf,
  portOf,
  protocolOf,
  rowCount,
  startOf,
  stateOf,
} from "./rows";
import { cellOf, countTuples, findTuple, internTuple, key, makeTuples, releaseTuples } from "./tuples";

/*
 * Finds rows that are views of one connection before and after address translation (semantics 3 and 4). Rows whose source or destination
 * may be translated are in need of a view; few are.
 */

/** Views of one connection begin together: translation takes microseconds, clocks of merged captures differ by more. */
const TOGETHER_SECONDS: f64 = 1;
const MASQUERADE_SECONDS: f64 = 0.1;

/** More rows under one key than honest traffic has: comparing each with each would let a crafted capture take forever. */
const MAX_BUCKET = 64;

const NONE = -1;

let flags: usize = 0;
/** By row, the row that it was joined to plus one; 0: none. */
let parents: usize = 0;
/** By root, the client of its group plus two; 1: only nodes' rows so far; 0: nothing yet. */
let sources: usize = 0;
let anyJoined = false;

function has(row: i32, flag: i32): bool {
  return (load<u8>(flags + row) & flag) !== 0;
}

function mark(row: i32, flag: i32): void {
  store<u8>(flags + row, load<u8>(flags + row) | <u8>flag);
}

/**
 * Gives each row its flags, and joins rows that are views of one connection. `facts`: see constants.ts; `parentsOfRows` and
 * `sourcesOfRows` are words of zeros. Returns how many rows were not compared with others, since too many shared a socket or sequence
 * number.
 */
export function joinViews(facts: usize, flagsOfRows: usize, parentsOfRows: usize, sourcesOfRows: usize): i32 {
  flags = flagsOfRows;
  parents = parentsOfRows;
  sources = sourcesOfRows;
  anyJoined = false;
  const bits = bitsOf((<usize>rowCount()) << 2);
  const needy = allocate(bits);
  const count = findNeedy(facts, needy);
  const leftOut = count === 0 ? 0 : joinNeedy(needy, count);
  release(needy, bits);
  return leftOut;
}

/** Returns the row that stands for a row's connection, its first; its own number where no other view was found. */
export function rootOf(row: i32): i32 {
  let parent = wordAt(parents, row) - 1;
  while (parent >= 0) {
    const above = wordAt(parents, parent);
    if (above !== 0) setWord(parents, row, above);
    row = parent;
    parent = wordAt(parents, row) - 1;
  }
  return row;
}

/** Makes two rows views of one connection. The earlier one stands for both. */
export function unite(row: i32, other: i32): void {
  const a = rootOf(row);
  const b = rootOf(other);
  if (a !== b) setWord(parents, max(a, b), min(a, b) + 1);
  mark(row, JOINED);
  mark(other, JOINED);
  anyJoined = true;
}

/** Reports whether any two rows are views of one connection. */
export function isAnyJoined(): bool {
  return anyJoined;
}

/** Ends that were asked for, each with the answer beside it. */
let targets: usize = 0;
const TARGET_WIDTH = 2;
const NO = 1;
const YES = 2;

/** Lists the rows in need of a view. Returns how many they are. */
function findNeedy(facts: usize, list: usize): i32 {
  let listed = 0;
  targets = makeTuples(TARGET_WIDTH, TARGET_WIDTH + 1);
  const count = rowCount();
  for (let row = 0; row < count; row++) {
    const kind = kindOf(row);
    store<u8>(flags + row, 0);
    if (!hasPorts(kind & 255)) continue;
    const initiator = initiatorOf(row);
    const isTarget = isTranslated(facts, addressOf(row, 1 - initiator), kind & 255, portOf(row, 1 - initiator));
    const found = (isTarget ? DIALLED : 0) | (isNodes(facts, addressOf(row, initiator)) ? FROM_NODE : 0);
    if (found === 0) continue;
    store<u8>(flags + row, <u8>found);
    if ((kind & NO_SOURCE_PORT) === 0) setWord(list, listed++, row);
  }
  releaseTuples(targets);
  return listed;
}

/** Reports whether an address is a node's own. */
function isNodes(facts: usize, id: i32): bool {
  const fact = facts + <usize>id * (FACT_WORDS << 2);
  if (load<i32>(fact, OWNER << 2) === 0) store<i32>(fact, isNode(id) ? IS_NODE : IS_NO_NODE, OWNER << 2);
  return load<i32>(fact, OWNER << 2) === IS_NODE;
}

/** Reports whether an address and port are translated to backends. The end that was asked for last is known, since most servers have one. */
function isTranslated(facts: usize, id: i32, protocol: i32, port: i32): bool {
  const fact = facts + <usize>id * (FACT_WORDS << 2);
  const end = ((protocol << 16) | port) + 1;
  if (load<i32>(fact, DIALLED_END << 2) !== end) {
    store<i32>(fact, end, DIALLED_END << 2);
    store<i32>(fact, findTarget(id, protocol, port, end), ANSWER << 2);
  }
  return load<i32>(fact, ANSWER << 2) === YES;
}

function findTarget(id: i32, protocol: i32, port: i32, end: i32): i32 {
  store<i32>(key, id);
  store<i32>(key, end, 4);
  const before = countTuples(targets);
  const target = internTuple(targets);
  const cell = cellOf(targets, target);
  if (target === before) store<i32>(cell, isDialled(id, protocol, port) ? YES : NO, TARGET_WIDTH << 2);
  return load<i32>(cell, TARGET_WIDTH << 2);
}

/** What rows that may be views of one connection share. */
const BY_CLIENT = 0; // one client socket
const BY_TARGET = 1; // one target, from one source port
const BY_SEQUENCE = 2; // one initial sequence number, which translation keeps
const BY_NODE_PORT = 3; // a dialled port on one side, a masquerading node on the other: what they share is the source port
const KEY_KINDS = BY_NODE_PORT + 1;

/** Keys that rows in need ask for, each with how many rows it has, and the first and last of them as places plus one in `entries`. */
let buckets: usize = 0;
const BUCKET_WIDTH = 3;
const BUCKET_COUNT = BUCKET_WIDTH << 2;
const BUCKET_FIRST = BUCKET_COUNT + 4;
const BUCKET_LAST = BUCKET_COUNT + 8;
/** Rows of all keys, two words each: the row, and the place plus one of the next of the same key. */
let entries: usize = 0;
let entryBits = 0;
let entryCount = 0;
const FIRST_ENTRY_BITS = 14;
let leftOut = 0;

/** Makes the key of a row, wanted or offered; reports false where it has none of this kind. */
function fillKey(row: i32, kind: i32, isWanted: bool): bool {
  const initiator = initiatorOf(row);
  store<i32>(key, 0, 4);
  store<i32>(key, protocolOf(row) | (kind << 8), 8);
  switch (kind) {
    case BY_CLIENT:
      store<i32>(key, endOf(row, initiator));
      store<i32>(key, portOf(row, initiator), 4);
      return !isWanted || has(row, DIALLED);
    case BY_TARGET:
      store<i32>(key, endOf(row, 1 - initiator));
      store<i32>(key, (portOf(row, initiator) << 16) | portOf(row, 1 - initiator), 4);
      return !isWanted || has(row, FROM_NODE);
    case BY_SEQUENCE:
      store<i32>(key, isnOf(row));
      return hasIsn(row);
  }
  store<i32>(key, portOf(row, initiator));
  return has(row, isWanted ? DIALLED : FROM_NODE);
}

/** Files a row under the keys that are asked for. */
function offer(row: i32): void {
  for (let kind = 0; kind < KEY_KINDS; kind++) {
    if (!fillKey(row, kind, false)) continue;
    const id = findTuple(buckets);
    if (id < 0) continue;
    const bucket = cellOf(buckets, id);
    const count = load<i32>(bucket, BUCKET_COUNT);
    if (count >= MAX_BUCKET) {
      leftOut++;
      continue;
    }
    store<i32>(bucket, count + 1, BUCKET_COUNT);
    const place = addEntry(row) + 1;
    const last = load<i32>(bucket, BUCKET_LAST);
    if (last === 0) store<i32>(bucket, place, BUCKET_FIRST);
    else setWord(entries, 2 * (last - 1) + 1, place);
    store<i32>(bucket, place, BUCKET_LAST);
  }
}

/** Returns the place of a new entry. */
function addEntry(row: i32): i32 {
  if (entryCount === 1 << (entryBits - 3)) {
    const grown = allocate(entryBits + 1);
    memory.copy(grown, entries, (<usize>1) << entryBits);
    release(entries, entryBits);
    entries = grown;
    entryBits++;
  }
  setWord(entries, 2 * entryCount, row);
  setWord(entries, 2 * entryCount + 1, 0);
  return entryCount++;
}

/** The rows that may be another view of the row at hand. */
const views: usize = memory.data(4 * MAX_BUCKET * KEY_KINDS, 8);
let viewCount = 0;

function isListed(row: i32): bool {
  for (let k = 0; k < viewCount; k++) if (wordAt(views, k) === row) return true;
  return false;
}

function findViews(row: i32): void {
  viewCount = 0;
  for (let kind = 0; kind < KEY_KINDS; kind++) {
    if (!fillKey(row, kind, true)) continue;
    const id = findTuple(buckets);
    if (id < 0) continue;
    for (let place = load<i32>(cellOf(buckets, id), BUCKET_FIRST); place !== 0; place = wordAt(entries, 2 * (place - 1) + 1)) {
      const other = wordAt(entries, 2 * (place - 1));
      if (other !== row && areViews(row, other) && !isListed(other)) setWord(views, viewCount++, other);
    }
  }
}

function joinNeedy(needy: usize, count: i32): i32 {
  buckets = makeTuples(BUCKET_WIDTH, BUCKET_WIDTH + 3);
  entryBits = FIRST_ENTRY_BITS;
  entries = allocate(entryBits);
  entryCount = 0;
  leftOut = 0;
  for (let k = 0; k < count; k++)
    for (let kind = 0; kind < KEY_KINDS; kind++) if (fillKey(wordAt(needy, k), kind, true)) internTuple(buckets);
  const rows = rowCount();
  for (let row = 0; row < rows; row++) {
    const kind = kindOf(row);
    // What others are joined with is the view after translation: never a dialled one.
    if (hasPorts(kind & 255) && (kind & NO_SOURCE_PORT) === 0 && !has(row, DIALLED)) offer(row);
  }
  findClients(needy, count);
  for (let k = 0; k < count; k++) joinOne(wordAt(needy, k));
  releaseTuples(clients);
  release(entries, entryBits);
  releaseTuples(buckets);
  return leftOut;
}

function joinOne(row: i32): void {
  findViews(row);
  if (viewCount === 0) return;
  if (has(row, FROM_NODE)) {
    // Several pods behind one node can use one port (NTP's 123): without a sequence number none of them is known to be this one.
    if (!hasIsn(row) && areSeveralSources()) return;
    // Logs have no sequence numbers, and nodes do not masquerade what goes straight to a pod: these are two connections.
    if ((kindOf(row) & LOGGED) !== 0 && endsAtPod(row) && !isAnyDialled()) return;
  }
  // Translation leads to one backend and comes from one client: of several rows that could be it, the one that began next.
  const same = closest(row, true);
  const other = closest(row, false);
  if (same !== NONE) uniteViews(row, same);
  // Two clients that dial from one port: which of them a node's row hides is not known without a sequence number.
  if (other !== NONE && (hasIsn(row) || !has(row, DIALLED) || !isSharedPort(row))) uniteViews(row, other);
}

function areSeveralSources(): bool {
  const first = wordAt(views, 0);
  const source = endOf(first, initiatorOf(first));
  for (let k = 1; k < viewCount; k++) if (endOf(wordAt(views, k), initiatorOf(wordAt(views, k))) !== source) return true;
  return false;
}

function endsAtPod(row: i32): bool {
  return isPodAt(addressOf(row, 1 - initiatorOf(row)), firstSecondsOf(row));
}

function isAnyDialled(): bool {
  for (let k = 0; k < viewCount; k++) if (has(wordAt(views, k), DIALLED)) return true;
  return false;
}

/** Returns the view that began next to a row, of those that share its client socket or of the others; NONE where there is none. */
function closest(row: i32, sharesSocket: bool): i32 {
  let best = NONE;
  let distance: f64 = Infinity;
  for (let k = 0; k < viewCount; k++) {
    const other = wordAt(views, k);
    const apart = abs(startOf(other) - startOf(row));
    if (isOneSocket(row, other) !== sharesSocket || (best !== NONE && !(apart < distance))) continue;
    best = other;
    distance = apart;
  }
  return best;
}

function isOneSocket(row: i32, other: i32): bool {
  const x = initiatorOf(row);
  const y = initiatorOf(other);
  return endOf(row, x) === endOf(other, y) && portOf(row, x) === portOf(other, y);
}

/** Reports whether `other` shows the same connection as `row` beyond a translation. */
function areViews(row: i32, other: i32): bool {
  if (protocolOf(row) !== protocolOf(other) || !overlap(row, other)) return false;
  const bothIsn = hasIsn(row) && hasIsn(other);
  if (bothIsn && isnOf(row) !== isnOf(other)) return false;
  const x = initiatorOf(row);
  const y = initiatorOf(other);
  const samePort = portOf(row, x) === portOf(other, y);
  const sameTarget = endOf(row, 1 - x) === endOf(other, 1 - y) && portOf(row, 1 - x) === portOf(other, 1 - y);
  // One client socket: translated destination.
  if (isOneSocket(row, other)) return has(row, DIALLED) && !sameTarget && isLedTo(row, other, bothIsn);
  // One target: translated source. The sequence number proves it, else the kept port.
  if (sameTarget) return has(row, FROM_NODE) && !has(other, FROM_NODE) && (bothIsn || (samePort && beginTogether(row, other)));
  // Both ends translated: a node port or load balancer with masquerade.
  return (bothIsn || samePort) && has(row, DIALLED) && has(other, FROM_NODE) && isLedTo(row, other, bothIsn);
}

/** Reports whether what was dialled can lead to where another row goes. */
function isLedTo(dialled: i32, other: i32, bothIsn: bool): bool {
  if (has(other, DIALLED)) return false;
  const x = 1 - initiatorOf(dialled);
  const y = 1 - initiatorOf(other);
  const from = addressOf(dialled, x);
  const to = addressOf(other, y);
  // With equal sequence numbers the backend may have changed since the snapshot, its port has not.
  return bothIsn
    ? leadsToPort(from, protocolOf(dialled), portOf(dialled, x), to, portOf(other, y))
    : leadsTo(from, protocolOf(dialled), portOf(dialled, x), to, portOf(other, y));
}

function overlap(row: i32, other: i32): bool {
  // A log without times may tell of any.
  if (((stateOf(row) | stateOf(other)) & UNTIMED) !== 0) return true;
  return startOf(row) <= endTimeOf(other) + TOGETHER_SECONDS && startOf(other) <= endTimeOf(row) + TOGETHER_SECONDS;
}

/** Masquerade takes microseconds: a port that two sockets happen to share is used at other times. */
function beginTogether(row: i32, other: i32): bool {
  return abs(startOf(row) - startOf(other)) <= MASQUERADE_SECONDS;
}

/** Joins two rows, unless that would make two clients one: whatever node's row could be the other view of both. */
function uniteViews(row: i32, other: i32): void {
  const a = rootOf(row);
  const b = rootOf(other);
  if (a === b) return;
  const x = sourceOf(a, row);
  const y = sourceOf(b, other);
  if (x > NODES_ONLY && y > NODES_ONLY && x !== y) return;
  setWord(sources, min(a, b), max(x, y));
  unite(row, other);
}

const NODES_ONLY = 1;

function sourceOf(root: i32, member: i32): i32 {
  const known = wordAt(sources, root);
  if (known !== 0) return known;
  return has(member, FROM_NODE) ? NODES_ONLY : endOf(member, initiatorOf(member)) + 2;
}

/** The client that dials from each source port, by port and protocol: its id plus two, or SEVERAL. */
let clients: usize = 0;
const SEVERAL = 1;

function fillPort(row: i32): void {
  store<i32>(key, (portOf(row, initiatorOf(row)) << 8) | protocolOf(row));
}

function findClients(needy: usize, count: i32): void {
  clients = makeTuples(1, 2);
  for (let k = 0; k < count; k++) {
    const row = wordAt(needy, k);
    if (!has(row, DIALLED)) continue;
    fillPort(row);
    const cell = cellOf(clients, internTuple(clients));
    const client = endOf(row, initiatorOf(row)) + 2;
    const known = load<i32>(cell, 4);
    store<i32>(cell, known === 0 || known === client ? client : SEVERAL, 4);
  }
}

/** Reports whether several clients dial from a row's source port. */
function isSharedPort(row: i32): bool {
  fillPort(row);
  return load<i32>(cellOf(clients, findTuple(clients)), 4) === SEVERAL;
}
