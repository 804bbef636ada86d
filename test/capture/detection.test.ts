import { spawnSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { CaptureError } from "../../src/capture/captureError.ts";
import { FORMATS } from "../../src/capture/logs/formats.ts";
import { headOf, readFlowLog } from "../../src/capture/logs/readFlowLog.ts";
import { FlowTable } from "../../src/flow/flowTable.ts";
import { L7Hints } from "../../src/flow/hints.ts";
import { NameTable } from "../../src/flow/names.ts";
import { LoggedParties } from "../../src/flow/parties.ts";
import { conversation, pcap, pcapng, timed } from "./packets.ts";
import { withFiles } from "./replay.ts";

/* Which format a log is of, by its content alone: never two, and with little of it where a stream is not to be waited for. */

const ROOT = new URL("../../fixtures/flow-logs/", import.meta.url).pathname;
const fixtures = readdirSync(ROOT, { recursive: true, withFileTypes: true })
  .filter((entry) => entry.isFile() && !/\.(flows\.json|md|parquet)$/.test(entry.name))
  .map((entry) => join(entry.parentPath, entry.name))
  .map((path) => {
    const bytes = path.endsWith(".gz") ? gunzipSync(readFileSync(path)) : readFileSync(path);
    const name = path.slice(ROOT.length);
    return { name, format: name.split("/")[0], text: bytes.subarray(0, 1 << 16).toString("utf8") };
  })
  .sort((a, b) => (a.name < b.name ? -1 : 1));

/** The formats that recognise a text, as often as they have readers that do. */
function recognized(text: string, isWhole = false): string[] {
  const head = headOf(Buffer.from(text), isWhole);
  return FORMATS.filter((format) => format.recognizes(head)).map(({ name }) => name);
}

/** Returns the first lines of a text, with their ends. */
const first = (text: string, lines: number) => `${text.split("\n").slice(0, lines).join("\n")}\n`;
const atLineEnd = (text: string, bytes: number) => text.slice(0, text.lastIndexOf("\n", Math.max(bytes, text.indexOf("\n"))) + 1);

describe("no other format recognises a log, however little of it is there", () => {
  test.each(fixtures.map((fixture) => [fixture.name, fixture] as const))("%s", (_name, { format, text }) => {
    const parts = [
      first(text, 1),
      first(text, 2),
      first(text, 5),
      atLineEnd(text, 200),
      text,
      ...text.split("\n").map((line) => `${line}\n`),
    ];
    for (const part of new Set(parts)) {
      for (const isWhole of [false, true]) {
        const found = recognized(part, isWhole);
        expect([[], [format]], `${found.join()} of ${JSON.stringify(part.slice(0, 300))}`).toContainEqual(found);
      }
    }
    expect(recognized(text, true)).toEqual([format]);
  });
});

/**
 * Logs whose first line (of columns: and the header before it; of JSON in another layout: whose first whole record) is not enough, with
 * the reason. A stream of these is told once more of it has come.
 */
const LATER: Readonly<Record<string, string>> = {
  "azure-nsg/PT1H-v1.json": "pretty-printed: a record ends lines later",
  "azure-nsg/PT1H-v2.json": "pretty-printed: a record ends lines later",
  "azure-nsg/unfinished.json": "pretty-printed: a record ends lines later",
  "eks/agent-1.0.log": "the agent's log begins with messages that are no decisions",
  "eks/agent.log": "the agent's log begins with messages that are no decisions",
  "eks/filter-log-events.json": "pretty-printed: a record ends lines later",
  "broker/pod-traffic.json": "pretty-printed: a record ends lines later",
  "envoy/gateway.json": "pretty-printed: a record ends lines later",
  "envoy/istio-text.log": "the proxy's other log stands before it",
  "envoy/istio.jsonl": "the proxy's other log stands before it",
  "gcp-vpc/gcloud-read.json": "pretty-printed: a record ends lines later",
  "netobserv/cli.json": "the first line only opens a list",
  "nfdump/1.7.1-ipv6.json": "pretty-printed: a record ends lines later",
  "nfdump/1.7.1-nothing.json": "the second line says that there is nothing",
  "nfdump/1.7.1-tcp.json": "pretty-printed: a record ends lines later",
  "zeek/conn.log": "four lines on how columns are parted stand before #path",
  "zeek/joined.log": "lines on how columns are parted stand before #path",
};

describe("the first record is enough for a stream", () => {
  test.each(fixtures.map((fixture) => [fixture.name, fixture] as const))("%s", (name, { format, text }) => {
    const isEnough = recognized(first(text, 1)).includes(format);
    expect(isEnough, LATER[name]).toBe(LATER[name] === undefined);
    // Where more must have come, it is told before the log ends.
    const lines = text.split("\n").length;
    if (!isEnough && lines > 40) expect(recognized(first(text, 40))).toEqual([format]);
  });
  test("every exception is a fixture", () => {
    expect(Object.keys(LATER).filter((name) => !fixtures.some((fixture) => fixture.name === name))).toEqual([]);
  });
});

const PCAP_FOLDER = new URL("../../../shared/captures/pcap/", import.meta.url).pathname;
const talk = timed(conversation("10.0.0.1", 40000, "10.0.0.2", 80));
const POLICY = `apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: p, namespace: shop}
spec:
  podSelector: {}
  ingress: [{from: [{podSelector: {}}], ports: [{port: 80, protocol: TCP}]}]
`;
const POD = { apiVersion: "v1", kind: "Pod", metadata: { name: "web", namespace: "shop" }, status: { podIP: "10.0.0.1" } };

describe("what is no flow log is none", () => {
  test.each<[what: string, content: string | Uint8Array]>([
    ["a capture", pcap(talk)],
    ["a pcapng capture", pcapng(talk)],
    ["an empty file", ""],
    ["blank lines", "\n\n  \n"],
    ["a policy", POLICY],
    ["a snapshot as YAML", "apiVersion: v1\nkind: List\nitems:\n- kind: Pod\n  metadata:\n    name: web\n  status:\n    podIP: 10.0.0.1\n"],
    ["a snapshot as JSON", JSON.stringify({ apiVersion: "v1", kind: "List", items: [POD, POD] })],
    ["a snapshot as JSON, pretty-printed", JSON.stringify({ apiVersion: "v1", kind: "List", items: [POD, POD] }, undefined, 2)],
    ["a policy as JSON", JSON.stringify({ kind: "NetworkPolicy", spec: { podSelector: {}, policyTypes: ["Ingress"] } })],
    ["HTML", "<!doctype html>\n<html><head><title>404</title></head><body>src dst protocol srcIp dstIp</body></html>\n"],
    ["prose", "The src_ip and dest_ip of a connection, its proto,\nand what became of it.\n"],
    ["CSV of something else", "name,age,city\nann,3,Oslo\n"],
    ["JSON Lines of something else", '{"level":"info","msg":"started"}\n{"level":"info","ts":1,"message":"ready"}\n'],
    ["an empty list", "[]\n"],
    ["an empty object", "{}\n"],
    ["text on one line, longer than what is looked at", "x".repeat(1 << 17)],
  ])("%s", (_what, content) => {
    const bytes = Buffer.from(content).subarray(0, 1 << 16);
    for (const isWhole of [false, true]) expect(recognized(bytes.toString("latin1"), isWhole)).toEqual([]);
  });

  test.skipIf(!existsSync(PCAP_FOLDER))("captures of real programs", () => {
    for (const name of readdirSync(PCAP_FOLDER).filter((each) => /\.pcap(ng)?$/.test(each))) {
      const head = headOf(readFileSync(PCAP_FOLDER + name).subarray(0, 1 << 16), false);
      expect(FORMATS.filter((format) => format.recognizes(head)).map((format) => `${name} ${format.name}`)).toEqual([]);
    }
  });

  test("random text and random JSON", () => {
    const text = fc.oneof(
      fc.string({ unit: "binary", maxLength: 300 }),
      fc.json({ maxDepth: 2 }),
      fc.array(fc.json({ maxDepth: 1 }), { maxLength: 5 }).map((all) => all.join("\n")),
    );
    fc.assert(
      fc.property(text, fc.boolean(), (value, isWhole) => {
        expect(recognized(value, isWhole)).toEqual([]);
      }),
      { numRuns: 100 },
    );
  });
});

/** The refusal of a file with this content. */
async function refusalOf(content: string | Uint8Array, format?: string, fields?: readonly string[]): Promise<CaptureError> {
  const target = { table: new FlowTable(), names: new NameTable(), parties: new LoggedParties(), hints: new L7Hints() };
  return withFiles([Buffer.from(content)], async ([path]) => {
    const refused = await readFlowLog(path, target, { format, fields }).then(
      () => undefined,
      (error: unknown) => error,
    );
    expect(refused).toBeInstanceOf(CaptureError);
    return refused as CaptureError;
  });
}

/** What moves a terminal's cursor or ends a line. */
const CONTROLS = /[\u0000-\u001f\u007f]/;

describe("a refusal says what was looked for", () => {
  test("an unknown format: every format's name, and the first line with its controls escaped", async () => {
    const { code, message } = await refusalOf("\u001b[2J\u001b]0;owned\u0007hello `world`\nsecond\n");
    expect(code).toBe("unsupported");
    expect([...new Set(FORMATS.map(({ name }) => name))].filter((name) => !message.includes(name))).toEqual([]);
    expect(message).toContain("--flow-format");
    expect(message).toContain("\\u001b[2J");
    expect(message).toContain("hello");
    expect(message).not.toContain("second");
    expect(message).not.toMatch(CONTROLS);
  });
  test("a first line without end is cut", async () => {
    expect((await refusalOf("y".repeat(1 << 18))).message.length).toBeLessThan(1000);
  });
  test("an empty file", async () => {
    expect((await refusalOf("")).code).toBe("empty");
  });
  test("a name that no format has", async () => {
    const { code, message } = await refusalOf("{}\n", "netflow");
    expect([code, message.includes("unknown flow-log format netflow")]).toEqual(["unsupported", true]);
  });
  test("a log that two formats recognise names both", async () => {
    const of = (name: string) => fixtures.find((fixture) => fixture.name === name)!.text;
    const { message } = await refusalOf(first(of("hubble/exporter.jsonl"), 2) + first(of("suricata/eve.json"), 2));
    expect(message).toMatch(/several flow-log formats \(hubble, suricata\)/);
  });
  test.each(["nfdump", "argus", "aws-vpc"])("--flow-fields that lack what records of %s need", async (format) => {
    const { message } = await refusalOf("a,b,c\n1,2,3\n", format, ["a", "b", "c"]);
    expect(message).toMatch(/lack|no such field/);
    expect(message).not.toMatch(CONTROLS);
  });
  test("columns of Parquet with a terminal escape and a line break in their names", async () => {
    const bytes = Buffer.from(readFileSync(join(ROOT, "records/columns.parquet")));
    const at = bytes.lastIndexOf("dstNames", bytes.indexOf("duckdb_schema") + 400);
    bytes.write("\u001b[2J\nxxx".slice(0, 8), at, "latin1");
    const { message } = await refusalOf(bytes, "hubble");
    expect(message).toMatch(/its columns are/);
    expect(message).not.toMatch(CONTROLS);
  });
  test("Parquet that is damaged in several columns: one refusal, and nothing that nobody catches", () => {
    const script = `
      import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
      const { readFlowLog } = await import("${new URL("../../src/capture/logs/readFlowLog.ts", import.meta.url)}");
      const { FlowTable } = await import("${new URL("../../src/flow/flowTable.ts", import.meta.url)}");
      const { NameTable } = await import("${new URL("../../src/flow/names.ts", import.meta.url)}");
      const { LoggedParties } = await import("${new URL("../../src/flow/parties.ts", import.meta.url)}");
      const { L7Hints } = await import("${new URL("../../src/flow/hints.ts", import.meta.url)}");
      const bytes = readFileSync(${JSON.stringify(join(ROOT, "records/columns.parquet"))});
      for (const [at, value] of [[947, 33],[1161, 20],[1349, 114],[1383, 131]]) bytes[at] = value;
      const folder = mkdtempSync("${tmpdir()}/kguardian-parquet-");
      process.on("exit", () => rmSync(folder, { recursive: true }));
      const path = folder + "/x.parquet";
      writeFileSync(path, bytes);
      const target = { table: new FlowTable(), names: new NameTable(), parties: new LoggedParties(), hints: new L7Hints() };
      await readFlowLog(path, target).catch((error) => { if (error.name !== "CaptureError") throw error; });
      await new Promise((resolve) => setTimeout(resolve, 20));
    `;
    const { status, stderr } = spawnSync(process.execPath, ["--no-warnings", "--input-type=module", "-e", script], { encoding: "utf8" });
    expect([status, stderr]).toEqual([0, ""]);
  });
});
