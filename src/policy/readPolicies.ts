import { type ManifestObject, withPlace } from "../cluster/manifest.ts";
import { apiGroup, type Namespace } from "../cluster/objects.ts";
import { readAdminNetworkPolicy, readBaselineAdminNetworkPolicy } from "./admin/adminNetworkPolicy.ts";
import { readClusterNetworkPolicy } from "./admin/clusterNetworkPolicy.ts";
import { readCalicoPolicy } from "./calico/calicoPolicy.ts";
import { readCalicoSet } from "./calico/sets.ts";
import { readCalicoTier } from "./calico/tier.ts";
import { readCidrGroup } from "./cilium/cidrGroup.ts";
import { readCiliumNetworkPolicy } from "./cilium/ciliumNetworkPolicy.ts";
import { readAuditClusterNetworkPolicy, readAuditNetworkPolicy } from "./kubernetes/auditPolicy.ts";
import { readNetworkPolicy } from "./kubernetes/networkPolicy.ts";
import type { AddressSet, Policy, PolicyRef, PolicySet, Tier } from "./model.ts";
import { nearest, quote, titled } from "./objectReader.ts";
import type { Problem } from "./problem.ts";
import type { ObjectReading } from "./reading.ts";

/** What the objects of an input say about policies. */
export interface PolicyReading extends PolicySet {
  readonly policies: Policy[];
  readonly tiers: Tier[];
  readonly sets: AddressSet[];
  readonly problems: Problem[];
  /** Policies of dialects that are known but not evaluated: only a plugin that honours them makes them count. */
  readonly unevaluated: PolicyRef[];
  /** How many objects of each kind are no network policies. */
  readonly ignored: Map<string, number>;
}

/** What policies are read with. */
export interface ReadingOptions {
  /** The namespace of objects that name none. */
  readonly defaultNamespace: string;
  /** The cluster's: a clusterwide audit policy becomes a policy in each that it selects. */
  readonly namespaces?: readonly Namespace[];
}

type Reader = (object: ManifestObject, defaultNamespace: string, namespaces: readonly Namespace[]) => ObjectReading;

const CALICO: Readonly<Record<string, Reader>> = {
  ...Object.fromEntries(
    ["NetworkPolicy", "GlobalNetworkPolicy", "StagedNetworkPolicy", "StagedGlobalNetworkPolicy", "StagedKubernetesNetworkPolicy"].map(
      (kind): [string, Reader] => [kind, readCalicoPolicy],
    ),
  ),
  Tier: readCalicoTier,
  NetworkSet: readCalicoSet,
  GlobalNetworkSet: readCalicoSet,
};

const CILIUM_POLICY = { CiliumNetworkPolicy: readCiliumNetworkPolicy, CiliumClusterwideNetworkPolicy: readCiliumNetworkPolicy };

/** Readers by API group and version, then kind. Kinds are told apart by group: several groups have a NetworkPolicy. */
const READERS: Readonly<Record<string, Readonly<Record<string, Reader>>>> = {
  "networking.k8s.io/v1": { NetworkPolicy: readKubernetesPolicy },
  "policy.networking.k8s.io/v1alpha1": {
    AdminNetworkPolicy: readAdminNetworkPolicy,
    BaselineAdminNetworkPolicy: readBaselineAdminNetworkPolicy,
  },
  "policy.networking.k8s.io/v1alpha2": { ClusterNetworkPolicy: readClusterNetworkPolicy },
  "cilium.io/v2": { ...CILIUM_POLICY, CiliumCIDRGroup: readCidrGroup },
  "cilium.io/v2alpha1": { CiliumCIDRGroup: readCidrGroup },
  "projectcalico.org/v3": CALICO,
  "crd.projectcalico.org/v1": CALICO,
  "kguardian.dev/v1alpha1": { AuditNetworkPolicy: readAuditNetworkPolicy, AuditClusterNetworkPolicy: readAuditClusterNetworkPolicy },
};

/** Reports whether objects of a version and kind are read, and not only known of. */
export function isReadable(apiVersion: string, kind: string): boolean {
  return Object.hasOwn(READERS, apiVersion) && Object.hasOwn(READERS[apiVersion], kind);
}

