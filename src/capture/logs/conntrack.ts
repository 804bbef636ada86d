import { hasPorts, IGMP, isIcmp, SCTP, TCP } from "../../net/protocol.ts";
import type { Instant } from "../../net/time.ts";
import { SKIP_REASONS, UPKEEP } from "../skipReasons.ts";
import { countOf, epochOf, integerOf, portOf, shown } from "./fields.ts";
import { BadRecord, type LineFormat, type LogContext, type LogHead } from "./flowLog.ts";
import type { LoggedFlow, LogSink } from "./logSink.ts";
import { RunningTotals } from "./runningTotals.ts";

/*
 * The kernel's connection table as text: `conntrack -L`, the events of `conntrack -E`, /proc/net/nf_conntrack (conntrack(8);
 * net/netfilter/nf_conntrack_standalone.c). A line has two tuples: the first packet as it was sent, and the answer as it is expected,
 * which comes from whoever the destination was translated to and goes to whatever the source was translated to. So the source is the
 * first tuple's, what was dialled its destination, and the backend the second tuple's source.
 *
 * A packet that the node's filters drop leaves no entry (it is confirmed after them, nf_conntrack_core.c), and one whose only answer
 * is a RST is removed at once (nf_conntrack_proto_tcp.c): only events show it.
 */

interface Tuple {
  source?: string;
  destination?: string;
  sourcePort?: string;
  destinationPort?: string;
  type?: string;
  code?: string;
  packets?: string;
  bytes?: string;
}

/** A line. */
interface Entry {
  /** NEW, UPDATE, DESTROY; undefined: a line of the table. */
  readonly event: string | undefined;
  readonly time: Instant | undefined;
  readonly protocol: number;
  /** Of TCP, SCTP and DCCP. */
  readonly state: string | undefined;
  readonly original: Tuple;
  readonly reply: Tuple;
  readonly isUnreplied: boolean;
  readonly isAssured: boolean;
  readonly isOffloaded: boolean;
  readonly zone: string;
  /** Seconds that the entry has existed (nf_conntrack_timestamp). */
  readonly age: string | undefined;
}

const LINE =
  /^\s*(?:\[(\d+\.\d+)\]\s+)?(?:\[(NEW|UPDATE|DESTROY)\]\s+)?(?:ipv[46]\s+\d+\s+)?([a-z0-9-]+)\s+(\d{1,3})\s+(?:\d+\s+)?(?:([A-Z_0-9]+)\s+)?(src=.*)$/;
const TUPLES = /^src=\S+ dst=\S+ .*\bsrc=\S+ dst=\S+/;

export const conntrack: LineFormat = {
  name: "conntrack",
  title: "conntrack table and events (Linux)",
  unit: "line",
  recognizes: ({ lines }: LogHead) =>
    lines.some((line) => {
      const match = LINE.exec(line);
      return match !== null && TUPLES.test(match[6]);
    }),
  open: ({ sink }: LogContext) => {
    sink.gap("partial", null, () => "the connection table has no connection whose first packet its node's own filters dropped");
    const reader = new TableReader(sink);
    return { read: (line) => reader.read(line), finish: () => reader.finish() };
  },
};

/** An event's connection, from its first event on. */
interface Open {
  readonly entry: Entry;
  readonly start: Instant | undefined;
  readonly end: Instant | undefined;
  readonly answer: LoggedFlow["answer"];
}

class TableReader {
  readonly #sink: LogSink;
  /** Connections that events began and none ended yet, by their tuples: as many as the kernel's own table has. */
  readonly #open = new Map<string, Open>();
  /** Of lines without an event: a table that was shown again counts on. As many as the kernel's own table has, like the others. */
  readonly #totals: RunningTotals;

  constructor(sink: LogSink) {
    this.#sink = sink;
    this.#totals = new RunningTotals(sink, Number.POSITIVE_INFINITY);
  }

  read(line: string): void {
    const match = LINE.exec(line);
    if (match === null) return this.#other(line);
    const entry = entryOf(match);
    if (entry.event === undefined) this.#add({ entry, start: undefined, end: undefined, answer: answerOf(entry) }, this.#sinceShown(entry));
    else this.#take(entry);
  }

