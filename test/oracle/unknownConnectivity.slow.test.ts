import fc from "fast-check";
import { describe, test } from "vitest";
import type { Pod } from "../../src/cluster/objects.ts";
import { compileConnectivity } from "../../src/evaluate/compare.ts";
import type { Connectivity, EndSet } from "../../src/evaluate/connectivity.ts";
import type { World } from "../../src/evaluate/evaluator.ts";
import { type CniName, profileOf } from "../../src/evaluate/profile.ts";
import type { PolicySet } from "../../src/policy/model.ts";
import { loadRegexEngine } from "../../src/policy/regex.ts";
import { clusterOf, type PlainObject, policySetOf, snapshotText } from "./compiled.ts";
import { dialectWorlds } from "./dialectWorlds.ts";
import type { Resources } from "./obviousEvaluator.ts";
import { completions, NAMESPACES } from "./worlds.ts";

/*
 * Where facts are missing, comparison must hold whatever they are: what differs with the labels of a namespace known, or the
 * addresses of pods, is listed without them; and what is decided without them is decided so with them.
 */

await loadRegexEngine();
const seed = process.env.FC_SEED === undefined ? 20261123 : Number(process.env.FC_SEED);
const factor = Number(process.env.FC_RUNS ?? 1);

interface Cell {
  readonly verdicts: readonly string[];
  readonly differs: boolean;
}

/** Says what two sets, or what one does, of two pods and an outside address on a port. */
type Ask = (source: string, destination: string, protocol: number, port: number) => Cell;

function compare(sets: readonly PolicySet[], world: World, cni: CniName): { connectivity: Connectivity; ask: Ask } {
  const connectivity = compileConnectivity(sets.map((set) => ({ set, world, profile: profileOf(cni), isInside: () => false })));
  const links = connectivity.differences();
  const classOf = new Map<string, number>();
  connectivity.classes.forEach(({ members }, number) => {
    for (const [pod] of members) classOf.set(`${pod!.namespace}/${pod!.name}`, number);
  });
  const holds = (set: EndSet, number: number) => set.kind === "pods" && set.classes.has(number);
  const { verdicts } = connectivity;
  const ask: Ask = (source, destination, protocol, port) => {
    const [s, d] = [classOf.get(source)!, classOf.get(destination)!];
    const span = verdicts.space.spans.findIndex((each) => each.protocol === protocol && port >= each.first && port <= each.last);
    const link = links.find(({ sources, destinations, family }) => family !== 6 && holds(sources, s) && holds(destinations, d));
    const outcomes = link?.verdicts.map((verdict) => verdicts.outcomeAt(verdict, span)) ?? [];
    return { verdicts: outcomes.map((outcome) => verdicts.meaningOf(outcome).verdict), differs: outcomes[0] !== outcomes[1] };
  };
  return { connectivity, ask };
}

/** Compares what is listed with facts missing against what is listed with them. */
function hold(
  sets: readonly PolicySet[],
  poor: World,
  rich: readonly World[],
  cni: CniName,
  pods: readonly Pod[],
  context: () => string,
): void {
  const without = compare(sets, poor, cni);
  for (const world of rich) {
    const known = compare(sets, world, cni);
    const spans = [...without.connectivity.verdicts.space.spans, ...known.connectivity.verdicts.space.spans].filter(
      ({ protocol, first, sourceFirst }) => protocol > 0 && first >= 0 && sourceFirst < 0,
    );
    for (const a of pods)
      for (const b of pods)
        for (const { protocol, first } of spans) {
          const [from, to] = [a, b].map(({ namespace, name }) => `${namespace}/${name}`);
          const [less, more] = [without.ask(from, to, protocol, first), known.ask(from, to, protocol, first)];
          const say = (what: string) => `${what}: ${from} > ${to} ${protocol}/${first} ${JSON.stringify([less, more])} in ${context()}`;
          if (more.differs && !less.differs) throw new Error(say("differs once the facts are known, and was not listed"));
          for (const [i, verdict] of less.verdicts.entries())
            if (less.differs && more.differs && verdict !== "unknown" && more.verdicts[i] !== verdict && more.verdicts[i] !== "unknown")
              throw new Error(say("was decided otherwise"));
        }
  }
}

function edited(policies: readonly PlainObject[], others: readonly PlainObject[], how: number, n: number): readonly PlainObject[] {
  const at = n % Math.max(policies.length, 1);
  if (how === 0) return policies.filter((_, i) => i !== at);
  if (how === 1) return [...policies.filter((_, i) => i !== at), ...others.slice(0, 1)];
  if (how === 2) return policies.toReversed();
  const swaps = [
    ['"port":80', '"port":81'],
    ['"team":"red"', '"team":"blue"'],
    ['"zone":"1"', '"zone":"2"'],
    ['"Deny"', '"Allow"'],
    ['"Pass"', '"Deny"'],
    ["10.0.0.0/8", "10.244.0.0/16"],
  ];
  const [from, to] = swaps[n % swaps.length];
  return policies.map((policy, i) => (i === at ? JSON.parse(JSON.stringify(policy).replaceAll(from, to)) : policy));
}

const readable = (objects: readonly PlainObject[]): PolicySet | undefined => {
  try {
    return policySetOf(objects);
  } catch {
    return undefined;
  }
};

const worldOf = (resources: Resources): World => clusterOf(snapshotText(resources));

describe.each(["generic", "cilium", "calico"] as const)("missing facts under %s", (cni) => {
  const cases = fc.record({ world: dialectWorlds(cni, 2), other: dialectWorlds(cni, 2), how: fc.nat(3), n: fc.nat(1000) });
  const runs = (count: number) => ({ numRuns: Math.ceil(count * factor), seed, endOnFailure: false });

  test("labels of a namespace: what differs with any is listed without", () => {
    fc.assert(
      fc.property(cases, fc.nat(NAMESPACES.length - 1), ({ world, other, how, n }, gone) => {
        const after = edited(world.policies, other.policies, how, n);
        const sets = [policySetOf(world.policies), readable(after)];
        if (sets[1] === undefined) return;
        const missing = NAMESPACES[gone];
        const poor = { ...world.resources, namespaces: world.resources.namespaces.filter(({ name }) => name !== missing) };
        const rich = completions(poor, [missing]).map(worldOf);
        const context = () => JSON.stringify({ resources: poor, before: world.policies, after });
        const less = worldOf(poor);
        hold(
          sets as PolicySet[],
          less,
          rich,
          cni,
          less.pods.filter((pod) => !pod.hostNetwork),
          context,
        );
      }),
      runs(15),
    );
  });

  test("addresses of pods: what differs with them is listed without", () => {
    fc.assert(
      fc.property(cases, ({ world, other, how, n }) => {
        const after = edited(world.policies, other.policies, how, n);
        const sets = [policySetOf(world.policies), readable(after)];
        if (sets[1] === undefined) return;
        const rich = worldOf({ ...world.resources, services: [] });
        const poor: World = { ...rich, pods: rich.pods.map((pod) => (pod.hostNetwork ? pod : { ...pod, addresses: [] })) };
        const pods = rich.pods.filter((pod) => !pod.hostNetwork && pod.addresses.some((address) => address >> 32n === 0xffffn));
        hold(sets as PolicySet[], poor, [rich], cni, pods, () => JSON.stringify({ ...world, after }));
      }),
      runs(25),
    );
  });
});
