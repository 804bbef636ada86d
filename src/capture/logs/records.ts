import type { L7Hint } from "../../flow/hints.ts";
import { hasPorts, isIcmp, TCP } from "../../net/protocol.ts";
import { compareInstants } from "../../net/time.ts";
import { splitCsv } from "./csv.ts";
import { type Fields, integerOf, isAbsent, isObject, portOf, protocolOf, rfc3339Of, shown } from "./fields.ts";
import { BadRecord, type LineFormat, type LogContext, type LogHead, type ObjectFormat } from "./flowLog.ts";
import type { LogEnd, LoggedFlow, LogSink } from "./logSink.ts";

const MOST = 0xffffffff;

/**
 * `records`, the project's own flow format (command contract): JSON Lines, one connection a line. The source is the initiator and is
 * never inferred again; an ICMP record is its own connection.
 */
export const records: ObjectFormat = {
  name: "records",
  title: "kguardian flow records",
  unit: "object",
  recognizes: ({ objects, columns }: LogHead) =>
    columns === undefined && objects.some((object) => "srcIp" in object && "dstIp" in object && "protocol" in object),
  open: ({ sink }: LogContext) => ({ read: (record) => addRecord(record, sink) }),
};

/** Columns that hold lists: in CSV their items stand apart by spaces. */
const LISTS = ["srcLabels", "dstLabels", "dstNames"];

/** The same as CSV with a header line: columns are named as the fields, empty cells are fields left out, `l7` is JSON. */
export const recordsCsv: LineFormat = {
  name: "records",
  title: "kguardian flow records (CSV)",
  unit: "line",
  recognizes: ({ lines }: LogHead) => lines.length > 0 && isHeader(splitCsv(lines[0])),
  open: ({ sink }: LogContext) => {
    let header: readonly string[] | undefined;
    return {
      read(line) {
        const cells = splitCsv(line);
        // Files that were joined have their headers within.
        if (isHeader(cells)) {
          header = cells.map((cell) => cell.trim());
          return;
        }
        if (header === undefined) throw new BadRecord("the first line does not name the columns (srcIp, dstIp, protocol)");
        if (cells.length !== header.length)
          throw new BadRecord(`the line has not as many cells as the header \`${cells.length}, not ${header.length}\``);
        addRecord(fromColumns(Object.fromEntries(header.map((name, i) => [name, cells[i] === "" ? undefined : cells[i]]))), sink);
      },
    };
  },
};

/** The same as Parquet: columns are named as the fields; lists are lists of texts or texts with spaces. */
export const recordsParquet: ObjectFormat = {
  name: "records",
  title: "kguardian flow records (Parquet)",
  unit: "object",
  recognizes: ({ columns }: LogHead) => columns !== undefined && isHeader(columns),
  open: ({ sink }: LogContext) => ({ read: (row) => addRecord(fromColumns(row), sink) }),
};

function isHeader(names: readonly string[]): boolean {
  return ["srcIp", "dstIp", "protocol"].every((name) => names.some((each) => each.trim() === name));
}

function fromColumns(row: Fields): Fields {
  const record: Record<string, unknown> = { ...row };
  for (const name of LISTS) {
    const value = record[name];
    if (typeof value === "string") record[name] = value.split(/\s+/).filter((item) => item !== "");
  }
  if (record.time instanceof Date) record.time = Number.isNaN(record.time.getTime()) ? "no date" : record.time.toISOString();
  if (typeof record.l7 !== "string") return record;
  try {
    record.l7 = JSON.parse(record.l7);
  } catch {
    throw new BadRecord("l7 is not JSON");
  }
  return record;
}

