import { spawn, spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { narrowed } from "../../src/report/text.ts";
import { programEnvironment, run, SHOP } from "./program.ts";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));
const SIMULATE = ["simulate", "--pcap", `${SHOP}/monday.pcapng`, "--snapshot", `${SHOP}/cluster.yaml`, "-f", `${SHOP}/network-policies`];
const ESCAPE = "\u001b";

/** Runs the program on a terminal of so many columns; returns what it shows. */
function onTerminal(args: readonly string[], columns: number, environment: Record<string, string> = {}): string {
  const command = `stty cols ${columns}; exec bin/kubectl-kguardian ${args.join(" ")}`;
  const { stdout } = spawnSync("script", ["-qec", command, "/dev/null"], {
    cwd: ROOT,
    encoding: "utf8",
    input: "",
    env: { ...programEnvironment("/nonexistent"), NO_COLOR: "", TERM: "xterm", ...environment },
  });
  return stdout.replaceAll("\r\n", "\n");
}

describe("--color", () => {
  test("in a pipe: only where it is asked for, whatever NO_COLOR says", () => {
    expect(run(SIMULATE).out).not.toContain(ESCAPE);
    expect(run([...SIMULATE, "--color", "auto"], "", { NO_COLOR: "", FORCE_COLOR: "1" }).out).not.toContain(ESCAPE);
    const { out } = run([...SIMULATE, "--color=always"]);
    expect(out).toContain(`${ESCAPE}[31m`);
    expect(run([...SIMULATE, "-o", "json", "--color=always"]).out).not.toContain(ESCAPE);
    expect(run(SIMULATE, "", { KGUARDIAN_COLOR: "always" }).out).toBe(out);
    expect(run([...SIMULATE, "--color=sometimes"])).toMatchObject({ code: 2, out: "" });
  });

  describe.skipIf(!existsSync("/usr/bin/script"))("on a terminal", () => {
    test.each<[string, string[], Record<string, string>, boolean]>([
      ["as it is", [], {}, true],
      ["NO_COLOR", [], { NO_COLOR: "1" }, false],
      ["TERM=dumb", [], { TERM: "dumb" }, false],
      ["--color never", ["--color", "never"], {}, false],
      ["--color auto and TERM=dumb", ["--color", "auto"], { TERM: "dumb" }, false],
      ["--color always and NO_COLOR", ["--color", "always"], { NO_COLOR: "1" }, true],
    ])("%s", (_, flags, environment, isColoured) => {
      expect(onTerminal([...SIMULATE, ...flags], 200, environment).includes(ESCAPE)).toBe(isColoured);
    });

    test.each([{ NO_COLOR: "1" }, { TERM: "dumb" }])("help with %j has no colours either", (environment) => {
      expect(onTerminal(["--help"], 80, environment)).not.toContain(ESCAPE);
    });

    test("a narrow one shows the same words, in lines that fit where the last column has room", () => {
      const [wide, narrow] = [400, 112].map((columns) => onTerminal(SIMULATE, columns, { NO_COLOR: "1" }));
      expect(narrow).not.toBe(wide);
      expect(narrow.split(/\s+/)).toEqual(wide.split(/\s+/));
      const unknown = narrow.split("\n").filter((line) => /10\.42\.2\.99|which rules apply|is open/.test(line));
      expect(unknown.length).toBeGreaterThan(1);
      for (const line of unknown) expect(line.length).toBeLessThanOrEqual(112);
      // In a pipe nothing is folded, however narrow the terminal is said to be.
      expect(run(SIMULATE, "", { COLUMNS: "40" }).out).toBe(run(SIMULATE).out);
    });
  });
});

describe("folding", () => {
  test("the last column goes on below itself", () => {
    expect(narrowed("  A   B      WHY\n  1   long   one two three four five six", 33)).toBe(
      "  A   B      WHY\n  1   long   one two three four\n             five six",
    );
    expect(narrowed(`${ESCAPE}[32m  1   long   one two three four five six${ESCAPE}[39m`, 33)).toBe(
      `${ESCAPE}[32m  1   long   one two three four\n             five six${ESCAPE}[39m`,
    );
  });

  test("no word is lost or cut, whatever the width", () => {
    const cell = fc.stringMatching(/^[a-z()/.:-]{1,12}( [a-z()/.:-]{1,12}){0,12}$/);
    fc.assert(
      fc.property(fc.array(fc.array(cell, { minLength: 1, maxLength: 5 })), fc.integer({ min: 1, max: 200 }), (rows, width) => {
        const text = rows.map((cells) => cells.join("   ")).join("\n");
        const folded = narrowed(text, width);
        expect(folded.split(/\s+/)).toEqual(text.split(/\s+/));
        if (text.split("\n").every((line) => line.length <= width)) expect(folded).toBe(text);
      }),
    );
  });
});

test("what a pipe holds is no argument", async () => {
  // oclif would take the word for the name of a workload, and refuse it beside -A.
  const child = spawn("bin/kubectl-kguardian", ["gen", "netpol", "-A", ...SIMULATE.slice(1, 5), "--output-dir", ""], {
    cwd: ROOT,
    env: programEnvironment("/nonexistent"),
    stdio: ["pipe", "ignore", "pipe"],
  });
  child.stdin.on("error", () => {});
  child.stdin.end("orders\n");
  let err = "";
  child.stderr.setEncoding("utf8").on("data", (text) => {
    err += text;
  });
  const code = await new Promise((resolve) => child.on("close", resolve));
  expect({ code, err }).toEqual({ code: 0, err: expect.not.stringContaining("error") });
});

describe("the network", () => {
  const isPermitted = spawnSync("unshare", ["-rn", "true"]).status === 0;
  if (!isPermitted) console.warn("unshare -rn is not permitted here: offline commands are not run without a network");

  test.skipIf(!isPermitted).each<[string, string[]]>([
    ["simulate", SIMULATE],
    ["matrix", ["matrix", "--snapshot", `${SHOP}/cluster.yaml`]],
    ["diff", ["diff", `${SHOP}/network-policies`, `${SHOP}/network-policies-fixed`, "--snapshot", `${SHOP}/cluster.yaml`]],
    ["explain", ["explain", "shop/deploy/web", "shop/svc/orders", "--snapshot", `${SHOP}/cluster.yaml`]],
    ["gen", ["gen", "netpol", "-A", ...SIMULATE.slice(1, 5), "--output-dir", ""]],
    ["version", ["version"]],
    ["completion", ["__complete", "gen", "netpol", "--snapshot", `${SHOP}/cluster.yaml`, "-n", "shop", "deploy/"]],
  ])("%s asks it for nothing, and misses nothing without it", (_, args) => {
    const started = performance.now();
    // No interface is up in there, not even loopback: whatever is dialled or resolved fails.
    const { status, stdout, stderr } = spawnSync("unshare", ["-rn", join(ROOT, "bin/kubectl-kguardian"), ...args], {
      cwd: ROOT,
      encoding: "utf8",
      env: programEnvironment("/nonexistent"),
    });
    const without = performance.now() - started;
    const usual = run(args);
    expect({ code: status, out: stdout, err: stderr }).toEqual(usual);
    expect(stdout).not.toBe("");
    // A name that is looked up, or a connection that is tried, would wait for seconds.
    expect(without).toBeLessThan(performance.now() - started - without + 3000);
  });
});
