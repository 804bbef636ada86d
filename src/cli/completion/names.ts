import { statSync } from "node:fs";
import { textAt } from "../../cluster/cni.ts";
import type { ManifestObject } from "../../cluster/manifest.ts";
import type { Cluster } from "../../cluster/snapshot.ts";
import { Defaults } from "../configured.ts";
import { type CommandManifest, knownCommands } from "../manifest.ts";
import { settingOf } from "../settings.ts";
import type { Candidate, LookUp, NameKind, Wanted } from "./complete.ts";

/** Nobody waits longer for a shell to offer names. */
const DEADLINE_MS = 1000;

/** Snapshots are read whole and cannot be left half-way: 16 MB take about a second. */
const MOST_SNAPSHOT_BYTES = 16e6;

/** More names than this are no help, and some shells take long over them. */
const MOST_NAMES = 2000;

/** Returns the look-up of names for one completion. Whatever fails, or takes too long, has no names. */
export function namesFor(manifest: CommandManifest): LookUp {
  return async (kind, wanted) => {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<readonly Candidate[]>((resolve) => {
      timer = setTimeout(() => resolve([]), DEADLINE_MS);
    });
    try {
      return (await Promise.race([namesOf(kind, wanted, manifest), late])).slice(0, MOST_NAMES);
    } catch {
      return [];
    } finally {
      clearTimeout(timer);
    }
  };
}

async function namesOf(kind: NameKind, wanted: Wanted, manifest: CommandManifest): Promise<readonly Candidate[]> {
  switch (kind) {
    case "profiles":
      return [...(await import("../../synth/builtinProfiles.ts")).BUILTIN_PROFILES.keys()].map((value) => ({ value }));
    case "seccompActions":
      return (await import("../../generate/seccomp.ts")).DEFAULT_ACTIONS.map((value) => ({ value }));
    case "reportFormats": {
      const { FINDING_FORMATS } = await import("../deliver.ts");
      // Commands that have fewer of them say so.
      return FINDING_FORMATS.filter((format) => wanted.flag?.summary?.includes(format)).map((format) => ({ value: `${format}=` }));
    }
    default:
      return await clusterNames(kind, new Place(wanted, manifest));
  }
}

type ClusterKind = Exclude<NameKind, "profiles" | "seccompActions" | "reportFormats">;

async function clusterNames(kind: ClusterKind, place: Place): Promise<readonly Candidate[]> {
  switch (kind) {
    case "contexts":
      return (await import("../../live/kubeConfig.ts")).contextNames(await place.text("kubeconfig")).map((value) => ({ value }));
    case "namespaces": {
      const objects = await place.objects(["Namespace"], undefined);
      return sorted([...(await clusterOf(objects)).namespaces.keys()]).map((value) => ({ value }));
    }
    case "brokerServices": {
      const namespace = (await place.text("broker-namespace")) ?? (process.env.KUBE_GUARDIAN_NAMESPACE || "kguardian");
      const { services } = await clusterOf(await place.objects(["Service"], namespace));
      return sorted(services.filter((each) => each.namespace === namespace).map(({ name }) => name)).map((value) => ({ value }));
    }
    case "auditPolicies": {
      const [isEverywhere, namespace] = [place.isGiven("all-namespaces"), await place.namespace()];
      const objects = await place.objects(["AuditNetworkPolicy", "AuditClusterNetworkPolicy"], isEverywhere ? undefined : namespace);
      return auditNames(objects, isEverywhere ? undefined : namespace);
    }
    case "workloads": {
      const namespace = await place.namespace();
      return ownWorkloads(await clusterOf(await place.objects(POD_KINDS, namespace)), namespace);
    }
    case "everyWorkload":
      return everyWorkload(await clusterOf(await place.objects(POD_KINDS, undefined)));
    case "endpoints": {
      const cluster = await clusterOf(await place.objects([...POD_KINDS, "Service", "Node"], undefined));
      return endpoints(cluster, await place.namespace());
    }
  }
}

/** What says which workload made a pod. */
const POD_KINDS = ["Pod", "ReplicaSet", "Job", "Deployment", "StatefulSet", "DaemonSet", "CronJob"] as const;