/** Policy kinds that decide traffic under one plugin each and are not evaluated. */
const UNEVALUATED: ReadonlyMap<string, readonly string[]> = new Map([
  ["crd.antrea.io", ["NetworkPolicy", "ClusterNetworkPolicy"]],
  ["k8s.ovn.org", ["EgressFirewall"]],
  ["network.openshift.io", ["EgressNetworkPolicy"]],
  ["networking.k8s.aws", ["ApplicationNetworkPolicy", "ClusterNetworkPolicy"]],
]);

/** Kinds that are policies whatever group serves them; a group's name is easily misspelt. */
function isPolicyKind(kind: string): boolean {
  return /NetworkPolicy$/.test(kind) || kind === "EgressFirewall";
}

function readKubernetesPolicy(object: ManifestObject, defaultNamespace: string): ObjectReading {
  const { policy, problems } = readNetworkPolicy(object, defaultNamespace);
  return { policies: policy === undefined ? [] : [policy], problems };
}

/**
 * Returns the policies among the objects, with the tiers and sets that they refer to. Removed API versions and misspelt kinds are
 * errors, as is one object written twice: no policy is left out silently.
 */
export function readPolicies(objects: readonly ManifestObject[], options: ReadingOptions): PolicyReading {
  const reading: PolicyReading = { policies: [], tiers: [], sets: [], problems: [], unevaluated: [], ignored: new Map() };
  const seen = new Map<string, PolicyRef>();
  for (const object of objects) {
    const apiVersion = String(object.value.apiVersion);
    const kind = String(object.value.kind);
    const reader = Object.hasOwn(READERS, apiVersion) && Object.hasOwn(READERS[apiVersion], kind) ? READERS[apiVersion][kind] : undefined;
    if (reader !== undefined) {
      add(object, reader(object, options.defaultNamespace, options.namespaces ?? []), reading, seen);
      continue;
    }
    if (UNEVALUATED.get(apiGroup(apiVersion))?.includes(kind)) {
      reading.unevaluated.push(refOf(object, apiVersion, kind, options.defaultNamespace));
      continue;
    }
    const refusal = refusalOf(apiVersion, kind);
    if (refusal) reading.problems.push(problemAt(object, refusal.field, refusal.message));
    else reading.ignored.set(kind, (reading.ignored.get(kind) ?? 0) + 1);
  }
  return reading;
}

function problemAt(object: ManifestObject, field: string, message: string): Problem {
  return { severity: "error", path: field, message: titled(object, message), file: object.file, ...object.positionOf([field]) };
}

function add(object: ManifestObject, read: ObjectReading, reading: PolicyReading, seen: Map<string, PolicyRef>): void {
  for (const problem of read.problems) reading.problems.push(problem);
  if (read.problems.some(({ severity }) => severity === "error")) return;
  const ref = [...(read.policies ?? []), ...(read.tiers ?? []), ...(read.sets ?? [])].at(0)?.ref;
  if (ref !== undefined) {
    const earlier = seen.get(identityOf(ref));
    if (earlier !== undefined) {
      const { kind, namespace, name, file, line } = earlier;
      const what = `${kind} ${quote(namespace === undefined ? name : `${namespace}/${name}`)}`;
      reading.problems.push({
        severity: "error",
        path: "metadata.name",
        message: `${what} is written twice, first at ${quote(`${file}:${line}`)}: only the later would apply`,
        file: object.file,
        ...object.positionOf(["metadata", "name"]),
      });
      return;
    }
    seen.set(identityOf(ref), ref);
  }
  reading.policies.push(...(read.policies ?? []));
  reading.tiers.push(...(read.tiers ?? []));
  reading.sets.push(...(read.sets ?? []));
}

