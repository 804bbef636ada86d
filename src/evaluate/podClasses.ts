import type { Pod } from "../cluster/objects.ts";
import { isIPv4 } from "../net/address.ts";
import type { Evaluator } from "./evaluator.ts";
import type { Subject } from "./sides.ts";
import type { Party } from "./terms.ts";

/** An address family; 0: no address is known, so that either may be meant. */
export type Family = 0 | 4 | 6;

/** A pod as each evaluator's world has it; undefined: it is not in that world. */
export type PodVersions = readonly (Pod | undefined)[];

/** A pod with its address of one family, as one evaluator sees it. */
export interface PodEnd {
  readonly party: Party;
  readonly egress: Subject;
  readonly ingress: Subject;
  /** Ends of one number have the same named ports; rules on names tell others apart. */
  readonly names: number;
}

/** Pods that no policy of any of the sets tells apart. */
export interface PodClass {
  readonly members: readonly PodVersions[];
  /** By evaluator and family; empty where its world does not have them. */
  readonly ends: readonly ReadonlyMap<Family, PodEnd>[];
}

/**
 * Sorts pods into classes. Pods on the host network are their node and must not be among them. Pods of which `lookOf` says different
 * things share no class, whatever policies say.
 */
export function classifyPods(
  evaluators: readonly Evaluator[],
  pods: readonly PodVersions[],
  lookOf: (versions: PodVersions) => string = () => "",
): PodClass[] {
  const classifiers = evaluators.map((evaluator) => new Classifier(evaluator));
  const classes = new Map<string, { members: PodVersions[]; ends: ReadonlyMap<Family, PodEnd>[] }>();
  for (const versions of pods) {
    const key = `${versions.map((pod, e) => (pod === undefined ? "" : classifiers[e].keyOf(pod))).join("|")} ${lookOf(versions)}`;
    const known = classes.get(key);
    if (known !== undefined) known.members.push(versions);
    else classes.set(key, { members: [versions], ends: versions.map((pod, e) => classifiers[e].endsOf(pod)) });
  }
  return [...classes.values()];
}

class Classifier {
  readonly #evaluator: Evaluator;
  /** By identity. */
  readonly #classes: Int32Array;
  readonly #names = new Map<string, number>();
  readonly #namesOfIdentity = new Map<number, number>();

  constructor(evaluator: Evaluator) {
    this.#evaluator = evaluator;
    this.#classes = evaluator.rules.identities.classes();
  }

  keyOf(pod: Pod): string {
    const parts: (string | number)[] = [];
    for (const [family, party] of this.#parties(pod)) {
      if (parts.length === 0) parts.push(this.#classes[party.identity], this.#namesOf(party.identity));
      parts.push(family, party.addressClass);
    }
    return parts.join();
  }

  endsOf(pod: Pod | undefined): ReadonlyMap<Family, PodEnd> {
    const ends = new Map<Family, PodEnd>();
    if (pod === undefined) return ends;
    for (const [family, party, participant] of this.#parties(pod)) {
      const egress = this.#evaluator.rowOf(participant, "egress");
      const ingress = this.#evaluator.rowOf(participant, "ingress");
      ends.set(family, { party, egress, ingress, names: this.#namesOf(party.identity) });
    }
    return ends;
  }

  /** One for each family that the pod has an address of. */
  *#parties(pod: Pod): Generator<[family: Family, party: Party, participant: number]> {
    const four = pod.addresses.find(isIPv4);
    const six = pod.addresses.find((address) => !isIPv4(address));
    const ask = (family: Family, address: bigint | undefined): [Family, Party, number] => {
      const participant = this.#evaluator.classify({ type: "pod", pod, address });
      return [family, this.#evaluator.party(participant), participant];
    };
    if (four !== undefined) yield ask(4, four);
    if (six !== undefined) yield ask(6, six);
    if (four === undefined && six === undefined) yield ask(0, undefined);
  }

  #namesOf(identity: number): number {
    const known = this.#namesOfIdentity.get(identity);
    if (known !== undefined) return known;
    const { namedPorts } = this.#evaluator;
    const parts: number[] = [namedPorts.hasAnyNames(identity) ? 1 : 0];
    namedPorts.forEachOf(identity, (portClass, set) => parts.push(portClass, set));
    const key = parts.join();
    const number = this.#names.get(key) ?? this.#names.size;
    this.#names.set(key, number);
    this.#namesOfIdentity.set(identity, number);
    return number;
  }
}
