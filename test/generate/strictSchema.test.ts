import { existsSync, readdirSync, readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { readManifest } from "../../src/cluster/manifest.ts";
import { schemaFaults } from "./strictSchema.ts";

const networkPolicy = (spec: unknown, metadata: object = {}): object => ({
  apiVersion: "networking.k8s.io/v1",
  kind: "NetworkPolicy",
  metadata: { name: "p", namespace: "shop", ...metadata },
  spec,
});

const ciliumPolicy = (spec: unknown, metadata: object = {}): object => ({
  apiVersion: "cilium.io/v2",
  kind: "CiliumNetworkPolicy",
  metadata: { name: "p", namespace: "shop", ...metadata },
  spec,
});

const clusterwidePolicy = (spec: unknown): object => ({
  apiVersion: "cilium.io/v2",
  kind: "CiliumClusterwideNetworkPolicy",
  metadata: { name: "p" },
  spec,
});

const labels = { matchLabels: { "app.kubernetes.io/name": "web" } };
const any = { endpointSelector: {} };

describe("right objects have no faults", () => {
  const rightObjects: readonly (readonly [string, object])[] = [
    [
      "NetworkPolicy",
      networkPolicy(
        {
          podSelector: labels,
          policyTypes: ["Ingress", "Egress"],
          ingress: [
            {
              from: [{ namespaceSelector: {}, podSelector: { matchExpressions: [{ key: "tier", operator: "In", values: ["a"] }] } }],
              ports: [{ port: "http" }, { protocol: "TCP", port: 8000, endPort: 8080 }],
            },
          ],
          egress: [{ to: [{ ipBlock: { cidr: "10.0.0.0/8", except: ["10.1.0.0/16"] } }] }, {}],
        },
        { labels: { "app.kubernetes.io/name": "web", length: "3" }, annotations: { "example.com/why": "~/x" } },
      ),
    ],
    [
      "CiliumNetworkPolicy",
      ciliumPolicy({
        description: "what web may do",
        endpointSelector: { matchLabels: { "k8s:app": "web" } },
        enableDefaultDeny: { ingress: true, egress: false },
        ingress: [{ fromEntities: ["kube-apiserver"] }, { fromEndpoints: [labels], icmps: [{ fields: [{ family: "IPv6", type: 128 }] }] }],
        ingressDeny: [{ fromCIDR: ["2001:db8::/32"] }],
        egress: [
          {
            toFQDNs: [{ matchName: "example.com" }, { matchPattern: "*.example.com" }],
            toPorts: [{ ports: [{ port: "8000", endPort: 8080, protocol: "TCP" }] }],
          },
          {
            toEndpoints: [{ matchLabels: { "k8s:k8s-app": "kube-dns" } }],
            toPorts: [{ ports: [{ port: "53", protocol: "ANY" }], rules: { dns: [{ matchPattern: "*" }] } }],
          },
          { toCIDRSet: [{ cidr: "10.0.0.0/8", except: ["10.1.0.0/16"] }] },
          { toServices: [{ k8sService: { serviceName: "db", namespace: "shop" } }] },
          { toPorts: [{ ports: [{ port: "80" }], rules: { http: [{ method: "GET", path: "/a", host: ".*[.]example[.]com" }] } }] },
        ],
      }),
    ],
    ["CiliumClusterwideNetworkPolicy", clusterwidePolicy({ nodeSelector: labels, ingress: [{ fromEntities: ["cluster"] }] })],
    ["specs", { ...clusterwidePolicy(undefined), specs: [{ ...any, description: "", egress: [{}] }] }],
  ];
  test.each(rightObjects)("%s", (_, object) => {
    expect(schemaFaults(object)).toEqual([]);
  });

  test("of the example", () => {
    const folder = new URL("../../fixtures/shop/network-policies-fixed/", import.meta.url);
    const objects = readdirSync(folder).flatMap((name) => readManifest(readFileSync(new URL(name, folder), "utf8"), name));
    expect(objects.length).toBeGreaterThan(5);
    expect(objects.flatMap(({ value }) => schemaFaults(value))).toEqual([]);
  });
});

describe("each fault is found", () => {
  const web = { podSelector: {} };
  const port = (value: object): object => ciliumPolicy({ ...any, egress: [{ toPorts: [{ ports: [value] }] }] });
  const faultyObjects: readonly (readonly [string, object, readonly unknown[]])[] = [
    ["an unknown field of the object", { ...networkPolicy(web), spce: {} }, ["spce: unknown field"]],
    ["of its metadata", networkPolicy(web, { lables: {} }), ["metadata.lables: unknown field"]],
    ["of a CRD's metadata", ciliumPolicy({ ...any, ingress: [] }, { lables: {} }), ["metadata.lables: unknown field"]],
    [
      "of a peer",
      networkPolicy({ ...web, ingress: [{ from: [{}, { podSelecter: { a: { b: 1 } } }] }] }),
      ["spec.ingress[0].from[1].podSelecter: unknown field"],
    ],
    ["of a selector", networkPolicy({ podSelector: { "match/labels": {} } }), ["spec.podSelector.match/labels: unknown field"]],
    ["of a port", port({ port: "80", endport: 90 }), ["spec.egress[0].toPorts[0].ports[0].endport: unknown field"]],
    [
      "of a rule for all nodes",
      clusterwidePolicy({ nodeSelector: {}, enableDefaultDeny: { ingres: true }, ingress: [{ fromEntity: [] }] }),
      ["spec.enableDefaultDeny.ingres: unknown field", "spec.ingress[0].fromEntity: unknown field"],
    ],
    ["a field of the other direction", ciliumPolicy({ ...any, egress: [{ fromCIDR: [] }] }), ["spec.egress[0].fromCIDR: unknown field"]],
    [
      "a field only of allowing rules",
      ciliumPolicy({ ...any, egressDeny: [{ toFQDNs: [] }] }),
      ["spec.egressDeny[0].toFQDNs: unknown field"],
    ],
    ["a list's type", networkPolicy({ ...web, ingress: { from: [] } }), ["spec.ingress: must be array"]],
    [
      "a number's type",
      networkPolicy({ ...web, egress: [{ ports: [{ endPort: "9" }] }] }),
      ["spec.egress[0].ports[0].endPort: must be integer"],
    ],
    ["a port's type", port({ port: 80 }), ["spec.egress[0].toPorts[0].ports[0].port: must be string"]],
    [
      "a label's type",
      ciliumPolicy({ endpointSelector: { matchLabels: { a: 1 } }, egress: [] }),
      ["spec.endpointSelector.matchLabels.a: must be string"],
    ],
    ["a description's type", ciliumPolicy({ ...any, egress: [], description: 1 }), ["spec.description: must be string"]],
    [
      "a NetworkPolicy's enum",
      networkPolicy({ ...web, policyTypes: ["ingress"] }),
      ["spec.policyTypes[0]: must be equal to one of the allowed values: Egress, Ingress"],
    ],
    [
      "a CiliumNetworkPolicy's enum",
      port({ port: "80", protocol: "tcp" }),
      [expect.stringMatching(/^spec\.egress\[0\]\.toPorts\[0\]\.ports\[0\]\.protocol: must be equal to one of/)],
    ],
    [
      "a CiliumClusterwideNetworkPolicy's enum",
      clusterwidePolicy({ ...any, ingress: [{ fromEntities: ["wrold"] }] }),
      [expect.stringMatching(/^spec\.ingress\[0\]\.fromEntities\[0\]: must be equal to one of/)],
    ],
    ["a block", ciliumPolicy({ ...any, egress: [{ toCIDR: ["10.0.0.1"] }] }), ['spec.egress[0].toCIDR[0]: must match format "cidr"']],
    [
      "a missing field",
      networkPolicy({ ...web, egress: [{ to: [{ ipBlock: {} }] }] }),
      ["spec.egress[0].to[0].ipBlock: must have required property cidr"],
    ],
    ["one field of two", ciliumPolicy({ ...any, nodeSelector: {}, ingress: [] }), ['spec: must match exactly one schema in "oneOf"']],
  ];
  test.each(faultyObjects)("%s", (_, object, faults) => {
    expect(schemaFaults(object)).toEqual(faults);
  });

  test("where one object is in two places too", () => {
    const shared = { matchLabels: {}, cidr: "10.0.0.0/8" };
    expect(schemaFaults(networkPolicy({ ...web, ingress: [{ from: [{ podSelector: shared }, { ipBlock: shared }] }] }))).toEqual([
      "spec.ingress[0].from[0].podSelector.cidr: unknown field",
      "spec.ingress[0].from[1].ipBlock.matchLabels: unknown field",
    ]);
  });
});

test("a kind without a schema is refused", () => {
  const calico = { apiVersion: "projectcalico.org/v3", kind: "NetworkPolicy", metadata: { name: "p" }, spec: {} };
  expect(() => schemaFaults(calico)).toThrow("no schema of projectcalico.org/v3 NetworkPolicy");
  expect(() => schemaFaults({ apiVersion: "cilium.io/v2", kind: "NetworkPolicy" })).toThrow("no schema of cilium.io/v2 NetworkPolicy");
  expect(() => schemaFaults(undefined)).toThrow("no schema of");
});

/** Policies that Kubernetes' and Cilium's own code took. Left out where they are not there. */
const folders = ["networkpolicy/", "cilium/", "cilium-mixed/"]
  .map((name) => new URL(`../../../shared/oracle/${name}`, import.meta.url))
  .filter((folder) => existsSync(folder));

test.skipIf(folders.length === 0)("policies that engines took have no faults but entities that the CRD leaves out", () => {
  const files = folders.flatMap((folder) => readdirSync(folder).map((name) => new URL(name, folder)));
  const policies = files
    .filter(({ pathname }) => pathname.endsWith(".json"))
    .flatMap((file) => JSON.parse(readFileSync(file, "utf8")).policies as { apiVersion: string; kind: string }[])
    .filter(({ apiVersion, kind }) => /^(networking\.k8s\.io\/v1|cilium\.io\/v2)$/.test(apiVersion) && kind.endsWith("NetworkPolicy"));
  const faults = policies.flatMap(schemaFaults);
  expect(faults.filter((line) => !/Entities\[\d+\]: must be equal to one of/.test(line))).toEqual([]);
  expect(policies.length).toBeGreaterThan(500);
});
