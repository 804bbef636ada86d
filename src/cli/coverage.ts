import { compileConnectivity } from "../evaluate/compare.ts";
import { RuleEffects } from "../evaluate/coverageEffect.ts";
import { countHits, type RuleUse } from "../evaluate/coverageHits.ts";
import { type WrittenRule, WrittenRules } from "../evaluate/coverageRules.ts";
import { nearestSelected } from "../evaluate/coverageSelectors.ts";
import { coverWorkloads, type WorkloadCoverage } from "../evaluate/coverageWorkloads.ts";
import type { Evaluator, World } from "../evaluate/evaluator.ts";
import { type TighterSet, tightenPolicies } from "../generate/tighterPolicies.ts";
import { type TighterRule, tightenRule } from "../generate/tighterRules.ts";
import { type SelectableWorkload, Workloads } from "../generate/workloads.ts";
import { formatDuration } from "../net/time.ts";
import type { Policy } from "../policy/model.ts";
import type { CoverageResult, CoveredRule, IdlePolicy, IdleSelector, RuleFinding, Slack } from "../report/coverageResult.ts";
import type { SimulationResult } from "../report/simulationResult.ts";
import { workloadsWithTraffic } from "../report/summarizeSimulation.ts";
import { textDiff } from "../report/textDiff.ts";
import { UsageError } from "./errors.ts";
import { type Observation, observe } from "./observe.ts";
import { judgedIn, worldOf } from "./openSets.ts";
import { Progress } from "./progress.ts";
import { judgeTraffic, type Preparation, prepare, type SimulateFlags, selectsNoPodText } from "./simulate.ts";

export interface CoverageFlags extends Omit<SimulateFlags, "ignore"> {
  /** As it was written. */
  readonly min?: string | undefined;
}

/** Traffic and policies -> decisions -> hits of each rule; policies alone -> what each rule does; ready to be reported. */
export async function coverage(flags: CoverageFlags): Promise<CoverageResult> {
  const minimum = readMinimum(flags.min);
  const prepared = await prepare(flags);
  const observation = await observe(flags, prepared.sources, prepared.everyRequest);
  const simulation = judgeTraffic(prepared, observation);
  const { evaluator } = simulation.simulation;
  const rules = new WrittenRules(evaluator);
  const uses = countHits(simulation.simulation, rules);
  const world = wholeWorld(prepared, observation);
  const { judged, sources } = prepared;
  const connectivity = compileConnectivity([judgedIn(judged, world, sources.cluster, evaluator.profile)]);
  const effects = new RuleEffects(connectivity, rules);
  const talked = workloadsWithTraffic(simulation.simulation);
  const covered = coverWorkloads(connectivity.evaluators[0], world.pods, (key) => talked.has(key));
  const near = new NearestSelectors(connectivity.evaluators[0], world);
  const progress = new Progress("comparing rules", uses.length);
  const results = uses.map((use, i) => {
    progress.update(i);
    return coverRule(use, effects, covered, near);
  });
  progress.stop();
  const workloads = new Workloads(world.pods, sources.cluster.workloadSelectors);
  const isSilent = ({ namespace, kind, name }: SelectableWorkload) => !talked.has(`${namespace}/${kind}/${name}`);
  const slack = results.flatMap(({ use, effect }) =>
    effect.kind === "needed" ? (tightenRule(use, connectivity.evaluators[0], workloads, isSilent) ?? []) : [],
  );
  const tighter = tightenPolicies(judged, slack, {
    simulation: simulation.simulation,
    observed: observation.world,
    judged: (set) => judgedIn(set, world, sources.cluster, evaluator.profile),
  });
  // Policies that select nothing have a section of their own.
  const ownLines = new Set(simulation.selectNothing.map((policy) => selectsNoPodText(policy, sources)));
  return {
    simulation,
    rules: sorted(withSlack(results, slack, tighter)),
    idlePolicies: idlePolicies(rules.policies, evaluator, near),
    workloads: covered.workloads,
    tighter: tighter.objects.map(({ policy, before, after }) => ({ policy, text: after, diff: textDiff(before, after) })),
    ignored: evaluator.ignored,
    minimum,
    warnings: [
      ...new Set([
        ...simulation.warnings.filter((warning) => !ownLines.has(warning)),
        ...simulation.summary.confidence.because,
        ...undecided(simulation),
      ]),
    ],
  };
}

