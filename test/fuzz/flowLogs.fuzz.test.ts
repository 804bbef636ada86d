import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { gunzipSync, gzipSync, zstdCompressSync } from "node:zlib";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { CaptureError } from "../../src/capture/captureError.ts";
import { FORMATS } from "../../src/capture/logs/formats.ts";
import { type FlowLogOptions, headOf, readFlowLog } from "../../src/capture/logs/readFlowLog.ts";
import type { InputSummary } from "../../src/capture/observation.ts";
import { type Connections, connect } from "../../src/flow/connections.ts";
import { FlowTable } from "../../src/flow/flowTable.ts";
import { L7Hints } from "../../src/flow/hints.ts";
import { NameTable } from "../../src/flow/names.ts";
import { LoggedParties } from "../../src/flow/parties.ts";
import { NOTHING_KNOWN, withFiles } from "../capture/replay.ts";
import { valuesOf } from "../flow/madeConnections.ts";
import { fuzz } from "./harness.ts";

const ROOT = new URL("../../fixtures/flow-logs/", import.meta.url).pathname;
/** What is looked at for the format is whole in a text of this length, so that layouts are told here as the reader tells them. */
const MOST_BYTES = 60_000;

interface Fixture {
  readonly name: string;
  readonly format: string;
  readonly bytes: Buffer;
  readonly lines: readonly string[];
}

const fixtures: readonly Fixture[] = readdirSync(ROOT, { recursive: true, withFileTypes: true })
  .filter((entry) => entry.isFile() && !/\.flows\.json$|\.md$/.test(entry.name))
  .map((entry): Fixture => {
    const path = join(entry.parentPath, entry.name);
    const name = path.slice(ROOT.length);
    const bytes = /\.gz$/.test(name) ? gunzipSync(readFileSync(path)) : readFileSync(path);
    return { name, format: name.split("/")[0], bytes, lines: bytes.toString("utf8").split("\n").slice(0, 60) };
  })
  .sort((a, b) => (a.name < b.name ? -1 : 1));
const isParquet = ({ name }: Fixture) => /\.parquet$/.test(name);
const texts = fixtures.filter((fixture) => !isParquet(fixture));
const parquets = fixtures.filter(isParquet);

/** Formats of which every line (every item, where they are JSON in another layout) is one record, one fault or one that is skipped. */
const ONE_EACH = new Set(
  FORMATS.map(({ name }) => name).filter((name) => !["azure-nsg", "azure-vnet", "conntrack", "envoy"].includes(name)),
);
/** Lines that name columns are counted only where they are faulty. */
const NAMES_COLUMNS = /^#|srcaddr|flowStartSeconds|SrcAddr|srcAddr|srcIp|\bsa\b/;

/** Reads logs into one table and holds it against the laws of this file. */
async function readLogs(files: readonly Uint8Array[], options: FlowLogOptions = {}): Promise<InputSummary[]> {
  const target = {
    table: new FlowTable(),
    names: new NameTable(),
    parties: new LoggedParties(),
    hints: new L7Hints(),
    everyRequest: true,
    handedOn: [],
  };
  const inputs: InputSummary[] = [];
  let refusal: CaptureError | undefined;
  await withFiles(files, async (paths) => {
    for (const path of paths) {
      try {
        inputs.push(await readFlowLog(path, target, options));
      } catch (error) {
        if (!(error instanceof CaptureError)) throw error;
        refusal = error;
      }
    }
  });
  // What was read before a refusal stays in the table.
  const connections = connect(target.table, NOTHING_KNOWN, target.hints, target.parties);
  expectSound(connections);
  for (const { records, packets, bytes, skipped, faults } of inputs) {
    const counts = [records, packets, bytes, faults ?? 0, ...Object.values(skipped)];
    expect(counts.filter((count) => !(Number.isInteger(count) && count >= 0))).toEqual([]);
    expect(faults).toBeLessThanOrEqual(sum(Object.values(skipped)));
  }
  if (refusal !== undefined) throw refusal;
  expect(sum(valuesOf(connections, "packets")), "no packet is made up").toBeLessThanOrEqual(sum(inputs.map(({ packets }) => packets)));
  expect(sum(valuesOf(connections, "bytes")), "no byte is made up").toBeLessThanOrEqual(sum(inputs.map(({ bytes }) => bytes)));
  return inputs;
}

const sum = (counts: readonly number[]) => counts.reduce((total, count) => total + count, 0);

