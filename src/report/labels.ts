import { shortWorkload } from "../cluster/workloads.ts";
import type { Endpoint } from "../evaluate/endpoints.ts";
import type { Policy, RuleRef } from "../policy/model.ts";
import { printable } from "./text.ts";

/** The network plugin that policies are judged for, why that one, and what is not known of it. */
export interface ReportedCni {
  readonly name: string;
  readonly because: string;
  readonly caveats: readonly string[];
}

/** Returns the end of a header, with a further line for each caveat. Safe to print. */
export function cniText({ name, because, caveats }: ReportedCni): string {
  return `CNI ${name} (${printable(because)})${caveats.map((caveat) => `\nCNI: ${printable(caveat)}`).join("")}`;
}

/** Returns what people call an endpoint: its workload with the namespace, its Service, its names, else its address. */
export function endpointLabel(endpoint: Endpoint): string {
  switch (endpoint.type) {
    case "pod":
      return `${endpoint.namespace}/${shortWorkload(endpoint.workload ?? `Pod/${endpoint.name}`)}`;
    case "service":
      return `${endpoint.namespace}/svc/${endpoint.name}`;
    case "node":
      return endpoint.names?.[0] ?? `node/${endpoint.name}`;
    default:
      return endpoint.names?.[0] ?? endpoint.ip ?? endpoint.type;
  }
}

/** Returns a policy as `namespace/name`, or its name alone where it has no namespace. */
export function policyLabel(policy: Policy): string {
  return policy.ref.namespace === undefined ? policy.ref.name : `${policy.ref.namespace}/${policy.ref.name}`;
}

/** Returns a file's last part with a line: `orders.yaml:7`; empty without a file. */
export function placeLabel(ref: RuleRef | Policy["ref"]): string {
  if (ref.file === undefined) return "";
  return `${ref.file.replace(/^.*\//, "")}${ref.line === undefined ? "" : `:${ref.line}`}`;
}

/** Returns a policy as kubectl's `-o name` writes objects: `networkpolicy.networking.k8s.io/web`. Not yet safe to print. */
export function objectName({ kind, apiVersion, name }: Policy["ref"]): string {
  return `${kind.toLowerCase()}.${apiVersion.split("/")[0]}/${name}`;
}
