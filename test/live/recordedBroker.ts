import { existsSync, readFileSync } from "node:fs";
import { createServer, type IncomingHttpHeaders, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import {
  POD_INFO,
  type PodRow,
  SERVICE_INFO,
  type ServiceRow,
  TRAFFIC,
  type TrafficRow,
  trafficRow,
  VERSION,
  type VersionBody,
} from "./smallWorld.ts";

/*
 * A kguardian broker on loopback: what was recorded from a real one (shared/broker) byte for byte, the rest as the real one answers;
 * and whatever can go wrong on the way. Reads only: the POST endpoints of the real one are not there.
 */

/** Where the recordings lie beside a checkout of the project. */
export const RECORDINGS = fileURLToPath(new URL("../../../shared/broker/", import.meta.url));
export const hasRecordings = (): boolean => existsSync(join(RECORDINGS, "responses.jsonl"));
/** The token that the recordings with authentication were made with. */
export const RECORDED_TOKEN = "t0ken-for-tests";

export interface BrokerOptions {
  /** The folder with the recordings, `RECORDINGS` as a rule. Without: the small world. */
  readonly recordings?: string;
  readonly port?: number;
  /** Asked for as a bearer token on all paths but `/health` and `/metrics`. */
  readonly token?: string;
  /** In place of the rows there are; the order does not matter. */
  readonly traffic?: readonly TrafficRow[];
  readonly podInfo?: readonly PodRow[];
  readonly serviceInfo?: readonly ServiceRow[];
  readonly version?: Partial<VersionBody>;
  /** Rows of `/audit/verdicts`, newest first. */
  readonly verdicts?: readonly Readonly<Record<string, unknown>>[];
  /** Rows of `/pod/syscalls/NAME`. */
  readonly syscalls?: readonly ({ readonly pod_name: string } & Readonly<Record<string, unknown>>)[];
  /** The first that matches a request and is not used up is what happens to it. */
  readonly faults?: readonly Fault[];
}

export type Trouble =
  /** The true answer in pieces. */
  | { readonly kind: "slow"; readonly bytes: number; readonly everyMs: number }
  /** The true answer cut off after some bytes of its body; without `afterBytes` nothing at all: the connection is reset. */
  | { readonly kind: "reset"; readonly afterBytes?: number }
  /** Silence from then on; without `afterBytes` not even a status line. */
  | { readonly kind: "hang"; readonly afterBytes?: number }
  /** The true body under a content-length that differs from its own; where it says more, the connection closes after the body, or waits. */
  | { readonly kind: "contentLength"; readonly by: number; readonly after?: "close" | "wait" }
  /** Traffic rows for ever. */
  | { readonly kind: "endless" }
  /** Traffic rows of about that many bytes, whole. */
  | { readonly kind: "rows"; readonly bytes: number }
  /** Another answer: an error of a proxy, its HTML, broken JSON. */
  | { readonly kind: "answer"; readonly status: number; readonly type?: string; readonly body?: string | Buffer }
  | { readonly kind: "redirect"; readonly to: string; readonly status?: number }
  /** The true answer compressed, asked for or not. */
  | { readonly kind: "gzip" };

export type Fault = Trouble & {
  /** Tells the requests by their path with the query; a text by their path alone. */
  readonly path: RegExp | string;
  /** Matching requests that go well before. */
  readonly skip?: number;
  /** Matching requests that it happens to; without: all. */
  readonly times?: number;
};

export interface LoggedRequest {
  readonly method: string;
  /** With the query, as it was sent. */
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
  /** Bytes of the body handed to the network so far. */
  sent: number;
  /** Whether the exchange is over, be it that the client hung up. */
  over: boolean;
}

export interface RecordedBroker {
  readonly url: string;
  readonly port: number;
  readonly requests: readonly LoggedRequest[];
  /** Replaces the faults of the start; none: all is well from here on. */
  setFaults(faults: readonly Fault[]): void;
  stop(): Promise<void>;
}

/** A line of responses.jsonl. */
export interface Exchange {
  readonly method: string;
  readonly path: string;
  readonly requestHeaders: Readonly<Record<string, string>>;
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly bytes: number;
  readonly json?: unknown;
  readonly text?: string;
  readonly note?: string;
  readonly sameAs?: string;
}

interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Buffer;
}

