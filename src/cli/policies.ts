import { text as readAll } from "node:stream/consumers";
import { isPolicyObject } from "../cluster/cni.ts";
import { type KnownTexts, type ManifestFiles, type ManifestObject, readManifestFiles } from "../cluster/manifest.ts";
import type { Cluster } from "../cluster/snapshot.ts";
import type { PolicySet } from "../policy/model.ts";
import type { Problem } from "../policy/problem.ts";
import { overlay, type PolicyReading, promoteStaged, readPolicies } from "../policy/readPolicies.ts";
import { loadRegexEngine } from "../policy/regex.ts";
import { UsageError } from "./errors.ts";

export interface PolicyFlags {
  readonly filename: readonly string[];
  readonly recursive: boolean;
  readonly namespace: string;
}

/** Policies of one origin; `warnings` are for the report. */
export interface LoadedPolicies extends Omit<PolicyReading, "problems" | "ignored"> {
  /** What they were read from. */
  readonly objects: readonly ManifestObject[];
  readonly warnings: readonly string[];
}

/** What the given policies make of those in the cluster. */
export interface PoliciesInForce {
  readonly candidates: LoadedPolicies;
  readonly existing: LoadedPolicies;
  /** The candidates over the existing policies, or alone. */
  readonly merged: PolicySet;
  /** What is judged: with staged policies as if they were promoted where that is asked for. */
  readonly judged: PolicySet;
  /** Objects of either that are not evaluated. */
  readonly unevaluated: PolicyReading["unevaluated"];
}

/** Reads the given policies and those of the cluster, and lays the first over the second; without any given those of the cluster are it. */
export async function policiesInForce(
  flags: Omit<PolicyFlags, "namespace"> & { readonly policyMode: "overlay" | "replace"; readonly staged: boolean },
  { cluster, namespace }: { readonly cluster: Cluster; readonly namespace: string },
  read?: ManifestFiles,
): Promise<PoliciesInForce> {
  const candidates = await loadCandidates({ ...flags, namespace }, cluster, read);
  const existing = await existingPolicies(cluster, namespace);
  const merged = flags.filename.length === 0 ? existing : overlay(existing, candidates, flags.policyMode);
  const judged = flags.staged ? promoteStaged(merged) : merged;
  return { candidates, existing, merged, judged, unevaluated: [...existing.unevaluated, ...candidates.unevaluated] };
}

/** Reads the candidate policies of `--filename`; none without it. `read`: what its files hold, where that is known already. */
export async function loadCandidates(flags: PolicyFlags, cluster: Cluster, read?: ManifestFiles): Promise<LoadedPolicies> {
  const files = read ?? (await readManifests(flags.filename, flags.recursive));
  const { ignored, ...loaded } = await policiesIn(files, flags.namespace, cluster);
  if (flags.filename.length > 0 && !hasPolicies(loaded)) {
    const found = [...ignored].map(([kind, count]) => `${count} ${kind}`).join(", ");
    throw new UsageError(`no network policy in ${flags.filename.join(", ")}${found === "" ? "" : ` (only ${found})`}`);
  }
  return loaded;
}

/** Reads the objects of files, directories and the standard input. `known`: texts that were read before, and gain these. */
export function readManifests(paths: readonly string[], recursive: boolean, known?: KnownTexts): Promise<ManifestFiles> {
  return readManifestFiles(paths, { recursive, stdin: () => readAll(process.stdin), known });
}

/** Returns the policies among objects, with how many objects of each kind are none. Throws a UsageError where any cannot be read. */
export async function policiesIn(
  { objects, warnings }: Pick<ManifestFiles, "objects" | "warnings">,
  namespace: string,
  cluster: Cluster,
): Promise<LoadedPolicies & Pick<PolicyReading, "ignored">> {
  await prepareFor(objects);
  const { problems, ...read } = readPolicies(objects, { defaultNamespace: namespace, namespaces: [...cluster.namespaces.values()] });
  refuseErrors(problems);
  return { ...read, objects, warnings: [...warnings, ...problems.map(problemText)] };
}

/** Reports whether anything that decides traffic was read. */
export function hasPolicies({ policies, unevaluated, tiers, sets }: LoadedPolicies): boolean {
  return policies.length + unevaluated.length + tiers.length + sets.length > 0;
}

/** Reads the policies that the cluster holds already. Audit policies only report: they are not in force. */
export async function existingPolicies(cluster: Cluster, namespace: string): Promise<LoadedPolicies> {
  await prepareFor(cluster.policyObjects);
  const options = { defaultNamespace: namespace, namespaces: [...cluster.namespaces.values()] };
  // An audit policy may stand beside the policy of its name that it was promoted to.
  const [reporting, inForce] = [true, false].map((isAudit) => cluster.policyObjects.filter((object) => isAuditObject(object) === isAudit));
  const { policies: audits, problems: auditProblems } = readPolicies(reporting, options);
  const { problems: ownProblems, ignored: _, ...read } = readPolicies(inForce, options);
  const problems = [...ownProblems, ...auditProblems];
  refuseErrors(problems);
  const warnings = problems.map(problemText);
  if (audits.length > 0)
    warnings.push(
      audits.length === 1
        ? "one audit policy in the cluster only reports and is left out; give it with -f to judge what it would become"
        : `${audits.length} audit policies in the cluster only report and are left out; give them with -f to judge what they would become`,
    );
  return { ...read, objects: cluster.policyObjects, warnings };
}

function isAuditObject({ value }: ManifestObject): boolean {
  return String(value.apiVersion).startsWith("kguardian.dev/");
}

/** Loads what reading policies takes: dialects other than NetworkPolicy have regular expressions. */
async function prepareFor(objects: readonly ManifestObject[]): Promise<void> {
  const isPlain = (object: ManifestObject) => object.value.apiVersion === "networking.k8s.io/v1" || !isPolicyObject(object);
  if (!objects.every(isPlain)) await loadRegexEngine();
}

/** Refuses objects of which some cannot be read, with all that is wrong. */
export function refuseErrors(problems: readonly Problem[]): void {
  const errors = problems.filter(({ severity }) => severity === "error").map(problemText);
  if (errors.length > 0) throw new UsageError(errors[0], errors.slice(1));
}

/** Returns a problem as one line: where, and what. */
export function problemText({ file, line, column, path, message }: Problem): string {
  return `${file}${line === 0 ? "" : `:${line}:${column}`}: ${path === "" ? "" : `${path}: `}${message}`;
}
