import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync, zstdCompressSync } from "node:zlib";
import fc from "fast-check";
import { dump } from "js-yaml";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { readJsonDocuments } from "../../src/cluster/jsonDocuments.ts";
import { readManifest, readManifestFiles } from "../../src/cluster/manifest.ts";
import { ManifestError } from "../../src/cluster/manifestError.ts";
import { readYamlDocuments } from "../../src/cluster/yamlDocuments.ts";

const HEAD = "apiVersion: v1\nkind: Pod\n";

/** Returns the error of a text as `code file:line:column: message`, or "accepted". */
function refusal(text: string): string {
  try {
    readManifest(text, "f");
    return "accepted";
  } catch (error) {
    return error instanceof ManifestError ? `${error.code} ${error.text}` : `crashed: ${error}`;
  }
}

function at(text: string, path: (string | number)[], index = 0): string {
  const { line, column } = readManifest(text, "f")[index].positionOf(path);
  return `${line}:${column}`;
}

describe("scalars are what sigs.k8s.io/yaml makes of them", () => {
  test.each<[written: string, value: unknown]>([
    ...["yes", "Yes", "YES", "on", "On", "y", "true", "True", "TRUE"].map((each): [string, unknown] => [each, true]),
    ...["no", "No", "off", "OFF", "n", "N", "false"].map((each): [string, unknown] => [each, false]),
    ...["null", "~", "Null", "NULL", ""].map((each): [string, unknown] => [each, null]),
    ...[
      ["010", 8],
      ["0o10", 8],
      ["0x1F", 31],
      ["0b11", 3],
      ["-010", -8],
      ["1_000", 1000],
      ["+5", 5],
      ["0", 0],
    ],
    ...[
      ["08", 8],
      ["1.5", 1.5],
      ["1e3", 1000],
      [".5", 0.5],
      ["1.", 1],
      [".inf", Infinity],
      ["8080", 8080],
    ],
    ...["22:30", "1:2:3", "2001-01-01", "2001-12-14t21:59:43.10-05:00", "tRue", "yEs", "10.0.0.0/8", "0x", "1e", "a: b".slice(0, 1)].map(
      (each): [string, unknown] => [each, each],
    ),
    ...[
      ["'yes'", "yes"],
      ['"010"', "010"],
      ["!!str 010", "010"],
      ['!!int "7"', 7],
      ["!!timestamp 2001-01-01", "2001-01-01"],
    ],
    ...[
      ["|-\n    a\n    b", "a\nb"],
      [">-\n    a\n    b", "a b"],
    ],
  ] as [string, unknown][])("%s", (written, value) => {
    expect(readManifest(`${HEAD}spec:\n  x: ${written}\n`, "f")[0].value.spec).toEqual({ x: value });
  });

  test("keys are text, `__proto__` is a key like any other, and merge keys merge", () => {
    const text = `${HEAD}a: &a {yes: 1, 8: 2, __proto__: {polluted: 1}}\nb:\n  <<: *a\n  '8': 3\n`;
    const { a, b } = readManifest(text, "f")[0].value as Record<string, Record<string, unknown>>;
    expect(Object.entries(a)).toEqual([
      ["8", 2],
      ["true", 1],
      ["__proto__", { polluted: 1 }],
    ]);
    expect(Object.entries(b).map(([key]) => key)).toEqual(["8", "true", "__proto__"]);
    expect([b[8], b.polluted, Object.getPrototypeOf(b), ({} as Record<string, unknown>).polluted]).toEqual([
      3,
      undefined,
      Object.prototype,
      undefined,
    ]);
    const [json] = readManifest('{"apiVersion":"v1","kind":"PodList","items":[{"__proto__":{"polluted":1}}]}', "f");
    expect([Object.keys(json.value), json.value.polluted]).toEqual([["apiVersion", "kind", "__proto__"], undefined]);
  });
});

const POD = '{"apiVersion":"v1","kind":"Pod"}';

