import type { Cluster } from "../cluster/snapshot.ts";
import type { EndpointResolver } from "../evaluate/endpoints.ts";
import { Evaluator, type World } from "../evaluate/evaluator.ts";
import { looksAtRequests } from "../evaluate/honoured.ts";
import type { CniProfile } from "../evaluate/profile.ts";
import { Simulation } from "../evaluate/simulation.ts";
import type { AddressTable } from "../flow/addressTable.ts";
import type { Connections } from "../flow/connections.ts";
import type { L7Hint } from "../flow/hints.ts";
import type { NameTable } from "../flow/names.ts";
import { compare } from "../net/order.ts";
import { type Policy, type PolicySet, policyTitle } from "../policy/model.ts";
import { identityOf, overlay } from "../policy/readPolicies.ts";
import { type Dialect, denyAll, refOf } from "./dialect.ts";
import { extendPolicies, type GivenPolicies } from "./extend.ts";
import { type Gathered, gather, type LearnedWorkload } from "./gather.ts";
import type { PolicyNames } from "./names.ts";
import { type AskedNames, PeerFinder } from "./peers.ts";
import { type PlannedPolicy, planDefaultDeny, planPolicy } from "./plan.ts";
import { decide, type Proof, prove, unproven } from "./proof.ts";
import { NO_RESOLVER, planRules } from "./rules.ts";
import { wideningOf } from "./widening.ts";
import { labelOf, type SelectableWorkload, type Workloads } from "./workloads.ts";

/** What policies are generated from. Where the connections came from does not matter. */
export interface GenerationInput {
  readonly cluster: Cluster;
  /** The pods, namespaces and names that policies select from; with those that only logs name. */
  readonly world: World;
  readonly connections: Connections;
  readonly addresses: AddressTable;
  readonly resolver: EndpointResolver;
  readonly names: NameTable;
  readonly requestsOf: (i: number) => readonly L7Hint[];
  readonly profile: CniProfile;
  /** Policies that stay in force beside those that are written. */
  readonly existing: PolicySet;
  readonly workloads: Workloads;
  readonly wanted: ReadonlySet<SelectableWorkload>;
  readonly policyNames: PolicyNames;
  readonly options: GenerationOptions;
  /** Policies that are to be extended; absent: new ones are written. */
  readonly given?: GivenPolicies;
  /** Where the evidence is from, for comments: names of inputs. */
  readonly sources: readonly string[];
}

export interface GenerationOptions {
  readonly dialect: Dialect;
  readonly includeFailed: boolean;
  readonly defaultDeny: boolean;
  readonly l7: boolean;
  readonly byName: boolean;
  /** Bits by which prefixes of outside addresses may be widened. */
  readonly widenBits: number;
  /** Workloads with less evidence than this get no policy. */
  readonly minSeconds: number;
  readonly minConnections: number;
}

/** A workload that gets no policy since too little was seen of it. */
export interface ThinWorkload {
  readonly workload: SelectableWorkload;
  readonly learned: LearnedWorkload;
  readonly why: string;
}

/** What was generated. */
export interface Generation {
  readonly policies: readonly PlannedPolicy[];
  readonly proof: Proof;
  readonly gathered: Gathered;
  readonly thin: readonly ThinWorkload[];
  /** Wanted workloads that took part in no connection. */
  readonly unobserved: readonly SelectableWorkload[];
  /** Wanted workloads that talked and that no policy can select. */
  readonly unselectable: readonly SelectableWorkload[];
  /** Wanted workloads of which every connection was left out. */
  readonly unlearned: readonly SelectableWorkload[];
  /** What a reader must know before it is applied, a line each. */
  readonly cautions: readonly string[];
  readonly simulation: Simulation;
}

/** Names of the policies that close everything while needs are looked for: no object can have such a name. */
const CLOSING = "(closing)";

/**
 * Generates policies from connections, and proves them: connections -> what each workload needs -> rules -> text -> the same
 * connections judged by the policies that the text reads as.
 */
