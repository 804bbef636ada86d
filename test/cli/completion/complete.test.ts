import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type Candidate, cobraText, complete, DIRECTIVES, type LookUp, type NameKind } from "../../../src/cli/completion/complete.ts";
import { MANIFEST } from "../commands.ts";

/** Names that a cluster would have, each with the kind that was asked for. */
const lookUp: LookUp = async (kind) => [{ value: `a-${kind}` }, { value: `b-${kind}`, description: "the other" }];

async function offered(line: string, names: LookUp = lookUp): Promise<{ values: string[]; directive: number }> {
  // The last word is what is typed; a line that ends with a blank has an empty one.
  const { candidates, directive } = await complete(line.split(" "), MANIFEST, names);
  return { values: candidates.map(({ value }) => value), directive };
}

const NO_FILES = DIRECTIVES.noFiles;

describe("words", () => {
  test.each<[string, string[], number]>([
    ["si", ["simulate"], NO_FILES],
    ["gen ", ["networkpolicy", "netpol", "seccomp"], NO_FILES],
    ["gen n", ["networkpolicy", "netpol"], NO_FILES],
    ["help audit p", ["promote"], NO_FILES],
    ["--ver", ["--version"], NO_FILES],
    ["simulate --sn", ["--snapshot"], NO_FILES],
    ["simulate -o ", ["table", "wide", "json", "yaml", "name"], NO_FILES],
    ["simulate --output=j", ["json"], NO_FILES],
    ["simulate -Ro j", ["json"], NO_FILES],
    ["gen netpol --type c", ["cilium", "calico"], NO_FILES],
    ["gen netpol --dry-run=s", ["server"], NO_FILES],
    // --dry-run stands alone: what follows is the workload.
    ["gen netpol --dry-run a", ["a-workloads"], NO_FILES],
    ["matrix --cni ov", ["ovn-kubernetes"], NO_FILES],
    ["simulate --flow-format azure", ["azure-nsg", "azure-vnet"], NO_FILES],
    ["version --color n", ["never"], NO_FILES],
    ["audit verdicts --direction E", ["Egress"], NO_FILES],
    ["completion in", ["install"], NO_FILES],
    ["simulate extra", [], NO_FILES],
    ["nonsense ", [], NO_FILES],
    ["gen nonsense ", [], NO_FILES],
    ["simulate --since ", [], NO_FILES],
    ["simulate --nonsense=", [], NO_FILES],
    ["completion bash ", [], NO_FILES],
  ])("%s", async (line, values, directive) => {
    expect(await offered(line)).toEqual({ values, directive });
  });

  test.each([
    ["simulate --pcap ", DIRECTIVES.default],
    ["simulate -f", NO_FILES],
    ["simulate -f ", DIRECTIVES.default],
    ["simulate --snapshot=fix", DIRECTIVES.default],
    ["test fixtures/a.yaml fix", DIRECTIVES.default],
    ["diff ", DIRECTIVES.default],
    ["gen netpol --output-dir ", DIRECTIVES.onlyFolders],
    ["completion install ", DIRECTIVES.onlyFolders],
  ])("files: %s", async (line, directive) => {
    const { values, directive: found } = await offered(line);
    expect(found).toBe(directive);
    if (directive !== NO_FILES) expect(values).toEqual([]);
  });

  test("`cluster` is a set of diff from its first letter on", async () => {
    expect(await offered("diff old c")).toEqual({ values: ["cluster"], directive: DIRECTIVES.default });
  });

  test("every flag that help shows is offered, once, and none that is given already", async () => {
    for (const { id, flags } of Object.values(MANIFEST)) {
      const line = id.replaceAll(":", " ");
      const shown = Object.values(flags).filter(({ hidden }) => hidden !== true);
      const { values } = await offered(`${line} --`);
      expect(new Set(values).size).toBe(values.length);
      for (const { name, multiple } of shown) {
        expect(values, line).toContain(`--${name}`);
        const after = await offered(`${line} --${name}=x --`);
        expect(after.values.includes(`--${name}`), `${line} --${name}`).toBe(multiple === true);
      }
      expect(values.filter((value) => value === "--exit-zero")).toEqual(
        shown.some(({ name }) => name === "exit-zero") ? ["--exit-zero"] : [],
      );
    }
  });

  test("a negatable flag is offered both ways", async () => {
    expect((await offered("gen seccomp --no-")).values).toEqual(["--no-baseline"]);
  });

  test("nothing is a flag after --", async () => {
    expect((await offered("gen netpol -- --o")).values).toEqual([]);
    expect((await offered("gen netpol -- a")).values).toEqual(["a-workloads"]);
  });
});

