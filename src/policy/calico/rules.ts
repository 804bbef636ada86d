import { ICMP, ICMPV6, protocolNumber, TRANSPORTS } from "../../net/protocol.ts";
import type { Action, Direction, Peer, PeerTerm, PortMatch, Rule } from "../model.ts";
import { type Fields, instead, type ObjectReader, type Path, quote } from "../objectReader.ts";
import { type Entity, type RuleContext, type RulePort, readEntity } from "./entity.ts";
import { readFields, readItems, readWord } from "./fields.ts";
import { readHttp } from "./http.ts";

const RULE_FIELDS = [
  ...["action", "ipVersion", "protocol", "notProtocol", "icmp", "notICMP"],
  ...["source", "destination", "http", "metadata"],
];
const ACTIONS: ReadonlyMap<string, Action> = new Map([
  ["Allow", "allow"],
  ["Deny", "deny"],
  ["Log", "log"],
  ["Pass", "pass"],
]);
const PROTOCOLS = ["TCP", "UDP", "SCTP", "UDPLite", "ICMP", "ICMPv6"];
const MAX_RULES = 1024;

/** Returns the rules of a direction, in their order. */
export function readCalicoRules(context: RuleContext, value: unknown, direction: Direction): Rule[] {
  const path = ["spec", direction];
  return readItems(context.reader, value, path, MAX_RULES).map((each, index) => readRule(context, each, [...path, index], direction));
}

function readRule(context: RuleContext, value: unknown, path: Path, direction: Direction): Rule {
  const { reader } = context;
  const fields = readFields(reader, value ?? {}, path, RULE_FIELDS) ?? {};
  const action = readWord(reader, fields.action, [...path, "action"], [...ACTIONS.keys()]);
  if ((fields.action ?? null) === null) reader.error(path, `an \`action\` is required: ${[...ACTIONS.keys()].join(", ")}`);
  readMetadata(reader, fields.metadata, [...path, "metadata"]);
  const protocol = readProtocol(reader, fields.protocol, [...path, "protocol"]);
  const source = readEntity(context, fields.source, [...path, "source"], direction);
  const destination = readEntity(context, fields.destination, [...path, "destination"], direction);
  for (const entity of [source, destination]) checkPorts(reader, entity, fields, protocol);
  if (destination.hasServices && destination.ports.length + destination.notPorts.length > 0) {
    reader.error(destination.path, "`ports` and `notPorts` cannot stand beside `services`, which have their own");
  }
  const ipVersion = readIpVersion(reader, fields, path);
  checkFamilies(reader, source, destination, ipVersion);
  const l7 = readHttp(reader, fields, [...path, "http"], direction);
  const [far, near] = direction === "ingress" ? [source, destination] : [destination, source];
  const family = ipVersion ?? familyOf(protocol);
  const nearPeer = near.terms.length > 0 ? [peerOf(reader, near.path, near.terms)] : undefined;
  const farTerms = family === undefined ? far.terms : withFamily(family, far.terms);
  return {
    action: ACTIONS.get(action ?? "") ?? "deny",
    peers: farTerms.length > 0 ? [peerOf(reader, far.path, farTerms)] : "any",
    ...readPortMatches(reader, fields, path, { protocol, source, destination }),
    ...(nearPeer ? { near: nearPeer } : {}),
    ...(l7 ? { l7 } : {}),
    ref: reader.refOf(path),
  };
}

function readMetadata(reader: ObjectReader, value: unknown, path: Path): void {
  const fields = readFields(reader, value, path, ["annotations"]);
  const annotationsPath = [...path, "annotations"];
  for (const [key, text] of Object.entries(reader.mapping(fields?.annotations, annotationsPath) ?? {})) {
    reader.text(text, [...annotationsPath, key]);
  }
}

function withFamily(family: 4 | 6, terms: readonly PeerTerm[]): readonly PeerTerm[] {
  const isSaid = terms.some((term) => term.kind === "family" && term.family === family);
  return isSaid ? terms : [{ kind: "family", family }, ...terms];
}

function peerOf(reader: ObjectReader, path: Path, terms: readonly PeerTerm[]): Peer {
  const term: PeerTerm = terms.length === 1 ? terms[0] : { kind: "all", terms };
  return { ...term, ref: reader.refOf(path) };
}

/** The family that a protocol has packets in, if it is one (felix/rules). */
export function familyOf(protocol: number | undefined): 4 | 6 | undefined {
  return protocol === ICMP ? 4 : protocol === ICMPV6 ? 6 : undefined;
}

/** Returns a protocol: a name exactly as it is written here, or 1 to 255, in quotes too. */
function readProtocol(reader: ObjectReader, value: unknown, path: Path): number | undefined {
  if ((value ?? null) === null) return undefined;
  if (typeof value === "string" && !/^\d+$/.test(value)) {
    if (PROTOCOLS.includes(value)) return protocolNumber(value);
    reader.error(path, `${quote(value)} is no protocol${instead(value, PROTOCOLS, `one of ${PROTOCOLS.join(", ")} or a number`)}`);
    return undefined;
  }
  const number = reader.integer(typeof value === "string" ? Number(value) : value, path);
  if (number !== undefined && number >= 1 && number <= 255) return number;
  if (number !== undefined) reader.error(path, `the protocol ${quote(value)} is not in 1..255`);
  return undefined;
}

