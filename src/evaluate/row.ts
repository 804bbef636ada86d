import type { Direction } from "../policy/model.ts";
import type { Party, Rules } from "./cell.ts";
import type { CompiledPolicy } from "./clauses.ts";
import type { NamedPort, NamedPorts } from "./namedPorts.ts";
import type { PortClasses } from "./portClasses.ts";

/**
 * One row of the decision table: what the policies that select a class of subjects say in one direction. Peers that no rule of the
 * row tells apart are one group, by identity and by address; so are ports. Where rules name ports, what those names mean at the
 * destination is a third axis, the variant.
 */
export class Row {
  readonly policies: readonly CompiledPolicy[];
  readonly subject: Party;
  readonly direction: Direction;

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
  ) {
    this.policies = policies;
    this.subject = subject;
    this.direction = direction;
    const identities = groupIdentities(rules, policies);
    const addresses = groupAddresses(rules, policies);
    this.#identityGroups = identities.groups;
    this.#addressGroups = addresses.groups;
    this.#addressGroupCount = addresses.count;
    this.#pairs = new Int32Array(identities.count * addresses.count);
    const { portGroups, portCount } = groupPorts(ports, policies);
    this.portGroups = portGroups;
    this.portCount = portCount;
    this.#namedPorts = namedPorts;
    this.#names = namesOf(policies);
    // A set of names is, to this row, the subset of them that its rules use.
    this.variantCount = Math.min(2 ** this.#names.length, namedPorts.setCount);
    this.#variants = new Uint8Array(this.variantCount > 1 ? namedPorts.setCount : 0).fill(UNASKED);
    if (this.variantCount >= UNASKED) throw new RangeError("the rules of one workload use port names in more than 254 combinations");
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
      (variant, other) => variant !== UNASKED && this.#names.every((name, i) => this.#namedPorts.holds(other, name) === bits[i]),
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

function groupIdentities(rules: Rules, policies: readonly CompiledPolicy[]): Partition {
  const { identities } = rules;
  const partition = new Partition(identities.size);
  // Whatever is no pod of the snapshot is judged by rules of its own.
  for (let special = 0; special < identities.firstPod; special++) splitBy(partition, [special]);
  const seen = new Set<number>();
  for (const { clauses } of policies) {
    for (const { peers } of clauses) if (peers !== "any") for (const { isBlock, number } of peers) if (!isBlock) seen.add(number);
  }
  for (const number of seen) {
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

function groupAddresses(rules: Rules, policies: readonly CompiledPolicy[]): Partition {
  const { addresses } = rules;
  const partition = new Partition(addresses.size + 1);
  const seen = new Set<number>();
  for (const { clauses } of policies)
    for (const { peers } of clauses) if (peers !== "any") for (const { isBlock, number } of peers) if (isBlock) seen.add(number);
  if (seen.size === 0) return partition;
  splitBy(partition, [0]);
  for (const block of seen) {
    partition.next();
    addresses.forEachIn(block, (addressClass) => partition.move(addressClass + 1));
  }
  return partition;
}

/** Returns the port names that rules use, each with its protocol. */
function namesOf(policies: readonly CompiledPolicy[]): NamedPort[] {
  const names = new Map<string, NamedPort>();
  for (const { clauses } of policies) {
    for (const { rule } of clauses) {
      if (rule.ports === "any") continue;
      for (const { protocol, ports } of rule.ports)
        if (ports !== undefined && "name" in ports) names.set(`${protocol}/${ports.name}`, { protocol, name: ports.name });
    }
  }
  return [...names.values()];
}

/** Joins port classes that no number in the row's rules tells apart. Classes of a protocol follow each other by port. */
function groupPorts(ports: PortClasses, policies: readonly CompiledPolicy[]): { portGroups: Uint16Array; portCount: number } {
  const portGroups = new Uint16Array(ports.samples.length);
  const partition = new Partition(ports.samples.length);
  const ranges = new Map<string, readonly [number, number]>();
  for (const protocol of new Set(ports.samples.map((sample) => sample.protocol))) {
    const members = ports.samples.flatMap((sample, portClass) => (sample.protocol === protocol ? [portClass] : []));
    splitBy(partition, members);
  }
  for (const { clauses } of policies) {
    for (const { rule } of clauses) {
      if (rule.ports === "any") continue;
      for (const { protocol, ports: range } of rule.ports) {
        if (range === undefined || "name" in range) continue;
        ranges.set(`${protocol}/${range.first}-${range.last}`, [ports.classOf(protocol, range.first), ports.classOf(protocol, range.last)]);
      }
    }
  }
  for (const [first, last] of ranges.values()) {
    partition.next();
    for (let portClass = first; portClass <= last; portClass++) partition.move(portClass);
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
