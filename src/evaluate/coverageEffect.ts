import type { Direction, Policy } from "../policy/model.ts";
import { decideCell, matchPeers, matchPorts, nearTruth } from "./cell.ts";
import type { Clause } from "./clauses.ts";
import { type Connectivity, endOf } from "./connectivity.ts";
import type { WrittenRule, WrittenRules } from "./coverageRules.ts";
import type { Decision } from "./decision.ts";
import type { Evaluator } from "./evaluator.ts";
import { looksAtRequests } from "./honoured.ts";
import type { Family, PodEnd } from "./podClasses.ts";
import type { Row } from "./row.ts";
import { Sides } from "./sides.ts";
import type { Party } from "./terms.ts";

/**
 * What a rule does here, whatever was observed. `needed`: without it some connectivity would be another. `redundant`: it would be the
 * same, proven over all ends and ports. `idle`: it matches nobody and nothing, for want of what `lacks` says.
 */
export type RuleEffect =
  | { readonly kind: "needed" }
  | { readonly kind: "redundant"; readonly cover: Cover }
  | { readonly kind: "idle"; readonly lacks: "subject" | "peers" | "ports" };

/** What does the same where a redundant rule matches. */
export interface Cover {
  /** Rules that decide there without it; together they decide all that any rule does. */
  readonly rules: readonly WrittenRule[];
  /** Whether something of what it matches is allowed without any rule: nothing isolates there, or the plugin lets it pass. */
  readonly isOpen: boolean;
  /** Policies at the other end that deny what it allows, so that it allows in vain. */
  readonly closedBy: readonly Policy[];
}

/** Pods of one class with an address of a family, as what a policy is about. */
interface SubjectEnd {
  readonly family: Family;
  readonly end: PodEnd;
}

/** One end that a rule may be about. Without `pod` no policy governs it. */
interface PeerEnd {
  readonly party: Party;
  readonly pod?: PodEnd;
}

/** A subject and a peer, with the policies that are asked. */
interface Meeting {
  readonly row: Row;
  readonly subject: SubjectEnd;
  readonly peer: PeerEnd;
  readonly clauses: readonly Clause[];
}

const NEEDED = { kind: "needed" } as const;

/**
 * Finds rules that a policy set could do without. Works on rows of the decision table, with the rule's clauses and without them: only
 * where a rule may match can it make a difference, and the first one ends the search.
 */
export class RuleEffects {
  readonly #connectivity: Connectivity;
  readonly #evaluator: Evaluator;
  readonly #sides: Sides;
  readonly #rules: WrittenRules;
  readonly #subjects: Readonly<Record<Direction, ReadonlyMap<Policy, ReadonlyMap<Row, readonly SubjectEnd[]>>>>;
  readonly #peers: ReadonlyMap<Family, readonly PeerEnd[]>;
  /** By family and terms: peers that rules share are looked for once. */
  readonly #candidates = new Map<string, readonly PeerEnd[]>();
  readonly #hasRequests: boolean;

