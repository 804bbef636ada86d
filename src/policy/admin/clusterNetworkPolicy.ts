import type { ManifestObject } from "../../cluster/manifest.ts";
import { SCTP, TCP, UDP } from "../../net/protocol.ts";
import type { PolicyTier, PortMatch } from "../model.ts";
import { type Fields, instead, type ObjectReader, type Path, quote } from "../objectReader.ts";
import type { ObjectReading } from "../reading.ts";
import { type AdminDialect, alternatives, readNamedPort, readOneOf, readPortIn, readPriority, readRange } from "./dialect.ts";
import { readAdminPolicy } from "./rules.ts";

/** Tiers by the name that they are written with. */
export const TIERS = { Admin: "admin", Baseline: "baseline" } as const;

const PROTOCOLS = { tcp: TCP, udp: UDP, sctp: SCTP } as const;

/** ClusterNetworkPolicy of policy.networking.k8s.io/v1alpha2, experimental channel. */
export const CLUSTER_NETWORK_POLICY: AdminDialect = {
  tierFields: ["tier", "priority"],
  readTier,
  actions: { Accept: "allow", Deny: "deny", Pass: "pass" },
  most: 25,
  egressPeers: ["namespaces", "pods", "nodes", "networks", "domainNames"],
  portsField: "protocols",
  readPort: readProtocolMatch,
  podFields: ["podSelector"],
  namedPortsNeedPods: true,
  hasOlderShapes: false,
};

/** Returns the policy of a ClusterNetworkPolicy (policy.networking.k8s.io/v1alpha2). */
export function readClusterNetworkPolicy(object: ManifestObject): ObjectReading {
  return readAdminPolicy(object, CLUSTER_NETWORK_POLICY);
}

function readTier(reader: ObjectReader, spec: Fields): PolicyTier {
  const path = ["spec", "tier"];
  const names = Object.keys(TIERS) as (keyof typeof TIERS)[];
  if ((spec.tier ?? null) === null) reader.error(path, `a \`tier\` is required: ${alternatives(names)}`);
  const text = reader.text(spec.tier, path);
  const tier = names.find((name) => name === text);
  if (text !== undefined && tier === undefined) reader.error(path, `${quote(text)} is no tier${instead(text, names, alternatives(names))}`);
  return { kind: TIERS[tier ?? "Admin"], order: readPriority(reader, spec) };
}

/**
 * Returns one entry of `protocols`. The API's guide calls `destinationPort` optional, its CRD takes no `tcp: {}`: where it stands all the
 * same it is every port.
 */
function readProtocolMatch(reader: ObjectReader, value: unknown, path: Path): readonly PortMatch[] {
  const one = readOneOf(reader, value, path, ["tcp", "udp", "sctp", "destinationNamedPort"], "a protocol");
  if (!one) return [];
  if (one.name === "destinationNamedPort") return readNamedPort(reader, one.value, one.path);
  const fields = reader.mapping(one.value, one.path);
  if (fields !== undefined && Object.keys(fields).length === 0) {
    reader.warning(one.path, "an empty protocol is refused by the CRD: it is read as every port, written as the range 1 to 65535");
    return [{ protocol: PROTOCOLS[one.name], ports: { first: 1, last: 65535 } }];
  }
  const destination = readOneOf(reader, one.value, one.path, ["destinationPort"], quote(one.name));
  const port = destination && readOneOf(reader, destination.value, destination.path, ["number", "range"], "a `destinationPort`");
  if (!port) return [];
  const range = port.name === "range" ? reader.mapping(port.value, port.path, ["start", "end"]) : undefined;
  const ports =
    port.name === "number"
      ? readPortIn(reader, { number: port.value }, destination.path, "number")
      : range && readRange(reader, range, port.path);
  return ports ? [{ protocol: PROTOCOLS[one.name], ports }] : [];
}
