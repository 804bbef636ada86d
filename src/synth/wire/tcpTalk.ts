import { wordsOfAddress } from "../../net/address.ts";
import { TCP } from "../../net/protocol.ts";
import { ACK, FIN, PSH, RST, SYN } from "../../net/tcpFlags.ts";
import type { Conversation } from "../conversation.ts";
import { CLIENT_LANE, CLIENT_SEQUENCE, mix, SERVER_LANE, SERVER_SEQUENCE } from "./entropy.ts";
import { type Frames, type Lane, laneOf } from "./frames.ts";
import { FLIGHT, GAP, isOverIPv4, maximumSegmentSize, pauseOf, RETRANSMISSIONS, roundTripOf, SYN_OPTIONS, TCP_HEADER } from "./pacing.ts";
import type { Talk } from "./talk.ts";
import { copyTurn, type Turn, turnsOf } from "./turns.ts";

/** Largest window of a SYN (RFC 7323 section 2.2), and what is offered from then on: 512 shifted by the scale, 65,536 bytes. */
const FIRST_WINDOW = 65_535;
const WINDOW = 512;
const WINDOW_SCALE = 7;

/** What a connection sends next. */
const OPENING = 0;
const OPENING_ANSWER = 1;
const OPENING_END = 2;
const REFUSAL = 3;
const SEGMENT = 4;
const ACKNOWLEDGEMENT = 5;
const CLIENT_FIN = 6;
const SERVER_FIN = 7;
const LAST_ACKNOWLEDGEMENT = 8;
const RESET = 9;

/** One side of a connection: what it sends with, and where it is. */
interface Side {
  readonly lane: Lane;
  readonly port: number;
  /** Sequence number of the next byte, unsigned. */
  sequence: number;
  /** What it has acknowledged of the other side. */
  heard: number;
}

/** A TCP connection (RFC 9293). Its payloads are made an exchange at a time. */
export class TcpTalk implements Talk {
  next: number;
  readonly #conversation: Conversation;
  readonly #client: Side;
  readonly #server: Side;
  readonly #segmentSize: number;
  readonly #roundTrip: number;
  #step = OPENING;
  /** Retransmissions of the SYN so far. */
  #retransmissions = 0;
  #exchange = -1;
  #turns: readonly Turn[] = [];
  #turn = -1;
  /** Of the turn: bytes sent, bytes acknowledged, segments of this flight. */
  #sent = 0;
  #acknowledged = 0;
  #flight = 0;
  #http2Exchanges = 0;
  #tlsExchanges = 0;

