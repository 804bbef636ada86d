import { gzipSync } from "node:zlib";
import { describe, expect, test } from "vitest";
import { parseAddress } from "../../src/net/address.ts";
import { formatRfc3339 } from "../../src/net/time.ts";
import { valuesOf } from "../flow/madeConnections.ts";
import { BASE } from "./packets.ts";
import { epochsOf, replayRecords, surroundings } from "./replay.ts";

const A = "10.0.0.1";
const B = "10.0.0.2";
const base = { srcIp: A, srcPort: 40000, dstIp: B, dstPort: 80, protocol: "TCP" };
const line = (more: object = {}) => JSON.stringify({ ...base, ...more });
const time = (after: number) => formatRfc3339(BASE + after, 0)!;
const read = (...lines: string[]) => replayRecords(lines.join("\n"));

describe("records that are read", () => {
  test.each<[string, string, object]>([
    [`TCP ${A} > ${B}:80 x1 0p established`, "allowed", { verdict: "allow" }],
    [`TCP ${A} > ${B}:80 x1 0p dropped`, "denied", { verdict: "deny" }],
    [`TCP ${A} > ${B}:80 x1 0p dropped`, "dropped", { verdict: "drop" }],
    [`TCP ${A} > ${B}:80 x1 7p established`, "counted", { verdict: "allow", packets: 7, bytes: 900 }],
    [`UDP ${A} > ${B}:80 x1 0p unknown`, "UDP says nothing of its end", { protocol: "udp" }],
    [`SCTP ${A} > ${B}:80 x1 0p established`, "SCTP", { protocol: "SCTP", verdict: "allow" }],
    [`TCP ${A} > ${B}:80 x1 0p established`, "the protocol as a number", { protocol: 6, verdict: "allow" }],
    [`TCP ${A} > ${B}:80 x1 0p established`, "the protocol as a number in a text", { protocol: "6", verdict: "allow" }],
    [`50 ${A} > ${B} x1 0p established`, "a protocol without ports", { protocol: 50, verdict: "allow" }],
    [`ICMP ${A} > ${B}:8/0 x1 0p established`, "ICMP", { protocol: "ICMP", icmpType: 8, icmpCode: 0, verdict: "allow" }],
    [
      `ICMPv6 fd00::1 > fd00::2:128/0 x1 0p dropped`,
      "ICMPv6",
      { srcIp: "fd00::1", dstIp: "fd00::2", protocol: "icmpv6", icmpType: 128, verdict: "drop" },
    ],
    [
      `ICMP ${A} > ${B}:3/4 x1 0p established`,
      "an ICMP error is its own connection",
      { protocol: "ICMP", icmpType: 3, icmpCode: 4, verdict: "allow" },
    ],
    [`TCP fd00::1 > fd00::2:80 x1 0p established`, "IPv6", { srcIp: "FD00:0::1", dstIp: "fd00::2", verdict: "allow" }],
    [`TCP ${A} > ${B}:80 x1 0p established`, "IPv4-mapped", { srcIp: "::ffff:10.0.0.1", verdict: "allow" }],
    [
      `TCP ${A} > ${B}:80 x1 0p established`,
      "nulls count as left out",
      { verdict: "allow", time: null, packets: null, srcPod: null, srcLabels: null, srcPort: null },
    ],
    [`TCP ${A} > ${B}:80 x1 0p established`, "accepted", { answer: "accepted" }],
    [`TCP ${A} > ${B}:80 x1 0p refused`, "refused", { answer: "refused" }],
    [`TCP ${A} > ${B}:80 x1 0p unanswered`, "unanswered", { answer: "none" }],
    [`UDP ${A} > ${B}:80 x1 0p established`, "UDP that was answered", { protocol: "UDP", answer: "accepted" }],
    [`TCP ${A} > ${B}:80 x1 0p dropped`, "denied, and so unanswered", { answer: "none", verdict: "deny" }],
    [`TCP ${A} > ${B}:65535 x1 0p established`, "the last port", { dstPort: 65535, srcPort: 0, verdict: "allow" }],
  ])("%s: %s", async (wanted, _what, more) => {
    const { lines, warnings } = await read(line(more));
    expect(lines).toEqual([wanted]);
    expect(warnings).toEqual([]);
  });

  // A record without a verdict says nothing of how the connection ended (contract: "by what the record itself says"). TCP, SCTP and
  // ICMP records come out as `unanswered`, with which simulate never reports a would-drop: `rejected` instead.
  test.each([{}, { protocol: "SCTP" }, { protocol: "ICMP", icmpType: 8 }])("no verdict: the end is unknown: %j", async (more) => {
    expect(valuesOf((await read(line(more))).connections, "attempts")).toEqual([[0, 0, 0, 0, 1]]);
  });

  test("records that say how they ended are whole connections: a port that is used again begins another", async () => {
    const record = (at: number, more: object = {}) =>
      line({ time: time(at), end: time(at + 2), packets: 5, bytes: 500, answer: "accepted", ...more });
    const { connections, lines } = await read(record(0), record(10), record(20, { answer: "refused" }));
    expect(lines).toEqual([`TCP ${A} > ${B}:80 x3 15p 2 established+1 refused`]);
    expect(valuesOf(connections, "attempts")).toEqual([[2, 1, 0, 0, 0]]);
    expect([valuesOf(connections, "firstSeconds"), valuesOf(connections, "lastSeconds")]).toEqual([[BASE], [BASE + 22]]);
    // Datagrams from one port are one connection, as they are in a capture.
    const udp = await read(record(0, { protocol: "UDP" }), record(10, { protocol: "UDP" }));
    expect(udp.lines).toEqual([`UDP ${A} > ${B}:80 x1 10p established`]);
  });

  test("names: of servers, of DNS answers, and several requests of one connection", async () => {
    const tls = await read(line({ l7: { tls: { serverName: "API.example.com" } } }));
    expect([...tls.hints.values()]).toEqual([{ tls: { serverName: "api.example.com" } }]);
    const dns = line({ dstPort: 53, protocol: "UDP", l7: { dns: { query: "Web.shop.", answers: ["10.9.0.1", "fd00::9", "no address"] } } });
    const { names, hints } = await read(dns);
    expect([names.namesOf(parseAddress("10.9.0.1")!), names.namesOf(parseAddress("fd00::9")!), names.size]).toEqual([
      ["web.shop"],
      ["web.shop"],
      2,
    ]);
    // Queries are requests where a policy asks for them alone, as in captures.
    expect([...hints.values()]).toEqual([]);
    const everyRequest = { everyRequest: true };
    expect((await replayRecords(dns, everyRequest)).hints.all(0)).toEqual([{ dns: { query: "web.shop" } }]);
    const requests = [
      { method: "GET", path: "/a", headers: null },
      { method: "GET", path: "/b" },
    ];
    const http = line({ l7: { http: requests } });
    const [first, second] = [{ http: { method: "GET", path: "/a" } }, { http: { method: "GET", path: "/b", headers: {} } }];
    expect((await replayRecords(http, everyRequest)).hints.all(0)).toEqual([first, second]);
    expect((await read(http)).hints.all(0)).toEqual([first]);
  });

  test.each([
    [{ answer: "yes" }, 'answer is not accepted, refused or none `"yes"`'],
    [{ time: time(5), end: time(4) }, "end is before time"],
    [{ end: "later" }, 'end is not RFC 3339 `"later"`'],
  ])("%j is refused: %s", async (more, reason) => {
    expect((await read(line(), line(more))).warnings).toEqual([expect.stringContaining(reason)]);
  });

  test("the source is the initiator, whatever the cluster knows and the ports say", async () => {
    const known = surroundings({ serving: [`UDP ${A} 1`] });
    const { lines } = await replayRecords(line({ protocol: "UDP", srcPort: 1, dstPort: 60000 }), { surroundings: known });
    expect(lines).toEqual([`UDP ${A} > ${B}:60000 x1 0p unknown`]);
  });
  test("both ways are two connections", async () => {
    const there = { protocol: "UDP", srcIp: A, srcPort: 5000, dstIp: B, dstPort: 6000 };
    const back = { protocol: "UDP", srcIp: B, srcPort: 6000, dstIp: A, dstPort: 5000 };
    expect((await read(JSON.stringify(there), JSON.stringify(back))).lines).toHaveLength(2);
  });
  test("without a source port each record counts", async () => {
    const { srcPort: _, ...less } = base;
    const { lines } = await read(...[1, 2, 3].map(() => JSON.stringify({ ...less, packets: 2, bytes: 100, verdict: "allow" })));
    expect(lines).toEqual([`TCP ${A} > ${B}:80 x3 6p established`]);
  });
  test("with a source port records of one tuple are one connection", async () => {
    const { lines, connections } = await read(
      line({ packets: 2, bytes: 5, verdict: "allow" }),
      line({ packets: 3, bytes: 6, verdict: "allow" }),
    );
    expect(lines).toEqual([`TCP ${A} > ${B}:80 x1 5p established`]);
    expect(valuesOf(connections, "bytes")).toEqual([11]);
  });
  test("counts: null where one record does not count", async () => {
    expect(valuesOf((await read(line({ packets: 2, bytes: 5 }))).connections, "isCounted")).toEqual([true]);
    expect(valuesOf((await read(line({ packets: 2 }))).connections, "isCounted")).toEqual([false]);
    expect(valuesOf((await read(line({ packets: 2, bytes: 5 }), line())).connections, "isCounted")).toEqual([false]);
  });
  test("bytes beyond 32 bits", async () => {
    const much = 0xffffffff;
    const { connections, inputs } = await read(...[1, 2, 3].map(() => line({ packets: 1, bytes: much })));
    expect([connections.bytes(0), inputs[0].bytes, inputs[0].records]).toEqual([3 * much, 3 * much, 3]);
  });
  test("packets beyond 32 bits", async () => {
    const { connections } = await read(...[1, 2].map(() => line({ packets: 0xffffffff, bytes: 1 })));
    expect(valuesOf(connections, "packets")).toEqual([2 * 0xffffffff]);
  });
  test("times: the span, and none", async () => {
    const { connections } = await read(line({ time: time(5) }), line({ time: "2023-11-14T22:13:20.123456789Z" }), line({ time: time(3) }));
    expect(formatRfc3339(connections.firstSeconds(0), connections.firstNanoseconds(0))).toBe("2023-11-14T22:13:20.123456789Z");
    expect(connections.lastSeconds(0)).toBe(BASE + 5);
    expect((await read(line())).connections.firstSeconds(0)).toBeNaN();
  });
  test("a record without a time after one with a time", async () => {
    expect(valuesOf((await read(line({ time: time(5) }), line())).connections, "firstSeconds")).toEqual([BASE + 5]);
  });
  test("a record with a time after one without", async () => {
    expect(valuesOf((await read(line(), line({ time: time(5) }))).connections, "firstSeconds")).toEqual([BASE + 5]);
  });
  test("the window, whose ends belong to it", async () => {
    const lines = [0, 1, 2, 3].map((after) => line({ srcPort: 5000 + after, time: time(after) }));
    const { connections, skipped, inputs } = await replayRecords(lines.join("\n"), { since: BASE + 1, until: BASE + 2 });
    expect(valuesOf(connections, "count")).toEqual([2]);
    expect(skipped).toEqual({ "outside the time window": 2 });
    expect(inputs[0].records).toBe(2);
  });
  // Captures count these as skipped without a warning; with --strict a chosen window would be an error here.
  test("the window is no damage", async () => {
    expect((await replayRecords(line({ time: time(9) }), { until: BASE })).warnings).toEqual([]);
  });
  test("pods and labels keep one address's parties apart; names are learned", async () => {
    const { lines, parties, names } = await read(
      line({ srcPod: "shop/web-1", srcLabels: ["k8s:app=web"], dstNames: ["API.example.com"], verdict: "allow" }),
      line({ srcPod: "shop/web-2", verdict: "allow" }),
      line({ srcPod: "shop/web-1", srcLabels: ["k8s:app=web"], verdict: "allow" }),
    );
    expect(lines).toHaveLength(2);
    expect(parties.all).toEqual([{}, { pod: "shop/web-1", labels: ["k8s:app=web"] }, { pod: "shop/web-2" }]);
    expect(names.namesOf(parseAddress(B)!)).toEqual(["api.example.com"]);
  });
  test("HTTP hints", async () => {
    const { connections } = await read(
      line({ l7: { http: { method: "GET", path: "/a", host: "h" } } }),
      line({ srcPort: 2, dstPort: 81, l7: { http: {} } }),
    );
    expect([connections.hintRows(0), connections.hintRows(1)]).toEqual([[0], []]);
  });
  // The broker's records have no source port and live long: the same line before and after an address changed hands is two identities
  // (semantics.md, packets 5). addRecord does not ask `changedHands`, as packets do.
  test.each([undefined, 40000])("an address that changes hands (source port %s)", async (srcPort) => {
    const lines = [99, 101].map((after) => line({ srcPort, time: time(after) }));
    expect((await replayRecords(lines.join("\n"), { epochs: epochsOf(B, BASE + 100) })).lines).toHaveLength(2);
  });
  test("NAT views of records are joined", async () => {
    const known = surroundings({ services: { "TCP 10.96.0.1 80": [`TCP ${B} 8080`] } });
    const text = [
      line({ dstIp: "10.96.0.1", time: time(0), verdict: "allow" }),
      line({ dstPort: 8080, time: time(0), verdict: "allow" }),
    ].join("\n");
    expect((await replayRecords(text, { surroundings: known })).lines).toEqual([`TCP ${A} > (10.96.0.1:80) > ${B}:8080 x1 0p established`]);
  });
  test.each([
    ["the last line without an end", line()],
    ["Windows line ends", `${line()}\r\n`],
    ["empty lines", `\n\n${line()}\n  \n`],
    ["spaces", `   ${line()}  `],
  ])("text: %s", async (_what, text) => {
    const { lines, warnings } = await replayRecords(text);
    expect([lines.length, warnings]).toEqual([1, []]);
  });
  test("gzip, whole and cut", async () => {
    const text = Array.from({ length: 5000 }, (_, i) => line({ srcPort: i, verdict: "allow" })).join("\n");
    expect(valuesOf((await replayRecords(gzipSync(text))).connections, "count")).toEqual([5000]);
    const cut = await replayRecords(gzipSync(text).subarray(0, 9000));
    expect(cut.warnings.join("\n")).toMatch(/compressed data is damaged/);
  });
  test("nothing at all", async () => {
    expect((await replayRecords("")).inputs).toMatchObject([{ records: 0, warnings: [] }]);
  });
});

