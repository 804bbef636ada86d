import { type Call, PROFILE_KIND, PROFILE_VERSION, type ProfileSpec, type TrafficProfile } from "./profile.ts";

/*
 * The profiles that come with the program: nothing but values of what users write themselves (`synth --show-profile NAME` prints one),
 * and so they name nobody: they select by tiers (callGraph.ts).
 */

const CALLERS_TO_SERVICES: Call = {
  from: { callers: {} },
  to: { service: {} },
  weight: 8,
  exchange: { count: { median: 1.4, sigma: 0.6 } },
  endings: { finished: 96, reset: 2, refused: 1, unanswered: 1 },
};

const OUTSIDE_TO_ENTRY: Call = {
  from: { external: {} },
  to: { service: { tier: "entry" } },
  weight: 2,
  exchange: { count: { median: 2, sigma: 0.7 } },
  endings: { finished: 97, reset: 3 },
};

const SPECS: Readonly<Record<string, ProfileSpec>> = {
  microservices: {
    description: "Every Service is called by whoever plausibly calls it, by tiers, names and ports; some calls go outside",
    retries: { count: 2, after: "500ms" },
    calls: [
      OUTSIDE_TO_ENTRY,
      CALLERS_TO_SERVICES,
      {
        from: { pods: { tier: "middle" } },
        to: { external: { names: ["api.example.com", "payments.example.net"] } },
        port: 443,
        weight: 0.5,
        exchange: { kind: "tls" },
      },
    ],
  },
  web: {
    description: "People on a site: outside clients in a daily rhythm, pages of various sizes, and what stands behind them",
    rate: 50,
    arrivals: { distribution: "diurnal", period: "100%", peak: "50%", depth: 0.7 },
    calls: [
      {
        ...OUTSIDE_TO_ENTRY,
        weight: 6,
        exchange: {
          requests: [
            { path: "/", weight: 5 },
            { path: "/products", weight: 4 },
            { path: "/products/1042", weight: 3 },
            { path: "/static/site.css", status: 304, weight: 4 },
            { method: "POST", path: "/cart", status: 201, weight: 1 },
            { path: "/favicon.ico", status: 404, weight: 1 },
          ],
          response: { median: 8000, sigma: 1.3 },
          count: { median: 4, sigma: 0.8 },
          pause: { median: "800ms", sigma: 1 },
        },
      },
      { from: { callers: {} }, to: { service: { tier: "front" } }, weight: 5, exchange: { response: { median: 8000, sigma: 1.3 } } },
      { from: { callers: {} }, to: { service: { tier: "middle" } }, weight: 4 },
    ],
  },
  database: {
    description:
      "Applications at their databases, caches and queues: kept connections with many small questions, now and then a large answer",
    rate: 30,
    retries: { count: 3, after: "1s" },
    calls: [
      {
        from: { callers: {} },
        to: { service: { tier: "data" } },
        exchange: {
          kind: "bytes",
          request: { median: 180, sigma: 0.8 },
          response: { median: 1200, sigma: 1.6 },
          count: { median: 6, sigma: 1 },
          pause: { median: "40ms", sigma: 1 },
        },
        endings: { finished: 90, open: 7, reset: 2, refused: 1 },
      },
    ],
  },
  batch: {
    description: "Jobs that run every so often and move much data in a short while",
    rate: 5,
    arrivals: { distribution: "burst", every: "25%", length: "5%", factor: 20 },
    calls: [
      {
        from: { pods: { kinds: ["CronJob", "Job"] } },
        to: { service: { tier: "data" } },
        weight: 4,
        exchange: {
          kind: "bytes",
          request: { median: 2000, sigma: 1 },
          response: { median: 200000, sigma: 1.2 },
          count: { median: 3, sigma: 0.6 },
        },
      },
      {
        from: { pods: { kinds: ["CronJob", "Job"] } },
        to: { external: { names: ["backup.example.com"] } },
        port: 443,
        exchange: { kind: "tls", request: { median: 500000, sigma: 1 }, response: { median: 500, sigma: 0.3 } },
      },
      { from: { callers: {} }, to: { service: { tier: "data" } }, exchange: { kind: "bytes" } },
    ],
    events: [{ run: { pods: { kinds: ["CronJob", "Job"] }, every: "25%", length: "12%" } }],
  },
  dns: {
    description: "Lookups by every pod: names of Services and of the outside in both families, and what search paths ask in vain",
    rate: 100,
    lookups: false,
    calls: [
      {
        from: { pods: {} },
        to: { service: { tier: "dns" } },
        port: 53,
        protocol: "UDP",
        weight: 95,
        exchange: { kind: "dns", missing: 0.3 },
        endings: { finished: 99.5, unanswered: 0.5 },
      },
      // An answer that was cut is asked for again over TCP (RFC 7766).
      { from: { pods: {} }, to: { service: { tier: "dns" } }, port: 53, protocol: "TCP", weight: 5, exchange: { kind: "dns" } },
    ],
  },
  burst: {
    description: "Spikes: calm, and every so often twenty times as much for a while, with refusals",
    rate: 100,
    arrivals: { distribution: "burst", every: "20%", length: "4%", factor: 20 },
    retries: { count: 2, after: "200ms" },
    calls: [
      { ...OUTSIDE_TO_ENTRY, weight: 5, endings: { finished: 90, reset: 6, refused: 2, unanswered: 2 } },
      { ...CALLERS_TO_SERVICES, weight: 5 },
    ],
  },
  scan: {
    description: "One pod goes through all pods and nodes port by port, beside usual traffic",
    rate: 60,
    calls: [
      { ...CALLERS_TO_SERVICES, weight: 1 },
      {
        from: { pods: { count: 1 } },
        to: { pods: {} },
        port: [
          21,
          22,
          23,
          25,
          80,
          110,
          139,
          443,
          445,
          1433,
          2375,
          2379,
          3306,
          3389,
          5432,
          5900,
          6379,
          "8000-8100",
          8443,
          9200,
          10250,
          11211,
          27017,
        ],
        weight: 4,
        order: "sweep",
        exchange: { kind: "bytes", request: { median: 1 }, response: { median: 60, sigma: 0.5 } },
        endings: { reset: 1 },
        closed: { refused: 85, unanswered: 15 },
      },
      {
        from: { pods: { count: 1 } },
        to: { nodes: {} },
        port: [22, 2379, 6443, 10250, 10255, "30000-30020"],
        order: "sweep",
        exchange: { kind: "bytes", request: { median: 1 }, response: { median: 60, sigma: 0.5 } },
        endings: { reset: 1 },
        closed: { refused: 60, unanswered: 40 },
      },
    ],
  },
  "lateral-movement": {
    description: "One pod reaches for what it never needed: databases of others, nodes, the API server, and sends much outside",
    calls: [
      { ...CALLERS_TO_SERVICES, weight: 12 },
      {
        from: { pods: { count: 1 } },
        to: { service: { tier: "data" } },
        weight: 2,
        exchange: { kind: "bytes", response: { median: 60000, sigma: 1.5 } },
      },
      { from: { pods: { count: 1 } }, to: { service: { namespace: "default", name: "kubernetes" } }, weight: 1 },
      { from: { pods: { count: 1 } }, to: { nodes: {} }, port: [22, 10250], weight: 1, closed: { refused: 1, unanswered: 1 } },
      { from: { pods: { count: 1 } }, to: { pods: {} }, port: [22, 445, 3389, 8080], weight: 2, closed: { refused: 3, unanswered: 1 } },
      {
        from: { pods: { count: 1 } },
        to: { external: { hosts: 1 } },
        port: 443,
        weight: 1,
        exchange: { kind: "tls", request: { median: 400000, sigma: 1 }, response: { median: 300, sigma: 0.3 } },
      },
    ],
  },
  failover: {
    description: "Pods are replaced one after the other; new ones get addresses that others have given back",
    retries: { count: 3, after: "500ms" },
    calls: [OUTSIDE_TO_ENTRY, CALLERS_TO_SERVICES],
    events: [
      {
        replace: {
          pods: { kinds: ["Deployment", "ReplicaSet", "Rollout", "StatefulSet", "Pods"] },
          at: "10%",
          length: "80%",
          share: 0.6,
          reuseAddresses: true,
        },
      },
    ],
  },
  partition: {
    description: "One node is cut off from the others for a third of the run; calls across are tried again in vain",
    retries: { count: 3, after: "1s" },
    calls: [OUTSIDE_TO_ENTRY, CALLERS_TO_SERVICES],
    events: [{ partition: { nodes: { count: 1 }, at: "33%", length: "34%" } }],
  },
  "dual-stack": {
    description: "Calls over IPv4 and IPv6 alike, wherever both ends have both",
    families: { IPv4: 50, IPv6: 50 },
    calls: [OUTSIDE_TO_ENTRY, CALLERS_TO_SERVICES, { from: { pods: {} }, to: { pods: {} }, weight: 3 }],
  },
};

export const BUILTIN_PROFILES: ReadonlyMap<string, TrafficProfile> = new Map(
  Object.entries(SPECS).map(([name, spec]) => [name, { apiVersion: PROFILE_VERSION, kind: PROFILE_KIND, metadata: { name }, spec }]),
);

export const DEFAULT_PROFILE = "microservices";
