import { describe, expect, it } from "vitest";
import { readManifest } from "../../src/cluster/manifest.ts";
import { readCluster } from "../../src/cluster/snapshot.ts";
import { formatAddress, isIPv4, parseAddress } from "../../src/net/address.ts";
import { formatPrefix, makePrefix, parsePrefix, prefixContains } from "../../src/net/prefix.ts";
import { TCP, UDP } from "../../src/net/protocol.ts";
import { BUILTIN_PROFILES } from "../../src/synth/builtinProfiles.ts";
import { CallGraph } from "../../src/synth/callGraph.ts";
import { changedObjects } from "../../src/synth/changedObjects.ts";
import type { Exchange } from "../../src/synth/conversation.ts";
import type { Call } from "../../src/synth/profile.ts";
import { RecordWriter } from "../../src/synth/records.ts";
import { type Measured, prepareTraffic } from "../../src/synth/traffic.ts";
import { made, objects, prepare, profileOf, START, shop } from "./shop.ts";

const SECOND = 1_000_000;
const start = START * SECOND;
const OUTSIDE = ["203.0.113.0/24", "2001:db8::/32"].map((text) => parsePrefix(text)!);

const recordsOf = (all: readonly Measured[]) => {
  const writer = new RecordWriter();
  for (const { conversation, measure } of all) writer.add(conversation, measure);
  return writer.take().toString();
};
const median = (numbers: readonly number[]) => [...numbers].sort((a, b) => a - b)[numbers.length >> 1];

describe.each([...BUILTIN_PROFILES])("profile %s on the shop", (_name, profile) => {
  const seconds = 100;
  const rate = 40;
  const traffic = prepare(profile, { durationSeconds: seconds, rate });
  const all = [...traffic.conversations()];
  const after = readCluster(changedObjects(objects, traffic.changes, shop.nodes));

  it("is the same of a seed, and another of another", () => {
    const first = recordsOf(all.slice(0, 300));
    expect(recordsOf(made(profile, { durationSeconds: seconds, rate }).slice(0, 300))).toBe(first);
    expect(recordsOf(made(profile, { durationSeconds: seconds, rate, seed: 2 }).slice(0, 300))).not.toBe(first);
  });

  it("is in order of time and within the run", () => {
    const starts = all.map(({ conversation }) => conversation.start);
    expect(starts.every((each, i) => Number.isSafeInteger(each) && (i === 0 || each > starts[i - 1]))).toBe(true);
    expect(starts[0]).toBeGreaterThanOrEqual(start);
    expect(starts.at(-1)).toBeLessThan(start + seconds * SECOND);
  });

  it("goes between those who are there at that time", () => {
    const strangers = new Set<string>();
    for (const { conversation, measure } of all) {
      for (const address of [conversation.client, conversation.server]) {
        // From the beginning to the end of each connection the address is one party's.
        const [first, last] = [conversation.start, measure.end].map((moment) => after.timeline.ownerAt(address, moment / SECOND));
        const isOutside = first.type === "external" && OUTSIDE.some((prefix) => prefixContains(prefix, address));
        if (!(isOutside || first.type === "pod" || first.type === "node") || first.type !== last.type)
          strangers.add(formatAddress(address));
        if (first.type === "pod" && last.type === "pod" && first.pod.uid !== last.pod.uid) strangers.add(formatAddress(address));
      }
    }
    expect([...strangers]).toEqual([]);
    expect(all.every(({ conversation: { client, server } }) => client !== server && isIPv4(client) === isIPv4(server))).toBe(true);
  });

  it("has about as many calls as were asked for", () => {
    const lookups = all.filter(({ conversation }) => conversation.serverPort === 53).length;
    const isAboutDns = profile.metadata.name === "dns";
    const calls = all.length - (isAboutDns ? 0 : lookups);
    // Besides those there are retries; without, a Poisson count of 4,000 strays by 63.
    expect(calls).toBeGreaterThan(rate * seconds * 0.85);
    expect(calls).toBeLessThan(rate * seconds * (profile.spec.retries === undefined ? 1.1 : 1.6));
  });

  it("uses no client port twice at a time", () => {
    const free = new Map<string, number>();
    const clashes = all.filter(({ conversation: { client, clientPort, start: from }, measure }) => {
      const key = `${client} ${clientPort}`;
      const clash = (free.get(key) ?? 0) > from;
      free.set(key, measure.end);
      return clash;
    });
    expect(clashes).toEqual([]);
    expect(new Set(all.map(({ conversation }) => conversation.entropy)).size).toBe(all.length);
  });
});

