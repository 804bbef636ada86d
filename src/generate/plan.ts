import type { Policy } from "../policy/model.ts";
import { policyText } from "../policy/policyText.ts";
import { printPolicy } from "../policy/printPolicies.ts";
import { evidenceText } from "./comments.ts";
import { type Dialect, denyAll, makePolicy } from "./dialect.ts";
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
  readonly text: string;
  /** Whose it is; a default-deny is nobody's. */
  readonly learned?: LearnedWorkload;
  readonly rules: readonly PlannedRule[];
  /** For each entry of the written lists: which of `rules` it is of. */
  readonly entries: { readonly ingress: readonly number[]; readonly egress: readonly number[] };
  /** Other workloads that it selects. */
  readonly alsoSelects: readonly SelectableWorkload[];
  /** Directions that it closes without a rule. */
  readonly closes: readonly ("ingress" | "egress")[];
}

interface Surroundings {
  readonly dialect: Dialect;
  readonly name: PolicyName;
  readonly sources: readonly string[];
  readonly workloads: Workloads;
}

/** Labels of everything that is written (Kubernetes: Recommended Labels). */
const LABELS = { "app.kubernetes.io/managed-by": "kguardian" };

/** Sources of evidence that a comment lists. */
const LISTED_SOURCES = 3;

/** Returns the policy of one workload with its rules. */
export function planPolicy(
  learned: LearnedWorkload,
  planned: { readonly ingress: readonly PlannedRule[]; readonly egress: readonly PlannedRule[] },
  { dialect, name, sources, workloads }: Surroundings,
): PlannedPolicy {
  const { workload } = learned;
  const { namespace, selector = { requirements: [] } } = workload;
  const list = (rules: readonly PlannedRule[]) => ({ isolates: true, rules: rules.map(({ rule }) => rule) });
  const policy = makePolicy(dialect, namespace, name.name, selector, { ingress: list(planned.ingress), egress: list(planned.egress) });
  const alsoSelects = workloads.selectedBy(namespace, selector).filter((other) => other !== workload);
  const closes = (["ingress", "egress"] as const).filter((direction) => planned[direction].length === 0);
  const rules = [...planned.ingress, ...planned.egress];
  const entries = { ingress: entriesOf(policy, planned.ingress, 0), egress: entriesOf(policy, planned.egress, planned.ingress.length) };
  const from = sources.length <= LISTED_SOURCES ? sources.join(", ") : `${sources.length} inputs (${sources[0]}, …)`;
  const head = [
    `${labelOf(workload)}: written by kubectl kguardian from observed traffic. Review it before it is applied.`,
    `Evidence: ${evidenceText(learned.evidence)}, from ${from}.`,
    ...(workload.remark === undefined ? [] : [`Selector: ${workload.remark}.`]),
    ...(alsoSelects.length === 0 ? [] : [`It also selects ${alsoSelects.map(labelOf).join(", ")}.`]),
    ...closes.map((direction) => closedText(direction)),
  ];
  const comments = (direction: "ingress" | "egress") => {
    let last = -1;
    return entries[direction].map((rule) => {
      if (rule === last) return [];
      last = rule;
      return ruleComments(rules[rule]);
    });
  };
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

function closedText(direction: "ingress" | "egress"): string {
  return direction === "ingress"
    ? "CLOSED: nothing was seen coming in, so that nothing may."
    : "CLOSED: nothing was seen going out, so that nothing may, DNS included.";
}

/** Which rule each written entry is of: one rule may take several entries, for kinds of peers or protocols. */
function entriesOf(policy: Policy, rules: readonly PlannedRule[], offset: number): number[] {
  return rules.flatMap(({ direction, rule }, i) => {
    const { ingress: _in, egress: _out, ...rest } = policy;
    const alone = printPolicy([{ ...rest, [direction]: { isolates: true, rules: [rule] } }]) as { spec: Record<string, unknown[]> };
    return alone.spec[direction].map(() => offset + i);
  });
}

function labelled(object: object): { metadata: object; spec: Record<string, unknown> } {
  const { apiVersion, kind, metadata, spec } = object as {
    apiVersion: string;
    kind: string;
    metadata: object;
    spec: Record<string, unknown>;
  };
  return { apiVersion, kind, metadata: { ...metadata, labels: LABELS }, spec } as never;
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
