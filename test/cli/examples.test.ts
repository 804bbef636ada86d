import { spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { commandReference } from "../../src/cli/commandReference.ts";
import { EXAMPLES, MANIFEST } from "./commands.ts";
import { programEnvironment, run } from "./program.ts";

/* Help is true: every example runs (those that need a cluster in test/live/examples.live.test.ts), and docs/commands.md says the same. */

const ROOT = fileURLToPath(new URL("../../", import.meta.url));
const folder = mkdtempSync(join(tmpdir(), "kguardian-examples-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** `kubectl kguardian …` where there may be no kubectl: what kubectl does with it. */
const KUBECTL = 'kubectl() { shift; kubectl-kguardian "$@"; }; set -o pipefail\n';

/** Runs an example in a folder of its own that has the fixtures, as a user in a checkout. */
async function runExample(command: string): Promise<{ code: number | null; err: string }> {
  const work = mkdtempSync(join(folder, "work-"));
  symlinkSync(join(ROOT, "fixtures"), join(work, "fixtures"));
  for (const each of [".local/bin", ".config/fish/completions"]) mkdirSync(join(work, each), { recursive: true });
  const env = { ...programEnvironment(work), PATH: `${join(ROOT, "bin")}${delimiter}${process.env.PATH}` };
  return await new Promise((resolve) => {
    const child = spawn("bash", ["-c", KUBECTL + command], { cwd: work, env, stdio: ["ignore", "ignore", "pipe"] });
    let err = "";
    child.stderr.setEncoding("utf8").on("data", (text) => {
      err += text;
    });
    child.on("close", (code) => resolve({ code, err }));
  });
}

describe("examples", () => {
  const offline = EXAMPLES.filter(({ isLive }) => !isLive);
  const results = new Map<string, { code: number | null; err: string }>();
  // Two at a time, as there are processors: one after the other they take twice as long.
  beforeAll(async () => {
    const left = [...offline];
    const worker = async () => {
      for (let next = left.shift(); next !== undefined; next = left.shift()) results.set(next.command, await runExample(next.command));
    };
    await Promise.all([worker(), worker()]);
  }, 120_000);

  test.each(offline.map(({ command }) => command))("%s", (command) => {
    const { code, err } = results.get(command)!;
    expect(err).not.toMatch(/^error:/m);
    // 1 says that something was found, and examples do find something.
    expect([0, 1]).toContain(code);
  });

  test("every command has some", () => {
    for (const [id, { examples = [] }] of Object.entries(MANIFEST)) expect(examples.length, id).toBeGreaterThan(0);
    expect(offline.length).toBeGreaterThan(20);
  });
});

describe("help", () => {
  test.each(Object.values(MANIFEST).map(({ id, usage }) => [id, usage] as const))(
    "%s has a usage that begins with its name",
    (_, usage) => {
      const lines = [usage ?? ""].flat();
      for (const line of lines) expect(line).toMatch(/^<%= command\.id %> ./);
    },
  );

  test.each(["simulate", "gen networkpolicy", "completion"])("%s: what kubectl's users type is what its help says", (name) => {
    const { code, out } = run([...name.split(" "), "--help"]);
    expect(code).toBe(0);
    const usage = /^USAGE\n((?: .*\n)+)/m.exec(out)?.[1] ?? "";
    expect(usage.trimStart()).toMatch(new RegExp(`^\\$ kubectl kguardian ${name} `));
    expect(out).toContain(`$ kubectl kguardian ${name}`);
    expect(out).not.toMatch(/<%=|\u001b/);
  });

  test("the command reference is up to date (npm run docs)", () => {
    expect(readFileSync(join(ROOT, "docs/commands.md"), "utf8")).toBe(commandReference(MANIFEST));
  });
});
