import type { Frames } from "./frames.ts";

/** A conversation on its way into a capture, packet by packet. */
export interface Talk {
  /** Microseconds since 1970 of its next packet; Infinity: it has ended. */
  readonly next: number;
  /** Writes the next packet and moves on. */
  write(frames: Frames): void;
}
