import { describe, expect, test } from "vitest";
import { selects } from "../../src/cluster/selector.ts";
import { readCiliumNetworkPolicy } from "../../src/policy/cilium/ciliumNetworkPolicy.ts";
import type { Policy } from "../../src/policy/model.ts";
import { ciliumObject, onlyPolicy, peerText, podText, readSpec, ruleText } from "./ciliumText.ts";
import { problemLines } from "./manifestText.ts";

const ANY_POD = "endpointSelector: {}";

const read = (...lines: string[]): Policy => onlyPolicy(readSpec(ANY_POD, ...lines));
const clusterwide = (...lines: string[]) => readCiliumNetworkPolicy(ciliumObject("CiliumClusterwideNetworkPolicy", ...lines));
const rulesOf = ({ ingress, egress }: Policy) => [...(ingress?.rules ?? []), ...(egress?.rules ?? [])].map(ruleText);
const posture = ({ ingress, egress }: Policy) =>
  [ingress, egress].map((list) => (list ? `${list.isolates ? "isolates" : "open"} ${list.rules.length}` : "-")).join(", ");

describe("which directions are governed and isolated, with how many rules", () => {
  test.each<[name: string, expected: string, ...lines: string[]]>([
    ["an empty rule isolates and allows nothing", "isolates 0, -", "ingress: [{}]"],
    ["an empty list item is an empty rule", "isolates 0, -", "ingress: [null]"],
    ["an empty deny rule isolates and denies nothing", "isolates 0, -", "ingressDeny: [{}]"],
    ["a policy that only denies isolates", "isolates 1, -", "ingressDeny: [{fromEntities: [world]}]"],
    ["an empty list governs nothing", "-, isolates 0", "ingress: []", "egress: [{}]"],
    ["enableDefaultDeny false does not isolate", "open 1, -", "enableDefaultDeny: {ingress: false}", "ingress: [{fromEntities: [all]}]"],
    ["it is for each direction", "open 0, isolates 0", "enableDefaultDeny: {ingress: false}", "ingress: [{}]", "egress: [{}]"],
    ["enableDefaultDeny true without rules does nothing", "-, isolates 0", "enableDefaultDeny: {ingress: true}", "egress: [{}]"],
    ["null is the default", "isolates 0, -", "enableDefaultDeny: {ingress: null}", "ingress: [{}]"],
  ])("%s", (_, expected, ...lines) => expect(posture(read(...lines))).toBe(expected));
});

describe("what an entry of ingress says", () => {
  test.each<[name: string, entry: string, ...expected: string[]]>([
    ["an empty list of endpoints matches nothing", "{fromEndpoints: []}", "allow none | any"],
    ["an empty selector is all pods of the own namespace", "{fromEndpoints: [{}]}", "allow shop/{} | any"],
    ["ports alone match whoever comes", '{toPorts: [{ports: [{port: "80", protocol: TCP}]}]}', "allow any | 6/80"],
    ["an empty list of ports is none", "{fromEntities: [world], toPorts: []}", "allow @world | any"],
    ["an entry of toPorts without ports matches nothing", "{fromEntities: [world], toPorts: [{}]}", "allow @world | none"],
    [
      "each entry of toPorts is a rule",
      '{toPorts: [{ports: [{port: "1", protocol: TCP}]}, {ports: [{port: "2", protocol: UDP}]}]}',
      ...["allow any | 6/1", "allow any | 17/2"],
    ],
    ["each peer counts", "{fromCIDR: [10.0.0.0/8, '::1']}", "allow 10.0.0.0/8; ::1/128 | any"],
    ["an address is a block of one", "{fromCIDR: [1.1.1.1]}", "allow 1.1.1.1/32 | any"],
    [
      "exceptions belong to their block",
      "{fromCIDRSet: [{cidr: 10.0.0.0/8, except: [10.1.0.0/16]}, {cidr: 1.0.0.0/8}]}",
      "allow 10.0.0.0/8 !10.1.0.0/16; 1.0.0.0/8 | any",
    ],
    ["groups by name", "{fromCIDRSet: [{cidrGroupRef: g}]}", "allow sets g | any"],
    ["groups by label", "{fromCIDRSet: [{cidrGroupSelector: {matchLabels: {a: b}}}]}", "allow sets global {}/{a In b} | any"],
    ["roles", "{fromEntities: [cluster, kube-apiserver]}", "allow @cluster; @kube-apiserver | any"],
    ["pods of other clusters are nobody here", "{fromEntities: [cluster-mesh]}", "allow @none | any"],
    [
      "ICMP, of IPv4 by default",
      "{icmps: [{fields: [{type: EchoRequest}, {family: IPv6, type: EchoRequest}, {type: '8'}]}]}",
      "allow any | 1/type 8; 58/type 128; 1/type 8",
    ],
    ["ICMP type 0 is Cilium's wildcard", "{icmps: [{fields: [{type: EchoReply}]}]}", "allow any | 1/*"],
    [
      "authentication that always fails allows nothing",
      "{fromEntities: [all], authentication: {mode: test-always-fail}}",
      "allow @all | none",
    ],
  ])("%s: %s", (_, entry, ...expected) => expect(rulesOf(read(`ingress: [${entry}]`))).toEqual(expected));

  test("requests are not looked at in deny rules", () => {
    const entry = '{toPorts: [{ports: [{port: "80", protocol: TCP}], rules: {http: [{path: "/("}]}}]}';
    expect(rulesOf(read(`ingressDeny: [${entry}]`))).toEqual(["deny any | 6/80"]);
  });
});

