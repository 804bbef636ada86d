import { protocolNumber } from "../../net/protocol.ts";
import { type Instant, parseRfc3339 } from "../../net/time.ts";
import { BadRecord } from "./flowLog.ts";

/*
 * Fields of records, checked at the border: logs write numbers as texts, leave fields out, and may hold anything. Each reader takes
 * the value and the field's name for the message. "Not there" is undefined, null, an empty text or `-`.
 */

export type Fields = Readonly<Record<string, unknown>>;

/** Returns a value as a message shows it. What is nested is only named: it may be nested deeper than a stack is. */
export function shown(value: unknown): string {
  if (typeof value === "object" && value !== null)
    return Array.isArray(value) ? "a list" : `an object of ${Object.keys(value).slice(0, 5).join(", ")}`.slice(0, 60);
  return (typeof value === "bigint" ? String(value) : (JSON.stringify(value) ?? "nothing")).slice(0, 60);
}

export function isAbsent(value: unknown): boolean {
  return value === undefined || value === null || value === "" || value === "-";
}

/** Reports whether a value is a JSON object. */
export function isObject(value: unknown): value is Fields {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Returns the JSON object that a text is. Throws BadRecord on anything else. */
export function objectOf(text: string): Fields {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw new BadRecord("not JSON");
  }
  if (!isObject(value)) throw new BadRecord("not a JSON object");
  return value;
}

/** Returns the object of a field, or an empty one where there is none. */
export function objectIn(fields: Fields, name: string): Fields {
  const value = fields[name];
  return isObject(value) ? value : {};
}

/** Returns the text of a field; undefined where there is none. */
export function textIn(fields: Fields, name: string): string | undefined {
  const value = fields[name];
  return typeof value === "string" && value !== "" ? value : undefined;
}

/** Returns the text of a text, number or truth value; of anything else none: an object may have a toString that is no function. */
export function plainText(value: unknown): string {
  return typeof value === "object" || value === undefined || typeof value === "function" ? "" : String(value);
}

/** Returns the texts of a field; none where it is no list of texts. */
export function textsIn(fields: Fields, name: string): readonly string[] {
  const value = fields[name];
  return Array.isArray(value) ? value.filter((item) => typeof item === "string") : [];
}

/** Returns an integer from 0 to `most` of a number or of digits. Throws BadRecord on anything else; undefined where there is none. */
export function integerOf(value: unknown, name: string, most: number): number | undefined {
  if (isAbsent(value)) return undefined;
  const number =
    typeof value === "number"
      ? value
      : typeof value === "bigint"
        ? Number(value)
        : typeof value === "string"
          ? numberOfDigits(value)
          : Number.NaN;
  if (!Number.isInteger(number) || number < 0 || number > most)
    throw new BadRecord(`${name} is not between 0 and ${most} \`${shown(typeof value === "bigint" ? String(value) : value)}\``);
  return number;
}

/** Digits that a double holds exactly. */
const MOST_DIGITS = 15;

/** Returns the number that digits make; NaN for any other text. By hand: a regular expression took ten times as long. */
function numberOfDigits(text: string): number {
  if (text.length > MOST_DIGITS) return /^\d{16}$/.test(text) ? Number(text) : Number.NaN;
  let number = 0;
  for (let i = 0; i < text.length; i++) {
    const digit = text.charCodeAt(i) - 0x30;
    if (!(digit >= 0 && digit <= 9)) return Number.NaN;
    number = number * 10 + digit;
  }
  return number;
}

export function portOf(value: unknown, name: string): number | undefined {
  return integerOf(value, name, 65535);
}

/** What a counter may hold: 48 bits, as the flow table's. */
const MOST_COUNTED = 2 ** 48 - 1;

/** Returns a count of packets or bytes; a float is cut. */
export function countOf(value: unknown, name: string): number | undefined {
  if (typeof value === "number" && value >= 0 && !Number.isInteger(value) && Number.isFinite(value)) return Math.floor(value);
  return integerOf(value, name, MOST_COUNTED);
}

