import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { conntrack } from "../../src/capture/logs/conntrack.ts";
import { formatAddress } from "../../src/net/address.ts";
import { protocolName } from "../../src/net/protocol.ts";
import { readRecords } from "./readRecords.ts";

function linesOf(name: string): string[] {
  const text = readFileSync(new URL(`../../fixtures/flow-logs/conntrack/${name}`, import.meta.url), "utf8");
  return text.split("\n").filter((line) => line !== "");
}

/*
 * What a capture on the node saw of the connections in 08-node-any-sll2.txt, by tshark: before and after translation, each with its
 * initiator (the sender of the SYN, or of the first datagram) and whether it was answered. 41256 is masqueraded on its second line.
 */
const CAPTURED = `
UDP 10.244.1.10:51106 > 10.96.0.10:53 yes
UDP 10.244.1.10:51106 > 10.244.1.2:53 yes
TCP 10.244.1.10:57720 > 10.96.20.1:80 yes
TCP 10.244.1.10:57720 > 10.244.2.11:8080 yes
UDP 10.244.1.10:50395 > 10.96.0.10:53 yes
UDP 10.244.1.10:50395 > 10.244.1.2:53 yes
TCP 10.244.1.10:57734 > 10.96.20.1:80 yes
TCP 10.244.1.10:57734 > 10.244.1.11:8080 yes
UDP 10.244.1.10:58674 > 10.96.0.10:53 yes
UDP 10.244.1.10:58674 > 10.244.1.2:53 yes
TCP 10.244.1.10:57742 > 10.96.20.1:80 yes
TCP 10.244.1.10:57742 > 10.244.2.11:8080 yes
TCP 10.244.1.10:57746 > 10.96.20.1:80 yes
TCP 10.244.1.10:57746 > 10.244.1.11:8080 yes
TCP 10.244.1.10:53498 > 10.96.20.3:6379 yes
TCP 10.244.1.10:53498 > 10.244.1.21:6379 yes
TCP 10.244.1.10:41256 > 203.0.113.10:80 yes
TCP 192.168.50.11:41256 > 203.0.113.10:80 yes
TCP 10.244.2.40:34768 > 10.244.1.11:9100 yes
UDP 10.244.1.30:53223 > 10.96.0.10:53 yes
UDP 10.244.1.30:53223 > 10.244.1.2:53 yes
TCP 10.244.1.30:53810 > 10.96.20.2:5432 yes
TCP 10.244.1.30:53810 > 10.244.2.20:5432 yes
UDP 10.244.2.40:56293 > 10.244.1.10:9 no
`;

test("the table agrees with what a capture of the node saw: initiator, dialled address, backend and answer", () => {
  const { table, parties, lines } = readRecords(conntrack, linesOf("08-node-any-sll2.txt"));
  const ends = new Set<string>();
  for (let row = 0; row < table.size; row++) {
    const protocol = protocolName(table.get(row, 3) & 255);
    for (const source of [0, 1]) {
      const [from, to] = [table.addressId(row, source), table.addressId(row, 1 - source)];
      const { via } = parties.get(table.addresses.tagOf(to));
      const sender = `${protocol} ${formatAddress(table.addresses.addressOf(from))}:${table.portOf(row, source)}`;
      ends.add(`${sender} > ${formatAddress(table.addresses.addressOf(to))}:${table.portOf(row, 1 - source)}`);
      if (via !== undefined) ends.add(`${sender} > ${formatAddress(table.addresses.addressOf(via.addressId))}:${via.port}`);
    }
  }
  const captured = CAPTURED.trim()
    .split("\n")
    .map((line) => line.replace(/ (yes|no)$/, ""));
  // The node's address is what the source is masqueraded to: the source is the pod's own.
  expect(captured.filter((line) => !ends.has(line))).toEqual(["TCP 192.168.50.11:41256 > 203.0.113.10:80"]);
  const unanswered = CAPTURED.match(/\S+:\d+ no$/gm)?.map((line) => line.replace(" no", ""));
  expect(unanswered).toEqual(["10.244.1.10:9"]);
  expect(lines.filter((line) => line.includes("> 10.244.1.10:9 "))).toEqual(["UDP 10.244.2.40 > 10.244.1.10:9 x1 ?p ?B unknown never"]);
  expect(lines.filter((line) => line.startsWith("TCP") && !line.includes("established"))).toEqual([]);
});

test("a table that is shown again counts what was sent since", () => {
  const entry = (packets: number) =>
    `tcp 6 9 ESTABLISHED src=10.0.0.1 dst=10.0.0.2 sport=1025 dport=80 packets=${packets} bytes=${packets * 100} src=10.0.0.2 dst=10.0.0.1 sport=80 dport=1025 packets=1 bytes=50 [ASSURED]`;
  expect(readRecords(conntrack, [entry(3), entry(3), entry(7)]).lines).toEqual(["TCP 10.0.0.1 > 10.0.0.2:80 x1 8p 750B established never"]);
});
