import { describe, expect, test } from "vitest";
import type { Cluster } from "../../src/cluster/snapshot.ts";
import { readCluster } from "../../src/cluster/snapshot.ts";
import { EndpointResolver } from "../../src/evaluate/endpoints.ts";
import { Evaluator, type Participant } from "../../src/evaluate/evaluator.ts";
import { type CniName, profileOf } from "../../src/evaluate/profile.ts";
import { FlowTable } from "../../src/flow/flowTable.ts";
import { NameTable } from "../../src/flow/names.ts";
import { LoggedParties, type LoggedParty, standInFor } from "../../src/flow/parties.ts";
import { type Address, parseAddress, wordsOfAddress } from "../../src/net/address.ts";
import { clusterOf, decide, type Packet, policySetOf, snapshotText } from "../oracle/compiled.ts";
import type { Resources } from "../oracle/obviousEvaluator.ts";
import { line, policy, SHOP } from "./shop.ts";

/* Ends of which logs tell more than the address, and less than an object: what rules say of them is decided where that tells enough. */

/** `web` twice, as a Deployment makes them, beside the cluster of the other tables. */
const CLUSTER: Resources = {
  ...SHOP,
  pods: [
    ...SHOP.pods,
    { namespace: "shop", name: "web-2", labels: { app: "web" }, ip: "10.0.0.11", node: "n2", ports: [] },
    { namespace: "shop", name: "asker", labels: { app: "asker" }, ip: "10.0.0.12", node: "n2", ports: [] },
  ],
};
const NOTHING: Cluster = readCluster([]);

/** An end: an address, what a log tells of it, or both; a party alone has no address. */
type End = string | LoggedParty | { readonly ip: string; readonly party: LoggedParty };

interface Asked {
  readonly cluster?: Cluster;
  readonly cni?: CniName;
  readonly packet?: Packet;
}

/** Resolves ends together, as one observation does, and returns what asks of any two of them. */
function observed(
  ends: Readonly<Record<string, End>>,
  policies: string,
  { cluster = clusterOf(snapshotText(CLUSTER)), cni = "generic" }: Asked = {},
) {
  const { addresses } = new FlowTable();
  const parties = new LoggedParties();
  const placed = Object.entries(ends).map(([name, end]) => {
    const party = typeof end === "string" ? {} : "ip" in end ? end.party : end;
    const ip = typeof end === "string" ? end : "ip" in end ? end.ip : undefined;
    const tag = parties.intern(party);
    const address: Address = ip === undefined ? standInFor(tag) : (parseAddress(ip) as bigint);
    return { name, address, id: addresses.intern(...wordsOfAddress(address), tag) };
  });
  const resolver = new EndpointResolver(cluster, addresses, new NameTable(), parties);
  const world = {
    ...cluster,
    namespaces: new Map([...cluster.namespaces, ...resolver.loggedNamespaces]),
    pods: [...cluster.pods, ...resolver.loggedPods],
  };
  const evaluator = new Evaluator(policySetOf(policies), world, profileOf(cni));
  const participants = new Map(placed.map(({ name, id }) => [name, resolver.endAt(id, Number.NaN).participant]));
  const of = (name: string): Participant => participants.get(name)!;
  const shown = (name: string) => resolver.endpointOf(of(name), placed.find((each) => each.name === name)!.address, Number.NaN);
  const ask = (from: string, to: string, packet: Packet = { protocol: "TCP", port: 80 }) => decide(evaluator, of(from), of(to), packet);
  return {
    resolver,
    of,
    shown,
    ingress: (from: string, to: string, packet?: Packet) => line(ask(from, to, packet).ingress),
    egress: (from: string, to: string, packet?: Packet) => line(ask(from, to, packet).egress),
  };
}

const labels = (...own: string[]) => own.map((label) => `k8s:${label}`);
const LOGGED = { ip: "10.9.0.1", party: { pod: "shop/logged", labels: labels("app=logged") } };
const TCP_80: Packet = { protocol: "TCP", port: 80 };
const HTTP: Packet = { protocol: "TCP", port: 8080 };

