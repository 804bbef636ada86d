import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { compileConnectivity } from "../../src/evaluate/compare.ts";
import type { World } from "../../src/evaluate/evaluator.ts";
import { profileOf } from "../../src/evaluate/profile.ts";
import { parseAddress } from "../../src/net/address.ts";
import type { PolicySet } from "../../src/policy/model.ts";
import { loadRegexEngine } from "../../src/policy/regex.ts";
import { mutatedSet } from "../../src/synth/batches.ts";
import { judgeProbe } from "../../src/synth/probe.ts";
import { probePolicies } from "../../src/synth/probing.ts";
import { clusterOf, policySetOf, snapshotText } from "./compiled.ts";
import { dialectWorlds } from "./dialectWorlds.ts";

/*
 * Probes are complete: every mutation that changes connectivity, as the exact comparison of `diff` proves, changes the verdict of a probe.
 */

await loadRegexEngine();
const seed = process.env.FC_SEED === undefined ? 20261123 : Number(process.env.FC_SEED);
const factor = Number(process.env.FC_RUNS ?? 1);

describe.each(["generic", "cilium", "calico"] as const)("probes under %s", (cni) => {
  test("a probe notices every mutation that changes connectivity", () => {
    let mutations = 0;
    let changing = 0;
    fc.assert(
      fc.property(dialectWorlds(cni, 2), ({ resources, policies: objects }) => {
        const set = policySetOf(objects);
        const world: World = { ...clusterOf(snapshotText(resources)), apiServers: new Set([parseAddress("192.0.2.12")!]) };
        const profile = profileOf(cni);
        const judgedOf = (each: PolicySet) => ({ set: each, world, profile, isInside: () => false });
        const probing = probePolicies(judgedOf(set));
        const context = (what: string) => `${what} in ${JSON.stringify({ resources, policies: objects })}`;
        probing.mutations.forEach((mutation, m) => {
          const fate = probing.fates[m];
          const connectivity = compileConnectivity([judgedOf(set), judgedOf(mutatedSet(set, [mutation]))]);
          const differences = connectivity.differences();
          mutations++;
          if (differences.length > 0) changing++;
          const { verdicts } = connectivity;
          // What hangs on the same unknown facts before and after, though not in the same way, no single request or label shows.
          const isOpen = differences.every(({ verdicts: [before, after], family }) => {
            let open = true;
            verdicts.forEachPair(verdicts.within(before, family), verdicts.within(after, family), (_start, _end, a, b) => {
              if (a !== b && verdicts.meaningOf(a).verdict !== verdicts.meaningOf(b).verdict) open = false;
            });
            return open;
          });
          if (differences.length > 0 && !isOpen && fate.kind !== "noticed")
            throw new Error(context(`${fate.kind}: ${mutation.policy.ref.name} ${mutation.kind} ${mutation.what}`));
          if (fate.kind !== "noticed") return;
          // The same question by itself, without what shares its compilation.
          const probe = probing.probes[fate.by];
          const before = judgeProbe(probe, probing.evaluator).verdict;
          const after = judgeProbe(probe, probing.compile(mutatedSet(set, [mutation]))).verdict;
          if (before === after) throw new Error(context(`nothing noticed: ${mutation.policy.ref.name} ${mutation.kind} ${mutation.what}`));
        });
      }),
      { numRuns: Math.ceil(12 * factor), seed, endOnFailure: false },
    );
    expect(changing).toBeGreaterThan(50);
    expect(mutations).toBeGreaterThan(changing);
  });
});
