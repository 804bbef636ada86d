import {
  ARRIVES_FROM,
  ATTEMPTS,
  BYTES,
  CHUNK_CELL_BITS,
  CONNECTION_WORDS,
  COUNT,
  DESTINATION,
  DOUBTFUL,
  ENDED_NS,
  ENDED_SECONDS,
  IN_CLOUD_DENIED,
  PACKETS,
  PORT_PAIR,
  PROTOCOL,
  SEEN,
  SOURCE,
  SOURCE_PORT,
  STARTED_NS,
  STARTED_SECONDS,
  STATED,
  SURE,
  TIMED,
  TRAITS,
  VIA,
  WITHOUT_COUNTS,
  WITHOUT_TALLY,
} from "../kernel/constants.ts";
import { isIcmp } from "../net/protocol.ts";
import { canonicalEnds } from "./canonicalEnds.ts";
import { reconcile, type Tally } from "./coarse.ts";
import { findCopies, hasNamedHalves, isMixed } from "./copies.ts";
import { type FlowRows, KIND, LOGGED, NO_SOURCE_PORT, NOT_TOLD, STATE, UNCOUNTED, UNTALLIED, UNTIMED } from "./flowRows.ts";
import { L7Hints } from "./hints.ts";
import { Joining, type Surroundings } from "./joining.ts";
import type { Kernel } from "./kernel.ts";
import { ESTABLISHED, OUTCOMES, UNKNOWN } from "./outcome.ts";
import { LoggedParties } from "./parties.ts";

/** Connections that lie together in the kernel's memory. */
const CHUNK = 1 << CHUNK_CELL_BITS;

/**
 * Distinct connections: one a source, dialled address, destination, protocol and destination port (ICMP: type and code). This
 * is what everything after the readers works on, whatever the traffic was read from. The kernel holds them, by number.
 */
export class Connections {
  /** What the kernel knows them by. */
  readonly store: number;
  /** What could not be told for certain, for the report. */
  readonly warnings: string[] = [];
  readonly kernel: Kernel;
  #size = 0;
  /** Views of the same memory, chunk by chunk. */
  #words: Int32Array[] = [];
  #floats: Float64Array[] = [];
  /** Flow-table rows with L7 hints. */
  readonly #hintRows = new Map<number, number[]>();

  constructor(kernel: Kernel, store: number = kernel.calls.makeConnections()) {
    this.kernel = kernel;
    this.store = store;
    this.look();
  }

  get size(): number {
    return this.#size;
  }

  /** Looks where the kernel has them: it has added some. */
  look(): void {
    const { calls } = this.kernel;
    this.#size = calls.countTuples(this.store);
    for (let from = this.#words.length << CHUNK_CELL_BITS; from < this.#size; from += CHUNK) {
      const address = calls.cellOf(this.store, from);
      this.#words.push(this.kernel.words(address, CHUNK * CONNECTION_WORDS));
      this.#floats.push(this.kernel.floats(address, (CHUNK * CONNECTION_WORDS) / 2));
    }
  }

  /** Returns a copy that further rows can be added to. */
  clone(): Connections {
    const copy = new Connections(this.kernel, this.kernel.calls.copyTuples(this.store));
    copy.warnings.push(...this.warnings);
    for (const [i, rows] of this.#hintRows) copy.#hintRows.set(i, [...rows]);
    return copy;
  }

  /** Gives the memory of the connections back: they must not be looked at any more. */
  release(): void {
    this.kernel.calls.releaseTuples(this.store);
  }

  #word(i: number, column: number): number {
    return this.#words[i >> CHUNK_CELL_BITS][(i & (CHUNK - 1)) * CONNECTION_WORDS + column];
  }

