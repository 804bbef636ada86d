import { expect, test } from "vitest";
import { hubble } from "../../src/capture/logs/hubble.ts";
import { readRecords } from "./readRecords.ts";

/** Events as `seconds verdict way flags`, client 10.0.0.1:40000 and server 10.0.0.2:5432; `<` of the server's packet, no flags: ICMP. */
function outcomeOf(...events: readonly string[]): string[] {
  const records = events.map((event) => {
    const [seconds, verdict, way, flags] = event.split(" ");
    const [near, far] = way === ">" ? [40000, 5432] : [5432, 40000];
    const [source, destination] = way === ">" ? ["10.0.0.1", "10.0.0.2"] : ["10.0.0.2", "10.0.0.1"];
    const set = Object.fromEntries((flags ?? "").split("|").map((flag) => [flag, true]));
    const l4 = flags === undefined ? { ICMPv4: { type: 8 } } : { TCP: { source_port: near, destination_port: far, flags: set } };
    return {
      flow: {
        ...{ verdict, l4, IP: { source, destination }, Type: "L3_L4", event_type: { type: 5 }, is_reply: false },
        time: new Date(1_700_000_000_000 + Number(seconds) * 1000).toISOString(),
        ...(verdict === "DROPPED" ? { drop_reason_desc: "POLICY_DENIED" } : {}),
      },
    };
  });
  return readRecords(hubble, records).lines.map((line) => line.replace(/ x\d+ \?p \?B /, " ").replace(/ 2023.*/, ""));
}

test.each([
  ["denied at the destination, whatever the source's side said", ["0 FORWARDED > SYN", "0.01 DROPPED > SYN"], [/dropped/]],
  ["tried again until given up", ["0 FORWARDED > SYN", "0.01 DROPPED > SYN", "1.01 DROPPED > SYN"], [/dropped/]],
  ["denied, then let pass: what goes on is a connection", ["0 DROPPED > SYN", "3 FORWARDED > SYN", "3.1 FORWARDED > ACK"], [/established/]],
  ["the same the other way round", ["3.1 FORWARDED > ACK", "3 FORWARDED > SYN", "0 DROPPED > SYN"], [/established/]],
  ["one that went on for long, and was cut", ["0 FORWARDED > ACK", "600 FORWARDED > ACK", "600.1 DROPPED > ACK"], [/established/]],
  ["echoes that came through later", ["0 DROPPED >", "31 FORWARDED >", "32 FORWARDED >"], [/established/]],
] as const)("%s", (_what, events, wanted) => {
  const lines = outcomeOf(...events);
  expect(lines.length).toBe(wanted.length);
  for (const [i, pattern] of wanted.entries()) expect(lines[i]).toMatch(pattern);
});

test("what a server sends on a connection that Cilium forgot may be a reply", () => {
  expect(outcomeOf("0 FORWARDED < ACK|PSH")).toEqual([expect.stringMatching(/\?reply$/)]);
  expect(outcomeOf("0 FORWARDED > ACK|PSH")).toEqual([expect.not.stringMatching(/\?reply$/)]);
  expect(outcomeOf("0 FORWARDED > SYN")).toEqual([expect.not.stringMatching(/\?reply$/)]);
});
