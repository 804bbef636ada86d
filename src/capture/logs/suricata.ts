import { hasPorts, ICMPV6, IGMP, isIcmp, SCTP, TCP } from "../../net/protocol.ts";
import { ACK, PSH, RST, SYN } from "../../net/tcpFlags.ts";
import type { Instant } from "../../net/time.ts";
import { SKIP_REASONS, UPKEEP } from "../skipReasons.ts";
import { countOf, type Fields, integerOf, objectIn, plainText, portOf, protocolOf, rfc3339Of, shown, textIn, textsIn } from "./fields.ts";
import { BadRecord, type LogContext, type LogHead, type ObjectFormat } from "./flowLog.ts";
import { answered, type LoggedFlow, type LogSink } from "./logSink.ts";

/*
 * Suricata's EVE JSON (Suricata User Guide, "Eve JSON Format"; src/output-json-flow.c): of its events, `flow` is a connection with both
 * directions and frames' bytes, `dns` tells names, `stats` what the capture lost. `netflow` events tell the same as `flow` ones in two
 * records, so they are left out; `timestamp` is when an event was written.
 */

/** The other events (etc/schema.json): what else a log may hold is counted together. */
const OTHER_EVENTS = new Set(
  (
    "alert anomaly arp bittorrent_dht dcerpc dhcp dnp3 doh2 drop engine enip fileinfo frame ftp ftp_data http http2 ike krb5 ldap mdns " +
    "metadata modbus mqtt nfs packet pgsql pop3 quic rdp rfb sip smb smtp snmp ssh stats template tftp tls websocket dns"
  ).split(" "),
);

export const suricata: ObjectFormat = {
  name: "suricata",
  title: "Suricata EVE JSON (flow events)",
  unit: "object",
  recognizes: ({ objects }: LogHead) => objects.some(isEve),
  open: ({ sink }: LogContext) => {
    let dropped = 0;
    return {
      read(event) {
        const type = event.event_type;
        if (typeof type !== "string") throw new BadRecord(`event_type is missing \`${shown(event)}\``);
        if (type === "flow") return readFlow(event, sink);
        if (type === "netflow") return sink.skip("EVE netflow event (one direction of what a flow event tells)");
        if (type === "dns") readAnswer(objectIn(event, "dns"), sink);
        if (type === "stats") dropped = readStats(event, dropped, sink);
        sink.skip(`EVE event of another type (${OTHER_EVENTS.has(type) ? type : "unknown"})`);
      },
    };
  },
};

function isEve(object: Fields): boolean {
  if (typeof object.event_type !== "string" || typeof object.timestamp !== "string") return false;
  if (object.event_type === "stats") return "stats" in object;
  return "flow_id" in object && "src_ip" in object && "dest_ip" in object && "proto" in object;
}

/** Packets that the kernel could not hand over are counted since the start: of each event what is more than the one before said. */
function readStats(event: Fields, before: number, sink: LogSink): number {
  const drops = countOf(objectIn(objectIn(event, "stats"), "capture").kernel_drops, "stats.capture.kernel_drops") ?? 0;
  const more = drops < before ? drops : drops - before;
  if (more > 0) sink.gap("lost", more, (count) => `Suricata's capture lost ${count} packets (capture.kernel_drops)`);
  return drops;
}

/** Names what was asked for by the addresses in the answer: `detailed` answers, `grouped` ones, and version 1 with one a record. */
function readAnswer(dns: Fields, sink: LogSink): void {
  if (dns.type !== "answer" && dns.type !== "response") return;
  if (dns.rcode !== undefined && dns.rcode !== "NOERROR") return;
  const [query] = Array.isArray(dns.queries) ? (dns.queries as unknown[]) : [];
  const asked = typeof query === "object" && query !== null ? textIn(query as Fields, "rrname") : undefined;
  const name = asked ?? textIn(dns, "rrname");
  if (name === undefined) return;
  const addresses = [dns, ...(Array.isArray(dns.answers) ? (dns.answers as unknown[]) : [])].flatMap((answer) =>
    typeof answer === "object" && answer !== null && /^A(AAA)?$/.test(plainText((answer as Fields).rrtype))
      ? [(answer as Fields).rdata]
      : [],
  );
  const grouped = objectIn(dns, "grouped");
  for (const address of [...addresses, ...textsIn(grouped, "A"), ...textsIn(grouped, "AAAA")])
    if (typeof address === "string") sink.answer(address, name);
}

