import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  parseBrokerTime,
  readAuditVerdict,
  readPodRow,
  readServiceRow,
  readSyscallRow,
  readTrafficRow,
} from "../../src/live/brokerRows.ts";
import { formatAddress } from "../../src/net/address.ts";
import { formatRfc3339 } from "../../src/net/time.ts";

const ROW = {
  uuid: "u",
  pod_name: "web-1",
  pod_namespace: "shop",
  pod_ip: "10.0.0.1",
  pod_port: "0",
  ip_protocol: "TCP",
  traffic_type: "EGRESS",
  traffic_in_out_ip: "10.0.0.2",
  traffic_in_out_port: "8080",
  decision: "ALLOW",
  time_stamp: "2026-11-20T08:00:00",
};

/** A row in one line, as it was understood: `shop/web-1 10.0.0.1 -> 10.0.0.2 6/8080 allow`; or why it is none. */
function read(fields: Record<string, unknown>): string {
  const row = readTrafficRow({ ...ROW, ...fields });
  if (typeof row === "string") return row;
  const arrow = row.isIngress ? "<-" : "->";
  const port = row.isIngress ? row.podPort : row.peerPort;
  const other = row.isIngress ? row.peerPort : row.podPort;
  return `${row.podNamespace ?? "-"}/${row.podName ?? "-"} ${formatAddress(row.podAddress)} ${arrow} ${formatAddress(row.peerAddress)} ${row.protocol}/${port}${other === 0 ? "" : ` from ${other}`} ${row.verdict ?? "unjudged"}`;
}

const PLAIN = "shop/web-1 10.0.0.1 -> 10.0.0.2 6/8080 allow";
const [NO_ADDRESS, NO_PROTOCOL, NO_TYPE, NO_PORT, NO_TIME] = [
  "pod_ip or traffic_in_out_ip is no address",
  "ip_protocol is none",
  "traffic_type is neither INGRESS nor EGRESS",
  "a port is none",
  "time_stamp is no time",
];
const MISSING_PORT = "the port that was connected to is missing";

