import type { Lookup } from "./dnsMessages.ts";
import { type Lane, type PcapWriter, put16, put32 } from "./pcapWriter.ts";
import type { Random } from "./random.ts";

/** Something that puts one packet after another into a capture. `step` writes the next one and reports whether it was the last. */
export interface Conversation {
  step(writer: PcapWriter): boolean;
}

/** The lanes of both directions: `lanes[0]` from the client to the server, `lanes[1]` back. */
export type Lanes = readonly [Lane, Lane];

/** What fills the payloads: bytes without meaning, cut anywhere. */
export interface Filler {
  readonly bytes: Uint8Array;
  readonly random: Random;
}

function fill(writer: PcapWriter, at: number, length: number, filler: Filler): void {
  const from = filler.random.below(filler.bytes.length - length);
  writer.bytes.set(filler.bytes.subarray(from, from + length), at);
}

const fin = 1;
const syn = 2;
const rst = 4;
const psh = 8;
const ack = 16;
/** MSS, SACK permitted, timestamps, NOP, window scale: what Linux offers. */
const synOptions = Uint8Array.of(2, 4, 5, 0xb4, 4, 2, 8, 10, 0, 1, 2, 3, 0, 0, 0, 0, 1, 3, 3, 7);
const laterOptions = Uint8Array.of(1, 1, 8, 10, 0, 1, 2, 3, 0, 4, 5, 6);

/** First bytes of what the client and the server send. */
export type Heads = readonly [Uint8Array, Uint8Array];

export interface TcpPlan {
  /** `dropped`: nobody answers and the SYN comes four times; `refused`: a reset answers; `joined`: the capture began later. */
  readonly opening: "normal" | "dropped" | "refused" | "joined";
  readonly segmentBytes: number;
  /** What is sent in turn, the client first: at least one byte each, and what they start with. */
  readonly turns: readonly { readonly bytes: number; readonly head: Uint8Array }[];
  /** Ends with a reset instead of FINs. */
  readonly aborts: boolean;
}

/** One TCP connection: handshake, turns of data with an ACK for every second segment, and the end. */
export class TcpConversation implements Conversation {
  readonly #lanes: Lanes;
  readonly #plan: TcpPlan;
  readonly #filler: Filler;
  readonly #sequence: [number, number];
  #state: "syn" | "synack" | "ack" | "data" | "fin" | "finack" | "lastack";
  #synsLeft: number;
  #turn = 0;
  #left: number;
  #unacknowledged = 0;

  constructor(lanes: Lanes, plan: TcpPlan, filler: Filler) {
    this.#lanes = lanes;
    this.#plan = plan;
    this.#filler = filler;
    this.#sequence = [filler.random.below(4294967296), filler.random.below(4294967296)];
    this.#state = plan.opening === "joined" ? "data" : "syn";
    this.#synsLeft = plan.opening === "dropped" ? 4 : 1;
    this.#left = plan.turns[0].bytes;
  }

