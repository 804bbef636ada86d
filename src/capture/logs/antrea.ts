import { TCP } from "../../net/protocol.ts";
import type { Instant } from "../../net/time.ts";
import { columnsOf, splitCsv } from "./csv.ts";
import { countOf, epochOf, type Fields, isAbsent, plainText, portOf, protocolOf, rfc3339Of, shown, textIn } from "./fields.ts";
import { BadRecord, type LineFormat, type LogContext, type LogHead, type ObjectFormat } from "./flowLog.ts";
import type { LogEnd, LogSink } from "./logSink.ts";
import { RunningTotals } from "./runningTotals.ts";

/*
 * Antrea's flow records (antrea docs/network-flow-visibility.md, pkg/flowaggregator): connections of the nodes' conntrack, so that the
 * source is who began, and the destination who answered behind a Service. They come as lines of the flow aggregator's log (no header,
 * no counters), as CSV in S3 (no header, all fields), and as JSON: rows of ClickHouse, what `antctl get flowrecords` prints, or what
 * the aggregator sends to a collector. A connection has a record every so often.
 */

/** A record's fields by the names of ClickHouse's columns, which are those of IPFIX but for the addresses. */
type Record = Fields;

/** A moment as `antctl` and the aggregator give it (seconds) or as ClickHouse prints it (its own zone, which is UTC unless set). */
function timeOf(value: unknown, name: string): Instant | undefined {
  if (typeof value === "string" && /^\d{4}-\d\d-\d\d /.test(value)) return rfc3339Of(`${value.replace(" ", "T")}Z`, name);
  if (typeof value === "string" && value.includes("T")) return rfc3339Of(value, name);
  return epochOf(value, name, 1);
}

function firstOf(record: Record, names: readonly string[]): unknown {
  for (const name of names) if (!isAbsent(record[name])) return record[name];
  return undefined;
}

const SOURCE = ["sourceIP", "sourceIPv4Address", "sourceIPv6Address"];
const DESTINATION = ["destinationIP", "destinationIPv4Address", "destinationIPv6Address"];
const DIALLED = ["destinationClusterIP", "destinationServiceIP", "destinationClusterIPv4", "destinationClusterIPv6"].concat(
  "destinationServiceIPv4",
  "destinationServiceIPv6",
);
/** Stand for an address that there is not. */
const NO_ADDRESS = new Set(["0.0.0.0", "::", "<nil>"]);

function addRecord(record: Record, totals: RunningTotals, sink: LogSink): void {
  const protocol = protocolOf(record.protocolIdentifier);
  const source = endOf(record, "source", SOURCE, sink);
  const sourcePort = portOf(record.sourceTransportPort, "sourceTransportPort");
  const destinationPort = portOf(record.destinationTransportPort, "destinationTransportPort");
  const start = timeOf(record.flowStartSeconds, "flowStartSeconds");
  const end = timeOf(record.flowEndSeconds, "flowEndSeconds");
  const verdict = verdictOf(record);
  const reporter = reporterOf(record);
  const destination = dialled(record, endOf(record, "destination", DESTINATION, sink), sink);
  const counters = countersOf(record, reporter, totals);
  sink.stated({
    source,
    destination,
    protocol,
    sourcePort,
    destinationPort,
    start,
    end,
    ...counters,
    verdict,
    denialDecides: true,
    answer: verdict === "deny" ? undefined : answerOf(record, protocol),
    // Every record begins when its connection did.
    isWhole: true,
    reporter,
  });
}

function endOf(record: Record, end: "source" | "destination", names: readonly string[], sink: LogSink): LogEnd {
  const address = firstOf(record, names);
  const [namespace, name] = [textIn(record, `${end}PodNamespace`), textIn(record, `${end}PodName`)];
  if (namespace === undefined || name === undefined) return sink.end(address, names[0]);
  const labels = textIn(record, `${end}PodLabels`);
  const pod = `${namespace}/${name}`;
  return labels === undefined ? sink.end(address, names[0], { pod }) : sink.end(address, names[0], { pod, ...labelsOf(labels) });
}

/** Labels are the text of a JSON object. */
function labelsOf(text: string): { readonly labels?: readonly string[] } {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw new BadRecord(`pod labels are no JSON \`${shown(text)}\``);
  }
  if (typeof value !== "object" || value === null) return {};
  const labels = Object.entries(value).flatMap(([key, of]) => (typeof of === "string" ? [`k8s:${key}=${of}`] : []));
  return labels.length === 0 ? {} : { labels: labels.sort() };
}

/** The Service that was dialled; the source's node alone knows it. */
function dialled(record: Record, destination: LogEnd, sink: LogSink): LogEnd {
  const address = DIALLED.map((name) => record[name]).find(
    (value) => typeof value === "string" && !isAbsent(value) && !NO_ADDRESS.has(value),
  );
  const port = portOf(record.destinationServicePort, "destinationServicePort") ?? 0;
  return address === undefined || port === 0 ? destination : sink.dialledAt(destination, sink.plainEnd(address, DIALLED[0]), port);
}

