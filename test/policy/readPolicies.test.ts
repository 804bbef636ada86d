import { describe, expect, test } from "vitest";
import { readManifest } from "../../src/cluster/manifest.ts";
import type { PolicySet } from "../../src/policy/model.ts";
import { overlay, readPolicies } from "../../src/policy/readPolicies.ts";
import { problemLines } from "./manifestText.ts";

function read(text: string) {
  return readPolicies(readManifest(text, "f.yaml"), { defaultNamespace: "default" });
}

const left = (name: string) => `this version evaluates NetworkPolicy only: a verdict that left out \`${name}\` would be wrong`;
const object = (apiVersion: string, kind: string) =>
  `apiVersion: ${apiVersion}\nkind: ${kind}\nmetadata: {name: x, namespace: shop}\nspec: {podSelector: {}}\n`;

describe("kinds that must not be left out", () => {
  test.each<[apiVersion: string, kind: string, expected: string]>([
    ["policy.networking.k8s.io/v1alpha1", "AdminNetworkPolicy", left("AdminNetworkPolicy x")],
    ["policy.networking.k8s.io/v1alpha1", "BaselineAdminNetworkPolicy", left("BaselineAdminNetworkPolicy x")],
    ["policy.networking.k8s.io/v1alpha2", "ClusterNetworkPolicy", left("ClusterNetworkPolicy x")],
    ["cilium.io/v2", "CiliumNetworkPolicy", left("CiliumNetworkPolicy shop/x")],
    ["cilium.io/v2", "CiliumClusterwideNetworkPolicy", left("CiliumClusterwideNetworkPolicy x")],
    ["projectcalico.org/v3", "NetworkPolicy", left("NetworkPolicy.projectcalico.org shop/x")],
    ["crd.projectcalico.org/v1", "GlobalNetworkPolicy", left("GlobalNetworkPolicy x")],
    ["crd.projectcalico.org/v1", "StagedKubernetesNetworkPolicy", left("StagedKubernetesNetworkPolicy shop/x")],
    ["guardian.example/v1", "AuditNetworkPolicy", left("AuditNetworkPolicy shop/x")],
    ["guardian.example/v1", "AuditClusterNetworkPolicy", left("AuditClusterNetworkPolicy x")],
    ["crd.antrea.io/v1beta1", "ClusterNetworkPolicy", left("ClusterNetworkPolicy x")],
    ["k8s.ovn.org/v1", "EgressFirewall", left("EgressFirewall shop/x")],
    ["networking.k8s.aws/v1alpha1", "ApplicationNetworkPolicy", left("ApplicationNetworkPolicy shop/x")],
    ["k8s.cni.cncf.io/v1beta1", "MultiNetworkPolicy", left("MultiNetworkPolicy shop/x")],
    [
      "networking.k8s.io/v1beta1",
      "NetworkPolicy",
      "`networking.k8s.io/v1beta1` is no longer served for NetworkPolicy: write `networking.k8s.io/v1`",
    ],
    ["extensions/v1beta1", "NetworkPolicy", "`extensions/v1beta1` is no longer served for NetworkPolicy: write `networking.k8s.io/v1`"],
    ["v1", "NetworkPolicy", "NetworkPolicy is of `networking.k8s.io/v1`, not of `v1`"],
    ["networking.k8.io/v1", "NetworkPolicy", "NetworkPolicy is of `networking.k8s.io/v1`, not of `networking.k8.io/v1`"],
    ["networking.k8s.io/v1", "NetworkPolicies", "`NetworkPolicies` is no kind of `networking.k8s.io/v1`, did you mean `NetworkPolicy`"],
    ["networking.k8s.io/v1", "networkpolicy", "`networkpolicy` is no kind of `networking.k8s.io/v1`, did you mean `NetworkPolicy`"],
    ["networking.k8s.io/v1", "NetwrokPolicy", "`NetwrokPolicy` is no kind of `networking.k8s.io/v1`, did you mean `NetworkPolicy`"],
    ["cilium.io/v2", "CiliumNetworkPolcy", "`CiliumNetworkPolcy` is no kind of `cilium.io/v2`, did you mean `CiliumNetworkPolicy`"],
  ])("%s %s", (apiVersion, kind, expected) => {
    const { policies, problems } = read(object(apiVersion, kind));
    expect(policies).toEqual([]);
    const [field, line] = expected.includes("served") || expected.includes("is of") ? ["apiVersion", 1] : ["kind", 2];
    expect(problemLines(problems)).toEqual([`error ${line}:1 ${field}: ${expected}`]);
  });
});

test("other kinds are counted, those of policy groups too when they decide nothing", () => {
  const kinds = [
    ...[
      ["v1", "Pod"],
      ["v1", "Pod"],
      ["apps/v1", "Deployment"],
      ["networking.k8s.io/v1", "Ingress"],
      ["networking.k8s.io/v1", "IPAddress"],
    ],
    ...[
      ["cilium.io/v2", "CiliumEndpoint"],
      ["crd.projectcalico.org/v1", "NetworkSet"],
      ["networking.k8s.aws/v1alpha1", "PolicyEndpoint"],
    ],
  ];
  const { problems, ignored } = read(kinds.map(([apiVersion, kind]) => object(apiVersion, kind)).join("---\n"));
  expect(problems).toEqual([]);
  expect([...ignored]).toEqual([
    ...[
      ["Pod", 2],
      ["Deployment", 1],
      ["Ingress", 1],
      ["IPAddress", 1],
    ],
    ...[
      ["CiliumEndpoint", 1],
      ["NetworkSet", 1],
      ["PolicyEndpoint", 1],
    ],
  ]);
});

const policyText = (name: string, namespace = "") =>
  `apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: ${name}${namespace && `, namespace: ${namespace}`}}\nspec: {podSelector: {}}\n`;

test("one object written twice is an error that names both places; the same name elsewhere is not", () => {
  const { policies, problems } = read([policyText("a"), policyText("a", "shop"), policyText("a", "default")].join("---\n"));
  expect(policies.map(({ ref }) => `${ref.namespace}/${ref.name}`)).toEqual(["default/a", "shop/a"]);
  expect(problemLines(problems)).toEqual([
    "error 13:12 metadata.name: NetworkPolicy `default/a` is written twice, first at `f.yaml:1`: only the later would apply",
  ]);
});

test("overlay replaces what has the same name and keeps the rest; replace keeps the candidates alone", () => {
  const existing = read([policyText("a"), policyText("b")].join("---\n"));
  const candidates = readPolicies(readManifest([policyText("b"), policyText("b", "shop")].join("---\n"), "new.yaml"), {
    defaultNamespace: "default",
  });
  const shown = ({ policies }: PolicySet) => policies.map(({ ref }) => `${ref.file} ${ref.namespace}/${ref.name}`);
  expect(shown(overlay(existing, candidates, "overlay"))).toEqual(["f.yaml default/a", "new.yaml default/b", "new.yaml shop/b"]);
  expect(shown(overlay(existing, candidates, "replace"))).toEqual(["new.yaml default/b", "new.yaml shop/b"]);
});
