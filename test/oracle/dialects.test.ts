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

/** What we answer otherwise on purpose: verdicts, and which rule decided. Whatever no longer differs must leave the list. */
const ON_PURPOSE: readonly string[] = [
  // "Traffic to and from the node where a Pod is running is always allowed" (Kubernetes: Network Policies); the engine judges it.
  "a-cnp-034-mixedpeers+np: ns2/p0 -> 192.168.49.13 TCP/5",
  // A rule whose notNets are all of the other family: the dataplane drops it, the engines that name rules do not (the README's
  // "disagreements"). Its verdict is the vector's.
  "case-1-ipv6-04: ops/web-5 -> ops/db-2 TCP/8080 egress by",
  "case-1-nets-00: shop/web-8 -> shop/worker-4 TCP/8080 egress by",
];

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
  const check = (what: string, fault: string | undefined) => {
    if (ON_PURPOSE.includes(what)) faults.push(...(fault === undefined ? [`${what}: no longer differs`] : []));
    else if (fault !== undefined) faults.push(`${what}: ${fault}`);
  };
  for (const flow of read.flows) {
    const answer = ask(flow);
    const name = flowName(read, flow);
    check(name, faultOf(flow, answer));
    for (const side of ["egress", "ingress"] as const) {
      const by = flow[`${side}By`];
      if (by === undefined) continue;
      const [got, expected] = [decidedBy(answer[side]), plainBy(by)];
      check(`${name} ${side} by`, got === expected ? undefined : `decided by ${got}, expected ${expected}`);
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
