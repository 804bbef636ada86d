import { describe, expect, test } from "vitest";
import { calicoPolicy, peersText, portsText, ruleText } from "./calicoText.ts";

/** The first ingress rule's peers, of its `source`. */
const sourceOf = (kind: string, source: string) =>
  peersText(calicoPolicy(kind, `ingress: [{action: Allow, source: ${source}}]`).ingress?.rules[0].peers);

const OWN = "pods[shop / app == 'web'] or namespaced sets[shop / app == 'web']";

describe("what a source is in a NetworkPolicy of `shop`", () => {
  test.each<[source: string, expected: string]>([
    ["{}", "any"],
    ["null", "any"],
    ["{selector: ''}", "any"],
    ["{serviceAccounts: {}}", "any"],
    // Own namespace only, pods and NetworkSets; GlobalNetworkSets are not seen.
    ["{selector: app == 'web'}", OWN],
    ["{selector: all()}", "pods[shop / *] or namespaced sets[shop / *]"],
    ["{selector: app == 'web' || has(b)}", "pods[shop / * / app == 'web' || has(b)] or namespaced sets[shop / * / app == 'web' || has(b)]"],
    [
      "{selector: '!(app == ''web'') && !!has(b)'}",
      "pods[shop / app != 'web' && has(b)] or namespaced sets[shop / app != 'web' && has(b)]",
    ],
    ["{selector: '!all()'}", "nothing"],
    // notSelector alone: this namespace less the match, no address outside.
    ["{notSelector: app != 'web'}", OWN],
    // Both hold on one and the same object.
    ["{selector: has(a), notSelector: has(b)}", "pods[shop / has(a) && !has(b)] or namespaced sets[shop / has(a) && !has(b)]"],
    ["{notSelector: global()}", "nothing"],
    // all(): what is in a namespace, no GlobalNetworkSet.
    ["{namespaceSelector: all()}", "pods[* / *] or namespaced sets[* / *]"],
    ["{namespaceSelector: env == 'x', selector: has(a)}", "pods[env == 'x' / has(a)] or namespaced sets[env == 'x' / has(a)]"],
    ["{namespaceSelector: projectcalico.org/name == 'shop', selector: app == 'web'}", OWN],
    ["{namespaceSelector: global()}", "global sets[* / *]"],
    ["{namespaceSelector: '!all()', selector: has(a)}", "global sets[* / has(a)]"],
    // A negative one also holds for GlobalNetworkSets, which have no namespace labels.
    ["{namespaceSelector: env != 'x'}", "pods[env != 'x' / *] or any sets[* / * / pcns.env != 'x']"],
    ["{namespaceSelector: all() && env != 'x'}", "pods[env != 'x' / *] or namespaced sets[env != 'x' / *]"],
    // Names and selector of service accounts; network sets have none.
    ["{serviceAccounts: {names: [a, b]}}", "pods[shop / * / projectcalico.org/serviceaccount in {'a', 'b'}]"],
    [
      "{serviceAccounts: {names: [a], selector: has(r)}, selector: app == 'web'}",
      "pods[shop / app == 'web' / has(pcsa.r) && projectcalico.org/serviceaccount == 'a']",
    ],
    ["{serviceAccounts: {selector: projectcalico.org/name == 'a'}}", "pods[shop / * / projectcalico.org/serviceaccount == 'a']"],
    ["{serviceAccounts: {selector: r != 'x'}}", "pods[shop / * / pcsa.r != 'x'] or namespaced sets[shop / * / pcsa.r != 'x']"],
    // Labels that Calico gives pods: the orchestrator is no label of a network set.
    [
      "{selector: projectcalico.org/orchestrator == 'k8s'}",
      "pods[shop / *] or namespaced sets[shop / projectcalico.org/orchestrator == 'k8s']",
    ],
    [
      "{selector: projectcalico.org/orchestrator starts with 'x'}",
      "namespaced sets[shop / * / projectcalico.org/orchestrator starts with 'x']",
    ],
    ["{services: {name: s}}", "service shop/s"],
    ["{services: {name: s, namespace: other}}", "service other/s"],
    ["{nets: [10.0.0.0/8]}", "10.0.0.0/8"],
    ["{nets: [10.0.0.0/8, 192.0.2.0/24], selector: app == 'web'}", `10.0.0.0/8 or 192.0.2.0/24 and ${OWN}`],
    // Without a net of a family the rule is not there for that family.
    ["{notNets: [10.0.0.0/8]}", "IPv4 and not(10.0.0.0/8)"],
    ["{notNets: ['fd00::/8']}", "IPv6 and not(fd00::/8)"],
    ["{nets: ['fd00::/8'], notNets: ['fd00::/16']}", "IPv6 and fd00::/8 and not(fd00::/16)"],
  ])("%s: %s", (source, expected) => expect(sourceOf("NetworkPolicy", source)).toBe(expected));
});