/** Law: counts are finite and not negative, attempts make the count, and a connection's times are in order within 1970..2106, or none. */
function expectSound(connections: Connections): void {
  for (let i = 0; i < connections.size; i++) {
    const counts = [connections.count(i), connections.packets(i), connections.bytes(i), ...connections.attempts(i)];
    expect(counts.filter((count) => !(Number.isSafeInteger(count) && count >= 0))).toEqual([]);
    expect(sum(connections.attempts(i)), "attempts make the count").toBe(connections.count(i));
    const [first, last] = [connections.firstSeconds(i), connections.lastSeconds(i)];
    expect(Number.isNaN(first)).toBe(Number.isNaN(last));
    if (Number.isNaN(first)) continue;
    const nanoseconds = [connections.firstNanoseconds(i), connections.lastNanoseconds(i)];
    expect([first, last].filter((time) => !(time >= 0 && time <= 0xffffffff))).toEqual([]);
    expect(nanoseconds.filter((each) => !(Number.isInteger(each) && each >= 0 && each < 1e9))).toEqual([]);
    expect(last - first || nanoseconds[1] - nanoseconds[0], "no connection ends before it begins").toBeGreaterThanOrEqual(0);
  }
}

/** Reads a text and holds what is counted against its lines. */
async function readText(text: string, options: FlowLogOptions = {}): Promise<void> {
  const [{ format: name, records, skipped }] = await readLogs([Buffer.from(text)], options);
  const bytes = Buffer.from(text);
  if (!ONE_EACH.has(name) || bytes.length > MOST_BYTES || !text.endsWith("\n")) return;
  const head = headOf(bytes, true);
  const units = FORMATS.filter((format) => format.name === name && (options.format !== undefined || format.recognizes(head)));
  const isByLine = head.isLineByLine || units.every(({ unit }) => unit === "line");
  if (!isByLine || units.length === 0) return;
  const lines = bytes
    .toString("utf8")
    .split("\n")
    .map((line) => line.replace(/\r$/, ""))
    .filter((line) => line.trim() !== "");
  const isTable = units.some(({ unit }) => unit === "line");
  const names = isTable ? lines.filter((line) => NAMES_COLUMNS.test(line)).length : 0;
  const accounted = records + sum(Object.values(skipped));
  expect(accounted, "no line counts twice").toBeLessThanOrEqual(lines.length);
  expect(accounted, "every line is a record, a fault, or skipped for a reason").toBeGreaterThanOrEqual(lines.length - names);
}

const ODD_TEXTS = [
  "",
  "-",
  "-1",
  "0",
  "1",
  "255",
  "65535",
  "65536",
  "4294967295",
  "4294967296",
  "4294967295.9999999999",
  "999999999",
  "9007199254740991",
  "9007199254740993",
  "99999999999999999999",
].concat(
  ["1e308", "0.5", "NaN", "Infinity", "null", "true", "__proto__", "constructor", "toString", "\u0000", "\u001b[31m", "\u009b2J"],
  ["🙂", "\ud800", "\u202e", '"', "'", "\\", "{}", "[]", ",,,,", ";", "=", "|", "10.0.0.1", "::1", "TCP", "x".repeat(5000)],
);
/** JSON of values that no field means. An object's own `toString` is what a text is made by. */
const ODD_JSON = ["null", "true", '""', '"-"', "[]", "{}", "-1", "0.5", "1e308", "65536", "4294967295", "99999999999999999999"].concat(
  [
    "9007199254740991",
    '"4294967295.9999999999"',
    '"2106-02-07T06:28:15.999999999Z"',
    "[[]]",
    "[null]",
    '[{"toString":0,"valueOf":0}]',
    '{"toString":0,"valueOf":0}',
    '{"__proto__":{"a":1}}',
    '{"length":3}',
    '"__proto__"',
  ],
  ['"\\u0000"', '"\\u001b[2J"', '"\\ud800"', '"9007199254740993"', '"-1"', '"1.5"', '"0x10"', '"10.0.0.1"', '"2262-04-12T00:00:00Z"'],
  ['"1969-12-31T23:59:59Z"', `"${"x".repeat(3000)}"`, "[1,2,3]", '["a"]', '{"a":{"a":{"a":1}}}'],
);

const KINDS = ["word", "word", "word", "character", "cut", "lose", "swap", "repeat"] as const;
const place = fc.nat(1_000_000);
/** A change as plain values, so that a failure prints what made it. */
const change = fc.record({
  kind: fc.constantFrom(...KINDS),
  line: place,
  where: place,
  how: fc.nat(5),
  odd: fc.constantFrom(...ODD_TEXTS),
  code: fc.nat(0x10ffff),
});
type Change = typeof change extends fc.Arbitrary<infer T> ? T : never;

