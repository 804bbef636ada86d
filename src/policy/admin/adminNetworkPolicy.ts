import type { ManifestObject } from "../../cluster/manifest.ts";
import { readProtocol } from "../kubernetes/networkPolicy.ts";
import type { PortMatch } from "../model.ts";
import { type ObjectReader, type Path, quote } from "../objectReader.ts";
import type { ObjectReading } from "../reading.ts";
import { type AdminDialect, readNamedPort, readOneOf, readPortIn, readPriority, readRange } from "./dialect.ts";
import { readAdminPolicy } from "./rules.ts";

/** AdminNetworkPolicy of policy.networking.k8s.io/v1alpha1, as of network-policy-api v0.1.5, experimental channel. */
export const ADMIN_NETWORK_POLICY: AdminDialect = {
  tierFields: ["priority"],
  readTier: (reader, spec) => ({ kind: "admin", order: readPriority(reader, spec) }),
  actions: { Allow: "allow", Deny: "deny", Pass: "pass" },
  most: 100,
  egressPeers: ["namespaces", "pods", "nodes", "networks", "domainNames"],
  portsField: "ports",
  readPort,
  podFields: ["namespaceSelector", "podSelector"],
  // Only the experimental CRD has that rule, and clusters with other CRDs and engines hold such policies.
  namedPortsNeedPods: false,
  hasOlderShapes: true,
};

/** BaselineAdminNetworkPolicy of the same version: the only one of a cluster, so it has no priority. */
export const BASELINE_ADMIN_NETWORK_POLICY: AdminDialect = {
  ...ADMIN_NETWORK_POLICY,
  tierFields: [],
  readTier: () => ({ kind: "baseline", order: 0 }),
  actions: { Allow: "allow", Deny: "deny" },
  egressPeers: ["namespaces", "pods", "nodes", "networks"],
};

/** The name that the one BaselineAdminNetworkPolicy must have (CEL rule of its CRD). */
export const BASELINE_NAME = "default";

/** Returns the policy of an AdminNetworkPolicy (policy.networking.k8s.io/v1alpha1). */
export function readAdminNetworkPolicy(object: ManifestObject): ObjectReading {
  return readAdminPolicy(object, ADMIN_NETWORK_POLICY);
}

/** Returns the policy of a BaselineAdminNetworkPolicy (policy.networking.k8s.io/v1alpha1), whose name must be `default`. */
export function readBaselineAdminNetworkPolicy(object: ManifestObject): ObjectReading {
  const reading = readAdminPolicy(object, BASELINE_ADMIN_NETWORK_POLICY);
  const { metadata } = object.value as { metadata?: { name?: unknown } | null };
  const name = metadata?.name;
  if (typeof name !== "string" || name === BASELINE_NAME || name === "") return reading;
  const message = `a cluster has one BaselineAdminNetworkPolicy, named \`${BASELINE_NAME}\`, not ${quote(name)}`;
  const place = { file: object.file, ...object.positionOf(["metadata", "name"]) };
  return { problems: [...reading.problems, { severity: "error", path: "metadata.name", message, ...place }] };
}

/** Returns one entry of `ports`; a protocol that is absent is TCP. */
function readPort(reader: ObjectReader, value: unknown, path: Path): readonly PortMatch[] {
  const one = readOneOf(reader, value, path, ["portNumber", "portRange", "namedPort"], "a port");
  if (!one) return [];
  if (one.name === "namedPort") return readNamedPort(reader, one.value, one.path);
  const fields = reader.mapping(one.value, one.path, one.name === "portNumber" ? ["protocol", "port"] : ["protocol", "start", "end"]);
  if (!fields) return [];
  const protocol = readProtocol(reader, fields.protocol, [...one.path, "protocol"]);
  const ports = one.name === "portNumber" ? readPortIn(reader, fields, one.path, "port") : readRange(reader, fields, one.path);
  return ports ? [{ protocol, ports }] : [];
}
