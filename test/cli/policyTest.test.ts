import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import fc from "fast-check";
import { afterAll, describe, expect, test } from "vitest";
import { failureOf } from "../../src/cli/errors.ts";
import { type PolicyTestFlags, policyTest } from "../../src/cli/policyTest.ts";
import { reportOrigin } from "../../src/cli/reportOrigin.ts";
import { junit } from "../../src/report/junit.ts";
import { policyTestFindings } from "../../src/report/policyTestFindings.ts";
import { countsOf, type PolicyTestsResult } from "../../src/report/policyTestResult.ts";
import { exampleLines, policyTestTable } from "../../src/report/policyTestTable.ts";
import { policyTestJson, policyTestMarkdown, policyTestNames, policyTestYaml } from "../../src/report/policyTestText.ts";
import { sarif } from "../../src/report/sarif.ts";
import { childOf, readJunit, readSarif } from "../report/findingReports.ts";
import { run } from "./program.ts";

/* `test`: policy sets against PolicyTests, through the library; the program itself is started only where it is what is tested. */

const ROOT = fileURLToPath(new URL("../../", import.meta.url));
const FIXTURES = join(ROOT, "fixtures/policy-tests");
const folder = mkdtempSync(join(tmpdir(), "kguardian-policy-tests-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function file(name: string, text: string): string {
  const path = join(folder, name);
  mkdirSync(join(path, ".."), { recursive: true });
  writeFileSync(path, text);
  return path;
}

const FLAGS: PolicyTestFlags = {
  files: [],
  snapshot: [],
  filename: [],
  recursive: false,
  staged: false,
  offline: true,
  policyMode: undefined,
  cni: undefined,
};

const judge = (flags: Partial<PolicyTestFlags>) => policyTest({ ...FLAGS, ...flags });

/** Judges expectations, each a line of YAML, in the cluster and under the policies of a fixture. */
function expecting(lines: readonly string[], fixture = "three-tiers", flags: Partial<PolicyTestFlags> = {}, namespace = "shop") {
  const path = file("own.yaml", testText(lines, namespace));
  return judge({
    files: [path],
    snapshot: [`${FIXTURES}/${fixture}/cluster.yaml`],
    filename: [`${FIXTURES}/${fixture}/policies`],
    ...flags,
  });
}

function testText(lines: readonly string[], namespace = "shop"): string {
  const items = lines.map((line) => `    - {${line}}\n`).join("");
  return `apiVersion: kguardian.dev/v1alpha1\nkind: PolicyTest\nmetadata: {name: own, namespace: ${namespace}}\nspec:\n  expectations:\n${items}`;
}

/** What contradicts each expectation, as `FROM > TO PORTS VERDICT`. */
function contradictions({ tests }: PolicyTestsResult): string[][] {
  return tests.flatMap(({ expectations }) =>
    expectations.map((expectation) =>
      exampleLines(expectation, 9).map(({ from, to, portsText, examples: { verdict } }) => `${from} > ${to} ${portsText} ${verdict}`),
    ),
  );
}

/** The lines of the error that a run ends with, without the file's name. */
async function failing(promise: Promise<unknown>): Promise<string[]> {
  const error = await promise.then(
    () => new Error("it did not fail"),
    (reason: unknown) => reason,
  );
  const { message, exitCode } = failureOf(error, "test");
  if (exitCode !== 2) throw error;
  return message.split("\n").map((line) => line.replace(/^error: |^ +/, "").replace(/^\S*own\.yaml:/, ""));
}

describe("the fixtures", () => {
  const cases = [
    [
      "three-tiers",
      ["web reaches the api"],
      ["shop/deploy/web > shop/deploy/api 9090/TCP deny"],
      "the Service's port, the pod listens on 9090",
      "web.yaml",
    ],
    [
      "shared-database",
      ["from anything else denied"],
      ["blue/deploy/reports > data/deploy/postgres 5432/TCP allow"],
      "ingress[0].from[1]",
      "postgres.yaml",
    ],
    [
      "deny-and-allow",
      ["prometheus scrapes the operator"],
      ["monitoring/deploy/prometheus > prod/deploy/operator 9100/TCP deny"],
      "wants app=promtheus",
      "prod.yaml",
    ],
  ] as const;

  test.each(cases)(
    "%s passes, and fails on the planted mistake with that connection alone",
    async (name, failed, examples, why, culprit) => {
      const files = [`${FIXTURES}/${name}/test.yaml`];
      const right = await judge({ files });
      expect([countsOf(right).failed, contradictions(right).flat()]).toEqual([0, []]);
      const wrong = await judge({ files, filename: [`${FIXTURES}/${name}/policies-with-a-mistake`] });
      const broken = wrong.tests[0].expectations.filter((each) => each.examples.length > 0);
      expect(broken.map((each) => each.name)).toEqual(failed);
      expect(contradictions(wrong).flat()).toEqual(examples);
      const [reason] = broken[0].examples;
      expect(reason.why).toContain(why);
      expect(reason.culprits.some(({ policy }) => policy.ref.file?.endsWith(`policies-with-a-mistake/${culprit}`))).toBe(true);
      expect(countsOf(wrong).passed).toBe(right.tests[0].expectations.length - 1);
    },
  );

  test("the planted mistake is the only difference of a set", () => {
    const read = (path: string) => readFileSync(`${FIXTURES}/${path}`, "utf8").split("\n");
    const differing = (path: string, own: string) => {
      const [right, wrong] = [read(`${path}/policies/${own}`), read(`${path}/policies-with-a-mistake/${own}`)];
      return right.filter((line) => !wrong.includes(line)).length + wrong.filter((line) => !right.includes(line)).length;
    };
    expect([differing("three-tiers", "web.yaml"), differing("three-tiers", "api.yaml"), differing("deny-and-allow", "prod.yaml")]).toEqual([
      2, 0, 2,
    ]);
  });
});

describe("who is meant", () => {
  test("by workload, Service, label, address, and what is left out", async () => {
    const result = await expecting([
      "from: shop/deploy/web, to: shop/svc/api, verdict: allow",
      "from: {namespace: shop, labels: {app: web}}, to: {namespaceLabels: {kubernetes.io/metadata.name: shop}, labels: {app: api}}, ports: 9090, verdict: allow",
      "from: {namespace: shop, except: deploy/web}, to: svc/api, verdict: deny",
      "from: {namespace: shop, except: [deploy/api, svc/web]}, to: svc/db, verdict: deny",
      "from: {all: pods, except: svc/api}, to: svc/db, verdict: deny",
      "from: deploy/api, to: 203.0.113.7, ports: [443], verdict: allow",
      "from: deploy/api, to: {all: outside, except: 203.0.113.0/24}, verdict: deny",
      "from: external, to: [svc/web, svc/api, svc/db], verdict: deny",
      "from: [nodes, outside], to: deploy/db, verdict: deny",
      "from: deploy/api, to: {dnsName: api.example.com}, ports: 80, verdict: deny",
    ]);
    expect(contradictions(result)).toEqual(result.tests[0].expectations.map(() => []));
  });

  test("everything else is exact: what one rule opens is found, and nothing besides", async () => {
    const [web, api, outside, cut, host] = contradictions(
      await expecting([
        "from: any, to: deploy/web, verdict: deny",
        "from: deploy/api, to: {namespace: shop}, verdict: deny",
        "from: deploy/api, to: outside, verdict: deny",
        "from: deploy/api, to: 203.0.112.0/23, ports: 400-500, verdict: allow",
        "from: node/node-1, to: deploy/web, ports: http, verdict: allow",
      ]),
    );
    expect(web).toEqual(["ingress-nginx/deploy/ingress-nginx-controller > shop/deploy/web 8080/TCP allow"]);
    expect(api).toEqual(["shop/deploy/api > shop/deploy/db 5432/TCP allow"]);
    expect(outside).toEqual(["shop/deploy/api > outside 203.0.113.0/24 443/TCP allow"]);
    expect(cut).toEqual([
      "shop/deploy/api > outside 203.0.112.0/24 400-500/TCP deny",
      "shop/deploy/api > outside 203.0.113.0/24 400-442,444-500/TCP deny",
    ]);
    expect(host).toEqual(["node/node-1 (others than the pod's own) > shop/deploy/web 8080/TCP deny"]);
  });

  test("pods of a workload that policies tell apart, its own node, ICMP and an API server outside", async () => {
    const [own, other, echo, server, rest] = contradictions(
      await expecting(
        [
          "from: node/node-1, to: deploy/operator, verdict: allow",
          "from: node/node-2, to: deploy/operator, ports: 9100, verdict: allow",
          "from: deploy/console, to: 198.51.100.1, ports: ICMP, verdict: deny",
          "from: deploy/operator, to: 172.16.0.0/30, ports: 6443, verdict: allow",
          "from: deploy/operator, to: {all: outside, except: 172.16.0.2}, verdict: deny",
        ],
        "deny-and-allow",
        { cni: "calico" },
        "prod",
      ),
    );
    expect(own).toEqual([]);
    expect(other).toEqual(["node/node-2 (others than the pod's own) > prod/deploy/operator 9100/TCP deny"]);
    expect(echo).toEqual(["prod/deploy/console > outside 198.51.100.1/32 ICMP type 8/0 allow"]);
    expect(server).toEqual(["prod/deploy/operator > outside 172.16.0.0/31 6443/TCP deny"]);
    expect(rest).toEqual(["prod/deploy/operator > outside 172.16.0.3/32 6443/TCP allow"]);
  });

  test("a Service without a selector leads to its endpoints", async () => {
    const snapshot = file(
      "with-endpoints.yaml",
      `${readFileSync(`${FIXTURES}/deny-and-allow/cluster.yaml`, "utf8")}---
apiVersion: v1
kind: Service
metadata: {namespace: default, name: kubernetes}
spec: {clusterIP: 10.96.0.1, ports: [{name: https, port: 443, targetPort: 6443}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {namespace: default, name: kubernetes, labels: {kubernetes.io/service-name: kubernetes}}
addressType: IPv4
ports: [{name: https, port: 6443, protocol: TCP}]
endpoints: [{addresses: [172.16.0.2]}, {addresses: [172.16.0.9]}]
`,
    );
    const [byName, byAddress, none] = contradictions(
      await expecting(
        [
          "from: deploy/operator, to: default/svc/kubernetes, ports: https, verdict: allow",
          "from: deploy/operator, to: 10.96.0.1, ports: 443, verdict: allow",
          "from: deploy/console, to: default/svc/kubernetes, verdict: allow",
        ],
        "deny-and-allow",
        { cni: "calico", snapshot: [snapshot] },
        "prod",
      ),
    );
    expect([byName, byAddress, none]).toEqual([
      ["prod/deploy/operator > outside 172.16.0.9/32 6443/TCP deny"],
      ["prod/deploy/operator > outside 172.16.0.9/32 6443/TCP deny"],
      [],
    ]);
  });

  test("DNS names, the API server and reserved identities of Cilium", async () => {
    const policies = file(
      "cilium/p.yaml",
      `apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {namespace: shop, name: names}
spec:
  endpointSelector: {matchLabels: {app: api}}
  egress:
    - toFQDNs: [{matchName: api.example.com}, {matchPattern: "*.example.org"}]
      toPorts: [{ports: [{port: "443", protocol: TCP}]}]
    - toEntities: [kube-apiserver]
      toPorts: [{ports: [{port: "6443", protocol: TCP}]}]
  ingress:
    - fromEntities: [health]
`,
    );
    const found = contradictions(
      await expecting(
        [
          "from: deploy/api, to: [{dnsName: api.example.com}, {dnsName: any.example.org}], ports: 443, verdict: allow",
          "from: deploy/api, to: {dnsName: api.example.net}, verdict: deny",
          "from: deploy/api, to: {all: outside, except: [{dnsName: api.example.com}, 'reserved:kube-apiserver']}, verdict: deny",
          "from: deploy/api, to: 198.51.100.7, ports: 443, verdict: deny",
          "from: deploy/api, to: 'reserved:kube-apiserver', ports: 6443, verdict: allow",
          "from: {except: 'reserved:health'}, to: deploy/api, verdict: deny",
          "from: any, to: deploy/api, ports: 9090, verdict: deny",
        ],
        "three-tiers",
        { filename: [policies] },
      ),
    );
    const [names, other, others, address, server, health, any] = found;
    expect([names, other, server, health]).toEqual([[], [], [], []]);
    expect(others).toEqual(["shop/deploy/api > *.example.org (0.0.0.0/0), any.example.org (0.0.0.0/0) 443/TCP allow"]);
    // Whichever of the names the address bears is not known.
    expect(address).toEqual([
      expect.stringContaining(", *.example.org (198.51.100.7/32)"),
      expect.stringContaining(", api.example.com (198.51.100.7/32)"),
    ]);
    expect(any).toEqual(["reserved:health > shop/deploy/api 9090/TCP allow"]);
  });

  test("pods on the host network are their node, and families are judged each", async () => {
    const pod = (name: string, node: string, addresses: string, more = "") =>
      `apiVersion: v1\nkind: Pod\nmetadata: {namespace: prod, name: ${name}, labels: {app: ${name}}}\nspec: {nodeName: ${node}${more}, containers: [{name: c}]}\nstatus: {phase: Running, podIPs: [${addresses}]}\n---\n`;
    const snapshot = file(
      "host.yaml",
      `${pod("agent", "node-1", "{ip: 192.168.10.11}", ", hostNetwork: true")}${pod("both", "node-2", '{ip: 10.0.1.90}, {ip: "fd00::90"}')}${pod("four", "node-2", "{ip: 10.0.1.91}")}${pod("six", "node-2", '{ip: "fd00::92"}')}${readFileSync(`${FIXTURES}/deny-and-allow/cluster.yaml`, "utf8")}`,
    );
    const policy = (name: string, spec: string) =>
      `apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {namespace: prod, name: ${name}}\nspec: ${spec}\n---\n`;
    const policies = file(
      "host/p.yaml",
      policy("both", "{podSelector: {matchLabels: {app: both}}, ingress: [{from: [{ipBlock: {cidr: 0.0.0.0/0}}]}]}") +
        policy("six", "{podSelector: {matchLabels: {app: six}}, ingress: []}"),
    );
    const found = contradictions(
      await expecting(
        [
          "from: pod/agent, to: both, ports: 80, verdict: allow",
          "from: [four, six], to: both, ports: 80, verdict: allow",
          "from: outside, to: both, ports: 80, verdict: allow",
        ],
        "deny-and-allow",
        { snapshot: [snapshot], filename: [policies], cni: "generic" },
        "prod",
      ),
    );
    expect(found).toEqual([[], ["prod/pod/six > prod/pod/both 80/TCP deny"], ["outside ::/0 > prod/pod/both 80/TCP deny"]]);
    const [error] = await failing(
      expecting(
        ["from: pod/agent, to: six, verdict: allow"],
        "deny-and-allow",
        { snapshot: [snapshot], filename: [policies], cni: "generic" },
        "prod",
      ),
    );
    expect(error).toContain("have no addresses of one family");
  });

  test("a verdict that hangs on the request says so, of running pods and of templates; of templates' addresses no log is spoken of", async () => {
    const pod = (name: string, address: string) =>
      `apiVersion: v1\nkind: Pod\nmetadata: {namespace: shop, name: ${name}, labels: {app: ${name}}}\nspec: {nodeName: n1, containers: [{name: c}]}\nstatus: {phase: Running, podIP: ${address}}\n---\n`;
    const deployment = (name: string) =>
      `apiVersion: apps/v1\nkind: Deployment\nmetadata: {namespace: shop, name: ${name}}\nspec: {selector: {matchLabels: {app: ${name}}}, template: {metadata: {labels: {app: ${name}}}, spec: {containers: [{name: c}]}}}\n---\n`;
    const rules = (dialect: string) =>
      dialect === "cilium"
        ? 'apiVersion: cilium.io/v2\nkind: CiliumNetworkPolicy\nmetadata: {namespace: shop, name: web}\nspec: {endpointSelector: {matchLabels: {app: web}}, ingress: [{fromCIDR: [203.0.113.0/24]}, {fromEndpoints: [{matchLabels: {app: db}}], toPorts: [{ports: [{port: "8080", protocol: TCP}], rules: {http: [{method: GET, path: "/api/.*"}]}}]}]}\n'
        : "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {namespace: shop, name: web}\nspec: {podSelector: {matchLabels: {app: web}}, ingress: [{from: [{podSelector: {matchLabels: {app: none}}}]}, {from: [{ipBlock: {cidr: 10.0.0.0/8}}]}]}\n";
    const why = async (objects: string, cni: string) => {
      const flags = { snapshot: [file("requests.yaml", objects)], filename: [file("requests/p.yaml", rules(cni))], cni };
      const result = await expecting(["from: {labels: {app: db}}, to: {labels: {app: web}}, ports: 8080, verdict: allow"], "", flags);
      return result.tests[0].expectations[0].examples.map(({ verdict, why }) => `${verdict}: ${why}`);
    };
    const byRequest = ["unknown: ingress: only GET /api/.*: shop/web ingress[1].fromEndpoints[0] (p.yaml:4) looks at the request"];
    expect(await why(pod("db", "10.0.0.1") + pod("web", "10.0.0.2"), "cilium")).toEqual(byRequest);
    expect(await why(deployment("db") + deployment("web"), "cilium")).toEqual(byRequest);
    const [byAddress] = await why(deployment("db") + deployment("web"), "generic");
    expect(byAddress).toMatch(/^unknown: ingress: .*is for addresses, and shop\/deploy\/db has none yet \(no running pod\)$/);
  });

  describe("pods on the host network among others", () => {
    const pod = (namespace: string, name: string, node: string, address: string, more = "") =>
      `apiVersion: v1\nkind: Pod\nmetadata: {namespace: ${namespace}, name: ${name}}\nspec: {nodeName: ${node}${more}, containers: [{name: c}]}\nstatus: {phase: Running, podIP: ${address}}\n---\n`;
    const node = (name: string, address: string) =>
      `apiVersion: v1\nkind: Node\nmetadata: {name: ${name}}\nstatus: {addresses: [{type: InternalIP, address: ${address}}]}\n---\n`;
    const web = pod("a", "web-1", "n2", "10.1.0.1");
    const others = pod("b", "db-0", "n1", "10.1.0.2") + pod("b", "agent", "n1", "192.168.0.1", ", hostNetwork: true");
    const policies = () =>
      file(
        "mixed/p.yaml",
        "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {namespace: a, name: web}\nspec: {podSelector: {}, ingress: [{from: [{ipBlock: {cidr: 192.168.0.0/16}}]}]}\n",
      );
    const nodes = node("n1", "192.168.0.1") + node("n2", "192.168.0.2") + node("n3", "192.168.0.3");
    const judgeMixed = (lines: readonly string[], snapshot = web + others + nodes, cni = "generic") =>
      expecting(lines, "", { snapshot: [file("mixed.yaml", snapshot)], filename: [policies()], cni }, "b");

    test("they are their nodes, as the same pods alone are, also where they are left out", async () => {
      const found = contradictions(
        await judgeMixed([
          "from: agent, to: a/web-1, ports: 8080, verdict: deny",
          "from: {namespace: b}, to: a/web-1, ports: 8080, verdict: deny",
          "from: {namespace: b, except: agent}, to: a/web-1, ports: 8080, verdict: deny",
          "from: {all: nodes, except: [{namespace: b}, node/n2]}, to: a/web-1, ports: 8080, verdict: deny",
        ]),
      );
      const byNode = ["node/n1 (others than the pod's own) > a/pod/web-1 8080/TCP allow"];
      expect(found.slice(0, 3)).toEqual([byNode, byNode, []]);
      expect(found[3]).toHaveLength(1);
      expect(found[3][0]).toContain("node/n3");
      expect(found[3][0]).not.toContain("node/n1");
    });

    test("behind a Service they are the nodes that it leads to", async () => {
      const labelled = (text: string) => text.replaceAll(/name: (db-0|agent)/g, "name: $1, labels: {app: db}");
      const service =
        "apiVersion: v1\nkind: Service\nmetadata: {namespace: b, name: db}\nspec: {clusterIP: 10.9.0.1, selector: {app: db}, ports: [{port: 80, targetPort: 8080}]}\n---\n";
      const egress = file(
        "mixed/egress.yaml",
        "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {namespace: a, name: web}\nspec: {podSelector: {}, policyTypes: [Egress], egress: [{to: [{ipBlock: {cidr: 192.168.0.0/16}}]}]}\n",
      );
      const snapshot = file("service.yaml", web + labelled(others) + nodes + service);
      const flags = { snapshot: [snapshot], filename: [egress], cni: "generic" };
      const found = contradictions(await expecting(["from: a/web-1, to: svc/db, ports: 80, verdict: deny"], "", flags, "b"));
      expect(found).toEqual([["a/pod/web-1 > node/n1 (others than the pod's own) 8080/TCP allow"]]);
    });

    test("without their Node object, or where the plugin selects them, an error; where a selection leaves them out, a warning", async () => {
      const lines = ["from: {namespace: b}, to: a/web-1, ports: 8080, verdict: deny"];
      // Where it will run is not known.
      const set =
        "apiVersion: apps/v1\nkind: DaemonSet\nmetadata: {namespace: b, name: scan}\nspec: {selector: {matchLabels: {app: scan}}, template: {metadata: {labels: {app: scan}}, spec: {hostNetwork: true, containers: [{name: c}]}}}\n---\n";
      const db = pod("b", "db-0", "n1", "10.1.0.2");
      const [noNode] = await failing(judgeMixed(lines, web + db + nodes + set));
      expect(noNode).toContain("its pod `b/scan` is on the host network, where policies see the node, and no Node object tells");
      expect((await failing(judgeMixed(lines, web + others + nodes + set)))[0]).toContain("its pod `b/scan` is on");
      const [selected] = await failing(judgeMixed(lines, web + others + nodes, "aws"));
      expect(selected).toContain("its pod `b/agent` is on the host network, whose traffic aws judges");
      const result = await judgeMixed(
        ["from: {all: pods, except: {namespace: b}}, to: a/web-1, ports: 8080, verdict: deny", "from: pods, to: a/web-1, verdict: deny"],
        web + db + nodes + set,
      );
      const told = result.tests[0].warnings.filter((text) => text.includes("leaves out the pod b/scan, but not its node"));
      expect(told).toHaveLength(1);
    });
  });

  test("what is not known fails, and is told", async () => {
    const snapshot = file(
      "no-namespace.yaml",
      readFileSync(`${FIXTURES}/three-tiers/cluster.yaml`, "utf8").replace(
        /apiVersion: v1\nkind: Namespace\nmetadata:\n {2}name: ingress-nginx[\s\S]*?---\n/,
        "",
      ),
    );
    const policies = file(
      "by-label/p.yaml",
      "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {namespace: shop, name: p}\nspec:\n  podSelector: {}\n  ingress: [{from: [{namespaceSelector: {matchLabels: {tier: front}}}]}]\n",
    );
    const result = await expecting(
      ["from: ingress-nginx/deploy/ingress-nginx-controller, to: deploy/web, ports: http, verdict: deny"],
      "three-tiers",
      {
        snapshot: [snapshot],
        filename: [policies],
      },
    );
    expect(contradictions(result)).toEqual([["ingress-nginx/deploy/ingress-nginx-controller > shop/deploy/web 8080/TCP unknown"]]);
    expect(result.tests[0].expectations[0].examples[0].why).toContain("lacks labels of a namespace");
    expect(policyTestFindings(result).findings[0].rule.id).toBe("undecided-expectation");
  });
});

describe("mistakes are errors with their place and the nearest name", () => {
  test.each([
    ["from: deploy/wbe, to: deploy/db, verdict: deny", "6:8: spec.expectations[0].from: no `deploy/wbe`; did you mean shop/deploy/web?"],
    [
      "from: deploy/web, to: svc/dbb, verdict: deny",
      "6:26: spec.expectations[0].to: no Service `svc/dbb` in namespace `shop`; did you mean `db`?",
    ],
    ["from: {namespace: shp}, to: svc/db, verdict: deny", "6:8: spec.expectations[0].from: no namespace `shp`; did you mean `shop`?"],
    [
      "from: {except: {namespace: shop, labels: {app: wbe}}}, to: svc/db, verdict: deny",
      "6:15: spec.expectations[0].from.except: no pod in namespace `shop` has the label app=wbe; did you mean `web`?",
    ],
    [
      "from: svc/web, to: svc/db, verdict: deny",
      "6:8: spec.expectations[0].from: a Service begins no connections; name the workload that does",
    ],
    [
      "from: deploy/web, to: svc/db, ports: 81, verdict: deny",
      "6:26: spec.expectations[0].to: `shop/svc/db` has no such port (it has 5432/TCP)",
    ],
    [
      "from: deploy/web, to: deploy/db, ports: htpp, verdict: deny",
      "6:26: spec.expectations[0].to: `deploy/db` has no port named `htpp` (it has postgres = 5432/TCP)",
    ],
    ["from: node/node-3, to: deploy/db, verdict: deny", "6:8: spec.expectations[0].from: no node `node/node-3`; did you mean `node-1`?"],
    [
      "from: 10.0.0.9, to: deploy/db, verdict: deny",
      "6:8: spec.expectations[0].from: `10.0.0.9` is in the pod range but in no snapshot object: nobody is known there",
    ],
    [
      "from: 'reserved:health', to: deploy/db, verdict: deny",
      "6:8: spec.expectations[0].from: `reserved:health` is one of Cilium's, and the network plugin is generic",
    ],
    ["from: outside, to: nodes, verdict: deny", "6:7: spec.expectations[0]: it is about no connection that policies judge"],
    [
      "from: {namespace: shop, except: {namespace: shop}}, to: svc/db, verdict: deny",
      "6:7: spec.expectations[0]: it is about no connection that policies judge",
    ],
    ["from: deploy/web, to: deploy/db, verdict: alow", "6:40: spec.expectations[0].verdict: `alow` is no verdict, did you mean `allow`"],
    [
      "from: deploy/web, to: deploy/db, port: 80, verdict: deny",
      '6:40: spec.expectations[0].port: unknown field "spec.expectations[0].port", did you mean `ports`',
    ],
    [
      "from: deploy/web, to: deploy/db, ports: 80-70, verdict: deny",
      "6:40: spec.expectations[0].ports: `80-70`: the range ends before it begins",
    ],
    ["from: deploy/web, to: deploy/db, ports: [], verdict: deny", "6:40: spec.expectations[0].ports: no port in the list"],
    ["from: 7, to: deploy/db, verdict: deny", "6:8: spec.expectations[0].from: expected an end"],
    ["to: deploy/db, verdict: deny", "6:7: spec.expectations[0].from: `from` is required"],
    [
      "from: {all: pdos}, to: deploy/db, verdict: deny",
      "6:14: spec.expectations[0].from.all: `pdos` is no word for many ends, did you mean `pods`",
    ],
    ["from: {all: pods, labels: {a: b}}, to: deploy/db, verdict: deny", "6:8: spec.expectations[0].from: `all`, `dnsName` and selecting"],
  ])("%s", async (line, message) => {
    const [first] = await failing(expecting([line]));
    // The field's name stands two columns before what follows it.
    expect(first.replace(/^6:\d+/, "")).toContain(message.replace(/^6:\d+/, ""));
    expect(first).toMatch(/^6:\d+: /);
  });

  test("all that is wrong is told at once", async () => {
    const lines = await failing(
      expecting(["from: deploy/wbe, to: deploy/dbb, verdict: deny", "from: deploy/web, to: svc/nil, verdict: allow"]),
    );
    expect(lines).toHaveLength(3);
  });

  test("a file without any test, a misspelt kind, another version", async () => {
    expect(await failing(judge({ files: [`${FIXTURES}/three-tiers/cluster.yaml`] }))).toEqual([
      expect.stringContaining("no PolicyTest in "),
    ]);
    const kind = file("kind.yaml", testText(["from: a, to: b, verdict: deny"]).replace("kind: PolicyTest", "kind: PolicyTests"));
    expect((await failing(judge({ files: [kind] })))[0]).toContain("did you mean `PolicyTest`");
    const version = file("version.yaml", testText(["from: a, to: b, verdict: deny"]).replace("v1alpha1", "v1"));
    expect((await failing(judge({ files: [version] })))[0]).toContain("a PolicyTest is of `kguardian.dev/v1alpha1`");
  });

  test("whatever a file holds is a test, or one error with a place", async () => {
    const word = fc.oneof(
      fc.constantFrom("any", "deploy/web", "svc/db", "allow", "deny", "http", "../x", "\u001b[2J", "-", ""),
      fc.integer(),
      fc.boolean(),
      fc.constant(null),
    );
    const value = fc.oneof(
      word,
      fc.array(word, { maxLength: 3 }),
      fc.dictionary(fc.constantFrom("all", "except", "namespace", "labels", "dnsName", "x"), word, { maxKeys: 3 }),
    );
    const expectation = fc.dictionary(fc.constantFrom("name", "from", "to", "ports", "verdict", "x"), value, { maxKeys: 5 });
    const spec = fc.dictionary(fc.constantFrom("snapshot", "policies", "cni", "staged", "policyMode"), value, { maxKeys: 2 });
    await fc.assert(
      fc.asyncProperty(fc.oneof(value, fc.array(expectation, { maxLength: 3 })), spec, async (expectations, rest) => {
        const object = {
          apiVersion: "kguardian.dev/v1alpha1",
          kind: "PolicyTest",
          metadata: { name: "own" },
          spec: { ...rest, expectations },
        };
        const path = file("own.yaml", JSON.stringify(object));
        const outcome = await judge({
          files: [path],
          snapshot: [`${FIXTURES}/shared-database/cluster.yaml`],
          filename: [`${FIXTURES}/shared-database/policies`],
        }).then(
          (result) => policyTestTable(result, true),
          (error: unknown) => {
            const { message, exitCode } = failureOf(error, "test");
            if (exitCode !== 2) throw error;
            return message;
          },
        );
        expect(outcome).not.toContain("\u001b");
      }),
      { numRuns: 150, seed: 20261124 },
    );
  });
});

describe("files", () => {
  test("flags go before what a test says, and paths are told from the test", async () => {
    const path = file(
      "deep/down/own.yaml",
      testText(["from: deploy/api, to: deploy/db, ports: 5432, verdict: allow"]).replace(
        "spec:\n",
        "spec:\n  snapshot: ../cluster.yaml\n  policies: [../policies]\n  cni: cilium\n",
      ),
    );
    file("deep/cluster.yaml", readFileSync(`${FIXTURES}/three-tiers/cluster.yaml`, "utf8"));
    file("deep/policies/db.yaml", readFileSync(`${FIXTURES}/three-tiers/policies/db.yaml`, "utf8"));
    const own = await judge({ files: [path] });
    expect([own.tests[0].cni.name, own.tests[0].policies, countsOf(own)]).toEqual(["cilium", 1, { passed: 1, failed: 0 }]);
    const other = await judge({ files: [path], filename: [`${FIXTURES}/three-tiers/policies/default-deny.yaml`], cni: "generic" });
    expect([other.tests[0].cni.name, countsOf(other)]).toEqual(["generic", { passed: 0, failed: 1 }]);
  });

  test("several tests in a file, several files, a file named twice, policies that hold their workloads", async () => {
    const both = file(
      "both/own.yaml",
      `${testText(["from: deploy/api, to: deploy/db, ports: 5432, verdict: allow"])}---\n${testText(["from: deploy/web, to: deploy/db, verdict: deny"]).replace("name: own", "name: second")}`,
    );
    const filename = [`${FIXTURES}/three-tiers/cluster.yaml`, `${FIXTURES}/three-tiers/policies`];
    const result = await judge({ files: [both, both], filename });
    expect([result.tests.map(({ name }) => name), countsOf(result)]).toEqual([["own", "second"], { passed: 2, failed: 0 }]);
    expect(result.warnings).toEqual([expect.stringContaining("is named twice")]);
  });
});

describe("reports", () => {
  const mistaken = judge({
    files: [`${FIXTURES}/shared-database/test.yaml`],
    filename: [`${FIXTURES}/shared-database/policies-with-a-mistake`],
  });

  test("the table ends with the counts, and has what contradicts under the expectation", async () => {
    const lines = policyTestTable(await mistaken, false).split("\n");
    expect(lines.at(-2)).toBe("2 passed, 1 failed");
    expect(lines.filter((line) => /^ {2}(ok|FAIL) /.test(line)).map((line) => line.trim().split(/ +/)[0])).toEqual(["ok", "FAIL", "ok"]);
    expect(lines.join("\n")).toMatch(
      /FROM +TO +PORTS +IS +WHY\n +blue\/deploy\/reports +data\/deploy\/postgres +5432\/TCP +allow +data\/postgres ingress\[0\]\.from\[1\] \(postgres\.yaml:\d+\) allows it/,
    );
  });

  test("JSON and YAML have the ends and the rule that decides", async () => {
    const report = JSON.parse(policyTestJson(await mistaken));
    expect([report.kind, report.summary]).toEqual(["PolicyTestReport", { tests: 1, expectations: 3, passed: 2, failed: 1 }]);
    const [{ counterExamples }] = report.tests[0].expectations.filter(({ result }: { result: string }) => result === "failed");
    expect(counterExamples).toMatchObject([
      {
        sources: [{ type: "pod", namespace: "blue", workload: "Deployment/reports" }],
        destinations: [{ type: "pod", namespace: "data", workload: "Deployment/postgres" }],
        ports: [{ protocol: "TCP", ports: "5432" }],
        verdict: "allow",
        decidedBy: [{ kind: "NetworkPolicy", namespace: "data", name: "postgres", rule: "ingress[0].from[1]", line: 16 }],
      },
    ]);
    expect(policyTestYaml(await mistaken)).toContain("kind: PolicyTestReport");
    expect([...policyTestNames(await mistaken)]).toEqual(["policytest.kguardian.dev/shared-database\n"]);
  });

  test("markdown, SARIF at the rule, and JUnit with a case an expectation", async () => {
    expect(policyTestMarkdown(await mistaken)).toContain("**2 passed, 1 failed**");
    const findings = policyTestFindings(await mistaken);
    const { results } = readSarif([...sarif(findings, reportOrigin())].join(""));
    expect(
      results.map(({ ruleId, locations: [{ physicalLocation }] }) => [
        ruleId,
        physicalLocation.artifactLocation.uri,
        physicalLocation.region.startLine,
      ]),
    ).toEqual([["failed-expectation", "fixtures/policy-tests/shared-database/policies-with-a-mistake/postgres.yaml", 16]]);
    const suite = readJunit(
      [...junit(findings, reportOrigin())].map((piece) => (typeof piece === "string" ? piece : Buffer.from(piece).toString())).join(""),
    );
    const cases = suite.children.filter(({ name }) => name === "testcase");
    expect(cases.map((one) => [one.attributes.classname, one.attributes.name, childOf(one, "failure") !== undefined])).toEqual([
      ["policytests.shared-database", "both teams reach the database", false],
      ["policytests.shared-database", "from anything else denied", true],
      ["policytests.shared-database", "the database is for its port alone", false],
    ]);
  });
});

describe("the program", () => {
  /** Commands that stand in blocks of a page. */
  const commands = (page: string) =>
    [...readFileSync(join(ROOT, page), "utf8").matchAll(/^```(\w*)\n([\s\S]*?)^```/gm)]
      .flatMap(([, language, block]) => (language === "yaml" ? [] : block.split("\n")))
      .map((line) => line.replace(/^\$ /, ""))
      .filter((line) => line.startsWith("kubectl kguardian test "));
  test("every page has commands", () => {
    expect(pages.map((page) => commands(page).length)).toEqual([4, 2]);
  });

  const pages = ["docs/policy-tests.md", "fixtures/policy-tests/README.md"];

  test.each(pages.flatMap((page) => commands(page).map((command) => [page, command])))("%s: %s", (_page, command) => {
    const args = command.replace("kubectl kguardian ", "").split(" ");
    const reports = args.map((arg) => arg.replace(/^(junit|sarif|markdown)=/, `$1=${folder}/`));
    const { code, err, out } = run(reports);
    expect([code, err.includes("error:")]).toEqual([command.includes("mistake") ? 1 : 0, false]);
    expect(out).toContain(command.includes("json") ? "PolicyTestReport" : "passed");
  });

  test("the workflow's command runs in a repository laid out as it says", () => {
    const page = readFileSync(join(ROOT, "docs/policy-tests.md"), "utf8");
    const [, command] = /- run: kubectl-kguardian (test .*)\n/.exec(page)!;
    const args = command
      .replace(" policy-tests ", ` ${FIXTURES} `)
      .replace(/(sarif|markdown)=/g, `$1=${folder}/`)
      .split(" ");
    expect(run(args).code).toBe(0);
    expect(readSarif(readFileSync(join(folder, "policy-tests.sarif"), "utf8")).results).toEqual([]);
    expect(readFileSync(join(folder, "policy-tests.md"), "utf8")).toContain("**20 passed, 0 failed**");
  });

  test("the page shows what is printed, and its tests are those of the fixtures", () => {
    const page = readFileSync(join(ROOT, "docs/policy-tests.md"), "utf8");
    const [, command, shown] = /\$ kubectl kguardian (test [^\n]*)\n([\s\S]*?)```/.exec(page)!;
    expect(run(command.split(" ")).out).toBe(shown);
    const text = readFileSync(`${FIXTURES}/shared-database/test.yaml`, "utf8");
    const [, example] = /```yaml\n([\s\S]*?)```/.exec(page)!;
    const plain = example.replace(/ +#.*$/gm, "");
    expect(text.startsWith(plain)).toBe(true);
  });

  test("exit codes, --exit-zero and a test on standard input", () => {
    const mistake = ["-f", "fixtures/policy-tests/three-tiers/policies-with-a-mistake"];
    const path = "fixtures/policy-tests/three-tiers/test.yaml";
    const failed = run(["test", path, ...mistake, "-o", "name"]);
    expect([failed.code, failed.out]).toEqual([1, "policytest.kguardian.dev/three-tiers\n"]);
    const text = readFileSync(join(ROOT, path), "utf8").replace("snapshot: cluster.yaml\n  policies: policies", "");
    const input = run(["test", "-", "--snapshot", "fixtures/policy-tests/three-tiers/cluster.yaml", ...mistake, "--exit-zero"], text);
    expect([input.code, input.out.split("\n").at(-2)]).toEqual([0, "10 passed, 1 failed"]);
    const twice = run(["test", "-", "-f", "-"]);
    expect([twice.code, twice.err]).toEqual([2, expect.stringContaining("standard input")]);
  });
});
