import { describe, expect, test } from "vitest";
import { readManifest } from "../../src/cluster/manifest.ts";
import { formatPrefix } from "../../src/net/prefix.ts";
import { readCidrGroup } from "../../src/policy/cilium/cidrGroup.ts";
import { readCiliumNetworkPolicy } from "../../src/policy/cilium/ciliumNetworkPolicy.ts";
import { ciliumObject, readSpec } from "./ciliumText.ts";
import { problemLines } from "./manifestText.ts";

const inSpec = (...lines: string[]) => problemLines(readSpec("endpointSelector: {}", ...lines).problems);
const errorsOf = (lines: string[]) => lines.filter((line) => line.startsWith("error")).map((line) => line.replace(/^error \S+ /, ""));

describe("what is refused in an entry of egress", () => {
  test.each<[entry: string, ...expected: string[]]>([
    ["{toEndpoints: [{}], toCIDR: [1.1.1.1]}", "spec.egress[0].toCIDR: `toEndpoints` and `toCIDR` cannot stand in one rule: write two"],
    ["{toEntities: [World]}", "spec.egress[0].toEntities[0]: `World` is no entity, did you mean `world`"],
    [
      "{toEntities: [null]}",
      "spec.egress[0].toEntities[0]: `` is no entity: it is one of all, cluster, host, remote-node, kube-apiserver, world, world-ipv4, world-ipv6, health, init, ingress, unmanaged, none",
    ],
    ["{toCIDR: [10.0.0.0/33]}", "spec.egress[0].toCIDR[0]: `10.0.0.0/33` is no address block, such as `10.0.0.0/8` or `fd00::/8`"],
    ["{toCIDR: [010.0.0.0/8]}", "spec.egress[0].toCIDR[0]: `010.0.0.0/8` is no address block, such as `10.0.0.0/8` or `fd00::/8`"],
    ["{toCIDR: ['fe80::1%eth0']}", "spec.egress[0].toCIDR[0]: `fe80::1%eth0` is no address block, such as `10.0.0.0/8` or `fd00::/8`"],
    ["{toCIDR: ['']}", "spec.egress[0].toCIDR[0]: an address block is required"],
    [
      "{toCIDRSet: [{cidr: 10.0.0.1}]}",
      "spec.egress[0].toCIDRSet[0].cidr: `10.0.0.1` is no address block, such as `10.0.0.0/8` or `fd00::/8`",
    ],
    ["{toCIDRSet: [{}]}", "spec.egress[0].toCIDRSet[0]: one of `cidr`, `cidrGroupRef` and `cidrGroupSelector` must be set"],
    [
      "{toCIDRSet: [{cidr: 1.0.0.0/8, cidrGroupSelector: {}}]}",
      "spec.egress[0].toCIDRSet[0]: only one of `cidr`, `cidrGroupRef` and `cidrGroupSelector` must be set",
    ],
    [
      "{toCIDRSet: [{cidr: 10.1.0.0/16, except: [10.0.0.0/8]}]}",
      "spec.egress[0].toCIDRSet[0].except[0]: `10.0.0.0/8` does not lie within `10.1.0.0/16`",
    ],
    [
      "{toCIDRSet: [{cidr: '::ffff:10.0.0.0/104', except: [10.1.0.0/16]}]}",
      "spec.egress[0].toCIDRSet[0].except[0]: `10.1.0.0/16` does not lie within `::ffff:10.0.0.0/104`",
    ],
    [
      "{toFQDNs: [{matchName: a.com, matchPattern: '*'}]}",
      "spec.egress[0].toFQDNs[0]: only one of `matchName` and `matchPattern` may be set",
    ],
    [
      "{toFQDNs: [{matchName: '*.com'}]}",
      "spec.egress[0].toFQDNs[0].matchName: `*.com` is no DNS name: it may hold letters, digits, -, _ and dots only",
    ],
    [`{toFQDNs: [{matchPattern: ${"a".repeat(256)}}]}`, "spec.egress[0].toFQDNs[0].matchPattern: the name is longer than 255 characters"],
    ["{toNodes: [{}, {}]}", "spec.egress[0].toNodes: peers by node labels need `enable-node-selector-labels`, which Cilium has off"],
    [
      "{toGroups: [{aws: {}}]}",
      "spec.egress[0].toGroups: groups of a cloud provider cannot be evaluated offline: write their addresses as `toCIDR`",
    ],
    [
      "{toRequires: [{}]}",
      "spec.egress[0].toRequires: Cilium no longer knows this since 1.19: add the requirements to every selector of endpoints",
    ],
    ["{icmps: [{}], toPorts: [{}]}", "spec.egress[0].icmps: `icmps` and `toPorts` cannot stand in one rule: write two"],
    ["{icmps: [{fields: [{type: Ping}]}]}", "spec.egress[0].icmps[0].fields[0].type: `Ping` is no ICMP type of this family"],
    [
      "{icmps: [{fields: [{type: EchoRequst}]}]}",
      "spec.egress[0].icmps[0].fields[0].type: `EchoRequst` is no ICMP type of this family, did you mean `EchoRequest`",
    ],
    [
      "{icmps: [{fields: [{family: IPv5, type: 8}]}]}",
      "spec.egress[0].icmps[0].fields[0].family: `IPv5` is no IP family: it is IPv4 or IPv6",
    ],
    ["{icmps: [{fields: [{}]}]}", "spec.egress[0].icmps[0].fields[0].type: a `type` is required: a number or a name such as `EchoRequest`"],
    ["{icmps: [{fields: [{type: 1.5}]}]}", "spec.egress[0].icmps[0].fields[0].type: expected an integer, found the number `1.5`"],
    [`{icmps: [{fields: [${"{type: 8},".repeat(41)}]}]}`, "spec.egress[0].icmps[0].fields: at most 40 ICMP types may be listed here"],
    [
      "{toEndpoints: [{matchLabels: {'a:b:c': x}}]}",
      "spec.egress[0].toEndpoints[0].matchLabels[a:b:c]: `a:b:c` is no label key (letters, digits, -, _ and dots, with a letter or digit at both ends)",
    ],
    [
      "{toEndpoints: [{matchLabels: {':a': x}}]}",
      "spec.egress[0].toEndpoints[0].matchLabels[:a]: `:a` is no label key (letters, digits, -, _ and dots, with a letter or digit at both ends)",
    ],
    [
      "{toEndpoints: [{matchExpressions: [{key: 'k8s:a b', operator: Exists}]}]}",
      "spec.egress[0].toEndpoints[0].matchExpressions[0].key: `a b` is no label key (letters, digits, -, _ and dots, with a letter or digit at both ends)",
    ],
    ["{toEndpoints: [{app: web}]}", 'spec.egress[0].toEndpoints[0].app: unknown field "spec.egress[0].toEndpoints[0].app"'],
    ["{toEndpoint: [{}]}", 'spec.egress[0].toEndpoint: unknown field "spec.egress[0].toEndpoint", did you mean `toEndpoints`'],
    ["{fromEndpoints: [{}]}", 'spec.egress[0].fromEndpoints: unknown field "spec.egress[0].fromEndpoints"'],
    ["web", "spec.egress[0]: expected a mapping, found the text `web`"],
  ])("%s", (entry, ...expected) => expect(errorsOf(inSpec(`egress: [${entry}]`))).toEqual(expected));
});

