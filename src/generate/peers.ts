import type { Pod, Service } from "../cluster/objects.ts";
import { EVERYTHING, type LabelSelector, selectorKey, selectorOfLabels, selects } from "../cluster/selector.ts";
import type { Cluster } from "../cluster/snapshot.ts";
import { isVolatileLabel } from "../cluster/workloads.ts";
import { NODE_LOCAL_DNS } from "../evaluate/endpoints.ts";
import type { Ends } from "../evaluate/ends.ts";
import type { Participant } from "../evaluate/evaluator.ts";
import type { CniProfile } from "../evaluate/profile.ts";
import type { NameTable } from "../flow/names.ts";
import { type Address, formatAddress } from "../net/address.ts";
import type { Direction, Entity } from "../policy/model.ts";
import type { Dialect } from "./dialect.ts";
import { labelOf, type SelectableWorkload, type Workloads } from "./workloads.ts";

/** Who a rule is for, before it is put into a dialect's words. Equal keys are one peer. */
export type PeerSpec = { readonly key: string; readonly label: string } & (
  | {
      readonly kind: "pods";
      readonly namespace: string;
      readonly selector: LabelSelector;
      readonly remark?: string;
      /** Whether they look like an ingress controller or another proxy that hides its clients. */
      readonly isProxy: boolean;
    }
  /** Nodes and what shares their network: pods on the host network, the kubelet, clients behind a node's address. */
  | { readonly kind: "nodes"; readonly remark?: string }
  | { readonly kind: "apiServer" }
  | { readonly kind: "entity"; readonly entity: Entity }
  | { readonly kind: "outside"; readonly address: Address; readonly remark?: string }
  /** An outside host by its DNS names. */
  | { readonly kind: "names"; readonly names: readonly string[]; readonly remark?: string }
);

/** A peer, and the end of a connection that it was found at. */
export interface FoundPeer {
  readonly spec: PeerSpec;
  readonly participant: Participant;
}

/** Names of programs that hand on what outside clients send, as their pods are labelled. */
const PROXIES =
  /^(?:ingress-nginx|nginx-ingress(?:-controller)?|traefik|haproxy-ingress|kubernetes-ingress|contour|envoy(?:-gateway)?|kong|istio-ingressgateway|emissary-ingress|ambassador|apisix|aws-load-balancer-controller|ingress-controller)$/;

/** DNS names that were asked for, by the key of the workload that asked. */
export type AskedNames = ReadonlyMap<string, ReadonlySet<string>>;

/** What a rule can have as a whole name: capture and logs may hold anything, patterns included. */
const HOST_NAME = /^(?=.{1,253}$)[a-z0-9]([-a-z0-9_]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9_]*[a-z0-9])?)+$/;

export interface PeerSurroundings {
  readonly cluster: Cluster;
  readonly workloads: Workloads;
  readonly names: NameTable;
  readonly profile: CniProfile;
  readonly dialect: Dialect;
  /** The names that each workload asked for, where outside hosts are named by DNS (Cilium toFQDNs); absent: they are not. */
  readonly askedNames: AskedNames | undefined;
}

/** Says which peer of a rule stands for an end of a connection. */
export class PeerFinder {
  readonly #around: PeerSurroundings;
  /** Where the API server answers: the endpoints of default/kubernetes. */
  readonly apiServers: readonly { readonly address: Address; readonly port: number }[];
  readonly #services: ReadonlyMap<string, Service>;
  readonly #pods = new Map<string, PeerSpec>();
  readonly #outside = new Map<Address, PeerSpec>();
  readonly #ofWorkload = new Map<SelectableWorkload, PeerSpec>();

  constructor(around: PeerSurroundings) {
    this.#around = around;
    this.#services = new Map(around.cluster.services.map((service) => [`${service.namespace}/${service.name}`, service]));
    const service = this.#services.get("default/kubernetes");
    this.apiServers = service === undefined ? [] : around.cluster.serviceIndex.backendsOf(service);
  }

