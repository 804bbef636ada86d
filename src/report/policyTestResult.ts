import type { Pod } from "../cluster/objects.ts";
import { BitSet } from "../evaluate/bitSet.ts";
import type { Connectivity, EndSet, Link, OneEnd } from "../evaluate/connectivity.ts";
import type { Decision, Verdict } from "../evaluate/decision.ts";
import type { Endpoint } from "../evaluate/endpoints.ts";
import type { Ends } from "../evaluate/ends.ts";
import type { Participant } from "../evaluate/evaluator.ts";
import { familiesOf } from "../evaluate/expectation.ts";
import { peersOf } from "../evaluate/honoured.ts";
import { decideByRequests } from "../evaluate/l7.ts";
import { findNearMiss } from "../evaluate/nearMiss.ts";
import { ALLOW, DENY } from "../evaluate/portVerdicts.ts";
import { directEnds, familyOf, type Stand } from "../evaluate/stands.ts";
import { type Address, formatAddress } from "../net/address.ts";
import type { Direction } from "../policy/model.ts";
import { type Culprit, explainDenial } from "./causes.ts";
import { endpointLabel } from "./labels.ts";
import { LinkTable } from "./linkTable.ts";
import { outcomeText } from "./outcomeText.ts";
import type { EndNames } from "./shownEnds.ts";
import { portGroups } from "./shownPorts.ts";
import { decisionMessage, matchLabel, type SimulationResult } from "./simulationResult.ts";

/** Connections that contradict an expectation and have one reason. */
export interface CounterExamples {
  readonly verdict: Verdict;
  /** Who decides, and for what is denied why nothing allows it. */
  readonly why: string;
  /** The policies that decide, with the rule to look at. */
  readonly culprits: readonly Culprit[];
  readonly links: LinkTable;
}

/** What became of one expectation. */
export interface ExpectationResult {
  readonly name: string | undefined;
  /** What it says, in one line. */
  readonly title: string;
  readonly expected: "allow" | "deny";
  readonly file: string;
  readonly line: number;
  /** None: it holds for every connection that it is about. */
  readonly examples: readonly CounterExamples[];
}

/** What became of one PolicyTest. */
export interface PolicyTestResult {
  readonly name: string;
  readonly namespace: string | undefined;
  readonly file: string;
  readonly line: number;
  readonly cni: SimulationResult["cni"];
  readonly policies: number;
  readonly workloads: number;
  readonly expectations: readonly ExpectationResult[];
  /** What a reader must know of the policies and the cluster, one line each. */
  readonly warnings: readonly string[];
}

/** All tests of a run. */
export interface PolicyTestsResult {
  readonly tests: readonly PolicyTestResult[];
  readonly warnings: readonly string[];
}

/** How many expectations hold, and how many do not. */
export function countsOf({ tests }: PolicyTestsResult): { passed: number; failed: number } {
  const all = tests.flatMap(({ expectations }) => expectations);
  const failed = all.filter(({ examples }) => examples.length > 0).length;
  return { passed: all.length - failed, failed };
}

/** Links that contradict an expectation, as `checkExpectation` has them; `dialledAt`: the port of the Service that leads to one of a pod. */
export interface Violations {
  readonly links: readonly Link[];
  readonly dialledAt: (pod: Pod | undefined, protocol: number, port: number) => number | undefined;
}

/** Pairs of ends whose reasons are looked for; those beyond are listed without. */
const EXPLAINED = 1000;

/** Returns what contradicts an expectation, by reason; all of it. `names`: of the connectivity. */
export function counterExamplesOf(
  connectivity: Connectivity,
  violations: readonly Violations[],
  verdict: "allow" | "deny",
  names: EndNames,
): CounterExamples[] {
  const expected = verdict === "allow" ? ALLOW : DENY;
  const found = new Map<string, Reason & { links: Link[] }>();
  let left = EXPLAINED;
  const add = (reason: Reason, link: Link) => {
    const key = JSON.stringify([reason.verdict, reason.why]);
    const known = found.get(key);
    if (known === undefined) found.set(key, { ...reason, links: [link] });
    else known.links.push(link);
  };
  for (const { links, dialledAt } of violations)
    for (const link of links)
      for (const one of byOutcome(connectivity, link, expected)) {
        const [sources, destinations] = [partsOf(link.sources), partsOf(link.destinations)];
        const rest = (from: EndSet, to: EndSet) =>
          add(withoutReason(connectivity, one.outcome), { ...one.link, sources: from, destinations: to });
        for (let s = 0; s < sources.length; s++) {
          if (left <= 0) {
            rest(joined(sources.slice(s)), link.destinations);
            break;
          }
          for (let d = 0; d < destinations.length; d++) {
            if (left-- <= 0) {
              rest(sources[s], joined(destinations.slice(d)));
              break;
            }
            const pair = { ...one.link, sources: sources[s], destinations: destinations[d] };
            add(reasonOf(connectivity, { ...one, link: pair }, dialledAt), pair);
          }
        }
      }
  const isMeant = ([outcome]: readonly number[]) => outcome !== expected;
  return [...found.values()].map(({ links, ...reason }) => ({
    ...reason,
    links: new LinkTable(connectivity, links, isMeant, () => false, names),
  }));
}

