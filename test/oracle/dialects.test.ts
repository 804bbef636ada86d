import { describe, expect, test } from "vitest";
import type { Decision } from "../../src/evaluate/decision.ts";
import type { CniName } from "../../src/evaluate/profile.ts";
import { answersTo, type Case, type CaseFlow, caseNames, type DecidedBy, faultOf, readCase } from "./cases.ts";

/*
 * Verdicts of real engines on every dialect: kube-network-policies, policy-assistant and netpol-analyzer (admin policies), Cilium's
 * agent, Calico's dataplane. One test a case, asked in-process. Left out where the vectors are not there.
 */

const FOLDERS: Readonly<Record<string, CniName>> = {
  adminpolicy: "generic",
  clusternetworkpolicy: "generic",
  "clusternetworkpolicy/conformance": "generic",
  cilium: "cilium",
  "cilium-mixed": "cilium",
  calico: "calico",
};

/** Flows where we answer otherwise on purpose: `case: flow` to the reason. */
const ON_PURPOSE: Readonly<Record<string, string>> = {
  // "Traffic to and from the node where a Pod is running is always allowed" (Kubernetes: Network Policies); the engine judges it.
  "a-cnp-034-nodes: 192.168.49.13 -> 192.168.49.13 TCP/5": "own node",
};

/** Objects that we refuse, as their own validator does, though the engine was fed with them past it. */
const REFUSED: Readonly<Record<string, (object: { kind: string; spec?: { stagedAction?: string } }) => boolean>> = {
  "probe-staged-delete-does-not-remove": ({ spec }) => spec?.stagedAction === "Delete",
};

const flowName = ({ name }: Case, { src, dst, protocol, port, icmpType }: CaseFlow) =>
  `${name}: ${src.pod ?? src.ip} -> ${dst.pod ?? dst.ip} ${protocol}/${port ?? icmpType}`;

function faultsOf(read: Case, cni: CniName): string[] {
  const policies = read.policies.filter((object) => !REFUSED[read.name]?.(object));
  const { ask } = answersTo({ ...read, policies }, read.flows, cni);
  const faults: string[] = [];
  for (const flow of read.flows) {
    const answer = ask(flow);
    const fault = faultOf(flow, answer);
    const isOnPurpose = ON_PURPOSE[flowName(read, flow)] !== undefined;
    // What is listed and no longer differs must leave the list.
    if ((fault !== undefined) !== isOnPurpose) faults.push(fault ?? `${flowName(read, flow)} no longer differs`);
    for (const side of ["egress", "ingress"] as const) {
      const by = flow[`${side}By`];
      const expected = by && plainBy(by);
      if (expected !== undefined && decidedBy(answer[side]) !== expected)
        faults.push(`${flowName(read, flow)}: ${side} decided by ${decidedBy(answer[side])}, expected ${expected}`);
    }
  }
  return faults;
}

function plainBy({ tier, kind, namespace, name, rule, endOfTier, profile }: DecidedBy): string {
  if (profile !== undefined) return "profile";
  if (endOfTier) return `end of tier ${tier}`;
  // Kubernetes policies have no index here: felix turns their lists around.
  return `${tier} ${kind} ${namespace ?? ""}/${name}${kind === "KubernetesNetworkPolicy" ? "" : ` ${rule}`}`;
}

/** The same of a decision: its first match, else the tier of the last policy that isolates, else the profile. */
function decidedBy({ reason, matched: [first], isolatedBy }: Decision): string {
  const tierOf = ({ tier }: Decision["isolatedBy"][number]) => (tier.kind === "calico" ? tier.name : "default");
  if (reason === "tier-default" || reason === "isolated") return `end of tier ${tierOf(isolatedBy.at(-1)!)}`;
  if (reason === "no-policy" || reason === "default") return "profile";
  if (first === undefined) return reason;
  const { policy, rule } = first;
  const isKubernetes = policy.tier.kind === "networkpolicy";
  const kind = isKubernetes ? "KubernetesNetworkPolicy" : policy.ref.kind;
  const index = isKubernetes ? "" : ` ${/\[(\d+)\]/.exec(rule.path)?.[1]}`;
  return `${tierOf(policy)} ${kind} ${policy.ref.namespace ?? ""}/${policy.ref.name}${index}`;
}

for (const [folder, cni] of Object.entries(FOLDERS)) {
  const names = caseNames(folder);
  describe.skipIf(names.length === 0)(`verdicts of real engines: ${folder}`, () => {
    test.each(names)("%s", (name) => {
      expect(faultsOf(readCase(folder, name), cni)).toEqual([]);
    });
  });
}