describe("names", () => {
  test.each<[string, NameKind]>([
    ["simulate -n ", "namespaces"],
    ["simulate --namespace=", "namespaces"],
    ["simulate --broker-namespace ", "namespaces"],
    ["simulate --broker-service ", "brokerServices"],
    ["simulate --context ", "contexts"],
    ["matrix --focus ", "everyWorkload"],
    ["explain ", "endpoints"],
    ["explain web ", "endpoints"],
    ["gen networkpolicy ", "workloads"],
    ["gen seccomp -n shop ", "workloads"],
    ["audit promote ", "auditPolicies"],
    ["audit verdicts --policy ", "auditPolicies"],
    ["synth --profile ", "profiles"],
    ["synth --show-profile ", "profiles"],
    ["gen seccomp --default-action ", "seccompActions"],
    ["simulate --report ", "reportFormats"],
  ])("%s asks for %s", async (line, kind) => {
    expect((await offered(line)).values).toEqual([`a-${kind}`, `b-${kind}`]);
    expect((await offered(`${line}b`)).values).toEqual([`b-${kind}`]);
  });

  test("the look-up is told what stands before on the line", async () => {
    const seen: unknown[] = [];
    await complete("gen netpol --snapshot a.yaml --snapshot=b.yaml -nshop -A --context c ".split(" "), MANIFEST, async (_, { given }) => {
      seen.push(Object.fromEntries(given));
      return [];
    });
    expect(seen).toEqual([{ snapshot: ["a.yaml", "b.yaml"], namespace: ["shop"], "all-namespaces": ["true"], context: ["c"] }]);
  });

  test("no blank follows a part of a name", async () => {
    expect(
      (await offered("simulate --report j", async () => [{ value: "json=" }, { value: "junit=" }])).directive & DIRECTIVES.noSpace,
    ).toBe(2);
    expect((await offered("simulate --report j", async () => [{ value: "json=" }, { value: "jam" }])).directive & DIRECTIVES.noSpace).toBe(
      0,
    );
  });
});

/** Whoever names a pod, a context or a file in a snapshot must not write on somebody's command line. */
describe("hostile names", () => {
  const NASTY = [
    "$(reboot)",
    "`reboot`",
    "a b",
    "a\tb",
    "a\nb",
    "a;b",
    "a'b",
    'a"b',
    "a\\b",
    "a|b",
    "a&b",
    "a>b",
    "\u001b[2J",
    "a*",
    "a$HOME",
    "",
    ":4",
    "~root",
    "a\u202eb",
    "{a,b}",
  ];

  test.each(NASTY)("%j is not offered", async (value) => {
    expect((await offered("simulate -n ", async () => [{ value }, { value: "shop" }])).values).toEqual(["shop"]);
  });

  test("an answer is whole lines of plain words, whatever names and descriptions hold", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.record({ value: fc.string({ unit: "binary" }), description: fc.string({ unit: "binary" }) })),
        fc.constantFrom("", "a", "-", "shop/"),
        async (names: Candidate[], typed) => {
          const text = cobraText(await complete(["explain", typed], MANIFEST, async () => names));
          const lines = text.split("\n");
          expect(lines.pop()).toBe("");
          expect(lines.pop()).toMatch(/^:\d+$/);
          for (const line of lines) expect(line).toMatch(/^[\w/@-][\w.:/@=+,%-]*(?:\t[^\u0000-\u001f\u007f-\u009f]*)?$/);
        },
      ),
      { numRuns: 300 },
    );
  });

  test("no words make it fail", async () => {
    const word = fc.oneof(
      fc.string(),
      fc.constantFrom(
        "gen",
        "simulate",
        "help",
        "-o",
        "--",
        "-",
        "--=",
        "-=",
        "--output=",
        "__proto__",
        "constructor",
        "--__proto__",
        "-Rfo",
      ),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(word, { maxLength: 6 }), async (words) => {
        const { candidates, directive } = await complete(words, MANIFEST, lookUp);
        expect(Number.isInteger(directive)).toBe(true);
        const typed = words.at(-1) ?? "";
        // A value of --flag=value is offered without the flag.
        for (const { value } of candidates)
          expect(value.startsWith(typed) || value.startsWith(typed.slice(typed.indexOf("=") + 1))).toBe(true);
      }),
      { numRuns: 500 },
    );
  });
});
