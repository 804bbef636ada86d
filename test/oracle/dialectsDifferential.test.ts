import fc from "fast-check";
import { describe, test } from "vitest";
import type { Decision } from "../../src/evaluate/decision.ts";
import { matchTruth, type Request } from "../../src/evaluate/l7.ts";
import type { L7Match } from "../../src/policy/model.ts";
import { answersTo, type FlowQuestion } from "./cases.ts";
import { policySetOf } from "./compiled.ts";
import { HTTP_PATHS } from "./dialectObjects.ts";
import { type DialectWorld, dialectWorlds, flowsIn } from "./dialectWorlds.ts";
import { judgeModel, type ModelAnswer, type ObviousProfile } from "./obviousModel.ts";

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

const word = (allowed: boolean) => (allowed ? "allow" : "deny");

const REQUESTS: readonly Request[] = HTTP_PATHS.flatMap((path) =>
  ["GET", "POST"].map((method, index): Request => ({ http: { method, path, host: "h", headers: index === 0 ? { "x-token": "1" } : {} } })),
);

/** Says what is wrong with a decision where the obvious evaluator answers so whether or not requests are those that rules want. */
function faultOf(decision: Decision, always: ModelAnswer, never: ModelAnswer): string | undefined {
  const { verdict, reason, matched } = decision;
  if (always.allowed !== never.allowed) return verdict === "unknown" && reason === "no-l7-data" ? undefined : `${verdict} (${reason}), but it hangs on the request`;
  if (verdict !== word(always.allowed)) return `${verdict} (${reason}) instead of ${word(always.allowed)}`;
  const isByRule = reason === "rule" || reason === "rule-deny";
  if (isByRule !== never.by.length > 0) return always.by.length === never.by.length ? `${reason}, but ${never.by.length} rules decide` : undefined;
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
    const judge = (holds: (alternatives: readonly L7Match[]) => boolean) => judgeModel(set, world.resources, profile, { ...question, holds });
    const [always, never] = [judge(() => true), judge(() => false)];
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
      runs(300),
    );
  });
});
