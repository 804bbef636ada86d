import { type Lookup, makeLookup } from "./dnsMessages.ts";
import type { Addresses, End } from "./lanes.ts";
import type { Random } from "./random.ts";
import { applications, gatewayAddresses, outsideHosts, type WorldPod, type WorldWorkload, workload, workloads } from "./world.ts";

/** A party as conversations need it; node -1 is outside. */
export interface Party extends Addresses {
  readonly node: number;
}

/** Who talks to whom and how often. */
export interface Route {
  readonly weight: number;
  readonly clients: (random: Random) => Party;
  readonly servers: readonly Party[];
  readonly port: number;
  /** What the first bytes look like. */
  readonly speaks: "http" | "tls" | "binary";
  /** Some frames show the Service's address instead of the backend's, as on a pod's own interface. */
  readonly service?: End;
}

const pick =
  (list: readonly Party[]) =>
  (random: Random): Party =>
    random.pick(list);

/** Browsers: any of 131,072 addresses (RFC 2544). */
const anyBrowser = (random: Random): Party => ({
  v4: Uint8Array.of(198, 18 + random.below(2), random.below(256), random.below(256)),
  node: -1,
});

const httpsHosts = outsideHosts;
const blockedHosts = outsideHosts.filter(({ v4 }) => v4[0] === 203 && v4[3] >= 48);

function route(weight: number, clients: (random: Random) => Party, server: WorldWorkload, speaks: Route["speaks"], port?: number): Route {
  const direct = { weight, clients, servers: server.pods, port: port ?? server.ports[0].port, speaks };
  if (port !== undefined || server.service === undefined) return direct;
  return { ...direct, service: { ...server.clusterAddress, port: server.service } };
}

function applicationRoutes(namespace: string, next: string): Route[] {
  const [web, api, worker, db, cache] = ["web", "api", "worker", "db", "cache"].map((name) => workload(namespace, name));
  const outside = { servers: httpsHosts, port: 443, speaks: "tls" } as const;
  return [
    route(20, pick(workload("ingress", "nginx").pods), web, "http"),
    route(24, pick(web.pods), api, "http"),
    route(12, pick(api.pods), db, "binary"),
    route(12, pick(api.pods), cache, "binary"),
    route(6, pick(worker.pods), db, "binary"),
    route(4, pick(worker.pods), cache, "binary"),
    route(6, pick(api.pods), workload("auth", "api"), "http"),
    { weight: 6, clients: pick(api.pods), ...outside },
    { weight: 3, clients: pick(worker.pods), ...outside },
    ...[web, api].map((each) => route(2, (random) => ({ ...gatewayAddresses(random.below(8)), node: 0 }), each, "http", 8080)),
    ...[web, api, worker, db, cache].map((each) => route(1, pick(workload("monitoring", "prometheus").pods), each, "http", 9102)),
    // What the policies deny.
    route(1.5, pick(worker.pods), workload(next, "db"), "binary"),
    route(1, pick(web.pods), db, "binary"),
    { weight: 0.7, clients: pick(worker.pods), servers: httpsHosts, port: 25, speaks: "binary" },
    { weight: 0.8, clients: pick(api.pods), servers: blockedHosts, port: 443, speaks: "tls" },
  ];
}

/** TCP. */
export const tcpRoutes: readonly Route[] = [
  ...applications.flatMap((namespace, i) => applicationRoutes(namespace, applications[(i + 1) % applications.length])),
  route(90, anyBrowser, workload("ingress", "nginx"), "tls", 8443),
];

const podsOnNetwork: readonly WorldPod[] = workloads.filter((each) => !each.hostNetwork).flatMap((each) => each.pods);
const applicationPods = workloads
  .filter((each) => (applications as readonly string[]).includes(each.namespace))
  .flatMap((each) => each.pods);

/** Every pod asks kube-dns. */
export const dnsRoute: Route = route(1, pick(podsOnNetwork), workload("kube-system", "kube-dns"), "binary");

/** UDP that is not DNS: metrics to the collectors, QUIC and time from outside. */
export const udpRoutes: readonly Route[] = [
  route(10, pick(applicationPods), workload("monitoring", "collector"), "binary"),
  { weight: 5, clients: pick(applicationPods), servers: httpsHosts, port: 443, speaks: "binary" },
  { weight: 2, clients: pick(applicationPods), servers: httpsHosts, port: 123, speaks: "binary" },
];

/** Pings between pods, and from pods to hosts outside. */
export const pingRoutes: readonly Route[] = [
  { weight: 3, clients: pick(podsOnNetwork), servers: podsOnNetwork, port: 0, speaks: "binary" },
  { weight: 1, clients: pick(podsOnNetwork), servers: outsideHosts, port: 0, speaks: "binary" },
];

/** Returns a function that picks routes as often as their weights say. */
export function routePicker(routes: readonly Route[]): (random: Random) => Route {
  let sum = 0;
  const bounds = routes.map((each) => (sum += each.weight));
  return (random) => {
    const at = random.float() * sum;
    return routes[bounds.findIndex((bound) => at < bound)];
  };
}

/**
 * What pods look up, two versions each: Services in full, the same names with the search domains that `ndots:5` tries in
 * vain, and hosts outside.
 */
export function makeLookups(): (readonly [Lookup, Lookup])[] {
  const both = (name: string, v4: readonly Uint8Array[], v6: readonly Uint8Array[], missing = false): [Lookup, Lookup] => [
    makeLookup(name, 4, v4, missing),
    makeLookup(name, 6, v6, missing),
  ];
  const services = workloads
    .filter((each) => each.service !== undefined)
    .map((each) => both(`${each.name}.${each.namespace}.svc.cluster.local`, [each.clusterAddress.v4], []));
  const missed = applications.flatMap((namespace) =>
    ["svc.cluster.local", "cluster.local"].map((domain) => both(`api.auth.${namespace}.${domain}`, [], [], true)),
  );
  const outside = outsideHosts.map((host) => both(host.name, [host.v4], host.v6 === undefined ? [] : [host.v6]));
  return [...services, ...services, ...missed, ...outside];
}
