import { readManifest } from "../../src/cluster/manifest.ts";
import { type Cluster, readCluster } from "../../src/cluster/snapshot.ts";
import type { Decision } from "../../src/evaluate/decision.ts";
import { EndpointResolver } from "../../src/evaluate/endpoints.ts";
import { Evaluator, type Participant, type World } from "../../src/evaluate/evaluator.ts";
import { type CniProfile, profileOf } from "../../src/evaluate/profile.ts";
import { AddressTable } from "../../src/flow/addressTable.ts";
import { NameTable } from "../../src/flow/names.ts";
import { LoggedParties } from "../../src/flow/parties.ts";
import { parseAddress } from "../../src/net/address.ts";
import { isIcmp, protocolNumber } from "../../src/net/protocol.ts";
import type { Policy, PolicySet } from "../../src/policy/model.ts";
import { readPolicies } from "../../src/policy/readPolicies.ts";
import type { Flow, OracleService, Resources } from "./obviousEvaluator.ts";

/** A policy object of any dialect, as it is written. */
export interface PlainObject {
  readonly apiVersion: string;
  readonly kind: string;
}

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
export function snapshotText({ namespaces, pods, nodes = [], serviceAccounts = [], services = [] }: Resources): string {
  const items = [
    ...namespaces.map(({ name, labels }) => ({ apiVersion: "v1", kind: "Namespace", metadata: { name, labels } })),
    ...serviceAccounts.map((metadata) => ({ apiVersion: "v1", kind: "ServiceAccount", metadata })),
    ...nodes.map(({ name, ips, labels }) => ({
      apiVersion: "v1",
      kind: "Node",
      metadata: { name, ...(labels ? { labels } : {}) },
      status: { addresses: ips.map((address) => ({ type: "InternalIP", address })) },
    })),
    ...pods.map(({ namespace, name, labels, ip, ips = [ip], ports, node, hostNetwork, serviceAccount }) => ({
      apiVersion: "v1",
      kind: "Pod",
      metadata: { namespace, name, labels },
      spec: {
        ...(hostNetwork ? { hostNetwork } : {}),
        ...(node ? { nodeName: node } : {}),
        ...(serviceAccount ? { serviceAccountName: serviceAccount } : {}),
        containers: [{ name: "main", ports }],
      },
      status: { phase: "Running", podIP: ip, podIPs: ips.map((each) => ({ ip: each })) },
    })),
    ...services.flatMap(serviceObjects),
  ];
  return JSON.stringify({ apiVersion: "v1", kind: "List", items });
}

function serviceObjects({ namespace, name, labels, selector, endpoints, ports }: OracleService): object[] {
  const named = ports.map((port, index) => ({ name: `port-${index}`, ...port }));
  const slices = ["IPv4", "IPv6"].map((addressType) => ({
    apiVersion: "discovery.k8s.io/v1",
    kind: "EndpointSlice",
    metadata: { namespace, name: `${name}-${addressType.toLowerCase()}`, labels: { "kubernetes.io/service-name": name } },
    addressType,
    endpoints: endpoints.filter((ip) => ip.includes(":") === (addressType === "IPv6")).map((ip) => ({ addresses: [ip] })),
    ports: named,
  }));
  const spec = { clusterIP: "None", ...(selector ? { selector } : {}), ports: named.map((port) => ({ ...port, targetPort: port.port })) };
  return [{ apiVersion: "v1", kind: "Service", metadata: { namespace, name, labels }, spec }, ...slices];
}

/** Reads policies, objects or a text, through the program; throws on any that it refuses. */
export function policySetOf(objects: readonly PlainObject[] | string, file = "policies.yaml"): PolicySet & { policies: Policy[] } {
  const text = typeof objects === "string" ? objects : JSON.stringify({ apiVersion: "v1", kind: "List", items: objects });
  const { problems, ...set } = readPolicies(readManifest(text, file), { defaultNamespace: "default" });
  const errors = problems.filter(({ severity }) => severity === "error");
  if (errors.length > 0) throw new Error(`refused: ${JSON.stringify(errors[0])}`);
  return set;
}

/** The same of policies that refer to nothing else. */
export function policiesOf(objects: readonly PlainObject[] | string, file?: string): Policy[] {
  return policySetOf(objects, file).policies;
}

/** Reads a snapshot through the program; throws where it leaves anything out. */
export function clusterOf(text: string): Cluster {
  const cluster = readCluster(readManifest(text, "snapshot.json"));
  const leftOut = cluster.warnings.find((warning) => warning.includes("left out"));
  if (leftOut) throw new Error(leftOut);
  return cluster;
}

/** `outside`: addresses that are no pod's and no node's are outside ones; without it those beside pods are unknown. */
export function compile(
  resources: Resources,
  objects: readonly PlainObject[] | string,
  { profile = profileOf("generic"), outside = false, world = {} }: { profile?: CniProfile; outside?: boolean; world?: Partial<World> } = {},
): Compiled {
  const cluster = clusterOf(snapshotText(resources));
  const set = policySetOf(objects);
  const evaluator = new Evaluator(set, { ...cluster, ...world }, profile);
  const resolver = new EndpointResolver(cluster, new AddressTable(), new NameTable(), new LoggedParties());
  const participantOf = (text: string, from?: Participant): Participant => {
    const address = parseAddress(text)!;
    const found = resolver.participantOf(address, Number.NaN, from);
    return outside && found.type === "unknown" ? { type: "external", address } : found;
  };
  const ask: Compiled["ask"] = (flow, ends = {}) => {
    const source = ends.source ?? participantOf(flow.source);
    const destination = ends.destination ?? participantOf(flow.destination, source);
    return decide(evaluator, source, destination, flow);
  };
  return { cluster, policies: set.policies, evaluator, participantOf, ask };
}

/** What is asked of two participants. Of ICMP the type and code count, of the rest the port. */
export interface Packet {
  readonly protocol: string;
  readonly port?: number;
  readonly icmpType?: number;
  readonly icmpCode?: number;
  /** The initiator's port; absent: not known. */
  readonly sourcePort?: number;
}

/** Returns both sides' decisions on a packet. */
export function decide(
  evaluator: Evaluator,
  source: Participant,
  destination: Participant,
  { protocol, port = 0, icmpType = 0, icmpCode = 0, sourcePort = -1 }: Packet,
): { egress: Decision; ingress: Decision } {
  const { ports } = evaluator;
  const number = protocolNumber(protocol)!;
  const portClass = ports.withSource(ports.classOf(number, isIcmp(number) ? icmpType * 256 + icmpCode : port), number, sourcePort);
  const [from, to] = [evaluator.classify(source), evaluator.classify(destination)];
  return {
    egress: evaluator.decisions[evaluator.decideEgress(from, to, portClass)],
    ingress: evaluator.decisions[evaluator.decideIngress(from, to, portClass)],
  };
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
