import { describe, expect, test } from "vitest";
import type { Cluster } from "../../src/cluster/snapshot.ts";
import { compileConnectivity } from "../../src/evaluate/compare.ts";
import { type CniName, profileOf } from "../../src/evaluate/profile.ts";
import { loadRegexEngine } from "../../src/policy/regex.ts";
import { LinkTable } from "../../src/report/linkTable.ts";
import { clusterOf, policySetOf, snapshotText } from "../oracle/compiled.ts";
import type { OraclePod, Resources } from "../oracle/obviousEvaluator.ts";
import { ciliumPolicy, networkPolicy } from "./dialects.ts";
import { SHOP } from "./shop.ts";

/* What a comparison must tell apart besides what random worlds have: names, several addresses of a node, rollouts, two worlds. */

await loadRegexEngine();

/** Returns the differences as `+ shop/web > outside …`, in the order of names. */
function differences(before: string, after: string, clusters: readonly [Cluster, Cluster], cni: CniName = "generic"): string[] {
  const judged = [before, after].map((text, i) => {
    const { timeline } = clusters[i];
    const isInside = ({ first, last }: { first: bigint; last: bigint }) => timeline.holds(first, last);
    return { set: policySetOf(text), world: clusters[i], profile: profileOf(cni), isInside };
  });
  const connectivity = compileConnectivity(
    clusters[0] === clusters[1] ? judged.map((one) => ({ ...one, profile: judged[0].profile })) : judged,
  );
  const table = new LinkTable(connectivity, connectivity.differences(), ([a, b]) => a !== b);
  const wordOf = (outcome: number) => connectivity.verdicts.meaningOf(outcome).verdict;
  return table
    .rows(9)
    .map(({ from, to, ports }) => `${ports.outcomes.map(wordOf).join(">")} ${from} > ${to} ${ports.text}`)
    .sort();
}

const shop = clusterOf(snapshotText(SHOP));

describe("names of outside hosts", () => {
  const named = (...patterns: readonly string[]) =>
    ciliumPolicy(
      "shop/p",
      `endpointSelector: {matchLabels: {app: web}}, egress: [{toFQDNs: [${patterns.map((text) => (text.includes("*") ? `{matchPattern: "${text}"}` : `{matchName: "${text}"}`)).join(", ")}], toPorts: [{ports: [{port: "443", protocol: TCP}]}]}]`,
    );
  const between = (before: readonly string[], after: readonly string[]) =>
    differences(named(...before), named(...after), [shop, shop], "cilium");

  test.each([
    [["*.example.com"], ["**.example.com"]],
    [["*.example.com"], ["k*.example.com"]],
    [["*.example.com"], ["*a*.example.com"]],
    [["a*"], ["a*a*"]],
    [["*.com"], ["kguardian-any.com"]],
    [["*.com"], ["zq0.com"]],
    [["api.example.com"], ["*.example.com"]],
    [["a.example.com"], ["b.example.com"]],
    [["*-a.example.com"], ["*-b.example.com"]],
    [["*.example.com"], ["*.example.com", "*.example.org"]],
  ])("%j and %j are not the same", (before, after) => {
    expect(between(before, after)).not.toEqual([]);
    expect(between(after, before)).not.toEqual([]);
  });

  test.each([
    [["api.example.com"], ["API.example.com."]],
    [["*.example.com"], ["*.example.com", "api.example.com"]],
    [["api.example.com", "*.example.com"], ["*.example.com"]],
    [["a*"], ["a*", "a"]],
  ])("%j and %j are", (before, after) => {
    expect(between(before, after)).toEqual([]);
  });

  test("the API server may have one, too", () => {
    const deny = ", egressDeny: [{toEntities: [kube-apiserver]}]}\n";
    const allow = named("api.eks.example.com");
    const cluster = { ...shop, apiServers: new Set([0xffffcb007105n]) };
    expect(differences(allow.replace(/\}\n$/, deny), allow, [cluster, cluster], "cilium")).toEqual([
      "deny>allow shop/pods/web > api.eks.example.com as kube-apiserver 443/TCP",
    ]);
  });
});

