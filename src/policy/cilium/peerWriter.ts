import { NAMESPACE_NAME } from "../../cluster/objects.ts";
import type { LabelSelector, Requirement } from "../../cluster/selector.ts";
import { formatPrefix, type Prefix } from "../../net/prefix.ts";
import type { Direction, Expression, NamespaceMatch, Peer, PeerTerm, PodMatch, SetMatch } from "../model.ts";
import { UnsayableError } from "../printedObject.ts";
import { NAMESPACE_KEY, NAMESPACE_LABELS, RESERVED, SERVICE_ACCOUNT_KEY } from "./selector.ts";

/** Plain data, as JSON.stringify takes it. */
export type Plain = Readonly<Record<string, unknown>>;

/** Says that a policy holds what this dialect has no words for. */
export function cannotSay(what: string): UnsayableError {
  return new UnsayableError(`Cilium policies cannot say ${what}`);
}

const NOTHING: Requirement = { key: "reserved:none", operator: "In", values: [""] };

/**
 * Returns a label selector. In each part, requirements of one value that come first are written as matchLabels; read again, those
 * of a part keep their order.
 */
export function writeSelector(...parts: readonly (readonly Requirement[])[]): Plain {
  const labels = new Map<string, string>();
  const expressions: Plain[] = [];
  for (const part of parts) {
    // A mapping moves keys that look like numbers to its front.
    const isLabel = ({ key, operator, values }: Requirement, index: number) =>
      operator === "In" &&
      values.length === 1 &&
      !/^\d+$/.test(key) &&
      !labels.has(key) &&
      part.findIndex((each) => each.key === key) === index;
    const stop = part.findIndex((each, index) => !isLabel(each, index));
    const count = stop < 0 ? part.length : stop;
    for (const { key, values } of part.slice(0, count)) labels.set(key, values[0]);
    for (const { key, operator, values } of part.slice(count))
      expressions.push({ key, operator, ...(values.length > 0 ? { values } : {}) });
  }
  return {
    ...(labels.size > 0 ? { matchLabels: Object.fromEntries(labels) } : {}),
    ...(expressions.length > 0 ? { matchExpressions: expressions } : {}),
  };
}

/** Returns an `endpointSelector`. A namespaced policy's own namespace goes without saying. */
export function writeSubject({ namespaces, pods, where }: PodMatch, namespace: string | undefined): Plain {
  return writeSelector(namespaceRequirements(namespaces, namespace, "subject"), pods.requirements, accountRequirements(where));
}

function namespaceRequirements(match: NamespaceMatch, own: string | undefined, role: "subject" | "peer"): readonly Requirement[] {
  if ("name" in match) {
    if (match.name === own) return [];
    if (own !== undefined && role === "subject") throw cannotSay(`that a namespaced policy selects in another namespace`);
    return [{ key: `k8s:${NAMESPACE_KEY}`, operator: "In", values: [match.name] }];
  }
  const { requirements } = match.selector;
  if (own !== undefined && role === "subject") {
    const [first, ...labels] = requirements;
    const isOwn = first?.key === NAMESPACE_NAME && first.operator === "In" && first.values.length === 1 && first.values[0] === own;
    if (!isOwn) throw cannotSay(`that a namespaced policy selects in other namespaces`);
    return labels.map(namespaceRequirement);
  }
  if (requirements.length > 0) return requirements.map(namespaceRequirement);
  return own === undefined ? [] : [{ key: `k8s:${NAMESPACE_KEY}`, operator: "Exists", values: [] }];
}

function namespaceRequirement(requirement: Requirement): Requirement {
  const { key } = requirement;
  return { ...requirement, key: `k8s:${key === NAMESPACE_NAME ? NAMESPACE_KEY : `${NAMESPACE_LABELS}${key}`}` };
}

function accountRequirements(where: Expression | undefined): readonly Requirement[] {
  if (where === undefined) return [];
  if (where.op === "some" && where.terms.length === 0) return [NOTHING];
  if (where.op === "all") return where.terms.flatMap((term) => accountRequirements(term));
  if (where.op === "test" && where.of === "serviceAccountName") return [{ ...where.requirement, key: SERVICE_ACCOUNT_KEY }];
  throw cannotSay("conditions on pods besides labels and the name of the service account");
}

/** Fields of an entry that name peers, one set for each kind that may stand together; undefined: whoever comes. */
export function writePeers(peers: "any" | readonly Peer[], direction: Direction, namespace: string | undefined): readonly Plain[] {
  if (peers === "any") return [{}];
  const prefix = direction === "ingress" ? "from" : "to";
  if (peers.length === 0) return [{ [`${prefix}Endpoints`]: [] }];
  const entitiesOnly = peers.every(({ kind }) => kind === "entities");
  const groups = new Map<string, unknown[]>();
  for (const peer of peers) {
    const { field, items } = writePeer(peer, prefix, namespace, entitiesOnly);
    groups.set(field, [...(groups.get(field) ?? []), ...items]);
  }
  return [...groups].map(([field, items]) => (field.endsWith("CIDRSet") ? blockField(prefix, items as Plain[]) : { [field]: items }));
}

