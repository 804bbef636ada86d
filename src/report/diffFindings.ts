import type { EndSet } from "../evaluate/connectivity.ts";
import { type Direction, type Policy, type PolicyRef, policyTitle } from "../policy/model.ts";
import { identityOf } from "../policy/readPolicies.ts";
import type { DiffResult } from "./diffResult.ts";
import { type ConnectivityLine, connectivityLines, type TrafficLine, trafficLines } from "./diffTable.ts";
import {
  caseOfPolicy,
  type Finding,
  type FindingCase,
  type FindingPlace,
  type FindingReport,
  type FindingRule,
  placeOfPolicy,
} from "./findings.ts";
import { isDropped } from "./trafficChange.ts";

const LOST: FindingRule = {
  id: "connectivity-lost",
  summary: "A change of policies takes connectivity away",
  description:
    "What one set of policies allows and the other does not. The comparison is exact: whatever is not listed does not change. Ends that lose the same ports are one finding.",
  help: "Make sure that nothing needs it: give --pcap or --flows, and observed connections are held against the change.",
  level: "error",
};

const GAINED: FindingRule = {
  id: "connectivity-gained",
  summary: "A change of policies opens connectivity",
  description: "What one set of policies denies and the other does not. The comparison is exact: whatever is not listed does not change.",
  help: "Make sure that it is meant, and no wider than it must be.",
  level: "error",
};

const CHANGED: FindingRule = {
  id: "connectivity-changed",
  summary: "A change of policies changes what connectivity hangs on",
  description: "Both sets of policies let some of it through, by other requests or by facts that no input tells.",
  help: "Read the conditions before and after in the message.",
  level: "error",
};

const DROPPED: FindingRule = {
  id: "observed-connection-lost",
  summary: "A change of policies drops a connection that was observed",
  description: "A connection was seen to work, or was not seen to fail; the later set of policies denies it and the earlier one did not.",
  help: "Let a rule allow it: the message names the policy that denies and the rule that comes nearest to allowing.",
  level: "error",
};

const RULES = { "-": LOST, "+": GAINED, "~": CHANGED } as const;
const WORDS = { "-": "loses", "+": "gains", "~": "changes for" } as const;
/** Ends that a message names. */
const NAMED = 12;
/** Policies that a finding points at. */
const PLACES = 5;

/**
 * Returns what a difference consists of, for CI systems. A case is a policy that either set has; it fails where it is changed and has a
 * say in what is lost or gained. What no changed policy has a say in comes of changed labels or workloads, and is a case of its own.
 */
export function diffFindings(result: DiffResult): FindingReport {
  const cases = new Map<string, FindingCase>();
  for (const { ref } of result.policies) cases.set(identityOf(ref), caseOfPolicy(ref));
  const changed = new Map(result.policies.filter(({ change }) => change !== "unchanged").map(({ ref }) => [identityOf(ref), ref]));
  const others = new Map<string, FindingCase>();
  const casesOf = (refs: readonly PolicyRef[], end: string): FindingCase[] => {
    if (refs.length > 0) return refs.map((ref) => cases.get(identityOf(ref))!);
    const one = others.get(end) ?? { suite: "workloads", name: end };
    others.set(end, one);
    return [one];
  };
  const findings: Finding[] = connectivityLines(result, NAMED).map((line) => {
    const refs = responsible(result, line, changed);
    return connectivityFinding(line, refs, casesOf(refs, line.to));
  });
  if (result.traffic !== undefined) {
    const { result: simulated, changed: connections } = result.traffic;
    const dropped = { result: simulated, changed: connections.filter((i) => isDropped(simulated, i)) };
    const refs = [...changed.values()];
    for (const line of trafficLines(dropped)) findings.push(trafficFinding(line, refs, casesOf(refs, line.to)));
  }
  return {
    command: "diff",
    rules: [LOST, GAINED, CHANGED, DROPPED],
    findings,
    cases: [...cases.values(), ...others.values()],
    warnings: result.warnings,
  };
}

function connectivityFinding(
  { sign, from, to, ports, note }: ConnectivityLine,
  refs: readonly PolicyRef[],
  cases: readonly FindingCase[],
): Finding {
  const rule = RULES[sign];
  return {
    rule,
    level: rule.level,
    message: `${from} ${WORDS[sign]} ${ports} to ${to}${note === "" ? "" : ` (${note})`}`,
    places: placesOf(refs, to),
    identity: [sign, from, to, ports],
    cases,
  };
}

function trafficFinding({ seen, from, to, port, why }: TrafficLine, refs: readonly PolicyRef[], cases: readonly FindingCase[]): Finding {
  return {
    rule: DROPPED,
    level: DROPPED.level,
    message: `${from} to ${to} ${port}, seen ${seen === 1 ? "once" : `${seen} times`}, would be dropped: ${why}`,
    places: placesOf(refs, from),
    identity: [from, to, port],
    cases,
  };
}

function placesOf(refs: readonly PolicyRef[], object: string): Finding["places"] {
  const [first = { object }, ...rest] = refs
    .slice(0, PLACES)
    .map((ref, i): FindingPlace => placeOfPolicy(ref, ref, i === 0 ? undefined : policyTitle(ref)));
  return [first, ...rest];
}

/** Returns the changed policies that have a say at either end, in either set. */
function responsible({ links }: DiffResult, { row }: ConnectivityLine, changed: ReadonlyMap<string, PolicyRef>): PolicyRef[] {
  const found = new Set<string>();
  const add = (sets: readonly EndSet[], direction: Direction) => {
    for (const set of sets) {
      if (set.kind !== "pods") continue;
      set.classes.forEach((number) => {
        for (const ends of links.connectivity.classes[number].ends)
          for (const end of ends.values()) for (const policy of policiesIn(end[direction])) found.add(identityOf(policy.ref));
      });
    }
  };
  add(row.sources, "egress");
  add(row.destinations, "ingress");
  return [...changed].flatMap(([identity, ref]) => (found.has(identity) ? [ref] : []));
}

function policiesIn(subject: string | { readonly policies: readonly { readonly policy: Policy }[] }): readonly Policy[] {
  return typeof subject === "string" ? [] : subject.policies.map(({ policy }) => policy);
}
