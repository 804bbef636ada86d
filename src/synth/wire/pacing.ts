import { isIPv4 } from "../../net/address.ts";
import type { Conversation, Exchange } from "../conversation.ts";

/*
 * When packets come and how large they are. The capture is taken at the client: what it says follows at once on what it heard, and
 * what the server says comes a round trip after what it answers.
 */

/** Microseconds between packets that follow each other at once. */
export const GAP = 1;

export const ETHERNET = 14;
export const TCP_HEADER = 20;
/** Options of a SYN and its answer: maximum segment size, SACK permitted, window scale, padded. */
export const SYN_OPTIONS = 12;
export const UDP_HEADER = 8;
/** Most that a datagram carries: it fits into an MTU of 1500 over IPv6 and through a tunnel. */
export const MOST_DATAGRAM = 1400;

/**
 * Segments that are sent before an acknowledgement is waited for: even, since every second one is acknowledged (RFC 9293 section
 * 3.8.6.3), and together less than the 65,535 bytes that a SYN can offer, which is never scaled (RFC 7323 section 2.2).
 */
export const FLIGHT = 32;

/** When a SYN is sent again, in microseconds after the one before: 1, 3 and 7 s after the first (RFC 6298 sections 2.1 and 5.5, doubling). */
export const RETRANSMISSIONS: readonly number[] = [1_000_000, 2_000_000, 4_000_000];

/** Returns the bytes of an IP header without options or extensions. */
export function ipHeaderBytes(isFour: boolean): number {
  return isFour ? 20 : 40;
}

/** Returns the most bytes of a TCP segment over an MTU of 1500: 1460, over IPv6 1440 (RFC 6691, RFC 8200 section 8.3). */
export function maximumSegmentSize(isFour: boolean): number {
  return 1500 - ipHeaderBytes(isFour) - TCP_HEADER;
}

/** Reports the family of a conversation; both ends are of one. */
export function isOverIPv4({ client }: Conversation): boolean {
  return isIPv4(client);
}

/** Returns the microseconds from a packet to its answer, a whole number. */
export function roundTripOf({ roundTrip }: Conversation): number {
  return Math.max(0, Math.round(roundTrip));
}

/** Returns the microseconds from the end of an exchange to the next, a whole number. */
export function pauseOf({ pause }: Conversation): number {
  return Math.max(0, Math.round(pause));
}

const NOTHING_SAID: readonly Exchange[] = [{ kind: "bytes", request: 0, response: 0 }];

/** Returns the exchanges of a UDP conversation: refused after the first; one empty datagram where there are none, so that something is seen. */
export function datagramExchanges({ exchanges, ending }: Conversation): readonly Exchange[] {
  if (exchanges.length === 0) return NOTHING_SAID;
  return ending === "refused" && exchanges.length > 1 ? exchanges.slice(0, 1) : exchanges;
}

/** Returns how many datagrams a turn takes: a request is one even where it is empty, and an answer without bytes is none. */
export function datagramsOf(length: number, byClient: boolean): number {
  return Math.max(Math.ceil(length / MOST_DATAGRAM), byClient ? 1 : 0);
}
