import { existsSync, readdirSync, readFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type ManifestObject, readManifest } from "../../src/cluster/manifest.ts";
import { Redactor } from "../../src/cluster/redact.ts";
import { AddressRedactor } from "../../src/cluster/redactAddresses.ts";
import { NameRedactor } from "../../src/cluster/redactNames.ts";
import { redactKey, redactSelector } from "../../src/cluster/redactSelectors.ts";
import { sanitizeObject } from "../../src/cluster/sanitize.ts";
import { type Cluster, readCluster } from "../../src/cluster/snapshot.ts";
import type { Decision } from "../../src/evaluate/decision.ts";
import { EndpointResolver } from "../../src/evaluate/endpoints.ts";
import { Evaluator } from "../../src/evaluate/evaluator.ts";
import { type CniName, profileOf } from "../../src/evaluate/profile.ts";
import { AddressTable } from "../../src/flow/addressTable.ts";
import { NameTable } from "../../src/flow/names.ts";
import { LoggedParties } from "../../src/flow/parties.ts";
import { type Address, formatAddress, isIPv4, isLinkOrHostLocal, isMulticastOrBroadcast, parseAddress } from "../../src/net/address.ts";
import { formatPrefix, makePrefix, parsePrefix, prefixContains } from "../../src/net/prefix.ts";
import { dnsSubdomainFault, labelKeyFault, labelValueFault, portNameFault } from "../../src/policy/names.ts";
import { readPolicies } from "../../src/policy/readPolicies.ts";
import { calico, ciliumPolicy, clusterwidePolicy } from "../evaluate/dialects.ts";
import { type Case, caseNames, readCase } from "../oracle/cases.ts";
import { decide, type Packet, snapshotText } from "../oracle/compiled.ts";
import { dialectWorlds } from "../oracle/dialectWorlds.ts";
import type { Resources } from "../oracle/obviousEvaluator.ts";

type Value = Record<string, unknown>;
const KEY = Uint8Array.from({ length: 32 }, (_, index) => index * 7 + 1);
const OTHER_KEY = new Uint8Array(32).fill(9);
const addresses = new AddressRedactor(KEY);
const names = new NameRedactor(KEY, addresses);
const address = (text: string): Address => parseAddress(text)!;
const positionOf = () => ({ line: 1, column: 1 });
const objectsOf = (values: readonly Value[]): ManifestObject[] => values.map((value) => ({ value, file: "x.yaml", positionOf }));
const valuesOf = (text: string): Value[] => readManifest(text, "x.yaml").map(({ value }) => value);
const cut = (values: readonly Value[]): Value[] => values.map((value) => sanitizeObject(value)).filter((value) => value !== undefined);
const redactedBy = (redactor: Redactor, values: readonly Value[]): Value[] => values.map((value) => redactor.redact(value));

