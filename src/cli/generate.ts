import { statSync } from "node:fs";
import { dirname, relative } from "node:path";
import type { InputSummary } from "../capture/observation.ts";
import { apiGroup } from "../cluster/objects.ts";
import type { Cluster } from "../cluster/snapshot.ts";
import { dialectOf } from "../evaluate/honoured.ts";
import type { CniProfile } from "../evaluate/profile.ts";
import { denyAll, POLICY_TYPES, type PolicyType } from "../generate/dialect.ts";
import type { GivenFile, GivenPolicies } from "../generate/extend.ts";
import { type Generation, generate } from "../generate/generate.ts";
import { DEFAULT_DENY, PolicyNames } from "../generate/names.ts";
import { MANAGED_BY, MANAGER } from "../generate/plan.ts";
import { labelOf, type SelectableWorkload, Workloads } from "../generate/workloads.ts";
import { UDP } from "../net/protocol.ts";
import { parseDuration } from "../net/time.ts";
import { NotExtendable } from "../policy/extendText.ts";
import type { PolicySet } from "../policy/model.ts";
import { policyGroup } from "../policy/readPolicies.ts";
import { loadRegexEngine } from "../policy/regex.ts";
import type { GenerationResult } from "../report/generationReport.ts";
import { listed } from "../report/text.ts";
import { chooseProfile } from "./chooseProfile.ts";
import { checkWorkloadFlags, chooseWorkloads, type WorkloadFlags } from "./chooseWorkloads.ts";
import { refuseTwoStdins, UsageError } from "./errors.ts";
import type { TrafficFlags } from "./inputs.ts";
import { readText } from "./names.ts";
import { type Observation, observe } from "./observe.ts";
import { existingPolicies, loadCandidates } from "./policies.ts";
import { openSources, refuseUnreadPolicies, type SourceFlags, type Sources } from "./sources.ts";
import { collectAtOnce, expectLongWork, growSlowly } from "./tiers.ts";

export interface GenerateFlags extends TrafficFlags, SourceFlags, WorkloadFlags {
  readonly cni: string;
  readonly type: string;
  readonly clusterWide: boolean;
  readonly defaultDeny: boolean;
  readonly l7: boolean;
  readonly fqdn: boolean;
  readonly includeFailed: boolean;
  readonly perPod: boolean;
  readonly dryRun: string;
  /** Policies to extend. */
  readonly merge: string | undefined;
  readonly widen: string | undefined;
  readonly minWindow: string | undefined;
  readonly minConnections: string | undefined;
}

/** What a generation was made from: what applying it is judged by. */
export interface GenerationContext {
  readonly sources: Sources;
  readonly observation: Observation;
  readonly existing: PolicySet;
  readonly profile: CniProfile;
}

/** `gen networkpolicy`: traffic -> connections -> what workloads need -> policies, proven. Throws where the proof fails. */
export async function generatePolicies(given: GenerateFlags): Promise<GenerationResult & { readonly context: GenerationContext }> {
  refuseTwoStdins({ "--pcap": given.pcap, "--flows": given.flows, "--snapshot": given.snapshot });
  const type = checkFlags(given);
  checkWorkloadFlags(given);
  const limits = readLimits(given);
  collectAtOnce();
  growSlowly();
  expectLongWork(false);
  const sources = await openSources(given);
  refuseUnreadPolicies(sources, ", and --snapshot FILE may hold them");
  const { cluster } = sources;
  const flags = { ...given, namespace: sources.namespace };
  const existing = await existingPolicies(cluster, flags.namespace);
  const dialect = { type, isClusterWide: flags.clusterWide };
  const extended = flags.merge === undefined ? undefined : await loadGiven(flags.merge, flags.namespace, cluster);
  // What is to be written says which plugin it is for, where nothing else does.
  const example = denyAll(dialect, flags.namespace, "example");
  const withExample = { ...existing, policies: [...existing.policies, ...(extended?.set.policies ?? []), example] };
  const observation = await observe(flags, sources, flags.l7 || flags.fqdn);
  const evidence = { guess: cluster.cni, formats: observation.traffic.inputs.map(({ format }) => format) };
  const { profile, because, warnings: cniWarnings } = chooseProfile(flags.cni, evidence, withExample, existing.unevaluated);
  if (!profile.dialects.includes(dialectOf(example)))
    throw new UsageError(
      `--type ${type}: ${profile.name} (${because}) does not enforce ${example.ref.kind} of ${apiGroup(example.ref.apiVersion)}`,
    );
  if (type !== "kubernetes") await loadRegexEngine();
  const { world, traffic } = observation;
  const workloads = new Workloads(world.pods, cluster.workloadSelectors, flags.perPod);
  const wanted = new Set(chooseWorkloads(flags, flags.namespace, workloads.all, reasonAgainst(flags, flags.namespace, cluster)));
  const isTaken = takenNames(
    [...cluster.policyObjects, ...(extended === undefined ? [] : [...extended.files.values()].flatMap(({ objects }) => objects))],
    example.ref,
  );
  const generation = extendable(() =>
    generate({
      cluster,
      world,
      connections: observation.connections,
      addresses: traffic.table.addresses,
      resolver: observation.resolver,
      names: traffic.names,
      requestsOf: observation.requestsOf,
      profile,
      existing,
      workloads,
      wanted,
      policyNames: new PolicyNames(workloads.all, dialect, isTaken),
      options: {
        dialect,
        includeFailed: flags.includeFailed,
        defaultDeny: flags.defaultDeny,
        l7: flags.l7,
        byName: flags.fqdn,
        ...limits,
      },
      ...(extended === undefined ? {} : { given: extended }),
      // The pod that a broker is reached by is another one tomorrow: what is written should not change with it.
      sources: traffic.inputs.map(({ name, format }) => (format === "broker" ? "the kguardian broker" : baseName(name))),
    }),
  );
  refuseUnproven(generation, flags);
  refuseNothing(flags, generation, traffic.inputs);
  return {
    generation,
    inputs: traffic.inputs,
    cni: { name: profile.name, because, caveats: profile.caveats },
    warnings: [
      ...cluster.warnings,
      ...cniWarnings,
      ...existing.warnings,
      ...observation.warnings,
      ...hostNotes(flags, cluster),
      ...(sources.broker === undefined ? [] : unseenNotes(wanted, cluster)),
    ],
    wanted: wanted.size,
    context: { sources, observation, existing, profile },
  };
}

