import type { InputSummary } from "../capture/observation.ts";
import type { Decision, Match } from "../evaluate/decision.ts";
import type { Endpoint } from "../evaluate/endpoints.ts";
import type { Ends } from "../evaluate/ends.ts";
import { peersOf } from "../evaluate/honoured.ts";
import type { Simulation } from "../evaluate/simulation.ts";
import { NOT_TOLD } from "../flow/flowTable.ts";
import type { L7Hints } from "../flow/hints.ts";
import { plural } from "../net/number.ts";
import { hasPorts, isIcmp, protocolName } from "../net/protocol.ts";
import type { Policy } from "../policy/model.ts";
import type { Confidence } from "./confidence.ts";
import { endpointLabel, placeLabel, policyLabel, type ReportedCni } from "./labels.ts";
import { listed, printable } from "./text.ts";

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
  /** How far "was not seen" is evidence that it does not happen, as the inputs themselves tell. */
  readonly confidence: Confidence;
}

/** A workload that candidate policies select, and which of them do. */
export interface SelectedWorkload {
  readonly endpoint: Omit<Endpoint, "ip">;
  readonly policies: ReadonlySet<Policy>;
  readonly hadTraffic: boolean;
}

/** Everything that reports of a simulation are made of. */
export interface SimulationResult {
  readonly simulation: Simulation;
  readonly summary: SimulationSummary;
  readonly inputs: readonly InputSummary[];
  readonly cni: ReportedCni;
  /** What a reader must know of the snapshot and policies, one line each. */
  readonly warnings: readonly string[];
  /** Policies that were given to be judged; without any, the existing ones. */
  readonly candidates: readonly Policy[];
  /** Those of them that are in force and select no pod. */
  readonly selectNothing: readonly Policy[];
  /** Workloads that candidate policies select, in the order of reports. */
  readonly selectedWorkloads: readonly SelectedWorkload[];
  /** Connection numbers in the order of reports. */
  readonly order: Int32Array;
  /** Why a connection's finding is accepted; undefined where it is not. */
  readonly acceptedBecause: (i: number) => string | undefined;
  readonly hints: L7Hints;
}

/** Names of ports for people: `8080/TCP`, `ICMP type 8`, `ESP (50)`. */
export function portLabel(protocol: number, port: number): string {
  if (hasPorts(protocol)) return `${port}/${protocolName(protocol)}`;
  if (!isIcmp(protocol)) return `protocol ${protocol}`;
  const type = port >> 8;
  if (type === NOT_TOLD && (port & 255) === NOT_TOLD) return `${protocolName(protocol)}, type not told`;
  const isEcho = type === (protocol === 1 ? 8 : 128);
  return isEcho ? `${protocolName(protocol)} echo` : `${protocolName(protocol)} type ${type} code ${port & 255}`;
}

/** Returns one sentence on a decision, safe to print. */
export function decisionMessage(decision: Decision, direction: "egress" | "ingress", ends: Ends): string {
  const subject = endpointLabel(direction === "egress" ? ends.sourceEndpoint : ends.destinationEndpoint);
  const other = endpointLabel(direction === "egress" ? ends.destinationEndpoint : ends.sourceEndpoint);
  const texts = messageAround(decision, direction);
  if (texts === undefined) return printable(sentence(decision, direction, subject, other, ends));
  const [first, second, third] = texts;
  return printable(first + (second === undefined ? "" : subject + second) + (third === undefined ? "" : other + third));
}

/**
 * Returns a decision's sentence as it is for all ends: one text, or two with the subject's label between them, or three with the
 * label of the other end before the last. Undefined where the sentence tells more of the ends.
 */
export function messageAround(decision: Decision, direction: "egress" | "ingress"): readonly string[] | undefined {
  switch (decision.reason) {
    case "no-policy":
      return ["no policy selects ", ` for ${direction}`];
    case "not-selectable":
      return ["", " is no pod that policies select (outside the cluster, a node or on the host network)"];
    case "self":
      return ["a pod always reaches itself"];
    case "own-node":
      return ["traffic between a pod and its own node is always allowed"];
    case "rule": {
      const [first] = decision.matched;
      const more = decision.matched.length - 1;
      if (first === undefined) return [`${policiesOf(decision)} may select `, `, but allows this ${direction} if so`];
      return [`${matchLabel(first)} allows it${more > 0 ? `, and ${plural(more, "more rule")}` : ""}`];
    }
    case "isolated":
      return [
        `${policiesOf(decision)} ${decision.isolatedBy.length === 1 ? "selects" : "select"} `,
        ` for ${direction}, and no rule allows `,
        "",
      ];
    default:
      return undefined;
  }
}

/** A log may tell an end by name alone: then rules on addresses stay open for it. */
function withoutAddress({ matched }: Decision, peer: Endpoint): string | undefined {
  const rule = matched.find(({ policy }) => peersOf(policy).some(({ kind }) => kind === "prefix"));
  if (peer.ip !== undefined || rule === undefined) return undefined;
  return `${matchLabel(rule)} is for addresses, and the log does not tell the one of ${endpointLabel(peer)}`;
}