describe("objects of a text", () => {
  test.each<[name: string, text: string, kinds: string[]]>([
    ["nothing", "", []],
    ["comments", "# a\n\n# b\n", []],
    ["empty documents", `---\n---\n# x\n---\n${HEAD}---\nnull\n...\n`, ["Pod"]],
    ["documents", `${HEAD}---\n${HEAD}--- # c\n${HEAD}`, ["Pod", "Pod", "Pod"]],
    ["a byte order mark and CRLF", `\ufeff${HEAD}---\n${HEAD}`.replaceAll("\n", "\r\n"), ["Pod", "Pod"]],
    ["a List", "apiVersion: v1\nkind: List\nitems:\n- {apiVersion: v1, kind: Pod}\n- {apiVersion: v1, kind: Node}", ["Pod", "Node"]],
    ["a List in a List", `{"apiVersion":"v1","kind":"List","items":[{"apiVersion":"v1","kind":"List","items":[${POD}]}]}`, ["Pod"]],
    ["a typed list", "apiVersion: v1\nkind: PodList\nitems: [{metadata: {name: a}}, {apiVersion: v1, kind: Pod}]", ["Pod", "Pod"]],
    ["an empty list", "apiVersion: v1\nkind: List\nitems: []", []],
    ["a null list", "apiVersion: v1\nkind: PodList\nitems: null", []],
    ["no list at all", "apiVersion: a/v1\nkind: AllowList\nspec: {}", ["AllowList"]],
    ["JSON", `\n\t${POD}\n`, ["Pod"]],
    ["JSON values in a row", `${POD}\n${POD}${POD}`, ["Pod", "Pod", "Pod"]],
    ["JSON documents", `${POD}\n---\n${POD}\n`, ["Pod", "Pod"]],
    ["a flow mapping", "{apiVersion: v1, kind: Pod}", ["Pod"]],
  ])("%s", (_name, text, kinds) => {
    const objects = readManifest(text, "f");
    expect(objects.map(({ value }) => value.kind)).toEqual(kinds);
    for (const { value } of objects) expect(typeof value.apiVersion).toBe("string");
  });
});

const bomb = `a: &a [x,x,x,x,x,x,x,x,x,x]\n${[..."bcdefgh"].map((name, i) => `${name}: &${name} [${Array(10).fill(`*${"abcdefgh"[i]}`)}]`).join("\n")}\n`;
const chain = `x0: &x0 ${"[".repeat(200)}1${"]".repeat(200)}\nx1: ${"[".repeat(200)}*x0${"]".repeat(200)}\n`;

