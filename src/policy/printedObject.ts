import { NAMESPACE_NAME } from "../cluster/objects.ts";
import type { LabelSelector, Requirement } from "../cluster/selector.ts";
import { protocolName, SCTP, TCP, UDP } from "../net/protocol.ts";
import { type NamespaceMatch, type Policy, type PortMatch, type Rule, rulesOf } from "./model.ts";
import { quote } from "./objectReader.ts";

/** A Kubernetes object as plain data, ready for a JSON or YAML writer. */
export interface PrintedObject {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: { readonly name: string; readonly namespace?: string };
  readonly spec: Readonly<Record<string, unknown>>;
}

/** Thrown by writers: the dialect has no words for a policy, or its API server would refuse them. The message is one line. */
export class UnsayableError extends RangeError {
  override readonly name = "UnsayableError";
}

/** Returns the error that a part of a policy cannot be said in the dialect of `kind`. `what` completes "…: ". */
export function unsayable(kind: string, policy: Policy, what: string, rule?: Rule): UnsayableError {
  const where = rule ? `, ${quote(rule.ref.path)}` : "";
  return new UnsayableError(`${kind} ${quote(policy.ref.name)}${where}: ${what}`);
}

/** Throws where a policy has what only other dialects can say, in itself or in its rules. */
export function refuseForeignParts(kind: string, policy: Policy): void {
  if (policy.nodes) throw unsayable(kind, policy, "it cannot select nodes");
  if (policy.staged) throw unsayable(kind, policy, `it cannot be staged, as ${quote(policy.staged)} is`);
  if (policy.inert !== undefined) throw unsayable(kind, policy, "it would be in force, and the policy is not");
  if (policy.subject.where) throw unsayable(kind, policy, "its subject can have label selectors only");
  for (const rule of rulesOf(policy)) {
    if (rule.near) throw unsayable(kind, policy, "a rule has no conditions on the subject", rule);
    if (rule.notPorts) throw unsayable(kind, policy, "a rule cannot except ports", rule);
    if (rule.sourcePorts || rule.notSourcePorts) throw unsayable(kind, policy, "a rule has no source ports", rule);
    if (rule.l7) throw unsayable(kind, policy, "a rule has no conditions on requests", rule);
    if (rule.peers.length === 0) throw unsayable(kind, policy, "a rule cannot match no peer at all", rule);
    if (rule.ports.length === 0) throw unsayable(kind, policy, "a rule cannot match no port at all", rule);
  }
}

/** Returns a label selector that reads back as the same requirements in the same order. */
export function printLabelSelector({ requirements }: LabelSelector): Record<string, unknown> {
  const labels: Record<string, string> = {};
  const isLabel = ({ key, operator, values }: Requirement) =>
    // JavaScript puts keys that look like array indices first, whatever the order they were set in.
    operator === "In" && values.length === 1 && !Object.hasOwn(labels, key) && !/^\d+$/.test(key);
  let count = 0;
  for (const requirement of requirements) {
    if (!isLabel(requirement)) break;
    labels[requirement.key] = requirement.values[0];
    count++;
  }
  const expressions = requirements.slice(count).map(({ key, operator, values }) => ({
    key,
    operator,
    ...(operator === "In" || operator === "NotIn" ? { values: [...values] } : {}),
  }));
  return {
    ...(count > 0 ? { matchLabels: labels } : {}),
    ...(expressions.length > 0 ? { matchExpressions: expressions } : {}),
  };
}

/** Returns the selector of namespaces; one that is meant by its name is selected by the label that holds it. */
export function printNamespaceSelector(match: NamespaceMatch): Record<string, unknown> {
  return "name" in match ? { matchLabels: { [NAMESPACE_NAME]: match.name } } : printLabelSelector(match.selector);
}

/** Returns the name of the protocol of ports, TCP, UDP or SCTP; undefined for any other, and for messages of ICMP. */
export function portProtocol({ protocol, icmp }: PortMatch): "TCP" | "UDP" | "SCTP" | undefined {
  if (icmp || (protocol !== TCP && protocol !== UDP && protocol !== SCTP)) return undefined;
  return protocolName(protocol) as "TCP" | "UDP" | "SCTP";
}
