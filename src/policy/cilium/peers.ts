import { EVERYTHING, type LabelSelector } from "../../cluster/selector.ts";
import { parseAddress } from "../../net/address.ts";
import { formatPrefix, makePrefix, type Prefix, parsePrefix } from "../../net/prefix.ts";
import { isInside } from "../cidr.ts";
import { readLabelSelector } from "../labelSelector.ts";
import type { Entity, Peer, PeerTerm, ServiceMatch } from "../model.ts";
import { instead, type ObjectReader, type Path, quote } from "../objectReader.ts";
import { readNamePatterns } from "./names.ts";
import { peerOf, plainSelector, RESERVED, readSourcedSelector } from "./selector.ts";

/** Every role by the name that policies use (Cilium EntitySelectorMapping). */
const ENTITIES: readonly Entity[] = ["all", "cluster", ...RESERVED];
const CLUSTER_MESH = "cluster-mesh";

/** Reads one item of a list of peers. No peer: after an error, or where it matches nothing. */
export type PeerReader = (reader: ObjectReader, value: unknown, path: Path, namespace: string | undefined) => readonly PeerTerm[];

/** Returns the peers of a list, each with its place. */
export function readPeers(
  reader: ObjectReader,
  items: readonly unknown[],
  path: Path,
  read: PeerReader,
  namespace: string | undefined,
): Peer[] {
  return items.flatMap((each, index) => {
    const at = [...path, index];
    return read(reader, each, at, namespace).map((term) => ({ ...term, ref: reader.refOf(at) }));
  });
}

export const readEndpoint: PeerReader = (reader, value, path, namespace) => [
  peerOf(reader, readSourcedSelector(reader, value ?? {}, path) ?? [], namespace),
];

export const readEntity: PeerReader = (reader, value, path) => {
  const text = reader.text(value, path) ?? "";
  const entity = ENTITIES.find((each) => each === text);
  if (entity === "world-ipv4" || entity === "world-ipv6")
    reader.warning(path, `${quote(entity)} is refused by the CRD's schema: write \`world\`, or a CIDR`);
  if (entity !== undefined) return [{ kind: "entities", entities: [entity] }];
  if (text === CLUSTER_MESH) {
    reader.warning(path, `\`${CLUSTER_MESH}\` is the pods of other clusters: none is known here, so it matches nothing`);
    return [{ kind: "entities", entities: ["none"] }];
  }
  reader.error(path, `${quote(text)} is no entity${instead(text, ENTITIES, `one of ${ENTITIES.join(", ")}`)}`);
  return [];
};

export const readCidrItem: PeerReader = (reader, value, path) => {
  const text = reader.text(value, path) ?? "";
  const address = parseAddress(text);
  // Zones are refused below: an address with one belongs to a link, not to a network.
  const whole = address === undefined || text.includes("%") ? text : `${text}/${text.includes(":") ? 128 : 32}`;
  const prefix = readPrefix(reader, whole, path);
  return prefix ? [{ kind: "prefix", prefix, except: [] }] : [];
};

/** Returns a prefix; host bits and IPv4-mapped IPv6 mean what they mean elsewhere, with a warning. */
export function readPrefix(reader: ObjectReader, text: string, path: Path): Prefix | undefined {
  const read = text.includes("%") ? undefined : parsePrefix(text);
  if (!read) {
    reader.error(
      path,
      text === "" ? "an address block is required" : `${quote(text)} is no address block, such as \`10.0.0.0/8\` or \`fd00::/8\``,
    );
    return undefined;
  }
  const isMapped = read.family === 6 && read.first >> 32n === 0xffffn && read.length >= 96;
  const prefix = isMapped ? makePrefix(read.first, read.length - 96, 4) : makePrefix(read.first, read.length, read.family);
  if (isMapped || read.hostBits) reader.warning(path, `${quote(text)} means ${quote(formatPrefix(prefix))}`);
  return prefix;
}

