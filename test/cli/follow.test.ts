import { type ChildProcess, spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { file, PROGRAM, run } from "./program.ts";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));
const LOG = readFileSync(`${ROOT}fixtures/flow-logs/hubble/shop.jsonl`, "utf8").trimEnd().split("\n");
const FOLLOW = ["simulate", "--offline", "--flows", "-", "-f", "fixtures/shop/network-policies", "--follow"];
/** Wait for the program that begins, judges once a second, and may share the machine. */
const PATIENCE = 30_000;

/** A run whose input is written bit by bit. */
class Following {
  readonly child: ChildProcess;
  readonly ended: Promise<number | null>;
  out = "";
  err = "";

  constructor(args: readonly string[]) {
    const env = { ...process.env, NO_COLOR: "1", KUBECONFIG: "" };
    this.child = spawn(PROGRAM, args, { cwd: ROOT, env });
    this.child.stdout?.on("data", (chunk) => (this.out += chunk));
    this.child.stderr?.on("data", (chunk) => (this.err += chunk));
    // The reader may be gone before the writer.
    this.child.stdin?.on("error", () => {});
    this.ended = new Promise((resolve) => this.child.on("close", resolve));
  }

  write(lines: readonly string[]): void {
    this.child.stdin?.write(`${lines.join("\n")}\n`);
  }

  async until(isThere: () => boolean): Promise<void> {
    const begun = performance.now();
    while (!isThere()) {
      if (performance.now() - begun > PATIENCE) throw new Error(`nothing came: ${this.out} ${this.err}`);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }
}

const told = (text: string) => text.split("\n").filter((line) => / {3}WOULD DROP {3}/.test(line));

describe("--follow", () => {
  test("tells each denied connection when it appears, once, and ends with the report on Ctrl-C", { timeout: PATIENCE * 2 }, async () => {
    const following = new Following(FOLLOW);
    following.write(LOG.slice(0, 200));
    await following.until(() => told(following.out).length > 0);
    const before = told(following.out).length;
    expect(following.out).not.toContain("permitted");
    following.write(LOG.slice(200));
    await following.until(() => told(following.out).length > before);
    following.child.kill("SIGINT");
    expect(await following.ended).toBe(1);
    const lines = told(following.out);
    expect(new Set(lines).size).toBe(lines.length);
    expect(
      lines.some((line) => line.includes("shop/deploy/web -> shop/deploy/orders   8080/TCP   shop/orders ingress (orders.yaml:1)")),
    ).toBe(true);
    // The report of the whole stream is what a simulation of the file says.
    const whole = run([
      "simulate",
      "--offline",
      "--flows",
      file("shop.jsonl", `${LOG.join("\n")}\n`),
      "-f",
      "fixtures/shop/network-policies",
    ]);
    expect(following.out.slice(following.out.indexOf("40 connections"))).toBe(whole.out);
    expect(whole.code).toBe(1);
  });

  test("with -o json the lines are on standard error, and standard output is one object; the end of the input ends it", async () => {
    const { code, out, err } = run([...FOLLOW, "-o", "json"], `${LOG.join("\n")}\n`);
    expect(code).toBe(1);
    expect(JSON.parse(out).summary.wouldDrop).toBeGreaterThan(0);
    expect(told(err).length).toBeGreaterThan(0);
  });

  test.each<[string, string[], string, RegExp]>([
    ["two logs", [...FOLLOW, "--flows", "fixtures/flow-logs/hubble/shop.jsonl"], "", /--follow: exactly one --flows is followed/],
    ["a window", [...FOLLOW, "--since", "5m"], "", /--follow: --since and --until bound what was recorded/],
    ["no format", FOLLOW, "hello\nworld\n", /is no flow log of a format that is known .*it begins "hello"/],
    ["nothing at all", FOLLOW, "", /no flow record in it/],
    [
      "a log without names, and no snapshot",
      FOLLOW,
      readFileSync(`${ROOT}fixtures/flow-logs/aws-vpc/default.log`, "utf8"),
      /no record of the flow logs \(aws-vpc\) names a pod/,
    ],
  ])("%s is refused", (_what, args, input, message) => {
    const { code, out, err } = run(args, input);
    expect(err).toMatch(message);
    expect([code, out]).toEqual([2, ""]);
  });
});
