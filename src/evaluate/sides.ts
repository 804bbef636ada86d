import type { Direction } from "../policy/model.ts";
import { alwaysPasses, decideCell, matchPorts, mayMatchPeers, type Rules } from "./cell.ts";
import type { Clause, CompiledPolicy } from "./clauses.ts";
import { COMMON_DECISIONS, type Decision, DROPPED_BY_PLUGIN, DROPPED_TO_OWN_NODE, NOT_SELECTABLE, OWN_NODE } from "./decision.ts";
import type { Evaluator } from "./evaluator.ts";
import { OUTSIDE } from "./identities.ts";
import type { PortSpace } from "./portSpace.ts";
import { ALLOW, DENY, type PortVerdicts } from "./portVerdicts.ts";
import type { Row } from "./row.ts";
import type { Party } from "./terms.ts";

/** What the policies on an end say in one direction: those of a row, or the same of every peer. */
export type Subject = Row | "not-selectable" | "no-policy";

/** A destination without any named port, for the cells that names do not change. */
const NAMELESS: Party = { identity: OUTSIDE, addressClass: -1 };

/** Groups of ports, by how certainly a clause holds them. */
interface Held {
  readonly surely: readonly number[];
  readonly perhaps: readonly number[];
}

/** What is kept of a row. */
interface RowState {
  readonly row: Row;
  /** Ends (exclusive) of spans and the group of ports that they are in, in turn; -1: dropped by the plugin. */
  readonly groups: readonly number[];
  /** A class of each group of ports. */
  readonly sample: readonly number[];
  /** The row's policies without their clauses. */
  readonly bare: readonly CompiledPolicy[];
  /** The groups of ports that the plugin lets through whatever policies say. */
  readonly passing: readonly number[];
  /** By clause: the groups of ports that it holds and those that it may hold, where names mean nothing and where they may be any. */
  readonly held: readonly [Map<Clause, Held>, Map<Clause, Held>];
  /** By group of peers: the verdict where names mean nothing, and where ports of any name may be. */
  readonly verdicts: readonly [Map<number, number>, Map<number, number>];
  /** By cell, where names mean something. */
  readonly cells: Map<number, number>;
  readonly patched: Map<string, number>;
}

/**
 * What the policies of one evaluator say at one end of a connection, over all ports at once. Works on rows of the decision table:
 * peers of one group are asked about once, ports of one group too.
 */
export class Sides {
  readonly evaluator: Evaluator;
  readonly #number: number;
  readonly #rules: Rules;
  readonly #verdicts: PortVerdicts;
  readonly #space: PortSpace;
  readonly #states = new Map<Row, RowState>();
  /** Verdict on pods that no policy selects. */
  readonly #unselected: Readonly<Record<Direction, number>>;
  readonly #unselectedByOwnNode: Readonly<Record<Direction, number>>;

