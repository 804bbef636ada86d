import { type ManifestObject, readManifest } from "../../src/cluster/manifest.ts";
import type { Problem } from "../../src/policy/problem.ts";

const HEAD = "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: p, namespace: shop}\nspec:\n";

/** Returns the NetworkPolicy `shop/p` with the given lines below `spec:`, which then start in line 5 at column 3. */
export function policyWith(...specLines: string[]): ManifestObject {
  return readManifest(`${HEAD}${specLines.map((line) => `  ${line}\n`).join("")}`, "p.yaml")[0];
}

/** Returns problems as one line each: `severity line:column path: message`. */
export function problemLines(problems: readonly Problem[]): string[] {
  return problems.map(({ severity, line, column, path, message }) => `${severity} ${line}:${column} ${path}: ${message}`);
}
