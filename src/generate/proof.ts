import { readManifest } from "../cluster/manifest.ts";
import type { Pod } from "../cluster/objects.ts";
import type { Decision, Match } from "../evaluate/decision.ts";
import type { Endpoint, EndpointResolver } from "../evaluate/endpoints.ts";
import { Evaluator, type Participant, type World } from "../evaluate/evaluator.ts";
import { decideByRequests } from "../evaluate/l7.ts";
import { type KnownNames, NO_NAMES } from "../evaluate/nameMatch.ts";
import type { CniProfile } from "../evaluate/profile.ts";
import type { Simulation } from "../evaluate/simulation.ts";
import { type Direction, type Policy, type PolicySet, policyTitle } from "../policy/model.ts";
import { identityOf, overlay, readPolicies } from "../policy/readPolicies.ts";
import type { Gathered } from "./gather.ts";
import type { PlannedPolicy } from "./plan.ts";
import { makeProbes, type Probe } from "./probes.ts";

/** A probe that passes, and whose rule lets it. */
export interface ExplainedProbe {
  readonly probe: Probe;
  readonly by: string;
  /** The existing policy that it is, where it is one. */
  readonly existing?: string;
}

/** What proving found. Without failures everything that was learned passes, each rule is used, and what is beside them is closed. */
export interface Proof {
  readonly learned: number;
  readonly allowed: number;
  readonly rules: number;
  readonly used: number;
  /** Rules that nothing seen can use: what others of the same policy need. */
  readonly needed: number;
  readonly probes: number;
  readonly denied: number;
  readonly explained: readonly ExplainedProbe[];
  /** What is wrong, a line each: then nothing may be written. */
  readonly failures: readonly string[];
}

export interface ProofInput {
  readonly policies: readonly PlannedPolicy[];
  /** Existing policies; written ones take the place of those of their names. */
  readonly set: PolicySet;
  readonly world: World;
  readonly profile: CniProfile;
  readonly simulation: Simulation;
  /** The existing policies alone. */
  readonly existing: Evaluator;
  readonly gathered: Gathered;
  readonly resolver: EndpointResolver;
}

const NOTHING: Omit<Proof, "failures"> = { learned: 0, allowed: 0, rules: 0, used: 0, needed: 0, probes: 0, denied: 0, explained: [] };

/** Returns the proof of what cannot be judged at all. */
export function unproven(failures: readonly string[]): Proof {
  return { ...NOTHING, failures: told(failures) };
}

/** Cases of one kind that are told; the rest is counted. */
const TOLD = 5;

/**
 * Holds the written texts, read back as a cluster would read them, against what they were made from: every learned connection is
 * judged by them and the existing policies together, every rule must be used, and probes beside each rule must be denied unless
 * another rule with evidence of its own allows them.
 */
export function prove(input: ProofInput): Proof {
  const { policies, set, world, profile, resolver } = input;
  const { written, faults } = readBack(policies);
  if (faults.length > 0) return unproven(faults);
  const merged = overlay(set, { policies: written.map(({ read }) => read), tiers: [], sets: [] }, "overlay");
  const { probes, pods, namespaces } = makeProbes(policies, resolver);
  const probeWorld: World = {
    ...world,
    pods: [...world.pods, ...pods],
    namespaces: new Map([...world.namespaces, ...namespaces.map((each) => [each.name, each] as const)]),
    names: namesWith(world.names ?? NO_NAMES, probes),
  };
  const evaluator = new Evaluator(merged, probeWorld, profile);
  const rulesOf = new Map(written.map(({ read, planned }) => [read, planned]));
  const replay = replayLearned(input, evaluator, rulesOf);
  const unused = unusedRules(policies, replay.used, written, probeWorld, profile);
  const rules = policies.reduce((sum, { rules: own }) => sum + own.length, 0);
  const needed = policies.reduce((sum, { rules: own }) => sum + own.filter((rule) => rule.needed !== undefined).length, 0);
  const asked = askProbes(probes, evaluator, rulesOf);
  return {
    learned: input.gathered.learned.length,
    allowed: input.gathered.learned.length - replay.denied,
    rules,
    used: rules - unused.length - needed,
    needed,
    probes: probes.length,
    denied: asked.denied,
    explained: asked.explained,
    failures: [
      ...replay.failures,
      ...findCollateral(input, evaluator),
      ...told(unused.map((rule) => `${rule} is used by nothing that was learned`)),
      ...asked.failures,
    ],
  };
}

/** The addresses beside have no names: of one whose names are not known a rule by name stays open. */
function namesWith(known: KnownNames, probes: readonly Probe[]): KnownNames {
  const named = new Set([...known.entries()].map(([address]) => address));
  const beside = probes.flatMap(({ peer }) =>
    peer.type === "external" && peer.address !== undefined && !named.has(peer.address) ? [[peer.address, []] as const] : [],
  );
  return { entries: () => [...known.entries(), ...beside] };
}

