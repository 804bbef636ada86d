import type { Node } from "../cluster/objects.ts";
import type { AddressRange } from "../net/mergePrefixes.ts";
import type { Prefix } from "../net/prefix.ts";
import type { Direction, Policy } from "../policy/model.ts";
import { BitSet } from "./bitSet.ts";
import type { CompiledPolicy } from "./clauses.ts";
import { policyKey } from "./contentKey.ts";
import type { Decision } from "./decision.ts";
import type { Evaluator } from "./evaluator.ts";
import {
  type AddressEnd,
  addressEnds,
  type EntityEnd,
  entityEnds,
  type NodeEnd,
  nodeEnds,
  type OutsideName,
  outsideRoles,
  type Role,
} from "./otherEnds.ts";
import { classifyPods, type Family, type PodClass, type PodEnd, type PodVersions } from "./podClasses.ts";
import type { PortCut } from "./portClasses.ts";
import { PortSpace } from "./portSpace.ts";
import { DENY, PortVerdicts } from "./portVerdicts.ts";
import { Sides, type Subject } from "./sides.ts";
import type { Party } from "./terms.ts";

/** What is compared: one policy set in its world, or two. */
export interface Question {
  readonly evaluators: readonly Evaluator[];
  /** By evaluator: what its policies refer to besides pods (tiers, address sets), as text. */
  readonly references: readonly string[];
  /** Whether all are compiled against the same objects. */
  readonly isSameWorld: boolean;
  /** Pods that are on no host network, each as every evaluator's world has it. */
  readonly pods: readonly PodVersions[];
  /** By evaluator. */
  readonly nodes: readonly (readonly Node[])[];
  /** Names that outside addresses are told apart by; the worlds must have their examples as `outsideNames`. */
  readonly names: readonly OutsideName[];
  /** Whether all addresses of a range are the cluster's own. */
  readonly isInside: (range: AddressRange) => boolean;
  /** Whether the evaluators differ in nothing but their policies: ends whose policies say the same are then asked about once. */
  readonly isOneWorld: boolean;
  readonly apart: Refinement;
}

/** What a question tells apart besides what policies do, so that whatever it names is whole classes. */
export interface Refinement {
  /** Pods of which it says different things are told apart. */
  readonly lookOf?: (versions: PodVersions) => string;
  /** Names of nodes that are told apart from each other and all others. */
  readonly nodes?: ReadonlySet<string>;
  readonly prefixes?: readonly Prefix[];
  readonly ports?: readonly PortCut[];
  /** Names that outside addresses are told apart by, besides those that policies have. */
  readonly dnsNames?: readonly string[];
}

/** Ends that a link holds for alike. */
export type EndSet =
  | { readonly kind: "pods"; readonly classes: BitSet }
  | { readonly kind: "nodes"; readonly nodes: readonly NodeEnd[] }
  /** `except`: roles of which another link tells, or that are denied. */
  | { readonly kind: "outside"; readonly role: Role; readonly addresses: readonly AddressEnd[]; readonly except: readonly Role[] }
  | { readonly kind: "entity"; readonly entity: EntityEnd };

/**
 * What becomes of traffic from any of the sources to any of the destinations, by evaluator, as numbers of `Connectivity.verdicts`.
 * A class with itself: its pods among each other. `family`: it holds between addresses of that family; 0: whatever they are.
 */
export interface Link {
  readonly sources: EndSet;
  readonly destinations: EndSet;
  readonly family: Family;
  readonly verdicts: readonly number[];
}

/** One class of ends, for questions on a pair. */
export type OneEnd =
  | { readonly kind: "pods"; readonly number: number }
  | { readonly kind: "nodes" | "entity"; readonly parties: readonly (Party | undefined)[] }
  | { readonly kind: "outside"; readonly role: Role; readonly address: AddressEnd };

/** Which links are asked for. */
type Wanted = (verdicts: readonly number[], family: Family) => boolean;

