import { text as readAll } from "node:stream/consumers";
import { textAt } from "../cluster/cni.ts";
import { type ManifestObject, readManifestFiles } from "../cluster/manifest.ts";
import { type Cluster, NO_PODS, readCluster } from "../cluster/snapshot.ts";
import type { Evaluator } from "../evaluate/evaluator.ts";
import type { IsUnread } from "../evaluate/judge.ts";
import type { Live } from "../live/live.ts";
import { parseDuration } from "../net/time.ts";
import { printable } from "../report/text.ts";
import type { BrokerAnswers } from "./broker.ts";
import { UsageError } from "./errors.ts";

/** Says of which namespaces policies are missing, for evaluators that have those in force; undefined: of none. */
export function isUnread({ policiesOnlyOf }: Sources, hasExisting: (evaluator: Evaluator) => boolean = () => true): IsUnread | undefined {
  if (policiesOnlyOf === undefined) return undefined;
  return (namespace, evaluator) => namespace !== policiesOnlyOf && hasExisting(evaluator);
}

/** How a snapshot is made where this program is not. */
export const SNAPSHOT_HINT =
  "`kubectl kguardian snapshot > snapshot.yaml`, or `kubectl get ns,nodes,pods,svc,endpointslices,deploy,rs,sts,ds,jobs,cronjobs,netpol -A -o yaml > snapshot.yaml`";

/** Where the cluster and the broker are. */
export interface LiveFlags {
  readonly kubeconfig?: string | undefined;
  readonly context?: string | undefined;
  readonly requestTimeout?: string | undefined;
  readonly brokerUrl?: string | undefined;
  readonly brokerService?: string | undefined;
  readonly brokerNamespace?: string | undefined;
  readonly brokerTokenFile?: string | undefined;
}

/** Where cluster objects are: of `--snapshot`, else the live cluster's. */
export interface ClusterFlags extends LiveFlags {
  readonly snapshot: readonly string[];
  readonly namespace?: string | undefined;
}

export interface SourceFlags extends ClusterFlags {
  readonly pcap: readonly string[];
  readonly flows: readonly string[];
  /** Whether no cluster may be asked: what the files say is all. */
  readonly offline?: boolean | undefined;
}

/** What a command works on, wherever it comes from. */
export interface Sources {
  readonly cluster: Cluster;
  /** Where objects belong that name no namespace. */
  readonly namespace: string;
  readonly broker: BrokerAnswers | undefined;
  /** The live cluster, where it was asked. */
  readonly live: Live | undefined;
  /** Kinds of policies in force that could not be read, each with why. */
  readonly unreadPolicies: readonly string[];
  /** The only namespace whose policies could be read; undefined: all could. */
  readonly policiesOnlyOf: string | undefined;
  /** Whether there are no cluster objects at all: flow logs that name pods stand for them. */
  readonly hasNoCluster: boolean;
}

/** Refuses to judge beside policies that nobody could read: "nothing is denied" would be a guess. `way`: how to do without them. */
export function refuseUnreadPolicies({ unreadPolicies }: Sources, way: string): void {
  if (unreadPolicies.length > 0)
    throw new UsageError(
      `policies that are in force cannot be read, so what they deny is not known: ${unreadPolicies.join(", ")}${unreadPolicies.some((text) => text.includes("lacks")) ? "; docs/cluster-role.yaml has the rights that it takes" : ""}${way}`,
    );
}

const DEFAULT_NAMESPACE = "default";

