import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { PortClasses } from "../../src/evaluate/portClasses.ts";
import { ICMP, ICMPV6, SCTP, TCP, UDP } from "../../src/net/protocol.ts";

/** Cuts as rules make them: the first port of a range and the one after its last. */
const cutsOf = (ranges: readonly (readonly [number, number, number])[]) => {
  const cuts = new Map<number, Set<number>>();
  for (const [protocol, first, last] of ranges) cuts.set(protocol, (cuts.get(protocol) ?? new Set()).add(first).add(last + 1));
  return cuts;
};

describe("port classes", () => {
  test.each([
    ["nothing cut: one class a protocol", [], [0, 1, 80, 65535], 1],
    ["one port: before, itself, after", [[TCP, 80, 80]], [79, 80, 81], 3],
    ["the first port", [[TCP, 0, 0]], [0, 1], 2],
    ["port 1 leaves 0 alone", [[TCP, 1, 65535]], [0, 1], 2],
    ["the last port", [[TCP, 65535, 65535]], [65534, 65535], 2],
    ["all ports", [[TCP, 0, 65535]], [0, 65535], 1],
    [
      "overlapping ranges",
      [
        [TCP, 10, 20],
        [TCP, 15, 30],
      ],
      [9, 10, 15, 21, 31],
      5,
    ],
    [
      "adjoining ranges",
      [
        [TCP, 10, 20],
        [TCP, 21, 30],
      ],
      [9, 20, 21, 31],
      4,
    ],
    ["another protocol's range cuts nothing", [[UDP, 80, 80]], [79, 80, 81], 1],
  ] as const)("%s", (_, ranges, ports, count) => {
    const classes = new PortClasses(cutsOf(ranges));
    expect(new Set(ports.map((port) => classes.classOf(TCP, port))).size).toBe(count);
  });

  test("protocols never share a class; those without ports have one each where named, and one for all others", () => {
    const classes = new PortClasses(new Map(), [ICMP, ICMPV6]);
    const all = [TCP, UDP, SCTP, ICMP, ICMPV6, 47].map((protocol) => classes.classOf(protocol, 0));
    expect(new Set(all).size).toBe(6);
    expect(classes.classOf(50, 0)).toBe(classes.classOf(47, 0));
    expect(classes.classOf(ICMP, 8 << 8)).toBe(classes.classOf(ICMP, 3 << 8));
    expect(classes.samples).toHaveLength(6);
  });

  test("law: two ports are one class exactly where no range tells them apart, and the sample of a class is in it", () => {
    const port = fc.oneof(fc.constantFrom(0, 1, 2, 80, 81, 65534, 65535), fc.nat(65535));
    const range = fc
      .tuple(fc.constantFrom(TCP, UDP, SCTP), port, port)
      .map(([protocol, a, b]) => [protocol, Math.min(a, b), Math.max(a, b)] as const);
    fc.assert(
      fc.property(fc.array(range, { maxLength: 6 }), fc.array(port, { minLength: 2, maxLength: 6 }), (ranges, more) => {
        const classes = new PortClasses(cutsOf(ranges));
        const ports = [...more, ...ranges.flatMap(([, first, last]) => [first - 1, first, last, last + 1])].filter(
          (p) => p >= 0 && p <= 65535,
        );
        for (const protocol of [TCP, UDP, SCTP]) {
          const signature = (p: number) => ranges.map(([of, first, last]) => of === protocol && p >= first && p <= last).join();
          for (const a of ports) {
            const sample = classes.samples[classes.classOf(protocol, a)];
            expect(sample.protocol).toBe(protocol);
            expect(signature(sample.port)).toBe(signature(a));
            for (const b of ports)
              if (classes.classOf(protocol, a) === classes.classOf(protocol, b)) expect(signature(a)).toBe(signature(b));
          }
        }
      }),
      { numRuns: 60, seed: 1 },
    );
  });
});
