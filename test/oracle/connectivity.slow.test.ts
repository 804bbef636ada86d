import fc from "fast-check";
import { describe, test } from "vitest";
import type { Connectivity, EndSet } from "../../src/evaluate/connectivity.ts";
import type { Family } from "../../src/evaluate/podClasses.ts";
import type { PolicySet } from "../../src/policy/model.ts";
import { loadRegexEngine } from "../../src/policy/regex.ts";
import { type PlainObject, policySetOf } from "./compiled.ts";
import { dialectWorlds } from "./dialectWorlds.ts";
import { answers, type Exhaustive, isRelevant, isSame, keyOf, prepare, samplesOf } from "./exhaustive.ts";

/*
 * What `diff` and `matrix` say of connectivity against exhaustive evaluation: every pair of ends, the first and last address of every
 * interval, the first and last port of every span, asked one by one. Two sets are equivalent exactly when no answer differs, each
 * difference that is listed is real, and no real one is missing.
 */

await loadRegexEngine();
const seed = process.env.FC_SEED === undefined ? 20261123 : Number(process.env.FC_SEED);
const factor = Number(process.env.FC_RUNS ?? 1);
const runs = (count: number) => ({ numRuns: Math.ceil(count * factor), seed, endOnFailure: false });

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
