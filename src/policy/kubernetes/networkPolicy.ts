import type { ManifestObject } from "../../cluster/manifest.ts";
import { EVERYTHING, type LabelSelector } from "../../cluster/selector.ts";
import { formatPrefix, type Prefix } from "../../net/prefix.ts";
import { protocolNumber, TCP } from "../../net/protocol.ts";
import { isInside, readCidr } from "../cidr.ts";
import { readLabelSelector } from "../labelSelector.ts";
import { OBJECT_FIELDS } from "../metadata.ts";
import type { Direction, Peer, Policy, PortMatch, Rule, RuleList } from "../model.ts";
import { portNameFault } from "../names.ts";
import { readRef } from "../objectHead.ts";
import { type Fields, instead, type ObjectReader, type Path, pathText, quote, readerOf } from "../objectReader.ts";
import type { Problem } from "../problem.ts";

const PROTOCOLS = ["TCP", "UDP", "SCTP"];

/** Where the rules of a direction are written. */
const FIELDS = {
  ingress: { type: "Ingress", peers: "from", other: "to" },
  egress: { type: "Egress", peers: "to", other: "from" },
} as const;

/** What the readers of one object share. */
interface Context {
  readonly reader: ObjectReader;
  readonly namespace: string;
}

/** What a NetworkPolicySpec says: which pods, and the rules of each direction that it governs. */
export interface NetworkPolicySpec {
  readonly pods: LabelSelector;
  readonly ingress?: RuleList;
  readonly egress?: RuleList;
  readonly unlisted?: NonNullable<Policy["unlisted"]>;
}

/**
 * Returns the policy of a networking.k8s.io/v1 NetworkPolicy, and what is wrong with it as the API server would say with
 * fieldValidation=Strict (k8s.io/kubernetes pkg/apis/networking/validation). Any error means no policy.
 */
export function readNetworkPolicy(object: ManifestObject, defaultNamespace = "default"): { policy?: Policy; problems: readonly Problem[] } {
  const reader = readerOf(object);
  const fields = reader.mapping(object.value, [], OBJECT_FIELDS) ?? {};
  const ref = readRef(reader, object, fields.metadata, defaultNamespace);
  const { namespace = defaultNamespace } = ref;
  const { pods, ...rules } = readNetworkPolicySpec(reader, fields.spec, namespace);
  if (reader.hasErrors()) return { problems: reader.problems };
  return {
    policy: { ref, tier: { kind: "networkpolicy" }, subject: { namespaces: { name: namespace }, pods }, ...rules },
    problems: reader.problems,
  };
}

/**
 * Returns what the `spec` of a NetworkPolicy, or of a kind that shares its shape, says; it counts only where the reader has no
 * errors. Peers with a `podSelector` alone are of `namespace`. `otherFields` are those that a kind adds, for the caller to read.
 */
export function readNetworkPolicySpec(
  reader: ObjectReader,
  value: unknown,
  namespace: string,
  otherFields: readonly string[] = [],
): NetworkPolicySpec {
  const spec = reader.mapping(value, ["spec"], ["podSelector", "policyTypes", "ingress", "egress", ...otherFields]) ?? {};
  const pods = readLabelSelector(reader, spec.podSelector, ["spec", "podSelector"]);
  if (pods === undefined && (spec.podSelector ?? null) === null) {
    reader.warning(["spec", "podSelector"], "without a `podSelector` the policy selects every pod of its namespace");
  }
  const context: Context = { reader, namespace };
  const ingress = readRules(context, spec.ingress, "ingress");
  const egress = readRules(context, spec.egress, "egress");
  const governs = readPolicyTypes(reader, spec, egress.length > 0);
  warnOfIgnored(reader, governs.ingress, ingress.length, "ingress");
  warnOfIgnored(reader, governs.egress, egress.length, "egress");
  const lists = { ingress: { isolates: true, rules: ingress }, egress: { isolates: true, rules: egress } };
  const unlisted = (["ingress", "egress"] as const).filter((direction) => !governs[direction] && lists[direction].rules.length > 0);
  return {
    pods: pods ?? EVERYTHING,
    ...(governs.ingress ? { ingress: lists.ingress } : {}),
    ...(governs.egress ? { egress: lists.egress } : {}),
    ...(unlisted.length === 0 ? {} : { unlisted: Object.fromEntries(unlisted.map((direction) => [direction, lists[direction]])) }),
  };
}

