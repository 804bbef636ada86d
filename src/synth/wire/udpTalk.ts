import { wordsOfAddress } from "../../net/address.ts";
import { UDP } from "../../net/protocol.ts";
import type { Conversation } from "../conversation.ts";
import { CLIENT_LANE, mix, SERVER_LANE } from "./entropy.ts";
import { type Frames, icmpOf, type Lane, laneOf } from "./frames.ts";
import {
  datagramExchanges,
  datagramsOf,
  GAP,
  ipHeaderBytes,
  isOverIPv4,
  MOST_DATAGRAM,
  pauseOf,
  roundTripOf,
  UDP_HEADER,
} from "./pacing.ts";
import type { Talk } from "./talk.ts";
import { copyTurn, type Turn, turnsOf } from "./turns.ts";

const ICMP_HEADER = 8;
/** Port unreachable as type and code: RFC 792, and RFC 4443 section 3.1. */
const PORT_UNREACHABLE = 0x0303;
const PORT_UNREACHABLE_6 = 0x0104;
/** Longest packets with an error (RFC 1812 section 4.3.2.3, RFC 4443 section 2.4): as much of the datagram as fits is quoted. */
const MOST_ERROR = 576;
const MOST_ERROR_6 = 1280;

/** Datagrams (RFC 768), and the ICMP error that refuses them. */
export class UdpTalk implements Talk {
  next: number;
  readonly #conversation: Conversation;
  readonly #client: Lane;
  readonly #server: Lane;
  #exchange = -1;
  #turns: readonly Turn[] = [];
  #turn = -1;
  /** Datagrams of the turn that are sent. */
  #sent = 0;
  /** The IP packet that the server refuses, or its beginning. */
  #refused: Uint8Array | undefined;

  constructor(conversation: Conversation) {
    const { client, server, entropy, start } = conversation;
    const isFour = isOverIPv4(conversation);
    const clientWords = wordsOfAddress(client);
    const serverWords = wordsOfAddress(server);
    this.#conversation = { ...conversation, exchanges: datagramExchanges(conversation) };
    this.next = start;
    this.#client = laneOf(clientWords, serverWords, isFour, UDP, mix(entropy, CLIENT_LANE));
    this.#server = laneOf(serverWords, clientWords, isFour, UDP, mix(entropy, SERVER_LANE));
    this.#beginTurn();
  }

  write(frames: Frames): void {
    if (this.#refused !== undefined) return this.#refuse(frames, this.#refused);
    const turn = this.#turns[this.#turn];
    const from = this.#sent * MOST_DATAGRAM;
    const length = UDP_HEADER + Math.min(MOST_DATAGRAM, turn.length - from);
    const at = this.#datagram(frames, turn, from, length);
    this.#sent++;
    if (this.#sent < datagramsOf(turn.length, turn.byClient)) {
      this.next += GAP;
      return;
    }
    if (this.#conversation.ending === "refused") {
      const ip = at - ipHeaderBytes(this.#client.isFour);
      const most = (this.#client.isFour ? MOST_ERROR : MOST_ERROR_6) - ipHeaderBytes(this.#client.isFour) - ICMP_HEADER;
      this.#refused = frames.bytes.slice(ip, Math.min(at + length, ip + most));
      this.next += roundTripOf(this.#conversation);
    } else this.#beginTurn();
  }

  /** Returns where the datagram stands. */
  #datagram(frames: Frames, turn: Turn, from: number, length: number): number {
    const { clientPort, serverPort } = this.#conversation;
    const lane = turn.byClient ? this.#client : this.#server;
    const at = frames.packet(lane, this.next, length);
    const { fields } = frames;
    fields.setUint16(at, turn.byClient ? clientPort : serverPort);
    fields.setUint16(at + 2, turn.byClient ? serverPort : clientPort);
    fields.setUint16(at + 4, length);
    copyTurn(turn, from, length - UDP_HEADER, frames.bytes, at + UDP_HEADER);
    frames.seal(lane, UDP, at, length, at + 6);
    // RFC 768: zero says that there is no checksum.
    if (fields.getUint16(at + 6) === 0) fields.setUint16(at + 6, 0xffff);
    return at;
  }

  #refuse(frames: Frames, quoted: Uint8Array): void {
    const { isFour } = this.#server;
    const icmp = icmpOf(this.#server);
    const length = ICMP_HEADER + quoted.length;
    const { client, server, entropy } = this.#conversation;
    const lane = laneOf(wordsOfAddress(server), wordsOfAddress(client), isFour, icmp, mix(entropy, SERVER_LANE));
    const at = frames.packet(lane, this.next, length);
    frames.fields.setUint16(at, isFour ? PORT_UNREACHABLE : PORT_UNREACHABLE_6);
    frames.fields.setUint32(at + 4, 0);
    frames.bytes.set(quoted, at + ICMP_HEADER);
    frames.seal(lane, icmp, at, length, at + 2);
    this.next = Number.POSITIVE_INFINITY;
  }

  /** Goes to the next turn that has datagrams, or to the end. */
  #beginTurn(): void {
    const { exchanges, ending } = this.#conversation;
    const isAnswered = ending !== "unanswered";
    for (;;) {
      this.#turn++;
      if (this.#turn === this.#turns.length) {
        if (++this.#exchange === exchanges.length) {
          this.next = Number.POSITIVE_INFINITY;
          return;
        }
        this.#turns = turnsOf(this.#conversation, this.#exchange, 0);
        this.#turn = 0;
      }
      const { byClient, length } = this.#turns[this.#turn];
      if (!byClient && !isAnswered) continue;
      if (datagramsOf(length, byClient) === 0) continue;
      if (!byClient) this.next += roundTripOf(this.#conversation);
      else if (this.#exchange > 0) this.next += pauseOf(this.#conversation);
      this.#sent = 0;
      return;
    }
  }
}