  step(writer: PcapWriter): boolean {
    switch (this.#state) {
      case "syn":
        this.#send(writer, 0, syn, 0);
        if (--this.#synsLeft > 0) return false;
        if (this.#plan.opening === "dropped") return true;
        this.#sequence[0]++;
        this.#state = "synack";
        return false;
      case "synack":
        this.#send(writer, 1, this.#plan.opening === "refused" ? rst | ack : syn | ack, 0);
        this.#sequence[1]++;
        this.#state = "ack";
        return this.#plan.opening === "refused";
      case "ack":
        this.#send(writer, 0, ack, 0);
        this.#state = "data";
        return false;
      case "data":
        this.#exchange(writer);
        return false;
      case "fin":
        this.#send(writer, 0, this.#plan.aborts ? rst | ack : fin | ack, 0);
        if (this.#plan.aborts) return true;
        this.#sequence[0]++;
        this.#state = "finack";
        return false;
      case "finack":
        this.#send(writer, 1, fin | ack, 0);
        this.#sequence[1]++;
        this.#state = "lastack";
        return false;
      case "lastack":
        this.#send(writer, 0, ack, 0);
        return true;
    }
  }

  #exchange(writer: PcapWriter): void {
    const sender = (this.#turn & 1) as 0 | 1;
    if (this.#unacknowledged === 2 || (this.#unacknowledged > 0 && this.#left === 0)) {
      this.#unacknowledged = 0;
      this.#send(writer, sender === 0 ? 1 : 0, ack, 0);
      if (this.#left === 0) this.#nextTurn();
      return;
    }
    const length = Math.min(this.#left, this.#plan.segmentBytes);
    const { bytes, head } = this.#plan.turns[this.#turn];
    const sent = bytes - this.#left;
    this.#left -= length;
    this.#unacknowledged++;
    const at = this.#send(writer, sender, this.#left === 0 ? psh | ack : ack, length);
    if (sent < head.length) writer.bytes.set(head.subarray(sent, sent + length), at);
    // The server's answer carries the ACK of the question.
    if (this.#left === 0 && sender === 0) {
      this.#unacknowledged = 0;
      this.#nextTurn();
    }
  }

  #nextTurn(): void {
    this.#turn++;
    if (this.#turn < this.#plan.turns.length) this.#left = this.#plan.turns[this.#turn].bytes;
    else this.#state = "fin";
  }

  /** Returns where the payload starts. */
  #send(writer: PcapWriter, sender: 0 | 1, flags: number, length: number): number {
    const options = (flags & syn) !== 0 ? synOptions : (flags & rst) !== 0 ? synOptions.subarray(0, 0) : laterOptions;
    const at = writer.packet(this.#lanes[sender], options.length + length);
    const header = at - 20;
    put32(writer.bytes, header + 4, this.#sequence[sender]);
    if ((flags & ack) !== 0) put32(writer.bytes, header + 8, this.#sequence[sender === 0 ? 1 : 0]);
    writer.bytes[header + 12] = ((20 + options.length) / 4) << 4;
    writer.bytes[header + 13] = flags;
    writer.bytes.set(options, at);
    if (length > 0) fill(writer, at + options.length, length, this.#filler);
    this.#sequence[sender] = (this.#sequence[sender] + length) >>> 0;
    return at + options.length;
  }
}

/** A lookup of both address versions from one socket: two questions, then two answers. */
export class DnsConversation implements Conversation {
  readonly #lanes: Lanes;
  readonly #lookups: readonly [Lookup, Lookup];
  readonly #identification: number;
  #sent = 0;

  constructor(lanes: Lanes, lookups: readonly [Lookup, Lookup], identification: number) {
    this.#lanes = lanes;
    this.#lookups = lookups;
    this.#identification = identification;
  }

  step(writer: PcapWriter): boolean {
    const lookup = this.#lookups[this.#sent & 1];
    const payload = this.#sent < 2 ? lookup.question : lookup.answer;
    const at = writer.packet(this.#lanes[this.#sent < 2 ? 0 : 1], payload.length);
    writer.bytes.set(payload, at);
    put16(writer.bytes, at, this.#identification + (this.#sent & 1));
    return ++this.#sent === 4;
  }
}

/** UDP datagrams or pings: `plan[i]` bytes each, negative from the server; `heads` are what client and server start theirs with. */
export class DatagramConversation implements Conversation {
  readonly #lanes: Lanes;
  readonly #plan: readonly number[];
  readonly #filler: Filler;
  readonly #heads: Heads;
  /** ICMP types of request and answer; absent: not ICMP. */
  readonly #types: readonly [number, number] | undefined;
  readonly #identification: number;
  #sent = 0;

  constructor(lanes: Lanes, plan: readonly number[], filler: Filler, heads: Heads, types?: readonly [number, number]) {
    this.#lanes = lanes;
    this.#heads = heads;
    this.#plan = plan;
    this.#filler = filler;
    this.#types = types;
    this.#identification = filler.random.below(65536);
  }

  step(writer: PcapWriter): boolean {
    const bytes = this.#plan[this.#sent];
    const sender = bytes < 0 ? 1 : 0;
    const at = writer.packet(this.#lanes[sender], Math.abs(bytes));
    fill(writer, at, Math.abs(bytes), this.#filler);
    writer.bytes.set(this.#heads[sender].subarray(0, Math.abs(bytes)), at);
    if (this.#types !== undefined) {
      writer.bytes[at - 8] = this.#types[sender];
      put16(writer.bytes, at - 4, this.#identification);
      put16(writer.bytes, at - 2, (this.#sent >> 1) + 1);
    }
    return ++this.#sent === this.#plan.length;
  }
}

/** Question and answer of ARP. */
export class ArpConversation implements Conversation {
  readonly #lanes: Lanes;
  #sent = 0;

  constructor(lanes: Lanes) {
    this.#lanes = lanes;
  }

  step(writer: PcapWriter): boolean {
    writer.packet(this.#lanes[this.#sent], 0);
    return ++this.#sent === 2;
  }
}
