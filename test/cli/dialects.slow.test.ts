import { describe, expect, test } from "vitest";
import { adminPolicy, audit, baselinePolicy, calico, ciliumPolicy, clusterPolicy, networkPolicy } from "../evaluate/dialects.ts";
import { file, type Run, run, SHOP, sound } from "./program.ts";

/* Policies of every dialect, asked of the whole program: a small world, records, and what must come out. */

const node = (name: string, ip: string) =>
  `apiVersion: v1\nkind: Node\nmetadata: {name: ${name}}\nstatus: {addresses: [{type: InternalIP, address: ${ip}}]}\n`;
const pod = (namespace: string, name: string, ip: string) =>
  `apiVersion: v1\nkind: Pod\nmetadata: {name: ${name}, namespace: ${namespace}, labels: {app: ${name}}}\nspec: {nodeName: n1, containers: [{name: c}]}\nstatus: {phase: Running, podIP: ${ip}, podIPs: [{ip: ${ip}}]}\n`;
const WORLD = [
  "apiVersion: v1\nkind: Namespace\nmetadata: {name: a, labels: {team: red}}\n",
  "apiVersion: v1\nkind: Namespace\nmetadata: {name: b, labels: {team: blue}}\n",
  node("n1", "192.0.2.1"),
  node("n2", "192.0.2.2"),
  pod("a", "web", "10.0.1.2"),
  pod("a", "api", "10.0.1.3"),
  pod("b", "db", "10.0.1.4"),
];
const ADDRESS: Readonly<Record<string, string>> = { web: "10.0.1.2", api: "10.0.1.3", db: "10.0.1.4", n1: "192.0.2.1", n2: "192.0.2.2" };

interface Asked {
  /** `web > api 80`, perhaps with more fields of the record. */
  readonly flows: readonly (string | readonly [string, object])[];
  readonly candidates?: readonly string[];
  readonly existing?: readonly string[];
  readonly flags?: readonly string[];
}

let runs = 0;

function simulate({ flows, candidates = [], existing = [], flags = [] }: Asked): Run {
  runs++;
  const records = flows.map((flow) => {
    const [text, more] = typeof flow === "string" ? [flow, {}] : flow;
    const [from, , to, port] = text.split(" ");
    return { srcIp: ADDRESS[from] ?? from, dstIp: ADDRESS[to] ?? to, dstPort: Number(port), protocol: "TCP", ...more };
  });
  const policies = candidates.length === 0 ? [] : ["-f", file(`p${runs}.yaml`, candidates.join("---\n"))];
  const snapshot = file(`w${runs}.yaml`, [...WORLD, ...existing].join("---\n"));
  const lines = file(`f${runs}.jsonl`, records.map((record) => `${JSON.stringify(record)}\n`).join(""));
  return run(["simulate", "--flows", lines, "--snapshot", snapshot, ...policies, ...flags, "-o", "json"]);
}

interface Side {
  readonly verdict: string;
  readonly reason: string;
}

function reportOf({ out, err }: Run): { warnings: string[]; cni: { name: string }; connections: Record<string, never>[] } {
  if (out === "") throw new Error(err);
  return JSON.parse(out);
}

/** Returns `source > destination port: verdict` of each connection, in the order of the report, with the reasons of what is not allowed. */
function verdicts(asked: Asked): string[] {
  const name = (end: { name?: string; ip: string }) => end.name ?? end.ip;
  return reportOf(simulate(asked)).connections.map((connection) => {
    const { source, destination, port, verdict, egress, ingress } = connection as never as Record<string, { ip: string } & Side>;
    const reasons = [egress, ingress].flatMap((side) => (side.verdict === "allow" ? [] : [side.reason]));
    return `${name(source)} > ${name(destination)} ${port}: ${[verdict, ...reasons].join(" ")}`;
  });
}

const verdict = (asked: Asked): string =>
  verdicts(asked)
    .map((line) => line.split(": ")[1])
    .join(", ");

const DENY_WEB = "selector: app == 'api', types: [Ingress], ingress: [{action: Deny, source: {selector: app == 'web'}}, {action: Allow}]";

