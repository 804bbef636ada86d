import { hasPorts, isIcmp, TCP, UDP } from "../net/protocol.ts";
import { ACK, FIN, RST, SYN } from "../net/tcpFlags.ts";
import type { Instant } from "../net/time.ts";
import {
  ACCEPTED,
  B_BEGAN,
  CLOUD_DENIED,
  DENIAL_DECIDES,
  FINISHED,
  type FlowTable,
  icmpKind,
  KIND,
  LOGGED,
  NO_SOURCE_PORT,
  NOT_TOLD,
  ONE_WAY,
  OPENED,
  ORDER_UNSURE,
  ORIGIN_SHIFT,
  PROHIBITED_BY_ERROR,
  RECORDS,
  RESET,
  REUSED_ADDRESS,
  SPOKE,
  STATE,
  STATED_DENIED,
  SYNCED,
  TOTALS,
  UNTIMED,
  WORDS_ARE_IDS,
} from "./flowTable.ts";

/** What records of both kinds tell. */
interface Logged {
  /** Address-table ids. */
  readonly source: number;
  readonly destination: number;
  readonly protocol: number;
  /** ICMP only; absent: not told. */
  readonly icmpType?: number | undefined;
  readonly icmpCode?: number | undefined;
  readonly start: Instant | undefined;
  /** Absent: as `start`. */
  readonly end?: Instant | undefined;
  /** Number of who reported it (see Origins): rows of two reporters are two views of one connection. */
  readonly origin: number;
}

/** A connection as a log states it: its source is the initiator, whatever the ports look like. */
export interface StatedFlow extends Logged {
  /** Absent: not told, be it that the record stands for several connections. */
  readonly sourcePort?: number | undefined;
  /** TCP, UDP and SCTP only. */
  readonly destinationPort?: number | undefined;
  /** What the log says of the end: STATED_ALLOWED, PROHIBITED_BY_ERROR, UNJUDGED and the like; UNCOUNTED without counters. */
  readonly bits: number;
  /** What the initiator did besides beginning: SPOKE. */
  readonly initiator?: number | undefined;
  /** What the responder did: ACCEPTED, RESET. */
  readonly responder?: number | undefined;
  readonly packets: number;
  readonly bytes: number;
  /** What came back, where the log counts it apart. */
  readonly returnedPackets?: number | undefined;
  readonly returnedBytes?: number | undefined;
  /** How many connections the record stands for, where it has no source port; 1 where it is absent. */
  readonly times?: number | undefined;
  /** Whether the record is a whole connection, so that one of another time is another. */
  readonly isWhole?: boolean | undefined;
}

/** One direction of a connection as a log counts it: which side began is not said. */
export interface HalfFlow extends Logged {
  readonly sourcePort: number;
  readonly destinationPort: number;
  /** Of the row: PROHIBITED_BY_ERROR and the like. */
  readonly bits: number;
  /** What the sender did: OPENED, ACCEPTED, SYNCED, SPOKE, RESET, FINISHED (see `bitsOfFlags`). */
  readonly sender: number;
  /** Whether `start` says nothing of which direction began (packets were sampled). */
  readonly isUnordered?: boolean | undefined;
  readonly packets: number;
  readonly bytes: number;
}

