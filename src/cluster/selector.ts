import type { Labels } from "./objects.ts";

/** A requirement of a label selector (Kubernetes API: LabelSelectorRequirement). */
export interface Requirement {
  readonly key: string;
  readonly operator: "In" | "NotIn" | "Exists" | "DoesNotExist";
  readonly values: readonly string[];
}

/** A label selector: every requirement must hold. None at all selects everything (an empty selector, not a missing one). */
export interface LabelSelector {
  readonly requirements: readonly Requirement[];
}

/** Three-valued logic (Kleene): unknown is what a missing fact leaves open. */
export type Truth = true | false | "unknown";

export const EVERYTHING: LabelSelector = { requirements: [] };

/** Reports whether labels satisfy one requirement. NotIn and DoesNotExist hold for a missing key (Kubernetes API: LabelSelectorRequirement). */
export function matchesRequirement(requirement: Requirement, labels: Labels): boolean {
  const value = Object.hasOwn(labels, requirement.key) ? labels[requirement.key] : undefined;
  switch (requirement.operator) {
    case "In":
      return value !== undefined && requirement.values.includes(value);
    case "NotIn":
      return value === undefined || !requirement.values.includes(value);
    case "Exists":
      return value !== undefined;
    case "DoesNotExist":
      return value === undefined;
  }
}

/** Reports whether a selector selects an object with these labels. */
export function selects(selector: LabelSelector, labels: Labels): boolean {
  return selector.requirements.every((requirement) => matchesRequirement(requirement, labels));
}

/**
 * Returns whether a selector selects an object of which only some labels are known: a label that is not among them may
 * still be there. A requirement on a known key is decided; on any other key it stays open.
 */
export function selectsPartly(selector: LabelSelector, knownLabels: Labels): Truth {
  let truth: Truth = true;
  for (const requirement of selector.requirements) {
    if (!Object.hasOwn(knownLabels, requirement.key)) truth = "unknown";
    else if (!matchesRequirement(requirement, knownLabels)) return false;
  }
  return truth;
}

/** Returns the selector that wants these labels, in their order (Kubernetes API: LabelSelector.matchLabels). */
export function selectorOfLabels(labels: readonly (readonly [string, string])[]): LabelSelector {
  return { requirements: labels.map(([key, value]) => ({ key, operator: "In", values: [value] })) };
}

/** Returns a canonical text of a selector: equal texts mean equal selectors, whatever the order they were written in. */
export function selectorKey(selector: LabelSelector): string {
  return JSON.stringify(
    selector.requirements
      .map(({ key, operator, values }) => [key, operator, ...[...new Set(values)].sort()])
      .sort((a, b) => (JSON.stringify(a) < JSON.stringify(b) ? -1 : 1)),
  );
}
