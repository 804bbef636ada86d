import { formatRfc3339 } from "../net/time.ts";
import type { Direction } from "../policy/model.ts";
import type { WrittenRule, WrittenRules } from "./coverageRules.ts";
import type { Decision } from "./decision.ts";
import type { Ends } from "./ends.ts";
import type { Participant } from "./evaluator.ts";
import { type Simulation, VERDICTS } from "./simulation.ts";

/** How often something was used. */
export class Tally {
  /** Times that a connection was seen. */
  hits = 0;
  /** Distinct connections. */
  connections = 0;
  #first: readonly [seconds: number, nanoseconds: number] | undefined;
  #last: readonly [seconds: number, nanoseconds: number] | undefined;

  /** Counts connection `i`, seen so many times. */
  add({ connections }: Simulation, i: number, times: number): void {
    this.hits += times;
    this.connections++;
    const first = [connections.firstSeconds(i), connections.firstNanoseconds(i)] as const;
    const last = [connections.lastSeconds(i), connections.lastNanoseconds(i)] as const;
    // Connections without times have NaN, which is neither before nor after anything.
    if (first[0] >= 0 && (this.#first === undefined || isBefore(...first, this.#first))) this.#first = first;
    if (last[0] >= 0 && (this.#last === undefined || !isBefore(...last, this.#last))) this.#last = last;
  }

  /** RFC 3339; undefined without hits or times. */
  get firstSeen(): string | undefined {
    return this.#first === undefined ? undefined : formatRfc3339(...this.#first);
  }

  get lastSeen(): string | undefined {
    return this.#last === undefined ? undefined : formatRfc3339(...this.#last);
  }
}

function isBefore(seconds: number, nanoseconds: number, [other, otherNanoseconds]: readonly [number, number]): boolean {
  return seconds < other || (seconds === other && nanoseconds < otherNanoseconds);
}

/** A pair of ends and a port that a rule was used for. */
export interface Evidence {
  readonly subject: Participant;
  readonly peer: Participant;
  /** IP protocol number. */
  readonly protocol: number;
  /** The port at the destination; for ICMP type * 256 + code. */
  readonly port: number;
  hits: number;
}

/** What became of one rule. */
export interface RuleUse {
  readonly rule: WrittenRule;
  /** Connections that it matched and that count. */
  readonly matched: Tally;
  /** Those of them that it decided: of rules that are asked in order, the first that matches. */
  readonly decided: Tally;
  /** By path of the peer, where the rule has several; connections that the rule decided. */
  readonly peers: ReadonlyMap<string, Tally>;
  /** What it decided, without repetition. Of allowing rules only. */
  readonly evidence: readonly Evidence[];
  /** Connections that it let through and that failed all the same: they count for nothing. */
  failed: number;
  /** Connections with an unknown verdict that it matches, or may match. */
  unknown: number;
}

interface Uses extends RuleUse {
  readonly peers: Map<string, Tally>;
  readonly evidence: Evidence[];
  readonly evidenceByKey: Map<string, Evidence>;
}

/** What a decision says of one rule. */
interface Part {
  readonly use: Uses;
  readonly peers: readonly string[];
  readonly isDecided: boolean;
}

/**
 * Counts what observed connections made of each rule. An allowing rule (and one that passes on) is hit by connections that both sides
 * allow and that were established, or ended in a way that is not known; a denying one by whatever it matches. What has an unknown
 * verdict is no hit: whether a rule is asked at all is then open, and how often that was is counted apart.
 */
export function countHits(simulation: Simulation, rules: WrittenRules): RuleUse[] {
  const { connections } = simulation;
  const uses = new Map<WrittenRule, Uses>(
    rules.all.map((rule) => [
      rule,
      { rule, matched: new Tally(), decided: new Tally(), peers: new Map(), evidence: [], evidenceByKey: new Map(), failed: 0, unknown: 0 },
    ]),
  );
  const partsOf = new Map<Decision, readonly Part[]>();
  for (let i = 0; i < connections.size; i++) {
    const judgement = simulation.judgement(i);
    for (const direction of ["egress", "ingress"] as const) {
      const decision = judgement[direction];
      if (decision.matched.length === 0) continue;
      let parts = partsOf.get(decision);
      if (parts === undefined) partsOf.set(decision, (parts = readDecision(decision, rules, uses)));
      for (const part of parts)
        if (part.use.rule.direction === direction) {
          if (decision.verdict === "unknown") part.use.unknown++;
          else count(simulation, i, part);
        }
    }
  }
  return [...uses.values()];
}

/** Groups what matched by rule: several peers of one rule may. */
function readDecision({ matched }: Decision, rules: WrittenRules, uses: ReadonlyMap<WrittenRule, Uses>): Part[] {
  const parts = new Map<WrittenRule, { use: Uses; peers: string[]; isDecided: boolean }>();
  const first = matched[0] === undefined ? undefined : rules.at(matched[0].policy, matched[0].rule.path);
  for (const { policy, rule: ref } of matched) {
    const rule = rules.at(policy, ref.path);
    if (rule === undefined) continue;
    let part = parts.get(rule);
    // In a stage of its own a rule that passes on decided that.
    const isDecided = !rule.isOrdered || rule === first || rule.stage !== first?.stage;
    if (part === undefined) parts.set(rule, (part = { use: uses.get(rule)!, peers: [], isDecided }));
    if (ref.path !== rule.path && !part.peers.includes(ref.path)) part.peers.push(ref.path);
  }
  return [...parts.values()];
}

function count(simulation: Simulation, i: number, { use, peers, isDecided }: Part): void {
  const { connections, verdicts } = simulation;
  const isDenial = use.rule.action === "deny";
  const verdict = VERDICTS[verdicts[i]];
  if (!isDenial && verdict === "unknown") use.unknown++;
  if (!isDenial && verdict !== "allow") return;
  const times = isDenial ? connections.count(i) : connections.mayHaveWorked(i);
  if (times === 0) {
    use.failed++;
    return;
  }
  use.matched.add(simulation, i, times);
  if (!isDecided) return;
  use.decided.add(simulation, i, times);
  for (const path of peers) {
    let tally = use.peers.get(path);
    if (tally === undefined) use.peers.set(path, (tally = new Tally()));
    tally.add(simulation, i, times);
  }
  if (use.rule.action === "allow") gather(simulation, i, use, times);
}

function gather(simulation: Simulation, i: number, use: Uses, times: number): void {
  const { evaluator, connections } = simulation;
  const protocol = connections.protocol(i);
  for (const { subject, peer, port } of pairsOf(simulation.ends(i), use.rule.direction)) {
    const key = `${evaluator.classify(subject)} ${evaluator.classify(peer)} ${protocol} ${port}`;
    const known = use.evidenceByKey.get(key);
    if (known !== undefined) known.hits += times;
    else {
      const evidence = { subject, peer, protocol, port, hits: times };
      use.evidenceByKey.set(key, evidence);
      use.evidence.push(evidence);
    }
  }
}

/** Every pair of ends that may be meant: of several possible backends, each. */
function* pairsOf({ source, targets, arrivesFrom }: Ends, direction: Direction) {
  for (const { participant, port } of targets)
    if (direction === "egress") yield { subject: source, peer: participant, port };
    else for (const from of arrivesFrom ?? [source]) yield { subject: participant, peer: from, port };
}
