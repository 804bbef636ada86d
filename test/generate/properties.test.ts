import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { readManifest } from "../../src/cluster/manifest.ts";
import { Evaluator } from "../../src/evaluate/evaluator.ts";
import { profileOf } from "../../src/evaluate/profile.ts";
import { POLICY_TYPES, type PolicyType } from "../../src/generate/dialect.ts";
import type { Generation } from "../../src/generate/generate.ts";
import { formatAddress } from "../../src/net/address.ts";
import { protocolName } from "../../src/net/protocol.ts";
import { clusterOf, policySetOf, snapshotText } from "../oracle/compiled.ts";
import { judge, type NetworkPolicy } from "../oracle/obviousEvaluator.ts";
import { learnable, snapshotOf } from "./random.ts";
import { schemaFaults } from "./strictSchema.ts";
import { learn, type SeenFlow } from "./world.ts";

const RUNS = Number(process.env.PROPERTY_RUNS ?? 150);

function objectsOf({ policies }: Generation): object[] {
  return policies.map(({ text, file }) => readManifest(text, file)[0].value);
}

/** What was seen, by the number that it has in the generation. */
function learnedFlows({ gathered, simulation }: Generation): { from: string; to: string; protocol: string; port: number }[] {
  return gathered.learned.flatMap((i) => {
    const ends = simulation.ends(i);
    return ends.targets.map(({ address, port }) => ({
      from: formatAddress(ends.sourceAddress),
      to: formatAddress(address),
      protocol: protocolName(simulation.connections.protocol(i)),
      port,
    }));
  });
}

describe.each(POLICY_TYPES)("%s policies from random traffic", (type: PolicyType) => {
  test("allow what was learned, use every rule and deny what lies beside", () => {
    fc.assert(
      fc.property(learnable, (world) => {
        const { proof } = learn(snapshotOf(world, snapshotText), world.flows, { type });
        expect(proof.failures).toEqual([]);
        expect(proof.allowed).toBe(proof.learned);
        expect(proof.used + proof.needed).toBe(proof.rules);
        expect(proof.denied + proof.explained.length).toBe(proof.probes);
      }),
      { numRuns: RUNS },
    );
  });

  test("are the same bytes whatever the order in which things were seen", () => {
    fc.assert(
      fc.property(learnable, fc.integer(), (world, seed) => {
        const shuffled = shuffle(world.flows, seed);
        const texts = (flows: readonly SeenFlow[]) =>
          learn(snapshotOf(world, snapshotText), flows, { type }).policies.map(({ file, text }) => [file, text]);
        expect(texts(shuffled)).toEqual(texts(world.flows));
      }),
      { numRuns: RUNS / 3 },
    );
  });

  test("never name what tells replicas apart, and are what the API takes", () => {
    fc.assert(
      fc.property(learnable, (world) => {
        const generation = learn(snapshotOf(world, snapshotText), world.flows, { type });
        for (const { text } of generation.policies) expect(text).not.toContain("pod-template-hash");
        if (type !== "calico") for (const object of objectsOf(generation)) expect(schemaFaults(object)).toEqual([]);
      }),
      { numRuns: RUNS / 3 },
    );
  });
});

test("an evaluator that shares no code agrees that NetworkPolicies allow what was learned", () => {
  fc.assert(
    fc.property(learnable, (world) => {
      const generation = learn(snapshotOf(world, snapshotText), world.flows);
      const policies = objectsOf(generation) as NetworkPolicy[];
      for (const { from, to, protocol, port } of learnedFlows(generation)) {
        const { egress, ingress } = judge(world.resources, policies, { source: from, destination: to, protocol, port });
        expect([from, to, protocol, port, egress.allowed, ingress.allowed]).toEqual([from, to, protocol, port, true, true]);
      }
    }),
    { numRuns: RUNS },
  );
});

test("with a default deny, what was not learned between pods is denied", () => {
  fc.assert(
    fc.property(learnable, (world) => {
      const snapshot = snapshotOf(world, snapshotText);
      const generation = learn(snapshot, world.flows, { defaultDeny: true });
      // What cannot be selected would be cut: then nothing may be written.
      fc.pre(generation.unselectable.length === 0);
      expect(generation.proof.failures).toEqual([]);
      const set = policySetOf(objectsOf(generation) as never);
      const cluster = clusterOf(snapshot);
      const evaluator = new Evaluator(set, cluster, profileOf("generic"));
      // A port that nobody was seen on, and that is in no range of ephemeral ones.
      const strange = evaluator.ports.classOf(6, 7);
      const pods = cluster.pods.filter(({ hostNetwork }) => !hostNetwork);
      for (const pod of pods) {
        const number = evaluator.classify({ type: "pod", pod, address: pod.addresses[0] });
        const outside = evaluator.classify({ type: "external", address: 1n });
        expect(evaluator.decisions[evaluator.decideEgress(number, outside, strange)].verdict).toBe("deny");
        expect(evaluator.decisions[evaluator.decideIngress(outside, number, strange)].verdict).toBe("deny");
      }
    }),
    { numRuns: RUNS / 3 },
  );
});

function shuffle<Item>(items: readonly Item[], seed: number): Item[] {
  let state = seed | 1;
  const keyed = items.map((item) => {
    state = Math.imul(state, 1103515245) + 12345;
    return { item, key: state >>> 8 };
  });
  return keyed.sort((a, b) => a.key - b.key).map(({ item }) => item);
}
