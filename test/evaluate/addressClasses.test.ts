import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { AddressClasses, type Block } from "../../src/evaluate/addressClasses.ts";
import { type Address, formatAddress, parseAddress } from "../../src/net/address.ts";
import { type Prefix, parsePrefix, prefixContains } from "../../src/net/prefix.ts";

/** Reads `10.0.0.0/8 !10.1.0.0/16 !10.2.0.0/16`. */
const block = (text: string): Block => {
  const [prefix, ...except] = text.split(" ").map((each) => parsePrefix(each.replace("!", ""))!);
  return { prefixes: [prefix], except };
};
const at = (text: string): Address => parseAddress(text)!;

describe("address classes", () => {
  test.each([
    // blocks, address, numbers of the blocks that hold it
    [["10.0.0.0/8"], "10.0.0.0", [0]],
    [["10.0.0.0/8"], "10.255.255.255", [0]],
    [["10.0.0.0/8"], "9.255.255.255", []],
    [["10.0.0.0/8"], "11.0.0.0", []],
    [["0.0.0.0/0"], "0.0.0.0", [0]],
    [["0.0.0.0/0"], "255.255.255.255", [0]],
    [["0.0.0.0/0"], "::1", []],
    [["::/0"], "10.0.0.1", []],
    [["::/0"], "::", [0]],
    [["::/0"], "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", [0]],
    [["::/0", "0.0.0.0/0"], "255.255.255.255", [1]],
    // The last address below and the first above the range in which IPv4 addresses are held.
    [["::/0", "0.0.0.0/0"], "::fffe:ffff:ffff", [0]],
    [["::/0", "0.0.0.0/0"], "::1:0:0:0", [0]],
    [["::/1"], "10.0.0.1", []],
    [["::/1"], "7fff::", [0]],
    [["::/1"], "8000::", []],
    [["::/0 !::/1"], "8000::", [0]],
    [["::/0 !::/1"], "7fff::", []],
    [["0.0.0.0/0 !10.0.0.0/8"], "10.1.2.3", []],
    [["0.0.0.0/0 !10.0.0.0/8", "10.0.0.0/8"], "10.1.2.3", [1]],
    [["0.0.0.0/0 !10.0.0.0/8 !10.1.0.0/16"], "10.1.2.3", []],
    [["10.0.0.0/8 !10.0.0.0/9 !10.128.0.0/9"], "10.200.0.1", []],
    [["255.255.255.255/32"], "255.255.255.254", []],
    [["255.255.255.255/32"], "255.255.255.255", [0]],
    [["10.0.0.1/32", "10.0.0.0/31", "10.0.0.0/30"], "10.0.0.1", [0, 1, 2]],
    [["10.0.0.1/32", "10.0.0.0/31", "10.0.0.0/30"], "10.0.0.2", [2]],
  ] as const)("%j hold %s: %j", (blocks, address, expected) => {
    const classes = new AddressClasses(blocks.map(block));
    const held = blocks.map((_, i) => i).filter((i) => classes.contains(i, classes.classOf(at(address))));
    expect(held).toEqual(expected);
  });

  test("intervals in the same blocks are one class", () => {
    const classes = new AddressClasses(["10.0.0.0/8 !10.1.0.0/16", "10.0.0.0/8 !10.1.0.0/16"].map(block));
    expect(classes.classOf(at("10.0.0.0"))).toBe(classes.classOf(at("10.2.0.0")));
    expect(classes.classOf(at("10.1.0.0"))).toBe(classes.classOf(at("2001:db8::1")));
    expect(classes.size).toBe(2);
  });

  test("no block: one class", () => {
    expect(new AddressClasses([]).size).toBe(1);
  });

  test("law: a block holds the class of an address exactly where its prefix holds the address and no except does", () => {
    const prefix4 = fc
      .tuple(fc.nat(32), fc.constantFrom("10.0.0.0", "10.255.255.255", "0.0.0.0", "255.255.255.255", "128.0.0.0"))
      .map(([length, base]) => parsePrefix(`${base}/${length}`)!);
    const prefix6 = fc
      .tuple(fc.nat(128), fc.constantFrom("::", "::1", "fd00::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "8000::", "::1:0:0:0"))
      .map(([length, base]) => parsePrefix(`${base}/${length}`)!);
    const inside = (outer: Prefix) => (inner: Prefix) =>
      inner.length > outer.length && inner.first >= outer.first && inner.last <= outer.last;
    const blockOf = (prefix: fc.Arbitrary<Prefix>) =>
      fc
        .tuple(prefix, fc.array(prefix, { maxLength: 3 }))
        .map(([outer, all]): Block => ({ prefixes: [outer], except: all.filter(inside(outer)) }));
    fc.assert(
      fc.property(fc.array(fc.oneof(blockOf(prefix4), blockOf(prefix6)), { maxLength: 6 }), (blocks) => {
        const classes = new AddressClasses(blocks);
        const edges = blocks.flatMap(({ prefixes, except }) =>
          [...prefixes, ...except].flatMap(({ first, last }) => [first - 1n, first, last, last + 1n]),
        );
        for (const address of [0n, at("0.0.0.0"), at("255.255.255.255"), ...edges].filter((a) => a >= 0n && a < 1n << 128n)) {
          blocks.forEach(({ prefixes: [prefix], except }, i) => {
            const expected = prefixContains(prefix, address) && !except.some((each) => prefixContains(each, address));
            expect(classes.contains(i, classes.classOf(address)), formatAddress(address)).toBe(expected);
          });
        }
      }),
      { numRuns: 300, seed: 1 },
    );
  });
});
