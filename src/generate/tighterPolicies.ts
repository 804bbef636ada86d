import { compileConnectivity, type Judged } from "../evaluate/compare.ts";
import { Evaluator, type World } from "../evaluate/evaluator.ts";
import { type Simulation, VERDICTS } from "../evaluate/simulation.ts";
import type { Direction, Policy, PolicySet, Rule } from "../policy/model.ts";
import { objectText } from "../policy/policyText.ts";
import { UnsayableError } from "../policy/printedObject.ts";
import { printPolicy } from "../policy/printPolicies.ts";
import { applyEdit, replaceRule, rulesIn } from "./change/policyEdit.ts";
import type { TighterRule } from "./tighterRules.ts";

/** What tighter rules are proven by. */
export interface ProofOfTighter {
  readonly simulation: Simulation;
  /** The world that the traffic was judged in. */
  readonly observed: World;
  /** A policy set over all ends that there may be. */
  readonly judged: (set: PolicySet) => Judged;
}

/** One object with all of its tighter rules. */
export interface TighterObject {
  readonly policy: Policy;
  readonly before: string;
  readonly after: string;
}

export interface TighterSet {
  readonly objects: readonly TighterObject[];
  /** The text of each tighter rule that is proven. */
  readonly texts: ReadonlyMap<TighterRule, string>;
  /** Why a rule that could be tighter is left as it is. */
  readonly reasons: ReadonlyMap<TighterRule, string>;
}

/** One policy with its rules made tighter. */
interface Edit {
  readonly before: Policy;
  readonly after: Policy;
  readonly rules: readonly TighterRule[];
}

const UNSAID = "its dialect has no words for it";
const LOST = "it would deny some of what was seen";
const GAINED = "it is not proven to allow nothing more";

/**
 * Puts tighter rules into their policies and proves the result: what was printed is read back, every connection that was allowed is
 * still, and compared over all ends and ports nothing is allowed that was not. Taking from several rules at once takes at least what
 * each alone would, so that one proof is all of them; only where it fails each policy is tried by itself.
 */
export function tightenPolicies(set: PolicySet, rules: readonly TighterRule[], proof: ProofOfTighter): TighterSet {
  const reasons = new Map<TighterRule, string>();
  let edits = editsOf(rules).filter((edit) => {
    const isSaid = applied(set, [edit]) !== undefined;
    if (!isSaid) for (const rule of edit.rules) reasons.set(rule, UNSAID);
    return isSaid;
  });
  if (edits.length > 0 && failureOf(set, edits, proof) !== undefined)
    edits = edits.filter((edit) => {
      const failure = failureOf(set, [edit], proof);
      if (failure !== undefined) for (const rule of edit.rules) reasons.set(rule, failure);
      return failure === undefined;
    });
  const texts = new Map<TighterRule, string>();
  for (const { before, rules: own } of edits)
    for (const rule of own) {
      const text = ruleText(before, rule);
      if (text !== undefined) texts.set(rule, text);
    }
  const objects = edits.flatMap((edit): TighterObject[] => {
    const { object } = applied(set, [edit])!;
    return object?.before === undefined ? [] : [{ policy: edit.before, before: object.before, after: object.after }];
  });
  return { objects, texts, reasons };
}

function editsOf(rules: readonly TighterRule[]): Edit[] {
  const byPolicy = Map.groupBy(
    rules.filter(({ tighter, use, rule }) => tighter !== undefined && rulesIn(use.rule.policy, use.rule.direction).includes(rule)),
    ({ use }) => use.rule.policy,
  );
  return [...byPolicy].map(([before, own]) => ({
    before,
    after: own.reduce((policy, { use, rule, tighter }) => replaceRule(policy, use.rule.direction, rule, tighter!), before),
    rules: own,
  }));
}

/** Returns the set with edits made, as their texts read; undefined where a dialect has no words for one. */
function applied(set: PolicySet, edits: readonly Edit[]) {
  let result: { set: PolicySet; object?: { before: string | undefined; after: string } } = { set };
  for (const { before, after } of edits) {
    const next = applyEdit(result.set, { before, after, what: "", notes: [] });
    if (next === undefined) return undefined;
    result = next;
  }
  return result;
}

/** Says what is wrong with edits; undefined: nothing. */
function failureOf(set: PolicySet, edits: readonly Edit[], proof: ProofOfTighter): string | undefined {
  const tighter = applied(set, edits)?.set;
  if (tighter === undefined) return UNSAID;
  if (!allowsWhatWasSeen(tighter, proof)) return LOST;
  return gainsNothing(set, tighter, proof) ? undefined : GAINED;
}

function allowsWhatWasSeen(set: PolicySet, { simulation, observed }: ProofOfTighter): boolean {
  const evaluator = new Evaluator(set, observed, simulation.evaluator.profile);
  for (let i = 0; i < simulation.connections.size; i++) {
    const before = VERDICTS[simulation.verdicts[i]];
    if (before === "deny") continue;
    const after = simulation.judge(i, evaluator).verdict;
    // What may have been allowed must not be denied either.
    if (before === "allow" ? after !== "allow" : after === "deny") return false;
  }
  return true;
}

function gainsNothing(before: PolicySet, after: PolicySet, { judged }: ProofOfTighter): boolean {
  const connectivity = compileConnectivity([judged(before), judged(after)]);
  const { verdicts } = connectivity;
  // Where both hang on something that is not known, nobody can say which allows more.
  const isLess = (old: number, fresh: number) =>
    verdicts.meaningOf(old).verdict === "allow" || verdicts.meaningOf(fresh).verdict === "deny";
  return connectivity.differences().every(({ verdicts: [old, fresh], family }) => {
    let isFine = true;
    verdicts.forEachPair(verdicts.within(old, family), verdicts.within(fresh, family), (_start, _end, a, b) => {
      if (a !== b && !isLess(a, b)) isFine = false;
    });
    return isFine;
  });
}

/** Returns one tighter rule as an item of its list, in its dialect. */
function ruleText(policy: Policy, { use, rule, tighter }: TighterRule): string | undefined {
  const { direction } = use.rule;
  const { unlisted: _, ingress: __, egress: ___, ...rest } = replaceRule(policy, direction, rule, tighter!);
  const lists: Partial<Record<Direction, { isolates: boolean; rules: readonly Rule[] }>> = {
    [direction]: { isolates: true, rules: [tighter!] },
  };
  try {
    const { spec = {} } = printPolicy([{ ...rest, ...lists }]) as { spec?: Record<string, unknown> };
    return spec[direction] === undefined ? undefined : objectText({ [direction]: spec[direction] });
  } catch (error) {
    if (error instanceof UnsayableError) return undefined;
    throw error;
  }
}
