import { describe, expect, test } from "vitest";
import { readManifest } from "../../src/cluster/manifest.ts";
import { readCalicoPolicy } from "../../src/policy/calico/calicoPolicy.ts";
import { calicoObject } from "./calicoText.ts";
import { problemLines } from "./manifestText.ts";

const problemsOf = (kind: string, ...lines: string[]) => problemLines(readCalicoPolicy(calicoObject(kind, ...lines)).problems);

/** What stands below `spec:`, from line 5 on, and the only problem. */
const SPEC: [kind: string, expected: string, ...lines: string[]][] = [
  [
    "NetworkPolicy",
    "warning 5:3 spec.selectr: unknown field `spec.selectr` is dropped by Calico and does nothing, did you mean `selector`",
    "selectr: has(a)",
  ],
  [
    "NetworkPolicy",
    "warning 5:3 spec.namespaceSelector: unknown field `spec.namespaceSelector` is dropped by Calico and does nothing",
    "namespaceSelector: all()",
  ],
  [
    "NetworkPolicy",
    "warning 6:3 spec.egress: these rules are ignored: `types` does not list Egress",
    "types: [Ingress]",
    "egress: [{action: Deny}]",
  ],
  ["NetworkPolicy", "error 5:3 spec.types: `types` must list Ingress, Egress or both, or be left out", "types: []"],
  ["NetworkPolicy", "error 5:3 spec.types: Ingress is listed twice", "types: [Ingress, Ingress]"],
  ["NetworkPolicy", "error 5:11 spec.types[0]: `ingress` is not known here, did you mean `Ingress`", "types: [ingress]"],
  ["NetworkPolicy", "error 5:3 spec.order: expected a number, found `1`: write it without quotes", "order: '1'"],
  ["NetworkPolicy", "error 5:3 spec.tier: the name `A` is not an RFC 1123 subdomain (a-z, 0-9, - and dots between)", "tier: A"],
  [
    "NetworkPolicy",
    "error 5:3 spec.performanceHints: a hint is listed twice",
    "performanceHints: [AssumeNeededOnEveryNode, AssumeNeededOnEveryNode]",
  ],
  ["NetworkPolicy", "error 5:3 spec.selector: `a = 'b'` is no selector: expected `==` at its character 3", "selector: a = 'b'"],
  ["NetworkPolicy", "error 5:3 spec.selector: `global()` may stand in the `namespaceSelector` of a rule only", "selector: global()"],
  ["NetworkPolicy", "error 5:3 spec.selector: the selector is longer than 1024 characters", `selector: a == '${"x".repeat(1018)}'`],
  ["GlobalNetworkPolicy", "error 5:3 spec.doNotTrack: expected true or false, found `yes please`", "doNotTrack: yes please"],
  [
    "StagedNetworkPolicy",
    "error 5:3 spec.stagedAction: Calico's validator refuses every staged policy with `Delete`: delete the policy itself",
    "stagedAction: Delete",
  ],
  [
    "StagedKubernetesNetworkPolicy",
    "error 6:3 spec.policyTypes: with `stagedAction: Delete` the policy must say nothing else",
    "stagedAction: Delete",
    "policyTypes: [Ingress]",
  ],
];

test.each(SPEC)("%s: %s", (kind, expected, ...lines) => expect(problemsOf(kind, ...lines)).toEqual([expected]));

test("a policy for host endpoints needs what goes with it", () => {
  const problems = problemsOf("GlobalNetworkPolicy", "doNotTrack: true", "preDNAT: true", "egress: [{action: Allow}]", "types: [Egress]");
  expect(problems).toEqual([
    "error 6:3 spec.preDNAT: `preDNAT` and `doNotTrack` exclude each other",
    "error 6:3 spec.preDNAT: `preDNAT` needs `applyOnForward: true`",
    "error 7:3 spec.egress: a policy with `preDNAT` can have no egress rules",
    "error 8:3 spec.types: a policy with `preDNAT` cannot be of type Egress",
    "warning 6:3 spec.preDNAT: `preDNAT` is for host endpoints: the policy does nothing to pods",
  ]);
});