/**
 * The whole connectivity under one policy set, or under two over the common refinement of what they tell apart: exact, not sampled.
 * Works on rows of the decision table (what each distinct set of policies says of all peers), not on pairs of pods.
 */
export class Connectivity {
  readonly verdicts: PortVerdicts;
  readonly classes: readonly PodClass[];
  /** The families that pods have addresses of; [0] where no pod has any. */
  readonly families: readonly Family[];
  readonly nodes: readonly NodeEnd[];
  readonly entities: readonly EntityEnd[];
  readonly addresses: readonly AddressEnd[];
  readonly roles: readonly Role[];
  /** Names that outside addresses are told apart by. */
  readonly names: readonly OutsideName[];
  readonly #sides: readonly Sides[];
  /** What the policies on an end say of each class of peers; ends that say the same share it. */
  readonly #rows = new Map<string, RowOfClasses>();
  readonly #isOneWorld: boolean;
  readonly #subjectKeys = new Map<Subject, number>();
  readonly #contents = new Map<string, number>();
  readonly #policyKeys = new Map<Policy, string>();
  readonly #addressNumbers: ReadonlyMap<AddressEnd, number>;

  constructor({ evaluators, references, isSameWorld, pods, nodes, names, isInside, isOneWorld, apart }: Question) {
    this.#isOneWorld = isOneWorld;
    this.verdicts = new PortVerdicts(new PortSpace(evaluators, apart.ports), references, isSameWorld);
    this.#sides = evaluators.map((evaluator, e) => new Sides(evaluator, e, this.verdicts));
    this.classes = classifyPods(evaluators, pods, apart.lookOf);
    const families = new Set(this.classes.flatMap(({ ends }) => ends.flatMap((end) => [...end.keys()])));
    if (families.size > 1) families.delete(0);
    this.families = families.size === 0 ? [0] : [...families].sort();
    this.nodes = nodeEnds(evaluators, nodes, apart.nodes);
    this.entities = entityEnds(evaluators);
    this.addresses = addressEnds(evaluators, this.families, isInside, apart.prefixes);
    this.#addressNumbers = new Map(this.addresses.map((end, i) => [end, i]));
    this.roles = outsideRoles(evaluators, names);
    this.names = names;
  }

  /** Returns all connectivity of the only set that is not wholly denied, merged. */
  allowed(): Link[] {
    return this.#links(([verdict]) => verdict !== DENY);
  }

  /** Returns what becomes of all traffic that there can be under the only set, merged: what is denied, too. */
  everything(): Link[] {
    return this.#links(() => true).flatMap((link) => this.#possible(link));
  }

  /** Returns the part of a link that is between ends with addresses of one family: any other pair of pods is denied in no policy's name. */
  #possible(link: Link): Link[] {
    const { sources, destinations, family } = link;
    if (this.families.length === 1 || sources.kind !== "pods" || destinations.kind !== "pods") return [link];
    const rectangle = (from: BitSet, to: BitSet): Link[] =>
      from.isEmpty || to.isEmpty
        ? []
        : [{ ...link, sources: { kind: "pods", classes: from }, destinations: { kind: "pods", classes: to } }];
    const [from, to] = [sources.classes, destinations.classes];
    if (family !== 0) {
      const without = this.#classesWithout(family);
      return rectangle(from.copy().removeAll(without), to.copy().removeAll(without));
    }
    const [noFirst, noSecond] = this.families.map((each) => this.#classesWithout(each));
    return [
      ...rectangle(from.copy().retainAll(noFirst), to.copy().removeAll(noSecond)),
      ...rectangle(from.copy().retainAll(noSecond), to.copy().removeAll(noFirst)),
      ...rectangle(from.copy().removeAll(noFirst).removeAll(noSecond), to),
    ];
  }