const AT = "spec.egress[0].toPorts[0]";

describe("what is refused in an entry of toPorts", () => {
  test.each<[entry: string, ...expected: string[]]>([
    ["{ports: [{protocol: TCP}]}", `${AT}.ports[0].port: a \`port\` is required: \`0\` is every port`],
    ["{ports: [{port: 80}]}", `${AT}.ports[0].port: expected text, found the number \`80\`: write it in quotes`],
    [
      '{ports: [{port: "65536"}]}',
      `${AT}.ports[0].port: \`65536\` is neither a port number (0..65535) nor a port name of at most 15 letters, digits and -`,
    ],
    [
      '{ports: [{port: "08"}]}',
      `${AT}.ports[0].port: \`08\` is neither a port number (0..65535) nor a port name of at most 15 letters, digits and -`,
    ],
    [
      "{ports: [{port: a--b}]}",
      `${AT}.ports[0].port: \`a--b\` is neither a port number (0..65535) nor a port name of at most 15 letters, digits and -`,
    ],
    ['{ports: [{port: "80", protocol: ICMP}]}', `${AT}.ports[0].protocol: \`ICMP\` is no protocol of a port: write \`icmps\` instead`],
    ['{ports: [{port: "80", protocol: GRE}]}', `${AT}.ports[0].port: the protocol \`GRE\` has no ports: write \`0\``],
    ['{ports: [{port: "80", endPort: 2147483648}]}', `${AT}.ports[0].endPort: the number \`2147483648\` does not fit into 32 bits`],
    [`{ports: [${'{port: "1"},'.repeat(41)}]}`, `${AT}.ports: at most 40 ports may be listed here: write several entries of \`toPorts\``],
    [
      '{ports: [{port: "80", protocol: tcp}], rules: {http: [{}]}}',
      `${AT}.rules: rules on requests need the protocol \`TCP\` at every port (DNS rules apart), found \`tcp\``,
    ],
    [
      '{ports: [{port: "80"}], rules: {http: []}}',
      `${AT}.rules: rules on requests need the protocol \`TCP\` at every port (DNS rules apart), found none`,
    ],
    ['{ports: [{port: "0", protocol: TCP}], rules: {http: [{}]}}', `${AT}.rules: rules on requests need port numbers: not port \`0\``],
    ["{rules: {dns: [{matchName: a}]}}", `${AT}.rules: DNS rules need \`ports\`, such as 53`],
    ['{ports: [{port: "53", endPort: 54}], rules: {dns: [{matchName: a}]}}', `${AT}.ports[0].endPort: DNS rules take no port range`],
    [
      '{ports: [{port: "53", protocol: TCP}], rules: {dns: [], http: []}}',
      `${AT}.rules.dns: \`http\` and \`dns\` cannot stand together: write two entries of \`toPorts\``,
    ],
    [
      '{ports: [{port: "80", protocol: TCP}], rules: {http: [{path: "/("}]}}',
      `${AT}.rules.http[0].path: \`/(\` is no RE2 expression: \`missing closing ): \`/(\`\``,
    ],
    [
      '{ports: [{port: "80", protocol: TCP}], rules: {http: [{headerMatches: [{value: a}]}]}}',
      `${AT}.rules.http[0].headerMatches[0].name: a header \`name\` is required`,
    ],
    [
      '{ports: [{port: "80", protocol: TCP}], rules: {http: [{headerMatches: [{name: a, mismatch: log}]}]}}',
      `${AT}.rules.http[0].headerMatches[0].mismatch: \`log\` is no action on a mismatch: it is LOG, ADD, DELETE or REPLACE`,
    ],
    [
      '{ports: [{port: "80", protocol: TCP}], rules: {http: [{headerMatches: [{name: a, secret: {}}]}]}}',
      `${AT}.rules.http[0].headerMatches[0].secret.name: a secret \`name\` is required`,
    ],
    ['{ports: [{port: "443", protocol: TCP}], serverNames: [""]}', `${AT}.serverNames[0]: a server name is required`],
    [
      '{ports: [{port: "443", protocol: TCP}], serverNames: [a], rules: {http: [{}]}}',
      `${AT}.serverNames: \`serverNames\` with rules on requests need \`terminatingTLS\``,
    ],
    [
      '{ports: [{port: "443", protocol: TCP}], listener: {name: l}, rules: {http: [{}]}}',
      `${AT}.listener: a \`listener\` and rules on requests cannot stand together`,
    ],
  ])("%s", (entry, ...expected) => expect(errorsOf(inSpec(`egress: [{toPorts: [${entry}]}]`))).toEqual(expected));

  test("DNS rules and listeners on ingress", () => {
    const entry = '{ports: [{port: "53"}], rules: {dns: [{matchName: a}]}}, {ports: [{port: "1"}], listener: {name: l}}';
    expect(errorsOf(inSpec(`ingress: [{toPorts: [${entry}]}]`))).toEqual([
      "spec.ingress[0].toPorts[0].rules.dns: DNS rules are for egress only",
      "spec.ingress[0].toPorts[1].listener: a `listener` is for egress only",
    ]);
  });
});

