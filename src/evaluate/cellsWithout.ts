import { decideCell, matchPorts } from "./cell.ts";
import type { Clause, CompiledPolicy } from "./clauses.ts";
import type { WrittenRule } from "./coverageRules.ts";
import { type Cell, cellNumber, type Deciders, NAMELESS } from "./deciders.ts";
import type { Evaluator } from "./evaluator.ts";
import type { PortVerdicts } from "./portVerdicts.ts";
import type { Row } from "./row.ts";
import type { Party } from "./terms.ts";

/** What a group of peers meets with a rule and without it. Equal numbers: it makes no difference there. */
export interface Contrast {
  readonly before: number;
  readonly after: number;
  /** A class of ports on which the two differ; -1: none. */
  readonly portClass: number;
}

/** A row and a group of its peers. */
export interface CellGroup extends Omit<Cell, "portClass"> {
  /** The rule's clauses there; one list for all rows that have the same. */
  readonly clauses: readonly Clause[];
  /** Numbers what ports are called at the destination; NO_NAMES where that does not matter to the row. */
  readonly names: number;
}

/** What ports are called does not matter. */
export const NO_NAMES = -1;

/** What a rule may do there: it is for no port, it is for some and others decide, or it may change what becomes of some. */
export type Reach = "none" | "covered" | "changes";

/** Ports of the rule that have names at a destination; equal ids are equal cells of a row, whichever ports they are. */
interface NamedPortsOf {
  readonly id: number;
  readonly classes: readonly number[];
}

/** Who speaks where a verdict is unknown: without the rule it is another policy set. */
const ANOTHER_SET = -1;
/** No rule but others decides: without the rule it is the same. */
const SAME = -1;

const NONE: NamedPortsOf = { id: 0, classes: [] };

/** What some ports come to without the rule. */
interface Change {
  readonly classes: readonly number[];
  readonly outcome: number;
}

/** Decides cells of one direction without one rule, on the ports alone that it may be for. */
export class CellsWithout {
  /** Numbers of what decides where the rule may match, once it is gone. */
  readonly covers = new Set<number>();
  readonly #evaluator: Evaluator;
  readonly #verdicts: PortVerdicts;
  readonly #deciders: Deciders;
  readonly #rule: WrittenRule;
  readonly #isOwn: (clause: Clause) => boolean;
  /** Whether what decides does not tell all that the rule does: it passes on, or looks at requests. */
  readonly #isHidden: boolean;
  readonly #policies = new Map<Row, readonly CompiledPolicy[]>();
  /** By identity whose names are meant. */
  readonly #portClasses = new Map<readonly Clause[], Map<number, readonly number[]>>();
  readonly #plain = new Map<Row, Map<number, readonly Change[]>>();
  readonly #portGroups = new Map<Row, Map<number, readonly (readonly number[])[]>>();
  readonly #named = new Map<Row, Map<number, NamedPortsOf>>();
  readonly #contents = new Map<string, number>([["", 0]]);
  readonly #reaches = new Map<Row, Map<number, Reach>>();
  readonly #outcomes = new Map<Row, Map<number, number>>();

  constructor(evaluator: Evaluator, verdicts: PortVerdicts, deciders: Deciders, rule: WrittenRule, isOwn: (clause: Clause) => boolean) {
    this.#evaluator = evaluator;
    this.#verdicts = verdicts;
    this.#deciders = deciders;
    this.#rule = rule;
    this.#isOwn = isOwn;
    this.#isHidden = rule.rules.some(({ action, l7 }) => action === "pass" || l7 !== undefined);
  }

