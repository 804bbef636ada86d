import { EVERYTHING, type LabelSelector } from "../cluster/selector.ts";
import { describePorts, describeRequirement } from "../evaluate/ruleFaults.ts";
import { replaceRule, rulesIn, withRules } from "../generate/change/policyEdit.ts";
import { formatPrefix, makePrefix } from "../net/prefix.ts";
import { TCP, UDP } from "../net/protocol.ts";
import {
  DIRECTIONS,
  type Direction,
  type Expression,
  type NamespaceMatch,
  OPPOSITE,
  type PeerTerm,
  type PodMatch,
  type Policy,
  type PortMatch,
  type Rule,
  type RuleRef,
} from "../policy/model.ts";

/** What a mutation does to a policy. */
export type MutationKind =
  | "drop-policy"
  | "drop-rule"
  | "drop-peer"
  | "drop-port"
  | "widen-port"
  | "change-protocol"
  | "remove-label"
  | "any-namespace"
  | "drop-except"
  | "widen-prefix"
  | "widen-peer"
  | "any-request"
  | "swap-direction"
  | "flip-action";

/** One small change to a policy, as a slip of the hand would make it. */
export interface Mutation {
  readonly kind: MutationKind;
  readonly policy: Policy;
  /** The policy as it would be; undefined: it is gone. */
  readonly after: Policy | undefined;
  /** The rule, or the peer of it, that is changed; undefined: the policy itself. */
  readonly rule: RuleRef | undefined;
  /** What is changed, such as `ingress[0] without app=web`. */
  readonly what: string;
}

/** A part of a policy as it would be, and what was done to it. */
interface Variant<T> {
  readonly kind: MutationKind;
  readonly value: T;
  /** Completes "the rule …": `without app=web`. */
  readonly what: string;
}

const LAST_PORT = 65535;

/** Returns every small change of a policy: each rule, peer, port, label and prefix by itself. */
export function mutationsOf(policy: Policy): Mutation[] {
  const found: Mutation[] = [{ kind: "drop-policy", policy, after: undefined, rule: undefined, what: "the policy removed" }];
  // An object selects pods of its own namespace, whatever it says.
  for (const { kind, value, what } of podMatchVariants(policy.subject))
    if (kind !== "any-namespace")
      found.push({ kind, policy, after: { ...policy, subject: value }, rule: undefined, what: `what it selects ${what}` });
  for (const direction of DIRECTIONS)
    for (const rule of rulesIn(policy, direction)) {
      if (rule.action === "log") continue;
      const { path } = rule.ref;
      const add = (kind: MutationKind, after: Policy, what: string, ref: RuleRef = rule.ref) =>
        found.push({ kind, policy, after, rule: ref, what: `${ref.path || path} ${what}` });
      add("drop-rule", replaceRule(policy, direction, rule), "removed");
      add("swap-direction", swapped(policy, direction, rule), `as a rule for ${OPPOSITE[direction]}`);
      for (const { kind, value, what, ref } of ruleVariants(rule)) add(kind, replaceRule(policy, direction, rule, value), what, ref);
    }
  return found;
}

function swapped(policy: Policy, direction: Direction, rule: Rule): Policy {
  const other = OPPOSITE[direction];
  const { isolates = true } = policy[direction] ?? {};
  const without = replaceRule(policy, direction, rule);
  const list = without[other] ?? { isolates, rules: [] };
  return withRules({ ...without, [other]: list }, other, [...rulesIn(without, other), rule]);
}

