import type { Labels, Pod } from "../cluster/objects.ts";
import { matchesRequirement, type Requirement } from "../cluster/selector.ts";
import type { Direction, Policy } from "../policy/model.ts";
import { nearest } from "../policy/objectReader.ts";
import type { Evaluator } from "./evaluator.ts";
import { namespaceTruth } from "./expression.ts";
import { describeLabels, describeRequirement } from "./ruleFaults.ts";
import { rulesUnder } from "./stages.ts";

/** A policy that would select a pod but for one label. */
export interface NearlySelecting {
  readonly policy: Policy;
  readonly requirement: Requirement;
  /** Whether it selects no pod at all, so that its selector is most likely the mistake. */
  readonly selectsNoPod: boolean;
  /** `podSelector wants app=web, the pod has app=webhook`. */
  readonly text: string;
}

/**
 * Returns the policies on a direction of a pod that its labels miss by one, and that look as if they were meant for it: the value is
 * like the wanted one, or stands under another key, or its other labels are right and it selects nothing. Those that select nothing
 * come first.
 */
export function nearlySelecting(evaluator: Evaluator, pod: Pod, direction: Direction): NearlySelecting[] {
  if (pod.hostNetwork) return [];
  const found = evaluator.policies.flatMap((policy): NearlySelecting[] => {
    const { staged, inert, nodes, subject } = policy;
    if (staged !== undefined || inert !== undefined || nodes !== undefined || subject.where !== undefined) return [];
    if (rulesUnder(evaluator.profile, policy, direction) === undefined || evaluator.ignored.includes(policy)) return [];
    if (namespaceTruth(subject.namespaces, evaluator.namespace(pod.namespace)) !== true) return [];
    const failed = subject.pods.requirements.filter((requirement) => !matchesRequirement(requirement, pod.labels));
    if (failed.length !== 1) return [];
    const selectsNoPod = evaluator.selectsNoPod(policy);
    const hasOthers = subject.pods.requirements.length > 1;
    if (!isNear(failed[0], pod.labels) && !(hasOthers && selectsNoPod)) return [];
    const has = describeLabels(failed, pod.labels);
    const text = `${selectorField(policy)} wants ${describeRequirement(failed[0])}, the pod has ${has}${elsewhere(failed[0], pod.labels)}`;
    return [{ policy, requirement: failed[0], selectsNoPod, text }];
  });
  return found.sort((a, b) => Number(b.selectsNoPod) - Number(a.selectsNoPod));
}

/** The field in which a policy's dialect says whom it selects. */
const FIELDS: Readonly<Record<Policy["tier"]["kind"], string>> = {
  networkpolicy: "podSelector",
  cilium: "endpointSelector",
  calico: "selector",
  admin: "subject",
  baseline: "subject",
};

/** Returns the name of the field in which a policy says whom it selects. */
export function selectorField({ tier }: Policy): string {
  return FIELDS[tier.kind];
}

/** Reports whether labels look like a slip of what a requirement wants. Values that share a beginning are taken for one: web, webhook. */
export function isNear({ key, operator, values }: Requirement, labels: Labels): boolean {
  if (operator !== "In" && operator !== "Exists") return false;
  if (operator === "Exists") return nearest(key, Object.keys(labels)) !== undefined;
  const own = Object.hasOwn(labels, key) ? labels[key] : undefined;
  if (own === undefined) return values.some((value) => Object.values(labels).includes(value));
  return values.some((value) => isSlip(own, value) || begins(own, value) || begins(value, own));
}

/** Short values begin many words, and are one letter from each other. */
const SHORTEST = 3;

/** Numbers are told apart on purpose: v1 and v2, web-0 and web-1. */
function isSlip(own: string, wanted: string): boolean {
  const [a, b] = [own, wanted].map((text) => text.replace(/\d+/g, ""));
  return Math.min(own.length, wanted.length) >= SHORTEST && a !== b && nearest(own, [wanted]) !== undefined;
}

function begins(whole: string, part: string): boolean {
  return part.length >= SHORTEST && whole.startsWith(part);
}

/** The wanted value may stand under another key. */
function elsewhere({ key, operator, values }: Requirement, labels: Labels): string {
  if (operator !== "In" || Object.hasOwn(labels, key)) return "";
  const other = Object.entries(labels).find(([, value]) => values.includes(value));
  return other === undefined ? "" : ` (but ${other[0]}=${other[1]})`;
}
