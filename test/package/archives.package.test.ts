import { createHash } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, inject, test } from "vitest";
import { archiveName, PLATFORMS, ROOT, readArchive } from "./packages.ts";

const [packages, again] = [inject("packages"), inject("again")];
const LICENSE = readFileSync(join(ROOT, "LICENSE"));
const OTHERS = ["SHA256SUMS", "THIRD-PARTY-LICENSES", "kguardian.yaml", "krew-manifest.yaml", "kubectl-kguardian.cdx.json"];

const sha256 = (path: string) => createHash("sha256").update(readFileSync(path)).digest("hex");

test("there is all that a release has", () => {
  expect(readdirSync(again).sort()).toEqual([...PLATFORMS.map(archiveName), ...OTHERS].sort());
});

test("building twice gives the same bytes", () => {
  for (const name of readdirSync(again)) expect([name, sha256(join(packages, name))]).toEqual([name, sha256(join(again, name))]);
});

test("SHA256SUMS has each archive's sum, as sha256sum writes it", () => {
  const lines = PLATFORMS.map((platform) => `${sha256(join(packages, archiveName(platform)))}  ${archiveName(platform)}\n`);
  expect(readFileSync(join(packages, "SHA256SUMS"), "utf8")).toBe(lines.join(""));
});

test.each(PLATFORMS)("%s: one executable and the licences, under 52 MB", (platform) => {
  const path = join(packages, archiveName(platform));
  const files = readArchive(path);
  const executable = platform === "windows-amd64" ? "kubectl-kguardian.exe" : "kubectl-kguardian";
  expect(files.map(({ name, mode }) => [name, mode])).toEqual([
    [executable, 0o755],
    ["LICENSE", 0o644],
    ["THIRD-PARTY-LICENSES", 0o644],
  ]);
  expect(files[1].bytes.equals(LICENSE)).toBe(true);
  expect(files[2].bytes.toString()).toBe(readFileSync(join(packages, "THIRD-PARTY-LICENSES"), "utf8"));
  expect(readFileSync(path).length).toBeLessThan(52e6);
});
