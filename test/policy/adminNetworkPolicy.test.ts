import { existsSync, readdirSync, readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { readManifest } from "../../src/cluster/manifest.ts";
import { formatPrefix } from "../../src/net/prefix.ts";
import { readAdminNetworkPolicy, readBaselineAdminNetworkPolicy } from "../../src/policy/admin/adminNetworkPolicy.ts";
import type { Peer, Policy, PortMatch, Rule } from "../../src/policy/model.ts";
import { problemLines } from "./manifestText.ts";
import { expectNoCrash, objectOf, placesOf } from "./policyLaw.ts";

const V1ALPHA1 = "policy.networking.k8s.io/v1alpha1";
const read = (...lines: string[]) => readAdminNetworkPolicy(objectOf(V1ALPHA1, "AdminNetworkPolicy", lines));
const readBaseline = (lines: string[], metadata = "{name: default}") =>
  readBaselineAdminNetworkPolicy(objectOf(V1ALPHA1, "BaselineAdminNetworkPolicy", lines, metadata));

/** Spec with nothing wrong above its rules, which then start in line 7. */
const HEAD = ["priority: 10", "subject: {namespaces: {}}"];

function policyOf({ policies, problems }: ReturnType<typeof read>): Policy {
  expect(problemLines(problems).filter((line) => line.startsWith("error"))).toEqual([]);
  return (policies ?? [])[0];
}

const labels = ({ requirements }: { requirements: readonly unknown[] }) => JSON.stringify(requirements);

function peerText(peer: Peer): string {
  if (peer.kind === "prefix") return formatPrefix(peer.prefix);
  if (peer.kind === "nodes") return `nodes ${labels(peer.selector)}`;
  if (peer.kind === "names") return `names ${peer.patterns.map(({ text, regex }) => `${text}=${regex}`).join(" ")}`;
  if (peer.kind !== "pods" || "name" in peer.match.namespaces) return `unexpected ${peer.kind}`;
  return `pods ${labels(peer.match.namespaces.selector)} ${labels(peer.match.pods)}`;
}

const portText = ({ protocol, ports }: PortMatch) =>
  `${protocol}/${ports && "first" in ports ? `${ports.first}-${ports.last}` : ports?.name}`;

function ruleText({ action, peers, ports }: Rule): string {
  return `${action} | ${peers === "any" ? "any" : peers.map(peerText).join("; ")} | ${ports === "any" ? "any" : ports.map(portText).join(" ")}`;
}

const IN_A = '[{"key":"a","operator":"In","values":["b"]}]';

describe("what an egress rule says (action | peers | ports)", () => {
  test.each<[expected: string, rule: string]>([
    ["allow | pods [] [] | any", "{action: Allow, to: [{namespaces: {}}]}"],
    ["deny | pods [] [] | any", "{action: Deny, to: [{namespaces: {}}], ports: null}"],
    [`pass | pods ${IN_A} [] | any`, "{action: Pass, name: x, to: [{namespaces: {matchLabels: {a: b}}, pods: null}]}"],
    [`allow | pods [] ${IN_A} | any`, "{action: Allow, to: [{pods: {namespaceSelector: {}, podSelector: {matchLabels: {a: b}}}}]}"],
    [`deny | nodes ${IN_A}; nodes [] | any`, "{action: Deny, to: [{nodes: {matchLabels: {a: b}}}, {nodes: {}}]}"],
    ["deny | 10.0.0.0/8; 0.0.0.0/0; fd00::/8 | any", "{action: Deny, to: [{networks: [10.0.0.0/8, 0.0.0.0/0]}, {networks: ['fd00::/8']}]}"],
    [
      "allow | names *.Example.com=(?:[^.]+\\.)+example\\.com a-b.c_d.org.=a-b\\.c_d\\.org | any",
      "{action: Allow, to: [{domainNames: ['*.Example.com', a-b.c_d.org.]}]}",
    ],
    ["allow | pods [] [] | 6/80-80", "{action: Allow, to: [{namespaces: {}}], ports: [{portNumber: {port: 80}}]}"],
    [
      "allow | pods [] [] | 17/1-1 132/8000-8100 6/1-65535",
      "{action: Allow, to: [{namespaces: {}}], ports: [{portNumber: {protocol: UDP, port: 1}}, {portRange: {protocol: SCTP, start: 8000, end: 8100}}, {portRange: {start: 1, end: 65535}}]}",
    ],
    ["deny | pods [] [] | 6/web 17/web 132/web", "{action: Deny, to: [{namespaces: {}}], ports: [{namedPort: web}]}"],
  ])("%s: %s", (expected, rule) => {
    const policy = policyOf(read(...HEAD, `egress: [${rule}]`));
    expect(policy.egress?.rules.map(ruleText)).toEqual([expected]);
    expect(policy.egress?.isolates).toBe(false);
    expect(policy).not.toHaveProperty("ingress");
  });
});

test("a policy has the tier of its kind, its subject, and only the directions that it has rules for", () => {
  const admin = policyOf(
    read("priority: 0", "subject: {pods: {namespaceSelector: {matchLabels: {a: b}}, podSelector: {}}}", "ingress: []"),
  );
  expect(admin).toEqual({
    ref: { apiVersion: V1ALPHA1, kind: "AdminNetworkPolicy", name: "p", file: "p.yaml", line: 1 },
    tier: { kind: "admin", order: 0 },
    subject: { namespaces: { selector: { requirements: JSON.parse(IN_A) } }, pods: { requirements: [] } },
  });
  const baseline = policyOf(readBaseline(["subject: {namespaces: {}}", "ingress: [{action: Deny, from: [{namespaces: {}}]}]"]));
  expect(baseline.tier).toEqual({ kind: "baseline", order: 0 });
  expect(baseline.ingress?.rules.map(ruleText)).toEqual(["deny | pods [] [] | any"]);
  expect(baseline).not.toHaveProperty("egress");
});

test("every rule, peer and network knows its place", () => {
  const egress = ["egress:", "- action: Deny", "  to:", "  - nodes: {}", "  - networks:", "    - 10.0.0.0/8", "    - fd00::/8"];
  expect(placesOf(policyOf(read(...HEAD, ...egress)))).toEqual([
    "egress[0]:8",
    "egress[0].to[0]:10",
    "egress[0].to[1].networks[0]:12",
    "egress[0].to[1].networks[1]:13",
  ]);
});

/** The problem of one egress rule, in line 7. */
const RULE: [expected: string, rule: string][] = [
  ["error 7:12 spec.egress[0]: an `action` is required: `Allow`, `Deny` or `Pass`", "{to: [{namespaces: {}}]}"],
  ["error 7:13 spec.egress[0].action: `allow` is no action here, did you mean `Allow`", "{action: allow, to: [{namespaces: {}}]}"],
  [
    "error 7:13 spec.egress[0].action: `Accept` is no action here: it is `Allow`, `Deny` or `Pass`",
    "{action: Accept, to: [{namespaces: {}}]}",
  ],
  ["error 7:13 spec.egress[0].action: expected text, found the number `1`: write it in quotes", "{action: 1, to: [{namespaces: {}}]}"],
  ["error 7:12 spec.egress[0]: a `to` is required: `- namespaces: {}` is every pod", "{action: Deny}"],
  ["error 7:27 spec.egress[0].to: an empty list: list at least one item", "{action: Deny, to: []}"],
  [
    'error 7:51 spec.egress[0].from: unknown field "spec.egress[0].from"',
    "{action: Deny, to: [{namespaces: {}}], from: [{namespaces: {}}]}",
  ],
  [
    `error 7:13 spec.egress[0].name: the name of a rule may have 100 characters, this one has 101`,
    `{name: ${"é".repeat(101)}, action: Deny, to: [{namespaces: {}}]}`,
  ],
  [
    "error 7:32 spec.egress[0].to[0]: a peer must have one of `namespaces`, `pods`, `nodes`, `networks` or `domainNames`",
    "{action: Deny, to: [{}]}",
  ],
  ["error 7:32 spec.egress[0].to[0]: a peer can have only one of `pods` or `nodes`", "{action: Deny, to: [{nodes: {}, pods: {}}]}"],
  ['error 7:33 spec.egress[0].to[0].services: unknown field "spec.egress[0].to[0].services"', "{action: Deny, to: [{services: {}}]}"],
  ["error 7:33 spec.egress[0].to[0].nodes: expected a mapping, found a list", "{action: Deny, to: [{nodes: []}]}"],
  [
    "error 7:33 spec.egress[0].to[0].pods: a `namespaceSelector` is required: `{}` selects all",
    "{action: Deny, to: [{pods: {podSelector: {}}}]}",
  ],
  [
    "error 7:33 spec.egress[0].to[0].pods: a `podSelector` is required: `{}` selects all",
    "{action: Deny, to: [{pods: {namespaceSelector: {}}}]}",
  ],
  [
    "error 7:46 spec.egress[0].to[0].namespaces.namespaceSelector: `namespaceSelector` here is of network-policy-api v0.1.1 or older: write the shape of v0.1.5, with the labels directly below `namespaces`",
    "{action: Deny, to: [{namespaces: {namespaceSelector: {}}}]}",
  ],
  [
    "error 7:46 spec.egress[0].to[0].namespaces.sameLabels: `sameLabels` here is of network-policy-api v0.1.1 or older: v0.1.5 has no such peer: name the namespaces by their labels",
    "{action: Deny, to: [{namespaces: {sameLabels: [a]}}]}",
  ],
  [
    "error 7:46 spec.egress[0].to[0].namespaces.notSameLabels: `notSameLabels` here is of network-policy-api v0.1.1 or older: v0.1.5 has no such peer: name the namespaces by their labels",
    "{action: Deny, to: [{namespaces: {notSameLabels: [a]}}]}",
  ],
  [
    "error 7:40 spec.egress[0].to[0].pods.namespaces: `namespaces` here is of network-policy-api v0.1.1 or older: write the shape of v0.1.5, with a `namespaceSelector` and a `podSelector` below `pods`",
    "{action: Deny, to: [{pods: {namespaces: {}, podSelector: {}}}]}",
  ],
  ["error 7:33 spec.egress[0].to[0].networks: an empty list: list at least one item", "{action: Deny, to: [{networks: []}]}"],
  [
    "error 7:33 spec.egress[0].to[0].networks: 26 items, and at most 25 may be listed",
    `{action: Deny, to: [{networks: [${Array.from({ length: 26 }, (_, index) => `10.0.${index}.0/24`).join(", ")}]}]}`,
  ],
  [
    "error 7:56 spec.egress[0].to[0].networks[1]: `10.0.0.0/8` is listed twice",
    "{action: Deny, to: [{networks: [10.0.0.0/8, 10.0.0.0/8]}]}",
  ],
  [
    "error 7:44 spec.egress[0].to[0].networks[0]: `10.0.0.1` is no address block, did you mean `10.0.0.1/32`",
    "{action: Deny, to: [{networks: [10.0.0.1]}]}",
  ],
  ["error 7:44 spec.egress[0].to[0].networks[0]: an address block is required", "{action: Deny, to: [{networks: ['']}]}"],
  ["error 7:44 spec.egress[0].to[0].networks[0]: an address block is required", "{action: Deny, to: [{networks: [null]}]}"],
  ["warning 7:44 spec.egress[0].to[0].networks[0]: `10.1.2.3/8` means `10.0.0.0/8`", "{action: Deny, to: [{networks: [10.1.2.3/8]}]}"],
  [
    "error 7:44 spec.egress[0].to[0].networks[0]: `10.0.00.0/8` has leading zeros, which are refused",
    "{action: Deny, to: [{networks: [10.0.00.0/8]}]}",
  ],
  [
    "error 7:44 spec.egress[0].to[0].networks[0]: `::ffff:10.0.0.0/104` is IPv4 inside of IPv6, which is refused: write `10.0.0.0/8`",
    "{action: Deny, to: [{networks: ['::ffff:10.0.0.0/104']}]}",
  ],
  [
    "error 7:44 spec.egress[0].to[0].networks[0]: `::ffff:a00:0/104` is IPv4 inside of IPv6, which is refused: write `10.0.0.0/8`",
    "{action: Deny, to: [{networks: ['::ffff:a00:0/104']}]}",
  ],
  [
    "error 7:44 spec.egress[0].to[0].networks[0]: `fd00::1.2.3.4/128` is IPv4 inside of IPv6, which is refused",
    "{action: Deny, to: [{networks: ['fd00::1.2.3.4/128']}]}",
  ],
  [
    "error 7:33 spec.egress[0].to[0].domainNames: only rules with the action `Allow` can have `domainNames`",
    "{action: Pass, to: [{domainNames: [a.example]}]}",
  ],
  [
    "error 7:48 spec.egress[0].to[0].domainNames[0]: `localhost` is no domain name of two labels or more: such as `*.example.com`",
    "{action: Allow, to: [{domainNames: [localhost]}]}",
  ],
  [
    "error 7:48 spec.egress[0].to[0].domainNames[0]: `a.*.com` is no domain name of two labels or more: a `*` stands for whole labels, and only in front",
    "{action: Allow, to: [{domainNames: [a.*.com]}]}",
  ],
  [
    "error 7:48 spec.egress[0].to[0].domainNames[0]: `*a.example.com` is no domain name of two labels or more: a `*` stands for whole labels, and only in front",
    "{action: Allow, to: [{domainNames: ['*a.example.com']}]}",
  ],
  [
    "error 7:59 spec.egress[0].to[0].domainNames[1]: `a.example` is listed twice",
    "{action: Allow, to: [{domainNames: [a.example, a.example]}]}",
  ],
  ["error 7:51 spec.egress[0].ports: an empty list: list at least one item", "{action: Deny, to: [{namespaces: {}}], ports: []}"],
  [
    "error 7:59 spec.egress[0].ports[0]: a port must have one of `portNumber`, `portRange` or `namedPort`",
    "{action: Deny, to: [{namespaces: {}}], ports: [{}]}",
  ],
  [
    "error 7:59 spec.egress[0].ports[0]: a port can have only one of `portNumber` or `namedPort`",
    "{action: Deny, to: [{namespaces: {}}], ports: [{namedPort: a, portNumber: {port: 1}}]}",
  ],
  [
    "error 7:60 spec.egress[0].ports[0].portNumber: a `port` is required",
    "{action: Deny, to: [{namespaces: {}}], ports: [{portNumber: {protocol: TCP}}]}",
  ],
  [
    "error 7:73 spec.egress[0].ports[0].portNumber.port: the port `0` is not in 1..65535",
    "{action: Deny, to: [{namespaces: {}}], ports: [{portNumber: {port: 0}}]}",
  ],
  [
    "error 7:73 spec.egress[0].ports[0].portNumber.port: expected an integer, found the text `http`",
    "{action: Deny, to: [{namespaces: {}}], ports: [{portNumber: {port: http}}]}",
  ],
  [
    "error 7:73 spec.egress[0].ports[0].portNumber.protocol: `ICMP` is no protocol of a port: it is TCP, UDP or SCTP",
    "{action: Deny, to: [{namespaces: {}}], ports: [{portNumber: {protocol: ICMP, port: 1}}]}",
  ],
  [
    "error 7:60 spec.egress[0].ports[0].portRange: the start `80` of a range must be below its end `80`",
    "{action: Deny, to: [{namespaces: {}}], ports: [{portRange: {start: 80, end: 80}}]}",
  ],
  [
    "error 7:60 spec.egress[0].ports[0].portRange: an `end` is required",
    "{action: Deny, to: [{namespaces: {}}], ports: [{portRange: {start: 80}}]}",
  ],
  [
    "warning 7:60 spec.egress[0].ports[0].namedPort: `Web` is no port name: only a-z, 0-9 and - may be in it; it matches nothing",
    "{action: Deny, to: [{namespaces: {}}], ports: [{namedPort: Web}]}",
  ],
  [
    "error 7:60 spec.egress[0].ports[0].namedPort: a port name is required",
    "{action: Deny, to: [{namespaces: {}}], ports: [{namedPort: ''}]}",
  ],
  [
    "warning 7:64 spec.egress[0].ports: only pods have named ports: beside `networks`, `nodes` or `domainNames` write port numbers",
    "{action: Deny, to: [{namespaces: {}}, {nodes: {}}], ports: [{namedPort: a}]}",
  ],
];

describe("what is wrong with a rule", () => {
  test.each(RULE)("%s", (expected, rule) => {
    const { policies, problems } = read(...HEAD, `egress: [${rule}]`);
    expect(problemLines(problems)).toEqual([expected]);
    expect(policies === undefined).toBe(expected.startsWith("error"));
  });
});

const SPEC: [expected: string, ...lines: string[]][] = [
  ["error 4:1 spec.subject: a `subject` is required: `namespaces: {}` is every pod", "priority: 1"],
  ["error 4:1 spec.priority: a `priority` is required: 0 (asked first) to 1000", "subject: {namespaces: {}}"],
  ["error 5:3 spec.priority: the priority `1001` is not in 0..1000", "priority: 1001", "subject: {namespaces: {}}"],
  ["error 5:3 spec.priority: the priority `-1` is not in 0..1000", "priority: -1", "subject: {namespaces: {}}"],
  ["error 5:3 spec.priority: expected an integer, found the text `1`", "priority: '1'", "subject: {namespaces: {}}"],
  ['error 6:3 spec.tier: unknown field "spec.tier"', "priority: 1", "tier: Admin", "subject: {namespaces: {}}"],
  ["error 6:3 spec.subject: a subject must have one of `namespaces` or `pods`", "priority: 1", "subject: {}"],
  ["error 6:3 spec.subject: a subject can have only one of `namespaces` or `pods`", "priority: 1", "subject: {namespaces: {}, pods: {}}"],
  [
    "error 7:3 spec.ingress: 101 rules, and at most 100 may be listed",
    ...HEAD,
    `ingress: [${Array(101).fill("{action: Deny, from: [{namespaces: {}}]}").join(", ")}]`,
  ],
  [
    "error 7:28 spec.ingress[0].from: 101 items, and at most 100 may be listed",
    ...HEAD,
    `ingress: [{action: Deny, from: [${Array(101).fill("{namespaces: {}}").join(", ")}]}]`,
  ],
  [
    'error 7:36 spec.ingress[0].from[0].networks: unknown field "spec.ingress[0].from[0].networks"',
    ...HEAD,
    "ingress: [{action: Deny, from: [{networks: [10.0.0.0/8]}]}]",
  ],
  [
    "warning 7:13 spec.ingress[0]: this rule lets every pod in on every port, and no NetworkPolicy can deny it",
    ...HEAD,
    "ingress: [{action: Allow, from: [{namespaces: {}}]}]",
  ],
];

describe("what is wrong with a spec", () => {
  test.each(SPEC)("%s", (expected, ...lines) => {
    expect(problemLines(read(...lines).problems)).toEqual([expected]);
  });

  test("limits are those of the CRD, not one less", () => {
    const rule = `{action: Deny, from: [${Array(100).fill("{namespaces: {}}").join(", ")}]}`;
    expect(policyOf(read(...HEAD, `ingress: [${Array(100).fill(rule).join(", ")}]`)).ingress?.rules.length).toBe(100);
  });

  test.each([
    "{action: Pass, from: [{namespaces: {}}]}",
    `{name: ${"🛡".repeat(100)}, action: Deny, from: [{namespaces: {}}]}`,
    "{action: Allow, from: [{namespaces: {matchLabels: {a: b}}}]}",
    "{action: Allow, from: [{namespaces: {}}], ports: [{portNumber: {port: 80}}]}",
  ])("no warning: %s", (rule) => expect(read(...HEAD, `ingress: [${rule}]`).problems).toEqual([]));
});

describe("what is wrong with the object", () => {
  const rules = "ingress: [{action: Deny, from: [{namespaces: {}}]}]";
  test.each<[expected: string, metadata: string]>([
    ["error 3:21 metadata.namespace: `AdminNetworkPolicy` is cluster-scoped: leave the namespace out", "{name: p, namespace: shop}"],
    ["error 3:1 metadata.name: a name is required", "{}"],
  ])("%s", (expected, metadata) => {
    const { policies, problems } = readAdminNetworkPolicy(objectOf(V1ALPHA1, "AdminNetworkPolicy", [...HEAD, rules], metadata));
    expect(problemLines(problems).map((line) => line)).toEqual([expected]);
    expect(policies).toBeUndefined();
  });

  test("an object without a spec says so once", () => {
    const [object] = readManifest(`apiVersion: ${V1ALPHA1}\nkind: AdminNetworkPolicy\nmetadata: {name: p}`, "p.yaml");
    expect(problemLines(readAdminNetworkPolicy(object).problems)).toEqual(["error 1:1 spec: a `spec` is required"]);
    const [text] = readManifest(`apiVersion: ${V1ALPHA1}\nkind: AdminNetworkPolicy\nmetadata: {name: p}\nspec: no`, "p.yaml");
    expect(problemLines(readAdminNetworkPolicy(text).problems)).toEqual(["error 4:1 spec: expected a mapping, found the boolean `false`"]);
  });
});

describe("what is wrong with a BaselineAdminNetworkPolicy", () => {
  const subject = "subject: {namespaces: {}}";
  test.each<[expected: string, lines: string[], metadata?: string]>([
    ["error 3:12 metadata.name: a cluster has one BaselineAdminNetworkPolicy, named `default`, not `p`", [subject], "{name: p}"],
    ['error 5:3 spec.priority: unknown field "spec.priority"', ["priority: 1", subject]],
    [
      "error 6:13 spec.egress[0].action: `Pass` is no action here: it is `Allow` or `Deny`",
      [subject, "egress: [{action: Pass, to: [{nodes: {}}]}]"],
    ],
    [
      'error 6:34 spec.egress[0].to[0].domainNames: unknown field "spec.egress[0].to[0].domainNames"',
      [subject, "egress: [{action: Allow, to: [{domainNames: [a.example]}]}]"],
    ],
  ])("%s", (expected, lines, metadata) => {
    const { policies, problems } = readBaseline(lines, metadata);
    expect(problemLines(problems)).toEqual([expected]);
    expect(policies).toBeUndefined();
  });

  test("an Allow of everything is no danger below NetworkPolicies", () => {
    expect(readBaseline([subject, "ingress: [{action: Allow, from: [{namespaces: {}}]}]"]).problems).toEqual([]);
  });
});

const ORACLE = new URL("../../../shared/oracle/adminpolicy/", import.meta.url);

test.skipIf(!existsSync(ORACLE))("every admin policy that real engines judged is accepted without an error", () => {
  let policies = 0;
  for (const name of readdirSync(ORACLE).filter((each) => /^a-adm-.*\.json$/.test(each))) {
    const written = JSON.parse(readFileSync(new URL(name, ORACLE), "utf8")).policies.filter(({ kind }: { kind: string }) =>
      /Admin/.test(kind),
    );
    for (const object of readManifest(JSON.stringify({ apiVersion: "v1", kind: "List", items: written }), name)) {
      const reading = object.value.kind === "AdminNetworkPolicy" ? readAdminNetworkPolicy(object) : readBaselineAdminNetworkPolicy(object);
      expect(problemLines(reading.problems).filter((line) => line.startsWith("error"))).toEqual([]);
      policies += reading.policies?.length ?? 0;
    }
  }
  expect(policies).toBeGreaterThan(100);
});

test("whatever JSON is called one of these kinds is read or refused", () => {
  const rules = { subject: { namespaces: {} }, egress: [{ action: "Deny", to: [{ nodes: {} }], ports: [{ portNumber: { port: 80 } }] }] };
  expectNoCrash(V1ALPHA1, "AdminNetworkPolicy", { priority: 1, ...rules }, readAdminNetworkPolicy);
  expectNoCrash(V1ALPHA1, "BaselineAdminNetworkPolicy", rules, readBaselineAdminNetworkPolicy);
});