  /** `connectivity` is of one policy set, and `rules` are those of it. */
  constructor(connectivity: Connectivity, rules: WrittenRules) {
    this.#connectivity = connectivity;
    [this.#evaluator] = connectivity.evaluators;
    this.#sides = new Sides(this.#evaluator, 0, connectivity.verdicts);
    this.#rules = rules;
    this.#subjects = { ingress: this.#subjectsOf("ingress"), egress: this.#subjectsOf("egress") };
    this.#peers = new Map(connectivity.families.map((family) => [family, this.#peersOf(family)]));
    this.#hasRequests = rules.policies.some(looksAtRequests);
  }

  effectOf(rule: WrittenRule): RuleEffect {
    const rows = this.#subjects[rule.direction].get(rule.policy);
    if (rows === undefined) return { kind: "idle", lacks: "subject" };
    const isOwn = (clause: Clause) => clause.policy === rule.policy && this.#rules.at(clause.policy, clause.rule.ref.path) === rule;
    const { verdicts } = this.#connectivity;
    const without = new Sides(this.#evaluator, 0, verdicts, isOwn);
    const meetings: Meeting[] = [];
    let hasPeers = false;
    for (const [row, subjects] of rows) {
      const clauses = row.policies.flatMap((compiled) => (compiled.policy === rule.policy ? compiled.clauses.filter(isOwn) : []));
      const seen = new Set<string>();
      for (const subject of subjects) {
        const isNamed = rule.direction === "ingress" && row.variantCount > 1;
        for (const peer of this.#candidatesOf(clauses, subject.family)) {
          hasPeers = true;
          if (this.#differs(rule.direction, subject, peer, without)) return NEEDED;
          const names = isNamed ? subject.end.names : row.variantCount > 1 ? peer.pod?.names : "";
          const key = `${row.groupOf(peer.party.identity, peer.party.addressClass)} ${names} ${subject.family}`;
          // Who is closed off at the other end does not show in the row.
          if (seen.has(key) && peer.pod === undefined) continue;
          seen.add(key);
          meetings.push({ row, subject, peer, clauses });
        }
      }
    }
    if (!hasPeers) return { kind: "idle", lacks: "peers" };
    return this.#coverOf(rule, meetings, without);
  }

  /** Reports whether anything becomes of traffic between two ends otherwise than before. */
  #differs(direction: Direction, { end, family }: SubjectEnd, { party, pod }: PeerEnd, without: Sides): boolean {
    const { verdicts } = this.#connectivity;
    const destination = direction === "egress" ? party.identity : end.party.identity;
    const [before, after] = [this.#sides, without].map((sides) => sides.verdictOf(end[direction], direction, party, destination));
    if (before === after) return false;
    const isSame = (a: number, b: number) => a === b || verdicts.within(a, family) === verdicts.within(b, family);
    if (pod === undefined) return !isSame(before, after);
    const back = direction === "egress" ? "ingress" : "egress";
    const other = this.#sides.verdictOf(pod[back], back, end.party, destination);
    return !isSame(verdicts.combine(before, other), verdicts.combine(after, other));
  }

  /** Tells what does the work of a rule without which nothing changes. */
  #coverOf(rule: WrittenRule, meetings: readonly Meeting[], without: Sides): RuleEffect {
    const lists = new Map<string, readonly WrittenRule[]>();
    const closedBy = new Set<Policy>();
    let isOpen = false;
    let isIdle = true;
    const asked = new Set<string>();
    for (const meeting of meetings) {
      const { row, subject, peer, clauses } = meeting;
      const destination = rule.direction === "egress" ? peer.party : subject.end.party;
      const sampled = new Set<number>();
      row.portGroups.forEach((group, portClass) => {
        // Ports of a group differ by name at most.
        if (row.variantCount === 1 && sampled.has(group)) return;
        sampled.add(group);
        if (this.#evaluator.isDropped(rule.direction, portClass) || !this.#mayMatch(clauses, subject.end.party, portClass, destination))
          return;
        isIdle = false;
        const decision = this.#decide(rule.direction, without, row, meeting, portClass);
        const before = this.#decide(rule.direction, this.#sides, row, meeting, portClass);
        if (before.verdict !== decision.verdict)
          for (const policy of this.#closing(rule.direction, meeting, portClass)) closedBy.add(policy);
        else if (decision.matched.length > 0) {
          const deciding = decidingRules(decision, this.#rules);
          lists.set(
            deciding.map(({ path, policy }) => `${path} ${policy.ref.kind}/${policy.ref.namespace}/${policy.ref.name}`).join(),
            deciding,
          );
        } else isOpen = true;
        asked.add(decision.reason);
      });
    }
    if (isIdle) return { kind: "idle", lacks: "ports" };
    return { kind: "redundant", cover: { rules: fewest([...lists.values()]), isOpen, closedBy: [...closedBy] } };
  }

  #mayMatch(clauses: readonly Clause[], subject: Party, portClass: number, destination: Party): boolean {
    const { rules, ports } = this.#evaluator;
    return clauses.some(
      (clause) => nearTruth(rules, clause, subject) !== false && matchPorts(rules, clause, ports.samples[portClass], destination) !== false,
    );
  }

  #decide(direction: Direction, sides: Sides, row: Row, { subject, peer }: Meeting, portClass: number): Decision {
    const { rules, ports } = this.#evaluator;
    const destination = direction === "egress" ? peer.party : subject.end.party;
    const question = { direction, subject: row.subject, peer: peer.party, destination, sample: ports.samples[portClass] };
    return decideCell(rules, sides.policiesOf(row), question);
  }

  /** Policies of the other end by which it denies. */
  #closing(direction: Direction, { subject, peer }: Meeting, portClass: number): readonly Policy[] {
    const back = direction === "egress" ? "ingress" : "egress";
    const row = peer.pod?.[back];
    if (row === undefined || typeof row === "string") return [];
    const { rules, ports } = this.#evaluator;
    const destination = direction === "egress" ? peer.party : subject.end.party;
    const question = {
      direction: back,
      subject: row.subject,
      peer: subject.end.party,
      destination,
      sample: ports.samples[portClass],
    } as const;
    const { verdict, reason, matched, isolatedBy } = decideCell(rules, row.policies, question);
    if (verdict !== "deny") return [];
    return reason === "rule-deny" ? matched.slice(0, 1).map(({ policy }) => policy) : isolatedBy;
  }

  /** Ends that the peers of clauses hold, or may hold. */
  #candidatesOf(clauses: readonly Clause[], family: Family): readonly PeerEnd[] {
    const all = this.#peers.get(family) ?? [];
    // A filter on requests counts the port names of all that is asked (see cell.ts), whoever their peers are.
    if (this.#hasRequests && clauses.some(({ ports }) => ports !== "any" && ports.some((match) => match.ports && "name" in match.ports)))
      return all;
    const key = `${family} ${JSON.stringify(clauses.map(({ peers }) => (peers === "any" ? peers : peers.map(({ term }) => term))))}`;
    let found = this.#candidates.get(key);
    if (found === undefined) {
      const { rules } = this.#evaluator;
      found = all.filter(({ party }) => clauses.some((clause) => matchPeers(rules, clause, party).truth !== false));
      this.#candidates.set(key, found);
    }
    return found;
  }

  #subjectsOf(direction: Direction): Map<Policy, Map<Row, SubjectEnd[]>> {
    const found = new Map<Policy, Map<Row, SubjectEnd[]>>();
    const { classes, families } = this.#connectivity;
    for (const podClass of classes)
      for (const family of families) {
        const end = endOf(podClass, 0, family);
        const row = end?.[direction];
        if (end === undefined || row === undefined || typeof row === "string") continue;
        for (const { policy } of row.policies) {
          const rows = found.get(policy) ?? new Map<Row, SubjectEnd[]>();
          found.set(policy, rows);
          const ends = rows.get(row);
          if (ends === undefined) rows.set(row, [{ family, end }]);
          else ends.push({ family, end });
        }
      }
    return found;
  }

  #peersOf(family: Family): PeerEnd[] {
    const { classes, nodes, entities, addresses, roles } = this.#connectivity;
    const pods = classes.flatMap((podClass): PeerEnd[] => {
      const end = endOf(podClass, 0, family);
      return end === undefined ? [] : [{ party: end.party, pod: end }];
    });
    const others = [
      ...nodes.filter((node) => node.family === family || node.family === 0 || family === 0).map(({ parties }) => parties[0]),
      ...entities.map(({ parties }) => parties[0]),
      ...addresses
        .filter((end) => family === 0 || end.family === family)
        .flatMap((end) => roles.map((role): Party => ({ identity: role.identities[0], addressClass: end.classes[0] }))),
    ];
    return [...pods, ...others.flatMap((party): PeerEnd[] => (party === undefined ? [] : [{ party }]))];
  }
}

/** The rules that a decision comes from: of ordered ones the first, of a union all. */
function decidingRules({ matched }: Decision, rules: WrittenRules): WrittenRule[] {
  const found = [...new Set(matched.flatMap(({ policy, rule }) => rules.at(policy, rule.path) ?? []))];
  const [first] = found;
  return first?.isOrdered ? [first] : found.filter(({ stage }) => stage === first.stage);
}

/** Returns few rules of which each list has one: the one of most lists first (the greedy set cover). */
function fewest(lists: readonly (readonly WrittenRule[])[]): WrittenRule[] {
  const chosen: WrittenRule[] = [];
  let rest = lists.filter((list) => list.length > 0);
  while (rest.length > 0) {
    const counts = new Map<WrittenRule, number>();
    for (const list of rest) for (const rule of list) counts.set(rule, (counts.get(rule) ?? 0) + 1);
    const [best] = [...counts].reduce((a, b) => (b[1] > a[1] ? b : a));
    chosen.push(best);
    rest = rest.filter((list) => !list.includes(best));
  }
  return chosen;
}