  /** Returns both sides' decisions of the only set on one span, with all that they hang on: for telling why. */
  decide(source: OneEnd, destination: OneEnd, family: Family, span: number): Record<Direction, Decision> {
    const [from, to] = [this.#sideOf(source, family), this.#sideOf(destination, family)];
    const [sides] = this.#sides;
    return {
      egress: sides.decisionOf(from.egress, "egress", to.party, to.party.identity, span),
      ingress: sides.decisionOf(to.ingress, "ingress", from.party, to.party.identity, span),
    };
  }

  #sideOf(end: OneEnd, family: Family): Pick<PodEnd, "party" | "egress" | "ingress"> {
    if (end.kind === "pods") return endOf(this.classes[end.number], 0, family)!;
    const party = end.kind === "outside" ? { identity: end.role.identities[0], addressClass: end.address.classes[0] } : end.parties[0]!;
    return { party, egress: "not-selectable", ingress: "not-selectable" };
  }

  /**
   * Returns all connectivity that the two sets do not agree on, merged; nothing: the sets are equivalent, proven. `concerned`: the classes whose
   * policies are the second set's; on all others the first set's stay, so that one pair of sets answers for each of several changes by itself.
   */
  differences(concerned?: BitSet): Link[] {
    return this.#links((verdicts, family) => this.#differ(verdicts[0], verdicts[1], family), concerned);
  }

