import { describe, expect, test } from "vitest";
import { profileOf } from "../../src/evaluate/profile.ts";
import { ServiceBackends } from "../../src/evaluate/serviceBackends.ts";
import { formatAddress } from "../../src/net/address.ts";
import type { ServiceMatch } from "../../src/policy/model.ts";
import { clusterOf, compile, snapshotText } from "../oracle/compiled.ts";
import type { Resources } from "../oracle/obviousEvaluator.ts";
import { calico, ciliumPolicy } from "./dialects.ts";
import { SHOP } from "./shop.ts";

const tcp = (port: number) => ({ protocol: "TCP", port });
/** One Service that selects pods, one whose endpoints are listed, one of another namespace with the first one's name. */
const RESOURCES: Resources = {
  ...SHOP,
  services: [
    { namespace: "shop", name: "api", labels: { team: "red" }, selector: { app: "api" }, endpoints: ["10.0.0.2"], ports: [tcp(9090)] },
    {
      namespace: "shop",
      name: "bank",
      labels: { team: "blue" },
      endpoints: ["8.0.0.1", "10.0.0.3", "fd00:9::1"],
      ports: [tcp(443), tcp(8443)],
    },
    { namespace: "data", name: "api", labels: { team: "red" }, endpoints: ["8.0.0.2"], ports: [tcp(80)] },
  ],
};
const cluster = clusterOf(snapshotText(RESOURCES));
const backends = new ServiceBackends(cluster.services, cluster.serviceIndex);
const labelled = (team: string): ServiceMatch => ({ selector: { requirements: [{ key: "team", operator: "In", values: [team] }] } });

describe("which Services are meant", () => {
  test.each<[string, ServiceMatch, string[], string[]]>([
    ["one by name", { namespace: "shop", name: "api" }, ["shop app=api"], []],
    ["one by name, in any namespace", { name: "api" }, ["shop app=api"], ["8.0.0.2"]],
    ["by labels", labelled("red"), ["shop app=api"], ["8.0.0.2"]],
    ["by labels, in one namespace", { ...labelled("red"), namespace: "data" }, [], ["8.0.0.2"]],
    ["one without a selector, on two ports", { namespace: "shop", name: "bank" }, [], ["10.0.0.3", "8.0.0.1", "fd00:9::1"]],
    ["none", { namespace: "shop", name: "none" }, [], []],
  ])("%s", (_what, match, pods, addresses) => {
    const found = backends.find(match);
    const selections = found.selections.map(({ namespaces, pods: { requirements } }) => {
      const [{ key, values }] = requirements;
      return `${"name" in namespaces ? namespaces.name : "?"} ${key}=${values}`;
    });
    expect([selections, [...new Set(found.addresses.map(formatAddress))].sort()]).toEqual([pods, addresses]);
  });

  test("each endpoint comes with the port that the Service leads to there", () => {
    const ends = (match: ServiceMatch) =>
      backends
        .endpoints(match)
        .map(({ address, port }) => `${formatAddress(address)} ${port}`)
        .sort();
    expect(ends({ namespace: "shop", name: "bank" })).toEqual(
      ["10.0.0.3 443", "10.0.0.3 8443", "8.0.0.1 443", "8.0.0.1 8443", "fd00:9::1 443", "fd00:9::1 8443"].sort(),
    );
    expect(ends({ namespace: "shop", name: "api" })).toEqual(["10.0.0.2 9090"]);
  });

  test("without an index of endpoints only Services that select pods are found", () => {
    expect(new ServiceBackends(cluster.services).endpoints({ name: "bank" })).toEqual([]);
  });
});

describe("rules by Service", () => {
  const cilium = (service: string) =>
    ciliumPolicy("shop/p", `endpointSelector: {matchLabels: {app: web}}, egress: [{toServices: [${service}]}]`);
  const byCalico = (name: string) =>
    calico(
      "NetworkPolicy",
      "shop/p",
      `selector: app == 'web', types: [Egress], egress: [{action: Allow, destination: {services: {name: ${name}}}}]`,
    );
  const verdict = (cni: "cilium" | "calico", policy: string, destination: string, port: number) =>
    compile(RESOURCES, policy, { profile: profileOf(cni), outside: true }).ask({ source: "10.0.0.1", destination, protocol: "TCP", port })
      .egress.verdict;
  const API = "{k8sService: {serviceName: api, namespace: shop}}";
  const BANK = "{k8sService: {serviceName: bank, namespace: shop}}";
  test.each<[string, "cilium" | "calico", string, string, number, string]>([
    ["Cilium: a pod that the Service selects", "cilium", cilium(API), "10.0.0.2", 9090, "allow"],
    ["Cilium: on any port of it", "cilium", cilium(API), "10.0.0.2", 1, "allow"],
    ["Cilium: another pod", "cilium", cilium(API), "10.0.0.3", 9090, "deny"],
    ["Cilium: an outside endpoint", "cilium", cilium(BANK), "8.0.0.1", 1, "allow"],
    [
      "Cilium: by labels",
      "cilium",
      cilium("{k8sServiceSelector: {selector: {matchLabels: {team: blue}}, namespace: shop}}"),
      "8.0.0.1",
      443,
      "allow",
    ],
    ["Calico: a pod on the Service's port", "calico", byCalico("api"), "10.0.0.2", 9090, "allow"],
    ["Calico: on another port", "calico", byCalico("api"), "10.0.0.2", 1, "deny"],
    ["Calico: another pod", "calico", byCalico("api"), "10.0.0.3", 9090, "deny"],
    ["Calico: an outside endpoint", "calico", byCalico("bank"), "8.0.0.1", 8443, "allow"],
    ["Calico: on another port", "calico", byCalico("bank"), "8.0.0.1", 80, "deny"],
    ["Calico: an endpoint of IPv6", "calico", byCalico("bank"), "fd00:9::1", 443, "allow"],
    ["Calico: a pod that is listed as an endpoint", "calico", byCalico("bank"), "10.0.0.3", 443, "allow"],
    ["Calico: a Service that is not there", "calico", byCalico("none"), "10.0.0.2", 9090, "deny"],
  ])("%s", (_what, cni, policy, destination, port, expected) => expect(verdict(cni, policy, destination, port)).toBe(expected));
});
