import { type Direction, type PortMatch, portNameOf } from "../policy/model.ts";
import type { Rules } from "./cell.ts";
import { type Clause, type CompiledPolicy, cutOf, portMatchesOf, sourcePortMatchesOf } from "./clauses.ts";
import type { NamedPort, NamedPorts } from "./namedPorts.ts";
import type { PortClasses, PortCut } from "./portClasses.ts";
import { forEachAtom, type Party } from "./terms.ts";

/**
 * One row of the decision table: what the policies that select a class of subjects say in one direction. Peers that no rule of the
 * row tells apart are one group, by identity and by address; so are ports. Where rules name ports, what those names mean at the
 * destination is a third axis, the variant.
 */
export class Row {
  readonly policies: readonly CompiledPolicy[];
  readonly subject: Party;
  readonly direction: Direction;
  /** For each policy how certainly it selects the subjects, and what its rules say of their own end. */
  readonly certainty: readonly string[];

  /** From identity to the row's group of identities; from address class + 1 (0: no address) to the row's group of addresses. */
  readonly #identityGroups: Uint16Array;
  readonly #addressGroups: Uint16Array;
  readonly #addressGroupCount: number;
  /** From a pair of groups to its number, in order of first use; 0: not used yet. */
  readonly #pairs: Int32Array;
  #pairCount = 0;
  /** From port class to the row's group of ports. */
  readonly portGroups: Uint16Array;
  readonly portCount: number;
  /** From a set of port names (see NamedPorts) to the row's own variant of it; UNASKED until asked for. */
  readonly #variants: Uint8Array;
  readonly variantCount: number;
  readonly #names: readonly NamedPort[];
  readonly #namedPorts: NamedPorts;

  constructor(
    rules: Rules,
    ports: PortClasses,
    namedPorts: NamedPorts,
    policies: readonly CompiledPolicy[],
    subject: Party,
    direction: Direction,
    certainty: readonly string[],
  ) {
    this.certainty = certainty;
    this.policies = policies;
    this.subject = subject;
    this.direction = direction;
    const clauses = policies.flatMap((policy) => policy.clauses);
    const atoms = atomsOf(clauses);
    const identities = groupIdentities(rules, atoms.selections);
    const addresses = groupAddresses(rules, atoms.blocks);
    this.#identityGroups = identities.groups;
    this.#addressGroups = addresses.groups;
    this.#addressGroupCount = addresses.count;
    this.#pairs = new Int32Array(identities.count * addresses.count);
    const { portGroups, portCount } = groupPorts(ports, clauses, rules.profile.icmpAlwaysPasses);
    this.portGroups = portGroups;
    this.portCount = portCount;
    this.#namedPorts = namedPorts;
    const names = namesOf(clauses);
    this.#names = names.filter((name) => namedPorts.isMeant(name));
    // A set of names is, to this row, the subset of them that its rules use; where any are possible it is one of its own.
    this.variantCount = names.length === 0 ? 1 : Math.min(2 ** this.#names.length + 1, namedPorts.setCount);
    this.#variants = new Uint8Array(this.variantCount > 1 ? namedPorts.setCount : 0).fill(UNASKED);
    if (this.variantCount >= UNASKED) throw new RangeError("the rules of one workload use port names in more than 254 combinations");
  }

  /** Reports whether any rule of the row tells two identities apart, whatever their addresses. */
  tellsApart(a: number, b: number): boolean {
    return this.#identityGroups[a] !== this.#identityGroups[b];
  }

  /** Returns the number of a peer's group: peers of one group are answered alike by every rule of the row. */
  groupOf(identity: number, addressClass: number): number {
    const pair = this.#identityGroups[identity] * this.#addressGroupCount + this.#addressGroups[addressClass + 1];
    const number = this.#pairs[pair];
    return number === 0 ? this.#usePair(pair) : number - 1;
  }

  /** Returns the row's variant of a set of port names: sets are alike to it where its rules' names are in both or neither. */
  variantOf(set: number): number {
    const known = this.#variants[set];
    if (known !== UNASKED) return known;
    const bits = this.#names.map((name) => this.#namedPorts.holds(set, name));
    const same = this.#variants.findIndex(
      (variant, other) =>
        variant !== UNASKED &&
        this.#namedPorts.isAny(other) === this.#namedPorts.isAny(set) &&
        this.#names.every((name, i) => this.#namedPorts.holds(other, name) === bits[i]),
    );
    const variant = same >= 0 ? this.#variants[same] : new Set(this.#variants.filter((used) => used !== UNASKED)).size;
    this.#variants[set] = variant;
    return variant;
  }

  #usePair(pair: number): number {
    const number = ++this.#pairCount;
    if (number >= 0xffff) throw new RangeError("a policy set tells more than 65,534 groups of peers apart for one workload");
    this.#pairs[pair] = number;
    return number - 1;
  }
}