  #differ(before: number, after: number, family: Family): boolean {
    return before !== after && this.verdicts.within(before, family) !== this.verdicts.within(after, family);
  }

  #links(wanted: Wanted, concerned?: BitSet): Link[] {
    return [
      ...this.#podLinks(wanted, concerned),
      ...this.#otherLinks("egress", wanted, concerned),
      ...this.#otherLinks("ingress", wanted, concerned),
    ];
  }

  /** Links among pods. */
  #podLinks(wanted: Wanted, concerned?: BitSet): Link[] {
    const { classes } = this;
    const found = new Map<string, { destinations: number[]; sources: BitSet; family: Family; verdicts: readonly number[] }>();
    const byFamily = this.families.map((family) => this.#pairs(family, wanted, concerned));
    classes.forEach((_, d) => {
      const groups = byFamily.map((of) => of.get(d) ?? []);
      for (const { sources, family, verdicts } of this.families.length === 1
        ? groups[0].map((group) => ({ ...group, family: this.families[0] }))
        : joinFamilies(groups, this.families, (f) => this.#pairsWithout(d, f))) {
        const key = `${family} ${verdicts.join()} ${sources.words.join()}`;
        const known = found.get(key);
        if (known === undefined) found.set(key, { destinations: [d], sources, family, verdicts });
        else known.destinations.push(d);
      }
    });
    return [...found.values()].map(({ destinations, sources, family, verdicts }) => {
      const set = new BitSet(classes.length);
      for (const d of destinations) set.add(d);
      return { sources: { kind: "pods", classes: sources }, destinations: { kind: "pods", classes: set }, family, verdicts };
    });
  }

  /** Returns the sources that reach a class in one family only, since one of the two lacks addresses of the other. */
  #pairsWithout(d: number, family: Family): BitSet {
    const without = this.#classesWithout(family);
    return without.has(d) ? without.fill() : without;
  }

  /** Returns, for each class of destinations that has any, the sources of each verdict that is asked for. */
  #pairs(family: Family, wanted: Wanted, concerned?: BitSet): Map<number, PairGroup[]> {
    const { classes, verdicts } = this;
    const setFor = (e: number, number: number) => (concerned === undefined || concerned.has(number) ? e : 0);
    const rowsOf = (direction: Direction) =>
      this.#sides.map((_, e) => classes.map((_class, number) => this.#row(direction, setFor(e, number), family, number)));
    const [egress, ingress] = [rowsOf("egress"), rowsOf("ingress")];
    // Of two sets only what they disagree on is asked for: where neither end's policies changed their mind, nothing can be.
    const [sourcesThatMay, destinationsThatMay] = [differing(egress, classes.length), differing(ingress, classes.length)];
    const found = new Map<number, PairGroup[]>();
    const isFine = new Map<number, boolean>();
    const every = classes.map((_, s) => s);
    const some = every.filter((s) => sourcesThatMay[s]);
    const count = this.#sides.length;
    const pair: number[] = new Array(count).fill(DENY);
    for (let d = 0; d < classes.length; d++) {
      const groups = new Map<number, PairGroup>();
      for (const s of destinationsThatMay[d] ? every : some) {
        let key = 0;
        for (let e = 0; e < count; e++) {
          const [out, into] = [egress[e][s], ingress[e][d]];
          pair[e] = out === undefined || into === undefined ? DENY : verdicts.combine(out.at(d), into.at(s));
          key = key * 0x4000000 + pair[e];
        }
        let fine = isFine.get(key);
        if (fine === undefined) isFine.set(key, (fine = wanted(pair, family)));
        if (!fine) continue;
        let group = groups.get(key);
        if (group === undefined) groups.set(key, (group = { sources: new BitSet(classes.length), verdicts: [...pair] }));
        group.sources.add(s);
      }
      if (groups.size > 0) found.set(d, [...groups.values()]);
    }
    return found;
  }

  /** What the policies on a class say of every class; undefined where it does not exist in that world or family. */
  #row(direction: Direction, e: number, family: Family, number: number): RowOfClasses | undefined {
    const end = endOf(this.classes[number], e, family);
    if (end === undefined) return undefined;
    const subject = end[direction];
    // Ports are the destination's: for what comes in, those that have a name here.
    const names = direction === "ingress" && typeof subject !== "string" && subject.variantCount > 1 ? `${e}.${end.names}` : "";
    const key = `${direction} ${family} ${this.#keyOf(e, subject)} ${names}`;
    let row = this.#rows.get(key);
    if (row === undefined) {
      row = new RowOfClasses(this.classes.length, (other) => {
        const peer = endOf(this.classes[other], e, family);
        if (peer === undefined) return DENY;
        const destination = direction === "egress" ? peer.party.identity : end.party.identity;
        return this.#sides[e].verdictOf(subject, direction, peer.party, destination);
      });
      this.#rows.set(key, row);
    }
    return row;
  }

  /** Returns a number that subjects share whose policies say the same of every peer. */
  #keyOf(e: number, subject: Subject): string | number {
    if (typeof subject === "string") return this.#isOneWorld ? subject : `${e} ${subject}`;
    let key = this.#subjectKeys.get(subject);
    if (key === undefined) {
      const content = this.#isOneWorld
        ? subject.policies.map((compiled, i) => `${subject.certainty[i]}${this.#contentOf(e, compiled)}`).join("\n")
        : `${this.#subjectKeys.size}`;
      key = this.#contents.get(content) ?? this.#contents.size;
      this.#contents.set(content, key);
      this.#subjectKeys.set(subject, key);
    }
    return key;
  }

  #contentOf(e: number, { policy, stage }: CompiledPolicy): string {
    let key = this.#policyKeys.get(policy);
    if (key === undefined) {
      const { name, combine, end } = this.#sides[e].evaluator.rules.stages[stage] ?? { name: "", combine: "", end: "" };
      this.#policyKeys.set(policy, (key = `${JSON.stringify([name, combine, end])}${policyKey(policy)}`));
    }
    return key;
  }

  /** Links between pods and what no policy governs: nodes, reserved roles, outside addresses. */
  #otherLinks(direction: Direction, wanted: Wanted, concerned?: BitSet): Link[] {
    const byFamily = this.families.map((family) => this.#otherLinksOf(direction, family, wanted, concerned));
    return joinPeers(byFamily, this.families, (f) => this.#classesWithout(f)).map(({ peer, classes, family, verdicts }) => {
      const pods: EndSet = { kind: "pods", classes };
      return { sources: direction === "egress" ? pods : peer, destinations: direction === "egress" ? peer : pods, family, verdicts };
    });
  }

  /** Evaluators in the order in which verdicts of links are. */
  get evaluators(): readonly Evaluator[] {
    return this.#sides.map(({ evaluator }) => evaluator);
  }

  #classesWithout(family: Family): BitSet {
    const classes = new BitSet(this.classes.length);
    this.classes.forEach(({ ends }, number) => {
      if (ends.every((each) => !each.has(family) && !each.has(0))) classes.add(number);
    });
    return classes;
  }

  #otherLinksOf(direction: Direction, family: Family, wanted: Wanted, concerned?: BitSet): PeerLink[] {
    const links = new Map<string, PeerLink>();
    const known = new Map<string, readonly PeerVerdict[]>();
    this.classes.forEach((podClass, number) => {
      if (concerned !== undefined && !concerned.has(number)) return;
      const ends = this.#sides.map((_, e) => endOf(podClass, e, family));
      if (ends.every((end) => end === undefined)) return;
      const keys = ends.map((end, e) => (end === undefined ? "" : `${this.#keyOf(e, end[direction])}`));
      // Policies that say the same in one world agree on everybody.
      if (this.#isOneWorld && keys.length === 2 && keys[0] === keys[1]) return;
      const key = ends.map((end, e) => `${keys[e]}.${end?.names}`).join(" ");
      let peers = known.get(key);
      if (peers === undefined) known.set(key, (peers = this.#peersOf(ends, direction, family, wanted)));
      for (const { peer, id, verdicts } of peers) {
        const linkKey = `${verdicts.join()} ${id}`;
        let link = links.get(linkKey);
        if (link === undefined) links.set(linkKey, (link = { peer, classes: new BitSet(this.classes.length), family, verdicts }));
        link.classes.add(number);
      }
    });
    return [...links.values()];
  }

  #peersOf(ends: Ends, direction: Direction, family: Family, wanted: Wanted): PeerVerdict[] {
    const verdictsOf = (parties: readonly (Party | undefined)[]) =>
      ends.map((end, e) => {
        const party = parties[e];
        if (end === undefined || party === undefined) return DENY;
        const destination = direction === "egress" ? party.identity : end.party.identity;
        return this.#sides[e].verdictOf(end[direction], direction, party, destination);
      });
    const found: PeerVerdict[] = [];
    const nodes = this.nodes.filter((node) => node.family === family || node.family === 0 || family === 0);
    const byVerdict = groupBy(nodes, ({ parties }) => verdictsOf(parties));
    for (const { verdicts, members } of byVerdict)
      if (wanted(verdicts, family))
        found.push({ peer: { kind: "nodes", nodes: members }, id: `n${members.map((node) => this.nodes.indexOf(node)).join()}`, verdicts });
    this.entities.forEach((entity, i) => {
      const verdicts = verdictsOf(entity.parties);
      if (wanted(verdicts, family)) found.push({ peer: { kind: "entity", entity }, id: `e${i}`, verdicts });
    });
    const [plain, ...roles] = this.roles;
    const tellsApart = ({ identities }: Role, other: Role) =>
      ends.some((end, e) => {
        const subject = end?.[direction];
        return subject !== undefined && typeof subject !== "string" && subject.tellsApart(identities[e], other.identities[e]);
      });
    const told = roles.filter((role) => (role.name === undefined || !role.isApiServer) && tellsApart(role, plain));
    const apiServer = told.find(({ name, isApiServer }) => name === undefined && isApiServer);
    const names = new Set(told.map(({ name }) => name));
    // An API server with a name is one of its own only where both are looked at: else it is like any, or like any bearer of the name.
    const matters = (role: Role) =>
      told.includes(role) ||
      (role.name !== undefined && role.isApiServer && apiServer !== undefined && names.has(role.name) && tellsApart(role, apiServer));
    found.push(...this.#outsideOf(verdictsOf, roles.filter(matters), family, wanted));
    return found;
  }

  /** Outside addresses; those in any of `roles` apart where the role makes a difference. */
  #outsideOf(verdictsOf: (parties: readonly Party[]) => number[], roles: readonly Role[], family: Family, wanted: Wanted): PeerVerdict[] {
    const [plain] = this.roles;
    const groups = new Map<string, { addresses: AddressEnd[]; role: Role; except: Role[]; id: string; verdicts: readonly number[] }>();
    const add = (end: AddressEnd, role: Role, except: Role[], verdicts: readonly number[]) => {
      if (!wanted(verdicts, family)) return;
      const id = `o${this.roles.indexOf(role)} ${except.map((each) => this.roles.indexOf(each)).join()}`;
      const key = `${id} ${verdicts.join()}`;
      const group = groups.get(key);
      if (group === undefined) groups.set(key, { addresses: [end], role, except, id, verdicts });
      else group.addresses.push(end);
    };
    for (const end of this.addresses) {
      if (family !== 0 && end.family !== family) continue;
      const verdictsIn = ({ identities }: Role) =>
        verdictsOf(end.classes.map((addressClass, e) => ({ identity: identities[e], addressClass })));
      const verdicts = verdictsIn(plain);
      const except: Role[] = [];
      for (const role of roles) {
        const own = verdictsIn(role);
        if (own.every((verdict, e) => verdict === verdicts[e])) continue;
        except.push(role);
        add(end, role, [], own);
      }
      add(end, plain, except, verdicts);
    }
    return [...groups.values()].map(({ addresses, role, except, id, verdicts }) => ({
      peer: { kind: "outside", role, addresses, except },
      id: `${id} ${addresses.map((end) => this.#addressNumbers.get(end)).join()}`,
      verdicts,
    }));
  }
}

