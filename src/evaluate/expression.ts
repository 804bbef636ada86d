import type { Labels } from "../cluster/objects.ts";
import { matchesRequirement, selectsPartly, type Truth } from "../cluster/selector.ts";
import type { Expression, LabelSource } from "../policy/model.ts";

/** What expressions look at: a pod or an address set, as far as it is known. */
export interface Labelled {
  readonly labels: Labels;
  /** Undefined: it has none. */
  readonly namespace?: { readonly labels: Labels; readonly labelsKnown: boolean };
  /** Undefined: it has none. Without `labels` those are not known. */
  readonly serviceAccount?: { readonly name: string; readonly labels?: Labels };
}

/** Returns whether an expression holds for an object. */
export function expressionTruth(expression: Expression, object: Labelled): Truth {
  switch (expression.op) {
    case "test": {
      const { labels, known } = labelsOf(object, expression.of);
      const { requirement } = expression;
      return known ? matchesRequirement(requirement, labels) : selectsPartly({ requirements: [requirement] }, labels);
    }
    case "text": {
      const { labels, known } = labelsOf(object, expression.of);
      if (!Object.hasOwn(labels, expression.key)) return known ? false : "unknown";
      const value = labels[expression.key];
      if (expression.how === "contains") return value.includes(expression.text);
      return expression.how === "starts" ? value.startsWith(expression.text) : value.endsWith(expression.text);
    }
    case "not":
      return negate(expressionTruth(expression.term, object));
    case "all":
    case "some": {
      const stops = expression.op === "some";
      let truth: Truth = !stops;
      for (const term of expression.terms) {
        const answer = expressionTruth(term, object);
        if (answer === stops) return answer;
        if (answer === "unknown") truth = answer;
      }
      return truth;
    }
  }
}

export function negate(truth: Truth): Truth {
  return truth === "unknown" ? truth : !truth;
}

function labelsOf({ labels, namespace, serviceAccount }: Labelled, source: LabelSource): { labels: Labels; known: boolean } {
  switch (source) {
    case "own":
      return { labels, known: true };
    case "namespace":
      return { labels: namespace?.labels ?? {}, known: namespace?.labelsKnown ?? true };
    case "serviceAccount":
      return { labels: serviceAccount?.labels ?? {}, known: serviceAccount === undefined || serviceAccount.labels !== undefined };
    case "serviceAccountName":
      return { labels: serviceAccount === undefined ? {} : { "": serviceAccount.name }, known: true };
  }
}

/** Returns a text that equal expressions share. */
export function expressionKey(expression: Expression): string {
  return JSON.stringify(expression);
}
