import { spawnSync } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, symlinkSync } from "node:fs";
import { homedir, tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, inject, test } from "vitest";
import { archiveName, type Platform, ROOT, VERSION } from "./packages.ts";

/*
 * The packaged program of this machine's platform, with nothing around it: no Node, no variables, an empty folder.
 */

const packages = inject("packages");
const PLATFORM: Platform = process.arch === "arm64" ? "linux-arm64" : "linux-amd64";
const KUBECTL = join(process.env.KGUARDIAN_LIVE_CACHE ?? join(homedir(), ".cache/live-cluster"), "kubectl");
const SHOP = join(ROOT, "fixtures/shop");
const SIMULATE = ["simulate", "--pcap", `${SHOP}/monday.pcapng`, "--snapshot", `${SHOP}/cluster.yaml`, "-f", `${SHOP}/network-policies`];

const folder = mkdtempSync(join(tmpdir(), "kguardian-package-test-"));
const program = join(folder, "unpacked/kubectl-kguardian");
const work = join(folder, "work");
beforeAll(() => {
  mkdirSync(join(folder, "unpacked"));
  mkdirSync(work);
  const { status, stderr } = spawnSync("tar", ["-xzf", join(packages, archiveName(PLATFORM)), "-C", join(folder, "unpacked")], {
    encoding: "utf8",
  });
  expect([status, stderr]).toEqual([0, ""]);
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function run(command: string, args: readonly string[], environment: Record<string, string> = {}) {
  const { status, stdout, stderr } = spawnSync(command, args, { cwd: work, env: environment, encoding: "utf8" });
  return { status, stdout, stderr };
}

const { node } = JSON.parse(readFileSync(join(ROOT, "scripts/package/platforms.json"), "utf8")) as { node: string };
const TOLD = `kubectl-kguardian ${VERSION} (node ${node}, linux/${process.arch})\n`;

test("runs with nothing around it", () => {
  expect(run(program, ["version"])).toEqual({ status: 0, stdout: TOLD, stderr: "" });
  const help = run(program, ["simulate", "--help"]);
  expect(help).toMatchObject({ status: 0, stderr: "" });
  expect(help.stdout).toContain("kubectl kguardian simulate");
});

test("says the same as the checkout's", () => {
  const checkout = join(ROOT, "bin/kubectl-kguardian");
  const path = { PATH: process.env.PATH ?? "" };
  for (const [code, ...args] of [
    [1, ...SIMULATE],
    [1, ...SIMULATE, "-o", "json"],
    [0, "matrix", "--snapshot", `${SHOP}/cluster.yaml`, "-o", "csv"],
    [0, "gen", "networkpolicy", "--all", "-n", "shop", ...SIMULATE.slice(1, 5), "--output-dir="],
    [2, "simulate", "--no-such-flag"],
    [2, "frobnicate"],
  ] as [number, ...string[]][]) {
    const packaged = run(program, args);
    expect(packaged.status).toBe(code);
    expect(packaged).toEqual(run(checkout, args, path));
  }
});

test("what is meant for Node is not for it", () => {
  const environment = { NODE_OPTIONS: "--require /nowhere.js --max-old-space-size=1", NODE_PATH: "/nowhere" };
  expect(run(program, ["version"], environment)).toEqual({ status: 0, stdout: TOLD, stderr: "" });
  // Options of Node are unknown flags of the program's.
  expect(run(program, ["--eval", "console.log(1)"]).status).toBe(2);
  expect(run(program, ["version", "--inspect"]).status).toBe(2);
});

test("an error is one line, and a pipe that is closed is none", () => {
  const failed = run(program, ["simulate", "--pcap", "missing.pcap", "--snapshot", `${SHOP}/cluster.yaml`]);
  expect(failed).toMatchObject({ status: 2, stdout: "" });
  expect(failed.stderr).toMatch(/^error: [^\n]*missing\.pcap[^\n]*\n$/);
  const piped = run("/bin/sh", ["-c", '"$0" simulate --help | head -n 1; echo done', program], { PATH: "/usr/bin:/bin" });
  expect(piped).toMatchObject({ status: 0, stderr: "", stdout: expect.stringMatching(/\ndone\n$/) });
});

describe("kubectl", () => {
  const binaries = join(folder, "bin");
  beforeAll(() => {
    if (statSync(KUBECTL, { throwIfNoEntry: false }) === undefined) throw new Error(`no ${KUBECTL}: run scripts/build-live-cluster.sh`);
    mkdirSync(binaries);
    symlinkSync(KUBECTL, join(binaries, "kubectl"));
    cpSync(program, join(binaries, "kubectl-kguardian"));
  });

  test("finds it on a PATH with nothing else, and runs it", () => {
    const kubectl = (...args: string[]) => run(join(binaries, "kubectl"), args, { PATH: binaries });
    expect(kubectl("plugin", "list").stdout).toContain(`${binaries}/kubectl-kguardian`);
    expect(kubectl("kguardian", "version")).toEqual({ status: 0, stdout: TOLD, stderr: "" });
    const simulated = kubectl("kguardian", ...SIMULATE);
    expect(simulated).toMatchObject({ status: 1, stderr: "" });
    expect(simulated.stdout).toMatch(/^WOULD DROP {3}6 connections, 2 causes$/m);
  });
});
