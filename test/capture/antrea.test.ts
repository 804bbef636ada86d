import { writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { LogSink } from "../../src/capture/logs/logSink.ts";
import { RunningTotals } from "../../src/capture/logs/runningTotals.ts";
import { FlowTable } from "../../src/flow/flowTable.ts";
import { L7Hints } from "../../src/flow/hints.ts";
import { NameTable } from "../../src/flow/names.ts";
import { LoggedParties } from "../../src/flow/parties.ts";
import { describe as lines, readLogs } from "./flowLogs.ts";

const record = (more: object) => ({
  flowStartSeconds: 1637706961,
  flowEndSeconds: 1637706973,
  sourceIP: "10.10.0.79",
  destinationIP: "10.10.0.80",
  sourceTransportPort: 44752,
  destinationTransportPort: 5201,
  protocolIdentifier: 6,
  sourcePodName: "a",
  sourcePodNamespace: "x",
  destinationPodName: "b",
  destinationPodNamespace: "x",
  ...more,
});

async function read(...records: readonly object[]): Promise<string[]> {
  const path = join(tmpdir(), `antrea-${process.pid}.jsonl`);
  writeFileSync(path, records.map((each) => `${JSON.stringify(each)}\n`).join(""));
  return lines(await readLogs([path])).map((line) => line.replace(/^.*:5201 /, "").replace(/ 2021.*/, ""));
}

const counted = (totals: readonly number[], kind = "Total") => ({
  [`packet${kind}Count`]: totals[0],
  [`octet${kind}Count`]: totals[1],
  [`reversePacket${kind}Count`]: totals[2],
  [`reverseOctet${kind}Count`]: totals[3],
});

test.each([
  ["x1 ?p ?B unknown", [{}]],
  ["x1 ?p ?B established", [{ ingressNetworkPolicyRuleAction: 1 }]],
  ["x1 ?p ?B dropped", [{ ingressNetworkPolicyRuleAction: 1, egressNetworkPolicyRuleAction: "Reject" }]],
  ["x1 ?p ?B unknown", [{ ingressNetworkPolicyRuleAction: "Invalid", egressNetworkPolicyRuleAction: 5 }]],
  // Both nodes' records as they come: the source allowed it, the destination did not.
  [
    "x1 ?p ?B dropped",
    [
      { egressNetworkPolicyRuleAction: 1, destinationPodName: "" },
      { ingressNetworkPolicyRuleAction: 2, sourcePodName: "" },
    ],
  ],
  ["x1 2p 120B unanswered", [{ ...counted([2, 120, 0, 0]), tcpState: "SYN_SENT" }]],
  ["x1 2p 114B unknown", [{ ...counted([1, 60, 1, 54]), tcpState: "CLOSE" }]],
  ["x1 9p 900B established", [{ ...counted([5, 500, 4, 400]), tcpState: "FIN-WAIT-1" }]],
  // What was an attempt at first came about later.
  [
    "x1 9p 900B established",
    [
      { ...counted([1, 60, 0, 0]), tcpState: "SYN_SENT" },
      { ...counted([5, 500, 4, 400]), tcpState: "ESTABLISHED" },
    ],
  ],
  // Increments add up; totals are compared with the record before.
  ["x1 18p 1800B unknown", [counted([5, 500, 4, 400], "Delta"), counted([5, 500, 4, 400], "Delta")]],
  ["x1 18p 1800B unknown", [counted([5, 500, 4, 400]), counted([10, 1000, 8, 800])]],
  ["x1 9p 900B unknown", [{ ...counted([5, 500, 4, 400], "Delta"), ...counted([50, 5000, 40, 4000]) }]],
  // Two connections of one source port.
  [
    "x2 18p 1800B unknown",
    [counted([5, 500, 4, 400]), { ...counted([5, 500, 4, 400]), flowStartSeconds: 1637709961, flowEndSeconds: 1637709962 }],
  ],
])("%s", async (meaning, records) => {
  expect(await read(...records.map(record))).toEqual([meaning]);
});

test("running totals remember so many connections, and say so of the rest", () => {
  const sink = new LogSink("x", { table: new FlowTable(), names: new NameTable(), parties: new LoggedParties(), hints: new L7Hints() });
  const totals = new RunningTotals(sink, 2);
  expect([totals.increments("a", [5, 1]), totals.increments("b", [5, 1]), totals.increments("a", [7, 1])]).toEqual([
    [5, 1],
    [5, 1],
    [2, 0],
  ]);
  expect(sink.gaps).toEqual([]);
  // `b` was heard of least lately.
  expect([totals.increments("c", [1, 1]), totals.increments("a", [8, 2]), totals.increments("b", [6, 2])]).toEqual([
    [1, 1],
    [1, 1],
    [6, 2],
  ]);
  expect(totals.increments("b", [1, 0])).toEqual([1, 0]);
  expect(sink.gaps.map(({ kind, count }) => [kind, count])).toEqual([["partial", 2]]);
});
