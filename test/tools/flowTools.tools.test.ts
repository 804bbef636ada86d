import { existsSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { beforeAll, describe, expect, test } from "vitest";
import { CaptureError } from "../../src/capture/captureError.ts";
import { readManifestFiles } from "../../src/cluster/manifest.ts";
import { readCluster } from "../../src/cluster/snapshot.ts";
import { surroundingsOf } from "../../src/evaluate/surroundings.ts";
import type { Surroundings } from "../../src/flow/joining.ts";
import { OUTCOMES } from "../../src/flow/outcome.ts";
import { readLogs } from "../capture/flowLogs.ts";
import { describeConnections, replayPaths } from "../capture/replay.ts";
import { DIFFERENCES, REFUSALS, type Tool } from "./differences.ts";
import { argus, missingPrograms, nfdump, type Outcome, softflowd } from "./flowTools.ts";

/*
 * What real tools make of a capture gives, read as a flow log, the connections of the capture itself: who connected to whom, on which
 * port, how often, and with how many packets. `differences.ts` has every exception. Only `npm run test:tools` runs this:
 * vitest.tools.config.ts sets KGUARDIAN_FLOW_TOOLS, to "skip" where whoever runs it said so because the programs are not there.
 */

const FOLDER = fileURLToPath(new URL("../../../shared/captures/pcap/", import.meta.url));
const WANTED = process.env.KGUARDIAN_FLOW_TOOLS;

const TOOLS: Readonly<Record<Tool, (capture: string, folder: string) => Promise<Outcome>>> = {
  "nfdump, CSV": (capture, folder) => nfdump(capture, folder, "csv"),
  "nfdump, JSON": (capture, folder) => nfdump(capture, folder, "json"),
  softflowd,
  argus,
};
const NAMES = Object.keys(TOOLS) as Tool[];

const captures = existsSync(FOLDER) ? readdirSync(FOLDER).filter((name) => /\.(pcap|pcapng)(\.gz|\.zst)?$/.test(name)) : [];

/** How a connection ended is not compared: flow records merge the flags of all packets, and have no ICMP errors' contents. */
const ENDINGS = new RegExp(` (\\d+ )?(${OUTCOMES.join("|")})(\\+.*)?( ~)?$`);
const withoutEndings = (lines: readonly string[]) => lines.map((line) => line.replace(ENDINGS, ""));

let known: Surroundings;

async function ofCapture(capture: string): Promise<readonly string[]> {
  return withoutEndings((await replayPaths([FOLDER + capture], { surroundings: known })).lines);
}

/** Returns what a tool says of a capture, or why it refuses it. */
async function ofTool(tool: Tool, capture: string): Promise<readonly string[] | string> {
  const folder = mkdtempSync(join(tmpdir(), "kguardian-tools-"));
  try {
    const outcome = await TOOLS[tool](FOLDER + capture, folder);
    if ("refusal" in outcome) return outcome.refusal;
    const { inputs, table, connections } = await readLogs([outcome.path], {}, known);
    expect(inputs[0].faults, "every line was understood").toBe(0);
    return withoutEndings(describeConnections(table, connections));
  } finally {
    rmSync(folder, { recursive: true });
  }
}

describe.skipIf(WANTED === undefined || WANTED === "skip")("flow tools and captures", () => {
  beforeAll(async () => {
    expect(missingPrograms(), "scripts/install-flow-tools.sh installs them; KGUARDIAN_FLOW_TOOLS=skip runs without").toEqual([]);
    expect(captures.length, `${FOLDER} has the captures`).toBeGreaterThan(0);
    const { objects } = await readManifestFiles([`${FOLDER}world.yaml`], { recursive: false, stdin: async () => "" });
    known = surroundingsOf(readCluster(objects));
  });

  test("differences name captures and tools that there are", () => {
    const named = [...DIFFERENCES.flatMap((difference) => difference.captures), ...Object.keys(REFUSALS)];
    expect(named.filter((capture) => !captures.includes(capture))).toEqual([]);
  });

  test.each(captures.flatMap((capture) => NAMES.map((tool) => [capture, tool] as const)))("%s by %s", async (capture, tool) => {
    const refusal = REFUSALS[capture]?.[tool];
    const theirs = await ofTool(tool, capture);
    if (refusal !== undefined || typeof theirs === "string") return expect(theirs).toBe(refusal);
    const ours = await ofCapture(capture);
    const named = DIFFERENCES.filter((difference) => difference.captures.includes(capture) && difference.tools.includes(tool));
    expect({
      missing: ours.filter((line) => !theirs.includes(line)),
      extra: theirs.filter((line) => !ours.includes(line)),
    }).toEqual({
      missing: named.flatMap(({ missing }) => missing).sort(),
      extra: named.flatMap(({ extra }) => extra).sort(),
    });
  });

  test("what no tool reads is refused here too, but for SLL2 and compressed captures", async () => {
    const refused = captures.filter((capture) => NAMES.every((tool) => REFUSALS[capture]?.[tool] !== undefined));
    for (const capture of refused)
      if (/^(08|17|18)-/.test(capture)) expect((await ofCapture(capture)).length).toBeGreaterThan(0);
      else await expect(ofCapture(capture)).rejects.toThrow(CaptureError);
  });
});
