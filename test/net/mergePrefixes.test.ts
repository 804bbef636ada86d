import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { addressFromIPv4, parseAddress } from "../../src/net/address.ts";
import { coverRanges, mergeAddresses } from "../../src/net/mergePrefixes.ts";
import { formatPrefix, prefixContains } from "../../src/net/prefix.ts";

const merged = (texts: readonly string[], bits = 0, forbidden: readonly string[] = []): string[] => {
  const never = forbidden.map((text) => parseAddress(text)!);
  const widening =
    bits === 0
      ? undefined
      : {
          shortest: { 4: 32 - bits, 6: 128 - 4 * bits },
          mayHold: (prefix: Parameters<typeof prefixContains>[0]) => !never.some((each) => prefixContains(prefix, each)),
        };
  return mergeAddresses(
    texts.map((text) => parseAddress(text)!),
    widening,
  ).map(formatPrefix);
};

describe("addresses as the fewest prefixes", () => {
  test.each([
    [["10.0.0.1"], ["10.0.0.1/32"]],
    [["10.0.0.0", "10.0.0.1"], ["10.0.0.0/31"]],
    [
      ["10.0.0.1", "10.0.0.2"],
      ["10.0.0.1/32", "10.0.0.2/32"],
    ],
    [["10.0.0.3", "10.0.0.1", "10.0.0.2", "10.0.0.0", "10.0.0.0"], ["10.0.0.0/30"]],
    [["0.0.0.0", "0.0.0.1"], ["0.0.0.0/31"]],
    [["255.255.255.254", "255.255.255.255"], ["255.255.255.254/31"]],
    [
      ["2001:db8::1", "2001:db8::", "10.0.0.1"],
      ["10.0.0.1/32", "2001:db8::/127"],
    ],
    [
      ["::ffff:1:0:0", "255.255.255.255"],
      ["255.255.255.255/32", "::ffff:1:0:0/128"],
    ],
  ])("%j", (addresses, prefixes) => {
    expect(merged(addresses)).toEqual(prefixes);
  });

  test.each([
    [["10.0.0.1", "10.0.0.9"], 8, [], ["10.0.0.0/28"]],
    [["10.0.0.1", "10.0.1.1"], 8, [], ["10.0.0.1/32", "10.0.1.1/32"]],
    [["10.0.0.1", "10.0.0.9"], 8, ["10.0.0.5"], ["10.0.0.1/32", "10.0.0.9/32"]],
    [["10.0.0.1", "10.0.0.2", "10.0.0.200"], 8, ["10.0.0.100"], ["10.0.0.0/30", "10.0.0.200/32"]],
    [["2001:db8::1", "2001:db8::ff"], 2, [], ["2001:db8::/120"]],
  ])("%j widened by %i bits, never over %j", (addresses, bits, forbidden, prefixes) => {
    expect(merged(addresses, bits, forbidden)).toEqual(prefixes);
  });

  test("hold just what was given, and no two of them are halves of one", () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 0, max: 40 }), { minLength: 1 }), (numbers) => {
        const prefixes = mergeAddresses(numbers.map((number) => addressFromIPv4(0x0a000000 + number)));
        for (let number = 0; number <= 64; number++) {
          const holders = prefixes.filter((prefix) => prefixContains(prefix, addressFromIPv4(0x0a000000 + number)));
          expect(holders.length).toBe(numbers.includes(number) ? 1 : 0);
        }
        for (const [i, { first, length }] of prefixes.entries())
          expect(
            prefixes.slice(i + 1).some((other) => other.length === length && (first ^ other.first) === 1n << BigInt(32 - length)),
          ).toBe(false);
      }),
    );
  });
});

describe("ranges as the fewest prefixes", () => {
  /** A small world of 64 addresses: each is wanted, to be avoided, or free. */
  const worlds = fc.array(fc.constantFrom("wanted", "avoided", "free"), { minLength: 64, maxLength: 64 });
  const first = parseAddress("10.0.0.0")!;
  const rangesOf = (world: readonly string[], kind: string) =>
    world.flatMap((each, i) => (each === kind ? [{ first: first + BigInt(i), last: first + BigInt(i) }] : []));
  const outside = [
    { first: parseAddress("0.0.0.0")!, last: first - 1n },
    { first: first + 64n, last: parseAddress("255.255.255.255")! },
  ];

  /** The least number of prefixes, by trying every way to halve. */
  function fewest(world: readonly string[]): number {
    if (!world.includes("wanted")) return 0;
    if (!world.includes("avoided")) return 1;
    const half = world.length / 2;
    return fewest(world.slice(0, half)) + fewest(world.slice(half));
  }

  test("hold all that is wanted, nothing to be avoided, and are as few as can be", () => {
    fc.assert(
      fc.property(worlds, (world) => {
        const [wanted, avoided] = [rangesOf(world, "wanted"), [outside[0], ...rangesOf(world, "avoided"), outside[1]]];
        const prefixes = coverRanges(wanted, avoided, 4);
        const holds = (address: bigint) => prefixes.some((prefix) => prefixContains(prefix, address));
        expect(wanted.every((range) => holds(range.first))).toBe(true);
        expect(avoided.some((range) => holds(range.first) || holds(range.last))).toBe(false);
        expect(prefixes.length).toBe(fewest(world));
      }),
    );
  });

  test.each([
    ["everything where nothing is to be avoided", [["0.0.0.0", "255.255.255.255"]], [], 4, ["0.0.0.0/0"]],
    ["a half", [["0.0.0.0", "127.255.255.255"]], [["128.0.0.0", "255.255.255.255"]], 4, ["0.0.0.0/1"]],
    [
      "free addresses between",
      [
        ["10.0.0.1", "10.0.0.1"],
        ["10.0.0.6", "10.0.0.6"],
      ],
      [
        ["0.0.0.0", "9.255.255.255"],
        ["10.0.0.8", "255.255.255.255"],
      ],
      4,
      ["10.0.0.0/29"],
    ],
    [
      "IPv6",
      [["2001:db8::", "2001:db8::ffff"]],
      [
        ["::", "2001:db7:ffff:ffff:ffff:ffff:ffff:ffff"],
        ["2001:db8::1:0", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"],
      ],
      6,
      ["2001:db8::/112"],
    ],
    ["nothing", [], [["0.0.0.0", "255.255.255.255"]], 4, []],
  ] as const)("%s", (_name, wanted, avoided, family, expected) => {
    const read = (ranges: readonly (readonly [string, string])[]) =>
      ranges.map(([a, b]) => ({ first: parseAddress(a)!, last: parseAddress(b)! }));
    expect(coverRanges(read(wanted), read(avoided), family).map(formatPrefix)).toEqual(expected);
  });
});