  /** `number`: the evaluator's in the port space. */
  constructor(evaluator: Evaluator, number: number, verdicts: PortVerdicts) {
    this.evaluator = evaluator;
    this.#number = number;
    this.#rules = { ...evaluator.rules, isTerse: true };
    this.#verdicts = verdicts;
    this.#space = verdicts.space;
    const everywhere = (direction: Direction, outcome: number) =>
      verdicts.intern(this.#spanGroups(direction, () => 0).map((entry, i) => (i % 2 === 0 ? entry : entry < 0 ? DENY : outcome)));
    const unselected = evaluator.unselected.verdict === "deny" ? DENY : ALLOW;
    this.#unselected = { egress: everywhere("egress", unselected), ingress: everywhere("ingress", unselected) };
    this.#unselectedByOwnNode = { egress: this.#unselected.egress, ingress: everywhere("ingress", ALLOW) };
  }

  /**
   * Returns the verdict of a subject's policies on traffic with a peer. `destination` is the identity whose named ports are meant:
   * the peer's for egress, the subject's for ingress.
   */
  verdictOf(subject: Subject, direction: Direction, peer: Party, destination: number): number {
    if (subject === "not-selectable") return ALLOW;
    const { profile, rules, namedPorts } = this.evaluator;
    const isOwnNode = rules.identities.isOwnNode(peer.identity);
    if (isOwnNode && direction === "egress" && profile.dropsToOwnNode) return DENY;
    if (subject === "no-policy") return (isOwnNode ? this.#unselectedByOwnNode : this.#unselected)[direction];
    const state = this.#stateOf(subject);
    const group = subject.groupOf(peer.identity, peer.addressClass);
    const hasAnyNames = subject.variantCount > 1 && namedPorts.hasAnyNames(destination);
    const known = state.verdicts[hasAnyNames ? 1 : 0];
    let verdict = known.get(group);
    if (verdict === undefined) known.set(group, (verdict = this.#decide(state, peer, hasAnyNames ? destination : undefined)));
    return subject.variantCount === 1 || hasAnyNames ? verdict : this.#withNames(state, verdict, group, peer, destination);
  }

  /** Returns what `verdictOf` says of one span, with the policies and rules that it hangs on. */
  decisionOf(subject: Subject, direction: Direction, peer: Party, destination: number, span: number): Decision {
    if (subject === "not-selectable") return COMMON_DECISIONS[NOT_SELECTABLE];
    const { profile, rules, ports, unselected } = this.evaluator;
    const portClass = this.#space.classOf(this.#number, span);
    const isOwnNode = rules.identities.isOwnNode(peer.identity);
    if (isOwnNode && direction === "egress" && profile.dropsToOwnNode) return COMMON_DECISIONS[DROPPED_TO_OWN_NODE];
    if (this.evaluator.isDropped(direction, portClass)) return COMMON_DECISIONS[DROPPED_BY_PLUGIN];
    if (subject === "no-policy") return isOwnNode && direction === "ingress" ? COMMON_DECISIONS[OWN_NODE] : unselected;
    const named = { identity: destination, addressClass: -1 };
    return decideCell(rules, subject.policies, {
      direction,
      subject: subject.subject,
      peer,
      destination: named,
      sample: ports.samples[portClass],
    });
  }

  #stateOf(row: Row): RowState {
    let state = this.#states.get(row);
    if (state === undefined) {
      const sample: number[] = [];
      row.portGroups.forEach((group, portClass) => {
        sample[group] ??= portClass;
      });
      const groups = this.#spanGroups(row.direction, (portClass) => row.portGroups[portClass]);
      const { rules, ports } = this.evaluator;
      state = {
        row,
        groups,
        sample,
        bare: row.policies.map((compiled) => ({ ...compiled, clauses: [] })),
        passing: [...sample.keys()].filter((group) => alwaysPasses(rules, ports.samples[sample[group]])),
        held: [new Map(), new Map()],
        verdicts: [new Map(), new Map()],
        cells: new Map(),
        patched: new Map(),
      };
      this.#states.set(row, state);
    }
    return state;
  }

  /** Ends of spans and their group in turn, those that the plugin drops apart. */
  #spanGroups(direction: Direction, groupOf: (portClass: number) => number): number[] {
    const runs: number[] = [];
    for (let span = 0; span < this.#space.spans.length; span++) {
      const portClass = this.#space.classOf(this.#number, span);
      const group = this.evaluator.isDropped(direction, portClass) ? -1 : groupOf(portClass);
      if (runs.length > 0 && runs[runs.length - 1] === group) runs[runs.length - 2] = span + 1;
      else runs.push(span + 1, group);
    }
    return runs;
  }

  #decide(state: RowState, peer: Party, named: number | undefined): number {
    const { row, groups, sample } = state;
    const destination = named === undefined ? NAMELESS : { identity: named, addressClass: -1 };
    const { policies, clauses } = this.#rulesFor(state, peer);
    const alike = this.#portsAlike(state, clauses, destination);
    const known = new Map<number, number>();
    const outcomes = sample.map((portClass, group) => {
      let outcome = known.get(alike[group]);
      if (outcome === undefined) known.set(alike[group], (outcome = this.#outcome(row, policies, peer, destination, portClass)));
      return outcome;
    });
    return this.#verdicts.intern(groups.map((entry, i) => (i % 2 === 0 ? entry : entry < 0 ? DENY : outcomes[entry])));
  }

  /** Returns the clauses of a row that are for a peer, or may be, and the policies to ask about it: those with no other clauses. */
  #rulesFor({ row, bare }: RowState, peer: Party): { policies: readonly CompiledPolicy[]; clauses: readonly Clause[] } {
    const clauses: Clause[] = [];
    const policies = row.policies.map((compiled, i) => {
      const own = compiled.clauses.filter((clause) => mayMatchPeers(this.evaluator.rules, clause, peer));
      for (const clause of own) clauses.push(clause);
      return own.length === 0 ? bare[i] : { ...compiled, clauses: own };
    });
    // What a filter on requests does hangs on rules for other peers, too.
    return { policies: clauses.some(({ l7 }) => l7 !== undefined) ? row.policies : policies, clauses };
  }

  /** Returns a number for each group of ports: equal ones share an outcome, since every clause answers the same of them. */
  #portsAlike(state: RowState, clauses: readonly Clause[], destination: Party): Int32Array {
    const { sample, passing } = state;
    const alike = new Int32Array(sample.length);
    let count = 1;
    const split = (groups: readonly number[]) => {
      if (groups.length === sample.length) return;
      const fresh = new Map<number, number>();
      for (const group of groups) {
        let number = fresh.get(alike[group]);
        if (number === undefined) fresh.set(alike[group], (number = count++));
        alike[group] = number;
      }
    };
    split(passing);
    for (const clause of clauses) {
      const { surely, perhaps } = this.#heldBy(state, clause, destination);
      // Where a request is asked for, the outcome hangs on which of the clause's ports it is.
      if (clause.l7 !== undefined) for (const group of [...surely, ...perhaps]) alike[group] = count++;
      split(surely);
      split(perhaps);
    }
    return alike;
  }

  #heldBy({ sample, held }: RowState, clause: Clause, destination: Party): Held {
    const known = held[destination === NAMELESS ? 0 : 1];
    let found = known.get(clause);
    if (found === undefined) {
      const { rules, ports } = this.evaluator;
      const [surely, perhaps]: number[][] = [[], []];
      sample.forEach((portClass, group) => {
        const truth = matchPorts(rules, clause, ports.samples[portClass], destination);
        if (truth !== false) (truth === true ? surely : perhaps).push(group);
      });
      known.set(clause, (found = { surely, perhaps }));
    }
    return found;
  }

