import type { Verdict } from "../evaluate/decision.ts";
import type { Endpoint } from "../evaluate/endpoints.ts";
import type { Ends } from "../evaluate/ends.ts";
import type { SideExplanation } from "../evaluate/explanation.ts";
import type { Judgement } from "../evaluate/judge.ts";
import type { Change, NoChange } from "../generate/change/smallestChange.ts";
import type { Prefix } from "../net/prefix.ts";
import type { Policy } from "../policy/model.ts";
import type { ReportedCni } from "./labels.ts";

/** A port that is explained: what is dialled, and where that leads. */
export interface ExplainedPort {
  readonly protocol: number;
  /** At the destination. ICMP: type * 256 + code. */
  readonly port: number;
  /** What was dialled, where a Service stands between. */
  readonly dialled?: number;
  /** What the destination calls it. */
  readonly name?: string;
  /** It stands for all that no rule names and nobody declares. */
  readonly isAny?: boolean;
}

/** Connections that are judged alike, by the same policies and rules. */
export interface ExplainedCase {
  /** Of the connection that stands for all. */
  readonly ends: Ends;
  readonly ports: readonly ExplainedPort[];
  readonly judgement: Judgement;
  readonly egress: SideExplanation;
  readonly ingress: SideExplanation;
  /** The pods that it holds for, where the case is not of all pods of an end. */
  readonly sources: readonly string[] | undefined;
  readonly destinations: readonly string[] | undefined;
  /** The address families that it holds for, where others are judged otherwise. */
  readonly families: readonly (4 | 6)[] | undefined;
  /** How many connections were judged so. */
  readonly connections: number;
  readonly change: Change | NoChange;
}

/** Ports of a protocol, besides those that are explained, with one verdict. Bounds are inclusive. */
export interface OtherPorts {
  readonly protocol: number;
  readonly first: number;
  readonly last: number;
  readonly verdict: Verdict | "differs";
}

/** Everything that reports of `explain` are made of. */
export interface ExplainResult {
  readonly source: string;
  readonly destination: string;
  readonly cni: ReportedCni;
  /** How many policies were judged. */
  readonly policies: number;
  readonly warnings: readonly string[];
  readonly cases: readonly ExplainedCase[];
  readonly otherPorts: readonly OtherPorts[];
  /** Outside prefixes for which the verdict is another than for an address that no rule names. */
  readonly prefixes: readonly { readonly prefix: Prefix; readonly verdict: Verdict }[];
}

/** Returns one verdict for all cases: deny where any is denied, else unknown where any is. */
export function verdictOf({ cases }: Pick<ExplainResult, "cases">): Verdict {
  const verdicts = cases.map(({ judgement }) => judgement.verdict);
  return verdicts.includes("deny") ? "deny" : verdicts.includes("unknown") ? "unknown" : "allow";
}

/** Returns the policies that decide a case: what matched, else what isolates. */
export function decidingPolicies({ judgement }: ExplainedCase): Policy[] {
  const sides = [judgement.egress, judgement.ingress].filter(({ verdict }) => judgement.verdict !== "deny" || verdict === "deny");
  const policies = sides.flatMap(({ reason, matched, isolatedBy }) => {
    if (reason === "rule" || reason === "rule-deny") return matched.slice(0, 1).map(({ policy }) => policy);
    return reason === "l7-deny" || reason === "no-l7-data" ? matched.map(({ policy }) => policy) : [...isolatedBy];
  });
  return [...new Set(policies)];
}

/** Reports whether a change was found. */
export function isChange(change: Change | NoChange): change is Change {
  return "objects" in change;
}

/** Returns an endpoint without what only sentences need. */
export function plainEndpoint({ why: _why, ...endpoint }: Endpoint): Omit<Endpoint, "why"> {
  return endpoint;
}
