import type { Pod, Service } from "../cluster/objects.ts";
import { selectorOfLabels, selects } from "../cluster/selector.ts";
import { BitSet } from "../evaluate/bitSet.ts";
import type { Connectivity, Refinement } from "../evaluate/connectivity.ts";
import { EndpointResolver } from "../evaluate/endpoints.ts";
import type { ChosenEnds } from "../evaluate/expectation.ts";
import { peersOf } from "../evaluate/honoured.ts";
import type { AddressEnd, Role } from "../evaluate/otherEnds.ts";
import type { PortCut } from "../evaluate/portClasses.ts";
import { type Family, findOutside, namesFamily } from "../evaluate/stands.ts";
import { AddressTable } from "../flow/addressTable.ts";
import { NameTable } from "../flow/names.ts";
import { LoggedParties } from "../flow/parties.ts";
import { type Address, formatAddress, parseAddress } from "../net/address.ts";
import { formatPrefix, type Prefix, parsePrefix, prefixContains, wholeAddress } from "../net/prefix.ts";
import type { Entity } from "../policy/model.ts";
import { nearest, type Path, pathText } from "../policy/objectReader.ts";
import { listed } from "../report/text.ts";
import { findEndpoint } from "./endpointText.ts";
import { UsageError } from "./errors.ts";
import { declaredBy, noSuchPort } from "./explainedConnections.ts";
import type { OpenedSet } from "./openSets.ts";
import type { AllOf, EndText } from "./policyTestFile.ts";
import type { PortsText } from "./portText.ts";

/** A port of a pod, or of what else is behind a Service, with the Service's port that leads there. */
export interface TargetPort {
  readonly protocol: number;
  readonly port: number;
  readonly dialled: number;
}

/** Ends that a text names, in a cluster. */
export interface NamedEnds {
  readonly pods: ReadonlySet<Pod>;
  /** By name; true: named themselves. */
  readonly nodes: ReadonlyMap<string, boolean>;
  readonly entities: ReadonlySet<Entity>;
  readonly outside: readonly OutsideTest[];
}

/** Says of an outside address, by what policies tell apart, whether it is among the ends. */
type OutsideTest = (end: AddressEnd, role: Role, connectivity: Connectivity) => boolean;

/** Where a Service leads: its ports, not those of the expectation, are what is meant there. */
export interface ServiceEnds {
  readonly label: string;
  readonly ports: ReadonlyMap<Pod, readonly TargetPort[]>;
  /** Backends that are no pods. */
  readonly addresses: readonly (TargetPort & { readonly ends: NamedEnds })[];
}

/** Both kinds of ends that a list of texts names. */
export interface FoundEnds {
  readonly plain: NamedEnds;
  readonly services: readonly ServiceEnds[];
}

const NOBODY: NamedEnds = { pods: new Set(), nodes: new Map(), entities: new Set(), outside: [] };
const ENTITIES: readonly Entity[] = ["health", "ingress", "init", "unmanaged"];
const API_SERVER = "kube-apiserver";

/** Finds whom the expectations of one test name, and gathers what of them must be told apart. Throws an EndError for whom there is not. */
export class EndFinder {
  readonly #opened: OpenedSet;
  readonly #namespace: string;
  readonly #pods: readonly Pod[];
  readonly #hostPods: ReadonlySet<Pod>;
  /** By pod: what the expectations say of it. */
  readonly #looks = new Map<Pod, string[]>();
  readonly #nodes = new Set<string>();
  readonly #prefixes = new Map<string, Prefix>();
  readonly #dnsNames = new Set<string>();
  readonly #cuts: PortCut[] = [];
  readonly #warnings = new Set<string>();
  #sets = 0;
  #outsides: ReadonlyMap<Family, Address> | undefined;

  /** `namespace`: of ends that name none. */
  constructor(opened: OpenedSet, namespace: string) {
    this.#opened = opened;
    this.#namespace = namespace;
    const { pods } = opened.judged.world;
    this.#pods = pods.filter(({ hostNetwork }) => !hostNetwork);
    this.#hostPods = new Set(pods.filter(({ hostNetwork }) => hostNetwork));
  }

