import { expect, test } from "vitest";
import { zeek, zeekJson } from "../../src/capture/logs/zeek.ts";
import { readRecords } from "./readRecords.ts";

/** A connection of which the originator has the lower port: an inferred initiator is the other end. */
function outcomeOf(proto: string, state: string | undefined, history: string | undefined, packets: readonly [number, number]): string {
  const record = {
    "id.orig_h": "10.0.0.1",
    "id.orig_p": 80,
    "id.resp_h": "10.0.0.2",
    "id.resp_p": 40000,
    proto,
    ...(state === undefined ? {} : { conn_state: state }),
    ...(history === undefined ? {} : { history }),
    _path: "conn",
    orig_pkts: packets[0],
    resp_pkts: packets[1],
  };
  const [line] = readRecords(zeekJson, [record]).lines;
  const match = /> (\S+):\d+ x1 \?p \?B (\w+)( ~)?/.exec(line);
  return `${match?.[1] === "10.0.0.2" ? "originator" : "responder"}${match?.[3] ?? ""} ${match?.[2]}`;
}

test.each([
  ["originator established", "tcp", "SF", "ShADadFf", [5, 4]],
  ["originator established", "tcp", "S1", undefined, [5, 4]],
  ["originator unanswered", "tcp", "S0", "S", [1, 0]],
  ["originator unanswered", "tcp", "RSTOS0", "SR", [2, 0]],
  ["originator refused", "tcp", "REJ", "Sr", [1, 1]],
  ["originator established", "tcp", "REJ", "ShRr", [2, 2]],
  ["originator established", "tcp", "RSTO", "ShR", [2, 1]],
  ["originator established", "tcp", "SH", "SADF", [4, 0]],
  ["originator unanswered", "tcp", "SH", "SF", [2, 0]],
  ["originator established", "tcp", "OTH", "SA", [2, 0]],
  ["originator established", "tcp", "SHR", "^hf", [0, 2]],
  ["originator established", "tcp", "SHR", undefined, [0, 2]],
  // Who sent a SYN-ACK did not begin, whatever Zeek calls it.
  ["responder established", "tcp", "OTH", "H", [1, 0]],
  ["responder ~ established", "tcp", "SF", "DadAFf", [5, 5]],
  ["responder ~ established", "tcp", "RSTR", "^DadAr", [5, 5]],
  ["responder ~ unknown", "tcp", "RSTRH", "^r", [0, 1]],
  ["responder ~ unknown", "tcp", "OTH", undefined, [5, 5]],
  ["responder ~ unknown", "tcp", undefined, undefined, [5, 5]],
  ["originator established", "udp", "SF", "Dd", [1, 1]],
  ["originator unknown", "udp", "S0", "D", [1, 0]],
  ["responder ~ established", "udp", "SF", "^Dd", [1, 1]],
  ["responder ~ unknown", "udp", "SHR", "^d", [0, 1]],
] as const)("%s began: %s %s %s", (expected, proto, state, history, packets) => {
  expect(outcomeOf(proto, state, history, packets)).toBe(expected);
});

test("is no other log of Zeek, and is itself from the header alone", () => {
  const head = (...lines: string[]) => ({ lines, objects: [], isLineByLine: true, columns: undefined });
  const fields = (...names: string[]) => ["#fields", "ts", "uid", "id.orig_h", "id.orig_p", "id.resp_h", "id.resp_p", ...names].join("\t");
  expect(zeek.recognizes(head("#separator \\x09", "#path\tdns", fields("proto", "query")))).toBe(false);
  expect(zeek.recognizes(head("#separator \\x09", "#path\tconn_long", fields("proto", "duration")))).toBe(false);
  expect(zeek.recognizes(head("#separator \\x09", "#path\tconn"))).toBe(true);
  expect(zeek.recognizes(head(fields("proto", "conn_state")))).toBe(true);
});
