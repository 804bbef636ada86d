import type { Node, Pod, Service } from "../cluster/objects.ts";
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
  readonly ip: string;
  readonly names?: readonly string[];
  readonly why?: string;
}

/** The address of the node-local DNS cache (k8s.io NodeLocal DNSCache): a host-network pod on the asking pod's own node. */
const NODE_LOCAL_DNS = parseAddress("169.254.20.10")!;

/** Finds whose an address was, and what reports and policies make of it. */
export class EndpointResolver {
  /** Pods that only records name: they take part like the snapshot's. */
  readonly loggedPods: readonly Pod[];
  readonly #cluster: Cluster;
  readonly #addresses: AddressTable;
  readonly #names: NameTable;
  readonly #podsByName: ReadonlyMap<string, Pod>;
  readonly #logged = new Map<LoggedParty, Participant["type"] | Pod>();
  readonly #parties: LoggedParties;
  readonly #endpoints = new Map<string, Endpoint>();

  constructor(cluster: Cluster, addresses: AddressTable, names: NameTable, parties: LoggedParties) {
    this.#cluster = cluster;
    this.#addresses = addresses;
    this.#names = names;
    this.#parties = parties;
    this.#podsByName = new Map(cluster.pods.map((pod) => [`${pod.namespace}/${pod.name}`, pod]));
    const loggedPods: Pod[] = [];
    for (const party of parties.all) {
      const pod = this.#podOfRecord(party);
      if (pod === undefined) continue;
      this.#logged.set(party, pod);
      if (!cluster.pods.includes(pod)) loggedPods.push(pod);
    }
    this.loggedPods = loggedPods;
  }

  /** Returns who an address (by table id) was at a moment; NaN: at no known time. `from`, for a destination, is who sent to it. */
  participantAt(id: number, seconds: number, from?: Participant): Participant {
    const address = this.#addresses.addressOf(id);
    return this.#logFor(id, address) ?? this.participantOf(address, seconds, from);
  }

  participantOf(address: Address, seconds: number, from?: Participant): Participant {
    const owner = this.#cluster.timeline.ownerAt(address, Number.isNaN(seconds) ? null : seconds);
    switch (owner.type) {
      case "pod":
        return { type: "pod", pod: owner.pod, address };
      case "node":
        return { type: "node", node: owner.node, address };
      case "service":
        return { type: "unknown" };
      case "unknown":
        return owner.why.includes("Service range") ? { type: "unknown" } : { type: "unknown", address };
      case "external": {
        const node = address === NODE_LOCAL_DNS && from?.type === "pod" ? this.#cluster.nodes.find(({ name }) => name === from.pod.nodeName) : undefined;
        return node === undefined ? { type: "external", address } : { type: "node", node, address };
      }
    }
  }

  /** Returns the Service behind a dialled address and port, if it is one's. */
  dialled(address: Address, protocol: number, port: number): ServiceTarget | undefined {
    return this.#cluster.serviceIndex.find(address, protocol, port);
  }

  /** Returns how reports show a participant. `id` is the address's number in the table; -1: it is in none. */
  endpointOf(participant: Participant, address: Address, seconds: number): Endpoint {
    const key = `${keyOf(participant)} ${address}`;
    let endpoint = this.#endpoints.get(key);
    if (endpoint === undefined) this.#endpoints.set(key, (endpoint = this.#describe(participant, address, seconds)));
    return endpoint;
  }

  serviceEndpoint(service: Service, address: Address): Endpoint {
    return { type: "service", namespace: service.namespace, name: service.name, ip: formatAddress(address) };
  }

  #describe(participant: Participant, address: Address, seconds: number): Endpoint {
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
      case "unknown": {
        const owner = this.#cluster.timeline.ownerAt(address, Number.isNaN(seconds) ? null : seconds);
        if (owner.type === "service") return this.serviceEndpoint(owner.service, address);
        return { type: "unknown", ip, why: owner.type === "unknown" ? owner.why : "belongs to no known endpoint" };
      }
    }
  }

  /** What a record itself says of an end, where the snapshot does not know its address. */
  #logFor(id: number, address: Address): Participant | undefined {
    const tag = this.#addresses.tagOf(id);
    if (tag === 0) return undefined;
    const party = this.#parties.get(tag);
    const logged = this.#logged.get(party);
    if (typeof logged === "object") return { type: "pod", pod: logged, address };
    const reserved = party.labels?.filter((label) => label.startsWith("reserved:")).map((label) => label.slice(9)) ?? [];
    if (reserved.includes("host") || reserved.includes("remote-node")) {
      const known = this.#cluster.nodes.find((node) => node.addresses.includes(address));
      return { type: "node", node: known ?? nodeOfRecord(address), address };
    }
    return undefined;
  }

  #podOfRecord({ pod: name, labels = [] }: LoggedParty): Pod | undefined {
    const known = name === undefined ? undefined : this.#podsByName.get(name);
    if (known !== undefined) return known;
    const own = Object.fromEntries(labels.filter((label) => label.startsWith("k8s:")).map((label) => splitLabel(label.slice(4))));
    const namespace = name?.split("/")[0] ?? own["io.kubernetes.pod.namespace"];
    // Without labels nothing that policies select by is known: the address stays what the snapshot says of it.
    if (namespace === undefined || labels.length === 0) return undefined;
    for (const key of Object.keys(own)) if (key.startsWith("io.kubernetes.pod.") || key.startsWith("io.cilium.k8s.")) delete own[key];
    const podName = name?.split("/")[1] ?? "(unnamed)";
    const origin = { namespace, name: podName, labels: own, owners: [] };
    const [workload] = assignWorkloads([origin], new Map());
    return { namespace, name: podName, labels: own, workload, hostNetwork: false, serviceAccountName: "default", addresses: [], ports: [], startSeconds: null, endSeconds: null };
  }
}

function splitLabel(label: string): [string, string] {
  const equals = label.indexOf("=");
  return equals < 0 ? [label, ""] : [label.slice(0, equals), label.slice(equals + 1)];
}

function nodeOfRecord(address: Address): Node {
  return { name: formatAddress(address), labels: {}, addresses: [address], podPrefixes: [] };
}

function keyOf(participant: Participant): string {
  switch (participant.type) {
    case "pod":
      return `p${participant.pod.namespace}/${participant.pod.name}/${participant.pod.uid ?? ""}`;
    case "node":
      return `n${participant.node.name}`;
    default:
      return participant.type;
  }
}