/** Kinds with the paths under which an API server has them. */
const SERVED = {
  Namespace: ["v1", "namespaces", false],
  Node: ["v1", "nodes", false],
  Pod: ["v1", "pods", true],
  Service: ["v1", "services", true],
  ReplicaSet: ["apps/v1", "replicasets", true],
  Deployment: ["apps/v1", "deployments", true],
  StatefulSet: ["apps/v1", "statefulsets", true],
  DaemonSet: ["apps/v1", "daemonsets", true],
  Job: ["batch/v1", "jobs", true],
  CronJob: ["batch/v1", "cronjobs", true],
  AuditNetworkPolicy: ["kguardian.dev/v1alpha1", "auditnetworkpolicies", true],
  AuditClusterNetworkPolicy: ["kguardian.dev/v1alpha1", "auditclusternetworkpolicies", false],
} as const;
type ServedName = keyof typeof SERVED;

/** Where the names of one command line are: what the line says, else what the user's settings say. */
class Place {
  readonly #wanted: Wanted;
  readonly #defaults: Defaults;

  constructor(wanted: Wanted, manifest: CommandManifest) {
    this.#wanted = wanted;
    this.#defaults = new Defaults(wanted.command.id, () => knownCommands(manifest));
  }

  isGiven(flag: string): boolean {
    return this.#wanted.given.has(flag);
  }

