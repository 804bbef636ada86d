import { describe, expect, test } from "vitest";
import { type Dialect, dialectOf, honours, looksAtRequests, peersOf } from "../../src/evaluate/honoured.ts";
import { CNI_NAMES, type CniName, profileOf } from "../../src/evaluate/profile.ts";
import { policiesOf } from "../oracle/compiled.ts";
import { ALL_KINDS, ciliumPolicy, clusterPolicy } from "./dialects.ts";

describe("which family a policy is of", () => {
  test.each<[string, Dialect]>([
    ["NetworkPolicy", "networkpolicy"],
    ["AuditNetworkPolicy", "networkpolicy"],
    ["AdminNetworkPolicy", "admin"],
    ["BaselineAdminNetworkPolicy", "admin"],
    ["ClusterNetworkPolicy", "clusternetworkpolicy"],
    ["CiliumNetworkPolicy", "cilium"],
    ["CiliumClusterwideNetworkPolicy", "cilium"],
    ["NetworkPolicy.projectcalico.org", "calico"],
    ["GlobalNetworkPolicy", "calico"],
  ])("%s: %s", (kind, dialect) => expect(policiesOf(ALL_KINDS[kind]).map(dialectOf)).toEqual([dialect]));
});

describe("which families a plugin knows", () => {
  const FAMILIES: Readonly<Record<string, string>> = {
    NetworkPolicy: "networkpolicy",
    AdminNetworkPolicy: "admin",
    ClusterNetworkPolicy: "clusternetworkpolicy",
    CiliumNetworkPolicy: "cilium",
    GlobalNetworkPolicy: "calico",
  };
  const known = (cni: CniName, settings: Record<string, string> = {}) =>
    Object.keys(FAMILIES)
      .filter((kind) => honours(profileOf(cni, settings), policiesOf(ALL_KINDS[kind])[0]))
      .map((kind) => FAMILIES[kind])
      .join(" ");
  const EXPECTED: Readonly<Record<CniName, string>> = {
    generic: "networkpolicy admin clusternetworkpolicy",
    cilium: "networkpolicy clusternetworkpolicy cilium",
    calico: "networkpolicy admin clusternetworkpolicy calico",
    antrea: "networkpolicy admin clusternetworkpolicy",
    "ovn-kubernetes": "networkpolicy admin",
    aws: "networkpolicy",
    "kube-router": "networkpolicy",
  };
  test.each(CNI_NAMES)("%s", (cni) => expect(known(cni)).toBe(EXPECTED[cni]));

  test.each<[CniName, Record<string, string>, string]>([
    ["cilium", { configured: "true" }, "networkpolicy cilium"],
    ["cilium", { "enable-k8s-cluster-network-policy": "true", configured: "true" }, "networkpolicy clusternetworkpolicy cilium"],
    ["cilium", { "enable-k8s-networkpolicy": "false" }, "clusternetworkpolicy cilium"],
    ["calico", { version: "3.28" }, "networkpolicy calico"],
    ["calico", { version: "3.29.1" }, "networkpolicy admin calico"],
    ["calico", { version: "3.31.0" }, "networkpolicy admin calico"],
    ["calico", { version: "3.32.0" }, "networkpolicy clusternetworkpolicy calico"],
    ["antrea", { configured: "true" }, "networkpolicy"],
    ["antrea", { configured: "true", AdminNetworkPolicy: "true" }, "networkpolicy admin"],
  ])("%s with %j: %s", (cni, settings, families) => expect(known(cni, settings)).toBe(families));

  test("Cilium refuses a ClusterNetworkPolicy with a peer by node labels as a whole; others take it", () => {
    const [policy] = policiesOf(
      clusterPolicy("p", "tier: Admin, priority: 1, subject: {namespaces: {}}, egress: [{action: Deny, to: [{nodes: {}}]}]"),
    );
    expect([honours(profileOf("cilium"), policy), honours(profileOf("generic"), policy)]).toEqual([false, true]);
  });
});

test("the conditions of a policy: both directions, the near end too, and what stands inside of others", () => {
  const [policy] = policiesOf(ALL_KINDS.GlobalNetworkPolicy);
  const kinds = peersOf(policy).map(({ kind }) => kind);
  // `!app == "x"` is a condition on pods and on sets inside of a `not`; the destination's own block is the near end.
  expect(kinds).toContain("not");
  expect(kinds.filter((kind) => kind === "sets" || kind === "prefix")).toEqual(expect.arrayContaining(["sets", "prefix"]));
});

test.each([
  ["ports alone", "{toPorts: [{ports: [{port: '80', protocol: TCP}]}]}", false],
  ["HTTP", "{toPorts: [{ports: [{port: '80', protocol: TCP}], rules: {http: [{method: GET}]}}]}", true],
])("whether rules look at requests: %s", (_what, rule, looks) => {
  expect(looksAtRequests(policiesOf(ciliumPolicy("shop/p", `endpointSelector: {}, ingress: [${rule}]`))[0])).toBe(looks);
  expect(looksAtRequests(policiesOf(ciliumPolicy("shop/p", `endpointSelector: {}, egress: [${rule}]`))[0])).toBe(looks);
});
