import { describe, expect, test } from "vitest";
import { readManifest } from "../../src/cluster/manifest.ts";
import type { PolicySet } from "../../src/policy/model.ts";
import { overlay, readPolicies } from "../../src/policy/readPolicies.ts";
import { problemLines } from "./manifestText.ts";

function read(text: string) {
  return readPolicies(readManifest(text, "f.yaml"), { defaultNamespace: "default" });
}

const object = (apiVersion: string, kind: string) =>
  `apiVersion: ${apiVersion}\nkind: ${kind}\nmetadata: {name: x, namespace: shop}\nspec: {podSelector: {}}\n`;

test("each dialect is read, with the tiers and sets that it refers to", () => {
  const { policies, tiers, sets, problems } = read(
    [
      "apiVersion: policy.networking.k8s.io/v1alpha1\nkind: AdminNetworkPolicy\nmetadata: {name: a}\nspec: {priority: 1, subject: {namespaces: {}}}\n",
      "apiVersion: policy.networking.k8s.io/v1alpha1\nkind: BaselineAdminNetworkPolicy\nmetadata: {name: default}\nspec: {subject: {namespaces: {}}}\n",
      "apiVersion: policy.networking.k8s.io/v1alpha2\nkind: ClusterNetworkPolicy\nmetadata: {name: b}\nspec: {tier: Baseline, priority: 1, subject: {namespaces: {}}}\n",
      "apiVersion: cilium.io/v2\nkind: CiliumNetworkPolicy\nmetadata: {name: c}\nspec: {endpointSelector: {}, ingress: [{}]}\n",
      "apiVersion: cilium.io/v2\nkind: CiliumClusterwideNetworkPolicy\nmetadata: {name: d}\nspecs: [{endpointSelector: {}, ingress: [{}]}, {endpointSelector: {}, egress: [{}]}]\n",
      "apiVersion: cilium.io/v2alpha1\nkind: CiliumCIDRGroup\nmetadata: {name: e}\nspec: {externalCIDRs: [10.0.0.0/8]}\n",
      "apiVersion: projectcalico.org/v3\nkind: NetworkPolicy\nmetadata: {name: f}\nspec: {}\n",
      "apiVersion: crd.projectcalico.org/v1\nkind: GlobalNetworkPolicy\nmetadata: {name: g}\nspec: {}\n",
      "apiVersion: projectcalico.org/v3\nkind: Tier\nmetadata: {name: h}\nspec: {order: 5}\n",
      "apiVersion: projectcalico.org/v3\nkind: GlobalNetworkSet\nmetadata: {name: i}\nspec: {nets: [10.0.0.0/8]}\n",
      "apiVersion: kguardian.dev/v1alpha1\nkind: AuditNetworkPolicy\nmetadata: {name: j}\nspec: {podSelector: {}}\n",
    ].join("---\n"),
  );
  expect(problems.filter(({ severity }) => severity === "error")).toEqual([]);
  expect(policies.map(({ ref, tier }) => `${ref.name} ${tier.kind}`)).toEqual([
    "a admin",
    "default baseline",
    "b baseline",
    "c cilium",
    "d cilium",
    "d cilium",
    "f calico",
    "g calico",
    "j networkpolicy",
  ]);
  expect([...tiers, ...sets].map(({ ref }) => ref.name)).toEqual(["h", "e", "i"]);
});

test("policies that one plugin alone knows and that are not evaluated are told apart by group", () => {
  const kinds = [
    ["crd.antrea.io/v1beta1", "ClusterNetworkPolicy"],
    ["k8s.ovn.org/v1", "EgressFirewall"],
    ["networking.k8s.aws/v1alpha1", "ApplicationNetworkPolicy"],
  ];
  const { unevaluated, problems } = read(kinds.map(([apiVersion, kind]) => object(apiVersion, kind)).join("---\n"));
  expect(problems).toEqual([]);
  expect(unevaluated.map(({ kind, namespace, name, line }) => `${kind} ${namespace}/${name} ${line}`)).toEqual([
    "ClusterNetworkPolicy undefined/x 1",
    "EgressFirewall shop/x 6",
    "ApplicationNetworkPolicy shop/x 11",
  ]);
});

describe("kinds that must not be left out", () => {
  test.each<[apiVersion: string, kind: string, expected: string]>([
    ["guardian.example/v1", "AuditNetworkPolicy", "AuditNetworkPolicy is of `kguardian.dev/v1alpha1`, not of `guardian.example/v1`"],
    [
      "policy.networking.k8s.io/v1alpha1",
      "ClusterNetworkPolicy",
      "`policy.networking.k8s.io/v1alpha1` of ClusterNetworkPolicy is not understood: write `policy.networking.k8s.io/v1alpha2`",
    ],
    ["cilium.io/v1", "CiliumNetworkPolicy", "`cilium.io/v1` of CiliumNetworkPolicy is not understood: write `cilium.io/v2`"],
    ["k8s.cni.cncf.io/v1beta1", "MultiNetworkPolicy", "`MultiNetworkPolicy` of `k8s.cni.cncf.io/v1beta1` is no policy that is understood"],
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
    const [field, line] = /served|is of|write/.test(expected) ? ["apiVersion", 1] : ["kind", 2];
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
      ["crd.projectcalico.org/v1", "IPPool"],
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
      ["IPPool", 1],
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
