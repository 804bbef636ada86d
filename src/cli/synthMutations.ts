import { Evaluator } from "../evaluate/evaluator.ts";
import type { MutationResult } from "../report/mutationResult.ts";
import type { SimulationResult } from "../report/simulationResult.ts";
import { mutatePolicies } from "../synth/mutating.ts";
import { UsageError } from "./errors.ts";
import { type Observation, observe } from "./observe.ts";
import { judgedIn, worldOf } from "./openSets.ts";
import { Progress } from "./progress.ts";
import { judgeTraffic, type Preparation, prepare, type SimulateFlags } from "./simulate.ts";
import { expectLongWork } from "./tiers.ts";

/** `synth --mutate` with observed traffic: captures, flow logs or a broker -> connections -> what small changes they would show. */
export async function synthMutations(flags: SimulateFlags): Promise<MutationResult> {
  const prepared = await prepare(flags);
  const observation = await observe(flags, prepared.sources, prepared.everyRequest);
  return mutateWith(prepared, observation, judgeTraffic(prepared, observation));
}

/** Looks which small changes of the policies judged traffic notices. */
export function mutateWith({ judged, sources }: Preparation, observation: Observation, simulation: SimulationResult): MutationResult {
  const { evaluator } = simulation.simulation;
  if (evaluator.policies.length === 0) throw new UsageError("no policy is in force, so there is nothing to change: give some with -f");
  const { cluster } = sources;
  const whole = worldOf(cluster);
  const world = { ...whole, namespaces: observation.world.namespaces, pods: [...whole.pods, ...observation.resolver.loggedPods] };
  expectLongWork(true);
  const progress = new Progress("changing policies", 1);
  const mutating = mutatePolicies(
    {
      judged: judgedIn(judged, world, cluster, evaluator.profile),
      simulation: simulation.simulation,
      compile: (set) => new Evaluator(set, observation.world, evaluator.profile),
    },
    (done, of) => progress.update(done / of),
  );
  progress.stop();
  return { mutating, simulation, warnings: simulation.warnings };
}