  constructor(conversation: Conversation) {
    const { client, server, clientPort, serverPort, entropy, start } = conversation;
    const isFour = isOverIPv4(conversation);
    const clientWords = wordsOfAddress(client);
    const serverWords = wordsOfAddress(server);
    this.#conversation = conversation;
    this.next = start;
    this.#segmentSize = maximumSegmentSize(isFour);
    this.#roundTrip = roundTripOf(conversation);
    this.#client = {
      lane: laneOf(clientWords, serverWords, isFour, TCP, mix(entropy, CLIENT_LANE)),
      port: clientPort,
      sequence: mix(entropy, CLIENT_SEQUENCE),
      heard: 0,
    };
    this.#server = {
      lane: laneOf(serverWords, clientWords, isFour, TCP, mix(entropy, SERVER_LANE)),
      port: serverPort,
      sequence: mix(entropy, SERVER_SEQUENCE),
      heard: 0,
    };
  }

  write(frames: Frames): void {
    switch (this.#step) {
      case OPENING:
        return this.#open(frames);
      case OPENING_ANSWER:
        this.#server.heard = advanced(this.#client.sequence, 1);
        this.#synchronize(frames, this.#server, SYN | ACK);
        this.#client.sequence = this.#server.heard;
        return this.#then(OPENING_END, GAP);
      case OPENING_END:
        this.#server.sequence = this.#client.heard = advanced(this.#server.sequence, 1);
        this.#bare(frames, this.#client, ACK);
        return this.#beginTurn();
      case SEGMENT:
        return this.#segment(frames);
      case ACKNOWLEDGEMENT:
        return this.#acknowledge(frames);
      case CLIENT_FIN:
        this.#bare(frames, this.#client, FIN | ACK);
        this.#client.sequence = this.#server.heard = advanced(this.#client.sequence, 1);
        return this.#then(SERVER_FIN, this.#roundTrip);
      case SERVER_FIN:
        this.#bare(frames, this.#server, FIN | ACK);
        this.#server.sequence = this.#client.heard = advanced(this.#server.sequence, 1);
        return this.#then(LAST_ACKNOWLEDGEMENT, GAP);
      case LAST_ACKNOWLEDGEMENT:
        this.#bare(frames, this.#client, ACK);
        return this.#end();
      case REFUSAL:
        // RFC 9293 section 3.10.7.1: sequence number 0, and the SYN is acknowledged.
        this.#server.sequence = 0;
        this.#server.heard = advanced(this.#client.sequence, 1);
        this.#bare(frames, this.#server, RST | ACK, 0);
        return this.#end();
      case RESET:
        this.#bare(frames, this.#client, RST | ACK, 0);
        return this.#end();
    }
  }

  #open(frames: Frames): void {
    this.#synchronize(frames, this.#client, SYN);
    const { ending } = this.#conversation;
    if (ending === "refused") this.#then(REFUSAL, this.#roundTrip);
    else if (ending !== "unanswered") this.#then(OPENING_ANSWER, this.#roundTrip);
    else if (this.#retransmissions === RETRANSMISSIONS.length) this.#end();
    else this.next += RETRANSMISSIONS[this.#retransmissions++];
  }

  #segment(frames: Frames): void {
    const turn = this.#turns[this.#turn];
    const side = turn.byClient ? this.#client : this.#server;
    const length = Math.min(this.#segmentSize, turn.length - this.#sent);
    const isLast = this.#sent + length === turn.length;
    const at = this.#header(frames, side, isLast ? PSH | ACK : ACK, WINDOW, TCP_HEADER, length);
    copyTurn(turn, this.#sent, length, frames.bytes, at + TCP_HEADER);
    this.#seal(frames, side, at, TCP_HEADER + length);
    side.sequence = advanced(side.sequence, length);
    this.#sent += length;
    if (isLast || ++this.#flight === FLIGHT) this.#then(ACKNOWLEDGEMENT, turn.byClient ? this.#roundTrip : GAP);
    else this.next += GAP;
  }

  #acknowledge(frames: Frames): void {
    const turn = this.#turns[this.#turn];
    const side = turn.byClient ? this.#server : this.#client;
    const step = Math.min(2 * this.#segmentSize, this.#sent - this.#acknowledged);
    this.#acknowledged += step;
    side.heard = advanced(side.heard, step);
    this.#bare(frames, side, ACK);
    if (this.#acknowledged < this.#sent) this.next += GAP;
    else if (this.#sent === turn.length) this.#beginTurn();
    else {
      this.#flight = 0;
      this.#then(SEGMENT, turn.byClient ? GAP : this.#roundTrip);
    }
  }

  /** Goes to the next turn that has bytes, or to the end. */
  #beginTurn(): void {
    const { exchanges, ending } = this.#conversation;
    let lead = GAP;
    do {
      this.#turn++;
      while (this.#turn === this.#turns.length) {
        if (++this.#exchange === exchanges.length) {
          this.#turns = [];
          if (ending === "finished") this.#then(CLIENT_FIN, GAP);
          else if (ending === "reset") this.#then(RESET, GAP);
          else this.#end();
          return;
        }
        lead = this.#exchange === 0 ? GAP : pauseOf(this.#conversation);
        this.#turns = turnsOf(this.#conversation, this.#exchange, this.#countBefore());
        this.#turn = 0;
      }
    } while (this.#turns[this.#turn].length === 0);
    this.#sent = this.#acknowledged = this.#flight = 0;
    this.#then(SEGMENT, lead);
  }

  /** How many exchanges of the kind of this one came before it: those protocols have an opening. */
  #countBefore(): number {
    const { kind } = this.#conversation.exchanges[this.#exchange];
    return kind === "http2" ? this.#http2Exchanges++ : kind === "tls" ? this.#tlsExchanges++ : 0;
  }

  #then(step: number, micros: number): void {
    this.#step = step;
    this.next += micros;
  }

  #end(): void {
    this.next = Number.POSITIVE_INFINITY;
  }

  /** A SYN with its options (RFC 9293 section 3.2, RFC 2018 section 2, RFC 7323 section 2.2). */
  #synchronize(frames: Frames, side: Side, flags: number): void {
    const length = TCP_HEADER + SYN_OPTIONS;
    const at = this.#header(frames, side, flags, FIRST_WINDOW, length, 0);
    frames.fields.setUint32(at + 20, 0x02040000 | this.#segmentSize);
    frames.fields.setUint32(at + 24, 0x01010402);
    frames.fields.setUint32(at + 28, 0x01030300 | WINDOW_SCALE);
    this.#seal(frames, side, at, length);
  }

  /** A segment without payload. */
  #bare(frames: Frames, side: Side, flags: number, window = WINDOW): void {
    const at = this.#header(frames, side, flags, window, TCP_HEADER, 0);
    this.#seal(frames, side, at, TCP_HEADER);
  }

  #header(frames: Frames, side: Side, flags: number, window: number, headerBytes: number, payload: number): number {
    const at = frames.packet(side.lane, this.next, headerBytes + payload);
    const { fields } = frames;
    fields.setUint16(at, side.port);
    fields.setUint16(at + 2, side === this.#client ? this.#server.port : this.#client.port);
    fields.setUint32(at + 4, side.sequence);
    fields.setUint32(at + 8, side.heard);
    fields.setUint16(at + 12, (headerBytes << 10) | flags);
    fields.setUint16(at + 14, window);
    fields.setUint16(at + 18, 0);
    return at;
  }

  #seal(frames: Frames, side: Side, at: number, length: number): void {
    frames.seal(side.lane, TCP, at, length, at + 16);
  }
}

/** Sequence numbers wrap around 2^32 (RFC 9293 section 3.4). */
function advanced(sequence: number, bytes: number): number {
  return (sequence + bytes) >>> 0;
}
