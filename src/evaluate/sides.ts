import type { Direction } from "../policy/model.ts";
import { decideCell } from "./cell.ts";
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

/** What is kept of a row. */
interface RowState {
  readonly row: Row;
  /** Ends (exclusive) of spans and the group of ports that they are in, in turn; -1: dropped by the plugin. */
  readonly groups: readonly number[];
  /** A class of each group of ports. */
  readonly sample: readonly number[];
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

  #stateOf(row: Row): RowState {
    let state = this.#states.get(row);
    if (state === undefined) {
      const sample: number[] = [];
      row.portGroups.forEach((group, portClass) => {
        sample[group] ??= portClass;
      });
      const groups = this.#spanGroups(row.direction, (portClass) => row.portGroups[portClass]);
      state = { row, groups, sample, verdicts: [new Map(), new Map()], cells: new Map(), patched: new Map() };
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

  #decide({ row, groups, sample }: RowState, peer: Party, destination: number | undefined): number {
    const outcomes = sample.map((portClass) =>
      this.#outcome(row, peer, destination === undefined ? NAMELESS : { identity: destination, addressClass: -1 }, portClass),
    );
    return this.#verdicts.intern(groups.map((entry, i) => (i % 2 === 0 ? entry : entry < 0 ? DENY : outcomes[entry])));
  }

  #outcome(row: Row, peer: Party, destination: Party, portClass: number): number {
    const { rules, ports } = this.evaluator;
    const question = { direction: row.direction, subject: row.subject, peer, destination, sample: ports.samples[portClass] };
    return this.#verdicts.outcomeOf(decideCell(rules, row.policies, question), this.#number);
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
        cells.set(cell, (outcome = this.#outcome(row, peer, { identity: destination, addressClass: -1 }, portClass)));
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
