import type { ManifestObject } from "../../cluster/manifest.ts";
import { EVERYTHING } from "../../cluster/selector.ts";
import { readNetworkPolicySpec } from "../kubernetes/networkPolicy.ts";
import type { Direction, PodMatch, Policy, PolicyRef } from "../model.ts";
import { dnsSubdomainFault } from "../names.ts";
import { type Fields, type ObjectReader, quote, readerOf } from "../objectReader.ts";
import type { ObjectReading } from "../reading.ts";
import type { RuleContext } from "./entity.ts";
import { combine, ofPods } from "./expression.ts";
import { readFields, readFlag, readItems, readOrder, readSelector, readWord, type SelectorRules, warnOfRepeated } from "./fields.ts";
import { podMatch } from "./match.ts";
import { type CalicoObject, readCalicoObject } from "./object.ts";
import { readCalicoRules } from "./rules.ts";

/** The tier of policies that name none. */
export const DEFAULT_TIER = "default";

/** Why policies for host endpoints do nothing to pods (oracle/calico: probe-donottrack-…, probe-prednat-…). */
export const INERT = {
  doNotTrack: "it is untracked (`doNotTrack`), which is for host endpoints: it does nothing to pods",
  preDNAT: "it is applied before DNAT (`preDNAT`), which is for host endpoints: it does nothing to pods",
} as const;

const SPEC_FIELDS = ["tier", "order", "selector", "serviceAccountSelector", "types", "ingress", "egress", "performanceHints"];
const GLOBAL_FIELDS = ["namespaceSelector", "doNotTrack", "preDNAT", "applyOnForward"];
const STAGED_ACTIONS = ["Set", "Delete", "Learn", "Ignore"] as const;
const SELECTOR: SelectorRules = { field: "endpoint", global: "never", isBounded: true };

const LABEL = "[a-z0-9](?:[-a-z0-9]*[a-z0-9])?";
const GLOBAL_NAME = new RegExp(`^(?:${LABEL}\\.)?${LABEL}$`);
/** Names with these beginnings are made from other systems' policies, whose names may have more dots. */
const FOREIGN_NAME = /^(?:knp|ossg)\.default\./;

/**
 * Returns what a NetworkPolicy, GlobalNetworkPolicy or staged policy of Calico says (projectcalico.org/v3 or
 * crd.projectcalico.org/v1). What the CRD or libcalico-go's validator refuses is refused: felix drops the whole policy for some of
 * it, and leaves its pods open.
 */
export function readCalicoPolicy(object: ManifestObject, defaultNamespace = "default"): ObjectReading {
  const reader = readerOf(object);
  const kind = String(object.value.kind);
  const isGlobal = kind === "GlobalNetworkPolicy" || kind === "StagedGlobalNetworkPolicy";
  const read = readCalicoObject(reader, object, defaultNamespace, !isGlobal);
  if ((read.spec ?? null) === null) reader.error(["spec"], "a `spec` is required, an empty one at least");
  const policy =
    kind === "StagedKubernetesNetworkPolicy"
      ? readStagedKubernetes(reader, read)
      : readSpec(reader, read, { isGlobal, isStaged: kind.startsWith("Staged") });
  return reader.hasErrors() ? { problems: reader.problems } : { policies: [policy], problems: reader.problems };
}