/** Returns an entry of fromCIDRSet or toCIDRSet: a block, or sets of blocks by name or labels (Cilium CIDRRule.Validate). */
export const readCidrRule: PeerReader = (reader, value, path) => {
  const fields = reader.mapping(value ?? {}, path, ["cidr", "cidrGroupRef", "cidrGroupSelector", "except"]) ?? {};
  const cidr = reader.text(fields.cidr, [...path, "cidr"]) ?? "";
  const name = reader.text(fields.cidrGroupRef, [...path, "cidrGroupRef"]) ?? "";
  const labels = readLabelSelector(reader, fields.cidrGroupSelector, [...path, "cidrGroupSelector"]);
  const written = [cidr !== "", name !== "", (fields.cidrGroupSelector ?? null) !== null].filter(Boolean).length;
  if (written !== 1) {
    const isTyped = typeof (fields.cidr ?? "") === "string" && typeof (fields.cidrGroupRef ?? "") === "string";
    if (isTyped)
      reader.error(path, `${written === 0 ? "one" : "only one"} of \`cidr\`, \`cidrGroupRef\` and \`cidrGroupSelector\` must be set`);
    return [];
  }
  const prefix = cidr === "" ? undefined : readPrefix(reader, cidr, [...path, "cidr"]);
  const exceptPath = [...path, "except"];
  const except = (reader.list(fields.except, exceptPath) ?? []).flatMap((each, index) => {
    const at = [...exceptPath, index];
    const text = reader.text(each, at) ?? "";
    const inner = readPrefix(reader, text, at);
    const isOtherFamily = cidr !== "" && text.includes(":") !== cidr.includes(":");
    if (inner && prefix && (isOtherFamily || !isInside(inner, prefix))) {
      reader.error(at, `${quote(text)} does not lie within ${quote(cidr)}`);
    }
    return inner ? [inner] : [];
  });
  if (prefix) return [{ kind: "prefix", prefix, except }];
  if (name !== "") return [{ kind: "sets", match: { names: [name] }, except }];
  return labels ? [{ kind: "sets", match: groupsWith(labels), except }] : [];
};

/** CIDR groups have no namespace. */
function groupsWith(pods: LabelSelector): { scope: "global"; match: { namespaces: { selector: LabelSelector }; pods: LabelSelector } } {
  return { scope: "global", match: { namespaces: { selector: EVERYTHING }, pods } };
}

export const readFqdn: PeerReader = (reader, value, path) => {
  const patterns = readNamePatterns(reader, value, path);
  if (patterns.length > 1) reader.error(path, "only one of `matchName` and `matchPattern` may be set");
  // Neither: the root's name, and no address belongs to that.
  return [{ kind: "names", patterns: patterns.length === 0 ? [{ text: "", regex: "" }] : patterns }];
};

/** Returns the Services of an entry of toServices; without a namespace they are looked for in all. */
export const readService: PeerReader = (reader, value, path) => {
  const fields = reader.mapping(value ?? {}, path, ["k8sService", "k8sServiceSelector"]) ?? {};
  const matches: ServiceMatch[] = [];
  const selectorPath = [...path, "k8sServiceSelector"];
  const bySelector = reader.mapping(fields.k8sServiceSelector, selectorPath, ["selector", "namespace"]);
  if (bySelector) {
    const namespace = reader.text(bySelector.namespace, [...selectorPath, "namespace"]) || undefined;
    const labels = readSourcedSelector(reader, bySelector.selector, [...selectorPath, "selector"]);
    if (labels) matches.push({ selector: plainSelector(labels), ...(namespace === undefined ? {} : { namespace }) });
    else reader.warning(selectorPath, "without a `selector` this matches no Service");
  }
  const namePath = [...path, "k8sService"];
  const byName = reader.mapping(fields.k8sService, namePath, ["serviceName", "namespace"]);
  if (byName && bySelector) reader.warning(namePath, "beside a `k8sServiceSelector` Cilium does not look at the name");
  else if (byName) {
    const namespace = reader.text(byName.namespace, [...namePath, "namespace"]) || undefined;
    const name = reader.text(byName.serviceName, [...namePath, "serviceName"]) ?? "";
    matches.push({ name, ...(namespace === undefined ? {} : { namespace }) });
  }
  if (matches.length === 0 && !bySelector) reader.warning(path, "without `k8sService` and `k8sServiceSelector` this matches nothing");
  return matches.map((match) => ({ kind: "services", match, ports: false }));
};
