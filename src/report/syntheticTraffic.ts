import { grouped, plural } from "../net/number.ts";
import { protocolName } from "../net/protocol.ts";
import { formatDuration, formatRfc3339 } from "../net/time.ts";
import type { Ended, MadeLink } from "../synth/summary.ts";
import { formatBytes, PLAIN_STYLE, printable, type Style, tableLines } from "./text.ts";

/** What `synth` made. */
export interface SyntheticTraffic {
  readonly profile: string;
  readonly seed: number;
  readonly startSeconds: number;
  readonly durationSeconds: number;
  /** Calls a second that were asked for. */
  readonly rate: number;
  readonly connections: number;
  readonly packets: number;
  readonly bytes: number;
  readonly links: readonly MadeLink[];
  /** Pods that took others' places, or ran for a while. */
  readonly madePods: number;
  /** What came to nothing, by the reason. */
  readonly leftOut: ReadonlyMap<string, number>;
  readonly warnings: readonly string[];
}

const ENDED: readonly (readonly [Ended, string])[] = [
  ["finished", "finished"],
  ["oneWay", "one-way"],
  ["reset", "reset"],
  ["open", "open"],
  ["refused", "refused"],
  ["unanswered", "unanswered"],
];

/** Returns what a person reads: what was made, who calls whom, and how it ended. */
export function syntheticTable(result: SyntheticTraffic, style: Style = PLAIN_STYLE): string {
  const columns = [
    { title: "CONNECTIONS", alignRight: true },
    { title: "FROM" },
    { title: "TO" },
    { title: "PORT" },
    { title: "SIZE", alignRight: true },
    { title: "ENDED" },
  ];
  const rows = [...result.links]
    .sort((a, b) => b.connections - a.connections)
    .map((link) => [
      grouped(link.connections),
      link.source,
      link.destination,
      `${link.port}/${protocolName(link.protocol)}`,
      formatBytes(link.bytes),
      ENDED.flatMap(([ended, word]) => (link.ended[ended] === 0 ? [] : [`${grouped(link.ended[ended])} ${word}`])).join(", "),
    ]);
  const lines = [syntheticHeader(result), "", ...tableLines(columns, rows)];
  const notes = [...result.warnings, ...[...result.leftOut].map(([reason, count]) => `${plural(count, "call")} not made: ${reason}`)];
  if (notes.length > 0) lines.push("");
  for (const note of notes) lines.push(`${style.bold("NOTE")}   ${printable(note)}`);
  return `${lines.join("\n")}\n`;
}

/** Returns one line on what was made. */
export function syntheticHeader({
  connections,
  packets,
  bytes,
  startSeconds,
  durationSeconds,
  profile,
  seed,
  madePods,
}: SyntheticTraffic): string {
  const pods = madePods === 0 ? "" : ` · ${plural(madePods, "new pod")}`;
  return `${plural(connections, "connection")} in ${plural(packets, "packet")}, ${formatBytes(bytes)}, from ${momentText(startSeconds)} for ${formatDuration(durationSeconds)} · profile ${printable(profile)}, seed ${seed}${pods}`;
}

/** Returns the same for programs. */
export function syntheticObject(result: SyntheticTraffic): Record<string, unknown> {
  const { profile, seed, rate, startSeconds, durationSeconds, connections, packets, bytes, madePods, leftOut, warnings } = result;
  return {
    apiVersion: "kguardian.dev/v1alpha1",
    kind: "SyntheticTraffic",
    profile,
    seed,
    rate,
    window: { from: momentText(startSeconds), to: momentText(startSeconds + durationSeconds), seconds: durationSeconds },
    summary: { connections, packets, bytes, madePods },
    connections: result.links.map(({ source, destination, protocol, port, connections: count, packets: own, bytes: size, ended }) => ({
      source,
      destination,
      protocol: protocolName(protocol),
      port,
      count,
      packets: own,
      bytes: size,
      ended,
    })),
    leftOut: Object.fromEntries(leftOut),
    warnings,
  };
}

function momentText(seconds: number): string | undefined {
  const whole = Math.floor(seconds);
  return formatRfc3339(whole, Math.round((seconds - whole) * 1e9))?.replace(/\.?0+Z$/, "Z");
}