/** An ingress rule after `action`, and the only problem below it. */
const RULES: [rule: string, expected: string][] = [
  ["protocol: tcp", "protocol: `tcp` is no protocol, did you mean `TCP`"],
  ["protocol: GRE", "protocol: `GRE` is no protocol: it is one of TCP, UDP, SCTP, UDPLite, ICMP, ICMPv6 or a number"],
  ["protocol: 0", "protocol: the protocol `0` is not in 1..255"],
  ["protocol: 1.5", "protocol: expected an integer, found the number `1.5`"],
  ["destination: {ports: [80]}", "destination.ports: port numbers without a protocol: set the rule's `protocol` to TCP, UDP or SCTP"],
  [
    "protocol: ICMP, source: {notPorts: [http]}",
    "source.notPorts: the protocol `ICMP` has no ports that rules can name: set the rule's `protocol` to TCP, UDP or SCTP",
  ],
  ["protocol: TCP, source: {ports: ['90:80']}", "source.ports[0]: the port `90` is above `80`"],
  ["protocol: TCP, source: {ports: [65536]}", "source.ports[0]: the port `65536` is not in 1..65535"],
  [
    "protocol: TCP, source: {ports: ['80-90']}",
    "source.ports[0]: `80-90` is no port name: it needs a letter (a port number is written without quotes), did you mean `80:90`",
  ],
  ["icmp: {type: 8}, protocol: TCP", "icmp: `icmp` needs the rule's `protocol` to be ICMP or ICMPv6"],
  ["icmp: {code: 8}, protocol: ICMP", "icmp.code: an ICMP `code` needs a `type`"],
  ["icmp: {type: 255}, protocol: ICMP", "icmp.type: `255` is not in 0..254"],
  ["ipVersion: 5", "ipVersion: the IP version is 4 or 6, not `5`"],
  ["ipVersion: 4, notProtocol: ICMPv6", "ipVersion: the notProtocol `ICMPv6` is of IP version 6 only"],
  ["ipVersion: 6, source: {nets: [10.0.0.0/8]}", "source.nets: these are IPv4 addresses in a rule of `ipVersion` 6"],
  ["source: {nets: [10.0.0.1]}", "source.nets[0]: `10.0.0.1` is no address block, did you mean `10.0.0.1/32`"],
  ["source: {nets: [10.0.0.1/8]}", "source.nets[0]: `10.0.0.1/8` has bits set behind its length, did you mean `10.0.0.0/8`"],
  ["source: {nets: [10.0.0.0/8, '::/0']}", "source.nets: a rule can have addresses of one IP version only: write two rules"],
  [
    "source: {nets: [10.0.0.0/8]}, destination: {notNets: ['fd00::/8']}",
    "destination.notNets: a rule can have addresses of one IP version only: write two rules",
  ],
  ["source: {notNets: [0.0.0.0/0]}", "source.notNets[0]: `0.0.0.0/0` excludes every address: the rule would match nothing"],
  ["source: {namespaceSelector: '!global()'}", "source.namespaceSelector: `global()` cannot be combined with anything else"],
  ['source: {serviceAccounts: {names: ["a\'"]}}', "source.serviceAccounts.names[0]: `a'` is no name of a service account"],
  ["source: {services: {namespace: other}}", "source.services: a service must be named"],
  [
    "source: {services: {name: s}, notSelector: has(a)}",
    "source.notSelector: `notSelector` cannot stand beside `services`: write two rules",
  ],
  [
    "source: {services: {name: s}, serviceAccounts: {}}",
    "source.serviceAccounts: `serviceAccounts` cannot stand beside `services`: write two rules",
  ],
  ["destination: {services: {name: s}}", "destination.services: in an ingress rule `services` may stand in `source` only"],
];