/** Returns a protocol by name (any case) or number. Throws BadRecord where there is none. */
export function protocolOf(value: unknown): number {
  if (typeof value === "number" && Number.isInteger(value) && value >= 0 && value <= 255) return value;
  const text = typeof value === "number" || typeof value === "bigint" ? String(value) : value;
  const protocol = typeof text === "string" ? (ALIASES.get(text.toLowerCase()) ?? protocolNumber(text)) : undefined;
  if (protocol === undefined) throw new BadRecord(`unknown protocol \`${shown(text)}\``);
  return protocol;
}

/** Names that logs use besides IANA's (IANA protocol numbers registry). */
const ALIASES = new Map([
  ["icmp6", 58],
  ["ipv6-icmp", 58],
  ["icmpv4", 1],
  ["igmp", 2],
  ["ipip", 4],
  ["ipencap", 4],
  ["ipv6", 41],
  ["gre", 47],
  ["esp", 50],
  ["ah", 51],
  ["ospf", 89],
  ["ospfigp", 89],
  ["pim", 103],
  ["vrrp", 112],
  ["udplite", 136],
]);

const LATEST = 0xffffffff;

function inRange(time: Instant, name: string, value: unknown): Instant {
  if (!(time.seconds >= 0 && time.seconds <= LATEST)) throw new BadRecord(`${name} is outside 1970..2106 \`${shown(value)}\``);
  return time;
}

/** Returns the moment of an RFC 3339 text; undefined where there is none. */
export function rfc3339Of(value: unknown, name: string): Instant | undefined {
  if (isAbsent(value)) return undefined;
  const time = typeof value === "string" ? parseRfc3339(value) : undefined;
  if (time === undefined) throw new BadRecord(`${name} is not RFC 3339 \`${shown(value)}\``);
  return inRange(time, name, value);
}

/** Returns the moment of so many units since 1970 (`unitsPerSecond`: 1, 1e3, 1e6 or 1e9), a number or digits, fractions allowed. */
export function epochOf(value: unknown, name: string, unitsPerSecond: number): Instant | undefined {
  if (isAbsent(value)) return undefined;
  if (unitsPerSecond === 1) {
    // As nearly all are written.
    const isNumber = typeof value === "number" || typeof value === "bigint";
    const seconds = typeof value === "string" ? numberOfDigits(value) : isNumber ? Number(value) : Number.NaN;
    if (Number.isInteger(seconds) && seconds >= 0 && seconds <= LATEST) return { seconds, nanoseconds: 0 };
  }
  // An object may have a toString of its own that is no function.
  const text = typeof value === "string" ? value : typeof value === "object" ? shown(value) : String(value);
  if (!/^\d{1,20}(\.\d{1,18})?$/.test(text)) {
    const number = typeof value === "number" ? value : Number.NaN;
    if (!(Number.isFinite(number) && number >= 0)) throw new BadRecord(`${name} is no time \`${shown(text)}\``);
    return inRange(instantOf(number / unitsPerSecond), name, text);
  }
  // By its digits: a number of nanoseconds has more of them than a double holds.
  const [whole, fraction = ""] = text.split(".");
  const places = Math.round(Math.log10(unitsPerSecond));
  const digits = whole.padStart(places + 1, "0");
  const seconds = Number(digits.slice(0, digits.length - places));
  const rest = (places === 0 ? "" : digits.slice(-places)) + fraction;
  return inRange({ seconds, nanoseconds: Number(rest.padEnd(9, "0").slice(0, 9)) }, name, text);
}

/** Returns a moment given as one number of seconds. */
export function instantOf(seconds: number): Instant {
  const whole = Math.floor(seconds);
  return { seconds: whole, nanoseconds: Math.min(999_999_999, Math.round((seconds - whole) * 1e9)) };
}

/** Returns the moment so many seconds after another. */
export function later(time: Instant, seconds: number): Instant {
  if (time.seconds + seconds >= LATEST) return { seconds: LATEST, nanoseconds: 0 };
  const nanoseconds = time.nanoseconds + Math.round((seconds - Math.floor(seconds)) * 1e9);
  return { seconds: time.seconds + Math.floor(seconds) + Math.floor(nanoseconds / 1e9), nanoseconds: nanoseconds % 1e9 };
}
