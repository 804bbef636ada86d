import type { ManifestObject } from "../../cluster/manifest.ts";
import { formatPrefix } from "../../net/prefix.ts";
import { printNetworkPolicy } from "../kubernetes/printNetworkPolicy.ts";
import type { AddressSet, Direction, Policy, PolicyRef, RuleList, Tier } from "../model.ts";
import { type PrintedObject, unsayable } from "../printedObject.ts";
import { DEFAULT_TIER, INERT, readCalicoPolicy } from "./calicoPolicy.ts";
import { canonicalPolicy, policyKey } from "./canonical.ts";
import { combine, conjuncts, endpointKey, isOfNamespaces, namespaceKey } from "./expression.ts";
import { matchExpression } from "./match.ts";
import { printRule, Unsayable, withoutEmpty } from "./printRules.ts";
import { formatSelector } from "./selector.ts";

const API_VERSION = "projectcalico.org/v3";

/**
 * Returns the projectcalico.org/v3 object of a policy: a NetworkPolicy in its namespace, without one a GlobalNetworkPolicy, or
 * their staged kinds and that of a networking.k8s.io policy. Reading it gives the policy back, except that a rule of several peers
 * or protocols becomes several rules in its place, that pods as a peer stand for network sets of such labels too, and that what
 * matches nothing is left out. Throws an UnsayableError (a RangeError) that says what Calico cannot.
 */
export function printCalicoPolicy(policy: Policy): PrintedObject {
  if (policy.tier.kind === "networkpolicy" && policy.staged) return printStagedKubernetes(policy, policy.staged);
  const kind = kindOf(policy);
  const canonical = canonicalPolicy(policy);
  const object = print(canonical, kind);
  const { policies, problems } = readCalicoPolicy(manifestOf(object));
  const refusal = problems.find(({ severity }) => severity === "error");
  if (refusal) throw unsayable(kind, policy, `Calico would refuse it: ${refusal.path}: ${refusal.message}`);
  if (policies?.length !== 1 || policyKey(policies[0]) !== policyKey(canonical)) {
    throw unsayable(kind, policy, "Calico has no words for what it means");
  }
  return object;
}

function kindOf({ ref, staged }: Policy): string {
  return `${staged ? "Staged" : ""}${ref.namespace === undefined ? "Global" : ""}NetworkPolicy`;
}

function print(policy: Policy, kind: string): PrintedObject {
  const { ref, tier, ingress, egress, staged, inert } = policy;
  const refuse = (what: string) => unsayable(kind, policy, what);
  if (tier.kind !== "calico") throw refuse(`Calico has no policies of kind ${tier.kind}`);
  if (policy.nodes) throw refuse("it cannot select nodes by their labels");
  if (!ingress && !egress) throw refuse("it must govern a direction");
  if (![ingress, egress].every((rules) => rules?.isolates ?? true)) throw refuse("it isolates what it governs");
  const inertFlag = Object.entries(INERT).find(([, text]) => text === inert)?.[0];
  if (inert !== undefined && inertFlag === undefined) throw refuse("it would be in force, and the policy is not");
  const rules = (list: RuleList | undefined, direction: Direction) =>
    list?.rules.map((rule) => {
      try {
        return printRule(rule, direction, ref.namespace);
      } catch (error) {
        throw error instanceof Unsayable ? unsayable(kind, policy, `Calico has no ${error.message}`, rule) : error;
      }
    });
  return {
    apiVersion: API_VERSION,
    kind,
    metadata: metadataOf(ref),
    spec: withoutEmpty({
      stagedAction: staged,
      tier: tier.name === DEFAULT_TIER ? undefined : tier.name,
      order: tier.order,
      ...printSubject(policy, kind),
      types: [...(ingress ? ["Ingress"] : []), ...(egress ? ["Egress"] : [])],
      ingress: rules(ingress, "ingress"),
      egress: rules(egress, "egress"),
      ...(inertFlag === undefined ? {} : { [inertFlag]: true, applyOnForward: true }),
    }),
  };
}

function printStagedKubernetes(policy: Policy, stagedAction: NonNullable<Policy["staged"]>): PrintedObject {
  const head = { apiVersion: API_VERSION, kind: "StagedKubernetesNetworkPolicy", metadata: metadataOf(policy.ref) };
  if (stagedAction === "Delete") return { ...head, spec: { stagedAction } };
  const { staged: _staged, ...inForce } = policy;
  return { ...head, spec: { stagedAction, ...printNetworkPolicy(inForce).spec } };
}

function printSubject(policy: Policy, kind: string): Record<string, unknown> {
  const { ref, subject } = policy;
  if (ref.namespace !== undefined) {
    if (!("name" in subject.namespaces) || subject.namespaces.name !== ref.namespace)
      throw unsayable(kind, policy, "it selects in its own namespace only");
    const own = matchExpression({ ...subject, namespaces: { selector: { requirements: [] } } });
    return { selector: formatSelector(own, endpointKey) };
  }
  const terms = conjuncts(matchExpression(subject));
  const namespaces = terms.filter(isOfNamespaces);
  const rest = terms.filter((term) => !isOfNamespaces(term));
  return {
    ...(namespaces.length > 0 ? { namespaceSelector: formatSelector(combine("all", namespaces), namespaceKey) } : {}),
    selector: formatSelector(combine("all", rest), endpointKey),
  };
}

function metadataOf({ name, namespace }: PolicyRef): PrintedObject["metadata"] {
  return { name, ...(namespace === undefined ? {} : { namespace }) };
}

function manifestOf(object: PrintedObject): ManifestObject {
  return { value: { ...object }, file: "", positionOf: () => ({ line: 1, column: 1 }) };
}

/** Returns the Tier of a tier. Reading it gives the tier back. */
export function printCalicoTier({ name, order, end }: Tier): PrintedObject {
  return {
    apiVersion: API_VERSION,
    kind: "Tier",
    metadata: { name },
    spec: { order, defaultAction: end === "pass" ? "Pass" : "Deny" },
  };
}

/** Returns the NetworkSet of a set in a namespace, else its GlobalNetworkSet. Reading it gives the set back. */
export function printCalicoSet({ ref, labels, prefixes }: AddressSet): PrintedObject {
  return {
    apiVersion: API_VERSION,
    kind: ref.namespace === undefined ? "GlobalNetworkSet" : "NetworkSet",
    metadata: { ...metadataOf(ref), ...(Object.keys(labels).length > 0 ? { labels } : {}) },
    spec: { nets: prefixes.map(formatPrefix) },
  };
}
