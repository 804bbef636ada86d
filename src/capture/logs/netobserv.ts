import { ACCEPTED, FINISHED, OPENED, RESET, SPOKE } from "../../flow/flowTable.ts";
import { TCP } from "../../net/protocol.ts";
import { ACK, FIN, RST, SYN } from "../../net/tcpFlags.ts";
import { countOf, epochOf, type Fields, integerOf, isAbsent, plainText, portOf, protocolOf, shown, textIn } from "./fields.ts";
import { BadRecord, type LogContext, type LogHead, type ObjectFormat } from "./flowLog.ts";
import type { LogEnd, LogSink } from "./logSink.ts";
import { RunningTotals } from "./runningTotals.ts";

/*
 * Flows of NetObserv (netobserv-operator, docs/flows-format.adoc; bpf/utils.h of its agent): what flowlogs-pipeline gives to Kafka and
 * writes as JSON. A record is one direction of a 5-tuple in an interval, as one node saw it. With conversation tracking there are
 * records of whole connections besides, or in place of those.
 */

export const netobserv: ObjectFormat = {
  name: "netobserv",
  title: "NetObserv flows",
  unit: "object",
  recognizes: ({ objects }: LogHead) =>
    objects.some((object) => "SrcAddr" in object && "DstAddr" in object && ("TimeFlowStartMs" in object || "TimeFlowEndMs" in object)),
  open: ({ sink }: LogContext) => {
    const totals = new RunningTotals(sink);
    return {
      read(record) {
        if (record.Duplicate === true) return sink.skip("a duplicate (another interface saw the same packets)");
        if (!isAbsent(record.Etype) && !IP_ETYPES.has(Number(plainText(record.Etype)))) return sink.skip("not IP");
        const type = textIn(record, "_RecordType") ?? "flowLog";
        if (CONVERSATIONS.has(type)) addConversation(record, totals, sink);
        else if (type === "flowLog") addFlow(record, sink);
        else throw new BadRecord(`unknown _RecordType \`${shown(type)}\``);
      },
    };
  },
};

/** EtherTypes of IPv4 and IPv6 (IEEE registration authority). */
const IP_ETYPES = new Set([0x0800, 0x86dd]);
/** Records of conversation tracking; releases before 1.3 call the heartbeat an update. */
const CONVERSATIONS = new Set(["newConnection", "heartbeat", "updateConnection", "endConnection"]);

function addFlow(record: Fields, sink: LogSink): void {
  const protocol = protocolOf(record.Proto);
  const packets = countOf(record.Packets, "Packets");
  tellSampling(record, sink);
  sink.half({
    source: endOf(record, "Src", sink),
    destination: endOf(record, "Dst", sink),
    protocol,
    sourcePort: portOf(record.SrcPort, "SrcPort"),
    destinationPort: portOf(record.DstPort, "DstPort"),
    icmpType: integerOf(record.IcmpType, "IcmpType", 255),
    icmpCode: integerOf(record.IcmpCode, "IcmpCode", 255),
    start: epochOf(record.TimeFlowStartMs, "TimeFlowStartMs", 1e3),
    end: epochOf(record.TimeFlowEndMs, "TimeFlowEndMs", 1e3),
    packets,
    bytes: countOf(record.Bytes, "Bytes"),
    sender: protocol === TCP ? senderOf(record.Flags) : undefined,
    ...aclOf(record.NetworkEvents),
    reporter: observerOf(record),
  });
}

function tellSampling(record: Fields, sink: LogSink): void {
  const sampling = integerOf(record.Sampling, "Sampling", 0xffffffff);
  if (sampling === undefined)
    sink.gap("sampled", null, () => "the flows do not tell whether packets were sampled, which NetObserv does unless it is told otherwise");
  else if (sampling > 1) sink.gap("sampled", null, () => "packets were sampled: a connection that is not in the flows may have been made");
}

/** Only a pod's record names a pod: Services and nodes stand in the same fields. */
function endOf(record: Fields, end: "Src" | "Dst", sink: LogSink): LogEnd {
  const field = (name: string) => textIn(record, `${end}K8S_${name}`);
  const address = end === "Src" ? record.SrcAddr : record.DstAddr;
  const [namespace, name] = [field("Namespace"), field("Name")];
  if (field("Type") !== "Pod" || namespace === undefined || name === undefined) return sink.end(address, `${end}Addr`);
  const [kind, owner] = [field("OwnerType"), field("OwnerName")];
  const isMade = kind !== undefined && owner !== undefined && kind !== "Pod";
  return sink.end(address, `${end}Addr`, { pod: `${namespace}/${name}`, ...(isMade ? { workload: `${kind}/${owner}` } : {}) });
}

