import type { Cluster } from "../cluster/snapshot.ts";
import type { Widening } from "../net/mergePrefixes.ts";
import { type Prefix, prefixContains } from "../net/prefix.ts";

/** IPv6 prefixes may be widened by so many times the bits that IPv4's may. */
const IPV6_BITS = 4;

/**
 * Returns how far prefixes of outside addresses may be widened by bits: never over an address or pod range of the cluster itself,
 * since a wider prefix would then open what selectors are for. Undefined for no bits.
 */
export function wideningOf({ pods, nodes, services }: Cluster): (bits: number) => Widening | undefined {
  const own = [...pods, ...nodes, ...services].flatMap(({ addresses }) => addresses).sort((a, b) => (a < b ? -1 : 1));
  const ranges = nodes.flatMap(({ podPrefixes }) => podPrefixes);
  const mayHold = (prefix: Prefix) => {
    let low = 0;
    let high = own.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (own[middle] < prefix.first) low = middle + 1;
      else high = middle;
    }
    if (low < own.length && prefixContains(prefix, own[low])) return false;
    return !ranges.some((range) => range.family === prefix.family && range.first <= prefix.last && prefix.first <= range.last);
  };
  return (bits) => (bits === 0 ? undefined : { shortest: { 4: 32 - bits, 6: 128 - IPV6_BITS * bits }, mayHold });
}
