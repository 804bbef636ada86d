import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, inject, test } from "vitest";
import { ARM64, readMachO, segmentFaults, signatureFaults, X86_64 } from "./machO.ts";
import { neededLibraries, type Platform, ROOT, readExecutable } from "./packages.ts";

/*
 * The executables of platforms that this machine cannot run, by what their formats say; each holds the same program.
 */

const packages = inject("packages");
const IDENTIFIER = "kubectl-kguardian";
/** The first bytes of what Node embeds (node_sea.cc: kMagic), little endian on all five platforms. */
const BLOB_MAGIC = 0x143da20;
const folder = mkdtempSync(join(tmpdir(), "kguardian-package-test-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** What is embedded, from where a Mach-O file says that it is. */
function embedded(file: Buffer): Buffer {
  const { offset, size } = readMachO(file).sections.find(({ segment }) => segment === "NODE_SEA")!;
  return file.subarray(offset, offset + size);
}

describe.each<[Platform, number]>([
  ["darwin-amd64", X86_64],
  ["darwin-arm64", ARM64],
])("%s", (platform, cpu) => {
  const file = readExecutable(packages, platform);

  test("is a Mach-O file for its processor, whole and signed", () => {
    expect(readMachO(file).cpu).toBe(cpu);
    expect(segmentFaults(file)).toEqual([]);
    expect(signatureFaults(file, IDENTIFIER)).toEqual([]);
  });

  test("is not one that was changed after it was signed", () => {
    const { offset } = readMachO(file).sections.find(({ segment }) => segment === "NODE_SEA")!;
    const changed = Buffer.from(file);
    changed[offset + 100] ^= 1;
    expect(signatureFaults(changed, IDENTIFIER)).toEqual([expect.stringMatching(`^page ${Math.floor((offset + 100) / 4096)} is `)]);
    expect(signatureFaults(file.subarray(0, -16), IDENTIFIER)).toEqual(["the signature is not the end of the file"]);
    expect(segmentFaults(file.subarray(0, -16))).toContain("__LINKEDIT lies outside of the file");
  });
});

test("a signature that is there already is replaced", async () => {
  const scripts = join(ROOT, "scripts/package");
  const { extractNode } = await import(join(scripts, "executable.mjs"));
  const { signAdHoc } = await import(join(scripts, "machO.mjs"));
  const { node, platforms } = JSON.parse(readFileSync(join(scripts, "platforms.json"), "utf8")) as {
    node: string;
    platforms: { name: string }[];
  };
  const path = extractNode(
    platforms.find(({ name }) => name === "darwin-arm64"),
    node,
    folder,
  );
  const original = readFileSync(path);
  const before = readMachO(original);
  expect(before.signature).toBeDefined();
  const signed: Buffer = signAdHoc(original, "another");
  expect(readMachO(signed).signature!.offset).toBe(before.signature!.offset);
  expect(segmentFaults(signed)).toEqual([]);
  expect(signatureFaults(signed, "another")).toEqual([]);
  // Twice is the same as once.
  expect(Buffer.compare(signAdHoc(signed, "another"), signed)).toBe(0);
});

test("the others are ELF and PE files for their processors", () => {
  // ELF: 64 bit, little endian, executable, e_machine (System V ABI: 62 x86-64, 183 AArch64).
  for (const [platform, machine, loader] of [
    ["linux-amd64", 62, "ld-linux-x86-64.so.2"],
    ["linux-arm64", 183, "ld-linux-aarch64.so.1"],
  ] as const) {
    const file = readExecutable(packages, platform);
    expect(file.toString("latin1", 0, 6)).toBe("\x7fELF\x02\x01");
    expect(file.readUInt16LE(18)).toBe(machine);
    // What docs/install.md and krew's caveats say that must be there; the rest is glibc.
    const glibc = [loader, "libc.so.6", "libdl.so.2", "libm.so.6", "libpthread.so.0"];
    expect(neededLibraries(file)).toEqual([...glibc, "libatomic.so.1", "libgcc_s.so.1", "libstdc++.so.6"].sort());
  }
  // PE: the header's place at 0x3c, IMAGE_FILE_MACHINE_AMD64, PE32+, console program.
  const file = readExecutable(packages, "windows-amd64");
  expect(file.toString("latin1", 0, 2)).toBe("MZ");
  const header = file.readUInt32LE(0x3c);
  expect(file.toString("latin1", header, header + 4)).toBe("PE\0\0");
  expect(file.readUInt16LE(header + 4)).toBe(0x8664);
  expect(file.readUInt16LE(header + 24)).toBe(0x20b);
  expect(file.readUInt16LE(header + 24 + 68)).toBe(3);
});

test("all hold the same program", () => {
  const program = embedded(readExecutable(packages, "darwin-arm64"));
  expect(program.readUInt32LE(0)).toBe(BLOB_MAGIC);
  expect(program.includes("WOULD DROP")).toBe(true);
  expect(program.length).toBeGreaterThan(2_000_000);
  for (const platform of ["linux-amd64", "linux-arm64", "windows-amd64"] as const)
    expect(readExecutable(packages, platform).includes(program)).toBe(true);
  expect(Buffer.compare(embedded(readExecutable(packages, "darwin-amd64")), program)).toBe(0);
  // Neither where it was built nor by whom.
  expect(program.includes(ROOT)).toBe(false);
  expect(program.includes(tmpdir())).toBe(false);
});
