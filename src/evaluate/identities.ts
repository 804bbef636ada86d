import { type ContainerPort, type Labels, type Namespace, type Node, namespaceIn, type Pod } from "../cluster/objects.ts";
import { type LabelSelector, type Requirement, selectorKey, selects, selectsPartly, type Truth } from "../cluster/selector.ts";
import type { Entity, Expression, NamespaceMatch, PodMatch } from "../policy/model.ts";
import { BitSet } from "./bitSet.ts";
import { expressionKey, expressionTruth, type Labelled, namespaceTruth, podMatchTruth } from "./expression.ts";
import { someTruth } from "./truth.ts";

/** What policies select pods by. Pods that agree in all of it are one identity. */
export interface Identity {
  readonly namespace: string;
  readonly labels: Labels;
  readonly ports: readonly ContainerPort[];
  readonly arePortsKnown?: false;
  readonly serviceAccountName: string;
}

/** Where a node stands to the subject of a question: its own, another, or one of the two since the subject's is not known. */
export type NodeRelation = "own" | "other" | "unsure";

/** What policies select nodes by. */
interface NodeIdentity {
  readonly labels: Labels;
  readonly relation: NodeRelation;
  /** Whether the API server listens there. */
  readonly isApiServer: Truth;
  /** Pods that share its addresses, where the plugin lets selectors of pods match them. */
  readonly hostPods: readonly Pod[];
}

/** A selector's answer on identities: certainly, or only perhaps since a fact is missing. `must` is a subset of `may`. */
export interface Selection {
  readonly must: BitSet;
  readonly may: BitSet;
}

/** Identity numbers that are neither a pod's nor a node's. */
export const ANYTHING = 0; // an endpoint of which nothing is known but (perhaps) its address
export const OUTSIDE = 1;
export const OUTSIDE_API_SERVER = 2;
/** An outside address that may be the API server's: the snapshot does not say where that is. */
export const OUTSIDE_PERHAPS_API_SERVER = 3;
/** Addresses in the cluster that are no pod's whose labels count (Cilium: reserved identities). */
const RESERVED: readonly Entity[] = ["health", "ingress", "init", "unmanaged"];
const FIRST_NODE = 4 + RESERVED.length;
/** In the order in which a node's identities are numbered, and its peers in the decision table. */
export const NODE_RELATIONS: readonly NodeRelation[] = ["other", "own", "unsure"];

/** Whether an entity is that reserved one. */
export function reservedIdentity(entity: Entity): number | undefined {
  const i = RESERVED.indexOf(entity);
  return i < 0 ? undefined : 4 + i;
}

/** The cluster as identities see it. */
export interface Population {
  readonly pods: readonly Pod[];
  readonly nodes: readonly Node[];
  readonly namespaces: ReadonlyMap<string, Namespace>;
  /** Labels of service accounts by `namespace/name`; absent: the snapshot does not hold it. */
  readonly serviceAccounts: ReadonlyMap<string, Labels>;
  readonly isApiServer: (node: Node) => Truth;
  /** Whether any rule asks for labels of nodes: hardly any does, and every node has a label of its own. */
  readonly tellsNodesApart: boolean;
  /** Whether a selector of pods also selects pods on the host network, by their node's address. */
  readonly selectsHostPods: boolean;
  /** DNS names that outside addresses are told apart by; without any, rules on names look at what DNS answers gave. */
  readonly outsideNames: readonly string[];
}

/**
 * The distinct identities of a cluster: what has no labels first, then nodes (each as the subject's own, as another and as either),
 * outside addresses of a name, then pods. Says which of them each selector selects; selectors are resolved once each.
 */
