import type { Namespace, Node, Pod } from "../cluster/objects.ts";
import type { Address } from "../net/address.ts";
import { ICMP, ICMPV6 } from "../net/protocol.ts";
import type { Direction, Policy } from "../policy/model.ts";
import { AddressClasses } from "./addressClasses.ts";
import { decideCell, type Party, type Rules } from "./cell.ts";
import { Blocks, type CompiledPolicy, compileDirection, portCuts } from "./clauses.ts";
import { COMMON_DECISIONS, type Decision, NO_POLICY, NOT_SELECTABLE, OWN_NODE, SELF } from "./decision.ts";
import { ANYTHING, Identities, NOBODY } from "./identities.ts";
import { PortClasses } from "./portClasses.ts";
import type { CniProfile } from "./profile.ts";

/** The pods, namespaces and nodes that policies select from. */
export interface World {
  readonly pods: readonly Pod[];
  readonly namespaces: ReadonlyMap<string, Namespace>;
  readonly nodes: readonly Node[];
}

/** Who takes part in a connection, with the address that it uses. */
export type Participant =
  | { readonly type: "pod"; readonly pod: Pod; readonly address: Address }
  | { readonly type: "node"; readonly node: Node; readonly address: Address }
  | { readonly type: "external"; readonly address: Address }
  /** Perhaps a pod: nothing is known of it. Without an address, not even that (the unknown backend of a Service). */
  | { readonly type: "unknown"; readonly address?: Address };

/**
 * One row of the decision table: everything that the policies selecting a class of subjects say in one direction. From peer
 * class and port class to a cell are three array look-ups; a cell is worked out on first use and kept.
 */
interface Row {
  readonly policies: readonly CompiledPolicy[];
  readonly subject: Party;
  readonly direction: Direction;
  /** Whether named ports of the peer matter: only egress rules look them up there. */
  readonly namesPeerPorts: boolean;
  /** From peer class to the row's own group of peers; GROUP_UNKNOWN until asked for. */
  peerGroups: Uint16Array;
  /** One peer of each group, which stands for it. */
  readonly groupSamples: number[];
  /** The peers by what the row's clauses say of them. */
  readonly groupsBySignature: Map<string, number>;
  /** From port class to the row's own group of ports. */
  readonly portGroups: Uint16Array;
  readonly portSamples: readonly number[];
  /** Decision ids by peer group and port group; -1 until asked for. */
  cells: Int32Array;
}

const GROUP_UNKNOWN = 0xffff;
/** Rows of subjects that no policy can select, or that none does. */
const ROW_NOT_SELECTABLE = -1;
const ROW_NO_POLICY = -2;

/** A policy set compiled against a world. Immutable in meaning: its tables fill as questions come. */
export class Evaluator {
  readonly policies: readonly Policy[];
  readonly profile: CniProfile;
  readonly ports: PortClasses;
  /** Decisions by id. */
  readonly decisions: Decision[] = [...COMMON_DECISIONS];

  readonly #rules: Rules;
  readonly #namespaces: ReadonlyMap<string, Namespace>;
  readonly #directions: Readonly<Record<Direction, readonly CompiledPolicy[]>>;
  readonly #selectingByIdentity: Readonly<Record<Direction, readonly number[][]>>;
  readonly #rows: Row[] = [];
  readonly #rowByKey = new Map<string, number>();
  readonly #decisionIds = new Map<string, number>();
  readonly #policyNumbers: ReadonlyMap<Policy, number>;

  /** Peer classes: an identity with an address class. */
  readonly #peers: Party[] = [];
  readonly #peerNumbers = new Map<string, number>();

  /** Columns by participant number. */
  readonly #participants = new Map<string, number>();
  /** The same by object: who asks again with the same one is answered at once. */
  readonly #numbers = new WeakMap<Participant, number>();
  #egressRow = new Int32Array(256);
  #ingressRow = new Int32Array(256);
  #peerClass = new Int32Array(256);
  /** Which pod (1..) or node (negative) it is; 0: neither. */
  #self = new Int32Array(256);
  /** For a pod: its node's number (negative); 0: not known. */
  #home = new Int32Array(256);
  readonly #podNumbers = new Map<Pod, number>();
  readonly #nodeNumbers = new Map<string, number>();

