import { NAMESPACE_NAME } from "../../cluster/objects.ts";
import { matchesRequirement, type Requirement } from "../../cluster/selector.ts";
import type { Expression, LabelSource } from "../model.ts";
import { ALWAYS, type KeyText, NEVER } from "./selector.ts";

/*
 * What the labels of a selector stand for. Calico gives every pod and network set labels of its own: projectcalico.org/namespace,
 * pcns.<label of the namespace>, and pods projectcalico.org/serviceaccount, pcsa.<label of the service account> and
 * projectcalico.org/orchestrator (libcalico-go lib/backend/k8s/conversion).
 */

/** Which field a selector stands in: labels of a namespaceSelector are the namespace's, and so on. */
export type SelectorField = "endpoint" | "namespace" | "serviceAccount";

type Test = Extract<Expression, { readonly op: "test" | "text" }>;

const CALICO_NAME = "projectcalico.org/name";
const CALICO_NAMESPACE = "projectcalico.org/namespace";
const CALICO_SERVICE_ACCOUNT = "projectcalico.org/serviceaccount";
const ORCHESTRATOR: Readonly<Record<string, string>> = { "projectcalico.org/orchestrator": "k8s" };

/** Holds for what is in a namespace, as every pod and NetworkSet is and no GlobalNetworkSet. */
export const IN_A_NAMESPACE: Expression = {
  op: "test",
  of: "namespace",
  requirement: { key: NAMESPACE_NAME, operator: "Exists", values: [] },
};

/**
 * Returns what a parsed selector means in a field. In a namespaceSelector `all()` asks for a namespace (libcalico-go
 * updateprocessors/rules.go), elsewhere it and `global()` hold for everything.
 */
export function translateSelector(expression: Expression, field: SelectorField): Expression {
  const inNamespaces = field === "namespace";
  return mapTests(
    expression,
    (test) => (test.of === "namespace" ? (inNamespaces ? test : ALWAYS) : withSource(test, ...sourceOf(keyOf(test), field))),
    inNamespaces ? IN_A_NAMESPACE : ALWAYS,
  );
}

function keyOf(test: Test): string {
  return test.op === "test" ? test.requirement.key : test.key;
}

function withSource(test: Test, of: LabelSource, key: string): Test {
  return test.op === "test" ? { ...test, of, requirement: { ...test.requirement, key } } : { ...test, of, key };
}

function sourceOf(key: string, field: SelectorField): [LabelSource, string] {
  if (field === "namespace") return ["namespace", key === CALICO_NAME ? NAMESPACE_NAME : key];
  if (field === "serviceAccount") return key === CALICO_NAME ? ["serviceAccountName", ""] : ["serviceAccount", key];
  if (key === CALICO_NAMESPACE) return ["namespace", NAMESPACE_NAME];
  if (key === CALICO_SERVICE_ACCOUNT) return ["serviceAccountName", ""];
  if (key.startsWith("pcns.")) return sourceOf(key.slice("pcns.".length), "namespace");
  if (key.startsWith("pcsa.")) return sourceOf(key.slice("pcsa.".length), "serviceAccount");
  return ["own", key];
}

/** Writes the key of a test in a `selector`. */
export const endpointKey: KeyText = (test) => {
  const key = keyOf(test);
  switch (test.of) {
    case "own":
      return key;
    case "namespace":
      return key === NAMESPACE_NAME ? CALICO_NAMESPACE : `pcns.${key}`;
    case "serviceAccount":
      return `pcsa.${key}`;
    case "serviceAccountName":
      return CALICO_SERVICE_ACCOUNT;
  }
};

/** Writes the key of a test of namespace labels in a `namespaceSelector`. */
export const namespaceKey: KeyText = keyOf;

