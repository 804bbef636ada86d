import type { Pod } from "../cluster/objects.ts";
import { shortWorkload } from "../cluster/workloads.ts";
import { OUTCOME_NAMES, type Simulation, VERDICTS } from "../evaluate/simulation.ts";
import { formatRfc3339 } from "../net/time.ts";
import type { Policy } from "../policy/model.ts";
import { type AcceptedFinding, covers, hasEnded } from "./accepted.ts";
import { confidenceOf } from "./confidence.ts";
import { endpointLabel } from "./labels.ts";
import type { SelectedWorkload, SimulationResult, SimulationSummary, Window } from "./simulationResult.ts";

/** What a simulation's report needs besides the simulation itself. */
export interface SimulationInput
  extends Pick<SimulationResult, "simulation" | "inputs" | "cni" | "warnings" | "hints" | "candidates" | "selectNothing"> {
  readonly pods: readonly Pod[];
  readonly accepted: readonly AcceptedFinding[];
  /** Epoch milliseconds: accepted findings end. */
  readonly now: number;
}

/** Sorts, counts and completes a simulation for its reports. */
export function summarizeSimulation(input: SimulationInput): SimulationResult {
  const { simulation } = input;
  const { connections } = simulation;
  const reasons = new Map<number, string>();
  const used = new Set<AcceptedFinding>();
  const counts: SimulationSummary = {
    connections: connections.size,
    allow: 0,
    deny: 0,
    unknown: 0,
    wouldDrop: 0,
    accepted: 0,
    packets: 0,
    bytes: 0,
    policies: simulation.evaluator.policies.length,
    window: windowOf(simulation),
    unobserved: [],
    confidence: confidenceOf(input.inputs),
  };
  const summary = counts as { -readonly [Key in keyof SimulationSummary]: SimulationSummary[Key] };
  for (let i = 0; i < connections.size; i++) {
    summary[VERDICTS[simulation.verdicts[i]]]++;
    summary.packets += connections.packets(i);
    summary.bytes += connections.bytes(i);
    if (OUTCOME_NAMES[simulation.outcomes[i]] !== "would-drop") continue;
    const finding = input.accepted.find((one) =>
      covers(one, simulation.source(i), simulation.destination(i), connections.protocol(i), simulation.ports[i], input.now),
    );
    if (finding === undefined) summary.wouldDrop++;
    else {
      used.add(finding);
      summary.accepted++;
      reasons.set(i, finding.reason);
    }
  }
  const warnings = [...input.warnings, ...input.accepted.flatMap((finding) => uselessness(finding, used.has(finding), input.now))];
  const selected = selectedWorkloads(simulation, input.candidates, input.pods, workloadsWithTraffic(simulation));
  summary.unobserved = selected.filter(({ hadTraffic }) => !hadTraffic).map(({ endpoint }) => endpoint);
  return {
    ...input,
    warnings,
    summary,
    selectedWorkloads: selected,
    order: sortedOrder(simulation),
    acceptedBecause: (i) => reasons.get(i),
  };
}

/** Says when an accepted finding has ended, or covers nothing: a misspelt one would go unseen. */
function uselessness(finding: AcceptedFinding, isUsed: boolean, now: number): string[] {
  if (isUsed) return [];
  const what =
    [finding.source, finding.destination].map((end) => end ?? "anything").join(" to ") +
    (finding.port === undefined ? "" : ` ${finding.port}`);
  return [
    hasEnded(finding, now)
      ? `accepted finding ${what} ended on ${finding.until}`
      : `accepted finding ${what} covers nothing here: mended, or misspelt?`,
  ];
}

/** Orders by what people see first, then by the numbers; equal input gives equal output. */
function sortedOrder(simulation: Simulation): Int32Array {
  const { connections } = simulation;
  const ranks = ranksOf(simulation);
  const source = simulation.sourceNumbers.map((number) => ranks[number]);
  const destination = simulation.destinationNumbers.map((number) => ranks[number]);
  const order = sortedByRank(sortedByRank(Int32Array.from(source.keys()), destination, ranks.length), source, ranks.length);
  // Between the same two ends there are few.
  for (let from = 0, to = 1; from < order.length; from = to++) {
    while (to < order.length && source[order[to]] === source[order[from]] && destination[order[to]] === destination[order[from]]) to++;
    if (to - from > 1) order.subarray(from, to).sort(compare);
  }
  return order;

  function compare(a: number, b: number): number {
    return (
      connections.protocol(a) - connections.protocol(b) ||
      connections.port(a) - connections.port(b) ||
      connections.viaPort(a) - connections.viaPort(b) ||
      (connections.firstSeconds(a) || 0) - (connections.firstSeconds(b) || 0) ||
      connections.firstNanoseconds(a) - connections.firstNanoseconds(b)
    );
  }
}

