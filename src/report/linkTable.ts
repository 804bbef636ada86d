import { alwaysPasses } from "../evaluate/cell.ts";
import type { Connectivity, EndSet, Link } from "../evaluate/connectivity.ts";
import type { PortSpan } from "../evaluate/portSpace.ts";
import { compare } from "../net/order.ts";
import { EndNames, endText, type ShownEnd } from "./shownEnds.ts";
import { type PortGroup, portGroups } from "./shownPorts.ts";

/** Ports of a link that share outcomes. */
export interface LinkGroup {
  readonly link: Link;
  readonly ports: PortGroup;
}

/** One line for people: whoever shares ports and outcomes with the same other end is told together. */
export interface LinkRow {
  readonly from: string;
  readonly to: string;
  readonly ports: PortGroup;
  /** `IPv4` or `IPv6` where it holds between addresses of that family alone. */
  readonly family: string;
  readonly sources: readonly EndSet[];
  readonly destinations: readonly EndSet[];
}

/** A pair of ends with the ports that they share outcomes on, `source` and `destination` by rank in `ends`. */
export interface LinkPair {
  readonly source: number;
  readonly destination: number;
  readonly group: LinkGroup;
}

/** Links as reports list them: pair by pair, in the order of names, or merged for people. */
export class LinkTable {
  readonly connectivity: Connectivity;
  readonly names: EndNames;
  readonly groups: readonly LinkGroup[];
  /** Every end that a link has, in order of names. */
  readonly ends: readonly ShownEnd[];
  readonly #ranks = new Map<ShownEnd, number>();
  readonly #rankLists = new Map<EndSet, readonly number[]>();
  readonly #keys = new Map<EndSet, string>();

  /** `isMeant` says of which outcomes the ports are listed; `isUntold` which of them people need not read of; tables may share `names`. */
  constructor(
    connectivity: Connectivity,
    links: readonly Link[],
    isMeant: (outcomes: readonly number[]) => boolean,
    isUntold = alwaysPassing(connectivity),
    names = new EndNames(connectivity),
  ) {
    this.connectivity = connectivity;
    this.names = names;
    const ports = new Map<string, readonly PortGroup[]>();
    this.groups = links.flatMap((link) => {
      const key = `${link.family} ${link.verdicts.join()}`;
      let groups = ports.get(key);
      if (groups === undefined)
        ports.set(
          key,
          (groups = portGroups(connectivity.verdicts, link.verdicts, link.family, isUntold).filter(({ outcomes }) => isMeant(outcomes))),
        );
      return groups.map((group) => ({ link, ports: group }));
    });
    const sets = new Set(this.groups.flatMap(({ link }) => [link.sources, link.destinations]));
    const shown = new Set<ShownEnd>();
    for (const set of sets) for (const end of this.names.show(set)) shown.add(end);
    const sorted = [...shown].map((end) => ({ end, key: JSON.stringify(end), order: orderOf(end) }));
    sorted.sort((a, b) => compare(a.order, b.order) || compare(a.key, b.key));
    // Equal ends have one rank, whichever set they are of.
    const ends: ShownEnd[] = [];
    sorted.forEach(({ end, key }, i) => {
      if (i === 0 || sorted[i - 1].key !== key) ends.push(end);
      this.#ranks.set(end, ends.length - 1);
    });
    this.ends = ends;
  }

  /** How many pairs of ends there are. */
  get size(): number {
    return this.groups.reduce((size, group) => size + this.sizeOf(group), 0);
  }

  /** How many pairs of ends a group has. */
  sizeOf({ link }: LinkGroup): number {
    return this.#ranksOf(link.sources).length * this.#ranksOf(link.destinations).length;
  }