interface Written {
  readonly read: Policy;
  readonly planned: PlannedPolicy;
}

/** Reads the texts as the files that they become: names and labels of a snapshot may be such that no API server takes them. */
function readBack(policies: readonly PlannedPolicy[]): { written: Written[]; faults: string[] } {
  const written: Written[] = [];
  const faults: string[] = [];
  for (const planned of policies) {
    const { policies: read, problems } = readPolicies(readManifest(planned.text, planned.file), { defaultNamespace: planned.namespace });
    const fault = problems.find(({ severity }) => severity === "error");
    const own = read.find(({ ref }) => identityOf(ref) === identityOf(planned.policy.ref));
    if (fault === undefined && own !== undefined) written.push({ read: own, planned });
    else
      faults.push(`${planned.file} would be refused${fault === undefined ? "" : `: line ${fault.line}: ${fault.path}: ${fault.message}`}`);
  }
  return { written, faults };
}

type RulesOf = ReadonlyMap<Policy, PlannedPolicy>;

/** Returns which rule of which written policy matched; undefined for existing policies. */
function ruleOf({ policy, rule }: Match, rulesOf: RulesOf): { planned: PlannedPolicy; rule: number } | undefined {
  const planned = rulesOf.get(policy);
  const [, direction, entry] = /^(ingress|egress)\[(\d+)\]/.exec(rule.path) ?? [];
  if (planned === undefined || direction === undefined) return undefined;
  const number = planned.entries[direction as Direction][Number(entry)];
  return number === undefined ? undefined : { planned, rule: number };
}

interface Replay {
  readonly denied: number;
  readonly used: ReadonlyMap<PlannedPolicy, ReadonlySet<number>>;
  readonly failures: readonly string[];
}

/** Judges every learned connection. Both sides must allow it; a side that existing policies do not allow is theirs to mend. */
function replayLearned({ gathered, simulation, existing, policies }: ProofInput, evaluator: Evaluator, rulesOf: RulesOf): Replay {
  const decisions = new Set<Decision>();
  const cases: string[] = [];
  const isWritten = new Set(policies.flatMap(({ learned }) => (learned === undefined ? [] : learned.workload.pods)));
  let denied = 0;
  for (const i of gathered.learned) {
    const ends = simulation.ends(i);
    const { egress, ingress, verdict } = simulation.judge(i, evaluator, ends);
    decisions.add(egress).add(ingress);
    if (verdict === "allow") continue;
    const before = simulation.judge(i, existing, ends);
    const isOwn = {
      egress: isPodOf(ends.source, isWritten),
      ingress: ends.targets.some(({ participant }) => isPodOf(participant, isWritten)),
    };
    const wrong = (["egress", "ingress"] as const).find((direction) => {
      const now = direction === "egress" ? egress : ingress;
      return now.verdict !== "allow" && (isOwn[direction] || before[direction].verdict === "allow");
    });
    if (wrong === undefined) continue;
    denied++;
    const decision = wrong === "egress" ? egress : ingress;
    const by = isolatedBy(decision);
    cases.push(`${flowName(simulation, i)}: ${wrong} is ${decision.verdict} (${decision.reason}${by === "" ? "" : `, ${by}`})`);
  }
  const used = new Map<PlannedPolicy, Set<number>>();
  for (const { matched } of decisions) {
    for (const match of matched) {
      const rule = ruleOf(match, rulesOf);
      if (rule === undefined) continue;
      const known = used.get(rule.planned) ?? new Set();
      used.set(rule.planned, known.add(rule.rule));
    }
  }
  return { denied, used, failures: told(cases) };
}

/** Returns the connections that policies cut though nobody asked for them: those of other workloads that a selector holds too. */
function findCollateral({ gathered, simulation, existing, policies }: ProofInput, evaluator: Evaluator): string[] {
  if (policies.every(({ alsoSelects }) => alsoSelects.length === 0)) return [];
  const cases: string[] = [];
  for (const i of gathered.unrelated) {
    const ends = simulation.ends(i);
    const { egress, ingress, verdict } = simulation.judge(i, evaluator, ends);
    if (verdict === "allow" || simulation.judge(i, existing, ends).verdict !== "allow") continue;
    const [side, decision] = egress.verdict === "allow" ? (["ingress", ingress] as const) : (["egress", egress] as const);
    // Whoever nobody knows may be any pod: that a policy could select it is no sign that it does.
    const subjects = side === "egress" ? [ends.source] : ends.targets.map(({ participant }) => participant);
    if (decision.verdict === "unknown" && subjects.every(({ type }) => type === "unknown")) continue;
    const by = isolatedBy(decision);
    cases.push(
      `${flowName(simulation, i)}, for which no policy was asked, is cut: ${side} is ${decision.verdict} by ${by}, which selects it too; generate for both (--all), or tell their labels apart`,
    );
  }
  return told(cases);
}