describe("a row of traffic", () => {
  test.each<[string, Record<string, unknown>, string]>([
    ["as the controller sends it", {}, PLAIN],
    [
      "of the other direction",
      { traffic_type: "INGRESS", pod_port: "80", traffic_in_out_port: "0" },
      PLAIN.replace("-> 10.0.0.2 6/8080", "<- 10.0.0.2 6/80"),
    ],
    ["with words in other case", { traffic_type: "eGress", ip_protocol: "tcp", decision: "Allow" }, PLAIN],
    ["denied, in other case", { decision: "drop", pod_port: "40000" }, PLAIN.replace("allow", "from 40000 drop")],
    ["with a decision that nobody knows", { decision: "AUDIT" }, PLAIN.replace("allow", "unjudged")],
    ["with an empty decision", { decision: "" }, PLAIN.replace("allow", "unjudged")],
    ["with no decision", { decision: null }, PLAIN.replace("allow", "unjudged")],
    ["with a decision that is no text", { decision: true }, PLAIN.replace("allow", "unjudged")],
    ["with ports as numbers", { traffic_in_out_port: 8080, pod_port: 0 }, PLAIN],
    ["with the last port", { traffic_in_out_port: "65535" }, PLAIN.replace("8080", "65535")],
    ["with a port too high", { traffic_in_out_port: "65536" }, NO_PORT],
    ["with a negative port", { traffic_in_out_port: "-1" }, NO_PORT],
    ["with a port in words", { traffic_in_out_port: "http" }, NO_PORT],
    ["with a port and a space", { traffic_in_out_port: " 80" }, NO_PORT],
    ["with a port in hexadecimal", { traffic_in_out_port: "0x50" }, NO_PORT],
    ["with a port as 1e3", { traffic_in_out_port: "1e3" }, NO_PORT],
    ["with half a port", { traffic_in_out_port: 80.5 }, NO_PORT],
    ["with a bad port of the other end", { pod_port: "99999" }, NO_PORT],
    ["with a port that is a list", { traffic_in_out_port: [80] }, NO_PORT],
    ["with the dialled port 0", { traffic_in_out_port: "0" }, MISSING_PORT],
    ["with no dialled port", { traffic_in_out_port: null }, MISSING_PORT],
    ["with no port of the initiator", { pod_port: null }, PLAIN],
    ["of ICMP, which has no ports", { ip_protocol: "ICMP", traffic_in_out_port: "0" }, PLAIN.replace("6/8080", "1/0")],
    ["of ICMPv6", { ip_protocol: "icmpv6", traffic_in_out_port: null }, PLAIN.replace("6/8080", "58/0")],
    ["of SCTP", { ip_protocol: "SCTP" }, PLAIN.replace("6/", "132/")],
    ["of a protocol without a name", { ip_protocol: "UNKNOWN(47)", traffic_in_out_port: "0" }, PLAIN.replace("6/8080", "47/0")],
    ["of one in other case", { ip_protocol: "unknown(47)", traffic_in_out_port: "0" }, PLAIN.replace("6/8080", "47/0")],
    ["of a protocol that is TCP after all", { ip_protocol: "UNKNOWN(6)" }, PLAIN],
    ["of a protocol above 255", { ip_protocol: "UNKNOWN(256)" }, NO_PROTOCOL],
    ["of a protocol by number", { ip_protocol: "17" }, PLAIN.replace("6/", "17/")],
    ["of no protocol", { ip_protocol: null }, NO_PROTOCOL],
    ["of a protocol that is none", { ip_protocol: "TCPX" }, NO_PROTOCOL],
    ["of an empty UNKNOWN", { ip_protocol: "UNKNOWN()" }, NO_PROTOCOL],
    ["with no direction", { traffic_type: null }, NO_TYPE],
    ["with another direction", { traffic_type: "FORWARD" }, NO_TYPE],
    ["of IPv6", { pod_ip: "fd00:0:0::1", traffic_in_out_ip: "FD00::2" }, "shop/web-1 fd00::1 -> fd00::2 6/8080 allow"],
    ["of IPv4 in IPv6", { pod_ip: "::ffff:10.0.0.1" }, PLAIN],
    ["with a name for an address", { traffic_in_out_ip: "example.com" }, NO_ADDRESS],
    ["with a zero before an address", { pod_ip: "010.0.0.1" }, NO_ADDRESS],
    ["with a prefix for an address", { pod_ip: "10.0.0.1/24" }, NO_ADDRESS],
    ["with no address", { pod_ip: null }, NO_ADDRESS],
    ["with no peer", { traffic_in_out_ip: null }, NO_ADDRESS],
    ["without a pod", { pod_name: null }, PLAIN.replace("web-1", "-")],
    ["without a namespace", { pod_namespace: null }, PLAIN.replace("shop", "-")],
    ["with empty names", { pod_namespace: "", pod_name: "" }, PLAIN.replace("shop/web-1", "-/-")],
    ["with a bad time", { time_stamp: "yesterday" }, NO_TIME],
    ["with no time", { time_stamp: null }, PLAIN],
    ["of before 1970", { time_stamp: "1969-12-31T23:59:59" }, NO_TIME],
    ["of after 2106", { time_stamp: "2106-02-07T06:28:16" }, NO_TIME],
    ["with more fields", { further: { a: 1 } }, PLAIN],
  ])("%s", (_, fields, wanted) => {
    expect(read(fields)).toBe(wanted);
  });

  test("that is none", () => {
    for (const value of [null, undefined, 1, "x", [], [ROW]]) expect(readTrafficRow(value)).toBe("no JSON object");
  });
});

test.each([
  ["2026-11-20T08:00:00", "2026-11-20T08:00:00.000000000Z"],
  ["2026-11-20T08:00:00.123", "2026-11-20T08:00:00.123000000Z"],
  ["2026-11-20T08:00:00.123456", "2026-11-20T08:00:00.123456000Z"],
  ["2026-11-20T08:00:00.123456789", "2026-11-20T08:00:00.123456789Z"],
  ["2026-11-20T08:00:00Z", "2026-11-20T08:00:00.000000000Z"],
  ["2026-11-20T08:00:00.5z", "2026-11-20T08:00:00.500000000Z"],
  ["2026-11-20T10:00:00+02:00", "2026-11-20T08:00:00.000000000Z"],
  ["2026-11-20 08:00:00", "2026-11-20T08:00:00.000000000Z"],
  ["2026-11-20", undefined],
  ["2026-11-31T08:00:00", undefined],
  ["2026-11-20T25:00:00", undefined],
  ["1763625600", undefined],
  ["", undefined],
])("the time %j is %s, whatever the time zone here", (text, wanted) => {
  const before = process.env.TZ;
  for (const zone of ["America/New_York", "Asia/Kolkata"]) {
    process.env.TZ = zone;
    const time = parseBrokerTime(text);
    expect(time && formatRfc3339(time.seconds, time.nanoseconds)).toBe(wanted);
  }
  if (before === undefined) delete process.env.TZ;
  else process.env.TZ = before;
});

