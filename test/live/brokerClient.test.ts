import { Agent, createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { type AddressInfo, createServer as createSocketServer } from "node:net";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { askBroker } from "../../src/cli/broker.ts";
import { BrokerClient, parseBrokerUrl, TRAFFIC_LIMIT } from "../../src/live/brokerClient.ts";
import { nameOf } from "../../src/live/http.ts";
import { LiveError, type LiveFailure } from "../../src/live/liveError.ts";
import { failureOf as anyFailureOf } from "./failure.ts";
import { type BrokerOptions, type RecordedBroker, startRecordedBroker } from "./recordedBroker.ts";
import { POD_INFO, SERVICE_INFO, TRAFFIC, trafficRow } from "./smallWorld.ts";

const TOKEN = "t0ken-that-nobody-may-see";
const stops: (() => unknown)[] = [];
afterEach(async () => {
  for (const stop of stops.splice(0)) await stop();
  vi.restoreAllMocks();
});
/** Pauses between tries are short here. */
beforeEach(() => {
  vi.spyOn(Math, "random").mockReturnValue(-1.46);
});

async function start(options: BrokerOptions = {}): Promise<RecordedBroker> {
  const broker = await startRecordedBroker(options);
  stops.push(() => broker.stop());
  return broker;
}

interface Client {
  readonly client: BrokerClient;
  readonly retries: string[];
}
/** `idleMs`: how long silence is borne; short, since many tests wait for it. */
function clientOf(url: string, token?: string, name = "there", idleMs = 300): Client {
  const retries: string[] = [];
  const agent = new Agent({ keepAlive: true });
  stops.push(() => agent.destroy());
  const parsed = parseBrokerUrl(url);
  const server = { name: `the broker ${nameOf(parsed)}`, url: parsed, timeouts: { idleMs, totalMs: Math.max(1000, idleMs) }, agent };
  return { client: new BrokerClient(server, name, token, { retry: (message) => retries.push(message) }), retries };
}

async function failureOf(promise: Promise<unknown>): Promise<LiveError> {
  const error = await anyFailureOf(promise);
  expect(error.message).not.toContain(TOKEN);
  return error;
}

/** A server of another kind. */
async function serve(answer: (request: IncomingMessage, response: ServerResponse) => void, host = "127.0.0.1"): Promise<string> {
  const server = createServer(answer);
  await new Promise<void>((resolve, reject) => server.once("error", reject).listen(0, host, resolve));
  stops.push(() => {
    server.closeAllConnections();
    server.close();
  });
  return `http://${host.includes(":") ? `[${host}]` : host}:${(server.address() as AddressInfo).port}`;
}

describe("what a broker answers", () => {
  test("is read whole", async () => {
    const { client, retries } = clientOf((await start()).url);
    expect(await client.version()).toEqual({ broker: "1.12.4", mismatch: undefined });
    expect((await client.pods()).rows).toHaveLength(POD_INFO.length);
    expect((await client.services()).rows).toHaveLength(SERVICE_INFO.length);
    const traffic = await client.traffic();
    expect([traffic.rows.length, traffic.rejected, traffic.isCut]).toEqual([TRAFFIC.length, {}, false]);
    expect(new Set((await client.trafficOfPods(["web-0", "db-0", "nobody"])).rows.map(({ podName }) => podName))).toEqual(
      new Set(["web-0", "db-0"]),
    );
    expect(retries).toEqual([]);
  });

  test("with rows that cannot be used is the rest, and counts", async () => {
    const odd = [trafficRow({ traffic_in_out_port: "http" }), trafficRow({ pod_ip: null }), trafficRow({ pod_ip: "x" }), trafficRow()];
    const { client } = clientOf((await start({ traffic: odd })).url);
    expect(await client.traffic()).toMatchObject({
      rows: [{ podName: "orders-0" }],
      rejected: { "a port is none": 1, "pod_ip or traffic_in_out_ip is no address": 2 },
    });
  });

  test("with rows of which none can be used is an error: it would look as if nothing had happened", async () => {
    const broker = await start({ traffic: [trafficRow({ pod_ip: "x" }), trafficRow({ pod_ip: null })] });
    await expect(askBroker(clientOf(broker.url).client, async () => [])).rejects.toThrow(
      "none of its rows of traffic can be used: pod_ip or traffic_in_out_ip is no address",
    );
    const empty = await askBroker(clientOf((await start({ traffic: [] })).url).client, async () => []);
    expect(empty).toMatchObject({ traffic: [], rejected: {} });
  });

  test.each([
    ["1.12.0", undefined],
    ["v1.12.9", undefined],
    ["1.13.0-rc.1", undefined],
    ["1.99", undefined],
    ["1.11.7", "older than the 1.12"],
    ["2.0.0", "may mean something else"],
    ["0.9.1", "may mean something else"],
    ["main", "none that this program knows"],
    ["", "none that this program knows"],
    [`1.${"2".repeat(300)}`, "none that this program knows"],
  ])("of version %s", async (broker, mismatch) => {
    const told = await clientOf((await start({ version: { broker } })).url).client.version();
    if (mismatch === undefined) expect(told.mismatch).toBeUndefined();
    else expect(told.mismatch).toContain(mismatch);
    expect(told.mismatch?.length ?? 0).toBeLessThan(250);
  });

  test("below a path, and on IPv6", async () => {
    const seen: string[] = [];
    const version = (request: IncomingMessage, response: ServerResponse) => {
      seen.push(`${request.headers.host} ${request.url}`);
      response.end('{"broker":"1.12.4"}');
    };
    const plain = await serve(version);
    for (const suffix of ["/kguardian", "/kguardian/", "/a%20b"]) await clientOf(plain + suffix).client.version();
    expect(seen.map((line) => line.split(" ")[1])).toEqual(["/kguardian/version", "/kguardian/version", "/a%20b/version"]);
    const six = await serve(version, "::1").catch(() => undefined);
    if (six === undefined) return;
    await clientOf(six).client.version();
    expect(seen.at(-1)).toBe(`${new URL(six).host} /version`);
  });
});

describe("a token", () => {
  test.each<[string, string | undefined, string | undefined, string]>([
    ["is wanted and missing", TOKEN, undefined, "wants a token, and none was given: set KGUARDIAN_BROKER_TOKEN"],
    ["is another", TOKEN, "wr0ng-token", "refuses the token of KGUARDIAN_BROKER_TOKEN"],
  ])("%s", async (_, wanted, given, message) => {
    const broker = await start(wanted === undefined ? {} : { token: wanted });
    const { client, retries } = clientOf(broker.url, given);
    for (const asked of [client.version(), client.traffic(), client.trafficOfPods(["a"])]) {
      const error = await failureOf(asked);
      expect(error).toMatchObject({ code: "unauthorized", status: 401 });
      expect(error.message).toContain(message);
      expect(error.message).not.toContain("wr0ng");
    }
    expect(retries).toEqual([]);
    expect(broker.requests).toHaveLength(3);
  });

  test("that is right opens, and is sent where nobody wants it", async () => {
    expect((await clientOf((await start({ token: TOKEN })).url, TOKEN).client.traffic()).rows).toHaveLength(TRAFFIC.length);
    const open = await start();
    await clientOf(open.url, TOKEN).client.traffic();
    expect(open.requests[0].headers.authorization).toBe(`Bearer ${TOKEN}`);
  });

  test.each<[string, (response: ServerResponse, token: string) => void, LiveFailure]>([
    ["in a page", (response, token) => response.end(`<html>${token}`), "wrong-service"],
    ["in text", (response, token) => response.end(token), "wrong-service"],
    ["in JSON", (response, token) => response.end(`{"${token}":"${token}"}`), "wrong-service"],
    ["in broken rows", (response, token) => response.end(`[{"a":1},${token}]`), "wrong-service"],
    ["after the rows", (response, token) => response.end(`[]${token}`), "wrong-service"],
    ["in a failure's text", (response, token) => response.writeHead(500, token).end(`${token} of PostgreSQL`), "status"],
    ["in a refusal", (response, token) => response.writeHead(400, { "x-token": token }).end(token), "status"],
    ["in a 401", (response, token) => response.writeHead(401, { "www-authenticate": token }).end(token), "unauthorized"],
    ["in a 403", (response, token) => response.writeHead(403).end(token), "unauthorized"],
    [
      "in a redirect",
      (response, token) => response.writeHead(302, { location: `http://${token}.example/${token}` }).end(),
      "wrong-service",
    ],
    ["in an encoding", (response, token) => response.writeHead(200, { "content-encoding": token }).end("[]"), "wrong-service"],
    ["in what is no HTTP", (response, token) => response.socket?.end(`${token}\r\n\r\n`), "wrong-service"],
  ])("that the server sends back %s is shown in no message", async (_, answer, code) => {
    const url = await serve((request, response) => answer(response, String(request.headers.authorization).slice("Bearer ".length)));
    for (const ask of [(client: BrokerClient) => client.traffic(), (client: BrokerClient) => client.version()]) {
      const { client, retries } = clientOf(url, TOKEN);
      const error = await failureOf(ask(client));
      expect(error.code).toBe(code);
      expect(retries.join()).not.toContain(TOKEN);
    }
  });
});

describe("what passes is tried again", () => {
  const traffic = "/pod/traffic";
  test.each<[string, NonNullable<BrokerOptions["faults"]>, number]>([
    ["a 500", [{ kind: "answer", status: 500, path: traffic, times: 1 }], 1],
    ["a 503, three times", [{ kind: "answer", status: 503, path: traffic, times: 3 }], 3],
    ["a 502 page of a proxy", [{ kind: "answer", status: 502, type: "text/html", body: "<html>", path: traffic, times: 2 }], 2],
    ["a reset before the answer", [{ kind: "reset", path: traffic, times: 2 }], 2],
    ["a reset within the rows", [{ kind: "reset", afterBytes: 700, path: traffic, times: 2 }], 2],
    ["a reset before the last byte", [{ kind: "reset", afterBytes: 1400, path: traffic, times: 1 }], 1],
    ["a length that is too long", [{ kind: "contentLength", by: 7, path: traffic, times: 1 }], 1],
    ["a length that is too short", [{ kind: "contentLength", by: -7, path: traffic, times: 1 }], 1],
    [
      "one after the other",
      [
        { kind: "reset", afterBytes: 900, path: traffic, times: 1 },
        { kind: "answer", status: 500, path: traffic, times: 1 },
        { kind: "reset", path: traffic, times: 1 },
      ],
      3,
    ],
  ])("%s, and no row counts twice", async (_, faults, times) => {
    const broker = await start({ faults });
    const { client, retries } = clientOf(broker.url);
    const { rows, rejected } = await client.traffic();
    expect(rows.map(({ uuid }) => uuid).sort()).toEqual(TRAFFIC.map(({ uuid }) => uuid).sort());
    expect(rejected).toEqual({});
    expect(retries).toHaveLength(times);
    expect(retries[0]).toContain(`trying again (1 of 3)`);
  });

  test.each<[string, NonNullable<BrokerOptions["faults"]>, LiveFailure, string]>([
    ["500", [{ kind: "answer", status: 500, path: traffic }], "status", "answers /pod/traffic with status 500"],
    ["resets", [{ kind: "reset", path: traffic }], "reset", "reset"],
    ["resets within rows", [{ kind: "reset", afterBytes: 700, path: traffic }], "reset", "broke off|reset"],
    ["a length that is too long", [{ kind: "contentLength", by: 1, path: traffic }], "reset", "broke off|reset"],
    ["a length that is too short", [{ kind: "contentLength", by: -1, path: traffic }], "reset", "ends within item"],
    ["nothing at all", [{ kind: "answer", status: 200, path: traffic }], "reset", "ends before it begins"],
  ])("thrice and no more: %s", async (_, faults, code, message) => {
    const broker = await start({ faults });
    const { client, retries } = clientOf(broker.url);
    const error = await failureOf(client.traffic());
    expect(error.code).toBe(code);
    expect(error.message).toMatch(new RegExp(message));
    expect(retries).toHaveLength(3);
    expect(broker.requests).toHaveLength(4);
  });
});

describe("what would go wrong again is not tried again", () => {
  const path = /^\/(pod\/traffic|version)/;
  test.each<[string, NonNullable<BrokerOptions["faults"]>[number], LiveFailure, string]>([
    ["400", { kind: "answer", status: 400, path }, "status", "does not take what it is asked"],
    ["404", { kind: "answer", status: 404, path }, "wrong-service", "it has no /"],
    ["405", { kind: "answer", status: 405, path }, "status", "405"],
    ["204", { kind: "answer", status: 204, path }, "status", "204"],
    ["gzip though nobody asked", { kind: "gzip", path }, "wrong-service", "compresses"],
    [
      "a page",
      { kind: "answer", status: 200, type: "text/html", body: "<!doctype html><title>Grafana", path },
      "wrong-service",
      "a web page",
    ],
    ["text", { kind: "answer", status: 200, body: "Healthy!", path }, "wrong-service", "other text"],
    ["a redirect", { kind: "redirect", to: "/login", path }, "wrong-service", "redirects are not followed"],
    [
      "a redirect for good",
      { kind: "redirect", to: "http://127.0.0.1:1/", status: 308, path },
      "wrong-service",
      "redirects are not followed",
    ],
    ["silence", { kind: "hang", path }, "timeout", "no answer within 0.3 s"],
    ["silence within the answer", { kind: "hang", afterBytes: 10, path }, "timeout", "no answer within 0.3 s"],
    ["silence after headers", { kind: "hang", afterBytes: 0, path }, "timeout", "no answer within 0.3 s"],
    ["a length that is too long, and waiting", { kind: "contentLength", by: 9, after: "wait", path }, "timeout", "no answer within 0.3 s"],
    ["bytes that come one by one", { kind: "slow", bytes: 1, everyMs: 40, path }, "timeout", "no answer within 1 s"],
  ])("%s", async (_, fault, code, message) => {
    const broker = await start({ faults: [fault] });
    const { client, retries } = clientOf(broker.url, TOKEN);
    for (const error of await Promise.all([failureOf(client.traffic()), failureOf(client.version())])) {
      expect(error.code).toBe(code);
      expect(error.message).toContain(message);
    }
    expect(retries).toEqual([]);
    expect(broker.requests).toHaveLength(2);
  });

  test("nobody there, and no such name", async () => {
    const url = await serve(() => {});
    await (stops.pop() as () => unknown)();
    const { client, retries } = clientOf(url);
    expect(await failureOf(client.version())).toMatchObject({ code: "unreachable", message: `the broker ${url}: nobody listens there` });
    // How soon a resolver says so is its own affair.
    expect(["unreachable", "timeout"]).toContain((await failureOf(clientOf("http://no-such-host.invalid").client.version())).code);
    expect(retries).toEqual([]);
  });

  test("a server that speaks no HTTP", async () => {
    const server = createSocketServer((socket) => socket.on("error", () => {}).end("SSH-2.0-OpenSSH_9.6\r\n"));
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    stops.push(() => server.close());
    const error = await failureOf(clientOf(`http://127.0.0.1:${(server.address() as AddressInfo).port}`).client.version());
    expect(error).toMatchObject({ code: "wrong-service" });
    expect(error.message).toContain("does not answer in HTTP");
  });

  test.each([
    ["that lacks the broker's name", '{"version":"1.12"}', "names no broker"],
    ["that is a list", "[]", "names no broker"],
    ["that is null", "null", "names no broker"],
    ["with a name that is none", '{"broker":112}', "names no broker"],
    ["that is cut", '{"broker":"1.1', "/version gives a JSON object"],
    ["that is too long", `{"broker":"${"1".repeat(200_000)}"}`, "too much to be right"],
  ])("a version %s", async (_, body, message) => {
    const broker = await start({ faults: [{ kind: "answer", status: 200, type: "application/json", body, path: "/version" }] });
    const error = await failureOf(clientOf(broker.url).client.version());
    expect(error.code).toBe("wrong-service");
    expect(error.message).toContain(message);
  });
});

describe("more than anybody asked for", () => {
  test.each<[string, NonNullable<BrokerOptions["faults"]>[number]]>([
    ["rows without end", { kind: "endless", path: "/pod/traffic" }],
    ["a gigabyte of rows", { kind: "rows", bytes: 1e9, path: "/pod/traffic" }],
  ])("%s: refused early, in little memory", async (_, fault) => {
    const broker = await start({ faults: [fault] });
    const { client } = clientOf(broker.url);
    const before = process.memoryUsage().rss;
    const error = await failureOf(client.traffic());
    expect(error.code).toBe("wrong-service");
    expect(error.message).toContain("more rows than the 20000 that were asked for");
    expect(process.memoryUsage().rss - before).toBeLessThan(300e6);
    await vi.waitFor(() => expect(broker.requests[0].over).toBe(true));
    expect(broker.requests[0].sent).toBeLessThan(50e6);
  });

  test("one item without end", async () => {
    const url = await serve((_, response) => {
      response.write('[{"pod_name":"');
      const more = () => {
        while (!response.destroyed && response.write("x".repeat(65536)));
      };
      response.on("drain", more).on("error", () => {});
      more();
    });
    const error = await failureOf(clientOf(url).client.pods());
    expect(error.code).toBe("wrong-service");
    expect(error.message).toContain("item 1 of its answer is longer than 4 MB");
  });

  test("headers without end", async () => {
    const url = await serve((_, response) => response.writeHead(200, { "x-much": "x".repeat(100_000) }).end("[]"));
    expect((await failureOf(clientOf(url).client.pods())).code).toBe("wrong-service");
  });
});

describe("the cap of 20,000 rows", () => {
  /** Rows of forty pods; `first` is the newest, and those of the last pods lie beyond the cap. */
  const many = (count: number) =>
    Array.from({ length: count }, (_, i) =>
      trafficRow({
        uuid: `00000000-0000-4000-a000-${String(i).padStart(12, "0")}`,
        pod_name: `pod-${Math.floor((i * 40) / count)}`,
        traffic_in_out_port: String(1 + (i % 30_000)),
        time_stamp: new Date(Date.UTC(2026, 10, 20) - i * 1000).toISOString().slice(0, 19),
      }),
    );

  test.each([
    [TRAFFIC_LIMIT - 1, false],
    [TRAFFIC_LIMIT, true],
    [TRAFFIC_LIMIT + 5, true],
  ])("%i rows: may be cut: %s", async (count, isCut) => {
    const traffic = await clientOf((await start({ traffic: many(count) })).url).client.traffic();
    expect(traffic).toMatchObject({ isCut });
    expect(traffic.rows).toHaveLength(Math.min(count, TRAFFIC_LIMIT));
  });

  test("counts rows that cannot be used too", async () => {
    const rows = many(TRAFFIC_LIMIT).map((row, i) => (i % 2 === 0 ? row : { ...row, pod_ip: null }));
    expect(await clientOf((await start({ traffic: rows })).url).client.traffic()).toMatchObject({ isCut: true });
  });

  test("is got round pod by pod, with the names of the cluster, the broker and the rows", async () => {
    const rows = many(TRAFFIC_LIMIT + 6000);
    // pod-39 has no row among the newest: the broker lists it; of pod-38 only the cluster knows.
    const podInfo = [...POD_INFO, { ...POD_INFO[0], pod_name: "pod-39" }];
    const names = Array.from({ length: 10 }, (_, i) => `pod-${29 + i}`);
    const broker = await start({ traffic: rows, podInfo });
    const answers = await askBroker(clientOf(broker.url, undefined, "there", 20_000).client, async () => names);
    expect(new Set(answers.traffic.map(({ uuid }) => uuid)).size).toBe(rows.length);
    expect(answers.rejected).toEqual({});
    expect(answers.notes).toEqual([expect.stringContaining("ends at 20,000 rows, so each of 45 pods was asked for by itself")]);
    const asked = broker.requests.filter(({ path }) => path.startsWith("/pod/traffic/")).map(({ path }) => path);
    expect(new Set(asked).size).toBe(asked.length);
    expect(asked).toHaveLength(45);
  });

  test("without it no pod is asked for", async () => {
    const broker = await start();
    const answers = await askBroker(clientOf(broker.url).client, () => Promise.reject(new Error("not to be asked")));
    expect(answers.traffic).toHaveLength(TRAFFIC.length);
    expect(broker.requests.map(({ path }) => path).sort()).toEqual(["/pod/info", "/pod/traffic?limit=20000", "/svc/info", "/version"]);
  });

  test("counts what cannot be used once", async () => {
    const rows = many(TRAFFIC_LIMIT + 10).map((row, i) => (i % 1000 === 7 ? { ...row, traffic_in_out_port: "http" } : row));
    const answers = await askBroker(clientOf((await start({ traffic: rows })).url).client, async () => []);
    expect(answers.rejected).toEqual({ "a port is none": 21 });
  });
});

describe("pods that are asked for one by one", () => {
  test("are named by the broker: what can be no pod's name is not asked for", async () => {
    const broker = await start();
    const names = [
      "a/../../version",
      "..",
      "x?limit=1",
      "#",
      "é 😀",
      "\ud800",
      "%2e",
      "a\r\nhost: b",
      "",
      "-a",
      "a.",
      "web-0",
      "a.b-c.0",
      "Web",
    ];
    expect((await clientOf(broker.url).client.trafficOfPods(names)).rows.map(({ podName }) => podName)).toEqual([
      "web-0",
      "web-0",
      "web-0",
    ]);
    expect(broker.requests.map(({ path }) => path).sort()).toEqual(["/pod/traffic/Web", "/pod/traffic/a.b-c.0", "/pod/traffic/web-0"]);
  });

  test("after a failure no further ones are", async () => {
    const broker = await start({ faults: [{ kind: "answer", status: 400, path: /pod-0$/ }] });
    const names = Array.from({ length: 200 }, (_, i) => `pod-${i}`);
    expect((await failureOf(clientOf(broker.url).client.trafficOfPods(names))).status).toBe(400);
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect(broker.requests.length).toBeLessThan(20);
  });

  test("one that fails for a while is tried again by itself", async () => {
    const broker = await start({ faults: [{ kind: "reset", afterBytes: 300, path: "/pod/traffic/web-0", times: 1 }] });
    const { client, retries } = clientOf(broker.url);
    const { rows } = await client.trafficOfPods(["web-0", "orders-0", "db-0"]);
    expect(rows.map(({ uuid }) => uuid).sort()).toEqual(TRAFFIC.map(({ uuid }) => uuid).sort());
    expect(retries).toHaveLength(1);
  });
});

describe("--broker-url", () => {
  test.each([
    ["http://127.0.0.1:9090", "http://127.0.0.1:9090/"],
    ["https://broker.example/kguardian/", "https://broker.example/kguardian/"],
    ["http://[::1]:9090", "http://[::1]:9090/"],
  ])("%s", (text, wanted) => {
    expect(parseBrokerUrl(text).href).toBe(wanted);
  });

  test.each([
    ["", "not a URL"],
    ["127.0.0.1:9090", "not a URL"],
    ["broker", "not a URL"],
    ["localhost:9090", "localhost: is not spoken, http: and https: are: it begins with either"],
    ["ftp://broker", "ftp: is not spoken"],
    ["file:///etc/passwd", "file: is not spoken"],
    ["http://s3cret@broker", "no user and password in it"],
    ["http://user:s3cret@broker", "no user and password in it"],
    ["http://:s3cret@broker", "no user and password in it"],
    ["http://broker?token=s3cret", "with a query or fragment"],
    ["http://broker#s3cret", "with a query or fragment"],
    ["ht tp://s3cret@x", "not a URL"],
    ["user:s3cret@broker:9090", "is not spoken"],
  ])("%j is refused, and no secret shown", (text, message) => {
    let thrown: unknown;
    try {
      parseBrokerUrl(text);
    } catch (error) {
      thrown = error;
    }
    expect(thrown).toBeInstanceOf(LiveError);
    expect((thrown as LiveError).code).toBe("configuration");
    expect((thrown as LiveError).message).toContain(message);
    expect((thrown as LiveError).message).not.toContain("s3cret");
  });
});