/** Returns the places of the endpoints, by number, in the order in which people look for them. */
function ranksOf(simulation: Simulation): Int32Array {
  // Each text ends with its endpoint's number, in two characters: so the texts are sorted alone, without calling back.
  const texts = Array.from(simulation.usedEndpoints(), (number) => {
    const endpoint = simulation.endpoints[number];
    const place = String.fromCharCode(number >>> 16, number & 0xffff);
    return `${endpointLabel(endpoint)}\u0000${endpoint.ip ?? ""}\u0000${endpoint.name ?? ""}\u0000${place}`;
  }).sort();
  const ranks = new Int32Array(simulation.endpoints.length);
  texts.forEach((text, rank) => (ranks[(text.charCodeAt(text.length - 2) << 16) | text.charCodeAt(text.length - 1)] = rank));
  return ranks;
}

/** Sorts numbers by their ranks (below `ranks`), equal ones staying in their order: comparing would take several times as long. */
function sortedByRank(numbers: Int32Array, rankOf: Int32Array, ranks: number): Int32Array {
  const next = new Int32Array(ranks + 1);
  for (const number of numbers) next[rankOf[number] + 1]++;
  for (let rank = 0; rank < ranks; rank++) next[rank + 1] += next[rank];
  const sorted = new Int32Array(numbers.length);
  for (const number of numbers) sorted[next[rankOf[number]]++] = number;
  return sorted;
}

function windowOf(simulation: Simulation): Window | null {
  const { connections } = simulation;
  let [first, firstNs, last, lastNs] = [Number.POSITIVE_INFINITY, 0, Number.NEGATIVE_INFINITY, 0];
  for (let i = 0; i < connections.size; i++) {
    const a = connections.firstSeconds(i);
    const an = connections.firstNanoseconds(i);
    if (a < first || (a === first && an < firstNs)) [first, firstNs] = [a, an];
    const b = connections.lastSeconds(i);
    const bn = connections.lastNanoseconds(i);
    if (b > last || (b === last && bn > lastNs)) [last, lastNs] = [b, bn];
  }
  const from = formatRfc3339(first, firstNs);
  const to = formatRfc3339(last, lastNs);
  if (from === undefined || to === undefined) return null;
  return { from, to, seconds: Math.round((last - first) * 1e9 + (lastNs - firstNs)) / 1e9 };
}

/** Returns the workloads that had traffic, as `namespace/Kind/name`. */
export function workloadsWithTraffic(simulation: Simulation): ReadonlySet<string> {
  const talked = new Set<string>();
  for (const number of simulation.usedEndpoints()) {
    const { type, namespace, workload } = simulation.endpoints[number];
    if (type === "pod") talked.add(`${namespace}/${workload}`);
  }
  return talked;
}

/** Returns the workloads that any candidate policy selects, by namespace and name. `talked` are those that had traffic. */
function selectedWorkloads(
  simulation: Simulation,
  candidates: readonly Policy[],
  pods: readonly Pod[],
  talked: ReadonlySet<string>,
): SelectedWorkload[] {
  const isCandidate = new Set(candidates);
  const found = new Map<string, SelectedWorkload & { readonly policies: Set<Policy> }>();
  const { evaluator } = simulation;
  for (const pod of pods) {
    if (pod.hostNetwork) continue;
    // A finished Job's pod stands for the next one; which address it had does not matter to who selects it.
    const number = evaluator.classify({ type: "pod", pod, address: pod.addresses[0] ?? 0n });
    const workload = `${pod.workload.kind}/${pod.workload.name}`;
    const key = `${pod.namespace}/${workload}`;
    for (const { policy } of [...evaluator.policiesOf(number, "ingress"), ...evaluator.policiesOf(number, "egress")]) {
      if (!isCandidate.has(policy)) continue;
      const known = found.get(key);
      if (known !== undefined) known.policies.add(policy);
      else {
        const endpoint = { type: "pod", namespace: pod.namespace, workload } as const;
        found.set(key, { endpoint, policies: new Set([policy]), hadTraffic: talked.has(key) });
      }
    }
  }
  const label = ({ endpoint }: SelectedWorkload) => `${endpoint.namespace}/${shortWorkload(endpoint.workload!)}`;
  return [...found.values()].sort((a, b) => (label(a) < label(b) ? -1 : label(a) > label(b) ? 1 : 0));
}
