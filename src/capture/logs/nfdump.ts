import { hasPorts, isIcmp } from "../../net/protocol.ts";
import { ACK, RST, SYN } from "../../net/tcpFlags.ts";
import { type Instant, parseRfc3339 } from "../../net/time.ts";
import { type Cells, secondsAfter, tableOf } from "./columns.ts";
import { splitCsv } from "./csv.ts";
import { countOf, epochOf, type Fields, integerOf, isAbsent, portOf, protocolOf, shown } from "./fields.ts";
import { BadRecord, type LineFormat, type LogContext, type LogHead, type ObjectFormat } from "./flowLog.ts";
import type { LogSink } from "./logSink.ts";

/*
 * Output of nfdump(1): NetFlow and IPFIX records that nfcapd, nfpcapd or sfcapd stored, as CSV (`-o csv`) and JSON (`-o json`, `-o
 * json-log`, `-o ndjson`). A record is one direction of a 5-tuple; with `-b`, `-B` or an exporter of biflows (RFC 5103) it has counters
 * of both, and whose flags it has is not told. `-B` guesses the client by its port, `-b` does not: neither says who began.
 */

/** Columns by what they hold: names of 1.6 to 1.7.4, then those of 1.7.5 and later (nfdump, output_csv.c). */
const COLUMNS = {
  start: ["ts", "firstSeen"],
  end: ["te", "lastSeen"],
  duration: ["td", "duration"],
  source: ["sa", "srcAddr"],
  destination: ["da", "dstAddr"],
  sourcePort: ["sp", "srcPort"],
  destinationPort: ["dp", "dstPort"],
  protocol: ["pr", "proto"],
  flags: ["flg", "flags"],
  forwarding: ["fwd", "fwdStatus"],
  packets: ["ipkt", "packets", "inPackets"],
  bytes: ["ibyt", "bytes", "inBytes"],
  returnedPackets: ["opkt", "outPackets"],
  returnedBytes: ["obyt", "outBytes"],
  router: ["ra", "routerIP"],
  exporter: ["exid", "exporterID"],
  icmpType: ["icmpTYpe"], // spelt so
  icmpCode: ["icmpCode"],
} as const;

type Column = keyof typeof COLUMNS;

/** Columns without which a record is of no use. */
const NEEDED: readonly Column[] = ["source", "destination", "protocol", "destinationPort"];

const tableUnder = (header: readonly string[]) => tableOf(header, COLUMNS, NEEDED);

/** Reports whether a line names columns as nfdump does. Statistics (`-s`) have others: they are no connections. */
function isHeader(line: string): boolean {
  const names = new Set(line.split(","));
  return (names.has("sa") && names.has("da") && names.has("pr")) || (names.has("srcAddr") && names.has("dstAddr") && names.has("proto"));
}

const isNothing = (line: string | undefined) => line === "No matching flows" || line === "No matched flows";

export const nfdumpCsv: LineFormat = {
  name: "nfdump",
  title: "nfdump CSV",
  unit: "line",
  // A list of JSON without any is no JSON: it says so in a line.
  recognizes: ({ lines }: LogHead) => lines.length > 0 && (isHeader(lines[0]) || (lines[0] === "[" && isNothing(lines[1]))),
  open: ({ sink, fields }: LogContext) => {
    let table = fields === undefined ? undefined : tableUnder(fields);
    let isSummary = false;
    const timeOf = timesOf(sink);
    return {
      read(line) {
        if (isHeader(line)) {
          table = tableUnder(line.split(","));
          isSummary = false;
          return;
        }
        // "Summary", names of totals, and totals; or the word that there are none.
        if (line === "Summary") isSummary = true;
        if (isSummary || isNothing(line) || line === "[" || line === "]") return sink.skip("summary lines");
        if (table === undefined) throw new BadRecord("there is no line with the names of the columns before: --flow-fields tells them");
        addCells(table(splitCsv(line)), sink, timeOf);
      },
    };
  },
};

/** Names that only nfdump uses (measured with 1.7.1; later versions write numbers), of protocols that networks of clusters have. */
const PROTOCOLS = new Map([
  ["DCCP", 33],
  ["Rte6", 43],
  ["Frag6", 44],
  ["RSVP", 46],
  ["NOHE6", 59],
  ["OPTS6", 60],
  ["EIGRP", 88],
  ["ETHIP", 97],
  ["IPcmp", 108],
  ["L2TP", 115],
  ["UDP-L", 136],
  ["MPLS", 137],
]);

function addCells(cell: Cells<Column>, sink: LogSink, timeOf: ReadTime): void {
  const protocol = PROTOCOLS.get(cell("protocol") ?? "") ?? protocolOf(cell("protocol"));
  const port = cell("destinationPort");
  add(
    {
      protocol,
      source: cell("source"),
      destination: cell("destination"),
      sourcePort: cell("sourcePort"),
      destinationPort: port,
      ...(isIcmp(protocol) ? messageOf(port, cell("icmpType"), cell("icmpCode")) : {}),
      flags: cell("flags"),
      forwarding: cell("forwarding"),
      start: timeOf(cell("start"), "ts"),
      end: timeOf(cell("end"), "te"),
      seconds: cell("duration"),
      packets: cell("packets"),
      bytes: cell("bytes"),
      returnedPackets: cell("returnedPackets"),
      returnedBytes: cell("returnedBytes"),
      reporter: reporterOf(cell("router"), cell("exporter")),
    },
    sink,
  );
}

