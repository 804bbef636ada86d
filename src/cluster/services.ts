import { type Address, isIPv4, parseAddress } from "../net/address.ts";
import type { Backend, ContainerPort, Node, Pod, Service, ServicePort } from "./objects.ts";
import { type ObjectFields, readAddress, readPort, readProtocol } from "./workloads.ts";

/** A Service with what finding its backends needs besides. */
export interface ServiceEntry {
  readonly service: Service;
  /** For each of `service.ports`: the container port (or its name) that a packet is sent to. */
  readonly targetPorts: readonly (number | string)[];
  readonly publishNotReady: boolean;
}

/** Endpoints of a Service: one EndpointSlice, or one subset of a v1 Endpoints object. */
export interface EndpointGroup {
  readonly namespace: string;
  readonly serviceName: string;
  readonly from: "EndpointSlice" | "Endpoints";
  readonly ports: readonly { readonly name: string; readonly protocol: number; readonly port?: number }[];
  readonly endpoints: readonly { readonly address: Address; readonly ready: boolean; readonly servingTerminating: boolean }[];
  /** The family of an EndpointSlice, which may have no endpoints. */
  readonly family?: 4 | 6;
}

/** Where a dialled address and port leads. `servicePort` is undefined where the Service has no such port. */
export interface ServiceTarget {
  readonly service: Service;
  readonly servicePort?: ServicePort;
  readonly backends: readonly Backend[];
}

/** Reads a v1 Service. `clusterIP: None` (headless) gives no address. */
export function readService(fields: ObjectFields, namespace: string, name: string): ServiceEntry {
  const spec = fields.object("spec");
  const type = spec.text("type") || "ClusterIP";
  const texts = [
    spec.text("clusterIP") ?? "",
    ...spec.texts("clusterIPs"),
    ...spec.texts("externalIPs"),
    spec.text("loadBalancerIP") ?? "",
  ];
  const addresses = new Set<Address>();
  for (const text of texts) {
    if (text === "" || text === "None" || type === "ExternalName") continue;
    addresses.add(parseAddress(text) ?? spec.fail("clusterIPs", `holds \`${text}\`, which is not an IP address`));
  }
  for (const ingress of fields.object("status").object("loadBalancer").list("ingress")) {
    const address = readAddress(ingress, "ip");
    if (address !== undefined) addresses.add(address);
  }
  const portFields = spec.list("ports");
  const ports = portFields.map((entry): ServicePort => {
    const nodePort = entry.number("nodePort") ? readPort(entry, "nodePort") : undefined;
    const portName = entry.text("name");
    const port = readPort(entry, "port") ?? entry.fail("port", "is missing");
    return { ...(portName ? { name: portName } : {}), port, protocol: readProtocol(entry), ...(nodePort ? { nodePort } : {}) };
  });
  const selector = spec.textMap("selector");
  return {
    service: {
      namespace,
      name,
      labels: fields.object("metadata").textMap("labels"),
      type,
      addresses: [...addresses],
      ports,
      ...(Object.keys(selector).length > 0 ? { selector } : {}),
      ...(spec.text("externalTrafficPolicy") === "Local" ? { keepsClient: true } : {}),
    },
    targetPorts: portFields.map((entry, index) => entry.textOrNumber("targetPort") || ports[index].port),
    publishNotReady: spec.flag("publishNotReadyAddresses") ?? false,
  };
}

function readEndpointPorts(fields: ObjectFields): EndpointGroup["ports"] {
  return fields.list("ports").map((entry) => {
    const port = readPort(entry, "port");
    return { name: entry.text("name") ?? "", protocol: readProtocol(entry), ...(port === undefined ? {} : { port }) };
  });
}

