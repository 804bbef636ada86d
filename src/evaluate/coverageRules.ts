import { type Action, DIRECTIONS, type Direction, type Policy, type Rule, type RuleRef } from "../policy/model.ts";
import type { Evaluator } from "./evaluator.ts";
import { rulesUnder } from "./stages.ts";

/** A rule as an object has it: one item of `ingress`, `egress`, `ingressDeny` and so on, whatever the model splits it into. */
export interface WrittenRule {
  readonly policy: Policy;
  readonly direction: Direction;
  /** `ingress[0]`; `specs[1].egressDeny[2]` with several specs. */
  readonly path: string;
  readonly ref: RuleRef;
  readonly action: Action;
  readonly rules: readonly Rule[];
  /** Whether rules are asked in order here, so that one that matches after another decides nothing. */
  readonly isOrdered: boolean;
  /** Number of its stage. */
  readonly stage: number;
}

/** Rules by policy and path. */
export class WrittenRules {
  /** Those of each policy together, in the order of stages, policies and what is written; ingress first. */
  readonly all: readonly WrittenRule[];
  /** Policies that are in force, those without rules too. */
  readonly policies: readonly Policy[];
  readonly #byPath: ReadonlyMap<Policy, ReadonlyMap<string, WrittenRule>>;

  /** Takes what an evaluator asks: neither what its plugin ignores nor what is staged. Rules that only log decide nothing and are left out. */
  constructor({ rules: { stages }, profile }: Evaluator) {
    const byPath = new Map<Policy, ReadonlyMap<string, WrittenRule>>();
    stages.forEach(({ policies, combine }, stage) => {
      for (const policy of policies) {
        const own = new Map<string, WrittenRule & { rules: Rule[] }>();
        for (const direction of DIRECTIONS)
          for (const rule of rulesUnder(profile, policy, direction)?.rules ?? []) {
            if (rule.action === "log") continue;
            const path = writtenPath(rule.ref.path);
            const known = own.get(path);
            if (known !== undefined) known.rules.push(rule);
            else
              own.set(path, {
                policy,
                direction,
                path,
                ref: rule.ref,
                action: rule.action,
                rules: [rule],
                isOrdered: combine === "first-match",
                stage,
              });
          }
        byPath.set(policy, own);
      }
    });
    this.policies = [...byPath.keys()];
    this.all = [...byPath.values()].flatMap((own) => [...own.values()]);
    this.#byPath = byPath;
  }

  /** Returns the rule of a policy that a path leads to, or into. */
  at(policy: Policy, path: string): WrittenRule | undefined {
    return this.#byPath.get(policy)?.get(writtenPath(path));
  }

  of(policy: Policy): WrittenRule[] {
    return [...(this.#byPath.get(policy)?.values() ?? [])];
  }
}

/** Returns the path of the written rule that a path leads into: `ingress[0].from[1]` is in `ingress[0]`. */
function writtenPath(path: string): string {
  return /^(?:specs\[\d+\]\.)?[^.[]*\[\d+\]/.exec(path)?.[0] ?? path;
}
