import fc from "fast-check";
import { describe, test } from "vitest";
import type { Decision } from "../../src/evaluate/decision.ts";
import type { World } from "../../src/evaluate/evaluator.ts";
import { matchTruth, type Request } from "../../src/evaluate/l7.ts";
import type { L7Match } from "../../src/policy/model.ts";
import { type Answer, answersTo, type FlowQuestion } from "./cases.ts";
import { type PlainObject, policySetOf } from "./compiled.ts";
import { HTTP_PATHS } from "./dialectPools.ts";
import { type DialectWorld, dialectWorlds, flowsIn, foreignObjects } from "./dialectWorlds.ts";
import { judgeModel, type ModelAnswer } from "./obviousModel.ts";
import type { ObviousProfile } from "./obviousTerms.ts";

/*
 * The compiled evaluator against the obvious one over the neutral model, on random policies of every dialect, and laws that hold
 * whatever they are. FC_RUNS and FC_SEED in the environment make a longer or another run. A mismatch is shown with its whole case as
 * one line of JSON.
 */

const PROFILES: readonly ObviousProfile[] = ["generic", "cilium", "calico"];
const seed = process.env.FC_SEED === undefined ? 20260103 : Number(process.env.FC_SEED);
const factor = Number(process.env.FC_RUNS ?? 1);
const runs = (count: number) => ({ numRuns: Math.ceil(count * factor), seed, endOnFailure: false });
const SIDES = ["egress", "ingress"] as const;

/** Throws with the case, without the flows and ends that do not matter. */
function fail(what: string, { resources, policies }: DialectWorld, flow: FlowQuestion, why: string): never {
  throw new Error(`${what}: ${why}, in case ${JSON.stringify({ resources, policies, flows: [flow] })}`);
}

/** Compares what two evaluators say of every flow of a world, and of its other facts. */
function sameVerdicts(
  what: string,
  world: DialectWorld,
  one: (flow: FlowQuestion) => Answer,
  other: (flow: FlowQuestion) => Answer,
  flows: readonly FlowQuestion[],
  isRight = (before: Decision, after: Decision) => before.verdict === after.verdict,
): void {
  for (const flow of flows) {
    const [before, after] = [one(flow), other(flow)];
    for (const side of SIDES) {
      if (isRight(before[side], after[side])) continue;
      const texts = [before[side], after[side]].map(({ verdict, reason }) => `${verdict} (${reason})`);
      fail(`${what}, ${side}`, world, flow, `${texts.join(" became ")}`);
    }
  }
}

const word = (allowed: boolean) => (allowed ? "allow" : "deny");

const REQUESTS: readonly Request[] = HTTP_PATHS.flatMap((path) =>
  ["GET", "POST"].map((method, index): Request => ({ http: { method, path, host: "h", headers: index === 0 ? { "x-token": "1" } : {} } })),
);

/** Says what is wrong with a decision where the obvious evaluator answers so whether or not requests are those that rules want. */
function faultOf(decision: Decision, always: ModelAnswer, never: ModelAnswer): string | undefined {
  const { verdict, reason, matched } = decision;
  if (always.allowed !== never.allowed)
    return verdict === "unknown" && reason === "no-l7-data" ? undefined : `${verdict} (${reason}), but it hangs on the request`;
  if (verdict !== word(always.allowed)) return `${verdict} (${reason}) instead of ${word(always.allowed)}`;
  const isByRule = reason === "rule" || reason === "rule-deny";
  if (isByRule !== never.by.length > 0)
    return always.by.length === never.by.length ? `${reason}, but ${never.by.length} rules decide` : undefined;
  if (!isByRule) return undefined;
  const [first] = matched;
  const isThere = [...always.by, ...never.by].some(
    ({ policy, rule: { ref, peers } }) =>
      policy.ref === first.policy.ref && (first.rule === ref || (peers !== "any" && peers.some((peer) => first.rule === peer.ref))),
  );
  return isThere ? undefined : `decided by ${first.policy.ref.name} ${first.rule.path}`;
}

function compare(world: DialectWorld, profile: ObviousProfile): void {
  const flows = flowsIn(world, policySetOf(world.policies));
  const { set, ask } = answersTo(world, flows, profile, { outside: true });
  flows.forEach((flow, index) => {
    const question = { ...flow, source: flow.src.ip!, destination: flow.dst.ip!, sourcePort: flow.srcPort! };
    const judge = (holds: (alternatives: readonly L7Match[]) => boolean) =>
      judgeModel(set, world.resources, profile, { ...question, holds });
    // Rules that want nothing of a request match every one.
    const [always, never] = [judge(() => true), judge((alternatives) => alternatives.some((match) => matchTruth(match, {}) === true))];
    const answer = ask(flow);
    const request = REQUESTS[index % REQUESTS.length];
    for (const side of SIDES) {
      const fault = faultOf(answer[side], always[side], never[side]);
      if (fault !== undefined) fail(side, world, flow, fault);
      if (answer[side].l7 === undefined) continue;
      // What the proxy refuses may be left open; what it lets pass is certain where nothing else is.
      const expected = word(judge((alternatives) => alternatives.some((match) => matchTruth(match, request) === true))[side].allowed);
      const seen = ask({ ...flow, l7: { type: "http", ...request.http! } })[side];
      if (seen.verdict !== expected && seen.verdict !== "unknown") fail(side, world, flow, `${seen.verdict} of ${JSON.stringify(request)}`);
    }
  });
}

