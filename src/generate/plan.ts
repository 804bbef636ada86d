import type { Direction, Policy } from "../policy/model.ts";
import { itemLines, policyText } from "../policy/policyText.ts";
import { printPolicy } from "../policy/printPolicies.ts";
import { evidenceText } from "./comments.ts";
import { type Dialect, denyAll, makePolicy } from "./dialect.ts";
import type { Evidence } from "./evidence.ts";
import type { LearnedWorkload } from "./gather.ts";
import type { PolicyName } from "./names.ts";
import type { PlannedRule } from "./rules.ts";
import { labelOf, type SelectableWorkload, type Workloads } from "./workloads.ts";

/** A policy that is to be written. */
export interface PlannedPolicy {
  readonly namespace: string;
  readonly policy: Policy;
  /** The object as its API has it. */
  readonly object: object;
  readonly file: string;
  /** The whole file; policies that stand in one file have one text. */
  readonly text: string;
  /** Whether it is a given policy to which rules are added. */
  readonly isExtended?: boolean;
  /** Whose it is; a default-deny is nobody's. */
  readonly learned?: LearnedWorkload;
  readonly rules: readonly PlannedRule[];
  /** For each entry of the written lists: which of `rules` it is of. */
  readonly entries: Entries;
  /** Other workloads that it selects. */
  readonly alsoSelects: readonly SelectableWorkload[];
  /** Directions that it closes without a rule. */
  readonly closes: readonly Direction[];
}

/** For each written entry the number of its rule, where it is of ours. */
export type Entries = Readonly<Record<Direction, readonly number[]>>;

/** Rules by direction. A direction that is absent is not governed. */
export type PlannedRules = Readonly<Partial<Record<Direction, readonly PlannedRule[]>>>;

interface Surroundings {
  readonly dialect: Dialect;
  readonly name: PolicyName;
  readonly sources: readonly string[];
  readonly workloads: Workloads;
  /** What worked and the policy does not allow. */
  readonly cut: ReadonlyMap<string, Evidence>;
}

/** The label of everything that is written, and its value (Kubernetes: Recommended Labels). */
export const MANAGED_BY = "app.kubernetes.io/managed-by";
export const MANAGER = "kguardian";

/** Sources of evidence that a comment lists. */
const LISTED_SOURCES = 3;

/** Returns the policy of one workload with its rules. */
export function planPolicy(
  learned: LearnedWorkload,
  planned: PlannedRules,
  { dialect, name, sources, workloads, cut }: Surroundings,
): PlannedPolicy {
  const { workload } = learned;
  const { namespace, selector = { requirements: [] } } = workload;
  const governed = (["ingress", "egress"] as const).filter((direction) => planned[direction] !== undefined);
  const lists = Object.fromEntries(
    governed.map((direction) => [direction, { isolates: true, rules: planned[direction]!.map(({ rule }) => rule) }]),
  );
  const policy = makePolicy(dialect, namespace, name.name, selector, lists);
  const alsoSelects = workloads.selectedBy(namespace, selector).filter((other) => other !== workload);
  const closes = governed.filter((direction) => planned[direction]!.length === 0);
  const { ingress = [], egress = [] } = planned;
  const rules = [...ingress, ...egress];
  const entries = { ingress: entriesOf(policy, ingress, 0), egress: entriesOf(policy, egress, ingress.length) };
  const from = sources.length <= LISTED_SOURCES ? sources.join(", ") : `${sources.length} inputs (${sources[0]}, …)`;
  const head = [
    `${labelOf(workload)}: written by kubectl kguardian from observed traffic. Review it before it is applied.`,
    `Evidence: ${evidenceText(learned.evidence)}, from ${from}.`,
    ...(workload.remark === undefined ? [] : [`Selector: ${workload.remark}.`]),
    ...(alsoSelects.length === 0 ? [] : [`It also selects ${alsoSelects.map(labelOf).join(", ")}.`]),
    ...cutComments(cut),
    ...closes.map((direction) => closedText(direction)),
  ];
  const comments = (direction: Direction) => entryComments(entries[direction], rules);
  const object = labelled(printPolicy([policy]));
  const text = policyText(object, { head: head.map(safe), items: { ingress: comments("ingress"), egress: comments("egress") } });
  return { namespace, policy, object, file: name.file, text, learned, rules, entries, alsoSelects, closes };
}

