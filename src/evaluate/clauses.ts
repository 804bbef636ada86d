import {
  type Direction,
  type L7Match,
  type Peer,
  type Policy,
  type PortMatch,
  portNameOf,
  type Rule,
  type RuleRef,
} from "../policy/model.ts";
import type { Identities } from "./identities.ts";
import type { PortCut } from "./portClasses.ts";
import type { CniProfile } from "./profile.ts";
import type { ServiceBackends } from "./serviceBackends.ts";
import { rulesUnder, type Stage } from "./stages.ts";
import type { Term, TermCompiler } from "./terms.ts";

/** One alternative of a clause's peers. `isAddress`: it looks at nothing but addresses. */
export interface CompiledPeer {
  readonly term: Term;
  readonly isAddress: boolean;
  readonly ref: RuleRef;
}

/** A rule with its selectors and addresses replaced by numbers. */
export interface Clause {
  readonly policy: Policy;
  readonly rule: Rule;
  readonly peers: "any" | readonly CompiledPeer[];
  /** What the subject's own end must be; undefined: nothing more. */
  readonly near?: readonly Term[];
  readonly ports: "any" | readonly PortMatch[];
  readonly l7?: readonly L7Match[];
}

/** A policy's say in one direction. */
export interface CompiledPolicy {
  readonly policy: Policy;
  /** Number of the selection of its subjects. */
  readonly subject: number;
  readonly isolates: boolean;
  readonly clauses: readonly Clause[];
  /** Number of its stage; -1: the plugin does not know it, so that it only leaves a note. */
  readonly stage: number;
}

/** Compiles one direction of the policies that govern it, stage by stage. Those that the plugin ignores come last. */
export function compileDirection(
  stages: readonly Stage[],
  ignored: readonly Policy[],
  direction: Direction,
  identities: Identities,
  compiler: TermCompiler,
  services: ServiceBackends,
  profile: CniProfile,
): CompiledPolicy[] {
  const hostPods = profile.selectsHostPods[direction];
  const compiled: CompiledPolicy[] = [];
  const add = (policy: Policy, stage: number) => {
    const list = rulesUnder(profile, policy, direction);
    if (list === undefined) return;
    const clauses =
      stage < 0 ? [] : list.rules.flatMap((rule) => (rule.action === "log" ? [] : compileRule(policy, rule, compiler, services, hostPods)));
    compiled.push({ policy, subject: identities.intern(policy.subject), isolates: list.isolates, clauses, stage });
  };
  stages.forEach(({ policies }, stage) => {
    for (const policy of policies) add(policy, stage);
  });
  for (const policy of ignored) add(policy, -1);
  return compiled;
}

function compileRule(policy: Policy, rule: Rule, compiler: TermCompiler, services: ServiceBackends, hostPods: boolean): Clause[] {
  // A Service may stand for its endpoints each on its own port: a clause for every port.
  const bound = rule.peers === "any" ? [] : rule.peers.filter((peer) => peer.kind === "services").filter(({ ports }) => ports);
  const rest = rule.peers === "any" ? "any" : rule.peers.filter((peer) => !bound.some((one) => one === peer));
  const clause: Clause = {
    policy,
    rule,
    peers: rest === "any" ? "any" : rest.map((peer) => compilePeer(peer, compiler, hostPods)),
    ports: rule.ports,
    ...(rule.near === undefined ? {} : { near: rule.near.map((peer) => compiler.compile(peer)) }),
    ...(rule.l7 === undefined ? {} : { l7: rule.l7 }),
  };
  const split = bound.length > 0 && rest.length === 0 ? [] : [clause];
  for (const peer of bound) {
    const byPort = Map.groupBy(services.endpoints(peer.match), ({ protocol, port }) => `${protocol}/${port}`);
    for (const endpoints of byPort.values()) {
      const term = compiler.compileAddresses(endpoints.map(({ address }) => address));
      const [{ protocol, port }] = endpoints;
      split.push({
        ...clause,
        peers: [{ term, isAddress: true, ref: peer.ref }],
        ports: [{ protocol, ports: { first: port, last: port } }],
      });
    }
  }
  return split;
}

function compilePeer(peer: Peer, compiler: TermCompiler, hostPods: boolean): CompiledPeer {
  return { term: compiler.compile(peer, hostPods), isAddress: peer.kind === "prefix" || peer.kind === "sets", ref: peer.ref };
}

/** Every port match of a clause, whichever end's. */
export function portMatchesOf({ rule, ports }: Clause): PortMatch[] {
  return [...(ports === "any" ? [] : ports), ...(rule.notPorts ?? [])];
}

export function sourcePortMatchesOf({ rule }: Clause): PortMatch[] {
  return [...(rule.sourcePorts ?? []), ...(rule.notSourcePorts ?? [])];
}

/** Returns the port names that clauses use. */
export function portNames(clauses: Iterable<Clause>): Set<string> {
  const names = new Set<string>();
  for (const clause of clauses) for (const name of portMatchesOf(clause).map(portNameOf)) if (name !== undefined) names.add(name);
  return names;
}

/** Returns the ports, or ICMP types and codes, that a match names by number; undefined where it names none. */
export function cutOf({ protocol, ports, icmp }: PortMatch): PortCut | undefined {
  if (icmp !== undefined) {
    const first = icmp.type * 256 + (icmp.code ?? 0);
    return { protocol, first, last: icmp.code === undefined ? first + 255 : first };
  }
  return ports === undefined || "name" in ports ? undefined : { protocol, first: ports.first, last: ports.last };
}

/** Returns where ports must be cut so that no clause tells apart ports of one class. `names` are those that clauses use. */
export function portCuts(clauses: Iterable<Clause>, identities: Identities, names: ReadonlySet<string>) {
  const cuts = new Map<string, PortCut>();
  const sources = new Map<string, PortCut>();
  const protocols = new Set<number>();
  const add = (map: Map<string, PortCut>, cut: PortCut | undefined) => {
    if (cut !== undefined) map.set(`${cut.protocol}/${cut.first}-${cut.last}`, cut);
  };
  for (const clause of clauses) {
    for (const match of portMatchesOf(clause)) {
      protocols.add(match.protocol);
      add(cuts, cutOf(match));
    }
    for (const match of sourcePortMatchesOf(clause)) add(sources, cutOf(match) ?? { protocol: match.protocol, first: 0, last: 65535 });
  }
  if (names.size > 0) {
    for (let number = identities.firstPod; number < identities.size; number++) {
      for (const { name, port, protocol } of identities.get(number)?.ports ?? [])
        if (name !== undefined && names.has(name)) add(cuts, { protocol, first: port, last: port });
    }
  }
  return { cuts: [...cuts.values()], sources: [...sources.values()], protocols: [...protocols] };
}
