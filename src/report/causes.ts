import type { Decision } from "../evaluate/decision.ts";
import type { Endpoint } from "../evaluate/endpoints.ts";
import type { Ends } from "../evaluate/ends.ts";
import type { Evaluator } from "../evaluate/evaluator.ts";
import { type DeniedFlow, findNearMiss } from "../evaluate/nearMiss.ts";
import { OUTCOME_NAMES, type Outcome } from "../evaluate/simulation.ts";
import { grouped } from "../net/number.ts";
import type { Direction, Policy, RuleRef } from "../policy/model.ts";
import { endpointLabel, placeLabel, policyLabel } from "./labels.ts";
import { decisionMessage, portLabel, type SimulationResult } from "./simulationResult.ts";

/** A policy that denies, or may deny, with its rule that decides or came nearest to allowing, where there is one to point at. */
export interface Culprit {
  readonly policy: Policy;
  readonly rule?: RuleRef;
}

/** Connections with one cause: the same workloads and port, denied by the same policies for the same reason. */
export interface Cause {
  readonly from: string;
  readonly to: string;
  readonly port: string;
  /** The ends as they are called whatever else was seen: all of the outside is `external`, where `from` and `to` count names. */
  readonly groups: readonly [from: string, to: string];
  readonly deniedBy: string;
  readonly why: string;
  /** Of each side that denies (for unknown: that may) the policy to look at first; none where no policy is about it. */
  readonly culprits: readonly Culprit[];
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
  readonly groups: readonly [string, string];
  readonly deniedBy: string;
  readonly why: string;
  readonly culprits: readonly Culprit[];
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
    const [source, destination] = [simulation.source(i), simulation.destination(i)];
    const { deniedBy, why, culprits } = explainer.explain(i);
    const accepted = result.acceptedBecause(i);
    const port = portLabel(connections.protocol(i), simulation.ports[i]);
    const groups = [groupOf(source), groupOf(destination)] as const;
    const key = [...groups, isScanned(outcome, simulation.observed(i)) ? "" : port, deniedBy, why, accepted].join("\u0000");
    let cause = causes.get(key);
    if (cause === undefined) {
      causes.set(
        key,
        (cause = {
          sources: new Set(),
          destinations: new Set(),
          ports: new Set(),
          groups,
          deniedBy,
          why,
          culprits,
          accepted,
          example: i,
          connections: 0,
          seen: 0,
          bytes: 0,
        }),
      );
    }
    cause.sources.add(source);
    cause.destinations.add(destination);
    cause.ports.add(port);
    cause.connections++;
    cause.seen += connections.count(i);
    cause.bytes += connections.bytes(i);
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

/** Who denied a connection, and why no rule allowed it. */
export interface Explanation {
  readonly deniedBy: string;
  readonly why: string;
  readonly culprits: readonly Culprit[];
}

/** Explains connections. Answers depend on classes only, so that thousands of connections share one. */
export class Explainer {
  readonly #result: SimulationResult;
  readonly #known = new Map<string, Explanation>();

  constructor(result: SimulationResult) {
    this.#result = result;
  }

  explain(i: number): Explanation {
    const { simulation } = this.#result;
    const { egress, ingress, verdict } = simulation.judgement(i);
    const denied: Direction | undefined = egress.verdict === "deny" ? "egress" : ingress.verdict === "deny" ? "ingress" : undefined;
    const ends = simulation.ends(i);
    if (verdict === "deny" && denied === undefined) {
      // Every backend is denied, one at the source and another at the destination.
      const both = [...new Set([...policiesOf(egress), ...policiesOf(ingress)])];
      return {
        deniedBy: listPolicies(both, "egress and ingress"),
        why: "every backend is denied, some at the source and some themselves",
        culprits: [...culpritsOf(egress), ...culpritsOf(ingress)],
      };
    }
    if (verdict === "allow" && simulation.connections.isCloudDenied(i))
      return {
        deniedBy: "",
        why: "a cloud's firewall (security group, network ACL) dropped it: no network policy is about that",
        culprits: [],
      };
    if (verdict !== "deny" || denied === undefined) {
      const open = egress.verdict === "unknown" ? "egress" : "ingress";
      const undecided = open === "egress" ? egress : ingress;
      return { deniedBy: "", why: decisionMessage(undecided, open, ends), culprits: undecidedCulprits(egress, ingress, ends) };
    }
    const [target] = ends.targets;
    const decision = denied === "egress" ? egress : ingress;
    if (target === undefined)
      return {
        deniedBy: listPolicies(decision.isolatedBy, denied),
        why: decisionMessage(decision, denied, ends),
        culprits: culpritsOf(decision),
      };
    const { evaluator } = simulation;
    const protocol = simulation.connections.protocol(i);
    const source = denied === "ingress" && ends.arrivesFrom !== undefined ? ends.arrivesFrom[ends.arrivesFrom.length - 1] : ends.source;
    const [subject, peer] = denied === "egress" ? [source, target.participant] : [target.participant, source];
    const peerLabel = peer.type === "pod" ? endpointLabel(denied === "egress" ? ends.destinationEndpoint : ends.sourceEndpoint) : "";
    const dialled = ends.via?.port === target.port ? undefined : ends.via?.port;
    const key = [
      evaluator.cellKey(subject, peer, denied),
      evaluator.ports.classOf(protocol, target.port),
      protocol,
      dialled,
      peerLabel,
      ingress.verdict,
    ].join();
    let explanation = this.#known.get(key);
    if (explanation === undefined) {
      const flow = {
        direction: denied,
        source,
        destination: target.participant,
        protocol,
        port: target.port,
        ...(dialled === undefined ? {} : { dialledPort: dialled }),
      };
      this.#known.set(
        key,
        (explanation = explainDenial(evaluator, flow, decision, denied === "egress" && ingress.verdict === "deny" ? ingress : undefined)),
      );
    }
    return explanation;
  }
}

