import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { Ajv } from "ajv";
import formats from "ajv-formats";
import { afterAll, expect, inject, test } from "vitest";
import { ROOT } from "./packages.ts";

interface Component {
  readonly "bom-ref": string;
  readonly type: string;
  readonly group?: string;
  readonly name: string;
  readonly version: string;
  readonly scope: string;
  readonly purl: string;
  readonly hashes: readonly { readonly content: string }[];
}
interface Bom {
  readonly components: readonly Component[];
  readonly dependencies: readonly { readonly ref: string; readonly dependsOn: readonly string[] }[];
}

const packages = inject("packages");
const bom = JSON.parse(readFileSync(join(packages, "kubectl-kguardian.cdx.json"), "utf8")) as Bom;
const licenses = readFileSync(join(packages, "THIRD-PARTY-LICENSES"), "utf8");
const folder = mkdtempSync(join(tmpdir(), "kguardian-sbom-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** CycloneDX's own schemas, from the library of its makers, which is fetched as the runtimes are. */
async function cycloneDxSchema() {
  const { extractNpmPackage } = await import(join(ROOT, "scripts/package/npmPackage.mjs"));
  const files = ["bom-1.6", "spdx", "jsf-0.82"].map((name) => `res/schema/${name}.SNAPSHOT.schema.json`);
  extractNpmPackage({
    name: "@cyclonedx/cyclonedx-library",
    version: "10.3.0",
    integrity: "sha512-RIT28sp1U0PCHaaeF3yNRwk6Jig/XJ8UsYAVOMYaHQ+0VVOvsjcp0PTWQFLUqJFF8XMud+Kdq6G+wtDAh+QJFA==",
    files,
    folder,
  });
  const [schema, ...others] = files.map((file) => JSON.parse(readFileSync(join(folder, file), "utf8")));
  // The schema names the others by their files.
  const ajv = new Ajv({ strict: false, allErrors: true });
  formats.default(ajv);
  // Not in ajv-formats; nothing here is an address outside of ASCII.
  ajv.addFormat("iri-reference", true).addFormat("idn-email", true);
  for (const [index, other] of others.entries()) ajv.addSchema(other, new URL(basename(files[index + 1]), schema.$id).href);
  return ajv.compile(schema);
}

test("the bill of materials holds against CycloneDX's schema", async () => {
  const validate = await cycloneDxSchema();
  validate(bom);
  expect(validate.errors ?? []).toEqual([]);
  // The schema can say no.
  expect(validate({ ...bom, components: [{ ...bom.components[0], scope: "bundled" }] })).toBe(false);
  expect(validate({ ...bom, bomFormat: "SPDX" })).toBe(false);
});

test("names what the lock file has, with its hash", () => {
  const lock = JSON.parse(readFileSync(join(ROOT, "package-lock.json"), "utf8")) as {
    packages: Record<string, { version: string; integrity: string; dev?: boolean; optional?: boolean }>;
  };
  const libraries = bom.components.filter(({ type }) => type === "library");
  for (const component of libraries) {
    const entry = lock.packages[component["bom-ref"]];
    expect(component.version).toBe(entry.version);
    expect(`sha512-${Buffer.from(component.hashes[0].content, "hex").toString("base64")}`).toBe(entry.integrity);
  }
  const production = Object.entries(lock.packages).filter(([path, { dev, optional }]) => path !== "" && !dev && !optional);
  expect(libraries.map((component) => component["bom-ref"])).toEqual(expect.arrayContaining(production.map(([path]) => path)));
  // A reference leads somewhere, and everything that is in the program is led to.
  const refs = new Set([...bom.components.map((component) => component["bom-ref"]), bom.dependencies[0].ref]);
  const reached = new Set<string>();
  const reach = (ref: string): void => {
    expect(refs).toContain(ref);
    if (reached.has(ref)) return;
    reached.add(ref);
    for (const next of bom.dependencies.find((each) => each.ref === ref)?.dependsOn ?? []) reach(next);
  };
  reach(bom.dependencies[0].ref);
  for (const component of bom.components) if (component.scope === "required") expect(reached).toContain(component["bom-ref"]);
});

test("of what is in the program the licence is told", () => {
  const required = bom.components.filter(({ type, scope }) => type === "library" && scope === "required");
  const names = required.map(({ group, name }) => (group === undefined ? name : `${group}/${name}`));
  expect(names).toEqual(expect.arrayContaining(["@kubernetes/client-node", "@oclif/core", "hyparquet", "js-yaml", "re2js", "undici"]));
  expect(names).not.toEqual(expect.arrayContaining(["typescript"]));
  for (const [index, { version }] of required.entries()) expect(licenses).toContain(`\n${names[index]} ${version} (`);
  const sections = licenses.split(`${"=".repeat(80)}\n\n`);
  expect(sections).toHaveLength(required.length + 2);
  expect(sections.at(-1)).toMatch(/^Node\.js\n\nNode\.js is licensed for use as follows/);
});