/** Reads all of a record before any of it is kept: a refused line leaves nothing behind. */
export function addRecord(record: Fields, sink: LogSink): void {
  const protocol = protocolOf(record.protocol);
  const start = rfc3339Of(record.time ?? undefined, "time");
  const end = rfc3339Of(record.end ?? undefined, "end");
  if (start !== undefined && end !== undefined && compareInstants(end, start) < 0) throw new BadRecord("end is before time");
  const answer = answerOf(record.answer);
  const [hint, ...further] = hintsOf(record.l7, sink.everyRequest);
  if (record.time === "") throw new BadRecord('time is not RFC 3339 `""`');
  const isPlain = record.srcPod === undefined && record.srcLabels === undefined;
  const source = isPlain ? sink.plainEnd(record.srcIp, "srcIp") : endOf(record, "src", sink);
  const isPlainToo = record.dstPod === undefined && record.dstLabels === undefined;
  const destination = isPlainToo ? sink.plainEnd(record.dstIp, "dstIp") : endOf(record, "dst", sink);
  const ports = hasPorts(protocol);
  const isMessage = isIcmp(protocol);
  const flow = {
    source,
    destination,
    protocol,
    sourcePort: ports ? portOf(record.srcPort, "srcPort") : undefined,
    destinationPort: ports ? portOf(record.dstPort, "dstPort") : undefined,
    icmpType: isMessage ? integerOf(record.icmpType, "icmpType", 255) : undefined,
    icmpCode: isMessage ? integerOf(record.icmpCode, "icmpCode", 255) : undefined,
    start,
    end: start === undefined ? undefined : end,
    answer,
    // A record that says how its connection ended is one connection, and not a summary of several. Datagrams of one socket are one.
    isWhole: answer !== undefined && protocol === TCP,
    packets: integerOf(record.packets, "packets", MOST),
    bytes: integerOf(record.bytes, "bytes", MOST),
    verdict: verdictOf(record.verdict),
    hint,
    further,
  };
  if (ports && flow.destinationPort === undefined) throw new BadRecord("dstPort is missing");
  const names = isTexts(record.dstNames) ? record.dstNames : undefined;
  sink.stated(flow);
  nameAnswers(record.l7, sink);
  if (names === undefined) return;
  sink.knowNames(destination);
  for (const name of names) sink.name(destination, name);
}

function endOf(record: Fields, end: "src" | "dst", sink: LogSink): LogEnd {
  const pod = (end === "src" ? record.srcPod : record.dstPod) ?? undefined;
  const labels = (end === "src" ? record.srcLabels : record.dstLabels) ?? undefined;
  if (pod !== undefined && !(typeof pod === "string" && /^[^/]+\/[^/]+$/.test(pod)))
    throw new BadRecord(`${end}Pod is not namespace/name \`${shown(pod)}\``);
  if (labels !== undefined && !isTexts(labels)) throw new BadRecord(`${end}Labels is not a list of texts`);
  const party = { ...(pod === undefined ? {} : { pod }), ...(labels === undefined || labels.length === 0 ? {} : { labels }) };
  return sink.exactEnd(end === "src" ? record.srcIp : record.dstIp, `${end}Ip`, party);
}

function isTexts(value: unknown): value is string[] {
  return Array.isArray(value) && value.every((item) => typeof item === "string");
}

function verdictOf(value: unknown): "allow" | "deny" | undefined {
  if (isAbsent(value)) return undefined;
  if (value === "allow") return "allow";
  if (value === "deny" || value === "drop") return "deny";
  throw new BadRecord(`verdict is not allow, deny or drop \`${shown(value)}\``);
}

function answerOf(value: unknown): LoggedFlow["answer"] {
  if (isAbsent(value)) return undefined;
  if (value === "accepted" || value === "refused" || value === "none") return value;
  throw new BadRecord(`answer is not accepted, refused or none \`${shown(value)}\``);
}

/** Requests that one record may list: as many as are kept of one connection. */
const MOST_REQUESTS = 256;

/** Returns what was seen above the transport. Queries are looked at only where a policy asks for them, as in captures. */
function hintsOf(value: unknown, everyRequest: boolean): readonly L7Hint[] {
  if (typeof value !== "object" || value === null) return [];
  const { http, dns, tls } = value as Fields;
  if (isObject(dns)) {
    const { query } = dns;
    return typeof query === "string" && everyRequest ? [{ dns: { query: query.toLowerCase().replace(/\.$/, "") } }] : [];
  }
  if (isObject(tls)) return typeof tls.serverName === "string" ? [{ tls: { serverName: tls.serverName.toLowerCase() } }] : [];
  const requests = Array.isArray(http) ? http.slice(0, MOST_REQUESTS) : [http];
  return requests.flatMap((request) => httpOf(request) ?? []);
}

/** `headers` null: not told which there were; without the field there were none. */
function httpOf(request: unknown): L7Hint | undefined {
  if (!isObject(request)) return undefined;
  const { method, path, host, headers } = request;
  if (typeof method !== "string" || typeof path !== "string") return undefined;
  const known = headers === null ? {} : { headers: isTextMap(headers) ? headers : {} };
  return { http: { method, path, ...(typeof host === "string" ? { host } : {}), ...known } };
}

/** Keeps which addresses an answer of DNS gave the name that was asked for. */
function nameAnswers(value: unknown, sink: LogSink): void {
  const dns = isObject(value) ? value.dns : undefined;
  if (!isObject(dns) || typeof dns.query !== "string" || !isTexts(dns.answers)) return;
  for (const address of dns.answers) sink.answer(address, dns.query);
}

function isTextMap(value: unknown): value is Record<string, string> {
  return (
    typeof value === "object" && value !== null && !Array.isArray(value) && Object.values(value).every((text) => typeof text === "string")
  );
}
