import { formatPrefix } from "../../net/prefix.ts";
import { protocolName } from "../../net/protocol.ts";
import type { Direction, Expression, L7Match, PeerTerm, PortMatch, Rule, TextMatch } from "../model.ts";
import { isNamedOfAll, isPrefixes } from "./canonical.ts";
import type { RulePort } from "./entity.ts";
import { combine, conjuncts, endpointKey, IN_A_NAMESPACE, isOfNamespaces, namespaceKey } from "./expression.ts";
import { inNamespaceNamed, matchExpression, seesGlobalSets } from "./match.ts";
import { familyOf } from "./rules.ts";
import { formatSelector, IN_NO_NAMESPACE } from "./selector.ts";

type Fields = Record<string, unknown>;

const ACTIONS = { allow: "Allow", deny: "Deny", log: "Log", pass: "Pass" } as const;

/** Calico cannot say what a rule says: the message completes "Calico has no …". */
export class Unsayable extends Error {}

/** Returns a canonical rule (calicoCanonical.ts) as Calico writes it. Throws Unsayable. */
export function printRule(rule: Rule, direction: Direction, namespace: string | undefined): Fields {
  const [far, near] = direction === "ingress" ? (["source", "destination"] as const) : (["destination", "source"] as const);
  const ends: Record<"source" | "destination", Fields> = { source: {}, destination: {} };
  const excluded = (rule.notPorts ?? []).filter(({ ports }) => ports !== undefined);
  ends.destination.ports = rule.ports === "any" ? [] : portsOf(rule.ports);
  ends.destination.notPorts = portsOf(excluded);
  ends.source.ports = portsOf(rule.sourcePorts ?? []);
  ends.source.notPorts = portsOf(rule.notSourcePorts ?? []);
  const protocol = protocolOf(rule);
  const families = [
    ...printEntity(ends[far], rule.peers === "any" ? [] : rule.peers, namespace),
    ...printEntity(ends[near], rule.near ?? [], namespace),
  ].filter((family) => family !== familyOf(protocol));
  return withoutEmpty({
    action: ACTIONS[rule.action],
    ipVersion: families[0],
    protocol: protocol === undefined ? undefined : protocolText(protocol),
    icmp: rule.ports === "any" ? undefined : rule.ports[0]?.icmp,
    ...printExcluded(rule.notPorts ?? []),
    source: withoutEmpty(ends.source),
    destination: withoutEmpty(ends.destination),
    http: rule.l7 ? printHttp(rule.l7) : undefined,
  });
}

/** Returns a mapping without what is absent, and without empty lists and mappings; `http: {}` says something. */
export function withoutEmpty(fields: Fields): Fields {
  const isEmpty = (key: string, value: unknown) =>
    value === undefined || (key !== "http" && typeof value === "object" && value !== null && Object.keys(value).length === 0);
  return Object.fromEntries(Object.entries(fields).filter(([key, value]) => !isEmpty(key, value)));
}

function protocolText(protocol: number): string | number {
  const name = protocolName(protocol);
  return /^\d+$/.test(name) ? protocol : name;
}

function protocolOf({ ports }: Rule): number | undefined {
  return ports === "any" || isNamedOfAll(ports) ? undefined : ports[0]?.protocol;
}

function portsOf(matches: readonly PortMatch[]): (string | number)[] {
  const listed = isNamedOfAll(matches) ? matches.filter(({ protocol }) => protocol === matches[0].protocol) : matches;
  return listed.flatMap(({ ports }) => (ports === undefined ? [] : [portText(ports)]));
}

function portText(port: RulePort): string | number {
  if ("name" in port) return port.name;
  return port.first === port.last ? port.first : `${port.first}:${port.last}`;
}

function printExcluded(excluded: readonly PortMatch[]): Fields {
  const protocol = excluded.find(({ ports, icmp }) => ports === undefined && icmp === undefined)?.protocol;
  return {
    notProtocol: protocol === undefined ? undefined : protocolText(protocol),
    notICMP: excluded.find(({ icmp }) => icmp !== undefined)?.icmp,
  };
}

/** Writes what one end must be into its fields. Returns the families that they do not say. */
function printEntity(fields: Fields, peers: readonly PeerTerm[], namespace: string | undefined): (4 | 6)[] {
  const families: (4 | 6)[] = [];
  for (const peer of peers) {
    for (const term of peer.kind === "all" ? peer.terms : [peer]) {
      if (term.kind === "family") families.push(term.family);
      else Object.assign(fields, printTerm(term, namespace));
    }
  }
  return fields.notNets === undefined ? families : [];
}

