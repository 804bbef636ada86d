import { SCTP, TCP, UDP } from "../net/protocol.ts";
import type { Direction, Policy, PortMatch, Rule, RuleRef } from "../policy/model.ts";
import type { Block } from "./addressClasses.ts";
import type { Identities } from "./identities.ts";

/** One alternative of a clause's peers: a selection of pods, or a block of addresses, by number. */
export interface CompiledPeer {
  readonly isBlock: boolean;
  readonly number: number;
  readonly ref: RuleRef;
}

/** A rule with its selectors and blocks replaced by numbers. */
export interface Clause {
  readonly policy: Policy;
  readonly rule: Rule;
  readonly peers: "any" | readonly CompiledPeer[];
}

/** A policy's say in one direction. */
export interface CompiledPolicy {
  readonly policy: Policy;
  /** Number of the selection of its subjects. */
  readonly subject: number;
  readonly isolates: boolean;
  readonly clauses: readonly Clause[];
}

/** Gives equal blocks one number. */
export class Blocks {
  readonly list: Block[] = [];
  readonly #numbers = new Map<string, number>();

  intern(block: Block): number {
    const text = ({ first, length, family }: Block["prefix"]) => `${first}/${length}/${family}`;
    const key = `${text(block.prefix)}-${block.except.map(text).sort().join()}`;
    let number = this.#numbers.get(key);
    if (number === undefined) this.#numbers.set(key, (number = this.list.push(block) - 1));
    return number;
  }
}

/** Compiles one direction of the policies that govern it. */
export function compileDirection(
  policies: readonly Policy[],
  direction: Direction,
  identities: Identities,
  blocks: Blocks,
): CompiledPolicy[] {
  const compiled: CompiledPolicy[] = [];
  for (const policy of policies) {
    const list = policy[direction];
    if (list === undefined) continue;
    const clauses = list.rules.map((rule) => ({ policy, rule, peers: compilePeers(rule, identities, blocks) }));
    compiled.push({ policy, subject: identities.intern(policy.subject), isolates: list.isolates, clauses });
  }
  return compiled;
}

function compilePeers(rule: Rule, identities: Identities, blocks: Blocks): "any" | CompiledPeer[] {
  if (rule.peers === "any") return "any";
  return rule.peers.map((peer) =>
    peer.kind === "prefix"
      ? { isBlock: true, number: blocks.intern(peer), ref: peer.ref }
      : { isBlock: false, number: identities.intern(peer.match), ref: peer.ref },
  );
}

/** Returns the port names that rules use. */
export function portNames(policies: readonly Policy[]): Set<string> {
  const names = new Set<string>();
  for (const match of portMatches(policies)) if (match.ports !== undefined && "name" in match.ports) names.add(match.ports.name);
  return names;
}

/** Returns, a protocol, where its ports must be cut so that no rule tells apart ports of one class. `names` are those that rules use. */
export function portCuts(policies: readonly Policy[], identities: Identities, names: ReadonlySet<string>): Map<number, Set<number>> {
  const cuts = new Map([TCP, UDP, SCTP].map((protocol) => [protocol, new Set<number>()]));
  for (const { protocol, ports } of portMatches(policies)) {
    if (ports === undefined || "name" in ports) continue;
    cuts
      .get(protocol)
      ?.add(ports.first)
      .add(ports.last + 1);
  }
  if (names.size === 0) return cuts;
  for (let number = 0; number < identities.size; number++) {
    for (const { name, port, protocol } of identities.get(number)?.ports ?? []) {
      if (name !== undefined && names.has(name))
        cuts
          .get(protocol)
          ?.add(port)
          .add(port + 1);
    }
  }
  return cuts;
}

function* portMatches(policies: readonly Policy[]): Generator<PortMatch> {
  for (const policy of policies) {
    for (const list of [policy.ingress, policy.egress]) for (const { ports } of list?.rules ?? []) if (ports !== "any") yield* ports;
  }
}
