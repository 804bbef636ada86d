import fc from "fast-check";
import { expect } from "vitest";
import { CaptureError } from "../../src/capture/captureError.ts";
import { type Replay, replay, replayRecords } from "../capture/replay.ts";
import { valuesOf } from "../flow/madeConnections.ts";

/** All the fuzzing's time, shared out over its tests. */
const SECONDS = Number(process.env.FUZZ_SECONDS ?? 70);
/** What each case may take; a busy machine's pauses are not its fault, so that a slow case is tried again before it fails. */
const CASE_MS = 1000;

/** A part of all the time (the parts of all tests add up to 100), in milliseconds. */
export const share = (percent: number): number => SECONDS * 10 * percent;

/**
 * Tries cases until the time is over. Law: no case throws anything but a CaptureError, and none takes a second. Fails with the case
 * made small, and with the seed that makes it again.
 */
export async function fuzz<T>(percent: number, cases: fc.Arbitrary<T>, run: (value: T) => Promise<void>): Promise<void> {
  const seed = Number(process.env.FUZZ_SEED ?? Date.now() % 0x7fffffff);
  const until = performance.now() + share(percent);
  let tried = 0;
  for (let round = 0; performance.now() < until; round++) {
    await fc.assert(
      fc.asyncProperty(cases, async (value) => {
        // The bound is on time, not on cases: the last round ends early.
        if (performance.now() > until && tried > 0) return;
        tried++;
        if ((await timed(value, run)) > CASE_MS) expect(await timed(value, run), "milliseconds of one case").toBeLessThan(CASE_MS);
      }),
      { seed: (seed + round) | 0, numRuns: 200 },
    );
  }
  expect(tried).toBeGreaterThan(0);
}

async function timed<T>(value: T, run: (value: T) => Promise<void>): Promise<number> {
  const start = performance.now();
  try {
    await run(value);
  } catch (error) {
    if (!(error instanceof CaptureError)) throw error;
    expect(error.message, "an error is one line").not.toContain("\n");
  }
  return performance.now() - start;
}

/** Reads captures; `replay` checks that each packet is accounted for. No more packets are counted than record headers fit. */
export async function readCapture(...files: Uint8Array[]): Promise<Replay> {
  const read = await replay(files);
  const bytes = files.reduce((sum, file) => sum + file.length, 0);
  expect(read.inputs.reduce((sum, input) => sum + input.packets, 0)).toBeLessThanOrEqual(bytes / 16);
  expect(read.connections.size).toBeLessThanOrEqual(read.table.size);
  return read;
}

/** Reads records: as many are counted as there are lines, with those that are skipped. */
export async function readLog(text: string | Uint8Array): Promise<void> {
  const { inputs, skipped, connections } = await replayRecords(text);
  const whole = Buffer.from(text).toString("utf8");
  // A list is one line of several records, which its commas divide.
  const lines = whole.split(whole.includes("[") ? /[\n,]/ : "\n").length;
  const left = Object.values(skipped).reduce((sum, count) => sum + count, 0);
  expect(inputs[0].records + left).toBeLessThanOrEqual(lines);
  expect(valuesOf(connections, "count").reduce((sum, count) => sum + count, 0)).toBeLessThanOrEqual(inputs[0].records);
}
