import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { dump } from "js-yaml";
import { selects } from "../src/cluster/selector.ts";
import { Evaluator, type Participant } from "../src/evaluate/evaluator.ts";
import { profileOf } from "../src/evaluate/profile.ts";
import { formatAddress } from "../src/net/address.ts";
import { formatPrefix } from "../src/net/prefix.ts";
import { protocolName, TCP } from "../src/net/protocol.ts";
import type { Policy, PolicySet, PortMatch } from "../src/policy/model.ts";
import { UnsayableError } from "../src/policy/printedObject.ts";
import { printPolicy } from "../src/policy/printPolicies.ts";
import { loadRegexEngine } from "../src/policy/regex.ts";
import { type MixedName, makeMixedSet } from "./mixedPolicies.ts";
import { makePolicyWorld, type PolicyWorld, SIZES, type Size } from "./policyWorld.ts";

/*
 * The clusters and policy sets of policyWorld.ts and mixedPolicies.ts as files, for `matrix` and `diff`: a snapshot with pods,
 * namespaces, nodes and service accounts, cut down as `kubectl kguardian snapshot` writes it; a folder with one file of policies a
 * namespace; the same folder with the port of one rule changed. Seeded: the same on every machine.
 */

await loadRegexEngine();

type KubernetesObject = Record<string, unknown> & { readonly kind: string; readonly metadata: { name: string; namespace?: string } };

export const COMPARED_SIZES: readonly Size[] = [{ pods: 200, policies: 200, namespaces: 20, workloads: 60 }, SIZES[1]];
export type ComparedSet = "plain" | MixedName;

/** Where the inputs of a comparison are. */
export interface ComparisonPaths {
  readonly snapshot: string;
  /** Folders. */
  readonly before: string;
  readonly after: string;
  /** Which rule differs, for people. */
  readonly changed: string;
  /** Policies of which a printer has no words, and which NetworkPolicies stand for. */
  readonly replaced: number;
}

/** Writes the inputs, over what is there. Throws where no rule can be changed. */
export function makeComparisonWorld(folder: string, size: Size, name: ComparedSet): ComparisonPaths {
  const own = join(folder, `compare-${size.pods}-${name}`);
  const paths = { snapshot: join(own, "snapshot.json"), before: join(own, "before"), after: join(own, "after") };
  const world = makePolicyWorld(size);
  const set: PolicySet = name === "plain" ? { policies: world.policies, tiers: [], sets: [] } : makeMixedSet(name, size, world);
  const { written, replaced } = printPolicies(set, world);
  const policies = written.map(({ policy }) => policy);
  const evaluator = new Evaluator({ ...set, policies }, world, profileOf(name === "plain" ? "generic" : name));
  const rule = findDecidingRule(evaluator, world, policies);
  const others = [...tierObjects(set), ...setObjects(set)];
  rmSync(own, { recursive: true, force: true });
  mkdirSync(own, { recursive: true });
  writeFileSync(paths.snapshot, `${JSON.stringify({ apiVersion: "v1", kind: "List", items: clusterObjects(world) })}\n`);
  writePolicies(paths.before, [...others, ...written.map(({ object }) => object)]);
  writePolicies(paths.after, [...others, ...changePort(written, rule)]);
  const { namespace, name: policyName } = rule.policy.ref;
  const changed = `NetworkPolicy ${namespace}/${policyName}, spec.ingress[0].ports[0].port: ${rule.port} becomes ${rule.port + 1}`;
  return { ...paths, changed, replaced };
}

/** One file with all policies of a namespace, and one with those of no namespace. */
function writePolicies(folder: string, objects: readonly KubernetesObject[]): void {
  mkdirSync(folder);
  const files = Map.groupBy(objects, ({ metadata }) => metadata.namespace ?? "cluster-wide");
  for (const [namespace, own] of files)
    writeFileSync(join(folder, `${namespace}.yaml`), own.map((object) => dump(object, { noRefs: true, lineWidth: -1 })).join("---\n"));
}

interface Written {
  readonly policy: Policy;
  readonly object: KubernetesObject;
}

/** As many policies as the set has, NetworkPolicies of the plain one in place of those that cannot be printed. */
function printPolicies(set: PolicySet, world: PolicyWorld): { written: Written[]; replaced: number } {
  const print = (policy: Policy): Written[] => {
    const object = printIfSayable(policy);
    return object === undefined ? [] : [{ policy, object }];
  };
  const printed = set.policies.flatMap(print);
  const replaced = set.policies.length - printed.length;
  const taken = new Set(set.policies);
  const others = world.policies.filter((policy) => !taken.has(policy)).slice(0, replaced);
  if (others.length < replaced) throw new Error(`${replaced} policies cannot be printed, and there are ${others.length} others`);
  return { written: [...printed, ...others.flatMap(print)], replaced };
}

function printIfSayable(policy: Policy): KubernetesObject | undefined {
  try {
    return printPolicy([policy]) as KubernetesObject;
  } catch (error) {
    if (error instanceof UnsayableError) return undefined;
    throw error;
  }
}

