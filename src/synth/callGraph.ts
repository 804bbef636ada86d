import type { Labels, Pod, Service, ServicePort } from "../cluster/objects.ts";
import type { Cluster } from "../cluster/snapshot.ts";
import { livingPods, ownedKey } from "../cluster/workloads.ts";
import { compare } from "../net/order.ts";
import { UDP } from "../net/protocol.ts";
import type { Tier } from "./profile.ts";

/*
 * Who plausibly calls which Service. A snapshot does not say; names, labels, types and ports hint at it: what takes outside clients,
 * what stands behind that, what keeps data. Nothing here hangs on a seed.
 */

/** The pods of one workload. */
export interface WorkloadPods {
  /** As `ownedKey` writes it. */
  readonly key: string;
  readonly namespace: string;
  readonly pods: readonly Pod[];
  readonly tier: Tier;
}

/** Who calls a Service: workloads, and perhaps the outside. */
export interface Callers {
  readonly workloads: readonly WorkloadPods[];
  readonly isFromOutside: boolean;
}

const DATA =
  /(^|[-_.])(postgres(ql)?|pg|mysql|mariadb|mongo(db)?|redis|valkey|memcached?|cache|cassandra|scylla|etcd|kafka|rabbitmq|nats|elastic(search)?|opensearch|minio|db|database|sql|zookeeper|clickhouse|influxdb?|cockroach(db)?|storage|queue)([-_.]|\d|$)/;
const DATA_PORTS = new Set([1433, 2181, 2379, 3306, 4222, 5432, 5672, 6379, 8086, 9042, 9092, 9200, 11211, 26257, 27017]);
const ENTRY = /(^|[-_.])(ingress|gateway|edge|haproxy|traefik|envoy|istio-ingressgateway|proxy|router)([-_.]|\d|$)/;
const FRONT = /(^|[-_.])(front(end)?|web|ui|www|site|portal|dashboard|bff|storefront|console)([-_.]|\d|$)/;
const SYSTEM_NAMESPACES = /^(kube-.*|.*-system|monitoring|observability|logging|cert-manager|istio-.*|linkerd.*|argocd|flux.*)$/;

/** Labels by which people say what a workload is. */
const NAMING_LABELS = ["app.kubernetes.io/name", "app.kubernetes.io/component", "app", "k8s-app", "component", "tier", "role", "name"];

function wordsOf(name: string, labels: Labels): readonly string[] {
  return [name, ...NAMING_LABELS.flatMap((key) => (Object.hasOwn(labels, key) ? [labels[key]] : []))].map((word) => word.toLowerCase());
}

/** Returns where a Service stands. */
export function tierOfService({ namespace, name, labels, type, ports }: Service): Tier {
  const words = wordsOf(name, labels);
  const says = (pattern: RegExp) => words.some((word) => pattern.test(word));
  if (ports.some(({ port, protocol }) => port === 53 && protocol === UDP)) return "dns";
  if (type === "LoadBalancer" || type === "NodePort" || says(ENTRY)) return "entry";
  if (SYSTEM_NAMESPACES.test(namespace) || (namespace === "default" && name === "kubernetes")) return "system";
  if (ports.some(({ port }) => DATA_PORTS.has(port)) || says(DATA)) return "data";
  return says(FRONT) ? "front" : "middle";
}

/** In which order a call passes through the tiers. */
const RANK: Readonly<Record<Tier, number>> = { entry: 0, front: 1, middle: 2, data: 3, system: 4, dns: 5 };

/** The call graph of a cluster. Immutable. */
export class CallGraph {
  readonly services: readonly Service[];
  readonly #tiers: ReadonlyMap<Service, Tier>;
  readonly #workloads: readonly WorkloadPods[];
  readonly #tierByKey: ReadonlyMap<string, Tier>;
  /** Keys of the workloads behind each Service. */
  readonly #behind: ReadonlyMap<Service, ReadonlySet<string>>;