/** Adds one record of a log to the flow table and returns its row. */
export function addStated(table: FlowTable, flow: StatedFlow): number {
  const { source, destination, protocol, bits, start, origin } = flow;
  const end = flow.end ?? start;
  const hasNoPort = flow.sourcePort === undefined && hasPorts(protocol);
  const denied = (bits & PROHIBITED_BY_ERROR) !== 0 && hasNoPort ? STATED_DENIED : 0;
  const kind = kindOf(flow) | ONE_WAY | (hasNoPort ? NO_SOURCE_PORT : 0) | denied;
  const destinationPort = isIcmp(protocol) ? origin : (flow.destinationPort ?? 0);
  const sourcePort = isIcmp(protocol) ? origin : (flow.sourcePort ?? destinationPort);
  const [seconds, nanoseconds] = [start?.seconds ?? 0, start?.nanoseconds ?? 0];
  let row = table.locate(source, destination, sourcePort, destinationPort, kind);
  const isNew = row < 0 || (start !== undefined && isAnother(table, row, flow));
  if (isNew) {
    row = table.add(source, destination, sourcePort, destinationPort, kind, seconds, nanoseconds);
    if (hasNoPort) table.set(row, RECORDS, 0);
    if (start === undefined) table.setState(row, UNTIMED);
  } else if (start !== undefined) table.touchLogged(row, seconds, nanoseconds);
  if (end !== undefined && end !== start) table.touch(row, end.seconds, end.nanoseconds);
  const { side } = table;
  table.setState(row, ((OPENED | (flow.initiator ?? 0)) << side) | ((flow.responder ?? 0) << (1 - side)) | bits);
  if (hasNoPort) table.set(row, RECORDS, table.get(row, RECORDS) + (flow.times ?? 1));
  table.addPackets(row, side, flow.packets);
  table.addBytes(row, side, flow.bytes);
  if (flow.returnedPackets !== undefined) table.addPackets(row, 1 - side, flow.returnedPackets);
  else if (!hasNoPort && flow.packets > 0) table.set(row, TOTALS, 1);
  if (flow.returnedBytes !== undefined) table.addBytes(row, 1 - side, flow.returnedBytes);
  return row;
}

/**
 * A try that was denied and one that was let pass are two, unless they are what two points of the way say of one: within an interval of
 * logs that count in intervals; within what clocks differ, and less than the second after which TCP tries again (RFC 6298 section 2), in
 * logs of single events.
 */
const SAME_INTERVAL_SECONDS = 60;
const SAME_EVENT_SECONDS = 0.5;

/** Denials of a try. That of one packet, in a log of packets, may be of a late answer: only those that decide are. */
const denialsOf = (kind: number) => CLOUD_DENIED | ((kind & ONE_WAY) !== 0 ? PROHIBITED_BY_ERROR : DENIAL_DECIDES);

/** Whole connections of two times are two, and so are those of two owners of an address, and tries with two ends. */
function isAnother(table: FlowTable, row: number, { start, end, bits, isWhole }: Logged & Pick<StatedFlow, "bits" | "isWhole">): boolean {
  const state = table.get(row, STATE);
  if ((state & UNTIMED) !== 0) return false;
  const { seconds, nanoseconds } = start!;
  const denials = denialsOf(table.get(row, KIND));
  if (((bits & denials) !== 0) !== ((state & denials) !== 0)) {
    const later = seconds - table.lastSeconds(row) + (nanoseconds - table.lastNanoseconds(row)) * 1e-9;
    const earlier = table.firstSeconds(row) - seconds + (table.firstNanoseconds(row) - nanoseconds) * 1e-9;
    const isOfEvents = end === undefined && ((bits | state) & DENIAL_DECIDES) !== 0;
    if (Math.max(later, earlier) > (isOfEvents ? SAME_EVENT_SECONDS : SAME_INTERVAL_SECONDS)) return true;
  }
  if (isWhole === true && (seconds > table.lastSeconds(row) + 1 || seconds < table.firstSeconds(row) - 1)) return true;
  return (state & REUSED_ADDRESS) !== 0 && table.changedHands(row, seconds);
}

