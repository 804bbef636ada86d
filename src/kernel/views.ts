import { ANSWER, DIALLED, DIALLED_END, FACT_WORDS, FROM_NODE, IS_NO_NODE, IS_NODE, NO_SOURCE_PORT, OWNER } from "./constants";
import { isDialled, isNode } from "./host";
import { setWord } from "./memory";
import { addressOf, hasIsn, hasPorts, initiatorOf, isnOf, kindOf, portOf, rowCount } from "./rows";
import { cellOf, countTuples, internTuple, key, makeTuples, releaseTuples } from "./tuples";

/*
 * Finds the few rows that may be views of one connection before and after address translation; the program compares them
 * (src/flow/natViews.ts).
 */

/** Ends that were asked for, each with the answer beside it. */
let targets: usize = 0;
const TARGET_WIDTH = 2;
const NO = 1;
const YES = 2;

/** Gives each row its flags, and lists those whose source or destination may be translated. Returns how many they are. */
export function findNeedy(facts: usize, flags: usize, list: usize): i32 {
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

/**
 * Lists the rows that may be the view after translation of a row in need: those with one of the source ports or (by their low 16 bits)
 * initial sequence numbers that `ports` and `sequences` hold a 1 for, which each kind of key has one of. Returns how many they are.
 */
export function findTranslated(flags: usize, ports: usize, sequences: usize, list: usize): i32 {
  let listed = 0;
  const count = rowCount();
  for (let row = 0; row < count; row++) {
    const kind = kindOf(row);
    // What others are joined with is the view after translation: never a dialled one.
    if (!hasPorts(kind & 255) || (kind & NO_SOURCE_PORT) !== 0 || (load<u8>(flags + row) & DIALLED) !== 0) continue;
    const isWanted = load<u8>(ports + portOf(row, initiatorOf(row))) === 1;
    if (isWanted || (load<u8>(sequences + (isnOf(row) & 0xffff)) === 1 && hasIsn(row))) setWord(list, listed++, row);
  }
  return listed;
}
