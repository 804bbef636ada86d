import type { Requirement } from "../../cluster/selector.ts";
import { holdsNumber, matchPeers } from "../../evaluate/cell.ts";
import { describePorts } from "../../evaluate/ruleFaults.ts";
import { rangeContains } from "../../net/portRange.ts";
import { formatPrefix, wholeAddress } from "../../net/prefix.ts";
import { type Action, type Peer, type PeerTerm, type Policy, type PortMatch, portNameOf, type Rule } from "../../policy/model.ts";
import { type AskedSide, alsoSelected, peerLabel, peersFor, portsFor, selectorFor, wholeFamily } from "./asked.ts";
import { type PolicyEdit, replaceRule, rulesIn } from "./policyEdit.ts";

/** An edit that may do, and how large it is: what opens or closes less comes first. */
export interface Candidate {
  readonly cost: number;
  readonly edit: PolicyEdit;
}

export const EVERY_PORT = "this opens every port to it";

/** Says what a peer that stands for the outside holds besides (API: IPBlock is about addresses, whoever's they are). */
export function outsideNotes({ isWholeOutside, peer, around: { profile } }: AskedSide, { tier }: Policy): string[] {
  const holdsPods = tier.kind !== "cilium" && profile.blocksMatchPods;
  return isWholeOutside && peer.type === "external" && holdsPods
    ? [`${formatPrefix(wholeFamily(peer))} holds the cluster's own addresses too: except its ranges`]
    : [];
}

/** Names that a note lists. */
const LISTED = 3;

/** Says which other workloads an edit is for. */
export function othersNote(others: readonly string[]): string[] {
  return others.length === 0 ? [] : [`the policy also selects ${shownOf(others)}`];
}

function shownOf(others: readonly string[]): string {
  const shown = others.slice(0, LISTED).join(", ");
  return `${shown}${others.length > LISTED ? ` and ${others.length - LISTED} more` : ""}`;
}

/** Says for which other workloads a peer opens: those that share the labels by which it names the other end. */
export function alsoOpensNote({ peer, around, evaluator }: AskedSide, term: PeerTerm): string[] {
  const others = term.kind === "pods" ? alsoSelected(term.match, peer, around, evaluator) : [];
  return others.length === 0 ? [] : [`this also opens for ${shownOf(others)}, which the same labels select`];
}

/** Returns the rule that a side's decision names first, with its policy. */
export function decidingRule({ decision, direction }: AskedSide): { policy: Policy; rule: Rule } | undefined {
  const [first] = decision.matched;
  if (first === undefined) return undefined;
  const rule = rulesIn(first.policy, direction).find(
    ({ ref, peers }) => ref === first.rule || (peers !== "any" && peers.some((peer) => peer.ref === first.rule)),
  );
  return rule === undefined ? undefined : { policy: first.policy, rule };
}

/** Returns new rules for the packet, one for each way of naming the other end. */
export function newRule(side: AskedSide, policy: Policy, action: Action): { rule: Rule; what: string; notes: string[] }[] {
  const ports = portsFor(side, policy);
  const verb = action === "deny" ? "denies" : action === "pass" ? "leaves to later policies" : "allows";
  const who = peerLabel(side);
  return peersFor(side, policy).map((term) => ({
    rule: { action, peers: [{ ...term, ref: { path: "" } }], ports, ref: { path: "" } },
    what: `${verb} ${who}${ports === "any" ? "" : ` ${describePorts(ports)}`}`,
    notes:
      action === "allow" ? [...(ports === "any" ? [EVERY_PORT] : []), ...outsideNotes(side, policy), ...alsoOpensNote(side, term)] : [],
  }));
}

/**
 * Returns edits by which a rule no longer holds for the packet: the peer goes, or its port, or the peer is excepted, or the whole rule
 * goes. `isDenial`: what the rule denies would be open then.
 */
