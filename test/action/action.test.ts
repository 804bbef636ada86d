import { execFileSync, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { cpSync, existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { newFolder, program, ROOT, runAction } from "./runner.ts";

/* The action on pull requests: its scripts run as they are, with the program of this checkout, and a `gh` that keeps comments in a file. */

const BINARY = join(ROOT, "bin/kubectl-kguardian");
const SHOP = join(ROOT, "fixtures/shop");
const tools = newFolder("tools");

/**
 * A GitHub for `gh api`: comments in $COMMENTS, every call in $CALLS. The filter is given in jq; it is held to the one text that is
 * known here, and what that text does is a test of its own.
 */
const OWN = ".[] | select(.user.login == env.KGUARDIAN_AUTHOR and (.body | startswith(env.KGUARDIAN_MARKER))) | .id";
program(
  tools,
  "gh",
  `#!${process.execPath}
const { appendFileSync, existsSync, readFileSync, writeFileSync } = require("node:fs");
const args = process.argv.slice(2);
appendFileSync(process.env.CALLS, JSON.stringify(args) + "\\n");
if (process.env.GH_TOKEN !== "token") { console.error("HTTP 403: Resource not accessible by integration"); process.exit(1); }
const comments = existsSync(process.env.COMMENTS) ? JSON.parse(readFileSync(process.env.COMMENTS, "utf8")) : [];
const after = (flag) => args[args.indexOf(flag) + 1];
if (!args.includes("--method")) {
  if (after("--jq") !== ${JSON.stringify(OWN)}) throw new Error("another filter");
  const { KGUARDIAN_AUTHOR: author, KGUARDIAN_MARKER: marker } = process.env;
  for (const { id, user, body } of comments) if (user.login === author && body.startsWith(marker)) console.log(id);
} else {
  const body = readFileSync(after("-F").replace("body=@", ""), "utf8");
  if (body.length > 65536) { console.error("HTTP 422: Body is too long"); process.exit(1); }
  const id = Number(args.find((arg) => arg.startsWith("repos/")).split("/").at(-1));
  if (after("--method") === "PATCH") comments.find((comment) => comment.id === id).body = body;
  else comments.push({ id: 100 + comments.length, user: { login: "github-actions[bot]" }, body });
  writeFileSync(process.env.COMMENTS, JSON.stringify(comments));
}
`,
);

interface Comment {
  readonly id: number;
  readonly user: { readonly login: string };
  readonly body: string;
}

/** A repository with the shop's policies: the base has those with the mistakes, the head the mended ones. */
function repository(): { folder: string; base: string } {
  const folder = newFolder("repository");
  const git = (...args: string[]) =>
    execFileSync("git", ["-c", "user.name=t", "-c", "user.email=t@example.com", "-c", "init.defaultBranch=main", ...args], {
      cwd: folder,
      encoding: "utf8",
    }).trim();
  git("init", "--quiet");
  cpSync(join(SHOP, "cluster.yaml"), join(folder, "cluster.yaml"));
  cpSync(join(SHOP, "network-policies"), join(folder, "policies"), { recursive: true });
  git("add", ".");
  git("commit", "--quiet", "-m", "base");
  const base = git("rev-parse", "HEAD");
  cpSync(join(SHOP, "network-policies-fixed"), join(folder, "policies"), { recursive: true });
  git("commit", "--quiet", "-a", "-m", "head");
  return { folder, base };
}

/** A pull request of the repository itself, with what GitHub keeps of it. */
function pullRequest(cwd: string, more: Record<string, string> = {}) {
  const folder = newFolder("github");
  const [COMMENTS, CALLS] = [join(folder, "comments.json"), join(folder, "calls")];
  writeFileSync(CALLS, "");
  const github = {
    "event.pull_request.number": "7",
    "event.pull_request.head.repo.full_name": "shop/policies",
    token: "token",
    ...more,
  };
  return {
    situation: { cwd, github, env: { COMMENTS, CALLS, PATH: `${tools}:${process.env.PATH}` } },
    comments: (): Comment[] => (existsSync(COMMENTS) ? JSON.parse(readFileSync(COMMENTS, "utf8")) : []),
    calls: (): string[][] =>
      readFileSync(CALLS, "utf8")
        .split("\n")
        .filter(Boolean)
        .map((line) => JSON.parse(line)),
    write: (comments: Comment[]) => writeFileSync(COMMENTS, JSON.stringify(comments)),
  };
}

const simulate = {
  command: "simulate",
  binary: BINARY,
  policies: "fixtures/shop/network-policies",
  pcap: "fixtures/shop/monday.pcapng",
  snapshot: "fixtures/shop/cluster.yaml",
};

describe("a pull request", () => {
  test("diff: against its base, one comment that a second run updates, exit code kept or not", () => {
    const { folder, base } = repository();
    const { situation, comments, calls, write } = pullRequest(folder, { "event.pull_request.base.sha": base });
    // Somebody else's comment with our marker would be theirs to change afterwards.
    const marker = "<!-- kubectl-kguardian diff -->";
    write([{ id: 3, user: { login: "mallory" }, body: `${marker}\nall is well` }]);
    const inputs = { command: "diff", binary: BINARY, snapshot: "cluster.yaml", sarif: "true" };
    const first = runAction({ ...inputs, fail: "false" }, situation);
    expect([first.code, first.outputs["exit-code"]]).toEqual([0, "1"]);
    expect(first.log).toContain("CONNECTIVITY   2 gained (complete: nothing else changes)");
    expect(first.summary).toMatch(/^## Network policy difference\n/);
    expect(first.used.map(({ uses, with: { category } }) => [uses.split("@")[0], category])).toEqual([
      ["github/codeql-action/upload-sarif", "kguardian-diff"],
    ]);
    expect(JSON.parse(readFileSync(first.used[0].with.sarif_file, "utf8")).version).toBe("2.1.0");

    const second = runAction(inputs, situation);
    expect(second.code).toBe(1);
    const [theirs, ours, ...others] = comments();
    expect([theirs.body, others]).toEqual([`${marker}\nall is well`, []]);
    expect(ours.body.startsWith(`${marker}\n## Network policy difference\n`)).toBe(true);
    expect(ours.body).toContain("| gained | shop/deploy/web | shop/deploy/orders | 8080/TCP |");
    expect(calls().flatMap((args) => (args.includes("--method") ? [args[args.indexOf("--method") + 1]] : []))).toEqual(["POST", "PATCH"]);
  });

  test("diff: policies that the base does not have yet are all added", () => {
    const { folder } = repository();
    const root = execFileSync("git", ["hash-object", "-t", "tree", "-w", "--stdin"], { cwd: folder, input: "", encoding: "utf8" }).trim();
    const base = execFileSync("git", ["-c", "user.name=t", "-c", "user.email=t@example.com", "commit-tree", root, "-m", "empty"], {
      cwd: folder,
      encoding: "utf8",
    }).trim();
    const { outputs, summary } = runAction(
      { command: "diff", binary: BINARY, snapshot: "cluster.yaml", comment: "false", base },
      { cwd: folder },
    );
    expect([outputs["exit-code"], summary]).toEqual(["1", expect.stringContaining(": 8 added, 1 unchanged")]);
  });

  test("diff: a base that a shallow checkout lacks is fetched", () => {
    const { folder, base } = repository();
    const shallow = join(newFolder("shallow"), "checkout");
    execFileSync("git", ["clone", "--quiet", "--depth=1", `file://${folder}`, shallow]);
    // As GitHub's servers do; a plain repository serves tips alone.
    execFileSync("git", ["config", "uploadpack.allowAnySHA1InWant", "true"], { cwd: folder });
    const { outputs, log } = runAction(
      { command: "diff", binary: BINARY, snapshot: "cluster.yaml", comment: "false", fail: "false", base },
      { cwd: shallow },
    );
    expect([outputs["exit-code"], log]).toEqual(["1", expect.stringContaining("2 gained")]);
  });

  test("simulate, coverage and test: their reports, each its comment", () => {
    const { situation, comments } = pullRequest(ROOT);
    const bad = runAction({ ...simulate, fail: "false" }, situation);
    const coverage = runAction({ ...simulate, command: "coverage", args: "--min=95\n" }, situation);
    const tests = runAction({ command: "test", binary: BINARY, tests: "fixtures/policy-tests", args: "-R" }, situation);
    expect([bad, coverage, tests].map(({ code, outputs }) => [code, outputs["exit-code"]])).toEqual([
      [0, "1"],
      [1, "1"],
      [0, "0"],
    ]);
    expect(comments().map(({ body }) => body.split("\n").slice(0, 2))).toEqual([
      ["<!-- kubectl-kguardian simulate -->", "## Network policy simulation"],
      ["<!-- kubectl-kguardian coverage -->", "## Network policy coverage"],
      ["<!-- kubectl-kguardian test -->", "## Network policy tests"],
    ]);
  });

  test("what each command is given", () => {
    const folder = newFolder("given");
    program(folder, "fake", '#!/bin/sh\nfor each; do case $each in markdown=*|sarif=*|--report) ;; *) echo "$each" ;; esac; done\n');
    const given = (inputs: Record<string, string>) => {
      const { log } = runAction({ binary: join(folder, "fake"), comment: "false", ...inputs }, { cwd: folder });
      return /^::stop-commands::.*\n([\s\S]*)^::/m.exec(log)![1].trim().split("\n").join(" ");
    };
    expect(given({ command: "simulate", snapshot: "a b.yaml\nc.yaml\r\n\n", pcap: "x", flows: "y", args: "--cni=calico" })).toBe(
      "simulate --filename policies --snapshot a b.yaml --snapshot c.yaml --pcap x --flows y --cni=calico",
    );
    expect(given({ command: "coverage", policies: "p" })).toBe("coverage --filename p");
    expect(given({ command: "test", tests: "a.yaml\nb", snapshot: "c.yaml", pcap: "x" })).toBe("test a.yaml b --snapshot c.yaml");
    expect(given({ command: "test", tests: "a.yaml", policies: "policies" })).toBe("test a.yaml --filename policies");
  });

  test("from a fork, without a token's rights and without a pull request: the summary, and the exit code", () => {
    const inputs = { ...simulate, comment: "true" };
    const fork = pullRequest(ROOT, { "event.pull_request.head.repo.full_name": "mallory/policies" });
    const weak = pullRequest(ROOT, { token: "read-only" });
    const none = pullRequest(ROOT, { "event.pull_request.number": "" });
    for (const [{ situation, comments, calls }, reason, made] of [
      [fork, "a pull request from a fork may not write comments", 0],
      [weak, "could not be read (permission pull-requests: write?)", 1],
      [none, "there is no pull request to comment on", 0],
    ] as const) {
      const { code, log, summary } = runAction(inputs, situation);
      expect([code, comments(), calls().length]).toEqual([1, [], made]);
      expect(log).toMatch(/^::warning title=kguardian::.*; the report is in the summary of the job$/m);
      expect(log).toContain(reason);
      expect(summary).toContain("**6 connections would be dropped**");
    }
  });

  test("an error is one, whatever `fail` says, and is told in the summary", () => {
    const { situation, comments } = pullRequest(ROOT);
    const { code, summary, outputs } = runAction({ ...simulate, pcap: "no-such.pcap", fail: "false" }, situation);
    expect([code, outputs]).toMatchObject([2, { "exit-code": "2", sarif: "" }]);
    expect(summary).toContain("could not answer (exit code 2)\n\n    error: no-such.pcap: ");
    expect(comments()[0].body).toContain("could not answer");
  });
});

describe("what others write", () => {
  test("is never evaluated: inputs that would be code, and names that would be commands to the runner", () => {
    const folder = newFolder("hostile");
    const name = "a$(touch ran)`touch ran`;touch ran;'\"";
    mkdirSync(join(folder, name));
    for (const inputs of [
      { command: "simulate; touch ran" },
      { command: "simulate", policies: name, args: "--cni=$(touch ran)\n;touch ran", snapshot: name, pcap: name },
      { command: "diff", policies: name, base: "$(touch ran)", snapshot: name },
      { command: "diff", policies: "policies", base: "--upload-pack=touch ran" },
      { command: "diff", policies: "../..", base: "HEAD" },
      { command: "test", tests: name, policies: name },
    ])
      expect(runAction({ ...inputs, binary: BINARY, comment: "false" }, { cwd: folder }).code).toBeGreaterThan(1);
    expect(existsSync(join(folder, "ran"))).toBe(false);
  });

  test("lines of the program's output cannot be commands to the runner", () => {
    const folder = newFolder("commands");
    program(folder, "fake", "#!/bin/sh\necho '::add-mask::e'\necho '::error::forged'\n");
    const { log } = runAction({ command: "simulate", binary: join(folder, "fake"), comment: "false" }, { cwd: folder });
    const [, token, inside] = /^::stop-commands::([0-9a-f]{32})\n([\s\S]*)^::\1::$/m.exec(log)!;
    expect([token.length, inside]).toEqual([32, "::add-mask::e\n::error::forged\n"]);
  });

  test("the filter takes comments of the one author with the one marker", ({ skip }) => {
    const jq = ["jq", "gojq"].find((name) => spawnSync(name, ["--version"]).status === 0);
    if (jq === undefined) return skip("there is no jq to run the filter with");
    const input = JSON.stringify([
      { id: 1, user: { login: "mallory" }, body: "<!-- m -->\nx" },
      { id: 2, user: { login: "bot" }, body: "says <!-- m -->" },
      { id: 3, user: { login: "bot" }, body: "<!-- m -->\ny" },
    ]);
    const env = { PATH: process.env.PATH, KGUARDIAN_AUTHOR: "bot", KGUARDIAN_MARKER: "<!-- m -->" };
    expect(execFileSync(jq, [OWN], { input, env, encoding: "utf8" })).toBe("3\n");
  });
});

describe("a long report", () => {
  const cut = (text: string, bytes: number) => {
    const path = join(newFolder("cut"), "report.md");
    writeFileSync(path, text);
    return execFileSync("bash", [join(ROOT, "scripts/action/cut.sh"), String(bytes), path], { encoding: "utf8" });
  };

  test("is whole up to the limit, and cut at a line beyond it", () => {
    const lines = Array.from({ length: 2000 }, (_, i) => `| line ${i} ü |`).join("\n");
    expect(cut(`${lines}\n`, 65_000)).toBe(`${lines}\n`);
    const short = cut(`${lines}\n`, 5_000);
    expect(Buffer.byteLength(short)).toBeLessThanOrEqual(5_000);
    const [kept, note] = short.split("\n\n_… ");
    expect(lines.startsWith(`${kept}\n`)).toBe(true);
    expect(note).toBe("cut here: the whole report is in the output of the job._\n");
  });

  test("ends blocks of code and details that it cuts", () => {
    const body = Array.from({ length: 200 }, () => "+   port: 80 <details>").join("\n");
    const inside = cut(`# x\n<details><summary>s</summary>\n\n\`\`\`\`diff\n\`\`\`\n${body}\n\`\`\`\`\n\n</details>\n`, 1_000);
    expect(inside).toMatch(/80 <details>\n````\n\n<\/details>\n\n_… cut here/);
    const after = cut(`\`\`\`yaml\na\n\`\`\`\n${body}\n`, 1_000);
    expect(after).toMatch(/80 <details>\n\n_… cut here/);
  });
});

describe("installing", () => {
  const ARCHIVE = "kubectl-kguardian-v9.8.7-linux-amd64.tar.gz";

  /** A release whose files a `curl` on PATH serves. */
  function release(sum: (real: string) => string = (real) => real) {
    const folder = newFolder("release");
    program(join(folder, "content"), "kubectl-kguardian", "#!/bin/sh\necho the released program >&2\nexit 1\n");
    execFileSync("tar", ["-czf", join(folder, ARCHIVE), "-C", join(folder, "content"), "kubectl-kguardian"]);
    const real = createHash("sha256")
      .update(readFileSync(join(folder, ARCHIVE)))
      .digest("hex");
    writeFileSync(join(folder, "SHA256SUMS"), `${"0".repeat(64)}  kubectl-kguardian-v9.8.7-linux-arm64.tar.gz\n${sum(real)}  ${ARCHIVE}\n`);
    program(
      join(folder, "path"),
      "curl",
      `#!/bin/sh\nfor last; do :; done\necho "$last" >>"${folder}/asked"\nwhile [ "$1" != --output ]; do shift; done\nexec cp "${folder}/\${last##*/}" "$2"\n`,
    );
    const asked = () => readFileSync(join(folder, "asked"), "utf8").trim().split("\n");
    return { real, asked, situation: { cwd: folder, env: { PATH: `${folder}/path:${process.env.PATH}` } } };
  }
  const inputs = { command: "simulate", version: "v9.8.7", comment: "false" };

  test("the release's archive for this platform, held to its sum", () => {
    const { situation, asked, real } = release();
    expect(runAction(inputs, situation)).toMatchObject({ code: 1, log: expect.stringContaining("the released program") });
    expect(asked()).toEqual(
      ["SHA256SUMS", ARCHIVE].map((name) => `https://github.com/kguardian-dev/kguardian/releases/download/v9.8.7/${name}`),
    );
    expect(runAction({ ...inputs, sha256: real }, situation).code).toBe(1);
  });

  test("another sum, another platform, and versions that would be paths are refused before anything runs", () => {
    const wrong = release(() => "1".repeat(64));
    const right = release();
    const refused = [
      runAction(inputs, wrong.situation),
      runAction({ ...inputs, sha256: "2".repeat(64) }, right.situation),
      runAction(inputs, { ...right.situation, env: { ...right.situation.env, RUNNER_ARCH: "ARM" } }),
      runAction({ ...inputs, version: "../../evil/1.0.0" }, right.situation),
      runAction({ ...inputs, repository: "a/b/../../c" }, right.situation),
      runAction({ ...inputs, binary: "no-such-program" }, right.situation),
    ];
    expect(refused.map(({ code }) => code)).toEqual([2, 2, 2, 2, 2, 2]);
    expect(refused.map(({ log }) => /::error title=kguardian::(.*)/.exec(log)?.[1])).toEqual([
      `${ARCHIVE} has SHA-256 ${wrong.real} instead of ${"1".repeat(64)}`,
      `${ARCHIVE} has SHA-256 ${right.real} instead of ${"2".repeat(64)}`,
      "there is no package for ARM",
      "input version: not a version such as 0.1.0",
      "input repository: not OWNER/NAME",
      "input binary: no program of that path",
    ]);
    expect(refused.some(({ log }) => log.includes("the released program"))).toBe(false);
  });
});
