import { describe, expect, test } from "vitest";
import { judgedIn, worldOf } from "../../src/cli/openSets.ts";
import { readManifest } from "../../src/cluster/manifest.ts";
import { readCluster } from "../../src/cluster/snapshot.ts";
import { type CniName, profileOf } from "../../src/evaluate/profile.ts";
import { readPolicies } from "../../src/policy/readPolicies.ts";
import { loadRegexEngine } from "../../src/policy/regex.ts";
import { findBlindSpots } from "../../src/synth/blindSpots.ts";
import { probePolicies } from "../../src/synth/probing.ts";

await loadRegexEngine();

const POD = (name: string, namespace: string, labels: string, address: string, ports = "") => `
apiVersion: v1
kind: Pod
metadata: {name: ${name}, namespace: ${namespace}, labels: ${labels}}
spec: {nodeName: n1, containers: [{name: c, image: x${ports}}]}
status: {phase: Running, podIP: ${address}, podIPs: [{ip: ${address}}]}
`;

const CLUSTER = [
  "{apiVersion: v1, kind: Namespace, metadata: {name: shop, labels: {team: a}}}",
  "{apiVersion: v1, kind: Namespace, metadata: {name: other}}",
  "{apiVersion: v1, kind: Namespace, metadata: {name: kube-system}}",
  "{apiVersion: v1, kind: Node, metadata: {name: n1}, spec: {podCIDRs: [10.244.0.0/24]}, status: {addresses: [{type: InternalIP, address: 172.18.0.2}]}}",
  "{apiVersion: v1, kind: Node, metadata: {name: n2}, spec: {podCIDRs: [10.244.1.0/24]}, status: {addresses: [{type: InternalIP, address: 172.18.0.3}]}}",
  POD("web", "shop", "{app: web}", "10.244.0.5"),
  POD("db", "shop", "{app: db}", "10.244.0.6", ", ports: [{name: sql, containerPort: 5432}]"),
  POD("job", "other", "{app: job}", "10.244.0.7"),
  POD("dns", "kube-system", "{k8s-app: kube-dns}", "10.244.0.8", ", ports: [{name: dns, containerPort: 53, protocol: UDP}]"),
  "{apiVersion: v1, kind: Service, metadata: {name: kube-dns, namespace: kube-system}, spec: {clusterIP: 10.96.0.10, selector: {k8s-app: kube-dns}, ports: [{name: dns, port: 53, protocol: UDP}]}}",
].join("\n---\n");

const policy = (spec: string, name = "db") => `
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: ${name}, namespace: shop}
spec: ${spec}`;

function probed(policies: readonly string[], cni: CniName = "generic") {
  const cluster = readCluster(readManifest(CLUSTER, "cluster.yaml"));
  const set = readPolicies(readManifest(policies.join("\n---\n"), "policies.yaml"), { defaultNamespace: "shop" });
  const world = worldOf(cluster);
  const probing = probePolicies(judgedIn(set, world, cluster, profileOf(cni)));
  const spots = findBlindSpots(probing, cluster, world.pods);
  return { probing, spots };
}

