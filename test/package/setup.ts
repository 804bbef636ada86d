import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { TestProject } from "vitest/node";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));

declare module "vitest" {
  interface ProvidedContext {
    /** Folder with the packages. They stay there: .ci/run goes on with them. */
    packages: string;
    /** Folder with what a second build made, in other surroundings. */
    again: string;
  }
}

/** Builds everything twice, from the same checkout. */
export default function setup(project: TestProject): () => void {
  const folder = mkdtempSync(join(tmpdir(), "kguardian-packages-"));
  const packages = join(ROOT, "packages");
  const again = join(folder, "again");
  build(packages, {});
  build(again, { TMPDIR: folder, TZ: "Asia/Tokyo", LC_ALL: "C", SOURCE_DATE_EPOCH: "1" });
  project.provide("packages", packages);
  project.provide("again", again);
  return () => rmSync(folder, { recursive: true, force: true });
}

function build(out: string, environment: Record<string, string>): void {
  const begun = performance.now();
  const { status, stderr } = spawnSync(process.execPath, ["scripts/package/main.mjs", "--out", out], {
    cwd: ROOT,
    env: { ...process.env, ...environment },
    encoding: "utf8",
  });
  if (status !== 0) throw new Error(`packages were not built: ${stderr}`);
  console.log(`packages built in ${((performance.now() - begun) / 1000).toFixed(0)} s: ${out}`);
}