export function generate(input: GenerationInput): Generation {
  const { cluster, world, workloads, wanted, options, policyNames } = input;
  // By the API's words a pod may always reach its own node, which only one plugin keeps, and pods move: rules are written for it.
  // Given policies are asked as the plugin asks them: they need no more than they were written for.
  const profile: CniProfile = input.given === undefined ? { ...input.profile, podToOwnNode: "judge" } : input.profile;
  const { dialect } = options;
  // What was denied is nothing to learn, nor to hold the rules against.
  const requestsOf = (i: number) => input.requestsOf(i).filter(({ refused }) => !refused);
  const base = input.given === undefined ? input.existing : overlay(input.existing, input.given.set, "overlay");
  const { set, closing } = input.given === undefined ? closedSet(input, profile) : { set: base, closing: openable(base, profile) };
  const existing = new Evaluator(base, world, profile);
  const closed = input.given === undefined ? new Evaluator(set, world, profile) : existing;
  const simulation = new Simulation(input.connections, input.addresses, input.resolver, closed, existing, requestsOf);
  const askedNames = options.byName ? namesAskedFor(simulation, requestsOf, workloads) : undefined;
  const peers = new PeerFinder({ cluster, workloads, names: input.names, profile, dialect, askedNames });
  const gathered = gather({
    closed: simulation,
    closing,
    peers,
    workloads,
    wanted,
    dialect,
    includeFailed: options.includeFailed,
    isServing: (address, protocol, port) => cluster.serviceIndex.isServing(address, protocol, port),
    requestsOf: options.l7 ? requestsOf : undefined,
  });
  const around = {
    cluster,
    workloads,
    peers,
    dialect,
    profile,
    widening: wideningOf(cluster),
    widenBits: options.widenBits,
    l7: options.l7,
    namesOf: (address: bigint) => input.names.namesOf(address),
  };
  const learned = [...gathered.workloads.values()].sort((a, b) => compare(labelOf(a.workload), labelOf(b.workload)));
  const thin = learned.flatMap((each): ThinWorkload[] => {
    const why = whyThin(each, options);
    return why === undefined ? [] : [{ workload: each.workload, learned: each, why }];
  });
  const isThin = new Set(thin.map(({ workload }) => workload));
  const needs = learned
    .filter(({ workload }) => !isThin.has(workload) && workload.selector !== undefined)
    .map((each) => ({ learned: each, rules: { ingress: planRules(each, "ingress", around), egress: planRules(each, "egress", around) } }));
  const { policies: extended, rest } =
    input.given === undefined ? { policies: [], rest: needs } : extendPolicies(needs, input.given, dialect, workloads);
  const planned = rest.map(({ learned: each, rules }) =>
    planPolicy(each, rules, {
      dialect,
      name: policyNames.of(each.workload),
      sources: input.sources,
      workloads,
      cut: gathered.cuts.get(each.workload.key) ?? new Map(),
    }),
  );
  const closedNamespaces = options.defaultDeny ? [...new Set([...wanted].map(({ namespace }) => namespace))].sort() : [];
  const denials = closedNamespaces.map((namespace) => planDefaultDeny(namespace, dialect, policyNames.ofDefaultDeny(namespace), workloads));
  const policies = [...extended, ...planned, ...denials];
  const tooMany = findTooMany(policies);
  const isUnlearned = ({ key }: SelectableWorkload) => !gathered.workloads.has(key);
  const byLabel = (a: SelectableWorkload, b: SelectableWorkload) => compare(labelOf(a), labelOf(b));
  return {
    policies,
    proof:
      tooMany.length > 0
        ? unproven(tooMany)
        : prove({ policies, set: base, world, profile, simulation, existing, gathered, resolver: input.resolver }),
    gathered,
    thin,
    unselectable: learned.map(({ workload }) => workload).filter(({ selector }) => selector === undefined),
    unobserved: [...wanted].filter((each) => isUnlearned(each) && !gathered.seen.has(each.key)).sort(byLabel),
    unlearned: [...wanted].filter((each) => isUnlearned(each) && gathered.seen.has(each.key)).sort(byLabel),
    cautions: [...findOpenedRequests(policies, existing), ...findLostDns(policies, workloads), ...findUnfinished(policies)],
    simulation,
  };
}

/** Prefixes that one rule may have: judging takes time and memory by their square, and nobody reads so many. */
const MOST_PREFIXES = 8192;

function findTooMany(policies: readonly PlannedPolicy[]): string[] {
  return policies.flatMap(({ file, rules }) =>
    rules.flatMap(({ rule, many }) => {
      if (many === undefined || many.count <= MOST_PREFIXES) return [];
      const enough = many.wider.find(({ count }) => count <= MOST_PREFIXES);
      const remedy = enough === undefined ? "" : `; --cidr-max-widen ${enough.bits} leaves ${enough.count}`;
      return [`${file} ${rule.ref.path} would list ${many.count} prefixes of outside addresses, more than ${MOST_PREFIXES}${remedy}`];
    }),
  );
}

/** Says where a rule allows every request though an existing policy allowed only some: allowances are a union. */
function findOpenedRequests(policies: readonly PlannedPolicy[], existing: Evaluator): string[] {
  if (!existing.policies.some(looksAtRequests)) return [];
  return policies.flatMap(({ file, rules }) =>
    rules.flatMap(({ rule, direction, seen }) => {
      if (rule.l7 !== undefined) return [];
      const limits = seen.map(
        ({ example, protocol, port }) => decide(existing, direction, example.subject, example.peer, protocol, port).l7,
      );
      const limiting = limits.find((l7) => l7 !== undefined)?.alternatives.at(0)?.policy;
      return limiting === undefined
        ? []
        : [
            `${file} ${rule.ref.path} allows every request where existing ${policyTitle(limiting.ref)} allows only some: it undoes that (--l7 writes rules on requests)`,
          ];
    }),
  );
}

