import { NAMESPACE_NAME } from "../../cluster/objects.ts";
import { EVERYTHING, type LabelSelector, matchesRequirement, type Requirement } from "../../cluster/selector.ts";
import { checkLabel, readLabelSelector } from "../labelSelector.ts";
import type { Entity, Expression, NamespaceMatch, PeerTerm, PodMatch } from "../model.ts";
import { type ObjectReader, type Path, quote } from "../objectReader.ts";

/** Labels that Cilium gives to pods besides their own (Cilium documentation: Identity-Relevant Labels, Kubernetes Constructs In Policy). */
export const NAMESPACE_KEY = "io.kubernetes.pod.namespace";
export const NAMESPACE_LABELS = "io.cilium.k8s.namespace.labels.";
export const SERVICE_ACCOUNT_KEY = "io.cilium.k8s.policy.serviceaccount";
const CLUSTER_KEY = "io.cilium.k8s.policy.cluster";
const CLUSTER_NAME = "default"; // Cilium's own default; a snapshot does not say it

/** A condition that nothing satisfies. */
export const NEVER: Expression = { op: "some", terms: [] };

/** Roles that have a label of their own, `reserved:<role>`. `none` is one that nothing has. */
export const RESERVED: readonly Entity[] = [
  ...(["host", "remote-node", "kube-apiserver", "world", "world-ipv4", "world-ipv6"] as const),
  ...(["health", "init", "ingress", "unmanaged", "none"] as const),
];

/** A requirement with the source of its label: `k8s` in `k8s:app`, `any` where none is written. */
export interface SourcedRequirement {
  readonly source: string;
  readonly requirement: Requirement;
  readonly path: Path;
  /** Whether it is written under matchLabels. */
  readonly isLabel: boolean;
}

/**
 * Returns the requirements of a selector of endpoints, undefined when it is absent. Keys may name a source before a colon
 * (Cilium pkg/labels IsValidCiliumLabelKey); the rest is checked as the API server checks label selectors.
 */
export function readSourcedSelector(reader: ObjectReader, value: unknown, path: Path): readonly SourcedRequirement[] | undefined {
  const selector = reader.mapping(value, path, ["matchLabels", "matchExpressions"]);
  if (!selector) return undefined;
  const labelsPath = [...path, "matchLabels"];
  const labels = Object.entries(reader.mapping(selector.matchLabels, labelsPath) ?? {}).map(([written, label]): SourcedRequirement => {
    const { source, key } = splitKey(written);
    const at = [...labelsPath, written];
    checkLabel(reader, key, label, at);
    return {
      source,
      requirement: { key, operator: "In", values: [typeof label === "string" ? label : ""] },
      path: at,
      isLabel: true,
    };
  });
  const sources: string[] = [];
  const withoutSource = (each: unknown): unknown => {
    const written = typeof each === "object" && each !== null ? (each as { key?: unknown }).key : undefined;
    const { source, key } = splitKey(typeof written === "string" ? written : "");
    sources.push(source);
    return typeof written === "string" ? { ...(each as object), key } : each;
  };
  const expressions = Array.isArray(selector.matchExpressions) ? selector.matchExpressions.map(withoutSource) : selector.matchExpressions;
  const read = readLabelSelector(reader, { matchExpressions: expressions }, path)?.requirements ?? [];
  return [
    ...labels,
    ...read.map((requirement, index) => ({
      source: sources[index],
      requirement,
      path: [...path, "matchExpressions", index],
      isLabel: false,
    })),
  ];
}

/** Cilium pkg/labels parseSource: one colon parts source and key; `reserved.x` is the old spelling of `reserved:x`. */
function splitKey(written: string): { source: string; key: string } {
  const match = /^([A-Za-z0-9]+):([^:]*)$/.exec(written);
  if (match) return { source: match[1], key: match[2] };
  return written.startsWith("reserved.") ? { source: "reserved", key: written.slice("reserved.".length) } : { source: "any", key: written };
}

/** Returns a selector of objects that are no endpoints (Services, Nodes), where a source says nothing. */
export function plainSelector(requirements: readonly SourcedRequirement[]): LabelSelector {
  return { requirements: requirements.map(({ requirement }) => requirement) };
}

/** What a selector asks of a pod, by what it looks at. */
interface Split {
  /** Some requirement holds for no pod. */
  never: boolean;
  /** Whether it names the pod's namespace or a label of it. */
  namesNamespace: boolean;
  readonly namespaces: Requirement[];
  readonly pods: Requirement[];
  readonly accounts: Requirement[];
}

const isPositive = ({ operator }: Requirement): boolean => operator === "In" || operator === "Exists";

/** Sorts requirements by what they look at. Pods have no labels of other sources, and those of the cluster are known. */
function split(reader: ObjectReader, requirements: readonly SourcedRequirement[]): Split {
  const parts: Split = { never: false, namesNamespace: false, namespaces: [], pods: [], accounts: [] };
  for (const { source, requirement, path } of requirements) {
    const { key } = requirement;
    if (source !== "any" && source !== "k8s") {
      if (isPositive(requirement)) parts.never = true;
      if (source !== "reserved") reader.warning(path, `pods have no labels of the source ${quote(source)}: write \`k8s:\` or no source`);
    } else if (key === NAMESPACE_KEY) {
      parts.namesNamespace = true;
      if (requirement.operator !== "Exists") parts.namespaces.push({ ...requirement, key: NAMESPACE_NAME });
    } else if (key.startsWith(NAMESPACE_LABELS)) {
      parts.namesNamespace = true;
      parts.namespaces.push({ ...requirement, key: key.slice(NAMESPACE_LABELS.length) });
    } else if (key === SERVICE_ACCOUNT_KEY) {
      parts.accounts.push({ ...requirement, key: "" });
    } else if (key === CLUSTER_KEY) {
      if (!matchesRequirement(requirement, { [CLUSTER_KEY]: CLUSTER_NAME })) parts.never = true;
      reader.warning(path, `the cluster is taken to be the one named \`${CLUSTER_NAME}\``);
    } else {
      parts.pods.push(requirement);
    }
  }
  return parts;
}