/** Adds one direction of a connection to the flow table and returns its row, which both directions share. */
export function addHalf(table: FlowTable, flow: HalfFlow): number {
  const { source, destination, protocol, start, origin } = flow;
  const kind = kindOf(flow);
  const sourcePort = isIcmp(protocol) ? origin : flow.sourcePort;
  const destinationPort = isIcmp(protocol) ? origin : flow.destinationPort;
  const [seconds, nanoseconds] = [start?.seconds ?? 0, start?.nanoseconds ?? 0];
  let row = table.locate(source, destination, sourcePort, destinationPort, kind);
  if (row < 0 || (start !== undefined && isAnother(table, row, flow))) {
    row = table.add(source, destination, sourcePort, destinationPort, kind, seconds, nanoseconds);
    if (start === undefined) table.setState(row, UNTIMED | ORDER_UNSURE);
  } else if (start !== undefined) {
    if ((table.get(row, STATE) & UNTIMED) === 0) orderSides(table, row, table.side, seconds, nanoseconds);
    table.touchLogged(row, seconds, nanoseconds);
  }
  if (flow.end !== undefined) table.touch(row, flow.end.seconds, flow.end.nanoseconds);
  const { side } = table;
  table.setState(row, (flow.sender << side) | flow.bits | (flow.isUnordered === true ? ORDER_UNSURE : 0));
  table.addPackets(row, side, flow.packets);
  table.addBytes(row, side, flow.bytes);
  return row;
}

/** Which side sent first is told by the earlier of both directions' beginnings; logs come in any order, many with whole seconds. */
function orderSides(table: FlowTable, row: number, side: number, seconds: number, nanoseconds: number): void {
  const began = (table.get(row, STATE) & B_BEGAN) !== 0 ? 1 : 0;
  if (began === side) {
    const isEarlier =
      seconds < table.firstSeconds(row) || (seconds === table.firstSeconds(row) && nanoseconds < table.firstNanoseconds(row));
    if (isEarlier) table.clearState(row, ORDER_UNSURE);
    return;
  }
  const difference = seconds - table.firstSeconds(row) || nanoseconds - table.firstNanoseconds(row);
  if (difference === 0) table.setState(row, ORDER_UNSURE);
  if (difference >= 0) return;
  table.clearState(row, ORDER_UNSURE);
  if (side === 1) table.setState(row, B_BEGAN);
  else table.clearState(row, B_BEGAN);
}

function kindOf({ protocol, icmpType, icmpCode, origin }: Logged): number {
  const own = isIcmp(protocol)
    ? icmpType === undefined
      ? icmpKind(protocol, NOT_TOLD, NOT_TOLD)
      : icmpKind(protocol, icmpType, icmpCode ?? 0)
    : protocol | (origin << ORIGIN_SHIFT);
  return own | WORDS_ARE_IDS | LOGGED;
}

/** No connection is tried as often from one port (Linux: tcp_syn_retries 6), and refused as often: where more went by, it came about. */
const MOST_TRIES = 10;
/** No segment without data is longer (IPv6 with 40 bytes of TCP options): where packets are on average, some had data. */
const MOST_EMPTY_BYTES = 100;

/**
 * Returns what the sender of a half did, by the control bits of all its packets together (RFC 9293 section 3.1). Where SYN and ACK
 * may be of two packets (`isMerged`), who sent them is either side of an established connection. Undefined flags: not told.
 */
export function bitsOfFlags(protocol: number, flags: number | undefined, packets: number, bytes: number, isMerged: boolean): number {
  if (protocol === UDP) return packets > 0 ? SPOKE : 0;
  if (protocol !== TCP) return 0;
  if (flags === undefined) return packets > MOST_TRIES || bytes > packets * MOST_EMPTY_BYTES ? SPOKE : 0;
  const synchronised = (flags & (SYN | ACK)) === (SYN | ACK);
  const syn = (flags & SYN) === 0 ? 0 : !synchronised ? OPENED : isMerged && packets !== 1 ? SYNCED : ACCEPTED;
  const spoke = (flags & ACK) !== 0 && (flags & SYN) === 0 && (flags & RST) === 0 ? SPOKE : 0;
  return syn | spoke | ((flags & RST) !== 0 ? RESET : 0) | ((flags & FIN) !== 0 ? FINISHED : 0);
}