function tierObjects({ tiers }: PolicySet): KubernetesObject[] {
  return tiers.map(({ ref: { apiVersion, kind }, name, order, end }) => ({
    apiVersion,
    kind,
    metadata: { name },
    spec: { order, defaultAction: end === "deny" ? "Deny" : "Pass" },
  }));
}

function setObjects({ sets }: PolicySet): KubernetesObject[] {
  return sets.map(({ ref: { apiVersion, kind, namespace, name }, labels, prefixes }) => ({
    apiVersion,
    kind,
    metadata: { name, ...(namespace === undefined ? {} : { namespace }), labels },
    spec: { [kind === "CiliumCIDRGroup" ? "externalCIDRs" : "nets"]: prefixes.map(formatPrefix) },
  }));
}

/** Returns the objects with the port of one ingress rule changed. */
function changePort(written: readonly Written[], { policy, port }: { policy: Policy; port: number }): KubernetesObject[] {
  return written.map((each) => {
    if (each.policy !== policy) return each.object;
    const copy = structuredClone(each.object) as KubernetesObject & { spec: { ingress: { ports: { port: number }[] }[] } };
    copy.spec.ingress[0].ports[0].port = port + 1;
    return copy;
  });
}

/**
 * Finds a NetworkPolicy whose first ingress rule alone lets a pod reach another, so that its port makes a difference: most rules of
 * these sets do not, as the other side has no rule for it. Begins in the middle. Throws where there is none.
 */
function findDecidingRule(evaluator: Evaluator, { pods }: PolicyWorld, policies: readonly Policy[]): { policy: Policy; port: number } {
  const clients = [...new Map(pods.map((pod) => [pod.workload.name, pod])).values()].map((pod) => evaluator.classify(participantOf(pod)));
  const middle = policies.length >> 1;
  for (const policy of [...policies.slice(middle), ...policies.slice(0, middle)]) {
    const first = policy.ingress?.rules.at(0)?.ports;
    const ports = policy.tier.kind === "networkpolicy" && Array.isArray(first) ? (first as readonly PortMatch[])[0].ports : undefined;
    const server = pods.find((pod) => pod.namespace === policy.ref.namespace && selects(policy.subject.pods, pod.labels));
    if (server === undefined || ports === undefined || !("first" in ports)) continue;
    const to = evaluator.classify(participantOf(server));
    const portClass = evaluator.ports.classOf(TCP, ports.first);
    const isDeciding = clients.some((from) => {
      const egress = evaluator.decisions[evaluator.decideEgress(from, to, portClass)];
      const ingress = evaluator.decisions[evaluator.decideIngress(from, to, portClass)];
      // What a tier before it passes on counts for nothing.
      const matched = ingress.matched.filter(({ policy: { tier } }) => tier.kind !== "calico" || tier.name === "default");
      const isAlone = matched.length === 1 && matched[0].policy === policy && matched[0].rule.path.startsWith("ingress[0]");
      return isAlone && ingress.reason === "rule" && egress.verdict === "allow" && ingress.verdict === "allow";
    });
    if (isDeciding) return { policy, port: ports.first };
  }
  throw new Error("no rule decides anything alone");
}

function participantOf(pod: PolicyWorld["pods"][number]): Participant {
  return { type: "pod", pod, address: pod.addresses[0] };
}

function clusterObjects({ namespaces, nodes, pods, serviceAccounts }: PolicyWorld): object[] {
  return [
    ...[...namespaces.values()].map(({ name, labels }) => ({ apiVersion: "v1", kind: "Namespace", metadata: { name, labels } })),
    ...nodes.map(({ name, labels, addresses }) => ({
      apiVersion: "v1",
      kind: "Node",
      metadata: { name, labels },
      status: { addresses: addresses.map((address) => ({ type: "InternalIP", address: formatAddress(address) })) },
    })),
    ...[...serviceAccounts].map(([path, labels]) => {
      const [namespace, name] = path.split("/");
      return { apiVersion: "v1", kind: "ServiceAccount", metadata: { name, namespace, labels } };
    }),
    ...pods.map(podObject),
  ];
}

function podObject({
  namespace,
  name,
  labels,
  workload,
  nodeName,
  serviceAccountName,
  addresses,
  ports,
}: PolicyWorld["pods"][number]): object {
  const owner = { apiVersion: "apps/v1", kind: "ReplicaSet", name: `${workload.name}-${labels["pod-template-hash"]}`, controller: true };
  const ips = addresses.map(formatAddress);
  return {
    apiVersion: "v1",
    kind: "Pod",
    metadata: { name, namespace, labels, ownerReferences: [owner] },
    spec: {
      nodeName,
      serviceAccountName,
      containers: [{ ports: ports.map(({ name, port, protocol }) => ({ name, containerPort: port, protocol: protocolName(protocol) })) }],
    },
    status: { phase: "Running", podIP: ips[0], podIPs: ips.map((ip) => ({ ip })) },
  };
}
