import { spawnSync } from "node:child_process";
import { existsSync, lstatSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, describe, expect, test } from "vitest";
import { installShim, SHIM } from "../../../src/cli/completion/install.ts";
import { programEnvironment, run } from "../program.ts";

/* Real shells load the scripts and complete; zsh and fish where they are installed. */

const ROOT = fileURLToPath(new URL("../../../", import.meta.url));
const folder = mkdtempSync(join(tmpdir(), "kguardian-shells-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const environment = { ...programEnvironment(folder), PATH: `${join(ROOT, "bin")}${delimiter}${process.env.PATH}`, TERM: "dumb" };
const CLUSTER = "fixtures/shop/cluster.yaml";

/** Lines as they are typed, and all that is offered at their ends. */
const CASES: [string, string[]][] = [
  ["kubectl-kguardian sim", ["simulate"]],
  ["kubectl-kguardian simulate -o ", ["json", "name", "table", "wide", "yaml"]],
  ["kubectl-kguardian simulate --output=j", ["json"]],
  ["kubectl-kguardian simulate --snapshot fixtures/shop/clu", [CLUSTER]],
  ["kubectl-kguardian simulate --snapshot=fixtures/shop/clu", [CLUSTER]],
  ["kubectl-kguardian simulate --report j", ["json=", "junit="]],
  ["kubectl-kguardian completion install fixt", ["fixtures"]],
  [`kubectl-kguardian gen netpol --snapshot ${CLUSTER} -n shop deploy/o`, ["deploy/orders"]],
  [`kubectl-kguardian gen netpol --snapshot "${CLUSTER}" -n shop deploy/o`, ["deploy/orders"]],
  ["kubectl-kguardian version --nothing=", []],
];

/** Runs a script; what it starts could take the rest of it for its input where it came that way. */
function shell(program: string, args: readonly string[], script: string): string {
  const { stdout, stderr } = spawnSync(program, [...args, "-c", script], {
    cwd: ROOT,
    env: environment,
    encoding: "utf8",
    timeout: 30_000,
  });
  expect(stderr).toBe("");
  return stdout;
}

/** Parts what was printed for each case, at lines that name it. */
function answers(text: string): string[][] {
  const parts = text.split(/^## .*\n/m).slice(1);
  return parts.map((part) =>
    part
      .split("\n")
      .flatMap((line) => line.trim().split("\t")[0] || [])
      .sort(),
  );
}

const quoted = (text: string) => `'${text.replaceAll("'", "'\\''")}'`;

describe("bash", () => {
  // What bash hands to a function: the line, and its words, parted at = and : as well (COMP_WORDBREAKS).
  const script = (lines: readonly string[]) =>
    [
      "source <(kubectl-kguardian completion bash)",
      ...lines.map((line) => {
        const words = line.split(/(=)|("[^"]*")| /).filter((word) => word !== undefined && word !== "");
        if (/[ =]$/.test(line)) words.push("");
        return `echo "## x"; COMP_LINE=${quoted(line)}; COMP_POINT=${line.length}; COMP_WORDS=(${words.map(quoted).join(" ")}); COMP_CWORD=${words.length - 1}; __kubectl_kguardian_complete; printf '%s\\n' "\${COMPREPLY[@]}"`;
      }),
    ].join("\n");

  test("offers what fits", () => {
    const lines = CASES.map(([line]) => line);
    expect(answers(shell("bash", ["--norc"], script(lines)))).toEqual(CASES.map(([, values]) => values));
  });

  test("a name with colons is completed behind the last of them, as readline replaces it", () => {
    const path = join(folder, "kubeconfig");
    const context = "arn:aws:eks:eu:1:cluster/b";
    writeFileSync(
      path,
      `apiVersion: v1\nkind: Config\ncurrent-context: "${context}"\nclusters: [{name: c, cluster: {server: "https://192.0.2.1"}}]\nusers: []\ncontexts: [{name: "${context}", context: {cluster: c}}]\n`,
    );
    const line = `kubectl-kguardian matrix --kubeconfig ${path} --context arn:aws:e`;
    const words = ["kubectl-kguardian", "matrix", "--kubeconfig", path, "--context", "arn", ":", "aws", ":", "e"];
    const text = `source <(kubectl-kguardian completion bash); COMP_LINE=${quoted(line)}; COMP_POINT=${line.length}; COMP_WORDS=(${words.map(quoted).join(" ")}); COMP_CWORD=9; __kubectl_kguardian_complete; printf '%s\\n' "\${COMPREPLY[@]}"`;
    expect(shell("bash", ["--norc"], text)).toBe("eks:eu:1:cluster/b\n");
  });

  test.skipIf(!existsSync("/usr/bin/script"))("on a terminal, the Tab key does it", async () => {
    const { spawn } = await import("node:child_process");
    const child = spawn("script", ["-qec", "bash --norc --noprofile -i", "/dev/null"], { cwd: ROOT, env: environment });
    let screen = "";
    child.stdout.setEncoding("utf8").on("data", (text) => {
      screen += text;
    });
    const seen = async (pattern: RegExp) => await expect.poll(() => screen, { timeout: 10_000 }).toMatch(pattern);
    // What was typed stands on the screen as well: only the shell can say READY4.
    child.stdin.write("source <(kubectl-kguardian completion bash); echo READY$((2 + 2))\n");
    await seen(/READY4/);
    child.stdin.write("kubectl-kguardian vers\t");
    await seen(/kubectl-kguardian version /);
    child.stdin.write("--outp\t");
    await seen(/--output /);
    child.stdin.write("te\t");
    await seen(/--output text /);
    child.stdin.write("\nexit\n");
    await seen(/kubectl-kguardian \d+\.\d+\.\d+ \(node/);
    child.kill();
  });
});

/** A shell that is not everywhere; CI installs both (.ci/run). */
const isThere = (program: string) => spawnSync(program, ["--version"]).status === 0;

describe.skipIf(!isThere("fish"))("fish", () => {
  test("offers what fits", () => {
    const ask = CASES.map(([line]) => `echo '## x'; complete -C ${quoted(line)}`);
    const text = shell("fish", ["--no-config"], ["kubectl-kguardian completion fish | source", ...ask].join("\n"));
    // fish wants the flag before a value, and says of folders that they are.
    const plain = answers(text).map((values) => values.map((value) => value.replace(/^--[a-z]+=/, "").replace(/\/$/, "")));
    expect(plain).toEqual(CASES.map(([, values]) => values));
  });
});

describe.skipIf(!isThere("zsh"))("zsh", () => {
  // zsh completes on a terminal only: its own module makes one.
  test.each([
    ["vers\t--outp\tjs\t", "version --output json"],
    ["simulate --snapshot=fixtures/shop/clu\t--output=js\t", `simulate --snapshot=${CLUSTER} --output=json`],
    [`gen netpol --snapshot ${CLUSTER} -n shop deploy/o\t`, `gen netpol --snapshot ${CLUSTER} -n shop deploy/orders`],
    ["completion install fixt\t", "completion install fixtures"],
  ])("%j", (typed, completed) => {
    const text = shell(
      "zsh",
      ["-f"],
      [
        "zmodload zsh/zpty || exit 1",
        "zpty z zsh -f -i",
        "until_seen() { local all= out; repeat 200; do if zpty -r -t z out; then all+=$out; [[ $all == *$1* ]] && break; else sleep 0.05; fi; done; print -rn -- $all; }",
        `zpty -w z 'PS1=; autoload -U compinit; compinit -u -D; source <(kubectl-kguardian completion zsh); kubectl-kguardian() { if [[ $1 == __complete ]]; then command kubectl-kguardian "$@"; else print -r "ARGS<$*>DONE$((4 + 3))"; fi }; print READY$((2 + 2))'`,
        "until_seen READY4 >/dev/null",
        `zpty -w z $'kubectl-kguardian ${typed.replaceAll("\t", "\\t")}'`,
        "until_seen DONE7",
        "zpty -d z",
      ].join("\n"),
    );
    expect(/ARGS<([^>]*)>DONE7/.exec(text)?.[1].trim()).toBe(completed);
  });
});

describe("completion install", () => {
  const install = (into: string, extra: Record<string, string> = {}) => run(["completion", "install", into], "", extra);
  const fresh = () => mkdtempSync(join(folder, "bin-"));

  test("writes the shim, shows it, and says where it does not help", () => {
    const into = fresh();
    const path = join(into, "kubectl_complete-kguardian");
    const { code, out, err } = install(into);
    expect({ code, text: readFileSync(path, "utf8"), mode: lstatSync(path).mode & 0o777 }).toEqual({ code: 0, text: SHIM, mode: 0o755 });
    expect(out).toContain(`${path} was written:\n  #!/bin/sh\n`);
    expect(err).toMatch(/^warning: .* is not on PATH: .*\n$/);
    const again = install(into, { PATH: `${process.env.PATH}${delimiter}${into}` });
    expect(again).toMatchObject({ code: 0, err: "" });
    expect(again.out).toContain("is there already");
  });

  test("the shim of a checkout is the same", () => {
    expect(readFileSync(join(ROOT, "bin/kubectl_complete-kguardian"), "utf8")).toBe(SHIM);
  });

  test("the shim finds the program beside it, else on PATH", () => {
    const [into, other] = [fresh(), fresh()];
    installShim(into);
    const ask = (path: string) =>
      spawnSync(join(into, "kubectl_complete-kguardian"), ["vers"], { env: { ...environment, PATH: path }, encoding: "utf8" }).stdout;
    expect(ask(`${join(ROOT, "bin")}${delimiter}${process.env.PATH}`)).toBe("version\tPrint the version.\n:4\n");
    symlinkSync(join(ROOT, "bin/kubectl-kguardian"), join(into, "kubectl-kguardian"));
    expect(ask(`${other}:/usr/bin:/bin`)).toBe("version\tPrint the version.\n:4\n");
  });

  test("an earlier one of ours is replaced, anything else is not", () => {
    const into = fresh();
    const path = join(into, "kubectl_complete-kguardian");
    writeFileSync(path, "# of an earlier version: kubectl kguardian completion install\n");
    expect(install(into).code).toBe(0);
    expect(readFileSync(path, "utf8")).toBe(SHIM);
    rmSync(path);
    const target = join(into, "theirs");
    writeFileSync(target, "theirs");
    symlinkSync(target, path);
    expect(install(into)).toMatchObject({ code: 2, out: "" });
    expect(readFileSync(target, "utf8")).toBe("theirs");
    rmSync(path);
    writeFileSync(path, "theirs");
    expect(install(into).err).toMatch(/^error: completion install: .* was not written by this program.*\n$/);
    expect(readFileSync(path, "utf8")).toBe("theirs");
  });

  test("a folder that is none is refused", () => {
    expect(install(join(folder, "nowhere"))).toMatchObject({
      code: 2,
      err: expect.stringMatching(/^error: completion install: .*nowhere: .*\n$/),
    });
    expect(install(join(ROOT, "README.md"))).toMatchObject({ code: 2, err: expect.stringMatching(/README\.md: no folder\n$/) });
    expect(run(["completion", "install"])).toMatchObject({
      code: 2,
      err: expect.stringMatching(/^error: completion install: name a folder.*\n$/),
    });
    expect(run(["completion", "bash", "x"]).code).toBe(2);
    expect(run(["completion", "tcsh"]).code).toBe(2);
  });

  test("Windows gets a command file", () => {
    const into = fresh();
    mkdirSync(into, { recursive: true });
    const { path, text } = installShim(into, "win32");
    expect(path).toMatch(/kubectl_complete-kguardian\.cmd$/);
    expect(text).toMatch(/\r\n@kubectl-kguardian __complete %\*\r\n$/);
  });
});