describe("the edges of one rule", () => {
  const rule =
    "{podSelector: {matchLabels: {app: db}}, ingress: [{from: [{podSelector: {matchLabels: {app: web}}}], ports: [{port: sql}]}]}";

  test("every kind of edge is asked, with what the author expects", () => {
    const { probing } = probed([policy(rule)]);
    const cases = probing.probes.map(({ what, expected }, i) => `${expected} ${probing.judgements[i].verdict}: ${what}`);
    expect(cases).toMatchInlineSnapshot(`
      [
        "allow allow: pod shop/web, port sql (5432/TCP)",
        "deny deny: app=web broken on a pod like shop/web, port sql (5432/TCP)",
        "deny deny: the labels of shop/web in another namespace, port sql (5432/TCP)",
        "deny deny: a pod without labels in namespace shop, port sql (5432/TCP)",
        "deny deny: pod other/job, port sql (5432/TCP)",
        "deny deny: node n2 (host network), port sql (5432/TCP)",
        "deny deny: outside address 203.0.113.77, port sql (5432/TCP)",
        "deny deny: port 5433/TCP",
        "deny deny: port 5432/TCP of a pod that does not call it sql",
        "deny deny: port 5432/UDP",
        "undefined allow: the way back, as a connection of its own",
      ]
    `);
  });

  test("a rule on addresses is asked at its first, last and next address, and at those of what it excepts", () => {
    const { probing } = probed([
      policy(
        "{podSelector: {matchLabels: {app: db}}, egress: [{to: [{ipBlock: {cidr: 198.51.100.0/24, except: [198.51.100.16/28]}}], ports: [{port: 443, endPort: 445}]}], policyTypes: [Egress]}",
      ),
    ]);
    const verdicts = new Map(probing.probes.map(({ what }, i) => [what, probing.judgements[i].verdict]));
    expect(Object.fromEntries([...verdicts].filter(([what]) => /^address|^port/.test(what)))).toEqual({
      "address 198.51.100.0, port 443/TCP": "allow",
      "address 198.51.100.255, port 443/TCP": "allow",
      "address 198.51.99.255, port 443/TCP": "deny",
      "address 198.51.101.0, port 443/TCP": "deny",
      "address 198.51.100.16, port 443/TCP": "deny",
      "address 198.51.100.31, port 443/TCP": "deny",
      "address 198.51.100.15, port 443/TCP": "allow",
      "address 198.51.100.32, port 443/TCP": "allow",
      "port 445/TCP": "allow",
      "port 442/TCP": "deny",
      "port 446/TCP": "deny",
      "port 443/UDP": "deny",
    });
  });
});

describe("blind spots", () => {
  test("egress without DNS, and what one end allows and the other denies", () => {
    const { spots } = probed([
      policy(
        "{podSelector: {matchLabels: {app: web}}, egress: [{to: [{podSelector: {matchLabels: {app: db}}}], ports: [{port: 5432}]}], policyTypes: [Egress]}",
        "web",
      ),
      policy("{podSelector: {matchLabels: {app: db}}, ingress: [{from: [{podSelector: {matchLabels: {app: job}}}]}]}"),
    ]);
    expect(spots.withoutDns.map(({ workload, policies }) => [workload.workload, policies.map(({ ref }) => ref.name)])).toEqual([
      ["Pods/web", ["web"]],
    ]);
    expect(spots.failed.map(({ kind, policy: own, by }) => [kind, own.ref.name, by.isolatedBy.map(({ ref }) => ref.name)])).toEqual([
      ["blocked", "web", ["db"]],
    ]);
    // The other end denies what it allows, whoever comes.
    expect(spots.redundant.map(({ policy: own, rule }) => `${own.ref.name} ${rule?.path}`)).toEqual(["web egress[0]"]);
    expect(spots.open.map(({ namespace, workload }) => `${namespace}/${workload}`).sort()).toEqual([
      "kube-system/Pods/kube-dns",
      "other/Pods/job",
      "shop/Pods/db",
      "shop/Pods/web",
    ]);
  });

  test("with DNS allowed nothing is forgotten; a policy that allows nothing at all forgets nothing either", () => {
    const dns = "{to: [{namespaceSelector: {}, podSelector: {matchLabels: {k8s-app: kube-dns}}}], ports: [{port: 53, protocol: UDP}]}";
    expect(probed([policy(`{podSelector: {}, egress: [${dns}], policyTypes: [Egress]}`)]).spots.withoutDns).toEqual([]);
    expect(probed([policy("{podSelector: {}, policyTypes: [Egress]}")]).spots.withoutDns).toEqual([]);
  });

  test("what another rule allows beside a rule is a hole that names it", () => {
    const { spots } = probed([
      policy(
        "{podSelector: {matchLabels: {app: db}}, ingress: [{from: [{podSelector: {matchLabels: {app: web}}}], ports: [{port: 5432}]}]}",
      ),
      policy("{podSelector: {}, ingress: [{ports: [{port: 5433}]}]}", "all"),
    ]);
    const [hole] = spots.failed.filter(({ kind }) => kind === "hole");
    expect([hole?.policy.ref.name, hole?.by.matched.map(({ policy: own, rule }) => `${own.ref.name} ${rule.path}`)]).toEqual([
      "db",
      ["all ingress[0]"],
    ]);
  });

  test("a policy that denies the own node on every port forgets health checks", () => {
    const closed = policy("{podSelector: {matchLabels: {app: db}}, ingress: []}");
    // The API lets a pod's own node through; so does Cilium, unless a rule denies it.
    expect(probed([closed]).spots.withoutHealthChecks).toEqual([]);
    const denied = `
apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {name: no-host, namespace: shop}
spec: {endpointSelector: {matchLabels: {app: db}}, ingressDeny: [{fromEntities: [host]}]}`;
    const { withoutHealthChecks } = probed([denied], "cilium").spots;
    expect(withoutHealthChecks.map(({ workload, policies }) => [workload.workload, policies.map(({ ref }) => ref.name)])).toEqual([
      ["Pods/db", ["no-host"]],
    ]);
  });
});

