import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { expect, test } from "vitest";
import { readManifest } from "../../src/cluster/manifest.ts";
import { POLICY_TYPES } from "../../src/generate/dialect.ts";
import type { Scenario } from "./scenarios.ts";
import * as scenarios from "./scenarios.ts";
import { schemaFaults } from "./strictSchema.ts";
import { learn } from "./world.ts";

/*
 * What is written for the classic scenarios, read as a reviewer of a pull request would. UPDATE_GOLDENS=1 writes them anew: read
 * the difference before it is committed.
 */

const folder = new URL("goldens/", import.meta.url);
const SCENARIOS: readonly (readonly [string, Scenario])[] = [
  ["three-tiers", scenarios.threeTiers],
  ["shared-database", scenarios.sharedDatabase],
  ["deny-and-allow", scenarios.denyAndAllow],
];

test.each(SCENARIOS.flatMap(([name, scenario]) => POLICY_TYPES.map((type) => [name, type, scenario] as const)))(
  "%s as %s policies",
  (name, type, scenario) => {
    const { policies, proof } = learn(scenario.snapshot, scenario.flows, { ...scenario.options, type });
    expect(proof.failures).toEqual([]);
    const text = policies.map((policy) => `# file: ${policy.file}\n${policy.text}`).join("---\n");
    const golden = new URL(`${name}-${type}.yaml`, folder);
    if (process.env.UPDATE_GOLDENS) {
      mkdirSync(folder, { recursive: true });
      writeFileSync(golden, text);
    }
    expect(existsSync(golden)).toBe(true);
    expect(text).toBe(readFileSync(golden, "utf8"));
    if (type !== "calico") for (const { value } of readManifest(text, name)) expect(schemaFaults(value)).toEqual([]);
  },
);
