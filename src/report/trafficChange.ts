import { OUTCOME_NAMES, VERDICTS } from "../evaluate/simulation.ts";
import { ConnectionWriter } from "./connectionJson.ts";
import type { SimulationResult } from "./simulationResult.ts";

/** Observed connections whose verdict changes; the simulation judges by the later set, its baseline is the earlier one. */
export interface TrafficChange {
  readonly result: SimulationResult;
  /** Numbers of connections, the most often seen first. */
  readonly changed: readonly number[];
}

/** Finds the connections whose verdict changes. */
export function trafficChange(result: SimulationResult): TrafficChange {
  const { simulation, order } = result;
  const changed = [...order].filter((i) => simulation.verdicts[i] !== simulation.baselines[i]);
  return { result, changed: changed.sort((a, b) => simulation.connections.count(b) - simulation.connections.count(a)) };
}

/** Returns the verdict of a connection under the earlier and the later set. */
export function verdictsOf({ simulation }: SimulationResult, i: number): [before: string, after: string] {
  return [VERDICTS[simulation.baselines[i]], VERDICTS[simulation.verdicts[i]]];
}

/** Reports whether a connection that was seen to work, or may have, is denied now and was not. */
export function isDropped({ simulation }: SimulationResult, i: number): boolean {
  return OUTCOME_NAMES[simulation.outcomes[i]] === "would-drop" && VERDICTS[simulation.baselines[i]] !== "deny";
}

/** Yields each of them as JSON, with both verdicts. */
export function* changedConnections(traffic: TrafficChange): Generator<string> {
  const writer = new ConnectionWriter(traffic.result);
  try {
    for (const i of traffic.changed) {
      writer.write(i);
      const [before, after] = verdictsOf(traffic.result, i);
      yield `${writer.take().toString().slice(0, -1)},"before":"${before}","after":"${after}"}`;
    }
  } finally {
    writer.release();
  }
}
