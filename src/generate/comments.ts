import { grouped } from "../net/number.ts";
import { formatDuration, formatRfc3339 } from "../net/time.ts";
import type { Evidence } from "./evidence.ts";

/** Returns evidence for people: `22 connections (seen 1,204 times), 2026-11-16 08:00:01 – 08:05:13 UTC`. */
export function evidenceText(evidence: Evidence): string {
  const { connections, seen, unanswered } = evidence;
  const times = seen === connections ? "" : ` (seen ${grouped(seen)} times)`;
  const open =
    unanswered === 0 ? "" : unanswered === connections ? ", no answer in sight" : `, ${grouped(unanswered)} without an answer in sight`;
  const span = spanText(evidence);
  return `${grouped(connections)} ${connections === 1 ? "connection" : "connections"}${times}${open}${span === undefined ? "" : `, ${span}`}`;
}

/** Returns when evidence was seen; undefined where nothing had times. */
export function spanText({ firstSeconds, lastSeconds }: Evidence): string | undefined {
  const [from, to] = [firstSeconds, lastSeconds].map((seconds) => formatRfc3339(seconds, 0)?.slice(0, 19).replace("T", " "));
  if (from === undefined || to === undefined) return undefined;
  if (from === to) return `${from} UTC`;
  return `${from} – ${from.slice(0, 10) === to.slice(0, 10) ? to.slice(11) : to} UTC`;
}

/** Returns how long evidence reaches: `6h12m`; undefined where nothing had times. */
export function lengthText(evidence: Evidence): string | undefined {
  return Number.isNaN(evidence.seconds) ? undefined : formatDuration(evidence.seconds);
}
