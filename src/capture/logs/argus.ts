import { hasPorts, isIcmp, TCP } from "../../net/protocol.ts";
import { ACK, SYN } from "../../net/tcpFlags.ts";
import { type Instant, parseRfc3339 } from "../../net/time.ts";
import { type Cells, secondsAfter, tableOf } from "./columns.ts";
import { splitCsv } from "./csv.ts";
import { countOf, epochOf, integerOf, isAbsent, portOf, protocolOf, shown } from "./fields.ts";
import { BadRecord, type LineFormat, type LogContext, type LogHead } from "./flowLog.ts";
import type { LogSink } from "./logSink.ts";

/*
 * Argus records as ra(1) prints them with a comma between columns (`ra -n -u -c ,`), in whatever columns its header line names. A
 * record is a report of one bidirectional flow: of a long one there are several, whose counts add up. Of a TCP connection whose
 * beginning argus saw, the source is who opened it; a `?` in the direction says that it did not, and of other protocols the source is
 * only who sent first (ra(1), "dir", "shost").
 */

/** Columns by what they hold (ra(1), "fields", and the names in its header line). */
const COLUMNS = {
  start: ["StartTime", "SrcStartTime"],
  end: ["LastTime"],
  duration: ["Dur"],
  protocol: ["Proto"],
  source: ["SrcAddr"],
  sourcePort: ["Sport"],
  direction: ["Dir"],
  destination: ["DstAddr"],
  destinationPort: ["Dport"],
  packets: ["TotPkts"],
  sent: ["SrcPkts"],
  returned: ["DstPkts"],
  bytes: ["TotBytes"],
  sentBytes: ["SrcBytes"],
  returnedBytes: ["DstBytes"],
  state: ["State"],
  reporter: ["SrcId"],
} as const;

type Column = keyof typeof COLUMNS;

/** Columns without which a record is of no use. */
const NEEDED: readonly Column[] = ["protocol", "source", "direction", "destination", "destinationPort"];

function isHeader(line: string): boolean {
  const names = new Set(line.split(",").map((name) => name.trim()));
  return names.has("Proto") && names.has("SrcAddr") && names.has("DstAddr") && names.has("Dir");
}

const tableUnder = (header: readonly string[]) => tableOf(header, COLUMNS, NEEDED);

export const argus: LineFormat = {
  name: "argus",
  title: "Argus (output of ra)",
  unit: "line",
  recognizes: ({ lines }: LogHead) => lines.length > 0 && isHeader(lines[0]),
  open: ({ sink, fields }: LogContext) => {
    const timeOf = timesOf(sink);
    let table = fields === undefined ? undefined : tableUnder(fields);
    return {
      read(line) {
        if (isHeader(line)) {
          table = tableUnder(line.split(","));
          return;
        }
        if (table === undefined) throw new BadRecord("there is no line with the names of the columns before: --flow-fields tells them");
        addCells(table(splitCsv(line)), sink, timeOf);
      },
    };
  },
};

/** What argus watches besides IP (ra(1), "proto"). */
const NOT_IP = new Set(["rarp", "llc", "eth", "stp", "lldp", "ipx", "cdp", "loop", "pppoe", "mpls"]);

/** Names that only ra uses (measured with 3.0.8), of protocols that networks of clusters have; it finds RTP within UDP. */
const PROTOCOLS = new Map([
  ["ipnip", 4],
  ["rtp", 17],
  ["rtcp", 17],
  ["udt", 17],
  ["ipv6-route", 43],
  ["ipv6-frag", 44],
  ["rsvp", 46],
  ["ipv6-no", 59],
  ["ipv6-opts", 60],
  ["eigrp", 88],
  ["ipip", 94],
  ["etherip", 97],
  ["ipcomp", 108],
  ["l2tp", 115],
]);