describe("refusals", () => {
  test.each<[expected: string, text: string]>([
    ["syntax f:4:3: duplicate key `a`", `${HEAD}b: {a: 1,\n  a: 2}`],
    ["syntax f:4:1: duplicate key `kind`", `${HEAD}spec: {}\nkind: Pod\n`],
    ["syntax f:2:3: duplicate key `a`", '{"a": 1,\n  "a": 2}'],
    ["syntax f:1:11: duplicate key `aé`", '{"aé": 1, "\\u0061é": "\\""}'],
    ["syntax f:1:20: duplicate key `b`", '{"a":[{"b":{"b":1},"b":{"c":2}}],"\\\\":"\\\\\\""}'],
    ["syntax f:3:5: not valid YAML: bad indentation of a mapping entry", `${HEAD}a: b: c`],
    ['syntax f:2:1: not valid JSON: expected `,` or `}`, found `"`', '{"apiVersion": "v1"\n"kind": "Pod"}'],
    ["syntax f:1:17: not valid JSON: expected a value, found the end of the text", '{"apiVersion": ['],
    ["syntax f:1:2: not valid JSON: a string is not closed", '{"apiVersion'],
    ["syntax f:1:12: not valid JSON: expected `:`, found `2`", '{"a":1,"b" 2}'],
    ["not-an-object f:1:1: not a Kubernetes object: expected a mapping with `apiVersion` and `kind`, found a string", "hello"],
    ["not-an-object f:2:1: not a Kubernetes object: expected a mapping with `apiVersion` and `kind`, found a list", "# c\n- a\n"],
    ["not-an-object f:1:1: not a Kubernetes object: it has no `apiVersion`", "kind: Pod\n"],
    ["not-an-object f:4:1: not a Kubernetes object: it has no `kind`", `${HEAD}---\napiVersion: v1\n`],
    ["not-an-object f:2:1: not a Kubernetes object: it has a `kind` that is no text", "apiVersion: v1\nkind: 1\n"],
    ["not-an-object f:4:3: not a Kubernetes object: it has no `apiVersion`", "apiVersion: v1\nkind: List\nitems:\n- a: 1\n"],
    [
      "not-an-object f:3:9: not a Kubernetes object: expected a mapping with `apiVersion` and `kind`, found nothing",
      "apiVersion: v1\nkind: List\nitems: [null]\n",
    ],
    ["not-an-object f:3:1: `items` of a `List` is no list", "apiVersion: v1\nkind: List\nitems: {}\n"],
    ["syntax f:4:6: aliases must not contain themselves: `*a`", `${HEAD}a: &a\n  b: *a`],
    ["syntax f:1:3: binary data, neither YAML nor JSON", "ab\0\0\u0001c"],
    ["syntax f:1:2: UTF-16 text: save it as UTF-8", [...HEAD].join("\0") + "\0"],
    ["syntax f:1:256: nested deeper than 256 levels", "[".repeat(5000)],
    ["syntax f:1:1281: nested deeper than 256 levels", '{"a":'.repeat(5000)],
    ["syntax f:1:1281: nested deeper than 256 levels", `${'{"a":'.repeat(5000)}1${"}".repeat(5000)}`],
  ])("%s", (expected, text) => expect(refusal(text)).toBe(expected));

  test("aliases that stand for too much or nest too deep", () => {
    expect(refusal(HEAD + bomb)).toMatch(/^syntax f:\d+:\d+: aliases stand for more than 1000000 nodes$/);
    expect(refusal(HEAD + chain)).toMatch(/^syntax f:4:\d+: aliases nest deeper than 256 levels$/);
    expect(refusal(`${HEAD}a: *b`)).toMatch(/^syntax f:3:\d+: not valid YAML: unidentified alias "b"$/);
  });

  test("lists in lists without end", () => {
    const nested = (depth: number): string => (depth === 0 ? POD : `{"apiVersion":"v1","kind":"List","items":[${nested(depth - 1)}]}`);
    expect(refusal(nested(8))).toBe("accepted");
    expect(refusal(nested(9))).toMatch(/^not-an-object f:1:\d+: lists nested deeper than 8$/);
  });
});

const POLICY = `# a comment
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: p
spec:
  ingress:
  - from:
    - podSelector: {matchLabels: {a: b}}
    -   ipBlock:
          cidr: "10.0.0.0/8"
    ports:
      - port: 80
      - "port": 81
        protocol: TCP
  - {}
`;

const POLICY_JSON = `{
\t"apiVersion": "v1", "kind": "X",
\t"spec": {"ingress": [ {"a\\u0062": 1}, {}, 5,
\t\t{"ports": [{"port": 80}]} ]}
}`;

