import { type ManifestObject, readManifest } from "../../src/cluster/manifest.ts";
import { formatPortRange } from "../../src/net/portRange.ts";
import { formatPrefix } from "../../src/net/prefix.ts";
import { readCiliumNetworkPolicy } from "../../src/policy/cilium/ciliumNetworkPolicy.ts";
import type { NamespaceMatch, PeerTerm, PodMatch, Policy, PortMatch, Rule } from "../../src/policy/model.ts";
import type { ObjectReading } from "../../src/policy/reading.ts";

/** Returns a cilium.io/v2 object whose lines below the metadata begin in line 4. */
export function ciliumObject(kind: string, ...lines: string[]): ManifestObject {
  const namespace = kind === "CiliumNetworkPolicy" ? ", namespace: shop" : "";
  const head = `apiVersion: cilium.io/v2\nkind: ${kind}\nmetadata: {name: p${namespace}}\n`;
  return readManifest(head + lines.map((line) => `${line}\n`).join(""), "p.yaml")[0];
}

/** Reads the CiliumNetworkPolicy `shop/p` with lines below `spec:` that start in line 5 at column 3. */
export function readSpec(...lines: string[]): ObjectReading {
  return readCiliumNetworkPolicy(ciliumObject("CiliumNetworkPolicy", "spec:", ...lines.map((line) => `  ${line}`)));
}

/** Returns the one policy that was read without errors. */
export function onlyPolicy({ policies, problems }: ObjectReading): Policy {
  const errors = problems.filter(({ severity }) => severity === "error");
  if (errors.length > 0 || policies?.length !== 1) throw new Error(errors.map(({ message }) => message).join("\n") || "not one policy");
  return policies[0];
}

const namespaceText = (match: NamespaceMatch): string =>
  "name" in match ? match.name : `{${match.selector.requirements.map(requirementText).join(", ")}}`;
const requirementText = ({ key, operator, values }: { key: string; operator: string; values: readonly string[] }): string =>
  `${key} ${operator}${values.length > 0 ? ` ${values.join("|")}` : ""}`;

export function podText({ namespaces, pods, where }: PodMatch): string {
  const labels = pods.requirements.map(requirementText).join(", ");
  return `${namespaceText(namespaces)}/{${labels}}${where ? ` where ${JSON.stringify(where)}` : ""}`;
}

export function peerText(peer: PeerTerm): string {
  switch (peer.kind) {
    case "pods":
      return podText(peer.match);
    case "prefix":
      return [formatPrefix(peer.prefix), ...peer.except.map((each) => `!${formatPrefix(each)}`)].join(" ");
    case "sets":
      return `sets ${"names" in peer.match ? peer.match.names.join() : `${peer.match.scope} ${podText(peer.match.match)}`}`;
    case "entities":
      return `@${peer.entities.join()}`;
    case "names":
      return peer.patterns.map(({ regex }) => `/${regex}/`).join();
    case "services":
      return `service ${JSON.stringify(peer.match)}`;
    case "all":
      return `(${peer.terms.map(peerText).join(" & ")})`;
    case "not":
      return `!${peerText(peer.term)}`;
    default:
      return peer.kind;
  }
}

const portText = ({ protocol, ports, icmp }: PortMatch): string =>
  `${protocol}/${icmp ? `type ${icmp.type}` : !ports ? "*" : "name" in ports ? ports.name : formatPortRange(ports)}`;

/** Returns a rule as `action peers | ports`, then what may be asked. */
export function ruleText({ action, peers, ports, l7 }: Rule): string {
  const peerList = peers === "any" ? "any" : peers.map(peerText).join("; ") || "none";
  const portList = ports === "any" ? "any" : ports.map(portText).join("; ") || "none";
  return `${action} ${peerList} | ${portList}${l7 ? ` | ${l7.map((each) => JSON.stringify(each)).join("; ")}` : ""}`;
}
