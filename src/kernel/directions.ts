import {
  ACCEPTED,
  B_BEGAN,
  ERROR_SENT_TO_B,
  FACT_WORDS,
  FIRST_CLIENT_PORT,
  INITIATOR_IS_B,
  LOGGED,
  ONE_WAY,
  OPENED,
  ORDER_UNSURE,
  PERHAPS_REPLY,
  PROHIBITED_BY_ERROR,
  REFUSED_BY_ERROR,
  SERVED_END,
  SPOKE,
  SYNCED,
  UDP,
  UNJUDGED,
  UNREACHED_BY_ERROR,
  UNTIMED,
} from "./constants";
import { isServing, looksLikeReply } from "./host";
import { allocate, bitsOf, release, setWord, wordAt } from "./memory";
import { hasPorts, isIcmp } from "./protocols";
import {
  addressOf,
  endOf,
  initiatorOf,
  kindOf,
  markState,
  packetsOf,
  portOf,
  protocolOf,
  rowCount,
  setInitiator,
  setSeen,
  startOf,
  stateOf,
  wasSeen,
} from "./rows";
import { cellOf, findTuple, internTuple, key, makeTuples, releaseTuples } from "./tuples";

/*
 * Which side of each row began (semantics, "From packets to connections" 1): seen, or inferred by what servers look like. What the
 * rules need is gathered when one asks: most rows are decided before.
 */

/** A capture's first second tells little of who spoke first: what was under way shows then (semantics, "well after"). */
const WELL_AFTER_SECONDS: f64 = 1;

/** Time of the first packet of all, epoch seconds. */
let start: f64 = 0;
/** Rows whose initiator nobody saw, and how many. */
let open: usize = 0;
let openCount = 0;
/** Who was seen to be connected to, as far as open rows may ask; 0: not gathered yet. */
let served: usize = 0;
/** What each end that the last rows ask for was seen with: how many client-like ports of the other address. */
let peers: usize = 0;
const PEERS_WIDTH = 3;
/**
 * Ports of some rows, with their protocols, a byte each by the low bits of both: most other rows are seen to share none without a look
 * into any table.
 */
const MARK_BITS = 16;
let marks: usize = 0;

/** The same marks of ports that some object says are served: of others the program is not asked. */
let servedMarks: usize = 0;

/** Finds the initiator of every row. `facts`: see constants.ts; `servedPorts`: 1 << MARK_BITS bytes, a 1 by port ^ (protocol << 8). */
export function findDirections(facts: usize, servedPorts: usize): void {
  servedMarks = servedPorts;
  const count = rowCount();
  const openBits = bitsOf((<usize>count) << 2);
  open = allocate(openBits);
  openCount = 0;
  start = Infinity;
  for (let row = 0; row < count; row++) {
    const state = stateOf(row);
    if ((state & UNTIMED) === 0) start = min(start, startOf(row));
    const seen = seenInitiator(kindOf(row), state);
    setSeen(row, seen >= 0);
    setInitiator(row, seen === 1 ? 1 : 0);
    if (seen < 0) setWord(open, openCount++, row);
  }
  if (openCount > 0) infer(facts);
  release(open, openBits);
}

/** Returns the side that was seen to begin, or -1. */
function seenInitiator(kind: i32, state: i32): i32 {
  const opened = state & (OPENED | (OPENED << 1));
  // A log's stated initiator carries OPENED; an ICMP message without a reply only has a sender.
  if ((kind & ONE_WAY) !== 0) return opened === 0 ? -1 : (kind & INITIATOR_IS_B) !== 0 ? 1 : 0;
  if (opened === OPENED) return 0;
  if (opened === OPENED << 1) return 1;
  if (opened !== 0) return firstSender(state);
  const accepted = state & (ACCEPTED | (ACCEPTED << 1));
  if (accepted === ACCEPTED) return 1;
  if (accepted === ACCEPTED << 1) return 0;
  // Both sides sent SYN and ACK, and the log tells which one sent first.
  const both = SYNCED | (SYNCED << 1);
  return (state & both) === both && (state & ORDER_UNSURE) === 0 ? firstSender(state) : -1;
}

