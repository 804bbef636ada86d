import { expect, test } from "vitest";
import { eks } from "../../src/capture/logs/eks.ts";
import { readRecords } from "./readRecords.ts";
import { NOTHING_KNOWN } from "./replay.ts";

/** Decisions as `verdict way`, client 10.0.0.1:40000 and server 10.0.0.2:8080; `<` of the server's packet. */
function outcomeOf(...decisions: readonly string[]): string[] {
  const lines = decisions.map((decision, i) => {
    const [verdict, way] = decision.split(" ");
    const ends =
      way === ">" ? "SIP: 10.0.0.1;SPORT: 40000;DIP: 10.0.0.2;DPORT: 8080" : "SIP: 10.0.0.2;SPORT: 8080;DIP: 10.0.0.1;DPORT: 40000";
    return `2024-03-01T10:00:00.${i}00Z Node: n;${ends};PROTOCOL: TCP;PolicyVerdict: ${verdict}`;
  });
  return readRecords(eks, lines).lines.map((line) => line.replace(/^TCP (.*) x1 \?p \?B (\w+ ~).*/, "$1 $2"));
}

test.each([
  ["established", ["ACCEPT >"]],
  ["dropped", ["DENY >", "DENY >"]],
  // The client's egress allowed it, the server's ingress did not, in whatever order the two were logged.
  ["dropped", ["ACCEPT >", "DENY >"]],
  ["dropped", ["DENY >", "ACCEPT >"]],
  // The agent forgot a connection that it had allowed, and denied what the server sent on it (issue 163).
  ["established", ["ACCEPT >", "ACCEPT >", "DENY <"]],
  // A connection older than the agent's table (issue 127).
  ["dropped", ["DENY <"]],
] as const)("%s: %j", (expected, decisions) => {
  expect(outcomeOf(...decisions)).toEqual([`10.0.0.1 > 10.0.0.2:8080 ${expected} ~`]);
});

test("a known server is the server, whatever the ports look like", () => {
  const line = "Node: n;SIP: 10.0.0.1;SPORT: 33000;DIP: 10.0.0.2;DPORT: 50051;PROTOCOL: TCP;PolicyVerdict: ACCEPT";
  const known = { ...NOTHING_KNOWN, isServing: (_address: unknown, _protocol: number, port: number) => port === 50051 };
  // The agent logs packets that belong to no connection: whose they are began it, where ports do not say otherwise.
  expect(readRecords(eks, [line]).lines[0]).toContain("10.0.0.1 > 10.0.0.2:50051");
  const turned = "Node: n;SIP: 10.0.0.2;SPORT: 50051;DIP: 10.0.0.1;DPORT: 33000;PROTOCOL: TCP;PolicyVerdict: ACCEPT";
  expect(readRecords(eks, [turned], { known }).lines[0]).toContain("10.0.0.1 > 10.0.0.2:50051");
});
