import { spawnSync } from "node:child_process";
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { load } from "js-yaml";

/* Runs action.yml as a runner of GitHub does: its steps in order, with the environment that their expressions give. */

export const ROOT = fileURLToPath(new URL("../../", import.meta.url));

interface Step {
  readonly id?: string;
  readonly if?: string;
  readonly uses?: string;
  readonly run?: string;
  readonly with?: Record<string, string>;
  readonly env?: Record<string, string>;
}

const ACTION = load(readFileSync(join(ROOT, "action.yml"), "utf8")) as {
  inputs: Record<string, { default?: string; required?: boolean }>;
  outputs: Record<string, { value: string }>;
  runs: { steps: Step[] };
};

/** What the pull request and the machine are like. */
export interface Situation {
  /** Values of expressions that begin with `github.`. */
  readonly github?: Readonly<Record<string, string>>;
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd: string;
}

export interface ActionRun {
  /** 0, or the exit code of the step that failed. */
  readonly code: number;
  readonly log: string;
  readonly summary: string;
  readonly outputs: Readonly<Record<string, string>>;
  /** Inputs of the actions of others that would have run. */
  readonly used: readonly { readonly uses: string; readonly with: Readonly<Record<string, string>> }[];
}

/** Makes an empty folder that goes with the machine's temporary files. */
export function newFolder(name: string): string {
  return mkdtempSync(join(tmpdir(), `kguardian-${name}-`));
}

/** Writes a program of the name into a folder for PATH. */
export function program(folder: string, name: string, text: string): void {
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, name), text);
  chmodSync(join(folder, name), 0o755);
}

/** Runs the action. Throws for an input that it does not have and for an expression that is not known. */
export function runAction(given: Readonly<Record<string, string>>, { github = {}, env = {}, cwd }: Situation): ActionRun {
  for (const name of Object.keys(given)) if (!(name in ACTION.inputs)) throw new Error(`no input ${name}`);
  const temporary = newFolder("runner");
  const file = (name: string) => join(temporary, name);
  const values: Record<string, string> = {};
  for (const [name, value] of Object.entries(github)) values[`github.${name}`] = value;
  const evaluate = (text: string) => text.replace(/\$\{\{ *(.*?) *\}\}/g, (_, expression: string) => resolved(expression, values));
  for (const [name, { default: fallback = "" }] of Object.entries(ACTION.inputs))
    values[`inputs.${name}`] = given[name] ?? evaluate(String(fallback));

  const used: { uses: string; with: Record<string, string> }[] = [];
  let log = "";
  let code = 0;
  writeFileSync(file("summary"), "");
  for (const step of ACTION.runs.steps) {
    if (step.if !== undefined && !holds(step.if, values)) continue;
    if (step.uses !== undefined) {
      used.push({ uses: step.uses, with: mapValues(step.with ?? {}, evaluate) });
      continue;
    }
    writeFileSync(file("output"), "");
    const { status, stdout, stderr } = spawnSync("bash", ["--noprofile", "--norc", "-eo", "pipefail", "-c", step.run!], {
      cwd,
      encoding: "utf8",
      env: {
        PATH: process.env.PATH,
        HOME: temporary,
        NO_COLOR: "1",
        GITHUB_ACTION_PATH: ROOT,
        GITHUB_OUTPUT: file("output"),
        GITHUB_STEP_SUMMARY: file("summary"),
        GITHUB_REPOSITORY: "shop/policies",
        RUNNER_TEMP: temporary,
        RUNNER_OS: "Linux",
        RUNNER_ARCH: "X64",
        ...env,
        ...mapValues(step.env ?? {}, evaluate),
      },
    });
    log += stdout + stderr;
    for (const line of readFileSync(file("output"), "utf8").split("\n").filter(Boolean)) {
      const [name, ...rest] = line.split("=");
      values[`steps.${step.id}.outputs.${name}`] = rest.join("=");
    }
    if (status !== 0) {
      code = status ?? -1;
      break;
    }
  }
  const outputs = mapValues(Object.fromEntries(Object.entries(ACTION.outputs).map(([name, { value }]) => [name, value])), evaluate);
  return { code, log, summary: existsSync(file("summary")) ? readFileSync(file("summary"), "utf8") : "", outputs, used };
}

const mapValues = (record: Readonly<Record<string, string>>, change: (value: string) => string) =>
  Object.fromEntries(Object.entries(record).map(([name, value]) => [name, change(String(value))]));

/** The value of `a.b` or of `a.b || c.d`; what the situation does not have is empty, as in a workflow. */
function resolved(expression: string, values: Readonly<Record<string, string>>): string {
  for (const name of expression.split("||").map((part) => part.trim())) {
    if (!/^(inputs|github|steps)\.[\w.-]+$/.test(name)) throw new Error(`expression not known: ${expression}`);
    if (values[name]) return values[name];
  }
  return "";
}

/** Comparisons with `==` and `!=`, joined by `&&`. */
function holds(condition: string, values: Readonly<Record<string, string>>): boolean {
  return condition.split("&&").every((part) => {
    const [, name, operator, wanted] = /^ *([\w.-]+) (==|!=) '([^']*)' *$/.exec(part) ?? [];
    if (name === undefined) throw new Error(`condition not known: ${condition}`);
    return (resolved(name, values) === wanted) === (operator === "==");
  });
}