describe("positions", () => {
  test.each<[expected: string, path: (string | number)[]]>([
    ["2:1", []],
    ["4:1", ["metadata"]],
    ["5:3", ["metadata", "name"]],
    ["5:3", ["metadata", "name", "x"]],
    ["4:1", ["metadata", "namespace"]],
    ["2:1", ["status", "x"]],
    ["7:3", ["spec", "ingress"]],
    ["8:5", ["spec", "ingress", 0]],
    ["8:5", ["spec", "ingress", 0, "from"]],
    ["9:7", ["spec", "ingress", 0, "from", 0]],
    ["9:35", ["spec", "ingress", 0, "from", 0, "podSelector", "matchLabels", "a"]],
    ["10:9", ["spec", "ingress", 0, "from", 1]],
    ["11:11", ["spec", "ingress", 0, "from", 1, "ipBlock", "cidr"]],
    ["13:9", ["spec", "ingress", 0, "ports", 0, "port"]],
    ["14:9", ["spec", "ingress", 0, "ports", 1]],
    ["14:9", ["spec", "ingress", 0, "ports", 1, "port"]],
    ["15:9", ["spec", "ingress", 0, "ports", 1, "protocol"]],
    ["16:5", ["spec", "ingress", 1]],
    ["7:3", ["spec", "ingress", 2]],
  ])("%s %j", (expected, path) => {
    expect(at(POLICY, path)).toBe(expected);
    // The same behind another document, below a List, and with other line ends.
    const [line, column] = expected.split(":").map(Number);
    expect(at(`${HEAD}---\n${POLICY}`, path, 1)).toBe(`${line + 3}:${column}`);
    expect(at(POLICY.replaceAll("\n", "\r\n"), path)).toBe(expected);
    const list = `kind: List\napiVersion: v1\nitems:\n- ${POLICY.slice(12).trimEnd().replaceAll("\n", "\n  ")}\n- {apiVersion: v1, kind: Pod}\n`;
    expect(at(list, path)).toBe(`${line + 2}:${column + 2}`);
  });

  test.each<[expected: string, path: (string | number)[]]>([
    ["1:1", []],
    ["2:22", ["kind"]],
    ["3:11", ["spec", "ingress"]],
    ["3:24", ["spec", "ingress", 0]],
    ["3:25", ["spec", "ingress", 0, "ab"]],
    ["3:44", ["spec", "ingress", 2]],
    ["4:3", ["spec", "ingress", 3]],
    ["4:15", ["spec", "ingress", 3, "ports", 0, "port"]],
  ])("JSON %s %j", (expected, path) => expect(at(POLICY_JSON, path)).toBe(expected));

  test("aliases lead to where the field is written", () => {
    const text = `${HEAD}a: &a\n  x: 1\nb: *a\nc:\n  <<: *a\n  z: 2\nd: [*a]\n`;
    const paths = [["b"], ["b", "x"], ["c", "x"], ["c", "z"], ["d", 0], ["d", 0, "x"]];
    expect(paths.map((path) => at(text, path))).toEqual(["5:1", "4:3", "4:3", "8:3", "9:5", "4:3"]);
  });

  test("of items that are not written, and of anchors that are used again and again, an alias to each last one before it", () => {
    expect(at(`${HEAD}l:\n  - [a]\n  -\n  -\n`, ["l", 2])).toBe("4:6");
    const text = `${HEAD}a: &a {x: 1}\nb: *a\nc: &a {x: 2}\nd: *a\n`;
    expect([at(text, ["b", "x"]), at(text, ["d", "x"])]).toEqual(["3:8", "5:8"]);
    // Looking back from each to the first would take minutes.
    const many = 200_000;
    const [object] = readManifest(`${HEAD}a: &a {x: 1}\nl: [${"*a,".repeat(many)}]\nm:\n${"  -\n".repeat(many)}`, "f");
    for (let i = 0; i < many; i++) expect(object.positionOf(["l", i, "x"]).line).toBe(3);
    expect(object.positionOf(["m", many - 1]).line).toBe(6);
  });

  test("of random objects point at a line with that key", () => {
    const key = fc.stringMatching(/^[a-z][a-z0-9]{0,6}$/);
    // js-yaml leaves `0e0_`, `-_5` and `0B1` unquoted, which are numbers to sigs.k8s.io/yaml.
    const text = fc.string().filter((each) => !(/^[-+.]*[\d_]/.test(each) && /[A-Za-z_]/.test(each)));
    const { value } = fc.letrec((tie) => ({
      value: fc.oneof(
        { maxDepth: 4 },
        text,
        fc.integer(),
        fc.constant("two\nlines\n"),
        fc.array(tie("value"), { maxLength: 4 }),
        tie("map"),
      ),
      map: fc.dictionary(key, tie("value"), { maxKeys: 5 }),
    }));
    fc.assert(
      fc.property(fc.array(fc.dictionary(key, value, { maxKeys: 5 }), { minLength: 1, maxLength: 3 }), fc.boolean(), (specs, asJson) => {
        const items = specs.map((spec) => ({ apiVersion: "v1", kind: "X", spec }));
        const list = { apiVersion: "v1", items, kind: "List" };
        const text = asJson ? JSON.stringify(list, null, 1) : dump(list, { noRefs: true });
        const lines = text.split("\n");
        const objects = readManifest(text, "f");
        expect(objects.map((object) => object.value)).toEqual(items);
        const walk = (object: (typeof objects)[number], part: unknown, path: (string | number)[]): void => {
          const { line, column } = object.positionOf(path);
          const last = path.at(-1);
          if (typeof last === "string")
            expect(
              lines[line - 1]
                .slice(column - 1)
                .replace(/^["']/, "")
                .startsWith(last),
            ).toBe(true);
          if (Array.isArray(part)) for (const [index, each] of part.entries()) walk(object, each, [...path, index]);
          else if (typeof part === "object" && part !== null)
            for (const [name, each] of Object.entries(part)) walk(object, each, [...path, name]);
        };
        for (const object of objects) walk(object, object.value, []);
      }),
      { numRuns: 300 },
    );
  });
});

describe("long texts are read in stretches with the same outcome", () => {
  const item = (index: number) =>
    `apiVersion: v1\nkind: Pod\nmetadata:\n  name: p${index}\n  note: |\n    - text\n    items:\n\n    ---x\nlist:\n- a\n- b\n`;
  const indented = (text: string, by: string) => text.trimEnd().split("\n").join(`\n${by}`);
  const listOf = (by: string, tail: string) =>
    `# head\napiVersion: v1\nitems: # all\n\n${Array.from({ length: 20 }, (_, index) => `${by}- ${indented(item(index), `${by}  `)}\n# between\n`).join("")}${tail}`;
  const fail = (message: string): never => {
    throw new Error(message);
  };
  test.each<[name: string, text: string]>([
    ["documents", Array.from({ length: 20 }, (_, index) => item(index)).join("---\n")],
    ["a list as kubectl prints it", listOf("", "kind: List\nmetadata:\n  resourceVersion: ''\n")],
    ["a list with its items indented", listOf("  ", "kind: List\n")],
    ["a list without an end", `kind: List\n${listOf("", "")}`],
    ["two lists and more", `${listOf("", "kind: List\n")}---\n${item(1)}---\n${listOf("  ", "kind: List\n")}`],
    [
      "a list with aliases from item to item",
      listOf("", "kind: List\n").replace("name: p1\n", "name: &n p1\n").replace("name: p17", "name: *n"),
    ],
    ["CRLF", listOf("", "kind: List\n").replaceAll("\n", "\r\n")],
  ])("%s", (_name, text) => {
    const whole = readYamlDocuments(text, fail, Infinity);
    for (const length of [1, 100, 700]) {
      const parts = readYamlDocuments(text, fail, length);
      expect(parts.map(({ value }) => value)).toEqual(whole.map(({ value }) => value));
      parts.forEach((part, index) => {
        const other = whole[index].place();
        for (const path of [
          ["kind"],
          ["metadata"],
          ["items"],
          ["items", 0],
          ["items", 7, "list", 1],
          ["items", 19, "metadata", "note"],
          ["items", 20],
        ]) {
          const find = (place: typeof other) =>
            path.reduce<typeof other | undefined>(
              (found, step) => (typeof step === "number" ? found?.item(step) : found?.entry(step)),
              place,
            );
          expect(find(part.place())?.at).toBe(find(other)?.at);
        }
      });
    }
  });

  test("and a fault far down is reported at its own line", () => {
    const text = listOf("", "kind: List\n");
    const broken = text.replace("name: p17", "name: p17: x");
    const line = broken.slice(0, broken.indexOf("p17: x")).split("\n").length;
    expect(() =>
      readYamlDocuments(broken, (message, offset) => fail(`${broken.slice(0, offset).split("\n").length} ${message}`), 100),
    ).toThrow(`${line} not valid YAML: bad indentation of a mapping entry`);
  });
});

describe("files", () => {
  let folder = "";
  const path = (name: string) => join(folder, name);
  const names = async (paths: string[], recursive = false) =>
    (await readManifestFiles(paths.map(path), { recursive })).files.map(({ name }) => name.slice(folder.length + 1));
  const refused = async (name: string) => {
    const error = await readManifestFiles([name === "-" ? name : path(name)], { recursive: true }).catch((each) => each);
    return error instanceof ManifestError ? `${error.code} ${error.text.replaceAll(folder, "")}` : String(error);
  };
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), "manifest-"));
    for (const name of [
      "d/b.yaml",
      "d/a.yml",
      "d/c.json",
      "d/skip.txt",
      "d/sub/e.yaml",
      "d/..data/f.yaml",
      "empty/x.txt",
      "plain",
      "loops/a.yaml",
    ]) {
      mkdirSync(join(path(name), ".."), { recursive: true });
      writeFileSync(path(name), POD);
    }
    symlinkSync("..", path("d/sub/up.yaml"));
    symlinkSync("..data/f.yaml", path("d/link.yaml"));
    symlinkSync("self.yaml", path("loops/self.yaml"));
    writeFileSync(path("g.yaml"), gzipSync(POD));
    writeFileSync(path("z.yaml"), zstdCompressSync(POD));
    writeFileSync(path("bad.gz"), gzipSync(POD).subarray(0, 20));
    writeFileSync(path("utf16.yaml"), Buffer.from(`\ufeff${POD}`, "utf16le"));
    writeFileSync(path("latin1.yaml"), Buffer.from("a: é", "latin1"));
    writeFileSync(path("binary"), Buffer.from([0x7f, 0x45, 0x4c, 0x46, 0, 0, 0xff, 0xfe]));
    writeFileSync(path("nothing.yaml"), "# nothing\n");
  });
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  test("a directory gives its manifests, sorted, and those below it only when asked", async () => {
    expect(await names(["d"])).toEqual(["d/a.yml", "d/b.yaml", "d/c.json", "d/link.yaml"]);
    expect(await names(["d"], true)).toEqual(["d/a.yml", "d/b.yaml", "d/c.json", "d/link.yaml", "d/sub/e.yaml"]);
    expect(await names(["plain", "g.yaml", "z.yaml"])).toEqual(["plain", "g.yaml", "z.yaml"]);
  });

  test.each<[name: string, expected: string]>([
    ["missing.yaml", "unreadable /missing.yaml: no such file or directory"],
    ["empty", "unreadable /empty: no .yaml, .yml or .json file in `/empty`"],
    ["loops", "unreadable /loops/self.yaml: a symbolic link that leads to itself"],
    ["bad.gz", "unreadable /bad.gz: damaged gzip data: unexpected end of file"],
    ["utf16.yaml", "syntax /utf16.yaml:1:1: UTF-16 text: save it as UTF-8"],
    ["latin1.yaml", "syntax /latin1.yaml:1:1: not UTF-8 text"],
    ["binary", "syntax /binary:1:1: binary data, neither YAML nor JSON"],
    ["plain/x", "unreadable /plain/x: a part of its path is no directory"],
  ])("%s", async (name, expected) => expect(await refused(name)).toBe(expected));

  test("the standard input is read once, a file named twice too, and one without objects gives a warning", async () => {
    const stdin = async () => POD;
    const read = await readManifestFiles(["-", path("nothing.yaml"), path("plain"), path("plain")], { recursive: false, stdin });
    expect(read.files.map(({ objects }) => objects)).toEqual([1, 0, 1]);
    expect(read.objects.map(({ file }) => file)).toEqual(["<stdin>", path("plain")]);
    expect(read.warnings).toEqual([
      `\`${path("nothing.yaml")}\` holds no Kubernetes object`,
      `\`${path("plain")}\` is named twice and was read once`,
    ]);
    await expect(readManifestFiles(["-", "-"], { recursive: false, stdin })).rejects.toThrow("the standard input can be read only once");
    await expect(readManifestFiles(["https://example.com/a.yaml"], { recursive: false })).rejects.toThrow("addresses are not fetched");
  });
});

