import fc from "fast-check";
import { given, inRange, list, maybe, NODE_LABELS, often, unique } from "./dialectPools.ts";
import { BLOCKS, NAMES, namespaceSelector, PORTS, PROTOCOLS, podSelector, selectorOf, some } from "./worlds.ts";

/* Random AdminNetworkPolicies, BaselineAdminNetworkPolicies and ClusterNetworkPolicies. */

const NAME_PATTERNS = ["example.com", "*.example.com", "a.example.com", "*.other.org", "api.other.org"];
const nodeSelector = selectorOf(NODE_LABELS);

interface AdminWords {
  readonly allow: string;
  readonly isNew: boolean;
}

function adminPort({ isNew }: AdminWords): fc.Arbitrary<object> {
  const range = inRange.map(([a, b]) => ({ start: Math.min(a, b), end: Math.max(a, b) }));
  if (!isNew)
    return fc.oneof(
      fc.record({ portNumber: fc.record({ protocol: some(PROTOCOLS), port: some(PORTS) }) }),
      fc.record({ portRange: fc.tuple(some(PROTOCOLS), range).map(([protocol, ends]) => ({ protocol, ...ends })) }),
      fc.record({ namedPort: some(NAMES) }),
    );
  const port = fc.oneof(fc.record({ number: some(PORTS) }), fc.record({ range }));
  return fc.oneof(
    fc.tuple(some(["tcp", "udp", "sctp"]), port).map(([protocol, destinationPort]) => ({ [protocol]: { destinationPort } })),
    fc.record({ destinationNamedPort: some(NAMES) }),
  );
}

const podsPeer = fc.oneof(fc.record({ namespaces: namespaceSelector }), fc.record({ pods: fc.record({ namespaceSelector, podSelector }) }));
const otherPeer = fc.oneof(
  fc.record({ networks: unique(BLOCKS) }),
  fc.record({ nodes: nodeSelector }),
  fc.record({ domainNames: unique(NAME_PATTERNS) }),
);

function adminRules(words: AdminWords, field: "from" | "to", actions: readonly string[]): fc.Arbitrary<object[]> {
  const [portsField, named] = words.isNew ? ["protocols", "destinationNamedPort"] : ["ports", "namedPort"];
  const peers = list(field === "to" ? fc.oneof(podsPeer, otherPeer) : podsPeer);
  const rule = fc.tuple(some(actions), peers, maybe(list(adminPort(words)))).map(([action, to, ports]) => {
    const [isNamed, isOther] = [to.some((peer) => "domainNames" in peer), to.some((peer) => !("namespaces" in peer || "pods" in peer))];
    // What the CRDs refuse: names are for Accept alone, named ports for pods alone.
    const kept = isOther ? ports?.filter((port) => !(named in port)) : ports;
    return given({ action: isNamed ? words.allow : action, [field]: to, [portsField]: kept?.length ? kept : undefined });
  });
  return list(rule, 3);
}

const subject = often(
  { namespaces: {} },
  fc.oneof(fc.record({ namespaces: namespaceSelector }), fc.record({ pods: fc.record({ namespaceSelector, podSelector }) })),
);

function adminSpec(words: AdminWords, actions: readonly string[]) {
  const rules = { ingress: maybe(adminRules(words, "from", actions)), egress: maybe(adminRules(words, "to", actions)) };
  return fc.record({ subject, ...rules }).map(given);
}

const OLD: AdminWords = { allow: "Allow", isNew: false };
const NEW: AdminWords = { allow: "Accept", isNew: true };

/** Priorities are drawn small and made different by whoever puts the objects together: equal ones are undefined. */
export const adminPolicy = adminSpec(OLD, ["Allow", "Deny", "Pass"]).map((spec) => (name: string, priority: number) => ({
  apiVersion: "policy.networking.k8s.io/v1alpha1",
  kind: "AdminNetworkPolicy",
  metadata: { name },
  spec: { priority, ...spec },
}));
export const baselinePolicy = adminSpec(OLD, ["Allow", "Deny"]).map((spec) => ({
  apiVersion: "policy.networking.k8s.io/v1alpha1",
  kind: "BaselineAdminNetworkPolicy",
  metadata: { name: "default" },
  spec: withoutNames(spec),
}));
export const clusterPolicy = fc
  .tuple(some(["Admin", "Baseline"]), adminSpec(NEW, ["Accept", "Deny", "Pass"]))
  .map(([tier, spec]) => (name: string, priority: number) => ({
    apiVersion: "policy.networking.k8s.io/v1alpha2",
    kind: "ClusterNetworkPolicy",
    metadata: { name },
    spec: { tier, priority, ...spec },
  }));

/** A BaselineAdminNetworkPolicy knows no domain names. */
function withoutNames(spec: Readonly<Record<string, unknown>>): object {
  const egress = (spec.egress as { to: object[] }[] | undefined)?.filter(({ to }) => !to.some((peer) => "domainNames" in peer));
  return given({ ...spec, egress: egress?.length ? egress : undefined });
}