function printTerm(term: PeerTerm, namespace: string | undefined): Fields {
  if (isPrefixes(term)) return { nets: netsOf(term) };
  switch (term.kind) {
    case "services": {
      const { match } = term;
      if (!("name" in match)) throw new Unsayable("services by their labels");
      return { services: withoutEmpty({ name: match.name, namespace: match.namespace === namespace ? undefined : match.namespace }) };
    }
    case "not": {
      if (isPrefixes(term.term)) return { notNets: netsOf(term.term) };
      const { expression } = objectsOf(term.term);
      return { notSelector: formatSelector(expression, endpointKey) };
    }
    case "pods":
    case "sets":
    case "some":
      return printObjects(term, namespace);
    default:
      throw new Unsayable(`a peer of kind ${term.kind}`);
  }
}

function netsOf(term: PeerTerm): string[] {
  if (term.kind === "some") return term.terms.flatMap(netsOf);
  return term.kind === "prefix" ? [formatPrefix(term.prefix)] : [];
}

/** What a term about pods and network sets selects. `expression` says all of it, the scope too. */
interface Objects {
  readonly expression: Expression;
  readonly namespaces: readonly Expression[];
  readonly rest: readonly Expression[];
}

function objectsOf(term: PeerTerm): Objects {
  const terms = term.kind === "some" ? term.terms : [term];
  const pods = terms.find((each) => each.kind === "pods");
  const sets = terms.find((each) => each.kind === "sets");
  if (terms.length > 2 || terms.length !== Number(pods !== undefined) + Number(sets !== undefined)) {
    throw new Unsayable("alternatives within a peer");
  }
  if (!sets && !pods) return { expression: { op: "some", terms: [] }, namespaces: [], rest: [{ op: "some", terms: [] }] };
  const match = sets ? setMatch(sets) : pods?.match;
  const written = match ? conjuncts(matchExpression(match)) : [];
  const namespaces = written.filter(isOfNamespaces);
  if (sets && "scope" in sets.match) {
    if (sets.match.scope === "global" && !pods) namespaces.unshift(IN_NO_NAMESPACE);
    if (sets.match.scope === "namespaced" && seesGlobalSets(combine("all", written))) namespaces.unshift(IN_A_NAMESPACE);
  }
  const rest = written.filter((each) => !isOfNamespaces(each));
  return { expression: combine("all", [...namespaces, ...rest]), namespaces, rest };
}

function setMatch({ match }: Extract<PeerTerm, { readonly kind: "sets" }>) {
  if (!("scope" in match)) throw new Unsayable("address sets by name");
  return match.match;
}

function printObjects(term: PeerTerm, namespace: string | undefined): Fields {
  const { namespaces, rest } = objectsOf(term);
  const namespaceSelector = printNamespaces(namespaces, namespace);
  const selector = rest.length > 0 ? formatSelector(combine("all", rest), endpointKey) : undefined;
  return withoutEmpty({ namespaceSelector, selector: selector ?? (namespaceSelector === undefined ? "all()" : undefined) });
}

/** Returns a namespaceSelector; undefined where leaving it out says the same. */
function printNamespaces(namespaces: readonly Expression[], namespace: string | undefined): string | undefined {
  const only = namespaces.length === 1 ? namespaces[0] : undefined;
  if (only === IN_NO_NAMESPACE) return "global()";
  if (only === IN_A_NAMESPACE) return "all()";
  if (namespaces.length === 0) return namespace === undefined ? undefined : "all()";
  const own = namespace === undefined ? undefined : inNamespaceNamed(namespace);
  if (only && JSON.stringify(only) === JSON.stringify(own)) return undefined;
  return formatSelector(combine("all", namespaces), namespaceKey);
}

function printHttp(matches: readonly L7Match[]): Fields {
  const methods = new Set<string>();
  const paths = new Map<string, TextMatch>();
  for (const match of matches) {
    if (match.kind !== "http" || match.host || match.headers) throw new Unsayable("requests by more than their method and path");
    if (match.method) methods.add(exactOf(match.method));
    if (match.path && "regex" in match.path) throw new Unsayable("paths by an expression");
    if (match.path) paths.set(JSON.stringify(match.path), match.path);
  }
  return withoutEmpty({ methods: [...methods], paths: [...paths.values()] });
}

function exactOf(method: TextMatch): string {
  if ("exact" in method) return method.exact;
  throw new Unsayable("methods by an expression");
}
