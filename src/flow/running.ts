import { Connections, connect } from "./connections.ts";
import type { FlowTable } from "./flowTable.ts";
import { L7Hints } from "./hints.ts";
import type { Surroundings } from "./joining.ts";
import type { LoggedParties } from "./parties.ts";

/** Keys of hints of settled connections: no table has as many rows. */
const SETTLED = 2 ** 40;

/**
 * Connections of a stream without an end. Rows of what was not heard of for a while are settled: their sums stay and they go, so that
 * memory is bounded by the distinct connections and by what is under way. A connection that goes on after it was settled counts again.
 */
export class RunningConnections {
  readonly table: FlowTable;
  hints: L7Hints;
  readonly #parties: LoggedParties;
  readonly #surroundings: Surroundings;
  readonly #settled: Connections;
  #latest: Connections | undefined;

  constructor(table: FlowTable, hints: L7Hints, parties: LoggedParties, surroundings: Surroundings) {
    this.table = table;
    this.hints = hints;
    this.#parties = parties;
    this.#surroundings = surroundings;
    this.#settled = new Connections(table.kernel);
  }

  /** Returns all connections so far, to be looked at until the next call. */
  now(): Connections {
    this.#latest?.release();
    this.#latest = undefined;
    this.#latest = this.#settled.clone();
    return connect(this.table, this.#surroundings, this.hints, this.#parties, this.#latest);
  }

  /** Settles rows that were last heard of before a moment (epoch seconds). */
  settle(before: number): void {
    const { table, hints } = this;
    const isOld = Array.from({ length: table.size }, (_, row) => table.lastSeconds(row) < before);
    const settledHints = new L7Hints();
    const remainingHints = new L7Hints();
    let [settled, kept] = [0, 0];
    const places = isOld.map((old) => (old ? settled++ : kept++));
    for (const row of hints.rows()) {
      if (row >= SETTLED) hints.moveTo(remainingHints, row, row);
      else hints.moveTo(isOld[row] ? settledHints : remainingHints, row, places[row]);
    }
    const old = table.part((row) => isOld[row]);
    const connections = connect(old, this.#surroundings, settledHints, this.#parties, this.#settled);
    old.release();
    for (let i = 0; i < connections.size; i++) {
      const rows = connections.hintRows(i).filter((row) => row < SETTLED);
      for (const row of rows) settledHints.moveTo(remainingHints, row, SETTLED + i);
      if (rows.length > 0) connections.setHintRow(i, SETTLED + i);
    }
    table.keep((row) => !isOld[row]);
    this.hints = remainingHints;
  }
}
