import { cautionsOf } from "../evaluate/cautions.ts";
import type { ProbeResult } from "../report/probeResult.ts";
import { findBlindSpots } from "../synth/blindSpots.ts";
import { probePolicies } from "../synth/probing.ts";
import { refuseTwoStdins, UsageError } from "./errors.ts";
import { gapsOf, openSet, type SetFlags } from "./openSets.ts";
import { Progress } from "./progress.ts";
import { collectAtOnce, expectLongWork } from "./tiers.ts";

/** `synth --probe`: policies -> cases inside and outside of each rule -> verdicts -> blind spots, ready to be reported. */
export async function synthProbes(flags: SetFlags): Promise<ProbeResult> {
  refuseTwoStdins({ "--snapshot": flags.snapshot, "--filename": flags.filename });
  collectAtOnce();
  expectLongWork(false);
  const { cluster, judged, cni, warnings } = await openSet(flags);
  const { set, world } = judged;
  if (set.policies.length === 0) throw new UsageError("no policy is in force, so there are no rules to probe: give some with -f");
  expectLongWork(true);
  const progress = new Progress("comparing changed policies", 1);
  const probing = probePolicies(judged, (done, of) => progress.update(done / of));
  progress.stop();
  return {
    probing,
    blindSpots: findBlindSpots(probing, cluster, world.pods),
    cni,
    warnings: [...new Set([...warnings, ...cautionsOf(set, probing.plain, world), ...gapsOf(cluster, false)])],
  };
}