  /** Lines beside the table: how many there were, and that some are missing. */
  #other(line: string): void {
    if (/^conntrack v[\d.]+ \(conntrack-tools\): /.test(line)) return this.#sink.skip("summary line of conntrack");
    if (/ENOBUFS|netlink socket buffer size|--buffer-size/.test(line)) {
      this.#sink.skip("notice of lost events");
      this.#sink.gap("lost", null, () => "conntrack lost events (ENOBUFS: its netlink buffer was full)");
      return;
    }
    throw new BadRecord(`no line of a connection table \`${shown(line.trim())}\``);
  }

  /** Gathers the events of a connection: only the last has counters, and each tells some of how it ended. */
  #take(entry: Entry): void {
    const key = keyOf(entry);
    const known = this.#open.get(key);
    const isNew = entry.event === "NEW" || known === undefined;
    // The end of the one before was not told.
    if (isNew && known !== undefined) this.#add(known, undefined);
    const isLast = entry.event === "DESTROY";
    const latest: Open = {
      entry,
      start: isNew ? beginningOf(entry) : known.start,
      // An entry outlives its last packet by a timeout: the event before is nearer.
      end: isLast && !isNew ? known.end : entry.time,
      // Who was connected once was answered; else the latest event knows best.
      answer: !isNew && known.answer === "accepted" ? "accepted" : answerOf(entry),
    };
    if (!isLast) {
      this.#open.set(key, latest);
      return;
    }
    this.#open.delete(key);
    this.#add(latest, countsOf(entry));
  }

  finish(): void {
    const open = [...this.#open.values()];
    this.#open.clear();
    this.#sink.eachPart(open, (each) => this.#add(each, undefined));
  }

  /** Returns what was sent since the table was last shown. */
  #sinceShown(entry: Entry): readonly number[] | undefined {
    const counts = countsOf(entry);
    return counts && this.#totals.increments(keyOf(entry), counts);
  }

  #add({ entry, start, end, answer }: Open, counts: readonly number[] | undefined): void {
    const sink = this.#sink;
    const { protocol, original, reply, zone } = entry;
    if (protocol === IGMP) return sink.skip(SKIP_REASONS[UPKEEP]);
    const source = sink.end(original.source, "src");
    const dialled = sink.end(original.destination, "dst");
    const backend = sink.end(reply.source, "src of the reply");
    const ports = hasPorts(protocol)
      ? { sourcePort: portOf(original.sourcePort, "sport"), destinationPort: portOf(reply.sourcePort, "sport of the reply") }
      : {};
    const dialledPort = hasPorts(protocol) ? (portOf(original.destinationPort, "dport") ?? 0) : 0;
    const flow = {
      source,
      destination: sink.dialledAt(backend, dialled, dialledPort),
      protocol,
      ...ports,
      ...(isIcmp(protocol)
        ? { icmpType: integerOf(original.type, "type", 255), icmpCode: integerOf(original.code, "code", 255) }
        : undefined),
      start,
      end,
      packets: counts?.[0],
      bytes: counts?.[1],
      // Zones are tables of their own: each may have the same connection (Open vSwitch has one a logical port).
      reporter: zone === "0" ? "" : zone,
    };
    // Taken up in its middle (nf_conntrack_tcp_loose): the first packet is whoever's.
    if (protocol === TCP && entry.state === "ESTABLISHED" && entry.isUnreplied)
      sink.half({ ...flow, returned: { packets: counts?.[2] ?? 0, bytes: counts?.[3] } });
    else sink.stated({ ...flow, returnedPackets: counts?.[2], returnedBytes: counts?.[3], answer, isWhole: true });
  }
}

