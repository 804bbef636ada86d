import { describe, expect, test } from "vitest";
import { readManifest } from "../../src/cluster/manifest.ts";
import type { Ends } from "../../src/evaluate/ends.ts";
import type { Participant } from "../../src/evaluate/evaluator.ts";
import { explainSide } from "../../src/evaluate/explanation.ts";
import { judgeEnds, type Packet } from "../../src/evaluate/judge.ts";
import type { CniName } from "../../src/evaluate/profile.ts";
import { findSmallestChange } from "../../src/generate/change/smallestChange.ts";
import { Workloads } from "../../src/generate/workloads.ts";
import { isIcmp, protocolNumber } from "../../src/net/protocol.ts";
import { answersTo, type Case, type CaseFlow, caseNames, readCase } from "./cases.ts";
import type { PlainObject } from "./compiled.ts";

/*
 * `explain` on every flow that real engines judged: its verdict is the one of simulate's own path, exactly one rule or the isolation
 * decides, and the change that it proposes, as its text, flips the verdict. Left out where the vectors are not there.
 */

const FOLDERS: Readonly<Record<string, CniName>> = {
  networkpolicy: "generic",
  adminpolicy: "generic",
  clusternetworkpolicy: "generic",
  "clusternetworkpolicy/conformance": "generic",
  cilium: "cilium",
  "cilium-mixed": "cilium",
  calico: "calico",
};

/** A change is looked for and applied for so many flows of a case at most, spread over it; more with CHANGES_A_CASE. */
const CHANGES_A_CASE = Number(process.env.CHANGES_A_CASE ?? 2);

/**
 * Why no change is proposed, and for how many flows of each folder (with two a case): a pod and itself, or its own node; requests that
 * decide and were not seen. Whatever else it is, a change must be found.
 */
const NONE: Readonly<Record<string, Readonly<Record<string, number>>>> = {
  networkpolicy: { "allow always-allowed": 27 },
  adminpolicy: { "allow always-allowed": 9 },
  clusternetworkpolicy: { "allow always-allowed": 2 },
  "clusternetworkpolicy/conformance": {},
  cilium: { "unknown verdict-unknown": 3 },
  "cilium-mixed": { "deny other-side-unknown": 1 },
  calico: {},
};
/** At least so many of the changes that are found are of each kind. */
const LEAST = 20;

function connectionOf(source: Participant, destination: Participant, flow: CaseFlow): { ends: Ends; packet: Packet } {
  const protocol = protocolNumber(flow.protocol)!;
  const port = isIcmp(protocol) ? (flow.icmpType ?? 0) * 256 + (flow.icmpCode ?? 0) : (flow.port ?? 0);
  const endpoint = { type: "unknown" } as const;
  const ends: Ends = {
    source,
    sourceAddress: source.address ?? 0n,
    sourceEndpoint: endpoint,
    destinationEndpoint: endpoint,
    destinationAddress: destination.address ?? 0n,
    port,
    via: undefined,
    arrivesFrom: undefined,
    targets: [{ participant: destination, address: destination.address ?? 0n, port }],
  };
  const requests = flow.l7 === undefined ? [] : [{ http: { headers: {}, ...flow.l7 } }];
  return { ends, packet: { protocol, sourcePort: flow.srcPort ?? 40000, hasIcmpType: true, requests: () => requests } };
}

const keyOf = (object: PlainObject) => {
  const { kind, apiVersion, metadata } = object as PlainObject & { metadata: { name: string; namespace?: string } };
  return `${apiVersion.replace(/\/.*/, "").replace(/^crd\./, "")} ${kind} ${metadata.namespace ?? ""} ${metadata.name}`;
};

/** The case's objects with those of a change in place of theirs. */
function withTexts(policies: readonly PlainObject[], texts: readonly string[]): PlainObject[] {
  const changed = texts.map((text) => readManifest(text, "change.yaml")[0].value as never as PlainObject);
  const byKey = new Map(changed.map((object) => [keyOf(object), object]));
  const kept = policies.map((object) => {
    const other = byKey.get(keyOf(object));
    byKey.delete(keyOf(object));
    return other ?? object;
  });
  return [...kept, ...byKey.values()];
}