/** Returns the policy that denies what no other policy of a namespace allows. */
export function planDefaultDeny(namespace: string, dialect: Dialect, name: PolicyName, workloads: Workloads): PlannedPolicy {
  const policy = denyAll(dialect, namespace, name.name);
  const object = labelled(printPolicy([policy]));
  const head = [`Denies every pod of namespace ${namespace} what no other policy allows it.`];
  const alsoSelects = workloads.selectedBy(namespace, { requirements: [] });
  const entries = { ingress: [], egress: [] };
  return {
    namespace,
    policy,
    object,
    file: name.file,
    text: policyText(object, { head: head.map(safe) }),
    rules: [],
    entries,
    alsoSelects,
    closes: ["ingress", "egress"],
  };
}

/** The comments of each entry: those of its rule above the first one. */
function entryComments(entries: readonly number[], rules: readonly PlannedRule[]): string[][] {
  return entries.map((rule, i) => (rule === entries[i - 1] ? [] : ruleComments(rules[rule])));
}

/** Returns the lines of rules as entries of a list of a policy's kind, with comments and which rule each entry is of. */
export function ruleLines(policy: Policy, rules: readonly PlannedRule[], offset: number): { lines: string[]; entries: number[] } {
  const printed = rules.map((rule) => printedEntries(policy, rule));
  const own = printed.flatMap((items, i) => items.map(() => i));
  return { lines: itemLines(printed.flat(), entryComments(own, rules)), entries: own.map((entry) => offset + entry) };
}

/** What is cut that is listed above a policy; the rest is counted. */
const LISTED_CUTS = 8;

function cutComments(cut: ReadonlyMap<string, Evidence>): string[] {
  const texts = [...cut].map(([text, evidence]) => `NOT ALLOWED, though it worked: ${text} (${evidenceText(evidence)}).`).sort();
  return texts.length <= LISTED_CUTS
    ? texts
    : [...texts.slice(0, LISTED_CUTS), `and ${texts.length - LISTED_CUTS} more that worked and are not allowed.`];
}

function closedText(direction: Direction): string {
  return direction === "ingress"
    ? "CLOSED: no incoming traffic was seen that needs a rule, so none is allowed."
    : "CLOSED: no outgoing traffic was seen that needs a rule, so none is allowed, not even DNS.";
}

/** Which rule each written entry is of: one rule may take several entries, for kinds of peers or protocols. */
function entriesOf(policy: Policy, rules: readonly PlannedRule[], offset: number): number[] {
  return rules.flatMap((rule, i) => printedEntries(policy, rule).map(() => offset + i));
}

function printedEntries(policy: Policy, { direction, rule }: PlannedRule): unknown[] {
  const { ingress: _in, egress: _out, ...rest } = policy;
  const alone = printPolicy([{ ...rest, [direction]: { isolates: true, rules: [rule] } }]) as { spec: Record<string, unknown[]> };
  return alone.spec[direction];
}

function labelled(object: object): { metadata: object; spec: Record<string, unknown> } {
  const { apiVersion, kind, metadata, spec } = object as {
    apiVersion: string;
    kind: string;
    metadata: object;
    spec: Record<string, unknown>;
  };
  return { apiVersion, kind, metadata: { ...metadata, labels: { [MANAGED_BY]: MANAGER } }, spec } as never;
}

/** Peers that are listed above a rule; the rest is counted. */
const LISTED_PEERS = 8;

function ruleComments({ peers, remarks }: PlannedRule): string[] {
  const lines = peers.slice(0, LISTED_PEERS).map(({ label, evidence }) => `${label}: ${evidenceText(evidence)}`);
  if (peers.length > LISTED_PEERS) lines.push(`and ${peers.length - LISTED_PEERS} more`);
  return [...lines, ...remarks].map(safe);
}

/** Names of hosts and pods come from captures: a line break in one would end the comment. */
function safe(text: string): string {
  return text.replace(/[^\u0020-\u007e\u00a1-\u00ac\u00ae-\u05ff–…]/g, "?");
}
