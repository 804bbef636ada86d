import type { Node } from "../cluster/objects.ts";
import { type Address, isIPv4 } from "../net/address.ts";
import type { AddressRange } from "../net/mergePrefixes.ts";
import { type Prefix, prefixContains } from "../net/prefix.ts";
import type { Entity, NamePattern, Policy } from "../policy/model.ts";
import { compileRegex, literalOf } from "../policy/regex.ts";
import type { Evaluator } from "./evaluator.ts";
import { peersOf } from "./honoured.ts";
import { OUTSIDE, OUTSIDE_API_SERVER, reservedIdentity } from "./identities.ts";
import type { Family } from "./podClasses.ts";
import type { Party } from "./terms.ts";

/** Nodes that no policy tells apart, at one address each, as a pod's own node or as any other. */
export interface NodeEnd {
  readonly names: readonly string[];
  readonly relation: "own" | "other";
  readonly family: Family;
  /** By evaluator; undefined where its world has none of them. */
  readonly parties: readonly (Party | undefined)[];
}

/** A role that is no pod's, node's or outside host's (Cilium: reserved identities). */
export interface EntityEnd {
  readonly entity: Entity;
  readonly parties: readonly Party[];
}

/** Outside addresses that no policy tells apart by number. */
export interface AddressEnd {
  readonly ranges: readonly AddressRange[];
  readonly family: 4 | 6;
  /** By evaluator. */
  readonly classes: readonly number[];
}

/** What an outside address may be besides its number: nothing, the bearer of a DNS name, the API server. */
export interface Role {
  /** As the policy that speaks of it writes it: a name or a pattern of names. */
  readonly name?: string;
  readonly isApiServer?: true;
  /** By evaluator. */
  readonly identities: readonly number[];
}

/** Returns classes of nodes, one for each address that policies tell apart. Nodes in `apart` share a class with no other. */
export function nodeEnds(
  evaluators: readonly Evaluator[],
  nodes: readonly (readonly Node[])[],
  apart: ReadonlySet<string> = new Set(),
): NodeEnd[] {
  const classes = evaluators.map((evaluator) => evaluator.rules.identities.classes());
  const byName = nodes.map((list) => new Map(list.map((node) => [node.name, node])));
  const names = [...new Set(nodes.flatMap((list) => list.map(({ name }) => name)))].sort();
  const ends = new Map<string, { names: string[]; relation: "own" | "other"; family: Family; parties: (Party | undefined)[] }>();
  for (const name of names) {
    const addresses = new Set(byName.flatMap((nodeOf) => nodeOf.get(name)?.addresses ?? []));
    for (const address of addresses.size === 0 ? [undefined] : addresses) {
      const family = address === undefined ? 0 : isIPv4(address) ? 4 : 6;
      for (const relation of ["other", "own"] as const) {
        const parties = evaluators.map((evaluator, e) => nodeParty(evaluator, byName[e].get(name), relation, address));
        const look = parties
          .map((party, e) => (party === undefined ? "" : `${classes[e][party.identity]}.${party.addressClass}`))
          .join("|");
        const key = apart.has(name) ? `${look} ${name}` : look;
        const known = ends.get(`${relation} ${family} ${key}`);
        if (known === undefined) ends.set(`${relation} ${family} ${key}`, { names: [name], relation, family, parties });
        else if (!known.names.includes(name)) known.names.push(name);
      }
    }
  }
  return [...ends.values()];
}

/** Without an address: a node that has none. */
function nodeParty(
  evaluator: Evaluator,
  node: Node | undefined,
  relation: "own" | "other",
  address: Address | undefined,
): Party | undefined {
  if (node === undefined || (address !== undefined && !node.addresses.includes(address))) return undefined;
  return evaluator.party(evaluator.classify({ type: "node", node, address, relation }));
}

/** Returns the reserved roles; only Cilium has any. */
export function entityEnds(evaluators: readonly Evaluator[]): EntityEnd[] {
  if (!evaluators.every(({ profile }) => profile.name === "cilium")) return [];
  return (["health", "ingress", "init", "unmanaged"] as const).map((entity) => ({
    entity,
    parties: evaluators.map(() => ({ identity: reservedIdentity(entity)!, addressClass: -1 })),
  }));
}

const IPV4_AFTER = 0x1000000000000n;
const IPV4_FIRST = 0xffff00000000n;
const END = 1n << 128n;

/**
 * Returns classes of outside addresses of some families; those that `isInside` are the cluster's own, and left out. Each lies wholly in
 * each of the `prefixes`, or wholly beside it.
 */
export function addressEnds(
  evaluators: readonly Evaluator[],
  families: readonly Family[],
  isInside: (range: AddressRange) => boolean,
  prefixes: readonly Prefix[] = [],
): AddressEnd[] {
  const starts = new Set<Address>([0n, IPV4_FIRST, IPV4_AFTER]);
  for (const { first, last } of prefixes) starts.add(first).add(last + 1n);
  // Behind the last address of all nothing begins.
  starts.delete(END);
  for (const { rules } of evaluators) for (const start of rules.addresses.starts) starts.add(start);
  const sorted = [...starts].sort((a, b) => (a < b ? -1 : 1));
  const ends = new Map<string, { ranges: AddressRange[]; family: 4 | 6; classes: number[] }>();
  sorted.forEach((first, i) => {
    const range = { first, last: (sorted[i + 1] ?? END) - 1n };
    const family = first >= IPV4_FIRST && first < IPV4_AFTER ? 4 : 6;
    if (!(families.includes(family) || families.includes(0)) || isInside(range)) return;
    const classes = evaluators.map(({ rules }) => rules.addresses.classOf(first));
    const key = `${family} ${classes.join()} ${prefixes.map((prefix) => (prefixContains(prefix, first) ? 1 : 0)).join("")}`;
    const known = ends.get(key);
    if (known === undefined) ends.set(key, { ranges: [range], family, classes });
    else known.ranges.push(range);
  });
  return [...ends.values()];
}