/** Opens what flags and environment name: files, the live cluster, the broker. */
export async function openSources(flags: SourceFlags): Promise<Sources> {
  const fromFiles = flags.pcap.length + flags.flows.length > 0;
  // With files at hand the environment alone does not call for a broker.
  const brokerUrl = flags.brokerUrl ?? (fromFiles ? undefined : process.env.KGUARDIAN_BROKER_URL || undefined);
  const wantsBroker = !fromFiles || brokerUrl !== undefined;
  if (flags.offline === true && wantsBroker)
    throw new UsageError("--offline: traffic comes from files then; give --pcap FILE or --flows FILE, and no --broker-url");
  if (!wantsBroker && flags.snapshot.length === 0 && flags.flows.length > 0 && !(await hasCluster(flags)))
    return fileSources(flags, { ...readCluster([]), warnings: [] }, true);
  if (flags.offline === true && flags.snapshot.length === 0)
    throw new UsageError(`--offline, and no --snapshot: captures do not say who owns which address; make a snapshot with ${SNAPSHOT_HINT}`);
  if (!wantsBroker && flags.snapshot.length > 0) return await snapshotSources(flags);
  return await openLiveSources(flags, wantsBroker, brokerUrl);
}

/**
 * Opens cluster objects for commands that need no traffic: those of `--snapshot`, else the live cluster's. No broker is asked. Workloads
 * without running pods are enough.
 */
export async function openCluster(flags: ClusterFlags): Promise<Sources> {
  if (flags.snapshot.length > 0) return await snapshotSources(flags, true);
  return await openLiveSources({ ...flags, pcap: [], flows: [] }, false, undefined);
}

/** Cluster objects, and what they make of the sources of a command; they may have changed meanwhile. */
export interface OpenedObjects {
  readonly objects: readonly ManifestObject[];
  readonly sourcesOf: (objects: readonly ManifestObject[]) => Sources;
}

/** Opens the objects of `--snapshot`, else of the live cluster, for commands that change them. */
export async function openObjects(flags: ClusterFlags & { readonly offline?: boolean | undefined }): Promise<OpenedObjects> {
  if (flags.snapshot.length > 0) {
    const { objects, warnings } = await readSnapshot(flags.snapshot);
    return {
      objects,
      sourcesOf: (own) => fileSources(flags, checkPods(withWarnings(readCluster(own), warnings), flags.snapshot), false),
    };
  }
  if (!(await hasCluster(flags))) refuseWithoutCluster({ ...flags, pcap: [], flows: [] }, false, undefined);
  const live = await openLive(flags);
  const namespace = flags.namespace ?? live.namespace ?? DEFAULT_NAMESPACE;
  const { objects, warnings, unreadPolicies, policiesOnlyOf } = await live.readCluster(namespace);
  return {
    objects,
    sourcesOf: (own) => ({
      cluster: inWordsOfCluster(withWarnings(readCluster(own), warnings)),
      namespace,
      broker: undefined,
      live,
      unreadPolicies,
      policiesOnlyOf,
      hasNoCluster: false,
    }),
  };
}

async function snapshotSources(flags: ClusterFlags, takesTemplates = false): Promise<Sources> {
  return fileSources(flags, await snapshotCluster(flags.snapshot, takesTemplates), false);
}

/** Reads the cluster of `--snapshot` files. `takesTemplates`: workloads without running pods will do. */
export async function snapshotCluster(paths: readonly string[], takesTemplates: boolean): Promise<Cluster> {
  const read = await readSnapshot(paths);
  const cluster = withWarnings(readCluster(read.objects), read.warnings);
  return takesTemplates && cluster.templatePods.length > 0 ? withoutPodWarning(cluster) : checkPods(cluster, paths);
}

/** Where templates stand for pods, their absence is no news. */
export function withoutPodWarning(cluster: Cluster): Cluster {
  return { ...cluster, warnings: cluster.warnings.filter((warning) => warning !== NO_PODS) };
}

function fileSources({ namespace = DEFAULT_NAMESPACE }: ClusterFlags, cluster: Cluster, hasNoCluster: boolean): Sources {
  return { cluster, namespace, broker: undefined, live: undefined, unreadPolicies: [], policiesOnlyOf: undefined, hasNoCluster };
}

