import type { CniGuess } from "../cluster/cni.ts";
import { ICMP, ICMPV6, SCTP, UDP } from "../net/protocol.ts";
import type { PortMatch } from "../policy/model.ts";
import type { Dialect } from "./honoured.ts";

export type CniName = CniGuess["name"];

export const CNI_NAMES: readonly CniName[] = ["generic", "cilium", "calico", "antrea", "ovn-kubernetes", "aws", "kube-router"];

/**
 * How a network plugin differs in enforcing policies, where the API leaves room or the plugin breaks its word. Each switch that
 * decides a verdict is named in the decision's notes. Sources: docs and code of the plugins, collected in ARCHITECTURE.md.
 */
export interface CniProfile {
  readonly name: CniName;
  /** Families of policies that it knows; others do nothing. */
  readonly dialects: readonly Dialect[];
  /** Whether an ipBlock matches the addresses of pods; of nodes. */
  readonly blocksMatchPods: boolean;
  readonly blocksMatchNodes: boolean;
  /** What a pod's traffic to the node it runs on meets: the API always allows it, most plugins judge it by the pod's egress rules. */
  readonly podToOwnNode: "allow" | "judge";
  /** What the pod's own node may send it: everything, or what no rule denies (Cilium's entity host). */
  readonly ownNodeToPod: "allow" | "unless-denied";
  /** What happens to what a pod sends its own node once its policies allow it (Calico defaultEndpointToHostAction). */
  readonly dropsToOwnNode: boolean;
  /** Whether selectors of pods also select pods on the host network, by the node's address, in each direction. */
  readonly selectsHostPods: { readonly ingress: boolean; readonly egress: boolean };
  /** A named port in a NetworkPolicy stands for every port of its protocol (OVN-Kubernetes issue #2117). */
  readonly namedPortIsWholeProtocol: boolean;
  /** ICMP that passes whatever policies say of isolated pods (kube-router CommonICMPRules, Cilium allow-icmp-frag-needed). */
  readonly icmpAlwaysPasses: readonly PortMatch[];
  /** What is dropped whatever policies say: from a pod, and in both directions. */
  readonly dropped: { readonly egress: readonly PortMatch[]; readonly ingress: readonly PortMatch[] };
  /** Whether rules on addresses judge what was dialled, not the backend that a Service leads to. */
  readonly blocksMatchDialled: boolean;
  /** What a pod's connection to itself through a Service meets; to its own address it always passes. */
  readonly selfThroughService: { readonly egress: SelfTreatment; readonly ingress: SelfTreatment };
  /** What happens to pods that no policy selects (Cilium enable-policy): allowed, denied, or nothing is enforced at all. */
  readonly enforcement: "default" | "always" | "never";
  /** Families that are taken to be switched on, since the snapshot does not hold the plugin's configuration. */
  readonly assumed: readonly Dialect[];
  /** What this profile does not imitate, or had to assume, for the report's header. */
  readonly caveats: readonly string[];
}

/** `judge-admin`: judged where admin policies exist (their API says so; NetworkPolicy's leaves it open). */
type SelfTreatment = "allow" | "judge" | "judge-admin";

const NONE = { ingress: false, egress: false };

const icmp = (protocol: number, ...types: readonly number[]): PortMatch[] => types.map((type) => ({ protocol, icmp: { type } }));
/** Echo requests and the errors that others' connections need (kube-router CommonICMPRules). */
const COMMON_ICMP = [...icmp(ICMP, 3, 8, 11), ...icmp(ICMPV6, 1, 2, 3, 128, 129, 133, 134, 135, 136)];
const FRAGMENTATION_NEEDED: PortMatch = { protocol: ICMP, icmp: { type: 3, code: 4 } };
/** What felix drops from pods by default: VXLAN and IP-in-IP (measured on its dataplane). */
const ENCAPSULATION: readonly PortMatch[] = [{ protocol: UDP, ports: { first: 4789, last: 4789 } }, { protocol: 4 }];

const GENERIC: CniProfile = {
  name: "generic",
  dialects: ["networkpolicy", "admin", "clusternetworkpolicy"],
  blocksMatchPods: true,
  blocksMatchNodes: true,
  podToOwnNode: "allow",
  ownNodeToPod: "allow",
  dropsToOwnNode: false,
  selectsHostPods: NONE,
  namedPortIsWholeProtocol: false,
  icmpAlwaysPasses: [],
  blocksMatchDialled: false,
  dropped: { egress: [], ingress: [] },
  selfThroughService: { egress: "judge-admin", ingress: "judge-admin" },
  enforcement: "default",
  assumed: [],
  caveats: [],
};

/** What a snapshot says of a plugin's configuration, by the plugin's own names. */
type Settings = Readonly<Record<string, string>>;

