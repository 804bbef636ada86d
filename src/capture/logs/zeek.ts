import { isIPv4 } from "../../net/address.ts";
import { plural } from "../../net/number.ts";
import { hasPorts, ICMPV6, IGMP, isIcmp, TCP, UDP } from "../../net/protocol.ts";
import { ACK, RST, SYN } from "../../net/tcpFlags.ts";
import type { Instant } from "../../net/time.ts";
import { SKIP_REASONS, UPKEEP } from "../skipReasons.ts";
import { countOf, epochOf, type Fields, integerOf, isAbsent, later, plainText, portOf, protocolOf, rfc3339Of, shown } from "./fields.ts";
import { BadRecord, type LineFormat, type LogContext, type LogHead, type ObjectFormat } from "./flowLog.ts";
import { answered, type LogEnd, type LoggedFlow, type LogSink } from "./logSink.ts";

/*
 * Zeek's conn.log (scripts/base/protocols/conn/main.zeek): one record a connection with both its directions, as columns under a header
 * that names them, or as JSON. Bytes are those of IP packets, the nearest to whole frames that the log has.
 *
 * Who began: id.orig_* sent the first packet, except that Zeek swaps both ends where that packet is no SYN and comes from a likely
 * server port (packet_analysis/protocol/tcp/TCP.cc, WantConnection; `^` in the history). A SYN-ACK swaps nothing by itself. So of TCP
 * it is told by handshake letters of `history` alone (S of the originator, h of the responder), and of UDP where nothing was swapped.
 */

/** Returns the value of a field, whatever the layout. */
type Values = (name: string) => unknown;

