import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "vitest";
import { readFlowLog } from "../../src/capture/logs/readFlowLog.ts";
import { type InputSummary, readCaptures } from "../../src/capture/observation.ts";
import type { PacketDecoder } from "../../src/capture/packetDecoder.ts";
import { SKIP_REASONS } from "../../src/capture/skipReasons.ts";
import { type Connections, connect } from "../../src/flow/connections.ts";
import { type AddressEpochs, FlowTable } from "../../src/flow/flowTable.ts";
import { L7Hints } from "../../src/flow/hints.ts";
import type { Surroundings } from "../../src/flow/joining.ts";
import { NameTable } from "../../src/flow/names.ts";
import { OUTCOMES } from "../../src/flow/outcome.ts";
import { LoggedParties } from "../../src/flow/parties.ts";
import { formatAddress, parseAddress } from "../../src/net/address.ts";
import { isIcmp, protocolName } from "../../src/net/protocol.ts";
import { formatRfc3339 } from "../../src/net/time.ts";

/** Everything that one replay gave. */
export interface Replay {
  readonly table: FlowTable;
  readonly names: NameTable;
  readonly parties: LoggedParties;
  readonly decoder: PacketDecoder;
  readonly inputs: readonly InputSummary[];
  readonly connections: Connections;
  /** One line a connection, sorted: see `describeConnections`. */
  readonly lines: readonly string[];
  readonly warnings: readonly string[];
  /** Skipped packets by reason. */
  readonly skipped: Readonly<Record<string, number>>;
}

export interface ReplayOptions {
  readonly surroundings?: Surroundings;
  readonly epochs?: (table: FlowTable) => AddressEpochs;
  readonly since?: number;
  readonly until?: number;
  /** Whether further requests of a connection are looked for too. */
  readonly everyRequest?: boolean;
}

export const NOTHING_KNOWN: Surroundings = {
  ownerKind: () => "other",
  isServing: () => false,
  isDialled: () => false,
  leadsTo: () => false,
  leadsToPort: () => false,
};

/** What a test's cluster knows: `serving` and `services` as `protocol address port`, services with their backends. */
export function surroundings(known: {
  readonly nodes?: readonly string[];
  readonly serving?: readonly string[];
  readonly services?: Readonly<Record<string, readonly string[]>>;
}): Surroundings {
  const key = (protocol: number, address: bigint, port: number) => `${protocolName(protocol)} ${formatAddress(address)} ${port}`;
  const services = known.services ?? {};
  const serving = new Set([...(known.serving ?? []), ...Object.keys(services), ...Object.values(services).flat()]);
  return {
    ownerKind: (address) => ((known.nodes ?? []).includes(formatAddress(address)) ? "node" : "other"),
    isServing: (address, protocol, port) => serving.has(key(protocol, address, port)),
    isDialled: (address, protocol, port) => services[key(protocol, address, port)] !== undefined,
    leadsToPort: (address, protocol, port, _backend, backendPort) =>
      services[key(protocol, address, port)]?.some((backend) => backend.endsWith(` ${backendPort}`)) ?? false,
    leadsTo: (address, protocol, port, backend, backendPort) =>
      services[key(protocol, address, port)]?.includes(key(protocol, backend, backendPort)) ?? false,
  };
}

/** An address that belongs to another party from each of `changes` on (epoch seconds). */
export const epochsOf =
  (address: string, ...changes: number[]) =>
  (table: FlowTable): AddressEpochs => {
    const wanted = parseAddress(address)!;
    const is = (word: number, wordIsId: boolean) =>
      wordIsId ? table.addresses.addressOf(word) === wanted : BigInt(word >>> 0) === (wanted & 0xffffffffn);
    return {
      isReused: is,
      epochAt: (word, wordIsId, seconds) => (is(word, wordIsId) ? changes.filter((change) => seconds >= change).length : 0),
    };
  };

