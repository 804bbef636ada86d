import { plural } from "../../net/number.ts";
import { countOf, epochOf, type Fields, integerOf, isAbsent, portOf, protocolOf } from "./fields.ts";
import { BadRecord, type LineFormat, type LogContext, type LogHead, type ObjectFormat } from "./flowLog.ts";
import type { LogSink } from "./logSink.ts";

/*
 * AWS VPC flow logs (Amazon VPC User Guide, "Flow log records"). A record is one direction of a 5-tuple at one network interface in
 * one interval. ACCEPT and REJECT are words of security groups and network ACLs, which judge at the interface: a network policy
 * judges within the node, before or after. So REJECT is a cloud's denial, and ACCEPT says nothing of how the connection ended.
 */

/** Version 2, in its order. */
const DEFAULT_FIELDS =
  "version account-id interface-id srcaddr dstaddr srcport dstport protocol packets bytes start end action log-status".split(" ");

/** All there are (Amazon VPC user guide, "Flow log records", versions 2 to 10). */
const KNOWN_FIELDS = new Set([
  ...DEFAULT_FIELDS,
  ..."vpc-id subnet-id instance-id tcp-flags type pkt-srcaddr pkt-dstaddr region az-id sublocation-type sublocation-id".split(" "),
  ..."pkt-src-aws-service pkt-dst-aws-service flow-direction traffic-path reject-reason resource-id encryption-status".split(" "),
  ..."ecs-cluster-arn ecs-cluster-name ecs-container-instance-arn ecs-container-instance-id ecs-container-id".split(" "),
  ..."ecs-second-container-id ecs-service-name ecs-task-definition-arn ecs-task-arn ecs-task-id".split(" "),
  // One that is not to be looked at.
  "-",
]);

/** Fields without which a record is of no use. */
const NEEDED = ["srcaddr", "dstaddr", "protocol"];

/** Where the fields of a line stand; -1: the log does not have it. */
interface Layout {
  readonly width: number;
  readonly source: number;
  readonly destination: number;
  readonly packetSource: number;
  readonly packetDestination: number;
  readonly sourcePort: number;
  readonly destinationPort: number;
  readonly protocol: number;
  readonly packets: number;
  readonly bytes: number;
  readonly start: number;
  readonly end: number;
  readonly action: number;
  readonly status: number;
  readonly flags: number;
  readonly interface: number;
}

function layoutOf(fields: readonly string[]): Layout {
  const at = (name: string) => fields.indexOf(name);
  const missing = NEEDED.filter((name) => at(name) < 0 && at(`pkt-${name}`) < 0);
  if (missing.length > 0) throw new BadRecord(`the fields of the log lack ${missing.join(", ")} \`${fields.join(" ").slice(0, 200)}\``);
  return {
    width: fields.length,
    source: at("srcaddr"),
    destination: at("dstaddr"),
    packetSource: at("pkt-srcaddr"),
    packetDestination: at("pkt-dstaddr"),
    sourcePort: at("srcport"),
    destinationPort: at("dstport"),
    protocol: at("protocol"),
    packets: at("packets"),
    bytes: at("bytes"),
    start: at("start"),
    end: at("end"),
    action: at("action"),
    status: at("log-status"),
    flags: at("tcp-flags"),
    interface: at("interface-id"),
  };
}

/** Reports whether a line names fields: the header that files in S3 begin with. */
function isHeader(line: string): boolean {
  return /(^|\s)(pkt-)?srcaddr(\s|$)/.test(line) && /(^|\s)(pkt-)?dstaddr(\s|$)/.test(line);
}

/** A line that went through CloudWatch begins with when it was taken in. */
const TAKEN_IN = /^\d{4}-\d\d-\d\dT[\d:.]+Z /;
const DEFAULT_LINE =
  /^\d+ (\d{12}|unknown|-) (eni-\S+|-) \S+ \S+ (\d+|-) (\d+|-) (\d+|-) (\d+|-) (\d+|-) \d+ \d+ \S+ (OK|NODATA|SKIPDATA)$/;

export const awsVpc: LineFormat = {
  name: "aws-vpc",
  title: "AWS VPC flow log (text)",
  unit: "line",
  recognizes: ({ lines }: LogHead) => lines.length > 0 && (isHeader(lines[0]) || DEFAULT_LINE.test(lines[0].replace(TAKEN_IN, ""))),
  open: ({ sink, fields }: LogContext) => {
    const odd = (fields ?? []).filter((name) => !KNOWN_FIELDS.has(name));
    if (odd.length > 0)
      throw new BadRecord(`no such field, where - stands for one that is not to be read \`${odd.join(" ").slice(0, 200)}\``);
    let layout = layoutOf(fields ?? DEFAULT_FIELDS);
    let quick = new QuickLines(layout, sink);
    return {
      read(line) {
        if (line.charCodeAt(0) >= 0x61 && isHeader(line)) {
          layout = layoutOf(line.trim().split(/\s+/));
          quick = new QuickLines(layout, sink);
          return;
        }
        if (quick.add(line)) return;
        const cells = (line.charCodeAt(4) === 0x2d ? line.replace(TAKEN_IN, "") : line).split(" ");
        if (cells.length !== layout.width)
          throw new BadRecord(
            `the line has not as many fields as the log names \`${cells.length} in place of ${layout.width}\`: --flow-fields tells which there are`,
          );
        addCells(cells, layout, sink);
      },
    };
  },
};

