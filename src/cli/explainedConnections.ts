import type { ContainerPort, Service, ServicePort } from "../cluster/objects.ts";
import { selectorOfLabels, selects } from "../cluster/selector.ts";
import type { Cluster } from "../cluster/snapshot.ts";
import type { EndpointResolver } from "../evaluate/endpoints.ts";
import type { Ends } from "../evaluate/ends.ts";
import type { Evaluator, Participant, World } from "../evaluate/evaluator.ts";
import type { IsUnread, Packet } from "../evaluate/judge.ts";
import {
  directEnds,
  endsByBackend,
  type Family,
  familyOf,
  headlessBackends,
  namesFamily,
  type Outside,
  type Stand,
  standOfAddress,
  standOfNode,
  standOfPod,
  standsOfPods,
} from "../evaluate/stands.ts";
import type { Workloads } from "../generate/workloads.ts";
import type { Address } from "../net/address.ts";
import { protocolName, TCP } from "../net/protocol.ts";
import type { PolicySet } from "../policy/model.ts";
import type { ExplainedPort } from "../report/explanation.ts";
import { listed } from "../report/text.ts";
import type { NamedEnd } from "./endpointText.ts";
import { UsageError } from "./errors.ts";
import type { PortsText, PortText } from "./portText.ts";

/** What every question on the connections hangs on. */
export interface Setting {
  readonly cluster: Cluster;
  readonly set: PolicySet;
  readonly world: World;
  readonly evaluator: Evaluator;
  readonly resolver: EndpointResolver;
  /** What stands for the outside in each family, where an end is `external`; a family without any such address is not there. */
  readonly outsides: ReadonlyMap<Family, Outside> | undefined;
  readonly workloads: Workloads;
  readonly isUnread: IsUnread | undefined;
}

/** One connection that is judged, with the pods that it stands for. */
export interface Asked {
  readonly ends: Ends;
  readonly packet: Packet;
  readonly port: ExplainedPort;
  /** Of the addresses at both ends; undefined where neither has any (templates). */
  readonly family: Family | undefined;
  readonly source: Stand;
  readonly destination: Stand | undefined;
}

/**
 * Returns every connection that two named ends and a port stand for, in each family in which both have addresses. Throws a UsageError
 * where there is no such family, or the port is none of the destination's.
 */
export function connectionsOf(source: NamedEnd, destination: NamedEnd, port: PortText | undefined, setting: Setting): Asked[] {
  const families = familiesBetween(source, destination, setting);
  if (families.length === 0)
    throw new UsageError(
      `${source.label} and ${destination.label} have no addresses of one family, so that no connection is possible: one has IPv4 alone, the other IPv6`,
    );
  const asked = families.flatMap((family) => connectionsIn(family, source, destination, port, setting));
  const isService =
    destination.kind === "service" || (destination.kind === "address" && setting.cluster.serviceIndex.isVirtual(destination.address));
  if (asked.length === 0 && port !== undefined && !isService) {
    const to = standsOf(destination, { ...setting, family: families[0], perNode: false });
    throw new UsageError(
      noSuchPort(port, destination.label, declaredBy(destination.kind === "pods" ? destination.pods : to.flatMap(({ pods }) => pods))),
    );
  }
  // A pod always reaches itself: of several pods, nobody asks about that.
  const others = asked.filter(({ ends }) => !isToItself(ends));
  return others.length > 0 ? others : asked;
}

/** Returns the families in which both ends have addresses; undefined stands for ends of which neither has any. */
function familiesBetween(source: NamedEnd, destination: NamedEnd, { set, cluster, outsides }: Setting): (Family | undefined)[] {
  const [from, to] = [familiesOf(source, cluster), familiesOf(destination, cluster)];
  if (from !== undefined || to !== undefined)
    return ([4, 6] as const).filter((family) => from?.has(family) !== false && to?.has(family) !== false);
  if (outsides === undefined) return [undefined];
  // Which families a cluster of manifests has is not known: IPv6 matters where somebody wrote a rule for it.
  return namesFamily(set, 6) ? [4, 6] : [4];
}