/** The lines of a folder's responses.jsonl. */
export function readExchanges(folder: string): Exchange[] {
  return readFileSync(join(folder, "responses.jsonl"), "utf8")
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line));
}

/** Returns a body as it was on the wire: the broker writes JSON without spaces, its fields in the order in which they are recorded. */
export function bodyOf(exchange: Exchange, all: readonly Exchange[]): Buffer {
  const { sameAs, json, text = "" } = exchange;
  if (sameAs !== undefined) return bodyOf(all.find((other) => other.path === sameAs && other.sameAs === undefined)!, all);
  return Buffer.from(json === undefined ? text : JSON.stringify(json));
}

const wasWithToken = (exchange: Exchange) => exchange.note?.startsWith("AUTH ON") ?? false;

/** Gives paths that the broker takes for the same one spelling: parts are percent-decoded. Undefined where they cannot be. */
function spelling(path: string): string | undefined {
  const [, name, query = ""] = /^([^?]*)(\?.*)?$/s.exec(path)!;
  try {
    return name.split("/").map(decodeURIComponent).map(encodeURIComponent).join("/") + query;
  } catch {
    return undefined;
  }
}

/** What was recorded without a token, and the lists that answer the rest. */
class Recordings {
  readonly #exchanges: readonly Exchange[];
  readonly #byRequest: ReadonlyMap<string, readonly Exchange[]>;

  constructor(folder: string) {
    this.#exchanges = readExchanges(folder);
    const open = this.#exchanges.filter((exchange) => !wasWithToken(exchange) && exchange.method !== "POST");
    this.#byRequest = Map.groupBy(open, ({ method, path }) => `${method} ${spelling(path)}`);
  }

  /** The rows of the longest answer to a path. */
  list<Row>(path: string): readonly Row[] {
    const found = this.#exchanges.find((exchange) => exchange.path === path && Array.isArray(exchange.json));
    return found ? (found.json as Row[]) : [];
  }

  version(): VersionBody {
    return this.#exchanges.find(({ path }) => path === "/version")!.json as VersionBody;
  }

