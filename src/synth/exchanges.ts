import type { Address } from "../net/address.ts";
import { UDP } from "../net/protocol.ts";
import type { Exchange } from "./conversation.ts";
import type { ExchangeSpec, RequestSpec, Spread, Tier } from "./profile.ts";
import { type Random, WeightedChoice } from "./random.ts";
import { Drawn, microseconds, SECOND } from "./units.ts";

/** What is said on one connection. */
export interface Talk {
  readonly exchanges: readonly Exchange[];
  /** Microseconds between an answer and the next request. */
  readonly pause: number;
}

/** To whom it is said. */
export interface Addressee {
  /** What the client called, by name where there is one. */
  readonly host: string;
  /** The client's namespace, in whose search path it looks names up. */
  readonly namespace: string | undefined;
}

/** Draws what is said on a connection. */
export type DrawTalk = (random: Random, addressee: Addressee) => Talk;

/** Looks a name up; undefined where there is no such name. */
export type Resolve = (name: string, family: 4 | 6) => readonly Address[] | undefined;

type Kind = Exclude<NonNullable<ExchangeSpec["kind"]>, "auto">;

const MOST_BYTES = 2 ** 26;
/** Of one connection: records count bytes in 32 bits. */
const MOST_CONNECTION_BYTES = 2 ** 30;
/** Payload of one exchange over UDP that no real protocol goes beyond. */
const MOST_UDP_BYTES = 60_000;
const MOST_EXCHANGES = 1000;
const LONGEST_PAUSE = 3600 * SECOND;

/** Sizes as they are usual for a kind of traffic; a profile says others. */
const USUAL: Readonly<Record<Kind, { readonly request: Spread; readonly response: Spread }>> = {
  http: { request: { median: 400, sigma: 0.8 }, response: { median: 2000, sigma: 1.2 } },
  http2: { request: { median: 300, sigma: 0.8 }, response: { median: 1200, sigma: 1 } },
  tls: { request: { median: 600, sigma: 0.7 }, response: { median: 4000, sigma: 1.2 } },
  bytes: { request: { median: 150, sigma: 0.6 }, response: { median: 900, sigma: 1.2 } },
  dns: { request: { median: 0 }, response: { median: 0 } },
};

/** Of UDP other than DNS, which mostly is one-way: metrics, logs. */
const USUAL_UDP = { request: { median: 120, sigma: 0.5 }, response: { median: 0 } };

/** Methods whose requests have a body (RFC 9110 section 9.3). */
const WITH_BODY = new Set(["POST", "PUT", "PATCH"]);
/** Answers that have none (RFC 9110 section 6.4.1). */
const WITHOUT_BODY = new Set([204, 205, 304]);

const USUAL_REQUESTS: readonly RequestSpec[] = [
  { path: "/", weight: 3 },
  { path: "/healthz", weight: 1 },
  { path: "/api/items", weight: 4 },
  { method: "POST", path: "/api/items", status: 201, weight: 1 },
];

const TLS_PORTS = new Set([443, 6443, 8443, 10250]);
const HTTP_PORTS = new Set([80, 3000, 5000, 8000, 8080, 8081, 8888, 9090, 9100]);

/** Returns what is probably spoken at a port, by its name, its number and where it stands. */
export function kindAt(port: number, name: string, protocol: number, tier: Tier | undefined): Kind {
  if (port === 53) return "dns";
  if (protocol === UDP) return "bytes";
  if (/^(https|tls|ssl)/.test(name) || TLS_PORTS.has(port)) return "tls";
  if (/^(grpc|http2|h2c)/.test(name) || port === 50051) return "http2";
  if (/^(http|web|metrics|api|ui)/.test(name) || HTTP_PORTS.has(port)) return "http";
  return tier === "front" || tier === "middle" || tier === "entry" ? "http" : "bytes";
}