describe("what an entry of egress says", () => {
  test.each<[name: string, entry: string, ...expected: string[]]>([
    ["a name in any case, a final dot counts for nothing", "{toFQDNs: [{matchName: GitHub.com.}]}", "allow /github\\.com/ | any"],
    ["neither name nor pattern is the root", "{toFQDNs: [{}]}", "allow // | any"],
    [
      "a Service by name",
      "{toServices: [{k8sService: {serviceName: s, namespace: ns}}]}",
      'allow service {"name":"s","namespace":"ns"} | any',
    ],
    [
      "Services by labels, in all namespaces",
      "{toServices: [{k8sServiceSelector: {selector: {matchLabels: {a: b}}}}]}",
      'allow service {"selector":{"requirements":[{"key":"a","operator":"In","values":["b"]}]}} | any',
    ],
    ["an empty list of names or Services is none", "{toFQDNs: [], toServices: []}"],
  ])("%s: %s", (_, entry, ...expected) => expect(rulesOf(read(`egress: [${entry}]`))).toEqual(expected));

  test("a deny rule does not see names: its ports are denied to everybody", () => {
    const reading = readSpec(ANY_POD, 'egressDeny: [{toFQDNs: [{matchName: a.com}], toPorts: [{ports: [{port: "80", protocol: TCP}]}]}]');
    expect(rulesOf(onlyPolicy(reading))).toEqual(["deny any | 6/80"]);
    expect(problemLines(reading.problems)).toEqual([
      "warning 6:17 spec.egressDeny[0].toFQDNs: Cilium ignores this in a deny rule: the rest of the entry denies without it",
    ]);
  });
});

describe("names of rules and peers", () => {
  test("are paths below spec; with several entries of toPorts the entry's", () => {
    const policy = read(
      'ingress: [{fromCIDR: [1.1.1.1, 2.2.2.2], toPorts: [{ports: [{port: "1"}]}, {ports: [{port: "2"}]}]}, {fromEntities: [all]}]',
    );
    const rules = policy.ingress?.rules ?? [];
    expect(rules.map(({ ref }) => ref.path)).toEqual(["ingress[0].toPorts[0]", "ingress[0].toPorts[1]", "ingress[1]"]);
    expect(
      rules
        .flatMap(({ peers }) => (peers === "any" ? [] : peers))
        .slice(0, 2)
        .map(({ ref }) => ref.path),
    ).toEqual(["ingress[0].fromCIDR[0]", "ingress[0].fromCIDR[1]"]);
  });

  test("of specs begin there", () => {
    const { policies } = clusterwide(
      `specs: [{${ANY_POD}, egressDeny: [{toEntities: [world]}]}, {${ANY_POD}, ingress: [{}], egress: [{toEntities: [all]}]}]`,
    );
    expect(policies?.map(({ ref, egress }) => [ref.name, egress?.rules[0].ref.path])).toEqual([
      ["p", "specs[0].egressDeny[0]"],
      ["p", "specs[1].egress[0]"],
    ]);
  });

  test("spec and specs both count", () => {
    const { policies } = clusterwide(`spec: {${ANY_POD}, ingress: [{}]}`, `specs: [{${ANY_POD}, egress: [{}]}]`);
    expect(policies?.map(posture)).toEqual(["isolates 0, -", "-, isolates 0"]);
  });
});