/** Returns which directions a policy governs (API defaulting: pkg/apis/networking/v1/defaults.go). An empty list is an absent one. */
function readPolicyTypes(reader: ObjectReader, spec: Fields, hasEgressRules: boolean): Record<Direction, boolean> {
  const path = ["spec", "policyTypes"];
  const types = reader.list(spec.policyTypes, path) ?? [];
  if (types.length === 0) return { ingress: true, egress: hasEgressRules };
  if (types.length > 2) reader.error(path, "at most two policy types may be listed");
  types.forEach((each, index) => {
    const type = reader.text(each, [...path, index]);
    if (type === "Ingress" || type === "Egress" || (type === undefined && each !== null)) return;
    const hint = instead(type ?? "", ["Ingress", "Egress"], "Ingress or Egress");
    reader.error([...path, index], `${quote(type ?? "null")} is no policy type${hint}`);
  });
  return { ingress: types.includes("Ingress"), egress: types.includes("Egress") };
}

function warnOfIgnored(reader: ObjectReader, governed: boolean, rules: number, direction: Direction): void {
  if (governed || rules === 0) return;
  const { type } = FIELDS[direction];
  reader.warning(["spec", direction], `these rules are ignored: \`policyTypes\` does not list ${type}`);
}

function readRules(context: Context, value: unknown, direction: Direction): Rule[] {
  const path = ["spec", direction];
  return (context.reader.list(value, path) ?? []).map((each, index) => readRule(context, each, [...path, index], direction));
}

function readRule(context: Context, value: unknown, path: Path, direction: Direction): Rule {
  const { reader } = context;
  const { peers: peersField, other } = FIELDS[direction];
  const written = reader.mapping(value, path);
  if (written && Object.hasOwn(written, other) && written[other] !== undefined) {
    reader.error([...path, other], `unknown field "${pathText([...path, other])}": an ${direction} rule has \`${peersField}\``);
  }
  reader.mapping(written && withoutField(written, other), path, ["ports", peersField]);
  const fields = written ?? {};
  const peersPath = [...path, peersField];
  const peers = (reader.list(fields[peersField], peersPath) ?? []).map((each, index) =>
    readPeer(context, each, [...peersPath, index], direction),
  );
  const portsPath = [...path, "ports"];
  const ports = (reader.list(fields.ports, portsPath) ?? []).map((each, index) => readPort(reader, each, [...portsPath, index]));
  if (direction === "ingress" && peers.length === 0 && ports.length === 0 && !reader.hasErrors()) {
    const what = (value ?? null) === null ? "an empty list item" : "this rule";
    reader.warning(path, `${what} allows all ingress, from outside the cluster too`);
  }
  return {
    action: "allow",
    peers: peers.length === 0 ? "any" : peers.filter((peer) => peer !== undefined),
    ports: ports.length === 0 ? "any" : ports,
    ref: reader.refOf(path),
  };
}

function withoutField(fields: Fields, name: string): Fields {
  return Object.fromEntries(Object.entries(fields).filter(([key]) => key !== name));
}

/** Returns a peer; undefined after an error. Exactly one of ipBlock or selectors (ValidateNetworkPolicyPeer). */
function readPeer(context: Context, value: unknown, path: Path, direction: Direction): Peer | undefined {
  const { reader, namespace } = context;
  const fields = reader.mapping(value ?? {}, path, ["podSelector", "namespaceSelector", "ipBlock"]);
  if (!fields) return undefined;
  const present = Object.keys(fields).filter((key) => (fields[key] ?? null) !== null);
  if (!["podSelector", "namespaceSelector", "ipBlock"].some((key) => present.includes(key))) {
    if (present.length === 0) reader.error(path, "a peer must have a `podSelector`, a `namespaceSelector` or an `ipBlock`");
    return undefined;
  }
  const pods = readLabelSelector(reader, fields.podSelector, [...path, "podSelector"]);
  const namespaces = readLabelSelector(reader, fields.namespaceSelector, [...path, "namespaceSelector"]);
  const block = readIpBlock(reader, fields.ipBlock, [...path, "ipBlock"], direction);
  if (present.includes("ipBlock") && (present.includes("podSelector") || present.includes("namespaceSelector"))) {
    reader.error([...path, "ipBlock"], "a peer with an `ipBlock` can have no selectors: write two peers");
    return undefined;
  }
  if (block) return { kind: "prefix", ...block, ref: reader.refOf(path) };
  return {
    kind: "pods",
    match: { namespaces: namespaces ? { selector: namespaces } : { name: namespace }, pods: pods ?? EVERYTHING },
    ref: reader.refOf(path),
  };
}