describe("arbitrary text is read or refused with a ManifestError on one line", () => {
  const check = (text: string) => {
    try {
      for (const object of readManifest(text, "f")) object.positionOf(["spec", "items", 0, "a"]);
    } catch (error) {
      if (!(error instanceof ManifestError)) throw error;
      expect(error.message).not.toMatch(/[\n\r]/);
      expect(error.line).toBeGreaterThan(0);
    }
  };
  const pieces = fc.constantFrom(
    ...[
      "apiVersion: v1",
      "kind: List",
      "items:",
      "- ",
      "  ",
      "\n",
      "\t",
      "{",
      "}",
      "[",
      "]",
      ":",
      ",",
      '"',
      "'",
      "&a ",
      "*a",
      "<<: ",
      "!!str ",
      "!x ",
    ],
    ...[
      "|",
      ">",
      "---\n",
      "...\n",
      "%TAG ! x\n",
      "? ",
      "#",
      "\r",
      "\0",
      "\ufeff",
      "\u2028",
      "__proto__: ",
      "a: ",
      "yes",
      "010",
      '{"apiVersion":"v1","kind":"Pod"}',
      "\\",
    ],
  );
  test("JSON is taken for JSON exactly where JSON.parse does", () => {
    const inserted = fc.constantFrom(
      "",
      "\\",
      '"',
      "{",
      "}",
      "[",
      "]",
      ",",
      ":",
      "1",
      "e",
      ".",
      "-",
      "t",
      "null",
      " ",
      "\t",
      "\u0001",
      "\\u12",
    );
    fc.assert(
      fc.property(fc.json(), fc.nat(), inserted, fc.nat(3), (json, where, insert, removed) => {
        const cut = where % (json.length + 1);
        const text = `[${json.slice(0, cut)}${insert}${json.slice(cut + removed)}]`;
        let parsed: unknown;
        try {
          parsed = JSON.parse(text);
        } catch {}
        const seen: string[] = [];
        let read: unknown;
        try {
          const documents = readJsonDocuments(text, (message) => {
            seen.push(message);
            throw new Error(message);
          });
          if (Array.isArray(documents) && documents.length === 1) read = documents[0].value;
        } catch (error) {
          if (seen.length === 0) throw error;
          return;
        }
        expect(read).toEqual(parsed);
      }),
      { numRuns: 3000 },
    );
  });
  test("any characters", () => fc.assert(fc.property(fc.string({ unit: "binary", maxLength: 200 }), check), { numRuns: 2000 }));
  test("pieces of YAML and JSON", () =>
    fc.assert(
      fc.property(fc.array(pieces, { maxLength: 30 }), (parts) => check(parts.join(""))),
      { numRuns: 5000 },
    ));
  test("objects with pieces inserted", () =>
    fc.assert(
      fc.property(fc.constantFrom(POLICY, POLICY_JSON), fc.nat(), fc.array(pieces, { maxLength: 3 }), (text, where, parts) => {
        const cut = where % text.length;
        check(text.slice(0, cut) + parts.join("") + text.slice(cut + parts.length));
      }),
      { numRuns: 3000 },
    ));
});
