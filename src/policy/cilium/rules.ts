import type { Peer, Rule } from "../model.ts";
import { type Fields, type ObjectReader, type Path, quote } from "../objectReader.ts";
import { readIcmps } from "./icmp.ts";
import { type PeerReader, readCidrItem, readCidrRule, readEndpoint, readEntity, readFqdn, readPeers, readService } from "./peers.ts";
import { type PortRulePlace, readPortRule } from "./portRule.ts";

/** What the entries of one policy share. */
export interface RuleContext extends PortRulePlace {
  readonly reader: ObjectReader;
  /** Undefined in a clusterwide policy. */
  readonly namespace: string | undefined;
}

interface PeerField {
  readonly name: string;
  readonly read: PeerReader;
  /** An empty list of it matches nothing (Cilium mergeEndpointSelectors); of others it is as good as absent. */
  readonly emptyIsNothing: boolean;
}

const refuse =
  (message: string): PeerReader =>
  (reader, _value, path) => {
    if (path.at(-1) === 0) reader.error(path.slice(0, -1), message);
    return [];
  };
const NODES = refuse("peers by node labels need `enable-node-selector-labels`, which Cilium has off");
const GROUPS = refuse("groups of a cloud provider cannot be evaluated offline: write their addresses as `toCIDR`");

const field = (name: string, read: PeerReader, emptyIsNothing = true): PeerField => ({ name, read, emptyIsNothing });
const commonFields = (prefix: "from" | "to"): readonly PeerField[] => [
  field(`${prefix}Endpoints`, readEndpoint),
  field(`${prefix}CIDR`, readCidrItem),
  field(`${prefix}CIDRSet`, readCidrRule),
  field(`${prefix}Entities`, readEntity),
  field(`${prefix}Nodes`, NODES),
  field(`${prefix}Groups`, GROUPS, false),
];
const FQDNS = field("toFQDNs", readFqdn, false);
const PEER_FIELDS = {
  ingress: commonFields("from"),
  egress: [...commonFields("to"), field("toServices", readService, false)],
};
const REQUIRES = { ingress: "fromRequires", egress: "toRequires" };

/**
 * Returns the rules of one entry of `ingress`, `ingressDeny`, `egress` or `egressDeny`: one for each entry of its `toPorts`. An
 * entry without peers and ports matches nothing, one with ports alone whoever comes (Cilium pkg/policy, IngressRule and EgressRule).
 */
export function readEntry(context: RuleContext, value: unknown, path: Path): readonly Rule[] {
  const { reader, direction, action } = context;
  const isDeny = action === "deny";
  // A deny rule's type has no names and no authentication: Cilium does not see them.
  const ignored = isDeny ? ["authentication", ...(direction === "egress" ? [FQDNS.name] : [])] : [];
  const peerFields = [...PEER_FIELDS[direction], ...(isDeny || direction === "ingress" ? [] : [FQDNS])];
  const known = [...peerFields.map(({ name }) => name), REQUIRES[direction], "toPorts", "icmps"];
  const fields = reader.mapping(value ?? {}, path, [...known, ...(isDeny ? ignored : ["authentication"])]) ?? {};
  for (const name of ignored) {
    if ((fields[name] ?? null) === null) continue;
    reader.warning([...path, name], "Cilium ignores this in a deny rule: the rest of the entry denies without it");
  }
  readRequires(reader, fields[REQUIRES[direction]], [...path, REQUIRES[direction]]);
  const peers = readAllPeers(context, fields, path, peerFields);
  const toPorts = reader.list(fields.toPorts, [...path, "toPorts"]) ?? [];
  const icmps = reader.list(fields.icmps, [...path, "icmps"]) ?? [];
  if (toPorts.length > 0 && icmps.length > 0) reader.error([...path, "icmps"], "`icmps` and `toPorts` cannot stand in one rule: write two");
  const neverPasses = !isDeny && readAuthentication(reader, fields.authentication, [...path, "authentication"]);
  if (toPorts.length === 0 && icmps.length === 0) {
    if (peers === "any") {
      if (isDeny && !reader.hasErrors())
        reader.warning(path, "an empty deny rule denies nothing: `fromEntities`/`toEntities` with `all` is everybody");
      return [];
    }
    return [{ action, peers, ports: neverPasses ? [] : "any", ref: reader.refOf(path) }];
  }
  if (toPorts.length === 0) {
    const ports = readIcmps(reader, icmps, [...path, "icmps"]);
    return [{ action, peers, ports: neverPasses ? [] : ports, ref: reader.refOf(path) }];
  }
  return toPorts.map((each, index) => {
    const at = [...path, "toPorts", index];
    const { ports, l7 } = readPortRule(reader, each, at, context);
    const ref = reader.refOf(toPorts.length === 1 ? path : at);
    return neverPasses ? { action, peers, ports: [], ref } : { action, peers, ports, ref, ...(l7 ? { l7 } : {}) };
  });
}

function readAllPeers(context: RuleContext, fields: Fields, path: Path, peerFields: readonly PeerField[]): "any" | readonly Peer[] {
  const { reader, namespace } = context;
  const peers: Peer[] = [];
  let first: string | undefined;
  let isNothing = false;
  for (const { name, read, emptyIsNothing } of peerFields) {
    const at = [...path, name];
    const items = reader.list(fields[name], at);
    if (items === undefined) continue;
    if (items.length === 0) {
      if (emptyIsNothing) isNothing = true;
      continue;
    }
    if (first !== undefined) reader.error(at, `\`${first}\` and \`${name}\` cannot stand in one rule: write two`);
    first ??= name;
    peers.push(...readPeers(reader, items, at, read, namespace));
  }
  if (isNothing) return [];
  return first === undefined ? "any" : peers;
}

/** fromRequires and toRequires are gone since Cilium 1.19; what is left of them is a list of texts without effect. */
function readRequires(reader: ObjectReader, value: unknown, path: Path): void {
  const items = reader.list(value, path);
  if (items === undefined) return;
  const hasText = items.every((each) => each === null || typeof each === "string");
  if (hasText) reader.warning(path, "Cilium ignores this since 1.19");
  else reader.error(path, "Cilium no longer knows this since 1.19: add the requirements to every selector of endpoints");
}

/** Reports whether a rule wants an authentication that always fails. Others are taken to succeed. */
function readAuthentication(reader: ObjectReader, value: unknown, path: Path): boolean {
  const authentication = reader.mapping(value, path, ["mode"]);
  const mode = reader.text(authentication?.mode, [...path, "mode"]) ?? "";
  if (mode === "test-always-fail") {
    reader.warning(path, "this authentication always fails: the rule allows nothing");
    return true;
  }
  if (mode === "required") reader.warning(path, `mutual authentication is not judged: it is taken to succeed`);
  else if (mode !== "" && mode !== "disabled")
    reader.warning(path, `${quote(mode)} is no mode of authentication that is known here: it is ignored`);
  return false;
}
