import { Evaluator, type Participant } from "../src/evaluate/evaluator.ts";
import { profileOf } from "../src/evaluate/profile.ts";
import { SCTP, TCP, UDP } from "../src/net/protocol.ts";
import { loadRegexEngine } from "../src/policy/regex.ts";
import { MIXED, type MixedName, makeMixedSet, namesOf } from "./mixedPolicies.ts";
import { makePolicyWorld, outsideAddresses, type Size } from "./policyWorld.ts";
import { Random } from "./random.ts";

/** NetworkPolicies alone, or those mixed with a plugin's own kinds and judged as it does. */
export type SetName = "plain" | MixedName;
export const SETS: readonly SetName[] = ["plain", ...MIXED];

await loadRegexEngine();

/** One end in eleven is outside the cluster, besides its nodes. */
const outsideOf = (size: Size): number => size.pods / 10;

/** Random questions, as columns: the loops that are timed do nothing but look up. */
export interface Questions {
  readonly sources: Int32Array;
  readonly destinations: Int32Array;
  readonly protocols: Uint8Array;
  readonly ports: Uint16Array;
  readonly portClasses: Uint16Array;
}

/** A compiled set and the ends that are asked about. */
export interface Subject {
  readonly evaluator: Evaluator;
  readonly participants: readonly Participant[];
  /** What compiling took. */
  readonly wallSeconds: number;
  readonly cpuSeconds: number;
}

export function compileSet(size: Size, name: SetName): Subject {
  const world = { ...makePolicyWorld(size), names: namesOf(outsideOf(size)), apiServers: new Set<bigint>() };
  const set = name === "plain" ? world.policies : makeMixedSet(name, size, world);
  const cpu = process.cpuUsage();
  const compiled = timed(() => new Evaluator(set, world, profileOf(name === "plain" ? "generic" : name)));
  const used = process.cpuUsage(cpu);
  const evaluator = compiled.value;
  if (evaluator.policies.length !== size.policies || evaluator.ignored.length > 0) throw new Error("not the set that was meant");
  const participants = [
    ...world.pods.map((pod): Participant => ({ type: "pod", pod, address: pod.addresses[0] })),
    ...world.nodes.map((node): Participant => ({ type: "node", node, address: node.addresses[0] })),
    ...outsideAddresses(outsideOf(size)).map((address): Participant => ({ type: "external", address })),
  ];
  return { evaluator, participants, wallSeconds: compiled.seconds, cpuSeconds: (used.user + used.system) / 1e6 };
}

export function classifyAll({ evaluator, participants }: Subject): Int32Array {
  return Int32Array.from(participants, (each) => evaluator.classify(each));
}

export function makeQuestions(evaluator: Evaluator, ends: Int32Array, count: number, seed: number): Questions {
  const random = new Random(seed);
  const questions: Questions = {
    sources: new Int32Array(count),
    destinations: new Int32Array(count),
    protocols: new Uint8Array(count),
    ports: new Uint16Array(count),
    portClasses: new Uint16Array(count),
  };
  // Ports at and beside those that rules name: these are the first ports of the classes.
  const edges = evaluator.ports.samples.filter(({ port }) => port >= 0);
  for (let i = 0; i < count; i++) {
    questions.sources[i] = ends[random.below(ends.length)];
    questions.destinations[i] = ends[random.below(ends.length)];
    const { protocol, port } = random.pick(edges);
    const isEdge = random.chance(0.8);
    questions.protocols[i] = isEdge ? protocol : random.pick([TCP, TCP, UDP, SCTP]);
    questions.ports[i] = isEdge ? port : random.below(65536);
    questions.portClasses[i] = evaluator.ports.classOf(questions.protocols[i], questions.ports[i]);
  }
  return questions;
}

/** Decides all questions; returns a sum over the ids of the decisions, so that no look-up can be left out. */
export function decide(evaluator: Evaluator, { sources, destinations, portClasses }: Questions): number {
  let sum = 0;
  for (let i = 0; i < sources.length; i++) {
    sum += evaluator.decideEgress(sources[i], destinations[i], portClasses[i]);
    sum += 3 * evaluator.decideIngress(sources[i], destinations[i], portClasses[i]);
  }
  return sum;
}

export function decideFromPorts(evaluator: Evaluator, { sources, destinations, protocols, ports }: Questions): number {
  let sum = 0;
  for (let i = 0; i < sources.length; i++) {
    const portClass = evaluator.ports.classOf(protocols[i], ports[i]);
    sum += evaluator.decideEgress(sources[i], destinations[i], portClass);
    sum += 3 * evaluator.decideIngress(sources[i], destinations[i], portClass);
  }
  return sum;
}

/** Says what the first questions' decisions are, most frequent reason first: a world in which all have one would measure nothing. */
export function reasonsOf(evaluator: Evaluator, { sources, destinations, portClasses }: Questions): string {
  const count = Math.min(100_000, sources.length);
  const counts = new Map<string, number>();
  for (let i = 0; i < count; i++) {
    for (const id of [
      evaluator.decideEgress(sources[i], destinations[i], portClasses[i]),
      evaluator.decideIngress(sources[i], destinations[i], portClasses[i]),
    ]) {
      const { verdict, reason } = evaluator.decisions[id];
      counts.set(`${verdict} ${reason}`, (counts.get(`${verdict} ${reason}`) ?? 0) + 1);
    }
  }
  return [...counts]
    .sort(([, a], [, b]) => b - a)
    .map(([what, each]) => `${what} ${((each / (2 * count)) * 100).toFixed(1)}%`)
    .join(", ");
}

export function timed<T>(work: () => T): { value: T; seconds: number } {
  const begun = performance.now();
  const value = work();
  return { value, seconds: (performance.now() - begun) / 1000 };
}
