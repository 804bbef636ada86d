import { text as readAll } from "node:stream/consumers";
import { textAt, valueAt } from "../cluster/cni.ts";
import { type ManifestObject, readManifestFiles, servedObject } from "../cluster/manifest.ts";
import { apiGroup, NAMESPACE_NAME, type Namespace } from "../cluster/objects.ts";
import { type Cluster, readCluster } from "../cluster/snapshot.ts";
import { pathOf } from "../live/apiServer.ts";
import type { Live } from "../live/live.ts";
import { LiveError } from "../live/liveError.ts";
import { plural } from "../net/number.ts";
import { inNamespaces } from "../policy/kubernetes/auditPolicy.ts";
import type { Policy } from "../policy/model.ts";
import { nearest } from "../policy/objectReader.ts";
import { type CommentedObject, policyText } from "../policy/policyText.ts";
import { UnsayableError } from "../policy/printedObject.ts";
import { printPolicy } from "../policy/printPolicies.ts";
import { readPolicies } from "../policy/readPolicies.ts";
import { listed, printable, safeJson } from "../report/text.ts";
import { tellWarnings } from "./damage.ts";
import { refuseTwoStdins, UsageError } from "./errors.ts";
import { writePieces } from "./output.ts";
import { problemText, refuseErrors } from "./policies.ts";
import { type LiveFlags, openLive, readSnapshot, SNAPSHOT_HINT } from "./sources.ts";
import { writeAllFiles } from "./writeFiles.ts";

export interface PromoteFlags extends LiveFlags {
  /** `web`, or `auditnetworkpolicy/web`. */
  readonly name: string | undefined;
  readonly all: boolean;
  readonly allNamespaces: boolean;
  readonly namespace: string | undefined;
  readonly filename: readonly string[];
  readonly recursive: boolean;
  readonly snapshot: readonly string[];
}

/** A NetworkPolicy that an audit policy becomes. */
export interface PromotedPolicy {
  readonly object: { readonly metadata: { readonly name: string; readonly namespace: string } } & CommentedObject;
  /** The audit policy, as people call it. */
  readonly from: string;
  readonly file: string;
  readonly text: string;
}

export interface PromotionResult {
  readonly promoted: readonly PromotedPolicy[];
  readonly warnings: readonly string[];
}

const GROUP = "kguardian.dev";
const CLUSTER_KIND = "AuditClusterNetworkPolicy";
/** What every file of ours begins with. */
const HEADER = "Promoted from Audit";
const LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration";

/** Where audit policies come from, and the namespaces that those of the whole cluster become policies in. */
interface Origin {
  readonly audits: readonly ManifestObject[];
  /** NetworkPolicies that are there already, as `namespace/name`. */
  readonly taken: ReadonlySet<string>;
  readonly namespaces: readonly Namespace[];
  /** Those are all namespaces of the cluster, with their labels. */
  readonly knowsAll: boolean;
  /** How messages call it. */
  readonly where: string;
  /** Of objects that name none. */
  readonly defaultNamespace: string;
  /** Where NAME and --all look; undefined: everywhere. */
  readonly looksIn: string | undefined;
  readonly warnings: readonly string[];
}

/** `audit promote`: audit policies -> the neutral model -> NetworkPolicies. Changes nothing in a cluster. */
export async function promoteAudits(flags: PromoteFlags): Promise<PromotionResult> {
  checkFlags(flags);
  refuseTwoStdins({ "--filename": flags.filename, "--snapshot": flags.snapshot });
  const origin = await openOrigin(flags);
  const chosen = choose(flags, origin);
  const { policies, problems } = readPolicies(chosen, {
    defaultNamespace: origin.defaultNamespace,
    namespaces: origin.knowsAll ? origin.namespaces : [],
  });
  refuseErrors(problems);
  const warnings = [...origin.warnings, ...problems.map(problemText)];
  const ofObject = Map.groupBy(policies, ({ ref }) => keyOf(ref.kind, ref.namespace ?? "", ref.name));
  const promoted = chosen.flatMap((object) => {
    const { kind, namespace, name } = namedOf(object, origin);
    return promote(object, ofObject.get(keyOf(kind, namespace, name)) ?? [], origin, warnings);
  });
  refuseTwins(promoted);
  for (const { object } of promoted) {
    const { namespace, name } = object.metadata;
    if (origin.taken.has(`${namespace}/${name}`))
      warnings.push(`NetworkPolicy ${namespace}/${name} is there already: applying what is printed replaces its rules`);
  }
  if (promoted.length === 0) throw new UsageError(`nothing to promote: ${warnings.at(-1) ?? "no audit policy applies to any namespace"}`);
  return { promoted, warnings };
}

