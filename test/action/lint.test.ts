import { spawnSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { load } from "js-yaml";
import { describe, expect, test } from "vitest";

/* What cannot run here is linted: the workflows by actionlint, which checks the action's inputs with them, the scripts by shellcheck. */

const ROOT = fileURLToPath(new URL("../../", import.meta.url));
const TOOLS = process.env.KGUARDIAN_LINT_TOOLS ?? join(homedir(), ".cache/kguardian-lint-tools");
const WORKFLOWS = readdirSync(join(ROOT, ".github/workflows")).map((name) => `.github/workflows/${name}`);
const SCRIPTS = readdirSync(join(ROOT, "scripts/action")).map((name) => `scripts/action/${name}`);

/** Returns where a linter is, if it is. */
function tool(name: string): string | undefined {
  const folders = [TOOLS, ...(process.env.PATH ?? "").split(":")];
  return folders.map((folder) => join(folder, name)).find((path) => existsSync(path));
}

function lint(name: string, args: readonly string[]): string {
  const { stdout, stderr, status } = spawnSync(tool(name)!, args, { cwd: ROOT, encoding: "utf8" });
  return status === 0 ? "" : `exit code ${status}\n${stdout}${stderr}`;
}

const MISSING = "is not installed: sh scripts/install-lint-tools.sh";

test.skipIf(tool("actionlint") === undefined)(`actionlint has nothing to say of the workflows (skipped where it ${MISSING})`, () => {
  expect(lint("actionlint", [...(tool("shellcheck") === undefined ? [] : ["-shellcheck", tool("shellcheck")!]), ...WORKFLOWS])).toBe("");
});

test.skipIf(tool("shellcheck") === undefined)(`shellcheck has nothing to say of the scripts (skipped where it ${MISSING})`, () => {
  expect(lint("shellcheck", [...SCRIPTS, "scripts/install-lint-tools.sh", ".ci/run"])).toBe("");
});

describe("workflows and action", () => {
  interface Step {
    readonly uses?: string;
    readonly run?: string;
  }
  const steps = [...WORKFLOWS, "action.yml"].flatMap((path) => {
    const { jobs = {}, runs } = load(readFileSync(join(ROOT, path), "utf8")) as {
      jobs?: Record<string, { steps: Step[] }>;
      runs?: { steps: Step[] };
    };
    return [...Object.values(jobs).flatMap((job) => job.steps), ...(runs?.steps ?? [])].map((step) => ({ path, ...step }));
  });

  test("every action of others is pinned by its commit, with the version beside it", () => {
    const used = steps.flatMap(({ uses }) => (uses === undefined || uses.startsWith("./") ? [] : [uses]));
    expect(used.length).toBeGreaterThan(5);
    expect(used.filter((uses) => !/@[0-9a-f]{40}$/.test(uses))).toEqual([]);
    for (const path of [...WORKFLOWS, "action.yml"]) {
      const lines = readFileSync(join(ROOT, path), "utf8").split("\n");
      expect(lines.filter((line) => /uses: [^.]/.test(line) && !/@[0-9a-f]{40} # v\d+\.\d+\.\d+$/.test(line))).toEqual([]);
    }
  });

  test("no expression stands inside a script", () => {
    const runs = steps.flatMap(({ run }) => (run === undefined ? [] : [run]));
    expect(runs.length).toBeGreaterThan(8);
    expect(runs.filter((run) => run.includes("${{"))).toEqual([]);
  });

  test("each workflow says what its token may do, and only publishing may write contents", () => {
    const granted = WORKFLOWS.map((path) => {
      const { permissions, jobs } = load(readFileSync(join(ROOT, path), "utf8")) as {
        permissions?: object;
        jobs: Record<string, { permissions?: Record<string, string> }>;
      };
      expect(permissions).toBeDefined();
      return Object.entries(jobs).flatMap(([name, job]) => (job.permissions?.contents === "write" ? [`${path} ${name}`] : []));
    });
    expect(granted.flat()).toEqual([".github/workflows/release.yml publish"]);
  });
});
