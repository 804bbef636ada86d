import {
  ACCEPTED,
  CLOUD_ACCEPTED,
  CLOUD_DENIED,
  DENIAL_DECIDES,
  DROPPED,
  ERROR_SENT_TO_B,
  ESTABLISHED,
  HALVES_ONLY,
  ICMP,
  ICMPV6,
  LOGGED,
  NO_ANSWER,
  ONE_WAY,
  OPENED,
  PROHIBITED_BY_ERROR,
  REFUSED,
  REFUSED_BY_ERROR,
  RESET,
  SCTP,
  SPOKE,
  STATED_ALLOWED,
  SYNCED,
  TCP,
  UDP,
  UNANSWERED,
  UNJUDGED,
  UNKNOWN,
  UNREACHED_BY_ERROR,
} from "./constants";
import { kindOf, packetsOf, stateOf } from "./rows";

/*
 * How a connection ended, by what its rows showed. One connection after the other: `beginEvidence`, `gather` each row, `classify`.
 */

const LOGGED_WORDS = HALVES_ONLY | STATED_ALLOWED | UNJUDGED | DENIAL_DECIDES | NO_ANSWER | CLOUD_DENIED;
const ERRORS = REFUSED_BY_ERROR | UNREACHED_BY_ERROR | PROHIBITED_BY_ERROR;
const NO_FAILURE = -1;

/** Bits are those of A in the flow table, here of the initiator and of the responder. */
let initiatorBits = 0;
let responderBits = 0;
/** REFUSED_BY_ERROR and the like, where the error answered the initiator; what logs say. */
let errors = 0;
let bothSent = false;
let stated = false;
/** Whether there is more than what logs stated: packets, or halves with what each side did. */
let showed = false;
/** Whether packets themselves were seen. */
let captured = false;
/** Whether a cloud's own firewall let packets of both sides pass. */
let letBothWays = false;

export function beginEvidence(): void {
  initiatorBits = 0;
  responderBits = 0;
  errors = 0;
  bothSent = false;
  stated = false;
  showed = false;
  captured = false;
  letBothWays = false;
}

/** Reports whether a log stated the connection, its initiator included. */
export function wasStated(): bool {
  return stated;
}

/** Adds what a row shows. */
export function gather(row: i32, initiator: i32): void {
  const state = stateOf(row);
  const kind = kindOf(row);
  const opened = OPENED | (OPENED << 1);
  const isStated = (kind & ONE_WAY) !== 0 && (state & opened) !== 0;
  if (isStated) stated = true;
  else showed = true;
  if ((kind & LOGGED) === 0) captured = true;
  // That a log states an initiator is not that its SYN was seen.
  initiatorBits |= (isStated ? state & ~opened : state) >>> initiator;
  responderBits |= state >>> (1 - initiator);
  const answered = (state & ERROR_SENT_TO_B) !== 0 ? 1 : 0;
  // A log's words are of the connection, whichever side's packet it was.
  if (answered === initiator || (kind & (ONE_WAY | LOGGED)) !== 0) errors |= state & ERRORS;
  errors |= state & LOGGED_WORDS;
  if (packetsOf(row, 0) > 0 && packetsOf(row, 1) > 0) bothSent = true;
  if ((kind & LOGGED) !== 0 && (state & (state >> 1) & CLOUD_ACCEPTED) !== 0) letBothWays = true;
}

/** Returns how the connection ended: ESTABLISHED and so on. */
export function classify(protocol: i32): i32 {
  const isRefused = (responderBits & RESET) !== 0 && (responderBits & ACCEPTED) === 0;
  // Whoever goes on after a SYN had an answer, whatever was denied before or later.
  const hadAnswer = protocol === TCP && (initiatorBits & SPOKE) !== 0;
  const isLet = (errors & STATED_ALLOWED) !== 0 && ((errors & DENIAL_DECIDES) === 0 || hadAnswer);
  if (isLet) return isRefused && stated ? REFUSED : ESTABLISHED;
  const shown = showed ? classifyShown(protocol) : UNKNOWN;
  if (!stated) {
    // What the firewall let pass both ways worked before or after: a late packet may be denied when its tracking has ended.
    if (shown !== ESTABLISHED && (errors & CLOUD_DENIED) !== 0 && !letBothWays) return DROPPED;
    return shown === UNANSWERED && (errors & (UNJUDGED | HALVES_ONLY)) !== 0 && !captured ? UNKNOWN : shown;
  }
  if (shown === ESTABLISHED || (responderBits & ACCEPTED) !== 0) return ESTABLISHED;
  // A log without a verdict says that there was traffic, and nothing of its end.
  if ((errors & PROHIBITED_BY_ERROR) !== 0 && (errors & UNJUDGED) === 0) return DROPPED;
  if (isRefused) return REFUSED;
  return (errors & NO_ANSWER) !== 0 ? UNANSWERED : shown;
}

/** The same by packets, or by what a log says that each side did. */
function classifyShown(protocol: i32): i32 {
  const failure = failureOf();
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

function failureOf(): i32 {
  if ((errors & REFUSED_BY_ERROR) !== 0) return REFUSED;
  if ((errors & PROHIBITED_BY_ERROR) !== 0) return DROPPED;
  return (errors & UNREACHED_BY_ERROR) !== 0 ? UNANSWERED : NO_FAILURE;
}