describe("compiled against obvious", () => {
  test.each(PROFILES)("verdict and deciding rule agree where all is known: %s", (profile) => {
    fc.assert(
      fc.property(dialectWorlds(profile, 60), (world) => compare(world, profile)),
      runs(150),
    );
  });
});

/** Asks the same flows of a world and of one with other policies. */
function compareWith(what: string, world: DialectWorld, profile: ObviousProfile, policies: readonly PlainObject[]): void {
  const flows = flowsIn(world, policySetOf(world.policies));
  const [before, after] = [world.policies, policies].map(
    (each) => answersTo({ ...world, policies: each }, flows, profile, { outside: true }).ask,
  );
  sameVerdicts(what, { ...world, policies }, before, after, flows);
}

describe.each(PROFILES)("laws: %s", (profile) => {
  const world = dialectWorlds(profile, 30);

  test("the order in which policies are written changes no verdict", () => {
    fc.assert(
      fc.property(world, (each) => compareWith("reversed", each, profile, each.policies.toReversed())),
      runs(30),
    );
  });

  test("policies that the plugin does not know change no verdict", () => {
    fc.assert(
      fc.property(world, foreignObjects(profile), (each, foreign) =>
        compareWith("foreign policies", each, profile, [...each.policies, ...foreign.policies]),
      ),
      runs(30),
    );
  });

  test("sets of other plugins change no verdict", () => {
    fc.assert(
      fc.property(world, foreignObjects(profile), (each, foreign) =>
        compareWith("foreign sets", each, profile, [...each.policies, ...foreign.sets]),
      ),
      runs(30),
    );
  });

  test("policies written twice, the second asked later in its tier, change no verdict", () => {
    fc.assert(
      fc.property(world, (each) => compareWith("twice", each, profile, [...each.policies, ...each.policies.flatMap(laterCopy)])),
      runs(30),
    );
  });
});

/** Returns a policy once more, behind all others of its tier. Of what is not judged, or can be there only once, there is none. */
function laterCopy(object: PlainObject): PlainObject[] {
  const { kind, metadata, spec } = object as PlainObject & { metadata: { name: string }; spec: Readonly<Record<string, unknown>> };
  if (!kind.endsWith("NetworkPolicy") || kind.startsWith("Baseline")) return [];
  const named = { ...object, metadata: { ...metadata, name: `z-${metadata.name}` } };
  // Calico's order is last where it is missing; priorities end at 1000, and none of ours is above.
  if (object.apiVersion.startsWith("projectcalico.org/")) return [{ ...named, spec: { ...spec, order: undefined } } as PlainObject];
  return ["priority" in spec ? ({ ...named, spec: { ...spec, priority: 1000 } } as PlainObject) : named];
}

/** Facts that a snapshot or a record may lack; `n` picks which of them. */
const FORGETTING: Readonly<Record<string, (world: World, n: number) => World>> = {
  "the labels of namespaces": (world, n) => {
    const unknown = (name: string) => ({ name, labels: { "kubernetes.io/metadata.name": name }, labelsKnown: false });
    const entries = [...world.namespaces].map(([name, known], index) => [name, index % 2 === n % 3 ? known : unknown(name)] as const);
    return { ...world, namespaces: new Map(entries) };
  },
  "some pods": (world, n) => ({ ...world, pods: world.pods.filter((_, index) => index % 2 === n % 2) }),
  "the service accounts": (world) => ({ ...world, serviceAccounts: new Map() }),
  "the names of addresses": (world) => ({ ...world, names: { entries: () => [] } }),
  "a node": (world, n) => ({ ...world, nodes: world.nodes.filter((_, index) => index !== n % world.nodes.length) }),
  "where the API server is": ({ apiServers: _, ...world }) => world,
};

describe.each(PROFILES)("three values: %s", (profile) => {
  const check = (what: string, world: DialectWorld, change: (world: World) => World, without: (flow: FlowQuestion) => FlowQuestion) => {
    const podOf = (address: string | undefined) => world.resources.pods.find(({ ip, ips = [ip] }) => ips.includes(address!));
    // A pod that is forgotten is nobody to itself either.
    const isSelf = ({ src, dst }: FlowQuestion) => podOf(src.ip) !== undefined && podOf(src.ip) === podOf(dst.ip);
    const flows = flowsIn(world, policySetOf(world.policies)).filter((flow) => !isSelf(flow));
    const before = answersTo(world, flows, profile, { outside: true }).ask;
    const after = answersTo(world, flows, profile, { outside: true, change }).ask;
    const isRight = (knowing: Decision, forgetting: Decision) => forgetting.verdict === "unknown" || forgetting.verdict === knowing.verdict;
    sameVerdicts(what, world, before, (flow) => after(without(flow)), flows, isRight);
  };

  test.each(Object.entries(FORGETTING))("without %s a verdict stays or is unknown", (what, forget) => {
    fc.assert(
      fc.property(dialectWorlds(profile, 30), fc.nat(), (world, n) =>
        check(
          `forgot ${what}`,
          world,
          (all) => forget(all, n),
          (flow) => flow,
        ),
      ),
      runs(45),
    );
  });

  // Of the dialects here Calico alone looks at that port.
  test.runIf(profile === "calico")("without the initiator's port a verdict stays or is unknown", () => {
    fc.assert(
      fc.property(dialectWorlds(profile, 30), (world) =>
        check(
          "forgot the port",
          world,
          (all) => all,
          (flow) => ({ ...flow, srcPort: -1 }),
        ),
      ),
      runs(150),
    );
  });
});
