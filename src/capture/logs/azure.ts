import { TCP } from "../../net/protocol.ts";
import { countOf, epochOf, type Fields, isObject, objectIn, portOf, protocolOf, shown, textIn } from "./fields.ts";
import { BadRecord, type LogContext, type LogHead, type ObjectFormat } from "./flowLog.ts";
import type { LogSink } from "./logSink.ts";

/*
 * Azure's flow logs, of network security groups (Network Watcher documentation, "Flow logging for network security groups") and of
 * virtual networks ("Virtual network flow logs"). A record is a minute of one network interface and holds tuples, which are texts with
 * commas. Azure's rules are stateful: the source of a tuple is who began, whatever its direction. An interface's records add up.
 *
 * What a rule allowed or denied are words of Azure's firewall, not of a network policy: a denial is a cloud's, an allowance says
 * nothing of how the connection ended.
 */

/** A document is either its records, one by one, or an object around them where several documents stand one a line. */
function recordsOf(object: Fields): readonly Fields[] {
  return Array.isArray(object.records) ? object.records.filter(isObject) : [object];
}

function listIn(fields: Fields, name: string): readonly Fields[] {
  const list = fields[name];
  return Array.isArray(list) ? list.filter(isObject) : [];
}

function tuplesIn(fields: Fields): readonly unknown[] {
  return Array.isArray(fields.flowTuples) ? fields.flowTuples : [];
}

/** Reports whether a log has records of a category, or begins within the first of them (a busy minute is longer than what is looked at). */
function hasCategory({ objects, lines, isLineByLine }: LogHead, category: string): boolean {
  if (objects.length > 0) return objects.some((object) => recordsOf(object).some((record) => record.category === category));
  return !isLineByLine && new RegExp(`^\\s*\\{\\s*"records"\\s*:[^]*"category"\\s*:\\s*"${category}"`).test(lines.join("\n"));
}

const NSG_CATEGORY = "NetworkSecurityGroupFlowEvent";
const VNET_CATEGORY = "FlowLogFlowEvent";

export const azureNsg: ObjectFormat = {
  name: "azure-nsg",
  title: "Azure network security group flow log",
  unit: "object",
  recognizes: (head: LogHead) => hasCategory(head, NSG_CATEGORY),
  open: ({ sink }: LogContext) => ({
    read: (object) => sink.eachPart(recordsOf(object), (record) => addNsgRecord(record, sink)),
  }),
};

export const azureVnet: ObjectFormat = {
  name: "azure-vnet",
  title: "Azure virtual network flow log",
  unit: "object",
  recognizes: (head: LogHead) => hasCategory(head, VNET_CATEGORY),
  open: ({ sink }: LogContext) => ({
    read: (object) => sink.eachPart(recordsOf(object), (record) => addVnetRecord(record, sink)),
  }),
};

function addNsgRecord(record: Fields, sink: LogSink): void {
  if (record.category !== NSG_CATEGORY) return skip(record, NSG_CATEGORY, sink);
  const resource = textIn(record, "resourceId") ?? "";
  for (const rule of listIn(objectIn(record, "properties"), "flows"))
    for (const flow of listIn(rule, "flows")) {
      const reporter = `${textIn(flow, "mac") ?? textIn(record, "macAddress") ?? ""} ${resource}`;
      sink.eachPart(tuplesIn(flow), (tuple) => addNsgTuple(tuple, reporter, sink));
    }
}

function addVnetRecord(record: Fields, sink: LogSink): void {
  if (record.category !== VNET_CATEGORY) return skip(record, VNET_CATEGORY, sink);
  const reporter = `${textIn(record, "macAddress") ?? ""} ${textIn(record, "targetResourceID") ?? ""}`;
  for (const flow of listIn(objectIn(record, "flowRecords"), "flows"))
    for (const group of listIn(flow, "flowGroups")) sink.eachPart(tuplesIn(group), (tuple) => addVnetTuple(tuple, reporter, sink));
}

function skip(record: Fields, category: string, sink: LogSink): void {
  if (typeof record.category !== "string") throw new BadRecord(`no category \`${shown(record.category)}\`: a record has ${category}`);
  sink.skip("a record of another category");
}

/** Version 1 ends with the decision; version 2 adds the state and counters. */
const NSG_WIDTHS = [8, 13];
const NSG_PROTOCOLS = new Map([
  ["T", 6],
  ["U", 17],
]);