/** Pods on the host network have their node's address: policies for pods do not select them. */
function hostNotes({ all, allNamespaces, namespace }: GenerateFlags, { pods }: Cluster): string[] {
  const isMeant = (pod: Cluster["pods"][number]) => pod.hostNetwork && (allNamespaces || (all && pod.namespace === namespace));
  const names = [...new Set(pods.filter(isMeant).map(({ workload }) => labelOf(workload)))].sort();
  return names.length === 0 ? [] : [`no policy is written for what runs on the host network, since none selects it: ${listed(names)}`];
}

/** The broker's probes see UDP where a pod sends it: whoever sends from a node or from outside is in none of its rows. */
function unseenNotes(wanted: ReadonlySet<SelectableWorkload>, { pods }: Cluster): string[] {
  const serving = new Set(pods.filter(({ ports }) => ports.some(({ protocol }) => protocol === UDP)).map(({ workload }) => workload));
  const names = [...wanted].filter((each) => each.pods.some(({ workload }) => serving.has(workload))).map(labelOf);
  return names.length === 0
    ? []
    : [
        `who sends UDP to ${listed(names.sort())} from nodes or from outside is in no record of the broker, and no rule allows it: capture there, or add what you know`,
      ];
}

/** A list that no rule can be added to is a mistake of the input. */
function extendable(run: () => Generation): Generation {
  try {
    return run();
  } catch (error) {
    throw error instanceof NotExtendable ? new UsageError(`--merge: ${error.message}`) : error;
  }
}

