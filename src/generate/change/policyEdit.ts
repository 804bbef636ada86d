import { readManifest } from "../../cluster/manifest.ts";
import type { Direction, Policy, PolicySet, Rule } from "../../policy/model.ts";
import { objectText } from "../../policy/policyText.ts";
import { UnsayableError } from "../../policy/printedObject.ts";
import { printPolicy } from "../../policy/printPolicies.ts";
import { identityOf, readPolicies } from "../../policy/readPolicies.ts";

/** One object that would be written otherwise, or that is new. */
export interface PolicyEdit {
  /** What is changed; undefined: a new policy. */
  readonly before: Policy | undefined;
  readonly after: Policy;
  /** One clause on what is done, such as `add 8080/TCP to ingress[0]`. */
  readonly what: string;
  /** What else it does. */
  readonly notes: readonly string[];
}

/** The texts of an object before and after an edit. */
export interface EditedObject {
  readonly before: string | undefined;
  readonly after: string;
}

/** A policy set with an edit made, as its text reads, and that text. */
export interface Edited {
  readonly set: PolicySet;
  readonly object: EditedObject;
  /** What was read back for the edited policies, in place of what they were made from. */
  readonly policies: readonly Policy[];
}

/**
 * Makes an edit: the object is printed in its dialect, read back, and what was read takes its place. Returns undefined where the
 * dialect has no words for it, or its API would refuse them.
 */
export function applyEdit(set: PolicySet, { before, after }: PolicyEdit): Edited | undefined {
  const specs = before === undefined ? [] : specsOf(set, before);
  const changed = before === undefined ? [after] : specs.map((policy) => (policy === before ? after : policy));
  const [old, fresh] = [textOf(specs), textOf(changed)];
  if (fresh === undefined) return undefined;
  const read = readBack(fresh, after);
  if (read === undefined) return undefined;
  const at = before === undefined ? -1 : set.policies.indexOf(specs[0]);
  const rest = set.policies.filter((policy) => !specs.includes(policy));
  const policies = at < 0 ? [...rest, ...read] : rest.toSpliced(at, 0, ...read);
  return { set: { ...set, policies }, object: { before: old, after: fresh }, policies: read };
}

/** Several specs of Cilium are one object; what an audit policy becomes in each namespace is one of its own. */
function specsOf({ policies }: PolicySet, policy: Policy): Policy[] {
  if (policy.tier.kind !== "cilium") return [policy];
  return policies.filter((other) => other === policy || identityOf(other.ref) === identityOf(policy.ref));
}

/** Returns the YAML text of an object's policies; undefined where there are none, or its dialect cannot say them. */
function textOf(policies: readonly Policy[]): string | undefined {
  const [first, ...rest] = policies;
  if (first === undefined) return undefined;
  try {
    return objectText(printPolicy([first, ...rest]));
  } catch (error) {
    if (error instanceof UnsayableError) return undefined;
    throw error;
  }
}

function readBack(text: string, { ref }: Policy): Policy[] | undefined {
  const { policies, problems } = readPolicies(readManifest(text, ""), { defaultNamespace: ref.namespace ?? "default" });
  return problems.some(({ severity }) => severity === "error") ? undefined : policies;
}

/** Returns a policy with other rules for a direction, numbered anew. */
export function withRules(policy: Policy, direction: Direction, rules: readonly Rule[]): Policy {
  const list = policy[direction];
  const unlisted = policy.unlisted?.[direction];
  // Cilium looks at lists that a NetworkPolicy's types leave out.
  if (list === undefined && unlisted !== undefined)
    return { ...policy, unlisted: { ...policy.unlisted, [direction]: { ...unlisted, rules } } };
  return { ...policy, [direction]: { isolates: true, ...list, rules } };
}

/** The rules that a policy has for a direction. */
export function rulesIn(policy: Policy, direction: Direction): readonly Rule[] {
  return (policy[direction] ?? policy.unlisted?.[direction])?.rules ?? [];
}

/** Returns a policy with one rule replaced by others; by none, it goes. */
export function replaceRule(policy: Policy, direction: Direction, rule: Rule, ...others: readonly Rule[]): Policy {
  return withRules(
    policy,
    direction,
    rulesIn(policy, direction).flatMap((each) => (each === rule ? others : [each])),
  );
}
