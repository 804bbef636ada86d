import type { Direction } from "../policy/model.ts";
import type { Party, Rules } from "./cell.ts";
import type { CompiledPolicy } from "./clauses.ts";
import type { PortClasses } from "./portClasses.ts";

/**
 * One row of the decision table: what the policies that select a class of subjects say in one direction. Peers that no rule of the
 * row tells apart are one group, by identity and by address; so are ports. From the classes of a question to its cell are a few
 * array look-ups; a cell is worked out on first use, by whoever holds the row, and kept.
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
  readonly #pairSamples: Party[] = [];
  readonly #portGroups: Uint16Array;
  /** One port class of each group, which stands for it. */
  readonly #portSamples: readonly number[];
  #cells = new Int32Array(0);

  constructor(rules: Rules, ports: PortClasses, policies: readonly CompiledPolicy[], subject: Party, direction: Direction) {
    this.policies = policies;
    this.subject = subject;
    this.direction = direction;
    const identities = groupIdentities(rules, policies, direction);
    const addresses = groupAddresses(rules, policies);
    this.#identityGroups = identities.groups;
    this.#addressGroups = addresses.groups;
    this.#addressGroupCount = addresses.count;
    this.#pairs = new Int32Array(identities.count * addresses.count);
    const { portGroups, portSamples } = groupPorts(ports, policies, namedPortClasses(rules, ports, policies, subject, direction));
    this.#portGroups = portGroups;
    this.#portSamples = portSamples;
  }

  /** Returns the place of a cell, for `get` and `set`. */
  cellOf(identity: number, addressClass: number, portClass: number): number {
    return this.groupOf(identity, addressClass) * this.#portSamples.length + this.#portGroups[portClass];
  }

  /** Returns the number of a peer's group: peers of one group are answered alike by every rule of the row. */
  groupOf(identity: number, addressClass: number): number {
    const pair = this.#identityGroups[identity] * this.#addressGroupCount + this.#addressGroups[addressClass + 1];
    const number = this.#pairs[pair];
    return number === 0 ? this.#usePair(pair, { identity, addressClass }) : number - 1;
  }

  /** Returns the decision id of a cell, -1 before `set`. */
  get(cell: number): number {
    return this.#cells[cell];
  }

  set(cell: number, decision: number): void {
    this.#cells[cell] = decision;
  }

  /** A peer and a port class that stand for a cell. */
  sampleOf(cell: number): { readonly peer: Party; readonly portClass: number } {
    const ports = this.#portSamples.length;
    return { peer: this.#pairSamples[Math.floor(cell / ports)], portClass: this.#portSamples[cell % ports] };
  }

  #usePair(pair: number, sample: Party): number {
    const number = this.#pairSamples.push(sample);
    this.#pairs[pair] = number;
    const needed = number * this.#portSamples.length;
    if (needed > this.#cells.length) {
      const grown = new Int32Array(Math.max(needed, this.#cells.length * 2)).fill(-1);
      grown.set(this.#cells);
      this.#cells = grown;
    }
    return number - 1;
  }
}

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

function groupIdentities(rules: Rules, policies: readonly CompiledPolicy[], direction: Direction): Partition {
  const { identities } = rules;
  const partition = new Partition(identities.size);
  // Whatever is no pod of the snapshot is judged by rules of its own.
  for (let special = 0; special < identities.firstPod; special++) {
    partition.next();
    partition.move(special);
  }
  const seen = new Set<number>();
  const names = new Set<string>();
  for (const { clauses } of policies) {
    for (const { peers, rule } of clauses) {
      if (peers !== "any") for (const { isBlock, number } of peers) if (!isBlock) seen.add(number);
      if (rule.ports !== "any") for (const { ports } of rule.ports) if (ports !== undefined && "name" in ports) names.add(ports.name);
    }
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
  // Egress rules look named ports up on the peer.
  if (direction === "egress") for (const name of names) for (const owners of identities.ownersOfPort(name)) splitBy(partition, owners);
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

/** Port classes that named ports of the row's rules can stand for: the subject's for ingress, any pod's for egress. */
function namedPortClasses(
  rules: Rules,
  ports: PortClasses,
  policies: readonly CompiledPolicy[],
  subject: Party,
  direction: Direction,
): ReadonlySet<number> {
  const { identities } = rules;
  const names = new Set<string>();
  for (const { clauses } of policies) {
    for (const { rule } of clauses)
      if (rule.ports !== "any")
        for (const match of rule.ports) if (match.ports !== undefined && "name" in match.ports) names.add(match.ports.name);
  }
  const values = new Set<number>();
  const own = direction === "ingress" ? identities.get(subject.identity) : undefined;
  for (const name of names) {
    const declared = own === undefined ? identities.valuesOfPort(name) : own.ports.filter((port) => port.name === name);
    for (const { protocol, port } of declared) values.add(ports.classOf(protocol, port));
  }
  return values;
}

/** Joins port classes that none of the row's rules tells apart. `named` are the classes that named ports can stand for. */
function groupPorts(
  ports: PortClasses,
  policies: readonly CompiledPolicy[],
  named: ReadonlySet<number>,
): { portGroups: Uint16Array; portSamples: number[] } {
  const portGroups = new Uint16Array(ports.samples.length);
  const portSamples: number[] = [];
  const groups = new Map<string, number>();
  const matches = policies.flatMap(({ clauses }) => clauses.flatMap(({ rule }) => (rule.ports === "any" ? [] : rule.ports)));
  ports.samples.forEach(({ protocol, port }, portClass) => {
    let signature = named.has(portClass) ? `${portClass}` : `${protocol}:`;
    for (const match of matches) {
      if (match.protocol !== protocol) continue;
      if (match.ports !== undefined && !("name" in match.ports))
        signature += port >= match.ports.first && port <= match.ports.last ? "1" : "0";
    }
    let group = groups.get(signature);
    if (group === undefined) groups.set(signature, (group = portSamples.push(portClass) - 1));
    portGroups[portClass] = group;
  });
  return { portGroups, portSamples };
}
