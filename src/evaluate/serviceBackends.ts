import type { Service } from "../cluster/objects.ts";
import { selectorOfLabels, selects } from "../cluster/selector.ts";
import type { ServiceIndex } from "../cluster/services.ts";
import type { Address } from "../net/address.ts";
import type { PodMatch, ServiceMatch } from "../policy/model.ts";

/** A backend of a Service, with the port that the Service leads to there. */
export interface ServiceBackend {
  readonly address: Address;
  readonly protocol: number;
  readonly port: number;
}

/** Finds what rules mean by Services: pods where a Service selects them, else the addresses of its endpoints. */
export class ServiceBackends {
  readonly #services: readonly Service[];
  readonly #index: ServiceIndex | undefined;

  constructor(services: readonly Service[], index?: ServiceIndex) {
    this.#services = services;
    this.#index = index;
  }

  find(match: ServiceMatch): { selections: readonly PodMatch[]; addresses: readonly Address[] } {
    const found = this.#services.filter((service) => isMeant(match, service));
    return {
      selections: found.flatMap(({ namespace, selector }) =>
        selector === undefined ? [] : [{ namespaces: { name: namespace }, pods: selectorOfLabels(Object.entries(selector)) }],
      ),
      addresses: found
        .filter(({ selector }) => selector === undefined)
        .flatMap((service) => this.#backends(service).map(({ address }) => address)),
    };
  }

  /** Returns the endpoints of the Services, each with its port. */
  endpoints(match: ServiceMatch): readonly ServiceBackend[] {
    return this.#services.filter((service) => isMeant(match, service)).flatMap((service) => this.#backends(service));
  }

  #backends(service: Service): readonly ServiceBackend[] {
    return this.#index?.backendsOf(service) ?? [];
  }
}

function isMeant(match: ServiceMatch, { namespace, name, labels }: Service): boolean {
  if (match.namespace !== undefined && match.namespace !== namespace) return false;
  return "name" in match ? match.name === name : selects(match.selector, labels);
}
