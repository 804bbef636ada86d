import { describe, expect, test } from "vitest";
import type { Namespace } from "../../src/cluster/objects.ts";
import { inNamespaces, readAuditClusterNetworkPolicy, readAuditNetworkPolicy } from "../../src/policy/kubernetes/auditPolicy.ts";
import { readNetworkPolicy } from "../../src/policy/kubernetes/networkPolicy.ts";
import type { Peer, Policy } from "../../src/policy/model.ts";
import { problemLines } from "./manifestText.ts";
import { expectNoCrash, objectOf, placesOf, withoutPlaces } from "./policyLaw.ts";

const AUDIT = "kguardian.dev/v1alpha1";
const NAME = "kubernetes.io/metadata.name";

const cluster = (lines: readonly string[], namespaces?: Iterable<Namespace>) =>
  readAuditClusterNetworkPolicy(objectOf(AUDIT, "AuditClusterNetworkPolicy", lines), "default", namespaces);

function namespace(name: string, labels?: Record<string, string>): Namespace {
  return { name, labels: { ...labels, [NAME]: name }, labelsKnown: labels !== undefined };
}

const rules = [
  "podSelector: {matchLabels: {a: b}}",
  "ingress: [{from: [{podSelector: {}}, {ipBlock: {cidr: 10.0.0.0/8}}], ports: [{port: 80}]}]",
];

describe("AuditNetworkPolicy", () => {
  test.each(["{name: p}", "{name: p, namespace: shop}"])(
    "says what the NetworkPolicy says that it becomes, under its own name: %s",
    (metadata) => {
      const audit = readAuditNetworkPolicy(objectOf(AUDIT, "AuditNetworkPolicy", rules, metadata), "web");
      const { policy } = readNetworkPolicy(objectOf("networking.k8s.io/v1", "NetworkPolicy", rules, metadata), "web");
      const ref = { ...(policy as Policy).ref, apiVersion: AUDIT, kind: "AuditNetworkPolicy" };
      expect(audit.problems).toEqual([]);
      expect(audit.policies?.map(withoutPlaces)).toEqual([withoutPlaces({ ...(policy as Policy), ref })]);
      expect(audit.policies?.map(placesOf)).toEqual([["ingress[0]:6", "ingress[0].from[0]:6", "ingress[0].from[1]:6"]]);
    },
  );

  test("what the live evaluator reports in its status is no part of it", () => {
    const object = objectOf(AUDIT, "AuditNetworkPolicy", rules);
    object.value.status = { observedGeneration: 2, evaluation: { flowsEvaluated: 1, flowsWouldDeny: 1, topOffenders: [] } };
    expect(readAuditNetworkPolicy(object).problems).toEqual([]);
  });

  test.each<[expected: string, ...lines: string[]]>([
    ["error 4:1 spec: a `podSelector` is required: `{}` selects every pod", "policyTypes: [Ingress]"],
    ['error 6:3 spec.namespaceSelector: unknown field "spec.namespaceSelector"', "podSelector: {}", "namespaceSelector: {}"],
    ["error 6:17 spec.policyTypes[0]: `ingress` is no policy type, did you mean `Ingress`", "podSelector: {}", "policyTypes: [ingress]"],
    [
      "warning 7:3 spec.egress: these rules are ignored: `policyTypes` does not list Egress",
      "podSelector: {}",
      "policyTypes: [Ingress]",
      "egress: [{}]",
    ],
  ])("%s", (expected, ...lines) => {
    const { policies, problems } = readAuditNetworkPolicy(objectOf(AUDIT, "AuditNetworkPolicy", lines));
    expect(problemLines(problems)).toEqual([expected]);
    expect(policies === undefined).toBe(expected.startsWith("error"));
  });
});

const subjects = (policies: readonly Policy[] | undefined) => policies?.map(({ subject }) => subject.namespaces);

const inShop = [namespace("shop", { team: "a" }), namespace("web", { team: "a" }), namespace("other", { team: "b" })];

