import type { Instant } from "../net/time.ts";
import {
  type FlowTable,
  NO_SOURCE_PORT,
  ONE_WAY,
  OPENED,
  PROHIBITED_BY_ERROR,
  RECORDS,
  REUSED_ADDRESS,
  STATE,
  STATED_DENIED,
  UNTIMED,
  WORDS_ARE_IDS,
} from "./flowTable.ts";

/** A connection as a log states it: its source is the initiator, whatever the ports look like. */
export interface StatedFlow {
  /** Address-table ids. */
  readonly source: number;
  readonly destination: number;
  /** Both the responder's where `kind` has NO_SOURCE_PORT. */
  readonly sourcePort: number;
  readonly destinationPort: number;
  /** Protocol number with NO_SOURCE_PORT, or `icmpKind`. */
  readonly kind: number;
  /** What the log says of the end: STATED_ALLOWED, PROHIBITED_BY_ERROR or UNJUDGED; UNCOUNTED without counters. */
  readonly bits: number;
  readonly time: Instant | undefined;
  readonly packets: number;
  readonly bytes: number;
}

/** Adds one record of a log to the flow table and returns its row. */
export function addStated(table: FlowTable, flow: StatedFlow): number {
  const { source, destination, sourcePort, destinationPort, kind, bits, time } = flow;
  const hasNoPort = (kind & NO_SOURCE_PORT) !== 0;
  const key = kind | WORDS_ARE_IDS | ONE_WAY | ((bits & PROHIBITED_BY_ERROR) !== 0 && hasNoPort ? STATED_DENIED : 0);
  const [seconds, nanoseconds] = [time?.seconds ?? 0, time?.nanoseconds ?? 0];
  let row = table.locate(source, destination, sourcePort, destinationPort, key);
  const isKnown = row >= 0 && !(time !== undefined && (table.get(row, STATE) & REUSED_ADDRESS) !== 0 && table.changedHands(row, seconds));
  if (!isKnown) {
    row = table.add(source, destination, sourcePort, destinationPort, key, seconds, nanoseconds);
    if (hasNoPort) table.set(row, RECORDS, 0);
    if (time === undefined) table.setState(row, UNTIMED);
  } else if (time !== undefined) table.touch(row, seconds, nanoseconds);
  const { side } = table;
  table.setState(row, (OPENED << side) | bits);
  if (hasNoPort) table.set(row, RECORDS, table.get(row, RECORDS) + 1);
  table.addPackets(row, side, flow.packets);
  table.addBytes(row, side, flow.bytes);
  return row;
}
