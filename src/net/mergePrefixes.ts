import { type Address, isIPv4 } from "./address.ts";
import { makePrefix, type Prefix, prefixContains } from "./prefix.ts";

/** How far prefixes may be widened beyond the addresses that they are made of. */
export interface Widening {
  /** The shortest length that a prefix of each family may get. */
  readonly shortest: Readonly<Record<4 | 6, number>>;
  /** Whether a prefix may stand for more than was given; addresses that are known to be something else forbid it. */
  readonly mayHold: (prefix: Prefix) => boolean;
}

const BITS = { 4: 32, 6: 128 } as const;

/**
 * Returns the fewest prefixes that hold just these addresses, in order of family and address. With a widening: the fewest that hold
 * them all, each the narrowest around two or more of them and no shorter than allowed.
 */
export function mergeAddresses(addresses: Iterable<Address>, widening?: Widening): Prefix[] {
  const sorted = [...new Set(addresses)].sort((a, b) => (a < b ? -1 : 1));
  return ([4, 6] as const).flatMap((family) => {
    const own = sorted.filter((address) => isIPv4(address) === (family === 4));
    return widening === undefined || widening.shortest[family] >= BITS[family]
      ? joinSiblings(own.map((address) => makePrefix(address, BITS[family], family)))
      : joinSiblings(widen(own, family, widening));
  });
}

/** Joins prefixes (sorted, disjoint, of one family) that are the two halves of another, until none are. */
function joinSiblings(prefixes: readonly Prefix[]): Prefix[] {
  const joined: Prefix[] = [];
  for (const prefix of prefixes) {
    joined.push(prefix);
    for (let last = joined.length - 1; last > 0; last = joined.length - 1) {
      const [low, high] = [joined[last - 1], joined[last]];
      if (low.length !== high.length || low.length === 0) break;
      const parent = makePrefix(low.first, low.length - 1, low.family);
      if (parent.first !== low.first || parent.last !== high.last) break;
      joined.splice(last - 1, 2, parent);
    }
  }
  return joined;
}

function widen(sorted: readonly Address[], family: 4 | 6, widening: Widening): Prefix[] {
  const groups = Map.groupBy(sorted, (address) => makePrefix(address, widening.shortest[family], family).first);
  return [...groups.values()].flatMap((group) => narrowest(group, family, widening));
}

/** Returns the narrowest prefix around all the addresses where it may be had, else those of its two halves. */
function narrowest(sorted: readonly Address[], family: 4 | 6, widening: Widening): Prefix[] {
  const [first, last] = [sorted[0], sorted[sorted.length - 1]];
  const differing = (first ^ last).toString(2);
  const length = BITS[family] - (first === last ? 0 : differing.length);
  const prefix = makePrefix(first, length, family);
  if (first === last || widening.mayHold(prefix)) return [prefix];
  const low = makePrefix(first, length + 1, family);
  const split = sorted.findIndex((address) => !prefixContains(low, address));
  return [...narrowest(sorted.slice(0, split), family, widening), ...narrowest(sorted.slice(split), family, widening)];
}

/** Addresses of one family from `first` to `last`, both inclusive. */
export interface AddressRange {
  readonly first: Address;
  readonly last: Address;
}

/**
 * Returns the fewest prefixes of a family that hold every wanted address and none to be avoided; of the rest they may hold any. Both
 * lists must be in order, and nothing in them may overlap.
 */
export function coverRanges(wanted: readonly AddressRange[], avoided: readonly AddressRange[], family: 4 | 6): Prefix[] {
  return cover(makePrefix(family === 4 ? 0xffff00000000n : 0n, 0, family), wanted, avoided);
}

/** Both lists are in order and reach into the prefix, if only with a part. */
function cover(prefix: Prefix, wanted: readonly AddressRange[], avoided: readonly AddressRange[]): Prefix[] {
  if (wanted.length === 0) return [];
  if (avoided.length === 0) return [prefix];
  const low = makePrefix(prefix.first, prefix.length + 1, prefix.family);
  const high = makePrefix(low.last + 1n, prefix.length + 1, prefix.family);
  return [
    ...cover(low, upTo(wanted, low.last), upTo(avoided, low.last)),
    ...cover(high, from(wanted, high.first), from(avoided, high.first)),
  ];
}

/** Returns the ranges that begin at an address or before it. */
function upTo(ranges: readonly AddressRange[], last: Address): readonly AddressRange[] {
  return ranges.slice(
    0,
    partition(ranges, ({ first }) => first <= last),
  );
}

/** Returns the ranges that end at an address or after it. */
function from(ranges: readonly AddressRange[], first: Address): readonly AddressRange[] {
  return ranges.slice(partition(ranges, ({ last }) => last < first));
}

/** Returns how many items at the beginning of a list a test holds for; of the rest it must hold for none. */
function partition<T>(items: readonly T[], test: (item: T) => boolean): number {
  let [low, high] = [0, items.length];
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (test(items[middle])) low = middle + 1;
    else high = middle;
  }
  return low;
}
