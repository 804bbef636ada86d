import { expect, test } from "vitest";
import { ovn } from "../../src/capture/logs/ovn.ts";
import { readRecords } from "./readRecords.ts";

/** Packets as `verdict direction ports flags`, client 10.0.0.1:40000 and server 10.0.0.2:80; `<` from the server. */
function outcomeOf(...packets: readonly string[]): string[] {
  const lines = packets.map((packet, i) => {
    const [verdict, way, flags] = packet.split(" ");
    const ends =
      way === ">" ? "nw_src=10.0.0.1,nw_dst=10.0.0.2,tp_src=40000,tp_dst=80" : "nw_src=10.0.0.2,nw_dst=10.0.0.1,tp_src=80,tp_dst=40000";
    const transport = flags === undefined ? `udp,${ends}` : `tcp,${ends},tcp_flags=${flags}`;
    return `2024-07-12T08:00:00.0${i}0Z|00040|acl_log(ovn_pinctrl0)|INFO|name="x", verdict=${verdict}, severity=info, direction=to-lport: ${transport}`;
  });
  return readRecords(ovn, lines).lines.map((line) => line.replace(/ x1 \?p \?B /, " ").replace(/ 2024.*/, ""));
}

const REQUEST = "10.0.0.1 > 10.0.0.2:80";

test.each([
  ["established", ["allow > syn"]],
  ["dropped", ["drop > syn"]],
  ["dropped", ["reject > syn", "reject > syn"]],
  // The sender's side allowed it, the receiver's did not.
  ["dropped", ["allow > syn", "drop > syn"]],
  ["established", ["allow > syn", "allow > psh|ack"]],
  // A policy that came later cut what had been established.
  ["established", ["allow > syn", "allow > ack", "drop > psh|ack"]],
  ["dropped ~", ["drop > psh|ack"]],
  ["dropped ~", ["drop < psh|ack"]],
  ["established", ["allow < syn|ack"]],
  ["unknown", ["pass > syn"]],
  ["dropped", ["pass > syn", "drop > syn"]],
] as const)("TCP %s: %j", (expected, packets) => {
  expect(outcomeOf(...packets)).toEqual([`TCP ${REQUEST} ${expected}`]);
});

test.each([
  ["established ~", ["allow >"]],
  ["dropped ~", ["drop >"]],
  ["dropped ~", ["allow >", "drop >"]],
  ["dropped ~", ["drop <"]],
] as const)("UDP %s: %j", (expected, packets) => {
  expect(outcomeOf(...packets)).toEqual([`UDP ${REQUEST} ${expected}`]);
});
