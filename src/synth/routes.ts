import type { ContainerPort, Service, ServicePort } from "../cluster/objects.ts";
import type { Cluster } from "../cluster/snapshot.ts";
import { type Address, formatAddress, isIPv4 } from "../net/address.ts";
import { TCP, UDP } from "../net/protocol.ts";
import type { CallGraph } from "./callGraph.ts";
import type { Ending } from "./conversation.ts";
import { compileTalk, type DrawTalk, kindAt, type Resolve } from "./exchanges.ts";
import { DRAIN, Group, type Parties, type Party } from "./parties.ts";
import type { Call, Port, ProfileSpec, Tier } from "./profile.ts";
import { WeightedChoice } from "./random.ts";
import type { PodSelector } from "./selections.ts";
import { Drawn, microseconds, parsePorts, SECOND } from "./units.ts";

/** A port of a target. Targets share them: a call may name every port of every pod. */
export interface Listener {
  readonly port: number;
  readonly protocol: number;
  readonly talk: DrawTalk;
}

/** From some clients to some targets. */
export interface Route {
  readonly clients: Group;
  readonly targets: Group;
  readonly listenersOf: (target: Party) => readonly Listener[];
  /** Whether somebody is known to listen there. */
  readonly isOpen: (target: Party, listener: Listener) => boolean;
  /** The name that clients look up; undefined: they call an address, or the target's own name. */
  readonly name: string | undefined;
  readonly isSweep: boolean;
  readonly endings: WeightedChoice<Ending>;
  readonly closed: WeightedChoice<Ending>;
  readonly roundTrip: Drawn;
  /** Of a sweep: the places of the target and of its port that come next. */
  nextTarget: number;
  nextPort: number;
}

/** What calls are made of. */
export interface Surroundings {
  readonly cluster: Cluster;
  readonly graph: CallGraph;
  readonly parties: Parties;
  readonly select: PodSelector;
}

/** The routes of a profile. */
export interface Routes {
  readonly choice: WeightedChoice<WeightedChoice<Route>>;
  /** The DNS Service, where the snapshot has one that answers. */
  readonly dns: Route | undefined;
  /** Says what the addresses of a name are; undefined: there is no such name. */
  readonly resolve: Resolve;
  /** The moment for which names are resolved, microseconds: whoever asks sets it first. */
  readonly clock: { now: number };
  readonly warnings: readonly string[];
  readonly isEmpty: boolean;
}

/** Answers in one message, so that it fits into a datagram of 512 bytes (RFC 1035 section 4.2.1). */
const MOST_ANSWERS = 8;
const LEAST_ROUND_TRIP = 20;
const MOST_ROUND_TRIP = 10 * SECOND;

export function compileRoutes(spec: ProfileSpec, surroundings: Surroundings): Routes {
  return new RouteCompiler(surroundings).compile(spec);
}

class RouteCompiler {
  readonly #cluster: Cluster;
  readonly #graph: CallGraph;
  readonly #parties: Parties;
  readonly #select: PodSelector;
  readonly #outsideNames = new Map<string, Party>();
  readonly #services: ReadonlyMap<string, Service>;
  readonly #headless = new Map<Service, Group>();
  /** By call, then by what is spoken. */
  readonly #talks = new Map<Call, Map<string, DrawTalk>>();
  readonly #clock = { now: 0 };

  constructor({ cluster, graph, parties, select }: Surroundings) {
    this.#cluster = cluster;
    this.#graph = graph;
    this.#parties = parties;
    this.#select = select;
    this.#services = new Map(graph.services.map((service) => [nameOf(service), service]));
  }

