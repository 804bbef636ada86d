import type { Connectivity, EndSet, Link } from "../evaluate/connectivity.ts";
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
  readonly #ranks: ReadonlyMap<string, number>;
  readonly #rankLists = new Map<EndSet, readonly number[]>();

  /** `isMeant` says of which outcomes the ports are listed. */
  constructor(connectivity: Connectivity, links: readonly Link[], isMeant: (outcomes: readonly number[]) => boolean) {
    this.connectivity = connectivity;
    this.names = new EndNames(connectivity);
    const ports = new Map<string, readonly PortGroup[]>();
    this.groups = links.flatMap((link) => {
      const key = `${link.family} ${link.verdicts.join()}`;
      let groups = ports.get(key);
      if (groups === undefined)
        ports.set(
          key,
          (groups = portGroups(connectivity.verdicts, link.verdicts, link.family).filter(({ outcomes }) => isMeant(outcomes))),
        );
      return groups.map((group) => ({ link, ports: group }));
    });
    const all = new Map<string, ShownEnd>();
    for (const { link } of this.groups)
      for (const end of [...this.names.show(link.sources), ...this.names.show(link.destinations)]) all.set(JSON.stringify(end), end);
    const sorted = [...all].map(([key, end]) => ({ key, end, order: orderOf(end) }));
    sorted.sort((a, b) => compare(a.order, b.order) || compare(a.key, b.key));
    this.ends = sorted.map(({ end }) => end);
    this.#ranks = new Map(sorted.map(({ key }, i) => [key, i]));
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
      ranks = this.names.show(set).map((end) => this.#ranks.get(JSON.stringify(end))!);
      this.#rankLists.set(set, ranks);
    }
    return ranks;
  }

  /** Returns merged lines. `most`: ends that a line names before it counts the rest. */
  rows(most: number): LinkRow[] {
    const isSplit = this.connectivity.families.length > 1;
    const single = this.groups.map(({ link, ports }) => ({
      from: [link.sources],
      to: [link.destinations],
      ports,
      family: isSplit && link.family !== 0 && !isOutside(link) ? `IPv${link.family}` : "",
    }));
    const bySource = merge(
      single,
      (row) => this.#label(row.to, most),
      (a, b) => ({ ...a, from: [...a.from, ...b.from] }),
    );
    const merged = merge(
      bySource,
      (row) => this.#label(row.from, most),
      (a, b) => ({ ...a, to: [...a.to, ...b.to] }),
    );
    return merged.map(({ from, to, ports, family }) => ({ from: this.#label(from, most), to: this.#label(to, most), ports, family }));
  }

  #label(sets: readonly EndSet[], most: number): string {
    const labels = [...new Set(sets.map((set) => this.names.label(set, most)))];
    // Everybody that there is.
    const isAll = ["every pod", "every node", "outside"].every((each) => labels.includes(each));
    return isAll
      ? ["anything", ...labels.filter((each) => !["every pod", "every node", "outside"].includes(each))].join(", ")
      : labels.join(", ");
  }
}

interface MergedRow {
  readonly from: readonly EndSet[];
  readonly to: readonly EndSet[];
  readonly ports: PortGroup;
  readonly family: string;
}

function merge(
  rows: readonly MergedRow[],
  labelOf: (row: MergedRow) => string,
  join: (a: MergedRow, b: MergedRow) => MergedRow,
): MergedRow[] {
  const merged = new Map<string, MergedRow>();
  for (const row of rows) {
    const key = `${row.family} ${row.ports.text} ${row.ports.outcomes.join()} ${labelOf(row)}`;
    const known = merged.get(key);
    merged.set(key, known === undefined ? row : join(known, row));
  }
  return [...merged.values()];
}

/** Prefixes tell their family themselves. */
function isOutside({ sources, destinations }: Link): boolean {
  return sources.kind === "outside" || destinations.kind === "outside";
}

/** Pods first, then nodes, then what is outside. */
function orderOf(end: ShownEnd): string {
  return `${["pod", "node", "external", "unknown"].indexOf(end.type)}${endText(end)}`;
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