describe("a pod that a log alone knows", () => {
  const byName = (peer = "") =>
    policy("shop/p", "podSelector: {}", "policyTypes: [Ingress]", `ingress: [{${peer}ports: [{port: http, protocol: TCP}]}]`);

  test("is selected by the labels that the log tells, and its address is no other's", () => {
    const rules = policy(
      "shop/p",
      "podSelector: {matchLabels: {app: logged}}",
      "policyTypes: [Ingress]",
      "ingress: [{from: [{podSelector: {matchLabels: {app: web}}}]}]",
    );
    const { ingress, shown } = observed({ logged: LOGGED, web: "10.0.0.1", api: "10.0.0.2" }, rules);
    expect([ingress("web", "logged"), ingress("api", "logged")]).toEqual([
      "allow rule [shop/p] <- shop/p ingress[0].from[0]",
      "deny isolated [shop/p]",
    ]);
    expect(shown("logged")).toEqual({ type: "pod", namespace: "shop", name: "logged", workload: "Pods/logged", ip: "10.9.0.1" });
  });

  test("has ports of any name: a rule by one is unknown for it, and stays what it is for pods of the snapshot", () => {
    const { ingress } = observed({ logged: LOGGED, web: "10.0.0.1", web2: "10.0.0.11", api: "10.0.0.2" }, byName());
    expect(ingress("api", "logged", HTTP)).toMatch(/^unknown unknown-port-name /);
    expect(ingress("api", "web", HTTP)).toMatch(/^allow rule /);
    expect(ingress("api", "web", TCP_80)).toMatch(/^deny isolated /);
    // The pod without that name, on every port.
    for (const port of [80, 8080, 9090]) expect(ingress("api", "web2", { protocol: "TCP", port })).toMatch(/^deny isolated /);
    // Of another protocol no name is meant.
    expect(ingress("api", "logged", { protocol: "UDP", port: 8080 })).toMatch(/^deny isolated /);
  });

  // One cell of the decision table served both once, so that who was asked first answered for the other.
  test.each([
    ["a rule without peers", "", "http", { logged: "unknown", web2: "deny", web: "allow", api: "deny" }],
    ["a rule with peers", "from: [{podSelector: {}}], ", "http", { logged: "unknown", web2: "deny", web: "allow", api: "deny" }],
    ["a name that no pod of the snapshot has", "", "grpc", { logged: "unknown", web2: "deny", web: "deny", api: "deny" }],
    ["such a name, with peers", "from: [{podSelector: {}}], ", "grpc", { logged: "unknown", web2: "deny", web: "deny", api: "deny" }],
  ])("in whichever order they are asked: %s", (_what, peer, name, expected) => {
    const ends = { logged: LOGGED, web: "10.0.0.1", web2: "10.0.0.11", api: "10.0.0.2", asker: "10.0.0.12" };
    for (const order of [
      ["logged", "web2", "web", "api"],
      ["web2", "logged", "api", "web"],
      ["web", "api", "web2", "logged"],
      ["api", "web", "logged", "web2"],
    ]) {
      const { ingress } = observed(ends, byName(peer).replace("http", name));
      expect(Object.fromEntries(order.map((to) => [to, ingress("asker", to, HTTP).split(" ")[0]]))).toEqual(expected);
    }
  });

  test("of two pods of one selector, one in the snapshot, as destinations of egress too", () => {
    const rules = policy(
      "shop/e",
      "podSelector: {matchLabels: {app: web}}",
      "policyTypes: [Egress]",
      "egress: [{ports: [{port: http, protocol: TCP}]}]",
    );
    for (const order of [
      ["logged", "web2", "api"],
      ["api", "web2", "logged"],
    ]) {
      const { egress } = observed({ logged: LOGGED, web: "10.0.0.1", web2: "10.0.0.11", api: "10.0.0.2" }, rules);
      const answers = Object.fromEntries(order.map((to) => [to, egress("web", to, { protocol: "TCP", port: 9090 }).split(" ")[0]]));
      expect(answers).toEqual({ logged: "unknown", web2: "deny", api: "allow" });
    }
  });

  test("is one, in however many ways logs tell of it", () => {
    const { resolver } = observed(
      { a: LOGGED, b: { ip: "10.9.0.1", party: LOGGED.party }, c: { ip: "10.9.0.2", party: LOGGED.party } },
      "",
    );
    expect(resolver.loggedPods).toHaveLength(1);
  });
  test("is one also where a record tells that it was reached through a Service", () => {
    const via = { ...LOGGED.party, via: { addressId: 0, port: 80 } };
    const { resolver } = observed({ a: LOGGED, b: { ip: "10.9.0.1", party: via } }, "");
    expect(resolver.loggedPods.map(({ namespace, name }) => `${namespace}/${name}`)).toEqual(["shop/logged"]);
  });

  test("without labels and objects is unknown, whoever has its address; one that the snapshot has is that one", () => {
    const { of, shown, resolver } = observed(
      { nameless: { ip: "10.0.0.2", party: { pod: "shop/gone" } }, known: { ip: "10.0.0.99", party: { pod: "shop/web" } } },
      "",
    );
    expect(resolver.loggedPods).toEqual([]);
    expect([of("nameless").type, shown("nameless")]).toMatchObject(["unknown", { namespace: "shop", name: "gone", ip: "10.0.0.2" }]);
    expect(of("known")).toMatchObject({ type: "pod", pod: { name: "web", labels: { app: "web" } } });
  });

  test("has the service account that Cilium's label tells, and else the default one", () => {
    const party = (...own: string[]) => ({ pod: `shop/${own.length}`, labels: labels("app=x", ...own) });
    const { resolver } = observed(
      { a: { ip: "10.9.0.1", party: party("io.cilium.k8s.policy.serviceaccount=builder") }, b: { ip: "10.9.0.2", party: party() } },
      "",
    );
    expect(resolver.loggedPods.map(({ serviceAccountName, labels: own }) => [serviceAccountName, own])).toEqual([
      ["builder", { app: "x" }],
      ["default", { app: "x" }],
    ]);
  });
});

