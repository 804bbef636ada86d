import { NOT_TOLD } from "../flow/connections.ts";
import { type FlowTable, icmpKind, NO_SOURCE_PORT, PROHIBITED_BY_ERROR, STATED_ALLOWED, UNCOUNTED, UNJUDGED } from "../flow/flowTable.ts";
import type { L7Hint, L7Hints } from "../flow/hints.ts";
import type { NameTable } from "../flow/names.ts";
import type { LoggedParties, LoggedParty } from "../flow/parties.ts";
import { addStated } from "../flow/stated.ts";
import { type Address, parseAddress, wordsOfAddress } from "../net/address.ts";
import { hasPorts, isIcmp, protocolNumber } from "../net/protocol.ts";
import { parseRfc3339, secondsOf } from "../net/time.ts";
import { openBytes } from "./byteSource.ts";
import { readLines } from "./lines.ts";
import type { InputSummary } from "./observation.ts";
import { OUTSIDE_WINDOW, SKIP_REASONS } from "./skipReasons.ts";

/** Where records go. */
export interface RecordSink {
  readonly table: FlowTable;
  readonly names: NameTable;
  readonly parties: LoggedParties;
  readonly hints: L7Hints;
  readonly since?: number;
  readonly until?: number;
}

/** A record that cannot be used; the message completes "line 7: …". */
class BadRecord extends Error {}

/** A record that the user asked to leave out: counted, and nothing to warn of. */
class OutsideWindow extends Error {}

