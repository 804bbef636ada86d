const SIZE = 1 << 12;
/** RFC 791 and RFC 8200 section 4.5 give a datagram up to 60 s to be put together; Linux takes 30 s. */
const KEEP_SECONDS = 30;

/** Packets and bytes of fragments that came before the first one, waiting for it. */
export interface WaitingFragments {
  readonly packets: number;
  readonly bytes: number;
}

/**
 * Remembers which connection (row and side) a fragmented datagram belongs to, by addresses, protocol and identification.
 * A fixed table: a flood of fragments overwrites old entries and cannot take memory. What is overwritten while it waits is
 * counted as orphaned.
 */
export class Fragments {
  readonly #key = new Int32Array(SIZE * 4);
  /** Row + 1 of the first fragment; 0: free; -1: the first has not come. */
  readonly #row = new Int32Array(SIZE);
  readonly #side = new Uint8Array(SIZE);
  readonly #seconds = new Float64Array(SIZE);
  readonly #packets = new Int32Array(SIZE);
  readonly #bytes = new Float64Array(SIZE);
  /** Packets that waited for a first fragment that never came. */
  orphans = 0;
  /** Side of the row that `find` returned. */
  side = 0;

  /** Returns the row of a later fragment's datagram, or -1 while its first fragment has not come: the packet then waits. */
  find(source: number, destination: number, kind: number, identification: number, bytes: number, seconds: number): number {
    const slot = this.#slot(source, destination, kind, identification);
    if (this.#holds(slot, source, destination, kind, identification, seconds)) {
      if (this.#row[slot] > 0) {
        this.side = this.#side[slot];
        return this.#row[slot] - 1;
      }
    } else this.#take(slot, source, destination, kind, identification, seconds);
    this.#packets[slot]++;
    this.#bytes[slot] += bytes;
    return -1;
  }

  /** Files the first fragment's row and side; returns what had come before it. */
  first(
    source: number,
    destination: number,
    kind: number,
    identification: number,
    row: number,
    side: number,
    seconds: number,
  ): WaitingFragments | undefined {
    const slot = this.#slot(source, destination, kind, identification);
    if (!this.#holds(slot, source, destination, kind, identification, seconds))
      this.#take(slot, source, destination, kind, identification, seconds);
    const waiting = this.#packets[slot] > 0 ? { packets: this.#packets[slot], bytes: this.#bytes[slot] } : undefined;
    this.#row[slot] = row + 1;
    this.#side[slot] = side;
    this.#packets[slot] = 0;
    this.#bytes[slot] = 0;
    return waiting;
  }

  /** Counts as orphans what still waits. Call once, at the end. */
  finish(): void {
    for (let slot = 0; slot < SIZE; slot++) this.orphans += this.#packets[slot];
    this.#packets.fill(0);
  }

  #slot(source: number, destination: number, kind: number, identification: number): number {
    const hash = Math.imul(source, 0x9e3779b1) ^ Math.imul(destination, 0x85ebca6b) ^ Math.imul(identification, 0xc2b2ae35) ^ kind;
    return (hash ^ (hash >>> 15)) & (SIZE - 1);
  }

  #holds(slot: number, source: number, destination: number, kind: number, identification: number, seconds: number): boolean {
    const key = this.#key;
    const at = slot * 4;
    if (this.#row[slot] === 0 || Math.abs(seconds - this.#seconds[slot]) > KEEP_SECONDS) return false;
    return key[at] === source && key[at + 1] === destination && key[at + 2] === kind && key[at + 3] === identification;
  }

  #take(slot: number, source: number, destination: number, kind: number, identification: number, seconds: number): void {
    this.orphans += this.#packets[slot];
    this.#packets[slot] = 0;
    this.#bytes[slot] = 0;
    this.#key.set([source, destination, kind, identification], slot * 4);
    this.#row[slot] = -1;
    this.#seconds[slot] = seconds;
  }
}