/** Makes what draws the exchanges of connections of one kind. `names`: what may be looked up where the profile names nothing. */
export function compileTalk(spec: ExchangeSpec, kind: Kind, protocol: number, names: readonly string[], resolve: Resolve): DrawTalk {
  const usual = kind === "bytes" && protocol === UDP ? USUAL_UDP : USUAL[kind];
  const most = protocol === UDP ? MOST_UDP_BYTES : MOST_BYTES;
  const response = spec.response ?? usual.response;
  const count = new Drawn(spec.count ?? { median: 1 }, 1, MOST_EXCHANGES);
  const pause = spec.pause ?? { median: "20ms", sigma: 0.5 };
  const pauses = new Drawn({ median: microseconds(pause.median), sigma: pause.sigma ?? 0 }, 0, LONGEST_PAUSE);
  const one = drawExchange(spec, kind, {
    // A client that says nothing has no connection that anybody could see.
    request: new Drawn(spec.request ?? usual.request, kind === "bytes" || kind === "tls" ? 1 : 0, most),
    response: new Drawn(response, response.median > 0 ? 1 : 0, most),
    names: spec.names ?? names,
    resolve,
  });
  return (random, addressee) => {
    const times = count.draw(random);
    if (times === 1) return { exchanges: [one(random, addressee)], pause: 0 };
    const exchanges: Exchange[] = [];
    for (let i = 0, bytes = 0; i < times && bytes < MOST_CONNECTION_BYTES; i++) {
      const exchange = one(random, addressee);
      exchanges.push(exchange);
      if (exchange.kind !== "dns") bytes += exchange.request + exchange.response;
    }
    return { exchanges, pause: pauses.draw(random) };
  };
}

interface Parts {
  readonly request: Drawn;
  readonly response: Drawn;
  readonly names: readonly string[];
  readonly resolve: Resolve;
}

function drawExchange(spec: ExchangeSpec, kind: Kind, parts: Parts): (random: Random, addressee: Addressee) => Exchange {
  const { request, response } = parts;
  switch (kind) {
    case "bytes":
      return (random) => ({ kind, request: request.draw(random), response: response.draw(random) });
    case "tls":
      return (random, { host }) => ({
        kind,
        serverName: spec.host ?? host,
        request: request.draw(random),
        response: response.draw(random),
      });
    case "http":
    case "http2": {
      const requests = new WeightedChoice(withWeights(spec.requests ?? USUAL_REQUESTS));
      return (random, { host }) => {
        const { method = "GET", path, status = 200 } = requests.choose(random);
        const sent = WITH_BODY.has(method) ? request.draw(random) : 0;
        const answered = method === "HEAD" || WITHOUT_BODY.has(status) ? 0 : response.draw(random);
        return { kind, method, path, host: spec.host ?? host, request: sent, status, response: answered };
      };
    }
    case "dns":
      return drawLookup(spec, parts);
  }
}

function withWeights(requests: readonly RequestSpec[]): [RequestSpec, number][] {
  const weighted = requests.map((request): [RequestSpec, number] => [request, request.weight ?? 1]);
  return weighted.some(([, weight]) => weight > 0) ? weighted : weighted.map(([request]) => [request, 1]);
}

/** What a resolver asks: both families of a name, and names that it has put its search path behind (resolv.conf: search, ndots). */
function drawLookup({ missing = 0 }: ExchangeSpec, { names, resolve }: Parts): (random: Random, addressee: Addressee) => Exchange {
  const asked = names.length > 0 ? names : ["kubernetes.default.svc.cluster.local"];
  return (random, { namespace = "default" }) => {
    const name = asked[random.below(asked.length)];
    const isIPv4 = random.word() % 2 === 0;
    if (random.uniform() < missing) return lookup(withSearchPath(name, namespace), isIPv4 ? 4 : 6, () => undefined);
    return lookup(name, isIPv4 ? 4 : 6, resolve);
  };
}

function withSearchPath(name: string, namespace: string): string {
  const longer = `${name}.${namespace}.svc.cluster.local`;
  return longer.length <= 253 ? longer : `missing.${namespace}.svc.cluster.local`;
}

/** Returns the query for one family of a name, with its answer. */
export function lookup(name: string, family: 4 | 6, resolve: Resolve): Exchange {
  const answers = resolve(name, family);
  return { kind: "dns", name, type: family === 4 ? "A" : "AAAA", answers: answers ?? [], missing: answers === undefined };
}