function addNsgTuple(tuple: unknown, reporter: string, sink: LogSink): void {
  const cells = cellsOf(tuple, NSG_WIDTHS);
  const [protocol, decision] = [NSG_PROTOCOLS.get(cells[5]), cells[7]];
  if (protocol === undefined) throw new BadRecord(`protocol is not T or U \`${shown(cells[5])}\``);
  if (decision !== "A" && decision !== "D") throw new BadRecord(`decision is not A or D \`${shown(decision)}\``);
  const state = cells[8] ?? "";
  if (!/^[BCE]?$/.test(state)) throw new BadRecord(`state is not B, C or E \`${shown(state)}\``);
  addTuple(cells, protocol, { isDenied: decision === "D", isCounted: state === "C" || state === "E" }, reporter, sink);
}

const VNET_WIDTHS = [13];
/** Not encrypted, so that Azure dropped the packets ("In this case, the packet is dropped"), though no rule denied them. */
const DROPPED_UNENCRYPTED = new Set(["NX_NOT_ACCEPTED", "NX_SW_NOT_READY", "NX_NOT_SUPPORTED"]);

function addVnetTuple(tuple: unknown, reporter: string, sink: LogSink): void {
  const cells = cellsOf(tuple, VNET_WIDTHS);
  const [state, encryption] = [cells[7], cells[8]];
  if (!/^[BCED]$/.test(state)) throw new BadRecord(`state is not B, C, E or D \`${shown(state)}\``);
  const isDenied = state === "D" || DROPPED_UNENCRYPTED.has(encryption);
  addTuple(cells, protocolOf(cells[5]), { isDenied, isCounted: state === "C" || state === "E" }, reporter, sink);
}

function cellsOf(tuple: unknown, widths: readonly number[]): readonly string[] {
  if (typeof tuple !== "string") throw new BadRecord(`a tuple is no text \`${shown(tuple)}\``);
  const cells = tuple.split(",");
  if (!widths.includes(cells.length)) throw new BadRecord(`a tuple has not ${widths.join(" or ")} fields \`${shown(tuple)}\``);
  return cells;
}

interface TupleState {
  readonly isDenied: boolean;
  /** Whether the tuple ends an interval (C, E): the beginning and a denial count nothing, be it written as zeros or not at all. */
  readonly isCounted: boolean;
}

/** Place of the first of the counters, in version 2 of the one and version 4 of the other: packets and bytes sent, then returned. */
const COUNTERS = 9;

function addTuple(cells: readonly string[], protocol: number, state: TupleState, reporter: string, sink: LogSink): void {
  const [time, source, destination, sourcePort, destinationPort] = cells;
  const count = (place: number, name: string) => (state.isCounted ? countOf(cells[COUNTERS + place], name) : undefined);
  const sent = { packets: count(0, "packets sent"), bytes: count(1, "bytes sent") };
  const returned = { packets: count(2, "packets returned"), bytes: count(3, "bytes returned") };
  sink.stated({
    source: sink.end(source, "source address"),
    destination: sink.end(destination, "destination address"),
    protocol,
    sourcePort: portOf(sourcePort, "source port"),
    destinationPort: portOf(destinationPort, "destination port"),
    start: timeOf(time),
    packets: sent.packets,
    bytes: sent.bytes,
    returnedPackets: returned.packets,
    returnedBytes: returned.bytes,
    // C and E count since the connection's last tuple, and so all since its beginning.
    countsTheRest: state.isCounted && sent.packets !== undefined && sent.bytes !== undefined,
    cloudDenied: state.isDenied,
    answer: !state.isDenied && isAnswered(protocol, sent, returned) ? "accepted" : undefined,
    reporter,
  });
}

/** Later than any time in seconds that is meant, earlier than any in milliseconds: logs of version 2 have those, of version 4 these. */
const FIRST_MILLISECONDS = 1e11;

function timeOf(cell: string) {
  return epochOf(cell, "time", Number(cell) >= FIRST_MILLISECONDS ? 1e3 : 1);
}

interface Counters {
  readonly packets: number | undefined;
  readonly bytes: number | undefined;
}

/** Ethernet, IPv6 and the longest TCP header: what a SYN, its answer or a refusal may have at most. Azure counts all of these. */
const LONGEST_EMPTY_SEGMENT = 14 + 40 + 60;

/**
 * Reports whether the counters show that the responder took the connection: a TCP server may have sent refusals only, unless data went
 * either way, which takes longer segments; whatever else sends back to the same ports answers.
 */
function isAnswered(protocol: number, sent: Counters, returned: Counters): boolean {
  if ((returned.packets ?? 0) === 0) return false;
  const hasData = ({ packets, bytes }: Counters) => (bytes ?? 0) > (packets ?? 0) * LONGEST_EMPTY_SEGMENT;
  return protocol !== TCP || hasData(returned) || hasData(sent);
}
