import { existsSync, readdirSync, readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { readManifest } from "../../src/cluster/manifest.ts";
import type { Policy } from "../../src/policy/model.ts";
import { printPolicy } from "../../src/policy/printPolicies.ts";
import { readPolicies } from "../../src/policy/readPolicies.ts";

/*
 * The law of all writers, parse(print(p)) = p, on every policy that the real engines judged. Left out where the vectors are not
 * there.
 */

const folder = new URL("../../../shared/oracle/", import.meta.url);
const dialects = [
  "networkpolicy",
  "adminpolicy",
  "clusternetworkpolicy",
  "clusternetworkpolicy/conformance",
  "cilium",
  "cilium-mixed",
  "calico",
];

/** A policy without the places that it was read from. */
function meaning(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(meaning);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).flatMap(([key, inner]) => (["path", "file", "line"].includes(key) ? [] : [[key, meaning(inner)]])),
  );
}

function read(objects: readonly unknown[]): Policy[] {
  const text = JSON.stringify({ apiVersion: "v1", kind: "List", items: objects });
  return readPolicies(readManifest(text, "policies.json"), { defaultNamespace: "default" }).policies;
}

describe.skipIf(!existsSync(folder))("what is printed reads as what was printed", () => {
  test.each(dialects)("%s", (dialect) => {
    const files = readdirSync(new URL(`${dialect}/`, folder)).filter((name) => name.endsWith(".json"));
    let printed = 0;
    for (const file of files) {
      const { policies } = JSON.parse(readFileSync(new URL(`${dialect}/${file}`, folder), "utf8")) as { policies: object[] };
      for (const [ref, specs] of Map.groupBy(read(policies), (policy) =>
        JSON.stringify([policy.ref.kind, policy.ref.namespace, policy.ref.name]),
      )) {
        const [first, ...rest] = specs;
        printed += specs.length;
        expect(read([printPolicy([first, ...rest])]).map(meaning), `${file} ${ref}`).toEqual(specs.map(meaning));
      }
    }
    expect(printed).toBeGreaterThan(0);
  });
});
