import type { Service, ServicePort } from "../cluster/objects.ts";
import { selectorOfLabels, selects } from "../cluster/selector.ts";
import type { Cluster } from "../cluster/snapshot.ts";
import type { EndpointResolver } from "../evaluate/endpoints.ts";
import type { Ends } from "../evaluate/ends.ts";
import type { Evaluator, Participant, World } from "../evaluate/evaluator.ts";
import type { IsUnread, Packet } from "../evaluate/judge.ts";
import {
  directEnds,
  endsByBackend,
  headlessBackends,
  type Outside,
  type Stand,
  standOfAddress,
  standOfNode,
  standOfPod,
  standsOfPods,
} from "../evaluate/stands.ts";
import type { Workloads } from "../generate/workloads.ts";
import { type Address, isIPv4 } from "../net/address.ts";
import { protocolName, TCP } from "../net/protocol.ts";
import type { PolicySet } from "../policy/model.ts";
import type { ExplainedPort } from "../report/explanation.ts";
import { listed } from "../report/text.ts";
import type { NamedEnd } from "./endpointText.ts";
import { UsageError } from "./errors.ts";
import type { PortText } from "./portText.ts";

/** What every question on the connections hangs on. */
export interface Setting {
  readonly cluster: Cluster;
  readonly set: PolicySet;
  readonly world: World;
  readonly evaluator: Evaluator;
  readonly resolver: EndpointResolver;
  /** What stands for the outside, where an end is `external`. */
  readonly outside: Outside | undefined;
  readonly workloads: Workloads;
  readonly isUnread: IsUnread;
}

/** One connection that is judged, with the pods that it stands for. */
export interface Asked {
  readonly ends: Ends;
  readonly packet: Packet;
  readonly port: ExplainedPort;
  readonly source: Stand;
  readonly destination: Stand | undefined;
}

/** Returns every connection that two named ends and a port stand for. Throws a UsageError where the port is none of the destination's. */
export function connectionsOf(source: NamedEnd, destination: NamedEnd, port: PortText | undefined, setting: Setting): Asked[] {
  const family = familyOf(source) ?? familyOf(destination);
  const perNode = [source, destination].some(
    (end) => end.kind === "node" || end.kind === "address" || (end.kind === "pods" && end.pods.some(({ hostNetwork }) => hostNetwork)),
  );
  const around = { ...setting, family, perNode };
  const from = standsOf(source, around);
  if (destination.kind === "service") return from.flatMap((stand) => toService(stand, destination, port, around));
  const dialled = destination.kind === "address" ? destination.address : undefined;
  if (dialled !== undefined && setting.cluster.serviceIndex.isVirtual(dialled)) return toVirtualAddress(from, dialled, port, setting);
  const onNode = toNodePort(from, destination, port, setting);
  if (onNode.length > 0) return onNode;
  const to = standsOf(destination, around, from[0]?.participant);
  const asked = to.flatMap((other) =>
    portsAt(other, port, setting).flatMap((each) =>
      from.map((stand): Asked => {
        const [a, b] = apart(stand, other, around);
        return { ends: directEnds(a, b, each.port), packet: packetOf(each.protocol), port: each, source: stand, destination: other };
      }),
    ),
  );
  if (asked.length === 0 && port !== undefined) throw new UsageError(noSuchPort(port, destination.label, declaredBy(to)));
  // A pod always reaches itself: of several pods, nobody asks about that.
  const others = asked.filter(({ ends }) => !isToItself(ends));
  return others.length > 0 ? others : asked;
}

function isToItself({ source, targets: [target] }: Ends): boolean {
  return source.type === "pod" && target?.participant.type === "pod" && target.participant.pod === source.pod;
}

type Around = Setting & { readonly family: 4 | 6 | undefined; readonly perNode: boolean };

function familyOf(end: NamedEnd): 4 | 6 | undefined {
  if (end.kind === "external") return 4;
  const [address] = end.kind === "address" ? [end.address] : end.kind === "service" ? end.service.addresses : [];
  return address === undefined ? undefined : isIPv4(address) ? 4 : 6;
}

