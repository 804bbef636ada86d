import type { Connections } from "../flow/connections.ts";

/** What was seen of some connections: how many distinct ones, how often, and when. */
export class Evidence {
  connections = 0;
  seen = 0;
  /** Connections of which no answer was seen: one-way traffic, or a log that does not tell. */
  unanswered = 0;
  firstSeconds = Number.NaN;
  firstNanoseconds = 0;
  lastSeconds = Number.NaN;
  lastNanoseconds = 0;

  /** Counts connection `i` with so many of its tries; `answered`: whether any of them was. */
  add(connections: Connections, i: number, tries: number, answered: boolean): void {
    this.connections++;
    this.seen += tries;
    if (!answered) this.unanswered++;
    this.#span(connections.firstSeconds(i), connections.firstNanoseconds(i), connections.lastSeconds(i), connections.lastNanoseconds(i));
  }

  /** Adds what other evidence holds. */
  join(other: Evidence): void {
    this.connections += other.connections;
    this.seen += other.seen;
    this.unanswered += other.unanswered;
    this.#span(other.firstSeconds, other.firstNanoseconds, other.lastSeconds, other.lastNanoseconds);
  }

  /** Seconds between the first and the last packet; NaN without times. */
  get seconds(): number {
    return this.lastSeconds - this.firstSeconds + (this.lastNanoseconds - this.firstNanoseconds) * 1e-9;
  }

  #span(first: number, firstNs: number, last: number, lastNs: number): void {
    if (Number.isNaN(first)) return;
    if (!(this.firstSeconds < first || (this.firstSeconds === first && this.firstNanoseconds <= firstNs)))
      [this.firstSeconds, this.firstNanoseconds] = [first, firstNs];
    if (!(this.lastSeconds > last || (this.lastSeconds === last && this.lastNanoseconds >= lastNs)))
      [this.lastSeconds, this.lastNanoseconds] = [last, lastNs];
  }
}
