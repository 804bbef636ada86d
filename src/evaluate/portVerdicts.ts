import { type L7Match, ruleHolding, rulesOf } from "../policy/model.ts";
import { contentKey } from "./contentKey.ts";
import type { Decision, Verdict } from "./decision.ts";
import { decideByRequests } from "./l7.ts";
import type { PortSpace } from "./portSpace.ts";

/** What becomes of traffic on one span, as a small number: 0 denied, 1 allowed, others as `PortVerdicts.meaningOf` tells. */
export const DENY = 0;
export const ALLOW = 1;

/** What a number stands for. */
export interface Meaning {
  readonly verdict: Verdict;
  /** Requests of which one must match, for what is allowed by request. */
  readonly requests?: readonly L7Match[];
  /** What an unknown verdict hangs on, in the words of decisions. */
  readonly reason?: string;
}

/** A run of spans with one outcome. `end` is exclusive. */
export interface Run {
  readonly start: number;
  readonly end: number;
  readonly outcome: number;
}

/**
 * Outcomes over the spans of a port space, each distinct one held once: two verdicts over all ports are equal exactly when their
 * numbers are. Kept as runs of equal outcomes, since hardly any has more than a few.
 */
export class PortVerdicts {
  readonly space: PortSpace;
  /** Ends (exclusive) and outcomes in turn. */
  readonly #runs: Int32Array[] = [];
  readonly #numbers = new Map<string, number>();
  readonly #combined = new Map<number, number>();
  readonly #meanings: Meaning[] = [{ verdict: "deny" }, { verdict: "allow" }];
  readonly #outcomes = new Map<string, number>();
  readonly #families = new Map<string, number>();
  /** By evaluator: equal numbers for those whose policies refer to the same. */
  readonly #references: readonly number[];
  readonly #isSameWorld: boolean;

  /**
   * `references`: by evaluator, what its policies refer to besides pods, as text. `isSameWorld`: labels that are not known are the same
   * ones for all.
   */
  constructor(space: PortSpace, references: readonly string[], isSameWorld: boolean) {
    this.space = space;
    this.#isSameWorld = isSameWorld;
    this.#references = references.map((text) => references.indexOf(text));
    // Their numbers are those of the outcomes.
    this.fill(DENY);
    this.fill(ALLOW);
  }

  /** Returns the verdict that has one outcome on every span. */
  fill(outcome: number): number {
    return this.intern([this.space.spans.length, outcome]);
  }

  /** Returns the number of a verdict given as ends (exclusive) and outcomes in turn; neighbours of one outcome are joined. */
  intern(runs: readonly number[] | Int32Array): number {
    const joined: number[] = [];
    for (let i = 0; i < runs.length; i += 2) {
      if (joined.length > 0 && joined[joined.length - 1] === runs[i + 1]) joined[joined.length - 2] = runs[i];
      else joined.push(runs[i], runs[i + 1]);
    }
    const key = joined.join();
    let number = this.#numbers.get(key);
    if (number === undefined) this.#numbers.set(key, (number = this.#runs.push(Int32Array.from(joined)) - 1));
    return number;
  }

  /**
   * Returns the outcome number of a decision by evaluator number `evaluator`. Equal numbers mean the same of all traffic; for
   * undecided ones, whatever the missing facts are.
   */
  outcomeOf(decision: Decision, evaluator: number): number {
    // A rule may want nothing of the request.
    const { verdict } = decideByRequests(decision, []);
    const { l7 } = decision;
    if (verdict !== "unknown") return verdict === "allow" ? ALLOW : DENY;
    if (l7 !== undefined) {
      const requests = distinct(l7.alternatives.map(({ match }) => match));
      const rest = l7.deny.verdict === "deny" ? "" : this.#unknownKey(l7.deny, evaluator);
      return this.#outcome(`request ${rest} ${JSON.stringify(requests)}`, { verdict, requests, reason: decision.reason });
    }
    return this.#outcome(this.#unknownKey(decision, evaluator), { verdict, reason: decision.reason });
  }

