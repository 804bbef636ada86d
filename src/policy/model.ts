import type { LabelSelector, Requirement } from "../cluster/selector.ts";
import type { PortRange } from "../net/portRange.ts";
import type { Prefix } from "../net/prefix.ts";

/*
 * The neutral policy model. Every dialect is read into it and written from it; whatever evaluates, compares, generates or
 * explains reads only this and never asks which dialect a rule came from.
 */

export type Direction = "ingress" | "egress";

export const DIRECTIONS = ["ingress", "egress"] as const satisfies readonly Direction[];

export const OPPOSITE = { ingress: "egress", egress: "ingress" } as const;

/** What a matching rule does: `pass` leaves the tier, `log` decides nothing. */
export type Action = "allow" | "deny" | "pass" | "log";

/** Where a thing is written. Lines and columns count from 1. */
export interface Position {
  readonly file: string;
  readonly line: number;
  readonly column: number;
}

/** Names a policy object and, where it was read from a file, its place (that of its `kind`-bearing object's first line). */
export interface PolicyRef {
  readonly apiVersion: string;
  readonly kind: string;
  readonly namespace?: string;
  readonly name: string;
  readonly file?: string;
  readonly line?: number;
}

/** Returns a policy as people name it: `NetworkPolicy shop/web`. */
export function policyTitle({ kind, namespace, name }: PolicyRef): string {
  return `${kind} ${namespace === undefined ? "" : `${namespace}/`}${name}`;
}

/** Names a rule, or one peer of it, as a path below `spec`: `ingress[0]`, `ingress[0].from[1]`; `specs[1].ingress[0]` with several specs. */
export interface RuleRef {
  readonly path: string;
  readonly file?: string;
  readonly line?: number;
}

/** Which namespaces: one by name, or by the labels of the Namespace object. */
export type NamespaceMatch = { readonly name: string } | { readonly selector: LabelSelector };

/**
 * What a test looks at: a label of the object itself, of its namespace (whose name is the label kubernetes.io/metadata.name), of
 * its service account, or the service account's name.
 */
export type LabelSource = "own" | "namespace" | "serviceAccount" | "serviceAccountName";

/**
 * A boolean expression over labels, for what requirements alone cannot say (Calico's selector language, service accounts). A test
 * with a text operator holds only for a present label; `NotIn` and `DoesNotExist` hold for a missing one. `key` is "" for
 * serviceAccountName. `all` of nothing is true, `some` of nothing false.
 */
export type Expression =
  | { readonly op: "test"; readonly of: LabelSource; readonly requirement: Requirement }
  | {
      readonly op: "text";
      readonly of: LabelSource;
      readonly key: string;
      readonly how: "contains" | "starts" | "ends";
      readonly text: string;
    }
  | { readonly op: "all" | "some"; readonly terms: readonly Expression[] }
  | { readonly op: "not"; readonly term: Expression };

/** Pods by labels, in the matching namespaces. Never selects host-network pods, nodes or outside addresses by itself. */
export interface PodMatch {
  readonly namespaces: NamespaceMatch;
  readonly pods: LabelSelector;
  /** A further condition; absent: none. */
  readonly where?: Expression;
}

/**
 * Address sets (AddressSet), by name, or by labels as pods are selected: `namespaced` says whether sets with a namespace, without
 * one, or both are looked at. A set without namespace has no namespace labels.
 */
export type SetMatch =
  | { readonly names: readonly string[] }
  | { readonly scope: "namespaced" | "global" | "any"; readonly match: PodMatch };

/** Who traffic comes from or goes to by its role (Cilium documentation: Entities Based). */
export type Entity =
  | "all"
  | "world"
  | "world-ipv4"
  | "world-ipv6"
  | "cluster"
  | "host"
  | "remote-node"
  | "kube-apiserver"
  | "ingress"
  | "health"
  | "init"
  | "unmanaged"
  | "none";

/** DNS names: `regex` is an RE2 expression that holds a whole name, in lower case and without the final dot; `text` as it was written. */
export interface NamePattern {
  readonly text: string;
  readonly regex: string;
}

/** Services: one by name, or by labels; without a namespace those of all. */
export type ServiceMatch = { readonly namespace?: string } & ({ readonly name: string } | { readonly selector: LabelSelector });

/** A condition on one end of a connection. */
export type PeerTerm =
  | { readonly kind: "pods"; readonly match: PodMatch }
  | { readonly kind: "prefix"; readonly prefix: Prefix; readonly except: readonly Prefix[] }
  | { readonly kind: "sets"; readonly match: SetMatch; readonly except: readonly Prefix[] }
  /** Any address of the family, whoever's it is. */
  | { readonly kind: "family"; readonly family: 4 | 6 }
  /** Addresses of nodes, by the labels of the Node. */
  | { readonly kind: "nodes"; readonly selector: LabelSelector }
  | { readonly kind: "entities"; readonly entities: readonly Entity[] }
  /** Addresses that DNS gave for the names. */
  | { readonly kind: "names"; readonly patterns: readonly NamePattern[] }
  /** Backends of Services; `ports`: only on the port that the Service leads to there. */
  | { readonly kind: "services"; readonly match: ServiceMatch; readonly ports: boolean }
  | { readonly kind: "all" | "some"; readonly terms: readonly PeerTerm[] }
  | { readonly kind: "not"; readonly term: PeerTerm };