/** Says who loses DNS once the cluster's DNS pods let in only those that were seen asking. */
function findLostDns(policies: readonly PlannedPolicy[], workloads: Workloads): string[] {
  return policies.flatMap(({ learned, rules }) => {
    const asking = rules.filter(({ direction, seen }) => direction === "ingress" && seen.some(({ isDns }) => isDns));
    if (learned === undefined || asking.length === 0) return [];
    const seen = new Set([...learned.ingress.values()].flatMap((peer) => [...peer.workloads]));
    const others = workloads.all.filter((each) => !seen.has(each) && each !== learned.workload).map(labelOf);
    if (others.length === 0) return [];
    const listed = others.length <= 3 ? others.join(", ") : `${others.slice(0, 3).join(", ")} and ${others.length - 3} more`;
    return [`${labelOf(learned.workload)} answers DNS only to those that were seen asking: ${listed} would lose it`];
  });
}

function findUnfinished(policies: readonly PlannedPolicy[]): string[] {
  return policies.flatMap(({ file, rules }) =>
    rules.filter(({ remarks }) => remarks.includes(NO_RESOLVER)).map(({ rule }) => `${file} ${rule.ref.path}: ${NO_RESOLVER}`),
  );
}

/** Returns the DNS names that each workload was seen to ask for, by its key. */
function namesAskedFor(simulation: Simulation, requestsOf: GenerationInput["requestsOf"], workloads: Workloads): AskedNames {
  const asked = new Map<string, Set<string>>();
  for (let i = 0; i < simulation.connections.size; i++) {
    const queries = requestsOf(i).flatMap(({ dns }) => (dns === undefined ? [] : [dns.query.toLowerCase().replace(/\.$/, "")]));
    if (queries.length === 0) continue;
    const { source } = simulation.ends(i);
    const workload = source.type === "pod" ? workloads.of(source.pod) : undefined;
    if (workload === undefined) continue;
    const known = asked.get(workload.key) ?? new Set();
    for (const query of queries) known.add(query);
    asked.set(workload.key, known);
  }
  return asked;
}

/**
 * Returns what is in force beside the written policies, less what it allows, with policies that isolate every pod: whatever is denied
 * by these alone needs a rule.
 */
function closedSet(input: GenerationInput, profile: CniProfile): { set: PolicySet; closing: ReadonlySet<Policy> } {
  const { workloads, options } = input;
  const kept = withoutReplaced(input);
  const namespaces = new Set(workloads.all.map(({ namespace }) => namespace));
  const closing = [...namespaces].map((namespace) => denyAll(options.dialect, namespace, CLOSING));
  return {
    set: { ...kept, policies: [...kept.policies.map((policy) => withoutAllowances(policy, profile)), ...closing] },
    closing: new Set(closing),
  };
}

/** Returns the policies whose isolation a rule in another one of their kind lifts. */
function openable({ policies }: PolicySet, { name }: CniProfile): ReadonlySet<Policy> {
  const isOpenable = ({ tier }: Policy) =>
    tier.kind === "networkpolicy" || tier.kind === "cilium" || (name === "calico" && tier.kind === "calico" && tier.name === "default");
  return new Set(policies.filter(isOpenable));
}

/** Existing policies without those whose place written ones may take. */
function withoutReplaced({ existing, policyNames, wanted, options: { dialect, defaultDeny } }: GenerationInput): PolicySet {
  const names = [...wanted].map((workload) => ({ namespace: workload.namespace, name: policyNames.of(workload).name }));
  const namespaces = defaultDeny ? [...new Set([...wanted].map(({ namespace }) => namespace))] : [];
  names.push(...namespaces.map((namespace) => ({ namespace, name: policyNames.ofDefaultDeny(namespace).name })));
  const replaced = new Set(names.map(({ namespace, name }) => identityOf(refOf(dialect, namespace, name))));
  return { ...existing, policies: existing.policies.filter(({ ref }) => !replaced.has(identityOf(ref))) };
}

/**
 * A policy without what it allows, where policies are a union: what is written stands by itself, whatever others allow as well.
 * Calico asks policies in order, so that a rule after one that allows would never be used.
 */
function withoutAllowances(policy: Policy, { name }: CniProfile): Policy {
  if (name === "calico" || (policy.tier.kind !== "networkpolicy" && policy.tier.kind !== "cilium")) return policy;
  const denials = (list: Policy["ingress"]) => list && { ...list, rules: list.rules.filter(({ action }) => action !== "allow") };
  const { ingress, egress, unlisted: _, ...rest } = policy;
  return { ...rest, ...(ingress ? { ingress: denials(ingress)! } : {}), ...(egress ? { egress: denials(egress)! } : {}) };
}

function whyThin({ evidence }: LearnedWorkload, { minSeconds, minConnections }: GenerationOptions): string | undefined {
  if (evidence.seen < minConnections)
    return `seen ${evidence.seen === 1 ? "once" : `${evidence.seen} times`}, less than --min-connections ${minConnections}`;
  if (minSeconds > 0 && !(evidence.seconds >= minSeconds))
    return Number.isNaN(evidence.seconds) ? "seen without times, so that --min-window cannot be held" : "seen for less than --min-window";
  return undefined;
}
