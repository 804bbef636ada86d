import { ICMP, ICMPV6, SCTP, TCP, UDP } from "../net/protocol.ts";
import {
  ACCEPTED,
  CLOUD_ACCEPTED,
  CLOUD_DENIED,
  DENIAL_DECIDES,
  ERROR_SENT_TO_B,
  type FlowRows,
  HALVES_ONLY,
  KIND,
  LOGGED,
  NO_ANSWER,
  ONE_WAY,
  OPENED,
  PROHIBITED_BY_ERROR,
  REFUSED_BY_ERROR,
  RESET,
  SPOKE,
  STATE,
  STATED_ALLOWED,
  SYNCED,
  UNJUDGED,
  UNREACHED_BY_ERROR,
} from "./flowRows.ts";

/** How a connection ended, by what the record itself says. The order is that of `observed`: the first that is not zero. */
export const OUTCOMES = ["established", "refused", "unanswered", "dropped", "unknown"] as const;
export type ObservedOutcome = (typeof OUTCOMES)[number];

/** Numbers of outcomes, in the order above. */
export const ESTABLISHED = 0;
const REFUSED = 1;
const UNANSWERED = 2;
const DROPPED = 3;
export const UNKNOWN = 4;

const LOGGED_WORDS = HALVES_ONLY | STATED_ALLOWED | UNJUDGED | DENIAL_DECIDES | NO_ANSWER | CLOUD_DENIED;
const ERRORS = REFUSED_BY_ERROR | UNREACHED_BY_ERROR | PROHIBITED_BY_ERROR;

/**
 * What the rows of one connection showed. Bits are those of A in the flow table, here of the initiator and of the responder.
 * One object serves connection after connection: `reset` begins the next.
 */
export class Evidence {
  initiatorBits = 0;
  responderBits = 0;
  /** REFUSED_BY_ERROR and the like, where the error answered the initiator; what logs say. */
  errors = 0;
  bothSent = false;
  /** Whether a log stated the connection, its initiator included. */
  isStated = false;
  /** Whether there is more than what logs stated: packets, or halves with what each side did. */
  isSeen = false;
  /** Whether packets themselves were seen. */
  isCaptured = false;
  /** Whether a cloud's own firewall let packets of both sides pass. */
  isLetBothWays = false;

  reset(): void {
    this.initiatorBits = 0;
    this.responderBits = 0;
    this.errors = 0;
    this.bothSent = false;
    this.isStated = false;
    this.isSeen = false;
    this.isCaptured = false;
    this.isLetBothWays = false;
  }

  /** Adds what a row shows. */
  gather(table: FlowRows, row: number, initiator: number): void {
    const state = table.get(row, STATE);
    const kind = table.get(row, KIND);
    const isStated = (kind & ONE_WAY) !== 0 && (state & (OPENED | (OPENED << 1))) !== 0;
    if (isStated) this.isStated = true;
    else this.isSeen = true;
    if ((kind & LOGGED) === 0) this.isCaptured = true;
    // That a log states an initiator is not that its SYN was seen.
    this.initiatorBits |= (isStated ? state & ~(OPENED | (OPENED << 1)) : state) >>> initiator;
    this.responderBits |= state >>> (1 - initiator);
    const answered = (state & ERROR_SENT_TO_B) !== 0 ? 1 : 0;
    // A log's words are of the connection, whichever side's packet it was.
    if (answered === initiator || (kind & (ONE_WAY | LOGGED)) !== 0) this.errors |= state & ERRORS;
    this.errors |= state & LOGGED_WORDS;
    if (table.packetsOf(row, 0) > 0 && table.packetsOf(row, 1) > 0) this.bothSent = true;
    if ((kind & LOGGED) !== 0 && (state & (state >> 1) & CLOUD_ACCEPTED) !== 0) this.isLetBothWays = true;
  }
}

/** Returns the index in OUTCOMES of how a connection ended. */
export function classify(protocol: number, evidence: Evidence): number {
  const { responderBits, errors } = evidence;
  const isRefused = (responderBits & RESET) !== 0 && (responderBits & ACCEPTED) === 0;
  // Whoever goes on after a SYN had an answer, whatever was denied before or later.
  const hadAnswer = protocol === TCP && (evidence.initiatorBits & SPOKE) !== 0;
  const isLet = (errors & STATED_ALLOWED) !== 0 && ((errors & DENIAL_DECIDES) === 0 || hadAnswer);
  if (isLet) return isRefused && evidence.isStated ? REFUSED : ESTABLISHED;
  const seen = evidence.isSeen ? classifySeen(protocol, evidence) : UNKNOWN;
  if (!evidence.isStated) {
    // What the firewall let pass both ways worked before or after: a late packet may be denied when its tracking has ended.
    if (seen !== ESTABLISHED && (errors & CLOUD_DENIED) !== 0 && !evidence.isLetBothWays) return DROPPED;
    return seen === UNANSWERED && (errors & (UNJUDGED | HALVES_ONLY)) !== 0 && !evidence.isCaptured ? UNKNOWN : seen;
  }
  if (seen === ESTABLISHED || (responderBits & ACCEPTED) !== 0) return ESTABLISHED;
  // A log without a verdict says that there was traffic, and nothing of its end.
  if ((errors & PROHIBITED_BY_ERROR) !== 0 && (errors & UNJUDGED) === 0) return DROPPED;
  if (isRefused) return REFUSED;
  return (errors & NO_ANSWER) !== 0 ? UNANSWERED : seen;
}

/** The same by packets, or by what a log says that each side did. */
function classifySeen(protocol: number, { initiatorBits, responderBits, errors, bothSent }: Evidence): number {
  const refused = (errors & REFUSED_BY_ERROR) !== 0;
  const prohibited = (errors & PROHIBITED_BY_ERROR) !== 0;
  const unreached = (errors & UNREACHED_BY_ERROR) !== 0;
  const failure = refused ? REFUSED : prohibited ? DROPPED : unreached ? UNANSWERED : -1;
  switch (protocol) {
    case TCP:
    case SCTP: {
      if ((responderBits & ACCEPTED) !== 0) return ESTABLISHED;
      // Either side of a connection that came about sends both SYN and ACK, together or one after the other.
      if (((initiatorBits | responderBits) & SYNCED) !== 0) return ESTABLISHED;
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
