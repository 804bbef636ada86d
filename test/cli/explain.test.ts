import { readdirSync, readFileSync } from "node:fs";
import { load as loadYaml } from "js-yaml";
import { describe, expect, test } from "vitest";
import { audit, calico, ciliumPolicy, clusterPolicy, networkPolicy } from "../evaluate/dialects.ts";
import { file, type Run, run, SHOP } from "./program.ts";

const SNAPSHOT = ["--snapshot", `${SHOP}/cluster.yaml`];
const CANDIDATES = ["-f", `${SHOP}/network-policies`];

function explain(...args: string[]): Run {
  return run(["explain", ...args]);
}

interface Report {
  readonly verdict: string;
  readonly otherPorts: readonly { protocol: string; ports: string; verdict: string }[];
  readonly prefixes: readonly { prefix: string; verdict: string }[];
  readonly cases: readonly {
    readonly verdict: string;
    readonly source: Record<string, string>;
    readonly destination: Record<string, string>;
    readonly sources?: readonly string[];
    readonly families?: readonly string[];
    readonly ports: readonly { protocol: string; port: number; dialled?: number; name?: string }[];
    readonly egress: Side;
    readonly ingress: Side;
    readonly change: { readonly none?: string; readonly verdict?: string; readonly objects?: readonly Changed[] };
  }[];
}
interface Side {
  readonly verdict: string;
  readonly reason: string;
  readonly policies: readonly {
    name: string;
    file?: string;
    line?: number;
    rules: readonly { rule: string; role: string; why?: string; line?: number }[];
  }[];
  readonly nearlySelecting: readonly { name: string; why: string }[];
}
interface Changed {
  readonly name: string;
  readonly change: string;
  readonly what: readonly string[];
  readonly text: string;
  readonly object: string;
}

function report(...args: string[]): Report {
  const { out, err } = explain(...args, "-o", "json");
  if (out === "") throw new Error(err);
  return JSON.parse(out);
}

