import { NAMESPACE_NAME, type Namespace, type Node, type Pod, type Service } from "../cluster/objects.ts";
import type { ServiceTarget } from "../cluster/services.ts";
import type { Cluster } from "../cluster/snapshot.ts";
import { assignWorkloads } from "../cluster/workloads.ts";
import type { AddressTable } from "../flow/addressTable.ts";
import type { NameTable } from "../flow/names.ts";
import type { LoggedParties, LoggedParty } from "../flow/parties.ts";
import { type Address, formatAddress, parseAddress } from "../net/address.ts";
import type { Participant } from "./evaluator.ts";

/** One end of a connection as reports show it. `why` says what is missing of an unknown one. */
export interface Endpoint {
  readonly type: "pod" | "node" | "service" | "external" | "unknown";
  readonly namespace?: string;
  readonly name?: string;
  readonly workload?: string;
  /** Absent where a log tells of an end by name alone. */
  readonly ip?: string;
  readonly names?: readonly string[];
  readonly why?: string;
}

/** Who one end of a connection was, and how reports show it, over the time that this holds. */
export interface End {
  readonly participant: Participant;
  readonly address: Address;
  readonly endpoint: Endpoint;
  /** Of the endpoint, in `EndpointResolver.endpoints`. */
  readonly number: number;
  /** Its own number among the ends that hold for a time; -1: it was found for one moment alone. */
  readonly id: number;
  /** Epoch seconds, `to` exclusive. */
  readonly from: number;
  readonly to: number;
}

/** The address of the node-local DNS cache (k8s.io NodeLocal DNSCache): a host-network pod on the asking pod's own node. */
export const NODE_LOCAL_DNS = parseAddress("169.254.20.10")!;

/** Stand for the outside and for what no object explains. */
const EXTERNAL = {};
const UNKNOWN = {};
/** The unknown backend of a Service: not even its address is known. */
const SOMEWHERE: Participant = { type: "unknown" };

/** Nodes whose answers are compared where any of them may have masqueraded a client: they are alike but for ipBlocks. */
const MAX_NODES = 64;

/** Finds whose an address was, and what reports and policies make of it. */
export class EndpointResolver {
  /** Pods that only records name: they take part like the snapshot's. */
  readonly loggedPods: readonly Pod[];
  /** Namespaces of which only records tell the labels. */
  readonly loggedNamespaces: ReadonlyMap<string, Namespace>;
  readonly #cluster: Cluster;
  readonly #addresses: AddressTable;
  readonly #names: NameTable;
  readonly #podsByName: ReadonlyMap<string, readonly Pod[]>;
  /** Pods that a record's words stand for, where no object has their name. */
  readonly #logged = new Map<LoggedParty, Pod>();
  readonly #parties: LoggedParties;
  /** Names of pods of which nothing else is known. */
  readonly #lost = new Map<Participant, string>();
  /** Every endpoint that was asked for, by number. */
  readonly endpoints: Endpoint[] = [];
  readonly #numbers = new Map<Endpoint, number>();
  readonly #endpoints = new Map<Participant, Endpoint>();
  readonly #interned = new Map<string, Endpoint>();
  /** Addresses that stand for what a log tells by name alone. */
  readonly #standIns = new Map<Address, LoggedParty>();
  /** Participants by whom they are and their address; the latest of each address is found first. */
  readonly #participants = new Map<object, Map<Address, Participant>>();
  readonly #byAddress = new Map<Address, { readonly who: object; readonly participant: Participant }>();
  /** By address-table id, who an address without a log's words was found to be at last, and over which time that holds. */
  readonly #lasting: (End | undefined)[] = [];
  #lastingCount = 0;