  /** Yields every pair, in the order of sources, then destinations. */
  *pairs(): Generator<LinkPair> {
    const count = this.ends.length;
    const groups = this.groups.length;
    // One number a pair: a million pairs must not be a million objects.
    const keys = new Float64Array(this.size);
    let at = 0;
    this.groups.forEach(({ link }, g) => {
      const destinations = this.#ranksOf(link.destinations);
      for (const source of this.#ranksOf(link.sources))
        for (const destination of destinations) keys[at++] = (source * count + destination) * groups + g;
    });
    keys.sort();
    for (const key of keys) {
      const pair = Math.floor(key / groups);
      yield { source: Math.floor(pair / count), destination: pair % count, group: this.groups[key % groups] };
    }
  }

  #ranksOf(set: EndSet): readonly number[] {
    let ranks = this.#rankLists.get(set);
    if (ranks === undefined) {
      ranks = this.names.show(set).map((end) => this.#ranks.get(end)!);
      this.#rankLists.set(set, ranks);
    }
    return ranks;
  }

  /** Returns merged lines. `most`: ends that a line names before it counts the rest. */
  rows(most: number): LinkRow[] {
    const isSplit = this.connectivity.families.length > 1;
    const single = this.groups
      .filter(({ ports }) => ports.text !== "")
      .map(
        ({ link, ports }): MergedRow => ({
          from: [link.sources],
          to: [link.destinations],
          ports,
          family: isSplit && link.family !== 0 && !isOutside(link) ? `IPv${link.family}` : "",
        }),
      );
    const bySource = this.#merge(single, "to", "from");
    const merged = this.#merge(bySource, "from", "to");
    return merged.map(({ from, to, ports, family }) => ({
      from: this.#label(from, most, to),
      to: this.#label(to, most, from),
      ports,
      family,
      sources: from,
      destinations: to,
    }));
  }

  /** Joins rows that agree in all but one side. */
  #merge(rows: readonly MergedRow[], same: "from" | "to", joined: "from" | "to"): MergedRow[] {
    const merged = new Map<string, MergedRow>();
    for (const row of rows) {
      const key = `${row.family} ${row.ports.text} ${row.ports.outcomes.join()} ${row[same].map((set) => this.#keyOf(set)).join(" ")}`;
      const known = merged.get(key);
      const both = known === undefined ? row[joined] : joinSets([...known[joined], ...row[joined]], (set) => this.#keyOf(set));
      merged.set(key, { ...row, [joined]: both });
    }
    return [...merged.values()];
  }

  #keyOf(set: EndSet): string {
    let key = this.#keys.get(set);
    if (key === undefined) {
      key = set.kind === "pods" ? `p${set.classes.words.join()}` : JSON.stringify(this.names.show(set));
      this.#keys.set(set, key);
    }
    return key;
  }

  #label(sets: readonly EndSet[], most: number, other: readonly EndSet[]): string {
    const labels = new Set(sets.map((set) => this.names.label(set, most, other)));
    // Cilium's reserved identities: who names none of them names all.
    const reserved = this.connectivity.entities.map(({ entity }) => `reserved:${entity}`);
    if (reserved.length > 0 && reserved.every((each) => labels.has(each))) {
      for (const each of reserved) labels.delete(each);
      labels.add(RESERVED);
    }
    if (!EVERYBODY.every((each) => labels.has(each))) return [...labels].join(", ");
    return ["anything", ...[...labels].filter((each) => !EVERYBODY.includes(each) && each !== RESERVED)].join(", ");
  }
}

const RESERVED = "reserved identities";
const EVERYBODY: readonly string[] = ["every pod", "every node", "outside"];

interface MergedRow {
  readonly from: readonly EndSet[];
  readonly to: readonly EndSet[];
  readonly ports: PortGroup;
  readonly family: string;
}

/** Joins sets of pods into one and drops what is there twice; in an order that hangs on the sets alone. */
function joinSets(sets: readonly EndSet[], keyOf: (set: EndSet) => string): EndSet[] {
  const pods = sets.filter((set) => set.kind === "pods");
  const others = [...new Map(sets.filter((set) => set.kind !== "pods").map((set) => [keyOf(set), set]))].sort(([a], [b]) => compare(a, b));
  const classes = pods.length === 0 ? undefined : pods.slice(1).reduce((all, set) => all.addAll(set.classes), pods[0].classes.copy());
  return [...(classes === undefined ? [] : [{ kind: "pods", classes } as const]), ...others.map(([, set]) => set)];
}

/** Returns whether the plugin of every set lets a span through whatever policies say. */
export function alwaysPassing({ evaluators }: Connectivity): (span: PortSpan) => boolean {
  const [{ rules }] = evaluators;
  return ({ protocol, first }) => alwaysPasses(rules, { protocol, port: first });
}

/** Prefixes tell their family themselves. */
function isOutside({ sources, destinations }: Link): boolean {
  return sources.kind === "outside" || destinations.kind === "outside";
}

/** Pods first, then nodes, then what is outside. */
function orderOf(end: ShownEnd): string {
  return `${["pod", "node", "external", "unknown"].indexOf(end.type)}${endText(end)}`;
}
