import { describe, expect, test } from "vitest";
import { denyAndAllow, snapshotOf } from "./scenarios.ts";
import { type LearnOptions, learn, type SeenFlow } from "./world.ts";

/*
 * What is learned and how it is said, a case each: the mistakes that generators are known for.
 */

const WEB = { namespace: "shop", name: "web", labels: { app: "web" }, ips: ["10.0.0.10"], ports: [["http", 8080]] } as const;
const API = {
  namespace: "shop",
  name: "api",
  labels: { app: "api" },
  ips: ["10.0.0.20", "10.0.1.20"],
  ports: [["http", 9090]],
  service: ["10.96.1.2", 80],
} as const;
const LOG = { namespace: "logs", name: "syslog", labels: { app: "syslog" }, ips: ["10.0.0.30"], ports: [["syslog", 514, "UDP"]] } as const;
const SNAPSHOT = snapshotOf(["shop", "logs", "default"], [WEB, API, LOG]);

const [web, api, api2, log, node, outside] = ["10.0.0.10", "10.0.0.20", "10.0.1.20", "10.0.0.30", "192.168.10.11", "203.0.113.9"];

/** The text of one workload's policy. */
function policyOf(name: string, flows: readonly SeenFlow[], options: LearnOptions = {}, snapshot = SNAPSHOT): string {
  const { policies, proof } = learn(snapshot, flows, options);
  expect(proof.failures).toEqual([]);
  const policy = policies.find(({ policy: { ref } }) => ref.name === name);
  return policy === undefined ? "" : policy.text.replace(/^ *#.*\n/gm, "");
}
const reasonsOf = (flows: readonly SeenFlow[], options: LearnOptions = {}) =>
  learn(SNAPSHOT, flows, options).gathered.leftOut.map(({ reason, detail }) => (detail === "" ? reason : `${reason}: ${detail}`));

describe("peers", () => {
  test("a dialled Service becomes its pods and their port, not the Service's", () => {
    const text = policyOf("web", [{ from: web, to: api, port: 9090, via: ["10.96.1.2", 80] }]);
    expect(text).toContain(
      "  egress:\n    - to:\n        - podSelector:\n            matchLabels:\n              app: api\n      ports:\n        - protocol: TCP\n          port: http\n",
    );
    expect(text).not.toContain("10.96");
    expect(text).not.toContain("port: 80\n");
  });

  test("a Service of which only the dialled view was seen opens all of its pods", () => {
    const flows: SeenFlow[] = [{ from: web, to: "10.96.1.2", port: 80, isDialledOnly: true }];
    expect(policyOf("web", flows)).toContain("app: api");
    expect(policyOf("api", flows)).toContain(
      "  ingress:\n    - from:\n        - podSelector:\n            matchLabels:\n              app: web\n",
    );
  });

  test("another namespace and the pod stand in one peer", () => {
    expect(policyOf("web", [{ from: web, to: log, port: 514, protocol: "UDP" }])).toContain(
      "        - namespaceSelector:\n            matchLabels:\n              kubernetes.io/metadata.name: logs\n          podSelector:\n            matchLabels:\n              app: syslog\n",
    );
  });

  test("nodes are addresses of all of them in NetworkPolicy and Calico, and entities in Cilium", () => {
    const flows: SeenFlow[] = [{ from: "192.168.10.12", to: web, port: 8080 }];
    expect(policyOf("web", flows)).toContain("cidr: 192.168.10.11/32\n        - ipBlock:\n            cidr: 192.168.10.12/32\n");
    expect(policyOf("web", flows, { type: "cilium" })).toContain("- fromEntities:\n        - host\n        - remote-node\n");
  });

  test("what the pod's own node sends needs no rule, what it is sent has one: only some plugins allow that by themselves", () => {
    expect(policyOf("web", [{ from: node, to: web, port: 8080 }])).not.toContain("192.168");
    const flows: SeenFlow[] = [
      { from: node, to: web, port: 8080 },
      { from: web, to: node, port: 10250 },
    ];
    for (const cni of ["generic", "aws", "antrea"] as const) {
      expect(policyOf("web", flows, { cni })).toContain("  ingress: []\n");
      expect(policyOf("web", flows, { cni })).toContain("192.168.10.11/32");
    }
    expect(policyOf("web", flows, { type: "cilium" })).toContain("- toEntities:\n        - host\n        - remote-node\n");
  });

  test("nodes that no rule can name under the plugin are left out, and said", () => {
    expect(reasonsOf([{ from: web, to: "192.168.10.12", port: 10250 }], { cni: "cilium" })).toEqual([
      expect.stringContaining("unknown-peer: nodes and pods on the host network: under cilium an ipBlock matches no node"),
    ]);
  });

  test("the node-local DNS cache is its own address, and the host in Cilium", () => {
    const flows: SeenFlow[] = [{ from: web, to: "169.254.20.10", port: 53, protocol: "UDP" }];
    const text = policyOf("web", flows, { cni: "calico" });
    expect(text).toContain("cidr: 169.254.20.10/32");
    expect(text).toContain("- protocol: UDP\n          port: 53\n        - protocol: TCP\n          port: 53\n");
    expect(policyOf("web", flows, { type: "cilium" })).toContain("- host\n");
  });

  test("outside addresses are the fewest prefixes, IPv6 too", () => {
    const flows = ["203.0.113.8", outside, "2001:db8::8", "2001:db8::9"].map((to): SeenFlow => ({ from: web, to, port: 443 }));
    const text = policyOf("web", flows);
    expect(text.match(/cidr: .*/g)).toEqual(["cidr: 203.0.113.8/31", "cidr: 2001:db8::8/127"]);
  });

  test("outside hosts are names in Cilium with --fqdn, with the rule on DNS that this needs", () => {
    const dns = {
      namespace: "kube-system",
      name: "coredns",
      labels: { "k8s-app": "kube-dns" },
      ips: ["10.0.0.2"],
      ports: [["dns", 53, "UDP"]],
      service: ["10.96.0.10", 53],
    } as const;
    const snapshot = snapshotOf(["shop", "kube-system"], [WEB, dns]).replace(
      '"name":"coredns"},"spec":{"clusterIP"',
      '"name":"kube-dns"},"spec":{"clusterIP"',
    );
    const options: LearnOptions = { type: "cilium", byName: true, names: { [outside]: ["api.example"] } };
    const text = policyOf("web", [{ from: web, to: outside, port: 443 }], options, snapshot);
    expect(text).toContain("- toFQDNs:\n        - matchName: api.example\n");
    expect(text).toContain('          rules:\n            dns:\n              - matchPattern: "*"\n');
    expect(text).not.toContain("toCIDR");
  });

  test("the API server is all of its endpoints, when it is asked and when it calls a webhook", () => {
    const { snapshot } = denyAndAllow;
    const operator = "10.0.0.70";
    const flows: SeenFlow[] = [
      { from: operator, to: "172.16.0.2", port: 6443, via: ["10.96.0.1", 443] },
      { from: "172.16.0.3", to: operator, port: 9443 },
    ];
    expect(policyOf("operator", flows, {}, snapshot).match(/cidr: .*/g)).toEqual(["cidr: 172.16.0.2/31", "cidr: 172.16.0.2/31"]);
    expect(policyOf("operator", flows, { type: "cilium" }, snapshot).match(/kube-apiserver/g)).toHaveLength(2);
  });

  test("under aws, where rules judge what was dialled, the API server's Service is left out and said", () => {
    const flows: SeenFlow[] = [{ from: "10.0.0.70", to: "172.16.0.2", port: 6443, via: ["10.96.0.1", 443] }];
    const { gathered } = learn(denyAndAllow.snapshot, flows, { cni: "aws" });
    expect(gathered.leftOut.map(({ detail }) => detail)).toEqual([
      expect.stringContaining("under aws rules on addresses judge the Service's own address"),
    ]);
  });

  test("an address of the pod range that no object explains is no peer: the next pod would have it", () => {
    expect(reasonsOf([{ from: "10.0.0.99", to: web, port: 8080 }])).toEqual(["unknown-peer: 10.0.0.99 is in no snapshot object"]);
  });

  test("a peer that another one holds is not written twice", () => {
    const wide = { ...API, name: "all", labels: { tier: "back" }, ips: ["10.0.1.50"], service: undefined };
    const narrow = { ...API, labels: { tier: "back", app: "api" }, service: undefined };
    const snapshot = snapshotOf(["shop"], [WEB, wide as never, narrow as never]);
    const flows: SeenFlow[] = ["10.0.1.50", api].map((to) => ({ from: web, to, port: 9090 }));
    expect(policyOf("web", flows, {}, snapshot).match(/podSelector/g)).toHaveLength(2); // the policy's own and one peer
  });
});

describe("what is learned", () => {
  test("nothing of refused, unanswered and dropped connections", () => {
    const flows = (["refused", "unanswered", "dropped"] as const).map(
      (observed, i): SeenFlow => ({ from: web, to: api, port: 1 + i, observed }),
    );
    expect(reasonsOf(flows)).toEqual(["dropped", "refused", "unanswered"]);
    expect(learn(SNAPSHOT, flows).policies).toEqual([]);
    expect(reasonsOf(flows, { includeFailed: true })).toEqual([]);
  });

  test("a datagram without an answer, where somebody is known to listen or a log states it", () => {
    const one = (port: number, more: Partial<SeenFlow> = {}): SeenFlow => ({
      from: web,
      to: log,
      port,
      protocol: "UDP",
      observed: "unknown",
      ...more,
    });
    expect(reasonsOf([one(514)])).toEqual([]);
    expect(reasonsOf([one(515)])).toEqual(["one-way"]);
    expect(reasonsOf([one(515, { isStated: true })])).toEqual([]);
    expect(reasonsOf([{ from: web, to: outside, port: 514, protocol: "UDP", observed: "unknown" }])).toEqual([]);
  });

  test("what an existing policy denied is not reopened, what worked is", () => {
    const deny = {
      apiVersion: "networking.k8s.io/v1",
      kind: "NetworkPolicy",
      metadata: { namespace: "shop", name: "deny" },
      spec: { podSelector: {}, policyTypes: ["Egress"] },
    };
    const snapshot = snapshotOf(["shop", "logs"], [WEB, API, LOG], [deny]);
    const oneWay: SeenFlow = { from: web, to: log, port: 514, protocol: "UDP", observed: "unknown" };
    expect(learn(snapshot, [oneWay]).gathered.leftOut.map(({ reason }) => reason)).toEqual(["dropped-by-existing"]);
    expect(policyOf("web", [{ from: web, to: api, port: 9090 }], {}, snapshot)).toContain("app: api");
  });

  test("what an admin policy denies cannot be opened, and is said with its name", () => {
    const admin = {
      apiVersion: "policy.networking.k8s.io/v1alpha1",
      kind: "AdminNetworkPolicy",
      metadata: { name: "no-logs" },
      spec: {
        priority: 1,
        subject: { namespaces: {} },
        egress: [{ action: "Deny", to: [{ namespaces: { matchLabels: { "kubernetes.io/metadata.name": "logs" } } }] }],
      },
    };
    const snapshot = snapshotOf(["shop", "logs"], [WEB, API, LOG], [admin]);
    const { gathered } = learn(snapshot, [{ from: web, to: log, port: 514, protocol: "UDP" }]);
    expect(gathered.leftOut.map(({ reason, detail }) => [reason, detail])).toEqual([["denied-by-existing", "AdminNetworkPolicy no-logs"]]);
  });

  test("ICMP in Cilium and Calico; in NetworkPolicy it is named as left out", () => {
    const ping: SeenFlow[] = [{ from: web, to: api, protocol: "ICMP", icmpType: 8 }];
    expect(policyOf("web", ping, { type: "cilium" })).toContain(
      "icmps:\n        - fields:\n            - family: IPv4\n              type: 8\n",
    );
    expect(policyOf("web", ping, { type: "calico" })).toContain("icmp:\n        type: 8\n");
    expect(reasonsOf(ping)).toEqual(["inexpressible: ICMP: a NetworkPolicy can only allow it together with every port"]);
  });

  test("a pod's traffic to itself needs no rule", () => {
    expect(
      policyOf("web", [
        { from: web, to: web, port: 8080 },
        { from: web, to: api, port: 9090 },
      ]),
    ).not.toContain("from:");
  });
});

describe("shape", () => {
  test("a direction without traffic is closed, with a comment and in the plan", () => {
    const [policy] = learn(SNAPSHOT, [{ from: web, to: api, port: 9090 }], { wanted: ["Deployment/shop/web"] }).policies;
    expect(policy.closes).toEqual(["ingress"]);
    expect(policy.text).toContain("# CLOSED: no incoming traffic was seen that needs a rule, so none is allowed.\n");
    expect(policy.text).toContain("  ingress: []\n");
  });

  test("peers with the same ports share one rule", () => {
    const text = policyOf("api", [
      { from: web, to: api, port: 9090 },
      { from: log, to: api2, port: 9090 },
    ]);
    expect(text.match(/- from:/g)).toHaveLength(1);
  });

  test("a default deny is written beside, and the summary knows whom it closes", () => {
    const { policies } = learn(SNAPSHOT, [{ from: web, to: api, port: 9090 }], {
      defaultDeny: true,
      wanted: ["Deployment/shop/web", "Deployment/shop/api"],
    });
    expect(policies.map(({ file }) => file)).toEqual([
      "shop-api-networkpolicy.yaml",
      "shop-web-networkpolicy.yaml",
      "shop-default-deny-networkpolicy.yaml",
    ]);
  });

  test("a default deny that would cut what was seen of workloads without a policy fails the proof", () => {
    const { proof } = learn(SNAPSHOT, [{ from: web, to: api, port: 9090 }], { defaultDeny: true, wanted: ["Deployment/shop/web"] });
    expect(proof.failures).toEqual([expect.stringContaining("shop/Deployment/web to shop/Deployment/api port 9090: ingress is deny")]);
  });

  test("workloads with too little evidence get none", () => {
    const flows: SeenFlow[] = [{ from: web, to: api, port: 9090, at: 100, count: 3 }];
    expect(learn(SNAPSHOT, flows, { minConnections: 4 }).thin.map(({ why }) => why)).toEqual([
      "seen 3 times, less than --min-connections 4",
      "seen 3 times, less than --min-connections 4",
    ]);
    expect(learn(SNAPSHOT, flows, { minSeconds: 10 }).thin).toHaveLength(2);
    expect(learn(SNAPSHOT, flows, { minConnections: 3 }).thin).toEqual([]);
  });

  test("with --per-pod a pod without a controller has a policy of its own, by all of its labels", () => {
    const pods = ["a", "b"].map((name, i) => ({
      apiVersion: "v1",
      kind: "Pod",
      metadata: { namespace: "shop", name, labels: { app: "solo", "statefulset.kubernetes.io/pod-name": name } },
      status: { podIP: `10.0.0.9${i}` },
    }));
    const snapshot = snapshotOf(["shop"], [API], pods);
    const flows: SeenFlow[] = [{ from: "10.0.0.90", to: api, port: 9090 }];
    expect(learn(snapshot, flows).policies.map(({ file }) => file)).toEqual([
      "shop-api-networkpolicy.yaml",
      "shop-solo-networkpolicy.yaml",
    ]);
    const { policies } = learn(snapshot, flows, { perPod: true });
    expect(policies.map(({ file }) => file)).toEqual(["shop-api-networkpolicy.yaml", "shop-a-networkpolicy.yaml"]);
    expect(policies[1].text).toContain("statefulset.kubernetes.io/pod-name: a\n");
  });

  test("a clusterwide Cilium policy selects in its namespace only", () => {
    const text = policyOf("shop-web", [{ from: web, to: api, port: 9090 }], { type: "cilium", clusterWide: true });
    expect(text).toContain("kind: CiliumClusterwideNetworkPolicy");
    expect(text).toContain("  endpointSelector:\n    matchLabels:\n      k8s:io.kubernetes.pod.namespace: shop\n      app: web\n");
  });

  test("requests become rules in Cilium with --l7 where each was seen, and not where one was not", () => {
    const http = (path: string) => ({ http: { method: "GET", path, host: "api", headers: {} } });
    const flow = (requests: NonNullable<SeenFlow["requests"]>): SeenFlow[] => [{ from: web, to: api, port: 9090, requests }];
    const options: LearnOptions = { type: "cilium", l7: true };
    expect(policyOf("api", flow([http("/orders/17"), http("/orders/18")]), options)).toContain(
      "rules:\n            http:\n              - method: GET\n                path: /orders/[0-9]+\n",
    );
    expect(policyOf("api", flow([http("/orders/17"), {}]), options)).not.toContain("rules:");
  });

  const CANARY = { ...WEB, name: "web-canary", labels: { app: "web", track: "canary" }, ips: ["10.0.1.70"] };

  test("traffic of another workload that the selector holds is not cut silently", () => {
    const flows: SeenFlow[] = [
      { from: web, to: api, port: 9090 },
      { from: "10.0.1.70", to: outside, port: 443 },
    ];
    const snapshot = snapshotOf(["shop"], [WEB, CANARY as never, API]);
    expect(learn(snapshot, flows, { wanted: ["Deployment/shop/web"] }).proof.failures).toEqual([
      expect.stringContaining(
        "shop/Deployment/web-canary to 203.0.113.9 port 443, for which no policy was asked, is cut: egress is deny by NetworkPolicy shop/web",
      ),
    ]);
    expect(learn(snapshot, flows).proof.failures).toEqual([]);
  });

  test("a default deny is not written over pods that talk and cannot be selected", () => {
    const bare = ["10.0.0.81", "10.0.0.82"].map((ip, i) => ({
      apiVersion: "v1",
      kind: "Pod",
      metadata: { namespace: "shop", name: `bare-${i}` },
      status: { podIP: ip },
    }));
    const snapshot = snapshotOf(["shop"], [WEB, API], bare);
    const { proof, unselectable } = learn(
      snapshot,
      [
        { from: "10.0.0.81", to: api, port: 9090 },
        { from: "10.0.0.82", to: api, port: 9090 },
        { from: web, to: api, port: 9090 },
      ],
      { defaultDeny: true },
    );
    expect(proof.failures[0]).toContain(
      "shop/Pod/bare-0 to shop/Deployment/api port 9090: egress is deny (isolated, NetworkPolicy shop/default-deny)",
    );
    expect(unselectable.map(({ name }) => name)).toEqual(["bare-0", "bare-1"]);
  });

  test("pods that cannot be told apart are let in with all of their namespace, which the plan says", () => {
    const bare = ["10.0.0.81", "10.0.0.82"].map((ip, i) => ({
      apiVersion: "v1",
      kind: "Pod",
      metadata: { namespace: "logs", name: `bare-${i}` },
      status: { podIP: ip },
    }));
    const { policies, proof } = learn(snapshotOf(["shop", "logs"], [API, LOG], bare), [{ from: "10.0.0.81", to: api, port: 9090 }]);
    expect(proof.failures).toEqual([]);
    expect(policies.map(({ file }) => file)).toEqual(["shop-api-networkpolicy.yaml"]);
    expect(policies[0].text).toContain(
      "    - from:\n        - namespaceSelector:\n            matchLabels:\n              kubernetes.io/metadata.name: logs\n      ports:",
    );
    expect(policies[0].rules[0].unseen).toEqual(["logs/deploy/syslog", "logs/pod/bare-1"]);
  });

  test("tries that failed are no evidence, and are counted apart", () => {
    const flows: SeenFlow[] = [
      { from: web, to: api, port: 9090, at: 100 },
      { from: web, to: api, port: 9090, observed: "dropped", count: 50, at: 900_000 },
    ];
    const { gathered, thin } = learn(SNAPSHOT, flows, { minConnections: 2 });
    expect(thin).toHaveLength(2);
    expect(gathered.leftOut.map(({ reason, evidence }) => [reason, evidence.seen])).toEqual([["partly-failed", 50]]);
  });

  test("an existing rule that denies is not argued with", () => {
    const deny = {
      apiVersion: "cilium.io/v2",
      kind: "CiliumNetworkPolicy",
      metadata: { namespace: "shop", name: "no-api" },
      spec: { endpointSelector: { matchLabels: { app: "web" } }, egressDeny: [{ toEndpoints: [{ matchLabels: { app: "api" } }] }] },
    };
    const { gathered, proof } = learn(snapshotOf(["shop"], [WEB, API], [deny]), [{ from: web, to: api, port: 9090 }], { type: "cilium" });
    expect(gathered.leftOut.map(({ reason, detail }) => [reason, detail])).toEqual([
      ["denied-by-existing", "CiliumNetworkPolicy shop/no-api"],
    ]);
    expect(proof.failures).toEqual([]);
  });

  test("requests that were denied, or are empty, become no rules", () => {
    const http = (method: string, path: string) => ({ http: { method, path, headers: {} } });
    const flow = (...requests: NonNullable<SeenFlow["requests"]>): SeenFlow[] => [{ from: web, to: api, port: 9090, requests }];
    const options: LearnOptions = { type: "cilium", l7: true };
    const text = policyOf("api", flow(http("GET", "/ok"), { ...http("DELETE", "/admin"), refused: true }), options);
    expect(text).toContain("path: /ok");
    expect(text).not.toContain("admin");
    expect(policyOf("api", flow(http("POST", "")), options)).not.toContain("rules:");
  });

  test("names of outside hosts are those that the workload asked for, and never patterns", () => {
    const dns = {
      namespace: "kube-system",
      name: "coredns",
      labels: { "k8s-app": "kube-dns" },
      ips: ["10.0.0.2"],
      ports: [["dns", 53, "UDP"]],
    } as const;
    const snapshot = snapshotOf(["shop", "kube-system"], [WEB, dns]);
    const names = { [outside]: ["*", "*.example", "mine.example", "other.example", "odd name"] };
    const asked: SeenFlow = { from: web, to: "10.0.0.2", port: 53, protocol: "UDP", requests: [{ dns: { query: "mine.example" } }] };
    const options: LearnOptions = { type: "cilium", byName: true, names };
    const named = (flows: readonly SeenFlow[]) => policyOf("web", flows, options, snapshot).match(/matchName: .*|matchPattern: .*/g);
    expect(named([asked, { from: web, to: outside, port: 443 }])).toEqual(["matchName: mine.example", 'matchPattern: "*"']);
    expect(named([{ from: web, to: outside, port: 443 }])).toEqual(["matchName: mine.example", "matchName: other.example"]);
  });

  test("a rule that undoes what an existing one says of requests is told", () => {
    const l7 = {
      apiVersion: "cilium.io/v2",
      kind: "CiliumNetworkPolicy",
      metadata: { namespace: "shop", name: "only-get" },
      spec: {
        endpointSelector: { matchLabels: { app: "api" } },
        ingress: [
          {
            fromEndpoints: [{ matchLabels: { app: "web" } }],
            toPorts: [{ ports: [{ port: "9090", protocol: "TCP" }], rules: { http: [{ method: "GET" }] } }],
          },
        ],
      },
    };
    const flows: SeenFlow[] = [{ from: web, to: api, port: 9090, requests: [{ http: { method: "GET", path: "/", headers: {} } }] }];
    const { cautions } = learn(snapshotOf(["shop"], [WEB, API], [l7]), flows, { type: "cilium" });
    expect(cautions).toEqual([
      expect.stringContaining(
        "shop-api-networkpolicy.yaml ingress[0] allows every request where existing CiliumNetworkPolicy shop/only-get allows only some",
      ),
    ]);
  });

  test("what worked and no rule can allow is said above the policy that cuts it", () => {
    const flows: SeenFlow[] = [
      { from: "192.168.10.12", to: web, port: 8080 },
      { from: web, to: api, port: 9090 },
    ];
    const [, policy] = learn(SNAPSHOT, flows, { cni: "cilium" }).policies;
    expect(policy.text).toContain(
      "# NOT ALLOWED, though it worked: node/node-2 to shop/deploy/web: nodes and pods on the host network: under cilium an ipBlock matches no node",
    );
  });

  test("workloads that lose DNS to the DNS pods' own policy are told", () => {
    const dns = {
      namespace: "kube-system",
      name: "coredns",
      labels: { "k8s-app": "kube-dns" },
      ips: ["10.0.0.2"],
      ports: [["dns", 53, "UDP"]],
    } as const;
    const { cautions } = learn(snapshotOf(["shop", "kube-system"], [WEB, API, dns]), [
      { from: web, to: "10.0.0.2", port: 53, protocol: "UDP" },
    ]);
    expect(cautions).toEqual(["kube-system/deploy/coredns answers DNS only to those that were seen asking: shop/deploy/api would lose it"]);
  });

  test("a Service that selects one replica or one rollout stands for the workload", () => {
    const service = {
      apiVersion: "v1",
      kind: "Service",
      metadata: { namespace: "shop", name: "api-0" },
      spec: { clusterIP: "10.96.9.9", selector: { app: "api", "pod-template-hash": "6f5d8b7c9" }, ports: [{ port: 80, targetPort: 9090 }] },
    };
    const text = policyOf(
      "web",
      [{ from: web, to: api, port: 9090, via: ["10.96.9.9", 80] }],
      {},
      snapshotOf(["shop"], [WEB, API], [service]),
    );
    expect(text).not.toContain("pod-template-hash");
  });

  test("of several addresses of a node the one of the same network is meant", () => {
    const snapshot = JSON.parse(SNAPSHOT);
    for (const item of snapshot.items)
      if (item.kind === "Node")
        item.status.addresses.unshift({ type: "ExternalIP", address: item.metadata.name === "node-1" ? "198.18.0.1" : "198.18.0.2" });
    expect(policyOf("web", [{ from: web, to: "192.168.10.12", port: 9100 }], {}, JSON.stringify(snapshot))).not.toContain("198.18");
  });

  test("very many prefixes are refused with how to have fewer", () => {
    const flows = Array.from({ length: 9000 }, (_, i): SeenFlow => ({ from: `20.${i >> 7}.${(i & 127) * 2}.1`, to: web, port: 8080 }));
    expect(learn(SNAPSHOT, flows).proof.failures).toEqual([
      "shop-web-networkpolicy.yaml ingress[0] would list 9000 prefixes of outside addresses, more than 8192; --cidr-max-widen 16 leaves 4",
    ]);
  });

  test("another workload that the selector holds is named", () => {
    const job = { ...WEB, name: "migrate", labels: { app: "web", job: "migrate" }, ips: ["10.0.1.60"] };
    const { policies } = learn(snapshotOf(["shop"], [WEB, job as never, API]), [{ from: web, to: api, port: 9090 }], {
      wanted: ["Deployment/shop/web"],
    });
    expect(policies[0].alsoSelects.map(({ name }) => name)).toEqual(["migrate"]);
    expect(policies[0].text).toContain("# It also selects shop/deploy/migrate.\n");
  });
});
