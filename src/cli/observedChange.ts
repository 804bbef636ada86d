import { Evaluator } from "../evaluate/evaluator.ts";
import { looksAtRequests } from "../evaluate/honoured.ts";
import { Simulation } from "../evaluate/simulation.ts";
import type { PolicySet } from "../policy/model.ts";
import { summarizeSimulation } from "../report/summarizeSimulation.ts";
import { type TrafficChange, trafficChange } from "../report/trafficChange.ts";
import type { ChosenProfile } from "./chooseProfile.ts";
import type { TrafficFlags } from "./inputs.ts";
import { observe } from "./observe.ts";
import { isUnread, type SourceFlags, type Sources } from "./sources.ts";

/** Judges observed traffic by both sets, in the later cluster. */
export async function observedChange(
  flags: TrafficFlags & SourceFlags,
  sources: Sources,
  [before, after]: readonly [PolicySet, PolicySet],
  { profile, because }: ChosenProfile,
): Promise<TrafficChange> {
  const everyRequest = [...before.policies, ...after.policies].some(looksAtRequests);
  const { traffic, connections, resolver, world, requestsOf, warnings } = await observe(flags, sources, everyRequest);
  const simulation = new Simulation(
    connections,
    traffic.table.addresses,
    resolver,
    new Evaluator(after, world, profile),
    new Evaluator(before, world, profile),
    requestsOf,
    undefined,
    isUnread(sources),
  );
  return trafficChange(
    summarizeSimulation({
      simulation,
      inputs: traffic.inputs,
      cni: { name: profile.name, because, caveats: profile.caveats },
      warnings,
      hints: traffic.hints,
      candidates: after.policies,
      selectNothing: [],
      pods: sources.cluster.pods,
      accepted: [],
      now: Date.now(),
    }),
  );
}