type Reason = Pick<CounterExamples, "verdict" | "why" | "culprits">;

/** Pods in the classes in which policies tell them apart; other ends as they come. */
function partsOf(set: EndSet): EndSet[] {
  if (set.kind !== "pods") return [set];
  const parts: EndSet[] = [];
  set.classes.forEach((number) => {
    const classes = new BitSet(set.classes.size);
    classes.add(number);
    parts.push({ kind: "pods", classes });
  });
  return parts;
}

/** Puts parts of one set together again. */
function joined(parts: readonly EndSet[]): EndSet {
  const [first, ...others] = parts;
  if (first.kind !== "pods") return first;
  const classes = first.classes.copy();
  for (const part of others) if (part.kind === "pods") classes.addAll(part.classes);
  return { kind: "pods", classes };
}

/** A link of one outcome besides what was expected, and a span on which it has that. */
interface OfOneOutcome {
  readonly link: Link;
  readonly outcome: number;
  readonly span: number;
}

function byOutcome({ verdicts }: Connectivity, link: Link, expected: number): OfOneOutcome[] {
  const [number] = link.verdicts;
  return portGroups(verdicts, link.verdicts, link.family)
    .map(({ outcomes: [outcome] }) => outcome)
    .filter((outcome) => outcome !== expected)
    .map((outcome) => {
      const others = verdicts.space.spans.flatMap((_, i) => (verdicts.outcomeAt(number, i) === outcome ? [] : [i, expected]));
      const span = verdicts.space.spans.findIndex(
        (_, i) => verdicts.outcomeAt(number, i) === outcome && verdicts.space.isOf(i, link.family),
      );
      return { link: { ...link, verdicts: [verdicts.patch(number, others)] }, outcome, span };
    });
}

function withoutReason({ verdicts }: Connectivity, outcome: number): Reason {
  const { verdict } = verdicts.meaningOf(outcome);
  return { verdict, why: outcomeText(verdicts, outcome) ?? "one of very many: the reasons of the others are told", culprits: [] };
}

function reasonOf(connectivity: Connectivity, { link, outcome, span }: OfOneOutcome, dialledAt: Violations["dialledAt"]): Reason {
  const [family = 0] = familiesOf(connectivity, link);
  const [source, destination] = [
    representative(connectivity, link.sources, family),
    representative(connectivity, link.destinations, family),
  ];
  const decided = connectivity.decide(source.end, destination.end, family, span);
  // A rule may want nothing of the request.
  const egress = decideByRequests(decided.egress, []);
  const ingress = decideByRequests(decided.ingress, []);
  const { protocol, first } = connectivity.verdicts.space.spans[span];
  const port = Math.max(first, 0);
  const ends = directEnds(source.stand, destination.stand, port);
  const meaning = connectivity.verdicts.meaningOf(outcome);
  const culprits = [...culpritsOf(ingress), ...culpritsOf(egress)];
  switch (meaning.verdict) {
    case "allow":
      return {
        verdict: "allow",
        why: [allowed(ingress, "ingress", ends), allowed(egress, "egress", ends)].filter((text) => text !== "").join("; "),
        culprits,
      };
    case "unknown": {
      const text = meaning.requests === undefined ? undefined : outcomeText(connectivity.verdicts, outcome);
      const [open, direction] = egress.verdict === "unknown" ? ([egress, "egress"] as const) : ([ingress, "ingress"] as const);
      const of = culpritsOf(open);
      const stand = direction === "egress" ? destination.stand : source.stand;
      const said = openText(open, stand) ?? decisionMessage(open, direction, ends);
      return {
        verdict: "unknown",
        why: `${direction}: ${text === undefined ? "" : `${text}: `}${said}`,
        culprits: of.length > 0 ? of : culprits,
      };
    }
    case "deny": {
      const direction: Direction = egress.verdict === "deny" ? "egress" : "ingress";
      const dialledPort = dialledAt(destination.pod, protocol, port);
      const flow = {
        direction,
        source: source.stand.participant,
        destination: destination.stand.participant,
        protocol,
        port,
        ...(dialledPort === undefined || dialledPort === port ? {} : { dialledPort }),
      };
      const decision = direction === "egress" ? egress : ingress;
      const both = direction === "egress" && ingress.verdict === "deny" ? ingress : undefined;
      const { deniedBy, why, culprits: denying } = explainDenial(connectivity.evaluators[0], flow, decision, both);
      // A rule that denies whoever is left: what it takes to be let in before is what matters.
      const nearest = decision.reason === "rule-deny" ? `; ${findNearMiss(connectivity.evaluators[0], flow).text}` : "";
      return { verdict: "deny", why: `${deniedBy}: ${why}${nearest}`, culprits: denying };
    }
  }
}

