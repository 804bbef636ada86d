import { EVERYTHING, type LabelSelector } from "../../cluster/selector.ts";
import { formatPrefix, makePrefix, type Prefix, parsePrefix } from "../../net/prefix.ts";
import { readCidr } from "../cidr.ts";
import { readLabelSelector } from "../labelSelector.ts";
import type { Action, Direction, NamePattern, Peer, PodMatch } from "../model.ts";
import { type Fields, type ObjectReader, type Path, quote } from "../objectReader.ts";
import { type AdminDialect, INGRESS_PEERS, MOST_IN_PEER, readItems, readOneOf } from "./dialect.ts";

/** Parts of namespace peers and pod peers before v0.1.2, and what says the same now. */
const OLDER_SHAPES: Readonly<Record<string, string>> = {
  namespaceSelector: "write the shape of v0.1.5, with the labels directly below `namespaces`",
  namespaces: "write the shape of v0.1.5, with a `namespaceSelector` and a `podSelector` below `pods`",
  sameLabels: "v0.1.5 has no such peer: name the namespaces by their labels",
  notSameLabels: "v0.1.5 has no such peer: name the namespaces by their labels",
};

/** CRDs: the pattern of DomainName. Two labels at least; underscores only inside of a label. */
const DOMAIN_NAME = /^(?:\*\.)?(?:[a-zA-Z0-9](?:[-a-zA-Z0-9_]*[a-zA-Z0-9])?\.)+[a-zA-Z0-9](?:[-a-zA-Z0-9_]*[a-zA-Z0-9])?\.?$/;

/** Returns the pods of a policy's `subject`, which selects none after an error. */
export function readSubject(reader: ObjectReader, value: unknown, dialect: AdminDialect): PodMatch {
  const path = ["spec", "subject"];
  if ((value ?? null) === null) reader.error(path, "a `subject` is required: `namespaces: {}` is every pod");
  const one = (value ?? null) === null ? undefined : readOneOf(reader, value, path, INGRESS_PEERS, "a subject");
  return (one && readPods(reader, one.name, one.value, one.path, dialect)) ?? { namespaces: { selector: EVERYTHING }, pods: EVERYTHING };
}

/** Returns what one entry of `from` or `to` says: a peer, or one for each network; none after an error. */
export function readPeer(
  reader: ObjectReader,
  value: unknown,
  path: Path,
  rule: { readonly direction: Direction; readonly action: Action | undefined; readonly dialect: AdminDialect },
): readonly Peer[] {
  const one = readOneOf(reader, value, path, rule.direction === "ingress" ? INGRESS_PEERS : rule.dialect.egressPeers, "a peer");
  if (!one) return [];
  const ref = reader.refOf(path);
  if (one.name === "networks") return readNetworks(reader, one.value, one.path);
  if (one.name === "nodes") {
    const selector = readLabelSelector(reader, one.value, one.path);
    return selector ? [{ kind: "nodes", selector, ref }] : [];
  }
  if (one.name === "domainNames") {
    if (rule.action === "deny" || rule.action === "pass") {
      // What a denied name would mean is not defined (API reference: DomainNames).
      const allow = Object.keys(rule.dialect.actions).find((each) => rule.dialect.actions[each] === "allow");
      reader.error(one.path, `only rules with the action ${quote(allow)} can have \`domainNames\``);
    }
    return [{ kind: "names", patterns: readDomainNames(reader, one.value, one.path), ref }];
  }
  const match = readPods(reader, one.name, one.value, one.path, rule.dialect);
  return match ? [{ kind: "pods", match, ref }] : [];
}

/** Returns the pods that a `namespaces` or a `pods` field selects. */
function readPods(reader: ObjectReader, name: string, value: unknown, path: Path, dialect: AdminDialect): PodMatch | undefined {
  const fields = reader.mapping(value, path);
  if (!fields || (dialect.hasOlderShapes && refuseOlderShape(reader, name, fields, path))) return undefined;
  if (name === "namespaces") {
    const selector = readLabelSelector(reader, value, path);
    return selector && { namespaces: { selector }, pods: EVERYTHING };
  }
  reader.mapping(value, path, ["namespaceSelector", "podSelector"]);
  for (const field of dialect.podFields) {
    if ((fields[field] ?? null) === null) reader.error(path, `a \`${field}\` is required: \`{}\` selects all`);
  }
  const selectorAt = (field: string): LabelSelector => readLabelSelector(reader, fields[field], [...path, field]) ?? EVERYTHING;
  return { namespaces: { selector: selectorAt("namespaceSelector") }, pods: selectorAt("podSelector") };
}

