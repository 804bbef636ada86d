import { looksLikeReply } from "../../net/clientPorts.ts";
import { hasPorts, isIcmp } from "../../net/protocol.ts";
import type { Instant } from "../../net/time.ts";
import { epochOf, type Fields, portOf, protocolOf, rfc3339Of, shown } from "./fields.ts";
import { BadRecord, type LineFormat, type LogContext, type LogHead, type ObjectFormat } from "./flowLog.ts";
import type { LogSink } from "./logSink.ts";

/*
 * What the network policy agent of Amazon EKS decides (aws/aws-network-policy-agent pkg/ebpf/events/events.go): its own log, where a
 * decision is a message of text or, in earlier versions, fields beside the message; and the text that it sends to CloudWatch.
 *
 * It decides at a pod's interface, before a Service's address is translated (pkg/ebpf/c/tc.v4egress.bpf.c): a destination may be a
 * ClusterIP. It logs each packet that belongs to no connection it knows, whatever its TCP flags: the first of a connection, every
 * further one while it denies them, and answers to connections older than the agent's table (issues 127, 163, 175). So the source is
 * the packet's sender, and who began is inferred. One connection has two points, the client's egress and the server's ingress: a denial
 * at one outweighs what the other allows. A denied answer (of the lower port) outweighs nothing: the connection had come about.
 */

/** A decision, of whatever layout. */
interface Decision {
  readonly source: unknown;
  readonly sourcePort: unknown;
  readonly destination: unknown;
  readonly destinationPort: unknown;
  readonly protocol: unknown;
  readonly verdict: unknown;
  readonly time: Instant | undefined;
}

/** With colons for IPv6 and, in later versions, for both; the tier or policy follows. */
const MESSAGE =
  /^Flow Info:\s+Src IP: (\S+) Src Port: (\d+) Dest IP: (\S+) Dest Port: (\d+) Proto:? (\S+) Verdict:? ([^\s,]+)(?: Direction:? \w+)?/;
const CLOUDWATCH = /^Node: [^;]*;SIP: ([^;]*);SPORT: ([^;]*);DIP: ([^;]*);DPORT: ([^;]*);PROTOCOL: ([^;]*);PolicyVerdict: ([^;\s]*)/;

/** What is looked at of a message: expressions over more of it would take the square of its length. */
const MOST_LOOKED_AT = 1024;

/** Returns a decision's parts in a text that holds one. */
function matchDecision(text: string): RegExpExecArray | null {
  const from = (start: string) => {
    const at = text.indexOf(start);
    return at < 0 ? "" : text.slice(at, at + MOST_LOOKED_AT);
  };
  return MESSAGE.exec(from("Flow Info:")) ?? CLOUDWATCH.exec(from("Node: "));
}

export const eks: LineFormat = {
  name: "eks",
  title: "Amazon EKS network policy agent (text)",
  unit: "line",
  recognizes: ({ lines, objects }: LogHead) => objects.length === 0 && lines.some((line) => matchDecision(line) !== null),
  open: ({ sink }: LogContext) => {
    const decisions = new Decisions(sink);
    return { read: (line) => decisions.text(line, timeBefore(line)), finish: () => decisions.finish() };
  },
};