/** Returns the families in which an end has addresses; undefined where it has none, or those of every family. */
function familiesOf(end: NamedEnd, { serviceIndex }: Cluster): ReadonlySet<Family> | undefined {
  const addresses = addressesOf(end, serviceIndex);
  return addresses.length === 0 ? undefined : new Set(addresses.map(familyOf));
}

function addressesOf(end: NamedEnd, serviceIndex: Cluster["serviceIndex"]): readonly Address[] {
  switch (end.kind) {
    case "pods":
      return end.pods.flatMap(({ addresses }) => addresses);
    case "node":
      return end.node.addresses;
    case "address":
      return [end.address];
    case "external":
      return [];
    case "service": {
      const { addresses } = end.service;
      return addresses.length > 0 ? addresses : serviceIndex.backendsOf(end.service).map(({ address }) => address);
    }
  }
}

function connectionsIn(
  family: Family | undefined,
  source: NamedEnd,
  destination: NamedEnd,
  port: PortText | undefined,
  setting: Setting,
): Asked[] {
  const perNode = [source, destination].some(
    (end) => end.kind === "node" || end.kind === "address" || (end.kind === "pods" && end.pods.some(({ hostNetwork }) => hostNetwork)),
  );
  const around = { ...setting, family, perNode };
  const from = standsOf(source, around);
  if (destination.kind === "service") return from.flatMap((stand) => toService(stand, destination, port, around));
  const dialled = destination.kind === "address" ? destination.address : undefined;
  if (dialled !== undefined && setting.cluster.serviceIndex.isVirtual(dialled)) return toVirtualAddress(from, dialled, port, around);
  const onNode = toNodePort(from, destination, port, around);
  if (onNode.length > 0) return onNode;
  const to = standsOf(destination, around, from[0]?.participant);
  return to.flatMap((other) =>
    portsAt(other, port, setting).flatMap((each) =>
      from.map((stand): Asked => {
        const [a, b] = apart(stand, other, around);
        return {
          ends: directEnds(a, b, each.port),
          packet: packetOf(each.protocol),
          port: each,
          family,
          source: stand,
          destination: other,
        };
      }),
    ),
  );
}

function isToItself({ source, targets: [target] }: Ends): boolean {
  return source.type === "pod" && target?.participant.type === "pod" && target.participant.pod === source.pod;
}

type Around = Setting & { readonly family: Family | undefined; readonly perNode: boolean };

/** Reports whether an end with these addresses takes part in a family; one without any (a template) takes part in each. */
function isIn(family: Family | undefined, addresses: readonly Address[]): boolean {
  return family === undefined || addresses.length === 0 || addresses.some((address) => familyOf(address) === family);
}

/** What stands for the outside in a family. Throws a UsageError where nothing does. */
function outsideIn({ outsides, family = 4 }: Around): Outside {
  const outside = outsides?.get(family);
  if (outside !== undefined) return outside;
  throw new UsageError(
    `external: rules name prefixes around every outside IPv${family} address that was tried; name the address that is meant`,
  );
}

function standsOf(end: NamedEnd, around: Around, from?: Participant): Stand[] {
  switch (end.kind) {
    case "pods":
      return standsOfPods(
        end.pods.filter(({ addresses }) => isIn(around.family, addresses)),
        around,
      );
    case "node":
      return [standOfNode(end.node, around)];
    case "address":
      return [standOfAddress(end.address, around, from)];
    case "external":
      return [{ ...standOfAddress(outsideIn(around).address, around), endpoint: { type: "external" } }];
    case "service":
      return [];
  }
}

/** Of pods that are alike, two stand for a connection between them: a pod always reaches itself. */
function apart(source: Stand, destination: Stand, around: Around): [Stand, Stand] {
  const [from] = source.pods;
  const other = destination.pods.find((pod) => pod !== from);
  if (from === undefined || other === undefined || destination.pods[0] !== from) return [source, destination];
  return [source, { ...standOfPod(other, around), pods: destination.pods }];
}

