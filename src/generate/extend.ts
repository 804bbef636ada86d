import { type ManifestObject, readManifest } from "../cluster/manifest.ts";
import { edited, extendList, type TextEdit } from "../policy/extendText.ts";
import type { Direction, Policy, PolicySet } from "../policy/model.ts";
import { identityOf, policyGroup } from "../policy/readPolicies.ts";
import { type Dialect, refOf } from "./dialect.ts";
import type { LearnedWorkload } from "./gather.ts";
import { type PlannedPolicy, type PlannedRules, ruleLines } from "./plan.ts";
import type { PlannedRule } from "./rules.ts";
import type { SelectableWorkload, Workloads } from "./workloads.ts";

/** A file of given policies. */
export interface GivenFile {
  readonly text: string;
  readonly objects: readonly ManifestObject[];
  /** What it is called where the extended set is written. */
  readonly name: string;
}

/** A policy set that is to be extended, with its files by the name that places are told in. */
export interface GivenPolicies {
  readonly set: PolicySet;
  readonly files: ReadonlyMap<string, GivenFile>;
}

/** What one workload needs beyond what the given policies allow it. */
export interface Needs {
  readonly learned: LearnedWorkload;
  readonly rules: PlannedRules;
}

/** Given policies with rules added, and what no given policy is fit to take. */
export interface Extended {
  readonly policies: readonly PlannedPolicy[];
  readonly rest: readonly Needs[];
}

/**
 * Adds rules to given policies that select just one workload: a rule in one that selects more would open more. Nothing else of their
 * files changes, comments and order included. Throws NotExtendable where a list is not in block style.
 */
export function extendPolicies(needs: readonly Needs[], given: GivenPolicies, dialect: Dialect, workloads: Workloads): Extended {
  const edits = new Map<GivenFile, TextEdit[]>();
  const taken: { policy: Policy; file: GivenFile; learned: LearnedWorkload; rules: PlannedRule[]; entries: Record<Direction, number[]> }[] =
    [];
  const rest: Needs[] = [];
  for (const { learned, rules } of needs) {
    const left: { -readonly [Key in Direction]?: readonly PlannedRule[] } = {};
    for (const direction of ["ingress", "egress"] as const) {
      const own = rules[direction] ?? [];
      if (own.length === 0) continue;
      const found = findFit(learned.workload, direction, given, dialect, workloads);
      if (found === undefined) {
        left[direction] = own;
        continue;
      }
      const { policy, file, object } = found;
      let known = taken.find((each) => each.policy === policy);
      if (known === undefined) taken.push((known = { policy, file, learned, rules: [], entries: { ingress: [], egress: [] } }));
      const { lines, entries } = ruleLines(policy, own, known.rules.length);
      known.rules.push(...own);
      known.entries[direction] = entries;
      edits.set(file, [...(edits.get(file) ?? []), extendList(file.text, object, direction, lines)]);
    }
    if (Object.keys(left).length > 0) rest.push({ learned, rules: left });
  }
  const texts = new Map([...edits].map(([file, own]) => [file, edited(file.text, own)]));
  const policies = taken.map(({ policy, file, learned, rules, entries }): PlannedPolicy => {
    const text = texts.get(file)!;
    return {
      namespace: learned.workload.namespace,
      policy,
      object: readManifest(text, file.name).find((object) => isObjectOf(object, policy))!.value,
      file: file.name,
      text,
      isExtended: true,
      learned,
      rules,
      entries,
      alsoSelects: [],
      closes: [],
    };
  });
  return { policies, rest };
}

/** Returns the given policy that selects just this workload and governs the direction: of several the one of the usual name. */
function findFit(
  workload: SelectableWorkload,
  direction: Direction,
  { set, files }: GivenPolicies,
  dialect: Dialect,
  workloads: Workloads,
) {
  const wanted = refOf(dialect, workload.namespace, workload.name);
  const fitting = set.policies.flatMap((policy) => {
    const file = files.get(policy.ref.file ?? "");
    const object = file?.objects.find((each) => isObjectOf(each, policy));
    if (file === undefined || object === undefined || !isFit(policy, workload, direction, wanted, workloads)) return [];
    return typeof object.value.spec === "object" ? [{ policy, file, object }] : [];
  });
  // The most specific one: a wider selector holds more of what comes later.
  const bySpecificity = fitting.toSorted((a, b) => requirementsOf(b.policy) - requirementsOf(a.policy));
  return fitting.find(({ policy }) => identityOf(policy.ref) === identityOf(wanted)) ?? bySpecificity.at(0);
}

function isFit(
  { ref, subject, ...policy }: Policy,
  workload: SelectableWorkload,
  direction: Direction,
  wanted: Policy["ref"],
  workloads: Workloads,
): boolean {
  const isSameKind = ref.kind === wanted.kind && policyGroup(ref.apiVersion) === policyGroup(wanted.apiVersion);
  if (!isSameKind || policy.staged !== undefined || subject.where !== undefined || policy[direction]?.isolates !== true) return false;
  // Calico asks rules in order: one before a rule that denies would open what that closes.
  if (policy.tier.kind === "calico" && policy[direction].rules.some(({ action }) => action !== "allow")) return false;
  // What selects every pod is meant for those that come, too.
  if (subject.pods.requirements.length === 0) return false;
  if (!("name" in subject.namespaces) || subject.namespaces.name !== workload.namespace) return false;
  const selected = workloads.selectedBy(workload.namespace, subject.pods);
  return selected.length === 1 && selected[0] === workload;
}

function requirementsOf({ subject }: Policy): number {
  return subject.pods.requirements.length;
}

function isObjectOf({ value }: ManifestObject, { ref }: Policy): boolean {
  const metadata = value.metadata as { name?: unknown; namespace?: unknown } | undefined;
  return (
    value.kind === ref.kind &&
    value.apiVersion === ref.apiVersion &&
    metadata?.name === ref.name &&
    (metadata.namespace ?? ref.namespace) === ref.namespace
  );
}
