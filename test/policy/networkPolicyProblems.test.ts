import { describe, expect, test } from "vitest";
import { readManifest } from "../../src/cluster/manifest.ts";
import { readNetworkPolicy } from "../../src/policy/kubernetes/networkPolicy.ts";
import { policyWith, problemLines } from "./manifestText.ts";

/** Every case says what stands below `spec:`, from line 5 on, and the only problem: `error` means no policy, `warning` one. */
const SPEC: [expected: string, ...lines: string[]][] = [
  ['error 6:3 spec.ingres: unknown field "spec.ingres", did you mean `ingress`', "podSelector: {}", "ingres: []"],
  ['error 6:3 spec.zzz: unknown field "spec.zzz"', "podSelector: {}", "zzz: 1"],
  ["warning 4:1 spec.podSelector: without a `podSelector` the policy selects every pod of its namespace", "policyTypes: [Ingress]"],
  ["error 6:3 spec.ingress: expected a list, found a mapping", "podSelector: {}", "ingress: {}"],
  [
    'error 6:14 spec.ingress[0].to: unknown field "spec.ingress[0].to": an ingress rule has `from`',
    "podSelector: {}",
    "ingress: [{to: []}]",
  ],
  [
    'error 7:5 spec.egress[0].from: unknown field "spec.egress[0].from": an egress rule has `to`',
    "podSelector: {}",
    "egress:",
    "- from: []",
  ],
  [
    "error 5:31 spec.podSelector.matchLabels.env: expected text, found the boolean `true`: write it in quotes",
    "podSelector: {matchLabels: {env: yes}}",
  ],
  [
    "error 7:7 spec.podSelector.matchLabels.app: expected text, found the number `8080`: write it in quotes",
    "podSelector:",
    "  matchLabels:",
    "    app: 8080",
  ],
  [
    "error 7:7 spec.podSelector.matchLabels[-a]: `-a` is no label key (letters, digits, -, _ and dots, with a letter or digit at both ends)",
    "podSelector:",
    "  matchLabels:",
    "    -a: b",
  ],
  [
    "error 7:7 spec.podSelector.matchLabels[a/b/c]: `a/b/c` is no label key (letters, digits, -, _ and dots, with a letter or digit at both ends)",
    "podSelector:",
    "  matchLabels:",
    "    a/b/c: b",
  ],
  [
    "error 5:31 spec.podSelector.matchLabels.a: `x y` is no label value (letters, digits, -, _ and dots, with a letter or digit at both ends)",
    "podSelector: {matchLabels: {a: 'x y'}}",
  ],
  [
    'error 5:17 spec.podSelector.matchExpression: unknown field "spec.podSelector.matchExpression", did you mean `matchExpressions`',
    "podSelector: {matchExpression: []}",
  ],
  [
    "error 5:45 spec.podSelector.matchExpressions[0].operator: `in` is no operator, did you mean `In`",
    "podSelector: {matchExpressions: [{key: a, operator: in, values: [b]}]}",
  ],
  [
    "error 5:36 spec.podSelector.matchExpressions[0].values: `In` needs at least one value",
    "podSelector: {matchExpressions: [{key: a, operator: In}]}",
  ],
  [
    "error 5:63 spec.podSelector.matchExpressions[0].values: `Exists` takes no values",
    "podSelector: {matchExpressions: [{key: a, operator: Exists, values: [b]}]}",
  ],
  ["error 5:36 spec.podSelector.matchExpressions[0].key: a `key` is required", "podSelector: {matchExpressions: [{operator: Exists}]}"],
  [
    "error 5:36 spec.podSelector.matchExpressions[0].operator: an `operator` is required: In, NotIn, Exists, DoesNotExist",
    "podSelector: {matchExpressions: [{key: a}]}",
  ],
  [
    "error 5:71 spec.podSelector.matchExpressions[0].values[1]: expected text, found the boolean `true`: write it in quotes",
    "podSelector: {matchExpressions: [{key: a, operator: In, values: [b, true]}]}",
  ],
  ["error 6:17 spec.policyTypes[0]: `ingress` is no policy type, did you mean `Ingress`", "podSelector: {}", "policyTypes: [ingress]"],
  ["error 6:3 spec.policyTypes: at most two policy types may be listed", "podSelector: {}", "policyTypes: [Ingress, Egress, Ingress]"],
  ["error 6:17 spec.policyTypes[0]: `Both` is no policy type: it is Ingress or Egress", "podSelector: {}", "policyTypes: [Both]"],
  ["error 6:3 spec.policyTypes: expected a list, found the text `Ingress`", "podSelector: {}", "policyTypes: Ingress"],
  [
    "warning 7:3 spec.ingress: these rules are ignored: `policyTypes` does not list Ingress",
    "podSelector: {}",
    "policyTypes: [Egress]",
    "ingress: [{ports: [{port: 1}]}]",
  ],
  ["warning 6:13 spec.ingress[0]: this rule allows all ingress, from outside the cluster too", "podSelector: {}", "ingress: [{}]"],
  ["warning 7:3 spec.ingress[0]: an empty list item allows all ingress, from outside the cluster too", "podSelector: {}", "ingress:", "-"],
  ["error 6:13 spec.ingress[0]: expected a mapping, found the text `x`", "podSelector: {}", "ingress: [x]"],
];

