import type { Labels, Node, Pod, Service } from "../cluster/objects.ts";
import type { Cluster } from "../cluster/snapshot.ts";
import { shortWorkload } from "../cluster/workloads.ts";
import { compare } from "../net/order.ts";
import type { CallGraph } from "./callGraph.ts";
import type { NodeSelection, PodSelection, ServiceSelection } from "./profile.ts";
import { hashText } from "./random.ts";

/** Finds whom a profile's selections name. One selection always names the same, whichever call asks. */
export class PodSelector {
  readonly #cluster: Cluster;
  readonly #graph: CallGraph;
  readonly #seed: number;
  readonly #atSeconds: number;

  /** Pods that live at a moment (epoch seconds) are those that take part from the beginning. */
  constructor(cluster: Cluster, graph: CallGraph, seed: number, atSeconds: number) {
    this.#cluster = cluster;
    this.#graph = graph;
    this.#seed = seed;
    this.#atSeconds = atSeconds;
  }

  /** Returns the pods with addresses of their own that live when the run begins. */
  living(selection: PodSelection): readonly Pod[] {
    return this.#some(
      this.#matching(selection).filter((pod) => isAlive(pod, this.#atSeconds)),
      selection.count,
    );
  }

  /** Returns pods whether they live or have ended, the latest of a workload first: what Jobs' runs are made after. */
  all(selection: PodSelection): readonly Pod[] {
    const pods = this.#matching(selection).sort((a, b) => compare(b.startSeconds ?? 0, a.startSeconds ?? 0));
    return this.#some(pods, selection.count);
  }

  nodes({ labels, count }: NodeSelection): readonly Node[] {
    const matching = this.#cluster.nodes.filter((node) => node.addresses.length > 0 && hasLabels(node.labels, labels));
    return this.#some(
      [...matching].sort((a, b) => compare(a.name, b.name)),
      count,
    );
  }

  services({ namespace, name, labels, tier }: ServiceSelection): readonly Service[] {
    return this.#graph.services.filter(
      (service) =>
        (namespace === undefined || service.namespace === namespace) &&
        (name === undefined || service.name === name) &&
        (tier === undefined || this.#graph.tierOf(service) === tier) &&
        hasLabels(service.labels, labels),
    );
  }

  #matching({ namespace, labels, workload, kinds, tier }: PodSelection): Pod[] {
    return this.#cluster.pods
      .filter(
        (pod) =>
          !pod.hostNetwork &&
          pod.addresses.length > 0 &&
          (namespace === undefined || pod.namespace === namespace) &&
          (kinds === undefined || kinds.includes(pod.workload.kind)) &&
          (workload === undefined || isWorkload(pod, workload)) &&
          (tier === undefined || this.#graph.tierOfPod(pod) === tier) &&
          hasLabels(pod.labels, labels),
      )
      .sort((a, b) => compare(a.namespace, b.namespace) || compare(a.name, b.name) || compare(a.startSeconds ?? 0, b.startSeconds ?? 0));
  }

  /** Chooses by what they are called, so that a selection of the same number elsewhere finds the same. */
  #some<Named extends Pod | Node>(all: readonly Named[], count: number | undefined): readonly Named[] {
    if (count === undefined || count >= all.length) return all;
    const keyOf = (each: Named) => hashText(`${this.#seed} ${"namespace" in each ? each.namespace : ""}/${each.name}`);
    const chosen = new Set([...all].sort((a, b) => keyOf(a) - keyOf(b)).slice(0, count));
    return all.filter((each) => chosen.has(each));
  }
}

/** Reports whether a pod has its addresses at a moment (epoch seconds). */
export function isAlive({ startSeconds, endSeconds }: Pod, seconds: number): boolean {
  return (startSeconds ?? Number.NEGATIVE_INFINITY) <= seconds && (endSeconds ?? Number.POSITIVE_INFINITY) > seconds;
}

function isWorkload({ workload: { kind, name } }: Pod, text: string): boolean {
  return [`${kind}/${name}`.toLowerCase(), shortWorkload(`${kind}/${name}`).toLowerCase()].includes(text.toLowerCase());
}

function hasLabels(own: Labels, wanted: Labels = {}): boolean {
  return Object.entries(wanted).every(([key, value]) => Object.hasOwn(own, key) && own[key] === value);
}