  constructor(cluster: Cluster, addresses: AddressTable, names: NameTable, parties: LoggedParties) {
    this.#cluster = cluster;
    this.#addresses = addresses;
    this.#names = names;
    this.#parties = parties;
    this.#podsByName = Map.groupBy(cluster.pods, (pod) => `${pod.namespace}/${pod.name}`);
    const pods = new Map<string, Pod>();
    for (const party of parties.all) {
      const made = party.pod !== undefined && this.#podsByName.has(party.pod) ? undefined : podOfRecord(party);
      if (made === undefined) continue;
      // A pod is one, at whatever address and however it was reached.
      const key = `${made.namespace}/${made.name} ${party.labels?.join()}`;
      const pod = party.pod === undefined ? made : (pods.get(key) ?? made);
      pods.set(key, pod);
      this.#logged.set(party, pod);
    }
    this.loggedPods = [...new Set(this.#logged.values())];
    this.loggedNamespaces = namespacesOf(parties, cluster);
  }

  /** Returns who an address (by table id) was at a moment; NaN: at no known time. `from`, for a destination, is who sent to it. */
  endAt(id: number, seconds: number, from?: Participant): End {
    const lasting = this.#lasting[id];
    if (lasting !== undefined && seconds >= lasting.from && seconds < lasting.to) return lasting;
    const address = this.#addresses.addressOf(id);
    const logged = this.#logFor(id, address, seconds);
    const participant = logged ?? this.participantOf(address, seconds, from);
    const endpoint = this.endpointOf(participant, address, seconds);
    const number = this.numberOf(endpoint);
    if (logged !== undefined || Number.isNaN(seconds) || address === NODE_LOCAL_DNS)
      return { participant, address, endpoint, number, id: -1, from: seconds, to: seconds };
    const [since, to] = this.#cluster.timeline.periodAt(address, seconds);
    const end = { participant, address, endpoint, number, id: this.#lastingCount++, from: since, to };
    this.#lasting[id] = end;
    return end;
  }

  /** Returns the number of an endpoint that this resolver made. */
  numberOf(endpoint: Endpoint): number {
    let number = this.#numbers.get(endpoint);
    if (number === undefined) this.#numbers.set(endpoint, (number = this.endpoints.push(endpoint) - 1));
    return number;
  }

  /** Returns who an address was at a moment. Equal participants are one object. */
  participantOf(address: Address, seconds: number, from?: Participant): Participant {
    const owner = this.#cluster.timeline.ownerAt(address, Number.isNaN(seconds) ? null : seconds);
    if (address === NODE_LOCAL_DNS && owner.type === "external" && from?.type === "pod") {
      const node = this.#cluster.nodes.find(({ name }) => name === from.pod.nodeName);
      if (node !== undefined) return this.#canonical(node, address, () => ({ type: "node", node, address }));
    }
    switch (owner.type) {
      case "pod":
        return this.#canonical(owner.pod, address, () => ({ type: "pod", pod: owner.pod, address }));
      case "node":
        return this.#canonical(owner.node, address, () => ({ type: "node", node: owner.node, address }));
      case "external":
        return this.#canonical(EXTERNAL, address, () => ({ type: "external", address }));
      case "service":
        return SOMEWHERE;
      case "unknown":
        return owner.why.includes("Service range") ? SOMEWHERE : this.#canonical(UNKNOWN, address, () => ({ type: "unknown", address }));
    }
  }

  #canonical(who: object, address: Address, make: () => Participant): Participant {
    const known = this.#byAddress.get(address);
    if (known !== undefined && known.who === who) return known.participant;
    let ofAddress = this.#participants.get(who);
    if (ofAddress === undefined) this.#participants.set(who, (ofAddress = new Map()));
    let participant = ofAddress.get(address);
    if (participant === undefined) ofAddress.set(address, (participant = make()));
    this.#byAddress.set(address, { who, participant });
    return participant;
  }

  /** Returns the Service behind a dialled address and port, if it is one's. */
  dialled(address: Address, protocol: number, port: number): ServiceTarget | undefined {
    return this.#cluster.serviceIndex.find(address, protocol, port);
  }

  /** Returns how reports show a participant. Equal endpoints are one object. */
  endpointOf(participant: Participant, address: Address, seconds: number): Endpoint {
    // What is missing of an unknown one depends on the moment; the rest does not.
    if (participant.type === "unknown") return this.#intern(this.#describe(participant, address, seconds));
    let endpoint = this.#endpoints.get(participant);
    if (endpoint === undefined) this.#endpoints.set(participant, (endpoint = this.#describe(participant, address, seconds)));
    return endpoint;
  }

  #intern(endpoint: Endpoint): Endpoint {
    const key = `${endpoint.type} ${endpoint.namespace} ${endpoint.name} ${endpoint.ip} ${endpoint.why} ${endpoint.names?.join()}`;
    let known = this.#interned.get(key);
    if (known === undefined) this.#interned.set(key, (known = endpoint));
    return known;
  }

  /** Returns the nodes that may masquerade what was dialled at an address: the node whose it is, else any. */
  masqueradingNodes(dialled: Address): Participant[] {
    const at = this.participantOf(dialled, Number.NaN);
    if (at.type === "node") return [at];
    return this.#cluster.nodes
      .slice(0, MAX_NODES)
      .flatMap((node) => node.addresses.slice(0, 1).map((address) => this.participantOf(address, Number.NaN)));
  }

  serviceEndpoint(service: Service, address: Address): Endpoint {
    return this.#intern({ type: "service", namespace: service.namespace, name: service.name, ip: formatAddress(address) });
  }

  #describe(participant: Participant, address: Address, seconds: number): Endpoint {
    const party = this.#standIns.get(address);
    if (party !== undefined) return describeUnaddressed(participant, party);
    const ip = formatAddress(address);
    switch (participant.type) {
      case "pod": {
        const { pod } = participant;
        return { type: "pod", namespace: pod.namespace, name: pod.name, workload: `${pod.workload.kind}/${pod.workload.name}`, ip };
      }
      case "node": {
        const names = address === NODE_LOCAL_DNS ? ["node-local-dns"] : undefined;
        return { type: "node", name: participant.node.name, ip, ...(names ? { names } : {}) };
      }
      case "external": {
        const names = this.#names.namesOf(address);
        return { type: "external", ip, ...(names.length > 0 ? { names } : {}) };
      }
      case "reserved":
        return { type: "unknown", ip, names: [`reserved:${participant.entity}`], why: `is the cluster's ${participant.entity}` };
      case "unknown": {
        const lost = this.#lost.get(participant);
        if (lost !== undefined) {
          const [namespace, name] = lost.split("/");
          return { type: "unknown", namespace, name, ip, names: [lost], why: `was pod ${lost}'s, of which nothing but the name is known` };
        }
        const owner = this.#cluster.timeline.ownerAt(address, Number.isNaN(seconds) ? null : seconds);
        if (owner.type === "service") return this.serviceEndpoint(owner.service, address);
        return { type: "unknown", ip, why: owner.type === "unknown" ? owner.why : "belongs to no known endpoint" };
      }
    }
  }

