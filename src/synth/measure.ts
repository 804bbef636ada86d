import { UDP } from "../net/protocol.ts";
import type { Conversation, Measure } from "./conversation.ts";
import {
  datagramExchanges,
  datagramsOf,
  ETHERNET,
  FLIGHT,
  GAP,
  ipHeaderBytes,
  isOverIPv4,
  maximumSegmentSize,
  pauseOf,
  RETRANSMISSIONS,
  roundTripOf,
  SYN_OPTIONS,
  TCP_HEADER,
  UDP_HEADER,
} from "./wire/pacing.ts";
import { lengthsOf } from "./wire/turns.ts";

/**
 * Returns what a capture of a conversation holds, without making it: what CaptureWriter writes and reports count. An ICMP error is
 * evidence on the connection and no packet of it (ARCHITECTURE.md), so that the one which refuses a datagram counts neither
 * as a packet nor for the end.
 */
export function measure(conversation: Conversation): Measure {
  return conversation.protocol === UDP ? measureDatagrams(conversation) : measureTcp(conversation);
}

function measureTcp(conversation: Conversation): Measure {
  const { start, exchanges, protocol, ending } = conversation;
  const isFour = isOverIPv4(conversation);
  const header = ETHERNET + ipHeaderBytes(isFour) + TCP_HEADER;
  const roundTrip = roundTripOf(conversation);
  if (ending === "unanswered") {
    const packets = 1 + RETRANSMISSIONS.length;
    return { packets, bytes: packets * (header + SYN_OPTIONS), end: start + RETRANSMISSIONS.reduce((sum, wait) => sum + wait, 0) };
  }
  if (ending === "refused") return { packets: 2, bytes: 2 * header + SYN_OPTIONS, end: start + roundTrip };
  const tally = new TcpTally(maximumSegmentSize(isFour), roundTrip);
  const pause = pauseOf(conversation);
  let hasHttp2 = false;
  let hasTls = false;
  for (let i = 0; i < exchanges.length; i++) {
    const { kind } = exchanges[i];
    const opens = kind === "tls" ? !hasTls : kind === "http2" && !hasHttp2;
    if (kind === "tls") hasTls = true;
    if (kind === "http2") hasHttp2 = true;
    const lengths = lengthsOf(exchanges[i], protocol, opens);
    tally.lead = i === 0 ? GAP : pause;
    if (opens) {
      tally.add(lengths.clientOpening, true);
      tally.add(lengths.serverOpening, false);
    }
    tally.add(lengths.request, true);
    tally.add(lengths.answer, false);
  }
  // SYN, SYN+ACK and ACK; FIN, FIN and ACK.
  const last = ending === "finished" ? 3 : ending === "reset" ? 1 : 0;
  const lastMicros = ending === "finished" ? GAP + roundTrip + GAP : ending === "reset" ? GAP : 0;
  const packets = 3 + tally.packets + last;
  return {
    packets,
    bytes: packets * header + 2 * SYN_OPTIONS + tally.payload,
    end: start + roundTrip + GAP + tally.micros + lastMicros,
  };
}

/** Counts turns over TCP: segments in flights, each followed by its acknowledgements. */
class TcpTally {
  packets = 0;
  payload = 0;
  micros = 0;
  /** Microseconds before the next turn. */
  lead = GAP;
  readonly #segmentSize: number;
  readonly #roundTrip: number;

  constructor(segmentSize: number, roundTrip: number) {
    this.#segmentSize = segmentSize;
    this.#roundTrip = roundTrip;
  }

  add(length: number, byClient: boolean): void {
    if (length === 0) return;
    const segments = Math.ceil(length / this.#segmentSize);
    const acknowledgements = Math.ceil(segments / 2);
    const flights = Math.ceil(segments / FLIGHT);
    this.packets += segments + acknowledgements;
    this.payload += length;
    const toAcknowledgement = byClient ? this.#roundTrip : GAP;
    const toNextFlight = byClient ? GAP : this.#roundTrip;
    this.micros +=
      this.lead + (segments + acknowledgements - 2 * flights) * GAP + flights * toAcknowledgement + (flights - 1) * toNextFlight;
    this.lead = GAP;
  }
}

function measureDatagrams(conversation: Conversation): Measure {
  const { start, ending, protocol } = conversation;
  const header = ETHERNET + ipHeaderBytes(isOverIPv4(conversation)) + UDP_HEADER;
  const roundTrip = roundTripOf(conversation);
  const pause = pauseOf(conversation);
  const isAnswered = ending !== "refused" && ending !== "unanswered";
  let packets = 0;
  let payload = 0;
  let micros = 0;
  for (const exchange of datagramExchanges(conversation)) {
    const { request, answer } = lengthsOf(exchange, protocol, false);
    const asked = datagramsOf(request, true);
    micros += (packets === 0 ? 0 : pause) + (asked - 1) * GAP;
    packets += asked;
    payload += request;
    const answered = isAnswered ? datagramsOf(answer, false) : 0;
    if (answered === 0) continue;
    micros += roundTrip + (answered - 1) * GAP;
    packets += answered;
    payload += answer;
  }
  return { packets, bytes: packets * header + payload, end: start + micros };
}
