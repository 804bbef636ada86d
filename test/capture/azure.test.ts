import { writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { headOf, readFlowLog } from "../../src/capture/logs/readFlowLog.ts";
import { FlowTable } from "../../src/flow/flowTable.ts";
import { L7Hints } from "../../src/flow/hints.ts";
import { NameTable } from "../../src/flow/names.ts";
import { LoggedParties } from "../../src/flow/parties.ts";
import { describe as lines, readLog, readLogs } from "./flowLogs.ts";

const vnet = (tuples: readonly string[], mac = "A", target = "net") => ({
  category: "FlowLogFlowEvent",
  macAddress: mac,
  targetResourceID: target,
  flowRecords: { flows: [{ aclID: "a", flowGroups: [{ rule: "r", flowTuples: tuples }] }] },
});
const nsg = (tuples: readonly string[], mac = "A", resource = "nsg") => ({
  category: "NetworkSecurityGroupFlowEvent",
  macAddress: mac,
  resourceId: resource,
  properties: { Version: 2, flows: [{ rule: "r", flows: [{ mac, flowTuples: tuples }] }] },
});

let files = 0;
function file(...records: readonly object[]): string {
  const path = join(tmpdir(), `azure-${process.pid}-${files++}.json`);
  writeFileSync(path, JSON.stringify({ records }));
  return path;
}

async function read(...paths: readonly string[]): Promise<string[]> {
  return lines(await readLogs(paths)).map((line) => line.replace(/ 2022.*/, ""));
}

const ENDS = "10.0.0.5,10.0.0.9,40000,80";

test.each([
  ["?p ?B unknown", ["1663146000000,E,6,O,B,NX,0,0,0,0"]],
  ["8p 3000B established", ["1663146000000,E,6,O,B,NX,0,0,0,0", "1663146300000,E,6,O,C,NX,5,1000,3,2000"]],
  ["9p 3100B established", ["1663146000000,E,6,O,C,NX,5,1000,3,2000", "1663146300000,E,6,O,E,NX,1,100,0,0"]],
  // SYN and RST, or SYN and SYN-ACK: both are possible.
  ["2p 132B unknown", ["1663146000000,E,6,O,E,NX,1,66,1,66"]],
  ["6p 390B unknown", ["1663146000000,E,6,O,E,NX,3,198,3,192"]],
  ["2p 132B established", ["1663146000000,E,17,O,E,NX,1,66,1,66"]],
  ["1p 66B unknown", ["1663146000000,E,17,O,E,NX,1,66,0,0"]],
  ["?p ?B dropped cloud", ["1663146000000,E,6,I,D,NX,0,0,0,0"]],
  ["?p ?B dropped cloud", ["1663146000000,E,6,O,B,NX_SW_NOT_READY,0,0,0,0"]],
  ["2p 132B unknown", ["1663146000000,E,6,O,E,NX_HW_NOT_SUPPORTED,1,66,1,66"]],
])("%s", async (meaning, tuples) => {
  const written = tuples.map((tuple) => tuple.replace("E,", `${ENDS},`));
  expect(await read(file(vnet(written)))).toEqual([
    expect.stringMatching(new RegExp(`10\\.0\\.0\\.9:80 x1 ${meaning.replaceAll("?", "\\?")}$`)),
  ]);
});

test("a connection that both ends' interfaces, or two kinds of log, report is counted once", async () => {
  const tuple = `1663146000000,${ENDS},6,O,E,NX,5,1000,3,2000`;
  const once = ["TCP 10.0.0.5 > 10.0.0.9:80 x1 8p 3000B established"];
  expect(await read(file(vnet([tuple]), vnet([tuple.replace(",O,", ",I,")], "B")))).toEqual(once);
  expect(await read(file(vnet([tuple]), vnet([tuple], "A", "subnet")))).toEqual(once);
  expect(await read(file(vnet([tuple])), file(nsg([`1663146000,${ENDS},T,O,A,E,5,1000,3,2000`])))).toEqual(once);
});

test("a bad tuple, or one outside the time window, costs no other", async () => {
  const good = `1663146000000,${ENDS},6,O,E,NX,5,1000,3,2000`;
  const path = file(vnet([5 as unknown as string, "x", good.replace("10.0.0.5", "nowhere"), good.replace("16631460", "16631450"), good]));
  const target = { table: new FlowTable(), names: new NameTable(), parties: new LoggedParties(), hints: new L7Hints(), since: 1663145900 };
  const { records, faults, skipped } = await readFlowLog(path, target);
  expect([records, faults, Object.values(skipped)]).toEqual([1, 3, [1, 1, 1, 1]]);
});

test("a document on one line is known by its beginning", () => {
  const tuples = Array.from({ length: 4000 }, (_, i) => `1663146000000,10.0.0.5,10.0.0.9,${i},80,6,O,E,NX,5,1000,3,2000`);
  const text = Buffer.from(JSON.stringify({ records: [vnet(tuples)] }));
  const head = headOf(text.subarray(0, 1 << 16), false);
  expect([head.isLineByLine, head.lines.length, head.objects.length]).toEqual([false, 1, 0]);
});

test("a minute longer than what is looked at is read", async () => {
  const tuples = Array.from({ length: 4000 }, (_, i) => `1663146000000,10.0.0.5,10.0.0.9,${i},80,6,O,E,NX,5,1000,3,2000`);
  for (const indent of [undefined, 2]) {
    const path = join(tmpdir(), `azure-${process.pid}-long.json`);
    writeFileSync(path, JSON.stringify({ records: [vnet(tuples)] }, null, indent));
    expect((await readLog(path)).connections).toEqual([expect.stringContaining("x4000 32000p 12000000B established")]);
  }
});
