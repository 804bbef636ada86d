import type { PortRange } from "../../net/portRange.ts";
import { formatPrefix, type Prefix } from "../../net/prefix.ts";
import type { Direction, Expression, PeerTerm } from "../model.ts";
import { dnsSubdomainFault, portNameFault } from "../names.ts";
import { type Fields, type ObjectReader, type Path, quote } from "../objectReader.ts";
import { combine, negate } from "./expression.ts";
import { readFields, readItems, readNet, readSelector, type SelectorRules, warnOfRepeated } from "./fields.ts";
import { inNamespaceNamed, objectsTerm } from "./match.ts";

/** What the rules of one policy share. */
export interface RuleContext {
  readonly reader: ObjectReader;
  /** Of a namespaced policy. */
  readonly namespace?: string;
}

/** A port as a rule writes it, before its protocol is known. */
export type RulePort = PortRange | { readonly name: string };

/** What one end of a rule says: `terms` must all hold. */
export interface Entity {
  readonly path: Path;
  readonly terms: readonly PeerTerm[];
  /** As listed; they are in `terms` too. */
  readonly nets: readonly Prefix[];
  readonly notNets: readonly Prefix[];
  readonly ports: readonly RulePort[];
  readonly notPorts: readonly RulePort[];
  readonly hasServices: boolean;
}

const ENTITY_FIELDS = [
  ...["nets", "notNets", "selector", "notSelector", "namespaceSelector", "serviceAccounts", "services"],
  ...["ports", "notPorts"],
];
const SELECTOR: SelectorRules = { field: "endpoint", global: "never", isBounded: true };
const NOT_SELECTOR: SelectorRules = { field: "endpoint", global: "anywhere", isBounded: true };
const NAMESPACE_SELECTOR: SelectorRules = { field: "namespace", global: "alone", isBounded: true };
const ACCOUNT_SELECTOR: SelectorRules = { field: "serviceAccount", global: "anywhere", isBounded: false };
const MAX_NETS = 256;
const MAX_PORTS = 50;

/** Returns what the `source` or `destination` of a rule says (Calico API: EntityRule). */
export function readEntity(context: RuleContext, value: unknown, path: Path, direction: Direction): Entity {
  const { reader } = context;
  const fields = readFields(reader, value, path, ENTITY_FIELDS) ?? {};
  const nets = readNets(reader, fields.nets, [...path, "nets"]);
  const notNets = readNets(reader, fields.notNets, [...path, "notNets"]);
  notNets.forEach((prefix, index) => {
    if (prefix.length > 0) return;
    reader.error([...path, "notNets", index], `${quote(formatPrefix(prefix))} excludes every address: the rule would match nothing`);
  });
  const services = readServices(context, fields, path, direction);
  const terms: PeerTerm[] = [];
  const families = new Set(notNets.map(({ family }) => family));
  // felix leaves a rule out for the family that none of its notNets is of (oracle/calico/disagreements.jsonl).
  for (const family of families) terms.push({ kind: "family", family });
  if (nets.length > 0) terms.push(anyOf(nets));
  if (notNets.length > 0) terms.push({ kind: "not", term: anyOf(notNets) });
  terms.push(...readObjects(context, fields, path));
  if (services) terms.push(services);
  return {
    path,
    terms,
    nets,
    notNets,
    ports: readPorts(reader, fields.ports, [...path, "ports"]),
    notPorts: readPorts(reader, fields.notPorts, [...path, "notPorts"]),
    hasServices: services !== undefined,
  };
}

/** Returns the term of addresses in any of some prefixes. */
export function anyOf(prefixes: readonly Prefix[]): PeerTerm {
  const terms = prefixes.map((prefix): PeerTerm => ({ kind: "prefix", prefix, except: [] }));
  return terms.length === 1 ? terms[0] : { kind: "some", terms };
}

function readNets(reader: ObjectReader, value: unknown, path: Path): Prefix[] {
  const items = readItems(reader, value, path, MAX_NETS);
  warnOfRepeated(reader, items, path);
  return items.map((item, index) => readNet(reader, item, [...path, index], "rule")).filter((prefix) => prefix !== undefined);
}

/**
 * Returns the condition on pods and network sets (libcalico-go updateprocessors/rules.go, GetEntityRuleSelector): in a namespaced
 * policy any selector, a negative one too, is about its own namespace unless a namespaceSelector says otherwise. A notSelector is
 * a further condition on the same object; on its own in a global policy it is one on the address, which may be no object's.
 */
function readObjects({ reader, namespace }: RuleContext, fields: Fields, path: Path): PeerTerm[] {
  const inNamespaces = readSelector(reader, fields.namespaceSelector, [...path, "namespaceSelector"], NAMESPACE_SELECTOR);
  const selector = readSelector(reader, fields.selector, [...path, "selector"], SELECTOR);
  const notSelector = readSelector(reader, fields.notSelector, [...path, "notSelector"], NOT_SELECTOR);
  const accounts = readServiceAccounts(reader, fields.serviceAccounts, [...path, "serviceAccounts"]);
  const isSelected = [inNamespaces, selector, accounts].some((each) => each !== undefined);
  if (!isSelected && notSelector === undefined) return [];
  if (!isSelected && namespace === undefined) return [{ kind: "not", term: objectsTerm(notSelector as Expression) }];
  const own = inNamespaces ?? (namespace === undefined ? undefined : inNamespaceNamed(namespace));
  const positive = [own, accounts, selector].filter((each) => each !== undefined);
  return [objectsTerm(combine("all", notSelector ? [...positive, negate(notSelector)] : positive))];
}

