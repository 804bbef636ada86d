import type { Namespace, Node, Pod } from "../cluster/objects.ts";
import type { Address } from "../net/address.ts";
import { ICMP, ICMPV6 } from "../net/protocol.ts";
import type { Direction, Policy } from "../policy/model.ts";
import { AddressClasses } from "./addressClasses.ts";
import { decideCell, type Party, type Rules } from "./cell.ts";
import { Blocks, type CompiledPolicy, compileDirection, portCuts, portNames } from "./clauses.ts";
import { COMMON_DECISIONS, type Decision, NO_POLICY, NOT_SELECTABLE, OWN_NODE, SELF, UNSELECTED_DENIED } from "./decision.ts";
import { DecisionTable } from "./decisionTable.ts";
import { ANYTHING, Identities, NODE, OUTSIDE } from "./identities.ts";
import { NamedPorts } from "./namedPorts.ts";
import { PortClasses } from "./portClasses.ts";
import type { CniProfile } from "./profile.ts";
import { Row } from "./row.ts";

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
  readonly #namedPorts: NamedPorts;
  readonly #namespaces: ReadonlyMap<string, Namespace>;
  /** The decision on a pod that no policy selects. */
  readonly #unselected: number;
  readonly #directions: Readonly<Record<Direction, readonly CompiledPolicy[]>>;
  readonly #selectingByIdentity: Readonly<Record<Direction, readonly number[][]>>;
  readonly #table: DecisionTable;
  readonly #rowByKey = new Map<string, number>();
  readonly #decisionIds = new Map<string, number>();
  readonly #policyNumbers: ReadonlyMap<Policy, number>;

  /** Columns by participant number. */
  readonly #participants = new Map<string, number>();
  /** The same by object: who asks again with the same one is answered at once. */
  readonly #numbers = new WeakMap<Participant, number>();
  #egressRow = new Int32Array(256);
  #ingressRow = new Int32Array(256);
  #identity = new Int32Array(256);
  #addressClass = new Int32Array(256);
  /** Its number in the decision table. */
  #peerNumber = new Int32Array(256);
  /** Which pod (1..) or node (negative) it is; 0: neither. */
  #self = new Int32Array(256);
  /** For a pod: its node's number (negative); 0: not known. */
  #home = new Int32Array(256);
  readonly #podNumbers = new Map<Pod, number>();
  readonly #nodeNumbers = new Map<string, number>();

  constructor(policies: readonly Policy[], world: World, profile: CniProfile) {
    this.policies = policies;
    this.profile = profile;
    this.#unselected = profile.enforcement === "always" ? UNSELECTED_DENIED : NO_POLICY;
    // A plugin that enforces nothing is one that has no policies.
    if (profile.enforcement === "never") policies = [];
    this.#namespaces = world.namespaces;
    // Pods on the host network are their node: no selector selects them.
    const identities = new Identities(
      world.pods.filter((pod) => !pod.hostNetwork),
      world.namespaces,
    );
    const blocks = new Blocks();
    this.#directions = {
      ingress: compileDirection(policies, "ingress", identities, blocks),
      egress: compileDirection(policies, "egress", identities, blocks),
    };
    this.#rules = { identities, addresses: new AddressClasses(blocks.list), profile };
    const names = portNames(policies);
    this.ports = new PortClasses(portCuts(policies, identities, names), [ICMP, ICMPV6]);
    this.#namedPorts = new NamedPorts(identities, this.ports, names);
    this.#table = new DecisionTable(this.ports.samples.length, this.#namedPorts);
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
    if (number >= this.#identity.length) this.#growParticipants();
    const party = this.#partyOf(participant);
    this.#identity[number] = party.identity;
    this.#addressClass[number] = party.addressClass;
    this.#peerNumber[number] = this.#table.addPeer(party);
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
    if (row < 0) return row === ROW_NOT_SELECTABLE ? NOT_SELECTABLE : this.#unselected;
    const self = this.#self[source];
    if (self !== 0) {
      if (self === this.#self[destination]) return SELF;
      if (this.#home[source] !== 0 && this.#home[source] === this.#self[destination] && this.profile.podToOwnNode === "allow")
        return OWN_NODE;
    }
    return this.#lookUp(row, destination, destination, portClass);
  }

  /** Returns the id of the decision at the destination. */
  decideIngress(source: number, destination: number, portClass: number): number {
    const row = this.#ingressRow[destination];
    if (row < 0) return row === ROW_NOT_SELECTABLE ? NOT_SELECTABLE : this.#unselected;
    const self = this.#self[destination];
    if (self !== 0) {
      if (self === this.#self[source]) return SELF;
      if (this.#home[destination] !== 0 && this.#home[destination] === this.#self[source]) return OWN_NODE;
    }
    return this.#lookUp(row, source, destination, portClass);
  }

  /** Returns the policies that select a participant and govern a direction; for an unknown one those that may. */
  policiesOf(participant: number, direction: Direction): readonly CompiledPolicy[] {
    const row = (direction === "egress" ? this.#egressRow : this.#ingressRow)[participant];
    return row < 0 ? [] : this.#table.row(row).policies;
  }

  /** Reports whether a policy's subject certainly holds none of the world's pods. */
  selectsNoPod({ subject }: Policy): boolean {
    const { identities } = this.#rules;
    let isEmpty = true;
    identities.selection(identities.intern(subject)).may.forEach((identity) => {
      if (identity >= identities.firstPod) isEmpty = false;
    });
    return isEmpty;
  }

  /** Returns a key that two questions share only when every rule answers them alike, ports aside. */
  cellKey(subject: Participant, peer: Participant, direction: Direction): string {
    const number = (direction === "egress" ? this.#egressRow : this.#ingressRow)[this.classify(subject)];
    const other = this.classify(peer);
    return number < 0 ? direction : `${number} ${this.#table.row(number).groupOf(this.#identity[other], this.#addressClass[other])}`;
  }

  /** What a participant is to rules: for explaining single answers. */
  party(participant: number): Party {
    return { identity: this.#identity[participant], addressClass: this.#addressClass[participant] };
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
      rows: this.#table.rows,
      decisions: this.decisions.length,
    };
  }

  #lookUp(row: number, peer: number, destination: number, portClass: number): number {
    const cell = this.#table.cellOf(row, this.#peerNumber[peer], this.#identity[destination], portClass);
    const id = this.#table.get(cell);
    return id < 0 ? this.#fill(row, cell, peer, destination, portClass) : id;
  }

  /** Works a cell out with those who ask first: whoever shares the cell is answered alike. */
  #fill(row: number, cell: number, peer: number, destination: number, portClass: number): number {
    const { policies, subject } = this.#table.row(row);
    const id = this.#internDecision(
      decideCell(this.#rules, policies, subject, this.party(peer), this.party(destination), this.ports.samples[portClass]),
    );
    this.#table.set(cell, id);
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
        // NetworkPolicy does not select pods on the host network: they are their node.
        return {
          identity: participant.pod.hostNetwork ? NODE : (this.#rules.identities.numberOf(participant.pod) ?? ANYTHING),
          addressClass,
        };
      case "unknown":
        return { identity: ANYTHING, addressClass };
      case "node":
        return { identity: NODE, addressClass };
      case "external":
        return { identity: OUTSIDE, addressClass };
    }
  }

  #rowOf(subject: Party, direction: Direction): number {
    if (subject.identity === NODE || subject.identity === OUTSIDE) return ROW_NOT_SELECTABLE;
    const selecting = this.#selectingByIdentity[direction][subject.identity];
    if (selecting.length === 0) return ROW_NO_POLICY;
    const policies = selecting.map((policy) => this.#directions[direction][policy]);
    const { identities } = this.#rules;
    // Subjects are one class when the same policies select them, as certainly.
    const certainty = policies.map(({ subject: selection }) => (identities.selection(selection).must.has(subject.identity) ? "" : "?"));
    const key = `${direction} ${selecting.map((policy, i) => policy + certainty[i]).join()}`;
    let row = this.#rowByKey.get(key);
    if (row === undefined)
      this.#rowByKey.set(key, (row = this.#table.addRow(new Row(this.#rules, this.ports, this.#namedPorts, policies, subject, direction))));
    return row;
  }

  #growParticipants(): void {
    const grow = (old: Int32Array<ArrayBuffer>): Int32Array<ArrayBuffer> => {
      const grown = new Int32Array(old.length * 2);
      grown.set(old);
      return grown;
    };
    this.#egressRow = grow(this.#egressRow);
    this.#ingressRow = grow(this.#ingressRow);
    this.#identity = grow(this.#identity);
    this.#addressClass = grow(this.#addressClass);
    this.#peerNumber = grow(this.#peerNumber);
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
