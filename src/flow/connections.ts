import { isIcmp } from "../net/protocol.ts";
import { canonicalEnds } from "./canonicalEnds.ts";
import { reconcile, type Tally } from "./coarse.ts";
import { findCopies, hasNamedHalves, isMixed } from "./copies.ts";
import { type Directions, findDirections, type Surroundings } from "./direction.ts";
import {
  CLOUD_DENIED,
  type FlowRows,
  icmpCodeOf,
  icmpTypeOf,
  KIND,
  LOGGED,
  NO_SOURCE_PORT,
  NOT_TOLD,
  ONE_WAY,
  PERHAPS_REPLY,
  RECORDS,
  REUSED_ADDRESS,
  STATE,
  TOTALS,
  UNCOUNTED,
  UNTALLIED,
  UNTIMED,
} from "./flowRows.ts";
import { L7Hints } from "./hints.ts";
import { NatViews } from "./natViews.ts";
import { classify, Evidence, OUTCOMES } from "./outcome.ts";
import { LoggedParties, type LoggedParty } from "./parties.ts";
import { TupleTable } from "./tupleTable.ts";

const SOURCE = 0;
const SOURCE_EPOCH = 1;
const DESTINATION = 2;
const DESTINATION_EPOCH = 3;
const VIA = 4; // -1: none
const PORT_PAIR = 5; // dialled port in the high half, destination port (or ICMP type and code) in the low half
const PROTOCOL = 6;
const KEY_WIDTH = 7;

/** Rows that may be a reply, and others. */
const [DOUBTFUL, SURE] = [1, 2];
/** No connection was counted yet. */
const NO_PORT = -2;
const SEVERAL_PORTS = -1;

/** What a connection has one of each. */
const COLUMNS = [
  "count",
  "packets",
  "bytes",
  "firstSeconds",
  "firstNanoseconds",
  "lastSeconds",
  "lastNanoseconds",
  "attempts",
  "isSeen",
  "isCounted",
  "doubts",
  "isTallied",
  "isCloudDenied",
  "isStated",
  "hintRow",
  "arrivesFrom",
  "sourcePort",
  "warnings",
] as const;

const NO_ATTEMPTS: readonly number[] = OUTCOMES.map(() => 0);
const ONE_ATTEMPT: readonly (readonly number[])[] = OUTCOMES.map((_, outcome) => OUTCOMES.map((_each, k) => (k === outcome ? 1 : 0)));

/** Reports whether connections share a list of attempts. */
function isShared(attempts: readonly number[]): boolean {
  return attempts === NO_ATTEMPTS || ONE_ATTEMPT.includes(attempts);
}

/**
 * Distinct connections: one a source, dialled address, destination, protocol and destination port (ICMP: type and code). This
 * is what everything after the readers works on, whatever the traffic was read from. Columns by connection number.
 */
export class Connections {
  #keys = new TupleTable(KEY_WIDTH);
  readonly count: number[] = [];
  readonly packets: number[] = [];
  readonly bytes: number[] = [];
  /** Seconds and nanoseconds of the first and last packet; NaN where no record had a time. */
  readonly firstSeconds: number[] = [];
  readonly firstNanoseconds: number[] = [];
  readonly lastSeconds: number[] = [];
  readonly lastNanoseconds: number[] = [];
  /** Counts by OUTCOMES. Connections that were tried once share theirs: `addAttempts` changes them. */
  readonly attempts: (readonly number[])[] = [];
  readonly isSeen: boolean[] = [];
  readonly isCounted: boolean[] = [];
  /** Which rows there were: DOUBTFUL, SURE, or both. */
  readonly doubts: number[] = [];
  /** Whether `count` is how often the connection was made, and not only that it was. */
  readonly isTallied: boolean[] = [];
  /** Whether a cloud's own firewall, which is no network policy, denied any of them. */
  readonly isCloudDenied: boolean[] = [];
  /** Whether a log stated any of them: without a verdict of the log, that there was no answer says nothing. */
  readonly isStated: boolean[] = [];
  /** A flow-table row with L7 hints, or -1; where several rows have some, the first. */
  readonly hintRow: number[] = [];
  readonly #moreHintRows = new Map<number, number[]>();
  /** The node's address that a masqueraded connection arrived with at its destination; -1: the source's own. */
  readonly arrivesFrom: number[] = [];
  /** The initiator's port where all connections that are counted here share one; SEVERAL_PORTS where they do not, or it is not told. */
  readonly sourcePort: number[] = [];
  /** What could not be told for certain, for the report. */
  readonly warnings: string[] = [];