export function packetOf(protocol: number): Packet {
  return { protocol, sourcePort: -1, hasIcmpType: true, requests: () => [] };
}

/** A port that no rule names stands for all of them, where nobody says which is meant. */
function portsAt({ pods }: Stand, port: PortText | undefined, { evaluator }: Setting): ExplainedPort[] {
  const declared = pods.flatMap((pod) => pod.ports);
  if (port === undefined) {
    if (declared.length === 0) return [{ protocol: TCP, port: unnamedPort(evaluator), isAny: true }];
    const byKey = new Map(declared.map((each) => [`${each.protocol}/${each.port}`, each]));
    return [...byKey.values()].map(({ protocol, port: number, name }) => ({
      protocol,
      port: number,
      ...(name === undefined ? {} : { name }),
    }));
  }
  if (port.kind === "protocol") return [{ protocol: port.protocol, port: 0 }];
  if (port.kind !== "name") return [{ protocol: port.protocol, port: port.port }];
  const named = declared.filter(({ name, protocol }) => name === port.name && (port.protocol ?? protocol) === protocol);
  const byKey = new Map(named.map((each) => [`${each.protocol}/${each.port}`, each]));
  return [...byKey.values()].map(({ protocol, port: number }) => ({ protocol, port: number, name: port.name }));
}

/** Returns the middle of the longest range of TCP ports that no rule cuts. */
function unnamedPort({ ports }: Evaluator): number {
  const ranges = rangesOf(ports.samples, TCP);
  const longest = ranges.reduce((a, b) => (b.last - b.first > a.last - a.first ? b : a));
  return Math.floor((longest.first + longest.last) / 2);
}

/** Returns the ranges of a protocol's ports that no rule tells apart. */
export function rangesOf(samples: Evaluator["ports"]["samples"], protocol: number): { first: number; last: number }[] {
  const starts = [...new Set(samples.filter((sample) => sample.protocol === protocol).map(({ port }) => port))].sort((a, b) => a - b);
  return starts
    .map((first, i) => ({ first: Math.max(first, 1), last: (starts[i + 1] ?? 65536) - 1 }))
    .filter(({ first, last }) => first <= last);
}

/** Returns the ports that pods or Services have, as people write them. */
export function declaredBy(ends: readonly { readonly ports: readonly (ContainerPort | ServicePort)[] }[]): string[] {
  const ports = ends.flatMap((end) => end.ports);
  return [
    ...new Set(ports.map(({ name, port, protocol }) => `${name === undefined ? "" : `${name} = `}${port}/${protocolName(protocol)}`)),
  ];
}

/** Says that an end lacks a port. `known`: those that it has. */
export function noSuchPort(port: PortText | PortsText, label: string, known: readonly string[]): string {
  const wanted = port.kind === "name" ? `port named \`${port.name}\`` : "such port";
  return `${label} has no ${wanted}${known.length === 0 ? ": it declares none" : ` (it has ${listed(known)})`}`;
}

/** Connections to each of a Service's ports, or the one that is meant. */
function toService(
  source: Stand,
  { service, label }: Extract<NamedEnd, { kind: "service" }>,
  port: PortText | undefined,
  around: Around,
): Asked[] {
  const ports = servicePorts(service.ports, port, label);
  const { family } = around;
  const address = service.addresses.find((each) => family === undefined || familyOf(each) === family);
  return ports.flatMap(({ protocol, port: dialled, name }): Asked[] => {
    const packet = packetOf(protocol);
    const named = name === undefined ? {} : { name };
    const ofTemplates = toTemplates(source, service, { protocol, dialled, named }, around);
    if (ofTemplates.length > 0) return ofTemplates;
    if (address === undefined) {
      const backends = headlessBackends(service, around.cluster, protocol).filter((backend) => isIn(family, [backend.address]));
      return backends.map((backend) => {
        const destination = standOfAddress(backend.address, around, source.participant);
        const ends = directEnds(source, destination, backend.port);
        return { ends, packet, port: { protocol, port: backend.port, ...named }, family, source, destination };
      });
    }
    return (endsByBackend(source, address, dialled, protocol, around.resolver) ?? []).map((ends) =>
      askedOf(ends, packet, dialled, named, source, around),
    );
  });
}

