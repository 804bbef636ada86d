/*
 * Words of the APIs, which stay as they are. Each has a capital letter in it, as no name of an object or a port can have: a name is never
 * taken for one of them.
 */

const METHODS = ["GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"];

export const PROTOCOLS: ReadonlySet<string> = new Set([
  ...["TCP", "UDP", "SCTP", "UDPLITE", "ICMP", "ICMPV6", "VRRP", "IGMP", "GRE", "IPIP", "IPV6", "ESP", "AH", "ANY"],
]);

export const WORDS: ReadonlySet<string> = new Set([
  ...[...PROTOCOLS, "UDPLite", "ICMPv6", "IPv4", "IPv6", "FQDN", ...METHODS],
  ...["Ingress", "Egress", "Allow", "Deny", "Pass", "Log", "Accept", "Drop", "Reject", "Return", "ACCEPT", "DROP", "RETURN"],
  ...["In", "NotIn", "Exists", "DoesNotExist", "Admin", "Baseline", "Set", "Learn", "Ignore", "Delete", "AssumeNeededOnEveryNode"],
  ...["LOG", "ADD", "REPLACE", "True", "False", "Unknown", "Ready"],
  ...["Running", "Pending", "Succeeded", "Failed", "Always", "OnFailure", "Never"],
  ...["ClusterIP", "NodePort", "LoadBalancer", "ExternalName", "None", "Cluster", "Local"],
  // ICMP types (policy/cilium/icmp.ts).
  ...["EchoReply", "DestinationUnreachable", "Redirect", "Echo", "EchoRequest", "RouterAdvertisement", "RouterSelection", "TimeExceeded"],
  ...["ParameterProblem", "Timestamp", "TimestampReply", "Photuris", "ExtendedEchoRequest", "ExtendedEchoReply", "PacketTooBig"],
  ...["MulticastListenerQuery", "MulticastListenerReport", "MulticastListenerDone", "RouterSolicitation", "NeighborSolicitation"],
  ...["NeighborAdvertisement", "RedirectMessage", "RouterRenumbering", "ICMPNodeInformationQuery", "ICMPNodeInformationResponse"],
  ...["InverseNeighborDiscoverySolicitation", "InverseNeighborDiscoveryAdvertisement", "HomeAgentAddressDiscoveryRequest"],
  ...["HomeAgentAddressDiscoveryReply", "MobilePrefixSolicitation", "MobilePrefixAdvertisement", "DuplicateAddressRequestCodeSuffix"],
  ...["DuplicateAddressConfirmationCodeSuffix"],
]);

/** Cilium's entities (policy/cilium/peers.ts). */
export const ENTITIES: ReadonlySet<string> = new Set([
  ...["all", "cluster", "cluster-mesh", "host", "remote-node", "kube-apiserver", "world", "world-ipv4", "world-ipv6", "health", "init"],
  ...["ingress", "unmanaged", "none"],
]);

/** Kinds of owners that everybody has. */
export const OWNER_KINDS: ReadonlySet<string> = new Set([
  ...["Pod", "Deployment", "ReplicaSet", "StatefulSet", "DaemonSet", "Job", "CronJob", "ReplicationController", "Node", "Rollout"],
  ...["DeploymentConfig", "Service", "Endpoints", "EndpointSlice"],
]);

/** Modes of authentication and of enforcement, and what a setting of Cilium or a felix variable may say. */
export const SETTINGS: ReadonlySet<string> = new Set([
  ...["required", "disabled", "test-always-fail", "standard", "strict", "true", "false", "always", "never", "default", "auto", "policy"],
  ...["nodes", "pods", "nodes,pods", "pods,nodes", "pods nodes", "nodes pods", "accept", "drop", "return"],
]);

/** Reports whether an expression asks for nothing but methods: `GET|PUT`. */
export function isMethods(text: string): boolean {
  return text === "*" || text.split("|").every((each) => METHODS.includes(each));
}