/** Reads a discovery.k8s.io EndpointSlice; undefined where it belongs to no Service or holds DNS names. Missing `ready` is true (API: EndpointConditions). */
export function readEndpointSlice(fields: ObjectFields, namespace: string): EndpointGroup | undefined {
  const serviceName = fields.object("metadata").textMap("labels")["kubernetes.io/service-name"];
  const type = fields.text("addressType");
  if (!serviceName || type === "FQDN") return undefined;
  const endpoints = fields.list("endpoints").flatMap((endpoint) => {
    const conditions = endpoint.object("conditions");
    const ready = conditions.flag("ready") ?? true;
    const servingTerminating = (conditions.flag("serving") ?? ready) && (conditions.flag("terminating") ?? false);
    return endpoint.texts("addresses").map((text) => {
      const address = parseAddress(text) ?? endpoint.fail("addresses", `holds \`${text}\`, which is not an IP address`);
      return { address, ready, servingTerminating };
    });
  });
  return { namespace, serviceName, from: "EndpointSlice", ports: readEndpointPorts(fields), endpoints, family: type === "IPv6" ? 6 : 4 };
}

/** Reads a v1 Endpoints object, which has the name of its Service. */
export function readEndpoints(fields: ObjectFields, namespace: string, name: string): readonly EndpointGroup[] {
  const subsets = fields.list("subsets").map((subset): EndpointGroup => {
    const read = (key: string, ready: boolean) =>
      subset.list(key).flatMap((entry) => {
        const address = readAddress(entry, "ip");
        return address === undefined ? [] : [{ address, ready, servingTerminating: false }];
      });
    const endpoints = [...read("addresses", true), ...read("notReadyAddresses", false)];
    return { namespace, serviceName: name, from: "Endpoints", ports: readEndpointPorts(subset), endpoints };
  });
  // An object without subsets still says that nothing is behind the Service.
  return subsets.length > 0 ? subsets : [{ namespace, serviceName: name, from: "Endpoints", ports: [], endpoints: [] }];
}

/** What a ServiceIndex is made of. */
export interface ServiceObjects {
  readonly services: readonly ServiceEntry[];
  readonly endpoints: readonly EndpointGroup[];
  readonly pods: readonly Pod[];
  readonly nodes: readonly Node[];
  /** Whether a pod takes Service traffic: its condition Ready is not False. */
  readonly isReady: (pod: Pod) => boolean;
}

const portKey = (protocol: number, port: number): number => protocol * 65536 + port;

/** Finds what stands behind Service addresses, and which addresses are known to serve a port. Immutable once built. */
export class ServiceIndex {
  readonly #byAddress = new Map<Address, ServiceEntry[]>();
  readonly #byNodePort = new Map<number, { entry: ServiceEntry; index: number }>();
  readonly #entries: ReadonlyMap<Service, ServiceEntry>;
  readonly #nodeAddresses: ReadonlySet<Address>;
  readonly #groups: ReadonlyMap<string, readonly EndpointGroup[]>;
  readonly #podsByLabel = new Map<string, Pod[]>();
  readonly #isReady: (pod: Pod) => boolean;
  readonly #serving = new Map<Address, Set<number>>();
  /** Every port that some address serves: most ports that are asked about are clients', which none does. */
  readonly #servedPorts = new Set<number>();
  readonly #backends = new Map<ServiceEntry, Map<string, readonly Backend[]>>();