function readMinimum(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const number = /^\d{1,3}(\.\d+)?%?$/.test(text) ? Number.parseFloat(text) : Number.NaN;
  if (number >= 0 && number <= 100) return number;
  throw new UsageError(`--min: ${JSON.stringify(text)} is no percentage: give a number from 0 to 100, such as --min 80`);
}

/** Whoever policies may select: pods of workloads that have none running, and pods that logs alone tell of, are among it. */
function wholeWorld({ sources: { cluster } }: Preparation, { resolver, world }: Observation): World {
  const whole = worldOf(cluster);
  return { ...whole, namespaces: world.namespaces, pods: [...whole.pods, ...resolver.loggedPods] };
}

/** What selectors that select nothing most likely mean; each is looked for once. */
class NearestSelectors {
  readonly #evaluator: Evaluator;
  readonly #world: World;

  constructor(evaluator: Evaluator, world: World) {
    this.#evaluator = evaluator;
    this.#world = world;
  }

  ofSubject({ subject }: Policy): string | undefined {
    return nearestSelected(subject, this.#evaluator, this.#world.pods);
  }

  ofPeer({ rules }: WrittenRule, path: string): string | undefined {
    const peers = rules.flatMap((rule) => (rule.peers === "any" ? [] : rule.peers));
    const peer = peers.find(({ ref }) => ref.path === path);
    return peer?.kind === "pods" ? nearestSelected(peer.match, this.#evaluator, this.#world.pods) : undefined;
  }
}

function coverRule(use: RuleUse, effects: RuleEffects, { selectedBy }: WorkloadCoverage, near: NearestSelectors): CoveredRule {
  const { rule } = use;
  const effect = effects.effectOf(rule);
  const workloads = selectedBy.get(rule.policy) ?? [];
  const silent = workloads.filter(({ hadTraffic }) => !hadTraffic);
  const idlePeers = effects.idlePeersOf(rule).map((ref): IdleSelector => ({ ref, near: near.ofPeer(rule, ref.path) }));
  const findings: RuleFinding[] = [];
  if (effect.kind === "idle") findings.push("matches-nothing");
  if (effect.kind === "redundant") findings.push("redundant");
  if (effect.kind !== "idle" && use.decided.hits === 0)
    findings.push(use.unknown > 0 ? "unknown" : silent.length === workloads.length ? "not-exercised" : "dead");
  return { rule, use, effect, findings, workloads, silent, idlePeers, slack: undefined };
}

function withSlack(rules: readonly CoveredRule[], slack: readonly TighterRule[], { texts, reasons }: TighterSet): CoveredRule[] {
  const byUse = new Map(slack.map((each) => [each.use, each]));
  return rules.map((covered) => {
    const own = byUse.get(covered.use);
    if (own === undefined) return covered;
    const { ports, peers, width } = own;
    const slackOf: Slack = { ports, peers, width, tighter: texts.get(own), because: reasons.get(own) };
    return { ...covered, findings: [...covered.findings, "wider"], slack: slackOf };
  });
}

/** By namespace, name and kind; of one policy in the order in which it has them. */
function sorted(rules: readonly CoveredRule[]): CoveredRule[] {
  const keyOf = ({ rule: { policy } }: CoveredRule) => `${policy.ref.namespace ?? ""}\u0000${policy.ref.name}\u0000${policy.ref.kind}`;
  return rules.toSorted((a, b) => (keyOf(a) < keyOf(b) ? -1 : keyOf(a) > keyOf(b) ? 1 : 0));
}

function idlePolicies(policies: readonly Policy[], evaluator: Evaluator, near: NearestSelectors): IdlePolicy[] {
  return policies.filter((policy) => evaluator.selectsNoPod(policy)).map((policy) => ({ policy, near: near.ofSubject(policy) }));
}

function undecided({ summary: { unknown, connections, window } }: SimulationResult): string[] {
  if (unknown === 0) return [];
  const during = window === null ? "" : ` of these ${formatDuration(window.seconds)}`;
  return [`${unknown} of ${connections} connections${during} have an unknown verdict and count as no rule's hit: simulate tells why`];
}