describe("--staged: a staged policy counts only with it, as promoting would do", () => {
  const flows = ["web > api 80"];
  const HINT = /staged polic(y is|ies are) not in force and not judged: --staged judges what promoting would do/;
  const allow = calico("NetworkPolicy", "a/p", "selector: all(), ingress: [{action: Allow}]");
  const existing = [networkPolicy("a/closed", "podSelector: {}")];
  test.each<[string, Asked, string, string]>([
    ["a new policy", { flows, candidates: [calico("StagedNetworkPolicy", "a/p", DENY_WEB)] }, "allow", "deny rule-deny"],
    [
      "one that takes the place of the policy of its name",
      { flows, candidates: [calico("StagedNetworkPolicy", "a/p", DENY_WEB)], existing: [allow] },
      "allow",
      "deny rule-deny",
    ],
    [
      "one of another name comes in beside it, after it by name",
      { flows, candidates: [calico("StagedNetworkPolicy", "a/q", DENY_WEB)], existing: [allow] },
      "allow",
      "allow",
    ],
    [
      "a NetworkPolicy that promoting would delete",
      { flows, candidates: [calico("StagedKubernetesNetworkPolicy", "a/closed", "stagedAction: Delete")], existing },
      "deny isolated",
      "allow",
    ],
    [
      "one that is to be ignored stays so",
      { flows, candidates: [calico("StagedNetworkPolicy", "a/p", `stagedAction: Ignore, ${DENY_WEB}`)] },
      "allow",
      "allow",
    ],
  ])("%s", (_what, asked, without, promoted) => {
    const withCalico = { ...asked, flags: ["--cni", "calico"] };
    const staged = { ...asked, flags: ["--cni", "calico", "--staged"] };
    expect([verdict(withCalico), verdict(staged)]).toEqual([without, promoted]);
  });

  test("a note says that it is not in force, and none with the flag", () => {
    const asked = { flows, candidates: [calico("StagedNetworkPolicy", "a/p", DENY_WEB)] };
    const warnings = (flags: string[]) => reportOf(simulate({ ...asked, flags })).warnings.filter((warning) => HINT.test(warning));
    expect([warnings(["--cni", "calico"]).length, warnings(["--cni", "calico", "--staged"]).length]).toEqual([1, 0]);
  });
});

