import type { ManifestObject } from "../cluster/manifest.ts";
import type { Policy } from "./model.ts";
import { readNetworkPolicy } from "./networkPolicy.ts";
import { nearest, quote } from "./objectReader.ts";
import type { Problem } from "./problem.ts";

/** What the objects of an input say about policies. */
export interface PolicyReading {
  readonly policies: Policy[];
  readonly problems: Problem[];
  /** How many objects of each kind are no network policies. */
  readonly ignored: Map<string, number>;
}

const GROUP = "networking.k8s.io";

/**
 * Policy kinds of other dialects by API group: they decide traffic, so leaving one out makes verdicts wrong. Other kinds of
 * these groups decide nothing by themselves (CiliumEndpoint, NetworkSet, Tier; PolicyEndpoint is made from NetworkPolicies).
 */
const OTHER_DIALECTS: ReadonlyMap<string, readonly string[]> = new Map([
  ["policy.networking.k8s.io", ["AdminNetworkPolicy", "BaselineAdminNetworkPolicy", "ClusterNetworkPolicy"]],
  ["cilium.io", ["CiliumNetworkPolicy", "CiliumClusterwideNetworkPolicy"]],
  ...["projectcalico.org", "crd.projectcalico.org"].map((group): [string, string[]] => [
    group,
    [...["NetworkPolicy", "GlobalNetworkPolicy"], ...["StagedNetworkPolicy", "StagedGlobalNetworkPolicy", "StagedKubernetesNetworkPolicy"]],
  ]),
  ["crd.antrea.io", ["NetworkPolicy", "ClusterNetworkPolicy"]],
  ["k8s.ovn.org", ["EgressFirewall"]],
  ["network.openshift.io", ["EgressNetworkPolicy"]],
  ["networking.k8s.aws", ["ApplicationNetworkPolicy", "ClusterNetworkPolicy"]],
]);

/** Kinds that are policies whatever group serves them; a group's name is easily misspelt. */
function isPolicyKind(kind: string): boolean {
  return /NetworkPolicy$/.test(kind) || kind === "EgressFirewall";
}

/**
 * Returns the policies among the objects. Policies of dialects that are not evaluated, of removed API versions and with
 * misspelt kinds are errors, as is one object written twice: no policy is left out silently.
 */
export function readPolicies(objects: readonly ManifestObject[], options: { defaultNamespace: string }): PolicyReading {
  const reading: PolicyReading = { policies: [], problems: [], ignored: new Map() };
  const seen = new Map<string, Policy>();
  for (const object of objects) {
    const apiVersion = String(object.value.apiVersion);
    const kind = String(object.value.kind);
    if (apiVersion === `${GROUP}/v1` && kind === "NetworkPolicy") {
      addNetworkPolicy(object, options.defaultNamespace, reading, seen);
      continue;
    }
    const refusal = refusalOf(object, apiVersion, kind, options.defaultNamespace);
    if (refusal) reading.problems.push(problemAt(object, refusal.field, refusal.message));
    else reading.ignored.set(kind, (reading.ignored.get(kind) ?? 0) + 1);
  }
  return reading;
}

function problemAt(object: ManifestObject, field: string, message: string): Problem {
  return { severity: "error", path: field, message, file: object.file, ...object.positionOf([field]) };
}

function addNetworkPolicy(object: ManifestObject, defaultNamespace: string, reading: PolicyReading, seen: Map<string, Policy>): void {
  const { policy, problems } = readNetworkPolicy(object, defaultNamespace);
  for (const problem of problems) reading.problems.push(problem);
  if (!policy) return;
  const key = identityOf(policy);
  const earlier = seen.get(key);
  if (!earlier) {
    seen.set(key, policy);
    reading.policies.push(policy);
    return;
  }
  const { kind, namespace, name, file, line } = earlier.ref;
  reading.problems.push({
    severity: "error",
    path: "metadata.name",
    message: `${kind} ${quote(`${namespace}/${name}`)} is written twice, first at ${quote(`${file}:${line}`)}: only the later would apply`,
    file: object.file,
    ...object.positionOf(["metadata", "name"]),
  });
}

/** Returns why an object must not be left out, undefined when it decides no traffic. */
function refusalOf(
  object: ManifestObject,
  apiVersion: string,
  kind: string,
  defaultNamespace: string,
): { field: "apiVersion" | "kind"; message: string } | undefined {
  const group = apiVersion.includes("/") ? apiVersion.slice(0, apiVersion.indexOf("/")) : "";
  if (kind === "NetworkPolicy" && (group === GROUP || group === "extensions")) {
    return { field: "apiVersion", message: `${quote(apiVersion)} is no longer served for NetworkPolicy: write \`${GROUP}/v1\`` };
  }
  const kinds = group === GROUP ? ["NetworkPolicy"] : (OTHER_DIALECTS.get(group) ?? []);
  if (kinds.includes(kind) || (isPolicyKind(kind) && kind !== "NetworkPolicy")) {
    const name = quote(`${kind === "NetworkPolicy" ? `${kind}.${group}` : kind} ${nameOf(object, kind, defaultNamespace)}`);
    return { field: "kind", message: `this version evaluates NetworkPolicy only: a verdict that left out ${name} would be wrong` };
  }
  if (kind === "NetworkPolicy") return { field: "apiVersion", message: `NetworkPolicy is of \`${GROUP}/v1\`, not of ${quote(apiVersion)}` };
  // Misspelt, in the wrong case, or as the resource is called: `networkpolicies`. In a group without policies only the latter.
  const singular = kind.replace(/ies$/i, "y");
  const near = nearest(singular, kinds) ?? (singular.toLowerCase() === "networkpolicy" ? "NetworkPolicy" : undefined);
  return near === undefined
    ? undefined
    : { field: "kind", message: `${quote(kind)} is no kind of ${quote(apiVersion)}, did you mean \`${near}\`` };
}

const CLUSTER_WIDE = /^(?:(?:Baseline)?Admin|(?:Audit)?Cluster|CiliumClusterwide|(?:Staged)?Global)NetworkPolicy$/;

function nameOf(object: ManifestObject, kind: string, defaultNamespace: string): string {
  const metadata = object.value.metadata;
  const fields = typeof metadata === "object" && metadata !== null ? (metadata as Record<string, unknown>) : {};
  const name = typeof fields.name === "string" ? fields.name : "(no name)";
  if (CLUSTER_WIDE.test(kind)) return name;
  return `${typeof fields.namespace === "string" ? fields.namespace : defaultNamespace}/${name}`;
}

/** Returns what makes two objects the same one to the API server: kind, namespace and name, whatever the version. */
function identityOf({ ref }: Policy): string {
  return JSON.stringify([ref.apiVersion.replace(/\/[^/]*$/, ""), ref.kind, ref.namespace ?? "", ref.name]);
}

/**
 * Returns the policies in force once candidates meet the existing ones. `overlay`: as `kubectl apply` does, the same
 * kind, namespace and name is replaced and the rest stays; `replace`: the candidates alone.
 */
export function overlay(existing: readonly Policy[], candidates: readonly Policy[], mode: "overlay" | "replace"): Policy[] {
  if (mode === "replace") return [...candidates];
  const replaced = new Set(candidates.map(identityOf));
  return [...existing.filter((policy) => !replaced.has(identityOf(policy))), ...candidates];
}