const port = (fields: string) => ["podSelector: {}", "ingress:", "- ports:", `  - {${fields}}`];
const PORTS: [fields: string, expected: string][] = [
  ["port: 0", "error 8:8 .port: the port `0` is not in 1..65535"],
  ["port: 65536", "error 8:8 .port: the port `65536` is not in 1..65535"],
  ["port: 80.5", "error 8:8 .port: expected an integer, found the number `80.5`"],
  ["port: '80'", "error 8:8 .port: `80` is no port name: it needs a letter (a port number is written without quotes)"],
  ["port: HTTP", "error 8:8 .port: `HTTP` is no port name: only a-z, 0-9 and - may be in it"],
  ["port: a-very-long-port-name", "error 8:8 .port: `a-very-long-port-name` is no port name: it is longer than 15 characters"],
  ["port: -a", "error 8:8 .port: `-a` is no port name: - may stand neither at an end nor twice in a row"],
  ["port: a--b", "error 8:8 .port: `a--b` is no port name: - may stand neither at an end nor twice in a row"],
  ["port: ''", "error 8:8 .port: `` is no port name: it is empty"],
  ["endPort: 90", "error 8:8 .endPort: an `endPort` needs a `port`"],
  ["port: http, endPort: 90", "error 8:20 .endPort: an `endPort` goes with a port number, not with a port name"],
  ["port: 90, endPort: 80", "error 8:18 .endPort: the endPort `80` is below the port `90`"],
  ["port: 1, endPort: 70000", "error 8:17 .endPort: the port `70000` is not in 1..65535"],
  ["port: 1, endPort: http", "error 8:17 .endPort: expected an integer, found the text `http`"],
  ["port: 1, protocol: tcp", "error 8:17 .protocol: `tcp` is no protocol of a port, did you mean `TCP`"],
  ["protocol: ICMP", "error 8:8 .protocol: `ICMP` is no protocol of a port: it is TCP, UDP or SCTP"],
  ["port: true", "error 8:8 .port: expected an integer, found the boolean `true`"],
  ["targetPort: 80", 'error 8:8 .targetPort: unknown field "spec.ingress[0].ports[0].targetPort"'],
  ["port: [80]", "error 8:8 .port: expected an integer, found a list"],
];

