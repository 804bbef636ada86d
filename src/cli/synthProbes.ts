import { cautionsOf } from "../evaluate/cautions.ts";
import { Evaluator } from "../evaluate/evaluator.ts";
import { loadRegexEngine } from "../policy/regex.ts";
import type { ProbeResult } from "../report/probeResult.ts";
import { findBlindSpots } from "../synth/blindSpots.ts";
import { probePolicies } from "../synth/probing.ts";
import { chooseProfile } from "./chooseProfile.ts";
import { UsageError } from "./errors.ts";
import { gapsOf, judgedIn, openPolicies, type SetFlags, worldOf } from "./openSets.ts";
import { Progress } from "./progress.ts";
import { collectAtOnce, expectLongWork } from "./tiers.ts";

/** `synth --probe`: policies -> cases inside and outside of each rule -> verdicts -> blind spots, ready to be reported. */
export async function synthProbes(flags: SetFlags): Promise<ProbeResult> {
  collectAtOnce();
  expectLongWork(false);
  const { sources, policies } = await openPolicies(flags);
  const { cluster } = sources;
  const { candidates, existing, judged: set, unevaluated } = policies;
  if (set.policies.length === 0) throw new UsageError("no policy is in force, so there are no rules to probe: give some with -f");
  const { profile, because, warnings } = chooseProfile(flags.cni, { guess: cluster.cni, formats: [] }, set, unevaluated);
  if (set.policies.some(({ ref }) => ref.apiVersion !== "networking.k8s.io/v1")) await loadRegexEngine();
  const world = worldOf(cluster);
  expectLongWork(true);
  const progress = new Progress("comparing changed policies", 1);
  const probing = probePolicies(
    set,
    (each) => judgedIn(each, world, cluster, profile),
    (done, of) => progress.update(done / of),
  );
  progress.stop();
  const evaluator = new Evaluator(set, world, profile);
  return {
    probing,
    blindSpots: findBlindSpots(probing, evaluator, cluster, world.pods),
    cni: { name: profile.name, because, caveats: profile.caveats },
    warnings: [
      ...new Set([
        ...cluster.warnings,
        ...warnings,
        ...existing.warnings,
        ...candidates.warnings,
        ...cautionsOf(set, evaluator, world),
        ...gapsOf(cluster, false),
      ]),
    ],
  };
}
