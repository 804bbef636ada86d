import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));

/** Offers V8 the code cache of every chunk that the build made. */
function check(...flags: readonly string[]): { readonly status: number | null; readonly stderr: string } {
  const dist = join(ROOT, "dist");
  return spawnSync(process.execPath, [...flags, join(ROOT, "scripts/warmUp.cjs"), "check", dist, dist], { encoding: "utf8" });
}

test("V8 takes the code caches that the build made, under the launcher's flags", () => {
  expect(check("--single-threaded-gc", "--min-semi-space-size=4")).toMatchObject({ status: 0, stderr: "" });
  expect(check("--no-single-threaded-gc", "--min-semi-space-size=4")).toMatchObject({ status: 0, stderr: "" });
});

test("and would refuse them under others", () => {
  expect(check("--no-opt")).toMatchObject({ status: 1, stderr: expect.stringMatching(/^V8 refuses the cache of /) });
});