interface PairGroup {
  readonly sources: BitSet;
  readonly verdicts: readonly number[];
}

interface PeerLink {
  readonly peer: EndSet;
  readonly classes: BitSet;
  readonly family: Family;
  readonly verdicts: readonly number[];
}

interface PeerVerdict {
  readonly peer: EndSet;
  /** Equal peers have one. */
  readonly id: string;
  readonly verdicts: readonly number[];
}

type Ends = readonly (ReturnType<typeof endOf> | undefined)[];

/** A pod without a known address takes part in every family. */
export function endOf({ ends }: PodClass, e: number, family: Family) {
  return ends[e].get(family) ?? ends[e].get(0);
}

/** Answers by class, worked out when they are asked for. */
class RowOfClasses {
  readonly #answers: Int32Array;
  readonly #decide: (other: number) => number;

  constructor(size: number, decide: (other: number) => number) {
    this.#answers = new Int32Array(size).fill(-1);
    this.#decide = decide;
  }

  at(other: number): number {
    const answer = this.#answers[other];
    return answer < 0 ? (this.#answers[other] = this.#decide(other)) : answer;
  }

  equals(row: RowOfClasses): boolean {
    return this === row || this.#answers.every((_, other) => this.at(other) === row.at(other));
  }
}

/** Reports by class whether any answer of its row is not the same in both sets; with one set, that it may matter. */
function differing(rows: readonly (RowOfClasses | undefined)[][], size: number): boolean[] {
  if (rows.length === 1) return new Array<boolean>(size).fill(true);
  const known = new Map<RowOfClasses, Map<RowOfClasses, boolean>>();
  return Array.from({ length: size }, (_, i) => {
    const [before, after] = [rows[0][i], rows[1][i]];
    if (before === undefined || after === undefined) return before !== after;
    const ofBefore = known.get(before) ?? new Map<RowOfClasses, boolean>();
    known.set(before, ofBefore);
    let differs = ofBefore.get(after);
    if (differs === undefined) ofBefore.set(after, (differs = !before.equals(after)));
    return differs;
  });
}

function groupBy<T>(items: readonly T[], verdictsOf: (item: T) => readonly number[]): { verdicts: readonly number[]; members: T[] }[] {
  const groups = new Map<string, { verdicts: readonly number[]; members: T[] }>();
  for (const item of items) {
    const verdicts = verdictsOf(item);
    const group = groups.get(verdicts.join());
    if (group === undefined) groups.set(verdicts.join(), { verdicts, members: [item] });
    else group.members.push(item);
  }
  return [...groups.values()];
}

/**
 * Joins what holds in every family that a pair of ends can use; the rest stays a link of its family. `lacking` returns the sources
 * that cannot use a family.
 */
function joinFamilies(
  byFamily: readonly (readonly PairGroup[])[],
  families: readonly Family[],
  lacking: (family: Family) => BitSet,
): (PairGroup & { family: Family })[] {
  const joined = new Map<string, PairGroup & { family: Family }>();
  const add = (sources: BitSet, verdicts: readonly number[], family: Family) => {
    const key = `${family} ${verdicts.join()}`;
    const known = joined.get(key);
    if (known !== undefined) known.sources.addAll(sources);
    else if (!sources.isEmpty) joined.set(key, { sources, verdicts, family });
  };
  const rest = families.map((_, i) => {
    const withoutOther = lacking(families[1 - i]);
    return byFamily[i].map(({ sources, verdicts }) => {
      add(sources.copy().retainAll(withoutOther), verdicts, 0);
      return { sources: sources.copy().removeAll(withoutOther), verdicts };
    });
  });
  const sixes = new Map(rest[1].map((group) => [group.verdicts.join(), group.sources]));
  for (const { sources, verdicts } of rest[0]) {
    const other = sixes.get(verdicts.join());
    const both = other === undefined ? new BitSet(sources.size) : sources.copy().retainAll(other);
    add(both.copy(), verdicts, 0);
    add(sources.removeAll(both), verdicts, families[0]);
    other?.removeAll(both);
  }
  for (const { sources, verdicts } of rest[1]) add(sources, verdicts, families[1]);
  return [...joined.values()];
}

/** Joins links of the same pods, verdicts and kind of peers: each family has nodes and outside addresses of its own. */
function joinPeers(
  byFamily: readonly (readonly PeerLink[])[],
  families: readonly Family[],
  lacking: (family: Family) => BitSet,
): readonly PeerLink[] {
  if (families.length === 1) return byFamily[0];
  const joined = new Map<string, PeerLink>();
  const single: PeerLink[] = [];
  const rest = byFamily.flatMap((links, i) => {
    const withoutOther = lacking(families[1 - i]);
    return links.map((link): PeerLink => {
      const only = link.classes.copy().retainAll(withoutOther);
      if (!only.isEmpty) single.push({ ...link, classes: only, family: 0 });
      return { ...link, classes: link.classes.copy().removeAll(withoutOther) };
    });
  });
  for (const link of rest.filter(({ classes }) => !classes.isEmpty)) {
    const { peer, classes, verdicts } = link;
    const key = `${kindKey(peer)} ${verdicts.join()} ${classes.words.join()}`;
    const other = joined.get(key);
    joined.set(key, other === undefined ? link : { ...link, peer: joinedPeer(other.peer, peer), family: 0 });
  }
  return [...single, ...joined.values()];
}

function kindKey(peer: EndSet): string {
  switch (peer.kind) {
    case "nodes":
      return peer.nodes.map(({ names, relation }) => `${relation} ${names.join()}`).join(";");
    case "entity":
      return peer.entity.entity;
    case "outside":
      return `outside ${peer.role.name} ${peer.role.isApiServer} ${peer.except.map(({ name, isApiServer }) => name ?? isApiServer).join()}`;
    case "pods":
      return "pods";
  }
}

function joinedPeer(a: EndSet, b: EndSet): EndSet {
  if (a.kind === "outside" && b.kind === "outside") return { ...a, addresses: [...a.addresses, ...b.addresses] };
  return a.kind === "nodes" && b.kind === "nodes" ? { ...a, nodes: [...a.nodes, ...b.nodes] } : a;
}
