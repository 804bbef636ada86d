import type { HttpRequest, L7Hint } from "../../flow/hints.ts";
import type { LoggedParty } from "../../flow/parties.ts";
import { looksLikeReply } from "../../net/clientPorts.ts";
import { ICMP, ICMPV6, SCTP, TCP, UDP } from "../../net/protocol.ts";
import { ACK, FIN, RST, SYN } from "../../net/tcpFlags.ts";
import { countOf, type Fields, integerOf, isAbsent, isObject, objectIn, portOf, rfc3339Of, shown, textIn, textsIn } from "./fields.ts";
import { BadRecord, type LogContext, type LogHead, type ObjectFormat } from "./flowLog.ts";
import type { LogEnd, LogSink } from "./logSink.ts";

/*
 * Hubble flows as JSON (cilium/cilium api/v1/flow/flow.proto): `hubble observe -o json` or `-o jsonpb`, the exporter's files, and the
 * bare flows of older versions. A flow is an event at one point of one node's datapath: a connection has several, on two nodes. They
 * say nothing of packets and bytes.
 */

const VERDICTS = ["FORWARDED", "DROPPED", "ERROR", "AUDIT", "REDIRECTED", "TRACED", "TRANSLATED"];
/** Drops that policies make (api/v1/flow: DropReason 133 without a matching rule, 181 by an explicit deny, 189/190 by authentication). */
const POLICY_DROPS = new Set(["POLICY_DENIED", "POLICY_DENY"]);
const POLICY_DROP_CODES = new Set([133, 181]);
/** Message types of the monitor API (pkg/monitor/api): what event_type.type says. */
const POLICY_VERDICT = 5;

/** What Hubble puts in place of what `hubble.redact` is to hide. */
const REDACTED = "HUBBLE_REDACTED";

export const hubble: ObjectFormat = {
  name: "hubble",
  title: "Hubble flows (JSON)",
  unit: "object",
  recognizes: ({ objects }: LogHead) => objects.some(isHubble),
  open: ({ sink }: LogContext) => {
    const parser = new LineParser();
    return { read: (object) => readEvent(object, sink), parse: (line) => parser.parse(line) };
  },
};

/** An endpoint as lines have it, with the end that it was at last. */
class Endpoint {
  readonly text: string;
  readonly fields: Fields;
  address: unknown;
  end: LogEnd | undefined;

  constructor(text: string, fields: Fields) {
    this.text = text;
    this.fields = fields;
  }
}

const MOST_ENDPOINTS = 1 << 14;
/** Texts of one pod: with and without the id that it has on its own node, by cluster, with labels that changed. */
const MOST_VARIANTS = 8;
const SOURCE = '"source":{';
const DESTINATION = ',"destination":{';
const TYPE = ',"Type":';

const POD_NAME = '"pod_name":"';

/**
 * Parses lines with their endpoints taken out: those are most of a line, a log has few, and each is parsed once. What stands between
 * the names that come in this order is an endpoint where it is JSON; whatever else is left to JSON.parse. No text within JSON holds
 * such a name: its quotes would be escaped.
 */
class LineParser {
  /** By pod name, else by their text. */
  readonly #known = new Map<string, Endpoint[]>();

  parse(line: string): Fields | undefined {
    const source = line.indexOf(SOURCE) + SOURCE.length - 1;
    if (source < SOURCE.length - 1) return undefined;
    const between = line.indexOf(DESTINATION, source);
    const type = between < 0 ? -1 : line.indexOf(TYPE, between);
    if (type < 0) return undefined;
    const destination = between + DESTINATION.length - 1;
    const from = this.#endpoint(line, source, between);
    const to = from === undefined ? undefined : this.#endpoint(line, destination, type);
    if (to === undefined) return undefined;
    let object: unknown;
    try {
      object = JSON.parse(`${line.slice(0, source)}0${line.slice(between, destination)}0${line.slice(type)}`);
    } catch {
      return undefined;
    }
    if (typeof object !== "object" || object === null) return undefined;
    const flow = ("flow" in object ? object.flow : object) as Record<string, unknown> | null;
    // The names stood elsewhere than an event has its ends.
    if (typeof flow !== "object" || flow === null || flow.source !== 0 || flow.destination !== 0) return undefined;
    flow.source = from;
    flow.destination = to;
    return object as Fields;
  }