const peer = (fields: string) => ["podSelector: {}", "ingress:", "- from:", `  - {${fields}}`];
const PEERS: [fields: string, expected: string][] = [
  ["ipBlock: {cidr: 10.0.0.0}", "error 8:18 .ipBlock.cidr: `10.0.0.0` is no address block, did you mean `10.0.0.0/32`"],
  ["ipBlock: {cidr: 10.0.0.0/33}", "error 8:18 .ipBlock.cidr: `10.0.0.0/33` is no address block, such as `10.0.0.0/8` or `fd00::/8`"],
  ["ipBlock: {cidr: x}", "error 8:18 .ipBlock.cidr: `x` is no address block, such as `10.0.0.0/8` or `fd00::/8`"],
  ["ipBlock: {}", "error 8:8 .ipBlock.cidr: a `cidr` is required"],
  ["ipBlock: {cidr: 10.0.0.1/8}", "warning 8:18 .ipBlock.cidr: `10.0.0.1/8` means `10.0.0.0/8`"],
  ["ipBlock: {cidr: 010.0.0.0/8}", "warning 8:18 .ipBlock.cidr: `010.0.0.0/8` means `10.0.0.0/8`"],
  ["ipBlock: {cidr: '::ffff:10.0.0.0/104'}", "warning 8:18 .ipBlock.cidr: `::ffff:10.0.0.0/104` means `10.0.0.0/8`"],
  [
    "ipBlock: {cidr: 'fe80::1%eth0/64'}",
    "error 8:18 .ipBlock.cidr: `fe80::1%eth0/64` is no address block, such as `10.0.0.0/8` or `fd00::/8`",
  ],
  [
    "ipBlock: {cidr: 10.0.0.0/8, except: [10.0.0.0/8]}",
    "error 8:45 .ipBlock.except[0]: `10.0.0.0/8` does not lie strictly within `10.0.0.0/8`",
  ],
  [
    "ipBlock: {cidr: 10.0.0.0/8, except: [11.0.0.0/16]}",
    "error 8:45 .ipBlock.except[0]: `11.0.0.0/16` does not lie strictly within `10.0.0.0/8`",
  ],
  [
    "ipBlock: {cidr: 10.0.0.0/8, except: ['fd00::/16']}",
    "error 8:45 .ipBlock.except[0]: `fd00::/16` does not lie strictly within `10.0.0.0/8`",
  ],
  [
    "ipBlock: {cidr: 10.0.0.0/8, except: [10.0.0.0/9, 10.1.0.0/16]}",
    "warning 8:57 .ipBlock.except[1]: `10.1.0.0/16` cuts nothing: `10.0.0.0/9` already does",
  ],
  ["ipBlock: {cidr: 10.0.0.0/8, except: 10.1.0.0/16}", "error 8:36 .ipBlock.except: expected a list, found the text `10.1.0.0/16`"],
  ["ipBlock: {cidr: 0.0.0.0/0}", "warning 8:18 .ipBlock.cidr: `0.0.0.0/0` is every IPv4 address, the whole internet"],
  ["ipBlock: {cidr: '::/0'}", "warning 8:18 .ipBlock.cidr: `::/0` is every IPv6 address, the whole internet"],
  ["ipBlock: {cidr: 10.0.0.0/8}, podSelector: {}", "error 8:8 .ipBlock: a peer with an `ipBlock` can have no selectors: write two peers"],
  ["", "error 8:7 : a peer must have a `podSelector`, a `namespaceSelector` or an `ipBlock`"],
  ["podSelector: null", "error 8:7 : a peer must have a `podSelector`, a `namespaceSelector` or an `ipBlock`"],
  ["podSelecter: {}", 'error 8:8 .podSelecter: unknown field "spec.ingress[0].from[0].podSelecter", did you mean `podSelector`'],
  ["namespaceSelector: []", "error 8:8 .namespaceSelector: expected a mapping, found a list"],
];

/** Returns an expected line with its path, which starts at the port or peer, made complete. */
function below(path: string, expected: string): string {
  return expected.replace(/^\w+ \d+:\d+ /, `$&${path}`);
}

function check(lines: string[], expected: string): void {
  const { policy, problems } = readNetworkPolicy(policyWith(...lines));
  expect(problemLines(problems)).toEqual([expected]);
  expect(policy === undefined).toBe(expected.startsWith("error"));
}

describe("what the API server refuses or warns of", () => {
  test.each(SPEC)("%s", (expected, ...lines) => check(lines, expected));
  test.each(PORTS)("port {%s}", (fields, expected) => check(port(fields), below("spec.ingress[0].ports[0]", expected)));
  test.each(PEERS)("peer {%s}", (fields, expected) => check(peer(fields), below("spec.ingress[0].from[0]", expected)));
});

const HEAD = "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\n";
const METADATA: [expected: string, text: string][] = [
  ["error 3:1 metadata.name: a name is required", "metadata: {namespace: shop}"],
  ["error 3:12 metadata.name: expected text, found the number `1`: write it in quotes", "metadata: {name: 1}"],
  ["error 3:12 metadata.name: the name `Web` is not an RFC 1123 subdomain (a-z, 0-9, - and dots between)", "metadata: {name: Web}"],
  [
    "error 3:21 metadata.namespace: the namespace `a.b` is not an RFC 1123 label (a-z, 0-9 and -, ending in neither -)",
    "metadata: {name: p, namespace: a.b}",
  ],
  ['error 3:21 metadata.lables: unknown field "metadata.lables", did you mean `labels`', "metadata: {name: p, lables: {}}"],
  ["error 3:30 metadata.labels.on: expected text, found the boolean `true`: write it in quotes", 'metadata: {name: p, labels: {"on": on}}'],
  ['error 4:1 sepc: unknown field "sepc", did you mean `spec`', "metadata: {name: p}\nsepc: {}"],
  ["error 3:1 metadata: expected a mapping, found a list", "metadata: []"],
];

test.each(METADATA)("%s", (expected, text) => {
  const spec = text.includes("sepc") ? "" : "\nspec: {podSelector: {}}";
  const { policy, problems } = readNetworkPolicy(readManifest(`${HEAD}${text}${spec}`, "p.yaml")[0]);
  expect(policy).toBeUndefined();
  expect(problemLines(problems)).toContain(expected);
});
