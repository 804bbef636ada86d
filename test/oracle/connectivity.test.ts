import fc from "fast-check";
import { describe, test } from "vitest";
import type { Pod } from "../../src/cluster/objects.ts";
import { compileConnectivity } from "../../src/evaluate/compare.ts";
import type { Connectivity, EndSet } from "../../src/evaluate/connectivity.ts";
import { combine, type Decision } from "../../src/evaluate/decision.ts";
import { Evaluator, type Participant, type World } from "../../src/evaluate/evaluator.ts";
import { decideByRequests, type Request } from "../../src/evaluate/l7.ts";
import { outsideNames, type Role } from "../../src/evaluate/otherEnds.ts";
import type { Family } from "../../src/evaluate/podClasses.ts";
import type { PortSpan } from "../../src/evaluate/portSpace.ts";
import { type CniName, profileOf } from "../../src/evaluate/profile.ts";
import { NameTable } from "../../src/flow/names.ts";
import { type Address, isIPv4, parseAddress } from "../../src/net/address.ts";
import type { PolicySet } from "../../src/policy/model.ts";
import { loadRegexEngine } from "../../src/policy/regex.ts";
import { clusterOf, type PlainObject, policySetOf, snapshotText } from "./compiled.ts";
import { HTTP_PATHS } from "./dialectPools.ts";
import { type DialectWorld, dialectWorlds } from "./dialectWorlds.ts";

/*
 * What `diff` and `matrix` say of connectivity against exhaustive evaluation: every pair of ends, the first and last address of every
 * interval, the first and last port of every span, asked one by one. Two sets are equivalent exactly when no answer differs, each
 * difference that is listed is real, and no real one is missing.
 */

await loadRegexEngine();
const seed = process.env.FC_SEED === undefined ? 20261123 : Number(process.env.FC_SEED);
const factor = Number(process.env.FC_RUNS ?? 1);
const runs = (count: number) => ({ numRuns: Math.ceil(count * factor), seed, endOnFailure: false });

const REQUESTS: readonly Request[] = [
  {},
  ...HTTP_PATHS.flatMap((path) =>
    ["GET", "POST"].map(
      (method, index): Request => ({ http: { method, path, host: "h", headers: index === 0 ? { "x-token": "1" } : {} } }),
    ),
  ),
];

/** One end that is asked about: who it is, and the key of the set that it must be found in. */
interface End {
  readonly key: string;
  readonly family: 4 | 6;
  readonly participant: Participant;
  /** Another pod like it, for the pair with itself. */
  readonly twin?: Participant;
  /** What it is outside the cluster, where it is. */
  readonly role?: Role;
}

const twinOf = (pod: Pod): Pod => ({ ...pod, name: `${pod.name}-twin` });

interface Exhaustive {
  readonly connectivity: Connectivity;
  readonly ends: readonly End[];
  readonly evaluators: readonly Evaluator[];
}

/** Compiles sets in one world for comparison, and again for asking one by one. */
function prepare({ resources }: Pick<DialectWorld, "resources">, sets: readonly PolicySet[], cni: CniName): Exhaustive {
  const cluster = clusterOf(snapshotText(resources));
  const apiServers = new Set([parseAddress("192.0.2.12")!]);
  const world: World = { ...cluster, apiServers };
  const profile = profileOf(cni);
  const connectivity = compileConnectivity(sets.map((set) => ({ set, world, profile, isInside: () => false })));
  const names = new NameTable();
  const ends: End[] = [];
  const twins = new Map<Pod, Pod>(world.pods.map((pod) => [pod, twinOf(pod)]));
  connectivity.classes.forEach(({ members }, number) => {
    for (const [pod] of members)
      for (const address of pod!.addresses)
        ends.push({
          key: `p${number}`,
          family: familyOf(address),
          participant: { type: "pod", pod: pod!, address },
          twin: { type: "pod", pod: twins.get(pod!)!, address },
        });
  });
  for (const node of world.nodes)
    for (const address of node.addresses)
      ends.push({ key: `n${node.name}`, family: familyOf(address), participant: { type: "node", node, address } });
  for (const { entity } of connectivity.entities)
    for (const address of ["192.0.2.13", "fd00:0:0:9::3"].map((text) => parseAddress(text)!))
      ends.push({ key: `e${entity}`, family: familyOf(address), participant: { type: "reserved", entity, address } });
  ends.push(...outsideEnds(connectivity, names, outsideNames(sets.flatMap(({ policies }) => policies))));
  const evaluators = sets.map((set) => new Evaluator(set, { ...world, pods: [...world.pods, ...twins.values()], names }, profile));
  return { connectivity, ends, evaluators };
}

