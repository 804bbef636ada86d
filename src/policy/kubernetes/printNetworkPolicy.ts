import { formatPrefix } from "../../net/prefix.ts";
import { isInside } from "../cidr.ts";
import type { Peer, Policy, PortMatch, Rule, RuleList } from "../model.ts";
import { portNameFault } from "../names.ts";
import { quote } from "../objectReader.ts";
import {
  type PrintedObject,
  portProtocol,
  printLabelSelector,
  printNamespaceSelector,
  refuseForeignParts,
  type UnsayableError,
  unsayable,
} from "../printedObject.ts";

const KIND = "NetworkPolicy";

/**
 * Returns the networking.k8s.io/v1 NetworkPolicy that says what a policy of that tier says, whichever kind it was read from: an
 * AuditNetworkPolicy is promoted by it. Reading it back gives the same policy, save that a peer in another namespace meant by its
 * name comes back as a selector of that name. Throws an UnsayableError (a RangeError) where a NetworkPolicy cannot say it.
 */
export function printNetworkPolicy(policy: Policy): PrintedObject {
  if (policy.tier.kind !== "networkpolicy") throw unsayable(KIND, policy, `it has no tier ${quote(policy.tier.kind)}`);
  refuseForeignParts(KIND, policy);
  const { namespaces, pods } = policy.subject;
  if (!("name" in namespaces)) throw unsayable(KIND, policy, "it is of one namespace, and cannot select several");
  const { ingress, egress, unlisted } = policy;
  const lists = { ingress: ingress ?? unlisted?.ingress, egress: egress ?? unlisted?.egress };
  if (!ingress && !egress) throw unsayable(KIND, policy, "it must govern a direction");
  return {
    apiVersion: "networking.k8s.io/v1",
    kind: KIND,
    metadata: { name: policy.ref.name, namespace: namespaces.name },
    spec: {
      podSelector: printLabelSelector(pods),
      policyTypes: [...(ingress ? ["Ingress"] : []), ...(egress ? ["Egress"] : [])],
      ...(lists.ingress ? { ingress: printRules(policy, namespaces.name, lists.ingress, "from") } : {}),
      ...(lists.egress ? { egress: printRules(policy, namespaces.name, lists.egress, "to") } : {}),
    },
  };
}

function printRules(policy: Policy, namespace: string, { isolates, rules }: RuleList, peersField: "from" | "to"): unknown[] {
  if (!isolates) throw unsayable(KIND, policy, "it isolates what it governs");
  return rules.map((rule) => {
    const refuse = (what: string) => unsayable(KIND, policy, what, rule);
    if (rule.action !== "allow") throw refuse(`a rule can only allow, not ${quote(rule.action)}`);
    return {
      ...(rule.peers === "any" ? {} : { [peersField]: rule.peers.map((peer) => printPeer(peer, namespace, refuse)) }),
      ...printPorts(rule, refuse),
    };
  });
}

type Refuse = (what: string) => UnsayableError;

function printPeer(peer: Peer, namespace: string, refuse: Refuse): Record<string, unknown> {
  if (peer.kind === "prefix") {
    const { prefix, except } = peer;
    if (except.some((each) => !isInside(each, prefix) || each.length === prefix.length)) {
      throw refuse(`every exception must lie strictly within ${quote(formatPrefix(prefix))}`);
    }
    return { ipBlock: { cidr: formatPrefix(prefix), ...(except.length > 0 ? { except: except.map(formatPrefix) } : {}) } };
  }
  if (peer.kind !== "pods") throw refuse(`a peer is pods or an address block, not ${quote(peer.kind)}`);
  const { namespaces, pods, where } = peer.match;
  if (where) throw refuse("a peer can have label selectors only");
  if ("name" in namespaces && namespaces.name === namespace) return { podSelector: printLabelSelector(pods) };
  return {
    namespaceSelector: printNamespaceSelector(namespaces),
    ...(pods.requirements.length > 0 ? { podSelector: printLabelSelector(pods) } : {}),
  };
}

function printPorts({ ports }: Rule, refuse: Refuse): { ports?: unknown[] } {
  return ports === "any" ? {} : { ports: ports.map((port) => printPort(port, refuse)) };
}

function printPort(match: PortMatch, refuse: Refuse): Record<string, unknown> {
  const protocol = portProtocol(match);
  if (protocol === undefined) throw refuse("ports are of TCP, UDP or SCTP");
  const { ports } = match;
  if (!ports) return { protocol };
  if ("name" in ports) {
    const fault = portNameFault(ports.name);
    if (fault) throw refuse(`${quote(ports.name)} ${fault}`);
    return { protocol, port: ports.name };
  }
  if (ports.first < 1) throw refuse("port 0 cannot be named");
  return { protocol, port: ports.first, ...(ports.last > ports.first ? { endPort: ports.last } : {}) };
}