  /** What a record itself says of an end, where the snapshot does not know its address. */
  #logFor(id: number, address: Address, seconds: number): Participant | undefined {
    const tag = this.#addresses.tagOf(id);
    if (tag === 0) return undefined;
    const party = this.#parties.get(tag);
    if (party.unaddressed !== undefined) return this.#unaddressed(party, address);
    const named = party.pod === undefined ? undefined : this.#podsByName.get(party.pod);
    const pod = named === undefined ? this.#logged.get(party) : podAt(named, address, seconds);
    if (pod !== undefined) return this.#canonical(pod, address, () => ({ type: "pod", pod, address }));
    const reserved = this.#reservedOf(party, address);
    if (reserved !== undefined || party.pod === undefined) return reserved;
    return this.#lostPod(party, party.pod, address);
  }

  /** Whom a log means that tells no address. What rules on addresses would say of them stays open, but for pods that objects hold. */
  #unaddressed(party: LoggedParty, standIn: Address): Participant {
    this.#standIns.set(standIn, party);
    switch (party.unaddressed) {
      case "pods":
      case "perhaps-pods": {
        const pods = podsNamed(this.#cluster.pods, party);
        const [first] = pods;
        const isOfSeveral = pods.some((pod) => !isSameButForItself(pod, first));
        if (isOfSeveral) return this.#canonical(party, standIn, () => ({ type: "unknown" }));
        const logged = party.unaddressed === "pods" ? this.#logged.get(party) : undefined;
        if (first !== undefined)
          return this.#canonical(first, standIn, () => ({
            type: "pod",
            pod: first,
            address: pods.length === 1 ? first.addresses[0] : undefined,
          }));
        if (logged !== undefined) return this.#canonical(logged, standIn, () => ({ type: "pod", pod: logged, address: undefined }));
        return this.#canonical(party, standIn, () => ({ type: "unknown" }));
      }
      case "node": {
        const node = this.#cluster.nodes.find(({ name }) => name === party.called) ?? {
          ...nodeOfRecord(standIn),
          name: party.called ?? "",
        };
        return this.#canonical(node, standIn, () => ({
          type: "node",
          node,
          address: node.addresses[0] === standIn ? undefined : node.addresses[0],
        }));
      }
      case "host": {
        const node = nodeOfRecord(standIn);
        return this.#canonical(party, standIn, () => ({ type: "node", node, address: undefined, relation: "unsure" }));
      }
      case "outside":
        return this.#canonical(party, standIn, () => ({ type: "external", address: undefined }));
      default:
        return this.#canonical(party, standIn, () => ({ type: "unknown" }));
    }
  }

  /** A pod that is known by its name alone: nobody knows what policies select it by, and who has its address now is another. */
  #lostPod(party: LoggedParty, name: string, address: Address): Participant {
    const participant = this.#canonical(party, address, () => ({ type: "unknown", address }));
    this.#lost.set(participant, name);
    return participant;
  }

  /** Who an address is by the reserved labels of a record (Cilium: reserved identities). */
  #reservedOf(party: LoggedParty, address: Address): Participant | undefined {
    const reserved = new Set(party.labels?.flatMap((label) => (label.startsWith("reserved:") ? [label.slice(9).replace(/=$/, "")] : [])));
    if (reserved.size === 0) return undefined;
    const isApiServer = reserved.has("kube-apiserver");
    if (reserved.has("host") || reserved.has("remote-node")) {
      const known = this.#cluster.nodes.find((node) => node.addresses.includes(address));
      const relation = reserved.has("host") ? "own" : "other";
      return this.#canonical(party, address, () => ({
        type: "node",
        node: known ?? nodeOfRecord(address),
        address,
        relation,
        isApiServer,
      }));
    }
    const entity = (["health", "ingress", "init", "unmanaged"] as const).find((name) => reserved.has(name));
    if (entity !== undefined) return this.#canonical(party, address, () => ({ type: "reserved", entity, address }));
    if (reserved.has("world") || reserved.has("world-ipv4") || reserved.has("world-ipv6") || isApiServer)
      return this.#canonical(party, address, () => ({ type: "external", address, isApiServer }));
    return undefined;
  }
}

