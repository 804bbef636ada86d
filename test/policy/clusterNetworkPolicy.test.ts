import { existsSync, readdirSync, readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { readManifest } from "../../src/cluster/manifest.ts";
import { readClusterNetworkPolicy } from "../../src/policy/admin/clusterNetworkPolicy.ts";
import type { PortMatch } from "../../src/policy/model.ts";
import { problemLines } from "./manifestText.ts";
import { expectNoCrash, objectOf, withoutPlaces } from "./policyLaw.ts";

const V1ALPHA2 = "policy.networking.k8s.io/v1alpha2";
const read = (...lines: string[]) => readClusterNetworkPolicy(objectOf(V1ALPHA2, "ClusterNetworkPolicy", lines));

/** Spec with nothing wrong above its rules, which then start in line 8. */
const HEAD = ["tier: Admin", "priority: 10", "subject: {namespaces: {}}"];
const everyPod = { namespaces: { selector: { requirements: [] } }, pods: { requirements: [] } };

test("a policy with a rule each way", () => {
  const { policies, problems } = read(
    "tier: Baseline",
    "priority: 1000",
    "subject: {pods: {podSelector: {matchLabels: {a: b}}}}",
    "ingress: [{action: Accept, name: x, from: [{namespaces: {}}]}, {action: Pass, from: [{pods: {podSelector: {}}}]}]",
    "egress: [{action: Deny, to: [{networks: [10.0.0.0/8]}, {nodes: {}}]}]",
  );
  expect(problems).toEqual([]);
  const a = { key: "a", operator: "In", values: ["b"] };
  expect(policies?.map(withoutPlaces)).toEqual([
    {
      ref: { apiVersion: V1ALPHA2, kind: "ClusterNetworkPolicy", name: "p" },
      tier: { kind: "baseline", order: 1000 },
      subject: { ...everyPod, pods: { requirements: [a] } },
      ingress: {
        isolates: false,
        rules: [
          { action: "allow", peers: [{ kind: "pods", match: everyPod }], ports: "any" },
          { action: "pass", peers: [{ kind: "pods", match: everyPod }], ports: "any" },
        ],
      },
      egress: {
        isolates: false,
        rules: [
          {
            action: "deny",
            peers: [
              {
                kind: "prefix",
                prefix: { first: 0xffff_0a00_0000n, last: 0xffff_0aff_ffffn, length: 8, family: 4, hostBits: false },
                except: [],
              },
              { kind: "nodes", selector: { requirements: [] } },
            ],
            ports: "any",
          },
        ],
      },
    },
  ]);
});

const portText = ({ protocol, ports }: PortMatch) =>
  `${protocol}/${ports && "first" in ports ? `${ports.first}-${ports.last}` : ports?.name}`;

describe("what `protocols` say", () => {
  test.each<[expected: string, protocol: string]>([
    ["6/80-80", "{tcp: {destinationPort: {number: 80}}}"],
    ["17/1-65535", "{udp: {destinationPort: {range: {start: 1, end: 65535}}}}"],
    ["132/7-8", "{sctp: {destinationPort: {number: null, range: {start: 7, end: 8}}}, tcp: null}"],
    ["6/web 17/web 132/web", "{destinationNamedPort: web}"],
  ])("%s: %s", (expected, protocol) => {
    const { policies, problems } = read(...HEAD, `ingress: [{action: Deny, from: [{namespaces: {}}], protocols: [${protocol}]}]`);
    expect(problems).toEqual([]);
    const ports = policies?.[0].ingress?.rules[0].ports;
    expect(ports === "any" ? ports : ports?.map(portText).join(" ")).toBe(expected);
  });
});

const SPEC: [expected: string, ...lines: string[]][] = [
  ["error 4:1 spec.tier: a `tier` is required: `Admin` or `Baseline`", "priority: 1", "subject: {namespaces: {}}"],
  ["error 5:3 spec.tier: `admin` is no tier, did you mean `Admin`", "tier: admin", "priority: 1", "subject: {namespaces: {}}"],
  ["error 5:3 spec.tier: `Default` is no tier: it is `Admin` or `Baseline`", "tier: Default", "priority: 1", "subject: {namespaces: {}}"],
  ["error 6:3 spec.priority: the priority `1001` is not in 0..1000", "tier: Admin", "priority: 1001", "subject: {namespaces: {}}"],
  [
    "error 7:13 spec.subject.pods: a `podSelector` is required: `{}` selects all",
    "tier: Admin",
    "priority: 1",
    "subject: {pods: {namespaceSelector: {}}}",
  ],
  [
    "error 8:3 spec.egress: 26 rules, and at most 25 may be listed",
    ...HEAD,
    `egress: [${Array(26).fill("{action: Deny, to: [{nodes: {}}]}").join(", ")}]`,
  ],
  [
    "error 8:27 spec.egress[0].to: 26 items, and at most 25 may be listed",
    ...HEAD,
    `egress: [{action: Deny, to: [${Array(26).fill("{nodes: {}}").join(", ")}]}]`,
  ],
  [
    "error 8:46 spec.egress[0].protocols: 26 items, and at most 25 may be listed",
    ...HEAD,
    `egress: [{action: Deny, to: [{nodes: {}}], protocols: [${Array(26).fill("{tcp: {destinationPort: {number: 80}}}").join(", ")}]}]`,
  ],
  [
    "error 8:13 spec.egress[0].action: `Allow` is no action here: it is `Accept`, `Deny` or `Pass`",
    ...HEAD,
    "egress: [{action: Allow, to: [{nodes: {}}]}]",
  ],
  [
    'error 8:46 spec.egress[0].ports: unknown field "spec.egress[0].ports"',
    ...HEAD,
    "egress: [{action: Deny, to: [{nodes: {}}], ports: []}]",
  ],
  [
    'error 8:46 spec.egress[0].to[0].namespaces.sameLabels: unknown field "spec.egress[0].to[0].namespaces.sameLabels"',
    ...HEAD,
    "egress: [{action: Deny, to: [{namespaces: {sameLabels: [a]}}]}]",
  ],
  [
    "error 8:58 spec.egress[0].protocols[0]: a protocol must have one of `tcp`, `udp`, `sctp` or `destinationNamedPort`",
    ...HEAD,
    "egress: [{action: Deny, to: [{nodes: {}}], protocols: [{}]}]",
  ],
  [
    "warning 8:59 spec.egress[0].protocols[0].tcp: an empty protocol is refused by the CRD: it is read as every port, written as the range 1 to 65535",
    ...HEAD,
    "egress: [{action: Deny, to: [{nodes: {}}], protocols: [{tcp: {}}]}]",
  ],
  [
    "error 8:65 spec.egress[0].protocols[0].udp.destinationPort: a `destinationPort` must have one of `number` or `range`",
    ...HEAD,
    "egress: [{action: Deny, to: [{nodes: {}}], protocols: [{udp: {destinationPort: {}}}]}]",
  ],
  [
    "error 8:65 spec.egress[0].protocols[0].udp.destinationPort: a `destinationPort` can have only one of `number` or `range`",
    ...HEAD,
    "egress: [{action: Deny, to: [{nodes: {}}], protocols: [{udp: {destinationPort: {number: 1, range: {start: 1, end: 2}}}}]}]",
  ],
  [
    "error 8:84 spec.egress[0].protocols[0].sctp.destinationPort.number: the port `65536` is not in 1..65535",
    ...HEAD,
    "egress: [{action: Deny, to: [{nodes: {}}], protocols: [{sctp: {destinationPort: {number: 65536}}}]}]",
  ],
  [
    "error 8:83 spec.egress[0].protocols[0].tcp.destinationPort.range: the start `2` of a range must be below its end `1`",
    ...HEAD,
    "egress: [{action: Deny, to: [{nodes: {}}], protocols: [{tcp: {destinationPort: {range: {start: 2, end: 1}}}}]}]",
  ],
  [
    "error 8:83 spec.egress[0].protocols[0].tcp.destinationPort.range: a `start` is required",
    ...HEAD,
    "egress: [{action: Deny, to: [{nodes: {}}], protocols: [{tcp: {destinationPort: {range: {end: 1}}}}]}]",
  ],
  [
    "error 8:59 spec.egress[0].protocols: only pods have named ports: beside `networks`, `nodes` or `domainNames` write port numbers",
    ...HEAD,
    "egress: [{action: Deny, to: [{networks: [10.0.0.0/8]}], protocols: [{destinationNamedPort: web}]}]",
  ],
  [
    "error 8:33 spec.egress[0].to[0].domainNames: only rules with the action `Accept` can have `domainNames`",
    ...HEAD,
    "egress: [{action: Deny, to: [{domainNames: [a.example]}]}]",
  ],
  [
    "warning 8:13 spec.ingress[0]: this rule lets every pod in on every port, and no NetworkPolicy can deny it",
    ...HEAD,
    "ingress: [{action: Accept, from: [{pods: {podSelector: {}}}]}]",
  ],
];

describe("what is wrong with a ClusterNetworkPolicy", () => {
  test.each(SPEC)("%s", (expected, ...lines) => {
    const { policies, problems } = read(...lines);
    expect(problemLines(problems)).toEqual([expected]);
    expect(policies === undefined).toBe(expected.startsWith("error"));
  });

  test("25 rules of 25 peers and protocols are not too many", () => {
    const list = (item: string) => Array(25).fill(item).join(", ");
    const rule = `{action: Deny, to: [${list("{nodes: {}}")}], protocols: [${list("{tcp: {destinationPort: {number: 80}}}")}]}`;
    expect(read(...HEAD, `egress: [${list(rule)}]`).policies?.[0].egress?.rules.length).toBe(25);
  });
});

const ORACLE = new URL("../../../shared/oracle/clusternetworkpolicy/", import.meta.url);

test.skipIf(!existsSync(ORACLE)).each([
  ["", 240],
  ["conformance/", 62],
])("every policy that a real engine judged is accepted: %s", (folder, atLeast) => {
  let policies = 0;
  for (const name of readdirSync(new URL(folder, ORACLE)).filter((each) => each.endsWith(".json"))) {
    const written = JSON.parse(readFileSync(new URL(folder + name, ORACLE), "utf8")).policies;
    const items = written.filter(({ kind }: { kind: string }) => kind === "ClusterNetworkPolicy");
    for (const object of readManifest(JSON.stringify({ apiVersion: "v1", kind: "List", items }), name)) {
      const reading = readClusterNetworkPolicy(object);
      expect(problemLines(reading.problems).filter((line) => line.startsWith("error"))).toEqual([]);
      policies += reading.policies?.length ?? 0;
    }
  }
  expect(policies).toBeGreaterThanOrEqual(atLeast);
});

test("whatever JSON is called a ClusterNetworkPolicy is read or refused", () => {
  const egress = [{ action: "Deny", to: [{ nodes: {} }], protocols: [{ tcp: { destinationPort: { number: 80 } } }] }];
  expectNoCrash(
    V1ALPHA2,
    "ClusterNetworkPolicy",
    { tier: "Admin", priority: 1, subject: { namespaces: {} }, egress },
    readClusterNetworkPolicy,
  );
});