export const zeek: LineFormat = {
  name: "zeek",
  title: "Zeek conn.log (columns)",
  unit: "line",
  recognizes: ({ lines }: LogHead) =>
    lines.some((line) => /^#path\W{1,4}conn$/.test(line) || (/^#fields\W/.test(line) && isOfConnections(line))),
  open: ({ sink, fields }: LogContext) => {
    const reader = new TableReader(sink, fields);
    return { read: (line) => reader.read(line) };
  },
};

export const zeekJson: ObjectFormat = {
  name: "zeek",
  title: "Zeek conn.log (JSON)",
  unit: "object",
  recognizes: ({ objects }: LogHead) => objects.some(isConnection),
  open: ({ sink }: LogContext) => ({ read: (object) => readObject(object, sink) }),
};

/** Reports whether a header line names what no other log of Zeek has. */
function isOfConnections(line: string): boolean {
  return line.includes("id.orig_h") && line.includes("conn_state");
}

function isConnection(object: Fields): boolean {
  return "id.orig_h" in object && "id.resp_h" in object && "proto" in object && ("conn_state" in object || object._path === "conn");
}

function readObject(object: Fields, sink: LogSink): void {
  if (!("id.orig_h" in object) && !("ts" in object)) throw new BadRecord(`no Zeek record \`${shown(object)}\``);
  if (!isConnection(object)) return sink.skip("record of another Zeek log");
  addConnection((name) => object[name], sink);
}

/** Reads lines by the header before them. Files that were joined have several. */
class TableReader {
  readonly #sink: LogSink;
  #separator = "\t";
  #unset = "-";
  #columns: ReadonlyMap<string, number> | undefined;
  #isConnections = true;

  constructor(sink: LogSink, fields: readonly string[] | undefined) {
    this.#sink = sink;
    if (fields !== undefined) this.#columns = new Map(fields.map((name, i) => [name, i]));
  }

  read(line: string): void {
    if (line.charCodeAt(0) === 0x23) return this.#header(line);
    if (!this.#isConnections) return this.#sink.skip("record of another Zeek log");
    const columns = this.#columns;
    if (columns === undefined) throw new BadRecord("no #fields line came before it: --flow-fields tells which there are");
    const cells = line.split(this.#separator);
    if (cells.length !== columns.size)
      throw new BadRecord(`the line has not as many fields as #fields names \`${cells.length} in place of ${columns.size}\``);
    addConnection((name) => {
      const place = columns.get(name);
      return place === undefined || cells[place] === this.#unset ? undefined : cells[place];
    }, this.#sink);
  }

  #header(line: string): void {
    // This one alone has a space, whatever separates the others.
    const separator = /^#separator (.+)$/.exec(line)?.[1];
    if (separator !== undefined) {
      this.#separator = separator.replace(/\\x([0-9a-fA-F]{2})/g, (_, digits: string) => String.fromCharCode(Number.parseInt(digits, 16)));
      this.#columns = undefined;
      this.#isConnections = true;
      return;
    }
    const [key, ...values] = line.split(this.#separator);
    if (key === "#unset_field") this.#unset = values[0] ?? "-";
    else if (key === "#path") this.#isConnections = values[0] === "conn";
    else if (key === "#fields") {
      this.#columns = new Map(values.map((name, i) => [name, i]));
      for (const name of ["id.orig_h", "id.resp_h", "proto"])
        if (this.#isConnections && !this.#columns.has(name)) throw new BadRecord(`#fields lacks ${name}`);
    }
  }
}

function addConnection(value: Values, sink: LogSink): void {
  const source = sink.end(value("id.orig_h"), "id.orig_h");
  const destination = sink.end(value("id.resp_h"), "id.resp_h");
  const protocol = transportOf(value, source);
  if (protocol === IGMP) return sink.skip(SKIP_REASONS[UPKEEP]);
  const start = timeOf(value("ts"));
  const missed = countOf(value("missed_bytes"), "missed_bytes");
  const connection = {
    source,
    destination,
    protocol,
    start,
    end: endOf(start, value("duration")),
    packets: countOf(value("orig_pkts"), "orig_pkts"),
    bytes: countOf(value("orig_ip_bytes"), "orig_ip_bytes"),
    returnedPackets: countOf(value("resp_pkts"), "resp_pkts"),
    returnedBytes: countOf(value("resp_ip_bytes"), "resp_ip_bytes"),
    isWhole: true,
  };
  const [state, history] = [textOf(value("conn_state")), textOf(value("history"))];
  if (isIcmp(protocol)) addMessages(connection, value, sink);
  else if (!hasPorts(protocol)) sink.stated({ ...connection, answer: answered(connection.returnedPackets) });
  else {
    const ports = { sourcePort: portOf(value("id.orig_p"), "id.orig_p"), destinationPort: portOf(value("id.resp_p"), "id.resp_p") };
    if (!isOriginatorKnown(protocol, state, history)) addUndirected({ ...connection, ...ports }, history ?? "", sink);
    else sink.stated({ ...connection, ...ports, answer: answerOf(protocol, state, history, connection.returnedPackets) });
  }
  if (missed !== undefined && missed > 0)
    sink.gap("lost", 1, (count) => `Zeek did not see all content of ${plural(count, "connection")} (missed_bytes)`);
}

/** `proto` has icmp for both families, and unknown_transport for what has a number in ip_proto only (Zeek 7.1 and later). */
function transportOf(value: Values, source: LogEnd): number {
  const proto = value("proto");
  const protocol = protocolOf(proto === "unknown_transport" ? (value("ip_proto") ?? proto) : proto);
  return isIcmp(protocol) && !isIPv4(source.address) ? ICMPV6 : protocol;
}

/** Seconds, or as JSON also RFC 3339 or milliseconds (LogAscii::json_timestamps). */
function timeOf(value: unknown): Instant | undefined {
  if (typeof value === "string" && value.includes("T")) return rfc3339Of(value, "ts");
  return epochOf(value, "ts", Number(plainText(value)) >= 1e11 ? 1e3 : 1);
}

function endOf(start: Instant | undefined, duration: unknown): Instant | undefined {
  if (start === undefined || isAbsent(duration)) return undefined;
  const seconds = typeof duration === "string" ? Number(duration) : duration;
  if (typeof seconds !== "number" || !(seconds >= 0 && seconds < 1e9)) throw new BadRecord(`duration is no time \`${shown(duration)}\``);
  return later(start, seconds);
}

function textOf(value: unknown): string | undefined {
  return typeof value === "string" && value !== "" ? value : undefined;
}

/** States of a TCP connection whose handshake was not seen; of the others SHR and RSTRH begin with the responder's SYN-ACK. */
const UNSURE_STATES = new Set(["OTH", undefined]);

function isOriginatorKnown(protocol: number, state: string | undefined, history: string | undefined): boolean {
  if (protocol === TCP) return history === undefined ? !UNSURE_STATES.has(state) : /[Sh]/.test(history) && !/[sH]/.test(history);
  // Of SHR and OTH the originator sent nothing.
  if (protocol === UDP) return history?.includes("^") !== true && state !== "SHR" && state !== "OTH";
  return history?.includes("^") !== true;
}

/** What came of a TCP connection (main.zeek, conn_state). SH, SHR, RSTRH and OTH have seen one side, or no handshake. */
const TCP_ANSWERS: Readonly<Record<string, LoggedFlow["answer"]>> = {
  S0: "none",
  RSTOS0: "none",
  REJ: "refused",
  S1: "accepted",
  S2: "accepted",
  S3: "accepted",
  SF: "accepted",
  RSTO: "accepted",
  RSTR: "accepted",
};

function answerOf(
  protocol: number,
  state: string | undefined,
  history: string | undefined,
  returnedPackets: number | undefined,
): LoggedFlow["answer"] {
  // A datagram needs no answer: that none came says nothing.
  if (protocol === UDP) return state === "SF" ? "accepted" : answered(returnedPackets);
  if (protocol !== TCP) return undefined;
  // Zeek calls it rejected too where both sides reset a connection that had carried nothing.
  if (history?.includes("h") === true) return "accepted";
  const answer = TCP_ANSWERS[state ?? ""];
  if (answer !== undefined) return answer;
  if (history === undefined) return state === "SHR" || state === "RSTRH" ? "accepted" : undefined;
  // One side only was seen, but it went on after its SYN: the other had answered.
  if (/[AD]/.test(history)) return "accepted";
  return history.includes("r") ? "refused" : "none";
}

/** Adds a connection of which neither end is known to have begun. */
function addUndirected(connection: LoggedFlow, history: string, sink: LogSink): void {
  const { source, destination, protocol, sourcePort, destinationPort, start, end, packets, bytes, returnedPackets, returnedBytes } =
    connection;
  sink.half({
    source,
    destination,
    protocol,
    sourcePort,
    destinationPort,
    start,
    end,
    packets,
    bytes,
    tcpFlags: flagsOf(history),
    returned: {
      packets: returnedPackets ?? (/[a-z]/.test(history) ? 1 : 0),
      bytes: returnedBytes,
      tcpFlags: flagsOf(history.replace(/[A-Za-z]/g, (letter) => (letter < "a" ? "" : letter.toUpperCase()))),
      isLater: !history.includes("^"),
    },
  });
}

/** Returns the control bits that tell most of what the sender of the upper-case letters did: a RST after data says less than the data. */
function flagsOf(history: string): number {
  if (history.includes("H")) return SYN | ACK;
  if (history.includes("S")) return SYN;
  if (/[ADF]/.test(history)) return ACK;
  return history.includes("R") ? RST : 0;
}

/** ICMP types of which Zeek writes the answer's type in place of the code, which is 0 (packet_analysis/protocol/icmp/ICMP.cc). */
const TWO_WAY = new Set([0, 8, 9, 10, 13, 14, 15, 16, 17, 18]);
const TWO_WAY_V6 = new Set([128, 129, 130, 131, 132, 133, 134, 135, 136, 139, 140, 144, 145, 146, 147]);
/** Of these, what asks to be answered: echo, timestamp, information and address mask (RFC 792, RFC 950, RFC 4443 section 4.1). */
const REQUESTS = new Set([8, 13, 15, 17]);

/** ICMP "ports" are the type and the code. */
function addMessages(connection: LoggedFlow, value: Values, sink: LogSink): void {
  const { protocol, returnedPackets, returnedBytes } = connection;
  const icmpType = integerOf(value("id.orig_p"), "id.orig_p", 255);
  const second = integerOf(value("id.resp_p"), "id.resp_p", 255);
  const isV6 = protocol === ICMPV6;
  const icmpCode = icmpType !== undefined && (isV6 ? TWO_WAY_V6 : TWO_WAY).has(icmpType) ? 0 : second;
  const messages = { ...connection, icmpType, icmpCode };
  if (icmpType !== undefined && (isV6 ? icmpType === 128 : REQUESTS.has(icmpType)))
    sink.stated({ ...messages, answer: returnedPackets === 0 ? "none" : answered(returnedPackets) });
  else sink.half({ ...messages, returned: { packets: returnedPackets ?? 0, bytes: returnedBytes } });
}
