import { intern } from "./host";
import { allocateEmpty } from "./memory";

/*
 * Address-table ids of addresses. The table is the program's; a few addresses make most packets, so that those which were met last are
 * answered here.
 */

const PLACE_BITS = 12;
/** Four words of an address, and its id plus one. */
const ENTRY_BITS = 5;
let places: usize = 0;

/** The high words of an IPv4-mapped IPv6 address (RFC 4291 section 2.5.5.2), as which the address table holds IPv4. */
const MAPPED = 0xffff;

/** Returns the id of four address words, most significant first. */
export function idOf(w0: i32, w1: i32, w2: i32, w3: i32): i32 {
  const mixed = (w0 * 0x85ebca6b) ^ (w1 * 0xc2b2ae35) ^ (w2 * 0x2c1b3c6d) ^ w3;
  if (places === 0) places = allocateEmpty(PLACE_BITS + ENTRY_BITS);
  const place = places + ((<usize>(<u32>(mixed * 0x9e3779b1) >>> (32 - PLACE_BITS))) << ENTRY_BITS);
  const known = load<i32>(place, 16);
  if (known > 0 && load<i32>(place) === w0 && load<i32>(place, 4) === w1 && load<i32>(place, 8) === w2 && load<i32>(place, 12) === w3)
    return known - 1;
  const id = intern(w0, w1, w2, w3);
  store<i32>(place, w0);
  store<i32>(place, w1, 4);
  store<i32>(place, w2, 8);
  store<i32>(place, w3, 12);
  store<i32>(place, id + 1, 16);
  return id;
}

/** Returns the id of an IPv4 address. */
export function idOfIPv4(word: i32): i32 {
  return idOf(0, 0, MAPPED, word);
}