describe("what a fresh reader found", () => {
  test("two changes that undo each other at both ends are each proven by themselves", () => {
    const { probing } = probed([
      policy(
        "{podSelector: {matchLabels: {app: web}}, policyTypes: [Egress], egress: [{to: [{ipBlock: {cidr: 10.244.0.7/32}}], ports: [{port: 81}]}]}",
        "web",
      ),
      policy(
        "{podSelector: {}, ingress: [{from: [{ipBlock: {cidr: 10.9.9.9/32}}]}, {from: [{ipBlock: {cidr: 10.244.0.5/32}}], ports: [{port: 80}]}]}",
        "job",
      ).replace("namespace: shop", "namespace: other"),
    ]);
    const fates = new Map(probing.mutations.map(({ policy: { ref }, what }, m) => [`${ref.name} ${what}`, probing.fates[m].kind]));
    expect(fates.get("web egress[0] on 80-81/TCP in place of 81/TCP")).toBe("noticed");
    expect(fates.get("job ingress[1] on 80-81/TCP in place of 80/TCP")).toBe("noticed");
    expect(fates.get("web egress[0] on 81-82/TCP in place of 81/TCP")).toBe("equivalent");
  });

  test("a rule that an earlier one of an ordered policy decides before is expected to decide nothing", () => {
    const ordered = `
apiVersion: projectcalico.org/v3
kind: NetworkPolicy
metadata: {name: db, namespace: shop}
spec: {selector: "app == 'db'", types: [Ingress], ingress: [{action: Allow, protocol: TCP, destination: {ports: [5432]}}, {action: Deny}]}`;
    const { probing, spots } = probed([ordered], "calico");
    expect(spots.failed).toEqual([]);
    expect(probing.probes.filter(({ expected }) => expected === "deny").length).toBeGreaterThan(2);
  });

  test("a rule that denies or passes on says nothing of the way back", () => {
    const denying = `
apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {name: db, namespace: shop}
spec: {endpointSelector: {matchLabels: {app: db}}, ingressDeny: [{fromEntities: [world]}], egress: [{toEntities: [world]}]}`;
    const { probing } = probed([denying], "cilium");
    const back = probing.probes.filter(({ what, rule }) => what.startsWith("the way back") && rule.path.startsWith("ingressDeny"));
    expect(back.map(({ expected }) => expected)).toEqual([undefined]);
  });

  test("ports are asked about once a rule, not once a peer", () => {
    const many = (count: number, of: (i: number) => string) => Array.from({ length: count }, (_, i) => of(i)).join(", ");
    const wide = `{podSelector: {matchLabels: {app: db}}, ingress: [{from: [${many(20, (i) => `{ipBlock: {cidr: 198.51.100.${i * 4}/32}}`)}], ports: [${many(20, (i) => `{port: ${1000 + i * 3}}`)}]}]}`;
    expect(probed([policy(wide)]).probing.probes.length).toBeLessThan(400);
  });
});

test("a node in an example is the pod's own or another one, as it must be to show the change", () => {
  const { probing } = probed([
    policy("{podSelector: {matchLabels: {app: db}}, ingress: [{from: [{ipBlock: {cidr: 172.18.0.0/24}}], ports: [{port: 5432}]}]}"),
  ]);
  const nodes = probing.probes.filter(({ source }) => source.type === "node");
  expect(nodes.length).toBeGreaterThan(0);
  // n1 is the own node of db, which the API lets through whatever policies say.
  expect(nodes.map(({ source }) => (source.type === "node" ? source.node.name : ""))).not.toContain("n1");
});
