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
  UNJUDGED,
  UNREACHED_BY_ERROR,
} from "./flowTable.ts";

/** How a connection ended, by what the record itself says. The order is that of `observed`: the first that is not zero. */
export const OUTCOMES = ["established", "refused", "unanswered", "dropped", "unknown"] as const;
export type ObservedOutcome = (typeof OUTCOMES)[number];

/** Numbers of outcomes, in the order above. */
export const ESTABLISHED = 0;
const REFUSED = 1;
const UNANSWERED = 2;
const DROPPED = 3;
export const UNKNOWN = 4;

const ERRORS = REFUSED_BY_ERROR | UNREACHED_BY_ERROR | PROHIBITED_BY_ERROR;

/**
 * What the rows of one connection showed. Bits are those of A in the flow table, here of the initiator and of the responder.
 * One object serves connection after connection: `reset` begins the next.
 */
export class Evidence {
  initiatorBits = 0;
  responderBits = 0;
  /** REFUSED_BY_ERROR and the like, where the error answered the initiator; STATED_ALLOWED. */
  errors = 0;
  bothSent = false;
  /** Whether a log stated the connection, its initiator included. */
  isStated = false;

  reset(): void {
    this.initiatorBits = 0;
    this.responderBits = 0;
    this.errors = 0;
    this.bothSent = false;
    this.isStated = false;
  }

  /** Adds what a row shows. */
  gather(table: FlowTable, row: number, initiator: number): void {
    const state = table.get(row, STATE);
    this.initiatorBits |= state >>> initiator;
    this.responderBits |= state >>> (1 - initiator);
    const answered = (state & ERROR_SENT_TO_B) !== 0 ? 1 : 0;
    if (answered === initiator || (table.get(row, KIND) & ONE_WAY) !== 0) this.errors |= state & ERRORS;
    this.errors |= state & (STATED_ALLOWED | UNJUDGED);
    if ((table.get(row, KIND) & ONE_WAY) !== 0 && (state & (OPENED | (OPENED << 1))) !== 0) this.isStated = true;
    if (table.packetsOf(row, 0) > 0 && table.packetsOf(row, 1) > 0) this.bothSent = true;
  }
}

/** Returns the index in OUTCOMES of how a connection ended. */
export function classify(protocol: number, evidence: Evidence): number {
  const { initiatorBits, responderBits, errors, bothSent } = evidence;
  if ((errors & STATED_ALLOWED) !== 0) return ESTABLISHED;
  // A log without a verdict says that there was traffic, and nothing of its end.
  if (evidence.isStated) return (errors & PROHIBITED_BY_ERROR) !== 0 && (errors & UNJUDGED) === 0 ? DROPPED : UNKNOWN;
  const refused = (errors & REFUSED_BY_ERROR) !== 0;
  const prohibited = (errors & PROHIBITED_BY_ERROR) !== 0;
  const unreached = (errors & UNREACHED_BY_ERROR) !== 0;
  const failure = refused ? REFUSED : prohibited ? DROPPED : unreached ? UNANSWERED : -1;
  switch (protocol) {
    case TCP:
    case SCTP: {
      if ((responderBits & ACCEPTED) !== 0) return ESTABLISHED;
      if ((initiatorBits & OPENED) === 0)
        return (initiatorBits & responderBits & SPOKE) !== 0 ? ESTABLISHED : failure >= 0 ? failure : UNKNOWN;
      // Only one half of the connection was captured, but it went on after the SYN: the other half answered.
      if (((initiatorBits | responderBits) & SPOKE) !== 0) return ESTABLISHED;
      if ((responderBits & RESET) !== 0) return REFUSED;
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