export function narrowings(side: AskedSide, policy: Policy, rule: Rule, isDenial: boolean): Candidate[] {
  const { direction } = side;
  const what = isDenial ? "no longer denied by it" : "no longer allowed by it";
  const found: Candidate[] = [];
  const add = (cost: number, changed: Rule | undefined, text: string, notes: readonly string[]) =>
    found.push({
      cost,
      edit: { before: policy, after: replaceRule(policy, direction, rule, ...(changed === undefined ? [] : [changed])), what: text, notes },
    });
  const [holding, others] = splitPeers(side, policy, rule);
  const who = peerLabel(side);
  if (holding.length > 0 && others.length > 0)
    add(1, { ...rule, peers: others }, `take ${holding.map(({ ref }) => ref.path).join(" and ")} off ${rule.ref.path}`, [
      ...(rule.ports !== "any" && rule.ports.length === 1 ? [] : [`every port of the rule is ${what} for that peer`]),
    ]);
  const ports = rule.ports === "any" ? undefined : withoutPort(rule.ports, side);
  if (ports !== undefined && ports.length > 0)
    add(1.1, { ...rule, ports }, `take port ${side.port} off ${rule.ref.path}`, [
      ...(rule.peers !== "any" && rule.peers.length === 1 ? [] : [`the port is ${what} for every peer of the rule`]),
    ]);
  const excepted = rule.peers === "any" ? undefined : exceptPeer(side, rule.peers, holding);
  if (excepted !== undefined)
    add(1.65, { ...rule, peers: excepted }, `except ${who} from ${rule.ref.path}`, [
      "on every port of the rule, and with it whatever else has that label",
    ]);
  add(isDenial ? 2.5 : 1.3, undefined, `remove ${rule.ref.path}`, [`whatever else the rule is for is ${what} either`]);
  return found;
}

/** Splits a rule's peers into those that hold the other end (or may), and the rest. */
function splitPeers(side: AskedSide, policy: Policy, rule: Rule): [readonly Peer[], readonly Peer[]] {
  const { evaluator, direction, subject, peer } = side;
  if (rule.peers === "any") return [[], []];
  const number = evaluator.classify(subject);
  const party = evaluator.partyTo(number, evaluator.classify(peer));
  const clauses = evaluator
    .policiesOf(number, direction)
    .filter((compiled) => compiled.policy === policy)
    .flatMap((compiled) => compiled.clauses.filter((clause) => clause.rule === rule));
  const matched = new Set(clauses.flatMap((clause) => matchPeers(evaluator.rules, clause, party).matched.map(({ ref }) => ref)));
  return [rule.peers.filter(({ ref }) => matched.has(ref)), rule.peers.filter(({ ref }) => !matched.has(ref))];
}

/** Returns ports without the packet's: ranges are cut in two. Undefined where a port of it cannot be taken off alone. */
function withoutPort(ports: readonly PortMatch[], { protocol, port, ports: asked }: AskedSide): PortMatch[] | undefined {
  if (asked === undefined) return undefined;
  const rest: PortMatch[] = [];
  for (const match of ports) {
    const name = portNameOf(match);
    if (match.protocol !== protocol || (name === undefined && !holdsNumber(match, { protocol, port }))) rest.push(match);
    // What a name means hangs on the destination: it goes as a whole, as a whole protocol and ICMP do.
    else if (match.ports !== undefined && !("name" in match.ports) && rangeContains(match.ports, port)) {
      const { first, last } = match.ports;
      if (first < port) rest.push({ protocol, ports: { first, last: port - 1 } });
      if (port < last) rest.push({ protocol, ports: { first: port + 1, last } });
    }
  }
  return rest;
}

/** Returns peers that hold all that they held but the other end; undefined where one of them cannot be cut so. */
function exceptPeer(side: AskedSide, peers: readonly Peer[], holding: readonly Peer[]): Peer[] | undefined {
  const cut: Peer[] = [];
  for (const one of peers) {
    const changed = holding.includes(one) ? cutPeer(side, one) : one;
    if (changed === undefined) return undefined;
    cut.push(changed);
  }
  return holding.length === 0 ? undefined : cut;
}

function cutPeer({ peer, around, isWholeOutside }: AskedSide, one: Peer): Peer | undefined {
  if (one.kind === "prefix" && peer.address !== undefined && !isWholeOutside) {
    const address = wholeAddress(peer.address);
    return one.prefix.length === address.length ? undefined : { ...one, except: [...one.except, address] };
  }
  if (one.kind !== "pods" || peer.type !== "pod") return undefined;
  const { match } = one;
  const required = new Set(match.pods.requirements.filter(({ operator }) => operator === "In").map(({ key }) => key));
  const own = selectorFor(peer.pod, around.workloads).requirements.find(
    ({ key, operator, values }) => operator === "In" && values.length === 1 && !required.has(key),
  );
  if (own === undefined) return undefined;
  const requirement: Requirement = { key: own.key, operator: "NotIn", values: own.values };
  return { ...one, match: { ...match, pods: { requirements: [...match.pods.requirements, requirement] } } };
}
