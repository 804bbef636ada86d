import { isPolicyObject } from "../cluster/cni.ts";
import { type ManifestObject, servedObject } from "../cluster/manifest.ts";
import { apiGroup } from "../cluster/objects.ts";
import { sanitizeObject } from "../cluster/sanitize.ts";
import { isReadable, policyGroup } from "../policy/readPolicies.ts";
import { type ApiServer, pathOf, resourceName, type ServedKind } from "./apiServer.ts";
import { LiveError } from "./liveError.ts";
import { forEachAtOnce } from "./pool.ts";

/** How messages name what comes from the API server. */
const ORIGIN = "the cluster";

/** Lists that are asked for at once. */
const AT_ONCE = 4;

const core = (kind: string, resource: string, isNamespaced: boolean): ServedKind => ({ apiVersion: "v1", kind, resource, isNamespaced });

/** Kinds of the core group, which every server has. */
const CORE: readonly ServedKind[] = [
  core("Namespace", "namespaces", false),
  core("Node", "nodes", false),
  core("Pod", "pods", true),
  core("Service", "services", true),
  core("ServiceAccount", "serviceaccounts", true),
  core("ReplicationController", "replicationcontrollers", true),
];

/** Kinds of other groups that say who owns which address, and who made which pod. Policies come on top. */
const NEEDED: ReadonlyMap<string, readonly string[]> = new Map([
  ["apps", ["Deployment", "ReplicaSet", "StatefulSet", "DaemonSet"]],
  ["batch", ["Job", "CronJob"]],
  ["discovery.k8s.io", ["EndpointSlice"]],
  ["networking.k8s.io", ["ServiceCIDR"]],
  ["argoproj.io", ["Rollout"]],
  ["cilium.io", ["CiliumNode"]],
  ["projectcalico.org", ["IPPool", "FelixConfiguration"]],
  ["networking.k8s.aws", ["PolicyEndpoint"]],
]);

/** ConfigMaps by which network plugins and ranges are known. No other is read: they hold anything. */
const CONFIG_MAPS: readonly string[] = ["cilium-config", "antrea-config", "amazon-vpc-cni", "kubeadm-config"];

/** What a missing list makes uncertain, for the kinds of which that is not plain. */
const CONSEQUENCES: Readonly<Record<string, string>> = {
  namespaces: "labels of namespaces are not known",
  nodes: "addresses of nodes look like outside addresses",
  services: "addresses of Services look like outside addresses",
  "cronjobs.batch": "CronJobs that have no pods now are not known",
  "endpointslices.discovery.k8s.io": "backends of Services are found by their selectors",
};

/** What was read of a cluster. */
export interface ClusterReading {
  readonly objects: readonly ManifestObject[];
  /** What could not be read and what that means, one line each. */
  readonly warnings: readonly string[];
  /** Kinds of policies of which nothing could be read, and why: verdicts without them would be wrong. */
  readonly unreadPolicies: readonly string[];
  /** The only namespace whose policies were read, where some kind may not be listed in all. */
  readonly policiesOnlyOf: string | undefined;
}

/** Reads what the commands need of a live cluster. `namespace` is where a user who may not list all namespaces is asked for. */
export async function readLiveCluster(api: ApiServer, namespace: string): Promise<ClusterReading> {
  const silent: string[] = [];
  const kinds = [...CORE, ...chooseKinds(await api.kinds((apiVersion) => silent.push(apiVersion)))];
  const results: { objects: Record<string, unknown>[]; refused?: Refusal }[] = kinds.map(() => ({ objects: [] }));
  const reading = forEachAtOnce([...kinds.entries()], AT_ONCE, async ([i, kind]) => {
    results[i] = await readKind(api, kind, namespace);
  });
  const [configMaps] = await Promise.all([readConfigMaps(api), reading]);
  const objects = [...results.flatMap((result) => result.objects), ...configMaps];
  const refusals = results.flatMap(({ refused }) => (refused === undefined ? [] : [refused]));
  return {
    objects: objects.map((object) => servedObject(object, ORIGIN)),
    warnings: warningsOf(refusals, namespace),
    unreadPolicies: [
      ...refusals
        .filter(({ kind, inNamespace }) => inNamespace && isInForce(kind))
        .map(({ kind, isDown }) => `${resourceName(kind)} (${isDown ? "its server does not answer" : "the user lacks the verb `list`"})`),
      ...silent
        .filter((each) => !isStoredElsewhere(each, kinds) && POLICY_GROUPS.test(apiGroup(each)))
        .map((each) => `${each} (its server does not answer)`),
    ],
    policiesOnlyOf: refusals.some(({ kind, inNamespace }) => !inNamespace && isPolicyKind(kind)) ? namespace : undefined,
  };
}

/** Picks one version of each kind that is needed: the one that policies are read in, else the preferred one. */
function chooseKinds(served: readonly ServedKind[]): ServedKind[] {
  const groups = new Set(served.map(({ apiVersion }) => apiGroup(apiVersion)));
  const chosen = new Map<string, ServedKind>();
  for (const kind of served) {
    const group = apiGroup(kind.apiVersion);
    // Calico serves its objects under projectcalico.org where its API server runs; what they are stored in is the same again.
    if (group === "crd.projectcalico.org" && groups.has("projectcalico.org")) continue;
    if (!isNeeded(kind)) continue;
    const key = `${policyGroup(kind.apiVersion)}/${kind.kind}`;
    const known = chosen.get(key);
    if (known === undefined || (!isReadable(known.apiVersion, known.kind) && isReadable(kind.apiVersion, kind.kind))) chosen.set(key, kind);
  }
  return [...chosen.values()];
}