/** Reports whether a text is a line of the `records` format: an object with both addresses. */
export function looksLikeRecords(line: string): boolean {
  return /^\s*\{/.test(line) && line.includes('"srcIp"') && line.includes('"dstIp"');
}

/**
 * Reads `records`, the project's own flow format: JSON Lines, one connection a line. The source is the initiator and is never
 * inferred again. A line that cannot be read is counted by its reason and named, and the rest goes on.
 */
export async function readRecords(path: string, sink: RecordSink): Promise<InputSummary> {
  const name = path === "-" ? "standard input" : path;
  const source = await openBytes(path);
  const ends = new EndIds(sink);
  const skipped: Record<string, number> = {};
  const warnings: string[] = [];
  const totals = { records: 0, packets: 0, bytes: 0 };
  let number = 0;
  const skip = (reason: string, what: string) => {
    if (skipped[reason] === undefined) warnings.push(`line ${number}: ${what}`);
    skipped[reason] = (skipped[reason] ?? 0) + 1;
  };
  const readLine = (line: string) => {
    try {
      addRecord(parseObject(line), sink, ends, totals);
    } catch (error) {
      if (error instanceof OutsideWindow) {
        skipped[SKIP_REASONS[OUTSIDE_WINDOW]] = (skipped[SKIP_REASONS[OUTSIDE_WINDOW]] ?? 0) + 1;
        return;
      }
      if (!(error instanceof BadRecord)) throw error;
      skip(error.message.split(" `")[0], error.message);
    }
  };
  try {
    for await (const lines of readLines(source)) {
      for (const line of lines) {
        number++;
        if (line === undefined) skip("line too long", "longer than 4 MiB");
        else if (line.trim() !== "") readLine(line);
      }
    }
  } finally {
    source.close();
  }
  if (source.damage !== undefined)
    warnings.push(`the compressed data is damaged (${source.damage}): nothing after line ${number} was read`);
  for (const [reason, count] of Object.entries(skipped))
    if (count > 1 && reason !== SKIP_REASONS[OUTSIDE_WINDOW]) warnings.push(`${count} lines were left out: ${reason}`);
  return { name, format: "records", records: totals.records, packets: totals.packets, bytes: totals.bytes, skipped, warnings };
}

function parseObject(line: string): Record<string, unknown> {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch {
    throw new BadRecord("not JSON");
  }
  if (typeof value !== "object" || value === null || Array.isArray(value)) throw new BadRecord("not a JSON object");
  return value as Record<string, unknown>;
}

/** Reads all of a record before any of it is kept: a refused line leaves nothing behind. */
function addRecord(
  record: Record<string, unknown>,
  sink: RecordSink,
  ends: EndIds,
  totals: { records: number; packets: number; bytes: number },
): void {
  const { table } = sink;
  const protocol = readProtocol(record.protocol);
  const time = readTime(record.time);
  const source = ends.read(record, "src");
  const destination = ends.read(record, "dst");
  const packets = readCount(record, "packets");
  const bytes = readCount(record, "bytes");
  const [sourcePort, destinationPort, kind] = readPorts(record, protocol);
  const bits = verdictBits(record.verdict) | (packets === undefined || bytes === undefined ? UNCOUNTED : 0);
  const hint = readHint(record.l7);
  if (time !== undefined) {
    const moment = secondsOf(time);
    if (moment < (sink.since ?? Number.NEGATIVE_INFINITY) || moment > (sink.until ?? Number.POSITIVE_INFINITY)) throw new OutsideWindow();
  }
  if (isTexts(record.dstNames)) sink.names.know(destination.address);
  if (isTexts(record.dstNames)) for (const name of record.dstNames) sink.names.add(destination.address, name.toLowerCase());
  const isDenied = (bits & PROHIBITED_BY_ERROR) !== 0;
  const row = addStated(table, {
    source: ends.idOf(source),
    destination: ends.idOf(destination),
    sourcePort,
    destinationPort,
    kind,
    bits,
    time,
    packets: packets ?? 0,
    bytes: bytes ?? 0,
  });
  totals.records++;
  totals.packets += packets ?? 0;
  totals.bytes += bytes ?? 0;
  if (hint !== undefined) sink.hints.add(row, isDenied ? { ...hint, refused: true } : hint);
}

function readProtocol(value: unknown): number {
  const protocol =
    typeof value === "string"
      ? protocolNumber(value)
      : typeof value === "number" && Number.isInteger(value) && value >= 0 && value <= 255
        ? value
        : undefined;
  if (protocol === undefined) throw new BadRecord(`unknown protocol \`${shown(value)}\``);
  return protocol;
}

function readTime(value: unknown) {
  if (value === undefined || value === null) return undefined;
  const time = typeof value === "string" ? parseRfc3339(value) : undefined;
  if (time === undefined) throw new BadRecord(`time is not RFC 3339 \`${shown(value)}\``);
  if (time.seconds < 0 || time.seconds > 0xffffffff) throw new BadRecord(`time is outside 1970..2106 \`${shown(value)}\``);
  return time;
}

/** One end of a record: its address and what the record says of it. */
interface End {
  readonly address: Address;
  readonly party: LoggedParty;
  /** Its id in the address table; -1 until it is asked for. */
  id: number;
}

/** Texts of addresses that are kept: the same few are in nearly every line, and parsing one takes longer than the rest of the line. */
const KEPT_TEXTS = 1 << 16;

/** Reads the ends of records. Those of which a record tells no more than the address are kept by its text. */
class EndIds {
  readonly #sink: RecordSink;
  readonly #known = new Map<string, End>();

  constructor(sink: RecordSink) {
    this.#sink = sink;
  }

  read(record: Record<string, unknown>, end: "src" | "dst"): End {
    const text = end === "src" ? record.srcIp : record.dstIp;
    const pod = (end === "src" ? record.srcPod : record.dstPod) ?? undefined;
    const labels = (end === "src" ? record.srcLabels : record.dstLabels) ?? undefined;
    const isPlain = pod === undefined && labels === undefined && typeof text === "string";
    const known = isPlain ? this.#known.get(text) : undefined;
    if (known !== undefined) return known;
    const address = typeof text === "string" ? parseAddress(text) : undefined;
    if (address === undefined) throw new BadRecord(`${end}Ip is no address \`${shown(text)}\``);
    if (pod !== undefined && !(typeof pod === "string" && /^[^/]+\/[^/]+$/.test(pod)))
      throw new BadRecord(`${end}Pod is not namespace/name \`${shown(pod)}\``);
    if (labels !== undefined && !isTexts(labels)) throw new BadRecord(`${end}Labels is not a list of texts`);
    const party = { ...(pod === undefined ? {} : { pod }), ...(labels === undefined || labels.length === 0 ? {} : { labels }) };
    const read = { address, party, id: -1 };
    if (isPlain) {
      if (this.#known.size >= KEPT_TEXTS) this.#known.clear();
      this.#known.set(text, read);
    }
    return read;
  }

  /** Returns the address-table id of an end, tagged with what the record says of it. A refused record must not reach this. */
  idOf(end: End): number {
    if (end.id < 0) {
      const [w0, w1, w2, w3] = wordsOfAddress(end.address);
      end.id = this.#sink.table.addresses.intern(w0, w1, w2, w3, this.#sink.parties.intern(end.party));
    }
    return end.id;
  }
}

function isTexts(value: unknown): value is string[] {
  return Array.isArray(value) && value.every((item) => typeof item === "string");
}

function readCount(record: Record<string, unknown>, field: string): number | undefined {
  const value = record[field];
  if (value === undefined || value === null) return undefined;
  if (typeof value !== "number" || !Number.isInteger(value) || value < 0 || value > 0xffffffff)
    throw new BadRecord(`${field} is no count \`${shown(value)}\``);
  return value;
}

/** Returns source port, destination port and kind of the row's key. */
function readPorts(record: Record<string, unknown>, protocol: number): [number, number, number] {
  if (isIcmp(protocol)) {
    const [type, code] = [readByte(record, "icmpType"), readByte(record, "icmpCode")];
    return [0, 0, type === undefined ? icmpKind(protocol, NOT_TOLD, NOT_TOLD) : icmpKind(protocol, type, code ?? 0)];
  }
  if (!hasPorts(protocol)) return [0, 0, protocol];
  const destinationPort = readPort(record, "dstPort");
  if (destinationPort === undefined) throw new BadRecord("dstPort is missing");
  const sourcePort = readPort(record, "srcPort");
  return sourcePort === undefined ? [destinationPort, destinationPort, protocol | NO_SOURCE_PORT] : [sourcePort, destinationPort, protocol];
}

function readPort(record: Record<string, unknown>, field: string): number | undefined {
  return readInteger(record, field, 65535);
}

function readByte(record: Record<string, unknown>, field: string): number | undefined {
  return readInteger(record, field, 255);
}

function readInteger(record: Record<string, unknown>, field: string, most: number): number | undefined {
  const value = record[field];
  if (value === undefined || value === null) return undefined;
  if (typeof value !== "number" || !Number.isInteger(value) || value < 0 || value > most)
    throw new BadRecord(`${field} is not between 0 and ${most} \`${shown(value)}\``);
  return value;
}

function verdictBits(value: unknown): number {
  if (value === undefined || value === null) return UNJUDGED;
  if (value === "allow") return STATED_ALLOWED;
  if (value === "deny" || value === "drop") return PROHIBITED_BY_ERROR;
  throw new BadRecord(`verdict is not allow, deny or drop \`${shown(value)}\``);
}

function readHint(value: unknown): L7Hint | undefined {
  if (typeof value !== "object" || value === null) return undefined;
  const { http, dns } = value as Record<string, unknown>;
  if (typeof dns === "object" && dns !== null) {
    const { query } = dns as Record<string, unknown>;
    return typeof query === "string" ? { dns: { query: query.toLowerCase().replace(/\.$/, "") } } : undefined;
  }
  if (typeof http !== "object" || http === null) return undefined;
  const { method, path, host, headers } = http as Record<string, unknown>;
  if (typeof method !== "string" || typeof path !== "string") return undefined;
  return { http: { method, path, ...(typeof host === "string" ? { host } : {}), headers: isTextMap(headers) ? headers : {} } };
}

function isTextMap(value: unknown): value is Record<string, string> {
  return (
    typeof value === "object" && value !== null && !Array.isArray(value) && Object.values(value).every((text) => typeof text === "string")
  );
}

function shown(value: unknown): string {
  return (JSON.stringify(value) ?? "nothing").slice(0, 60);
}