function familyOf(address: Address): 4 | 6 {
  return isIPv4(address) ? 4 : 6;
}

/** The first and last address of every interval without a name; roles take turns at the intervals' other addresses. */
function outsideEnds({ addresses, roles }: Connectivity, names: NameTable, examples: readonly { text: string; example: string }[]): End[] {
  const ends: End[] = [];
  const taken = new Set<Address>();
  const add = (end: number, family: 4 | 6, address: Address, roleNumber: number) => {
    if (taken.has(address)) return;
    taken.add(address);
    const role = roles[roleNumber];
    if (role.name === undefined) names.know(address);
    else names.add(address, examples.find(({ text }) => text === role.name)!.example);
    const participant = { type: "external", address, isApiServer: role.isApiServer === true } as const;
    ends.push({ key: `o${roleNumber} ${end}`, family, participant, role });
  };
  addresses.forEach(({ ranges, family }, end) => {
    for (const { first, last } of ranges) {
      add(end, family, first, 0);
      add(end, family, last, 0);
    }
    const { first, last } = ranges[0];
    roles.forEach(({ name, isApiServer }, number) => {
      // An API server that bears a name is told where that makes a difference: test/evaluate/compare.test.ts.
      if (name !== undefined && isApiServer) return;
      if (number > 0 && first + BigInt(number) < last) add(end, family, first + BigInt(number), number);
    });
  });
  return ends;
}

/** What a connectivity says of pairs of ends, by their keys and family. */
function indexOf(connectivity: Connectivity, links: ReturnType<Connectivity["differences"]>): Map<string, readonly number[]> {
  const index = new Map<string, readonly number[]>();
  const keysOf = (set: EndSet, family: 4 | 6): string[] => {
    switch (set.kind) {
      case "pods": {
        const keys: string[] = [];
        set.classes.forEach((number) => keys.push(`p${number}`));
        return keys;
      }
      case "nodes":
        return set.nodes
          .filter((node) => node.family === family)
          .flatMap(({ names, relation }) => names.map((name) => `n${name} ${relation}`));
      case "entity":
        return [`e${set.entity.entity}`];
      case "outside":
        return set.addresses
          .filter((end) => end.family === family)
          .flatMap((end) =>
            // An entry without a role is every role's that makes no difference.
            (set.role === connectivity.roles[0] ? connectivity.roles.filter((role) => !set.except.includes(role)) : [set.role]).map(
              (role) => `o${connectivity.roles.indexOf(role)} ${connectivity.addresses.indexOf(end)}`,
            ),
          );
    }
  };
  for (const { sources, destinations, family, verdicts } of links)
    for (const one of family === 0 ? ([4, 6] as const) : [family])
      for (const source of keysOf(sources, one))
        for (const destination of keysOf(destinations, one)) {
          const key = `${one} ${source} > ${destination}`;
          if (index.has(key)) throw new Error(`${key} is listed twice`);
          index.set(key, verdicts);
        }
  return index;
}