  /** Says what the rule does to a group: a quick answer, the same for all whose ports are called alike. */
  reach(cells: CellGroup): Reach {
    const { row, group } = cells;
    const { id } = this.#namedOf(cells);
    const known = this.#reaches.get(row) ?? new Map<number, Reach>();
    this.#reaches.set(row, known);
    const key = group * 0x10000 + id;
    let reach = known.get(key);
    if (reach === undefined) known.set(key, (reach = this.#findReach(cells)));
    return reach;
  }

  #findReach(cells: CellGroup): Reach {
    const { classes } = this.#namedOf(cells);
    const meant = this.#meantIn(cells);
    if (classes.length === 0 && this.#portClassesOf(cells.clauses, meant).length === 0) return "none";
    const named = classes.map((portClass) => this.#outcomeOf({ ...cells, destination: ownerOf(cells), portClass }));
    const plain = this.#plainChanges({ ...cells, destination: meant });
    return plain.length > 0 || named.some((outcome) => outcome !== SAME) ? "changes" : "covered";
  }

  /** Contrasts a group over all ports; `before` is the verdict with the rule. */
  contrast(cells: CellGroup, before: number): Contrast {
    const changes: number[] = [];
    let found = -1;
    const change = (portClass: number, outcome: number) => {
      for (const span of this.#verdicts.space.spansOf(0, portClass)) {
        if (this.#verdicts.outcomeAt(before, span) === outcome) continue;
        found = portClass;
        changes.push(span, outcome);
      }
    };
    const { classes: named } = this.#namedOf(cells);
    for (const { classes, outcome } of this.#plainChanges({ ...cells, destination: this.#meantIn(cells) }))
      for (const portClass of classes) if (!named.includes(portClass)) change(portClass, outcome);
    for (const portClass of named) {
      const outcome = this.#outcomeOf({ ...cells, destination: ownerOf(cells), portClass });
      if (outcome !== SAME) change(portClass, outcome);
    }
    return { before, after: changes.length === 0 ? before : this.#verdicts.patch(before, changes), portClass: found };
  }

  /** Whose names count for ports that have none of their own: of a destination that may have any, its own; else nobody's. */
  #meantIn({ row, destination }: CellGroup): Party {
    return row.variantCount > 1 && this.#evaluator.namedPorts.hasAnyNames(destination.identity) ? destination : NAMELESS;
  }

  /** What ports without names come to where the rule is what decides. */
  #plainChanges(cells: CellGroup): readonly Change[] {
    const { row, group, clauses, destination } = cells;
    const known = this.#plain.get(row) ?? new Map<number, readonly Change[]>();
    this.#plain.set(row, known);
    const key = group * 2 + (destination === NAMELESS ? 0 : 1);
    let changes = known.get(key);
    if (changes === undefined) {
      const found: Change[] = [];
      for (const classes of this.#portGroupsOf(row, clauses, destination)) {
        const outcome = this.#outcomeOf({ ...cells, portClass: classes[0] });
        if (outcome !== SAME) found.push({ outcome, classes });
      }
      known.set(key, (changes = found));
    }
    return changes;
  }

  /** The rule's ports, those together that no rule of the row tells apart. */
  #portGroupsOf(row: Row, clauses: readonly Clause[], destination: Party): readonly (readonly number[])[] {
    const known = this.#portGroups.get(row) ?? new Map<number, readonly (readonly number[])[]>();
    this.#portGroups.set(row, known);
    const key = destination === NAMELESS ? 0 : 1;
    let groups = known.get(key);
    if (groups === undefined) {
      const byGroup = Map.groupBy(this.#portClassesOf(clauses, destination), (portClass) => row.portGroups[portClass]);
      known.set(key, (groups = [...byGroup.values()]));
    }
    return groups;
  }

  /** The rule's ports that have a name at the destination. */
  #namedOf(cells: CellGroup): NamedPortsOf {
    const { row, clauses, destination, names } = cells;
    if (row.variantCount === 1) return NONE;
    const known = this.#named.get(row) ?? new Map<number, NamedPortsOf>();
    this.#named.set(row, known);
    let found = known.get(names);
    if (found !== undefined) return found;
    const { rules, ports, namedPorts } = this.#evaluator;
    const classes: number[] = [];
    const contents = new Set<number>();
    if (!namedPorts.hasAnyNames(destination.identity))
      namedPorts.forEachOf(destination.identity, (portClass, set) => {
        const isMatched = clauses.some((clause) => matchPorts(rules, clause, ports.samples[portClass], ownerOf(cells)) !== false);
        if (!isMatched || this.#evaluator.isDropped(this.#rule.direction, portClass)) return;
        classes.push(portClass);
        contents.add(row.portGroups[portClass] * 256 + row.variantOf(set));
      });
    const isAny = namedPorts.hasAnyNames(destination.identity);
    const content = isAny ? "any" : [...contents].sort((a, b) => a - b).join();
    const id = this.#contents.get(content) ?? this.#contents.size;
    this.#contents.set(content, id);
    known.set(names, (found = { id, classes }));
    return found;
  }

  /** The outcome without the rule; SAME where others decide. */
  #outcomeOf(cell: Cell): number {
    const { row, peer, destination, portClass } = cell;
    const known = this.#outcomes.get(row) ?? new Map<number, number>();
    this.#outcomes.set(row, known);
    const number = cellNumber(this.#evaluator, cell);
    let outcome = known.get(number);
    if (outcome !== undefined) return outcome;
    const decider = this.#deciders.at(cell, number);
    const { rules: deciding, isCertain, outcome: before } = this.#deciders.get(decider);
    if (isCertain && !this.#isHidden && !deciding.includes(this.#rule)) {
      this.covers.add(decider);
      outcome = SAME;
    } else {
      const { rules, ports } = this.#evaluator;
      const question = { direction: row.direction, subject: row.subject, peer, destination, sample: ports.samples[portClass] };
      const decision = decideCell(rules, this.#policiesOf(row), question);
      outcome = this.#verdicts.outcomeOf(decision, ANOTHER_SET);
      // Where it comes to something else, the other end must deny it, or the rule is needed.
      if (outcome === before) {
        this.covers.add(this.#deciders.numberOf(decision));
        outcome = SAME;
      }
    }
    known.set(number, outcome);
    return outcome;
  }

  #policiesOf(row: Row): readonly CompiledPolicy[] {
    let policies = this.#policies.get(row);
    if (policies === undefined) {
      policies = row.policies.map((compiled) =>
        compiled.policy === this.#rule.policy
          ? { ...compiled, clauses: compiled.clauses.filter((clause) => !this.#isOwn(clause)) }
          : compiled,
      );
      this.#policies.set(row, policies);
    }
    return policies;
  }

  /** The rule's ports, by class, for a destination of which only the names matter. */
  #portClassesOf(clauses: readonly Clause[], destination: Party): readonly number[] {
    const known = this.#portClasses.get(clauses) ?? new Map<number, readonly number[]>();
    this.#portClasses.set(clauses, known);
    let found = known.get(destination.identity);
    if (found === undefined) {
      const { rules, ports } = this.#evaluator;
      found = ports.samples.flatMap((sample, portClass) =>
        !this.#evaluator.isDropped(this.#rule.direction, portClass) &&
        clauses.some((clause) => matchPorts(rules, clause, sample, destination) !== false)
          ? [portClass]
          : [],
      );
      known.set(destination.identity, found);
    }
    return found;
  }
}

/** A destination of which the names alone matter. */
function ownerOf({ destination }: CellGroup): Party {
  return { identity: destination.identity, addressClass: -1 };
}