/** Words of a line: whatever stands between marks. */
const WORD = /[^\s,;|="{}[\]]+/g;

/** Replaces a word of a line; drops it, or doubles it with the mark after it. */
function changeWord(line: string, { where, how, odd }: Change): string {
  const words = [...line.matchAll(WORD)];
  if (words.length === 0) return odd;
  const { index, 0: word } = words[where % words.length];
  const end = index + word.length;
  if (how === 0) return line.slice(0, index) + line.slice(end + 1);
  if (how === 1) return line.slice(0, end + 1) + word + line.slice(end);
  return line.slice(0, index) + odd + line.slice(end);
}

function apply(lines: string[], change: Change): void {
  if (lines.length === 0) return;
  const [a, b] = [change.line % lines.length, change.where % lines.length];
  const text = lines[a];
  const at = change.where % (text.length + 1);
  switch (change.kind) {
    case "word":
      lines[a] = changeWord(text, change);
      break;
    case "character":
      lines[a] = text.slice(0, at) + String.fromCodePoint(change.code) + text.slice(at + 1);
      break;
    case "cut":
      lines[a] = text.slice(0, at);
      break;
    case "lose":
      lines.splice(a, 1);
      break;
    case "swap":
      [lines[a], lines[b]] = [lines[b], text];
      break;
    case "repeat":
      lines.splice(b, 0, text);
  }
}

const nameIn = (of: readonly Fixture[]) => fc.constantFrom(...of.map(({ name }) => name));
const fixtureOf = (name: string) => fixtures.find((fixture) => fixture.name === name)!;
const changes = fc.array(change, { minLength: 1, maxLength: 6 });
const lineEnd = fc.constantFrom("\n", "\n", "\r\n", "\n\n");
const formatNames = [...new Set(FORMATS.map(({ name }) => name))];

function changed({ lines }: Fixture, each: readonly Change[]): string[] {
  const copy = [...lines];
  for (const one of each) apply(copy, one);
  return copy;
}

/** Every value within a JSON value, by its path; an object's and a list's own first. */
function placesIn(value: unknown, path: readonly (string | number)[] = []): (readonly (string | number)[])[] {
  if (typeof value !== "object" || value === null) return [path];
  const own = Array.isArray(value) ? value.map((item, i) => [i, item] as const) : Object.entries(value);
  return [path, ...own.flatMap(([key, item]) => placesIn(item, [...path, key]))];
}

/** The text of a value with that at one place replaced by other JSON; undefined: the place is dropped. */
function withJson(value: unknown, path: readonly (string | number)[], json: string | undefined): string {
  if (path.length === 0) return json ?? "{}";
  const [key, ...rest] = path;
  const inner = (item: unknown, k: string | number) => (k === key ? withJson(item, rest, json) : JSON.stringify(item));
  const isDropped = (k: string | number) => k === key && rest.length === 0 && json === undefined;
  if (Array.isArray(value)) return `[${value.flatMap((item, i) => (isDropped(i) ? [] : [inner(item, i)])).join()}]`;
  const fields = Object.entries(value as object).flatMap(([k, item]) => (isDropped(k) ? [] : [`${JSON.stringify(k)}:${inner(item, k)}`]));
  return `{${fields.join()}}`;
}

interface ObjectOf {
  readonly fixture: Fixture;
  readonly object: object;
  readonly path: readonly (string | number)[];
}

const objects: readonly ObjectOf[] = texts.flatMap((fixture) => {
  const head = headOf(fixture.bytes.subarray(0, MOST_BYTES), fixture.bytes.length <= MOST_BYTES);
  return head.objects.flatMap((object) => placesIn(object).map((path) => ({ fixture, object, path })));
});

/** A session that a sidecar took. */
const ENVOY = {
  downstream_local_address: "10.0.0.2:80",
  downstream_remote_address: "10.0.0.1:40000",
  upstream_cluster: "inbound|80||",
  upstream_host: "127.0.0.6:80",
};

describe("flow logs", () => {
  test("fixtures of every format, with fields, bytes and lines changed", async () => {
    await fuzz(8, fc.tuple(nameIn(texts), changes, lineEnd), async ([name, each, last]) => {
      await readText(`${changed(fixtureOf(name), each).join(last)}\n`);
    });
  });

  test("JSON values of wrong types, at every place of every object", async () => {
    const place = fc
      .nat(objects.length - 1)
      .map((index) => ({ index, of: `${objects[index].fixture.name} ${objects[index].path.join(".")}` }));
    await fuzz(7, place, async ({ index }) => {
      const { fixture, object, path } = objects[index];
      const odd = [undefined, ...ODD_JSON].map((json) => withJson(object, path, json));
      const whole = JSON.stringify(object);
      await readText(`${[whole, ...odd, whole].join("\n")}\n`, { format: fixture.format });
    });
  });

  test("any format's lines read as any other, and two formats in one file", async () => {
    const forced = fc.option(fc.constantFrom(...formatNames), { nil: undefined });
    const fields = fc.option(fc.constant(["srcaddr", "dstaddr", "protocol", "srcport", "dstport"]), { nil: undefined });
    await fuzz(4, fc.tuple(nameIn(texts), nameIn(texts), fc.nat(20), forced, fields), async ([first, second, from, format, names]) => {
      const [one, two] = [fixtureOf(first), fixtureOf(second)];
      const mixed = [...one.lines.slice(0, from), ...two.lines, ...one.lines.slice(from)];
      await readText(`${mixed.join("\n")}\n`, { format, fields: names });
    });
  });

  test("fixtures with bytes flipped, cut, compressed and cut, several together", async () => {
    const flips = fc.array(fc.tuple(place, fc.nat(255)), { maxLength: 6 });
    const part = fc.double({ min: 0.01, max: 1, noNaN: true });
    await fuzz(3, fc.tuple(nameIn(texts), nameIn(texts), flips, part, fc.nat(2)), async ([one, two, each, kept, form]) => {
      const bytes = Buffer.from(fixtureOf(one).bytes.subarray(0, MOST_BYTES));
      for (const [where, value] of each) bytes[where % bytes.length] ^= value;
      const packed = [(plain: Buffer) => plain, gzipSync, zstdCompressSync][form](bytes);
      await readLogs([packed.subarray(0, Math.ceil(packed.length * kept)), fixtureOf(two).bytes.subarray(0, MOST_BYTES)]);
    });
  });

  test.skipIf(parquets.length === 0)("Parquet with bytes flipped and cut", async () => {
    const flips = fc.array(fc.tuple(place, fc.nat(255)), { minLength: 1, maxLength: 4 });
    const forced = fc.option(fc.constantFrom(...formatNames), { nil: undefined });
    // The last bytes say what is in the file: most flips are of these.
    await fuzz(2, fc.tuple(nameIn(parquets), flips, fc.boolean(), forced), async ([name, each, isOfFooter, format]) => {
      const bytes = Buffer.from(fixtureOf(name).bytes);
      const footer = bytes.readUInt32LE(bytes.length - 8);
      const from = isOfFooter ? Math.max(0, bytes.length - 8 - footer) : 4;
      for (const [where, value] of each) bytes[from + (where % (bytes.length - from))] ^= value;
      await readLogs([bytes], { format });
    });
  });

  // Found by the tests above, made small. An object's own `toString` that is no function ends String(), Number(), join() and templates in
  // a TypeError, which is no BadRecord: the whole log is lost, with a stack trace.
  const odd = { toString: 0, valueOf: 0 };
  const objectOf = (file: string) => headOf(Buffer.from(`${fixtureOf(file).lines[0]}\n`), true).objects[0] as Record<string, object>;
  test.each<[what: string, format: string, records: () => unknown[]]>([
    ["antrea: an action", "antrea", () => [{ ...objectOf("antrea/clickhouse.jsonl"), ingressNetworkPolicyRuleAction: odd }]],
    ["netobserv: Etype", "netobserv", () => [{ ...objectOf("netobserv/flows.jsonl"), Etype: odd }]],
    ["netobserv: Flags", "netobserv", () => [{ ...objectOf("netobserv/flows.jsonl"), Flags: [odd] }]],
    ["netobserv: a conversation's time", "netobserv", () => [{ ...objectOf("netobserv/conversations.jsonl"), TimeFlowStartMs: odd }]],
    ["zeek: ts", "zeek", () => [{ ...objectOf("zeek/conn.json"), ts: odd }]],
    // `later` goes past 2106: the flow table keeps 32 bits of it, and the connection ends before it begins.
    ["zeek: a duration beyond 2106", "zeek", () => [{ ...objectOf("zeek/conn.json"), ts: 4294967295.5, duration: 999 }]],
    ["envoy: a duration beyond 2106", "envoy", () => [{ ...ENVOY, start_time: "2106-02-07T06:28:15Z", duration: 9000 }]],
  ])("%s", async (_what, format, records) => {
    await readText(
      `${records()
        .map((each) => JSON.stringify(each))
        .join("\n")}\n`,
      { format },
    );
  });
  // The end that an endpoint was at last hangs on it, with its address, a bigint, which no message may be made of as JSON.
  test("hubble: an event without a verdict between endpoints that were met", async () => {
    const event = objectOf("hubble/shop.jsonl");
    const records = [event, { ...event, flow: { ...event.flow, verdict: undefined } }];
    await readText(`${records.map((each) => JSON.stringify(each)).join("\n")}\n`, { format: "hubble" });
  });
});
