import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { FORMAT_NAMES } from "../../src/capture/logs/formatNames.ts";
import { FORMATS } from "../../src/capture/logs/formats.ts";
import { headOf } from "../../src/capture/logs/readFlowLog.ts";
import { readLog } from "./flowLogs.ts";

/*
 * Every file in fixtures/flow-logs/FORMAT has a sidecar with what it means. UPDATE_SIDECARS=1 writes those: each line of a change is
 * to be read against the log and the format's documentation before it is committed.
 */
const ROOT = new URL("../../fixtures/flow-logs/", import.meta.url).pathname;
const SIDECAR = ".flows.json";

const fixtures = readdirSync(ROOT, { recursive: true, withFileTypes: true })
  .filter((entry) => entry.isFile() && !entry.name.endsWith(SIDECAR) && entry.name !== "README.md")
  .map((entry) => join(entry.parentPath, entry.name))
  .sort();

describe.each(fixtures.map((path) => [path.slice(ROOT.length), path]))("%s", (name, path) => {
  test("means what its sidecar says", async () => {
    const read = await readLog(path);
    if (process.env.UPDATE_SIDECARS !== undefined) writeFileSync(path + SIDECAR, `${JSON.stringify(read, null, 1)}\n`);
    expect(read).toEqual(JSON.parse(readFileSync(path + SIDECAR, "utf8")));
  });
  test("is of its folder's format, and of no other", () => {
    if (/\.(gz|zst|parquet)$/.test(name)) return;
    const head = headOf(readFileSync(path).subarray(0, 1 << 16), true);
    const found = FORMATS.filter((format) => format.recognizes(head)).map((format) => format.name);
    expect(found).toEqual([name.split("/")[0]]);
  });
});

test("every format has fixtures", () => {
  const folders = new Set(fixtures.map((path) => path.slice(ROOT.length).split("/")[0]));
  expect([...new Set(FORMATS.map(({ name }) => name))].filter((name) => !folders.has(name))).toEqual([]);
});

test("every format can be forced by its name, and is in the documentation", () => {
  const names = [...new Set(FORMATS.map(({ name }) => name))].sort();
  expect([...FORMAT_NAMES].sort()).toEqual(names);
  const documentation = readFileSync(new URL("../../docs/flow-logs.md", import.meta.url), "utf8");
  expect(names.filter((name) => !documentation.includes(`\`${name}\``))).toEqual([]);
});