function addCells(cell: Cells<Column>, sink: LogSink, timeOf: ReadTime): void {
  const name = cell("protocol");
  if (name === "man") return sink.skip("records of argus about itself");
  if (name === "arp") return sink.skip("arp");
  if (name !== undefined && NOT_IP.has(name)) return sink.skip("not IP");
  const protocol = PROTOCOLS.get(name ?? "") ?? protocolOf(name);
  const source = sink.end(cell("source"), "SrcAddr");
  const destination = sink.end(cell("destination"), "DstAddr");
  const ports = hasPorts(protocol);
  const sourcePort = ports ? portOf(cell("sourcePort"), "Sport") : undefined;
  const destinationPort = ports ? portOf(cell("destinationPort"), "Dport") : undefined;
  if (ports && sourcePort === undefined && destinationPort === undefined) return skipPortless(sink);
  const direction = cell("direction") ?? "";
  if (!/^[<-]?[-?|o]*>?$/.test(direction) || direction === "") throw new BadRecord(`Dir is no direction \`${shown(direction)}\``);
  const start = timeOf(cell("start"), "StartTime");
  const common = {
    source,
    destination,
    protocol,
    sourcePort,
    destinationPort,
    start,
    end: timeOf(cell("end"), "LastTime") ?? secondsAfter(start, cell("duration"), "Dur"),
    reporter: reporterOf(cell("reporter")),
  };
  const counts = countsOf(
    {
      packets: countOf(cell("packets"), "TotPkts"),
      sent: countOf(cell("sent"), "SrcPkts"),
      returned: countOf(cell("returned"), "DstPkts"),
      bytes: countOf(cell("bytes"), "TotBytes"),
      sentBytes: countOf(cell("sentBytes"), "SrcBytes"),
      returnedBytes: countOf(cell("returnedBytes"), "DstBytes"),
    },
    direction.startsWith("<"),
  );
  const state = cell("state") ?? "";
  const isOpened = protocol === TCP && direction.endsWith(">") && !direction.includes("?") && !isAnswerAlone(state, counts);
  if (isOpened) sink.stated({ ...common, ...answerOf(state, counts), ...counts });
  else addHalves({ ...common, ...messageOf(protocol, cell("sourcePort"), cell("destinationPort")) }, counts, state, sink);
}

interface Counts {
  readonly packets: number | undefined;
  readonly bytes: number | undefined;
  readonly returnedPackets: number | undefined;
  readonly returnedBytes: number | undefined;
}

interface Told {
  readonly packets: number | undefined;
  readonly sent: number | undefined;
  readonly returned: number | undefined;
  readonly bytes: number | undefined;
  readonly sentBytes: number | undefined;
  readonly returnedBytes: number | undefined;
}

/**
 * Returns the counts of both sides. ra's own choice of columns has only sums: of these one packet is given to a side that answered
 * (`isAnswered`, or it has bytes), since no more than the sum is ever shown.
 */
function countsOf({ packets, sent, returned, bytes, sentBytes, returnedBytes }: Told, isAnswered: boolean): Counts {
  const backBytes = returnedBytes ?? (bytes === undefined ? undefined : sentBytes === undefined ? 0 : Math.max(0, bytes - sentBytes));
  const rest = packets === undefined ? undefined : sent !== undefined ? Math.max(0, packets - sent) : undefined;
  const least = sentBytes === 0 ? Number.POSITIVE_INFINITY : isAnswered || (backBytes ?? 0) > 0 ? 1 : 0;
  const back = returned ?? rest ?? (packets === undefined ? undefined : Math.min(packets, least));
  return {
    packets: sent ?? (packets === undefined || back === undefined ? undefined : Math.max(0, packets - back)),
    bytes: sentBytes ?? (bytes === undefined || backBytes === undefined ? undefined : Math.max(0, bytes - backBytes)),
    returnedPackets: back,
    returnedBytes: backBytes,
  };
}

type Halves = Parameters<LogSink["half"]>[0];

function addHalves(flow: Halves, counts: Counts, state: string, sink: LogSink): void {
  const { packets, bytes, returnedPackets, returnedBytes } = counts;
  // What follows the handshake acknowledges (RFC 9293 section 3.10.7.4), and these states are of connections that came about.
  const sides = ESTABLISHED.has(state) ? ACK : undefined;
  const tcpFlags = isAnswerAlone(state, counts) ? SYN | ACK : packets === 0 ? undefined : sides;
  const returned =
    returnedPackets === undefined
      ? undefined
      : { packets: returnedPackets, bytes: returnedBytes, tcpFlags: sides, isLater: flow.protocol !== TCP };
  sink.half({ ...flow, packets, bytes, tcpFlags, returned });
}