  /** Returns the endpoint that a part of a line is; undefined where it is none. To compare texts is faster than to hash them. */
  #endpoint(line: string, start: number, end: number): Endpoint | undefined {
    const name = line.indexOf(POD_NAME, start);
    const isPod = name >= 0 && name < end;
    const key = isPod ? line.slice(name + POD_NAME.length, line.indexOf('"', name + POD_NAME.length)) : line.slice(start, end);
    const text = line.slice(start, end);
    const variants = this.#known.get(key);
    if (variants !== undefined) for (const variant of variants) if (variant.text === text) return variant;
    let fields: unknown;
    try {
      fields = JSON.parse(text);
    } catch {
      return undefined;
    }
    if (typeof fields !== "object" || fields === null) return undefined;
    // A slice would hold the whole line in memory.
    const endpoint = new Endpoint(Buffer.from(text).toString(), fields as Fields);
    if (this.#known.size >= MOST_ENDPOINTS) this.#known.clear();
    if (variants === undefined || variants.length >= MOST_VARIANTS) this.#known.set(Buffer.from(key).toString(), [endpoint]);
    else variants.push(endpoint);
    return endpoint;
  }
}

function isHubble(object: Fields): boolean {
  if ("lost_events" in object && "node_name" in object) return true;
  const flow = "flow" in object ? objectIn(object, "flow") : object;
  return typeof flow.verdict === "string" && VERDICTS.includes(flow.verdict) && ("IP" in flow || "l4" in flow || "event_type" in flow);
}

function readEvent(object: Fields, sink: LogSink): void {
  if ("lost_events" in object) return lostEvents(objectIn(object, "lost_events"), sink);
  if ("node_status" in object) return sink.skip("node status");
  if ("agent_event" in object || "debug_event" in object) return sink.skip("event of the agent");
  const flow = "flow" in object ? objectIn(object, "flow") : object;
  if (typeof flow.verdict !== "string") throw new BadRecord(`no flow: verdict is missing \`${shown(object)}\``);
  readFlow(flow, object.time, sink);
}

/** Events that Hubble or its ring buffer could not hold: whatever they were, they are in no line. */
function lostEvents(lost: Fields, sink: LogSink): void {
  const count = countOf(lost.num_events_lost, "num_events_lost") ?? 0;
  sink.skip("notice of lost events");
  sink.gap("lost", count, (sum) => `Hubble lost ${sum} events (its ring buffer was full)`);
}

function readFlow(flow: Fields, outerTime: unknown, sink: LogSink): void {
  const l4 = flow.l4;
  if (flow.Type === "SOCK") return sink.skip("translation at a socket");
  if (typeof l4 !== "object" || l4 === null) return sink.skip("event without a transport (another protocol, or cut by a field mask)");
  const ip = objectIn(flow, "IP");
  if (isAbsent(ip.source) || isAbsent(ip.destination)) return sink.skip("event without addresses (cut by a field mask)");
  const transport = transportOf(l4 as Fields);
  if (transport === undefined) return sink.skip("event of another protocol");
  const time = rfc3339Of(isAbsent(flow.time) ? outerTime : flow.time, "time");
  const source = endOf(ip.source, "IP.source", flow.source, sink);
  const destination = endOf(ip.destination, "IP.destination", flow.destination, sink);
  addNames(flow.source_names, source, sink);
  addNames(flow.destination_names, destination, sink);
  const { protocol, layer } = transport;
  const flags = objectIn(layer, "flags");
  const isPolicyDrop = flow.verdict === "DROPPED" && isPolicyDropReason(flow);
  const direction = directionOf(flow, flags, isPolicyDrop);
  const verdict = verdictOf(flow, isPolicyDrop);
  const [from, to] = direction === "reply" ? [destination, source] : [source, destination];
  const ends = { source: from, destination: to, protocol, start: time };
  if (protocol === ICMP || protocol === ICMPV6) {
    const icmpType = integerOf(layer.type ?? 0, "type", 255);
    const icmpCode = integerOf(layer.code ?? 0, "code", 255);
    const message = { ...ends, source, destination, icmpType, icmpCode };
    // Who asked is in the type. What began has a verdict of its own.
    if (direction !== "forward") sink.half(message);
    else sink.stated({ ...message, verdict, denialDecides: true });
    return;
  }
  const [near, far] = [portOf(layer.source_port, "source_port"), portOf(layer.destination_port, "destination_port")];
  if (direction === undefined) {
    sink.half({ ...ends, sourcePort: near ?? 0, destinationPort: far, tcpFlags: flagBits(flags), verdict, reporter: "undirected" });
    return;
  }
  const isReply = direction === "reply";
  const isRequest = flow.Type === "L7" && !isReply;
  sink.stated({
    ...ends,
    sourcePort: isReply ? far : near,
    destinationPort: isReply ? near : far,
    verdict,
    // A request that a proxy refused is no refused connection: where nothing else is told of it, it is.
    denialDecides: flow.Type !== "L7",
    isOpening: !isReply && flags.SYN === true,
    // Whoever lost track of a connection judges its next packet as if it began one, be it the server's.
    mayBeReply: mayBeReply(flow, flags) && looksLikeReply(near ?? 0, far ?? 0),
    goesOn: !isReply && flags.ACK === true && flags.SYN !== true && flags.RST !== true,
    answer: !isReply || verdict === "deny" ? undefined : flags.RST === true && flags.SYN !== true ? "refused" : "accepted",
    hint: isRequest ? hintOf(objectIn(flow, "l7")) : undefined,
  });
  if (isReply && flow.Type === "L7") addAnswers(objectIn(flow, "l7"), sink);
}