function readSpec(reader: ObjectReader, read: CalicoObject, kind: { isGlobal: boolean; isStaged: boolean }): Policy {
  const known = [...SPEC_FIELDS, ...(kind.isGlobal ? GLOBAL_FIELDS : []), ...(kind.isStaged ? ["stagedAction"] : [])];
  const fields = readFields(reader, read.spec, ["spec"], known) ?? {};
  const tier = reader.text(fields.tier, ["spec", "tier"]) || DEFAULT_TIER;
  const tierFault = dnsSubdomainFault(tier);
  if (tierFault) reader.error(["spec", "tier"], `the name ${quote(tier)} ${tierFault}`);
  const order = readOrder(reader, fields.order, ["spec", "order"]);
  readHints(reader, fields.performanceHints);
  const ref = { ...read.ref, name: policyName(read.ref, tier) };
  checkName(reader, ref.name, kind.isGlobal);
  const context: RuleContext = { reader, ...(ref.namespace === undefined ? {} : { namespace: ref.namespace }) };
  const ingress = readCalicoRules(context, fields.ingress, "ingress");
  const egress = readCalicoRules(context, fields.egress, "egress");
  const governs = readTypes(reader, fields, { ingress: ingress.length, egress: egress.length });
  const inert = kind.isGlobal ? readInert(reader, fields, egress.length) : undefined;
  const staged = kind.isStaged ? readStagedAction(reader, fields) : undefined;
  return {
    ref,
    tier: { kind: "calico", name: tier, ...(order === undefined ? {} : { order }) },
    subject: readSubject(reader, fields, ref),
    ...(governs.ingress ? { ingress: { isolates: true, rules: ingress } } : {}),
    ...(governs.egress ? { egress: { isolates: true, rules: egress } } : {}),
    ...(staged ? { staged } : {}),
    ...(inert ? { inert } : {}),
  };
}

/** Returns the policy's name in projectcalico.org/v3: stored policies of the default tier have its name before theirs (Calico issue 9642). */
function policyName({ apiVersion, name }: PolicyRef, tier: string): string {
  const prefix = `${DEFAULT_TIER}.`;
  return apiVersion.startsWith("crd.") && tier === DEFAULT_TIER && name.startsWith(prefix) ? name.slice(prefix.length) : name;
}

function checkName(reader: ObjectReader, name: string, isGlobal: boolean): void {
  if (reader.hasErrors() || GLOBAL_NAME.test(name) || (!isGlobal && FOREIGN_NAME.test(name))) return;
  reader.error(["metadata", "name"], `the name ${quote(name)} is none of a Calico policy: a-z, 0-9 and -, with one dot at most`);
}

function readHints(reader: ObjectReader, value: unknown): void {
  const path = ["spec", "performanceHints"];
  const hints = reader.list(value, path) ?? [];
  hints.forEach((hint, index) => readWord(reader, hint ?? "", [...path, index], ["AssumeNeededOnEveryNode"]));
  if (new Set(hints).size < hints.length) reader.error(path, "a hint is listed twice");
}

/** Returns which directions the policy governs; without `types` its rules say it (Calico API: NetworkPolicySpec.Types). */
function readTypes(reader: ObjectReader, fields: Fields, rules: Record<Direction, number>): Record<Direction, boolean> {
  const path = ["spec", "types"];
  if ((fields.types ?? null) === null) return { ingress: rules.egress === 0 || rules.ingress > 0, egress: rules.egress > 0 };
  const types = readItems(reader, fields.types, path, 2).map((item, index) =>
    readWord(reader, item ?? "", [...path, index], ["Ingress", "Egress"]),
  );
  if (types.length === 0) reader.error(path, "`types` must list Ingress, Egress or both, or be left out");
  if (types.length === 2 && types[0] !== undefined && types[0] === types[1]) reader.error(path, `${types[0]} is listed twice`);
  const governs = { ingress: types.includes("Ingress"), egress: types.includes("Egress") };
  for (const direction of ["ingress", "egress"] as const) {
    if (governs[direction] || rules[direction] === 0) continue;
    const type = direction === "ingress" ? "Ingress" : "Egress";
    reader.warning(["spec", direction], `these rules are ignored: \`types\` does not list ${type}`);
  }
  return governs;
}