describe("what a source is in a GlobalNetworkPolicy", () => {
  test.each<[source: string, expected: string]>([
    ["{selector: has(a)}", "pods[* / has(a)] or any sets[* / has(a)]"],
    // Everything less the match, addresses outside too.
    ["{notSelector: has(a)}", "not(pods[* / has(a)] or any sets[* / has(a)])"],
    ["{selector: all(), notSelector: has(a)}", "pods[* / !has(a)] or any sets[* / !has(a)]"],
    ["{namespaceSelector: all(), notSelector: has(a)}", "pods[* / !has(a)] or namespaced sets[* / !has(a)]"],
    ["{selector: projectcalico.org/namespace == 'shop'}", "pods[shop / *] or namespaced sets[shop / *]"],
    ["{selector: pcns.env == 'x' && app == 'y'}", "pods[env == 'x' / app == 'y'] or namespaced sets[env == 'x' / app == 'y']"],
    ["{selector: '!has(projectcalico.org/namespace)'}", "global sets[* / *]"],
    ["{selector: has(pcsa.r)}", "pods[* / * / has(pcsa.r)]"],
    ["{services: {name: s, namespace: other}}", "service other/s"],
  ])("%s: %s", (source, expected) => expect(sourceOf("GlobalNetworkPolicy", source)).toBe(expected));
});

describe("which protocols and ports a rule is about", () => {
  const rule = (text: string) => calicoPolicy("NetworkPolicy", `ingress: [{action: Allow, ${text}}]`).ingress?.rules[0];
  test.each<[rule: string, ports: string, notPorts?: string]>([
    ["protocol: TCP", "6/*"],
    ["protocol: '6'", "6/*"],
    ["protocol: UDPLite", "136/*"],
    ["protocol: TCP, destination: {ports: [80, '90:99', '443', http]}", "6/80-80; 6/90-99; 6/443-443; 6/http"],
    ["destination: {ports: [http]}", "6/http; 17/http; 132/http"],
    ["destination: {notPorts: [http]}", "any", "6/http; 17/http; 132/http"],
    ["protocol: UDP, destination: {notPorts: [53]}", "17/*", "17/53-53"],
    ["notProtocol: TCP", "any", "6/*"],
    ["protocol: TCP, notProtocol: UDP", "6/*"],
    ["protocol: TCP, notProtocol: 6", "6/*", "6/*"],
    ["protocol: ICMP, icmp: {type: 0}", "1/type 0"],
    ["protocol: 58, icmp: {type: 3, code: 1}", "58/type 3 code 1"],
    ["protocol: ICMP, icmp: {}", "1/*"],
    ["protocol: ICMP, notICMP: {type: 8}", "1/*", "1/type 8"],
    ["notICMP: {type: 8, code: 0}", "any", "1/type 8 code 0; 58/type 8 code 0"],
    ["notICMP: {}", "any"],
  ])("%s: %s, not %s", (text, ports, notPorts = "-") => {
    const read = rule(text);
    expect([portsText(read?.ports), portsText(read?.notPorts)]).toEqual([ports, notPorts]);
  });

  test("source.ports are the initiator's", () => {
    const read = rule("protocol: TCP, source: {ports: [1024], notPorts: ['1:9']}");
    expect([portsText(read?.ports), portsText(read?.sourcePorts), portsText(read?.notSourcePorts)]).toEqual([
      "6/*",
      "6/1024-1024",
      "6/1-9",
    ]);
  });

  test.each<[rule: string, peers: string]>([
    ["ipVersion: 6", "IPv6"],
    ["protocol: ICMP", "IPv4"],
    ["protocol: ICMPv6", "IPv6"],
    ["ipVersion: 4, protocol: ICMP, source: {notNets: [10.0.0.0/8]}", "IPv4 and not(10.0.0.0/8)"],
    ["ipVersion: 4, source: {nets: [10.0.0.0/8]}", "IPv4 and 10.0.0.0/8"],
  ])("%s: %s", (text, peers) => expect(peersText(rule(text)?.peers)).toBe(peers));
});