/** Actions by number and as the log prints them ("Invalid" for numbers without a name). */
const ACTIONS = new Map<string, "allow" | "deny">([
  ["1", "allow"],
  ["Allow", "allow"],
  ["2", "deny"],
  ["Drop", "deny"],
  ["3", "deny"],
  ["Reject", "deny"],
]);

/** A connection is denied where either pod's rules denied it; no action at either says that no rule was met. */
function verdictOf(record: Record): "allow" | "deny" | undefined {
  const actions = [record.ingressNetworkPolicyRuleAction, record.egressNetworkPolicyRuleAction].map((action) =>
    ACTIONS.get(plainText(action)),
  );
  return actions.includes("deny") ? "deny" : actions.includes("allow") ? "allow" : undefined;
}

/**
 * Who reported it: the aggregator joins both nodes' records of a connection, but does not when it only passes them on (its mode
 * `Proxy`), and then each has the names of its own pods only.
 */
function reporterOf(record: Record): string {
  const [source, destination] = [textIn(record, "sourcePodName"), textIn(record, "destinationPodName")];
  if (source !== undefined && destination === undefined) return "source";
  return source === undefined && destination !== undefined ? "destination" : "";
}

const COUNTERS = ["packet", "octet", "reversePacket", "reverseOctet"];

/** What was counted since the connection's last record: told as such, or by what the totals have grown. */
function countersOf(record: Record, reporter: string, totals: RunningTotals) {
  const deltas = COUNTERS.map((name) => countOf(record[`${name}DeltaCount`], `${name}DeltaCount`));
  const [packets, bytes, returnedPackets, returnedBytes] = deltas.every((delta) => delta === undefined)
    ? grownBy(record, reporter, totals)
    : deltas;
  return { packets, bytes, returnedPackets, returnedBytes };
}

function grownBy(record: Record, reporter: string, totals: RunningTotals): readonly (number | undefined)[] {
  const counts = COUNTERS.map((name) => countOf(record[`${name}TotalCount`], `${name}TotalCount`));
  if (counts.every((count) => count === undefined)) return counts;
  const ends = [firstOf(record, SOURCE), firstOf(record, DESTINATION), record.sourceTransportPort, record.destinationTransportPort];
  const grown = totals.increments(
    [...ends, record.protocolIdentifier, record.flowStartSeconds, reporter].map(plainText).join(" "),
    counts.map((count) => count ?? 0),
  );
  return counts.map((count, k) => (count === undefined ? undefined : grown[k]));
}

/** States of conntrack's TCP that come after both sides agreed on the connection. */
const AGREED = new Set(["ESTABLISHED", "FIN_WAIT", "FIN_WAIT_1", "FIN_WAIT_2", "CLOSE_WAIT", "CLOSING", "LAST_ACK", "TIME_WAIT"]);

/** What conntrack saw of the other side. A connection that is reset is CLOSE(D), be it before or after both agreed. */
function answerOf(record: Record, protocol: number): "accepted" | "none" | undefined {
  const totals = record.reversePacketTotalCount;
  const returned = countOf(isAbsent(totals) ? record.reversePacketDeltaCount : totals, "reversePacketTotalCount");
  if (protocol !== TCP) return (returned ?? 0) > 0 ? "accepted" : undefined;
  const state = textIn(record, "tcpState")?.toUpperCase().replaceAll("-", "_");
  if (state === undefined) return undefined;
  if (AGREED.has(state)) return returned === 0 ? undefined : "accepted";
  return state === "SYN_SENT" && returned === 0 ? "none" : undefined;
}

/** The fields of a JSON record; what the aggregator sends stands in an object of its own. */
function fieldsOf(object: Fields): Record {
  const { ipfix } = object;
  return typeof ipfix === "object" && ipfix !== null && !Array.isArray(ipfix) ? (ipfix as Fields) : object;
}

/** Other exporters have the addresses and ports, but no pods. */
function isRecord(record: Record): boolean {
  return "flowStartSeconds" in record && "sourcePodName" in record && SOURCE.some((name) => name in record);
}

export const antreaJson: ObjectFormat = {
  name: "antrea",
  title: "Antrea flow records (JSON)",
  unit: "object",
  recognizes: ({ objects }: LogHead) => objects.some((object) => isRecord(fieldsOf(object))),
  open: ({ sink }: LogContext) => {
    const totals = new RunningTotals(sink);
    return { read: (object) => addRecord(fieldsOf(object), totals, sink) };
  },
};