describe("addresses of the cluster", () => {
  const to = (cidr: string) =>
    networkPolicy("shop/p", `podSelector: {matchLabels: {app: web}}, policyTypes: [Egress], egress: [{to: [{ipBlock: {cidr: ${cidr}}}]}]`);
  const nothing = networkPolicy("shop/p", "podSelector: {matchLabels: {app: web}}, policyTypes: [Egress]");

  test("every address of a node counts", () => {
    const nodes = [SHOP.nodes![0], { name: "n2", ips: ["192.168.0.2", "198.51.100.7"] }];
    const cluster = clusterOf(snapshotText({ ...SHOP, nodes }));
    const from = networkPolicy("shop/p", "podSelector: {matchLabels: {app: web}}, ingress: [{from: [{ipBlock: {cidr: 198.51.100.7/32}}]}]");
    const closed = networkPolicy("shop/p", "podSelector: {matchLabels: {app: web}}, policyTypes: [Ingress]");
    expect(differences(from, closed, [cluster, cluster])).toEqual([
      "allow>deny node/n2 (others than the pod's own) > shop/pods/web every port",
    ]);
  });

  test("an address beside pods that is nobody's is outside as well", () => {
    expect(differences(to("10.0.0.77/32"), nothing, [shop, shop])).toEqual(["allow>deny shop/pods/web > outside 10.0.0.77/32 every port"]);
  });
});

describe("two worlds", () => {
  const pod = (name: string, app: string, ip: string, node: string, hash: string, more: Partial<OraclePod> = {}): OraclePod => ({
    namespace: "shop",
    name,
    labels: { app, "pod-template-hash": hash },
    ip,
    node,
    ports: [],
    ...more,
  });
  const world = (...pods: readonly OraclePod[]) => {
    const resources: Resources = { ...SHOP, pods: [...SHOP.pods.filter(({ name }) => name === "api"), ...pods] };
    const cluster = clusterOf(snapshotText(resources));
    const workload = { namespace: "shop", kind: "Deployment", name: "web", foundBy: "owner" } as const;
    return { ...cluster, pods: cluster.pods.map((each) => (each.name.startsWith("web") ? { ...each, workload } : each)) };
  };
  const toApi = networkPolicy(
    "shop/p",
    "podSelector: {matchLabels: {app: api}}, ingress: [{from: [{podSelector: {matchLabels: {app: web}}}]}]",
  );

  test("a rollout changes nothing, nor does a half-done canary", () => {
    const before = world(pod("web-1-a", "web", "10.0.1.1", "n1", "1"), pod("web-1-b", "web2", "10.0.1.2", "n2", "1"));
    const after = world(pod("web-2-a", "web", "10.0.1.3", "n2", "2"), pod("web-2-b", "web2", "10.0.1.4", "n1", "2"));
    expect(differences(toApi, toApi, [before, after])).toEqual([]);
  });

  test("a label that the new pods lack does", () => {
    const before = world(pod("web-1-a", "web", "10.0.1.1", "n1", "1"));
    const after = world(pod("web-2-a", "webb", "10.0.1.3", "n1", "2"));
    expect(differences(toApi, toApi, [before, after])).toEqual(["allow>deny shop/deploy/web > shop/pods/api every port"]);
  });

  test("replicas on two nodes keep their nodes' addresses apart", () => {
    const policy = (...cidrs: readonly string[]) =>
      networkPolicy(
        "shop/p",
        `podSelector: {matchLabels: {app: api}}, ingress: [{from: [${cidrs.map((cidr) => `{ipBlock: {cidr: ${cidr}}}`).join(", ")}]}]`,
      );
    const before = world(pod("web-1-a", "web", "10.1.1.1", "n1", "1"), pod("web-1-b", "web", "10.1.2.1", "n2", "1"));
    const after = world(pod("web-2-a", "web", "10.1.1.2", "n1", "2"), pod("web-2-b", "web", "10.1.2.2", "n2", "2"));
    const both = policy("10.1.1.0/24", "10.1.2.0/24");
    expect(differences(both, both, [before, after])).toEqual([]);
    expect(differences(both, policy("10.1.1.0/24"), [before, after])).toContainEqual(
      expect.stringMatching(/^allow>deny shop\/deploy\/web \(pod web-2-b\).* > shop\/pods\/api every port$/),
    );
  });

  test("a pod that moves to the host network is its node from then on", () => {
    const isolated = networkPolicy("shop/p", "podSelector: {matchLabels: {app: web}}, policyTypes: [Ingress, Egress]");
    const before = world(pod("web-a", "web", "10.0.1.1", "n1", "1"));
    const after = world(pod("web-a", "web", "192.168.0.1", "n1", "1", { hostNetwork: true }));
    const found = differences(isolated, isolated, [before, after]);
    expect(found.every((line) => line.startsWith("deny>allow"))).toBe(true);
    expect(found.join("\n")).toContain("shop/pods/api");
  });
});
