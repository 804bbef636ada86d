import type { Pod } from "../cluster/objects.ts";
import { shortWorkload } from "../cluster/workloads.ts";
import { workloadKey } from "../evaluate/compare.ts";
import type { Connectivity, EndSet } from "../evaluate/connectivity.ts";
import type { AddressEnd, NodeEnd, Role } from "../evaluate/otherEnds.ts";
import type { PodVersions } from "../evaluate/podClasses.ts";
import { type AddressRange, coverRanges } from "../net/mergePrefixes.ts";
import { formatPrefix } from "../net/prefix.ts";

/** An end of a link, as reports have it. Fields are those of the contract's Endpoint, and what tells an end of many addresses. */
export interface ShownEnd {
  readonly type: "pod" | "node" | "external" | "unknown";
  readonly namespace?: string;
  readonly workload?: string;
  /** Only these pods of the workload. */
  readonly pods?: readonly string[];
  /** Only these nodes; absent: every node. */
  readonly nodes?: readonly string[];
  /** A node as the pod's own, or as any other one; absent: either. */
  readonly relation?: "own" | "other";
  /** The fewest prefixes that tell the outside addresses, with those that are cut out of them. */
  readonly prefixes?: readonly string[];
  readonly exceptPrefixes?: readonly string[];
  /** Bearers of these names; what the policies call them. */
  readonly names?: readonly string[];
  /** Names, and roles, that another entry tells of, or none. */
  readonly except?: readonly string[];
}

/** What a workload has of pods in the compared worlds. */
interface WorkloadPods {
  readonly namespace: string;
  readonly workload: string;
  readonly label: string;
  /** By class, the names of its pods there. */
  readonly pods: Map<number, string[]>;
}

const API_SERVER = "kube-apiserver";
const WHOLE = { 4: "0.0.0.0/0", 6: "::/0" } as const;

/** Turns the sets of ends that links have into what people call them. */
export class EndNames {
  readonly #connectivity: Connectivity;
  readonly #workloads: readonly WorkloadPods[];
  /** By class: its workloads, by their place in the order of labels. */
  readonly #ofClass: readonly (readonly number[])[];
  readonly #byNamespace: ReadonlyMap<string, number>;
  /** The ranges of outside addresses by family, in order. */
  readonly #ranges: Readonly<Record<4 | 6, readonly { readonly range: AddressRange; readonly end: AddressEnd }[]>>;
  /** How many families outside addresses have. */
  readonly #families: number;
  readonly #shown = new Map<EndSet, readonly ShownEnd[]>();
  /** Each workload as a whole: one object wherever it is told. */
  readonly #whole: readonly ShownEnd[];