/** An ICMP message stands in the port: `8.0`, or type * 256 + code. */
function messageOf(port: unknown, type: unknown, code: unknown): { icmpType: unknown; icmpCode: unknown } {
  if (!isAbsent(type)) return { icmpType: type, icmpCode: code };
  if (typeof port === "string" && port.includes(".")) {
    const [before, after] = port.split(".");
    return { icmpType: before, icmpCode: after };
  }
  const both = portOf(port, "dp");
  return both === undefined ? { icmpType: undefined, icmpCode: undefined } : { icmpType: both >> 8, icmpCode: both & 255 };
}

const isRecord = (object: Fields) =>
  (object.type === "FLOW" || object.type === "EVENT") && "export_sysid" in object && ("src4_addr" in object || "src6_addr" in object);

export const nfdumpJson: ObjectFormat = {
  name: "nfdump",
  title: "nfdump JSON",
  unit: "object",
  recognizes: ({ objects }: LogHead) => objects.some(isRecord),
  open: ({ sink }: LogContext) => {
    const timeOf = timesOf(sink);
    return { read: (record) => addObject(record, sink, timeOf) };
  },
};

function addObject(record: Fields, sink: LogSink, timeOf: ReadTime): void {
  if (record.type !== "FLOW" && record.type !== "EVENT") throw new BadRecord(`type is not FLOW or EVENT \`${shown(record.type)}\``);
  if ("nat_event_id" in record) return sink.skip("NAT events");
  const protocol = protocolOf(record.proto);
  if (record.sampled === 1)
    sink.gap("sampled", 1, (count) => `${count} records are of sampled packets: connections between samples are not in the log`);
  const { in_packets: packets, in_bytes: bytes } = record;
  add(
    {
      protocol,
      source: record.src4_addr ?? record.src6_addr,
      destination: record.dst4_addr ?? record.dst6_addr,
      sourcePort: record.src_port,
      destinationPort: record.dst_port,
      icmpType: record.icmp_type,
      icmpCode: record.icmp_code,
      flags: record.tcp_flags,
      forwarding: record.fwd_status,
      start: timeOf(record.first ?? record.t_first, "first"),
      end: timeOf(record.last ?? record.t_last, "last"),
      packets,
      // nfdump 1.7.5 writes the packets here; no IP packet has one byte.
      bytes: bytes === packets && bytes !== 0 ? undefined : bytes,
      returnedPackets: record.out_packets,
      returnedBytes: record.out_bytes,
      reporter: reporterOf(record.ip4_router ?? record.ip6_router, record.export_sysid),
      // NSEL: firewallEvent 3 is a flow that was denied (IANA IPFIX element 233).
      isDenied: record.type === "EVENT" && integerOf(record.event_id, "event_id", 255) === 3,
    },
    sink,
  );
}

interface Values {
  readonly protocol: number;
  readonly source: unknown;
  readonly destination: unknown;
  readonly sourcePort: unknown;
  readonly destinationPort: unknown;
  readonly icmpType?: unknown;
  readonly icmpCode?: unknown;
  readonly flags: unknown;
  readonly forwarding: unknown;
  readonly start: Instant | undefined;
  readonly end: Instant | undefined;
  /** Where there is no end. */
  readonly seconds?: string | undefined;
  readonly packets: unknown;
  readonly bytes: unknown;
  readonly returnedPackets: unknown;
  readonly returnedBytes: unknown;
  readonly reporter: string;
  readonly isDenied?: boolean;
}

function add(values: Values, sink: LogSink): void {
  const { protocol } = values;
  const ports = hasPorts(protocol);
  const sourcePort = ports ? portOf(values.sourcePort, "source port") : undefined;
  const destinationPort = ports ? portOf(values.destinationPort, "destination port") : undefined;
  const packets = countOf(values.packets, "packets");
  const isTunnel = values.source === "0.0.0.0" && values.destination === "0.0.0.0" && packets === 0;
  if (isTunnel) return sink.skip("lines of tunnels, without addresses");
  const source = sink.end(values.source, "source address");
  const destination = sink.end(values.destination, "destination address");
  if ((sourcePort === 0 && destinationPort === 0) || protocol === IPV6_FRAGMENT) return skipPortless(sink);
  const returnedPackets = countOf(values.returnedPackets, "returned packets") ?? 0;
  const returnedBytes = countOf(values.returnedBytes, "returned bytes");
  const isBoth = returnedPackets > 0;
  const flags = flagsOf(values.flags);
  const tcpFlags = isBoth ? sharedFlags(flags) : flags;
  sink.half({
    source,
    destination,
    protocol,
    sourcePort,
    destinationPort,
    ...(isIcmp(protocol) ? typeOf(values, protocol) : {}),
    start: values.start,
    end: values.end ?? secondsAfter(values.start, values.seconds, "td"),
    packets,
    bytes: countOf(values.bytes, "bytes"),
    tcpFlags,
    areFlagsMerged: true,
    cloudDenied: values.isDenied === true || isAclDrop(values.forwarding),
    reporter: values.reporter,
    returned: isBoth ? { packets: returnedPackets, bytes: returnedBytes, tcpFlags } : undefined,
  });
}

