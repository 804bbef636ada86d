import { readManifest } from "../../src/cluster/manifest.ts";
import { type Cluster, readCluster } from "../../src/cluster/snapshot.ts";
import type { Decision } from "../../src/evaluate/decision.ts";
import { EndpointResolver } from "../../src/evaluate/endpoints.ts";
import { Evaluator, type Participant } from "../../src/evaluate/evaluator.ts";
import { type CniProfile, profileOf } from "../../src/evaluate/profile.ts";
import { AddressTable } from "../../src/flow/addressTable.ts";
import { NameTable } from "../../src/flow/names.ts";
import { LoggedParties } from "../../src/flow/parties.ts";
import { parseAddress } from "../../src/net/address.ts";
import { protocolNumber } from "../../src/net/protocol.ts";
import type { Policy } from "../../src/policy/model.ts";
import { readPolicies } from "../../src/policy/readPolicies.ts";
import type { Flow, NetworkPolicy, Resources } from "./obviousEvaluator.ts";

/** The program's own way from texts to decisions. */
export interface Compiled {
  readonly cluster: Cluster;
  readonly policies: readonly Policy[];
  readonly evaluator: Evaluator;
  readonly participantOf: (address: string, from?: Participant) => Participant;
  /** Both sides' decisions; `ends` replaces who the addresses belong to. */
  readonly ask: (flow: Flow, ends?: { source?: Participant; destination?: Participant }) => { egress: Decision; ingress: Decision };
}

/** Returns a snapshot as `kubectl get -o json` prints it. */
export function snapshotText({ namespaces, pods, nodes = [] }: Resources): string {
  const items = [
    ...namespaces.map(({ name, labels }) => ({ apiVersion: "v1", kind: "Namespace", metadata: { name, labels } })),
    ...nodes.map(({ name, ips }) => ({
      apiVersion: "v1",
      kind: "Node",
      metadata: { name },
      status: { addresses: ips.map((address) => ({ type: "InternalIP", address })) },
    })),
    ...pods.map(({ namespace, name, labels, ip, ips = [ip], ports, node, hostNetwork }) => ({
      apiVersion: "v1",
      kind: "Pod",
      metadata: { namespace, name, labels },
      spec: { ...(hostNetwork ? { hostNetwork } : {}), ...(node ? { nodeName: node } : {}), containers: [{ name: "main", ports }] },
      status: { phase: "Running", podIP: ip, podIPs: ips.map((each) => ({ ip: each })) },
    })),
  ];
  return JSON.stringify({ apiVersion: "v1", kind: "List", items });
}

/** Reads policies, objects or a text, through the program; throws on any that it refuses. */
export function policiesOf(objects: readonly NetworkPolicy[] | string, file = "policies.yaml"): Policy[] {
  const text = typeof objects === "string" ? objects : JSON.stringify({ apiVersion: "v1", kind: "List", items: objects });
  const { policies, problems } = readPolicies(readManifest(text, file), { defaultNamespace: "default" });
  const errors = problems.filter(({ severity }) => severity === "error");
  if (errors.length > 0) throw new Error(`refused: ${JSON.stringify(errors[0])}`);
  return policies;
}

/** `outside`: addresses that are no pod's and no node's are outside ones; without it those beside pods are unknown. */
export function compile(
  resources: Resources,
  objects: readonly NetworkPolicy[] | string,
  { profile = profileOf("generic"), outside = false }: { profile?: CniProfile; outside?: boolean } = {},
): Compiled {
  const cluster = readCluster(readManifest(snapshotText(resources), "snapshot.json"));
  const leftOut = cluster.warnings.find((warning) => warning.includes("left out"));
  if (leftOut) throw new Error(leftOut);
  const policies = policiesOf(objects);
  const evaluator = new Evaluator(policies, cluster, profile);
  const resolver = new EndpointResolver(cluster, new AddressTable(), new NameTable(), new LoggedParties());
  const participantOf = (text: string, from?: Participant): Participant => {
    const address = parseAddress(text)!;
    const found = resolver.participantOf(address, Number.NaN, from);
    return outside && found.type === "unknown" ? { type: "external", address } : found;
  };
  const ask: Compiled["ask"] = (flow, ends = {}) => {
    const source = ends.source ?? participantOf(flow.source);
    const destination = ends.destination ?? participantOf(flow.destination, source);
    const [from, to] = [evaluator.classify(source), evaluator.classify(destination)];
    const portClass = evaluator.ports.classOf(protocolNumber(flow.protocol)!, flow.port);
    return {
      egress: evaluator.decisions[evaluator.decideEgress(from, to, portClass)],
      ingress: evaluator.decisions[evaluator.decideIngress(from, to, portClass)],
    };
  };
  return { cluster, policies, evaluator, participantOf, ask };
}

/** Returns a decision as plain texts, in the order of their letters: equal exactly where two decisions mean the same. */
export function plain({ verdict, reason, notes, isolatedBy, matched }: Decision): Record<string, unknown> {
  const name = ({ ref }: Policy) => `${ref.namespace}/${ref.name}`;
  return {
    verdict,
    reason,
    notes: [...notes].sort(),
    isolatedBy: isolatedBy.map(name).sort(),
    matched: matched.map(({ policy, rule }) => `${name(policy)} ${rule.path}`).sort(),
  };
}