function checkFlags({ name, all, allNamespaces, namespace }: PromoteFlags): void {
  if (name === undefined && !all && !allNamespaces)
    throw new UsageError("name an audit policy, or give --all for the namespace or -A for every one");
  if (name !== undefined && (all || allNamespaces)) throw new UsageError(`\`${name}\` and ${all ? "--all" : "-A"} exclude each other`);
  if (allNamespaces && namespace !== undefined) throw new UsageError("-n and -A exclude each other");
}

async function openOrigin(flags: PromoteFlags): Promise<Origin> {
  const { hasClusterConfiguration } = await import("../live/live.ts");
  const fromFiles = flags.filename.length > 0;
  const snapshot = flags.snapshot.length > 0 ? await readSnapshot(flags.snapshot) : undefined;
  const stated = snapshot === undefined ? undefined : readCluster(snapshot.objects);
  if (fromFiles) {
    const read = await readManifestFiles(flags.filename, { recursive: flags.recursive, stdin: () => readAll(process.stdin) });
    const audits = read.objects.filter(isAudit);
    const own = [...readCluster(read.objects.filter(({ value }) => value.kind === "Namespace")).namespaces.values()];
    // Namespaces matter to policies of the whole cluster only: nobody is asked for others.
    const asksCluster = stated === undefined && own.length === 0 && hasClusterConfiguration(flags) && audits.some(isClusterwide);
    const namespaces = stated !== undefined ? known(stated) : asksCluster ? known(await liveNamespaces(await openLive(flags))) : own;
    return {
      audits,
      taken: takenOf(stated?.policyObjects ?? [], flags.namespace ?? "default"),
      namespaces,
      knowsAll: isList(namespaces),
      where: flags.filename.map((path) => (path === "-" ? "standard input" : path)).join(", "),
      defaultNamespace: flags.namespace ?? "default",
      looksIn: flags.namespace,
      warnings: [...read.warnings, ...(snapshot?.warnings ?? [])],
    };
  }
  if (stated === undefined && !hasClusterConfiguration(flags))
    throw new UsageError(
      `no audit policies: give -f FILE or --snapshot FILE; there is no cluster to ask (no $KUBECONFIG, no ~/.kube/config). A snapshot is made with ${SNAPSHOT_HINT}`,
    );
  const live = stated === undefined ? await openLive(flags) : undefined;
  const namespace = flags.namespace ?? live?.namespace ?? "default";
  const read = snapshot ?? (await live!.readCluster(namespace));
  const cluster = stated ?? readCluster(read.objects);
  const audits = cluster.policyObjects.filter(isAudit);
  return {
    audits: live === undefined ? audits : await wholeObjects(live, audits),
    taken: takenOf(cluster.policyObjects, namespace),
    namespaces: known(cluster),
    knowsAll: isList(known(cluster)),
    where: live === undefined ? "the snapshot" : "the cluster",
    defaultNamespace: namespace,
    looksIn: namespace,
    warnings: read.warnings.filter((text) => stated !== undefined || /namespaces|kguardian/.test(text)),
  };
}

function orNothing(error: unknown): undefined {
  if (error instanceof LiveError && error.code === "forbidden") return undefined;
  throw error;
}

/** What is read of a cluster is cut down to what decides traffic; who promotes a policy wants its annotations too. */
async function wholeObjects(live: Live, audits: readonly ManifestObject[]): Promise<ManifestObject[]> {
  const kinds = audits.length === 0 ? [] : await live.api.kinds();
  return await Promise.all(
    audits.map(async (audit) => {
      const { apiVersion, kind, metadata } = audit.value as {
        apiVersion: string;
        kind: string;
        metadata: { namespace?: string; name: string };
      };
      const served = kinds.find((each) => each.apiVersion === apiVersion && each.kind === kind);
      // Who may list and not get promotes it without its annotations.
      const whole = served && (await live.api.get(pathOf(served, metadata.namespace, metadata.name)).catch(orNothing));
      return whole === undefined ? audit : servedObject(whole, audit.file);
    }),
  );
}

