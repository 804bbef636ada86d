import type { Address } from "../net/address.ts";

/** One request and its answer. Sizes are bytes of payload, above TCP or UDP. */
export type Exchange =
  | { readonly kind: "bytes"; readonly request: number; readonly response: number }
  /** HTTP/1.1 (RFC 9112), or HTTP/2 without TLS and with prior knowledge (RFC 9113 section 3.3). Sizes are those of the bodies. */
  | {
      readonly kind: "http" | "http2";
      readonly method: string;
      readonly path: string;
      readonly host: string;
      readonly request: number;
      readonly status: number;
      readonly response: number;
    }
  /** TLS 1.3 (RFC 8446): the first exchange of a connection has the handshake before it. */
  | { readonly kind: "tls"; readonly serverName: string; readonly request: number; readonly response: number }
  /** A DNS query and its answer (RFC 1035). Without answers: the name does not exist (`missing`), or has no such record. */
  | {
      readonly kind: "dns";
      readonly name: string;
      readonly type: "A" | "AAAA";
      readonly answers: readonly Address[];
      readonly missing: boolean;
    };

/** Reports whether anything comes back. */
export function isAnswered(exchange: Exchange): boolean {
  return exchange.kind !== "bytes" || exchange.response > 0;
}

/**
 * How a connection ends. `finished`: FIN from both sides (UDP: it just ends). `reset`: RST from the client after the exchanges.
 * `open`: the capture ends before it. `refused`: RST on the SYN (UDP: ICMP port unreachable). `unanswered`: nothing comes back.
 */
export type Ending = "finished" | "reset" | "open" | "refused" | "unanswered";

/** One synthetic connection: all that its packets and its record must agree on. */
export interface Conversation {
  /** Microseconds since 1970, a whole number. */
  readonly start: number;
  readonly client: Address;
  readonly clientPort: number;
  /** Who is reached, after any translation by a Service. */
  readonly server: Address;
  readonly serverPort: number;
  /** TCP or UDP (IP protocol number). */
  readonly protocol: number;
  /** Microseconds from a packet to its answer. */
  readonly roundTrip: number;
  /** In turn; none where the connection is refused or unanswered. Of UDP, unanswered ones hold what is asked in vain. */
  readonly exchanges: readonly Exchange[];
  /** Microseconds between an answer and the next request. */
  readonly pause: number;
  readonly ending: Ending;
  /** 32 random bits: sequence numbers and random fields of this connection are made of them. */
  readonly entropy: number;
}

/** What a whole capture of a conversation holds, as reports count it. */
export interface Measure {
  readonly packets: number;
  /** Bytes of whole frames, Ethernet headers included, both directions. */
  readonly bytes: number;
  /** Microseconds since 1970 of its last packet. */
  readonly end: number;
}
