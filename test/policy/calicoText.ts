import { type ManifestObject, readManifest } from "../../src/cluster/manifest.ts";
import type { Requirement } from "../../src/cluster/selector.ts";
import { formatPrefix } from "../../src/net/prefix.ts";
import { readCalicoPolicy } from "../../src/policy/calico/calicoPolicy.ts";
import { endpointKey } from "../../src/policy/calico/expression.ts";
import { formatSelector } from "../../src/policy/calico/selector.ts";
import type { Peer, PeerTerm, PodMatch, Policy, PortMatch, Rule } from "../../src/policy/model.ts";

/** Returns an object with the given lines below `spec:`, which then start in line 5 at column 3. */
export function calicoObject(kind: string, ...specLines: string[]): ManifestObject {
  const metadata = /Global|Tier/.test(kind) ? "{name: p}" : "{name: p, namespace: shop}";
  const head = `apiVersion: projectcalico.org/v3\nkind: ${kind}\nmetadata: ${metadata}\nspec:\n`;
  return readManifest(`${head}${specLines.map((line) => `  ${line}\n`).join("")}`, "p.yaml")[0];
}

/** Returns the policy of such an object; throws when it is refused. */
export function calicoPolicy(kind: string, ...specLines: string[]): Policy {
  const { policies, problems } = readCalicoPolicy(calicoObject(kind, ...specLines));
  if (policies?.length !== 1) throw new Error(JSON.stringify(problems));
  return policies[0];
}

function requirementText(requirement: Requirement): string {
  return formatSelector({ op: "test", of: "own", requirement });
}

/** `namespaces / pods / where`, without what is not there; `*` for everything. */
export function matchText({ namespaces, pods, where }: PodMatch): string {
  const inNamespaces = "name" in namespaces ? namespaces.name : namespaces.selector.requirements.map(requirementText).join(" && ") || "*";
  const own = pods.requirements.map(requirementText).join(" && ") || "*";
  return [inNamespaces, own, ...(where ? [formatSelector(where, endpointKey)] : [])].join(" / ");
}

function termText(term: PeerTerm | Peer): string {
  switch (term.kind) {
    case "prefix":
      return formatPrefix(term.prefix);
    case "family":
      return `IPv${term.family}`;
    case "pods":
      return `pods[${matchText(term.match)}]`;
    case "sets":
      return "scope" in term.match ? `${term.match.scope} sets[${matchText(term.match.match)}]` : "sets by name";
    case "services":
      return `service ${term.match.namespace}/${"name" in term.match ? term.match.name : "?"}${term.ports ? " on its ports" : ""}`;
    case "not":
      return `not(${termText(term.term)})`;
    case "all":
    case "some":
      return term.terms.length === 0 ? "nothing" : term.terms.map(termText).join(term.kind === "all" ? " and " : " or ");
    default:
      return term.kind;
  }
}

export function peersText(peers: readonly Peer[] | "any" | undefined): string {
  return peers === undefined || peers === "any" ? String(peers ?? "-") : peers.map(termText).join("; ");
}

export function portsText(ports: readonly PortMatch[] | "any" | undefined): string {
  if (ports === undefined || ports === "any") return String(ports ?? "-");
  return ports
    .map(({ protocol, ports: range, icmp }) => {
      const which = range === undefined ? "*" : "name" in range ? range.name : `${range.first}-${range.last}`;
      return icmp ? `${protocol}/type ${icmp.type}${icmp.code === undefined ? "" : ` code ${icmp.code}`}` : `${protocol}/${which}`;
    })
    .join("; ");
}

/** `action peers | ports`. */
export function ruleText({ action, peers, ports }: Rule): string {
  return `${action} ${peersText(peers)} | ${portsText(ports)}`;
}