function entryOf([, time, event, , number, state, rest]: RegExpExecArray): Entry {
  const protocol = integerOf(number, "the protocol", 255)!;
  const tuples: [Tuple, Tuple] = [{}, {}];
  let at = -1;
  let [zone, age]: [string, string | undefined] = ["0", undefined];
  const flags = new Set<string>();
  for (const token of rest.split(/\s+/)) {
    if (token.startsWith("[")) flags.add(token);
    const equals = token.indexOf("=");
    if (equals < 0) continue;
    const [key, value] = [token.slice(0, equals), token.slice(equals + 1)];
    if (key === "src") at++;
    const field = TUPLE_FIELDS.get(key);
    if (field !== undefined && (at === 0 || at === 1)) tuples[at][field] ??= value;
    else if (key === "zone") zone = value;
    else if (key === "delta-time") age = value;
  }
  const [original, reply] = tuples;
  if (at < 1 || reply.destination === undefined) throw new BadRecord(`a tuple is missing \`${shown(rest)}\``);
  return {
    event,
    time: epochOf(time, "the time", 1),
    protocol,
    state,
    original,
    reply,
    isUnreplied: flags.has("[UNREPLIED]"),
    isAssured: flags.has("[ASSURED]"),
    isOffloaded: flags.has("[OFFLOAD]") || flags.has("[HW_OFFLOAD]"),
    zone,
    age,
  };
}

const TUPLE_FIELDS: ReadonlyMap<string, keyof Tuple> = new Map([
  ["src", "source"],
  ["dst", "destination"],
  ["sport", "sourcePort"],
  ["dport", "destinationPort"],
  ["type", "type"],
  ["code", "code"],
  ["packets", "packets"],
  ["bytes", "bytes"],
]);

function keyOf({ protocol, original, zone }: Entry): string {
  const { source, destination, sourcePort, destinationPort, type, code } = original;
  return [protocol, source, destination, sourcePort, destinationPort, type, code, zone].join(" ");
}

/** Returns packets and bytes of both directions (nf_conntrack_acct); undefined: not counted. */
function countsOf({ original, reply }: Entry): readonly number[] | undefined {
  if (original.packets === undefined || original.bytes === undefined) return undefined;
  const texts = [original.packets, original.bytes, reply.packets, reply.bytes];
  return texts.map((text, i) => countOf(text, i % 2 === 0 ? "packets" : "bytes") ?? 0);
}

/** Of an event that is the first to be seen, its own time, less the age that a last one tells. */
function beginningOf({ time, age }: Entry): Instant | undefined {
  const seconds = countOf(age, "delta-time");
  if (time === undefined || seconds === undefined || seconds >= time.seconds) return time;
  return { seconds: time.seconds - seconds, nanoseconds: time.nanoseconds };
}

/** States that a TCP connection only comes to once the responder answered its SYN (nf_conntrack_proto_tcp.c, tcp_conntracks). */
const AFTER_THE_ANSWER = new Set(["SYN_RECV", "ESTABLISHED", "FIN_WAIT", "CLOSE_WAIT", "LAST_ACK", "TIME_WAIT"]);
const SCTP_AFTER_THE_ANSWER = new Set(["COOKIE_ECHOED", "ESTABLISHED", "SHUTDOWN_SENT", "SHUTDOWN_RECD", "SHUTDOWN_ACK_SENT"]);

function answerOf(entry: Entry): LoggedFlow["answer"] {
  const { protocol, state, isUnreplied, isAssured, isOffloaded } = entry;
  // Only what is established is handed to hardware or the fast path.
  if (isAssured || isOffloaded) return "accepted";
  if (protocol === TCP) return tcpAnswer(entry);
  if (protocol === SCTP) {
    if (isUnreplied) return state === "COOKIE_WAIT" ? "none" : undefined;
    return SCTP_AFTER_THE_ANSWER.has(state ?? "") ? "accepted" : undefined;
  }
  if (!isUnreplied) return "accepted";
  // A datagram needs no answer; an echo request does.
  return isIcmp(protocol) ? "none" : undefined;
}

function tcpAnswer({ event, state, isUnreplied, reply }: Entry): LoggedFlow["answer"] {
  if (!isUnreplied) return AFTER_THE_ANSWER.has(state ?? "") || state === "CLOSE" ? "accepted" : undefined;
  if (state === "SYN_SENT") return "none";
  if (event !== "DESTROY") return undefined;
  // Counters tell a RST from silence; without them the state does, which older kernels leave out.
  if (reply.packets !== undefined) return reply.packets === "0" ? "none" : "refused";
  return state === "CLOSE" ? "refused" : undefined;
}