/** Reports whether a selection is in a shape that v0.1.5 no longer has, with an error. */
function refuseOlderShape(reader: ObjectReader, name: string, fields: Fields, path: Path): boolean {
  const older = name === "namespaces" ? ["namespaceSelector", "sameLabels", "notSameLabels"] : ["namespaces"];
  const found = older.filter((field) => Object.hasOwn(fields, field));
  for (const field of found) {
    reader.error([...path, field], `${quote(field)} here is of network-policy-api v0.1.1 or older: ${OLDER_SHAPES[field]}`);
  }
  return found.length > 0;
}

/** Returns the networks of a peer, each a peer of its own. They are a set: the API server refuses the same text twice. */
function readNetworks(reader: ObjectReader, value: unknown, path: Path): readonly Peer[] {
  const items = readItems(reader, value, path, MOST_IN_PEER) ?? [];
  return items.flatMap((item, index): Peer[] => {
    const itemPath = [...path, index];
    refuseRepeated(reader, items, index, itemPath);
    const prefix = readNetwork(reader, item, itemPath);
    return prefix ? [{ kind: "prefix", prefix, except: [], ref: reader.refOf(itemPath) }] : [];
  });
}

/**
 * Returns a network. Unlike ipBlock, neither leading zeros nor IPv4 inside of IPv6 are taken (v1alpha2: CEL isCIDR; v1alpha1: the
 * CRD refuses the latter, and Go's net.ParseCIDR, which implementations use, the former). Host bits are.
 */
function readNetwork(reader: ObjectReader, value: unknown, path: Path): Prefix | undefined {
  const text = reader.text(value, path);
  if ((value ?? "") === "") reader.error(path, "an address block is required");
  if (text === undefined || text === "") return undefined;
  if (!text.includes(":") && /(?:^|[./])0\d/.test(text)) {
    reader.error(path, `${quote(text)} has leading zeros, which are refused`);
    return undefined;
  }
  const read = parsePrefix(text);
  const isMapped = read?.family === 6 && read.first >> 32n === 0xffffn && read.length >= 96;
  if (isMapped || (text.includes(":") && text.includes("."))) {
    const hint = isMapped ? `: write ${quote(formatPrefix(makePrefix(read.first, read.length - 96, 4)))}` : "";
    reader.error(path, `${quote(text)} is IPv4 inside of IPv6, which is refused${hint}`);
    return undefined;
  }
  return readCidr(reader, text, path);
}

function readDomainNames(reader: ObjectReader, value: unknown, path: Path): readonly NamePattern[] {
  const items = readItems(reader, value, path, MOST_IN_PEER) ?? [];
  return items.flatMap((item, index): NamePattern[] => {
    const itemPath = [...path, index];
    refuseRepeated(reader, items, index, itemPath);
    const text = reader.text(item ?? "", itemPath);
    if (text === undefined) return [];
    const pattern = domainNamePattern(text);
    if (pattern) return [pattern];
    const hint = /.\*|\*[^.]/.test(text) ? "a `*` stands for whole labels, and only in front" : "such as `*.example.com`";
    reader.error(itemPath, `${quote(text)} is no domain name of two labels or more: ${hint}`);
    return [];
  });
}

/**
 * Returns what a domain name of these kinds means, undefined where it is none. Case and a final dot do not matter; `*.` is one or
 * more labels, so the name behind it is not meant itself (API reference: DomainName).
 */
export function domainNamePattern(text: string): NamePattern | undefined {
  if (!DOMAIN_NAME.test(text)) return undefined;
  const plain = text.toLowerCase().replace(/\.$/, "").replaceAll(".", "\\.");
  return { text, regex: plain.replace(/^\*\\\./, "(?:[^.]+\\.)+") };
}

function refuseRepeated(reader: ObjectReader, items: readonly unknown[], index: number, path: Path): void {
  const first = items.indexOf(items[index]);
  if (first < index) reader.error(path, `${quote(items[index])} is listed twice`);
}