function ruleVariants(rule: Rule): (Variant<Rule> & { readonly ref?: RuleRef })[] {
  const found: (Variant<Rule> & { readonly ref?: RuleRef })[] = [];
  const { peers, ports, action, l7 } = rule;
  if (peers !== "any") {
    found.push({ kind: "widen-peer", value: { ...rule, peers: "any" }, what: "for any peer" });
    for (const peer of peers) {
      const { ref } = peer;
      const others = peers.filter((each) => each !== peer);
      if (others.length > 0) found.push({ kind: "drop-peer", value: { ...rule, peers: others }, what: "removed", ref });
      for (const { kind, value, what } of termVariants(peer))
        found.push({ kind, value: { ...rule, peers: peers.map((each) => (each === peer ? { ...value, ref } : each)) }, what, ref });
    }
  }
  if (ports !== "any") {
    if (ports.length > 0) found.push({ kind: "widen-port", value: { ...rule, ports: "any" }, what: "on every port" });
    for (const port of ports) {
      const others = ports.filter((each) => each !== port);
      if (others.length > 0)
        found.push({ kind: "drop-port", value: { ...rule, ports: others }, what: `without port ${describePorts([port])}` });
      for (const { kind, value, what } of portVariants(port))
        found.push({ kind, value: { ...rule, ports: ports.map((each) => (each === port ? value : each)) }, what });
    }
  }
  if (l7 !== undefined) {
    const { l7: _, ...rest } = rule;
    found.push({ kind: "any-request", value: rest, what: "for any request" });
  }
  if (action === "allow" || action === "deny") {
    // Only rules that allow look at requests.
    const { l7: _, ...rest } = rule;
    const flipped = action === "allow" ? "deny" : "allow";
    found.push({
      kind: "flip-action",
      value: { ...rest, action: flipped },
      what: `as a rule that ${flipped === "deny" ? "denies" : "allows"}`,
    });
  }
  return found;
}

function portVariants(match: PortMatch): Variant<PortMatch>[] {
  const { protocol, ports, icmp } = match;
  if (icmp !== undefined) {
    const whole = { protocol, icmp: { type: icmp.type } };
    return [
      ...(icmp.code === undefined
        ? []
        : [{ kind: "widen-port", value: whole, what: `with every code of ${describePorts([whole])}` } as const]),
      { kind: "widen-port", value: { protocol }, what: `on ${describePorts([{ protocol }])}` },
    ];
  }
  const found: Variant<PortMatch>[] = [];
  const widen = (value: PortMatch) =>
    found.push({ kind: "widen-port", value, what: `on ${describePorts([value])} in place of ${describePorts([match])}` });
  if (ports !== undefined) {
    if ("first" in ports) {
      const { first, last } = ports;
      if (first > 1) widen({ protocol, ports: { first: first - 1, last } });
      if (last < LAST_PORT) widen({ protocol, ports: { first, last: last + 1 } });
    }
    widen({ protocol });
  }
  const other = protocol === TCP ? UDP : protocol === UDP ? TCP : undefined;
  if (other !== undefined) {
    const value = { ...match, protocol: other };
    found.push({ kind: "change-protocol", value, what: `on ${describePorts([value])} in place of ${describePorts([match])}` });
  }
  return found;
}

/** Returns a condition on an end with one thing of it changed; what stands in a negation narrows where it widens. */
function termVariants(term: PeerTerm): Variant<PeerTerm>[] {
  switch (term.kind) {
    case "pods":
      return podMatchVariants(term.match).map((each) => ({ ...each, value: { ...term, match: each.value } }));
    case "prefix":
      return prefixVariants(term);
    case "sets": {
      const { match, except } = term;
      const own: Variant<PeerTerm>[] = exceptVariants(except).map((each) => ({ ...each, value: { ...term, except: each.value } }));
      if (!("match" in match)) return own;
      const { match: pods } = match;
      return [...own, ...podMatchVariants(pods).map((each) => ({ ...each, value: { ...term, match: { ...match, match: each.value } } }))];
    }
    case "nodes":
      return selectorVariants(term.selector).map((each) => ({ ...each, value: { ...term, selector: each.value } }));
    case "services":
      if (!("selector" in term.match)) return [];
      return selectorVariants(term.match.selector).map((each) => ({
        ...each,
        value: { ...term, match: { ...term.match, selector: each.value } },
      }));
    case "entities":
      return without(term.entities).map(({ item, rest }) => ({
        kind: "drop-peer",
        value: { ...term, entities: rest },
        what: `without ${item}`,
      }));
    case "names":
      return without(term.patterns).map(({ item, rest }) => ({
        kind: "drop-peer",
        value: { ...term, patterns: rest },
        what: `without ${item.text}`,
      }));
    case "all":
    case "some":
      return term.terms.flatMap((inner, i) =>
        termVariants(inner).map((each) => ({ ...each, value: { ...term, terms: term.terms.with(i, each.value) } })),
      );
    case "not":
      return termVariants(term.term).map((each) => ({ ...each, value: { ...term, term: each.value } }));
    case "family":
      return [];
  }
}

