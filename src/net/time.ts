/** A moment as whole seconds since 1970-01-01T00:00:00Z and nanoseconds within that second: no number holds both exactly. */
export interface Instant {
  readonly seconds: number;
  readonly nanoseconds: number; // 0..999999999
}

/** Returns a moment as one number, to about a quarter of a microsecond. */
export function secondsOf({ seconds, nanoseconds }: Instant): number {
  return seconds + nanoseconds * 1e-9;
}

/** Orders moments, the earlier first. */
export function compareInstants(a: Instant, b: Instant): number {
  return a.seconds - b.seconds || a.nanoseconds - b.nanoseconds;
}

const RFC3339 = /^(\d{4})-(\d\d)-(\d\d)[Tt ](\d\d):(\d\d):(\d\d)(?:\.(\d{1,9})\d*)?([Zz]|[+-]\d\d:\d\d)$/;

/** Returns the moment of an RFC 3339 text (digits after the ninth decimal are dropped), or undefined. */
export function parseRfc3339(text: string): Instant | undefined {
  return parsePlain(text) ?? parseAny(text);
}

/** Days that were read: logs hold a million moments of few days. */
const days = new Map<string, number>();
const MOST_DAYS = 4096;
const ZERO = 0x30;

/**
 * Returns the moment of a text as nearly all are written, `2026-11-16T08:00:01.25Z`, read digit by digit; undefined for any other,
 * right or wrong.
 */
function parsePlain(text: string): Instant | undefined {
  const last = text.length - 1;
  if (last < 19 || last > 29 || text.charCodeAt(10) !== 0x54 || text.charCodeAt(last) !== 0x5a) return undefined;
  if (text.charCodeAt(13) !== 0x3a || text.charCodeAt(16) !== 0x3a) return undefined;
  const hour = twoDigits(text, 11);
  const minute = twoDigits(text, 14);
  const second = twoDigits(text, 17);
  if (!(hour <= 23 && minute <= 59 && second <= 59)) return undefined;
  let nanoseconds = 0;
  if (last > 19) {
    if (text.charCodeAt(19) !== 0x2e || last === 20) return undefined;
    let unit = 100_000_000;
    for (let at = 20; at < last; at++) {
      const digit = text.charCodeAt(at) - ZERO;
      if (!(digit >= 0 && digit <= 9)) return undefined;
      nanoseconds += digit * unit;
      unit /= 10;
    }
  }
  const date = text.slice(0, 10);
  let day = days.get(date);
  if (day === undefined) {
    day = parseAny(`${date}T00:00:00Z`)?.seconds;
    if (day === undefined) return undefined;
    if (days.size >= MOST_DAYS) days.clear();
    days.set(date, day);
  }
  return { seconds: day + hour * 3600 + minute * 60 + second, nanoseconds };
}

/** Returns the number that two digits make; NaN where they are none. */
function twoDigits(text: string, at: number): number {
  const [tens, ones] = [text.charCodeAt(at) - ZERO, text.charCodeAt(at + 1) - ZERO];
  return tens >= 0 && tens <= 9 && ones >= 0 && ones <= 9 ? tens * 10 + ones : Number.NaN;
}

function parseAny(text: string): Instant | undefined {
  const match = RFC3339.exec(text);
  if (!match) return undefined;
  const [, year, month, day, hour, minute, second, fraction = "", zone] = match as unknown as string[];
  if (Number(month) < 1 || Number(month) > 12 || Number(day) < 1 || Number(day) > 31) return undefined;
  if (Number(hour) > 23 || Number(minute) > 59 || Number(second) > 60 || Number(year) < 100) return undefined;
  if (!/^[Zz]$/.test(zone) && (Number(zone.slice(1, 3)) > 23 || Number(zone.slice(4)) > 59)) return undefined;
  const milliseconds = Date.UTC(Number(year), Number(month) - 1, Number(day), Number(hour), Number(minute), Number(second));
  // Date.UTC rolls 31 February over into March; such a text names no day.
  if (new Date(milliseconds - (second === "60" ? 1000 : 0)).getUTCDate() !== Number(day)) return undefined;
  const offset = /^[Zz]$/.test(zone) ? 0 : (zone.startsWith("-") ? -1 : 1) * (Number(zone.slice(1, 3)) * 3600 + Number(zone.slice(4)) * 60);
  return { seconds: milliseconds / 1000 - offset, nanoseconds: Number(fraction.padEnd(9, "0")) };
}