  #outcome(row: Row, policies: readonly CompiledPolicy[], peer: Party, destination: Party, portClass: number): number {
    const { ports } = this.evaluator;
    const question = { direction: row.direction, subject: row.subject, peer, destination, sample: ports.samples[portClass] };
    return this.#verdicts.outcomeOf(decideCell(this.#rules, policies, question), this.#number);
  }

  /** Puts in what the ports say that have a name at the destination. */
  #withNames(state: RowState, verdict: number, group: number, peer: Party, destination: number): number {
    const { row, cells, patched } = state;
    const { namedPorts } = this.evaluator;
    const changes: number[] = [];
    namedPorts.forEachOf(destination, (portClass, set) => {
      if (this.evaluator.isDropped(row.direction, portClass)) return;
      const cell = (group * row.portCount + row.portGroups[portClass]) * row.variantCount + row.variantOf(set);
      let outcome = cells.get(cell);
      if (outcome === undefined)
        cells.set(cell, (outcome = this.#outcome(row, row.policies, peer, { identity: destination, addressClass: -1 }, portClass)));
      for (const span of this.#space.spansOf(this.#number, portClass))
        if (this.#verdicts.outcomeAt(verdict, span) !== outcome) changes.push(span, outcome);
    });
    if (changes.length === 0) return verdict;
    const key = `${verdict} ${changes.join()}`;
    let changed = patched.get(key);
    if (changed === undefined) patched.set(key, (changed = this.#verdicts.patch(verdict, changes)));
    return changed;
  }
}
