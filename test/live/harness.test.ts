import { get, request } from "node:http";
import { connect } from "node:net";
import { setTimeout as pause } from "node:timers/promises";
import { gunzipSync } from "node:zlib";
import { afterEach, describe, expect, test } from "vitest";
import {
  type BrokerOptions,
  bodyOf,
  hasRecordings,
  RECORDED_TOKEN,
  RECORDINGS,
  type RecordedBroker,
  readExchanges,
  startRecordedBroker,
} from "./recordedBroker.ts";
import { CLUSTER, POD_INFO, podRow, SERVICE_INFO, TRAFFIC, type TrafficRow, trafficRow } from "./smallWorld.ts";

/* The broker that other tests ask: if it lies by mistake, they prove nothing. */

const started: RecordedBroker[] = [];
afterEach(async () => {
  for (const broker of started.splice(0)) await broker.stop();
});
async function start(options?: BrokerOptions): Promise<RecordedBroker> {
  const broker = await startRecordedBroker(options);
  started.push(broker);
  return broker;
}

interface Response {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly names: readonly string[];
  readonly body: Buffer;
}

/** Asks without any help of fetch's: headers as they were sent, bodies as they came. */
function ask(url: string, options: { method?: string; headers?: Record<string, string> } = {}): Promise<Response> {
  return new Promise((resolve, reject) => {
    const sent = request(url, { ...options, agent: false }, (response) => {
      const parts: Buffer[] = [];
      response.on("error", reject);
      response.on("data", (part) => parts.push(part));
      response.on("end", () =>
        resolve({
          status: response.statusCode!,
          headers: response.headers as Record<string, string>,
          names: response.rawHeaders.filter((_, i) => i % 2 === 0),
          body: Buffer.concat(parts),
        }),
      );
    });
    sent.on("error", reject);
    sent.end();
  });
}
const rowsOf = async (url: string) => JSON.parse((await ask(url)).body.toString()) as TrafficRow[];

describe.skipIf(!hasRecordings())("what was recorded", () => {
  const exchanges = hasRecordings() ? readExchanges(RECORDINGS).filter(({ method }) => method !== "POST") : [];

  test("has the length that it had on the wire", () => {
    expect(exchanges.length).toBeGreaterThan(250);
    for (const exchange of exchanges) expect(bodyOf(exchange, exchanges).length, exchange.path).toBe(exchange.bytes);
  });

  test.each([
    ["without a token", undefined],
    ["with a token", RECORDED_TOKEN],
  ])("is served byte for byte, %s", async (_, token) => {
    const broker = await start({ recordings: RECORDINGS, ...(token === undefined ? {} : { token }) });
    const known = new Set<string>();
    for (const exchange of exchanges.filter(({ note }) => (note?.startsWith("AUTH ON") ?? false) === (token !== undefined))) {
      const key = JSON.stringify([exchange.method, exchange.path, exchange.requestHeaders]);
      const isRepeated = known.has(key);
      known.add(key);
      const { status, headers, body } = await ask(broker.url + exchange.path, {
        method: exchange.method,
        headers: exchange.requestHeaders,
      });
      expect(status, key).toBe(exchange.status);
      expect(body.equals(bodyOf(exchange, exchanges)), key).toBe(true);
      // Answers with a token are put together from what was recorded without one: the moment, and the order of methods, differ.
      const { date, ...others } = headers;
      const { date: recordedDate, ...recordedOthers } = exchange.headers;
      if (token === undefined || exchange.method !== "OPTIONS") expect(others, key).toEqual(recordedOthers);
      if (token === undefined && !isRepeated) expect(date, key).toBe(recordedDate);
    }
  });

  test("what was not is answered from the lists, however its path is spelt", async () => {
    const broker = await start({ recordings: RECORDINGS });
    const all = await rowsOf(`${broker.url}/pod/traffic?limit=20000`);
    expect(all.length).toBe(4934);
    expect(await rowsOf(`${broker.url}/pod/traffic?limit=4000`)).toEqual(all.slice(0, 4000));
    const pod = exchanges.find(({ path, json }) => path.startsWith("/pod/traffic/") && (json as unknown[])?.length > 5)!;
    const name = pod.path.slice("/pod/traffic/".length);
    expect((await ask(`${broker.url}/pod/traffic/%${name.charCodeAt(0).toString(16)}${name.slice(1)}`)).body).toEqual(bodyOf(pod, []));
    expect((await ask(`${broker.url}/pod/ip/10.255.255.1`)).status).toBe(404);
  });

  test("options take the place of what was recorded", async () => {
    const row = trafficRow();
    const broker = await start({ recordings: RECORDINGS, traffic: [row], version: { broker: "2.0.0" } });
    expect(await rowsOf(`${broker.url}/pod/traffic`)).toEqual([row]);
    expect(await rowsOf(`${broker.url}/pod/traffic?limit=3`)).toEqual([row]);
    expect(JSON.parse((await ask(`${broker.url}/version`)).body.toString())).toMatchObject({ broker: "2.0.0", chart: "unknown" });
    expect((await ask(`${broker.url}/pod/info`)).body.length).toBe(25756);
  });
});

