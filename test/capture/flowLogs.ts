import { type FlowLogOptions, readFlowLog } from "../../src/capture/logs/readFlowLog.ts";
import type { InputSummary } from "../../src/capture/observation.ts";
import { connect } from "../../src/flow/connections.ts";
import { FlowTable } from "../../src/flow/flowTable.ts";
import { L7Hints } from "../../src/flow/hints.ts";
import type { Surroundings } from "../../src/flow/joining.ts";
import { NameTable } from "../../src/flow/names.ts";
import { OUTCOMES } from "../../src/flow/outcome.ts";
import { LoggedParties } from "../../src/flow/parties.ts";
import { formatAddress } from "../../src/net/address.ts";
import { isIcmp, protocolName } from "../../src/net/protocol.ts";
import { formatRfc3339 } from "../../src/net/time.ts";
import { NOTHING_KNOWN } from "./replay.ts";

/** What became of one flow log, as its sidecar has it. */
export interface ReadLog {
  readonly format: string;
  readonly records: number;
  readonly skipped: Readonly<Record<string, number>>;
  readonly warnings: readonly string[];
  readonly gaps: readonly string[];
  /** One line a connection, sorted. */
  readonly connections: readonly string[];
  /** Names that were learned: `address name name`, sorted. */
  readonly names: readonly string[];
}

/** Reads flow logs into one table and connects it. `known`: what the cluster knows; nothing without it. */
export async function readLogs(paths: readonly string[], options: FlowLogOptions = {}, known: Surroundings = NOTHING_KNOWN) {
  const target = { table: new FlowTable(), names: new NameTable(), parties: new LoggedParties(), hints: new L7Hints(), everyRequest: true };
  const inputs: InputSummary[] = [];
  for (const path of paths) inputs.push(await readFlowLog(path, target, options));
  const connections = connect(target.table, known, target.hints, target.parties);
  return { ...target, inputs, connections };
}

/** Reads one flow log for comparison with its sidecar. */
export async function readLog(path: string, options: FlowLogOptions = {}): Promise<ReadLog> {
  const read = await readLogs([path], options);
  const [{ format, records, skipped, warnings, gaps }] = read.inputs;
  return {
    format,
    records,
    skipped,
    warnings,
    gaps: gaps.map(({ kind, count, message }) => `${kind} ${count}: ${message}`),
    connections: describe(read),
    names: [...read.names.entries()].map(([address, names]) => [formatAddress(address), ...[...names].sort()].join(" ")).sort(),
  };
}

/**
 * One line a connection: `TCP 10.0.0.1 [shop/web-1 app=web] > (10.96.0.1:80) > 10.0.0.2:8080 x3 8p 900B established first .. last`.
 * `x` connections, then packets and bytes (`?` where the log does not count), the attempts that are not zero, `~` where who began was
 * inferred, `?reply` where it may be a reply, and the requests that were seen.
 */
export function describe({ table, connections, parties, hints }: Awaited<ReturnType<typeof readLogs>>): string[] {
  const ipOf = (id: number) => formatAddress(table.addresses.addressOf(id));
  const end = (id: number) => {
    const { pod, labels, workload, unaddressed, called } = parties.get(table.addresses.tagOf(id));
    const words = [unaddressed, called, pod, workload, ...(labels ?? []).filter((label) => !label.startsWith("k8s:io."))].filter(
      (word) => word !== undefined,
    );
    const ip = unaddressed === undefined ? [ipOf(id)] : [];
    return [...ip, ...(words.length === 0 ? [] : [`[${words.join(" ")}]`])].join(" ");
  };
  return Array.from({ length: connections.size }, (_, i) => {
    const protocol = connections.protocol(i);
    const port = isIcmp(protocol)
      ? connections.hasIcmpType(i)
        ? `:${connections.icmpType(i)}/${connections.icmpCode(i)}`
        : ""
      : `:${connections.port(i)}`;
    const via = connections.via(i) < 0 ? "" : `(${ipOf(connections.via(i))}:${connections.viaPort(i)}) > `;
    const attempts = OUTCOMES.map((outcome, o) => [outcome, connections.attempts(i)[o]] as const)
      .filter(([, count]) => count > 0)
      .map(([outcome, count]) => (count === connections.count(i) ? outcome : `${count} ${outcome}`));
    const first = formatRfc3339(connections.firstSeconds(i), connections.firstNanoseconds(i));
    const last = formatRfc3339(connections.lastSeconds(i), connections.lastNanoseconds(i));
    const short = (time: string | undefined) => time?.replace(/\.?0*Z$/, "Z");
    const requests = connections.hintRows(i).flatMap((row) => hints.all(row).map((hint) => JSON.stringify(hint)));
    return [
      protocolName(protocol),
      `${end(connections.source(i))} > ${via}${end(connections.destination(i))}${port === ":0" ? "" : port}`,
      `x${connections.isTallied(i) ? connections.count(i) : "?"}`,
      connections.isCounted(i) ? `${connections.packets(i)}p ${connections.bytes(i)}B` : "?p ?B",
      attempts.join("+"),
      ...(connections.isCloudDenied(i) ? ["cloud"] : []),
      ...(connections.isSeen(i) ? [] : ["~"]),
      ...(connections.isDoubtful(i) ? ["?reply"] : []),
      first === undefined ? "never" : `${short(first)}${last === first ? "" : ` .. ${short(last)}`}`,
      ...requests,
    ].join(" ");
  }).sort();
}
