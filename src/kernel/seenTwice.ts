import { allocateEmpty } from "./memory";

const SLOT_BITS = 16;
/** Bytes of a slot: two words of fingerprint, place, seconds, nanoseconds. */
const LOW = 0;
const HIGH = 4;
const PLACE = 8;
const SECONDS = 12;
const NANOSECONDS = 16;
const WIDTH_BITS = 5;
/** Crossing a bridge, a veth or an uplink takes far less; a retransmission comes later (RFC 6298: at least 200 ms in practice). */
const SAME_HOST_NS: i64 = 5_000_000;
/** Different interfaces or capture files tell copies from repeats by themselves; the bound only covers clocks that differ. */
const OTHER_PLACE_NS: i64 = 1_000_000_000;

let slots: usize = 0;

/** Begins to remember packets; what was remembered before is forgotten. */
export function startLooking(): void {
  if (slots === 0) slots = allocateEmpty(SLOT_BITS + WIDTH_BITS);
  else memory.fill(slots, 0, 1 << (SLOT_BITS + WIDTH_BITS));
}

/**
 * Reports whether a packet of this 64-bit fingerprint is a copy of one seen before, and remembers it.
 *
 * A packet is known by a fingerprint of what no hop changes. One that comes again *at the same place* is a real repeat (a
 * retransmission) and counts; one that comes again at another place (veth, bridge, uplink, another node's file) is a copy. Where the capture
 * does not tell the place (LINUX_SLL has no interface number: place -1), only a repeat within 5 ms is a copy.
 */
export function isSeenTwice(low: i32, high: i32, place: i32, seconds: u32, nanoseconds: i32): bool {
  const slot = slots + ((<usize>((low ^ (high >>> 11)) & ((1 << SLOT_BITS) - 1))) << WIDTH_BITS);
  if (load<i32>(slot, LOW) === low && load<i32>(slot, HIGH) === high) {
    const apart = (<i64>seconds - <i64>load<u32>(slot, SECONDS)) * 1_000_000_000 + (<i64>nanoseconds - <i64>load<i32>(slot, NANOSECONDS));
    const bound = place < 0 ? SAME_HOST_NS : OTHER_PLACE_NS;
    if (apart <= bound && apart >= -bound && (place < 0 || place !== load<i32>(slot, PLACE))) return true;
  }
  store<i32>(slot, low, LOW);
  store<i32>(slot, high, HIGH);
  store<i32>(slot, place, PLACE);
  store<u32>(slot, seconds, SECONDS);
  store<i32>(slot, nanoseconds, NANOSECONDS);
  return false;
}