const [SPACE, ZERO, LETTER_O, LETTER_K] = [0x20, 0x30, 0x4f, 0x4b];
const ACCEPT = "ACCEPT";
const REJECT = "REJECT";
/** Seconds and counts of nearly all lines have fewer digits. */
const MOST_DIGITS = 15;

/**
 * Reads lines on which all is as nearly always: read in place, which takes half the time of splitting them. Any other line is left to
 * who looks at it cell by cell.
 */
class QuickLines {
  readonly #layout: Layout;
  readonly #sink: LogSink;
  /** Where each cell begins, and one past the line's end and the space that would stand there. */
  readonly #starts: Int32Array;

  constructor(layout: Layout, sink: LogSink) {
    this.#layout = layout;
    this.#sink = sink;
    this.#starts = new Int32Array(layout.width + 1);
  }

  /** Reports whether the line was one to read here. */
  add(line: string): boolean {
    const layout = this.#layout;
    if (!this.#find(line) || !this.#isOk(line)) return false;
    const number = (place: number) => (place < 0 ? 0 : this.#number(line, place));
    const [protocol, sourcePort, destinationPort] = [number(layout.protocol), number(layout.sourcePort), number(layout.destinationPort)];
    const [packets, bytes, start, end] = [number(layout.packets), number(layout.bytes), number(layout.start), number(layout.end)];
    const flags = number(layout.flags);
    // NaN is no digit; layouts without one of these are left to the others.
    if (!(protocol <= 255 && sourcePort <= 65535 && destinationPort <= 65535 && start <= 0xffffffff && end <= 0xffffffff)) return false;
    if (!(packets >= 0 && bytes >= 0 && flags <= 255) || layout.start < 0 || layout.end < 0 || layout.packets < 0 || layout.bytes < 0)
      return false;
    const action = layout.action < 0 ? ACCEPT : this.#text(line, layout.action);
    if (action !== ACCEPT && action !== REJECT) return false;
    const [source, destination] = [
      this.#address(line, layout.packetSource, layout.source),
      this.#address(line, layout.packetDestination, layout.destination),
    ];
    this.#sink.half({
      source: this.#sink.end(source, "srcaddr"),
      destination: this.#sink.end(destination, "dstaddr"),
      protocol,
      sourcePort: layout.sourcePort < 0 ? undefined : sourcePort,
      destinationPort: layout.destinationPort < 0 ? undefined : destinationPort,
      start: { seconds: start, nanoseconds: 0 },
      end: { seconds: end, nanoseconds: 0 },
      packets,
      bytes,
      tcpFlags: layout.flags < 0 ? undefined : flagsOf(flags),
      cloudDenied: action === REJECT,
      reporter: layout.interface < 0 ? "" : this.#text(line, layout.interface),
    });
    return true;
  }

  #find(line: string): boolean {
    const starts = this.#starts;
    let cells = 1;
    for (let at = 0; at < line.length; at++) {
      if (line.charCodeAt(at) !== SPACE) continue;
      if (cells >= starts.length - 1) return false;
      starts[cells++] = at + 1;
    }
    starts[cells] = line.length + 1;
    return cells === starts.length - 1;
  }

  #isOk(line: string): boolean {
    const { status } = this.#layout;
    if (status < 0) return true;
    const start = this.#starts[status];
    return this.#starts[status + 1] - start === 3 && line.charCodeAt(start) === LETTER_O && line.charCodeAt(start + 1) === LETTER_K;
  }

  /** Returns the number of a cell; NaN where it is none. */
  #number(line: string, place: number): number {
    const [start, end] = [this.#starts[place], this.#starts[place + 1] - 1];
    if (end <= start || end - start > MOST_DIGITS) return Number.NaN;
    let number = 0;
    for (let at = start; at < end; at++) {
      const digit = line.charCodeAt(at) - ZERO;
      if (!(digit >= 0 && digit <= 9)) return Number.NaN;
      number = number * 10 + digit;
    }
    return number;
  }

  #text(line: string, place: number): string {
    return line.slice(this.#starts[place], this.#starts[place + 1] - 1);
  }

  #address(line: string, packetPlace: number, place: number): string | undefined {
    const text = packetPlace < 0 ? "-" : this.#text(line, packetPlace);
    return isAbsent(text) && place >= 0 ? this.#text(line, place) : text;
  }
}

