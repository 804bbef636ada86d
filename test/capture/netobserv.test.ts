import { writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { describe as lines, readLog, readLogs } from "./flowLogs.ts";

const T = 1709742328000;
const flow = (more: object) => ({
  SrcAddr: "10.0.0.5",
  SrcPort: 41000,
  DstAddr: "10.0.0.9",
  DstPort: 80,
  Proto: 6,
  TimeFlowStartMs: T,
  TimeFlowEndMs: T + 10,
  Packets: 2,
  Bytes: 200,
  Sampling: 1,
  AgentIP: "10.1.0.1",
  ...more,
});
const reply = (more: object) =>
  flow({ SrcAddr: "10.0.0.9", SrcPort: 80, DstAddr: "10.0.0.5", DstPort: 41000, TimeFlowStartMs: T + 1, ...more });

function file(records: readonly object[]): string {
  const path = join(tmpdir(), `netobserv-${process.pid}.jsonl`);
  writeFileSync(path, records.map((record) => `${JSON.stringify(record)}\n`).join(""));
  return path;
}

async function read(...records: readonly object[]): Promise<string[]> {
  return lines(await readLogs([file(records)])).map((line) => line.replace(/ 2024.*/, ""));
}

test.each([
  ["refused", [flow({ Flags: 0x02 }), reply({ Flags: 0x400 })]],
  ["established", [flow({ Flags: 0x12 }), reply({ Flags: 0x110 })]],
  // The client's half alone: it went on after its SYN.
  ["established", [flow({ Flags: 0x12 })]],
  ["unknown", [flow({ Flags: ["SYN"] })]],
  // The server's half alone still tells who began.
  ["established", [reply({ Flags: ["SYN_ACK", "ACK"] })]],
  ["unknown", [flow({ Flags: 2, AgentIP: undefined, FlowDirection: 1, SrcK8S_HostName: "n1" })]],
])("%s, by flags of single packets", async (outcome, records) => {
  expect(await read(...records)).toEqual([expect.stringMatching(new RegExp(`^TCP 10\\.0\\.0\\.5 > 10\\.0\\.0\\.9:80 x1 .* ${outcome}$`))]);
});

const acl = (Action: string, Type = "NetworkPolicy") => [{ Feature: "acl", Type, Action }];

test.each([
  ["established", [flow({ Flags: 2, NetworkEvents: acl("allow-related") })]],
  ["dropped", [flow({ Flags: 2, NetworkEvents: acl("drop") })]],
  ["dropped", [flow({ Flags: 2, NetworkEvents: [...acl("allow"), ...acl("reject")] })]],
  ["dropped cloud", [flow({ Flags: 2, NetworkEvents: [...acl("allow"), ...acl("drop", "EgressFirewall")] })]],
  // A pass leaves the decision to others; the kernel's drops are no rule's.
  ["unknown", [flow({ Flags: 2, NetworkEvents: [...acl("pass"), { Feature: "other", Action: "drop" }, "dropped"], PktDropPackets: 2 })]],
  // Allowed where it left, dropped where it arrived.
  ["dropped", [flow({ Flags: 2, NetworkEvents: acl("allow") }), flow({ Flags: 2, AgentIP: "10.1.0.2", NetworkEvents: acl("drop") })]],
])("%s, by network events", async (outcome, records) => {
  expect(await read(...records)).toEqual([expect.stringMatching(new RegExp(` ${outcome}$`))]);
});

test("a conversation's records count all since its beginning", async () => {
  const conversation = (type: string, packets: number, id = "7") =>
    flow({ _RecordType: type, _HashId: id, Packets_AB: packets, Bytes_AB: packets * 100, Packets_BA: packets - 1, Bytes_BA: 0 });
  const log = [
    conversation("newConnection", 1),
    conversation("heartbeat", 5),
    conversation("heartbeat", 9),
    conversation("endConnection", 9),
  ];
  expect(await read(...log)).toEqual(["TCP 10.0.0.5 > 10.0.0.9:80 x1 17p 900B unknown ~"]);
  expect((await readLog(file(log))).records).toBe(4);
});

test("a list with an item a line is read whole", async () => {
  const path = join(tmpdir(), `netobserv-${process.pid}.json`);
  writeFileSync(path, `[\n${[flow({ Flags: 2 }), reply({ Flags: 0x100 })].map((record) => JSON.stringify(record)).join(",\n")}\n]\n`);
  expect(await readLog(path)).toMatchObject({ records: 2, skipped: {}, gaps: [] });
});