/** Refuses to compare all connectivity beside policies of one namespace alone. */
export function refusePartialPolicies({ policiesOnlyOf }: Sources): void {
  if (policiesOnlyOf !== undefined)
    throw new UsageError(
      `only policies of namespace ${policiesOnlyOf} can be read, so what the others deny is not known; docs/cluster-role.yaml has the rights that it takes, and --snapshot FILE may hold them`,
    );
}

export async function hasCluster(flags: LiveFlags & { readonly offline?: boolean | undefined }): Promise<boolean> {
  if (flags.offline === true) return false;
  const { hasClusterConfiguration } = await import("../live/live.ts");
  return hasClusterConfiguration(flags);
}

async function openLiveSources(flags: SourceFlags, wantsBroker: boolean, brokerUrl: string | undefined): Promise<Sources> {
  const { hasClusterConfiguration } = await import("../live/live.ts");
  const fromSnapshot = flags.snapshot.length > 0;
  const needsCluster = !fromSnapshot || (wantsBroker && brokerUrl === undefined);
  const isConfigured = needsCluster && hasClusterConfiguration(flags);
  if (needsCluster && !isConfigured) refuseWithoutCluster(flags, fromSnapshot, brokerUrl);
  const live = isConfigured ? await openLive(flags) : undefined;
  const namespace = flags.namespace ?? (fromSnapshot ? undefined : live?.namespace) ?? DEFAULT_NAMESPACE;
  const reading = fromSnapshot ? readSnapshot(flags.snapshot) : live === undefined ? undefined : live.readCluster(namespace);
  const objectsThere = async () => (await reading)?.objects ?? [];
  const asking = wantsBroker
    ? openBroker(flags, brokerUrl, live).then(async (client) => {
        const { askBroker } = await import("./broker.ts");
        return await askBroker(client, async () => podNames(await objectsThere()));
      })
    : undefined;
  // Whichever fails first is told; the other must not become an unhandled rejection.
  const [read, broker] = await Promise.all([reading, asking]);
  const objects = read?.objects ?? [];
  if (fromSnapshot) checkPods(readCluster(objects), flags.snapshot);
  const isSnapshot = fromSnapshot || read === undefined;
  const warnings = [...(read?.warnings ?? [])];
  if (read === undefined)
    warnings.push(
      "there is no cluster and no --snapshot: who owns which address is what the broker recorded, and labels of namespaces, named ports, nodes and the policies in force are unknown",
    );
  const joined = readCluster([...objects, ...(broker === undefined ? [] : await onlyOfBroker(broker, objects))]);
  const cluster = withWarnings(isSnapshot ? joined : inWordsOfCluster(joined), warnings);
  const unreadPolicies = read !== undefined && "unreadPolicies" in read ? read.unreadPolicies : [];
  const policiesOnlyOf = read !== undefined && "policiesOnlyOf" in read ? read.policiesOnlyOf : undefined;
  return { cluster, namespace, broker, live, unreadPolicies, policiesOnlyOf, hasNoCluster: false };
}

function refuseWithoutCluster(flags: SourceFlags, fromSnapshot: boolean, brokerUrl: string | undefined): void {
  if (fromSnapshot)
    throw new UsageError(
      "no traffic: give --pcap FILE or --flows FILE, or --broker-url URL; there is no kubeconfig ($KUBECONFIG, ~/.kube/config) by which a broker in a cluster could be found",
    );
  // The broker's own records stand in.
  if (brokerUrl !== undefined && flags.pcap.length + flags.flows.length === 0) return;
  throw new UsageError(
    `no --snapshot, and no cluster to ask (no $KUBECONFIG, no ~/.kube/config): who owns which address is read from cluster objects; make a snapshot where the cluster is with ${SNAPSHOT_HINT}`,
  );
}

/** Returns pods and Services that only the broker still knows. */
async function onlyOfBroker({ pods, services, traffic }: BrokerAnswers, objects: readonly ManifestObject[]) {
  const { brokerOnlyObjects } = await import("../live/brokerObjects.ts");
  return brokerOnlyObjects(pods, services, traffic, objects, Date.now() / 1000);
}

