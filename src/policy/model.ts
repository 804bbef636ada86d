import type { LabelSelector } from "../cluster/selector.ts";
import type { PortRange } from "../net/portRange.ts";
import type { Prefix } from "../net/prefix.ts";

/*
 * The neutral policy model. Every dialect is read into it and written from it; whatever evaluates, compares, generates or
 * explains reads only this and never asks which dialect a rule came from.
 */

export type Direction = "ingress" | "egress";

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

/** Names a rule, or one peer of it, as a path below `spec`: `ingress[0]`, `ingress[0].from[1]`. */
export interface RuleRef {
  readonly path: string;
  readonly file?: string;
  readonly line?: number;
}

/** Which namespaces: one by name, or by the labels of the Namespace object. */
export type NamespaceMatch = { readonly name: string } | { readonly selector: LabelSelector };

/** Pods by labels, in the matching namespaces. Never selects host-network pods, nodes or outside addresses by itself. */
export interface PodMatch {
  readonly namespaces: NamespaceMatch;
  readonly pods: LabelSelector;
}

/** One alternative of a rule's other side. */
export type Peer =
  | { readonly kind: "pods"; readonly match: PodMatch; readonly ref: RuleRef }
  | { readonly kind: "prefix"; readonly prefix: Prefix; readonly except: readonly Prefix[]; readonly ref: RuleRef };

/** One alternative of a rule's ports. `ports` absent: every port (of protocols without ports: every packet). */
export type PortMatch = {
  readonly protocol: number; // IP protocol number
  readonly ports?: PortRange | { readonly name: string };
};

/** An alternative in each of `peers` and `ports` must match; "any" matches whatever comes, addresses outside and ICMP included. */
export interface Rule {
  readonly action: Action;
  readonly peers: "any" | readonly Peer[];
  readonly ports: "any" | readonly PortMatch[];
  readonly ref: RuleRef;
}

/** What a policy says of one direction. */
export interface RuleList {
  /** Whether its mere presence denies what no rule allows (NetworkPolicy: yes; admin policies: no). */
  readonly isolates: boolean;
  readonly rules: readonly Rule[];
}

/** One policy object of any dialect. A direction that is absent is not governed by it. */
export interface Policy {
  readonly ref: PolicyRef;
  /** The stage that it is judged in; the CNI profile says which stages exist and in which order. */
  readonly tier: "networkpolicy";
  readonly subject: PodMatch;
  readonly ingress?: RuleList;
  readonly egress?: RuleList;
}