  /** Returns what a flag of one value says. */
  async text(flag: string): Promise<string | undefined> {
    return (await this.#values(flag)).at(-1);
  }

  /** The namespace of names that have none. */
  async namespace(): Promise<string> {
    const stated = await this.text("namespace");
    if (stated !== undefined) return stated;
    if ((await this.#files()).length > 0) return "default";
    const { Live } = await import("../../live/live.ts");
    return Live.namespaceOf({ kubeconfig: await this.text("kubeconfig"), context: await this.text("context") }) ?? "default";
  }

  /** Returns objects of the snapshot, else those of these kinds of the live cluster, of a namespace or of all. */
  async objects(kinds: readonly ServedName[], namespace: string | undefined): Promise<readonly ManifestObject[]> {
    const files = await this.#files();
    return files.length > 0 ? await objectsOf(files, this.isGiven("recursive")) : await this.#liveObjects(kinds, namespace);
  }

  async #values(flag: string): Promise<readonly string[]> {
    const { command, given } = this.#wanted;
    const described = command.flags[flag];
    const stated = given.get(flag);
    if (stated !== undefined || described === undefined) return stated ?? [];
    const setting = settingOf(command.id, flag, described);
    if (setting === undefined) return [];
    return (await this.#defaults.valueOf(setting, described, Object.fromEntries(given))) ?? [];
  }

  /** The snapshot's files; without a snapshot and a cluster, those of the policies, which may hold the workloads too. */
  async #files(): Promise<readonly string[]> {
    const snapshot = await this.#values("snapshot");
    // Standard input is the command's.
    if (snapshot.length > 0) return snapshot.filter((path) => path !== "-");
    const { hasClusterConfiguration } = await import("../../live/kubeConfig.ts");
    const hasCluster = !this.isGiven("offline") && hasClusterConfiguration({ kubeconfig: await this.text("kubeconfig") });
    return hasCluster ? [] : (this.#wanted.given.get("filename") ?? []).filter((path) => path !== "-");
  }

  async #liveObjects(kinds: readonly ServedName[], namespace: string | undefined): Promise<readonly ManifestObject[]> {
    if (this.isGiven("offline") || (await this.#values("snapshot")).length > 0) return [];
    const [{ Live, hasClusterConfiguration }, { servedObject }] = await Promise.all([
      import("../../live/live.ts"),
      import("../../cluster/manifest.ts"),
    ]);
    const flags = { kubeconfig: await this.text("kubeconfig"), context: await this.text("context") };
    if (!hasClusterConfiguration(flags)) return [];
    const { api } = await Live.open({ ...flags, requestTimeout: DEADLINE_MS / 1000 });
    const lists = await Promise.allSettled(
      kinds.map(async (kind) => {
        const [apiVersion, resource, isNamespaced] = SERVED[kind];
        return await api.list({ apiVersion, kind, resource, isNamespaced }, isNamespaced ? namespace : undefined);
      }),
    );
    // Of what a user may not list, the rest is still of use.
    return lists.flatMap((list) => (list.status === "fulfilled" ? list.value.map((object) => servedObject(object, "the cluster")) : []));
  }
}

async function objectsOf(paths: readonly string[], recursive: boolean): Promise<readonly ManifestObject[]> {
  const { readManifestFiles } = await import("../../cluster/manifest.ts");
  const isSmall = paths.reduce((sum, path) => sum + statSync(path).size, 0) <= MOST_SNAPSHOT_BYTES;
  return isSmall ? (await readManifestFiles(paths, { recursive })).objects : [];
}

async function clusterOf(objects: readonly ManifestObject[]): Promise<Cluster> {
  return (await import("../../cluster/snapshot.ts")).readCluster(objects);
}

function sorted(names: readonly string[]): string[] {
  return [...new Set(names)].sort();
}

/** Workloads with their pods, by `NAMESPACE/KIND/NAME` as people write it. */
async function workloadsOf({ pods, templatePods }: Cluster): Promise<Map<string, Cluster["pods"]>> {
  const { livingPods } = await import("../../cluster/workloads.ts");
  const { labelOf } = await import("../../generate/workloads.ts");
  const known = livingPods([...pods, ...templatePods]).filter(({ workload }) => workload.kind !== "Pods");
  return Map.groupBy(known, ({ workload }) => labelOf(workload));
}

/** `deploy/web` and `pod/web-0`. */
async function ownWorkloads(cluster: Cluster, namespace: string): Promise<Candidate[]> {
  const own = `${namespace}/`;
  const workloads = [...(await workloadsOf(cluster))].filter(([label]) => label.startsWith(own));
  const pods = workloads.flatMap(([label, made]) =>
    made.filter(isRunning).map(({ name }) => ({ value: `pod/${name}`, description: `pod of ${label.slice(own.length)}` })),
  );
  return distinct([...workloads.map(([label]) => ({ value: label.slice(own.length) })), ...pods]);
}

async function everyWorkload(cluster: Cluster): Promise<Candidate[]> {
  return distinct([...(await workloadsOf(cluster)).keys()].map((value) => ({ value })));
}

/** What `explain` takes: with a namespace, and without one those of the line's own. */
async function endpoints(cluster: Cluster, namespace: string): Promise<Candidate[]> {
  const workloads = await workloadsOf(cluster);
  const ends = [
    ...workloads.keys(),
    ...cluster.services.map((service) => `${service.namespace}/svc/${service.name}`),
    ...[...workloads.values()]
      .flat()
      .filter(isRunning)
      .map((pod) => `${pod.namespace}/pod/${pod.name}`),
  ];
  const own = ends.filter((label) => label.startsWith(`${namespace}/`)).map((label) => label.slice(namespace.length + 1));
  const external = { value: "external", description: "an outside address that no rule names" };
  return distinct([
    external,
    ...[...own, ...ends].map((value) => ({ value })),
    ...cluster.nodes.map(({ name }) => ({ value: `node/${name}` })),
  ]);
}

/** A pod of a template has no name that anybody could give. */
function isRunning({ addresses, uid }: Cluster["pods"][number]): boolean {
  return addresses.length > 0 || uid !== undefined;
}

function distinct(candidates: readonly Candidate[]): Candidate[] {
  return [...new Map(candidates.map((each) => [each.value, each])).values()].sort((a, b) => (a.value < b.value ? -1 : 1));
}

function auditNames(objects: readonly ManifestObject[], namespace: string | undefined): Candidate[] {
  const audits = objects.filter(({ value }) => /^Audit(?:Cluster)?NetworkPolicy$/.test(String(value.kind)));
  return distinct(
    audits.flatMap(({ value }) => {
      const own = textAt(value, "metadata", "namespace") || "default";
      const isHere = namespace === undefined || value.kind === "AuditClusterNetworkPolicy" || own === namespace;
      const name = textAt(value, "metadata", "name");
      return isHere && name !== "" ? [{ value: name, description: String(value.kind) }] : [];
    }),
  );
}