const DAY_SECONDS = 86400;
const TWO_DIGITS = Array.from({ length: 60 }, (_, number) => String(number).padStart(2, "0"));
const THREE_DIGITS = Array.from({ length: 1000 }, (_, number) => String(number).padStart(3, "0"));
/** `hh:mm:` by minute of the day, of those that were asked for. */
const MINUTES: string[] = [];
/** The day that was written last: reports hold many moments of few days. */
let latestDay = Number.NaN;
let latestDate = "";

/** Days before 1 March of the year 0, from which leap days end the years, to 1970-01-01. */
const DAYS_BEFORE_EPOCH = 719468;
const DAYS_OF_400_YEARS = 146097;

/**
 * Returns a day (since 1970-01-01, years 1 to 9999) as `yyyy-mm-dd` in the Gregorian calendar. Date's own text would be the same, but
 * the first one makes V8 read its table of time zones (6 ms a run).
 */
function dateOf(day: number): string {
  const since = day + DAYS_BEFORE_EPOCH;
  const rest = since % DAYS_OF_400_YEARS;
  // A leap day ends each fourth year, but for three of four centuries.
  const years = Math.floor((rest - Math.floor(rest / 1460) + Math.floor(rest / 36524) - Math.floor(rest / 146096)) / 365);
  const dayOfYear = rest - (365 * years + Math.floor(years / 4) - Math.floor(years / 100));
  // From March on, months of 31, 30, 31, 30 and 31 days come in turn: 153 days each five.
  const month = Math.floor((5 * dayOfYear + 2) / 153);
  const dayOfMonth = dayOfYear - Math.floor((153 * month + 2) / 5) + 1;
  const year = Math.floor(since / DAYS_OF_400_YEARS) * 400 + years + (month >= 10 ? 1 : 0);
  return `${String(year).padStart(4, "0")}-${TWO_DIGITS[month >= 10 ? month - 9 : month + 3]}-${TWO_DIGITS[dayOfMonth]}`;
}

/** Returns the RFC 3339 text of a moment in UTC with nine decimals. Moments outside the years 0001..9999 have none. */
export function formatRfc3339(seconds: number, nanoseconds: number): string | undefined {
  if (!(seconds >= -62135596800 && seconds <= 253402300799)) return undefined;
  const whole = Math.floor(seconds);
  const day = Math.floor(whole / DAY_SECONDS);
  if (day !== latestDay) {
    latestDay = day;
    latestDate = `${dateOf(day)}T`;
  }
  const second = whole - day * DAY_SECONDS;
  const minute = Math.floor(second / 60);
  MINUTES[minute] ??= `${TWO_DIGITS[Math.floor(minute / 60)]}:${TWO_DIGITS[minute % 60]}:`;
  const micros = Math.floor(nanoseconds / 1000);
  const fraction = THREE_DIGITS[Math.floor(micros / 1000)] + THREE_DIGITS[micros % 1000] + THREE_DIGITS[nanoseconds % 1000];
  return `${latestDate + MINUTES[minute] + TWO_DIGITS[second % 60]}.${fraction}Z`;
}

const UNIT_SECONDS: Record<string, number> = { d: 86400, h: 3600, m: 60, s: 1, ms: 1e-3 };

/** Returns the seconds of a duration as Go and kubectl write it (`90s`, `1h30m`, `2d`), or undefined. */
export function parseDuration(text: string): number | undefined {
  if (!/^(\d+(\.\d+)?(ms|[dhms]))+$/.test(text)) return undefined;
  let seconds = 0;
  for (const [, amount, , unit] of text.matchAll(/(\d+(\.\d+)?)(ms|[dhms])/g)) seconds += Number(amount) * UNIT_SECONDS[unit];
  return seconds;
}

/** Returns a duration for people: `0.4s`, `12s`, `5m12s`, `6h12m`, `3d4h`. */
export function formatDuration(seconds: number): string {
  if (seconds < 10) return `${Math.round(seconds * 10) / 10}s`;
  const whole = Math.round(seconds);
  if (whole < 60) return `${whole}s`;
  const [days, hours, minutes, rest] = [Math.floor(whole / 86400), Math.floor(whole / 3600) % 24, Math.floor(whole / 60) % 60, whole % 60];
  if (days > 0) return `${days}d${hours}h`;
  return hours > 0 ? `${hours}h${minutes}m` : `${minutes}m${rest}s`;
}
