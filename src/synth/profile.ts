import type { Labels } from "../cluster/objects.ts";
import type { Ending } from "./conversation.ts";

/*
 * What traffic is made, as people write it in YAML (docs/synth.md): the built-in profiles are values of these types. Durations are
 * texts such as `500ms` or `1h30m`; a `Span` may also be a share of the run, such as `25%`.
 */

export const PROFILE_VERSION = "kguardian.dev/v1alpha1";
export const PROFILE_KIND = "TrafficProfile";

export interface TrafficProfile {
  readonly apiVersion: typeof PROFILE_VERSION;
  readonly kind: typeof PROFILE_KIND;
  readonly metadata: { readonly name: string };
  readonly spec: ProfileSpec;
}

export type Duration = string;
export type Span = string;

export interface ProfileSpec {
  readonly description?: string;
  /** How long calls begin; 5m without. */
  readonly duration?: Duration;
  /** Calls a second, on average over the run; 20 without. Lookups and retries come besides. */
  readonly rate?: number;
  readonly arrivals?: Arrivals;
  /** Shares of calls by address family, among those that both ends have; without, the family of a client's first address. */
  readonly families?: { readonly IPv4?: number; readonly IPv6?: number };
  /** Whether a pod looks a name up before it first calls it, where the snapshot has a DNS Service; true without. */
  readonly lookups?: boolean;
  /** What a client does that was refused or got no answer. */
  readonly retries?: Retries;
  readonly calls: readonly Call[];
  readonly events?: readonly ProfileEvent[];
}

/** When calls begin. */
export type Arrivals =
  /** Independent of each other, or with equal gaps. */
  | { readonly distribution: "poisson" | "even" }
  /** Poisson at a rate of `1 + depth cos(2 pi (t - peak) / period)` times the mean; `t` counts from the run's beginning. */
  | { readonly distribution: "diurnal"; readonly period?: Span; readonly peak?: Span; readonly depth?: number }
  /** Poisson, `factor` times as many in the first `length` of each `every`; over whole cycles the mean is the rate all the same. */
  | { readonly distribution: "burst"; readonly every: Span; readonly length: Span; readonly factor: number };

/** `count` further tries, the first `after` the failure, each later one after twice the time. */
export interface Retries {
  readonly count: number;
  readonly after: Duration;
}

/** A log-normal distribution of bytes or numbers: half lie below the median; `sigma` is the deviation of the natural logarithm. */
export interface Spread<Value = number> {
  readonly median: Value;
  readonly sigma?: number;
}

export type Port = number | string;

/** Connections of one sort. */
export interface Call {
  readonly from: Source;
  readonly to: Target;
  /** Of a Service: its port or the port's name. Else ports at the target: numbers, ranges (`8000-8100`), names. Without: all that there are. */
  readonly port?: Port | readonly Port[];
  /** TCP without. */
  readonly protocol?: "TCP" | "UDP";
  /** Share of the calls, against the other calls' weights; 1 without. */
  readonly weight?: number;
  /** `sweep`: targets and ports one after the other, as scanners go. */
  readonly order?: "random" | "sweep";
  readonly exchange?: ExchangeSpec;
  /** Time from a packet to its answer, drawn once for a client and server; in the cluster 0.4ms, to the outside 25ms. */
  readonly roundTrip?: Spread<Duration>;
  /** Shares of how connections end where somebody listens. */
  readonly endings?: Readonly<Partial<Record<Ending, number>>>;
  /** The same where nobody is known to listen; all refused without. */
  readonly closed?: { readonly refused?: number; readonly unanswered?: number };
}

/** Who calls. Each has one of the fields. */
export interface Source {
  /** Who plausibly calls the Service, by the call graph (callGraph.ts). */
  readonly callers?: Readonly<Record<string, never>>;
  readonly pods?: PodSelection;
  readonly nodes?: NodeSelection;
  readonly external?: External;
}

/** Who is called. Each has one of the fields. */
export interface Target {
  readonly service?: ServiceSelection;
  readonly pods?: PodSelection;
  readonly nodes?: NodeSelection;
  readonly external?: External;
}

/** Where a Service or workload stands in its application, by type, names, labels and ports (callGraph.ts). */
export const TIERS = ["entry", "front", "middle", "data", "system", "dns"] as const;
export type Tier = (typeof TIERS)[number];

/** Pods with addresses of their own that have all of what is named; an empty selection is every one. */
export interface PodSelection {
  readonly namespace?: string;
  readonly labels?: Labels;
  /** As `deploy/web`. */
  readonly workload?: string;
  /** Kinds of workloads: Deployment, StatefulSet, Job, … */
  readonly kinds?: readonly string[];
  readonly tier?: Tier;
  /** At most so many of them, chosen by the seed. */
  readonly count?: number;
}

export interface ServiceSelection {
  readonly namespace?: string;
  readonly name?: string;
  readonly labels?: Labels;
  readonly tier?: Tier;
}

export interface NodeSelection {
  readonly labels?: Labels;
  readonly count?: number;
}

/** The outside. Addresses are of the documentation ranges where none are given (RFC 5737, RFC 3849). */
export interface External {
  readonly cidrs?: readonly string[];
  /** DNS names, each with an address of the ranges: of targets. */
  readonly names?: readonly string[];
  /** How many addresses take part where there are no names; 50 without. */
  readonly hosts?: number;
}

export const EXCHANGE_KINDS = ["auto", "bytes", "http", "http2", "tls", "dns"] as const;

/** What is said on a connection. */
export interface ExchangeSpec {
  /** `auto`, as without: by the port and its name (exchanges.ts). */
  readonly kind?: (typeof EXCHANGE_KINDS)[number];
  /** HTTP: what is asked for. */
  readonly requests?: readonly RequestSpec[];
  /** HTTP's Host and TLS's server name; the called name or address without. */
  readonly host?: string;
  /** DNS: what is looked up; the names of the snapshot's Services without. */
  readonly names?: readonly string[];
  /** DNS: the share of names that do not exist, from 0 to 1. */
  readonly missing?: number;
  /** Payload bytes of a request (HTTP: of its body), and of an answer. */
  readonly request?: Spread;
  readonly response?: Spread;
  /** Requests on one connection; one without. */
  readonly count?: Spread;
  /** Between an answer and the next request; 20ms without. */
  readonly pause?: Spread<Duration>;
}

export interface RequestSpec {
  /** GET without. */
  readonly method?: string;
  readonly path: string;
  /** 200 without. */
  readonly status?: number;
  readonly weight?: number;
}

/** What changes while the run goes on. Each has one of the fields. */
export interface ProfileEvent {
  readonly replace?: Replacement;
  readonly run?: Runs;
  readonly partition?: Partition;
}

/** Pods end and others take their place, one after the other from `at` on for `length`. */
export interface Replacement {
  readonly pods: PodSelection;
  readonly at: Span;
  readonly length?: Span;
  /** The share of the pods that is replaced, from 0 to 1; all without. */
  readonly share?: number;
  /** From the order to end until the pod is gone, 30s without: at least 10s, which is how long an attempt in vain goes on. */
  readonly grace?: Duration;
  /** Whether new pods get addresses that others have given back. */
  readonly reuseAddresses?: boolean;
}

/** Pods of a Job or CronJob: new ones every so often, each for a while. */
export interface Runs {
  readonly pods: PodSelection;
  readonly every: Span;
  readonly length: Span;
}

/** No packet arrives between some nodes (and the pods there) and others, for a while. */
export interface Partition {
  readonly nodes: NodeSelection;
  /** All others without. */
  readonly others?: NodeSelection;
  readonly at: Span;
  readonly length: Span;
}