function isPolicyKind({ apiVersion, kind }: ServedKind): boolean {
  return isPolicyObject(servedObject({ apiVersion, kind }, ORIGIN));
}

/** Reports whether policies of a kind decide traffic: audit and staged ones only report. */
function isInForce(kind: ServedKind): boolean {
  return isPolicyKind(kind) && apiGroup(kind.apiVersion) !== "kguardian.dev" && !kind.kind.startsWith("Staged");
}

function isNeeded(kind: ServedKind): boolean {
  return NEEDED.get(policyGroup(kind.apiVersion))?.includes(kind.kind) === true || isPolicyKind(kind);
}

/** Groups that the API server itself serves: where it does not answer for them, it answers for nothing. */
const BUILT_IN = new Set(["", "apps", "batch", "discovery.k8s.io", "networking.k8s.io"]);

/** A kind that may not be listed: in no namespace, or in the user's own only; or whose own server is down. */
interface Refusal {
  readonly kind: ServedKind;
  readonly inNamespace: boolean;
  readonly isDown?: true;
}

async function readKind(
  api: ApiServer,
  kind: ServedKind,
  namespace: string,
): Promise<{ objects: Record<string, unknown>[]; refused?: Refusal }> {
  try {
    return { objects: await api.list(kind, undefined, sanitizeObject) };
  } catch (error) {
    if (!(error instanceof LiveError)) throw error;
    // Served a moment ago and gone: a CRD that was just deleted.
    if (error.code === "not-found") return { objects: [] };
    if (error.status === 503 && !BUILT_IN.has(apiGroup(kind.apiVersion)))
      return { objects: [], refused: { kind, inNamespace: true, isDown: true } };
    if (error.code !== "forbidden") throw error;
  }
  try {
    if (kind.isNamespaced) return { objects: await api.list(kind, namespace, sanitizeObject), refused: { kind, inNamespace: false } };
    const own = kind.resource === "namespaces" ? await api.get(pathOf(kind, undefined, namespace)) : undefined;
    const kept = own === undefined ? undefined : sanitizeObject(own);
    return { objects: kept === undefined ? [] : [kept], refused: { kind, inNamespace: true } };
  } catch (error) {
    if (!(error instanceof LiveError) || error.code !== "forbidden") throw error;
    if (kind.resource === "pods")
      throw new LiveError(
        "forbidden",
        `user \`${api.user}\` may not list pods, neither everywhere nor in namespace ${namespace}: who owns which address cannot be known; it takes the verb \`list\` on \`pods\` (docs/cluster-role.yaml has all that is needed)`,
        403,
      );
    return { objects: [], refused: { kind, inNamespace: true } };
  }
}

/** Calico's objects are read as they are stored where its API server is down. */
function isStoredElsewhere(apiVersion: string, kinds: readonly ServedKind[]): boolean {
  return apiGroup(apiVersion) === "projectcalico.org" && kinds.some((kind) => apiGroup(kind.apiVersion) === "crd.projectcalico.org");
}

/** Groups whose policies are read. */
const POLICY_GROUPS = /(^|\.)(cilium\.io|projectcalico\.org|policy\.networking\.k8s\.io|antrea\.io)$/;

function warningsOf(all: readonly Refusal[], namespace: string): string[] {
  // Policies that cannot be read at all are no warning: whoever needs them cannot go on.
  const refusals = all.filter(({ isDown, kind, inNamespace }) => !isDown && !(inNamespace && isInForce(kind)));
  const down = all.filter(({ isDown, kind }) => isDown && !isInForce(kind)).map(({ kind }) => resourceName(kind));
  const partly = refusals.filter(({ inNamespace }) => !inNamespace).map(({ kind }) => resourceName(kind));
  const wholly = refusals.filter(({ inNamespace }) => inNamespace).map(({ kind }) => resourceName(kind));
  const warnings: string[] = [];
  if (down.length > 0) warnings.push(`not read, since the server behind them does not answer now: ${down.join(", ")}`);
  if (partly.length > 0)
    warnings.push(
      `only objects of namespace ${namespace} are known of ${partly.join(", ")}: the user lacks the verb \`list\` on them in all namespaces, so what is elsewhere is unknown (docs/cluster-role.yaml has the least rights)`,
    );
  if (wholly.length > 0) {
    const meaning = wholly.flatMap((name) => CONSEQUENCES[name] ?? []);
    warnings.push(
      `not read, since the user lacks the verb \`list\`: ${wholly.join(", ")}${meaning.length === 0 ? "" : `; so ${meaning.join(", ")}`} (docs/cluster-role.yaml has the least rights)`,
    );
  }
  return warnings;
}

/** Reads the plugins' settings; a user who may not is told nothing, since most clusters lack most of them. */
async function readConfigMaps(api: ApiServer): Promise<Record<string, unknown>[]> {
  const kind = core("ConfigMap", "configmaps", true);
  const read = CONFIG_MAPS.map(async (name) => {
    try {
      const object = await api.get(pathOf(kind, "kube-system", name));
      return object === undefined ? undefined : sanitizeObject({ ...object, apiVersion: "v1", kind: "ConfigMap" });
    } catch (error) {
      if (error instanceof LiveError && error.code === "forbidden") return undefined;
      throw error;
    }
  });
  return (await Promise.all(read)).filter((object) => object !== undefined);
}
