import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { readConfigFile } from "../../src/cli/configFile.ts";
import { configPlace } from "../../src/cli/configPlace.ts";
import { failureOf, UsageError } from "../../src/cli/errors.ts";
import { knownCommands } from "../../src/cli/manifest.ts";
import { SETTINGS } from "../../src/cli/settings.ts";
import { MANIFEST } from "./commands.ts";
import { file, run, SHOP } from "./program.ts";

const KNOWN = knownCommands(MANIFEST);
const HEAD = "apiVersion: kguardian.dev/v1alpha1\nkind: Config\n";

let files = 0;

/** Writes a configuration, each to a file of its own; returns the environment that names it. */
function config(body: string): Record<string, string> {
  return { KGUARDIAN_CONFIG: file(`${files++}-config.yaml`, HEAD + body) };
}

function read(body: string, head = HEAD) {
  return readConfigFile({ path: file("config.yaml", head + body), isNamed: true }, KNOWN);
}

/** Returns the line that a run would print for a configuration. */
function refusal(body: string, head = HEAD): string {
  try {
    read(body, head);
  } catch (error) {
    return failureOf(error, "").message;
  }
  throw new Error("it was accepted");
}

const json = (output: string) => output.trimStart().startsWith("{");

describe("precedence: flag, variable, command's section, defaults, built in", () => {
  const both = { ...config("defaults: {output: yaml}\ncommands: {version: {output: json}}\n"), KGUARDIAN_OUTPUT: "yaml" };
  test.each<[string, string[], Record<string, string>, RegExp]>([
    ["flag", ["version", "-o", "text"], both, /^kubectl-kguardian /],
    ["variable", ["version"], both, /^version: /],
    ["command's section", ["version"], { ...both, KGUARDIAN_OUTPUT: "" }, /^\{/],
    ["defaults", ["version"], config("defaults: {output: yaml}\n"), /^version: /],
    ["built in", ["version"], config("defaults: {cni: cilium}\n"), /^kubectl-kguardian /],
    ["no file", ["version"], { KGUARDIAN_CONFIG: "off" }, /^kubectl-kguardian /],
    ["another command's section", ["version"], config("commands: {matrix: {output: json}}\n"), /^kubectl-kguardian /],
    // One default for commands that print different things: who cannot, prints as ever.
    ["a default that the command has not", ["version"], config("defaults: {output: wide}\n"), /^kubectl-kguardian /],
    ["a variable that the command has not", ["version"], { KGUARDIAN_OUTPUT: "wide" }, /^kubectl-kguardian /],
    ["an alias in the file", ["version"], config("commands: {gen netpol: {output: json}}\n"), /^kubectl-kguardian /],
  ])("%s", (_, args, environment, expected) => {
    const { code, out, err } = run(args, "", environment);
    expect({ code, err }).toEqual({ code: 0, err: "" });
    expect(out).toMatch(expected);
  });

  test("the file is at ~/.config/kguardian/config.yaml, or below XDG_CONFIG_HOME", () => {
    const home = mkdtempSync(join(tmpdir(), "kguardian-home-"));
    for (const folder of [".config/kguardian", "xdg/kguardian"]) mkdirSync(join(home, folder), { recursive: true });
    writeFileSync(join(home, ".config/kguardian/config.yaml"), `${HEAD}defaults: {output: json}\n`);
    expect(json(run(["version"], "", { HOME: home }).out)).toBe(true);
    expect(json(run(["version"], "", { HOME: home, XDG_CONFIG_HOME: join(home, "xdg") }).out)).toBe(false);
    writeFileSync(join(home, "xdg/kguardian/config.yaml"), `${HEAD}defaults: {output: yaml}\n`);
    expect(run(["version"], "", { HOME: home, XDG_CONFIG_HOME: join(home, "xdg") }).out).toMatch(/^version: /);
    expect(json(run(["version"], "", { HOME: home, XDG_CONFIG_HOME: "relative" }).out)).toBe(true);
    expect(json(run(["version"], "", { HOME: home, KGUARDIAN_CONFIG: "off" }).out)).toBe(false);
  });

  test("where it would be", () => {
    expect(configPlace({ HOME: "/home/a" })).toEqual({ path: "/home/a/.config/kguardian/config.yaml", isNamed: false });
    expect(configPlace({ HOME: "/home/a", XDG_CONFIG_HOME: "/x" })).toEqual({ path: "/x/kguardian/config.yaml", isNamed: false });
    expect(configPlace({ HOME: "/home/a", KGUARDIAN_CONFIG: "/c.yaml" })).toEqual({ path: "/c.yaml", isNamed: true });
    expect(configPlace({ KGUARDIAN_CONFIG: "off" })).toBeUndefined();
  });
});

describe("what changes findings is told", () => {
  const simulate = ["simulate", "--pcap", `${SHOP}/monday.pcapng`, "-f", `${SHOP}/network-policies`];

  test("a snapshot and a plugin of the file, in one line on standard error", () => {
    const environment = config(`defaults: {snapshot: ${SHOP}/cluster.yaml, cni: calico, output: name}\n`);
    const { code, out, err } = run(simulate, "", environment);
    expect(code).toBe(1);
    expect(out).toMatch(/^networkpolicy\.networking\.k8s\.io\/orders$/m);
    expect(err.split("\n")[0]).toBe(`note: from ${environment.KGUARDIAN_CONFIG}: --cni calico, --snapshot ${SHOP}/cluster.yaml`);
  });

  test("what is given on the line is not", () => {
    const environment = config(`defaults: {snapshot: no-such.yaml, cni: calico}\n`);
    const { code, out, err } = run([...simulate, "--snapshot", `${SHOP}/cluster.yaml`, "--cni=generic"], "", environment);
    expect({ code, err }).toEqual({ code: 1, err: "" });
    expect(out).toContain("CNI generic (as --cni says)");
  });

  test("KGUARDIAN_DEBUG tells of variables and of looks, too", () => {
    const { err } = run(["version"], "", {
      ...config("defaults: {color: never}\n"),
      KGUARDIAN_OUTPUT: "json",
      KGUARDIAN_DEBUG: "1",
      NO_COLOR: "",
    });
    expect(err).toMatch(/^note: from KGUARDIAN_OUTPUT: --output json$/m);
    expect(err).toMatch(/^note: from .*config\.yaml: --color never$/m);
  });

  test("a path is told from the file that names it", () => {
    const body = "defaults: {snapshot: [one.yaml, ~/two.yaml, /three.yaml]}\n";
    const folder = dirname(file("config.yaml", ""));
    expect(read(body)?.defaults.get("snapshot")).toEqual([
      join(folder, "one.yaml"),
      join(process.env.HOME ?? "", "two.yaml"),
      "/three.yaml",
    ]);
  });
});

describe("a default is not always meant", () => {
  const snapshot = config(`defaults: {snapshot: ${SHOP}/cluster.yaml, namespace: shop}\n`);
  const kubeconfig =
    "apiVersion: v1\nkind: Config\ncurrent-context: c\nclusters: [{name: c, cluster: {server: 'http://127.0.0.1:9'}}]\ncontexts: [{name: c, context: {cluster: c}}]\nusers: []\n";

  test("who names a cluster means that cluster", () => {
    const environment = { ...snapshot, KUBECONFIG: file("kubeconfig", kubeconfig) };
    expect(run(["matrix"], "", environment).code).toBe(0);
    expect(run(["matrix", "--context", "c"], "", environment)).toMatchObject({ code: 2, out: "" });
  });

  test("`snapshot` saves the cluster, not a snapshot of it", () => {
    expect(run(["snapshot"], "", snapshot)).toMatchObject({ code: 2, out: "" });
  });

  test("a PolicyTest names its own", () => {
    const environment = config(`defaults: {snapshot: no-such.yaml, cni: cilium}\n`);
    expect(run(["test", "fixtures/policy-tests/three-tiers/test.yaml"], "", environment)).toMatchObject({ code: 0, err: "" });
  });

  test("a broker of the file is not asked where there is a capture", () => {
    const environment = config("defaults: {brokerUrl: 'http://127.0.0.1:9'}\n");
    const args = ["simulate", "--pcap", `${SHOP}/monday.pcapng`, "--snapshot", `${SHOP}/cluster.yaml`];
    expect(run(args, "", environment)).toMatchObject({ code: 0, err: expect.not.stringContaining("error") });
    // Without one it is: nobody listens on the discard port.
    expect(run(["simulate", "--snapshot", `${SHOP}/cluster.yaml`], "", environment)).toMatchObject({
      code: 2,
      err: expect.stringContaining("127.0.0.1:9"),
    });
  });

  test("the namespace of -A is none", () => {
    const asked = ["gen", "netpol", "-A", "--pcap", `${SHOP}/monday.pcapng`, "--output-dir", "", "-o", "json"];
    expect(run(asked, "", snapshot).err).not.toContain("--namespace");
  });
});

describe("what is wrong is told with its place", () => {
  test.each<[string, string, string]>([
    ["defaults:\n  outptu: wide\n", ":4:3", 'unknown field "defaults.outptu", did you mean `output`'],
    ["defaults:\n  output: wied\n", ":4:3", "`wied` is no value of --output, did you mean `wide`"],
    ["defaults:\n  cni: clico\n", ":4:3", "did you mean `calico`"],
    ["default: {output: wide}\n", ":3:1", "did you mean `defaults`"],
    ["commands:\n  simulat: {output: wide}\n", ":4:3", "`simulat` is no command, did you mean `simulate`"],
    ["commands:\n  version:\n    output: wide\n", ":5:5", "`wide` is no value of --output"],
    ["commands:\n  version: {cni: cilium}\n", ":4:13", "unknown field"],
    ["commands:\n  test: {cni: cilium}\n", ":4:10", "unknown field"],
    ["defaults:\n  output: [wide]\n", ":4:3", "expected text"],
    ["defaults:\n  color: on\n", ":4:3", "write it in quotes"],
    ["defaults: wide\n", ":3:1", "expected a mapping"],
    ["defaults:\n  snapshot: ''\n", ":4:3", "empty"],
    ["defaults:\n  snapshot: '-'\n", ":4:3", "standard input is no default"],
    ["defaults:\n  namespace: Shop_1\n", ":4:3", "the namespace `Shop_1`"],
    ["defaults:\n  brokerUrl: broker\n", ":4:3", "`broker` is no URL"],
    ["defaults:\n  brokerUrl: https://me:s3cret@broker\n", ":4:3", "passwords do not belong into this file"],
    ["defaults:\n  brokerToken: s3cret\n", ":4:3", "tokens and passwords do not belong into this file"],
    ["defaults:\n  token: s3cret\n", ":4:3", "KGUARDIAN_BROKER_TOKEN"],
    ["commands:\n  simulate:\n    password: s3cret\n", ":5:5", "brokerTokenFile"],
    ["defaults: {output: wide\n", "", ""],
    [`---\n${HEAD}`, "", "2 objects in it"],
  ])("%j", (body, place, message) => {
    const text = refusal(body);
    expect(text).toContain(`config.yaml${place}`);
    expect(text).toContain(message);
    expect(text).toMatch(/^error: [^\n]*$/);
    expect(text).not.toContain("s3cret");
  });

  test.each([
    ["apiVersion: kguardian.dev/v1\nkind: Config\n", "a Config is of `kguardian.dev/v1alpha1`"],
    ["apiVersion: kguardian.dev/v1alpha1\nkind: Confgi\n", "did you mean `Config`"],
    ["just text\n", "not a Kubernetes object"],
    ["\u0000abc\n", "binary data"],
  ])("%j", (head, message) => {
    expect(refusal("", head)).toContain(message);
  });

  test("a run with such a file ends with 2, before it does anything", () => {
    const output = join(mkdtempSync(join(tmpdir(), "kguardian-config-")), "snapshot.yaml");
    const { code, out, err } = run(["version"], "", config("defaults: {outptu: wide}\n"));
    expect({ code, out }).toEqual({ code: 2, out: "" });
    expect(err).toMatch(/^error: .*config\.yaml:3:12: defaults\.outptu: .*\n$/);
    expect(run(["snapshot", "--snapshot", `${SHOP}/cluster.yaml`, "--file", output], "", config("x: 1\n")).code).toBe(2);
    expect(existsSync(output)).toBe(false);
  });

  test("nobody's help waits for it", () => {
    expect(run(["version", "--help"], "", config("defaults: {outptu: wide}\n"))).toMatchObject({ code: 0, err: "" });
  });

  test("a file that is named must be there, and be one", () => {
    expect(run(["version"], "", { KGUARDIAN_CONFIG: "/no/such/config.yaml" })).toMatchObject({
      code: 2,
      err: expect.stringMatching(/^error: KGUARDIAN_CONFIG: \/no\/such\/config\.yaml: .*\n$/),
    });
    expect(run(["version"], "", { KGUARDIAN_CONFIG: tmpdir() }).err).toMatch(/no plain file\n$/);
    expect(run(["version"], "", { KGUARDIAN_CONFIG: "/dev/zero" }).err).toMatch(/no plain file\n$/);
    expect(run(["version"], "", { KGUARDIAN_CONFIG: file("large.yaml", `#${"x".repeat(1 << 20)}`) }).err).toMatch(/larger than 1 MiB/);
  });

  test.skipIf(process.getuid?.() === 0)("one that cannot be read is an error, wherever it is", () => {
    const path = file("secret.yaml", HEAD);
    chmodSync(path, 0);
    expect(run(["version"], "", { KGUARDIAN_CONFIG: path }).code).toBe(2);
  });

  test("nothing but comments is no mistake", () => {
    expect(run(["version"], "", { KGUARDIAN_CONFIG: file("empty.yaml", "# nothing yet\n") })).toMatchObject({ code: 0, err: "" });
  });

  test("a variable with a value that no command has is an error, too", () => {
    expect(run(["matrix"], "", { KGUARDIAN_CNI: "cillium" })).toMatchObject({
      code: 2,
      err: "error: KGUARDIAN_CNI: `cillium` is no value of --cni, did you mean `cilium`\n",
    });
  });

  test("whatever it holds: a configuration, or one line", () => {
    const word = fc.constantFrom(
      "defaults",
      "commands",
      "output",
      "snapshot",
      "version",
      "cni",
      "wide",
      "- a",
      "{",
      "}",
      ": ",
      "\n  ",
      "\n",
      "&a ",
      "*a",
      "!!binary ",
      "'",
      "\u001b[31m",
      "__proto__",
      "null",
      "1",
    );
    fc.assert(
      fc.property(fc.array(fc.oneof(word, fc.string({ maxLength: 4 })), { maxLength: 12 }), fc.boolean(), (parts, hasHead) => {
        let message = "";
        try {
          read(parts.join(""), hasHead ? HEAD : "");
        } catch (error) {
          message = failureOf(error, "").message;
          expect(message).not.toContain("internal");
          expect(message).not.toMatch(/[\u0000-\u0009\u000b-\u001f\u007f-\u009f]/);
          if (!(error instanceof UsageError)) expect(message).not.toContain("\n");
        }
      }),
      { numRuns: 500 },
    );
  });
});

test("docs/config.md lists every field and variable", () => {
  const text = readFileSync(fileURLToPath(new URL("../../docs/config.md", import.meta.url)), "utf8");
  const rows = [...text.matchAll(/^\| `(\w+)` \| `--([\w-]+)`[^|]* \| `(\w+)` \|/gm)].map(([, field, flag, variable]) => ({
    field,
    flag,
    variable,
  }));
  expect(rows).toEqual(SETTINGS.map(({ field, flag, variable }) => ({ field, flag, variable })));
});
