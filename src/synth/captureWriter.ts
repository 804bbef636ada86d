import { UDP } from "../net/protocol.ts";
import type { Conversation } from "./conversation.ts";
import { Frames } from "./wire/frames.ts";
import type { Talk } from "./wire/talk.ts";
import { TcpTalk } from "./wire/tcpTalk.ts";
import { UdpTalk } from "./wire/udpTalk.ts";

/** A conversation under way; of two packets at one moment the one of the conversation that was added first goes first. */
interface Active {
  readonly talk: Talk;
  readonly number: number;
}

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
  /** A binary heap: no entry's next packet is before its parent's. */
  readonly #active: Active[] = [];
  #added = 0;
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
    this.#push({ talk: conversation.protocol === UDP ? new UdpTalk(conversation) : new TcpTalk(conversation), number: this.#added++ });
  }

  /** Writes whatever is left. Nothing may be added afterwards. */
  finish(): void {
    this.#writeUntil(Number.POSITIVE_INFINITY);
    this.#frames.flush();
  }

  /** Writes all packets up to a moment, included. */
  #writeUntil(moment: number): void {
    const active = this.#active;
    while (active.length > 0 && active[0].talk.next <= moment) {
      const { talk } = active[0];
      talk.write(this.#frames);
      if (talk.next !== Number.POSITIVE_INFINITY) this.#sink(active[0]);
      else {
        const last = active.pop()!;
        if (active.length > 0) this.#sink(last);
      }
    }
  }

  #push(entry: Active): void {
    const active = this.#active;
    let at = active.length;
    for (; at > 0 && isBefore(entry, active[(at - 1) >> 1]); at = (at - 1) >> 1) active[at] = active[(at - 1) >> 1];
    active[at] = entry;
  }

  /** Puts an entry in the place of the first, and then where it belongs. */
  #sink(entry: Active): void {
    const active = this.#active;
    const size = active.length;
    let at = 0;
    for (let child = 1; child < size; child = 2 * at + 1) {
      if (child + 1 < size && isBefore(active[child + 1], active[child])) child++;
      if (!isBefore(active[child], entry)) break;
      active[at] = active[child];
      at = child;
    }
    active[at] = entry;
  }
}

function isBefore(a: Active, b: Active): boolean {
  return a.talk.next < b.talk.next || (a.talk.next === b.talk.next && a.number < b.number);
}