/** Returns the IP version. The CRD compares protocols as they are written: `"1"` in quotes is not looked at. */
function readIpVersion(reader: ObjectReader, fields: Fields, path: Path): 4 | 6 | undefined {
  const versionPath = [...path, "ipVersion"];
  const version = reader.integer(fields.ipVersion, versionPath);
  if (version === undefined) return undefined;
  if (version !== 4 && version !== 6) {
    reader.error(versionPath, `the IP version is 4 or 6, not ${quote(version)}`);
    return undefined;
  }
  for (const field of ["protocol", "notProtocol"]) {
    const family: 4 | 6 = isIcmpAsWritten(fields[field], ICMP) ? 4 : isIcmpAsWritten(fields[field], ICMPV6) ? 6 : version;
    if (family !== version) reader.error(versionPath, `the ${field} ${quote(fields[field])} is of IP version ${family} only`);
  }
  return version;
}

function isIcmpAsWritten(value: unknown, protocol: typeof ICMP | typeof ICMPV6): boolean {
  return value === protocol || value === (protocol === ICMP ? "ICMP" : "ICMPv6");
}

/** Ports need a protocol that has them; names go without, since the pod says its port's protocol. */
function checkPorts(reader: ObjectReader, { path, ports, notPorts }: Entity, fields: Fields, protocol: number | undefined): void {
  const needed = "set the rule's `protocol` to TCP, UDP or SCTP";
  for (const [field, listed] of Object.entries({ ports, notPorts })) {
    if (listed.length === 0) continue;
    if ((fields.protocol ?? null) === null) {
      if (listed.some((port) => !("name" in port))) reader.error([...path, field], `port numbers without a protocol: ${needed}`);
    } else if (protocol !== undefined && !TRANSPORTS.includes(protocol)) {
      reader.error([...path, field], `the protocol ${quote(fields.protocol)} has no ports that rules can name: ${needed}`);
    }
  }
}

function checkFamilies(reader: ObjectReader, source: Entity, destination: Entity, ipVersion: 4 | 6 | undefined): void {
  let seen: 4 | 6 | undefined;
  for (const { path, nets, notNets } of [source, destination]) {
    for (const [field, prefixes] of Object.entries({ nets, notNets })) {
      const family = prefixes[0]?.family;
      if (family === undefined) continue;
      const isMixed = prefixes.some((prefix) => prefix.family !== family) || (seen ?? family) !== family;
      if (isMixed) reader.error([...path, field], "a rule can have addresses of one IP version only: write two rules");
      else if (ipVersion !== undefined && ipVersion !== family) {
        reader.error([...path, field], `these are IPv${family} addresses in a rule of \`ipVersion\` ${ipVersion}`);
      }
      seen ??= family;
    }
  }
}

/** Returns the protocol, the ports and the ICMP types of a rule; what cannot occur with its protocol is left out. */
function readPortMatches(
  reader: ObjectReader,
  fields: Fields,
  path: Path,
  { protocol, source, destination }: { protocol: number | undefined; source: Entity; destination: Entity },
): Pick<Rule, "ports" | "notPorts" | "sourcePorts" | "notSourcePorts"> {
  const isIcmp = isIcmpAsWritten(fields.protocol, ICMP) || isIcmpAsWritten(fields.protocol, ICMPV6);
  const icmp = readIcmp(reader, fields.icmp, [...path, "icmp"]);
  if ((fields.icmp ?? null) !== null && !isIcmp) reader.error([...path, "icmp"], "`icmp` needs the rule's `protocol` to be ICMP or ICMPv6");
  const notIcmp = readIcmp(reader, fields.notICMP, [...path, "notICMP"]);
  const notProtocol = readProtocol(reader, fields.notProtocol, [...path, "notProtocol"]);
  const listed = portMatches(destination.ports, protocol);
  const plain: PortMatch[] | "any" = protocol === undefined ? "any" : [icmp ? { protocol, icmp } : { protocol }];
  const excluded = [
    ...(notProtocol === undefined ? [] : [{ protocol: notProtocol }]),
    ...(notIcmp ? [ICMP, ICMPV6].map((each): PortMatch => ({ protocol: each, icmp: notIcmp })) : []),
    ...portMatches(destination.notPorts, protocol),
  ].filter((match) => protocol === undefined || match.protocol === protocol);
  const sourcePorts = portMatches(source.ports, protocol);
  const notSourcePorts = portMatches(source.notPorts, protocol);
  return {
    ports: listed.length > 0 ? listed : plain,
    ...(excluded.length > 0 ? { notPorts: excluded } : {}),
    ...(sourcePorts.length > 0 ? { sourcePorts } : {}),
    ...(notSourcePorts.length > 0 ? { notSourcePorts } : {}),
  };
}

function portMatches(listed: readonly RulePort[], protocol: number | undefined): PortMatch[] {
  // Without a protocol a name is of whichever the pod's own port has.
  const protocols = protocol === undefined ? TRANSPORTS : [protocol];
  return listed.flatMap((ports) => protocols.map((each) => ({ protocol: each, ports })));
}

/** Returns an ICMP type with its code; undefined without a type, which matches whatever type. */
function readIcmp(reader: ObjectReader, value: unknown, path: Path): PortMatch["icmp"] {
  const fields = readFields(reader, value, path, ["type", "code"]) ?? {};
  const type = readByte(reader, fields.type, [...path, "type"], 254);
  const code = readByte(reader, fields.code, [...path, "code"], 255);
  if ((fields.type ?? null) === null && (fields.code ?? null) !== null) reader.error([...path, "code"], "an ICMP `code` needs a `type`");
  if (type === undefined) return undefined;
  return code === undefined ? { type } : { type, code };
}

function readByte(reader: ObjectReader, value: unknown, path: Path, last: number): number | undefined {
  const number = reader.integer(value, path);
  if (number === undefined || (number >= 0 && number <= last)) return number;
  reader.error(path, `${quote(number)} is not in 0..${last}`);
  return undefined;
}