function firstSender(state: i32): i32 {
  return (state & B_BEGAN) !== 0 ? 1 : 0;
}

/** Fills in the initiators of all open rows. */
function infer(facts: usize): void {
  const restBits = bitsOf((<usize>openCount) << 2);
  const rest = allocate(restBits);
  let restCount = 0;
  marks = allocate(MARK_BITS);
  served = 0;
  for (let k = 0; k < openCount; k++) {
    const side = knownInitiator(wordAt(open, k), facts);
    if (side < 0) setWord(rest, restCount++, wordAt(open, k));
    else setInitiator(wordAt(open, k), side);
  }
  if (served !== 0) releaseTuples(served);
  if (restCount > 0) {
    gatherPeers(rest, restCount);
    for (let k = 0; k < restCount; k++) {
      const row = wordAt(rest, k);
      setInitiator(row, likelyInitiator(row));
    }
    releaseTuples(peers);
  }
  release(marks, MARK_BITS);
  release(rest, restBits);
}

/** Returns the initiator by what is known of this row and of servers, or -1. */
function knownInitiator(row: i32, facts: usize): i32 {
  const kind = kindOf(row);
  const state = stateOf(row);
  const protocol = kind & 255;
  if ((kind & ONE_WAY) !== 0) return (kind & INITIATOR_IS_B) !== 0 ? 1 : 0;
  if (isIcmp(protocol) || !hasPorts(protocol)) {
    if ((state & ORDER_UNSURE) !== 0) markState(row, PERHAPS_REPLY);
    return firstSender(state);
  }
  const servesA = isKnownServer(row, 0, facts);
  if (servesA !== isKnownServer(row, 1, facts)) return servesA ? 1 : 0;
  if (served === 0) findServed();
  const servedA = wasSeenServing(row, 0);
  if (servedA !== wasSeenServing(row, 1)) return servedA ? 1 : 0;
  // Whoever is told that nobody listens had begun, unless the one who says so had spoken before (a late answer to a closed port).
  // A log's denial is of either's packet.
  if ((state & (REFUSED_BY_ERROR | UNREACHED_BY_ERROR | PROHIBITED_BY_ERROR)) !== 0 && (kind & LOGGED) === 0) {
    const sender = (state & ERROR_SENT_TO_B) !== 0 ? 1 : 0;
    if ((state & (SPOKE << (1 - sender))) === 0) return sender;
  }
  return -1;
}

/** Returns the initiator by what servers look like. */
function likelyInitiator(row: i32): i32 {
  const a = peersOf(row, 0);
  const b = peersOf(row, 1);
  if (a !== b && max(a, b) > 1) return a > b ? 1 : 0;
  if ((kindOf(row) & LOGGED) !== 0) return likelyOfHalves(row);
  const first = firstSender(stateOf(row));
  if (protocolOf(row) === UDP && startOf(row) >= start + WELL_AFTER_SECONDS) return first;
  const portA = portOf(row, 0);
  const portB = portOf(row, 1);
  if (portA === portB) return first;
  return portA < portB ? 1 : 0;
}

/**
 * The same of halves in a log: one of them may be missing (filtered, sampled, of another interval), and who sent first is known only
 * where both are there with times that tell. Where nothing tells but two ports of a kind, what is returned is marked as doubtful.
 */
function likelyOfHalves(row: i32): i32 {
  const state = stateOf(row);
  const first = firstSender(state);
  const portA = portOf(row, 0);
  const portB = portOf(row, 1);
  const byPort = portA < portB ? 1 : 0;
  const low = min(portA, portB);
  const high = max(portA, portB);
  const isSystems = low < FIRST_CLIENT_PORT && high >= FIRST_CLIENT_PORT;
  const isTold = looksLikeReply(low, high);
  // A log of what began connections, or was denied: its packets are mostly the initiator's.
  if ((state & UNJUDGED) !== 0) return isTold ? byPort : first;
  const areBoth = packetsOf(row, 0) > 0 && packetsOf(row, 1) > 0;
  const isNew = startOf(row) >= start + WELL_AFTER_SECONDS;
  const isOrdered = (state & ORDER_UNSURE) === 0 && areBoth && isNew;
  if (isTold) {
    // Of a connection that was open before the record's interval, either side may have sent first in it.
    const isContradicted = isOrdered && first !== byPort && (protocolOf(row) === UDP || !isSystems);
    if (isContradicted) markState(row, PERHAPS_REPLY);
    return byPort;
  }
  if (isOrdered) return first;
  markState(row, PERHAPS_REPLY);
  return portA === portB ? first : byPort;
}