function readSubject(reader: ObjectReader, fields: Fields, { namespace }: PolicyRef): PodMatch {
  const read = (field: string, of: SelectorRules["field"]) =>
    readSelector(reader, fields[field], ["spec", field], { ...SELECTOR, field: of });
  const namespaces = namespace === undefined ? read("namespaceSelector", "namespace") : undefined;
  const terms = [namespaces, read("serviceAccountSelector", "serviceAccount"), read("selector", "endpoint")];
  const whole = combine(
    "all",
    terms.filter((term) => term !== undefined),
  );
  return podMatch(ofPods(whole), namespace === undefined ? undefined : { name: namespace });
}

/** Returns why a global policy does nothing to pods, undefined when it does. */
function readInert(reader: ObjectReader, fields: Fields, egressRules: number): string | undefined {
  const [doNotTrack, preDNAT, applyOnForward] = ["doNotTrack", "preDNAT", "applyOnForward"].map((field) =>
    readFlag(reader, fields[field], ["spec", field]),
  );
  if (!doNotTrack && !preDNAT) return undefined;
  const field = preDNAT ? "preDNAT" : "doNotTrack";
  if (doNotTrack && preDNAT) reader.error(["spec", "preDNAT"], "`preDNAT` and `doNotTrack` exclude each other");
  if (!applyOnForward) reader.error(["spec", field], `\`${field}\` needs \`applyOnForward: true\``);
  if (preDNAT && egressRules > 0) reader.error(["spec", "egress"], "a policy with `preDNAT` can have no egress rules");
  if (preDNAT && Array.isArray(fields.types) && fields.types.includes("Egress")) {
    reader.error(["spec", "types"], "a policy with `preDNAT` cannot be of type Egress");
  }
  reader.warning(["spec", field], `${quote(field)} is for host endpoints: the policy does nothing to pods`);
  return INERT[field];
}

function readStagedAction(reader: ObjectReader, fields: Fields): (typeof STAGED_ACTIONS)[number] {
  const action = readWord(reader, fields.stagedAction, ["spec", "stagedAction"], STAGED_ACTIONS);
  // libcalico-go fills in `types` before it looks whether the rest is empty, so that nothing passes.
  if (action === "Delete") {
    reader.error(["spec", "stagedAction"], "Calico's validator refuses every staged policy with `Delete`: delete the policy itself");
  }
  return action ?? "Set";
}

const NETWORK_POLICY_FIELDS = ["podSelector", "policyTypes", "ingress", "egress"];

/** Returns a staged NetworkPolicy of networking.k8s.io, whose `spec` it shares. */
function readStagedKubernetes(reader: ObjectReader, { ref, spec }: CalicoObject): Policy {
  const namespace = ref.namespace ?? "";
  const fields = readFields(reader, spec, ["spec"], ["stagedAction", ...NETWORK_POLICY_FIELDS]) ?? {};
  const staged = readWord(reader, fields.stagedAction, ["spec", "stagedAction"], STAGED_ACTIONS) ?? "Set";
  const tier = { kind: "networkpolicy" } as const;
  if (staged === "Delete") {
    for (const field of NETWORK_POLICY_FIELDS) {
      if (isZero(fields[field])) continue;
      reader.error(["spec", field], "with `stagedAction: Delete` the policy must say nothing else");
    }
    return { ref, tier, subject: { namespaces: { name: namespace }, pods: EVERYTHING }, staged };
  }
  const typesPath = ["spec", "policyTypes"];
  if (Array.isArray(fields.policyTypes) && fields.policyTypes.length === 0) {
    reader.error(typesPath, "`policyTypes` must list Ingress, Egress or both, or be left out");
  }
  if (Array.isArray(fields.policyTypes)) warnOfRepeated(reader, fields.policyTypes, typesPath);
  const known = Object.fromEntries(Object.entries(fields).filter(([key]) => NETWORK_POLICY_FIELDS.includes(key)));
  const { pods, ...rules } = readNetworkPolicySpec(reader, known, namespace);
  return { ref, tier, subject: { namespaces: { name: namespace }, pods }, ...rules, staged };
}

function isZero(value: unknown): boolean {
  return (value ?? null) === null || (typeof value === "object" && Object.keys(value as object).length === 0);
}