function transportOf(l4: Fields): { readonly protocol: number; readonly layer: Fields } | undefined {
  for (const [name, protocol] of TRANSPORTS)
    if (l4[name] !== undefined && l4[name] !== null) return { protocol, layer: objectIn(l4, name) };
  return undefined;
}

const TRANSPORTS: readonly (readonly [string, number])[] = [
  ["TCP", TCP],
  ["UDP", UDP],
  ["ICMPv4", ICMP],
  ["ICMPv6", ICMPV6],
  ["SCTP", SCTP],
];

function isPolicyDropReason(flow: Fields): boolean {
  const text = flow.drop_reason_desc;
  if (typeof text === "string" && text !== "DROP_REASON_UNKNOWN") return POLICY_DROPS.has(text);
  return typeof flow.drop_reason === "number" && POLICY_DROP_CODES.has(flow.drop_reason);
}

/** AUDIT let it pass (policy audit mode); drops for other reasons than a policy say nothing of policies, and neither do traces. */
function verdictOf(flow: Fields, isPolicyDrop: boolean): "allow" | "deny" | undefined {
  switch (flow.verdict) {
    case "FORWARDED":
    case "REDIRECTED":
    case "AUDIT":
      return "allow";
    case "DROPPED":
      return isPolicyDrop || flow.Type === "L7" ? "deny" : undefined;
    default:
      return undefined;
  }
}

/**
 * Says whether an event is of the initiator's packets or of replies. `is_reply` is null where the datapath did not look connections up;
 * policies judge what began a connection only, so that what they decide on is never a reply. Undefined: not told.
 */
function directionOf(flow: Fields, flags: Fields, isPolicyDrop: boolean): "forward" | "reply" | undefined {
  if (flags.SYN === true) return flags.ACK === true ? "reply" : "forward";
  if (typeof flow.is_reply === "boolean") return flow.is_reply ? "reply" : "forward";
  if (flow.reply === true) return "reply";
  if (isPolicyDrop || objectIn(flow, "event_type").type === POLICY_VERDICT) return "forward";
  switch (flow.trace_reason) {
    case "NEW":
    case "ESTABLISHED":
      return "forward";
    case "REPLY":
    case "RELATED":
      return flow.trace_reason === "REPLY" ? "reply" : undefined;
    default:
      return undefined;
  }
}

/** Reports whether Cilium took for new what was sent within a connection (as after its tracking was flushed, or its agent started again). */
function mayBeReply(flow: Fields, flags: Fields): boolean {
  const isNew = flow.trace_reason === "NEW" || objectIn(flow, "event_type").type === POLICY_VERDICT;
  return isNew && flags.ACK === true && flags.SYN !== true;
}

const FLAGS: readonly (readonly [string, number])[] = [
  ["FIN", FIN],
  ["SYN", SYN],
  ["RST", RST],
  ["ACK", ACK],
];

