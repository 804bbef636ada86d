import { type Labels, type Namespace, type Node, namespaceIn, type Pod, type Service } from "../cluster/objects.ts";
import type { Truth } from "../cluster/selector.ts";
import type { ServiceIndex } from "../cluster/services.ts";
import type { Address } from "../net/address.ts";
import type { Direction, Entity, Policy, PolicySet } from "../policy/model.ts";
import { AddressClasses } from "./addressClasses.ts";
import { decideCell, holdsNumber, nearTruth, type Rules } from "./cell.ts";
import { type CompiledPolicy, compileDirection, cutOf, portCuts, portNames } from "./clauses.ts";
import {
  COMMON_DECISIONS,
  type Decision,
  DROPPED_BY_PLUGIN,
  DROPPED_TO_OWN_NODE,
  NO_POLICY,
  NOT_SELECTABLE,
  OWN_NODE,
  SELF,
  SELF_THROUGH_SERVICE,
  UNSELECTED_DENIED,
} from "./decision.ts";
import { DecisionTable } from "./decisionTable.ts";
import { peersOf } from "./honoured.ts";
import {
  ANYTHING,
  Identities,
  NODE_RELATIONS,
  type NodeRelation,
  OUTSIDE,
  OUTSIDE_API_SERVER,
  OUTSIDE_PERHAPS_API_SERVER,
  reservedIdentity,
} from "./identities.ts";
import { NamedPorts } from "./namedPorts.ts";
import { type KnownNames, NamesOfAddresses, NO_NAMES } from "./nameMatch.ts";
import { PortClasses } from "./portClasses.ts";
import type { CniProfile } from "./profile.ts";
import { Row } from "./row.ts";
import { ServiceBackends } from "./serviceBackends.ts";
import { stagesOf } from "./stages.ts";
import { type Party, TermCompiler } from "./terms.ts";

/** What policies select from. */
export interface World {
  readonly pods: readonly Pod[];
  readonly namespaces: ReadonlyMap<string, Namespace>;
  readonly nodes: readonly Node[];
  readonly services?: readonly Service[];
  readonly serviceIndex?: ServiceIndex;
  /** Labels of service accounts by `namespace/name`. */
  readonly serviceAccounts?: ReadonlyMap<string, Labels>;
  /** Addresses that the API server is reached at; undefined: not known. */
  readonly apiServers?: ReadonlySet<Address> | undefined;
  /** DNS names of outside addresses. */
  readonly names?: KnownNames;
  /** Names by which outside addresses are told apart, whatever DNS answers say: for questions on all addresses that there may be. */
  readonly outsideNames?: readonly string[];
}

/** Who takes part in a connection, with the address that it uses. */
export type Participant =
  /** Without an address: a log tells of the pod and not of which address it used. */
  | { readonly type: "pod"; readonly pod: Pod; readonly address: Address | undefined }
  /** `relation`: whose node it is, where a log says so; else the pods' own nodes tell. */
  | {
      readonly type: "node";
      readonly node: Node;
      readonly address: Address | undefined;
      readonly relation?: NodeRelation;
      readonly isApiServer?: Truth;
    }
  | { readonly type: "external"; readonly address: Address | undefined; readonly isApiServer?: Truth }
  /** In the cluster, and no pod whose labels count: health checks, the ingress proxy, pods that the plugin does not manage. */
  | { readonly type: "reserved"; readonly entity: Entity; readonly address: Address }
  /** Perhaps a pod: nothing is known of it. Without an address, not even that (the unknown backend of a Service). */
  | { readonly type: "unknown"; readonly address?: Address };

/** Rows of subjects that no policy can select, or that none does. */
const ROW_NOT_SELECTABLE = -1;
const ROW_NO_POLICY = -2;
/** What traffic from its own node meets at a pod that no policy selects, by what other traffic meets. */
const OWN_NODE_OF_UNSELECTED: Readonly<Record<number, number>> = { [NO_POLICY]: NO_POLICY, [UNSELECTED_DENIED]: OWN_NODE };