describe("addresses", () => {
  const v4 = fc.nat(0xffffffff).map((word) => (0xffffn << 32n) | BigInt(word));
  const v6 = fc.bigInt({ min: 0n, max: (1n << 128n) - 1n }).filter((each) => !isIPv4(each));
  // Pairs that share a beginning, and addresses near the ranges that are kept.
  const near = fc
    .constantFrom(
      "0.0.0.1",
      "127.0.0.1",
      "126.255.255.255",
      "169.254.20.10",
      "169.255.0.0",
      "224.0.0.251",
      "10.0.0.1",
      "172.16.0.0",
      "255.255.255.254",
      "255.255.255.255",
      "::1",
      "::2",
      "fe80::1",
      "febf::1",
      "fec0::1",
      "ff02::1",
      "fd00::1",
      "fc00::",
      "::fffe:ffff:ffff",
    )
    .map(address);
  const any = fc.oneof(v4, v6, near);
  const pair = fc.oneof(
    fc.tuple(any, any),
    fc
      .tuple(any, fc.nat(127))
      .map(([one, bit]): [Address, Address] => [one, isIPv4(one) ? one ^ (1n << BigInt(bit % 32)) : one ^ (1n << BigInt(bit))]),
  );
  const common = (a: Address, b: Address): number => {
    if (isIPv4(a) !== isIPv4(b)) return -1;
    for (let length = 128; length >= 0; length--) if (a >> BigInt(128 - length) === b >> BigInt(128 - length)) return length;
    return -1;
  };

  test("common prefixes are as long as before: thereby a bijection within each family", () => {
    const law = fc.property(pair, ([a, b]) => {
      const [one, other] = [addresses.redact(a), addresses.redact(b)];
      expect(isIPv4(one)).toBe(isIPv4(a));
      expect(common(one, other)).toBe(common(a, b));
    });
    fc.assert(law, { numRuns: 3000 });
  });

  test("all addresses behind 22 bits: each is met once", () => {
    const first = address("203.0.112.0");
    const made = Array.from({ length: 1024 }, (_, index) => addresses.redact(first + BigInt(index)));
    expect(new Set(made).size).toBe(1024);
    expect(new Set(made.map((each) => each >> 10n)).size).toBe(1);
  });

  test("what is no ordinary address stays, and nothing else becomes such a one", () => {
    const isKept = (each: Address) => isLinkOrHostLocal(each) || isMulticastOrBroadcast(each);
    fc.assert(
      fc.property(any, (each) => {
        const made = addresses.redact(each);
        if (isKept(each)) expect(made).toBe(each);
        else expect(isKept(made)).toBe(false);
      }),
      { numRuns: 3000 },
    );
  });

  test.each(["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "fc00::/7", "2000::/3", "::/0", "0.0.0.0/0"])(
    "%s stays a whole",
    (text) => {
      expect(addresses.redactText(text)).toBe(text);
      const prefix = parsePrefix(text)!;
      expect(prefixContains(prefix, addresses.redact(prefix.first + 12345n))).toBe(true);
    },
  );

  test("prefixes become prefixes of the same length that hold the pseudonyms of what they held", () => {
    fc.assert(
      fc.property(any, fc.nat(128), any, (base, length, other) => {
        const prefix = makePrefix(base, isIPv4(base) ? length % 33 : length);
        const made = parsePrefix(addresses.redactText(formatPrefix(prefix))!)!;
        expect([made.length, made.family, made.hostBits]).toEqual([prefix.length, prefix.family, false]);
        for (const each of [base, other]) expect(prefixContains(made, addresses.redact(each))).toBe(prefixContains(prefix, each));
      }),
      { numRuns: 2000 },
    );
  });

  test.each(["10.244.3.0/24", "10.244.0.0/16", "fd00:10:244:3::/64", "203.0.113.0/24"])(
    "first addresses of %s stay the first ones",
    (text) => {
      const [before, after] = [parsePrefix(text)!, parsePrefix(addresses.redactText(text)!)!];
      for (const index of [0n, 1n, 2n, 3n]) expect(addresses.redact(before.first + index)).toBe(after.first + index);
    },
  );

  test("texts stay what they are", () => {
    const made = (text: string) => addresses.redactText(text);
    expect(made("web")).toBeUndefined();
    expect(made("k8s:app")).toBeUndefined();
    expect(made("1.2.3")).toBeUndefined();
    expect(made("203.0.113.77/33")).toBe(`${formatAddress(addresses.redact(address("203.0.113.77")))}/33`);
    expect(parsePrefix(made("203.0.113.77/24")!)!.hostBits).toBe(true);
    expect(made("0203.0.113.0/24")).toBe(`0${made("203.0.113.0/24")}`);
    expect(made("fe80::1%eth0")).toBe("fe80::1%0");
    expect(parseAddress(made("::ffff:203.0.113.77")!)).toBe(addresses.redact(address("203.0.113.77")));
    expect(parsePrefix(made("::ffff:203.0.113.0/120")!)!.first).toBe(parsePrefix(made("203.0.113.0/24")!)!.first);
  });

  test("another key gives other addresses", () => {
    const other = new AddressRedactor(OTHER_KEY);
    const same = Array.from({ length: 64 }, (_, index) => address("203.0.113.77") + BigInt(index) * 65537n).filter(
      (each) => addresses.redact(each) === other.redact(each),
    );
    expect(same.length).toBeLessThan(8);
  });
});

describe("names", () => {
  const label = fc.stringMatching(/^[a-z0-9]([-a-z0-9]{0,20}[a-z0-9])?$/);
  const value = fc.oneof(
    label,
    fc.stringMatching(/^[A-Za-z0-9]([-A-Za-z0-9_.]{0,20}[A-Za-z0-9])?$/),
    fc.constantFrom("default", "kube-dns", "a", "b", "ab", "cilium-x", "1", "0"),
  );

  test("are pseudonyms that are as valid and as long, and differ where they differed", () => {
    const law = fc.property(fc.array(value, { maxLength: 30 }), (texts) => {
      const made = texts.map((text) => names.name(text));
      expect(new Set(made).size).toBe(new Set(texts).size);
      for (const [index, text] of texts.entries()) {
        if (parseAddress(text) !== undefined) continue;
        expect(made[index]).toHaveLength(text.length);
        for (const fault of [labelValueFault, dnsSubdomainFault, portNameFault, labelKeyFault])
          expect(fault(made[index])).toBe(fault(text));
      }
    });
    fc.assert(law, { numRuns: 1000 });
  });

  test("all of one or two letters are met once, whatever they stand behind", () => {
    const letters = Array.from("abcdefghijklmnopqrstuvwxyz");
    for (const before of ["", "web-", "ip-10-"]) {
      const texts = letters.flatMap((one) => [one, ...letters.map((other) => one + other)]).map((text) => before + text);
      expect(new Set(texts.map((text) => names.name(text))).size).toBe(texts.length);
    }
  });

  test("names within names stay so", () => {
    const [pod, set, deployment, hash] = ["shop-web-7d4b9cf6d-x7k2p", "shop-web-7d4b9cf6d", "shop-web", "7d4b9cf6d"].map((text) =>
      names.name(text),
    );
    expect(pod).toMatch(new RegExp(`^${set}-[a-z0-9]{5}$`));
    expect(set).toBe(`${deployment}-${hash}`);
  });

  test.each(["default", "kube-system", "kubernetes", "kube-dns", "cilium", "calico-node", "kubeadm-config", "dns-tcp", "linux"])(
    "%s is kept",
    (text) => {
      expect(names.name(text)).toBe(text);
    },
  );

  test.each([
    ["cilium-x7k2p", /^cilium-[a-z]\d[a-z]\d[a-z]$/],
    ["kube-controller-manager-node1", /^kube-controller-manager-(?!node)[a-z]{4}\d$/],
    ["calico-kube-controllers", /^(?!calico)[a-z]{6}-(?!kube)[a-z]{4}-(?!contr)[a-z]{11}$/],
    ["kube-system-2", /^(?!kube)[a-z]{4}-(?!system)[a-z]{6}-\d$/],
    ["naïve", /\?x[0-9a-f]{12}/],
  ])("%s becomes like %s", (text, shape) => expect(names.name(text)).toMatch(shape));

  test("a uid becomes one", () => {
    expect(names.name("746d8ce2-930d-5f38-9675-aa5c79ebe835")).toMatch(/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/);
    expect(names.name("746d8ce2-930d-5f38-9675-aa5c79ebe835")).not.toContain("746d8ce2");
  });

  test("numbers in names of nodes do not tell their addresses", () => {
    const made = [names.name("ip-10-0-10-10"), names.name("ip-10-1-10-10")];
    expect(made[0].split("-")[3]).not.toBe(made[1].split("-")[3]);
  });

  test("patterns hold the hosts that they held", () => {
    const host = (text: string) => names.host(text);
    expect(host("*.example.com")).toBe(`*.${host("example.com")}`);
    expect(host("API.Example.com.")).toBe(`${host("api.example.com")}.`);
    expect(host("api.example.com").endsWith(host("example.com"))).toBe(true);
    expect(host("*")).toBe("*");
  });

  test.each([
    ["app", "app"],
    ["k8s:app", "k8s:app"],
    ["any:team", `any:${names.key("team")}`],
    ["reserved:host", "reserved:host"],
    ["app.kubernetes.io/name", "app.kubernetes.io/name"],
    ["k8s:io.kubernetes.pod.namespace", "k8s:io.kubernetes.pod.namespace"],
    ["io.cilium.k8s.namespace.labels.team", `io.cilium.k8s.namespace.labels.${names.key("team")}`],
    ["pcns.team", `pcns.${names.key("team")}`],
    ["projectcalico.org/namespace", "projectcalico.org/namespace"],
    ["node-role.kubernetes.io/control-plane", "node-role.kubernetes.io/control-plane"],
  ])("the key %s becomes %s", (key, made) => expect(redactKey(key, names)).toBe(made));

  test("other keys are replaced, below open domains too", () => {
    for (const key of ["team", "acme.com/team", "node-restriction.kubernetes.io/acme", "secret:x", "reserved:acme"]) {
      expect(redactKey(key, names)).not.toMatch(/team|acme|secret/);
    }
  });
});

describe("Calico's selectors", () => {
  const made = (text: string) => redactSelector(text, names, (key) => (key === "app" ? ["web", "web2", "api"] : undefined));
  const [web, web2, api] = ["web", "web2", "api"].map((text) => names.name(text));
  const team = names.key("team");
  test.each([
    ["app == 'web' && has(team)", `app == '${web}' && has(${team})`],
    ['!(app in {"web", "api"}) || all()', `!(app in {"${web}", "${api}"}) || all()`],
    ["app not in {'web'}", `app not in {'${web}'}`],
    ["app starts with 'we'", `app in {'${web}', '${web2}'}`],
    ["app contains 'zz' || app ends with 'i'", `app in {} || app in {'${api}'}`],
    ["pcns.team == 'web'", `pcns.${team} == '${web}'`],
    ["team contains 'web'", `${team} contains '${web}'`],
    ["in in {'web'}", `${names.key("in")} in {'${web}'}`],
    ["projectcalico.org/orchestrator == 'k8s'", "projectcalico.org/orchestrator == 'k8s'"],
    ["global()", "global()"],
    ["", ""],
  ])("%s", (text, want) => expect(made(text)).toBe(want));

  test.each(["app = 'web'", "app == 'web", "app starts with", "app starts with web", "== 'web'"])("%s stays none", (text) => {
    const after = made(text);
    expect(after).not.toContain("web");
    const policy = { apiVersion: "projectcalico.org/v3", kind: "GlobalNetworkPolicy", metadata: { name: "p" }, spec: { selector: after } };
    expect(readPolicies(objectsOf([policy]), { defaultNamespace: "default" }).problems).not.toEqual([]);
  });
});

/** A cluster with its policies, judged. */
interface Judged {
  readonly cluster: Cluster;
  readonly ask: (source: Address, destination: Address, packet: Packet) => readonly unknown[];
  readonly problems: readonly string[];
}

function judge(values: readonly Value[], cni: CniName, hosts: ReadonlyMap<Address, readonly string[]>): Judged {
  const cluster = readCluster(objectsOf(values));
  const { problems, ...set } = readPolicies(cluster.policyObjects, {
    defaultNamespace: "default",
    namespaces: [...cluster.namespaces.values()],
  });
  const world = { ...cluster, names: { entries: () => hosts.entries() } };
  const evaluator = new Evaluator(set, world, profileOf(cni, cluster.cni.settings));
  const resolver = new EndpointResolver(cluster, new AddressTable(), new NameTable(), new LoggedParties());
  const numberOf = new Map(set.policies.map((policy, index) => [policy, index]));
  const said = ({ verdict, reason, notes, isolatedBy, matched }: Decision) => [
    verdict,
    reason,
    [...notes].sort(),
    isolatedBy.map((policy) => numberOf.get(policy)).sort(),
    matched.map(({ policy, rule }) => `${numberOf.get(policy)} ${rule.path}`).sort(),
  ];
  return {
    cluster,
    problems: problems.map(({ severity, path }) => `${severity} ${path.split(".")[0]}`),
    ask: (source, destination, packet) => {
      const from = resolver.participantOf(source, Number.NaN);
      const to = resolver.participantOf(destination, Number.NaN, from);
      const { egress, ingress } = decide(evaluator, from, to, packet);
      return [from.type, to.type, said(egress), said(ingress)];
    },
  };
}

const OUTSIDE = ["203.0.113.7", "8.8.8.8", "198.51.100.3", "2001:db8::7", "169.254.20.10"];
const PACKETS: readonly Packet[] = [
  ...[53, 80, 81, 443, 5432, 6379, 7070, 8080, 9090, 65535].map((port) => ({ protocol: "TCP", port, sourcePort: 40000 })),
  ...[53, 80, 9125].map((port) => ({ protocol: "UDP", port })),
  { protocol: "SCTP", port: 80 },
  { protocol: "ICMP", icmpType: 8 },
];

/** Redacts a cluster with its policies and holds every verdict against the one before; returns how many there were of each kind. */
function expectSameVerdicts(
  values: readonly Value[],
  cni: CniName,
  hosts: Readonly<Record<string, readonly string[]>> = {},
): Map<unknown, number> {
  const objects = cut(values);
  const redactor = new Redactor(KEY, objects);
  const hostsOf = new Map<Address, string[]>();
  for (const [name, texts] of Object.entries(hosts))
    for (const text of texts) hostsOf.set(address(text), [...(hostsOf.get(address(text)) ?? []), name]);
  const before = judge(objects, cni, hostsOf);
  const after = judge(
    redactedBy(redactor, objects),
    cni,
    new Map([...hostsOf].map(([each, texts]) => [addresses.redact(each), texts.map((text) => names.host(text))])),
  );
  expect(after.problems).toEqual(before.problems);
  expect([after.cluster.cni.name, after.cluster.cni.settings]).toEqual([before.cluster.cni.name, before.cluster.cni.settings]);
  expect(after.cluster.warnings.length).toBe(before.cluster.warnings.length);
  const inside = [...before.cluster.pods, ...before.cluster.nodes].flatMap((each) => each.addresses);
  const asked = [...new Set([...inside, ...OUTSIDE.map(address), ...hostsOf.keys()])];
  const counts = new Map<unknown, number>();
  for (const source of asked) {
    for (const destination of asked) {
      if (isIPv4(source) !== isIPv4(destination)) continue;
      for (const packet of PACKETS) {
        const said = before.ask(source, destination, packet);
        const saidAfter = after.ask(addresses.redact(source), addresses.redact(destination), packet);
        if (JSON.stringify(said) !== JSON.stringify(saidAfter)) {
          expect({ source: formatAddress(source), destination: formatAddress(destination), packet, said: saidAfter }).toEqual({ said });
        }
        for (const side of [2, 3]) {
          const { 0: verdict } = said[side] as readonly unknown[];
          counts.set(verdict, (counts.get(verdict) ?? 0) + 1);
        }
      }
    }
  }
  return counts;
}

const fixture = (path: string) => valuesOf(readFileSync(new URL(path, import.meta.url), "utf8"));
const policyFiles = readdirSync(new URL("../../fixtures/shop/network-policies/", import.meta.url));
const SHOP = [
  ...fixture("../../fixtures/shop/cluster.yaml"),
  ...policyFiles.flatMap((name) => fixture(`../../fixtures/shop/network-policies/${name}`)),
];

describe("verdicts stay", () => {
  test.each<CniName>(["generic", "cilium", "calico", "ovn-kubernetes"])("of the shop under %s", (cni) => {
    const counts = expectSameVerdicts(SHOP, cni);
    expect(counts.get("allow")).toBeGreaterThan(100);
    expect(counts.get("deny")).toBeGreaterThan(100);
  });

  const world = "../../../shared/broker/world.json";
  test.skipIf(!existsSync(new URL(world, import.meta.url)))(
    "of another recorded cluster",
    () => void expectSameVerdicts(fixture(world), "generic"),
  );

  const PODS: Resources = {
    namespaces: [
      { name: "shop", labels: { team: "red" } },
      { name: "data", labels: { team: "blue" } },
    ],
    nodes: [{ name: "n1", ips: ["192.168.0.1"], labels: { "kubernetes.io/hostname": "n1" } }],
    serviceAccounts: [{ namespace: "shop", name: "front", labels: { grade: "x" } }],
    services: [
      {
        name: "db",
        namespace: "data",
        labels: { exposed: "yes" },
        selector: { app: "db" },
        endpoints: ["10.0.0.3"],
        ports: [{ port: 5432, protocol: "TCP" }],
      },
    ],
    pods: [
      {
        namespace: "shop",
        name: "web",
        labels: { app: "web", zone: "eu-1" },
        ip: "10.0.0.1",
        node: "n1",
        serviceAccount: "front",
        ports: [{ name: "http", containerPort: 8080, protocol: "TCP" }],
      },
      {
        namespace: "shop",
        name: "api",
        labels: { app: "api", zone: "us-1" },
        ip: "10.0.0.2",
        node: "n1",
        ports: [{ name: "http", containerPort: 9090, protocol: "TCP" }],
      },
      { namespace: "data", name: "db", labels: { app: "db" }, ip: "10.0.0.3", node: "n1", ports: [] },
      {
        namespace: "kube-system",
        name: "coredns",
        labels: { "k8s-app": "kube-dns" },
        ip: "10.0.1.3",
        node: "n1",
        ports: [{ name: "dns", containerPort: 53, protocol: "UDP" }],
      },
    ],
  };

  test("of Cilium's policies", () => {
    const policies = [
      ciliumPolicy(
        "shop/a",
        "endpointSelector: {matchLabels: {'k8s:app': web}}, ingress: [{fromEndpoints: [{matchLabels: {'k8s:io.kubernetes.pod.namespace': data}}], toPorts: [{ports: [{port: HTTP, protocol: TCP}]}]}]",
      ),
      ciliumPolicy(
        "shop/b",
        "endpointSelector: {matchLabels: {app: api}}, egress: [{toFQDNs: [{matchPattern: '*.stripe.com'}]}, {toCIDRSet: [{cidr: 198.51.100.0/24, except: [198.51.100.0/30]}]}, {toServices: [{k8sService: {serviceName: db, namespace: data}}]}, {toEntities: [host, kube-apiserver]}]",
      ),
      clusterwidePolicy(
        "c",
        "endpointSelector: {matchExpressions: [{key: 'any:app', operator: In, values: [db]}]}, ingress: [{fromEndpoints: [{matchLabels: {io.cilium.k8s.namespace.labels.team: red}}], toPorts: [{ports: [{port: '80'}, {port: '443', endPort: 8080}], rules: {}}]}], ingressDeny: [{fromEndpoints: [{matchLabels: {io.cilium.k8s.policy.serviceaccount: front}}], icmps: [{fields: [{type: EchoRequest}]}]}]",
      ),
      ciliumPolicy(
        "data/d",
        "endpointSelector: {}, ingress: [{toPorts: [{ports: [{port: '80', protocol: TCP}], rules: {http: [{method: GET|POST, path: '/v1/.*', headers: ['X-Token: secret']}]}}]}]",
      ),
    ];
    const counts = expectSameVerdicts([...valuesOf(snapshotText(PODS)), ...policies.flatMap(valuesOf)], "cilium", {
      "api.stripe.com": ["8.8.8.8"],
      "example.org": ["203.0.113.7"],
    });
    for (const verdict of ["allow", "deny", "unknown"]) expect(counts.get(verdict)).toBeGreaterThan(0);
  });

  test("of Calico's policies, of equal order too", () => {
    const policies = [
      calico("Tier", "security", "order: 1000000"),
      calico("Tier", "audit", "defaultAction: Pass"),
      calico(
        "GlobalNetworkPolicy",
        "security.b",
        "tier: security, selector: app starts with 'w', ingress: [{action: Allow, source: {selector: zone contains 'us'}}, {action: Pass}]",
      ),
      calico(
        "GlobalNetworkPolicy",
        "security.a",
        "tier: security, selector: has(app), types: [Ingress], ingress: [{action: Deny, source: {selector: app ends with 'b'}}, {action: Pass}]",
      ),
      calico(
        "GlobalNetworkPolicy",
        "zz",
        "namespaceSelector: team == 'red', egress: [{action: Deny, protocol: TCP, destination: {ports: [80, '440:450', http]}}]",
      ),
      calico(
        "GlobalNetworkPolicy",
        "z",
        "namespaceSelector: \"projectcalico.org/name in {'shop', 'data'}\", egress: [{action: Allow, protocol: TCP, destination: {nets: [10.0.0.0/24], notPorts: [81]}}]",
      ),
      calico(
        "NetworkPolicy",
        "shop/p",
        "selector: projectcalico.org/orchestrator == 'k8s', ingress: [{action: Allow, source: {serviceAccounts: {names: [front]}, namespaceSelector: all()}}, {action: Allow, source: {selector: role == 'x'}}]",
      ),
      calico(
        "NetworkPolicy",
        "data/p",
        "serviceAccountSelector: '!has(grade)', ingress: [{action: Allow, http: {methods: [GET], paths: [{prefix: /a}]}}], egress: [{action: Allow, destination: {services: {name: db, namespace: data}}}]",
      ),
      calico("GlobalNetworkSet", "partners", "nets: [203.0.113.0/29]").replace("{name: partners}", "{name: partners, labels: {role: x}}"),
    ];
    const counts = expectSameVerdicts([...valuesOf(snapshotText(PODS)), ...policies.flatMap(valuesOf)], "calico");
    for (const verdict of ["allow", "deny", "unknown"]) expect(counts.get(verdict)).toBeGreaterThan(0);
  });

  test.each(["generic", "cilium", "calico"] as const)("of random policies of every dialect under %s", (cni) => {
    const law = fc.property(dialectWorlds(cni, 2), ({ resources, policies }) => {
      expectSameVerdicts([...valuesOf(snapshotText(resources)), ...(policies as unknown as Value[])], cni, resources.fqdns);
    });
    fc.assert(law, { numRuns: 25, seed: 20261101 });
  });

  const folders: readonly (readonly [string, CniName])[] = [
    ["networkpolicy", "generic"],
    ["adminpolicy", "generic"],
    ["clusternetworkpolicy", "generic"],
    ["cilium", "cilium"],
    ["cilium-mixed", "cilium"],
    ["calico", "calico"],
  ];
  test.each(folders)("of the vectors in %s", (folder, cni) => {
    for (const [index, name] of caseNames(folder).entries()) {
      if (index % 4 !== 0) continue;
      const { resources, policies }: Case = readCase(folder, name);
      if (resources === undefined || policies === undefined) continue;
      const nodes = (resources.nodes ?? []).map((node) => ({
        ...node,
        ips: node.ips ?? node.addresses?.map((each) => each.address) ?? [],
      }));
      expectSameVerdicts([...valuesOf(snapshotText({ ...resources, nodes })), ...(policies as unknown as Value[])], cni, resources.fqdns);
    }
  });
});

describe("consistency", () => {
  const objects = cut(SHOP);

  test("one key gives the same pseudonyms, whichever Redactor and order; another key others", () => {
    const [one, other] = [new Redactor(KEY), new Redactor(KEY)];
    expect(redactedBy(other, objects.toReversed())).toEqual(redactedBy(one, objects).toReversed());
    expect(redactedBy(new Redactor(OTHER_KEY), objects)).not.toEqual(redactedBy(one, objects));
    expect(() => new Redactor(new Uint8Array(16))).toThrow("a key has 32 bytes, not 16");
  });

  test("workloads, plugins and what is found by name are the same", () => {
    const [before, after] = [objects, redactedBy(new Redactor(KEY, objects), objects)].map((values) => readCluster(objectsOf(values)));
    const groups = ({ pods }: Cluster) =>
      [...Map.groupBy(pods, ({ workload }) => JSON.stringify(workload)).values()].map((same) => same.map((pod) => pods.indexOf(pod)));
    expect(groups(after)).toEqual(groups(before));
    expect(after.pods.map(({ workload }) => workload.kind)).toEqual(before.pods.map(({ workload }) => workload.kind));
    expect([...(after.apiServers ?? [])]).toEqual([...(before.apiServers ?? [])].map((each) => addresses.redact(each)));
    expect(after.services.map((service) => after.serviceIndex.backendsOf(service).length)).toEqual(
      before.services.map((service) => before.serviceIndex.backendsOf(service).length),
    );
    expect(after.nodes.map((node) => node.addresses)).toEqual(
      before.nodes.map((node) => node.addresses.map((each) => addresses.redact(each))),
    );
    expect(after.timeline.warnings.length).toBe(before.timeline.warnings.length);
  });

  test("policies and tiers keep the order of their names where the objects are known", () => {
    const make = (kind: string, name: string, spec: Value): Value => ({
      apiVersion: "projectcalico.org/v3",
      kind,
      metadata: { name },
      spec,
    });
    // As "name/namespace/kind" is compared, web-a comes before web.
    const policies = ["default.z", "web-a", "web", "web2", "zz"].map((name) => make("GlobalNetworkPolicy", name, {}));
    const tiers = ["a", "default", "m", "n", "kube-admin", "kube-az", "kube-baseline", "z"].sort().map((name) => make("Tier", name, {}));
    const nameOf = (value: Value) => (value.metadata as { name: string }).name;
    const made = redactedBy(new Redactor(KEY, [...policies, ...tiers]), [...policies, ...tiers]).map(nameOf);
    const [ofPolicies, ofTiers] = [made.slice(0, policies.length).map((name) => `${name}/`), made.slice(policies.length)];
    expect(ofPolicies).toEqual([...new Set(ofPolicies)].sort());
    expect(ofTiers).toEqual([...new Set(ofTiers)].sort());
    expect(ofTiers).toEqual(expect.arrayContaining(["default", "kube-admin", "kube-baseline"]));
  });

  test("a ReplicaSet that the snapshot lacks still leads to its Deployment", () => {
    const pod = {
      apiVersion: "v1",
      kind: "Pod",
      metadata: {
        name: "web-7d4b9-abcde",
        namespace: "shop",
        labels: { "pod-template-hash": "7d4b9" },
        ownerReferences: [{ kind: "ReplicaSet", name: "web-7d4b9" }],
      },
      status: { podIP: "10.0.0.1" },
    };
    const [read] = readCluster(objectsOf([new Redactor(KEY).redact(pod)])).pods;
    expect(read.workload).toEqual({ namespace: names.name("shop"), kind: "Deployment", name: names.name("web"), foundBy: "owner" });
  });

  test("a workload without pods keeps its template, of which selectors know the labels", () => {
    const template = {
      metadata: { labels: { app: "front" } },
      spec: { serviceAccountName: "web-account", containers: [{ ports: [{ name: "http", containerPort: 8080 }] }] },
    };
    const metadata = { name: "web", namespace: "shop" };
    const values = cut([
      { apiVersion: "batch/v1", kind: "CronJob", metadata, spec: { jobTemplate: { spec: { template } } } },
      {
        apiVersion: "projectcalico.org/v3",
        kind: "GlobalNetworkPolicy",
        metadata: { name: "p" },
        spec: { selector: "app contains 'ron' && projectcalico.org/serviceaccount ends with 'count'" },
      },
    ]);
    const { templatePods, policyObjects } = readCluster(objectsOf(redactedBy(new Redactor(KEY, values), values)));
    expect(templatePods).toMatchObject([
      {
        workload: { namespace: names.name("shop"), kind: "CronJob", name: names.name("web") },
        labels: { app: names.name("front") },
        serviceAccountName: names.name("web-account"),
        ports: [{ name: names.name("http"), port: 8080 }],
      },
    ]);
    expect((policyObjects[0].value.spec as Value).selector).toBe(
      `app in {'${names.name("front")}'} && projectcalico.org/serviceaccount in {'${names.name("web-account")}'}`,
    );
  });

  test("annotations, flags and settings keep what is read of them", () => {
    const make = (apiVersion: string, kind: string, name: string, rest: Value, annotations?: Value): Value => ({
      apiVersion,
      kind,
      metadata: { name, namespace: "kube-system", ...(annotations ? { annotations } : {}) },
      ...rest,
    });
    const values = cut([
      make(
        "v1",
        "Node",
        "acme1",
        { spec: { podCIDRs: ["10.244.1.0/24"] } },
        {
          "projectcalico.org/IPv4Address": "192.168.7.1/24",
          "k8s.ovn.org/node-subnets": '{"default":["10.244.1.0/24"],"acme":"10.77.0.0/16"}',
          "k8s.ovn.org/l3-gateway-config": "acme",
        },
      ),
      make("v1", "Pod", "kube-controller-manager-acme1", {
        spec: { containers: [{ command: ["--cluster-cidr=10.244.0.0/16,fd00:7::/48", "--acme"] }] },
      }),
      make("v1", "ConfigMap", "kubeadm-config", { data: { ClusterConfiguration: "clusterName: acme\npodSubnet: 10.99.0.0/16" } }),
      make("v1", "ConfigMap", "cilium-config", { data: { "enable-policy": "always", "policy-cidr-match-mode": "acme" } }),
      make("apps/v1", "DaemonSet", "calico-node", {
        spec: {
          template: {
            spec: {
              containers: [
                { image: "acme.io/acme-node:v3.30.1-acme", env: [{ name: "FELIX_DEFAULTENDPOINTTOHOSTACTION", value: "Drop" }] },
              ],
            },
          },
        },
      }),
      make(
        "crd.projectcalico.org/v1",
        "NetworkPolicy",
        "default.acme",
        { spec: { selector: "acme == 'acme'" } },
        {
          "projectcalico.org/metadata": '{"name":"acme","labels":{"acme":"acme"}}',
        },
      ),
    ]);
    const after = redactedBy(new Redactor(KEY, values), values);
    expect(JSON.stringify(after)).not.toContain("acme");
    const [before, read] = [values, after].map((each) => readCluster(objectsOf(each)));
    expect(read.nodes[0].addresses).toEqual(before.nodes[0].addresses.map((each) => addresses.redact(each)));
    expect(read.cni).toMatchObject({ name: "calico", settings: { version: "3.30.1", defaultEndpointToHostAction: "Drop" } });
    const beside = (cluster: Cluster, text: string) => cluster.timeline.ownerAt(addresses.redact(address(text)), null).type;
    for (const text of ["10.244.200.1", "10.99.1.2", "10.77.1.1", "fd00:7::9"]) expect(beside(read, text)).toBe("unknown");
    expect(beside(read, "10.100.1.2")).toBe("external");
    const { problems, policies } = readPolicies(read.policyObjects, { defaultNamespace: "default" });
    expect([problems, policies.length]).toEqual([[], 1]);
  });
});

describe("nothing survives", () => {
  test("of the shop's own names and addresses", () => {
    const objects = cut(SHOP);
    const text = JSON.stringify(redactedBy(new Redactor(KEY, objects), objects));
    const planted = [
      ...objects.flatMap(({ metadata }) => {
        const { name, namespace, uid, labels } = metadata as {
          name: string;
          namespace?: string;
          uid?: string;
          labels?: Record<string, string>;
        };
        return [name, namespace, uid, ...Object.values(labels ?? {})];
      }),
      ...readCluster(objectsOf(objects)).pods.flatMap((pod) => [...pod.addresses.map(formatAddress), ...pod.ports.map(({ name }) => name)]),
      "198.51.100.0",
      "10.244.0.0",
    ];
    const kept = /^(default|kubernetes|kube-(system|public|node-lease|dns)|kindnet|linux|amd64|dns(-tcp)?)$/;
    const texts = new Set(planted.filter((each) => each !== undefined && each.length > 2 && !kept.test(each)));
    expect(texts.size).toBeGreaterThan(50);
    expect(
      [...texts].filter(
        (each) =>
          text.includes(`"${each}/`) ||
          text
            .split(`"${each}"`)
            .slice(1)
            .some((rest) => !rest.startsWith(":")),
      ),
    ).toEqual([]);
  });

  test("of what policies of every dialect can hold", () => {
    const secrets = ["acmecorp", "hunter2", "203.0.113.77", "2001:db8:77::", "10.66.77.0"];
    const [name, secret, ip, ip6, net] = secrets;
    const labels = {
      matchLabels: { [name]: secret, app: name },
      matchExpressions: [{ key: `${name}.com/x`, operator: "In", values: [secret] }],
    };
    const head = (apiVersion: string, kind: string, spec: unknown): Value => ({
      apiVersion,
      kind,
      metadata: { name, namespace: name, labels: { [name]: secret } },
      spec,
    });
    const values = [
      head("networking.k8s.io/v1", "NetworkPolicy", {
        podSelector: labels,
        ingress: [
          { from: [{ ipBlock: { cidr: `${net}/24`, except: [`${net}/28`] } }, { namespaceSelector: labels }], ports: [{ port: secret }] },
        ],
      }),
      head("policy.networking.k8s.io/v1alpha1", "AdminNetworkPolicy", {
        priority: 5,
        subject: { namespaces: labels },
        egress: [
          {
            name: `to ${name}`,
            action: "Allow",
            to: [{ domainNames: [`*.${name}.com`] }, { networks: [`${ip6}/48`] }, { nodes: labels }],
            ports: [{ namedPort: secret }],
          },
        ],
      }),
      head("cilium.io/v2", "CiliumNetworkPolicy", {
        description: secret,
        labels: [{ key: name, value: secret }],
        log: { value: secret },
        endpointSelector: labels,
        ingress: [
          {
            fromEndpoints: [labels],
            fromEntities: [name],
            authentication: { mode: secret },
            toPorts: [
              {
                ports: [{ port: secret, protocol: name }],
                terminatingTLS: { secret: { name, namespace: secret }, trustedCA: secret },
                serverNames: [`${name}.com`],
                listener: { envoyConfig: { kind: name, name: secret }, name },
                rules: {
                  http: [
                    {
                      method: secret,
                      path: `/${secret}.*`,
                      host: `${name}.com`,
                      headers: [`${name}: ${secret}`, secret],
                      headerMatches: [{ name, value: secret, secret: { name: secret }, mismatch: secret }],
                    },
                  ],
                  kafka: [{ topic: secret }],
                  l7proto: name,
                  l7: [{ [secret]: name }],
                },
              },
            ],
          },
        ],
        egress: [
          { toFQDNs: [{ matchName: `api.${name}.com` }, { matchPattern: `*.${name}.com` }], toCIDR: [ip, `${net}/24`] },
          {
            toServices: [
              { k8sService: { serviceName: name, namespace: secret } },
              { k8sServiceSelector: { selector: labels, namespace: name } },
            ],
          },
          {
            toCIDRSet: [{ cidrGroupRef: name }, { cidrGroupSelector: labels }],
            toGroups: [{ aws: { securityGroupsNames: [secret], region: name } }],
          },
        ],
      }),
      head("projectcalico.org/v3", "NetworkPolicy", {
        tier: name,
        selector: `${name} == '${secret}' && has(${name}.com/a) || ${name} contains "${secret}"`,
        serviceAccountSelector: `broken ${secret}`,
        ingress: [
          {
            action: "Allow",
            metadata: { annotations: { [name]: secret } },
            http: { methods: [secret], paths: [{ exact: `/${secret}` }, { prefix: `/${name}` }] },
            source: {
              nets: [`${ip}/32`],
              notSelector: `pcns.${name} == '${secret}'`,
              serviceAccounts: { names: [name, secret], selector: `has(${name})` },
            },
            destination: { services: { name, namespace: secret }, ports: [secret] },
          },
        ],
      }),
      head("projectcalico.org/v3", "GlobalNetworkSet", { nets: [ip, `${ip6}/48`] }),
      head("projectcalico.org/v3", "Tier", { order: 5 }),
      head("k8s.ovn.org/v1", "EgressFirewall", { egress: [{ type: "Deny", to: { dnsName: `${name}.com`, cidrSelector: `${net}/24` } }] }),
      head("crd.antrea.io/v1beta1", "NetworkPolicy", {
        appliedTo: [{ podSelector: labels }],
        ingress: [{ action: "Drop", name: secret, from: [{ ipBlock: { cidr: `${ip}/32` } }] }],
      }),
      head("kguardian.dev/v1alpha1", "AuditNetworkPolicy", { podSelector: labels, unknown: { deep: [secret, { deeper: name }] } }),
    ];
    const objects = cut(values);
    expect(objects).toHaveLength(values.length);
    for (const redactor of [new Redactor(KEY), new Redactor(KEY, objects)]) {
      for (const value of redactedBy(redactor, objects)) {
        const text = JSON.stringify(value);
        for (const each of secrets) expect(text).not.toContain(each.replace(/::$/, ""));
      }
    }
  });

  test("anything at all is taken, and texts that are no words of an API go", () => {
    const key = fc.constantFrom(
      "metadata",
      "spec",
      "labels",
      "annotations",
      "args",
      "data",
      "selector",
      "ports",
      "name",
      "values",
      "type",
      "matchLabels",
      "headers",
      "x",
    );
    const { any } = fc.letrec((tie) => ({
      any: fc.oneof(
        { maxDepth: 6 },
        fc.constantFrom(null, "hunter2", 5, true),
        fc.array(tie("any"), { maxLength: 3 }),
        fc.dictionary(key, tie("any"), { maxKeys: 5 }),
      ),
    }));
    const kind = fc.constantFrom("Pod", "Service", "NetworkPolicy", "Tier");
    const object = fc.record({
      apiVersion: fc.constantFrom("v1", "networking.k8s.io/v1", "crd.projectcalico.org/v1"),
      kind,
      metadata: any,
      spec: any,
      data: any,
    });
    fc.assert(
      fc.property(object, (value) => {
        for (const redactor of [new Redactor(KEY), new Redactor(KEY, [value])])
          expect(JSON.stringify(redactor.redact(value))).not.toContain("hunter2");
      }),
      { numRuns: 500 },
    );
  });
});