/** Explains a decision that denies a flow, and where the other side denies it too, that. */
export function explainDenial(evaluator: Evaluator, flow: DeniedFlow, decision: Decision, alsoIngress: Decision | undefined): Explanation {
  const denying = alsoIngress === undefined ? "" : ` and ${deniedBy(alsoIngress, "ingress")}`;
  const others = alsoIngress === undefined ? [] : culpritsOf(alsoIngress);
  if (decision.reason !== "isolated" && decision.reason !== "tier-default")
    return {
      deniedBy: deniedBy(decision, flow.direction) + denying,
      why: whyRuleDenies(decision),
      culprits: [...culpritsOf(decision), ...others],
    };
  const nearest = findNearMiss(evaluator, flow);
  const block = decision.notes.includes("ipblock-covers-pod") ? "; an ipBlock holds the address, but blocks match no pods here" : "";
  const policy = shownPolicy(decision.isolatedBy, nearest.policy);
  const rule = nearest.rule === undefined || policy !== nearest.policy ? {} : { rule: nearest.rule };
  return {
    deniedBy: listPolicies(decision.isolatedBy, flow.direction, policy) + denying,
    why: nearest.text + block,
    culprits: [...(policy === undefined ? [] : [{ policy, ...rule }]), ...others],
  };
}

function policiesOf({ matched, isolatedBy }: Decision): Policy[] {
  return [...isolatedBy, ...matched.map(({ policy }) => policy)];
}

/** Returns the policy that a decision comes from, or hangs on, before others of its kind; none where no policy is about it. */
function culpritsOf({ matched, isolatedBy, reason }: Decision): Culprit[] {
  const [first] = matched;
  if (first !== undefined && reason !== "isolated" && reason !== "tier-default") return [{ policy: first.policy, rule: first.rule }];
  return isolatedBy.slice(0, 1).map((policy) => ({ policy }));
}

/** Returns the policy to look at where the verdict is open: any policy may select an end that is not known, so a known end's comes first. */
function undecidedCulprits(egress: Decision, ingress: Decision, { sourceEndpoint, destinationEndpoint }: Ends): Culprit[] {
  const sides = [
    { decision: egress, isKnown: sourceEndpoint.type === "pod" },
    { decision: ingress, isKnown: destinationEndpoint.type === "pod" },
  ];
  const rank = ({ decision, isKnown }: (typeof sides)[number]) => (isKnown ? 0 : 2) + (decision.verdict === "unknown" ? 0 : 1);
  const ranked = sides.sort((a, b) => rank(a) - rank(b)).map(({ decision }) => culpritsOf(decision));
  return ranked.find((culprits) => culprits.length > 0) ?? [];
}

/** Who denies by a rule, or by isolation. */
function deniedBy({ matched, isolatedBy, reason }: Decision, direction: Direction): string {
  const [first] = matched;
  return first === undefined || reason === "isolated" || reason === "tier-default"
    ? listPolicies(isolatedBy, direction)
    : listPolicies([...new Set(matched.map(({ policy }) => policy))], direction, first.policy);
}

function whyRuleDenies({ matched, reason, notes }: Decision): string {
  const [first] = matched;
  if (first === undefined) return notes.includes("dropped-to-own-node") ? "pods may not reach their own node" : "denied by default";
  const place = placeLabel(first.rule);
  const rule = `${first.rule.path}${place === "" ? "" : ` (${place})`}`;
  return reason === "l7-deny" ? `a request was seen that ${rule} does not allow` : `${rule} denies it`;
}

/** Returns the policy that came nearest to allowing, with its place and how many more isolate: `shop/orders ingress (orders.yaml:7) +1`. */
function listPolicies(
  policies: readonly Policy[],
  direction: Direction | "egress and ingress",
  nearest: Policy | undefined = policies[0],
): string {
  const shown = shownPolicy(policies, nearest);
  if (shown === undefined) return direction;
  const place = placeLabel(shown.ref);
  return `${policyLabel(shown)} ${direction}${place === "" ? "" : ` (${place})`}${policies.length > 1 ? ` +${policies.length - 1}` : ""}`;
}

/** Of policies that isolate alike, the one with the nearest rule is the one to mend. */
function shownPolicy(policies: readonly Policy[], nearest: Policy | undefined): Policy | undefined {
  return nearest !== undefined && policies.includes(nearest) ? nearest : policies[0];
}