function standsOf(end: NamedEnd, around: Around, from?: Participant): Stand[] {
  switch (end.kind) {
    case "pods":
      return standsOfPods(end.pods, around);
    case "node":
      return [standOfNode(end.node, around)];
    case "address":
      return [standOfAddress(end.address, around, from)];
    case "external":
      return around.outside === undefined ? [] : [{ ...standOfAddress(around.outside.address, around), endpoint: { type: "external" } }];
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

function declaredBy(stands: readonly Stand[]): string[] {
  const ports = stands.flatMap(({ pods }) => pods.flatMap((pod) => pod.ports));
  return [
    ...new Set(ports.map(({ name, port, protocol }) => `${name === undefined ? "" : `${name} = `}${port}/${protocolName(protocol)}`)),
  ];
}

function noSuchPort(port: PortText, label: string, known: readonly string[]): string {
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
  const address = service.addresses.find((each) => isIPv4(each) === (around.family !== 6)) ?? service.addresses[0];
  return ports.flatMap(({ protocol, port: dialled, name }): Asked[] => {
    const packet = packetOf(protocol);
    const named = name === undefined ? {} : { name };
    const ofTemplates = toTemplates(source, service, { protocol, dialled, named }, around);
    if (ofTemplates.length > 0) return ofTemplates;
    if (address === undefined) {
      const backends = headlessBackends(service, around.cluster, protocol);
      return backends.map((backend) => {
        const destination = standOfAddress(backend.address, around, source.participant);
        const ends = directEnds(source, destination, backend.port);
        return { ends, packet, port: { protocol, port: backend.port, ...named }, source, destination };
      });
    }
    return (endsByBackend(source, address, dialled, protocol, around.resolver) ?? []).map((ends) =>
      askedOf(ends, packet, dialled, named, source),
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
    const [address] = service.addresses;
    const via = address === undefined ? undefined : { address, port: dialled, service: `${service.namespace}/${service.name}` };
    const ends = { ...directEnds(source, destination, port), via };
    return [{ ends, packet: packetOf(protocol), port: { protocol, port, dialled, ...named }, source, destination }];
  });
}

function askedOf(ends: Ends, packet: Packet, dialled: number, named: { name?: string }, source: Stand): Asked {
  const { protocol } = packet;
  const [target] = ends.targets;
  const pods = target?.participant.type === "pod" ? [target.participant.pod] : [];
  const destination =
    target === undefined
      ? undefined
      : { participant: target.participant, address: target.address, endpoint: ends.destinationEndpoint, pods };
  return { ends, packet, port: { protocol, port: ends.port, dialled, ...named }, source, destination };
}

function servicePorts(ports: readonly ServicePort[], port: PortText | undefined, label: string): readonly ServicePort[] {
  if (port === undefined) return ports;
  const found = ports.filter((each) => {
    if (port.kind === "name") return each.name === port.name && (port.protocol ?? each.protocol) === each.protocol;
    return port.kind === "number" && each.port === port.port && each.protocol === port.protocol;
  });
  if (found.length > 0) return found;
  const known = ports.map((each) => `${each.name === undefined ? "" : `${each.name} = `}${each.port}/${protocolName(each.protocol)}`);
  throw new UsageError(noSuchPort(port, label, known));
}

/** A node's address and a port of it on which a Service is reached: its backends see the connection, the node does not. */
function toNodePort(from: readonly Stand[], destination: NamedEnd, port: PortText | undefined, { cluster, resolver }: Setting): Asked[] {
  if (port?.kind !== "number" || (destination.kind !== "address" && destination.kind !== "node")) return [];
  const address = destination.kind === "node" ? destination.node.addresses.at(0) : destination.address;
  const { protocol, port: dialled } = port;
  if (address === undefined || cluster.serviceIndex.find(address, protocol, dialled)?.servicePort === undefined) return [];
  return from.flatMap((source) =>
    (endsByBackend(source, address, dialled, protocol, resolver) ?? []).map((ends) =>
      askedOf(ends, packetOf(protocol), dialled, {}, source),
    ),
  );
}

/** A Service's own address, by which it is found like by its name. */
function toVirtualAddress(from: readonly Stand[], address: Address, port: PortText | undefined, setting: Setting): Asked[] {
  const service = setting.cluster.services.find(({ addresses }) => addresses.includes(address));
  const label = service === undefined ? "the Service" : `${service.namespace}/svc/${service.name}`;
  const ports = servicePorts(service?.ports ?? [], port, label);
  return from.flatMap((source) =>
    ports.flatMap(({ protocol, port: dialled, name }) =>
      (endsByBackend(source, address, dialled, protocol, setting.resolver) ?? []).map((ends) =>
        askedOf(ends, packetOf(protocol), dialled, name === undefined ? {} : { name }, source),
      ),
    ),
  );
}