/** Connections to the pods that a Service would lead to, where manifests hold their workloads and no pod is there yet. */
function toTemplates(
  source: Stand,
  service: Service,
  { protocol, dialled, named }: { protocol: number; dialled: number; named: { name?: string } },
  around: Around,
): Asked[] {
  const { serviceIndex, templatePods } = around.cluster;
  if (service.selector === undefined || headlessBackends(service, around.cluster, protocol).length > 0) return [];
  const selector = selectorOfLabels(Object.entries(service.selector));
  const pods = templatePods.filter((pod) => pod.namespace === service.namespace && selects(selector, pod.labels));
  const index = service.ports.findIndex((port) => port.port === dialled && port.protocol === protocol);
  return standsOfPods(pods, around).flatMap((destination): Asked[] => {
    const port = serviceIndex.targetPortOn(destination.pods[0], service, index);
    if (port === undefined) return [];
    const address = service.addresses.find((each) => isIn(around.family, [each]));
    const via = address === undefined ? undefined : { address, port: dialled, service: `${service.namespace}/${service.name}` };
    const ends = { ...directEnds(source, destination, port), via };
    return [{ ends, packet: packetOf(protocol), port: { protocol, port, dialled, ...named }, family: around.family, source, destination }];
  });
}

function askedOf(ends: Ends, packet: Packet, dialled: number, named: { name?: string }, source: Stand, { family }: Around): Asked {
  const { protocol } = packet;
  const [target] = ends.targets;
  const pods = target?.participant.type === "pod" ? [target.participant.pod] : [];
  const destination =
    target === undefined
      ? undefined
      : { participant: target.participant, address: target.address, endpoint: ends.destinationEndpoint, pods };
  return { ends, packet, port: { protocol, port: ends.port, dialled, ...named }, family, source, destination };
}

function servicePorts(ports: readonly ServicePort[], port: PortText | undefined, label: string): readonly ServicePort[] {
  if (port === undefined) return ports;
  const found = ports.filter((each) => {
    if (port.kind === "name") return each.name === port.name && (port.protocol ?? each.protocol) === each.protocol;
    return port.kind === "number" && each.port === port.port && each.protocol === port.protocol;
  });
  if (found.length > 0) return found;
  throw new UsageError(noSuchPort(port, label, declaredBy([{ ports }])));
}

/** A node's address and a port of it on which a Service is reached: its backends see the connection, the node does not. */
function toNodePort(from: readonly Stand[], destination: NamedEnd, port: PortText | undefined, around: Around): Asked[] {
  const { cluster, resolver, family } = around;
  if (port?.kind !== "number" || (destination.kind !== "address" && destination.kind !== "node")) return [];
  const address = destination.kind === "node" ? destination.node.addresses.find((each) => isIn(family, [each])) : destination.address;
  const { protocol, port: dialled } = port;
  if (address === undefined || cluster.serviceIndex.find(address, protocol, dialled)?.servicePort === undefined) return [];
  return from.flatMap((source) =>
    (endsByBackend(source, address, dialled, protocol, resolver) ?? []).map((ends) =>
      askedOf(ends, packetOf(protocol), dialled, {}, source, around),
    ),
  );
}

/** A Service's own address, by which it is found like by its name. */
function toVirtualAddress(from: readonly Stand[], address: Address, port: PortText | undefined, around: Around): Asked[] {
  const service = around.cluster.services.find(({ addresses }) => addresses.includes(address));
  const label = service === undefined ? "the Service" : `${service.namespace}/svc/${service.name}`;
  const ports = servicePorts(service?.ports ?? [], port, label);
  return from.flatMap((source) =>
    ports.flatMap(({ protocol, port: dialled, name }) =>
      (endsByBackend(source, address, dialled, protocol, around.resolver) ?? []).map((ends) =>
        askedOf(ends, packetOf(protocol), dialled, name === undefined ? {} : { name }, source, around),
      ),
    ),
  );
}
