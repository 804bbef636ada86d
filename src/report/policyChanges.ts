import type { ManifestObject } from "../cluster/manifest.ts";
import { contentKey, policyKey } from "../evaluate/contentKey.ts";
import { compare } from "../net/order.ts";
import type { AddressSet, Policy, PolicyRef, PolicySet, Rule, RuleList, Tier } from "../policy/model.ts";
import { objectText } from "../policy/policyText.ts";
import { UnsayableError } from "../policy/printedObject.ts";
import { printPolicy } from "../policy/printPolicies.ts";
import { identityOf } from "../policy/readPolicies.ts";
import { textDiff } from "./textDiff.ts";

/** What became of one object. */
export interface PolicyChange {
  /** As it is now; where it is gone, as it was. */
  readonly ref: PolicyRef;
  readonly change: "added" | "removed" | "changed" | "unchanged";
  /** The unified difference of its normal form, a line each; none where it is unchanged. */
  readonly diff: readonly string[];
}

/** Policies with what they refer to, and the objects that they were read from. */
export interface PolicySource extends PolicySet {
  readonly objects: readonly ManifestObject[];
}

/** One object of a set: its policies (an object with several specs gives several), a tier or a set of addresses. */
interface Entry {
  readonly ref: PolicyRef;
  readonly parts: readonly (Policy | Tier | AddressSet)[];
}

/** Returns what became of every policy, tier and address set, by kind, namespace and name. Defaults and an order that means nothing are no change. */
export function policyChanges(before: PolicySource, after: PolicySource): PolicyChange[] {
  const [old, fresh] = [entriesOf(before), entriesOf(after)];
  const changes: PolicyChange[] = [];
  for (const [key, entry] of old) {
    const now = fresh.get(key);
    if (now === undefined) changes.push({ ref: entry.ref, change: "removed", diff: textDiff(textOf(entry, before), undefined) });
    else if (writingOf(entry) === writingOf(now) || meaningOf(entry) === meaningOf(now))
      changes.push({ ref: now.ref, change: "unchanged", diff: [] });
    else changes.push({ ref: now.ref, change: "changed", diff: textDiff(textOf(entry, before), textOf(now, after)) });
  }
  for (const [key, entry] of fresh)
    if (!old.has(key)) changes.push({ ref: entry.ref, change: "added", diff: textDiff(undefined, textOf(entry, after)) });
  return changes.sort((a, b) => compare(sortKey(a.ref), sortKey(b.ref)));
}

function entriesOf({ policies, tiers, sets }: PolicySet): Map<string, Entry> {
  const groups = Map.groupBy([...policies, ...tiers, ...sets], ({ ref }) => identityOf(ref));
  return new Map([...groups].map(([key, parts]) => [key, { ref: parts[0].ref, parts }]));
}

function sortKey({ kind, namespace = "", name }: PolicyRef): string {
  return `${namespace}\u0000${kind}\u0000${name}`;
}

/** Returns a text that two objects share when they are written alike: most are, and their meaning takes longer to tell. */
function writingOf({ parts }: Entry): string {
  return parts.map((part) => ("tier" in part ? policyKey(part) : contentKey(part))).join("\n");
}

/** Returns a text that two objects share exactly when they say the same, whatever their defaults and order. */
function meaningOf({ parts }: Entry): string {
  return parts.map((part) => contentKey("tier" in part ? normalized(part) : part)).join("\n");
}

function normalized(policy: Policy): Policy {
  const isUnion = policy.tier.kind === "networkpolicy" || policy.tier.kind === "cilium";
  const { ingress, egress, unlisted } = policy;
  const list = (rules: RuleList): RuleList => ({
    ...rules,
    rules: isUnion ? sorted(rules.rules.map(normalizedRule)) : rules.rules.map(normalizedRule),
  });
  return {
    ...policy,
    ...(ingress === undefined ? {} : { ingress: list(ingress) }),
    ...(egress === undefined ? {} : { egress: list(egress) }),
    ...(unlisted === undefined ? {} : { unlisted }),
  };
}

/** Peers and ports are alternatives: their order means nothing. */
function normalizedRule(rule: Rule): Rule {
  const { peers, ports } = rule;
  return { ...rule, peers: peers === "any" ? peers : sorted(peers), ports: ports === "any" ? ports : sorted(ports) };
}

function sorted<T>(items: readonly T[]): T[] {
  return items
    .map((item) => ({ item, key: contentKey(item) }))
    .sort((a, b) => compare(a.key, b.key))
    .map(({ item }) => item);
}

/** Returns an object as it would be written with its defaults; what the writers have no words for, as it stands. */
function textOf({ ref, parts }: Entry, { objects }: PolicySource): string {
  const isAudit = ref.apiVersion.startsWith("kguardian.dev/");
  const policies = parts.filter((part): part is Policy => "tier" in part);
  if (policies.length > 0 && !isAudit) {
    try {
      return objectText(printPolicy(policies as [Policy, ...Policy[]]));
    } catch (error) {
      if (!(error instanceof UnsayableError)) throw error;
    }
  }
  const object = objects.find(({ value }) => isObjectOf(value, ref));
  return object === undefined ? "" : objectText(asWritten(object.value));
}

function isObjectOf({ apiVersion, kind, metadata }: Record<string, unknown>, ref: PolicyRef): boolean {
  const { name, namespace } = (metadata ?? {}) as { name?: unknown; namespace?: unknown };
  return (
    apiVersion === ref.apiVersion &&
    kind === ref.kind &&
    name === ref.name &&
    (namespace === undefined || ref.namespace === undefined || namespace === ref.namespace)
  );
}

/** What a server adds to an object says nothing of policies (Kubernetes API: ObjectMeta). */
function asWritten({ apiVersion, kind, metadata, status: _, ...rest }: Record<string, unknown>): object {
  const { name, namespace, labels } = (metadata ?? {}) as Record<string, unknown>;
  return {
    apiVersion,
    kind,
    metadata: { name, ...(namespace === undefined ? {} : { namespace }), ...(labels === undefined ? {} : { labels }) },
    ...rest,
  };
}