/** Columns of the aggregator's log up to the Service; a later release adds a second address of it. */
const LOG_START = (
  "flowStartSeconds flowEndSeconds sourceIP destinationIP sourceTransportPort destinationTransportPort protocolIdentifier " +
  "sourcePodName sourcePodNamespace sourceNodeName destinationPodName destinationPodNamespace destinationNodeName"
).split(" ");
const SERVICE = ["destinationServicePort", "destinationServicePortName"];
const POLICIES = ["ingress", "egress"].flatMap((direction) =>
  ["Name", "Namespace", "RuleName", "RuleAction", "Type"].map((field) => `${direction}NetworkPolicy${field}`),
);
/** Columns of the files in S3, up to the labels. */
const S3_START = (
  "flowStartSeconds flowEndSeconds flowEndSecondsFromSourceNode flowEndSecondsFromDestinationNode flowEndReason sourceIP destinationIP " +
  "sourceTransportPort destinationTransportPort protocolIdentifier packetTotalCount octetTotalCount packetDeltaCount octetDeltaCount " +
  "reversePacketTotalCount reverseOctetTotalCount reversePacketDeltaCount reverseOctetDeltaCount " +
  "sourcePodName sourcePodNamespace sourceNodeName destinationPodName destinationPodNamespace destinationNodeName"
).split(" ");
const S3_END = ["tcpState", "flowType"];

/** Layouts without a header, by what is known to follow: whatever comes after the policies may hold commas, and nobody asks for it. */
interface Layout {
  readonly columns: readonly string[];
  readonly hasLabels: boolean;
}

const LAYOUTS = [LOG_START, S3_START].map((start) => {
  const isS3 = start === S3_START;
  const layout = (addresses: readonly string[]): Layout => ({
    columns: [...start, ...addresses, ...SERVICE, ...POLICIES, ...(isS3 ? S3_END : [])],
    hasLabels: isS3,
  });
  return {
    port: start.length + 1,
    isOf: (cells: readonly string[]) => isAddress(cells[start.indexOf("sourceIP")]) && isAddress(cells[start.indexOf("destinationIP")]),
    one: layout(["destinationClusterIP"]),
    two: layout(["destinationClusterIP", "destinationServiceIP"]),
  };
});

function isAddress(cell: string | undefined): boolean {
  return cell !== undefined && cell.length <= 64 && (/^\d+\.\d+\.\d+\.\d+$/.test(cell) || /^[\da-f:.]*:[\da-f:.]*$/i.test(cell));
}

/** Returns the layout of a line without a header: two moments, and two addresses where they belong. */
function layoutOf(cells: readonly string[]): Layout | undefined {
  if (!/^\d{9,10}$/.test(cells[0] ?? "") || !/^-?\d{1,12}$/.test(cells[1] ?? "")) return undefined;
  const found = LAYOUTS.find(({ isOf }) => isOf(cells));
  if (found === undefined) return undefined;
  const layout = /^\d+$/.test(cells[found.port] ?? "") ? found.one : found.two;
  return cells.length >= layout.columns.length ? layout : undefined;
}

function isHeader(line: string): boolean {
  const names = columnsOf(splitCsv(line));
  return names.has("flowStartSeconds") && names.has("sourcePodName") && SOURCE.some((name) => names.has(name));
}

export const antreaCsv: LineFormat = {
  name: "antrea",
  title: "Antrea flow records (CSV)",
  unit: "line",
  recognizes: ({ lines }: LogHead) => lines.length > 0 && (isHeader(lines[0]) || layoutOf(lines[0].split(",")) !== undefined),
  open: ({ sink }: LogContext) => {
    const totals = new RunningTotals(sink);
    let header: ReadonlyMap<string, number> | undefined;
    return {
      read(line) {
        if (line.includes("flowStartSeconds") && isHeader(line)) {
          header = columnsOf(splitCsv(line));
          return;
        }
        addRecord(header === undefined ? fieldsOfLine(line) : fieldsByHeader(line, header), totals, sink);
      },
    };
  },
};

function fieldsByHeader(line: string, header: ReadonlyMap<string, number>): Record {
  const cells = splitCsv(line);
  if (cells.length !== header.size)
    throw new BadRecord(`the line has not as many fields as the header \`${cells.length} in place of ${header.size}\``);
  return Object.fromEntries([...header].map(([name, place]) => [name, cells[place]]));
}

/** Labels are between single quotes in S3's files, with commas in them. */
const LABELS = /^'(.*?)','(.*?)'(,|$)/;

function fieldsOfLine(line: string): Record {
  const cells = line.split(",");
  const layout = layoutOf(cells);
  if (layout === undefined) throw new BadRecord(`not the fields of a flow record \`${shown(line)}\``);
  const fields: { [name: string]: unknown } = {};
  layout.columns.forEach((name, place) => (fields[name] = cells[place]));
  const labels = layout.hasLabels ? LABELS.exec(cells.slice(layout.columns.length).join(",")) : null;
  if (labels !== null) [, fields.sourcePodLabels, fields.destinationPodLabels] = labels;
  return fields;
}