  constructor(connectivity: Connectivity) {
    this.#connectivity = connectivity;
    const rangesOf = (family: 4 | 6) =>
      connectivity.addresses
        .filter((end) => end.family === family)
        .flatMap((end) => end.ranges.map((range) => ({ range, end })))
        .sort((a, b) => (a.range.first < b.range.first ? -1 : 1));
    this.#ranges = { 4: rangesOf(4), 6: rangesOf(6) };
    this.#families = new Set(connectivity.addresses.map(({ family }) => family)).size;
    const found = new Map<string, WorkloadPods>();
    connectivity.classes.forEach(({ members }, number) => {
      for (const versions of members) addTo(found, versions, number);
    });
    this.#workloads = [...found.values()].sort((a, b) => (a.label < b.label ? -1 : a.label > b.label ? 1 : 0));
    this.#whole = this.#workloads.map(({ namespace, workload }) => ({ type: "pod", namespace, workload }));
    const ofClass: number[][] = connectivity.classes.map(() => []);
    this.#workloads.forEach(({ pods }, i) => {
      for (const number of pods.keys()) ofClass[number].push(i);
    });
    this.#ofClass = ofClass;
    const counts = new Map<string, number>();
    for (const { namespace } of this.#workloads) counts.set(namespace, (counts.get(namespace) ?? 0) + 1);
    this.#byNamespace = counts;
  }

  /** How many workloads there are. */
  get workloads(): number {
    return this.#workloads.length;
  }

  /** Returns the ends of a set, in order. */
  show(set: EndSet): readonly ShownEnd[] {
    let shown = this.#shown.get(set);
    if (shown === undefined) this.#shown.set(set, (shown = this.#list(set)));
    return shown;
  }

  #list(set: EndSet): ShownEnd[] {
    switch (set.kind) {
      case "pods": {
        const indices = new Set<number>();
        set.classes.forEach((number) => {
          for (const i of this.#ofClass[number]) indices.add(i);
        });
        return [...indices]
          .sort((a, b) => a - b)
          .map((i): ShownEnd => {
            const { pods } = this.#workloads[i];
            const own = [...pods].filter(([number]) => set.classes.has(number));
            const end = this.#whole[i];
            return own.length === pods.size ? end : { ...end, pods: [...new Set(own.flatMap(([, names]) => names))].sort() };
          });
      }
      case "nodes":
        return this.#nodes(set.nodes);
      case "entity":
        return [{ type: "unknown", names: [`reserved:${set.entity.entity}`] }];
      case "outside":
        return [this.#outside(set)];
    }
  }

  #nodes(nodes: readonly NodeEnd[]): ShownEnd[] {
    const namesOf = (all: readonly NodeEnd[], relation: NodeEnd["relation"]) =>
      [...new Set(all.filter((node) => node.relation === relation).flatMap(({ names }) => names))].sort();
    const [own, other] = [namesOf(nodes, "own"), namesOf(nodes, "other")];
    const [allOwn, allOther] = [namesOf(this.#connectivity.nodes, "own"), namesOf(this.#connectivity.nodes, "other")];
    const end = (names: readonly string[], all: readonly string[], relation?: "own" | "other"): ShownEnd => ({
      type: "node",
      ...(names.length === all.length ? {} : { nodes: names }),
      ...(relation === undefined ? {} : { relation }),
    });
    if (own.join() === other.join()) return [end(own, allOwn)];
    return [...(own.length > 0 ? [end(own, allOwn, "own")] : []), ...(other.length > 0 ? [end(other, allOther, "other")] : [])];
  }

  #outside({ role, addresses, except }: Extract<EndSet, { kind: "outside" }>): ShownEnd {
    const own = new Set(addresses);
    const cut: string[] = [];
    const prefixes = ([4, 6] as const).flatMap((family) => {
      const wanted = this.#ranges[family].filter(({ end }) => own.has(end)).map(({ range }) => range);
      const avoided = this.#ranges[family].filter(({ end }) => !own.has(end)).map(({ range }) => range);
      const held = coverRanges(wanted, avoided, family);
      const left = coverRanges(avoided, wanted, family);
      if (held.length <= left.length + 1) return held.map(formatPrefix);
      cut.push(...left.map(formatPrefix));
      return [WHOLE[family]];
    });
    const called = ({ name, isApiServer }: Role) => [...(name === undefined ? [] : [name]), ...(isApiServer ? [API_SERVER] : [])];
    const names = called(role);
    return {
      type: "external",
      prefixes,
      ...(cut.length === 0 ? {} : { exceptPrefixes: cut }),
      ...(names.length === 0 ? {} : { names }),
      ...(except.length === 0 ? {} : { except: except.map((each) => called(each).join(" as ")) }),
    };
  }

  /**
   * Returns a set's ends in a few words: whole namespaces and all pods by what holds them; beyond `most` the rest is counted. `other`
   * are the ends on the other side: "outside" is all addresses that these could reach.
   */
  label(set: EndSet, most: number, other: readonly EndSet[]): string {
    const ends = this.show(set);
    if (set.kind !== "pods") {
      const families = this.#familiesOf(other);
      return listed(
        ends.map((end) => endText(end, families)),
        most,
      );
    }
    const whole = ends.filter(({ pods }) => pods === undefined);
    if (whole.length === this.#workloads.length && whole.length > 1) return "every pod";
    const counts = new Map<string, number>();
    for (const { namespace = "" } of whole) counts.set(namespace, (counts.get(namespace) ?? 0) + 1);
    const isWhole = (namespace: string) => (counts.get(namespace) ?? 0) > 1 && counts.get(namespace) === this.#byNamespace.get(namespace);
    const texts = new Set(ends.map((end) => (isWhole(end.namespace!) ? `${end.namespace}/*` : endText(end))));
    return listed([...texts], most);
  }

  /** How many families the pods among some ends have. */
  #familiesOf(sets: readonly EndSet[]): number {
    const { families, classes } = this.#connectivity;
    const isOf = (family: (typeof families)[number]) =>
      classes.some(
        ({ ends }, number) =>
          ends.some((each) => each.has(family) || each.has(0)) && sets.some((set) => set.kind === "pods" && set.classes.has(number)),
      );
    return families.includes(0) ? this.#families : families.filter(isOf).length;
  }
}