/** Decides for both evaluators, by every request; "unknown" where the request does not tell. */
function answers(
  { evaluators }: Exhaustive,
  source: Participant,
  destination: Participant,
  { protocol, port, sourcePort }: Sample,
): string[] {
  return evaluators.map((evaluator) => {
    const portClass = evaluator.ports.withSource(evaluator.ports.classOf(protocol, port), protocol, sourcePort);
    const [from, to] = [evaluator.classify(source), evaluator.classify(destination)];
    const decisions = [evaluator.decideEgress(from, to, portClass), evaluator.decideIngress(from, to, portClass)].map(
      (id): Decision => evaluator.decisions[id],
    );
    const isOpen = decisions.some(({ l7 }) => l7 !== undefined);
    const requests = isOpen ? REQUESTS.map((request) => [request]) : [[]];
    const verdicts = requests.map((request) => {
      const [egress, ingress] = decisions.map((decision) => decideByRequests(decision, request).verdict);
      return combine(egress, ingress);
    });
    return new Set(verdicts).size === 1 ? verdicts[0] : verdicts.join();
  });
}

interface Sample {
  readonly protocol: number;
  readonly port: number;
  readonly sourcePort: number;
}

/** The first and last port of a span; 255 stands for protocols that nobody names. */
function samplesOf({ protocol, first, last, sourceFirst, sourceLast }: PortSpan): Sample[] {
  return [
    { protocol: protocol < 0 ? 251 : protocol, port: Math.max(first, 0), sourcePort: sourceFirst },
    { protocol: protocol < 0 ? 253 : protocol, port: Math.max(last, 0), sourcePort: sourceLast },
  ];
}

function keyOf(end: End, other: End): string {
  if (end.participant.type !== "node" || other.participant.type !== "pod") return end.key;
  return `${end.key} ${other.participant.pod.nodeName === end.participant.node.name ? "own" : "other"}`;
}

/** Compares what is listed with what asking says, at every pair of ends and span. Returns whether any answer differs. */
function checkAll(what: Exhaustive, links: ReturnType<Connectivity["differences"]>, context: () => string): boolean {
  const { connectivity, ends } = what;
  const { verdicts } = connectivity;
  const { spans } = verdicts.space;
  const index = indexOf(connectivity, links);
  let differs = false;
  for (const source of ends)
    for (const destination of ends) {
      const isPods = source.participant.type === "pod" || destination.participant.type === "pod";
      if (!isPods || source.family !== destination.family || !isRelevant(source) || !isRelevant(destination)) continue;
      const to = source === destination ? destination.twin! : isSame(source, destination) ? destination.twin! : destination.participant;
      const listed = index.get(`${source.family} ${keyOf(source, destination)} > ${keyOf(destination, source)}`);
      spans.forEach((span, number) => {
        if (!verdicts.space.isOf(number, source.family)) return;
        for (const sample of samplesOf(span)) {
          const real = answers(what, source.participant, to, sample);
          const outcomes = listed?.map((verdict) => verdicts.outcomeAt(verdict, number));
          const isListed = outcomes !== undefined && outcomes[0] !== outcomes[1];
          const isReal = real[0] !== real[1];
          const say = () =>
            `${source.family} ${keyOf(source, destination)} > ${keyOf(destination, source)} ${JSON.stringify(sample)}: ${real.join(" became ")}, listed ${outcomes?.map((outcome) => verdicts.meaningOf(outcome).verdict).join(" became ")} in ${context()}`;
          if (isReal && !isListed) throw new Error(`missing: ${say()}`);
          // Rules on requests may differ in what none of the requests here shows.
          const isOpen = outcomes?.every((outcome) => verdicts.meaningOf(outcome).verdict === "unknown") === true;
          if (isListed && !isReal && !isOpen) throw new Error(`not real: ${say()}`);
          if (isListed && !isOpen)
            outcomes.forEach((outcome, e) => {
              const { verdict } = verdicts.meaningOf(outcome);
              if (verdict !== "unknown" && !real[e].split(",").every((each) => each === verdict)) throw new Error(`wrong: ${say()}`);
            });
          if (isReal) differs = true;
        }
      });
    }
  return differs;
}

function isSame({ participant: a }: End, { participant: b }: End): boolean {
  return a.type === "pod" && b.type === "pod" && a.pod === b.pod;
}

/** Pods of no known node have no own one. */
function isRelevant({ participant }: End): boolean {
  return participant.type !== "pod" || participant.pod.nodeName !== undefined;
}