  /** Returns the peers of the source's rule: one for each possible destination; a text where one cannot be named. */
  destinationsOf(ends: Ends): FoundPeer[] | string {
    const service = ends.via?.service === undefined ? undefined : this.#services.get(ends.via.service);
    const isApiService = ends.via?.service === "default/kubernetes";
    if (ends.targets.length === 0) {
      return `Service ${ends.via?.service ?? ends.destinationEndpoint.ip} has no endpoints in the snapshot (save it with endpointslices)`;
    }
    const found: FoundPeer[] = [];
    for (const { participant, address, port } of ends.targets) {
      const isApiServer = isApiService || this.apiServers.some((server) => server.address === address && server.port === port);
      const spec = isApiServer
        ? this.#apiServer()
        : this.#specOf(participant, "egress", this.#selectingService(service, participant), ends.source);
      if (typeof spec === "string") return spec;
      if (ends.via !== undefined && spec.kind !== "pods" && this.#around.profile.blocksMatchDialled)
        return `${spec.label}: under ${this.#around.profile.name} rules on addresses judge the Service's own address, for which none is written`;
      found.push({ spec, participant });
    }
    return found;
  }

  /** Returns the peers of the destination's rule; a text where one cannot be named. */
  sourcesOf(ends: Ends): FoundPeer[] | string {
    const isHidden = ends.arrivesFrom !== undefined;
    const found: FoundPeer[] = [];
    for (const participant of ends.arrivesFrom ?? [ends.source]) {
      const spec = this.#specOf(participant, "ingress", undefined, undefined, isHidden);
      if (typeof spec === "string") return spec;
      found.push({ spec, participant });
    }
    return found;
  }

  /** The Service that was dialled, where it knows the pod by labels. */
  #selectingService(service: Service | undefined, participant: Participant): Service | undefined {
    if (service?.selector === undefined || participant.type !== "pod" || participant.pod.namespace !== service.namespace) return undefined;
    // Rollouts and replicas of their own have Services that select by labels which the next one will not have.
    if (Object.keys(service.selector).some(isVolatileLabel)) return undefined;
    return selects(selectorOfLabels(Object.entries(service.selector)), participant.pod.labels) ? service : undefined;
  }