  #float(i: number, column: number): number {
    return this.#floats[i >> CHUNK_CELL_BITS][((i & (CHUNK - 1)) * CONNECTION_WORDS + column) >> 1];
  }

  #has(i: number, trait: number): boolean {
    return (this.#word(i, TRAITS) & trait) !== 0;
  }

  /** Address-table ids. */
  source(i: number): number {
    return this.#word(i, SOURCE);
  }

  destination(i: number): number {
    return this.#word(i, DESTINATION);
  }

  /** The address that was dialled, where it is not the destination's; -1: none. */
  via(i: number): number {
    return this.#word(i, VIA);
  }

  viaPort(i: number): number {
    return this.#word(i, PORT_PAIR) >>> 16;
  }

  protocol(i: number): number {
    return this.#word(i, PROTOCOL);
  }

  /** The destination port of TCP, UDP and SCTP. */
  port(i: number): number {
    return this.#word(i, PORT_PAIR) & 0xffff;
  }

  /** Reports whether type and code of an ICMP connection are known. */
  hasIcmpType(i: number): boolean {
    return this.port(i) !== (NOT_TOLD << 8) + NOT_TOLD;
  }

  icmpType(i: number): number {
    return this.port(i) >>> 8;
  }

  icmpCode(i: number): number {
    return this.port(i) & 255;
  }

  /** How often it was made; see `isTallied`. */
  count(i: number): number {
    return this.#float(i, COUNT);
  }

  /** What was counted of it; see `isCounted`. */
  packets(i: number): number {
    return this.#float(i, PACKETS);
  }

  bytes(i: number): number {
    return this.#float(i, BYTES);
  }

  /** How many of its tries ended in one way (a place in OUTCOMES). */
  tries(i: number, outcome: number): number {
    return this.#float(i, ATTEMPTS + 2 * outcome);
  }

  /** The same of every way. */
  attempts(i: number): number[] {
    return OUTCOMES.map((_, outcome) => this.tries(i, outcome));
  }

  /** How many of its tries worked, or may have: how those ended is not known. */
  mayHaveWorked(i: number): number {
    return this.tries(i, ESTABLISHED) + this.tries(i, UNKNOWN);
  }

  /** Seconds and nanoseconds of the first and last packet; NaN where no record had a time. */
  firstSeconds(i: number): number {
    return this.#has(i, TIMED) ? this.#word(i, STARTED_SECONDS) >>> 0 : Number.NaN;
  }

  firstNanoseconds(i: number): number {
    return this.#word(i, STARTED_NS);
  }

  lastSeconds(i: number): number {
    return this.#has(i, TIMED) ? this.#word(i, ENDED_SECONDS) >>> 0 : Number.NaN;
  }

  lastNanoseconds(i: number): number {
    return this.#word(i, ENDED_NS);
  }

  /** Returns when the newest of all was seen, epoch seconds; undefined without times. */
  newestSeconds(): number | undefined {
    let newest: number | undefined;
    for (let i = 0; i < this.#size; i++) if (this.lastSeconds(i) > (newest ?? Number.NEGATIVE_INFINITY)) newest = this.lastSeconds(i);
    return newest;
  }

  /** The node's address that a masqueraded connection arrived with at its destination; -1: the source's own. */
  arrivesFrom(i: number): number {
    return this.#word(i, ARRIVES_FROM);
  }

  /** The initiator's port where all connections that are counted here share one; negative where they do not, or it is not told. */
  sourcePort(i: number): number {
    return this.#word(i, SOURCE_PORT) - 2;
  }

  isSeen(i: number): boolean {
    return this.#has(i, SEEN);
  }

  isCounted(i: number): boolean {
    return !this.#has(i, WITHOUT_COUNTS);
  }

  /** Reports whether `count` is how often the connection was made, and not only that it was. */
  isTallied(i: number): boolean {
    return !this.#has(i, WITHOUT_TALLY);
  }

  /** Reports whether a cloud's own firewall, which is no network policy, denied any of them. */
  isCloudDenied(i: number): boolean {
    return this.#has(i, IN_CLOUD_DENIED);
  }

  /** Reports whether a log stated any of them: without a verdict of the log, that there was no answer says nothing. */
  isStated(i: number): boolean {
    return this.#has(i, STATED);
  }

  /** Reports whether all that was seen of connection `i` may be a reply that a log stored as a connection. */
  isDoubtful(i: number): boolean {
    return (this.#word(i, TRAITS) & (DOUBTFUL | SURE)) === DOUBTFUL;
  }

  /** Returns every flow-table row with L7 hints of connection `i`, in the order of their connections. */
  hintRows(i: number): readonly number[] {
    return this.#hintRows.get(i) ?? [];
  }

  addHintRow(i: number, row: number): void {
    const rows = this.#hintRows.get(i);
    if (rows === undefined) this.#hintRows.set(i, [row]);
    else rows.push(row);
  }

  /** Says that all L7 hints of connection `i` are filed under one key. */
  setHintRow(i: number, key: number): void {
    this.#hintRows.set(i, [key]);
  }

  /** Returns what was counted of connection `i` so far. */
  tallyOf(i: number): Tally {
    const isTimed = this.#has(i, TIMED);
    return {
      format: "",
      attempts: this.attempts(i),
      packets: this.packets(i),
      bytes: this.bytes(i),
      first: isTimed ? this.firstSeconds(i) : Number.NEGATIVE_INFINITY,
      last: isTimed ? this.lastSeconds(i) : Number.POSITIVE_INFINITY,
    };
  }

  setTally(i: number, { attempts, packets, bytes }: Pick<Tally, "attempts" | "packets" | "bytes">): void {
    const floats = this.#floats[i >> CHUNK_CELL_BITS];
    const from = ((i & (CHUNK - 1)) * CONNECTION_WORDS) >> 1;
    attempts.forEach((count, outcome) => (floats[from + (ATTEMPTS >> 1) + outcome] = count));
    floats[from + (COUNT >> 1)] = attempts.reduce((sum, count) => sum + count, 0);
    floats[from + (PACKETS >> 1)] = packets;
    floats[from + (BYTES >> 1)] = bytes;
  }
}

/**
 * Joins the rows of a flow table into distinct connections. `hints` are rows with L7 hints, `parties` what logs say of ends. They are
 * added to `connections`, which then is what is returned.
 */
export function connect(
  table: FlowRows,
  surroundings: Surroundings,
  hints: L7Hints = new L7Hints(),
  parties: LoggedParties = new LoggedParties(),
  connections: Connections = new Connections(table.kernel),
): Connections {
  table.standing = canonicalEnds(table, parties);
  const joining = new Joining(table, surroundings);
  try {
    join(joining, hints, parties, connections);
  } finally {
    joining.release();
  }
  return connections;
}

function join(joining: Joining, hints: L7Hints, parties: LoggedParties, connections: Connections): void {
  const { table } = joining;
  joining.findDirections();
  const leftOut = joining.joinViews();
  const mixed = isMixed(table);
  if (mixed || hasNamedHalves(table)) {
    const copies = findCopies(table, joining);
    for (const [row, copy] of copies.pairs) joining.unite(row, copy);
    if (copies.leftOut > 0)
      connections.warnings.push(
        `${copies.leftOut} records share addresses and ports with over 64 others: what several inputs tell of them may be counted twice`,
      );
  }
  if (leftOut > 0)
    connections.warnings.push(
      `${leftOut} connections share a socket or sequence number with over 64 others: not all their views before and after NAT were compared`,
    );
  const coarse: number[] = [];
  if (mixed)
    for (let row = 0; row < table.size; row++) {
      if (!isCoarse(table, row)) continue;
      joining.markCoarse(row);
      coarse.push(row);
    }
  const numbers = joining.addRows(connections.store, parties);
  connections.look();
  const hinted = [...hints.rows()].filter((row) => row < table.size && !joining.isCoarse(row));
  hinted.sort((x, y) => joining.rootOf(x) - joining.rootOf(y) || x - y);
  for (const row of hinted) connections.addHintRow(numbers[row], row);
  if (coarse.length > 0) addCoarse(connections, table, hints, coarse);
}

/** Reports whether a row does not tell one connection from the next, so that reporters' rows can be compared by their counts alone. */
function isCoarse(table: FlowRows, row: number): boolean {
  const kind = table.get(row, KIND);
  return (kind & LOGGED) !== 0 && ((kind & NO_SOURCE_PORT) !== 0 || isIcmp(kind & 255));
}

/** Adds rows that cannot be told apart from other reporters' one by one. */
function addCoarse(connections: Connections, table: FlowRows, hints: L7Hints, rows: readonly number[]): void {
  const { calls } = table.kernel;
  const byConnection = new Map<number, Map<number, Tally>>();
  const gaps = new Map<number, number>();
  for (const row of rows) {
    const i = calls.internRow(row);
    if (i >= connections.size) connections.look();
    let tallies = byConnection.get(i);
    if (tallies === undefined) {
      byConnection.set(i, (tallies = new Map()));
      if (connections.count(i) > 0) tallies.set(-1, connections.tallyOf(i));
    }
    const origin = table.originOf(row);
    let tally = tallies.get(origin);
    if (tally === undefined) tallies.set(origin, (tally = emptyTally(table.origins.formatOf(origin))));
    gaps.set(i, (gaps.get(i) ?? (tallies.has(-1) ? 0 : UNCOUNTED | UNTALLIED)) & table.get(row, STATE));
    tally.attempts[calls.outcomeOf(row)] += calls.timesOf(row);
    tally.packets += table.packetsOf(row, 0) + table.packetsOf(row, 1);
    tally.bytes += table.bytesOf(row, 0) + table.bytesOf(row, 1);
    const isTimed = (table.get(row, STATE) & UNTIMED) === 0;
    tally.first = Math.min(tally.first, isTimed ? table.firstSeconds(row) : Number.NEGATIVE_INFINITY);
    tally.last = Math.max(tally.last, isTimed ? table.lastSeconds(row) : Number.POSITIVE_INFINITY);
    calls.fileCoarse(i, row);
    if (hints.has(row)) connections.addHintRow(i, row);
  }
  for (const [i, missing] of gaps) calls.addGaps(i, missing);
  for (const [i, tallies] of byConnection) connections.setTally(i, reconcile([...tallies.values()]));
}

function emptyTally(format: string): Tally {
  return { format, attempts: OUTCOMES.map(() => 0), packets: 0, bytes: 0, first: Number.POSITIVE_INFINITY, last: Number.NEGATIVE_INFINITY };
}