describe("labels of namespaces that a log tells", () => {
  const NAMESPACE = "io.cilium.k8s.namespace.labels.";
  const inNamespace = (...own: string[]) => ({ ip: "10.9.0.1", party: { pod: "elsewhere/client", labels: labels("app=client", ...own) } });
  const from = (selector: string) =>
    policy("shop/p", "podSelector: {}", "policyTypes: [Ingress]", `ingress: [{from: [{namespaceSelector: {matchLabels: {${selector}}}}]}]`);
  const verdictOf = (client: End, selector: string, cluster?: Cluster) =>
    observed({ client, web: "10.0.0.1" }, from(selector), cluster === undefined ? {} : { cluster })
      .ingress("client", "web")
      .split(" ")[0];

  test.each([
    ["allow", "the label that Cilium tells", inNamespace(`${NAMESPACE}team=green`), "team: green"],
    ["deny", "another value of it", inNamespace(`${NAMESPACE}team=green`), "team: red"],
    ["deny", "a label that is not among those that it tells", inNamespace(`${NAMESPACE}team=green`), "stage: prod"],
    ["allow", "its name, which every namespace has", inNamespace(`${NAMESPACE}team=green`), "kubernetes.io/metadata.name: elsewhere"],
    ["unknown", "a label, where none is told", inNamespace(), "team: green"],
    ["allow", "its name, where no label is told", inNamespace(), "kubernetes.io/metadata.name: elsewhere"],
    ["deny", "another's name, where no label is told", inNamespace(), "kubernetes.io/metadata.name: shop"],
    ["deny", "a label with its name's, which decides", inNamespace(), "kubernetes.io/metadata.name: shop, team: green"],
  ])("%s: %s", (verdict, _what, client, selector) => {
    expect(verdictOf(client, selector)).toBe(verdict);
  });

  test("the snapshot's own Namespace goes before what a log tells", () => {
    const client = { ip: "10.9.0.1", party: { pod: "data/client", labels: labels("app=client", `${NAMESPACE}team=green`) } };
    expect([verdictOf(client, "team: green"), verdictOf(client, "team: blue")]).toEqual(["deny", "allow"]);
  });
  test("they are no labels of the pod", () => {
    const { resolver } = observed({ client: inNamespace(`${NAMESPACE}team=green`, "io.kubernetes.pod.namespace=elsewhere") }, "");
    expect(resolver.loggedPods.map((pod) => pod.labels)).toEqual([{ app: "client" }]);
  });
});