/** What is open although no log is at play: requests, and addresses. Pods of templates have none yet, nodes perhaps none that is known. */
function openText({ matched, reason, notes }: Decision, { participant, endpoint }: Stand): string | undefined {
  const [first] = matched;
  if (first !== undefined && reason === "no-l7-data" && notes.length === 0) return `${matchLabel(first)} looks at the request`;
  const byAddress = matched.find(({ policy }) => peersOf(policy).some(({ kind }) => kind === "prefix"));
  if (reason === "no-l7-data" || byAddress === undefined || participant.address !== undefined) return undefined;
  const none = participant.type === "pod" ? "has none yet (no running pod)" : "has none that is known";
  return `${matchLabel(byAddress)} is for addresses, and ${endpointLabel(endpoint)} ${none}`;
}

/** What allows one side; nothing where no policy could be about it. */
function allowed(decision: Decision, direction: Direction, ends: Ends): string {
  switch (decision.reason) {
    case "not-selectable":
      return "";
    case "no-policy":
      return `no policy isolates ${direction === "egress" ? "the source" : "the destination"} for ${direction}`;
    case "rule": {
      const [first] = decision.matched;
      if (first !== undefined) return `${matchLabel(first)} allows it`;
    }
  }
  return `${direction}: ${decisionMessage(decision, direction, ends)}`;
}

function culpritsOf({ matched: [first], isolatedBy: [policy] }: Decision): Culprit[] {
  if (first !== undefined) return [{ policy: first.policy, rule: first.rule }];
  return policy === undefined ? [] : [{ policy }];
}

/** An end of a set, which stands for all of it. */
interface Representative {
  readonly end: OneEnd;
  readonly stand: Stand;
  readonly pod: Pod | undefined;
}

function representative(connectivity: Connectivity, set: EndSet, family: Link["family"]): Representative {
  const isOf = (address: Address) => family === 0 || familyOf(address) === family;
  const stand = (participant: Participant, endpoint: Endpoint): Stand => ({
    participant,
    address: participant.address,
    endpoint,
    pods: [],
  });
  switch (set.kind) {
    case "pods": {
      let number = -1;
      set.classes.forEach((each) => {
        if (number < 0) number = each;
      });
      const pod = connectivity.classes[number].members[0][0]!;
      const { namespace, name, workload } = pod;
      const address = pod.addresses.find(isOf);
      const ip = address === undefined ? {} : { ip: formatAddress(address) };
      const endpoint: Endpoint = { type: "pod", namespace, name, workload: `${workload.kind}/${workload.name}`, ...ip };
      return { end: { kind: "pods", number }, stand: stand({ type: "pod", pod, address }, endpoint), pod };
    }
    case "nodes": {
      const found = set.nodes.find((node) => node.family === family || node.family === 0 || family === 0) ?? set.nodes[0];
      const [name] = found.names;
      const node = { name, labels: {}, addresses: [], podPrefixes: [] };
      return {
        end: { kind: "nodes", parties: found.parties },
        stand: stand({ type: "node", node, address: undefined, relation: found.relation }, { type: "node", name }),
        pod: undefined,
      };
    }
    case "entity": {
      const { entity, parties } = set.entity;
      return {
        end: { kind: "entity", parties },
        stand: stand({ type: "reserved", entity, address: 0n }, { type: "unknown", names: [`reserved:${entity}`] }),
        pod: undefined,
      };
    }
    case "outside": {
      const address = set.addresses.find((each) => each.family === family || family === 0) ?? set.addresses[0];
      const [{ first }] = address.ranges;
      const participant = { type: "external", address: first, isApiServer: set.role.isApiServer === true } as const;
      const names = set.role.name === undefined ? {} : { names: [set.role.name] };
      return {
        end: { kind: "outside", role: set.role, address },
        stand: stand(participant, { type: "external", ip: formatAddress(first), ...names }),
        pod: undefined,
      };
    }
  }
}