/** Reports whether all that was seen is one SYN with ACK. Argus then has who sent it for the source (measured): it was asked. */
function isAnswerAlone(state: string, { packets, returnedPackets }: Counts): boolean {
  return (state === "ACC" || state === "SA_") && packets === 1 && returnedPackets === 0;
}

const ESTABLISHED = new Set(["CON", "EST", "FIN", "CLO"]);

/**
 * Returns what the other side did (ra(1), "state"). RST is a connection that was refused and one that was cut: with one packet each way
 * there was no handshake, which takes the source two. `ra -Z b` prints each side's flags in its place (`S_RA`), which tells.
 */
function answerOf(state: string, { packets, returnedPackets }: Counts): { answer?: "accepted" | "refused" | "none" } {
  const sides = /^([A-Z]*)_([A-Z]*)$/.exec(state);
  if (sides !== null) {
    const [, source, other] = sides;
    // What the source acknowledges was sent, whether argus saw it or not.
    if (other === "") return { answer: source.includes("A") ? "accepted" : "none" };
    return { answer: other.includes("S") || !other.includes("R") ? "accepted" : "refused" };
  }
  if (ESTABLISHED.has(state) || state === "ACC") return { answer: "accepted" };
  if (state === "REQ" && returnedPackets === 0) return { answer: "none" };
  return state === "RST" && packets === 1 && returnedPackets === 1 ? { answer: "refused" } : {};
}

/** ICMPv6 has its type and code in the ports, ICMP in one (`0x0303`: code, then type) with the identifier in the other. */
function messageOf(protocol: number, sport: unknown, dport: unknown): { icmpType?: number | undefined; icmpCode?: number | undefined } {
  if (!isIcmp(protocol) || isAbsent(sport)) return {};
  const both = typeof sport === "string" && /^0x[0-9a-f]{1,4}$/i.test(sport) ? Number.parseInt(sport.slice(2), 16) : undefined;
  if (both !== undefined) return { icmpType: both & 255, icmpCode: both >> 8 };
  return { icmpType: integerOf(sport, "Sport", 255), icmpCode: integerOf(dport, "Dport", 255) };
}

function skipPortless(sink: LogSink): void {
  sink.skip("no ports");
  sink.gap("partial", 1, (count) => `${count} records have no ports: argus tells those of TCP and UDP`);
}

/** The monitor's own id; 0.0.0.0 where it was given none. */
function reporterOf(id: string | undefined): string {
  return id === undefined || id === "0.0.0.0" ? "" : id;
}

/** A day before the time: the formats that people set (RA_TIME_FORMAT). */
const DATED = /^(\d{4})[-/](\d\d)[-/](\d\d)[ T.](\d\d:\d\d:\d\d(?:\.\d{1,9})?)$/;

/** Reads the times of one log. */
type ReadTime = (value: string | undefined, name: string) => Instant | undefined;

/**
 * Returns what reads moments: undefined where only the time of the day is told, which ra prints, of its machine's zone, where it is not
 * asked for more (`-u` prints seconds since 1970). A day without a zone is taken as UTC.
 */
function timesOf(sink: LogSink): ReadTime {
  const told = new Set<string>();
  const tell = (what: string) => {
    if (!told.has(what)) sink.gap("partial", null, () => what);
    told.add(what);
  };
  return (value, name) => {
    if (isAbsent(value)) return undefined;
    const text = value!;
    if (/^\d{6,}(\.\d+)?$/.test(text)) return epochOf(text, name, 1);
    if (/^\d\d:\d\d:\d\d(\.\d+)?$/.test(text)) {
      tell("ra printed times without a day, so that nothing is known of when: `ra -u` prints whole ones");
      return undefined;
    }
    const dated = DATED.exec(text);
    const time = dated === null ? undefined : parseRfc3339(`${dated[1]}-${dated[2]}-${dated[3]}T${dated[4]}Z`);
    if (time === undefined || time.seconds < 0 || time.seconds > 0xffffffff) throw new BadRecord(`${name} is no time \`${shown(value)}\``);
    tell("ra does not name the zone of its times: they are taken as UTC (`ra -u` needs none)");
    return time;
  };
}
