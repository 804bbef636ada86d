import { NAMESPACE_NAME } from "../../cluster/objects.ts";
import { EVERYTHING, type Requirement } from "../../cluster/selector.ts";
import type { Expression, NamespaceMatch, PeerTerm, PodMatch } from "../model.ts";
import { combine, conjuncts, inNamespace, isNever, isOfNamespaces, ofPods, without } from "./expression.ts";

/** Returns what holds in the namespace of a name. */
export function inNamespaceNamed(name: string): Expression {
  return { op: "test", of: "namespace", requirement: { key: NAMESPACE_NAME, operator: "In", values: [name] } };
}

/**
 * Returns an expression as a PodMatch: tests of own labels and of the namespace's labels as requirements, the rest as `where`.
 * With `namespaces` given, tests of the namespace's labels are a rest too.
 */
export function podMatch(expression: Expression, namespaces?: NamespaceMatch): PodMatch {
  const own: Requirement[] = [];
  const ofNamespace: Requirement[] = [];
  const rest: Expression[] = [];
  for (const term of conjuncts(expression)) {
    if (term.op === "test" && term.of === "own") own.push(term.requirement);
    else if (term.op === "test" && term.of === "namespace" && !namespaces) ofNamespace.push(term.requirement);
    else rest.push(term);
  }
  return {
    namespaces: namespaces ?? namespaceMatch(ofNamespace),
    pods: { requirements: own },
    ...(rest.length > 0 ? { where: combine("all", namespacesFirst(rest)) } : {}),
  };
}

/** Puts conditions on the namespace first, so that it makes no difference which selector they were written in. */
function namespacesFirst(terms: readonly Expression[]): readonly Expression[] {
  return [...terms.filter(isOfNamespaces), ...terms.filter((term) => !isOfNamespaces(term))];
}

function namespaceMatch(requirements: readonly Requirement[]): NamespaceMatch {
  const only = requirements.length === 1 ? requirements[0] : undefined;
  if (only?.key === NAMESPACE_NAME && only.operator === "In" && only.values.length === 1) return { name: only.values[0] };
  return { selector: { requirements } };
}

/** Returns what a PodMatch says as one expression. */
export function matchExpression({ namespaces, pods, where }: PodMatch): Expression {
  const tests = (of: "own" | "namespace", requirements: readonly Requirement[]) =>
    requirements.map((requirement): Expression => ({ op: "test", of, requirement }));
  return combine("all", [
    ...("name" in namespaces ? [inNamespaceNamed(namespaces.name)] : tests("namespace", namespaces.selector.requirements)),
    ...(where ? conjuncts(where).filter(isOfNamespaces) : []),
    ...tests("own", pods.requirements),
    ...(where ? conjuncts(where).filter((term) => !isOfNamespaces(term)) : []),
  ]);
}

/**
 * Returns the pods and network sets that an expression selects (felix judges each by its own labels and merges none). Sets have no
 * service account, those without namespace no namespace labels, so that negative tests of these hold for them.
 */
export function objectsTerm(expression: Expression): PeerTerm {
  const seesGlobal = seesGlobalSets(expression);
  const whole = inOrder(seesGlobal ? expression : inNamespace(expression));
  const found: PeerTerm[] = [];
  const pods = ofPods(whole);
  if (!isNever(pods)) found.push({ kind: "pods", match: podMatch(pods) });
  const sets = setsTerm(whole, seesGlobal);
  if (sets) found.push(sets);
  return found.length === 1 ? found[0] : { kind: "some", terms: found };
}

/** Puts conditions in the order in which a PodMatch holds them, so that it says the same where it is written out and read again. */
function inOrder(expression: Expression): Expression {
  const terms = conjuncts(expression);
  const isOwn = (term: Expression) => term.op === "test" && term.of === "own";
  const isLast = (term: Expression) => !isOwn(term) && !isOfNamespaces(term);
  return combine("all", [...terms.filter(isOfNamespaces), ...terms.filter(isOwn), ...terms.filter(isLast)]);
}

/** Reports whether an expression may hold for network sets without a namespace. */
export function seesGlobalSets(expression: Expression): boolean {
  return !isNever(without(expression, "namespace", "serviceAccount", "serviceAccountName"));
}

function setsTerm(expression: Expression, seesGlobal: boolean): PeerTerm | undefined {
  const setsOf = (scope: "namespaced" | "global" | "any", match: PodMatch): PeerTerm => ({
    kind: "sets",
    match: { scope, match },
    except: [],
  });
  const namespaced = inNamespace(expression);
  const seesNamespaced = !isNever(without(namespaced, "serviceAccount", "serviceAccountName"));
  if (!seesGlobal) return seesNamespaced ? setsOf("namespaced", podMatch(namespaced)) : undefined;
  if (seesNamespaced) return setsOf("any", podMatch(expression, { selector: EVERYTHING }));
  const rest = conjuncts(expression).filter((term) => !isInNoNamespace(term));
  return setsOf("global", podMatch(combine("all", rest), { selector: EVERYTHING }));
}

function isInNoNamespace(term: Expression): boolean {
  return (
    term.op === "test" && term.of === "namespace" && term.requirement.key === NAMESPACE_NAME && term.requirement.operator === "DoesNotExist"
  );
}
