import { hasPorts, ICMP, ICMPV6, isIcmp, SCTP, TCP, UDP } from "../../net/protocol.ts";
import { ARP, NOT_IP, ORPHAN_FRAGMENT, SKIP_REASONS } from "../skipReasons.ts";
import { integerOf, portOf, protocolOf, rfc3339Of, shown } from "./fields.ts";
import { BadRecord, type LineFormat, type LogContext, type LogHead } from "./flowLog.ts";
import type { LogSink } from "./logSink.ts";

/*
 * What ACLs of OVN log (ovn lib/acl-log.c; the packet as Open vSwitch writes a flow): ovn-controller.log and acl-audit-log.log of
 * OVN-Kubernetes, Kube-OVN and OpenStack. A line is a packet that an ACL matched, at the sender's (from-lport) or the receiver's
 * (to-lport) port, so a denial at one outweighs what the other allows.
 *
 * Packets of a connection that was allowed are matched again, answers to it only by stateless ACLs or where ACLs log them
 * (log-related): an answer may be in the log, and none in it says nothing. So every packet is one direction, of which the SYN tells
 * who began; and packets are not counted, since a meter drops lines.
 */

/** What is looked at of a line: expressions over more of it would take the square of its length. */
const MOST_LOOKED_AT = 4096;
const ACL_LOG = /^acl_log(?:\([^)]*\))?\|[A-Z]+\|name=/;
const MESSAGE =
  /^acl_log(?:\([^)]*\))?\|[A-Z]+\|name=(?:"(?:[^"\\]|\\.)*"|[^,]*), *verdict="?([^",]+)"?, *severity="?[^",:]+"?(?:, *direction="?([^":]*)"?)?: *(.*)$/;
/** How every line of an Open vSwitch or OVN log begins (vlog(5)); of these the ones that OVN's controller begins with. */
const CONTROLLER_LOG = /^\d{4}-\d\d-\d\dT[\d:.]+Z\|\d+\|[\w()]+\|[A-Z]+\|.*(?:ovn-controller|OVN internal version|acl-audit)/;

export const ovn: LineFormat = {
  name: "ovn",
  title: "OVN ACL log",
  unit: "line",
  recognizes: ({ lines }: LogHead) =>
    lines.some(
      (line) => line.charCodeAt(0) !== 0x7b && (ACL_LOG.test(messageIn(line)) || CONTROLLER_LOG.test(line.slice(0, MOST_LOOKED_AT))),
    ),
  open: ({ sink }: LogContext) => {
    sink.gap(
      "rate-limited",
      null,
      () =>
        "OVN drops ACL log lines above its meter's rate (OVN-Kubernetes: 20 a second and node unless configured), and logs no connection that no logging ACL matched",
    );
    return { read: (line) => readLine(line, sink) };
  },
};

/** Returns a line from its ACL message on; empty where it has none. */
function messageIn(line: string): string {
  const at = line.indexOf("acl_log");
  return at < 0 ? "" : line.slice(at, at + MOST_LOOKED_AT);
}

function readLine(line: string, sink: LogSink): void {
  if (!ACL_LOG.test(messageIn(line))) return sink.skip("line of another module of OVN");
  const message = MESSAGE.exec(messageIn(line));
  if (message === null) throw new BadRecord(`no ACL log message \`${shown(line.slice(line.indexOf("acl_log")))}\``);
  const [, verdict, , flow] = message;
  addPacket(line, verdictOf(verdict), flow, sink);
}

/** `pass` leaves it to ACLs of a lower tier, which may log nothing. */
function verdictOf(verdict: string): "allow" | "deny" | undefined {
  if (verdict === "allow") return "allow";
  if (verdict === "drop" || verdict === "reject") return "deny";
  if (verdict === "pass") return undefined;
  throw new BadRecord(`verdict is not allow, drop, reject or pass \`${shown(verdict)}\``);
}

/** Words for what a packet is (ovs-fields(7), "Table of Field Names and shorthands"). */
const TRANSPORTS: ReadonlyMap<string, number> = new Map([
  ["tcp", TCP],
  ["tcp6", TCP],
  ["udp", UDP],
  ["udp6", UDP],
  ["sctp", SCTP],
  ["sctp6", SCTP],
  ["icmp", ICMP],
  ["icmp6", ICMPV6],
]);

function addPacket(line: string, verdict: "allow" | "deny" | undefined, flow: string, sink: LogSink): void {
  const values = new Map<string, string>();
  for (const part of flow.split(",")) {
    const equals = part.indexOf("=");
    if (equals < 0) values.set(part.trim(), "");
    else values.set(part.slice(0, equals).trim(), part.slice(equals + 1).trim());
  }
  const protocol = protocolIn(values);
  if (protocol === undefined) return sink.skip(SKIP_REASONS[values.has("arp") || values.has("rarp") ? ARP : NOT_IP]);
  if (values.get("nw_frag") === "later" && hasPorts(protocol)) return sink.skip(SKIP_REASONS[ORPHAN_FRAGMENT]);
  const isV6 = values.has("ipv6_src");
  sink.half({
    source: sink.end(values.get(isV6 ? "ipv6_src" : "nw_src"), isV6 ? "ipv6_src" : "nw_src"),
    destination: sink.end(values.get(isV6 ? "ipv6_dst" : "nw_dst"), isV6 ? "ipv6_dst" : "nw_dst"),
    protocol,
    sourcePort: hasPorts(protocol) ? portOf(values.get("tp_src"), "tp_src") : undefined,
    destinationPort: hasPorts(protocol) ? portOf(values.get("tp_dst"), "tp_dst") : undefined,
    icmpType: isIcmp(protocol) ? integerOf(values.get("icmp_type"), "icmp_type", 255) : undefined,
    icmpCode: isIcmp(protocol) ? integerOf(values.get("icmp_code"), "icmp_code", 255) : undefined,
    start: timeOf(line),
    tcpFlags: flagsOf(values.get("tcp_flags")),
    verdict,
    denialDecides: true,
    isOneSided: true,
  });
}

function protocolIn(values: ReadonlyMap<string, string>): number | undefined {
  for (const [word, protocol] of TRANSPORTS) if (values.has(word)) return protocol;
  return values.has("ip") || values.has("ipv6") ? protocolOf(values.get("nw_proto")) : undefined;
}

/** Control bits by their names in Open vSwitch (lib/packets.c), low to high: FIN is 1. */
const FLAGS = ["fin", "syn", "rst", "psh", "ack", "urg", "ece", "cwr", "ns"];

/** `psh|ack`, or a number for those without a name. */
function flagsOf(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  let flags = 0;
  for (const word of text.split("|")) if (FLAGS.includes(word)) flags |= 1 << FLAGS.indexOf(word);
  return flags;
}

/** The message's own time stands right before it; a line that went through a collector or syslog may have others before. */
function timeOf(line: string) {
  const before = line.slice(0, line.indexOf("acl_log"));
  const times = before.match(/\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)/g);
  return rfc3339Of(times?.at(-1), "the time");
}