describe("which pods a policy governs", () => {
  test.each<[expected: string, selector: string]>([
    ["shop/{}", "{}"],
    [
      "shop/{app In web, tier NotIn a|b}",
      "{matchLabels: {app: web}, matchExpressions: [{key: k8s:tier, operator: NotIn, values: [a, b]}]}",
    ],
    ["shop/{app In web}", "{matchLabels: {'any:app': web, 'k8s:io.kubernetes.pod.namespace': payments}}"],
    ["shop/{}", "{matchLabels: {io.kubernetes.pod.namespace: shop}}"],
    ['shop/{} where {"op":"some","terms":[]}', "{matchLabels: {io.kubernetes.pod.namespace: payments}}"],
    ["{kubernetes.io/metadata.name In shop, env In prod}/{}", "{matchLabels: {io.cilium.k8s.namespace.labels.env: prod}}"],
    ['shop/{} where {"op":"some","terms":[]}', "{matchLabels: {'reserved:host': ''}}"],
    ["shop/{}", "{matchExpressions: [{key: reserved:host, operator: DoesNotExist}]}"],
    ['shop/{} where {"op":"some","terms":[]}', "{matchLabels: {'container:app': web}}"],
  ])("%s: %s", (expected, selector) =>
    expect(podText(onlyPolicy(readSpec(`endpointSelector: ${selector}`, "ingress: [{}]")).subject)).toBe(expected),
  );

  test("one that selects no pod says so", () => {
    const policy = onlyPolicy(readSpec("endpointSelector: {matchLabels: {'reserved:host': ''}}", "ingress: [{}]"));
    expect(policy.inert).toBe("its `endpointSelector` selects no pods");
    expect(read("ingress: [{}]").inert).toBeUndefined();
  });

  test.each<[expected: string, selector: string]>([
    ["{}/{}", "{}"],
    ["pay/{app In web}", "{matchLabels: {app: web, 'k8s:io.kubernetes.pod.namespace': pay}}"],
    ["{kubernetes.io/metadata.name NotIn a}/{}", "{matchExpressions: [{key: io.kubernetes.pod.namespace, operator: NotIn, values: [a]}]}"],
  ])("clusterwide %s: %s", (expected, selector) => {
    const { subject, ref } = onlyPolicy(clusterwide(`spec: {endpointSelector: ${selector}, ingress: [{}]}`));
    expect(podText(subject)).toBe(expected);
    expect(ref.namespace).toBeUndefined();
  });

  test("a policy for nodes governs no pod", () => {
    const policy = onlyPolicy(clusterwide("spec: {nodeSelector: {matchLabels: {'k8s:role': db}}, ingress: [{fromEntities: [all]}]}"));
    expect(policy.nodes && selects(policy.nodes, { role: "db" })).toBe(true);
    expect(policy.subject.where).toEqual({ op: "some", terms: [] });
  });
});

const SERVICE_ACCOUNT = '{"op":"test","of":"serviceAccountName","requirement":{"key":"","operator":"In","values":["sa"]}}';