/** One alternative of a rule's other side. */
export type Peer = PeerTerm & { readonly ref: RuleRef };

/** One alternative of a rule's ports. Without `ports` and `icmp`: every packet of the protocol. */
export type PortMatch = {
  readonly protocol: number; // IP protocol number
  readonly ports?: PortRange | { readonly name: string };
  /** ICMP and ICMPv6 only; without a code: every code. */
  readonly icmp?: { readonly type: number; readonly code?: number };
};

/** Returns the port name that a match asks for; undefined where it asks for numbers, or for none. */
export function portNameOf({ ports }: PortMatch): string | undefined {
  return ports !== undefined && "name" in ports ? ports.name : undefined;
}

/** How a text of an HTTP request is matched. An expression (RE2) must hold the whole text. */
export type TextMatch = { readonly regex: string } | { readonly exact: string } | { readonly prefix: string };

/** A condition on an application-layer request. `text` alone: of a protocol that is not understood, as it was written. */
export type L7Match =
  | {
      readonly kind: "http";
      readonly method?: TextMatch;
      readonly path?: TextMatch;
      readonly host?: TextMatch;
      readonly headers?: readonly { readonly name: string; readonly value?: string }[];
    }
  | { readonly kind: "dns"; readonly names: NamePattern }
  | { readonly kind: "opaque"; readonly text: string };

/**
 * An alternative in each of `peers` and `ports` must match, and none of what is excluded. "any" matches whatever comes, addresses
 * outside and ICMP included; an empty list matches nothing.
 */
export interface Rule {
  readonly action: Action;
  readonly peers: "any" | readonly Peer[];
  readonly ports: "any" | readonly PortMatch[];
  readonly ref: RuleRef;
  /** What the subject's own end must be besides being selected; absent: nothing more. */
  readonly near?: readonly Peer[];
  readonly notPorts?: readonly PortMatch[];
  /** Ports of the initiator. */
  readonly sourcePorts?: readonly PortMatch[];
  readonly notSourcePorts?: readonly PortMatch[];
  /** Alternatives of which the request must match one; absent: whatever is said. Only allowing rules have it. */
  readonly l7?: readonly L7Match[];
}

/** What a policy says of one direction. */
export interface RuleList {
  /** Whether its mere presence denies what no rule decides (NetworkPolicy: yes; admin policies: no). */
  readonly isolates: boolean;
  readonly rules: readonly Rule[];
}

/**
 * Where a policy is judged. Admin and baseline policies and Calico's have an order within their tier: the lowest is asked first,
 * none means last.
 */
export type PolicyTier =
  | { readonly kind: "networkpolicy" | "cilium" }
  | { readonly kind: "admin" | "baseline"; readonly order: number }
  | { readonly kind: "calico"; readonly name: string; readonly order?: number };

/** One policy of any dialect. A direction that is absent is not governed by it. An object with several specs gives several. */
export interface Policy {
  readonly ref: PolicyRef;
  readonly tier: PolicyTier;
  readonly subject: PodMatch;
  readonly ingress?: RuleList;
  readonly egress?: RuleList;
  /** Rules written for a direction that the policy says it does not govern: Kubernetes ignores them, Cilium does not. */
  readonly unlisted?: { readonly ingress?: RuleList; readonly egress?: RuleList };
  /** It selects nodes with these labels instead of pods (`subject` then selects nothing): it governs no pod's traffic. */
  readonly nodes?: LabelSelector;
  /** Not in force: what promoting it would do (Calico stagedAction; `Delete` removes the policy of the same name). */
  readonly staged?: "Set" | "Delete" | "Learn" | "Ignore";
  /** Why it does nothing to pods though it stands there; absent: it does. */
  readonly inert?: string;
}

/** A tier of Calico policies. `end` is what happens to what no rule of it decided. */
export interface Tier {
  readonly ref: PolicyRef;
  readonly name: string;
  readonly order: number;
  readonly end: "deny" | "pass";
}

/** A set of addresses that rules refer to by name or labels: Calico's NetworkSet and GlobalNetworkSet, Cilium's CiliumCIDRGroup. */
export interface AddressSet {
  readonly ref: PolicyRef;
  readonly labels: Readonly<Record<string, string>>;
  readonly prefixes: readonly Prefix[];
}

/** Policies with what they refer to. */
export interface PolicySet {
  readonly policies: readonly Policy[];
  readonly tiers: readonly Tier[];
  readonly sets: readonly AddressSet[];
}

/** Returns the rule of a list that a path leads to, or into (a peer of it). */
export function ruleHolding(rules: readonly Rule[], { path }: RuleRef): Rule | undefined {
  return rules.find(({ ref }) => path === ref.path || path.startsWith(`${ref.path}.`));
}

/** Returns a policy's rules, those on what comes in first. */
export function rulesOf({ ingress, egress }: Policy): Rule[] {
  return [...(ingress?.rules ?? []), ...(egress?.rules ?? [])];
}
