import { parseDuration, parseRfc3339, secondsOf } from "../net/time.ts";
import { UsageError } from "./errors.ts";

/** What a duration is counted back from: its name in messages, and its epoch seconds. */
export interface Origin {
  readonly name: string;
  readonly seconds: () => number | Promise<number>;
}

/** Returns the epoch seconds of a flag that is a moment, or a duration back from one. */
export async function readMoment(flag: string, text: string, origin: Origin): Promise<number> {
  const moment = parseRfc3339(text);
  if (moment !== undefined) return secondsOf(moment);
  const back = parseDuration(text);
  if (back !== undefined) return (await origin.seconds()) - back;
  throw new UsageError(
    `${flag}: \`${text}\` is no RFC 3339 time (2026-11-22T17:32:00Z) and no duration back from ${origin.name} (30m, 24h)`,
  );
}