/** Reports whether namespaces come from their own objects, and not only from what pods and policies name. */
function isList(namespaces: readonly Namespace[]): boolean {
  return namespaces.some(({ labelsKnown }) => labelsKnown);
}

/** Namespaces that there are; those that only a pod or policy names count too, without labels. */
function known({ namespaces }: Pick<Cluster, "namespaces">): Namespace[] {
  return [...namespaces.values()];
}

async function liveNamespaces({ api }: Live): Promise<Cluster> {
  const objects = await api.list({ apiVersion: "v1", kind: "Namespace", resource: "namespaces", isNamespaced: false });
  return readCluster(objects.map((object) => servedObject(object, "the cluster")));
}

function isAudit({ value }: ManifestObject): boolean {
  return apiGroup(String(value.apiVersion)) === GROUP && /^Audit\w*NetworkPolicy$/.test(String(value.kind));
}

function isClusterwide({ value }: ManifestObject): boolean {
  return value.kind === CLUSTER_KIND;
}

function takenOf(objects: readonly ManifestObject[], defaultNamespace: string): ReadonlySet<string> {
  const own = objects.filter(({ value }) => value.kind === "NetworkPolicy" && apiGroup(String(value.apiVersion)) === "networking.k8s.io");
  return new Set(
    own.map(({ value }) => `${textAt(value, "metadata", "namespace") || defaultNamespace}/${textAt(value, "metadata", "name")}`),
  );
}

interface Named {
  readonly kind: string;
  /** Empty for the whole cluster. */
  readonly namespace: string;
  readonly name: string;
}

function namedOf(object: ManifestObject, { defaultNamespace }: Pick<Origin, "defaultNamespace">): Named {
  const { value } = object;
  const namespace = isClusterwide(object) ? "" : textAt(value, "metadata", "namespace") || defaultNamespace;
  return { kind: String(value.kind), namespace, name: textAt(value, "metadata", "name") };
}

function keyOf(kind: string, namespace: string, name: string): string {
  return JSON.stringify([kind, namespace, name]);
}

function labelOf({ kind, namespace, name }: Named): string {
  return `${kind} ${namespace === "" ? name : `${namespace}/${name}`}`;
}

/** Returns the audit policies that are asked for. Those of the whole cluster are in every namespace. */
function choose({ name, all, allNamespaces }: PromoteFlags, origin: Origin): readonly ManifestObject[] {
  const { audits, looksIn, where } = origin;
  const named = audits.map((object) => ({ object, ...namedOf(object, origin) }));
  if (named.length === 0) throw new UsageError(`no AuditNetworkPolicy or AuditClusterNetworkPolicy in ${where}`);
  const isNear = ({ namespace }: Named) => looksIn === undefined || namespace === "" || namespace === looksIn;
  if (allNamespaces) return audits;
  if (all) {
    const near = named.filter(isNear);
    if (near.length > 0) return near.map(({ object }) => object);
    const there = [...new Set(named.map(({ namespace }) => namespace))].sort();
    throw new UsageError(
      `no audit policy in namespace \`${looksIn}\` of ${where} (there are some in ${listed(there)}): give -n NAMESPACE, or -A`,
    );
  }
  const wanted = name as string;
  const slash = wanted.indexOf("/");
  const plain = wanted.slice(slash + 1);
  const kind = slash < 0 ? undefined : kindOf(wanted.slice(0, slash), wanted);
  const meant = named.filter((each) => each.name === plain && (kind === undefined || each.kind === kind));
  const near = meant.filter(isNear);
  // The API server's namespaces have one of each name; files may write one twice, which their reader refuses.
  const different = new Set(near.map((each) => labelOf(each)));
  if (different.size === 1) return near.map(({ object }) => object);
  if (different.size > 1) {
    const byKind = new Set(near.map((each) => each.kind)).size === different.size;
    const how = byKind ? `give its kind, such as ${near[0].kind.toLowerCase()}/${plain}` : "give -n";
    throw new UsageError(`\`${wanted}\` is ambiguous: ${listed([...different])}: ${how}`);
  }
  if (meant.length > 0)
    throw new UsageError(
      `no audit policy \`${wanted}\` in namespace \`${looksIn}\` of ${where}; there is ${listed(meant.map(labelOf))}: give -n`,
    );
  const guess = nearest(plain, [...new Set(named.map((each) => each.name))]);
  throw new UsageError(
    `no audit policy \`${wanted}\` in ${where}; ${guess === undefined ? `there is ${listed(named.map(labelOf))}` : `did you mean \`${guess}\`?`}`,
  );
}

const KINDS: Readonly<Record<string, string>> = {
  auditnetworkpolicy: "AuditNetworkPolicy",
  auditnetworkpolicies: "AuditNetworkPolicy",
  auditclusternetworkpolicy: CLUSTER_KIND,
  auditclusternetworkpolicies: CLUSTER_KIND,
};

function kindOf(text: string, wanted: string): string {
  // As `-o name` writes it, with its group.
  const plain = text.toLowerCase().replace(/\.kguardian\.dev$/, "");
  if (Object.hasOwn(KINDS, plain)) return KINDS[plain];
  throw new UsageError(`\`${wanted}\`: \`${text}\` is no kind of audit policy (auditnetworkpolicy, auditclusternetworkpolicy)`);
}

