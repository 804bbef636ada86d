import { STATE_WORDS } from "./constants";
import { isFull } from "./host";

/** State that the program sees too: words at this address. */
export const state: usize = memory.data(4 * STATE_WORDS, 8);

const PAGE_BITS = 16;
/** Regions by the bits of their size; the first word of a free one is the next free one. */
const SMALLEST_BITS = 12;
const free: usize = memory.data(4 * 32, 8);
/** All that 32 bits address, less a page: the end of a region must be a number too. */
const MOST_BYTES: u64 = 0xffff0000;
let top: usize = (__heap_base + 63) & ~63;

/** From this size on a region that is missing is cut off a larger one that nobody needs. */
const CUT_BITS = 20;
const MOST_BITS = 31;

/** Returns a region of 2^bits bytes, at a multiple of 64. What it held before is still there. */
export function allocate(bits: i32): usize {
  if (bits > MOST_BITS) isFull();
  let found = bits;
  while (load<u32>(listOf(found)) === 0) {
    found++;
    if (bits < CUT_BITS || found > MOST_BITS) return allocateEmpty(bits);
  }
  const list = listOf(found);
  const region = load<u32>(list);
  store<u32>(list, load<u32>(region));
  while (found > bits) {
    found--;
    release(region + ((<usize>1) << found), found);
  }
  return region;
}

/** The same, of zeros: memory that nothing has touched yet, which costs none until something does. */
export function allocateEmpty(bits: i32): usize {
  const from = top;
  const end = <u64>from + ((<u64>1) << (<u64>max(bits, SMALLEST_BITS)));
  if (bits > MOST_BITS || end > MOST_BYTES) isFull();
  const missing = <i32>((end + 0xffff) >> PAGE_BITS) - memory.size();
  if (missing > 0 && memory.grow(missing) < 0) isFull();
  top = <usize>end;
  return from;
}

/** Gives a region of 2^bits bytes back. */
export function release(region: usize, bits: i32): void {
  const list = listOf(bits);
  store<u32>(region, load<u32>(list));
  store<u32>(list, region);
}

export function wordAt(list: usize, place: i32): i32 {
  return load<i32>(list + ((<usize>place) << 2));
}

export function setWord(list: usize, place: i32, word: i32): void {
  store<i32>(list + ((<usize>place) << 2), word);
}

/** Returns the bits of the region that `bytes` take. */
export function bitsOf(bytes: usize): i32 {
  return 32 - <i32>clz<u32>(<u32>max<usize>(bytes, 2) - 1);
}

function listOf(bits: i32): usize {
  return free + ((<usize>max(bits, SMALLEST_BITS)) << 2);
}
