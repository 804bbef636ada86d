import { type DeniedFlow, findNearMiss } from "../evaluate/nearMiss.ts";
import { type Ends, OUTCOME_NAMES, type Outcome } from "../evaluate/simulation.ts";
import type { Direction, Policy } from "../policy/model.ts";
import { endpointLabel, placeLabel, policyLabel } from "./labels.ts";
import { decisionMessage, portLabel, type SimulationResult } from "./simulationResult.ts";

/** Connections with one cause: the same workloads and port, denied by the same policies for the same reason. */
export interface Cause {
  readonly from: string;
  readonly to: string;
  readonly port: string;
  readonly deniedBy: string;
  readonly why: string;
  /** Distinct connections, times they were seen, bytes. */
  connections: number;
  seen: number;
  bytes: number;
  /** Number of the first of them, in the order of reports. */
  readonly example: number;
  /** Distinct addresses where `to` or `from` is a name that several share. */
  readonly accepted?: string;
}

/** Groups the connections of an outcome by cause, most often seen first. */
export function findCauses(result: SimulationResult, outcome: Outcome): Cause[] {
  const { simulation } = result;
  const wanted = OUTCOME_NAMES.indexOf(outcome);
  const causes = new Map<string, Cause>();
  const whys = new Map<string, string>();
  for (const i of result.order) {
    if (simulation.outcomes[i] !== wanted) continue;
    const ends = simulation.ends(i);
    const { from, to } = { from: endpointLabel(ends.sourceEndpoint), to: endpointLabel(ends.destinationEndpoint) };
    const port = portLabel(simulation.connections.protocol(i), ends.port);
    const { deniedBy, why } = explain(result, i, ends, whys);
    const accepted = result.acceptedBecause(i);
    const key = [from, to, port, deniedBy, why, accepted].join("\u0000");
    let cause = causes.get(key);
    if (cause === undefined) causes.set(key, (cause = { from, to, port, deniedBy, why, connections: 0, seen: 0, bytes: 0, example: i, ...(accepted === undefined ? {} : { accepted }) }));
    cause.connections++;
    cause.seen += simulation.connections.count[i];
    cause.bytes += simulation.connections.bytes[i];
  }
  return [...causes.values()].sort((a, b) => b.seen - a.seen);
}

function explain(result: SimulationResult, i: number, ends: Ends, whys: Map<string, string>): { deniedBy: string; why: string } {
  const { simulation } = result;
  const { evaluator } = simulation;
  const { egress, ingress, verdict } = simulation.judge(i, evaluator, ends);
  const denied: Direction | undefined = egress.verdict === "deny" ? "egress" : ingress.verdict === "deny" ? "ingress" : undefined;
  if (verdict !== "deny" || denied === undefined) {
    const open = egress.verdict === "unknown" ? ("egress" as const) : ("ingress" as const);
    return { deniedBy: "", why: decisionMessage(open === "egress" ? egress : ingress, open, ends) };
  }
  const decision = denied === "egress" ? egress : ingress;
  const both = egress.verdict === "deny" && ingress.verdict === "deny";
  const deniedBy = `${listPolicies(decision.isolatedBy)} ${denied}${both ? `, also ${listPolicies(ingress.isolatedBy)} ingress` : ""}`;
  const target = ends.targets[0];
  if (target === undefined) return { deniedBy, why: decisionMessage(decision, denied, ends) };
  const protocol = simulation.connections.protocol(i);
  const flow: DeniedFlow = {
    direction: denied,
    source: ends.source,
    destination: target.participant,
    protocol,
    port: target.port,
    ...(ends.via ? { dialledPort: ends.via.port } : {}),
  };
  // What came nearest depends on classes only: thousands of connections share one answer.
  const key = [denied, evaluator.classify(ends.source), evaluator.classify(target.participant), protocol, evaluator.ports.classOf(protocol, target.port), ends.via?.port, target.port].join();
  let why = whys.get(key);
  if (why === undefined) whys.set(key, (why = findNearMiss(evaluator, flow).text));
  const note = decision.notes.includes("ipblock-covers-pod") ? "; an ipBlock holds the address, but blocks match no pods here" : "";
  return { deniedBy, why: why + note };
}

/** Returns policies with their places: `shop/orders (orders.yaml:7)`. */
function listPolicies(policies: readonly Policy[]): string {
  const shown = policies.slice(0, 2).map((policy) => policyLabel(policy) + (placeLabel(policy.ref) === "" ? "" : ` (${placeLabel(policy.ref)})`));
  return shown.join(", ") + (policies.length > 2 ? ` and ${policies.length - 2} more` : "");
}
