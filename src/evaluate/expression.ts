import { type Labels, NAMESPACE_NAME } from "../cluster/objects.ts";
import { matchesRequirement, selects, selectsPartly, type Truth } from "../cluster/selector.ts";
import type { Expression, LabelSource, NamespaceMatch, PodMatch } from "../policy/model.ts";
import { and, everyTruth, negate, someTruth } from "./truth.ts";

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
      return everyTruth(expression.terms, (term) => expressionTruth(term, object));
    case "some":
      return someTruth(expression.terms, (term) => expressionTruth(term, object));
  }
}

/** Returns whether a match selects an object, by its own labels, its namespace and whatever else it wants. */
export function podMatchTruth({ namespaces, pods, where }: PodMatch, object: Labelled): Truth {
  if (!selects(pods, object.labels)) return false;
  const inNamespace = namespaceTruth(namespaces, object.namespace);
  return where === undefined || inNamespace === false ? inNamespace : and(inNamespace, expressionTruth(where, object));
}

/** Returns whether a match holds for a namespace; none is in no namespace of a name, and has no labels. */
export function namespaceTruth(match: NamespaceMatch, namespace: Labelled["namespace"]): Truth {
  const { labels, labelsKnown } = namespace ?? { labels: {}, labelsKnown: true };
  if ("name" in match) return labels[NAMESPACE_NAME] === match.name;
  return labelsKnown ? selects(match.selector, labels) : selectsPartly(match.selector, labels);
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