function isolatedBy({ isolatedBy: policies }: Decision): string {
  return policies.map(({ ref }) => policyTitle(ref)).join(", ");
}

function flowName(simulation: Simulation, i: number): string {
  return `${nameOf(simulation.source(i))} to ${nameOf(simulation.destination(i))} port ${simulation.ports[i]}`;
}

function isPodOf(participant: Participant, pods: ReadonlySet<Pod>): boolean {
  return participant.type === "pod" && pods.has(participant.pod);
}

function nameOf({ namespace, workload, names, name, ip }: Endpoint): string {
  return workload === undefined ? (names?.[0] ?? name ?? ip ?? "?") : `${namespace}/${workload}`;
}

/** Returns rules that matched nothing. Plugins that ask policies in order name only the first that decides: the rest is asked alone. */
function unusedRules(
  policies: readonly PlannedPolicy[],
  used: Replay["used"],
  written: readonly Written[],
  world: World,
  profile: CniProfile,
): string[] {
  return policies.flatMap((planned) => {
    const own = used.get(planned) ?? new Set();
    const suspects = planned.rules.map((_, i) => i).filter((i) => !own.has(i) && planned.rules[i].needed === undefined);
    if (suspects.length === 0) return [];
    const read = written.find((each) => each.planned === planned)!.read;
    const alone = new Evaluator([read], world, profile);
    return suspects.filter((i) => !matchesAlone(planned, i, read, alone)).map((i) => `${planned.file} ${planned.rules[i].rule.ref.path}`);
  });
}

function matchesAlone(planned: PlannedPolicy, i: number, read: Policy, evaluator: Evaluator): boolean {
  const { direction, seen } = planned.rules[i];
  return seen.some(({ example, protocol, port }) => {
    const decision = decide(evaluator, direction, example.subject, example.peer, protocol, port);
    return (decision.l7?.allow ?? decision).matched.some((match) => ruleOf(match, new Map([[read, planned]]))?.rule === i);
  });
}

/** Returns what one side of a connection meets, asked of a single evaluator. */
export function decide(
  evaluator: Evaluator,
  direction: Direction,
  subject: Participant,
  peer: Participant,
  protocol: number,
  port: number,
): Decision {
  const portClass = evaluator.ports.classOf(protocol, port);
  const [own, other] = [evaluator.classify(subject), evaluator.classify(peer)];
  const id = direction === "egress" ? evaluator.decideEgress(own, other, portClass) : evaluator.decideIngress(other, own, portClass);
  return evaluator.decisions[id];
}

interface Asked {
  readonly denied: number;
  readonly explained: readonly ExplainedProbe[];
  readonly failures: readonly string[];
}

function askProbes(probes: readonly Probe[], evaluator: Evaluator, rulesOf: RulesOf): Asked {
  const explained: ExplainedProbe[] = [];
  const cases: string[] = [];
  let denied = 0;
  for (const probe of probes) {
    const whole = decide(evaluator, probe.direction, probe.subject, probe.peer, probe.protocol, probe.port);
    const decision = probe.request === undefined ? whole : decideByRequests(whole, [probe.request]);
    if (decision.verdict === "deny") {
      denied++;
      continue;
    }
    const by = probe.isOfOtherPeer ? { by: "another peer of the same rule" } : whoAllows(decision, probe, rulesOf);
    if (by === undefined)
      cases.push(
        `${probe.policy.file} ${probe.policy.rules[probe.rule].rule.ref.path} with ${probe.what}: ${decision.verdict} (${decision.reason})${decision.reason === "unknown-labels" ? ": the snapshot lacks labels of a namespace, save it with ns" : ""}`,
      );
    else explained.push({ probe, ...by });
  }
  return { denied, explained, failures: told(cases) };
}

/** Returns what other than the rule itself allows a probe; undefined where nothing with evidence of its own does. */
function whoAllows({ verdict, reason, matched, l7 }: Decision, probe: Probe, rulesOf: RulesOf): Omit<ExplainedProbe, "probe"> | undefined {
  if (verdict === "allow" && (reason === "own-node" || reason === "self"))
    return { by: reason === "self" ? "a pod's traffic to itself" : "traffic with the pod's own node" };
  if (verdict === "unknown" && l7 === undefined) return undefined;
  for (const match of (l7?.allow ?? { matched }).matched) {
    const rule = ruleOf(match, rulesOf);
    if (rule?.planned === probe.policy && rule.rule === probe.rule) continue;
    if (rule !== undefined) return { by: `${rule.planned.file} ${rule.planned.rules[rule.rule].rule.ref.path}` };
    const name = policyTitle(match.policy.ref);
    return { by: `existing policy ${name}`, existing: name };
  }
  return undefined;
}

function told(cases: readonly string[]): string[] {
  return cases.length <= TOLD ? [...cases] : [...cases.slice(0, TOLD), `and ${cases.length - TOLD} more of this kind`];
}
