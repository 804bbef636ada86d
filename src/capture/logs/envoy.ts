import type { L7Hint } from "../../flow/hints.ts";
import { TCP, UDP } from "../../net/protocol.ts";
import { type Fields, isAbsent, later, objectOf, rfc3339Of, shown, textIn } from "./fields.ts";
import { BadRecord, type LineFormat, type LogContext, type LogHead, type ObjectFormat } from "./flowLog.ts";
import type { LogEnd, LoggedFlow, LogSink } from "./logSink.ts";

/*
 * Access logs of Envoy as Istio has it write them, text or JSON (istio.io, "Envoy Access Logs"; Envoy, "Access logging", command
 * operators). A record is a request or a TCP session, and tells two connections of the proxy: the client's to it (downstream) and its
 * own to the server (upstream). Which of them crossed the network depends on the proxy:
 * - in front of a server (cluster `inbound|…`, InboundPassthroughCluster): downstream; upstream stays within the pod (127.0.0.6).
 * - beside a client (`outbound|…`, PassthroughCluster): upstream, from the pod to the backend that the proxy chose; downstream is the
 *   application's, redirected within the pod, and has the address that it dialled (a Service's).
 * - a gateway, or an Envoy without Istio: both. Its client has another address than the proxy itself.
 * A denial of the mesh's authorization (rbac_access_denied) is no network policy's: for it to be asked the connection came about.
 */

/** Sidecars' own listeners take these: what is dialled there never leaves the pod. */
const LOOPBACK = /^(127\.|::1$|::ffff:127\.)/i;

/** An `address:port`. */
interface Socket {
  readonly address: string;
  readonly port: number;
}

/** A record whatever it was written as. */
interface AccessRecord {
  readonly start: unknown;
  readonly duration: unknown;
  readonly method: unknown;
  readonly path: unknown;
  readonly protocol: unknown;
  readonly flags: unknown;
  readonly details: string;
  readonly authority: unknown;
  readonly upstreamHost: unknown;
  readonly cluster: unknown;
  readonly upstreamLocal: unknown;
  readonly downstreamLocal: unknown;
  readonly downstreamRemote: unknown;
  readonly serverName: unknown;
}