  /** What an undecided outcome hangs on; where that is not all known, or may differ between two worlds, it is like no other's. */
  #unknownKey(decision: Decision, evaluator: number): string {
    const isOwn = decision.reason === "unknown-labels" && !this.#isSameWorld;
    return `${unknownKey(decision, evaluator)} ${this.#references[evaluator]} ${isOwn ? evaluator : ""}`;
  }

  meaningOf(outcome: number): Meaning {
    return this.#meanings[outcome];
  }

  /** Returns what becomes of traffic that both sides judge: allowed where both allow, denied where either denies. */
  combine(egress: number, ingress: number): number {
    if (egress === ALLOW || egress === ingress) return ingress;
    if (ingress === ALLOW) return egress;
    if (egress === DENY || ingress === DENY) return DENY;
    const key = egress < ingress ? egress * 0x4000000 + ingress : ingress * 0x4000000 + egress;
    let number = this.#combined.get(key);
    if (number === undefined) {
      number = this.#merge(egress, ingress, (a, b) => this.#both(a, b));
      this.#combined.set(key, number);
    }
    return number;
  }

  /** Returns a verdict with the outcomes of some spans replaced; `changes` holds spans and outcomes in turn. */
  patch(number: number, changes: readonly number[]): number {
    const ordered: [number, number][] = [];
    for (let i = 0; i < changes.length; i += 2) ordered.push([changes[i], changes[i + 1]]);
    ordered.sort(([a], [b]) => a - b);
    const runs: number[] = [];
    let at = 0;
    for (const { start, end, outcome } of this.runsOf(number)) {
      let from = start;
      for (; at < ordered.length && ordered[at][0] < end; at++) {
        const [span, changed] = ordered[at];
        if (span > from) runs.push(span, outcome);
        runs.push(span + 1, changed);
        from = span + 1;
      }
      if (from < end) runs.push(end, outcome);
    }
    return this.intern(runs);
  }

  /** Returns a verdict in which spans that a family cannot use are allowed, so that they make no difference. */
  within(number: number, family: 0 | 4 | 6): number {
    if (family === 0 || number === ALLOW) return number;
    const key = `${family} ${number}`;
    let narrowed = this.#families.get(key);
    if (narrowed === undefined) {
      const changes = this.space.spans.flatMap((_, span) => (this.space.isOf(span, family) ? [] : [span, ALLOW]));
      this.#families.set(key, (narrowed = this.patch(number, changes)));
    }
    return narrowed;
  }

  outcomeAt(number: number, span: number): number {
    const runs = this.#runs[number];
    let i = 0;
    while (runs[i] <= span) i += 2;
    return runs[i + 1];
  }

  *runsOf(number: number): Generator<Run> {
    const runs = this.#runs[number];
    for (let i = 0; i < runs.length; i += 2) yield { start: i === 0 ? 0 : runs[i - 2], end: runs[i], outcome: runs[i + 1] };
  }

  /** Calls back for each stretch of spans on which both verdicts are constant, in order. */
  forEachPair(a: number, b: number, each: (start: number, end: number, a: number, b: number) => void): void {
    const [left, right] = [this.#runs[a], this.#runs[b]];
    let start = 0;
    for (let i = 0, j = 0; i < left.length && j < right.length; ) {
      const end = Math.min(left[i], right[j]);
      each(start, end, left[i + 1], right[j + 1]);
      start = end;
      if (left[i] === end) i += 2;
      if (right[j] === end) j += 2;
    }
  }

  #merge(a: number, b: number, join: (a: number, b: number) => number): number {
    const runs: number[] = [];
    this.forEachPair(a, b, (_start, end, x, y) => runs.push(end, join(x, y)));
    return this.intern(runs);
  }

  #both(a: number, b: number): number {
    if (a === DENY || b === DENY) return DENY;
    if (a === ALLOW || a === b) return b;
    if (b === ALLOW) return a;
    const [x, y] = a < b ? [a, b] : [b, a];
    // Two lists of requests must both be met: which requests those are is not worked out.
    return this.#outcome(`both ${x} ${y}`, { verdict: "unknown", reason: this.#meanings[x].reason ?? "" });
  }

  #outcome(key: string, meaning: Meaning): number {
    let number = this.#outcomes.get(key);
    if (number === undefined) this.#outcomes.set(key, (number = this.#meanings.push(meaning) - 1));
    return number;
  }
}

function distinct(matches: readonly L7Match[]): L7Match[] {
  const byText = new Map(matches.map((match) => [JSON.stringify(match), match]));
  return [...byText].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, match]) => match);
}

/**
 * What an unknown verdict hangs on: the rules that may match, by what they say and refer to, and whom policies may select. Neighbours that do the
 * same may be asked in any order.
 */
function unknownKey({ reason, matched, isolatedBy, notes, otherwise }: Decision, evaluator: number): string {
  const rules: { action: string | undefined; texts: Set<string> }[] = [];
  for (const { policy, rule } of matched) {
    const whole = ruleHolding(rulesOf(policy), rule);
    const text = contentKey([policy.tier, policy.subject, whole]);
    const last = rules.at(-1);
    if (last !== undefined && last.action === whole?.action) last.texts.add(text);
    else rules.push({ action: whole?.action, texts: new Set([text]) });
  }
  const subjects = isolatedBy.map(({ subject }) => contentKey(subject));
  // Where the rest is not known, no two policy sets are known to say the same.
  const rest = otherwise ?? (reason === "no-l7-data" ? "" : evaluator);
  return JSON.stringify([reason, notes, rules.map(({ texts }) => [...texts].sort()), [...new Set(subjects)].sort(), rest]);
}