export const eksJson: ObjectFormat = {
  name: "eks",
  title: "Amazon EKS network policy agent (JSON)",
  unit: "object",
  recognizes: ({ lines, objects }: LogHead) =>
    objects.some((object) => isDecision(object) || isEvent(object)) ||
    // The agent says much else before its first decision.
    (objects.length > 0 && lines.some((line) => /"msg":\s*"Flow Info:/.test(line))),
  open: ({ sink }: LogContext) => {
    const decisions = new Decisions(sink);
    return { read: (object) => decisions.object(object), finish: () => decisions.finish() };
  },
};

function isDecision({ msg }: Fields): boolean {
  return typeof msg === "string" && msg.startsWith("Flow Info:");
}

/** Reports whether an object is an event of CloudWatch Logs (filter-log-events). */
function isEvent({ message }: Fields): boolean {
  return typeof message === "string" && matchDecision(message) !== null;
}

class Decisions {
  readonly #sink: LogSink;
  #allowed = 0;
  #denied = 0;

  constructor(sink: LogSink) {
    this.#sink = sink;
  }

  object(object: Fields): void {
    const { msg, message } = object;
    const time = object.ts ?? object.timestamp;
    if (typeof message === "string")
      return this.text(message, typeof time === "number" ? epochOf(time, "timestamp", 1e3) : rfc3339Of(time, "timestamp"));
    if (typeof msg !== "string") throw new BadRecord(`msg is missing \`${shown(object)}\``);
    if (!isDecision(object)) return this.#other();
    if (!("Src IP" in object)) return this.text(msg, timeOf(time));
    this.#add({
      source: object["Src IP"],
      sourcePort: object["Src Port"],
      destination: object["Dest IP"],
      destinationPort: object["Dest Port"],
      protocol: object.Proto,
      verdict: object.Verdict,
      time: timeOf(time),
    });
  }

  text(text: string, time: Instant | undefined): void {
    const match = matchDecision(text);
    if (match === null) {
      if (text.includes("Flow Info:"))
        throw new BadRecord(`no decision that is known \`${shown(text.slice(text.indexOf("Flow Info:")))}\``);
      return this.#other();
    }
    const [, source, sourcePort, destination, destinationPort, protocol, verdict] = match;
    this.#add({ source, sourcePort, destination, destinationPort, protocol, verdict, time });
  }

  #other(): void {
    this.#sink.skip("message of the agent that is no decision");
  }

  #add({ source, sourcePort, destination, destinationPort, protocol: name, verdict, time }: Decision): void {
    const sink = this.#sink;
    if (verdict === "EXPIRED/DELETED") return sink.skip("EXPIRED/DELETED (a connection that the agent forgot)");
    if (verdict !== "ACCEPT" && verdict !== "DENY")
      throw new BadRecord(`Verdict is not ACCEPT, DENY or EXPIRED/DELETED \`${shown(verdict)}\``);
    if (name === "UNKNOWN") return sink.skip("packet of a protocol that the agent does not name");
    const protocol = protocolOf(name);
    const ports = hasPorts(protocol)
      ? { sourcePort: portOf(sourcePort, "Src Port"), destinationPort: portOf(destinationPort, "Dest Port") }
      : undefined;
    sink.half({
      source: sink.end(source, "Src IP"),
      destination: sink.end(destination, "Dest IP"),
      protocol,
      ...ports,
      start: time,
      verdict: verdict === "ACCEPT" ? "allow" : "deny",
      denialDecides: isIcmp(protocol) || ports === undefined || !looksLikeReply(ports.sourcePort ?? 0, ports.destinationPort ?? 0),
      isOneSided: true,
    });
    if (verdict === "ACCEPT") this.#allowed++;
    else this.#denied++;
  }

  finish(): void {
    if (this.#denied > 0 && this.#allowed === 0)
      this.#sink.gap("partial", null, () => "no ACCEPT is in the agent's log: since version 1.2.2 it logs those at level debug only");
  }
}

/** RFC 3339 (ts, timestamp), or seconds as of older loggers. */
function timeOf(value: unknown): Instant | undefined {
  return typeof value === "number" ? epochOf(value, "ts", 1) : rfc3339Of(value, "ts");
}

/** The time that a console or collector wrote before a message. */
function timeBefore(line: string): Instant | undefined {
  const time = /^\s*(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?)(Z|[+-]\d\d:?\d\d)\s/.exec(line);
  return time === null ? undefined : rfc3339Of(time[1] + time[2].replace(/^([+-]\d\d)(\d\d)$/, "$1:$2"), "the time");
}