function readFlow(event: Fields, sink: LogSink): void {
  const { flow } = event;
  if (typeof flow !== "object" || flow === null) throw new BadRecord("flow is missing");
  const counts = flow as Fields;
  const protocol = protocolOf(event.proto);
  if (protocol === IGMP) return sink.skip(SKIP_REASONS[UPKEEP]);
  const connection = {
    source: sink.end(event.src_ip, "src_ip"),
    destination: sink.end(event.dest_ip, "dest_ip"),
    protocol,
    start: timeOf(counts.start, "flow.start"),
    end: timeOf(counts.end, "flow.end"),
    packets: countOf(counts.pkts_toserver, "pkts_toserver"),
    bytes: countOf(counts.bytes_toserver, "bytes_toserver"),
    returnedPackets: countOf(counts.pkts_toclient, "pkts_toclient"),
    returnedBytes: countOf(counts.bytes_toclient, "bytes_toclient"),
    // An inline Suricata's own rules: as a cloud's firewall, no network policy.
    cloudDenied: counts.action === "drop",
    isWhole: true,
  };
  if (isIcmp(protocol)) return addMessages(connection, event, sink);
  if (!hasPorts(protocol)) return sink.stated({ ...connection, answer: answered(connection.returnedPackets) });
  const ports = { sourcePort: portOf(event.src_port, "src_port"), destinationPort: portOf(event.dest_port, "dest_port") };
  if (protocol === TCP) addTcp({ ...connection, ...ports }, objectIn(event, "tcp"), sink);
  else if (protocol === SCTP) {
    // An ABORT is an answer too.
    sink.stated({ ...connection, ...ports, answer: connection.returnedPackets === 0 ? "none" : undefined });
  } else sink.stated({ ...connection, ...ports, answer: answered(connection.returnedPackets) });
}

/** The zone has no colon there: `2021-06-07T04:26:27.668954+0200`. */
function timeOf(value: unknown, name: string): Instant | undefined {
  return rfc3339Of(typeof value === "string" ? value.replace(/([+-]\d\d)(\d\d)$/, "$1:$2") : value, name);
}

/**
 * The flags of all packets to the server and to the client tell who began, and how it ended. Both are 0 where Suricata followed no
 * session: packets of one that was older than itself, whose ends it names in the order that it saw them.
 */
function addTcp(connection: LoggedFlow, tcp: Fields, sink: LogSink): void {
  const toServer = flagsOf(tcp.tcp_flags_ts, "tcp_flags_ts");
  const toClient = flagsOf(tcp.tcp_flags_tc, "tcp_flags_tc");
  if (((toServer | toClient) & SYN) !== 0) {
    sink.stated({ ...connection, answer: tcpAnswer(toServer, toClient, connection.returnedPackets) });
    return;
  }
  const { returnedPackets, returnedBytes, ...half } = connection;
  const isTold = toServer !== 0 || toClient !== 0;
  sink.half({
    ...half,
    tcpFlags: isTold ? withoutReset(toServer) : undefined,
    areFlagsMerged: true,
    returned: { packets: returnedPackets ?? 0, bytes: returnedBytes, tcpFlags: isTold ? withoutReset(toClient) : undefined },
  });
}

function tcpAnswer(toServer: number, toClient: number, returnedPackets: number | undefined): LoggedFlow["answer"] {
  if ((toClient & SYN) !== 0) return "accepted";
  if ((toClient & RST) !== 0) return "refused";
  // The other side was not captured, but this one went on after its SYN. (A RST has ACK as well.)
  if ((withoutReset(toServer) & (ACK | RST)) === ACK) return "accepted";
  return returnedPackets === 0 ? "none" : undefined;
}

/** Flags of all packets together: a RST after data says less than the data. */
function withoutReset(flags: number): number {
  return (flags & PSH) !== 0 ? flags & ~RST : flags;
}

/** Two hexadecimal digits; 0 where there are none. */
function flagsOf(value: unknown, name: string): number {
  if (value === undefined) return 0;
  if (typeof value !== "string" || !/^[0-9a-fA-F]{1,4}$/.test(value)) throw new BadRecord(`${name} is not hexadecimal \`${shown(value)}\``);
  return Number.parseInt(value, 16) & 255;
}

/** ICMP types that ask to be answered: echo, timestamp, information and address mask (RFC 792, RFC 950, RFC 4443 section 4.1). */
const REQUESTS = new Set([8, 13, 15, 17]);

function addMessages(connection: LoggedFlow, event: Fields, sink: LogSink): void {
  const { protocol, returnedPackets, returnedBytes } = connection;
  const icmpType = integerOf(event.icmp_type, "icmp_type", 255);
  const messages = { ...connection, icmpType, icmpCode: integerOf(event.icmp_code, "icmp_code", 255) };
  if (icmpType !== undefined && (protocol === ICMPV6 ? icmpType === 128 : REQUESTS.has(icmpType)))
    sink.stated({ ...messages, answer: returnedPackets === 0 ? "none" : answered(returnedPackets) });
  else sink.half({ ...messages, returned: { packets: returnedPackets ?? 0, bytes: returnedBytes } });
}