function flagBits(flags: Fields): number {
  return FLAGS.reduce((bits, [name, bit]) => bits | (flags[name] === true ? bit : 0), 0);
}

function endOf(address: unknown, field: string, endpoint: unknown, sink: LogSink): LogEnd {
  if (!(endpoint instanceof Endpoint)) return newEnd(address, field, endpoint, sink);
  // What one address is called in between by another record does not change who this one is.
  if (endpoint.end !== undefined && endpoint.address === address) return endpoint.end;
  endpoint.end = newEnd(address, field, endpoint.fields, sink);
  endpoint.address = address;
  return endpoint.end;
}

function newEnd(address: unknown, field: string, endpoint: unknown, sink: LogSink): LogEnd {
  if (!isObject(endpoint)) return sink.end(address, field);
  const { pod_name: pod, namespace } = endpoint;
  const labels = textsIn(endpoint, "labels");
  if (typeof pod === "string" && typeof namespace === "string" && pod !== "" && namespace !== "")
    return sink.end(address, field, podOf(endpoint, `${namespace}/${pod}`, labels));
  if (labels.length === 0) return sink.end(address, field);
  // Networks and names of an outside address come and go with policies: what it is, the reserved labels say.
  const reserved = labels.filter((label) => label.startsWith("reserved:"));
  return sink.end(address, field, { labels: reserved.length > 0 ? reserved : labels });
}

/** What an event says of a pod. One that is new has `reserved:init` in place of its labels: that says nothing of them. */
function podOf(endpoint: Fields, pod: string, labels: readonly string[]): LoggedParty {
  const [workload] = Array.isArray(endpoint.workloads) ? (endpoint.workloads as unknown[]) : [];
  const { name, kind } = isObject(workload) ? workload : {};
  return {
    pod,
    ...(labels.some((label) => label.startsWith("k8s:")) ? { labels } : {}),
    ...(typeof name === "string" && typeof kind === "string" && name !== "" && kind !== "" ? { workload: `${kind}/${name}` } : {}),
  };
}

function addNames(names: unknown, end: LogEnd, sink: LogSink): void {
  if (!Array.isArray(names)) return;
  for (const name of names) if (typeof name === "string") sink.name(end, name);
}

/** A DNS answer gives its question's name the addresses in it. */
function addAnswers(l7: Fields, sink: LogSink): void {
  const dns = objectIn(l7, "dns");
  const name = textIn(dns, "query");
  if (name !== undefined) for (const address of textsIn(dns, "ips")) sink.answer(address, name);
}

function hintOf(l7: Fields): L7Hint | undefined {
  if (typeof l7.dns === "object" && l7.dns !== null) {
    const query = textIn(l7.dns as Fields, "query");
    return query === undefined ? undefined : { dns: { query: query.toLowerCase().replace(/\.$/, "") } };
  }
  if (typeof l7.http !== "object" || l7.http === null) return undefined;
  const request = requestOf(l7.http as Fields);
  return request === undefined ? undefined : { http: request };
}

/** The URL is as the proxy put it together: `http://host/path?query`. What was redacted is not known. */
function requestOf(http: Fields): HttpRequest | undefined {
  const [method, url] = [textIn(http, "method"), textIn(http, "url")];
  if (method === undefined || url === undefined || url.includes(REDACTED)) return undefined;
  const parts = /^[a-z][a-z0-9+.-]*:\/\/([^/?#]*)([^#]*)/i.exec(url);
  const [host, path] = parts === null ? [undefined, url] : [parts[1].replace(/^[^@]*@/, ""), parts[2]];
  const headers = headersOf(http.headers);
  return {
    method,
    path: path === "" ? "/" : path,
    ...(host === undefined || host === "" ? {} : { host }),
    ...(headers === undefined ? {} : { headers }),
  };
}

function headersOf(list: unknown): Readonly<Record<string, string>> | undefined {
  if (!Array.isArray(list)) return undefined;
  const headers: Record<string, string> = {};
  for (const item of list) {
    const { key, value } = typeof item === "object" && item !== null ? (item as Fields) : {};
    if (typeof key !== "string" || typeof value !== "string" || value.includes(REDACTED)) return undefined;
    headers[key] = value;
  }
  return headers;
}