  get size(): number {
    return this.#keys.size;
  }

  /** Returns a copy that further rows can be added to. */
  clone(): Connections {
    const copy = new Connections();
    copy.#keys = this.#keys.clone();
    for (const column of COLUMNS) (copy as unknown as Record<string, unknown>)[column] = [...this[column]];
    // What is counted on further must not be the same list.
    this.attempts.forEach((attempts, i) => {
      if (!isShared(attempts)) copy.attempts[i] = [...attempts];
    });
    for (const [i, rows] of this.#moreHintRows) copy.#moreHintRows.set(i, [...rows]);
    return copy;
  }

  /** Address-table ids. */
  source(i: number): number {
    return this.#keys.get(i, SOURCE);
  }

  destination(i: number): number {
    return this.#keys.get(i, DESTINATION);
  }

  /** The address that was dialled, where it is not the destination's; -1: none. */
  via(i: number): number {
    return this.#keys.get(i, VIA);
  }

  viaPort(i: number): number {
    return this.#keys.get(i, PORT_PAIR) >>> 16;
  }

  protocol(i: number): number {
    return this.#keys.get(i, PROTOCOL);
  }

  /** The destination port of TCP, UDP and SCTP. */
  port(i: number): number {
    return this.#keys.get(i, PORT_PAIR) & 0xffff;
  }

  /** Reports whether type and code of an ICMP connection are known. */
  hasIcmpType(i: number): boolean {
    return (this.#keys.get(i, PORT_PAIR) & 0xffff) !== (NOT_TOLD << 8) + NOT_TOLD;
  }

  icmpType(i: number): number {
    return (this.#keys.get(i, PORT_PAIR) >>> 8) & 255;
  }

  icmpCode(i: number): number {
    return this.#keys.get(i, PORT_PAIR) & 255;
  }

  /** Returns the number of a connection, adding it where it is new. */
  intern(
    source: number,
    sourceEpoch: number,
    destination: number,
    destinationEpoch: number,
    via: number,
    viaPort: number,
    protocol: number,
    port: number,
  ): number {
    const { key } = this.#keys;
    key[SOURCE] = source;
    key[SOURCE_EPOCH] = sourceEpoch;
    key[DESTINATION] = destination;
    key[DESTINATION_EPOCH] = destinationEpoch;
    key[VIA] = via;
    key[PORT_PAIR] = (viaPort << 16) | port;
    key[PROTOCOL] = protocol;
    const before = this.size;
    const i = this.#keys.intern();
    if (i === before) {
      this.count.push(0);
      this.packets.push(0);
      this.bytes.push(0);
      this.firstSeconds.push(Number.NaN);
      this.firstNanoseconds.push(0);
      this.lastSeconds.push(Number.NaN);
      this.lastNanoseconds.push(0);
      this.attempts.push(NO_ATTEMPTS);
      this.isSeen.push(false);
      this.isCounted.push(true);
      this.isTallied.push(true);
      this.doubts.push(0);
      this.isStated.push(false);
      this.isCloudDenied.push(false);
      this.hintRow.push(-1);
      this.arrivesFrom.push(-1);
      this.sourcePort.push(NO_PORT);
    }
    return i;
  }

  /** Counts tries of connection `i` that ended in one way (index in OUTCOMES). */
  addAttempts(i: number, outcome: number, times: number): void {
    const before = this.attempts[i];
    if (before === NO_ATTEMPTS && times === 1) {
      this.attempts[i] = ONE_ATTEMPT[outcome];
      return;
    }
    const own = isShared(before) ? [...before] : (before as number[]);
    own[outcome] += times;
    this.attempts[i] = own;
  }

  /** Returns what was counted of connection `i` so far. */
  tallyOf(i: number): Tally {
    const isTimed = !Number.isNaN(this.firstSeconds[i]);
    return {
      format: "",
      attempts: [...this.attempts[i]],
      packets: this.packets[i],
      bytes: this.bytes[i],
      first: isTimed ? this.firstSeconds[i] : Number.NEGATIVE_INFINITY,
      last: isTimed ? this.lastSeconds[i] : Number.POSITIVE_INFINITY,
    };
  }

  setTally(i: number, { attempts, packets, bytes }: Pick<Tally, "attempts" | "packets" | "bytes">): void {
    this.attempts[i] = attempts;
    this.count[i] = attempts.reduce((sum, count) => sum + count, 0);
    this.packets[i] = packets;
    this.bytes[i] = bytes;
  }

  addHintRow(i: number, row: number): void {
    if (this.hintRow[i] < 0) {
      this.hintRow[i] = row;
      return;
    }
    const more = this.#moreHintRows.get(i);
    if (more === undefined) this.#moreHintRows.set(i, [row]);
    else more.push(row);
  }

  /** Says that all L7 hints of connection `i` are filed under one key. */
  setHintRow(i: number, key: number): void {
    this.hintRow[i] = key;
    this.#moreHintRows.delete(i);
  }

  /** Reports whether all that was seen of connection `i` may be a reply that a log stored as a connection. */
  isDoubtful(i: number): boolean {
    return this.doubts[i] === DOUBTFUL;
  }

  /** Returns every flow-table row with L7 hints of connection `i`. */
  hintRows(i: number): readonly number[] {
    return this.hintRow[i] < 0 ? [] : [this.hintRow[i], ...(this.#moreHintRows.get(i) ?? [])];
  }

  /** Widens the time span of a connection. */
  span(i: number, firstSeconds: number, firstNanoseconds: number, lastSeconds: number, lastNanoseconds: number): void {
    if (!(firstSeconds > this.firstSeconds[i]) && (firstSeconds !== this.firstSeconds[i] || firstNanoseconds < this.firstNanoseconds[i])) {
      this.firstSeconds[i] = firstSeconds;
      this.firstNanoseconds[i] = firstNanoseconds;
    }
    if (!(lastSeconds < this.lastSeconds[i]) && (lastSeconds !== this.lastSeconds[i] || lastNanoseconds > this.lastNanoseconds[i])) {
      this.lastSeconds[i] = lastSeconds;
      this.lastNanoseconds[i] = lastNanoseconds;
    }
  }
}

/**
 * Joins the rows of a flow table into distinct connections. `hints` are rows with L7 hints, `parties` what logs say of ends. They are
 * added to `connections`, which then is what is returned.
 */
export function connect(
  table: FlowRows,
  surroundings: Surroundings,
  hints: { has(row: number): boolean } = new L7Hints(),
  parties: LoggedParties = new LoggedParties(),
  connections: Connections = new Connections(),
): Connections {
  table.standing = canonicalEnds(table, parties);
  const directions = findDirections(table, surroundings);
  const views = new NatViews(table, directions, surroundings);
  const mixed = isMixed(table);
  if (mixed || hasNamedHalves(table)) {
    const copies = findCopies(table, directions);
    for (const [row, copy] of copies.pairs) views.join(row, copy);
    if (copies.leftOut > 0)
      connections.warnings.push(
        `${copies.leftOut} records share addresses and ports with over 64 others: what several inputs tell of them may be counted twice`,
      );
  }
  if (views.leftOut > 0)
    connections.warnings.push(
      `${views.leftOut} connections share a socket or sequence number with over 64 others: not all their views before and after NAT were compared`,
    );
  const adder = new ConnectionAdder(connections, table, directions, views, hints, parties);
  const groups = views.groups();
  const coarse: number[] = [];
  for (let row = 0; row < table.size; row++) {
    if (mixed && isCoarse(table, row)) coarse.push(row);
    else if (views.isAlone(row)) adder.addAlone(row);
    else if (views.rootOf(row) === row) adder.add(groups.get(row)!);
  }
  if (coarse.length > 0) adder.addCoarse(coarse);
  return connections;
}

/** Reports whether a row does not tell one connection from the next, so that reporters' rows can be compared by their counts alone. */
function isCoarse(table: FlowRows, row: number): boolean {
  const kind = table.get(row, KIND);
  return (kind & LOGGED) !== 0 && ((kind & NO_SOURCE_PORT) !== 0 || isIcmp(kind & 255));
}

/** Adds connections one by one, each given by the rows that are its views. */
class ConnectionAdder {
  readonly #connections: Connections;
  readonly #table: FlowRows;
  readonly #directions: Directions;
  readonly #views: NatViews;
  readonly #hints: { has(row: number): boolean };
  readonly #parties: LoggedParties;
  readonly #evidence = new Evidence();

  constructor(
    connections: Connections,
    table: FlowRows,
    directions: Directions,
    views: NatViews,
    hints: { has(row: number): boolean },
    parties: LoggedParties,
  ) {
    this.#parties = parties;
    this.#connections = connections;
    this.#table = table;
    this.#directions = directions;
    this.#views = views;
    this.#hints = hints;
  }

  /** Adds a connection that has one view, as nearly all have. */
  addAlone(row: number): void {
    const table = this.#table;
    const side = this.#directions.initiator[row];
    const i = this.#intern(row, row, this.#views.isDialled(row) ? row : -1);
    this.#evidence.reset();
    this.#evidence.gather(table, row, side);
    this.#addRow(i, row);
    this.#addGaps(i, table.get(row, STATE));
    const a = table.packetsOf(row, 0);
    const b = table.packetsOf(row, 1);
    this.#count(i, row, a + b, (a > 0 ? table.bytesOf(row, 0) : 0) + (b > 0 ? table.bytesOf(row, 1) : 0));
  }

  add(rows: readonly number[]): void {
    const connections = this.#connections;
    const table = this.#table;
    const { initiator } = this.#directions;
    // The source before translation, the destination after it, and between them what was dialled.
    let sourceRow = -1;
    let endRow = -1;
    let viaRow = -1;
    for (const row of rows) {
      if (sourceRow < 0 && !this.#views.isFromNode(row)) sourceRow = row;
      if (endRow < 0 && !this.#views.isDialled(row)) endRow = row;
      if (viaRow < 0 && this.#views.isDialled(row)) viaRow = row;
    }
    if (sourceRow < 0) sourceRow = rows[0];
    if (endRow < 0) endRow = rows[0];
    const i = this.#intern(sourceRow, endRow, viaRow, rows);
    const arrived = rows.find((row) => this.#views.isFromNode(row) && !this.#views.isDialled(row));
    if (viaRow >= 0 && arrived !== undefined && arrived !== sourceRow)
      connections.arrivesFrom[i] = table.addressId(arrived, initiator[arrived]);
    const evidence = this.#evidence;
    evidence.reset();
    let [sent, sentBytes, returned, returnedBytes] = [0, 0, 0, 0];
    // Of logs that have one count for both directions.
    let [total, totalBytes] = [0, 0];
    let gaps = UNCOUNTED | UNTALLIED;
    for (const row of rows) {
      gaps &= table.get(row, STATE);
      const side = initiator[row];
      evidence.gather(table, row, side);
      // Each packet once: a direction counts as often as the view that saw most of it.
      const [there, back] = [table.packetsOf(row, side), table.packetsOf(row, 1 - side)];
      if (isTotal(table, row, back)) {
        if (there > total) [total, totalBytes] = [there, table.bytesOf(row, side)];
      } else if (there > sent) [sent, sentBytes] = [there, table.bytesOf(row, side)];
      if (back > returned) [returned, returnedBytes] = [back, table.bytesOf(row, 1 - side)];
      this.#addRow(i, row);
    }
    this.#addGaps(i, gaps);
    this.#count(i, sourceRow, Math.max(total, sent + returned), Math.max(totalBytes, sentBytes + returnedBytes));
  }

  /** Adds rows that cannot be told apart from other reporters' one by one. */
  addCoarse(rows: readonly number[]): void {
    const connections = this.#connections;
    const table = this.#table;
    const { initiator } = this.#directions;
    const byConnection = new Map<number, Map<number, Tally>>();
    const gaps = new Map<number, number>();
    for (const row of rows) {
      const i = this.#intern(row, row, this.#views.isDialled(row) ? row : -1);
      let tallies = byConnection.get(i);
      if (tallies === undefined) {
        byConnection.set(i, (tallies = new Map()));
        if (connections.count[i] > 0) tallies.set(-1, connections.tallyOf(i));
      }
      const origin = table.originOf(row);
      let tally = tallies.get(origin);
      if (tally === undefined) tallies.set(origin, (tally = emptyTally(table.origins.formatOf(origin))));
      gaps.set(i, (gaps.get(i) ?? (tallies.has(-1) ? 0 : UNCOUNTED | UNTALLIED)) & table.get(row, STATE));
      this.#evidence.reset();
      this.#evidence.gather(table, row, initiator[row]);
      if (this.#evidence.isStated) connections.isStated[i] = true;
      const kind = table.get(row, KIND);
      tally.attempts[classify(kind & 255, this.#evidence)] += this.#timesOf(row);
      tally.packets += table.packetsOf(row, 0) + table.packetsOf(row, 1);
      tally.bytes += table.bytesOf(row, 0) + table.bytesOf(row, 1);
      const isTimed = (table.get(row, STATE) & UNTIMED) === 0;
      tally.first = Math.min(tally.first, isTimed ? table.firstSeconds(row) : Number.NEGATIVE_INFINITY);
      tally.last = Math.max(tally.last, isTimed ? table.lastSeconds(row) : Number.POSITIVE_INFINITY);
      this.#addRow(i, row);
      connections.sourcePort[i] = SEVERAL_PORTS;
    }
    for (const [i, missing] of gaps) this.#addGaps(i, missing);
    for (const [i, tallies] of byConnection) connections.setTally(i, reconcile([...tallies.values()]));
  }

  #timesOf(row: number): number {
    // What began before the log's first interval was never counted, and was there.
    return (this.#table.get(row, KIND) & NO_SOURCE_PORT) !== 0 ? Math.max(1, this.#table.get(row, RECORDS)) : 1;
  }

  #count(i: number, sourceRow: number, packets: number, bytes: number): void {
    const connections = this.#connections;
    const kind = this.#table.get(sourceRow, KIND);
    const times = this.#timesOf(sourceRow);
    connections.count[i] += times;
    connections.packets[i] += packets;
    connections.bytes[i] += bytes;
    connections.addAttempts(i, classify(kind & 255, this.#evidence), times);
    if (this.#evidence.isStated) connections.isStated[i] = true;
    const port = (kind & NO_SOURCE_PORT) !== 0 ? SEVERAL_PORTS : this.#table.portOf(sourceRow, this.#directions.initiator[sourceRow]);
    if (connections.sourcePort[i] === NO_PORT) connections.sourcePort[i] = port;
    else if (connections.sourcePort[i] !== port) connections.sourcePort[i] = SEVERAL_PORTS;
  }

  /** `rows`: where there are several views, all of them. */
  #intern(sourceRow: number, endRow: number, viaRow: number, rows: readonly number[] = [endRow]): number {
    const table = this.#table;
    const kind = table.get(sourceRow, KIND);
    const protocol = kind & 255;
    const { initiator } = this.#directions;
    const start = initiator[sourceRow];
    const end = 1 - initiator[endRow];
    const viaSide = viaRow < 0 ? 0 : 1 - initiator[viaRow];
    const stated = viaRow < 0 ? this.#statedVia(rows) : undefined;
    return this.#connections.intern(
      table.endId(sourceRow, start),
      epochOf(table, sourceRow, start),
      table.endId(endRow, end),
      epochOf(table, endRow, end),
      viaRow < 0 ? (stated?.addressId ?? -1) : table.addressId(viaRow, viaSide),
      viaRow < 0 ? (stated?.port ?? 0) : table.portOf(viaRow, viaSide),
      protocol,
      isIcmp(protocol) ? (icmpTypeOf(kind) << 8) | icmpCodeOf(kind) : table.portOf(endRow, end),
    );
  }

  /** Returns what was dialled, where a log tells it of the destination. */
  #statedVia(rows: readonly number[]): LoggedParty["via"] {
    if (this.#parties.size === 1) return undefined;
    for (const row of rows) {
      const { via } = this.#parties.get(this.#table.addresses.tagOf(this.#table.addressId(row, 1 - this.#directions.initiator[row])));
      if (via !== undefined) return via;
    }
    return undefined;
  }

  /** What no reporter of a connection counts is missing in its sums. */
  #addGaps(i: number, gaps: number): void {
    if ((gaps & UNCOUNTED) !== 0) this.#connections.isCounted[i] = false;
    if ((gaps & UNTALLIED) !== 0) this.#connections.isTallied[i] = false;
  }

  #addRow(i: number, row: number): void {
    const connections = this.#connections;
    const table = this.#table;
    const state = table.get(row, STATE);
    if ((state & UNTIMED) === 0)
      connections.span(i, table.firstSeconds(row), table.firstNanoseconds(row), table.lastSeconds(row), table.lastNanoseconds(row));
    connections.doubts[i] |= (state & PERHAPS_REPLY) === 0 ? SURE : DOUBTFUL;
    if ((state & CLOUD_DENIED) !== 0) connections.isCloudDenied[i] = true;
    if (this.#directions.isSeen[row] === 1) connections.isSeen[i] = true;
    if (this.#hints.has(row)) connections.addHintRow(i, row);
  }
}

/** Reports whether a row's packets are those of both directions: a log stated them, and not what came back apart. */
function isTotal(table: FlowRows, row: number, returned: number): boolean {
  return (
    returned === 0 && (table.get(row, KIND) & (LOGGED | ONE_WAY | NO_SOURCE_PORT)) === (LOGGED | ONE_WAY) && table.get(row, TOTALS) === 1
  );
}

function emptyTally(format: string): Tally {
  return { format, attempts: [...NO_ATTEMPTS], packets: 0, bytes: 0, first: Number.POSITIVE_INFINITY, last: Number.NEGATIVE_INFINITY };
}

function epochOf(table: FlowRows, row: number, side: number): number {
  if (table.epochs === undefined || (table.get(row, STATE) & REUSED_ADDRESS) === 0) return 0;
  return table.epochs.epochAt(table.addressId(row, side), true, table.firstSeconds(row));
}