describe("a row of a pod", () => {
  const POD = {
    pod_name: "web-1",
    pod_ip: "10.0.0.1",
    pod_namespace: "shop",
    pod_obj: { metadata: { labels: { app: "web" } }, spec: { hostNetwork: true } },
    time_stamp: "2026-11-20T08:00:00",
    node_name: "n",
    is_dead: true,
  };
  test("is whole, or lacks what it lacks", () => {
    expect(readPodRow(POD)).toMatchObject({ name: "web-1", namespace: "shop", nodeName: "n", isDead: true, hostNetwork: true });
    const bare = { name: "web-1", namespace: undefined, address: undefined, isDead: false, metadata: undefined, hostNetwork: false };
    for (const pod_obj of [null, [], "x", { metadata: [], spec: 3 }, { metadata: null }])
      expect(readPodRow({ pod_name: "web-1", pod_ip: "none", pod_obj, time_stamp: "x", is_dead: "true" })).toMatchObject(bare);
    expect(readPodRow({ ...POD, pod_name: null })).toBe("pod_name is missing");
  });
});

test("a row of a Service needs its names and its object", () => {
  const row = { svc_ip: "10.1.0.1", svc_name: "a", svc_namespace: "b", service_spec: { kind: "Service" }, time_stamp: "" };
  expect(readServiceRow(row)).toMatchObject({ name: "a", namespace: "b", object: { kind: "Service" } });
  for (const field of ["svc_name", "svc_namespace", "service_spec"])
    expect(typeof readServiceRow({ ...row, [field]: null })).toBe("string");
});

test("an audit verdict has its port under either name", () => {
  const verdict = { policy_name: "p", verdict: "WouldDeny", src_pod: "a", src_namespace: "x", dst_ip: "10.0.0.1" };
  for (const port of [{ port: 80 }, { dst_port: "80" }, { port: null, dst_port: 80 }])
    expect(readAuditVerdict({ ...verdict, ...port })).toMatchObject({ port: 80, source: "x/a", destination: "10.0.0.1" });
  expect(readAuditVerdict({ ...verdict, port: 99999 })).toBe("port is none");
  expect(readAuditVerdict({ ...verdict, observed_at: "never" })).toBe("observed_at is no time");
});

test("a row of system calls holds names alone", () => {
  const row = { pod_name: "a", arch: "x86_64", syscalls: "read,write, openat,," };
  expect(readSyscallRow(row)).toMatchObject({ syscalls: ["read", "write", "openat"] });
  expect(readSyscallRow({ ...row, syscalls: "read,rm -rf /" })).toContain("no name of a system call");
  expect(readSyscallRow({ ...row, syscalls: "a,".repeat(2000) })).toContain("more names than there are");
});

test("whatever JSON there is, readers give a row or a reason and never throw", () => {
  const keys = [
    ...Object.keys(ROW),
    "pod_obj",
    "is_dead",
    "svc_name",
    "service_spec",
    "policy_name",
    "verdict",
    "port",
    "arch",
    "syscalls",
  ];
  const odd = fc.oneof(
    fc.jsonValue(),
    fc.constantFrom<unknown>(
      "INGRESS",
      "EGRESS",
      "TCP",
      "UNKNOWN(999)",
      "10.0.0.1",
      "::1",
      "80",
      80,
      -0,
      1e308,
      "2026-11-20T08:00:00.",
      "\ud800",
    ),
  );
  const object = fc.dictionary(fc.oneof(fc.constantFrom(...keys, "__proto__", "constructor"), fc.string()), odd);
  const nearly = fc.record(
    Object.fromEntries(Object.entries(ROW).map(([key, value]) => [key, fc.oneof(fc.constant<unknown>(value), odd)])),
  );
  fc.assert(
    fc.property(fc.oneof(fc.jsonValue(), object, nearly), (value) => {
      for (const reader of [readTrafficRow, readPodRow, readServiceRow, readAuditVerdict, readSyscallRow])
        expect(["string", "object"]).toContain(typeof reader(value));
      const row = readTrafficRow(value);
      if (typeof row === "string") return;
      for (const port of [row.podPort, row.peerPort]) expect(Number.isInteger(port) && port >= 0 && port <= 65535).toBe(true);
      expect(row.protocol >= 0 && row.protocol <= 255).toBe(true);
      if (row.time !== undefined) expect(Number.isInteger(row.time.seconds) && row.time.nanoseconds < 1e9).toBe(true);
    }),
    { numRuns: 3000 },
  );
});
