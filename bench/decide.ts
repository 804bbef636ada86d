import { spawnSync } from "node:child_process";
import { parseArgs } from "node:util";
import {
  classifyAll,
  compileSet,
  decide,
  decideFromPorts,
  makeQuestions,
  type Questions,
  reasonsOf,
  SETS,
  type SetName,
  timed,
} from "./decisions.ts";
import { median } from "./lib.ts";
import { SIZES, type Size } from "./policyWorld.ts";

/*
 * What a verdict costs: node bench/decide.ts [large|small] [plain|mixed] [--rounds N]
 *
 * Two clusters, 50 pods with 50 policies and 5,000 with 2,000, each with NetworkPolicies alone (`plain`) and with as many policies
 * of several kinds (`mixed`: a set for each of cilium, calico and generic). Ends are classed beforehand, as a simulation does an
 * address, not a packet; then 10^7 random connections between 5,000 ends, nodes and outside addresses, on ports at and beside those
 * of policies, are decided at both sides. One direction is one decision.
 *
 * Each set has a process of its own, whose peak memory is the set's. Then each mixed set takes turns with the plain one in one
 * process: the ratio is the median over the rounds.
 */

const QUERIES = 10_000_000;
const COLD = 1_000_000;
const GOALS = { decisionNs: 100, compileSeconds: 2, megabytes: 500, ratio: 1.5 };

function main(): void {
  const { values, positionals } = parseArgs({
    // The two with a set's name are what a process of its own is asked.
    options: { rounds: { type: "string", default: "5" }, alone: { type: "string" }, against: { type: "string" } },
    allowPositionals: true,
  });
  const known = ["large", "small", "plain", "mixed"];
  const wrong = positionals.find((each) => !known.includes(each));
  const rounds = Number(values.rounds);
  if (wrong !== undefined || !(Number.isInteger(rounds) && rounds > 0)) {
    process.stderr.write("usage: node bench/decide.ts [large|small] [plain|mixed] [--rounds N]\n");
    process.exitCode = 2;
    return;
  }
  const sizes = SIZES.filter((size) => !positionals.includes(size.pods > 1000 ? "small" : "large"));
  const setOf = (name: string): SetName => SETS.find((each) => each === name)!;
  if (values.alone !== undefined) return measure(sizes[0], setOf(values.alone), rounds);
  if (values.against !== undefined) return compare(sizes[0], setOf(values.against), rounds);
  for (const size of sizes) {
    say(`\n${size.pods} pods, ${size.policies} policies, ${size.namespaces} namespaces, ${size.workloads} workloads`);
    const sets = SETS.filter((name) => !positionals.includes(name === "plain" ? "mixed" : "plain"));
    for (const name of sets) inProcess(size, `--alone=${name}`, rounds);
    const mixed = sets.filter((name) => name !== "plain");
    if (mixed.length > 0) say("");
    for (const name of mixed) inProcess(size, `--against=${name}`, rounds);
  }
}

function inProcess(size: Size, what: string, rounds: number): void {
  const args = [import.meta.filename, size.pods > 1000 ? "large" : "small", what, `--rounds=${rounds}`];
  const { status } = spawnSync(process.execPath, args, { stdio: "inherit" });
  if (status !== 0) process.exitCode = 1;
}

/** Prints what a set costs. */
function measure(size: Size, name: SetName, rounds: number): void {
  say(`\n  ${name === "plain" ? "plain: NetworkPolicies, cni generic" : `mixed: cni ${name}`}`);
  const subject = compileSet(size, name);
  const { evaluator, participants, wallSeconds, cpuSeconds } = subject;
  row("compile", `${wallSeconds.toFixed(3)} s wall, ${cpuSeconds.toFixed(3)} s CPU`, wallSeconds <= GOALS.compileSeconds);
  const classed = timed(() => classifyAll(subject));
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
  const warm = best(rounds, () => decide(evaluator, questions));
  const perDecision = (warm.seconds * 1e9) / (2 * QUERIES);
  row("decision, warm", nanoseconds(warm.seconds, 2 * QUERIES), perDecision <= GOALS.decisionNs);
  row("connection, warm (egress and ingress)", nanoseconds(warm.seconds, QUERIES));
  const withPorts = best(rounds, () => decideFromPorts(evaluator, questions));
  row("connection, warm, port to class included", nanoseconds(withPorts.seconds, QUERIES));
  if (warm.value !== filling.value || warm.value !== withPorts.value) throw new Error("one question, two answers");
  const { maxRSS } = process.resourceUsage();
  const megabytes = maxRSS / 1024;
  row(
    "peak memory",
    `${megabytes.toFixed(0)} MB, of which ${(questionBytes(questions) / 2 ** 20).toFixed(0)} MB are the questions`,
    megabytes <= GOALS.megabytes,
  );
  row("tables", entriesOf(evaluator.sizes));
  row("decisions", reasonsOf(evaluator, questions));
}

/** Prints how the decisions of a mixed set compare with those of the plain one, taking turns. */
function compare(size: Size, name: SetName, rounds: number): void {
  const [plain, mixed] = [prepare(size, "plain"), prepare(size, name)];
  const runs = Array.from({ length: rounds }, () => ({ plain: plain().seconds, mixed: mixed().seconds }));
  const ratio = median(runs.map((run) => run.mixed / run.plain));
  const least = (which: "plain" | "mixed") => nanoseconds(Math.min(...runs.map((run) => run[which])), 2 * QUERIES);
  row(`decision, warm: ${name} / plain`, `${ratio.toFixed(2)} (${least("mixed")} / ${least("plain")})`, ratio <= GOALS.ratio);
}

/** Returns what decides all questions of a set once more; it has been done once. */
function prepare(size: Size, name: SetName): () => { seconds: number } {
  const subject = compileSet(size, name);
  const questions = makeQuestions(subject.evaluator, classifyAll(subject), QUERIES, 4);
  const sum = decide(subject.evaluator, questions);
  return () => {
    const run = timed(() => decide(subject.evaluator, questions));
    if (run.value !== sum) throw new Error("one question, two answers");
    return run;
  };
}

function questionBytes(questions: Questions): number {
  return Object.values(questions).reduce((sum, column) => sum + column.byteLength, 0);
}

/** The fastest of some runs: whatever else the machine does only adds. */
function best<T>(rounds: number, work: () => T): { value: T; seconds: number } {
  return Array.from({ length: rounds }, () => timed(work)).reduce((a, b) => (b.seconds < a.seconds ? b : a));
}

function entriesOf(counts: Readonly<Record<string, number>>): string {
  return Object.entries(counts)
    .map(([what, count]) => `${what} ${count}`)
    .join(", ");
}

function nanoseconds(seconds: number, count: number): string {
  return `${((seconds * 1e9) / count).toFixed(1)} ns`;
}

function row(what: string, value: string, isMet?: boolean): void {
  say(`    ${what.padEnd(42)}${value}${isMet === undefined ? "" : isMet ? "  (goal met)" : "  (goal MISSED)"}`);
}

function say(text: string): void {
  process.stdout.write(`${text}\n`);
}

main();