describe("the small world", () => {
  test("answers every path as the real broker does", async () => {
    const broker = await start({ version: { latest: "1.13.0" }, syscalls: [{ pod_name: "web-0", syscalls: "read,write" }] });
    const answers: Record<string, unknown> = {
      "/pod/info": POD_INFO,
      "/svc/info": SERVICE_INFO,
      "/pod/traffic": TRAFFIC.toReversed(),
      "/pod/traffic/db-0": TRAFFIC.filter((row) => row.pod_name === "db-0"),
      "/pod/traffic/nobody": [],
      "/pod/name/web-0": POD_INFO[0],
      "/pod/ip/10.244.1.11": POD_INFO[1],
      "/svc/ip/10.96.0.12": SERVICE_INFO[2],
      "/pod/list/node-a": POD_INFO,
      "/pod/list/node-z": [],
      "/pod/syscalls/web-0": [{ pod_name: "web-0", syscalls: "read,write" }],
      "/audit/verdicts": [],
    };
    for (const [path, value] of Object.entries(answers)) {
      const { status, headers, body } = await ask(broker.url + path);
      expect([path, status, headers["content-type"]]).toEqual([path, 200, "application/json"]);
      expect(JSON.parse(body.toString())).toEqual(value);
    }
    expect(JSON.parse((await ask(`${broker.url}/version`)).body.toString()).latest).toBe("1.13.0");
    expect((await ask(`${broker.url}/health`)).body.toString()).toBe("Healthy!");
    const refusals: [method: string, path: string, status: number, body: string][] = [
      ["GET", "/pod/name/nobody", 404, "No data found"],
      ["GET", "/svc/ip/None", 404, "No data found"],
      ["GET", "/pod/ip/", 404, ""],
      ["GET", "/nope", 404, ""],
      ["GET", "/pod/ip/%zz", 404, ""],
      ["POST", "/pod/info", 404, ""],
      ["HEAD", "/pod/info", 404, ""],
      ["GET", "/pod/traffic?limit=many", 400, "Query deserialize error: invalid digit found in string"],
      ["GET", "/audit/verdicts?verdict=allow", 400, 'invalid verdict="allow"; must be one of ["Allow", "WouldDeny"]'],
    ];
    for (const [method, path, status, body] of refusals) {
      const answer = await ask(broker.url + path, { method });
      expect([method, path, answer.status, answer.body.toString()]).toEqual([method, path, status, body]);
    }
    expect(CLUSTER.items.filter((object) => object.kind === "Pod").length).toBe(POD_INFO.length);
  });

  test("gives rows newest first, and no more than the limit", async () => {
    const at = (time_stamp: string, uuid: string) => trafficRow({ time_stamp, uuid });
    const sorted = [
      at("2026-11-20T08:00:01", "a"),
      at("2026-11-20T08:00:00.500", "b"),
      at("2026-11-20T08:00:00.123456", "c"),
      at("2026-11-20T08:00:00.123", "d"),
      at("2026-11-20T08:00:00", "f"),
      at("2026-11-20T08:00:00.000", "e"),
    ];
    const small = await start({ traffic: sorted.toSorted((a, b) => (a.uuid < b.uuid ? -1 : 1)) });
    expect(await rowsOf(`${small.url}/pod/traffic`)).toEqual(sorted);
    const large = await start({ traffic: Array.from({ length: 20_001 }, () => sorted[0]) });
    for (const [query, count] of [
      ["", 5000],
      ["?limit=7", 7],
      ["?limit=0", 1],
      ["?limit=-4", 1],
      ["?limit=999999", 20_000],
    ] as const)
      expect((await rowsOf(`${large.url}/pod/traffic${query}`)).length, query).toBe(count);
  });

  test("asks for its token", async () => {
    const broker = await start({ token: "secret", podInfo: [podRow(CLUSTER.items.find((object) => object.kind === "Pod")!)] });
    const statusOf = async (path: string, authorization?: string) =>
      (await ask(broker.url + path, authorization === undefined ? {} : { headers: { authorization } })).status;
    expect(await statusOf("/pod/info", "Bearer secret")).toBe(200);
    expect(await statusOf("/pod/info", "Bearer  secret ")).toBe(200);
    for (const wrong of [undefined, "Bearer other", "bearer secret", "Basic secret"]) expect(await statusOf("/pod/info", wrong)).toBe(401);
    expect(await statusOf("/nope")).toBe(401);
    expect(await statusOf("/health")).toBe(200);
    const { body, names } = await ask(`${broker.url}/version`);
    expect(body.toString()).toBe("missing or invalid bearer token");
    expect(names).toEqual(["content-length", "content-type", "date"]);
  });

  test("logs what it was asked", async () => {
    const broker = await start();
    await ask(`${broker.url}/pod/info?x=1`, { headers: { accept: "application/json" } });
    expect(broker.requests).toMatchObject([{ method: "GET", path: "/pod/info?x=1", headers: { accept: "application/json" } }]);
    expect(broker.requests[0].sent).toBe(Buffer.byteLength(JSON.stringify(POD_INFO)));
  });
});

