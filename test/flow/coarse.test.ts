import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { reconcile, type Tally } from "../../src/flow/coarse.ts";
import { connect } from "../../src/flow/connections.ts";
import { DENIAL_DECIDES, FlowTable, PROHIBITED_BY_ERROR, STATED_ALLOWED } from "../../src/flow/flowTable.ts";
import { addStated } from "../../src/flow/logged.ts";
import { OUTCOMES } from "../../src/flow/outcome.ts";
import { TCP } from "../../src/net/protocol.ts";
import { BASE } from "../capture/packets.ts";
import { describeConnections, NOTHING_KNOWN } from "../capture/replay.ts";

type Counts = Partial<Record<(typeof OUTCOMES)[number], number>>;

/** What a reporter of a format tells from one second to another. */
function tally(format: string, counts: Counts, [first, last]: readonly [number, number] = [0, 10], packets = 0): Tally {
  return { format, attempts: OUTCOMES.map((outcome) => counts[outcome] ?? 0), packets, bytes: packets * 100, first, last };
}

/** The outcomes that are not zero. */
function outcomesOf(...tallies: Tally[]): Counts {
  const { attempts } = reconcile(tallies);
  return Object.fromEntries(OUTCOMES.map((outcome, i) => [outcome, attempts[i]] as const).filter(([, count]) => count > 0));
}

const LATER: readonly [number, number] = [100, 110];

describe("what several reporters count of one connection", () => {
  test.each<[what: string, tallies: Tally[], expected: Counts]>([
    ["nothing", [], {}],
    ["one reporter's counts are its own", [tally("calico", { established: 5, dropped: 2 })], { established: 5, dropped: 2 }],
    [
      "what the source lets pass the destination may drop",
      [tally("calico", { established: 5 }), tally("calico", { established: 3, dropped: 2 })],
      { established: 3, dropped: 2 },
    ],
    [
      "what the source drops does not come to the destination",
      [tally("calico", { established: 3, dropped: 2 }), tally("calico", { established: 3 })],
      { established: 3, dropped: 2 },
    ],
    [
      "both drop some",
      [tally("calico", { established: 5, dropped: 2 }), tally("calico", { established: 4, dropped: 1 })],
      { established: 4, dropped: 3 },
    ],
    ["both say the same", [tally("calico", { established: 5 }), tally("calico", { established: 5 })], { established: 5 }],
    [
      "what nobody judged is dropped after it too",
      [tally("calico", { unknown: 5 }), tally("calico", { dropped: 2 })],
      { dropped: 2, unknown: 3 },
    ],
    ["never less than none", [tally("calico", { established: 1 }), tally("calico", { dropped: 4 })], { dropped: 4 }],
    [
      "of two formats the one that counts more",
      [tally("calico", { established: 5 }), tally("hubble", { established: 7 })],
      { established: 7 },
    ],
    [
      "of as many, the one that knows how they ended",
      [tally("calico", { unknown: 5 }), tally("hubble", { established: 5 })],
      { established: 5 },
    ],
    ["other times add up", [tally("calico", { established: 5 }), tally("calico", { established: 3 }, LATER)], { established: 8 }],
    ["of two formats too", [tally("calico", { established: 5 }), tally("hubble", { dropped: 3 }, LATER)], { established: 5, dropped: 3 }],
    [
      "within the clocks' difference they are of one time",
      [tally("calico", { established: 5 }), tally("calico", { established: 3 }, [25, 30])],
      { established: 5 },
    ],
    [
      "without a time they are of any",
      [
        tally("calico", { established: 5 }, [Number.NEGATIVE_INFINITY, Number.POSITIVE_INFINITY]),
        tally("calico", { established: 3 }, LATER),
      ],
      { established: 5 },
    ],
  ])("%s", (_what, tallies, expected) => {
    expect(outcomesOf(...tallies)).toEqual(expected);
  });

  test("packets and bytes count once within a time, and add up over times", () => {
    const { packets, bytes } = reconcile([tally("a", {}, [0, 1], 5), tally("b", {}, [0, 1], 7), tally("a", {}, LATER, 2)]);
    expect([packets, bytes]).toEqual([9, 900]);
  });
});

const anyTally = fc
  .record({
    format: fc.constantFrom("", "calico", "hubble"),
    counts: fc.array(fc.nat(6), { minLength: OUTCOMES.length, maxLength: OUTCOMES.length }),
    first: fc.nat(100),
    length: fc.nat(20),
    packets: fc.nat(50),
  })
  .map(({ format, counts, first, length, packets }): Tally => {
    return { format, attempts: counts, packets, bytes: packets * 60, first, last: first + length };
  });
const sum = (counts: readonly number[]) => counts.reduce((total, count) => total + count, 0);

