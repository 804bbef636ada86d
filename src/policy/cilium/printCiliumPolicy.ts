import type { Direction, Policy, Rule, RuleList } from "../model.ts";
import { cannotSay, type Plain, writePeers, writeSelector, writeSubject } from "./peerWriter.ts";
import { writePorts } from "./portWriter.ts";

/**
 * Returns policies of one name as a CiliumNetworkPolicy or, without a namespace, a CiliumClusterwideNetworkPolicy (cilium.io/v2):
 * one as `spec`, several as `specs`. Reading it gives the same policies again; a rule whose peers or ports Cilium keeps apart
 * becomes several. Throws an Error when a policy holds what the dialect cannot say (an action besides allow and deny, ports of
 * the initiator, ICMP codes), and when it governs no direction.
 */
export function printCiliumPolicy(policies: readonly Policy[]): Plain {
  const { name, namespace } = policies[0].ref;
  const specs = policies.map(writeSpec);
  return {
    apiVersion: "cilium.io/v2",
    kind: namespace === undefined ? "CiliumClusterwideNetworkPolicy" : "CiliumNetworkPolicy",
    metadata: { name, ...(namespace === undefined ? {} : { namespace }) },
    ...(specs.length === 1 ? { spec: specs[0] } : { specs }),
  };
}

function writeSpec(policy: Policy): Plain {
  const { ref, subject, nodes, ingress, egress } = policy;
  if (!ingress && !egress) throw cannotSay("a policy that governs no direction");
  const open = [...(ingress?.isolates === false ? ["ingress"] : []), ...(egress?.isolates === false ? ["egress"] : [])];
  return {
    ...(nodes ? { nodeSelector: writeSelector(nodes.requirements) } : { endpointSelector: writeSubject(subject, ref.namespace) }),
    ...(open.length > 0 ? { enableDefaultDeny: Object.fromEntries(open.map((direction) => [direction, false])) } : {}),
    ...writeDirection(ingress, "ingress", ref.namespace),
    ...writeDirection(egress, "egress", ref.namespace),
  };
}

function writeDirection(list: RuleList | undefined, direction: Direction, namespace: string | undefined): Plain {
  if (!list) return {};
  const write = (action: Rule["action"]) =>
    list.rules.filter((rule) => rule.action === action).flatMap((rule) => writeRule(rule, direction, namespace));
  if (list.rules.some(({ action }) => action === "pass" || action === "log")) throw cannotSay("the actions pass and log");
  const deny = write("deny");
  const allow = write("allow");
  // The presence of an entry isolates, so an empty one stands where there are none.
  const isEmpty = deny.length === 0 && allow.length === 0;
  return {
    ...(deny.length > 0 ? { [`${direction}Deny`]: deny } : {}),
    ...(allow.length > 0 || isEmpty ? { [direction]: isEmpty ? [{}] : allow } : {}),
  };
}

/** Returns the entries of one rule: one for each of its kinds of peers with each of its kinds of ports. */
function writeRule(rule: Rule, direction: Direction, namespace: string | undefined): readonly Plain[] {
  const { action, peers, ports, l7, near, notPorts, sourcePorts, notSourcePorts } = rule;
  if (near ?? notPorts ?? sourcePorts ?? notSourcePorts)
    throw cannotSay("ports of the initiator, excluded ports and conditions on the near end");
  // Cilium would not see these, and deny more.
  const hasNames = peers !== "any" && peers.some(({ kind }) => kind === "names");
  if (action === "deny" && (l7 || hasNames)) throw cannotSay("that requests or DNS names are denied");
  if (direction === "ingress" && l7?.some(({ kind }) => kind === "dns")) throw cannotSay("rules on DNS for ingress");
  // An entry with neither peers nor ports matches nothing; everybody has a name of its own.
  if (peers === "any" && ports === "any" && !l7) return [{ [direction === "ingress" ? "fromEntities" : "toEntities"]: ["all"] }];
  const portFields = writePorts(ports, l7);
  return writePeers(peers, direction, namespace).flatMap((each) => portFields.map((fields) => ({ ...each, ...fields })));
}
