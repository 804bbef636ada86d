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

describe("the page on pull requests", () => {
  const page = readFileSync(join(ROOT, "docs/pull-request.md"), "utf8");
  const { inputs, outputs } = load(readFileSync(join(ROOT, "action.yml"), "utf8")) as { inputs: object; outputs: object };

  test("names every input and output of the action, and no other", () => {
    const [, table] = /^\| input \| \|\n([\s\S]*?)\n\n/m.exec(page)!;
    const named = [...table.matchAll(/^\| ([^|]*) \|/gm)].flatMap(([, cell]) => [...cell.matchAll(/`([\w-]+)`/g)].map(([, name]) => name));
    expect(named.sort()).toEqual(Object.keys(inputs).sort());
    const [, sentence] = /^Outputs: (.*)\(/m.exec(page)!;
    expect([...sentence.matchAll(/`([\w-]+)`/g)].map(([, name]) => name)).toEqual(Object.keys(outputs));
  });

  test("has a workflow whose steps give inputs that there are", ({ skip }) => {
    const [, text] = /```yaml\n(name: policies\n[\s\S]*?)```/.exec(page)!;
    const { jobs } = load(text) as { jobs: { policies: { steps: { uses: string; with: object }[] } } };
    const own = jobs.policies.steps.filter(({ uses }) => uses.startsWith("kguardian-dev/kguardian@"));
    expect(own.length).toBe(2);
    expect(own.flatMap((step) => Object.keys(step.with)).filter((name) => !(name in inputs))).toEqual([]);
    if (tool("actionlint") === undefined) return skip(`actionlint ${MISSING}`);
    expect(spawnSync(tool("actionlint")!, ["-"], { input: text, encoding: "utf8" })).toMatchObject({ status: 0, stdout: "" });
  });
});
