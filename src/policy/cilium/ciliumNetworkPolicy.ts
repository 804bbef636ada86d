import type { ManifestObject } from "../../cluster/manifest.ts";
import { EVERYTHING } from "../../cluster/selector.ts";
import { OBJECT_FIELDS } from "../metadata.ts";
import type { Direction, Policy, PolicyRef, Rule, RuleList } from "../model.ts";
import { readRef } from "../objectHead.ts";
import { type Fields, type ObjectReader, type Path, quote, readerOf } from "../objectReader.ts";
import type { ObjectReading } from "../reading.ts";
import { type RuleContext, readEntry } from "./rules.ts";
import { NEVER, plainSelector, readSourcedSelector, subjectOf } from "./selector.ts";

const CLUSTERWIDE = "CiliumClusterwideNetworkPolicy";
const SPEC_FIELDS = [
  ...["endpointSelector", "nodeSelector", "ingress", "ingressDeny", "egress", "egressDeny"],
  ...["enableDefaultDeny", "labels", "description", "log"],
];

/** Why a policy whose subject can hold for no pod does nothing. */
const SELECTS_NO_POD = "its `endpointSelector` selects no pods";

/**
 * Returns the policies of a cilium.io/v2 CiliumNetworkPolicy or CiliumClusterwideNetworkPolicy, one for each of `spec` and `specs`,
 * and what is wrong with it: what Cilium's agent refuses (v1.20, pkg/policy/api Validate) and, as the API server with
 * fieldValidation=Strict, unknown fields. Any error means no policy.
 */
export function readCiliumNetworkPolicy(object: ManifestObject, defaultNamespace = "default"): ObjectReading {
  const reader = readerOf(object);
  const fields = reader.mapping(object.value, [], [...OBJECT_FIELDS, "specs"]) ?? {};
  const isClusterwide = object.value.kind === CLUSTERWIDE;
  const ref = readRef(reader, object, fields.metadata, isClusterwide ? undefined : defaultNamespace);
  const specs: (readonly [unknown, Path])[] = (fields.spec ?? null) === null ? [] : [[fields.spec, ["spec"]]];
  const list = reader.list(fields.specs, ["specs"]);
  list?.forEach((each, index) => {
    specs.push([each ?? {}, ["specs", index]]);
  });
  if (specs.length === 0 && list === undefined) reader.error(["spec"], "a `spec` or `specs` is required");
  if (list?.length === 0 && specs.length === 0) reader.warning(["specs"], "the policy has no rules: it does nothing");
  const policies = specs.map(([spec, path]) => readSpec(reader, spec, path, ref));
  return reader.hasErrors() ? { problems: reader.problems } : { policies, problems: reader.problems };
}

function readSpec(reader: ObjectReader, value: unknown, path: Path, ref: PolicyRef): Policy {
  const spec = reader.mapping(value, path, SPEC_FIELDS) ?? {};
  const { namespace } = ref;
  const endpoints = readSourcedSelector(reader, spec.endpointSelector, [...path, "endpointSelector"]);
  const nodes = readSourcedSelector(reader, spec.nodeSelector, [...path, "nodeSelector"]);
  checkSelectors(reader, spec, path, namespace !== undefined);
  const defaultDeny = readDefaultDeny(reader, spec.enableDefaultDeny, [...path, "enableDefaultDeny"]);
  const directions = (["ingress", "egress"] as const).map((direction) => {
    const place = { reader, namespace, direction, isHostPolicy: nodes !== undefined };
    const deny = readEntries({ ...place, action: "deny" }, spec[`${direction}Deny`], [...path, `${direction}Deny`]);
    const allow = readEntries({ ...place, action: "allow" }, spec[direction], [...path, direction]);
    const isGoverned = deny.count + allow.count > 0;
    const list: RuleList = { isolates: defaultDeny[direction], rules: [...deny.rules, ...allow.rules] };
    return isGoverned ? { [direction]: list } : {};
  });
  if (directions.every((each) => Object.keys(each).length === 0) && typeof value === "object" && !Array.isArray(value)) {
    reader.error(path, "a rule is required in one of `ingress`, `ingressDeny`, `egress` and `egressDeny`: `ingress: [{}]` allows nothing");
  }
  readText(reader, spec, path);
  const governed = Object.assign({}, ...directions) as Pick<Policy, Direction>;
  const tier = { kind: "cilium" } as const;
  if (nodes !== undefined) {
    reader.warning([...path, "nodeSelector"], "policies for nodes are not judged: this one governs no pod");
    const subject = { namespaces: { selector: EVERYTHING }, pods: EVERYTHING, where: NEVER };
    return { ref, tier, subject, ...governed, nodes: plainSelector(nodes) };
  }
  const subject = subjectOf(reader, endpoints ?? [], namespace);
  if (subject.where !== NEVER) return { ref, tier, subject, ...governed };
  reader.warning([...path, "endpointSelector"], "it selects no pods: the policy does nothing here");
  return { ref, tier, subject, ...governed, inert: SELECTS_NO_POD };
}

function checkSelectors(reader: ObjectReader, spec: Fields, path: Path, isNamespaced: boolean): void {
  const has = (name: string): boolean => (spec[name] ?? null) !== null;
  if (has("endpointSelector") && has("nodeSelector")) {
    reader.error([...path, "nodeSelector"], "`endpointSelector` and `nodeSelector` cannot stand together");
  } else if (has("nodeSelector") && isNamespaced) {
    reader.error([...path, "nodeSelector"], `only a \`${CLUSTERWIDE}\` can have a \`nodeSelector\``);
  } else if (!has("endpointSelector") && !has("nodeSelector")) {
    reader.error([...path, "endpointSelector"], "an `endpointSelector` is required: `{}` selects every pod");
  }
}

function readEntries(context: RuleContext, value: unknown, path: Path): { count: number; rules: readonly Rule[] } {
  const entries = context.reader.list(value, path) ?? [];
  return { count: entries.length, rules: entries.flatMap((each, index) => readEntry(context, each, [...path, index])) };
}

/** Returns whether the presence of rules denies the rest. It does unless this says no. */
function readDefaultDeny(reader: ObjectReader, value: unknown, path: Path): Record<Direction, boolean> {
  const fields = reader.mapping(value, path, ["ingress", "egress"]) ?? {};
  const read = (direction: Direction): boolean => {
    const written = fields[direction] ?? true;
    if (typeof written !== "boolean") reader.error([...path, direction], `expected true or false, found ${quote(written)}`);
    return written !== false;
  };
  return { ingress: read("ingress"), egress: read("egress") };
}

/** Checks the types of what decides nothing. */
function readText(reader: ObjectReader, spec: Fields, path: Path): void {
  reader.text(spec.description, [...path, "description"]);
  reader.list(spec.labels, [...path, "labels"]);
  const log = reader.mapping(spec.log, [...path, "log"], ["value"]);
  reader.text(log?.value, [...path, "log", "value"]);
}
