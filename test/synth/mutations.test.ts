import { expect, test } from "vitest";
import { readManifest } from "../../src/cluster/manifest.ts";
import { readPolicies } from "../../src/policy/readPolicies.ts";
import { loadRegexEngine } from "../../src/policy/regex.ts";
import { mutationsOf } from "../../src/synth/mutations.ts";

await loadRegexEngine();

function changesOf(text: string): string[] {
  const { policies, problems } = readPolicies(readManifest(text, "policy.yaml"), { defaultNamespace: "shop" });
  expect(problems.filter(({ severity }) => severity === "error")).toEqual([]);
  return policies.flatMap(mutationsOf).map(({ kind, what }) => `${kind}: ${what}`);
}

test("every rule, peer, port, label and prefix of a NetworkPolicy is changed by itself", () => {
  const text = `
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: orders}
spec:
  podSelector: {matchLabels: {app: orders, tier: back}}
  ingress:
  - from:
    - podSelector: {matchLabels: {app: web}}
      namespaceSelector: {matchLabels: {team: a}}
    - ipBlock: {cidr: 10.0.0.0/24, except: [10.0.0.8/29]}
    ports:
    - {port: 8080}
    - {port: 9000, endPort: 9010, protocol: UDP}
    - {port: http}`;
  expect(changesOf(text)).toMatchInlineSnapshot(`
    [
      "drop-policy: the policy removed",
      "remove-label: what it selects without app=orders",
      "remove-label: what it selects without tier=back",
      "drop-rule: ingress[0] removed",
      "swap-direction: ingress[0] as a rule for egress",
      "widen-peer: ingress[0] for any peer",
      "drop-peer: ingress[0].from[0] removed",
      "remove-label: ingress[0].from[0] without app=web",
      "remove-label: ingress[0].from[0] without team=a of the namespace",
      "drop-peer: ingress[0].from[1] removed",
      "drop-except: ingress[0].from[1] without except 10.0.0.8/29",
      "widen-prefix: ingress[0].from[1] for 10.0.0.0/23 in place of 10.0.0.0/24",
      "widen-port: ingress[0] on every port",
      "drop-port: ingress[0] without port 8080/TCP",
      "widen-port: ingress[0] on 8079-8080/TCP in place of 8080/TCP",
      "widen-port: ingress[0] on 8080-8081/TCP in place of 8080/TCP",
      "widen-port: ingress[0] on any TCP in place of 8080/TCP",
      "change-protocol: ingress[0] on 8080/UDP in place of 8080/TCP",
      "drop-port: ingress[0] without port 9000-9010/UDP",
      "widen-port: ingress[0] on 8999-9010/UDP in place of 9000-9010/UDP",
      "widen-port: ingress[0] on 9000-9011/UDP in place of 9000-9010/UDP",
      "widen-port: ingress[0] on any UDP in place of 9000-9010/UDP",
      "change-protocol: ingress[0] on 9000-9010/TCP in place of 9000-9010/UDP",
      "drop-port: ingress[0] without port http/TCP",
      "widen-port: ingress[0] on any TCP in place of http/TCP",
      "change-protocol: ingress[0] on http/UDP in place of http/TCP",
      "flip-action: ingress[0] as a rule that denies",
    ]
  `);
});

test("denials, requests and expressions of other dialects are changed, too", () => {
  const cilium = `
apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {name: orders}
spec:
  endpointSelector: {matchLabels: {app: orders}}
  ingressDeny:
  - fromEntities: [world, cluster]
  ingress:
  - fromEndpoints: [{matchLabels: {app: web}}]
    toPorts: [{ports: [{port: "80", protocol: TCP}], rules: {http: [{method: GET}]}}]`;
  const changes = changesOf(cilium);
  expect(changes).toContain("flip-action: ingressDeny[0] as a rule that allows");
  expect(changes).toContain("drop-peer: ingressDeny[0].fromEntities[1] removed");
  expect(changes.some((change) => change.startsWith("any-request: ingress[0]"))).toBe(true);
  const calico = `
apiVersion: projectcalico.org/v3
kind: NetworkPolicy
metadata: {name: orders}
spec:
  selector: app == 'orders'
  types: [Ingress]
  ingress:
  - action: Allow
    protocol: TCP
    source: {selector: "app == 'web' && has(team)"}
    destination: {ports: [80]}`;
  expect(changesOf(calico).filter((change) => change.startsWith("remove-label"))).not.toEqual([]);
});