/** Returns the profile of a plugin; `settings` are what the snapshot says of its configuration. */
export function profileOf(name: CniName, settings: Settings = {}): CniProfile {
  const judged = { ...GENERIC, name, podToOwnNode: "judge" } as const;
  switch (name) {
    case "generic":
      return GENERIC;
    case "cilium":
      return ciliumProfile(
        { ...judged, ownNodeToPod: "unless-denied", selfThroughService: { egress: "allow", ingress: "allow" } },
        settings,
      );
    case "calico":
      return calicoProfile(judged, settings);
    case "antrea": {
      // Both kinds hang on a feature gate that is off unless the configuration says otherwise; without one, on what is in the set.
      const isOn = (gate: string) => (settings[gate] ?? (settings.configured === undefined ? "true" : "false")) === "true";
      return {
        ...judged,
        selfThroughService: { egress: "judge", ingress: "allow" },
        assumed: settings.configured === undefined ? ["admin", "clusternetworkpolicy"] : [],
        dialects: [
          "networkpolicy",
          ...(isOn("AdminNetworkPolicy") ? (["admin"] as const) : []),
          ...(isOn("ClusterNetworkPolicy") && isFrom(settings.version, 2, 7) ? (["clusternetworkpolicy"] as const) : []),
        ],
      };
    }
    case "ovn-kubernetes":
      return {
        ...judged,
        selfThroughService: { egress: "allow", ingress: "allow" },
        dialects: ["networkpolicy", "admin"],
        namedPortIsWholeProtocol: true,
        selectsHostPods: { ingress: false, egress: true },
      };
    case "aws":
      return {
        ...GENERIC,
        name,
        dialects: ["networkpolicy"],
        blocksMatchDialled: true,
        selectsHostPods: { ingress: true, egress: true },
        enforcement: settings.NETWORK_POLICY_ENFORCING_MODE === "strict" ? "always" : "default",
        caveats: [
          "aws lets an except deny across policies, which is not imitated; what a pod sends to a Service under rules on addresses is unknown, since aws judges the dialled address",
        ],
      };
    case "kube-router":
      return {
        ...judged,
        dialects: ["networkpolicy"],
        icmpAlwaysPasses: COMMON_ICMP,
        caveats: ["kube-router lets an except cut other blocks of the same rule, which is not imitated"],
      };
  }
}

function ciliumProfile(base: CniProfile, settings: Settings): CniProfile {
  const mode = settings["policy-cidr-match-mode"] ?? "";
  const enabled = settings["enable-policy"];
  const dialects: Dialect[] = ["cilium"];
  if (settings["enable-k8s-networkpolicy"] !== "false") dialects.push("networkpolicy");
  // From 1.20 on, and off by default; where the configuration is not in the snapshot, a ClusterNetworkPolicy in the set says that it
  // is on (and a caution says so).
  const isConfigured = settings.configured !== undefined;
  const isOn = (settings["enable-k8s-cluster-network-policy"] ?? (isConfigured ? "false" : "true")) === "true";
  if (isOn && isFrom(settings.version, 1, 20)) dialects.push("clusternetworkpolicy");
  // SCTP is an option that is off by default: its packets are then of an unknown protocol, which is dropped.
  const isSctpOff = isConfigured && settings["enable-sctp"] !== "true";
  const sctp = isSctpOff ? [{ protocol: SCTP }] : [];
  return {
    ...base,
    dialects,
    assumed: isConfigured ? [] : ["clusternetworkpolicy"],
    icmpAlwaysPasses: settings["allow-icmp-frag-needed"] === "false" ? [] : [FRAGMENTATION_NEEDED],
    dropped: { egress: sctp, ingress: sctp },
    caveats: isSctpOff ? ["cilium drops SCTP, since enable-sctp is not true in its configuration (read in its code, not measured)"] : [],
    enforcement: enabled === "never" ? "never" : enabled === "always" ? "always" : "default",
    blocksMatchPods: mode.includes("pods"),
    blocksMatchNodes: mode.includes("nodes"),
  };
}

/** Reports whether a version is that one or a later one; of an unknown version, that it is. */
function isFrom(version: string | undefined, major: number, minor: number): boolean {
  const [, a, b] = /^(\d+)\.(\d+)/.exec(version ?? "") ?? [];
  return a === undefined || Number(a) > major || (Number(a) === major && Number(b) >= minor);
}

/** ClusterNetworkPolicy from 3.32 on, AdminNetworkPolicy from 3.29 to 3.31 (tigera/docs); of an unknown version, both. */
function calicoProfile(base: CniProfile, settings: Settings): CniProfile {
  const version = /^3\.(\d+)/.exec(settings.version ?? "")?.[1];
  const minor = version === undefined ? undefined : Number(version);
  const dialects: Dialect[] = ["networkpolicy", "calico"];
  if (minor === undefined || minor >= 32) dialects.push("clusternetworkpolicy");
  if (minor === undefined || (minor >= 29 && minor <= 31)) dialects.push("admin");
  return {
    ...base,
    dialects,
    dropped: { egress: ENCAPSULATION, ingress: [] },
    selfThroughService: { egress: "judge", ingress: "judge" },
    dropsToOwnNode: settings.defaultEndpointToHostAction === "Drop",
  };
}
