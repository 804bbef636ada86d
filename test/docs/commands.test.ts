import { spawn } from "node:child_process";
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Parser } from "@oclif/core";
import { afterAll, describe, expect, test } from "vitest";
import { COMMANDS } from "../../bin/main.ts";
import { callsIn, commandsOf, type DocumentedCommand, isShown, PAGES, ROOT, trimmed } from "./page.ts";

/*
 * Every command of the documentation. UPDATE_DOCS=1 writes what commands print in place of what pages show (without `…`); read the
 * difference before it is committed.
 */

/** Pages whose commands another test runs, and holds to more. */
const ELSEWHERE: ReadonlyMap<string, string> = new Map([
  ["docs/policy-tests.md", "test/cli/policyTest.test.ts"],
  ["docs/commands.md", "test/cli/examples.test.ts"],
]);
/** Commands of fresh machines, which .ci/run runs word for word. */
const IN_CI = ["npm ci && npm run demo", "npm ci && npm test"];

const folder = mkdtempSync(join(tmpdir(), "kguardian-docs-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

// A kubectl that knows plugins alone; there need not be another.
mkdirSync(join(folder, "bin"));
const kubectl = join(folder, "bin/kubectl");
writeFileSync(kubectl, `#!/bin/sh\n[ "$1" = kguardian ] || exit 127\nshift\nexec '${ROOT}bin/kubectl-kguardian' "$@"\n`);
chmodSync(kubectl, 0o755);

interface Ran {
  readonly code: number | null;
  readonly lines: readonly string[];
}

/** Runs a command as a reader would, without any cluster: both outputs as a terminal shows them. */
function run(text: string, cwd: string): Promise<Ran> {
  return new Promise((resolve, reject) => {
    const child = spawn("sh", ["-c", `exec 2>&1\n${text}`], {
      cwd,
      stdio: ["ignore", "pipe", "inherit"],
      env: {
        PATH: `${join(folder, "bin")}:${process.env.PATH}`,
        HOME: folder,
        NO_COLOR: "1",
        KUBECONFIG: "",
        NODE_COMPILE_CACHE: join(tmpdir(), "kguardian-test-compiled"),
      },
    });
    const chunks: Buffer[] = [];
    child.stdout.on("data", (chunk) => chunks.push(chunk));
    child.on("error", reject);
    child.on("close", (code) => resolve({ code, lines: trimmed(Buffer.concat(chunks).toString("utf8").split("\n")) }));
  });
}

const known = new Map<string, Promise<Ran>>();

/** The same, once for all pages where a command reads fixtures alone and writes nothing. */
function runOnce(text: string, cwd: string): Promise<Ran> {
  const others = text.replaceAll(/( (-f|--snapshot|--pcap|--flows|--ignore))? fixtures\/[^\s;|&]*/g, "");
  if (/ gen |[|>;&]| (-f|--snapshot|--pcap|--flows|--ignore|--report|--file|policies)\b/.test(others)) return run(text, cwd);
  const running = known.get(text) ?? run(text, cwd);
  known.set(text, running);
  return running;
}

/** Says what is wrong with a command that ran, in one line; undefined: nothing. */
function problemOf({ kind, shown, text }: DocumentedCommand, { code, lines }: Ran): string | undefined {
  // 1 says that this program found something; of others it is a failure.
  const isRight = kind === "refused" ? code === 2 : code === 0 || (code === 1 && callsIn(text).length > 0);
  if (!isRight) return `exit code ${code}: ${lines.at(-1)}`;
  if (shown !== undefined && !isShown(lines, shown)) return `prints otherwise:\n${lines.join("\n")}\n-- shown is --\n${shown.join("\n")}`;
  return undefined;
}

/** A page of its own in an empty folder beside which the fixtures are, its commands in their order. */
async function runPage(page: string): Promise<string[]> {
  const cwd = join(folder, page.replaceAll(/\W/g, "-"));
  mkdirSync(cwd);
  symlinkSync(join(ROOT, "fixtures"), join(cwd, "fixtures"));
  const problems: string[] = [];
  let text = readFileSync(join(ROOT, page), "utf8");
  for (const command of commandsOf(page).filter(({ kind }) => kind !== "live")) {
    const ran = await runOnce(command.text, cwd);
    if (process.env.UPDATE_DOCS === "1" && command.shown !== undefined && !command.shown.some((line) => line.trim() === "…"))
      text = text.replace(`$ ${command.text}\n${command.shown.join("\n")}\n`, () => `$ ${command.text}\n${ran.lines.join("\n")}\n`);
    const problem = problemOf(command, ran);
    if (problem !== undefined) problems.push(`${page}:${command.line}: ${command.text}: ${problem}`);
  }
  if (process.env.UPDATE_DOCS === "1") writeFileSync(join(ROOT, page), text);
  return problems;
}

interface Parsed {
  readonly flags: NonNullable<Parameters<typeof Parser.parse>[1]["flags"]>;
  readonly args: NonNullable<Parameters<typeof Parser.parse>[1]["args"]>;
  readonly strict?: boolean;
}

/** Throws for a command that does not exist, and for flags and arguments that it would refuse. */
async function parse(words: readonly string[]): Promise<void> {
  const names = Object.keys(COMMANDS) as (keyof typeof COMMANDS)[];
  const aliases: Readonly<Record<string, string>> = { "gen netpol": "gen networkpolicy" };
  const first = words.slice(0, 2).join(" ");
  const typed = aliases[first] ?? first;
  const name = names.find((each) => each.replace(":", " ") === typed) ?? names.find((each) => each === words[0]);
  if (name === undefined) throw new Error(`no command ${typed}`);
  const { flags, args = {}, strict = true } = (await COMMANDS[name]()).default as unknown as Parsed;
  await Parser.parse(words.slice(name.includes(":") ? 2 : 1), { flags, args, strict });
}

const own = PAGES.filter((page) => !ELSEWHERE.has(page));
const live = own.flatMap((page) =>
  commandsOf(page).filter(({ kind, text }) => kind === "live" && !IN_CI.some((each) => text.startsWith(each))),
);

describe("commands that run anywhere", () => {
  test.concurrent.each(own)(
    "%s",
    async (page) => {
      expect(await runPage(page)).toEqual([]);
    },
    // A page starts the program twenty times, beside whatever else runs on the machine.
    300_000,
  );

  test("there are many, and none hides in a block that is not fenced", () => {
    const runs = own.flatMap((page) => commandsOf(page).filter(({ kind }) => kind !== "live"));
    expect(runs.filter(({ text }) => callsIn(text).length > 0).length).toBeGreaterThan(45);
    expect(runs.filter(({ shown }) => shown !== undefined).length).toBeGreaterThan(15);
    const hidden = PAGES.flatMap((page) =>
      readFileSync(join(ROOT, page), "utf8")
        .split("\n")
        .filter((line) => /^\s+(\$ )?kubectl kguardian /.test(line)),
    );
    expect(hidden).toEqual([]);
  });

  test("pages that another test runs are named there", () => {
    for (const [page, path] of ELSEWHERE) if (PAGES.includes(page)) expect(readFileSync(join(ROOT, path), "utf8")).toContain(`"${page}"`);
    const ci = readFileSync(join(ROOT, ".ci/run"), "utf8");
    expect(IN_CI.map((command) => ci.includes(command) || ci.includes(command.replace("npm ci && npm run ", "npm run --silent ")))).toEqual(
      [true, true],
    );
  });
});

describe("commands that need a cluster, a network or root", () => {
  test("are counted, and each call of this program has commands, flags and values that it takes", async () => {
    const calls = live.flatMap(({ page, line, text }) => callsIn(text).map((words) => ({ place: `${page}:${line}`, words })));
    expect(live.length).toBeGreaterThan(25);
    expect(calls.length).toBeGreaterThan(15);
    const refused: string[] = [];
    for (const { place, words } of calls)
      await parse(words).catch((error: Error) => refused.push(`${place}: ${words.join(" ")}: ${error.message.split("\n")[0]}`));
    expect(refused).toEqual([]);
  });

  test("are whole for a shell", async () => {
    const script = join(folder, "live.sh");
    writeFileSync(script, live.map(({ text }) => text).join("\n"));
    expect(await run(`sh -n ${script}`, folder)).toEqual({ code: 0, lines: [] });
  });

  test("a call that would be refused is found", async () => {
    for (const words of [
      ["simulate", "--pcpa", "x"],
      ["smulate"],
      ["simulate", "--cni", "none"],
      ["simulate", "stray"],
      ["gen", "nothing"],
      ["diff"],
    ])
      await expect(parse(words), words.join(" ")).rejects.toThrow();
    await parse(["gen", "netpol", "deploy/web", "-n", "shop"]);
    expect(callsIn("tar -c . | kubectl kguardian simulate --flows - \\\n  -f 'a b' > out; kubectl kguardian version # last")).toEqual([
      ["simulate", "--flows", "-", "-f", "a b"],
      ["version"],
    ]);
  });
});

test("shown output is held to whole lines, with lines left out where it says so", () => {
  const lines = ["a", "b", "", "c", "d"];
  const cases: [string[], boolean][] = [
    [["a", "b", "", "c", "d"], true],
    [["a", "b", "", "c"], false],
    [["a", "…", "d"], true],
    [["…", "c", "…"], true],
    [["a", "…"], true],
    [["a", "…", "c"], false],
    [["b", "…"], false],
    [["a", "…", "c", "…", "b"], false],
    [["…", "b", "…", "c", "d"], true],
    [["…", "a c", "…"], false],
  ];
  expect(cases.map(([shown]) => isShown(lines, shown))).toEqual(cases.map(([, expected]) => expected));
});

test("every page is in the index", () => {
  const index = readFileSync(join(ROOT, "docs/README.md"), "utf8");
  const names = PAGES.filter((page) => page.startsWith("docs/") && page !== "docs/README.md").map((page) => page.slice("docs/".length));
  expect(names.filter((name) => !index.includes(`](${name})`))).toEqual([]);
});

test("every link between pages leads to a file, and to a heading", () => {
  const slug = (heading: string) =>
    heading
      .toLowerCase()
      .replace(/[^\p{L}\p{N}\s_-]/gu, "")
      .trim()
      .replaceAll(" ", "-");
  const headings = (path: string) =>
    readFileSync(path, "utf8")
      .split("\n")
      .filter((line) => /^#+ /.test(line))
      .map((line) => slug(line.replace(/^#+ /, "")));
  const broken: string[] = [];
  for (const page of PAGES) {
    const text = readFileSync(join(ROOT, page), "utf8").replace(/^```[\s\S]*?^```$/gm, "");
    for (const [, target] of text.matchAll(/\]\(([^)\s]+)\)/g)) {
      if (/^https?:/.test(target)) continue;
      const [file, fragment] = target.split("#");
      const path = file === "" ? join(ROOT, page) : join(ROOT, page, "..", file);
      try {
        if (fragment === undefined) readFileSync(path);
        else if (!headings(path).includes(fragment)) broken.push(`${page}: ${target}`);
      } catch {
        broken.push(`${page}: ${target}`);
      }
    }
  }
  expect(broken).toEqual([]);
});