describe("ends without an address", () => {
  const pods = (called: string, ...own: string[]): LoggedParty => ({
    unaddressed: "pods",
    pod: called,
    ...(own.length > 0 ? { labels: labels(...own) } : {}),
  });

  test("pods by the beginning of their names are the snapshot's, where they are one workload's", () => {
    const { of, shown } = observed({ web: pods("shop/api*"), one: pods("shop/web-2") }, "");
    expect(of("web")).toMatchObject({ type: "pod", pod: { name: "api" } });
    expect(of("one")).toMatchObject({ type: "pod", pod: { name: "web-2" } });
    expect(shown("web")).toMatchObject({ type: "pod", namespace: "shop", name: "api*" });
    expect(shown("web")).not.toHaveProperty("ip");
  });
  test("of several pods no address is meant, and pods that policies tell apart are unknown", () => {
    const pod = (name: string, own: Record<string, string>, ip: string) => ({
      namespace: "data",
      name,
      labels: own,
      ip,
      node: "n2",
      ports: [],
    });
    const cluster = clusterOf(
      snapshotText({
        ...CLUSTER,
        pods: [
          ...CLUSTER.pods,
          pod("same-1", { app: "same" }, "10.0.1.1"),
          pod("same-2", { app: "same" }, "10.0.1.2"),
          pod("pg-0", { app: "pg", role: "primary" }, "10.0.1.3"),
          pod("pg-1", { app: "pg", role: "replica" }, "10.0.1.4"),
        ],
      }),
    );
    const { of } = observed({ same: pods("data/same-*"), pg: pods("data/pg-*"), one: pods("data/pg-0") }, "", { cluster });
    expect(of("same")).toMatchObject({ type: "pod", address: undefined });
    expect(of("pg")).toEqual({ type: "unknown" });
    expect(of("one")).toMatchObject({ type: "pod", pod: { name: "pg-0" }, address: parseAddress("10.0.1.3") });
  });
  test("pods of several workloads are unknown, and so are those of which neither snapshot nor log tells more", () => {
    const { of, shown } = observed({ several: pods("shop/*"), none: pods("shop/gone-*"), elsewhere: pods("data/api*") }, "");
    expect(["several", "none", "elsewhere"].map((name) => of(name))).toEqual([
      { type: "unknown" },
      { type: "unknown" },
      { type: "unknown" },
    ]);
    expect(shown("several")).toEqual({ type: "unknown", names: ["shop/*"], why: "is several workloads' or in no snapshot object" });
  });
  test("pods that only the log labels are judged by those labels", () => {
    const rules = policy(
      "shop/p",
      "podSelector: {matchLabels: {app: web}}",
      "policyTypes: [Ingress]",
      "ingress: [{from: [{podSelector: {matchLabels: {app: job}}}]}]",
    );
    const { ingress } = observed({ job: pods("shop/job-*", "app=job"), other: pods("shop/other-*", "app=other"), web: "10.0.0.1" }, rules);
    expect([ingress("job", "web"), ingress("other", "web")]).toEqual([
      "allow rule [shop/p] <- shop/p ingress[0].from[0]",
      "deny isolated [shop/p]",
    ]);
  });

  test("a node by its name is the snapshot's, with its address; another is a node all the same", () => {
    const rules = policy("shop/p", "podSelector: {}", "policyTypes: [Ingress]", "ingress: [{from: [{ipBlock: {cidr: 192.168.0.0/24}}]}]");
    const { of, ingress, shown } = observed(
      { n2: { unaddressed: "node", called: "n2" }, n9: { unaddressed: "node", called: "n9" }, web: "10.0.0.1" },
      rules,
    );
    expect(of("n2")).toMatchObject({ type: "node", node: { name: "n2" }, address: parseAddress("192.168.0.2") });
    expect(of("n9")).toMatchObject({ type: "node", node: { name: "n9" }, address: undefined });
    expect([shown("n2"), shown("n9")]).toEqual([
      { type: "node", name: "n2" },
      { type: "node", name: "n9" },
    ]);
    expect([ingress("n2", "web"), ingress("n9", "web")].map((each) => each.split(" ")[0])).toEqual(["allow", "unknown"]);
  });

  const outside: LoggedParty = { unaddressed: "outside", called: "public network" };
  test.each([
    ["unknown", "a rule by addresses", "from: [{ipBlock: {cidr: 0.0.0.0/0}}]"],
    ["unknown", "a rule by some addresses", "from: [{ipBlock: {cidr: 198.51.100.0/24}}]"],
    ["deny", "a rule by labels", "from: [{podSelector: {}}]"],
    ["allow", "a rule for all", ""],
  ])("%s: the outside against %s", (verdict, _what, peer) => {
    const rules = policy("shop/p", "podSelector: {}", "policyTypes: [Ingress]", `ingress: [{${peer}}]`);
    const { ingress, of } = observed({ outside, web: "10.0.0.1" }, rules);
    expect(of("outside")).toEqual({ type: "external", address: undefined });
    expect(ingress("outside", "web").split(" ")[0]).toBe(verdict);
  });
  test("the outside, against no policy", () => {
    const { ingress, egress, shown } = observed({ outside, web: "10.0.0.1" }, "");
    expect([ingress("outside", "web"), egress("web", "outside")]).toEqual(["allow no-policy", "allow no-policy"]);
    expect(shown("outside")).toEqual({ type: "external", names: ["public network"] });
  });
  test("what the log does not tell at all is unknown against any rule, and allowed where there is none", () => {
    const nobody: LoggedParty = { unaddressed: "unknown", called: "private network" };
    const rules = policy(
      "shop/p",
      "podSelector: {matchLabels: {app: web}}",
      "policyTypes: [Ingress]",
      "ingress: [{from: [{podSelector: {}}]}]",
    );
    const { ingress, shown } = observed({ nobody, web: "10.0.0.1", api: "10.0.0.2" }, rules);
    expect([ingress("nobody", "web").split(" ")[0], ingress("nobody", "api")]).toEqual(["unknown", "allow no-policy"]);
    expect(shown("nobody")).toEqual({ type: "unknown", names: ["private network"], why: "has no address in the log" });
  });
});