const UNASKED = 255;

/** Splits groups: members of one set leave their group for a new one, together with those of the same old group. */
class Partition {
  readonly groups: Uint16Array;
  count = 1;
  #fresh = new Map<number, number>();

  constructor(size: number) {
    this.groups = new Uint16Array(size);
  }

  /** Begins the next set. */
  next(): void {
    this.#fresh.clear();
  }

  move(member: number): void {
    const old = this.groups[member];
    let group = this.#fresh.get(old);
    if (group === undefined) {
      group = this.count++;
      if (group > 0xffff) throw new RangeError("a policy set tells more than 65,535 groups of peers apart for one workload");
      this.#fresh.set(old, group);
    }
    this.groups[member] = group;
  }
}

/** The selections and blocks that clauses look at. */
function atomsOf(clauses: readonly Clause[]): { selections: ReadonlySet<number>; blocks: ReadonlySet<number> } {
  const selections = new Set<number>();
  const blocks = new Set<number>();
  for (const { peers } of clauses) {
    if (peers === "any") continue;
    for (const { term } of peers) forEachAtom(term, (op, number) => (op === "block" ? blocks : selections).add(number));
  }
  return { selections, blocks };
}

function groupIdentities({ identities }: Rules, selections: ReadonlySet<number>): Partition {
  const partition = new Partition(identities.size);
  // Whatever is no pod of the snapshot is judged by rules of its own. Nodes of one relation to the subject are alike but for selections.
  for (const special of identities.specials) splitBy(partition, special);
  for (const number of selections) {
    const { must, may } = identities.selection(number);
    partition.next();
    must.forEach((identity) => partition.move(identity));
    partition.next();
    may.forEach((identity) => {
      if (!must.has(identity)) partition.move(identity);
    });
  }
  return partition;
}

function splitBy(partition: Partition, members: readonly number[]): void {
  partition.next();
  for (const member of members) partition.move(member);
}

function groupAddresses({ addresses }: Rules, blocks: ReadonlySet<number>): Partition {
  const partition = new Partition(addresses.size + 1);
  if (blocks.size === 0) return partition;
  splitBy(partition, [0]);
  for (const block of blocks) {
    partition.next();
    addresses.forEachIn(block, (addressClass) => partition.move(addressClass + 1));
  }
  return partition;
}

/** Returns the port names that rules use, each with its protocol. */
function namesOf(clauses: readonly Clause[]): NamedPort[] {
  const names = new Map<string, NamedPort>();
  for (const clause of clauses) {
    for (const match of portMatchesOf(clause)) {
      const { protocol } = match;
      const name = portNameOf(match);
      if (name !== undefined) names.set(`${protocol}/${name}`, { protocol, name });
    }
  }
  return [...names.values()];
}

/**
 * Joins port classes that no number in the row's rules, or of what the plugin treats peculiarly, tells apart. Classes of a protocol
 * follow each other by port.
 */
function groupPorts(
  ports: PortClasses,
  clauses: readonly Clause[],
  peculiar: readonly PortMatch[],
): { portGroups: Uint16Array; portCount: number } {
  const portGroups = new Uint16Array(ports.samples.length);
  const partition = new Partition(ports.samples.length);
  const byProtocol = new Map<number, number[]>();
  ports.samples.forEach(({ protocol }, portClass) => {
    const members = byProtocol.get(protocol);
    if (members === undefined) byProtocol.set(protocol, [portClass]);
    else members.push(portClass);
  });
  for (const members of byProtocol.values()) splitBy(partition, members);
  const cuts = new Map<string, PortCut>();
  let looksAtSource = false;
  const add = (match: PortMatch) => {
    const cut = cutOf(match);
    if (cut !== undefined) cuts.set(`${cut.protocol}/${cut.first}-${cut.last}`, cut);
  };
  for (const match of peculiar) add(match);
  for (const clause of clauses) {
    for (const match of portMatchesOf(clause)) add(match);
    if (sourcePortMatchesOf(clause).length > 0) looksAtSource = true;
  }
  for (const cut of cuts.values()) {
    partition.next();
    ports.forEachIn(cut, (portClass) => partition.move(portClass));
  }
  if (looksAtSource) {
    for (let source = 0; source < ports.sourceCount; source++) {
      partition.next();
      for (let portClass = source; portClass < ports.samples.length; portClass += ports.sourceCount) partition.move(portClass);
    }
  }
  // Groups that were emptied would only take room.
  const dense = new Map<number, number>();
  for (let portClass = 0; portClass < portGroups.length; portClass++) {
    const group = partition.groups[portClass];
    if (!dense.has(group)) dense.set(group, dense.size);
    portGroups[portClass] = dense.get(group)!;
  }
  return { portGroups, portCount: dense.size };
}