  compile(spec: ProfileSpec): Routes {
    const warnings: string[] = [];
    for (const { to } of spec.calls)
      for (const name of to.external?.names ?? []) {
        const host = this.#parties.named(name, to.external?.cidrs);
        if (host !== undefined) this.#outsideNames.set(name, host);
      }
    const weighted: [WeightedChoice<Route>, number][] = [];
    for (const [i, call] of spec.calls.entries()) {
      const routes = this.#routesOf(call);
      if (routes.length > 0) weighted.push([new WeightedChoice(routes.map((route): [Route, number] => [route, 1])), call.weight ?? 1]);
      else warnings.push(`call ${i + 1} of the profile makes no traffic: ${this.#whyNone(call)}`);
    }
    const dns = this.#graph.services.find((service) => this.#graph.tierOf(service) === "dns");
    const isEmpty = !weighted.some(([, weight]) => weight > 0);
    return {
      choice: isEmpty ? new WeightedChoice([]) : new WeightedChoice(weighted),
      dns: dns === undefined ? undefined : this.#toService({ from: { pods: {} }, to: { service: {} }, protocol: "UDP", port: 53 }, dns)[0],
      resolve: this.#resolve,
      clock: this.#clock,
      warnings,
      isEmpty,
    };
  }

  #whyNone({ from, to }: Call): string {
    if (from.pods !== undefined && this.#select.all(from.pods).length === 0) return "`from` selects no pod of the snapshot";
    if (from.nodes !== undefined && this.#select.nodes(from.nodes).length === 0) return "`from` selects no node of the snapshot";
    if (to.service !== undefined && this.#select.services(to.service).length === 0) return "`to` selects no Service of the snapshot";
    if (to.pods !== undefined && this.#select.all(to.pods).length === 0) return "`to` selects no pod of the snapshot";
    if (to.nodes !== undefined && this.#select.nodes(to.nodes).length === 0) return "`to` selects no node of the snapshot";
    const outside = from.external ?? to.external;
    if (outside !== undefined && this.#parties.outside(outside).length === 0)
      return "every address of `external` is the cluster's own, so that nobody outside has one";
    return "nobody there has the port, or a backend";
  }

  #routesOf(call: Call): readonly Route[] {
    if (call.to.service !== undefined) return this.#select.services(call.to.service).flatMap((service) => this.#toService(call, service));
    const clients = this.#group(this.#clientsOf(call));
    if (clients.parties.length === 0) return [];
    const { pods, nodes, external } = call.to;
    if (external !== undefined) {
      const hosts = this.#parties.outside(external);
      if (hosts.length === 0) return [];
      const listeners = this.#namedPorts(call) ?? [];
      if (external.names === undefined || external.names.length === 0) return [this.#route(call, clients, hosts, () => listeners)];
      return external.names.flatMap((name) => {
        const host = this.#outsideNames.get(name);
        return host === undefined ? [] : [this.#route(call, clients, [host], () => listeners, name)];
      });
    }
    const targets =
      pods === undefined ? this.#parties.ofNodes(this.#select.nodes(nodes ?? {})) : this.#parties.ofPods(this.#select.living(pods));
    const shared = this.#namedPorts(call);
    const own = new Map(targets.map((target) => [target, shared ?? this.#declaredPorts(call, target)]));
    const reachable = targets.filter((target) => own.get(target)!.length > 0);
    if (reachable.length === 0) return [];
    return [this.#route(call, clients, reachable, (target) => own.get(target)!)];
  }

  /** One route for each port of a Service that the call is about. */
  #toService(call: Call, service: Service): readonly Route[] {
    const wanted = listOf(call.port);
    const protocol = askedProtocol(call);
    const tier = this.#graph.tierOf(service);
    return service.ports.flatMap((port, index) => {
      const isWanted = wanted.length === 0 || wanted.some((each) => isPort(each, port.port, port.name));
      if (!isWanted || (protocol !== undefined && protocol !== port.protocol) || (port.protocol !== TCP && port.protocol !== UDP))
        return [];
      const clients = this.#group(this.#clientsOf(call, { service, port }));
      if (clients.parties.length === 0) return [];
      const listeners = new Map<Party, readonly Listener[]>();
      for (const backend of this.#cluster.serviceIndex.backendsOfPort(service, index)) {
        const { address, port: own } = backend;
        const talk = this.#talk(call, own, port.name ?? "", port.protocol, tier, port.port);
        const listener = [{ port: own, protocol: port.protocol, talk }];
        for (const party of this.#parties.at(address)) listeners.set(party, listener);
      }
      if (listeners.size === 0) return [];
      return [this.#route(call, clients, [...listeners.keys()], (target) => listeners.get(target)!, nameOf(service))];
    });
  }

  #clientsOf({ from }: Call, called?: { readonly service: Service; readonly port: ServicePort }): readonly Party[] {
    if (from.pods !== undefined) return this.#parties.ofPods(this.#select.all(from.pods));
    if (from.nodes !== undefined) return this.#parties.ofNodes(this.#select.nodes(from.nodes));
    if (from.external !== undefined) return this.#parties.outside(from.external);
    if (called === undefined) return [];
    const { workloads, isFromOutside } = this.#graph.callersOfPort(called.service, called.port);
    return isFromOutside ? this.#parties.outside({}) : this.#parties.ofPods(workloads.flatMap(({ pods }) => pods));
  }

  #group(parties: readonly Party[], drain = 0): Group {
    return new Group(parties, this.#parties.changes, drain);
  }

  #route(call: Call, clients: Group, targets: readonly Party[], listenersOf: Route["listenersOf"], name?: string): Route {
    const isFar = call.from.external !== undefined || call.to.external !== undefined || clients.parties[0].kind === "outside";
    const { median, sigma = 0.5 } = call.roundTrip ?? { median: isFar ? "25ms" : "0.4ms" };
    return {
      clients,
      targets: this.#group(targets, call.to.service === undefined ? 0 : DRAIN),
      listenersOf,
      isOpen: call.to.service === undefined ? (target, listener) => isOpenAt(target, listener, this.#cluster) : () => true,
      name,
      isSweep: call.order === "sweep",
      endings: sharesOf(call.endings ?? { finished: 1 }),
      closed: sharesOf(call.closed ?? { refused: 1 }),
      roundTrip: new Drawn({ median: microseconds(median), sigma }, LEAST_ROUND_TRIP, MOST_ROUND_TRIP),
      nextTarget: 0,
      nextPort: 0,
    };
  }

  /** Returns the ports that a call names by number; undefined where it names none so, and it hangs on what targets declare. */
  #namedPorts(call: Call): readonly Listener[] | undefined {
    const ranges = listOf(call.port).map((each) => (typeof each === "number" ? { first: each, last: each } : parsePorts(each)!));
    if (ranges.length === 0 || ranges.some((range) => typeof range === "string")) return undefined;
    const ports = new Set<number>();
    for (const range of ranges) if (typeof range !== "string") for (let port = range.first; port <= range.last; port++) ports.add(port);
    const protocol = protocolOf(call);
    return [...ports].map((port) => ({ port, protocol, talk: this.#talk(call, port, "", protocol, undefined, port) }));
  }

  /** Returns the ports that a pod declares and a call asks for, by name or number; without any asked for, all. */
  #declaredPorts(call: Call, { pod }: Party): readonly Listener[] {
    const wanted = listOf(call.port);
    const protocol = wanted.length === 0 ? askedProtocol(call) : protocolOf(call);
    const isWanted = ({ port, name, protocol: own }: ContainerPort) =>
      (protocol === undefined ? own === TCP || own === UDP : own === protocol) &&
      (wanted.length === 0 || wanted.some((each) => isPort(each, port, name)));
    return (pod?.ports ?? [])
      .filter(isWanted)
      .map(({ port, name = "", protocol: own }) => ({ port, protocol: own, talk: this.#talk(call, port, name, own, undefined, port) }));
  }

  #talk(call: Call, port: number, name: string, protocol: number, tier: Tier | undefined, dialled: number): DrawTalk {
    const { kind = "auto" } = call.exchange ?? {};
    const spoken =
      kind === "auto" ? (dialled === port ? kindAt(port, name, protocol, tier) : eitherKind(port, dialled, name, protocol, tier)) : kind;
    const key = `${spoken} ${protocol}`;
    let talks = this.#talks.get(call);
    if (talks === undefined) this.#talks.set(call, (talks = new Map()));
    let talk = talks.get(key);
    if (talk === undefined) {
      const names = [...this.#services.keys(), ...this.#outsideNames.keys()];
      talks.set(key, (talk = compileTalk(call.exchange ?? {}, spoken, protocol, names, this.#resolve)));
    }
    return talk;
  }

  /** A Service's name leads to its addresses, or without any to its backends; an outside name to its host. */
  readonly #resolve: Resolve = (name, family) => {
    const host = this.#outsideNames.get(name)?.addresses[family];
    if (this.#outsideNames.has(name)) return host === undefined ? [] : [host];
    const service = this.#services.get(name);
    if (service === undefined) return undefined;
    if (service.addresses.length > 0)
      return service.addresses.filter((address) => isIPv4(address) === (family === 4)).slice(0, MOST_ANSWERS);
    let backends = this.#headless.get(service);
    if (backends === undefined) {
      const addresses = this.#cluster.serviceIndex.backendsOf(service).map(({ address }) => address);
      this.#headless.set(service, (backends = this.#group(addresses.flatMap((address) => this.#parties.at(address)))));
    }
    return backends
      .ofFamily(this.#clock.now, family)
      .map((party) => party.addresses[family]!)
      .slice(0, MOST_ANSWERS);
  };
}

/** A Service's own port tells as much as its backends' (443 before 8080). */
function eitherKind(port: number, dialled: number, name: string, protocol: number, tier: Tier | undefined) {
  const byDialled = kindAt(dialled, name, protocol, undefined);
  return byDialled === "bytes" ? kindAt(port, name, protocol, tier) : byDialled;
}

/** The name of a Service inside the cluster (Kubernetes DNS specification 1.1, section 2.3). */
function nameOf({ namespace, name }: Service): string {
  return `${name}.${namespace}.svc.cluster.local`;
}

/** What people outside call a cluster's entries (RFC 2606). */
const PUBLIC_NAME = "www.example.com";

/** Returns what a client calls a target that it looked no name up for, as text that is a host name too. */
export function hostOf(client: Party, target: Party, address: Address): string {
  if (client.kind === "outside") return PUBLIC_NAME;
  const dashed = formatAddress(address).replace(/[.:]/g, "-").replace(/^-|-$/g, "0");
  // The cluster's DNS has a name for each pod's address (Kubernetes DNS specification, section 2.5: pod records).
  if (target.pod !== undefined) return `${dashed}.${target.pod.namespace}.pod.cluster.local`;
  return target.kind === "node" ? `${dashed}.node.cluster.local` : `host-${dashed}.example.net`;
}

function listOf(port: Call["port"]): readonly Port[] {
  return port === undefined ? [] : typeof port === "object" ? port : [port];
}

function isPort(wanted: Port, port: number, name: string | undefined): boolean {
  if (typeof wanted === "number") return wanted === port;
  const range = parsePorts(wanted)!;
  return typeof range === "string" ? range === name : port >= range.first && port <= range.last;
}

function protocolOf({ protocol }: Call): number {
  return protocol === "UDP" ? UDP : TCP;
}

/** Returns the protocol that a call is bound to, by its own word or by what is said; undefined: whatever a port has. */
function askedProtocol(call: Call): number | undefined {
  const goesOverTcp = ["http", "http2", "tls"].includes(call.exchange?.kind ?? "auto");
  return call.protocol === undefined && !goesOverTcp ? undefined : protocolOf(call);
}

function sharesOf(shares: Readonly<Partial<Record<Ending, number>>>): WeightedChoice<Ending> {
  return new WeightedChoice(Object.entries(shares) as [Ending, number][]);
}

/** Where kubelets listen (Kubernetes: Ports and Protocols); nodes declare no ports. */
const KUBELET_PORT = 10250;

function isOpenAt({ kind, pod, addresses }: Party, { port, protocol }: Listener, { serviceIndex }: Cluster): boolean {
  if (kind === "outside" || (kind === "node" && port === KUBELET_PORT && protocol === TCP)) return true;
  if (pod?.ports.some((each) => each.port === port && each.protocol === protocol)) return true;
  return Object.values(addresses).some((address) => serviceIndex.isServing(address, protocol, port));
}