describe("laws", () => {
  test("nothing is made up, and no denial is lost that its format alone tells", () => {
    fc.assert(
      fc.property(fc.array(anyTally, { maxLength: 6 }), (tallies) => {
        const { attempts, packets, bytes } = reconcile(tallies);
        expect(attempts.every((count) => count >= 0)).toBe(true);
        expect(sum(attempts)).toBeLessThanOrEqual(sum(tallies.map((each) => sum(each.attempts))));
        expect(packets).toBeLessThanOrEqual(sum(tallies.map((each) => each.packets)));
        expect(packets).toBeGreaterThanOrEqual(Math.max(0, ...tallies.map((each) => each.packets)));
        expect(bytes).toBe(packets * 60);
        const dropped = OUTCOMES.indexOf("dropped");
        if (new Set(tallies.map(({ format }) => format)).size === 1)
          expect(attempts[dropped]).toBe(sum(tallies.map((each) => each.attempts[dropped])));
      }),
    );
  });

  test("tallies that are far apart are reconciled by themselves", () => {
    fc.assert(
      fc.property(
        fc.array(anyTally, { minLength: 1, maxLength: 4 }),
        fc.array(anyTally, { minLength: 1, maxLength: 4 }),
        (some, others) => {
          const late = others.map((each) => ({ ...each, first: each.first + 1000, last: each.last + 1000 }));
          const [a, b, both] = [reconcile(some), reconcile(late), reconcile([...late, ...some])];
          expect(both.attempts).toEqual(a.attempts.map((count, i) => count + b.attempts[i]));
          expect([both.packets, both.bytes]).toEqual([a.packets + b.packets, a.bytes + b.bytes]);
        },
      ),
    );
  });

  test("the order in which reporters tell changes nothing", () => {
    const [one, other] = [tally("calico", { established: 5 }), tally("hubble", { dropped: 5 })];
    expect(reconcile([one, other])).toEqual(reconcile([other, one]));
  });
  test("the order in which reporters of one format tell changes nothing", () => {
    const oneFormat = fc.array(anyTally, { minLength: 1, maxLength: 5 }).map((all) => all.map((each) => ({ ...each, format: "calico" })));
    fc.assert(
      fc.property(
        oneFormat.chain((all) => fc.tuple(fc.constant(all), fc.shuffledSubarray(all, { minLength: all.length }))),
        ([all, shuffled]) => {
          expect(reconcile(shuffled)).toEqual(reconcile(all));
        },
      ),
    );
  });
});

describe("records without source ports, through the flow table", () => {
  type Told = readonly [reporter: string, verdict: "allow" | "deny", times: number, at?: number];
  const connectionsOf = (...told: Told[]) => {
    const table = new FlowTable();
    for (const [reporter, verdict, times, at = 0] of told)
      addStated(table, {
        source: table.addresses.internIPv4(0x0a000001),
        destination: table.addresses.internIPv4(0x0a000002),
        protocol: TCP,
        destinationPort: 80,
        start: { seconds: BASE + at, nanoseconds: 0 },
        end: { seconds: BASE + at + 10, nanoseconds: 0 },
        origin: table.origins.of("calico-whisker", reporter),
        bits: verdict === "allow" ? STATED_ALLOWED : PROHIBITED_BY_ERROR | DENIAL_DECIDES,
        packets: times * 2,
        bytes: times * 200,
        times,
      });
    return describeConnections(table, connect(table, NOTHING_KNOWN)).map((line) => line.slice("TCP 10.0.0.1 > 10.0.0.2:80 ".length));
  };

  test("Src lets 5 pass, Dst lets 3 pass and denies 2", () => {
    expect(connectionsOf(["Src", "allow", 5], ["Dst", "allow", 3], ["Dst", "deny", 2])).toEqual(["x5 10p 3 established+2 dropped"]);
    expect(connectionsOf(["Dst", "deny", 2], ["Src", "allow", 5], ["Dst", "allow", 3])).toEqual(["x5 10p 3 established+2 dropped"]);
  });
  test("one reporter's intervals add up, with another beside it and without", () => {
    expect(connectionsOf(["Src", "allow", 5], ["Src", "allow", 4, 60])).toEqual(["x9 18p established"]);
    expect(connectionsOf(["Src", "allow", 5], ["Dst", "allow", 5], ["Src", "allow", 4, 60], ["Dst", "allow", 4, 60])).toEqual([
      "x9 18p established",
    ]);
  });
  // What lasted over an interval began none in it, and was there.
  test("no connection that began counts as one that was there", () => {
    expect(connectionsOf(["Src", "allow", 0])).toEqual(["x1 0p established"]);
    expect(connectionsOf(["Src", "allow", 0], ["Dst", "allow", 0])).toEqual(["x1 0p established"]);
  });
});