/** Returns the roles that outside addresses may have under the policies of the evaluators, the one of none first. */
export function outsideRoles(evaluators: readonly Evaluator[], names: readonly OutsideName[]): Role[] {
  const roles: Role[] = [{ identities: evaluators.map(() => OUTSIDE) }];
  for (const { text, example } of names)
    roles.push({ name: text, identities: evaluators.map(({ rules }) => rules.identities.numberOfName(example)) });
  const speaks = evaluators.some(({ policies }) =>
    policies.some((policy) => peersOf(policy).some((term) => term.kind === "entities" && term.entities.includes("kube-apiserver"))),
  );
  if (!speaks) return roles;
  roles.push({ isApiServer: true, identities: evaluators.map(() => OUTSIDE_API_SERVER) });
  // It may well have a name (a managed control plane).
  for (const { text, example } of names)
    roles.push({ name: text, isApiServer: true, identities: evaluators.map(({ rules }) => rules.identities.numberOfName(example, true)) });
  return roles;
}

/** A name, or a pattern of names, that policies speak of, with a name that it holds. */
export interface OutsideName {
  readonly text: string;
  readonly example: string;
}

/** A part of a name that policies hardly have. */
const RARE = "zq0";
/** Candidates that are tried for the names of all patterns. */
const MOST_CANDIDATES = 20_000;

/**
 * Returns names that stand for all that there may be: two names stand apart where some pattern of the policies holds one and not the
 * other. Each name of the policies stands for itself; for a pattern, names are tried that take parts of the other patterns in place
 * of `*`, or none, or several parts.
 */
export function outsideNames(policies: readonly Policy[]): OutsideName[] {
  const patterns = new Map<string, NamePattern>();
  for (const policy of policies)
    for (const term of peersOf(policy))
      if (term.kind === "names") for (const pattern of term.patterns) if (pattern.text !== "") patterns.set(pattern.regex, pattern);
  const all = [...patterns.values()].sort((a, b) => (a.text < b.text ? -1 : 1));
  const tests = all.map(({ regex }) => compileRegex(regex));
  const literals = all.flatMap(({ text, regex }): OutsideName[] => {
    const example = literalOf(regex);
    return example === undefined ? [] : [{ text, example }];
  });
  const wild = all.filter(({ regex }) => literalOf(regex) === undefined);
  const most = Math.max(16, Math.floor(MOST_CANDIDATES / Math.max(wild.length, 1)));
  const found = new Map<string, OutsideName>();
  const labels = new Set<string>();
  const vectorOf = (example: string) => tests.map((test) => (test(example) ? "1" : "0")).join("");
  for (const name of literals) found.set(vectorOf(name.example), name);
  for (const pattern of wild) {
    const test = compileRegex(pattern.regex);
    for (const example of candidatesOf(pattern, all, most)) {
      if (!test(example)) continue;
      const vector = vectorOf(example);
      if (found.has(vector)) continue;
      found.set(vector, { text: labels.has(pattern.text) ? `${pattern.text} (such as ${example})` : pattern.text, example });
      labels.add(pattern.text);
    }
  }
  return [...found.values()];
}

/** Yields names that a pattern may hold, the least like any other pattern first. */
function candidatesOf({ text }: NamePattern, all: readonly NamePattern[], most: number): string[] {
  const parts = plainText(text).split(/\*+/);
  const end = parts[parts.length - 1];
  const fragments = new Set<string>();
  for (const other of all) {
    const own = plainText(other.text).split(/\*+/);
    const otherEnd = own[own.length - 1];
    if (!end.endsWith(otherEnd) && !otherEnd.endsWith(end)) continue;
    const rest = otherEnd.endsWith(end) ? otherEnd.slice(0, otherEnd.length - end.length) : "";
    for (const fragment of [...own.slice(0, -1), rest]) if (fragment !== "") fragments.add(fragment.replace(/^\.+|\.+$/g, ""));
  }
  const fillers = [RARE, `${RARE}.${RARE}`, ""];
  for (const fragment of fragments)
    fillers.push(fragment, `${fragment}${RARE}`, `${RARE}${fragment}`, `${RARE}${fragment}${RARE}`, `${RARE}.${fragment}`);
  const candidates: string[] = [];
  const add = (at: number, name: string, filler: string | undefined) => {
    if (candidates.length >= most) return;
    if (at === parts.length) candidates.push(name);
    // Beyond two places all take the same: there would be too many.
    else
      for (const each of filler === undefined ? fillers : [filler])
        add(at + 1, `${name}${each}${parts[at]}`, parts.length > 3 ? each : undefined);
  };
  add(1, parts[0], undefined);
  return candidates;
}

function plainText(text: string): string {
  return text.toLowerCase().replace(/\.$/, "");
}
