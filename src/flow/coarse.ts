import { DROPPED, ESTABLISHED, OUTCOMES, UNKNOWN } from "./outcome.ts";

/** What one reporter says of one connection in records that cannot be told apart (no source ports, ICMP), or what rows told one by one. */
export interface Tally {
  /** The log's format; empty: rows that were told apart. */
  readonly format: string;
  /** Counts by OUTCOMES. */
  readonly attempts: number[];
  packets: number;
  bytes: number;
  /** Epoch seconds; infinite without times. */
  first: number;
  last: number;
}

/** Clocks of reporters differ, and aggregates end with their interval. */
const SLACK_SECONDS = 15;

/**
 * Returns what several reporters' tallies of one connection come to. Tallies of other times add up. Within one time, reporters of
 * one format stand along the way: what one of them let pass another may have dropped after it. Of two formats, the one that counts
 * more saw more of the same connections.
 */
export function reconcile(tallies: readonly Tally[]): Pick<Tally, "attempts" | "packets" | "bytes"> {
  const total = { attempts: OUTCOMES.map(() => 0), packets: 0, bytes: 0 };
  for (const cluster of clustersOf(tallies)) {
    const formats = [...Map.groupBy(cluster, ({ format }) => format).values()].map(alongTheWay);
    const best = formats.reduce((a, b) => (isBetter(b, a) ? b : a));
    best.forEach((count, outcome) => (total.attempts[outcome] += count));
    total.packets += Math.max(...cluster.map(({ packets }) => packets));
    total.bytes += Math.max(...cluster.map(({ bytes }) => bytes));
  }
  return total;
}

/** Returns the tallies in groups whose times overlap. */
function clustersOf(tallies: readonly Tally[]): Tally[][] {
  const sorted = tallies.toSorted((x, y) => (x.first === y.first ? 0 : x.first - y.first));
  const clusters: Tally[][] = [];
  let end = Number.NaN;
  for (const tally of sorted) {
    if (clusters.length > 0 && tally.first <= end + SLACK_SECONDS) clusters[clusters.length - 1].push(tally);
    else {
      clusters.push([tally]);
      end = Number.NEGATIVE_INFINITY;
    }
    end = Math.max(end, tally.last);
  }
  return clusters;
}

/** What a connection met at one reporter it need not reach another: denials add up, and each takes one from what others let pass. */
function alongTheWay(tallies: readonly Tally[]): number[] {
  const denied = tallies.reduce((sum, { attempts }) => sum + attempts[DROPPED], 0);
  return OUTCOMES.map((_, outcome) => {
    if (outcome === DROPPED) return denied;
    const counts = tallies.map(({ attempts }) =>
      outcome === ESTABLISHED || outcome === UNKNOWN ? Math.max(0, attempts[outcome] - (denied - attempts[DROPPED])) : attempts[outcome],
    );
    return Math.max(...counts);
  });
}

/** More connections are better known, of as many those whose end is known, and of those what worked: it must not be hidden. */
function isBetter(a: readonly number[], b: readonly number[]): boolean {
  const sum = (counts: readonly number[]) => counts.reduce((x, y) => x + y, 0);
  if (sum(a) !== sum(b)) return sum(a) > sum(b);
  if (a[UNKNOWN] !== b[UNKNOWN]) return a[UNKNOWN] < b[UNKNOWN];
  const first = a.findIndex((count, outcome) => count !== b[outcome]);
  return first >= 0 && a[first] > b[first];
}
