import { existsSync, readdirSync, readFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type ManifestObject, readManifest } from "../../src/cluster/manifest.ts";
import { formatPrefix } from "../../src/net/prefix.ts";
import { readNetworkPolicy } from "../../src/policy/kubernetes/networkPolicy.ts";
import type { Peer, Policy, PortMatch, Rule } from "../../src/policy/model.ts";
import { readPolicies } from "../../src/policy/readPolicies.ts";
import { policyWith } from "./manifestText.ts";

function read(...lines: string[]): Policy {
  const { policy, problems } = readNetworkPolicy(policyWith(...lines));
  expect(problems.filter(({ severity }) => severity === "error")).toEqual([]);
  return policy as Policy;
}

const portText = ({ protocol, ports }: PortMatch) =>
  `${protocol}/${!ports ? "*" : "name" in ports ? ports.name : `${ports.first}-${ports.last}`}`;

function peerText(peer: Peer): string {
  if (peer.kind === "prefix") return [formatPrefix(peer.prefix), ...peer.except.map((each) => `!${formatPrefix(each)}`)].join(" ");
  if (peer.kind !== "pods") throw new Error(`unexpected peer ${peer.kind}`);
  const { namespaces, pods } = peer.match;
  return `${"name" in namespaces ? namespaces.name : JSON.stringify(namespaces.selector.requirements)} ${JSON.stringify(pods.requirements)}`;
}

function ruleText({ peers, ports }: Rule): string {
  return `${peers === "any" ? "any" : peers.map(peerText).join("; ")} | ${ports === "any" ? "any" : ports.map(portText).join("; ")}`;
}

const directions = (policy: Policy) =>
  `${policy.ingress ? policy.ingress.rules.length : "-"} ${policy.egress ? policy.egress.rules.length : "-"}`;

describe("which directions a policy governs (rules in ingress, egress; - for not governed)", () => {
  test.each<[expected: string, ...lines: string[]]>([
    ["0 -", "podSelector: {}"],
    ["0 -", "podSelector: {}", "policyTypes: []"],
    ["0 -", "podSelector: {}", "policyTypes: null", "ingress: null"],
    ["0 -", "podSelector: {}", "egress: []"],
    ["0 -", "podSelector: {}", "egress: null"],
    ["0 1", "podSelector: {}", "egress: [{}]"],
    ["1 -", "podSelector: {}", "ingress: [{}]"],
    ["- 0", "podSelector: {}", "policyTypes: [Egress]"],
    ["- 0", "podSelector: {}", "policyTypes: [Egress]", "ingress: [{}]"],
    ["0 -", "podSelector: {}", "policyTypes: [Ingress]", "egress: [{}]"],
    ["0 0", "podSelector: {}", "policyTypes: [Ingress, Egress]"],
    ["0 -", "podSelector: {}", "policyTypes: [Ingress, Ingress]"],
  ])("%s: %s %s %s", (expected, ...lines) => expect(directions(read(...lines))).toBe(expected));
});

const IN_A = '{"key":"a","operator":"In","values":["b"]}';

describe("what a rule allows (peers | ports)", () => {
  test.each<[expected: string, rule: string]>([
    ["any | any", "{}"],
    ["any | any", "{from: [], ports: []}"],
    ["any | any", "{from: null, ports: null}"],
    ["any | 6/*", "{ports: [{}]}"],
    ["any | 6/*", "{ports: [null]}"],
    ["any | 17/*", "{ports: [{protocol: UDP}]}"],
    ["any | 6/80-80; 132/1-65535", "{ports: [{port: 80}, {protocol: SCTP, port: 1, endPort: 65535}]}"],
    ["any | 17/dns-udp", "{ports: [{protocol: UDP, port: dns-udp}]}"],
    ["shop [] | any", "{from: [{podSelector: {}}]}"],
    [`shop [${IN_A}] | any`, "{from: [{podSelector: {matchLabels: {a: b}}}]}"],
    ["[] [] | any", "{from: [{namespaceSelector: {}}]}"],
    ["[] [] | any", "{from: [{namespaceSelector: {}, podSelector: null}]}"],
    [`[${IN_A}] [] | any`, "{from: [{namespaceSelector: {matchLabels: {a: b}}, podSelector: {}}]}"],
    [`[${IN_A}] []; shop [] | any`, "{from: [{namespaceSelector: {matchLabels: {a: b}}}, {podSelector: {}}]}"],
    ["10.0.0.0/8 !10.1.0.0/16 !10.2.0.0/16 | any", "{from: [{ipBlock: {cidr: 10.0.0.0/8, except: [10.1.0.0/16, 10.2.0.0/16]}}]}"],
    ["fd00::/8 | any", "{from: [{ipBlock: {cidr: 'fd00::/8', except: []}}]}"],
    ["10.0.0.0/8 | any", "{from: [{ipBlock: {cidr: 10.9.9.9/8}, podSelector: null}]}"],
    ["192.0.2.1/32 | any", "{from: [{ipBlock: {cidr: 192.000.002.001/32}}]}"],
  ])("%s: %s", (expected, rule) => {
    const policy = read("podSelector: {}", `ingress: [${rule}]`);
    expect(policy.ingress?.rules.map(ruleText)).toEqual([expected]);
    const egress = read("podSelector: {}", "policyTypes: [Egress]", `egress: [${rule.replace("from:", "to:")}]`);
    expect(egress.egress?.rules.map(ruleText)).toEqual([expected]);
  });
});