  /** What must be told apart so that whoever was named so far is whole classes. */
  get refinement(): Refinement {
    return {
      lookOf: ([pod]) =>
        pod === undefined ? "" : `${this.#looks.get(pod)?.join() ?? ""}${this.#nodes.has(pod.nodeName ?? "") ? ` on ${pod.nodeName}` : ""}`,
      nodes: this.#nodes,
      prefixes: [...this.#prefixes.values()],
      ports: this.#cuts,
      dnsNames: [...this.#dnsNames],
    };
  }

  /** What a reader must know of whoever was named so far. */
  get warnings(): readonly string[] {
    return [...this.#warnings];
  }

  /** Returns who one side of an expectation is. `onPorts`: for destinations, which of a Service's ports are meant. */
  find(texts: readonly EndText[], onPorts: readonly PortsText[] | undefined): FoundEnds {
    const services: ServiceEnds[] = [];
    const plain = texts.map((text) => {
      const service = text.kind === "text" ? this.#service(text.text) : undefined;
      if (service === undefined) return this.#plainEnds(text, onPorts ?? []);
      if (onPorts === undefined) throw new EndError(text.path, "a Service begins no connections; name the workload that does");
      services.push(this.#serviceEnds(service, onPorts, text.path));
      return NOBODY;
    });
    return { plain: union(plain), services };
  }

  /** Returns the ports that are meant at a pod, or at any other end; names mean nothing there. */
  portsOf(pod: Pod | undefined, ports: readonly PortsText[]): readonly PortCut[] | "any" {
    if (ports.some(({ kind }) => kind === "any")) return "any";
    return ports.flatMap((port): PortCut[] => {
      if (port.kind === "range") return [{ protocol: port.protocol, first: port.first, last: port.last }];
      if (port.kind === "any") return [];
      const named = (pod?.ports ?? []).filter(({ name, protocol }) => name === port.name && (port.protocol ?? protocol) === protocol);
      return named.map(({ protocol, port: number }) => ({ protocol, first: number, last: number }));
    });
  }

  /** Tells pods and ports apart by the ports that are meant. */
  usePorts(ports: readonly PortsText[]): void {
    for (const port of ports) if (port.kind === "range") this.#cuts.push({ protocol: port.protocol, first: port.first, last: port.last });
    if (ports.every(({ kind }) => kind !== "name")) return;
    for (const pod of this.#pods) {
      const own = this.portsOf(
        pod,
        ports.filter(({ kind }) => kind === "name"),
      );
      if (own === "any" || own.length === 0) continue;
      this.#cuts.push(...own);
      this.#look(pod, JSON.stringify(own));
    }
  }

  /** Refuses ports by name at ends that have none of that name; of all that there is, those that have it are meant. */
  #plainEnds(text: EndText, onPorts: readonly PortsText[]): NamedEnds {
    const ends = this.#ends(text);
    if (text.kind === "all") return ends;
    const pods = [...ends.pods];
    for (const port of onPorts) {
      if (port.kind !== "name" || pods.some((pod) => this.portsOf(pod, [port]).length > 0)) continue;
      throw new EndError(text.path, noSuchPort(port, text.kind === "text" ? `\`${text.text}\`` : "it", declaredBy(pods)));
    }
    return ends;
  }

  #look(pod: Pod, text: string): void {
    const looks = this.#looks.get(pod);
    if (looks === undefined) this.#looks.set(pod, [text]);
    else looks.push(text);
  }

  #ends(text: EndText, isLeftOut = false): NamedEnds {
    const named = this.#named(text, isLeftOut);
    return text.except.length === 0 ? named : without(named, union(text.except.map((each) => this.#ends(each, true))));
  }

  /** `isLeftOut`: it stands below `except`. */
  #named(text: EndText, isLeftOut: boolean): NamedEnds {
    switch (text.kind) {
      case "all":
        return this.#all(text.of);
      case "selector":
        return this.#podEnds(this.#selected(text), text.path, isLeftOut);
      case "dnsName": {
        this.#dnsNames.add(text.name);
        return { ...NOBODY, outside: [(end, role, connectivity) => role.name === text.name && this.#isFamilyMeant(end, connectivity)] };
      }
      case "text":
        return this.#byText(text.text, text.path);
    }
  }

  #all(of: AllOf): NamedEnds {
    const { nodes } = this.#opened.judged.world;
    const isAny = of === "any";
    return {
      pods: isAny || of === "pods" ? this.#setOf(this.#pods) : NOBODY.pods,
      nodes: isAny || of === "nodes" ? new Map(nodes.map(({ name }) => [name, false])) : NOBODY.nodes,
      entities: isAny ? new Set(ENTITIES) : NOBODY.entities,
      outside: isAny || of === "outside" ? [(end, _role, connectivity) => this.#isFamilyMeant(end, connectivity)] : [],
    };
  }

  /** Which families a cluster of manifests has is not known: IPv6 matters where somebody wrote a rule for it. */
  #isFamilyMeant({ family }: AddressEnd, { families }: Connectivity): boolean {
    return family === 4 || families[0] !== 0 || namesFamily(this.#opened.judged.set, 6);
  }

  #setOf(pods: Iterable<Pod>): ReadonlySet<Pod> {
    const set = new Set(pods);
    const number = this.#sets++;
    for (const pod of set) this.#look(pod, String(number));
    return set;
  }

  /** Pods on the host network are their node: that is what policies see. `isLeftOut`: of a selection, to leave out less is the safe side. */
  #podEnds(pods: readonly Pod[], path: Path, isLeftOut = false): NamedEnds {
    const own = pods.filter((pod) => !this.#hostPods.has(pod));
    const plain = { ...NOBODY, pods: this.#setOf(own) };
    const onHost = pods.filter((pod) => this.#hostPods.has(pod));
    if (onHost.length === 0) return plain;
    const { nodes, fault } = this.#nodesOf(onHost);
    if (fault !== undefined) {
      const { namespace, name } = onHost.find(({ nodeName = "" }) => !nodes.includes(nodeName))!;
      const pod = `${namespace}/${name}`;
      if (!isLeftOut || own.length === 0)
        throw new EndError(path, own.length === 0 ? `its pods are ${fault}` : `its pod \`${pod}\` is ${fault}`);
      this.#warnings.add(`${pathText(path)} leaves out the pod ${pod}, but not its node: it is ${fault}`);
    }
    return union([plain, this.#nodeEnds(nodes)]);
  }

  /** Returns the nodes of pods on the host network, and what is wrong where these are not all that policies see of them. */
  #nodesOf(pods: readonly Pod[]): { readonly nodes: readonly string[]; readonly fault: string | undefined } {
    const { profile, world } = this.#opened.judged;
    if (profile.selectsHostPods.egress || profile.selectsHostPods.ingress)
      return { nodes: [], fault: `on the host network, whose traffic ${profile.name} judges in a way that only \`explain\` follows` };
    const known = new Set(world.nodes.map(({ name }) => name));
    const nodes = [...new Set(pods.flatMap(({ nodeName = "" }) => (known.has(nodeName) ? [nodeName] : [])))];
    const fault = "on the host network, where policies see the node, and no Node object tells which that is";
    return { nodes, fault: pods.every(({ nodeName = "" }) => known.has(nodeName)) ? undefined : fault };
  }

  #nodeEnds(names: readonly string[]): NamedEnds {
    for (const name of names) this.#nodes.add(name);
    return { ...NOBODY, nodes: new Map(names.map((name) => [name, true])) };
  }

  #selected({ namespace, namespaceLabels, labels, path }: Extract<EndText, { kind: "selector" }>): readonly Pod[] {
    const { world } = this.#opened.judged;
    const all = [...this.#pods, ...this.#hostPods];
    const namespaces = [...new Set([...world.namespaces.keys(), ...all.map((pod) => pod.namespace)])];
    if (namespace !== undefined && !namespaces.includes(namespace))
      throw new EndError(path, `no namespace \`${namespace}\`${orNear(namespace, namespaces, "namespaces")}`);
    const wanted = selectorOfLabels(Object.entries(namespaceLabels));
    const isIn = (name: string) => {
      if (namespace !== undefined && name !== namespace) return false;
      const known = world.namespaces.get(name);
      if (wanted.requirements.length > 0 && known?.labelsKnown !== true)
        throw new EndError(path, `labels of the namespace \`${name}\` are not known: the Namespace object is missing`);
      return selects(wanted, known?.labels ?? {});
    };
    const chosen = new Set(namespaces.filter(isIn));
    if (chosen.size === 0) throw new EndError(path, `no namespace has the labels ${labelsText(namespaceLabels)}`);
    const inside = all.filter((pod) => chosen.has(pod.namespace));
    const found = inside.filter((pod) => selects(selectorOfLabels(Object.entries(labels)), pod.labels));
    if (found.length > 0) return found;
    const where = namespace === undefined ? "" : ` in namespace \`${namespace}\``;
    if (inside.length === 0) throw new EndError(path, `no pod${where}`);
    for (const [key, value] of Object.entries(labels)) {
      const values = [...new Set(inside.flatMap((pod) => (Object.hasOwn(pod.labels, key) ? [pod.labels[key]] : [])))];
      if (values.includes(value)) continue;
      if (values.length > 0) throw new EndError(path, `no pod${where} has the label ${key}=${value}${orNear(value, values, "values")}`);
      const keys = [...new Set(inside.flatMap((pod) => Object.keys(pod.labels)))];
      throw new EndError(path, `no pod${where} has a label \`${key}\`${orNear(key, keys, "labels")}`);
    }
    throw new EndError(path, `no pod${where} has all of the labels ${labelsText(labels)}`);
  }

  #byText(text: string, path: Path): NamedEnds {
    const prefix = parsePrefix(text);
    if (prefix !== undefined) return this.#prefixEnds(prefix);
    if (text.startsWith("reserved:")) return this.#reserved(text.slice("reserved:".length), path);
    const service = this.#service(text);
    // Besides as a destination, a Service stands for the pods behind it.
    if (service !== undefined) return this.#podsBehind(service, path);
    const end = this.#endpoint(text, path);
    switch (end.kind) {
      case "pods":
        return this.#podEnds(end.pods, path);
      case "node":
        return this.#nodeEnds([end.node.name]);
      case "address":
        return this.#addressEnds(end.address, text, path);
      case "external":
        return this.#external(path);
      case "service":
        throw new EndError(path, "a Service cannot stand here");
    }
  }

  #endpoint(text: string, path: Path) {
    try {
      return findEndpoint(text, this.#namespace, this.#opened.cluster);
    } catch (error) {
      throw error instanceof UsageError ? new EndError(path, error.message) : error;
    }
  }

  /** Returns the Service that a text names or whose address it is. */
  #service(text: string): Service | undefined {
    const { services, serviceIndex } = this.#opened.cluster;
    const address = parseAddress(text);
    if (address !== undefined)
      return serviceIndex.isVirtual(address) ? services.find(({ addresses }) => addresses.includes(address)) : undefined;
    const [, namespace = this.#namespace, name] = /^(?:([^/]+)\/)?(?:svc|services?)\/([^/]+)$/i.exec(text) ?? [];
    return name === undefined ? undefined : services.find((each) => each.namespace === namespace && each.name === name);
  }

  #podsBehind(service: Service, path: Path): NamedEnds {
    const pods = this.#selectedBy(service);
    if (pods.length === 0) throw new EndError(path, `no pod is behind the Service \`${service.namespace}/${service.name}\``);
    return { ...NOBODY, pods: this.#setOf(pods) };
  }

  #selectedBy({ namespace, selector }: Service, pods = this.#pods): readonly Pod[] {
    if (selector === undefined || Object.keys(selector).length === 0) return [];
    const wanted = selectorOfLabels(Object.entries(selector));
    return pods.filter((pod) => pod.namespace === namespace && selects(wanted, pod.labels));
  }

  #prefixEnds(prefix: Prefix): NamedEnds {
    this.#prefixes.set(formatPrefix(prefix), prefix);
    return { ...NOBODY, outside: [({ ranges: [{ first }] }) => prefixContains(prefix, first)] };
  }

  #addressEnds(address: Address, text: string, path: Path): NamedEnds {
    const { timeline, apiServers } = this.#opened.cluster;
    const owner = timeline.ownerAt(address, null);
    switch (owner.type) {
      case "pod":
        return this.#podEnds(
          this.#opened.judged.world.pods.filter((pod) => pod === owner.pod),
          path,
        );
      case "node":
        return this.#nodeEnds([owner.node.name]);
      case "external": {
        const prefix = wholeAddress(address);
        this.#prefixes.set(formatPrefix(prefix), prefix);
        // Which names it bears is not known, so that what is expected must hold whichever they are; whose API server it is may be.
        const isOne = (role: Role) => apiServers === undefined || apiServers.has(address) === (role.isApiServer === true);
        return {
          ...NOBODY,
          outside: [
            ({ ranges: [{ first }] }, role, { roles }) =>
              prefixContains(prefix, first) && (isOne(role) || !roles.some(({ isApiServer }) => isApiServer)),
          ],
        };
      }
      case "service":
        throw new EndError(path, `\`${text}\` is a Service's address: it begins no connections`);
      case "unknown":
        throw new EndError(path, `\`${text}\` ${owner.why}: nobody is known there`);
    }
  }

  /** Outside addresses that no rule names, as `explain` finds one. */
  #external(path: Path): NamedEnds {
    this.#outsides ??= this.#findOutsides();
    const found = [...this.#outsides.values()];
    if (found.length === 0)
      throw new EndError(path, "external: rules name prefixes around every outside address that was tried; name the address that is meant");
    return {
      ...NOBODY,
      outside: [
        (end, role, connectivity) => {
          const { addresses } = connectivity.evaluators[0].rules;
          return (
            role === connectivity.roles[0] &&
            this.#isFamilyMeant(end, connectivity) &&
            found.some(
              (address) => end.classes[0] === addresses.classOf(address) && (end.family === 4) === (wholeAddress(address).family === 4),
            )
          );
        },
      ],
    };
  }

  #findOutsides(): ReadonlyMap<Family, Address> {
    const { cluster, judged } = this.#opened;
    const resolver = new EndpointResolver(cluster, new AddressTable(), new NameTable(), new LoggedParties());
    const found = new Map<Family, Address>();
    for (const family of [4, 6] as const) {
      const outside = findOutside(judged.set, resolver, family);
      if (outside !== undefined) found.set(family, outside.address);
    }
    return found;
  }