/** The beginning and the end of Istio's line. What is between may hold anything: the client chooses its user agent. */
const LINE_BEGINS = /^\[(\d{4}-\d\d-\d\dT[^\]]+)\] "([^"]*)" (?:\d+|-) (\S+) (.*)$/;
const LINE_ENDS = / "([^"]*)" "([^"]*)" ([^\s"]+) ([^\s"]+) ([^\s"]+) ([^\s"]+) ([^\s"]+)(?: [^\s"]+)?$/;
/** Bytes received and sent, the duration and the upstream's share of it, before the quoted headers. */
const DURATION = / \d+ \d+ (\d+|-) (?:\d+|-) "/;

function recordOfLine(line: string): AccessRecord | undefined {
  const begins = LINE_BEGINS.exec(line);
  const ends = begins === null ? null : LINE_ENDS.exec(line);
  if (begins === null || ends === null) return undefined;
  const [, start, request, flags, rest] = begins;
  const [method, path, protocol] = request.split(" ");
  return {
    start,
    duration: DURATION.exec(rest)?.[1],
    method,
    path,
    protocol,
    flags,
    details: rest.slice(0, 1000),
    authority: ends[1],
    upstreamHost: ends[2],
    cluster: ends[3],
    upstreamLocal: ends[4],
    downstreamLocal: ends[5],
    downstreamRemote: ends[6],
    serverName: ends[7],
  };
}

/** Istio's keys, and those of Envoy Gateway, which has the same but for two. */
function recordOfObject(object: Fields): AccessRecord {
  return {
    start: object.start_time,
    duration: object.duration,
    method: object.method,
    path: object.path ?? object["x-envoy-origin-path"],
    protocol: object.protocol,
    flags: object.response_flags,
    details: `${textIn(object, "response_code_details") ?? ""} ${textIn(object, "upstream_transport_failure_reason") ?? ""}`,
    authority: object.authority ?? object[":authority"],
    upstreamHost: object.upstream_host,
    cluster: object.upstream_cluster,
    upstreamLocal: object.upstream_local_address,
    downstreamLocal: object.downstream_local_address,
    downstreamRemote: object.downstream_direct_remote_address ?? object.downstream_remote_address,
    serverName: object.requested_server_name,
  };
}

const isRecord = (object: Fields) =>
  "downstream_local_address" in object && "downstream_remote_address" in object && "upstream_cluster" in object;

/** A line each, JSON or text, with whatever else the proxy's container writes. */
export const envoyLines: LineFormat = {
  name: "envoy",
  title: "Envoy access log (Istio's text, or JSON Lines)",
  unit: "line",
  recognizes: ({ lines, objects, isLineByLine }: LogHead) =>
    isLineByLine && (objects.some(isRecord) || lines.some((line) => recordOfLine(line) !== undefined)),
  open: ({ sink }: LogContext) => {
    const log = new AccessLog(sink);
    return { read: (line) => readLine(line, log, sink) };
  },
};

function readLine(line: string, log: AccessLog, sink: LogSink): void {
  if (line.startsWith("{")) {
    const object = objectOf(line);
    if (isRecord(object)) log.add(recordOfObject(object));
    else sink.skip("lines of the proxy's other log");
    return;
  }
  const record = recordOfLine(line);
  if (record !== undefined) log.add(record);
  else if (/^\[\d{4}-\d\d-\d\dT[^\]]+\] "/.test(line)) throw new BadRecord(`not in Istio's format \`${line.slice(0, 80)}\``);
  else sink.skip("lines of the proxy's other log");
}

/** Objects in another layout: a list of them, or pretty-printed. */
export const envoyObjects: ObjectFormat = {
  name: "envoy",
  title: "Envoy access log (JSON)",
  unit: "object",
  recognizes: ({ objects, isLineByLine }: LogHead) => !isLineByLine && objects.some(isRecord),
  open: ({ sink }: LogContext) => {
    const log = new AccessLog(sink);
    return {
      read(object) {
        if (!isRecord(object)) throw new BadRecord("not an access log's record (it names no downstream addresses)");
        log.add(recordOfObject(object));
      },
    };
  },
};

const NO_ADDRESS = "an end that is no IP address (a UNIX socket, an internal listener)";

/** Addresses of proxies that are remembered. */
const MOST_OWN = 1 << 16;

/** Takes the records of one log: of one proxy, or of many. */
class AccessLog {
  readonly #sink: LogSink;
  /** Addresses that proxies of this log were seen to connect from, or to be reached at. */
  readonly #own = new Set<string>();

  constructor(sink: LogSink) {
    this.#sink = sink;
  }

  add(record: AccessRecord): void {
    const cluster = textOf(record.cluster);
    const ends: Ends = {
      remote: socketOf(record.downstreamRemote),
      local: socketOf(record.downstreamLocal),
      own: socketOf(record.upstreamLocal),
      upstream: socketOf(record.upstreamHost),
    };
    const start = rfc3339Of(record.start, "start_time");
    const common = { start, end: endOf(start, record.duration), hint: hintOf(record) };
    if (/^(inbound\||InboundPassthroughCluster)/.test(cluster)) {
      if (ends.local !== undefined) this.#remember(ends.local.address);
      this.#downstream(ends, record, common);
    } else if (/^(outbound[|_]|PassthroughCluster)/.test(cluster)) {
      const { own, remote, local } = ends;
      // A sidecar's client is in its own pod; a gateway is dialled at its own address.
      const isGateway = own !== undefined && remote !== undefined && own.address !== remote.address && own.address === local?.address;
      if (isGateway) this.#both(ends, record, common);
      else this.#upstream({ ...ends, own: own ?? this.#failing(remote) }, local, record, common);
    } else if (cluster === "" || cluster === "BlackHoleCluster")
      this.#sink.skip("no cluster: nothing tells whether the proxy serves or asks, and it made no connection");
    else this.#both(ends, record, common);
  }

  /** A connection that failed has no end of its own: it is the client's pod, where that is known to be a proxy's. */
  #failing(remote: Socket | undefined): Socket | undefined {
    return remote !== undefined && this.#own.has(remote.address) ? { address: remote.address, port: 0 } : undefined;
  }

  #both(ends: Ends, record: AccessRecord, common: Common): void {
    const { upstream, own } = ends;
    const isConnected = upstream !== undefined && own !== undefined;
    // Both or none: a fault in the second is found before the first is kept.
    if (isConnected) [upstream, own].forEach((socket) => this.#end(socket));
    this.#downstream(ends, record, common);
    if (isConnected) this.#upstream(ends, undefined, record, common);
  }

  #downstream({ remote, local }: Ends, record: AccessRecord, common: Common): void {
    if (remote === undefined || local === undefined) return this.#sink.skip(NO_ADDRESS);
    // Port 0: the address was taken from a header (X-Forwarded-For), and who connected is not told.
    if (remote.port === 0) return this.#sink.skip("the client's address is of a header, not of the connection");
    if (LOOPBACK.test(remote.address) || LOOPBACK.test(local.address)) return this.#sink.skip("connections within the pod");
    const protocol = /^HTTP\/3/.test(textOf(record.protocol)) ? UDP : TCP;
    this.#stated(remote, this.#end(local), local.port, protocol, { ...common, answer: "accepted", reporter: "inbound" });
  }

  #upstream({ upstream, own }: Ends, dialled: Socket | undefined, record: AccessRecord, common: Common): void {
    if (upstream === undefined)
      return this.#sink.skip(isAbsent(record.upstreamHost) ? "no backend was chosen: no connection was made" : NO_ADDRESS);
    if (LOOPBACK.test(upstream.address)) return this.#sink.skip("connections within the pod");
    if (own === undefined) return this.#sink.skip("failed connections of a proxy whose address is not known yet");
    if (own.port !== 0) this.#remember(own.address);
    const backend = this.#end(upstream);
    const destination = dialled === undefined ? backend : this.#sink.dialledAt(backend, this.#end(dialled), dialled.port);
    this.#stated(own, destination, upstream.port, TCP, { ...common, answer: answerOf(record), reporter: "outbound" });
  }

  #stated(from: Socket, destination: LogEnd, destinationPort: number, protocol: number, rest: Partial<LoggedFlow>): void {
    const sourcePort = from.port === 0 ? undefined : from.port;
    // Bytes are those of bodies and of sessions, not of packets.
    this.#sink.stated({ ...rest, source: this.#end(from), destination, protocol, sourcePort, destinationPort });
  }

  #end({ address }: Socket): LogEnd {
    return this.#sink.plainEnd(address, "address");
  }

  #remember(address: string): void {
    if (this.#own.size < MOST_OWN && !LOOPBACK.test(address)) this.#own.add(address);
  }
}