describe("a profile's words", () => {
  const CALL: Call = { from: { pods: { workload: "deploy/web" } }, to: { service: { name: "orders" } } };
  const spoken = (calls: readonly Call[], more = {}) =>
    made(profileOf({ calls, lookups: false, rate: 100, duration: "60s", ...more })).map(({ conversation }) => conversation);

  it("choose ends: a Service's port leads to its backends'", () => {
    const all = spoken([CALL]);
    const backends = new Set(["10.42.1.12", "10.42.2.12"]);
    expect(new Set(all.map(({ server }) => formatAddress(server)))).toEqual(backends);
    expect(new Set(all.map(({ client }) => formatAddress(client)))).toEqual(new Set(["10.42.1.11", "10.42.2.11"]));
    expect(all.every(({ serverPort, protocol }) => serverPort === 8080 && protocol === TCP)).toBe(true);
  });

  it("sizes are log-normal around their medians", () => {
    const exchange = { kind: "bytes", request: { median: 500, sigma: 1 }, response: { median: 9000, sigma: 0.5 } } as const;
    const exchanges = spoken([{ ...CALL, exchange }]).flatMap((each) => each.exchanges);
    const sizes = (name: "request" | "response") => exchanges.map((each) => (each.kind === "dns" ? 0 : each[name]));
    expect(median(sizes("request")) / 500).toBeCloseTo(1, 1);
    expect(median(sizes("response")) / 9000).toBeCloseTo(1, 1);
    // 84 % of a normal distribution lie below one deviation above its middle.
    const below = sizes("request").filter((size) => size < 500 * Math.E).length / exchanges.length;
    expect(below).toBeCloseTo(0.841, 1.5);
  });

  it("endings come in their shares, and where nobody listens those of closed ports", () => {
    const endings = spoken([{ ...CALL, endings: { finished: 70, reset: 20, open: 10 } }]).map(({ ending }) => ending);
    const share = (wanted: string) => endings.filter((ending) => ending === wanted).length / endings.length;
    expect([share("finished"), share("reset"), share("open")].map((each) => Math.round(each * 20) / 20)).toEqual([0.7, 0.2, 0.1]);
    const closed = spoken([
      { from: { pods: { count: 1 } }, to: { pods: { workload: "deploy/web" } }, port: [8080, 22], closed: { unanswered: 1 } },
    ]);
    expect(new Set(closed.filter(({ serverPort }) => serverPort === 22).map(({ ending }) => ending))).toEqual(new Set(["unanswered"]));
    expect(new Set(closed.filter(({ serverPort }) => serverPort === 8080).map(({ ending }) => ending))).toEqual(new Set(["finished"]));
    expect(closed.filter(({ ending }) => ending === "unanswered").every(({ exchanges }) => exchanges.length === 0)).toBe(true);
  });

  it("a sweep goes through targets port by port", () => {
    const all = spoken([
      { from: { pods: { namespace: "default" } }, to: { pods: { workload: "deploy/web" } }, port: "1-4", order: "sweep" },
    ]);
    const pairs = all.slice(0, 9).map(({ server, serverPort }) => `${formatAddress(server)}:${serverPort}`);
    expect(pairs.slice(0, 8)).toEqual(["10.42.1.11", "10.42.2.11"].flatMap((address) => [1, 2, 3, 4].map((port) => `${address}:${port}`)));
    expect(pairs[8]).toBe(pairs[0]);
  });

  it("families are shared out where both ends have both", () => {
    const calls: Call[] = [{ from: { pods: { workload: "deploy/web" } }, to: { pods: { workload: "deploy/cart" } } }];
    const share = spoken(calls, { families: { IPv4: 30, IPv6: 70 } }).filter(({ client }) => !isIPv4(client)).length / 6000;
    expect(share).toBeCloseTo(0.7, 1.3);
    expect(spoken(calls).every(({ client }) => isIPv4(client))).toBe(true);
  });

  it("arrivals: even gaps are even, bursts are dense, the day has its peak, and the mean is the rate", () => {
    const startsOf = (arrivals: object) =>
      spoken([CALL], { arrivals, rate: 200, duration: "100s" }).map(({ start: at }) => (at - start) / SECOND);
    const even = startsOf({ distribution: "even" });
    expect(Math.max(...even.slice(1).map((at, i) => at - even[i]))).toBeLessThan(0.0051);
    const burst = startsOf({ distribution: "burst", every: "20s", length: "10%", factor: 10 });
    const inBursts = burst.filter((at) => at % 20 < 10).length / burst.length;
    expect(inBursts).toBeCloseTo(10 / 11, 1.5);
    const diurnal = startsOf({ distribution: "diurnal", depth: 0.9 });
    const [night, noon] = [diurnal.filter((at) => at < 10 || at >= 90).length, diurnal.filter((at) => at >= 40 && at < 60).length];
    expect(noon / night).toBeGreaterThan(6);
    for (const starts of [even, burst, diurnal]) expect(starts.length / 20_000).toBeCloseTo(1, 1);
  });

  it("datagrams that get no answer are one-way, and DNS goes over either protocol", () => {
    const all = spoken([
      { from: { pods: {} }, to: { service: { name: "statsd" } } },
      { from: { pods: {} }, to: { service: { name: "kube-dns" } }, port: 53, protocol: "TCP", exchange: { kind: "dns" } },
    ]);
    const [udp, tcp] = [all.filter(({ protocol }) => protocol === UDP), all.filter(({ protocol }) => protocol === TCP)];
    expect(udp.every(({ ending, exchanges }) => ending === "unanswered" && exchanges.length === 1)).toBe(true);
    expect(tcp.every(({ exchanges }) => exchanges[0].kind === "dns")).toBe(true);
  });

  it("what is spoken over TCP goes to no port of UDP, and people outside have a name for it all", () => {
    const services = spoken([{ from: { external: {} }, to: { service: { namespace: "monitoring" } }, exchange: { kind: "http" } }]);
    expect(new Set(services.map(({ serverPort, protocol }) => `${serverPort}/${protocol}`))).toEqual(new Set([`9090/${TCP}`]));
    const hosts = services.flatMap(({ exchanges }) => exchanges.map((each) => (each.kind === "http" ? each.host : "")));
    expect(new Set(hosts)).toEqual(new Set(["www.example.com"]));
  });

  it("a call that finds nobody is told of; a profile of such calls makes no traffic", () => {
    const nobody: Call = { from: { pods: { namespace: "nowhere" } }, to: { service: {} } };
    expect(prepare(profileOf({ calls: [nobody, CALL] })).warnings).toEqual([
      "call 1 of the profile makes no traffic: `from` selects no pod of the snapshot",
    ]);
    expect(() => prepare(profileOf({ calls: [nobody] }))).toThrow("no traffic");
  });
});