/** Returns why an object must not be left out, undefined when it decides no traffic. */
function refusalOf(apiVersion: string, kind: string): { field: "apiVersion" | "kind"; message: string } | undefined {
  const group = apiGroup(apiVersion);
  if (kind === "NetworkPolicy" && (group === "networking.k8s.io" || group === "extensions")) {
    return { field: "apiVersion", message: `${quote(apiVersion)} is no longer served for NetworkPolicy: write \`networking.k8s.io/v1\`` };
  }
  const versions = Object.keys(READERS).filter((version) => Object.hasOwn(READERS[version], kind));
  const served = versions.filter((version) => apiGroup(version) === group);
  if (served.length > 0)
    return { field: "apiVersion", message: `${quote(apiVersion)} of ${kind} is not understood: write ${listed(served)}` };
  if (versions.length > 0 && isPolicyKind(kind))
    return {
      field: "apiVersion",
      message: `${kind} is of ${quote(nearest(apiVersion, versions) ?? versions[0])}, not of ${quote(apiVersion)}`,
    };
  if (isPolicyKind(kind)) return { field: "kind", message: `${quote(kind)} of ${quote(apiVersion)} is no policy that is understood` };
  // Misspelt, in the wrong case, or as the resource is called: `networkpolicies`. In a group without policies only the latter.
  const kinds = Object.keys(READERS)
    .filter((version) => apiGroup(version) === group)
    .flatMap((version) => Object.keys(READERS[version]));
  const singular = kind.replace(/ies$/i, "y");
  const near = nearest(singular, kinds) ?? (singular.toLowerCase() === "networkpolicy" ? "NetworkPolicy" : undefined);
  return near === undefined || near === kind
    ? undefined
    : { field: "kind", message: `${quote(kind)} is no kind of ${quote(apiVersion)}, did you mean \`${near}\`` };
}

function listed(versions: readonly string[]): string {
  return versions.map((version) => `\`${version}\``).join(" or ");
}

function refOf(object: ManifestObject, apiVersion: string, kind: string, defaultNamespace: string): PolicyRef {
  const { metadata } = object.value;
  const fields = typeof metadata === "object" && metadata !== null ? (metadata as Record<string, unknown>) : {};
  const name = typeof fields.name === "string" ? fields.name : "(no name)";
  const namespace = typeof fields.namespace === "string" ? fields.namespace : defaultNamespace;
  return withPlace(object, { apiVersion, kind, ...(kind.startsWith("Cluster") ? {} : { namespace }), name });
}

/** Returns the API group that policies are known by: Calico stores its own in a group of CRDs (Calico: API server). */
export function policyGroup(apiVersion: string): string {
  return apiGroup(apiVersion).replace(/^crd\.projectcalico\.org$/, "projectcalico.org");
}

/**
 * Returns what makes two objects the same one to the API server: kind, namespace and name, whatever the version. An audit policy is
 * the policy that it would become.
 */
export function identityOf({ apiVersion, kind, namespace, name }: PolicyRef): string {
  const isAudit = apiGroup(apiVersion) === "kguardian.dev";
  const group = isAudit ? "networking.k8s.io" : policyGroup(apiVersion);
  return JSON.stringify([group, isAudit ? kind.replace(/^Audit/, "") : kind, namespace ?? "", name]);
}

/**
 * Returns the policies in force once candidates meet the existing ones. `overlay`: as `kubectl apply` does, the same
 * kind, namespace and name is replaced and the rest stays; `replace`: the candidates alone, with the cluster's tiers and sets that
 * they refer to.
 */
export function overlay(existing: PolicySet, candidates: PolicySet, mode: "overlay" | "replace"): PolicySet {
  const [tiers, sets] = [merge(existing.tiers, candidates.tiers), merge(existing.sets, candidates.sets)];
  return { policies: mode === "replace" ? candidates.policies : merge(existing.policies, candidates.policies), tiers, sets };
}

function merge<T extends { readonly ref: PolicyRef }>(existing: readonly T[], candidates: readonly T[]): T[] {
  const replaced = new Set(candidates.map(({ ref }) => identityOf(ref)));
  return [...existing.filter(({ ref }) => !replaced.has(identityOf(ref))), ...candidates];
}

/** Returns a set in which staged policies have been promoted: set ones take the place of those of their name, deleted ones are gone. */
export function promoteStaged(set: PolicySet): PolicySet {
  const staged = set.policies.filter((policy) => policy.staged === "Set" || policy.staged === "Delete");
  const replaced = new Set(staged.map(({ ref }) => promotedIdentity(ref)));
  return {
    ...set,
    policies: set.policies.flatMap((policy) => {
      if (policy.staged === undefined) return replaced.has(identityOf(policy.ref)) ? [] : [policy];
      const { staged: action, ...promoted } = policy;
      return action === "Set" ? [promoted] : [];
    }),
  };
}

function promotedIdentity(ref: PolicyRef): string {
  const isKubernetes = ref.kind === "StagedKubernetesNetworkPolicy";
  return identityOf({
    ...ref,
    apiVersion: isKubernetes ? "networking.k8s.io/v1" : ref.apiVersion,
    kind: isKubernetes ? "NetworkPolicy" : ref.kind.replace(/^Staged/, ""),
  });
}
