import { printAdminPolicy } from "./admin/printAdminPolicy.ts";
import { printCalicoPolicy } from "./calico/printCalicoPolicy.ts";
import { printCiliumPolicy } from "./cilium/printCiliumPolicy.ts";
import { printNetworkPolicy } from "./kubernetes/printNetworkPolicy.ts";
import type { Policy } from "./model.ts";

/**
 * Returns the object of a policy, in the dialect that its ref names: reading it gives the same policies again, places aside. Several
 * policies are the specs of one object. Throws an UnsayableError where the dialect has no words for what the model says.
 */
export function printPolicy(policies: readonly [Policy, ...Policy[]]): object {
  const [first] = policies;
  if (first.tier.kind === "cilium") return printCiliumPolicy(policies);
  if (first.tier.kind === "calico" || first.ref.kind.startsWith("Staged")) return printCalicoPolicy(first);
  return first.tier.kind === "networkpolicy" ? printNetworkPolicy(first) : printAdminPolicy(first);
}
