import type { ManifestObject } from "../../cluster/manifest.ts";
import { NAMESPACE_NAME, type Namespace } from "../../cluster/objects.ts";
import { EVERYTHING, type LabelSelector, selects, selectsPartly, type Truth } from "../../cluster/selector.ts";
import { readLabelSelector } from "../labelSelector.ts";
import type { Direction, NamespaceMatch, Peer, Policy, Rule, RuleList } from "../model.ts";
import { readHead } from "../objectHead.ts";
import { type Fields, type ObjectReader, readerOf } from "../objectReader.ts";
import type { ObjectReading } from "../reading.ts";
import { type NetworkPolicySpec, readNetworkPolicySpec } from "./networkPolicy.ts";

/*
 * The kinds of kguardian.dev/v1alpha1 (kguardian: charts/kguardian/crds). They are not enforced; they are read as the
 * NetworkPolicies that promoting them makes, under their own names.
 */

/** Stands for the namespace of each subject until that is known. No namespace is called so. */
const OWN = "";

/** Returns the policy of an AuditNetworkPolicy. Its spec is that of a NetworkPolicy, though it must have a `podSelector`. */
export function readAuditNetworkPolicy(object: ManifestObject, defaultNamespace = "default"): ObjectReading {
  const reader = readerOf(object);
  const { ref, spec } = readHead(reader, object, defaultNamespace);
  const namespace = ref.namespace ?? defaultNamespace;
  const { pods, ...rules } = readSpec(reader, spec, namespace);
  if (reader.hasErrors()) return { problems: reader.problems };
  const policy: Policy = { ref, tier: { kind: "networkpolicy" }, subject: { namespaces: { name: namespace }, pods }, ...rules };
  return { policies: [policy], problems: reader.problems };
}

/**
 * Returns the policies of an AuditClusterNetworkPolicy: the spec of a NetworkPolicy in every namespace that `namespaceSelector`
 * selects, all of them where it is absent. One policy says that unless a peer has a `podSelector` alone, which means the namespace
 * of each subject: then there is one policy a namespace, and without known `namespaces` such an object is refused.
 */
export function readAuditClusterNetworkPolicy(
  object: ManifestObject,
  _defaultNamespace?: string,
  namespaces: Iterable<Namespace> = [],
): ObjectReading {
  const reader = readerOf(object);
  const { ref, spec } = readHead(reader, object);
  const { pods, ...rules } = readSpec(reader, spec, OWN, ["namespaceSelector"]);
  const selector = readLabelSelector(reader, spec?.namespaceSelector, ["spec", "namespaceSelector"]) ?? EVERYTHING;
  const policy: Policy = { ref, tier: { kind: "networkpolicy" }, subject: { namespaces: { selector }, pods }, ...rules };
  const isOpen = (["ingress", "egress"] as const).some((direction) => policy[direction]?.rules.some(({ peers }) => hasOwn(peers)));
  const known = isOpen ? [...namedBy(selector), ...namespaces] : [];
  if (isOpen && known.length === 0) {
    const message = "peers without `namespaceSelector` are of each subject's own namespace, and no namespaces are known";
    reader.error(["spec"], `${message}: give a snapshot of the cluster, or list the names with the key \`${NAMESPACE_NAME}\``);
  }
  if (reader.hasErrors()) return { problems: reader.problems };
  return { policies: isOpen ? inNamespaces(policy, known) : [policy], problems: reader.problems };
}

/**
 * Returns what promoting a policy of many namespaces makes: the same for each namespace that its subject's selector selects. Where
 * the labels of a namespace leave that open, so does the subject of the result.
 */
export function inNamespaces(policy: Policy, namespaces: Iterable<Namespace>): Policy[] {
  const { namespaces: match } = policy.subject;
  if ("name" in match) return [policy];
  const byName = new Map([...namespaces].map((each) => [each.name, each]));
  return [...byName.values()].flatMap((namespace) => {
    const truth = selectsNamespace(match.selector, namespace);
    if (truth === false) return [];
    const name = namespace.name;
    const named = { key: NAMESPACE_NAME, operator: "In", values: [name] } as const;
    const namespacesOfIt: NamespaceMatch =
      truth === true ? { name } : { selector: { requirements: [...match.selector.requirements, named] } };
    return [{ ...policy, subject: { ...policy.subject, namespaces: namespacesOfIt }, ...rulesIn(policy, name) }];
  });
}

function selectsNamespace(selector: LabelSelector, namespace: Namespace): Truth {
  const labels = { ...namespace.labels, [NAMESPACE_NAME]: namespace.name };
  return namespace.labelsKnown ? selects(selector, labels) : selectsPartly(selector, labels);
}

/** Returns the namespaces that a selector itself names; nothing else is known of them. */
function namedBy(selector: LabelSelector): Namespace[] {
  const named = selector.requirements.find(({ key, operator }) => key === NAMESPACE_NAME && operator === "In");
  return (named?.values ?? []).map((name) => ({ name, labels: {}, labelsKnown: false }));
}

function hasOwn(peers: Rule["peers"]): boolean {
  return peers !== "any" && peers.some(isOwn);
}

function isOwn(peer: Peer): boolean {
  return peer.kind === "pods" && "name" in peer.match.namespaces && peer.match.namespaces.name === OWN;
}

/** Returns the rules of a policy as they are for subjects of one namespace. */
function rulesIn(policy: Policy, name: string): Pick<Policy, Direction> {
  const inNamespace = (peer: Peer): Peer =>
    peer.kind === "pods" && isOwn(peer) ? { ...peer, match: { ...peer.match, namespaces: { name } } } : peer;
  const inRule = (rule: Rule): Rule => (rule.peers === "any" ? rule : { ...rule, peers: rule.peers.map(inNamespace) });
  const inList = (list: RuleList): RuleList => ({ ...list, rules: list.rules.map(inRule) });
  const { ingress, egress } = policy;
  return { ...(ingress ? { ingress: inList(ingress) } : {}), ...(egress ? { egress: inList(egress) } : {}) };
}

function readSpec(
  reader: ObjectReader,
  spec: Fields | undefined,
  namespace: string,
  otherFields: readonly string[] = [],
): NetworkPolicySpec {
  if (!spec) return { pods: EVERYTHING };
  const hasPods = (spec.podSelector ?? null) !== null;
  if (!hasPods) reader.error(["spec"], "a `podSelector` is required: `{}` selects every pod");
  return readNetworkPolicySpec(reader, hasPods ? spec : { ...spec, podSelector: {} }, namespace, otherFields);
}