function namespacesOf(requirements: readonly Requirement[]): NamespaceMatch {
  const [first] = requirements;
  const isName = requirements.length === 1 && first.key === NAMESPACE_NAME && first.operator === "In" && first.values.length === 1;
  return isName ? { name: first.values[0] } : { selector: { requirements } };
}

function podMatch(namespaces: NamespaceMatch, pods: readonly Requirement[], accounts: readonly Requirement[]): PodMatch {
  const tests = accounts.map((requirement): Expression => ({ op: "test", of: "serviceAccountName", requirement }));
  const where = tests.length === 1 ? tests[0] : { op: "all" as const, terms: tests };
  return { namespaces, pods: { requirements: pods }, ...(tests.length > 0 ? { where } : {}) };
}

/**
 * Returns which pods an `endpointSelector` selects; `where` is NEVER when it can select none. A namespaced policy selects in its
 * own namespace only: a matchLabels entry on it is overridden, other requirements on it must hold there (Cilium ParseCiliumRule).
 */
export function subjectOf(reader: ObjectReader, requirements: readonly SourcedRequirement[], namespace: string | undefined): PodMatch {
  const overridden = ({ source, requirement, isLabel }: SourcedRequirement) =>
    namespace !== undefined && isLabel && source === "k8s" && requirement.key === NAMESPACE_KEY;
  for (const { path, requirement } of requirements.filter(overridden)) {
    if (requirement.values[0] === namespace) continue;
    reader.warning(path, `a namespaced policy selects in its own namespace ${quote(namespace)}: this is ignored`);
  }
  const parts = split(
    reader,
    requirements.filter((each) => !overridden(each)),
  );
  const own = namespace === undefined ? undefined : { [NAMESPACE_NAME]: namespace };
  const isDecided = (requirement: Requirement) => own !== undefined && requirement.key === NAMESPACE_NAME;
  const contradicts = parts.namespaces.some((each) => own && isDecided(each) && !matchesRequirement(each, own));
  const labels = parts.namespaces.filter((each) => !isDecided(each));
  const scope = namespace === undefined ? [] : [{ key: NAMESPACE_NAME, operator: "In" as const, values: [namespace] }];
  if (parts.never || contradicts) return { namespaces: namespacesOf(scope), pods: EVERYTHING, where: NEVER };
  return podMatch(namespacesOf([...scope, ...labels]), parts.pods, parts.accounts);
}

/**
 * Returns whom a selector among `fromEndpoints` or `toEndpoints` means. Pods only, of the policy's own namespace where none is
 * named; with a `reserved:` label anything, and no namespace is added (Cilium getEndpointSelector).
 */
export function peerOf(reader: ObjectReader, requirements: readonly SourcedRequirement[], namespace: string | undefined): PeerTerm {
  if (requirements.some(({ source }) => source === "reserved")) return reservedPeer(reader, requirements);
  const parts = split(reader, requirements);
  if (parts.never) return { kind: "entities", entities: ["none"] };
  const isOwn = namespace !== undefined && !parts.namesNamespace;
  return {
    kind: "pods",
    match: podMatch(isOwn ? { name: namespace } : namespacesOf(parts.namespaces), parts.pods, parts.accounts),
  };
}

/** With a reserved label every identity is looked at: NotIn and DoesNotExist on other labels hold for what is no pod, too. */
function reservedPeer(reader: ObjectReader, requirements: readonly SourcedRequirement[]): PeerTerm {
  const terms: PeerTerm[] = [];
  let never = false;
  for (const each of requirements.filter(({ source }) => source === "reserved")) {
    const { requirement, path } = each;
    const entity = RESERVED.find((name) => name === requirement.key);
    if (entity === undefined) reader.warning(path, `nothing has the label ${quote(`reserved:${requirement.key}`)}`);
    if (entity === "world") {
      reader.warning(path, "`reserved:world` is outside only where the cluster has one IP family: write the entity `world`");
    }
    // A reserved label has the empty value.
    const holds = entity !== undefined && entity !== "none" && (requirement.values.length === 0 || requirement.values.includes(""));
    if (holds) terms.push(negateIf(!isPositive(requirement), { kind: "entities", entities: [entity] }));
    else if (isPositive(requirement)) never = true;
  }
  const others = requirements.filter(({ source }) => source !== "reserved");
  const positive = others.filter(({ requirement }) => isPositive(requirement));
  const parts = split(reader, positive);
  if (never || parts.never) return { kind: "entities", entities: ["none"] };
  if (positive.length > 0) {
    terms.push({ kind: "pods", match: podMatch(namespacesOf(parts.namespaces), parts.pods, parts.accounts) });
  }
  for (const each of others) {
    if (isPositive(each.requirement)) continue;
    const operator = each.requirement.operator === "NotIn" ? "In" : "Exists";
    const inverse = split(reader, [{ ...each, requirement: { ...each.requirement, operator } }]);
    if (inverse.never) continue;
    const match = podMatch(namespacesOf(inverse.namespaces), inverse.pods, inverse.accounts);
    terms.push({ kind: "not", term: { kind: "pods", match } });
  }
  if (terms.length === 0) return { kind: "entities", entities: ["all"] };
  return terms.length === 1 ? terms[0] : { kind: "all", terms };
}

function negateIf(negated: boolean, term: PeerTerm): PeerTerm {
  return negated ? { kind: "not", term } : term;
}
