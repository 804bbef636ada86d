import type { PortRange } from "../net/portRange.ts";
import { parseDuration } from "../net/time.ts";
import type { Span, Spread } from "./profile.ts";
import type { Random } from "./random.ts";

export const SECOND = 1_000_000; // microseconds

/** Returns the seconds of a duration, or of a share (`25%`) of a run of so many seconds; undefined where the text is neither. */
export function parseSpan(text: Span, runSeconds: number): number | undefined {
  const share = /^(\d{1,3}(?:\.\d+)?)%$/.exec(text);
  if (share === null) return parseDuration(text);
  return Number(share[1]) <= 100 ? (Number(share[1]) / 100) * runSeconds : undefined;
}

/** Returns a range of ports, or a port's name (IANA service names: RFC 6335 section 5.1), or undefined. */
export function parsePorts(text: string): PortRange | string | undefined {
  const range = /^(\d{1,5})(?:-(\d{1,5}))?$/.exec(text);
  if (range === null) return /^[a-z0-9-]{1,63}$/.test(text) && /[a-z]/.test(text) ? text : undefined;
  const [first, last] = [Number(range[1]), Number(range[2] ?? range[1])];
  return first >= 1 && first <= last && last <= 65535 ? { first, last } : undefined;
}

/** Returns the microseconds of a duration that was checked when it was read. */
export function microseconds(duration: string): number {
  return (parseDuration(duration) ?? 0) * SECOND;
}

/** A log-normal distribution, ready to be drawn from, within bounds. */
export class Drawn {
  readonly #median: number;
  readonly #sigma: number;
  readonly #least: number;
  readonly #most: number;

  constructor({ median, sigma = 0 }: Spread, least: number, most: number) {
    this.#median = median;
    this.#sigma = sigma;
    this.#least = least;
    this.#most = most;
  }

  /** Returns a whole number. A median of 0 is always 0. */
  draw(random: Random): number {
    const drawn = Math.round(random.logNormal(this.#median, this.#sigma));
    return Math.min(this.#most, Math.max(this.#least, drawn));
  }
}