function readIpBlock(
  reader: ObjectReader,
  value: unknown,
  path: Path,
  direction: Direction,
): { prefix: Prefix; except: readonly Prefix[] } | undefined {
  const fields = reader.mapping(value, path, ["cidr", "except"]);
  if (!fields) return undefined;
  const cidrPath = [...path, "cidr"];
  if ((fields.cidr ?? "") === "") reader.error(cidrPath, "a `cidr` is required");
  const prefix = readCidr(reader, fields.cidr, cidrPath);
  const exceptPath = [...path, "except"];
  const except: Prefix[] = [];
  reader.list(fields.except, exceptPath)?.forEach((each, index) => {
    const itemPath = [...exceptPath, index];
    if ((each ?? "") === "") reader.error(itemPath, "an address block is required");
    const inner = readCidr(reader, each, itemPath);
    if (!inner || !prefix) return;
    if (!isInside(inner, prefix) || inner.length === prefix.length) {
      reader.error(itemPath, `${quote(formatPrefix(inner))} does not lie strictly within ${quote(formatPrefix(prefix))}`);
      return;
    }
    const wider = except.find((other) => isInside(inner, other));
    if (wider) reader.warning(itemPath, `${quote(formatPrefix(inner))} cuts nothing: ${quote(formatPrefix(wider))} already does`);
    except.push(inner);
  });
  if (!prefix) return undefined;
  if (direction === "ingress" && prefix.length === 0 && except.length === 0) {
    reader.warning(cidrPath, `${quote(formatPrefix(prefix))} is every IPv${prefix.family} address, the whole internet`);
  }
  return { prefix, except };
}

/** Returns one entry of `ports` (ValidateNetworkPolicyPort). Protocol TCP when absent; without a port, all of that protocol. */
function readPort(reader: ObjectReader, value: unknown, path: Path): PortMatch {
  const fields = reader.mapping(value, path, ["protocol", "port", "endPort"]) ?? {};
  const protocol = readProtocol(reader, fields.protocol, [...path, "protocol"]);
  const port = fields.port ?? undefined;
  const endPort = readPortNumber(reader, fields.endPort, [...path, "endPort"]);
  const hasEndPort = (fields.endPort ?? null) !== null;
  if (port === undefined) {
    if (hasEndPort) reader.error([...path, "endPort"], "an `endPort` needs a `port`");
    return { protocol };
  }
  if (typeof port === "string") {
    const fault = portNameFault(port);
    if (fault) reader.error([...path, "port"], `${quote(port)} ${fault}`);
    if (hasEndPort) reader.error([...path, "endPort"], "an `endPort` goes with a port number, not with a port name");
    return { protocol, ports: { name: port } };
  }
  const first = readPortNumber(reader, port, [...path, "port"]);
  if (first !== undefined && endPort !== undefined && endPort < first) {
    reader.error([...path, "endPort"], `the endPort ${quote(endPort)} is below the port ${quote(first)}`);
  }
  return { protocol, ports: { first: first ?? 0, last: endPort ?? first ?? 0 } };
}

/** Returns a port number, 1 to 65535; a number outside is returned too, after an error. */
export function readPortNumber(reader: ObjectReader, value: unknown, path: Path): number | undefined {
  const port = reader.integer(value, path);
  if (port !== undefined && (port < 1 || port > 65535)) reader.error(path, `the port ${quote(port)} is not in 1..65535`);
  return port;
}

/** Returns the number of a protocol of ports: TCP, UDP or SCTP; TCP when absent or after an error. */
export function readProtocol(reader: ObjectReader, value: unknown, path: Path): number {
  const text = reader.text(value, path) ?? "TCP";
  if (PROTOCOLS.includes(text)) return protocolNumber(text) ?? TCP;
  reader.error(path, `${quote(text)} is no protocol of a port${instead(text, PROTOCOLS, "TCP, UDP or SCTP")}`);
  return TCP;
}
