import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { awsVpc, awsVpcParquet } from "../../src/capture/logs/awsVpc.ts";
import { readRecords } from "./readRecords.ts";

const FIELDS = "srcaddr dstaddr srcport dstport protocol packets bytes start end action tcp-flags log-status".split(" ");
const line = (more: Readonly<Record<string, string | number>> = {}) => {
  const cells: Record<string, string | number> = {
    ...{ srcaddr: "10.0.0.1", dstaddr: "10.0.0.2", srcport: 40000, dstport: 80, protocol: 6, packets: 5, bytes: 900 },
    ...{ start: 1_700_000_000, end: 1_700_000_009, action: "ACCEPT", "tcp-flags": 2, "log-status": "OK" },
    ...more,
  };
  return FIELDS.map((name) => cells[name]).join(" ");
};
const linesOf = (...lines: string[]) => readRecords(awsVpc, lines, { fields: FIELDS }).lines;

const outcomeOf = (read: () => string[]) => {
  try {
    return read();
  } catch (error) {
    return (error as Error).message;
  }
};

describe("AWS VPC flow logs", () => {
  test("a field that the user misspelled is no field that the log lacks", () => {
    const read = (...fields: string[]) => readRecords(awsVpc, [], { fields });
    expect(() => read("srcaddr", "dstaddr", "protocol", "acton")).toThrow(/no such field.*`acton`/);
    expect(() => read("srcaddr", "dstaddr", "protocol", "-", "action")).not.toThrow();
  });
  test.each<[string, string[], string]>([
    ["a SYN alone: its answer may be of another record", [line()], "TCP 10.0.0.1 > 10.0.0.2:80 x1 5p 900B unknown"],
    [
      "both halves, by flags",
      [line(), line({ srcaddr: "10.0.0.2", dstaddr: "10.0.0.1", srcport: 80, dstport: 40000, "tcp-flags": 18 })],
      "10.0.0.2:80 x1 10p 1800B established",
    ],
    [
      "the reply alone",
      [line({ srcaddr: "10.0.0.2", dstaddr: "10.0.0.1", srcport: 80, dstport: 40000, "tcp-flags": 18 })],
      "TCP 10.0.0.1 > 10.0.0.2:80 x1 5p 900B established",
    ],
    [
      "a DNS reply alone is no connection to the client",
      [line({ srcaddr: "8.8.8.8", dstaddr: "10.0.0.1", srcport: 53, dstport: 41234, protocol: 17, "tcp-flags": 0 })],
      "UDP 10.0.0.1 > 8.8.8.8:53 x1",
    ],
    ["denied by the cloud", [line({ action: "REJECT" })], "10.0.0.2:80 x1 5p 900B dropped cloud"],
    [
      "let pass both ways, and a late packet denied",
      [
        line({ "tcp-flags": 0, packets: 3, bytes: 200 }),
        line({ srcaddr: "10.0.0.2", dstaddr: "10.0.0.1", srcport: 80, dstport: 40000, "tcp-flags": 0, packets: 3, bytes: 200 }),
        line({ "tcp-flags": 0, packets: 1, bytes: 40, start: 1_700_000_030, end: 1_700_000_031, action: "REJECT" }),
      ],
      "10.0.0.2:80 x1 7p 440B unknown",
    ],
    [
      "the answer denied: it never arrived",
      [
        line({ packets: 3, bytes: 200 }),
        line({ srcaddr: "10.0.0.2", dstaddr: "10.0.0.1", srcport: 80, dstport: 40000, packets: 1, bytes: 60, action: "REJECT" }),
      ],
      "10.0.0.2:80 x1 4p 260B dropped cloud",
    ],
    [
      "denied, and let pass hours later",
      [line({ action: "REJECT" }), line({ start: 1_700_020_000, end: 1_700_020_009 })],
      "x2 10p 1800B 1 dropped+1 unknown cloud",
    ],
  ])("%s", (_what, lines, wanted) => {
    expect(linesOf(...lines)).toEqual([expect.stringContaining(wanted)]);
  });
  test("established without flags, though a late packet was rejected", () => {
    const both = [
      line({ packets: 20, bytes: 9000, "tcp-flags": 0 }),
      line({ srcaddr: "10.0.0.2", dstaddr: "10.0.0.1", srcport: 80, dstport: 40000, packets: 20, bytes: 9000, "tcp-flags": 0 }),
    ];
    const late = line({
      srcaddr: "10.0.0.2",
      dstaddr: "10.0.0.1",
      srcport: 80,
      dstport: 40000,
      packets: 1,
      bytes: 40,
      action: "REJECT",
      "tcp-flags": 0,
    });
    expect(linesOf(...both, late)).toEqual([expect.stringContaining("TCP 10.0.0.1 > 10.0.0.2:80 x1 41p 18040B established")]);
  });
  test("lines that are read in place mean what the same cells mean one by one", () => {
    const cell = fc.constantFrom(
      "-",
      "",
      "0",
      "6",
      "17",
      "80",
      "40000",
      "65536",
      "1700000000",
      "99999999999999999",
      "10.0.0.1",
      "fd00::1",
      "ACCEPT",
      "REJECT",
      "OK",
      "NODATA",
      "x",
    );
    const cells = fc.tuple(
      ...FIELDS.map((_name, i) => fc.oneof({ weight: 6, arbitrary: fc.constant(line().split(" ")[i]) }, { weight: 1, arbitrary: cell })),
    );
    fc.assert(
      fc.property(cells, (values) => {
        const row = Object.fromEntries(FIELDS.map((name, i) => [name.replaceAll("-", "_"), values[i]]));
        expect(outcomeOf(() => linesOf(values.join(" ")))).toEqual(outcomeOf(() => readRecords(awsVpcParquet, [row]).lines));
      }),
      { numRuns: 300 },
    );
  });
});