describe("lookups", () => {
  it("come once before the first call of a pod to a name, with the answer that it needs", () => {
    const all = made(
      profileOf({ calls: [{ from: { pods: { namespace: "shop" } }, to: { service: { namespace: "shop" } } }], rate: 50, duration: "60s" }),
    );
    const known = new Set<string>();
    let asked = 0;
    for (const {
      conversation: { client, server, exchanges, serverPort },
    } of all) {
      const [exchange] = exchanges as readonly Exchange[];
      if (exchange?.kind === "dns") {
        asked++;
        expect(formatAddress(server)).toBe("10.42.1.2");
        const service = shop.services.find(({ name }) => exchange.name === `${name}.shop.svc.cluster.local`)!;
        expect(exchange.answers.length).toBeGreaterThan(0);
        if (service.addresses.length > 0) expect(service.addresses).toEqual(expect.arrayContaining([...exchange.answers]));
        expect(known.has(`${client} ${exchange.name}`)).toBe(false);
        for (const { address } of shop.serviceIndex.backendsOf(service)) known.add(`${client} ${address}`);
        known.add(`${client} ${exchange.name}`);
      } else expect(known.has(`${client} ${server}`), `${formatAddress(client)} to ${formatAddress(server)}:${serverPort}`).toBe(true);
    }
    expect(asked).toBeGreaterThan(20);
  });
});