  constructor(objects: ServiceObjects) {
    this.#isReady = objects.isReady;
    this.#entries = new Map(objects.services.map((entry) => [entry.service, entry]));
    this.#nodeAddresses = new Set(objects.nodes.flatMap((node) => node.addresses));
    this.#groups = Map.groupBy(objects.endpoints, (group) => `${group.namespace}/${group.serviceName}`);
    for (const pod of objects.pods) {
      for (const label of Object.entries(pod.labels)) append(this.#podsByLabel, labelKey(pod.namespace, label), pod);
      for (const { port, protocol } of pod.ports) for (const address of pod.addresses) this.#addServing(address, protocol, port);
    }
    for (const entry of objects.services) this.#addService(entry);
    for (const group of objects.endpoints) {
      for (const { port, protocol } of group.ports) {
        for (const { address } of group.endpoints) if (port !== undefined) this.#addServing(address, protocol, port);
      }
    }
  }

  /**
   * Returns the Service that a dialled address and port belongs to: a cluster, external or load-balancer address, or a node's
   * address with a node port (Kubernetes: Service, "Virtual IPs and service proxies"). Backends are the ready ones of the
   * dialled address's family; none where nothing is ready or the port is not the Service's.
   */
  find(address: Address, protocol: number, port: number): ServiceTarget | undefined {
    const entries = this.#byAddress.get(address);
    for (const entry of entries ?? []) {
      const index = entry.service.ports.findIndex((candidate) => candidate.port === port && candidate.protocol === protocol);
      if (index >= 0) return this.#target(entry, index, address);
    }
    const byNode = this.#nodeAddresses.has(address) ? this.#byNodePort.get(portKey(protocol, port)) : undefined;
    if (byNode) return this.#target(byNode.entry, byNode.index, address);
    // A load balancer on the nodes' own addresses (k3s) leaves the nodes their other ports.
    return entries && !this.#nodeAddresses.has(address) ? { service: entries[0].service, backends: [] } : undefined;
  }

  /** Returns where a Service leads, of both families. */
  backendsOf(service: Service): readonly { address: Address; protocol: number; port: number }[] {
    return service.ports.flatMap(({ protocol }, index) =>
      this.backendsOfPort(service, index).map(({ address, port }) => ({ address, protocol, port })),
    );
  }

  /** Returns where one port of a Service (by its place among `service.ports`) leads, of both families. */
  backendsOfPort(service: Service, index: number): readonly Backend[] {
    const entry = this.#entries.get(service);
    return entry === undefined ? [] : ([4, 6] as const).flatMap((family) => this.#findBackends(entry, index, family));
  }

  /** Returns the port of a pod to which a Service's port (by its place among `service.ports`) leads; undefined where the pod lacks its name. */
  targetPortOn(pod: Pod, service: Service, index: number): number | undefined {
    const entry = this.#entries.get(service);
    return entry === undefined ? undefined : targetPortOf(pod, entry, index);
  }

  /** Reports whether the cluster knows a listener there: a declared container port, an endpoint, a Service port or a node port, at any time. */
  isServing(address: Address, protocol: number, port: number): boolean {
    const key = portKey(protocol, port);
    if (this.#servedPorts.has(key) && this.#serving.get(address)?.has(key)) return true;
    return this.#byNodePort.has(key) && this.#nodeAddresses.has(address);
  }

  /** Returns the ports for which `isServing` may be true. */
  servedPorts(): (readonly [protocol: number, port: number])[] {
    return [...this.#servedPorts, ...this.#byNodePort.keys()].map((key) => [key >>> 16, key & 0xffff]);
  }

  /** Reports whether an address is a Service's own (cluster, external or load balancer). */
  isVirtual(address: Address): boolean {
    return this.#byAddress.has(address);
  }

  #addServing(address: Address, protocol: number, port: number): void {
    const ports = this.#serving.get(address) ?? new Set();
    this.#serving.set(address, ports.add(portKey(protocol, port)));
    this.#servedPorts.add(portKey(protocol, port));
  }

  #addService(entry: ServiceEntry): void {
    const { service } = entry;
    for (const address of service.addresses) {
      append(this.#byAddress, address, entry);
      for (const { port, protocol } of service.ports) this.#addServing(address, protocol, port);
    }
    for (const [index, { protocol, nodePort }] of service.ports.entries()) {
      if (nodePort !== undefined && (service.type === "NodePort" || service.type === "LoadBalancer")) {
        this.#byNodePort.set(portKey(protocol, nodePort), { entry, index });
      }
      for (const pod of this.#selectedPods(service)) {
        const target = targetPortOf(pod, entry, index);
        if (target !== undefined) for (const address of pod.addresses) this.#addServing(address, protocol, target);
      }
    }
  }

  #target(entry: ServiceEntry, index: number, dialled: Address): ServiceTarget {
    const family = isIPv4(dialled) ? 4 : 6;
    const cache = this.#backends.get(entry) ?? new Map<string, readonly Backend[]>();
    this.#backends.set(entry, cache);
    const key = `${index}/${family}`;
    const backends = cache.get(key) ?? this.#findBackends(entry, index, family);
    cache.set(key, backends);
    return { service: entry.service, servicePort: entry.service.ports[index], backends };
  }

  /** EndpointSlices first, then Endpoints, then the selector: each only where the one before says nothing on this family. */
  #findBackends(entry: ServiceEntry, index: number, family: 4 | 6): readonly Backend[] {
    const groups = this.#groups.get(`${entry.service.namespace}/${entry.service.name}`) ?? [];
    const slices = groups.filter((group) => group.from === "EndpointSlice" && group.family === family);
    if (slices.length > 0) return backendsOfGroups(slices, entry, index, family);
    const subsets = groups.filter((group) => group.from === "Endpoints");
    const sameFamily = subsets.some((group) => group.endpoints.some(({ address }) => isIPv4(address) === (family === 4)));
    const empty = subsets.length > 0 && subsets.every((group) => group.endpoints.length === 0);
    if (sameFamily || empty) return backendsOfGroups(subsets, entry, index, family);
    return this.#backendsOfSelector(entry, index, family);
  }

  #backendsOfSelector(entry: ServiceEntry, index: number, family: 4 | 6): readonly Backend[] {
    return unique(
      this.#selectedPods(entry.service).flatMap((pod) => {
        const port = targetPortOf(pod, entry, index);
        const ready = this.#isReady(pod);
        if (port === undefined || pod.endSeconds !== null || !(ready || entry.publishNotReady)) return [];
        return pod.addresses.filter((address) => isIPv4(address) === (family === 4)).map((address) => ({ address, port, ready }));
      }),
    );
  }

  #selectedPods(service: Service): readonly Pod[] {
    const wanted = Object.entries(service.selector ?? {});
    if (wanted.length === 0) return [];
    const candidates = wanted.map((label) => this.#podsByLabel.get(labelKey(service.namespace, label)) ?? []);
    const fewest = candidates.reduce((a, b) => (b.length < a.length ? b : a));
    return fewest.filter((pod) => wanted.every(([key, value]) => Object.hasOwn(pod.labels, key) && pod.labels[key] === value));
  }
}