function podNames(objects: readonly ManifestObject[]): readonly string[] {
  return objects.filter(({ value }) => value.kind === "Pod").map(({ value }) => textAt(value, "metadata", "name"));
}

async function openBroker(flags: SourceFlags, url: string | undefined, live: Live | undefined) {
  const { openBroker: open } = await import("../live/live.ts");
  return await open({
    url,
    service: flags.brokerService ?? "broker",
    namespace: flags.brokerNamespace ?? (process.env.KUBE_GUARDIAN_NAMESPACE || "kguardian"),
    tokenFile: flags.brokerTokenFile,
    requestTimeout: timeoutOf(flags.requestTimeout),
    live,
    tell: (message) => process.stderr.write(`warning: ${printable(message)}\n`),
  });
}

/** Opens the broker, for commands that ask it for other things than traffic; with the cluster that it was found through, if it was. */
export async function openBrokerOnly(flags: LiveFlags) {
  const { hasClusterConfiguration } = await import("../live/live.ts");
  const url = flags.brokerUrl ?? (process.env.KGUARDIAN_BROKER_URL || undefined);
  if (url === undefined && !hasClusterConfiguration(flags))
    throw new UsageError(
      "no broker: give --broker-url URL; there is no kubeconfig ($KUBECONFIG, ~/.kube/config) by which one in a cluster could be found",
    );
  const live = url === undefined ? await openLive(flags) : undefined;
  return { client: await openBroker({ ...flags, snapshot: [], pcap: [], flows: [] }, url, live), live };
}

/** Opens the cluster of the current context. */
export async function openLive(flags: LiveFlags): Promise<Live> {
  const { Live } = await import("../live/live.ts");
  return await Live.open({ ...flags, requestTimeout: timeoutOf(flags.requestTimeout) });
}

/** The same where there is a kubeconfig. */
export async function openLiveIfAny(flags: LiveFlags): Promise<Live | undefined> {
  const { hasClusterConfiguration } = await import("../live/live.ts");
  return hasClusterConfiguration(flags) ? await openLive(flags) : undefined;
}

/** Seconds of --request-timeout: a number of them, or with a unit; 0: as long as the defaults allow. */
function timeoutOf(text: string | undefined): number {
  if (text === undefined) return 0;
  const seconds = /^\d+$/.test(text) ? Number(text) : parseDuration(text);
  if (seconds === undefined) throw new UsageError(`--request-timeout: \`${text}\` is no duration (30s, 2m), nor a number of seconds`);
  return seconds;
}

/** Reads the cluster objects of `--snapshot`. */
export async function readSnapshot(paths: readonly string[]) {
  return await readManifestFiles(paths, { recursive: false, stdin: () => readAll(process.stdin) });
}

/** What is said of a snapshot holds of the live cluster too. */
function inWordsOfCluster(cluster: Cluster): Cluster {
  const reword = (text: string) => text.replace(/\bthe snapshot\b/g, "the cluster");
  const { cni, warnings } = cluster;
  return { ...cluster, warnings: warnings.map(reword), cni: { ...cni, because: reword(cni.because), warnings: cni.warnings.map(reword) } };
}

/** Refuses a snapshot without any Pod where addresses of captures must be given names: pod templates have none. */
export function checkPods(cluster: Cluster, paths: readonly string[]): Cluster {
  if (cluster.pods.length === 0)
    throw new UsageError(`${paths.join(", ")}: no Pod in it, so no address can be given a name; make a snapshot with ${SNAPSHOT_HINT}`);
  return cluster;
}

/** Puts what was said while the objects were read before what the cluster says of them. */
export function withWarnings(cluster: Cluster, warnings: readonly string[]): Cluster {
  return warnings.length === 0 ? cluster : { ...cluster, warnings: [...warnings, ...cluster.warnings] };
}
