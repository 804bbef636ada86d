import type { Node } from "../cluster/objects.ts";
import { type Address, isIPv4 } from "../net/address.ts";
import type { AddressRange } from "../net/mergePrefixes.ts";
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

/** Returns classes of nodes. */
export function nodeEnds(evaluators: readonly Evaluator[], nodes: readonly (readonly Node[])[]): NodeEnd[] {
  const classes = evaluators.map((evaluator) => evaluator.rules.identities.classes());
  const byName = nodes.map((list) => new Map(list.map((node) => [node.name, node])));
  const names = [...new Set(nodes.flatMap((list) => list.map(({ name }) => name)))].sort();
  const ends = new Map<string, { names: string[]; relation: "own" | "other"; family: Family; parties: (Party | undefined)[] }>();
  for (const name of names) {
    for (const relation of ["other", "own"] as const) {
      for (const family of [4, 6, 0] as const) {
        const parties = evaluators.map((evaluator, e) => nodeParty(evaluator, byName[e].get(name), relation, family));
        if (parties.every((party) => party === undefined)) continue;
        const key = parties.map((party, e) => (party === undefined ? "" : `${classes[e][party.identity]}.${party.addressClass}`)).join("|");
        const known = ends.get(`${relation} ${family} ${key}`);
        if (known === undefined) ends.set(`${relation} ${family} ${key}`, { names: [name], relation, family, parties });
        else known.names.push(name);
      }
    }
  }
  return [...ends.values()];
}

/** Family 0 is of nodes without any address. */
function nodeParty(evaluator: Evaluator, node: Node | undefined, relation: "own" | "other", family: Family): Party | undefined {
  if (node === undefined) return undefined;
  const address = node.addresses.find((each) => isIPv4(each) === (family === 4));
  if (family === 0 ? node.addresses.length > 0 : address === undefined) return undefined;
  return evaluator.party(evaluator.classify({ type: "node", node, address: family === 0 ? undefined : address, relation }));
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

/** Returns classes of outside addresses of some families; those that `isInside` are the cluster's own, and left out. */
export function addressEnds(
  evaluators: readonly Evaluator[],
  families: readonly Family[],
  isInside: (range: AddressRange) => boolean,
): AddressEnd[] {
  const starts = new Set<Address>([0n, IPV4_FIRST, IPV4_AFTER]);
  for (const { rules } of evaluators) for (const start of rules.addresses.starts) starts.add(start);
  const sorted = [...starts].sort((a, b) => (a < b ? -1 : 1));
  const ends = new Map<string, { ranges: AddressRange[]; family: 4 | 6; classes: number[] }>();
  sorted.forEach((first, i) => {
    const range = { first, last: (sorted[i + 1] ?? END) - 1n };
    const family = first >= IPV4_FIRST && first < IPV4_AFTER ? 4 : 6;
    if (!(families.includes(family) || families.includes(0)) || isInside(range)) return;
    const classes = evaluators.map(({ rules }) => rules.addresses.classOf(first));
    const key = `${family} ${classes.join()}`;
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
  if (speaks) roles.push({ isApiServer: true, identities: evaluators.map(() => OUTSIDE_API_SERVER) });
  return roles;
}

/** A name, or a pattern of names, that policies speak of, with a name that it holds. */
export interface OutsideName {
  readonly text: string;
  readonly example: string;
}

/**
 * Returns the names that policies speak of. For a pattern, a name that hardly anything else would hold stands: whatever holds it
 * holds all that the pattern does.
 */
export function outsideNames(policies: readonly Policy[]): OutsideName[] {
  const byText = new Map<string, OutsideName>();
  for (const policy of policies)
    for (const term of peersOf(policy))
      if (term.kind === "names")
        for (const pattern of term.patterns) {
          if (pattern.text === "") continue;
          const example = exampleOf(pattern);
          if (example !== undefined) byText.set(pattern.text, { text: pattern.text, example });
        }
  // Two ways of writing one name are one.
  const distinct = new Map([...byText.values()].sort((a, b) => (a.text < b.text ? -1 : 1)).map((name) => [name.example, name]));
  return [...distinct.values()];
}

function exampleOf({ text, regex }: NamePattern): string | undefined {
  const literal = literalOf(regex);
  if (literal !== undefined) return literal;
  const matches = compileRegex(regex);
  const lower = text.toLowerCase().replace(/\.$/, "");
  return ["kguardian-any", "kguardian-any.kguardian-other", ""].map((part) => lower.replace(/\*+/g, part)).find((name) => matches(name));
}