/** Returns the pods that a log calls `namespace/name` or, of several that one owner made, `namespace/prefix*`; by name. */
function podsNamed(pods: readonly Pod[], { pod: called = "", labels = [] }: LoggedParty): readonly Pod[] {
  const own = labelsIn(labels, "k8s:");
  const slash = called.indexOf("/");
  const [namespace, name] = [called.slice(0, slash), called.slice(slash + 1)];
  const prefix = name.endsWith("*") ? name.slice(0, -1) : undefined;
  return (
    pods
      .filter((pod) => pod.namespace === namespace && isNamed(pod.name, name, prefix))
      // The labels that all pods behind the name have, this one must have too: another workload's name may begin alike.
      .filter((pod) => own.every(([key, value]) => pod.labels[key] === value))
      .toSorted((a, b) => (a.name < b.name ? -1 : 1))
  );
}

/** What controllers write on each pod alone, and on those of one revision (Kubernetes, "Well-Known Labels"). */
const OWN_LABELS = new Set([
  "apps.kubernetes.io/pod-index",
  "batch.kubernetes.io/job-completion-index",
  "controller-revision-hash",
  "pod-template-generation",
  "pod-template-hash",
  "statefulset.kubernetes.io/pod-name",
]);

/** Reports whether policies see no difference between two pods, short of naming one of them. */
function isSameButForItself(a: Pod, b: Pod): boolean {
  if (a.workload.kind !== b.workload.kind || a.workload.name !== b.workload.name) return false;
  const names = new Set([...Object.keys(a.labels), ...Object.keys(b.labels)]);
  return (
    a.serviceAccountName === b.serviceAccountName && [...names].every((name) => OWN_LABELS.has(name) || a.labels[name] === b.labels[name])
  );
}

/** Whoever makes pods puts one more part behind its own name. */
function isNamed(pod: string, name: string, prefix: string | undefined): boolean {
  return prefix === undefined ? pod === name : pod.startsWith(prefix) && !pod.includes("-", prefix.length);
}