/** A pod that is in both worlds is told by what it is in the later one. */
function addTo(found: Map<string, WorkloadPods>, versions: PodVersions, number: number): void {
  const pod = versions.findLast((version) => version !== undefined);
  if (pod === undefined) return;
  const key = workloadKey(pod.workload);
  let entry = found.get(key);
  if (entry === undefined) found.set(key, (entry = entryOf(pod)));
  const names = entry.pods.get(number);
  if (names === undefined) entry.pods.set(number, [pod.name]);
  else if (names.at(-1) !== pod.name) names.push(pod.name);
}

function entryOf({ namespace, workload: { kind, name } }: Pod): WorkloadPods {
  const workload = `${kind}/${name}`;
  return { namespace, workload, label: `${namespace}/${shortWorkload(workload)}`, pods: new Map() };
}

/** Pods, nodes or prefixes that a label names before it counts the rest. */
const NAMED = 2;

/**
 * Returns an end as people write it. `families`: how many address families there are; all of fewer is not everywhere. `most`: pods,
 * nodes or prefixes that are named before the rest is counted.
 */
export function endText(
  { type, namespace, workload = "", pods, nodes, relation, prefixes = [], exceptPrefixes = [], names = [], except = [] }: ShownEnd,
  families = 1,
  most = NAMED,
): string {
  switch (type) {
    case "pod": {
      const label = `${namespace}/${shortWorkload(workload)}`;
      if (pods === undefined) return label;
      return `${label} (${pods.length <= most ? `pod ${pods.join(" and ")}` : `${pods.length} pods, ${pods[0]} first`})`;
    }
    case "node": {
      const own = relation === undefined ? "" : relation === "own" ? " (the pod's own)" : " (others than the pod's own)";
      return `${
        nodes === undefined
          ? "every node"
          : listed(
              nodes.map((name) => `node/${name}`),
              most,
            )
      }${own}`;
    }
    case "external": {
      const isAnywhere = prefixes.every((prefix) => prefix.endsWith("/0"));
      const where = isAnywhere && prefixes.length >= families ? "" : listed(prefixes, most);
      const left = [...exceptPrefixes, ...except];
      const but = left.length === 0 ? "" : ` but ${listed(left, most)}`;
      if (names.length > 0) return `${names.join(" as ")}${where + but === "" ? "" : ` (${`${where}${but}`.trim()})`}`;
      return `${where === "" ? "outside" : `outside ${where}`}${but}`;
    }
    default:
      return names.join(", ");
  }
}

function listed(texts: readonly string[], most: number): string {
  return texts.length <= most ? texts.join(", ") : `${texts.slice(0, most - 1).join(", ")} and ${texts.length - most + 1} more`;
}