function baseName(path: string): string {
  return path.replace(/^.*\//, "");
}

/** Reads the policies that are to be extended, with the texts of their files. */
async function loadGiven(path: string, namespace: string, cluster: Cluster): Promise<GivenPolicies> {
  const { objects, policies, tiers, sets } = await loadCandidates({ filename: [path], recursive: true, namespace }, cluster);
  const root = isDirectory(path) ? path : dirname(path);
  const files = new Map(
    [...Map.groupBy(objects, ({ file }) => file)].map(([file, own]): [string, GivenFile] => [
      file,
      { text: readText(file, "--merge"), objects: own, name: relative(root, file) },
    ]),
  );
  return { set: { policies, tiers, sets }, files };
}

function isDirectory(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isDirectory() ?? false;
}

/** Refuses flags that do not go together; returns the kind of policies. */
function checkFlags({ dryRun, merge, defaultDeny, type, clusterWide, l7, fqdn }: GenerateFlags): PolicyType {
  if (!["true", "client", "false", "server"].includes(dryRun))
    throw new UsageError(`--dry-run: \`${dryRun}\` is none of true, false, client, server`);
  if (merge !== undefined && (dryRun === "false" || dryRun === "server"))
    throw new UsageError("--merge writes into your own files: apply those as you always do (`kubectl diff -f`, `kubectl apply -f`)");
  const found = POLICY_TYPES.find((each) => each === (type === "k8s" ? "kubernetes" : type))!;
  if (merge !== undefined && defaultDeny)
    throw new UsageError("--merge and --default-deny exclude each other: what is extended stays as closed as it is");
  for (const [flag, isGiven] of [
    ["--cluster-wide", clusterWide],
    ["--l7", l7],
    ["--fqdn", fqdn],
  ] as const)
    if (isGiven && found !== "cilium")
      throw new UsageError(`${flag} needs --type cilium: a ${found === "calico" ? "Calico" : "Kubernetes"} NetworkPolicy cannot say it`);
  return found;
}

interface Limits {
  readonly widenBits: number;
  readonly minSeconds: number;
  readonly minConnections: number;
}

function readLimits({ widen = "0", minWindow = "0s", minConnections = "0" }: GenerateFlags): Limits {
  if (!/^\d{1,2}$/.test(widen) || Number(widen) > 32)
    throw new UsageError(`--cidr-max-widen: \`${widen}\` is no number of bits from 0 to 32`);
  const minSeconds = parseDuration(minWindow);
  if (minSeconds === undefined) throw new UsageError(`--min-window: \`${minWindow}\` is no duration (30m, 24h, 7d)`);
  if (!/^\d{1,12}$/.test(minConnections)) throw new UsageError(`--min-connections: \`${minConnections}\` is no number`);
  return { widenBits: Number(widen), minSeconds, minConnections: Number(minConnections) };
}

/** Says why a workload that was named gets no policy, where that is known. */
function reasonAgainst(
  { name }: GenerateFlags,
  namespace: string,
  { pods, workloadSelectors }: Cluster,
): (plain: string) => string | undefined {
  return (plain) => {
    const isNamed = (pod: Cluster["pods"][number]) => pod.name === plain || pod.workload.name === plain;
    if (pods.some((pod) => pod.hostNetwork && pod.namespace === namespace && isNamed(pod)))
      return `\`${name}\` runs on the host network: no network policy selects it`;
    const isEmpty = [...workloadSelectors.keys()].some((key) => key.endsWith(`/${namespace}/${plain}`)) && !pods.some(isNamed);
    return isEmpty ? `\`${name}\` has no pods in namespace \`${namespace}\` now, so nothing was seen of it` : undefined;
  };
}

/** Names of existing policies of the kind that others wrote: applying a file of ours would replace them. */
function takenNames(
  policyObjects: Cluster["policyObjects"],
  { apiVersion, kind }: { apiVersion: string; kind: string },
): (namespace: string, name: string) => boolean {
  const group = policyGroup(apiVersion);
  const isCalico = group === "projectcalico.org";
  const taken = new Set<string>();
  for (const { value } of policyObjects) {
    const metadata = value.metadata as { name?: unknown; namespace?: unknown; labels?: Record<string, unknown> } | null | undefined;
    const isSame = String(value.kind) === kind && policyGroup(String(value.apiVersion)) === group;
    if (!isSame || metadata?.labels?.[MANAGED_BY] === MANAGER) continue;
    // Calico stores policies of its default tier with the tier before their name: both names are one policy's.
    const name = isCalico ? String(metadata?.name).replace(/^default\./, "") : String(metadata?.name);
    taken.add(`${metadata?.namespace ?? ""}/${name}`);
  }
  return (namespace, name) => taken.has(`${namespace}/${name}`) || taken.has(`/${name}`);
}

function refuseUnproven({ proof: { failures } }: Generation, { defaultDeny }: GenerateFlags): void {
  if (failures.length === 0) return;
  const isByDefaultDeny = defaultDeny && failures.some((failure) => failure.includes(DEFAULT_DENY));
  const hint = isByDefaultDeny
    ? " (--default-deny closes every pod of its namespace: give it together with policies for all that was seen there)"
    : "";
  throw new UsageError(`nothing is written: what was generated failed its proof: ${failures[0]}${hint}`, failures.slice(1));
}

/** One workload that was asked for by name and of which nothing can be written is an error, with what to do. */
function refuseNothing(
  { name, namespace }: GenerateFlags,
  { policies, unobserved, thin, gathered }: Generation,
  inputs: readonly InputSummary[],
): void {
  if (name === undefined || policies.some(({ learned }) => learned !== undefined)) return;
  const [workload] = unobserved;
  if (workload !== undefined) {
    const left = gathered.leftOut.reduce((sum, { evidence }) => sum + evidence.connections, 0);
    const details =
      left === 0
        ? ""
        : `; ${left} connections of it were left out (${[...new Set(gathered.leftOut.map(({ reason }) => reason))].join(", ")})`;
    throw new UsageError(
      `no traffic data found for ${labelOf(workload)} in ${listed(inputs.map((input) => input.name))}${details}: capture where its pods run, for longer, or look at another -n (now ${namespace})`,
    );
  }
  for (const { workload: each, why } of thin)
    throw new UsageError(`too little was seen of ${labelOf(each)}: ${why}; capture for longer, or lower the limit`);
  throw new UsageError(`no policy can be written for \`${name}\``);
}