/** Returns the NetworkPolicies of one audit policy. */
function promote(source: ManifestObject, policies: readonly Policy[], origin: Origin, warnings: string[]): PromotedPolicy[] {
  const named = namedOf(source, origin);
  const label = labelOf(named);
  const inEach = isClusterwide(source) ? spread(policies, label, origin, warnings) : policies;
  const line = source.isServed ? "" : ` (${source.file}:${source.positionOf([]).line})`;
  const head = printable(`Promoted from ${label}${line} by kubectl kguardian`);
  const metadata = carriedMetadata(source, label, warnings);
  const promoted = inEach.map((policy) => {
    const printed = printedPolicy(policy, label);
    const object = { ...printed, metadata: { ...printed.metadata, ...metadata } };
    // Names of namespaces are as a snapshot has them: none leads out of the directory.
    const file = `${printed.metadata.namespace}-${printed.metadata.name}-networkpolicy.yaml`.replace(/[^A-Za-z0-9._-]/g, "-");
    return { object, from: label, file, text: policyText(object, { head: [head] }) };
  });
  if (isClusterwide(source) && promoted.length > 0)
    warnings.push(
      `${label} becomes a NetworkPolicy in ${promoted.length === 1 ? "the one namespace" : `each of the ${promoted.length} namespaces`} that it selects now: a namespace that comes later has none, until it is promoted again`,
    );
  return promoted;
}

function printedPolicy(policy: Policy, label: string): PromotedPolicy["object"] {
  try {
    return printPolicy([policy]) as PromotedPolicy["object"];
  } catch (error) {
    if (!(error instanceof UnsayableError)) throw error;
    throw new UsageError(`${label} cannot become a NetworkPolicy: ${error.message}`);
  }
}

/** Returns a policy of the whole cluster as one of each namespace that it selects. */
function spread(policies: readonly Policy[], label: string, { namespaces, knowsAll, where }: Origin, warnings: string[]): Policy[] {
  const named = policies.flatMap(({ subject: { namespaces: match } }) => ("name" in match ? [] : namesIn(match.selector.requirements)));
  const candidates = knowsAll ? namespaces : named;
  if (candidates.length === 0 && policies.every(({ subject }) => !("name" in subject.namespaces)))
    throw new UsageError(
      `${label}: which namespaces there are is not known: give --snapshot FILE with them (\`kubectl get ns -o yaml\` is enough), or a kubeconfig`,
    );
  const each = policies.flatMap((policy) => inNamespaces(policy, candidates));
  const open = [
    ...new Set(each.filter(({ subject }) => !("name" in subject.namespaces)).flatMap(({ subject }) => namesOf(subject.namespaces))),
  ];
  if (open.length > 0)
    throw new UsageError(
      `${label}: whether it selects ${listed(open)} hangs on labels of namespaces that are not known: give --snapshot FILE with the Namespace objects (\`kubectl get ns -o yaml\`), or a kubeconfig`,
    );
  if (!knowsAll) return each;
  const there = new Set(namespaces.map(({ name }) => name));
  const nowhere = each.filter(({ subject }) => "name" in subject.namespaces && !there.has(subject.namespaces.name));
  if (nowhere.length > 0)
    warnings.push(
      `${label} names ${listed(nowhere.flatMap(({ subject }) => namesOf(subject.namespaces)))}, which ${nowhere.length === 1 ? "is no namespace" : "are no namespaces"} of the cluster: left out`,
    );
  const kept = each.filter((policy) => !nowhere.includes(policy));
  if (kept.length === 0) warnings.push(`${label} selects none of the ${plural(there.size, "namespace")} known from ${where}`);
  return kept;
}

