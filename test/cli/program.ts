import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll } from "vitest";

export const ROOT = fileURLToPath(new URL("../../", import.meta.url));
/** The program under test: the checkout's, or a packaged one that KGUARDIAN_PROGRAM names. */
export const PROGRAM = process.env.KGUARDIAN_PROGRAM ?? join(ROOT, "bin/kubectl-kguardian");
export const SHOP = join(ROOT, "fixtures/shop");
const CACHE = join(tmpdir(), "kguardian-test-compiled");
const folder = mkdtempSync(join(tmpdir(), "kguardian-cli-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

export interface Run {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

/** What a run of the program gets: no cluster, broker and defaults of whoever runs the tests. */
export function programEnvironment(home: string): NodeJS.ProcessEnv {
  const others = Object.entries(process.env).filter(([name]) => !/^(?:KGUARDIAN|KUBE_GUARDIAN|XDG)_/.test(name));
  // Hundreds of runs compile the same program: V8 keeps what it compiled.
  return { ...Object.fromEntries(others), NODE_COMPILE_CACHE: CACHE, NO_COLOR: "1", HOME: home, KUBECONFIG: "" };
}

/** Runs the program as a user would, from the checkout's root. */
export function run(args: readonly string[], input: string | Buffer = "", environment: Record<string, string> = {}): Run {
  const { status, stdout, stderr } = spawnSync(PROGRAM, args, {
    cwd: ROOT,
    input,
    encoding: "utf8",
    maxBuffer: 1 << 28,
    env: { ...programEnvironment(folder), ...environment },
  });
  return { code: status, out: stdout, err: stderr };
}

/** Writes a file for a case; returns its path. */
export function file(name: string, text: string | Buffer): string {
  const path = join(folder, name);
  writeFileSync(path, text);
  return path;
}

/** Flags of a run that works. */
export const sound = ["--pcap", `${SHOP}/monday.pcapng`, "--snapshot", `${SHOP}/cluster.yaml`];