/** The header that stands for the transport's protocol where nothing looks further (RFC 8200 section 4.5). */
const IPV6_FRAGMENT = 44;

/** Later fragments have no ports; nor have aggregations by other fields, and protocols that the exporter does not decode. */
function skipPortless(sink: LogSink): void {
  sink.skip("no ports");
  sink.gap(
    "partial",
    1,
    (count) =>
      `${count} records have no ports: later fragments, an aggregation without them, or a protocol that the exporter does not decode`,
  );
}

/** ICMPv6 has no type 0 (RFC 4443 section 2.1): exporters leave it at that where they do not look. */
function typeOf(values: Values, protocol: number): { icmpType: number | undefined; icmpCode: number | undefined } {
  const icmpType = integerOf(values.icmpType, "ICMP type", 255);
  const isTold = icmpType !== undefined && !(icmpType === 0 && protocol === 58);
  return { icmpType: isTold ? icmpType : undefined, icmpCode: isTold ? integerOf(values.icmpCode, "ICMP code", 255) : undefined };
}

/** From the left: CWR to FIN; a dot where a bit is not set. Versions before 1.7 have six. */
const FLAG_LETTERS = "CEUAPRSF";

/** Returns TCP's control bits of all packets of a record together. */
function flagsOf(value: unknown): number | undefined {
  if (isAbsent(value)) return undefined;
  if (typeof value === "string" && /^0x[0-9a-f]{1,2}$/i.test(value)) return Number.parseInt(value.slice(2), 16);
  const text = typeof value === "string" ? value.padStart(8, ".") : "";
  if (text.length !== 8) throw new BadRecord(`the flags are not as nfdump writes them \`${shown(value)}\``);
  let bits = 0;
  for (let at = 0; at < 8; at++) {
    if (text[at] === FLAG_LETTERS[at]) bits |= 128 >> at;
    else if (text[at] !== ".") throw new BadRecord(`the flags are not as nfdump writes them \`${shown(value)}\``);
  }
  return bits;
}

/**
 * Flags of a record of both directions are of either or of both (measured with 1.7.1: `-B` gives a refused SYN the flags of its RST).
 * An ACK without RST is of a connection that came about: a SYN alone gets SYN and ACK, or RST. More they do not say.
 */
function sharedFlags(flags: number | undefined): number | undefined {
  if (flags === undefined || (flags & RST) !== 0 || (flags & (ACK | SYN)) === SYN) return undefined;
  return flags & ACK;
}

/** forwardingStatus (IANA IPFIX element 89): 129 and 130 are dropped by an access list of the router, which no network policy is. */
function isAclDrop(value: unknown): boolean {
  const status = integerOf(value, "forwarding status", 255);
  return status === 129 || status === 130;
}

/** Who exported: routers report one connection each. */
function reporterOf(router: unknown, exporter: unknown): string {
  const address = typeof router === "string" && router !== "0.0.0.0" && router !== "::" ? router : "";
  const id = typeof exporter === "number" || typeof exporter === "string" ? String(exporter) : "";
  return id === "" || id === "0" ? address : `${address}/${id}`;
}

/** Reads the times of one log. */
type ReadTime = (value: unknown, name: string) => Instant | undefined;

/**
 * Returns what reads moments: undefined where the exporter told none (nfdump writes 1970 or zeros). nfdump writes the time of its
 * machine's zone and does not name it: it is taken as UTC, as on most servers, and never as this machine's, which may be another.
 */
function timesOf(sink: LogSink): ReadTime {
  let isZoneTold = false;
  return (value, name) => {
    if (isAbsent(value)) return undefined;
    const text = typeof value === "string" ? value : "";
    if (/^(1970-01-01|0000-00-00)[ T]/.test(text)) return undefined;
    if (typeof value === "number" || /^\d+(\.\d+)?$/.test(text)) return epochOf(value, name, 1);
    const time = /^\d{4}-\d\d-\d\d[ T]/.test(text) ? parseRfc3339(`${text.replace(" ", "T")}Z`) : undefined;
    if (time === undefined || time.seconds < 0 || time.seconds > 0xffffffff) throw new BadRecord(`${name} is no time \`${shown(value)}\``);
    if (!isZoneTold)
      sink.gap("partial", null, () => "nfdump does not name the zone of its times: they are taken as UTC (nfdump under TZ=UTC writes it)");
    isZoneTold = true;
    return time;
  };
}