test("every rule and peer knows its place", () => {
  const policy = read("podSelector: {}", "ingress:", "- from:", "  - podSelector: {}", "  - ipBlock:", "      cidr: 10.0.0.0/8", "- {}");
  expect(policy.ref).toEqual({
    apiVersion: "networking.k8s.io/v1",
    kind: "NetworkPolicy",
    namespace: "shop",
    name: "p",
    file: "p.yaml",
    line: 1,
  });
  const [first, second] = policy.ingress?.rules ?? [];
  expect([first.ref, second.ref]).toEqual([
    { path: "ingress[0]", file: "p.yaml", line: 7 },
    { path: "ingress[1]", file: "p.yaml", line: 11 },
  ]);
  expect((first.peers as Peer[]).map(({ ref }) => ref)).toEqual([
    { path: "ingress[0].from[0]", file: "p.yaml", line: 8 },
    { path: "ingress[0].from[1]", file: "p.yaml", line: 9 },
  ]);
});

test("a policy without a namespace is in the default one", () => {
  const [object] = readManifest("apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: p}\nspec: {podSelector: {}}", "p");
  expect(readNetworkPolicy(object).policy?.subject.namespaces).toEqual({ name: "default" });
  expect(readNetworkPolicy(object, "shop").policy?.subject).toEqual({ namespaces: { name: "shop" }, pods: { requirements: [] } });
});

test("labels named like JavaScript's own properties are labels", () => {
  const { subject } = read("podSelector: {matchLabels: {constructor: a, toString: b}}");
  expect(subject.pods.requirements.map(({ key }) => key)).toEqual(["constructor", "toString"]);
});

const ORACLE = new URL("../../../shared/oracle/networkpolicy/", import.meta.url);

test.skipIf(!existsSync(ORACLE))("every policy that real engines judged is accepted", () => {
  let policies = 0;
  for (const name of readdirSync(ORACLE).filter((each) => /^a-np-.*\.json$/.test(each))) {
    const written = JSON.parse(readFileSync(new URL(name, ORACLE), "utf8")).policies;
    const objects = readManifest(JSON.stringify({ apiVersion: "v1", kind: "List", items: written }, null, 1), name);
    const read = readPolicies(objects, { defaultNamespace: "default" });
    expect(read.problems.filter(({ severity }) => severity === "error")).toEqual([]);
    expect(read.policies.length).toBe(written.length);
    policies += written.length;
  }
  expect(policies).toBeGreaterThan(300);
});

/** Values that a mangled NetworkPolicy may hold: the API's own field names with anything below them. */
const NAMES = [
  ...[
    "metadata",
    "name",
    "namespace",
    "labels",
    "spec",
    "podSelector",
    "namespaceSelector",
    "matchLabels",
    "matchExpressions",
    "key",
    "__proto__",
  ],
  ...[
    "operator",
    "values",
    "ingress",
    "egress",
    "from",
    "to",
    "ports",
    "port",
    "endPort",
    "protocol",
    "ipBlock",
    "cidr",
    "except",
    "policyTypes",
  ],
];
const mangled = fc.letrec((tie) => ({
  value: fc.oneof(
    { depthSize: "medium" },
    fc.constantFrom<unknown>(null, "TCP", "10.0.0.0/8", "10.1.0.0/16", "Ingress", "In", "a", "", 80, -1, 1.5, true),
    fc.array(tie("value"), { maxLength: 3 }),
    fc.dictionary(fc.constantFrom(...NAMES), tie("value"), { maxKeys: 6 }),
    fc.jsonValue({ maxDepth: 2 }),
  ),
}));

test("whatever JSON is called a NetworkPolicy is read or refused, never a crash; and no policy comes with an error", () => {
  const fieldsOf = (value: unknown) => (typeof value === "object" && value !== null && !Array.isArray(value) ? value : { spec: value });
  fc.assert(
    fc.property(mangled.value, (value) => {
      const object: ManifestObject = {
        value: { metadata: { name: "p" }, ...fieldsOf(value), apiVersion: "networking.k8s.io/v1", kind: "NetworkPolicy" },
        file: "f",
        positionOf: () => ({ line: 1, column: 1 }),
      };
      const { policy, problems } = readNetworkPolicy(object);
      expect(policy === undefined).toBe(problems.some(({ severity }) => severity === "error"));
      for (const { message } of problems) expect(message).not.toMatch(/[\n\r]|\.$/);
    }),
    { numRuns: 2000 },
  );
});