  constructor(policies: readonly Policy[], world: World, profile: CniProfile) {
    this.policies = policies;
    this.profile = profile;
    this.#namespaces = world.namespaces;
    const identities = new Identities(world.pods, world.namespaces);
    const blocks = new Blocks();
    this.#directions = {
      ingress: compileDirection(policies, "ingress", identities, blocks),
      egress: compileDirection(policies, "egress", identities, blocks),
    };
    this.#rules = { identities, addresses: new AddressClasses(blocks.list), profile };
    this.ports = new PortClasses(portCuts(policies, identities), [ICMP, ICMPV6]);
    this.#policyNumbers = new Map(policies.map((policy, i) => [policy, i]));
    this.#selectingByIdentity = { ingress: this.#findSelecting("ingress"), egress: this.#findSelecting("egress") };
    world.pods.forEach((pod, i) => this.#podNumbers.set(pod, i + 1));
    world.nodes.forEach((node, i) => this.#nodeNumbers.set(node.name, -1 - i));
  }

  /** Number of participants that were classed. */
  get participants(): number {
    return this.#participants.size;
  }

  /** Returns the number of a participant; equal participants have one number. This is where an address finds its class. */
  classify(participant: Participant): number {
    const same = this.#numbers.get(participant);
    if (same !== undefined) return same;
    const key = participantKey(participant, this.#podNumbers);
    const known = this.#participants.get(key);
    this.#numbers.set(participant, known ?? this.#participants.size);
    if (known !== undefined) return known;
    const number = this.#participants.size;
    this.#participants.set(key, number);
    if (number >= this.#peerClass.length) this.#growParticipants();
    const party = this.#partyOf(participant);
    this.#peerClass[number] = this.#peerNumber(party);
    this.#egressRow[number] = this.#rowOf(party, "egress");
    this.#ingressRow[number] = this.#rowOf(party, "ingress");
    if (participant.type === "pod") {
      this.#self[number] = this.#podNumbers.get(participant.pod) ?? 0;
      this.#home[number] = this.#nodeNumbers.get(participant.pod.nodeName ?? "") ?? 0;
    } else if (participant.type === "node") this.#self[number] = this.#nodeNumbers.get(participant.node.name) ?? 0;
    return number;
  }

  /** Returns the id of the decision at the source. Participants by number, port by class (`ports.classOf`). */
  decideEgress(source: number, destination: number, portClass: number): number {
    const row = this.#egressRow[source];
    if (row < 0) return row === ROW_NOT_SELECTABLE ? NOT_SELECTABLE : NO_POLICY;
    const self = this.#self[source];
    if (self !== 0) {
      if (self === this.#self[destination]) return SELF;
      if (this.#home[source] !== 0 && this.#home[source] === this.#self[destination] && this.profile.podToOwnNode === "allow")
        return OWN_NODE;
    }
    return this.#lookUp(row, this.#peerClass[destination], portClass);
  }

  /** Returns the id of the decision at the destination. */
  decideIngress(source: number, destination: number, portClass: number): number {
    const row = this.#ingressRow[destination];
    if (row < 0) return row === ROW_NOT_SELECTABLE ? NOT_SELECTABLE : NO_POLICY;
    const self = this.#self[destination];
    if (self !== 0) {
      if (self === this.#self[source]) return SELF;
      if (this.#home[destination] !== 0 && this.#home[destination] === this.#self[source]) return OWN_NODE;
    }
    return this.#lookUp(row, this.#peerClass[source], portClass);
  }

  /** Returns the policies that select a participant and govern a direction; for an unknown one those that may. */
  policiesOf(participant: number, direction: Direction): readonly CompiledPolicy[] {
    const row = (direction === "egress" ? this.#egressRow : this.#ingressRow)[participant];
    return row < 0 ? [] : this.#rows[row].policies;
  }

  /** Returns a key that two questions share only when every rule answers them alike, ports aside. */
  cellKey(subject: Participant, peer: Participant, direction: Direction): string {
    const rows = direction === "egress" ? this.#egressRow : this.#ingressRow;
    const row = this.#rows[rows[this.classify(subject)]];
    const peerClass = this.#peerClass[this.classify(peer)];
    return row === undefined ? `${direction} ${peerClass}` : `${rows[this.classify(subject)]} ${this.#groupOf(row, peerClass)}`;
  }

  /** What a participant is to rules: for explaining single answers. */
  party(participant: number): Party {
    return this.#peers[this.#peerClass[participant]];
  }

  get rules(): Rules {
    return this.#rules;
  }

  /** The labels of a namespace, as far as they are known. */
  namespaceLabels(name: string): Readonly<Record<string, string>> {
    return this.#namespaces.get(name)?.labels ?? {};
  }

  /** Sizes of the compiled tables, for benchmarks and curiosity. */
  get sizes(): Readonly<Record<string, number>> {
    return {
      policies: this.policies.length,
      identities: this.#rules.identities.size,
      addressClasses: this.#rules.addresses.size,
      portClasses: this.ports.samples.length,
      rows: this.#rows.length,
      peerClasses: this.#peers.length,
      decisions: this.decisions.length,
    };
  }

  #lookUp(rowNumber: number, peerClass: number, portClass: number): number {
    const row = this.#rows[rowNumber];
    let group = row.peerGroups[peerClass];
    if (group === undefined || group === GROUP_UNKNOWN) group = this.#groupOf(row, peerClass);
    const cell = group * row.portSamples.length + row.portGroups[portClass];
    const id = row.cells[cell];
    return id === undefined || id < 0 ? this.#fill(row, group, portClass, cell) : id;
  }

  #fill(row: Row, group: number, portClass: number, cell: number): number {
    if (cell >= row.cells.length) {
      const grown = new Int32Array(Math.max(row.cells.length * 2, row.groupSamples.length * row.portSamples.length)).fill(-1);
      grown.set(row.cells);
      row.cells = grown;
    }
    const peer = this.#peers[row.groupSamples[group]];
    const destination = row.direction === "egress" ? peer : row.subject;
    const sample = this.ports.samples[row.portSamples[row.portGroups[portClass]]];
    const id = this.#internDecision(decideCell(this.#rules, row.policies, row.subject, peer, destination, sample));
    row.cells[cell] = id;
    return id;
  }

  #internDecision(decision: Decision): number {
    const refs = decision.matched.map(({ policy, rule }) => `${this.#policyNumbers.get(policy)}:${rule.path}`);
    const key = [
      decision.verdict,
      decision.reason,
      decision.notes.join(),
      decision.isolatedBy.map((policy) => this.#policyNumbers.get(policy)).join(),
      refs.join(),
    ].join("|");
    let id = this.#decisionIds.get(key);
    if (id === undefined) this.#decisionIds.set(key, (id = this.decisions.push(decision) - 1));
    return id;
  }

  #findSelecting(direction: Direction): number[][] {
    const selecting: number[][] = Array.from({ length: this.#rules.identities.size }, () => []);
    this.#directions[direction].forEach(({ subject }, policy) =>
      this.#rules.identities.selection(subject).may.forEach((identity) => selecting[identity].push(policy)),
    );
    return selecting;
  }

  #partyOf(participant: Participant): Party {
    const addressClass = participant.address === undefined ? -1 : this.#rules.addresses.classOf(participant.address);
    switch (participant.type) {
      case "pod":
        return { identity: this.#rules.identities.numberOf(participant.pod) ?? ANYTHING, addressClass, isNode: false };
      case "unknown":
        return { identity: ANYTHING, addressClass, isNode: false };
      default:
        return { identity: NOBODY, addressClass, isNode: participant.type === "node" };
    }
  }

  #peerNumber(party: Party): number {
    const key = `${party.identity},${party.addressClass},${party.isNode}`;
    let number = this.#peerNumbers.get(key);
    if (number === undefined) this.#peerNumbers.set(key, (number = this.#peers.push(party) - 1));
    return number;
  }

  #rowOf(subject: Party, direction: Direction): number {
    if (subject.identity === NOBODY) return ROW_NOT_SELECTABLE;
    const selecting = this.#selectingByIdentity[direction][subject.identity];
    if (selecting.length === 0) return ROW_NO_POLICY;
    const policies = selecting.map((policy) => this.#directions[direction][policy]);
    const { identities } = this.#rules;
    // Subjects are one class when the same policies select them, as certainly, and (for ingress) their named ports agree.
    const certainty = policies.map(({ subject: selection }) => (identities.selection(selection).must.has(subject.identity) ? "" : "?"));
    const named =
      direction === "ingress" && policies.some(usesNamedPorts)
        ? JSON.stringify(identities.get(subject.identity)?.ports.filter((port) => port.name !== undefined))
        : "";
    const key = `${direction} ${selecting.map((policy, i) => policy + certainty[i]).join()} ${named}`;
    let row = this.#rowByKey.get(key);
    if (row === undefined) this.#rowByKey.set(key, (row = this.#rows.push(this.#makeRow(policies, subject, direction)) - 1));
    return row;
  }

  #makeRow(policies: readonly CompiledPolicy[], subject: Party, direction: Direction): Row {
    const { portGroups, portSamples } = groupPorts(this.ports, policies, this.#portValues(policies, subject, direction));
    return {
      policies,
      subject,
      direction,
      namesPeerPorts: direction === "egress" && policies.some(usesNamedPorts),
      peerGroups: new Uint16Array(0),
      groupSamples: [],
      groupsBySignature: new Map(),
      portGroups,
      portSamples,
      cells: new Int32Array(0),
    };
  }

  /** Numbers that named ports of the row's rules can stand for: the subject's for ingress, any pod's for egress. */
  #portValues(policies: readonly CompiledPolicy[], subject: Party, direction: Direction): ReadonlySet<number> {
    const names = new Set<string>();
    for (const { clauses } of policies) {
      for (const { rule } of clauses)
        if (rule.ports !== "any") for (const { ports } of rule.ports) if (ports !== undefined && "name" in ports) names.add(ports.name);
    }
    const values = new Set<number>();
    if (names.size === 0) return values;
    const { identities } = this.#rules;
    const owners =
      direction === "ingress" && subject.identity !== ANYTHING
        ? [subject.identity]
        : Array.from({ length: identities.size }, (_, number) => number);
    for (const owner of owners) {
      for (const { name, port, protocol } of identities.get(owner)?.ports ?? [])
        if (name !== undefined && names.has(name)) values.add(this.ports.classOf(protocol, port));
    }
    return values;
  }

  /** Peers are one group in a row when each clause says the same of them, named ports (of egress rules) included. */
  #groupOf(row: Row, peerClass: number): number {
    if (peerClass >= row.peerGroups.length) {
      const grown = new Uint16Array(Math.max(this.#peers.length, row.peerGroups.length * 2)).fill(GROUP_UNKNOWN);
      grown.set(row.peerGroups);
      row.peerGroups = grown;
    }
    const peer = this.#peers[peerClass];
    const signature = this.#signatureOf(row, peer);
    let group = row.groupsBySignature.get(signature);
    if (group === undefined) {
      group = row.groupSamples.push(peerClass) - 1;
      if (group >= GROUP_UNKNOWN) throw new RangeError("a policy set tells more than 65,534 groups of peers apart for one workload");
      row.groupsBySignature.set(signature, group);
    }
    row.peerGroups[peerClass] = group;
    return group;
  }

  #signatureOf(row: Row, peer: Party): string {
    const { identities, addresses } = this.#rules;
    let signature = peer.identity === ANYTHING ? "?" : peer.identity === NOBODY ? (peer.isNode ? "n" : "o") : "p";
    for (const { clauses } of row.policies) {
      for (const { peers } of clauses) {
        if (peers === "any") continue;
        for (const { isBlock, number } of peers) {
          if (isBlock) signature += peer.addressClass < 0 ? "?" : addresses.contains(number, peer.addressClass) ? "1" : "0";
          else {
            const { must, may } = identities.selection(number);
            signature += must.has(peer.identity) ? "1" : may.has(peer.identity) ? "?" : "0";
          }
        }
      }
    }
    if (row.namesPeerPorts) {
      signature += JSON.stringify(identities.get(peer.identity)?.ports.filter((port) => port.name !== undefined) ?? null);
    }
    return signature;
  }

  #growParticipants(): void {
    const grow = (old: Int32Array<ArrayBuffer>): Int32Array<ArrayBuffer> => {
      const grown = new Int32Array(old.length * 2);
      grown.set(old);
      return grown;
    };
    this.#egressRow = grow(this.#egressRow);
    this.#ingressRow = grow(this.#ingressRow);
    this.#peerClass = grow(this.#peerClass);
    this.#self = grow(this.#self);
    this.#home = grow(this.#home);
  }
}

function participantKey(participant: Participant, podNumbers: ReadonlyMap<Pod, number>): string {
  switch (participant.type) {
    case "pod":
      return `p${podNumbers.get(participant.pod) ?? `${participant.pod.namespace}/${participant.pod.name}`} ${participant.address}`;
    case "node":
      return `n${participant.node.name} ${participant.address}`;
    case "external":
      return `e${participant.address}`;
    case "unknown":
      return `u${participant.address ?? ""}`;
  }
}

function usesNamedPorts({ clauses }: CompiledPolicy): boolean {
  return clauses.some(({ rule }) => rule.ports !== "any" && rule.ports.some(({ ports }) => ports !== undefined && "name" in ports));
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
