import type { ContainerPort, Labels, Namespace, Pod } from "../cluster/objects.ts";
import { type LabelSelector, type Requirement, selectorKey, selects, selectsPartly } from "../cluster/selector.ts";
import type { NamespaceMatch, PodMatch } from "../policy/model.ts";
import { BitSet } from "./bitSet.ts";

/** What policies select pods by. Pods that agree in all of it are one identity. */
export interface Identity {
  readonly namespace: string;
  readonly labels: Labels;
  readonly ports: readonly ContainerPort[];
}

/** A selector's answer on identities: certainly, or only perhaps since a fact is missing. `must` is a subset of `may`. */
export interface Selection {
  readonly must: BitSet;
  readonly may: BitSet;
}

/** Identity numbers that are no pod's. */
export const ANYTHING = 0; // an endpoint of which nothing is known but (perhaps) its address
export const OUTSIDE = 1; // no selector matches it
export const NODE = 2; // nor this
const FIRST_POD = 3;

/** The distinct identities of a cluster's pods, and which of them each selector selects. Selectors are resolved once each. */
export class Identities {
  readonly #identities: Identity[] = [];
  readonly #numberOfPod = new Map<Pod, number>();
  readonly #namespaces: ReadonlyMap<string, Namespace>;
  readonly #byNamespace = new Map<string, BitSet>();
  readonly #byLabel = new Map<string, number[]>();
  readonly #byKey = new Map<string, number[]>();
  readonly #selections = new Map<string, number>();
  readonly #all: Selection[] = [];
  readonly #podSelections = new Map<string, BitSet>();
  readonly #namespaceSelections = new Map<string, Selection>();

  constructor(pods: readonly Pod[], namespaces: ReadonlyMap<string, Namespace>) {
    this.#namespaces = namespaces;
    const numbers = new Map<string, number>();
    for (const pod of pods) {
      const key = JSON.stringify([pod.namespace, Object.entries(pod.labels).sort(), pod.ports.filter((port) => port.name !== undefined)]);
      let number = numbers.get(key);
      if (number === undefined) numbers.set(key, (number = FIRST_POD + this.#identities.push(pod) - 1));
      this.#numberOfPod.set(pod, number);
    }
    this.#identities.forEach((identity, i) => this.#index(identity, FIRST_POD + i));
  }

  /** Number of the first identity that is a pod's. */
  get firstPod(): number {
    return FIRST_POD;
  }

  get size(): number {
    return FIRST_POD + this.#identities.length;
  }

  numberOf(pod: Pod): number | undefined {
    return this.#numberOfPod.get(pod);
  }

  /** Returns an identity; undefined for the numbers that are no pod's. */
  get(number: number): Identity | undefined {
    return this.#identities[number - FIRST_POD];
  }

  /** Returns the number of a selection of pods. */
  intern(match: PodMatch): number {
    const key = `${"name" in match.namespaces ? `=${match.namespaces.name}` : selectorKey(match.namespaces.selector)} ${selectorKey(match.pods)}`;
    let number = this.#selections.get(key);
    if (number === undefined) this.#selections.set(key, (number = this.#all.push(this.#select(match)) - 1));
    return number;
  }

  selection(number: number): Selection {
    return this.#all[number];
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

  #select(match: PodMatch): Selection {
    const pods = this.#selectPods(match.pods);
    const namespaces = this.#selectNamespaces(match.namespaces);
    const selection = { must: pods.copy().retainAll(namespaces.must), may: pods.copy().retainAll(namespaces.may) };
    selection.may.add(ANYTHING);
    return selection;
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
    for (let number = FIRST_POD; number < this.size; number++) bits.add(number);
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
      const truth = "name" in match ? match.name === name : this.#matchesNamespace(match.selector, name);
      if (truth === true) selection.must.addAll(members);
      if (truth !== false) selection.may.addAll(members);
    }
    return selection;
  }

  #matchesNamespace(selector: LabelSelector, name: string): boolean | "unknown" {
    const namespace = this.#namespaces.get(name);
    if (namespace?.labelsKnown) return selects(selector, namespace.labels);
    return selectsPartly(selector, namespace?.labels ?? { "kubernetes.io/metadata.name": name });
  }
}

function append(map: Map<string, number[]>, key: string, number: number): void {
  const numbers = map.get(key);
  if (numbers === undefined) map.set(key, [number]);
  else numbers.push(number);
}
