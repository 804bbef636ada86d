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
}

/** Who speaks where a verdict is unknown: without the rule it is another policy set. */
const ANOTHER_SET = -1;
/** No rule but others decides: without the rule it is the same. */
const SAME = -1;

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
  readonly #outcomes = new Map<Row, Map<number, number>>();

  constructor(evaluator: Evaluator, verdicts: PortVerdicts, deciders: Deciders, rule: WrittenRule, isOwn: (clause: Clause) => boolean) {
    this.#evaluator = evaluator;
    this.#verdicts = verdicts;
    this.#deciders = deciders;
    this.#rule = rule;
    this.#isOwn = isOwn;
    this.#isHidden = rule.rules.some(({ action, l7 }) => action === "pass" || l7 !== undefined);
  }

  /** Contrasts a group over all ports; `before` is the verdict with the rule. Undefined: no port is one of the rule's. */
  contrast(cells: CellGroup, before: number): Contrast | undefined {
    const { row, clauses, destination } = cells;
    const { namedPorts } = this.#evaluator;
    const hasNames = row.variantCount > 1;
    const isAny = hasNames && namedPorts.hasAnyNames(destination.identity);
    const meant = isAny ? destination : NAMELESS;
    const named = hasNames && !isAny ? this.#namedChanges(cells) : new Map<number, number>();
    if (named.size === 0 && this.#portClassesOf(clauses, meant).length === 0) return undefined;
    const changes: number[] = [];
    let found = -1;
    const change = (portClass: number, outcome: number) => {
      const { space } = this.#verdicts;
      for (const span of space.spansOf(0, portClass)) {
        if (this.#verdicts.outcomeAt(before, span) === outcome) continue;
        found = portClass;
        changes.push(span, outcome);
      }
    };
    for (const { classes, outcome } of this.#plainChanges({ ...cells, destination: meant }))
      for (const portClass of classes) if (!named.has(portClass)) change(portClass, outcome);
    for (const [portClass, outcome] of named) if (outcome !== SAME) change(portClass, outcome);
    return { before, after: changes.length === 0 ? before : this.#verdicts.patch(before, changes), portClass: found };
  }

  /** What ports without names come to where the rule is what decides. */
  #plainChanges(cells: CellGroup): readonly Change[] {
    const { row, group, clauses, destination } = cells;
    const known = this.#plain.get(row) ?? new Map<number, readonly Change[]>();
    this.#plain.set(row, known);
    const key = group * 2 + (destination === NAMELESS ? 0 : 1);
    let changes = known.get(key);
    if (changes === undefined) {
      const byOutcome = Map.groupBy(this.#portClassesOf(clauses, destination), (portClass) => this.#outcomeOf({ ...cells, portClass }));
      byOutcome.delete(SAME);
      known.set(key, (changes = [...byOutcome].map(([outcome, classes]) => ({ outcome, classes }))));
    }
    return changes;
  }

  /** What the rule's ports come to that have a name at the destination, by class. */
  #namedChanges(cells: CellGroup): Map<number, number> {
    const { clauses, destination } = cells;
    const { rules, ports, namedPorts } = this.#evaluator;
    const changes = new Map<number, number>();
    const owner: Party = { identity: destination.identity, addressClass: -1 };
    namedPorts.forEachOf(destination.identity, (portClass) => {
      const isMatched = clauses.some((clause) => matchPorts(rules, clause, ports.samples[portClass], owner) !== false);
      if (isMatched && !this.#evaluator.isDropped(this.#rule.direction, portClass))
        changes.set(portClass, this.#outcomeOf({ ...cells, destination: owner, portClass }));
    });
    return changes;
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
    const { rules: deciding, isCertain } = this.#deciders.get(decider);
    if (isCertain && !this.#isHidden && !deciding.includes(this.#rule)) {
      this.covers.add(decider);
      outcome = SAME;
    } else {
      const { rules, ports } = this.#evaluator;
      const question = { direction: row.direction, subject: row.subject, peer, destination, sample: ports.samples[portClass] };
      const decision = decideCell(rules, this.#policiesOf(row), question);
      outcome = this.#verdicts.outcomeOf(decision, ANOTHER_SET);
      // Where it comes to something else, the other end must deny it, or the rule is needed.
      if (outcome === this.#verdicts.outcomeOf(decideCell(rules, row.policies, question), 0))
        this.covers.add(this.#deciders.numberOf(decision));
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
