import { UDP } from "../net/protocol.ts";
import type { Conversation } from "./conversation.ts";
import { TimeQueue } from "./timeQueue.ts";
import { Frames } from "./wire/frames.ts";
import type { Talk } from "./wire/talk.ts";
import { TcpTalk } from "./wire/tcpTalk.ts";
import { UdpTalk } from "./wire/udpTalk.ts";

/**
 * Writes conversations as a pcapng capture that whoever reads captures takes for a real one: whole frames, right checksums,
 * sequence numbers and payloads, all packets in the order of their times. The same conversations give the same bytes.
 *
 * A conversation goes its way through three layers: `wire/turns.ts` says what its sides say in turn (the protocols beside it have the
 * bytes), `wire/tcpTalk.ts` and `wire/udpTalk.ts` cut that into packets at times, and `wire/frames.ts` writes headers, checksums and
 * blocks. Payloads are made as packets need them, so that memory grows with how many conversations overlap, not with the
 * capture. `measure` says beforehand what a conversation will hold here: both follow `wire/pacing.ts`.
 */
export class CaptureWriter {
  readonly #frames: Frames;
  /** Conversations under way, by their next packets. */
  readonly #active = new TimeQueue<Talk>(({ next }) => next);
  #latestStart = Number.NEGATIVE_INFINITY;

  /** `write` gets about 1 MB at a time, in a buffer that is used again after it returns. */
  constructor(write: (bytes: Uint8Array) => void) {
    this.#frames = new Frames(write);
  }

  /** Packets written so far, ICMP errors included. */
  get packets(): number {
    return this.#frames.packets;
  }

  /** Adds a conversation that starts no earlier than the one before it; writes what comes before its start. */
  add(conversation: Conversation): void {
    const { start } = conversation;
    // INVARIANT: callers add in order of start; a packet before those that are written already could not be put in its place.
    if (!(start >= this.#latestStart)) throw new Error(`a conversation that starts at ${start} comes after one at ${this.#latestStart}`);
    this.#latestStart = start;
    this.#writeUntil(start);
    this.#active.add(conversation.protocol === UDP ? new UdpTalk(conversation) : new TcpTalk(conversation));
  }

  /** Writes whatever is left. Nothing may be added afterwards. */
  finish(): void {
    this.#writeUntil(Number.POSITIVE_INFINITY);
    this.#frames.flush();
  }

  /** Writes all packets up to a moment, included. */
  #writeUntil(moment: number): void {
    const active = this.#active;
    for (let talk = active.first; talk !== undefined && talk.next <= moment; talk = active.first) {
      talk.write(this.#frames);
      if (talk.next === Number.POSITIVE_INFINITY) active.take();
      else active.postpone();
    }
  }
}