function namesOf(match: Policy["subject"]["namespaces"]): readonly string[] {
  return "name" in match ? [match.name] : namesIn(match.selector.requirements).map(({ name }) => name);
}

/** Namespaces that a selector itself names; nothing else is known of them. The last counts: it is what was narrowed to. */
function namesIn(
  requirements: readonly { readonly key: string; readonly operator: string; readonly values: readonly string[] }[],
): Namespace[] {
  const named = requirements.findLast(({ key, operator }) => key === NAMESPACE_NAME && operator === "In");
  return (named?.values ?? []).map((name) => ({ name, labels: { [NAMESPACE_NAME]: name }, labelsKnown: false }));
}

/** Returns labels and annotations that go along: tools that look after the object know it by them. */
function carriedMetadata(source: ManifestObject, label: string, warnings: string[]): Record<string, Record<string, string>> {
  const carried: Record<string, Record<string, string>> = {};
  for (const field of ["labels", "annotations"]) {
    const value = valueAt(source.value, "metadata", field);
    if (typeof value !== "object" || value === null || Array.isArray(value)) continue;
    const entries = Object.entries(value).filter(
      (entry): entry is [string, string] => typeof entry[1] === "string" && entry[0] !== LAST_APPLIED,
    );
    // Line breaks are usual in annotations; what rewrites a terminal is in none that is honest.
    const isSafe = ([key, text]: readonly [string, string]) =>
      printable(key) === key && printable(text.replace(/[\n\t]/g, "")) === text.replace(/[\n\t]/g, "");
    const unsafe = entries.filter((entry) => !isSafe(entry));
    if (unsafe.length > 0)
      warnings.push(
        `${label}: ${plural(unsafe.length, field.slice(0, -1))} with control characters left out (${listed(unsafe.map(([key]) => key))})`,
      );
    const safe = entries.filter(isSafe);
    if (safe.length > 0) carried[field] = Object.fromEntries(safe);
  }
  return carried;
}

/** Two audit policies may become one NetworkPolicy: of several the cluster would keep the last. */
function refuseTwins(promoted: readonly PromotedPolicy[]): void {
  const same = Map.groupBy(promoted, ({ object: { metadata } }) => `${metadata.namespace}/${metadata.name}`);
  const twins = [...same].filter(([, each]) => each.length > 1);
  const texts = twins.map(
    ([name, each]) =>
      `NetworkPolicy ${name} would come of ${each.map(({ from }) => from).join(" and of ")}: rename one, or promote one of them by its kind and name`,
  );
  if (texts.length > 0) throw new UsageError(texts[0], texts.slice(1));
}

export interface DeliverPromotionFlags {
  readonly output: string;
  readonly outputDirectory: string | undefined;
}

/** Prints NetworkPolicies, or writes them as files, and says how they are applied. */
export async function deliverPromotion(
  { promoted, warnings }: PromotionResult,
  { output, outputDirectory }: DeliverPromotionFlags,
): Promise<void> {
  tellWarnings(warnings);
  const directory = outputDirectory === "" ? undefined : outputDirectory;
  if (directory !== undefined)
    writeAllFiles(directory, promoted, {
      isOurs: (text) => text.startsWith(`# ${HEADER}`),
      mark: `it does not begin with \`# ${HEADER}\``,
    });
  await writePieces(process.stdout, [printed(promoted, output, directory)]);
  // What was printed can be piped into either.
  const source = directory ?? "-";
  process.stderr.write(
    `${printable(`nothing was applied: \`kubectl kguardian simulate -f ${source}\` tells what it would drop, \`kubectl apply --server-side -f ${source}\` applies it`)}\n`,
  );
}

function printed(promoted: readonly PromotedPolicy[], output: string, directory: string | undefined): string {
  const objects = promoted.map(({ object }) => object);
  if (output === "json") return `${safeJson(objects.length === 1 ? objects[0] : { apiVersion: "v1", kind: "List", items: objects }, 2)}\n`;
  if (output === "name")
    return promoted.map(({ object }) => `networkpolicy.networking.k8s.io/${printable(object.metadata.name)}\n`).join("");
  if (directory !== undefined)
    return promoted.map(({ file, from }) => printable(`${directory.replace(/(?<=.)\/+$/, "")}/${file}   from ${from}`) + "\n").join("");
  return promoted.map(({ text }) => text).join("---\n");
}