const edits: readonly ((policies: readonly PlainObject[], others: readonly PlainObject[], n: number) => readonly PlainObject[])[] = [
  (policies) => policies.toReversed(),
  (policies, _others, n) => policies.filter((_, i) => i !== n % Math.max(policies.length, 1)),
  (policies, others, n) => [...policies.filter((_, i) => i !== n % Math.max(policies.length, 1)), ...others.slice(0, 1)],
  (_policies, others) => others,
  (policies, _others, n) => edited(policies, n),
];

/** Changes one number or word in one policy. */
function edited(policies: readonly PlainObject[], n: number): readonly PlainObject[] {
  const at = n % Math.max(policies.length, 1);
  const swap = [/"port":80\b/, /"app":"web"/, /"protocol":"TCP"/, /"port":443\b/, /10\.0\.0\.0\/8/, /"Ingress"/][n % 6];
  const by = ['"port":81', '"app":"api"', '"protocol":"UDP"', '"port":"http"', "10.244.0.0/16", '"Egress"'][n % 6];
  return policies.map((policy, i) => (i === at ? JSON.parse(JSON.stringify(policy).replace(swap, by)) : policy));
}

const readable = (objects: readonly PlainObject[]): PolicySet | undefined => {
  try {
    return policySetOf(objects);
  } catch {
    return undefined;
  }
};

describe.each(["generic", "cilium", "calico"] as const)("connectivity under %s", (cni) => {
  const pairs = fc.record({ world: dialectWorlds(cni, 2), other: dialectWorlds(cni, 2), how: fc.nat(edits.length - 1), n: fc.nat(1000) });

  test("differences are what exhaustive evaluation finds", () => {
    fc.assert(
      fc.property(pairs, ({ world, other, how, n }) => {
        const after = edits[how](world.policies, other.policies, n);
        const sets = [policySetOf(world.policies), readable(after)];
        if (sets[1] === undefined) return;
        const what = prepare(world, sets as PolicySet[], cni);
        const links = what.connectivity.differences();
        const context = () => JSON.stringify({ resources: world.resources, before: world.policies, after });
        const differs = checkAll(what, links, context);
        if (how === 0 && links.length > 0) throw new Error(`reversed, and not equivalent: ${context()}`);
        if (differs && links.length === 0) throw new Error(`equivalent, and not the same: ${context()}`);
      }),
      runs(25),
    );
  });

  test("what one set allows is what exhaustive evaluation allows", () => {
    fc.assert(
      fc.property(dialectWorlds(cni, 2), (world) => {
        const set = policySetOf(world.policies);
        const what = prepare(world, [set], cni);
        const context = () => JSON.stringify(world);
        const { verdicts } = what.connectivity;
        const index = indexOf(what.connectivity, what.connectivity.allowed());
        const familyKey = (family: Family, a: string, b: string) => `${family} ${a} > ${b}`;
        for (const source of what.ends)
          for (const destination of what.ends) {
            const isPods = source.participant.type === "pod" || destination.participant.type === "pod";
            if (!isPods || source.family !== destination.family || !isRelevant(source) || !isRelevant(destination)) continue;
            const to = isSame(source, destination) ? destination.twin! : destination.participant;
            const [from, into] = [keyOf(source, destination), keyOf(destination, source)];
            const listed = index.get(familyKey(source.family, from, into));
            verdicts.space.spans.forEach((span, number) => {
              if (!verdicts.space.isOf(number, source.family)) return;
              for (const sample of samplesOf(span)) {
                const [real] = answers(what, source.participant, to, sample);
                const verdict = listed === undefined ? "deny" : verdicts.meaningOf(verdicts.outcomeAt(listed[0], number)).verdict;
                const fits = verdict === "unknown" ? true : real.split(",").every((each) => each === verdict);
                if (!fits) throw new Error(`${from} > ${into} ${JSON.stringify(sample)}: ${real}, listed ${verdict}, in ${context()}`);
              }
            });
          }
      }),
      runs(15),
    );
  });
});