describe("ingress rules that are refused", () => {
  test.each(RULES)("%s: %s", (rule, expected) => {
    const problems = readCalicoPolicy(calicoObject("NetworkPolicy", `ingress: [{action: Allow, ${rule}}]`)).problems;
    expect(problems.map(({ path, message }) => `${path}: ${message}`.replace("spec.ingress[0].", ""))).toEqual([expected]);
    expect(problems.map(({ severity }) => severity)).toEqual(["error"]);
  });
});

test.each<[rule: string, expected: string]>([
  ["{}", "error 5:13 spec.ingress[0]: an `action` is required: Allow, Deny, Log, Pass"],
  ["{action: allow}", "error 5:14 spec.ingress[0].action: `allow` is not known here, did you mean `Allow`"],
  [
    "{action: Allow, from: []}",
    "warning 5:29 spec.ingress[0].from: unknown field `spec.ingress[0].from` is dropped by Calico and does nothing",
  ],
])("%s: %s", (rule, expected) => expect(problemsOf("NetworkPolicy", `ingress: [${rule}]`)).toEqual([expected]));

describe("http", () => {
  const WARNING = "only application-layer enforcement (Istio with Dikastes) looks at `http`";
  const messages = (direction: string, rule: string) =>
    readCalicoPolicy(calicoObject("NetworkPolicy", `${direction}: [{${rule}}]`)).problems.map(({ message }) => message);

  test.each<[rule: string, ...expected: string[]]>([
    ["action: Allow, http: {methods: [GET]}"],
    ["action: Allow, protocol: '6', http: {}", "`http` needs the rule's `protocol` to be TCP or absent"],
    ["action: Deny, http: {}", "`http` may stand in an Allow rule only"],
    ["action: Allow, http: {methods: [GET, GET]}", "a method is listed twice"],
    ["action: Allow, http: {paths: [{exact: /a, prefix: /b}]}", "a path has `exact` or `prefix`, not both"],
    ["action: Allow, http: {paths: [{}]}", "a path needs `exact` or `prefix`"],
    ["action: Allow, http: {paths: [{prefix: '/a?b'}]}", "`/a?b` is no path: it starts with / and has no ?, # or blank"],
  ])("%s", (rule, ...expected) => expect(messages("ingress", rule).sort()).toEqual([...expected, WARNING].sort()));

  test("in an egress rule it is refused", () => {
    expect(messages("egress", "action: Allow, http: {}")).toEqual(["`http` may stand in an ingress rule only", WARNING]);
  });
});

describe("names and metadata", () => {
  const messages = (kind: string, metadata: string, spec = "{}") => {
    const text = `apiVersion: projectcalico.org/v3\nkind: ${kind}\nmetadata: ${metadata}\nspec: ${spec}\n`;
    return readCalicoPolicy(readManifest(text, "p.yaml")[0]).problems.map(({ severity, message }) => `${severity} ${message}`);
  };
  const fault = (name: string) => `error the name \`${name}\` is none of a Calico policy: a-z, 0-9 and -, with one dot at most`;

  test.each<[kind: string, metadata: string, ...expected: string[]]>([
    ["NetworkPolicy", "{name: default.p}"],
    ["NetworkPolicy", "{name: knp.default.a.b}"],
    ["NetworkPolicy", "{name: a.b.c}", fault("a.b.c")],
    ["GlobalNetworkPolicy", "{name: knp.default.a.b}", fault("knp.default.a.b")],
    ["GlobalNetworkPolicy", "{name: a, namespace: b}", "warning a namespace means nothing here: the kind is cluster-wide"],
  ])("%s %s", (kind, metadata, ...expected) => expect(messages(kind, metadata)).toEqual(expected));

  test("without a `spec`", () => {
    expect(messages("NetworkPolicy", "{name: a}", "null")).toEqual(["error a `spec` is required, an empty one at least"]);
  });
});