describe("explain on the shop", () => {
  const asked = ["shop/deploy/web", "shop/svc/orders", ...SNAPSHOT, ...CANDIDATES];

  test("names the policies of both sides, the rules with why they do not match, and the change", () => {
    const { code, out } = explain(...asked);
    expect(code).toBe(1);
    expect(out).toMatch(/^DENY {3}shop\/deploy\/web → shop\/deploy\/orders \(shop\/orders\) 80\/TCP http \(8080 at the pods\)$/m);
    expect(out).toMatch(/EGRESS {3}allow: shop\/web egress\[0\]\.to\[0\] \(web\.yaml:23\) allows it/);
    expect(out).toMatch(/decides +egress\[0\]\.to\[0\] \(web\.yaml:23\) allows 8080\/TCP/);
    expect(out).toMatch(
      /NetworkPolicy shop\/orders \(orders\.yaml:1\) {3}isolates, and so denies\n +no +ingress\[0\]\.from\[0\] \(orders\.yaml:15\) allows 80\/TCP: 80 is the Service's port, the\n +pod listens on 8080/,
    );
    expect(out).toMatch(/NetworkPolicy shop\/orders \(orders\.yaml:1\): add 8080\/TCP to ingress\[0\]/);
    expect(out).toContain("+          port: 8080");
    expect(Math.max(...out.split("\n").map((line) => line.length))).toBeLessThanOrEqual(100);
  });

  test("the proposed change flips the verdict, given back with -f", () => {
    const [{ change }] = report(...asked).cases;
    expect(change.verdict).toBe("allow");
    const texts = change.objects!.map(({ object }) => object).join("---\n");
    const merged = file("changed.yaml", texts);
    // The changed object takes the place of the one of its name.
    const before = run(["explain", ...asked, "-o", "json"]).code;
    const others = explain("shop/deploy/web", "shop/svc/orders", ...SNAPSHOT, "-f", withoutOrders(), "-f", merged);
    expect([before, others.code]).toEqual([1, 0]);
    expect(others.out).toMatch(/^ALLOW/m);
    // And back again.
    const [{ change: back }] = report("shop/deploy/web", "shop/svc/orders", ...SNAPSHOT, "-f", withoutOrders(), "-f", merged).cases;
    expect(back.verdict).toBe("deny");
  });

  test("the mended policies allow it", () => {
    expect(explain("shop/deploy/web", "shop/svc/orders", ...SNAPSHOT, "-f", `${SHOP}/network-policies-fixed`).code).toBe(0);
  });

  test("a Service's own address, a pod, and the port's name mean the same", () => {
    const of = (destination: string, ...port: string[]) => {
      const { cases } = report("shop/deploy/web", destination, ...port, ...SNAPSHOT, ...CANDIDATES);
      return cases.map(({ ports, ingress }) => `${ports.map(({ port: number }) => number)} ${ingress.reason}`);
    };
    const expected = ["8080 isolated"];
    expect(of("10.43.20.11")).toEqual(expected);
    expect(of("shop/svc/orders", "http")).toEqual(expected);
    expect(of("shop/deploy/orders", "http")).toEqual(expected);
    expect(of("shop/orders-5d97b6c4f8-9tq7w", "8080")).toEqual(expected);
    expect(of("10.42.1.12", "8080/tcp")).toEqual(expected);
  });

  test("without a port all that are declared are judged, and the rest in a line", () => {
    const { cases, otherPorts } = report("shop/deploy/web", "shop/deploy/orders", ...SNAPSHOT, ...CANDIDATES);
    expect(cases.flatMap(({ ports, verdict }) => ports.map(({ port }) => `${port} ${verdict}`)).sort()).toEqual(["8080 deny", "9100 deny"]);
    expect(otherPorts).toEqual(["TCP", "UDP", "SCTP"].map((protocol) => ({ protocol, ports: "1-65535", verdict: "deny" })));
  });

  test("external is an address that no rule names, with the prefixes that differ", () => {
    const { verdict, prefixes, cases } = report("shop/deploy/web", "external", "443", ...SNAPSHOT, ...CANDIDATES);
    expect([verdict, prefixes]).toEqual(["deny", [{ prefix: "198.51.100.0/28", verdict: "allow" }]]);
    expect(cases[0].destination).toEqual({ type: "external" });
    expect(cases[0].change.objects![0].text).toContain("+            cidr: 0.0.0.0/0");
  });

  test("-o name, yaml and the reports", () => {
    expect(explain(...asked, "-o", "name").out).toBe(
      "networkpolicy.networking.k8s.io/default-deny\nnetworkpolicy.networking.k8s.io/orders\nnetworkpolicy.networking.k8s.io/scrape\n",
    );
    const yaml = explain(...asked, "-o", "yaml").out;
    expect(yaml).toMatch(/^apiVersion: kguardian\.dev\/v1alpha1\nkind: ExplainReport\n/);
    expect(loadYaml(yaml)).toEqual(JSON.parse(explain(...asked, "-o", "json").out));
    const [markdown, sarif, junit] = ["e.md", "e.sarif", "e.xml"].map((name) => file(name, ""));
    const { code } = explain(
      ...asked,
      "--report",
      `markdown=${markdown}`,
      "--report",
      `sarif=${sarif}`,
      "--report",
      `junit=${junit}`,
      "--exit-zero",
    );
    expect(code).toBe(0);
    const read = (path: string) => readFileSync(path, "utf8");
    expect(read(markdown)).toMatch(/^### Denied: shop\/deploy\/web → shop\/deploy\/orders/m);
    const [{ results }] = JSON.parse(read(sarif)).runs;
    expect(results[0]).toMatchObject({ ruleId: "denied-connection", level: "error" });
    expect(results[0].locations[0].physicalLocation.artifactLocation.uri).toMatch(/network-policies\/orders\.yaml$/);
    expect(read(junit)).toMatch(/<testcase classname="connections" name="shop\/deploy\/web to shop\/deploy\/orders/);
  });
});

/** The shop's candidates without the one that is changed: one object given twice is refused. */
function withoutOrders(): string {
  const texts = readdirSync(`${SHOP}/network-policies`)
    .filter((name) => name !== "orders.yaml")
    .map((name) => readFileSync(`${SHOP}/network-policies/${name}`, "utf8"));
  return file("others.yaml", texts.join("\n---\n"));
}

describe("each dialect", () => {
  const asked = (policies: string, cni: string) => [
    "shop/deploy/web",
    "shop/deploy/orders",
    "8080",
    ...SNAPSHOT,
    "-f",
    policies,
    "--cni",
    cni,
    "--policy-mode",
    "replace",
  ];
  test.each<[string, string, string, string]>([
    [
      "NetworkPolicy",
      "generic",
      networkPolicy(
        "shop/p",
        "podSelector: {matchLabels: {app: orders}}, ingress: [{from: [{podSelector: {matchLabels: {app: web}}}], ports: [{port: 80}]}]",
      ),
      "add 8080/TCP to ingress[0]",
    ],
    [
      "ClusterNetworkPolicy",
      "generic",
      clusterPolicy("p", "tier: Admin, priority: 5, subject: {namespaces: {}}, ingress: [{action: Deny, from: [{namespaces: {}}]}]"),
      "put a rule that leaves to later policies shop/deploy/web 8080/TCP in front of ingress[0]",
    ],
    [
      "CiliumNetworkPolicy",
      "cilium",
      ciliumPolicy(
        "shop/p",
        "endpointSelector: {matchLabels: {app: orders}}, ingress: [{fromEndpoints: [{matchLabels: {app: cart}}], toPorts: [{ports: [{port: '8080', protocol: TCP}]}]}]",
      ),
      "add shop/deploy/web to ingress[0]",
    ],
    [
      "Calico",
      "calico",
      calico(
        "NetworkPolicy",
        "shop/p",
        "selector: app == 'orders', types: [Ingress], ingress: [{action: Deny, source: {selector: app == 'web'}}, {action: Allow}]",
      ),
      "put a rule that allows shop/deploy/web 8080/TCP in front of ingress[0]",
    ],
    [
      "AuditClusterNetworkPolicy",
      "generic",
      audit(
        "AuditClusterNetworkPolicy",
        "p",
        "namespaceSelector: {}, podSelector: {matchLabels: {app: orders}}, ingress: [{from: [{podSelector: {matchLabels: {app: web}}}], ports: [{port: 80}]}]",
      ),
      "add 8080/TCP to ingress[0]",
    ],
  ])("%s: denied by it, with the change in its own words", (_kind, cni, policies, what) => {
    const path = file(`${cni}-${_kind}.yaml`, policies);
    const { verdict, cases } = report(...asked(path, cni));
    expect(verdict).toBe("deny");
    const [object] = cases[0].change.objects!;
    expect([object.change, object.what]).toEqual(["changed", [what]]);
    expect(explain(...asked(file(`${cni}-${_kind}-changed.yaml`, object.object), cni)).code).toBe(0);
  });

  test("mixed: a rule of the tier before, and what is too late", () => {
    const path = file(
      "mixed.yaml",
      [
        clusterPolicy(
          "guard",
          "tier: Admin, priority: 5, subject: {namespaces: {}}, ingress: [{action: Accept, from: [{namespaces: {}}]}]",
        ),
        networkPolicy("shop/p", "podSelector: {}"),
      ].join("---\n"),
    );
    const { cases } = report(...asked(path, "generic"));
    expect(cases[0].ingress.policies.map(({ name, rules }) => [name, ...rules.map(({ role }) => role)])).toEqual([
      ["guard", "decides"],
      ["p"],
    ]);
    expect(cases[0].verdict).toBe("allow");
  });
});

test("a mislabelled policy is named", () => {
  const path = file("near.yaml", networkPolicy("shop/p", "podSelector: {matchLabels: {app: order}}, ingress: [{}]"));
  const { cases } = report("shop/deploy/web", "shop/deploy/orders", "8080", ...SNAPSHOT, "-f", path, "--policy-mode", "replace");
  expect(cases[0].ingress.nearlySelecting).toMatchObject([{ name: "p", why: "podSelector wants app=order, the pod has app=orders" }]);
});

test("pods of one workload with other labels are judged apart", () => {
  const pod = (name: string, labels: string, ip: string) =>
    `apiVersion: v1\nkind: Pod\nmetadata: {name: ${name}, namespace: a, labels: {${labels}}, ownerReferences: [{kind: StatefulSet, name: db, controller: true, apiVersion: apps/v1, uid: u}]}\nspec: {containers: [{name: c, ports: [{containerPort: 5432}]}]}\nstatus: {phase: Running, podIP: ${ip}, podIPs: [{ip: ${ip}}]}\n`;
  const snapshot = file(
    "apart.yaml",
    [
      "apiVersion: v1\nkind: Namespace\nmetadata: {name: a}\n",
      pod("db-0", "app: db, role: primary", "10.0.0.1"),
      pod("db-1", "app: db", "10.0.0.2"),
      pod("db-2", "app: db", "10.0.0.3"),
    ].join("---\n"),
  );
  const path = file("apart-policy.yaml", networkPolicy("a/p", "podSelector: {matchLabels: {role: primary}}"));
  const result = report("external", "a/sts/db", "--snapshot", snapshot, "-f", path);
  const told = result.cases.map((one) => `${one.verdict} ${(one as never as { destinations: string[] }).destinations}`);
  expect(told.sort()).toEqual(["allow db-1,db-2", "deny db-0"]);
  expect(result.verdict).toBe("deny");
  expect(explain("external", "a/sts/db", "--snapshot", snapshot, "-f", path).out).toMatch(/^ {2}to db-1, db-2$/m);
});

test("a workload without pods is judged by its template", () => {
  const snapshot = file(
    "template.yaml",
    [
      "apiVersion: v1\nkind: Namespace\nmetadata: {name: a}\n",
      "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: api, namespace: a}\nspec: {selector: {matchLabels: {app: api}}, template: {metadata: {labels: {app: api}}, spec: {containers: [{name: c, ports: [{name: http, containerPort: 8080}]}]}}}\n",
    ].join("---\n"),
  );
  const service =
    "apiVersion: v1\nkind: Service\nmetadata: {name: api, namespace: a}\nspec: {selector: {app: api}, ports: [{port: 80, targetPort: http}]}\n";
  const path = file("template-policy.yaml", networkPolicy("a/p", "podSelector: {matchLabels: {app: api}}"));
  const { verdict, cases } = report("external", "a/deploy/api", "http", "--snapshot", snapshot, "-f", path);
  expect([verdict, cases[0].ports[0].port]).toEqual(["deny", 8080]);
  // A Service of such manifests leads to them too.
  const withService = ["--snapshot", snapshot, "--snapshot", file("template-service.yaml", service), "-f", path];
  expect(report("external", "a/svc/api", ...withService).cases[0].ports).toEqual([{ protocol: "TCP", port: 8080, dialled: 80 }]);
});

test("the order of objects in the snapshot changes nothing", () => {
  const texts = readFileSync(`${SHOP}/cluster.yaml`, "utf8");
  const list = loadYaml(texts) as { items: object[] };
  const turned = file("turned.json", JSON.stringify({ ...list, items: list.items.toReversed() }));
  const asked = ["external", "shop/svc/orders", "-o", "json", ...CANDIDATES];
  const [one, other] = [explain(...asked, ...SNAPSHOT).out, explain(...asked, "--snapshot", turned).out];
  expect(one.length).toBeGreaterThan(1000);
  expect(other).toBe(one);
});

describe("exit codes and errors", () => {
  const L7 = ciliumPolicy(
    "shop/p",
    "endpointSelector: {matchLabels: {app: orders}}, ingress: [{toPorts: [{ports: [{port: '8080', protocol: TCP}], rules: {http: [{method: GET}]}}]}]",
  );
  test("unknown is 0 with a note, and 1 with --fail-on unknown", () => {
    const asked = ["shop/deploy/web", "shop/deploy/orders", "8080", ...SNAPSHOT, "--cni", "cilium", "-f", file("l7.yaml", L7)];
    const open = explain(...asked);
    expect([open.code, open.err]).toEqual([
      0,
      expect.stringContaining("note: the verdict is unknown, which --fail-on unknown would fail on"),
    ]);
    expect(explain(...asked, "--fail-on", "unknown").code).toBe(1);
  });

  test.each<[string[], RegExp]>([
    [["shop/deploy/wep", "shop/deploy/orders"], /^error: no `shop\/deploy\/wep`; did you mean shop\/deploy\/web\?$/],
    [["deploy/web", "external"], /^error: no `deploy\/web`; there is shop\/deploy\/web$/],
    [["shop/web", "shop/svc/order"], /^error: no Service `shop\/svc\/order` in namespace `shop`; did you mean `orders`\?$/],
    [["shop/web", "shop/svc/orders", "81"], /^error: shop\/svc\/orders has no such port \(it has http = 80\/TCP\)$/],
    [["shop/web", "shop/orders", "grpc"], /^error: shop\/deploy\/orders has no port named `grpc` \(it has http = 8080\/TCP/],
    [["shop/web", "node/nowhere"], /^error: no node `node\/nowhere`; there is shop-control-plane/],
    [["shop/svc/orders", "external"], /^error: `shop\/svc\/orders`: a Service begins no connections; name the workload that does$/],
    [["external", "external"], /^error: both ends are outside the cluster/],
    [["shop/web", "shop/orders", "70000"], /^error: `70000`: ports are 1 to 65535/],
    [["nowhere/web", "external"], /^error: no `nowhere\/web`; there is shop\/deploy\/web$/],
  ])("%j", (args, message) => {
    const { code, out, err } = explain(...args, ...SNAPSHOT, ...CANDIDATES);
    expect([code, out]).toEqual([2, ""]);
    expect(err.trim()).toMatch(message);
  });

  test("names and labels of objects cannot move the cursor, in whatever is written", () => {
    const pod = (name: string, app: string, ip: string) =>
      `apiVersion: v1\nkind: Pod\nmetadata: {name: "${name}", namespace: a, labels: {app: "${app}"}}\nspec: {containers: [{name: c, ports: [{containerPort: 80, name: "h\\e[3m"}]}]}\nstatus: {phase: Running, podIP: ${ip}}\n`;
    const objects = [
      pod("p\\e[2Jod", "we\\e[31mb", "10.0.0.1"),
      pod("q", "q\\u202e", "10.0.0.2"),
      networkPolicy("a/p", "podSelector: {}, ingress: [{from: [{podSelector: {matchLabels: {app: x}}}]}]"),
    ];
    const snapshot = file("hostile.yaml", objects.join("---\n"));
    const reports = ["h.md", "h.sarif", "h.xml", "h.json"].map((name) => file(name, ""));
    const flags = ["markdown", "sarif", "junit", "json"].flatMap((format, i) => ["--report", `${format}=${reports[i]}`]);
    for (const output of ["table", "wide", "json", "yaml", "name"]) {
      const { code, out, err } = explain("a/pod/q", "a/pod/p\u001b[2Jod", "--snapshot", snapshot, "-o", output, ...flags);
      expect(code).toBe(1);
      for (const text of [out, err, ...reports.map((path) => readFileSync(path, "utf8"))]) expect(text).not.toMatch(/[\u001b\u202e]/);
    }
  });
});

test("a node's port of a Service is judged at the backends", () => {
  const policies = file("ingress.yaml", networkPolicy("ingress/in", "podSelector: {}"));
  for (const destination of ["192.168.60.11", "node/shop-worker"]) {
    const { cases } = report("8.8.8.8", destination, "30080", ...SNAPSHOT, "-f", policies);
    expect(cases.map(({ verdict, ports }) => [verdict, ports[0].dialled, ports[0].port])).toEqual([["deny", 30080, 80]]);
  }
});

test("a change says whom else it opens for", () => {
  const deployment = (name: string, labels: Record<string, string>) => ({
    apiVersion: "apps/v1",
    kind: "Deployment",
    metadata: { namespace: "a", name },
    spec: { selector: { matchLabels: labels }, template: { metadata: { labels }, spec: { containers: [{ name: "c" }] } } },
  });
  const items = [
    { apiVersion: "v1", kind: "Namespace", metadata: { name: "a" } },
    deployment("api", { app: "api" }),
    deployment("job", { app: "api", tier: "batch" }),
    deployment("db", { app: "db" }),
  ];
  const snapshot = file("shared.json", JSON.stringify({ apiVersion: "v1", kind: "List", items }));
  const closed = networkPolicy("a/p", "podSelector: {matchLabels: {app: db}}, policyTypes: [Ingress]");
  const { out } = explain("a/deploy/api", "a/deploy/db", "80", "--snapshot", snapshot, "-f", file("shared.yaml", closed));
  expect(out).toMatch(/^ +this also opens for a\/deploy\/job, which the same labels select$/m);
});

describe("address families", () => {
  const pod = (name: string, ips: readonly string[]) => ({
    apiVersion: "v1",
    kind: "Pod",
    metadata: { namespace: "a", name, labels: { app: name } },
    spec: { nodeName: "n1", containers: [{ name: "c", ports: [{ name: "http", containerPort: 80 }] }] },
    status: { phase: "Running", podIP: ips[0], podIPs: ips.map((ip) => ({ ip })), conditions: [{ type: "Ready", status: "True" }] },
  });
  const headless = {
    apiVersion: "v1",
    kind: "Service",
    metadata: { namespace: "a", name: "web" },
    spec: { clusterIP: "None", clusterIPs: ["None"], selector: { app: "web" }, ports: [{ port: 80, protocol: "TCP" }] },
  };
  const cluster = (web: readonly string[], api: readonly string[]) => [
    "--snapshot",
    file(
      "families.json",
      JSON.stringify({
        apiVersion: "v1",
        kind: "List",
        items: [{ apiVersion: "v1", kind: "Namespace", metadata: { name: "a" } }, pod("web", web), pod("api", api), headless],
      }),
    ),
    "--policy-mode",
    "replace",
  ];
  const from = (...cidrs: readonly string[]) => [
    "-f",
    file(
      "families-policy.json",
      JSON.stringify({
        apiVersion: "networking.k8s.io/v1",
        kind: "NetworkPolicy",
        metadata: { namespace: "a", name: "p" },
        spec: {
          podSelector: { matchLabels: { app: "web" } },
          policyTypes: ["Ingress"],
          ingress: cidrs.map((cidr) => ({ from: [{ ipBlock: { cidr } }] })),
        },
      }),
    ),
  ];
  const [WEB, API] = [
    ["10.244.1.5", "fd00:10:1::5"],
    ["10.244.2.6", "fd00:10:2::6"],
  ];
  const families = (result: Report) => result.cases.map(({ families: own, verdict }) => `${own?.join() ?? "all"} ${verdict}`);

  test("both ends are judged with addresses of a family that both have, headless Services included", () => {
    const asked = [...cluster([WEB[1]], API), ...from("fd00:10:2::/64")];
    for (const destination of ["a/web", "a/svc/web"]) expect(families(report("a/api", destination, "80", ...asked))).toEqual(["all allow"]);
    expect(explain("a/api", "a/web", "80", ...cluster([WEB[0]], [API[1]])).err).toMatch(/^error: a\/.*have no addresses of one family/);
  });

  test("the outside has the family of the other end, and the change is of that family", () => {
    const asked = cluster([WEB[1]], [API[1]]);
    expect(families(report("external", "a/web", "80", ...asked, ...from("::/0")))).toEqual(["all allow"]);
    const [{ verdict, change }] = report("external", "a/web", "80", ...asked, ...from("fd00:10:2::/64")).cases;
    expect(verdict).toBe("deny");
    expect(change.objects![0].text).toContain("cidr: ::/0");
    const { prefixes } = report("external", "a/web", "80", ...asked, ...from("2001:db8::/32"));
    expect(prefixes).toEqual([{ prefix: "2001:db8::/32", verdict: "allow" }]);
  });

  test("families that are judged differently are cases of their own; alike ones are one", () => {
    const asked = cluster(WEB, API);
    for (const source of ["a/api", "external"]) {
      expect(families(report(source, "a/web", "80", ...asked, ...from("0.0.0.0/0")))).toEqual(["IPv4 allow", "IPv6 deny"]);
      expect(families(report(source, "a/web", "80", ...asked, ...from("::/0")))).toEqual(["IPv4 deny", "IPv6 allow"]);
      expect(families(report(source, "a/web", "80", ...asked, ...from()))).toEqual(["all deny"]);
    }
    expect(explain("a/api", "a/web", "80", ...asked, ...from("::/0")).out).toMatch(/^ {2}over IPv6$/m);
  });

  test("a change flips every family", () => {
    const asked = cluster(WEB, API);
    const textOf = (source: string, policy: readonly string[]) =>
      report(source, "a/web", "80", ...asked, ...policy).cases.map(({ change }) =>
        change.objects!.map(({ object }) => object).join("---\n"),
      );
    for (const source of ["a/api", "external"])
      for (const policy of [from("0.0.0.0/0", "::/0"), from()]) {
        const [before] = families(report(source, "a/web", "80", ...asked, ...policy));
        for (const text of textOf(source, policy)) {
          const after = report(source, "a/web", "80", ...asked, "-f", file("families-changed.yaml", text));
          expect(families(after)).toEqual([
            before.endsWith("allow") ? "all deny" : expect.stringMatching(/allow$/),
            ...after.cases.slice(1).map(() => expect.stringMatching(/allow$/)),
          ]);
        }
      }
  });
});
