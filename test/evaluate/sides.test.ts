import { expect, test, vi } from "vitest";
import type * as Cell from "../../src/evaluate/cell.ts";
import type { CompiledPolicy } from "../../src/evaluate/clauses.ts";
import { compileConnectivity } from "../../src/evaluate/compare.ts";
import { profileOf } from "../../src/evaluate/profile.ts";
import { loadRegexEngine } from "../../src/policy/regex.ts";
import { clusterOf, policySetOf, snapshotText } from "../oracle/compiled.ts";
import { ciliumPolicy } from "./dialects.ts";
import { policy, SHOP } from "./shop.ts";

await loadRegexEngine();

const work = vi.hoisted(() => ({ cells: 0, clauses: 0 }));
vi.mock("../../src/evaluate/cell.ts", async (load) => {
  const real = await load<typeof Cell>();
  const decideCell = (rules: Cell.Rules, policies: readonly CompiledPolicy[], question: Cell.Question) => {
    work.cells++;
    for (const { clauses } of policies) work.clauses += clauses.length;
    return real.decideCell(rules, policies, question);
  };
  return { ...real, decideCell };
});

/** Works out what one set allows and returns how much was asked for it. */
function workOf(text: string, cni: "generic" | "cilium"): { cells: number; clauses: number } {
  const world = clusterOf(snapshotText(SHOP));
  Object.assign(work, { cells: 0, clauses: 0 });
  const links = compileConnectivity([{ set: policySetOf(text), world, profile: profileOf(cni), isInside: () => false }]).allowed();
  expect(links.length).toBeGreaterThan(COUNT);
  return { ...work };
}

const COUNT = 150;

// Each rule has a prefix and a port of its own: asking all ports of all peers would be COUNT times COUNT cells, each of COUNT rules.
test("ports are asked among the rules for a peer alone", () => {
  const rules = Array.from({ length: COUNT }, (_, i) => `{to: [{ipBlock: {cidr: 198.51.${i}.0/24}}], ports: [{port: ${1000 + 2 * i}}]}`);
  const { cells, clauses } = workOf(
    policy("shop/p", "podSelector: {}", "policyTypes: [Egress]", `egress: [${rules.join(", ")}]`),
    "generic",
  );
  expect(cells).toBeGreaterThan(COUNT);
  expect(cells).toBeLessThan(10 * COUNT);
  expect(clauses).toBeLessThan(10 * COUNT);
});

test("ports are asked once for all that no rule for the peer names, where rules want to see requests", () => {
  const http = "rules: {http: [{method: GET}]}";
  const rules = Array.from(
    { length: COUNT },
    (_, i) => `{toCIDR: [198.51.${i}.0/24], toPorts: [{ports: [{port: "${1000 + 2 * i}", protocol: TCP}], ${http}}]}`,
  );
  const { cells } = workOf(ciliumPolicy("shop/p", `endpointSelector: {}, egress: [${rules.join(", ")}]`), "cilium");
  expect(cells).toBeGreaterThan(COUNT);
  expect(cells).toBeLessThan(20 * COUNT);
});
