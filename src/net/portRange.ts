/** A range of ports. Both ends are inclusive and lie in 0..65535. */
export interface PortRange {
  readonly first: number;
  readonly last: number; // inclusive
}

/** Returns a range as people write it: `80` or `8000-8100`. */
export function formatPortRange(range: PortRange): string {
  return range.first === range.last ? String(range.first) : `${range.first}-${range.last}`;
}

/** Reports whether a port lies in a range. */
export function rangeContains(range: PortRange, port: number): boolean {
  return port >= range.first && port <= range.last;
}