function append<Key, Value>(map: Map<Key, Value[]>, key: Key, value: Value): void {
  const values = map.get(key);
  if (values) values.push(value);
  else map.set(key, [value]);
}

function labelKey(namespace: string, [key, value]: readonly [string, string]): string {
  return `${namespace}\n${key}\n${value}`;
}

/** Returns the port of a pod that a Service port leads to; a name is looked up on the pod's containers with the same protocol (API: ServicePort.targetPort). */
function targetPortOf(pod: Pod, entry: ServiceEntry, index: number): number | undefined {
  const target = entry.targetPorts[index];
  if (typeof target === "number") return target;
  const { protocol } = entry.service.ports[index];
  return pod.ports.find((port: ContainerPort) => port.name === target && port.protocol === protocol)?.port;
}

/** Picks endpoints as kube-proxy does: ready ones, else those that terminate but still serve (KEP-1669). */
function backendsOfGroups(groups: readonly EndpointGroup[], entry: ServiceEntry, index: number, family: 4 | 6): readonly Backend[] {
  const wanted = entry.service.ports[index];
  const ready: Backend[] = [];
  const terminating: Backend[] = [];
  for (const group of groups) {
    const matching = group.ports.filter((port) => port.name === (wanted.name ?? "") && port.protocol === wanted.protocol);
    for (const { port = wanted.port } of matching) {
      for (const endpoint of group.endpoints) {
        if (isIPv4(endpoint.address) !== (family === 4)) continue;
        const backend = { address: endpoint.address, port, ready: endpoint.ready };
        if (endpoint.ready || entry.publishNotReady) ready.push(backend);
        else if (endpoint.servingTerminating) terminating.push(backend);
      }
    }
  }
  return unique(ready.length > 0 ? ready : terminating);
}

function unique(backends: readonly Backend[]): readonly Backend[] {
  const seen = new Map<string, Backend>();
  for (const backend of backends) {
    const key = `${backend.address}/${backend.port}`;
    if (!seen.get(key)?.ready) seen.set(key, backend);
  }
  return [...seen.values()];
}

const DNS_PORT = 53;

/** Reports whether a Service is the cluster's DNS: by its label, or as OpenShift names it. */
export function isClusterDns({ namespace, name, labels, selector, ports }: Service): boolean {
  if (selector === undefined || !ports.some(({ port }) => port === DNS_PORT)) return false;
  return (
    labels["k8s-app"] === "kube-dns" ||
    (namespace === "kube-system" && name === "kube-dns") ||
    (namespace === "openshift-dns" && name === "dns-default")
  );
}
