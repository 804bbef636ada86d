import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { PortClasses } from "../../src/evaluate/portClasses.ts";
import { ICMP, ICMPV6, SCTP, TCP, UDP, UDPLITE } from "../../src/net/protocol.ts";

const cutsOf = (ranges: readonly (readonly [number, number, number])[]) =>
  ranges.map(([protocol, first, last]) => ({ protocol, first, last }));

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

  test("protocols never share a class; those without numbers have one each where named, and one for all others", () => {
    const classes = new PortClasses([], [], [47]);
    const all = [TCP, UDP, SCTP, UDPLITE, ICMP, ICMPV6, 47, 50].map((protocol) => classes.classOf(protocol, 0));
    expect(new Set(all).size).toBe(8);
    expect(classes.classOf(50, 0)).toBe(classes.classOf(51, 0));
    expect(classes.classOf(ICMP, 8 << 8)).toBe(classes.classOf(ICMP, 3 << 8));
    expect(classes.samples).toHaveLength(8);
  });

  test("ICMP types and codes are cut as ports are", () => {
    const classes = new PortClasses([
      { protocol: ICMP, first: 3 << 8, last: (3 << 8) | 255 },
      { protocol: ICMP, first: 0x801, last: 0x801 },
    ]);
    const numbers = [0x2ff, 0x300, 0x3ff, 0x400, 0x800, 0x801, 0x802].map((number) => classes.classOf(ICMP, number));
    expect(numbers[1]).toBe(numbers[2]);
    expect(numbers[3]).toBe(numbers[4]);
    expect(new Set(numbers).size).toBe(5);
  });

  test("the initiator's port splits every class where a rule looks at it, and one that is not known is a class", () => {
    const classes = new PortClasses(cutsOf([[TCP, 80, 80]]), cutsOf([[TCP, 1000, 2000]]));
    expect(classes.sourceCount).toBe(4);
    const at = (source: number) => classes.withSource(classes.classOf(TCP, 80), TCP, source);
    expect(new Set([classes.classOf(TCP, 80), at(999), at(1000), at(2001)]).size).toBe(4);
    expect(at(1000)).toBe(at(2000));
    expect(at(0)).toBe(at(2001) - 2);
    expect(classes.samples[at(1500)]).toEqual({ protocol: TCP, port: 80, sourcePort: 1000 });
    expect(classes.samples[classes.classOf(TCP, 80)].sourcePort).toBe(-1);
    const covered: number[] = [];
    classes.forEachIn({ protocol: TCP, first: 80, last: 80 }, (portClass) => covered.push(portClass));
    expect(covered).toEqual([0, 1, 2, 3].map((i) => classes.classOf(TCP, 80) + i));
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
