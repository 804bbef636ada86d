import { TRANSPORTS } from "../../net/protocol.ts";
import { type Peer, type PeerTerm, type Policy, type PortMatch, portNameOf, type Rule } from "../model.ts";
import { anyOf } from "./entity.ts";
import { combine, IN_A_NAMESPACE, ofPods } from "./expression.ts";
import { matchExpression, objectsTerm, podMatch } from "./match.ts";
import { familyOf } from "./rules.ts";

/*
 * Policies as Calico can write them: one peer and one protocol a rule. What is not of this shape though it means something that
 * Calico can say, as what is generated, is brought into it.
 */

type PrefixTerm = Extract<PeerTerm, { readonly kind: "prefix" }>;

/** Returns the policy as readCalicoPolicy would give it, with rules of several peers or protocols written as several rules. */
export function canonicalPolicy(policy: Policy): Policy {
  const { subject, ingress, egress } = policy;
  const fixed = policy.ref.namespace === undefined ? undefined : subject.namespaces;
  const where = fixed ? matchExpression({ ...subject, namespaces: { selector: { requirements: [] } } }) : matchExpression(subject);
  return {
    ...policy,
    subject: podMatch(ofPods(where), fixed),
    ...(ingress ? { ingress: { ...ingress, rules: ingress.rules.flatMap(canonicalRules) } } : {}),
    ...(egress ? { egress: { ...egress, rules: egress.rules.flatMap(canonicalRules) } } : {}),
  };
}

function canonicalRules(rule: Rule): Rule[] {
  const { near, ...rest } = rule;
  const found: Rule[] = [];
  for (const peers of peerAlternatives(rule.peers)) {
    for (const own of near ? peerAlternatives(near) : [undefined]) {
      for (const ports of portAlternatives(rule.ports)) {
        found.push({ ...rest, peers: withFamilyOf(ports, peers), ports, ...(own === undefined || own === "any" ? {} : { near: own }) });
      }
    }
  }
  return found;
}

/** Nets that one rule may list (projectcalico.org/v3 EntityRule). */
const MOST_NETS = 256;

/** Returns the peers of each rule: plain prefixes of one family fit into one. */
function peerAlternatives(peers: Rule["peers"]): Rule["peers"][] {
  if (peers === "any") return ["any"];
  const isPlain = (peer: Peer): peer is Peer & PrefixTerm => peer.kind === "prefix" && peer.except.length === 0;
  const alternatives: Peer[][] = [];
  for (const family of [4, 6]) {
    const plain = peers.filter(isPlain).filter(({ prefix }) => prefix.family === family);
    for (let from = 0; from < plain.length; from += MOST_NETS) {
      const some = plain.slice(from, from + MOST_NETS);
      alternatives.push([{ ...anyOf(some.map(({ prefix }) => prefix)), ref: some[0].ref }]);
    }
  }
  for (const peer of peers) {
    if (isPlain(peer)) continue;
    const terms = canonicalTerms(peer).sort((a, b) => rank(a) - rank(b));
    alternatives.push([{ ...(terms.length === 1 ? terms[0] : ({ kind: "all", terms } as const)), ref: peer.ref }]);
  }
  return alternatives;
}

/** Adds the family that ICMP and ICMPv6 have packets in to what the peers are, as the reader does. */
function withFamilyOf(ports: Rule["ports"], peers: Rule["peers"]): Rule["peers"] {
  const family = ports === "any" ? undefined : familyOf(ports[0]?.protocol);
  if (family === undefined || peers === "any") return peers;
  return peers.map(({ ref, ...peer }) => {
    const terms = peer.kind === "all" ? peer.terms : [peer];
    const isSaid = terms.some((term) => term.kind === "family" && term.family === family);
    return isSaid ? { ...peer, ref } : { kind: "all", terms: [{ kind: "family", family } as const, ...terms], ref };
  });
}

/** The order in which the reader gives the terms of a peer. */
function rank(term: PeerTerm): number {
  if (term.kind === "family") return 0;
  if (isPrefixes(term)) return 1;
  if (term.kind === "not" && isPrefixes(term.term)) return 2;
  return term.kind === "services" ? 4 : 3;
}

/** Reports whether a term is about prefixes only. */
export function isPrefixes(term: PeerTerm): boolean {
  return term.kind === "prefix" || (term.kind === "some" && term.terms.length > 0 && term.terms.every(({ kind }) => kind === "prefix"));
}

/** Returns the terms of a conjunction. Pods stand for NetworkSets with such labels too, from which Calico cannot tell them. */
function canonicalTerms(term: PeerTerm): PeerTerm[] {
  switch (term.kind) {
    case "all":
      return term.terms.flatMap(canonicalTerms);
    case "pods":
      return [objectsTerm(combine("all", [IN_A_NAMESPACE, matchExpression(term.match)]))];
    case "not": {
      const inner = canonicalTerms(term.term);
      return [{ kind: "not", term: inner.length === 1 ? inner[0] : { kind: "all", terms: inner } }];
    }
    case "prefix": {
      const { prefix, except } = term;
      if (except.length === 0) return [plain(term)];
      return [{ kind: "family", family: prefix.family }, anyOf([prefix]), { kind: "not", term: anyOf(except) }];
    }
    default:
      return [term];
  }
}

function plain({ kind, prefix, except }: PrefixTerm): PeerTerm {
  return { kind, prefix, except };
}

/** Returns the ports of each rule: one protocol, and all of its ports or one ICMP type. */
function portAlternatives(ports: Rule["ports"]): Rule["ports"][] {
  if (ports === "any" || isNamedOfAll(ports)) return [ports];
  const alternatives: PortMatch[][] = [];
  for (const [, ofProtocol] of Map.groupBy(ports, ({ protocol }) => protocol)) {
    const whole = ofProtocol.find((match) => match.ports === undefined && match.icmp === undefined);
    const numbered = ofProtocol.filter((match) => match.ports !== undefined);
    if (whole) alternatives.push([whole]);
    else alternatives.push(...ofProtocol.filter((match) => match.icmp !== undefined).map((match) => [match]));
    if (!whole && numbered.length > 0) alternatives.push(numbered);
  }
  return alternatives;
}

/** Reports whether ports are names without a protocol, which are read as one port of each protocol that has names. */
export function isNamedOfAll(ports: readonly PortMatch[]): boolean {
  const count = TRANSPORTS.length;
  if (ports.length === 0 || ports.length % count !== 0) return false;
  return ports.every((match, index) => {
    const name = portNameOf(match);
    return name !== undefined && name === portNameOf(ports[index - (index % count)]) && match.protocol === TRANSPORTS[index % count];
  });
}

/** Returns a text that policies share which say the same, wherever they are written. */
export function policyKey(policy: Policy): string {
  const { ref: _ref, ...rest } = policy;
  return JSON.stringify(rest, (key, value: unknown) => {
    if (key === "ref" || key === "hostBits") return undefined;
    if (typeof value === "bigint") return String(value);
    if (typeof value !== "object" || value === null || Array.isArray(value)) return value;
    return Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1)));
  });
}