/** Runs a function with the paths of files that hold these contents, in a directory that is gone afterwards. */
export async function withFiles<T>(contents: readonly Uint8Array[], use: (paths: string[]) => Promise<T>): Promise<T> {
  const folder = mkdtempSync(join(tmpdir(), "kguardian-capture-"));
  try {
    const paths = contents.map((_, i) => join(folder, `capture-${String(i).padStart(4, "0")}`));
    contents.forEach((content, i) => {
      writeFileSync(paths[i], content);
    });
    return await use(paths);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** Reads capture files as one observation and joins them into connections. Every packet must be accounted for. */
export function replay(files: readonly Uint8Array[], options: ReplayOptions = {}): Promise<Replay> {
  return withFiles(files, (paths) => replayPaths(paths, options));
}

export async function replayPaths(paths: readonly string[], options: ReplayOptions = {}): Promise<Replay> {
  const table = new FlowTable();
  if (options.epochs !== undefined) table.epochs = options.epochs(table);
  const names = new NameTable();
  const window = {
    ...(options.since === undefined ? {} : { since: options.since }),
    ...(options.until === undefined ? {} : { until: options.until }),
    ...(options.everyRequest === undefined ? {} : { everyRequest: options.everyRequest }),
  };
  const { decoder, inputs } = await readCaptures(paths, table, names, window);
  const connections = connect(table, options.surroundings ?? NOTHING_KNOWN, decoder.hints);
  const skipped: Record<string, number> = {};
  decoder.skipped.forEach((count, i) => {
    if (count > 0) skipped[SKIP_REASONS[i]] = count;
  });
  expectEachPacketOnce(table, decoder, inputs);
  return {
    table,
    names,
    parties: new LoggedParties(),
    decoder,
    inputs,
    connections,
    lines: describeConnections(table, connections),
    warnings: inputs.flatMap((input) => input.warnings),
    skipped,
  };
}

/** Law: what was read is in a row, or skipped with a reason, or a copy; nothing is lost and nothing is made. */
function expectEachPacketOnce(table: FlowTable, decoder: PacketDecoder, inputs: readonly InputSummary[]): void {
  let inRows = 0;
  for (let row = 0; row < table.size; row++) inRows += table.packetsOf(row, 0) + table.packetsOf(row, 1);
  const left = decoder.skipped.reduce((sum, count) => sum + count, 0);
  const read = inputs.reduce((sum, input) => sum + input.packets, 0);
  expect({ inRows, left, copies: decoder.copies, sum: inRows + left + decoder.copies }, "each packet is accounted for once").toMatchObject({
    sum: read,
  });
  const bySkipped = inputs.reduce((sum, input) => sum + Object.values(input.skipped).reduce((all, count) => all + count, 0), 0);
  expect(bySkipped).toBe(left);
}

/** Reads one text of `records` and joins it into connections. */
export function replayRecords(
  text: string | Uint8Array,
  options: ReplayOptions = {},
): Promise<Omit<Replay, "decoder"> & { readonly hints: L7Hints }> {
  return withFiles([Buffer.from(text)], async ([path]) => {
    const table = new FlowTable();
    if (options.epochs !== undefined) table.epochs = options.epochs(table);
    const names = new NameTable();
    const parties = new LoggedParties();
    const hints = new L7Hints();
    const { since, until } = options;
    const input = await readFlowLog(
      path,
      {
        table,
        names,
        parties,
        hints,
        ...(since === undefined ? {} : { since }),
        ...(until === undefined ? {} : { until }),
        everyRequest: options.everyRequest,
      },
      { format: "records" },
    );
    const connections = connect(table, options.surroundings ?? NOTHING_KNOWN, hints, parties);
    return {
      table,
      names,
      parties,
      hints,
      inputs: [input],
      connections,
      lines: describeConnections(table, connections),
      warnings: input.warnings,
      skipped: input.skipped,
    };
  });
}

/**
 * One line a connection, sorted: `TCP 10.0.0.1 > (10.96.0.1:80) > 10.0.0.2:8080 x1 8p established`. `x` connections, `p`
 * packets, then the attempts that are not zero; `~` at the end: the direction was inferred.
 */
export function describeConnections(table: FlowTable, connections: Connections): string[] {
  const at = (id: number) => formatAddress(table.addresses.addressOf(id));
  return Array.from({ length: connections.size }, (_, i) => {
    const protocol = connections.protocol(i);
    const port = isIcmp(protocol) ? `:${connections.icmpType(i)}/${connections.icmpCode(i)}` : `:${connections.port(i)}`;
    const via = connections.via(i) < 0 ? "" : `(${at(connections.via(i))}:${connections.viaPort(i)}) > `;
    const attempts = OUTCOMES.map((outcome, o) => [outcome, connections.attempts(i)[o]] as const)
      .filter(([, count]) => count > 0)
      .map(([outcome, count]) => (count === connections.count(i) ? outcome : `${count} ${outcome}`));
    return [
      protocolName(protocol),
      `${at(connections.source(i))} > ${via}${at(connections.destination(i))}${port === ":0" ? "" : port}`,
      `x${connections.count(i)}`,
      `${connections.packets(i)}p`,
      attempts.join("+"),
      ...(connections.isSeen(i) ? [] : ["~"]),
    ].join(" ");
  }).sort();
}

/** All that a connection holds (bytes and times too), as sorted lines: what two readings of one traffic must agree on. */
export function fullLines({ table, connections }: Pick<Replay, "table" | "connections">): string[] {
  const at = (id: number) => formatAddress(table.addresses.addressOf(id));
  return Array.from({ length: connections.size }, (_, i) =>
    JSON.stringify([
      at(connections.source(i)),
      at(connections.destination(i)),
      connections.via(i) < 0 ? null : at(connections.via(i)),
      connections.viaPort(i),
      connections.protocol(i),
      connections.port(i),
      connections.count(i),
      connections.packets(i),
      connections.bytes(i),
      connections.attempts(i),
      connections.isSeen(i),
      connections.isCounted(i),
      formatRfc3339(connections.firstSeconds(i), connections.firstNanoseconds(i)),
      formatRfc3339(connections.lastSeconds(i), connections.lastNanoseconds(i)),
    ]),
  ).sort();
}