/** Returns what `serviceAccounts` asks for: names and selector must both hold. Undefined when it asks for nothing. */
function readServiceAccounts(reader: ObjectReader, value: unknown, path: Path): Expression | undefined {
  const fields = readFields(reader, value, path, ["names", "selector"]) ?? {};
  const namesPath = [...path, "names"];
  const names = (reader.list(fields.names, namesPath) ?? []).map((item, index) => {
    const name = reader.text(item ?? "", [...namesPath, index]) ?? "";
    // libcalico-go writes the names between such quotes, and drops the whole condition when that is no selector.
    if (name.includes("'")) reader.error([...namesPath, index], `${quote(name)} is no name of a service account`);
    return name;
  });
  warnOfRepeated(reader, names, namesPath);
  const selector = readSelector(reader, fields.selector, [...path, "selector"], ACCOUNT_SELECTOR);
  if (names.length === 0) return selector;
  const named: Expression = { op: "test", of: "serviceAccountName", requirement: { key: "", operator: "In", values: names } };
  return selector ? combine("all", [selector, named]) : named;
}

const WITHOUT_SERVICES = ["selector", "notSelector", "namespaceSelector", "nets", "notNets", "serviceAccounts"];

function readServices(
  { reader, namespace }: RuleContext,
  entity: Fields,
  path: Path,
  direction: Direction,
): Extract<PeerTerm, { readonly kind: "services" }> | undefined {
  const servicesPath = [...path, "services"];
  const fields = readFields(reader, entity.services, servicesPath, ["name", "namespace"]);
  if (!fields) return undefined;
  const end = direction === "ingress" ? "source" : "destination";
  if (path.at(-1) !== end) reader.error(servicesPath, `in an ${direction} rule \`services\` may stand in \`${end}\` only`);
  for (const other of WITHOUT_SERVICES) {
    if (isEmpty(entity[other], other)) continue;
    reader.error([...path, other], `\`${other}\` cannot stand beside \`services\`: write two rules`);
  }
  const name = readName(reader, fields.name, [...servicesPath, "name"]);
  if (name === undefined) reader.error(servicesPath, "a service must be named");
  const named = readName(reader, fields.namespace, [...servicesPath, "namespace"]);
  if (named === undefined && namespace === undefined)
    reader.error(servicesPath, "in a global policy the service's `namespace` is required");
  return {
    kind: "services",
    match: { namespace: named ?? namespace ?? "", name: name ?? "" },
    ports: direction === "egress",
  };
}

/** An empty mapping of service accounts counts as one all the same (CRD: `has(self.serviceAccounts)`). */
function isEmpty(value: unknown, field: string): boolean {
  if ((value ?? null) === null) return true;
  return field !== "serviceAccounts" && (value === "" || (Array.isArray(value) && value.length === 0));
}

function readName(reader: ObjectReader, value: unknown, path: Path): string | undefined {
  const name = reader.text(value, path);
  if (name === undefined || name === "") return undefined;
  const fault = dnsSubdomainFault(name);
  if (fault) reader.error(path, `the name ${quote(name)} ${fault}`);
  return name;
}

function readPorts(reader: ObjectReader, value: unknown, path: Path): RulePort[] {
  return readItems(reader, value, path, MAX_PORTS)
    .map((item, index) => readPort(reader, item, [...path, index]))
    .filter((port) => port !== undefined);
}

/** Returns a port: a number, a text of one, `80:90` or a name (api/pkg/lib/numorstring). */
function readPort(reader: ObjectReader, value: unknown, path: Path): RulePort | undefined {
  if (typeof value !== "string") {
    const port = reader.integer(value ?? 0, path);
    return port === undefined ? undefined : checkRange(reader, { first: port, last: port }, path);
  }
  const [, first, last] = /^(\d{1,20})(?::(\d{1,20}))?$/.exec(value) ?? [];
  if (first !== undefined) return checkRange(reader, { first: Number(first), last: Number(last ?? first) }, path);
  const fault = portNameFault(value);
  const dash = /^\d+-\d+$/.test(value) ? `, did you mean \`${value.replace("-", ":")}\`` : "";
  if (fault) reader.error(path, `${quote(value)} ${fault}${dash}`);
  return { name: value };
}

function checkRange(reader: ObjectReader, range: PortRange, path: Path): PortRange | undefined {
  const wrong = [range.first, range.last].find((port) => port < 1 || port > 65535);
  if (wrong !== undefined) reader.error(path, `the port ${quote(wrong)} is not in 1..65535`);
  else if (range.first > range.last) reader.error(path, `the port ${quote(range.first)} is above ${quote(range.last)}`);
  else return range;
  return undefined;
}
