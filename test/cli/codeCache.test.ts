import { spawnSync } from "node:child_process";
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));

/** Offers V8 the code cache of every chunk that the build made. */
function check(...flags: readonly string[]): { readonly status: number | null; readonly stderr: string } {
  return spawnSync(process.execPath, [...flags, join(ROOT, "scripts/warmUp.cjs"), "check", join(ROOT, "dist")], { encoding: "utf8" });
}

test("V8 takes the code caches that the build made, under the launcher's flags", () => {
  expect(check("--single-threaded-gc", "--min-semi-space-size=4", "--v8-pool-size=1")).toMatchObject({ status: 0, stderr: "" });
  expect(check("--no-single-threaded-gc", "--min-semi-space-size=4", "--v8-pool-size=1")).toMatchObject({ status: 0, stderr: "" });
});

test("and would refuse them under others", () => {
  expect(check("--no-opt")).toMatchObject({ status: 1, stderr: expect.stringMatching(/^V8 refuses the cache of /) });
});

test("a damaged cache is as good as none, and so is another source's", () => {
  const folder = mkdtempSync(join(tmpdir(), "kguardian-dist-"));
  try {
    cpSync(join(ROOT, "dist"), folder, { recursive: true });
    const names = readdirSync(folder).filter((name) => name.endsWith(".cache"));
    expect(names.length).toBeGreaterThan(100);
    const say = () => {
      const { status, stdout, stderr } = spawnSync(process.execPath, [join(folder, "loader.cjs"), "--help"], { encoding: "utf8" });
      return { status, stdout, stderr };
    };
    const whole = say();
    expect(whole).toMatchObject({ status: 0, stderr: "", stdout: expect.stringContaining("kubectl kguardian") });
    names.forEach((name, i) => {
      const path = join(folder, name);
      const bytes = readFileSync(path);
      if (i % 4 === 3) return writeFileSync(path, bytes.subarray(0, i));
      bytes[64 + ((i * 7919) % (bytes.length - 64))] ^= 1 << (i % 8);
      writeFileSync(path, bytes);
    });
    expect(say()).toEqual(whole);
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test("no chunk has a character that is not ASCII: the loader reads bytes as characters", () => {
  const chunks = readdirSync(join(ROOT, "dist")).filter((name) => name.endsWith(".js"));
  expect(chunks).toContain("main.js");
  for (const name of chunks) expect(readFileSync(join(ROOT, "dist", name)).every((byte) => byte < 0x80)).toBe(true);
});

test("what is written by regular expressions with other characters is as from the sources", () => {
  const shop = join(ROOT, "fixtures/shop");
  const args = [
    "gen",
    "networkpolicy",
    "-A",
    "--pcap",
    join(shop, "monday.pcapng"),
    "--snapshot",
    join(shop, "cluster.yaml"),
    "--output-dir=",
  ];
  const built = spawnSync(join(ROOT, "bin/kubectl-kguardian"), args, { encoding: "utf8" });
  expect(built.stdout).toContain("2026-11-16 08:00:02 \u2013 08:02:31 UTC");
  const fromSources = spawnSync(process.execPath, [join(ROOT, "bin/main.ts"), ...args], { encoding: "utf8" });
  expect(built.stdout).toBe(fromSources.stdout);
});