describe("without any object of a cluster", () => {
  test.each([
    ["10.0.0.1", "unknown"],
    ["172.16.5.5", "unknown"],
    ["192.168.1.1", "unknown"],
    ["fd00::1", "unknown"],
    ["203.0.113.9", "external"],
    ["2606:4700::1", "external"],
  ])("%s is %s", (address, type) => {
    const { of, shown } = observed({ end: address }, "", { cluster: NOTHING });
    expect(of("end").type).toBe(type);
    if (type === "unknown") expect(shown("end").why).toMatch(/no snapshot says whose/);
  });
  test("with some objects, a private address that is beside none of them is outside", () => {
    expect(observed({ end: "172.16.5.5" }, "").of("end").type).toBe("external");
  });
  test("pods that a log labels are judged among each other", () => {
    const rules = policy(
      "shop/p",
      "podSelector: {matchLabels: {app: db}}",
      "policyTypes: [Ingress]",
      "ingress: [{from: [{podSelector: {matchLabels: {app: web}}}], ports: [{port: 5432}]}]",
    );
    const pod = (name: string, ip: string) => ({ ip, party: { pod: `shop/${name}-1`, labels: labels(`app=${name}`) } });
    const { ingress } = observed(
      { db: pod("db", "10.0.0.1"), web: pod("web", "10.0.0.2"), api: pod("api", "10.0.0.3"), lost: "10.0.0.4", world: "203.0.113.9" },
      rules,
      { cluster: NOTHING },
    );
    const sql: Packet = { protocol: "TCP", port: 5432 };
    expect(["web", "api", "lost", "world"].map((from) => ingress(from, "db", sql).split(" ")[0])).toEqual([
      "allow",
      "deny",
      "unknown",
      "deny",
    ]);
    expect(ingress("web", "db", TCP_80)).toMatch(/^deny isolated/);
  });
});
