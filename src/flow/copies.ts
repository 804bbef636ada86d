import { hasPorts } from "../net/protocol.ts";
import { A_WORD, B_WORD, type FlowRows, KIND, LOGGED, NO_SOURCE_PORT, ONE_WAY, STATE, UNTIMED } from "./flowRows.ts";
import type { Joining } from "./joining.ts";
import { TupleTable } from "./tupleTable.ts";

/** Clocks of reporters differ, and many logs have whole seconds. */
const SLACK_SECONDS = 2;

/** More rows of one tuple than honest traffic has: comparing each with each would let a crafted log take forever. */
const MAX_BUCKET = 64;

/** One connection with the reporters of which a row stands for it already. */
interface Seen {
  readonly row: number;
  readonly origins: Set<number>;
}

/** Reports whether two reporters tell of a table's rows. */
export function isMixed(table: FlowRows): boolean {
  const first = table.size === 0 ? 0 : table.originOf(0);
  for (let row = 1; row < table.size; row++) if (table.originOf(row) !== first) return true;
  return false;
}

/** Reports whether one reporter's rows may be to unite: halves of which records name the ends differently. */
export function hasNamedHalves(table: FlowRows): boolean {
  if (table.standing !== undefined) for (let row = 0; row < table.size; row++) if (isHalf(table, row)) return true;
  return false;
}

function isHalf(table: FlowRows, row: number): boolean {
  return (table.get(row, KIND) & (LOGGED | ONE_WAY)) === LOGGED;
}

/**
 * Finds rows that two reporters made of one connection: the same addresses, ports and protocol at the same time. Returns pairs of a
 * row and the one that it is another view of, and the number of rows that were not compared. Rows without a source port have none.
 */
export function findCopies(
  table: FlowRows,
  joining: Joining,
): { readonly pairs: readonly (readonly [number, number])[]; readonly leftOut: number } {
  const buckets = new TupleTable(5);
  const firsts: number[] = [];
  const nextOf = new Int32Array(table.size).fill(-1);
  const lasts: number[] = [];
  for (let row = 0; row < table.size; row++) {
    const kind = table.get(row, KIND);
    if (!hasPorts(kind & 255) || (kind & NO_SOURCE_PORT) !== 0) continue;
    fill(buckets, table, row);
    const bucket = buckets.intern();
    if (bucket === firsts.length) {
      firsts.push(row);
      lasts.push(row);
    } else {
      nextOf[lasts[bucket]] = row;
      lasts[bucket] = row;
    }
  }
  const pairs: [number, number][] = [];
  let leftOut = 0;
  for (const first of firsts) {
    if (nextOf[first] < 0) continue;
    const rows: number[] = [];
    for (let row = first; row >= 0; row = nextOf[row]) rows.push(row);
    // Captures first: they see most.
    rows.sort((x, y) => table.originOf(x) - table.originOf(y) || x - y);
    const seen: Seen[] = [];
    for (const row of rows) {
      const origin = table.originOf(row);
      const isLogged = (table.get(row, KIND) & LOGGED) !== 0;
      if (isLogged && seen.length > MAX_BUCKET) leftOut++;
      const twin = isLogged ? closest(table, row, origin, seen.slice(-MAX_BUCKET)) : undefined;
      if (twin === undefined) {
        seen.push({ row, origins: new Set([origin]) });
        continue;
      }
      twin.origins.add(origin);
      alignDirections(table, joining, twin.row, row);
      pairs.push([twin.row, row]);
    }
  }
  return { pairs, leftOut };
}

function fill(buckets: TupleTable, table: FlowRows, row: number): void {
  const { key } = buckets;
  const [a, b] = [table.endId(row, 0), table.endId(row, 1)];
  const [portA, portB] = [table.portOf(row, 0), table.portOf(row, 1)];
  const isSwapped = a > b || (a === b && portA > portB);
  key[0] = isSwapped ? b : a;
  key[1] = isSwapped ? a : b;
  key[2] = isSwapped ? portB : portA;
  key[3] = isSwapped ? portA : portB;
  key[4] = table.get(row, KIND) & 255;
}

/** Returns the connection whose time holds the row's, of several the one that began next; none that its reporter has reported already under the same names. */
function closest(table: FlowRows, row: number, origin: number, seen: readonly Seen[]): Seen | undefined {
  let best: Seen | undefined;
  for (const each of seen) {
    if ((each.origins.has(origin) && !areNamedApart(table, row, each.row)) || !overlap(table, row, each.row)) continue;
    if (best === undefined || distance(table, row, each.row) < distance(table, row, best.row)) best = each;
  }
  return best;
}

/** One reporter's halves share a row, unless one record names an end that the other leaves unnamed. */
function areNamedApart(table: FlowRows, row: number, other: number): boolean {
  return (
    isHalf(table, row) &&
    isHalf(table, other) &&
    (table.get(row, A_WORD) !== table.get(other, A_WORD) || table.get(row, B_WORD) !== table.get(other, B_WORD))
  );
}

function distance(table: FlowRows, row: number, other: number): number {
  return Math.abs(
    table.firstSeconds(row) - table.firstSeconds(other) + (table.firstNanoseconds(row) - table.firstNanoseconds(other)) * 1e-9,
  );
}

function overlap(table: FlowRows, row: number, other: number): boolean {
  if (((table.get(row, STATE) | table.get(other, STATE)) & UNTIMED) !== 0) return true;
  return (
    table.firstSeconds(row) <= table.lastSeconds(other) + SLACK_SECONDS &&
    table.firstSeconds(other) <= table.lastSeconds(row) + SLACK_SECONDS
  );
}

/** Who began is one answer for all views of a connection: that of a view which saw it. */
function alignDirections(table: FlowRows, { initiator, isSeen }: Joining, row: number, other: number): void {
  const [from, to] = isSeen[row] === 0 && isSeen[other] === 1 ? [other, row] : [row, other];
  const side = initiator[from];
  const isSameOrder = table.endId(from, 0) === table.endId(to, 0) && table.portOf(from, 0) === table.portOf(to, 0);
  initiator[to] = isSameOrder ? side : 1 - side;
}