describe("what goes wrong", () => {
  const whole = JSON.stringify(TRAFFIC.toReversed());
  const path = "/pod/traffic";

  /** Gives all that comes over a connection, as text, once it has ended or after a while. */
  async function wire(broker: RecordedBroker, forMs = 5000): Promise<{ text: string; ended: "end" | "reset" | "open" }> {
    const socket = connect(broker.port, "127.0.0.1");
    let text = "";
    socket.setEncoding("latin1").on("data", (part) => (text += part));
    socket.write(`GET ${path} HTTP/1.1\r\nhost: x\r\n\r\n`);
    const ended = await Promise.race([
      new Promise<"end">((resolve) => socket.once("end", () => resolve("end"))),
      new Promise<"reset">((resolve) => socket.once("error", () => resolve("reset"))),
      pause(forMs, "open" as const),
    ]);
    socket.destroy();
    return { text, ended };
  }
  const bodyIn = (text: string) => text.slice(text.indexOf("\r\n\r\n") + 4);

  test("the connection is reset before an answer, or ends within it", async () => {
    expect(await wire(await start({ faults: [{ path, kind: "reset" }] }))).toEqual({ text: "", ended: "reset" });
    const { text, ended } = await wire(await start({ faults: [{ path, kind: "reset", afterBytes: 100 }] }));
    expect([bodyIn(text), ended]).toEqual([whole.slice(0, 100), "end"]);
    expect(text).toContain(`content-length: ${whole.length}`);
  });

  test("nothing comes any more", async () => {
    const mute = await start({ faults: [{ path, kind: "hang" }] });
    expect(await wire(mute, 200)).toEqual({ text: "", ended: "open" });
    expect(mute.requests.length).toBe(1);
    const { text, ended } = await wire(await start({ faults: [{ path, kind: "hang", afterBytes: 10 }] }), 200);
    expect([bodyIn(text), ended]).toEqual([whole.slice(0, 10), "open"]);
  });

  test("the content-length lies", async () => {
    const closing = await wire(await start({ faults: [{ path, kind: "contentLength", by: 5 }] }));
    expect([bodyIn(closing.text), closing.ended]).toEqual([whole, "end"]);
    expect(closing.text).toContain(`content-length: ${whole.length + 5}`);
    const waiting = await wire(await start({ faults: [{ path, kind: "contentLength", by: 5, after: "wait" }] }), 200);
    expect([bodyIn(waiting.text), waiting.ended]).toEqual([whole, "open"]);
    const short = await wire(await start({ faults: [{ path, kind: "contentLength", by: -5 }] }), 200);
    expect(short.text).toContain(`content-length: ${whole.length - 5}`);
    expect(bodyIn(short.text)).toBe(whole);
  });

  test("bytes come slowly", async () => {
    const broker = await start({ faults: [{ path, kind: "slow", bytes: 500, everyMs: 20 }] });
    const begun = performance.now();
    expect((await ask(broker.url + path)).body.toString()).toBe(whole);
    expect(performance.now() - begun).toBeGreaterThan(15 * Math.floor(whole.length / 500));
  });

  test("rows come for ever, until the client has enough", async () => {
    const broker = await start({ faults: [{ path, kind: "endless" }] });
    const read = await new Promise<number>((resolve) => {
      get(broker.url + path, { agent: false }, (response) => {
        let bytes = 0;
        response.on("data", (part: Buffer) => {
          bytes += part.length;
          if (bytes < 20e6) return;
          response.destroy();
          resolve(bytes);
        });
      });
    });
    expect(broker.requests[0].sent).toBeGreaterThan(read - 1e6);
    while (!broker.requests[0].over) await pause(5);
    expect(broker.requests[0].sent).toBeLessThan(100e6);
  });

  test("many rows come whole", async () => {
    const { body, headers } = await ask((await start({ faults: [{ path, kind: "rows", bytes: 5e6 }] })).url + path);
    expect(Math.abs(body.length - 5e6)).toBeLessThan(400);
    expect(headers["content-length"]).toBe(String(body.length));
    const rows: TrafficRow[] = JSON.parse(body.toString());
    expect(new Set(rows.map((row) => row.traffic_in_out_ip)).size).toBe(1000);
  });

  test("somebody else answers", async () => {
    const page = "<!doctype html><title>Sign in</title>";
    const broker = await start({
      faults: [
        { path, kind: "answer", status: 500, body: "FATAL: sorry, too many clients already", times: 1 },
        { path, kind: "answer", status: 200, type: "text/html", body: page, times: 1 },
        { path, kind: "redirect", to: "http://127.0.0.1:1/", times: 1 },
        { path, kind: "gzip", times: 1 },
      ],
    });
    expect(await ask(broker.url + path)).toMatchObject({ status: 500, body: Buffer.from("FATAL: sorry, too many clients already") });
    expect(await ask(broker.url + path)).toMatchObject({ status: 200, headers: { "content-type": "text/html" }, body: Buffer.from(page) });
    expect(await ask(broker.url + path)).toMatchObject({ status: 302, headers: { location: "http://127.0.0.1:1/" } });
    const { headers, body } = await ask(broker.url + path);
    expect([headers["content-encoding"], gunzipSync(body).toString()]).toEqual(["gzip", whole]);
    expect((await ask(broker.url + path)).body.toString()).toBe(whole);
  });

  test("only to the requests that are meant", async () => {
    const broker = await start({ faults: [{ path: /^\/pod\/(name|ip)\//, kind: "answer", status: 503, skip: 1, times: 2 }] });
    const statuses: number[] = [];
    for (const name of ["name/web-0", "list/node-a", "ip/10.244.1.11", "name/web-0", "name/web-0"])
      statuses.push((await ask(`${broker.url}/pod/${name}`)).status);
    expect(statuses).toEqual([200, 200, 503, 503, 200]);
    broker.setFaults([{ path: "/version", kind: "answer", status: 502 }]);
    expect((await ask(`${broker.url}/version`)).status).toBe(502);
  });
});