describe("what is refused in a policy", () => {
  const problemsOf = (kind: string, ...lines: string[]) => problemLines(readCiliumNetworkPolicy(ciliumObject(kind, ...lines)).problems);
  test.each<[kind: string, lines: string[], ...expected: string[]]>([
    ["CiliumNetworkPolicy", [], "error 1:1 spec: a `spec` or `specs` is required"],
    [
      "CiliumNetworkPolicy",
      ["spec: {ingress: [{}]}"],
      "error 4:1 spec.endpointSelector: an `endpointSelector` is required: `{}` selects every pod",
    ],
    [
      "CiliumNetworkPolicy",
      ["spec: {endpointSelector: {}, ingress: []}"],
      "error 4:1 spec: a rule is required in one of `ingress`, `ingressDeny`, `egress` and `egressDeny`: `ingress: [{}]` allows nothing",
    ],
    [
      "CiliumNetworkPolicy",
      ["spec: {endpointSelector: {}, ingress: [{}], rules: []}"],
      'error 4:45 spec.rules: unknown field "spec.rules"',
    ],
    [
      "CiliumNetworkPolicy",
      ["spec: {endpointSelector: {}, ingress: [{}], enableDefaultDeny: {ingress: 'no'}}"],
      "error 4:65 spec.enableDefaultDeny.ingress: expected true or false, found `no`",
    ],
    [
      "CiliumNetworkPolicy",
      ["spec: {nodeSelector: {}, ingress: [{}]}"],
      "error 4:8 spec.nodeSelector: only a `CiliumClusterwideNetworkPolicy` can have a `nodeSelector`",
      "warning 4:8 spec.nodeSelector: policies for nodes are not judged: this one governs no pod",
    ],
    [
      "CiliumClusterwideNetworkPolicy",
      ["spec: {nodeSelector: {}, endpointSelector: {}, ingress: [{}]}"],
      "error 4:8 spec.nodeSelector: `endpointSelector` and `nodeSelector` cannot stand together",
      "warning 4:8 spec.nodeSelector: policies for nodes are not judged: this one governs no pod",
    ],
    [
      "CiliumClusterwideNetworkPolicy",
      ["spec: {nodeSelector: {}, egress: [{toPorts: [{ports: [{port: '80', protocol: TCP}], rules: {http: [{}]}}]}]}"],
      "error 4:85 spec.egress[0].toPorts[0].rules: a policy for nodes cannot have rules on requests",
      "warning 4:8 spec.nodeSelector: policies for nodes are not judged: this one governs no pod",
    ],
    ["CiliumNetworkPolicy", ["specs: []"], "warning 4:1 specs: the policy has no rules: it does nothing"],
  ])("%s %s", (kind, lines, ...expected) => expect(problemsOf(kind, ...lines)).toEqual(expected));

  test("a namespace of a clusterwide policy", () => {
    const text =
      "apiVersion: cilium.io/v2\nkind: CiliumClusterwideNetworkPolicy\nmetadata: {name: p, namespace: a}\nspec: {endpointSelector: {}, ingress: [{}]}\n";
    expect(problemLines(readCiliumNetworkPolicy(readManifest(text, "p.yaml")[0]).problems)).toEqual([
      "error 3:21 metadata.namespace: `CiliumClusterwideNetworkPolicy` is cluster-scoped: leave the namespace out",
    ]);
  });

  test("an error means no policy", () => expect(readSpec("ingress: [{}]").policies).toBeUndefined());
});