/** Number of a node that no object describes: nobody's home. */
const NO_NODE = -0x7fffffff;

const NO_SETS = { tiers: [], sets: [] };

/** A policy set compiled against a world. Immutable in meaning: its tables fill as questions come. */
export class Evaluator {
  readonly policies: readonly Policy[];
  /** Those among them that the plugin does not know. */
  readonly ignored: readonly Policy[];
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
  /** Its number in the decision table; a node's is followed by those of it as the subject's own node, and as either. */
  #peerNumber = new Int32Array(256);
  /** Which pod (1..) or node (negative) it is; 0: neither. */
  #self = new Int32Array(256);
  /** For a pod: its node's number (negative); 0: not known. */
  #home = new Int32Array(256);
  readonly #podNumbers = new Map<Pod, number>();
  readonly #nodeNumbers = new Map<string, number>();
  readonly #nodes = new Map<string, Node>();
  readonly #judgesSelf: Readonly<Record<Direction, boolean>>;
  /** By port class: whether the plugin drops it whatever policies say. */
  readonly #dropped: Readonly<Record<Direction, Uint8Array>>;
  readonly #apiServers: ReadonlySet<Address> | undefined;

  constructor(set: PolicySet | readonly Policy[], world: World, profile: CniProfile) {
    const given: PolicySet = "policies" in set ? set : { ...NO_SETS, policies: set };
    this.policies = given.policies;
    this.profile = profile;
    this.#unselected = profile.enforcement === "always" ? UNSELECTED_DENIED : NO_POLICY;
    // A plugin that enforces nothing is one that has no policies.
    const { stages, ignored } = stagesOf(profile.enforcement === "never" ? { ...given, policies: [] } : given, profile);
    this.ignored = ignored;
    const hasAdmin = stages.some(({ name }) => name === "admin" || name === "baseline");
    const judgesSelf = (direction: Direction) =>
      profile.selfThroughService[direction] === "judge" || (profile.selfThroughService[direction] === "judge-admin" && hasAdmin);
    this.#judgesSelf = { egress: judgesSelf("egress"), ingress: judgesSelf("ingress") };
    this.#namespaces = world.namespaces;
    this.#apiServers = world.apiServers;
    const services = new ServiceBackends(world.services ?? [], world.serviceIndex);
    const compileFor = (direction: Direction, identities: Identities, compiler: TermCompiler) =>
      compileDirection(stages, ignored, direction, identities, compiler, services, profile);
    const identities = new Identities({
      ...world,
      serviceAccounts: world.serviceAccounts ?? new Map(),
      isApiServer: (node) => this.#isApiServer(node.addresses),
      tellsNodesApart: given.policies.some((policy) => peersOf(policy).some(({ kind }) => kind === "nodes")),
      selectsHostPods: profile.selectsHostPods.egress || profile.selectsHostPods.ingress,
      outsideNames: world.outsideNames ?? [],
    });
    const compiler = new TermCompiler({
      identities,
      profile,
      // Kinds of other plugins are nobody's here, whatever their names and labels.
      sets: given.sets.filter(({ ref }) => (profile.name === "cilium") === ref.apiVersion.startsWith("cilium.io/")),
      names: new NamesOfAddresses(world.names ?? NO_NAMES),
      services,
      namespaces: world.namespaces,
    });
    this.#directions = { ingress: compileFor("ingress", identities, compiler), egress: compileFor("egress", identities, compiler) };
    this.#rules = { identities, addresses: new AddressClasses(compiler.blocks.list), profile, stages };
    const clauses = [...this.#directions.ingress, ...this.#directions.egress].flatMap((compiled) => compiled.clauses);
    const names = portNames(clauses);
    const { cuts, sources, protocols } = portCuts(clauses, identities, names);
    const { dropped, icmpAlwaysPasses } = profile;
    const peculiar = [...dropped.egress, ...dropped.ingress, ...icmpAlwaysPasses];
    cuts.push(...peculiar.map(cutOf).filter((cut) => cut !== undefined));
    this.ports = new PortClasses(cuts, sources, [...protocols, ...peculiar.map(({ protocol }) => protocol)]);
    const isDropped = (direction: Direction) =>
      Uint8Array.from(this.ports.samples, (sample) => (dropped[direction].some((match) => holdsNumber(match, sample)) ? 1 : 0));
    this.#dropped = { egress: isDropped("egress"), ingress: isDropped("ingress") };
    this.#namedPorts = new NamedPorts(identities, this.ports, names);
    this.#table = new DecisionTable(this.ports.samples.length, this.#namedPorts);
    this.#policyNumbers = new Map(given.policies.map((policy, i) => [policy, i]));
    this.#selectingByIdentity = { ingress: this.#findSelecting("ingress"), egress: this.#findSelecting("egress") };
    world.pods.forEach((pod, i) => this.#podNumbers.set(pod, i + 1));
    world.nodes.forEach((node, i) => this.#nodeNumbers.set(node.name, -1 - i));
    world.nodes.forEach((node) => this.#nodes.set(node.name, node));
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
    const parties = this.#partiesOf(participant);
    const [party] = parties;
    this.#identity[number] = party.identity;
    this.#addressClass[number] = party.addressClass;
    this.#peerNumber[number] = this.#table.addPeers(...parties);
    this.#egressRow[number] = this.#rowOf(party, "egress");
    this.#ingressRow[number] = this.#rowOf(party, "ingress");
    if (participant.type === "pod") {
      this.#self[number] = this.#podNumbers.get(participant.pod) ?? 0;
      this.#home[number] = this.#nodeNumbers.get(participant.pod.nodeName ?? "") ?? 0;
      if (participant.pod.hostNetwork) this.#self[number] = this.#home[number];
    } else if (participant.type === "node" && parties.length > 1)
      this.#self[number] = this.#nodeNumbers.get(participant.node.name) ?? NO_NODE;
    return number;
  }

  /**
   * Returns the id of the decision at the source. Participants by number, port by class (`ports.classOf`); `throughService`: the
   * destination was dialled at a Service's address.
   */
  decideEgress(source: number, destination: number, portClass: number, throughService = false): number {
    const row = this.#egressRow[source];
    if (row === ROW_NOT_SELECTABLE) return NOT_SELECTABLE;
    const self = this.#self[source];
    const other = this.#self[destination];
    if (self !== 0 && self === other && !(throughService && this.#judgesSelf.egress)) return throughService ? SELF_THROUGH_SERVICE : SELF;
    if (this.#dropped.egress[portClass] === 1) return DROPPED_BY_PLUGIN;
    if (other < 0 && this.profile.dropsToOwnNode && other === this.#home[source]) return DROPPED_TO_OWN_NODE;
    if (row < 0) return this.#unselected;
    return this.#lookUp(row, this.#peerSeenBy(source, destination), destination, portClass);
  }

  /** Returns the id of the decision at the destination. */
  decideIngress(source: number, destination: number, portClass: number, throughService = false): number {
    const row = this.#ingressRow[destination];
    if (row === ROW_NOT_SELECTABLE) return NOT_SELECTABLE;
    const self = this.#self[destination];
    if (self !== 0 && self === this.#self[source] && !(throughService && this.#judgesSelf.ingress))
      return throughService ? SELF_THROUGH_SERVICE : SELF;
    if (this.#dropped.ingress[portClass] === 1) return DROPPED_BY_PLUGIN;
    // What the pod's own node asks of it passes also where pods without policies are closed (kubelet probes).
    if (row < 0) return this.#isOwnNode(destination, source) ? OWN_NODE_OF_UNSELECTED[this.#unselected] : this.#unselected;
    return this.#lookUp(row, this.#peerSeenBy(destination, source), destination, portClass);
  }

  #isOwnNode(subject: number, peer: number): boolean {
    return this.#self[peer] < 0 && this.#self[peer] === this.#home[subject];
  }

  /** Returns a peer's number in the table. A node is one to the pods on it and another to the rest. */
  #peerSeenBy(subject: number, peer: number): number {
    const number = this.#peerNumber[peer];
    const self = this.#self[peer];
    if (self >= 0) return number;
    const home = this.#home[subject];
    return home === 0 ? number + 2 : home === self ? number + 1 : number;
  }

  /** Returns the policies that select a participant and govern a direction; for an unknown one those that may. */
  policiesOf(participant: number, direction: Direction): readonly CompiledPolicy[] {
    const row = (direction === "egress" ? this.#egressRow : this.#ingressRow)[participant];
    return row < 0 ? [] : this.#table.row(row).policies;
  }

  /** Returns the row of a participant as the subject of a direction, or why it has none. */
  rowOf(participant: number, direction: Direction): Row | "not-selectable" | "no-policy" {
    const row = (direction === "egress" ? this.#egressRow : this.#ingressRow)[participant];
    return row === ROW_NOT_SELECTABLE ? "not-selectable" : row === ROW_NO_POLICY ? "no-policy" : this.#table.row(row);
  }

  /** The decision on a pod that no policy selects. */
  get unselected(): Decision {
    return this.decisions[this.#unselected];
  }

  /** Reports whether the plugin drops a port class whatever policies say. */
  isDropped(direction: Direction, portClass: number): boolean {
    return this.#dropped[direction][portClass] === 1;
  }

  get namedPorts(): NamedPorts {
    return this.#namedPorts;
  }

  /** Reports whether a policy's subject certainly holds none of the world's pods. */
  selectsNoPod({ subject }: Pick<Policy, "subject">): boolean {
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

  /** What a peer is to the rules of a subject: a node is one to the pods on it and another to the rest. */
  partyTo(subject: number, peer: number): Party {
    return this.#table.peer(this.#peerSeenBy(subject, peer));
  }

  get rules(): Rules {
    return this.#rules;
  }

  /** A namespace, as far as it is known. */
  namespace(name: string): Namespace {
    return namespaceIn(this.#namespaces, name);
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

  /** `peer` by its number in the table, `destination` by participant. */
  #lookUp(row: number, peer: number, destination: number, portClass: number): number {
    const cell = this.#table.cellOf(row, peer, this.#identity[destination], portClass);
    const id = this.#table.get(cell);
    return id < 0 ? this.#fill(row, cell, peer, destination, portClass) : id;
  }

  /** Works a cell out with those who ask first: whoever shares the cell is answered alike. */
  #fill(row: number, cell: number, peer: number, destination: number, portClass: number): number {
    const { policies, subject, direction } = this.#table.row(row);
    const question = {
      direction,
      subject,
      peer: this.#table.peer(peer),
      destination: this.party(destination),
      sample: this.ports.samples[portClass],
    };
    const id = this.#internDecision(decideCell(this.#rules, policies, question));
    this.#table.set(cell, id);
    return id;
  }

  #internDecision(decision: Decision): number {
    const refs = decision.matched.map(({ policy, rule }) => `${this.#policyNumbers.get(policy)}:${rule.path}`);
    const key = [
      decision.verdict,
      decision.reason,
      decision.notes.join(),
      // Rules of one peer share its place, and decisions on the same rules may differ in what becomes of a request that none wants.
      decision.l7 === undefined ? "" : JSON.stringify([decision.l7.deny.verdict, decision.l7.alternatives.map(({ match }) => match)]),
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

  #isApiServer(addresses: readonly Address[]): Truth {
    const servers = this.#apiServers;
    return servers === undefined ? "unknown" : addresses.some((address) => servers.has(address));
  }

  /** What a participant is to rules; a node: to pods on other nodes, to those on it, and to those of whom that is not known. */
  #partiesOf(participant: Participant): Party[] {
    const { identities, addresses } = this.#rules;
    const addressClass = participant.address === undefined ? -1 : addresses.classOf(participant.address);
    switch (participant.type) {
      case "pod": {
        const { pod } = participant;
        const node = this.#nodes.get(pod.nodeName ?? "") ?? { name: pod.nodeName ?? "", labels: {}, addresses: [], podPrefixes: [] };
        if (pod.hostNetwork) return this.#nodeParties(node, addressClass, this.#isApiServer(node.addresses));
        return [{ identity: identities.numberOf(pod) ?? ANYTHING, addressClass }];
      }
      case "unknown":
        return [{ identity: ANYTHING, addressClass }];
      case "node": {
        const { node, relation, isApiServer = this.#isApiServer([...node.addresses, ...known(participant.address)]) } = participant;
        if (relation === undefined) return this.#nodeParties(node, addressClass, isApiServer);
        return [{ identity: identities.numberOfNode(node, relation, isApiServer), addressClass }];
      }
      case "reserved":
        return [{ identity: reservedIdentity(participant.entity) ?? ANYTHING, addressClass }];
      case "external": {
        const truth = participant.isApiServer ?? (participant.address === undefined ? "unknown" : this.#isApiServer([participant.address]));
        return [{ identity: truth === true ? OUTSIDE_API_SERVER : truth === false ? OUTSIDE : OUTSIDE_PERHAPS_API_SERVER, addressClass }];
      }
    }
  }

  #nodeParties(node: Node, addressClass: number, isApiServer: Truth): Party[] {
    const { identities } = this.#rules;
    return NODE_RELATIONS.map((relation) => ({
      identity: identities.numberOfNode(node, relation, isApiServer),
      addressClass,
    }));
  }

  #rowOf(subject: Party, direction: Direction): number {
    const { identities } = this.#rules;
    if (subject.identity !== ANYTHING && subject.identity < identities.firstPod) return ROW_NOT_SELECTABLE;
    const selecting = this.#selectingByIdentity[direction][subject.identity];
    if (selecting.length === 0) return ROW_NO_POLICY;
    const policies = selecting.map((policy) => this.#directions[direction][policy]);
    // Subjects are one class when the same policies select them, as certainly, and rules that look at the subject's end say the same of it.
    const certainty = policies.map(({ subject: selection, clauses }) => {
      const near = clauses.filter((clause) => clause.near !== undefined).map((clause) => nearTruth(this.#rules, clause, subject));
      return (identities.selection(selection).must.has(subject.identity) ? "" : "?") + (near.length > 0 ? `(${near.join()})` : "");
    });
    const key = `${direction} ${selecting.map((policy, i) => policy + certainty[i]).join()}`;
    let row = this.#rowByKey.get(key);
    if (row === undefined)
      this.#rowByKey.set(
        key,
        (row = this.#table.addRow(new Row(this.#rules, this.ports, this.#namedPorts, policies, subject, direction, certainty))),
      );
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

function known(address: Address | undefined): readonly Address[] {
  return address === undefined ? [] : [address];
}

function participantKey(participant: Participant, podNumbers: ReadonlyMap<Pod, number>): string {
  switch (participant.type) {
    case "pod":
      return `p${podNumbers.get(participant.pod) ?? `${participant.pod.namespace}/${participant.pod.name}`} ${participant.address}`;
    case "node":
      return `n${participant.node.name} ${participant.address} ${participant.relation} ${participant.isApiServer}`;
    case "external":
      return `e${participant.address} ${participant.isApiServer}`;
    case "reserved":
      return `r${participant.entity} ${participant.address}`;
    case "unknown":
      return `u${participant.address ?? ""}`;
  }
}