const counts = new Map<string, Map<string, number>>();
function count(folder: string, what: string) {
  const own = counts.get(folder) ?? new Map<string, number>();
  counts.set(folder, own.set(what, (own.get(what) ?? 0) + 1));
}

function faultsOf(read: Case, folder: string, cni: CniName): string[] {
  const policies = read.policies.filter(
    (object) => (object as never as { spec?: { stagedAction?: string } }).spec?.stagedAction !== "Delete",
  );
  const { set, ask, evaluator, world, endsOf } = answersTo({ ...read, policies }, read.flows, cni);
  const workloads = new Workloads(world.pods, new Map(), true);
  const faults: string[] = [];
  const step = Math.max(1, Math.ceil(read.flows.length / CHANGES_A_CASE));
  read.flows.forEach((flow, i) => {
    const { source, destination } = endsOf(flow);
    const { ends, packet } = connectionOf(source, destination, flow);
    const name = `${read.name} ${JSON.stringify(flow)}`;
    const judgement = judgeEnds(evaluator, ends, packet);
    const answer = ask(flow);
    if (judgement.egress !== answer.egress || judgement.ingress !== answer.ingress || judgement.verdict !== answer.verdict)
      faults.push(`${name}: explained as ${judgement.verdict}, simulated as ${answer.verdict}`);
    for (const direction of ["egress", "ingress"] as const) {
      const decision = judgement[direction];
      const question = { direction, source, destination, protocol: packet.protocol, port: ends.port, sourcePort: packet.sourcePort };
      const { policies: asked } = explainSide(evaluator, question, decision);
      const deciding = asked.flatMap(({ rules }) => rules.filter(({ role }) => role === "decides"));
      const isByRule = ["rule", "rule-deny", "l7-deny", "no-l7-data"].includes(decision.reason) && decision.matched.length > 0;
      if (deciding.length !== (isByRule ? 1 : 0))
        faults.push(`${name} ${direction}: ${deciding.length} rules decide, by ${decision.reason}`);
      const isolating = asked.filter(({ decides }) => decides).length;
      const isIsolated = decision.reason === "isolated" || (decision.reason === "tier-default" && decision.isolatedBy.length > 0);
      if (isolating > 0 !== isIsolated) faults.push(`${name} ${direction}: ${isolating} policies decide, by ${decision.reason}`);
    }
    if (i % step !== 0) return;
    const change = findSmallestChange([{ ends, packet }], { set, evaluator, world, profile: evaluator.profile, workloads });
    if ("reason" in change) return count(folder, `${judgement.verdict} ${change.reason}`);
    count(folder, `${judgement.verdict} ${change.objects.some(({ isNew }) => isNew) ? "new policy" : "edit"}`);
    const after = answersTo(
      {
        ...read,
        policies: withTexts(
          policies,
          change.objects.map(({ after: text }) => text),
        ),
      },
      read.flows,
      cni,
    ).ask(flow);
    if (after.verdict !== change.verdict || change.verdict === judgement.verdict)
      faults.push(
        `${name}: ${judgement.verdict}, proposed ${change.verdict}, is ${after.verdict}: ${change.objects.map(({ what, after: text }) => `${what}\n${text}`).join("\n")}`,
      );
  });
  return faults;
}

for (const [folder, cni] of Object.entries(FOLDERS)) {
  const names = caseNames(folder);
  describe.skipIf(names.length === 0)(`explain: ${folder}`, () => {
    test.each(names)("%s", (name) => {
      expect(faultsOf(readCase(folder, name), folder, cni)).toEqual([]);
    });
    test.skipIf(process.env.CHANGES_A_CASE !== undefined)("a change is proposed for all others", () => {
      const own = counts.get(folder) ?? new Map<string, number>();
      const isFound = (what: string) => what.endsWith(" edit") || what.endsWith(" new policy");
      expect(Object.fromEntries([...own].filter(([what]) => !isFound(what)))).toEqual(NONE[folder]);
      const found = ["allow edit", "allow new policy", "deny edit", "deny new policy"].map((what) => own.get(what) ?? 0);
      expect(Math.min(found[0] + found[1], found[2] + found[3])).toBeGreaterThan(LEAST);
    });
  });
}