describe("pods that are replaced", () => {
  const profile = BUILTIN_PROFILES.get("failover")!;
  const traffic = prepare(profile, { durationSeconds: 300, rate: 30 });
  const { made: pods, ends } = traffic.changes;
  const all = [...traffic.conversations()];
  const changed = changedObjects(objects, traffic.changes, shop.nodes);
  const after = readCluster(changed);

  it("end, and others take their place", () => {
    expect(pods.length).toBeGreaterThan(5);
    expect(after.pods.length).toBe(shop.pods.length + pods.length);
    expect(after.warnings).toEqual(shop.warnings);
    for (const { pod, replaces } of pods) {
      const read = after.pods.find(({ uid }) => uid === pod.uid)!;
      expect({ ...read, workload: 0 }).toEqual({ ...pod, workload: 0 });
      expect(read.workload).toEqual(replaces!.workload);
      const gone = after.pods.find(({ uid }) => uid === replaces!.uid)!;
      expect(gone.endSeconds).toBe(ends.get(replaces!)!.goneSeconds);
    }
  });

  it("new pods have addresses of others, and are called there", () => {
    const reused = pods.filter(({ pod }) => shop.pods.some((old) => old.addresses[0] === pod.addresses[0]));
    expect(reused.length).toBeGreaterThan(0);
    const [{ pod }] = reused;
    expect(after.timeline.isReused(pod.addresses[0])).toBe(true);
    const ownersOf = (address: bigint) =>
      new Set(
        all
          .filter(({ conversation: { client, server } }) => client === address || server === address)
          .map(({ conversation }) => after.timeline.ownerAt(address, conversation.start / SECOND))
          .map((owner) => (owner.type === "pod" ? owner.pod.uid : owner.type)),
      );
    expect(ownersOf(pod.addresses[0]).size).toBe(2);
    expect(new Set(pods.map(({ pod: each }) => each.uid)).size).toBe(pods.length);
  });

  it("backends are their successors in what is written", () => {
    const backends = after.services.flatMap((service) => after.serviceIndex.backendsOf(service)).map(({ address }) => address);
    const living = new Set(
      [...after.pods.filter(({ endSeconds }) => endSeconds === null), ...after.nodes].flatMap(({ addresses }) => addresses),
    );
    expect(backends.filter((address) => !living.has(address)).map(formatAddress)).toEqual([]);
  });

  it("runs of a Job are pods that begin and end", () => {
    const batch = prepare(BUILTIN_PROFILES.get("batch")!, { durationSeconds: 400 });
    expect(batch.changes.made.map(({ pod }) => pod.workload.name)).toEqual(["backup", "backup", "backup", "backup"]);
    const read = readCluster(changedObjects(objects, batch.changes, shop.nodes));
    for (const { pod } of batch.changes.made)
      expect(read.pods.find(({ uid }) => uid === pod.uid)!.endSeconds).toBe(batch.changes.ends.get(pod)!.goneSeconds);
  });
});

describe("a partition", () => {
  it("cuts off what crosses it, while it lasts, and nothing else", () => {
    const calls: Call[] = [{ from: { pods: { namespace: "shop" } }, to: { pods: { namespace: "shop" } } }];
    const partition = { nodes: { labels: { "kubernetes.io/hostname": "shop-worker" } }, at: "25%", length: "50%" };
    const all = made(profileOf({ calls, events: [{ partition }], rate: 60, duration: "100s", retries: { count: 1, after: "1s" } }));
    const nodeOf = (address: bigint) => shop.pods.find((pod) => pod.addresses.includes(address))!.nodeName;
    let [cut, others] = [0, 0];
    for (const {
      conversation: { start: at, client, server, ending },
    } of all) {
      const isWithin = at >= start + 25 * SECOND && at < start + 75 * SECOND;
      const crosses = nodeOf(client) !== nodeOf(server);
      expect(ending === "unanswered").toBe(isWithin && crosses);
      if (isWithin && crosses) cut++;
      else others++;
    }
    expect(cut).toBeGreaterThan(1000);
    expect(others).toBeGreaterThan(3000);
  });
});

