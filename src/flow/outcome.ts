import { ICMP, ICMPV6, SCTP, TCP, UDP } from "../net/protocol.ts";
import {
  ACCEPTED,
  ERROR_SENT_TO_B,
  type FlowTable,
  KIND,
  ONE_WAY,
  OPENED,
  PROHIBITED_BY_ERROR,
  REFUSED_BY_ERROR,
  RESET,
  SPOKE,
  STATE,
  STATED_ALLOWED,
  UNREACHED_BY_ERROR,
} from "./flowTable.ts";

/** How a connection ended, by what the record itself says. The order is that of `observed`: the first that is not zero. */
export const OUTCOMES = ["established", "refused", "unanswered", "dropped", "unknown"] as const;
export type ObservedOutcome = (typeof OUTCOMES)[number];

const ESTABLISHED = 0;
const REFUSED = 1;
const UNANSWERED = 2;
const DROPPED = 3;
const UNKNOWN = 4;

/** What one connection showed, over all its views; bits are relative to its initiator. */
export interface Evidence {
  initiatorBits: number;
  responderBits: number;
  /** REFUSED_BY_ERROR and the like, where the error answered the initiator; STATED_ALLOWED. */
  errors: number;
  bothSent: boolean;
}

/** Adds what a row shows to the evidence on a connection. */
export function gatherEvidence(evidence: Evidence, table: FlowTable, row: number, initiator: number): void {
  const state = table.get(row, STATE);
  evidence.initiatorBits |= state >>> initiator;
  evidence.responderBits |= state >>> (1 - initiator);
  const answered = (state & ERROR_SENT_TO_B) !== 0 ? 1 : 0;
  const stated = (table.get(row, KIND) & ONE_WAY) !== 0;
  if (stated || answered === initiator) evidence.errors |= state & (REFUSED_BY_ERROR | UNREACHED_BY_ERROR | PROHIBITED_BY_ERROR);
  evidence.errors |= state & STATED_ALLOWED;
  evidence.bothSent ||= table.packetsOf(row, 0) > 0 && table.packetsOf(row, 1) > 0;
}

/** Returns the index in OUTCOMES of how a connection ended. */
export function classify(protocol: number, { initiatorBits, responderBits, errors, bothSent }: Evidence): number {
  if ((errors & STATED_ALLOWED) !== 0) return ESTABLISHED;
  const refused = (errors & REFUSED_BY_ERROR) !== 0;
  const prohibited = (errors & PROHIBITED_BY_ERROR) !== 0;
  const unreached = (errors & UNREACHED_BY_ERROR) !== 0;
  const failure = refused ? REFUSED : prohibited ? DROPPED : unreached ? UNANSWERED : -1;
  switch (protocol) {
    case TCP:
    case SCTP: {
      if ((responderBits & ACCEPTED) !== 0) return ESTABLISHED;
      if ((initiatorBits & OPENED) === 0) return (initiatorBits & responderBits & SPOKE) !== 0 ? ESTABLISHED : failure >= 0 ? failure : UNKNOWN;
      if ((responderBits & RESET) !== 0) return REFUSED;
      // Only one half of the connection was captured, but it went on after the SYN: the other half answered.
      if (((initiatorBits | responderBits) & SPOKE) !== 0) return ESTABLISHED;
      return failure >= 0 ? failure : UNANSWERED;
    }
    case UDP:
      // A datagram needs no answer: none seen says nothing.
      return (initiatorBits & responderBits & SPOKE) !== 0 ? ESTABLISHED : failure >= 0 ? failure : UNKNOWN;
    case ICMP:
    case ICMPV6:
      if ((responderBits & ACCEPTED) !== 0) return ESTABLISHED;
      if (failure >= 0) return failure;
      return (initiatorBits & OPENED) !== 0 ? UNANSWERED : UNKNOWN;
    default:
      return bothSent ? ESTABLISHED : failure >= 0 ? failure : UNKNOWN;
  }
}
