import { decideCell } from "./cell.ts";
import type { WrittenRule, WrittenRules } from "./coverageRules.ts";
import type { Decision } from "./decision.ts";
import type { Evaluator } from "./evaluator.ts";
import { OUTSIDE } from "./identities.ts";
import type { PortVerdicts } from "./portVerdicts.ts";
import type { Row } from "./row.ts";
import type { Party } from "./terms.ts";

/** What decides a cell of the decision table. */
export interface Decider {
  /** Any of them alone would decide the same; none: no rule decides. */
  readonly rules: readonly WrittenRule[];
  /** Whether that is all there is to it: nothing is unknown, and no request is looked at. */
  readonly isCertain: boolean;
  /** What it comes to, as a number of the port verdicts. */
  readonly outcome: number;
}

/** A destination without any named port, for the cells that names do not change. */
export const NAMELESS: Party = { identity: OUTSIDE, addressClass: -1 };

/** A cell of a row: a group of its peers, and one of its ports by what they are called at a destination. */
export interface Cell {
  readonly row: Row;
  readonly group: number;
  readonly peer: Party;
  /** Whose names are meant; NAMELESS: nobody's. */
  readonly destination: Party;
  readonly portClass: number;
}

/** Returns a number that cells of one row share exactly when no rule tells them apart. */
export function cellNumber({ namedPorts }: Evaluator, { row, group, destination, portClass }: Cell): number {
  const variant = row.variantCount === 1 ? 0 : row.variantOf(namedPorts.setOf(destination.identity, portClass));
  return (group * row.portCount + row.portGroups[portClass]) * row.variantCount + variant;
}

/**
 * What decides each cell that is asked about: a rule that is not among what decides makes no difference there. Worked out once for all
 * rules.
 */
export class Deciders {
  readonly #evaluator: Evaluator;
  readonly #rules: WrittenRules;
  readonly #verdicts: PortVerdicts;
  readonly #numbers: ReadonlyMap<WrittenRule, number>;
  readonly #deciders: Decider[] = [];
  readonly #known = new Map<string, number>();
  readonly #cells = new Map<Row, Map<number, number>>();

  constructor(evaluator: Evaluator, rules: WrittenRules, verdicts: PortVerdicts) {
    this.#evaluator = evaluator;
    this.#verdicts = verdicts;
    this.#rules = rules;
    this.#numbers = new Map(rules.all.map((rule, i) => [rule, i]));
  }

  /** Returns the number of what decides a cell; `number` is the cell's. */
  at(cell: Cell, number: number): number {
    const { row, peer, destination, portClass } = cell;
    const cells = this.#cells.get(row) ?? new Map<number, number>();
    this.#cells.set(row, cells);
    let decider = cells.get(number);
    if (decider === undefined) {
      const { rules, ports } = this.#evaluator;
      const question = { direction: row.direction, subject: row.subject, peer, destination, sample: ports.samples[portClass] };
      cells.set(number, (decider = this.numberOf(decideCell(rules, row.policies, question))));
    }
    return decider;
  }

  get(number: number): Decider {
    return this.#deciders[number];
  }

  /** Returns the number of what made a decision. */
  numberOf(decision: Decision): number {
    const { verdict, l7, matched } = decision;
    const outcome = this.#verdicts.outcomeOf(decision, 0);
    const rules = decidingRules(matched, this.#rules);
    const isCertain = verdict !== "unknown" && l7 === undefined;
    const key = `${isCertain} ${outcome} ${rules.map((rule) => this.#numbers.get(rule)).join()}`;
    let number = this.#known.get(key);
    if (number === undefined) this.#known.set(key, (number = this.#deciders.push({ rules, isCertain, outcome }) - 1));
    return number;
  }
}

/** The rules that a decision comes from: of ordered ones the first, of a union all. */
function decidingRules(matched: Decision["matched"], rules: WrittenRules): WrittenRule[] {
  const found = [...new Set(matched.flatMap(({ policy, rule }) => rules.at(policy, rule.path) ?? []))];
  const [first] = found;
  return first?.isOrdered ? [first] : found.filter(({ stage }) => stage === first.stage);
}
