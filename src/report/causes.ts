import type { Decision } from "../evaluate/decision.ts";
import type { Endpoint } from "../evaluate/endpoints.ts";
import { type DeniedFlow, findNearMiss } from "../evaluate/nearMiss.ts";
import { type Ends, OUTCOME_NAMES, type Outcome } from "../evaluate/simulation.ts";
import type { Direction, Policy } from "../policy/model.ts";
import { endpointLabel, placeLabel, policyLabel } from "./labels.ts";
import { decisionMessage, portLabel, type SimulationResult } from "./simulationResult.ts";
import { grouped } from "./text.ts";

/** Connections with one cause: the same workloads and port, denied by the same policies for the same reason. */
export interface Cause {
  readonly from: string;
  readonly to: string;
  readonly port: string;
  readonly deniedBy: string;
  readonly why: string;
  /** Distinct connections, times they were seen, bytes. */
  readonly connections: number;
  readonly seen: number;
  readonly bytes: number;
  /** Number of the first of them, in the order of reports. */
  readonly example: number;
  /** Why they are accepted, where they are. */
  readonly accepted?: string;
}

/** A cause while its connections are gathered. */
interface Gathered {
  readonly sources: Set<Endpoint>;
  readonly destinations: Set<Endpoint>;
  readonly ports: Set<string>;
  readonly deniedBy: string;
  readonly why: string;
  readonly example: number;
  readonly accepted: string | undefined;
  connections: number;
  seen: number;
  bytes: number;
}

/** Ports of one cause that are listed; a scan of a thousand is a range in words. */
const LISTED = 4;

/** Groups the connections of an outcome by cause, most often seen first. Outside addresses with one fate are one group. */
export function findCauses(result: SimulationResult, outcome: Outcome): Cause[] {
  const { simulation } = result;
  const { connections } = simulation;
  const wanted = OUTCOME_NAMES.indexOf(outcome);
  const causes = new Map<string, Gathered>();
  const explainer = new Explainer(result);
  for (const i of result.order) {
    if (simulation.outcomes[i] !== wanted) continue;
    const [source, destination] = [simulation.sources[i], simulation.destinations[i]];
    const { deniedBy, why } = explainer.explain(i);
    const accepted = result.acceptedBecause(i);
    const port = portLabel(connections.protocol(i), simulation.ports[i]);
    const key = [groupOf(source), groupOf(destination), isScanned(outcome, simulation.observed(i)) ? "" : port, deniedBy, why, accepted].join("\u0000");
    let cause = causes.get(key);
    if (cause === undefined) {
      causes.set(key, (cause = { sources: new Set(), destinations: new Set(), ports: new Set(), deniedBy, why, accepted, example: i, connections: 0, seen: 0, bytes: 0 }));
    }
    cause.sources.add(source);
    cause.destinations.add(destination);
    cause.ports.add(port);
    cause.connections++;
    cause.seen += connections.count[i];
    cause.bytes += connections.bytes[i];
  }
  return [...causes.values()].sort((a, b) => b.seen - a.seen).map(finish);
}

/** Connections that failed anyway are many ports of one scanner more often than many causes. */
function isScanned(outcome: Outcome, observed: number): boolean {
  return outcome === "rejected" && observed > 0;
}

function finish({ sources, destinations, ports, accepted, ...cause }: Gathered): Cause {
  const listed = [...ports];
  const port = listed.length <= LISTED ? listed.join(", ") : `${listed.length} ports`;
  return { ...cause, from: nameOf(sources), to: nameOf(destinations), port, ...(accepted === undefined ? {} : { accepted }) };
}

/** What stands for an endpoint in a group: a workload, or the outside as a whole. */
function groupOf(endpoint: Endpoint): string {
  return endpoint.type === "external" || endpoint.type === "unknown" ? endpoint.type : endpointLabel(endpoint);
}

function nameOf(endpoints: ReadonlySet<Endpoint>): string {
  const labels = [...new Set([...endpoints].map(endpointLabel))];
  if (labels.length === 1) return labels[0];
  const [{ type }] = endpoints;
  return `${labels[0]} and ${grouped(labels.length - 1)} more ${type === "external" ? "outside" : "unknown"}`;
}

/** Says who denied connections, and why no rule allowed them. Answers depend on classes only: thousands of connections share one. */
class Explainer {
  readonly #result: SimulationResult;
  readonly #whys = new Map<string, string>();
  readonly #deniers = { egress: new Map<Decision, string>(), ingress: new Map<Decision, string>() };

  constructor(result: SimulationResult) {
    this.#result = result;
  }

  explain(i: number): { deniedBy: string; why: string } {
    const { simulation } = this.#result;
    const { egress, ingress, verdict } = simulation.judgement(i);
    const denied: Direction | undefined = egress.verdict === "deny" ? "egress" : ingress.verdict === "deny" ? "ingress" : undefined;
    const ends = simulation.ends(i);
    if (verdict !== "deny" || denied === undefined) {
      const open = egress.verdict === "unknown" ? "egress" : "ingress";
      return { deniedBy: "", why: decisionMessage(open === "egress" ? egress : ingress, open, ends) };
    }
    const decision = denied === "egress" ? egress : ingress;
    const both = egress.verdict === "deny" && ingress.verdict === "deny";
    const deniedBy = `${this.#deniersOf(decision, denied)}${both ? ` and ${this.#deniersOf(ingress, "ingress")}` : ""}`;
    return { deniedBy, why: this.#whyOf(i, decision, denied, ends) };
  }

  #deniersOf(decision: Decision, direction: Direction): string {
    let text = this.#deniers[direction].get(decision);
    if (text === undefined) this.#deniers[direction].set(decision, (text = `${listPolicies(decision.isolatedBy)} ${direction}`));
    return text;
  }

  #whyOf(i: number, decision: Decision, direction: Direction, ends: Ends): string {
    const { simulation } = this.#result;
    const { evaluator } = simulation;
    const [target] = ends.targets;
    if (target === undefined) return decisionMessage(decision, direction, ends);
    const protocol = simulation.connections.protocol(i);
    const flow: DeniedFlow = { direction, source: ends.source, destination: target.participant, protocol, port: target.port, ...(ends.via ? { dialledPort: ends.via.port } : {}) };
    const [subject, peer] = direction === "egress" ? [ends.source, target.participant] : [target.participant, ends.source];
    const key = [evaluator.cellKey(subject, peer, direction), evaluator.ports.classOf(protocol, target.port), protocol, ends.via?.port === target.port ? "" : ends.via?.port, peer.type === "pod" ? endpointLabel(direction === "egress" ? ends.destinationEndpoint : ends.sourceEndpoint) : ""].join();
    let why = this.#whys.get(key);
    if (why === undefined) this.#whys.set(key, (why = findNearMiss(evaluator, flow).text));
    return decision.notes.includes("ipblock-covers-pod") ? `${why}; an ipBlock holds the address, but blocks match no pods here` : why;
  }
}

/** Returns the first of some policies with its place: `shop/orders (orders.yaml:7)`, and how many more there are. */
function listPolicies(policies: readonly Policy[]): string {
  const [first] = policies;
  const place = placeLabel(first.ref);
  return `${policyLabel(first)}${place === "" ? "" : ` (${place})`}${policies.length > 1 ? ` +${policies.length - 1}` : ""}`;
}
