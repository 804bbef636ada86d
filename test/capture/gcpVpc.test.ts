import { writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { describe as lines, readLogs } from "./flowLogs.ts";

const flow = (reporter: string, from: string, fromPort: number, to: string, toPort: number, seconds: number, protocol = 6) => ({
  jsonPayload: {
    connection: { src_ip: from, src_port: fromPort, dest_ip: to, dest_port: toPort, protocol },
    reporter,
    start_time: `2022-06-03T12:00:${seconds}Z`,
    end_time: `2022-06-03T12:00:${seconds + 1}Z`,
    packets_sent: "4",
    bytes_sent: "400",
  },
});

const policy = (direction: string, disposition: string, count: number) => ({
  connection: { src_ip: "10.8.1.5", dest_ip: "10.8.2.9", src_port: 41000, dest_port: 80, protocol: "tcp", direction },
  disposition,
  count,
  timestamp: "2022-06-03T12:00:10Z",
});

async function read(...entries: readonly object[]): Promise<string[]> {
  const path = join(tmpdir(), `gcp-${process.pid}.jsonl`);
  writeFileSync(path, entries.map((entry) => `${JSON.stringify(entry)}\n`).join(""));
  return lines(await readLogs([path])).map((line) => line.replace(/ 2022.*/, ""));
}

test("both machines' reports of both directions are one connection", async () => {
  const both = [
    flow("SRC", "10.8.1.5", 41000, "10.8.2.9", 80, 10),
    flow("DEST", "10.8.1.5", 41000, "10.8.2.9", 80, 10),
    flow("SRC", "10.8.2.9", 80, "10.8.1.5", 41000, 11),
    flow("DEST", "10.8.2.9", 80, "10.8.1.5", 41000, 11),
  ];
  expect(await read(...both)).toEqual(["TCP 10.8.1.5 > 10.8.2.9:80 x1 8p 800B unknown ~"]);
  expect(await read(...both.toReversed())).toEqual(["TCP 10.8.1.5 > 10.8.2.9:80 x1 8p 800B unknown ~"]);
});

test("packets are sampled, so that which half begins earlier says nothing: where ports do not tell either, it is doubtful", async () => {
  const early = flow("SRC", "10.8.0.1", 1000, "10.8.0.2", 1001, 10, 17);
  // Neither of the ports is a client's by what it is.
  expect(
    await read(early, flow("DEST", "192.0.2.9", 4000, "10.8.1.5", 5000, 12, 17), flow("SRC", "10.8.1.5", 5000, "192.0.2.9", 4000, 20, 17)),
  ).toContain("UDP 10.8.1.5 > 192.0.2.9:4000 x1 8p 800B established ~ ?reply");
  expect(
    await read(early, flow("SRC", "10.8.1.5", 5000, "192.0.2.9", 4000, 20, 17), flow("DEST", "192.0.2.9", 4000, "10.8.1.5", 5000, 12, 17)),
  ).toContain("UDP 10.8.1.5 > 192.0.2.9:4000 x1 8p 800B established ~ ?reply");
});

test.each([
  ["dropped", [policy("egress", "allow", 1), policy("ingress", "deny", 1)], 1],
  ["dropped", [policy("egress", "allow", 1), policy("ingress", "deny", 4)], 4],
  ["established", [policy("egress", "allow", 1), policy("ingress", "allow", 1)], 1],
  ["established", [policy("ingress", "allow", 1), policy("ingress", "allow", 1)], 2],
  ["dropped", [policy("egress", "deny", 2), policy("egress", "deny", 1)], 3],
])("%s by what the policies of both pods said", async (outcome, entries, count) => {
  expect(await read(...entries)).toEqual([`TCP 10.8.1.5 > 10.8.2.9:80 x${count} ?p ?B ${outcome}`]);
});
