import { expect, test } from "vitest";
import { describe as lines, readLogs } from "./flowLogs.ts";
import { withFiles } from "./replay.ts";

const record = (more: object) => ({
  start_time: "2026-02-24T10:00:00.000Z",
  duration: 1000,
  method: "GET",
  path: "/a",
  authority: "httpbin:8000",
  response_flags: "-",
  upstream_cluster: "outbound|8000||httpbin.foo.svc.cluster.local",
  upstream_host: "10.0.1.2:80",
  upstream_local_address: "10.0.1.1:40000",
  downstream_local_address: "10.96.0.5:8000",
  downstream_remote_address: "10.0.1.1:50000",
  ...more,
});
const INBOUND = {
  upstream_cluster: "inbound|80||",
  upstream_host: "127.0.0.1:80",
  upstream_local_address: "127.0.0.6:1",
  downstream_local_address: "10.0.1.2:80",
  downstream_remote_address: "10.0.1.1:40000",
};

/** Reads one log a list; all of them together. */
function read(...logs: readonly (readonly object[])[]) {
  const files = logs.map((records) => Buffer.from(records.map((each) => `${JSON.stringify(each)}\n`).join("")));
  return withFiles(files, async (paths) => {
    const read = await readLogs(paths);
    return { lines: lines(read).map((line) => line.replace(/ \?p \?B/, "").replace(/ 2026\S+( \.\. \S+)?/, "")), inputs: read.inputs };
  });
}

const HINT = '{"http":{"method":"GET","path":"/a","host":"httpbin:8000"}}';

test("a client's proxy: from its pod to the backend, by the Service that was dialled", async () => {
  const { lines } = await read([record({})]);
  expect(lines).toEqual([`TCP 10.0.1.1 > (10.96.0.5:8000) > 10.0.1.2:80 x1 established ${HINT}`]);
});

test("both ends' proxies log one connection", async () => {
  const { lines } = await read([record({})], [record(INBOUND)]);
  expect(lines).toEqual([`TCP 10.0.1.1 > (10.96.0.5:8000) > 10.0.1.2:80 x1 established ${HINT} ${HINT}`]);
});

test("requests of one connection are one, those of two are two", async () => {
  const { lines } = await read([
    record({}),
    record({ start_time: "2026-02-24T10:00:02.000Z", path: "/b" }),
    record({ upstream_local_address: "10.0.1.1:40001" }),
  ]);
  expect(lines.map((line) => line.replace(/ \{.*/, ""))).toEqual(["TCP 10.0.1.1 > (10.96.0.5:8000) > 10.0.1.2:80 x2 established"]);
});

test.each([
  ["connection_failure,delayed_connect_error:_111", "refused"],
  ["connection_timeout", "unanswered"],
  ["connection_failure", "unknown"],
])("a connection that failed: %s", async (why, outcome) => {
  const failed = {
    response_flags: "UF,URX",
    response_code_details: `upstream_reset_before_response_started{${why}}`,
    upstream_local_address: null,
  };
  const { lines } = await read([record({ upstream_host: "10.0.1.9:80", upstream_local_address: "10.0.1.1:3" }), record({ ...failed })]);
  expect(lines[0]).toBe(`TCP 10.0.1.1 > (10.96.0.5:8000) > 10.0.1.2:80 x1 ${outcome} ${HINT}`);
  // Nothing says yet that the client is in the proxy's pod.
  const alone = await read([record(failed)]);
  expect(alone.lines).toEqual([]);
  expect(alone.inputs[0].skipped).toEqual({ "failed connections of a proxy whose address is not known yet": 1 });
});

test("a gateway's client connected to it", async () => {
  const { lines } = await read([record({ downstream_remote_address: "203.0.113.9:4000", downstream_local_address: "10.0.1.1:8443" })]);
  expect(lines).toEqual([`TCP 10.0.1.1 > 10.0.1.2:80 x1 established ${HINT}`, `TCP 203.0.113.9 > 10.0.1.1:8443 x1 established ${HINT}`]);
});

test("a pod with addresses of both families is no gateway", async () => {
  const { lines } = await read([record({ upstream_host: "[fd00::2]:80", upstream_local_address: "[fd00::1]:40000" })]);
  expect(lines).toEqual([`TCP fd00::1 > (10.96.0.5:8000) > fd00::2:80 x1 established ${HINT}`]);
});

test("a fault in one connection of two leaves neither", async () => {
  const { lines, inputs } = await read([record({ upstream_cluster: "web", upstream_host: "10.0.1.300:80" })]);
  expect(lines).toEqual([]);
  expect(inputs[0].faults).toBe(1);
});

test.each([
  [{ ...INBOUND, downstream_remote_address: "203.0.113.9:0" }, "the client's address is of a header, not of the connection"],
  [{ ...INBOUND, downstream_remote_address: "127.0.0.1:4000" }, "connections within the pod"],
  [{ ...INBOUND, downstream_remote_address: "/var/run/app.sock" }, "an end that is no IP address (a UNIX socket, an internal listener)"],
  [{ upstream_host: "127.0.0.1:80" }, "connections within the pod"],
  [{ upstream_host: "[::1]:80" }, "connections within the pod"],
  [{ upstream_host: "envoy://connect_originate/10.0.1.2:80" }, "an end that is no IP address (a UNIX socket, an internal listener)"],
  [{ upstream_host: null, upstream_local_address: null, response_flags: "UH" }, "no backend was chosen: no connection was made"],
  [{ upstream_cluster: "-" }, "no cluster: nothing tells whether the proxy serves or asks, and it made no connection"],
  [{ upstream_cluster: "BlackHoleCluster" }, "no cluster: nothing tells whether the proxy serves or asks, and it made no connection"],
])("left out: %j", async (more, reason) => {
  const { lines, inputs } = await read([record(more)]);
  expect(lines).toEqual([]);
  expect(inputs[0].skipped).toEqual({ [reason]: 1 });
  expect(inputs[0].faults).toBe(0);
});

test("TCP by its server name, whatever stands in the HTTP fields", async () => {
  const tcp = { method: null, path: null, authority: null, requested_server_name: "Api.Example" };
  const { lines } = await read([
    record(tcp),
    record({ ...INBOUND, method: "-", path: "-", downstream_remote_address: "[fd00::1]:9", downstream_local_address: "[fd00::2]:443" }),
  ]);
  expect(lines).toEqual([
    'TCP 10.0.1.1 > (10.96.0.5:8000) > 10.0.1.2:80 x1 established {"tls":{"serverName":"api.example"}}',
    "TCP fd00::1 > fd00::2:443 x1 established",
  ]);
});

test.each([
  { start_time: 5 },
  { start_time: "yesterday" },
  { duration: -1 },
  { duration: {} },
  { upstream_host: "10.0.1.2:99999" },
  { downstream_local_address: "1.2.3.999:80", ...{ upstream_cluster: "inbound|80||" } },
])("a fault, and no crash: %j", async (more) => {
  const { lines, inputs } = await read([record(more)]);
  expect(lines).toEqual([]);
  expect(inputs[0].faults).toBe(1);
  expect(inputs[0].warnings[0]).toMatch(/^line 1: /);
});
