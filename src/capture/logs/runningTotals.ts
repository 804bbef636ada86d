import type { LogSink } from "./logSink.ts";

/** Connections whose last totals are remembered: some 40 MB. */
const MOST = 1 << 17;

/**
 * Turns counters that run since a connection's beginning into what each record adds. Only the connections of late are remembered;
 * of one that is forgotten the next record counts from the beginning again, which the report then says.
 */
export class RunningTotals {
  readonly #sink: LogSink;
  readonly #most: number;
  readonly #known = new Map<string, readonly number[]>();

  constructor(sink: LogSink, most: number = MOST) {
    this.#sink = sink;
    this.#most = most;
  }

  /** Returns what totals of a connection have grown by since its last record; all of them where they shrank, since it began anew. */
  increments(connection: string, totals: readonly number[]): readonly number[] {
    const before = this.#known.get(connection);
    // Deleted first, so that the oldest of the map is the one that was heard of least lately.
    if (before !== undefined) this.#known.delete(connection);
    else if (this.#known.size >= this.#most) this.#forgetOldest();
    this.#known.set(connection, totals);
    if (before === undefined || totals.some((total, k) => total < before[k])) return totals;
    return totals.map((total, k) => total - before[k]);
  }

  #forgetOldest(): void {
    const oldest = this.#known.keys().next();
    if (oldest.done !== true) this.#known.delete(oldest.value);
    this.#sink.gap(
      "partial",
      1,
      (count) => `too many connections were open at a time: the running totals of ${count} were forgotten and may count twice`,
    );
  }
}