export class Identities {
  /** Number of the first identity that is a pod's. */
  readonly firstPod: number;
  readonly size: number;
  /** The identities that are no pod's, in groups that rules without selectors of nodes answer alike. */
  readonly specials: readonly (readonly number[])[];
  /** Number of the first identity that is an outside address of a name. */
  readonly #firstName: number;
  readonly #identities: Identity[] = [];
  readonly #nodes: NodeIdentity[] = [];
  readonly #numberOfPod = new Map<Pod, number>();
  readonly #numberOfNode = new Map<Node, number>();
  readonly #nodeNumbers = new Map<string, number>();
  readonly #population: Population;
  readonly #byNamespace = new Map<string, BitSet>();
  readonly #byLabel = new Map<string, number[]>();
  readonly #byKey = new Map<string, number[]>();
  readonly #numbers = new Map<string, number>();
  readonly #selections: Selection[] = [];
  /** Classes by the selections that there were. */
  #classes: { readonly selections: number; readonly classes: Int32Array } | undefined;
  readonly #podSelections = new Map<string, BitSet>();
  readonly #namespaceSelections = new Map<string, Selection>();

  constructor(population: Population) {
    this.#population = population;
    const hostPods = Map.groupBy(
      population.selectsHostPods ? population.pods.filter((pod) => pod.hostNetwork) : [],
      (pod) => pod.nodeName ?? "",
    );
    for (const isApiServer of [false, true, "unknown"] as const) this.#addNode({ labels: {}, isApiServer, hostPods: [] });
    for (const node of population.nodes) {
      const own = hostPods.get(node.name) ?? [];
      const labels = population.tellsNodesApart ? node.labels : {};
      this.#numberOfNode.set(node, this.#addNode({ labels, isApiServer: population.isApiServer(node), hostPods: own }));
    }
    this.#firstName = FIRST_NODE + this.#nodes.length;
    this.firstPod = this.#firstName + 2 * population.outsideNames.length;
    const nodes = NODE_RELATIONS.map((relation) => this.#nodes.flatMap((node, i) => (node.relation === relation ? [FIRST_NODE + i] : [])));
    // Outside addresses of a name are like others but for rules on names.
    const names = population.outsideNames.map((_, i) => this.#firstName + i);
    const named = names.map((number) => number + names.length);
    const single = Array.from({ length: FIRST_NODE }, (_, number) =>
      number === OUTSIDE ? [OUTSIDE, ...names] : number === OUTSIDE_API_SERVER ? [OUTSIDE_API_SERVER, ...named] : [number],
    );
    this.specials = [...single, ...nodes];
    const numbers = new Map<string, number>();
    for (const pod of population.pods) {
      // Pods on the host network are their node: no selector selects them.
      if (pod.hostNetwork) continue;
      const { namespace, labels, ports, arePortsKnown, serviceAccountName } = pod;
      const named = ports.filter((port) => port.name !== undefined);
      const key = JSON.stringify([namespace, Object.entries(labels).sort(), named, arePortsKnown, serviceAccountName]);
      let number = numbers.get(key);
      if (number === undefined) numbers.set(key, (number = this.firstPod + this.#identities.push(pod) - 1));
      this.#numberOfPod.set(pod, number);
    }
    this.size = this.firstPod + this.#identities.length;
    this.#identities.forEach((identity, i) => this.#index(identity, this.firstPod + i));
  }

  numberOf(pod: Pod): number | undefined {
    return this.#numberOfPod.get(pod);
  }

  /** Returns the identity of a node as the subject's own one or another; of one that no object describes by whether it is the API server. */
  numberOfNode(node: Node, relation: NodeRelation, isApiServer: Truth): number {
    // A log may know better than the snapshot which node the API server is on: of such a node nothing else is known here.
    const known = this.#population.isApiServer(node) === isApiServer ? this.#numberOfNode.get(node) : undefined;
    const first = known ?? FIRST_NODE + [false, true, "unknown"].indexOf(isApiServer) * NODE_RELATIONS.length;
    return first + NODE_RELATIONS.indexOf(relation);
  }

  /** Reports whether an identity may have ports of any name: nothing is known of it, or a log alone tells of it. */
  hasUnknownPorts(number: number): boolean {
    return number === ANYTHING || this.get(number)?.arePortsKnown === false;
  }

  /** Reports whether an identity is a node's. */
  isNode(number: number): boolean {
    return number >= FIRST_NODE && number < this.#firstName;
  }

  /** Reports whether an identity is of an address outside the cluster. */
  isOutside(number: number): boolean {
    return (number >= OUTSIDE && number <= OUTSIDE_PERHAPS_API_SERVER) || (number >= this.#firstName && number < this.firstPod);
  }

  /** Returns the identity of outside addresses of one of the population's names; the API server may have one, too. */
  numberOfName(name: string, isApiServer = false): number {
    const { outsideNames } = this.#population;
    return this.#firstName + outsideNames.indexOf(name) + (isApiServer ? outsideNames.length : 0);
  }

  /** Reports whether an identity is the subject's own node, certainly. */
  isOwnNode(number: number): boolean {
    return this.isNode(number) && this.#nodes[number - FIRST_NODE].relation === "own";
  }

  /** Reports whether an identity is a node's that may be the subject's own. */
  isUnsureNode(number: number): boolean {
    return this.isNode(number) && this.#nodes[number - FIRST_NODE].relation === "unsure";
  }

  /** Returns a pod's identity; undefined for the numbers that are no pod's. */
  get(number: number): Identity | undefined {
    return this.#identities[number - this.firstPod];
  }

  /** Returns the number of a selection of pods; with `hostPods`, of nodes too on whose network a selected pod runs. */
  intern(match: PodMatch, hostPods = false): number {
    const where = match.where === undefined ? "" : expressionKey(match.where);
    const key = `${"name" in match.namespaces ? `=${match.namespaces.name}` : selectorKey(match.namespaces.selector)} ${selectorKey(match.pods)} ${where} ${hostPods}`;
    return this.#intern(key, () => this.#select(match, hostPods));
  }

  /** Returns the number of a selection of nodes by their labels. */
  internNodes(selector: LabelSelector): number {
    return this.#intern(`nodes ${selectorKey(selector)}`, () =>
      this.#selectBy((number) => (this.isNode(number) ? this.#nodeTruth(number, selector) : number === ANYTHING ? "unknown" : false)),
    );
  }

  /** Returns the number of the selection of an entity. The two address families of the world are one here. */
  internEntity(entity: Entity): number {
    return this.#intern(`entity ${entity}`, () => this.#selectBy((number) => this.#entityTruth(number, entity)));
  }

  /** Whether outside addresses are told apart by the population's names. */
  get hasOutsideNames(): boolean {
    return this.#population.outsideNames.length > 0;
  }

  /** Returns the number of the selection of outside addresses of the names that a test holds for; `key` names the test. */
  internOutsideNames(key: string, test: (name: string) => boolean): number {
    return this.#intern(`names ${key}`, () =>
      this.#selectBy((number) => {
        if (number === ANYTHING) return "unknown";
        const { outsideNames } = this.#population;
        return number >= this.#firstName && number < this.firstPod && test(outsideNames[(number - this.#firstName) % outsideNames.length]);
      }),
    );
  }

  /**
   * Returns a class for each identity: identities of one class are in the same selections, as certainly, of all that were asked for.
   * What named ports mean is another matter.
   */
  classes(): Int32Array {
    if (this.#classes?.selections === this.#selections.length) return this.#classes.classes;
    const classes = new Int32Array(this.size);
    let count = 1;
    const split = (members: BitSet) => {
      const fresh = new Map<number, number>();
      members.forEach((identity) => {
        let number = fresh.get(classes[identity]);
        if (number === undefined) fresh.set(classes[identity], (number = count++));
        classes[identity] = number;
      });
    };
    for (const { must, may } of this.#selections) {
      split(must);
      split(may);
    }
    this.#classes = { selections: this.#selections.length, classes };
    return classes;
  }

  /** Returns the number of the identities whose addresses prefixes match: outside ones, and pods and nodes where the plugin says so. */
  internAddressed(pods: boolean, nodes: boolean): number {
    return this.#intern(`addressed ${pods} ${nodes}`, () =>
      this.#selectBy((number) => {
        if (number === ANYTHING) return pods && nodes ? true : "unknown";
        return this.isOutside(number) || (this.isNode(number) ? nodes : pods);
      }),
    );
  }

  selection(number: number): Selection {
    return this.#selections[number];
  }

  /** Returns whether a selection holds an identity. */
  truthOf(selection: number, identity: number): Truth {
    const { must, may } = this.#selections[selection];
    return must.has(identity) ? true : may.has(identity) ? "unknown" : false;
  }

  #addNode(identity: Omit<NodeIdentity, "relation">): number {
    const pods = identity.hostPods.map(({ namespace, labels }) => [namespace, Object.entries(labels).sort()]);
    // The first ones stand for nodes whose labels nobody knows: no node of the snapshot is one of them.
    const known = this.#nodes.length >= 3 * NODE_RELATIONS.length;
    const key = JSON.stringify([known, Object.entries(identity.labels).sort(), identity.isApiServer, pods]);
    let number = this.#nodeNumbers.get(key);
    if (number === undefined) {
      number = FIRST_NODE + this.#nodes.length;
      this.#nodeNumbers.set(key, number);
      for (const relation of NODE_RELATIONS) this.#nodes.push({ ...identity, relation });
    }
    return number;
  }

  #intern(key: string, select: () => Selection): number {
    let number = this.#numbers.get(key);
    if (number === undefined) {
      number = this.#selections.push(select()) - 1;
      this.#numbers.set(key, number);
    }
    return number;
  }

  #selectBy(truthOf: (number: number) => Truth): Selection {
    const selection = { must: new BitSet(this.size), may: new BitSet(this.size) };
    for (let number = 0; number < this.size; number++) {
      const truth = truthOf(number);
      if (truth !== false) selection.may.add(number);
      if (truth === true) selection.must.add(number);
    }
    return selection;
  }

  #nodeTruth(number: number, selector: LabelSelector): Truth {
    const { labels } = this.#nodes[number - FIRST_NODE];
    // Nodes that only records tell of have labels that nobody knows.
    return number < FIRST_NODE + 3 * NODE_RELATIONS.length ? selectsPartly(selector, {}) : selects(selector, labels);
  }

  #entityTruth(number: number, entity: Entity): Truth {
    if (entity === "all") return true;
    if (entity === "none") return false;
    if (number === ANYTHING) return "unknown";
    if (this.isOutside(number)) {
      if (entity === "world" || entity === "world-ipv4" || entity === "world-ipv6") return true;
      // An API server outside the cluster belongs to it (Cilium: kube-apiserver is part of the entity cluster).
      if (entity !== "kube-apiserver" && entity !== "cluster") return false;
      if (number === OUTSIDE_PERHAPS_API_SERVER) return "unknown";
      return number === OUTSIDE_API_SERVER || number >= this.#firstName + this.#population.outsideNames.length;
    }
    if (entity === "cluster") return true;
    if (!this.isNode(number)) return reservedIdentity(entity) === number;
    const { relation, isApiServer } = this.#nodes[number - FIRST_NODE];
    if (entity === "kube-apiserver") return isApiServer;
    if (entity !== "host" && entity !== "remote-node") return false;
    return relation === "unsure" ? "unknown" : (relation === "own") === (entity === "host");
  }

  #index(identity: Identity, number: number): void {
    this.#bits(this.#byNamespace, identity.namespace).add(number);
    for (const [key, value] of Object.entries(identity.labels)) {
      append(this.#byKey, key, number);
      append(this.#byLabel, `${key}=${value}`, number);
    }
  }

  #bits(map: Map<string, BitSet>, key: string): BitSet {
    let bits = map.get(key);
    if (bits === undefined) map.set(key, (bits = new BitSet(this.size)));
    return bits;
  }

  #select(match: PodMatch, withHostPods: boolean): Selection {
    const pods = this.#selectPods(match.pods);
    const namespaces = this.#selectNamespaces(match.namespaces);
    const selection = { must: pods.copy().retainAll(namespaces.must), may: pods.copy().retainAll(namespaces.may) };
    if (match.where !== undefined) this.#narrow(selection, match.where);
    selection.may.add(ANYTHING);
    if (!withHostPods) return selection;
    this.#nodes.forEach(({ hostPods }, i) => {
      const truth = someTruth(hostPods, (pod) => podMatchTruth(match, this.#labelled(pod)));
      if (truth !== false) selection.may.add(FIRST_NODE + i);
      if (truth === true) selection.must.add(FIRST_NODE + i);
    });
    return selection;
  }

  #narrow({ must, may }: Selection, where: Expression): void {
    const drop = { must: new BitSet(this.size), may: new BitSet(this.size) };
    may.forEach((number) => {
      const truth = expressionTruth(where, this.#labelled(this.get(number)!));
      if (truth !== true) drop.must.add(number);
      if (truth === false) drop.may.add(number);
    });
    must.removeAll(drop.must);
    may.removeAll(drop.may);
  }

  /** What is known of a pod's labels, its namespace's and its service account's. */
  #labelled({ namespace, labels, serviceAccountName }: Identity): Labelled {
    // Every namespace has the account `default`, which hardly anybody labels: one that the snapshot lacks has no labels.
    const account =
      this.#population.serviceAccounts.get(`${namespace}/${serviceAccountName}`) ?? (serviceAccountName === "default" ? {} : undefined);
    return {
      labels,
      namespace: namespaceIn(this.#population.namespaces, namespace),
      serviceAccount: { name: serviceAccountName, ...(account === undefined ? {} : { labels: account }) },
    };
  }

  #selectPods(selector: LabelSelector): BitSet {
    const key = selectorKey(selector);
    let bits = this.#podSelections.get(key);
    if (bits === undefined) {
      bits = this.#allPods();
      for (const requirement of selector.requirements) bits.retainAll(this.#satisfying(requirement));
      this.#podSelections.set(key, bits);
    }
    return bits;
  }

  #allPods(): BitSet {
    const bits = new BitSet(this.size);
    for (let number = this.firstPod; number < this.size; number++) bits.add(number);
    return bits;
  }

  #satisfying({ key, operator, values }: Requirement): BitSet {
    const having = new BitSet(this.size);
    for (const number of this.#byKey.get(key) ?? []) having.add(number);
    if (operator === "Exists") return having;
    if (operator === "DoesNotExist") return this.#allPods().removeAll(having);
    const bits = new BitSet(this.size);
    for (const value of values) {
      for (const number of this.#byLabel.get(`${key}=${value}`) ?? []) bits.add(number);
    }
    return operator === "In" ? bits : this.#allPods().removeAll(bits);
  }

  #selectNamespaces(match: NamespaceMatch): Selection {
    const key = "name" in match ? `=${match.name}` : selectorKey(match.selector);
    let selection = this.#namespaceSelections.get(key);
    if (selection === undefined) this.#namespaceSelections.set(key, (selection = this.#findNamespaces(match)));
    return selection;
  }

  #findNamespaces(match: NamespaceMatch): Selection {
    const selection = { must: new BitSet(this.size), may: new BitSet(this.size) };
    for (const [name, members] of this.#byNamespace) {
      const truth = namespaceTruth(match, namespaceIn(this.#population.namespaces, name));
      if (truth === true) selection.must.addAll(members);
      if (truth !== false) selection.may.addAll(members);
    }
    return selection;
  }
}

function append(map: Map<string, number[]>, key: string, number: number): void {
  const numbers = map.get(key);
  if (numbers === undefined) map.set(key, [number]);
  else numbers.push(number);
}