describe("AuditClusterNetworkPolicy", () => {
  const everywhere = ["podSelector: {}", "ingress: [{from: [{namespaceSelector: {}}]}]"];

  test("without a peer of the subject's own namespace it is one policy of many namespaces", () => {
    const { policies, problems } = cluster(["namespaceSelector: {matchLabels: {team: a}}", ...everywhere], inShop);
    const team = { key: "team", operator: "In", values: ["a"] };
    const every = { selector: { requirements: [] } };
    expect(problems).toEqual([]);
    expect(policies?.map(withoutPlaces)).toEqual([
      {
        ref: { apiVersion: AUDIT, kind: "AuditClusterNetworkPolicy", name: "p" },
        tier: { kind: "networkpolicy" },
        subject: { namespaces: { selector: { requirements: [team] } }, pods: { requirements: [] } },
        ingress: {
          isolates: true,
          rules: [{ action: "allow", peers: [{ kind: "pods", match: { namespaces: every, pods: { requirements: [] } } }], ports: "any" }],
        },
      },
    ]);
  });

  test.each(["namespaceSelector: {}", "namespaceSelector: null", "policyTypes: [Ingress]"])("all namespaces: %s", (line) => {
    expect(subjects(cluster([line, ...everywhere]).policies)).toEqual([{ selector: { requirements: [] } }]);
  });

  test("a peer without namespaceSelector is of the subject's namespace, so there is a policy for each", () => {
    const { policies, problems } = cluster(["namespaceSelector: {matchLabels: {team: a}}", ...rules], inShop);
    expect(problems).toEqual([]);
    expect(subjects(policies)).toEqual([{ name: "shop" }, { name: "web" }]);
    const peers = (policies ?? []).map(({ ingress }) => ingress?.rules[0].peers as Peer[]);
    expect(peers.map(([first]) => first.kind === "pods" && first.match)).toEqual([
      { namespaces: { name: "shop" }, pods: { requirements: [] } },
      { namespaces: { name: "web" }, pods: { requirements: [] } },
    ]);
    expect(peers.map(([, second]) => second.kind)).toEqual(["prefix", "prefix"]);
    expect(policies?.map(({ ref }) => [ref.kind, ref.name])).toEqual(Array(2).fill(["AuditClusterNetworkPolicy", "p"]));
  });

  test("where the labels of a namespace are not known, whether it is meant stays open", () => {
    const { policies } = cluster(["namespaceSelector: {matchLabels: {team: a}}", ...rules], [namespace("shop")]);
    const requirements = [
      { key: "team", operator: "In", values: ["a"] },
      { key: NAME, operator: "In", values: ["shop"] },
    ];
    expect(subjects(policies)).toEqual([{ selector: { requirements } }]);
  });

  test("names of namespaces need no snapshot", () => {
    const named = `namespaceSelector: {matchExpressions: [{key: ${NAME}, operator: In, values: [shop, web]}]}`;
    expect(subjects(cluster([named, ...rules]).policies)).toEqual([{ name: "shop" }, { name: "web" }]);
    expect(subjects(cluster([named, ...rules], inShop).policies)).toEqual([{ name: "shop" }, { name: "web" }]);
    const ofTeam =
      "namespaceSelector: {matchLabels: {team: a}, matchExpressions: [{key: kubernetes.io/metadata.name, operator: In, values: [shop, other]}]}";
    expect(subjects(cluster([ofTeam, ...rules], inShop).policies)).toEqual([{ name: "shop" }]);
    const [template] = cluster([named, ...everywhere]).policies as Policy[];
    expect(subjects(inNamespaces(template, inShop))).toEqual([{ name: "shop" }, { name: "web" }]);
  });

  test.each<[expected: string, lines: string[], metadata?: string]>([
    [
      `error 4:1 spec: peers without \`namespaceSelector\` are of each subject's own namespace, and no namespaces are known: give a snapshot of the cluster, or list the names with the key \`${NAME}\``,
      rules,
    ],
    ["error 4:1 spec: a `podSelector` is required: `{}` selects every pod", ["namespaceSelector: {}"]],
    ["error 6:3 spec.namespaceSelector: expected a mapping, found the text `shop`", ["podSelector: {}", "namespaceSelector: shop"]],
    [
      "error 3:21 metadata.namespace: `AuditClusterNetworkPolicy` is cluster-scoped: leave the namespace out",
      everywhere,
      "{name: p, namespace: shop}",
    ],
    ['error 5:3 spec.tier: unknown field "spec.tier"', ["tier: Admin", ...everywhere]],
  ])("%s", (expected, lines, metadata) => {
    const { policies, problems } = readAuditClusterNetworkPolicy(objectOf(AUDIT, "AuditClusterNetworkPolicy", lines, metadata));
    expect(problemLines(problems)).toEqual([expected]);
    expect(policies).toBeUndefined();
  });
});

test("whatever JSON is called one of these kinds is read or refused", () => {
  const valid = { podSelector: {}, egress: [{ to: [{ namespaceSelector: {} }], ports: [{ port: 80 }] }] };
  expectNoCrash(AUDIT, "AuditNetworkPolicy", valid, readAuditNetworkPolicy);
  expectNoCrash(AUDIT, "AuditClusterNetworkPolicy", valid, readAuditClusterNetworkPolicy);
});
