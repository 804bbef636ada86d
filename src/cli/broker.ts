import type { InputSummary } from "../capture/observation.ts";
import { OUTSIDE_WINDOW, SKIP_REASONS } from "../capture/skipReasons.ts";
import type { Cluster } from "../cluster/snapshot.ts";
import type { BrokerClient } from "../live/brokerClient.ts";
import { type PodRow, readTrafficRow, type ServiceRow, type TrafficRow } from "../live/brokerRows.ts";
import { addBrokerTraffic, type BrokerSink } from "../live/brokerTraffic.ts";
import { grouped, plural } from "../net/number.ts";

import { UsageError } from "./errors.ts";
import { Progress } from "./progress.ts";

/** What a broker answered, whole. */
export interface BrokerAnswers {
  readonly name: string;
  readonly traffic: readonly TrafficRow[];
  readonly pods: readonly PodRow[];
  readonly services: readonly ServiceRow[];
  /** Rows that could not be used, by reason. */
  readonly rejected: Readonly<Record<string, number>>;
  /** What a reader must know, one line each. */
  readonly notes: readonly string[];
}

/**
 * Asks a broker for all that it knows. Where its list of traffic is cut, every pod is asked for by itself: those answers are
 * complete. `otherPods` are names that the broker may not list.
 */
export async function askBroker(client: BrokerClient, otherPods: () => Promise<readonly string[]>): Promise<BrokerAnswers> {
  const version = await client.version();
  const notes: string[] = version.mismatch === undefined ? [] : [`the broker (${client.name}): ${version.mismatch}`];
  const [pods, services, newest] = await Promise.all([client.pods(), client.services(), client.traffic()]);
  const traffic = [...newest.rows];
  const rejected = { ...newest.rejected };
  if (newest.isCut) {
    const names = new Set([
      ...pods.rows.map(({ name }) => name),
      ...newest.rows.flatMap(({ podName }) => podName ?? []),
      ...(await otherPods()),
    ]);
    const progress = new Progress("asking the broker pod by pod", names.size);
    const each = await client.trafficOfPods([...names].sort(), (done) => progress.update(done));
    progress.stop();
    for (const row of each.rows) traffic.push(row);
    // The same bad rows come again: the complete answers count.
    for (const [reason, count] of Object.entries(each.rejected)) rejected[reason] = Math.max(rejected[reason] ?? 0, count);
    const listed = Object.values(newest.rejected).reduce((sum, count) => sum + count, newest.rows.length);
    notes.push(
      `the broker's list of all traffic ends at ${grouped(listed)} rows, so each of ${plural(names.size, "pod")} was asked for by itself: what a pod did that neither the cluster nor the broker lists any more may be missing`,
    );
  }
  const [reason] = Object.keys(rejected);
  // As with files: "nothing would be dropped" would be false.
  if (traffic.length === 0 && reason !== undefined)
    throw new UsageError(`the broker (${client.name}): none of its rows of traffic can be used: ${reason}`);
  for (const [what, { rejected: bad }] of [
    ["pods", pods],
    ["Services", services],
  ] as const)
    for (const [reason, count] of Object.entries(bad))
      notes.push(`${grouped(count)} of the broker's records of ${what} could not be used: ${reason}`);
  return { name: client.name, traffic, pods: pods.rows, services: services.rows, rejected, notes };
}

/** Adds rows of a broker that were saved as a file; `notes` takes what a reader must know. */
export function addBrokerExport(
  records: readonly unknown[],
  file: InputSummary,
  cluster: Cluster,
  sink: BrokerSink,
  notes: string[],
): InputSummary {
  const traffic: TrafficRow[] = [];
  const rejected: Record<string, number> = {};
  for (const record of records) {
    const row = readTrafficRow(record);
    if (typeof row === "string") rejected[row] = (rejected[row] ?? 0) + 1;
    else traffic.push(row);
  }
  const { input, notes: further } = addBroker({ name: file.name, traffic, pods: [], services: [], rejected, notes: [] }, cluster, sink);
  notes.push(...further);
  const faults = (file.faults ?? 0) + Object.values(rejected).reduce((sum, count) => sum + count, 0);
  return {
    ...input,
    skipped: { ...file.skipped, ...input.skipped },
    warnings: [...file.warnings, ...input.warnings],
    gaps: file.gaps,
    faults,
  };
}

/** Adds what a broker answered to the connections, and says what it was. */
export function addBroker(
  answers: BrokerAnswers,
  cluster: Cluster,
  sink: BrokerSink,
): { readonly input: InputSummary; readonly notes: readonly string[] } {
  const read = addBrokerTraffic(answers.traffic, cluster, sink);
  const skipped: Record<string, number> = { ...answers.rejected };
  if (read.replies > 0) skipped["reply of a connection"] = read.replies;
  if (read.loopback > 0) skipped["within a pod, at a loopback address"] = read.loopback;
  if (read.outside > 0) skipped[SKIP_REASONS[OUTSIDE_WINDOW]] = read.outside;
  const warnings = Object.entries(answers.rejected).map(
    ([reason, count]) => `${plural(count, "row")} ${count === 1 ? "was" : "were"} left out: ${reason}`,
  );
  const notes = [
    ...answers.notes,
    "the broker keeps when each connection was first seen, and neither how often nor until when; its probes see IPv4 only, and UDP only from the sender's side",
  ];
  if (read.replies > 0)
    notes.push(
      `${plural(read.replies, "row")} of the broker ${read.replies === 1 ? "was taken for a reply" : "were taken for replies"}, as older versions stored them: sent to an ephemeral port of who had connected to that pod`,
    );
  if (read.outside > 0 && sink.since !== undefined)
    notes.push(
      `${plural(read.outside, "row")} of the broker ${read.outside === 1 ? "lies" : "lie"} outside --since and --until by when it was first seen: such connections may still be made`,
    );
  return { input: { name: answers.name, format: "broker", records: read.rows, packets: 0, bytes: 0, skipped, warnings, gaps: [] }, notes };
}