describe("the ends of a rule", () => {
  const rule = "{action: Pass, protocol: TCP, source: {selector: has(s), ports: [1]}, destination: {nets: [10.0.0.0/8], ports: [2]}}";

  test("ingress: the source is the peer, the destination the near end", () => {
    const read = calicoPolicy("GlobalNetworkPolicy", `ingress: [${rule}]`).ingress?.rules[0];
    expect(read && ruleText(read)).toBe("pass pods[* / has(s)] or any sets[* / has(s)] | 6/2-2");
    expect([peersText(read?.near), portsText(read?.sourcePorts)]).toEqual(["10.0.0.0/8", "6/1-1"]);
  });

  test("egress: the other way round; ports stay the destination's", () => {
    const read = calicoPolicy("GlobalNetworkPolicy", `egress: [${rule}]`).egress?.rules[0];
    expect(read && ruleText(read)).toBe("pass 10.0.0.0/8 | 6/2-2");
    expect([peersText(read?.near), portsText(read?.sourcePorts)]).toEqual(["pods[* / has(s)] or any sets[* / has(s)]", "6/1-1"]);
  });

  test("egress to a service is to its ports", () => {
    const read = calicoPolicy("NetworkPolicy", "egress: [{action: Allow, destination: {services: {name: s}}}]").egress?.rules[0];
    expect(peersText(read?.peers)).toBe("service shop/s on its ports");
  });

  test("rules and peers know their place", () => {
    const { ingress } = calicoPolicy("NetworkPolicy", "ingress:", "- action: Log", "- action: Deny", "  source: {selector: has(a)}");
    const [log, deny] = ingress?.rules ?? [];
    expect([log.action, log.ref.path, log.ref.line]).toEqual(["log", "ingress[0]", 6]);
    expect(deny.peers !== "any" && [deny.peers[0].ref.path, deny.peers[0].ref.line]).toEqual(["ingress[1].source", 8]);
  });
});

describe("http", () => {
  const l7 = (http: string) => calicoPolicy("NetworkPolicy", `ingress: [{action: Allow, http: ${http}}]`).ingress?.rules[0].l7;
  test.each<[http: string, expected: unknown]>([
    ["{}", [{ kind: "http" }]],
    ["{methods: ['*']}", [{ kind: "http" }]],
    ["{methods: [GET, PUT]}", ["GET", "PUT"].map((exact) => ({ kind: "http", method: { exact } }))],
    [
      "{methods: [GET], paths: [{exact: /a}, {prefix: /b}]}",
      [{ exact: "/a" }, { prefix: "/b" }].map((path) => ({ kind: "http", method: { exact: "GET" }, path })),
    ],
  ])("%s", (http, expected) => expect(l7(http)).toEqual(expected));
});