describe("whom a selector among the peers means", () => {
  test.each<[expected: string, selector: string, inClusterwide: string]>([
    ["shop/{app In web}", "{matchLabels: {app: web}}", "{}/{app In web}"],
    ["pay/{app In web}", "{matchLabels: {app: web, io.kubernetes.pod.namespace: pay}}", "pay/{app In web}"],
    ["{}/{}", "{matchExpressions: [{key: k8s:io.kubernetes.pod.namespace, operator: Exists}]}", "{}/{}"],
    [
      "{kubernetes.io/metadata.name In a|b}/{}",
      "{matchExpressions: [{key: io.kubernetes.pod.namespace, operator: In, values: [a, b]}]}",
      "{kubernetes.io/metadata.name In a|b}/{}",
    ],
    [
      "{kubernetes.io/metadata.name NotIn a}/{}",
      "{matchExpressions: [{key: io.kubernetes.pod.namespace, operator: NotIn, values: [a]}]}",
      "{kubernetes.io/metadata.name NotIn a}/{}",
    ],
    [
      "{env In prod}/{app In web}",
      "{matchLabels: {app: web, 'k8s:io.cilium.k8s.namespace.labels.env': prod}}",
      "{env In prod}/{app In web}",
    ],
    [
      "{x.io/env DoesNotExist}/{}",
      "{matchExpressions: [{key: io.cilium.k8s.namespace.labels.x.io/env, operator: DoesNotExist}]}",
      "{x.io/env DoesNotExist}/{}",
    ],
    [`shop/{} where ${SERVICE_ACCOUNT}`, "{matchLabels: {io.cilium.k8s.policy.serviceaccount: sa}}", `{}/{} where ${SERVICE_ACCOUNT}`],
    ["shop/{}", "{matchLabels: {io.cilium.k8s.policy.cluster: default}}", "{}/{}"],
    ["@none", "{matchLabels: {io.cilium.k8s.policy.cluster: other}}", "@none"],
    ["shop/{}", "{matchExpressions: [{key: container:a, operator: DoesNotExist}]}", "{}/{}"],
    ["@none", "{matchLabels: {'container:a': b}}", "@none"],
    ["@host", "{matchLabels: {'reserved:host': ''}}", "@host"],
    ["@host", "{matchLabels: {reserved.host: ''}}", "@host"],
    ["@host", "{matchExpressions: [{key: reserved:host, operator: Exists}]}", "@host"],
    ["@none", "{matchLabels: {'reserved:host': x}}", "@none"],
    ["@none", "{matchLabels: {'reserved:unknown': ''}}", "@none"],
    ["!@host", "{matchExpressions: [{key: reserved:host, operator: NotIn, values: ['']}]}", "!@host"],
    ["@all", "{matchExpressions: [{key: reserved:none, operator: DoesNotExist}]}", "@all"],
    [
      "(@kube-apiserver & @remote-node)",
      "{matchLabels: {'reserved:kube-apiserver': '', 'reserved:remote-node': ''}}",
      "(@kube-apiserver & @remote-node)",
    ],
    ["(@host & {}/{app In web})", "{matchLabels: {'reserved:host': '', app: web}}", "(@host & {}/{app In web})"],
    [
      "(!@host & !{}/{app Exists})",
      "{matchExpressions: [{key: reserved:host, operator: DoesNotExist}, {key: app, operator: DoesNotExist}]}",
      "(!@host & !{}/{app Exists})",
    ],
    [
      "(!@host & {}/{})",
      "{matchExpressions: [{key: reserved:host, operator: DoesNotExist}, {key: io.kubernetes.pod.namespace, operator: Exists}]}",
      "(!@host & {}/{})",
    ],
  ])("%s: %s", (expected, selector, inClusterwide) => {
    const peers = (policy: Policy) => {
      const found = policy.ingress?.rules[0].peers ?? "any";
      return found === "any" ? found : found.map(peerText).join();
    };
    expect(peers(read(`ingress: [{fromEndpoints: [${selector}]}]`))).toBe(expected);
    expect(peers(onlyPolicy(clusterwide(`spec: {${ANY_POD}, ingress: [{fromEndpoints: [${selector}]}]}`)))).toBe(inClusterwide);
  });
});