describe("what is warned of", () => {
  test.each<[line: string, ...expected: string[]]>([
    [
      "ingressDeny: [{}]",
      "warning 6:17 spec.ingressDeny[0]: an empty deny rule denies nothing: `fromEntities`/`toEntities` with `all` is everybody",
    ],
    ["ingress: [{fromCIDR: [10.1.2.3/8]}]", "warning 6:25 spec.ingress[0].fromCIDR[0]: `10.1.2.3/8` means `10.0.0.0/8`"],
    [
      "ingress: [{fromEndpoints: [{matchLabels: {'reserved:world': ''}}]}]",
      "warning 6:45 spec.ingress[0].fromEndpoints[0].matchLabels[reserved:world]: `reserved:world` is outside only where the cluster has one IP family: write the entity `world`",
    ],
    [
      "ingress: [{fromEntities: [all], authentication: {mode: required}}]",
      "warning 6:35 spec.ingress[0].authentication: mutual authentication is not judged: it is taken to succeed",
    ],
    ["ingress: [{fromEntities: [all], fromRequires: []}]", "warning 6:35 spec.ingress[0].fromRequires: Cilium ignores this since 1.19"],
    [
      "egress: [{toServices: [{}]}]",
      "warning 6:26 spec.egress[0].toServices[0]: without `k8sService` and `k8sServiceSelector` this matches nothing",
    ],
    [
      "ingress: [{icmps: [{fields: [{type: 0}]}]}]",
      "warning 6:33 spec.ingress[0].icmps[0].fields[0].type: Cilium takes type 0 for every ICMP type",
    ],
  ])("%s", (line, ...expected) => expect(inSpec(line)).toEqual(expected));
});

describe("CIDR groups", () => {
  const group = (...lines: string[]) =>
    readCidrGroup(readManifest(["apiVersion: cilium.io/v2alpha1", "kind: CiliumCIDRGroup", ...lines].join("\n"), "g.yaml")[0]);

  test("are sets of addresses with labels", () => {
    const { sets, problems } = group("metadata: {name: g, labels: {a: b}}", "spec: {externalCIDRs: [10.0.0.0/8, 'fd00::/8']}");
    expect(problems).toEqual([]);
    expect(sets?.map(({ ref, labels, prefixes }) => [ref.name, labels, prefixes.map(formatPrefix)])).toEqual([
      ["g", { a: "b" }, ["10.0.0.0/8", "fd00::/8"]],
    ]);
  });

  test.each<[lines: string[], expected: string]>([
    [["metadata: {name: g}"], "error 1:1 spec: a `spec` is required"],
    [
      ["metadata: {name: g, namespace: a}", "spec: {}"],
      "error 3:21 metadata.namespace: `CiliumCIDRGroup` is cluster-scoped: leave the namespace out",
    ],
    [
      ["metadata: {name: g}", "spec: {externalCIDRs: [10.0.0.1]}"],
      "error 4:24 spec.externalCIDRs[0]: `10.0.0.1` is no address block, such as `10.0.0.0/8` or `fd00::/8`",
    ],
  ])("%s", (lines, expected) => {
    const reading = group(...lines);
    expect(problemLines(reading.problems)).toEqual([expected]);
    expect(reading.sets).toBeUndefined();
  });
});