function addCells(cells: readonly string[], layout: Layout, sink: LogSink): void {
  const status = layout.status < 0 ? "OK" : cells[layout.status];
  if (status !== "OK") return skip(status, sink);
  const cell = (place: number) => (place < 0 ? undefined : cells[place]);
  const source = cell(layout.packetSource);
  const destination = cell(layout.packetDestination);
  add(
    {
      source: isAbsent(source) ? cell(layout.source) : source,
      destination: isAbsent(destination) ? cell(layout.destination) : destination,
      sourcePort: cell(layout.sourcePort),
      destinationPort: cell(layout.destinationPort),
      protocol: cell(layout.protocol),
      packets: cell(layout.packets),
      bytes: cell(layout.bytes),
      start: cell(layout.start),
      end: cell(layout.end),
      action: cell(layout.action),
      flags: cell(layout.flags),
      reporter: cell(layout.interface) ?? "",
    },
    sink,
  );
}

/** NODATA: nothing went through the interface. SKIPDATA: AWS could not capture all of it. */
function skip(status: string, sink: LogSink): void {
  if (status === "SKIPDATA") {
    sink.skip("SKIPDATA (records that AWS could not capture)");
    sink.gap("lost", 1, (count) => `${plural(count, "interval")} of an interface had records that AWS could not capture (SKIPDATA)`);
  } else if (status === "NODATA") sink.skip("NODATA (an interval without traffic)");
  else throw new BadRecord(`log-status is not OK, NODATA or SKIPDATA \`${status.slice(0, 40)}\``);
}

interface Values {
  readonly source: unknown;
  readonly destination: unknown;
  readonly sourcePort: unknown;
  readonly destinationPort: unknown;
  readonly protocol: unknown;
  readonly packets: unknown;
  readonly bytes: unknown;
  readonly start: unknown;
  readonly end: unknown;
  readonly action: unknown;
  readonly flags: unknown;
  readonly reporter: string;
}

function add(values: Values, sink: LogSink): void {
  const protocol = protocolOf(values.protocol);
  const { action } = values;
  if (!isAbsent(action) && action !== "ACCEPT" && action !== "REJECT") throw new BadRecord(`action is not ACCEPT or REJECT \`${action}\``);
  sink.half({
    source: sink.end(values.source, "srcaddr"),
    destination: sink.end(values.destination, "dstaddr"),
    protocol,
    sourcePort: portOf(values.sourcePort, "srcport"),
    destinationPort: portOf(values.destinationPort, "dstport"),
    start: epochOf(values.start, "start", 1),
    end: epochOf(values.end, "end", 1),
    packets: countOf(values.packets, "packets"),
    bytes: countOf(values.bytes, "bytes"),
    tcpFlags: flagsOf(integerOf(values.flags, "tcp-flags", 255)),
    cloudDenied: action === "REJECT",
    reporter: values.reporter,
  });
}

/** The log sets SYN for the initiator and SYN with ACK for the responder; ACK alone it never sets, so that 0 says nothing. */
function flagsOf(flags: number | undefined): number | undefined {
  return flags === 0 ? undefined : flags;
}

const PARQUET_COLUMNS =
  "srcaddr dstaddr pkt_srcaddr pkt_dstaddr srcport dstport protocol packets bytes start end action log_status tcp_flags interface_id".split(
    " ",
  );
const PARQUET_NEEDED = ["srcaddr", "dstaddr", "log_status"];

/** The same from Parquet: names have underscores there. */
export const awsVpcParquet: ObjectFormat = {
  name: "aws-vpc",
  title: "AWS VPC flow log (Parquet)",
  unit: "object",
  columns: PARQUET_COLUMNS,
  recognizes: ({ columns }: LogHead) => columns !== undefined && PARQUET_NEEDED.every((name) => columns.includes(name)),
  open: ({ sink }: LogContext) => ({
    read(row: Fields) {
      const status = row.log_status;
      if (typeof status === "string" && status !== "OK") return skip(status, sink);
      add(
        {
          source: isAbsent(row.pkt_srcaddr) ? row.srcaddr : row.pkt_srcaddr,
          destination: isAbsent(row.pkt_dstaddr) ? row.dstaddr : row.pkt_dstaddr,
          sourcePort: row.srcport,
          destinationPort: row.dstport,
          protocol: row.protocol,
          packets: row.packets,
          bytes: row.bytes,
          start: row.start,
          end: row.end,
          action: row.action,
          flags: row.tcp_flags,
          reporter: typeof row.interface_id === "string" ? row.interface_id : "",
        },
        sink,
      );
    },
  }),
};
