import type { CniGuess } from "../cluster/cni.ts";

export type CniName = CniGuess["name"];

export const CNI_NAMES: readonly CniName[] = ["generic", "cilium", "calico", "antrea", "ovn-kubernetes", "aws", "kube-router"];

/**
 * How a network plugin differs in enforcing NetworkPolicy, where the API leaves room or the plugin breaks its word. Each switch
 * that decides a verdict is named in the decision's notes. Sources: docs of the plugins, collected in ARCHITECTURE.md.
 */
export interface CniProfile {
  readonly name: CniName;
  /** Whether an ipBlock matches the addresses of pods; of nodes. */
  readonly blocksMatchPods: boolean;
  readonly blocksMatchNodes: boolean;
  /** What a pod's traffic to the node it runs on meets: the API always allows it, most plugins judge it by the pod's egress rules. */
  readonly podToOwnNode: "allow" | "judge";
  /** A named port in a NetworkPolicy stands for every port of its protocol (OVN-Kubernetes issue #2117). */
  readonly namedPortIsWholeProtocol: boolean;
  /** ICMP echo requests and the errors that belong to others' connections always pass (kube-router CommonICMPRules). */
  readonly echoAlwaysPasses: boolean;
  /** What happens to pods that no policy selects (Cilium enable-policy): allowed, denied, or nothing is enforced at all. */
  readonly enforcement: "default" | "always" | "never";
  /** What this profile does not imitate, for the report's header. */
  readonly caveats: readonly string[];
}

const GENERIC: CniProfile = {
  name: "generic",
  blocksMatchPods: true,
  blocksMatchNodes: true,
  podToOwnNode: "allow",
  namedPortIsWholeProtocol: false,
  echoAlwaysPasses: false,
  enforcement: "default",
  caveats: [],
};

/** Returns the profile of a plugin; `settings` are what the snapshot says of its configuration. */
export function profileOf(name: CniName, settings: Readonly<Record<string, string>> = {}): CniProfile {
  const judged = { ...GENERIC, name, podToOwnNode: "judge" } as const;
  switch (name) {
    case "generic":
      return GENERIC;
    case "cilium": {
      const mode = settings["policy-cidr-match-mode"] ?? "";
      const enabled = settings["enable-policy"];
      const enforcement =
        settings["enable-k8s-networkpolicy"] === "false" || enabled === "never" ? "never" : enabled === "always" ? "always" : "default";
      return { ...judged, enforcement, blocksMatchPods: mode.includes("pods"), blocksMatchNodes: mode.includes("nodes") };
    }
    case "calico":
    case "antrea":
      return judged;
    case "ovn-kubernetes":
      return {
        ...judged,
        namedPortIsWholeProtocol: true,
        caveats: ["ovn-kubernetes also matches host-network pods by podSelector, which is not imitated"],
      };
    case "aws":
      return {
        ...GENERIC,
        name,
        enforcement: settings.NETWORK_POLICY_ENFORCING_MODE === "strict" ? "always" : "default",
        caveats: [
          "aws judges egress on the dialled address and port and lets an except deny across policies, neither of which is imitated: egress to Services is judged on the backend",
        ],
      };
    case "kube-router":
      return {
        ...judged,
        echoAlwaysPasses: true,
        caveats: ["kube-router lets an except cut other blocks of the same rule, which is not imitated"],
      };
  }
}
