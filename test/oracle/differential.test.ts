import { existsSync, readdirSync, readFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { Decision, Verdict } from "../../src/evaluate/decision.ts";
import { compile, plain } from "./compiled.ts";
import { type Flow, judge, type NetworkPolicy, type Opinion, type PolicyRule, type Resources } from "./obviousEvaluator.ts";
import { type Asked, askedWorlds, completions, flowsAt, rules, strangers, worlds } from "./worlds.ts";

/*
 * The compiled evaluator against the obvious one on random clusters, and laws that hold whatever the policies are. FC_RUNS and
 * FC_SEED in the environment make a longer or another run. A mismatch is shown with its whole case as one line of JSON: saved as a
 * file in fixtures/verdicts it is asked again in every run.
 */

const seed = process.env.FC_SEED === undefined ? 20260102 : Number(process.env.FC_SEED);
const factor = Number(process.env.FC_RUNS ?? 1);
const runs = (count: number) => ({ numRuns: count * factor, seed, endOnFailure: false });

/** Throws with the case where a flow is not answered as it must be. */
function fail(
  what: string,
  asked: Asked | { resources: Resources; policies: readonly NetworkPolicy[] },
  flow: Flow,
  expected: unknown,
  got: unknown,
): never {
  const { resources, policies } = asked;
  throw new Error(
    `${what}: expected ${JSON.stringify(expected)}, got ${JSON.stringify(got)}, in case ${JSON.stringify({ resources, policies, flows: [flow] })}`,
  );
}

/** What the compiled evaluator must say where the obvious one gave an opinion. */
function expectedOf({ allowed, exempt, isolatedBy, matched }: Opinion): Record<string, unknown> {
  const reason = exempt ?? (isolatedBy.length === 0 ? "no-policy" : allowed ? "rule" : "isolated");
  return { verdict: allowed ? "allow" : "deny", reason, isolatedBy: [...isolatedBy].sort(), matched: [...matched].sort() };
}

/** Compares verdict, reason, the policies that isolate and the rules that match. */
function compare(asked: Asked): void {
  const { ask } = compile(asked.resources, asked.policies, { outside: true });
  for (const flow of asked.flows) {
    const decisions = ask(flow);
    const opinions = judge(asked.resources, asked.policies, flow);
    for (const side of ["egress", "ingress"] as const) {
      const { notes: _, ...got } = plain(decisions[side]);
      const expected = expectedOf(opinions[side]);
      if (JSON.stringify(got) !== JSON.stringify(expected)) fail(side, asked, flow, expected, got);
    }
  }
}

describe("compiled against obvious", () => {
  test("verdict, reason, isolating policies and matching rules agree where all is known", () => {
    fc.assert(fc.property(askedWorlds({ allKnown: true, flows: 60 }), compare), runs(1000));
  });

  const folder = new URL("../../fixtures/verdicts/", import.meta.url);
  const saved = existsSync(folder) ? readdirSync(folder).filter((name) => name.endsWith(".json")) : [];
  test.each(saved)("fixtures/verdicts/%s", (name) => compare(JSON.parse(readFileSync(new URL(name, folder), "utf8"))));
});

describe("three values", () => {
  test("unlabelled namespaces: a verdict that some labels change is unknown; a known verdict holds whatever the labels", () => {
    fc.assert(
      fc.property(askedWorlds({ allKnown: false, flows: 20 }), (asked) => {
        const { ask } = compile(asked.resources, asked.policies, { outside: true });
        for (const flow of asked.flows) {
          const decisions = ask(flow);
          const possible = possibleVerdicts(asked, flow);
          for (const side of ["egress", "ingress"] as const) checkSound(asked, flow, side, decisions[side], possible[side]);
        }
      }),
      runs(300),
    );
  });

  test("a pod taken out: unknown, or the verdict that it had, whatever its namespace, labels and ports", () => {
    fc.assert(
      fc.property(
        worlds({ allKnown: true }),
        fc.array(strangers, { minLength: 1, maxLength: 4 }),
        fc.array(fc.tuple(fc.nat(), fc.nat()), { minLength: 1, maxLength: 10 }),
        (world, guests, numbers) => {
          const address = "10.244.0.200";
          const { ask } = compile(world.resources, world.policies);
          const flows = flowsAt(
            world,
            numbers.map(([end, port]) => [end, end, port, port >>> 3]),
          ).flatMap((flow) => [
            { ...flow, source: address },
            { ...flow, destination: address },
          ]);
          const unknown = { type: "unknown", address: 0xffff_0af4_00c8n } as const;
          for (const flow of flows) {
            const decisions = ask(flow, flow.source === address ? { source: unknown } : { destination: unknown });
            for (const guest of guests) {
              const resources = { ...world.resources, pods: [...world.resources.pods, guest(address)] };
              const opinions = judge(resources, world.policies, flow);
              for (const side of ["egress", "ingress"] as const) {
                const { verdict } = decisions[side];
                const expected = opinions[side].allowed ? "allow" : "deny";
                if (verdict !== "unknown" && verdict !== expected)
                  fail(side, { ...world, resources }, flow, expected, plain(decisions[side]));
              }
            }
          }
        },
      ),
      runs(500),
    );
  });
});

/** The verdicts that a side gets under all the labels that namespaces without an object could have. */
function possibleVerdicts(asked: Asked, flow: Flow): Record<"egress" | "ingress", ReadonlySet<Verdict>> {
  const ends = asked.resources.pods.filter(({ ip, ips = [ip] }) => ips.includes(flow.source) || ips.includes(flow.destination));
  const missing = [...new Set(ends.map(({ namespace }) => namespace))].filter(
    (name) => !asked.resources.namespaces.some((known) => known.name === name),
  );
  const possible = { egress: new Set<Verdict>(), ingress: new Set<Verdict>() };
  for (const resources of completions(asked.resources, missing)) {
    const { egress, ingress } = judge(resources, asked.policies, flow);
    possible.egress.add(egress.allowed ? "allow" : "deny");
    possible.ingress.add(ingress.allowed ? "allow" : "deny");
  }
  return possible;
}

function checkSound(asked: Asked, flow: Flow, side: string, decision: Decision, possible: ReadonlySet<Verdict>): void {
  const isSound = possible.size > 1 ? decision.verdict === "unknown" : decision.verdict === "unknown" || possible.has(decision.verdict);
  if (!isSound) fail(side, asked, flow, [...possible], plain(decision));
}

describe("laws", () => {
  const asked = askedWorlds({ allKnown: false, flows: 20 });

  test("the order of policies, and a policy written twice under two names, change no verdict", () => {
    const order = fc.infiniteStream(fc.nat());
    fc.assert(
      fc.property(asked, order, (world, numbers) => {
        const twice = world.policies.map((policy) => ({
          ...policy,
          metadata: { ...policy.metadata, name: `${policy.metadata.name}-again` },
        }));
        const ranked = [...world.policies, ...twice].map((policy) => ({ policy, rank: numbers.next().value }));
        const shuffled = ranked.sort((a, b) => a.rank - b.rank).map(({ policy }) => policy);
        sameVerdicts(world, shuffled, (decision) => [decision.verdict, decision.reason]);
      }),
      runs(200),
    );
  });

  test("the order of rules, peers and ports changes no verdict", () => {
    fc.assert(
      fc.property(asked, (world) => {
        const reverse = (rule: PolicyRule): PolicyRule =>
          Object.fromEntries(Object.entries(rule).map(([key, list]) => [key, list.toReversed()]));
        const reversed = world.policies.map((policy) => withRules(policy, (list) => list.map(reverse).toReversed()));
        sameVerdicts(world, reversed, (decision) => [decision.verdict, decision.reason]);
      }),
      runs(200),
    );
  });

  test("one more allow rule in a direction that its policy governs already denies nothing that was allowed", () => {
    fc.assert(
      fc.property(asked, fc.nat(), rules.ingress, rules.egress, (world, number, ingress, egress) => {
        if (world.policies.length === 0) return;
        const index = number % world.policies.length;
        const more = world.policies.map((policy, i) => {
          const { spec } = policy;
          if (i !== index) return policy;
          const [hasIngress, hasEgress] = [governs(spec, "Ingress"), governs(spec, "Egress")];
          return {
            ...policy,
            spec: {
              ...spec,
              ...(hasIngress ? { ingress: [...(spec.ingress ?? []), ingress] } : {}),
              ...(hasEgress ? { egress: [...(spec.egress ?? []), egress] } : {}),
            },
          };
        });
        const [before, after] = [compile(world.resources, world.policies), compile(world.resources, more)];
        for (const flow of world.flows) {
          for (const side of ["egress", "ingress"] as const) {
            const [old, now] = [before.ask(flow)[side], after.ask(flow)[side]];
            const worse = RANK[now.verdict] < RANK[old.verdict];
            if (worse) fail(`${side}, one rule more`, { resources: world.resources, policies: more }, flow, old.verdict, plain(now));
          }
        }
      }),
      runs(200),
    );
  });

  test("a policy's rules split between two policies of the same subject and types decide the same", () => {
    fc.assert(
      fc.property(asked, (world) => {
        const split = world.policies.flatMap((policy) => {
          const policyTypes = ["Ingress", "Egress"].filter((type) => governs(policy.spec, type as "Ingress" | "Egress"));
          const typed = { ...policy, spec: { ...policy.spec, policyTypes } };
          const half = (keep: number) => withRules(typed, (list) => list.filter((_, i) => i % 2 === keep));
          const second = half(1);
          return [half(0), { ...second, metadata: { ...second.metadata, name: `${second.metadata.name}-rest` } }];
        });
        // Of an end that is not known at all, the whole policy may allow for sure what its halves leave open: see below.
        sameVerdicts(
          world,
          split,
          (decision) => [decision.verdict, decision.reason],
          (decision) => decision.reason === "unknown-endpoint",
        );
      }),
      runs(200),
    );
  });

  test("without policies everything is allowed", () => {
    fc.assert(
      fc.property(asked, (world) => {
        const { ask } = compile(world.resources, []);
        for (const flow of world.flows) {
          for (const decision of Object.values(ask(flow))) {
            if (decision.verdict !== "allow" || decision.isolatedBy.length + decision.matched.length > 0)
              fail("no policies", { ...world, policies: [] }, flow, "allow", plain(decision));
          }
        }
      }),
      runs(100),
    );
  });

  test("a decision is the same when asked first, last, twice or after unrelated questions", () => {
    fc.assert(
      fc.property(askedWorlds({ allKnown: false, flows: 40 }), (world) => {
        const [forward, backward] = [compile(world.resources, world.policies), compile(world.resources, world.policies)];
        const answer = (compiled: typeof forward, flow: Flow) => {
          const { egress, ingress } = compiled.ask(flow);
          return JSON.stringify([plain(egress), plain(ingress)]);
        };
        const first = world.flows.map((flow) => answer(forward, flow));
        const last = world.flows.toReversed().map((flow) => answer(backward, flow));
        last.reverse();
        world.flows.forEach((flow, i) => {
          if (first[i] !== last[i]) fail("asked in another order", world, flow, first[i], last[i]);
          const again = answer(forward, flow);
          if (first[i] !== again) fail("asked again", world, flow, first[i], again);
          const alone = answer(compile(world.resources, world.policies), flow);
          if (first[i] !== alone) fail("asked alone", world, flow, alone, first[i]);
        });
      }),
      runs(60),
    );
  });

  test("the two sides are independent: policies on egress alone change no ingress decision", () => {
    fc.assert(
      fc.property(asked, (world) => {
        const only = world.policies
          .filter(({ spec }) => governs(spec, "Ingress"))
          .map(({ spec: { podSelector, ingress }, ...policy }) => ({
            ...policy,
            spec: { ...(podSelector ? { podSelector } : {}), policyTypes: ["Ingress"], ...(ingress ? { ingress } : {}) },
          }));
        const [whole, half] = [compile(world.resources, world.policies), compile(world.resources, only)];
        for (const flow of world.flows) {
          const [expected, got] = [plain(whole.ask(flow).ingress), plain(half.ask(flow).ingress)];
          if (JSON.stringify(expected) !== JSON.stringify(got)) fail("ingress alone", { ...world, policies: only }, flow, expected, got);
        }
      }),
      runs(100),
    );
  });
});

const RANK: Readonly<Record<Verdict, number>> = { deny: 0, unknown: 1, allow: 2 };

function governs({ policyTypes = [], egress = [] }: NetworkPolicy["spec"], type: "Ingress" | "Egress"): boolean {
  if (policyTypes.length > 0) return policyTypes.includes(type);
  return type === "Ingress" || egress.length > 0;
}

function withRules(policy: NetworkPolicy, change: (list: readonly PolicyRule[]) => readonly PolicyRule[]): NetworkPolicy {
  const { ingress, egress } = policy.spec;
  const changed = { ...(ingress ? { ingress: change(ingress) } : {}), ...(egress ? { egress: change(egress) } : {}) };
  return { ...policy, spec: { ...policy.spec, ...changed } };
}

function sameVerdicts(
  world: Asked,
  others: readonly NetworkPolicy[],
  what: (decision: Decision) => unknown,
  isLeftOut = (_: Decision) => false,
): void {
  const [one, other] = [compile(world.resources, world.policies), compile(world.resources, others)];
  for (const flow of world.flows) {
    const [a, b] = [one.ask(flow), other.ask(flow)];
    for (const side of ["egress", "ingress"] as const) {
      if (isLeftOut(a[side]) || isLeftOut(b[side])) continue;
      const [expected, got] = [what(a[side]), what(b[side])];
      if (JSON.stringify(expected) !== JSON.stringify(got))
        fail(side, { resources: world.resources, policies: others }, flow, expected, got);
    }
  }
}

test("the obvious evaluator agrees with itself on a case by hand", () => {
  const resources: Resources = { namespaces: [], pods: [{ namespace: "a", name: "x", labels: {}, ip: "10.0.0.1", ports: [] }] };
  const policy: NetworkPolicy = {
    apiVersion: "networking.k8s.io/v1",
    kind: "NetworkPolicy",
    metadata: { namespace: "a", name: "p" },
    spec: { podSelector: {} },
  };
  const flow = { source: "8.8.8.8", destination: "10.0.0.1", protocol: "TCP", port: 80 };
  expect(judge(resources, [policy], flow).ingress).toEqual({ allowed: false, isolatedBy: ["a/p"], matched: [] });
});