/** How reports show whom a log tells by name alone. */
function describeUnaddressed(participant: Participant, { pod: called = "", called: other, unaddressed }: LoggedParty): Endpoint {
  switch (participant.type) {
    case "pod": {
      const { pod } = participant;
      return {
        type: "pod",
        namespace: pod.namespace,
        name: called.slice(called.indexOf("/") + 1),
        workload: `${pod.workload.kind}/${pod.workload.name}`,
      };
    }
    case "node":
      return unaddressed === "host"
        ? { type: "unknown", names: [other ?? "a host"], why: "is a node's or a host's outside" }
        : { type: "node", name: participant.node.name };
    case "external":
      return { type: "external", names: [other ?? "outside"] };
    default:
      return {
        type: "unknown",
        names: [other ?? called],
        why: called === "" ? "has no address in the log" : "is several workloads' or in no snapshot object",
      };
  }
}

/** Pods of a StatefulSet have one name in turn: the one with the address is meant, of several the one of that time, else the latest. */
function podAt(pods: readonly Pod[], address: Address, seconds: number): Pod {
  const holding = pods.filter(({ addresses }) => addresses.includes(address));
  const candidates = (holding.length > 0 ? holding : pods).toSorted((a, b) => (a.startSeconds ?? 0) - (b.startSeconds ?? 0));
  const then = Number.isNaN(seconds) ? undefined : candidates.findLast(({ startSeconds }) => (startSeconds ?? 0) <= seconds);
  return then ?? (Number.isNaN(seconds) ? candidates[candidates.length - 1] : candidates[0]);
}

/** Returns the pod that a record describes by labels, where it says enough to select it. */
function podOfRecord({ pod: name, labels = [], workload: workloadName }: LoggedParty): Pod | undefined {
  const own: Record<string, string> = Object.fromEntries(labelsIn(labels, "k8s:"));
  const namespace = name?.split("/")[0] ?? own["io.kubernetes.pod.namespace"];
  // Without labels nothing that policies select by is known: the address stays what the snapshot says of it.
  if (namespace === undefined || labels.length === 0) return undefined;
  const serviceAccount = own[SERVICE_ACCOUNT];
  for (const key of Object.keys(own)) if (key.startsWith("io.kubernetes.pod.") || key.startsWith("io.cilium.k8s.")) delete own[key];
  const podName = name?.split("/")[1] ?? "(unnamed)";
  const origin = { namespace, name: podName, labels: own, owners: [] };
  const [workload] = assignWorkloads([origin], new Map());
  const made = workloadName === undefined ? undefined : /^([^/]+)\/([^/]+)$/.exec(workloadName);
  return {
    namespace,
    name: podName,
    labels: own,
    workload: made === null || made === undefined ? workload : { ...workload, kind: made[1], name: made[2] },
    hostNetwork: false,
    serviceAccountName: serviceAccount ?? "default",
    addresses: [],
    ports: [],
    arePortsKnown: false,
    startSeconds: null,
    endSeconds: null,
  };
}

/** Labels by which Cilium tells of a pod's namespace and service account (pkg/k8s/apis/cilium.io: PodNamespaceMetaLabelsPrefix, PolicyLabelServiceAccount). */
const NAMESPACE_LABEL = "k8s:io.cilium.k8s.namespace.labels.";
const SERVICE_ACCOUNT = "io.cilium.k8s.policy.serviceaccount";

/** Returns the namespaces whose labels records tell and the snapshot does not. */
function namespacesOf(parties: LoggedParties, { namespaces }: Cluster): ReadonlyMap<string, Namespace> {
  const told = new Map<string, Namespace>();
  for (const { pod, labels } of parties.all) {
    const name = pod?.split("/")[0];
    if (name === undefined || labels === undefined || namespaces.get(name)?.labelsKnown === true || told.has(name)) continue;
    const own = labelsIn(labels, NAMESPACE_LABEL);
    if (own.length > 0) told.set(name, { name, labels: { [NAMESPACE_NAME]: name, ...Object.fromEntries(own) }, labelsKnown: true });
  }
  return told;
}

/** Returns the labels that begin with a prefix, without it, as keys and values. */
function labelsIn(labels: readonly string[], prefix: string): readonly [string, string][] {
  return labels.filter((label) => label.startsWith(prefix)).map((label) => splitLabel(label.slice(prefix.length)));
}

function splitLabel(label: string): [string, string] {
  const equals = label.indexOf("=");
  return equals < 0 ? [label, ""] : [label.slice(0, equals), label.slice(equals + 1)];
}

function nodeOfRecord(address: Address): Node {
  return { name: formatAddress(address), labels: {}, addresses: [address], podPrefixes: [] };
}
