import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, relative } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { refuseOverwrites } from "../../src/cli/overwrites.ts";
import { MANIFEST } from "./commands.ts";
import { run } from "./program.ts";

/* `--report` never overwrites what a command reads, nor puts a file where the next run would read it. */

const folder = mkdtempSync(join(tmpdir(), "kguardian-overwrites-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const at = (name: string) => join(folder, name);

beforeAll(() => {
  for (const name of ["p", "p/sub", "captures"]) mkdirSync(at(name));
  for (const name of ["t1.yaml", "p/a.yaml", "p/sub/b.yaml", "captures/c.pcap", "token"]) writeFileSync(at(name), "");
  symlinkSync(at("p"), at("linked"));
  symlinkSync(at("t1.yaml"), at("t1-link"));
});

/** Words with `@` for the folder. */
const words = (text: string) => text.split(" ").map((word) => word.replaceAll("@", `${folder}/`));

test.each([
  "test @t1.yaml --report junit=@t1.yaml",
  "test @t1-link --report=junit=@t1.yaml",
  "test @t1.yaml --report junit=@p/../t1-link",
  "test @p --report junit=@p/a.yaml",
  "test --report junit=@t1.yaml -- @t1.yaml",
  "simulate -f @p/a.yaml --report junit=@p/a.yaml",
  "simulate -f@p/a.yaml --report markdown=@x.md --report junit=@p/a.yaml",
  "simulate -f @p --report json=@p/report.json",
  "simulate -f @linked --report json=@p/report.yml",
  "simulate -f @p -R --report json=@p/sub/report.json",
  "simulate -Rf @p --report json=@p/sub/report.json",
  "simulate --pcap @captures/c.pcap --report sarif=@captures/c.pcap",
  "simulate --pcap @captures --report sarif=@captures/findings.sarif",
  "simulate --snapshot=@t1.yaml --report json=@t1.yaml",
  "simulate --ignore @t1.yaml --report json=@t1.yaml",
  "simulate --kubeconfig @token --report json=@token",
  "diff @p @t1.yaml --report markdown=@p/diff.json",
  "matrix @p -f @p/a.yaml --report json=@p/a.yaml",
  "synth --probe -f @p/a.yaml --report junit=@p/a.yaml",
  "synth --simulate --records-out @new.jsonl --report json=@new.jsonl",
  "gen netpol -a --snapshot @t1.yaml --report json=@t1.yaml",
])("%s is refused", (text) => {
  expect(() => refuseOverwrites(words(text), MANIFEST)).toThrow(/^--report: `.*(?:would overwrite it|put the report elsewhere)/);
});

test.each([
  "test @t1.yaml --report junit=@t1.xml",
  "test @p --report junit=@p/report.xml",
  "test - --report junit=-",
  "simulate -f @p --report json=@p/sub/report.json",
  "simulate -f @p --report json=@report.json --report markdown=@p/report.md",
  "simulate --pcap @captures --report sarif=@captures/sub/findings.sarif",
  "simulate -n @t1.yaml --report json=@t1.yaml",
  "explain web db --report json=web",
  "gen netpol -a --output-dir @p --report json=@p/report.json",
  "simulate -f /dev/null --report json=/dev/null",
  "simulate -f @nowhere/x --report json=@nowhere/y",
  "simulate --report",
  "version",
  "nothing --report json=x",
])("%s is not", (text) => {
  expect(() => refuseOverwrites(words(text), MANIFEST)).not.toThrow();
});

test("the program says so in one line, before anything is read, and leaves the file alone", () => {
  const path = at("policy.yaml");
  writeFileSync(path, "not: [a policy");
  const { code, out, err } = run(["simulate", "-f", path, "--report", `junit=${relative(process.cwd(), path)}`]);
  expect([code, out]).toEqual([2, ""]);
  expect(err).toMatch(/^error: --report: `.*policy\.yaml` is also named by --filename, and the report would overwrite it[^\n]*\n$/);
  expect(readFileSync(path, "utf8")).toBe("not: [a policy");
});