/** Returns an expression with its tests replaced, `all()` by `everything`, and simplified. */
function mapTests(expression: Expression, replace: (test: Test) => Expression, everything: Expression = ALWAYS): Expression {
  switch (expression.op) {
    case "test":
    case "text":
      return replace(expression);
    case "not":
      return negate(mapTests(expression.term, replace, everything));
    case "all":
    case "some": {
      if (expression.op === "all" && expression.terms.length === 0) return everything;
      return combine(
        expression.op,
        expression.terms.map((term) => mapTests(term, replace, everything)),
      );
    }
  }
}

const OPPOSITE = { In: "NotIn", NotIn: "In", Exists: "DoesNotExist", DoesNotExist: "Exists" } as const;

/** Returns what holds where the expression does not. */
export function negate(expression: Expression): Expression {
  switch (expression.op) {
    case "not":
      return expression.term;
    case "test": {
      const { requirement } = expression;
      return { ...expression, requirement: { ...requirement, operator: OPPOSITE[requirement.operator] } };
    }
    case "all":
    case "some":
      if (expression.terms.length === 0) return expression.op === "all" ? NEVER : ALWAYS;
      return { op: "not", term: expression };
    case "text":
      return { op: "not", term: expression };
  }
}

/** Returns the conjunction or disjunction of simplified terms, simplified: no list directly in one of its kind, none of one term. */
export function combine(op: "all" | "some", terms: readonly Expression[]): Expression {
  const flat = terms.flatMap((term) => (term.op === op ? term.terms : [term]));
  const stops = flat.find((term) => term.op !== op && (term.op === "all" || term.op === "some") && term.terms.length === 0);
  if (stops) return stops;
  return flat.length === 1 ? flat[0] : { op, terms: flat };
}

/** Returns the terms that must all hold. */
export function conjuncts(expression: Expression): readonly Expression[] {
  return expression.op === "all" ? expression.terms : [expression];
}

export function isNever(expression: Expression): boolean {
  return expression.op === "some" && expression.terms.length === 0;
}

/** Reports whether an expression looks at nothing but labels of namespaces. */
export function isOfNamespaces(expression: Expression): boolean {
  switch (expression.op) {
    case "test":
    case "text":
      return expression.of === "namespace";
    case "not":
      return isOfNamespaces(expression.term);
    case "all":
    case "some":
      return expression.terms.length > 0 && expression.terms.every(isOfNamespaces);
  }
}

function constant(holds: boolean): Expression {
  return holds ? ALWAYS : NEVER;
}

function isNameOfNamespace(test: Test, operators: readonly Requirement["operator"][]): boolean {
  return (
    test.op === "test" &&
    test.of === "namespace" &&
    test.requirement.key === NAMESPACE_NAME &&
    operators.includes(test.requirement.operator)
  );
}

/** Returns what is left of an expression for what has a namespace. */
export function inNamespace(expression: Expression): Expression {
  return mapTests(expression, (test) => (isNameOfNamespace(test, ["Exists", "DoesNotExist"]) ? constant(matchesName(test)) : test));
}

function matchesName(test: Test): boolean {
  return test.op === "test" && test.requirement.operator === "Exists";
}

/** Returns what is left of an expression for pods: all are in a namespace and have the label of their orchestrator. */
export function ofPods(expression: Expression): Expression {
  return mapTests(inNamespace(expression), (test) => {
    if (test.of !== "own" || !Object.hasOwn(ORCHESTRATOR, keyOf(test))) return test;
    return constant(test.op === "test" ? matchesRequirement(test.requirement, ORCHESTRATOR) : matchesValue(test));
  });
}

function matchesValue(test: Extract<Expression, { readonly op: "text" }>): boolean {
  const value = ORCHESTRATOR[test.key];
  if (test.how === "contains") return value.includes(test.text);
  return test.how === "starts" ? value.startsWith(test.text) : value.endsWith(test.text);
}

/** Returns what is left of an expression for what lacks the labels of some sources: network sets have no service account. */
export function without(expression: Expression, ...sources: readonly LabelSource[]): Expression {
  return mapTests(expression, (test) => {
    if (!sources.includes(test.of)) return test;
    return constant(test.op === "test" && matchesRequirement(test.requirement, {}));
  });
}
