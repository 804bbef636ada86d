const SIZE = 1 << 16;
/** Crossing a bridge, a veth or an uplink takes far less; a retransmission comes later (RFC 6298: at least 200 ms in practice). */
const SAME_HOST_NS = 5e6;
/** Different interfaces or capture files tell copies from repeats by themselves; the bound only covers clocks that differ. */
const OTHER_PLACE_NS = 1e9;

/**
 * Recognises a packet that was captured before at another place (veth, bridge, uplink, another node's file).
 *
 * A packet is known by a fingerprint of what no hop changes. One that comes again *at the same place* is a real repeat (a
 * retransmission) and counts; one that comes again at another place is a copy. Where the capture does not tell the place
 * (LINUX_SLL has no interface number: place -1), only a repeat within 5 ms is a copy.
 */
export class SeenTwice {
  readonly #low = new Int32Array(SIZE);
  readonly #high = new Int32Array(SIZE);
  readonly #place = new Int32Array(SIZE);
  readonly #seconds = new Float64Array(SIZE);
  readonly #nanoseconds = new Int32Array(SIZE);

  /** Reports whether a packet of this 64-bit fingerprint is a copy of one seen before, and remembers it. */
  isCopy(low: number, high: number, place: number, seconds: number, nanoseconds: number): boolean {
    const slot = (low ^ (high >>> 11)) & (SIZE - 1);
    if (this.#low[slot] === low && this.#high[slot] === high) {
      const apart = Math.abs((seconds - this.#seconds[slot]) * 1e9 + (nanoseconds - this.#nanoseconds[slot]));
      const bound = place < 0 ? SAME_HOST_NS : OTHER_PLACE_NS;
      if (apart <= bound && (place < 0 || place !== this.#place[slot])) return true;
    }
    this.#low[slot] = low;
    this.#high[slot] = high;
    this.#place[slot] = place;
    this.#seconds[slot] = seconds;
    this.#nanoseconds[slot] = nanoseconds;
    return false;
  }
}
