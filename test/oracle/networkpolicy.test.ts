import { existsSync, readdirSync, readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { combine } from "../../src/evaluate/decision.ts";
import { compile } from "./compiled.ts";
import { isAllowed, judge, type NetworkPolicy, type Resources } from "./obviousEvaluator.ts";

/*
 * Verdicts of real engines (cyclonus, netpol-analyzer, policy-assistant) on random clusters, and what the API text says where
 * those disagree: see the README of the folder. Left out where the vectors are not there.
 */

type EndText = { readonly pod?: string; readonly ip?: string };
interface Case {
  readonly name: string;
  readonly resources: Resources;
  readonly policies: readonly NetworkPolicy[];
  readonly flows: readonly FlowText[];
}
interface FlowText {
  readonly src: EndText;
  readonly dst: EndText;
  readonly protocol: string;
  readonly port: number;
  readonly egress: string;
  readonly ingress: string;
  readonly verdict: string;
}
interface Disagreement {
  readonly case: string;
  readonly flow: Pick<FlowText, "src" | "dst" | "protocol" | "port">;
  readonly class: string;
  /** Blocks over pod addresses, which the API leaves open, match there, as they do in the generic profile. */
  readonly spec: Readonly<Record<"egress" | "ingress" | "verdict", boolean>>;
}

const folder = new URL("../../../shared/oracle/networkpolicy/", import.meta.url);
const names = existsSync(folder) ? readdirSync(folder) : [];
const caseOf = (name: string): Case => JSON.parse(readFileSync(new URL(`${name}.json`, folder), "utf8"));
const word = (allowed: boolean): string => (allowed ? "allow" : "deny");

/** Returns how both evaluators answer, as `egress ingress verdict`. */
function answersTo({ resources, policies }: Case): (flow: Disagreement["flow"]) => { compiled: string; obvious: string } {
  const compiled = compile(resources, policies);
  const addressOf = ({ ip, pod }: EndText) => ip ?? resources.pods.find(({ namespace, name }) => pod === `${namespace}/${name}`)!.ip;
  return ({ src, dst, protocol, port }) => {
    const flow = { source: addressOf(src), destination: addressOf(dst), protocol, port };
    const { egress, ingress } = compiled.ask(flow);
    const opinion = judge(resources, policies, flow);
    return {
      compiled: `${egress.verdict} ${ingress.verdict} ${combine(egress.verdict, ingress.verdict)}`,
      obvious: `${word(opinion.egress.allowed)} ${word(opinion.ingress.allowed)} ${word(isAllowed(opinion))}`,
    };
  };
}

describe.skipIf(names.length === 0)("verdicts of real engines", () => {
  const cases = names.filter((name) => name.endsWith(".json")).map((name) => name.replace(/\.json$/, ""));
  test.each(cases)("%s", (name) => {
    const read = caseOf(name);
    const answer = answersTo(read);
    const wrong: string[] = [];
    for (const flow of read.flows) {
      const expected = `${flow.egress} ${flow.ingress} ${flow.verdict}`;
      const { compiled, obvious } = answer(flow);
      if (compiled !== expected || obvious !== expected) wrong.push(`${JSON.stringify(flow)}: compiled ${compiled}, obvious ${obvious}`);
    }
    expect(wrong).toEqual([]);
  });
});

describe.skipIf(!names.includes("disagreements.jsonl"))("flows that the engines disagree about", () => {
  const lines = names.includes("disagreements.jsonl")
    ? readFileSync(new URL("disagreements.jsonl", folder), "utf8").trim().split("\n")
    : [];
  const byClass = Map.groupBy(
    lines.map((line): Disagreement => JSON.parse(line)),
    (disagreement) => disagreement.class,
  );
  test.each([...byClass])("%s", (_class, disagreements) => {
    const wrong: string[] = [];
    for (const [name, same] of Map.groupBy(disagreements, (disagreement) => disagreement.case)) {
      const answer = answersTo(caseOf(name));
      for (const disagreement of same) {
        const { egress, ingress, verdict } = disagreement.spec;
        const expected = `${word(egress)} ${word(ingress)} ${word(verdict)}`;
        const { compiled, obvious } = answer(disagreement.flow);
        if (compiled !== expected || obvious !== expected)
          wrong.push(`${JSON.stringify(disagreement)}: compiled ${compiled}, obvious ${obvious}`);
      }
    }
    expect(wrong).toEqual([]);
  });
});
