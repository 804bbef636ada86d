import type { Arrivals } from "./profile.ts";
import type { Random } from "./random.ts";
import { parseSpan, SECOND } from "./units.ts";

/** When the next call begins after a moment; both are microseconds since the run's beginning. */
export type NextArrival = (after: number) => number;

/**
 * Makes the arrivals of a run, `rate` a second on average. What is not even is a Poisson process; where its rate changes, arrivals at
 * the highest rate are thinned (Lewis and Shedler 1979).
 */
export function compileArrivals(arrivals: Arrivals, rate: number, runSeconds: number, random: Random): NextArrival {
  const gap = SECOND / rate;
  const end = runSeconds * SECOND;
  switch (arrivals.distribution) {
    case "even":
      return (after) => after + gap;
    case "poisson":
      return (after) => after + random.exponential(gap);
    case "diurnal": {
      const { period = "100%", peak = "50%", depth = 0.8 } = arrivals;
      const cycle = parseSpan(period, runSeconds)! * SECOND;
      const at = parseSpan(peak, runSeconds)! * SECOND;
      return thinned(gap / (1 + depth), end, random, (now) => (1 + depth * Math.cos((2 * Math.PI * (now - at)) / cycle)) / (1 + depth));
    }
    case "burst": {
      const every = parseSpan(arrivals.every, runSeconds)! * SECOND;
      const length = Math.min(every, parseSpan(arrivals.length, runSeconds)! * SECOND);
      const { factor } = arrivals;
      // So much lower between the bursts that the mean stays the rate.
      const base = 1 / (1 + ((factor - 1) * length) / every);
      return thinned(gap / (base * factor), end, random, (now) => (now % every < length ? 1 : 1 / factor));
    }
  }
}

/** `share`: of the highest rate, at a moment. After `end` nothing is looked for. */
function thinned(gap: number, end: number, random: Random, share: (now: number) => number): NextArrival {
  return (after) => {
    let now = after;
    do now += random.exponential(gap);
    while (now < end && random.uniform() >= share(now));
    return now;
  };
}