function writePeer(
  peer: PeerTerm,
  prefix: "from" | "to",
  namespace: string | undefined,
  asEntities: boolean,
): { field: string; items: unknown[] } {
  switch (peer.kind) {
    case "prefix":
      return { field: `${prefix}CIDRSet`, items: [{ cidr: formatPrefix(peer.prefix), ...writeExcept(peer.except) }] };
    case "sets":
      return { field: `${prefix}CIDRSet`, items: writeSets(peer.match).map((each) => ({ ...each, ...writeExcept(peer.except) })) };
    case "names":
      if (prefix === "from") break;
      return { field: "toFQDNs", items: peer.patterns.map(({ text }) => writeName(text)) };
    case "services":
      if (prefix === "from" || peer.ports) break;
      return { field: "toServices", items: [writeService(peer.match)] };
    case "entities":
      if (asEntities || !peer.entities.every((each) => each === "all" || RESERVED.includes(each)))
        return { field: `${prefix}Entities`, items: [...peer.entities] };
      return {
        field: `${prefix}Endpoints`,
        items: peer.entities.map((each) => writeSelector([each === "all" ? EVERYBODY : reserved(each, "In")])),
      };
    case "pods":
    case "all":
    case "not":
      return { field: `${prefix}Endpoints`, items: [writeSelector(...endpointParts(peer, namespace))] };
  }
  throw cannotSay(`peers of the kind ${peer.kind} for ${prefix === "from" ? "ingress" : "egress"}`);
}

/** Returns a DNS name or pattern as FQDN selectors and DNS rules write it. */
export function writeName(text: string): Plain {
  if (text === "") return {};
  return text.includes("*") ? { matchPattern: text } : { matchName: text };
}

/** Blocks without exceptions alone have the shorter form. */
function blockField(prefix: "from" | "to", items: readonly Plain[]): Plain {
  const isPlain = items.every((each) => Object.keys(each).join() === "cidr");
  return isPlain ? { [`${prefix}CIDR`]: items.map(({ cidr }) => cidr) } : { [`${prefix}CIDRSet`]: items };
}

function writeExcept(except: readonly Prefix[]): Plain {
  return except.length > 0 ? { except: except.map(formatPrefix) } : {};
}

function writeSets(match: SetMatch): readonly Plain[] {
  if ("names" in match) return match.names.map((cidrGroupRef) => ({ cidrGroupRef }));
  if (match.scope === "namespaced" || match.match.where) throw cannotSay("which address sets of a namespace, or which by more than labels");
  return [{ cidrGroupSelector: writeSelector(match.match.pods.requirements) }];
}

function writeService(match: { readonly namespace?: string } & ({ readonly name: string } | { readonly selector: LabelSelector })): Plain {
  const namespace = match.namespace === undefined ? {} : { namespace: match.namespace };
  if ("name" in match) return { k8sService: { serviceName: match.name, ...namespace } };
  return { k8sServiceSelector: { selector: writeSelector(match.selector.requirements), ...namespace } };
}

const reserved = (entity: string, operator: Requirement["operator"]): Requirement => ({
  key: `reserved:${entity}`,
  operator,
  values: operator === "In" ? [""] : [],
});
/** What holds for whatever there is: with it in a selector no namespace is added. */
const EVERYBODY = reserved("none", "DoesNotExist");

/** Returns what a selector of endpoints requires, in parts. With a reserved label in it no namespace goes without saying. */
function endpointParts(peer: PeerTerm, namespace: string | undefined): readonly (readonly Requirement[])[] {
  if (peer.kind === "pods") return podParts(peer.match, namespace);
  const roles: Requirement[] = [];
  const pods: (readonly Requirement[])[] = [];
  for (const term of peer.kind === "all" ? peer.terms : [peer]) {
    const inner = term.kind === "not" ? term.term : term;
    if (inner.kind === "entities" && (inner.entities.length === 1 || term.kind === "not")) {
      roles.push(...inner.entities.map((each) => reserved(each, term.kind === "not" ? "DoesNotExist" : "In")));
    } else if (inner.kind === "pods") {
      pods.push(...(term.kind === "not" ? [[inverse(inner.match)]] : podParts(inner.match, ANY_NAMESPACE)));
    } else throw cannotSay("this combination of pods and roles");
  }
  return [roles.length > 0 ? roles : [EVERYBODY], ...pods];
}

/** No namespace has this name: that of every pod is written out. */
const ANY_NAMESPACE = "";

function podParts({ namespaces, pods, where }: PodMatch, namespace: string | undefined): readonly (readonly Requirement[])[] {
  return [namespaceRequirements(namespaces, namespace, "peer"), pods.requirements, accountRequirements(where)];
}

const INVERSE = { In: "NotIn", Exists: "DoesNotExist", NotIn: "In", DoesNotExist: "Exists" } as const;

/** Returns the requirement that is not met by just these pods. */
function inverse(match: PodMatch): Requirement {
  const [namespaces, ...others] = podParts(match, ANY_NAMESPACE);
  const isEveryNamespace = "selector" in match.namespaces && match.namespaces.selector.requirements.length === 0;
  const rest = others.flat();
  const requirements = isEveryNamespace && rest.length > 0 ? rest : [...namespaces, ...rest];
  if (requirements.length !== 1) throw cannotSay("all but pods of several labels");
  return { ...requirements[0], operator: INVERSE[requirements[0].operator] };
}