  constructor(cluster: Cluster) {
    this.services = [...cluster.services].sort((a, b) => compare(a.namespace, b.namespace) || compare(a.name, b.name));
    const tiers = new Map(this.services.map((service) => [service, tierOfService(service)]));
    // Where nothing takes outside clients, what people look at does.
    if (![...tiers.values()].includes("entry")) for (const [service, tier] of tiers) if (tier === "front") tiers.set(service, "entry");
    this.#tiers = tiers;
    const byWorkload = Map.groupBy(
      livingPods(cluster.pods).filter(({ hostNetwork, addresses: own }) => !hostNetwork && own.length > 0),
      ({ workload: { kind, namespace, name } }) => ownedKey(kind, namespace, name),
    );
    const sorted = [...byWorkload].sort(([a], [b]) => compare(a, b));
    const keyOfAddress = new Map(sorted.flatMap(([key, pods]) => pods.flatMap((pod) => pod.addresses.map((each) => [each, key] as const))));
    const keysBehind = new Map(
      this.services.map((service) => {
        const keys = cluster.serviceIndex.backendsOf(service).map(({ address }) => keyOfAddress.get(address));
        return [service, new Set(keys.filter((key) => key !== undefined))];
      }),
    );
    const tiersOf = new Map<string, Tier[]>();
    for (const [service, keys] of keysBehind) for (const key of keys) tiersOf.set(key, [...(tiersOf.get(key) ?? []), tiers.get(service)!]);
    this.#workloads = sorted.map(([key, pods]) => ({
      key,
      namespace: pods[0].namespace,
      pods,
      tier: tierOfWorkload(pods[0], tiersOf.get(key) ?? []),
    }));
    this.#tierByKey = new Map(this.#workloads.map(({ key, tier }) => [key, tier]));
    this.#behind = keysBehind;
  }

  tierOf(service: Service): Tier {
    return this.#tiers.get(service)!;
  }

  /** Returns the tier of the workload that a pod belongs to; undefined of pods that have no network of their own. */
  tierOfPod({ workload: { kind, namespace, name } }: Pod): Tier | undefined {
    return this.#tierByKey.get(ownedKey(kind, namespace, name));
  }

  /**
   * Returns who calls one port of a Service. What tells of itself on a port is asked there by whoever collects that, of all namespaces;
   * where nobody does, nobody asks, unless the Service has no other port.
   */
  callersOfPort(service: Service, { name = "", port }: ServicePort): Callers {
    const isMetrics = METRICS.test(name.toLowerCase()) || METRICS_PORTS.has(port);
    if (!isMetrics || service.ports.length < 2) return this.callersOf(service);
    const behind = this.#behind.get(service)!;
    const scrapers = this.#workloads.filter(
      ({ key, pods: [pod] }) => !behind.has(key) && wordsOf(pod.workload.name, pod.labels).some((word) => SCRAPER.test(word)),
    );
    return { workloads: scrapers, isFromOutside: false };
  }

  /**
   * Returns who calls a Service: of its own namespace the nearest tier before it that has anybody, then any other workload there, then
   * the entries of other namespaces, then whoever there is. Nobody calls what it stands behind itself. Every Service has a caller,
   * unless there are no pods; where nobody else is left it is the outside.
   */
  callersOf(service: Service): Callers {
    const tier = this.tierOf(service);
    const behind = this.#behind.get(service)!;
    const others = this.#workloads.filter((each) => !behind.has(each.key));
    const here = others.filter(({ namespace }) => namespace === service.namespace);
    const entries = others.filter((each) => each.tier === "entry");
    if (tier === "entry") return { workloads: [], isFromOutside: true };
    if (tier === "dns") return orOutside(others);
    if (tier === "system") {
      const apps = others.filter((each) => each.tier !== "system");
      const beside = others.filter((each) => each.namespace === service.namespace);
      // The API server is asked by what runs the cluster; what collects is sent to by all; the rest is asked by its neighbours.
      const first = service.namespace === "default" ? others.filter((each) => each.tier === "system") : collects(service) ? apps : beside;
      return orOutside(first.length > 0 ? first : others);
    }
    if (tier === "front" && entries.length > 0) return orOutside(entries);
    for (let rank = RANK[tier] - 1; rank >= RANK.front; rank--) {
      const before = here.filter((each) => RANK[each.tier] === rank);
      if (before.length > 0) return orOutside(before);
    }
    const beside = here.filter((each) => RANK[each.tier] <= RANK[tier]);
    if (beside.length > 0 && tier === "data") return orOutside(beside);
    if (entries.length > 0) return orOutside(entries);
    return orOutside(here.length > 0 ? here : others);
  }
}

/** Ports on which programs tell of themselves, by name or number (Prometheus: default port allocations). */
const METRICS = /(^|[-_.])(metrics|prometheus|exporter)([-_.]|$)/;
const METRICS_PORTS = new Set([9100, 9113, 9121, 9150, 9153, 9187]);
const SCRAPER = /(^|[-_.])(prometheus|vmagent|victoria-?metrics|alloy|grafana-agent|otel|opentelemetry)([-_.]|\d|$)/;

const COLLECTING =
  /(^|[-_.])(statsd|collector|otel|opentelemetry|jaeger|zipkin|tempo|fluent(d|bit)?|loki|graylog|pushgateway|telegraf)([-_.]|\d|$)/;

function collects({ name, labels, ports }: Service): boolean {
  return ports.some(({ protocol }) => protocol === UDP) || wordsOf(name, labels).some((word) => COLLECTING.test(word));
}

function orOutside(workloads: readonly WorkloadPods[]): Callers {
  return { workloads, isFromOutside: workloads.length === 0 };
}

/** A workload stands where the first of its Services does; one without any works behind the scenes. */
function tierOfWorkload(pod: Pod, tiers: readonly Tier[]): Tier {
  if (tiers.length > 0) return tiers.reduce((a, b) => (RANK[b] < RANK[a] ? b : a));
  const words = wordsOf(pod.workload.name, pod.labels);
  const says = (pattern: RegExp) => words.some((word) => pattern.test(word));
  if (SYSTEM_NAMESPACES.test(pod.namespace)) return "system";
  return says(DATA) ? "data" : says(FRONT) ? "front" : "middle";
}