/** What is not known of ends that are known themselves. */
function openEnd({ matched }: Decision, { sourceEndpoint, destinationEndpoint }: Ends): string {
  const [first] = matched;
  const by = first === undefined ? "a rule" : matchLabel(first);
  const isByName = matched.some(({ policy }) => peersOf(policy).some(({ kind }) => kind === "names"));
  const outside = [destinationEndpoint, sourceEndpoint].find(({ type }) => type === "external");
  if (isByName && outside !== undefined)
    return `${by} is for DNS names, and no answer that gave ${outside.ip ?? endpointLabel(outside)} was seen (--dns tells more)`;
  const isForApiServer = matched.some(({ policy }) =>
    peersOf(policy).some((term) => term.kind === "entities" && term.entities.includes("kube-apiserver")),
  );
  const possible = outside ?? (isForApiServer ? [destinationEndpoint, sourceEndpoint].find(({ type }) => type === "node") : undefined);
  if (possible !== undefined)
    return `whether ${possible.ip ?? endpointLabel(possible)} is the API server, for which ${by} is, is not known`;
  return `${by} is for the pod's own node or for others, and which node the pod runs on is not known`;
}

/** Returns a rule that matched, with its place: `shop/orders ingress[0] (orders.yaml:14)`. */
export function matchLabel({ policy, rule }: Match): string {
  const place = placeLabel(rule);
  return `${policyLabel(policy)} ${rule.path}${place === "" ? "" : ` (${place})`}`;
}

/** Returns the sentence on a decision that `messageAround` leaves. */
function sentence(decision: Decision, direction: "egress" | "ingress", subject: string, other: string, ends: Ends): string {
  const policies = policiesOf(decision);
  const [first] = decision.matched;
  // What hangs on the request alone does so whatever the addresses are.
  if (decision.verdict === "unknown" && decision.reason !== "no-l7-data") {
    const hidden = withoutAddress(decision, direction === "ingress" ? ends.sourceEndpoint : ends.destinationEndpoint);
    if (hidden !== undefined) return hidden;
  }
  switch (decision.reason) {
    case "rule-deny":
      return first === undefined ? `a rule denies this ${direction}` : `${matchLabel(first)} denies it`;
    case "l7-deny":
      return first === undefined ? "no rule allows the request" : `a request was seen that ${matchLabel(first)} does not allow`;
    case "no-l7-data":
      return `${first === undefined ? "a rule" : matchLabel(first)} looks at the request, ${decision.notes.includes("several-l7-filters") ? "and which of several port filters decides on it is open" : "and not every one was seen"}`;
    case "tier-default":
      return decision.notes.includes("dropped-to-own-node")
        ? "the plugin drops what pods send to their own node (defaultEndpointToHostAction)"
        : decision.notes.includes("dropped-by-plugin")
          ? "the plugin drops this protocol and port whatever policies say"
          : decision.notes.includes("enforcement-always")
            ? `no policy selects ${subject} for ${direction}, and the plugin denies such traffic`
            : `${policies} ${decision.isolatedBy.length === 1 ? "selects" : "select"} ${subject} for ${direction}, no rule decides, and the tier ends with deny`;
    case "policy-error":
      if (decision.notes.includes("policies-unread")) return `policies of the namespace of ${subject} cannot be read`;
      return `a policy that selects ${subject} cannot be evaluated`;
    case "several-backends":
      return `the backends of ${subject === other ? subject : endpointLabel(ends.destinationEndpoint)} do not agree: which one was reached is not known`;
    case "unknown-endpoint": {
      if (decision.notes.includes("initiator-unsure"))
        return `which of ${endpointLabel(ends.sourceEndpoint)} and ${endpointLabel(ends.destinationEndpoint)} began it the log does not tell, and policies judge the two ways differently`;
      if (decision.notes.includes("perhaps-a-reply"))
        return `the log may have stored a reply as a connection of its own: if ${endpointLabel(ends.sourceEndpoint)} began it, ${policies || "a policy"} would deny it`;
      if (decision.notes.includes("judged-before-translation"))
        return `the plugin judges rules on addresses by the dialled address of ${other}, which this program does not`;
      const unknown = [ends.sourceEndpoint, ends.destinationEndpoint].find((endpoint) => endpoint.type === "unknown");
      if (ends.targets.length === 0) return `${endpointLabel(ends.destinationEndpoint)} has no known backend, so which rules apply is open`;
      if (unknown === undefined && ends.arrivesFrom !== undefined) {
        return `whether ${endpointLabel(ends.destinationEndpoint)} sees ${endpointLabel(ends.sourceEndpoint)} or a node that masquerades it is open (externalTrafficPolicy Cluster)`;
      }
      if (unknown !== undefined)
        return `${unknown.ip ?? endpointLabel(unknown)} ${unknown.why ?? "is not known"}, so which rules apply is open`;
      return openEnd(decision, ends);
    }
    case "unknown-labels":
      return `the snapshot lacks labels of a namespace or service account that ${policies || "policies"} select${decision.isolatedBy.length === 1 ? "s" : ""} by`;
    case "unknown-port-name":
      return "a rule looks at a port that is not known: a name on a pod that the snapshot lacks, or the initiator's port";
    case "default":
      return decision.notes.includes("icmp-always-passes")
        ? "the plugin always lets this ICMP through"
        : `policies select ${subject} for ${direction}, and none denies it`;
    default:
      return "";
  }
}

/** Policies that a sentence names. */
const NAMED_POLICIES = 3;

function policiesOf({ isolatedBy }: Decision): string {
  return listed(
    isolatedBy.map((policy) => policyLabel(policy)),
    NAMED_POLICIES,
  );
}
