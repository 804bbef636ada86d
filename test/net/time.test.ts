import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { formatPortRange, rangeContains } from "../../src/net/portRange.ts";
import { hasPorts, isIcmp, protocolName, protocolNumber } from "../../src/net/protocol.ts";
import { formatDuration, formatRfc3339, parseDuration, parseRfc3339 } from "../../src/net/time.ts";

describe("RFC 3339", () => {
  const seconds = fc.integer({ min: Date.UTC(100, 0) / 1000, max: 253402300799 });
  const nanoseconds = fc.nat(999_999_999);

  // Law: parse(print(t)) = t, from the year 100 on.
  test("what is printed reads back", () => {
    fc.assert(
      fc.property(seconds, nanoseconds, (s, ns) => {
        expect(parseRfc3339(formatRfc3339(s, ns)!)).toEqual({ seconds: s, nanoseconds: ns });
      }),
      { numRuns: 3000 },
    );
  });
  // Date.UTC takes the years 0 to 99 for 1900 to 1999.
  test.fails("the years before 100", () => {
    expect(parseRfc3339(formatRfc3339(-60_000_000_000, 0)!)).toEqual({ seconds: -60_000_000_000, nanoseconds: 0 });
  });

  // Law: a text in any zone is the moment that Date takes it for.
  test("zones, against Date", () => {
    fc.assert(
      fc.property(seconds, fc.integer({ min: -23 * 60 - 59, max: 23 * 60 + 59 }), (s, minutes) => {
        const two = (value: number) => String(value).padStart(2, "0");
        const zone = `${minutes < 0 ? "-" : "+"}${two(Math.floor(Math.abs(minutes) / 60))}:${two(Math.abs(minutes) % 60)}`;
        const text = formatRfc3339(s, 0)!.replace(".000000000Z", zone);
        expect(parseRfc3339(text)?.seconds).toBe(Date.parse(text) / 1000);
      }),
      { numRuns: 1000 },
    );
  });

  test.each<[string, number, number]>([
    ["1970-01-01T00:00:00Z", 0, 0],
    ["1970-01-01t00:00:00z", 0, 0],
    ["1970-01-01 00:00:00Z", 0, 0],
    ["1970-01-01T00:00:00.5Z", 0, 500_000_000],
    ["1970-01-01T00:00:00.1234567899Z", 0, 123_456_789],
    ["1970-01-01T01:00:00+01:00", 0, 0],
    ["1969-12-31T23:30:00-00:30", 0, 0],
    ["2024-02-29T00:00:00Z", 1_709_164_800, 0],
    ["2016-12-31T23:59:60Z", 1_483_228_800, 0],
  ])("%s", (text, s, ns) => {
    expect(parseRfc3339(text)).toEqual({ seconds: s, nanoseconds: ns });
  });

  test.each([
    "",
    "now",
    "2024-01-01",
    "2024-01-01T00:00:00",
    "2024-01-01T00:00Z",
    "2024-13-01T00:00:00Z",
    "2024-00-01T00:00:00Z",
    "2023-02-29T00:00:00Z",
    "2024-04-31T00:00:00Z",
    "2024-01-32T00:00:00Z",
    "2024-01-01T24:00:00Z",
    "2024-01-01T00:60:00Z",
    "2024-01-01T00:00:61Z",
    "2024-01-01T00:00:00.Z",
    "2024-01-01T00:00:00+1:00",
    " 2024-01-01T00:00:00Z",
  ])("`%s` is none", (text) => {
    expect(parseRfc3339(text)).toBeUndefined();
  });
  // RFC 3339 section 5.6: the offset's hours end at 23, its minutes at 59; the day must exist in a leap second's month too.
  test.each(["2024-01-01T00:00:00+24:00", "2024-01-01T00:00:00+00:60", "2024-01-01T00:00:00-99:99", "2023-02-31T23:59:60Z"])(
    "`%s` is none, strictly",
    (text) => {
      expect(parseRfc3339(text)).toBeUndefined();
    },
  );

  test("every day of 400 years, and any of the years 1 to 9999, against Date", () => {
    const expected = (day: number) => `${new Date(day * 86_400_000).toISOString().slice(0, 10)}T00:00:00.000000000Z`;
    for (let day = -10_000; day < 146_097; day++) if (formatRfc3339(day * 86_400, 0) !== expected(day)) expect.fail(expected(day));
    fc.assert(
      fc.property(fc.integer({ min: -719_162, max: 2_932_896 }), (day) => {
        expect(formatRfc3339(day * 86_400, 0)).toBe(expected(day));
      }),
    );
    for (const day of [-719_162, 2_932_896]) expect(formatRfc3339(day * 86_400, 0)).toBe(expected(day));
  });

  test("moments without a text", () => {
    for (const s of [Number.NaN, -1e12, 1e12, Number.POSITIVE_INFINITY]) expect(formatRfc3339(s, 0)).toBeUndefined();
  });
});

describe("durations", () => {
  test.each<[string, number | undefined]>([
    ["90s", 90],
    ["1h30m", 5400],
    ["2d", 172_800],
    ["1.5h", 5400],
    ["250ms", 0.25],
    ["1m1ms", 60.001],
    ["0s", 0],
    ["", undefined],
    ["5", undefined],
    ["m", undefined],
    ["1h 30m", undefined],
    ["-1h", undefined],
    ["1w", undefined],
    ["1.h", undefined],
  ])("parse `%s`", (text, wanted) => {
    expect(parseDuration(text)).toBe(wanted);
  });
  test.each<[number, string]>([
    [0, "0s"],
    [0.04, "0s"],
    [0.4, "0.4s"],
    [9.94, "9.9s"],
    [9.96, "10s"],
    [59.4, "59s"],
    [59.6, "1m0s"],
    [312, "5m12s"],
    [3599.6, "1h0m"],
    [22_320, "6h12m"],
    [273_600, "3d4h"],
  ])("print %d", (seconds, wanted) => {
    expect(formatDuration(seconds)).toBe(wanted);
  });
});

describe("protocols and port ranges", () => {
  // Law: number(name(p)) = p for every protocol.
  test("all 256 read back", () => {
    for (let number = 0; number < 256; number++) {
      expect(protocolNumber(protocolName(number))).toBe(number);
      expect(protocolNumber(protocolName(number).toLowerCase())).toBe(number);
    }
  });
  test.each(["", "256", "-1", "1.0", "tcp ", "QUIC", "0x6", "6e0"])("`%s` is none", (text) => {
    expect(protocolNumber(text)).toBeUndefined();
  });
  test("which have ports", () => {
    const all = Array.from({ length: 256 }, (_, number) => number);
    expect(all.filter(hasPorts)).toEqual([6, 17, 132, 136]);
    expect(all.filter(isIcmp)).toEqual([1, 58]);
  });
  test.each<[number, number, string]>([
    [80, 80, "80"],
    [8000, 8100, "8000-8100"],
    [0, 65535, "0-65535"],
  ])("%d to %d is %s, both ends in it", (first, last, text) => {
    const range = { first, last };
    expect(formatPortRange(range)).toBe(text);
    expect([first - 1, first, last, last + 1].map((port) => rangeContains(range, port))).toEqual([false, true, true, false]);
  });
});