/** Returns each item with the others; nothing where there is one alone. */
function without<T>(items: readonly T[]): { item: T; rest: T[] }[] {
  return items.length < 2 ? [] : items.map((item, i) => ({ item, rest: items.toSpliced(i, 1) }));
}

function prefixVariants(term: PeerTerm & { readonly kind: "prefix" }): Variant<PeerTerm>[] {
  const { prefix, except } = term;
  const found: Variant<PeerTerm>[] = exceptVariants(except).map((each) => ({ ...each, value: { ...term, except: each.value } }));
  if (prefix.length > 0) {
    const wider = makePrefix(prefix.first, prefix.length - 1, prefix.family);
    found.push({
      kind: "widen-prefix",
      value: { ...term, prefix: wider },
      what: `for ${formatPrefix(wider)} in place of ${formatPrefix(prefix)}`,
    });
  }
  return found;
}

function exceptVariants<T extends Parameters<typeof formatPrefix>[0]>(except: readonly T[]): Variant<T[]>[] {
  return except.map((each, i) => ({ kind: "drop-except", value: except.toSpliced(i, 1), what: `without except ${formatPrefix(each)}` }));
}

function podMatchVariants(match: PodMatch): Variant<PodMatch>[] {
  const { namespaces, pods, where } = match;
  const found: Variant<PodMatch>[] = selectorVariants(pods).map((each) => ({ ...each, value: { ...match, pods: each.value } }));
  for (const { kind, value, what } of namespaceVariants(namespaces)) found.push({ kind, value: { ...match, namespaces: value }, what });
  if (where !== undefined) {
    const { where: _, ...rest } = match;
    for (const { value, what } of expressionVariants(where)) found.push({ kind: "remove-label", value: { ...match, where: value }, what });
    found.push({ kind: "remove-label", value: rest, what: "without its selector" });
  }
  return found;
}

function namespaceVariants(match: NamespaceMatch): Variant<NamespaceMatch>[] {
  if ("name" in match)
    return [{ kind: "any-namespace", value: { selector: EVERYTHING }, what: `in any namespace, not ${match.name} alone` }];
  return selectorVariants(match.selector).map(({ value, what }) => ({
    kind: "remove-label",
    value: { selector: value },
    what: `${what} of the namespace`,
  }));
}

function selectorVariants({ requirements }: LabelSelector): Variant<LabelSelector>[] {
  return requirements.map((requirement, i) => ({
    kind: "remove-label",
    value: { requirements: requirements.toSpliced(i, 1) },
    what: `without ${describeRequirement(requirement)}`,
  }));
}

/** Returns an expression without one of its operands. */
function expressionVariants(expression: Expression): { value: Expression; what: string }[] {
  if (expression.op === "not")
    return expressionVariants(expression.term).map(({ value, what }) => ({ value: { op: "not", term: value }, what }));
  if (expression.op !== "all" && expression.op !== "some") return [];
  const { terms } = expression;
  return [
    ...without(terms).map(({ item, rest }) => ({ value: { ...expression, terms: rest }, what: `without ${describeExpression(item)}` })),
    ...terms.flatMap((term, i) =>
      expressionVariants(term).map(({ value, what }) => ({ value: { ...expression, terms: terms.with(i, value) }, what })),
    ),
  ];
}

function describeExpression(expression: Expression): string {
  switch (expression.op) {
    case "test":
      return describeRequirement(expression.requirement);
    case "text":
      return `${expression.key} ${expression.how} ${expression.text}`;
    case "not":
      return `not (${describeExpression(expression.term)})`;
    case "all":
    case "some":
      return expression.terms.map(describeExpression).join(expression.op === "all" ? " and " : " or ");
  }
}