  #apiServer(): PeerSpec | string {
    const { dialect, profile, cluster } = this.#around;
    const isOnNodes = cluster.nodes.some((node) => this.apiServers.some(({ address }) => node.addresses.includes(address)));
    if (dialect.type !== "cilium" && isOnNodes && !profile.blocksMatchNodes) return cannotNameNodes("the API server", profile);
    return API_SERVER;
  }

  #specOf(participant: Participant, direction: Direction, service?: Service, from?: Participant, isHidden = false): PeerSpec | string {
    const { dialect, profile } = this.#around;
    switch (participant.type) {
      case "pod": {
        if (participant.pod.hostNetwork) return this.#nodes(direction, isHidden);
        return service === undefined ? this.#podsOf(participant.pod) : this.#podsOfService(service);
      }
      case "node": {
        if (participant.address === NODE_LOCAL_DNS && dialect.type !== "cilium")
          return profile.blocksMatchNodes ? this.#outsideAt(NODE_LOCAL_DNS) : cannotNameNodes("the node-local DNS cache", profile);
        return this.#nodes(direction, isHidden);
      }
      case "external":
        // A webhook is called by any of them, whichever was seen.
        if (direction === "ingress" && this.apiServers.some((server) => server.address === participant.address)) return this.#apiServer();
        if (participant.isApiServer === true && (dialect.type === "cilium" || this.apiServers.length > 0)) return this.#apiServer();
        if (participant.address === undefined) return "the log does not say which address outside it was";
        return (direction === "egress" ? this.#named(participant.address, from) : undefined) ?? this.#outsideAt(participant.address);
      case "reserved":
        return dialect.type === "cilium"
          ? {
              key: `entity ${participant.entity}`,
              label: `the cluster's ${participant.entity}`,
              kind: "entity",
              entity: participant.entity,
            }
          : `the cluster's ${participant.entity} (${formatAddress(participant.address)}) has a name in Cilium's policies only`;
      case "unknown":
        return `${participant.address === undefined ? "a backend" : formatAddress(participant.address)} is in no snapshot object`;
    }
  }

  #nodes(direction: Direction, isHidden: boolean): PeerSpec | string {
    const { dialect, profile } = this.#around;
    if (dialect.type !== "cilium" && !profile.blocksMatchNodes) return cannotNameNodes("nodes and pods on the host network", profile);
    const remark =
      isHidden && direction === "ingress"
        ? "outside clients arrive with a node's address (externalTrafficPolicy Cluster): they cannot be told apart"
        : undefined;
    return { key: "nodes", label: "nodes", kind: "nodes", ...(remark === undefined ? {} : { remark }) };
  }

  #podsOf(pod: Pod): PeerSpec | string {
    const workload = this.#around.workloads.of(pod);
    if (workload === undefined) return `${pod.namespace}/${pod.name} is no pod that a policy can select`;
    const known = this.#ofWorkload.get(workload);
    if (known !== undefined) return known;
    const { namespace, selector, name, remark } = workload;
    const isProxy = Object.values(pod.labels).some((value) => PROXIES.test(value)) || PROXIES.test(name);
    // What cannot be told apart can only be let in with all others of its namespace.
    const spec =
      selector === undefined
        ? this.#podPeer(
            namespace,
            EVERYTHING,
            `every pod of ${namespace}`,
            "pods are meant that no labels tell from others: give them some",
            false,
          )
        : this.#podPeer(namespace, selector, labelOf(workload), remark ?? "", isProxy);
    this.#ofWorkload.set(workload, spec);
    return spec;
  }

  #podsOfService({ namespace, name, selector = {} }: Service): PeerSpec {
    return this.#podPeer(namespace, selectorOfLabels(Object.entries(selector)), `${namespace}/svc/${name}`, "", false);
  }

  /** Equal selectors are one peer, whichever name they are found by first: a workload's own goes before its Services'. */
  #podPeer(namespace: string, selector: LabelSelector, label: string, remark: string, isProxy: boolean): PeerSpec {
    const key = `pods ${namespace} ${selectorKey(selector)}`;
    let spec = this.#pods.get(key);
    if (spec === undefined) {
      const same = this.#around.workloads
        .selectedBy(namespace, selector)
        .find((workload) => workload.selector !== undefined && selectorKey(workload.selector) === selectorKey(selector));
      const title = same === undefined ? label : labelOf(same);
      // Whoever is found first, the requirements are written in one order.
      const written = same?.selector ?? { requirements: selector.requirements.toSorted((a, b) => (a.key < b.key ? -1 : 1)) };
      spec = { key, label: title, kind: "pods", namespace, selector: written, isProxy, ...(remark === "" ? {} : { remark }) };
      this.#pods.set(key, spec);
    }
    return spec;
  }

  /** Returns an outside host by the names under which the workload asked for it; undefined where it goes by its address. */
  #named(address: Address, from: Participant | undefined): PeerSpec | undefined {
    const { askedNames, names: known, workloads } = this.#around;
    if (askedNames === undefined) return undefined;
    const names = known.namesOf(address).filter((name) => HOST_NAME.test(name));
    if (names.length === 0) return undefined;
    const asked = from?.type === "pod" ? askedNames.get(workloads.of(from.pod)?.key ?? "") : undefined;
    const own = names.filter((name) => asked?.has(name));
    const used = own.length > 0 ? own : names;
    const remark =
      own.length > 0 || names.length === 1 ? undefined : "names that anybody was given the address by: keep those that are its own";
    return { key: `names ${used.join()}`, label: used[0], kind: "names", names: used, ...(remark === undefined ? {} : { remark }) };
  }

  #outsideAt(address: Address): PeerSpec {
    let spec = this.#outside.get(address);
    if (spec === undefined) this.#outside.set(address, (spec = this.#describeOutside(address)));
    return spec;
  }

  #describeOutside(address: Address): PeerSpec {
    if (address === NODE_LOCAL_DNS) return { key: "node-local-dns", label: "the node-local DNS cache", kind: "outside", address };
    const names = this.#around.names.namesOf(address);
    return { key: `outside ${address}`, label: names[0] ?? formatAddress(address), kind: "outside", address };
  }
}

const API_SERVER: PeerSpec = { key: "api-server", label: "the API server (default/kubernetes)", kind: "apiServer" };

function cannotNameNodes(what: string, { name }: CniProfile): string {
  return `${what}: under ${name} an ipBlock matches no node (--type ${name === "cilium" ? "cilium" : "calico"} can name them)`;
}