  #reserved(name: string, path: Path): NamedEnds {
    if (name === API_SERVER) return { ...NOBODY, outside: [(_end, role) => role.isApiServer === true] };
    const entity = ENTITIES.find((each) => each === name);
    if (entity === undefined)
      throw new EndError(path, `\`reserved:${name}\` is none of ${[API_SERVER, ...ENTITIES].map((each) => `reserved:${each}`).join(", ")}`);
    if (this.#opened.judged.profile.name !== "cilium")
      throw new EndError(path, `\`reserved:${name}\` is one of Cilium's, and the network plugin is ${this.#opened.judged.profile.name}`);
    return { ...NOBODY, entities: new Set([entity]) };
  }

  #serviceEnds(service: Service, onPorts: readonly PortsText[], path: Path): ServiceEnds {
    const label = `${service.namespace}/svc/${service.name}`;
    const { profile, set } = this.#opened.judged;
    if (service.type === "ExternalName") throw new EndError(path, `\`${label}\` is a name for another host (ExternalName); name that`);
    if (profile.blocksMatchDialled && set.policies.some((policy) => peersOf(policy).some(({ kind }) => kind === "prefix")))
      throw new EndError(
        path,
        `${profile.name} judges rules on addresses by the address that is dialled, so that a Service's verdict is not known; name the pods in its place`,
      );
    const chosen = service.ports.map((port, index) => ({ port, index })).filter(({ port }) => onPorts.some((text) => isPort(text, port)));
    if (chosen.length === 0) throw new EndError(path, noSuchPort(onPorts[0], `\`${label}\``, declaredBy([service])));
    const { serviceIndex, timeline } = this.#opened.cluster;
    const ports = new Map<Pod, TargetPort[]>();
    const addresses: (TargetPort & { ends: NamedEnds })[] = [];
    const addTo = (pod: Pod, target: TargetPort) => {
      const own = ports.get(pod);
      if (own === undefined) ports.set(pod, [target]);
      else own.push(target);
    };
    for (const pod of this.#selectedBy(service, [...this.#pods, ...this.#hostPods]))
      for (const { port, index } of chosen) {
        const number = serviceIndex.targetPortOn(pod, service, index);
        if (number === undefined) continue;
        const target = { protocol: port.protocol, port: number, dialled: port.port };
        if (this.#hostPods.has(pod)) addresses.push({ ...target, ends: this.#podEnds([pod], path) });
        else addTo(pod, target);
      }
    if (service.selector === undefined)
      for (const { port } of chosen)
        for (const dialled of service.addresses)
          for (const backend of serviceIndex.find(dialled, port.protocol, port.port)?.backends ?? []) {
            const target = { protocol: port.protocol, port: backend.port, dialled: port.port };
            const owner = timeline.ownerAt(backend.address, null);
            const pod = owner.type === "pod" ? owner.pod : undefined;
            if (pod !== undefined && this.#pods.includes(pod)) addTo(pod, target);
            else addresses.push({ ...target, ends: this.#addressEnds(backend.address, formatAddress(backend.address), path) });
          }
    if (ports.size === 0 && addresses.length === 0)
      throw new EndError(path, `\`${label}\` leads nowhere: no pod with its labels has its port, and no other backend is known`);
    const number = this.#sets++;
    for (const [pod, targets] of ports) this.#look(pod, `${number} ${JSON.stringify(targets)}`);
    for (const { protocol, port } of [...[...ports.values()].flat(), ...addresses]) this.#cuts.push({ protocol, first: port, last: port });
    return { label, ports, addresses };
  }
}

/** Somebody whom an expectation names and who is not there. */
export class EndError extends Error {
  readonly path: Path;

  constructor(path: Path, message: string) {
    super(message);
    this.name = "EndError";
    this.path = path;
  }
}

/** Returns ends as classes of a connectivity that was compiled with the refinement of whoever found them. */
export function chosenIn(connectivity: Connectivity, { pods, nodes, entities, outside }: NamedEnds): ChosenEnds {
  const classes = new BitSet(connectivity.classes.length);
  connectivity.classes.forEach(({ members: [[pod]] }, number) => {
    if (pod !== undefined && pods.has(pod)) classes.add(number);
  });
  return { classes, nodes, entities, holdsOutside: (end, role) => outside.some((test) => test(end, role, connectivity)) };
}

function isPort(text: PortsText, { name, port, protocol }: Service["ports"][number]): boolean {
  if (text.kind === "any") return true;
  if (text.kind === "name") return text.name === name && (text.protocol ?? protocol) === protocol;
  return text.protocol === protocol && port >= text.first && port <= text.last;
}

function union(ends: readonly NamedEnds[]): NamedEnds {
  const nodes = new Map<string, boolean>();
  for (const each of ends) for (const [name, isNamed] of each.nodes) nodes.set(name, isNamed || nodes.get(name) === true);
  return {
    pods: new Set(ends.flatMap(({ pods }) => [...pods])),
    nodes,
    entities: new Set(ends.flatMap(({ entities }) => [...entities])),
    outside: ends.flatMap(({ outside }) => outside),
  };
}

function without(all: NamedEnds, except: NamedEnds): NamedEnds {
  return {
    pods: new Set([...all.pods].filter((pod) => !except.pods.has(pod))),
    nodes: new Map([...all.nodes].filter(([name]) => !except.nodes.has(name))),
    entities: new Set([...all.entities].filter((entity) => !except.entities.has(entity))),
    outside: all.outside.map(
      (test) => (end, role, connectivity) =>
        test(end, role, connectivity) && !except.outside.some((other) => other(end, role, connectivity)),
    ),
  };
}

function labelsText(labels: Readonly<Record<string, string>>): string {
  return Object.entries(labels)
    .map(([key, value]) => `${key}=${value}`)
    .join(", ");
}

function orNear(word: string, known: readonly string[], what: string): string {
  const near = nearest(word, known);
  if (near !== undefined) return `; did you mean \`${near}\`?`;
  return known.length === 0 ? `: no ${what} are known` : `; there is ${listed(known.toSorted())}`;
}