  /** The answer that was recorded for a request: of several, the one whose request had most headers that this one has too. */
  answer({ method, url, headers }: IncomingMessage): Answer | undefined {
    const known = this.#byRequest.get(`${method} ${spelling(url!)}`) ?? [];
    const alike = known.filter((exchange) =>
      Object.entries(exchange.requestHeaders).every(([name, value]) => headers[name.toLowerCase()] === value),
    );
    const found = alike.toSorted((a, b) => Object.keys(b.requestHeaders).length - Object.keys(a.requestHeaders).length)[0];
    return found && { status: found.status, headers: found.headers, body: bodyOf(found, this.#exchanges) };
  }
}

const VARY = "Origin, Access-Control-Request-Method, Access-Control-Request-Headers";

function answer(status: number, body: string, type?: string): Answer {
  const bytes = Buffer.from(body);
  const headers = {
    "content-length": String(bytes.length),
    ...(type === undefined ? {} : { "content-type": type }),
    vary: VARY,
    date: new Date().toUTCString(),
  };
  return { status, headers, body: bytes };
}
const json = (value: unknown) => answer(200, JSON.stringify(value), "application/json");
const plain = (status: number, text: string) => answer(status, text, "text/plain; charset=utf-8");
const nothing = () => answer(404, "");
const rowOr404 = (row: unknown) => (row === undefined ? answer(404, "No data found") : json(row));

function unauthorised(): Answer {
  const { vary: _, ...headers } = plain(401, "missing or invalid bearer token").headers;
  return { ...plain(401, "missing or invalid bearer token"), headers };
}

/** Compares times that may differ in their number of fraction digits. */
const inFull = (time: string) => time + (time.includes(".") ? "" : ".").padEnd(Math.max(0, 29 - time.length), "0");
function newestFirst(rows: readonly TrafficRow[]): TrafficRow[] {
  const keyed = rows.map((row) => ({ row, key: inFull(row.time_stamp) + row.uuid }));
  return keyed.sort((a, b) => (a.key < b.key ? 1 : a.key > b.key ? -1 : 0)).map(({ row }) => row);
}

/** Answers from lists as the real broker does from its tables. */
class Tables {
  readonly #traffic: readonly TrafficRow[];
  readonly #pods: readonly PodRow[];
  readonly #services: readonly ServiceRow[];
  readonly #version: VersionBody;
  readonly #verdicts: NonNullable<BrokerOptions["verdicts"]>;
  readonly #syscalls: NonNullable<BrokerOptions["syscalls"]>;

  constructor(options: BrokerOptions, recordings: Recordings | undefined) {
    this.#traffic = newestFirst(options.traffic ?? recordings?.list("/pod/traffic") ?? TRAFFIC);
    this.#pods = options.podInfo ?? recordings?.list("/pod/info") ?? POD_INFO;
    this.#services = options.serviceInfo ?? recordings?.list("/svc/info") ?? SERVICE_INFO;
    this.#version = { ...(recordings?.version() ?? VERSION), ...options.version };
    this.#verdicts = options.verdicts ?? [];
    this.#syscalls = options.syscalls ?? [];
  }

  answer(method: string, path: string): Answer {
    const { pathname, searchParams } = new URL(path, "http://broker");
    const parts = spelling(pathname)?.split("/").slice(1).map(decodeURIComponent);
    if (method !== "GET" || parts === undefined) return nothing();
    const whole = parts.join("/");
    if (parts.length === 1 || whole === "pod/traffic" || whole === "pod/info" || whole === "svc/info" || whole === "audit/verdicts")
      return this.#list(whole, searchParams);
    if (parts.length !== 3 || parts[2] === "") return nothing();
    return this.#one(`${parts[0]}/${parts[1]}`, parts[2]);
  }

  #list(path: string, query: URLSearchParams): Answer {
    switch (path) {
      case "health":
        return answer(200, "Healthy!", "application/json");
      case "metrics":
        return answer(200, "broker_db_reachable 1\n", "text/plain; version=0.0.4; charset=utf-8");
      case "version":
        return json(this.#version);
      case "pod/info":
        return json(this.#pods);
      case "svc/info":
        return json(this.#services);
      case "pod/traffic":
        return limited(query, 5000, 20_000, this.#traffic);
      case "audit/verdicts":
        return this.#verdictsOf(query);
      default:
        return nothing();
    }
  }

  #verdictsOf(query: URLSearchParams): Answer {
    for (const [name, values] of [
      ["verdict", ["Allow", "WouldDeny"]],
      ["direction", ["Ingress", "Egress"]],
    ] as const) {
      const value = query.get(name);
      if (value !== null && !values.some((known) => known === value))
        return answer(400, `invalid ${name}="${value}"; must be one of [${values.map((known) => `"${known}"`).join(", ")}]`);
    }
    const fields = { policy: "policy_name", namespace: "policy_namespace", verdict: "verdict", direction: "direction" };
    const rows = this.#verdicts.filter((row) =>
      Object.entries(fields).every(([name, field]) => !query.has(name) || row[field] === query.get(name)),
    );
    return limited(query, 100, 500, rows);
  }

  #one(kind: string, name: string): Answer {
    switch (kind) {
      case "pod/traffic":
        return json(this.#traffic.filter((row) => row.pod_name === name));
      case "pod/name":
        return rowOr404(this.#pods.find((row) => row.pod_name === name));
      case "pod/ip":
        return rowOr404(this.#pods.find((row) => row.pod_ip === name));
      case "pod/list":
        return json(this.#pods.filter((row) => row.node_name === name && !row.is_dead));
      case "pod/syscalls":
        return json(this.#syscalls.filter((row) => row.pod_name === name));
      case "svc/ip":
        return rowOr404(this.#services.find((row) => row.svc_ip === name));
      default:
        return nothing();
    }
  }
}

/** The first rows, as many as the query's limit says: clamped, without a word of those left out. */
function limited(query: URLSearchParams, usual: number, most: number, rows: readonly unknown[]): Answer {
  const text = query.get("limit") ?? String(usual);
  if (text === "") return plain(400, "Query deserialize error: cannot parse integer from empty string");
  if (!/^[+-]?\d+$/.test(text)) return plain(400, "Query deserialize error: invalid digit found in string");
  return json(rows.slice(0, Math.min(most, Math.max(1, Number(text)))));
}

/** Which option takes the place of what was recorded for a path. */
function isReplaced(path: string, options: BrokerOptions): boolean {
  if (path.startsWith("/pod/traffic")) return options.traffic !== undefined;
  if (path.startsWith("/pod/syscalls/")) return options.syscalls !== undefined;
  if (path.startsWith("/pod/")) return options.podInfo !== undefined;
  if (path.startsWith("/svc/")) return options.serviceInfo !== undefined;
  if (path.startsWith("/audit/")) return options.verdicts !== undefined;
  return path === "/version" && options.version !== undefined;
}

/** A thousand rows with a comma after each, all of one length. */
const manyRows = (): Buffer =>
  Buffer.from(
    Array.from(
      { length: 1000 },
      (_, i) =>
        `${JSON.stringify(
          trafficRow({
            uuid: `00000000-0000-4000-9000-${String(i).padStart(12, "0")}`,
            traffic_in_out_ip: `198.18.${100 + Math.floor(i / 100)}.${100 + (i % 100)}`,
            time_stamp: "2026-11-20T08:00:00",
          }),
        )},`,
    ).join(""),
  );

function matches(fault: Fault, path: string): boolean {
  return typeof fault.path === "string" ? path.split("?")[0] === fault.path : fault.path.test(path);
}

/** What an answer is sent with: nothing is added to its headers. */
function head(response: ServerResponse, { status, headers }: Pick<Answer, "status" | "headers">): void {
  response.removeHeader("connection");
  response.removeHeader("date");
  response.writeHead(status, headers);
}

/** Writes as fast as the other side reads; `next` gives the pieces, undefined at the end. False: the other side is gone. */
async function pump(response: ServerResponse, log: LoggedRequest, next: () => Buffer | undefined): Promise<boolean> {
  for (let piece = next(); piece !== undefined; piece = next()) {
    if (response.destroyed) return false;
    const bytes = piece.length;
    const isGone = await new Promise<boolean>((resolve) => {
      const gone = () => resolve(true);
      response.once("close", gone);
      response.write(piece, (error) => {
        response.off("close", gone);
        resolve(error != null);
      });
    });
    if (isGone) return false;
    log.sent += bytes;
  }
  return true;
}
const once = (piece: Buffer) => {
  let left: Buffer | undefined = piece;
  return () => {
    const given = left;
    left = undefined;
    return given;
  };
};

async function send(response: ServerResponse, log: LoggedRequest, whole: Answer): Promise<void> {
  head(response, whole);
  if (log.method !== "HEAD") log.sent += whole.body.length;
  response.end(whole.body);
}

async function misbehave(response: ServerResponse, log: LoggedRequest, fault: Trouble, whole: Answer): Promise<void> {
  const { body } = whole;
  switch (fault.kind) {
    case "reset":
      if (fault.afterBytes === undefined) {
        response.socket?.resetAndDestroy();
        return;
      }
      head(response, whole);
      await pump(response, log, once(body.subarray(0, fault.afterBytes)));
      response.destroy();
      return;
    case "hang":
      if (fault.afterBytes === undefined) return;
      head(response, whole);
      response.flushHeaders();
      await pump(response, log, once(body.subarray(0, fault.afterBytes)));
      return;
    case "slow":
      head(response, whole);
      response.flushHeaders();
      for (let at = 0; at < body.length; at += fault.bytes) {
        if (at > 0) await new Promise((resolve) => setTimeout(resolve, fault.everyMs).unref());
        if (!(await pump(response, log, once(body.subarray(at, at + fault.bytes))))) return;
      }
      response.end();
      return;
    case "contentLength":
      head(response, { ...whole, headers: { ...whole.headers, "content-length": String(body.length + fault.by) } });
      if (!(await pump(response, log, once(body)))) return;
      if (fault.by <= 0) response.end();
      else if (fault.after !== "wait") response.socket?.end();
      return;
    case "endless": {
      const rows = manyRows();
      head(response, { status: 200, headers: { "content-type": "application/json" } });
      await pump(response, log, once(Buffer.from("[")));
      await pump(response, log, () => rows);
      return;
    }
    case "rows": {
      const rows = manyRows();
      const rowBytes = rows.length / 1000;
      const total = Math.max(1, Math.floor(fault.bytes / rowBytes)) * rowBytes;
      // Two brackets, and the last row has no comma.
      head(response, { status: 200, headers: { "content-length": String(total + 1), "content-type": "application/json" } });
      let left = total - 1;
      await pump(response, log, once(Buffer.from("[")));
      const isThere = await pump(response, log, () => {
        const piece = left > 0 ? rows.subarray(0, left) : undefined;
        left -= rows.length;
        return piece;
      });
      if (isThere) await pump(response, log, once(Buffer.from("]")));
      response.end();
      return;
    }
    case "answer": {
      const bytes = Buffer.from(fault.body ?? "");
      const { type = "text/plain; charset=utf-8" } = fault;
      return send(response, log, {
        status: fault.status,
        headers: { "content-length": String(bytes.length), "content-type": type },
        body: bytes,
      });
    }
    case "redirect": {
      const headers = { "content-length": "0", location: fault.to };
      return send(response, log, { status: fault.status ?? 302, headers, body: Buffer.alloc(0) });
    }
    case "gzip": {
      const packed = gzipSync(body);
      const headers = { ...whole.headers, "content-length": String(packed.length), "content-encoding": "gzip" };
      return send(response, log, { ...whole, headers, body: packed });
    }
  }
}

/** Starts a broker on a loopback port. */
export async function startRecordedBroker(options: BrokerOptions = {}): Promise<RecordedBroker> {
  const recordings = options.recordings === undefined ? undefined : new Recordings(options.recordings);
  const tables = new Tables(options, recordings);
  const requests: LoggedRequest[] = [];
  let faults: { readonly fault: Fault; seen: number }[] = [];
  const setFaults = (list: readonly Fault[]) => {
    faults = list.map((fault) => ({ fault, seen: 0 }));
  };
  setFaults(options.faults ?? []);

  /** Counts the request at the first fault that is for it and not used up. */
  const faultFor = (path: string): Fault | undefined => {
    const state = faults.find(({ fault, seen }) => matches(fault, path) && seen < (fault.skip ?? 0) + (fault.times ?? Infinity));
    return state !== undefined && state.seen++ >= (state.fault.skip ?? 0) ? state.fault : undefined;
  };
  const isAllowed = ({ method, url, headers: { authorization = "" } }: IncomingMessage): boolean => {
    if (options.token === undefined || method === "OPTIONS" || url === "/health" || url === "/metrics") return true;
    return authorization.startsWith("Bearer ") && authorization.slice("Bearer ".length).trim() === options.token;
  };
  const trueAnswer = (request: IncomingMessage): Answer => {
    if (!isAllowed(request)) return unauthorised();
    const recorded = isReplaced(request.url!, options) ? undefined : recordings?.answer(request);
    return recorded ?? tables.answer(request.method!, request.url!);
  };

  const server = createServer((request, response) => {
    request.resume();
    const log: LoggedRequest = { method: request.method!, path: request.url!, headers: request.headers, sent: 0, over: false };
    requests.push(log);
    response.on("close", () => (log.over = true));
    response.on("error", () => {});
    const fault = faultFor(log.path);
    const whole = trueAnswer(request);
    void (fault === undefined ? send(response, log, whole) : misbehave(response, log, fault, whole));
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(options.port ?? 0, "127.0.0.1", resolve);
  });
  const { port } = server.address() as AddressInfo;
  const stop = () =>
    new Promise<void>((resolve) => {
      server.close(() => resolve());
      server.closeAllConnections();
    });
  return { url: `http://127.0.0.1:${port}`, port, requests, setFaults, stop };
}