describe("--cni: a plugin ignores what it does not know, and a note names the policy", () => {
  const cilium = ciliumPolicy("a/cnp", "endpointSelector: {}, ingress: [{}]");
  const global = calico("GlobalNetworkPolicy", "gnp", "selector: all(), ingress: []");
  const admin = adminPolicy("anp", "priority: 1, subject: {namespaces: {}}, ingress: [{action: Deny, from: [{namespaces: {}}]}]");
  test.each([
    ["Cilium's under Cilium", cilium, "cilium", "deny isolated"],
    [
      "Cilium's under Calico",
      cilium,
      "calico",
      "CiliumNetworkPolicy a/cnp (p.yaml:1) is ignored: calico does not honour CiliumNetworkPolicy of cilium.io",
    ],
    [
      "Cilium's under generic",
      cilium,
      "generic",
      "CiliumNetworkPolicy a/cnp (p.yaml:1) is ignored: generic does not honour CiliumNetworkPolicy of cilium.io",
    ],
    ["Calico's under Calico", global, "calico", "deny tier-default"],
    [
      "Calico's under Cilium",
      global,
      "cilium",
      "GlobalNetworkPolicy gnp (p.yaml:1) is ignored: cilium does not honour GlobalNetworkPolicy of projectcalico.org",
    ],
    ["an admin policy under OVN-Kubernetes", admin, "ovn-kubernetes", "deny rule-deny"],
    [
      "an admin policy under AWS",
      admin,
      "aws",
      "AdminNetworkPolicy anp (p.yaml:1) is ignored: aws does not honour AdminNetworkPolicy of policy.networking.k8s.io",
    ],
  ])("%s", (_what, policy, cni, expected) => {
    const asked = { flows: ["web > api 80"], candidates: [policy], flags: ["--cni", cni] };
    const ignored = reportOf(simulate(asked)).warnings.filter((warning) => warning.includes("is ignored"));
    const answer = ignored.map((warning) => warning.replace(/\((?:.*\/)?p\d+\.yaml:/, "(p.yaml:")).concat(verdict(asked));
    expect(answer).toEqual(expected.includes("is ignored") ? [expected, "allow"] : [expected]);
  });

  test("without --cni the policies themselves tell the plugin", () => {
    const cni = (...candidates: string[]) => reportOf(simulate({ flows: ["web > api 80"], candidates })).cni.name;
    expect([cni(cilium), cni(global), cni(admin)]).toEqual(["cilium", "calico", "generic"]);
  });

  test("the table has it as a NOTE", () => {
    const policies = file("ignored.yaml", cilium);
    const { out } = run(["simulate", ...sound, "-f", policies, "--cni", "aws"]);
    expect(out).toMatch(/^NOTE {3}CiliumNetworkPolicy a\/cnp \(.*ignored\.yaml:1\) is ignored: aws does not honour/m);
  });
});

describe("admin, NetworkPolicy and baseline", () => {
  const FROM_WEB = "from: [{pods: {namespaceSelector: {}, podSelector: {matchLabels: {app: web}}}}]";
  const rule = (action: string, port: number) => `{action: ${action}, ${FROM_WEB}, ports: [{portNumber: {protocol: TCP, port: ${port}}}]}`;
  const candidates = [
    adminPolicy("first", `priority: 1, subject: {namespaces: {}}, ingress: [${rule("Allow", 1)}, ${rule("Deny", 2)}, ${rule("Pass", 3)}]`),
    adminPolicy("second", `priority: 2, subject: {namespaces: {}}, ingress: [${rule("Deny", 1)}, ${rule("Allow", 2)}, ${rule("Deny", 3)}]`),
    networkPolicy("a/np", "podSelector: {matchLabels: {app: api}}, ingress: [{ports: [{port: 3}, {port: 4}]}]"),
    baselinePolicy(`subject: {namespaces: {}}, ingress: [${rule("Deny", 4)}, ${rule("Deny", 5)}]`),
  ];
  test.each([
    ["a pod that a NetworkPolicy isolates", "api", ["allow", "deny rule-deny", "allow", "allow", "deny isolated"]],
    ["a pod that none does", "db", ["allow", "deny rule-deny", "allow", "deny rule-deny", "deny rule-deny"]],
  ])("%s: allowed, denied, passed on; then its NetworkPolicies or the baseline", (_what, to, expected) => {
    const flows = [1, 2, 3, 4, 5].map((port) => `web > ${to} ${port}`);
    expect(verdicts({ flows, candidates })).toEqual(expected.map((each, i) => `web > ${to} ${i + 1}: ${each}`));
  });

  test("whom no admin rule names meets the rest alone", () => {
    expect(verdict({ flows: ["db > api 2", "db > api 3"], candidates })).toBe("deny isolated, allow");
  });

  test("two of one priority are named", () => {
    const both = [candidates[0], candidates[1].replace("priority: 2", "priority: 1")];
    expect(reportOf(simulate({ flows: ["web > db 1"], candidates: both })).warnings).toContain(
      "first and second share priority 1 in tier admin: which one comes first is undefined (judged in the order of their names)",
    );
  });

  test("ClusterNetworkPolicies of both tiers", () => {
    const deny = (tier: string, port: number, more = "") =>
      clusterPolicy(
        tier.toLowerCase(),
        `tier: ${tier}, priority: 1, subject: {namespaces: {}}, ingress: [${more}{action: Deny, from: [{namespaces: {}}], protocols: [{tcp: {destinationPort: {number: ${port}}}}]}]`,
      );
    expect(verdict({ flows: ["web > api 1", "web > api 2", "web > api 3"], candidates: [deny("Admin", 1), deny("Baseline", 2)] })).toBe(
      "deny rule-deny, deny rule-deny, allow",
    );
  });
});

describe("Cilium on records that say who an end was", () => {
  const from = (...entities: string[]) => [
    ciliumPolicy("a/p", `endpointSelector: {matchLabels: {app: api}}, ingress: [{fromEntities: [${entities}]}]`),
  ];
  const labelled = (source: string, ...labels: string[]) => [`${source} > api 80`, { srcLabels: labels }] as const;
  test.each<[string, Asked["flows"][number], string, string]>([
    ["another node", labelled("10.0.9.9", "reserved:remote-node"), "remote-node", "allow"],
    ["another node is not the host", labelled("10.0.9.9", "reserved:remote-node"), "host", "deny isolated"],
    ["the pod's own host is let in anyway", labelled("10.0.9.9", "reserved:host"), "remote-node", "allow"],
    ["the world", labelled("8.8.8.8", "reserved:world"), "world", "allow"],
    ["the world is not the cluster", labelled("8.8.8.8", "reserved:world"), "cluster", "deny isolated"],
    ["health checks", labelled("10.0.9.9", "reserved:health"), "health", "allow"],
    ["health checks are of the cluster", labelled("10.0.9.9", "reserved:health"), "cluster", "allow"],
    ["the ingress proxy", labelled("10.0.9.9", "reserved:ingress"), "ingress", "allow"],
    ["the API server outside", labelled("8.8.8.8", "reserved:kube-apiserver", "reserved:world"), "kube-apiserver", "allow"],
    [
      "the API server on a node that the snapshot lacks",
      labelled("10.0.9.9", "reserved:kube-apiserver", "reserved:remote-node"),
      "kube-apiserver",
      "allow",
    ],
    ["labels say that it is no API server", labelled("8.8.8.8", "reserved:world"), "kube-apiserver", "deny isolated"],
    ["without labels nobody knows whether it is", "8.8.8.8 > api 80", "kube-apiserver", "unknown unknown-endpoint"],
    ["a pod is none of these", "web > api 80", "host, remote-node, world, health", "deny isolated"],
  ])("%s", (_what, flow, entity, expected) => expect(verdict({ flows: [flow], candidates: from(entity) })).toBe(expected));

  test("the API server on a node of the snapshot", () => {
    const flows = [labelled("192.0.2.2", "reserved:kube-apiserver", "reserved:remote-node")];
    expect(verdict({ flows, candidates: from("kube-apiserver") })).toBe("allow");
  });

  test("a pod that only the record knows, by its labels", () => {
    const only = [
      ciliumPolicy("a/p", "endpointSelector: {matchLabels: {app: api}}, ingress: [{fromEndpoints: [{matchLabels: {app: old}}]}]"),
    ];
    const old = (app: string) => labelled("10.0.9.9", `k8s:app=${app}`, "k8s:io.kubernetes.pod.namespace=a");
    expect([verdict({ flows: [old("old")], candidates: only }), verdict({ flows: [old("new")], candidates: only })]).toEqual([
      "allow",
      "deny isolated",
    ]);
  });
});

describe("names of outside addresses", () => {
  const candidates = [
    ciliumPolicy("a/p", "endpointSelector: {matchLabels: {app: web}}, egress: [{toFQDNs: [{matchPattern: '*.example.com'}]}]"),
  ];
  const named = (...dstNames: string[]) => ["web > 8.8.8.8 443", { dstNames }] as const;
  test.each<[string, Asked["flows"][number], string]>([
    ["of the record", named("api.example.com"), "allow"],
    ["in capitals, with the final dot", named("API.example.com."), "allow"],
    ["one of several", named("other.example", "api.example.com"), "allow"],
    ["another", named("api.example.net"), "deny isolated"],
    ["one level too deep", named("a.b.example.com"), "deny isolated"],
    ["none, as the record says", named(), "deny isolated"],
    ["the record does not say", "web > 8.8.8.8 443", "unknown unknown-endpoint"],
  ])("%s", (_what, flow, expected) => expect(verdict({ flows: [flow], candidates })).toBe(expected));

  test.each([
    ["JSON", "dns.json", '{"api.example.com": ["8.8.8.8"], "other.example": ["8.8.4.4"]}'],
    ["lines as in /etc/hosts", "hosts", "8.8.8.8 API.example.com # a comment\n8.8.4.4 other.example\n"],
  ])("--dns as %s", (_what, name, text) => {
    const flows = ["web > 8.8.8.8 443", "web > 8.8.4.4 443", "web > 8.8.1.1 443"];
    expect(verdicts({ flows, candidates, flags: ["--dns", file(name, text)] }).sort()).toEqual([
      "web > 8.8.1.1 443: unknown unknown-endpoint",
      "web > 8.8.4.4 443: deny isolated",
      "web > 8.8.8.8 443: allow",
    ]);
  });
});

describe("requests, as the shop's capture and records show them", () => {
  const http = (rule: string) =>
    ciliumPolicy(
      "shop/l7",
      `endpointSelector: {matchLabels: {app: orders}}, ingress: [{toPorts: [{ports: [{port: '8080', protocol: TCP}], rules: {http: [${rule}]}}]}, {fromEntities: [all], toPorts: [{ports: [{port: '9100'}]}]}]`,
    );
  /** What becomes of web's requests to orders, all of which are `POST /orders`. */
  const orders = (rule: string, name: string) => {
    const { connections } = reportOf(run(["simulate", ...sound, "-f", file(name, http(rule)), "-o", "json"]));
    const found = connections.filter((connection) => {
      const { source, destination, port } = connection as never as Record<string, { workload?: string }> & { port: number };
      return source.workload === "Deployment/web" && destination.workload === "Deployment/orders" && port === 8080;
    }) as unknown as { verdict: string; outcome: string; ingress: Side }[];
    return [...new Set(found.map(({ verdict, outcome, ingress }) => `${verdict} ${ingress.reason} ${outcome}`))];
  };
  test.each([
    ["the method and path that were seen", "{method: POST, path: /orders}", "allow rule permitted"],
    ["another method", "{method: GET}", "deny l7-deny would-drop"],
    ["a path that goes on", "{path: /orders/.+}", "deny l7-deny would-drop"],
    ["the beginning of a path", "{path: /ord}", "deny l7-deny would-drop"],
    ["the host", "{host: orders}", "allow rule permitted"],
    ["any of several rules", "{method: GET}, {method: POST}", "allow rule permitted"],
    ["any request", "", "allow rule permitted"],
  ])("%s", (what, rule, expected) => expect(orders(rule, `${what.replaceAll(" ", "-")}.yaml`)).toEqual([expected]));

  const rule = "toPorts: [{ports: [{port: '80', protocol: TCP}], rules: {http: [{method: GET, path: /v1/.*}]}}]";
  const candidates = [ciliumPolicy("a/p", `endpointSelector: {matchLabels: {app: api}}, ingress: [{${rule}}]`)];
  const asking = (method: string, path: string) => ["web > api 80", { l7: { http: { method, path } } }] as const;
  test.each<[string, Asked["flows"], string]>([
    ["a record's request", [asking("GET", "/v1/x")], "allow"],
    ["another", [asking("POST", "/v1/x")], "deny l7-deny"],
    ["a good and a bad one between the same ends", [asking("GET", "/v1/x"), asking("GET", "/v2")], "deny l7-deny"],
    ["no request in the record", ["web > api 80"], "unknown no-l7-data"],
    ["on another port", ["web > api 81"], "deny isolated"],
  ])("%s", (_what, flows, expected) => expect(verdict({ flows, candidates })).toBe(expected));
});

describe("what policies refer to, alone as candidate", () => {
  const TIER = calico("Tier", "security", "order: 10");
  const inTier = calico(
    "GlobalNetworkPolicy",
    "security.p",
    "tier: security, selector: app == 'api', ingress: [{action: Allow, source: {selector: app == 'db'}}]",
  );
  test("a tier that is to end otherwise", () => {
    const flows = ["web > api 80"];
    const existing = [TIER, inTier];
    expect(verdict({ flows, existing })).toBe("deny tier-default");
    expect(verdict({ flows, existing, candidates: [calico("Tier", "security", "order: 10, defaultAction: Pass")] })).toBe("allow");
  });

  test("a set of addresses that gets one more", () => {
    const flows = ["8.8.8.8 > api 80"];
    const set = (nets: string) =>
      calico("GlobalNetworkSet", "clients", `nets: [${nets}]`).replace("{name: clients}", "{name: clients, labels: {role: client}}");
    const existing = [
      calico("GlobalNetworkPolicy", "p", "selector: app == 'api', ingress: [{action: Allow, source: {selector: role == 'client'}}]"),
      set("9.9.9.9/32"),
    ];
    expect(verdict({ flows, existing })).toBe("deny tier-default");
    expect(verdict({ flows, existing, candidates: [set("9.9.9.9/32, 8.8.8.0/24")] })).toBe("allow");
  });

  test("a group of Cilium's", () => {
    const flows = ["8.8.8.8 > api 80"];
    const group = (cidr: string) =>
      `apiVersion: cilium.io/v2\nkind: CiliumCIDRGroup\nmetadata: {name: clients}\nspec: {externalCIDRs: [${cidr}]}\n`;
    const existing = [
      ciliumPolicy("a/p", "endpointSelector: {}, ingress: [{fromCIDRSet: [{cidrGroupRef: clients}]}]"),
      group("9.9.9.9/32"),
    ];
    expect(verdict({ flows, existing })).toBe("deny isolated");
    expect(verdict({ flows, existing, candidates: [group("8.8.8.8/32")] })).toBe("allow");
  });
});

describe("audit policies as candidates are judged as what they would become", () => {
  const own = audit(
    "AuditNetworkPolicy",
    "a/p",
    "podSelector: {matchLabels: {app: api}}, ingress: [{from: [{podSelector: {matchLabels: {app: api}}}]}]",
  );
  const everywhere = audit(
    "AuditClusterNetworkPolicy",
    "p",
    "namespaceSelector: {matchLabels: {team: red}}, podSelector: {}, policyTypes: [Ingress], ingress: [{from: [{podSelector: {}}]}]",
  );
  const flows = ["web > api 80", "db > api 80", "web > db 80"];
  test.each([
    ["AuditNetworkPolicy", own, ["web > api 80: deny isolated", "db > api 80: deny isolated", "web > db 80: allow"]],
    [
      "AuditClusterNetworkPolicy: peers are of each subject's own namespace",
      everywhere,
      ["web > api 80: allow", "db > api 80: deny isolated", "web > db 80: allow"],
    ],
  ])("%s", (_what, policy, expected) => expect(verdicts({ flows, candidates: [policy] }).sort()).toEqual([...expected].sort()));

  const inSnapshot = (policy: string) => reportOf(simulate({ flows, existing: [policy] }));
  const verdictsOf = (policy: string) => inSnapshot(policy).connections.map((connection) => (connection as unknown as Side).verdict);
  test("in the snapshot they only report: everything is allowed, and a note says so", () => {
    expect(verdictsOf(own)).toEqual(["allow", "allow", "allow"]);
    expect(inSnapshot(own).warnings.filter((warning) => /^one audit policy in the cluster only reports/.test(warning))).toHaveLength(1);
  });

  test("in the snapshot, one with peers of each subject's own namespace", () => {
    expect(verdictsOf(everywhere)).toEqual(["allow", "allow", "allow"]);
  });

  test("one takes the place of the policy that it would become", () => {
    const existing = [networkPolicy("a/p", "podSelector: {}")];
    const open = audit("AuditNetworkPolicy", "a/p", "podSelector: {}, ingress: [{}]");
    expect([verdict({ flows: ["web > api 80"], existing }), verdict({ flows: ["web > api 80"], existing, candidates: [open] })]).toEqual([
      "deny isolated",
      "allow",
    ]);
  });
});

describe("a policy that its own API would refuse: exit 2, file and line, no stack trace", () => {
  const TAG = /^error: .*p\d+\.yaml:(\d+)(?::\d+)?: /m;
  test.each<[string, string[], number, RegExp]>([
    [
      "Cilium: an entity that is none",
      [ciliumPolicy("a/p", "endpointSelector: {},\n  ingress: [{fromEntities: [wrld]}]")],
      5,
      /`wrld` is no entity, did you mean `world`/,
    ],
    [
      "Cilium: two kinds of peers in one rule",
      [ciliumPolicy("a/p", "endpointSelector: {}, ingress: [{fromEntities: [world], fromCIDR: [10.0.0.0/8]}]")],
      4,
      /cannot stand in one rule/,
    ],
    [
      "Cilium: an expression that RE2 refuses",
      [
        ciliumPolicy(
          "a/p",
          "endpointSelector: {}, ingress: [{toPorts: [{ports: [{port: '80', protocol: TCP}], rules: {http: [{path: '('}]}}]}]",
        ),
      ],
      4,
      /is no RE2 expression/,
    ],
    ["Calico: a broken selector", [calico("GlobalNetworkPolicy", "p", "selector: app = 'x'")], 4, /selector/],
    [
      "Calico: ports without a protocol",
      [calico("GlobalNetworkPolicy", "p", "egress: [{action: Allow, destination: {ports: [80]}}]")],
      4,
      /port numbers without a protocol/,
    ],
    ["an admin policy without a subject", [adminPolicy("p", "priority: 1")], 4, /a `subject` is required/],
    ["a priority that is too high", [adminPolicy("p", "priority: 1001, subject: {namespaces: {}}")], 4, /1001/],
    ["an audit policy without a podSelector", [audit("AuditNetworkPolicy", "a/p", "ingress: []")], 4, /a `podSelector` is required/],
    [
      "one object twice, in two versions",
      [
        calico("GlobalNetworkPolicy", "p", "selector: all()"),
        calico("GlobalNetworkPolicy", "p", "selector: all()").replace("projectcalico.org/v3", "crd.projectcalico.org/v1"),
      ],
      8,
      /is written twice, first at/,
    ],
    [
      "a kind of another group",
      [networkPolicy("a/p", "podSelector: {}").replace("NetworkPolicy", "CiliumNetworkPolicy")],
      1,
      /CiliumNetworkPolicy is of `cilium\.io\/v2`/,
    ],
    [
      "policies of Cilium and of Calico without --cni",
      [ciliumPolicy("a/p", "endpointSelector: {}, ingress: [{}]"), calico("GlobalNetworkPolicy", "p", "")],
      0,
      /give --cni/,
    ],
  ])("%s", (_what, candidates, line, message) => {
    const { code, out, err } = simulate({ flows: ["web > api 80"], candidates });
    expect(err).toMatch(message);
    expect([code, out, Number(TAG.exec(err)?.[1] ?? 0)]).toEqual([2, "", line]);
    expect(err).not.toMatch(/^\s+at |node:internal|\.js:\d/m);
  });

  test("every refused policy is named, each on its line", () => {
    const { code, err } = simulate({
      flows: ["web > api 80"],
      candidates: [adminPolicy("p", "priority: 1"), calico("Tier", "t", "order: x")],
    });
    expect([code, /p\d+\.yaml:4:/.test(err), /p\d+\.yaml:9:/.test(err)]).toEqual([2, true, true]);
  });

  test("the snapshot's own policies are read as strictly", () => {
    const { code, err } = simulate({ flows: ["web > api 80"], existing: [ciliumPolicy("a/p", "endpointSelector: {}")] });
    expect([code, /w\d+\.yaml:\d+:\d+: spec: a rule is required/.test(err)]).toEqual([2, true]);
  });
});

test("the shop's own capture under each plugin: no dialect, the same answers apart from what plugins do otherwise", () => {
  const names = ["generic", "cilium", "calico", "antrea"].map((cni) =>
    run(["simulate", ...sound, "-f", `${SHOP}/network-policies`, "--cni", cni, "-o", "name"]),
  );
  expect(names.map(({ code }) => code)).toEqual([1, 1, 1, 1]);
  for (const { out } of names) expect(out.split("\n")).toContain("networkpolicy.networking.k8s.io/orders");
});
