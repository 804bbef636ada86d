import { Evaluator, type Participant } from "../src/evaluate/evaluator.ts";
import { profileOf } from "../src/evaluate/profile.ts";
import { SCTP, TCP, UDP } from "../src/net/protocol.ts";
import { makePolicyWorld, outsideAddresses, SIZES, type Size } from "./policyWorld.ts";
import { Random } from "./random.ts";

/*
 * What a verdict costs: node bench/decide.ts [large|small]
 *
 * Two clusters, 50 pods with 50 policies and 5,000 with 2,000. Ends are classed beforehand, as a simulation does an address, not a
 * packet; then 10^7 random connections between 5,000 ends and outside addresses, on ports at and beside those of policies, are
 * decided at both sides. One direction is one decision. Give one size for its own peak memory:
 * it is the process's.
 */

const QUERIES = 10_000_000;
const COLD = 1_000_000;
/** One end in eleven is outside the cluster. */
const outsideOf = (size: Size): number => size.pods / 10;
const GOALS = { decisionNs: 100, compileSeconds: 2, megabytes: 500 };

/** Random questions, as columns: the loops that are timed do nothing but look up. */
interface Questions {
  readonly sources: Int32Array;
  readonly destinations: Int32Array;
  readonly protocols: Uint8Array;
  readonly ports: Uint16Array;
  readonly portClasses: Uint16Array;
}

function main(): void {
  const only = process.argv[2];
  for (const size of SIZES) if (only === undefined || (only === "large") === size.pods > 1000) measure(size);
}

function measure(size: Size): void {
  const world = makePolicyWorld(size);
  say(`\n${size.pods} pods, ${size.policies} policies, ${size.namespaces} namespaces, ${size.workloads} workloads`);
  const cpu = process.cpuUsage();
  const compiled = timed(() => new Evaluator(world.policies, world, profileOf("generic")));
  const used = process.cpuUsage(cpu);
  const evaluator = compiled.value;
  row(
    "compile",
    `${compiled.seconds.toFixed(3)} s wall, ${((used.user + used.system) / 1e6).toFixed(3)} s CPU`,
    compiled.seconds <= GOALS.compileSeconds,
  );

  const participants = [
    ...world.pods.map((pod): Participant => ({ type: "pod", pod, address: pod.addresses[0] })),
    ...outsideAddresses(outsideOf(size)).map((address): Participant => ({ type: "external", address })),
  ];
  const classed = timed(() => Int32Array.from(participants, (each) => evaluator.classify(each)));
  row("class an end, first time", nanoseconds(classed.seconds, participants.length));
  const again = timed(() => {
    let sum = 0;
    for (let i = 0; i < 1_000_000; i++) sum += evaluator.classify(participants[i % participants.length]);
    return sum;
  });
  row("class an end, again", nanoseconds(again.seconds, 1_000_000));

  const ends = classed.value;
  const first = makeQuestions(evaluator, ends, COLD, 3);
  const cold = timed(() => decide(evaluator, first));
  row("decision, first touch", `${nanoseconds(cold.seconds, 2 * COLD)} over 10^6 connections (${cold.seconds.toFixed(2)} s)`);

  const questions = makeQuestions(evaluator, ends, QUERIES, 4);
  const filling = timed(() => decide(evaluator, questions));
  row("decision, the first 10^7 connections", nanoseconds(filling.seconds, 2 * QUERIES));
  const warm = best(() => decide(evaluator, questions));
  const perDecision = (warm.seconds * 1e9) / (2 * QUERIES);
  row("decision, warm", nanoseconds(warm.seconds, 2 * QUERIES), perDecision <= GOALS.decisionNs);
  row("connection, warm (egress and ingress)", nanoseconds(warm.seconds, QUERIES));
  const withPorts = best(() => decideFromPorts(evaluator, questions));
  row("connection, warm, port to class included", nanoseconds(withPorts.seconds, QUERIES));
  if (warm.value !== filling.value || warm.value !== withPorts.value) throw new Error("one question, two answers");
  const { maxRSS } = process.resourceUsage();
  row(
    "peak memory",
    `${(maxRSS / 1024).toFixed(0)} MB, of which ${(questionBytes(questions) / 2 ** 20).toFixed(0)} MB are the questions`,
    maxRSS / 1024 <= GOALS.megabytes,
  );
  say(
    `  ${(allowedPart(evaluator, questions) * 100).toFixed(1)}% of decisions allow; ${Object.entries(evaluator.sizes)
      .map(([name, count]) => `${name} ${count}`)
      .join(", ")}`,
  );
}

function makeQuestions(evaluator: Evaluator, ends: Int32Array, count: number, seed: number): Questions {
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
function decide(evaluator: Evaluator, { sources, destinations, portClasses }: Questions): number {
  let sum = 0;
  for (let i = 0; i < sources.length; i++) {
    sum += evaluator.decideEgress(sources[i], destinations[i], portClasses[i]);
    sum += 3 * evaluator.decideIngress(sources[i], destinations[i], portClasses[i]);
  }
  return sum;
}

function decideFromPorts(evaluator: Evaluator, { sources, destinations, protocols, ports }: Questions): number {
  let sum = 0;
  for (let i = 0; i < sources.length; i++) {
    const portClass = evaluator.ports.classOf(protocols[i], ports[i]);
    sum += evaluator.decideEgress(sources[i], destinations[i], portClass);
    sum += 3 * evaluator.decideIngress(sources[i], destinations[i], portClass);
  }
  return sum;
}

/** Returns which part of the first questions' decisions allow: a world in which nothing or everything is allowed would measure nothing. */
function allowedPart(evaluator: Evaluator, { sources, destinations, portClasses }: Questions): number {
  const count = 100_000;
  let allowed = 0;
  for (let i = 0; i < count; i++) {
    if (evaluator.decisions[evaluator.decideEgress(sources[i], destinations[i], portClasses[i])].verdict === "allow") allowed++;
    if (evaluator.decisions[evaluator.decideIngress(sources[i], destinations[i], portClasses[i])].verdict === "allow") allowed++;
  }
  return allowed / (2 * count);
}

function questionBytes(questions: Questions): number {
  return Object.values(questions).reduce((sum, column) => sum + column.byteLength, 0);
}

function timed<T>(work: () => T): { value: T; seconds: number } {
  const begun = performance.now();
  const value = work();
  return { value, seconds: (performance.now() - begun) / 1000 };
}

/** The fastest of five runs: whatever else the machine does only adds. */
function best<T>(work: () => T): { value: T; seconds: number } {
  return Array.from({ length: 5 }, () => timed(work)).reduce((a, b) => (b.seconds < a.seconds ? b : a));
}

function nanoseconds(seconds: number, count: number): string {
  return `${((seconds * 1e9) / count).toFixed(1)} ns`;
}

function row(what: string, value: string, isMet?: boolean): void {
  say(`  ${what.padEnd(42)}${value}${isMet === undefined ? "" : isMet ? "  (goal met)" : "  (goal MISSED)"}`);
}

function say(text: string): void {
  process.stdout.write(`${text}\n`);
}

main();