describe("the call graph", () => {
  const graph = new CallGraph(shop);
  const callersOf = (namespace: string, name: string) => {
    const { workloads, isFromOutside } = graph.callersOf(
      shop.services.find((service) => service.namespace === namespace && service.name === name)!,
    );
    return [...workloads.map(({ pods: [pod] }) => pod.workload.name), ...(isFromOutside ? ["outside"] : [])];
  };

  it.each([
    [["outside"], "ingress", "ingress-nginx-controller"],
    [["ingress-nginx-controller"], "shop", "web"],
    [["web"], "shop", "orders"],
    [["web"], "shop", "cart"],
    [["backup", "cart", "orders", "report"], "shop", "postgres"],
    [["backup", "cart", "orders", "report"], "shop", "redis"],
    [["statsd-exporter"], "monitoring", "prometheus"],
  ])("%j call %s/%s", (callers, namespace, name) => {
    expect(callersOf(namespace, name)).toEqual(callers);
  });

  it("has a caller for every Service, also where nothing tells what it is", () => {
    for (const service of shop.services) {
      const { workloads, isFromOutside } = graph.callersOf(service);
      expect(workloads.length + Number(isFromOutside), service.name).toBeGreaterThan(0);
    }
    const lone = readCluster(
      readManifest(
        `{"apiVersion":"v1","kind":"Pod","metadata":{"name":"a","labels":{"x":"y"}},"status":{"podIP":"10.0.0.1"}}\n---\n{"apiVersion":"v1","kind":"Service","metadata":{"name":"a"},"spec":{"clusterIP":"10.1.0.1","selector":{"x":"y"},"ports":[{"port":80}]}}`,
        "lone.yaml",
      ),
    );
    const own = new CallGraph(lone);
    expect(own.callersOf(lone.services[0])).toEqual({ workloads: [], isFromOutside: true });
    const calls: Call[] = [{ from: { callers: {} }, to: { service: {} } }];
    expect(new Set(made(profileOf({ calls, duration: "5s" }), {}, lone).map(({ conversation }) => conversation.server))).toEqual(
      new Set([parseAddress("10.0.0.1")]),
    );
  });
});

describe("hosts outside", () => {
  const cidrOf = (address: bigint, length: number) => formatPrefix(makePrefix(address, length));
  const node = shop.nodes[0].addresses[0];
  const pod = shop.pods.find(({ hostNetwork, addresses }) => !hostNetwork && addresses.length > 0)!.addresses[0];
  const from = (cidrs: readonly string[]): Call => ({ from: { external: { cidrs } }, to: { pods: { labels: {} } }, port: 8080 });
  const typeOf = (address: bigint) => shop.timeline.ownerAt(address, null).type;

  it("have no address of the cluster's own, and another one each", () => {
    const all = made(profileOf({ calls: [from([cidrOf(node, 24)])] }), { durationSeconds: 20, rate: 50 });
    const clients = new Set(all.map(({ conversation: { client } }) => client));
    expect([...clients].map(typeOf).filter((type) => type !== "external")).toEqual([]);
    expect(clients.size).toBeGreaterThan(30);
    const byName: Call = {
      from: { pods: {} },
      to: { external: { cidrs: [cidrOf(node, 24)], names: ["a.example", "b.example"] } },
      port: 443,
    };
    const called = made(profileOf({ lookups: false, calls: [byName] }), { durationSeconds: 5, rate: 20 });
    expect(called.length).toBeGreaterThan(0);
    expect(called.filter(({ conversation: { server } }) => typeOf(server) !== "external")).toEqual([]);
  });

  it.each([[cidrOf(node, 32)], [cidrOf(pod, 32)], [cidrOf(pod, 30)]])(
    "of %s there are none, with a warning; beside another call that has some",
    (cidr) => {
      const none = prepareTraffic(shop, profileOf({ calls: [from([cidr])] }), { seed: 1, startSeconds: START });
      expect(none).toMatchObject({
        isEmpty: true,
        warnings: [
          "call 1 of the profile makes no traffic: every address of `external` is the cluster's own, so that nobody outside has one",
        ],
      });
      const names: Call = { from: { pods: {} }, to: { external: { cidrs: [cidr], names: ["a.example"] } }, port: 443 };
      const some = prepare(profileOf({ calls: [names, from([cidr, "198.51.100.0/24"])] }), { durationSeconds: 5, rate: 20 });
      expect(some.warnings).toHaveLength(1);
      const clients = [...some.conversations()].map(({ conversation: { client } }) => client);
      expect(clients.length).toBeGreaterThan(0);
      expect(clients.every((client) => prefixContains(parsePrefix("198.51.100.0/24")!, client))).toBe(true);
    },
  );
});
