import { type Direction, OPPOSITE, type Policy, portNameOf, type RuleRef } from "../policy/model.ts";
import { decideCell, matchPeers, nearTruth } from "./cell.ts";
import { CellsWithout, type Contrast, NO_NAMES } from "./cellsWithout.ts";
import type { Clause } from "./clauses.ts";
import { type Connectivity, endOf } from "./connectivity.ts";
import type { WrittenRule, WrittenRules } from "./coverageRules.ts";
import { Deciders } from "./deciders.ts";
import type { Evaluator } from "./evaluator.ts";
import { looksAtRequests } from "./honoured.ts";
import type { Family, PodEnd } from "./podClasses.ts";
import type { Row } from "./row.ts";
import { Sides } from "./sides.ts";
import { type Party, type Term, termTruth } from "./terms.ts";

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

/** Peers that no rule of a row tells apart, by what their ports are called. */
interface PeerGroup {
  readonly group: number;
  readonly byNames: ReadonlyMap<number, readonly PeerEnd[]>;
}

/** Subjects that a row says the same to, whoever the peer is. */
interface SubjectGroup {
  readonly family: Family;
  /** Number of what their ports are called; -1 where that does not matter. */
  readonly names: number;
  readonly ends: readonly PodEnd[];
}

const NEEDED = { kind: "needed" } as const;
/** What ends that are no pod call their ports; pods' names are numbered from 0. */
const NO_PORTS = -2;

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
  readonly #groups = new Map<Row, Map<Family, readonly PeerGroup[]>>();
  readonly #deciders: Deciders;
  readonly #hasRequests: boolean;

  /** `connectivity` is of one policy set, and `rules` are those of it. */
  constructor(connectivity: Connectivity, rules: WrittenRules) {
    this.#connectivity = connectivity;
    [this.#evaluator] = connectivity.evaluators;
    this.#sides = new Sides(this.#evaluator, 0, connectivity.verdicts);
    this.#rules = rules;
    this.#subjects = { ingress: this.#subjectsOf("ingress"), egress: this.#subjectsOf("egress") };
    this.#peers = new Map(connectivity.families.map((family) => [family, this.#peersOf(family)]));
    this.#deciders = new Deciders(this.#evaluator, rules, connectivity.verdicts);
    this.#hasRequests = rules.policies.some(looksAtRequests);
  }

  effectOf(rule: WrittenRule): RuleEffect {
    const rows = this.#subjects[rule.direction].get(rule.policy);
    if (rows === undefined) return { kind: "idle", lacks: "subject" };
    const isOwn = (clause: Clause) => clause.policy === rule.policy && this.#rules.at(clause.policy, clause.rule.ref.path) === rule;
    const trail = new Trail(new CellsWithout(this.#evaluator, this.#connectivity.verdicts, this.#deciders, rule, isOwn));
    const shared = new Map<string, readonly Clause[]>();
    for (const [row, subjects] of rows) {
      const own = row.policies.flatMap((compiled) => (compiled.policy === rule.policy ? compiled.clauses.filter(isOwn) : []));
      const near = own.filter((clause) => nearTruth(this.#evaluator.rules, clause, row.subject) !== false);
      // One list for all rows that ask for the same clauses, by which what is known of them is found.
      const key = near.map((clause) => own.indexOf(clause)).join();
      const clauses = shared.get(key) ?? near;
      shared.set(key, clauses);
      for (const group of groupsOf(subjects, rule.direction === "ingress" && row.variantCount > 1))
        if (this.#makesDifference(rule.direction, row, clauses, group, trail)) return NEEDED;
    }
    return trail.effect(this.#deciders);
  }

  /** Returns the peers of a rule that nobody here is, by path: of several the others may still match. */
  idlePeersOf({ policy, direction, rules }: WrittenRule): readonly RuleRef[] {
    const [row] = this.#subjects[direction].get(policy)?.keys() ?? [];
    if (row === undefined || rules.some(({ peers }) => peers === "any")) return [];
    const terms = new Map<string, { ref: RuleRef; terms: Term[] }>();
    for (const { peers } of row.policies.flatMap((compiled) => (compiled.policy === policy ? compiled.clauses : [])))
      for (const { ref, term } of peers === "any" ? [] : peers) {
        const known = terms.get(ref.path);
        if (known === undefined) terms.set(ref.path, { ref, terms: [term] });
        else known.terms.push(term);
      }
    const { identities, addresses } = this.#evaluator.rules;
    const ends = [...this.#peers].flatMap(([family, peers]) => [...peers, ...this.#outsideOf(row, family)]);
    const own = new Set(rules.flatMap(({ peers }) => (peers === "any" ? [] : peers.map(({ ref }) => ref.path))));
    return [...terms.values()]
      .filter(({ ref }) => own.has(ref.path))
      .filter((each) => !ends.some(({ party }) => each.terms.some((term) => termTruth(term, identities, addresses, party) !== false)))
      .map(({ ref }) => ref);
  }

  /** Reports whether clauses make a difference to any of some subjects. */
  #makesDifference(
    direction: Direction,
    row: Row,
    clauses: readonly Clause[],
    { ends, family, names }: SubjectGroup,
    trail: Trail,
  ): boolean {
    const [{ party: subject }] = ends;
    const { rules } = this.#evaluator;
    const isForAll = this.#isForAll(clauses);
    for (const { group, byNames } of this.#groupsOf(row, family)) {
      // All of a group are the same to every rule of the row.
      const [[first]] = byNames.values();
      if (!isForAll && !clauses.some((clause) => matchPeers(rules, clause, first.party).truth !== false)) continue;
      trail.hasPeers = true;
      for (const [ownNames, peers] of byNames) {
        const [{ party: peer }] = peers;
        const destination = direction === "egress" ? peer : subject;
        const cells = { row, clauses, group, peer, destination, names: direction === "egress" ? ownNames : names };
        const reach = trail.cells.reach(cells);
        if (reach !== "none") trail.hasPorts = true;
        if (reach !== "changes") continue;
        const contrast = trail.cells.contrast(cells, this.#sides.verdictOf(row, direction, peer, destination.identity));
        if (contrast.before === contrast.after) continue;
        for (const each of peers) {
          if (this.#comesThrough(direction, ends, family, each, contrast)) return true;
          const closing = each.pod?.[OPPOSITE[direction]];
          if (closing === undefined || typeof closing === "string" || trail.closing.has(closing)) continue;
          trail.closing.add(closing);
          for (const policy of this.#closing(direction, ends[0], each.party, closing, contrast.portClass)) trail.closedBy.add(policy);
        }
      }
    }
    return false;
  }

  /** A filter on requests counts the port names of all that is asked (see cell.ts), whoever their peers are. */
  #isForAll(clauses: readonly Clause[]): boolean {
    return this.#hasRequests && clauses.some(({ ports }) => ports !== "any" && ports.some((match) => portNameOf(match) !== undefined));
  }

  /** Returns the groups of a row's peers, by what their ports are called where that matters to the row. */
  #groupsOf(row: Row, family: Family): readonly PeerGroup[] {
    const byFamily = this.#groups.get(row) ?? new Map<Family, readonly PeerGroup[]>();
    this.#groups.set(row, byFamily);
    let groups = byFamily.get(family);
    if (groups === undefined) {
      const found = new Map<number, { readonly group: number; readonly byNames: Map<number, PeerEnd[]> }>();
      const isNamed = row.direction === "egress" && row.variantCount > 1;
      for (const peer of [...(this.#peers.get(family) ?? []), ...this.#outsideOf(row, family)]) {
        const group = row.groupOf(peer.party.identity, peer.party.addressClass);
        const names = isNamed ? (peer.pod?.names ?? NO_PORTS) : NO_NAMES;
        let own = found.get(group);
        if (own === undefined) found.set(group, (own = { group, byNames: new Map() }));
        const members = own.byNames.get(names);
        if (members === undefined) own.byNames.set(names, [peer]);
        // Ends without policies of their own differ in nothing else.
        else if (peer.pod !== undefined || members[0].pod !== undefined) members.push(peer);
      }
      byFamily.set(family, (groups = [...found.values()]));
    }
    return groups;
  }

  /** Reports whether what one end says otherwise is not denied by the other end anyway. */
  #comesThrough(
    direction: Direction,
    ends: readonly PodEnd[],
    family: Family,
    { party, pod }: PeerEnd,
    { before, after }: Contrast,
  ): boolean {
    const { verdicts } = this.#connectivity;
    const isSame = (a: number, b: number) => a === b || verdicts.within(a, family) === verdicts.within(b, family);
    if (isSame(before, after)) return false;
    if (pod === undefined) return true;
    const back = OPPOSITE[direction];
    return ends.some((end) => {
      const other = this.#sides.verdictOf(pod[back], back, end.party, direction === "egress" ? party.identity : end.party.identity);
      return !isSame(verdicts.combine(before, other), verdicts.combine(after, other));
    });
  }

  /** Policies of the other end, whose row is `row`, by which it denies. */
  #closing(direction: Direction, { party: subject }: PodEnd, peer: Party, row: Row, portClass: number): readonly Policy[] {
    const { rules, ports } = this.#evaluator;
    const destination = direction === "egress" ? peer : subject;
    const question = {
      direction: OPPOSITE[direction],
      subject: row.subject,
      peer: subject,
      destination,
      sample: ports.samples[portClass],
    };
    const { verdict, reason, matched, isolatedBy } = decideCell(rules, row.policies, question);
    if (verdict !== "deny") return [];
    return reason === "rule-deny" ? matched.slice(0, 1).map(({ policy }) => policy) : isolatedBy;
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

  /** Outside addresses in each of their roles, of those that are alike to a row one. */
  #outsideOf(row: Row, family: Family): PeerEnd[] {
    const { addresses, roles } = this.#connectivity;
    const [plain] = roles;
    const own = addresses.filter((end) => family === 0 || end.family === family);
    // A group is one of identities with one of addresses.
    const identities = new Map(roles.map(({ identities: [identity] }) => [row.groupOf(identity, -1), identity]));
    const classes = new Map(own.map(({ classes: [addressClass] }) => [row.groupOf(plain.identities[0], addressClass), addressClass]));
    return [...identities.values()].flatMap((identity) =>
      [...classes.values()].map((addressClass) => ({ party: { identity, addressClass } })),
    );
  }

  /** Pods, nodes and reserved roles. */
  #peersOf(family: Family): PeerEnd[] {
    const { classes, nodes, entities } = this.#connectivity;
    const pods = classes.flatMap((podClass): PeerEnd[] => {
      const end = endOf(podClass, 0, family);
      return end === undefined ? [] : [{ party: end.party, pod: end }];
    });
    const others = [
      ...nodes.filter((node) => node.family === family || node.family === 0 || family === 0).map(({ parties }) => parties[0]),
      ...entities.map(({ parties }) => parties[0]),
    ];
    return [...pods, ...others.flatMap((party): PeerEnd[] => (party === undefined ? [] : [{ party }]))];
  }
}

/** What the search for a rule's effect met on its way. */
class Trail {
  hasPeers = false;
  hasPorts = false;
  readonly closedBy = new Set<Policy>();
  /** Rows of the other end that were asked why they deny. */
  readonly closing = new Set<Row>();
  readonly cells: CellsWithout;

  constructor(cells: CellsWithout) {
    this.cells = cells;
  }

  /** What the rule does, where it made no difference all the way. */
  effect(deciders: Deciders): RuleEffect {
    if (!this.hasPeers) return { kind: "idle", lacks: "peers" };
    if (!this.hasPorts) return { kind: "idle", lacks: "ports" };
    const lists = [...this.cells.covers].map((number) => deciders.get(number).rules);
    const isOpen = lists.some((list) => list.length === 0);
    return { kind: "redundant", cover: { rules: fewest(lists), isOpen, closedBy: [...this.closedBy] } };
  }
}

function groupsOf(subjects: readonly SubjectEnd[], isNamed: boolean): SubjectGroup[] {
  const groups = Map.groupBy(subjects, ({ family, end }) => `${family} ${isNamed ? end.names : NO_NAMES}`);
  return [...groups.values()].map((members) => {
    const [{ family, end }] = members;
    return { family, names: isNamed ? end.names : NO_NAMES, ends: members.map((member) => member.end) };
  });
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
