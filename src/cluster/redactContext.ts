import { groupOf, isPolicyObject, textAt, valueAt } from "./cni.ts";
import type { ManifestObject } from "./manifest.ts";
import type { NameRedactor } from "./redactNames.ts";
import type { KnownValues } from "./redactSelectors.ts";

/*
 * What cannot be replaced text by text, since a verdict hangs on more than equality: names decide the order of policies and tiers that
 * have equal orders, and Calico's selectors look for parts of values. Both need to know which others there are.
 */

type Value = Readonly<Record<string, unknown>>;

/** What is known of the objects that a Redactor will see. */
export interface RedactionContext {
  readonly policyName: (object: Value, name: string) => string;
  readonly tierName: (name: string) => string;
  readonly knownValues: KnownValues;
}

const CALICO_METADATA = "projectcalico.org/metadata";
/** Tiers that Calico makes itself. */
const OWN_TIERS = ["default", "kube-admin", "kube-baseline"];
/** Begins the names of tiers: what comes before the first of those, after it, after the second, and after the third. */
const BEGINNINGS = ["a", "e", "kube-b0", "t"];

/** Returns the metadata that Calico keeps as JSON in an annotation of a stored object; undefined without. */
export function keptMetadata(object: unknown): Value | undefined {
  const text = valueAt(object, "metadata", "annotations", CALICO_METADATA);
  if (typeof text !== "string") return undefined;
  try {
    const read: unknown = JSON.parse(text);
    return typeof read === "object" && read !== null && !Array.isArray(read) ? (read as Value) : undefined;
  } catch {
    return undefined;
  }
}

/** Knows nothing of other objects: names and values become what they become anywhere. */
export function contextOfNothing(names: NameRedactor): RedactionContext {
  return {
    policyName: (object, name) => {
      const before = tierBefore(object, name);
      return before + names.name(name.slice(before.length));
    },
    tierName: (name) => names.name(name),
    knownValues: () => undefined,
  };
}

/** Knows the objects: pseudonyms of policies and tiers come in the order of their names, and the values of labels are known. */
export function contextOf(objects: Iterable<Value>, names: NameRedactor): RedactionContext {
  const all = [...objects];
  const policies = all.filter(isPolicy);
  const namesOf = (isMeant: (object: Value) => boolean) =>
    policies.filter(isMeant).flatMap((object) => {
      const written = [textAt(object, "metadata", "name"), textAt(keptMetadata(object), "name")];
      return written.filter((name) => name !== "").map((name) => name.slice(tierBefore(object, name).length));
    });
  // Calico compares "name/namespace/kind", where `/` comes before letters and behind `-` (evaluate/stages.ts).
  const ranks = {
    admin: ranksOf(namesOf(isAdmin), (name) => name),
    other: ranksOf(
      namesOf((object) => !isAdmin(object)),
      (name) => `${name}/`,
    ),
  };
  const tiers = all.flatMap((object) => {
    const tier = textAt(object, "spec", "tier");
    return [
      ...(isPolicy(object) && tier !== "" && !isAdmin(object) ? [tier] : []),
      ...(object.kind === "Tier" ? [textAt(object, "metadata", "name")] : []),
    ];
  });
  const tierRanks = ranksOf(tiers, (name) => name);
  const values = valuesOf(all);
  return {
    policyName: (object, name) => {
      const before = tierBefore(object, name);
      const rest = name.slice(before.length);
      const rank = (isAdmin(object) ? ranks.admin : ranks.other).get(rest);
      // The one baseline policy must be called `default`; names of other systems' policies have more dots than Calico else allows.
      const isFixed = object.kind === "BaselineAdminNetworkPolicy" || /^(knp|ossg)\.default\./.test(rest);
      return before + (rank === undefined || isFixed ? "" : `p${rank}-`) + names.name(rest);
    },
    tierName: (name) => {
      const rank = tierRanks.get(name);
      if (rank === undefined || OWN_TIERS.includes(name)) return names.name(name);
      return `${BEGINNINGS[OWN_TIERS.filter((own) => own < name).length]}${rank}-${names.name(name)}`.slice(0, 60).replace(/[-.]+$/, "");
    },
    knownValues: (key) => [...(values.get(plainKey(key)) ?? [])].sort(),
  };
}

/** Policies, but not what they refer to by name. */
export function isPolicy(value: Value): boolean {
  const object: ManifestObject = { value: value as Record<string, unknown>, file: "", positionOf: () => ({ line: 1, column: 1 }) };
  return isPolicyObject(object) && !/^Tier$|NetworkSet$|Group$/.test(textAt(value, "kind"));
}

function isAdmin(object: Value): boolean {
  return (
    groupOf({ value: object as Record<string, unknown>, file: "", positionOf: () => ({ line: 1, column: 1 }) }) ===
    "policy.networking.k8s.io"
  );
}

/** Stored policies of Calico's tier `default` have its name before theirs (policy/calico/calicoPolicy.ts: policyName). */
function tierBefore(object: Value, name: string): string {
  const tier = textAt(object, "spec", "tier") || "default";
  return textAt(object, "apiVersion").startsWith("crd.") && tier === "default" && name.startsWith("default.") ? "default." : "";
}

/** Numbers the names in their order, all with as many digits. */
function ranksOf(names: readonly string[], keyOf: (name: string) => string): ReadonlyMap<string, string> {
  const sorted = [...new Set(names)].sort((a, b) => (keyOf(a) < keyOf(b) ? -1 : 1));
  return new Map(sorted.map((name, index) => [name, String(index).padStart(String(sorted.length).length, "0")]));
}

const NAME_KEYS = /^projectcalico\.org\/(name|namespace|serviceaccount)$/;

function plainKey(key: string): string {
  const plain = key.replace(/^pc(ns|sa)\./, "");
  return NAME_KEYS.test(plain) ? "" : plain;
}

/** The values of each label's key; under "" the names of namespaces and service accounts. */
function valuesOf(objects: readonly Value[]): ReadonlyMap<string, ReadonlySet<string>> {
  const values = new Map<string, Set<string>>([
    ["", new Set(["default"])],
    ["projectcalico.org/orchestrator", new Set(["k8s"])],
  ]);
  const add = (key: string, value: unknown) => {
    if (typeof value !== "string" || value.includes("'")) return;
    const known = values.get(key);
    if (known) known.add(value);
    else values.set(key, new Set([value]));
  };
  for (const object of objects) {
    const templates = [valueAt(object, "spec", "template"), valueAt(object, "spec", "jobTemplate", "spec", "template")];
    const ofTemplates = templates.map((template) => valueAt(template, "metadata", "labels"));
    for (const labels of [valueAt(object, "metadata", "labels"), keptMetadata(object)?.labels, ...ofTemplates]) {
      if (typeof labels === "object" && labels !== null) for (const [key, value] of Object.entries(labels)) add(key, value);
    }
    add("", textAt(object, "metadata", "namespace"));
    add("", textAt(object, "spec", "serviceAccountName"));
    for (const template of templates) add("", textAt(template, "spec", "serviceAccountName"));
    if (object.kind !== "Namespace" && object.kind !== "ServiceAccount") continue;
    add("", textAt(object, "metadata", "name"));
    add("kubernetes.io/metadata.name", textAt(object, "metadata", "name"));
  }
  return values;
}