/**
 * Who saw a flow: the agent, one a node. Both halves of a connection pass it, in opposite directions. Where the record does not name
 * it, it is the node of the end that the direction tells (0: incoming, of the destination; 1: outgoing, of the source; 2: both).
 */
function observerOf(record: Fields): string {
  const agent = textIn(record, "AgentIP");
  if (agent !== undefined) return agent;
  const end = integerOf(record.FlowDirection, "FlowDirection", 2) === 0 ? "Dst" : "Src";
  return textIn(record, `${end}K8S_HostIP`) ?? textIn(record, `${end}K8S_HostName`) ?? "";
}

const [SYN_ACK, FIN_ACK, RST_ACK] = [0x100, 0x200, 0x400];
const FLAGS = new Map(Object.entries({ FIN, SYN, RST, ACK, SYN_ACK, FIN_ACK, RST_ACK }));

/**
 * Returns what the sender did by `Flags`, a number or names. The agent sets one bit a packet, with bits of their own for SYN, FIN and
 * RST together with ACK: so that SYN is always a client's and SYN_ACK always a server's.
 */
function senderOf(flags: unknown): number | undefined {
  if (isAbsent(flags)) return undefined;
  const bits = Array.isArray(flags)
    ? flags.reduce<number>((all, name) => all | (FLAGS.get(plainText(name)) ?? 0), 0)
    : integerOf(flags, "Flags", 0xffff)!;
  const has = (either: number) => (bits & either) !== 0;
  return (
    (has(SYN) ? OPENED : 0) |
    (has(SYN_ACK) ? ACCEPTED : 0) |
    (has(ACK | FIN_ACK) ? SPOKE : 0) |
    (has(RST | RST_ACK) ? RESET : 0) |
    (has(FIN | FIN_ACK) ? FINISHED : 0)
  );
}

/** What OVN-Kubernetes enforces with the same rules, though it is no network policy: egress firewalls, user-defined networks. */
const OTHER_RULES = new Set(["EgressFirewall", "UDNIsolation"]);

/**
 * Returns what rules of OVN-Kubernetes said of a flow (`NetworkEvents`): one that denied it outweighs all that allowed it. What the
 * kernel dropped (`PktDrop*`) is no rule's word.
 */
function aclOf(events: unknown) {
  let verdict: "allow" | "deny" | undefined;
  let cloudDenied = false;
  for (const event of Array.isArray(events) ? events : []) {
    if (typeof event !== "object" || event === null) continue;
    const { Feature: feature, Action: action, Type: type } = event as Fields;
    if (feature !== "acl" || typeof action !== "string") continue;
    if (action === "drop" || action === "reject") {
      if (typeof type === "string" && OTHER_RULES.has(type)) cloudDenied = true;
      else verdict = "deny";
    } else if (action.startsWith("allow")) verdict ??= "allow";
  }
  return { verdict: cloudDenied && verdict === "allow" ? undefined : verdict, cloudDenied, denialDecides: true };
}

/**
 * Adds what a conversation has grown by: its records count all since its beginning. A is the end that the first flow came from, unless
 * that flow was a server's SYN_ACK: of a connection that was under way before it may be either. So both directions are halves.
 */
function addConversation(record: Fields, totals: RunningTotals, sink: LogSink): void {
  const count = (name: string) => countOf(record[name], name);
  const counters = [count("Packets_AB"), count("Bytes_AB"), count("Packets_BA"), count("Bytes_BA")];
  const isCounted = counters[0] !== undefined && counters[1] !== undefined;
  const conversation = `${textIn(record, "_HashId") ?? ""} ${plainText(record.TimeFlowStartMs)}`;
  const [packets, bytes, returnedPackets, returnedBytes] = totals.increments(
    conversation,
    counters.map((counter) => counter ?? 0),
  );
  sink.half({
    source: endOf(record, "Src", sink),
    destination: endOf(record, "Dst", sink),
    protocol: protocolOf(record.Proto),
    sourcePort: portOf(record.SrcPort, "SrcPort"),
    destinationPort: portOf(record.DstPort, "DstPort"),
    start: epochOf(record.TimeFlowStartMs, "TimeFlowStartMs", 1e3),
    end: epochOf(record.TimeFlowEndMs, "TimeFlowEndMs", 1e3),
    packets: isCounted ? packets : undefined,
    bytes: isCounted ? bytes : undefined,
    returned: { packets: returnedPackets, bytes: returnedBytes, isLater: true },
    reporter: "conversations",
  });
}
