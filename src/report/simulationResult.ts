import type { InputSummary } from "../capture/observation.ts";
import type { L7Hint } from "../capture/packetDecoder.ts";
import type { Decision } from "../evaluate/decision.ts";
import type { Endpoint } from "../evaluate/endpoints.ts";
import type { Ends, Simulation } from "../evaluate/simulation.ts";
import { hasPorts, isIcmp, protocolName } from "../net/protocol.ts";
import { endpointLabel, placeLabel, policyLabel } from "./labels.ts";
import { plural, printable } from "./text.ts";

/** The first and last moment of what was observed; undefined where no record had a time. */
export interface Window {
  readonly from: string;
  readonly to: string;
  readonly seconds: number;
}

export interface SimulationSummary {
  readonly connections: number;
  readonly allow: number;
  readonly deny: number;
  readonly unknown: number;
  /** Connections that the policies would drop and nobody has accepted. */
  readonly wouldDrop: number;
  /** Findings that the ignore file accepts. */
  readonly accepted: number;
  readonly packets: number;
  readonly bytes: number;
  readonly policies: number;
  readonly window: Window | null;
  /** Workloads that candidate policies select and that had no traffic. */
  readonly unobserved: readonly Omit<Endpoint, "ip">[];
}

/** Everything that reports of a simulation are made of. */
export interface SimulationResult {
  readonly simulation: Simulation;
  readonly summary: SimulationSummary;
  readonly inputs: readonly InputSummary[];
  readonly cni: { readonly name: string; readonly because: string; readonly caveats: readonly string[] };
  /** What a reader must know of the snapshot and policies, one line each. */
  readonly warnings: readonly string[];
  /** Workloads that candidate policies select. */
  readonly selectedWorkloads: number;
  /** Connection numbers in the order of reports. */
  readonly order: readonly number[];
  /** Why a connection's finding is accepted; undefined where it is not. */
  readonly acceptedBecause: (i: number) => string | undefined;
  readonly hints: ReadonlyMap<number, L7Hint>;
}

/** Names of ports for people: `8080/TCP`, `ICMP type 8`, `ESP (50)`. */
export function portLabel(protocol: number, port: number): string {
  if (hasPorts(protocol)) return `${port}/${protocolName(protocol)}`;
  if (!isIcmp(protocol)) return `protocol ${protocol}`;
  const type = port >> 8;
  const isEcho = type === (protocol === 1 ? 8 : 128);
  return isEcho ? `${protocolName(protocol)} echo` : `${protocolName(protocol)} type ${type} code ${port & 255}`;
}

/** Returns one sentence on a decision, safe to print. */
export function decisionMessage(decision: Decision, direction: "egress" | "ingress", ends: Ends): string {
  const subject = endpointLabel(direction === "egress" ? ends.sourceEndpoint : ends.destinationEndpoint);
  const other = endpointLabel(direction === "egress" ? ends.destinationEndpoint : ends.sourceEndpoint);
  return printable(sentence(decision, direction, subject, other, ends));
}

function sentence(decision: Decision, direction: "egress" | "ingress", subject: string, other: string, ends: Ends): string {
  const policies = listed(decision.isolatedBy.map((policy) => policyLabel(policy)));
  switch (decision.reason) {
    case "no-policy":
      return `no policy selects ${subject} for ${direction}`;
    case "not-selectable":
      return `${subject} is no pod that policies select (outside the cluster, a node or on the host network)`;
    case "self":
      return "a pod always reaches itself";
    case "own-node":
      return "traffic between a pod and its own node is always allowed";
    case "rule": {
      const [first] = decision.matched;
      if (first === undefined) return `${policies} may select ${subject}, but allows this ${direction} if so`;
      const more = decision.matched.length - 1;
      return `${policyLabel(first.policy)} ${first.rule.path}${placeLabel(first.rule) ? ` (${placeLabel(first.rule)})` : ""} allows it${more > 0 ? `, and ${plural(more, "more rule")}` : ""}`;
    }
    case "isolated":
      return `${policies} ${decision.isolatedBy.length === 1 ? "selects" : "select"} ${subject} for ${direction}, and no rule allows ${other}`;
    case "several-backends":
      return `the backends of ${subject === other ? subject : endpointLabel(ends.destinationEndpoint)} do not agree: which one was reached is not known`;
    case "unknown-endpoint": {
      const unknown = [ends.sourceEndpoint, ends.destinationEndpoint].find((endpoint) => endpoint.type === "unknown");
      if (ends.targets.length === 0) return `${endpointLabel(ends.destinationEndpoint)} has no known backend, so which rules apply is open`;
      if (unknown === undefined && ends.arrivesFrom !== undefined) {
        return `whether ${endpointLabel(ends.destinationEndpoint)} sees ${endpointLabel(ends.sourceEndpoint)} or a node that masquerades it is open (externalTrafficPolicy Cluster)`;
      }
      return unknown
        ? `${unknown.ip} ${unknown.why ?? "is not known"}, so which rules apply is open`
        : "an end is not known, so which rules apply is open";
    }
    case "unknown-labels":
      return `the snapshot lacks the labels of a namespace that ${policies} select${decision.isolatedBy.length === 1 ? "s" : ""} by`;
    case "unknown-port-name":
      return "a rule names a port of a pod that is not known";
    default:
      return decision.reason === "default" ? "nothing denies it" : `decided by ${policies || "the default"}`;
  }
}

function listed(names: readonly string[]): string {
  if (names.length <= 3) return names.join(", ");
  return `${names.slice(0, 3).join(", ")} and ${names.length - 3} more`;
}