/** Reports whether an object says that a side serves its port: each end is asked for once in a row, since most servers have one. */
function isKnownServer(row: i32, side: i32, facts: usize): bool {
  const id = addressOf(row, side);
  const protocol = protocolOf(row);
  const port = portOf(row, side);
  if (load<u8>(servedMarks + (port ^ (protocol << 8))) === 0) return false;
  const end = ((protocol << 16) | port) + 1;
  const fact = facts + <usize>id * (FACT_WORDS << 2);
  if (load<i32>(fact, SERVED_END << 2) === end) return true;
  if (!isServing(id, protocol, port)) return false;
  store<i32>(fact, end, SERVED_END << 2);
  return true;
}

function fillEnd(row: i32, side: i32): void {
  store<i32>(key, endOf(row, side));
  store<i32>(key, (portOf(row, side) << 8) | protocolOf(row), 4);
}

/** Reports whether another connection was seen to be opened to this address and port. */
function wasSeenServing(row: i32, side: i32): bool {
  fillEnd(row, side);
  return findTuple(served) >= 0;
}

/** Gathers who was seen to be connected to. */
function findServed(): void {
  served = makeTuples(2, 2);
  memory.fill(marks, 0, 1 << MARK_BITS);
  for (let k = 0; k < openCount; k++) {
    mark(wordAt(open, k), 0);
    mark(wordAt(open, k), 1);
  }
  const count = rowCount();
  for (let row = 0; row < count; row++) {
    const side = 1 - initiatorOf(row);
    if (!wasSeen(row) || !hasPorts(protocolOf(row)) || !isMarked(row, side)) continue;
    fillEnd(row, side);
    internTuple(served);
  }
}

/** Counts for the ends of some rows what open rows say of them. */
function gatherPeers(rest: usize, restCount: i32): void {
  peers = makeTuples(PEERS_WIDTH, PEERS_WIDTH + 1);
  memory.fill(marks, 0, 1 << MARK_BITS);
  for (let k = 0; k < restCount; k++) {
    const row = wordAt(rest, k);
    for (let side = 0; side < 2; side++) {
      mark(row, side);
      fillPeer(row, side);
      internTuple(peers);
    }
  }
  for (let k = 0; k < openCount; k++) {
    const row = wordAt(open, k);
    if (!hasPorts(protocolOf(row))) continue;
    for (let side = 0; side < 2; side++) {
      if (portOf(row, 1 - side) < FIRST_CLIENT_PORT || !isMarked(row, side)) continue;
      fillPeer(row, side);
      const id = findTuple(peers);
      if (id < 0) continue;
      const counted = cellOf(peers, id);
      store<i32>(counted, load<i32>(counted, PEERS_WIDTH << 2) + 1, PEERS_WIDTH << 2);
    }
  }
}

function fillPeer(row: i32, side: i32): void {
  fillEnd(row, side);
  store<i32>(key, endOf(row, 1 - side), 8);
}

function peersOf(row: i32, side: i32): i32 {
  fillPeer(row, side);
  return load<i32>(cellOf(peers, findTuple(peers)), PEERS_WIDTH << 2);
}

function markOf(row: i32, side: i32): usize {
  return marks + (portOf(row, side) ^ (protocolOf(row) << 8));
}

function mark(row: i32, side: i32): void {
  store<u8>(markOf(row, side), 1);
}

function isMarked(row: i32, side: i32): bool {
  return load<u8>(markOf(row, side)) === 1;
}
