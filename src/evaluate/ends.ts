import type { Address } from "../net/address.ts";
import type { Endpoint, EndpointResolver } from "./endpoints.ts";
import type { Participant } from "./evaluator.ts";

/** Where a connection goes: a participant and the port it listens on there. */
export interface Target {
  readonly participant: Participant;
  readonly address: Address;
  readonly port: number;
}

/** The judged ends of one connection. */
export interface Ends {
  readonly source: Participant;
  readonly sourceAddress: Address;
  readonly sourceEndpoint: Endpoint;
  readonly destinationEndpoint: Endpoint;
  readonly destinationAddress: Address;
  /** The port at the destination: a backend's, or the Service's where the backend is not known. */
  readonly port: number;
  readonly via: { readonly address: Address; readonly port: number; readonly service?: string } | undefined;
  /** Who the destination sees, where a node masqueraded the source; several where it is not known who did, or whether. */
  readonly arrivesFrom: readonly Participant[] | undefined;
  /** One where the destination is known, else the Service's backends; none where it has none. */
  readonly targets: readonly Target[];
}

/**
 * Returns the ends of a connection of which only what was dialled is known: the Service's backends stand for it. Undefined where no
 * Service has that address.
 */
export function dialledEnds(
  resolver: EndpointResolver,
  source: Participant,
  sourceAddress: Address,
  sourceEndpoint: Endpoint,
  address: Address,
  port: number,
  protocol: number,
): Ends | undefined {
  const dialled = resolver.dialled(address, protocol, port);
  if (dialled === undefined) return undefined;
  const { service, backends } = dialled;
  // Backends are told as they are at last, so their addresses are resolved as of then: before, they were perhaps nobody's yet.
  const targets = backends.map((backend) => ({
    participant: resolver.participantOf(backend.address, Number.NaN, source),
    address: backend.address,
    port: backend.port,
  }));
  const only = targets.length === 1 ? targets[0] : undefined;
  // externalTrafficPolicy Cluster: a backend may see the client or the node that took it in (Kubernetes: Service, "Traffic policies").
  const isHidden =
    source.type === "external" && (service.type === "NodePort" || service.type === "LoadBalancer") && service.keepsClient !== true;
  return {
    source,
    sourceAddress,
    sourceEndpoint,
    destinationEndpoint:
      only === undefined ? resolver.serviceEndpoint(service, address) : resolver.endpointOf(only.participant, only.address, Number.NaN),
    destinationAddress: only?.address ?? address,
    port: only?.port ?? port,
    via: { address, port, service: `${service.namespace}/${service.name}` },
    arrivesFrom: isHidden ? [source, ...resolver.masqueradingNodes(address)] : undefined,
    targets,
  };
}