describe("a bad line is counted by its reason and named, and the rest goes on", () => {
  test.each<[string, string]>([
    ["not JSON", "{"],
    ["not JSON", "hello"],
    ["not a JSON object", "[1]"],
    ["not a JSON object", "null"],
    ["not a JSON object", '"text"'],
    ["srcIp is no address", line({ srcIp: "10.0.0.256" })],
    ["srcIp is no address", line({ srcIp: undefined })],
    ["srcIp is no address", line({ srcIp: 7 })],
    ["dstIp is no address", line({ dstIp: "web.shop" })],
    ["dstIp is no address", line({ dstIp: "10.0.0.0/8" })],
    ["dstIp is no address", line({ dstIp: "010.0.0.1" })],
    ["unknown protocol", line({ protocol: "QUIC" })],
    ["unknown protocol", line({ protocol: 256 })],
    ["unknown protocol", line({ protocol: -1 })],
    ["unknown protocol", line({ protocol: 6.5 })],
    ["unknown protocol", line({ protocol: undefined })],
    ["dstPort is missing", line({ dstPort: undefined })],
    ["dstPort is missing", line({ dstPort: null })],
    ["dstPort is not between 0 and 65535", line({ dstPort: 65536 })],
    ["dstPort is not between 0 and 65535", line({ dstPort: "080x" })],
    ["srcPort is not between 0 and 65535", line({ srcPort: -1 })],
    ["icmpType is not between 0 and 255", line({ protocol: "ICMP", icmpType: 256 })],
    ["icmpCode is not between 0 and 255", line({ protocol: "ICMP", icmpCode: 1.5 })],
    ["packets is not between 0 and 4294967295", line({ packets: -1 })],
    ["packets is not between 0 and 4294967295", line({ packets: 1e300 })],
    ["bytes is not between 0 and 4294967295", line({ bytes: "-12" })],
    ["time is not RFC 3339", line({ time: "yesterday" })],
    ["time is not RFC 3339", line({ time: 1_700_000_000 })],
    ["time is outside 1970..2106", line({ time: "1969-12-31T23:59:59Z" })],
    ["time is outside 1970..2106", line({ time: "2107-01-01T00:00:00Z" })],
    ["verdict is not allow, deny or drop", line({ verdict: "maybe" })],
    ["srcPod is not namespace/name", line({ srcPod: "web-1" })],
    ["dstPod is not namespace/name", line({ dstPod: "a/b/c" })],
    ["dstPod is not namespace/name", line({ dstPod: {} })],
    ["srcLabels is not a list of texts", line({ srcLabels: "k8s:app=web" })],
    ["dstLabels is not a list of texts", line({ dstLabels: [1] })],
  ])("%s: %s", async (reason, bad) => {
    const { lines, skipped, warnings, inputs } = await read(line(), bad, line({ srcPort: 2 }));
    expect(lines).toEqual([expect.stringContaining("x2")]);
    expect(skipped).toEqual({ [reason]: 1 });
    expect(warnings).toEqual([expect.stringContaining(`line 2: ${reason}`)]);
    expect(inputs[0].records).toBe(2);
  });
  // The record is refused for its count, but its names were taken before that.
  test("a refused line leaves nothing behind", async () => {
    expect((await read(line({ dstNames: ["evil.example"], packets: -1 }))).names.size).toBe(0);
  });
  // addRecord adds the row before it reads the verdict: the line is counted as left out and is in the report as well.
  test("a refused line leaves no connection behind", async () => {
    expect((await read(line({ verdict: "ALLOWED" }))).lines).toEqual([]);
  });
  test("many of one kind: the first one named, then how many", async () => {
    const { warnings } = await read("{", "{", line({ protocol: "QUIC" }), "{");
    expect(warnings).toEqual(["line 1: not JSON", 'line 3: unknown protocol `"QUIC"`', "3 lines were left out: not JSON"]);
  });
  test("a line of 9 MiB is passed over, never held", async () => {
    const { skipped, connections } = await read(line(), `{"a":"${"x".repeat(9 << 20)}"}`, line({ srcPort: 2 }));
    expect(skipped).toEqual({ "line too long": 1 });
    expect(valuesOf(connections, "count")).toEqual([2]);
  });
  test("a line of 3 MiB is read", async () => {
    expect(valuesOf((await read(line({ note: "x".repeat(3 << 20) }))).connections, "count")).toEqual([1]);
  });
});