/** Both connections of the proxy: `remote` to `local`, and `own` to `upstream`. */
interface Ends {
  readonly remote: Socket | undefined;
  readonly local: Socket | undefined;
  readonly own: Socket | undefined;
  readonly upstream: Socket | undefined;
}

type Common = Pick<LoggedFlow, "start" | "end" | "hint">;

/** Returns a text, empty where there is none or something else. */
function textOf(value: unknown): string {
  return typeof value === "string" && !isAbsent(value) ? value : "";
}

/** Returns the address and port of a text like `10.0.0.1:80` or `[::1]:80`; undefined where it is something else, or nothing. */
function socketOf(value: unknown): Socket | undefined {
  const match =
    typeof value === "string" ? /^(?:tcp:\/\/)?(?:\[([0-9a-fA-F:.]+)\]|(\d{1,3}(?:\.\d{1,3}){3})):(\d{1,5})$/.exec(value) : null;
  if (match === null) return undefined;
  const port = Number(match[3]);
  if (port > 65535) throw new BadRecord(`a port is not between 0 and 65535 \`${shown(value)}\``);
  return { address: match[1] ?? match[2], port };
}

/** UF: the connection to the backend failed (Envoy, RESPONSE_FLAGS); 111 is ECONNREFUSED. Another answer than none is an answer. */
function answerOf({ flags, details }: AccessRecord): "accepted" | "refused" | "none" | undefined {
  if (!textOf(flags).split(",").includes("UF")) return "accepted";
  if (/delayed[ _]connect[ _]error:[ _]111|connection[ _]refused/i.test(details)) return "refused";
  return /connection_timeout|connect_timeout|delayed[ _]connect[ _]error:[ _]110/i.test(details) ? "none" : undefined;
}

function hintOf({ method, path, authority, serverName }: AccessRecord): L7Hint | undefined {
  if (typeof method === "string" && /^[A-Z][A-Z-]*$/.test(method) && typeof path === "string" && !isAbsent(path)) {
    const host = typeof authority === "string" && /^[\x21-\x7e]{1,255}$/.test(authority) && authority !== "-" ? authority : undefined;
    return { http: { method, path, ...(host === undefined ? {} : { host }) } };
  }
  return typeof serverName === "string" && !isAbsent(serverName) ? { tls: { serverName: serverName.toLowerCase() } } : undefined;
}

/** The duration is in milliseconds, a number or digits. */
function endOf(start: ReturnType<typeof rfc3339Of>, value: unknown): ReturnType<typeof rfc3339Of> {
  if (start === undefined || isAbsent(value)) return undefined;
  const milliseconds =
    typeof value === "number" ? value : typeof value === "string" && /^\d{1,12}$/.test(value) ? Number(value) : Number.NaN;
  if (!(milliseconds >= 0 && milliseconds < 1e12)) throw new BadRecord(`duration is not in milliseconds \`${shown(value)}\``);
  return later(start, milliseconds / 1000);
}
